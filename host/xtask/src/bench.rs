//! The measurements: the release build against a private PostgreSQL, beside the database's own yardstick.
//!
//! `pgbench` runs on the same server, the same transport and in the same minutes, so the two figures may be compared.
//! The figures of Altyn itself are taken and printed by `altyn bench`.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Context as _;

use crate::{
    guests,
    postgres::{Cluster, Purpose},
    shell::{self, Usage},
};

#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    subscriptions: Option<String>,
    only: Option<String>,
    output: Option<String>,
    check: bool,
}

impl Wanted {
    fn ledger(&self) -> bool {
        self.only.as_deref().is_none_or(|only| only == "ledger")
    }
}

/// Builds, measures, prints; ends with the exit code of `altyn bench`.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let wanted = parse(arguments)?;
    guests::build_guests(root)?;
    let altyn = shell::build_altyn(root)?;
    let cluster = Cluster::start(root, Purpose::Bench)?;

    let mut bench = Command::new(altyn);
    bench.current_dir(root).args(["bench", "--postgres", cluster.socket_url(), "--plugins", "target/plugins"]);
    if let Some(subscriptions) = &wanted.subscriptions {
        bench.args(["--subscriptions", subscriptions]);
    }
    if let Some(only) = &wanted.only {
        bench.args(["--only", only]);
    }
    if wanted.check {
        bench.arg("--check");
    }
    if wanted.ledger() {
        bench.args(["--pgbench-tps", &pgbench(&cluster)?]);
    }
    bench.args(["--output", wanted.output.as_deref().unwrap_or("table")]);
    Ok(shell::exit_code(shell::status(&mut bench)?))
}

fn parse(arguments: &[String]) -> Result<Wanted, Usage> {
    let mut wanted = Wanted::default();
    let mut rest = arguments;
    while let Some(first) = rest.first() {
        let taken;
        if let Some((value, words)) = shell::option(rest, "--subscriptions")? {
            if value.parse::<u64>().is_err() || value == "0" {
                return Err(Usage::new(format!("`--subscriptions` is a number from 1, got `{value}`")));
            }
            (wanted.subscriptions, taken) = (Some(value.to_owned()), words);
        } else if let Some((value, words)) = shell::option(rest, "--only")? {
            if !["billing", "ledger", "plugin", "tenants", "change", "usage", "contract", "credit"].contains(&value) {
                let message = format!(
                    "`--only` is billing, ledger, plugin, tenants, change, usage, contract or credit, got `{value}`"
                );
                return Err(Usage::new(message));
            }
            (wanted.only, taken) = (Some(value.to_owned()), words);
        } else if let Some((value, words)) = shell::option(rest, "--output")? {
            if !["table", "json"].contains(&value) {
                return Err(Usage::new(format!("`--output` is table or json, got `{value}`")));
            }
            (wanted.output, taken) = (Some(value.to_owned()), words);
        } else if first == "--check" {
            (wanted.check, taken) = (true, 1);
        } else {
            return Err(Usage::new(format!("`cargo xtask bench` does not know `{first}`")));
        }
        rest = &rest[taken..];
    }
    Ok(wanted)
}

/// Transactions a second of the TPC-B-like script at 16 connections, as the decimal text that `pgbench` prints.
fn pgbench(cluster: &Cluster) -> anyhow::Result<String> {
    let database = cluster.create_database("altyn_pgbench")?;
    eprintln!("pgbench: filling");
    shell::capture(cluster.program("pgbench")?.args(["--initialize", "--quiet", "--scale=20"]).arg(&database))?;
    eprintln!("pgbench: 15 s at 16 connections");
    let report =
        shell::capture(cluster.program("pgbench")?.args(["--client=16", "--jobs=2", "--time=15"]).arg(&database))?;
    cluster.drop_database("altyn_pgbench")?;
    let tps = tps(&report).with_context(|| format!("no `tps` in what pgbench printed:\n{report}"))?;
    eprintln!("pgbench: {tps} transactions a second");
    Ok(tps)
}

fn tps(report: &str) -> Option<String> {
    let figure = report.lines().find_map(|line| line.strip_prefix("tps = "))?.split_whitespace().next()?;
    let plain = figure.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && figure.starts_with(|first: char| first.is_ascii_digit())).then(|| figure.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_yardstick_is_read_as_plain_decimal_text() {
        let report = "number of failed transactions: 0 (0.000%)\nlatency average = 4.1 ms\n\
                      tps = 3871.204511 (without initial connection time)\n";
        assert_eq!(tps(report).as_deref(), Some("3871.204511"));
        assert_eq!(tps("tps = inf"), None);
        assert_eq!(tps(""), None);
    }

    #[test]
    fn a_check_may_be_asked_for() {
        assert!(parse(&words("--only plugin --check")).unwrap().check);
        assert!(!parse(&[]).unwrap().check);
    }

    #[test]
    fn the_yardstick_is_taken_when_the_ledger_is_measured() {
        assert!(parse(&[]).unwrap().ledger());
        assert!(parse(&words("--only ledger")).unwrap().ledger());
        assert!(!parse(&words("--only billing --subscriptions 1000")).unwrap().ledger());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in ["--only tax", "--subscriptions many", "--subscriptions 0", "--output yaml", "--fast", "--only"] {
            assert!(parse(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
