//! The catalogue against the gateway world: its test double in every export, and what only a gateway can try.
//!
//! P10 and P11, slow servers and addresses inside, are in the service's `tests/gateways/egress.rs`; what becomes of payments,
//! in its `tests/gateways/attacks.rs`.

use std::sync::Arc;
use std::time::Instant;

use altyn_domain::exchange::{Answer, HttpResponse, Incoming};
use altyn_domain::gateway::{ExchangeKind, Intent, Operation, ReceiveStep, Received, Reference, Step, check_outcome};
use altyn_runtime::{Call, CallFailure, InstallError, Keyring, Plugin, Side, as_json};
use serde_json::{Value, json};

use super::common::{component, context, rub};
use super::{LONGEST, Place, is_fuel, is_output, is_trap, made};

fn pay() -> Operation {
    Operation::Pay(Intent {
        id: "exc_1".into(),
        number: 1,
        amount: rub(10_000),
        description: "Связь".into(),
        capture: true,
        return_url: String::new(),
        payer: Vec::new(),
        saved_method: None,
        save_method: false,
        receipt: None,
    })
}

fn incoming(body: &str) -> Incoming {
    let source = "192.0.2.1".into();
    Incoming { method: "POST".into(), query: String::new(), headers: Vec::new(), body: body.into(), source }
}

fn answer() -> Answer {
    Answer::Response(HttpResponse { status: 200, headers: Vec::new(), body: b"ok".to_vec() })
}

/// The double and a key of four digits.
struct Double {
    plugin: Plugin,
    keyring: Arc<Keyring>,
}

impl Double {
    fn begin(&self, place: &Place, config: &Value) -> Call<Step> {
        place.runtime.gateway_begin(&self.plugin, &context(&config.to_string()), &self.keyring, &pay())
    }

    fn receive(&self, place: &Place, config: &Value, body: &str) -> Call<ReceiveStep> {
        let ctx = context(&config.to_string());
        place.runtime.gateway_receive(&self.plugin, &ctx, &self.keyring, &incoming(body))
    }
}

/// Every attack of the catalogue that this world allows.
pub fn attacks(place: &mut Place) {
    let plugin = place.runtime.load(&component("hostile-gateway")).unwrap();
    let mut keyring = Keyring::new();
    keyring.add("hostile-key", b"7351").unwrap();
    let double = Double { plugin, keyring: Arc::new(keyring) };
    let honest = double.begin(place, &json!({}));
    let Ok(Step::Done(outcome)) = &honest.result else { panic!("{:?}", honest.result) };
    assert_eq!(check_outcome(ExchangeKind::Pay, rub(10_000), outcome), Ok(()));
    every_export_is_contained(place, &double);
    amounts_and_texts_are_not_believed(place, &double);
    requests_that_are_none(place, &double);
    the_vault_tells_little(place, &double);
    notifications_that_claim_too_much(place, &double);
    what_other_worlds_may_not_have(place);
}

/// P1 to P6: loops, memory, monstrous answers, traps, floods of notes, in each of the five exports.
fn every_export_is_contained(place: &mut Place, double: &Double) {
    type Expected = fn(&CallFailure) -> bool;
    type Made<'a> = Box<dyn Fn() -> Call<()> + 'a>;
    let is_memory: Expected = |failure| {
        matches!(failure, CallFailure::MemoryLimit { .. } | CallFailure::OutOfFuel { .. } | CallFailure::Trap { .. })
    };
    let deeds: [(&str, Expected); 3] = [("loop", is_fuel), ("memory", is_memory), ("trap", is_trap)];
    for (deed, expected) in deeds {
        let ctx = context(&json!({ "do": deed }).to_string());
        let (runtime, plugin, keyring) = (place.runtime.clone(), &double.plugin, &double.keyring);
        let reference = Reference {
            id: "exc_1".into(),
            number: 1,
            external_id: String::new(),
            amount: rub(10_000),
            capture: true,
            details: Vec::new(),
        };
        let calls: [(&str, Made<'_>); 6] = [
            ("capabilities-of", Box::new(|| plain(runtime.gateway_capabilities(plugin, &ctx)))),
            ("begin", Box::new(|| plain(runtime.gateway_begin(plugin, &ctx, keyring, &pay())))),
            (
                "begin of status",
                Box::new(|| plain(runtime.gateway_begin(plugin, &ctx, keyring, &Operation::Status(reference.clone())))),
            ),
            ("resume", Box::new(|| plain(runtime.gateway_resume(plugin, &ctx, keyring, b"", &answer())))),
            ("receive", Box::new(|| plain(runtime.gateway_receive(plugin, &ctx, keyring, &incoming("x"))))),
            (
                "receive-resume",
                Box::new(|| plain(runtime.gateway_receive_resume(plugin, &ctx, keyring, b"", &answer()))),
            ),
        ];
        for (export, call) in calls {
            let begun = Instant::now();
            let call = call();
            let failure = call.result.expect_err(export);
            assert!(expected(&failure), "{deed} in {export}: {failure:?}");
            assert!(begun.elapsed() < LONGEST, "{deed} in {export} took {:?}", begun.elapsed());
            let limits = runtime.config().limits.payment_gateway;
            assert_eq!(call.record.fuel, limits.fuel, "{deed} in {export}: the whole budget is charged");
            assert!(call.record.peak_memory_bytes <= u64::try_from(limits.memory_bytes).unwrap(), "{deed} in {export}");
            as_json(call.record.export, Side::Input, &call.record.input)
                .unwrap_or_else(|error| panic!("{deed} in {export}: what was asked is kept, but {error}"));
            assert!(call.record.output.is_empty());
        }
        place.a_good_call_is_served(deed);
    }
    let texts: [(&str, Expected); 3] = [
        ("huge-answer", is_output),
        ("claimed-text", |failure| is_trap(failure) || is_output(failure)),
        ("broken-text", is_trap),
    ];
    for (deed, expected) in texts {
        let failure = double.begin(place, &json!({ "do": deed })).result.expect_err(deed);
        assert!(expected(&failure), "{deed}: {failure:?}");
        place.a_good_call_is_served(deed);
    }
    let flood = double.begin(place, &json!({ "do": "flood-log" }));
    let limits = place.runtime.config().limits.payment_gateway;
    assert!(flood.result.is_ok() && flood.record.log.len() == limits.log_lines + 1, "{:?}", flood.record.log.len());
    assert!(flood.record.log.iter().all(|line| !line.contains('\u{1b}') && !line.contains('\n')));
    let Err(CallFailure::Refused { message, .. }) = double.begin(place, &json!({ "do": "refuse-badly" })).result else {
        panic!("must be refused")
    };
    assert!(message.contains(r"\u{202e}") && !message.chars().any(char::is_control), "{message}");
    place.a_good_call_is_served("answers of a gateway");
}

fn plain<T>(call: Call<T>) -> Call<()> {
    Call { record: call.record, result: call.result.map(|_| ()) }
}

/// P6, P7: what was not asked for is not taken, whatever the gateway says.
fn amounts_and_texts_are_not_believed(place: &mut Place, double: &Double) {
    for deed in ["wrong-sum", "foreign-currency", "extreme", "negative", "short-answer", "bad-text"] {
        let call = double.begin(place, &json!({ "do": deed }));
        let Ok(Step::Done(outcome)) = call.result else { panic!("{deed}: {:?}", call.result) };
        let judged = check_outcome(ExchangeKind::Pay, rub(10_000), &outcome);
        assert!(judged.is_err(), "{deed}: {outcome:?}");
        assert!(!call.record.output.is_empty(), "{deed}: what was answered is kept");
    }
    let call = double.begin(place, &json!({ "do": "not-a-number" }));
    assert!(matches!(call.result, Err(CallFailure::InvalidAnswer(_))), "{:?}", call.result);
    let call = double.begin(place, &json!({ "ruse": "script" }));
    let Ok(Step::Done(outcome)) = call.result else { panic!("{:?}", call.result) };
    assert!(check_outcome(ExchangeKind::Pay, rub(10_000), &outcome).is_err(), "{outcome:?}");
    place.a_good_call_is_served("amounts");
}

/// P10, P12: requests that would reach elsewhere, or carry a secret where it shows, are no requests.
fn requests_that_are_none(place: &mut Place, double: &Double) {
    for ruse in ["secret-in-url", "secret-as-host", "long-continuation", "host-header", "many-headers"] {
        let call = double.begin(place, &json!({ "ruse": ruse }));
        assert!(matches!(call.result, Err(CallFailure::InvalidAnswer(_))), "{ruse}: {:?}", call.result);
        assert!(!call.record.output.is_empty(), "{ruse}: what was answered is kept");
    }
    for url in ["http://auth.robokassa.ru/", "file:///etc/passwd", "https:///", "", "https://auth.robokassa.ru"] {
        let call = double.begin(place, &json!({ "ruse": "send", "url": url }));
        assert!(matches!(call.result, Err(CallFailure::InvalidAnswer(_))), "{url}: {:?}", call.result);
    }
    place.a_good_call_is_served("requests");
}

/// P12: no call gets more than a bounded number of digests and guesses, and evidence holds no secret.
fn the_vault_tells_little(place: &mut Place, double: &Double) {
    for (ruse, detail) in [("flood-vault", "last"), ("guess", "guessed")] {
        let call = double.begin(place, &json!({ "ruse": ruse }));
        let Ok(Step::Done(outcome)) = &call.result else { panic!("{ruse}: {:?}", call.result) };
        let told = &outcome.details.iter().find(|(name, _)| name == detail).unwrap().1;
        assert!(told.contains("at most 64 times"), "{ruse}: {told}");
        assert!(!call.record.input.windows(4).any(|window| window == b"7351"), "{ruse}");
        let evidence = as_json(call.record.export, Side::Input, &call.record.input).unwrap();
        assert_eq!(evidence["vault"].as_array().map(Vec::len), Some(64), "{ruse}: the transcript is bounded too");
        let again = place.runtime.replay(&double.plugin, call.record.export, &call.record.input);
        assert_eq!(again.result.as_ref(), Ok(&call.record.output), "{ruse}: replays without the secret");
    }
    place.a_good_call_is_served("the vault");
}

/// P3, P7: a notification's answer is bounded, and sets nothing that is the host's.
fn notifications_that_claim_too_much(place: &mut Place, double: &Double) {
    for ruse in ["many-claims", "odd-reply"] {
        let call = double.receive(place, &json!({ "ruse": ruse }), "x");
        assert!(matches!(call.result, Err(CallFailure::InvalidAnswer(_))), "{ruse}: {:?}", call.result);
    }
    let call = double.receive(place, &json!({ "ruse": "cookie" }), "x");
    let Ok(ReceiveStep::Done(Received::Rejected { reason, reply })) = call.result else { panic!("{:?}", call.result) };
    assert_eq!((reply.status, reply.body.as_slice()), (400, &b"no"[..]));
    assert_eq!(reply.headers, [("x-c".to_owned(), "d".to_owned())], "the rest is not a plugin's to set");
    assert!(!reason.chars().any(char::is_control), "{reason:?} is told to the operator");
    place.a_good_call_is_served("notifications");
}

/// P14, P18: the vault and requests are for gateways, in the version that this host speaks.
fn what_other_worlds_may_not_have(place: &mut Place) {
    for interface in ["altyn:billing/vault@0.1.0", "altyn:billing/exchange@0.1.0"] {
        let imports = format!(r#"(import "{interface}" (instance))"#);
        let refused = |error: &InstallError| matches!(error, InstallError::UnknownImport { interface: named, .. } if named == interface);
        place.install(interface, &made(&[("imports", &imports)]), refused);
    }
    for interface in ["altyn:billing/vault@0.0.9", "altyn:billing/vault@0.2.0", "altyn:billing/exchange@1.0.0"] {
        let imports = format!(r#"(import "{interface}" (instance))"#);
        place.install(
            interface,
            &made(&[("imports", &imports)]),
            |error| matches!(error, InstallError::UnsupportedVersion { interface: named } if named == interface),
        );
    }
}
