//! Ledger postings: one at a time by many callers, and in batches.

use std::time::Instant;

use altyn_domain::{
    id::TenantId,
    ledger::{AccountCode, Entry, TransactionKind},
    money::Currency,
};
use altyn_service::{
    context::{IdempotencyKey, Request},
    evidence::sha256,
    ledger::PostTransaction,
    poster::PostTransactions,
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
                    let key = format!("single/{caller}/{n}");
                    let command = between(&sold, caller * SINGLES + n, &key)?;
                    let reply = altyn.transaction_post(&request(tenant, key), command).await?;
                    ensure!(!reply.replayed, "a posting was taken for a repetition");
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
                        .collect::<anyhow::Result<Vec<PostTransaction>>>()?;
                    let request = request(tenant, format!("batch/{batch}"));
                    let reply = altyn.transaction_post_batch(&request, PostTransactions { transactions }).await?;
                    ensure!(reply.value.posted == i64::from(BATCH), "a posting was taken for a repetition");
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

/// A request under a key, as it comes in by HTTP.
fn request(tenant: TenantId, key: String) -> Request {
    let path = "POST /v1/ledger/transactions".to_owned();
    let key = IdempotencyKey { fingerprint: sha256(key.as_bytes()), key, request: path };
    Request { key: Some(key), ..Request::internal(tenant, "bench") }
}

/// A transfer between two contracts, spread over all of them.
fn between(sold: &[world::Sold], n: u32, key: &str) -> anyhow::Result<PostTransaction> {
    let all = u32::try_from(sold.len())?;
    let from = sold[usize::try_from(n.wrapping_mul(7919) % all)?];
    let to = sold[usize::try_from((n.wrapping_mul(7919) + 1 + n % (all - 1)) % all)?];
    ensure!(from.contract != to.contract, "a transfer needs two contracts");
    let entry = |contract, amount_minor| Entry { account: AccountCode::ContractFunds(contract), amount_minor };
    Ok(PostTransaction {
        source_key: key.to_owned(),
        effective_on: world::due_on(),
        currency: Currency::RUB,
        description: "a transfer".into(),
        kind: TransactionKind::Transfer,
        entries: vec![entry(from.contract, 100), entry(to.contract, -100)],
    })
}
