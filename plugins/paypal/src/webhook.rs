//! Webhooks: verified by PayPal or by its certificate, then read.

use altyn_plugin::Fault;
use altyn_plugin::encoding::{crc32, read_base64};
use altyn_plugin::gateway::{
    Answer, Claim, Incoming, Method, Outcome, ReceiptOfClaims, ReceiveStep, Received, Repetition, Request, Subject,
    Verdict, bearer, header, reply,
};
use altyn_plugin::vault::{PresentedChain, Scheme, Signer, verify};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::act::token;
use crate::order::{amount, authorization_stands, capture_stands};
use crate::{Check, Config, Mode};

/// The largest event that is verified by asking: it travels in the continuation.
const MAX_EVENT: usize = 12 << 10;

/// What a webhook carries, between steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    stage: Stage,
    transmission_id: String,
    transmission_time: String,
    signature: String,
    algorithm: String,
    certificate_url: String,
    event: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Token,
    Verify,
    Certificate,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of the steps that it ends")]
fn rejected(reason: &str) -> Result<ReceiveStep, Fault> {
    Ok(ReceiveStep::Done(Received::rejected(reason, reply(400, "rejected"))))
}

/// PayPal sends it again: nothing could be found out now.
#[expect(clippy::unnecessary_wraps, reason = "the shape of the steps that it ends")]
fn later(reason: &str) -> Result<ReceiveStep, Fault> {
    Ok(ReceiveStep::Done(Received::rejected(reason, reply(503, "try again"))))
}

/// Looks at the form before anything is asked.
pub fn receive(config: &Config, notification: &Incoming) -> Result<ReceiveStep, Fault> {
    let Some(webhook) = &config.webhook_id else { return rejected("the binding has no webhook id") };
    let Ok(event) = String::from_utf8(notification.body.clone()) else { return rejected("the event is not text") };
    if event.len() > MAX_EVENT {
        return rejected("the event is larger than PayPal's are");
    }
    let value = |name: &str| notification.header(name).unwrap_or_default().to_owned();
    let state = State {
        stage: Stage::Token,
        transmission_id: value("paypal-transmission-id"),
        transmission_time: value("paypal-transmission-time"),
        signature: value("paypal-transmission-sig"),
        algorithm: value("paypal-auth-algo"),
        certificate_url: value("paypal-cert-url"),
        event,
    };
    let missing = [&state.transmission_id, &state.transmission_time, &state.signature, &state.certificate_url];
    if missing.iter().any(|value| value.is_empty()) || state.algorithm != "SHA256withRSA" {
        return rejected("a header of the transmission is missing");
    }
    if !serde_json::from_str::<Value>(&state.event).is_ok_and(|event| event.is_object()) {
        return rejected("the event is not JSON");
    }
    match (config.webhook_check, &config.webhook_certificate) {
        (Check::Api, _) => Ok(ReceiveStep::Send(token(config, &state)?)),
        (Check::Certificate, Some(pem)) => judged(&state, webhook, &Signer::Pinned(pem.clone())),
        (Check::Certificate, None) => {
            if !certificate_url_is_paypals(config, &state.certificate_url) {
                return rejected("the certificate is not at PayPal");
            }
            let request = Request::new(Method::Get, state.certificate_url.as_str());
            Ok(ReceiveStep::Send(request.send(Repetition::Harmless, &State { stage: Stage::Certificate, ..state })?))
        }
    }
}

/// The address is the sender's word: only PayPal's own hosts are asked, whatever it says.
fn certificate_url_is_paypals(config: &Config, url: &str) -> bool {
    let hosts = match config.mode {
        Mode::Live => ["api.paypal.com", "api-m.paypal.com"],
        Mode::Sandbox => ["api.sandbox.paypal.com", "api-m.sandbox.paypal.com"],
    };
    let Some((host, path)) = url.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else { return false };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.".contains(&b);
    hosts.contains(&host)
        && path.starts_with("v1/notifications/certs/")
        && path.bytes().all(plain)
        && !path.contains("..")
}

/// Goes on after an answer.
pub fn resume(config: &Config, state: State, answer: Answer) -> Result<ReceiveStep, Fault> {
    let Some(webhook) = &config.webhook_id else { return rejected("the binding has no webhook id") };
    let response = match answer {
        Answer::Response(response) => response,
        Answer::NotSent(reason) | Answer::Lost(reason) => return later(&reason),
    };
    match state.stage {
        Stage::Token | Stage::Verify | Stage::Certificate if response.status >= 500 => later("PayPal fails"),
        Stage::Token if response.status == 200 => {
            let body = question(&state, webhook);
            let url = format!("{}/v1/notifications/verify-webhook-signature", config.base());
            let request = Request::json(url, body).with(bearer("token")).with(header("accept", "application/json"));
            Ok(ReceiveStep::Send(request.send(Repetition::Harmless, &State { stage: Stage::Verify, ..state })?))
        }
        Stage::Token => {
            Err(Fault::Misconfigured("PayPal refuses the credentials; check client-id and client-secret".into()))
        }
        // Only PayPal's own word counts, and an error page may hold any.
        Stage::Verify if response.status != 200 => later("PayPal does not say whether the event is its own"),
        Stage::Verify => {
            let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            match answer.get("verification_status").and_then(Value::as_str) {
                Some("SUCCESS") => Ok(ReceiveStep::Done(read(&state.event))),
                Some(_) => rejected("PayPal says that the event is not its own"),
                None => later("PayPal does not say whether the event is its own"),
            }
        }
        Stage::Certificate if response.status == 200 => {
            let Ok(pem) = String::from_utf8(response.body) else { return rejected("the certificate is not PEM") };
            let names = match config.mode {
                Mode::Live => vec!["messageverificationcerts.paypal.com".to_owned()],
                Mode::Sandbox => vec!["messageverificationcerts.sandbox.paypal.com".to_owned()],
            };
            judged(&state, webhook, &Signer::Presented(PresentedChain { pem, names }))
        }
        Stage::Certificate => later("PayPal does not give its certificate"),
    }
}

/// The question whether an event is PayPal's: the event is spliced in byte for byte, because its form is signed.
fn question(state: &State, webhook: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    format!(
        "{{\"auth_algo\":{},\"cert_url\":{},\"transmission_id\":{},\"transmission_sig\":{},\"transmission_time\":{},\"webhook_id\":{},\"webhook_event\":{}}}",
        quoted(&state.algorithm),
        quoted(&state.certificate_url),
        quoted(&state.transmission_id),
        quoted(&state.signature),
        quoted(&state.transmission_time),
        quoted(webhook),
        state.event
    )
}

/// The text that PayPal signs.
fn signed(state: &State, webhook: &str) -> String {
    let crc = crc32(state.event.as_bytes());
    format!("{}|{}|{webhook}|{crc}", state.transmission_id, state.transmission_time)
}

fn judged(state: &State, webhook: &str, signer: &Signer) -> Result<ReceiveStep, Fault> {
    let Some(signature) = read_base64(&state.signature) else { return rejected("the signature does not read") };
    if verify(Scheme::RsaPkcs1Sha256, signer, signed(state, webhook).as_bytes(), &signature)? {
        Ok(ReceiveStep::Done(read(&state.event)))
    } else {
        rejected("the signature is not PayPal's")
    }
}

/// What an authentic event says.
fn read(event: &str) -> Received {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let resource = event.get("resource").unwrap_or(&Value::Null);
    let custom = match text("/resource/custom_id") {
        "" => text("/resource/purchase_units/0/custom_id"),
        id => id,
    };
    let order = text("/resource/supplementary_data/related_ids/order_id");
    let outcome = match text("/event_type") {
        "PAYMENT.CAPTURE.COMPLETED" | "PAYMENT.CAPTURE.PENDING" | "PAYMENT.CAPTURE.DENIED" => {
            Some(capture_stands(resource).named(order).detail("order-id", order))
        }
        "PAYMENT.AUTHORIZATION.CREATED" | "PAYMENT.AUTHORIZATION.VOIDED" => {
            Some(authorization_stands(resource).named(order).detail("order-id", order))
        }
        "PAYMENT.CAPTURE.REVERSED" => {
            let reversed = Outcome::new(Verdict::Returned("PayPal took the money back".into()));
            Some(Outcome { amount: amount(resource, "/amount"), ..reversed })
        }
        // The host asks for the status at once, and that takes the money.
        "CHECKOUT.ORDER.APPROVED" => {
            let order = text("/resource/id");
            Some(Outcome::new(Verdict::Pending(Some(0))).named(order).detail("order-id", order))
        }
        _ => None,
    };
    let claim = outcome.filter(|_| !custom.is_empty()).map(|outcome| {
        let subject = Subject::Intent(custom.into());
        Claim { subject, outcome }
    });
    Received::Authentic(ReceiptOfClaims {
        claims: claim.into_iter().collect(),
        taken: reply(200, "OK"),
        refused: reply(409, "refused"),
    })
}

#[cfg(test)]
pub(crate) fn signed_text(id: &str, time: &str, webhook: &str, event: &str) -> String {
    let state = State {
        stage: Stage::Token,
        transmission_id: id.into(),
        transmission_time: time.into(),
        signature: String::new(),
        algorithm: String::new(),
        certificate_url: String::new(),
        event: event.into(),
    };
    signed(&state, webhook)
}
