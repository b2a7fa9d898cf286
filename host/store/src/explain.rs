//! Recorded plugin calls together with the component that answered them.

use uuid::Uuid;

use crate::{Result, Tx, plugins::CallRow};

/// A recorded call and the name of its component.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NamedCallRow {
    /// The call.
    #[sqlx(flatten)]
    pub call: CallRow,
    /// The id that the component describes itself with; absent when it is not installed any more.
    pub plugin_id: Option<String>,
    /// The component's version.
    pub plugin_version: Option<String>,
}

const FIND: &str = "select p.id, p.run_id, p.binding_id, p.component_digest, p.world, p.export, p.input_digest,
        p.output_digest, p.fault_code, p.fault, p.fuel, p.peak_memory_bytes, p.duration_us, p.called_at,
        c.plugin_id, c.version as plugin_version
    from plugin_calls p left join components c on c.digest = p.component_digest
    where p.tenant_id = $1 and p.id = $2";
/// One recorded call.
pub async fn call_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<NamedCallRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str = "select p.id, p.run_id, p.binding_id, p.component_digest, p.world, p.export, p.input_digest,
        p.output_digest, p.fault_code, p.fault, p.fuel, p.peak_memory_bytes, p.duration_us, p.called_at,
        c.plugin_id, c.version as plugin_version
    from plugin_calls p left join components c on c.digest = p.component_digest
    where p.tenant_id = $1 and p.id > $2 order by p.id limit $3";
/// A page of recorded calls by id.
pub async fn calls_list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<NamedCallRow>> {
    tx.fetch_all(LIST, (tenant, after, limit)).await
}
