//! A payment gateway without a bank: what happens is chosen by the amount.
//!
//! The test double of payments everywhere: in a sandbox tenant, in demonstrations, in the suite. It sends nothing, unless it
//! is given a server (below). The last two digits of the amount, in minor units, choose:
//!
//! | digits | a payment | when asked later |
//! |---|---|---|
//! | `01` | declined: insufficient funds, may be tried again | declined |
//! | `02` | declined: stolen card, never again | declined |
//! | `03` | the payer is sent to 3-D Secure | after the delay: succeeded |
//! | `04` | the payer is sent to 3-D Secure | after the delay: declined |
//! | `05` | pending | after the delay: succeeded |
//! | `06` | unknown: the answer was lost, the money was taken | succeeded |
//! | `07` | unknown: the answer was lost, nothing was taken | not attempted |
//! | `08` | pending; its notification says everything twice | after the delay: succeeded |
//! | `09` | not attempted: the gateway is down | not attempted |
//! | `10` | succeeded | after the delay: returned, the payer's bank took it back |
//! | `11` | succeeded, with a fee of 3 % | succeeded |
//! | `12` | succeeded with another amount, which the host refuses | the same |
//! | `13` | a fault of the plugin | a fault |
//! | others | succeeded | succeeded |
//!
//! With a `server` in its configuration the lost answer and the second notification really happen, to whoever plays that
//! server in a test or a demonstration: `https://sandbox.invalid` and a path, where `sandbox.invalid` is granted and leads
//! to it. A payment or a refund of `06`, and a payment of `07`, sends one request to `SERVER/lost`, at most once: when no
//! answer comes it is unknown, when nothing was sent it was not attempted, and only the answer `{"done":true}` makes it what
//! it is when asked later. A payment of `08` sends `SERVER/notify` the notification below, signed, with the header
//! `x-times: 2`: the server is to post it to the address of the binding that often. Whatever it answers, the payment is
//! pending; when no answer comes, unknown.
//!
//! Payments that are not captured at once are authorized where they would have succeeded. A refund follows its own amount:
//! `01` declined, `05` pending and later done, `06` unknown and later done, others done.
//!
//! A notification is JSON `{"payment":"…","verdict":"succeeded","amount_minor":100,"currency":"RUB"}` with the verdicts
//! `succeeded`, `authorized`, `pending`, `declined`, `returned`, and the header `x-signature`: the HMAC-SHA-256 of the body
//! in hexadecimal digits, under the secret `notification-key`. The answer is `OK`, or `REFUSED` with status 409.

use altyn_plugin::gateway::{
    Action, Answer, Capabilities, Claim, Header, Incoming, Intent, Operation, Outcome, ReceiptOfClaims, ReceiveStep,
    Received, Reference, Refund, Repetition, Request, Segment, Step, Subject, Verdict, header, reply, state,
};
use altyn_plugin::vault::{Algorithm, DigestOrder, Encoding, Piece, digest, matches, template};
use altyn_plugin::{Context, Descriptor, Fault, Money, PaymentGateway, describe_gateway, share_of};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The gateway.
pub struct PaySandbox;

/// The host that it sends to when it is told to: nobody has it outside of a test.
const HOST: &str = "sandbox.invalid";

/// The configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long what is delayed takes.
    pub delay_ms: i64,
    /// Where lost answers are lost and notifications are doubled; nothing is sent when absent.
    pub server: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { delay_ms: 60_000, server: None }
    }
}

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "delay_ms": { "title": "How long what is delayed takes, milliseconds", "type": "integer", "minimum": 0, "default": 60000 },
    "server": { "title": "Where answers are really lost and notifications doubled", "type": "string", "pattern": "^https://sandbox\\.invalid(/[!-~]*)?$" }
  }
}"#;

impl PaymentGateway for PaySandbox {
    type Config = Config;

    fn describe() -> Descriptor {
        let version = env!("CARGO_PKG_VERSION");
        describe_gateway("pay-sandbox", version, "Payments without a bank", SCHEMA, &["notification-key"], &[HOST])
    }

    fn capabilities(_: &Config) -> Result<Capabilities, Fault> {
        Ok(Capabilities {
            currencies: Vec::new(),
            two_stage: true,
            refunds: true,
            partial_refunds: true,
            refund_status: true,
            status: true,
            notifications: true,
            saved_methods: true,
        })
    }

    fn begin(config: &Config, ctx: &Context, operation: Operation) -> Result<Step, Fault> {
        if let Some(server) = &config.server
            && let Some(step) = sent(config, server, ctx, &operation)?
        {
            return Ok(step);
        }
        match operation {
            Operation::Pay(intent) => pay(config, ctx, &intent)?,
            Operation::Status(payment) => status(config, ctx, &payment)?,
            Operation::Capture(payment) => taken(&payment.amount).named(payment.external_id),
            Operation::Cancel(payment) => Outcome::new(Verdict::Succeeded).named(payment.external_id),
            Operation::Refund(refund) => refunded(config, ctx, &refund),
            Operation::RefundStatus(refund) => taken(&refund.amount).named(format!("sandbox-{}", refund.id)),
        }
        .done()
    }

    fn resume(config: &Config, ctx: &Context, continuation: &[u8], answer: Answer) -> Result<Step, Fault> {
        let sent: Sent = state(continuation)?;
        let amount = Money { minor: sent.minor, currency: sent.currency.clone() };
        let heard = match answer {
            Answer::NotSent(reason) => Outcome::not_attempted(reason),
            Answer::Lost(reason) => Outcome::unknown(format!("the answer was lost: {reason}")),
            Answer::Response(_) if sent.notifies => Outcome::new(later(config, ctx)),
            Answer::Response(response) => match serde_json::from_slice::<Done>(&response.body) {
                Ok(Done { done: true }) if response.status == 200 => settled(&amount, sent.capture)?,
                _ => Outcome::unknown(format!("the server answered {} and does not say what it did", response.status)),
            },
        };
        let outcome = heard.named(sent.external_id).detail("begun-ms", sent.begun_ms);
        Outcome { saved_method: sent.saved_method, ..outcome }.done()
    }

    fn receive(_: &Config, _: &Context, notification: Incoming) -> Result<ReceiveStep, Fault> {
        Ok(ReceiveStep::Done(received(&notification)?))
    }
}

fn digits(amount: &Money) -> i64 {
    amount.minor.rem_euclid(100)
}

fn taken(amount: &Money) -> Outcome {
    Outcome::new(Verdict::Succeeded).of(amount.clone())
}

/// How the payment ends in the bank that is not there.
fn settled(amount: &Money, capture: bool) -> Result<Outcome, Fault> {
    Ok(match digits(amount) {
        1 => Outcome::declined("51", "insufficient funds", true),
        2 | 4 => Outcome::declined("43", "stolen card", false),
        7 | 9 => Outcome::not_attempted("the sandbox knows no such payment"),
        12 => taken(&amount.with_minor(amount.minor - 1)),
        13 => return Err(Fault::Other("the sandbox was asked to fail".into())),
        _ if !capture => Outcome::new(Verdict::Authorized).of(amount.clone()),
        11 => {
            let fee = share_of(amount.minor, 3, 100).unwrap_or_default();
            Outcome { fee: Some(amount.with_minor(fee)), ..taken(amount) }
        }
        _ => taken(amount),
    })
}

/// What is remembered of a request until its answer is there, or is lost.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    minor: i64,
    currency: String,
    capture: bool,
    external_id: String,
    saved_method: Option<String>,
    /// Empty for a refund.
    begun_ms: String,
    /// Whether the server was asked to notify.
    notifies: bool,
}

/// The answer of a server that did what it was asked.
#[derive(Debug, Deserialize)]
struct Done {
    done: bool,
}

/// The request of an operation whose answer is to be lost, or whose notification is to come twice; None for all others.
fn sent(config: &Config, server: &str, ctx: &Context, operation: &Operation) -> Result<Option<Step>, Fault> {
    let (id, amount, notifies) = match operation {
        Operation::Pay(intent) if matches!(digits(&intent.amount), 6 | 7) => (&intent.id, &intent.amount, false),
        Operation::Pay(intent) if digits(&intent.amount) == 8 => (&intent.id, &intent.amount, true),
        Operation::Refund(refund) if digits(&refund.amount) == 6 => (&refund.id, &refund.amount, false),
        _ => return Ok(None),
    };
    let remembered = match operation {
        Operation::Pay(intent) => pay(config, ctx, intent)?,
        _ => Outcome::unknown("").named(format!("sandbox-{id}")),
    };
    let begun = remembered.details.into_iter().find(|detail| detail.name == "begun-ms");
    let state = Sent {
        minor: amount.minor,
        currency: amount.currency.clone(),
        capture: !matches!(operation, Operation::Pay(intent) if !intent.capture),
        external_id: remembered.external_id,
        saved_method: remembered.saved_method,
        begun_ms: begun.map(|detail| detail.value).unwrap_or_default(),
        notifies,
    };
    let verdict = if state.capture { "succeeded" } else { "authorized" };
    let body = json!({ "payment": id, "verdict": verdict, "amount_minor": amount.minor, "currency": amount.currency });
    let body = body.to_string();
    let path = if notifies { "notify" } else { "lost" };
    let request = Request::json(format!("{}/{path}", server.trim_end_matches('/')), body.as_str());
    let request = request.with(header("idempotency-key", id));
    let (request, repetition) = if notifies {
        let signature = Header { name: "x-signature".into(), value: vec![Segment::Digest(signed(body.as_bytes()))] };
        (request.with(signature).with(header("x-times", "2")), Repetition::Harmless)
    } else {
        (request, Repetition::Never)
    };
    Ok(Some(Step::Send(request.send(repetition, &state)?)))
}

fn later(config: &Config, ctx: &Context) -> Verdict {
    Verdict::Pending(Some(ctx.now.saturating_add(config.delay_ms)))
}

fn pay(config: &Config, ctx: &Context, intent: &Intent) -> Result<Outcome, Fault> {
    let later = later(config, ctx);
    let outcome = match digits(&intent.amount) {
        3 | 4 => {
            let page = format!("https://sandbox.invalid/3ds/{}", intent.id);
            Outcome::new(Verdict::RequiresAction(Action::Redirect(page)))
        }
        5 | 8 => Outcome::new(later),
        6 | 7 => Outcome::unknown("the sandbox lost its answer"),
        9 => Outcome::not_attempted("the sandbox is down"),
        _ => settled(&intent.amount, intent.capture)?,
    };
    let outcome = outcome.named(format!("sandbox-{}", intent.number)).detail("begun-ms", ctx.now.to_string());
    let method = intent.save_method.then(|| format!("method-{}", intent.number));
    Ok(Outcome { saved_method: method, ..outcome })
}

fn status(config: &Config, ctx: &Context, payment: &Reference) -> Result<Outcome, Fault> {
    let begun: i64 = payment.detail("begun-ms").and_then(|text| text.parse().ok()).unwrap_or_default();
    let over = begun.saturating_add(config.delay_ms);
    let outcome = match digits(&payment.amount) {
        3 | 4 if ctx.now < over => {
            let page = format!("https://sandbox.invalid/3ds/{}", payment.id);
            Outcome::new(Verdict::RequiresAction(Action::Redirect(page)))
        }
        5 | 8 if ctx.now < over => Outcome::new(Verdict::Pending(Some(over))),
        10 if ctx.now >= over => {
            Outcome::new(Verdict::Returned("the payer's bank took it back".into())).of(payment.amount.clone())
        }
        _ => settled(&payment.amount, payment.capture)?,
    };
    Ok(outcome.named(format!("sandbox-{}", payment.number)).detail("begun-ms", begun.to_string()))
}

fn refunded(config: &Config, ctx: &Context, refund: &Refund) -> Outcome {
    match digits(&refund.amount) {
        1 => Outcome::declined("61", "the day's limit of refunds is reached", true),
        5 => Outcome::new(Verdict::Pending(Some(ctx.now.saturating_add(config.delay_ms)))),
        6 => Outcome::unknown("the sandbox lost its answer"),
        _ => taken(&refund.amount),
    }
    .named(format!("sandbox-{}", refund.id))
}

/// What a notification says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notification {
    payment: String,
    verdict: String,
    amount_minor: i64,
    currency: String,
}

fn received(notification: &Incoming) -> Result<Received, Fault> {
    let rejected = |reason| Ok(Received::rejected(reason, reply(403, "REJECTED")));
    let Some(signature) = notification.header("x-signature") else { return rejected("there is no signature") };
    if !matches(&signed(&notification.body), signature)? {
        return rejected("the signature is wrong");
    }
    let Ok(said) = serde_json::from_slice::<Notification>(&notification.body) else {
        return rejected("the body is not a notification of the sandbox");
    };
    let amount = Money { minor: said.amount_minor, currency: said.currency };
    let verdict = match said.verdict.as_str() {
        "succeeded" => Verdict::Succeeded,
        "authorized" => Verdict::Authorized,
        "pending" => Verdict::Pending(None),
        "returned" => Verdict::Returned("the payer's bank took it back".into()),
        "declined" => {
            return Ok(authentic(vec![claim(said.payment, Outcome::declined("51", "insufficient funds", true))]));
        }
        _ => return rejected("the verdict is unknown"),
    };
    let twice = digits(&amount) == 8;
    let claim = claim(said.payment, Outcome::new(verdict).of(amount));
    Ok(authentic(if twice { vec![claim.clone(), claim] } else { vec![claim] }))
}

fn claim(payment: String, outcome: Outcome) -> Claim {
    Claim { subject: Subject::Intent(payment), outcome }
}

fn authentic(claims: Vec<Claim>) -> Received {
    Received::Authentic(ReceiptOfClaims { claims, taken: reply(200, "OK"), refused: reply(409, "REFUSED") })
}

/// The digest that a notification is signed with.
fn signed(body: &[u8]) -> DigestOrder {
    DigestOrder {
        algorithm: Algorithm::Sha256,
        key: Some(template().secret("notification-key").build()),
        message: vec![Piece::Bytes(body.to_vec())],
        encoding: Encoding::Hex,
    }
}

/// The signature of a notification, for whoever plays the gateway in a test.
pub fn sign(body: &[u8]) -> Result<String, Fault> {
    digest(&signed(body))
}

altyn_plugin::payment_gateway!(PaySandbox);

#[cfg(test)]
mod tests;
