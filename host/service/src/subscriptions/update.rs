//! Editing a subscription, and activating one that waits.
//!
//! Owns what may be edited without a change of the terms: what is told to people, and what holds for periods that are not
//! charged yet. Invariant: nothing that was charged is charged otherwise by an edit; what moves money is refused here and is
//! a change with a preview (see [`crate::changes`]).

use altyn_domain::{
    calendar::{Cadence, local_date},
    catalogue::BillingDay,
    id::{Id as _, SubscriptionId},
    subscription::{Schedule, ShortFunds, SubscriptionStatus},
};
use altyn_store::{Rows, catalogue, changes, lives, runs, subscriptions, subscriptions::SubscriptionRow};
use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{check_short_funds, discount, duplicate, view::SubscriptionView, view::one};
use crate::{
    context::{Altyn, Begun, Reply, Request},
    customers::check_external,
    error::{Fields, Result, ServiceError, stored},
    plans::version_on,
};

/// Tells a field that was given as null from one that was not given.
#[expect(clippy::option_option, reason = "not given, null and a value are three things in a merge patch")]
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes to a subscription; what is absent stays, `null` clears.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateSubscription {
    /// What the customer reads about it in the cabinet, up to 1000 characters.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// Whether documents are wanted on activation.
    pub documents_on_activation: Option<bool>,
    /// Whether the customer is told of an activation.
    pub notify_on_activation: Option<bool>,
    /// Discount of periods that are not charged yet, per cent: 0 to 100 with at most 6 decimals.
    pub discount_percent: Option<String>,
    /// A sum off each period that is not charged yet, minor units, instead of a share.
    pub discount_minor: Option<i64>,
    /// The first charge date that the discount holds on.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<NaiveDate>)]
    pub discount_from: Option<Option<NaiveDate>>,
    /// The last charge date that the discount holds on.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<NaiveDate>)]
    pub discount_until: Option<Option<NaiveDate>>,
    /// How many charges are left before it completes; `null` for ever.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i32>)]
    pub charges_left: Option<Option<i32>>,
    /// Whether each period begins by hand; one that lapsed is renewed before it goes on by itself.
    pub manual: Option<bool>,
    /// What becomes of a period that the contract cannot pay for in advance.
    pub short_funds: Option<ShortFunds>,
    /// For how many days `retry` tries such a period, 1 to 366; `null` to its end.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i32>)]
    pub retry_days: Option<Option<i32>>,
    /// The system that the subscription is known in; given together with `external_id`.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub external_system: Option<Option<String>>,
    /// The subscription's id there; unique within the system.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub external_id: Option<Option<String>>,
    /// Refused: moves money; preview and execute the change `change-quantity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Refused: moves money; preview and execute the change `change-plan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_code: Option<String>,
    /// Refused: moves the schedule; preview and execute the change `renew`, `shift`, `prolong` or `change-billing-day`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_charge_on: Option<NaiveDate>,
    /// Refused: use the change `cancel`, or end it on a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_on: Option<NaiveDate>,
}

/// The activation of a subscription that waits.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateSubscription {
    /// First day of service, from which its periods are counted; today where the contract lives when absent.
    pub on: Option<NaiveDate>,
}

impl UpdateSubscription {
    /// Refuses what is a change of the terms, with the way to make it.
    fn refuse_changes(&self, fields: &mut Fields) {
        let advice = |change: &str| {
            format!("moves money and is not edited; preview the change {change} and execute what you see")
        };
        if self.quantity.is_some() {
            fields.refuse("/quantity", advice("change-quantity"));
        }
        if self.plan_code.is_some() {
            fields.refuse("/plan_code", advice("change-plan"));
        }
        if self.next_charge_on.is_some() {
            fields.refuse("/next_charge_on", advice("renew, shift, prolong or change-billing-day"));
        }
        if self.ends_on.is_some() {
            fields.refuse("/ends_on", advice("cancel, or end the subscription on a day"));
        }
    }

    /// Whether only what people read changes.
    fn only_tells(&self) -> bool {
        let told = Self {
            description: self.description.clone(),
            documents_on_activation: self.documents_on_activation,
            notify_on_activation: self.notify_on_activation,
            external_system: self.external_system.clone(),
            external_id: self.external_id.clone(),
            ..Self::default()
        };
        serde_json::to_value(told).ok() == serde_json::to_value(self).ok()
    }

    /// The row after the edit.
    fn apply(self, mut row: SubscriptionRow, fields: &mut Fields) -> Result<SubscriptionRow> {
        if let Some(percent) = &self.discount_percent
            && let Some(percent) = fields.take("/discount_percent", discount(percent))
        {
            // A share takes the place of a sum, and the other way round.
            if percent != "0" && self.discount_minor.is_none() {
                row.discount_minor = 0;
            }
            row.discount_percent = percent;
        }
        if let Some(minor) = self.discount_minor {
            if minor < 0 {
                fields.refuse("/discount_minor", "must be zero or more");
            }
            if minor != 0 && self.discount_percent.is_none() {
                "0".clone_into(&mut row.discount_percent);
            }
            row.discount_minor = minor;
        }
        if row.discount_minor != 0 && row.discount_percent != "0" {
            fields.refuse("/discount_minor", "give the discount as a share or as a sum, one of them");
        }
        row.discount_from = self.discount_from.unwrap_or(row.discount_from);
        row.discount_until = self.discount_until.unwrap_or(row.discount_until);
        if let (Some(from), Some(until)) = (row.discount_from, row.discount_until)
            && until < from
        {
            fields.refuse("/discount_until", format!("must not be before {from}, the first day of the discount"));
        }
        row.charges_left = self.charges_left.unwrap_or(row.charges_left);
        if self.charges_left.flatten().is_some_and(|left| left < 1) {
            fields.refuse("/charges_left", "must be at least 1; null for a subscription without end");
        }
        let short_funds = match self.short_funds {
            Some(policy) => policy,
            None => stored("subscriptions.short_funds", &row.short_funds)?,
        };
        // Another policy has no use for the days of the one before.
        let kept = row.retry_days.filter(|_| short_funds == ShortFunds::Retry);
        row.retry_days = self.retry_days.unwrap_or(kept);
        check_short_funds(fields, short_funds, row.retry_days);
        short_funds.as_str().clone_into(&mut row.short_funds);
        if short_funds == ShortFunds::Debt {
            row.waits_from = None;
        }
        row.manual = self.manual.map_or(row.manual, i32::from);
        row.documents_on_activation = self.documents_on_activation.map_or(row.documents_on_activation, i32::from);
        row.notify_on_activation = self.notify_on_activation.map_or(row.notify_on_activation, i32::from);
        row.description = self.description.unwrap_or(row.description);
        fields.optional_text("/description", row.description.as_deref(), 1_000);
        row.external_system = self.external_system.unwrap_or(row.external_system);
        row.external_id = self.external_id.unwrap_or(row.external_id);
        check_external(fields, row.external_system.as_deref(), row.external_id.as_deref());
        Ok(row)
    }
}

impl Altyn {
    /// Edits a subscription without a change of its terms: nothing that was charged is charged otherwise.
    pub async fn subscription_update(
        &self,
        request: &Request,
        id: SubscriptionId,
        if_match: i64,
        command: UpdateSubscription,
    ) -> Result<Reply<SubscriptionView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = subscriptions::find(&mut work.tx, tenant, id.uuid()).await?;
        let row = row.ok_or(ServiceError::NotFound("subscription"))?;
        let mut fields = Fields::default();
        command.refuse_changes(&mut fields);
        let status: SubscriptionStatus = stored("subscriptions.status", &row.status)?;
        if !command.only_tells() {
            if status.is_transitional() {
                let message =
                    format!("the subscription is {status}; only what people read is edited until that has ended");
                return Err(ServiceError::conflict("subscription-transitional", message));
            }
            if status.is_final() {
                let message = format!("the subscription is {status}; only what people read is still edited");
                return Err(ServiceError::conflict("subscription-ended", message));
            }
        }
        let goes_on = row.manual != 0 && command.manual == Some(false);
        let mut row = command.apply(row, &mut fields)?;
        fields.finish()?;
        if goes_on && status.is_charged() {
            let facts = changes::contract_facts(&mut work.tx, tenant, row.contract_id).await?;
            let facts = facts.ok_or(ServiceError::NotFound("contract"))?;
            let today = local_date(work.now, stored("contracts.zone", &facts.zone)?);
            // Going on by itself it would be charged for all that passed since.
            if row.next_charge_on < today {
                return Err(ServiceError::conflict(
                    "subscription-lapsed",
                    format!(
                        "its last period ended on {}; renew it first, then let it go on by itself",
                        row.next_charge_on
                    ),
                ));
            }
        }
        if !subscriptions::update(&mut work.tx, tenant, &row, if_match).await.map_err(duplicate)? {
            return Err(ServiceError::Stale);
        }
        row.version = if_match + 1;
        let view = one(&mut work.tx, tenant, row).await?;
        work.finish(200, view).await
    }

    /// Puts a subscription in service that waits: its periods are counted from that day, and the first is charged then.
    ///
    /// It stays on the plan version that it was ordered by. One that begins by hand is charged by a renewal. One with an order
    /// is paid before, or the answer is the conflict `order-unpaid`.
    pub async fn subscription_activate(
        &self,
        request: &Request,
        id: SubscriptionId,
        if_match: i64,
        command: ActivateSubscription,
    ) -> Result<Reply<SubscriptionView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let row = subscriptions::find(&mut work.tx, tenant, id.uuid()).await?;
        let mut row = row.ok_or(ServiceError::NotFound("subscription"))?;
        let status: SubscriptionStatus = stored("subscriptions.status", &row.status)?;
        if status != SubscriptionStatus::Pending {
            return Err(ServiceError::conflict(
                "subscription-not-pending",
                format!("the subscription is {status}; only one that is pending is activated"),
            ));
        }
        crate::orders::money::paid_before_service(self, &mut work.tx, request.tenant, work.now, row.id).await?;
        let facts = changes::contract_facts(&mut work.tx, tenant, row.contract_id).await?;
        let facts = facts.ok_or(ServiceError::NotFound("contract"))?;
        let on = command.on.unwrap_or(local_date(work.now, stored("contracts.zone", &facts.zone)?));
        if let Some(end) = row.ends_on.filter(|end| *end <= on) {
            return Err(ServiceError::invalid("/on", format!("must be before {end}, the end of the subscription")));
        }
        let sold = catalogue::sold(&mut work.tx, tenant, vec![row.plan_version_id]).await?;
        let sold = sold.first().ok_or_else(|| ServiceError::Internal("a subscription has no plan version".into()))?;
        let versions = catalogue::versions_of(&mut work.tx, tenant, vec![sold.plan_id]).await?;
        if version_on(&versions, on).is_none() {
            let message = format!("plan {} is not sold on {on}; choose a later day", sold.code);
            return Err(ServiceError::invalid("/on", message));
        }
        let version = versions.iter().find(|version| version.id == row.plan_version_id);
        let version = version.ok_or_else(|| ServiceError::Internal("a plan lost a version".into()))?;
        let cadence: Cadence = stored("plan_versions.cadence", &version.cadence)?;
        let billing_day: BillingDay = stored("plan_versions.billing_day", &version.billing_day)?;
        let schedule = Schedule::first(on, cadence, billing_day.day_of_month(cadence, on, facts.signed_on))
            .map_err(|error| ServiceError::invalid("/on", error.to_string()))?;
        row.anchor_on = schedule.anchor_on;
        row.next_index = schedule.next_index;
        row.starts_on = on;
        row.next_charge_on = on;
        SubscriptionStatus::Active.as_str().clone_into(&mut row.status);
        if !subscriptions::activate(&mut work.tx, tenant, &row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        let transition = Rows::new()
            .with("id", vec![self.ids.next()])
            .with("subscription_id", vec![row.id])
            .with("from_status", vec![status.as_str().to_owned()])
            .with("to_status", vec![row.status.clone()])
            .with("cause", vec!["activated".to_owned()])
            .with("business_on", vec![on])
            .with("operation_id", vec![None::<Uuid>]);
        lives::transitions_insert(&mut work.tx, tenant, work.now, &transition).await?;
        let event = serde_json::json!({
            "subscription": id,
            "effective_on": on,
            "documents": row.documents_on_activation != 0,
            "notify": row.notify_on_activation != 0,
        });
        let (event_id, subject) = (self.ids.next(), id.to_string());
        runs::outbox_insert(
            &mut work.tx,
            tenant,
            event_id,
            "subscription.activated",
            &subject,
            &event.to_string(),
            work.now,
        )
        .await?;
        row.version = if_match + 1;
        let view = one(&mut work.tx, tenant, row).await?;
        work.finish(200, view).await
    }
}
