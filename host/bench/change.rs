//! Previewing a change of a subscription with a long past: a contract of 1,000 lines, one of them live.

use std::time::{Duration, Instant};

use altyn_domain::{
    change::{ChangeKind, Timing},
    id::SubscriptionId,
    run::RunMode,
};
use altyn_service::{
    Altyn, Request,
    changes::{ChangeSubscription, ExecuteChange},
    runs::{Advanced, StartRun},
};
use anyhow::{Context as _, ensure};

use super::{BenchArgs, Figures, plugin::percentile, round, world};

/// Lines of the past.
const LINES: usize = 1_000;
/// Previews that are measured.
const PREVIEWS: usize = 500;

/// Measures each engine.
pub async fn measure(args: &BenchArgs, figures: &mut Figures) -> anyhow::Result<()> {
    for (engine, url) in world::fresh_databases(args.postgres.as_deref(), "change").await? {
        eprintln!("previewing changes behind {LINES} lines on {engine} …");
        let altyn = world::open(&url, args.chunk).await?;
        let world = world::settle(&altyn, &args.plugins).await?;
        let sold = world::sell(&altyn, &world, 1).await?;
        let id = SubscriptionId(sold.first().context("nothing was sold")?.subscription);
        let request = Request::internal(world.tenant, "bench");
        let mut took = previews(&altyn, &request, id).await?;
        altyn.db.close().await;
        for (name, share) in [("p50", 50), ("p99", 99)] {
            let us = percentile(&mut took, share);
            eprintln!("  {name} {us:.0} µs");
            figures.insert(format!("change_preview_{engine}_us_{name}"), round(us));
        }
    }
    Ok(())
}

async fn previews(altyn: &Altyn, request: &Request, id: SubscriptionId) -> anyhow::Result<Vec<Duration>> {
    let start = StartRun { business_on: world::due_on(), mode: Some(RunMode::Automatic) };
    let run = altyn.run_start(request, start).await?.value;
    let advanced = altyn.run_advance(request.tenant, run.id, "bench").await?;
    ensure!(advanced == Advanced::Done, "the run did not finish: {advanced:?}");
    let wish = |quantity: usize| ChangeSubscription {
        on: world::due_on().checked_add_days(chrono::Days::new(5)),
        timing: Some(Timing::Immediate),
        quantity: Some(quantity.to_string()),
        ..ChangeSubscription::of(ChangeKind::ChangeQuantity)
    };
    for line in 1..LINES {
        let change = wish(2 + line % 2);
        let plan_hash = altyn.change_preview(request, id, change.clone()).await?.plan_hash;
        altyn.change_execute(request, id, ExecuteChange { change, plan_hash, effects: None }).await?;
    }
    altyn.db.optimize().await?;
    let mut took = Vec::with_capacity(PREVIEWS);
    for _ in 0..PREVIEWS {
        let begun = Instant::now();
        let seen = altyn.change_preview(request, id, wish(7)).await?;
        took.push(begun.elapsed());
        ensure!(seen.effects.credited_minor > 0 && seen.effects.charged_minor > 0, "nothing would change");
    }
    Ok(took)
}
