//! Several hosts and many callers at once: the effect is that of one.

use std::{collections::BTreeSet, time::Duration};

use altyn_domain::{
    id::RunId,
    run::{PlanState, RunMode, RunState},
};
use altyn_service::{
    Altyn, IdempotencyKey, Request, ServiceError,
    ports::{Clock as _, SystemClock},
    runs::{Advanced, RunView, StartRun},
    settings::Settings,
};
use altyn_store::{Engine, Scope, runs as rows};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, code, day, on_both_engines, report, same, same_charges};

on_both_engines!(
    two_hosts_that_work_on_one_run_charge_everybody_once,
    hosts_that_die_and_are_replaced_charge_everybody_once,
    a_host_that_slept_through_its_lease_writes_nothing_more,
    a_host_whose_run_was_taken_over_is_told_so,
    subscriptions_changed_during_a_run_are_computed_again_and_charged_once,
    a_retry_beside_a_later_run_takes_no_number_twice_and_parks_nobody,
    a_row_locked_by_somebody_else_stops_no_run,
    a_circle_of_locks_with_somebody_else_ends,
    the_same_request_a_hundred_times_in_parallel_starts_one_run,
    a_hundred_callers_that_start_the_same_day_start_one_run,
);

/// By then all contracts have something due.
const DAY: &str = "2026-11-28";

fn chunks_of(run_chunk: u32, run_lease_ms: u64) -> Settings {
    Settings { run_chunk, run_lease_ms, ..Settings::default() }
}

/// Works on a run until it is done, whoever else does; answers how often it was refused.
async fn until_done(altyn: Altyn, tenant: altyn_domain::id::TenantId, run: RunId, owner: &'static str) -> u32 {
    let mut refused = 0;
    loop {
        match altyn.run_advance(tenant, run, owner).await {
            Ok(Advanced::Done) => return refused,
            Ok(Advanced::Busy) | Err(ServiceError::Conflict { code: "run-taken-over", .. }) => refused += 1,
            other => panic!("{owner}: {}", code(other)),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The run of the day came to what one undisturbed host makes of it.
async fn as_undisturbed(world: &World, run: RunId) {
    let twin = world.twin().await;
    let expected = twin.close_day(DAY).await;
    same_charges(&twin.charges().await, &world.charges().await);
    assert_eq!(report(&world.run(run).await), report(&expected));
    world.prove().await;
    twin.end().await;
}

async fn two_hosts_that_work_on_one_run_charge_everybody_once(world: &World) {
    let (one, other) = (world.host(chunks_of(2, 30_000)).await, world.host(chunks_of(3, 30_000)).await);
    let run = world.begin(DAY, RunMode::Automatic).await;
    let refused = tokio::join!(
        until_done(one.clone(), world.tenant, run.id, "one"),
        until_done(other.clone(), world.tenant, run.id, "other"),
    );
    assert!(refused.0 == 0 || refused.1 == 0, "one of them had the run to itself: {refused:?}");
    as_undisturbed(world, run.id).await;
    one.db.close().await;
    other.db.close().await;
}

async fn hosts_that_die_and_are_replaced_charge_everybody_once(world: &World) {
    let hosts = [world.host(chunks_of(1, 1)).await, world.host(chunks_of(2, 1)).await];
    let run = world.begin(DAY, RunMode::Automatic).await;
    let mut seed = 20_261_128_u64;
    let mut died = 0;
    for round in 0..14 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let altyn = hosts[round % 2].clone();
        let (tenant, owner) = (world.tenant, ["one", "other"][round % 2]);
        let working = tokio::spawn(async move { altyn.run_advance(tenant, run.id, owner).await });
        tokio::time::sleep(Duration::from_micros((seed >> 33) % 60_000)).await;
        // What it hands to the database just now goes on without it.
        working.abort();
        died += u32::from(working.await.is_err());
    }
    assert!(died > 0, "nobody died");
    until_done(hosts[0].clone(), world.tenant, run.id, "the last").await;
    as_undisturbed(world, run.id).await;
    for host in hosts {
        host.db.close().await;
    }
}

async fn a_host_that_slept_through_its_lease_writes_nothing_more(world: &World) {
    let run = world.begin(DAY, RunMode::Automatic).await;
    let scope = Scope::Tenant(world.tenant.0);
    let now = SystemClock.now();
    let mut tx = world.altyn.db.write(scope).await.unwrap();
    let until = now + TimeDelta::milliseconds(1);
    assert!(rows::lease(&mut tx, world.tenant.0, run.id.0, "sleeper", until, now).await.unwrap());
    let fence = rows::find(&mut tx, world.tenant.0, run.id.0).await.unwrap().unwrap().fence;
    tx.commit().await.unwrap();
    // The sleeper sleeps; when its lease is over another host takes the run, and stops half way.
    let mut tx = world.altyn.db.write(scope).await.unwrap();
    let later = now + TimeDelta::milliseconds(2);
    assert!(!rows::lease(&mut tx, world.tenant.0, run.id.0, "other", later, now).await.unwrap(), "it is held");
    assert!(rows::lease(&mut tx, world.tenant.0, run.id.0, "other", later, later).await.unwrap());
    let taken = rows::find(&mut tx, world.tenant.0, run.id.0).await.unwrap().unwrap();
    assert!(taken.fence > fence);
    tx.commit().await.unwrap();

    let before = world.state().await;
    let mut tx = world.altyn.db.write(scope).await.unwrap();
    let add = rows::Progress { invoices: 1, ..rows::Progress::default() };
    let until = now + TimeDelta::hours(1);
    let moved = rows::checkpoint(&mut tx, world.tenant.0, run.id.0, fence, None, until, add).await.unwrap();
    assert!(!moved, "the sleeper's checkpoint is refused");
    assert!(!rows::state_set(&mut tx, world.tenant.0, run.id.0, fence, "done", None).await.unwrap());
    rows::release(&mut tx, world.tenant.0, run.id.0, fence).await.unwrap();
    tx.commit().await.unwrap();
    same(&before, &world.state().await);
    until_done(world.altyn.clone(), world.tenant, run.id, "third").await;
    as_undisturbed(world, run.id).await;
}

async fn a_host_whose_run_was_taken_over_is_told_so(world: &World) {
    let (slow, quick) = (world.host(chunks_of(1, 1)).await, world.host(chunks_of(50, 60_000)).await);
    let run = world.begin(DAY, RunMode::Automatic).await;
    let (altyn, tenant) = (slow.clone(), world.tenant);
    let first = tokio::spawn(async move { altyn.run_advance(tenant, run.id, "slow").await });
    while world.run(run.id).await.contracts == 0 {
        assert!(!first.is_finished(), "the first host ended with nothing done");
        tokio::task::yield_now().await;
    }
    let taken = loop {
        match quick.run_advance(world.tenant, run.id, "quick").await.unwrap() {
            Advanced::Busy => {}
            advanced => break advanced,
        }
    };
    assert_eq!(taken, Advanced::Done);
    let told = first.await.unwrap();
    let fence: Vec<(i64,)> = world.rows("select fence from runs where tenant_id = $1", (world.tenant.0,)).await;
    match told {
        // On a busy machine the first may be through before the second got a word in: then nobody took over.
        Ok(Advanced::Done) => assert_eq!(fence, [(1,)], "a host whose run was taken over believes that it ended it"),
        Ok(Advanced::Busy) | Err(ServiceError::Conflict { code: "run-taken-over", .. }) => assert!(fence[0].0 > 1),
        other => panic!("{}", code(other)),
    }
    as_undisturbed(world, run.id).await;
    slow.db.close().await;
    quick.db.close().await;
}

async fn subscriptions_changed_during_a_run_are_computed_again_and_charged_once(world: &World) {
    let run = world.begin(DAY, RunMode::Automatic).await;
    let slow = world.host(chunks_of(1, 30_000)).await;
    let (tenant, working) = (world.tenant, slow.clone());
    let billing = tokio::spawn(async move { until_done(working, tenant, run.id, "slow").await });
    let mut changed = 0;
    'billing: loop {
        for contract in world.contracts.iter().rev() {
            for subscription in world.subscriptions(contract.id).await {
                if billing.is_finished() {
                    break 'billing;
                }
                // An end far away changes nothing of what is due, but the subscription is another version.
                world.cancel(&world.altyn, subscription.id, "2030-01-01").await;
                changed += 1;
                // Somebody who changes everything all the time leaves no room for anybody else.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
    assert_eq!(billing.await.unwrap(), 0);
    assert!(changed > 0, "{changed} changes met the run");
    as_undisturbed(world, run.id).await;
    slow.db.close().await;
}

async fn a_retry_beside_a_later_run_takes_no_number_twice_and_parks_nobody(world: &World) {
    world.bind("hostile-tax", json!({ "do": "refuse", "only": "reduced" })).await;
    let first = world.close_day(DAY).await;
    let parked = world.plans(first.id, Some(PlanState::Parked)).await;
    assert!(parked.len() >= 20, "{first:?}");
    world.bind_good_plugins().await;
    // The next day owes to all of them, and to those who pay by the week once more.
    let second = world.begin("2026-12-01", RunMode::Automatic).await;
    let host = world.host(chunks_of(1, 30_000)).await;
    let (tenant, working) = (world.tenant, host.clone());
    let billing = tokio::spawn(async move { until_done(working, tenant, second.id, "later").await });
    for plan in parked.iter().rev() {
        let plan = world.altyn.run_retry(&world.request(), first.id, plan.contract_id).await.unwrap().value;
        assert!([PlanState::Done, PlanState::Superseded].contains(&plan.state), "{plan:?}");
    }
    assert_eq!(billing.await.unwrap(), 0);
    for run in [first.id, second.id] {
        let parked = world.plans(run, Some(PlanState::Parked)).await;
        assert!(parked.is_empty(), "{parked:#?}");
        assert_eq!(world.run(run).await.state, RunState::Done);
    }
    world.prove().await;
    let twin = world.twin().await;
    twin.close_day("2026-12-01").await;
    let periods = |charges: crate::world::Charges| charges.into_keys().collect::<BTreeSet<_>>();
    assert_eq!(periods(twin.charges().await), periods(world.charges().await));
    twin.end().await;
    host.db.close().await;
}

/// Contracts at the end of the run about which the plugins are asked the very same: two of them, the second of which is
/// billed in the chunk behind the first's. A chunk takes up to three contracts.
async fn alike(world: &World) -> (Uuid, Uuid) {
    let mut ids = Vec::new();
    for index in 0..ALIKE {
        ids.push(world.import_contract(&format!("Я-{index:02}"), "week-7d", 1, DAY).await.0);
    }
    (ids[5], ids[8])
}

const ALIKE: usize = 12;

/// Lets the later of the two chunks come as far as it can without the earlier one. Waiting longer proves nothing more.
async fn let_the_later_pass(world: &World, run: RunId) {
    // On SQLite the one who writes keeps everybody out.
    let sqlite = world.engine == Engine::Sqlite;
    let before = i64::try_from(crate::world::CONTRACTS).unwrap();
    let passed = async {
        while !sqlite && world.run(run).await.contracts < before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), passed).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
}

async fn a_row_locked_by_somebody_else_stops_no_run(world: &World) {
    let (one, _) = alike(world).await;
    let run = world.begin(DAY, RunMode::Automatic).await;
    let mut somebody = world.host(Settings::default()).await.db.write(Scope::Tenant(world.tenant.0)).await.unwrap();
    // The chunk was computed from what they change now, so it has to be computed again.
    let lock = "update subscriptions set version = version + 1 where tenant_id = $1 and contract_id = $2";
    assert_eq!(somebody.execute(lock, (world.tenant.0, one)).await.unwrap(), 1);
    let (host, tenant) = (world.host(chunks_of(1, 30_000)).await, world.tenant);
    let working = host.clone();
    let billing = tokio::spawn(async move { until_done(working, tenant, run.id, "host").await });
    let_the_later_pass(world, run.id).await;
    somebody.commit().await.unwrap();
    assert_eq!(in_time(billing).await, 0);
    assert_eq!(world.run(run.id).await.contracts, i64::try_from(crate::world::CONTRACTS + ALIKE).unwrap());
    world.prove().await;
    host.db.close().await;
}

async fn a_circle_of_locks_with_somebody_else_ends(world: &World) {
    let (one, other) = alike(world).await;
    let run = world.begin(DAY, RunMode::Automatic).await;
    let mut somebody = world.host(Settings::default()).await.db.write(Scope::Tenant(world.tenant.0)).await.unwrap();
    // As if a register of payments were posted to both contracts.
    let lock = "update ledger_accounts set entry_count = entry_count where tenant_id = $1 and id in
        (select funds_account_id from contracts where tenant_id = $1 and id = $2)";
    assert_eq!(somebody.execute(lock, (world.tenant.0, one)).await.unwrap(), 1);
    let (host, tenant) = (world.host(chunks_of(1, 30_000)).await, world.tenant);
    let working = host.clone();
    let billing = tokio::spawn(async move { until_done(working, tenant, run.id, "host").await });
    let_the_later_pass(world, run.id).await;
    let posting = async {
        somebody.execute(lock, (world.tenant.0, other)).await.unwrap();
        somebody.commit().await.unwrap();
    };
    tokio::time::timeout(Duration::from_mins(1), posting).await.unwrap();
    assert_eq!(in_time(billing).await, 0);
    assert_eq!(world.run(run.id).await.contracts, i64::try_from(crate::world::CONTRACTS + ALIKE).unwrap());
    world.prove().await;
    host.db.close().await;
}

/// What a task comes to, unless it hangs.
async fn in_time<T>(task: tokio::task::JoinHandle<T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), task).await.unwrap().unwrap()
}

/// Sends requests to start a day all at once.
async fn a_hundred(world: &World, request: impl Fn(usize) -> Request) -> Vec<Result<(bool, RunView), ServiceError>> {
    let started: Vec<_> = (0..100)
        .map(|index| {
            let (altyn, request) = (world.altyn.clone(), request(index));
            let command = StartRun { business_on: day(DAY), mode: Some(RunMode::Automatic) };
            tokio::spawn(
                async move { altyn.run_start(&request, command).await.map(|reply| (reply.replayed, reply.value)) },
            )
        })
        .collect();
    let mut answers = Vec::new();
    for started in started {
        answers.push(started.await.unwrap());
    }
    answers
}

fn keyed(world: &World, key: String) -> Request {
    let key = IdempotencyKey { key, request: "POST /v1/runs".into(), fingerprint: [1; 32] };
    Request { key: Some(key), ..world.request() }
}

async fn the_same_request_a_hundred_times_in_parallel_starts_one_run(world: &World) {
    let answers = a_hundred(world, |_| keyed(world, "once".into())).await;
    let answers: Vec<_> =
        answers.into_iter().map(|answer| answer.unwrap_or_else(|error| panic!("{}", code::<()>(Err(error))))).collect();
    assert_eq!(answers.iter().filter(|(replayed, _)| !replayed).count(), 1);
    let ids: BTreeSet<_> = answers.iter().map(|(_, run)| run.id.to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let counts: Vec<(i64, i64, i64)> = world
        .rows(
            "select (select count(*) from runs where tenant_id = $1), (select count(*) from jobs where tenant_id = $1),
            (select count(*) from idempotency where tenant_id = $1)",
            (world.tenant.0,),
        )
        .await;
    assert_eq!(counts, [(1, 1, 1)], "one run, one job, one record");
    let run = answers[0].1.id;
    until_done(world.altyn.clone(), world.tenant, run, "test").await;
    as_undisturbed(world, run).await;
}

async fn a_hundred_callers_that_start_the_same_day_start_one_run(world: &World) {
    let answers = a_hundred(world, |index| keyed(world, format!("key-{index}"))).await;
    let mut started = 0;
    for answer in answers {
        match answer {
            Ok((replayed, _)) => {
                assert!(!replayed);
                started += 1;
            }
            refused => assert_eq!(code(refused), "run-exists"),
        }
    }
    assert_eq!(started, 1);
}
