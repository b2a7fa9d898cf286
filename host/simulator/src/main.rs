//! The simulator as a program, as `cargo xtask simulate` starts it.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use altyn_simulator::{Report, Wanted, simulate};
use clap::Parser;

/// Lives operators' lives from numbers and looks at every rule of the books on the way.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Only so many steps of each.
    #[arg(long)]
    steps: Option<usize>,
    /// A PostgreSQL server where databases may be created: each life is lived there too, and must come to the same.
    #[arg(long)]
    database: Option<String>,
    /// The folder with the built components.
    #[arg(long, default_value = "target/plugins")]
    plugins: PathBuf,
    /// How many lives at once.
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// A table or one JSON object.
    #[arg(long, default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = Wanted {
        seed: arguments.seed,
        seeds: arguments.seeds,
        steps: arguments.steps,
        server: arguments.database,
        plugins: arguments.plugins,
        workers: arguments.workers,
    };
    match simulate(&wanted).and_then(|report| tell(&report, arguments.output).map(|()| report)) {
        Ok(report) if report.failures.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(6),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell(report: &Report, output: Output) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if output == Output::Json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
        return Ok(());
    }
    for failure in &report.failures {
        writeln!(out, "seed {} on {} broke at {}", failure.seed, failure.engine, failure.broken)?;
        for line in &failure.broken.story {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "again: {}\n", failure.again)?;
    }
    for (act, outcomes) in &report.outcomes {
        let told: Vec<_> = outcomes.iter().map(|(outcome, times)| format!("{outcome} {times}")).collect();
        writeln!(out, "{act:12} {}", told.join(", "))?;
    }
    writeln!(out, "seeds        {}", report.seeds)?;
    writeln!(out, "lives        {}", report.lives)?;
    writeln!(out, "steps        {}", report.steps)?;
    writeln!(out, "days closed  {}", report.days_closed)?;
    writeln!(out, "crashes      {}", report.crashes)?;
    writeln!(out, "books        {}", report.digest())?;
    writeln!(out, "broken       {}", report.failures.len())?;
    Ok(())
}
