//! `altyn import`: an operator's books.

use std::path::{Path, PathBuf};

use altyn_domain::id::{ImportId, SellerId};
use altyn_service::{
    Request,
    imports::{ImportKind, ImportOptions, ImportReport},
};
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    output::{self, Output, Table},
    session::{PageArgs, Session},
};
use crate::Altyn;

const IMPORT: &[&str] =
    &["id", "kind", "file_name", "state", "rows_read", "rows_created", "rows_unchanged", "rows_refused", "created_at"];
const PROBLEM: &[&str] = &["row", "column", "code", "message"];

/// Verbs of `altyn import`.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Products and plans
    Plans(ImportFile),
    /// Customers with their opening balances
    Customers(ImportFile),
    /// Contracts
    Contracts(ImportFile),
    /// Subscriptions
    Subscriptions(ImportFile),
    /// List earlier imports
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one import with its first problems
    Show {
        /// Which
        id: ImportId,
    },
    /// List an import's problems
    Errors {
        /// Which
        id: ImportId,
        #[command(flatten)]
        page: PageArgs,
    },
}

/// A file to import. Refused rows are reported and do not fail the command.
#[derive(Debug, Args)]
pub struct ImportFile {
    /// CSV in windows-1251 or UTF-8, fields separated by ;
    file: PathBuf,
    /// The seller of imported contracts; default: the only one
    #[arg(long)]
    seller: Option<SellerId>,
    /// Check everything, write nothing but the report
    #[arg(long)]
    dry_run: bool,
    /// The external system of rows that name none
    #[arg(long)]
    external_system: Option<String>,
}

impl ImportCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        let (kind, file) = match self {
            Self::Plans(file) => (ImportKind::Plans, file),
            Self::Customers(file) => (ImportKind::Customers, file),
            Self::Contracts(file) => (ImportKind::Contracts, file),
            Self::Subscriptions(file) => (ImportKind::Subscriptions, file),
            Self::List { page } => return printer.list(&altyn.import_list(&request, &page.page()).await?, IMPORT),
            Self::Show { id } => return printer.object(&altyn.import_get(&request, id).await?, IMPORT),
            Self::Errors { id, page } => {
                return printer.list(&altyn.import_errors(&request, id, &page.page()).await?, PROBLEM);
            }
        };
        let seller = match file.seller {
            Some(seller) => seller,
            None => only_seller(altyn, &request).await?,
        };
        let options = ImportOptions { seller, dry_run: file.dry_run, external_system: file.external_system };
        let report = import(altyn, &request, kind, &file.file, options).await?;
        match printer.output {
            Output::Json => printer.object(&report, IMPORT),
            Output::Table => {
                output::write(&reports_text([&report]));
                output::write(&problems_text([&report]));
                Ok(())
            }
        }
    }
}

async fn only_seller(altyn: &Altyn, request: &Request) -> Result<SellerId, Failure> {
    let page = altyn_service::page::Page { limit: Some(2), cursor: None };
    let sellers = altyn.seller_list(request, &page).await?.data;
    match sellers.as_slice() {
        [seller] => Ok(seller.id),
        [] => Err(Failure::usage("there is no seller yet; make one with `altyn seller create`")),
        _ => Err(Failure::usage("there are several sellers; say which with --seller, see `altyn seller list`")),
    }
}

/// Imports one file.
pub async fn import(
    altyn: &Altyn,
    request: &Request,
    kind: ImportKind,
    file: &Path,
    options: ImportOptions,
) -> Result<ImportReport, Failure> {
    let bytes = tokio::fs::read(file)
        .await
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    let name = file.file_name().map_or_else(|| kind.as_str().into(), |name| name.to_string_lossy());
    Ok(altyn.import_books(request, kind, &name, bytes, options).await?.value)
}

/// A line for each report.
pub fn reports_text<'a>(reports: impl IntoIterator<Item = &'a ImportReport>) -> String {
    let mut table = Table::new(["file", "state", "rows", "created", "unchanged", "refused"]);
    for report in reports {
        let counts = [report.rows_read, report.rows_created, report.rows_unchanged, report.rows_refused];
        let words = [report.file_name.clone(), report.state.clone()];
        table.row(words.into_iter().chain(counts.map(output::count)));
    }
    table.render()
}

/// A line for each problem that the reports show; empty when there is none.
pub fn problems_text<'a>(reports: impl IntoIterator<Item = &'a ImportReport>) -> String {
    let mut table = Table::new(["file", "row", "column", "code", "reason"]);
    let mut any = false;
    for report in reports {
        for problem in &report.errors {
            any = true;
            table.row([
                report.file_name.clone(),
                problem.row.to_string(),
                problem.column.clone(),
                problem.code.clone(),
                problem.message.clone(),
            ]);
        }
    }
    if any { format!("\n{}", table.render()) } else { String::new() }
}
