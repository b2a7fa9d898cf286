//! Blocks: who has no access, since when, until when and why.
//!
//! Owns the types of blocks, where a block stands at an instant, and the answer to "may this subscription be used".
//! Refuses to know charges: a block changes access, and only one of the type [`BlockType::ADMINISTRATIVE`] takes out of service, too. Invariant: the spans of two blocks of one type on one
//! object never overlap, so at any instant at most one of them is active.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::id::BlockId;
use crate::subscription::SubscriptionStatus;
use crate::text::{serde_as_text, shorten, text_enum};

/// Why a text is not a type of blocks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a type of block; write 1 to 32 of a-z, 0-9 and -, for example administrative")]
pub struct BlockTypeError(String);

/// What a block is for. Operators name their own types; the host sets [`BlockType::CREDIT_LIMIT`] and
/// [`BlockType::OVERDUE`] by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockType(String);

impl BlockType {
    /// Set by the credit control when a contract may spend less than nothing.
    pub const CREDIT_LIMIT: &'static str = "credit-limit";
    /// Set by the operator to take what it stands on out of service: such a block stops subscriptions, whatever their terms say,
    /// and with its end each returns to where it stood.
    pub const ADMINISTRATIVE: &'static str = "administrative";
    /// Set by dunning, when its stage names no other type.
    pub const OVERDUE: &'static str = "overdue";

    /// The text of the type.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for BlockType {
    type Err = BlockTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BlockTypeError(shorten(text)))
        }
    }
}

serde_as_text!(BlockType, "Type of a block: 1 to 32 of a-z, 0-9 and -.", "administrative");

text_enum! {
    /// Who set a block.
    pub enum BlockSource as "source of a block" {
        /// A person or a program of the operator.
        Manual = "manual",
        /// The credit control.
        CreditControl = "credit-control",
        /// Dunning.
        Dunning = "dunning",
    }
}

text_enum! {
    /// What a block stands on.
    pub enum BlockScope as "scope of a block" {
        /// A contract, and with it all its subscriptions.
        Contract = "contract",
        /// One subscription.
        Subscription = "subscription",
    }
}

text_enum! {
    /// Where a block stands at an instant.
    pub enum BlockState as "state of a block" {
        /// It begins later.
        Scheduled = "scheduled",
        /// It denies access.
        Active = "active",
        /// It was lifted, or its end has come.
        Ended = "ended",
    }
}

/// From when to when a block denies access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub starts_at: DateTime<Utc>,
    /// The instant at which it ends by itself; absent for ever.
    pub ends_at: Option<DateTime<Utc>>,
    /// The instant at which it was lifted.
    pub lifted_at: Option<DateTime<Utc>>,
}

impl Span {
    /// The first instant without the block; none when no end is known.
    pub fn end(&self) -> Option<DateTime<Utc>> {
        match (self.ends_at, self.lifted_at) {
            (Some(ends), Some(lifted)) => Some(ends.min(lifted)),
            (ends, lifted) => ends.or(lifted),
        }
    }

    /// Where the block stands at `now`; a block that was lifted before it began has ended without having been active.
    pub fn state(&self, now: DateTime<Utc>) -> BlockState {
        if self.end().is_some_and(|end| end <= now) {
            BlockState::Ended
        } else if now < self.starts_at {
            BlockState::Scheduled
        } else {
            BlockState::Active
        }
    }

    /// Whether there is an instant at which both are active.
    pub fn overlaps(&self, other: &Self) -> bool {
        let empty = |span: &Self| span.end().is_some_and(|end| end <= span.starts_at);
        let before = |one: &Self, two: &Self| one.end().is_none_or(|end| two.starts_at < end);
        !empty(self) && !empty(other) && before(self, other) && before(other, self)
    }
}

/// A block as the access check sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The block.
    pub id: BlockId,
    /// What it stands on.
    pub scope: BlockScope,
    /// What it is for.
    pub block_type: BlockType,
    /// Why.
    pub comment: String,
    /// From when to when.
    pub span: Span,
}

/// One reason why a subscription may not be used now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Denial {
    /// Stable code: `block`, `status`, `not-started` or `ended`.
    pub code: String,
    /// The reason in words.
    pub message: String,
    /// The block, when one is the reason.
    pub block_id: Option<BlockId>,
    /// Its type.
    pub block_type: Option<BlockType>,
    /// What it stands on.
    pub scope: Option<BlockScope>,
    /// Since when, when it is known.
    pub since: Option<DateTime<Utc>>,
    /// Until when, when it is known.
    pub until: Option<DateTime<Utc>>,
}

/// A subscription as the access check sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// Its status.
    pub status: SubscriptionStatus,
    /// First day of service, local.
    pub starts_on: NaiveDate,
    /// The day after the last day of service, local.
    pub ends_on: Option<NaiveDate>,
    /// The first day of the period that waits for money or was skipped for want of it, local.
    pub waits_from: Option<NaiveDate>,
}

/// Why a subscription may not be used at `now`, which is `today` where its contract lives; nothing denies access when the
/// answer is empty.
pub fn denials(service: Service, blocks: &[Standing], now: DateTime<Utc>, today: NaiveDate) -> Vec<Denial> {
    let plain = |code: &str, message: String| Denial {
        code: code.to_owned(),
        message,
        block_id: None,
        block_type: None,
        scope: None,
        since: None,
        until: None,
    };
    let mut reasons = Vec::new();
    if !matches!(service.status, SubscriptionStatus::Active | SubscriptionStatus::Grace) {
        reasons.push(plain("status", format!("the subscription is {}", service.status)));
    }
    if today < service.starts_on {
        reasons.push(plain("not-started", format!("the service begins on {}", service.starts_on)));
    }
    if let Some(ends_on) = service.ends_on.filter(|ends_on| *ends_on <= today) {
        reasons.push(plain("ended", format!("the service ended before {ends_on}")));
    }
    let in_service = matches!(service.status, SubscriptionStatus::Active | SubscriptionStatus::Grace);
    if let Some(from) = service.waits_from.filter(|from| in_service && *from <= today) {
        reasons.push(plain("short-funds", format!("the period from {from} is not paid")));
    }
    let active = blocks.iter().filter(|block| block.span.state(now) == BlockState::Active);
    reasons.extend(active.map(|block| Denial {
        code: "block".to_owned(),
        message: format!("the {} is blocked ({}): {}", block.scope, block.block_type, block.comment),
        block_id: Some(block.id),
        block_type: Some(block.block_type.clone()),
        scope: Some(block.scope),
        since: Some(block.span.starts_at),
        until: block.span.ends_at,
    }));
    reasons
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::id::Id as _;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    fn span(from: i64, ends: Option<i64>, lifted: Option<i64>) -> Span {
        Span { starts_at: at(from), ends_at: ends.map(at), lifted_at: lifted.map(at) }
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_is_active_from_its_first_instant_to_the_one_before_its_end() {
        let block = span(10, Some(20), None);
        let states: Vec<&str> = [9, 10, 19, 20].map(|hour| block.state(at(hour)).as_str()).to_vec();
        assert_eq!(states, ["scheduled", "active", "active", "ended"]);
        assert_eq!(span(10, None, None).state(at(1_000_000)), BlockState::Active);
        assert_eq!(span(10, None, Some(12)).state(at(12)), BlockState::Ended);
        // Lifted before it began: it was never active.
        assert_eq!(span(10, None, Some(5)).state(at(11)), BlockState::Ended);
    }

    #[test]
    fn access_is_denied_for_each_reason_at_once() {
        let block = |scope, hour, text: &str| Standing {
            id: BlockId::from_uuid(uuid::Uuid::from_u128(7)),
            scope,
            block_type: text.parse().unwrap(),
            comment: "долг".into(),
            span: span(hour, None, None),
        };
        let blocks = [
            block(BlockScope::Contract, 1, "credit-limit"),
            block(BlockScope::Subscription, 2, "administrative"),
            block(BlockScope::Subscription, 100, "holiday"),
        ];
        let (active, first, end) = (SubscriptionStatus::Active, day("1970-01-01"), day("1970-01-02"));
        let service = Service { status: active, starts_on: first, ends_on: None, waits_from: None };
        let codes = |service, blocks: &[Standing], on| -> Vec<String> {
            denials(service, blocks, at(10), on).into_iter().map(|denial| denial.message).collect()
        };
        assert_eq!(codes(service, &[], first), Vec::<String>::new());
        assert_eq!(
            codes(service, &blocks, first),
            ["the contract is blocked (credit-limit): долг", "the subscription is blocked (administrative): долг"]
        );
        let over = Service { status: SubscriptionStatus::Stopped, ends_on: Some(end), ..service };
        assert_eq!(codes(over, &[], end), ["the subscription is stopped", "the service ended before 1970-01-02"]);
        let short = Service { waits_from: Some(first), ..service };
        assert_eq!(codes(short, &[], first), ["the period from 1970-01-01 is not paid"]);
        let later = Service { starts_on: end, ..service };
        assert_eq!(codes(later, &[], first), ["the service begins on 1970-01-02"]);
        assert_eq!(codes(Service { status: SubscriptionStatus::Grace, ..service }, &[], first), Vec::<String>::new());
    }

    #[test]
    fn a_type_is_a_short_word() {
        for text in ["credit-limit", "a", "x2"] {
            assert_eq!(text.parse::<BlockType>().unwrap().to_string(), text);
        }
        for text in ["", "Долг", "two words", "a_b", &"x".repeat(33)] {
            assert!(text.parse::<BlockType>().is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whoever sets a block only when none stands never has two at once.
        #[test]
        fn blocks_that_follow_one_another_never_overlap(steps in prop::collection::vec((0..5_i64, 0..6_i64, prop::option::of(1..6_i64), any::<bool>()), 1..40)) {
            let mut blocks: Vec<Span> = Vec::new();
            let mut now = 0;
            for (pause, ahead, length, lift) in steps {
                now += pause;
                let stands = |block: &Span| block.lifted_at.is_none() && block.ends_at.is_none_or(|end| end > at(now));
                if let Some(block) = blocks.iter_mut().find(|block| stands(block)) {
                    if lift {
                        block.lifted_at = Some(at(now));
                    }
                } else {
                    blocks.push(span(now + ahead, length.map(|length| now + ahead + length), None));
                }
            }
            for (index, one) in blocks.iter().enumerate() {
                for two in &blocks[index + 1..] {
                    prop_assert!(!one.overlaps(two), "{one:?} {two:?}");
                }
            }
        }

        #[test]
        fn two_spans_overlap_exactly_when_an_instant_has_both(a in (0..8_i64, prop::option::of(1..8_i64), prop::option::of(0..12_i64)), b in (0..8_i64, prop::option::of(1..8_i64), prop::option::of(0..12_i64))) {
            let make = |(from, length, lifted): (i64, Option<i64>, Option<i64>)| span(from, length.map(|length| from + length), lifted);
            let (a, b) = (make(a), make(b));
            let both = (0..40).any(|hour| a.state(at(hour)) == BlockState::Active && b.state(at(hour)) == BlockState::Active);
            prop_assert_eq!(a.overlaps(&b), both);
        }
    }
}
