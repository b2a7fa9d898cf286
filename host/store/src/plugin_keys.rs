//! Keys of publishers, and on whose word each component was installed. They belong to the platform.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// A key of a publisher.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct KeyRow {
    /// Its id: the beginning of the SHA-256 of its public half, hexadecimal.
    pub id: String,
    /// Who signs with it.
    pub publisher: String,
    /// `core` or `trusted`.
    pub level: String,
    /// The public half, 32 bytes.
    pub public_key: Vec<u8>,
    /// The credential that added it.
    pub added_by: String,
    /// When it was added.
    pub added_at: DateTime<Utc>,
    /// The credential that revoked it.
    pub revoked_by: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Why it was revoked.
    pub revocation_reason: Option<String>,
}

const KEY_INSERT: &str = "insert into plugin_keys
    (id, publisher, level, public_key, added_by, added_at, revoked_by, revoked_at, revocation_reason)
    values ($1, $2, $3, $4, $5, $6, null, null, null) on conflict (id) do nothing";
/// Adds a key; `false` when it is there already.
pub async fn key_insert(tx: &mut Tx, row: KeyRow) -> Result<bool> {
    let params = (row.id, row.publisher, row.level, row.public_key, row.added_by, row.added_at);
    Ok(tx.execute(KEY_INSERT, params).await? == 1)
}

const KEY_FIND: &str = "select id, publisher, level, public_key, added_by, added_at, revoked_by, revoked_at,
    revocation_reason from plugin_keys where id = $1";
/// One key.
pub async fn key_find(tx: &mut Tx, id: &str) -> Result<Option<KeyRow>> {
    tx.fetch_optional(KEY_FIND, (id.to_owned(),)).await
}

const KEYS_LIST: &str = "select id, publisher, level, public_key, added_by, added_at, revoked_by, revoked_at,
    revocation_reason from plugin_keys where id > $1 order by id limit $2";
/// A page of keys by id.
pub async fn keys_list(tx: &mut Tx, after: String, limit: i64) -> Result<Vec<KeyRow>> {
    tx.fetch_all(KEYS_LIST, (after, limit)).await
}

const KEY_REVOKE: &str = "update plugin_keys set revoked_by = $2, revoked_at = $3, revocation_reason = $4
    where id = $1 and revoked_at is null";
/// Revokes a key; `false` when it is unknown or was revoked before.
pub async fn key_revoke(tx: &mut Tx, id: &str, by: &str, at: DateTime<Utc>, reason: &str) -> Result<bool> {
    Ok(tx.execute(KEY_REVOKE, (id.to_owned(), by.to_owned(), at, reason.to_owned())).await? == 1)
}

const KEY_LOCK: crate::Sql = crate::Sql::each(
    "select id from plugin_keys where id = $1 and revoked_at is null",
    "select id from plugin_keys where id = $1 and revoked_at is null for share",
);
/// Holds a key as it is until the transaction ends; `false` when it is unknown or revoked.
pub async fn key_hold(tx: &mut Tx, id: &str) -> Result<bool> {
    Ok(tx.fetch_optional::<(String,)>(KEY_LOCK, (id.to_owned(),)).await?.is_some())
}

/// One installation of a component: on whose word, by whom.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct InstallRow {
    /// Its id.
    pub id: Uuid,
    /// The component.
    pub component_digest: Vec<u8>,
    /// `core`, `trusted` or `unsigned-dev`.
    pub trust_level: String,
    /// Who signed it.
    pub publisher: Option<String>,
    /// With which key.
    pub key_id: Option<String>,
    /// The manifest's canonical JSON.
    pub manifest: Option<String>,
    /// Its signature, 64 bytes.
    pub signature: Option<Vec<u8>>,
    /// The newer version that was installed, when this one steps back from it.
    pub downgraded_from: Option<String>,
    /// The credential that installed it.
    pub installed_by: String,
    /// When.
    pub installed_at: DateTime<Utc>,
}

const INSTALL_INSERT: &str = "insert into component_installs
    (id, component_digest, trust_level, publisher, key_id, manifest, signature, downgraded_from, installed_by, installed_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
/// Records an installation.
pub async fn install_insert(tx: &mut Tx, row: InstallRow) -> Result<()> {
    let params = (
        row.id,
        row.component_digest,
        row.trust_level,
        row.publisher,
        row.key_id,
        row.manifest,
        row.signature,
        row.downgraded_from,
        row.installed_by,
        row.installed_at,
    );
    tx.execute(INSTALL_INSERT, params).await.map(|_| ())
}

const INSTALLS_LIST: &str = "select id, component_digest, trust_level, publisher, key_id, manifest, signature,
    downgraded_from, installed_by, installed_at from component_installs where component_digest = $1 and id > $2
    order by id limit $3";
/// A page of the installations of a component, oldest first.
pub async fn installs_list(tx: &mut Tx, digest: Vec<u8>, after: Uuid, limit: i64) -> Result<Vec<InstallRow>> {
    tx.fetch_all(INSTALLS_LIST, (digest, after, limit)).await
}

const VOUCH: &str = "update components set trust_level = $2, publisher = $3, key_id = $4 where digest = $1";
/// Notes on whose word an installed component stands from now on.
pub async fn component_vouch(
    tx: &mut Tx,
    digest: Vec<u8>,
    level: &str,
    publisher: Option<String>,
    key_id: Option<String>,
) -> Result<()> {
    tx.execute(VOUCH, (digest, level.to_owned(), publisher, key_id)).await.map(|_| ())
}

/// The most versions of one plugin that an installation keeps.
pub const MOST_VERSIONS: i64 = 10_000;

const VERSIONS: &str =
    "select digest, version, publisher from components where plugin_id = $1 order by digest limit $2";
/// The installed versions of a plugin: digest, version, publisher.
pub async fn versions(tx: &mut Tx, plugin_id: &str) -> Result<Vec<(Vec<u8>, String, Option<String>)>> {
    tx.fetch_all(VERSIONS, (plugin_id.to_owned(), MOST_VERSIONS)).await
}

const SIGNED_WITH: &str =
    "select digest, plugin_id, version from components where key_id = $1 order by digest limit $2";
/// Components that stand on the word of a key: digest, plugin id, version.
pub async fn signed_with(tx: &mut Tx, key_id: &str, limit: i64) -> Result<Vec<(Vec<u8>, String, String)>> {
    tx.fetch_all(SIGNED_WITH, (key_id.to_owned(), limit)).await
}
