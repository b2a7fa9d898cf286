//! How a payment stands: `OpStateExt`, and what each answer of Robokassa leads to.

use altyn_plugin::encoding::form_value;
use altyn_plugin::gateway::{Answer, Method, Outcome, Reference, Repetition, Request, Segment, Step, Verdict};
use altyn_plugin::{Fault, Money};
use serde::{Deserialize, Serialize};

use crate::sign::order;
use crate::{Config, refund};

/// What was asked and what its answer is for. The whole state of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// What the answer is for.
    pub then: Then,
    /// The number of the payment.
    pub number: u64,
    /// The amount of the operation.
    #[serde(with = "amount")]
    pub amount: Money,
    /// The refund.
    pub refund: String,
}

impl Asked {
    /// About a payment.
    pub fn new(then: Then, number: u64, amount: &Money) -> Self {
        Self { then, number, amount: amount.clone(), refund: String::new() }
    }

    /// The same, about a refund of it.
    pub fn about(self, refund: &str) -> Self {
        Self { refund: refund.into(), ..self }
    }
}

/// What an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// The state is what was wanted.
    Status,
    /// A saved method was charged.
    Recurring,
    /// Held money was taken; the state follows.
    Captured,
    /// Held money was let go; the state follows.
    Cancelled,
    /// The state after a capture.
    CapturedState,
    /// The state after a cancel.
    CancelledState,
    /// The state has the key that a refund needs.
    RefundKey,
    /// A refund was asked for.
    Refund,
    /// How a refund stands.
    RefundState,
}

mod amount {
    use altyn_plugin::Money;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub fn serialize<S: Serializer>(money: &Money, serializer: S) -> Result<S::Ok, S::Error> {
        (money.minor, &money.currency).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        let (minor, currency) = <(i64, String)>::deserialize(deserializer)?;
        Ok(Money { minor, currency })
    }
}

/// Asks how a payment stands.
pub fn ask(config: &Config, payment: &Reference, then: Then) -> Result<Step, Fault> {
    config.sum(&payment.amount)?;
    send(config, &Asked::new(then, payment.number, &payment.amount))
}

/// Sends the question about the payment that was asked about before.
pub fn send(config: &Config, asked: &Asked) -> Result<Step, Fault> {
    let number = asked.number.to_string();
    let url = format!(
        "{}/WebService/Service.asmx/OpStateExt?MerchantLogin={}&InvoiceID={number}&Signature=",
        config.base(),
        form_value(&config.login)
    );
    let mut request = Request::new(Method::Get, url);
    request.url.push(Segment::Digest(order(config, &[&config.login, &number], "password-2", &[])));
    Ok(Step::Send(request.send(Repetition::Harmless, asked)?))
}

/// Goes on after an answer.
pub fn resume(config: &Config, asked: Asked, answer: Answer) -> Result<Step, Fault> {
    let response = match answer {
        Answer::Response(response) => response,
        Answer::NotSent(reason) => return not_sent(config, asked, &reason),
        Answer::Lost(reason) => return lost(config, asked, &reason),
    };
    let server_failed = response.status >= 500;
    let body = String::from_utf8_lossy(&response.body).into_owned();
    match asked.then {
        Then::Recurring if server_failed => lost(config, asked, "the server failed"),
        Then::Recurring => {
            let number = asked.number.to_string();
            if body.trim() == format!("OK{number}") {
                // Accepted; the result comes as a notification or by asking.
                Outcome::new(Verdict::Pending(None)).named(number).done()
            } else {
                Outcome::declined("recurring", &said(&body), false).done()
            }
        }
        // Whatever was answered, the state tells what became of the money.
        Then::Captured => send(config, &Asked { then: Then::CapturedState, ..asked }),
        Then::Cancelled => send(config, &Asked { then: Then::CancelledState, ..asked }),
        Then::Refund => refund::answered(&asked, &response, &body),
        Then::RefundState => refund::state(asked, &response, &body),
        _ if response.status != 200 => {
            Outcome::unknown(format!("the state was answered with status {}", response.status)).done()
        }
        Then::RefundKey => refund::with_key(config, asked, &body),
        Then::Status | Then::CapturedState | Then::CancelledState => told(config, &asked, &body)?.done(),
    }
}

fn not_sent(config: &Config, asked: Asked, reason: &str) -> Result<Step, Fault> {
    match asked.then {
        Then::Captured | Then::Cancelled | Then::Recurring | Then::Refund | Then::RefundKey => {
            Outcome::not_attempted(reason).done()
        }
        _ => lost(config, asked, reason),
    }
}

fn lost(config: &Config, asked: Asked, reason: &str) -> Result<Step, Fault> {
    match asked.then {
        // The state tells what became of them.
        Then::Captured => send(config, &Asked { then: Then::CapturedState, ..asked }),
        Then::Cancelled => send(config, &Asked { then: Then::CancelledState, ..asked }),
        Then::Recurring => Outcome::unknown(reason).named(asked.number.to_string()).done(),
        Then::RefundKey => Outcome::not_attempted(reason).done(),
        _ => Outcome::unknown(reason).done(),
    }
}

/// What the answer of `OpStateExt` says of the payment.
fn told(config: &Config, asked: &Asked, xml: &str) -> Result<Outcome, Fault> {
    let code = |path: &[&str]| element(xml, path).unwrap_or_default();
    match code(&["Result", "Code"]) {
        "0" => {}
        "1" | "2" => {
            return Err(Fault::Misconfigured(
                "Robokassa refuses the login or the signature; check login, hash and password-2".into(),
            ));
        }
        "3" => return Ok(Outcome::not_attempted("Robokassa knows no such payment")),
        other => return Ok(Outcome::unknown(format!("Robokassa answers with code {other}"))),
    }
    let state = code(&["State", "Code"]);
    let paid = element(xml, &["Info", "IncSum"]).and_then(|sum| config.read_sum(sum));
    let credited = element(xml, &["Info", "OutSum"]).and_then(|sum| config.read_sum(sum));
    // The payer or the shop bears the fee: one of the two sums is that of the invoice.
    let amount = match (&paid, &credited) {
        (Some(paid), _) if *paid == asked.amount => Some(asked.amount.clone()),
        (_, Some(credited)) if *credited == asked.amount => Some(asked.amount.clone()),
        (paid, credited) => paid.clone().or_else(|| credited.clone()),
    };
    let fee = match (&amount, &credited) {
        (Some(amount), Some(credited)) if credited.minor < amount.minor => {
            Some(amount.with_minor(amount.minor - credited.minor))
        }
        _ => None,
    };
    let cancelled = asked.then == Then::CancelledState;
    let verdict = match state {
        "10" | "60" if cancelled => Verdict::Succeeded,
        "10" => return Ok(Outcome::declined("10", "the payment was cancelled", false).named(asked.number.to_string())),
        "20" if asked.then == Then::Status => Verdict::Authorized,
        // Held, and asked about after a capture or a cancel: that is still on its way.
        "5" | "20" | "50" | "80" => Verdict::Pending(None),
        "60" => Verdict::Returned("the money went back to the payer".into()),
        "100" if cancelled => {
            return Ok(Outcome::declined("100", "the money was taken before it could be let go", false));
        }
        "100" => Verdict::Succeeded,
        other => return Ok(Outcome::unknown(format!("Robokassa names the state {other}"))),
    };
    let money = matches!(verdict, Verdict::Succeeded | Verdict::Authorized) && !cancelled;
    let taken = verdict == Verdict::Succeeded && !cancelled;
    let mut outcome = Outcome::new(verdict)
        .named(asked.number.to_string())
        .detail("op-key", element(xml, &["Info", "OpKey"]).unwrap_or_default());
    if money {
        outcome.amount = amount;
    }
    if taken {
        outcome.fee = fee;
    }
    Ok(outcome)
}

/// The text of an element by the names on its way, without namespaces and entities: codes, sums and keys have none.
pub fn element<'a>(xml: &'a str, path: &[&str]) -> Option<&'a str> {
    let mut inside = xml;
    for name in path {
        let (from, to) = (format!("<{name}>"), format!("</{name}>"));
        let start = inside.find(&from)? + from.len();
        inside = &inside[start..start + inside[start..].find(&to)?];
    }
    Some(inside.trim())
}

/// A short plain text of an answer, for the operator.
pub fn said(body: &str) -> String {
    body.chars().filter(|c| !c.is_control()).take(200).collect()
}
