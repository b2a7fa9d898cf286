//! Chance that repeats itself: the same number gives the same throws on every machine.

use std::sync::Mutex;

use altyn_service::ports::Ids;
use uuid::Uuid;

/// Pseudo-random throws of one seed (splitmix64 of Steele, Lea and Flood).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The throws of a seed; `stream` keeps those for different purposes apart.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.next();
        dice
    }

    /// The next throw.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high - low).unwrap_or(0) + 1;
        low + i64::try_from(self.next() % width).unwrap_or(0)
    }

    /// True once in so many throws.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    /// One of several.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        let index = self.next() % u64::try_from(of.len()).unwrap_or(1);
        &of[usize::try_from(index).unwrap_or(0)]
    }
}

/// Ascending ids that a seed repeats: a counter in front, so that they sort as they were minted, and noise behind it, so
/// that the ids of two seeds in one database differ.
#[derive(Debug)]
pub struct SeededIds(Mutex<(u64, Dice)>);

impl SeededIds {
    /// The ids of a seed; `run` tells repetitions of one seed in one database apart.
    pub fn new(seed: u64, run: u64) -> Self {
        Self(Mutex::new((0, Dice::new(seed, run.wrapping_add(0x1d5)))))
    }
}

impl Ids for SeededIds {
    fn next(&self) -> Uuid {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 += 1;
        let mut noise = [0; 10];
        noise[..8].copy_from_slice(&state.1.next().to_be_bytes());
        // 2026 in milliseconds; the counter takes the place of the time that passes.
        uuid::Builder::from_unix_timestamp_millis(1_767_225_600_000 + state.0, &noise).into_uuid()
    }

    fn secret(&self) -> [u8; 32] {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut secret = [0; 32];
        for part in secret.chunks_mut(8) {
            part.copy_from_slice(&state.1.next().to_be_bytes());
        }
        secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_throws_and_no_other_has_them() {
        let throws = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            (0..100).map(|_| dice.between(-5, 1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7, 1), throws(7, 1));
        assert_ne!(throws(7, 1), throws(8, 1));
        assert_ne!(throws(7, 1), throws(7, 2));
        assert!(throws(7, 1).iter().all(|throw| (-5..=1_000_000).contains(throw)));
    }

    #[test]
    fn seeded_ids_ascend_and_differ_between_seeds() {
        let (one, other) = (SeededIds::new(1, 0), SeededIds::new(2, 0));
        let mut before = Uuid::nil();
        for _ in 0..10_000 {
            let next = one.next();
            assert!(next > before && next.get_version_num() == 7);
            assert_ne!(next, other.next());
            before = next;
        }
    }
}
