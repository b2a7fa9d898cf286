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
    /// Who signed it; absent when nobody did.
    pub publisher: Option<String>,
    /// On whose word it was installed.
    pub trust_level: Option<String>,
}

/// The columns of a named call; what follows is the condition.
macro_rules! named_calls {
    ($condition:literal) => {
        concat!(
            "select p.id, p.run_id, p.binding_id, p.component_digest, p.world, p.export, p.input_digest,
                p.output_digest, p.fault_code, p.fault, p.fuel, p.peak_memory_bytes, p.duration_us, p.called_at,
                c.plugin_id, c.version as plugin_version, c.publisher, c.trust_level
            from plugin_calls p left join components c on c.digest = p.component_digest
            where p.tenant_id = $1 and ",
            $condition
        )
    };
}

const FIND: &str = named_calls!("p.id = $2");
/// One recorded call.
pub async fn call_find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<NamedCallRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str = named_calls!("p.id > $2 and ($4 = 0 or p.fault_code is not null) order by p.id limit $3");
const LIST_OF_RUN: &str =
    named_calls!("p.id > $2 and ($4 = 0 or p.fault_code is not null) and p.run_id = $5 order by p.id limit $3");
/// A page of recorded calls by id; of one run, and only those that failed, when asked so.
pub async fn calls_list(
    tx: &mut Tx,
    tenant: Uuid,
    run: Option<Uuid>,
    failed: bool,
    after: Uuid,
    limit: i64,
) -> Result<Vec<NamedCallRow>> {
    let failed = i64::from(failed);
    match run {
        Some(run) => tx.fetch_all(LIST_OF_RUN, (tenant, after, limit, failed, run)).await,
        None => tx.fetch_all(LIST, (tenant, after, limit, failed)).await,
    }
}
