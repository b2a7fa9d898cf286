//! Exchanges with payment gateways: payments begun, asked about, captured, given up and given back.
//!
//! An exchange is a row and a trail. Each step is stored before the next one is taken, in a transaction of its own, so a host
//! that stops anywhere leaves an exchange that another host goes on with from where it stands: [`machine`] does that. What
//! a gateway says is checked and recorded; nothing is posted here. Invariant: one intent is one exchange of kind `pay`,
//! whose id is the gateway's key for ever, so an exchange that is taken up again never pays twice.

mod claims;
mod lessons;
mod machine;

use altyn_domain::{
    exchange::Incoming,
    gateway::{Details, ExchangeKind, Intent, Operation, Outcome, Reference, Refund, Verdict, VerdictName},
    id::{BindingId, CallId, CanaryId, ExchangeId, Id as _},
    money::{Currency, Money},
};
use altyn_store::{Tx, exchanges as rows, jobs};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub(crate) use claims::payment_of;
pub use machine::ANSWERED_IN_MS;

use crate::{
    canary::payments::OnTrial,
    context::{Altyn, Begun, Reply, Request, Work},
    error::{Fields, Result, ServiceError, stored},
    gateways::{Gateway, Origin},
    page::{Listed, Page},
};

/// The kind of the jobs that go on with what a host left unfinished.
pub const EXCHANGE_JOB: &str = "exchange";
/// When such a job looks, seconds after an exchange was begun: later than any exchange takes by itself.
const LOOK_AFTER_S: i64 = 150;
/// Largest number that gateways of every kind can count: that of binary floating point.
const MAX_NUMBER: i64 = (1 << 53) - 1;

/// What is wanted of a gateway.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(tag = "operation", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BeginExchange {
    /// Begin a payment.
    Pay {
        /// The binding of the gateway.
        binding_id: BindingId,
        /// What is to be paid, minor units.
        amount_minor: i64,
        /// ISO 4217 code.
        currency: String,
        /// For the payer, 1 to 100 characters.
        description: String,
        /// Whether the money is taken at once; `false` only holds it.
        #[serde(default = "yes")]
        capture: bool,
        /// Where the payer's browser goes afterwards, https.
        #[serde(default)]
        return_url: Option<String>,
        /// What is known of the payer: `email`, `phone`, `ip`, `language`.
        #[serde(default)]
        payer: std::collections::BTreeMap<String, String>,
        /// Charge this saved method, without the payer.
        #[serde(default)]
        saved_method: Option<String>,
        /// Keep the payer's method for later charges.
        #[serde(default)]
        save_method: bool,
    },
    /// Ask how a payment stands.
    Status {
        /// The exchange that began the payment.
        payment_id: ExchangeId,
    },
    /// Take held money.
    Capture {
        /// The exchange that began the payment.
        payment_id: ExchangeId,
    },
    /// Give a payment up that was not taken yet.
    Cancel {
        /// The exchange that began the payment.
        payment_id: ExchangeId,
    },
    /// Give money back.
    Refund {
        /// The exchange that began the payment.
        payment_id: ExchangeId,
        /// How much, minor units; all of it when absent.
        #[serde(default)]
        amount_minor: Option<i64>,
        /// Why, for the payer.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Ask how a refund stands.
    RefundStatus {
        /// The exchange of the refund.
        refund_id: ExchangeId,
    },
}

fn yes() -> bool {
    true
}

/// An exchange as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExchangeView {
    /// Its id; for a payment, the gateway's key.
    pub id: ExchangeId,
    /// The binding it goes through.
    pub binding_id: BindingId,
    /// SHA-256 of the component that began it and ends it.
    pub component: String,
    /// The trial that the payment began in; absent when the present component of its day began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_id: Option<CanaryId>,
    /// What it is.
    #[schema(value_type = String, example = "pay")]
    pub kind: ExchangeKind,
    /// The payment or the refund that it is about.
    pub about_id: Option<ExchangeId>,
    /// The number of the payment within its binding; zero for everything else.
    pub number: i64,
    /// The amount, minor units; zero for a notification.
    pub amount_minor: i64,
    /// ISO 4217 code; empty for a notification.
    pub currency: String,
    /// `begun`, `sending`, `answered` or `done`.
    pub state: String,
    /// How many requests it sent.
    pub requests: i32,
    /// How the payment stands, by this exchange and everything learnt since; absent while nothing is known.
    pub verdict: Option<Verdict>,
    /// How the gateway names it.
    pub external_id: String,
    /// What the gateway keeps for itself, minor units, when it said so.
    pub fee_minor: Option<i64>,
    /// Names the payer's method for later charges, when it was kept.
    pub saved_method: Option<String>,
    /// What the plugin remembers of it.
    pub details: Vec<(String, String)>,
    /// Stable code of a failure of the plugin.
    pub fault_code: Option<String>,
    /// That failure in words.
    pub fault: Option<String>,
    /// Counts changes.
    pub version: i64,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

/// A step of a trail as it is shown: secrets are names, bodies are text.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepView {
    /// Its place, from 0.
    pub position: i32,
    /// `send`, `repeat`, `response`, `not-sent`, `lost`, `outcome`, `claim`, `refused` or `failed`.
    pub kind: String,
    /// The plugin call that decided it.
    pub call_id: Option<CallId>,
    /// The request, with the names of its secrets.
    #[schema(value_type = Option<Object>)]
    pub request: Option<serde_json::Value>,
    /// Status of the answer.
    pub status: Option<i32>,
    /// Headers of the answer.
    pub headers: Option<Vec<(String, String)>>,
    /// Body of the answer, values of secrets masked; bytes that are not text are replaced.
    pub body: Option<String>,
    /// In words, or the outcome as JSON.
    pub note: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What an exchange was asked, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Asked {
    Operation(Operation),
    Notification(Incoming),
}

impl Altyn {
    /// Begins an exchange and goes on with it until the gateway has nothing more to say for now.
    ///
    /// The exchange and its key are stored first; then the gateway is talked to, outside any transaction. A repeated
    /// request finds the same exchange and goes on with it.
    pub async fn exchange_begin(&self, request: &Request, command: BeginExchange) -> Result<Reply<ExchangeView>> {
        // Before anything is asked: what became of the binding since then is no matter of a repeated request.
        let reply = if let Some(reply) = self.answered_before::<ExchangeView>(request).await? {
            reply
        } else {
            self.exchange_put(request, command).await?
        };
        let Reply { status, replayed, value } = reply;
        self.exchange_advance(request.tenant, value.id, &owner(self)).await?;
        Ok(Reply { status, replayed, value: self.exchange_get(request, value.id).await? })
    }

    /// Plans and stores an exchange. What is planned by a trial that is over by then is planned anew: that needs somebody to
    /// move the trial, or another fault of it, each time.
    async fn exchange_put(&self, request: &Request, command: BeginExchange) -> Result<Reply<ExchangeView>> {
        loop {
            let Some(planned) = self.exchange_plan(request, command.clone()).await? else { continue };
            match self.begin::<ExchangeView>(request).await? {
                Begun::Replay(reply) => return Ok(reply),
                Begun::Work(work) => {
                    if let Some(reply) = self.exchange_store(request, work, planned).await? {
                        return Ok(reply);
                    }
                }
            }
        }
    }

    /// Goes on with an exchange that a host left unfinished; one that is done stays as it is.
    pub async fn exchange_resume(&self, request: &Request, id: ExchangeId) -> Result<Reply<ExchangeView>> {
        self.exchange_get(request, id).await?;
        let progress = self.exchange_advance(request.tenant, id, &owner(self)).await?;
        if progress == machine::Progress::Busy {
            return Err(ServiceError::conflict(
                "exchange-busy",
                "another host talks to the gateway right now; read the exchange in a minute",
            ));
        }
        Ok(Reply { status: 200, replayed: false, value: self.exchange_get(request, id).await? })
    }

    /// One exchange.
    pub async fn exchange_get(&self, request: &Request, id: ExchangeId) -> Result<ExchangeView> {
        let mut tx = self.read(request).await?;
        let row = rows::find(&mut tx, request.tenant.0, id.0).await?;
        view(row.ok_or(ServiceError::NotFound("exchange"))?)
    }

    /// A page of exchanges, oldest first.
    pub async fn exchange_list(&self, request: &Request, page: &Page) -> Result<Listed<ExchangeView>> {
        let (limit, after) = page.bounds::<ExchangeId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::list(&mut tx, request.tenant.0, after, limit).await?;
        page.listed(found, |row| ExchangeId(row.id).to_string(), view).try_data()
    }

    /// A page of an exchange's trail, from its beginning.
    pub async fn exchange_steps(&self, request: &Request, id: ExchangeId, page: &Page) -> Result<Listed<StepView>> {
        let (limit, after) = page.positions()?;
        let mut tx = self.read(request).await?;
        rows::find(&mut tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("exchange"))?;
        let found = rows::steps(&mut tx, request.tenant.0, id.0, after, limit).await?;
        page.listed(found, |step| step.position.to_string(), step_view).try_data()
    }

    /// What a job of [`EXCHANGE_JOB`] does.
    pub(crate) async fn exchange_job(
        &self,
        tenant: altyn_domain::id::TenantId,
        payload: &str,
        owner: &str,
    ) -> Result<crate::runs::Advanced> {
        let payload: JobPayload = serde_json::from_str(payload)
            .map_err(|error| ServiceError::Internal(format!("the job of an exchange does not read: {error}")))?;
        Ok(match self.exchange_advance(tenant, payload.exchange, owner).await? {
            machine::Progress::Done => crate::runs::Advanced::Done,
            machine::Progress::Busy => crate::runs::Advanced::Busy,
        })
    }

    /// Checks a command against what the gateway can do; asks the plugin, so it runs before any transaction. None when the
    /// component on trial that was to begin it was just taken back.
    async fn exchange_plan(&self, request: &Request, command: BeginExchange) -> Result<Option<Planned>> {
        let mut fields = Fields::default();
        if let BeginExchange::Pay { amount_minor, currency, description, return_url, payer, saved_method, .. } =
            &command
        {
            if *amount_minor <= 0 {
                fields.refuse("/amount_minor", "must be above zero");
            }
            fields.take("/currency", Currency::parse(currency));
            fields.text("/description", description, 100);
            if return_url.as_deref().is_some_and(|url| !url.starts_with("https://") || url.len() > 1_000) {
                fields.refuse("/return_url", "must begin with https:// and have at most 1000 characters");
            }
            for (name, value) in payer {
                if !matches!(name.as_str(), "email" | "phone" | "ip" | "language") {
                    fields.refuse(format!("/payer/{name}"), "is not one of email, phone, ip, language");
                }
                fields.text(&format!("/payer/{name}"), value, 200);
            }
            fields.optional_text("/saved_method", saved_method.as_deref(), 200);
        }
        if let BeginExchange::Refund { amount_minor, reason, .. } = &command {
            if amount_minor.is_some_and(|amount| amount <= 0) {
                fields.refuse("/amount_minor", "must be above zero");
            }
            fields.optional_text("/reason", reason.as_deref(), 200);
        }
        fields.finish()?;
        let (binding, about) = match &command {
            BeginExchange::Pay { binding_id, .. } => (*binding_id, None),
            BeginExchange::Status { payment_id }
            | BeginExchange::Capture { payment_id }
            | BeginExchange::Cancel { payment_id }
            | BeginExchange::Refund { payment_id, .. } => self.about(request, *payment_id, ExchangeKind::Pay).await?,
            BeginExchange::RefundStatus { refund_id } => self.about(request, *refund_id, ExchangeKind::Refund).await?,
        };
        // A payment in flight stays with the component that began it, and with its configuration.
        let id = ExchangeId(self.ids.next());
        let on_trial = match about {
            None => self.payment_on_trial(request.tenant, binding, id).await?,
            Some(_) => None,
        };
        let origin = match &on_trial {
            Some(trial) => Some(trial.origin.clone()),
            None => about.as_ref().map(Origin::of).transpose()?,
        };
        let gateway = self.gateway_open(request.tenant, binding, origin).await?;
        if matches!(command, BeginExchange::Pay { .. }) {
            self.takes_payments(&gateway)?;
        }
        let can = match (gateway.capabilities(self.clock.now()).await, &on_trial) {
            (Ok(can), _) => can,
            (Err(ServiceError::Plugin { code, message }), Some(trial)) if code != "plugin-busy" => {
                self.count_unbegun(request.tenant, binding, trial.id, &message).await?;
                let still = self.payment_on_trial(request.tenant, binding, id).await?;
                return if still.is_some() { Err(ServiceError::Plugin { code, message }) } else { Ok(None) };
            }
            (Err(error), _) => return Err(error),
        };
        let refuse = |able: bool, what: &str| {
            let message = format!("the gateway does not {what} with its configuration; use another binding");
            if able { Ok(()) } else { Err(ServiceError::conflict("gateway-cannot", message)) }
        };
        match &command {
            BeginExchange::Pay { currency, capture, saved_method, save_method, .. } => {
                refuse(can.currencies.is_empty() || can.currencies.contains(currency), &format!("take {currency}"))?;
                refuse(*capture || can.two_stage, "hold money without taking it")?;
                refuse(can.saved_methods || (saved_method.is_none() && !save_method), "keep methods")?;
            }
            BeginExchange::Status { .. } => refuse(can.status, "tell how a payment stands")?,
            BeginExchange::Capture { .. } | BeginExchange::Cancel { .. } => refuse(can.two_stage, "hold money")?,
            BeginExchange::Refund { amount_minor, .. } => {
                refuse(can.refunds, "give money back")?;
                let whole = about.as_ref().is_some_and(|row| amount_minor.is_none_or(|part| part == row.amount_minor));
                refuse(whole || can.partial_refunds, "give a part of the money back")?;
            }
            BeginExchange::RefundStatus { .. } => refuse(can.refund_status, "tell how a refund stands")?,
        }
        let canary = about.as_ref().and_then(|row| row.canary_id);
        Ok(Some(Planned { id, command, binding, origin: gateway.origin(), canary, on_trial }))
    }

    /// Refuses a payment through a binding that has ended, or has not begun.
    fn takes_payments(&self, gateway: &Gateway) -> Result<()> {
        if !gateway.open_for_payments {
            let message = "the binding takes no new payments; use another";
            return Err(ServiceError::conflict("binding-ended", message));
        }
        if !gateway.has_begun(self.clock.now())? {
            let from = gateway.effective_from;
            let message = format!("the binding takes payments from {from} on; use another, or wait until then");
            return Err(ServiceError::conflict("binding-not-begun", message));
        }
        Ok(())
    }

    /// The binding of an exchange of a kind, and its row.
    async fn about(
        &self,
        request: &Request,
        id: ExchangeId,
        kind: ExchangeKind,
    ) -> Result<(BindingId, Option<rows::ExchangeRow>)> {
        let mut tx = self.read(request).await?;
        let row = rows::find(&mut tx, request.tenant.0, id.0).await?.filter(|row| row.kind == kind.as_str());
        let row = row.ok_or(ServiceError::NotFound(match kind {
            ExchangeKind::Refund => "refund",
            _ => "payment",
        }))?;
        Ok((BindingId(row.binding_id), Some(row)))
    }

    /// Stores an exchange; None when the trial that was to begin it has moved meanwhile.
    async fn exchange_store(
        &self,
        request: &Request,
        mut work: Work,
        planned: Planned,
    ) -> Result<Option<Reply<ExchangeView>>> {
        let Planned { id: ExchangeId(id), command, binding, origin, canary, on_trial } = planned;
        let tenant = request.tenant.0;
        let tx = &mut work.tx;
        let (operation, about) = match command {
            BeginExchange::Pay {
                amount_minor,
                currency,
                description,
                capture,
                return_url,
                payer,
                saved_method,
                save_method,
                ..
            } => {
                let number = rows::next_number(tx, tenant, binding.0).await?;
                let number = number.filter(|number| (1..=MAX_NUMBER).contains(number));
                let number = number.ok_or_else(|| ServiceError::Internal("the binding has no address".into()))?;
                let currency = Currency::parse(&currency)
                    .map_err(|error| ServiceError::invalid("/currency", error.to_string()))?;
                let intent = Intent {
                    id: ExchangeId(id).to_string(),
                    number: number.unsigned_abs(),
                    amount: Money::new(amount_minor, currency),
                    description,
                    capture,
                    return_url: return_url.unwrap_or_default(),
                    payer: payer.into_iter().collect(),
                    saved_method,
                    save_method,
                    receipt: None,
                };
                (Operation::Pay(intent), None)
            }
            BeginExchange::Status { payment_id } => {
                (Operation::Status(self.payment(tx, request, payment_id).await?.0), Some(payment_id))
            }
            BeginExchange::Capture { payment_id } => {
                (Operation::Capture(self.payment(tx, request, payment_id).await?.0), Some(payment_id))
            }
            BeginExchange::Cancel { payment_id } => {
                (Operation::Cancel(self.payment(tx, request, payment_id).await?.0), Some(payment_id))
            }
            BeginExchange::Refund { payment_id, amount_minor, reason } => {
                let (payment, known) = self.payment(tx, request, payment_id).await?;
                let amount = Money::new(amount_minor.unwrap_or(payment.amount.minor), payment.amount.currency);
                if known != Some(VerdictName::Succeeded) {
                    return Err(ServiceError::conflict("payment-not-taken", "only money that was taken is given back"));
                }
                let before = rows::refunded_minor(tx, tenant, payment_id.0).await?;
                if before.saturating_add(amount.minor) > payment.amount.minor {
                    let message = "refunds would exceed the payment; those that are not declined count".to_owned();
                    return Err(ServiceError::conflict("refund-exceeds-payment", message));
                }
                let refund = Refund {
                    id: ExchangeId(id).to_string(),
                    payment,
                    amount,
                    reason: reason.unwrap_or_default(),
                    external_id: String::new(),
                };
                (Operation::Refund(refund), Some(payment_id))
            }
            BeginExchange::RefundStatus { refund_id } => {
                let row = rows::lock(tx, tenant, refund_id.0).await?.ok_or(ServiceError::NotFound("refund"))?;
                let Asked::Operation(Operation::Refund(refund)) = read_asked(&row.asked)? else {
                    return Err(ServiceError::NotFound("refund"));
                };
                (Operation::RefundStatus(Refund { external_id: row.external_id, ..refund }), Some(refund_id))
            }
        };
        let amount = operation.amount();
        let number = if let Operation::Pay(intent) = &operation { intent.number } else { 0 };
        let row = rows::ExchangeRow {
            id,
            binding_id: binding.0,
            component_digest: origin.digest.0.to_vec(),
            config: origin.config,
            canary_id: on_trial.as_ref().map(|trial| trial.id).or(canary),
            kind: operation.kind().as_str().to_owned(),
            about_id: about.map(ExchangeId::uuid),
            number: i64::try_from(number).unwrap_or_default(),
            amount_minor: amount.minor,
            currency: amount.currency.code().to_owned(),
            asked: written(&Asked::Operation(operation))?,
            state: "begun".into(),
            requests: 0,
            verdict: None,
            external_id: String::new(),
            outcome: None,
            fault_code: None,
            fault: None,
            fence: 0,
            version: 1,
            created_at: work.now,
            updated_at: work.now,
        };
        rows::insert(&mut work.tx, tenant, &row).await?;
        let payload = written(&JobPayload { exchange: ExchangeId(id) })?;
        let (key, due) = (ExchangeId(id).to_string(), work.now + TimeDelta::seconds(LOOK_AFTER_S));
        let now = work.now;
        jobs::put(&mut work.tx, tenant, self.ids.next(), EXCHANGE_JOB, &key, &payload, due, now).await?;
        if let Some(trial) = &on_trial
            && !trial.hold(&mut work.tx, request.tenant).await?
        {
            return Ok(None);
        }
        Ok(Some(work.finish(201, view(row)?).await?))
    }

    /// A payment as a gateway is asked about it, locked, with what is known of it.
    async fn payment(
        &self,
        tx: &mut Tx,
        request: &Request,
        id: ExchangeId,
    ) -> Result<(Reference, Option<VerdictName>)> {
        let row = rows::lock(tx, request.tenant.0, id.0).await?.ok_or(ServiceError::NotFound("payment"))?;
        let Asked::Operation(Operation::Pay(intent)) = read_asked(&row.asked)? else {
            return Err(ServiceError::NotFound("payment"));
        };
        let known = known(&row)?;
        let details: Details = known.as_ref().map(|outcome| outcome.details.clone()).unwrap_or_default();
        let reference = Reference {
            id: intent.id,
            number: intent.number,
            external_id: row.external_id,
            amount: intent.amount,
            capture: intent.capture,
            details,
        };
        Ok((reference, known.map(|outcome| outcome.verdict.name())))
    }
}

/// A command that the gateway can serve.
struct Planned {
    /// Its id: by it, a payment is chosen for a trial.
    id: ExchangeId,
    command: BeginExchange,
    binding: BindingId,
    origin: Origin,
    /// The trial that the payment it is about began in.
    canary: Option<uuid::Uuid>,
    /// The trial that it begins in itself.
    on_trial: Option<OnTrial>,
}

#[derive(Serialize, Deserialize)]
struct JobPayload {
    exchange: ExchangeId,
}

/// Names this use of the application in leases: two requests to one host are two owners.
fn owner(altyn: &Altyn) -> String {
    format!("request/{}", altyn.ids.next().simple())
}

fn written<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| ServiceError::Internal(format!("a value does not write: {error}")))
}

fn read_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| ServiceError::Internal(format!("stored value of {what} is not valid: {error}")))
}

fn read_asked(text: &str) -> Result<Asked> {
    read_json("exchanges.asked", text)
}

/// What is known of an exchange so far.
fn known(row: &rows::ExchangeRow) -> Result<Option<Outcome>> {
    row.outcome.as_deref().map(|text| read_json("exchanges.outcome", text)).transpose()
}

fn view(row: rows::ExchangeRow) -> Result<ExchangeView> {
    let known = known(&row)?;
    let (verdict, fee, saved_method, details) = match known {
        Some(outcome) => (Some(outcome.verdict), outcome.fee, outcome.saved_method, outcome.details),
        None => (None, None, None, Vec::new()),
    };
    Ok(ExchangeView {
        id: ExchangeId(row.id),
        binding_id: BindingId(row.binding_id),
        component: hex::encode(&row.component_digest),
        canary_id: row.canary_id.map(CanaryId),
        kind: stored("exchanges.kind", &row.kind)?,
        about_id: row.about_id.map(ExchangeId),
        number: row.number,
        amount_minor: row.amount_minor,
        currency: row.currency,
        state: row.state,
        requests: row.requests,
        verdict,
        external_id: row.external_id,
        fee_minor: fee.map(|fee| fee.minor),
        saved_method,
        details,
        fault_code: row.fault_code,
        fault: row.fault,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn step_view(row: rows::StepRow) -> Result<StepView> {
    Ok(StepView {
        position: row.position,
        kind: row.kind,
        call_id: row.call_id.map(CallId),
        request: row.request.as_deref().map(|text| read_json("exchange_steps.request", text)).transpose()?,
        status: row.status,
        headers: row.headers.as_deref().map(|text| read_json("exchange_steps.headers", text)).transpose()?,
        body: row.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
        note: row.note,
        at: row.at,
    })
}
