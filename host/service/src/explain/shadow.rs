//! Shadow runs: what another component would have decided about the past, in money.
//!
//! Reads the recorded calls of a binding, asks the candidate the recorded questions, and compares answer by answer. Nothing
//! is posted. Invariants: an unchanged component is identical in every line; memory is bounded, whatever the length of the
//! history: evidence is read a few calls at a time, and lines that differ are matched with the books and summed by
//! contract whenever enough of them have come together.

mod gateways;
mod report;

use std::collections::{BTreeMap, HashMap};

use altyn_domain::{
    id::{BindingId, CallId, ContractId, Id as _},
    money::Currency,
};
use altyn_runtime::{Answer, Batch, CallFailure, Plugin, Runtime, World};
use altyn_store::{
    contracts,
    plugins::CallRow,
    shadow::{self, Posted},
};
use chrono::NaiveDate;
use uuid::Uuid;

pub use self::report::{
    ShadowCandidate, ShadowContract, ShadowCount, ShadowLine, ShadowOptions, ShadowPayment, ShadowReason, ShadowReport,
    ShadowTotal,
};
use super::replay::{Kept, load};
use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError},
    plugins::blocking,
};

/// How many calls are read at once.
const PAGE: i64 = 100;
/// How many posted lines are read at once.
const POSTED_PAGE: i64 = 5_000;
/// How many different lines wait to be matched with the books.
const MOST_WAITING: usize = 200_000;
/// How many contracts are told apart; what differs in others is in the totals only.
const MOST_CONTRACTS: usize = 200_000;
/// How many contracts a report lists.
const SHOWN_CONTRACTS: usize = 100;
/// How many lines a report shows.
const SHOWN_LINES: usize = 20;
/// A document may be minted a little before the call that decides about it.
const BEFORE_MS: u128 = 3_600_000;

/// A line that differs, until it is known whose it is.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    reason: ShadowReason,
    money: Option<(Currency, i64)>,
}

/// What is asked instead.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub plugin: Plugin,
    /// What it calls itself, and its version.
    pub name: String,
    /// Its configuration; none for what was recorded or is bound.
    pub config: Option<String>,
    /// The secrets that it asks for.
    pub secrets: Vec<String>,
}

/// What one recorded call came to.
#[derive(Default)]
struct Compared {
    lines: i64,
    identical: i64,
    sums: HashMap<Currency, (i128, i128)>,
    different: Vec<(String, Waiting, String, String)>,
    fuel: u64,
}

#[derive(Default)]
struct OfContract {
    currency: Option<Currency>,
    difference: i128,
    lines: i64,
    reasons: Vec<ShadowReason>,
}

/// Everything that grows while history is read.
#[derive(Default)]
struct Tally {
    waiting: HashMap<Uuid, HashMap<i32, Waiting>>,
    waiting_lines: usize,
    first_waiting: Option<Uuid>,
    contracts: HashMap<Uuid, OfContract>,
    further_contracts: i64,
    reasons: BTreeMap<ShadowReason, i64>,
    sums: HashMap<Currency, (i128, i128)>,
    posted: HashMap<Currency, i128>,
}

impl Compared {
    /// Asks about a batch, halving it until what fails stands alone, and compares.
    fn ask(&mut self, runtime: &Runtime, plugin: &Plugin, batch: Batch, recorded: &[Recorded]) -> Result<()> {
        let made = runtime.replay(plugin, batch.export(), &batch.input());
        self.fuel = self.fuel.saturating_add(made.record.fuel);
        let failure = match made.result {
            Ok(output) => match batch.answers(&output) {
                Ok(elements) => {
                    for (element, recorded) in elements.into_iter().zip(recorded) {
                        self.element(element.answers, recorded);
                    }
                    return Ok(());
                }
                Err(reason) => CallFailure::InvalidAnswer(reason),
            },
            Err(failure @ CallFailure::Busy { .. }) => {
                return Err(ServiceError::Plugin { code: failure.code(), message: failure.to_string() });
            }
            Err(failure) => failure,
        };
        if let ([recorded], 1) = (recorded, batch.len()) {
            self.missing(ShadowReason::Fault, &failure.to_string(), recorded);
            return Ok(());
        }
        let (left, right) = recorded.split_at(batch.len() / 2);
        let (first, second) = batch.halves();
        self.ask(runtime, plugin, first, left)?;
        self.ask(runtime, plugin, second, right)
    }

    fn element(&mut self, answers: std::result::Result<Vec<Answer>, String>, recorded: &Recorded) {
        let answers = match answers {
            Ok(answers) => answers,
            Err(violation) => return self.missing(ShadowReason::Refused, &violation, recorded),
        };
        for ((line, was), now) in recorded.lines.iter().zip(&recorded.answers).zip(&answers) {
            self.lines += 1;
            let (before, after) = (amount(was), amount(now));
            self.sum(before, after);
            if was == now {
                self.identical += 1;
                continue;
            }
            let money = before.zip(after).map(|((currency, was), (_, now))| (currency, now.saturating_sub(was)));
            let waiting = Waiting { reason: reason(was, now), money };
            self.different.push((line.clone(), waiting, shown(was), shown(now)));
        }
    }

    /// A candidate that gives no answer leaves the recorded amount in the sums.
    fn missing(&mut self, reason: ShadowReason, why: &str, recorded: &Recorded) {
        for (line, was) in recorded.lines.iter().zip(&recorded.answers) {
            self.lines += 1;
            self.sum(amount(was), amount(was));
            let waiting = Waiting { reason, money: None };
            self.different.push((line.clone(), waiting, shown(was), why.to_owned()));
        }
    }

    fn sum(&mut self, before: Option<(Currency, i64)>, after: Option<(Currency, i64)>) {
        if let Some((currency, minor)) = before {
            self.sums.entry(currency).or_default().0 += i128::from(minor);
        }
        if let Some((currency, minor)) = after {
            self.sums.entry(currency).or_default().1 += i128::from(minor);
        }
    }
}

/// An element of a recorded call that was answered well.
struct Recorded {
    lines: Vec<String>,
    answers: Vec<Answer>,
}

/// What a line makes the customer owe; nothing for numbers.
fn amount(answer: &Answer) -> Option<(Currency, i64)> {
    match answer {
        Answer::Share(share) => Some((share.used.currency, share.used.minor)),
        Answer::Tax(line) => Some((line.gross.currency, line.gross.minor)),
        Answer::Sequence(_) | Answer::Number(_) => None,
    }
}

fn reason(was: &Answer, now: &Answer) -> ShadowReason {
    match (was, now) {
        (Answer::Share(was), Answer::Share(now)) if was.used == now.used && was.credit == now.credit => {
            ShadowReason::OtherText
        }
        (Answer::Tax(was), Answer::Tax(now)) if was.gross == now.gross => ShadowReason::OtherTax,
        (Answer::Share(_) | Answer::Tax(_), _) => ShadowReason::OtherSum,
        (Answer::Sequence(_) | Answer::Number(_), _) => ShadowReason::OtherNumber,
    }
}

fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Share(share) => {
            format!("{} {}: {}", share.used.to_major_string(), share.used.currency, share.explanation)
        }
        Answer::Tax(line) => format!(
            "{} + {} = {} {} ({})",
            line.net.to_major_string(),
            line.tax.to_major_string(),
            line.gross.to_major_string(),
            line.gross.currency,
            line.code
        ),
        Answer::Sequence(sequence) => format!("{} from {}", sequence.key, sequence.start),
        Answer::Number(number) => number.clone(),
    }
}

/// Asks the candidate about one recorded call; the text of an error says why the evidence does not serve.
fn compare(
    runtime: &Runtime,
    plugin: &Plugin,
    config: Option<&str>,
    call: &CallRow,
    kept: &Kept,
) -> Result<std::result::Result<Compared, String>> {
    let read = || -> std::result::Result<(Batch, Vec<Recorded>), String> {
        let (input, output) = kept.plain()?;
        let batch = Batch::read(&call.export, &input)?;
        let elements = batch.answers(output.as_deref().unwrap_or_default())?;
        // What was refused when it was answered was never decided: any answer to it is as good.
        let recorded = elements
            .into_iter()
            .map(|element| Recorded { answers: element.answers.unwrap_or_default(), lines: element.lines })
            .collect();
        Ok((batch, recorded))
    };
    let (batch, recorded) = match read() {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    let batch = match config {
        Some(config) => batch.with_config(config.to_owned()),
        None => batch,
    };
    let mut compared = Compared::default();
    if !batch.is_empty() {
        compared.ask(runtime, plugin, batch, &recorded)?;
    }
    Ok(Ok(compared))
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_object())
}

/// The smallest id of the time shortly before an id was minted.
fn shortly_before(id: Uuid) -> Uuid {
    let minted_ms = id.as_u128() >> 80;
    Uuid::from_u128(minted_ms.saturating_sub(BEFORE_MS) << 80)
}

pub(crate) fn minor(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

pub(crate) fn percent(part: i64, whole: i64) -> String {
    let hundredths = if whole == 0 { 10_000 } else { i128::from(part) * 10_000 / i128::from(whole) };
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

impl Tally {
    fn take(&mut self, call: Uuid, compared: Compared, report: &mut ShadowReport) {
        report.lines += compared.lines;
        report.identical_lines += compared.identical;
        report.candidate_fuel = report.candidate_fuel.saturating_add(i64::try_from(compared.fuel).unwrap_or(i64::MAX));
        for (currency, (was, now)) in compared.sums {
            let sum = self.sums.entry(currency).or_default();
            *sum = (sum.0 + was, sum.1 + now);
        }
        for (line, waiting, recorded, candidate) in compared.different {
            *self.reasons.entry(waiting.reason).or_default() += 1;
            let place = line.parse().unwrap_or(-1);
            if self.waiting.entry(call).or_default().insert(place, waiting).is_none() {
                self.waiting_lines += 1;
            }
            self.first_waiting.get_or_insert(call);
            if report.examples.len() < SHOWN_LINES {
                let (call_id, reason) = (CallId::from_uuid(call), waiting.reason);
                let cut = |text: String| text.chars().take(300).collect();
                report.examples.push(ShadowLine {
                    call_id,
                    line,
                    reason,
                    recorded: cut(recorded),
                    candidate: cut(candidate),
                });
            }
        }
    }

    fn matched(&mut self, row: &shadow::PostedRow) {
        let (Some(call), Some(line)) = (row.call_id, row.call_line) else { return };
        let Some(lines) = self.waiting.get_mut(&call) else { return };
        let Some(waiting) = lines.remove(&line) else { return };
        if lines.is_empty() {
            self.waiting.remove(&call);
        }
        self.waiting_lines -= 1;
        if let Some((currency, difference)) = waiting.money {
            *self.posted.entry(currency).or_default() += i128::from(difference);
        }
        if self.contracts.len() >= MOST_CONTRACTS && !self.contracts.contains_key(&row.contract_id) {
            self.further_contracts += 1;
            return;
        }
        let contract = self.contracts.entry(row.contract_id).or_default();
        contract.lines += 1;
        if let Some((currency, difference)) = waiting.money {
            contract.currency.get_or_insert(currency);
            contract.difference += i128::from(difference);
        }
        if !contract.reasons.contains(&waiting.reason) {
            contract.reasons.push(waiting.reason);
        }
    }
}

impl Altyn {
    /// Asks a candidate everything that a binding's component was asked for some business days, and reports what would
    /// have been decided otherwise; `on_progress` sees the report grow. Nothing is posted and nothing is installed. Of a
    /// gateway it is the exchanges that began on those days of the tenant's zone, and nothing is sent.
    ///
    /// The binding is the tenant's own or one from above, and the history is the tenant's own in both cases. The candidate
    /// is one that could be installed: what nobody vouches for sees nobody's books.
    pub async fn shadow(
        &self,
        request: &Request,
        binding: BindingId,
        candidate: impl Into<ShadowCandidate> + Send,
        options: ShadowOptions,
        mut on_progress: impl FnMut(&ShadowReport) + Send,
    ) -> Result<ShadowReport> {
        let until = options.until.unwrap_or(NaiveDate::MAX);
        // PostgreSQL and SQLite both know the year 9999.
        let until = until.min(NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or(until));
        if options.from >= until {
            return Err(ServiceError::invalid("/from", "must be before `until`"));
        }
        let row = self.binding_used(request, binding).await?;
        let candidate = self.candidate_of(&row.extension_point, candidate.into(), options.config).await?;
        let mut report = ShadowReport {
            binding_id: binding,
            world: row.extension_point,
            candidate: candidate.plugin.digest().to_string(),
            candidate_name: candidate.name.clone(),
            calls: 0,
            recorded_faults: 0,
            unreadable_calls: 0,
            lines: 0,
            identical_lines: 0,
            identical_percent: String::new(),
            reasons: Vec::new(),
            totals: Vec::new(),
            recorded_fuel: 0,
            candidate_fuel: 0,
            contracts: Vec::new(),
            contracts_different: 0,
            payments: Vec::new(),
            payments_different: 0,
            unposted_lines: 0,
            examples: Vec::new(),
        };
        if candidate.plugin.world() == World::PaymentGateway {
            let days = (options.from, until);
            self.shadow_gateway(request, binding, candidate, days, &mut report, on_progress).await?;
            return Ok(report);
        }
        let mut tally = Tally::default();
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.read(request).await?;
            let page = shadow::calls(&mut tx, request.tenant.0, binding.0, after, (options.from, until), PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else { break };
            after = last.id;
            for call in page {
                self.shadow_call(request, call, &candidate, &mut tally, &mut report).await?;
            }
            if tally.waiting_lines >= MOST_WAITING {
                self.match_posted(request, candidate.plugin.world(), &mut tally, &mut report).await?;
            }
            report.identical_percent = percent(report.identical_lines, report.lines);
            on_progress(&report);
        }
        self.match_posted(request, candidate.plugin.world(), &mut tally, &mut report).await?;
        self.shadow_report(request, tally, &mut report).await?;
        Ok(report)
    }

    /// A component that could decide at an extension point, ready to be asked without deciding anything.
    pub(crate) async fn candidate_of(
        &self,
        extension_point: &str,
        candidate: ShadowCandidate,
        config: Option<String>,
    ) -> Result<Candidate> {
        let ShadowCandidate { wasm, manifest } = candidate;
        let examined = self.plugins.examine(wasm, manifest).await?;
        self.rehearsable(&examined).await?;
        let facts = examined.facts();
        if facts.world.as_str() != extension_point {
            let message = format!(
                "the candidate is a {} plugin and the binding needs {extension_point}; give a component of that world",
                facts.world
            );
            return Err(ServiceError::Plugin { code: "plugin-wrong-world", message });
        }
        let descriptor = self.plugins.describe(&examined).await?;
        if config.as_deref().is_some_and(|text| !is_object(text)) {
            return Err(ServiceError::invalid("/config", "must be a JSON object"));
        }
        let name = format!("{} {}", descriptor.id, descriptor.version);
        Ok(Candidate { plugin: examined.plugin().rehearsing(), name, config, secrets: descriptor.secrets })
    }

    async fn shadow_call(
        &self,
        request: &Request,
        call: CallRow,
        candidate: &Candidate,
        tally: &mut Tally,
        report: &mut ShadowReport,
    ) -> Result<()> {
        if call.output_digest.is_none() {
            report.recorded_faults += 1;
            return Ok(());
        }
        let mut tx = self.read(request).await?;
        let kept = load(&mut tx, request.tenant.0, &call).await?;
        drop(tx);
        let (runtime, candidate, id, fuel) = (self.plugins.runtime(), candidate.clone(), call.id, call.fuel);
        match blocking(move || compare(&runtime, &candidate.plugin, candidate.config.as_deref(), &call, &kept))
            .await??
        {
            Ok(compared) => {
                report.calls += 1;
                report.recorded_fuel = report.recorded_fuel.saturating_add(fuel);
                tally.take(id, compared, report);
            }
            Err(_) => report.unreadable_calls += 1,
        }
        Ok(())
    }

    /// Finds whose the waiting lines are; those that are nobody's were never posted.
    async fn match_posted(
        &self,
        request: &Request,
        world: World,
        tally: &mut Tally,
        report: &mut ShadowReport,
    ) -> Result<()> {
        let Some(first) = tally.first_waiting.take() else { return Ok(()) };
        let posted = match world {
            World::ProrationStrategy => Posted::Prorated,
            World::TaxRule => Posted::Taxed,
            World::NumberingScheme => Posted::Numbered,
            World::PaymentGateway => return Ok(()),
        };
        let mut after = (shortly_before(first), -1);
        while tally.waiting_lines > 0 {
            let mut tx = self.read(request).await?;
            let page = shadow::posted(&mut tx, request.tenant.0, posted, after, POSTED_PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else { break };
            after = (last.id, last.position);
            for row in &page {
                tally.matched(row);
            }
        }
        report.unposted_lines += i64::try_from(tally.waiting_lines).unwrap_or(i64::MAX);
        tally.waiting.clear();
        tally.waiting_lines = 0;
        Ok(())
    }

    async fn shadow_report(&self, request: &Request, tally: Tally, report: &mut ShadowReport) -> Result<()> {
        report.identical_percent = percent(report.identical_lines, report.lines);
        report.reasons = tally.reasons.into_iter().map(|(reason, lines)| ShadowCount { reason, lines }).collect();
        let mut currencies: Vec<Currency> = tally.sums.keys().copied().collect();
        currencies.sort_unstable();
        for currency in currencies {
            let (was, now) = tally.sums.get(&currency).copied().unwrap_or_default();
            report.totals.push(ShadowTotal {
                currency: currency.code().to_owned(),
                recorded_minor: minor(was),
                candidate_minor: minor(now),
                posted_difference_minor: minor(tally.posted.get(&currency).copied().unwrap_or_default()),
            });
        }
        report.contracts_different =
            i64::try_from(tally.contracts.len()).unwrap_or(i64::MAX).saturating_add(tally.further_contracts);
        let mut worst: Vec<(Uuid, OfContract)> = tally.contracts.into_iter().collect();
        worst.sort_by_key(|(id, contract)| (std::cmp::Reverse(contract.difference.unsigned_abs()), *id));
        worst.truncate(SHOWN_CONTRACTS);
        let mut tx = self.read(request).await?;
        for (id, contract) in worst {
            let number = contracts::find(&mut tx, request.tenant.0, id).await?.map(|row| row.contract.number);
            report.contracts.push(ShadowContract {
                contract_id: ContractId(id),
                number: number.unwrap_or_default(),
                currency: contract.currency.map(|currency| currency.code().to_owned()),
                difference_minor: minor(contract.difference),
                lines: contract.lines,
                reasons: contract.reasons,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_lines_are_a_hundred_per_cent() {
        assert_eq!(percent(1_000_000, 1_000_000), "100.00");
        assert_eq!(percent(999_999, 1_000_000), "99.99");
        assert_eq!(percent(0, 3), "0.00");
        assert_eq!(percent(1, 3), "33.33");
        assert_eq!(percent(0, 0), "100.00");
    }

    #[test]
    fn the_search_in_the_books_begins_an_hour_before_the_call() {
        let id = |ms: u128| Uuid::from_u128((ms << 80) | 0x7fff_ffff);
        assert_eq!(shortly_before(id(BEFORE_MS + 5)).as_u128() >> 80, 5);
        assert!(shortly_before(id(3)).is_nil());
    }
}
