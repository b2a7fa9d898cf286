//! `altyn explain` and `altyn verify`: who decided, and whether everything still holds.

use std::{fmt::Write as _, str::FromStr};

use altyn_domain::{
    id::InvoiceId,
    money::{Currency, Money},
};
use altyn_service::{
    explain::{Decision, LineExplanation},
    verify::{VerifyOptions, VerifyReport},
};
use clap::Args;
use serde_json::Value;

use super::{
    exit::{Exit, Failure},
    output::{self, Output, Table},
    session::Session,
};

/// An invoice line on the command line: `inv_…/0`.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    invoice: InvoiceId,
    position: i32,
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (invoice, position) = text.split_once('/').ok_or("write the invoice and the line's place: inv_…/0")?;
        let invoice = invoice.parse().map_err(|error| format!("{error}"))?;
        let position = position.parse().map_err(|_| "the line's place is a number from 0".to_owned())?;
        Ok(Self { invoice, position })
    }
}

/// Options of `altyn explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The invoice line: inv_…/0
    #[arg(value_name = "INVOICE_LINE")]
    line: Line,
}

/// Options of `altyn verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Which share of the recorded plugin calls is made again
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    replay: u8,
}

impl Explain {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let line = session.altyn.explain_line(&request, self.line.invoice, self.line.position).await?;
        match session.printer.output {
            Output::Json => session.printer.object(&line, &[])?,
            Output::Table => output::write(&explanation_text(&line)),
        }
        if line.decisions.iter().all(|decision| decision.replayed_identical) {
            return Ok(());
        }
        Err(Failure::new(Exit::Unverified, "replay-differs", "a plugin that was asked again answered differently"))
    }
}

impl Verify {
    /// Runs the command: one tenant with `--tenant`, otherwise the platform and every tenant.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let options = VerifyOptions { replay_percent: self.replay };
        let mut reports = Vec::new();
        if session.chosen_tenant().is_some() {
            let tenant = session.tenant().await?;
            reports.push((tenant.id.to_string(), tenant.name));
        } else {
            let mut page = altyn_service::page::Page { limit: Some(altyn_service::page::LARGEST_PAGE), cursor: None };
            loop {
                let tenants = session.altyn.tenant_list_all(&page).await?;
                reports.extend(tenants.data.into_iter().map(|tenant| (tenant.id.to_string(), tenant.name)));
                match tenants.next_cursor {
                    Some(cursor) => page.cursor = Some(cursor),
                    None => break,
                }
            }
        }
        let (mut ok, mut broken, mut shown) = (true, Vec::new(), Vec::new());
        if session.chosen_tenant().is_none() {
            let report = session.altyn.verify_platform().await?;
            tell(session.printer.output, "the platform", &report);
            ok &= report.ok;
            broken.extend(codes(&report));
            shown.push(serde_json::json!({ "tenant": Value::Null, "report": report }));
        }
        for (id, name) in reports {
            let tenant = id.parse().map_err(|error| Failure::failed(format!("{error}")))?;
            let request = altyn_service::Request::internal(tenant, super::session::CREDENTIAL);
            eprintln!("verifying {id} {name}");
            let report = session.altyn.verify(&request, options).await?;
            tell(session.printer.output, &format!("{id} {name}"), &report);
            ok &= report.ok;
            broken.extend(codes(&report));
            shown.push(serde_json::json!({ "tenant": id, "report": report }));
        }
        if session.printer.output == Output::Json {
            output::line(&format!("{:#}", serde_json::json!({ "ok": ok, "reports": shown })));
        }
        if ok {
            return Ok(());
        }
        broken.sort();
        broken.dedup();
        Err(Failure::new(Exit::Unverified, "verification-failed", "the books break a rule").with_details(broken))
    }
}

fn codes(report: &VerifyReport) -> Vec<String> {
    report
        .rules
        .iter()
        .filter(|rule| rule.violations > 0)
        .map(|rule| format!("{}: {} of {}", rule.code, rule.violations, rule.checked))
        .collect()
}

fn tell(form: Output, whose: &str, report: &VerifyReport) {
    if form == Output::Table {
        output::write(&format!("{whose}\n{}\n", report_text(report)));
    }
}

/// A line for each rule, and below it the rows that break it.
pub fn report_text(report: &VerifyReport) -> String {
    let mut table = Table::new(["rule", "checked", "broken", "what holds"]);
    let mut examples = String::new();
    for rule in &report.rules {
        table.row([rule.code.clone(), output::count(rule.checked), output::count(rule.violations), rule.title.clone()]);
        for example in &rule.examples {
            let _ = writeln!(examples, "broken {}: {example}", rule.code);
        }
    }
    let mut text = table.render() + &examples;
    if report.calls_replayed > 0 {
        let _ = writeln!(
            text,
            "{} plugin calls made again, {} identical",
            output::count(report.calls_replayed),
            output::count(report.calls_identical)
        );
    }
    text
}

/// One invoice line with its decisions.
pub fn explanation_text(line: &LineExplanation) -> String {
    let shown = |minor| match Currency::parse(&line.currency) {
        Ok(currency) => output::amount(Money::new(minor, currency)),
        Err(_) => minor.to_string(),
    };
    let mut text = format!(
        "{} of {}, line {}: {} × {}\n  net {}, tax {} ({}{}), gross {} {}, price {}\n",
        line.number,
        line.issued_on,
        line.position,
        line.title,
        line.quantity,
        shown(line.net_minor),
        shown(line.tax_minor),
        line.tax_code,
        line.tax_rate.as_ref().map(|rate| format!(", {rate} %")).unwrap_or_default(),
        shown(line.gross_minor),
        line.currency,
        line.price_mode,
    );
    if let (Some(start), Some(end)) = (line.used_start, line.used_end) {
        let _ = writeln!(text, "  service from {start} until {end}");
    }
    for decision in &line.decisions {
        text.push_str(&decision_text(decision));
    }
    text
}

fn decision_text(decision: &Decision) -> String {
    let call = &decision.call;
    let named = call.plugin_id.as_deref().unwrap_or("a component that is gone");
    let version = call.plugin_version.as_deref().unwrap_or("");
    let mut text = format!("  {:<9}  {named} {version}  sha256 {}\n", decision.about, call.component);
    let level = call.trust_level.as_deref().unwrap_or("no longer installed");
    let _ = match &call.publisher {
        Some(publisher) => writeln!(text, "             signed by {publisher} ({level})"),
        None => writeln!(text, "             signed by nobody ({level})"),
    };
    let _ = writeln!(text, "             {}", said(&decision.answer));
    let _ = match &decision.difference {
        None => writeln!(text, "             asked again: identical  ({}, {} µs)", call.id, call.duration_us),
        Some(reason) => writeln!(text, "             asked again: DIFFERENT: {reason}  ({})", call.id),
    };
    text
}

/// An answer in words: its own explanation, a number, a tax with its sum, or whatever it is.
fn said(answer: &Value) -> String {
    if let Some(explanation) = answer.get("explanation").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        return explanation.to_owned();
    }
    if let Some(number) = answer.as_str() {
        return number.to_owned();
    }
    let money = |key: &str| serde_json::from_value::<Money>(answer[key].clone()).ok().map(output::amount);
    if let (Some(net), Some(tax), Some(gross)) = (money("net"), money("tax"), money("gross")) {
        let code = answer["code"].as_str().unwrap_or_default();
        let rate = answer["rate"].as_str().map(|rate| format!(" at {rate} %")).unwrap_or_default();
        return format!("{code}{rate}: {net} + {tax} = {gross}");
    }
    answer.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_line_is_named_by_its_invoice_and_its_place() {
        let id = InvoiceId(uuid::Uuid::nil());
        let line: Line = format!("{id}/3").parse().unwrap();
        assert_eq!((line.invoice, line.position), (id, 3));
        for wrong in [id.to_string(), format!("{id}/x"), "cus_00000000000000000000000000000000/0".to_owned()] {
            assert!(wrong.parse::<Line>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_told_in_words() {
        let money = |minor: i64| serde_json::json!({ "minor": minor, "currency": "RUB" });
        let tax = serde_json::json!({
            "code": "vat22", "rate": "22", "net": money(56_557), "tax": money(12_443), "gross": money(69_000),
        });
        assert_eq!(said(&tax), "vat22 at 22 %: 565.57 + 124.43 = 690.00");
        assert_eq!(said(&serde_json::json!({ "explanation": "30 of 30 days" })), "30 of 30 days");
        assert_eq!(said(&serde_json::json!("СЧ-2026-000045")), "СЧ-2026-000045");
    }
}
