//! What each kind of file is to the import: its columns, how a row reads, how rows are written.

use std::future::Future;

use altyn_domain::money::{Currency, Money};
use altyn_store::{Tx, tenants::TenantRow};
use chrono::{DateTime, NaiveDate, Utc};

use super::{
    ImportOptions,
    table::{Problem, Row},
};
use crate::{context::Altyn, error::ServiceError};

/// What is known before the first row.
pub(super) struct Books {
    /// The application.
    pub(super) altyn: Altyn,
    /// The tenant.
    pub(super) tenant: TenantRow,
    /// Its currency.
    pub(super) currency: Currency,
    /// The external systems that its customers came from; one more than are matched means too many.
    pub(super) systems: Vec<String>,
    /// How to import.
    pub(super) options: ImportOptions,
}

/// What became of a chunk.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// Rows that became objects.
    pub(super) created: i64,
    /// Rows whose objects existed.
    pub(super) unchanged: i64,
    /// One problem for each other row.
    pub(super) refused: Vec<Problem>,
}

/// A kind of file.
pub(super) trait Book: Send + Sync {
    /// The headers, all of which the file must have.
    const COLUMNS: &'static [&'static str];
    /// A row that reads well.
    type Entry: Send + Sync;

    /// Reads a row, or answers every problem that it has by itself.
    fn parse(&self, row: &Row<'_>) -> Result<Self::Entry, Vec<Problem>>;

    /// What no two rows of a file share: the column to blame, the code of the problem, and the value.
    fn key(&self, entry: &Self::Entry) -> (&'static str, &'static str, (String, String));

    /// Writes rows whose keys differ. Changes nothing but the transaction, because a chunk may be tried again.
    fn save(
        &self,
        tx: &mut Tx,
        now: DateTime<Utc>,
        entries: &[(i64, Self::Entry)],
    ) -> impl Future<Output = Result<Saved, ServiceError>> + Send;
}

/// Reads the cells of one row and collects what is wrong with them.
pub(super) struct Cells<'a> {
    row: &'a Row<'a>,
    problems: Vec<Problem>,
}

impl<'a> Cells<'a> {
    /// Begins a row; cells that do not decode are noted at once.
    pub(super) fn new(row: &'a Row<'a>) -> Self {
        Self { row, problems: row.undecodable() }
    }

    /// Notes a problem of a column.
    pub(super) fn refuse(&mut self, column: &str, code: &'static str, message: impl Into<String>) {
        self.problems.push(Problem { row: self.row.line, column: column.to_owned(), code, message: message.into() });
    }

    /// The trimmed text of a cell; none when it is empty or does not decode.
    pub(super) fn optional(&mut self, column: &str, longest: usize) -> Option<String> {
        let text = self.row.get(column)?.trim();
        if text.is_empty() {
            return None;
        }
        if text.chars().count() > longest {
            self.refuse(column, "too-long", format!("must have at most {longest} characters"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.refuse(column, "bad-text", "must not contain control characters");
            return None;
        }
        Some(text.to_owned())
    }

    /// Like [`Self::optional`], but an empty cell is a problem. The text is empty after a problem.
    pub(super) fn required(&mut self, column: &str, longest: usize) -> String {
        if self.row.get(column).is_some_and(|text| text.trim().is_empty()) {
            self.refuse(column, "missing-value", "must not be empty");
        }
        self.optional(column, longest).unwrap_or_default()
    }

    /// A required cell that another type reads; none after a problem.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        column: &str,
        code: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let before = self.problems.len();
        let text = self.required(column, 200);
        if text.is_empty() || self.problems.len() > before {
            return None;
        }
        read(&text).map_err(|error| self.refuse(column, code, error.to_string())).ok()
    }

    /// A required date in the form YYYY-MM-DD.
    pub(super) fn date(&mut self, column: &str) -> Option<NaiveDate> {
        self.parsed(column, "bad-date", |text| {
            // The length keeps other spellings of the same date out.
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()
                .filter(|_| text.len() == 10)
                .ok_or("is not a date; write an existing day as YYYY-MM-DD")
        })
    }

    /// An amount in major units; zero when the cell is empty.
    pub(super) fn amount(&mut self, column: &str, currency: Currency) -> Option<i64> {
        let Some(text) = self.optional(column, 40) else { return Some(0) };
        match Money::parse_major(&text, currency) {
            Ok(money) => Some(money.minor),
            Err(error) => {
                self.refuse(column, "bad-amount", error.to_string());
                None
            }
        }
    }

    /// The entry, unless something is wrong. The builder is given only after all cells were read well.
    pub(super) fn finish<T>(self, entry: impl FnOnce() -> Option<T>) -> Result<T, Vec<Problem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        entry().ok_or_else(|| {
            vec![Problem {
                row: self.row.line,
                column: String::new(),
                code: "bad-row",
                message: "could not be read".into(),
            }]
        })
    }
}

/// The column of the external system.
pub(super) const SYSTEM: &str = "Внешняя система";
/// The column of the id within it.
pub(super) const EXTERNAL_ID: &str = "Внешний ID";

/// The external key of a row: its system, or the import's when the cell is empty, and its id.
pub(super) fn external_key(cells: &mut Cells<'_>, options: &ImportOptions) -> (String, String) {
    let system = match &options.external_system {
        Some(system) => cells.optional(SYSTEM, 100).unwrap_or_else(|| system.clone()),
        None => cells.required(SYSTEM, 100),
    };
    (system, cells.required(EXTERNAL_ID, 200))
}
