//! What becomes of unpaid subscriptions: grace, stop, return, deletion, by themselves or by a person.

use std::sync::Arc;

use altyn_domain::{
    change::ChangeKind,
    credit::PolicyScope,
    id::{ContractId, ManualOperationId, SubscriptionId},
    ledger::{About, AccountCode, Entry, Transaction, TransactionKind},
    money::Currency,
    run::RunMode,
    subscription::SubscriptionStatus::{self, Active, Deleted, Grace, Stopped},
    terms::{OperationKind, OperationState, TermMode},
};
use altyn_service::{
    Altyn,
    blocks::BlockView,
    changes::ChangeSubscription,
    credit::{CreateCreditPolicy, CreditAllowance},
    ledger::{PostTransaction, post_all},
    lives::{SubscriptionLifeView, TransitionView},
    manual_operations::{ManualOperationView, OperationFilter, RejectOperation},
    runs::{Advanced, ConfirmPlans, RejectPlan},
    service_terms::{AttachServiceTerm, SetServiceTerm},
    settings::Settings,
    verify::VerifyOptions,
};
use altyn_store::Scope;

use crate::world::{ODD, World, code, day, on_both_engines, page};

on_both_engines!(
    an_unpaid_subscription_goes_down_the_ladder_and_a_paid_one_does_not,
    who_pays_in_grace_or_after_the_stop_is_in_service_again,
    periods_that_pass_out_of_service_are_not_charged,
    nothing_is_stopped_while_periods_of_it_are_not_charged,
    a_manual_term_asks_once_and_nothing_happens_until_somebody_decides,
    a_rejected_operation_is_not_asked_for_again_and_a_new_debt_is,
    what_is_paid_meanwhile_is_withdrawn_and_not_done,
    a_hold_stops_whatever_the_mode_and_its_release_restores_the_status,
    an_administrative_block_takes_out_of_service_and_its_end_restores_the_status,
    what_begins_by_hand_and_lapsed_comes_back_lapsed_and_is_renewed_from_the_day,
    a_block_holds_what_was_served_and_not_charged_once_the_day_is_closed,
    what_was_served_is_charged_before_it_is_held_or_stopped_by_hand,
    a_promise_counts_where_the_term_says_so,
    a_financial_day_puts_the_grace_off,
    closing_a_closed_day_again_changes_nothing,
    a_close_goes_on_where_it_stopped_and_two_hosts_close_once,
    a_subscriptions_own_term_comes_before_its_plans,
    a_limit_of_the_whole_tenant_keeps_the_service_as_a_contracts_own_does,
    a_payment_returns_the_service_at_once,
);

/// Contract Д-00 pays 789.90 from 1 November for one subscription.
const PRICE: i64 = 78_990;

fn term(stop: TermMode, delete: TermMode) -> SetServiceTerm {
    SetServiceTerm {
        name: "Правила".into(),
        key: None,
        stop_mode: stop,
        delete_mode: delete,
        grace_days: 3,
        keep_days: 5,
        payable_by_promise: false,
        billing_day: None,
        delegated: false,
    }
}

/// Puts every plan that the contracts subscribe to under a term.
async fn under(world: &World, command: SetServiceTerm) {
    let request = world.request();
    let term = world.altyn.service_term_create(&request, command).await.unwrap().value.id;
    for plan in
        world.altyn.plan_list(&request, altyn_service::plans::PlanFilter::default(), &page()).await.unwrap().data
    {
        let version = world.altyn.plan_get(&request, plan.id).await.unwrap().version;
        let command = AttachServiceTerm { service_term_id: Some(term) };
        world.altyn.plan_service_term_set(&request, plan.id, version, command).await.unwrap();
    }
}

async fn first(world: &World) -> (ContractId, SubscriptionId) {
    let contract = world.contracts[0].id;
    (contract, world.subscriptions(contract).await[0].id)
}

/// Bills a day and closes it.
async fn close(world: &World, on: &str) {
    assert_eq!(world.begin(on, RunMode::Automatic).await.business_on, day(on));
    let worked = world.altyn.jobs_work(world.tenant, "test", world.altyn.clock.now()).await.unwrap();
    assert_eq!((worked.postponed, worked.dead), (0, 0), "{on}");
}

async fn close_through(world: &World, from: &str, through: &str) {
    let mut on = day(from);
    while on <= day(through) {
        close(world, &on.to_string()).await;
        on = on.succ_opt().unwrap();
    }
}

async fn life(world: &World, id: SubscriptionId) -> SubscriptionLifeView {
    world.altyn.subscription_life(&world.request(), id).await.unwrap()
}

async fn status(world: &World, id: SubscriptionId) -> SubscriptionStatus {
    life(world, id).await.status
}

async fn history(world: &World, id: SubscriptionId) -> Vec<TransitionView> {
    world.altyn.subscription_transitions(&world.request(), id, &page()).await.unwrap().data
}

async fn told(world: &World, id: SubscriptionId) -> Vec<(String, SubscriptionStatus, String)> {
    let steps = history(world, id).await;
    steps.into_iter().map(|step| (step.business_on.to_string(), step.to_status, step.cause)).collect()
}

/// Moves money on a contract's account: above zero is what the customer pays.
async fn post(world: &World, account: AccountCode, other: AccountCode, minor: i64, key: &str, on: &str) {
    let about = About { source_key: key.into(), effective_on: day(on), description: "test".into() };
    let entries = vec![Entry { account: other, amount_minor: minor }, Entry { account, amount_minor: -minor }];
    let posting = Transaction::try_new(about, TransactionKind::Adjustment, Currency::RUB, entries).unwrap();
    let mut tx = world.altyn.db.write(Scope::Tenant(world.tenant.0)).await.unwrap();
    let now = world.altyn.clock.now();
    assert_eq!(post_all(&mut tx, &*world.altyn.ids, world.tenant, now, &[posting]).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

async fn pay(world: &World, contract: ContractId, minor: i64, key: &str, on: &str) {
    post(world, AccountCode::ContractFunds(contract), AccountCode::Cash, minor, key, on).await;
}

async fn operations(world: &World, state: Option<OperationState>, of: SubscriptionId) -> Vec<ManualOperationView> {
    let filter = OperationFilter { state };
    let found = world.altyn.manual_operation_list(&world.request(), filter, &page()).await.unwrap().data;
    found.into_iter().filter(|operation| operation.subscription_id == of).collect()
}

async fn an_unpaid_subscription_goes_down_the_ladder_and_a_paid_one_does_not(world: &World) {
    under(world, term(TermMode::Auto, TermMode::Auto)).await;
    let (_, unpaid) = first(world).await;
    // Д-06 starts on 1 November as well, and has paid for two months ahead.
    let payer = world.contracts[ODD].id;
    let paid = world.subscriptions(payer).await[0].id;
    pay(world, payer, 2 * PRICE, "payer", "2026-11-01").await;
    close_through(world, "2026-11-01", "2026-11-03").await;
    let stands = life(world, unpaid).await;
    assert_eq!((stands.status, stands.unpaid_since), (Grace, Some(day("2026-11-01"))));
    assert_eq!(stands.stop_on, Some(day("2026-11-04")));
    close(world, "2026-11-04").await;
    let stands = life(world, unpaid).await;
    assert_eq!((stands.status, stands.stopped_on), (Stopped, Some(day("2026-11-05"))));
    assert_eq!(stands.delete_on, Some(day("2026-11-09")));
    close_through(world, "2026-11-05", "2026-11-08").await;
    assert_eq!(status(world, unpaid).await, Stopped);
    close(world, "2026-11-09").await;
    let expected = [
        ("2026-11-01", Grace, "unpaid"),
        ("2026-11-04", Stopped, "unpaid"),
        ("2026-11-09", Deleted, "kept-long-enough"),
    ];
    assert_eq!(told(world, unpaid).await, expected.map(|(on, to, why)| (on.to_owned(), to, why.to_owned())));
    assert_eq!(status(world, paid).await, Active);
    assert!(history(world, paid).await.is_empty());
    world.prove().await;
}

async fn who_pays_in_grace_or_after_the_stop_is_in_service_again(world: &World) {
    under(world, term(TermMode::Auto, TermMode::Auto)).await;
    let (contract, id) = first(world).await;
    close_through(world, "2026-11-01", "2026-11-02").await;
    pay(world, contract, PRICE - 1, "almost", "2026-11-03").await;
    close(world, "2026-11-03").await;
    assert_eq!(status(world, id).await, Grace, "a kopeck is missing");
    pay(world, contract, 1, "rest", "2026-11-04").await;
    close(world, "2026-11-04").await;
    assert_eq!(status(world, id).await, Active);
    assert_eq!(life(world, id).await.unpaid_since, None);
    close_through(world, "2026-11-05", "2026-12-04").await;
    assert_eq!(life(world, id).await.stopped_on, Some(day("2026-12-05")));
    pay(world, contract, PRICE, "december", "2026-12-06").await;
    close_through(world, "2026-12-05", "2026-12-06").await;
    let stands = life(world, id).await;
    assert_eq!((stands.status, stands.stopped_on, stands.resumed_on), (Active, None, None));
    close_through(world, "2026-12-07", "2027-01-01").await;
    // December was charged before the stop and stays charged whole; January falls due as ever.
    let charged: Vec<_> = world.charges().await.into_iter().filter(|((of, ..), _)| *of == id.0).collect();
    assert_eq!(charged.len(), 6, "two components, three months");
    assert!(charged.iter().all(|((.., period), charged)| charged.used.0 == *period), "{charged:?}");
    world.prove().await;
}

async fn periods_that_pass_out_of_service_are_not_charged(world: &World) {
    under(world, SetServiceTerm { keep_days: 3_000, ..term(TermMode::Auto, TermMode::Auto) }).await;
    let (contract, id) = first(world).await;
    close_through(world, "2026-11-01", "2027-01-19").await;
    assert_eq!(status(world, id).await, Stopped);
    pay(world, contract, PRICE, "november", "2027-01-20").await;
    close_through(world, "2027-01-20", "2027-01-21").await;
    let stands = life(world, id).await;
    assert_eq!(stands.resumed_on, Some(day("2027-01-21")), "in service from the day after the close");
    let mut charged: Vec<_> = world.charges().await.into_iter().filter(|((of, ..), _)| *of == id.0).collect();
    charged.sort_by_key(|((_, _, period), _)| *period);
    let periods: Vec<_> = charged.iter().map(|((_, _, period), charged)| (*period, charged.used)).collect();
    let november = (day("2026-11-01"), (day("2026-11-01"), day("2026-12-01")));
    let january = (day("2027-01-01"), (day("2027-01-21"), day("2027-02-01")));
    assert_eq!(periods, [november, november, january, january]);
    let part: i64 = charged[2..].iter().map(|(_, charged)| charged.amount).sum();
    // 590.00 · 11/31 = 209.35 and 199.90 · 11/31 = 70.93.
    assert_eq!(part, 20_935 + 7_093);
    // The bill of the return has its own grace.
    assert_eq!((stands.status, stands.unpaid_since), (Grace, Some(day("2027-01-21"))));
    world.prove().await;
}

async fn nothing_is_stopped_while_periods_of_it_are_not_charged(world: &World) {
    under(world, SetServiceTerm { keep_days: 3_000, ..term(TermMode::Auto, TermMode::Auto) }).await;
    let (contract, id) = first(world).await;
    close_through(world, "2026-11-01", "2026-11-02").await;
    // The plan with December is rejected, and the debt of November is old by now.
    let run = world.begin("2026-12-02", RunMode::WithConfirmation).await;
    let work = async || world.altyn.jobs_work(world.tenant, "test", world.altyn.clock.now()).await.unwrap();
    work().await;
    let command = RejectPlan { reason: "спор".into() };
    world.altyn.run_reject(&world.request(), run.id, contract, command).await.unwrap();
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    work().await;
    assert_eq!(status(world, id).await, Grace, "December was served up to now and is not charged");
    close(world, "2026-12-03").await;
    assert_eq!(status(world, id).await, Stopped, "it is charged now, and the debt is as old as it was");
    pay(world, contract, 2 * PRICE, "both", "2027-01-20").await;
    close(world, "2027-01-20").await;
    world.prove().await;
}

async fn a_manual_term_asks_once_and_nothing_happens_until_somebody_decides(world: &World) {
    under(world, term(TermMode::Manual, TermMode::Manual)).await;
    let (_, id) = first(world).await;
    close_through(world, "2026-11-01", "2026-11-20").await;
    assert_eq!(status(world, id).await, Grace);
    let asked = operations(world, None, id).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    let stop = &asked[0];
    assert_eq!(
        (stop.kind, stop.state, stop.since_on),
        (OperationKind::Stop, OperationState::Awaiting, day("2026-11-01"))
    );
    assert_eq!(stop.business_on, day("2026-11-04"));
    world.clock.set("2026-11-21T09:00:00Z".parse().unwrap());
    let request = world.request();
    let state = world.state().await;
    let seen = world.altyn.manual_operation_approve_preview(&request, stop.id).await.unwrap();
    assert_eq!((seen.outcome.state, seen.postings.len()), (OperationState::Approved, 0));
    assert_eq!((world.state().await, status(world, id).await), (state, Grace), "a preview changes nothing");
    let approved = world.altyn.manual_operation_approve(&request, stop.id).await.unwrap().value;
    assert_eq!((approved.state, approved.decided_by.as_deref()), (OperationState::Approved, Some("test")));
    let again = world.altyn.manual_operation_approve(&request, stop.id).await.unwrap().value;
    assert_eq!(again.decided_at, approved.decided_at, "approving again changes nothing");
    let stands = life(world, id).await;
    assert_eq!((stands.status, stands.stopped_on), (Stopped, Some(day("2026-11-21"))));
    let refused =
        world.altyn.manual_operation_reject(&request, stop.id, RejectOperation { reason: "нет".into() }).await;
    assert_eq!(code(refused), "manual-operation-decided");
    world.clock.set("2026-12-01T09:00:00Z".parse().unwrap());
    close_through(world, "2026-11-21", "2026-11-30").await;
    let asked = operations(world, Some(OperationState::Awaiting), id).await;
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].kind, asked[0].since_on), (OperationKind::Delete, day("2026-11-21")));
    world.altyn.manual_operation_approve(&request, asked[0].id).await.unwrap();
    assert_eq!(status(world, id).await, Deleted);
    let steps = history(world, id).await;
    assert_eq!(steps.last().unwrap().operation_id, Some(asked[0].id));
    let unknown = ManualOperationId(world.altyn.ids.next());
    assert_eq!(code(world.altyn.manual_operation_approve(&request, unknown).await), "not-found");
    world.prove().await;
}

async fn a_rejected_operation_is_not_asked_for_again_and_a_new_debt_is(world: &World) {
    under(world, term(TermMode::Manual, TermMode::Auto)).await;
    let (contract, id) = first(world).await;
    close_through(world, "2026-11-01", "2026-11-05").await;
    let asked = operations(world, None, id).await.remove(0);
    let request = world.request();
    let nothing = world.altyn.manual_operation_reject(&request, asked.id, RejectOperation { reason: " ".into() }).await;
    assert_eq!(code(nothing), "invalid-request");
    let reason = RejectOperation { reason: "заплатит в пятницу".into() };
    let rejected = world.altyn.manual_operation_reject(&request, asked.id, reason.clone()).await.unwrap().value;
    assert_eq!(rejected.reason.as_deref(), Some("заплатит в пятницу"));
    world.altyn.manual_operation_reject(&request, asked.id, reason).await.unwrap();
    assert_eq!(code(world.altyn.manual_operation_approve(&request, asked.id).await), "manual-operation-decided");
    close_through(world, "2026-11-06", "2026-11-10").await;
    assert_eq!(operations(world, None, id).await.len(), 1);
    assert_eq!(status(world, id).await, Grace);
    pay(world, contract, PRICE, "late", "2026-11-11").await;
    close_through(world, "2026-11-11", "2026-12-05").await;
    let asked = operations(world, Some(OperationState::Awaiting), id).await;
    assert_eq!(asked.len(), 1, "December's debt is another one");
    assert_eq!(asked[0].since_on, day("2026-12-01"));
}

async fn what_is_paid_meanwhile_is_withdrawn_and_not_done(world: &World) {
    under(world, term(TermMode::Manual, TermMode::Auto)).await;
    let (contract, id) = first(world).await;
    close_through(world, "2026-11-01", "2026-11-05").await;
    let asked = operations(world, None, id).await.remove(0);
    pay(world, contract, PRICE, "in-time", "2026-11-06").await;
    let late = world.altyn.manual_operation_approve_preview(&world.request(), asked.id).await;
    assert_eq!(code(late), "manual-operation-obsolete");
    let late = world.altyn.manual_operation_approve(&world.request(), asked.id).await;
    assert_eq!(code(late), "manual-operation-obsolete");
    let same = world.altyn.manual_operation_get(&world.request(), asked.id).await.unwrap();
    assert_eq!(same.state, OperationState::Awaiting, "a refusal writes nothing");
    assert_eq!(status(world, id).await, Grace);
    close(world, "2026-11-06").await;
    let same = world.altyn.manual_operation_get(&world.request(), asked.id).await.unwrap();
    assert_eq!((same.state, same.reason.as_deref()), (OperationState::Withdrawn, Some("it was paid")));
    assert_eq!(status(world, id).await, Active);
}

/// A hold or a release in a transaction of its own.
async fn held(world: &World, id: SubscriptionId, key: &str, hold: bool) -> bool {
    let mut tx = world.altyn.db.write(Scope::Tenant(world.tenant.0)).await.unwrap();
    let now = world.altyn.clock.now();
    let moved = if hold {
        world.altyn.subscription_hold(&mut tx, world.tenant, id, key, "по заявлению", now).await.unwrap()
    } else {
        world.altyn.subscription_release(&mut tx, world.tenant, id, key, now).await.unwrap()
    };
    tx.commit().await.unwrap();
    moved
}

async fn a_hold_stops_whatever_the_mode_and_its_release_restores_the_status(world: &World) {
    under(world, term(TermMode::Manual, TermMode::Manual)).await;
    let (_, unpaid) = first(world).await;
    let payer = world.contracts[ODD].id;
    let paid = world.subscriptions(payer).await[0].id;
    pay(world, payer, 9 * PRICE, "payer", "2026-11-01").await;
    close_through(world, "2026-11-01", "2026-11-02").await;
    world.clock.set("2026-11-03T09:00:00Z".parse().unwrap());
    for id in [unpaid, paid] {
        assert!(held(world, id, "block-1", true).await);
        assert!(!held(world, id, "block-1", true).await, "the same hold twice is one");
        assert!(held(world, id, "block-2", true).await);
        assert_eq!(status(world, id).await, Stopped);
        assert_eq!(life(world, id).await.holds.len(), 2);
    }
    assert_eq!(life(world, unpaid).await.held_from, Some(Grace));
    world.clock.set("2027-01-01T09:00:00Z".parse().unwrap());
    close_through(world, "2026-11-03", "2026-12-31").await;
    assert_eq!(status(world, unpaid).await, Stopped);
    world.clock.set("2027-01-11T09:00:00Z".parse().unwrap());
    for (id, restored) in [(unpaid, Grace), (paid, Active)] {
        assert!(held(world, id, "block-1", false).await);
        assert_eq!(status(world, id).await, Stopped, "another hold is left");
        assert!(held(world, id, "block-2", false).await);
        assert_eq!(status(world, id).await, restored);
        assert!(!held(world, id, "block-2", false).await);
    }
    close_through(world, "2027-01-01", "2027-01-11").await;
    // December passed out of service; January is charged from the release.
    let used: Vec<_> =
        world.charges().await.into_iter().filter(|((of, ..), _)| *of == paid.0).map(|(_, c)| c.used).collect();
    let (november, january) = ((day("2026-11-01"), day("2026-12-01")), (day("2027-01-11"), day("2027-02-01")));
    assert_eq!(used, [november, january]);
    world.prove().await;
}

async fn blocked(world: &World, wish: serde_json::Value) -> BlockView {
    let mut block = serde_json::json!({ "block_type": "administrative", "comment": "по заявлению" });
    block.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
    world.altyn.block_set(&world.request(), serde_json::from_value(block).unwrap()).await.unwrap().value
}

async fn an_administrative_block_takes_out_of_service_and_its_end_restores_the_status(world: &World) {
    under(world, term(TermMode::Manual, TermMode::Manual)).await;
    let (contract, unpaid) = first(world).await;
    let payer = world.contracts[ODD].id;
    let paid = world.subscriptions(payer).await[0].id;
    pay(world, payer, 9 * PRICE, "payer", "2026-11-01").await;
    close_through(world, "2026-11-01", "2026-11-02").await;
    world.clock.set("2026-11-03T09:00:00Z".parse().unwrap());
    let other = blocked(world, serde_json::json!({ "subscription_id": paid, "block_type": "fraud" })).await;
    assert_eq!(status(world, paid).await, Active, "another type changes access alone");
    let on_contract = blocked(world, serde_json::json!({ "contract_id": contract })).await;
    let on_one =
        blocked(world, serde_json::json!({ "subscription_id": paid, "ends_at": "2026-11-20T09:00:00Z" })).await;
    assert_eq!((status(world, unpaid).await, status(world, paid).await), (Stopped, Stopped));
    assert_eq!(life(world, unpaid).await.held_from, Some(Grace));
    assert_eq!(life(world, paid).await.holds[0].key, on_one.id.to_string());
    // Lifted by hand, and ended by itself.
    let why = || serde_json::from_value(serde_json::json!({ "comment": "снято" })).unwrap();
    world.altyn.block_lift(&world.request(), on_contract.id, why()).await.unwrap();
    assert_eq!(status(world, unpaid).await, Grace);
    world.clock.set("2026-11-20T09:30:00Z".parse().unwrap());
    let work = async || {
        let now = world.altyn.clock.now();
        world.altyn.jobs_work(world.tenant, "test", now).await.unwrap();
    };
    work().await;
    assert_eq!(status(world, paid).await, Active);
    world.altyn.block_lift(&world.request(), other.id, why()).await.unwrap();

    // One that begins later holds from then on.
    let later =
        blocked(world, serde_json::json!({ "subscription_id": paid, "starts_at": "2026-11-21T09:00:00Z" })).await;
    assert_eq!(status(world, paid).await, Active);
    world.clock.set("2026-11-21T09:30:00Z".parse().unwrap());
    work().await;
    assert_eq!(status(world, paid).await, Stopped);
    world.altyn.block_lift(&world.request(), later.id, why()).await.unwrap();
    assert_eq!(status(world, paid).await, Active);
    world.prove().await;
}

async fn what_begins_by_hand_and_lapsed_comes_back_lapsed_and_is_renewed_from_the_day(world: &World) {
    let payer = world.contracts[ODD].id;
    pay(world, payer, 9 * PRICE, "payer", "2026-11-01").await;
    let wish = serde_json::json!({ "contract_id": payer, "plan_code": world.subscriptions(payer).await[0].plan_code,
        "starts_on": "2026-11-01", "manual": true });
    let wish = serde_json::from_value(wish).unwrap();
    let by_hand = world.altyn.subscription_create(&world.request(), wish).await.unwrap().value;
    close_through(world, "2026-11-01", "2027-01-10").await;
    world.clock.set("2027-01-11T09:00:00Z".parse().unwrap());
    let block = blocked(world, serde_json::json!({ "subscription_id": by_hand.id })).await;
    assert_eq!(status(world, by_hand.id).await, Stopped);
    world.clock.set("2027-03-12T09:00:00Z".parse().unwrap());
    close_through(world, "2027-01-11", "2027-03-11").await;
    let why = serde_json::from_value(serde_json::json!({ "comment": "снято" })).unwrap();
    world.altyn.block_lift(&world.request(), block.id, why).await.unwrap();
    let back = world.altyn.subscription_get(&world.request(), by_hand.id).await.unwrap();
    assert_eq!((back.status, back.next_charge_on), (Active, by_hand.next_charge_on));
    world.prove().await;
    world.made(by_hand.id, &ChangeSubscription::of(ChangeKind::Renew)).await;
    let of = world.charges().await.into_iter().filter(|((of, ..), _)| *of == by_hand.id.0);
    let used: Vec<_> = of.map(|(_, charged)| charged.used).collect();
    assert_eq!(used.iter().map(|(from, _)| *from).collect::<Vec<_>>(), [day("2027-03-12")], "{used:?}");
    world.prove().await;
}

async fn a_block_holds_what_was_served_and_not_charged_once_the_day_is_closed(world: &World) {
    under(world, term(TermMode::Manual, TermMode::Manual)).await;
    let payer = world.contracts[ODD].id;
    let paid = world.subscriptions(payer).await[0].id;
    pay(world, payer, 9 * PRICE, "payer", "2026-11-01").await;
    close_through(world, "2026-11-01", "2026-11-30").await;
    world.clock.set("2026-12-04T09:00:00Z".parse().unwrap());
    blocked(world, serde_json::json!({ "contract_id": payer })).await;
    assert_eq!(status(world, paid).await, Active, "three days of December are not charged yet");
    let access = world.altyn.subscription_access(&world.request(), paid).await.unwrap();
    assert!(!access.allowed, "access is denied at once");
    world.close_day("2026-12-03").await;
    assert_eq!(status(world, paid).await, Stopped);
    world.prove().await;
}

async fn what_was_served_is_charged_before_it_is_held_or_stopped_by_hand(world: &World) {
    let keep_days = 3_000;
    under(world, SetServiceTerm { keep_days, ..term(TermMode::Manual, TermMode::Manual) }).await;
    let (contract, unpaid) = first(world).await;
    let payer = world.contracts[ODD].id;
    let paid = world.subscriptions(payer).await[0].id;
    pay(world, payer, 9 * PRICE, "payer", "2026-11-01").await;
    close_through(world, "2026-11-01", "2026-11-30").await;
    let request = world.request();
    let stop = operations(world, Some(OperationState::Awaiting), unpaid).await.remove(0);
    // Three days of December were served, and nobody closed them.
    world.clock.set("2026-12-04T09:00:00Z".parse().unwrap());
    let mut tx = world.altyn.db.write(Scope::Tenant(world.tenant.0)).await.unwrap();
    let now = world.altyn.clock.now();
    let hold = world.altyn.subscription_hold(&mut tx, world.tenant, paid, "block", "суд", now).await;
    assert_eq!(code(hold), "subscription-unbilled");
    tx.rollback().await.unwrap();
    assert_eq!(code(world.altyn.manual_operation_approve(&request, stop.id).await), "subscription-unbilled");
    assert_eq!((status(world, paid).await, status(world, unpaid).await), (Active, Grace));
    close_through(world, "2026-12-01", "2026-12-03").await;
    assert!(held(world, paid, "block", true).await);
    world.altyn.manual_operation_approve(&request, stop.id).await.unwrap();
    assert_eq!((status(world, paid).await, status(world, unpaid).await), (Stopped, Stopped));
    world.clock.set("2027-01-20T09:00:00Z".parse().unwrap());
    close_through(world, "2026-12-04", "2027-01-19").await;
    assert!(held(world, paid, "block", false).await);
    pay(world, contract, 2 * PRICE, "both", "2027-01-20").await;
    world.clock.set("2027-01-22T09:00:00Z".parse().unwrap());
    close_through(world, "2027-01-20", "2027-01-21").await;
    // November and December were begun and are charged whole, January from the return, nothing twice.
    let used = async |id: SubscriptionId| {
        let of = world.charges().await.into_iter().filter(|((of, ..), _)| *of == id.0);
        of.map(|(_, charged)| charged.used).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let (november, december) = ((day("2026-11-01"), day("2026-12-01")), (day("2026-12-01"), day("2027-01-01")));
    assert_eq!(used(paid).await, [november, december, (day("2027-01-20"), day("2027-02-01"))]);
    assert_eq!(used(unpaid).await, [november, december, (day("2027-01-21"), day("2027-02-01"))]);
    world.prove().await;
}

async fn a_promise_counts_where_the_term_says_so(world: &World) {
    under(world, SetServiceTerm { payable_by_promise: true, ..term(TermMode::Auto, TermMode::Auto) }).await;
    let (contract, promised) = first(world).await;
    let other = world.contracts[ODD].id;
    let strict = SetServiceTerm { name: "Строгие".into(), ..term(TermMode::Auto, TermMode::Auto) };
    let strict = world.altyn.service_term_create(&world.request(), strict).await.unwrap().value.id;
    let subscription = world.subscriptions(other).await.remove(0);
    let command = AttachServiceTerm { service_term_id: Some(strict) };
    let request = world.request();
    world.altyn.subscription_service_term_set(&request, subscription.id, subscription.version, command).await.unwrap();
    for (index, of) in [contract, other].into_iter().enumerate() {
        let key = format!("promise-{index}");
        post(world, AccountCode::ContractPromised(of), AccountCode::Promises, PRICE, &key, "2026-11-01").await;
    }
    close_through(world, "2026-11-01", "2026-11-04").await;
    assert_eq!(status(world, promised).await, Active);
    assert_eq!(status(world, subscription.id).await, Stopped);
    post(world, AccountCode::ContractPromised(contract), AccountCode::Promises, -PRICE, "over", "2026-11-05").await;
    close(world, "2026-11-05").await;
    assert_eq!(status(world, promised).await, Stopped, "the promise ended, and the debt is as old as the charge");
}

async fn a_financial_day_puts_the_grace_off(world: &World) {
    under(world, SetServiceTerm { billing_day: Some(10), ..term(TermMode::Auto, TermMode::Auto) }).await;
    let (_, id) = first(world).await;
    close_through(world, "2026-11-01", "2026-11-09").await;
    assert_eq!(status(world, id).await, Active);
    close(world, "2026-11-10").await;
    let stands = life(world, id).await;
    assert_eq!((stands.status, stands.unpaid_since), (Grace, Some(day("2026-11-10"))));
    close_through(world, "2026-11-11", "2026-11-13").await;
    assert_eq!(status(world, id).await, Stopped);
}

async fn closing_a_closed_day_again_changes_nothing(world: &World) {
    under(world, term(TermMode::Auto, TermMode::Manual)).await;
    close_through(world, "2026-11-01", "2026-11-10").await;
    let (_, stopped) = first(world).await;
    let before = world.state().await;
    for on in ["2026-11-10", "2026-11-04", "2026-11-01"] {
        world.altyn.subscriptions_close(world.tenant, day(on)).await.unwrap();
    }
    crate::world::same(&before, &world.state().await);
    world.prove().await;
    // A status that does not fit its life is found.
    let spoilt = "update subscriptions set status = 'active' where tenant_id = $1 and id = $2";
    assert_eq!(world.change(spoilt, (world.tenant.0, stopped.0)).await, 1);
    let report = world.altyn.verify(&world.request(), VerifyOptions { replay_percent: 0 }).await.unwrap();
    let broken: Vec<_> =
        report.rules.iter().filter(|rule| rule.violations > 0).map(|rule| rule.code.as_str()).collect();
    assert!(broken.contains(&"subscription-lives"), "{broken:?}");
}

async fn a_close_goes_on_where_it_stopped_and_two_hosts_close_once(world: &World) {
    under(world, SetServiceTerm { grace_days: 0, ..term(TermMode::Auto, TermMode::Auto) }).await;
    let run = world.begin("2026-11-20", RunMode::Automatic).await;
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    let hosts = [world.host(chunked(1)).await, world.host(chunked(3)).await];
    // One host does a part and stops: the checkpoint is behind its last chunk.
    let (tenant, on) = (world.tenant, day("2026-11-20"));
    let stopping = Arc::new(hosts[0].clone());
    let part = tokio::spawn(async move { stopping.subscriptions_close(tenant, on).await });
    tokio::task::yield_now().await;
    part.abort();
    let _ = part.await;
    let closing: Vec<_> = hosts
        .iter()
        .map(|host| {
            let host: Altyn = host.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    match host.subscriptions_close(tenant, on).await {
                        Ok(()) => return,
                        Err(error) => assert!(is_rivalry(&error), "{error:?}"),
                    }
                }
                panic!("the close never ended");
            })
        })
        .collect();
    for task in closing {
        task.await.unwrap();
    }
    let counted: Vec<(i64, i64)> =
        world.rows("select contracts, stopped from day_closes where tenant_id = $1", (world.tenant.0,)).await;
    let moved: Vec<(i64, i64)> = world
        .rows(
            "select count(*), count(distinct subscription_id) from subscription_transitions where tenant_id = $1",
            (world.tenant.0,),
        )
        .await;
    assert_eq!(moved[0].0, moved[0].1, "no subscription was stopped twice");
    assert_eq!(counted.len(), 1);
    assert_eq!(counted[0].1, moved[0].0);
    assert!(counted[0].0 > 10, "{counted:?}");
    for host in hosts {
        host.db.close().await;
    }
    world.prove().await;
}

fn chunked(size: u32) -> Settings {
    Settings { run_chunk: size, ..Settings::default() }
}

/// Whether hosts merely stood in each other's way.
fn is_rivalry(error: &altyn_service::ServiceError) -> bool {
    match error {
        altyn_service::ServiceError::Store(error) => error.is_transient(),
        error => error.code() == "busy",
    }
}

async fn a_subscriptions_own_term_comes_before_its_plans(world: &World) {
    under(world, SetServiceTerm { grace_days: 30, ..term(TermMode::Auto, TermMode::Auto) }).await;
    let (_, id) = first(world).await;
    let strict =
        SetServiceTerm { name: "Строгие".into(), grace_days: 0, ..term(TermMode::Auto, TermMode::Auto) };
    let request = world.request();
    let strict = world.altyn.service_term_create(&request, strict).await.unwrap().value.id;
    let set = async |term| {
        let version = world.altyn.subscription_get(&request, id).await.unwrap().version;
        let command = AttachServiceTerm { service_term_id: term };
        world.altyn.subscription_service_term_set(&request, id, version, command).await.unwrap();
    };
    set(Some(strict)).await;
    assert_eq!(life(world, id).await.service_term_id, Some(strict));
    close(world, "2026-11-01").await;
    assert_eq!(status(world, id).await, Stopped);
    let other = world.subscriptions(world.contracts[ODD].id).await[0].id;
    assert_eq!(status(world, other).await, Grace);
}

async fn a_limit_of_the_whole_tenant_keeps_the_service_as_a_contracts_own_does(world: &World) {
    under(world, term(TermMode::Auto, TermMode::Auto)).await;
    let (_, id) = first(world).await;
    let allowed = CreditAllowance { credit_limit_minor: Some(PRICE), ..CreditAllowance::default() };
    let policy = CreateCreditPolicy { scope: PolicyScope::Tenant, code: None, currency: None, allowed };
    world.altyn.credit_policy_create(&world.request(), policy).await.unwrap();
    close_through(world, "2026-11-01", "2026-11-05").await;
    let stands = life(world, id).await;
    assert_eq!((stands.status, stands.unpaid_since), (Active, None), "the debt is within the limit");
}

async fn a_payment_returns_the_service_at_once(world: &World) {
    under(world, term(TermMode::Auto, TermMode::Auto)).await;
    let (contract, id) = first(world).await;
    close_through(world, "2026-11-01", "2026-11-05").await;
    world.clock.set("2026-11-06T09:00:00Z".parse().unwrap());
    let receive = async |amount_minor: i64, key: &str| {
        let command = PostTransaction {
            source_key: key.into(),
            effective_on: day("2026-11-06"),
            currency: Currency::RUB,
            description: "a payment".into(),
            kind: TransactionKind::PaymentReceived,
            entries: vec![
                Entry { account: AccountCode::Cash, amount_minor },
                Entry { account: AccountCode::ContractFunds(contract), amount_minor: -amount_minor },
            ],
        };
        world.altyn.transaction_post(&world.request(), command).await.unwrap();
    };
    receive(PRICE - 1, "almost").await;
    assert_eq!(status(world, id).await, Stopped, "a kopeck is missing");
    receive(1, "rest").await;
    assert_eq!(status(world, id).await, Active);
    world.prove().await;
}
