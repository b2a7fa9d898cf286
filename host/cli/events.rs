//! `altyn event` and `altyn notice`: what happened, and how many days before a charge customers hear of it.

use altyn_service::{events::EventFilter, notices::SetNoticePolicy};
use clap::Subcommand;

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const EVENT: &[&str] = &["position", "id", "kind", "subject", "payload", "created_at", "delivered_at"];
const POLICY: &[&str] = &["first_days", "second_days", "version", "updated_at"];

/// Verbs of `altyn event`.
#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// List events, oldest first
    List {
        /// Only of this kind, such as subscription.charge-due
        #[arg(long)]
        kind: Option<String>,
        /// Only about this object, by its id
        #[arg(long)]
        subject: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
}

/// Verbs of `altyn notice`.
#[derive(Debug, Subcommand)]
pub enum NoticeCommand {
    /// Show how many days before a charge customers hear of it
    Policy,
    /// Say how many days before a charge customers hear of it; without days they do not
    SetPolicy {
        /// Days before the charge of the first notice
        #[arg(long)]
        first_days: Option<i32>,
        /// Days of a second one
        #[arg(long, requires = "first_days")]
        second_days: Option<i32>,
    },
}

impl EventCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let Self::List { kind, subject, page } = self;
        let filter = EventFilter { kind, subject };
        session.printer.list(&session.altyn.event_list(&request, filter, &page.page()).await?, EVENT)
    }
}

impl NoticeCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Policy => printer.object(&altyn.notice_policy_get(&request).await?, POLICY),
            Self::SetPolicy { first_days, second_days } => {
                let version = altyn.notice_policy_get(&request).await?.version;
                let command = SetNoticePolicy { first_days, second_days };
                printer.object(&altyn.notice_policy_set(&request, version, command).await?.value, POLICY)
            }
        }
    }
}
