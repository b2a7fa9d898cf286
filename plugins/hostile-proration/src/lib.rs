//! The test double of the proration world. An element is named by the price of its question in minor units.

use altyn_plugin::proration::{Question, Share};
use altyn_plugin::{Context, Descriptor, Fault, ProrationStrategy, share_of};
use hostile::{BAD_TEXT, Config, Deed, spoil, told};

/// The strategy: days by ratio, spoilt.
pub struct Hostile;

impl ProrationStrategy for Hostile {
    type Config = Config;

    fn describe() -> Descriptor {
        hostile::describe("proration")
    }

    fn share(config: &Config, _: &Context, question: Question) -> Result<Share, Fault> {
        let deed = config.provoke(&question.price.minor.to_string())?;
        let (basis, (days, whole)) = (question.basis()?, question.days()?);
        let mut share = Share::of(question, share_of(basis, days, whole).unwrap_or(basis), "hostile")?;
        share.used = spoil(deed, share.used);
        if let Some(text) = told(deed) {
            share.explanation = text;
        }
        if matches!(deed, Deed::Stranger | Deed::Twice) {
            share.line = BAD_TEXT.into();
        }
        Ok(share)
    }

    fn batch(config: &Config, ctx: &Context, questions: Vec<Question>) -> Result<Vec<Share>, Fault> {
        let provoked = |question: &Question| config.provoke(&question.price.minor.to_string());
        let short = config.r#do == Deed::ShortAnswer
            && questions.iter().any(|question| provoked(question) == Ok(Deed::ShortAnswer));
        let mut shares: Vec<_> =
            questions.into_iter().map(|question| Self::share(config, ctx, question)).collect::<Result<_, _>>()?;
        if short {
            shares.pop();
        }
        Ok(shares)
    }
}

altyn_plugin::proration_strategy!(Hostile);
