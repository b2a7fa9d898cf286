//! Imports: an operator's books come in as files, row by row.
//!
//! A row that is wrong is refused by line and column and nothing else is lost; a row whose object exists is left alone,
//! so importing the same file again changes nothing. Rows are written about a thousand to a transaction. The report is
//! stored last, together with the idempotency record: an import that was killed has no report and is simply repeated.
//!
//! Concurrency: two imports of one file may meet in the same chunk on PostgreSQL. The unique keys let one of them
//! through; the other rolls its chunk back, looks again, and finds the rows there.

use altyn_domain::{
    id::{Id as _, ImportId, SellerId},
    money::Currency,
};
use altyn_store::{
    StoreError, customers, imports,
    imports::{ImportErrorRow, ImportRow},
    sellers,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
    tenants,
};

use self::{
    book::{Book, Books, Saved},
    contracts_book::ContractsBook,
    customers_book::CustomersBook,
    plans_book::PlansBook,
    subscriptions_book::SubscriptionsBook,
    table::{Problem, Table},
};

mod book;
mod contracts_book;
mod customers_book;
mod plans_book;
mod subscriptions_book;
mod table;

/// The largest file, in bytes.
pub const LARGEST_FILE_BYTES: usize = 100 * 1024 * 1024;
/// How many problems of one import are kept; all of them are counted.
pub const MOST_ERRORS: usize = 10_000;
/// How many problems a report shows by itself.
const ERRORS_SHOWN: i64 = 100;
/// How many rows are written in one transaction.
const CHUNK_ROWS: usize = 1_000;
/// How often a chunk is tried that met another import.
const ATTEMPTS: usize = 5;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind {
    /// Products and plans.
    Plans,
    /// Customers with their opening balances.
    Customers,
    /// Contracts.
    Contracts,
    /// Subscriptions.
    Subscriptions,
}

impl ImportKind {
    /// All kinds, in the order in which an operator's books are imported.
    pub const ALL: [Self; 4] = [Self::Plans, Self::Customers, Self::Contracts, Self::Subscriptions];

    /// The text of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plans => "plans",
            Self::Customers => "customers",
            Self::Contracts => "contracts",
            Self::Subscriptions => "subscriptions",
        }
    }
}

impl std::str::FromStr for ImportKind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| "there is no such kind of file; use plans, customers, contracts or subscriptions".into())
    }
}

/// How a file is imported.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportOptions {
    /// The seller of imported contracts.
    pub seller: SellerId,
    /// Checks everything and writes nothing but the report.
    #[serde(default)]
    pub dry_run: bool,
    /// The external system of rows that name none, and of the customers that contracts name.
    pub external_system: Option<String>,
}

/// One problem of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportProblem {
    /// The line of the file on which the row begins; the header is line 1.
    pub row: i64,
    /// Header of the column; empty when the row as a whole is wrong.
    pub column: String,
    /// Stable code, for example `bad-inn`.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What a file brought.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportReport {
    /// Its id.
    pub id: ImportId,
    /// What the file holds.
    pub kind: ImportKind,
    /// Name of the file.
    pub file_name: String,
    /// SHA-256 of the file, hexadecimal.
    pub file_digest: String,
    /// `done` or `dry-run`.
    pub state: String,
    /// How many rows the file has, without its header.
    pub rows_read: i64,
    /// How many became objects (or would, in a dry run).
    pub rows_created: i64,
    /// How many existed already and were left alone.
    pub rows_unchanged: i64,
    /// How many were refused.
    pub rows_refused: i64,
    /// The first 100 problems; the rest is paged.
    pub errors: Vec<ImportProblem>,
    /// When the import began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

fn problem_view(row: ImportErrorRow) -> ImportProblem {
    ImportProblem { row: row.row_number, column: row.column_name, code: row.code, message: row.message }
}

fn report(row: ImportRow, errors: Vec<ImportErrorRow>) -> Result<ImportReport> {
    Ok(ImportReport {
        id: ImportId(row.id),
        kind: stored("imports.kind", &row.kind)?,
        file_name: row.file_name,
        file_digest: hex::encode(&row.file_digest),
        state: row.state,
        rows_read: row.rows_read,
        rows_created: row.rows_created,
        rows_unchanged: row.rows_unchanged,
        rows_refused: row.rows_refused,
        errors: errors.into_iter().map(problem_view).collect(),
        created_at: row.created_at,
        finished_at: row.finished_at,
    })
}

/// What has been read and written so far.
#[derive(Default)]
struct Progress {
    read: i64,
    created: i64,
    unchanged: i64,
    refused: i64,
    problems: Vec<Problem>,
}

impl Progress {
    /// Counts a refused row and keeps its problems while there is room.
    fn refuse(&mut self, problems: Vec<Problem>) {
        self.refused += 1;
        self.note(problems);
    }

    fn note(&mut self, problems: Vec<Problem>) {
        let room = MOST_ERRORS - self.problems.len();
        self.problems.extend(problems.into_iter().take(room));
    }
}

impl Altyn {
    /// Imports a file.
    ///
    /// A file that is too large or has not the columns of its kind is refused as a whole; otherwise the answer is a
    /// report, whatever its rows are like. A column that the kind does not know is reported under line 1 and ignored.
    pub async fn import_books(
        &self,
        request: &Request,
        kind: ImportKind,
        file_name: &str,
        bytes: Vec<u8>,
        options: ImportOptions,
    ) -> Result<Reply<ImportReport>> {
        // Only a look: chunks commit by themselves, so the key is claimed with the report.
        let mut work = match self.begin::<ImportReport>(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let began = work.now;
        let mut fields = Fields::default();
        fields.text("/file_name", file_name, 255);
        fields.optional_text("/external_system", options.external_system.as_deref(), 100);
        if bytes.len() > LARGEST_FILE_BYTES {
            fields.refuse(
                "/file",
                format!("has more than {LARGEST_FILE_BYTES} bytes; split it, each part with the header"),
            );
        }
        let seller = sellers::find(&mut work.tx, request.tenant.0, options.seller.uuid()).await?;
        if seller.is_none() {
            fields.refuse("/seller", "there is no such seller");
        }
        fields.finish()?;
        let tenant = tenants::acting(&mut work.tx, request).await?;
        let systems = customers::external_systems(&mut work.tx, request.tenant.0, MOST_SYSTEMS + 1).await?;
        work.tx.rollback().await?;

        let currency: Currency = stored("tenants.currency", &tenant.currency)?;
        let books = Books { altyn: self.clone(), tenant, currency, systems, options };
        let progress = match kind {
            ImportKind::Plans => self.import_table(request, &books, &PlansBook::new(&books), &bytes).await?,
            ImportKind::Customers => self.import_table(request, &books, &CustomersBook::new(&books), &bytes).await?,
            ImportKind::Contracts => {
                self.import_table(request, &books, &ContractsBook::try_new(&books)?, &bytes).await?
            }
            ImportKind::Subscriptions => {
                self.import_table(request, &books, &SubscriptionsBook::new(&books), &bytes).await?
            }
        };

        let mut work = match self.begin(request).await? {
            // Another request with this key ended first; its report is the answer.
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let errors: Vec<ImportErrorRow> = progress
            .problems
            .into_iter()
            .enumerate()
            .map(|(position, problem)| ImportErrorRow {
                position: i32::try_from(position).unwrap_or(i32::MAX),
                row_number: problem.row,
                column_name: problem.column,
                code: problem.code.to_owned(),
                message: problem.message,
            })
            .collect();
        let row = ImportRow {
            id: self.ids.next(),
            kind: kind.as_str().to_owned(),
            file_name: file_name.to_owned(),
            file_digest: Sha256::digest(&bytes).to_vec(),
            state: if books.options.dry_run { "dry-run" } else { "done" }.to_owned(),
            rows_read: progress.read,
            rows_created: progress.created,
            rows_unchanged: progress.unchanged,
            rows_refused: progress.refused,
            created_at: began,
            finished_at: Some(work.now),
        };
        imports::insert(&mut work.tx, request.tenant.0, &row).await?;
        for part in errors.chunks(CHUNK_ROWS) {
            imports::errors_insert(&mut work.tx, request.tenant.0, row.id, part).await?;
        }
        let shown = errors.into_iter().take(usize::try_from(ERRORS_SHOWN).unwrap_or(100)).collect();
        work.finish(201, report(row, shown)?).await
    }

    async fn import_table<B: Book>(
        &self,
        request: &Request,
        books: &Books,
        book: &B,
        bytes: &[u8],
    ) -> Result<Progress> {
        let optional =
            if books.options.external_system.is_some() { &["Внешняя система"][..] } else { &[] };
        let (mut table, unknown) = Table::open(bytes, B::COLUMNS, optional)?;
        let mut progress = Progress::default();
        progress.note(unknown);
        let mut seen = std::collections::HashMap::new();
        let mut chunk = Vec::with_capacity(CHUNK_ROWS);
        loop {
            let row = table.next_row();
            let last = row.is_none();
            if let Some(row) = row {
                progress.read += 1;
                let line = match &row {
                    Ok(row) => row.line,
                    Err(problem) => problem.row,
                };
                match row.map_err(|problem| vec![problem]).and_then(|row| book.parse(&row)) {
                    Err(problems) => progress.refuse(problems),
                    Ok(entry) => {
                        let (column, code, key) = book.key(&entry);
                        if let Some(first) = seen.get(&key) {
                            let message = format!("line {first} has the same; this row is left out");
                            progress.refuse(vec![Problem { row: line, column: column.to_owned(), code, message }]);
                        } else {
                            seen.insert(key, line);
                            chunk.push((line, entry));
                        }
                    }
                }
            }
            if chunk.len() == CHUNK_ROWS || (last && !chunk.is_empty()) {
                let saved = self.import_chunk(request, books, book, &chunk).await?;
                progress.created += saved.created;
                progress.unchanged += saved.unchanged;
                for problem in saved.refused {
                    progress.refuse(vec![problem]);
                }
                chunk.clear();
            }
            if last {
                // Rows are refused while they are read and again when they meet the database: one order for the reader.
                progress.problems.sort_by_key(|problem| problem.row);
                return Ok(progress);
            }
        }
    }

    async fn import_chunk<B: Book>(
        &self,
        request: &Request,
        books: &Books,
        book: &B,
        chunk: &[(i64, B::Entry)],
    ) -> Result<Saved> {
        let mut attempt = 1;
        loop {
            let mut tx = self.db.write(request.scope()).await?;
            tx.prefer_indexes().await?;
            match book.save(&mut tx, self.clock.now(), chunk).await {
                Ok(saved) => {
                    if books.options.dry_run {
                        tx.rollback().await?;
                    } else {
                        tx.commit().await?;
                    }
                    return Ok(saved);
                }
                Err(error) => {
                    tx.rollback().await?;
                    let again = match &error {
                        // Another import wrote one of the rows, or took one of the balances: look again.
                        ServiceError::Store(StoreError::Duplicate(_)) | ServiceError::Stale => true,
                        ServiceError::Store(error) => error.is_transient(),
                        _ => false,
                    };
                    if !again || attempt == ATTEMPTS {
                        return Err(error);
                    }
                    attempt += 1;
                }
            }
        }
    }

    /// One import with its first problems.
    pub async fn import_get(&self, request: &Request, id: ImportId) -> Result<ImportReport> {
        let mut tx = self.read(request).await?;
        let row = imports::find(&mut tx, request.tenant.0, id.uuid()).await?;
        let row = row.ok_or(ServiceError::NotFound("import"))?;
        let errors = imports::errors(&mut tx, request.tenant.0, id.uuid(), -1, ERRORS_SHOWN).await?;
        report(row, errors)
    }

    /// A page of imports without their problems, oldest first.
    pub async fn import_list(&self, request: &Request, page: &Page) -> Result<Listed<ImportReport>> {
        let (limit, after) = page.bounds::<ImportId>()?;
        let mut tx = self.read(request).await?;
        let rows = imports::list(&mut tx, request.tenant.0, after, limit).await?;
        page.listed(rows, |row| ImportId(row.id).to_string(), |row| report(row, Vec::new())).try_data()
    }

    /// A page of an import's problems, by line; the cursor is a position.
    pub async fn import_errors(&self, request: &Request, id: ImportId, page: &Page) -> Result<Listed<ImportProblem>> {
        let (limit, after) = page.positions()?;
        let mut tx = self.read(request).await?;
        if imports::find(&mut tx, request.tenant.0, id.uuid()).await?.is_none() {
            return Err(ServiceError::NotFound("import"));
        }
        let rows = imports::errors(&mut tx, request.tenant.0, id.uuid(), after, limit).await?;
        Ok(page.listed(rows, |row| row.position.to_string(), problem_view))
    }
}

/// How many external systems contracts are matched against when the import names none.
const MOST_SYSTEMS: i64 = 10;
