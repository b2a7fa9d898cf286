//! Tax and registration numbers with valid check digits, for a region that does not exist.
//!
//! ИНН: weighted sum mod 11 mod 10; ОГРН: the first 12 digits mod 11 mod 10; ОГРНИП: the first 14 digits mod 13 mod 10.

const FIRM: [u32; 9] = [2, 4, 10, 3, 5, 9, 4, 6, 8];
const PERSON_FIRST: [u32; 10] = [7, 2, 4, 10, 3, 5, 9, 4, 6, 8];
const PERSON_SECOND: [u32; 11] = [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8];

/// Ten digits: region 00, an office of two digits, a record of five, one check digit.
pub fn inn_of_firm(record: u32, office: u64) -> String {
    let digits = format!("00{office:02}{record:05}");
    format!("{digits}{}", weighted(&digits, &FIRM))
}

/// Twelve digits: region 00, an office of two digits, a record of six, two check digits.
pub fn inn_of_person(record: u32, office: u64) -> String {
    let digits = format!("00{office:02}{record:06}");
    let digits = format!("{digits}{}", weighted(&digits, &PERSON_FIRST));
    format!("{digits}{}", weighted(&digits, &PERSON_SECOND))
}

/// Thirteen digits of a firm registered in the year `20yy`.
pub fn ogrn(yy: u64, record: u32) -> String {
    let digits = format!("1{yy:02}00{record:07}");
    format!("{digits}{}", remainder(&digits, 11))
}

/// Fifteen digits of a sole proprietor registered in the year `20yy`.
pub fn ogrnip(yy: u64, record: u32) -> String {
    let digits = format!("3{yy:02}00{record:09}");
    format!("{digits}{}", remainder(&digits, 13))
}

/// The same number with a check digit that is off by one.
pub fn wrong(number: &str) -> String {
    let (head, last) = number.split_at(number.len() - 1);
    let last = last.parse::<u32>().unwrap_or_default();
    format!("{head}{}", (last + 1) % 10)
}

fn weighted(digits: &str, weights: &[u32]) -> u32 {
    let sum: u32 = digits.bytes().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    sum % 11 % 10
}

fn remainder(digits: &str, divisor: u64) -> u64 {
    digits.bytes().fold(0, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % divisor) % 10
}

/// Whether the check digits of a tax number are right.
#[cfg(test)]
pub fn is_inn(inn: &str) -> bool {
    let check = |at: usize, weights: &[u32]| inn[at..=at] == weighted(&inn[..at], weights).to_string();
    match inn.len() {
        10 => check(9, &FIRM),
        12 => check(10, &PERSON_FIRST) && check(11, &PERSON_SECOND),
        _ => false,
    }
}

/// Whether the check digit of a registration number is right.
#[cfg(test)]
pub fn is_ogrn(ogrn: &str) -> bool {
    let (head, last) = ogrn.split_at(ogrn.len() - 1);
    match ogrn.len() {
        13 => last == remainder(head, 11).to_string(),
        15 => last == remainder(head, 13).to_string(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_accept_published_numbers_and_refuse_their_neighbours() {
        for inn in ["7707083893", "7707049388", "7736050003", "500100732259"] {
            assert!(is_inn(inn), "{inn}");
            assert!(!is_inn(&wrong(inn)), "{inn}");
        }
        for ogrn in ["1027700132195", "1027700198767", "1027700070518", "304500116000157"] {
            assert!(is_ogrn(ogrn), "{ogrn}");
            assert!(!is_ogrn(&wrong(ogrn)), "{ogrn}");
        }
    }

    #[test]
    fn made_numbers_are_right() {
        for record in [1, 77, 2_200, 99_999] {
            assert!(is_inn(&inn_of_firm(record, 12)) && is_inn(&inn_of_person(record, 99)));
            assert!(is_ogrn(&ogrn(24, record)) && is_ogrn(&ogrnip(5, record)));
        }
    }
}
