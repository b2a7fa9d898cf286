//! Plans that wait for a person: nothing happens without a yes, and a yes is for exactly what was seen.

use altyn_domain::{
    credit::PolicyScope,
    id::{ContractId, RunId},
    run::{PlanState, RunMode, RunState},
};
use altyn_service::{
    IdempotencyKey, Request, ServiceError,
    credit::{CreateCreditPolicy, CreditAllowance, SetContractControl},
    runs::{Advanced, ConfirmPlan, ConfirmPlans, PlanFilter, PlanView, RejectPlan, RunView, StartRun},
};

use crate::world::{World, code, day, on_both_engines, page, report, same, same_charges};

on_both_engines!(
    plans_wait_and_a_confirmation_executes_one,
    a_plan_that_changed_since_it_was_seen_is_not_executed,
    a_plan_approved_with_others_is_executed_only_if_it_still_holds,
    a_rejected_plan_leaves_no_gap_and_may_be_retried,
    confirming_up_to_an_amount_leaves_the_larger_plans,
    the_report_is_the_same_with_confirmation_and_without,
    days_are_closed_in_order,
    an_awaiting_run_can_be_cancelled,
    a_run_whose_last_plan_owes_nothing_any_more_is_done,
    an_interrupted_run_is_not_closed_by_a_decision,
    plans_are_listed_and_confirmed_by_what_they_are_for,
    a_plan_whose_inputs_moved_is_shown_as_superseded_and_computed_on_demand,
);

/// Proposes the plans of a day.
async fn propose(world: &World, on: &str) -> (RunView, Vec<PlanView>) {
    let run = world.begin(on, RunMode::WithConfirmation).await;
    assert_eq!(run.state, RunState::Computing);
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let plans = world.plans(run.id, None).await;
    assert!(plans.iter().all(|plan| plan.state == PlanState::Awaiting), "{plans:#?}");
    (world.run(run.id).await, plans)
}

async fn confirm(world: &World, run: RunId, contract: ContractId, plan_hash: &str) -> Result<PlanView, ServiceError> {
    let command = ConfirmPlan { plan_hash: plan_hash.to_owned() };
    world.altyn.run_confirm(&world.request(), run, contract, command).await.map(|reply| reply.value)
}

fn hash(plan: &PlanView) -> &str {
    plan.plan_hash.as_deref().unwrap()
}

/// A plan of a contract that pays something.
fn paying(plans: &[PlanView]) -> &PlanView {
    plans.iter().find(|plan| plan.gross_minor > 0).unwrap()
}

async fn plans_wait_and_a_confirmation_executes_one(world: &World) {
    let before = world.state().await;
    let (run, plans) = propose(world, "2026-11-10").await;
    assert_eq!(
        (run.awaiting, run.contracts),
        (i64::try_from(plans.len()).unwrap(), i64::try_from(plans.len()).unwrap())
    );
    assert_eq!((run.charges, run.invoices, run.gross_minor), (0, 0, 0));
    let after: Vec<String> = world.state().await;
    let billed = |facts: &[String]| -> Vec<String> {
        let of_books =
            |fact: &&String| !fact.contains("run") && !fact.contains(" in jobs") && !fact.contains("RunView");
        facts.iter().filter(of_books).cloned().collect()
    };
    same(&billed(&before), &billed(&after));

    let chosen = paying(&plans).contract_id;
    let seen = world.plan(run.id, chosen).await;
    let effects = seen.effects.as_ref().unwrap();
    assert_eq!(effects.totals.gross.minor, seen.gross_minor);
    assert_eq!(i64::try_from(effects.lines.len()).unwrap(), seen.lines);

    let key = IdempotencyKey { key: "k".into(), request: "POST /confirm".into(), fingerprint: [7; 32] };
    let request = Request { key: Some(key), ..world.request() };
    let command = ConfirmPlan { plan_hash: hash(&seen).to_owned() };
    let first = world.altyn.run_confirm(&request, run.id, chosen, command.clone()).await.unwrap();
    assert_eq!((first.replayed, first.value.state), (false, PlanState::Approved));
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let again = world.altyn.run_confirm(&request, run.id, chosen, command).await.unwrap();
    assert!(again.replayed, "the same request again is answered as before");
    assert_eq!(code(confirm(world, run.id, chosen, hash(&seen)).await), "plan-decided");

    let done = world.plans(run.id, Some(PlanState::Done)).await;
    assert_eq!(done.iter().map(|plan| plan.contract_id).collect::<Vec<_>>(), [chosen]);
    assert_eq!(done[0].decided_by.as_deref(), Some("test"));
    let now = world.run(run.id).await;
    assert_eq!((now.invoices, now.gross_minor, now.awaiting), (1, seen.gross_minor, run.awaiting - 1));
    assert_eq!(world.charges().await.len(), usize::try_from(seen.lines).unwrap());
    world.prove().await;
}

async fn a_plan_that_changed_since_it_was_seen_is_not_executed(world: &World) {
    let (run, plans) = propose(world, "2026-11-10").await;
    let seen = paying(&plans);
    let chosen = seen.contract_id;
    assert_eq!(code(confirm(world, run.id, chosen, &"0".repeat(64)).await), "plan-changed");
    assert_eq!(world.plan(run.id, chosen).await.plan_hash, seen.plan_hash, "nothing changed but the caller's mind");

    let subscription = world.subscriptions(chosen).await[0].clone();
    world.cancel(&world.altyn, subscription.id, "2026-11-21").await;
    let Err(ServiceError::Conflict { code, details, .. }) = confirm(world, run.id, chosen, hash(seen)).await else {
        panic!("a plan that changed was confirmed");
    };
    assert_eq!(code, "plan-changed");
    let told = details.join("\n");
    assert!(told.contains(&format!("version of {}", subscription.id)) && told.contains("gross"), "{told}");
    assert!(world.charges().await.is_empty(), "nothing was executed");
    let new = world.plan(run.id, chosen).await;
    assert_eq!(new.state, PlanState::Awaiting);
    assert_ne!(new.plan_hash, seen.plan_hash);
    assert!(new.gross_minor < seen.gross_minor, "the new plan waits in its place: {new:?}");
    assert_eq!(crate::world::code(confirm(world, run.id, chosen, hash(seen)).await), "plan-changed");
    confirm(world, run.id, chosen, hash(&new)).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    assert_eq!(world.plan(run.id, chosen).await.state, PlanState::Done);
    let now = world.run(run.id).await;
    assert_eq!((now.invoices, now.gross_minor, now.contracts), (1, new.gross_minor, run.contracts));
    world.prove().await;
}

async fn a_plan_approved_with_others_is_executed_only_if_it_still_holds(world: &World) {
    let (run, plans) = propose(world, "2026-11-10").await;
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    let (changed, gone) = (paying(&plans).contract_id, paying(&plans[3..]).contract_id);
    world.cancel(&world.altyn, world.subscriptions(changed).await[0].id, "2026-11-21").await;
    for subscription in world.subscriptions(gone).await {
        world
            .change(
                "update subscriptions set status = 'stopped', version = version + 1 where tenant_id = $1 and id = $2",
                (world.tenant.0, subscription.id.0),
            )
            .await;
    }
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    assert_eq!(world.plan(run.id, changed).await.state, PlanState::Awaiting);
    assert_eq!(world.plan(run.id, gone).await.state, PlanState::Superseded);
    assert_eq!(world.plan(run.id, gone).await.reason_code.as_deref(), Some("nothing-due"));
    let now = world.run(run.id).await;
    let executed: i64 =
        plans.iter().filter(|plan| ![changed, gone].contains(&plan.contract_id)).map(|plan| plan.lines).sum();
    assert_eq!((now.awaiting, now.parked, now.charges), (1, 0, executed), "{now:?}");
    confirm(world, run.id, changed, hash(&world.plan(run.id, changed).await)).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    world.prove().await;
}

async fn a_rejected_plan_leaves_no_gap_and_may_be_retried(world: &World) {
    let (run, plans) = propose(world, "2026-11-10").await;
    let rejected: Vec<_> = plans.iter().step_by(3).map(|plan| plan.contract_id).collect();
    for contract in &rejected {
        let command = RejectPlan { reason: "спор".into() };
        let plan = world.altyn.run_reject(&world.request(), run.id, *contract, command).await.unwrap().value;
        assert_eq!((plan.state, plan.reason_code.as_deref()), (PlanState::Rejected, Some("rejected")));
    }
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    let now = world.run(run.id).await;
    let executed: i64 = plans.iter().filter(|plan| !rejected.contains(&plan.contract_id)).map(|plan| plan.lines).sum();
    assert_eq!(now.charges, executed);
    assert_eq!(now.state, RunState::Done);
    world.prove().await;
    for contract in &rejected {
        assert_eq!(world.plan(run.id, *contract).await.state, PlanState::Rejected);
    }

    // A retry proposes it again; it is not executed before somebody says so.
    let plan = world.altyn.run_retry(&world.request(), run.id, rejected[0]).await.unwrap().value;
    assert_eq!((plan.state, plan.reason_code.clone()), (PlanState::Awaiting, None));
    let reopened = world.run(run.id).await;
    assert_eq!((reopened.state, reopened.awaiting, reopened.invoices), (RunState::Awaiting, 1, now.invoices));
    assert_eq!(reopened.finished_at, None);
    confirm(world, run.id, rejected[0], hash(&plan)).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    let ended = world.run(run.id).await;
    assert_eq!((ended.invoices, ended.contracts), (now.invoices + 1, now.contracts));
    world.prove().await;
}

async fn confirming_up_to_an_amount_leaves_the_larger_plans(world: &World) {
    let (run, plans) = propose(world, "2026-11-10").await;
    let largest = 50_000;
    let command = ConfirmPlans { largest_gross_minor: Some(largest), ..ConfirmPlans::default() };
    world.altyn.run_confirm_all(&world.request(), run.id, command).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    for plan in world.plans(run.id, None).await {
        let expected = if plan.gross_minor <= largest { PlanState::Done } else { PlanState::Awaiting };
        assert_eq!(plan.state, expected, "{plan:?}");
    }
    assert!(
        plans.iter().any(|plan| plan.gross_minor <= largest) && plans.iter().any(|plan| plan.gross_minor > largest)
    );
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    let command = ConfirmPlans::default();
    assert_eq!(code(world.altyn.run_confirm_all(&world.request(), run.id, command).await), "run-not-awaiting");
    world.prove().await;
}

async fn the_report_is_the_same_with_confirmation_and_without(world: &World) {
    let automatic = world.twin().await;
    let expected = automatic.close_day("2026-11-17").await;
    let (run, plans) = propose(world, "2026-11-17").await;
    // Some by hand and the rest at once.
    for plan in plans.iter().take(3) {
        confirm(world, run.id, plan.contract_id, hash(plan)).await.unwrap();
        assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    }
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    assert_eq!(report(&world.run(run.id).await), report(&expected));
    same_charges(&automatic.charges().await, &world.charges().await);
    let told = |plans: Vec<PlanView>| -> Vec<String> {
        plans
            .iter()
            .map(|plan| format!("{} {} {:?} {}", plan.contract_id, plan.state, plan.plan_hash, plan.gross_minor))
            .collect()
    };
    let automatic_run = automatic.plans(expected.id, None).await;
    same(&told(automatic_run), &told(world.plans(run.id, None).await));
    world.prove().await;
    automatic.end().await;
}

async fn days_are_closed_in_order(world: &World) {
    let request = world.request();
    let start = |on: &str, mode| {
        let command = StartRun { business_on: day(on), mode };
        world.altyn.run_start(&request, command)
    };
    assert_eq!(code(start("2027-02-02", None).await), "day-not-over");
    let (run, _) = propose(world, "2026-11-02").await;
    assert_eq!(code(start("2026-11-03", None).await), "earlier-run-open");
    assert_eq!(code(start("2026-11-02", None).await), "run-exists");
    assert_eq!(code(start("2026-11-01", None).await), "day-closed");
    world.altyn.run_confirm_all(&request, run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    assert_eq!(code(start("2026-11-02", None).await), "run-exists");
    let next = start("2026-11-03", None).await.unwrap().value;
    assert_eq!(next.mode, RunMode::Automatic, "the tenant's mode");
    assert_eq!(code(start("2026-11-04", None).await), "earlier-run-open");
    assert_eq!(world.advance(next.id).await, Advanced::Done);
    world.prove().await;
}

async fn an_awaiting_run_can_be_cancelled(world: &World) {
    let (run, plans) = propose(world, "2026-11-10").await;
    let seen = paying(&plans);
    confirm(world, run.id, seen.contract_id, hash(seen)).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    world.altyn.run_cancel(&world.request(), run.id).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Cancelled);
    let now = world.run(run.id).await;
    assert_eq!((now.state, now.invoices), (RunState::Cancelled, 1), "what is billed stays billed");
    assert_eq!(code(confirm(world, run.id, plans[1].contract_id, hash(&plans[1])).await), "run-ended");
    world.prove().await;

    // The next day takes over what was left.
    let next = world.close_day("2026-11-11").await;
    assert!(next.invoices >= i64::try_from(plans.len()).unwrap() - 1, "{next:?}");
    world.prove().await;
}

async fn a_run_whose_last_plan_owes_nothing_any_more_is_done(world: &World) {
    let (run, plans) = propose(world, "2026-11-10").await;
    let last = paying(&plans);
    for plan in plans.iter().filter(|plan| plan.contract_id != last.contract_id) {
        let command = RejectPlan { reason: "спор".into() };
        world.altyn.run_reject(&world.request(), run.id, plan.contract_id, command).await.unwrap();
    }
    let stop =
        "update subscriptions set status = 'stopped', version = version + 1 where tenant_id = $1 and contract_id = $2";
    world.change(stop, (world.tenant.0, last.contract_id.0)).await;
    let Err(ServiceError::Conflict { code: "plan-changed", details, .. }) =
        confirm(world, run.id, last.contract_id, hash(last)).await
    else {
        panic!("a plan that owes nothing was confirmed");
    };
    assert_eq!(details, ["nothing is due any more"]);
    assert_eq!(world.plan(run.id, last.contract_id).await.state, PlanState::Superseded);
    let now = world.run(run.id).await;
    assert_eq!((now.state, now.awaiting, now.invoices), (RunState::Done, 0, 0));
    assert!(now.finished_at.is_some());
    world.prove().await;
}

async fn an_interrupted_run_is_not_closed_by_a_decision(world: &World) {
    // A host died after the first chunks of proposals.
    let run = world.begin("2026-11-28", RunMode::WithConfirmation).await;
    let twin = world.twin().await;
    let expected = twin.close_day("2026-11-28").await;
    let host =
        world.host(altyn_service::settings::Settings { run_chunk: 1, run_lease_ms: 1, ..Default::default() }).await;
    let (altyn, tenant) = (host.clone(), world.tenant);
    let working = tokio::spawn(async move { altyn.run_advance(tenant, run.id, "dies").await });
    while world.run(run.id).await.awaiting < 3 {
        tokio::task::yield_now().await;
    }
    working.abort();
    assert!(working.await.is_err(), "it came to its end before it died");
    host.db.close().await;
    assert_eq!(world.run(run.id).await.state, RunState::Computing);
    let seen = world.plans(run.id, Some(PlanState::Awaiting)).await;
    let wrong = "0".repeat(64);
    assert_eq!(code(confirm(world, run.id, seen[0].contract_id, &wrong).await), "run-in-progress");
    confirm(world, run.id, seen[0].contract_id, hash(&seen[0])).await.unwrap();

    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    assert_eq!(world.plans(run.id, None).await.len(), crate::world::CONTRACTS, "the others were proposed too");
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    assert_eq!(report(&world.run(run.id).await), report(&expected));
    same_charges(&twin.charges().await, &world.charges().await);
    world.prove().await;
    twin.end().await;
}

async fn plans_are_listed_and_confirmed_by_what_they_are_for(world: &World) {
    let (run, plans) = propose(world, "2026-11-10").await;
    let request = world.request();
    let listed = async |filter: PlanFilter| {
        let found = world.altyn.run_plans(&request, run.id, filter, &page()).await.unwrap().data;
        found.into_iter().map(|plan| plan.contract_id).collect::<Vec<_>>()
    };
    let confirmed = async |command: ConfirmPlans| {
        world.altyn.run_confirm_all(&request, run.id, command).await.unwrap();
        world.advance(run.id).await;
        let done = world.plans(run.id, Some(PlanState::Done)).await;
        done.into_iter().map(|plan| plan.contract_id).collect::<Vec<_>>()
    };
    let all: Vec<_> = plans.iter().map(|plan| plan.contract_id).collect();
    let of_seller = |seller_id| PlanFilter { seller_id: Some(seller_id), ..PlanFilter::default() };
    assert_eq!(listed(of_seller(world.seller)).await, all);
    let stranger = altyn_domain::id::SellerId(uuid::Uuid::from_u128(7));
    assert!(listed(of_seller(stranger)).await.is_empty());

    let product: Vec<(uuid::Uuid,)> =
        world.rows("select id from products where tenant_id = $1", (world.tenant.0,)).await;
    let of_product =
        PlanFilter { product_id: Some(altyn_domain::id::ProductId(product[0].0)), ..PlanFilter::default() };
    assert_eq!(listed(of_product).await, all, "all plans have components of the one product");

    let mut of_plan = Vec::new();
    let wanted = world.subscriptions(all[0]).await[0].plan_id;
    for contract in &all {
        if world.subscriptions(*contract).await.iter().any(|subscription| subscription.plan_id == wanted) {
            of_plan.push(*contract);
        }
    }
    assert!(of_plan.len() < all.len());
    assert_eq!(listed(PlanFilter { plan_id: Some(wanted), ..PlanFilter::default() }).await, of_plan);

    let chosen = *all.iter().find(|contract| !of_plan.contains(contract)).unwrap();
    let policy = CreateCreditPolicy {
        scope: PolicyScope::Group,
        code: Some("vip".into()),
        currency: None,
        allowed: CreditAllowance { credit_limit_minor: Some(1), ..CreditAllowance::default() },
    };
    world.altyn.credit_policy_create(&request, policy).await.unwrap();
    let vip = SetContractControl { group: Some("vip".into()), ..SetContractControl::default() };
    let version = world.altyn.contract_control_get(&request, chosen).await.unwrap().version;
    world.altyn.contract_control_set(&request, chosen, version, vip).await.unwrap();
    assert_eq!(listed(PlanFilter { group: Some("vip".into()), ..PlanFilter::default() }).await, [chosen]);
    assert!(listed(PlanFilter { channel: Some("vip".into()), ..PlanFilter::default() }).await.is_empty());

    let nobody = ConfirmPlans { channel: Some("web".into()), ..ConfirmPlans::default() };
    assert!(confirmed(nobody).await.is_empty());
    assert_eq!(confirmed(ConfirmPlans { group: Some("vip".into()), ..ConfirmPlans::default() }).await, [chosen]);
    let mut expected = of_plan.clone();
    expected.push(chosen);
    expected.sort_unstable();
    assert_eq!(confirmed(ConfirmPlans { plan_id: Some(wanted), ..ConfirmPlans::default() }).await, expected);
    let named: Vec<_> = all.iter().filter(|contract| !expected.contains(contract)).take(2).copied().collect();
    expected.extend(&named);
    expected.sort_unstable();
    assert_eq!(confirmed(ConfirmPlans { contract_ids: named, ..ConfirmPlans::default() }).await, expected);
    world.prove().await;
}

async fn a_plan_whose_inputs_moved_is_shown_as_superseded_and_computed_on_demand(world: &World) {
    let (run, plans) = propose(world, "2026-11-10").await;
    let seen = paying(&plans);
    let (moved, valid) = (seen.contract_id, plans.iter().find(|plan| plan.contract_id != seen.contract_id).unwrap());
    world.cancel(&world.altyn, world.subscriptions(moved).await[0].id, "2026-11-21").await;
    let shown = world.plan(run.id, moved).await;
    assert_eq!((shown.state, shown.reason_code.as_deref()), (PlanState::Superseded, Some("plan-moved")));
    let listed = world.plans(run.id, None).await;
    let superseded: Vec<_> = listed.iter().filter(|plan| plan.state == PlanState::Superseded).collect();
    assert_eq!(superseded.iter().map(|plan| plan.contract_id).collect::<Vec<_>>(), [moved]);
    let again = world.altyn.run_retry(&world.request(), run.id, moved).await.unwrap().value;
    assert_eq!(again.state, PlanState::Awaiting);
    assert_ne!(again.plan_hash, seen.plan_hash);
    assert_eq!(world.plan(run.id, moved).await.state, PlanState::Awaiting);
    let refused = world.altyn.run_retry(&world.request(), run.id, valid.contract_id).await;
    assert_eq!(code(refused), "plan-decided", "one that still holds is left alone");
    confirm(world, run.id, moved, hash(&again)).await.unwrap();
    world.advance(run.id).await;
    world.prove().await;
}
