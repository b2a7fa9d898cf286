//! Subscriptions: which periods fall due, and how a subscription goes on after they were charged.
//!
//! Owns the schedule (anchor and index) and renewal. Refuses to know balances, taxes and how a part of a period is
//! priced. A period is charged by the plan version and at the unit prices that hold on the day on which it begins, so that
//! neither a new version nor a price of the contract's own cuts a period. Invariant: the used parts of successive periods are disjoint and gapless, and charging up to a day in one
//! step or in many gives the same lines, because every boundary is computed from the anchor.

use chrono::{Datelike, NaiveDate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::calendar::{Cadence, CalendarError, Period, boundary, next_day, period};
use crate::catalogue::{ComponentKind, PlanVersion, StubPolicy};
use crate::id::{ComponentId, ContractId, PlanVersionId, ProductId, SubscriptionId};
use crate::money::{Currency, Money, MoneyError};
use crate::price_override::{PriceOverride, unit_price};
use crate::text::text_enum;

pub use short_funds::{DuePeriod, ShortFunds, Verdict, verdict};

mod short_funds;

/// Why a subscription could not be scheduled or charged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// A fixed day of the month with a period counted in days.
    #[error("a day of the month needs a period in months, got {0}; use anniversary for periods in days")]
    FixedDayOfDays(Cadence),
    /// The plan version at hand is not the subscription's.
    #[error("{subscription} is on {expected}, but was charged by {given}; load the plan version that it is on")]
    PlanVersion {
        /// The subscription.
        subscription: SubscriptionId,
        /// The version that it is on.
        expected: PlanVersionId,
        /// The version that was given.
        given: PlanVersionId,
    },
    /// The schedule points at a period that ended before the subscription started.
    #[error("{subscription} starts on {starts_on}, after its next period {period} ends; correct its next charge")]
    OutOfStep {
        /// The subscription.
        subscription: SubscriptionId,
        /// Its first day.
        starts_on: NaiveDate,
        /// The period that its schedule points at.
        period: Period,
    },
    /// A date is out of range.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// A price is out of range.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

text_enum! {
    /// Where a subscription stands.
    pub enum SubscriptionStatus as "subscription status" {
        /// Not activated yet.
        Pending = "pending",
        /// Being put into service elsewhere; nothing may be done to it meanwhile.
        Activating = "activating",
        /// In service.
        Active = "active",
        /// In service although unpaid.
        Grace = "grace",
        /// Interrupted by a wish; neither served nor charged.
        Paused = "paused",
        /// Being taken out of service elsewhere; nothing may be done to it meanwhile.
        Stopping = "stopping",
        /// Out of service, kept.
        Stopped = "stopped",
        /// Removed after it was stopped.
        Deleted = "deleted",
        /// Ended by a wish.
        Cancelled = "cancelled",
        /// All its charges were made.
        Completed = "completed",
    }
}

impl SubscriptionStatus {
    /// Whether periods of such a subscription fall due.
    pub fn is_charged(self) -> bool {
        matches!(self, Self::Active | Self::Grace)
    }

    /// Whether another system is moving it; no operation is available meanwhile.
    pub fn is_transitional(self) -> bool {
        matches!(self, Self::Activating | Self::Stopping)
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Deleted | Self::Cancelled | Self::Completed)
    }
}

/// What is taken off the prices of a subscription: a share or a sum, within dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Discount {
    /// Per cent, 0 to 100.
    pub percent: Decimal,
    /// A sum off each period's charges, minor units, zero or more; it takes from what recurs, component by component, and
    /// never more than that costs.
    pub minor: i64,
    /// The first charge date that it holds on; none from the beginning.
    pub from: Option<NaiveDate>,
    /// The last charge date that it holds on; none for ever.
    pub until: Option<NaiveDate>,
}

impl Discount {
    /// A share without dates.
    pub fn percent(percent: Decimal) -> Self {
        Self { percent, ..Self::default() }
    }

    /// Whether it holds on a charge date; both ends are included.
    pub fn holds_on(&self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }
}

/// A contract's subscription to a plan version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Identifier.
    pub id: SubscriptionId,
    /// The contract that pays.
    pub contract: ContractId,
    /// What was sold.
    pub plan_version: PlanVersionId,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// How many units; zero or more.
    pub quantity: Decimal,
    /// What is taken off its prices, and when.
    pub discount: Discount,
    /// The day that all boundaries are counted from.
    pub anchor_on: NaiveDate,
    /// Index of the first period that was not charged.
    pub next_index: i32,
    /// First day of service.
    pub starts_on: NaiveDate,
    /// First day of the present terms: the first day of service, or that of the latest change.
    pub terms_from: NaiveDate,
    /// The day after the last day of service; none while it runs on.
    pub ends_on: Option<NaiveDate>,
    /// The next day on which something happens: the next charge, or the end if that comes first.
    pub next_charge_on: NaiveDate,
    /// How many charges are left; none for ever.
    pub charges_left: Option<u32>,
    /// Whether what is charged once is still to be charged: with the first period that is.
    pub once_due: bool,
    /// Whether each period begins by hand; such a subscription never renews by itself.
    pub manual: bool,
    /// What it pays instead of the plan's prices, its own before those of the whole contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<PriceOverride>,
    /// Version of the row, for optimistic locking.
    pub version: i64,
}

/// Where a subscription's periods begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The day that all boundaries are counted from.
    pub anchor_on: NaiveDate,
    /// Index of the first period to charge.
    pub next_index: i32,
}

impl Schedule {
    /// The schedule of terms that begin on `starts_on`: the first period contains that day.
    ///
    /// Without a day of the month periods are counted from `starts_on`. With one the anchor is moved back by whole
    /// periods to a month that has this day (31 → a month of 31 days), so that a short month does not take the day away
    /// from the others.
    pub fn first(starts_on: NaiveDate, cadence: Cadence, day_of_month: Option<u8>) -> Result<Self, SubscriptionError> {
        let Some(day) = day_of_month.map(u32::from) else {
            return Ok(Self { anchor_on: starts_on, next_index: 0 });
        };
        let Cadence::Months(months) = cadence else {
            return Err(SubscriptionError::FixedDayOfDays(cadence));
        };
        // The first day of the month in which the first period begins.
        let this_month = starts_on.with_day(1).ok_or(CalendarError::OutOfRange)?;
        let first_month = if starts_on >= on_day(this_month, day)? {
            this_month
        } else {
            boundary(this_month, Cadence::Months(1), -1)?
        };
        // 48 periods back pass every month of the year that the cadence reaches, in leap and common years.
        let mut best: Option<Self> = None;
        for next_index in 0..=48 {
            let Ok(month) = boundary(first_month, Cadence::Months(months), -next_index) else { break };
            let anchor_on = on_day(month, day)?;
            if best.is_none_or(|found| anchor_on.day() > found.anchor_on.day()) {
                best = Some(Self { anchor_on, next_index });
            }
            if anchor_on.day() == day {
                break;
            }
        }
        best.ok_or(CalendarError::OutOfRange.into())
    }

    /// The schedule of a subscription that is taken over from other books: it renews on `renews_on` and from there on.
    ///
    /// A day of the month is kept when it renews on that day, or on the last one of a month that has no such day;
    /// otherwise it keeps the day that those books gave it.
    pub fn imported(
        renews_on: NaiveDate,
        cadence: Cadence,
        day_of_month: Option<u8>,
    ) -> Result<Self, SubscriptionError> {
        let first = Self::first(renews_on, cadence, day_of_month)?;
        let kept = boundary(first.anchor_on, cadence, first.next_index)? == renews_on;
        Ok(if kept { first } else { Self { anchor_on: renews_on, next_index: 0 } })
    }
}

/// The day of a month that is given by its first day, or the month's last day if it has no such day.
fn on_day(first_of_month: NaiveDate, day: u32) -> Result<NaiveDate, CalendarError> {
    (28..=day)
        .rev()
        .chain(std::iter::once(day))
        .find_map(|d| first_of_month.with_day(d))
        .ok_or(CalendarError::OutOfRange)
}

/// One component of one period that fell due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueLine {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Place of the component in its plan version, from 0.
    pub component_index: usize,
    /// The component.
    pub component: ComponentId,
    /// The product whose revenue it is.
    pub product: ProductId,
    /// Name on documents.
    pub title: String,
    /// Tax category of what is sold.
    pub tax_category: String,
    /// The full period.
    pub period: Period,
    /// The part of the period in which the subscription is in service.
    pub used: Period,
    /// Charge date: the service begins.
    pub charged_on: NaiveDate,
    /// Realisation date: the service ends.
    pub realises_on: NaiveDate,
    /// Price of the full period, quantity and discount included.
    pub price: Money,
}

/// How a subscription goes on after its due lines were charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Index of the first period that was not charged.
    pub next_index: i32,
    /// The next day on which something happens: the next charge, or the end if that comes first.
    pub next_charge_on: NaiveDate,
    /// How many charges are left; none for ever.
    pub charges_left: Option<u32>,
    /// Whether what is charged once is still to be charged.
    pub once_due: bool,
    /// Where the subscription stands.
    pub status: SubscriptionStatus,
}

/// What fell due, and how the subscription goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// One line per missed period and component, in that order.
    pub lines: Vec<DueLine>,
    /// The subscription afterwards.
    pub next: Renewed,
    /// The versions of its plan that it went over to on the way, in that order.
    pub moves: Vec<VersionMove>,
}

/// A subscription going over to a later version of its plan, at a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionMove {
    /// The day from which on the later version charges.
    pub on: NaiveDate,
    /// Index of the first period that it charges.
    pub index: i32,
    /// The version before.
    pub from: PlanVersionId,
    /// The later version.
    pub to: PlanVersionId,
    /// How many of the lines that fell due are before it.
    pub lines_before: usize,
}

impl Due {
    /// Whether nothing more falls due through the day; false when `max_periods` cut the answer short.
    pub fn is_complete(&self, through: NaiveDate) -> bool {
        !self.next.status.is_charged() || self.next.next_charge_on > through
    }
}

/// Whether a subscription is completed by the close of a day: no charge is left, and what was charged ends by then, because
/// its next period would begin.
pub fn is_used_up(charges_left: Option<u32>, next_charge_on: NaiveDate, through: NaiveDate) -> bool {
    charges_left == Some(0) && next_charge_on <= through
}

/// What falls due through a day (inclusive), at most `max_periods` periods of it.
///
/// A period is charged on its first day, or on the first day of the present terms if that lies in it; one set of lines
/// per missed period, nothing for the future. Each period takes one of the charges left; a short first period that is
/// absorbed takes none. When none is left and the last period that was charged is over, the subscription is completed. No
/// period is charged that begins at or after the end; when the end has come, it is cancelled.
///
/// What is charged once falls due with the first period that is charged, for the first day of it; no sum is taken off it.
///
/// A renewal is charged by the version of the plan that has come by the first day of its period, see [`PlanVersion::on`];
/// the first period of service keeps the version that was sold.
pub fn due(
    subscription: &Subscription,
    plan: &PlanVersion,
    through: NaiveDate,
    max_periods: usize,
) -> Result<Due, SubscriptionError> {
    charged(subscription, plan, true, through, max_periods)
}

/// What falls due like [`due`], all of it charged by the version at hand: for days that were sold before.
pub(crate) fn due_again(
    subscription: &Subscription,
    plan: &PlanVersion,
    through: NaiveDate,
) -> Result<Due, SubscriptionError> {
    charged(subscription, plan, false, through, usize::MAX)
}

fn charged(
    subscription: &Subscription,
    plan: &PlanVersion,
    follows: bool,
    through: NaiveDate,
    max_periods: usize,
) -> Result<Due, SubscriptionError> {
    if subscription.plan_version != plan.id {
        return Err(SubscriptionError::PlanVersion {
            subscription: subscription.id,
            expected: subscription.plan_version,
            given: plan.id,
        });
    }
    let (mut lines, mut moves) = (Vec::new(), Vec::new());
    let mut present = plan;
    let mut next = Renewed {
        next_index: subscription.next_index,
        next_charge_on: subscription.next_charge_on,
        charges_left: subscription.charges_left,
        once_due: subscription.once_due,
        status: subscription.status,
    };
    let ends_on = subscription.ends_on.unwrap_or(NaiveDate::MAX);
    let mut periods = 0;
    while next.status.is_charged() {
        let full = period(subscription.anchor_on, plan.cadence, next.next_index)?;
        if full.end <= subscription.terms_from {
            return Err(SubscriptionError::OutOfStep {
                subscription: subscription.id,
                starts_on: subscription.terms_from,
                period: full,
            });
        }
        let charged_on = full.start.max(subscription.terms_from);
        next.next_charge_on = charged_on.min(ends_on);
        if ends_on <= charged_on {
            if ends_on <= through {
                next.status = SubscriptionStatus::Cancelled;
            }
            break;
        }
        if charged_on > through {
            break;
        }
        if is_used_up(next.charges_left, charged_on, through) {
            next.status = SubscriptionStatus::Completed;
            break;
        }
        if periods == max_periods {
            break;
        }
        let renewal = follows && subscription.starts_on < full.start;
        let version = if renewal { plan.on(full.start) } else { present };
        if version.id != present.id {
            let (on, index, lines_before) = (charged_on, next.next_index, lines.len());
            moves.push(VersionMove { on, index, from: present.id, to: version.id, lines_before });
            present = version;
        }
        let stub = Stub::of(subscription, plan, full, charged_on);
        let used = Period::try_new(charged_on, full.end.min(ends_on))?;
        let takes = Takes { charged_on, free: stub == Stub::Free, once: follows && next.once_due, again: !follows };
        push_lines(&mut lines, subscription, present, full, used, takes)?;
        next.next_index = next.next_index.checked_add(1).ok_or(CalendarError::OutOfRange)?;
        if stub == Stub::Absorbed {
            let after = period(subscription.anchor_on, plan.cadence, next.next_index)?;
            if after.start < ends_on {
                let used = Period::try_new(after.start, after.end.min(ends_on))?;
                push_lines(&mut lines, subscription, present, after, used, Takes { once: false, ..takes })?;
                next.next_index = next.next_index.checked_add(1).ok_or(CalendarError::OutOfRange)?;
            }
        }
        next.charges_left = next.charges_left.map(|left| left - 1);
        next.once_due = false;
        periods += 1;
    }
    Ok(Due { lines, next, moves })
}

/// What the whole period with an index costs, quantity and discount included, by the version and the prices that hold when it
/// begins: what recurs, and in the next period what is charged once, too, if `with_once` and that is still to be charged.
pub fn period_price(
    subscription: &Subscription,
    plan: &PlanVersion,
    index: i32,
    with_once: bool,
) -> Result<Money, SubscriptionError> {
    let full = period(subscription.anchor_on, plan.cadence, index)?;
    let version = if subscription.starts_on < full.start { plan.on(full.start) } else { plan };
    let charged_on = full.start.max(subscription.terms_from);
    let once = with_once && subscription.once_due && index == subscription.next_index;
    let mut lines = Vec::new();
    let takes = Takes { charged_on, free: false, once, again: false };
    push_lines(&mut lines, subscription, version, full, full, takes)?;
    let is_known = |line: &&DueLine| version.components[line.component_index].kind != ComponentKind::Metered;
    let mut prices = lines.iter().filter(is_known).map(|line| line.price);
    let currency = version.components.first().map_or(Currency::RUB, |first| first.unit_price.currency);
    Ok(prices.try_fold(Money::zero(currency), Money::add)?)
}

/// How a first period is charged.
#[derive(PartialEq, Eq)]
enum Stub {
    /// Like any other.
    No,
    /// With zero.
    Free,
    /// Together with the one after it.
    Absorbed,
}

impl Stub {
    /// Only the very first period has a policy; what a change cuts is shared by the proration strategy.
    fn of(subscription: &Subscription, plan: &PlanVersion, full: Period, charged_on: NaiveDate) -> Self {
        if charged_on == full.start || charged_on != subscription.starts_on {
            return Self::No;
        }
        match plan.stub {
            StubPolicy::Free => Self::Free,
            StubPolicy::Absorb(day) if charged_on.day() >= u32::from(day) => Self::Absorbed,
            StubPolicy::Prorate | StubPolicy::Absorb(_) => Self::No,
        }
    }
}

/// What a period takes in.
#[derive(Clone, Copy)]
struct Takes {
    /// The charge date.
    charged_on: NaiveDate,
    /// Whether what recurs costs nothing.
    free: bool,
    /// Whether what is charged once is in it.
    once: bool,
    /// Whether its days were charged before, on their own charge date.
    again: bool,
}

/// Whether the period with an index is the first short one, charged together with the period after it.
pub(crate) fn first_was_absorbed(
    subscription: &Subscription,
    plan: &PlanVersion,
    index: i32,
) -> Result<bool, SubscriptionError> {
    let full = period(subscription.anchor_on, plan.cadence, index)?;
    let first = full.start.max(subscription.starts_on);
    Ok(first < full.end && Stub::of(subscription, plan, full, first) == Stub::Absorbed)
}

/// The lines of one period, one a component.
fn push_lines(
    lines: &mut Vec<DueLine>,
    subscription: &Subscription,
    plan: &PlanVersion,
    full: Period,
    used: Period,
    takes: Takes,
) -> Result<(), SubscriptionError> {
    let start = full.start.max(subscription.starts_on);
    // A discount that held when the period was charged holds when a part of it is charged again.
    let dated = if takes.again { start } else { takes.charged_on };
    let discount = Some(subscription.discount).filter(|discount| discount.holds_on(dated)).unwrap_or_default();
    let mut sum_left = discount.minor;
    for (component_index, component) in plan.components.iter().enumerate() {
        let unit = unit_price(&subscription.overrides, plan, component, start);
        let mut price = component.price(unit, subscription.quantity, discount.percent)?;
        match component.kind {
            ComponentKind::Recurring => {
                let taken = sum_left.clamp(0, price.minor);
                sum_left -= taken;
                price.minor = if takes.free { 0 } else { price.minor - taken };
            }
            ComponentKind::SetUp | ComponentKind::OneOff if !takes.once => continue,
            ComponentKind::SetUp | ComponentKind::OneOff | ComponentKind::Metered => {}
        }
        let (period, used) = match component.kind {
            ComponentKind::SetUp | ComponentKind::OneOff => {
                let day = Period::try_new(takes.charged_on, next_day(takes.charged_on)?)?;
                (day, day)
            }
            ComponentKind::Recurring | ComponentKind::Metered => (full, used),
        };
        lines.push(DueLine {
            subscription: subscription.id,
            component_index,
            component: component.id,
            product: component.product,
            title: component.title.clone(),
            tax_category: component.tax_category.clone(),
            period,
            used,
            charged_on: takes.charged_on,
            realises_on: used.end,
            price,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
