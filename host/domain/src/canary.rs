//! A component on trial: which contracts or payments it decides for, and when it has failed too often.
//!
//! Owns the choice of contracts and payments and the bound of faults. Refuses to know which components they are and where outcomes are
//! counted. Invariant: a contract that is chosen at one share is chosen at every larger one, so that a share that grows
//! takes nobody back to the component before.

use sha2::{Digest as _, Sha256};

use crate::{
    id::{BindingId, ContractId, ExchangeId},
    text::text_enum,
};

/// All contracts, in basis points.
pub const WHOLE_BP: i32 = 10_000;

text_enum! {
    /// Where a canary stands.
    pub enum CanaryState as "state of a canary" {
        /// It decides for its share.
        Running = "running",
        /// It failed too often and decides nothing more.
        RolledBack = "rolled-back",
        /// It became the component of its binding.
        Promoted = "promoted",
        /// Somebody withdrew it.
        Ended = "ended",
    }
}

/// How many decisions were asked for, and how many of them had no answer that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Decisions asked of the component on trial.
    pub decisions: i64,
    /// Those of them that were refused, or never came.
    pub faults: i64,
    /// Decisions asked of the present component meanwhile, for comparison.
    pub present_decisions: i64,
    /// Those of them that were refused, or never came.
    pub present_faults: i64,
}

/// Where a contract stands among those of a binding, `0..10_000`: the same for ever, and spread evenly.
pub fn place_bp(binding: BindingId, contract: ContractId) -> i32 {
    place(binding, contract.0.as_bytes())
}

/// Where a payment stands among those through a gateway's binding, `0..10_000`: the same for ever, and spread evenly.
pub fn payment_place_bp(binding: BindingId, payment: ExchangeId) -> i32 {
    place(binding, payment.0.as_bytes())
}

fn place(binding: BindingId, id: &[u8; 16]) -> i32 {
    let mut hash = Sha256::new();
    hash.update(b"altyn/canary/1");
    hash.update(binding.0.as_bytes());
    hash.update(id);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    // The remainder of so large a number favours no place by more than 10⁻¹⁵.
    i32::try_from(u64::from_be_bytes(first) % 10_000).unwrap_or(0)
}

/// Whether the component on trial decides for a contract when its share is `share_bp` basis points.
pub fn is_chosen(binding: BindingId, contract: ContractId, share_bp: i32) -> bool {
    place_bp(binding, contract) < share_bp
}

/// Whether a new payment begins with the gateway on trial when its share is `share_bp` basis points.
pub fn is_payment_chosen(binding: BindingId, payment: ExchangeId, share_bp: i32) -> bool {
    payment_place_bp(binding, payment) < share_bp
}

impl Outcome {
    /// Whether more than `most_fault_bp` basis points of at least `least_decisions` decisions were faults.
    pub fn is_beyond(&self, most_fault_bp: i32, least_decisions: i64) -> bool {
        self.decisions >= least_decisions
            && i128::from(self.faults) * i128::from(WHOLE_BP) > i128::from(most_fault_bp) * i128::from(self.decisions)
    }

    /// Adds one decision of the component on trial, or of the present one.
    pub fn add(&mut self, on_trial: bool, fault: bool) {
        let (decisions, faults) = if on_trial {
            (&mut self.decisions, &mut self.faults)
        } else {
            (&mut self.present_decisions, &mut self.present_faults)
        };
        *decisions += 1;
        *faults += i64::from(fault);
    }

    /// Adds what was counted elsewhere.
    pub fn join(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.faults += other.faults;
        self.present_decisions += other.present_decisions;
        self.present_faults += other.present_faults;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn binding(number: u128) -> BindingId {
        BindingId(Uuid::from_u128(number))
    }

    fn contract(number: u128) -> ContractId {
        ContractId(Uuid::from_u128(number))
    }

    #[test]
    fn a_share_is_the_share_it_says() {
        for share_bp in [0, 100, 2_500, 5_000, 9_900, WHOLE_BP] {
            let chosen = (0..10_000).filter(|number| is_chosen(binding(7), contract(*number), share_bp)).count();
            let chosen = i32::try_from(chosen).unwrap();
            assert!((chosen - share_bp).abs() < 200, "{chosen} of 10000 at {share_bp}");
        }
        assert!((0..10_000).all(|number| is_chosen(binding(7), contract(number), WHOLE_BP)));
        assert!(!(0..10_000).any(|number| is_chosen(binding(7), contract(number), 0)));
    }

    #[test]
    fn a_place_never_changes_between_releases() {
        let places: Vec<i32> = (1..=4).map(|number| place_bp(binding(1), contract(number))).collect();
        assert_eq!(places, PLACES_OF_0_1);
    }

    /// The places of the first contracts of the first binding, as the first release knew them.
    const PLACES_OF_0_1: [i32; 4] = [5_377, 5_335, 7_357, 6_121];

    #[test]
    fn payments_are_chosen_like_contracts() {
        for share_bp in [0, 2_500, WHOLE_BP] {
            let payment = |number| ExchangeId(Uuid::from_u128(number));
            let chosen = (0..1_000).filter(|number| is_payment_chosen(binding(7), payment(*number), share_bp));
            let expected = (0..1_000).filter(|number| is_chosen(binding(7), contract(*number), share_bp));
            assert!(chosen.eq(expected));
        }
    }

    #[test]
    fn too_many_faults_are_more_than_the_bound_of_enough_decisions() {
        let of = |faults, decisions| Outcome { decisions, faults, ..Outcome::default() };
        assert!(!of(1, 1).is_beyond(100, 2), "one decision says nothing yet");
        assert!(of(1, 2).is_beyond(100, 2));
        assert!(!of(1, 100).is_beyond(100, 2), "one of a hundred is one per cent, not more");
        assert!(of(2, 199).is_beyond(100, 2));
        assert!(of(1, 1_000_000).is_beyond(0, 1), "no fault is borne at a bound of nothing");
        assert!(!of(0, 1_000_000).is_beyond(0, 1));
        assert!(!of(7, 7).is_beyond(WHOLE_BP, 1));
        assert!(of(i64::MAX, i64::MAX).is_beyond(WHOLE_BP - 1, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_contract_stays_where_it_is_while_the_share_grows(
            of in any::<u128>(), number in any::<u128>(), share in 0..=WHOLE_BP, more in 0..=WHOLE_BP,
        ) {
            let (smaller, larger) = (share.min(more), share.max(more));
            let chosen = |share_bp| is_chosen(binding(of), contract(number), share_bp);
            prop_assert_eq!(chosen(share), chosen(share), "the same share chooses the same");
            prop_assert!(!chosen(smaller) || chosen(larger), "chosen at {} and not at {}", smaller, larger);
        }
    }
}
