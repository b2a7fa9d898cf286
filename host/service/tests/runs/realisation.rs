//! Realisation: what was provided becomes revenue and tax, once, on the day on which it ends.

use std::collections::BTreeMap;

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, ComponentKind, PlanStatus, StubPolicy},
    change::ChangeKind,
    charge::{ChargeKind, ChargeStatus},
    id::{ContractId, Id as _, ProductId},
    run::{PlanState, RunMode},
    tax::PriceMode,
};
use altyn_service::{
    changes::{ChangeSubscription, ExecuteChange},
    charges::{ChargeFilter, ChargeView},
    credits::CreditCharge,
    plans::{CreateComponent, CreatePlan, CreatePlanVersion},
    runs::{Advanced, ConfirmPlan, ConfirmPlans},
    settings::Settings,
    subscriptions::CreateSubscription,
};
use uuid::Uuid;

use crate::world::{World, code, day, on_both_engines, page, report, same_charges};

on_both_engines!(
    a_service_is_realised_at_the_close_of_its_last_day_and_once,
    what_was_given_back_is_not_realised,
    a_late_run_realises_all_that_ended_and_comes_to_the_same,
    a_contract_with_nothing_to_renew_is_visited,
    confirmed_realisations_are_those_that_were_shown,
    a_contract_that_is_set_aside_realises_nothing_until_it_is_tried_again,
    a_part_is_taken_in_advance_and_the_rest_at_the_end,
    what_is_charged_once_is_charged_with_the_first_period_in_full,
    what_is_charged_once_is_charged_once_when_two_periods_are_charged_together,
    what_is_charged_once_comes_with_a_renewal_by_hand_and_not_with_books_that_are_taken_over,
    what_is_charged_once_is_full_price_when_the_first_days_are_free_and_a_sum_is_off_the_rest,
    a_day_with_more_to_realise_than_to_renew_reads_each_of_both_once,
);

async fn charges_of(world: &World, contract: ContractId) -> Vec<ChargeView> {
    let filter = ChargeFilter { contract_id: Some(contract), ..ChargeFilter::default() };
    world.altyn.charge_list(&world.request(), filter, &page()).await.unwrap().data
}

/// Balances by group of accounts, debit positive.
async fn balances(world: &World) -> BTreeMap<String, i64> {
    let balance = world.altyn.trial_balance(&world.request()).await.unwrap();
    balance.lines.into_iter().map(|line| (line.group, line.balance_minor)).collect()
}

async fn balance_of(world: &World, contract: ContractId) -> i64 {
    world.altyn.contract_get(&world.request(), contract).await.unwrap().balance_minor
}

async fn a_service_is_realised_at_the_close_of_its_last_day_and_once(world: &World) {
    world.close_day("2026-11-01").await;
    let early = world.close_day("2026-11-29").await;
    let before = balances(world).await;
    assert!(early.realised > 0, "weeks end before the month does: {early:?}");
    let run = world.close_day("2026-11-30").await;
    world.prove().await;
    let after = balances(world).await;
    let moved = |group: &str| after.get(group).copied().unwrap_or(0) - before.get(group).copied().unwrap_or(0);
    assert_eq!(moved("revenue"), -run.realised_net_minor);
    assert_eq!(moved("tax-payable"), -run.realised_tax_minor);
    assert_eq!(run.realised_net_minor + run.realised_tax_minor, run.realised_gross_minor);
    assert_eq!(moved("deferred-revenue"), run.realised_gross_minor - run.gross_minor);
    let first = charges_of(world, world.contracts[0].id).await;
    assert!(first.iter().all(|charge| charge.status == ChargeStatus::Closed), "{first:?}");
    assert!(first.iter().all(|charge| charge.realised_on == Some(day("2026-11-30"))), "{first:?}");
    let realised: Vec<(i64,)> = world
        .rows("select count(*) from charges where tenant_id = $1 and realised_on = '2026-11-30'", (world.tenant.0,))
        .await;
    assert_eq!(realised[0].0, run.realised);

    let again = world.altyn.run_advance(world.tenant, run.id, "another").await.unwrap();
    assert_eq!(again, Advanced::Done);
    assert_eq!(balances(world).await, after);
}

async fn what_was_given_back_is_not_realised(world: &World) {
    world.close_day("2026-11-01").await;
    let charges = charges_of(world, world.contracts[0].id).await;
    let priced = |minor| charges.iter().find(|charge| charge.amount_minor == minor).unwrap();
    let (charge, other) = (priced(59_000), priced(19_990));
    let ask = |amount_minor| CreditCharge { amount_minor, reason: "простой".into(), credited_on: None };
    let (altyn, request) = (&world.altyn, world.request());
    altyn.charge_credit(&request, charge.id, ask(Some(29_500))).await.unwrap();
    altyn.charge_credit(&request, other.id, ask(None)).await.unwrap();
    world.close_day("2026-11-30").await;
    world.prove().await;
    let revenue = "select e.amount_minor from ledger_entries e
        join ledger_transactions t on t.tenant_id = e.tenant_id and t.id = e.transaction_id
        join ledger_accounts a on a.tenant_id = e.tenant_id and a.id = e.account_id
        where t.tenant_id = $1 and t.source_key = $2 and a.code like 'revenue/%'";
    let key = format!("realise/2026-11-30/{}", charge.contract_id);
    let posted: Vec<(i64,)> = world.rows(revenue, (world.tenant.0, key)).await;
    // 590.00 less 295.00 leaves 241.81 net, and nothing is left of the books.
    assert_eq!(posted, [(-24_181,)]);
    let other = altyn.charge_get(&request, other.id).await.unwrap();
    assert_eq!((other.status, other.realised_on), (ChargeStatus::Refunded, Some(day("2026-11-30"))));

    // From now on a credit takes revenue and tax back.
    let funds = balance_of(world, charge.contract_id).await;
    let late = altyn.charge_credit(&request, charge.id, ask(None)).await.unwrap().value;
    assert!(late.after_realisation);
    assert_eq!((late.net_minor, late.tax_minor), (24_181, 5_319));
    assert_eq!(balance_of(world, charge.contract_id).await, funds + 29_500);
    assert_eq!(altyn.charge_get(&request, charge.id).await.unwrap().status, ChargeStatus::Refunded);
    world.prove().await;
}

async fn a_late_run_realises_all_that_ended_and_comes_to_the_same(world: &World) {
    let late = world.twin().await;
    let mut realised = (0, 0, 0);
    for on in day("2026-11-01").iter_days().take_while(|on| *on <= day("2026-12-15")) {
        let run = world.close_day(&on.to_string()).await;
        realised =
            (realised.0 + run.realised, realised.1 + run.realised_net_minor, realised.2 + run.realised_tax_minor);
    }
    let run = late.close_day("2026-12-15").await;
    assert_eq!((run.realised, run.realised_net_minor, run.realised_tax_minor), realised);
    assert!(realised.0 > 40, "{realised:?}");
    assert_eq!(balances(world).await, balances(&late).await);
    same_charges(&world.charges().await, &late.charges().await);
    world.prove().await;
    late.prove().await;
    late.end().await;
}

async fn a_contract_with_nothing_to_renew_is_visited(world: &World) {
    world.close_day("2026-11-01").await;
    let contract = world.contracts[0].id;
    for subscription in world.subscriptions(contract).await {
        world.cancel(&world.altyn, subscription.id, "2026-12-01").await;
    }
    // The subscriptions are over on the first of December; what they had is realised the day before.
    let run = world.close_day("2026-11-30").await;
    let plan = world.plan(run.id, contract).await;
    assert_eq!((plan.state, plan.lines, plan.realised), (PlanState::Done, 0, 2));
    assert_eq!(plan.realised_gross_minor, 78_990);
    world.prove().await;
}

async fn confirmed_realisations_are_those_that_were_shown(world: &World) {
    let twin = world.twin().await;
    for world in [world, &twin] {
        world.close_day("2026-11-01").await;
    }
    let automatic = twin.close_day("2026-11-30").await;
    let run = world.begin("2026-11-30", RunMode::WithConfirmation).await;
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let contract = world.contracts[0].id;
    let shown = world.plan(run.id, contract).await;
    assert_eq!(shown.realised, 2);
    let effects = shown.effects.unwrap();
    assert_eq!(effects.realisations.len(), 2);

    // A credit in between changes the plan: the hash that was seen confirms nothing.
    let charge = charges_of(world, contract).await.remove(0);
    let ask = CreditCharge { amount_minor: Some(100), reason: "простой".into(), credited_on: None };
    world.altyn.charge_credit(&world.request(), charge.id, ask.clone()).await.unwrap();
    let before = balances(world).await;
    let old = ConfirmPlan { plan_hash: shown.plan_hash.unwrap() };
    assert_eq!(code(world.altyn.run_confirm(&world.request(), run.id, contract, old).await), "plan-changed");
    assert_eq!(balances(world).await, before);
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    let done = world.run(run.id).await;
    assert_eq!(done.realised_gross_minor, automatic.realised_gross_minor - 100);
    world.prove().await;

    // Without the credit the report is the automatic one.
    let twin_of_twin = world.twin().await;
    twin_of_twin.close_day("2026-11-01").await;
    let run = twin_of_twin.begin("2026-11-30", RunMode::WithConfirmation).await;
    assert_eq!(twin_of_twin.advance(run.id).await, Advanced::Awaiting);
    twin_of_twin.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(twin_of_twin.advance(run.id).await, Advanced::Done);
    assert_eq!(report(&twin_of_twin.run(run.id).await), report(&automatic));
    twin_of_twin.end().await;
    twin.end().await;
}

async fn a_contract_that_is_set_aside_realises_nothing_until_it_is_tried_again(world: &World) {
    world.close_day("2026-11-01").await;
    let contract = world.contracts[0].id;
    let ids = (world.tenant.0, contract.uuid());
    // A subscription that starts after its next period ends cannot be billed, and its contract is parked.
    let spoil = "update subscriptions set starts_on = '2027-06-01', next_charge_on = '2026-11-30'
        where tenant_id = $1 and contract_id = $2";
    assert_eq!(world.change(spoil, ids).await, 1);
    let run = world.close_day("2026-11-30").await;
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Parked);
    assert!(charges_of(world, contract).await.iter().all(|charge| charge.realised_on.is_none()));
    let mend = "update subscriptions set starts_on = '2026-11-01', next_charge_on = '2026-12-01'
        where tenant_id = $1 and contract_id = $2";
    assert_eq!(world.change(mend, ids).await, 1);
    let plan = world.altyn.run_retry(&world.request(), run.id, contract).await.unwrap().value;
    assert_eq!((plan.state, plan.realised), (PlanState::Done, 2));
    world.prove().await;
}

/// A plan of one month with the given components: code, kind, price, prepayment.
async fn plan(world: &World, code: &str, components: &[(&str, ComponentKind, i64, u8)]) {
    plan_with_stub(world, code, None, components).await;
}

async fn plan_with_stub(
    world: &World,
    code: &str,
    stub: Option<StubPolicy>,
    components: &[(&str, ComponentKind, i64, u8)],
) {
    let product = world.altyn.product_list(&world.request(), &page()).await.unwrap().data.remove(0).id;
    let components = components
        .iter()
        .map(|(code, kind, unit_price_minor, prepayment)| CreateComponent {
            included: None,
            min_quantity: None,
            max_quantity: None,
            code: (*code).into(),
            title: (*code).into(),
            kind: Some(*kind),
            product_id: ProductId::from_uuid(product.uuid()),
            unit_price_minor: *unit_price_minor,
            tax_category: Some("standard".into()),
            prepayment_percent: Some(*prepayment),
            metered: None,
        })
        .collect();
    let version = CreatePlanVersion {
        existing_subscribers: None,
        effective_from: Some(day("2020-01-01")),
        cadence: Cadence::Months(1),
        currency: None,
        price_mode: PriceMode::Included,
        billing_day: Some(BillingDay::Fixed(1)),
        stub,
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

async fn subscribe(world: &World, contract: ContractId, plan: &str, starts_on: &str) {
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
    world.altyn.subscription_create(&world.request(), command).await.unwrap();
}

async fn a_part_is_taken_in_advance_and_the_rest_at_the_end(world: &World) {
    let recurring = ComponentKind::Recurring;
    let components =
        [("before", recurring, 10_001, 100), ("third", recurring, 10_001, 33), ("after", recurring, 10_001, 0)];
    plan(world, "mixed-1m", &components).await;
    let contract = world.import_contract("М-1", "free-1m", 1, "2026-11-01").await;
    subscribe(world, contract, "mixed-1m", "2026-11-01").await;
    world.close_day("2026-11-01").await;
    // 100.01 whole, 33 % of 100.01 rounded, and nothing.
    assert_eq!(balance_of(world, contract).await, -(10_001 + 3_300));
    let charges = charges_of(world, contract).await;
    let mut told: Vec<_> =
        charges.iter().map(|charge| (charge.prepaid_minor, charge.status, charge.amount_minor)).collect();
    told.retain(|(.., amount)| *amount > 0);
    told.sort_unstable();
    let (opened, blocked) = (ChargeStatus::Opened, ChargeStatus::Blocked);
    assert_eq!(told, [(None, blocked, 10_001), (Some(0), opened, 10_001), (Some(3_300), opened, 10_001)]);
    world.prove().await;

    // What was never taken is given back first: no posting, and less is taken in the end.
    let third = charges.iter().find(|charge| charge.prepaid_minor == Some(3_300)).unwrap().id;
    let ask = |amount| CreditCharge { amount_minor: Some(amount), reason: "простой".into(), credited_on: None };
    let credit = world.altyn.charge_credit(&world.request(), third, ask(6_000)).await.unwrap().value;
    assert_eq!(credit.transaction_id, None);
    assert_eq!(balance_of(world, contract).await, -(10_001 + 3_300));
    let credit = world.altyn.charge_credit(&world.request(), third, ask(1_000)).await.unwrap().value;
    assert!(credit.transaction_id.is_some());
    assert_eq!(balance_of(world, contract).await, -(10_001 + 3_300 - 299));
    world.prove().await;

    let run = world.close_day("2026-11-30").await;
    assert_eq!(balance_of(world, contract).await, -(3 * 10_001 - 7_000));
    let plan = world.plan(run.id, contract).await;
    assert_eq!(plan.realised_gross_minor, 3 * 10_001 - 7_000);
    world.prove().await;
}

async fn what_is_charged_once_is_charged_with_the_first_period_in_full(world: &World) {
    let components = [
        ("monthly", ComponentKind::Recurring, 30_000, 100),
        ("connection", ComponentKind::SetUp, 50_000, 100),
        ("router", ComponentKind::OneOff, 200_000, 50),
    ];
    plan(world, "kit-1m", &components).await;
    let contract = world.import_contract("М-2", "free-1m", 1, "2026-11-01").await;
    subscribe(world, contract, "kit-1m", "2026-11-16").await;
    let run = world.close_day("2026-11-16").await;
    let charges: BTreeMap<_, _> = charges_of(world, contract)
        .await
        .into_iter()
        .filter(|charge| charge.amount_minor > 0)
        .map(|charge| (charge.kind, (charge.amount_minor, charge.used_start, charge.realised_on)))
        .collect();
    // Fifteen of thirty days of the month; the rest is charged whole and provided on the day.
    let (start, at_once) = (day("2026-11-16"), Some(day("2026-11-16")));
    let expected = [
        (ChargeKind::SetUp, (50_000, start, at_once)),
        (ChargeKind::Recurring, (15_000, start, None)),
        (ChargeKind::OneOff, (200_000, start, at_once)),
    ];
    assert_eq!(charges, expected.into_iter().collect());
    assert_eq!(balance_of(world, contract).await, -(15_000 + 50_000 + 200_000));
    assert_eq!(world.plan(run.id, contract).await.realised_gross_minor, 250_000);
    world.close_day("2026-12-01").await;
    assert_eq!(
        charges_of(world, contract).await.iter().filter(|charge| charge.kind != ChargeKind::Recurring).count(),
        2
    );
    world.prove().await;
}

async fn what_is_charged_once_is_charged_once_when_two_periods_are_charged_together(world: &World) {
    let components = [
        ("monthly", ComponentKind::Recurring, 30_000, 100),
        ("connection", ComponentKind::SetUp, 50_000, 100),
        ("router", ComponentKind::OneOff, 200_000, 100),
    ];
    plan_with_stub(world, "absorbing-1m", Some(StubPolicy::Absorb(10)), &components).await;
    let contract = world.import_contract("М-3", "free-1m", 1, "2026-11-01").await;
    subscribe(world, contract, "absorbing-1m", "2026-11-16").await;
    let run = world.close_day("2026-11-16").await;
    assert_eq!(run.parked, 0, "{:?}", world.plans(run.id, Some(PlanState::Parked)).await);
    let mut charged: Vec<_> =
        charges_of(world, contract).await.iter().map(|charge| (charge.used_start, charge.amount_minor)).collect();
    charged.retain(|(_, amount)| *amount > 0);
    charged.sort_unstable();
    // Fifteen of thirty days of November and what is charged once, and the whole December.
    let (start, december) = (day("2026-11-16"), day("2026-12-01"));
    assert_eq!(charged, [(start, 15_000), (start, 50_000), (start, 200_000), (december, 30_000)]);
    world.prove().await;
}

async fn what_is_charged_once_comes_with_a_renewal_by_hand_and_not_with_books_that_are_taken_over(world: &World) {
    let components = [
        ("connection", ComponentKind::SetUp, 50_000, 100),
        ("monthly", ComponentKind::Recurring, 30_000, 100),
        ("router", ComponentKind::OneOff, 200_000, 50),
    ];
    plan(world, "kit-1m", &components).await;
    // Charged by its own books when it began there.
    let taken_over = world.import_contract("М-4", "kit-1m", 1, "2026-12-01").await;
    let access = world.subscriptions(taken_over).await[0].id;
    let access = world.altyn.subscription_access(&world.request(), access).await.unwrap();
    assert!(access.allowed, "it is in service there before its first charge here: {access:?}");
    let contract = world.import_contract("М-5", "free-1m", 1, "2026-11-01").await;
    let wish = serde_json::json!({
        "contract_id": contract, "plan_code": "kit-1m", "starts_on": "2026-11-16", "manual": true
    });
    let wish = serde_json::from_value(wish).unwrap();
    let id = world.altyn.subscription_create(&world.request(), wish).await.unwrap().value.id;
    world.clock.set("2026-11-16T09:00:00Z".parse().unwrap());
    world.close_day("2026-11-16").await;
    let renew = async || {
        let change = ChangeSubscription::of(ChangeKind::Renew);
        let seen = world.altyn.change_preview(&world.request(), id, change.clone()).await.unwrap();
        let shown = seen.effects.charged_minor;
        let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: None };
        world.altyn.change_execute(&world.request(), id, command).await.unwrap();
        shown
    };
    assert_eq!(renew().await, 50_000 + 15_000 + 200_000);
    world.prove().await;
    assert_eq!(renew().await, 30_000, "and not again");
    world.clock.set("2026-12-02T09:00:00Z".parse().unwrap());
    world.close_day("2026-12-01").await;
    let mut told: Vec<_> = charges_of(world, contract)
        .await
        .into_iter()
        .filter(|charge| charge.amount_minor > 0)
        .map(|charge| (charge.kind, charge.used_start, charge.amount_minor, charge.realised_on.is_some()))
        .collect();
    told.sort_by_key(|told| (told.1, told.2));
    let (start, december) = (day("2026-11-16"), day("2026-12-01"));
    assert_eq!(
        told,
        [
            (ChargeKind::Recurring, start, 15_000, true),
            (ChargeKind::SetUp, start, 50_000, true),
            (ChargeKind::OneOff, start, 200_000, true),
            (ChargeKind::Recurring, december, 30_000, false),
        ]
    );
    let kinds: Vec<_> = charges_of(world, taken_over).await.into_iter().map(|charge| charge.kind).collect();
    assert_eq!(kinds, [ChargeKind::Recurring]);
    world.prove().await;
}

async fn what_is_charged_once_is_full_price_when_the_first_days_are_free_and_a_sum_is_off_the_rest(world: &World) {
    let components =
        [("connection", ComponentKind::SetUp, 50_000, 100), ("monthly", ComponentKind::Recurring, 30_000, 100)];
    plan_with_stub(world, "kit-1m", Some(StubPolicy::Free), &components).await;
    let contract = world.import_contract("М-6", "free-1m", 1, "2026-11-01").await;
    let wish = serde_json::json!({
        "contract_id": contract, "plan_code": "kit-1m", "starts_on": "2026-11-16", "discount_minor": 10_000
    });
    let wish = serde_json::from_value(wish).unwrap();
    let made = world.altyn.subscription_create(&world.request(), wish).await.unwrap().value;
    assert_eq!(made.period_price_minor, 20_000);
    for on in ["2026-11-16", "2026-12-01", "2027-01-01"] {
        world.close_day(on).await;
    }
    let mut told: Vec<_> = charges_of(world, contract)
        .await
        .into_iter()
        .filter(|charge| charge.subscription_id == made.id)
        .map(|charge| (charge.used_start, charge.amount_minor))
        .collect();
    told.sort_unstable();
    let start = day("2026-11-16");
    assert_eq!(told, [(start, 0), (start, 50_000), (day("2026-12-01"), 20_000), (day("2027-01-01"), 20_000)]);
    world.prove().await;
}

async fn a_day_with_more_to_realise_than_to_renew_reads_each_of_both_once(world: &World) {
    let twin = world.twin().await;
    for (world, chunk) in [(world, 1), (&twin, 1_000)] {
        let altyn = world.with_settings(Settings { run_chunk: chunk, ..Settings::default() });
        for on in ["2026-11-20", "2026-11-21", "2026-12-14", "2026-12-31"] {
            let run = world.begin(on, RunMode::Automatic).await;
            assert_eq!(altyn.run_advance(world.tenant, run.id, "test").await.unwrap(), Advanced::Done);
        }
    }
    let reports = |runs: Vec<altyn_service::runs::RunView>| runs.iter().map(report).collect::<Vec<_>>();
    let mine = world.altyn.run_list(&world.request(), &page()).await.unwrap().data;
    let others = twin.altyn.run_list(&twin.request(), &page()).await.unwrap().data;
    assert_eq!(reports(mine), reports(others));
    let open: Vec<(Uuid,)> = world
        .rows(
            "select id from charges where tenant_id = $1 and realised_on is null and realises_on <= '2026-12-31'",
            (world.tenant.0,),
        )
        .await;
    assert_eq!(open, []);
    world.prove().await;
    twin.end().await;
}
