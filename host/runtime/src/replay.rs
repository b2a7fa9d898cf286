//! Making a recorded call again.
//!
//! Invariant: a replay takes the same path as the first call, with the recorded arguments instead of the domain's.

use crate::call::{Call, Export, not_made};
use crate::engine::Runtime;
use crate::evidence;
use crate::failure::CallFailure;
use crate::install::Plugin;

impl Runtime {
    /// Makes a recorded call again: `export` and `input` are those of a [`crate::CallRecord`]; the answer is the
    /// output as evidence, to be compared byte for byte. Answers are not checked, so a recorded wrong answer replays
    /// as it was.
    pub fn replay(&self, plugin: &Plugin, export: &str, input: &[u8]) -> Call<Vec<u8>> {
        self.replay_by(&plugin.rehearsing(), export, input)
    }

    /// The same by the component as it is given: for its purpose, within its limits.
    pub(crate) fn replay_by(&self, plugin: &Plugin, export: &str, input: &[u8]) -> Call<Vec<u8>> {
        let Some(known) = Export::named(export) else {
            let failure = CallFailure::InvalidQuestion(format!("\"{export}\" is not an export of this contract"));
            return not_made(plugin, "unknown", input.to_vec(), failure);
        };
        let recorded = input.to_vec();
        let made = match known {
            Export::Prorate => evidence::value::<evidence::Prorate>(input)
                .map(|args| self.call_prorate(plugin, &args, recorded).into_bytes()),
            Export::Assess => evidence::value::<evidence::Assess>(input)
                .map(|args| self.call_assess(plugin, &args, recorded).into_bytes()),
            Export::Sequences => evidence::value::<evidence::Sequences>(input)
                .map(|args| self.call_sequences(plugin, &args, recorded).into_bytes()),
            Export::Capabilities => evidence::value::<evidence::Capabilities>(input)
                .map(|args| self.call_capabilities(plugin, &args, recorded).into_bytes()),
            Export::Begin => evidence::value::<evidence::Begin>(input)
                .map(|args| self.replay_begin(plugin, args, recorded).into_bytes()),
            Export::Resume | Export::ReceiveResume => {
                evidence::value::<evidence::Resume>(input).map(|args| self.replay_resume(plugin, known, args, recorded))
            }
            Export::Receive => evidence::value::<evidence::Receive>(input)
                .map(|args| self.replay_receive(plugin, args, recorded).into_bytes()),
            Export::Numbers => evidence::value::<evidence::Numbers>(input)
                .map(|args| self.call_numbers(plugin, &args, recorded).into_bytes()),
        };
        made.unwrap_or_else(|error| {
            let failure = CallFailure::InvalidQuestion(format!("the recorded input does not read: {error}"));
            not_made(plugin, known.as_str(), input.to_vec(), failure)
        })
    }
}
