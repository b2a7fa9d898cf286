//! Rows of service terms, of the plans that are sold under them, and who uses them.
//!
//! Every statement names its tenant; a change that reaches tenants below moves the transaction with [`Tx::enter`].

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Sql, Tx};

/// A service term of one tenant.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ServiceTermRow {
    /// Its id.
    pub id: Uuid,
    /// The tenant above whose term this is a copy of; none when it is no copy.
    pub origin_tenant_id: Option<Uuid>,
    /// That term.
    pub origin_id: Option<Uuid>,
    /// `own`, `inherited`, `frozen` or `deleted`.
    pub state: String,
    /// Its name.
    pub name: String,
    /// What synchronises it between levels.
    pub key: Option<String>,
    /// `auto` or `manual`.
    pub stop_mode: String,
    /// `auto` or `manual`.
    pub delete_mode: String,
    /// Days in service while unpaid.
    pub grace_days: i32,
    /// Days kept stopped.
    pub keep_days: i32,
    /// Whether promises count as money.
    pub payable_by_promise: bool,
    /// The financial day.
    pub billing_day: Option<i32>,
    /// Whether tenants below have it.
    pub delegated: bool,
    /// The credential that changed it last.
    pub changed_by: String,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, origin_tenant_id, origin_id, state, name, key, stop_mode, delete_mode, grace_days, keep_days,
                payable_by_promise, billing_day, delegated, changed_by, version, created_at, updated_at from service_terms where tenant_id = $1 ",
            $rest
        )
    };
}

const LOCK_TREE: Sql =
    Sql::each("select id from tenants where id = $1", "select id from tenants where id = $1 for no key update");
/// Waits until nobody else changes terms or tenants of the tree with this root; SQLite has one writer anyway.
///
/// Terms of a tree are changed by one transaction at a time: only so is a key that is free everywhere below still free
/// when it is written, and only so does a new tenant miss no delegated term.
pub async fn lock_tree(tx: &mut Tx, root: Uuid) -> Result<()> {
    tx.fetch_optional::<(Uuid,)>(LOCK_TREE, (root,)).await.map(|_| ())
}

const INSERT: &str =
    "insert into service_terms (tenant_id, id, origin_tenant_id, origin_id, state, name, key, stop_mode,
        delete_mode, grace_days, keep_days, payable_by_promise, billing_day, delegated, changed_by, version, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1, $16, $16)";
/// Adds a term in its first version.
pub async fn insert(tx: &mut Tx, tenant: Uuid, row: &ServiceTermRow) -> Result<()> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        row.origin_tenant_id,
        row.origin_id,
        row.state,
        row.name,
        row.key,
        row.stop_mode,
        row.delete_mode,
        row.grace_days,
        row.keep_days,
        row.payable_by_promise,
        row.billing_day,
        row.delegated,
        row.changed_by,
        row.created_at,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

const UPDATE: &str = "update service_terms set origin_tenant_id = $4, origin_id = $5, state = $6, name = $7, key = $8,
        stop_mode = $9, delete_mode = $10, grace_days = $11, keep_days = $12, payable_by_promise = $13,
        billing_day = $14, delegated = $15, changed_by = $16, updated_at = $17, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves a term; `false` when it is gone or its version is another.
pub async fn update(tx: &mut Tx, tenant: Uuid, row: &ServiceTermRow, if_match: i64) -> Result<bool> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        if_match,
        row.origin_tenant_id,
        row.origin_id,
        row.state,
        row.name,
        row.key,
        row.stop_mode,
        row.delete_mode,
        row.grace_days,
        row.keep_days,
        row.payable_by_promise,
        row.billing_day,
        row.delegated,
        row.changed_by,
        row.updated_at,
    );
    Ok(tx.execute(UPDATE, params).await? == 1)
}

const FIND: &str = select!("and id = $2 and state <> 'deleted'");
/// One term that was not deleted.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ServiceTermRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const FIND_COPY: &str = select!("and origin_id = $2");
/// The tenant's copy of a term of a tenant above.
pub async fn find_copy(tx: &mut Tx, tenant: Uuid, origin: Uuid) -> Result<Option<ServiceTermRow>> {
    tx.fetch_optional(FIND_COPY, (tenant, origin)).await
}

const FIND_KEY: &str = select!("and key = $2");
/// The tenant's term with this key.
pub async fn find_key(tx: &mut Tx, tenant: Uuid, key: &str) -> Result<Option<ServiceTermRow>> {
    tx.fetch_optional(FIND_KEY, (tenant, key.to_owned())).await
}

const FIND_NAME: &str = select!("and name = $2 and id <> $3 and state <> 'deleted' order by id limit 1");
/// Another term of the tenant with this name.
pub async fn find_name(tx: &mut Tx, tenant: Uuid, name: &str, except: Uuid) -> Result<Option<ServiceTermRow>> {
    tx.fetch_optional(FIND_NAME, (tenant, name.to_owned(), except)).await
}

const LIST: &str = select!("and id > $2 and state <> 'deleted' order by id limit $3");
/// A page of terms by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<ServiceTermRow>> {
    tx.fetch_all(LIST, (tenant, after, limit)).await
}

const ANY: &str = "select count(*) from (select id from service_terms where tenant_id = $1 limit 1) found";
/// Whether the tenant has, or had, a term.
pub async fn any(tx: &mut Tx, tenant: Uuid) -> Result<bool> {
    Ok(tx.fetch_one::<(i64,)>(ANY, (tenant,)).await?.0 > 0)
}

/// A term of the tenant's own, and one from above with the same name.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NameClashRow {
    /// The name of both.
    pub name: String,
    /// The tenant's own term.
    pub own_id: Uuid,
    /// The one from above.
    pub inherited_id: Uuid,
}

const NAME_CLASHES: &str = "select o.name, o.id as own_id, i.id as inherited_id from service_terms o
    join service_terms i on i.tenant_id = $1 and i.name = o.name and i.state = 'inherited'
    where o.tenant_id = $1 and o.state = 'own' and o.id > $2 order by o.id, i.id limit $3";
/// A page of the tenant's own terms whose name a term from above has.
pub async fn name_clashes(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<NameClashRow>> {
    tx.fetch_all(NAME_CLASHES, (tenant, after, limit)).await
}

const IN_USE: &str = "select
    (select count(*) from service_term_plans t join plans p on p.tenant_id = $1 and p.id = t.plan_id
        where t.tenant_id = $1 and t.service_term_id = $2 and p.status <> 'archived')
    + (select count(*) from subscription_lives l join subscriptions s on s.tenant_id = $1 and s.id = l.subscription_id
        where l.tenant_id = $1 and l.service_term_id = $2 and s.status not in ('deleted', 'cancelled', 'completed'))
    + (select count(*) from service_term_plans t join plan_versions v on v.tenant_id = $1 and v.plan_id = t.plan_id
        join subscriptions s on s.tenant_id = $1 and s.plan_version_id = v.id
        where t.tenant_id = $1 and t.service_term_id = $2 and s.status not in ('deleted', 'cancelled', 'completed'))";
/// How many plans on sale and living subscriptions the term serves, by itself or by their plan.
pub async fn uses(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<i64> {
    Ok(tx.fetch_one::<(i64,)>(IN_USE, (tenant, id)).await?.0)
}

const PLAN_PUT: &str = "insert into service_term_plans (tenant_id, plan_id, service_term_id, updated_at)
    values ($1, $2, $3, $4)
    on conflict (tenant_id, plan_id) do update set service_term_id = excluded.service_term_id,
        updated_at = excluded.updated_at";
/// Puts a plan under a term.
pub async fn plan_put(tx: &mut Tx, tenant: Uuid, plan: Uuid, term: Uuid, now: DateTime<Utc>) -> Result<()> {
    tx.execute(PLAN_PUT, (tenant, plan, term, now)).await.map(|_| ())
}

const PLAN_TAKE: &str = "delete from service_term_plans where tenant_id = $1 and plan_id = $2";
/// Takes a plan from its term.
pub async fn plan_take(tx: &mut Tx, tenant: Uuid, plan: Uuid) -> Result<()> {
    tx.execute(PLAN_TAKE, (tenant, plan)).await.map(|_| ())
}

const PLAN_TERM: &str = "select service_term_id from service_term_plans where tenant_id = $1 and plan_id = $2";
/// The term that a plan is sold under.
pub async fn plan_term(tx: &mut Tx, tenant: Uuid, plan: Uuid) -> Result<Option<Uuid>> {
    Ok(tx.fetch_optional::<(Uuid,)>(PLAN_TERM, (tenant, plan)).await?.map(|row| row.0))
}
