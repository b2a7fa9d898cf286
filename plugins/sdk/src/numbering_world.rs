//! The `numbering-scheme` world.

use serde::de::DeserializeOwned;

use crate::numbering::{Draft, Sequence};
use crate::{Context, Descriptor, Fault, config};

/// Names the sequence of a document and forms its number.
pub trait NumberingScheme {
    /// The configuration; [`crate::NoConfig`] when there is none.
    type Config: DeserializeOwned;

    /// Says what the plugin is. Constant.
    fn describe() -> Descriptor;

    /// Names the counter of one document.
    fn sequence(config: &Self::Config, ctx: &Context, draft: &Draft) -> Result<Sequence, Fault>;

    /// Forms the number of one document from what its counter gave.
    fn number(config: &Self::Config, ctx: &Context, draft: &Draft, value: u64) -> Result<String, Fault>;
}

/// Exports a [`NumberingScheme`] as a component.
#[macro_export]
macro_rules! numbering_scheme {
    ($scheme:ty) => {
        // Native linkers cannot read the names that components export; there the type is only checked.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Descriptor = <$scheme as $crate::NumberingScheme>::describe;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::macros::metadata::exports::altyn::billing::metadata::Guest for Exported {
                fn describe() -> $crate::Descriptor {
                    <$scheme as $crate::NumberingScheme>::describe()
                }
            }

            impl $crate::macros::numbering::exports::altyn::billing::numbering::Guest for Exported {
                fn sequences(
                    ctx: $crate::Context,
                    drafts: Vec<$crate::numbering::Draft>,
                ) -> Result<Vec<$crate::numbering::Sequence>, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::sequences::<$scheme>(&ctx, &drafts)
                }

                fn numbers(
                    ctx: $crate::Context,
                    drafts: Vec<$crate::numbering::Draft>,
                    values: Vec<u64>,
                ) -> Result<Vec<String>, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::numbers::<$scheme>(&ctx, &drafts, &values)
                }
            }

    $crate::macros::metadata::export_metadata!(Exported with_types_in $crate::macros::metadata);
    $crate::macros::numbering::export_numbering!(Exported with_types_in $crate::macros::numbering);
        };
    };
}

/// Answers a batch.
#[doc(hidden)]
pub fn sequences<S: NumberingScheme>(ctx: &Context, drafts: &[Draft]) -> Result<Vec<Sequence>, Fault> {
    let config = config(ctx)?;
    drafts.iter().map(|draft| S::sequence(&config, ctx, draft)).collect()
}

/// Answers a batch.
#[doc(hidden)]
pub fn numbers<S: NumberingScheme>(ctx: &Context, drafts: &[Draft], values: &[u64]) -> Result<Vec<String>, Fault> {
    if drafts.len() != values.len() {
        return Err(Fault::Invalid(format!("{} drafts with {} values", drafts.len(), values.len())));
    }
    let config = config(ctx)?;
    drafts.iter().zip(values).map(|(draft, &value)| S::number(&config, ctx, draft, value)).collect()
}
