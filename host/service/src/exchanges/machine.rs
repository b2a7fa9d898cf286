//! Going on with an exchange: ask the plugin, store, send, store, ask on.
//!
//! Each arrow of `begun → sending → answered → sending … → done` is one transaction; between them the host talks to the
//! plugin or to the gateway and holds none. What is in memory only (captured tokens) may be lost at any point: the
//! plugin is told `lost`, and begins the same thing again under the same key.
//!
//! Concurrency: an exchange is taken up with a lease and a fence. A lease is longer than a request can take and is renewed
//! by every stored step; a host that lost it writes nothing more.

use altyn_domain::{
    exchange::{
        Answer, Capture, HttpCall, HttpReply, HttpRequest, HttpResponse, MAX_REQUESTS, Piece, Repetition, Segment,
    },
    gateway::{ExchangeKind, Outcome, Received, Verdict, check_outcome},
    id::{BindingId, CallId, ExchangeId, TenantId},
    money::{Currency, Money},
};
use altyn_runtime::{CallFailure, CallRecord, Captured};
use altyn_store::{Scope, Tx, exchanges as rows, plugins as calls};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Asked,
    claims::{self, Standing},
    lessons::{learn, lesson},
    read_asked, read_json, written,
};
use crate::{
    canary::payments::{Fault, count},
    context::Altyn,
    egress::SendError,
    error::{Result, ServiceError, stored},
    evidence,
    gateways::{Gateway, Origin, Question, Told, plugin_failed},
    ports::{Clock as _, SystemClock},
};

/// How long a host may be silent before another goes on, seconds: six times what a request may take.
const LEASE_S: i64 = 60;
/// How often a harmless request is sent again after a host was restarted.
const MAX_REPEATS: usize = 3;
/// Most steps of a trail: requests, their repeats and their answers.
const MAX_STEPS: i64 = 100;
/// Shortest and longest value that is taken out of an answer.
const CAPTURED: std::ops::RangeInclusive<usize> = 8..=8_192;

/// How long an exchange may take at most, milliseconds: every request with its longest time.
pub const ANSWERED_IN_MS: u64 = 10 * 10_000;

/// Where an exchange stands after a host worked on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    Busy,
}

/// A request of the trail as it is stored: names of secrets, and no continuation, which has its own column.
#[derive(Debug, Serialize, Deserialize)]
struct StoredCall {
    request: HttpRequest,
    repetition: Repetition,
    captures: Vec<Capture>,
}

/// A host's hold on an exchange.
pub(super) struct Hold<'a> {
    pub(super) altyn: &'a Altyn,
    pub(super) tenant: TenantId,
    pub(super) gateway: Gateway,
    pub(super) row: rows::ExchangeRow,
    pub(super) asked: Asked,
    pub(super) captured: Captured,
    /// What is answered to a notification, once it is decided.
    pub(super) reply: Option<HttpReply>,
    /// Whether a notification was proven and says something.
    pub(super) recognised: bool,
    /// Whose payments a notification may speak of.
    pub(super) standing: Standing,
    /// The component that a notification is to be read by, when it is not this one.
    pub(super) belongs_to: Option<Origin>,
    /// Whether the last request was answered; true while there was none.
    heard: bool,
}

impl<'a> Hold<'a> {
    /// A host's hold on an exchange that it took up.
    pub(super) fn new(
        altyn: &'a Altyn,
        tenant: TenantId,
        gateway: Gateway,
        row: rows::ExchangeRow,
        asked: Asked,
    ) -> Self {
        let captured = Captured::default();
        // A notification that a host left is read to its end by what began to read it, about its own payments only.
        let standing = Standing::Former;
        let (reply, recognised, belongs_to) = (None, false, None);
        Self { altyn, tenant, gateway, row, asked, captured, reply, recognised, standing, belongs_to, heard: true }
    }
}

impl Altyn {
    /// Goes on with an exchange until it is done or waits for nobody here.
    pub(crate) async fn exchange_advance(&self, tenant: TenantId, id: ExchangeId, owner: &str) -> Result<Progress> {
        let wall = SystemClock.now();
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        let taken = rows::take(&mut tx, tenant.0, id.0, owner, wall + TimeDelta::seconds(LEASE_S), wall).await?;
        let row = rows::find(&mut tx, tenant.0, id.0).await?.ok_or(ServiceError::NotFound("exchange"))?;
        tx.commit().await?;
        if !taken {
            return Ok(if row.state == "done" { Progress::Done } else { Progress::Busy });
        }
        let gateway = self.gateway_open(tenant, BindingId(row.binding_id), Some(Origin::of(&row)?)).await?;
        let asked = read_asked(&row.asked)?;
        Hold::new(self, tenant, gateway, row, asked).go_on(None).await
    }
}

impl Hold<'_> {
    /// Goes on until the end. `fresh` is a request that was stored just now and was certainly not sent yet.
    pub(super) async fn go_on(&mut self, mut fresh: Option<HttpCall>) -> Result<Progress> {
        loop {
            let stored = match self.row.state.as_str() {
                "begun" => {
                    let question = match &self.asked {
                        Asked::Operation(operation) => Question::Begin(operation.clone()),
                        Asked::Notification(incoming) => Question::Receive(incoming.clone()),
                    };
                    let (record, told) = self.gateway.ask(question, self.row.created_at).await?;
                    self.store_told(&record, told, &mut fresh).await?
                }
                "sending" => {
                    let answer = match fresh.take() {
                        Some(call) => self.send(&call).await,
                        None => self.send_again().await?,
                    };
                    let Some(answer) = answer else { return Ok(Progress::Busy) };
                    self.store_answer(answer).await?
                }
                "answered" => {
                    let (continuation, answer, at) = self.last_answer().await?;
                    self.heard = matches!(answer, Answer::Response(_));
                    let notification = matches!(self.asked, Asked::Notification(_));
                    let question = Question::Resume { notification, continuation, answer };
                    let (record, told) = self.gateway.ask(question, at).await?;
                    self.store_told(&record, told, &mut fresh).await?
                }
                _ => return Ok(Progress::Done),
            };
            if !stored {
                return Ok(Progress::Busy);
            }
        }
    }

    /// Sends a request; None never, but shaped as [`Self::send_again`].
    async fn send(&mut self, call: &HttpCall) -> Option<Answer> {
        let outgoing = match self.gateway.fill(call, &mut self.captured) {
            Ok(outgoing) => outgoing,
            Err(reason) => return Some(Answer::NotSent(reason)),
        };
        let host = outgoing.target.authority();
        let answer = self.altyn.egress.send(outgoing).await;
        Some(match answer {
            Ok(response) => self.received(call, response, &host),
            Err(error) => {
                let reason = self.masked_text(&error.to_string());
                tracing::warn!(target: "altyn::gateway", exchange = %ExchangeId(self.row.id), host, reason, "no answer");
                match error {
                    SendError::NotSent(_) => Answer::NotSent(reason),
                    SendError::Lost(_) => Answer::Lost(reason),
                }
            }
        })
    }

    /// What is done about a request that a host stored and perhaps sent before it stopped.
    async fn send_again(&mut self) -> Result<Option<Answer>> {
        let steps = self.trail().await?;
        let (place, call) = last_call(&steps)?;
        let repeats = steps.iter().skip(place).filter(|step| step.kind == "repeat").count();
        let captured =
            call.request.segments().flat_map(Segment::pieces).any(|piece| matches!(piece, Piece::Captured(_)));
        if call.repetition == Repetition::Never || captured || repeats >= MAX_REPEATS {
            return Ok(Some(Answer::Lost("the host was restarted before the answer came".to_owned())));
        }
        let now = self.altyn.clock.now();
        let mut tx = self.write().await?;
        if !self.renew(&mut tx, "sending", now).await? {
            return Ok(None);
        }
        rows::step_insert(&mut tx, self.tenant.0, self.row.id, step("repeat", now)).await?;
        tx.commit().await?;
        Ok(self.send(&call).await)
    }

    /// Takes out what is to be kept, and masks what must not be shown.
    fn received(&mut self, call: &HttpCall, response: HttpResponse, host: &str) -> Answer {
        for Capture { name, pointer } in &call.captures {
            if !(200..300).contains(&response.status) {
                break;
            }
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let value = body.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
            let plain = value.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
            if !CAPTURED.contains(&value.len()) || !plain {
                return Answer::Lost(format!("the answer has no value to keep at {pointer}"));
            }
            self.captured.keep(name, value.as_bytes(), host);
        }
        let masks = self.gateway.masks(&self.captured);
        let headers = response
            .headers
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(&masks.apply(value.as_bytes())).into_owned()));
        Answer::Response(HttpResponse {
            status: response.status,
            headers: headers.collect(),
            body: masks.apply(&response.body),
        })
    }

    fn masked_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.gateway.masks(&self.captured).apply(text.as_bytes())).into_owned()
    }

    async fn trail(&self) -> Result<Vec<rows::StepRow>> {
        let mut tx = self.altyn.db.read(Scope::Tenant(self.tenant.0)).await?;
        Ok(rows::steps(&mut tx, self.tenant.0, self.row.id, -1, MAX_STEPS).await?)
    }

    /// The continuation of the last request, its answer, and when that was stored.
    async fn last_answer(&self) -> Result<(Vec<u8>, Answer, DateTime<Utc>)> {
        let steps = self.trail().await?;
        let (_, call) = last_call(&steps)?;
        let missing = || ServiceError::Internal("the answer of an exchange is missing in its trail".into());
        let answers = ["response", "not-sent", "lost"];
        let answer = steps.iter().rev().find(|step| answers.contains(&step.kind.as_str())).ok_or_else(missing)?;
        let note = answer.note.clone().unwrap_or_default();
        let told = match answer.kind.as_str() {
            "not-sent" => Answer::NotSent(note),
            "lost" => Answer::Lost(note),
            _ => Answer::Response(HttpResponse {
                status: answer.status.and_then(|status| u16::try_from(status).ok()).ok_or_else(missing)?,
                headers: read_json("exchange_steps.headers", answer.headers.as_deref().unwrap_or("[]"))?,
                body: answer.body.clone().unwrap_or_default(),
            }),
        };
        Ok((call.continuation, told, answer.at))
    }

    async fn write(&self) -> Result<Tx> {
        Ok(self.altyn.db.write(Scope::Tenant(self.tenant.0)).await?)
    }

    /// Writes the state under the fence and renews the lease; `false` when another host took over.
    async fn renew(&mut self, tx: &mut Tx, state: &str, now: DateTime<Utc>) -> Result<bool> {
        let until = SystemClock.now() + TimeDelta::seconds(LEASE_S);
        let (id, fence, requests) = (self.row.id, self.row.fence, self.row.requests);
        Ok(rows::advance(tx, self.tenant.0, id, fence, state, requests, until, now).await?)
    }

    async fn store_answer(&mut self, answer: Answer) -> Result<bool> {
        let now = self.altyn.clock.now();
        let mut stored = step("response", now);
        match answer {
            Answer::Response(response) => {
                stored.status = Some(i32::from(response.status));
                stored.headers = Some(written(&response.headers)?);
                stored.body = Some(response.body);
            }
            Answer::NotSent(reason) => (stored.kind, stored.note) = ("not-sent".into(), Some(short(&reason))),
            Answer::Lost(reason) => (stored.kind, stored.note) = ("lost".into(), Some(short(&reason))),
        }
        let mut tx = self.write().await?;
        if !self.renew(&mut tx, "answered", now).await? {
            return Ok(false);
        }
        rows::step_insert(&mut tx, self.tenant.0, self.row.id, stored).await?;
        tx.commit().await?;
        "answered".clone_into(&mut self.row.state);
        Ok(true)
    }

    /// Stores what the plugin said, with its evidence, and what follows from it.
    pub(super) async fn store_told(
        &mut self,
        record: &CallRecord,
        told: std::result::Result<Told, CallFailure>,
        fresh: &mut Option<HttpCall>,
    ) -> Result<bool> {
        if let Err(failure) = &told
            && (failure.is_transient() || matches!(failure, CallFailure::CircuitOpen { .. }))
            && !self.gives_up(failure)
        {
            // Nothing was decided: the same question is asked again later, by the same component.
            return Err(plugin_failed(failure));
        }
        let now = self.altyn.clock.now();
        let call = CallId(self.altyn.ids.next());
        let kept = evidence::record(call, None, self.gateway.binding, now, record, told.as_ref().err())?;
        if told.is_ok() {
            self.gateway.recheck_later(call, record);
        }
        let mut tx = self.write().await?;
        calls::evidence_insert(&mut tx, self.tenant.0, kept.blobs).await?;
        calls::calls_insert(&mut tx, self.tenant.0, now, &[kept.row]).await?;
        let decided = |kind| rows::StepRow { call_id: Some(call.0), ..step(kind, now) };
        let stored = match told {
            Ok(Told::Send(call)) if usize::try_from(self.row.requests).unwrap_or(MAX_REQUESTS) < MAX_REQUESTS => {
                self.row.requests += 1;
                if !self.renew(&mut tx, "sending", now).await? {
                    return Ok(false);
                }
                let HttpCall { request, repetition, captures, continuation } = call.clone();
                let request = written(&StoredCall { request, repetition, captures })?;
                let sent =
                    rows::StepRow { request: Some(request), continuation: Some(continuation), ..decided("send") };
                rows::step_insert(&mut tx, self.tenant.0, self.row.id, sent).await?;
                *fresh = Some(call);
                "sending"
            }
            Ok(Told::Send(_)) => {
                let fault = ("exchange-too-long", format!("the plugin wants more than {MAX_REQUESTS} requests"));
                if !self.fail(&mut tx, decided("failed"), fault, now).await? {
                    return Ok(false);
                }
                "done"
            }
            Ok(Told::Outcome(outcome)) => {
                let (kind, asked) = (self.kind()?, self.amount()?);
                let ended = match check_outcome(kind, asked, &outcome) {
                    Ok(()) => self.end(&mut tx, decided("outcome"), outcome, None, now).await?,
                    Err(error) => {
                        self.fail(&mut tx, decided("failed"), ("gateway-invalid-outcome", error.to_string()), now)
                            .await?
                    }
                };
                if !ended {
                    return Ok(false);
                }
                "done"
            }
            Ok(Told::Received(received)) => {
                if !self.receive(&mut tx, decided("claim"), received, now).await? {
                    return Ok(false);
                }
                "done"
            }
            Err(failure) => {
                if !self.fail(&mut tx, decided("failed"), (failure.code(), failure.to_string()), now).await? {
                    return Ok(false);
                }
                "done"
            }
        };
        tx.commit().await?;
        stored.clone_into(&mut self.row.state);
        Ok(true)
    }

    /// Whether a payment ends when the component on trial is slow or only failed lately. Nothing of it was begun, so it may be
    /// begun again, by whichever component is chosen for it then; waiting would hide the fault.
    fn gives_up(&self, failure: &CallFailure) -> bool {
        let slow = matches!(failure, CallFailure::TimedOut { .. } | CallFailure::CircuitOpen { .. });
        let begun = self.row.state == "begun" && self.row.kind == ExchangeKind::Pay.as_str();
        slow && begun && self.row.canary_id.is_some()
    }

    fn kind(&self) -> Result<ExchangeKind> {
        stored("exchanges.kind", &self.row.kind)
    }

    fn amount(&self) -> Result<Money> {
        let currency = Currency::parse(&self.row.currency)
            .map_err(|error| ServiceError::Internal(format!("stored value of exchanges.currency: {error}")))?;
        Ok(Money::new(self.row.amount_minor, currency))
    }

    /// Ends with a fault. Money may have moved unless nothing was ever sent and the plugin itself gave up.
    async fn fail(
        &mut self,
        tx: &mut Tx,
        failed: rows::StepRow,
        fault: (&str, String),
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let (code, text) = (fault.0, short(&fault.1));
        let reason = format!("the plugin failed: {code}");
        let unsent = self.row.requests == 0 && code != "gateway-invalid-outcome";
        let verdict = Verdict::of_fault(self.kind()?, unsent, reason);
        let outcome = Outcome {
            verdict,
            external_id: String::new(),
            amount: None,
            fee: None,
            saved_method: None,
            details: Vec::new(),
        };
        let failed = rows::StepRow { note: Some(text.clone()), ..failed };
        tracing::warn!(target: "altyn::gateway", exchange = %ExchangeId(self.row.id), code, text, "an exchange failed");
        if self.row.kind == ExchangeKind::Notification.as_str() {
            self.reply = Some(claims::try_again());
            rows::step_insert(tx, self.tenant.0, self.row.id, failed).await?;
            return Ok(rows::end(tx, self.tenant.0, self.row.id, self.row.fence, Some((code, &text)), now).await?);
        }
        self.end(tx, failed, outcome, Some((code, &text)), now).await
    }

    /// Ends with an outcome: what is learnt goes to the exchange and, unless a fault ended it, to the payment or refund
    /// that it is about.
    async fn end(
        &mut self,
        tx: &mut Tx,
        last: rows::StepRow,
        outcome: Outcome,
        fault: Option<(&str, &str)>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        if !rows::end(tx, self.tenant.0, self.row.id, self.row.fence, fault, now).await? {
            return Ok(false);
        }
        let call = last.call_id.map(CallId);
        let note = if last.note.is_some() { last.note.clone() } else { Some(written(&outcome)?) };
        rows::step_insert(tx, self.tenant.0, self.row.id, rows::StepRow { note, ..last }).await?;
        learn(tx, self.tenant, self.row.id, outcome.clone(), now).await?;
        let lesson = if fault.is_none() { lesson(&self.asked, outcome, self.heard) } else { None };
        if let (Some(about), Some(lesson)) = (self.row.about_id, lesson) {
            learn(tx, self.tenant, about, lesson, now).await?;
        }
        let fault = fault.map(|(_, reason)| Fault { reason, call });
        count(tx, &*self.altyn.ids, self.tenant, &self.row, fault, now).await?;
        Ok(true)
    }

    async fn receive(
        &mut self,
        tx: &mut Tx,
        decided: rows::StepRow,
        received: Received,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        if !rows::end(tx, self.tenant.0, self.row.id, self.row.fence, None, now).await? {
            return Ok(false);
        }
        self.recognised = matches!(&received, Received::Authentic { claims, .. } if !claims.is_empty());
        let judged = claims::judge(tx, self.tenant, &self.row, self.standing, received, now).await?;
        self.belongs_to = judged.belongs_to;
        let kind = if judged.refused.is_some() { "refused" } else { "claim" };
        let last = rows::StepRow {
            kind: kind.to_owned(),
            status: Some(i32::from(judged.reply.status)),
            headers: Some(written(&judged.reply.headers)?),
            body: Some(judged.reply.body.clone()),
            note: judged.refused.map(|reason| short(&reason)),
            ..decided
        };
        rows::step_insert(tx, self.tenant.0, self.row.id, last).await?;
        self.reply = Some(judged.reply);
        Ok(true)
    }
}

/// The last request of a trail with its place.
fn last_call(steps: &[rows::StepRow]) -> Result<(usize, HttpCall)> {
    let missing = || ServiceError::Internal("the request of an exchange is missing in its trail".into());
    let place = steps.iter().rposition(|step| step.kind == "send").ok_or_else(missing)?;
    let step = &steps[place];
    let call: StoredCall = read_json("exchange_steps.request", step.request.as_deref().ok_or_else(missing)?)?;
    let StoredCall { request, repetition, captures } = call;
    Ok((place, HttpCall { request, repetition, captures, continuation: step.continuation.clone().unwrap_or_default() }))
}

/// A step that says nothing yet but its kind and its time.
pub(super) fn step(kind: &str, at: DateTime<Utc>) -> rows::StepRow {
    rows::StepRow {
        position: 0,
        kind: kind.to_owned(),
        call_id: None,
        request: None,
        continuation: None,
        status: None,
        headers: None,
        body: None,
        note: None,
        at,
    }
}

fn short(text: &str) -> String {
    text.chars().take(2_000).collect()
}
