//! Rows of blocks: who has no access, since when and why.
//!
//! A block that is lifted keeps its row for ever. A partial unique index lets at most one block of a type stand on an
//! object, so whoever sets one twice, on whichever host, finds the first.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// A block.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BlockRow {
    /// Its id.
    pub id: Uuid,
    /// The contract, or the subscription's.
    pub contract_id: Uuid,
    /// The subscription, when the block stands on one.
    pub subscription_id: Option<Uuid>,
    /// What it is for.
    #[sqlx(rename = "type")]
    pub block_type: String,
    /// Why.
    pub comment: String,
    /// `manual`, `credit-control` or `dunning`.
    pub source: String,
    /// The first instant without access.
    pub starts_at: DateTime<Utc>,
    /// When it ends by itself.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it was lifted.
    pub lifted_at: Option<DateTime<Utc>>,
    /// Why it was lifted.
    pub lift_comment: Option<String>,
    /// Who set it.
    pub set_by: String,
    /// Who lifted it.
    pub lifted_by: Option<String>,
    /// 1 while it stands, 2 once it is lifted.
    pub version: i64,
    /// When it was set.
    pub created_at: DateTime<Utc>,
}

const INSERT_ALL: &str =
    "insert into blocks (tenant_id, id, contract_id, subscription_id, object_id, type, comment, source,
        starts_at, ends_at, lifted_at, lift_comment, set_by, lifted_by, version, created_at)
    select $1, v.id, v.contract_id, v.subscription_id, coalesce(v.subscription_id, v.contract_id), v.type, v.comment, $2,
        $3, $4, null, null, $5, null, 1, $6 from {rows} where true
    on conflict do nothing";
/// Sets blocks that share source, span and author; those that stand already are left out. Answers how many are new.
pub async fn insert_all(tx: &mut Tx, tenant: Uuid, blocks: &[BlockRow]) -> Result<u64> {
    let Some(first) = blocks.first() else { return Ok(0) };
    let constants =
        (tenant, first.source.clone(), first.starts_at, first.ends_at, first.set_by.clone(), first.created_at);
    let rows = Rows::new()
        .with("id", column(blocks, |row| row.id))
        .with("contract_id", column(blocks, |row| row.contract_id))
        .with("subscription_id", column(blocks, |row| row.subscription_id))
        .with("type", column(blocks, |row| row.block_type.clone()))
        .with("comment", column(blocks, |row| row.comment.clone()));
    tx.execute_rows(INSERT_ALL, constants, &rows).await
}

const FIND: &str = "select id, contract_id, subscription_id, type, comment, source, starts_at, ends_at, lifted_at,
        lift_comment, set_by, lifted_by, version, created_at
    from blocks where tenant_id = $1 and id = $2";
/// One block.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<BlockRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str = "select id, contract_id, subscription_id, type, comment, source, starts_at, ends_at, lifted_at,
        lift_comment, set_by, lifted_by, version, created_at
    from blocks where tenant_id = $1 and id > $2
        and ($4 = 0 or (lifted_at is null and (ends_at is null or ends_at > $5))) order by id limit $3";
const LIST_BY_CONTRACT: &str =
    "select id, contract_id, subscription_id, type, comment, source, starts_at, ends_at, lifted_at,
        lift_comment, set_by, lifted_by, version, created_at
    from blocks where tenant_id = $1 and contract_id = $6 and id > $2
        and ($4 = 0 or (lifted_at is null and (ends_at is null or ends_at > $5))) order by id limit $3";
const LIST_BY_SUBSCRIPTION: &str =
    "select id, contract_id, subscription_id, type, comment, source, starts_at, ends_at, lifted_at,
        lift_comment, set_by, lifted_by, version, created_at
    from blocks where tenant_id = $1 and contract_id = $6 and subscription_id = $7 and id > $2
        and ($4 = 0 or (lifted_at is null and (ends_at is null or ends_at > $5))) order by id limit $3";
/// Which blocks a list holds.
#[derive(Clone, Copy, Debug)]
pub enum Filter {
    /// All of the tenant.
    All,
    /// Those on a contract and its subscriptions.
    Contract(Uuid),
    /// Those on a subscription of a contract.
    Subscription(Uuid, Uuid),
}

/// A page of blocks by id; `standing_at` leaves out those that are lifted or over at that instant.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    filter: Filter,
    standing_at: Option<DateTime<Utc>>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<BlockRow>> {
    let standing = i64::from(standing_at.is_some());
    let now = standing_at.unwrap_or(DateTime::UNIX_EPOCH);
    match filter {
        Filter::All => tx.fetch_all(LIST, (tenant, after, limit, standing, now)).await,
        Filter::Contract(contract) => {
            tx.fetch_all(LIST_BY_CONTRACT, (tenant, after, limit, standing, now, contract)).await
        }
        Filter::Subscription(contract, subscription) => {
            let params = (tenant, after, limit, standing, now, contract, subscription);
            tx.fetch_all(LIST_BY_SUBSCRIPTION, params).await
        }
    }
}

const STANDING_ON: &str = "select id, contract_id, subscription_id, type, comment, source, starts_at, ends_at,
        lifted_at, lift_comment, set_by, lifted_by, version, created_at
    from blocks where tenant_id = $1 and object_id in ($2, $3) and lifted_at is null
        and (ends_at is null or ends_at > $4) order by id limit 1000";
/// The blocks that stand on a contract and one of its subscriptions at an instant, the scheduled ones too.
pub async fn standing_on(
    tx: &mut Tx,
    tenant: Uuid,
    contract: Uuid,
    subscription: Uuid,
    now: DateTime<Utc>,
) -> Result<Vec<BlockRow>> {
    tx.fetch_all(STANDING_ON, (tenant, contract, subscription, now)).await
}

const STANDING_OF_TYPE: &str = "select id, contract_id, subscription_id, type, comment, source, starts_at, ends_at,
        lifted_at, lift_comment, set_by, lifted_by, version, created_at
    from blocks where tenant_id = $1 and object_id = $2 and type = $3 and lifted_at is null";
/// The block of a type that stands on an object, over or not.
pub async fn standing_of_type(tx: &mut Tx, tenant: Uuid, object: Uuid, block_type: &str) -> Result<Option<BlockRow>> {
    tx.fetch_optional(STANDING_OF_TYPE, (tenant, object, block_type.to_owned())).await
}

const ACTIVE_OF_TYPE: &str = "select id, contract_id, subscription_id, type, comment, source, starts_at, ends_at,
        lifted_at, lift_comment, set_by, lifted_by, version, created_at
    from blocks where tenant_id = $1 and type = $2 and lifted_at is null and starts_at <= $3
        and (ends_at is null or ends_at > $3) and id > $4 order by id limit $5";
/// A page of the blocks of a type that deny access at an instant, by id.
pub async fn active_of_type(
    tx: &mut Tx,
    tenant: Uuid,
    block_type: &str,
    now: DateTime<Utc>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<BlockRow>> {
    tx.fetch_all(ACTIVE_OF_TYPE, (tenant, block_type.to_owned(), now, after, limit)).await
}

const OF_SOURCE: &str = "select id, contract_id, subscription_id, type, comment, source, starts_at, ends_at, lifted_at,
        lift_comment, set_by, lifted_by, version, created_at
    from blocks where tenant_id = $1 and object_id = $2 and source = $3 and lifted_at is null order by id limit 100";
/// The blocks of one source that stand on an object.
pub async fn of_source(tx: &mut Tx, tenant: Uuid, object: Uuid, source: &str) -> Result<Vec<BlockRow>> {
    tx.fetch_all(OF_SOURCE, (tenant, object, source.to_owned())).await
}

const LIFT: &str = "update blocks set lifted_at = $3, lifted_by = $4, lift_comment = $5, version = version + 1
    where tenant_id = $1 and id = $2 and lifted_at is null";
/// Lifts a block; `false` when it is gone or lifted already.
pub async fn lift(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    at: DateTime<Utc>,
    by: &str,
    comment: Option<&str>,
) -> Result<bool> {
    let params = (tenant, id, at, by.to_owned(), comment.map(str::to_owned));
    Ok(tx.execute(LIFT, params).await? == 1)
}

const LIFT_ALL: &str =
    "update blocks set lifted_at = $2, lifted_by = $3, lift_comment = $4, version = blocks.version + 1
    from {rows} where blocks.tenant_id = $1 and blocks.id = {key}v.id and blocks.lifted_at is null";
/// Lifts many blocks; answers how many stood.
pub async fn lift_all(
    tx: &mut Tx,
    tenant: Uuid,
    ids: Vec<Uuid>,
    at: DateTime<Utc>,
    by: &str,
    comment: &str,
) -> Result<u64> {
    tx.execute_rows(LIFT_ALL, (tenant, at, by.to_owned(), comment.to_owned()), &Rows::new().with("id", ids)).await
}
