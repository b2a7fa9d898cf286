//! Components, bindings, recorded plugin calls and their evidence.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx};

/// An installed component without its bytes.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ComponentRow {
    /// SHA-256 of the component.
    pub digest: Vec<u8>,
    /// The id it describes itself with.
    pub plugin_id: String,
    /// Its semantic version.
    pub version: String,
    /// The world it implements.
    pub world: String,
    /// For people.
    pub title: String,
    /// JSON Schema of its configuration.
    pub config_schema: String,
    /// Size of the component.
    pub size_bytes: i64,
    /// When it was installed.
    pub installed_at: DateTime<Utc>,
    /// On whose word: `core`, `trusted` or `unsigned-dev`.
    pub trust_level: String,
    /// Who signed it.
    pub publisher: Option<String>,
    /// The key it was signed with.
    pub key_id: Option<String>,
    /// Hosts it asks for, a JSON list.
    pub hosts: String,
    /// Secrets it asks for, a JSON list of names.
    pub secrets: String,
}

const COMPONENT_INSERT: &str = "insert into components
    (digest, plugin_id, version, world, title, config_schema, size_bytes, wasm, installed_at, trust_level, publisher,
     key_id, hosts, secrets)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict (digest) do nothing";
/// Keeps a component; `false` when these very bytes are installed already.
pub async fn component_insert(tx: &mut Tx, row: ComponentRow, wasm: Vec<u8>) -> Result<bool> {
    let params = (
        row.digest,
        row.plugin_id,
        row.version,
        row.world,
        row.title,
        row.config_schema,
        row.size_bytes,
        wasm,
        row.installed_at,
        row.trust_level,
        row.publisher,
        row.key_id,
        row.hosts,
        row.secrets,
    );
    Ok(tx.execute(COMPONENT_INSERT, params).await? == 1)
}

const COMPONENT_FIND: &str = "select digest, plugin_id, version, world, title, config_schema, size_bytes, installed_at,
    trust_level, publisher, key_id, hosts, secrets from components where digest = $1";
/// A component by digest.
pub async fn component_find(tx: &mut Tx, digest: Vec<u8>) -> Result<Option<ComponentRow>> {
    tx.fetch_optional(COMPONENT_FIND, (digest,)).await
}

const COMPONENT_WASM: &str = "select wasm from components where digest = $1";
/// A component's bytes.
pub async fn component_wasm(tx: &mut Tx, digest: Vec<u8>) -> Result<Option<Vec<u8>>> {
    Ok(tx.fetch_optional::<(Vec<u8>,)>(COMPONENT_WASM, (digest,)).await?.map(|row| row.0))
}

const COMPONENTS_LIST: &str =
    "select digest, plugin_id, version, world, title, config_schema, size_bytes, installed_at,
    trust_level, publisher, key_id, hosts, secrets from components where digest > $1 order by digest limit $2";
/// A page of components by digest.
pub async fn components_list(tx: &mut Tx, after: Vec<u8>, limit: i64) -> Result<Vec<ComponentRow>> {
    tx.fetch_all(COMPONENTS_LIST, (after, limit)).await
}

/// A binding of a component to a tenant's extension point.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BindingRow {
    /// Its id.
    pub id: Uuid,
    /// The extension point, named as the world.
    pub extension_point: String,
    /// The component.
    pub component_digest: Vec<u8>,
    /// JSON text for the component.
    pub config: String,
    /// Smaller first.
    pub priority: i32,
    /// The first business date it decides.
    pub effective_from: NaiveDate,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was ended, if it was.
    pub ended_at: Option<DateTime<Utc>>,
    /// Counts changes.
    pub version: i64,
    /// Whether tenants below use it: `none`, `optional` or `required`.
    pub inheritance: String,
    /// Limits below those of the installation, JSON.
    pub limits: String,
}

const BINDING_INSERT: &str = "insert into bindings
    (tenant_id, id, extension_point, component_digest, config, priority, effective_from, created_at, ended_at, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, null, 1)";
/// Makes a binding.
pub async fn binding_insert(tx: &mut Tx, tenant: Uuid, row: &BindingRow) -> Result<()> {
    let params = (
        tenant,
        row.id,
        row.extension_point.clone(),
        row.component_digest.clone(),
        row.config.clone(),
        row.priority,
        row.effective_from,
        row.created_at,
    );
    tx.execute(BINDING_INSERT, params).await.map(|_| ())
}

const BINDING_END: &str = "update bindings set ended_at = $3, version = version + 1
    where tenant_id = $1 and id = $2 and version = $4 and ended_at is null";
/// Ends a binding of this version; `false` when it changed or ended.
pub async fn binding_end(tx: &mut Tx, tenant: Uuid, id: Uuid, at: DateTime<Utc>, version: i64) -> Result<bool> {
    Ok(tx.execute(BINDING_END, (tenant, id, at, version)).await? == 1)
}

const BINDING_FIND: &str = "select id, extension_point, component_digest, config, priority, effective_from, created_at,
    ended_at, version, inheritance, limits from bindings where tenant_id = $1 and id = $2";
/// One binding.
pub async fn binding_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<BindingRow>> {
    tx.fetch_optional(BINDING_FIND, (tenant, id)).await
}

const BINDINGS_LIST: &str =
    "select id, extension_point, component_digest, config, priority, effective_from, created_at,
    ended_at, version, inheritance, limits from bindings where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of bindings by id.
pub async fn bindings_list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<BindingRow>> {
    tx.fetch_all(BINDINGS_LIST, (tenant, after, limit)).await
}

const BINDING_IN_EFFECT: &str = "select id, extension_point, component_digest, config, priority, effective_from,
    created_at, ended_at, version, inheritance, limits from bindings
    where tenant_id = $1 and extension_point = $2 and effective_from <= $3 and ended_at is null
    order by effective_from desc, priority, id desc limit 1";
/// The binding that decides at an extension point on a business date.
pub async fn binding_in_effect(
    tx: &mut Tx,
    tenant: Uuid,
    extension_point: &str,
    on: NaiveDate,
) -> Result<Option<BindingRow>> {
    tx.fetch_optional(BINDING_IN_EFFECT, (tenant, extension_point.to_owned(), on)).await
}

/// A recorded call without its evidence.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CallRow {
    /// Its id.
    pub id: Uuid,
    /// The run it belongs to.
    pub run_id: Option<Uuid>,
    /// The binding that was asked.
    pub binding_id: Uuid,
    /// The component that answered.
    pub component_digest: Vec<u8>,
    /// Its world.
    pub world: String,
    /// The function called.
    pub export: String,
    /// SHA-256 of the input evidence.
    pub input_digest: Vec<u8>,
    /// SHA-256 of the output evidence; absent after a fault.
    pub output_digest: Option<Vec<u8>>,
    /// Stable code of a fault.
    pub fault_code: Option<String>,
    /// A fault in words.
    pub fault: Option<String>,
    /// Fuel used.
    pub fuel: i64,
    /// Largest memory, bytes.
    pub peak_memory_bytes: i64,
    /// Wall time, microseconds.
    pub duration_us: i64,
    /// When it was made.
    pub called_at: DateTime<Utc>,
}

const CALLS_INSERT: &str = "insert into plugin_calls
    (tenant_id, id, run_id, binding_id, component_digest, world, export, input_digest, output_digest, fault_code, fault,
     fuel, peak_memory_bytes, duration_us, called_at)
    select $1, v.id, v.run_id, v.binding_id, v.component_digest, v.world, v.export, v.input_digest, v.output_digest,
        v.fault_code, v.fault, v.fuel, v.peak_memory_bytes, v.duration_us, $2 from {rows}";
/// Records calls.
pub async fn calls_insert(tx: &mut Tx, tenant: Uuid, called_at: DateTime<Utc>, calls: &[CallRow]) -> Result<()> {
    let rows = Rows::new()
        .with("id", calls.iter().map(|call| call.id).collect::<Vec<_>>())
        .with("run_id", calls.iter().map(|call| call.run_id).collect::<Vec<_>>())
        .with("binding_id", calls.iter().map(|call| call.binding_id).collect::<Vec<_>>())
        .with("component_digest", calls.iter().map(|call| call.component_digest.clone()).collect::<Vec<_>>())
        .with("world", calls.iter().map(|call| call.world.clone()).collect::<Vec<_>>())
        .with("export", calls.iter().map(|call| call.export.clone()).collect::<Vec<_>>())
        .with("input_digest", calls.iter().map(|call| call.input_digest.clone()).collect::<Vec<_>>())
        .with("output_digest", calls.iter().map(|call| call.output_digest.clone()).collect::<Vec<_>>())
        .with("fault_code", calls.iter().map(|call| call.fault_code.clone()).collect::<Vec<_>>())
        .with("fault", calls.iter().map(|call| call.fault.clone()).collect::<Vec<_>>())
        .with("fuel", calls.iter().map(|call| call.fuel).collect::<Vec<_>>())
        .with("peak_memory_bytes", calls.iter().map(|call| call.peak_memory_bytes).collect::<Vec<_>>())
        .with("duration_us", calls.iter().map(|call| call.duration_us).collect::<Vec<_>>());
    tx.execute_rows(CALLS_INSERT, (tenant, called_at), &rows).await.map(|_| ())
}

const EVIDENCE_INSERT: &str = "insert into evidence (tenant_id, digest, size_bytes, zstd)
    select $1, v.digest, v.size_bytes, v.zstd from {rows} where true on conflict (tenant_id, digest) do nothing";
/// Keeps evidence by content; the same bytes are kept once. Each is (SHA-256, plain size, compressed bytes).
pub async fn evidence_insert(tx: &mut Tx, tenant: Uuid, evidence: Vec<(Vec<u8>, i64, Vec<u8>)>) -> Result<()> {
    let (mut digests, mut sizes, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for (digest, size, compressed) in evidence {
        digests.push(digest);
        sizes.push(size);
        bytes.push(compressed);
    }
    let rows = Rows::new().with("digest", digests).with("size_bytes", sizes).with("zstd", bytes);
    tx.execute_rows(EVIDENCE_INSERT, (tenant,), &rows).await.map(|_| ())
}

const EVIDENCE_FIND: &str = "select size_bytes, zstd from evidence where tenant_id = $1 and digest = $2";
/// Evidence by digest: (plain size, compressed bytes).
pub async fn evidence_find(tx: &mut Tx, tenant: Uuid, digest: Vec<u8>) -> Result<Option<(i64, Vec<u8>)>> {
    tx.fetch_optional(EVIDENCE_FIND, (tenant, digest)).await
}
