use super::*;
use crate::id::Id;
use crate::money::Currency;
use uuid::Uuid;

fn rub(minor: i64) -> Money {
    Money::new(minor, Currency::RUB)
}

fn id<T: Id>(n: u128) -> T {
    T::from_uuid(Uuid::from_u128(n))
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn line(component: u128) -> PlanLine {
    let november = Period::try_new(day("2026-11-01"), day("2026-12-01")).unwrap();
    PlanLine {
        subscription: id(5),
        component: id(component),
        product: id(8),
        kind: ChargeKind::Recurring,
        prepayment_percent: 100,
        period: november,
        used: november,
        charged_on: november.start,
        realises_on: november.end,
        amount: rub(59_000),
        net: rub(48_361),
        tax: rub(10_639),
        gross: rub(59_000),
        tax_code: "vat22".into(),
        tax_rate: Some(Decimal::from(22)),
        title: "Интернет 100".into(),
        proration_explanation: "30 of 30 days".into(),
        usage: None,
    }
}

fn plan(lines: Vec<PlanLine>) -> ContractPlan {
    let totals = totals(Currency::RUB, lines.iter().map(PlanLine::amounts)).unwrap();
    ContractPlan {
        contract: id(4),
        contract_version: 3,
        subscriptions: vec![SubscriptionPin { subscription: id(5), version: 2 }],
        plugins: vec![
            PluginPin { world: World::ProrationStrategy, component: Digest([1; 32]), config: Digest([2; 32]) },
            PluginPin { world: World::TaxRule, component: Digest([3; 32]), config: Digest([4; 32]) },
        ],
        issued_on: day("2026-11-01"),
        lines,
        totals,
        realisations: vec![],
        withheld: vec![],
        moves: vec![],
        orders: vec![],
        credits: vec![],
    }
}

fn realisation(charge: Option<u128>, gross: i64) -> PlanRealisation {
    PlanRealisation {
        charge: charge.map(id),
        product: id(8),
        tax_code: "vat22".into(),
        realises_on: day("2026-10-31"),
        net: rub(gross),
        tax: rub(0),
        gross: rub(gross),
        prepaid: rub(gross / 2),
        credited: rub(1),
    }
}

#[test]
fn what_is_given_back_is_part_of_the_hash_and_of_the_bound() {
    let credit = |gross| PlanCredit {
        charge: id(7),
        subscription: id(5),
        usage: LineUsage { window: id(6), billings: 1, events: 3, used: Decimal::from(4) },
        net: rub(gross),
        tax: rub(0),
        gross: rub(gross),
        reason: "fell".into(),
    };
    let with = |credits| ContractPlan { credits, ..plan(vec![line(6)]) };
    let hashes =
        [vec![], vec![credit(5)], vec![credit(6)], vec![credit(5), credit(5)]].map(|credits| plan_hash(&with(credits)));
    assert_eq!(hashes.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    let bounds = SafetyBounds { max_lines_per_contract_day: 2, ..SafetyBounds::default() };
    assert!(check_bounds(&with(vec![credit(5)]), day("2026-11-01"), &bounds).is_ok());
    assert!(check_bounds(&with(vec![credit(5), credit(6)]), day("2026-11-01"), &bounds).is_err());
}

#[test]
fn what_is_withheld_is_part_of_the_hash_and_what_is_available_is_not() {
    let withheld = |outcome, available| PlanWithheld {
        subscription: id(5),
        policy: ShortFunds::Retry,
        outcome,
        from: day("2026-11-01"),
        until: day("2026-12-01"),
        needed: rub(59_000),
        available: rub(available),
    };
    let with = |withheld| ContractPlan { withheld, ..plan(vec![line(6)]) };
    let waits = with(vec![withheld(WithheldOutcome::Waits, 10)]);
    assert_ne!(plan_hash(&waits), plan_hash(&plan(vec![line(6)])));
    assert_ne!(plan_hash(&waits), plan_hash(&with(vec![withheld(WithheldOutcome::Skipped, 10)])));
    assert_eq!(plan_hash(&waits), plan_hash(&with(vec![withheld(WithheldOutcome::Waits, 20)])));
    let told = difference(&plan(vec![line(6)]), &waits);
    assert!(told.iter().any(|told| told.contains("is missing")), "{told:?}");
}

#[test]
fn a_version_that_is_gone_over_to_is_part_of_the_hash() {
    let moved = |to| PlanMove { subscription: id(5), on: day("2026-11-01"), from: id(7), to: id(to) };
    let with = |to| ContractPlan { moves: vec![moved(to)], ..plan(vec![line(6)]) };
    assert_ne!(plan_hash(&with(8)), plan_hash(&plan(vec![line(6)])));
    assert_ne!(plan_hash(&with(8)), plan_hash(&with(9)));
    let told = difference(&plan(vec![line(6)]), &with(8));
    assert!(told.iter().any(|told| told.contains("goes over to")), "{told:?}");
}

#[test]
fn the_hash_of_a_known_plan_never_changes() {
    // Computed from the description of the encoding by another program.
    let expected = "4cb1d7961138e83a464b1c81337cd8dfc24988cd12eec5541444ece560d1435a";
    assert_eq!(Digest(plan_hash(&plan(vec![line(6)]))).to_string(), expected);
    let realising = ContractPlan { realisations: vec![realisation(Some(7), 500)], ..plan(vec![line(6)]) };
    let expected = "29dc7657bac07fb1f21158bf0bd7e3d7f1968e5d0ccdc55fb38f7f24557be2ab";
    assert_eq!(Digest(plan_hash(&realising)).to_string(), expected);
}

#[test]
fn what_is_realised_is_a_part_of_the_hash_and_of_the_difference() {
    let with = |realisations| ContractPlan { realisations, ..plan(vec![line(6)]) };
    let old = with(vec![realisation(Some(7), 500)]);
    for (new, told) in [
        (
            with(vec![realisation(Some(7), 400)]),
            "realisation of chg_00000000000000000000000000000007: 5.00 RUB → 4.00 RUB",
        ),
        (with(vec![]), "chg_00000000000000000000000000000007 is no longer to be realised"),
        (with(vec![realisation(None, 500)]), "chg_00000000000000000000000000000007 is no longer to be realised"),
    ] {
        assert_ne!(plan_hash(&old), plan_hash(&new));
        assert_eq!(difference(&old, &new), [told]);
    }
    assert_eq!(old.realised().unwrap().gross, rub(500));
}

#[test]
fn the_prepayment_of_a_plan_is_the_sum_of_its_lines_prepayments() {
    let third = PlanLine { prepayment_percent: 33, ..line(6) };
    let none = PlanLine { prepayment_percent: 0, ..line(7) };
    assert_eq!(plan(vec![third, none, line(8)]).prepaid(), Ok(rub(19_470 + 59_000)));
}

type Change = (&'static str, fn(&mut ContractPlan));

#[test]
fn the_hash_covers_every_field() {
    let base = plan(vec![line(6), line(7)]);
    let changes: Vec<Change> = vec![
        ("contract", |p| p.contract = id(9)),
        ("contract version", |p| p.contract_version = 4),
        ("subscription", |p| p.subscriptions[0].subscription = id(9)),
        ("subscription version", |p| p.subscriptions[0].version = 9),
        ("no subscription", |p| p.subscriptions.clear()),
        ("world", |p| p.plugins[1].world = World::NumberingScheme),
        ("component digest", |p| p.plugins[0].component = Digest([9; 32])),
        ("config digest", |p| p.plugins[0].config = Digest([9; 32])),
        ("no plugin", |p| p.plugins.clear()),
        ("issue date", |p| p.issued_on = day("2026-11-02")),
        ("line order", |p| p.lines.reverse()),
        ("line count", |p| p.lines.truncate(1)),
        ("subscription of a line", |p| p.lines[0].subscription = id(9)),
        ("component", |p| p.lines[0].component = id(9)),
        ("product", |p| p.lines[0].product = id(9)),
        ("period", |p| p.lines[0].period.end = day("2026-12-02")),
        ("used", |p| p.lines[0].used.start = day("2026-11-02")),
        ("charged on", |p| p.lines[0].charged_on = day("2026-11-02")),
        ("realises on", |p| p.lines[0].realises_on = day("2026-11-02")),
        ("amount", |p| p.lines[0].amount.minor += 1),
        ("net", |p| p.lines[0].net.minor += 1),
        ("tax", |p| p.lines[0].tax.minor += 1),
        ("gross", |p| p.lines[0].gross.minor += 1),
        ("currency", |p| p.lines[0].gross.currency = Currency::EUR),
        ("tax code", |p| p.lines[0].tax_code = "vat20".into()),
        ("tax rate", |p| p.lines[0].tax_rate = Some(Decimal::from(20))),
        ("no tax rate", |p| p.lines[0].tax_rate = None),
        ("title", |p| p.lines[0].title = "x".into()),
        ("explanation", |p| p.lines[0].proration_explanation = "x".into()),
        ("use", |p| p.lines[0].usage = Some(used(3))),
        ("more use", |p| p.lines[0].usage = Some(used(4))),
        ("totals", |p| p.totals.gross.minor += 1),
    ];
    let mut hashes = vec![plan_hash(&base)];
    for (what, change) in changes {
        let mut changed = base.clone();
        change(&mut changed);
        let hash = plan_hash(&changed);
        assert!(!hashes.contains(&hash), "{what} is not covered");
        assert!(!difference(&base, &changed).is_empty(), "{what} is not told");
        hashes.push(hash);
    }
}

fn used(events: i64) -> LineUsage {
    LineUsage { window: UsageWindowId(Uuid::from_u128(7)), billings: 0, events, used: Decimal::from(events) }
}

#[test]
fn windows_of_one_period_are_no_charge_twice() {
    let on = day("2026-11-01");
    let of = |window: u128| {
        let usage = LineUsage { window: UsageWindowId(Uuid::from_u128(window)), ..used(1) };
        PlanLine { usage: Some(usage), ..line(6) }
    };
    let bounds = SafetyBounds::default();
    assert!(check_bounds(&plan(vec![line(6), of(1), of(2)]), on, &bounds).is_ok());
    let twice = check_bounds(&plan(vec![of(1), of(1)]), on, &bounds);
    assert!(matches!(twice, Err(BoundTripped::ChargedTwice { .. })));
}

#[test]
fn the_hash_reads_a_rate_by_its_value() {
    let mut other = plan(vec![line(6)]);
    other.lines[0].tax_rate = Some("22.00".parse().unwrap());
    assert_eq!(plan_hash(&other), plan_hash(&plan(vec![line(6)])));
}

#[test]
fn moving_text_between_fields_changes_the_hash() {
    let with = |title: &str, explanation: &str| {
        plan_hash(&plan(vec![PlanLine { title: title.into(), proration_explanation: explanation.into(), ..line(6) }]))
    };
    assert_ne!(with("ab", "c"), with("a", "bc"));
}

#[test]
fn a_difference_reads_like_a_sentence() {
    let old = plan(vec![line(6), line(7)]);
    let dearer = PlanLine { amount: rub(60_000), net: rub(49_180), tax: rub(10_820), gross: rub(60_000), ..line(6) };
    let new = ContractPlan { contract_version: 4, ..plan(vec![dearer, PlanLine { title: "TV".into(), ..line(9) }]) };
    let sub = "sub_00000000000000000000000000000005";
    assert_eq!(
        difference(&old, &new),
        [
            "contract version: 3 → 4".to_owned(),
            format!("line \"Интернет 100\" [2026-11-01, 2026-12-01) of {sub}, amount: 590.00 RUB → 600.00 RUB"),
            format!("line \"Интернет 100\" [2026-11-01, 2026-12-01) of {sub}, net: 483.61 RUB → 491.80 RUB"),
            format!("line \"Интернет 100\" [2026-11-01, 2026-12-01) of {sub}, tax: 106.39 RUB → 108.20 RUB"),
            format!("line \"Интернет 100\" [2026-11-01, 2026-12-01) of {sub}, gross: 590.00 RUB → 600.00 RUB"),
            format!("line \"Интернет 100\" [2026-11-01, 2026-12-01) of {sub} is gone: 590.00 RUB"),
            format!("line \"TV\" [2026-11-01, 2026-12-01) of {sub} is new: 590.00 RUB"),
            "total net: 967.22 RUB → 975.41 RUB".to_owned(),
            "total tax: 212.78 RUB → 214.59 RUB".to_owned(),
            "total gross: 1180.00 RUB → 1190.00 RUB".to_owned(),
        ]
    );
    assert!(difference(&old, &old).is_empty());
}

#[test]
fn a_plan_reads_back_from_json_with_its_hash() {
    let plan = plan(vec![line(6)]);
    let json = serde_json::to_string(&plan).unwrap();
    let back: ContractPlan = serde_json::from_str(&json).unwrap();
    assert_eq!(back, plan);
    assert_eq!(plan_hash(&back), plan_hash(&plan));
}

#[test]
fn no_component_is_charged_twice_for_one_period() {
    let on = day("2026-11-01");
    let bounds = SafetyBounds::default();
    assert_eq!(check_bounds(&plan(vec![line(6), line(7)]), on, &bounds), Ok(()));
    assert!(matches!(check_bounds(&plan(vec![line(6), line(6)]), on, &bounds), Err(BoundTripped::ChargedTwice { .. })));
}

#[test]
fn a_plan_has_a_bounded_number_of_lines() {
    let bounds = SafetyBounds { max_lines_per_contract_day: 2, ..SafetyBounds::default() };
    let on = day("2026-11-01");
    assert_eq!(check_bounds(&plan(vec![line(1), line(2)]), on, &bounds), Ok(()));
    assert_eq!(
        check_bounds(&plan(vec![line(1), line(2), line(3)]), on, &bounds),
        Err(BoundTripped::TooManyLines { lines: 3, bound: 2 })
    );
}

#[test]
fn nothing_is_charged_further_ahead_than_the_bound() {
    let bounds = SafetyBounds { max_months_ahead: 1, ..SafetyBounds::default() };
    assert_eq!(check_bounds(&plan(vec![line(6)]), day("2026-11-01"), &bounds), Ok(()));
    assert!(matches!(
        check_bounds(&plan(vec![line(6)]), day("2026-10-31"), &bounds),
        Err(BoundTripped::TooFarAhead { .. })
    ));
}

#[test]
fn a_finished_plan_stays_as_it_is() {
    for next in PlanState::ALL {
        assert!(!PlanState::Done.may_become(*next));
        assert!(!PlanState::Rejected.may_become(*next));
    }
    for next in RunState::ALL {
        assert!(!RunState::Done.may_become(*next));
        assert!(!RunState::Cancelled.may_become(*next));
    }
    assert!(PlanState::Awaiting.may_become(PlanState::Approved));
    assert!(!PlanState::Awaiting.may_become(PlanState::Executing), "an unconfirmed plan is not executed");
    assert!(PlanState::Parked.may_become(PlanState::Computing), "a parked plan may be tried again");
    assert!(!RunState::Executing.may_become(RunState::Cancelled), "what is half done is finished");
}

#[test]
fn states_and_modes_have_one_text_everywhere() {
    assert_eq!(RunMode::WithConfirmation.as_str(), "with-confirmation");
    for state in PlanState::ALL {
        assert_eq!(state.as_str().parse().as_ref(), Ok(state));
    }
    for state in RunState::ALL {
        assert_eq!(state.as_str().parse().as_ref(), Ok(state));
    }
}

#[test]
fn a_digest_has_one_spelling() {
    let text = "ab".repeat(32);
    assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
    for text in ["ab".repeat(31), "AB".repeat(32), "xy".repeat(32)] {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}
