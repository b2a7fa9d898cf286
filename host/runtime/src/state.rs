//! What a store carries beside the guest: its memory meter and its notes.
//!
//! Invariant: a note never forges a line of the operator's log, and neither notes nor memory exceed their limits.

use std::fmt::Write as _;

use altyn_domain::plugin::World;
use wasmtime::ResourceLimiter;

use crate::bindings::{wit_exchange, wit_log, wit_types};
use crate::config::Limits;
use crate::vault::VaultUse;

/// Most entries of a table in a guest.
const TABLE_ELEMENTS: usize = 20_000;

/// The host's side of one call.
pub(crate) struct State {
    pub(crate) memory: MemoryMeter,
    pub(crate) notes: Notes,
    pub(crate) vault: VaultUse,
}

impl State {
    pub(crate) fn new(world: World, limits: &Limits) -> Self {
        Self {
            vault: VaultUse::closed(),
            memory: MemoryMeter { limit: limits.memory_bytes, held: 0, denied: None },
            notes: Notes {
                world,
                lines: Vec::new(),
                bytes: 0,
                dropped: 0,
                max_lines: limits.log_lines,
                max_bytes: limits.log_bytes,
            },
        }
    }
}

/// Counts what all memories of the guest grow to together, and refuses growth past the limit. Memory never shrinks, so
/// what is held is its peak.
pub(crate) struct MemoryMeter {
    limit: usize,
    pub(crate) held: usize,
    /// What was asked when the limit refused first.
    pub(crate) denied: Option<usize>,
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let held = self.held.saturating_add(desired.saturating_sub(current));
        if held > self.limit {
            self.denied.get_or_insert(held);
            return Ok(false);
        }
        self.held = held;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// The notes of one call.
pub(crate) struct Notes {
    world: World,
    lines: Vec<String>,
    bytes: usize,
    dropped: usize,
    max_lines: usize,
    max_bytes: usize,
}

impl Notes {
    fn keep(&mut self, level: wit_log::Level, message: &str) {
        let (name, room) = (level_name(level), self.max_bytes.saturating_sub(self.bytes));
        if self.lines.len() >= self.max_lines || message.len() > room {
            self.dropped += 1;
            return;
        }
        let line = escaped(name, message);
        let world = self.world.as_str();
        match level {
            wit_log::Level::Debug => tracing::debug!(target: "altyn::plugin", world, "{line}"),
            wit_log::Level::Info => tracing::info!(target: "altyn::plugin", world, "{line}"),
            wit_log::Level::Warn => tracing::warn!(target: "altyn::plugin", world, "{line}"),
            wit_log::Level::Error => tracing::error!(target: "altyn::plugin", world, "{line}"),
        }
        self.bytes += line.len();
        self.lines.push(line);
    }

    /// The kept notes, with a last line about the dropped ones.
    pub(crate) fn into_lines(mut self) -> Vec<String> {
        if self.dropped > 0 {
            self.lines.push(format!("host: {} more notes were dropped", self.dropped));
        }
        self.lines
    }
}

fn level_name(level: wit_log::Level) -> &'static str {
    match level {
        wit_log::Level::Debug => "debug",
        wit_log::Level::Info => "info",
        wit_log::Level::Warn => "warn",
        wit_log::Level::Error => "error",
    }
}

/// The message on one line: what could move a terminal's cursor or start another line is written as `\u{…}`.
fn escaped(level: &str, message: &str) -> String {
    let mut line = String::with_capacity(level.len() + 2 + message.len());
    line.push_str(level);
    line.push_str(": ");
    for c in message.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            // Writing to a string cannot fail.
            let _ = write!(line, "{}", c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line
}

impl wit_log::Host for State {
    fn emit(&mut self, level: wit_log::Level, message: String) {
        self.notes.keep(level, &message);
    }
}

impl wit_types::Host for State {}
impl wit_exchange::Host for State {}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(max_lines: usize, max_bytes: usize) -> Notes {
        Notes { world: World::TaxRule, lines: Vec::new(), bytes: 0, dropped: 0, max_lines, max_bytes }
    }

    #[test]
    fn a_note_cannot_forge_another_line() {
        let mut notes = notes(10, 1_000);
        notes.keep(wit_log::Level::Info, "paid\n2026 ERROR \u{1b}[31m боль \u{202e}");
        assert_eq!(notes.into_lines(), [r"info: paid\u{a}2026 ERROR \u{1b}[31m боль \u{202e}"]);
    }

    #[test]
    fn notes_past_the_limits_are_counted_and_dropped() {
        let mut by_lines = notes(2, 1_000);
        (0..5).for_each(|_| by_lines.keep(wit_log::Level::Warn, "x"));
        assert_eq!(by_lines.into_lines(), ["warn: x", "warn: x", "host: 3 more notes were dropped"]);
        let mut by_bytes = notes(100, 10);
        by_bytes.keep(wit_log::Level::Warn, "12345678901");
        assert_eq!(by_bytes.into_lines(), ["host: 1 more notes were dropped"]);
    }

    #[test]
    fn memory_past_the_limit_is_refused_and_remembered() {
        let mut meter = MemoryMeter { limit: 100, held: 0, denied: None };
        assert!(meter.memory_growing(0, 64, None).unwrap());
        assert!(!meter.memory_growing(64, 128, None).unwrap());
        assert!(!meter.memory_growing(64, 256, None).unwrap());
        assert_eq!((meter.held, meter.denied), (64, Some(128)));
    }

    #[test]
    fn several_memories_share_one_limit() {
        let mut meter = MemoryMeter { limit: 100, held: 0, denied: None };
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(0, 60, None).unwrap());
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert_eq!((meter.held, meter.denied), (100, Some(120)));
    }
}
