//! The billing run beside a bare loader that writes the same rows to the same tables, and the day on which all of it is
//! realised.

use std::time::{Duration, Instant};

use altyn_domain::{id::Id as _, run::RunMode};
use altyn_service::{
    Altyn, Request,
    runs::{Advanced, StartRun},
};
use altyn_store::{Rows, Scope, ledger, runs as rows};
use anyhow::ensure;
use chrono::NaiveDate;
use serde_json::json;
use uuid::Uuid;

use super::{BenchArgs, Figures, peak_memory_bytes, rate, reset_peak_memory, round, world};

/// Measures each engine at each size.
pub async fn measure(args: &BenchArgs, figures: &mut Figures) -> anyhow::Result<()> {
    let sizes = args.subscriptions.map_or(vec![100_000, 1_000_000], |count| vec![count]);
    let mut peak = 0;
    for (place, count) in sizes.iter().copied().enumerate() {
        let last = place + 1 == sizes.len();
        for (engine, url) in world::fresh_databases(args.postgres.as_deref(), "billing").await? {
            eprintln!("billing {count} subscriptions on {engine} …");
            let altyn = world::open(&url, args.chunk).await?;
            let world = world::settle(&altyn, &args.plugins).await?;
            drop(world::sell(&altyn, &world, count).await?);
            reset_peak_memory();
            let elapsed = bill(&altyn, &world, count).await?;
            let realising = realise(&altyn, &world, count).await?;
            let memory = peak_memory_bytes();
            altyn.db.close().await;
            peak = peak.max(memory);
            let per_s = rate(u64::from(count), elapsed);
            eprintln!("  {per_s:.0}/s, peak {} MiB", memory >> 20);
            figures.insert(format!("billing_{engine}_{count}_per_s"), round(per_s));
            let realised_per_s = rate(u64::from(count), realising);
            eprintln!("  realising {realised_per_s:.0}/s");
            figures.insert(format!("realising_{engine}_{count}_per_s"), round(realised_per_s));
            figures.insert(format!("billing_{engine}_{count}_peak_rss_bytes"), json!(memory));
            if last {
                figures.insert(format!("billing_{engine}_per_s"), round(per_s));
            }
        }
        for (engine, url) in world::fresh_databases(args.postgres.as_deref(), "loader").await? {
            eprintln!("loading the rows of {count} subscriptions on {engine} …");
            let per_s = rate(u64::from(count), load(args, &url, count).await?);
            eprintln!("  {per_s:.0}/s");
            figures.insert(format!("loader_{engine}_{count}_per_s"), round(per_s));
            if last {
                figures.insert(format!("loader_{engine}_per_s"), round(per_s));
            }
        }
    }
    figures.insert("billing_peak_rss_bytes".into(), json!(peak));
    Ok(())
}

pub(super) async fn bill(altyn: &Altyn, world: &world::World, count: u32) -> anyhow::Result<Duration> {
    let request = Request::internal(world.tenant, "bench");
    let start = StartRun { business_on: world::due_on(), mode: Some(RunMode::Automatic) };
    let run = altyn.run_start(&request, start).await?.value;
    let begun = Instant::now();
    let advanced = altyn.run_advance(world.tenant, run.id, "bench").await?;
    let elapsed = begun.elapsed();
    ensure!(advanced == Advanced::Done, "the run did not finish: {advanced:?}");
    let run = altyn.run_get(&request, run.id).await?;
    ensure!(
        run.subscriptions == i64::from(count) && run.parked == 0,
        "the run billed {} of {count} subscriptions and parked {}",
        run.subscriptions,
        run.parked
    );
    Ok(elapsed)
}

/// Closes the last day of what was billed: nothing renews, everything is realised.
async fn realise(altyn: &Altyn, world: &world::World, count: u32) -> anyhow::Result<Duration> {
    let request = Request::internal(world.tenant, "bench");
    let start = StartRun { business_on: world::ends_on(), mode: Some(RunMode::Automatic) };
    let run = altyn.run_start(&request, start).await?.value;
    let begun = Instant::now();
    let advanced = altyn.run_advance(world.tenant, run.id, "bench").await?;
    let elapsed = begun.elapsed();
    ensure!(advanced == Advanced::Done, "the run did not finish: {advanced:?}");
    let run = altyn.run_get(&request, run.id).await?;
    ensure!(
        run.realised == i64::from(count) && run.charges == 0 && run.parked == 0,
        "the run realised {} of {count} charges, made {} and parked {}",
        run.realised,
        run.charges,
        run.parked
    );
    Ok(elapsed)
}

/// Writes, without computing anything, what a run writes for the same subscriptions; only the writing is timed.
async fn load(args: &BenchArgs, url: &str, count: u32) -> anyhow::Result<Duration> {
    let altyn = world::open(url, args.chunk).await?;
    let world = world::settle(&altyn, &args.plugins).await?;
    let sold = world::sell(&altyn, &world, count).await?;
    let (tenant, run, deferred) = (world.tenant.0, altyn.ids.next(), altyn.ids.next());
    let (now, on) = (altyn.clock.now(), world::due_on());
    let mut tx = altyn.db.write(Scope::Tenant(tenant)).await?;
    let account = ledger::NewAccount { id: deferred, code: "deferred-revenue".into(), currency: "RUB".into() };
    ledger::accounts_open(&mut tx, tenant, &[account]).await?;
    tx.commit().await?;
    let mut elapsed = Duration::ZERO;
    let mut number = 0_i64;
    let chunk = usize::try_from(altyn.settings.run_chunk)?;
    for part in sold.chunks(chunk) {
        let loaded = Loaded::new(&altyn, &world, part, deferred, &mut number);
        let begun = Instant::now();
        let mut tx = altyn.db.write(Scope::Tenant(tenant)).await?;
        tx.prefer_indexes().await?;
        rows::renew(&mut tx, tenant, &loaded.renewals).await?;
        rows::invoices_insert(&mut tx, tenant, Some(run), on, now, &loaded.invoices).await?;
        rows::charges_insert(&mut tx, tenant, Some(run), now, &loaded.charges).await?;
        rows::invoice_lines_insert(&mut tx, tenant, &loaded.lines).await?;
        ledger::entries_insert(&mut tx, tenant, &loaded.entries).await?;
        ledger::transactions_insert(&mut tx, tenant, now, &loaded.headers).await?;
        rows::plans_put(&mut tx, tenant, run, now, &loaded.plans).await?;
        ledger::balances_add(&mut tx, tenant, &loaded.balances).await?;
        tx.commit().await?;
        elapsed += begun.elapsed();
    }
    altyn.db.close().await;
    Ok(elapsed)
}

struct Loaded {
    renewals: Rows,
    charges: Rows,
    invoices: Rows,
    lines: Rows,
    entries: Rows,
    headers: Rows,
    balances: Rows,
    plans: Rows,
}

impl Loaded {
    fn new(altyn: &Altyn, world: &world::World, part: &[world::Sold], deferred: Uuid, number: &mut i64) -> Self {
        let all = part.len();
        let on = world::due_on();
        let next = on.checked_add_months(chrono::Months::new(1)).unwrap_or(on);
        let ids = || -> Vec<Uuid> { part.iter().map(|_| altyn.ids.next()).collect() };
        let (charges, invoices, transactions) = (ids(), ids(), ids());
        let first = *number;
        *number += i64::try_from(all).unwrap_or(0);
        let contracts: Vec<Uuid> = part.iter().map(|sold| sold.contract.uuid()).collect();
        let call = altyn.ids.next();
        let (gross, tax) = (59_000_i64, 10_639_i64);
        let total = gross * i64::try_from(all).unwrap_or(0);
        let lines: Vec<i32> = (0..).take(all).collect();
        Self {
            renewals: Rows::new()
                .with("id", part.iter().map(|sold| sold.subscription).collect::<Vec<_>>())
                .with("version", vec![1_i64; all])
                .with("status", vec!["active".to_owned(); all])
                .with("next_index", vec![1; all])
                .with("next_charge_on", vec![next; all])
                .with("charges_left", vec![None::<i32>; all])
                .with("once_due", vec![0_i32; all]),
            charges: Rows::new()
                .with("id", charges.clone())
                .with("contract_id", contracts.clone())
                .with("subscription_id", part.iter().map(|sold| sold.subscription).collect::<Vec<_>>())
                .with("component_id", vec![world.component; all])
                .with("invoice_id", invoices.clone())
                .with("invoice_position", vec![0; all])
                .with("kind", vec!["recurring".to_owned(); all])
                .with("status", vec!["blocked".to_owned(); all])
                .with("period_start", vec![on; all])
                .with("period_end", vec![next; all])
                .with("used_start", vec![on; all])
                .with("used_end", vec![next; all])
                .with("charged_on", vec![on; all])
                .with("realises_on", vec![next; all])
                .with("realised_on", vec![None::<NaiveDate>; all])
                .with("currency", vec!["RUB".to_owned(); all])
                .with("amount_minor", vec![gross; all])
                .with("prepaid_minor", vec![None::<i64>; all])
                .with("change_ordinal", vec![0; all])
                .with("proration_call_id", vec![Some(call); all])
                .with("call_line", lines.iter().copied().map(Some).collect::<Vec<_>>()),
            invoices: Rows::new()
                .with("id", invoices.clone())
                .with("contract_id", contracts.clone())
                .with("seller_id", vec![world.seller.0; all])
                .with("number", (first..*number).map(|n| format!("СЧ-2026-{n:06}")).collect::<Vec<_>>())
                .with("sequence_key", vec!["invoice/2026".to_owned(); all])
                .with("sequence_value", (first..*number).collect::<Vec<_>>())
                .with("currency", vec!["RUB".to_owned(); all])
                .with("price_mode", vec!["included".to_owned(); all])
                .with("net_minor", vec![gross - tax; all])
                .with("tax_minor", vec![tax; all])
                .with("gross_minor", vec![gross; all])
                .with("numbering_call_id", vec![Some(call); all])
                .with("call_line", lines.iter().copied().map(Some).collect::<Vec<_>>()),
            lines: Rows::new()
                .with("invoice_id", invoices)
                .with("position", vec![0; all])
                .with("charge_id", charges)
                .with("title", vec!["Домашний интернет 100 Мбит/с".to_owned(); all])
                .with("quantity", vec!["1".to_owned(); all])
                .with("net_minor", vec![gross - tax; all])
                .with("tax_minor", vec![tax; all])
                .with("gross_minor", vec![gross; all])
                .with("tax_code", vec!["vat22".to_owned(); all])
                .with("tax_rate", vec![Some("22".to_owned()); all])
                .with("tax_call_id", vec![Some(call); all])
                .with("call_line", lines.into_iter().map(Some).collect::<Vec<_>>()),
            entries: Rows::new()
                .with("transaction_id", transactions.iter().flat_map(|id| [*id, *id]).collect::<Vec<_>>())
                .with("position", part.iter().flat_map(|_| [0, 1]).collect::<Vec<_>>())
                .with("account_id", part.iter().flat_map(|sold| [sold.funds, deferred]).collect::<Vec<_>>())
                .with("amount_minor", part.iter().flat_map(|_| [gross, -gross]).collect::<Vec<_>>()),
            headers: Rows::new()
                .with("id", transactions)
                .with("source_key", part.iter().map(|sold| format!("run/{on}/{}", sold.contract)).collect::<Vec<_>>())
                .with("kind", vec!["charge-due".to_owned(); all])
                .with("currency", vec!["RUB".to_owned(); all])
                .with("effective_on", vec![on; all])
                .with("description", vec![String::new(); all])
                .with("reverses_id", vec![None::<Uuid>; all]),
            balances: Rows::new()
                .with("id", part.iter().map(|sold| sold.funds).chain([deferred]).collect::<Vec<_>>())
                .with("amount_minor", part.iter().map(|_| gross).chain([-total]).collect::<Vec<_>>())
                .with("entries", part.iter().map(|_| 1).chain([i64::try_from(all).unwrap_or(0)]).collect::<Vec<i64>>()),
            plans: Rows::new()
                .with("contract_id", contracts)
                .with("state", vec!["done".to_owned(); all])
                .with("plan_hash", vec![Some(vec![7_u8; 32]); all])
                .with("lines", vec![1_i64; all])
                .with("net_minor", vec![gross - tax; all])
                .with("tax_minor", vec![tax; all])
                .with("gross_minor", vec![gross; all])
                .with("realised", vec![0_i64; all])
                .with("realised_net_minor", vec![0_i64; all])
                .with("realised_tax_minor", vec![0_i64; all])
                .with("realised_gross_minor", vec![0_i64; all])
                .with("changes_minor", vec![0_i64; all])
                .with("effects", vec![None::<String>; all])
                .with("reason_code", vec![None::<String>; all])
                .with("reason", vec![None::<String>; all])
                .with("call_id", vec![None::<Uuid>; all]),
        }
    }
}
