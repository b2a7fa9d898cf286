//! Notifications: the digest of `ResultURL`, the token of `ResultUrl2`.

use altyn_plugin::Fault;
use altyn_plugin::encoding::{read_base64, read_form};
use altyn_plugin::gateway::{Claim, Incoming, Outcome, ReceiptOfClaims, Received, Subject, Verdict, reply};
use altyn_plugin::vault::{Scheme, Signer, matches, verify};
use serde::Deserialize;

use crate::Config;
use crate::sign::{order, user_fields};

/// Reads a notification of either kind.
pub fn read(config: &Config, notification: &Incoming) -> Result<Received, Fault> {
    if notification.body.starts_with(b"eyJ") {
        return token(config, notification);
    }
    let source = if notification.body.is_empty() { notification.query.as_bytes() } else { &notification.body };
    match read_form(source) {
        Some(fields) => result(config, &fields),
        None => Ok(rejected("the form does not read")),
    }
}

fn rejected(reason: &str) -> Received {
    Received::rejected(reason, reply(400, "bad sign"))
}

/// `H(OutSum:InvId:Password#2[:Shp_…])`, over the sum exactly as it came.
fn result(config: &Config, fields: &[(String, String)]) -> Result<Received, Fault> {
    let field =
        |name: &str| fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    let (Some(sum), Some(number), Some(signature)) = (field("OutSum"), field("InvId"), field("SignatureValue")) else {
        return Ok(rejected("OutSum, InvId or SignatureValue is missing"));
    };
    let own = user_fields(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    if !matches(&order(config, &[sum, number], "password-2", &own), signature)? {
        return Ok(rejected("the signature is wrong"));
    }
    if !config.test && field("IsTest") == Some("1") {
        return Ok(rejected("a test payment, and the shop takes real ones"));
    }
    let (Some(amount), Ok(id)) = (config.read_sum(sum), number.parse::<u64>()) else {
        return Ok(rejected("OutSum or InvId is no number"));
    };
    let fee = field("Fee").and_then(|fee| config.read_sum(fee)).filter(|fee| (0..=amount.minor).contains(&fee.minor));
    let outcome = Outcome::new(Verdict::Succeeded).of(amount).named(number);
    Ok(authentic(id, Outcome { fee, ..outcome }))
}

fn authentic(number: u64, outcome: Outcome) -> Received {
    Received::Authentic(ReceiptOfClaims {
        claims: vec![Claim { subject: Subject::Number(number), outcome }],
        taken: reply(200, &format!("OK{number}")),
        refused: reply(409, "refused"),
    })
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Payload {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    shop: String,
    #[serde(default)]
    op_key: String,
    inv_id: String,
    inc_sum: String,
    state: String,
}

/// A compact JWS by the certificate that the operator took from Robokassa.
fn token(config: &Config, notification: &Incoming) -> Result<Received, Fault> {
    let Some(certificate) = &config.certificate else {
        return Ok(rejected("the binding has no certificate for ResultUrl2"));
    };
    let Some(parts) = std::str::from_utf8(&notification.body).ok().map(str::trim).and_then(parts) else {
        return Ok(rejected("the token does not read"));
    };
    let Parts { signed, header, payload, signature } = parts;
    let scheme = match serde_json::from_slice::<Header>(&header).map(|header| header.alg).as_deref() {
        Ok("RS256") => Scheme::RsaPkcs1Sha256,
        Ok("RS384") => Scheme::RsaPkcs1Sha384,
        Ok("RS512") => Scheme::RsaPkcs1Sha512,
        _ => return Ok(rejected("the token is signed in a way that Robokassa does not use")),
    };
    if !verify(scheme, &Signer::Pinned(certificate.clone()), signed.as_bytes(), &signature)? {
        return Ok(rejected("the signature of the token is wrong"));
    }
    let Ok(Payload { data }) = serde_json::from_slice(&payload) else {
        return Ok(rejected("the token says nothing of a payment"));
    };
    if data.shop != config.login {
        return Ok(rejected("the token is of another shop"));
    }
    let (Some(amount), Ok(number)) = (config.read_sum(&data.inc_sum), data.inv_id.parse::<u64>()) else {
        return Ok(rejected("incSum or invId is no number"));
    };
    let verdict = match data.state.as_str() {
        "OK" => Verdict::Succeeded,
        "HOLD" => Verdict::Authorized,
        _ => return Ok(rejected("the state is neither OK nor HOLD")),
    };
    let outcome = Outcome::new(verdict).of(amount).named(data.inv_id).detail("op-key", data.op_key);
    Ok(authentic(number, outcome))
}

struct Parts<'a> {
    signed: &'a str,
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

fn parts(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    Some(Parts {
        signed,
        header: read_base64(header)?,
        payload: read_base64(payload)?,
        signature: read_base64(signature)?,
    })
}
