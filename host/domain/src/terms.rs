//! Service terms: what becomes of a subscription that is not paid.
//!
//! Owns when a charge counts as unpaid, and the ladder `active → grace → stopped → deleted`. Refuses to know rows, clocks and
//! who approves a manual operation.
//!
//! Invariant: a decision follows from the day and the facts alone, so deciding a day again decides the same.

use std::collections::BTreeMap;

use chrono::{Datelike as _, Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::calendar::{Cadence, CalendarError, boundary, period};
use crate::id::SubscriptionId;
use crate::subscription::SubscriptionStatus;
use crate::text::text_enum;

text_enum! {
    /// Who takes a step of the ladder.
    pub enum TermMode as "mode" {
        /// The close of day takes it.
        Auto = "auto",
        /// It waits for a person, as a manual operation.
        Manual = "manual",
    }
}

text_enum! {
    /// Whose a service term is.
    pub enum TermSource as "source of a service term" {
        /// The tenant's own.
        Own = "own",
        /// A read-only copy of one that a tenant above delegates.
        Inherited = "inherited",
        /// What is left of a copy that was in use when the tenant above took it away.
        Frozen = "frozen",
        /// Removed.
        Deleted = "deleted",
    }
}

text_enum! {
    /// What a person decides.
    pub enum OperationKind as "kind of manual operation" {
        /// Put a subscription out of service.
        Stop = "stop",
        /// Remove a stopped subscription.
        Delete = "delete",
    }
}

text_enum! {
    /// Where a manual operation stands.
    pub enum OperationState as "state of a manual operation" {
        /// Somebody has to decide.
        Awaiting = "awaiting",
        /// It was done.
        Approved = "approved",
        /// It was refused.
        Rejected = "rejected",
        /// What it was about is over.
        Withdrawn = "withdrawn",
    }
}

/// The rule that a subscription lives by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// How an unpaid subscription is stopped.
    pub stop: TermMode,
    /// How a stopped subscription is deleted.
    pub delete: TermMode,
    /// How many days an unpaid subscription stays in service; with 0 it is stopped at the close of the day it became due.
    pub grace_days: u32,
    /// How many full days it is kept stopped before it is deleted.
    pub keep_days: u32,
    /// The financial day, 1 to 28: a charge counts as due on the first such day of a month on or after its charge date;
    /// none: on its charge date.
    pub billing_day: Option<u32>,
    /// Whether promised payments count as money.
    pub payable_by_promise: bool,
}

/// A charge of a contract, with tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContractCharge {
    /// The subscription it is for.
    pub subscription: SubscriptionId,
    /// Its charge date.
    pub charged_on: NaiveDate,
    /// Tax included, minor units.
    pub gross_minor: i64,
}

/// The money of a contract, minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContractMoney {
    /// What it may spend: funds, promises and the limit in effect, less what is reserved.
    pub available_minor: i64,
    /// What is promised and not yet paid; a part of what it may spend.
    pub promised_minor: i64,
}

impl ContractMoney {
    /// How much is missing: what is available, below zero, turned around; 0 when everything charged is covered.
    pub fn shortfall_minor(&self, promises_count: bool) -> i64 {
        let without = if promises_count { 0 } else { self.promised_minor };
        self.available_minor.saturating_sub(without).min(0).saturating_neg()
    }
}

/// The charge date of the oldest charge of each subscription that the contract's money does not cover whole.
///
/// Money covers charges from the oldest to the newest, so what is missing is missing from the newest. `charges` come
/// newest first; those behind the last uncovered one may be left out.
pub fn uncovered(charges: &[ContractCharge], shortfall_minor: i64) -> BTreeMap<SubscriptionId, NaiveDate> {
    let mut oldest = BTreeMap::new();
    let mut missing = shortfall_minor;
    for charge in charges.iter().filter(|charge| charge.gross_minor > 0) {
        if missing <= 0 {
            break;
        }
        oldest.insert(charge.subscription, charge.charged_on);
        missing = missing.saturating_sub(charge.gross_minor);
    }
    oldest
}

/// The day on which a charge counts as due: the first financial day on or after its charge date.
pub fn due_on(charged_on: NaiveDate, billing_day: Option<u32>) -> Result<NaiveDate, CalendarError> {
    let Some(day) = billing_day else { return Ok(charged_on) };
    let this_month = charged_on.with_day(day).ok_or(CalendarError::OutOfRange)?;
    if this_month >= charged_on { Ok(this_month) } else { boundary(this_month, Cadence::Months(1), 1) }
}

/// Where a subscription stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its status.
    pub status: SubscriptionStatus,
    /// The day after its last day of service, when it has an end.
    pub ends_on: Option<NaiveDate>,
    /// The first day without service, while it is stopped because it was not paid.
    pub stopped_on: Option<NaiveDate>,
    /// The day from which it was last in service again.
    pub resumed_on: Option<NaiveDate>,
    /// Whether somebody holds it stopped, whatever its term says.
    pub held: bool,
}

/// What the close of a day does with one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// It is unpaid and stays in service.
    Grace {
        /// Since when it is unpaid.
        since: NaiveDate,
    },
    /// It goes out of service.
    Stop {
        /// Since when it is unpaid.
        since: NaiveDate,
    },
    /// A person decides whether it goes out of service; until then it is in grace.
    AskToStop {
        /// Since when it is unpaid.
        since: NaiveDate,
    },
    /// It is paid: in service as before.
    Return,
    /// It is removed.
    Delete,
    /// A person decides whether it is removed.
    AskToDelete {
        /// The first day without service.
        since: NaiveDate,
    },
    /// Its end came while it was out of service.
    Cancel,
}

/// Since when a subscription is unpaid at the close of `day`: the later of the day its oldest uncovered charge is due on
/// and the day from which it was in service again; none when nothing is due by then.
pub fn unpaid_since(
    ladder: &Ladder,
    life: &Life,
    uncovered_on: Option<NaiveDate>,
    day: NaiveDate,
) -> Result<Option<NaiveDate>, CalendarError> {
    let Some(charged_on) = uncovered_on else { return Ok(None) };
    let due = due_on(charged_on, ladder.billing_day)?;
    // Who returned has the whole grace again: the bill for the time since then is a new one.
    let since = life.resumed_on.map_or(due, |resumed| due.max(resumed));
    Ok((since <= day).then_some(since))
}

/// Decides one subscription at the close of `day`, given the charge date of its oldest uncovered charge.
pub fn step(
    ladder: &Ladder,
    life: &Life,
    uncovered_on: Option<NaiveDate>,
    day: NaiveDate,
) -> Result<Step, CalendarError> {
    if life.held {
        return Ok(Step::Keep);
    }
    match life.status {
        SubscriptionStatus::Active | SubscriptionStatus::Grace => {
            let Some(since) = unpaid_since(ladder, life, uncovered_on, day)? else {
                return Ok(if life.status == SubscriptionStatus::Grace { Step::Return } else { Step::Keep });
            };
            let unpaid_days = day.signed_duration_since(since).num_days();
            Ok(match ladder.stop {
                _ if unpaid_days < i64::from(ladder.grace_days) => Step::Grace { since },
                TermMode::Auto => Step::Stop { since },
                TermMode::Manual => Step::AskToStop { since },
            })
        }
        SubscriptionStatus::Stopped => {
            if life.ends_on.is_some_and(|ends_on| ends_on <= day) {
                return Ok(Step::Cancel);
            }
            let Some(since) = life.stopped_on else { return Ok(Step::Keep) };
            if uncovered_on.is_none() {
                return Ok(Step::Return);
            }
            // `since` is the first day without service and `day` is over.
            let stopped_days = day.signed_duration_since(since).num_days() + 1;
            Ok(match ladder.delete {
                _ if stopped_days < i64::from(ladder.keep_days) => Step::Keep,
                TermMode::Auto => Step::Delete,
                TermMode::Manual => Step::AskToDelete { since },
            })
        }
        _ => Ok(Step::Keep),
    }
}

/// The schedule of a subscription, as far as returning to service moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stood {
    /// The day that all boundaries are counted from.
    pub anchor_on: NaiveDate,
    /// Length of its periods.
    pub cadence: Cadence,
    /// Index of the first period that was not charged.
    pub next_index: i32,
    /// First day of service.
    pub starts_on: NaiveDate,
    /// The day after the last day of service.
    pub ends_on: Option<NaiveDate>,
    /// The first day without service.
    pub stopped_on: NaiveDate,
}

/// How a subscription goes on when it is in service again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// Index of the first period to charge.
    pub next_index: i32,
    /// The next day on which something happens.
    pub next_charge_on: NaiveDate,
    /// The day from which service is charged again; none when the period it stopped in goes on, which was charged whole.
    pub resumed_on: Option<NaiveDate>,
}

/// Puts a stopped subscription in service again from `on`.
///
/// Periods that passed while it was stopped are never charged; the one that `on` lies in is charged from `on`, as a part.
/// What was charged before the stop stays charged whole.
pub fn resume(stood: &Stood, on: NaiveDate) -> Result<Resumed, CalendarError> {
    let mut next_index = stood.next_index;
    let mut next = period(stood.anchor_on, stood.cadence, next_index)?;
    while next.end <= on {
        next_index = next_index.checked_add(1).ok_or(CalendarError::OutOfRange)?;
        next = period(stood.anchor_on, stood.cadence, next_index)?;
    }
    let began_stopped = next.start >= stood.stopped_on || next_index > stood.next_index;
    let resumed_on = (next.start < on && began_stopped).then_some(on);
    let from = next.start.max(stood.starts_on).max(resumed_on.unwrap_or(NaiveDate::MIN));
    Ok(Resumed { next_index, next_charge_on: from.min(stood.ends_on.unwrap_or(NaiveDate::MAX)), resumed_on })
}

/// The day after, for a decision at the close of a day.
pub fn day_after(day: NaiveDate) -> Result<NaiveDate, CalendarError> {
    day.checked_add_days(Days::new(1)).ok_or(CalendarError::OutOfRange)
}

/// Whether a text may be the key of a term: 1 to 64 of `a-z`, `0-9` and `_`.
pub fn is_key(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests;
