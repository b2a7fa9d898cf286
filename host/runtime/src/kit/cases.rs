//! Cases of an author: a recorded question and the answer that is expected to it.
//!
//! The questions are those of the contract with its field names, as recorded evidence is shown, so a call that decided
//! something in production can be kept as a case word by word.

use altyn_domain::exchange::Incoming;
use serde::Deserialize;
use serde_json::Value;

use crate::call::Export;
use crate::engine::Runtime;
use crate::evidence::{self, Side};
use crate::failure::CallFailure;
use crate::install::Plugin;

/// A question with the answer that is expected to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is called: `proration.prorate`, `tax.assess`, `numbering.sequences` or `numbering.numbers`.
    pub export: String,
    /// The arguments, with `ctx` first.
    pub input: Value,
    /// The expected answer; left out when a fault is expected.
    #[serde(default)]
    pub output: Option<Value>,
    /// The expected kind of fault: `misconfigured`, `unsupported`, `invalid` or `other`.
    #[serde(default)]
    pub fault: Option<String>,
}

/// Why a case is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// The export is unknown.
    #[error(
        "\"{0}\" is not an export of the contract; use proration.prorate, tax.assess, numbering.sequences or numbering.numbers"
    )]
    Export(String),
    /// The input does not read.
    #[error("the input does not read as the arguments of {export}: {detail}")]
    Input {
        /// What was to be called.
        export: String,
        /// Where and why.
        detail: String,
    },
    /// It expects both or nothing.
    #[error("a case expects either an output or a fault")]
    Expectation,
}

impl Case {
    /// The notification that it is about; None when it is about something else.
    pub fn notification(&self) -> Option<Incoming> {
        #[derive(Deserialize)]
        struct Field {
            name: String,
            value: String,
        }
        #[derive(Deserialize)]
        struct Sent {
            method: String,
            query: String,
            headers: Vec<Field>,
            body: Vec<u8>,
            source: String,
        }
        let sent = self.input.get("notification").filter(|_| self.export == Export::Receive.as_str())?;
        let Sent { method, query, headers, body, source } = Sent::deserialize(sent).ok()?;
        let headers = headers.into_iter().map(|Field { name, value }| (name, value)).collect();
        Some(Incoming { method, query, headers, body, source })
    }
}

impl Runtime {
    /// Asks the question of a case and says what is unlike the expectation; None when the answer is the expected one.
    pub fn case(&self, plugin: &Plugin, case: &Case) -> Result<Option<String>, CaseError> {
        let export = Export::named(&case.export).ok_or_else(|| CaseError::Export(case.export.clone()))?;
        if case.output.is_some() == case.fault.is_some() {
            return Err(CaseError::Expectation);
        }
        let input = evidence::from_json(export, &case.input)
            .map_err(|detail| CaseError::Input { export: case.export.clone(), detail })?;
        let call = self.replay(plugin, &case.export, &input);
        Ok(match (call.result, &case.fault) {
            (Err(CallFailure::Refused { kind, .. }), Some(expected)) if kind.as_str() == expected => None,
            (Err(failure), Some(expected)) => Some(format!("expected the fault {expected}: {failure}")),
            (Err(failure), None) => Some(failure.to_string()),
            (Ok(answer), expected) => {
                let answer = evidence::as_json(&case.export, Side::Output, &answer).unwrap_or(Value::Null);
                match expected {
                    Some(expected) => Some(format!("expected the fault {expected}, answered {answer}")),
                    None if Some(&answer) == case.output.as_ref() => None,
                    None => Some(format!("answered {answer}")),
                }
            }
        })
    }
}
