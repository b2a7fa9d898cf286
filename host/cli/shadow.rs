//! `altyn plugin shadow`: what another component would have decided about the past.

use std::{fmt::Write as _, path::PathBuf};

use altyn_domain::{id::BindingId, money::Currency, money::Money};
use altyn_service::explain::{ShadowCandidate, ShadowOptions, ShadowReport};
use chrono::NaiveDate;
use clap::Args;

use super::{
    exit::Failure,
    output::{self, Output, Table},
    plugins::{ManifestArgs, configuration, read},
    session::Session,
};

/// Options of `altyn plugin shadow`.
#[derive(Debug, Args)]
pub struct Shadow {
    /// The binding whose history is asked about
    #[arg(long, value_name = "BINDING")]
    binding: BindingId,
    /// The .wasm file of the candidate
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    #[command(flatten)]
    manifest: ManifestArgs,
    /// The first business day
    #[arg(long, value_name = "DATE")]
    from: NaiveDate,
    /// The day after the last; default: all days
    #[arg(long, value_name = "DATE")]
    until: Option<NaiveDate>,
    /// Configuration for the candidate, JSON or @FILE; default: the recorded one
    #[arg(long, value_name = "JSON")]
    plugin_config: Option<String>,
}

impl Shadow {
    /// Asks and prints.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let candidate =
            ShadowCandidate { wasm: read(&self.candidate)?, manifest: self.manifest.read(&self.candidate)? };
        let request = session.request().await?;
        let config = self.plugin_config.as_deref().map(configuration).transpose()?;
        let options =
            ShadowOptions { from: self.from, until: self.until, config: config.map(|config| config.to_string()) };
        let mut told = 0;
        let report = session.altyn.shadow(&request, self.binding, candidate, options, |report| {
            if report.calls >= told + 1_000 {
                told = report.calls;
                eprintln!("{} calls, {} % identical", report.calls, report.identical_percent);
            }
        });
        let report = report.await?;
        match session.printer.output {
            Output::Json => session.printer.object(&report, &[]),
            Output::Table => {
                output::write(&text(&report));
                Ok(())
            }
        }
    }
}

fn money(minor: i64, currency: &str) -> String {
    Currency::parse(currency).map_or_else(|_| minor.to_string(), |currency| output::amount(Money::new(minor, currency)))
}

/// The report for people.
pub fn text(report: &ShadowReport) -> String {
    let mut text = format!(
        "{} lines of {} calls asked again of {} (sha256 {})\n{} % identical\n",
        output::count(report.lines),
        output::count(report.calls),
        report.candidate_name,
        report.candidate,
        report.identical_percent,
    );
    let mut totals = Table::new(["currency", "recorded", "candidate", "difference in the books"]);
    for total in &report.totals {
        totals.row([
            total.currency.clone(),
            money(total.recorded_minor, &total.currency),
            money(total.candidate_minor, &total.currency),
            money(total.posted_difference_minor, &total.currency),
        ]);
    }
    text.push_str(&totals.render());
    if !report.reasons.is_empty() {
        let mut reasons = Table::new(["differs by", "lines"]);
        for count in &report.reasons {
            reasons.row([count.reason.as_str().to_owned(), output::count(count.lines)]);
        }
        text.push('\n');
        text.push_str(&reasons.render());
    }
    if !report.contracts.is_empty() {
        let mut contracts = Table::new(["contract", "id", "currency", "difference", "lines", "reasons"]);
        for contract in &report.contracts {
            let currency = contract.currency.clone().unwrap_or_default();
            let reasons: Vec<&str> = contract.reasons.iter().map(|reason| reason.as_str()).collect();
            contracts.row([
                contract.number.clone(),
                contract.contract_id.to_string(),
                currency.clone(),
                money(contract.difference_minor, &currency),
                output::count(contract.lines),
                reasons.join(", "),
            ]);
        }
        text.push('\n');
        text.push_str(&contracts.render());
    }
    if !report.examples.is_empty() {
        let mut examples = Table::new(["call", "line", "differs by", "recorded", "candidate"]);
        for line in &report.examples {
            examples.row([
                line.call_id.to_string(),
                line.line.clone(),
                line.reason.as_str().to_owned(),
                line.recorded.clone(),
                line.candidate.clone(),
            ]);
        }
        text.push('\n');
        text.push_str(&examples.render());
    }
    let gone = report.recorded_faults + report.unreadable_calls;
    if gone + report.unposted_lines > 0 {
        let _ = writeln!(
            text,
            "\n{} calls could not be compared ({} had failed), {} different lines stand in no books",
            output::count(gone),
            output::count(report.recorded_faults),
            output::count(report.unposted_lines),
        );
    }
    text
}
