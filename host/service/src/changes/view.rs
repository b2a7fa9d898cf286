//! What callers see of a change.

use altyn_domain::{
    calendar::Period,
    change::{ChangeKind, Direction, Terms, Timing},
    dunning::DunningScope,
    id::{ChangeId, ChargeId, ComponentId, ContractId, InvoiceId, PlanVersionId, SubscriptionId},
    ledger::{Entry, TransactionKind},
    run::PluginPin,
    subscription::SubscriptionStatus,
};
use altyn_store::changes::ChangeRow;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::command::ChangeSubscription;
use crate::error::{Result, ServiceError, stored};

/// The terms of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TermsView {
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// The plan version.
    pub plan_version_id: PlanVersionId,
    /// How many units, decimal.
    pub quantity: String,
    /// The day that all boundaries are counted from.
    pub anchor_on: NaiveDate,
    /// First day of these terms.
    pub terms_from: NaiveDate,
    /// The next day on which something happens.
    pub next_charge_on: NaiveDate,
    /// The day after the last day of service.
    pub ends_on: Option<NaiveDate>,
    /// How many charges are left; none for ever.
    pub charges_left: Option<u32>,
}

impl From<&Terms> for TermsView {
    fn from(terms: &Terms) -> Self {
        Self {
            status: terms.status,
            plan_version_id: terms.plan_version,
            quantity: terms.quantity.normalize().to_string(),
            anchor_on: terms.anchor_on,
            terms_from: terms.terms_from,
            next_charge_on: terms.next_charge_on,
            ends_on: terms.ends_on,
            charges_left: terms.charges_left,
        }
    }
}

/// A part of a charge that is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreditEffect {
    /// The charge.
    pub charge_id: ChargeId,
    /// The component that it is for.
    pub component_id: ComponentId,
    /// The days that it no longer covers.
    pub days: Period,
    /// Without tax, minor units.
    pub net_minor: i64,
    /// The tax.
    pub tax_minor: i64,
    /// With tax.
    pub gross_minor: i64,
    /// Whether revenue and tax are taken back, because the charge was realised.
    pub after_realisation: bool,
    /// How the amount came about.
    pub explanation: String,
}

/// A line that is charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LineEffect {
    /// The component.
    pub component_id: ComponentId,
    /// Name on documents.
    pub title: String,
    /// How many units, decimal.
    pub quantity: String,
    /// The full period.
    pub period: Period,
    /// The part of it that is charged.
    pub used: Period,
    /// Charge date.
    pub charged_on: NaiveDate,
    /// Realisation date: the last day of service.
    pub realises_on: NaiveDate,
    /// Without tax, minor units.
    pub net_minor: i64,
    /// The tax.
    pub tax_minor: i64,
    /// With tax.
    pub gross_minor: i64,
    /// Code of the tax treatment.
    pub tax_code: String,
    /// Rate in per cent; none when the line is not taxed.
    pub tax_rate: Option<String>,
    /// How the amount came about.
    pub explanation: String,
}

/// A posting to the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PostingEffect {
    /// What it records.
    pub kind: TransactionKind,
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// A change that waited and gives way to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplacedChange {
    /// The change.
    pub change_id: ChangeId,
    /// What was wished.
    pub kind: ChangeKind,
    /// The day on which it would take effect.
    pub effective_on: NaiveDate,
}

/// What a change does to one subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubscriptionEffect {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Version of the subscription that this was computed from.
    pub version: i64,
    /// What was wished.
    pub kind: ChangeKind,
    /// Which way it goes.
    pub direction: Direction,
    /// Why it goes that way.
    pub direction_reason: String,
    /// When it takes effect.
    pub timing: Timing,
    /// Who decided that.
    pub timing_reason: String,
    /// The day on which it takes effect.
    pub effective_on: NaiveDate,
    /// The terms now.
    pub before: TermsView,
    /// The terms afterwards.
    pub after: TermsView,
    /// What waited for the subscription and is replaced, because this change waits instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<ReplacedChange>,
    /// What is given back, in the order of the charges.
    pub credits: Vec<CreditEffect>,
    /// What is charged, in the order of documents.
    pub lines: Vec<LineEffect>,
    /// Days that are served and cost nothing.
    pub gift: Option<Period>,
    /// Days that are not served.
    pub gap: Option<Period>,
}

/// A subscription that a renewal of all leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SkippedRenewal {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Stable code of why it cannot be renewed.
    pub reason_code: String,
    /// The reason in words.
    pub reason: String,
}

/// What a renewal of all subscriptions of a contract did.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RenewalView {
    /// The changes, one a renewed subscription.
    pub changes: Vec<ChangeView>,
    /// The subscriptions that could not be renewed.
    pub skipped: Vec<SkippedRenewal>,
}

/// Everything that a change does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangeEffects {
    /// The contract.
    pub contract_id: ContractId,
    /// ISO 4217 code.
    pub currency: String,
    /// Whether its day has not come: then it is scheduled, and computed anew on that day.
    pub deferred: bool,
    /// Date of the documents.
    pub issued_on: NaiveDate,
    /// What happens to each subscription.
    pub subscriptions: Vec<SubscriptionEffect>,
    /// What a renewal of all leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedRenewal>,
    /// The postings, in order.
    pub postings: Vec<PostingEffect>,
    /// What is given back in all, with tax.
    pub credited_minor: i64,
    /// What is charged in all, with tax.
    pub charged_minor: i64,
    /// How the contract's balance moves at once.
    pub balance_minor: i64,
    /// The plugins that decided, in the order of their worlds.
    pub plugins: Vec<PluginPin>,
}

/// What a change would do, and the hash to execute exactly that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangePreview {
    /// SHA-256 over the effects, 64 hexadecimal digits.
    pub plan_hash: String,
    /// The effects.
    pub effects: ChangeEffects,
}

/// A change that was made, or waits for its day.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangeView {
    /// Its id.
    pub id: ChangeId,
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Its contract.
    pub contract_id: ContractId,
    /// What was wished.
    pub kind: ChangeKind,
    /// Which way it goes.
    pub direction: Option<Direction>,
    /// When it takes effect.
    pub timing: Timing,
    /// `scheduled`, `executed`, `cancelled`, `replaced` or `failed`.
    pub state: String,
    /// The wish.
    pub change: ChangeSubscription,
    /// The day on which it takes effect.
    pub effective_on: NaiveDate,
    /// Its number among the executed changes of the subscription, from 1.
    pub ordinal: Option<i32>,
    /// The terms that it led to.
    pub terms: Option<TermsView>,
    /// Hash of what was executed.
    pub plan_hash: Option<String>,
    /// The first invoice that it issued.
    pub invoice_id: Option<InvoiceId>,
    /// What was given back, with tax, minor units.
    pub credited_minor: i64,
    /// What was charged instead, with tax.
    pub charged_minor: i64,
    /// Why it failed or was withdrawn.
    pub reason: Option<String>,
    /// Who wished it.
    pub requested_by: String,
    /// The scope of the dunning that wished it; absent when a person did.
    pub dunning_scope: Option<DunningScope>,
    /// When it was wished.
    pub created_at: DateTime<Utc>,
    /// When it was executed or withdrawn.
    pub finished_at: Option<DateTime<Utc>>,
}

pub(super) fn change_view(row: ChangeRow) -> Result<ChangeView> {
    let json = |error: serde_json::Error| ServiceError::Internal(format!("a stored change does not read: {error}"));
    let terms: Option<Terms> = row.terms.as_deref().map(serde_json::from_str).transpose().map_err(json)?;
    Ok(ChangeView {
        id: ChangeId(row.id),
        subscription_id: SubscriptionId(row.subscription_id),
        contract_id: ContractId(row.contract_id),
        kind: stored("subscription_changes.kind", &row.kind)?,
        direction: row.direction.as_deref().map(|text| stored("subscription_changes.direction", text)).transpose()?,
        timing: stored("subscription_changes.timing", &row.timing)?,
        state: row.state,
        change: serde_json::from_str(&row.command).map_err(json)?,
        effective_on: row.effective_on,
        ordinal: row.ordinal,
        terms: terms.as_ref().map(TermsView::from),
        plan_hash: row.plan_hash.map(hex::encode),
        invoice_id: row.invoice_id.map(InvoiceId),
        credited_minor: row.credited_minor,
        charged_minor: row.charged_minor,
        reason: row.reason,
        requested_by: row.requested_by,
        dunning_scope: row
            .dunning_scope
            .as_deref()
            .map(|text| stored("subscription_changes.dunning_scope", text))
            .transpose()?,
        created_at: row.created_at,
        finished_at: row.finished_at,
    })
}

/// Sentences that tell where two values differ, at most fifty.
pub(crate) fn differences(before: &serde_json::Value, now: &serde_json::Value) -> Vec<String> {
    let mut told = Vec::new();
    tell("", before, now, &mut told);
    told.truncate(50);
    told
}

fn tell(at: &str, before: &serde_json::Value, now: &serde_json::Value, told: &mut Vec<String>) {
    use serde_json::Value::{Array, Null, Object};
    match (before, now) {
        (Object(before), Object(now)) => {
            for (key, value) in now {
                tell(&format!("{at}/{key}"), before.get(key).unwrap_or(&Null), value, told);
            }
        }
        (Array(before), Array(now)) => {
            for place in 0..before.len().max(now.len()) {
                let of = |values: &[serde_json::Value]| values.get(place).cloned().unwrap_or(Null);
                tell(&format!("{at}/{place}"), &of(before), &of(now), told);
            }
        }
        _ if before == now => {}
        (Null, Object(_) | Array(_)) => told.push(format!("{at} is new")),
        (Object(_) | Array(_), Null) => told.push(format!("{at} is gone")),
        _ => told.push(format!("{at}: {before} → {now}")),
    }
}
