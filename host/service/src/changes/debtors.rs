//! Ends of subscriptions that dunning wishes: scheduled like those that people wish, and taken back.
//!
//! Owns which subscriptions get an end and on which day. Asks no plugin and moves no money: the run of that day makes the
//! change, or shows it first when runs are confirmed, and gives back what it gives back for everybody. Invariant: what a
//! person scheduled is left alone.

use altyn_domain::{
    change::{ChangeKind, Direction, Timing, effective_on},
    dunning::DunningScope,
    id::{ChangeId, Id as _},
    subscription::SubscriptionStatus,
};
use altyn_store::{Tx, changes as rows, runs, subscriptions};
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::HashMap;
use uuid::Uuid;

use super::command::ChangeSubscription;
use crate::{
    context::Altyn,
    error::{Result, ServiceError, stored},
    price_overrides::prices_of,
    runs::compute::plan_versions,
    subscriptions::subscription_of,
};

/// How many subscriptions are read and scheduled together.
const TOGETHER: i64 = 500;
/// Who wished what dunning wishes.
const BY_DUNNING: &str = "dunning";

/// The ends that a stage asks for.
pub(crate) struct Ends {
    /// What dunning looks at.
    pub scope: DunningScope,
    /// The contract.
    pub contract: Uuid,
    /// One subscription alone, at that scope.
    pub subscription: Option<Uuid>,
    /// When they take effect.
    pub timing: Timing,
    /// The first day that is not served any more, at the earliest.
    pub from: NaiveDate,
}

impl Altyn {
    /// Schedules the ends that a stage asks for, but for the subscriptions `spared`; answers the changes.
    ///
    /// A subscription that ends or is being moved already gets none, and neither does one whose end by a person waits when
    /// the term may run out.
    pub(crate) async fn ends_schedule(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        now: DateTime<Utc>,
        ends: &Ends,
        spared: &[Uuid],
    ) -> Result<Vec<Uuid>> {
        let prices = prices_of(tx, tenant, vec![ends.contract]).await?;
        let (mut after, mut made) = (Uuid::nil(), Vec::new());
        loop {
            let page = match ends.subscription {
                Some(one) if after.is_nil() => subscriptions::find(tx, tenant, one).await?.into_iter().collect(),
                Some(_) => Vec::new(),
                None => subscriptions::list(tx, tenant, Some(ends.contract), after, TOGETHER).await?,
            };
            let Some(last) = page.last().map(|row| row.id) else { return Ok(made) };
            after = last;
            let mut live = Vec::with_capacity(page.len());
            for row in page {
                let status: SubscriptionStatus = stored("subscriptions.status", &row.status)?;
                if !status.is_final() && !status.is_transitional() && !spared.contains(&row.id) {
                    live.push(row);
                }
            }
            let mut versions: Vec<Uuid> = live.iter().map(|row| row.plan_version_id).collect();
            versions.sort_unstable();
            versions.dedup();
            let plans: HashMap<Uuid, _> =
                plan_versions(runs::plan_components(tx, tenant, versions).await?)?.into_iter().collect();
            let mut changes = Vec::with_capacity(live.len());
            for row in &live {
                let subscription = subscription_of(row, prices.of(row.contract_id, row.id))?;
                let plan = plans.get(&row.plan_version_id).ok_or_else(|| internal("a subscription has no plan"))?;
                let term = effective_on(ends.timing, &subscription, plan, ends.from).map_err(internal)?;
                let on = term.unwrap_or(ends.from).max(ends.from);
                let ends_before = subscription.ends_on.is_some_and(|end| end <= on);
                if ends_before || (ends.timing == Timing::EndOfTerm && self.ends_by_wish(tx, tenant, row.id).await?) {
                    continue;
                }
                changes.push(self.end_of(ends, row.id, on, now)?);
            }
            rows::insert(tx, tenant, now, None, &changes).await?;
            made.extend(changes.into_iter().map(|change| change.id));
        }
    }

    /// Whether an end of a subscription waits that a person wished.
    async fn ends_by_wish(&self, tx: &mut Tx, tenant: Uuid, subscription: Uuid) -> Result<bool> {
        let waiting = rows::scheduled_for(tx, tenant, subscription).await?;
        Ok(waiting.iter().any(|row| row.kind == ChangeKind::Cancel.as_str() && row.dunning_scope.is_none()))
    }

    fn end_of(&self, ends: &Ends, subscription: Uuid, on: NaiveDate, now: DateTime<Utc>) -> Result<rows::ChangeRow> {
        let wish = ChangeSubscription {
            on: Some(ends.from),
            timing: Some(ends.timing),
            ..ChangeSubscription::of(ChangeKind::Cancel)
        };
        Ok(rows::ChangeRow {
            id: ChangeId(self.ids.next()).uuid(),
            subscription_id: subscription,
            contract_id: ends.contract,
            kind: ChangeKind::Cancel.as_str().to_owned(),
            direction: Some(Direction::Lateral.as_str().to_owned()),
            timing: ends.timing.as_str().to_owned(),
            state: "scheduled".to_owned(),
            command: serde_json::to_string(&wish).map_err(internal)?,
            effective_on: on,
            ordinal: None,
            terms_from: None,
            charged_until: None,
            terms: None,
            plan_version_id: None,
            plan_hash: None,
            invoice_id: None,
            credited_minor: 0,
            charged_minor: 0,
            reason: None,
            requested_by: BY_DUNNING.to_owned(),
            created_at: now,
            finished_at: None,
            dunning_scope: Some(ends.scope.as_str().to_owned()),
            version: 1,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over errors and texts")]
fn internal(error: impl ToString) -> ServiceError {
    ServiceError::Internal(error.to_string())
}
