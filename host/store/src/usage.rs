//! What plugin calls took, and the limits that tenants lowered for themselves.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// What the calls of one component took for one purpose, on one day or summed over several.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct UsageRow {
    /// The component.
    pub component_digest: Vec<u8>,
    /// `decision` or `rehearsal`.
    pub purpose: String,
    /// Its world.
    pub world: String,
    /// How many calls.
    pub calls: i64,
    /// How many of them gave no answer.
    pub failures: i64,
    /// Lines asked about.
    pub lines: i64,
    /// Fuel used.
    pub fuel: i64,
    /// The largest memory of one call, bytes.
    pub peak_memory_bytes: i64,
    /// Bytes of the questions.
    pub bytes_in: i64,
    /// Bytes of the answers.
    pub bytes_out: i64,
    /// Wall time, microseconds.
    pub duration_us: i64,
}

const ADD: &str =
    "insert into plugin_usage (tenant_id, used_on, component_digest, purpose, world, calls, failures, lines,
        fuel, peak_memory_bytes, bytes_in, bytes_out, duration_us)
    select $1, $2, v.component_digest, v.purpose, v.world, v.calls, v.failures, v.lines, v.fuel, v.peak_memory_bytes,
        v.bytes_in, v.bytes_out, v.duration_us from {rows} where true
    on conflict (tenant_id, used_on, component_digest, purpose) do update set
        calls = plugin_usage.calls + excluded.calls,
        failures = plugin_usage.failures + excluded.failures,
        lines = plugin_usage.lines + excluded.lines,
        fuel = plugin_usage.fuel + excluded.fuel,
        peak_memory_bytes = case when plugin_usage.peak_memory_bytes > excluded.peak_memory_bytes
            then plugin_usage.peak_memory_bytes else excluded.peak_memory_bytes end,
        bytes_in = plugin_usage.bytes_in + excluded.bytes_in,
        bytes_out = plugin_usage.bytes_out + excluded.bytes_out,
        duration_us = plugin_usage.duration_us + excluded.duration_us";
/// Adds usage to that of a day; each row names another component or purpose.
pub async fn add(tx: &mut Tx, tenant: Uuid, used_on: NaiveDate, usage: &[UsageRow]) -> Result<()> {
    let rows = Rows::new()
        .with("component_digest", column(usage, |row| row.component_digest.clone()))
        .with("purpose", column(usage, |row| row.purpose.clone()))
        .with("world", column(usage, |row| row.world.clone()))
        .with("calls", column(usage, |row| row.calls))
        .with("failures", column(usage, |row| row.failures))
        .with("lines", column(usage, |row| row.lines))
        .with("fuel", column(usage, |row| row.fuel))
        .with("peak_memory_bytes", column(usage, |row| row.peak_memory_bytes))
        .with("bytes_in", column(usage, |row| row.bytes_in))
        .with("bytes_out", column(usage, |row| row.bytes_out))
        .with("duration_us", column(usage, |row| row.duration_us));
    tx.execute_rows(ADD, (tenant, used_on), &rows).await.map(|_| ())
}

/// Summed usage with what the component calls itself.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NamedUsageRow {
    /// What was used.
    #[sqlx(flatten)]
    pub usage: UsageRow,
    /// The id that the plugin describes itself with, if it is installed.
    pub plugin_id: Option<String>,
    /// Its version.
    pub plugin_version: Option<String>,
}

const REPORT: &str = "select u.component_digest, u.purpose, u.world, u.calls, u.failures, u.lines, u.fuel,
        u.peak_memory_bytes, u.bytes_in, u.bytes_out, u.duration_us, c.plugin_id, c.version as plugin_version
    from (select component_digest, purpose, max(world) as world, cast(sum(calls) as bigint) as calls,
            cast(sum(failures) as bigint) as failures, cast(sum(lines) as bigint) as lines,
            cast(sum(fuel) as bigint) as fuel, max(peak_memory_bytes) as peak_memory_bytes,
            cast(sum(bytes_in) as bigint) as bytes_in, cast(sum(bytes_out) as bigint) as bytes_out,
            cast(sum(duration_us) as bigint) as duration_us
        from plugin_usage where tenant_id = $1 and used_on >= $2 and used_on < $3
            and (component_digest > $4 or (component_digest = $4 and purpose > $5))
        group by component_digest, purpose order by component_digest, purpose limit $6) u
    left join components c on c.digest = u.component_digest
    order by u.component_digest, u.purpose";
/// A page of a tenant's usage from one day until before another, by component and purpose.
pub async fn report(
    tx: &mut Tx,
    tenant: Uuid,
    from: NaiveDate,
    until: NaiveDate,
    after: (Vec<u8>, String),
    limit: i64,
) -> Result<Vec<NamedUsageRow>> {
    tx.fetch_all(REPORT, (tenant, from, until, after.0, after.1, limit)).await
}

/// The limits a tenant lowered at one extension point.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LimitsRow {
    /// The extension point, named as the world.
    pub extension_point: String,
    /// JSON text of those that are lower.
    pub limits: String,
    /// Counts changes.
    pub version: i64,
}

const LIMITS: &str = "select extension_point, limits, version from plugin_limits where tenant_id = $1
    order by extension_point limit 100";
/// What a tenant lowered; there are fewer extension points than the limit of this list.
pub async fn limits(tx: &mut Tx, tenant: Uuid) -> Result<Vec<LimitsRow>> {
    tx.fetch_all(LIMITS, (tenant,)).await
}

const LIMITS_INSERT: &str = "insert into plugin_limits (tenant_id, extension_point, limits, updated_at, version)
    values ($1, $2, $3, $4, 1) on conflict (tenant_id, extension_point) do nothing";
const LIMITS_UPDATE: &str = "update plugin_limits set limits = $3, updated_at = $4, version = version + 1
    where tenant_id = $1 and extension_point = $2 and version = $5";
/// Saves what a tenant lowered, over the version that was read, 0 when there was none; `false` when there is another.
pub async fn limits_set(
    tx: &mut Tx,
    tenant: Uuid,
    extension_point: &str,
    limits: String,
    at: DateTime<Utc>,
    if_match: i64,
) -> Result<bool> {
    let point = extension_point.to_owned();
    let changed = if if_match == 0 {
        tx.execute(LIMITS_INSERT, (tenant, point, limits, at)).await?
    } else {
        tx.execute(LIMITS_UPDATE, (tenant, point, limits, at, if_match)).await?
    };
    Ok(changed == 1)
}
