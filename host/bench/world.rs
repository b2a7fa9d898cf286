//! A made-up operator of any size, written straight through the store.

use std::{path::Path, sync::Arc};

use altyn_domain::id::{ContractId, Id as _, SellerId, TenantId};
use altyn_runtime::{Runtime, RuntimeConfig};
use altyn_service::{
    Altyn, Request,
    plugins::{CreateBinding, Plugins},
    ports::{SystemIds, VirtualClock},
    settings::{Settings, TrustSettings},
};
use altyn_store::{Db, Scope, catalogue, contracts, customers, ledger, sellers, subscriptions, tenants};
use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

/// The day all subscriptions fall due.
pub fn due_on() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 12).unwrap_or_default()
}

/// The last day of the period that begins on the due day.
pub fn ends_on() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 12, 11).unwrap_or_default()
}

fn opened_at() -> DateTime<Utc> {
    ends_on().and_hms_opt(23, 30, 0).unwrap_or_default().and_utc()
}

/// The application on a fresh database at `url`, with the clock standing behind the days that are closed.
pub async fn open(url: &str, chunk: Option<u32>) -> anyhow::Result<Altyn> {
    Db::migrate(url).await?;
    let db = Db::connect(url, 18).await?;
    let mut settings = Settings::default();
    if let Some(chunk) = chunk {
        settings.run_chunk = chunk;
    }
    let plugins = Plugins::new(Runtime::new(&RuntimeConfig::default())?);
    let clock = Arc::new(VirtualClock::new(opened_at()));
    let altyn = Altyn::new(db, clock, Arc::new(SystemIds::default()), plugins, settings);
    Ok(altyn.with_trust(TrustSettings::development()))
}

/// What was written.
pub struct World {
    /// The tenant.
    pub tenant: TenantId,
    /// Its seller.
    pub seller: SellerId,
    /// The plan version all subscriptions have.
    pub plan_version: Uuid,
    /// Its component.
    pub component: Uuid,
}

/// One subscription with what hangs on it.
#[derive(Clone, Copy)]
pub struct Sold {
    /// The contract.
    pub contract: ContractId,
    /// The contract's funds account.
    pub funds: Uuid,
    /// The subscription.
    pub subscription: Uuid,
}

/// Writes a tenant with a plan and the three first-party plugins bound.
pub async fn settle(altyn: &Altyn, plugins: &Path) -> anyhow::Result<World> {
    let id = || altyn.ids.next();
    let now = altyn.clock.now();
    let world = World { tenant: TenantId(id()), seller: SellerId(id()), plan_version: id(), component: id() };
    let (product, plan) = (id(), id());
    let mut tx = altyn.db.write(Scope::Tenant(world.tenant.0)).await?;
    let tenant = tenants::TenantRow {
        id: world.tenant.0,
        parent_id: None,
        path: format!("/{}/", world.tenant.0.simple()),
        name: "Measured".into(),
        locale: "ru-RU".into(),
        zone: "Europe/Moscow".into(),
        currency: "RUB".into(),
        run_mode: "automatic".into(),
        run_at: "02:00".into(),
        version: 1,
        created_at: now,
    };
    tenants::insert(&mut tx, &tenant).await?;
    let t = world.tenant.0;
    let seller = sellers::SellerRow {
        id: world.seller.0,
        name: "Measured LLC".into(),
        kind: "legal-entity".into(),
        country: "RU".into(),
        inn: Some("7707083893".into()),
        kpp: Some("770701001".into()),
        ogrn: None,
        vat_regime: "general".into(),
        bank_account: None,
        bank_bik: None,
        version: 1,
        created_at: now,
    };
    sellers::insert(&mut tx, t, &seller).await?;
    let product_row = catalogue::ProductRow {
        id: product,
        code: "home-100".into(),
        title: "Home 100".into(),
        tax_category: "standard".into(),
        version: 1,
        created_at: now,
    };
    catalogue::products_insert(&mut tx, t, now, &[product_row]).await?;
    let plan_row = catalogue::PlanRow {
        visibility: "public".into(),
        id: plan,
        code: "home-100-1m".into(),
        title: "Home 100".into(),
        status: "active".into(),
        version: 1,
        created_at: now,
    };
    catalogue::plans_insert(&mut tx, t, now, &[plan_row]).await?;
    let version = catalogue::PlanVersionRow {
        existing_from: None,
        id: world.plan_version,
        plan_id: plan,
        ordinal: 1,
        effective_from: due_on(),
        cadence: "1m".into(),
        currency: "RUB".into(),
        price_mode: "included".into(),
        billing_day: "anniversary".into(),
        stub: "prorate".into(),
        created_at: now,
    };
    catalogue::versions_insert(&mut tx, t, now, &[version]).await?;
    let component = catalogue::ComponentRow {
        included: "0".into(),
        min_quantity: None,
        max_quantity: None,
        id: world.component,
        plan_version_id: world.plan_version,
        product_id: product,
        position: 0,
        code: "recurring".into(),
        title: "Домашний интернет 100 Мбит/с".into(),
        kind: "recurring".into(),
        unit_price_minor: 59_000,
        tax_category: "standard".into(),
        prepayment_percent: 100,
        meter_id: None,
        metered: None,
    };
    catalogue::components_insert(&mut tx, t, &[component]).await?;
    tx.commit().await?;
    let request = Request::internal(world.tenant, "bench");
    for (file, config) in [
        ("day-ratio", serde_json::json!({})),
        ("ru-vat", serde_json::json!({ "regime": "general" })),
        ("number-template", serde_json::json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" })),
    ] {
        let path = plugins.join(format!("{file}.wasm"));
        let wasm = std::fs::read(&path).with_context(|| format!("{} is not built", path.display()))?;
        let component = altyn.plugin_install(&request, wasm).await?.value;
        let binding = CreateBinding { component: component.digest, config, priority: 0, effective_from: due_on() };
        altyn.binding_create(&request, binding).await?;
    }
    Ok(world)
}

/// Writes customers, contracts and subscriptions, one each; all fall due on [`due_on`].
pub async fn sell(altyn: &Altyn, world: &World, count: u32) -> anyhow::Result<Vec<Sold>> {
    let tenant = world.tenant.0;
    let now = altyn.clock.now();
    let mut sold = Vec::with_capacity(usize::try_from(count)?);
    let mut from = 0;
    while from < count {
        let to = count.min(from + 5_000);
        let part: Vec<(Uuid, Sold)> = (from..to)
            .map(|_| {
                let customer = altyn.ids.next();
                let contract = ContractId(altyn.ids.next());
                (customer, Sold { contract, funds: altyn.ids.next(), subscription: altyn.ids.next() })
            })
            .collect();
        let mut tx = altyn.db.write(Scope::Tenant(tenant)).await?;
        let rows: Vec<_> = part.iter().zip(from..).map(|((id, _), n)| customer(*id, n, now)).collect();
        customers::insert_all(&mut tx, tenant, now, &rows).await?;
        let rows: Vec<_> = part
            .iter()
            .map(|(_, sold)| ledger::NewAccount {
                id: sold.funds,
                code: format!("contract/{}/funds", sold.contract),
                currency: "RUB".into(),
            })
            .collect();
        ledger::accounts_open(&mut tx, tenant, &rows).await?;
        let rows: Vec<_> = part.iter().zip(from..).map(|((id, sold), n)| contract(world, *id, sold, n, now)).collect();
        contracts::insert_all(&mut tx, tenant, now, &rows).await?;
        let rows: Vec<_> = part.iter().zip(from..).map(|((_, sold), n)| subscription(world, sold, n, now)).collect();
        subscriptions::insert_all(&mut tx, tenant, now, &rows).await?;
        tx.commit().await?;
        sold.extend(part.into_iter().map(|(_, sold)| sold));
        from = to;
    }
    altyn.db.optimize().await?;
    Ok(sold)
}

/// Writes one customer and one contract with all the subscriptions; all fall due on [`due_on`].
pub async fn sell_to_one(altyn: &Altyn, world: &World, count: u32) -> anyhow::Result<()> {
    let tenant = world.tenant.0;
    let now = altyn.clock.now();
    let buyer = altyn.ids.next();
    let first =
        Sold { contract: ContractId(altyn.ids.next()), funds: altyn.ids.next(), subscription: altyn.ids.next() };
    let mut tx = altyn.db.write(Scope::Tenant(tenant)).await?;
    customers::insert_all(&mut tx, tenant, now, &[customer(buyer, 0, now)]).await?;
    let account = ledger::NewAccount {
        id: first.funds,
        code: format!("contract/{}/funds", first.contract),
        currency: "RUB".into(),
    };
    ledger::accounts_open(&mut tx, tenant, &[account]).await?;
    contracts::insert_all(&mut tx, tenant, now, &[contract(world, buyer, &first, 0, now)]).await?;
    tx.commit().await?;
    let mut from = 0;
    while from < count {
        let to = count.min(from + 5_000);
        let rows: Vec<_> = (from..to)
            .map(|n| subscription(world, &Sold { subscription: altyn.ids.next(), ..first }, n, now))
            .collect();
        let mut tx = altyn.db.write(Scope::Tenant(tenant)).await?;
        subscriptions::insert_all(&mut tx, tenant, now, &rows).await?;
        tx.commit().await?;
        from = to;
    }
    altyn.db.optimize().await?;
    Ok(())
}

fn customer(id: Uuid, n: u32, now: DateTime<Utc>) -> customers::CustomerRow {
    customers::CustomerRow {
        id,
        kind: "individual".into(),
        name: format!("Абонент {n}"),
        country: "RU".into(),
        inn: None,
        kpp: None,
        ogrn: None,
        email: None,
        phone: None,
        address: None,
        external_system: Some("bench".into()),
        external_id: Some(format!("C-{n:07}")),
        opening_balance_minor: None,
        version: 1,
        created_at: now,
    }
}

fn contract(world: &World, customer: Uuid, sold: &Sold, n: u32, now: DateTime<Utc>) -> contracts::ContractRow {
    contracts::ContractRow {
        id: sold.contract.uuid(),
        customer_id: customer,
        seller_id: world.seller.0,
        number: format!("Д-{n:07}"),
        kind: "prepaid".into(),
        currency: "RUB".into(),
        zone: "Europe/Moscow".into(),
        credit_limit_minor: 0,
        signed_on: due_on(),
        funds_account_id: sold.funds,
        external_system: Some("bench".into()),
        external_id: Some(format!("D-{n:07}")),
        version: 1,
        created_at: now,
    }
}

fn subscription(world: &World, sold: &Sold, n: u32, now: DateTime<Utc>) -> subscriptions::SubscriptionRow {
    subscriptions::SubscriptionRow {
        id: sold.subscription,
        contract_id: sold.contract.uuid(),
        plan_version_id: world.plan_version,
        status: "active".into(),
        quantity: "1".into(),
        discount_percent: if n.is_multiple_of(10) { "12.5".into() } else { "0".into() },
        anchor_on: due_on(),
        next_index: 0,
        starts_on: due_on(),
        ends_on: None,
        next_charge_on: due_on(),
        charges_left: None,
        once_due: 1,
        discount_minor: 0,
        discount_from: None,
        discount_until: None,
        manual: 0,
        documents_on_activation: 0,
        notify_on_activation: 0,
        description: None,
        short_funds: "debt".into(),
        retry_days: None,
        waits_from: None,
        former_zone: None,
        former_zone_until: None,
        terms_from: None,
        change_ordinal: 0,
        external_system: Some("bench".into()),
        external_id: Some(format!("S-{n:07}")),
        version: 1,
        created_at: now,
    }
}

/// A fresh database on each engine the arguments name: (engine, url).
pub async fn fresh_databases(postgres: Option<&str>, purpose: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    let directory = Path::new("target/bench");
    std::fs::create_dir_all(directory)?;
    let file = directory.join(format!("{purpose}.db"));
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    let mut urls = vec![("sqlite", format!("sqlite:{}", file.display()))];
    if let Some(server) = postgres {
        urls.push((
            "postgres",
            Db::create_postgres_database(server, &format!("bench_{}", purpose.replace('-', "_"))).await?,
        ));
    }
    Ok(urls)
}
