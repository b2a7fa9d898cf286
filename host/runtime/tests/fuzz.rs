//! Whatever a guest hands over, the host answers with a value.
//!
//! Each test mutates real evidence, descriptions and components for a while, side by side with the others; `cargo xtask
//! fuzz` lets them run longer. A finding prints its target, its seed and its round, which make it again:
//! `ALTYN_FUZZ_SEED=… cargo xtask fuzz TARGET`.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

#[expect(dead_code, reason = "fixtures of other tests")]
mod common;

use std::time::{Duration, Instant};

use altyn_runtime::{Answer, Batch, CallRecord, Descriptor, Limits, LimitsTable, Runtime, RuntimeConfig, World};
use common::{RUNTIME, component, context, document, draft, plugin, question};

/// How long each target runs when nobody says so.
const SECONDS: u64 = 20;
/// The longest that one case may take, on a busy machine and in a build without optimisation.
const LONGEST: Duration = Duration::from_secs(20);

/// Splitmix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// The bytes with a few changes: flipped, cut out, doubled, replaced by what parsers stumble over.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        const STUMBLES: [&[u8]; 18] = [
            b"\0",
            b"\xff\xfe",
            b"\xed\xa0\x80",
            "\u{202e}".as_bytes(),
            b"NaN",
            b"1e400",
            b"-0",
            b"9223372036854775807",
            b"-9223372036854775808",
            b"18446744073709551616",
            b"0.00000000000000000000000000000000000001",
            b"null",
            b"[[[[[[[[[[[[[[[[",
            b"\"\\ud800\"",
            b"\x1b[2J",
            b"{}",
            b",",
            b"RUB",
        ];
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 => {
                    let end = (at + self.below(32)).min(bytes.len());
                    bytes.drain(at..end);
                }
                3 => {
                    let end = (at + self.below(64)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                4 => bytes.truncate(at),
                _ => {
                    let stumble = STUMBLES[self.below(STUMBLES.len())];
                    let end = (at + self.below(stumble.len() + 1)).min(bytes.len());
                    bytes.splice(at..end, stumble.iter().copied());
                }
            }
        }
        bytes
    }
}

/// Tells how to make a finding again.
struct Witness {
    target: &'static str,
    seed: u64,
    round: u64,
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("found by {} in round {} of ALTYN_FUZZ_SEED={}", self.target, self.round, self.seed);
        }
    }
}

/// Makes cases until the time is up; each has dice of its own.
fn run(target: &'static str, mut case: impl FnMut(&mut Dice)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let length = Duration::from_secs(number("ALTYN_FUZZ_SECONDS").unwrap_or(SECONDS));
    let seed = number("ALTYN_FUZZ_SEED").unwrap_or(u64::from(std::process::id()));
    let mut witness = Witness { target, seed, round: 0 };
    let began = Instant::now();
    while began.elapsed() < length {
        let mut dice = Dice(seed.wrapping_add(witness.round.wrapping_mul(0x2545_f491_4f6c_dd1d)));
        let case_began = Instant::now();
        case(&mut dice);
        assert!(case_began.elapsed() < LONGEST, "a case took {:?}", case_began.elapsed());
        witness.round += 1;
    }
    assert!(witness.round > 0);
    eprintln!("{target}: {} cases, seed {seed}", witness.round);
}

/// A real call of every export.
fn recorded() -> Vec<CallRecord> {
    let regime = context(r#"{"regime":"general"}"#);
    let template = context(r#"{"template":"СЧ-{year}-{seq:6}"}"#);
    let drafts = [draft(0, "1"), draft(1, "2")];
    let numbering = plugin("number-template");
    let records = [
        RUNTIME.prorate(&plugin("day-ratio"), &context(""), &[question(0, 69_000), question(1, 1)]).record,
        RUNTIME.assess(&plugin("ru-vat"), &regime, &[document(0, "b", &[12_000, 5]), document(1, "c", &[1])]).record,
        RUNTIME.sequences(&numbering, &template, &drafts).record,
        RUNTIME.numbers(&numbering, &template, &drafts, &[1, 2]).record,
    ];
    assert!(records.iter().all(|record| !record.output.is_empty()));
    records.to_vec()
}

#[test]
fn answers_are_read_or_refused() {
    let records = recorded();
    run("answers_are_read_or_refused", |dice| {
        let record = &records[dice.below(records.len())];
        let batch = Batch::read(record.export, &record.input).unwrap();
        let Ok(elements) = batch.answers(&dice.mutate(&record.output)) else { return };
        assert_eq!(elements.len(), batch.len(), "each question has its answer");
        for element in elements {
            let answers = element.answers.unwrap_or_default();
            assert!(answers.is_empty() || answers.len() == element.lines.len());
            for answer in answers {
                if let Answer::Tax(line) = answer {
                    assert_eq!(line.net.minor.checked_add(line.tax.minor), Some(line.gross.minor));
                }
            }
        }
    });
}

#[test]
fn questions_are_read_or_refused() {
    let records = recorded();
    run("questions_are_read_or_refused", |dice| {
        let record = &records[dice.below(records.len())];
        let Ok(batch) = Batch::read(record.export, &dice.mutate(&record.input)) else { return };
        let _ = batch.answers(&record.output);
        let again = Batch::read(record.export, &batch.input()).unwrap();
        assert_eq!(again.input(), batch.input(), "what was read is written the same");
        let whole = batch.len();
        let (first, second) = batch.halves();
        assert_eq!(first.len() + second.len(), whole);
    });
}

#[test]
fn recorded_calls_are_made_again_or_refused() {
    let records = recorded();
    let plugins = ["day-ratio", "ru-vat", "number-template", "number-template"].map(plugin);
    run("recorded_calls_are_made_again_or_refused", |dice| {
        let place = dice.below(records.len());
        let call = RUNTIME.replay(&plugins[place], records[place].export, &dice.mutate(&records[place].input));
        assert_eq!(call.result.is_ok(), !call.record.output.is_empty());
    });
}

#[test]
fn descriptions_and_schemas_are_sound_or_refused() {
    let schema = br#"{"type":"object","properties":{"regime":{"enum":["general"]}},"required":[]}"#;
    run("descriptions_and_schemas_are_sound_or_refused", |dice| {
        let mut text = |seed: &[u8]| String::from_utf8_lossy(&dice.mutate(seed)).into_owned();
        let descriptor = Descriptor {
            id: text(b"ru-vat"),
            version: text(b"1.4.0"),
            title: text("НДС России".as_bytes()),
            config_schema: text(schema),
            secrets: Vec::new(),
            hosts: Vec::new(),
        };
        if altyn_runtime::check_descriptor(&descriptor, World::TaxRule).is_ok() {
            assert!((1..=64).contains(&descriptor.id.len()) && !descriptor.title.chars().any(char::is_control));
            let schema: serde_json::Value = serde_json::from_str(&descriptor.config_schema).unwrap();
            assert_eq!(schema["type"], "object");
        }
    });
}

#[test]
fn components_are_taken_or_refused() {
    // Little fuel, so that a component that was changed into a loop ends soon.
    let limits = Limits { fuel: 1_000_000, ..Limits::default() };
    let limits = LimitsTable {
        proration_strategy: limits,
        tax_rule: limits,
        numbering_scheme: limits,
        ..LimitsTable::default()
    };
    let runtime = Runtime::new(&RuntimeConfig { limits, instances: 2, ..RuntimeConfig::default() }).unwrap();
    // A small one, made by hand, is mutated more often in the same time than a real one.
    let mut text = include_str!("attacks/numbering.wat").replace("{{pages}}", "2");
    while let Some((before, rest)) = text.split_once("{{") {
        text = format!("{before}{}", rest.split_once("}}").unwrap().1);
    }
    let seeds = [wat::parse_str(text).unwrap(), component("hostile-numbering")];
    assert!(seeds.iter().all(|seed| runtime.inspect(seed).is_ok()));
    run("components_are_taken_or_refused", |dice| {
        let seed = usize::from(dice.below(20) == 0);
        if let Ok(inspection) = runtime.inspect(&dice.mutate(&seeds[seed])) {
            assert_eq!(inspection.world, World::NumberingScheme);
        }
    });
}
