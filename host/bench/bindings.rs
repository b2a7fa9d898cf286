//! Ten thousand tenants with ten bindings each, registered in a database and resolved as a run resolves them.

use std::time::Instant;

use altyn_domain::id::TenantId;
use altyn_runtime::World;
use altyn_service::{Altyn, bindings::Bound, page::Page};
use altyn_store::{Scope, plugins, tenants};
use anyhow::{Context as _, ensure};
use chrono::{DateTime, Months, NaiveDate, Utc};

use super::{BenchArgs, Figures, resident_memory_bytes, round, world};

const TENANTS: usize = 10_000;
/// Bindings of a tenant: what each decides, with what configuration. Those of a world follow one another by months.
const BINDINGS: [(World, &str); 10] = [
    (World::ProrationStrategy, "{}"),
    (World::ProrationStrategy, "{}"),
    (World::ProrationStrategy, "{}"),
    (World::ProrationStrategy, "{}"),
    (World::TaxRule, r#"{"regime":"general"}"#),
    (World::TaxRule, r#"{"regime":"general"}"#),
    (World::TaxRule, r#"{"regime":"general"}"#),
    (World::NumberingScheme, r#"{"template":"СЧ-{year}-{seq:6}","reset":"yearly"}"#),
    (World::NumberingScheme, r#"{"template":"А-{year}-{seq:5}","reset":"yearly"}"#),
    (World::NumberingScheme, r#"{"template":"Б-{seq:9}","reset":"never"}"#),
];
/// Tenants resolved side by side.
const AT_ONCE: usize = 8;

/// Registers them and resolves every one of them, holding all at once, as no host does.
pub async fn measure(args: &BenchArgs, figures: &mut Figures) -> anyhow::Result<()> {
    for (engine, url) in world::fresh_databases(args.postgres.as_deref(), "bindings").await? {
        eprintln!("{TENANTS} tenants with {} bindings each on {engine} …", BINDINGS.len());
        let altyn = world::open(&url, args.chunk).await?;
        world::settle(&altyn, &args.plugins).await?;
        let begun = Instant::now();
        let tenants = register(&altyn).await?;
        altyn.db.optimize().await?;
        eprintln!("  registered in {:.1} s", begun.elapsed().as_secs_f64());
        let before = resident_memory_bytes();
        let begun = Instant::now();
        let bound = resolve(&altyn, &tenants).await?;
        let per_s = super::rate(u64::try_from(bound.len())?, begun.elapsed());
        let rise = mebibytes(resident_memory_bytes().saturating_sub(before));
        ensure!(bound.len() == TENANTS * BINDINGS.len(), "only {} bindings were resolved", bound.len());
        drop(bound);
        altyn.db.close().await;
        eprintln!("  {rise:.1} MiB more, {per_s:.0} resolved a second");
        figures.insert(format!("plugin_registered_bindings_{engine}_mib"), round(rise));
        figures.insert(format!("plugin_resolved_bindings_{engine}_per_s"), round(per_s));
    }
    Ok(())
}

/// The first business date of the binding at a place of [`BINDINGS`].
fn effective_from(place: usize) -> NaiveDate {
    let months = u32::try_from(place).unwrap_or_default();
    world::due_on().checked_add_months(Months::new(months)).unwrap_or_default()
}

async fn register(altyn: &Altyn) -> anyhow::Result<Vec<TenantId>> {
    let installed = altyn.plugin_list(&Page { limit: Some(100), cursor: None }).await?.data;
    let digest = |world: World| -> anyhow::Result<Vec<u8>> {
        let component = installed.iter().find(|component| component.world == world.as_str());
        Ok(hex::decode(&component.with_context(|| format!("nothing is installed for {world}"))?.digest)?)
    };
    let now: DateTime<Utc> = altyn.clock.now();
    let mut rows = Vec::with_capacity(BINDINGS.len());
    for (place, (world, config)) in BINDINGS.into_iter().enumerate() {
        rows.push(plugins::BindingRow {
            id: altyn.ids.next(),
            extension_point: world.as_str().into(),
            component_digest: digest(world)?,
            config: config.into(),
            priority: 0,
            effective_from: effective_from(place),
            created_at: now,
            ended_at: None,
            version: 1,
            inheritance: "none".into(),
            limits: "{}".into(),
        });
    }
    let mut made = Vec::with_capacity(TENANTS);
    for number in 0..TENANTS {
        let tenant = TenantId(altyn.ids.next());
        let row = tenants::TenantRow {
            id: tenant.0,
            parent_id: None,
            path: format!("/{}/", tenant.0.simple()),
            name: format!("Оператор {number}"),
            locale: "ru-RU".into(),
            zone: "Europe/Moscow".into(),
            currency: "RUB".into(),
            run_mode: "automatic".into(),
            run_at: "02:00".into(),
            version: 1,
            created_at: now,
        };
        let mut tx = altyn.db.write(Scope::Tenant(tenant.0)).await?;
        tenants::insert(&mut tx, &row).await?;
        for row in &rows {
            plugins::binding_insert(&mut tx, tenant.0, &plugins::BindingRow { id: altyn.ids.next(), ..row.clone() })
                .await?;
        }
        tx.commit().await?;
        made.push(tenant);
    }
    Ok(made)
}

async fn resolve(altyn: &Altyn, tenants: &[TenantId]) -> anyhow::Result<Vec<Bound>> {
    let now = altyn.clock.now();
    let mut parts = tokio::task::JoinSet::new();
    for part in tenants.chunks(tenants.len().div_ceil(AT_ONCE)) {
        let (altyn, part) = (altyn.clone(), part.to_vec());
        parts.spawn(async move {
            let mut bound = Vec::with_capacity(part.len() * BINDINGS.len());
            for tenant in part {
                for (place, (world, _)) in BINDINGS.into_iter().enumerate() {
                    let on = effective_from(place);
                    bound.push(altyn.bound(tenant, world, on, now, "Europe/Moscow", "ru-RU").await?);
                }
            }
            Ok::<_, anyhow::Error>(bound)
        });
    }
    let mut all = Vec::with_capacity(tenants.len() * BINDINGS.len());
    while let Some(part) = parts.join_next().await {
        all.extend(part??);
    }
    Ok(all)
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a measurement, not money")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
