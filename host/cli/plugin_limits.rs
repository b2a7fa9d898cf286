//! `altyn plugin usage`, `altyn plugin limits` and `altyn plugin limit`: what plugin calls took and may take.

use altyn_runtime::World;
use altyn_service::usage::{LoweredLimits, UsageFilter};
use chrono::NaiveDate;
use clap::Args;

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const USAGE: &[&str] = &[
    "plugin_id",
    "plugin_version",
    "world",
    "purpose",
    "calls",
    "failures",
    "lines",
    "fuel",
    "peak_memory_bytes",
    "bytes_in",
    "bytes_out",
    "duration_us",
    "component",
];
const LIMITS: &[&str] = &["world", "version", "in_force", "lowered"];

/// Options of `altyn plugin usage`.
#[derive(Debug, Args)]
pub struct Usage {
    /// The first day, UTC; default: 31 days before --until
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// The day after the last, UTC; default: tomorrow
    #[arg(long, value_name = "DATE")]
    until: Option<NaiveDate>,
    #[command(flatten)]
    page: PageArgs,
}

impl Usage {
    /// Prints the report.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let filter = UsageFilter { from: self.from, until: self.until };
        session.printer.list(&session.altyn.usage_report(&request, &filter, &self.page.page()).await?, USAGE)
    }
}

/// Prints the limits of all worlds.
pub async fn limits(session: &Session) -> Result<(), Failure> {
    let request = session.request().await?;
    session.printer.list(&session.altyn.plugin_limits_list(&request).await?, LIMITS)
}

/// Options of `altyn plugin limit`: what is not given is the platform's again.
#[derive(Debug, Args)]
pub struct Limit {
    /// The world, such as tax-rule
    world: World,
    /// Fuel of a call without lines
    #[arg(long)]
    fuel: Option<u64>,
    /// Fuel for each line
    #[arg(long)]
    fuel_per_line: Option<u64>,
    /// Linear memory, bytes
    #[arg(long)]
    memory_bytes: Option<u64>,
    /// Wall time, milliseconds
    #[arg(long)]
    wall_ms: Option<u64>,
    /// Bytes of a question without lines
    #[arg(long)]
    input_bytes: Option<u64>,
    /// Bytes of a question for each line
    #[arg(long)]
    input_bytes_per_line: Option<u64>,
    /// Bytes of an answer without lines
    #[arg(long)]
    hostcall_bytes: Option<u64>,
    /// Bytes of an answer for each line
    #[arg(long)]
    hostcall_bytes_per_line: Option<u64>,
    /// Bytes of notes kept of one call
    #[arg(long)]
    log_bytes: Option<u64>,
    /// Notes kept of one call
    #[arg(long)]
    log_lines: Option<u64>,
}

impl Limit {
    /// Lowers the limits and prints those in force.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let version = session.altyn.plugin_limits_get(&request, self.world).await?.version;
        let lowered = LoweredLimits {
            fuel: self.fuel,
            fuel_per_line: self.fuel_per_line,
            memory_bytes: self.memory_bytes,
            wall_ms: self.wall_ms,
            input_bytes: self.input_bytes,
            input_bytes_per_line: self.input_bytes_per_line,
            hostcall_bytes: self.hostcall_bytes,
            hostcall_bytes_per_line: self.hostcall_bytes_per_line,
            log_bytes: self.log_bytes,
            log_lines: self.log_lines,
        };
        let reply = session.altyn.plugin_limits_set(&request, self.world, version, lowered).await?;
        session.printer.object(&reply.value, LIMITS)
    }
}
