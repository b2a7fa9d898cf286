//! Who must agree: two pairs of eyes, plans that a tenant's rules let pass, and who cares for what is parked.

use altyn_domain::{
    id::ContractId,
    run::{PlanState, RunMode, RunState},
};
use altyn_service::{
    Request, ServiceError,
    runs::{
        Advanced, ApprovalPolicyView, AssignPlan, BY_RULE, ConfirmPlan, ConfirmPlans, ParkedFilter, ParkedView,
        PlanView, RejectPlan, RunView, SetApprovalPolicy,
    },
};
use serde_json::json;

use crate::world::{World, buyer, code, on_both_engines, page};

on_both_engines!(
    two_confirm_one_plan,
    two_confirm_all_plans,
    a_plan_that_is_computed_anew_has_no_confirmation,
    a_rule_lets_small_plans_pass,
    a_rule_lets_usual_plans_pass,
    rules_are_checked_and_versioned,
    a_parked_contract_has_somebody_who_cares_for_it,
);

async fn rules(world: &World, rules: SetApprovalPolicy) -> ApprovalPolicyView {
    let version = world.altyn.approval_policy_get(&world.request()).await.unwrap().version;
    world.altyn.approval_policy_set(&world.request(), version, rules).await.unwrap().value
}

fn four_eyes() -> SetApprovalPolicy {
    SetApprovalPolicy { four_eyes: true, ..SetApprovalPolicy::default() }
}

/// Another person.
fn other(world: &World) -> Request {
    Request::internal(world.tenant, "other")
}

async fn propose(world: &World, on: &str) -> (RunView, Vec<PlanView>) {
    let run = world.begin(on, RunMode::WithConfirmation).await;
    world.advance(run.id).await;
    (world.run(run.id).await, world.plans(run.id, None).await)
}

async fn confirm(world: &World, by: &Request, run: &RunView, plan: &PlanView) -> Result<PlanView, ServiceError> {
    let command = ConfirmPlan { plan_hash: plan.plan_hash.clone().unwrap() };
    world.altyn.run_confirm(by, run.id, plan.contract_id, command).await.map(|reply| reply.value)
}

async fn two_confirm_one_plan(world: &World) {
    rules(world, four_eyes()).await;
    let (run, plans) = propose(world, "2026-11-10").await;
    let (one, reject) = (&plans[0], &plans[1]);
    let first = confirm(world, &world.request(), &run, one).await.unwrap();
    assert_eq!(
        (first.state, first.confirmed_by.as_deref(), first.decided_by),
        (PlanState::Awaiting, Some("test"), None)
    );
    assert_eq!(code(confirm(world, &world.request(), &run, one).await), "second-confirmation-needed");
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    assert!(world.charges().await.is_empty(), "one is not enough");

    let second = confirm(world, &other(world), &run, one).await.unwrap();
    let who = (second.confirmed_by.as_deref(), second.decided_by.as_deref());
    assert_eq!((second.state, who), (PlanState::Approved, (Some("test"), Some("other"))));
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    assert_eq!(world.plan(run.id, one.contract_id).await.state, PlanState::Done);

    // One is enough to stop something.
    confirm(world, &world.request(), &run, reject).await.unwrap();
    let no = RejectPlan { reason: "no".into() };
    let rejected = world.altyn.run_reject(&world.request(), run.id, reject.contract_id, no).await.unwrap().value;
    assert_eq!(rejected.state, PlanState::Rejected);
    assert_eq!(world.run(run.id).await.awaiting, run.awaiting - 2);
    world.prove().await;
}

async fn two_confirm_all_plans(world: &World) {
    rules(world, four_eyes()).await;
    let (run, plans) = propose(world, "2026-11-10").await;
    confirm(world, &other(world), &run, &plans[0]).await.unwrap();
    let all = |by: Request| {
        let altyn = world.altyn.clone();
        async move { altyn.run_confirm_all(&by, run.id, ConfirmPlans::default()).await }
    };
    all(world.request()).await.unwrap();
    let states: Vec<PlanState> = world.plans(run.id, None).await.iter().map(|plan| plan.state).collect();
    assert_eq!(states[0], PlanState::Approved, "somebody else had confirmed this one");
    assert!(states[1..].iter().all(|state| *state == PlanState::Awaiting), "{states:?}");
    world.advance(run.id).await;
    assert_eq!(code(all(world.request()).await), "second-confirmation-needed");
    all(other(world)).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    assert_eq!(world.run(run.id).await.state, RunState::Done);
    assert!(world.plans(run.id, None).await.iter().all(|plan| plan.state == PlanState::Done));
    world.prove().await;
}

async fn a_plan_that_is_computed_anew_has_no_confirmation(world: &World) {
    rules(world, four_eyes()).await;
    let (run, plans) = propose(world, "2026-11-10").await;
    let plan = plans.iter().find(|plan| plan.gross_minor > 0).unwrap();
    confirm(world, &world.request(), &run, plan).await.unwrap();
    let subscription = world.subscriptions(plan.contract_id).await[0].id;
    world.cancel(&world.altyn, subscription, "2026-11-21").await;
    assert_eq!(code(confirm(world, &other(world), &run, plan).await), "plan-changed");
    let anew = world.plan(run.id, plan.contract_id).await;
    assert_eq!((anew.state, anew.confirmed_by.as_deref()), (PlanState::Awaiting, None));
    // Whoever confirmed the old plan may be the first for the new one, and is not the second.
    confirm(world, &world.request(), &run, &anew).await.unwrap();
    assert_eq!(code(confirm(world, &world.request(), &run, &anew).await), "second-confirmation-needed");
    confirm(world, &other(world), &run, &anew).await.unwrap();
    world.advance(run.id).await;
    assert_eq!(world.plan(run.id, plan.contract_id).await.state, PlanState::Done);
    world.prove().await;
}

async fn a_rule_lets_small_plans_pass(world: &World) {
    let twin = world.twin().await;
    let (_, all) = propose(&twin, "2026-11-10").await;
    twin.end().await;
    let mut amounts: Vec<i64> = all.iter().map(|plan| plan.gross_minor).collect();
    amounts.sort_unstable();
    let bound = amounts[amounts.len() / 2];
    assert!(bound < amounts[amounts.len() - 1], "the books hold plans above and below the bound");
    rules(world, SetApprovalPolicy { largest_gross_minor: Some(bound), ..four_eyes() }).await;
    let (run, plans) = propose(world, "2026-11-10").await;
    assert_eq!(run.state, RunState::Awaiting);
    for plan in &plans {
        let passed = plan.gross_minor <= bound;
        let expected = if passed { (PlanState::Done, Some(BY_RULE)) } else { (PlanState::Awaiting, None) };
        assert_eq!((plan.state, plan.decided_by.as_deref()), expected, "{} of {bound}", plan.gross_minor);
    }
    let passed = i64::try_from(plans.iter().filter(|plan| plan.gross_minor <= bound).count()).unwrap();
    assert_eq!((run.awaiting, run.contracts), (run.contracts - passed, i64::try_from(plans.len()).unwrap()));
    world.prove().await;
}

async fn a_rule_lets_usual_plans_pass(world: &World) {
    let november = world.close_day("2026-11-10").await;
    let before = world.plans(november.id, Some(PlanState::Done)).await;
    let usual = before.iter().find(|plan| plan.gross_minor > 0).unwrap().contract_id;
    let cheaper = before.iter().rfind(|plan| plan.gross_minor > 0).unwrap().contract_id;
    assert_ne!(usual, cheaper);
    let stranger = world.import_contract("Д-90", "home-1m", 1, "2026-12-10").await;
    let ended = world.subscriptions(cheaper).await[0].id;
    world.cancel(&world.altyn, ended, "2026-12-20").await;
    rules(
        world,
        SetApprovalPolicy { largest_change_percent: Some(rust_decimal::Decimal::TEN), ..SetApprovalPolicy::default() },
    )
    .await;
    let (run, plans) = propose(world, "2026-12-10").await;
    let of = |contract: ContractId| plans.iter().find(|plan| plan.contract_id == contract).unwrap();
    assert_eq!((of(usual).state, of(usual).decided_by.as_deref()), (PlanState::Done, Some(BY_RULE)), "{:?}", of(usual));
    assert_eq!(of(cheaper).state, PlanState::Awaiting, "it pays much less than the month before: {:?}", of(cheaper));
    assert_eq!(of(stranger).state, PlanState::Awaiting, "nobody knows what is usual for it");
    for plan in &plans {
        let known = before.iter().find(|old| old.contract_id == plan.contract_id);
        let kept = plan.lines == 0
            || known.is_some_and(|old| (plan.gross_minor - old.gross_minor).abs() * 10 <= old.gross_minor.abs());
        assert_eq!(plan.state == PlanState::Done, kept, "{plan:?} after {known:?}");
    }
    assert_eq!(run.state, RunState::Awaiting);
    world.prove().await;
}

async fn rules_are_checked_and_versioned(world: &World) {
    let none = world.altyn.approval_policy_get(&world.request()).await.unwrap();
    assert_eq!((none.version, none.four_eyes, none.largest_gross_minor), (0, false, None));
    for wrong in [
        SetApprovalPolicy { largest_gross_minor: Some(-1), ..four_eyes() },
        SetApprovalPolicy { largest_change_percent: Some("-1".parse().unwrap()), ..four_eyes() },
        SetApprovalPolicy { largest_change_percent: Some("1.001".parse().unwrap()), ..four_eyes() },
        SetApprovalPolicy { largest_change_percent: Some("10000.01".parse().unwrap()), ..four_eyes() },
    ] {
        let refused = world.altyn.approval_policy_set(&world.request(), 0, wrong).await;
        assert!(matches!(refused, Err(ServiceError::Invalid(_))), "{refused:?}");
    }
    let set =
        rules(world, SetApprovalPolicy { largest_change_percent: Some("12.50".parse().unwrap()), ..four_eyes() }).await;
    assert_eq!((set.version, set.largest_change_percent), (1, Some("12.5".parse().unwrap())));
    let stale = world.altyn.approval_policy_set(&world.request(), 0, four_eyes()).await;
    assert!(matches!(stale, Err(ServiceError::Stale)), "{stale:?}");
    let cleared = rules(world, SetApprovalPolicy::default()).await;
    assert_eq!((cleared.version, cleared.four_eyes, cleared.largest_change_percent), (2, false, None));
    let (run, _) = propose(world, "2026-11-10").await;
    assert_eq!(run.state, RunState::Awaiting);
    assert!(world.charges().await.is_empty(), "cleared rules approve nothing");
}

async fn a_parked_contract_has_somebody_who_cares_for_it(world: &World) {
    let victim = world.contracts[crate::world::ODD].clone();
    world.bind("hostile-tax", json!({ "do": "trap", "only": buyer(&victim) })).await;
    let run = world.close_day("2026-11-28").await;
    let parked = |filter: ParkedFilter| {
        let (altyn, request) = (world.altyn.clone(), world.request());
        async move { altyn.parked_list(&request, filter, &page()).await.unwrap().data }
    };
    let of = |owner: &str| ParkedFilter { owner: Some(owner.to_owned()), unowned: false };
    let contracts = |found: &[ParkedView]| found.iter().map(|parked| parked.contract_id).collect::<Vec<_>>();
    let found = parked(ParkedFilter::default()).await;
    assert_eq!(contracts(&found), [victim.id]);
    assert_eq!((found[0].run_id, found[0].owner.as_deref(), found[0].attempts), (run.id, None, 1));
    assert!(found[0].call_id.is_some() && found[0].reason_code.as_deref() == Some("plugin-trap"), "{found:?}");

    let assign = |contract: ContractId, owner: Option<&str>| {
        let (altyn, request, owner) = (world.altyn.clone(), world.request(), owner.map(str::to_owned));
        async move { altyn.run_assign(&request, run.id, contract, AssignPlan { owner }).await.map(|reply| reply.value) }
    };
    assert_eq!(assign(victim.id, Some("m.orlova")).await.unwrap().owner.as_deref(), Some("m.orlova"));
    assert_eq!(contracts(&parked(of("m.orlova")).await), [victim.id]);
    assert!(parked(of("somebody")).await.is_empty());
    assert!(parked(ParkedFilter { owner: None, unowned: true }).await.is_empty());
    assert_eq!(code(assign(world.contracts[0].id, Some("x")).await), "plan-not-parked");
    assert!(matches!(assign(victim.id, Some(" ")).await, Err(ServiceError::Invalid(_))));

    // Another failed try keeps whoever cares for it; a run of a later day that fails takes its place in the queue.
    world.altyn.run_retry(&world.request(), run.id, victim.id).await.unwrap();
    let again = parked(of("m.orlova")).await;
    assert_eq!((again[0].attempts, contracts(&again)), (2, vec![victim.id]));
    let next = world.close_day("2026-11-29").await;
    let later = parked(ParkedFilter::default()).await;
    assert_eq!((contracts(&later), later[0].run_id), (vec![victim.id], next.id));

    // Once a run bills it, nobody needs to care.
    world.bind_good_plugins().await;
    world.close_day("2026-11-30").await;
    assert!(parked(ParkedFilter::default()).await.is_empty());
    world.prove().await;
}
