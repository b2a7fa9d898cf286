//! Refunds: a token signed with password 3.

use altyn_plugin::encoding::base64url;
use altyn_plugin::gateway::{
    Method, Outcome, Refund, Repetition, Request, Response, Segment, Step, Verdict, header, text,
};
use altyn_plugin::vault::{Algorithm, DigestOrder, Encoding, template};
use altyn_plugin::{Fault, Money, major};
use serde::Deserialize;

use crate::state::{Asked, Then, element, said, send};
use crate::{Config, Framing};

const SERVICE: &str = "https://services.robokassa.ru/RefundService/Refund";

/// Asks for the key of the operation, unless it is known.
pub fn begin(config: &Config, refund: &Refund) -> Result<Step, Fault> {
    config.sum(&refund.amount)?;
    let asked = Asked::new(Then::RefundKey, refund.payment.number, &refund.amount).about(&refund.id);
    match refund.payment.detail("op-key") {
        Some(key) => create(config, key, asked),
        None => send(config, &asked),
    }
}

/// Goes on with the key of the operation.
pub fn with_key(config: &Config, asked: Asked, xml: &str) -> Result<Step, Fault> {
    match element(xml, &["Info", "OpKey"]) {
        Some(key) if !key.is_empty() => create(config, key, asked),
        _ => Outcome::not_attempted("Robokassa names no key of the payment; only paid ones are given back").done(),
    }
}

fn create(config: &Config, key: &str, asked: Asked) -> Result<Step, Fault> {
    let (message, signature) = token(key, &asked.amount);
    let token = [text(format!("{message}.")), Segment::Digest(signature)];
    let (kind, body) = match config.refund_framing {
        Framing::Jwt => ("application/jwt", token.to_vec()),
        Framing::JsonString => {
            ("application/json", [text("\"")].into_iter().chain(token).chain([text("\"")]).collect())
        }
    };
    let mut request = Request::new(Method::Post, format!("{SERVICE}/Create")).with(header("content-type", kind));
    request.body = body;
    // There is no key by which Robokassa would do it once.
    Ok(Step::Send(request.send(Repetition::Never, &Asked { then: Then::Refund, ..asked })?))
}

/// The signed part of a refund's token, and its signature.
pub fn token(key: &str, amount: &Money) -> (String, DigestOrder) {
    let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let key = serde_json::Value::from(key).to_string();
    let payload = base64url(format!("{{\"OpKey\":{key},\"RefundSum\":{}}}", number(amount)).as_bytes());
    let message = format!("{header}.{payload}");
    let secret = template().secret("password-3");
    let signature = template().text(&message).hmac(Algorithm::Sha256, secret, Encoding::Base64url);
    (message, signature)
}

/// A sum as a JSON number with one decimal at least.
fn number(amount: &Money) -> String {
    let text = major(amount.minor, 2);
    text.strip_suffix('0').unwrap_or(&text).to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    success: bool,
    message: Option<String>,
    request_id: Option<String>,
}

/// The answer to a refund.
pub fn answered(asked: &Asked, response: &Response, body: &str) -> Result<Step, Fault> {
    match serde_json::from_str::<Created>(body) {
        Ok(Created { success: true, request_id: Some(id), .. }) => {
            Outcome::new(Verdict::Pending(None)).named(id).done()
        }
        Ok(Created { success: false, message, .. }) => {
            let code = said(&message.unwrap_or_default());
            let retryable = code == "NotEnoughOperationFunds";
            Outcome::declined(&code, "Robokassa refuses the refund", retryable).done()
        }
        _ => Outcome::unknown(format!("refund {}: answered with status {}", asked.refund, response.status)).done(),
    }
}

/// Asks how a refund stands.
pub fn ask(config: &Config, refund: &Refund) -> Result<Step, Fault> {
    config.sum(&refund.amount)?;
    if refund.external_id.is_empty() {
        return Outcome::unknown("Robokassa never named the refund; look into the shop's cabinet").done();
    }
    let plain: String = refund.external_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let request = Request::new(Method::Get, format!("{SERVICE}/GetState?id={plain}"));
    let asked = Asked::new(Then::RefundState, refund.payment.number, &refund.amount).about(&refund.external_id);
    Ok(Step::Send(request.send(Repetition::Harmless, &asked)?))
}

#[derive(Deserialize)]
struct Stands {
    label: String,
}

/// The answer about a refund.
pub fn state(asked: Asked, response: &Response, body: &str) -> Result<Step, Fault> {
    let outcome = match serde_json::from_str::<Stands>(body).map(|stands| stands.label) {
        Ok(label) if label == "finished" => Outcome::new(Verdict::Succeeded).of(asked.amount),
        Ok(label) if label == "processing" => Outcome::new(Verdict::Pending(None)),
        Ok(label) if label == "canceled" => Outcome::declined("canceled", "Robokassa cancelled the refund", false),
        _ => Outcome::unknown(format!("the refund was answered with status {}", response.status)),
    };
    outcome.named(asked.refund).done()
}
