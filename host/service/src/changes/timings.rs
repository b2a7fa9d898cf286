//! Decision tables: when changes take effect, per tenant and per plan.

use altyn_domain::{
    change::{Timing, TimingFacts, TimingRule, timing_of},
    id::{Id as _, PlanId},
};
use altyn_store::{Tx, catalogue, changes as rows};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Result, ServiceError},
    page::{Listed, Page},
};

/// Most rows of a table.
const MOST_RULES: usize = 100;

/// A decision table in place of the one before.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTimings {
    /// The plan whose subscriptions it decides about; the tenant's own table when absent.
    pub plan_id: Option<PlanId>,
    /// Its rows: the first that matches decides. Without a row the table has no say.
    pub rules: Vec<TimingRule>,
}

/// A decision table. A plan's decides before the tenant's, and that before the built-in one.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
pub struct TimingsView {
    /// The plan whose subscriptions it decides about; the tenant's own table when absent.
    pub plan_id: Option<PlanId>,
    /// Its rows.
    pub rules: Vec<TimingRule>,
    /// Counts changes.
    pub version: i64,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

fn view(row: &rows::TimingsRow) -> Result<TimingsView> {
    Ok(TimingsView {
        plan_id: Some(row.plan_id).filter(|id| !id.is_nil()).map(PlanId),
        rules: read(&row.rules)?,
        version: row.version,
        updated_at: row.updated_at,
    })
}

fn read(text: &str) -> Result<Vec<TimingRule>> {
    serde_json::from_str(text)
        .map_err(|error| ServiceError::Internal(format!("stored value of change_timings.rules is not valid: {error}")))
}

/// What the tables of a plan and of the tenant decide, and which row of which table did.
pub(super) async fn decide(tx: &mut Tx, tenant: Uuid, facts: &TimingFacts) -> Result<(Timing, String)> {
    for (plan, name) in [(facts.from_plan.uuid(), "the plan's table"), (Uuid::nil(), "the tenant's table")] {
        let Some(row) = rows::timings_find(tx, tenant, plan).await? else { continue };
        if let (timing, Some(place)) = timing_of(&read(&row.rules)?, facts) {
            return Ok((timing, format!("row {} of {name}", place + 1)));
        }
    }
    Ok((timing_of(&[], facts).0, "the built-in table".to_owned()))
}

impl Altyn {
    /// Puts a decision table in place of the one before.
    pub async fn timings_set(&self, request: &Request, command: SetTimings) -> Result<Reply<TimingsView>> {
        if command.rules.len() > MOST_RULES {
            return Err(ServiceError::invalid("/rules", format!("at most {MOST_RULES} rows")));
        }
        if let Some(place) = command.rules.iter().position(|rule| rule.timing.is_none()) {
            return Err(ServiceError::invalid(format!("/rules/{place}/timing"), "is needed: say what the row decides"));
        }
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let plan = command.plan_id.map_or(Uuid::nil(), PlanId::uuid);
        if let Some(id) = command.plan_id
            && catalogue::plan_find(&mut work.tx, tenant, id.uuid()).await?.is_none()
        {
            return Err(ServiceError::invalid("/plan_id", "there is no such plan"));
        }
        let text = serde_json::to_string(&command.rules)
            .map_err(|error| ServiceError::Internal(format!("a table cannot be stored: {error}")))?;
        rows::timings_set(&mut work.tx, tenant, plan, &text, work.now).await?;
        let row = rows::timings_find(&mut work.tx, tenant, plan).await?.ok_or(ServiceError::NotFound("table"))?;
        let view = view(&row)?;
        work.finish(200, view).await
    }

    /// A page of the tenant's decision tables; its own comes first.
    pub async fn timings_list(&self, request: &Request, page: &Page) -> Result<Listed<TimingsView>> {
        let (limit, after) = page.bounds::<PlanId>()?;
        let mut tx = self.read(request).await?;
        let mut found = Vec::new();
        if page.cursor.is_none() {
            found.extend(rows::timings_find(&mut tx, request.tenant.0, Uuid::nil()).await?);
        }
        let own = i64::try_from(found.len()).unwrap_or(0);
        found.extend(rows::timings(&mut tx, request.tenant.0, after, limit - own).await?);
        let views = found.iter().map(view).collect::<Result<Vec<_>>>()?;
        Ok(page.listed(views, |view| view.plan_id.unwrap_or(PlanId(Uuid::nil())).to_string(), |view| view))
    }
}
