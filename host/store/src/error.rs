//! What can go wrong in the store, by kind: callers never look at an engine's codes or at constraint names.

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The statement had to find a row and found none.
    #[error("no such row")]
    NotFound,
    /// A unique key is taken.
    #[error("a row with this key exists")]
    Duplicate(#[source] sqlx::Error),
    /// A reference points nowhere, or a referenced row would vanish.
    #[error("a referenced row does not exist")]
    Reference(#[source] sqlx::Error),
    /// A check, an append-only rule or a privilege of the database (a row of another tenant, too) refused the row.
    #[error("the database refused the row: {0}")]
    Refused(String, #[source] sqlx::Error),
    /// The database URL is not usable.
    #[error("bad database url: {0}")]
    Url(String),
    /// The SQLite library is too old to be safe.
    #[error("SQLite {0} can corrupt a database in WAL mode; link 3.51.3 or newer")]
    OldSqlite(String),
    /// The schema could not be brought up to date, or belongs to a newer release.
    #[error("migration failed; run the release that wrote this schema, or restore a backup")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A stored value does not mean what the code expects.
    #[error("stored value of {0} is not valid: {1}")]
    Corrupt(&'static str, String),
    /// The database failed.
    #[error("database error")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        let (kind, message, denied) = match &error {
            sqlx::Error::RowNotFound => return Self::NotFound,
            sqlx::Error::Database(database) => {
                // What SQLite refuses by a trigger, PostgreSQL refuses before it, for want of a privilege.
                (database.kind(), database.message().to_owned(), database.code().as_deref() == Some("42501"))
            }
            _ => return Self::Database(error),
        };
        match kind {
            ErrorKind::UniqueViolation => Self::Duplicate(error),
            ErrorKind::ForeignKeyViolation => Self::Reference(error),
            ErrorKind::CheckViolation | ErrorKind::NotNullViolation => Self::Refused(message, error),
            _ if denied || message.starts_with("append-only") || message.starts_with("unbalanced") => {
                Self::Refused(message, error)
            }
            _ => Self::Database(error),
        }
    }
}

impl StoreError {
    /// Whether somebody else at the same time was in the way, so that doing it all again sees what he did: [`Self::is_transient`],
    /// or a unique key that was free when it was looked for.
    pub fn is_race(&self) -> bool {
        matches!(self, Self::Duplicate(_)) || self.is_transient()
    }

    /// Whether trying the same transaction again may succeed (deadlock, serialisation, a lock not given, busy file).
    pub fn is_transient(&self) -> bool {
        let Self::Database(sqlx::Error::Database(database)) = self else { return false };
        matches!(database.code().as_deref(), Some("40001" | "40P01" | "55P03" | "25P03" | "5" | "6" | "261" | "517"))
    }
}
