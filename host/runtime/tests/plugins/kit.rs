//! The conformance kit: our own plugins keep every rule of it, and each kind of unsound plugin breaks the rule that is
//! made for it.

use std::path::Path;

use altyn_domain::exchange::Incoming;
use altyn_runtime::kit::{Case, Report};
use altyn_runtime::{Limits, LimitsTable, Runtime, RuntimeConfig};

use crate::common::{RUNTIME, component, plugin};

fn examined(name: &str, config: &str) -> Report {
    RUNTIME.conformance_with(&plugin(name), config, &notifications(name))
}

/// What our gateways are sent, with a signature that is none.
fn notifications(name: &str) -> Vec<Incoming> {
    let none = "0".repeat(64);
    let (header, body) = match name {
        "pay-sandbox" => (
            Some("x-signature"),
            r#"{"payment":"pay_1","verdict":"succeeded","amount_minor":59000,"currency":"RUB"}"#.to_owned(),
        ),
        "counter-bank" => (
            Some("x-counter-signature"),
            r#"{"number":"7","id":"pay_1","state":"paid","amount":"590.00","currency":"KZT"}"#.to_owned(),
        ),
        "robokassa" => (None, format!("OutSum=590.00&InvId=7&SignatureValue={}", "0".repeat(32))),
        "hostile-gateway" => (Some("x-signature"), "pay_1:59000".to_owned()),
        "paypal" => return vec![transmission()],
        _ => return Vec::new(),
    };
    let headers = header.map(|name| (name.to_owned(), none)).into_iter().collect();
    let source = "192.0.2.1".into();
    vec![Incoming { method: "POST".into(), query: String::new(), headers, body: body.into(), source }]
}

/// What PayPal sends: it is asked whether it did.
fn transmission() -> Incoming {
    let headers = [
        ("paypal-transmission-id", "dfb3be50-fd74-11e4-8bf3-77339302725b"),
        ("paypal-transmission-time", "2015-05-18T15:45:13Z"),
        ("paypal-transmission-sig", "bm9uZQ=="),
        ("paypal-auth-algo", "SHA256withRSA"),
        ("paypal-cert-url", "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let body = r#"{"event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{"id":"1","status":"COMPLETED",
        "custom_id":"pay_1","amount":{"currency_code":"USD","value":"1.00"}}}"#;
    let (query, source) = (String::new(), "192.0.2.1".into());
    Incoming { method: "POST".into(), query, headers: headers.to_vec(), body: body.into(), source }
}

fn broken(report: &Report) -> Vec<String> {
    report.checks.iter().filter(|check| !check.kept).map(|check| format!("{}: {}", check.rule, check.detail)).collect()
}

#[test]
fn our_own_plugins_keep_every_rule() {
    for (name, config) in [
        ("day-ratio", "{}"),
        ("fixed-days", r#"{"month_days":30}"#),
        ("day-rate-rounded", "{}"),
        ("second", "{}"),
        ("none", "{}"),
        ("ru-vat", r#"{"regime":"general"}"#),
        ("number-template", r#"{"template":"СЧ-{year}-{seq:6}"}"#),
        ("pay-sandbox", "{}"),
        ("pay-sandbox", r#"{"server":"https://sandbox.invalid"}"#),
        ("robokassa", r#"{"login":"demo"}"#),
        ("paypal", r#"{"mode":"sandbox","webhook_id":"1"}"#),
    ] {
        let report = examined(name, config);
        assert!(report.passed(), "{name}: {:#?}", broken(&report));
        let cost = report.cost.unwrap();
        assert!(cost.call_fuel > 0 && cost.line_fuel > 0 && cost.peak_memory_bytes > 0, "{name}: {cost:?}");
    }
}

#[test]
fn what_our_gateways_are_sent_is_signed_forged_and_sent_again() {
    for (name, config) in [("pay-sandbox", "{}"), ("robokassa", r#"{"login":"demo"}"#), ("counter-bank", "{}")] {
        let report = examined(name, config);
        let told: Vec<&str> = report
            .checks
            .iter()
            .filter(|check| check.rule.starts_with("a notification that") && check.detail.ends_with("signature"))
            .map(|check| check.detail.as_str())
            .collect();
        assert_eq!(told, ["1 of 1 examples, each with a right signature"; 2], "{name}");
    }
}

#[test]
fn what_a_gateway_asks_about_a_notification_is_answered_badly() {
    let webhooks = ["api", "certificate"]
        .map(|check| (check, format!(r#"{{"mode":"sandbox","webhook_id":"1","webhook_check":"{check}"}}"#)));
    for (check, config) in webhooks {
        let report = examined("paypal", &config);
        assert!(report.passed(), "{check}: {:#?}", broken(&report));
        let rule = "a notification that could not be checked settles nothing";
        let told = report.checks.iter().find(|found| found.rule == rule).unwrap();
        assert!(told.detail.starts_with("1 of 1 examples ask first"), "{check}: {}", told.detail);
    }
}

#[test]
fn the_examples_in_rust_keep_every_rule_and_their_cases() {
    for name in ["kz-vat", "counter-bank"] {
        let report = examined(name, "{}");
        assert!(report.passed(), "{name}: {:#?}", broken(&report));
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plugins").join(name).join("cases");
        for file in std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()) {
            let case: Case = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            assert_eq!(RUNTIME.case(&plugin(name), &case).unwrap(), None, "{}", file.display());
        }
    }
}

#[test]
fn an_unsound_plugin_breaks_the_rule_that_is_made_for_it() {
    for (name, deed, rule) in [
        ("hostile-proration", "trap", "a call ends with an answer or a fault, never with a trap or a limit"),
        ("hostile-tax", "loop", "a call ends with an answer or a fault, never with a trap or a limit"),
        ("hostile-tax", "memory", "a call ends with an answer or a fault, never with a trap or a limit"),
        ("hostile-proration", "refuse", "questions are answered"),
        ("hostile-proration", "wrong-sum", "every answer passes the host's check"),
        ("hostile-tax", "wrong-sum", "every answer passes the host's check"),
        ("hostile-proration", "foreign-currency", "every answer passes the host's check"),
        ("hostile-numbering", "wrong-sum", "answers agree with one another"),
    ] {
        let report = examined(name, &format!(r#"{{"do":"{deed}"}}"#));
        let broken = broken(&report);
        assert!(broken.iter().any(|line| line.starts_with(rule)), "{name} that does {deed}: {broken:#?}");
    }
}

#[test]
fn an_unreliable_gateway_breaks_the_rule_that_is_made_for_it() {
    // A host of its own: so much is asked of one component that its neighbours' tests would wait.
    let limits =
        LimitsTable { payment_gateway: Limits { fuel: 5_000_000, ..Limits::default() }, ..LimitsTable::default() };
    let runtime = Runtime::new(&RuntimeConfig { limits, instances: 4, ..RuntimeConfig::default() }).unwrap();
    let plugin = runtime.load(&component("hostile-gateway")).unwrap();
    let sent = notifications("hostile-gateway");
    for (ruse, rule) in [
        ("boast", "capabilities agree with one another"),
        ("promise", "what the capabilities promise is served"),
        ("secret", "what they do not promise moves no money"),
        ("two-digits", "an amount is written with the digits of its currency"),
        ("fresh-key", "the same intent has the same key, and another intent another"),
        ("one-key", "the same intent has the same key, and another intent another"),
        ("believe-lost", "an answer that is lost is no success, and what may not be repeated is not"),
        ("deny-lost", "an answer that is lost is no success, and what may not be repeated is not"),
        ("resend", "an answer that is lost is no success, and what may not be repeated is not"),
        ("believe-unsent", "what was not sent is no success"),
        ("believe-all", "an answer that says nothing is no success"),
        ("mute", "a decline says why"),
        ("half-signed", "a notification that is changed by a byte claims nothing else"),
        ("restless", "a notification that comes again says the same"),
        ("hear-lost", "a notification that could not be checked settles nothing"),
        ("hear-failed", "a notification that could not be checked settles nothing"),
        ("hear-truncated", "a notification that could not be checked settles nothing"),
        ("hear-trap", "a notification that could not be checked settles nothing"),
        ("hush", "a notification that could not be checked is asked for again"),
    ] {
        let report = runtime.conformance_with(&plugin, &format!(r#"{{"ruse":"{ruse}"}}"#), &sent);
        let broken = broken(&report);
        assert!(broken.iter().any(|line| line.starts_with(rule)), "a gateway that does {ruse}: {broken:#?}");
    }
    // What it does when it does nothing: the same rules find nothing.
    let report = runtime.conformance_with(&plugin, "{}", &[]);
    let own = ["capabilities agree", "what the capabilities promise", "an amount is written", "an answer that is lost"];
    let broken = broken(&report);
    assert!(!broken.iter().any(|line| own.iter().any(|rule| line.starts_with(rule))), "{broken:#?}");
}
