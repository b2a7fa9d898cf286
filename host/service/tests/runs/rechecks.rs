//! A share of the decisions is made a second time: the answers are the same, and one that is not is told.

use std::{sync::Arc, time::Duration};

use altyn_domain::{id::BindingId, numbering::Draft, run::RunMode};
use altyn_runtime::{CallRecord, Runtime, RuntimeConfig, World as Point};
use altyn_service::{
    Altyn,
    bindings::Bound,
    events::EventFilter,
    plugins::Plugins,
    rechecks::DIFFERS,
    runs::{Advanced, StartRun},
    usage::UsageFilter,
};

use crate::world::{World, day, on_both_engines, page};

on_both_engines!(
    every_decision_of_a_run_comes_out_the_same_a_second_time,
    a_decision_that_comes_out_differently_is_told_and_counted,
);

/// Waiting for rechecks ends early when there are none.
const SETTLED: Duration = Duration::from_mins(1);

/// A host of its own, which makes every decision twice; what is found of it is not taken by another test.
fn twice(world: &World) -> Altyn {
    let config = RuntimeConfig { recheck_percent: 100, instances: 8, ..RuntimeConfig::default() };
    Altyn { plugins: Arc::new(Plugins::new(Runtime::new(&config).unwrap())), ..world.altyn.clone() }
}

/// How many rechecks came to this, of all components.
fn counted(runtime: &Runtime, outcome: &str) -> u64 {
    let (metrics, told) = (runtime.metrics(), format!("outcome=\"{outcome}\"}} "));
    let lines = metrics.lines().filter(|line| line.starts_with("altyn_plugin_rechecks_total{"));
    lines.filter_map(|line| line.split_once(&told)).map(|(_, count)| count.parse::<u64>().unwrap()).sum()
}

async fn told(altyn: &Altyn, world: &World) -> Vec<altyn_service::events::EventView> {
    let filter = EventFilter { kind: Some(DIFFERS.into()), subject: None };
    altyn.event_list(&world.request(), filter, &page()).await.unwrap().data
}

async fn every_decision_of_a_run_comes_out_the_same_a_second_time(world: &World) {
    let altyn = twice(world);
    let command = StartRun { business_on: day("2026-11-28"), mode: Some(RunMode::Automatic) };
    let run = altyn.run_start(&world.request(), command).await.unwrap().value.id;
    assert_eq!(altyn.run_advance(world.tenant, run, "test").await.unwrap(), Advanced::Done);
    let runtime = altyn.plugins.runtime();
    assert!(runtime.rechecks_settle(SETTLED));
    let (identical, dropped) = (counted(&runtime, "identical"), counted(&runtime, "dropped"));
    assert!(identical > 0, "{}", runtime.metrics());
    assert_eq!((counted(&runtime, "different"), counted(&runtime, "not-made")), (0, 0));
    altyn.usage_store().await.unwrap();
    assert!(told(&altyn, world).await.is_empty());
    // Each decision that has evidence was made twice, or left out and counted.
    let calls: i64 = world.rows::<(i64,)>("select count(*) from plugin_calls where run_id = $1", (run.0,)).await[0].0;
    assert_eq!(identical + dropped, u64::try_from(calls).unwrap());
    let usage = altyn.usage_report(&world.request(), &UsageFilter::default(), &page()).await.unwrap().data;
    let decided: i64 = usage.iter().filter(|row| row.purpose == "decision").map(|row| row.calls).sum();
    let again: i64 = usage.iter().filter(|row| row.purpose == "rehearsal").map(|row| row.calls).sum();
    assert_eq!((decided, u64::try_from(again).unwrap()), (calls, identical));
    world.prove().await;
}

/// No component that the host takes can do this, so the first answer is changed after it was given.
async fn a_decision_that_comes_out_differently_is_told_and_counted(world: &World) {
    let altyn = twice(world);
    let (on, now) = (day("2026-11-28"), world.altyn.clock.now());
    let bound = altyn.bound(world.tenant, Point::NumberingScheme, on, now, "UTC", "ru").await.unwrap();
    let runtime = altyn.plugins.runtime();
    let draft = Draft {
        id: "0".into(),
        kind: "invoice".into(),
        seller: "s".into(),
        contract: "c".into(),
        issued_on: on,
        attributes: Vec::new(),
    };
    let honest = runtime.numbers(&bound.plugin, &bound.context, &[draft], &[1]).record;
    let mut output = honest.output.clone();
    *output.last_mut().unwrap() ^= 1;
    let planted = CallRecord { output, ..honest.clone() };
    let binding: BindingId = bound.context.binding.parse().unwrap();
    let recheck = |bound: &Bound, call: u128, record: &CallRecord| {
        runtime.recheck_later(&bound.plugin, call, record, || (world.tenant.to_string(), binding.to_string()));
        assert!(runtime.rechecks_settle(SETTLED));
    };
    recheck(&bound, 1, &honest);
    assert_eq!((counted(&runtime, "identical"), counted(&runtime, "different")), (1, 0));
    recheck(&bound, 2, &planted);
    assert_eq!((counted(&runtime, "identical"), counted(&runtime, "different")), (1, 1));
    let rehearsed = Bound { plugin: bound.plugin.rehearsing(), ..bound.clone() };
    recheck(&rehearsed, 3, &planted);
    assert_eq!(counted(&runtime, "different"), 1, "what decides nothing is not made twice");

    altyn.usage_report(&world.request(), &UsageFilter::default(), &page()).await.unwrap();
    let events = told(&altyn, world).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].payload["code"], "plugin-nondeterministic");
    assert_eq!(events[0].payload["binding"], binding.to_string());
    assert_eq!(events[0].payload["component"], bound.plugin.digest().to_string());
    assert!(events[0].subject.starts_with("cal_") && events[0].payload["difference"].is_string());
    altyn.usage_store().await.unwrap();
    assert_eq!(told(&altyn, world).await.len(), 1, "told once");
}
