use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const RUB: Currency = Currency::RUB;

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn terms(included: &str, model: TierModel, tiers: &[(Option<&str>, &str)]) -> MeteredTerms {
    MeteredTerms {
        package: None,
        meter_id: MeterId(Uuid::from_u128(1)),
        included: dec(included),
        model,
        tiers: tiers.iter().map(|(up_to, price)| Tier { up_to: up_to.map(dec), unit_price: dec(price) }).collect(),
        volume_discounts: Vec::new(),
    }
}

fn whole() -> Basis {
    Basis { quantity: Decimal::ONE, days: 30, of_days: 30, discount_percent: Decimal::ZERO }
}

fn minor(terms: &MeteredTerms, used: &str, basis: &Basis) -> i64 {
    terms.rate(dec(used), basis, RUB).unwrap().amount.minor
}

#[test]
fn the_worked_counter_comes_to_1368_roubles() {
    let discounted = MeteredTerms {
        volume_discounts: vec![VolumeDiscount { from: dec("50"), percent: dec("10") }],
        ..terms("10", TierModel::Graduated, &[(None, "16")])
    };
    assert_eq!(minor(&discounted, "105", &whole()), 136_800);
    let rated = discounted.rate(dec("105"), &whole(), RUB).unwrap();
    assert_eq!(rated.explanation, "105 used, 10 included: 95 × 16, less 10 %");
    // Below the threshold the discount does not hold.
    assert_eq!(minor(&discounted, "59.9", &whole()), 499 * 16 * 10);
}

#[test]
fn what_is_included_costs_nothing() {
    let included = terms("10", TierModel::Graduated, &[(None, "16")]);
    for used in ["0", "9.999999999", "10"] {
        assert_eq!(minor(&included, used, &whole()), 0, "{used}");
    }
    assert_eq!(minor(&included, "10.5", &whole()), 800);
}

#[test]
fn a_package_that_is_begun_is_paid_whole() {
    let sold =
        |size: &str| MeteredTerms { package: Some(dec(size)), ..terms("10", TierModel::Graduated, &[(None, "16")]) };
    for (used, packages) in [("0", 0), ("10", 0), ("10.000000001", 1), ("110", 1), ("110.5", 2), ("310", 3)] {
        assert_eq!(minor(&sold("100"), used, &whole()), packages * 1_600, "{used}");
    }
    let told = sold("100").rate(dec("250"), &whole(), RUB).unwrap();
    assert_eq!(
        (told.billable, told.explanation.as_str()),
        (dec("3"), "250 used, 10 included, in packages of 100: 3 × 16")
    );
    // Tiers count packages: the first two at 16, the others at 10.
    let tiers = [(Some("2"), "16"), (None, "10")];
    let tiered = MeteredTerms { package: Some(dec("100")), ..terms("0", TierModel::Graduated, &tiers) };
    assert_eq!(minor(&tiered, "301", &whole()), 2 * 1_600 + 2 * 1_000);
    assert!(tiered.check().is_ok());
    for size in ["0", "-1", "0.0000000001", "1000000000001"] {
        assert!(matches!(sold(size).check(), Err(MeteredError::Package(_))), "{size}");
    }
}

#[test]
fn graduated_tiers_price_each_unit_where_it_lies() {
    let tiers = [(Some("100"), "2"), (Some("500"), "1.5"), (None, "1")];
    let graduated = terms("0", TierModel::Graduated, &tiers);
    assert_eq!(minor(&graduated, "100", &whole()), 20_000);
    assert_eq!(minor(&graduated, "101", &whole()), 20_150);
    assert_eq!(minor(&graduated, "600", &whole()), 20_000 + 60_000 + 10_000);
}

#[test]
fn volume_tiers_price_all_units_where_the_last_lies() {
    let tiers = [(Some("100"), "2"), (Some("500"), "1.5"), (None, "1")];
    let volume = terms("0", TierModel::Volume, &tiers);
    assert_eq!(minor(&volume, "100", &whole()), 20_000);
    assert_eq!(minor(&volume, "101", &whole()), 15_150);
    assert_eq!(minor(&volume, "600", &whole()), 60_000);
}

#[test]
fn a_price_below_the_smallest_coin_is_rounded_once_for_the_line() {
    let tiny = terms("0", TierModel::Graduated, &[(Some("1"), "0.0049"), (None, "0.0049")]);
    // Each tier alone would round to nothing.
    assert_eq!(minor(&tiny, "2", &whole()), 1);
    assert_eq!(minor(&tiny, "1", &whole()), 0);
    assert_eq!(minor(&tiny, "1000000", &whole()), 490_000);
}

#[test]
fn a_part_of_the_days_has_its_part_of_what_is_included() {
    let graduated = terms("30", TierModel::Graduated, &[(Some("60"), "2"), (None, "1")]);
    let half = Basis { days: 15, ..whole() };
    // 15 included, 30 at 2, the rest at 1.
    assert_eq!(minor(&graduated, "50", &half), (30 * 2 + 5) * 100);
    let double = Basis { quantity: dec("2"), ..whole() };
    assert_eq!(minor(&graduated, "200", &double), (120 * 2 + 20) * 100);
}

#[test]
fn the_subscriptions_own_discount_follows_the_volumes() {
    let discounted = MeteredTerms {
        volume_discounts: vec![VolumeDiscount { from: Decimal::ZERO, percent: dec("10") }],
        ..terms("0", TierModel::Graduated, &[(None, "1")])
    };
    assert_eq!(minor(&discounted, "100", &Basis { discount_percent: dec("50"), ..whole() }), 4_500);
}

#[test]
fn a_quantity_is_plain_digits_of_nine_decimals_at_most() {
    assert_eq!(Quantity::parse("1.5"), Ok(Quantity { units: 1, nanos: 500_000_000 }));
    assert_eq!(Quantity::parse("0.000000001").map(Quantity::to_decimal), Ok(dec("0.000000001")));
    assert_eq!(Quantity::parse("1000000000000").map(|found| found.units), Ok(LARGEST_QUANTITY));
    for text in ["", "-1", "+1", "1e3", ".5", "1.", "1.0000000001", "1000000000000.1", "1000000000001", "1 0", "٣"] {
        assert!(Quantity::parse(text).is_err(), "{text}");
    }
}

#[test]
fn terms_that_cannot_be_sold_are_refused() {
    assert!(terms("0", TierModel::Graduated, &[(None, "1")]).check().is_ok());
    assert!(terms("0", TierModel::Volume, &[(Some("1"), "1"), (Some("2"), "1"), (None, "0")]).check().is_ok());
    for wrong in [
        terms("0", TierModel::Graduated, &[]),
        terms("-1", TierModel::Graduated, &[(None, "1")]),
        terms("0", TierModel::Graduated, &[(None, "-1")]),
        terms("0", TierModel::Graduated, &[(None, "0.0000001")]),
        terms("0", TierModel::Graduated, &[(Some("1"), "1")]),
        terms("0", TierModel::Graduated, &[(None, "1"), (None, "1")]),
        terms("0", TierModel::Graduated, &[(Some("2"), "1"), (Some("2"), "1"), (None, "1")]),
        terms("0", TierModel::Graduated, &[(Some("0"), "1"), (None, "1")]),
        MeteredTerms {
            volume_discounts: vec![VolumeDiscount { from: Decimal::ONE, percent: dec("101") }],
            ..terms("0", TierModel::Graduated, &[(None, "1")])
        },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}

#[test]
fn an_average_of_nothing_is_nothing() {
    let none = Figures {
        events: 0,
        sum: Decimal::ZERO,
        max: Decimal::ZERO,
        min: Decimal::ZERO,
        last: Decimal::ZERO,
        items: 0,
        advanced: Decimal::ZERO,
    };
    for aggregation in Aggregation::ALL {
        assert_eq!(none.used(*aggregation), Ok(Decimal::ZERO));
    }
    let some = Figures {
        events: 3,
        sum: dec("10"),
        max: dec("7"),
        min: dec("1"),
        last: dec("2"),
        items: 2,
        advanced: dec("4.5"),
    };
    assert_eq!(some.used(Aggregation::Average), Ok(dec("3.333333333")));
    assert_eq!(some.used(Aggregation::Unique), Ok(dec("2")));
    assert_eq!(some.used(Aggregation::Difference), Ok(dec("4.5")));
}

/// Tiers of rising bounds with prices of up to four decimals.
fn any_tiers() -> impl Strategy<Value = Vec<Tier>> {
    (prop::collection::vec((1_i64..5_000, 0_i64..100_000), 0..5), 0_i64..100_000).prop_map(|(steps, last)| {
        let mut bound = 0;
        let mut tiers: Vec<Tier> = steps
            .into_iter()
            .map(|(step, price)| {
                bound += step;
                Tier { up_to: Some(Decimal::from(bound)), unit_price: Decimal::new(price, 4) }
            })
            .collect();
        tiers.push(Tier { up_to: None, unit_price: Decimal::new(last, 4) });
        tiers
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_parts_of_graduated_tiers_sum_to_what_is_billed(
        tiers in any_tiers(), included in 0_i64..1_000, used in 0_i64..30_000_000, days in 1_i64..=30,
    ) {
        let terms = MeteredTerms { tiers, ..terms(&included.to_string(), TierModel::Graduated, &[(None, "1")]) };
        let used = Decimal::new(used, 3);
        let rated = terms.rate(used, &Basis { days, ..whole() }, RUB).unwrap();
        let sum: Decimal = rated.parts.iter().map(|(quantity, _)| *quantity).sum();
        prop_assert_eq!(sum, rated.billable);
        prop_assert!(rated.billable <= used);
        prop_assert!(rated.amount.minor >= 0);
    }

    #[test]
    fn more_use_never_costs_less_in_graduated_tiers(
        tiers in any_tiers(), included in 0_i64..1_000, used in 0_i64..30_000_000, more in 0_i64..1_000_000,
    ) {
        let terms = MeteredTerms { tiers, ..terms(&included.to_string(), TierModel::Graduated, &[(None, "1")]) };
        let price = |thousandths: i64| terms.rate(Decimal::new(thousandths, 3), &whole(), RUB).unwrap().amount.minor;
        prop_assert!(price(used) <= price(used + more));
    }

    #[test]
    fn one_tier_costs_the_same_in_both_models(price in 0_i64..100_000, used in 0_i64..30_000_000) {
        let tiers = vec![Tier { up_to: None, unit_price: Decimal::new(price, 4) }];
        let of = |model| {
            let terms = MeteredTerms { tiers: tiers.clone(), ..terms("3", model, &[(None, "1")]) };
            terms.rate(Decimal::new(used, 3), &whole(), RUB).unwrap().amount
        };
        prop_assert_eq!(of(TierModel::Graduated), of(TierModel::Volume));
    }

    #[test]
    fn a_quantity_reads_back_from_its_text(units in 0_i64..LARGEST_QUANTITY, nanos in 0_i32..1_000_000_000) {
        let quantity = Quantity { units, nanos };
        prop_assert_eq!(Quantity::parse(&quantity.to_decimal().to_string()), Ok(quantity));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn packages_hold_all_units_and_none_is_needless(units in 0_i64..1_000_000_000_000, size in 1_i64..1_000_000_000_000) {
        let (units, size) = (Decimal::new(units, 9), Decimal::new(size, 9));
        let count = packages(units, size).unwrap();
        prop_assert!(count.fract().is_zero() && count * size >= units);
        prop_assert!(count.is_zero() || (count - Decimal::ONE) * size < units);
    }
}

fn reading(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

#[test]
fn a_counter_is_billed_from_its_first_reading_to_its_highest() {
    let span = |earliest_us, earliest, highest| Readings {
        earliest_us,
        earliest: reading(earliest),
        highest: reading(highest),
    };
    let (advanced, november) = Counter::advance(None, &span(10, "100", "150.5"));
    assert_eq!(advanced, dec("50.5"), "the first reading is where it stood");
    let (advanced, december) = Counter::advance(Some(november), &span(40, "160", "180"));
    assert_eq!(advanced, dec("29.5"), "from the last reading of the month before");
    let (advanced, still) = Counter::advance(Some(december), &span(25, "155", "155"));
    assert_eq!((advanced, still), (Decimal::ZERO, december), "a reading between two that are billed");
    let (advanced, from_the_start) = Counter::advance(Some(december), &span(1, "90", "90"));
    assert_eq!(advanced, dec("10"), "a reading before the first");
    assert_eq!(from_the_start.range(), dec("90"));
}

proptest! {
    #[test]
    fn in_whatever_order_readings_are_billed_the_whole_range_is_billed_once(
        steps in prop::collection::vec((0_i64..1_000, 0_i32..1_000_000_000), 2..30),
        order in any::<u64>(),
        spans in 1_usize..8,
    ) {
        let mut stood = Quantity::ZERO;
        let rising: Vec<(i64, Quantity)> = steps.iter().enumerate().map(|(at, (units, nanos))| {
            let sum = i64::from(stood.nanos) + i64::from(*nanos);
            let (carry, nanos) = (sum / 1_000_000_000, i32::try_from(sum % 1_000_000_000).unwrap());
            stood = Quantity { units: stood.units + units + carry, nanos };
            (i64::try_from(at).unwrap(), stood)
        }).collect();
        let mut parts: Vec<&[(i64, Quantity)]> = rising.chunks(rising.len().div_ceil(spans)).collect();
        // Any order of the spans: rotated, and turned round by the lowest bit.
        let by = usize::try_from(order >> 1).unwrap_or(0) % parts.len();
        parts.rotate_left(by);
        if order & 1 == 1 {
            parts.reverse();
        }
        let mut counter = None;
        let mut billed = Decimal::ZERO;
        for part in parts {
            let readings = Readings { earliest_us: part[0].0, earliest: part[0].1, highest: part[part.len() - 1].1 };
            for repeated in 0..2 {
                let (advanced, after) = Counter::advance(counter, &readings);
                prop_assert!(!advanced.is_sign_negative());
                prop_assert!(repeated == 0 || advanced.is_zero());
                billed += advanced;
                counter = Some(after);
            }
        }
        prop_assert_eq!(billed, rising[rising.len() - 1].1.to_decimal() - rising[0].1.to_decimal());
    }
}
