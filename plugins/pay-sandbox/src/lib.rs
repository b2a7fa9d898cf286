//! A payment gateway without a bank: what happens is chosen by the amount.
//!
//! The test double of payments everywhere: in a sandbox tenant, in demonstrations, in the suite. It sends nothing. The last
//! two digits of the amount, in minor units, choose:
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
//! Payments that are not captured at once are authorized where they would have succeeded. A refund follows its own amount:
//! `01` declined, `05` pending and later done, `06` unknown and later done, others done.
//!
//! A notification is JSON `{"payment":"…","verdict":"succeeded","amount_minor":100,"currency":"RUB"}` with the verdicts
//! `succeeded`, `authorized`, `pending`, `declined`, `returned`, and the header `x-signature`: the HMAC-SHA-256 of the body
//! in hexadecimal digits, under the secret `notification-key`. The answer is `OK`, or `REFUSED` with status 409.

use altyn_plugin::gateway::{
    Action, Answer, Capabilities, Claim, Incoming, Intent, Operation, Outcome, ReceiptOfClaims, ReceiveStep, Received,
    Reference, Refund, Step, Subject, Verdict, reply,
};
use altyn_plugin::vault::{Algorithm, DigestOrder, Encoding, Piece, digest, matches, template};
use altyn_plugin::{Context, Descriptor, Fault, Money, PaymentGateway, describe_gateway, share_of};
use serde::Deserialize;

/// The gateway.
pub struct PaySandbox;

/// The configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long what is delayed takes.
    pub delay_ms: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { delay_ms: 60_000 }
    }
}

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "delay_ms": { "title": "How long what is delayed takes, milliseconds", "type": "integer", "minimum": 0, "default": 60000 }
  }
}"#;

impl PaymentGateway for PaySandbox {
    type Config = Config;

    fn describe() -> Descriptor {
        let version = env!("CARGO_PKG_VERSION");
        describe_gateway("pay-sandbox", version, "Payments without a bank", SCHEMA, &["notification-key"], &[])
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

    fn resume(_: &Config, _: &Context, _: &[u8], _: Answer) -> Result<Step, Fault> {
        Err(Fault::Invalid("the sandbox sends nothing, so there is nothing to go on with".into()))
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

fn pay(config: &Config, ctx: &Context, intent: &Intent) -> Result<Outcome, Fault> {
    let later = Verdict::Pending(Some(ctx.now.saturating_add(config.delay_ms)));
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
