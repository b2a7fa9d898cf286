//! What a bad plugin can do to its host, chosen by the configuration.
//!
//! The test double of every world: its logic is here, one small component per world exports it.
//! `{"do":"loop"}` misbehaves always; `{"do":"loop","only":"x"}` only when a batch has an element that is named `x`
//! (what that is depends on the world), so that one contract among thousands can be poisoned.

use altyn_plugin::{Fault, Money};
use serde::Deserialize;

/// The JSON Schema of [`Config`].
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Misbehaviour",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "do": {
      "enum": ["ok", "trap", "loop", "memory", "flood-log", "huge-answer", "wrong-sum", "foreign-currency", "short-answer", "refuse", "extreme", "negative", "twice", "stranger", "not-a-number", "bad-text", "refuse-badly", "claimed-text", "broken-text"],
      "default": "ok"
    },
    "only": { "description": "misbehave only when the batch has an element of this name", "type": "string" }
  }
}"#;

/// The configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What to do.
    pub r#do: Deed,
    /// The element that provokes it; everything does when absent.
    pub only: Option<String>,
}

/// What a bad plugin does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Behaves.
    #[default]
    Ok,
    /// Panics.
    Trap,
    /// Never ends.
    Loop,
    /// Takes all the memory there is.
    Memory,
    /// Writes notes without end, with control characters; then behaves.
    FloodLog,
    /// Answers with a text of one megabyte.
    HugeAnswer,
    /// Answers amounts that do not sum.
    WrongSum,
    /// Answers in a currency nobody asked about.
    ForeignCurrency,
    /// Answers fewer elements than were asked.
    ShortAnswer,
    /// Refuses politely.
    Refuse,
    /// Answers the largest amounts there are.
    Extreme,
    /// Answers amounts below zero.
    Negative,
    /// Answers the same line again.
    Twice,
    /// Answers a line that nobody asked about.
    Stranger,
    /// Answers a rate that is no number; a sequence without a name.
    NotANumber,
    /// Answers texts with a NUL, an escape and reversed letters.
    BadText,
    /// Refuses with such a text.
    RefuseBadly,
    /// Answers a text that claims to be a gibibyte long.
    ClaimedText,
    /// Answers a text that is no UTF-8.
    BrokenText,
}

impl Config {
    /// The deed to do on an element of this name; what a guest cannot come back from is done here.
    ///
    /// # Panics
    /// When told to.
    pub fn provoke(&self, name: &str) -> Result<Deed, Fault> {
        if self.only.as_deref().is_some_and(|only| only != name) {
            return Ok(Deed::Ok);
        }
        match self.r#do {
            Deed::Trap => panic!("told to panic on {name}"),
            Deed::Loop => spin(),
            Deed::Memory => devour(),
            Deed::FloodLog => (0..10_000).for_each(|_| altyn_plugin::warn("flood\n\u{1b}[2Jof notes")),
            Deed::RefuseBadly => return Err(Fault::Other(BAD_TEXT.into())),
            Deed::Refuse => return Err(Fault::Other(format!("told to refuse {name}"))),
            _ => {}
        }
        Ok(self.r#do)
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = core::hint::black_box(turns.wrapping_add(1));
    }
}

fn devour() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(core::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// A text that would print as something else.
pub const BAD_TEXT: &str = "A\0\u{1b}[2J\u{202e}1";

/// The text that the deed puts where an honest one belongs, if it is about texts: larger than any text of an answer may be,
/// printing as something else, longer than the memory it lies in, or none.
#[expect(unsafe_code, reason = "what no safe program can hand over is what the host has to survive")]
pub fn told(deed: Deed) -> Option<String> {
    match deed {
        Deed::HugeAnswer => Some("x".repeat(1 << 20)),
        Deed::BadText => Some(BAD_TEXT.into()),
        Deed::ClaimedText => {
            let mut text = vec![b'x'];
            // SAFETY: there is none: nothing but the host ever looks at the bytes, and it must find out by itself.
            unsafe { text.set_len(1 << 30) };
            // SAFETY: as above.
            Some(unsafe { String::from_utf8_unchecked(core::hint::black_box(text)) })
        }
        // SAFETY: as above.
        Deed::BrokenText => Some(unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe, 0xfd]) }),
        _ => None,
    }
}

/// The amount as the deed leaves it: untouched, one minor unit off, extreme, below zero, or in another currency.
pub fn spoil(deed: Deed, money: Money) -> Money {
    match deed {
        Deed::WrongSum => money.with_minor(money.minor + 1),
        Deed::Extreme => money.with_minor(i64::MAX),
        Deed::Negative => money.with_minor(money.minor.saturating_neg().saturating_sub(1)),
        Deed::ForeignCurrency => {
            Money { minor: money.minor, currency: if money.currency == "EUR" { "USD" } else { "EUR" }.into() }
        }
        _ => money,
    }
}

/// A description of the test double of a world.
pub fn describe(world: &str) -> altyn_plugin::Descriptor {
    altyn_plugin::describe(
        &format!("hostile-{world}"),
        env!("CARGO_PKG_VERSION"),
        "Test double that misbehaves on demand",
        SCHEMA,
    )
}
