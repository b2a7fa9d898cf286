//! Scheduled changes in a run with confirmation: nothing of them moves before a yes, and the outcome is that of a run that
//! asks nobody.

use altyn_domain::{
    change::{ChangeKind, Timing},
    id::{ContractId, RunId},
    run::{PlanStage, PlanState, RunMode},
};
use altyn_service::{
    Request,
    changes::{ChangeSubscription, ChangeView},
    error::ServiceError,
    runs::{Advanced, BY_RULE, ConfirmPlan, ConfirmPlans, PlanView, RejectPlan, RunView, SetApprovalPolicy},
};

use crate::{
    changes::wish,
    world::{World, code, day, on_both_engines, report, same},
};

on_both_engines!(
    nothing_of_a_scheduled_change_moves_before_somebody_confirms_it,
    a_rejected_change_stays_scheduled_and_a_later_run_makes_it,
    two_confirm_a_change_where_two_must,
    a_rule_passes_a_change_by_what_it_moves,
    a_change_that_waits_for_a_charge_is_shown_behind_the_day_of_the_same_run,
    a_change_that_cannot_be_made_fails_when_that_is_confirmed,
    a_change_withdrawn_since_it_was_seen_is_not_made,
);

const PLAN: &str = "home-1m";

/// A contract whose subscription takes four units instead of one on a day, wished on 11 January.
async fn waiting(world: &World, number: &str, on: &str) -> (ContractId, ChangeView) {
    let (contract, subscription) = world.billed(number, PLAN, "2027-01-01", "2027-01-11").await;
    let change = ChangeSubscription {
        on: Some(day(on)),
        timing: Some(Timing::Immediate),
        quantity: Some("4".into()),
        ..wish(ChangeKind::ChangeQuantity)
    };
    let change = world.made(subscription.id, &change).await;
    assert_eq!(change.state, "scheduled");
    world.clock.set(format!("{on}T20:00:00Z").parse().unwrap());
    (contract, change)
}

async fn propose(world: &World, on: &str) -> RunView {
    let run = world.begin(on, RunMode::WithConfirmation).await;
    world.advance(run.id).await;
    world.run(run.id).await
}

async fn confirm(world: &World, by: &str, run: RunId, plan: &PlanView) -> Result<PlanView, ServiceError> {
    let request = Request { credential: by.to_owned(), ..world.request() };
    let command = ConfirmPlan { plan_hash: plan.plan_hash.clone().unwrap() };
    world.altyn.run_confirm(&request, run, plan.contract_id, command).await.map(|reply| reply.value)
}

/// Confirms what waits until nothing does.
async fn confirm_all(world: &World, run: RunId) -> RunView {
    for _ in 0..5 {
        world.altyn.run_confirm_all(&world.request(), run, ConfirmPlans::default()).await.unwrap();
        if world.advance(run).await == Advanced::Done {
            return world.run(run).await;
        }
    }
    panic!("plans still wait: {:#?}", world.plans(run, Some(PlanState::Awaiting)).await);
}

async fn change(world: &World, seen: &ChangeView) -> ChangeView {
    world.altyn.change_get(&world.request(), seen.id).await.unwrap()
}

/// What the books hold.
async fn books(world: &World) -> Vec<String> {
    let of_books = |fact: &String| {
        ["ledger", "invoice", "charges", " by ", "goes on with", "is due on"].iter().any(|word| fact.contains(word))
            && !fact.contains("RunView")
    };
    world.state().await.into_iter().filter(of_books).collect()
}

async fn nothing_of_a_scheduled_change_moves_before_somebody_confirms_it(world: &World) {
    let automatic = world.twin().await;
    let (of_twin, made) = waiting(&automatic, "CS-1", "2027-01-20").await;
    let expected = automatic.close_day("2027-01-20").await;
    assert_eq!(change(&automatic, &made).await.state, "executed");

    let (contract, seen) = waiting(world, "CS-1", "2027-01-20").await;
    let before = books(world).await;
    let balance = world.balance(contract).await;
    let run = propose(world, "2027-01-20").await;
    same(&before, &books(world).await);
    assert_eq!(change(world, &seen).await.state, "scheduled");
    let plan = world.plan(run.id, contract).await;
    assert_eq!((plan.state, plan.stage, plan.lines), (PlanState::Awaiting, PlanStage::Changes, 0));
    let [shown] = plan.changes.as_slice() else { panic!("{plan:?}") };
    assert_eq!((shown.change_id, shown.effective_on), (seen.id, day("2027-01-20")));
    let effects = shown.effects.as_ref().unwrap();
    assert!(!effects.subscriptions[0].lines.is_empty() && !effects.postings.is_empty(), "{effects:?}");
    assert_eq!(plan.changes_minor, effects.charged_minor.max(effects.credited_minor));

    let wrong = PlanView { plan_hash: Some("0".repeat(64)), ..plan.clone() };
    assert_eq!(code(confirm(world, "test", run.id, &wrong).await), "plan-changed");
    same(&before, &books(world).await);
    confirm(world, "test", run.id, &plan).await.unwrap();
    world.advance(run.id).await;
    let done = change(world, &seen).await;
    assert_eq!((done.state.as_str(), done.plan_hash), ("executed", shown.plan_hash.clone()));
    assert_eq!((done.credited_minor, done.charged_minor), (effects.credited_minor, effects.charged_minor));
    assert_eq!(world.balance(contract).await, balance + effects.balance_minor, "exactly what was shown is posted");
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Done);

    let ended = confirm_all(world, run.id).await;
    assert_eq!(report(&ended), report(&expected));
    assert_eq!(world.balance(contract).await, automatic.balance(of_twin).await);
    world.prove().await;
    automatic.prove().await;
    automatic.end().await;
}

async fn a_rejected_change_stays_scheduled_and_a_later_run_makes_it(world: &World) {
    let (contract, seen) = waiting(world, "CS-2", "2027-01-20").await;
    let balance = world.balance(contract).await;
    let run = propose(world, "2027-01-20").await;
    let command = RejectPlan { reason: "спор".into() };
    world.altyn.run_reject(&world.request(), run.id, contract, command).await.unwrap();
    confirm_all(world, run.id).await;
    assert_eq!(change(world, &seen).await.state, "scheduled");
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Rejected);
    assert_eq!(world.balance(contract).await, balance);
    world.prove().await;
    // Tried again, it is shown once more and not made.
    let again = world.altyn.run_retry(&world.request(), run.id, contract).await.unwrap().value;
    assert_eq!((again.state, again.stage), (PlanState::Awaiting, PlanStage::Changes));
    assert_eq!(change(world, &seen).await.state, "scheduled");
    let command = RejectPlan { reason: "спор".into() };
    world.altyn.run_reject(&world.request(), run.id, contract, command).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);

    world.clock.set("2027-01-21T20:00:00Z".parse().unwrap());
    world.close_day("2027-01-21").await;
    assert_eq!(change(world, &seen).await.state, "executed");
    world.prove().await;
}

async fn two_confirm_a_change_where_two_must(world: &World) {
    let policy = SetApprovalPolicy { four_eyes: true, ..SetApprovalPolicy::default() };
    world.altyn.approval_policy_set(&world.request(), 0, policy).await.unwrap();
    let (contract, seen) = waiting(world, "CS-3", "2027-01-20").await;
    let before = books(world).await;
    let run = propose(world, "2027-01-20").await;
    let plan = world.plan(run.id, contract).await;
    let first = confirm(world, "anna", run.id, &plan).await.unwrap();
    assert_eq!((first.state, first.confirmed_by.as_deref()), (PlanState::Awaiting, Some("anna")));
    world.advance(run.id).await;
    same(&before, &books(world).await);
    assert_eq!(code(confirm(world, "anna", run.id, &plan).await), "second-confirmation-needed");
    confirm(world, "boris", run.id, &plan).await.unwrap();
    world.advance(run.id).await;
    assert_eq!(change(world, &seen).await.state, "executed");
    world.prove().await;
}

async fn a_rule_passes_a_change_by_what_it_moves(world: &World) {
    let (contract, seen) = waiting(world, "CS-4", "2027-01-20").await;
    let run = propose(world, "2027-01-20").await;
    let plan = world.plan(run.id, contract).await;
    assert!(plan.gross_minor == 0 && plan.changes_minor > 1, "{plan:?}");
    world.altyn.run_cancel(&world.request(), run.id).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Cancelled);
    assert_eq!(change(world, &seen).await.state, "scheduled");
    let rule = |largest| SetApprovalPolicy { largest_gross_minor: Some(largest), ..SetApprovalPolicy::default() };
    world.altyn.approval_policy_set(&world.request(), 0, rule(plan.changes_minor - 1)).await.unwrap();
    world.clock.set("2027-01-22T20:00:00Z".parse().unwrap());
    let run = propose(world, "2027-01-21").await;
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Awaiting, "it moves more than the rule lets pass");
    assert_eq!(change(world, &seen).await.state, "scheduled");
    world.altyn.run_cancel(&world.request(), run.id).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Cancelled);
    world.altyn.approval_policy_set(&world.request(), 1, rule(plan.changes_minor * 2)).await.unwrap();
    let run = propose(world, "2027-01-22").await;
    assert_eq!(change(world, &seen).await.state, "executed");
    assert_eq!(world.plan(run.id, contract).await.decided_by.as_deref(), Some(BY_RULE));
    world.prove().await;
}

async fn a_change_that_waits_for_a_charge_is_shown_behind_the_day_of_the_same_run(world: &World) {
    let automatic = world.twin().await;
    let (of_twin, made) = waiting(&automatic, "CS-5", "2027-02-10").await;
    let expected = automatic.close_day("2027-02-10").await;
    assert_eq!(change(&automatic, &made).await.state, "executed");

    let (contract, seen) = waiting(world, "CS-5", "2027-02-10").await;
    let run = propose(world, "2027-02-10").await;
    let day_plan = world.plan(run.id, contract).await;
    assert_eq!((day_plan.stage, day_plan.state), (PlanStage::Day, PlanState::Awaiting), "February is charged first");
    confirm(world, "test", run.id, &day_plan).await.unwrap();
    world.advance(run.id).await;
    assert_eq!(change(world, &seen).await.state, "scheduled");
    let behind = world.plan(run.id, contract).await;
    assert_eq!((behind.stage, behind.state), (PlanStage::ChangesAfter, PlanState::Awaiting));
    assert_eq!(
        (behind.lines, behind.gross_minor),
        (day_plan.lines, day_plan.gross_minor),
        "what was billed stays told"
    );
    world.prove().await;
    let ended = confirm_all(world, run.id).await;
    assert_eq!(change(world, &seen).await.state, "executed");
    assert_eq!(report(&ended), report(&expected));
    assert_eq!(world.balance(contract).await, automatic.balance(of_twin).await);
    world.prove().await;
    automatic.end().await;
}

async fn a_change_that_cannot_be_made_fails_when_that_is_confirmed(world: &World) {
    let (contract, seen) = waiting(world, "CS-6", "2027-01-20").await;
    world.bind("hostile-proration", serde_json::json!({ "do": "trap" })).await;
    let run = propose(world, "2027-01-20").await;
    let plan = world.plan(run.id, contract).await;
    assert_eq!((plan.stage, plan.state), (PlanStage::Changes, PlanState::Awaiting), "{plan:?}");
    assert!(plan.changes[0].effects.is_none() && plan.changes[0].reason_code.as_deref() == Some("plugin-refused"));
    assert_eq!(change(world, &seen).await.state, "scheduled");
    confirm(world, "test", run.id, &plan).await.unwrap();
    world.advance(run.id).await;
    assert_eq!(change(world, &seen).await.state, "failed");
    world.bind_good_plugins().await;
    world.prove().await;
}

async fn a_change_withdrawn_since_it_was_seen_is_not_made(world: &World) {
    let (contract, seen) = waiting(world, "CS-7", "2027-01-20").await;
    let balance = world.balance(contract).await;
    let run = propose(world, "2027-01-20").await;
    let plan = world.plan(run.id, contract).await;
    // Approved with all others, and withdrawn before a host comes to it.
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    world.altyn.change_withdraw(&world.request(), seen.id).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    assert_eq!(change(world, &seen).await.state, "cancelled");
    assert_eq!(world.balance(contract).await, balance);
    assert_eq!(code(confirm(world, "test", run.id, &plan).await), "plan-decided");
    world.prove().await;
}
