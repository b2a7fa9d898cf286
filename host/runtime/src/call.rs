//! Calls: a fresh store, the limits of the batch, one export, and a record of what happened.
//!
//! Owns the path that every call takes, first time or replayed. Invariant: a store serves one call and is dropped,
//! whatever came of it; a record exists for every call; a call that failed is charged its whole fuel, because the
//! meter cannot be trusted after a trap.

use std::time::Instant;

use altyn_domain::numbering::{Draft, Sequence};
use altyn_domain::plugin::{CallContext, World};
use altyn_domain::proration::{Question, Share};
use altyn_domain::tax::{Assessment, TaxDocument};
use altyn_domain::visible;
use serde::Serialize;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, WasmBacktrace};

use crate::bindings::{wit_numbering, wit_proration, wit_tax, wit_types};
use crate::config::Limits;
use crate::convert::{self, Wrong};
use crate::digest::Digest;
use crate::engine::{Runtime, Shared};
use crate::evidence;
use crate::failure::{Bulkhead, CallFailure, FaultKind};
use crate::install::{Plugin, Pre};
use crate::state::State;
use crate::v0_1;
use crate::vault::{Entry, VaultUse};

/// Longest text of a fault, characters.
const MAX_FAULT_CHARACTERS: usize = 1_000;
/// Longest name of a function, characters.
const MAX_NAME_CHARACTERS: usize = 200;
/// Most frames of a guest's backtrace that are kept.
const MAX_FRAMES: usize = 16;

/// What a call gave and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<T> {
    /// The evidence and the usage.
    pub record: CallRecord,
    /// The answer, or why there is none.
    pub result: Result<T, CallFailure>,
}

/// The evidence and the usage of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// The component.
    pub digest: Digest,
    /// Its world.
    pub world: World,
    /// What was called, interface and function: `proration.prorate`, `gateway.begin`.
    pub export: &'static str,
    /// The arguments as evidence; [`Runtime::replay`] takes them.
    pub input: Vec<u8>,
    /// The answer as evidence; empty when the plugin gave none.
    pub output: Vec<u8>,
    /// Fuel used; the whole budget after a trap or a limit.
    pub fuel: u64,
    /// Largest linear memory, bytes.
    pub peak_memory_bytes: u64,
    /// Wall time of instantiation and call, microseconds.
    pub duration_us: u64,
    /// The plugin's notes, one line each, control characters escaped.
    pub log: Vec<String>,
}

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Export {
    Prorate,
    Assess,
    Sequences,
    Numbers,
    Capabilities,
    Begin,
    Resume,
    Receive,
    ReceiveResume,
}

impl Export {
    const ALL: [Self; 9] = [
        Self::Prorate,
        Self::Assess,
        Self::Sequences,
        Self::Numbers,
        Self::Capabilities,
        Self::Begin,
        Self::Resume,
        Self::Receive,
        Self::ReceiveResume,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Prorate => "proration.prorate",
            Self::Assess => "tax.assess",
            Self::Sequences => "numbering.sequences",
            Self::Numbers => "numbering.numbers",
            Self::Capabilities => "gateway.capabilities-of",
            Self::Begin => "gateway.begin",
            Self::Resume => "gateway.resume",
            Self::Receive => "gateway.receive",
            Self::ReceiveResume => "gateway.receive-resume",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|export| export.as_str() == name)
    }

    fn world(self) -> World {
        match self {
            Self::Prorate => World::ProrationStrategy,
            Self::Assess => World::TaxRule,
            Self::Sequences | Self::Numbers => World::NumberingScheme,
            Self::Capabilities | Self::Begin | Self::Resume | Self::Receive | Self::ReceiveResume => {
                World::PaymentGateway
            }
        }
    }

    /// Whether it reads what a stranger sent.
    pub(crate) fn is_of_a_notification(self) -> bool {
        matches!(self, Self::Receive | Self::ReceiveResume)
    }
}

impl<T> Call<T> {
    /// The same call with its answer converted; an answer that does not convert is invalid and stays in the record.
    pub(crate) fn convert<U>(self, convert: impl FnOnce(T) -> Result<U, Wrong>) -> Call<U> {
        let result =
            self.result.and_then(|answer| convert(answer).map_err(|wrong| CallFailure::InvalidAnswer(visible(&wrong))));
        Call { record: self.record, result }
    }

    /// The same call with its answer as evidence.
    pub(crate) fn into_bytes(self) -> Call<Vec<u8>> {
        let output = self.result.map(|_| self.record.output.clone());
        Call { record: self.record, result: output }
    }
}

/// A call that was not made.
pub(crate) fn not_made<T>(plugin: &Plugin, export: &'static str, input: Vec<u8>, failure: CallFailure) -> Call<T> {
    Call { record: record(plugin, export, input), result: Err(failure) }
}

fn record(plugin: &Plugin, export: &'static str, input: Vec<u8>) -> CallRecord {
    CallRecord {
        digest: plugin.digest(),
        world: plugin.world(),
        export,
        input,
        output: Vec::new(),
        fuel: 0,
        peak_memory_bytes: 0,
        duration_us: 0,
        log: Vec::new(),
    }
}

impl Runtime {
    /// Asks a proration strategy; answers come in the order of the questions and are not yet checked by
    /// [`altyn_domain::proration::check`].
    pub fn prorate(&self, plugin: &Plugin, ctx: &CallContext, questions: &[Question]) -> Call<Vec<Share>> {
        let questions_wit = questions.iter().map(convert::question).collect();
        let args = evidence::Prorate { ctx: convert::context(ctx), questions: questions_wit };
        let input = evidence::bytes(&args, questions.len());
        self.call_prorate(plugin, &args, input).convert(|answers| {
            convert::counted(&answers, questions.len())?;
            questions.iter().zip(answers).map(|(question, answer)| convert::share(question, answer)).collect()
        })
    }

    /// Asks a tax rule; answers come in the order of the documents and are not yet checked by
    /// [`altyn_domain::tax::check`].
    pub fn assess(&self, plugin: &Plugin, ctx: &CallContext, documents: &[TaxDocument]) -> Call<Vec<Assessment>> {
        let documents_wit = match documents.iter().map(convert::document).collect() {
            Ok(documents) => documents,
            Err(wrong) => {
                let failure = CallFailure::InvalidQuestion(wrong);
                return not_made(plugin, Export::Assess.as_str(), Vec::new(), failure);
            }
        };
        let args = evidence::Assess { ctx: convert::context(ctx), documents: documents_wit };
        let input = evidence::bytes(&args, lines_of(&args));
        self.call_assess(plugin, &args, input).convert(|answers| {
            convert::counted(&answers, documents.len())?;
            documents.iter().zip(answers).map(|(document, answer)| convert::assessment(document, answer)).collect()
        })
    }

    /// Asks a numbering scheme which sequences the drafts draw from; answers come in the order of the drafts and are
    /// not yet checked by [`altyn_domain::numbering::check_sequence`].
    pub fn sequences(&self, plugin: &Plugin, ctx: &CallContext, drafts: &[Draft]) -> Call<Vec<Sequence>> {
        let drafts_wit = drafts.iter().map(convert::draft).collect();
        let args = evidence::Sequences { ctx: convert::context(ctx), drafts: drafts_wit };
        let input = evidence::bytes(&args, drafts.len());
        self.call_sequences(plugin, &args, input).convert(|answers| {
            convert::counted(&answers, drafts.len())?;
            answers.into_iter().map(convert::sequence).collect()
        })
    }

    /// Asks a numbering scheme for the numbers of drafts whose counters gave `values`, one value per draft; answers
    /// come in the order of the drafts and are not yet checked by [`altyn_domain::numbering::check_number`].
    pub fn numbers(&self, plugin: &Plugin, ctx: &CallContext, drafts: &[Draft], values: &[u64]) -> Call<Vec<String>> {
        if drafts.len() != values.len() {
            let failure = CallFailure::InvalidQuestion(format!("{} drafts with {} values", drafts.len(), values.len()));
            return not_made(plugin, Export::Numbers.as_str(), Vec::new(), failure);
        }
        let drafts_wit = drafts.iter().map(convert::draft).collect();
        let args = evidence::Numbers { ctx: convert::context(ctx), drafts: drafts_wit, values: values.to_vec() };
        let input = evidence::bytes(&args, drafts.len());
        self.call_numbers(plugin, &args, input).convert(|answers| {
            convert::counted(&answers, drafts.len())?;
            answers.into_iter().map(convert::number).collect()
        })
    }

    pub(crate) fn call_prorate(
        &self,
        plugin: &Plugin,
        args: &evidence::Prorate,
        input: Vec<u8>,
    ) -> Call<Vec<wit_proration::Share>> {
        self.shared.run(plugin, Export::Prorate, &args.ctx, args.questions.len(), input, |pre, store| {
            let Pre::V0_1(linked) = pre;
            let v0_1::Linked::Proration(pre) = linked else { return Ok(None) };
            let guest = pre.instantiate(&mut *store)?;
            guest.altyn_billing_proration().call_prorate(store, &args.ctx, &args.questions).map(Some)
        })
    }

    pub(crate) fn call_assess(
        &self,
        plugin: &Plugin,
        args: &evidence::Assess,
        input: Vec<u8>,
    ) -> Call<Vec<wit_tax::Assessment>> {
        self.shared.run(plugin, Export::Assess, &args.ctx, lines_of(args), input, |pre, store| {
            let Pre::V0_1(linked) = pre;
            let v0_1::Linked::Tax(pre) = linked else { return Ok(None) };
            let guest = pre.instantiate(&mut *store)?;
            guest.altyn_billing_tax().call_assess(store, &args.ctx, &args.documents).map(Some)
        })
    }

    pub(crate) fn call_sequences(
        &self,
        plugin: &Plugin,
        args: &evidence::Sequences,
        input: Vec<u8>,
    ) -> Call<Vec<wit_numbering::Sequence>> {
        self.shared.run(plugin, Export::Sequences, &args.ctx, args.drafts.len(), input, |pre, store| {
            let Pre::V0_1(linked) = pre;
            let v0_1::Linked::Numbering(pre) = linked else { return Ok(None) };
            let guest = pre.instantiate(&mut *store)?;
            guest.altyn_billing_numbering().call_sequences(store, &args.ctx, &args.drafts).map(Some)
        })
    }

    pub(crate) fn call_numbers(&self, plugin: &Plugin, args: &evidence::Numbers, input: Vec<u8>) -> Call<Vec<String>> {
        self.shared.run(plugin, Export::Numbers, &args.ctx, args.drafts.len(), input, |pre, store| {
            let Pre::V0_1(linked) = pre;
            let v0_1::Linked::Numbering(pre) = linked else { return Ok(None) };
            let guest = pre.instantiate(&mut *store)?;
            guest.altyn_billing_numbering().call_numbers(store, &args.ctx, &args.drafts, &args.values).map(Some)
        })
    }
}

fn lines_of(args: &evidence::Assess) -> usize {
    args.documents.iter().map(|document| document.lines.len()).sum()
}

/// A call that is wanted.
pub(crate) struct Asked<'a> {
    pub(crate) export: Export,
    /// For whom.
    pub(crate) ctx: &'a wit_types::Context,
    /// How many lines it decides.
    pub(crate) lines: usize,
    /// Its arguments as evidence.
    pub(crate) input: Vec<u8>,
    /// What it may compute with secrets.
    pub(crate) vault: VaultUse,
}

/// What comes out of the machine: a trap or limit, nothing when the plugin is of another world, the guest's refusal,
/// or its answer.
pub(crate) type Ran<R> = wasmtime::Result<Option<Result<R, wit_types::Fault>>>;

impl Shared {
    /// Makes one call in a fresh store; only [`Shared::run_with`] calls this, after it let the call in.
    pub(crate) fn perform<R: Serialize>(
        &self,
        plugin: &Plugin,
        asked: Asked<'_>,
        limits: &Limits,
        call: impl FnOnce(&Pre, &mut Store<State>) -> Ran<R>,
    ) -> (Call<R>, Vec<Entry>) {
        let Asked { export, lines, input, vault, .. } = asked;
        let mut record = record(plugin, export.as_str(), input);
        let started = Instant::now();
        let state = State { vault, ..State::new(plugin.world(), limits) };
        let mut store = match self.store(plugin.engine(), state, limits, lines) {
            Ok(store) => store,
            Err(error) => return (Call { record, result: Err(trap(&error)) }, Vec::new()),
        };
        let ran = call(plugin.pre(), &mut store);
        record.duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let budget = limits.fuel_for(lines);
        record.fuel = match ran {
            Ok(_) => budget - store.get_fuel().unwrap_or_default().min(budget),
            Err(_) => budget,
        };
        let result = match ran {
            Ok(Some(Ok(answer))) => {
                record.output = evidence::bytes(&answer, lines);
                Ok(answer)
            }
            Ok(Some(Err(fault))) => Err(refusal(fault)),
            Ok(None) => Err(CallFailure::WrongWorld { has: plugin.world(), needs: export.world() }),
            Err(error) => Err(failure(&error, store.data(), limits, lines)),
        };
        let state = store.into_data();
        record.peak_memory_bytes = u64::try_from(state.memory.held).unwrap_or(u64::MAX);
        let transcript = state.vault.into_transcript();
        record.log = state.notes.into_lines();
        if let Err(failure) = &result {
            tracing::warn!(
                plugin = %record.digest,
                export = record.export,
                code = failure.code(),
                input = %Digest::of(&record.input),
                "{failure}"
            );
        }
        (Call { record, result }, transcript)
    }
}

fn refusal(fault: wit_types::Fault) -> CallFailure {
    let (kind, text) = match fault {
        wit_types::Fault::Misconfigured(text) => (FaultKind::Misconfigured, text),
        wit_types::Fault::Unsupported(text) => (FaultKind::Unsupported, text),
        wit_types::Fault::Invalid(text) => (FaultKind::Invalid, text),
        wit_types::Fault::Other(text) => (FaultKind::Other, text),
    };
    // What a guest writes is stored and shown as text, so it must be text.
    let message = visible(&text.chars().take(MAX_FAULT_CHARACTERS).collect::<String>());
    CallFailure::Refused { kind, message }
}

/// Tells the limits apart from crashes. The order matters: a guest that is refused memory aborts, which looks like a
/// crash unless the meter is asked first.
pub(crate) fn failure(error: &wasmtime::Error, state: &State, limits: &Limits, lines: usize) -> CallFailure {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return CallFailure::OutOfFuel { fuel: limits.fuel_for(lines) },
        Some(Trap::Interrupt) => return CallFailure::TimedOut { wall_ms: limits.wall_ms },
        _ => {}
    }
    if let Some(asked) = state.memory.denied {
        return CallFailure::MemoryLimit { asked, limit: limits.memory_bytes };
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return CallFailure::Busy { bulkhead: Bulkhead::Host, waited_ms: 0 };
    }
    // wasmtime keeps the type of this error to itself.
    if error.chain().any(|cause| cause.to_string().contains("fuel allocated for hostcalls has been exhausted")) {
        return CallFailure::OutputLimit { limit: limits.hostcall_bytes_for(lines) };
    }
    trap(error)
}

fn trap(error: &wasmtime::Error) -> CallFailure {
    let backtrace = error.downcast_ref::<WasmBacktrace>().map_or_else(Vec::new, |trace| {
        let name = |frame: &wasmtime::FrameInfo| {
            visible(&frame.func_name().unwrap_or("unnamed").chars().take(MAX_NAME_CHARACTERS).collect::<String>())
        };
        trace.frames().iter().take(MAX_FRAMES).map(name).collect()
    });
    let message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    CallFailure::Trap { message: visible(&message), backtrace }
}
