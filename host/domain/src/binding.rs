//! Which binding decides: its own tenant's, or one from above in the tenant tree.
//!
//! Owns inheritance, narrowing and the way back to a former component. Refuses to know how bindings are loaded. Invariant:
//! what a tenant has from above is never wider for it than for whoever it has it from.

use chrono::NaiveDate;

use crate::{grant::LoweredLimits, id::BindingId, text::text_enum};

text_enum! {
    /// Whether tenants below use a binding.
    pub enum Inheritance as "inheritance" {
        /// The owner alone.
        None = "none",
        /// Whoever has no binding of its own; it may end it for itself.
        Optional = "optional",
        /// Everybody below; nobody ends it or puts another in its place.
        Required = "required",
    }
}

text_enum! {
    /// A change of a binding.
    pub enum BindingChange as "change of a binding" {
        /// It was made.
        Bind = "bind",
        /// It got another component or configuration.
        Upgrade = "upgrade",
        /// It went back to the one before.
        Rollback = "rollback",
        /// Subscriptions that stayed on a former component went over to the one it has.
        Migrate = "migrate",
        /// It was ended.
        End = "end",
    }
}

/// A binding in effect at one level of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The binding.
    pub binding: BindingId,
    /// Whether tenants below use it.
    pub inheritance: Inheritance,
    /// Its limits.
    pub limits: LoweredLimits,
}

/// What a tenant made of a binding from above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// The binding.
    pub binding: BindingId,
    /// Lower limits.
    pub limits: LoweredLimits,
    /// The first business date on which it does without.
    pub ended_from: Option<NaiveDate>,
}

/// One tenant on the way from the asking one to the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Level {
    /// Its bindings in effect at the extension point: the one that decides for itself, and the best that it shares.
    pub found: Vec<Found>,
    /// What it made of bindings from above.
    pub narrowings: Vec<Narrowing>,
}

/// The binding that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decides {
    /// Its owner, as an index of the levels: 0 is the asking tenant.
    pub level: usize,
    /// The binding.
    pub binding: BindingId,
    /// Limits of everybody on the way.
    pub limits: LoweredLimits,
}

/// Decides which binding is asked on a business date; `levels` begin with the asking tenant and end with the root.
///
/// A required one of the highest tenant comes first, then the tenant's own, then the nearest that is shared. A tenant on
/// the way that ended an optional one ends it for those below, too.
pub fn decides(levels: &[Level], on: NaiveDate) -> Option<Decides> {
    let shared = |found: &&Found| found.inheritance != Inheritance::None;
    let required = levels.iter().enumerate().skip(1).rev().find_map(|(at, level)| {
        level.found.iter().find(|found| found.inheritance == Inheritance::Required).map(|found| (at, found))
    });
    let (level, found) = required
        .or_else(|| levels.first().and_then(|own| own.found.first()).map(|found| (0, found)))
        .or_else(|| {
            levels
                .iter()
                .enumerate()
                .skip(1)
                .find_map(|(at, level)| level.found.iter().find(shared).map(|found| (at, found)))
        })?;
    let mut limits = found.limits;
    for between in &levels[..level] {
        for narrowing in between.narrowings.iter().filter(|narrowing| narrowing.binding == found.binding) {
            let ended = narrowing.ended_from.is_some_and(|from| from <= on);
            if ended && found.inheritance != Inheritance::Required {
                return None;
            }
            limits = limits.narrowed(narrowing.limits);
        }
    }
    Some(Decides { level, binding: found.binding, limits })
}

/// The way back of a binding by its history from the beginning: the change that a rollback undoes, and the one that made what
/// it had before; none when there is no way back.
pub fn way_back<T: Clone>(history: &[(BindingChange, T)]) -> Option<(T, T)> {
    let mut had = Vec::new();
    for (change, what) in history {
        match change {
            BindingChange::Bind | BindingChange::Upgrade => had.push(what),
            BindingChange::Rollback => drop(had.pop()),
            BindingChange::Migrate | BindingChange::End => {}
        }
    }
    let undone = had.pop()?;
    Some((undone.clone(), had.pop()?.clone()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> BindingId {
        BindingId(Uuid::from_u128(number))
    }

    fn found(number: u128, inheritance: Inheritance) -> Found {
        Found { binding: id(number), inheritance, limits: LoweredLimits::default() }
    }

    fn level(found: Vec<Found>) -> Level {
        Level { found, narrowings: Vec::new() }
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn its_own_then_the_nearest_shared_one_decides() {
        use Inheritance::{None as Own, Optional};
        let on = day("2026-11-01");
        let at = |levels: &[Level]| decides(levels, on).map(|decides| (decides.level, decides.binding));
        let root = level(vec![found(1, Optional)]);
        assert_eq!(at(&[level(vec![found(3, Own)]), level(vec![found(2, Optional)]), root.clone()]), Some((0, id(3))));
        assert_eq!(at(&[level(vec![]), level(vec![found(2, Optional)]), root.clone()]), Some((1, id(2))));
        assert_eq!(
            at(&[level(vec![]), level(vec![found(2, Own)]), root]),
            Some((2, id(1))),
            "not shared, so passed over"
        );
        assert_eq!(at(&[level(vec![]), level(vec![found(2, Own)])]), None);
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn a_required_one_is_not_replaced_and_not_ended() {
        use Inheritance::{None as Own, Required};
        let on = day("2026-11-01");
        let narrowings = vec![Narrowing { binding: id(1), limits: LoweredLimits::default(), ended_from: Some(on) }];
        let child = Level { found: vec![found(3, Own)], narrowings };
        let decided = decides(&[child, level(vec![found(1, Required)])], on).unwrap();
        assert_eq!((decided.level, decided.binding), (1, id(1)));
        assert_eq!(decides(&[level(vec![found(1, Required)])], on).unwrap().level, 0);
    }

    #[test]
    fn who_ends_an_optional_one_ends_it_for_those_below() {
        let shared = level(vec![found(1, Inheritance::Optional)]);
        let ended = Narrowing { binding: id(1), limits: LoweredLimits::default(), ended_from: Some(day("2026-11-05")) };
        let between = Level { found: vec![], narrowings: vec![ended] };
        let levels = [level(vec![]), between, shared];
        assert!(decides(&levels, day("2026-11-04")).is_some());
        assert!(decides(&levels, day("2026-11-05")).is_none());
    }

    #[test]
    fn a_rollback_goes_back_one_step_at_a_time_and_no_further_than_the_first() {
        use BindingChange::{Bind, End, Migrate, Rollback, Upgrade};
        assert_eq!(way_back(&[(Bind, 'a')]), None);
        assert_eq!(way_back(&[(Bind, 'a'), (Upgrade, 'b')]), Some(('b', 'a')));
        assert_eq!(way_back(&[(Bind, 'a'), (Upgrade, 'b'), (Rollback, 'a')]), None);
        let twice = [(Bind, 'a'), (Upgrade, 'b'), (Upgrade, 'c'), (Rollback, 'b'), (End, 'b')];
        assert_eq!(way_back(&twice), Some(('b', 'a')));
        assert_eq!(way_back(&[(Bind, 'a'), (Upgrade, 'b'), (Rollback, 'a'), (Upgrade, 'c')]), Some(('c', 'a')));
        assert_eq!(way_back(&[(Bind, 'a'), (Upgrade, 'b'), (Migrate, 'b')]), Some(('b', 'a')));
        assert_eq!(way_back::<char>(&[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_level_widens_the_limits_of_those_above(fuels in prop::collection::vec(prop::option::of(1..1000_u64), 1..6)) {
            let caps = |fuel: Option<u64>| LoweredLimits { fuel, ..LoweredLimits::default() };
            let last = fuels.len() - 1;
            let levels: Vec<Level> = fuels.iter().enumerate().map(|(at, fuel)| {
                if at == last {
                    level(vec![Found { limits: caps(*fuel), ..found(1, Inheritance::Optional) }])
                } else {
                    Level { found: vec![], narrowings: vec![Narrowing { binding: id(1), limits: caps(*fuel), ended_from: None }] }
                }
            }).collect();
            let decided = decides(&levels, day("2026-11-01")).unwrap();
            prop_assert_eq!(decided.limits.fuel, fuels.iter().flatten().min().copied());
        }
    }
}
