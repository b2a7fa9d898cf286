//! Ledger postings: one at a time by many callers, and in batches.

use std::time::Instant;

use altyn_domain::{
    ledger::{About, AccountCode, Transaction, transfer},
    money::{Currency, Money},
};
use anyhow::ensure;
use serde_json::{Value, json};

use super::{BenchArgs, Figures, rate, round, world};

const CALLERS: u32 = 16;
const SINGLES: u32 = 1_500;
const BATCHES: u32 = 120;
const BATCH_CALLERS: u32 = 2;
const BATCH: u32 = 1_000;
const CONTRACTS: u32 = 2_000;

/// Measures each engine; the figures without an engine's name are PostgreSQL's where there is one.
pub async fn measure(args: &BenchArgs, figures: &mut Figures) -> anyhow::Result<()> {
    for (engine, url) in world::fresh_databases(args.postgres.as_deref(), "ledger").await? {
        eprintln!("posting on {engine} …");
        let altyn = world::open(&url, args.chunk).await?;
        let world = world::settle(&altyn, &args.plugins).await?;
        let sold = world::sell(&altyn, &world, CONTRACTS).await?;

        let begun = Instant::now();
        let mut callers = Vec::new();
        for caller in 0..CALLERS {
            let (altyn, sold) = (altyn.clone(), sold.clone());
            let tenant = world.tenant;
            callers.push(tokio::spawn(async move {
                for n in 0..SINGLES {
                    let transaction = between(&sold, caller * SINGLES + n, &format!("single/{caller}/{n}"))?;
                    let posted = altyn.poster.post(&altyn, tenant, transaction).await?;
                    ensure!(posted.fresh, "a posting was taken for a repetition");
                }
                anyhow::Ok(())
            }));
        }
        for caller in callers {
            caller.await??;
        }
        let single = rate(u64::from(CALLERS * SINGLES), begun.elapsed());

        let begun = Instant::now();
        let mut callers = Vec::new();
        for caller in 0..BATCH_CALLERS {
            let (altyn, sold) = (altyn.clone(), sold.clone());
            let tenant = world.tenant;
            callers.push(tokio::spawn(async move {
                for batch in (caller..BATCHES).step_by(usize::try_from(BATCH_CALLERS)?) {
                    let transactions = (0..BATCH)
                        .map(|n| between(&sold, batch * BATCH + n, &format!("batch/{batch}/{n:04}")))
                        .collect::<anyhow::Result<Vec<Transaction>>>()?;
                    let posted = altyn.poster.post_many(&altyn, tenant, &transactions).await?;
                    ensure!(posted.iter().all(|posted| posted.fresh), "a posting was taken for a repetition");
                }
                anyhow::Ok(())
            }));
        }
        for caller in callers {
            caller.await??;
        }
        let batched = rate(u64::from(BATCHES * BATCH), begun.elapsed());
        eprintln!("  {single:.0}/s single at {CALLERS} callers, {batched:.0}/s batched");
        for (name, value) in [("single", single), ("batched", batched)] {
            figures.insert(format!("ledger_{name}_{engine}_per_s"), round(value));
            figures.insert(format!("ledger_{name}_per_s"), round(value));
        }
        altyn.db.close().await;
    }
    let pgbench = args.pgbench_tps.as_deref().and_then(|text| text.parse::<f64>().ok());
    figures.insert("pgbench_tps".into(), pgbench.map_or(Value::Null, |tps| json!(tps)));
    Ok(())
}

/// A transfer between two contracts, spread over all of them.
fn between(sold: &[world::Sold], n: u32, key: &str) -> anyhow::Result<Transaction> {
    let all = u32::try_from(sold.len())?;
    let from = sold[usize::try_from(n.wrapping_mul(7919) % all)?];
    let to = sold[usize::try_from((n.wrapping_mul(7919) + 1 + n % (all - 1)) % all)?];
    let about = About { source_key: key.to_owned(), effective_on: world::due_on(), description: String::new() };
    let from_code = AccountCode::ContractFunds(from.contract);
    ensure!(from_code != AccountCode::ContractFunds(to.contract), "a transfer needs two contracts");
    Ok(transfer(about, from.contract, to.contract, Money::new(100, Currency::RUB))?)
}
