//! Another component is given a binding while it is asked: whoever asks gets an answer, of the one or of the other.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use altyn_domain::{
    binding::BindingChange,
    id::{BindingId, TenantId},
    numbering::Draft,
};
use altyn_runtime::{Digest, World as Point};
use altyn_service::{
    Altyn,
    bindings::{BindingView, CreateBinding, UpgradeBinding},
    canary::StartCanary,
    plugins::blocking,
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::world::{World, component, day, on_both_engines, page};

on_both_engines!(a_switch_under_load_fails_no_call);

/// Who asks at the same time, beside the run.
const CALLERS: usize = 4;
/// How often the binding goes through all kinds of switches, and how many runs there are meanwhile, at least.
const ROUNDS: usize = 2;
/// More days than this are not closed.
const MOST_RUNS: u64 = 40;

/// What the callers and those who switch tell each other.
#[derive(Default)]
struct Load {
    done: AtomicBool,
    calls: AtomicUsize,
    rounds: AtomicUsize,
    runs: AtomicUsize,
}

impl Load {
    fn enough(&self) -> bool {
        self.rounds.load(Ordering::Relaxed) >= ROUNDS && self.runs.load(Ordering::Relaxed) >= ROUNDS
    }
}

/// Asks what decides at the moment, as a run does, until it is told to end; answers which components it was.
async fn caller(altyn: Altyn, tenant: TenantId, contract: uuid::Uuid, load: Arc<Load>) -> BTreeSet<Digest> {
    let (on, now, mut seen) = (day("2026-11-28"), altyn.clock.now(), BTreeSet::new());
    while !load.done.load(Ordering::Relaxed) {
        let bound = altyn.bound(tenant, Point::NumberingScheme, on, now, "UTC", "ru").await;
        let deciding =
            bound.unwrap_or_else(|error| panic!("nothing decided during a switch: {error}")).of(contract).clone();
        let runtime = altyn.plugins.runtime();
        let draft = Draft {
            id: "0".into(),
            kind: "invoice".into(),
            seller: "s".into(),
            contract: "c".into(),
            issued_on: on,
            attributes: Vec::new(),
        };
        seen.insert(deciding.plugin.digest());
        let call = blocking(move || runtime.numbers(&deciding.plugin, &deciding.context, &[draft], &[1]));
        let result = call.await.unwrap().result;
        assert!(result.is_ok(), "a call failed during a switch: {result:?}");
        load.calls.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

impl World {
    async fn installed(&self, name: &str) -> String {
        self.altyn.plugin_install(&self.request(), component(name)).await.unwrap().value.digest
    }

    async fn upgrade(&self, binding: &BindingView, to: &str) -> BindingView {
        let command = UpgradeBinding { component: to.into(), config: Some(json!({})), existing: None };
        self.altyn.binding_upgrade(&self.request(), binding.id, binding.version, command).await.unwrap().value
    }

    async fn rollback(&self, id: BindingId) -> BindingView {
        let version = self.altyn.binding_get(&self.request(), id).await.unwrap().version;
        self.altyn.binding_rollback(&self.request(), id, version).await.unwrap().value
    }

    /// Upgrade, rollback, trial, promotion, rollback; after each, calls go on.
    async fn round(&self, id: BindingId, other: &str, load: &Load) {
        let before = self.altyn.binding_get(&self.request(), id).await.unwrap();
        let upgraded = self.upgrade(&before, other).await;
        assert_eq!(upgraded.component, other);
        more_calls(load).await;
        assert_eq!(self.rollback(id).await.component, before.component);
        more_calls(load).await;
        let command = StartCanary {
            component: other.into(),
            config: Some(json!({})),
            share_bp: 5_000,
            tenants: Vec::new(),
            most_fault_bp: 1_000,
            least_decisions: 5,
        };
        let trial = self.altyn.canary_start(&self.request(), id, command).await.unwrap().value;
        more_calls(load).await;
        // The trial's version moves while its decisions are counted.
        let mut promoted = self.altyn.canary_promote(&self.request(), id, trial.version).await;
        while promoted.as_ref().is_err_and(|error| error.code() == "stale-version") {
            let version = self.altyn.canary_get(&self.request(), id).await.unwrap().version;
            promoted = self.altyn.canary_promote(&self.request(), id, version).await;
        }
        promoted.unwrap();
        more_calls(load).await;
        assert_eq!(self.altyn.binding_get(&self.request(), id).await.unwrap().component, other);
        assert_eq!(self.rollback(id).await.component, before.component);
        more_calls(load).await;
    }
}

async fn more_calls(load: &Load) {
    let before = load.calls.load(Ordering::Relaxed);
    let more = async {
        while load.calls.load(Ordering::Relaxed) < before + CALLERS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), more).await.expect("calls go on after a switch");
}

async fn a_switch_under_load_fails_no_call(world: &World) {
    let other = world.installed("hostile-numbering").await;
    let present = world.installed("number-template").await;
    let config = json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" });
    let command = CreateBinding { component: present, config, priority: 0, effective_from: day("2026-01-01") };
    let id = world.altyn.binding_create(&world.request(), command).await.unwrap().value.id;
    let load = Arc::new(Load::default());
    let callers: Vec<JoinHandle<BTreeSet<Digest>>> = world.contracts[..CALLERS]
        .iter()
        .map(|contract| tokio::spawn(caller(world.altyn.clone(), world.tenant, contract.id.0, Arc::clone(&load))))
        .collect();
    let runs = async {
        let first = day("2026-11-28");
        for after in 0..MOST_RUNS {
            if load.enough() {
                break;
            }
            let on = first + chrono::Days::new(after);
            let run = world.close_day(&on.to_string()).await;
            assert_eq!(run.parked, 0, "the run of {on} parked somebody");
            load.runs.fetch_add(1, Ordering::Relaxed);
        }
    };
    let switches = async {
        while !load.enough() {
            world.round(id, &other, &load).await;
            load.rounds.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::join!(runs, switches);
    load.done.store(true, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    for caller in callers {
        seen.extend(caller.await.unwrap());
    }
    assert_eq!(seen.len(), 2, "both components decided");
    let changes = world.altyn.binding_history(&world.request(), id, &page()).await.unwrap().data;
    let of = |kind| changes.iter().filter(|change| change.kind == kind).count();
    assert!(of(BindingChange::Upgrade) >= 2 * ROUNDS && of(BindingChange::Rollback) >= 2 * ROUNDS, "{changes:?}");
    world.prove().await;
}
