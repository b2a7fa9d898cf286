//! Secrets as they lie: sealed values, the wrapped keys that open them, and the ids of the keys that wrap.
//!
//! Nothing here can be read without the master key, which is never in the database.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Sql, Tx};

/// A master key that this database knows, without the key.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct MasterKeyRow {
    /// Its id, made from the key.
    pub id: String,
    /// `current`, `leaving` or `retired`.
    pub state: String,
    /// A known text sealed with it.
    pub proof: Vec<u8>,
    /// When it was first used.
    pub created_at: DateTime<Utc>,
}

const MASTER_INSERT: &str = "insert into master_keys (id, state, proof, created_at) values ($1, 'current', $2, $3)";
/// Makes a key the current one; another must not be current.
pub async fn master_insert(tx: &mut Tx, id: &str, proof: Vec<u8>, at: DateTime<Utc>) -> Result<()> {
    tx.execute(MASTER_INSERT, (id.to_owned(), proof, at)).await.map(|_| ())
}

const MASTERS: &str =
    "select id, state, proof, created_at from master_keys where state <> 'retired' order by created_at, id";
/// The keys that something may still be wrapped with; a handful.
pub async fn masters(tx: &mut Tx) -> Result<Vec<MasterKeyRow>> {
    tx.fetch_all(MASTERS, ()).await
}

const MASTER_HOLD: Sql = Sql::each(
    "select id from master_keys where id = $1 and state = 'current'",
    "select id from master_keys where id = $1 and state = 'current' for share",
);
/// Keeps a key current until the transaction ends; `false` when it is not.
pub async fn master_hold(tx: &mut Tx, id: &str) -> Result<bool> {
    Ok(tx.fetch_optional::<(String,)>(MASTER_HOLD, (id.to_owned(),)).await?.is_some())
}

const MASTERS_LEAVE: &str = "update master_keys set state = 'leaving' where state = 'current' and id <> $1";
/// Lets every current key but this one leave.
pub async fn masters_leave(tx: &mut Tx, but: &str) -> Result<()> {
    tx.execute(MASTERS_LEAVE, (but.to_owned(),)).await.map(|_| ())
}

const MASTERS_RETIRE: &str = "update master_keys set state = 'retired' where state = 'leaving'";
/// Retires the leaving keys: nothing is wrapped with them any more.
pub async fn masters_retire(tx: &mut Tx) -> Result<u64> {
    tx.execute(MASTERS_RETIRE, ()).await
}

const MASTER_RETURN: &str = "update master_keys set state = 'current', proof = $2 where id = $1";
/// Makes a key that was used before the current one again; `false` when it never was here.
pub async fn master_return(tx: &mut Tx, id: &str, proof: Vec<u8>) -> Result<bool> {
    Ok(tx.execute(MASTER_RETURN, (id.to_owned(), proof)).await? == 1)
}

/// A tenant's data key, wrapped.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DataKeyRow {
    /// Its id.
    pub id: Uuid,
    /// The master key it is wrapped with.
    pub master_key_id: String,
    /// The key, sealed.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

const DATA_KEY_INSERT: &str =
    "insert into data_keys (tenant_id, id, master_key_id, wrapped, created_at) values ($1, $2, $3, $4, $5)";
/// Adds a data key.
pub async fn data_key_insert(tx: &mut Tx, tenant: Uuid, row: DataKeyRow) -> Result<()> {
    tx.execute(DATA_KEY_INSERT, (tenant, row.id, row.master_key_id, row.wrapped, row.created_at)).await.map(|_| ())
}

const DATA_KEYS: &str = "select id, master_key_id, wrapped, created_at from data_keys where tenant_id = $1
    order by id desc limit 1000";
/// The tenant's data keys, the newest first; there is one but for the length of a rotation.
pub async fn data_keys(tx: &mut Tx, tenant: Uuid) -> Result<Vec<DataKeyRow>> {
    tx.fetch_all(DATA_KEYS, (tenant,)).await
}

const DATA_KEY_FIND: &str =
    "select id, master_key_id, wrapped, created_at from data_keys where tenant_id = $1 and id = $2";
/// One data key.
pub async fn data_key_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<DataKeyRow>> {
    tx.fetch_optional(DATA_KEY_FIND, (tenant, id)).await
}

const DATA_KEY_REWRAP: &str = "update data_keys set master_key_id = $3, wrapped = $4 where tenant_id = $1 and id = $2";
/// Wraps a data key with another master key.
pub async fn data_key_rewrap(tx: &mut Tx, tenant: Uuid, id: Uuid, master: &str, wrapped: Vec<u8>) -> Result<()> {
    tx.execute(DATA_KEY_REWRAP, (tenant, id, master.to_owned(), wrapped)).await.map(|_| ())
}

const DATA_KEY_DELETE: &str = "delete from data_keys where tenant_id = $1 and id = $2";
/// Forgets a data key; refused while a secret is sealed with it.
pub async fn data_key_delete(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<()> {
    tx.execute(DATA_KEY_DELETE, (tenant, id)).await.map(|_| ())
}

/// A secret, sealed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    /// The data key it is sealed with.
    pub data_key_id: Uuid,
    /// Hosts it may be sent to, a JSON list.
    pub hosts: String,
    /// The value, sealed.
    pub sealed: Vec<u8>,
    /// The credential that set it.
    pub updated_by: String,
    /// When it was first set.
    pub created_at: DateTime<Utc>,
    /// When it was last set.
    pub updated_at: DateTime<Utc>,
    /// Counts changes of the value.
    pub version: i64,
}

const SECRET_INSERT: &str = "insert into secrets
    (tenant_id, name, data_key_id, hosts, sealed, updated_by, created_at, updated_at, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
/// Adds a secret.
pub async fn secret_insert(tx: &mut Tx, tenant: Uuid, row: SecretRow) -> Result<()> {
    let params = (
        tenant,
        row.name,
        row.data_key_id,
        row.hosts,
        row.sealed,
        row.updated_by,
        row.created_at,
        row.updated_at,
        row.version,
    );
    tx.execute(SECRET_INSERT, params).await.map(|_| ())
}

const SECRET_UPDATE: &str = "update secrets set data_key_id = $3, hosts = $4, sealed = $5, updated_by = $6,
    updated_at = $7, version = $8 where tenant_id = $1 and name = $2 and version = $9";
/// Replaces a secret of the version before; `false` when it changed meanwhile.
pub async fn secret_update(tx: &mut Tx, tenant: Uuid, row: SecretRow, before: i64) -> Result<bool> {
    let params =
        (tenant, row.name, row.data_key_id, row.hosts, row.sealed, row.updated_by, row.updated_at, row.version, before);
    Ok(tx.execute(SECRET_UPDATE, params).await? == 1)
}

const SECRET_FIND: &str = "select name, data_key_id, hosts, sealed, updated_by, created_at, updated_at, version
    from secrets where tenant_id = $1 and name = $2";
/// One secret.
pub async fn secret_find(tx: &mut Tx, tenant: Uuid, name: &str) -> Result<Option<SecretRow>> {
    tx.fetch_optional(SECRET_FIND, (tenant, name.to_owned())).await
}

const SECRETS_LIST: &str = "select name, data_key_id, hosts, sealed, updated_by, created_at, updated_at, version
    from secrets where tenant_id = $1 and name > $2 order by name limit $3";
/// A page of secrets by name.
pub async fn secrets_list(tx: &mut Tx, tenant: Uuid, after: &str, limit: i64) -> Result<Vec<SecretRow>> {
    tx.fetch_all(SECRETS_LIST, (tenant, after.to_owned(), limit)).await
}

const SECRETS_COUNT: &str = "select count(*) from secrets where tenant_id = $1";
/// How many secrets a tenant has.
pub async fn secrets_count(tx: &mut Tx, tenant: Uuid) -> Result<i64> {
    Ok(tx.fetch_one::<(i64,)>(SECRETS_COUNT, (tenant,)).await?.0)
}

const SECRET_DELETE: &str = "delete from secrets where tenant_id = $1 and name = $2 and version = $3";
/// Deletes a secret of this version; `false` when it is gone or changed.
pub async fn secret_delete(tx: &mut Tx, tenant: Uuid, name: &str, version: i64) -> Result<bool> {
    Ok(tx.execute(SECRET_DELETE, (tenant, name.to_owned(), version)).await? == 1)
}
