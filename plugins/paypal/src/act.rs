//! Operations: a token, then the act, then perhaps a capture.

use altyn_plugin::gateway::{
    Answer, Call, Header, Intent, Method, Operation, Outcome, Repetition, Request, Response, Segment, Step, bearer,
    header,
};
use altyn_plugin::vault::template;
use altyn_plugin::{Fault, Money};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::order::{captured, ordered, refunded};
use crate::{Config, value};

/// How often an act is tried anew when its answer was lost; its key makes it happen once.
const TRIES: u8 = 3;

/// The whole state of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// What is to be done.
    pub act: Act,
    /// What was sent last.
    pub stage: Stage,
    /// How often the act was sent.
    pub tries: u8,
}

/// What was sent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The question for a token.
    Token,
    /// The act.
    Act,
    /// What an approved order needs after it was read.
    Finish,
}

/// What is to be done at PayPal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Act {
    /// The kind of it.
    pub kind: Kind,
    /// The host's id of the intent or the refund.
    pub id: String,
    /// PayPal's name of what is acted on; empty for a new order.
    pub target: String,
    /// The amount, in minor units.
    pub minor: i64,
    /// Its currency.
    pub currency: String,
    /// Whether the money is to be taken at once.
    pub capture: bool,
    /// The body of the request.
    pub body: String,
}

/// The kinds of acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Create an order.
    Create,
    /// Read an order.
    Read,
    /// Capture an authorization.
    Capture,
    /// Void an authorization.
    Void,
    /// Give a capture back.
    Refund,
    /// Read a refund.
    ReadRefund,
}

impl Act {
    /// The amount of the act.
    pub fn amount(&self) -> Money {
        Money { minor: self.minor, currency: self.currency.clone() }
    }

    fn new(kind: Kind, id: &str, target: &str, amount: &Money) -> Self {
        Self {
            kind,
            id: id.into(),
            target: target.into(),
            minor: amount.minor,
            currency: amount.currency.clone(),
            capture: true,
            body: String::new(),
        }
    }
}

/// Begins an operation with the question for a token, unless there is nothing to ask.
pub fn begin(config: &Config, operation: Operation) -> Result<Step, Fault> {
    let act = match operation {
        Operation::Pay(intent) if intent.saved_method.is_some() => {
            return Err(Fault::Unsupported("saved methods are not charged through this plugin".into()));
        }
        Operation::Pay(intent) => {
            let body = order_body(config, &intent)?;
            Act { body, capture: intent.capture, ..Act::new(Kind::Create, &intent.id, "", &intent.amount) }
        }
        Operation::Status(payment) => {
            let order = payment.detail("order-id").unwrap_or_default();
            if order.is_empty() {
                // An order that no payer was sent to takes no money, wherever its answer was lost.
                return Outcome::not_attempted("no payer was ever sent to PayPal for it").done();
            }
            Act { capture: payment.capture, ..Act::new(Kind::Read, &payment.id, order, &payment.amount) }
        }
        Operation::Capture(payment) => {
            let Some(authorization) = payment.detail("authorization-id") else { return unheld() };
            let amount =
                json!({ "currency_code": payment.amount.currency, "value": value(&payment.amount, payment.exponent)? });
            let body = json!({ "amount": amount, "final_capture": true }).to_string();
            Act { body, ..Act::new(Kind::Capture, &payment.id, authorization, &payment.amount) }
        }
        Operation::Cancel(payment) => {
            let Some(authorization) = payment.detail("authorization-id") else { return unheld() };
            Act::new(Kind::Void, &payment.id, authorization, &payment.amount)
        }
        Operation::Refund(refund) => {
            let Some(capture) = refund.payment.detail("capture-id") else {
                return Outcome::not_attempted("PayPal took no money for this payment yet").done();
            };
            let amount = json!({ "currency_code": refund.amount.currency, "value": value(&refund.amount, refund.payment.exponent)? });
            let mut body = json!({ "amount": amount, "custom_id": refund.id });
            if !refund.reason.is_empty() {
                body["note_to_payer"] = Value::from(refund.reason.chars().take(255).collect::<String>());
            }
            Act { body: body.to_string(), ..Act::new(Kind::Refund, &refund.id, capture, &refund.amount) }
        }
        Operation::RefundStatus(refund) => {
            if refund.external_id.is_empty() {
                return Outcome::unknown("PayPal never named the refund; look into the account").done();
            }
            Act::new(Kind::ReadRefund, &refund.id, &refund.external_id, &refund.amount)
        }
    };
    if !plain(&act.target) && !act.target.is_empty() {
        return Err(Fault::Invalid("PayPal's id of the payment is not one".into()));
    }
    Ok(Step::Send(token(config, &State { act, stage: Stage::Token, tries: 0 })?))
}

fn unheld() -> Result<Step, Fault> {
    Outcome::not_attempted("PayPal holds no money for this payment").done()
}

/// Ids stand in addresses: letters, digits and hyphens.
fn plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Asks for a token, which the host keeps.
pub fn token<S: Serialize>(config: &Config, state: &S) -> Result<Call, Fault> {
    let credentials = template().secret("client-id").text(":").secret("client-secret").build();
    let value = vec![Segment::Text("Basic ".into()), Segment::Base64(credentials)];
    let body = vec![Segment::Text("grant_type=client_credentials".into())];
    let request = Request::form(format!("{}/v1/oauth2/token", config.base()), body)
        .with(Header { name: "authorization".into(), value });
    Ok(request.send(Repetition::Harmless, state)?.capturing("token", "/access_token"))
}

fn order_body(config: &Config, intent: &Intent) -> Result<String, Fault> {
    let mut unit = json!({
        "reference_id": intent.id,
        "custom_id": intent.id,
        "amount": { "currency_code": intent.amount.currency, "value": value(&intent.amount, intent.exponent)? },
    });
    unit["description"] = Value::from(intent.description.chars().take(127).collect::<String>());
    let mut experience = json!({
        "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
        "user_action": "PAY_NOW",
    });
    if let Some(brand) = &config.brand_name {
        experience["brand_name"] = Value::from(brand.as_str());
    }
    if !intent.return_url.is_empty() {
        experience["return_url"] = Value::from(intent.return_url.as_str());
        experience["cancel_url"] = Value::from(intent.return_url.as_str());
    }
    Ok(json!({
        "intent": if intent.capture { "CAPTURE" } else { "AUTHORIZE" },
        "purchase_units": [unit],
        "payment_source": { "paypal": { "experience_context": experience } },
    })
    .to_string())
}

/// The request of the act.
fn send(config: &Config, state: &State) -> Result<Step, Fault> {
    let State { act, tries, .. } = state;
    let (base, target) = (config.base(), &act.target);
    let (method, url, key) = match act.kind {
        Kind::Create => (Method::Post, format!("{base}/v2/checkout/orders"), Some("order")),
        Kind::Read => (Method::Get, format!("{base}/v2/checkout/orders/{target}"), None),
        Kind::Capture => (Method::Post, format!("{base}/v2/payments/authorizations/{target}/capture"), Some("capture")),
        Kind::Void => (Method::Post, format!("{base}/v2/payments/authorizations/{target}/void"), Some("void")),
        Kind::Refund => (Method::Post, format!("{base}/v2/payments/captures/{target}/refund"), Some("refund")),
        Kind::ReadRefund => (Method::Get, format!("{base}/v2/payments/refunds/{target}"), None),
    };
    let mut request = Request::new(method, url).with(bearer("token"));
    if let Some(key) = key {
        request = keyed(request, &act.id, key, &act.body);
    }
    let state = State { act: act.clone(), stage: Stage::Act, tries: tries + 1 };
    Ok(Step::Send(request.send(Repetition::Harmless, &state)?))
}

/// With PayPal's idempotency key and a body.
fn keyed(mut request: Request, id: &str, key: &str, body: &str) -> Request {
    if !body.is_empty() {
        request.body = vec![Segment::Text(body.into())];
    }
    request
        .with(header("content-type", "application/json"))
        .with(header("prefer", "return=representation"))
        .with(header("paypal-request-id", &format!("{id}-{key}")))
}

/// An order that its payer approved: takes or holds the money.
fn finish(config: &Config, state: State) -> Result<Step, Fault> {
    let what = if state.act.capture { "capture" } else { "authorize" };
    let url = format!("{}/v2/checkout/orders/{}/{what}", config.base(), state.act.target);
    let request = keyed(Request::new(Method::Post, url).with(bearer("token")), &state.act.id, what, "");
    let state = State { stage: Stage::Finish, tries: state.tries + 1, ..state };
    Ok(Step::Send(request.send(Repetition::Harmless, &state)?))
}

/// Goes on after an answer.
pub fn resume(config: &Config, state: State, answer: Answer) -> Result<Step, Fault> {
    let response = match answer {
        Answer::Response(response) => response,
        Answer::NotSent(reason) | Answer::Lost(reason) => return again(config, state, &reason),
    };
    match state.stage {
        Stage::Token if response.status == 200 => send(config, &state),
        Stage::Token if matches!(response.status, 400 | 401 | 403) => {
            Err(Fault::Misconfigured("PayPal refuses the credentials; check client-id and client-secret".into()))
        }
        Stage::Token => again(config, state, &format!("PayPal answered with status {}", response.status)),
        Stage::Act | Stage::Finish => acted(config, state, &response),
    }
}

/// Begins anew with a token; the key of the act makes it happen once.
fn again(config: &Config, state: State, reason: &str) -> Result<Step, Fault> {
    if state.stage != Stage::Token && state.tries < TRIES {
        return Ok(Step::Send(token(config, &State { stage: Stage::Token, ..state })?));
    }
    let reading = matches!(state.act.kind, Kind::Read | Kind::ReadRefund);
    if state.tries == 0 && !reading {
        return Outcome::not_attempted(reason).done();
    }
    Outcome::unknown(reason).done()
}

fn acted(config: &Config, state: State, response: &Response) -> Result<Step, Fault> {
    if response.status >= 500 || response.status == 429 {
        return again(config, state, &format!("PayPal answered with status {}", response.status));
    }
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if !(200..300).contains(&response.status) {
        let code = match text("/details/0/issue") {
            "" => text("/name"),
            issue => issue,
        };
        return refusal(&state, response.status, code, text("/message"));
    }
    match state.act.kind {
        Kind::Create | Kind::Read => {
            if state.stage == Stage::Act && text("/status") == "APPROVED" && state.act.kind == Kind::Read {
                return finish(config, state);
            }
            ordered(&state.act, &body).done()
        }
        Kind::Capture => captured(&state.act, &body).done(),
        Kind::Void => Outcome::new(altyn_plugin::gateway::Verdict::Succeeded).named(&state.act.target).done(),
        Kind::Refund | Kind::ReadRefund => refunded(&state.act, &body).done(),
    }
}

/// What a refusal of PayPal means.
fn refusal(state: &State, status: u16, code: &str, message: &str) -> Result<Step, Fault> {
    let reading = matches!(state.act.kind, Kind::Read | Kind::ReadRefund) && state.stage == Stage::Act;
    match (status, code) {
        (401 | 403, _) => Err(Fault::Misconfigured(format!("PayPal does not permit it ({code}); check the account"))),
        (404, _) if state.act.kind == Kind::Read && reading => {
            Outcome::not_attempted("PayPal knows no such order").done()
        }
        _ if reading => Outcome::unknown(format!("PayPal answered with status {status} ({code})")).done(),
        // The payer's instrument was refused; the payer may choose another one for the same order.
        (_, "INSTRUMENT_DECLINED" | "PAYER_ACTION_REQUIRED") => Outcome::declined(code, &short(message), true).done(),
        (_, "ORDER_ALREADY_CAPTURED" | "ORDER_ALREADY_AUTHORIZED" | "AUTHORIZATION_ALREADY_CAPTURED") => {
            Outcome::unknown(format!("PayPal says that it was done before ({code})")).done()
        }
        (_, "") if message.is_empty() => {
            Outcome::declined("", &format!("PayPal answered with status {status}"), false).done()
        }
        _ => Outcome::declined(&short(code), &short(message), false).done(),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
