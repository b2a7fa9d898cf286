//! The `tax-rule` world.

use serde::de::DeserializeOwned;

use crate::tax::{Assessment, Document, Line, LineTax, PriceMode};
use crate::{Context, Descriptor, Fault, config, round_div};

/// Taxes the lines of a document.
pub trait TaxRule {
    /// The configuration; [`crate::NoConfig`] when there is none.
    type Config: DeserializeOwned;

    /// Says what the plugin is. Constant.
    fn describe() -> Descriptor;

    /// Taxes one document.
    fn assess(config: &Self::Config, ctx: &Context, document: Document) -> Result<Assessment, Fault>;

    /// Taxes a batch, one answer per document in their order. Answers must not depend on one another, so this is
    /// worth writing only to share work between them.
    fn batch(config: &Self::Config, ctx: &Context, documents: Vec<Document>) -> Result<Vec<Assessment>, Fault> {
        documents.into_iter().map(|document| Self::assess(config, ctx, document)).collect()
    }
}

/// Exports a [`TaxRule`] as a component.
#[macro_export]
macro_rules! tax_rule {
    ($rule:ty) => {
        // Native linkers cannot read the names that components export; there the type is only checked.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Descriptor = <$rule as $crate::TaxRule>::describe;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::macros::metadata::exports::altyn::billing::metadata::Guest for Exported {
                fn describe() -> $crate::Descriptor {
                    <$rule as $crate::TaxRule>::describe()
                }
            }

            impl $crate::macros::tax::exports::altyn::billing::tax::Guest for Exported {
                fn assess(
                    ctx: $crate::Context,
                    documents: Vec<$crate::tax::Document>,
                ) -> Result<Vec<$crate::tax::Assessment>, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::assess::<$rule>(&ctx, documents)
                }
            }

    $crate::macros::metadata::export_metadata!(Exported with_types_in $crate::macros::metadata);
    $crate::macros::tax::export_tax!(Exported with_types_in $crate::macros::tax);
        };
    };
}

/// Answers a batch.
#[doc(hidden)]
pub fn assess<R: TaxRule>(ctx: &Context, documents: Vec<Document>) -> Result<Vec<Assessment>, Fault> {
    R::batch(&config(ctx)?, ctx, documents)
}

impl LineTax {
    /// A line at a whole per cent rate: included `round(gross * r / (100 + r))`, on top `round(net * r / 100)`.
    /// An `unsupported` fault when the amounts do not fit.
    pub fn at_rate(line: Line, mode: PriceMode, rate: u8, code: &str) -> Result<Self, Fault> {
        let (amount, percent) = (i128::from(line.amount.minor), i128::from(rate));
        let tax = match mode {
            PriceMode::Included => round_div(amount * percent, 100 + percent),
            PriceMode::OnTop => round_div(amount * percent, 100),
        };
        let split = |tax: i64| match mode {
            PriceMode::Included => Some((line.amount.minor.checked_sub(tax)?, tax, line.amount.minor)),
            PriceMode::OnTop => Some((line.amount.minor, tax, line.amount.minor.checked_add(tax)?)),
        };
        let Some((net, tax, gross)) = tax.and_then(split) else {
            return Err(Fault::Unsupported(format!("line {}: the amount is too large", line.id)));
        };
        Ok(Self {
            net: line.amount.with_minor(net),
            tax: line.amount.with_minor(tax),
            gross: line.amount.with_minor(gross),
            line: line.id,
            code: code.into(),
            rate: Some(rate.to_string()),
        })
    }

    /// A line outside the tax: no rate, no tax.
    pub fn untaxed(line: Line, code: &str) -> Self {
        Self {
            tax: line.amount.with_minor(0),
            gross: line.amount.clone(),
            net: line.amount,
            line: line.id,
            code: code.into(),
            rate: None,
        }
    }
}
