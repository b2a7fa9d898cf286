//! The history of bindings, what tenants have from above, and what operators granted.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Tx, plugins::BindingRow};

const SHARED_IN_EFFECT: &str = "select id, extension_point, component_digest, config, priority, effective_from,
    created_at, ended_at, version, inheritance, limits from bindings
    where tenant_id = $1 and extension_point = $2 and effective_from <= $3 and ended_at is null and inheritance <> 'none'
    order by case inheritance when 'required' then 0 else 1 end, effective_from desc, priority, id desc limit 1";
/// The binding that a tenant shares with those below it on a business date; a required one goes before the others.
pub async fn shared_in_effect(tx: &mut Tx, tenant: Uuid, point: &str, on: NaiveDate) -> Result<Option<BindingRow>> {
    tx.fetch_optional(SHARED_IN_EFFECT, (tenant, point.to_owned(), on)).await
}

const SHARE: &str = "update bindings set inheritance = $4, limits = $5, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3 and ended_at is null";
/// Says who below uses a binding of this version, and with which limits; `false` when it changed or ended.
pub async fn share(tx: &mut Tx, tenant: Uuid, id: Uuid, version: i64, inheritance: &str, limits: &str) -> Result<bool> {
    Ok(tx.execute(SHARE, (tenant, id, version, inheritance.to_owned(), limits.to_owned())).await? == 1)
}

const COMPONENT_SET: &str = "update bindings set component_digest = $4, config = $5, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3 and ended_at is null";
/// Gives a binding of this version another component and configuration; `false` when it changed or ended.
pub async fn component_set(
    tx: &mut Tx,
    tenant: Uuid,
    id: Uuid,
    version: i64,
    digest: Vec<u8>,
    config: &str,
) -> Result<bool> {
    Ok(tx.execute(COMPONENT_SET, (tenant, id, version, digest, config.to_owned())).await? == 1)
}

const TOUCH: &str = "update bindings set version = version + 1 where tenant_id = $1 and id = $2 and ended_at is null";
/// Counts a change of a binding that leaves its component; `false` when it ended.
pub async fn touch(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<bool> {
    Ok(tx.execute(TOUCH, (tenant, id)).await? == 1)
}

/// One change of a binding.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ChangeRow {
    /// The binding.
    pub binding_id: Uuid,
    /// The version of the binding that the change made.
    pub version: i64,
    /// `bind`, `upgrade`, `rollback`, `migrate` or `end`.
    pub kind: String,
    /// The component from then on.
    pub component_digest: Vec<u8>,
    /// The configuration from then on.
    pub config: String,
    /// The credential that changed it.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// What it meant for the subscriptions that were there, in words.
    pub detail: Option<String>,
}

const CHANGE_INSERT: &str = "insert into binding_changes
    (tenant_id, binding_id, version, kind, component_digest, config, changed_by, changed_at, detail)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
/// Records a change.
pub async fn change_insert(tx: &mut Tx, tenant: Uuid, row: ChangeRow) -> Result<()> {
    let params = (
        tenant,
        row.binding_id,
        row.version,
        row.kind,
        row.component_digest,
        row.config,
        row.changed_by,
        row.changed_at,
        row.detail,
    );
    tx.execute(CHANGE_INSERT, params).await.map(|_| ())
}

const CHANGES: &str = "select binding_id, version, kind, component_digest, config, changed_by, changed_at, detail
    from binding_changes where tenant_id = $1 and binding_id = $2 and version > $3 order by version limit $4";
/// A page of a binding's history, oldest first.
pub async fn changes(tx: &mut Tx, tenant: Uuid, binding: Uuid, after: i64, limit: i64) -> Result<Vec<ChangeRow>> {
    tx.fetch_all(CHANGES, (tenant, binding, after, limit)).await
}

/// What a tenant has from above.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct InheritedRow {
    /// The binding.
    pub binding_id: Uuid,
    /// Whose it is.
    pub owner_id: Uuid,
    /// Lower limits, JSON.
    pub limits: String,
    /// The first business date without it.
    pub ended_from: Option<NaiveDate>,
    /// The credential that decided, or `inheritance` when it was only used.
    pub decided_by: String,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// Counts decisions.
    pub version: i64,
}

const INHERITED_NOTE: &str = "insert into inherited_bindings
    (tenant_id, binding_id, owner_id, limits, ended_from, decided_by, decided_at, version)
    values ($1, $2, $3, '{}', null, 'inheritance', $4, 1) on conflict (tenant_id, binding_id) do nothing";
/// Notes that a tenant uses a binding from above.
pub async fn inherited_note(tx: &mut Tx, tenant: Uuid, binding: Uuid, owner: Uuid, at: DateTime<Utc>) -> Result<()> {
    tx.execute(INHERITED_NOTE, (tenant, binding, owner, at)).await.map(|_| ())
}

const INHERITED_SET: &str = "insert into inherited_bindings
    (tenant_id, binding_id, owner_id, limits, ended_from, decided_by, decided_at, version)
    values ($1, $2, $3, $4, $5, $6, $7, 1)
    on conflict (tenant_id, binding_id) do update set limits = excluded.limits, ended_from = excluded.ended_from,
        decided_by = excluded.decided_by, decided_at = excluded.decided_at, version = inherited_bindings.version + 1";
/// Decides what a tenant makes of a binding from above.
pub async fn inherited_set(tx: &mut Tx, tenant: Uuid, row: InheritedRow) -> Result<()> {
    let params = (tenant, row.binding_id, row.owner_id, row.limits, row.ended_from, row.decided_by, row.decided_at);
    tx.execute(INHERITED_SET, params).await.map(|_| ())
}

const INHERITED: &str = "select binding_id, owner_id, limits, ended_from, decided_by, decided_at, version
    from inherited_bindings where tenant_id = $1 order by binding_id limit 10000";
/// What a tenant made of bindings from above.
pub async fn inherited(tx: &mut Tx, tenant: Uuid) -> Result<Vec<InheritedRow>> {
    tx.fetch_all(INHERITED, (tenant,)).await
}

/// What was granted to a plugin of a tenant.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct GrantRow {
    /// The plugin.
    pub plugin_id: String,
    /// Hosts that it asked for when this was decided, a JSON list.
    pub asked_hosts: String,
    /// Secrets that it asked for when this was decided, a JSON list.
    pub asked_secrets: String,
    /// Hosts, a JSON list.
    pub hosts: String,
    /// Secrets, a JSON list of names.
    pub secrets: String,
    /// Limits, JSON.
    pub limits: String,
    /// The credential that decided.
    pub decided_by: String,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// Counts decisions.
    pub version: i64,
}

const GRANT_SET: &str = "insert into grants
    (tenant_id, plugin_id, asked_hosts, asked_secrets, hosts, secrets, limits, decided_by, decided_at, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)
    on conflict (tenant_id, plugin_id) do update set asked_hosts = excluded.asked_hosts,
        asked_secrets = excluded.asked_secrets, hosts = excluded.hosts, secrets = excluded.secrets,
        limits = excluded.limits, decided_by = excluded.decided_by, decided_at = excluded.decided_at,
        version = grants.version + 1";
/// Grants, in place of what was granted before.
pub async fn grant_set(tx: &mut Tx, tenant: Uuid, row: GrantRow) -> Result<()> {
    let params = (
        tenant,
        row.plugin_id,
        row.asked_hosts,
        row.asked_secrets,
        row.hosts,
        row.secrets,
        row.limits,
        row.decided_by,
        row.decided_at,
    );
    tx.execute(GRANT_SET, params).await.map(|_| ())
}

const GRANT_FIND: &str = "select plugin_id, asked_hosts, asked_secrets, hosts, secrets, limits, decided_by, decided_at,
    version from grants where tenant_id = $1 and plugin_id = $2";
/// One grant.
pub async fn grant_find(tx: &mut Tx, tenant: Uuid, plugin: &str) -> Result<Option<GrantRow>> {
    tx.fetch_optional(GRANT_FIND, (tenant, plugin.to_owned())).await
}

const GRANTS_LIST: &str =
    "select plugin_id, asked_hosts, asked_secrets, hosts, secrets, limits, decided_by, decided_at,
    version from grants where tenant_id = $1 and plugin_id > $2 order by plugin_id limit $3";
/// A page of grants by plugin.
pub async fn grants_list(tx: &mut Tx, tenant: Uuid, after: &str, limit: i64) -> Result<Vec<GrantRow>> {
    tx.fetch_all(GRANTS_LIST, (tenant, after.to_owned(), limit)).await
}
