//! A component on trial decides for its share and for nobody else, is counted, and is taken back when it fails.

use std::collections::{BTreeMap, BTreeSet};

use altyn_domain::{
    binding::{BindingChange, Inheritance},
    canary::{CanaryState, WHOLE_BP, is_chosen},
    change::ChangeKind,
    grant::LoweredLimits,
    id::{BindingId, ContractId, Id as _, RunId},
    run::{PlanState, RunMode, RunState},
};
use altyn_service::{
    Altyn, Request, ServiceError,
    bindings::{CreateBinding, ShareBinding, UpgradeBinding},
    canary::{CanaryView, ChangeCanary, StartCanary},
    changes::{ChangeSubscription, ExecuteChange},
    grants::SetGrant,
    runs::{Advanced, ConfirmPlan, StartRun},
    settings::Settings,
    tenants::CreateTenant,
    verify::VerifyOptions,
};
use altyn_store::Scope;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    operator::furnish,
    world::{CONTRACTS, World, code, component, day, on_both_engines, page, report, same_charges},
};

on_both_engines!(
    a_component_that_fails_at_once_leaves_no_trace_in_the_money,
    a_component_that_fails_now_and_then_is_taken_back_and_nobody_stays_parked,
    a_component_on_trial_decides_for_its_share_and_the_share_grows,
    a_trial_within_its_bound_goes_on_and_parks_what_it_fails,
    plans_of_a_component_whose_trial_is_over_are_not_confirmed,
    hosts_that_share_a_run_count_every_decision_once,
    a_trial_that_is_over_in_the_middle_of_a_run_decides_nothing_more,
    a_numbering_scheme_on_trial_leaves_no_gap,
    a_promoted_component_is_an_upgrade_with_a_way_back,
    a_binding_has_one_trial_and_no_other_component_meanwhile,
    a_change_by_a_component_on_trial_waits_when_it_fails,
    tenants_below_count_together_and_are_taken_back_together,
);

/// By then all contracts have something due.
const DAY: &str = "2026-11-28";

/// Installs a guest and answers its digest.
async fn installed(altyn: &Altyn, request: &Request, name: &str) -> String {
    altyn.plugin_install(request, component(name)).await.unwrap().value.digest
}

/// A binding that no other test has, so that nobody else's failures are remembered of it.
async fn bound(world: &World, name: &str, config: Value) -> BindingId {
    let component = installed(&world.altyn, &world.request(), name).await;
    let command = CreateBinding { component, config, priority: 0, effective_from: day("2026-01-01") };
    world.altyn.binding_create(&world.request(), command).await.unwrap().value.id
}

fn trial(component: String, config: Value, share_bp: i32) -> StartCanary {
    StartCanary {
        component,
        config: Some(config),
        share_bp,
        tenants: Vec::new(),
        most_fault_bp: 1_000,
        least_decisions: 5,
    }
}

impl World {
    async fn on_trial(&self, binding: BindingId, name: &str, config: Value, share_bp: i32) -> CanaryView {
        let component = installed(&self.altyn, &self.request(), name).await;
        let command = trial(component, config, share_bp);
        self.altyn.canary_start(&self.request(), binding, command).await.unwrap().value
    }

    async fn canary(&self, binding: BindingId) -> CanaryView {
        self.altyn.canary_get(&self.request(), binding).await.unwrap()
    }

    /// Which component taxed the lines of each contract, by its evidence.
    async fn taxed_by(&self, run: RunId) -> BTreeMap<ContractId, BTreeSet<String>> {
        let rows: Vec<(Uuid, Vec<u8>)> = self
            .rows(
                "select distinct i.contract_id, c.component_digest from invoices i
                join invoice_lines l on l.tenant_id = $1 and l.invoice_id = i.id
                join plugin_calls c on c.tenant_id = $1 and c.id = l.tax_call_id
                where i.tenant_id = $1 and i.run_id = $2",
                (self.tenant.0, run.0),
            )
            .await;
        let mut found: BTreeMap<ContractId, BTreeSet<String>> = BTreeMap::new();
        for (contract, digest) in rows {
            found.entry(ContractId(contract)).or_default().insert(hex::encode(digest));
        }
        found
    }

    /// The books are right, and every recorded call gives its recorded answer again.
    async fn prove_and_replay(&self) {
        self.prove().await;
        let report = self.altyn.verify(&self.request(), VerifyOptions { replay_percent: 100 }).await.unwrap();
        assert!(report.ok && report.calls_identical > 0, "{report:#?}");
    }

    async fn told_of_rollbacks(&self) -> Vec<Value> {
        let rows: Vec<(String,)> = self
            .rows(
                "select payload from outbox where tenant_id = $1 and kind = 'canary.rolled-back' order by id",
                (self.tenant.0,),
            )
            .await;
        rows.into_iter().map(|(payload,)| serde_json::from_str(&payload).unwrap()).collect()
    }
}

async fn a_component_that_fails_at_once_leaves_no_trace_in_the_money(world: &World) {
    let deeds = [
        ("ru-vat", json!({}), "hostile-tax", "trap"),
        ("ru-vat", json!({}), "hostile-tax", "wrong-sum"),
        ("day-ratio", json!({}), "hostile-proration", "loop"),
        ("number-template", json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" }), "hostile-numbering", "trap"),
    ];
    let undisturbed = world.twin().await;
    let expected = undisturbed.close_day(DAY).await;
    for (present, config, hostile, deed) in deeds {
        let world = world.twin().await;
        let binding = bound(&world, present, config).await;
        let started = world.on_trial(binding, hostile, json!({ "do": deed }), WHOLE_BP).await;
        assert_eq!((started.state, started.version, started.decisions), (CanaryState::Running, 1, 0));
        let run = world.close_day(DAY).await;
        assert_eq!(report(&run), report(&expected), "{hostile} {deed}");
        same_charges(&undisturbed.charges().await, &world.charges().await);
        let canary = world.canary(binding).await;
        assert_eq!((canary.state, canary.id, canary.version), (CanaryState::RolledBack, started.id, 2));
        assert!(canary.faults >= 5 && canary.decisions == canary.faults, "{canary:?}");
        assert_eq!(canary.finished_by.as_deref(), Some("run"));
        let reason = canary.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("more than 10.00 %") && reason.contains("cal_"), "{reason}");
        let told = world.told_of_rollbacks().await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0]["canary"], &told[0]["faults"]), (&json!(canary.id), &json!(canary.faults)));
        let kept: Vec<(i64,)> = world
            .rows(
                "select count(*) from plugin_calls where tenant_id = $1 and component_digest = $2",
                (world.tenant.0, hex::decode(&canary.component).unwrap()),
            )
            .await;
        assert!(kept[0].0 > 0, "the evidence of its faults is kept");
        world.prove_and_replay().await;
        world.end().await;
    }
    undisturbed.end().await;
}

async fn a_component_that_fails_now_and_then_is_taken_back_and_nobody_stays_parked(world: &World) {
    let binding = bound(world, "ru-vat", json!({})).await;
    // It taxes everything at 20 % and traps over what is exempt: eight contracts of forty.
    let component = installed(&world.altyn, &world.request(), "hostile-tax").await;
    let config = json!({ "do": "trap", "only": "exempt" });
    let command = StartCanary { least_decisions: 20, ..trial(component.clone(), config, WHOLE_BP) };
    world.altyn.canary_start(&world.request(), binding, command).await.unwrap();
    let run = world.close_day(DAY).await;
    let canary = world.canary(binding).await;
    assert_eq!(canary.state, CanaryState::RolledBack);
    assert!(canary.decisions >= 20 && canary.faults > 2 && canary.faults < canary.decisions, "{canary:?}");
    assert_eq!((run.state, run.parked), (RunState::Done, 0), "nobody stays parked");
    assert_eq!(world.plans(run.id, Some(PlanState::Done)).await.len(), CONTRACTS);
    assert_eq!(world.told_of_rollbacks().await.len(), 1);
    // What it decided well before stands and names it; what it parked was decided by the present one.
    let taxed = world.taxed_by(run.id).await;
    assert!(taxed.values().all(|by| by.len() == 1), "one component taxed all lines of a contract");
    let by_candidate = taxed.values().filter(|by| by.contains(&component)).count();
    assert!((1..CONTRACTS - 8).contains(&by_candidate), "{by_candidate} contracts were decided by it");
    let retried: Vec<_> = world
        .plans(run.id, None)
        .await
        .into_iter()
        .filter(|plan| plan.attempts > 1)
        .map(|plan| plan.contract_id)
        .collect();
    assert!(!retried.is_empty(), "some were parked by it first");
    assert!(retried.iter().all(|contract| !taxed[contract].contains(&component)));
    world.prove_and_replay().await;
    // The next day is the present component's alone.
    let next = world.close_day("2026-11-29").await;
    assert!(world.taxed_by(next.id).await.values().all(|by| !by.contains(&component)));
    assert_eq!(world.canary(binding).await.decisions, canary.decisions);
}

async fn a_component_on_trial_decides_for_its_share_and_the_share_grows(world: &World) {
    let binding = bound(world, "ru-vat", json!({})).await;
    let started = world.on_trial(binding, "hostile-tax", json!({}), 3_000).await;
    let mut before = BTreeSet::new();
    let (mut share_bp, mut version, mut decisions) = (3_000, started.version, 0);
    for on in ["2026-11-28", "2026-12-28", "2027-01-28"] {
        let run = world.close_day(on).await;
        assert_eq!(run.parked, 0);
        let taxed = world.taxed_by(run.id).await;
        let by: BTreeSet<ContractId> =
            taxed.iter().filter(|(_, by)| by.contains(&started.component)).map(|(contract, _)| *contract).collect();
        let chosen: BTreeSet<ContractId> =
            taxed.keys().copied().filter(|contract| is_chosen(binding, *contract, share_bp)).collect();
        assert_eq!(by, chosen, "{share_bp} basis points on {on}");
        assert!(by.is_superset(&before), "who was chosen stays chosen");
        let canary = world.canary(binding).await;
        assert_eq!((canary.state, canary.faults, canary.present_faults), (CanaryState::Running, 0, 0));
        assert!(canary.decisions >= decisions + i64::try_from(by.len()).unwrap(), "{canary:?}");
        assert_eq!(canary.version, version, "counting changes no version");
        (before, decisions) = (by, canary.decisions);
        share_bp = (share_bp * 2).min(WHOLE_BP);
        let change = ChangeCanary { share_bp: Some(share_bp), ..ChangeCanary::default() };
        assert_eq!(
            code(world.altyn.canary_change(&world.request(), binding, version + 7, change.clone()).await),
            "stale-version"
        );
        version = world.altyn.canary_change(&world.request(), binding, version, change).await.unwrap().value.version;
    }
    assert!(!before.is_empty());
    world.prove_and_replay().await;
}

async fn a_trial_within_its_bound_goes_on_and_parks_what_it_fails(world: &World) {
    let binding = bound(world, "ru-vat", json!({})).await;
    let component = installed(&world.altyn, &world.request(), "hostile-tax").await;
    let config = json!({ "do": "trap", "only": "exempt" });
    let command = StartCanary { most_fault_bp: 9_000, ..trial(component, config, WHOLE_BP) };
    world.altyn.canary_start(&world.request(), binding, command).await.unwrap();
    let run = world.close_day(DAY).await;
    let canary = world.canary(binding).await;
    assert_eq!((canary.state, canary.faults), (CanaryState::Running, run.parked));
    assert_eq!(run.parked, 8);
    let parked = world.plans(run.id, Some(PlanState::Parked)).await;
    assert!(parked.iter().all(|plan| plan.reason_code.as_deref() == Some("plugin-trap") && plan.call_id.is_some()));
    // Ended by hand: a retry is decided by the present component.
    world.altyn.canary_end(&world.request(), binding, canary.version).await.unwrap();
    for plan in &parked {
        let plan = world.altyn.run_retry(&world.request(), run.id, plan.contract_id).await.unwrap().value;
        assert_eq!(plan.state, PlanState::Done);
    }
    assert_eq!(world.run(run.id).await.parked, 0);
    world.prove_and_replay().await;
}

async fn plans_of_a_component_whose_trial_is_over_are_not_confirmed(world: &World) {
    let binding = bound(world, "ru-vat", json!({})).await;
    let started = world.on_trial(binding, "hostile-tax", json!({}), WHOLE_BP).await;
    let run = world.begin(DAY, RunMode::WithConfirmation).await;
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let contract = world.contracts[0].id;
    let seen = world.plan(run.id, contract).await;
    let pins = &seen.effects.as_ref().unwrap().plugins;
    assert!(pins.iter().any(|pin| hex::encode(pin.component.0) == started.component), "the plan names who decided");
    world.altyn.run_confirm_all(&world.request(), run.id, altyn_service::runs::ConfirmPlans::default()).await.unwrap();
    world.altyn.canary_end(&world.request(), binding, started.version).await.unwrap();
    // Approved plans are computed again before they are executed, and are others now.
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    assert!(world.charges().await.is_empty(), "nothing was executed by the word of what is over");
    let confirm = ConfirmPlan { plan_hash: seen.plan_hash.unwrap() };
    assert_eq!(code(world.altyn.run_confirm(&world.request(), run.id, contract, confirm).await), "plan-changed");
    let all = altyn_service::runs::ConfirmPlans::default();
    world.altyn.run_confirm_all(&world.request(), run.id, all).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    assert!(world.taxed_by(run.id).await.values().all(|by| !by.contains(&started.component)));
    world.prove_and_replay().await;
}

/// Works on a run until it is done, whoever else does.
async fn until_done(altyn: Altyn, tenant: altyn_domain::id::TenantId, run: RunId, owner: &'static str) {
    loop {
        match altyn.run_advance(tenant, run, owner).await {
            Ok(Advanced::Done) => return,
            Ok(Advanced::Busy) | Err(ServiceError::Conflict { code: "run-taken-over", .. }) => {}
            other => panic!("{owner}: {}", code(other)),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn hosts_that_share_a_run_count_every_decision_once(world: &World) {
    let quick = |run_chunk| Settings { run_chunk, run_lease_ms: 1, ..Settings::default() };
    let hosts = [world.host(quick(1)).await, world.host(quick(2)).await];
    let binding = bound(world, "ru-vat", json!({})).await;
    world.on_trial(binding, "hostile-tax", json!({}), 5_000).await;
    let run = world.begin(DAY, RunMode::Automatic).await;
    for (round, pause) in [3_u64, 11, 7, 23, 5, 17].into_iter().enumerate() {
        let (altyn, tenant, owner) = (hosts[round % 2].clone(), world.tenant, ["one", "other"][round % 2]);
        let working = tokio::spawn(async move { altyn.run_advance(tenant, run.id, owner).await });
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        working.abort();
        drop(working.await);
    }
    tokio::join!(
        until_done(hosts[0].clone(), world.tenant, run.id, "one"),
        until_done(hosts[1].clone(), world.tenant, run.id, "other"),
    );
    let canary = world.canary(binding).await;
    // One document a price mode of a contract is one decision, and each was saved once.
    let invoices = world.rows::<(i64,)>("select count(*) from invoices where tenant_id = $1", (world.tenant.0,)).await;
    assert_eq!(canary.decisions + canary.present_decisions, invoices[0].0, "{canary:?}");
    assert!(canary.decisions > 0 && canary.present_decisions > 0, "{canary:?}");
    world.prove_and_replay().await;
    for host in hosts {
        host.db.close().await;
    }
}

async fn a_trial_that_is_over_in_the_middle_of_a_run_decides_nothing_more(world: &World) {
    let slow = world.host(Settings { run_chunk: 1, ..Settings::default() }).await;
    let binding = bound(world, "ru-vat", json!({})).await;
    let started = world.on_trial(binding, "hostile-tax", json!({}), WHOLE_BP).await;
    let run = world.begin(DAY, RunMode::Automatic).await;
    let (altyn, tenant) = (slow.clone(), world.tenant);
    let working = tokio::spawn(async move { altyn.run_advance(tenant, run.id, "slow").await });
    while world.run(run.id).await.invoices == 0 {
        assert!(!working.is_finished(), "it ended with nothing done");
        tokio::task::yield_now().await;
    }
    // By the same host, where writers queue: SQLite lets another one wait until the run is over.
    let ended = slow.canary_end(&world.request(), binding, started.version).await.unwrap().value;
    let counted = world.canary(binding).await.decisions;
    assert_eq!(working.await.unwrap().unwrap(), Advanced::Done);
    assert_eq!(ended.state, CanaryState::Ended);
    assert_eq!(world.canary(binding).await.decisions, counted, "nothing is counted after the end");
    let taxed = world.taxed_by(run.id).await;
    let by_candidate = taxed.values().filter(|by| by.contains(&started.component)).count();
    assert!(by_candidate < taxed.len(), "the others were decided by the present component");
    assert!(i64::try_from(by_candidate).unwrap() <= counted);
    assert_eq!(world.run(run.id).await.parked, 0);
    world.prove_and_replay().await;
    slow.db.close().await;
}

async fn a_numbering_scheme_on_trial_leaves_no_gap(world: &World) {
    let config = json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" });
    let binding = bound(world, "number-template", config).await;
    let other = json!({ "template": "НОВ-{year}-{seq:8}", "reset": "yearly" });
    world.on_trial(binding, "number-template", other, 5_000).await;
    let run = world.close_day(DAY).await;
    assert_eq!(run.parked, 0);
    let numbers = world.numbers().await;
    let of = |start: &str| numbers.iter().filter(|(.., number)| number.starts_with(start)).count();
    assert!(of("НОВ-") > 0 && of("СЧ-") > 0 && of("НОВ-") + of("СЧ-") == numbers.len(), "{numbers:?}");
    let canary = world.canary(binding).await;
    assert_eq!(canary.decisions, 2 * i64::try_from(of("НОВ-")).unwrap(), "a sequence and a number each");
    world.prove_and_replay().await;
}

async fn a_promoted_component_is_an_upgrade_with_a_way_back(world: &World) {
    let binding = bound(world, "ru-vat", json!({})).await;
    let started = world.on_trial(binding, "hostile-tax", json!({}), 1_000).await;
    let (altyn, request) = (&world.altyn, world.request());
    assert_eq!(code(altyn.canary_promote(&request, binding, started.version + 1).await), "stale-version");
    assert_eq!(world.canary(binding).await.state, CanaryState::Running, "nothing is half promoted");
    let promoted = altyn.canary_promote(&request, binding, started.version).await.unwrap().value;
    assert_eq!((promoted.state, promoted.finished_by.as_deref()), (CanaryState::Promoted, Some("test")));
    let now = altyn.binding_get(&request, binding).await.unwrap();
    assert_eq!((&now.component, &now.config), (&started.component, &started.config));
    let kinds: Vec<_> = altyn
        .binding_history(&request, binding, &page())
        .await
        .unwrap()
        .data
        .iter()
        .map(|change| change.kind)
        .collect();
    assert_eq!(kinds, [BindingChange::Bind, BindingChange::Upgrade]);
    assert_eq!(code(altyn.canary_promote(&request, binding, promoted.version).await), "not-found");
    let run = world.close_day(DAY).await;
    assert!(world.taxed_by(run.id).await.values().all(|by| by.contains(&started.component)));
    let back = altyn.binding_rollback(&request, binding, now.version).await.unwrap().value;
    assert_ne!(back.component, started.component);
    assert_eq!(altyn.canary_list(&request, binding, &page()).await.unwrap().data, [promoted]);
    world.prove_and_replay().await;
}

async fn a_binding_has_one_trial_and_no_other_component_meanwhile(world: &World) {
    let (altyn, request) = (&world.altyn, world.request());
    let binding = bound(world, "ru-vat", json!({})).await;
    let hostile = installed(altyn, &request, "hostile-tax").await;
    let present = altyn.binding_get(&request, binding).await.unwrap();
    let start = |command: StartCanary| altyn.canary_start(&request, binding, command);
    assert_eq!(code(altyn.canary_get(&request, binding).await), "not-found");
    assert_eq!(code(altyn.canary_end(&request, binding, 1).await), "not-found");
    for (command, told) in [
        (trial(present.component.clone(), json!({}), 100), "what the binding has"),
        (trial(installed(altyn, &request, "day-ratio").await, json!({}), 100), "the binding is for"),
        (trial("00".repeat(32), json!({}), 100), "is not installed"),
        (trial("no digest".into(), json!({}), 100), "digest"),
        (trial(hostile.clone(), json!({ "do": "dance" }), 100), ""),
        (trial(hostile.clone(), json!([]), 100), "JSON object"),
        (trial(hostile.clone(), json!({}), 10_001), "basis points"),
        (trial(hostile.clone(), json!({}), -1), "basis points"),
        (StartCanary { most_fault_bp: 20_000, ..trial(hostile.clone(), json!({}), 1) }, "basis points"),
        (StartCanary { least_decisions: 0, ..trial(hostile.clone(), json!({}), 1) }, "between 1 and"),
        (
            StartCanary {
                tenants: vec![altyn_domain::id::TenantId(Uuid::from_u128(7))],
                ..trial(hostile.clone(), json!({}), 1)
            },
            "no tenant at or below",
        ),
    ] {
        let Err(ServiceError::Invalid(fields)) = start(command.clone()).await else { panic!("{command:?} was taken") };
        assert!(fields[0].message.contains(told), "{fields:?}");
    }
    assert_eq!(code(altyn.canary_get(&request, binding).await), "not-found", "nothing was written");
    let started = start(trial(hostile.clone(), json!({}), 100)).await.unwrap().value;
    assert_eq!(code(start(trial(hostile.clone(), json!({ "do": "ok" }), 100)).await), "canary-runs");
    let upgrade = UpgradeBinding { component: hostile.clone(), config: None, existing: None };
    assert_eq!(code(altyn.binding_upgrade(&request, binding, present.version, upgrade).await), "canary-runs");
    assert_eq!(altyn.binding_get(&request, binding).await.unwrap().version, present.version);

    let stranger =
        CreateTenant {
            name: "Другой".into(), locale: None, zone: None, currency: None, run_mode: None, run_at: None
        };
    let below = altyn.tenant_create(&request, stranger).await.unwrap().value;
    let below = Request::internal(below.id, "test");
    assert_eq!(code(altyn.canary_get(&below, binding).await), "not-found");
    assert_eq!(code(altyn.canary_list(&below, binding, &page()).await), "not-found");
    assert_eq!(code(altyn.canary_start(&below, binding, trial(hostile.clone(), json!({}), 1)).await), "not-found");
    assert_eq!(code(altyn.canary_change(&below, binding, 1, ChangeCanary::default()).await), "not-found");
    assert_eq!(code(altyn.canary_promote(&below, binding, 1).await), "not-found");
    assert_eq!(code(altyn.canary_end(&below, binding, 1).await), "not-found");
    assert_eq!(world.canary(binding).await, started, "nobody else touched it");

    altyn.binding_end(&request, binding, present.version).await.unwrap();
    let ended = world.canary(binding).await;
    assert_eq!((ended.state, ended.reason.as_deref()), (CanaryState::Ended, Some("the binding was ended")));
    assert_eq!(code(start(trial(hostile, json!({}), 1)).await), "binding-ended");
    let gateway = installed(altyn, &request, "pay-sandbox").await;
    let nothing = SetGrant {
        component: gateway.clone(),
        hosts: Vec::new(),
        secrets: Vec::new(),
        limits: LoweredLimits::default(),
    };
    altyn.grant_set(&request, nothing).await.unwrap();
    let command =
        CreateBinding { component: gateway.clone(), config: json!({}), priority: 0, effective_from: day("2026-01-01") };
    let gateway_binding = altyn.binding_create(&request, command).await.unwrap().value.id;
    let answer = altyn.canary_start(&request, gateway_binding, trial(gateway, json!({}), 1)).await;
    assert_eq!(code(answer), "invalid-request", "what it has already is on no trial, in a gateway neither");
}

async fn a_change_by_a_component_on_trial_waits_when_it_fails(world: &World) {
    let contract = world.import_contract("CN-1", "home-1m", 1, "2027-01-01").await;
    world.clock.set("2027-01-11T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-01").await;
    let subscription = world.subscriptions(contract).await.remove(0);
    let binding = bound(world, "ru-vat", json!({})).await;
    let started = world.on_trial(binding, "hostile-tax", json!({ "do": "trap" }), WHOLE_BP).await;
    let (altyn, request) = (&world.altyn, world.request());
    let change =
        ChangeSubscription { quantity: Some("3".into()), ..ChangeSubscription::of(ChangeKind::ChangeQuantity) };
    assert_eq!(code(altyn.change_preview(&request, subscription.id, change.clone()).await), "canary-fault");

    // With a trial that answers, what was seen is executed; by a trial that is over it is not.
    altyn.canary_end(&request, binding, started.version).await.unwrap();
    let good = world.on_trial(binding, "hostile-tax", json!({}), WHOLE_BP).await;
    let seen = altyn.change_preview(&request, subscription.id, change.clone()).await.unwrap();
    altyn.canary_end(&request, binding, good.version).await.unwrap();
    let command = ExecuteChange { change: change.clone(), plan_hash: seen.plan_hash, effects: Some(seen.effects) };
    assert_eq!(code(altyn.change_execute(&request, subscription.id, command).await), "change-moved");
    world.on_trial(binding, "hostile-tax", json!({}), WHOLE_BP).await;
    let seen = altyn.change_preview(&request, subscription.id, change.clone()).await.unwrap();
    let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: Some(seen.effects) };
    let done = altyn.change_execute(&request, subscription.id, command).await.unwrap().value;
    assert_eq!(done.state, "executed");
    let taxed: Vec<(Vec<u8>,)> = world
        .rows(
            "select c.component_digest from invoice_lines l
            join plugin_calls c on c.tenant_id = $1 and c.id = l.tax_call_id
            where l.tenant_id = $1 and l.invoice_id = $2",
            (world.tenant.0, done.invoice_id.unwrap().uuid()),
        )
        .await;
    assert!(!taxed.is_empty() && taxed.iter().all(|(digest,)| hex::encode(digest) == good.component));
    world.prove_and_replay().await;
}

/// Two dealers below the operator, who use its bindings; only the first is named by the trial at first.
async fn tenants_below_count_together_and_are_taken_back_together(world: &World) {
    let (altyn, request) = (&world.altyn, world.request());
    for (name, config) in
        [("day-ratio", json!({})), ("number-template", json!({ "template": "Д-{seq}", "reset": "never" }))]
    {
        share(world, bound(world, name, config).await).await;
    }
    let binding = bound(world, "ru-vat", json!({})).await;
    let mut dealers = Vec::new();
    for name in ["Первый", "Второй"] {
        let dealer = CreateTenant {
            name: name.into(),
            locale: None,
            zone: Some("Europe/Moscow".into()),
            currency: Some("RUB".into()),
            run_mode: None,
            run_at: None,
        };
        let dealer = Request::internal(altyn.tenant_create(&request, dealer).await.unwrap().value.id, "test");
        furnish(altyn, &dealer).await;
        dealers.push(dealer);
    }
    let hostile = installed(altyn, &request, "hostile-tax").await;
    let command = StartCanary {
        tenants: vec![dealers[0].tenant],
        least_decisions: 40,
        ..trial(hostile.clone(), json!({ "do": "trap", "only": "exempt" }), WHOLE_BP)
    };
    let told = altyn.canary_start(&request, binding, command.clone()).await;
    let Err(ServiceError::Invalid(fields)) = told else { panic!("it is not shared yet") };
    assert_eq!(fields[0].pointer, "/tenants/0", "{fields:?}");
    share(world, binding).await;
    let started = altyn.canary_start(&request, binding, command).await.unwrap().value;

    let close = async |dealer: &Request, on: &str| {
        let command = StartRun { business_on: day(on), mode: Some(RunMode::Automatic) };
        let run = altyn.run_start(dealer, command).await.unwrap().value;
        assert_eq!(altyn.run_advance(dealer.tenant, run.id, "host").await.unwrap(), Advanced::Done);
        altyn.run_get(dealer, run.id).await.unwrap()
    };
    // The first dealer is named: it fails for some, within what is borne so early.
    let run = close(&dealers[0], "2026-11-15").await;
    let canary = world.canary(binding).await;
    assert!(run.parked > 0 && canary.faults == run.parked && canary.decisions < 40, "{canary:?} {run:?}");
    // The second is not.
    assert_eq!(close(&dealers[1], "2026-11-15").await.parked, 0);
    assert_eq!(world.canary(binding).await, canary, "who is not named is not counted");
    // Now both are: what the second adds passes the bound for all.
    let all = ChangeCanary { tenants: Some(Vec::new()), ..ChangeCanary::default() };
    altyn.canary_change(&request, binding, started.version, all).await.unwrap();
    let other = world.host(Settings { run_chunk: 3, ..Settings::default() }).await;
    let command = StartRun { business_on: day("2026-11-28"), mode: Some(RunMode::Automatic) };
    let run = other.run_start(&dealers[1], command).await.unwrap().value;
    assert_eq!(other.run_advance(dealers[1].tenant, run.id, "other").await.unwrap(), Advanced::Done);
    assert_eq!(other.run_get(&dealers[1], run.id).await.unwrap().parked, 0);
    let canary = world.canary(binding).await;
    assert_eq!(canary.state, CanaryState::RolledBack, "{canary:?}");
    assert!(canary.decisions >= 40);
    let told = world.told_of_rollbacks().await;
    assert_eq!((told.len(), &told[0]["tenant"]), (1, &json!(dealers[1].tenant)), "the owner is told");
    // What the trial parked for the first is billed by the present component on the next day.
    assert_eq!(close(&dealers[0], "2026-11-16").await.parked, 0);
    for dealer in &dealers {
        let report = altyn.verify(dealer, VerifyOptions { replay_percent: 100 }).await.unwrap();
        assert!(report.ok, "{report:#?}");
    }
    let mut tx = altyn.db.read(Scope::Tenant(dealers[1].tenant.0)).await.unwrap();
    let kept: Vec<(i64,)> = tx
        .fetch_all(
            "select count(*) from plugin_calls where tenant_id = $1 and fault_code is not null",
            (dealers[1].tenant.0,),
        )
        .await
        .unwrap();
    assert!(kept[0].0 > 0, "the evidence is with the tenant who asked");
    drop(tx);
    other.db.close().await;
}

async fn share(world: &World, binding: BindingId) {
    let version = world.altyn.binding_get(&world.request(), binding).await.unwrap().version;
    let command = ShareBinding { inheritance: Inheritance::Optional, limits: LoweredLimits::default() };
    world.altyn.binding_share(&world.request(), binding, version, command).await.unwrap();
}
