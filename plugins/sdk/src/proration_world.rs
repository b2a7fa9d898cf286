//! The `proration-strategy` world.

use serde::de::DeserializeOwned;

use crate::proration::{CurrentDay, Question, Share};
use crate::{Context, Descriptor, Fault, config};

/// Shares the price of a period over a part of it.
pub trait ProrationStrategy {
    /// The configuration; [`crate::NoConfig`] when there is none.
    type Config: DeserializeOwned;

    /// Says what the plugin is. Constant.
    fn describe() -> Descriptor;

    /// Answers one question.
    fn share(config: &Self::Config, ctx: &Context, question: Question) -> Result<Share, Fault>;

    /// Answers a batch, one answer per question in their order. Answers must not depend on one another, so this is
    /// worth writing only to share work between them.
    fn batch(config: &Self::Config, ctx: &Context, questions: Vec<Question>) -> Result<Vec<Share>, Fault> {
        questions.into_iter().map(|question| Self::share(config, ctx, question)).collect()
    }
}

/// Exports a [`ProrationStrategy`] as a component.
#[macro_export]
macro_rules! proration_strategy {
    ($strategy:ty) => {
        // Native linkers cannot read the names that components export; there the type is only checked.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Descriptor = <$strategy as $crate::ProrationStrategy>::describe;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::macros::metadata::exports::altyn::billing::metadata::Guest for Exported {
                fn describe() -> $crate::Descriptor {
                    <$strategy as $crate::ProrationStrategy>::describe()
                }
            }

            impl $crate::macros::proration::exports::altyn::billing::proration::Guest for Exported {
                fn prorate(
                    ctx: $crate::Context,
                    questions: Vec<$crate::proration::Question>,
                ) -> Result<Vec<$crate::proration::Share>, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::prorate::<$strategy>(&ctx, questions)
                }
            }

    $crate::macros::metadata::export_metadata!(Exported with_types_in $crate::macros::metadata);
    $crate::macros::proration::export_proration!(Exported with_types_in $crate::macros::proration);
        };
    };
}

/// Answers a batch.
#[doc(hidden)]
pub fn prorate<S: ProrationStrategy>(ctx: &Context, questions: Vec<Question>) -> Result<Vec<Share>, Fault> {
    S::batch(&config(ctx)?, ctx, questions)
}

impl Question {
    /// What the answer divides: what is still billed of the line, or its price when nothing was billed; minor units.
    pub fn basis(&self) -> Result<i64, Fault> {
        let wrong = |what| Err(Fault::Invalid(format!("line {}: {what}", self.line)));
        self.price.same_currency(&self.billed, &self.line)?;
        self.price.same_currency(&self.credited, &self.line)?;
        if self.price.minor < 0 || self.credited.minor < 0 || self.billed.minor < self.credited.minor {
            return wrong("price, credited, and billed less credited must not be negative");
        }
        Ok(if self.billed.minor == 0 { self.price.minor } else { self.billed.minor - self.credited.minor })
    }

    /// Days counted and days of the period, by the contract's rule of the change day.
    pub fn days(&self) -> Result<(i64, i64), Fault> {
        let wrong = |what| Fault::Invalid(format!("line {}: {what}", self.line));
        let whole = self.period.days().filter(|&days| days > 0).ok_or_else(|| wrong("the period has no day"))?;
        let mut used = self.used.days().ok_or_else(|| wrong("the used part ends before it starts"))?;
        let (late, early) = (self.used.start > self.period.start, self.used.end < self.period.end);
        if self.used.start < self.period.start || self.used.end > self.period.end {
            return Err(wrong("the used part lies outside the period"));
        }
        if early && matches!(self.current_day, CurrentDay::Old | CurrentDay::Both) {
            used += 1;
        }
        if late && matches!(self.current_day, CurrentDay::Old | CurrentDay::Neither) {
            used -= 1;
        }
        Ok((used.clamp(0, whole), whole))
    }
}

impl Share {
    /// The answer that charges `used` minor units and credits what is left of what was billed. An `invalid` fault when
    /// `used` is not between zero and the basis.
    pub fn of(question: Question, used: i64, explanation: impl Into<String>) -> Result<Self, Fault> {
        let basis = question.basis()?;
        if !(0..=basis).contains(&used) {
            return Err(Fault::Invalid(format!("line {}: used {used} of {basis}", question.line)));
        }
        let credit = if question.billed.minor == 0 { 0 } else { basis - used };
        Ok(Self {
            used: question.price.with_minor(used),
            credit: question.price.with_minor(credit),
            line: question.line,
            explanation: explanation.into(),
        })
    }
}
