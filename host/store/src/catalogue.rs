//! Rows of the catalogue: products, plans, their versions and the priced components of a version.
//!
//! Versions and components are only ever added: what was sold is never edited.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// A product.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ProductRow {
    /// Its id.
    pub id: Uuid,
    /// Its code, unique within the tenant.
    pub code: String,
    /// Its name.
    pub title: String,
    /// Tax category.
    pub tax_category: String,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A plan without its versions.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PlanRow {
    /// Its id.
    pub id: Uuid,
    /// Its code, unique within the tenant.
    pub code: String,
    /// Its name.
    pub title: String,
    /// `draft`, `active` or `archived`.
    pub status: String,
    /// `public` or `private`.
    pub visibility: String,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A version of a plan without its components.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PlanVersionRow {
    /// Its id.
    pub id: Uuid,
    /// Its plan.
    pub plan_id: Uuid,
    /// Its place among the plan's versions, from 1.
    pub ordinal: i32,
    /// From which day new subscriptions get it.
    pub effective_from: NaiveDate,
    /// From which day subscribers of older versions go over to it at a renewal; none when they stay.
    pub existing_from: Option<NaiveDate>,
    /// `Nd` or `Nm`.
    pub cadence: String,
    /// ISO 4217 code.
    pub currency: String,
    /// `included` or `on-top`.
    pub price_mode: String,
    /// Billing-day policy.
    pub billing_day: String,
    /// Stub policy.
    pub stub: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A priced component of a plan version.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ComponentRow {
    /// Its id.
    pub id: Uuid,
    /// Its plan version.
    pub plan_version_id: Uuid,
    /// The product whose revenue it is.
    pub product_id: Uuid,
    /// Its place in the version, from 0.
    pub position: i32,
    /// Its code, unique within the version.
    pub code: String,
    /// Name on documents.
    pub title: String,
    /// `recurring` and others.
    pub kind: String,
    /// Price per unit and whole period, minor units.
    pub unit_price_minor: i64,
    /// Tax category.
    pub tax_category: String,
    /// How much of the price is taken when it falls due, per cent.
    pub prepayment_percent: i32,
    /// Units that cost nothing, decimal.
    pub included: String,
    /// The fewest units that may be taken, decimal.
    pub min_quantity: Option<String>,
    /// The most units that may be taken, decimal.
    pub max_quantity: Option<String>,
    /// What is counted, when it is metered.
    pub meter_id: Option<Uuid>,
    /// JSON text of what it costs, when it is metered.
    pub metered: Option<String>,
}

const PRODUCTS_INSERT: &str = "insert into products (tenant_id, id, code, title, tax_category, version, created_at)
    select $1, v.id, v.code, v.title, v.tax_category, 1, $2 from {rows}";
/// Adds products in their first version.
pub async fn products_insert(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, products: &[ProductRow]) -> Result<()> {
    let rows = Rows::new()
        .with("id", column(products, |row| row.id))
        .with("code", column(products, |row| row.code.clone()))
        .with("title", column(products, |row| row.title.clone()))
        .with("tax_category", column(products, |row| row.tax_category.clone()));
    tx.execute_rows(PRODUCTS_INSERT, (tenant, now), &rows).await.map(|_| ())
}

const PRODUCT_FIND: &str =
    "select id, code, title, tax_category, version, created_at from products where tenant_id = $1 and id = $2";
/// One product.
pub async fn product_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ProductRow>> {
    tx.fetch_optional(PRODUCT_FIND, (tenant, id)).await
}

const PRODUCTS_BY_CODE: &str = "select p.id, p.code, p.title, p.tax_category, p.version, p.created_at from {rows}
    join products p on p.tenant_id = $1 and p.code = v.code";
/// The products with these codes; missing ones are absent.
pub async fn products_by_code(tx: &mut Tx, tenant: Uuid, codes: Vec<String>) -> Result<Vec<ProductRow>> {
    tx.fetch_rows(PRODUCTS_BY_CODE, (tenant,), &Rows::new().with("code", codes)).await
}

const PRODUCTS_BY_ID: &str = "select p.id, p.code, p.title, p.tax_category, p.version, p.created_at from {rows}
    join products p on p.tenant_id = $1 and p.id = {key}v.id";
/// The products with these ids; missing ones are absent.
pub async fn products_by_id(tx: &mut Tx, tenant: Uuid, ids: Vec<Uuid>) -> Result<Vec<ProductRow>> {
    tx.fetch_rows(PRODUCTS_BY_ID, (tenant,), &Rows::new().with("id", ids)).await
}

const PRODUCTS_LIST: &str = "select id, code, title, tax_category, version, created_at from products
    where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of products, by id.
pub async fn products_list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<ProductRow>> {
    tx.fetch_all(PRODUCTS_LIST, (tenant, after, limit)).await
}

const PRODUCT_UPDATE: &str = "update products set title = $4, tax_category = $5, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves a product; `false` when it is gone or its version is another.
pub async fn product_update(tx: &mut Tx, tenant: Uuid, row: &ProductRow, if_match: i64) -> Result<bool> {
    let params = (tenant, row.id, if_match, row.title.clone(), row.tax_category.clone());
    Ok(tx.execute(PRODUCT_UPDATE, params).await? == 1)
}

const PLANS_INSERT: &str = "insert into plans (tenant_id, id, code, title, status, visibility, version, created_at)
    select $1, v.id, v.code, v.title, v.status, v.visibility, 1, $2 from {rows}";
/// Adds plans in their first version.
pub async fn plans_insert(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, plans: &[PlanRow]) -> Result<()> {
    let rows = Rows::new()
        .with("id", column(plans, |row| row.id))
        .with("code", column(plans, |row| row.code.clone()))
        .with("title", column(plans, |row| row.title.clone()))
        .with("status", column(plans, |row| row.status.clone()))
        .with("visibility", column(plans, |row| row.visibility.clone()));
    tx.execute_rows(PLANS_INSERT, (tenant, now), &rows).await.map(|_| ())
}

const VERSIONS_INSERT: &str =
    "insert into plan_versions (tenant_id, id, plan_id, ordinal, effective_from, existing_from, cadence, currency,
        price_mode, billing_day, stub, created_at)
    select $1, v.id, v.plan_id, v.ordinal, v.effective_from, v.existing_from, v.cadence, v.currency, v.price_mode, v.billing_day,
        v.stub, $2
    from {rows}";
/// Adds versions of plans.
pub async fn versions_insert(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, versions: &[PlanVersionRow]) -> Result<()> {
    let rows = Rows::new()
        .with("id", column(versions, |row| row.id))
        .with("plan_id", column(versions, |row| row.plan_id))
        .with("ordinal", column(versions, |row| row.ordinal))
        .with("effective_from", column(versions, |row| row.effective_from))
        .with("existing_from", column(versions, |row| row.existing_from))
        .with("cadence", column(versions, |row| row.cadence.clone()))
        .with("currency", column(versions, |row| row.currency.clone()))
        .with("price_mode", column(versions, |row| row.price_mode.clone()))
        .with("billing_day", column(versions, |row| row.billing_day.clone()))
        .with("stub", column(versions, |row| row.stub.clone()));
    tx.execute_rows(VERSIONS_INSERT, (tenant, now), &rows).await.map(|_| ())
}

const COMPONENTS_INSERT: &str =
    "insert into plan_components (tenant_id, id, plan_version_id, product_id, position, code,
        title, kind, unit_price_minor, tax_category, prepayment_percent, included, min_quantity, max_quantity,
        meter_id, metered)
    select $1, v.id, v.plan_version_id, v.product_id, v.position, v.code,
        v.title, v.kind, v.unit_price_minor, v.tax_category, v.prepayment_percent, v.included, v.min_quantity,
        v.max_quantity, v.meter_id, v.metered from {rows}";
/// Adds components of plan versions.
pub async fn components_insert(tx: &mut Tx, tenant: Uuid, components: &[ComponentRow]) -> Result<()> {
    let rows = Rows::new()
        .with("id", column(components, |row| row.id))
        .with("plan_version_id", column(components, |row| row.plan_version_id))
        .with("product_id", column(components, |row| row.product_id))
        .with("position", column(components, |row| row.position))
        .with("code", column(components, |row| row.code.clone()))
        .with("title", column(components, |row| row.title.clone()))
        .with("kind", column(components, |row| row.kind.clone()))
        .with("unit_price_minor", column(components, |row| row.unit_price_minor))
        .with("tax_category", column(components, |row| row.tax_category.clone()))
        .with("prepayment_percent", column(components, |row| row.prepayment_percent))
        .with("included", column(components, |row| row.included.clone()))
        .with("min_quantity", column(components, |row| row.min_quantity.clone()))
        .with("max_quantity", column(components, |row| row.max_quantity.clone()))
        .with("meter_id", column(components, |row| row.meter_id))
        .with("metered", column(components, |row| row.metered.clone()));
    tx.execute_rows(COMPONENTS_INSERT, (tenant,), &rows).await.map(|_| ())
}

const PLAN_FIND: &str =
    "select id, code, title, status, visibility, version, created_at from plans where tenant_id = $1 and id = $2";
/// One plan.
pub async fn plan_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<PlanRow>> {
    tx.fetch_optional(PLAN_FIND, (tenant, id)).await
}

const PLANS_BY_CODE: &str = "select p.id, p.code, p.title, p.status, p.visibility, p.version, p.created_at from {rows}
    join plans p on p.tenant_id = $1 and p.code = v.code";
/// The plans with these codes; missing ones are absent.
pub async fn plans_by_code(tx: &mut Tx, tenant: Uuid, codes: Vec<String>) -> Result<Vec<PlanRow>> {
    tx.fetch_rows(PLANS_BY_CODE, (tenant,), &Rows::new().with("code", codes)).await
}

const PLANS_LIST: &str = "select id, code, title, status, visibility, version, created_at from plans
    where tenant_id = $1 and id > $2 and ($4 = '' or status = $4) and ($5 = '' or visibility = $5) order by id limit $3";
/// A page of plans, by id: in one status and of one visibility; an empty text means all.
pub async fn plans_list(
    tx: &mut Tx,
    tenant: Uuid,
    status: &str,
    visibility: &str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PlanRow>> {
    tx.fetch_all(PLANS_LIST, (tenant, after, limit, status.to_owned(), visibility.to_owned())).await
}

const PLAN_UPDATE: &str = "update plans set title = $4, status = $5, visibility = $6, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves a plan's name, status and visibility; `false` when it is gone or its version is another.
pub async fn plan_update(tx: &mut Tx, tenant: Uuid, row: &PlanRow, if_match: i64) -> Result<bool> {
    let params = (tenant, row.id, if_match, row.title.clone(), row.status.clone(), row.visibility.clone());
    Ok(tx.execute(PLAN_UPDATE, params).await? == 1)
}

/// The most versions of one plan.
pub const MOST_VERSIONS: i32 = 1_000;
/// The most components of one version.
pub const MOST_COMPONENTS: usize = 100;

const VERSIONS_OF: &str = "select p.id, p.plan_id, p.ordinal, p.effective_from, p.existing_from, p.cadence, p.currency,
        p.price_mode, p.billing_day, p.stub, p.created_at
    from {rows} join plan_versions p on p.tenant_id = $1 and p.plan_id = v.plan_id
    order by p.plan_id, p.ordinal limit 100000";
/// All versions of these plans, by plan and ordinal.
pub async fn versions_of(tx: &mut Tx, tenant: Uuid, plans: Vec<Uuid>) -> Result<Vec<PlanVersionRow>> {
    tx.fetch_rows(VERSIONS_OF, (tenant,), &Rows::new().with("plan_id", plans)).await
}

const COMPONENTS_OF: &str = "select c.id, c.plan_version_id, c.product_id, c.position, c.code, c.title, c.kind,
        c.unit_price_minor, c.tax_category, c.prepayment_percent, c.included, c.min_quantity, c.max_quantity,
        c.meter_id, c.metered
    from {rows} join plan_components c on c.tenant_id = $1 and c.plan_version_id = v.plan_version_id
    order by c.plan_version_id, c.position limit 100000";
/// All components of these plan versions, by version and position.
pub async fn components_of(tx: &mut Tx, tenant: Uuid, versions: Vec<Uuid>) -> Result<Vec<ComponentRow>> {
    tx.fetch_rows(COMPONENTS_OF, (tenant,), &Rows::new().with("plan_version_id", versions)).await
}

/// What a subscription shows of the plan version that it is on.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SoldRow {
    /// The plan version.
    pub id: Uuid,
    /// Its plan.
    pub plan_id: Uuid,
    /// Code of the plan.
    pub code: String,
    /// Title of the plan.
    pub title: String,
    /// Length of a period.
    pub cadence: String,
    /// ISO 4217 code of its prices.
    pub currency: String,
}

const SOLD: &str = "select p.id, p.plan_id, n.code, n.title, p.cadence, p.currency from {rows}
    join plan_versions p on p.tenant_id = $1 and p.id = {key}v.id
    join plans n on n.tenant_id = $1 and n.id = p.plan_id";
/// The plan versions with these ids and their plans' codes.
pub async fn sold(tx: &mut Tx, tenant: Uuid, versions: Vec<Uuid>) -> Result<Vec<SoldRow>> {
    tx.fetch_rows(SOLD, (tenant,), &Rows::new().with("id", versions)).await
}

/// A version that the subscribers of an older one go over to.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SuccessorRow {
    /// The older version.
    pub of_version: Uuid,
    /// The version that they go over to.
    pub id: Uuid,
    /// From which day on, each at a renewal.
    pub existing_from: NaiveDate,
}

const SUCCESSORS: &str = "select p.id as of_version, n.id, n.existing_from from {rows}
    join plan_versions p on p.tenant_id = $1 and p.id = {key}v.id
    join plan_versions n on n.tenant_id = $1 and n.plan_id = p.plan_id and n.ordinal > p.ordinal
        and n.existing_from is not null
    order by p.id, n.ordinal limit 100000";
/// The versions that the subscribers of these go over to, by version and ordinal.
pub async fn successors(tx: &mut Tx, tenant: Uuid, versions: Vec<Uuid>) -> Result<Vec<SuccessorRow>> {
    tx.fetch_rows(SUCCESSORS, (tenant,), &Rows::new().with("id", versions)).await
}
