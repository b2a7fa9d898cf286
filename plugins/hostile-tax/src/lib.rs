//! The test double of the tax world: 20 % of everything, spoilt. An element is named by the buyer of its document, or
//! by the category of one of its lines.

use altyn_plugin::tax::{Assessment, Document, LineTax};
use altyn_plugin::{Context, Descriptor, Fault, TaxRule};
use hostile::{BAD_TEXT, Config, Deed, spoil, told};

/// The rule.
pub struct Hostile;

fn provoke(config: &Config, document: &Document) -> Result<Deed, Fault> {
    let by_category = |only: &str| document.lines.iter().any(|line| line.category == only);
    match config.only.as_deref() {
        Some(only) if by_category(only) => config.provoke(only),
        _ => config.provoke(&document.buyer.id),
    }
}

impl TaxRule for Hostile {
    type Config = Config;

    fn describe() -> Descriptor {
        hostile::describe("tax")
    }

    fn assess(config: &Config, _: &Context, document: Document) -> Result<Assessment, Fault> {
        let deed = provoke(config, &document)?;
        let mode = document.mode;
        let tax = |line| {
            let mut line = LineTax::at_rate(line, mode, 20, "vat20")?;
            line.tax = spoil(deed, line.tax);
            if let Some(text) = told(deed) {
                line.code = text;
            }
            match deed {
                Deed::Stranger => line.line = BAD_TEXT.into(),
                Deed::NotANumber => line.rate = Some("NaN".into()),
                _ => {}
            }
            Ok(line)
        };
        let mut lines = document.lines.into_iter().map(tax).collect::<Result<Vec<_>, Fault>>()?;
        if deed == Deed::ShortAnswer {
            lines.pop();
        }
        if deed == Deed::Twice {
            lines.extend_from_within(..);
        }
        Ok(Assessment { document: document.id, lines })
    }

    fn batch(config: &Config, ctx: &Context, documents: Vec<Document>) -> Result<Vec<Assessment>, Fault> {
        let short = config.r#do == Deed::ShortAnswer
            && documents.iter().any(|document| provoke(config, document) == Ok(Deed::ShortAnswer));
        let mut assessments: Vec<_> =
            documents.into_iter().map(|document| Self::assess(config, ctx, document)).collect::<Result<_, _>>()?;
        if short {
            assessments.pop();
        }
        Ok(assessments)
    }
}

altyn_plugin::tax_rule!(Hostile);
