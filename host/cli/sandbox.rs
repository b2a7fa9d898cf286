//! `altyn sandbox`: a tenant with a clock of its own.

use altyn_domain::run::RunMode;
use altyn_service::{
    Request,
    sandbox::{AdvanceSandbox, EnterSandbox, SandboxView},
};
use chrono::{DateTime, NaiveDate, Utc};
use clap::Subcommand;

use super::{exit::Failure, runs::Wait, session::Session};

const SANDBOX: &[&str] = &["now_at", "today_on", "until_at", "mode", "open_day_on", "entered_at"];

/// Verbs of `altyn sandbox`.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Give a tenant without books a clock of its own; nothing leaves it
    Enter {
        /// What time it is in there, such as 2026-11-01T09:00:00Z; default: the real time
        #[arg(long)]
        now: Option<DateTime<Utc>>,
    },
    /// Show what time it is in there
    Show,
    /// Go on by 24 hours; the day that ends is closed with confirmation
    NextDay {
        /// with-confirmation or automatic
        #[arg(long)]
        mode: Option<RunMode>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Go to a day in the future; the days before it are closed without asking
    Future {
        /// The day to go to
        #[arg(long)]
        to: NaiveDate,
        /// with-confirmation or automatic
        #[arg(long)]
        mode: Option<RunMode>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Go on where the time stopped, after plans that waited were decided on
    Resume,
    /// Throw away customers and all that became of them; settings stay, the clock shows the real time
    Wipe {
        /// Really
        #[arg(long)]
        yes: bool,
    },
    /// Leave the sandbox after it was wiped
    Leave,
}

impl SandboxCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        let shown = match self {
            Self::Enter { now } => altyn.sandbox_enter(&request, EnterSandbox { now_at: now }).await?.value,
            Self::Show => altyn.sandbox_get(&request).await?,
            Self::NextDay { mode, wait } => {
                let aimed = altyn.sandbox_advance(&request, AdvanceSandbox { to_on: None, mode }).await?.value;
                if wait.here() { go_on(session, &request).await? } else { aimed }
            }
            Self::Future { to, mode, wait } => {
                let aimed = altyn.sandbox_advance(&request, AdvanceSandbox { to_on: Some(to), mode }).await?.value;
                if wait.here() { go_on(session, &request).await? } else { aimed }
            }
            Self::Resume => go_on(session, &request).await?,
            Self::Wipe { yes } => {
                if !yes {
                    return Err(Failure::usage("this throws away every customer of the tenant; say --yes"));
                }
                altyn.sandbox_wipe(&request).await?.value
            }
            Self::Leave => altyn.sandbox_leave(&request).await?.value,
        };
        printer.object(&shown, SANDBOX)
    }
}

/// Lets the time go here, until it has arrived or something waits for a person.
async fn go_on(session: &Session, request: &Request) -> Result<SandboxView, Failure> {
    let tenant = session.tenant().await?;
    let altyn = &session.altyn;
    let owner = format!("{}/{}", request.credential, altyn.ids.next().simple());
    let turned = tokio::select! {
        turned = altyn.sandbox_turn(&tenant, &owner) => turned,
        _ = tokio::signal::ctrl_c() => {
            altyn.leases_return(tenant.id, &owner).await?;
            let message = "interrupted; the time stands where it came to, go on with `altyn sandbox resume`";
            return Err(Failure::new(super::exit::Exit::Failure, "interrupted", message));
        }
    };
    if let Some(turn) = turned? {
        eprintln!("{} days were closed", turn.runs_started);
        if turn.jobs_failed > 0 {
            eprintln!("{} jobs failed: see `altyn scheduler jobs`", turn.jobs_failed);
        }
    }
    super::jobs::tell_unbound(&altyn.acting_for(request.tenant).await?.scheduler_status(request).await?);
    let sandbox = altyn.sandbox_get(request).await?;
    if let Some(day) = sandbox.open_day_on {
        let next = if sandbox.until_at.is_some() { ", then `altyn sandbox resume`" } else { "" };
        eprintln!("the run of {day} waits for decisions: see `altyn run list` and decide on its plans{next}");
    }
    Ok(sandbox)
}
