//! What stands before and behind every call: the size of the question, the circuit breaker, the bulkheads, the meter.
//!
//! Invariant: no call reaches a component without passing here, and every call is counted here once, made or not.

use serde::Serialize;
use wasmtime::Store;

use crate::admission::Full;
use crate::bindings::wit_types;
use crate::breaker::{Admitted, Heard, Line};
use crate::call::{Asked, Call, Export, Ran, not_made};
use crate::engine::Shared;
use crate::failure::CallFailure;
use crate::install::{Plugin, Pre};
use crate::meter::Purpose;
use crate::recheck;
use crate::state::State;
use crate::vault::{Entry, VaultUse};

impl Shared {
    /// Makes one call in a fresh store, if it may be made now.
    pub(crate) fn run<R: Serialize>(
        &self,
        plugin: &Plugin,
        export: Export,
        ctx: &wit_types::Context,
        lines: usize,
        input: Vec<u8>,
        call: impl FnOnce(&Pre, &mut Store<State>) -> Ran<R>,
    ) -> Call<R> {
        let asked = Asked { export, ctx, lines, input, vault: VaultUse::closed() };
        self.run_with(plugin, asked, call).0
    }

    /// Makes one call with a vault, if it may be made now, and gives the vault's transcript back.
    pub(crate) fn run_with<R: Serialize>(
        &self,
        plugin: &Plugin,
        asked: Asked<'_>,
        call: impl FnOnce(&Pre, &mut Store<State>) -> Ran<R>,
    ) -> (Call<R>, Vec<Entry>) {
        let Asked { export, ctx, lines, .. } = asked;
        let span = tracing::debug_span!(
            "plugin_call",
            tenant = ctx.tenant,
            binding = ctx.binding,
            plugin = plugin.name(),
            component = %plugin.digest(),
            world = plugin.world().as_str(),
            export = export.as_str(),
            purpose = plugin.purpose().as_str(),
            lines,
            outcome = tracing::field::Empty,
            fuel = tracing::field::Empty,
            duration_us = tracing::field::Empty,
        );
        let _inside = span.enter();
        let (made, transcript) = self.guarded(plugin, asked, call);
        let code = made.result.as_ref().err().map(CallFailure::code);
        span.record("outcome", code.unwrap_or("answered"));
        span.record("fuel", made.record.fuel);
        span.record("duration_us", made.record.duration_us);
        self.meter.count(&ctx.tenant, plugin.purpose(), lines, &made.record, code);
        (made, transcript)
    }

    fn guarded<R: Serialize>(
        &self,
        plugin: &Plugin,
        asked: Asked<'_>,
        call: impl FnOnce(&Pre, &mut Store<State>) -> Ran<R>,
    ) -> (Call<R>, Vec<Entry>) {
        let Asked { export, ctx, lines, .. } = asked;
        let refused = |asked: Asked<'_>, failure| (not_made(plugin, export.as_str(), asked.input, failure), Vec::new());
        let limits = plugin.limits(&self.config.limits);
        let (bytes, limit) = (asked.input.len(), limits.input_bytes_for(lines));
        if bytes > limit {
            return refused(asked, CallFailure::InputLimit { bytes, limit });
        }
        // A rehearsal asks about the past: it must neither be refused because of today's failures nor cause refusals.
        let line = (plugin.purpose() == Purpose::Decision).then(|| Line {
            component: plugin.digest(),
            tenant: ctx.tenant.clone(),
            binding: ctx.binding.clone(),
            notification: export.is_of_a_notification(),
        });
        let admitted = line.as_ref().map_or(Admitted::Call, |line| self.breakers.ask(line, self.now_ms()));
        if let Admitted::Refused { retry_after_ms } = admitted {
            return refused(asked, CallFailure::CircuitOpen { retry_after_ms });
        }
        let whose = if plugin.purpose() == Purpose::Recheck { recheck::BULKHEAD } else { &ctx.tenant };
        let (made, transcript) = match self.places.enter(whose, plugin.digest()) {
            Ok(_place) => self.perform(plugin, asked, &limits, call),
            Err(full) => refused(asked, busy(full)),
        };
        if let Some(line) = line
            && self.breakers.heard(&line, admitted, heard(&made), self.now_ms())
        {
            tracing::warn!(
                tenant = ctx.tenant,
                binding = ctx.binding,
                component = %plugin.digest(),
                "the plugin only fails; it is not asked for a while. Bind another version or configuration"
            );
        }
        (made, transcript)
    }
}

pub(crate) fn busy(full: Full) -> CallFailure {
    CallFailure::Busy { bulkhead: full.bulkhead, waited_ms: full.waited_ms }
}

/// What a call says about its plugin's health. A wrong configuration is said at once and costs nothing: no breaker needed.
fn heard<R>(made: &Call<R>) -> Heard {
    match &made.result {
        Ok(_) | Err(CallFailure::Refused { .. } | CallFailure::InvalidAnswer(_)) => Heard::Answered,
        Err(
            CallFailure::Trap { .. }
            | CallFailure::OutOfFuel { .. }
            | CallFailure::TimedOut { .. }
            | CallFailure::MemoryLimit { .. }
            | CallFailure::OutputLimit { .. },
        ) => Heard::Failed,
        Err(
            CallFailure::Busy { .. }
            | CallFailure::CircuitOpen { .. }
            | CallFailure::InputLimit { .. }
            | CallFailure::InvalidQuestion(_)
            | CallFailure::WrongWorld { .. },
        ) => Heard::Nothing,
    }
}
