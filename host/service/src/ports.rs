//! The world outside as arguments: the clock and the source of ids.
//!
//! The only file that reads the system's clock and randomness; everything else is handed a [`Clock`] and an [`Ids`].

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::Uuid;

/// Where the time comes from.
pub trait Clock: Debug + Send + Sync {
    /// The present instant, truncated to microseconds as the database keeps it.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock that stands still until it is set: for demonstrations, tests and sandboxes.
#[derive(Debug)]
pub struct VirtualClock(Mutex<DateTime<Utc>>);

impl VirtualClock {
    /// A clock that shows `at`.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(Mutex::new(at.trunc_subsecs(6)))
    }

    /// Sets the clock.
    pub fn set(&self, at: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at.trunc_subsecs(6);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where ids come from.
pub trait Ids: Debug + Send + Sync {
    /// A new id, greater than all this source gave before.
    fn next(&self) -> Uuid;
    /// Random bytes for keys and secrets.
    fn secret(&self) -> [u8; 32];
}

/// UUIDv7 with a counter behind the milliseconds, so that ids of one host ascend and b-trees grow at their end.
#[derive(Debug, Default)]
pub struct SystemIds(Mutex<IdState>);

#[derive(Debug, Default)]
struct IdState {
    millis: u64,
    counter: u32,
    pool: Vec<u8>,
}

impl IdState {
    fn random<const N: usize>(&mut self) -> [u8; N] {
        if self.pool.len() < N {
            self.pool.resize(4096, 0);
            // Without the system's randomness ids and keys could collide or be guessed: stopping is the only safe answer.
            #[expect(
                clippy::expect_used,
                clippy::disallowed_methods,
                reason = "see above; the one place that takes it"
            )]
            getrandom::fill(&mut self.pool).expect("the operating system gives randomness");
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.pool.split_off(self.pool.len() - N));
        bytes
    }
}

impl Ids for SystemIds {
    fn next(&self) -> Uuid {
        let now = u64::try_from(SystemClock.now().timestamp_millis()).unwrap_or(0);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now > state.millis {
            state.millis = now;
            state.counter = 0;
        } else {
            state.counter += 1;
            if state.counter >= 1 << 26 {
                state.millis += 1;
                state.counter = 0;
            }
        }
        let (millis, counter) = (state.millis, state.counter);
        // 74 free bits: a 26-bit counter (12 before the variant, 14 after it), then 48 random bits.
        let random: [u8; 6] = state.random();
        let high = (counter >> 14).to_be_bytes();
        let low = (counter & 0x3fff).to_be_bytes();
        let mut bytes = [0; 10];
        bytes[0..2].copy_from_slice(&high[2..4]);
        bytes[2..4].copy_from_slice(&low[2..4]);
        bytes[4..10].copy_from_slice(&random);
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    fn secret(&self) -> [u8; 32] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_source_ascend_and_are_version_7() {
        let ids = SystemIds::default();
        let mut before = ids.next();
        for _ in 0..100_000 {
            let next = ids.next();
            assert!(next > before, "{next} does not follow {before}");
            assert_eq!(next.get_version_num(), 7);
            before = next;
        }
    }

    #[test]
    fn a_virtual_clock_stands_still() {
        let at = DateTime::from_timestamp(1_790_000_000, 123_456_789).unwrap();
        let clock = VirtualClock::new(at);
        assert_eq!(clock.now(), clock.now());
        assert_eq!(clock.now().timestamp_subsec_nanos(), 123_456_000);
    }
}
