//! What a numbering scheme is asked: kinds of documents, sellers and days, each with several values of its counter.

use std::collections::HashMap;

use altyn_domain::numbering::{self, Draft, Sequence};
use altyn_domain::plugin::CallContext;
use chrono::{Days, NaiveDate};

use super::{Numbers, Subject};
use crate::call::Call;
use crate::engine::Runtime;
use crate::install::Plugin;

/// How many drafts are made.
const DRAFTS: usize = 200;

pub(super) struct Drafts<'a> {
    runtime: &'a Runtime,
    plugin: &'a Plugin,
    asked: Vec<(Draft, u64)>,
}

pub(super) fn drafts<'a>(runtime: &'a Runtime, plugin: &'a Plugin) -> Drafts<'a> {
    let mut numbers = Numbers(3);
    let start = NaiveDate::from_ymd_opt(2026, 12, 20).unwrap_or_default();
    let drafts = (0..DRAFTS).map(|index| {
        let value = numbers.one_of(&[0, 9, 998, 999_999, 999_999_999_000], 0) + numbers.below(20) + 1;
        let draft = Draft {
            id: format!("draft-{index}"),
            kind: numbers.one_of(&["invoice", "invoice", "act", "credit-note"], "invoice").into(),
            seller: "СЧ".into(),
            contract: numbers.one_of(&["Д-1/26", "", "1000001"], "").into(),
            issued_on: start.checked_add_days(Days::new(numbers.below(20))).unwrap_or(start),
            attributes: Vec::new(),
        };
        (draft, value)
    });
    Drafts { runtime, plugin, asked: drafts.collect() }
}

impl Subject for Drafts<'_> {
    type Answer = (Sequence, String);

    fn len(&self) -> usize {
        self.asked.len()
    }

    fn ask(&self, ctx: &CallContext, questions: &[usize]) -> Call<Vec<(Sequence, String)>> {
        let asked = questions.iter().filter_map(|&at| self.asked.get(at).cloned());
        let (drafts, values): (Vec<Draft>, Vec<u64>) = asked.unzip();
        let sequences = self.runtime.sequences(self.plugin, ctx, &drafts);
        let numbers = self.runtime.numbers(self.plugin, ctx, &drafts, &values);
        let result = sequences.result.and_then(|sequences| Ok(sequences.into_iter().zip(numbers.result?).collect()));
        let mut record = numbers.record;
        // One question of the kit is two calls: both outputs are compared, both are paid for.
        record.output.splice(0..0, sequences.record.output);
        record.fuel = record.fuel.saturating_add(sequences.record.fuel);
        record.duration_us = record.duration_us.saturating_add(sequences.record.duration_us);
        record.peak_memory_bytes = record.peak_memory_bytes.max(sequences.record.peak_memory_bytes);
        Call { record, result }
    }

    fn wrong(&self, _: usize, (sequence, number): &(Sequence, String)) -> Option<String> {
        let key = numbering::check_sequence(sequence).err();
        key.or_else(|| numbering::check_number(number).err()).map(|violation| violation.to_string())
    }

    fn wrong_together(&self, answers: &[(usize, (Sequence, String))]) -> Option<String> {
        let mut seen: HashMap<(&str, &str), u64> = HashMap::new();
        for (question, (sequence, number)) in answers {
            let Some((draft, value)) = self.asked.get(*question) else { continue };
            // The same value of the same counter for two contracts or days would be two documents: not asked of a host.
            let counter = (sequence.key.as_str(), number.as_str());
            if let Some(other) = seen.insert(counter, *value)
                && other != *value
            {
                return Some(format!(
                    "values {other} and {value} of sequence \"{}\" both give \"{number}\" ({})",
                    sequence.key, draft.kind
                ));
            }
        }
        None
    }
}
