//! Payments through the Counter Bank, which does not exist: a plain HTTP interface as small banks have them. What it
//! says and hears is written down in README.md.
//!
//! A payment is created under the host's own id, which is also its idempotency key, so a request that is sent again pays
//! once. The key of the interface goes into a header while the host sends it; this code never sees it.

use altyn_plugin::gateway::{
    Action, Answer, Capabilities, Claim, Header, Incoming, Intent, Method, Operation, Outcome, ReceiptOfClaims,
    ReceiveStep, Received, Reference, Refund, Repetition, Request, Segment, Step, Subject, Verdict, header, reply,
    state,
};
use altyn_plugin::vault::{Algorithm, DigestOrder, Encoding, Piece, matches, template};
use altyn_plugin::{
    Context, Descriptor, Fault, Money, NO_CONFIG_SCHEMA, NoConfig, PaymentGateway, describe_gateway, major, minor,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The only host that is asked.
const BANK: &str = "api.counter-bank.example";

/// The gateway.
pub struct CounterBank;

/// What is remembered while the bank answers.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    what: What,
    /// The host's id of the payment or the refund.
    id: String,
    minor: i64,
    currency: String,
    exponent: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    Pay,
    Status,
    Refund,
}

/// A payment or a refund, as the bank tells of it.
#[derive(Debug, Deserialize)]
struct Told {
    /// The bank's name of it.
    number: String,
    /// Ours.
    id: String,
    state: String,
    amount: String,
    currency: String,
    /// Where the payer goes.
    #[serde(default)]
    page: String,
    /// Why it failed.
    #[serde(default)]
    reason: String,
}

impl PaymentGateway for CounterBank {
    type Config = NoConfig;

    fn describe() -> Descriptor {
        let version = env!("CARGO_PKG_VERSION");
        let secrets = ["api-key", "notification-key"];
        describe_gateway("counter-bank", version, "Counter Bank (made up)", NO_CONFIG_SCHEMA, &secrets, &[BANK])
    }

    fn capabilities(_: &NoConfig) -> Result<Capabilities, Fault> {
        Ok(Capabilities {
            currencies: vec!["KZT".into(), "RUB".into()],
            two_stage: false,
            refunds: true,
            partial_refunds: true,
            refund_status: false,
            status: true,
            notifications: true,
            saved_methods: false,
        })
    }

    fn begin(_: &NoConfig, _: &Context, operation: Operation) -> Result<Step, Fault> {
        match operation {
            Operation::Pay(intent) => pay(&intent),
            Operation::Status(payment) => status(&payment),
            Operation::Refund(wanted) => refund(&wanted),
            Operation::Capture(_) | Operation::Cancel(_) | Operation::RefundStatus(_) => Err(Fault::Unsupported(
                "the bank takes money at once and refunds at once; there is no such step".into(),
            )),
        }
    }

    fn resume(_: &NoConfig, _: &Context, continuation: &[u8], answer: Answer) -> Result<Step, Fault> {
        let asked: Asked = state(continuation)?;
        let response = match answer {
            Answer::Response(response) => response,
            // A question that was not put changes nothing: it stands as it stood.
            Answer::NotSent(_) | Answer::Lost(_) if asked.what == What::Status => {
                return Outcome::new(Verdict::Pending(None)).done();
            }
            Answer::NotSent(why) => return Outcome::not_attempted(why).done(),
            Answer::Lost(why) => return Outcome::unknown(why).done(),
        };
        match response.status {
            200 | 201 => match serde_json::from_slice::<Told>(&response.body) {
                Ok(told) if told.id == asked.id => stands(&asked, &told).done(),
                Ok(_) => Outcome::unknown("the bank told of another payment").done(),
                Err(error) => Outcome::unknown(format!("the bank's answer does not read: {error}")).done(),
            },
            404 if asked.what == What::Status => Outcome::not_attempted("the bank knows no such payment").done(),
            400 | 401 | 403 | 404 | 422 => {
                Outcome::not_attempted(format!("the bank refused the request with status {}", response.status)).done()
            }
            status => Outcome::unknown(format!("the bank answered with status {status}")).done(),
        }
    }

    fn receive(_: &NoConfig, _: &Context, notification: Incoming) -> Result<ReceiveStep, Fault> {
        received(&notification).map(ReceiveStep::Done)
    }
}

/// `Authorization: Bearer` with the key of the interface, filled in by the host.
fn authorized() -> Header {
    let value = Segment::Filled(template().text("Bearer ").secret("api-key").build());
    Header { name: "authorization".into(), value: vec![value] }
}

fn url(path: &str) -> String {
    format!("https://{BANK}/v1/{path}")
}

fn pay(intent: &Intent) -> Result<Step, Fault> {
    if intent.saved_method.is_some() || intent.save_method || !intent.capture {
        return Err(Fault::Unsupported("the bank keeps no methods and holds no money; take payments at once".into()));
    }
    let body = json!({
        "id": intent.id,
        "amount": major(intent.amount.minor, intent.exponent),
        "currency": intent.amount.currency,
        "description": intent.description,
        "return_url": intent.return_url,
    });
    send(Request::json(url("payments"), body.to_string()), What::Pay, &intent.id, &intent.amount, intent.exponent)
}

fn status(payment: &Reference) -> Result<Step, Fault> {
    let request = Request::new(Method::Get, url(&format!("payments/{}", payment.id)));
    send(request, What::Status, &payment.id, &payment.amount, payment.exponent)
}

fn refund(refund: &Refund) -> Result<Step, Fault> {
    let body = json!({
        "id": refund.id,
        "payment": refund.payment.id,
        "amount": major(refund.amount.minor, refund.payment.exponent),
        "currency": refund.amount.currency,
    });
    let request = Request::json(url("refunds"), body.to_string());
    send(request, What::Refund, &refund.id, &refund.amount, refund.payment.exponent)
}

fn send(request: Request, what: What, id: &str, amount: &Money, exponent: u8) -> Result<Step, Fault> {
    let request = request.with(authorized()).with(header("idempotency-key", id));
    let asked = Asked { what, id: id.into(), minor: amount.minor, currency: amount.currency.clone(), exponent };
    Ok(Step::Send(request.send(Repetition::Harmless, &asked)?))
}

fn stands(asked: &Asked, told: &Told) -> Outcome {
    let outcome = match told.state.as_str() {
        "new" if told.page.starts_with("https://") => {
            Outcome::new(Verdict::RequiresAction(Action::Redirect(told.page.clone())))
        }
        "new" | "processing" => Outcome::new(Verdict::Pending(None)),
        "paid" => match minor(&told.amount, asked.exponent) {
            Some(amount) => {
                Outcome::new(Verdict::Succeeded).of(Money { minor: amount, currency: told.currency.clone() })
            }
            None => Outcome::unknown("the bank's amount does not read"),
        },
        "failed" => Outcome::declined("failed", &told.reason, told.reason == "insufficient-funds"),
        other => Outcome::unknown(format!("the bank names the state {other}")),
    };
    outcome.named(told.number.clone())
}

fn received(notification: &Incoming) -> Result<Received, Fault> {
    let rejected = |reason| Ok(Received::rejected(reason, reply(403, "REJECTED")));
    let Some(signature) = notification.header("x-counter-signature") else {
        return rejected("there is no signature");
    };
    let signed = DigestOrder {
        algorithm: Algorithm::Sha256,
        key: Some(template().secret("notification-key").build()),
        message: vec![Piece::Bytes(notification.body.clone())],
        encoding: Encoding::Hex,
    };
    if !matches(&signed, signature)? {
        return rejected("the signature is wrong");
    }
    let Ok(told) = serde_json::from_slice::<Told>(&notification.body) else {
        return rejected("the body does not read");
    };
    // Both currencies of the bank have two digits.
    let asked =
        Asked { what: What::Status, id: told.id.clone(), minor: 0, currency: told.currency.clone(), exponent: 2 };
    let claim = Claim { subject: Subject::Intent(told.id.clone()), outcome: stands(&asked, &told) };
    Ok(Received::Authentic(ReceiptOfClaims {
        claims: vec![claim],
        taken: reply(200, "OK"),
        refused: reply(409, "REFUSED"),
    }))
}

altyn_plugin::payment_gateway!(CounterBank);

#[cfg(test)]
mod tests;
