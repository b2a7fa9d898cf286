use super::*;
use uuid::Uuid;

fn component(n: u128, minor: i64, currency: Currency) -> Component {
    Component {
        id: ComponentId(Uuid::from_u128(n)),
        code: format!("c{n}"),
        title: "Internet".into(),
        kind: ComponentKind::Recurring,
        unit_price: Money::new(minor, currency),
        prepayment_percent: 100,
        tax_category: "service".into(),
        product: ProductId(Uuid::from_u128(1)),
        included: Decimal::ZERO,
        min_quantity: None,
        max_quantity: None,
        metered: None,
    }
}

fn version(components: Vec<Component>) -> PlanVersion {
    PlanVersion {
        id: PlanVersionId(Uuid::from_u128(7)),
        plan: PlanId(Uuid::from_u128(5)),
        cadence: Cadence::Months(1),
        price_mode: PriceMode::Included,
        billing_day: BillingDay::Fixed(1),
        stub: StubPolicy::Prorate,
        components,
        successors: Vec::new(),
    }
}

#[test]
fn what_becomes_of_existing_subscribers_has_one_spelling() {
    for text in ["keep", "from:2027-01-01"] {
        assert_eq!(text.parse::<ExistingSubscribers>().map(|told| told.to_string()).as_deref(), Ok(text));
    }
    for text in ["", "from", "from:", "from:2027-1-1", "from:2027-02-30", "from:+2027-01-01", "Keep", "2027-01-01"] {
        assert!(text.parse::<ExistingSubscribers>().is_err(), "{text}");
    }
}

#[test]
fn included_units_cost_nothing_and_the_others_their_price() {
    let seats = Component { included: Decimal::from(2), ..component(1, 10_000, Currency::RUB) };
    let price = |quantity: i64| seats.price(seats.unit_price, Decimal::from(quantity), Decimal::ZERO).unwrap().minor;
    assert_eq!((price(0), price(1), price(2), price(3), price(10)), (0, 0, 0, 10_000, 80_000));
    let half = seats.price(seats.unit_price, Decimal::new(25, 1), Decimal::from(10)).unwrap();
    assert_eq!(half.minor, 4_500, "half a unit is left to pay, less a tenth");
}

#[test]
fn a_component_is_sold_within_its_bounds() {
    let bounded = |least: Option<i64>, most: Option<i64>| {
        version(vec![Component {
            min_quantity: least.map(Decimal::from),
            max_quantity: most.map(Decimal::from),
            ..component(1, 1, Currency::RUB)
        }])
    };
    let takes = |plan: &PlanVersion, quantity: i64| plan.takes(Decimal::from(quantity)).is_ok();
    let plan = bounded(Some(2), Some(5));
    assert!(plan.check().is_ok());
    assert!(!takes(&plan, 1) && takes(&plan, 2) && takes(&plan, 5) && !takes(&plan, 6));
    assert!(takes(&bounded(None, None), 1_000_000) && !takes(&bounded(Some(3), None), 2));
    let told = bounded(None, Some(5)).takes(Decimal::from(9)).unwrap_err().to_string();
    assert_eq!(told, "component \"c1\" is sold at most 5 times, not 9; choose such a quantity, or another plan");
    for wrong in [bounded(Some(5), Some(2)), bounded(Some(-1), None), bounded(None, Some(0))] {
        assert!(matches!(wrong.check(), Err(CatalogueError::Quantities(_))), "{wrong:?}");
    }
    let once = Component { kind: ComponentKind::SetUp, included: Decimal::ONE, ..component(1, 1, Currency::RUB) };
    assert!(matches!(version(vec![once]).check(), Err(CatalogueError::QuantitiesOfKind(_))));
}

#[test]
fn the_last_version_that_has_come_charges_a_renewal() {
    let later = |n: u128, from: &str| Successor {
        from: from.parse().unwrap(),
        version: Arc::new(PlanVersion { id: PlanVersionId(Uuid::from_u128(n)), ..version(Vec::new()) }),
    };
    // The third was made after the second and holds from an earlier day.
    let plan = PlanVersion { successors: vec![later(8, "2027-03-01"), later(9, "2027-02-01")], ..version(Vec::new()) };
    let on = |day: &str| plan.on(day.parse().unwrap()).id.0.as_u128();
    assert_eq!((on("2027-01-31"), on("2027-02-01"), on("2027-03-01")), (7, 9, 9));
    assert_eq!(plan.version(PlanVersionId(Uuid::from_u128(8))).map(|found| found.id.0.as_u128()), Some(8));
}

#[test]
fn a_billing_day_has_one_spelling() {
    assert_eq!("anniversary".parse(), Ok(BillingDay::Anniversary));
    assert_eq!("fixed:15".parse(), Ok(BillingDay::Fixed(15)));
    assert_eq!(BillingDay::Fixed(31).to_string(), "fixed:31");
    for text in ["fixed:0", "fixed:32", "fixed:015", "fixed:+1", "fixed", "fixed:", "15", ""] {
        assert!(text.parse::<BillingDay>().is_err(), "{text}");
    }
}

#[test]
fn policies_read_back_from_their_texts() {
    for text in ["anniversary", "anniversary:restore", "contract-aligned", "fixed:31"] {
        assert_eq!(text.parse::<BillingDay>().map(|day| day.to_string()).as_deref(), Ok(text));
    }
    for text in ["prorate", "free", "absorb:1", "absorb:31"] {
        assert_eq!(text.parse::<StubPolicy>().map(|stub| stub.to_string()).as_deref(), Ok(text));
    }
    for text in ["absorb", "absorb:0", "absorb:32", "absorb:016", "absorb:+1", "Free", ""] {
        assert!(text.parse::<StubPolicy>().is_err(), "{text}");
    }
}

#[test]
fn the_day_of_the_month_comes_from_the_policy() {
    let (started, signed): (NaiveDate, NaiveDate) = ("2026-01-30".parse().unwrap(), "2025-06-12".parse().unwrap());
    let day = |policy: BillingDay, months| policy.day_of_month(Cadence::Months(months), started, signed);
    assert_eq!(day(BillingDay::Anniversary, 1), None);
    assert_eq!(day(BillingDay::AnniversaryRestored, 1), Some(30));
    assert_eq!(day(BillingDay::AnniversaryRestored, 12), None);
    assert_eq!(day(BillingDay::Fixed(31), 3), Some(31));
    assert_eq!(day(BillingDay::ContractAligned, 1), Some(12));
}

#[test]
fn a_version_has_one_currency_and_no_negative_price() {
    let rub = Currency::RUB;
    assert_eq!(version(vec![component(1, 59_000, rub), component(2, 0, rub)]).check(), Ok(rub));
    assert_eq!(version(vec![]).check(), Err(CatalogueError::NoComponent));
    assert!(matches!(
        version(vec![component(1, 1, rub), component(2, 1, Currency::EUR)]).check(),
        Err(CatalogueError::MixedCurrencies { .. })
    ));
    assert!(matches!(version(vec![component(1, -1, rub)]).check(), Err(CatalogueError::NegativePrice { .. })));
    assert!(matches!(
        version(vec![component(1, 1, rub), component(1, 1, rub)]).check(),
        Err(CatalogueError::DuplicateComponent(_))
    ));
}

#[test]
fn what_is_metered_has_terms_and_no_other_price() {
    let terms = |meter| MeteredTerms {
        package: None,
        meter_id: crate::id::MeterId(Uuid::from_u128(meter)),
        included: Decimal::ZERO,
        model: crate::metered::TierModel::Graduated,
        tiers: vec![crate::metered::Tier { up_to: None, unit_price: Decimal::ONE }],
        volume_discounts: Vec::new(),
    };
    let metered = |n, meter, minor| Component {
        kind: ComponentKind::Metered,
        prepayment_percent: 0,
        metered: Some(terms(meter)),
        ..component(n, minor, Currency::RUB)
    };
    assert!(version(vec![metered(1, 1, 0), metered(2, 2, 0)]).check().is_ok());
    let without = Component { metered: None, ..metered(1, 1, 0) };
    let foreign = Component { metered: Some(terms(1)), ..component(1, 0, Currency::RUB) };
    let advanced = Component { prepayment_percent: 50, ..metered(1, 1, 0) };
    for wrong in [vec![without], vec![foreign], vec![advanced], vec![metered(1, 1, 5)]] {
        assert!(matches!(version(wrong.clone()).check(), Err(CatalogueError::Metered(_))), "{wrong:?}");
    }
    let twice = version(vec![metered(1, 1, 0), metered(2, 1, 0)]).check();
    assert_eq!(twice, Err(CatalogueError::Metered(MeteredError::MeterTwice)));
}

#[test]
fn a_fixed_day_of_the_month_needs_months() {
    let by_days = PlanVersion { cadence: Cadence::Days(30), ..version(vec![component(1, 1, Currency::RUB)]) };
    assert_eq!(by_days.check(), Err(CatalogueError::FixedDayOfDays(Cadence::Days(30))));
    let anniversary = PlanVersion { billing_day: BillingDay::Anniversary, ..by_days };
    assert!(anniversary.check().is_ok());
}
