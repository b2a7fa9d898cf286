//! Shadow runs of gateways: recorded exchanges, step by step, as another component would have had them. Nothing is sent.
//!
//! The candidate is asked what was asked, and goes on with its own continuation and the recorded answer as long as it sends
//! the recorded request; once it sends another one, what would have come back is nobody's to say, and the rest of the
//! exchange was never reached. The vault is asked again, over the secrets that the binding has and the candidate asks for.
//! Where the recorded answer rests on secrets that are others by now, the component that gave it is asked again beside the
//! candidate, so that an unchanged component is identical whatever became of the secrets.

use std::{collections::HashMap, sync::Arc};

use altyn_domain::{
    calendar::instant_of,
    exchange::{HttpCall, HttpRequest},
    gateway::{Claim, ExchangeKind, Outcome, ReceiveStep, Received, Step, Subject, Verdict, check_outcome},
    id::{BindingId, CallId, ExchangeId, Id as _},
    money::{Currency, Money},
};
use altyn_runtime::{
    Call, CallFailure, GatewayAnswer, GatewayCall, Keyring, Plugin, RehearsedVault, Runtime, read_gateway_answer,
};
use altyn_store::{
    exchanges::{self as rows, ExchangeRow},
    explain::call_find,
    plugins::CallRow,
    tenants,
};
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{
    Candidate, MOST_CONTRACTS, SHOWN_CONTRACTS, SHOWN_LINES, minor, percent,
    report::{ShadowCount, ShadowLine, ShadowPayment, ShadowReason, ShadowReport, ShadowTotal},
};
use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    explain::replay::{Kept, load},
    plugins::{blocking, digest_of},
};

/// How many exchanges are read at once.
const PAGE: i64 = 100;
/// Most steps of a trail.
const MOST_STEPS: i64 = 100;
/// The last day that both engines can compare.
const LAST_DAY: Option<NaiveDate> = NaiveDate::from_ymd_opt(9999, 12, 30);

/// What an exchange is asked by.
#[derive(Clone)]
struct Asking {
    runtime: Arc<Runtime>,
    candidate: Candidate,
    keyring: Arc<Keyring>,
}

/// An exchange with what was recorded of it.
struct Recorded {
    kind: ExchangeKind,
    /// None for a notification.
    amount: Option<Money>,
    /// The component that had it, where that is still installed.
    component: Option<Plugin>,
    calls: Vec<(CallRow, Kept)>,
}

/// One call that was compared.
struct Line {
    call: Uuid,
    /// How it differs, with both sides in words; none when it does not.
    different: Option<(ShadowReason, String, String)>,
    /// The money of the recorded answer and of the candidate's.
    money: (Option<Money>, Option<Money>),
    /// What a notification names.
    subject: Option<Subject>,
}

/// What became of an exchange.
#[derive(Default)]
struct Compared {
    lines: Vec<Line>,
    faults: i64,
    unreadable: i64,
    recorded_fuel: i64,
    fuel: u64,
}

/// What would have changed for one payment.
#[derive(Default)]
struct OfPayment {
    currency: Option<Currency>,
    difference: i128,
    lines: i64,
    reasons: Vec<ShadowReason>,
}

/// Everything that grows while exchanges are read.
#[derive(Default)]
struct Tally {
    payments: HashMap<Uuid, OfPayment>,
    further_payments: i64,
    reasons: std::collections::BTreeMap<ShadowReason, i64>,
    sums: HashMap<Currency, (i128, i128)>,
}

impl Altyn {
    /// Asks a candidate everything that the gateway of a binding was asked in the exchanges that began on some days of the
    /// tenant's zone.
    pub(super) async fn shadow_gateway(
        &self,
        request: &Request,
        binding: BindingId,
        candidate: Candidate,
        (from, until): (NaiveDate, NaiveDate),
        report: &mut ShadowReport,
        mut on_progress: impl FnMut(&ShadowReport) + Send,
    ) -> Result<()> {
        let tenant = request.tenant;
        let mut tx = self.read(request).await?;
        let settings = tenants::find(&mut tx, tenant.0).await?.ok_or(ServiceError::NotFound("tenant"))?;
        drop(tx);
        let zone = stored::<Tz>("tenants.zone", &settings.zone)?;
        let midnight = |day: NaiveDate| instant_of(day.min(LAST_DAY.unwrap_or(day)), NaiveTime::MIN, zone);
        let days = (midnight(from), midnight(until));
        let keyring = match self.gateway_open(tenant, binding, None).await {
            Ok(gateway) => gateway.keyring_of(&candidate.secrets),
            // Without the master key nobody's secrets are read: what the vault answered then has to do.
            Err(ServiceError::Conflict { .. }) => Keyring::new(),
            Err(error) => return Err(error),
        };
        let asking = Asking { runtime: self.plugins.runtime(), candidate, keyring: Arc::new(keyring) };
        let mut tally = Tally::default();
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.read(request).await?;
            let page = rows::begun_between(&mut tx, tenant.0, binding.0, after, days, PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else { break };
            after = last.id;
            for row in page {
                let recorded = self.recorded(request, &row).await?;
                let asking = asking.clone();
                let compared = blocking(move || compare(&asking, &recorded)).await??;
                self.take(request, &row, compared, &mut tally, report).await?;
            }
            report.identical_percent = percent(report.identical_lines, report.lines);
            on_progress(report);
        }
        finish(tally, report);
        Ok(())
    }

    /// What was recorded of an exchange.
    async fn recorded(&self, request: &Request, row: &ExchangeRow) -> Result<Recorded> {
        let tenant = request.tenant.0;
        let mut tx = self.read(request).await?;
        let mut calls: Vec<(CallRow, Kept)> = Vec::new();
        for step in rows::steps(&mut tx, tenant, row.id, -1, MOST_STEPS).await? {
            let Some(id) = step.call_id else { continue };
            if let Some(found) = call_find(&mut tx, tenant, id).await? {
                let kept = load(&mut tx, tenant, &found.call).await?;
                calls.push((found.call, kept));
            }
        }
        drop(tx);
        let kind: ExchangeKind = stored("exchanges.kind", &row.kind)?;
        let amount = match kind {
            ExchangeKind::Notification => None,
            _ => Some(Money::new(row.amount_minor, stored::<Currency>("exchanges.currency", &row.currency)?)),
        };
        let component = match self.plugins.component(&self.db, digest_of(&row.component_digest)?).await {
            Ok(plugin) => Some(plugin),
            Err(ServiceError::NotFound(_) | ServiceError::Plugin { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Recorded { kind, amount, component, calls })
    }

    /// Adds what became of an exchange to the report.
    async fn take(
        &self,
        request: &Request,
        row: &ExchangeRow,
        compared: Compared,
        tally: &mut Tally,
        report: &mut ShadowReport,
    ) -> Result<()> {
        report.recorded_faults += compared.faults;
        report.unreadable_calls += compared.unreadable;
        report.recorded_fuel = report.recorded_fuel.saturating_add(compared.recorded_fuel);
        let fuel = i64::try_from(compared.fuel).unwrap_or(i64::MAX);
        report.candidate_fuel = report.candidate_fuel.saturating_add(fuel);
        for (place, line) in compared.lines.into_iter().enumerate() {
            report.calls += 1;
            report.lines += 1;
            let (was, now) = line.money;
            if let Some(was) = was {
                tally.sums.entry(was.currency).or_default().0 += i128::from(was.minor);
            }
            // A candidate that says nothing of money leaves the recorded amount in the sums.
            if let Some(now) = now.or(was) {
                tally.sums.entry(now.currency).or_default().1 += i128::from(now.minor);
            }
            let Some((reason, recorded, candidate)) = line.different else {
                report.identical_lines += 1;
                continue;
            };
            *tally.reasons.entry(reason).or_default() += 1;
            if let Some(payment) = self.payment_of_line(request, row, line.subject.as_ref()).await? {
                tally.note(payment, reason, was, now);
            } else {
                report.unposted_lines += 1;
            }
            if report.examples.len() < SHOWN_LINES {
                let cut = |text: String| text.chars().take(300).collect();
                report.examples.push(ShadowLine {
                    call_id: CallId::from_uuid(line.call),
                    line: format!("{}/{place}", ExchangeId(row.id)),
                    reason,
                    recorded: cut(recorded),
                    candidate: cut(candidate),
                });
            }
        }
        Ok(())
    }

    /// The payment that an exchange is about; of a notification, the one that it names first.
    async fn payment_of_line(
        &self,
        request: &Request,
        row: &ExchangeRow,
        subject: Option<&Subject>,
    ) -> Result<Option<Uuid>> {
        let mut tx = self.read(request).await?;
        if let Some(subject) = subject {
            let named =
                crate::exchanges::payment_of(&mut tx, request.tenant, BindingId(row.binding_id), subject).await?;
            return Ok(named.map(|payment| payment.id));
        }
        Ok(match (row.kind.as_str(), row.about_id) {
            ("pay", _) => Some(row.id),
            ("refund-status", Some(refund)) => {
                rows::find(&mut tx, request.tenant.0, refund).await?.and_then(|refund| refund.about_id)
            }
            (_, about) => about,
        })
    }
}

impl Tally {
    fn note(&mut self, payment: Uuid, reason: ShadowReason, was: Option<Money>, now: Option<Money>) {
        if self.payments.len() >= MOST_CONTRACTS && !self.payments.contains_key(&payment) {
            self.further_payments += 1;
            return;
        }
        let of = self.payments.entry(payment).or_default();
        of.lines += 1;
        if let Some((was, now)) = was.zip(now) {
            of.currency.get_or_insert(was.currency);
            of.difference += i128::from(now.minor) - i128::from(was.minor);
        }
        if !of.reasons.contains(&reason) {
            of.reasons.push(reason);
        }
    }
}

fn finish(tally: Tally, report: &mut ShadowReport) {
    report.identical_percent = percent(report.identical_lines, report.lines);
    report.reasons = tally.reasons.into_iter().map(|(reason, lines)| ShadowCount { reason, lines }).collect();
    let mut sums: Vec<_> = tally.sums.into_iter().collect();
    sums.sort_unstable_by_key(|(currency, _)| *currency);
    report.totals = sums
        .into_iter()
        .map(|(currency, (was, now))| ShadowTotal {
            currency: currency.code().to_owned(),
            recorded_minor: minor(was),
            candidate_minor: minor(now),
            posted_difference_minor: 0,
        })
        .collect();
    let payments = i64::try_from(tally.payments.len()).unwrap_or(i64::MAX);
    report.payments_different = payments.saturating_add(tally.further_payments);
    let mut worst: Vec<(Uuid, OfPayment)> = tally.payments.into_iter().collect();
    worst.sort_by_key(|(id, payment)| (std::cmp::Reverse(payment.difference.unsigned_abs()), *id));
    worst.truncate(SHOWN_CONTRACTS);
    report.payments = worst
        .into_iter()
        .map(|(id, payment)| ShadowPayment {
            payment_id: ExchangeId(id),
            currency: payment.currency.map(|currency| currency.code().to_owned()),
            difference_minor: minor(payment.difference),
            lines: payment.lines,
            reasons: payment.reasons,
        })
        .collect();
}

/// Follows one exchange by the candidate.
fn compare(asking: &Asking, recorded: &Recorded) -> Result<Compared> {
    let mut compared = Compared::default();
    let mut follow = Follow { asking, recorded, carried: None, apart: false };
    for (call, kept) in &recorded.calls {
        if call.output_digest.is_none() {
            compared.faults += 1;
            follow.carried = None;
            continue;
        }
        let read = kept.plain().and_then(|(input, output)| {
            let answer = read_gateway_answer(&call.export, output.as_deref().unwrap_or_default())?;
            Ok((GatewayCall::read(&call.export, &input)?, GatewayCall::read(&call.export, &input)?, answer))
        });
        let Ok((asked, again, answer)) = read else {
            compared.unreadable += 1;
            follow.carried = None;
            continue;
        };
        let (line, fuel) = follow.line(call.id, asked, &again, &answer)?;
        compared.lines.push(line);
        compared.recorded_fuel = compared.recorded_fuel.saturating_add(call.fuel);
        compared.fuel = compared.fuel.saturating_add(fuel);
    }
    Ok(compared)
}

/// Where the candidate stands in an exchange.
struct Follow<'a> {
    asking: &'a Asking,
    recorded: &'a Recorded,
    /// What it wants back itself; none where the recorded continuation is the only one.
    carried: Option<Vec<u8>>,
    /// Whether it went another way.
    apart: bool,
}

impl Follow<'_> {
    /// Asks about one call; the fuel is what the candidate took.
    fn line(
        &mut self,
        call: Uuid,
        asked: GatewayCall,
        again: &GatewayCall,
        was: &GatewayAnswer,
    ) -> Result<(Line, u64)> {
        let (kind, amount) = (self.recorded.kind, self.recorded.amount);
        let subject = subject(was);
        let line = |different, now| Line { call, different, money: (money(kind, amount, was), now), subject };
        if self.apart {
            let why = "an earlier answer of the exchange is another".to_owned();
            return Ok((line(Some((ShadowReason::NotReached, shown(was), why)), None), 0));
        }
        let asked = match &self.asking.candidate.config {
            Some(config) => asked.with_config(config.clone()),
            None => asked,
        };
        let asked = match self.carried.take() {
            Some(continuation) => asked.with_continuation(continuation),
            None => asked,
        };
        let (fuel, versus, now) = self.versus(&asked, again, was)?;
        let now = match now {
            Ok(now) => now,
            Err(failure) => {
                self.apart = true;
                return Ok((line(Some((ShadowReason::Fault, shown(was), failure.to_string())), None), fuel));
            }
        };
        match (request(was), sent(&now)) {
            (Some(was), Some(call)) if *was == call.request => self.carried = Some(call.continuation.clone()),
            (None, None) => {}
            _ => self.apart = true,
        }
        if same(&versus, &now) {
            return Ok((line(None, money(kind, amount, &now)), fuel));
        }
        if let Err(violation) = lawful(kind, amount, &now) {
            return Ok((line(Some((ShadowReason::Refused, shown(&versus), violation)), None), fuel));
        }
        let different = Some((reason(&versus, &now), shown(&versus), shown(&now)));
        Ok((line(different, money(kind, amount, &now)), fuel))
    }

    /// What the candidate says and what that is compared with: the recorded answer, or what the component that gave it says
    /// with the secrets of today.
    fn versus(
        &self,
        asked: &GatewayCall,
        again: &GatewayCall,
        was: &GatewayAnswer,
    ) -> Result<(u64, GatewayAnswer, std::result::Result<GatewayAnswer, CallFailure>)> {
        let Asking { runtime, candidate, keyring } = self.asking;
        let live = RehearsedVault::Live(keyring);
        let made = in_time(runtime.rehearse_gateway(&candidate.plugin, asked, live))?;
        let fuel = made.record.fuel;
        let agrees = made.result.as_ref().is_ok_and(|now| same(was, now));
        if agrees || !again.asked_the_vault() {
            return Ok((fuel, was.clone(), made.result));
        }
        let then = match &self.recorded.component {
            Some(component) => in_time(runtime.rehearse_gateway(component, again, live))?.result.ok(),
            None => None,
        };
        match then {
            // The secrets are those of then: the candidate differs.
            Some(then) if same(was, &then) => return Ok((fuel, was.clone(), made.result)),
            Some(then) if !made.result.as_ref().is_ok_and(|now| same(&then, now)) => {
                return Ok((fuel, then, made.result));
            }
            _ => {}
        }
        // The secrets are others, or gone: what the vault said then is said again.
        let made = in_time(runtime.rehearse_gateway(&candidate.plugin, asked, RehearsedVault::Recorded))?;
        Ok((fuel, was.clone(), made.result))
    }
}

/// A call that had no place is no answer of anybody.
fn in_time(made: Call<GatewayAnswer>) -> Result<Call<GatewayAnswer>> {
    match &made.result {
        Err(failure @ CallFailure::Busy { .. }) => {
            Err(ServiceError::Plugin { code: failure.code(), message: failure.to_string() })
        }
        _ => Ok(made),
    }
}

fn sent(answer: &GatewayAnswer) -> Option<&HttpCall> {
    match answer {
        GatewayAnswer::Step(Step::Send(call)) | GatewayAnswer::Received(ReceiveStep::Send(call)) => Some(call),
        _ => None,
    }
}

fn request(answer: &GatewayAnswer) -> Option<&HttpRequest> {
    sent(answer).map(|call| &call.request)
}

/// Whether two answers come to the same; what a component wants back is its own matter.
fn same(was: &GatewayAnswer, now: &GatewayAnswer) -> bool {
    match (sent(was), sent(now)) {
        (Some(was), Some(now)) => {
            was.request == now.request && was.repetition == now.repetition && was.captures == now.captures
        }
        _ => was == now,
    }
}

/// What the host would refuse.
fn lawful(kind: ExchangeKind, amount: Option<Money>, now: &GatewayAnswer) -> std::result::Result<(), String> {
    if let Some(call) = sent(now) {
        return call.check().map_err(|error| error.to_string());
    }
    match (now, amount) {
        (GatewayAnswer::Step(Step::Done(outcome)), Some(amount)) => {
            check_outcome(kind, amount, outcome).map_err(|error| error.to_string())
        }
        _ => Ok(()),
    }
}

fn claims(answer: &GatewayAnswer) -> &[Claim] {
    match answer {
        GatewayAnswer::Received(ReceiveStep::Done(Received::Authentic { claims, .. })) => claims,
        _ => &[],
    }
}

fn subject(answer: &GatewayAnswer) -> Option<Subject> {
    claims(answer).first().map(|claim| claim.subject.clone())
}

/// What an answer takes or holds of the payer's money, and gives back with the opposite sign; none where it is no end.
fn money(kind: ExchangeKind, asked: Option<Money>, answer: &GatewayAnswer) -> Option<Money> {
    let taken = |outcome: &Outcome, otherwise: Money| match outcome.verdict {
        Verdict::Succeeded | Verdict::Authorized => outcome.amount.unwrap_or(otherwise),
        _ => Money::new(0, otherwise.currency),
    };
    match answer {
        GatewayAnswer::Step(Step::Done(outcome)) => {
            let taken = taken(outcome, asked?);
            match kind {
                ExchangeKind::Pay | ExchangeKind::Status | ExchangeKind::Capture => Some(taken),
                ExchangeKind::Refund | ExchangeKind::RefundStatus => {
                    Some(Money::new(taken.minor.saturating_neg(), taken.currency))
                }
                ExchangeKind::Cancel | ExchangeKind::Notification => None,
            }
        }
        // A claim about another currency than the first is an oddity that is told, and not summed.
        other => {
            let claims = claims(other);
            let currency = claims.iter().find_map(|claim| claim.outcome.amount)?.currency;
            let nothing = Money::new(0, currency);
            let of = claims.iter().map(|claim| taken(&claim.outcome, nothing));
            let minor = of.filter(|money| money.currency == currency).map(|money| money.minor);
            Some(Money::new(minor.fold(0, i64::saturating_add), currency))
        }
    }
}

fn reason(was: &GatewayAnswer, now: &GatewayAnswer) -> ShadowReason {
    let verdict = |outcome: &Outcome| outcome.verdict.name();
    let sums = |outcome: &Outcome| (outcome.amount, outcome.fee);
    match (was, now) {
        (GatewayAnswer::Step(Step::Done(was)), GatewayAnswer::Step(Step::Done(now))) => {
            if verdict(was) != verdict(now) {
                ShadowReason::OtherVerdict
            } else if sums(was) != sums(now) {
                ShadowReason::OtherSum
            } else {
                ShadowReason::OtherText
            }
        }
        (
            GatewayAnswer::Received(ReceiveStep::Done(Received::Authentic { claims: was, .. })),
            GatewayAnswer::Received(ReceiveStep::Done(Received::Authentic { claims: now, .. })),
        ) => {
            let told = |claims: &[Claim]| -> Vec<_> {
                claims.iter().map(|claim| (claim.subject.clone(), verdict(&claim.outcome))).collect()
            };
            if told(was) != told(now) {
                ShadowReason::OtherVerdict
            } else if was.iter().zip(now).any(|(was, now)| sums(&was.outcome) != sums(&now.outcome)) {
                ShadowReason::OtherSum
            } else {
                ShadowReason::OtherText
            }
        }
        (
            GatewayAnswer::Received(ReceiveStep::Done(Received::Rejected { .. })),
            GatewayAnswer::Received(ReceiveStep::Done(Received::Rejected { .. })),
        ) => ShadowReason::OtherText,
        (GatewayAnswer::Received(ReceiveStep::Done(_)), GatewayAnswer::Received(ReceiveStep::Done(_))) => {
            ShadowReason::OtherVerdict
        }
        _ => ShadowReason::OtherRequest,
    }
}

/// An answer in words. Secrets are names in it.
fn shown(answer: &GatewayAnswer) -> String {
    let told = |outcome: &Outcome| {
        let amount = outcome.amount.map(|money| format!(" {} {}", money.to_major_string(), money.currency));
        let verdict = serde_json::to_string(&outcome.verdict).unwrap_or_default();
        let fee = outcome.fee.map(|fee| format!(", fee {}", fee.to_major_string())).unwrap_or_default();
        format!(
            "{}{fee} {verdict} {} {:?}",
            amount.unwrap_or_default().trim_start(),
            outcome.external_id,
            outcome.details
        )
    };
    match answer {
        GatewayAnswer::Step(Step::Done(outcome)) => told(outcome),
        GatewayAnswer::Received(ReceiveStep::Done(Received::Rejected { reason, reply })) => {
            format!("rejected with {}: {reason}", reply.status)
        }
        GatewayAnswer::Received(ReceiveStep::Done(Received::Authentic { claims, taken, .. })) => {
            let claims: Vec<String> =
                claims.iter().map(|claim| format!("{:?}: {}", claim.subject, told(&claim.outcome))).collect();
            format!("{}, answered with {}", claims.join("; "), taken.status)
        }
        GatewayAnswer::Capabilities(can) => format!("{can:?}"),
        other => {
            let call = sent(other);
            let request = call.map(|call| serde_json::to_string(&call.request).unwrap_or_default());
            let once = call.map(|call| call.repetition.as_str()).unwrap_or_default();
            format!("sends ({once}) {}", request.unwrap_or_default())
        }
    }
}
