//! One contract with very many subscriptions, and the credit control over very many contracts.

use std::time::{Duration, Instant};

use altyn_domain::credit::PolicyScope;
use altyn_service::{
    Altyn, Request,
    blocks::BlockFilter,
    credit::{CreateCreditPolicy, CreditAllowance},
    page::Page,
};
use anyhow::ensure;
use chrono::NaiveDate;
use serde_json::json;

use super::{BenchArgs, Figures, billing, peak_memory_bytes, rate, reset_peak_memory, round, world};

/// Bills one contract with all its subscriptions on one invoice.
pub async fn measure_large(args: &BenchArgs, figures: &mut Figures) -> anyhow::Result<()> {
    let count = args.subscriptions.unwrap_or(30_000);
    for (engine, url) in world::fresh_databases(args.postgres.as_deref(), "contract").await? {
        eprintln!("billing one contract with {count} subscriptions on {engine} …");
        let altyn = world::open(&url, args.chunk).await?;
        let world = world::settle(&altyn, &args.plugins).await?;
        world::sell_to_one(&altyn, &world, count).await?;
        reset_peak_memory();
        let elapsed = billing::bill(&altyn, &world, count).await?;
        let memory = peak_memory_bytes();
        altyn.db.close().await;
        eprintln!("  {:.1} s, peak {} MiB", elapsed.as_secs_f64(), memory >> 20);
        figures.insert(format!("contract_{engine}_{count}_s"), round(elapsed.as_secs_f64()));
        figures.insert(format!("contract_{engine}_{count}_peak_rss_bytes"), json!(memory));
    }
    Ok(())
}

/// Closes a day on which every contract is blocked, and the next one on which nothing changes.
pub async fn measure_credit(args: &BenchArgs, figures: &mut Figures) -> anyhow::Result<()> {
    let count = args.subscriptions.unwrap_or(100_000);
    for (engine, url) in world::fresh_databases(args.postgres.as_deref(), "credit").await? {
        eprintln!("the credit control of {count} contracts on {engine} …");
        let altyn = world::open(&url, args.chunk).await?;
        let world = world::settle(&altyn, &args.plugins).await?;
        drop(world::sell(&altyn, &world, count).await?);
        billing::bill(&altyn, &world, count).await?;
        // From here on every debtor is beyond the limit.
        let request = Request::internal(world.tenant, "bench");
        let policy = CreateCreditPolicy {
            scope: PolicyScope::Tenant,
            code: None,
            currency: None,
            allowed: CreditAllowance { credit_limit_minor: Some(0), ..CreditAllowance::default() },
        };
        altyn.credit_policy_create(&request, policy).await?;
        let first = world::due_on().succ_opt().unwrap_or_default();
        reset_peak_memory();
        let blocking = close(&altyn, &world, first).await?;
        let blocks = altyn.block_list(&request, BlockFilter::default(), &Page::default()).await?;
        ensure!(blocks.has_more, "hardly anybody was blocked");
        let again = close(&altyn, &world, first.succ_opt().unwrap_or_default()).await?;
        let memory = peak_memory_bytes();
        altyn.db.close().await;
        let (blocked, kept) = (rate(u64::from(count), blocking), rate(u64::from(count), again));
        eprintln!("  blocking {blocked:.0}/s, keeping {kept:.0}/s, peak {} MiB", memory >> 20);
        figures.insert(format!("credit_blocking_{engine}_{count}_per_s"), round(blocked));
        figures.insert(format!("credit_keeping_{engine}_{count}_per_s"), round(kept));
        figures.insert(format!("credit_{engine}_{count}_peak_rss_bytes"), json!(memory));
    }
    Ok(())
}

async fn close(altyn: &Altyn, world: &world::World, on: NaiveDate) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    altyn.credit_day_close(world.tenant, on).await?;
    Ok(begun.elapsed())
}
