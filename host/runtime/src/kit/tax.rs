//! What a tax rule is asked: documents of sellers and buyers of several kinds, with one and many lines, positive,
//! negative and zero amounts, both meanings of a price, and days on both sides of the turn of a year.

use altyn_domain::money::{Currency, Money};
use altyn_domain::plugin::CallContext;
use altyn_domain::tax::{self, Assessment, Party, PriceMode, TaxDocument, TaxableLine};
use chrono::NaiveDate;

use super::{Numbers, Subject};
use crate::call::Call;
use crate::engine::Runtime;
use crate::install::Plugin;

/// How many documents are made.
const DOCUMENTS: usize = 120;

pub(super) struct Documents<'a> {
    runtime: &'a Runtime,
    plugin: &'a Plugin,
    asked: Vec<TaxDocument>,
}

pub(super) fn documents<'a>(runtime: &'a Runtime, plugin: &'a Plugin) -> Documents<'a> {
    let mut numbers = Numbers(2);
    let documents = (0..DOCUMENTS).filter_map(|index| document(&mut numbers, index)).collect();
    Documents { runtime, plugin, asked: documents }
}

fn document(numbers: &mut Numbers, index: usize) -> Option<TaxDocument> {
    let party = |id: &str, kind: &str, country: &str| Party {
        id: id.into(),
        kind: kind.into(),
        country: country.into(),
        tax_ids: if country == "RU" { vec![("inn".into(), "7707083893".into())] } else { Vec::new() },
        attributes: Vec::new(),
    };
    let kind = numbers.one_of(&["legal-entity", "sole-proprietor", "individual"], "individual");
    let country = numbers.one_of(&["RU", "RU", "KZ", ""], "RU");
    let (year, month, day) =
        numbers.one_of(&[(2025, 12, 31), (2026, 1, 1), (2026, 11, 1), (2028, 2, 29)], (2026, 1, 1));
    let on = NaiveDate::from_ymd_opt(year, month, day)?;
    let lines = numbers.one_of(&[1_u64, 1, 2, 7], 1);
    let lines = (0..lines).map(|line| TaxableLine {
        id: format!("line-{line}"),
        amount: Money::new(
            numbers.one_of(&[0, 1, 5, 59_000, -59_000, 1_000_000_000_000], 1) + numbers.minor(100),
            Currency::RUB,
        ),
        supplied_on: on,
        category: numbers.one_of(&["standard", "standard", "", "reduced", "zero", "exempt"], "standard").into(),
        attributes: Vec::new(),
    });
    let lines = lines.collect();
    Some(TaxDocument {
        id: format!("document-{index}"),
        seller: party("seller", "legal-entity", "RU"),
        buyer: party("buyer", kind, country),
        issued_on: on,
        advance: numbers.below(4) == 0,
        mode: numbers.one_of(&[PriceMode::Included, PriceMode::OnTop], PriceMode::Included),
        lines,
    })
}

impl Subject for Documents<'_> {
    type Answer = Assessment;

    fn len(&self) -> usize {
        self.asked.len()
    }

    fn ask(&self, ctx: &CallContext, questions: &[usize]) -> Call<Vec<Assessment>> {
        let asked: Vec<TaxDocument> = questions.iter().filter_map(|&at| self.asked.get(at).cloned()).collect();
        self.runtime.assess(self.plugin, ctx, &asked)
    }

    fn wrong(&self, question: usize, answer: &Assessment) -> Option<String> {
        let document = self.asked.get(question)?;
        tax::check(document, answer).err().map(|violation| violation.to_string())
    }

    fn wrong_together(&self, _: &[(usize, Assessment)]) -> Option<String> {
        None
    }
}
