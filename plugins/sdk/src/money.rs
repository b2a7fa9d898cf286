//! Exact arithmetic on minor units.

use crate::{Fault, Money};

/// `numerator / denominator`, rounded half-up away from zero. The denominator is above zero.
///
/// None when the result does not fit, or the denominator is not above zero.
pub fn round_div(numerator: i128, denominator: i128) -> Option<i64> {
    if denominator <= 0 {
        return None;
    }
    // Nearly all amounts fit, and a guest has no instruction that divides 128 bits.
    let (quotient, remainder) = match (i64::try_from(numerator), i64::try_from(denominator)) {
        (Ok(numerator), Ok(denominator)) => (i128::from(numerator / denominator), i128::from(numerator % denominator)),
        _ => (numerator / denominator, numerator % denominator),
    };
    // Compared against what is left to the next whole, so that nothing is doubled and nothing overflows.
    let up = remainder.unsigned_abs() >= denominator.unsigned_abs() - remainder.unsigned_abs();
    i64::try_from(quotient + if up { numerator.signum() } else { 0 }).ok()
}

/// `round(total * part / whole)`, half-up away from zero, exact. None when it does not fit or `whole` is not above zero.
pub fn share_of(total: i64, part: i64, whole: i64) -> Option<i64> {
    round_div(i128::from(total) * i128::from(part), i128::from(whole))
}

/// An amount in major units with all decimals of its currency: `100.00` for 10000 of exponent 2, `100` for exponent 0.
pub fn major(minor: i64, exponent: u8) -> String {
    let exponent = usize::from(exponent.min(18));
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = exponent + 1);
    let (whole, part) = digits.split_at(digits.len() - exponent);
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// Minor units from an amount in major units, exactly: further decimals must be zeros, as in `100.000000`.
///
/// None for anything but digits with at most one point, and for what does not fit.
pub fn minor(text: &str, exponent: u8) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent = usize::from(exponent);
    let (kept, rest) = part.split_at_checked(exponent.min(part.len()))?;
    if whole.is_empty() || !numeric(whole) || !numeric(part) || rest.bytes().any(|b| b != b'0') {
        return None;
    }
    format!("{whole}{kept:0<exponent$}").parse::<i64>().ok()?.checked_mul(sign)
}

impl Money {
    /// As many minor units of the same currency.
    pub fn with_minor(&self, minor: i64) -> Self {
        Self { minor, currency: self.currency.clone() }
    }

    /// Whether both amounts are of one currency; an `invalid` fault that names the element otherwise.
    pub fn same_currency(&self, other: &Self, element: &str) -> Result<(), Fault> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(Fault::Invalid(format!("{element}: amounts in {} and {}", self.currency, other.currency)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_units_read_back_exactly() {
        for (amount, exponent, text) in [
            (10_000, 2, "100.00"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (100, 0, "100"),
            (1_234, 3, "1.234"),
            (0, 2, "0.00"),
        ] {
            assert_eq!(major(amount, exponent), text);
            assert_eq!(minor(text, exponent), Some(amount));
        }
        assert_eq!(minor("100.000000", 2), Some(10_000));
        assert_eq!(minor("100", 2), Some(10_000));
        assert_eq!(minor("8.9", 2), Some(890));
        for wrong in ["", ".5", "1.001", "1,5", "1e3", "+1", " 1", "1.2.3", "9223372036854775808", "NaN", "١"] {
            assert_eq!(minor(wrong, 2), None, "{wrong:?}");
        }
    }

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!([5, 4, -5, -4, 15, -15, 0].map(|n| round_div(n, 10)), [1, 0, -1, 0, 2, -2, 0].map(Some));
        assert_eq!(round_div(1, 3), Some(0));
        assert_eq!(round_div(2, 3), Some(1));
        assert_eq!(round_div(-3, 2), Some(-2));
    }

    #[test]
    fn narrow_and_wide_division_agree() {
        for n in -1_000_i64..1_000 {
            for d in [1, 2, 3, 7, 122] {
                let wide = 1_i128 << 70;
                assert_eq!(round_div(i128::from(n), d), round_div(i128::from(n) * wide, d * wide), "{n}/{d}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_no_number() {
        assert_eq!(round_div(i128::MAX, 1), None);
        assert_eq!(round_div(1, 0), None);
        assert_eq!(share_of(i64::MAX, i64::MAX, i64::MAX), Some(i64::MAX));
        assert_eq!(share_of(i64::MIN, 1, 1), Some(i64::MIN));
        assert_eq!(share_of(i64::MAX, 2, 1), None);
    }
}
