//! Gateways in the real host: decisions, secrets that stay with the host, evidence that replays without them.

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;

use std::sync::Arc;

use altyn_domain::exchange::Incoming;
use altyn_domain::gateway::{Intent, Operation, ReceiveStep, Received, Step, Subject, Verdict};
use altyn_runtime::{CallFailure, Keyring, Runtime, RuntimeConfig, Side, World, as_json};
use common::{RUNTIME, component, context, plugin, rub};

#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]
fn keyring(secrets: &[(&str, &str)]) -> Arc<Keyring> {
    let mut keyring = Keyring::new();
    for (name, value) in secrets {
        keyring.add(name, value.as_bytes()).unwrap();
    }
    Arc::new(keyring)
}

fn pay(minor: i64) -> Operation {
    Operation::Pay(Intent {
        id: "exc_1".into(),
        number: 42,
        amount: rub(minor),
        description: "Связь".into(),
        capture: true,
        return_url: String::new(),
        payer: Vec::new(),
        saved_method: None,
        save_method: false,
        receipt: None,
    })
}

#[test]
fn a_gateway_is_a_world_of_its_own() {
    let inspection = RUNTIME.inspect(&component("pay-sandbox")).unwrap();
    assert_eq!(inspection.world, World::PaymentGateway);
    assert_eq!(inspection.descriptor.secrets, ["notification-key"]);
    assert!(inspection.imports.iter().any(|import| import.starts_with("altyn:billing/vault@")));
    for other in ["day-ratio", "ru-vat", "number-template"] {
        let imports = RUNTIME.inspect(&component(other)).unwrap().imports;
        assert!(imports.iter().all(|import| !import.contains("vault")), "{other}: {imports:?}");
        let descriptor = RUNTIME.describe(&plugin(other)).unwrap();
        assert!(descriptor.secrets.is_empty() && descriptor.hosts.is_empty());
    }
}

#[test]
fn a_payment_is_decided_by_the_component() {
    let sandbox = plugin("pay-sandbox");
    let capabilities = RUNTIME.gateway_capabilities(&sandbox, &context("")).result.unwrap();
    assert!(capabilities.two_stage && capabilities.status && capabilities.notifications);
    let call = RUNTIME.gateway_begin(&sandbox, &context(""), &keyring(&[]), &pay(10_000));
    let Step::Done(outcome) = call.result.unwrap() else { panic!("sends") };
    assert_eq!((outcome.verdict, outcome.amount), (Verdict::Succeeded, Some(rub(10_000))));
    assert_eq!(call.record.export, "gateway.begin");
    let failed = RUNTIME.gateway_begin(&sandbox, &context(""), &keyring(&[]), &pay(10_013)).result;
    assert!(matches!(failed, Err(CallFailure::Refused { .. })), "{failed:?}");
    let other = RUNTIME.gateway_begin(&plugin("ru-vat"), &context(""), &keyring(&[]), &pay(1)).result;
    assert!(matches!(other, Err(CallFailure::WrongWorld { .. })), "{other:?}");
}

#[test]
fn a_notification_is_checked_with_a_secret_that_the_guest_never_sees() {
    let sandbox = plugin("pay-sandbox");
    let body = br#"{"payment":"exc_1","verdict":"succeeded","amount_minor":10008,"currency":"RUB"}"#;
    // HMAC-SHA-256 of the body under `s3cret`, by openssl.
    let signature = include_str!("notification.hmac").trim();
    let incoming = |signature: &str| Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: vec![("x-signature".into(), signature.into())],
        body: body.to_vec(),
        source: "192.0.2.1".into(),
    };
    let key = keyring(&[("notification-key", "s3cret")]);
    let call = RUNTIME.gateway_receive(&sandbox, &context(""), &key, &incoming(signature));
    let Ok(ReceiveStep::Done(Received::Authentic { claims, taken, .. })) = &call.result else {
        panic!("{:?}", call.result)
    };
    assert_eq!((claims.len(), &claims[0].subject), (2, &Subject::Intent("exc_1".into())));
    assert_eq!((taken.status, taken.body.as_slice()), (200, &b"OK"[..]));
    assert!(!call.record.input.windows(6).any(|window| window == b"s3cret"));
    let evidence = as_json("gateway.receive", Side::Input, &call.record.input).unwrap();
    let transcript = serde_json::json!([
        { "function": "matches", "secrets": ["notification-key"], "answer": { "truth": true } }
    ]);
    assert_eq!(evidence["vault"], transcript, "{evidence}");
    let answer = as_json("gateway.receive", Side::Output, &call.record.output).unwrap();
    assert!(answer.to_string().contains("exc_1"), "{answer}");

    let forged = RUNTIME.gateway_receive(&sandbox, &context(""), &key, &incoming(&"0".repeat(64)));
    assert!(matches!(forged.result, Ok(ReceiveStep::Done(Received::Rejected { .. }))), "{:?}", forged.result);
    let unarmed = RUNTIME.gateway_receive(&sandbox, &context(""), &keyring(&[]), &incoming(signature)).result;
    let Err(CallFailure::Refused { message, .. }) = unarmed else { panic!("{unarmed:?}") };
    assert!(message.contains("notification-key"), "{message}");
}

#[test]
fn a_recorded_call_replays_without_its_secrets() {
    let other = Runtime::new(&RuntimeConfig { pooling: false, ..RuntimeConfig::default() }).unwrap();
    let sandbox = plugin("pay-sandbox");
    let incoming = Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: vec![("x-signature".into(), "00".into())],
        body: vec![0xff, 0],
        source: "192.0.2.1".into(),
    };
    let key = keyring(&[("notification-key", "s3cret")]);
    let records = [
        RUNTIME.gateway_capabilities(&sandbox, &context("")).record,
        RUNTIME.gateway_begin(&sandbox, &context(""), &key, &pay(10_003)).record,
        RUNTIME.gateway_receive(&sandbox, &context(""), &key, &incoming).record,
    ];
    let plugin = other.load(&component("pay-sandbox")).unwrap();
    for record in records {
        assert!(!record.output.is_empty(), "{}", record.export);
        let replayed = other.replay(&plugin, record.export, &record.input);
        assert_eq!(replayed.result.as_deref(), Ok(&*record.output), "{}", record.export);
        assert_eq!(replayed.record.fuel, record.fuel, "{}", record.export);
    }
}

#[test]
fn a_token_of_robokassa_is_verified_by_its_certificate() {
    let robokassa = plugin("robokassa");
    let certificate = include_str!("signatures/robokassa.pem");
    let config = serde_json::json!({ "login": "demo", "certificate": certificate }).to_string();
    let token = include_str!("../../../plugins/robokassa/tests/resulturl2.jws");
    let received = |token: &str| {
        let incoming = Incoming {
            method: "POST".into(),
            query: String::new(),
            headers: Vec::new(),
            body: token.into(),
            source: "185.59.216.65".into(),
        };
        RUNTIME.gateway_receive(&robokassa, &context(&config), &keyring(&[]), &incoming).result.unwrap()
    };
    let ReceiveStep::Done(Received::Authentic { claims, taken, .. }) = received(token) else { panic!("rejected") };
    assert_eq!((&claims[0].subject, claims[0].outcome.amount), (&Subject::Number(42), Some(rub(10_000))));
    assert_eq!(taken.body, b"OK42");
    let other = token.replace("YL9wW2D1", "YL9wW2D2");
    assert!(matches!(received(&other), ReceiveStep::Done(Received::Rejected { .. })));
}
