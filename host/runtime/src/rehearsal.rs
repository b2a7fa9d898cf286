//! Recorded batches, read back: what was asked and answered, line by line, and smaller batches of the same questions.
//!
//! For shadow runs, which ask another component what was asked before and compare answer by answer. Invariant: an answer
//! that comes out of here passed the same checks of shape and of the domain as one that decides.

use altyn_domain::calendar::Period;
use altyn_domain::money::{Currency, Money};
use altyn_domain::numbering::{self, Sequence};
use altyn_domain::proration::{self, CurrentDay, Question};
use altyn_domain::tax::{self, LineTax, Party, PriceMode, TaxDocument, TaxableLine};
use chrono::NaiveDate;
use serde::de::DeserializeOwned;

use crate::bindings::{wit_numbering, wit_proration, wit_tax, wit_types};
use crate::call::Export;
use crate::convert::{self, Wrong};
use crate::evidence;

/// A recorded batch of questions.
#[derive(Debug)]
pub struct Batch {
    export: Export,
    args: Args,
}

#[derive(Debug)]
enum Args {
    Prorate(evidence::Prorate),
    Assess(evidence::Assess),
    Sequences(evidence::Sequences),
    Numbers(evidence::Numbers),
}

/// What one question, document or draft of a batch was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Ids of its lines inside the batch; one but for tax documents.
    pub lines: Vec<String>,
    /// The answer about each line, or the rule that the answer breaks.
    pub answers: Result<Vec<Answer>, String>,
}

/// An answer about one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A price was shared.
    Share(proration::Share),
    /// A line was taxed.
    Tax(LineTax),
    /// A sequence was named.
    Sequence(Sequence),
    /// A number was formed.
    Number(String),
}

impl Batch {
    /// Reads the input of a recorded call of an export.
    pub fn read(export: &str, input: &[u8]) -> Result<Self, String> {
        let known = Export::named(export);
        let export = known.ok_or_else(|| format!("\"{export}\" is not an export of this contract"))?;
        let args = match export {
            Export::Prorate => Args::Prorate(read(input)?),
            Export::Assess => Args::Assess(read(input)?),
            Export::Sequences => Args::Sequences(read(input)?),
            Export::Numbers => Args::Numbers(read(input)?),
            Export::Capabilities | Export::Begin | Export::Resume | Export::Receive | Export::ReceiveResume => {
                return Err(format!("{} is no batch of questions; make the call again instead", export.as_str()));
            }
        };
        Ok(Self { export, args })
    }

    /// Its bytes as evidence; [`crate::Runtime::replay`] takes them.
    pub fn input(&self) -> Vec<u8> {
        match &self.args {
            Args::Prorate(args) => evidence::bytes(args, self.len()),
            Args::Assess(args) => evidence::bytes(args, self.len()),
            Args::Sequences(args) => evidence::bytes(args, self.len()),
            Args::Numbers(args) => evidence::bytes(args, self.len()),
        }
    }

    /// What it asks: `proration.prorate`, `tax.assess`, `numbering.sequences` or `numbering.numbers`.
    pub fn export(&self) -> &'static str {
        self.export.as_str()
    }

    /// The same questions under another configuration, JSON text.
    #[must_use]
    pub fn with_config(mut self, config: String) -> Self {
        match &mut self.args {
            Args::Prorate(args) => args.ctx.config = config,
            Args::Assess(args) => args.ctx.config = config,
            Args::Sequences(args) => args.ctx.config = config,
            Args::Numbers(args) => args.ctx.config = config,
        }
        self
    }

    /// How many questions, documents or drafts it has.
    pub fn len(&self) -> usize {
        match &self.args {
            Args::Prorate(args) => args.questions.len(),
            Args::Assess(args) => args.documents.len(),
            Args::Sequences(args) => args.drafts.len(),
            Args::Numbers(args) => args.drafts.len(),
        }
    }

    /// Whether it asks nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of the lines, element by element.
    pub fn lines(&self) -> Vec<Vec<String>> {
        match &self.args {
            Args::Prorate(args) => args.questions.iter().map(|question| vec![question.line.clone()]).collect(),
            Args::Assess(args) => {
                let ids = |document: &wit_tax::Document| document.lines.iter().map(|line| line.id.clone()).collect();
                args.documents.iter().map(ids).collect()
            }
            Args::Sequences(args) => args.drafts.iter().map(|draft| vec![draft.id.clone()]).collect(),
            Args::Numbers(args) => args.drafts.iter().map(|draft| vec![draft.id.clone()]).collect(),
        }
    }

    /// The first and the second half of its elements, each a batch in the same context.
    pub fn halves(mut self) -> (Self, Self) {
        let middle = self.len() / 2;
        let second = match &mut self.args {
            Args::Prorate(args) => {
                Args::Prorate(evidence::Prorate { ctx: args.ctx.clone(), questions: args.questions.split_off(middle) })
            }
            Args::Assess(args) => {
                Args::Assess(evidence::Assess { ctx: args.ctx.clone(), documents: args.documents.split_off(middle) })
            }
            Args::Sequences(args) => {
                Args::Sequences(evidence::Sequences { ctx: args.ctx.clone(), drafts: args.drafts.split_off(middle) })
            }
            Args::Numbers(args) => Args::Numbers(evidence::Numbers {
                ctx: args.ctx.clone(),
                drafts: args.drafts.split_off(middle),
                values: args.values.split_off(middle.min(args.values.len())),
            }),
        };
        let export = self.export;
        (self, Self { export, args: second })
    }

    /// Reads the output of a call with this input: one element each, in order.
    pub fn answers(&self, output: &[u8]) -> Result<Vec<Element>, String> {
        match &self.args {
            Args::Prorate(args) => {
                let shares: Vec<wit_proration::Share> = read(output)?;
                convert::counted(&shares, args.questions.len())?;
                Ok(args.questions.iter().zip(shares).map(share).collect())
            }
            Args::Assess(args) => {
                let assessments: Vec<wit_tax::Assessment> = read(output)?;
                convert::counted(&assessments, args.documents.len())?;
                Ok(args.documents.iter().zip(assessments).map(assessment).collect())
            }
            Args::Sequences(args) => {
                let sequences: Vec<wit_numbering::Sequence> = read(output)?;
                convert::counted(&sequences, args.drafts.len())?;
                let named = |sequence| {
                    let sequence = convert::sequence(sequence)?;
                    numbering::check_sequence(&sequence).map_err(|violation| violation.to_string())?;
                    Ok(vec![Answer::Sequence(sequence)])
                };
                let element = |(draft, sequence): (&wit_numbering::Draft, _)| element(&draft.id, named(sequence));
                Ok(args.drafts.iter().zip(sequences).map(element).collect())
            }
            Args::Numbers(args) => {
                let numbers: Vec<String> = read(output)?;
                convert::counted(&numbers, args.drafts.len())?;
                let formed = |number| {
                    let number = convert::number(number)?;
                    numbering::check_number(&number).map_err(|violation| violation.to_string())?;
                    Ok(vec![Answer::Number(number)])
                };
                Ok(args.drafts.iter().zip(numbers).map(|(draft, number)| element(&draft.id, formed(number))).collect())
            }
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    evidence::value(bytes).map_err(|error| format!("the evidence does not read: {error}"))
}

fn element(line: &str, answers: Result<Vec<Answer>, Wrong>) -> Element {
    Element { lines: vec![line.to_owned()], answers }
}

fn share((asked, answer): (&wit_proration::Question, wit_proration::Share)) -> Element {
    let checked = || {
        let question = question(asked)?;
        let share = convert::share(&question, answer)?;
        proration::check(&question, &share).map_err(|violation| violation.to_string())?;
        Ok(vec![Answer::Share(share)])
    };
    element(&asked.line, checked())
}

fn assessment((asked, answer): (&wit_tax::Document, wit_tax::Assessment)) -> Element {
    let checked = || {
        let document = document(asked)?;
        let assessment = convert::assessment(&document, answer)?;
        tax::check(&document, &assessment).map_err(|violation| violation.to_string())?;
        Ok(assessment.lines.into_iter().map(Answer::Tax).collect())
    };
    Element { lines: asked.lines.iter().map(|line| line.id.clone()).collect(), answers: checked() }
}

fn money(money: &wit_types::Money) -> Result<Money, Wrong> {
    Ok(Money::new(money.minor, Currency::parse(&money.currency).map_err(|error| error.to_string())?))
}

fn date(date: wit_types::Date) -> Result<NaiveDate, Wrong> {
    let found = NaiveDate::from_ymd_opt(date.year, u32::from(date.month), u32::from(date.day));
    found.ok_or_else(|| format!("{}-{}-{} is not a date", date.year, date.month, date.day))
}

fn period(period: wit_types::Period) -> Result<Period, Wrong> {
    Period::try_new(date(period.start)?, date(period.end)?).map_err(|error| error.to_string())
}

fn pairs(attributes: &[wit_types::Attribute]) -> Vec<(String, String)> {
    attributes.iter().map(|attribute| (attribute.name.clone(), attribute.value.clone())).collect()
}

fn question(asked: &wit_proration::Question) -> Result<Question, Wrong> {
    Ok(Question {
        line: asked.line.clone(),
        price: money(&asked.price)?,
        period: period(asked.period)?,
        used: period(asked.used)?,
        current_day: match asked.current_day {
            wit_proration::CurrentDay::Old => CurrentDay::Old,
            wit_proration::CurrentDay::New => CurrentDay::New,
            wit_proration::CurrentDay::Both => CurrentDay::Both,
            wit_proration::CurrentDay::Neither => CurrentDay::Neither,
        },
        billed: money(&asked.billed)?,
        credited: money(&asked.credited)?,
    })
}

fn party(party: &wit_types::Party) -> Party {
    Party {
        id: party.id.clone(),
        kind: party.kind.clone(),
        country: party.country.clone(),
        tax_ids: pairs(&party.tax_ids),
        attributes: pairs(&party.attributes),
    }
}

fn document(asked: &wit_tax::Document) -> Result<TaxDocument, Wrong> {
    let line = |line: &wit_tax::Line| {
        Ok(TaxableLine {
            id: line.id.clone(),
            amount: money(&line.amount)?,
            supplied_on: date(line.supplied_on)?,
            category: line.category.clone(),
            attributes: pairs(&line.attributes),
        })
    };
    Ok(TaxDocument {
        id: asked.id.clone(),
        seller: party(&asked.seller),
        buyer: party(&asked.buyer),
        issued_on: date(asked.issued_on)?,
        advance: asked.advance,
        mode: match asked.mode {
            wit_tax::PriceMode::Included => PriceMode::Included,
            wit_tax::PriceMode::OnTop => PriceMode::OnTop,
        },
        lines: asked.lines.iter().map(line).collect::<Result<_, Wrong>>()?,
    })
}

#[cfg(test)]
mod tests {
    use altyn_domain::numbering::Draft;

    use super::*;

    fn input(drafts: usize) -> Vec<u8> {
        let ctx = wit_types::Context {
            tenant: "t".into(),
            binding: "b".into(),
            config: "{}".into(),
            now: 0,
            zone: "UTC".into(),
            locale: "ru".into(),
        };
        let draft = |id: usize| Draft {
            id: id.to_string(),
            kind: "invoice".into(),
            seller: "s".into(),
            contract: "c".into(),
            issued_on: "2026-11-01".parse().unwrap(),
            attributes: Vec::new(),
        };
        let drafts: Vec<_> = (0..drafts).map(|id| convert::draft(&draft(id))).collect();
        evidence::bytes(&evidence::Numbers { ctx, values: (10..).take(drafts.len()).collect(), drafts }, 2)
    }

    #[test]
    fn a_batch_reads_back_to_its_own_bytes_and_its_halves_share_its_elements() {
        let bytes = input(5);
        let batch = Batch::read("numbering.numbers", &bytes).unwrap();
        assert_eq!((batch.input(), batch.len()), (bytes, 5));
        let (first, second) = batch.halves();
        assert_eq!((first.len(), second.len()), (2, 3));
        assert_eq!(second.lines(), [["2"], ["3"], ["4"]]);
        let Args::Numbers(args) = &second.args else { panic!("another export") };
        assert_eq!(args.values, [12, 13, 14], "each draft keeps its value");
    }

    #[test]
    fn an_answer_that_breaks_a_rule_spoils_its_own_element_only() {
        let batch = Batch::read("numbering.numbers", &input(2)).unwrap();
        let numbers = |texts: &[&str]| evidence::bytes(&texts, texts.len());
        let elements = batch.answers(&numbers(&["A-1", ""])).unwrap();
        assert_eq!(elements[0].answers, Ok(vec![Answer::Number("A-1".into())]));
        assert!(elements[1].answers.is_err());
        assert!(batch.answers(&numbers(&["A-1"])).is_err(), "another number of answers is no answer");
        assert!(Batch::read("numbering.number", b"{}").is_err() && Batch::read("tax.assess", b"{}").is_err());
    }
}
