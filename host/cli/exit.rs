//! How a command ends: exit codes and the one sentence on stderr.
//!
//! Owns the only mapping from errors to exit codes. Invariant: whoever calls the program can tell a refused input from a
//! failed machine by the code alone, and nobody ever sees a backtrace.

use std::process::ExitCode;

use altyn_service::{FieldError, ServiceError};
use serde::Serialize;

use crate::{ComposeError, config::ConfigError};

/// Exit codes, as `--help` prints them.
pub const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed: the database, the machine, or an interrupt
  2  wrong usage or invalid input
  3  conflict with the present state
  4  not found
  5  refused: not allowed, or by or because of a plugin
  6  verification failed";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The machine failed.
    Failure = 1,
    /// Wrong usage or invalid input.
    Usage = 2,
    /// Conflict with the present state.
    Conflict = 3,
    /// Not found.
    NotFound = 4,
    /// Not allowed, or a plugin is in the way.
    Refused = 5,
    /// An invariant does not hold.
    Unverified = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that did not succeed.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// The exit code.
    #[serde(skip)]
    pub exit: Exit,
    /// Stable code, the same as in an HTTP problem.
    pub code: &'static str,
    /// One sentence: what is wrong and what to do.
    pub message: String,
    /// Refused fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
    /// Further facts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Failure {
    /// A failure with a message only.
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), fields: Vec::new(), details: Vec::new() }
    }

    /// Wrong usage or input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "invalid-request", message)
    }

    /// The machine failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, "failed", message)
    }

    /// The same with further facts.
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Prints to stderr, as text or as one JSON object.
    pub fn print(&self, json: bool) {
        if json {
            let object = serde_json::json!({ "error": self });
            eprintln!("{object}");
            return;
        }
        eprintln!("error: {}", self.message);
        for field in &self.fields {
            eprintln!("  {}: {}", field.pointer, field.message);
        }
        for detail in &self.details {
            eprintln!("  {detail}");
        }
    }
}

/// An error with everything that caused it, in one sentence.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some libraries repeat their source in their own message.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// Whether the database says that a table is missing; engines word it differently.
fn without_schema(text: &str) -> bool {
    text.contains("no such table") || (text.contains("relation \"") && text.contains("does not exist"))
}

fn database(text: String) -> Failure {
    if without_schema(&text) {
        return Failure::new(
            Exit::Failure,
            "not-migrated",
            "the database has not this release's schema; run `altyn migrate` on it",
        );
    }
    Failure::new(Exit::Failure, "database-unavailable", text)
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let code = error.code();
        let text = chain(&error);
        let exit = match &error {
            ServiceError::NotFound(_) => Exit::NotFound,
            ServiceError::Invalid(_) => Exit::Usage,
            ServiceError::Conflict { .. } | ServiceError::Stale | ServiceError::KeyReused => Exit::Conflict,
            ServiceError::Forbidden(_) | ServiceError::Denied { .. } | ServiceError::Plugin { .. } => Exit::Refused,
            ServiceError::Store(_) => return database(text),
            ServiceError::Internal(_) => Exit::Failure,
        };
        let mut failure = Self::new(exit, code, text);
        match error {
            ServiceError::Invalid(fields) => failure.fields = fields,
            ServiceError::Conflict { details, .. } => failure.details = details,
            _ => {}
        }
        failure
    }
}

impl From<altyn_store::StoreError> for Failure {
    fn from(error: altyn_store::StoreError) -> Self {
        database(chain(&error))
    }
}

impl From<ComposeError> for Failure {
    fn from(error: ComposeError) -> Self {
        let code = match &error {
            ComposeError::Database { .. } => "database-unavailable",
            ComposeError::Plugins(_) => "plugin-host",
            ComposeError::Secrets(_) => "wrong-master-key",
            ComposeError::Egress(_) => "invalid-configuration",
        };
        Self::new(Exit::Failure, code, chain(&error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let mut failure = Self::new(Exit::Usage, "invalid-configuration", chain(&error));
        if let ConfigError::Invalid(wrong) = error {
            failure.fields =
                wrong.into_iter().map(|(key, message)| FieldError { pointer: key.to_owned(), message }).collect();
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_refusal_has_its_exit_code() {
        let exit = |error: ServiceError| Failure::from(error).exit;
        assert_eq!(exit(ServiceError::NotFound("customer")), Exit::NotFound);
        assert_eq!(exit(ServiceError::invalid("/name", "must not be empty")), Exit::Usage);
        assert_eq!(exit(ServiceError::conflict("run-exists", "the day has a run")), Exit::Conflict);
        assert_eq!(exit(ServiceError::Stale), Exit::Conflict);
        assert_eq!(exit(ServiceError::Forbidden("no".into())), Exit::Refused);
        assert_eq!(exit(ServiceError::Plugin { code: "plugin-refused", message: "no".into() }), Exit::Refused);
        assert_eq!(exit(ServiceError::Internal("broken".into())), Exit::Failure);
    }

    #[test]
    fn a_missing_schema_is_told_with_its_cure() {
        for text in ["database error: no such table: tenants", "relation \"tenants\" does not exist"] {
            let failure = database(text.to_owned());
            assert_eq!(failure.code, "not-migrated");
            assert!(failure.message.contains("altyn migrate"));
        }
        assert_eq!(database("connection refused".into()).code, "database-unavailable");
    }
}
