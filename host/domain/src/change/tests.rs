use super::*;
use crate::calendar::Cadence;
use crate::catalogue::{BillingDay, Component, ComponentKind, StubPolicy};
use crate::charge::{CreditAmount, Creditable};
use crate::id::{ContractId, PlanId, ProductId, SubscriptionId};
use crate::money::{Currency, Money, percent_included, ratio};
use crate::proration::{self, Share};
use crate::tax::PriceMode;
use proptest::prelude::*;
use uuid::Uuid;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn span(start: &str, end: &str) -> Period {
    Period::try_new(day(start), day(end)).unwrap()
}

fn rub(minor: i64) -> Money {
    Money::new(minor, Currency::RUB)
}

fn plan(n: u128, cadence: Cadence, billing_day: BillingDay, prices: &[i64]) -> PlanVersion {
    let component = |(place, price): (usize, &i64)| Component {
        id: ComponentId(Uuid::from_u128(n * 100 + place as u128)),
        code: format!("c{place}"),
        title: format!("Service {place}"),
        kind: ComponentKind::Recurring,
        unit_price: rub(*price),
        prepayment_percent: 100,
        tax_category: "service".into(),
        product: ProductId(Uuid::from_u128(if n == 9 { 2 } else { 1 })),
        included: Decimal::ZERO,
        min_quantity: None,
        max_quantity: None,
        metered: None,
    };
    PlanVersion {
        id: PlanVersionId(Uuid::from_u128(n)),
        plan: PlanId(Uuid::from_u128(3)),
        cadence,
        price_mode: PriceMode::Included,
        billing_day,
        stub: StubPolicy::Prorate,
        components: prices.iter().enumerate().map(component).collect(),
        successors: Vec::new(),
    }
}

fn monthly(n: u128, price: i64) -> PlanVersion {
    plan(n, Cadence::Months(1), BillingDay::Anniversary, &[price])
}

fn subscribed(starts_on: &str, plan: &PlanVersion) -> Subscription {
    let starts_on = day(starts_on);
    let day = plan.billing_day.day_of_month(plan.cadence, starts_on, starts_on);
    let schedule = Schedule::first(starts_on, plan.cadence, day).unwrap();
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

/// A subscription with everything it was charged and given back.
#[derive(Clone)]
struct World {
    subscription: Subscription,
    plan: PlanVersion,
    charges: Vec<Covered>,
    uncovered: Vec<Period>,
}

impl World {
    fn new(starts_on: &str, plan: PlanVersion) -> Self {
        let subscription = subscribed(starts_on, &plan);
        Self { subscription, plan, charges: Vec::new(), uncovered: Vec::new() }
    }

    /// The billing run of a day.
    fn bill(&mut self, through: NaiveDate) {
        let found = due(&self.subscription, &self.plan, through, usize::MAX).unwrap();
        found.lines.iter().for_each(|line| self.charge(line, CurrentDay::New));
        let next = found.next;
        self.subscription.status = next.status;
        self.subscription.next_index = next.next_index;
        self.subscription.next_charge_on = next.next_charge_on;
        self.subscription.charges_left = next.charges_left;
        self.subscription.once_due = next.once_due;
    }

    fn charge(&mut self, line: &DueLine, current_day: CurrentDay) {
        let question = Question {
            line: String::new(),
            price: line.price,
            period: line.period,
            used: line.used,
            current_day,
            billed: rub(0),
            credited: rub(0),
        };
        let gross = shared(&question).used;
        let tax = percent_included(gross, Decimal::from(22)).unwrap();
        self.charges.push(Covered {
            charge: ChargeId(Uuid::from_u128(1_000 + self.charges.len() as u128)),
            component: line.component,
            used: line.used,
            until: line.used.end,
            billed: Amounts { net: gross.sub(tax).unwrap(), tax, gross },
            credited: Amounts::zero(Currency::RUB),
        });
    }

    fn decide(&self, order: &Order<'_>, on: &str, current_day: CurrentDay) -> Result<Decision, ChangeError> {
        let facts = Facts {
            subscription: &self.subscription,
            plan: &self.plan,
            covered: &self.charges,
            signed_on: self.subscription.starts_on,
        };
        decide(&facts, order, day(on), current_day)
    }

    fn execute(&mut self, decision: &Decision, plan: &PlanVersion, current_day: CurrentDay) -> i64 {
        let mut given_back = 0;
        for credit in &decision.credits {
            let charge = self.charges.iter_mut().find(|charge| charge.charge == credit.charge).unwrap();
            let creditable = Creditable {
                charged: charge.billed,
                credited: charge.credited,
                prepaid: charge.billed.gross,
                realised: false,
            };
            let amount = match &credit.ask {
                Ask::Whole => CreditAmount::Rest,
                Ask::Share(question) => CreditAmount::Gross(shared(question).credit),
            };
            let amounts = creditable.credit(amount).unwrap().amounts;
            assert!(amounts.net.minor >= 0 && amounts.tax.minor >= 0 && amounts.gross.minor >= 0, "{amounts:?}");
            assert_eq!(amounts.net.add(amounts.tax), Ok(amounts.gross));
            charge.credited.net = charge.credited.net.add(amounts.net).unwrap();
            charge.credited.tax = charge.credited.tax.add(amounts.tax).unwrap();
            charge.credited.gross = charge.credited.gross.add(amounts.gross).unwrap();
            assert_eq!(credit.days.end, charge.until, "a credit takes the end of what is covered");
            charge.until = credit.days.start;
            given_back += amounts.gross.minor;
        }
        self.plan = plan.clone();
        for line in &decision.lines {
            let policy = if line.used.start == decision.on { current_day } else { CurrentDay::New };
            self.charge(line, policy);
        }
        self.subscription = decision.terms.applied(&self.subscription);
        self.uncovered.extend(decision.gift.iter().chain(&decision.gap));
        given_back
    }

    /// Every promise of the module about what stands.
    fn check(&self) {
        for charge in &self.charges {
            let (billed, credited) = (charge.billed, charge.credited);
            for (billed, credited) in
                [(billed.net, credited.net), (billed.tax, credited.tax), (billed.gross, credited.gross)]
            {
                assert!((0..=billed.minor).contains(&credited.minor), "{charge:?}");
            }
            if charge.until == charge.used.start {
                // Given back whole, but for the one day that the old side may pay for.
                let left = billed.gross.minor - credited.gross.minor;
                assert!(left <= billed.gross.minor / charge.used.days() + 1, "{charge:?}");
            }
        }
        // One component of each period tells the coverage of all.
        let mut spans: Vec<(NaiveDate, NaiveDate)> = self
            .charges
            .iter()
            .filter(|charge| charge.component.0.as_u128() % 100 == 0 && charge.used.start < charge.until)
            .map(|charge| (charge.used.start, charge.until))
            .chain(self.uncovered.iter().map(|days| (days.start, days.end)))
            .collect();
        spans.sort_unstable();
        for pair in spans.windows(2) {
            assert_eq!(pair[0].1, pair[1].0, "coverage is disjoint and gapless: {spans:?}");
        }
        assert!(spans.first().is_none_or(|first| first.0 == self.subscription.starts_on), "{spans:?}");
        // What was paused when it was cancelled is accounted for up to its end, charged or not.
        let ended = self.subscription.ends_on.filter(|_| self.subscription.status == SubscriptionStatus::Cancelled);
        let end = ended.unwrap_or_else(|| charged_until(&self.subscription, &self.plan).unwrap());
        assert!(spans.last().is_none_or(|last| last.1 == end), "{spans:?} up to {end}");
    }
}

/// The ratio of days with the policy of the current day, checked as the host checks a plugin.
fn shared(question: &Question) -> Share {
    let (days, whole) = (question.used.days(), question.period.days());
    let (late, early) = (question.used.start > question.period.start, question.used.end < question.period.end);
    let (old, new) = match question.current_day {
        CurrentDay::Old => (1, 1),
        CurrentDay::New => (0, 0),
        CurrentDay::Both => (1, 0),
        CurrentDay::Neither => (0, 1),
    };
    let days = (days + i64::from(early) * old - i64::from(late) * new).clamp(0, whole);
    let basis = question.basis().unwrap();
    let total = if question.billed.is_zero() { question.price } else { question.billed };
    let used = if question.used == question.period {
        basis
    } else {
        rub(ratio(total.minor, days, whole).unwrap().min(basis.minor))
    };
    let credit = if question.billed.is_zero() { rub(0) } else { basis.sub(used).unwrap() };
    let share = Share { line: question.line.clone(), used, credit, explanation: String::new() };
    assert_eq!(proration::check(question, &share), Ok(()), "{question:?}");
    share
}

#[test]
fn an_upgrade_in_the_middle_gives_the_rest_back_and_charges_it_anew() {
    let (old, new) = (monthly(1, 31_000), monthly(2, 62_000));
    let mut world = World::new("2026-01-01", old);
    world.bill(day("2026-01-01"));
    let decision = world.decide(&Order::ChangePlan(&new, None), "2026-01-11", CurrentDay::New).unwrap();
    assert_eq!(decision.credits.len(), 1);
    assert_eq!(decision.credits[0].days, span("2026-01-11", "2026-02-01"));
    assert_eq!(decision.lines.iter().map(|line| line.used).collect::<Vec<_>>(), [span("2026-01-11", "2026-02-01")]);
    assert_eq!(decision.lines[0].period, span("2026-01-01", "2026-02-01"), "the schedule stays");
    assert_eq!(world.execute(&decision, &new, CurrentDay::New), 21_000);
    assert_eq!(world.charges[1].billed.gross, rub(42_000));
    assert_eq!(world.subscription.next_charge_on, day("2026-02-01"));
    world.check();
}

#[test]
fn the_day_of_a_change_is_paid_by_whom_the_policy_says() {
    for (policy, back, anew) in [
        (CurrentDay::Old, 20_000, 40_000),
        (CurrentDay::New, 21_000, 42_000),
        (CurrentDay::Both, 20_000, 42_000),
        (CurrentDay::Neither, 21_000, 40_000),
    ] {
        let (old, new) = (monthly(1, 31_000), monthly(2, 62_000));
        let mut world = World::new("2026-01-01", old);
        world.bill(day("2026-01-01"));
        let decision = world.decide(&Order::ChangePlan(&new, None), "2026-01-11", policy).unwrap();
        assert_eq!(world.execute(&decision, &new, policy), back, "{policy}");
        assert_eq!(world.charges[1].billed.gross, rub(anew), "{policy}");
    }
}

#[test]
fn a_cancelled_subscription_gives_back_paid_periods_whole_and_the_running_one_in_part() {
    let old = monthly(1, 31_000);
    let mut world = World::new("2026-01-01", old.clone());
    world.bill(day("2026-01-01"));
    let renewal = world.decide(&Order::Renew, "2026-01-05", CurrentDay::New).unwrap();
    assert_eq!(renewal.lines[0].used, span("2026-02-01", "2026-03-01"));
    world.execute(&renewal, &old, CurrentDay::New);
    world.check();
    let decision = world.decide(&Order::Cancel, "2026-01-16", CurrentDay::New).unwrap();
    assert_eq!(decision.credits.iter().map(|c| c.ask == Ask::Whole).collect::<Vec<_>>(), [false, true]);
    assert_eq!(world.execute(&decision, &old, CurrentDay::New), 16_000 + 31_000);
    assert_eq!(world.subscription.status, SubscriptionStatus::Cancelled);
    world.check();
}

#[test]
fn a_subscription_that_ends_on_its_first_day_costs_that_day_only_if_the_old_side_pays_it() {
    for (policy, back) in [
        (CurrentDay::Old, 30_000),
        (CurrentDay::Both, 30_000),
        (CurrentDay::New, 31_000),
        (CurrentDay::Neither, 31_000),
    ] {
        let plan = monthly(1, 31_000);
        let mut world = World::new("2026-01-01", plan.clone());
        world.bill(day("2026-01-01"));
        let decision = world.decide(&Order::Cancel, "2026-01-01", policy).unwrap();
        assert_eq!(world.execute(&decision, &plan, policy), back, "{policy}");
    }
}

#[test]
fn a_subscription_that_has_not_begun_ends_without_a_trace() {
    let plan = monthly(1, 31_000);
    let world = World::new("2026-05-01", plan);
    let decision = world.decide(&Order::Cancel, "2026-01-01", CurrentDay::New).unwrap();
    assert_eq!(
        (decision.on, decision.credits.len(), decision.terms.ends_on),
        (day("2026-05-01"), 0, Some(decision.on))
    );
}

#[test]
fn a_year_instead_of_a_month_begins_on_the_day_of_the_change_and_comes_back_by_the_policy() {
    let year = plan(2, Cadence::Months(12), BillingDay::Anniversary, &[360_000]);
    for (billing_day, anchor, charged) in [
        (BillingDay::Anniversary, "2027-04-10", span("2027-04-10", "2027-05-10")),
        (BillingDay::AnniversaryRestored, "2027-03-31", span("2027-04-10", "2027-04-30")),
    ] {
        let month = plan(1, Cadence::Months(1), billing_day, &[31_000]);
        let mut world = World::new("2026-01-31", month.clone());
        world.bill(day("2026-03-31"));
        let decision = world.decide(&Order::ChangePlan(&year, None), "2026-04-10", CurrentDay::New).unwrap();
        assert_eq!(decision.lines[0].used, span("2026-04-10", "2027-04-10"));
        world.execute(&decision, &year, CurrentDay::New);
        world.check();
        let back = world.decide(&Order::ChangePlan(&month, None), "2027-04-10", CurrentDay::New).unwrap();
        assert!(back.lines.is_empty() && back.credits.is_empty(), "the run charges what begins behind a boundary");
        world.execute(&back, &month, CurrentDay::New);
        world.bill(day("2027-04-10"));
        assert_eq!(world.subscription.anchor_on, day(anchor), "{billing_day}");
        assert_eq!(world.charges.last().unwrap().used, charged, "{billing_day}");
        world.check();
    }
}

#[test]
fn another_billing_day_makes_one_short_period() {
    let plan = monthly(1, 31_000);
    let mut world = World::new("2026-01-10", plan.clone());
    world.bill(day("2026-01-10"));
    let at_the_end = world.decide(&Order::ChangeBillingDay(1), "2026-02-10", CurrentDay::New).unwrap();
    assert!(at_the_end.credits.is_empty());
    world.execute(&at_the_end, &plan, CurrentDay::New);
    world.bill(day("2026-04-01"));
    let used: Vec<Period> = world.charges.iter().map(|charge| charge.used).collect();
    let expected = [
        ("2026-01-10", "2026-02-10"),
        ("2026-02-10", "2026-03-01"),
        ("2026-03-01", "2026-04-01"),
        ("2026-04-01", "2026-05-01"),
    ];
    assert_eq!(used, expected.map(|(start, end)| span(start, end)));
    assert!(matches!(
        world.decide(&Order::ChangeBillingDay(1), "2026-04-05", CurrentDay::New),
        Err(ChangeError::Nothing(_))
    ));
    world.check();
}

#[test]
fn a_pause_is_neither_served_nor_charged_and_the_schedule_goes_on() {
    let plan = monthly(1, 31_000);
    let mut world = World::new("2026-01-01", plan.clone());
    world.bill(day("2026-01-01"));
    let pause = world.decide(&Order::Pause, "2026-01-11", CurrentDay::New).unwrap();
    assert_eq!(world.execute(&pause, &plan, CurrentDay::New), 21_000);
    world.bill(day("2026-03-15"));
    assert_eq!(world.charges.len(), 1, "nothing falls due");
    world.check();
    let resume = world.decide(&Order::Resume, "2026-03-17", CurrentDay::New).unwrap();
    world.execute(&resume, &plan, CurrentDay::New);
    world.bill(day("2026-04-01"));
    let used: Vec<Period> = world.charges[1..].iter().map(|charge| charge.used).collect();
    assert_eq!(used, [span("2026-03-17", "2026-04-01"), span("2026-04-01", "2026-05-01")]);
    assert_eq!(world.charges[1].billed.gross, rub(15_000));
    world.check();
}

#[test]
fn a_pause_takes_no_charge_from_those_that_are_left() {
    let plan = monthly(1, 31_000);
    let mut world = World::new("2026-01-01", plan.clone());
    world.subscription.charges_left = Some(3);
    world.bill(day("2026-01-01"));
    assert_eq!(world.subscription.charges_left, Some(2));
    for (pause, resume) in [("2026-01-11", "2026-01-21"), ("2026-01-25", "2026-03-10")] {
        let paused = world.decide(&Order::Pause, pause, CurrentDay::New).unwrap();
        world.execute(&paused, &plan, CurrentDay::New);
        assert_eq!(world.subscription.charges_left, Some(3), "the running period's rest is charged again");
        let resumed = world.decide(&Order::Resume, resume, CurrentDay::New).unwrap();
        world.execute(&resumed, &plan, CurrentDay::New);
        world.bill(day(resume));
        assert_eq!(world.subscription.charges_left, Some(2));
    }
    world.bill(day("2026-12-31"));
    assert_eq!(world.subscription.status, SubscriptionStatus::Completed);
    assert_eq!(world.charges.last().unwrap().used, span("2026-05-01", "2026-06-01"));
    world.check();
}

#[test]
fn another_schedule_counts_its_first_period_instead_of_the_one_that_it_cuts() {
    let plan = monthly(1, 31_000);
    let mut world = World::new("2026-01-01", plan.clone());
    world.subscription.charges_left = Some(3);
    world.bill(day("2026-01-01"));
    let decision = world.decide(&Order::ChangeBillingDay(15), "2026-01-20", CurrentDay::New).unwrap();
    assert_eq!(decision.terms.charges_left, Some(2));
    assert_eq!(decision.terms.status, SubscriptionStatus::Active);
}

#[test]
fn all_charges_made_leave_nothing_to_renew() {
    let plan = monthly(1, 31_000);
    let mut world = World::new("2026-01-01", plan);
    world.subscription.charges_left = Some(1);
    world.bill(day("2026-01-01"));
    let renewed = world.decide(&Order::Renew, "2026-01-10", CurrentDay::New);
    assert!(matches!(renewed, Err(ChangeError::Nothing(_))), "{renewed:?}");
}

#[test]
fn a_gift_or_a_gap_leaves_the_day_of_the_month_where_it_was() {
    for order in [Order::Prolong(5), Order::Shift(5)] {
        let plan = plan(1, Cadence::Months(1), BillingDay::Fixed(31), &[31_000]);
        let mut world = World::new("2026-01-31", plan.clone());
        world.bill(day("2026-01-31"));
        let decision = world.decide(&order, "2026-02-01", CurrentDay::New).unwrap();
        world.execute(&decision, &plan, CurrentDay::New);
        world.bill(day("2026-04-30"));
        let used: Vec<Period> = world.charges.iter().map(|charge| charge.used).collect();
        assert_eq!(
            used,
            [
                span("2026-01-31", "2026-02-28"),
                span("2026-03-05", "2026-03-31"),
                span("2026-03-31", "2026-04-30"),
                span("2026-04-30", "2026-05-31"),
            ]
        );
        world.check();
    }
}

#[test]
fn a_gift_is_covered_and_a_gap_is_not_served_and_both_move_the_next_charge() {
    let plan = monthly(1, 31_000);
    for (order, gift, gap) in [
        (Order::Prolong(5), Some(span("2026-02-01", "2026-02-06")), None),
        (Order::Shift(5), None, Some(span("2026-02-01", "2026-02-06"))),
    ] {
        let mut world = World::new("2026-01-01", plan.clone());
        world.bill(day("2026-01-01"));
        let decision = world.decide(&order, "2026-01-20", CurrentDay::New).unwrap();
        assert_eq!((decision.gift, decision.gap), (gift, gap));
        world.execute(&decision, &plan, CurrentDay::New);
        world.bill(day("2026-02-06"));
        assert_eq!(world.charges[1].used, span("2026-02-06", "2026-03-06"));
        world.check();
    }
}

#[test]
fn a_manual_subscription_that_has_lapsed_is_renewed_from_the_day() {
    let plan = monthly(1, 31_000);
    let mut world = World::new("2026-01-01", plan.clone());
    world.bill(day("2026-01-01"));
    world.subscription.manual = true;
    let decision = world.decide(&Order::Renew, "2026-02-10", CurrentDay::New).unwrap();
    assert_eq!(decision.lines[0].used, span("2026-02-10", "2026-03-10"));
    assert_eq!(decision.gap, Some(span("2026-02-01", "2026-02-10")));
    world.execute(&decision, &plan, CurrentDay::New);
    world.check();
    world.subscription.manual = false;
    let early = world.decide(&Order::Renew, "2026-03-11", CurrentDay::New);
    assert_eq!(early, Err(ChangeError::Unbilled(day("2026-03-10"))));
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let plan = monthly(1, 31_000);
    let mut world = World::new("2026-01-01", plan.clone());
    let quantity = Order::ChangeQuantity(Decimal::TWO);
    assert_eq!(
        world.decide(&quantity, "2026-01-05", CurrentDay::New),
        Err(ChangeError::Unbilled(day("2026-01-01"))),
        "not charged yet"
    );
    world.bill(day("2026-01-01"));
    let same = Order::ChangeQuantity(Decimal::ONE);
    assert!(matches!(world.decide(&same, "2026-01-05", CurrentDay::New), Err(ChangeError::Nothing(_))));
    assert!(matches!(world.decide(&quantity, "2025-12-31", CurrentDay::New), Err(ChangeError::TooEarly { .. })));
    assert!(matches!(world.decide(&Order::Resume, "2026-01-05", CurrentDay::New), Err(ChangeError::Status { .. })));
    for number in [0, 32] {
        let order = Order::ChangeBillingDay(number);
        assert!(matches!(world.decide(&order, "2026-01-05", CurrentDay::New), Err(ChangeError::Range(_))));
    }
    for status in [SubscriptionStatus::Activating, SubscriptionStatus::Stopping] {
        world.subscription.status = status;
        let refused = world.decide(&Order::Cancel, "2026-01-05", CurrentDay::New);
        assert_eq!(refused, Err(ChangeError::Transitional(status)));
    }
    world.subscription.status = SubscriptionStatus::Cancelled;
    assert!(matches!(world.decide(&Order::Cancel, "2026-01-05", CurrentDay::New), Err(ChangeError::Status { .. })));
}

#[test]
fn a_direction_is_not_the_yearly_price() {
    let (month, dearer) = (monthly(1, 31_000), monthly(2, 41_000));
    let year = plan(3, Cadence::Months(12), BillingDay::Anniversary, &[300_000]);
    let other = monthly(9, 99_000);
    let one = Decimal::ONE;
    let way = |old, new, quantity| {
        let (direction, period, _) = classify((old, one), (new, quantity)).unwrap();
        (direction, period)
    };
    assert_eq!(way(&month, &dearer, one), (Direction::Up, PeriodChange::Same));
    assert_eq!(way(&dearer, &month, one), (Direction::Down, PeriodChange::Same));
    assert_eq!(way(&month, &month, Decimal::TWO), (Direction::Up, PeriodChange::Same));
    assert_eq!(way(&month, &year, one), (Direction::Up, PeriodChange::Longer));
    assert_eq!(way(&year, &dearer, one), (Direction::Down, PeriodChange::Shorter), "a year does not end at once");
    assert_eq!(way(&month, &other, one).0, Direction::Lateral, "a crossgrade");
}

#[test]
fn the_first_matching_row_of_the_table_decides() {
    let (basic, pro) = (PlanId(Uuid::from_u128(1)), PlanId(Uuid::from_u128(2)));
    let facts = TimingFacts {
        kind: ChangeKind::ChangePlan,
        direction: Direction::Up,
        from_plan: basic,
        to_plan: pro,
        period: PeriodChange::Same,
        phase: Phase::First,
    };
    let rules = [
        TimingRule { to_plan: Some(basic), timing: Some(Timing::Forbidden), ..TimingRule::default() },
        TimingRule { phase: Some(Phase::First), timing: Some(Timing::StartOfTerm), ..TimingRule::default() },
        TimingRule { direction: Some(Direction::Up), timing: Some(Timing::EndOfTerm), ..TimingRule::default() },
    ];
    assert_eq!(timing_of(&rules, &facts), (Timing::StartOfTerm, Some(1)));
    let later = TimingFacts { phase: Phase::Later, ..facts };
    assert_eq!(timing_of(&rules, &later), (Timing::EndOfTerm, Some(2)));
    assert_eq!(timing_of(&rules, &TimingFacts { to_plan: basic, ..facts }), (Timing::Forbidden, Some(0)));
    assert_eq!(timing_of(&[], &facts), (Timing::Immediate, None));
    let down = TimingFacts { direction: Direction::Down, ..facts };
    assert_eq!(timing_of(&[], &down), (Timing::EndOfTerm, None));
}

#[test]
fn a_term_is_the_charged_period() {
    let plan = monthly(1, 31_000);
    let mut world = World::new("2026-01-10", plan.clone());
    world.bill(day("2026-03-10"));
    let on = |timing| effective_on(timing, &world.subscription, &plan, day("2026-03-20")).unwrap();
    assert_eq!(on(Timing::Immediate), Some(day("2026-03-20")));
    assert_eq!(on(Timing::EndOfTerm), Some(day("2026-04-10")));
    assert_eq!(on(Timing::StartOfTerm), Some(day("2026-03-10")));
    assert_eq!(on(Timing::Forbidden), None);
}

#[derive(Debug, Clone)]
enum Wish {
    Plan(usize, i64),
    Quantity(i64),
    Pause,
    Resume,
    BillingDay(u8),
    Renew,
    Prolong(u16),
    Shift(u16),
}

fn any_wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        4 => (0_usize..5, 1_i64..4).prop_map(|(plan, quantity)| Wish::Plan(plan, quantity)),
        4 => (0_i64..40).prop_map(Wish::Quantity),
        2 => Just(Wish::Pause),
        4 => Just(Wish::Resume),
        2 => (1_u8..=31).prop_map(Wish::BillingDay),
        2 => Just(Wish::Renew),
        1 => (1_u16..40).prop_map(Wish::Prolong),
        1 => (1_u16..40).prop_map(Wish::Shift),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn any_sequence_of_changes_conserves_money_and_coverage(
        start in 0_u64..1_500,
        first in 0_usize..5,
        wishes in prop::collection::vec((0_u64..45, any_wish(), 0_usize..4, 0_u64..4), 1..12),
    ) {
        let plans = [
            plan(1, Cadence::Months(1), BillingDay::Anniversary, &[59_000]),
            plan(2, Cadence::Months(1), BillingDay::AnniversaryRestored, &[99_999, 7]),
            plan(3, Cadence::Months(3), BillingDay::Fixed(31), &[123_456]),
            plan(4, Cadence::Days(10), BillingDay::Anniversary, &[1_001, 0, 333]),
            plan(9, Cadence::Months(1), BillingDay::ContractAligned, &[1]),
        ];
        let starts_on = day("2026-11-01").checked_add_days(Days::new(start)).unwrap();
        let mut world = World::new(&starts_on.to_string(), plans[first].clone());
        let mut today = starts_on;
        for (days, wish, policy, back) in wishes {
            today = today.checked_add_days(Days::new(days)).unwrap();
            world.bill(today);
            world.check();
            // Sometimes the day lies a little back.
            let on = today.checked_sub_days(Days::new(back)).unwrap();
            let policy = CurrentDay::ALL[policy];
            let (order, plan) = match &wish {
                Wish::Plan(n, quantity) => (Order::ChangePlan(&plans[*n], Some(Decimal::from(*quantity))), &plans[*n]),
                Wish::Quantity(tenths) => (Order::ChangeQuantity(Decimal::new(*tenths, 1)), &world.plan),
                Wish::Pause => (Order::Pause, &world.plan),
                Wish::Resume => (Order::Resume, &world.plan),
                Wish::BillingDay(n) => (Order::ChangeBillingDay(*n), &world.plan),
                Wish::Renew => (Order::Renew, &world.plan),
                Wish::Prolong(n) => (Order::Prolong(*n), &world.plan),
                Wish::Shift(n) => (Order::Shift(*n), &world.plan),
            };
            let plan = plan.clone();
            if let Ok(decision) = world.decide(&order, &on.to_string(), policy) {
                world.execute(&decision, &plan, policy);
                world.check();
            }
        }
        let end = today.max(world.subscription.terms_from);
        world.bill(end);
        let decision = world.decide(&Order::Cancel, &end.to_string(), CurrentDay::New).unwrap();
        let plan = world.plan.clone();
        world.execute(&decision, &plan, CurrentDay::New);
        world.check();
        prop_assert!(world.charges.iter().all(|charge| charge.until <= end.max(charge.used.start)));
    }
}

#[test]
fn a_renewal_by_hand_is_charged_by_the_version_that_has_come() {
    let mut plan = monthly(7, 59_000);
    let later = monthly(8, 65_000);
    plan.successors =
        vec![crate::catalogue::Successor { from: day("2027-02-01"), version: std::sync::Arc::new(later.clone()) }];
    let subscription = Subscription {
        next_index: 1,
        next_charge_on: day("2027-02-01"),
        manual: true,
        ..subscribed("2027-01-01", &plan)
    };
    let facts = Facts { subscription: &subscription, plan: &plan, covered: &[], signed_on: day("2027-01-01") };
    let decision = decide(&facts, &Order::Renew, day("2027-01-20"), CurrentDay::New).unwrap();
    assert_eq!(decision.lines.iter().map(|line| line.price.minor).collect::<Vec<_>>(), [65_000]);
    assert_eq!((decision.terms.plan_version, decision.terms.terms_from), (later.id, day("2027-02-01")));
    // What was sold is charged again by the version that it was sold by.
    let on = day("2027-01-20");
    let more = decide(&facts, &Order::ChangeQuantity(Decimal::from(2)), on, CurrentDay::New).unwrap();
    assert_eq!(more.terms.plan_version, plan.id);
}
