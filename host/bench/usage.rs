//! Recording use: batches of lines as they come in by HTTP, from their text to the durable row; then billing all of it.

use std::{fmt::Write as _, sync::Arc, time::Instant};

use altyn_domain::{
    id::{Id as _, MeterId, SubscriptionId},
    metered::{MeteredTerms, Tier, TierModel},
    run::RunMode,
};
use altyn_service::{
    Altyn, Request,
    context::IdempotencyKey,
    evidence::sha256,
    metering::events_of_lines,
    ports::VirtualClock,
    runs::{Advanced, StartRun},
};
use altyn_store::{Scope, catalogue, meters};
use anyhow::ensure;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use super::{BenchArgs, Figures, rate, round, world};

/// How many events.
const EVENTS: u32 = 600_000;
/// How many a batch.
const BATCH: u32 = 5_000;
/// How many senders at once.
const SENDERS: u32 = 3;
/// How many subscriptions they tell of.
const SUBSCRIPTIONS: u32 = 20_000;

/// Measures each engine; the figure without an engine's name is PostgreSQL's where there is one.
pub async fn measure(args: &BenchArgs, figures: &mut Figures) -> anyhow::Result<()> {
    for (engine, url) in world::fresh_databases(args.postgres.as_deref(), "usage").await? {
        eprintln!("recording {EVENTS} events on {engine} …");
        let altyn = world::open(&url, args.chunk).await?;
        let world = world::settle(&altyn, &args.plugins).await?;
        meter(&altyn, &world).await?;
        let sold = world::sell(&altyn, &world, SUBSCRIPTIONS).await?;
        close(&altyn, &world, world::due_on()).await?;
        let batches: Vec<String> = (0..EVENTS / BATCH).map(|batch| lines(&sold, batch)).collect();
        let batches = Arc::new(batches);
        // Behind the last event and the close of its period.
        let after: DateTime<Utc> = "2026-12-20T00:00:00Z".parse()?;
        let altyn = Altyn { clock: Arc::new(VirtualClock::new(after)), ..altyn };

        let begun = Instant::now();
        let mut senders = Vec::new();
        for sender in 0..SENDERS {
            let (altyn, batches, tenant) = (altyn.clone(), Arc::clone(&batches), world.tenant);
            senders.push(tokio::spawn(async move {
                for batch in (sender..EVENTS / BATCH).step_by(usize::try_from(SENDERS)?) {
                    let text = batches[usize::try_from(batch)?].as_bytes();
                    let key = IdempotencyKey {
                        key: format!("batch/{batch}"),
                        request: "POST /v1/usage/events".to_owned(),
                        fingerprint: sha256(text),
                    };
                    let request = Request { key: Some(key), ..Request::internal(tenant, "bench") };
                    let events = events_of_lines(text.split(|byte| *byte == b'\n'));
                    let report = altyn.usage_ingest_read(&request, events).await?.value;
                    ensure!(report.accepted == usize::try_from(BATCH)?, "not all was recorded: {report:?}");
                }
                anyhow::Ok(())
            }));
        }
        for sender in senders {
            sender.await??;
        }
        let recorded = rate(u64::from(EVENTS), begun.elapsed());
        altyn.db.optimize().await?;
        let begun = Instant::now();
        let lines = close(&altyn, &world, next_due()).await?;
        ensure!(lines == i64::from(2 * SUBSCRIPTIONS), "{lines} lines were billed");
        let billed = rate(u64::from(EVENTS), begun.elapsed());
        eprintln!("  {recorded:.0}/s recorded, {billed:.0}/s billed with the renewals");
        for name in [format!("usage_{engine}_per_s"), "usage_per_s".to_owned()] {
            figures.insert(name, round(recorded));
        }
        figures.insert(format!("usage_billed_{engine}_per_s"), round(billed));
        altyn.db.close().await;
    }
    Ok(())
}

/// The day that closes the period of all events.
fn next_due() -> NaiveDate {
    world::ends_on().succ_opt().unwrap_or_default()
}

/// Adds a metered component to what everybody has.
async fn meter(altyn: &Altyn, world: &world::World) -> anyhow::Result<()> {
    let now = altyn.clock.now();
    let meter = meters::MeterRow {
        id: altyn.ids.next(),
        code: "traffic".into(),
        title: "Traffic".into(),
        unit: "GB".into(),
        aggregation: "sum".into(),
        version: 1,
        created_at: now,
    };
    let terms = MeteredTerms {
        package: None,
        meter_id: MeterId(meter.id),
        included: Decimal::TEN,
        model: TierModel::Graduated,
        tiers: vec![
            Tier { up_to: Some(Decimal::ONE_HUNDRED), unit_price: Decimal::new(15, 1) },
            Tier { up_to: None, unit_price: Decimal::ONE },
        ],
        volume_discounts: Vec::new(),
    };
    let mut tx = altyn.db.write(Scope::Tenant(world.tenant.0)).await?;
    meters::insert(&mut tx, world.tenant.0, &meter).await?;
    let product = catalogue::products_list(&mut tx, world.tenant.0, uuid::Uuid::nil(), 1).await?;
    let component = catalogue::ComponentRow {
        included: "0".into(),
        min_quantity: None,
        max_quantity: None,
        id: altyn.ids.next(),
        plan_version_id: world.plan_version,
        product_id: product.first().map(|product| product.id).unwrap_or_default(),
        position: 1,
        code: "traffic".into(),
        title: "Traffic".into(),
        kind: "metered".into(),
        unit_price_minor: 0,
        tax_category: "standard".into(),
        prepayment_percent: 0,
        meter_id: Some(meter.id),
        metered: Some(serde_json::to_string(&terms)?),
    };
    catalogue::components_insert(&mut tx, world.tenant.0, &[component]).await?;
    tx.commit().await?;
    Ok(())
}

/// Closes a day and answers how many lines were billed.
async fn close(altyn: &Altyn, world: &world::World, on: NaiveDate) -> anyhow::Result<i64> {
    let request = Request::internal(world.tenant, "bench");
    let run = altyn.run_start(&request, StartRun { business_on: on, mode: Some(RunMode::Automatic) }).await?.value;
    let advanced = altyn.run_advance(world.tenant, run.id, "bench").await?;
    ensure!(advanced == Advanced::Done, "the run did not finish: {advanced:?}");
    let run = altyn.run_get(&request, run.id).await?;
    ensure!(run.parked == 0, "{} contracts were parked", run.parked);
    Ok(run.charges)
}

/// A batch of events of many subscriptions, one a line; their ids are as random as those of many senders.
fn lines(sold: &[world::Sold], batch: u32) -> String {
    let mut text = String::new();
    for n in batch * BATCH..(batch + 1) * BATCH {
        let spread = n.wrapping_mul(2_654_435_761);
        let subscription =
            SubscriptionId::from_uuid(sold[usize::try_from(n % SUBSCRIPTIONS).unwrap_or(0)].subscription);
        let (day, hour) = (13 + spread % 17, spread / 17 % 24);
        // Writing into a text cannot fail.
        let _ = writeln!(
            text,
            "{{\"id\":\"{spread:08x}-{n}\",\"subscription_id\":\"{subscription}\",\"meter\":\"traffic\",\
             \"occurred_at\":\"2026-11-{day:02}T{hour:02}:00:00+03:00\",\"quantity\":\"{}.{:03}\"}}",
            spread % 20,
            n % 1_000
        );
    }
    text
}
