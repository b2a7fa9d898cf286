//! Credit: how far a contract may go into debt, what it may spend, and how money flows from a main contract to those
//! below it.
//!
//! Owns the choice of the limit, the decision to block and to unblock, the test of a transfer and the flow. Refuses to
//! know where limits are kept. Invariants: a contract is blocked exactly when it may spend less than nothing; the flow
//! never takes a main contract below zero, covers debts and nothing else, and the amounts given sum to what was taken.

use std::collections::HashMap;

use chrono::NaiveDate;

use crate::id::ContractId;
use crate::money::{Money, MoneyError};
use crate::text::text_enum;

text_enum! {
    /// At which level a policy stands.
    pub enum PolicyScope as "policy scope" {
        /// All contracts of the tenant.
        Tenant = "tenant",
        /// The contracts of a sales channel.
        Channel = "channel",
        /// The contracts of a group.
        Group = "group",
    }
}

text_enum! {
    /// Which level a contract's limit comes from.
    pub enum LimitSource as "source of a limit" {
        /// The contract itself.
        Contract = "contract",
        /// Its group.
        Group = "group",
        /// Its sales channel.
        Channel = "channel",
        /// The tenant.
        Tenant = "tenant",
    }
}

/// The most specific of the limits that are set: contract, group, channel, tenant; `None` when none is, and then the
/// contract is not controlled.
pub fn effective_limit(
    contract: Option<i64>,
    group: Option<i64>,
    channel: Option<i64>,
    tenant: Option<i64>,
) -> Option<(i64, LimitSource)> {
    [
        (contract, LimitSource::Contract),
        (group, LimitSource::Group),
        (channel, LimitSource::Channel),
        (tenant, LimitSource::Tenant),
    ]
    .into_iter()
    .find_map(|(limit, source)| limit.map(|limit| (limit, source)))
}

/// What the credit control does with a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing changes.
    Keep,
    /// Block it from the morning of this day on.
    Block {
        /// The first day without access, local.
        from: NaiveDate,
    },
    /// Lift the block, or the one that was about to begin.
    Lift,
}

/// Decides at the close of `day`: `available` below zero blocks, zero and more unblocks. Without a limit at any level
/// nothing is blocked. `deferral_days` postpone a new block; money that comes meanwhile takes it away again.
pub fn control(available: Money, limited: bool, blocked: bool, day: NaiveDate, deferral_days: u32) -> Control {
    match (limited && available.minor < 0, blocked) {
        (true, false) => {
            let days = chrono::Days::new(u64::from(deferral_days) + 1);
            Control::Block { from: day.checked_add_days(days).unwrap_or(NaiveDate::MAX) }
        }
        (false, true) => Control::Lift,
        _ => Control::Keep,
    }
}

/// What a contract can give away: its money less what is reserved. Promises and credit are not money and stay.
pub fn transferable(funds: Money, blocked: Money) -> Result<Money, MoneyError> {
    let free = funds.sub(blocked)?;
    Ok(if free.minor < 0 { Money::zero(free.currency) } else { free })
}

/// A contract below a main one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Below {
    /// The contract.
    pub contract: ContractId,
    /// The contract right above it.
    pub parent: ContractId,
    /// The lower, the earlier.
    pub priority: i32,
    /// What it has; below zero a debt.
    pub funds: Money,
}

/// How many levels a hierarchy has below its main contract.
pub const DEEPEST: u32 = 8;

/// Distributes what a main contract has over the debts below it: the lowest priority first (then the older contract), and
/// under each of them what hangs below it before the next one. A debt is covered as far as the money goes.
pub fn flow_down(main: ContractId, free: Money, below: &[Below]) -> Result<Vec<(ContractId, Money)>, MoneyError> {
    let mut children: HashMap<ContractId, Vec<&Below>> = HashMap::new();
    for contract in below {
        children.entry(contract.parent).or_default().push(contract);
    }
    for list in children.values_mut() {
        list.sort_by_key(|contract| (contract.priority, contract.contract));
    }
    let mut left = free;
    let mut given = Vec::new();
    // A stack of what is still to be visited, the next on top; each list is taken out, so that a cycle cannot go on.
    let mut stack: Vec<&Below> = children.remove(&main).unwrap_or_default().into_iter().rev().collect();
    while let Some(contract) = stack.pop() {
        if left.minor <= 0 {
            break;
        }
        if contract.funds.minor < 0 {
            let owed = contract.funds.neg()?;
            let part = if owed.minor <= left.minor { owed } else { left };
            left = left.sub(part)?;
            given.push((contract.contract, part));
        }
        stack.extend(children.remove(&contract.contract).unwrap_or_default().into_iter().rev());
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::money::Currency;

    fn rub(minor: i64) -> Money {
        Money::new(minor, Currency::RUB)
    }

    fn id(n: u128) -> ContractId {
        ContractId(Uuid::from_u128(n))
    }

    fn below(contract: u128, parent: u128, priority: i32, funds: i64) -> Below {
        Below { contract: id(contract), parent: id(parent), priority, funds: rub(funds) }
    }

    #[test]
    fn the_most_specific_limit_counts() {
        let all = [Some(1), Some(2), Some(3), Some(4)];
        let source = |from: usize| {
            let of = |at: usize| if at >= from { all[at] } else { None };
            effective_limit(of(0), of(1), of(2), of(3))
        };
        assert_eq!(source(0), Some((1, LimitSource::Contract)));
        assert_eq!(source(1), Some((2, LimitSource::Group)));
        assert_eq!(source(2), Some((3, LimitSource::Channel)));
        assert_eq!(source(3), Some((4, LimitSource::Tenant)));
        assert_eq!(source(4), None);
    }

    #[test]
    fn a_balance_at_the_limit_is_not_blocked_and_one_kopeck_below_it_is() {
        let day: NaiveDate = "2026-11-30".parse().unwrap();
        let from = |text: &str| Control::Block { from: text.parse().unwrap() };
        assert_eq!(control(rub(0), true, false, day, 0), Control::Keep);
        assert_eq!(control(rub(-1), true, false, day, 0), from("2026-12-01"));
        assert_eq!(control(rub(-1), true, false, day, 7), from("2026-12-08"));
        assert_eq!(control(rub(-1), true, true, day, 0), Control::Keep);
        assert_eq!(control(rub(0), true, true, day, 0), Control::Lift);
        assert_eq!(control(rub(-1), false, false, day, 0), Control::Keep);
        // Whoever takes the limits away does not leave contracts blocked for ever.
        assert_eq!(control(rub(-1), false, true, day, 0), Control::Lift);
    }

    #[test]
    fn only_money_is_transferable() {
        assert_eq!(transferable(rub(500), rub(200)).unwrap(), rub(300));
        assert_eq!(transferable(rub(100), rub(200)).unwrap(), rub(0));
        assert_eq!(transferable(rub(-100), rub(0)).unwrap(), rub(0));
    }

    #[test]
    fn money_flows_down_by_priority_until_debts_are_covered() {
        // A = 0, B = −100 with priority 1, C = −300 with priority 2; 200 arrive on A: B 0, C −200.
        let tree = [below(3, 1, 2, -30_000), below(2, 1, 1, -10_000)];
        let given = flow_down(id(1), rub(20_000), &tree).unwrap();
        assert_eq!(given, [(id(2), rub(10_000)), (id(3), rub(10_000))]);
    }

    #[test]
    fn what_hangs_below_a_contract_comes_before_the_next_one() {
        let tree = [below(2, 1, 1, 500), below(3, 1, 2, -100), below(4, 2, 1, -40), below(5, 9, 0, -1)];
        assert_eq!(flow_down(id(1), rub(100), &tree).unwrap(), [(id(4), rub(40)), (id(3), rub(60))]);
        assert_eq!(flow_down(id(1), rub(0), &tree).unwrap(), []);
        assert_eq!(flow_down(id(1), rub(-5), &tree).unwrap(), []);
    }

    #[test]
    fn a_cycle_ends() {
        let tree = [below(2, 1, 1, -10), below(1, 2, 1, -10), below(3, 3, 0, -10)];
        assert_eq!(flow_down(id(1), rub(100), &tree).unwrap(), [(id(2), rub(10)), (id(1), rub(10))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_flow_covers_debts_and_nothing_else(free in -500..2_000_i64, tree in prop::collection::vec((0..10_u128, 0..3_i32, -300..300_i64), 0..10)) {
            // Contract n hangs below one with a smaller number: no cycles.
            let tree: Vec<Below> = tree.iter().enumerate().map(|(at, (parent, priority, funds))| {
                let own = at as u128 + 1;
                below(own, parent % own, *priority, *funds)
            }).collect();
            let given = flow_down(id(0), rub(free), &tree).unwrap();
            let total: i64 = given.iter().map(|(_, part)| part.minor).sum();
            let owed: i64 = tree.iter().map(|contract| (-contract.funds.minor).max(0)).sum();
            prop_assert_eq!(total, owed.min(free.max(0)));
            for (contract, part) in given {
                let of = tree.iter().find(|one| one.contract == contract).unwrap();
                prop_assert!(part.minor > 0 && part.minor <= -of.funds.minor);
            }
        }
    }
}
