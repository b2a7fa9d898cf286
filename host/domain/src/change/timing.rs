//! When a change takes effect: a decision table, first match wins.
//!
//! Owns the predicates and the built-in table behind every configured one. Refuses to know what a change does.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{ChangeError, ChangeKind, Direction, PeriodChange, charged_until};
use crate::calendar::{index_of, period};
use crate::catalogue::PlanVersion;
use crate::id::PlanId;
use crate::subscription::Subscription;
use crate::text::text_enum;

text_enum! {
    /// When a change takes effect.
    pub enum Timing as "timing of a change" {
        /// On the wished day.
        Immediate = "immediate",
        /// When what is charged has run out.
        EndOfTerm = "end-of-term",
        /// On the first day of the running period, which is given back in full.
        StartOfTerm = "start-of-term",
        /// Never.
        Forbidden = "forbidden",
    }
}

text_enum! {
    /// Where a subscription is in its life.
    pub enum Phase as "phase of a subscription" {
        /// In its first period.
        First = "first",
        /// Behind it.
        Later = "later",
    }
}

/// One row of a decision table; an absent predicate matches everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimingRule {
    /// Only this kind of change.
    pub kind: Option<ChangeKind>,
    /// Only changes in this direction.
    pub direction: Option<Direction>,
    /// Only changes from this plan.
    pub from_plan: Option<PlanId>,
    /// Only changes to this plan.
    pub to_plan: Option<PlanId>,
    /// Only changes that do this to the length of the period.
    pub period: Option<PeriodChange>,
    /// Only in this phase.
    pub phase: Option<Phase>,
    /// What is decided.
    pub timing: Option<Timing>,
}

/// What the table is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimingFacts {
    /// The kind of change.
    pub kind: ChangeKind,
    /// Its direction.
    pub direction: Direction,
    /// The present plan.
    pub from_plan: PlanId,
    /// The plan afterwards.
    pub to_plan: PlanId,
    /// What happens to the length of the period.
    pub period: PeriodChange,
    /// The phase of the subscription.
    pub phase: Phase,
}

impl TimingRule {
    /// Whether all its predicates hold.
    pub fn matches(&self, facts: &TimingFacts) -> bool {
        self.kind.is_none_or(|kind| kind == facts.kind)
            && self.direction.is_none_or(|direction| direction == facts.direction)
            && self.from_plan.is_none_or(|plan| plan == facts.from_plan)
            && self.to_plan.is_none_or(|plan| plan == facts.to_plan)
            && self.period.is_none_or(|period| period == facts.period)
            && self.phase.is_none_or(|phase| phase == facts.phase)
    }
}

/// What a table decides, with the number of the row that matched, from 0; none when the built-in table decided.
pub fn timing_of(rules: &[TimingRule], facts: &TimingFacts) -> (Timing, Option<usize>) {
    rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.matches(facts))
        .find_map(|(place, rule)| rule.timing.map(|timing| (timing, Some(place))))
        .unwrap_or((default_timing(facts), None))
}

/// The built-in table: more is given at once; less, another day and the end come when what is charged has run out.
pub fn default_timing(facts: &TimingFacts) -> Timing {
    match facts.kind {
        ChangeKind::ChangePlan | ChangeKind::ChangeQuantity => match facts.direction {
            Direction::Up => Timing::Immediate,
            Direction::Down | Direction::Lateral => Timing::EndOfTerm,
        },
        ChangeKind::Cancel | ChangeKind::ChangeBillingDay => Timing::EndOfTerm,
        ChangeKind::Pause | ChangeKind::Resume | ChangeKind::Renew | ChangeKind::Prolong | ChangeKind::Shift => {
            Timing::Immediate
        }
    }
}

/// The day on which a change takes effect; none when it is forbidden. `on` is the wished day.
pub fn effective_on(
    timing: Timing,
    subscription: &Subscription,
    plan: &PlanVersion,
    on: NaiveDate,
) -> Result<Option<NaiveDate>, ChangeError> {
    Ok(match timing {
        Timing::Forbidden => None,
        Timing::Immediate => Some(on),
        Timing::EndOfTerm => Some(charged_until(subscription, plan)?),
        Timing::StartOfTerm => {
            let index = index_of(subscription.anchor_on, plan.cadence, on)?;
            let start = period(subscription.anchor_on, plan.cadence, index)?.start;
            Some(start.max(subscription.terms_from).min(on))
        }
    })
}
