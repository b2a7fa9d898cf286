//! What callers wish.

use altyn_domain::{
    change::{ChangeKind, Direction, Timing},
    id::PlanId,
    proration::CurrentDay,
};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::view::ChangeEffects;
use crate::{error::Fields, subscriptions::quantity};

/// A change of a subscription; which fields it takes depends on its kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSubscription {
    /// What is wished. An upgrade, a downgrade and a crossgrade are changes of the plan.
    pub kind: ChangeKind,
    /// The wished day; the contract's today when absent. The day itself belongs to the new terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<NaiveDate>,
    /// When it takes effect, instead of what the tables decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timing>,
    /// Which way it goes, instead of what the classifier says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Who pays for the day of the change; `new` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_day: Option<CurrentDay>,
    /// Change of the plan: the plan, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<PlanId>,
    /// Change of the plan: the plan, by its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_code: Option<String>,
    /// Change of the quantity, or of the plan: how many units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Change of the billing day: a day of the month, 1 to 31.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_day: Option<u8>,
    /// Prolongation and shift: by how many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u16>,
}

/// A change to be executed as it was previewed.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteChange {
    /// The change, exactly as it was previewed.
    pub change: ChangeSubscription,
    /// The hash that the preview answered.
    pub plan_hash: String,
    /// The effects that the preview answered; when they are given and no longer hold, the refusal tells each difference.
    pub effects: Option<ChangeEffects>,
}

/// A renewal of all subscriptions of a contract, to be executed as it was previewed.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewContract {
    /// The hash that the preview answered.
    pub plan_hash: String,
    /// The effects that the preview answered.
    pub effects: Option<ChangeEffects>,
}

impl ChangeSubscription {
    /// A wish without details.
    pub fn of(kind: ChangeKind) -> Self {
        Self {
            kind,
            on: None,
            timing: None,
            direction: None,
            current_day: None,
            plan_id: None,
            plan_code: None,
            quantity: None,
            billing_day: None,
            days: None,
        }
    }

    /// Checks that the wish has what its kind needs, and nothing that it has no use for.
    pub(super) fn check(&self, fields: &mut Fields) {
        use ChangeKind::{ChangeBillingDay, ChangePlan, ChangeQuantity, Prolong, Shift};
        let plan = self.plan_id.is_some() || self.plan_code.is_some();
        let mut of_kind = |pointer: &str, given: bool, needed: bool, taken: bool| {
            if needed && !given {
                fields.refuse(pointer, format!("is needed to {}", self.kind));
            } else if given && !taken {
                fields.refuse(pointer, format!("has no meaning for {}; leave it out", self.kind));
            }
        };
        of_kind("/plan_id", plan, self.kind == ChangePlan, self.kind == ChangePlan);
        let quantity_taken = matches!(self.kind, ChangePlan | ChangeQuantity);
        of_kind("/quantity", self.quantity.is_some(), self.kind == ChangeQuantity, quantity_taken);
        let day = self.kind == ChangeBillingDay;
        of_kind("/billing_day", self.billing_day.is_some(), day, day);
        let days = matches!(self.kind, Prolong | Shift);
        of_kind("/days", self.days.is_some(), days, days);
        if self.plan_id.is_some() && self.plan_code.is_some() {
            fields.refuse("/plan_code", "name the plan by plan_id or by plan_code, one of them");
        }
        if let Some(text) = &self.quantity {
            fields.take("/quantity", quantity(text));
        }
        if self.timing == Some(Timing::Forbidden) {
            fields.refuse("/timing", "is what a table decides; wish for another");
        }
    }
}
