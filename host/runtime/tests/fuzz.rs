//! Whatever a guest or a publisher hands over, the host answers with a value.
//!
//! Each test mutates real evidence, descriptions, manifests and components for a while, side by side with the others;
//! `cargo xtask fuzz` lets them run longer. A finding prints its target, its seed and its round, which make it again:
//! `ALTYN_FUZZ_SEED=… cargo xtask fuzz TARGET`.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

#[expect(dead_code, reason = "fixtures of other tests")]
mod common;
mod fuzzing;

use std::sync::Arc;

use altyn_domain::exchange::Incoming;
use altyn_domain::gateway::{ExchangeKind, Intent, Operation, ReceiveStep, Received, Reference, Step, check_outcome};
use altyn_domain::manifest::{Manifest, SignedManifest};
use altyn_domain::money::{Currency, Money};
use altyn_runtime::{
    Answer, Batch, CallRecord, Descriptor, GatewayAnswer, Keyring, Limits, LimitsTable, Plugin, Runtime, RuntimeConfig,
    Side, World, as_json, read_gateway_answer,
};
use common::{RUNTIME, component, context, document, draft, plugin, question, rub};
use fuzzing::run;

/// A real call of every export.
fn recorded() -> Vec<CallRecord> {
    let regime = context(r#"{"regime":"general"}"#);
    let template = context(r#"{"template":"СЧ-{year}-{seq:6}"}"#);
    let drafts = [draft(0, "1"), draft(1, "2")];
    let numbering = plugin("number-template");
    let records = [
        RUNTIME.prorate(&plugin("day-ratio"), &context(""), &[question(0, 69_000), question(1, 1)]).record,
        RUNTIME.assess(&plugin("ru-vat"), &regime, &[document(0, "b", &[12_000, 5]), document(1, "c", &[1])]).record,
        RUNTIME.sequences(&numbering, &template, &drafts).record,
        RUNTIME.numbers(&numbering, &template, &drafts, &[1, 2]).record,
    ];
    assert!(records.iter().all(|record| !record.output.is_empty()));
    records.to_vec()
}

#[test]
fn answers_are_read_or_refused() {
    let records = recorded();
    run("answers_are_read_or_refused", |dice| {
        let record = &records[dice.below(records.len())];
        let batch = Batch::read(record.export, &record.input).unwrap();
        let Ok(elements) = batch.answers(&dice.mutate(&record.output)) else { return };
        assert_eq!(elements.len(), batch.len(), "each question has its answer");
        for element in elements {
            let answers = element.answers.unwrap_or_default();
            assert!(answers.is_empty() || answers.len() == element.lines.len());
            for answer in answers {
                if let Answer::Tax(line) = answer {
                    assert_eq!(line.net.minor.checked_add(line.tax.minor), Some(line.gross.minor));
                }
            }
        }
    });
}

#[test]
fn questions_are_read_or_refused() {
    let records = recorded();
    run("questions_are_read_or_refused", |dice| {
        let record = &records[dice.below(records.len())];
        let Ok(batch) = Batch::read(record.export, &dice.mutate(&record.input)) else { return };
        let _ = batch.answers(&record.output);
        let again = Batch::read(record.export, &batch.input()).unwrap();
        assert_eq!(again.input(), batch.input(), "what was read is written the same");
        let whole = batch.len();
        let (first, second) = batch.halves();
        assert_eq!(first.len() + second.len(), whole);
    });
}

#[test]
fn recorded_calls_are_made_again_or_refused() {
    let records = recorded();
    let plugins = ["day-ratio", "ru-vat", "number-template", "number-template"].map(plugin);
    run("recorded_calls_are_made_again_or_refused", |dice| {
        let place = dice.below(records.len());
        let call = RUNTIME.replay(&plugins[place], records[place].export, &dice.mutate(&records[place].input));
        assert_eq!(call.result.is_ok(), !call.record.output.is_empty());
    });
}

/// A real call of every export of the gateway world that needs no server, with the plugin that answered it.
fn recorded_of_gateways() -> Vec<(CallRecord, Plugin)> {
    let mut keyring = Keyring::new();
    for name in ["notification-key", "password-1", "password-2", "password-3"] {
        keyring.add(name, b"s3cret").unwrap();
    }
    let keyring = Arc::new(keyring);
    let pay = |minor| {
        Operation::Pay(Intent {
            id: "exc_1".into(),
            number: 42,
            amount: rub(minor),
            description: "Связь".into(),
            capture: true,
            return_url: "https://shop.example/back".into(),
            payer: vec![("email".into(), "a@b.example".into())],
            saved_method: None,
            save_method: false,
            receipt: None,
        })
    };
    let payment = Reference {
        id: "exc_1".into(),
        number: 42,
        external_id: "e".into(),
        amount: ASKED,
        capture: true,
        details: Vec::new(),
    };
    let body = br#"{"payment":"exc_1","verdict":"succeeded","amount_minor":10008,"currency":"RUB"}"#;
    let signature = include_str!("notification.hmac").trim();
    let incoming = |signature: &str| Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: vec![("x-signature".into(), signature.into())],
        body: body.to_vec(),
        source: "192.0.2.1".into(),
    };
    let (sandbox, robokassa) = (plugin("pay-sandbox"), plugin("robokassa"));
    let (plain, login) = (context(""), context(r#"{"login":"demo"}"#));
    let mut calls = vec![
        (RUNTIME.gateway_capabilities(&sandbox, &plain).record, sandbox.clone()),
        (RUNTIME.gateway_receive(&sandbox, &plain, &keyring, &incoming(signature)).record, sandbox.clone()),
        (RUNTIME.gateway_receive(&sandbox, &plain, &keyring, &incoming("00")).record, sandbox.clone()),
        (RUNTIME.gateway_begin(&robokassa, &login, &keyring, &pay(10_000)).record, robokassa.clone()),
        (RUNTIME.gateway_begin(&robokassa, &login, &keyring, &Operation::Status(payment)).record, robokassa.clone()),
    ];
    for minor in [10_000, 10_001, 10_003, 10_005, 10_006, 10_009, 10_011] {
        calls.push((RUNTIME.gateway_begin(&sandbox, &plain, &keyring, &pay(minor)).record, sandbox.clone()));
    }
    assert!(calls.iter().all(|(record, _)| !record.output.is_empty()));
    calls
}

/// What the payments of [`recorded_of_gateways`] are compared with.
const ASKED: Money = Money::new(10_000, Currency::RUB);

#[test]
fn answers_of_gateways_are_read_or_refused() {
    let calls = recorded_of_gateways();
    run("answers_of_gateways_are_read_or_refused", |dice| {
        let (record, _) = &calls[dice.below(calls.len())];
        let output = dice.mutate(&record.output);
        let shown = as_json(record.export, Side::Output, &output);
        let Ok(answer) = read_gateway_answer(record.export, &output) else { return };
        assert!(shown.is_ok(), "what is believed can be shown");
        match answer {
            GatewayAnswer::Step(Step::Send(call)) | GatewayAnswer::Received(ReceiveStep::Send(call)) => {
                assert_eq!(call.check(), Ok(()));
            }
            GatewayAnswer::Step(Step::Done(outcome)) => {
                if check_outcome(ExchangeKind::Pay, ASKED, &outcome).is_ok() {
                    assert!(outcome.amount.is_none_or(|amount| amount == ASKED), "no other amount is believed");
                }
            }
            GatewayAnswer::Received(ReceiveStep::Done(received)) => {
                let replies = match received {
                    Received::Rejected { reply, .. } => vec![reply],
                    Received::Authentic { taken, refused, .. } => vec![taken, refused],
                };
                for reply in replies {
                    assert_eq!(reply.clone().checked(), Ok(reply), "nothing is left that is not a plugin's to set");
                }
            }
            GatewayAnswer::Capabilities(can) => assert!(can.currencies.len() <= 200),
        }
    });
}

#[test]
fn recorded_calls_of_gateways_are_made_again_or_refused() {
    let calls = recorded_of_gateways();
    run("recorded_calls_of_gateways_are_made_again_or_refused", |dice| {
        let (record, plugin) = &calls[dice.below(calls.len())];
        let input = dice.mutate(&record.input);
        let call = RUNTIME.replay(plugin, record.export, &input);
        assert_eq!(call.result.is_ok(), !call.record.output.is_empty());
        if let Ok(output) = call.result {
            let again = RUNTIME.replay(plugin, record.export, &input);
            assert_eq!(again.result, Ok(output), "the same question has the same answer");
        }
    });
}

/// A description that nothing is wrong with.
fn sound() -> Descriptor {
    Descriptor {
        id: "pay".into(),
        version: "1.0.0".into(),
        title: "Pay".into(),
        config_schema: r#"{"type":"object"}"#.into(),
        secrets: Vec::new(),
        hosts: Vec::new(),
    }
}

#[test]
fn descriptions_and_schemas_are_sound_or_refused() {
    let schema = br#"{"type":"object","properties":{"regime":{"enum":["general"]}},"required":[]}"#;
    run("descriptions_and_schemas_are_sound_or_refused", |dice| {
        let mut text = |seed: &[u8]| String::from_utf8_lossy(&dice.mutate(seed)).into_owned();
        let descriptor = Descriptor {
            id: text(b"ru-vat"),
            version: text(b"1.4.0"),
            title: text("НДС России".as_bytes()),
            config_schema: text(schema),
            secrets: Vec::new(),
            hosts: Vec::new(),
        };
        if altyn_runtime::check_descriptor(&descriptor, World::TaxRule).is_ok() {
            assert!((1..=64).contains(&descriptor.id.len()) && !descriptor.title.chars().any(char::is_control));
            let schema: serde_json::Value = serde_json::from_str(&descriptor.config_schema).unwrap();
            assert_eq!(schema["type"], "object");
        }
        let asking =
            Descriptor { secrets: vec![text(b"password-1")], hosts: vec![text(b"auth.robokassa.ru")], ..sound() };
        if altyn_runtime::check_descriptor(&asking, World::PaymentGateway).is_ok() {
            let (host, secret) = (&asking.hosts[0], &asking.secrets[0]);
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            assert!(host.contains('.') && host.bytes().all(|b| plain(b) || b == b'.' || b == b':'), "{host:?}");
            assert!(host.parse::<std::net::IpAddr>().is_err(), "{host:?} is an address");
            assert!(secret.bytes().all(|b| plain(b) || b == b'_'), "{secret:?}");
        }
    });
}

#[test]
fn manifests_are_read_or_refused() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let descriptor = Descriptor {
        id: "ru-vat".into(),
        version: "1.4.0".into(),
        title: "НДС".into(),
        config_schema: "{}".into(),
        secrets: names(&["password1", "password2"]),
        hosts: names(&["pay.example.org"]),
    };
    let original = SignedManifest {
        manifest: Manifest::new(&"ab".repeat(32), "0.1.0", World::TaxRule, &descriptor),
        key_id: "0011223344556677".into(),
        public_key: "cd".repeat(32),
        signature: "ef".repeat(64),
    };
    original.manifest.check().unwrap();
    let file = serde_json::to_vec(&original).unwrap();
    run("manifests_are_read_or_refused", |dice| {
        let Ok(read) = serde_json::from_slice::<SignedManifest>(&dice.mutate(&file)) else { return };
        if read.manifest.check().is_err() {
            return;
        }
        let again: SignedManifest = serde_json::from_slice(&serde_json::to_vec(&read).unwrap()).unwrap();
        assert_eq!(again, read, "what was read is written the same");
        let same = read.manifest.signed_bytes() == original.manifest.signed_bytes();
        assert_eq!(same, read.manifest == original.manifest, "nothing that is read is outside of what is signed");
        assert!(read.manifest.hosts.is_sorted() && read.manifest.secrets.is_sorted());
        // A manifest never speaks for another component.
        let named = read.manifest.names(&original.manifest.component_sha256, "0.1.0", World::TaxRule);
        assert_eq!(
            named.is_ok(),
            read.manifest.component_sha256 == original.manifest.component_sha256
                && read.manifest.contract_version == "0.1.0"
                && read.manifest.world == World::TaxRule
        );
    });
}

#[test]
fn components_are_taken_or_refused() {
    // Little fuel, so that a component that was changed into a loop ends soon.
    let limits = Limits { fuel: 1_000_000, ..Limits::default() };
    let limits = LimitsTable {
        proration_strategy: limits,
        tax_rule: limits,
        numbering_scheme: limits,
        ..LimitsTable::default()
    };
    let runtime = Runtime::new(&RuntimeConfig { limits, instances: 2, ..RuntimeConfig::default() }).unwrap();
    // A small one, made by hand, is mutated more often in the same time than a real one.
    let mut text = include_str!("attacks/numbering.wat").replace("{{pages}}", "2");
    while let Some((before, rest)) = text.split_once("{{") {
        text = format!("{before}{}", rest.split_once("}}").unwrap().1);
    }
    let seeds = [wat::parse_str(text).unwrap(), component("hostile-numbering")];
    assert!(seeds.iter().all(|seed| runtime.inspect(seed).is_ok()));
    run("components_are_taken_or_refused", |dice| {
        let seed = usize::from(dice.below(20) == 0);
        if let Ok(inspection) = runtime.inspect(&dice.mutate(&seeds[seed])) {
            assert_eq!(inspection.world, World::NumberingScheme);
        }
    });
}
