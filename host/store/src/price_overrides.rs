//! Rows of price overrides: what single contracts pay for a component instead of the plan's price.
//!
//! One that is removed keeps its row for ever. Concurrency: whoever sets one moves the contract's version first, so that two
//! overrides of one contract are never checked against each other at the same time.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// A price override.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PriceOverrideRow {
    /// Its id.
    pub id: Uuid,
    /// The contract that pays.
    pub contract_id: Uuid,
    /// The subscription, when it is for one only.
    pub subscription_id: Option<Uuid>,
    /// The plan.
    pub plan_id: Uuid,
    /// Code of the component, in whatever version of the plan.
    pub component: String,
    /// Price of one unit and period, minor units.
    pub unit_price_minor: i64,
    /// The contract's currency, ISO 4217 code.
    pub currency: String,
    /// The first day on which a period may begin that it holds for.
    pub from_on: NaiveDate,
    /// The day after the last one; none for ever.
    pub until_on: Option<NaiveDate>,
    /// Why.
    pub comment: String,
    /// Who set it.
    pub set_by: String,
    /// When it was set.
    pub created_at: DateTime<Utc>,
    /// When it was removed.
    pub removed_at: Option<DateTime<Utc>>,
    /// Who removed it.
    pub removed_by: Option<String>,
    /// Why it was removed.
    pub remove_comment: Option<String>,
    /// 1 while it stands, 2 once it is removed.
    pub version: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select o.id, o.contract_id, o.subscription_id, o.plan_id, o.component, o.unit_price_minor, c.currency,
                o.from_on, o.until_on, o.comment, o.set_by, o.created_at, o.removed_at, o.removed_by, o.remove_comment, o.version from ",
            $rest
        )
    };
}

const INSERT: &str = "insert into price_overrides (tenant_id, id, contract_id, subscription_id, plan_id, component,
        unit_price_minor, from_on, until_on, comment, set_by, created_at, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1)";
/// Adds an override.
pub async fn insert(tx: &mut Tx, tenant: Uuid, row: &PriceOverrideRow) -> Result<()> {
    let params = (
        tenant,
        row.id,
        row.contract_id,
        row.subscription_id,
        row.plan_id,
        row.component.clone(),
        row.unit_price_minor,
        row.from_on,
        row.until_on,
        row.comment.clone(),
        row.set_by.clone(),
        row.created_at,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

const FIND: &str = select!(
    "price_overrides o join contracts c on c.tenant_id = $1 and c.id = o.contract_id where o.tenant_id = $1 and o.id = $2"
);
/// One override.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<PriceOverrideRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str = select!(
    "price_overrides o join contracts c on c.tenant_id = $1 and c.id = o.contract_id
    where o.tenant_id = $1 and o.id > $2 and ($4 = 0 or o.removed_at is null) order by o.id limit $3"
);
const LIST_BY_CONTRACT: &str = select!(
    "price_overrides o join contracts c on c.tenant_id = $1 and c.id = o.contract_id
    where o.tenant_id = $1 and o.contract_id = $5 and o.id > $2 and ($4 = 0 or o.removed_at is null)
    order by o.id limit $3"
);
/// A page of overrides by id, of one contract when it is named; `standing` leaves out those that were removed.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    contract: Option<Uuid>,
    standing: bool,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PriceOverrideRow>> {
    let standing = i64::from(standing);
    match contract {
        None => tx.fetch_all(LIST, (tenant, after, limit, standing)).await,
        Some(contract) => tx.fetch_all(LIST_BY_CONTRACT, (tenant, after, limit, standing, contract)).await,
    }
}

const ANY: &str = "select id from price_overrides where tenant_id = $1 and removed_at is null limit 1";
const OF_CONTRACTS: &str = select!(
    "{rows} join price_overrides o on o.tenant_id = $1 and o.contract_id = {key}v.id
        join contracts c on c.tenant_id = $1 and c.id = o.contract_id
    where o.removed_at is null
    order by o.contract_id, o.id limit 1000000"
);
/// The overrides of these contracts that stand. A tenant that has none is asked one short question.
pub async fn of_contracts(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Vec<PriceOverrideRow>> {
    if contracts.is_empty() || tx.fetch_optional::<(Uuid,)>(ANY, (tenant,)).await?.is_none() {
        return Ok(Vec::new());
    }
    tx.fetch_rows(OF_CONTRACTS, (tenant,), &Rows::new().with("id", contracts)).await
}

const LOCK: &str = "update contracts set version = version + 1 where tenant_id = $1 and id = $2";
/// Moves the contract's version: what was planned by its old prices is planned again, and others wait.
pub async fn lock(tx: &mut Tx, tenant: Uuid, contract: Uuid) -> Result<bool> {
    Ok(tx.execute(LOCK, (tenant, contract)).await? == 1)
}

const REMOVE: &str = "update price_overrides set removed_at = $3, removed_by = $4, remove_comment = $5, version = 2
    where tenant_id = $1 and id = $2 and removed_at is null";
/// Removes an override; `false` when it was removed before.
pub async fn remove(tx: &mut Tx, tenant: Uuid, id: Uuid, at: DateTime<Utc>, by: &str, comment: &str) -> Result<bool> {
    Ok(tx.execute(REMOVE, (tenant, id, at, by.to_owned(), comment.to_owned())).await? == 1)
}
