//! `altyn scheduler`: the work that starts by itself.

use altyn_domain::id::JobId;
use altyn_service::{
    Request,
    page::{LARGEST_PAGE, Listed, Page},
    scheduler::{JobFilter, JobState, SchedulerView},
};
use clap::Subcommand;

use super::{
    exit::Failure,
    named,
    session::{CREDENTIAL, PageArgs, Session},
};

const STATUS: &[&str] = &[
    "tenant_id",
    "name",
    "last_day_on",
    "next_run_at",
    "days_behind",
    "jobs_ready",
    "jobs_held",
    "jobs_dead",
    "oldest_answer_at",
    "oldest_event_at",
    "oldest_done_job_at",
    "clock_behind_ms",
];
const JOB: &[&str] = &["id", "kind", "key", "state", "due_at", "attempts", "lease_owner", "last_error"];
const CLOCK: &[&str] = &["seen_at", "behind_since", "behind_ms"];

/// Verbs of `altyn scheduler`.
#[derive(Debug, Subcommand)]
pub enum SchedulerCommand {
    /// Show how scheduled work stands, for all tenants or for --tenant
    Status {
        #[command(flatten)]
        page: PageArgs,
    },
    /// List a tenant's jobs
    Jobs {
        /// ready, done or dead
        #[arg(long, value_parser = named::<JobState>)]
        state: Option<JobState>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Give a job that was given up another row of tries
    Retry {
        /// Which
        id: JobId,
    },
    /// Accept this machine's clock after it was set back on purpose, or after it once showed a time that lay ahead
    AcceptClock,
}

impl SchedulerCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Status { page } => {
                let page: Page = page.page();
                let (tenants, has_more, next_cursor) = if let Some(id) = session.chosen_tenant() {
                    (vec![id], false, None)
                } else {
                    let found = altyn.tenant_list_all(&page).await?;
                    let ids = found.data.iter().map(|tenant| tenant.id).collect::<Vec<_>>();
                    (ids, found.has_more, found.next_cursor)
                };
                let mut data = Vec::new();
                for tenant in tenants.into_iter().take(usize::try_from(LARGEST_PAGE).unwrap_or(usize::MAX)) {
                    // A tenant in a sandbox has a time of its own.
                    let altyn = altyn.acting_for(tenant).await?;
                    data.push(altyn.scheduler_status(&Request::internal(tenant, CREDENTIAL)).await?);
                }
                data.iter().for_each(tell_unbound);
                printer.list(&Listed { data, has_more, next_cursor }, STATUS)
            }
            Self::Jobs { state, page } => {
                let request = session.request().await?;
                printer.list(&altyn.job_list(&request, JobFilter { state }, &page.page()).await?, JOB)
            }
            Self::Retry { id } => {
                let request = session.request().await?;
                printer.object(&altyn.job_retry(&request, id).await?.value, JOB)
            }
            Self::AcceptClock => printer.object(&altyn.clock_accept().await?, CLOCK),
        }
    }
}

/// Says why no day of a tenant is closed by itself yet, on stderr.
pub fn tell_unbound(status: &SchedulerView) {
    if !status.unbound.is_empty() {
        let worlds: Vec<_> = status.unbound.iter().map(|world| world.as_str()).collect();
        let (name, worlds) = (&status.name, worlds.join(", "));
        eprintln!("no day of {name} is closed until a plugin is bound to {worlds}: see `altyn plugin bind`");
    }
}
