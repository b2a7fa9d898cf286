//! Rows of sandboxes: which tenants have a clock of their own, and throwing their books away.
//!
//! The database lets nobody make a sandbox of a tenant with books, and keeps what is append-only but while `wiping` is set,
//! which no other transaction ever sees.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Sql, Tx};

/// A tenant in a sandbox.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SandboxRow {
    /// What time it is in there.
    pub now_at: DateTime<Utc>,
    /// Where the time goes; absent while it stands still.
    pub until_at: Option<DateTime<Utc>>,
    /// How days are closed on the way.
    pub mode: Option<String>,
    /// For optimistic locking.
    pub version: i64,
    /// When the tenant entered it.
    pub entered_at: DateTime<Utc>,
}

const FIND: &str = "select now_at, until_at, mode, version, entered_at from sandboxes where tenant_id = $1";
/// The tenant's sandbox; none while it is in the real world.
pub async fn find(tx: &mut Tx, tenant: Uuid) -> Result<Option<SandboxRow>> {
    tx.fetch_optional(FIND, (tenant,)).await
}

const BOOKS: &str = "select cast(count(*) as bigint) from (
    select 1 as one from customers where tenant_id = $1
    union all select 1 from contracts where tenant_id = $1
    union all select 1 from ledger_entries where tenant_id = $1
    union all select 1 from runs where tenant_id = $1 limit 1) books";
/// Whether the tenant has customers, contracts, postings or runs.
pub async fn has_books(tx: &mut Tx, tenant: Uuid) -> Result<bool> {
    let found: Option<(i64,)> = tx.fetch_optional(BOOKS, (tenant,)).await?;
    Ok(found.is_some_and(|(count,)| count > 0))
}

const INSERT: &str = "insert into sandboxes (tenant_id, now_at, version, entered_at) values ($1, $2, 1, $3)
    on conflict (tenant_id) do nothing";
/// Puts a tenant into a sandbox; `false` when it is in one.
pub async fn insert(tx: &mut Tx, tenant: Uuid, now_at: DateTime<Utc>, entered_at: DateTime<Utc>) -> Result<bool> {
    Ok(tx.execute(INSERT, (tenant, now_at, entered_at)).await? == 1)
}

const AIM: &str = "update sandboxes set now_at = $3, until_at = $4, mode = $5, version = version + 1
    where tenant_id = $1 and version = $2 and until_at is null";
/// Lets the time go; `false` when it goes already or the version is another.
pub async fn aim(
    tx: &mut Tx,
    tenant: Uuid,
    version: i64,
    now_at: DateTime<Utc>,
    until_at: DateTime<Utc>,
    mode: &str,
) -> Result<bool> {
    Ok(tx.execute(AIM, (tenant, version, now_at, until_at, mode.to_owned())).await? == 1)
}

const MOVE: &str = "update sandboxes set now_at = $3, version = version + 1 where tenant_id = $1 and version = $2";
/// Moves the clock on; `false` when another host did.
pub async fn step(tx: &mut Tx, tenant: Uuid, version: i64, now_at: DateTime<Utc>) -> Result<bool> {
    Ok(tx.execute(MOVE, (tenant, version, now_at)).await? == 1)
}

const REST: &str = "update sandboxes set until_at = null, mode = null, version = version + 1
    where tenant_id = $1 and version = $2";
/// Lets the time stand still; `false` when another host did.
pub async fn rest(tx: &mut Tx, tenant: Uuid, version: i64) -> Result<bool> {
    Ok(tx.execute(REST, (tenant, version)).await? == 1)
}

const DELETE: &str = "delete from sandboxes where tenant_id = $1 and version = $2";
/// Takes a tenant out of its sandbox; `false` when the version is another.
pub async fn delete(tx: &mut Tx, tenant: Uuid, version: i64) -> Result<bool> {
    Ok(tx.execute(DELETE, (tenant, version)).await? == 1)
}

/// What a wipe does to a table: its name, and how its rows go.
type Wiped = (&'static str, Sql);

macro_rules! wiped {
    ($($table:literal $(where $condition:literal)? $(kept $kept:ident)?),* $(,)?) => {
        &[$(($table, wiped!(one $table $($condition)? $($kept)?))),*]
    };
    (one $table:literal for_ever) => {
        Sql::each(
            concat!("delete from ", $table, " where tenant_id = $1"),
            concat!("select altyn_wipe('", $table, "', $1)"),
        )
    };
    (one $table:literal $($condition:literal)?) => {
        Sql::each(
            concat!("delete from ", $table, " where tenant_id = $1", $(" and ", $condition)?),
            concat!("delete from ", $table, " where tenant_id = $1", $(" and ", $condition)?),
        )
    };
}

/// The tables that a wipe empties, referring rows before those they refer to; everything else of a tenant is settings. What is
/// kept for ever goes by PostgreSQL's owner of the tables, because the application may not delete it.
pub const WIPED: &[Wiped] = wiped![
    "exchange_steps" kept for_ever,
    "exchanges",
    "usage_events" kept for_ever,
    "usage_windows",
    "usage_counters",
    "dunning_steps" kept for_ever,
    "dunning_cases",
    "subscription_transitions" kept for_ever,
    "subscription_stops",
    "subscription_holds",
    "subscription_lives",
    "manual_operations",
    "day_closes",
    "promises" kept for_ever,
    "blocks" kept for_ever,
    "contract_controls",
    "credit_days",
    "subscription_changes",
    "charge_notices",
    "orders",
    "charge_credits" kept for_ever,
    "invoice_lines" kept for_ever,
    "invoices" kept for_ever,
    "charges",
    "sequences",
    "ledger_entries" kept for_ever,
    "ledger_transactions" kept for_ever,
    "ledger_accounts",
    "run_withheld",
    "run_plans",
    "runs",
    "plugin_calls" kept for_ever,
    "evidence" kept for_ever,
    "plugin_usage",
    "jobs",
    "outbox",
    "import_errors" kept for_ever,
    "imports",
    "price_overrides",
    "subscription_migrations" kept for_ever,
    "subscriptions",
    "contracts",
    "customers",
    // An answer that is remembered names what is gone; a key that is being used has none yet.
    "idempotency" where "status <> 0",
];

const BEGIN_WIPE: &str = "update sandboxes set wiping = $3 where tenant_id = $1 and version = $2 and until_at is null";
const END_WIPE: &str = "update sandboxes set wiping = $2, now_at = $3, version = version + 1 where tenant_id = $1";
/// Throws the books of a sandbox away and sets its clock; `false` when its time is going or the version is another.
pub async fn wipe(tx: &mut Tx, tenant: Uuid, version: i64, now_at: DateTime<Utc>) -> Result<bool> {
    if tx.execute(BEGIN_WIPE, (tenant, version, true)).await? != 1 {
        return Ok(false);
    }
    for (_, delete) in WIPED {
        tx.execute(*delete, (tenant,)).await?;
    }
    tx.execute(END_WIPE, (tenant, false, now_at)).await?;
    Ok(true)
}
