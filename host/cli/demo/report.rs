//! The figures of the month and the proof that they hold.

use std::{path::Path, time::Duration};

use altyn_domain::{
    id::ContractId,
    money::{Currency, Money},
};
use altyn_service::{
    explain::ShadowOptions,
    imports::ImportReport,
    invoices::{InvoiceFilter, InvoiceView},
    page::{LARGEST_PAGE, Page},
    runs::RunView,
    verify::VerifyOptions,
};
use chrono::NaiveDate;
use serde_json::{Value, json};

use super::{Stage, operator::Operator};
use crate::cli::{
    exit::Failure,
    ledger::{out_of_balance, trial_balance},
    output::{self, Table},
    plugins::read,
    proof, shadow as shadow_text,
};

/// A contract that a run could not bill.
pub struct Parked {
    /// The day.
    pub day: NaiveDate,
    /// The contract.
    pub contract: ContractId,
    /// Stable code of the reason.
    pub code: String,
    /// The reason in words.
    pub reason: String,
}

impl Parked {
    /// A line for each.
    pub fn table(parked: &[Self]) -> String {
        let mut table = Table::new(["day", "contract", "code", "reason"]);
        for one in parked {
            table.row([one.day.to_string(), one.contract.to_string(), one.code.clone(), one.reason.clone()]);
        }
        table.render()
    }
}

/// What the month came to.
#[derive(Default)]
pub struct Summary {
    /// The contracts that were parked.
    pub parked: Vec<Parked>,
    /// Id of the invoice that was shown.
    pub sample_invoice: Option<String>,
    database: String,
    rows_imported: i64,
    rows_refused: i64,
    rows_changed_again: i64,
    days: i64,
    subscriptions: i64,
    charges: i64,
    invoices: i64,
    net_minor: i64,
    tax_minor: i64,
    gross_minor: i64,
    realised: i64,
    realised_net_minor: i64,
    realised_tax_minor: i64,
    realised_gross_minor: i64,
    plugin_calls: i64,
    trial_balance_minor: i64,
    evidence_replayed: i64,
    evidence_identical: i64,
    rules_checked: usize,
    rules_broken: Vec<String>,
    seconds: f64,
    peak_rss_bytes: u64,
    wrong: Vec<String>,
}

impl Summary {
    /// Of nothing yet.
    pub fn new(database: String) -> Self {
        Self { database, ..Self::default() }
    }

    /// Adds the imports; `changed` is what importing again changed.
    pub fn imported(&mut self, reports: &[ImportReport], changed: i64) {
        self.rows_imported = reports.iter().map(|report| report.rows_created).sum();
        self.rows_refused = reports.iter().map(|report| report.rows_refused).sum();
        self.rows_changed_again = changed;
    }

    /// Adds a day.
    pub fn billed(&mut self, run: &RunView) {
        self.days += 1;
        self.subscriptions += run.subscriptions;
        self.charges += run.charges;
        self.invoices += run.invoices;
        self.net_minor += run.net_minor;
        self.tax_minor += run.tax_minor;
        self.gross_minor += run.gross_minor;
        self.realised += run.realised;
        self.realised_net_minor += run.realised_net_minor;
        self.realised_tax_minor += run.realised_tax_minor;
        self.realised_gross_minor += run.realised_gross_minor;
        self.plugin_calls += run.plugin_calls;
    }

    /// Notes something that must not be.
    pub fn wrong_because(&mut self, reason: String) {
        self.wrong.push(reason);
    }

    /// Notes how long it took and how much memory.
    pub fn ended(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        self.peak_rss_bytes = crate::bench::peak_memory_bytes();
    }

    /// Everything that does not hold; empty when all is well.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        let mut zero = |what: &str, number: i64| {
            if number != 0 {
                wrong.push(format!("{what} must be zero, and is {number}"));
            }
        };
        zero("the trial balance", self.trial_balance_minor);
        zero("the number of rows changed by importing again", self.rows_changed_again);
        zero("the number of plugin calls that replay differently", self.evidence_replayed - self.evidence_identical);
        zero("gross less net and tax", self.gross_minor - self.net_minor - self.tax_minor);
        let realised = self.realised_gross_minor - self.realised_net_minor - self.realised_tax_minor;
        zero("what was realised less its net and tax", realised);
        if self.invoices == 0 || self.evidence_replayed == 0 {
            wrong.push("nothing was billed".to_owned());
        }
        wrong.extend(self.rules_broken.iter().cloned());
        wrong
    }

    /// The figures as one object.
    pub fn json(&self) -> Value {
        json!({
            "database": self.database,
            "days": self.days,
            "rows_imported": self.rows_imported,
            "rows_refused": self.rows_refused,
            "rows_changed_by_second_import": self.rows_changed_again,
            "subscriptions_billed": self.subscriptions,
            "charges": self.charges,
            "invoices": self.invoices,
            "net_minor": self.net_minor,
            "tax_minor": self.tax_minor,
            "gross_minor": self.gross_minor,
            "charges_realised": self.realised,
            "realised_net_minor": self.realised_net_minor,
            "realised_tax_minor": self.realised_tax_minor,
            "realised_gross_minor": self.realised_gross_minor,
            "parked": self.parked.len(),
            "plugin_calls": self.plugin_calls,
            "trial_balance_minor": self.trial_balance_minor,
            "evidence_replayed": self.evidence_replayed,
            "evidence_identical": self.evidence_identical,
            "rules_checked": self.rules_checked,
            "rules_broken": self.rules_broken.len(),
            "seconds": self.seconds,
            "peak_rss_bytes": self.peak_rss_bytes,
        })
    }

    /// The figures for people.
    pub fn text(&self) -> String {
        let amount = |minor| output::amount(Money::new(minor, Currency::RUB));
        let mut table = Table::new(["figure", "value"]);
        let mebibytes = i64::try_from(self.peak_rss_bytes >> 20).unwrap_or(i64::MAX);
        for (figure, value) in [
            ("database", self.database.clone()),
            ("subscriptions billed", output::count(self.subscriptions)),
            ("charges", output::count(self.charges)),
            ("invoices", output::count(self.invoices)),
            ("net", amount(self.net_minor)),
            ("tax", amount(self.tax_minor)),
            ("gross", amount(self.gross_minor)),
            ("charges realised", output::count(self.realised)),
            ("revenue realised", amount(self.realised_net_minor)),
            ("tax realised", amount(self.realised_tax_minor)),
            ("parked", self.parked.len().to_string()),
            ("trial balance", amount(self.trial_balance_minor)),
            ("rules broken", format!("{} of {}", self.rules_broken.len(), self.rules_checked)),
            ("plugin calls", output::count(self.plugin_calls)),
            ("evidence replayed", output::count(self.evidence_replayed)),
            ("evidence identical", output::count(self.evidence_identical)),
            ("seconds", format!("{:.1}", self.seconds)),
            ("peak memory, MiB", output::count(mebibytes)),
        ] {
            table.row([figure.to_owned(), value]);
        }
        table.render()
    }
}

/// Proves the month: the trial balance, one invoice with who decided it, every rule, all evidence.
pub async fn prove(stage: &Stage, operator: &Operator, summary: &mut Summary) -> Result<(), Failure> {
    let altyn = &stage.session.altyn;
    let balance = altyn.trial_balance(&operator.request).await?;
    summary.trial_balance_minor = out_of_balance(&balance);
    stage.teller.title("The trial balance");
    stage.teller.say(&trial_balance(&balance));

    if let Some(invoice) = sample(stage, operator).await? {
        show(stage, operator, summary, &invoice).await?;
        summary.sample_invoice = Some(invoice.id.to_string());
    }

    let report = altyn.verify(&operator.request, VerifyOptions { replay_percent: 0 }).await?;
    summary.rules_checked = report.rules.len();
    summary.rules_broken = report
        .rules
        .iter()
        .filter(|rule| rule.violations > 0)
        .map(|rule| format!("{}: {} broken, such as {}", rule.code, rule.violations, rule.examples.join("; ")))
        .collect();
    stage.teller.title("Every rule of the books");
    stage.teller.say(&proof::report_text(&report));

    eprintln!("asking every plugin again …");
    let replayed = altyn.replay_evidence(&operator.request, 100, |_| {}).await?;
    summary.evidence_replayed = replayed.calls;
    summary.evidence_identical = replayed.identical;
    stage.teller.title("Every plugin call, made again");
    let (calls, identical) = (output::count(replayed.calls), output::count(replayed.identical));
    stage.teller.say(&format!("{calls} calls made again, {identical} identical\n"));
    for different in replayed.different.iter().chain(&replayed.unreadable) {
        stage.teller.say(&format!("{}: {}\n", different.call_id, different.reason));
    }
    Ok(())
}

/// Runs every bound component in its own shadow: what did not change must decide the same.
pub async fn shadow(
    stage: &Stage,
    operator: &Operator,
    folder: &Path,
    from: NaiveDate,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let altyn = &stage.session.altyn;
    stage.teller.title("Every component in its own shadow");
    let page = Page { limit: Some(LARGEST_PAGE), cursor: None };
    for binding in altyn.binding_list(&operator.request, &page).await?.data {
        let name = altyn.plugin_get(&binding.component).await?.plugin_id;
        let wasm = read(&folder.join(format!("{name}.wasm")))?;
        let options = ShadowOptions { from, until: None, config: None };
        let report = altyn.shadow(&operator.request, binding.id, wasm, options, |_| {}).await?;
        let lines = output::count(report.lines);
        stage.teller.say(&format!("{name}: {lines} lines, {} % identical\n", report.identical_percent));
        if report.identical_lines != report.lines || report.lines == 0 {
            summary.wrong_because(format!("{name} decides otherwise than it did: {}", shadow_text::text(&report)));
        }
    }
    Ok(())
}

/// An invoice worth looking at: the longest among the first.
async fn sample(stage: &Stage, operator: &Operator) -> Result<Option<InvoiceView>, Failure> {
    let altyn = &stage.session.altyn;
    let first = altyn
        .invoice_list(&operator.request, InvoiceFilter::default(), &Page { limit: Some(50), cursor: None })
        .await?;
    let mut longest: Option<InvoiceView> = None;
    let lines = |invoice: &InvoiceView| invoice.lines.as_ref().map_or(0, Vec::len);
    for invoice in first.data {
        let invoice = altyn.invoice_get(&operator.request, invoice.id).await?;
        if longest.as_ref().is_none_or(|longest| lines(&invoice) > lines(longest)) {
            longest = Some(invoice);
        }
    }
    Ok(longest)
}

async fn show(stage: &Stage, operator: &Operator, summary: &mut Summary, invoice: &InvoiceView) -> Result<(), Failure> {
    let altyn = &stage.session.altyn;
    let contract = altyn.contract_get(&operator.request, invoice.contract_id).await?;
    let customer = altyn.customer_get(&operator.request, contract.customer_id).await?;
    let amount = |minor| output::amount(Money::new(minor, operator.currency));
    stage.teller.title(&format!("One invoice: {} of {}", invoice.number, invoice.issued_on));
    stage.teller.say(&format!("{}, contract {}\n", customer.name, contract.number));
    let mut table = Table::new(["line", "service", "from", "until", "net", "tax", "gross", "tax code"]);
    for line in invoice.lines.iter().flatten() {
        table.row([
            line.position.to_string(),
            line.title.clone(),
            line.used_start.map(|day| day.to_string()).unwrap_or_default(),
            line.used_end.map(|day| day.to_string()).unwrap_or_default(),
            amount(line.net_minor),
            amount(line.tax_minor),
            amount(line.gross_minor),
            line.tax_code.clone(),
        ]);
    }
    stage.teller.say(&table.render());
    let totals = (amount(invoice.net_minor), amount(invoice.tax_minor), amount(invoice.gross_minor));
    stage.teller.say(&format!("total net {}, tax {}, gross {} {}\n", totals.0, totals.1, totals.2, invoice.currency));
    stage.teller.title("Who decided it");
    for line in invoice.lines.iter().flatten() {
        let explained = altyn.explain_line(&operator.request, invoice.id, line.position).await?;
        stage.teller.say(&proof::explanation_text(&explained));
        if let Some(decision) = explained.decisions.iter().find(|decision| !decision.replayed_identical) {
            summary.wrong_because(format!("{} of {} replays differently", decision.about, invoice.number));
        }
    }
    Ok(())
}
