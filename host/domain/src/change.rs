//! Changes of a subscription: what a wish does to its terms, what is given back and what is charged instead.
//!
//! Owns the arithmetic of dates: which charges a change cuts, which periods the new terms charge, how the schedule goes
//! on. Refuses to know how a part of a price is computed (that is the proration strategy's), taxes, numbers and balances.
//! Invariant: a change is a cancel-part and a create-part under one identity. What was covered before the day of the
//! change stays covered by the old terms, what was covered from that day on is given back and charged again by the new
//! ones up to the same day, so that coverage stays disjoint and gapless; what is given back was billed before.

use chrono::{Datelike as _, Days, NaiveDate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::calendar::{CalendarError, Period, boundary, index_of, period};
use crate::catalogue::PlanVersion;
use crate::id::{ChargeId, ComponentId, PlanVersionId};
use crate::invoice::Amounts;
use crate::money::MoneyError;
use crate::proration::{CurrentDay, Question};
use crate::subscription::{
    Discount, DueLine, Schedule, Subscription, SubscriptionError, SubscriptionStatus, due, due_again,
    first_was_absorbed,
};
use crate::text::text_enum;

pub use direction::{Direction, PeriodChange, classify, period_change};
pub use timing::{Phase, Timing, TimingFacts, TimingRule, default_timing, effective_on, timing_of};

mod direction;
mod timing;

text_enum! {
    /// What is wished.
    pub enum ChangeKind as "kind of change" {
        /// End the subscription.
        Cancel = "cancel",
        /// Another plan or another version of it: an upgrade, a downgrade or a crossgrade.
        ChangePlan = "change-plan",
        /// Another number of units.
        ChangeQuantity = "change-quantity",
        /// Interrupt service and charges.
        Pause = "pause",
        /// Go on after a pause.
        Resume = "resume",
        /// Another day of the month.
        ChangeBillingDay = "change-billing-day",
        /// Charge the next period now.
        Renew = "renew",
        /// Give days for nothing at the end of what is charged.
        Prolong = "prolong",
        /// Begin the next period some days later; the days between are neither served nor charged.
        Shift = "shift",
    }
}

impl ChangeKind {
    /// Whether it gives other terms to days that are served and charged.
    pub fn takes_days(self) -> bool {
        matches!(self, Self::ChangePlan | Self::ChangeQuantity | Self::ChangeBillingDay | Self::Pause)
    }
}

/// A wish with what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order<'a> {
    /// End the subscription.
    Cancel,
    /// Another plan version, and another quantity if given.
    ChangePlan(&'a PlanVersion, Option<Decimal>),
    /// Another number of units.
    ChangeQuantity(Decimal),
    /// Interrupt service and charges.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Another day of the month, 1 to 31.
    ChangeBillingDay(u8),
    /// Charge the next period now.
    Renew,
    /// Give so many days for nothing.
    Prolong(u16),
    /// Begin the next period so many days later.
    Shift(u16),
}

impl Order<'_> {
    /// What is wished.
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Cancel => ChangeKind::Cancel,
            Self::ChangePlan(..) => ChangeKind::ChangePlan,
            Self::ChangeQuantity(_) => ChangeKind::ChangeQuantity,
            Self::Pause => ChangeKind::Pause,
            Self::Resume => ChangeKind::Resume,
            Self::ChangeBillingDay(_) => ChangeKind::ChangeBillingDay,
            Self::Renew => ChangeKind::Renew,
            Self::Prolong(_) => ChangeKind::Prolong,
            Self::Shift(_) => ChangeKind::Shift,
        }
    }
}

/// A charge with what it still covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// The charge.
    pub charge: ChargeId,
    /// The component that it is for.
    pub component: ComponentId,
    /// The days that it was billed for.
    pub used: Period,
    /// The day after the last one that it still covers; earlier than `used.end` when a part was given back.
    pub until: NaiveDate,
    /// What was billed.
    pub billed: Amounts,
    /// What of it was given back.
    pub credited: Amounts,
}

/// What a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The subscription.
    pub subscription: &'a Subscription,
    /// The plan version that it is on.
    pub plan: &'a PlanVersion,
    /// Its charges that cover days from the day of the change on; others may be among them.
    pub covered: &'a [Covered],
    /// The day on which the contract was signed.
    pub signed_on: NaiveDate,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another system is moving it.
    #[error("the subscription is {0}; no operation is available until that has ended")]
    Transitional(SubscriptionStatus),
    /// The status does not allow it.
    #[error("a subscription that is {status} does not take \"{kind}\"")]
    Status {
        /// Where it stands.
        status: SubscriptionStatus,
        /// What was wished.
        kind: ChangeKind,
    },
    /// The day lies before the present terms.
    #[error("the day {on} is before {from}, the first day of the present terms; choose a later one")]
    TooEarly {
        /// The wished day.
        on: NaiveDate,
        /// The first possible one.
        from: NaiveDate,
    },
    /// The subscription has an end before that day.
    #[error("the subscription ends on {0}; choose an earlier day")]
    Ended(NaiveDate),
    /// Periods before the day were not charged yet.
    #[error("a period from {0} is not charged yet; let the billing run charge it first, or choose an earlier day")]
    Unbilled(NaiveDate),
    /// Nothing would change.
    #[error("nothing would change; {0}")]
    Nothing(&'static str),
    /// A number that is out of range.
    #[error("{0}")]
    Range(&'static str),
    /// The schedule cannot be computed.
    #[error(transparent)]
    Schedule(#[from] SubscriptionError),
    /// A date is out of range.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// An amount is out of range.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// How much of a charge is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// All that is left of it: none of its days was used.
    Whole,
    /// What the proration strategy answers; the question is about amounts with tax and has no line name yet.
    Share(Question),
}

/// A part of a charge that is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiveBack {
    /// The charge.
    pub charge: ChargeId,
    /// The component that it is for.
    pub component: ComponentId,
    /// The days that it no longer covers.
    pub days: Period,
    /// How much is given back.
    pub ask: Ask,
    /// Until when the charge covered before.
    pub before: NaiveDate,
}

/// The terms of a subscription after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// The plan version.
    pub plan_version: PlanVersionId,
    /// How many units.
    pub quantity: Decimal,
    /// What is taken off its prices.
    pub discount: Discount,
    /// The day that all boundaries are counted from.
    pub anchor_on: NaiveDate,
    /// Index of the first period that is not charged.
    pub next_index: i32,
    /// First day of these terms.
    pub terms_from: NaiveDate,
    /// The next day on which something happens.
    pub next_charge_on: NaiveDate,
    /// The day after the last day of service.
    pub ends_on: Option<NaiveDate>,
    /// How many charges are left.
    pub charges_left: Option<u32>,
    /// Whether what is charged once is still to be charged.
    pub once_due: bool,
}

impl Terms {
    /// The terms that a subscription is on.
    pub fn of(subscription: &Subscription) -> Self {
        Self {
            status: subscription.status,
            plan_version: subscription.plan_version,
            quantity: subscription.quantity,
            discount: subscription.discount,
            anchor_on: subscription.anchor_on,
            next_index: subscription.next_index,
            terms_from: subscription.terms_from,
            next_charge_on: subscription.next_charge_on,
            ends_on: subscription.ends_on,
            charges_left: subscription.charges_left,
            once_due: subscription.once_due,
        }
    }

    /// The subscription on these terms.
    pub fn applied(&self, subscription: &Subscription) -> Subscription {
        Subscription {
            status: self.status,
            plan_version: self.plan_version,
            quantity: self.quantity,
            discount: self.discount,
            anchor_on: self.anchor_on,
            next_index: self.next_index,
            terms_from: self.terms_from,
            next_charge_on: self.next_charge_on,
            ends_on: self.ends_on,
            charges_left: self.charges_left,
            once_due: self.once_due,
            version: subscription.version + 1,
            ..subscription.clone()
        }
    }
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was wished.
    pub kind: ChangeKind,
    /// The first day of the new terms' making: what was covered from it on is given back.
    pub on: NaiveDate,
    /// What is given back, in the order of the charges.
    pub credits: Vec<GiveBack>,
    /// What is charged instead, in the order of documents; priced by the plan version of `terms`.
    pub lines: Vec<DueLine>,
    /// How the subscription goes on.
    pub terms: Terms,
    /// Days that are served and cost nothing.
    pub gift: Option<Period>,
    /// Days that are not served.
    pub gap: Option<Period>,
}

/// The day after the last one that the present terms charged; their first day when they charged nothing.
pub fn charged_until(subscription: &Subscription, plan: &PlanVersion) -> Result<NaiveDate, ChangeError> {
    let next = boundary(subscription.anchor_on, plan.cadence, subscription.next_index)?.max(subscription.terms_from);
    Ok(subscription.ends_on.map_or(next, |end| next.min(end)))
}

/// Decides a change that takes effect on a day.
///
/// `current_day` says who pays for that day when it lies inside a charged period. Periods that begin before it must be
/// charged already, except for a renewal.
pub fn decide(
    facts: &Facts<'_>,
    order: &Order<'_>,
    on: NaiveDate,
    current_day: CurrentDay,
) -> Result<Decision, ChangeError> {
    let subscription = facts.subscription;
    // What has not begun ends where it would have begun.
    let unbegun = order.kind() == ChangeKind::Cancel && subscription.terms_from == subscription.starts_on;
    let on = if unbegun { on.max(subscription.starts_on) } else { on };
    allowed(subscription, order, on)?;
    if subscription.status.is_charged() && order.kind() != ChangeKind::Renew && subscription.next_charge_on < on {
        return Err(ChangeError::Unbilled(subscription.next_charge_on));
    }
    match *order {
        Order::Cancel => cancelled(facts, on, current_day),
        Order::Pause => paused(facts, on, current_day),
        Order::Resume => resumed(facts, on),
        Order::ChangeQuantity(quantity) => {
            if quantity == subscription.quantity {
                return Err(ChangeError::Nothing("the subscription has this quantity already"));
            }
            let terms = Terms { quantity, ..Terms::of(subscription) };
            changed(facts, ChangeKind::ChangeQuantity, on, current_day, facts.plan, terms, None)
        }
        Order::ChangePlan(plan, quantity) => {
            let quantity = quantity.unwrap_or(subscription.quantity);
            if plan.id == subscription.plan_version && quantity == subscription.quantity {
                return Err(ChangeError::Nothing("the subscription is on this plan version already"));
            }
            let day = plan.billing_day.day_of_month(plan.cadence, subscription.starts_on, facts.signed_on);
            let keeps = plan.cadence == facts.plan.cadence && day.is_none();
            let schedule = if keeps { None } else { Some(Schedule::first(on, plan.cadence, day)?) };
            let terms = Terms { plan_version: plan.id, quantity, ..Terms::of(subscription) };
            changed(facts, ChangeKind::ChangePlan, on, current_day, plan, terms, schedule)
        }
        Order::ChangeBillingDay(day) => {
            if !(1..=31).contains(&day) {
                return Err(ChangeError::Range("a billing day is a day of the month, 1 to 31"));
            }
            let schedule = Schedule::first(on, facts.plan.cadence, Some(day))?;
            if same_boundaries(facts, schedule, on, facts.plan)? {
                return Err(ChangeError::Nothing("periods begin on this day of the month already"));
            }
            let terms = Terms::of(subscription);
            changed(facts, ChangeKind::ChangeBillingDay, on, current_day, facts.plan, terms, Some(schedule))
        }
        Order::Renew => renewed(facts, on),
        Order::Prolong(days) => prolonged(facts, days),
        Order::Shift(days) => shifted(facts, days),
    }
}

fn allowed(subscription: &Subscription, order: &Order<'_>, on: NaiveDate) -> Result<(), ChangeError> {
    let (status, kind) = (subscription.status, order.kind());
    if status.is_transitional() {
        return Err(ChangeError::Transitional(status));
    }
    let takes = match kind {
        ChangeKind::Resume => status == SubscriptionStatus::Paused,
        ChangeKind::Cancel => !status.is_final(),
        _ => status.is_charged(),
    };
    if !takes {
        return Err(ChangeError::Status { status, kind });
    }
    if on < subscription.terms_from {
        return Err(ChangeError::TooEarly { on, from: subscription.terms_from });
    }
    match subscription.ends_on {
        Some(end) if end < on || (end == on && kind != ChangeKind::Cancel) => Err(ChangeError::Ended(end)),
        _ => Ok(()),
    }
}

/// What is given back of everything that is covered from a day on.
fn give_back(
    facts: &Facts<'_>,
    on: NaiveDate,
    current_day: CurrentDay,
    replaced: bool,
) -> Result<Vec<GiveBack>, ChangeError> {
    let mut credits = Vec::new();
    for charge in facts.covered.iter().filter(|charge| charge.until > on.max(charge.used.start)) {
        let (billed, credited) = (charge.billed, charge.credited);
        let left = billed.gross.sub(credited.gross)?;
        let ask = |used: Period, current_day: CurrentDay| {
            // A charge that cost nothing has nothing to share.
            if left.is_zero() || used == charge.used {
                return Ask::Whole;
            }
            Ask::Share(Question {
                line: String::new(),
                price: billed.gross,
                period: charge.used,
                used,
                current_day,
                billed: billed.gross,
                credited: credited.gross,
            })
        };
        let old_pays = matches!(current_day, CurrentDay::Old | CurrentDay::Both);
        let first = charge.used.start;
        let ask = if on > first {
            ask(Period::try_new(first, on)?, current_day)
        } else if on == first && old_pays && !replaced && charge.until > next(first)? && next(first)? < charge.used.end
        {
            // Ended on its very first day, which the old side pays: one day counts, and no other side shares it.
            ask(Period::try_new(first, next(first)?)?, CurrentDay::New)
        } else {
            Ask::Whole
        };
        let days = Period::try_new(on.max(first), charge.until)?;
        credits.push(GiveBack { charge: charge.charge, component: charge.component, days, ask, before: charge.until });
    }
    Ok(credits)
}

fn next(day: NaiveDate) -> Result<NaiveDate, CalendarError> {
    crate::calendar::next_day(day)
}

fn cancelled(facts: &Facts<'_>, on: NaiveDate, current_day: CurrentDay) -> Result<Decision, ChangeError> {
    let terms = Terms {
        status: SubscriptionStatus::Cancelled,
        ends_on: Some(on),
        next_charge_on: on,
        ..Terms::of(facts.subscription)
    };
    // What was paused and never resumed was not served up to its end.
    let paused = facts.subscription.status == SubscriptionStatus::Paused;
    let gap = if paused { Period::try_new(facts.subscription.terms_from, on).ok() } else { None };
    Ok(Decision {
        kind: ChangeKind::Cancel,
        on,
        credits: give_back(facts, on, current_day, false)?,
        lines: Vec::new(),
        terms,
        gift: None,
        gap,
    })
}

fn paused(facts: &Facts<'_>, on: NaiveDate, current_day: CurrentDay) -> Result<Decision, ChangeError> {
    let subscription = facts.subscription;
    let next_index = index_of(subscription.anchor_on, facts.plan.cadence, on)?;
    let terms = Terms {
        status: SubscriptionStatus::Paused,
        next_index,
        terms_from: on,
        next_charge_on: on,
        charges_left: with_taken_back(facts, next_index)?,
        ..Terms::of(subscription)
    };
    Ok(Decision {
        kind: ChangeKind::Pause,
        on,
        credits: give_back(facts, on, current_day, false)?,
        lines: Vec::new(),
        terms,
        gift: None,
        gap: None,
    })
}

/// How many charges are left when those of the periods from an index on are given back, the running one's rest included:
/// what goes on with it later is charged, and counted, again.
fn with_taken_back(facts: &Facts<'_>, from_index: i32) -> Result<Option<u32>, ChangeError> {
    let subscription = facts.subscription;
    let Some(left) = subscription.charges_left else { return Ok(None) };
    let taken = u32::try_from(subscription.next_index - from_index).unwrap_or(0);
    // A first short period that was charged together with the one after it was counted with that.
    let absorbed = taken > 0 && first_was_absorbed(subscription, facts.plan, from_index)?;
    Ok(Some(left.saturating_add(taken - u32::from(absorbed))))
}

/// The rest of the running period is charged by the next run, like a first short period.
fn resumed(facts: &Facts<'_>, on: NaiveDate) -> Result<Decision, ChangeError> {
    let subscription = facts.subscription;
    let terms = Terms {
        status: SubscriptionStatus::Active,
        next_index: index_of(subscription.anchor_on, facts.plan.cadence, on)?,
        terms_from: on,
        next_charge_on: on,
        ..Terms::of(subscription)
    };
    let gap = Period::try_new(subscription.terms_from, on).ok();
    Ok(Decision { kind: ChangeKind::Resume, on, credits: Vec::new(), lines: Vec::new(), terms, gift: None, gap })
}

fn same_boundaries(
    facts: &Facts<'_>,
    schedule: Schedule,
    on: NaiveDate,
    plan: &PlanVersion,
) -> Result<bool, ChangeError> {
    let subscription = facts.subscription;
    if plan.cadence != facts.plan.cadence || schedule.anchor_on.day() != subscription.anchor_on.day() {
        return Ok(false);
    }
    let index = index_of(subscription.anchor_on, plan.cadence, on)?;
    let present = period(subscription.anchor_on, plan.cadence, index)?;
    Ok(period(schedule.anchor_on, plan.cadence, schedule.next_index)? == present)
}

/// Other terms from a day on. On the same schedule all that was charged ahead is charged again by the new terms; on a new
/// schedule the first new period is.
fn changed(
    facts: &Facts<'_>,
    kind: ChangeKind,
    on: NaiveDate,
    current_day: CurrentDay,
    plan: &PlanVersion,
    terms: Terms,
    schedule: Option<Schedule>,
) -> Result<Decision, ChangeError> {
    let subscription = facts.subscription;
    let until = charged_until(subscription, facts.plan)?;
    let schedule = match schedule {
        Some(schedule) if !same_boundaries(facts, schedule, on, plan)? => Some(schedule),
        _ => None,
    };
    let kept = Schedule {
        anchor_on: subscription.anchor_on,
        next_index: index_of(subscription.anchor_on, facts.plan.cadence, on)?,
    };
    let Schedule { anchor_on, next_index } = schedule.unwrap_or(kept);
    let begun = Subscription {
        // Periods that are charged again were counted before; a first period on a new schedule is counted as it is.
        charges_left: if schedule.is_some() { subscription.charges_left } else { None },
        terms_from: on,
        next_charge_on: on,
        next_index,
        anchor_on,
        ..Terms { anchor_on, next_index, ..terms }.applied(subscription)
    };
    let (lines, next_index) = if until <= on {
        // Nothing is charged from that day on: the next run charges the new terms.
        (Vec::new(), next_index)
    } else {
        let last = if schedule.is_some() { on } else { until.pred_opt().ok_or(CalendarError::OutOfRange)? };
        let found = due_again(&begun, plan, last)?;
        (found.lines, found.next.next_index)
    };
    let charges_left = match schedule {
        // The first new period is counted instead of what is given back for it.
        Some(_) => {
            let charged = u32::from(!lines.is_empty());
            with_taken_back(facts, kept.next_index)?.map(|left| left.saturating_sub(charged))
        }
        None => subscription.charges_left,
    };
    let next_charge_on = boundary(anchor_on, plan.cadence, next_index)?.max(on);
    let ends_on = subscription.ends_on.unwrap_or(NaiveDate::MAX);
    Ok(Decision {
        kind,
        on,
        credits: give_back(facts, on, current_day, !lines.is_empty())?,
        lines,
        terms: Terms {
            anchor_on,
            next_index,
            terms_from: on,
            next_charge_on: next_charge_on.min(ends_on),
            charges_left,
            status: subscription.status,
            ..terms
        },
        gift: None,
        gap: None,
    })
}

/// The next period is charged before its time; one that has lapsed begins anew on the day.
fn renewed(facts: &Facts<'_>, on: NaiveDate) -> Result<Decision, ChangeError> {
    let subscription = facts.subscription;
    let until = charged_until(subscription, facts.plan)?;
    if subscription.ends_on.is_some_and(|end| end <= until) {
        return Err(ChangeError::Ended(until));
    }
    if subscription.charges_left == Some(0) {
        return Err(ChangeError::Nothing("all its charges were made; give it more of them first"));
    }
    let (gap, begun) = if until < on && subscription.manual {
        let Schedule { anchor_on, next_index } = schedule_from(facts, on)?;
        let begun = Subscription { anchor_on, next_index, terms_from: on, next_charge_on: on, ..subscription.clone() };
        (Some(Period::try_new(until, on)?), begun)
    } else if until < on {
        return Err(ChangeError::Unbilled(until));
    } else {
        (None, subscription.clone())
    };
    let found = due(&begun, facts.plan, until.max(on), 1)?;
    // A later version of the plan charges the renewal from its first day on, and nothing before it.
    let moved = found.moves.last();
    let terms = Terms {
        plan_version: moved.map_or(begun.plan_version, |moved| moved.to),
        terms_from: moved.map_or(begun.terms_from, |moved| moved.on),
        next_index: found.next.next_index,
        next_charge_on: found.next.next_charge_on,
        charges_left: found.next.charges_left,
        once_due: found.next.once_due,
        status: found.next.status,
        ..Terms::of(&begun)
    };
    let on = begun.terms_from.max(if gap.is_some() { on } else { until });
    Ok(Decision { kind: ChangeKind::Renew, on, credits: Vec::new(), lines: found.lines, terms, gift: None, gap })
}

/// The subscription's schedule begun anew on a day: where the plan has a day of the month, the subscription keeps its own.
fn schedule_from(facts: &Facts<'_>, on: NaiveDate) -> Result<Schedule, ChangeError> {
    let Facts { subscription, plan, signed_on, .. } = facts;
    let day = plan.billing_day.day_of_month(plan.cadence, subscription.starts_on, *signed_on);
    let own = day.and(u8::try_from(subscription.anchor_on.day()).ok());
    Ok(Schedule::first(on, plan.cadence, own)?)
}

/// The schedule begins anew some days behind what is charged; a plan with a day of the month goes back to it with a short
/// period.
fn moved(facts: &Facts<'_>, until: NaiveDate, from: NaiveDate) -> Result<Terms, ChangeError> {
    let subscription = facts.subscription;
    if let Some(end) = subscription.ends_on.filter(|end| *end <= until) {
        return Err(ChangeError::Ended(end));
    }
    let Schedule { anchor_on, next_index } = schedule_from(facts, from)?;
    Ok(Terms {
        anchor_on,
        next_index,
        terms_from: from,
        next_charge_on: subscription.ends_on.map_or(from, |end| end.min(from)),
        ..Terms::of(subscription)
    })
}

fn prolonged(facts: &Facts<'_>, days: u16) -> Result<Decision, ChangeError> {
    if !(1..=3_660).contains(&days) {
        return Err(ChangeError::Range("a subscription is prolonged by 1 to 3660 days"));
    }
    let until = charged_until(facts.subscription, facts.plan)?;
    let from = until.checked_add_days(Days::new(u64::from(days))).ok_or(CalendarError::OutOfRange)?;
    Ok(Decision {
        kind: ChangeKind::Prolong,
        on: until,
        credits: Vec::new(),
        lines: Vec::new(),
        terms: moved(facts, until, from)?,
        gift: Some(Period::try_new(until, from)?),
        gap: None,
    })
}

fn shifted(facts: &Facts<'_>, days: u16) -> Result<Decision, ChangeError> {
    if !(1..=3_660).contains(&days) {
        return Err(ChangeError::Range("the next period is shifted by 1 to 3660 days"));
    }
    let until = charged_until(facts.subscription, facts.plan)?;
    let from = until.checked_add_days(Days::new(u64::from(days))).ok_or(CalendarError::OutOfRange)?;
    Ok(Decision {
        kind: ChangeKind::Shift,
        on: until,
        credits: Vec::new(),
        lines: Vec::new(),
        terms: moved(facts, until, from)?,
        gift: None,
        gap: Some(Period::try_new(until, from)?),
    })
}

#[cfg(test)]
mod tests;
