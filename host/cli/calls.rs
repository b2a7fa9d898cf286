//! `altyn plugin call`: what plugins were asked and what they answered.

use altyn_domain::id::{CallId, RunId};
use altyn_service::explain::CallFilter;
use clap::Subcommand;

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const CALLS: &[&str] =
    &["id", "called_at", "plugin_id", "plugin_version", "export", "fault_code", "duration_us", "fuel", "run_id"];
const CALL: &[&str] = &[
    "id",
    "run_id",
    "binding_id",
    "plugin_id",
    "plugin_version",
    "component",
    "world",
    "export",
    "input_digest",
    "output_digest",
    "fault_code",
    "fault",
    "fuel",
    "peak_memory_bytes",
    "duration_us",
    "called_at",
];
const EVIDENCE: &[&str] = &["call", "input", "output"];

/// Verbs of `altyn plugin call`.
#[derive(Debug, Subcommand)]
pub enum CallCommand {
    /// List recorded calls, oldest first
    List {
        /// Only those of this run
        #[arg(long, value_name = "RUN")]
        run: Option<RunId>,
        /// Only those without an answer that counts
        #[arg(long)]
        failed: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one call: what it used, and how it failed if it did
    Show {
        /// The call
        id: CallId,
    },
    /// Show the whole question and the whole answer, in the terms of the plugin contract
    Evidence {
        /// The call
        id: CallId,
    },
}

impl CallCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer, request) = (&session.altyn, session.printer, session.request().await?);
        match self {
            Self::List { run, failed, page } => {
                let filter = CallFilter { run_id: run, failed: Some(failed) };
                printer.list(&altyn.call_list(&request, filter, &page.page()).await?, CALLS)
            }
            Self::Show { id } => printer.object(&altyn.call_get(&request, id).await?, CALL),
            Self::Evidence { id } => printer.object(&altyn.call_evidence(&request, id).await?, EVIDENCE),
        }
    }
}
