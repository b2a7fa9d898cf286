use super::*;
use proptest::prelude::*;

fn rub(minor: i64) -> Money {
    Money::new(minor, Currency::RUB)
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn a_currency_knows_its_minor_unit() {
    for (code, exponent) in [("RUB", 2), ("EUR", 2), ("KZT", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("XPF", 0)] {
        assert_eq!(Currency::parse(code).unwrap().exponent(), exponent, "{code}");
    }
    for code in ["rub", "RU", "RUBL", "XXX", "", "РУБ", "AB "] {
        assert!(matches!(Currency::parse(code), Err(MoneyError::UnknownCurrency(_))), "{code}");
    }
}

#[test]
fn every_listed_code_is_three_capitals_and_stands_once() {
    let mut codes: Vec<&str> =
        [EXPONENT_0, EXPONENT_2, EXPONENT_3, EXPONENT_4].into_iter().flat_map(|list| list.split(' ')).collect();
    assert!(codes.iter().all(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_uppercase())));
    for code in &codes {
        assert_eq!(Currency::parse(code).unwrap().code(), *code);
    }
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), count);
}

#[test]
fn an_amount_reads_and_prints_with_the_decimals_of_its_currency() {
    let (jpy, kwd) = (Currency::parse("JPY").unwrap(), Currency::parse("KWD").unwrap());
    for (text, currency, minor, printed) in [
        ("590.00", Currency::RUB, 59_000, "590.00"),
        ("590", Currency::RUB, 59_000, "590.00"),
        ("0.5", Currency::RUB, 50, "0.50"),
        ("-0.05", Currency::RUB, -5, "-0.05"),
        ("-1234.56", Currency::RUB, -123_456, "-1234.56"),
        ("100", jpy, 100, "100"),
        ("1.234", kwd, 1_234, "1.234"),
        ("92233720368547758.07", Currency::RUB, i64::MAX, "92233720368547758.07"),
        ("-92233720368547758.08", Currency::RUB, i64::MIN, "-92233720368547758.08"),
    ] {
        let money = Money::parse_major(text, currency).unwrap();
        assert_eq!((money.minor, money.to_major_string().as_str()), (minor, printed), "{text}");
    }
    for text in ["", "-", ".5", "5.", "1.234", "1,50", "+1", " 1", "1 ", "1e3", "--1", "1.-5", "٣"] {
        assert!(matches!(Money::parse_major(text, Currency::RUB), Err(MoneyError::Malformed { .. })), "{text}");
    }
    assert!(matches!(Money::parse_major("100.0", jpy), Err(MoneyError::Malformed { .. })));
    assert_eq!(Money::parse_major("92233720368547758.08", Currency::RUB), Err(MoneyError::Overflow));
    assert_eq!(Money::parse_major(&"9".repeat(60), Currency::RUB), Err(MoneyError::Overflow));
}

#[test]
fn json_names_minor_units_and_the_currency() {
    assert_eq!(serde_json::to_string(&rub(123)).unwrap(), r#"{"minor":123,"currency":"RUB"}"#);
    assert_eq!(serde_json::from_str::<Money>(r#"{"minor":123,"currency":"RUB"}"#).unwrap(), rub(123));
    for text in [
        r#"{"minor":1.5,"currency":"RUB"}"#,
        r#"{"minor":1,"currency":"ABC"}"#,
        r#"{"minor":1}"#,
        r#"{"minor":1,"currency":"RUB","major":1}"#,
    ] {
        assert!(serde_json::from_str::<Money>(text).is_err(), "{text}");
    }
}

#[test]
fn foreign_currencies_do_not_add() {
    let eur = Money::new(1, Currency::EUR);
    assert!(matches!(rub(1).add(eur), Err(MoneyError::CurrencyMismatch { .. })));
    assert!(matches!(rub(1).sub(eur), Err(MoneyError::CurrencyMismatch { .. })));
    assert!(matches!(Money::sum(Currency::RUB, [rub(1), eur]), Err(MoneyError::CurrencyMismatch { .. })));
}

#[test]
fn an_overflow_is_an_error() {
    assert_eq!(rub(i64::MAX).add(rub(1)), Err(MoneyError::Overflow));
    assert_eq!(rub(i64::MIN).sub(rub(1)), Err(MoneyError::Overflow));
    assert_eq!(rub(i64::MIN).neg(), Err(MoneyError::Overflow));
    assert_eq!(ratio(i64::MAX, 2, 1), Err(MoneyError::Overflow));
    assert_eq!(line_price(rub(i64::MAX), decimal("2"), Decimal::ZERO), Err(MoneyError::Overflow));
    assert_eq!(line_price(rub(i64::MAX), Decimal::MAX, Decimal::ZERO), Err(MoneyError::Overflow));
    assert_eq!(round_minor(Decimal::MAX, Currency::RUB), Err(MoneyError::Overflow));
}

#[test]
fn rounding_is_half_up_away_from_zero() {
    for (amount, minor) in [
        ("1.004", 100),
        ("1.005", 101),
        ("1.015", 102),
        ("1.025", 103),
        ("-1.005", -101),
        ("-1.004", -100),
        ("0.005", 1),
        ("-0.005", -1),
        ("0.0049999999999999999999999999", 0),
        ("7", 700),
    ] {
        assert_eq!(round_minor(decimal(amount), Currency::RUB), Ok(minor), "{amount}");
    }
    assert_eq!(round_minor(decimal("0.5"), Currency::parse("JPY").unwrap()), Ok(1));
    assert_eq!(round_minor(decimal("1.0005"), Currency::parse("KWD").unwrap()), Ok(1001));
}

#[test]
fn a_share_of_days_is_rounded_once() {
    // 1000.00 for a month of 31 days, 15 of them used.
    assert_eq!(ratio(100_000, 15, 31), Ok(48_387));
    assert_eq!(ratio(100_000, 16, 31), Ok(51_613));
    // 100.00 for February, from the 7th on.
    assert_eq!(ratio(10_000, 22, 28), Ok(7_857));
    assert_eq!(ratio(1, 1, 2), Ok(1));
    assert_eq!(ratio(-1, 1, 2), Ok(-1));
    assert_eq!(ratio(1, -1, 2), Ok(-1));
    assert_eq!(ratio(i64::MAX, i64::MAX, i64::MAX), Ok(i64::MAX));
    assert_eq!(ratio(i64::MIN, 1, 1), Ok(i64::MIN));
    for whole in [0, -1, i64::MIN] {
        assert_eq!(ratio(1, 1, whole), Err(MoneyError::Whole(whole)));
    }
}

#[test]
fn an_allocation_gives_remainders_to_the_largest_then_to_the_first() {
    assert_eq!(allocate(100, &[1, 1, 1]), Ok(vec![34, 33, 33]));
    assert_eq!(allocate(-100, &[1, 1, 1]), Ok(vec![-34, -33, -33]));
    assert_eq!(allocate(10, &[1, 2, 4]), Ok(vec![1, 3, 6]));
    assert_eq!(allocate(1, &[0, 1, 1]), Ok(vec![0, 1, 0]));
    assert_eq!(allocate(0, &[5, 5]), Ok(vec![0, 0]));
    assert_eq!(allocate(i64::MIN, &[1]), Ok(vec![i64::MIN]));
    assert_eq!(allocate(i64::MAX, &[i64::MAX, i64::MAX]), Ok(vec![i64::MAX / 2 + 1, i64::MAX / 2]));
    for weights in [&[][..], &[0, 0], &[3, -1]] {
        assert_eq!(allocate(1, weights), Err(MoneyError::Weights));
    }
}

#[test]
fn a_line_price_rounds_once_after_quantity_and_discount() {
    // The counter of the reference: (105 − 10) · 16 · 0.9 = 1368.00.
    assert_eq!(line_price(rub(1_600), decimal("95"), decimal("10")), Ok(rub(136_800)));
    assert_eq!(line_price(rub(1_000), decimal("0.333"), Decimal::ZERO), Ok(rub(333)));
    // 0.05 · 0.5 = 0.025 rounds up; rounding the half first and the discount then would give 0.03 · 0.9 = 0.03.
    assert_eq!(line_price(rub(5), decimal("0.5"), decimal("10")), Ok(rub(2)));
    assert_eq!(line_price(rub(5), decimal("0.5"), Decimal::ZERO), Ok(rub(3)));
    assert_eq!(line_price(rub(59_000), Decimal::ONE, Decimal::ONE_HUNDRED), Ok(rub(0)));
    assert_eq!(line_price(rub(59_000), decimal("1.000000000000000000000000000"), decimal("12.5")), Ok(rub(51_625)));
    assert!(matches!(line_price(rub(1), decimal("-1"), Decimal::ZERO), Err(MoneyError::Quantity(_))));
    assert!(matches!(line_price(rub(1), Decimal::ONE, decimal("100.01")), Err(MoneyError::Percent(_))));
    assert!(matches!(line_price(rub(1), Decimal::ONE, decimal("-0.01")), Err(MoneyError::Percent(_))));
}

/// The quotient by schoolbook comparison, independent of how the crate divides.
fn is_rounded_half_away(result: i64, numerator: i128, denominator: i128) -> bool {
    let twice_error = 2 * (i128::from(result) * denominator - numerator).abs();
    let away = i128::from(result).abs() * denominator >= numerator.abs();
    twice_error < denominator || (twice_error == denominator && away)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25_000))]

    #[test]
    fn an_allocation_sums_to_the_whole_and_is_fair(total in any::<i64>(), weights in prop::collection::vec(0_i64..1_000_000, 1..12)) {
        let whole: i64 = weights.iter().sum();
        prop_assume!(whole > 0);
        let parts = allocate(total, &weights).unwrap();
        prop_assert_eq!(parts.iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(total));
        for (part, weight) in parts.iter().zip(&weights) {
            let error = i128::from(*part) * i128::from(whole) - i128::from(total) * i128::from(*weight);
            prop_assert!(error.abs() < i128::from(whole), "off by a whole minor unit");
            prop_assert!(*weight > 0 || *part == 0);
        }
    }

    #[test]
    fn a_ratio_is_the_nearest_minor_unit(total in -10_i64.pow(13)..10_i64.pow(13), part in 0_i64..100_000, whole in 1_i64..100_000) {
        let result = ratio(total, part, whole).unwrap();
        prop_assert!(is_rounded_half_away(result, i128::from(total) * i128::from(part), i128::from(whole)));
        prop_assert_eq!(ratio(-total, part, whole).unwrap(), -result, "a credit mirrors its charge");
    }

    #[test]
    fn a_line_price_is_the_exact_product_rounded_once(
        unit in -10_i64.pow(9)..10_i64.pow(9), quantity in 0_i64..10_i64.pow(9), scale in 0_u32..6, discount in 0_i64..=10_000,
    ) {
        let price = line_price(rub(unit), Decimal::new(quantity, scale), Decimal::new(discount, 2)).unwrap();
        let numerator = i128::from(unit) * i128::from(quantity) * i128::from(10_000 - discount);
        prop_assert!(is_rounded_half_away(price.minor, numerator, 10_i128.pow(scale + 4)));
    }

    #[test]
    fn a_printed_amount_reads_back(minor in any::<i64>(), code in prop::sample::select(vec!["RUB", "JPY", "KWD", "CLF"])) {
        let money = Money::new(minor, Currency::parse(code).unwrap());
        prop_assert_eq!(Money::parse_major(&money.to_major_string(), money.currency), Ok(money));
        prop_assert_eq!(round_minor(money.to_decimal(), money.currency), Ok(minor));
    }

    #[test]
    fn adding_and_taking_away_never_loses_a_minor_unit(a in any::<i64>(), b in any::<i64>()) {
        match rub(a).add(rub(b)) {
            Ok(sum) => prop_assert_eq!(sum.sub(rub(b)), Ok(rub(a))),
            Err(error) => {
                prop_assert_eq!(error, MoneyError::Overflow);
                prop_assert!(i64::try_from(i128::from(a) + i128::from(b)).is_err());
            }
        }
    }
}
