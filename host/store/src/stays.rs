//! Stays of bindings, and the subscriptions that were taken out of them by name.
//!
//! A stay is a row of the binding's owner; a migration is one of the subscription's tenant, which may be below it. So no
//! statement joins the two: whoever needs both reads the stays first and names them by their versions.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// What an upgrade left to the subscriptions that were there.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StayRow {
    /// The binding.
    pub binding_id: Uuid,
    /// The version of the binding that the upgrade made.
    pub made_version: i64,
    /// The component that they go on with.
    pub component_digest: Vec<u8>,
    /// The configuration that they go on with.
    pub config: String,
    /// The instant of the upgrade.
    pub started_before: DateTime<Utc>,
    /// The credential that upgraded.
    pub made_by: String,
}

const INSERT: &str = "insert into binding_stays
    (tenant_id, binding_id, made_version, component_digest, config, started_before, made_by, ended_version)
    values ($1, $2, $3, $4, $5, $6, $7, null)";
/// Records a stay.
pub async fn insert(tx: &mut Tx, owner: Uuid, row: StayRow) -> Result<()> {
    let StayRow { binding_id, made_version, component_digest, config, started_before, made_by } = row;
    let params = (owner, binding_id, made_version, component_digest, config, started_before, made_by);
    tx.execute(INSERT, params).await.map(|_| ())
}

const LIVE: &str = "select binding_id, made_version, component_digest, config, started_before, made_by
    from binding_stays where tenant_id = $1 and binding_id = $2 and ended_version is null
    order by made_version limit 100";
/// The stays of a binding that have not ended, in the order of their upgrades.
pub async fn live(tx: &mut Tx, owner: Uuid, binding: Uuid) -> Result<Vec<StayRow>> {
    tx.fetch_all(LIVE, (owner, binding)).await
}

const END: &str = "update binding_stays set ended_version = $3
    where tenant_id = $1 and binding_id = $2 and ended_version is null";
/// Ends the stays of a binding with its version; answers how many there were.
pub async fn end(tx: &mut Tx, owner: Uuid, binding: Uuid, version: i64) -> Result<u64> {
    tx.execute(END, (owner, binding, version)).await
}

const UNDO: &str = "update binding_stays set ended_version = $4
    where tenant_id = $1 and binding_id = $2 and made_version >= $3 and ended_version is null";
const REOPEN: &str = "update binding_stays set ended_version = null
    where tenant_id = $1 and binding_id = $2 and made_version < $3 and ended_version >= $3";
/// Takes the stays of a binding back to what they were before the upgrade that made its version `undone`; `version` is that of
/// the rollback.
pub async fn take_back(tx: &mut Tx, owner: Uuid, binding: Uuid, undone: i64, version: i64) -> Result<()> {
    tx.execute(UNDO, (owner, binding, undone, version)).await?;
    tx.execute(REOPEN, (owner, binding, undone)).await.map(|_| ())
}

const LEFT: &str = "select m.subscription_id, m.made_version
    from {rows} join subscription_migrations m
        on m.tenant_id = $1 and m.binding_id = $2 and m.subscription_id = {key}v.id";
/// The stays that subscriptions were taken out of by name: subscription and version of the stay.
pub async fn left(tx: &mut Tx, tenant: Uuid, binding: Uuid, subscriptions: Vec<Uuid>) -> Result<Vec<(Uuid, i64)>> {
    tx.fetch_rows(LEFT, (tenant, binding), &Rows::new().with("id", subscriptions)).await
}

const STARTED: &str = "select s.id, s.created_at from {rows} join subscriptions s
    on s.tenant_id = $1 and s.id = {key}v.id";
/// When subscriptions were started; who is not the tenant's is left out.
pub async fn started(tx: &mut Tx, tenant: Uuid, subscriptions: Vec<Uuid>) -> Result<Vec<(Uuid, DateTime<Utc>)>> {
    tx.fetch_rows(STARTED, (tenant,), &Rows::new().with("id", subscriptions)).await
}

const LEAVE: &str = "insert into subscription_migrations
    (tenant_id, binding_id, subscription_id, made_version, migrated_by, migrated_at)
    select $1, $2, v.id, $3, $4, $5 from {rows} where true
    on conflict (tenant_id, binding_id, subscription_id, made_version) do nothing";
/// Takes subscriptions out of a stay and those before it; answers how many were not out yet.
pub async fn leave(
    tx: &mut Tx,
    tenant: Uuid,
    (binding, made_version): (Uuid, i64),
    by: &str,
    at: DateTime<Utc>,
    subscriptions: Vec<Uuid>,
) -> Result<u64> {
    let constants = (tenant, binding, made_version, by.to_owned(), at);
    tx.execute_rows(LEAVE, constants, &Rows::new().with("id", subscriptions)).await
}

const COUNT: &str = "select count(*) from subscriptions s
    where s.tenant_id = $1 and s.status not in ('deleted', 'cancelled', 'completed') and s.created_at < $3
        and (s.created_at >= $4 or exists (select 1 from subscription_migrations m
            where m.tenant_id = $1 and m.binding_id = $2 and m.subscription_id = s.id and m.made_version = $5))
        and not exists (select 1 from subscription_migrations m
            where m.tenant_id = $1 and m.binding_id = $2 and m.subscription_id = s.id
                and m.made_version in ($6, $7, $8, $9, $10, $11, $12, $13))";
/// How many subscriptions of a tenant that are not over have a stay: the one at a place among those of a binding.
pub async fn count(tx: &mut Tx, tenant: Uuid, stays: &[StayRow], place: usize) -> Result<i64> {
    let Some(stay) = stays.get(place) else { return Ok(0) };
    let ahead = place.checked_sub(1).and_then(|ahead| stays.get(ahead));
    let from = ahead.map_or(DateTime::UNIX_EPOCH, |ahead| ahead.started_before);
    let mut later = stays[place..].iter().map(|stay| stay.made_version);
    // No stay has the version −1.
    let mut next = || later.next().unwrap_or(-1);
    let params = (
        tenant,
        stay.binding_id,
        stay.started_before,
        from,
        ahead.map_or(-1, |ahead| ahead.made_version),
        next(),
        next(),
        next(),
        next(),
        next(),
        next(),
        next(),
        next(),
    );
    Ok(tx.fetch_one::<(i64,)>(COUNT, params).await?.0)
}
