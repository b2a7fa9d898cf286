//! What plugins take: usage by tenant and component, and the limits that tenants lower for themselves.
//!
//! The runtime counts; this stores what was counted, once, and answers reports. What a host counted since it stored last is
//! lost when its process dies. A tenant may lower limits for itself and the tenants below it; nobody raises one.

use std::collections::BTreeMap;

pub use altyn_domain::grant::LoweredLimits;
use altyn_domain::id::TenantId;
use altyn_runtime::{Build, Digest, Limits, Usage, UsageKey, World};
use altyn_store::{
    Scope, StoreError,
    usage::{self as rows, LimitsRow, NamedUsageRow, UsageRow},
};
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError},
    page::{LARGEST_PAGE, Listed, Page},
};

/// More than this of anything in one sum is not believed, so that a hundred years of sums fit their column.
const MOST: u64 = 1 << 46;
/// How far back a report reaches when it is not told.
const DAYS_SHOWN: u64 = 31;

/// What the calls of one component took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageView {
    /// SHA-256 of the component.
    pub component: String,
    /// The id that the plugin describes itself with; absent when it is not installed.
    pub plugin_id: Option<String>,
    /// Its version.
    pub plugin_version: Option<String>,
    /// The world it implements.
    pub world: String,
    /// `decision`, or `rehearsal` for replays and shadow runs.
    pub purpose: String,
    /// How many calls, those included that were refused by a limit.
    pub calls: i64,
    /// How many of them gave no answer.
    pub failures: i64,
    /// Lines asked about.
    pub lines: i64,
    /// Fuel used, about one unit an instruction; the whole budget of calls that crashed.
    pub fuel: i64,
    /// The largest memory of one call, bytes.
    pub peak_memory_bytes: i64,
    /// Bytes of the questions.
    pub bytes_in: i64,
    /// Bytes of the answers.
    pub bytes_out: i64,
    /// Wall time inside the calls, microseconds.
    pub duration_us: i64,
}

/// Which days a report is about.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageFilter {
    /// The first day, UTC; 31 days before `until` when absent.
    pub from: Option<NaiveDate>,
    /// The day after the last, UTC; tomorrow when absent.
    pub until: Option<NaiveDate>,
}

/// The limits of one world for one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LimitsView {
    /// The world, which names the extension point.
    #[schema(value_type = String, example = "tax-rule")]
    pub world: World,
    /// What a call of this tenant may use.
    pub in_force: LoweredLimits,
    /// What this tenant lowered itself.
    pub lowered: LoweredLimits,
    /// Version of what it lowered, for `If-Match`; 0 when it lowered nothing yet.
    pub version: i64,
}

fn narrow(n: u64) -> i64 {
    i64::try_from(n.min(MOST)).unwrap_or(i64::MAX)
}

fn usage_row(key: &UsageKey, usage: &Usage) -> UsageRow {
    UsageRow {
        component_digest: key.component.0.to_vec(),
        purpose: key.purpose.as_str().to_owned(),
        world: key.world.as_str().to_owned(),
        calls: narrow(usage.calls),
        failures: narrow(usage.failures),
        lines: narrow(usage.lines),
        fuel: narrow(usage.fuel),
        peak_memory_bytes: narrow(usage.peak_memory_bytes),
        bytes_in: narrow(usage.bytes_in),
        bytes_out: narrow(usage.bytes_out),
        duration_us: narrow(usage.duration_us),
    }
}

fn usage_view(row: NamedUsageRow) -> UsageView {
    let NamedUsageRow { usage, plugin_id, plugin_version } = row;
    UsageView {
        component: hex::encode(&usage.component_digest),
        plugin_id,
        plugin_version,
        world: usage.world,
        purpose: usage.purpose,
        calls: usage.calls,
        failures: usage.failures,
        lines: usage.lines,
        fuel: usage.fuel,
        peak_memory_bytes: usage.peak_memory_bytes,
        bytes_in: usage.bytes_in,
        bytes_out: usage.bytes_out,
        duration_us: usage.duration_us,
    }
}

impl Altyn {
    /// Stores what plugin calls took and what rechecks found since the last time; what cannot be stored now is kept for the next time.
    pub async fn usage_store(&self) -> Result<()> {
        let mut by_tenant: BTreeMap<String, Vec<(UsageKey, Usage)>> = BTreeMap::new();
        for (key, usage) in self.plugins.runtime().usage_take() {
            by_tenant.entry(key.tenant.clone()).or_default().push((key, usage));
        }
        let mut outcome = self.differences_store().await;
        for (tenant, usage) in by_tenant {
            // Measurements and trials call for tenants that do not exist.
            let Ok(id) = tenant.parse::<TenantId>() else { continue };
            if let Err(error) = self.usage_add(id, &usage).await {
                self.plugins.runtime().usage_give_back(usage);
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn usage_add(&self, tenant: TenantId, usage: &[(UsageKey, Usage)]) -> Result<()> {
        let rows: Vec<UsageRow> = usage.iter().map(|(key, usage)| usage_row(key, usage)).collect();
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        rows::add(&mut tx, tenant.0, self.clock.now().date_naive(), &rows).await?;
        Ok(tx.commit().await?)
    }

    /// [`Self::usage_store`] for those who have something better to answer than its error.
    pub async fn usage_store_or_warn(&self) {
        if let Err(error) = self.usage_store().await {
            tracing::warn!(error = %error, "the usage of plugins is not stored yet");
        }
    }

    /// A page of what the tenant's plugin calls took, by component and purpose; the cursor names both.
    pub async fn usage_report(
        &self,
        request: &Request,
        filter: &UsageFilter,
        page: &Page,
    ) -> Result<Listed<UsageView>> {
        let limit = page.limit.unwrap_or(20);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(ServiceError::invalid("/limit", format!("must be between 1 and {LARGEST_PAGE}")));
        }
        let after = match &page.cursor {
            None => (Vec::new(), String::new()),
            Some(text) => text
                .split_once('.')
                .and_then(|(digest, purpose)| Some((digest.parse::<Digest>().ok()?.0.to_vec(), purpose.to_owned())))
                .ok_or_else(|| ServiceError::invalid("/cursor", "is not a cursor of this list; take `next_cursor`"))?,
        };
        let tomorrow = self.clock.now().date_naive().succ_opt().unwrap_or(NaiveDate::MAX);
        let until = filter.until.unwrap_or(tomorrow);
        let from = filter.from.or_else(|| until.checked_sub_days(Days::new(DAYS_SHOWN))).unwrap_or(NaiveDate::MIN);
        if from >= until {
            return Err(ServiceError::invalid("/from", "must be before `until`"));
        }
        self.usage_store().await?;
        let mut tx = self.read(request).await?;
        let found = rows::report(&mut tx, request.tenant.0, from, until, after, limit + 1).await?;
        let cursor =
            |row: &NamedUsageRow| format!("{}.{}", hex::encode(&row.usage.component_digest), row.usage.purpose);
        Ok(page.listed(found, cursor, usage_view))
    }

    /// What plugin calls of the tenant may use, world by world.
    pub async fn plugin_limits_list(&self, request: &Request) -> Result<Listed<LimitsView>> {
        let mut data = Vec::with_capacity(World::ALL.len());
        for &world in World::ALL {
            data.push(self.plugin_limits_get(request, world).await?);
        }
        Ok(Listed { data, has_more: false, next_cursor: None })
    }

    /// What plugin calls of the tenant may use in one world.
    pub async fn plugin_limits_get(&self, request: &Request, world: World) -> Result<LimitsView> {
        let above = self.limits_above(request.tenant, world).await?;
        let mut tx = self.read(request).await?;
        let own = lowered(rows::limits(&mut tx, request.tenant.0).await?, world)?;
        Ok(limits_view(world, &above, own))
    }

    /// Lowers limits of one world for the tenant and the tenants below it, instead of what it lowered before.
    pub async fn plugin_limits_set(
        &self,
        request: &Request,
        world: World,
        if_match: i64,
        command: LoweredLimits,
    ) -> Result<Reply<LimitsView>> {
        let above = self.limits_above(request.tenant, world).await?;
        let mut fields = Fields::default();
        for (limit, what) in command.beyond(&LoweredLimits::from(&above)) {
            fields.refuse(format!("/{limit}"), what);
        }
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (text, now) = (limits_text(&command), work.now);
        if !rows::limits_set(&mut work.tx, request.tenant.0, world.as_str(), text, now, if_match).await? {
            return Err(ServiceError::Stale);
        }
        work.finish(200, limits_view(world, &above, (command, if_match + 1))).await
    }

    /// What a tenant and every tenant above it lowered of the limits of a world.
    pub(crate) async fn limits_lowered(&self, tenant: TenantId, world: World) -> Result<LoweredLimits> {
        let above = self.lowered_above(tenant, world).await?;
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let (own, _) = lowered(rows::limits(&mut tx, tenant.0).await?, world)?;
        Ok(above.narrowed(own))
    }

    /// The limits of a plain component of a world as the platform has them and the tenants above lowered them.
    async fn limits_above(&self, tenant: TenantId, world: World) -> Result<Limits> {
        let limits = *self.plugins.runtime().config().limits.of(world, Build::Plain);
        Ok(limits.lowered(self.lowered_above(tenant, world).await?))
    }

    async fn lowered_above(&self, tenant: TenantId, world: World) -> Result<LoweredLimits> {
        let mut limits = LoweredLimits::default();
        let ancestry = self.ancestry(tenant).await?;
        for above in ancestry.into_iter().filter(|id| *id != tenant.0) {
            let mut tx = self.db.read(Scope::Tenant(above)).await?;
            limits = limits.narrowed(lowered(rows::limits(&mut tx, above).await?, world)?.0);
        }
        Ok(limits)
    }
}

/// Limits as they were stored.
pub(crate) fn limits_read(what: &'static str, text: &str) -> Result<LoweredLimits> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(what, error.to_string()).into())
}

/// Limits as they are stored.
pub(crate) fn limits_text(limits: &LoweredLimits) -> String {
    serde_json::to_string(limits).unwrap_or_else(|_| "{}".to_owned())
}

fn lowered(rows: Vec<LimitsRow>, world: World) -> Result<(LoweredLimits, i64)> {
    let row = rows.into_iter().find(|row| row.extension_point == world.as_str());
    row.map_or(Ok((LoweredLimits::default(), 0)), |row| {
        Ok((limits_read("plugin_limits.limits", &row.limits)?, row.version))
    })
}

fn limits_view(world: World, above: &Limits, (lowered, version): (LoweredLimits, i64)) -> LimitsView {
    LimitsView { world, in_force: LoweredLimits::from(&above.lowered(lowered)), lowered, version }
}
