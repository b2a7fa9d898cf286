//! Recorded use: billed once, at the close of its period, by the prices of its time; nothing of it is lost.

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, ComponentKind, PlanStatus},
    change::ChangeKind,
    charge::{ChargeKind, ChargeStatus},
    id::{ContractId, MeterId, SubscriptionId},
    metered::{Aggregation, MeteredTerms, Tier, TierModel, VolumeDiscount},
    run::{PlanState, RunMode},
    tax::PriceMode,
};
use altyn_service::{
    changes::{ChangeSubscription, ExecuteChange},
    charges::{ChargeFilter, ChargeView},
    metering::{EventFilter, IngestReport, UsageEvent, UsageEvents, WindowState, WindowView, events_of_lines},
    meters::{CreateMeter, UpdateMeter},
    plans::{CreateComponent, CreatePlan, CreatePlanVersion},
    runs::{Advanced, ConfirmPlan},
    subscriptions::{CancelSubscription, CreateSubscription},
};

use crate::world::{World, code, day, on_both_engines, page};

on_both_engines!(
    use_is_billed_at_the_close_of_its_period_with_the_worked_example,
    a_repetition_changes_nothing_and_another_content_is_named,
    what_comes_late_is_billed_by_a_line_of_its_own_at_the_prices_of_its_time,
    wrong_events_are_named_and_lose_no_others,
    an_instant_belongs_to_the_day_of_the_contracts_zone,
    a_cancelled_subscription_is_billed_up_to_its_end_and_for_what_comes_late,
    a_change_in_the_period_splits_use_by_time,
    every_aggregation_bills_its_figure,
    counters_are_billed_by_what_they_advanced,
    readings_that_come_late_are_billed_once_whichever_window_they_fall_into,
    a_reading_below_an_earlier_one_is_refused_by_name,
    use_of_days_that_are_not_charged_is_refused_by_name,
    use_of_a_pause_that_is_due_is_refused_although_no_day_was_closed_since,
    nothing_ends_behind_use_that_nobody_would_bill,
    whatever_changes_and_whenever_events_come_each_is_billed_once,
    a_plan_that_saw_other_events_is_not_confirmed,
    two_hosts_that_record_and_bill_at_once_lose_nothing,
    meters_and_metered_components_are_checked,
    another_tenants_use_is_not_seen,
);

pub fn terms(meter: MeterId, included: &str, tiers: &[(Option<&str>, &str)]) -> MeteredTerms {
    MeteredTerms {
        package: None,
        meter_id: meter,
        included: included.parse().unwrap(),
        model: TierModel::Graduated,
        tiers: tiers
            .iter()
            .map(|(up_to, price)| Tier {
                up_to: up_to.map(|bound| bound.parse().unwrap()),
                unit_price: price.parse().unwrap(),
            })
            .collect(),
        volume_discounts: Vec::new(),
    }
}

fn component(
    world: &World,
    code: &str,
    product: altyn_domain::id::ProductId,
    metered: MeteredTerms,
) -> CreateComponent {
    let _ = world;
    CreateComponent {
        included: None,
        min_quantity: None,
        max_quantity: None,
        code: code.into(),
        title: code.into(),
        kind: Some(ComponentKind::Metered),
        product_id: product,
        unit_price_minor: 0,
        tax_category: Some("standard".into()),
        prepayment_percent: None,
        metered: Some(metered),
    }
}

pub async fn meter(world: &World, code: &str, aggregation: Aggregation) -> MeterId {
    let command = CreateMeter { code: code.into(), title: code.into(), unit: "GB".into(), aggregation };
    world.altyn.meter_create(&world.request(), command).await.unwrap().value.id
}

/// A plan of one month on the first, with 300.00 a month and these metered components.
pub async fn plan(world: &World, code: &str, metered: Vec<MeteredTerms>) {
    let product = world.altyn.product_list(&world.request(), &page()).await.unwrap().data.remove(0).id;
    let mut components = vec![CreateComponent {
        included: None,
        min_quantity: None,
        max_quantity: None,
        code: "monthly".into(),
        title: "monthly".into(),
        kind: None,
        product_id: product,
        unit_price_minor: 30_000,
        tax_category: Some("standard".into()),
        prepayment_percent: None,
        metered: None,
    }];
    components.extend(
        metered.into_iter().enumerate().map(|(n, terms)| component(world, &format!("usage-{n}"), product, terms)),
    );
    let version = CreatePlanVersion {
        existing_subscribers: None,
        effective_from: Some(day("2020-01-01")),
        cadence: Cadence::Months(1),
        currency: None,
        price_mode: PriceMode::Included,
        billing_day: Some(BillingDay::Fixed(1)),
        stub: None,
        components,
    };
    let command = CreatePlan {
        visibility: None,
        code: code.into(),
        title: code.into(),
        status: Some(PlanStatus::Active),
        version,
    };
    world.altyn.plan_create(&world.request(), command).await.unwrap();
}

pub async fn subscribe(world: &World, contract: ContractId, plan: &str, starts_on: &str) -> SubscriptionId {
    let command = CreateSubscription {
        contract_id: contract,
        plan_id: None,
        plan_code: Some(plan.into()),
        starts_on: day(starts_on),
        quantity: None,
        discount_percent: None,
        discount_minor: None,
        discount_from: None,
        discount_until: None,
        manual: None,
        documents_on_activation: None,
        notify_on_activation: None,
        description: None,
        pending: None,
        short_funds: None,
        retry_days: None,
        charges: None,
        external_system: None,
        external_id: None,
    };
    world.altyn.subscription_create(&world.request(), command).await.unwrap().value.id
}

pub fn event(id: &str, subscription: SubscriptionId, at: &str, quantity: &str) -> UsageEvent {
    UsageEvent {
        id: id.into(),
        subscription_id: subscription,
        meter: "traffic".into(),
        occurred_at: at.parse().unwrap(),
        quantity: Some(quantity.into()),
        item: None,
    }
}

pub async fn record(world: &World, events: Vec<UsageEvent>) -> IngestReport {
    world.altyn.usage_ingest(&world.request(), UsageEvents { events }).await.unwrap().value
}

/// Records events that are all new.
pub async fn recorded(world: &World, events: Vec<UsageEvent>) -> IngestReport {
    let report = record(world, events).await;
    assert_eq!(report.accepted, report.received, "{report:?}");
    report
}

pub async fn usage_charges(world: &World, contract: ContractId) -> Vec<ChargeView> {
    let filter = ChargeFilter { contract_id: Some(contract), ..ChargeFilter::default() };
    let mut found = world.altyn.charge_list(&world.request(), filter, &page()).await.unwrap().data;
    found.retain(|charge| charge.kind == ChargeKind::Usage);
    found
}

pub async fn windows(world: &World, subscription: SubscriptionId) -> Vec<WindowView> {
    let mut found = world.altyn.usage_windows(&world.request(), subscription, &page()).await.unwrap().data;
    found.sort_by_key(|window| window.starts_at);
    found
}

async fn balance(world: &World, contract: ContractId) -> i64 {
    world.altyn.contract_get(&world.request(), contract).await.unwrap().balance_minor
}

/// A contract of Moscow with a subscription that has 10 units included at 16.00 and 10 % off from 50 on, in service from
/// the first of November.
pub async fn metered(world: &World, number: &str) -> (ContractId, SubscriptionId) {
    let meter = meter(world, "traffic", Aggregation::Sum).await;
    let discounted = MeteredTerms {
        volume_discounts: vec![VolumeDiscount { from: "50".parse().unwrap(), percent: "10".parse().unwrap() }],
        ..terms(meter, "10", &[(None, "16")])
    };
    plan(world, "metered-1m", vec![discounted]).await;
    let contract = world.import_contract(number, "free-1m", 1, "2026-11-01").await;
    let subscription = subscribe(world, contract, "metered-1m", "2026-11-01").await;
    world.close_day("2026-11-01").await;
    (contract, subscription)
}

fn readings(subscription: SubscriptionId) -> Vec<UsageEvent> {
    let at = |n: usize| format!("2026-11-{:02}T12:00:00+03:00", 2 + 5 * n);
    let readings = ["10", "5", "20", "40", "30"].into_iter().enumerate();
    readings.map(|(n, quantity)| event(&format!("r{n}"), subscription, &at(n), quantity)).collect()
}

async fn use_is_billed_at_the_close_of_its_period_with_the_worked_example(world: &World) {
    let (contract, subscription) = metered(world, "U-1").await;
    let opened = windows(world, subscription).await;
    assert_eq!(opened.len(), 1);
    assert_eq!((opened[0].used_start, opened[0].used_end), (day("2026-11-01"), day("2026-12-01")));
    recorded(world, readings(subscription)).await;
    let seen = windows(world, subscription).await.remove(0);
    assert_eq!((seen.events, seen.used.as_str(), seen.amount_minor), (5, "105", 136_800));
    assert_eq!(seen.explanation, "105 used, 10 included: 95 × 16, less 10 %");
    let before = balance(world, contract).await;

    world.close_day("2026-11-30").await;
    assert_eq!(usage_charges(world, contract).await.len(), 0, "the period is not over for the run of its last day");
    let run = world.close_day("2026-12-01").await;
    let charges = usage_charges(world, contract).await;
    assert_eq!(charges.len(), 1);
    let charge = &charges[0];
    assert_eq!((charge.amount_minor, charge.status), (136_800, ChargeStatus::Closed));
    let last = day("2026-11-30");
    assert_eq!((charge.charged_on, charge.realises_on, charge.realised_on), (last, last, Some(day("2026-12-01"))));
    // The month of December and the use of November.
    assert_eq!(balance(world, contract).await, before - 30_000 - 136_800);
    let lines: Vec<(String, i64, i64)> = world
        .rows(
            "select quantity, gross_minor, tax_minor from invoice_lines where tenant_id = $1 and charge_id = $2",
            (world.tenant.0, uuid_of(charge)),
        )
        .await;
    assert_eq!(lines, [("105".to_owned(), 136_800, 24_669)]);
    assert_eq!(world.plan(run.id, contract).await.lines, 3, "with the two renewals on one invoice");
    let billed = windows(world, subscription).await;
    assert_eq!((billed[0].state, billed[0].billed_minor, billed[0].billed_events), (WindowState::Billed, 136_800, 5));
    assert_eq!((billed[1].state, billed[1].events), (WindowState::Open, 0));
    world.prove().await;

    // A month without use is billed with nothing, and closed.
    world.close_day("2027-01-01").await;
    assert_eq!(usage_charges(world, contract).await.len(), 1);
    assert_eq!(windows(world, subscription).await[1].state, WindowState::Billed);
    world.prove().await;
}

fn uuid_of(charge: &ChargeView) -> uuid::Uuid {
    altyn_domain::id::Id::uuid(charge.id)
}

async fn a_repetition_changes_nothing_and_another_content_is_named(world: &World) {
    let (_, subscription) = metered(world, "U-2").await;
    let events = readings(subscription);
    recorded(world, events.clone()).await;
    let again = record(world, events.clone()).await;
    assert_eq!((again.accepted, again.repeated, again.refused.len()), (0, 5, 0));

    let mut mixed = events;
    mixed[1].quantity = Some("5.000000001".into());
    // The same instant in another zone and the same quantity in other digits are the same event.
    mixed[2].occurred_at = "2026-11-12T09:00:00Z".parse().unwrap();
    mixed[2].quantity = Some("20.0".into());
    mixed.push(event("new", subscription, "2026-11-29T00:00:00Z", "1"));
    mixed.push(event("new", subscription, "2026-11-29T00:00:00Z", "1"));
    mixed.push(event("new", subscription, "2026-11-29T00:00:00Z", "2"));
    let report = record(world, mixed).await;
    assert_eq!((report.accepted, report.repeated), (1, 5), "{report:?}");
    let refused: Vec<_> =
        report.refused.iter().map(|refused| (refused.position, refused.id.as_deref(), refused.code.as_str())).collect();
    assert_eq!(refused, [(1, Some("r1"), "different-content"), (7, Some("new"), "different-content")]);
    assert_eq!(windows(world, subscription).await[0].used, "106");
    world.prove().await;
}

async fn what_comes_late_is_billed_by_a_line_of_its_own_at_the_prices_of_its_time(world: &World) {
    let (contract, subscription) = metered(world, "U-3").await;
    let mut events = readings(subscription);
    let late = events.pop().unwrap();
    recorded(world, events).await;
    world.close_day("2026-12-01").await;
    // 75 used: 65 · 16 · 0.9.
    assert_eq!(usage_charges(world, contract).await[0].amount_minor, 93_600);

    let december = event("d1", subscription, "2026-12-10T12:00:00+03:00", "12");
    let report = recorded(world, vec![late.clone(), december]).await;
    assert_eq!(report.late, 1);
    assert_eq!(record(world, vec![late]).await.late, 0, "a repetition is not late again");
    let seen = windows(world, subscription).await;
    assert_eq!((seen[0].state, seen[0].due_on), (WindowState::Late, day("2027-01-01")));
    assert_eq!((seen[0].amount_minor, seen[0].billed_minor), (136_800, 93_600));
    world.prove().await;
    world.close_day("2026-12-15").await;
    assert_eq!(usage_charges(world, contract).await.len(), 1, "it waits for the period that is under way");

    world.close_day("2027-01-01").await;
    let mut charges = usage_charges(world, contract).await;
    charges.sort_by_key(|charge| (charge.used_start, charge.amount_minor));
    let told: Vec<_> = charges.iter().map(|charge| (charge.used_start, charge.amount_minor)).collect();
    let (november, december) = (day("2026-11-01"), day("2026-12-01"));
    assert_eq!(told, [(november, 43_200), (november, 93_600), (december, 3_200)]);
    // 30 more and 10 more; the first tells its days on the document.
    let titles: Vec<(String, String)> = world
        .rows(
            "select l.title, l.quantity from invoice_lines l join charges c on c.tenant_id = $1 and c.id = l.charge_id
            where l.tenant_id = $1 and c.kind = 'usage' order by c.id",
            (world.tenant.0,),
        )
        .await;
    assert!(titles.contains(&("usage-0 · 2026-11-01/2026-11-30".to_owned(), "30".to_owned())), "{titles:?}");
    assert_eq!(windows(world, subscription).await[0].state, WindowState::Billed);
    world.prove().await;

    // And again, after that.
    recorded(world, vec![event("late2", subscription, "2026-11-03T00:00:00Z", "1")]).await;
    recorded(world, vec![event("late3", subscription, "2026-11-03T00:00:00Z", "1")]).await;
    world.close_day("2027-02-01").await;
    assert_eq!(usage_charges(world, contract).await.iter().filter(|charge| charge.amount_minor == 2_880).count(), 1);
    world.prove().await;
}

async fn wrong_events_are_named_and_lose_no_others(world: &World) {
    let (_, subscription) = metered(world, "U-4").await;
    let contract = world.import_contract("U-5", "free-1m", 1, "2026-11-01").await;
    let without = world.subscriptions(contract).await[0].id;
    let at = "2026-11-05T00:00:00Z";
    let good = event("good", subscription, at, "1");
    let wrong = [
        ("invalid-event", UsageEvent { id: String::new(), ..good.clone() }),
        ("invalid-event", UsageEvent { id: "with space".into(), ..good.clone() }),
        ("invalid-event", UsageEvent { quantity: Some("-1".into()), ..good.clone() }),
        ("invalid-event", UsageEvent { quantity: Some("1e3".into()), ..good.clone() }),
        ("invalid-event", UsageEvent { quantity: None, ..good.clone() }),
        ("invalid-event", UsageEvent { item: Some("x".into()), ..good.clone() }),
        ("unknown-meter", UsageEvent { meter: "minutes".into(), ..good.clone() }),
        ("unknown-subscription", UsageEvent { subscription_id: SubscriptionId(uuid::Uuid::max()), ..good.clone() }),
        ("not-metered", UsageEvent { subscription_id: without, ..good.clone() }),
        ("not-in-service", event("before", subscription, "2026-10-31T20:59:59.999999Z", "1")),
        ("in-the-future", event("ahead", subscription, "2027-02-01T09:06:00Z", "1")),
    ];
    let mut events: Vec<UsageEvent> = wrong.iter().map(|(_, event)| event.clone()).collect();
    events.insert(5, good);
    events.push(event("good2", subscription, at, "2"));
    let report = record(world, events).await;
    assert_eq!((report.received, report.accepted, report.repeated), (13, 2, 0));
    let told: Vec<&str> = report.refused.iter().map(|refused| refused.code.as_str()).collect();
    assert_eq!(told, wrong.iter().map(|(code, _)| *code).collect::<Vec<_>>());
    assert_eq!(windows(world, subscription).await[0].used, "3");

    let lines = format!(
        "{{\"id\":\"n1\",\"subscription_id\":\"{subscription}\",\"meter\":\"traffic\",\"occurred_at\":\"{at}\",\"quantity\":\"4\"}}\n\
         \n{{\"id\":\"n2\",\"meter\":7}}\nnonsense\n"
    );
    let read = events_of_lines(lines.as_bytes().split(|byte| *byte == b'\n'));
    let report = world.altyn.usage_ingest_read(&world.request(), read).await.unwrap().value;
    assert_eq!((report.received, report.accepted), (3, 1));
    let told: Vec<_> = report.refused.iter().map(|refused| (refused.position, refused.id.as_deref())).collect();
    assert_eq!(told, [(1, Some("n2")), (2, None)]);
    let none = world.altyn.usage_ingest(&world.request(), UsageEvents { events: Vec::new() }).await;
    assert_eq!(code(none), "invalid-request");
    world.prove().await;
}

async fn an_instant_belongs_to_the_day_of_the_contracts_zone(world: &World) {
    let (_, subscription) = metered(world, "U-6").await;
    world.close_day("2026-12-01").await;
    // The first of December begins in Moscow at 21:00 UTC.
    recorded(world, vec![event("last", subscription, "2026-11-30T20:59:59.999999Z", "1")]).await;
    recorded(world, vec![event("first", subscription, "2026-11-30T21:00:00Z", "2")]).await;
    recorded(world, vec![event("first-2", subscription, "2026-12-01T02:00:00+05:00", "4")]).await;
    let used: Vec<String> = windows(world, subscription).await.into_iter().map(|window| window.used).collect();
    assert_eq!(used, ["1", "6"]);
    let filter = EventFilter { subscription_id: subscription, meter: "traffic".into(), window_id: None };
    let one = altyn_service::page::Page { limit: Some(1), cursor: None };
    let first = world.altyn.usage_events(&world.request(), &filter, &one).await.unwrap();
    assert_eq!((first.data[0].id.as_str(), first.has_more), ("last", true));
    let rest = altyn_service::page::Page { limit: Some(5), cursor: first.next_cursor };
    let rest = world.altyn.usage_events(&world.request(), &filter, &rest).await.unwrap();
    assert_eq!(rest.data.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["first", "first-2"]);
    world.prove().await;
}

async fn change(world: &World, id: SubscriptionId, change: ChangeSubscription) {
    let seen = world.altyn.change_preview(&world.request(), id, change.clone()).await.unwrap();
    let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: Some(seen.effects) };
    world.altyn.change_execute(&world.request(), id, command).await.unwrap();
}

async fn a_cancelled_subscription_is_billed_up_to_its_end_and_for_what_comes_late(world: &World) {
    let (contract, subscription) = metered(world, "U-7").await;
    recorded(world, readings(subscription)).await;
    world.clock.set("2026-11-16T09:00:00Z".parse().unwrap());
    let cancel = ChangeSubscription {
        timing: Some(altyn_domain::change::Timing::Immediate),
        ..ChangeSubscription::of(ChangeKind::Cancel)
    };
    change(world, subscription, cancel).await;
    let cut = windows(world, subscription).await.remove(0);
    // Three readings came before; half of the month has 5 included and the discount from 25 on: 30 · 16 · 0.9.
    assert_eq!((cut.used_end, cut.used.as_str(), cut.amount_minor), (day("2026-11-16"), "35", 43_200));
    let report = record(world, vec![event("after", subscription, "2026-11-16T00:00:00+03:00", "1")]).await;
    assert_eq!(report.refused[0].code, "not-in-service");
    world.close_day("2026-11-16").await;
    assert_eq!(usage_charges(world, contract).await[0].amount_minor, 43_200);
    world.prove().await;

    let late = recorded(world, vec![event("late", subscription, "2026-11-15T23:59:59+03:00", "1")]).await;
    assert_eq!(late.late, 1);
    world.clock.set("2026-11-17T09:00:00Z".parse().unwrap());
    world.close_day("2026-11-17").await;
    let amounts: Vec<i64> = usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).collect();
    assert_eq!(amounts, [43_200, 1_440]);
    world.prove().await;
}

async fn a_change_in_the_period_splits_use_by_time(world: &World) {
    let (contract, subscription) = metered(world, "U-8").await;
    let traffic = world.altyn.meter_list(&world.request(), &page()).await.unwrap().data[0].id;
    plan(world, "dear-1m", vec![terms(traffic, "30", &[(None, "20")])]).await;
    recorded(world, readings(subscription)[..3].to_vec()).await;
    world.clock.set("2026-11-16T09:00:00Z".parse().unwrap());
    let dearer = ChangeSubscription {
        plan_code: Some("dear-1m".into()),
        timing: Some(altyn_domain::change::Timing::Immediate),
        ..ChangeSubscription::of(ChangeKind::ChangePlan)
    };
    change(world, subscription, dearer).await;
    world.clock.set("2026-12-02T09:00:00Z".parse().unwrap());
    recorded(world, readings(subscription)[3..].to_vec()).await;
    let split = windows(world, subscription).await;
    let told: Vec<_> = split
        .iter()
        .map(|window| (window.used_start, window.used_end, window.used.as_str(), window.amount_minor))
        .collect();
    let (first, on, end) = (day("2026-11-01"), day("2026-11-16"), day("2026-12-01"));
    // 30 at 16 less 10 % after 5 included; 55 at 20 after 15 included.
    assert_eq!(told, [(first, on, "35", 43_200), (on, end, "70", 110_000)]);
    world.close_day("2026-11-16").await;
    world.close_day("2026-12-01").await;
    let mut amounts: Vec<i64> = usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [43_200, 110_000]);
    world.prove().await;
}

async fn every_aggregation_bills_its_figure(world: &World) {
    let expected = [
        (Aggregation::Sum, "17.5"),
        (Aggregation::Count, "4"),
        (Aggregation::Max, "10.000000002"),
        (Aggregation::Min, "0.5"),
        (Aggregation::Average, "4.375"),
        (Aggregation::Last, "2"),
        (Aggregation::Unique, "2"),
    ];
    let mut metered = Vec::new();
    for (aggregation, _) in expected {
        metered.push(terms(meter(world, aggregation.as_str(), aggregation).await, "0", &[(None, "1")]));
    }
    plan(world, "all-1m", metered).await;
    let contract = world.import_contract("U-9", "free-1m", 1, "2026-11-01").await;
    let subscription = subscribe(world, contract, "all-1m", "2026-11-01").await;
    world.close_day("2026-11-01").await;
    let mut events = Vec::new();
    for (aggregation, _) in expected {
        // The last of them by time comes first.
        let readings = [("20", "2", "a"), ("03", "5", "b"), ("04", "10", "a"), ("04", "0.5", "b")];
        for (n, (on, quantity, item)) in readings.into_iter().enumerate() {
            let quantity = if aggregation == Aggregation::Max && n == 2 { "10.000000002" } else { quantity };
            events.push(UsageEvent {
                id: format!("{aggregation}-{n}"),
                subscription_id: subscription,
                meter: aggregation.as_str().into(),
                occurred_at: format!("2026-11-{on}T12:00:00Z").parse().unwrap(),
                quantity: aggregation.takes_quantity().then(|| quantity.into()),
                item: (aggregation == Aggregation::Unique).then(|| item.into()),
            });
        }
    }
    recorded(world, events).await;
    for (aggregation, used) in expected {
        let seen = windows(world, subscription).await;
        let window = seen.iter().find(|window| window.meter == aggregation.as_str()).unwrap();
        assert_eq!(window.used, used, "{aggregation}");
    }
    world.close_day("2026-12-01").await;
    let mut amounts: Vec<i64> = usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [50, 200, 200, 400, 438, 1_000, 1_750]);
    world.prove().await;

    // A late peak below the billed one adds nothing; one above it adds the difference.
    let late = |id: &str, quantity: &str| UsageEvent {
        id: id.into(),
        meter: "max".into(),
        ..event(id, subscription, "2026-11-30T12:00:00Z", quantity)
    };
    recorded(world, vec![late("low", "9")]).await;
    world.close_day("2027-01-01").await;
    assert_eq!(usage_charges(world, contract).await.iter().filter(|charge| charge.amount_minor > 0).count(), 7);
    recorded(world, vec![late("high", "11")]).await;
    world.close_day("2027-02-01").await;
    assert_eq!(usage_charges(world, contract).await.iter().filter(|charge| charge.amount_minor == 100).count(), 1);
    world.prove().await;
}

fn reading(id: &str, subscription: SubscriptionId, at: &str, quantity: &str) -> UsageEvent {
    UsageEvent { meter: "water".into(), ..event(id, subscription, at, quantity) }
}

/// A subscription from the first of November that pays 1.00 for each unit that its counters advance.
async fn read(world: &World, number: &str) -> (ContractId, SubscriptionId) {
    let meter = meter(world, "water", Aggregation::Difference).await;
    plan(world, "water-1m", vec![terms(meter, "0", &[(None, "1")])]).await;
    let contract = world.import_contract(number, "free-1m", 1, "2026-11-01").await;
    let subscription = subscribe(world, contract, "water-1m", "2026-11-01").await;
    world.close_day("2026-11-01").await;
    (contract, subscription)
}

async fn amounts(world: &World, contract: ContractId) -> Vec<i64> {
    let mut found = usage_charges(world, contract).await;
    found.sort_by_key(|charge| charge.id);
    found.iter().map(|charge| charge.amount_minor).collect()
}

async fn counters_are_billed_by_what_they_advanced(world: &World) {
    let (contract, subscription) = read(world, "U-20").await;
    let of = |item: &str, event: UsageEvent| UsageEvent { item: Some(item.into()), ..event };
    let cold = |id: &str, at: &str, quantity: &str| of("cold", reading(id, subscription, at, quantity));
    let hot = |id: &str, at: &str, quantity: &str| of("hot", reading(id, subscription, at, quantity));
    // The first reading is where each stood; the last comes first.
    let november = vec![
        cold("c2", "2026-11-28T12:00:00Z", "112.5"),
        cold("c1", "2026-11-02T12:00:00Z", "100"),
        hot("h1", "2026-11-02T12:00:00Z", "7"),
        hot("h2", "2026-11-28T12:00:00Z", "10"),
    ];
    recorded(world, november).await;
    let seen = windows(world, subscription).await.remove(0);
    assert_eq!((seen.used.as_str(), seen.amount_minor), ("15.5", 1_550));
    world.close_day("2026-12-01").await;
    assert_eq!(amounts(world, contract).await, [1_550]);

    // December goes on from the last readings; the hot counter is replaced, and the new one names itself.
    let december = vec![
        cold("c3", "2026-12-30T12:00:00Z", "120"),
        hot("h3", "2026-12-10T12:00:00Z", "11"),
        of("hot, 2027", reading("n1", subscription, "2026-12-10T12:00:00Z", "0")),
        of("hot, 2027", reading("n2", subscription, "2026-12-30T12:00:00Z", "2")),
    ];
    recorded(world, december).await;
    let seen = windows(world, subscription).await;
    assert_eq!((seen[0].used.as_str(), seen[0].billed_used.as_str()), ("15.5", "15.5"));
    assert_eq!(seen[1].used, "10.5", "7.5 cold, 1 and 2 hot");
    world.close_day("2027-01-01").await;
    // A month without a reading costs nothing, and the month after it has the whole.
    world.close_day("2027-02-01").await;
    world.prove().await;
    world.clock.set("2027-03-02T12:00:00Z".parse().unwrap());
    recorded(world, vec![cold("c4", "2027-02-15T12:00:00Z", "150")]).await;
    world.close_day("2027-03-01").await;
    assert_eq!(amounts(world, contract).await, [1_550, 1_050, 3_000]);
    world.prove().await;
}

async fn readings_that_come_late_are_billed_once_whichever_window_they_fall_into(world: &World) {
    let (contract, subscription) = read(world, "U-21").await;
    let at = |id: &str, at: &str, quantity: &str| reading(id, subscription, at, quantity);
    recorded(world, vec![at("a", "2026-11-10T00:00:00Z", "100"), at("b", "2026-11-20T00:00:00Z", "130")]).await;
    world.close_day("2026-12-01").await;
    // Late in November, and one of December: each window has its own part.
    let report =
        recorded(world, vec![at("c", "2026-11-30T00:00:00Z", "140"), at("d", "2026-12-20T00:00:00Z", "170")]).await;
    assert_eq!(report.late, 1);
    let used: Vec<String> = windows(world, subscription).await.into_iter().map(|window| window.used).collect();
    assert_eq!(used, ["40", "30"]);
    world.close_day("2027-01-01").await;
    let mut billed = amounts(world, contract).await;
    billed.sort_unstable();
    assert_eq!(billed, [1_000, 3_000, 3_000]);
    world.prove().await;
    // Between two that are billed: nothing more. Before the first: what lies between.
    recorded(world, vec![at("e", "2026-12-10T00:00:00Z", "150"), at("f", "2026-11-02T00:00:00Z", "95")]).await;
    world.close_day("2027-02-01").await;
    let sum: i64 = amounts(world, contract).await.iter().sum();
    assert_eq!(sum, 7_500, "95 to 170");
    world.prove().await;
}

async fn a_reading_below_an_earlier_one_is_refused_by_name(world: &World) {
    let (contract, subscription) = read(world, "U-22").await;
    let at = |id: &str, at: &str, quantity: &str| reading(id, subscription, at, quantity);
    recorded(world, vec![at("a", "2026-11-10T00:00:00Z", "100"), at("b", "2026-11-20T00:00:00Z", "130")]).await;
    let report = record(
        world,
        vec![
            at("below", "2026-11-21T00:00:00Z", "129.999999999"),
            at("above", "2026-11-09T00:00:00Z", "101"),
            at("between", "2026-11-15T00:00:00Z", "130"),
            at("first", "2026-11-25T00:00:00Z", "150"),
            at("second", "2026-11-26T00:00:00Z", "149"),
            UsageEvent { item: Some("other".into()), ..at("other", "2026-11-26T00:00:00Z", "3") },
            // The same again changes nothing.
            at("a", "2026-11-10T00:00:00Z", "100"),
        ],
    )
    .await;
    let refused: Vec<_> =
        report.refused.iter().map(|refused| (refused.id.as_deref().unwrap(), refused.code.as_str())).collect();
    let falls = "reading-falls";
    assert_eq!(refused, [("below", falls), ("above", falls), ("second", falls)], "{report:?}");
    assert!(report.refused[0].message.contains("stood at 130 before it"), "{report:?}");
    assert!(report.refused[1].message.contains("stood at 100 after it"), "{report:?}");
    assert_eq!((report.accepted, report.repeated), (3, 1));
    world.close_day("2026-12-01").await;
    assert_eq!(amounts(world, contract).await, [5_000]);
    world.prove().await;
}

async fn use_of_days_that_are_not_charged_is_refused_by_name(world: &World) {
    let (contract, subscription) = metered(world, "U-23").await;
    world.clock.set("2026-11-02T09:00:00Z".parse().unwrap());
    let prolong = ChangeSubscription { days: Some(5), ..ChangeSubscription::of(ChangeKind::Prolong) };
    change(world, subscription, prolong).await;
    world.clock.set("2026-12-10T09:00:00Z".parse().unwrap());
    world.close_day("2026-12-06").await;
    // November is charged, the first five days of December are given, and from the sixth on is charged again.
    let events = ["2026-11-30T12:00:00Z", "2026-12-03T12:00:00Z", "2026-12-07T12:00:00Z"];
    let events =
        events.into_iter().enumerate().map(|(n, at)| event(&format!("g{n}"), subscription, at, "20")).collect();
    let report = record(world, events).await;
    assert_eq!(report.accepted, 2, "{report:?}");
    assert_eq!((report.refused[0].id.as_deref(), report.refused[0].code.as_str()), (Some("g1"), "not-in-service"));
    // What begins by hand is billed for the periods that did, and for no others.
    let wish = serde_json::json!({
        "contract_id": contract, "plan_code": "metered-1m", "starts_on": "2026-12-10", "manual": true
    });
    let wish = serde_json::from_value(wish).unwrap();
    let by_hand = world.altyn.subscription_create(&world.request(), wish).await.unwrap().value.id;
    let report = record(world, vec![event("h", by_hand, "2026-12-10T08:00:00Z", "20")]).await;
    assert_eq!(report.refused[0].code, "not-charged", "{report:?}");
    change(world, by_hand, ChangeSubscription::of(ChangeKind::Renew)).await;
    recorded(world, vec![event("h", by_hand, "2026-12-10T08:00:00Z", "20")]).await;
    world.prove().await;
}

async fn use_of_a_pause_that_is_due_is_refused_although_no_day_was_closed_since(world: &World) {
    let (contract, subscription) = metered(world, "U-24").await;
    let pause = ChangeSubscription { on: Some(day("2026-11-10")), ..ChangeSubscription::of(ChangeKind::Pause) };
    change(world, subscription, pause).await;
    world.clock.set("2026-11-15T09:00:00Z".parse().unwrap());
    // Midnight in Moscow begins the pause; the close of its first day is yet to come.
    let events = [("before", "2026-11-09T20:59:59Z"), ("within", "2026-11-09T21:00:00Z")];
    let events: Vec<_> = events.into_iter().map(|(id, at)| event(id, subscription, at, "20")).collect();
    let report = record(world, events.clone()).await;
    assert_eq!(report.accepted, 1, "{report:?}");
    assert_eq!((report.refused[0].id.as_deref(), report.refused[0].code.as_str()), (Some("within"), "not-in-service"));
    world.close_day("2026-11-14").await;
    let again = record(world, events).await;
    assert_eq!((again.repeated, again.refused[0].code.as_str()), (1, "not-in-service"), "as before the close");
    change(world, subscription, ChangeSubscription::of(ChangeKind::Resume)).await;
    world.clock.set("2026-12-02T09:00:00Z".parse().unwrap());
    world.close_day("2026-12-01").await;
    assert_eq!(windows(world, subscription).await.iter().map(|window| window.events).sum::<i64>(), 1);
    assert!(usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).sum::<i64>() > 0);
    world.prove().await;
}

async fn nothing_ends_behind_use_that_nobody_would_bill(world: &World) {
    let (contract, subscription) = metered(world, "U-25").await;
    world.clock.set("2026-11-15T09:00:00Z".parse().unwrap());
    recorded(world, vec![event("used", subscription, "2026-11-05T09:00:00Z", "30")]).await;
    let back = |kind| ChangeSubscription { on: Some(day("2026-11-03")), ..ChangeSubscription::of(kind) };
    let start = |kind| ChangeSubscription {
        timing: Some(altyn_domain::change::Timing::StartOfTerm),
        ..ChangeSubscription::of(kind)
    };
    let before = world.state().await;
    for refused in [back(ChangeKind::Pause), start(ChangeKind::Pause)] {
        let refused = world.altyn.change_preview(&world.request(), subscription, refused).await.unwrap_err();
        assert_eq!(refused.code(), "use-recorded", "{refused}");
        assert!(refused.to_string().contains("2026-11-05T09:00:00Z"), "{refused}");
    }
    let version = world.altyn.subscription_get(&world.request(), subscription).await.unwrap().version;
    let end = CancelSubscription { on: day("2026-11-03"), keep_charged: Some(true) };
    let refused = world.altyn.subscription_cancel(&world.request(), subscription, version, end).await.unwrap_err();
    assert_eq!(refused.code(), "use-recorded", "{refused}");
    assert_eq!(world.state().await, before);

    // Terms that count the same meter take what was used; a day behind it ends nothing of it.
    let more = ChangeSubscription { quantity: Some("2".parse().unwrap()), ..back(ChangeKind::ChangeQuantity) };
    change(world, subscription, more).await;
    let pause = ChangeSubscription { on: Some(day("2026-11-06")), ..ChangeSubscription::of(ChangeKind::Pause) };
    change(world, subscription, pause).await;
    world.clock.set("2026-12-02T09:00:00Z".parse().unwrap());
    world.close_day("2026-12-01").await;
    let windows = windows(world, subscription).await;
    assert_eq!(windows.iter().map(|window| window.events).sum::<i64>(), 1, "{windows:?}");
    assert!(usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).sum::<i64>() > 0);
    world.prove().await;
}

/// Whole numbers that follow from a seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn whatever_changes_and_whenever_events_come_each_is_billed_once(world: &World) {
    let traffic = meter(world, "traffic", Aggregation::Sum).await;
    for code in ["one-1m", "other-1m"] {
        plan(world, code, vec![terms(traffic, "0", &[(Some("7"), "1"), (None, "1")])]).await;
    }
    let contract = world.import_contract("U-13", "free-1m", 1, "2026-11-01").await;
    let subscription = subscribe(world, contract, "one-1m", "2026-11-01").await;
    let (mut dice, mut recorded, mut changes) = (Dice(20_261_101), 0, 0);
    let immediate = |kind| ChangeSubscription {
        timing: Some(altyn_domain::change::Timing::Immediate),
        ..ChangeSubscription::of(kind)
    };
    for on in day("2026-11-01").iter_days().take_while(|on| *on <= day("2027-01-20")).step_by(4) {
        let now = on.and_hms_opt(9, 0, 0).unwrap().and_utc();
        world.clock.set(now);
        world.close_day(&on.to_string()).await;
        let since = (now - "2026-10-31T21:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap()).num_seconds();
        let mut events = Vec::new();
        for n in 0..dice.below(6) {
            // Mostly of these days, and now and then of any before.
            let back = if dice.below(3) == 0 { since.unsigned_abs() } else { 4 * 86_400 };
            let at = now - chrono::TimeDelta::seconds(dice.below(back.min(since.unsigned_abs())).try_into().unwrap());
            let quantity = 1 + dice.below(20);
            recorded += quantity;
            events.push(event(&format!("{on}-{n}"), subscription, &at.to_rfc3339(), &quantity.to_string()));
        }
        if !events.is_empty() {
            assert_eq!(record(world, events).await.refused, []);
        }
        match dice.below(4) {
            0 => {
                changes += 1;
                let quantity = Some((2 + changes).to_string());
                let wish = ChangeSubscription { quantity, ..immediate(ChangeKind::ChangeQuantity) };
                change(world, subscription, wish).await;
            }
            1 => {
                changes += 1;
                let plan = if changes % 2 == 0 { "one-1m" } else { "other-1m" };
                let quantity = Some((2 + changes).to_string());
                let wish =
                    ChangeSubscription { plan_code: Some(plan.into()), quantity, ..immediate(ChangeKind::ChangePlan) };
                change(world, subscription, wish).await;
            }
            _ => {}
        }
        world.prove().await;
    }
    assert!(changes > 3 && recorded > 100, "{changes} changes, {recorded} used");
    world.clock.set("2027-03-02T09:00:00Z".parse().unwrap());
    for on in ["2027-02-01", "2027-03-01"] {
        world.close_day(on).await;
    }
    world.prove().await;
    let billed: i64 = usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).sum();
    assert_eq!(billed, i64::try_from(recorded).unwrap() * 100);
    let open = windows(world, subscription).await;
    assert!(open.iter().filter(|window| window.events > 0).all(|window| window.state == WindowState::Billed));
}

async fn a_plan_that_saw_other_events_is_not_confirmed(world: &World) {
    let (contract, subscription) = metered(world, "U-10").await;
    recorded(world, readings(subscription)).await;
    let run = world.begin("2026-12-01", RunMode::WithConfirmation).await;
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let seen = world.plan(run.id, contract).await;
    recorded(world, vec![event("more", subscription, "2026-11-30T00:00:00Z", "1")]).await;
    let confirm = |hash: Option<String>| ConfirmPlan { plan_hash: hash.unwrap() };
    let refused = world.altyn.run_confirm(&world.request(), run.id, contract, confirm(seen.plan_hash)).await;
    assert_eq!(code(refused), "plan-changed");
    let seen = world.plan(run.id, contract).await;
    world.altyn.run_confirm(&world.request(), run.id, contract, confirm(seen.plan_hash)).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Done);
    assert_eq!(usage_charges(world, contract).await[0].amount_minor, 138_240);
    world.prove().await;
}

async fn two_hosts_that_record_and_bill_at_once_lose_nothing(world: &World) {
    let (contract, subscription) = metered(world, "U-11").await;
    let other = world.host(altyn_service::settings::Settings::default()).await;
    let (request, tenant) = (world.request(), world.tenant);
    let sender = tokio::spawn(async move {
        for n in 0..40 {
            let events =
                (0..5).map(|k| event(&format!("c{n}-{k}"), subscription, "2026-11-20T00:00:00Z", "1")).collect();
            let report = other.usage_ingest(&request, UsageEvents { events }).await.unwrap().value;
            assert_eq!(report.accepted, 5);
        }
        other.db.close().await;
    });
    let run = world.begin("2026-12-01", RunMode::Automatic).await;
    assert_eq!(world.altyn.run_advance(tenant, run.id, "test").await.unwrap(), Advanced::Done);
    sender.await.unwrap();
    world.close_day("2027-01-01").await;
    let charges = usage_charges(world, contract).await;
    // 200 used: 190 · 16 · 0.9, in one part or two.
    assert_eq!(charges.iter().map(|charge| charge.amount_minor).sum::<i64>(), 273_600, "{charges:?}");
    let window = windows(world, subscription).await.remove(0);
    assert_eq!((window.billed_events, window.events, window.state), (200, 200, WindowState::Billed));
    world.prove().await;
}

async fn meters_and_metered_components_are_checked(world: &World) {
    let traffic = meter(world, "traffic", Aggregation::Sum).await;
    let (altyn, request) = (&world.altyn, world.request());
    let again =
        CreateMeter { code: "traffic".into(), title: "x".into(), unit: "x".into(), aggregation: Aggregation::Max };
    assert_eq!(code(altyn.meter_create(&request, again).await), "duplicate-meter");
    let blank = CreateMeter { code: " ".into(), title: String::new(), unit: "x".into(), aggregation: Aggregation::Max };
    assert_eq!(code(altyn.meter_create(&request, blank).await), "invalid-request");
    let named = UpdateMeter { title: Some("Трафик".into()), unit: None };
    let updated = altyn.meter_update(&request, traffic, 1, named.clone()).await.unwrap().value;
    assert_eq!((updated.title.as_str(), updated.unit.as_str(), updated.version), ("Трафик", "GB", 2));
    assert_eq!(code(altyn.meter_update(&request, traffic, 1, named).await), "stale-version");

    let product = altyn.product_list(&request, &page()).await.unwrap().data.remove(0).id;
    let good = component(world, "usage", product, terms(traffic, "0", &[(None, "1")]));
    let wrong = [
        vec![CreateComponent { metered: None, ..good.clone() }],
        vec![CreateComponent { kind: None, ..good.clone() }],
        vec![CreateComponent { unit_price_minor: 1, ..good.clone() }],
        vec![CreateComponent { prepayment_percent: Some(50), ..good.clone() }],
        vec![CreateComponent { metered: Some(terms(MeterId(uuid::Uuid::max()), "0", &[(None, "1")])), ..good.clone() }],
        vec![CreateComponent { metered: Some(terms(traffic, "0", &[(Some("1"), "1")])), ..good.clone() }],
        vec![good.clone(), CreateComponent { code: "twice".into(), ..good.clone() }],
    ];
    for components in wrong {
        let version = CreatePlanVersion {
            existing_subscribers: None,
            effective_from: Some(day("2020-01-01")),
            cadence: Cadence::Months(1),
            currency: None,
            price_mode: PriceMode::Included,
            billing_day: None,
            stub: None,
            components,
        };
        let command =
            CreatePlan { visibility: None, code: "wrong".into(), title: "wrong".into(), status: None, version };
        assert_eq!(code(altyn.plan_create(&request, command.clone()).await), "invalid-request", "{command:?}");
    }
}

async fn another_tenants_use_is_not_seen(world: &World) {
    let (_, subscription) = metered(world, "U-12").await;
    let events = readings(subscription);
    recorded(world, events.clone()).await;
    let command = altyn_service::tenants::CreateTenant {
        name: "Реселлер".into(),
        locale: None,
        zone: None,
        currency: None,
        run_mode: None,
        run_at: None,
    };
    let child = world.altyn.tenant_create(&world.request(), command).await.unwrap().value.id;
    let request = altyn_service::Request::internal(child, "test");
    let report = world.altyn.usage_ingest(&request, UsageEvents { events }).await.unwrap().value;
    assert_eq!((report.accepted, report.refused.len()), (0, 5));
    assert!(report.refused.iter().all(|refused| refused.code == "unknown-meter"));
    let filter = EventFilter { subscription_id: subscription, meter: "traffic".into(), window_id: None };
    assert_eq!(code(world.altyn.usage_events(&request, &filter, &page()).await), "not-found");
    assert_eq!(code(world.altyn.usage_windows(&request, subscription, &page()).await), "not-found");
    let meter = world.altyn.meter_list(&world.request(), &page()).await.unwrap().data[0].id;
    assert_eq!(code(world.altyn.meter_get(&request, meter).await), "not-found");
}
