//! What a use case may answer instead of its result: one enum, mapped once to HTTP and once to exit codes.

use altyn_store::StoreError;

/// One refused field of a command.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer to the field, for example `/inn`.
    pub pointer: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// A refused or failed use case.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The object does not exist, or belongs to somebody else.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The command is malformed; every problem is listed.
    #[error("the request has invalid fields")]
    Invalid(Vec<FieldError>),
    /// The command contradicts the present state; `code` is stable.
    #[error("{message}")]
    Conflict {
        /// Stable code, for example `run-in-progress`.
        code: &'static str,
        /// What is in the way and what to do.
        message: String,
        /// Further facts, for example the differences between two plans.
        details: Vec<String>,
    },
    /// The object changed since the caller read it.
    #[error("the object changed since you read it; read it again and repeat the change")]
    Stale,
    /// The key was used before with another request.
    #[error("this idempotency key was used with a different request; use a new key")]
    KeyReused,
    /// The caller may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// The caller may not do this; `code` is stable and says what is missing.
    #[error("{message}")]
    Denied {
        /// Stable code, for example `plan-private`.
        code: &'static str,
        /// What is not allowed and who may do it.
        message: String,
    },
    /// A plugin is missing, refused or failed.
    #[error("{message}")]
    Plugin {
        /// Stable code, for example `plugin-refused`.
        code: &'static str,
        /// Which plugin, what happened, what to do.
        message: String,
    },
    /// The database failed.
    #[error("the database failed; nothing was written")]
    Store(#[source] StoreError),
    /// A stored value or an internal step is not as it must be.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Result of a use case.
pub type Result<T> = std::result::Result<T, ServiceError>;

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl ServiceError {
    /// One refused field.
    pub fn invalid(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), message: message.into() }])
    }

    /// A conflict without further facts.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { code, message: message.into(), details: Vec::new() }
    }

    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Invalid(_) => "invalid-request",
            Self::Conflict { code, .. } | Self::Plugin { code, .. } | Self::Denied { code, .. } => code,
            Self::Stale => "stale-version",
            Self::KeyReused => "idempotency-key-reused",
            Self::Forbidden(_) => "forbidden",
            Self::Store(_) => "database-unavailable",
            Self::Internal(_) => "internal-error",
        }
    }
}

/// Collects field errors while a command is checked, so that the caller sees all of them at once.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// Notes a refused field.
    pub fn refuse(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), message: message.into() });
    }

    /// Takes the value or notes why it is refused.
    pub fn take<T, E: std::fmt::Display>(&mut self, pointer: &str, value: std::result::Result<T, E>) -> Option<T> {
        value.map_err(|error| self.refuse(pointer, error.to_string())).ok()
    }

    /// Checks that a text has 1 to `longest` characters and no control characters.
    pub fn text(&mut self, pointer: &str, value: &str, longest: usize) {
        if value.trim().is_empty() {
            self.refuse(pointer, "must not be empty");
        } else if value.chars().count() > longest {
            self.refuse(pointer, format!("must have at most {longest} characters"));
        } else if value.chars().any(char::is_control) {
            self.refuse(pointer, "must not contain control characters");
        }
    }

    /// Checks an optional text like [`Self::text`].
    pub fn optional_text(&mut self, pointer: &str, value: Option<&str>, longest: usize) {
        if let Some(value) = value {
            self.text(pointer, value, longest);
        }
    }

    /// Answers the noted errors, if any.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(ServiceError::Invalid(self.0)) }
    }
}

/// Reads a value that was checked before it was stored; `what` names its table and column.
pub(crate) fn stored<T: std::str::FromStr<Err: std::fmt::Display>>(what: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|error| ServiceError::Internal(format!("stored value of {what} is not valid: {error}")))
}
