//! `altyn plugin shadow`: what another component would have decided about the past, or would decide about the next run.

use std::{fmt::Write as _, path::PathBuf};

use altyn_domain::{id::BindingId, money::Currency, money::Money};
use altyn_service::{
    Request,
    explain::{ShadowCandidate, ShadowOptions, ShadowReport},
    runs::{NextRunOptions, NextRunReport},
};
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
    /// The binding in whose place the candidate is asked
    #[arg(long, value_name = "BINDING")]
    binding: BindingId,
    /// The .wasm file of the candidate
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    #[command(flatten)]
    manifest: ManifestArgs,
    /// The first business day of the recorded history; of a gateway, the first day of exchanges
    #[arg(long, value_name = "DATE", required_unless_present = "next_run", conflicts_with = "next_run")]
    from: Option<NaiveDate>,
    /// The day after the last; default: all days
    #[arg(long, value_name = "DATE", requires = "from")]
    until: Option<NaiveDate>,
    /// Rehearse the next run instead: its plans are computed by both and compared
    #[arg(long)]
    next_run: bool,
    /// The day that the rehearsed run closes; default: the day after the last run
    #[arg(long = "date", value_name = "DATE", requires = "next_run")]
    on: Option<NaiveDate>,
    /// Configuration for the candidate, JSON or @FILE; default: the recorded one, or that of the binding
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
        let config = config.map(|config| config.to_string());
        let Some(from) = self.from else {
            let options = NextRunOptions { on: self.on, config };
            return next_run(session, &request, self.binding, candidate, options).await;
        };
        let options = ShadowOptions { from, until: self.until, config };
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

async fn next_run(
    session: &Session,
    request: &Request,
    binding: BindingId,
    candidate: ShadowCandidate,
    options: NextRunOptions,
) -> Result<(), Failure> {
    let mut told = 0;
    let report = session.altyn.shadow_next_run(request, binding, candidate, options, |report| {
        if report.contracts >= told + 10_000 {
            told = report.contracts;
            eprintln!("{} contracts, {} % identical", report.contracts, report.identical_percent);
        }
    });
    let report = report.await?;
    match session.printer.output {
        Output::Json => session.printer.object(&report, &[]),
        Output::Table => {
            output::write(&text_of_next_run(&report));
            Ok(())
        }
    }
}

/// The report of a rehearsed run for people.
fn text_of_next_run(report: &NextRunReport) -> String {
    let mut text = format!(
        "the run of {} by {} (sha256 {})\n{} contracts, {} lines, {} % identical; parked: {} by the present component, {} by the \
         candidate\n",
        report.business_on,
        report.candidate_name,
        report.candidate,
        output::count(report.contracts),
        output::count(report.lines),
        report.identical_percent,
        output::count(report.present_parked),
        output::count(report.candidate_parked),
    );
    let mut totals = Table::new(["currency", "what", "present", "candidate", "difference"]);
    for total in &report.totals {
        let tax = (total.present_tax_minor, total.candidate_tax_minor);
        for (what, present, candidate) in
            [("gross", total.present_minor, total.candidate_minor), ("tax in it", tax.0, tax.1)]
        {
            let cells = [present, candidate, candidate.saturating_sub(present)];
            let [present, candidate, difference] = cells.map(|minor| money(minor, &total.currency));
            totals.row([total.currency.clone(), what.to_owned(), present, candidate, difference]);
        }
    }
    text.push_str(&totals.render());
    if report.reasons.is_empty() {
        return text;
    }
    let mut reasons = Table::new(["differs by", "contracts"]);
    for count in &report.reasons {
        reasons.row([count.reason.as_str().to_owned(), output::count(count.contracts)]);
    }
    let mut worst =
        Table::new(["contract", "id", "currency", "present", "candidate", "difference", "in tax", "differs by"]);
    let mut examples = String::new();
    for found in &report.worst {
        let shown =
            |minor: Option<i64>| minor.map_or_else(|| "parked".to_owned(), |minor| money(minor, &found.currency));
        worst.row([
            found.number.clone(),
            found.contract_id.to_string(),
            found.currency.clone(),
            shown(found.present_minor),
            shown(found.candidate_minor),
            money(found.difference_minor, &found.currency),
            money(found.tax_difference_minor, &found.currency),
            found.reason.as_str().to_owned(),
        ]);
        if examples.lines().count() < 20 {
            for difference in &found.differences {
                let _ = writeln!(examples, "{}: {difference}", found.number);
            }
        }
    }
    let _ = write!(text, "\n{}\n{}\n{examples}", reasons.render(), worst.render());
    text
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
    if !report.payments.is_empty() {
        let mut payments = Table::new(["payment", "currency", "difference", "calls", "reasons"]);
        for payment in &report.payments {
            let currency = payment.currency.clone().unwrap_or_default();
            let reasons: Vec<&str> = payment.reasons.iter().map(|reason| reason.as_str()).collect();
            payments.row([
                payment.payment_id.to_string(),
                currency.clone(),
                money(payment.difference_minor, &currency),
                output::count(payment.lines),
                reasons.join(", "),
            ]);
        }
        text.push('\n');
        text.push_str(&payments.render());
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
