//! Circuit breakers: a binding whose plugin only fails is not asked for a while.
//!
//! A pure state machine, [`Circuit`], and a table of those that are not at rest. There is one for each component, tenant
//! and binding, so that a plugin bound anew with a corrected configuration starts afresh; notifications of gateways have
//! their own. Time is an argument.
//!
//! Failures count only in an unbroken row, and the row that opens a circuit is longer than the halving of a batch in
//! search of one bad item, which fails once a level and succeeds in between. An answer that refuses is an answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::config::Breaker as Rules;
use crate::digest::Digest;

/// Above so many circuits, those that matter least are forgotten.
const MOST_CIRCUITS: usize = 10_000;

/// The state of one circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Calls pass; so many failed since one succeeded.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// No call passes before an instant.
    Open {
        /// When a probe may pass, milliseconds of the caller's clock.
        until_ms: u64,
        /// How long it stays open this time.
        cool_down_ms: u64,
    },
    /// One call is under way to see whether the plugin has recovered.
    Probing {
        /// When it began.
        since_ms: u64,
        /// How long the circuit was open before.
        cool_down_ms: u64,
    },
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// As any other.
    Call,
    /// As the one that decides whether the circuit closes.
    Probe,
    /// Not now.
    Refused {
        /// When to ask again.
        retry_after_ms: u64,
    },
}

/// What a call said about its plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It answered.
    Answered,
    /// It crashed or met a limit.
    Failed,
    /// The call was not made.
    Nothing,
}

impl Circuit {
    /// At rest.
    pub const REST: Self = Self::Closed { failures: 0 };

    /// Asks for a call at an instant.
    #[must_use]
    pub fn ask(self, now_ms: u64) -> (Self, Admitted) {
        match self {
            Self::Closed { .. } => (self, Admitted::Call),
            Self::Open { until_ms, cool_down_ms } if now_ms >= until_ms => {
                (Self::Probing { since_ms: now_ms, cool_down_ms }, Admitted::Probe)
            }
            Self::Open { until_ms, .. } => (self, Admitted::Refused { retry_after_ms: until_ms - now_ms }),
            // A probe that never came back must not keep the circuit open for ever.
            Self::Probing { since_ms, cool_down_ms } if now_ms >= since_ms.saturating_add(cool_down_ms) => {
                (Self::Probing { since_ms: now_ms, cool_down_ms }, Admitted::Probe)
            }
            Self::Probing { since_ms, cool_down_ms } => {
                let retry_after_ms = since_ms.saturating_add(cool_down_ms) - now_ms;
                (self, Admitted::Refused { retry_after_ms })
            }
        }
    }

    /// Takes note of what came of a call that was admitted.
    #[must_use]
    pub fn heard(self, admitted: Admitted, heard: Heard, now_ms: u64, rules: &Rules) -> Self {
        match (self, admitted, heard) {
            (Self::Closed { .. }, Admitted::Call, Heard::Answered)
            | (Self::Probing { .. }, Admitted::Probe, Heard::Answered) => Self::REST,
            (Self::Closed { failures }, Admitted::Call, Heard::Failed) => {
                let failures = failures.saturating_add(1);
                if failures < rules.failures { Self::Closed { failures } } else { open(rules.cool_down_ms, now_ms) }
            }
            (Self::Probing { cool_down_ms, .. }, Admitted::Probe, Heard::Failed) => {
                open(cool_down_ms.saturating_mul(2).min(rules.longest_cool_down_ms), now_ms)
            }
            (Self::Probing { cool_down_ms, .. }, Admitted::Probe, Heard::Nothing) => {
                Self::Open { until_ms: now_ms, cool_down_ms }
            }
            // Calls that began before the circuit opened say nothing new.
            _ => self,
        }
    }
}

fn open(cool_down_ms: u64, now_ms: u64) -> Circuit {
    Circuit::Open { until_ms: now_ms.saturating_add(cool_down_ms), cool_down_ms }
}

/// Whose circuit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Line {
    pub(crate) component: Digest,
    pub(crate) tenant: String,
    pub(crate) binding: String,
    /// Whether it reads what anybody may send: strangers must not stop a binding's own business.
    pub(crate) notification: bool,
}

/// The circuits that are not at rest.
pub(crate) struct Breakers {
    rules: Rules,
    circuits: Mutex<HashMap<Line, Circuit>>,
}

impl Breakers {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, circuits: Mutex::default() }
    }

    pub(crate) fn ask(&self, line: &Line, now_ms: u64) -> Admitted {
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(circuit) = circuits.get_mut(line) else { return Admitted::Call };
        let (next, admitted) = circuit.ask(now_ms);
        *circuit = next;
        admitted
    }

    /// Answers whether this opened the circuit.
    pub(crate) fn heard(&self, line: &Line, admitted: Admitted, heard: Heard, now_ms: u64) -> bool {
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let before = circuits.get(line).copied().unwrap_or(Circuit::REST);
        let after = before.heard(admitted, heard, now_ms, &self.rules);
        if after == Circuit::REST {
            circuits.remove(line);
        } else {
            if circuits.len() >= MOST_CIRCUITS {
                circuits.retain(|_, circuit| matches!(circuit, Circuit::Open { .. } | Circuit::Probing { .. }));
            }
            if circuits.len() < MOST_CIRCUITS || circuits.contains_key(line) {
                circuits.insert(line.clone(), after);
            }
        }
        matches!((before, after), (Circuit::Closed { .. }, Circuit::Open { .. }))
    }

    /// How many circuits let no ordinary call pass.
    pub(crate) fn open(&self) -> usize {
        let circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        circuits.values().filter(|circuit| !matches!(circuit, Circuit::Closed { .. })).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { failures: 3, cool_down_ms: 100, longest_cool_down_ms: 250 };

    /// One call at an instant with its outcome.
    fn step(circuit: Circuit, now_ms: u64, heard: Heard) -> (Circuit, Admitted) {
        let (circuit, admitted) = circuit.ask(now_ms);
        if let Admitted::Refused { .. } = admitted {
            return (circuit, admitted);
        }
        (circuit.heard(admitted, heard, now_ms, &RULES), admitted)
    }

    #[test]
    fn only_failures_in_a_row_open_a_circuit() {
        let mut circuit = Circuit::REST;
        for heard in [Heard::Failed, Heard::Failed, Heard::Answered, Heard::Failed, Heard::Nothing, Heard::Failed] {
            circuit = step(circuit, 0, heard).0;
        }
        assert_eq!(circuit, Circuit::Closed { failures: 2 });
        assert_eq!(step(circuit, 7, Heard::Failed).0, Circuit::Open { until_ms: 107, cool_down_ms: 100 });
    }

    #[test]
    fn an_open_circuit_lets_one_probe_through_after_its_time() {
        let open = Circuit::Open { until_ms: 100, cool_down_ms: 100 };
        assert_eq!(open.ask(60), (open, Admitted::Refused { retry_after_ms: 40 }));
        let (probing, admitted) = open.ask(100);
        assert_eq!(admitted, Admitted::Probe);
        assert_eq!(probing.ask(130).1, Admitted::Refused { retry_after_ms: 70 }, "one probe at a time");
        assert_eq!(probing.ask(200).1, Admitted::Probe, "a probe that got lost is replaced");
        assert_eq!(probing.heard(Admitted::Probe, Heard::Answered, 110, &RULES), Circuit::REST);
        let again = probing.heard(Admitted::Probe, Heard::Failed, 110, &RULES);
        assert_eq!(again, Circuit::Open { until_ms: 310, cool_down_ms: 200 }, "it waits twice as long");
        let longest = step(again, 310, Heard::Failed).0;
        assert_eq!(longest, Circuit::Open { until_ms: 560, cool_down_ms: 250 }, "but not longer than the longest");
        let unmade = probing.heard(Admitted::Probe, Heard::Nothing, 110, &RULES);
        assert_eq!(unmade.ask(110).1, Admitted::Probe, "a probe that was not made decides nothing");
    }

    #[test]
    fn what_began_before_a_circuit_opened_says_nothing_new() {
        let open = Circuit::Open { until_ms: 100, cool_down_ms: 100 };
        for heard in [Heard::Answered, Heard::Failed, Heard::Nothing] {
            assert_eq!(open.heard(Admitted::Call, heard, 50, &RULES), open);
            let (probing, _) = open.ask(100);
            assert_eq!(probing.heard(Admitted::Call, heard, 110, &RULES), probing);
        }
    }

    #[test]
    fn the_search_for_one_bad_item_in_the_largest_batch_opens_nothing() {
        // Halving 100,000 lines fails at most 18 times before the first half that is good.
        assert!(Rules::default().failures > 18);
    }

    #[test]
    fn circuits_at_rest_are_not_kept_and_bindings_do_not_share_one() {
        let breakers = Breakers::new(RULES);
        let line = |binding: &str| Line {
            component: Digest([0; 32]),
            tenant: "t".into(),
            binding: binding.into(),
            notification: false,
        };
        for round in 0..3 {
            let opened = breakers.heard(&line("bad"), Admitted::Call, Heard::Failed, 0);
            assert_eq!(opened, round == 2);
        }
        assert!(!breakers.heard(&line("good"), Admitted::Call, Heard::Answered, 0));
        assert_eq!(breakers.open(), 1);
        assert_eq!(breakers.ask(&line("good"), 1), Admitted::Call);
        assert_eq!(breakers.ask(&line("bad"), 1), Admitted::Refused { retry_after_ms: 99 });
        assert_eq!(breakers.ask(&line("bad"), 100), Admitted::Probe);
        assert!(!breakers.heard(&line("bad"), Admitted::Probe, Heard::Answered, 101));
        assert_eq!(breakers.circuits.lock().unwrap().len(), 0);
    }
}
