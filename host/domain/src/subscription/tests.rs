use super::*;
use crate::catalogue::{BillingDay, Component, ComponentKind, Successor};
use crate::id::PlanId;
use crate::money::Currency;
use crate::tax::PriceMode;
use chrono::Days;
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn span(start: &str, end: &str) -> Period {
    Period::try_new(day(start), day(end)).unwrap()
}

fn plan(cadence: Cadence, billing_day: BillingDay, components: u128) -> PlanVersion {
    let component = |n: u128| Component {
        id: ComponentId(Uuid::from_u128(100 + n)),
        code: format!("c{n}"),
        title: format!("Service {n}"),
        kind: ComponentKind::Recurring,
        unit_price: Money::new(59_000, Currency::RUB),
        prepayment_percent: 100,
        tax_category: "service".into(),
        product: ProductId(Uuid::from_u128(1)),
        included: Decimal::ZERO,
        min_quantity: None,
        max_quantity: None,
        metered: None,
    };
    PlanVersion {
        id: PlanVersionId(Uuid::from_u128(7)),
        plan: PlanId(Uuid::from_u128(3)),
        cadence,
        price_mode: PriceMode::Included,
        billing_day,
        stub: StubPolicy::Prorate,
        components: (0..components).map(component).collect(),
        successors: Vec::new(),
    }
}

fn first(starts_on: NaiveDate, plan: &PlanVersion) -> Schedule {
    let day = plan.billing_day.day_of_month(plan.cadence, starts_on, starts_on);
    Schedule::first(starts_on, plan.cadence, day).unwrap()
}

fn subscribed(starts_on: &str, plan: &PlanVersion) -> Subscription {
    let starts_on = day(starts_on);
    let schedule = first(starts_on, plan);
    Subscription {
        id: SubscriptionId(Uuid::from_u128(5)),
        contract: ContractId(Uuid::from_u128(4)),
        plan_version: plan.id,
        status: SubscriptionStatus::Active,
        quantity: Decimal::ONE,
        discount: Discount::default(),
        anchor_on: schedule.anchor_on,
        next_index: schedule.next_index,
        starts_on,
        terms_from: starts_on,
        ends_on: None,
        next_charge_on: starts_on,
        charges_left: None,
        once_due: true,
        manual: false,
        overrides: Vec::new(),
        version: 1,
    }
}

fn renewed(subscription: &Subscription, due: &Due) -> Subscription {
    Subscription {
        status: due.next.status,
        next_index: due.next.next_index,
        next_charge_on: due.next.next_charge_on,
        charges_left: due.next.charges_left,
        once_due: due.next.once_due,
        version: subscription.version + 1,
        ..subscription.clone()
    }
}

fn monthly(starts_on: &str, billing_day: BillingDay) -> (Subscription, PlanVersion) {
    let plan = plan(Cadence::Months(1), billing_day, 1);
    (subscribed(starts_on, &plan), plan)
}

fn periods(due: &Due) -> Vec<(Period, Period)> {
    due.lines.iter().map(|line| (line.period, line.used)).collect()
}

#[test]
fn an_anniversary_counts_from_the_first_day() {
    let (subscription, plan) = monthly("2026-01-31", BillingDay::Anniversary);
    let due = due(&subscription, &plan, day("2026-03-31"), 100).unwrap();
    let expected =
        [span("2026-01-31", "2026-02-28"), span("2026-02-28", "2026-03-31"), span("2026-03-31", "2026-04-30")];
    assert_eq!(periods(&due), expected.map(|p| (p, p)));
    assert_eq!(due.next.next_charge_on, day("2026-04-30"));
}

#[test]
fn the_first_period_of_a_fixed_day_is_a_stub_of_a_reference_period() {
    let (subscription, plan) = monthly("2026-02-10", BillingDay::Fixed(31));
    assert_eq!((subscription.anchor_on, subscription.next_index), (day("2026-01-31"), 0));
    let due = due(&subscription, &plan, day("2026-03-31"), 100).unwrap();
    assert_eq!(
        periods(&due),
        [
            (span("2026-01-31", "2026-02-28"), span("2026-02-10", "2026-02-28")),
            (span("2026-02-28", "2026-03-31"), span("2026-02-28", "2026-03-31")),
            (span("2026-03-31", "2026-04-30"), span("2026-03-31", "2026-04-30")),
        ]
    );
    assert_eq!(due.lines[0].charged_on, day("2026-02-10"));
    assert_eq!(due.lines[0].realises_on, day("2026-02-28"));
    assert_eq!(due.lines[0].price, Money::new(59_000, Currency::RUB), "the price is of the full period");
}

#[test]
fn a_fixed_day_is_anchored_in_a_month_that_has_it() {
    for (starts_on, months, fixed, anchor, index) in [
        ("2026-02-28", 1, 31, "2026-01-31", 1),
        ("2026-02-27", 1, 31, "2026-01-31", 0),
        ("2026-04-30", 1, 31, "2026-03-31", 1),
        ("2026-03-01", 1, 30, "2026-01-30", 1),
        ("2026-03-01", 1, 15, "2026-02-15", 0),
        ("2026-01-10", 1, 15, "2025-12-15", 0),
        ("2026-05-20", 3, 31, "2026-01-31", 1),
        ("2026-03-05", 12, 30, "2024-02-29", 2),
        ("2026-05-05", 12, 31, "2026-04-30", 0),
        ("2026-03-05", 6, 31, "2025-08-31", 1),
    ] {
        let found = Schedule::first(day(starts_on), Cadence::Months(months), Some(fixed)).unwrap();
        let expected = Schedule { anchor_on: day(anchor), next_index: index };
        assert_eq!(found, expected, "from {starts_on} every {months} months on the {fixed}.");
    }
    assert_eq!(
        Schedule::first(day("2026-01-01"), Cadence::Days(30), Some(1)),
        Err(SubscriptionError::FixedDayOfDays(Cadence::Days(30)))
    );
}

#[test]
fn an_imported_subscription_renews_on_its_renewal_date() {
    let (subscription, plan) = monthly("2020-05-05", BillingDay::Anniversary);
    let schedule = Schedule::imported(day("2026-11-17"), Cadence::Months(1), None).unwrap();
    let imported = Subscription {
        anchor_on: schedule.anchor_on,
        next_index: schedule.next_index,
        next_charge_on: day("2026-11-17"),
        ..subscription
    };
    assert!(due(&imported, &plan, day("2026-11-16"), 100).unwrap().lines.is_empty());
    let due = due(&imported, &plan, day("2026-11-17"), 100).unwrap();
    assert_eq!(periods(&due), [(span("2026-11-17", "2026-12-17"), span("2026-11-17", "2026-12-17"))]);
}

#[test]
fn nothing_falls_due_before_the_charge_date() {
    let (subscription, plan) = monthly("2026-12-05", BillingDay::Fixed(1));
    let early = due(&subscription, &plan, day("2026-12-04"), 100).unwrap();
    assert!(early.lines.is_empty());
    assert_eq!(early.next.next_charge_on, day("2026-12-05"));
    assert!(early.is_complete(day("2026-12-04")));
    assert_eq!(due(&subscription, &plan, day("2026-12-05"), 100).unwrap().lines.len(), 1);
}

#[test]
fn one_line_set_per_missed_period_and_component() {
    let plan = plan(Cadence::Months(1), BillingDay::Fixed(1), 2);
    let subscription = subscribed("2026-08-01", &plan);
    let all = due(&subscription, &plan, day("2026-11-01"), 100).unwrap();
    assert_eq!(all.lines.iter().map(|l| l.component_index).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1, 0, 1]);
    let cut = due(&subscription, &plan, day("2026-11-01"), 3).unwrap();
    assert_eq!(cut.lines, all.lines[..6]);
    assert!(!cut.is_complete(day("2026-11-01")));
    let rest = due(&renewed(&subscription, &cut), &plan, day("2026-11-01"), 3).unwrap();
    assert_eq!(rest.lines, all.lines[6..]);
    assert!(rest.is_complete(day("2026-11-01")));
}

#[test]
fn a_subscription_is_completed_when_its_last_charged_period_is_over() {
    let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
    let counted = Subscription { charges_left: Some(2), ..subscription };
    let first = due(&counted, &plan, day("2026-08-01"), 100).unwrap();
    assert_eq!((first.next.charges_left, first.next.status), (Some(1), SubscriptionStatus::Active));
    let last = due(&counted, &plan, day("2026-09-30"), 100).unwrap();
    assert_eq!((last.next.charges_left, last.next.status), (Some(0), SubscriptionStatus::Active), "it is served");
    assert_eq!(last.next.next_charge_on, day("2026-10-01"));
    let all = due(&counted, &plan, day("2026-12-31"), 100).unwrap();
    assert_eq!(all.lines.len(), 2);
    assert_eq!((all.next.charges_left, all.next.status), (Some(0), SubscriptionStatus::Completed));
    assert!(due(&renewed(&counted, &all), &plan, day("2027-12-31"), 100).unwrap().lines.is_empty());
}

#[test]
fn the_end_cuts_the_last_period_and_cancels_when_it_has_come() {
    let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
    let ending = Subscription { ends_on: Some(day("2026-09-16")), ..subscription };
    let before = due(&ending, &plan, day("2026-09-15"), 100).unwrap();
    assert_eq!(
        periods(&before),
        [
            (span("2026-08-01", "2026-09-01"), span("2026-08-01", "2026-09-01")),
            (span("2026-09-01", "2026-10-01"), span("2026-09-01", "2026-09-16")),
        ]
    );
    assert_eq!(before.lines[1].realises_on, day("2026-09-16"));
    assert_eq!(before.next.status, SubscriptionStatus::Active);
    assert_eq!(before.next.next_charge_on, day("2026-09-16"), "the next event is the end");
    let after = due(&renewed(&ending, &before), &plan, day("2026-09-16"), 100).unwrap();
    assert!(after.lines.is_empty());
    assert_eq!(after.next.status, SubscriptionStatus::Cancelled);
}

#[test]
fn an_end_on_a_boundary_leaves_no_empty_period() {
    let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
    let ending = Subscription { ends_on: Some(day("2026-09-01")), ..subscription };
    let due = due(&ending, &plan, day("2026-09-01"), 100).unwrap();
    assert_eq!(periods(&due), [(span("2026-08-01", "2026-09-01"), span("2026-08-01", "2026-09-01"))]);
    assert_eq!(due.next.status, SubscriptionStatus::Cancelled);
}

#[test]
fn only_a_subscription_in_service_is_charged() {
    use SubscriptionStatus::{Active, Cancelled, Completed, Deleted, Grace, Pending, Stopped};
    let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
    for (status, lines) in
        [(Pending, 0), (Active, 1), (Grace, 1), (Stopped, 0), (Deleted, 0), (Cancelled, 0), (Completed, 0)]
    {
        let subscription = Subscription { status, ..subscription.clone() };
        let due = due(&subscription, &plan, day("2026-08-01"), 100).unwrap();
        assert_eq!((due.lines.len(), due.next.status), (lines, status));
    }
}

#[test]
fn quantity_and_discount_are_in_the_price() {
    let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
    let discount = Discount::percent(Decimal::from(10));
    let three = Subscription { quantity: Decimal::from(3), discount, ..subscription };
    assert_eq!(due(&three, &plan, day("2026-08-01"), 1).unwrap().lines[0].price.minor, 159_300);
}

#[test]
fn a_dated_discount_holds_on_both_its_ends() {
    let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
    let discount = Discount {
        from: Some(day("2026-09-01")),
        until: Some(day("2026-10-01")),
        ..Discount::percent(Decimal::from(10))
    };
    let discounted = Subscription { discount, ..subscription };
    let lines = due(&discounted, &plan, day("2026-11-01"), 9).unwrap().lines;
    assert_eq!(lines.iter().map(|line| line.price.minor).collect::<Vec<_>>(), [59_000, 53_100, 53_100, 59_000]);
}

#[test]
fn a_sum_comes_off_the_components_in_their_order_and_never_below_zero() {
    let plan = plan(Cadence::Months(1), BillingDay::Anniversary, 3);
    let discount = Discount { minor: 100_000, ..Discount::default() };
    let discounted = Subscription { discount, ..subscribed("2026-08-01", &plan) };
    let lines = due(&discounted, &plan, day("2026-08-01"), 9).unwrap().lines;
    assert_eq!(lines.iter().map(|line| line.price.minor).collect::<Vec<_>>(), [0, 18_000, 59_000]);
}

/// A monthly plan of a device, a connection fee and what recurs, in this order.
fn with_once(billing_day: BillingDay) -> PlanVersion {
    let mut plan = plan(Cadence::Months(1), billing_day, 3);
    plan.components[0].kind = ComponentKind::OneOff;
    plan.components[1].kind = ComponentKind::SetUp;
    plan
}

#[test]
fn a_sum_comes_off_what_recurs_and_off_nothing_that_is_charged_once() {
    let plan = with_once(BillingDay::Anniversary);
    let discount = Discount { minor: 100_000, ..Discount::default() };
    let discounted = Subscription { discount, ..subscribed("2026-08-01", &plan) };
    let found = due(&discounted, &plan, day("2026-09-01"), 9).unwrap();
    assert_eq!(prices(&found), [59_000, 59_000, 0, 0]);
    assert_eq!(period_price(&discounted, &plan, 1, true).unwrap().minor, 0);
}

#[test]
fn what_is_charged_once_comes_with_the_first_period_that_is_charged_and_never_again() {
    let plan = with_once(BillingDay::Fixed(1));
    let fresh = subscribed("2026-08-10", &plan);
    let found = due(&fresh, &plan, day("2026-09-01"), 9).unwrap();
    let told: Vec<(usize, Period)> = found.lines.iter().map(|line| (line.component_index, line.used)).collect();
    let once = span("2026-08-10", "2026-08-11");
    assert_eq!(
        told,
        [(0, once), (1, once), (2, span("2026-08-10", "2026-09-01")), (2, span("2026-09-01", "2026-10-01"))]
    );
    assert!(!found.next.once_due);
    assert_eq!(period_price(&fresh, &plan, fresh.next_index, true).unwrap().minor, 3 * 59_000);
    assert_eq!(period_price(&fresh, &plan, fresh.next_index + 1, true).unwrap().minor, 59_000);
    // What other books charged is not charged again; and a first period that comes late has it all the same.
    let taken_over = Subscription { once_due: false, ..fresh.clone() };
    assert_eq!(due(&taken_over, &plan, day("2026-08-31"), 9).unwrap().lines.len(), 1);
    let late = Subscription { terms_from: day("2026-08-20"), next_charge_on: day("2026-08-20"), ..fresh };
    assert_eq!(due(&late, &plan, day("2026-08-31"), 9).unwrap().lines[0].used, span("2026-08-20", "2026-08-21"));
}

#[test]
fn a_free_stub_frees_what_recurs_and_nothing_that_is_charged_once() {
    let plan = PlanVersion { stub: StubPolicy::Free, ..with_once(BillingDay::Fixed(1)) };
    let found = due(&subscribed("2026-08-10", &plan), &plan, day("2026-08-31"), 9).unwrap();
    assert_eq!(prices(&found), [59_000, 59_000, 0]);
}

#[test]
fn who_returns_in_the_middle_of_a_period_has_no_stub_policy_again() {
    for stub in [StubPolicy::Free, StubPolicy::Absorb(1)] {
        let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
        let plan = PlanVersion { stub, ..plan };
        let charged = renewed(&subscription, &due(&subscription, &plan, day("2026-08-01"), 9).unwrap());
        let returned = Subscription { terms_from: day("2026-09-10"), next_charge_on: day("2026-09-10"), ..charged };
        let found = due(&returned, &plan, day("2026-09-10"), 9).unwrap();
        assert_eq!(periods(&found), [(span("2026-09-01", "2026-10-01"), span("2026-09-10", "2026-10-01"))]);
        assert_eq!(prices(&found), [59_000]);
    }
}

#[test]
fn an_imported_subscription_keeps_the_day_of_the_month_that_its_plan_has() {
    let anchored = |renews_on: &str, months, fixed| {
        let found = Schedule::imported(day(renews_on), Cadence::Months(months), fixed).unwrap();
        (found.anchor_on.to_string(), found.next_index)
    };
    assert_eq!(anchored("2026-02-28", 1, Some(31)), ("2026-01-31".to_owned(), 1), "renews on 31 March next");
    assert_eq!(anchored("2026-02-28", 1, Some(28)), ("2026-02-28".to_owned(), 0));
    assert_eq!(anchored("2026-05-31", 3, Some(31)), ("2026-05-31".to_owned(), 0));
    assert_eq!(anchored("2026-02-17", 1, Some(1)), ("2026-02-17".to_owned(), 0), "the day of the other books");
}

#[test]
fn what_is_charged_again_has_the_discount_that_held_when_it_was_charged() {
    let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
    let discount = Discount { until: Some(day("2026-08-10")), ..Discount::percent(Decimal::from(50)) };
    let changed =
        Subscription { discount, terms_from: day("2026-08-20"), next_charge_on: day("2026-08-20"), ..subscription };
    let again = due_again(&changed, &plan, day("2026-09-01")).unwrap();
    assert_eq!(prices(&again), [29_500, 59_000]);
}

#[test]
fn a_free_stub_is_charged_with_zero_and_only_the_first() {
    let (subscription, plan) = monthly("2026-02-10", BillingDay::Fixed(31));
    let plan = PlanVersion { stub: StubPolicy::Free, ..plan };
    let found = due(&subscription, &plan, day("2026-03-31"), 100).unwrap();
    assert_eq!(found.lines.iter().map(|line| line.price.minor).collect::<Vec<_>>(), [0, 59_000, 59_000]);
    let whole =
        Subscription { starts_on: day("2026-02-28"), terms_from: day("2026-02-28"), next_index: 1, ..subscription };
    let found = due(&whole, &plan, day("2026-02-28"), 100).unwrap();
    assert_eq!(found.lines[0].price.minor, 59_000, "a whole first period is no stub");
}

#[test]
fn a_stub_from_the_cut_off_day_on_takes_the_next_period_along() {
    for (starts_on, lines) in [("2026-02-15", 1), ("2026-02-16", 2)] {
        let (subscription, plan) = monthly(starts_on, BillingDay::Fixed(1));
        let plan = PlanVersion { stub: StubPolicy::Absorb(16), ..plan };
        let subscription = Subscription { charges_left: Some(2), ..subscription };
        let found = due(&subscription, &plan, day(starts_on), 100).unwrap();
        assert_eq!(found.lines.len(), lines, "{starts_on}");
        assert!(found.lines.iter().all(|line| line.charged_on == day(starts_on)));
        assert_eq!(found.next.charges_left, Some(1), "it is one charge");
        let next = if lines == 2 { "2026-04-01" } else { "2026-03-01" };
        assert_eq!(found.next.next_charge_on, day(next));
    }
}

#[test]
fn a_foreign_plan_version_or_a_schedule_out_of_step_is_an_error() {
    let (subscription, plan) = monthly("2026-08-01", BillingDay::Fixed(1));
    let other = PlanVersion { id: PlanVersionId(Uuid::from_u128(8)), ..plan.clone() };
    assert!(matches!(due(&subscription, &other, day("2026-08-01"), 1), Err(SubscriptionError::PlanVersion { .. })));
    let behind = Subscription { next_index: -1, ..subscription };
    assert!(matches!(due(&behind, &plan, day("2026-08-01"), 1), Err(SubscriptionError::OutOfStep { .. })));
}

fn any_start() -> impl Strategy<Value = NaiveDate> {
    (0_u64..3_000).prop_map(|days| day("2023-01-01").checked_add_days(Days::new(days)).unwrap())
}

fn any_plan() -> impl Strategy<Value = PlanVersion> {
    let stub =
        prop_oneof![Just(StubPolicy::Prorate), Just(StubPolicy::Free), (1_u8..=31).prop_map(StubPolicy::Absorb),];
    (any_unstubbed_plan(), stub).prop_map(|(plan, stub)| PlanVersion { stub, ..plan })
}

fn any_unstubbed_plan() -> impl Strategy<Value = PlanVersion> {
    let months = prop::sample::select(vec![1_u16, 2, 3, 6, 12]).prop_map(Cadence::Months);
    prop_oneof![
        (1_u16..=100).prop_map(|n| plan(Cadence::Days(n), BillingDay::Anniversary, 1)),
        months.clone().prop_map(|cadence| plan(cadence, BillingDay::Anniversary, 2)),
        (months, 1_u8..=31).prop_map(|(cadence, fixed)| plan(cadence, BillingDay::Fixed(fixed), 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn the_first_period_contains_the_first_day(starts_on in any_start(), plan in any_plan()) {
        let first = first(starts_on, &plan);
        prop_assert!(period(first.anchor_on, plan.cadence, first.next_index).unwrap().contains(starts_on));
    }

    #[test]
    fn coverage_is_gapless_and_any_split_gives_the_same_lines(
        starts_on in any_start(),
        plan in any_plan(),
        steps in prop::collection::vec(0_u64..200, 1..6),
        length in prop::option::of(0_u64..500),
        charges_left in prop::option::of(0_u32..20),
        max_periods in 1_usize..5,
    ) {
        let start = Subscription {
            ends_on: length.map(|days| starts_on.checked_add_days(Days::new(days)).unwrap()),
            charges_left,
            ..subscribed(&starts_on.to_string(), &plan)
        };
        let through = starts_on.checked_add_days(Days::new(steps.iter().sum())).unwrap();
        let once = due(&start, &plan, through, usize::MAX).unwrap();
        prop_assert!(once.is_complete(through));

        let (mut current, mut lines, mut today) = (start.clone(), Vec::new(), starts_on);
        for step in &steps {
            today = today.checked_add_days(Days::new(*step)).unwrap();
            loop {
                let part = due(&current, &plan, today, max_periods).unwrap();
                current = renewed(&current, &part);
                lines.extend(part.lines.clone());
                if part.is_complete(today) {
                    break;
                }
            }
        }
        prop_assert_eq!(&lines, &once.lines);
        prop_assert_eq!(current.status, once.next.status);
        prop_assert_eq!(current.next_index, once.next.next_index);
        prop_assert_eq!(current.charges_left, once.next.charges_left);

        for component in 0..plan.components.len() {
            let used: Vec<Period> =
                lines.iter().filter(|l| l.component_index == component).map(|l| l.used).collect();
            prop_assert!(used.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert!(used.first().is_none_or(|first| first.start == starts_on));
            if let (Some(last), None) = (used.last(), charges_left) {
                let reached = current.ends_on.map_or(through, |end| end.min(through));
                prop_assert!(last.end > reached || Some(last.end) == current.ends_on);
            }
        }
    }
}

/// A later version at another price, which takes subscribers over from a day on.
fn later(plan: &PlanVersion, n: u128, minor: i64, from: &str) -> Successor {
    let mut version = PlanVersion { id: PlanVersionId(Uuid::from_u128(n)), successors: Vec::new(), ..plan.clone() };
    for component in &mut version.components {
        component.id = ComponentId(Uuid::from_u128(n * 100));
        component.unit_price = Money::new(minor, Currency::RUB);
    }
    Successor { from: day(from), version: Arc::new(version) }
}

fn prices(due: &Due) -> Vec<i64> {
    due.lines.iter().map(|line| line.price.minor).collect()
}

#[test]
fn a_renewal_goes_over_to_the_version_that_has_come_by_its_first_day() {
    let mut plan = plan(Cadence::Months(1), BillingDay::Anniversary, 1);
    plan.successors = vec![later(&plan, 8, 65_000, "2027-02-15"), later(&plan, 9, 70_000, "2027-04-10")];
    let subscription = subscribed("2027-01-10", &plan);
    let found = due(&subscription, &plan, day("2027-05-09"), 100).unwrap();
    // The period from 10 February began before the day, and is not cut.
    assert_eq!(prices(&found), [59_000, 59_000, 65_000, 70_000]);
    let moves: Vec<_> =
        found.moves.iter().map(|moved| (moved.on, moved.to.0.as_u128(), moved.index, moved.lines_before)).collect();
    assert_eq!(moves, [(day("2027-03-10"), 8, 2, 2), (day("2027-04-10"), 9, 3, 3)]);

    // One period at a time it is the same, from the version that the last one went over to.
    let mut current = subscription;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let mut version = plan.version(current.plan_version).unwrap().clone();
        version.successors = plan.successors.iter().filter(|later| later.version.id > version.id).cloned().collect();
        let step = due(&current, &version, day("2027-05-09"), 1).unwrap();
        seen.extend(prices(&step));
        let to = step.moves.last().map_or(current.plan_version, |moved| moved.to);
        current = Subscription { plan_version: to, ..renewed(&current, &step) };
    }
    assert_eq!(seen, prices(&found));
}

#[test]
fn the_first_period_and_days_sold_before_keep_their_version() {
    let mut plan = plan(Cadence::Months(1), BillingDay::Anniversary, 1);
    plan.successors = vec![later(&plan, 8, 65_000, "2027-01-01")];
    let subscription = subscribed("2027-01-10", &plan);
    let found = due(&subscription, &plan, day("2027-02-10"), 100).unwrap();
    assert_eq!(prices(&found), [59_000, 65_000]);
    let again = due_again(&subscription, &plan, day("2027-02-10")).unwrap();
    assert_eq!((prices(&again), again.moves.len()), (vec![59_000, 59_000], 0));
    let next = |index| period_price(&subscription, &plan, index, false).unwrap().minor;
    assert_eq!((next(0), next(1)), (59_000, 65_000));
}

#[test]
fn a_price_of_its_own_holds_for_periods_that_begin_within_its_days() {
    let plan = plan(Cadence::Months(1), BillingDay::Fixed(1), 1);
    let own = |minor, from: &str, until: Option<&str>| PriceOverride {
        plan: plan.plan,
        component: "c0".into(),
        unit_price: Money::new(minor, Currency::RUB),
        from: day(from),
        until: until.map(day),
    };
    let foreign = PriceOverride { plan: PlanId(Uuid::from_u128(99)), ..own(1, "2026-01-01", None) };
    let other = PriceOverride { component: "c1".into(), ..own(1, "2026-01-01", None) };
    let overrides =
        vec![foreign, other, own(40_000, "2027-01-20", Some("2027-03-01")), own(30_000, "2027-04-02", None)];
    // Service begins on the 20th of a period that began on the 1st: the day of service decides.
    let subscription = Subscription { overrides, quantity: Decimal::from(2), ..subscribed("2027-01-20", &plan) };
    let found = due(&subscription, &plan, day("2027-05-01"), 100).unwrap();
    assert_eq!(prices(&found), [80_000, 80_000, 118_000, 118_000, 60_000]);
}
