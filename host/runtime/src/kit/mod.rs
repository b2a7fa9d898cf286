//! The conformance kit: what every plugin of a world must hold, asked of a real component on a real host.
//!
//! Owns the generated questions of each world and the rules that answers keep beside the domain's own checks: equal
//! questions give equal answers, an answer depends on its own question only, a wrong configuration is a fault. Refuses
//! to know where a component comes from. Invariant: the same kit asks the same questions on every machine, so that two
//! authors compare equal reports.

mod cases;
mod gateway;
mod gateway_rules;
mod gateway_unchecked;
mod numbering;
mod proration;
mod tax;

use std::time::Instant;

use altyn_domain::exchange::Incoming;
use altyn_domain::plugin::{CallContext, World};
use serde::Serialize;

pub use cases::{Case, CaseError};

use crate::call::{Call, CallRecord};
use crate::engine::Runtime;
use crate::failure::CallFailure;
use crate::install::Plugin;

/// Calls whose time is taken.
const TIMED_CALLS: usize = 50;
/// The moment of every call of the kit: 2026-11-01T00:00:00Z.
const NOW_MS: i64 = 1_793_491_200_000;

/// What a rule said of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule, as a sentence.
    pub rule: String,
    /// Whether the component keeps it.
    pub kept: bool,
    /// The first breach, or what was asked.
    pub detail: String,
}

/// What calls of a component cost on this machine; fuel and bytes are the same on all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Lines of the large call.
    pub lines: u64,
    /// Median time of a call with one line in a fresh instance, microseconds.
    pub call_us_p50: u64,
    /// Time of a line in the large call, nanoseconds.
    pub line_ns: u64,
    /// Fuel of a call with one line.
    pub call_fuel: u64,
    /// Fuel of a line in the large call.
    pub line_fuel: u64,
    /// Largest memory, bytes.
    pub peak_memory_bytes: u64,
}

/// What the kit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The rules, in the order they were asked.
    pub checks: Vec<Check>,
    /// What calls cost; absent when the component answers nothing.
    pub cost: Option<Cost>,
}

impl Report {
    /// Whether every rule is kept.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.kept)
    }
}

/// What is asked of a component of any world: questions by their index, in batches.
trait Subject {
    /// The answer to one question, compared for equality.
    type Answer: PartialEq + std::fmt::Debug;

    /// How many questions there are.
    fn len(&self) -> usize;

    /// Asks the named questions in that order.
    fn ask(&self, ctx: &CallContext, questions: &[usize]) -> Call<Vec<Self::Answer>>;

    /// What is wrong with the answer to a question by the rules of the domain; None when nothing is.
    fn wrong(&self, question: usize, answer: &Self::Answer) -> Option<String>;

    /// What is wrong with all answers together.
    fn wrong_together(&self, answers: &[(usize, Self::Answer)]) -> Option<String>;
}

impl Runtime {
    /// Asks everything that the kit of the component's world asks, with a configuration (JSON text).
    pub fn conformance(&self, plugin: &Plugin, config: &str) -> Report {
        self.conformance_with(plugin, config, &[])
    }

    /// The same, with examples of what a gateway sends: each is given the signature that is right under the kit's secrets,
    /// and then changed byte by byte and sent again. For other worlds they mean nothing.
    pub fn conformance_with(&self, plugin: &Plugin, config: &str, notifications: &[Incoming]) -> Report {
        let plugin = &plugin.rehearsing();
        match plugin.world() {
            World::ProrationStrategy => examine(&proration::questions(self, plugin), config),
            World::TaxRule => examine(&tax::documents(self, plugin), config),
            World::NumberingScheme => examine(&numbering::drafts(self, plugin), config),
            World::PaymentGateway => {
                let mut report = examine(&gateway::questions(self, plugin), config);
                let gateway = gateway_rules::Gateway::new(self, plugin, context(config));
                report.checks.extend(gateway.rules(notifications));
                report
            }
        }
    }
}

fn context(config: &str) -> CallContext {
    CallContext {
        tenant: "ten_kit".into(),
        binding: "bnd_kit".into(),
        config: config.into(),
        now_ms: NOW_MS,
        zone: "Europe/Moscow".into(),
        locale: "ru-RU".into(),
    }
}

fn examine<S: Subject>(subject: &S, config: &str) -> Report {
    let ctx = context(config);
    let mut checks = Vec::new();
    let mut rule = |rule: &str, breach: Option<String>, asked: String| {
        let (kept, detail) = breach.map_or((true, asked), |breach| (false, breach));
        checks.push(Check { rule: rule.into(), kept, detail });
    };

    // Each by itself first: a question that is a fault must not take others with it.
    let (mut answered, mut faults, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for question in 0..subject.len() {
        match subject.ask(&ctx, &[question]).result {
            Ok(answers) => answered.extend(answers.into_iter().map(|answer| (question, answer))),
            Err(CallFailure::Refused { .. }) => faults.push(question),
            Err(failure) => failures.push(format!("question {question}: {failure}")),
        }
    }
    let asked = format!("{} answered, {} faults", answered.len(), faults.len());
    rule("a call ends with an answer or a fault, never with a trap or a limit", failures.first().cloned(), asked);
    let none = answered.is_empty().then(|| "every question is a fault; is the configuration right?".to_owned());
    rule("questions are answered", none, format!("{} of {}", answered.len(), subject.len()));
    let wrong = answered.iter().find_map(|(question, answer)| subject.wrong(*question, answer));
    rule("every answer passes the host's check", wrong, format!("{} answers", answered.len()));
    let together = subject.wrong_together(&answered);
    rule("answers agree with one another", together, format!("{} answers", answered.len()));

    let order: Vec<usize> = answered.iter().map(|(question, _)| *question).collect();
    let batch = subject.ask(&ctx, &order);
    rule(
        "a batch gives what its questions give one by one",
        differs(&answered, batch.result.as_deref(), |at| at),
        format!("{} questions in one call", order.len()),
    );
    let backwards: Vec<usize> = order.iter().rev().copied().collect();
    let reversed = subject.ask(&ctx, &backwards);
    let last = order.len().saturating_sub(1);
    rule(
        "an answer does not depend on the other questions of its call",
        differs(&answered, reversed.result.as_deref(), |at| last - at),
        "the same call backwards".into(),
    );
    let again = subject.ask(&ctx, &order);
    let same = batch.record.output == again.record.output && batch.record.fuel == again.record.fuel;
    let unlike = format!("fuel {} and {}", batch.record.fuel, again.record.fuel);
    rule("the same call gives the same bytes for the same fuel", (!same).then_some(unlike), "made twice".into());

    let stranger = subject.ask(&context("[]"), order.get(..1).unwrap_or_default());
    let accepted = match stranger.result {
        Err(CallFailure::Refused { .. }) => None,
        Ok(_) => Some("the configuration \"[]\" was taken".to_owned()),
        Err(failure) => Some(format!("the configuration \"[]\" ended with: {failure}")),
    };
    rule("a configuration that is no object is a fault", accepted, "\"[]\"".into());

    let cost = order.first().map(|&first| cost(subject, &ctx, first, &order, &batch.record));
    Report { checks, cost }
}

/// The first answer that is not the expected one; `at` says where the answer to an expected one stands.
fn differs<A: PartialEq + std::fmt::Debug>(
    expected: &[(usize, A)],
    answers: Result<&[A], &CallFailure>,
    at: impl Fn(usize) -> usize,
) -> Option<String> {
    let answers = match answers {
        Ok(answers) => answers,
        Err(failure) => return Some(failure.to_string()),
    };
    expected.iter().enumerate().find_map(|(place, (question, answer))| match answers.get(at(place)) {
        Some(other) if other == answer => None,
        other => Some(format!("question {question}: {answer:?} alone, {other:?} in the batch")),
    })
}

fn cost<S: Subject>(subject: &S, ctx: &CallContext, first: usize, order: &[usize], batch: &CallRecord) -> Cost {
    let mut times = Vec::with_capacity(TIMED_CALLS);
    let mut single = None;
    for _ in 0..TIMED_CALLS {
        let begun = Instant::now();
        let call = subject.ask(ctx, &[first]);
        times.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        single = Some(call.record);
    }
    times.sort_unstable();
    let lines = u64::try_from(order.len()).unwrap_or(u64::MAX).max(1);
    Cost {
        lines,
        call_us_p50: times.get(TIMED_CALLS / 2).copied().unwrap_or_default(),
        line_ns: batch.duration_us.saturating_mul(1_000) / lines,
        call_fuel: single.map_or(0, |record| record.fuel),
        line_fuel: batch.fuel / lines,
        peak_memory_bytes: batch.peak_memory_bytes,
    }
}

/// Numbers that look random and are the same everywhere: Knuth's linear congruential generator (MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }

    fn minor(&mut self, bound: i64) -> i64 {
        i64::try_from(self.below(u64::try_from(bound).unwrap_or(1))).unwrap_or_default()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T], otherwise: T) -> T {
        let at = self.below(u64::try_from(choices.len()).unwrap_or(1));
        usize::try_from(at).ok().and_then(|at| choices.get(at)).copied().unwrap_or(otherwise)
    }
}
