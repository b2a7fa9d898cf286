//! Dunning: what is unpaid, which stage a debtor has reached, what that stage does, and when collecting is tried again.
//!
//! The stages (an overdue state machine) and the ladder (a rhythm of attempts) know nothing of each other; both are pure
//! functions of facts and a day. Refuses to know charges: a stage changes access, sends notices and ends subscriptions.
//! Invariants: who owes nothing is in no stage; a stage is left for a milder one only when all of its conditions have
//! cleared; the same facts on the same day give the same stage, so that applying it twice changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::block::BlockType;
use crate::change::Timing;
use crate::id::SubscriptionId;
use crate::text::text_enum;

text_enum! {
    /// What dunning looks at.
    pub enum DunningScope as "scope of dunning" {
        /// The debt of a contract.
        Contract = "contract",
        /// The part of a contract's debt that belongs to one subscription.
        Subscription = "subscription",
    }
}

text_enum! {
    /// Whether a stage ends subscriptions, and when.
    pub enum Cancellation as "cancellation" {
        /// It ends none.
        None = "none",
        /// From the next day on: what was charged for later days is given back, against the debt.
        Immediate = "immediate",
        /// When what is charged already is over.
        EndOfTerm = "end-of-term",
    }
}

impl Cancellation {
    /// When the ends that it asks for take effect; none when it asks for none.
    pub fn timing(self) -> Option<Timing> {
        match self {
            Self::None => None,
            Self::Immediate => Some(Timing::Immediate),
            Self::EndOfTerm => Some(Timing::EndOfTerm),
        }
    }
}

/// When a stage is reached: all of what is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Conditions {
    /// Unpaid is at least this, minor units.
    pub unpaid_at_least_minor: Option<i64>,
    /// At least so many debits are unpaid.
    pub count_at_least: Option<u32>,
    /// The oldest unpaid debit is at least so many days old.
    pub days_at_least: Option<u32>,
    /// The contract has this tag.
    pub with_tag: Option<String>,
    /// The contract does not have this tag.
    pub without_tag: Option<String>,
}

/// A stage of dunning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stage {
    /// Its name, unique within the policy: 1 to 32 of a-z, 0-9 and -.
    pub code: BlockType,
    /// When it is reached.
    pub when: Conditions,
    /// The block that stands while the stage lasts.
    pub block: Option<BlockType>,
    /// The notice that is sent when it is entered.
    pub notice: Option<String>,
    /// Which end the subscriptions get when it is entered: all of the contract, or the one that the case is about.
    #[serde(default = "no_cancellation")]
    pub cancel: Cancellation,
}

fn no_cancellation() -> Cancellation {
    Cancellation::None
}

/// The rules of dunning of one scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The stages, the mildest first.
    pub stages: Vec<Stage>,
    /// Days to the first attempt to collect, and from each attempt to the next.
    pub ladder: Vec<u32>,
    /// Tags of a contract that suspend all of it.
    pub suspending_tags: BTreeSet<String>,
}

/// What is known about a debtor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What is unpaid, minor units, zero or more.
    pub unpaid_minor: i64,
    /// How many debits are unpaid, in whole or in part.
    pub count: u32,
    /// The day of the oldest of them.
    pub since_on: Option<NaiveDate>,
    /// The contract's tags.
    pub tags: BTreeSet<String>,
}

/// Where a debtor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment<'a> {
    /// The stage.
    pub stage: Option<&'a Stage>,
    /// Whether a tag suspends its effects.
    pub suspended: bool,
}

impl Assessment<'_> {
    /// The block that should stand now.
    pub fn block(&self) -> Option<&BlockType> {
        self.stage.filter(|_| !self.suspended).and_then(|stage| stage.block.as_ref())
    }

    /// When subscriptions that end because of it end; none when it ends none.
    pub fn cancels(&self) -> Option<Timing> {
        self.stage.filter(|_| !self.suspended).and_then(|stage| stage.cancel.timing())
    }
}

impl Conditions {
    /// Each condition that is set, and whether it holds.
    fn each(&self, facts: &Facts, today: NaiveDate) -> Vec<bool> {
        let age = facts.since_on.map_or(0, |since| (today - since).num_days());
        [
            self.unpaid_at_least_minor.map(|least| facts.unpaid_minor >= least),
            self.count_at_least.map(|least| facts.count >= least),
            self.days_at_least.map(|least| age >= i64::from(least)),
            self.with_tag.as_ref().map(|tag| facts.tags.contains(tag)),
            self.without_tag.as_ref().map(|tag| !facts.tags.contains(tag)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Policy {
    /// The stage that the facts lead to from the present one, by its code.
    ///
    /// The worst stage whose conditions all hold counts. A milder one is taken only when no condition of the present stage
    /// holds any more: a debtor who pays a little does not slip in and out.
    pub fn assess(&self, present: Option<&str>, facts: &Facts, today: NaiveDate) -> Assessment<'_> {
        let suspended = self.suspending_tags.iter().any(|tag| facts.tags.contains(tag));
        if facts.unpaid_minor <= 0 {
            return Assessment { stage: None, suspended };
        }
        let reached =
            self.stages.iter().rposition(|stage| stage.when.each(facts, today).into_iter().all(|holds| holds));
        let present = present.and_then(|code| self.stages.iter().position(|stage| stage.code.as_str() == code));
        let place = match (present, reached) {
            (Some(present), reached) if reached.is_none_or(|reached| reached < present) => {
                let held = self.stages[present].when.each(facts, today).into_iter().any(|holds| holds);
                if held { Some(present) } else { reached }
            }
            (_, reached) => reached,
        };
        Assessment { stage: place.map(|place| &self.stages[place]), suspended }
    }

    /// The day of an attempt to collect, the first being number 0, for a debt that came up on a day.
    pub fn attempt_on(&self, opened_on: NaiveDate, number: usize) -> Option<NaiveDate> {
        let days = self.ladder.get(..=number)?.iter().map(|days| u64::from(*days)).sum();
        opened_on.checked_add_days(Days::new(days))
    }
}

text_enum! {
    /// How an attempt to collect failed.
    pub enum AttemptFailure as "failure of an attempt" {
        /// Declined for now: there was no money, for example.
        SoftDecline = "soft-decline",
        /// Declined for good: the card is stolen, for example.
        HardDecline = "hard-decline",
        /// There is nothing to collect from.
        NoMethod = "no-method",
        /// The gateway was not reached; nothing was declined.
        NotAttempted = "not-attempted",
    }
}

/// When collecting is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextTry {
    /// On the day of this attempt of the ladder.
    Rung(usize, NaiveDate),
    /// The same attempt after so many seconds.
    AfterSeconds(u32),
    /// Never: a person must look at it.
    Never,
}

/// The wait after a gateway was not reached for the first time, in seconds; it doubles.
const FIRST_WAIT_S: u32 = 300;
/// How often a gateway that is not reached is asked for one attempt.
const MOST_TRIES: u32 = 8;

/// What follows from a failed attempt: a decline for now climbs the ladder, a decline for good ends it, and a gateway that
/// was not reached is asked again after 5, 10, 20 … minutes, eight times in all (`tries` counts them).
pub fn after_failure(
    policy: &Policy,
    opened_on: NaiveDate,
    number: usize,
    failure: AttemptFailure,
    tries: u32,
) -> NextTry {
    let climb =
        || policy.attempt_on(opened_on, number + 1).map_or(NextTry::Never, |day| NextTry::Rung(number + 1, day));
    match failure {
        AttemptFailure::HardDecline | AttemptFailure::NoMethod => NextTry::Never,
        AttemptFailure::SoftDecline => climb(),
        AttemptFailure::NotAttempted if tries >= MOST_TRIES => climb(),
        AttemptFailure::NotAttempted => NextTry::AfterSeconds(FIRST_WAIT_S << tries.saturating_sub(1).min(MOST_TRIES)),
    }
}

/// A debit: the day it counts on and its amount, minor units above zero.
pub type Debit = (NaiveDate, i64);

/// How many debits a debt leaves unpaid, and the day of the oldest: money pays the oldest first, so the debt lies on the
/// newest. A debt beyond all debits is as old as the oldest of them.
pub fn unpaid(debt_minor: i64, newest_first: &[Debit]) -> (u32, Option<NaiveDate>) {
    let (mut left, mut count, mut since) = (debt_minor, 0, None);
    for (on, amount) in newest_first {
        if left <= 0 {
            break;
        }
        left -= amount;
        count += 1;
        since = Some(*on);
    }
    (count, since)
}

/// What each subscription has unpaid when a contract's debt lies on its newest lines: amount, lines, day of the oldest.
pub fn unpaid_by_subscription(
    debt_minor: i64,
    newest_first: &[(SubscriptionId, NaiveDate, i64)],
) -> BTreeMap<SubscriptionId, (i64, u32, NaiveDate)> {
    let mut left = debt_minor;
    let mut found = BTreeMap::new();
    for (subscription, on, amount) in newest_first {
        if left <= 0 {
            break;
        }
        let part = left.min(*amount);
        if part <= 0 {
            continue;
        }
        left -= part;
        let entry = found.entry(*subscription).or_insert((0, 0, *on));
        *entry = (entry.0 + part, entry.1 + 1, (*on).min(entry.2));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn stage(code: &str, when: Conditions, block: Option<&str>) -> Stage {
        Stage {
            code: code.parse().unwrap(),
            when,
            block: block.map(|text| text.parse().unwrap()),
            notice: Some(format!("notice-{code}")),
            cancel: Cancellation::None,
        }
    }

    fn policy() -> Policy {
        let days = |days, least| Conditions {
            days_at_least: Some(days),
            unpaid_at_least_minor: Some(least),
            ..Conditions::default()
        };
        Policy {
            stages: vec![
                stage("reminder", days(3, 1), None),
                stage("warning", days(7, 5_000), None),
                stage("stopped", days(14, 10_000), Some("overdue")),
            ],
            ladder: vec![1, 3, 5],
            suspending_tags: ["court".to_owned()].into(),
        }
    }

    fn facts(unpaid_minor: i64, since: &str) -> Facts {
        Facts { unpaid_minor, count: 1, since_on: Some(day(since)), tags: BTreeSet::new() }
    }

    fn assessed(present: Option<&str>, facts: &Facts, today: &str) -> Option<String> {
        policy().assess(present, facts, day(today)).stage.map(|stage| stage.code.to_string())
    }

    #[test]
    fn the_worst_stage_whose_conditions_all_hold_counts() {
        let debt = facts(20_000, "2026-11-01");
        let stages =
            ["2026-11-03", "2026-11-04", "2026-11-08", "2026-11-14", "2026-11-15"].map(|on| assessed(None, &debt, on));
        assert_eq!(
            stages.each_ref().map(Option::as_deref),
            [None, Some("reminder"), Some("warning"), Some("warning"), Some("stopped")]
        );
        assert_eq!(assessed(None, &facts(4_999, "2026-01-01"), "2026-11-15").as_deref(), Some("reminder"));
        assert_eq!(assessed(Some("stopped"), &facts(0, "2026-01-01"), "2026-11-15"), None);
    }

    #[test]
    fn a_stage_is_left_only_when_all_of_its_conditions_have_cleared() {
        // A part is paid: below the stage's amount, but as old as before.
        let old = facts(6_000, "2026-11-01");
        assert_eq!(assessed(Some("stopped"), &old, "2026-11-20").as_deref(), Some("stopped"));
        // The oldest is paid, but what is left is too much.
        let large = facts(15_000, "2026-11-12");
        assert_eq!(assessed(Some("stopped"), &large, "2026-11-20").as_deref(), Some("stopped"));
        let both = facts(6_000, "2026-11-12");
        assert_eq!(assessed(Some("stopped"), &both, "2026-11-20").as_deref(), Some("warning"));
        assert_eq!(assessed(Some("unknown"), &both, "2026-11-20").as_deref(), Some("warning"));
    }

    #[test]
    fn a_tag_suspends_effects_and_nothing_else() {
        let policy = policy();
        let debt = facts(20_000, "2026-11-01");
        let tagged = Facts { tags: ["court".to_owned()].into(), ..debt.clone() };
        let (free, suspended) =
            (policy.assess(None, &debt, day("2026-11-20")), policy.assess(None, &tagged, day("2026-11-20")));
        assert_eq!(free.block().map(BlockType::as_str), Some("overdue"));
        assert_eq!((suspended.stage, suspended.suspended, suspended.block()), (free.stage, true, None));
    }

    #[test]
    fn a_stage_ends_subscriptions_when_it_says_so_and_no_tag_suspends_it() {
        let mut policy = policy();
        policy.stages[2].cancel = Cancellation::EndOfTerm;
        let debt = facts(20_000, "2026-11-01");
        let tagged = Facts { tags: ["court".to_owned()].into(), ..debt.clone() };
        assert_eq!(policy.assess(None, &debt, day("2026-11-10")).cancels(), None);
        assert_eq!(policy.assess(None, &debt, day("2026-11-20")).cancels(), Some(Timing::EndOfTerm));
        assert_eq!(policy.assess(None, &tagged, day("2026-11-20")).cancels(), None);
        let stage: Stage = serde_json::from_str(r#"{"code":"late","when":{}}"#).unwrap();
        assert_eq!(stage.cancel, Cancellation::None, "rules that were set before end nothing");
    }

    #[test]
    fn the_ladder_climbs_on_a_soft_decline_only() {
        let (policy, opened) = (policy(), day("2026-11-01"));
        assert_eq!(policy.attempt_on(opened, 0), Some(day("2026-11-02")));
        assert_eq!(policy.attempt_on(opened, 2), Some(day("2026-11-10")));
        assert_eq!(policy.attempt_on(opened, 3), None);
        let after = |number, failure, tries| after_failure(&policy, opened, number, failure, tries);
        assert_eq!(after(0, AttemptFailure::SoftDecline, 1), NextTry::Rung(1, day("2026-11-05")));
        assert_eq!(after(2, AttemptFailure::SoftDecline, 1), NextTry::Never);
        assert_eq!(after(0, AttemptFailure::HardDecline, 1), NextTry::Never);
        assert_eq!(after(0, AttemptFailure::NoMethod, 1), NextTry::Never);
        let waits: Vec<NextTry> = (1..=8).map(|tries| after(0, AttemptFailure::NotAttempted, tries)).collect();
        assert_eq!(waits[..3], [300, 600, 1_200].map(NextTry::AfterSeconds));
        assert_eq!(waits[7], NextTry::Rung(1, day("2026-11-05")));
    }

    #[test]
    fn a_debt_lies_on_the_newest_debits() {
        let debits = [(day("2026-11-20"), 300), (day("2026-11-10"), 200), (day("2026-11-01"), 100)];
        assert_eq!(unpaid(0, &debits), (0, None));
        assert_eq!(unpaid(300, &debits), (1, Some(day("2026-11-20"))));
        assert_eq!(unpaid(301, &debits), (2, Some(day("2026-11-10"))));
        assert_eq!(unpaid(9_999, &debits), (3, Some(day("2026-11-01"))));
        assert_eq!(unpaid(5, &[]), (0, None));
    }

    #[test]
    fn each_subscription_has_its_part_of_the_debt() {
        let of = |n| SubscriptionId(Uuid::from_u128(n));
        let lines = [(of(1), day("2026-11-20"), 300), (of(2), day("2026-11-20"), 200), (of(1), day("2026-10-20"), 300)];
        let found = unpaid_by_subscription(600, &lines);
        assert_eq!(found[&of(1)], (400, 2, day("2026-10-20")));
        assert_eq!(found[&of(2)], (200, 1, day("2026-11-20")));
        assert_eq!(unpaid_by_subscription(300, &lines).len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Assessing again with the same facts changes nothing, wherever one starts.
        #[test]
        fn an_assessment_is_stable(unpaid in 0..30_000_i64, age in 0..40_u64, present in 0..4_usize) {
            let policy = policy();
            let today = day("2026-12-15");
            let facts = Facts { unpaid_minor: unpaid, count: 1, since_on: today.checked_sub_days(Days::new(age)), tags: BTreeSet::new() };
            let present = policy.stages.get(present).map(|stage| stage.code.as_str());
            let once = policy.assess(present, &facts, today);
            let twice = policy.assess(once.stage.map(|stage| stage.code.as_str()), &facts, today);
            prop_assert_eq!(&once, &twice);
            prop_assert!(unpaid > 0 || once.stage.is_none());
        }

        #[test]
        fn the_parts_of_subscriptions_never_exceed_the_debt(debt in 0..2_000_i64, lines in prop::collection::vec((0..4_u128, 1..400_i64), 0..12)) {
            let lines: Vec<_> = lines.iter().map(|(of, amount)| (SubscriptionId(Uuid::from_u128(*of)), day("2026-11-01"), *amount)).collect();
            let total: i64 = lines.iter().map(|line| line.2).sum();
            let parts: i64 = unpaid_by_subscription(debt, &lines).values().map(|part| part.0).sum();
            prop_assert_eq!(parts, debt.min(total));
        }
    }
}
