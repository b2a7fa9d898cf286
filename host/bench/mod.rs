//! The measurements of `altyn bench`: what this machine does, beside a baseline taken in the same run.
//!
//! Figures are ratios and rates of one run on one machine; none of them is money, which is why floats are fine here.

mod aims;
mod billing;
mod bindings;
mod change;
mod containment;
mod contracts;
mod ledger;
mod neighbours;
mod plugin;
mod usage;
mod world;

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// What to measure and against what.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// A PostgreSQL server where databases may be created; without it only SQLite is measured.
    #[arg(long)]
    pub postgres: Option<String>,
    /// Directory with the built first-party components.
    #[arg(long, default_value = "target/plugins")]
    pub plugins: PathBuf,
    /// How many subscriptions to bill; 100,000 and 1,000,000 when absent.
    #[arg(long)]
    pub subscriptions: Option<u32>,
    /// Only one group of measurements.
    #[arg(long)]
    pub only: Option<Only>,
    /// The transactions per second of `pgbench`, taken on the same server, to print beside.
    #[arg(long)]
    pub pgbench_tps: Option<String>,
    /// Fail with a list when a figure misses its aim
    #[arg(long)]
    pub check: bool,
    /// Subscriptions per chunk of the run.
    #[arg(long)]
    pub chunk: Option<u32>,
}

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    /// The billing run and the bare loader.
    Billing,
    /// Ledger postings.
    Ledger,
    /// Plugin calls.
    Plugin,
    /// Many tenants beside one another: their bindings, and what they feel of an attacker.
    Tenants,
    /// Previews of changes.
    Change,
    /// Recording use, and billing it.
    Usage,
    /// One contract with 30,000 subscriptions.
    Contract,
    /// The credit control of 100,000 contracts.
    Credit,
}

/// The figures, by name.
pub type Figures = Map<String, Value>;

/// Measures and answers the figures; progress goes to stderr.
pub async fn run(args: &BenchArgs) -> anyhow::Result<Figures> {
    let wants = |group| args.only.is_none_or(|only| only == group);
    let mut figures = Figures::new();
    if wants(Only::Plugin) {
        plugin::measure(args, &mut figures).await.context("measuring plugin calls")?;
        let plugins = args.plugins.clone();
        let contained = tokio::task::spawn_blocking(move || -> anyhow::Result<Figures> {
            let mut figures = Figures::new();
            containment::measure(&plugins, &mut figures)?;
            Ok(figures)
        });
        figures.extend(contained.await?.context("measuring the containment of plugins")?);
    }
    if wants(Only::Tenants) {
        let plugins = args.plugins.clone();
        let beside = tokio::task::spawn_blocking(move || -> anyhow::Result<Figures> {
            let mut figures = Figures::new();
            neighbours::measure(&plugins, &mut figures)?;
            Ok(figures)
        });
        figures.extend(beside.await?.context("measuring neighbours of attackers")?);
        bindings::measure(args, &mut figures).await.context("measuring bindings of many tenants")?;
    }
    if wants(Only::Change) {
        Box::pin(change::measure(args, &mut figures)).await.context("measuring changes")?;
    }
    if wants(Only::Usage) {
        usage::measure(args, &mut figures).await.context("measuring use")?;
    }
    if wants(Only::Ledger) {
        ledger::measure(args, &mut figures).await.context("measuring the ledger")?;
    }
    if wants(Only::Contract) {
        contracts::measure_large(args, &mut figures).await.context("measuring a large contract")?;
    }
    if wants(Only::Credit) {
        contracts::measure_credit(args, &mut figures).await.context("measuring the credit control")?;
    }
    if wants(Only::Billing) {
        billing::measure(args, &mut figures).await.context("measuring the billing run")?;
    }
    Ok(figures)
}

/// A sentence for each figure that misses its aim.
pub fn missed(figures: &Figures) -> Vec<String> {
    aims::missed(figures)
}

/// The figures as a table, with their aims.
pub fn table(figures: &Figures) -> String {
    use std::fmt::Write as _;
    let width = figures.keys().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in figures {
        let aim = aims::aim(name).map(|aim| format!("  ({aim})")).unwrap_or_default();
        let _ = writeln!(text, "{name:width$}  {value}{aim}");
    }
    text
}

/// A figure rounded to what is worth reading.
#[expect(clippy::float_arithmetic, reason = "a measurement, not money")]
fn round(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}

/// How many a second.
#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a measurement, not money")]
fn rate(count: u64, elapsed: std::time::Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// Starts a new peak of resident memory, where the system can.
fn reset_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Resident memory now, bytes; 0 where the system does not tell.
fn resident_memory_bytes() -> u64 {
    status_kib("VmRSS:") * 1024
}

/// Peak resident memory since the last reset, bytes; 0 where the system does not tell.
pub fn peak_memory_bytes() -> u64 {
    status_kib("VmHWM:") * 1024
}

fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .unwrap_or(0)
}
