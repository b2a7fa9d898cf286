//! The catalogue against the gateway world: what only a gateway can try. What any guest can do is in `doubles`.
//!
//! P10 and P11, slow servers and addresses inside, are in the service's `tests/gateways/egress.rs`; what becomes of payments,
//! in its `tests/gateways/attacks.rs`.

use altyn_domain::gateway::{ExchangeKind, ReceiveStep, Received, Step, check_outcome};
use altyn_runtime::{Call, CallFailure, InstallError, Side, as_json};
use serde_json::{Value, json};

use super::common::{context, rub};
use super::doubles::{Doubles, incoming, pay};
use super::watch::Bound;
use super::{Place, made};

impl Doubles {
    fn begin(&self, place: &mut Place, config: &Value) -> Call<Step> {
        let (runtime, ctx) = (place.runtime.clone(), context(&config.to_string()));
        let bound = Bound::call(&runtime.config().limits.payment_gateway);
        place.watched(&config.to_string(), bound, || runtime.gateway_begin(&self.gateway, &ctx, &self.keyring, &pay()))
    }

    fn receive(&self, place: &mut Place, config: &Value, body: &str) -> Call<ReceiveStep> {
        let (runtime, ctx) = (place.runtime.clone(), context(&config.to_string()));
        let bound = Bound::call(&runtime.config().limits.payment_gateway);
        place.watched(&config.to_string(), bound, || {
            runtime.gateway_receive(&self.gateway, &ctx, &self.keyring, &incoming(body))
        })
    }
}

/// Every attack of the catalogue that this world allows.
pub fn attacks(place: &mut Place, double: &Doubles) {
    let honest = double.begin(place, &json!({}));
    let Ok(Step::Done(outcome)) = &honest.result else { panic!("{:?}", honest.result) };
    assert_eq!(check_outcome(ExchangeKind::Pay, rub(10_000), outcome), Ok(()));
    amounts_and_texts_are_not_believed(place, double);
    requests_that_are_none(place, double);
    the_vault_tells_little(place, double);
    notifications_that_claim_too_much(place, double);
    what_other_worlds_may_not_have(place);
}

/// P6, P7: what was not asked for is not taken, whatever the gateway says.
fn amounts_and_texts_are_not_believed(place: &mut Place, double: &Doubles) {
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
fn requests_that_are_none(place: &mut Place, double: &Doubles) {
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
fn the_vault_tells_little(place: &mut Place, double: &Doubles) {
    for (ruse, detail) in [("flood-vault", "last"), ("guess", "guessed")] {
        let call = double.begin(place, &json!({ "ruse": ruse }));
        let Ok(Step::Done(outcome)) = &call.result else { panic!("{ruse}: {:?}", call.result) };
        let told = &outcome.details.iter().find(|(name, _)| name == detail).unwrap().1;
        assert!(told.contains("at most 64 times"), "{ruse}: {told}");
        assert!(!call.record.input.windows(4).any(|window| window == b"7351"), "{ruse}");
        let evidence = as_json(call.record.export, Side::Input, &call.record.input).unwrap();
        assert_eq!(evidence["vault"].as_array().map(Vec::len), Some(64), "{ruse}: the transcript is bounded too");
        let again = place.runtime.replay(&double.gateway, call.record.export, &call.record.input);
        assert_eq!(again.result.as_ref(), Ok(&call.record.output), "{ruse}: replays without the secret");
    }
    place.a_good_call_is_served("the vault");
}

/// P3, P7: a notification's answer is bounded, and sets nothing that is the host's.
fn notifications_that_claim_too_much(place: &mut Place, double: &Doubles) {
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
