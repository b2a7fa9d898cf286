//! Shadow runs of gateways: recorded exchanges by another component, in money by payment, and nothing is sent.

use std::path::Path;

use altyn_domain::id::BindingId;
use altyn_service::{
    exchanges::BeginExchange,
    explain::{ShadowOptions, ShadowReason, ShadowReport},
    runs::NextRunOptions,
    vault::MasterKeys,
};
use serde_json::json;

use crate::paypal::{SECRETS, paypal};
use crate::sandbox::notification;
use crate::support::{Place, on_both_engines, page};
use crate::wire::{Deed, Server, begin, bind, connect, keep, pay, verdict};

on_both_engines!(
    an_unchanged_gateway_is_identical_in_every_call_whatever_became_of_its_secrets,
    an_unchanged_gateway_of_many_steps_is_identical_and_sends_nothing,
    another_verdict_is_told_by_payment_the_largest_difference_first,
    another_request_is_told_and_what_would_have_come_back_is_nobodys_to_say,
    a_candidate_that_fails_or_is_not_believed_is_told,
    a_gateway_that_believes_forgeries_is_told,
    what_cannot_be_rehearsed_is_refused,
);

fn guest(name: &str) -> Vec<u8> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("ALTYN_PLUGINS_DIR").map_or(built, Into::into);
    std::fs::read(folder.join(name).with_extension("wasm")).unwrap()
}

async fn shadow(place: &Place, gateway: BindingId, name: &str, config: Option<serde_json::Value>) -> ShadowReport {
    let config = config.map(|config| config.to_string());
    let options = ShadowOptions { from: "2026-11-01".parse().unwrap(), until: None, config };
    place.altyn.shadow(&place.request(), gateway, guest(name), options, |_| {}).await.unwrap()
}

fn identical(report: &ShadowReport, calls: i64) {
    assert_eq!((report.calls, report.lines, report.identical_lines), (calls, calls, calls), "{report:#?}");
    assert_eq!(report.identical_percent, "100.00");
    assert_eq!((report.payments_different, report.unreadable_calls), (0, 0));
    assert!(report.reasons.is_empty() && report.payments.is_empty() && report.examples.is_empty(), "{report:#?}");
    assert!(report.totals.iter().all(|total| total.recorded_minor == total.candidate_minor), "{report:#?}");
}

async fn an_unchanged_gateway_is_identical_in_every_call_whatever_became_of_its_secrets(mut place: Place) {
    keep(&mut place, &[("notification-key", "s3cret-key"), ("password-1", "pass_1"), ("password-2", "pass_2")], &[])
        .await;
    let gateway = bind(&place, "pay-sandbox", json!({ "delay_ms": 0 })).await;
    for minor in [10_000, 10_001, 10_003, 10_005, 10_006, 10_007, 10_012, 10_013] {
        let payment_id = begin(&place, pay(gateway, minor, "RUB")).await.id;
        begin(&place, BeginExchange::Status { payment_id }).await;
    }
    let payment_id = begin(&place, pay(gateway, 10_008, "RUB")).await.id;
    let told = place.altyn.gateway_notification(gateway, notification(payment_id, "succeeded", 10_008)).await.unwrap();
    assert_eq!(told.status, 200);
    begin(&place, BeginExchange::Refund { payment_id, amount_minor: Some(2_000), reason: None }).await;
    let signed = bind(&place, "robokassa", json!({ "login": "demo" })).await;
    begin(&place, pay(signed, 10_000, "RUB")).await;

    let report = shadow(&place, gateway, "pay-sandbox", None).await;
    // Two calls end in a fault of the plugin, and a fault is no answer.
    assert_eq!((report.recorded_faults, report.recorded_fuel), (2, report.candidate_fuel), "{report:#?}");
    identical(&report, 17);
    // Three were taken at once, a pending and an unknown one later, 100.08 by a claim; 20.00 went back.
    let total = &report.totals[0];
    assert_eq!((total.currency.as_str(), total.posted_difference_minor), ("RUB", 0));
    identical(&shadow(&place, signed, "robokassa", None).await, 1);

    // The secrets are others, and then nobody can read them any more.
    keep(&mut place, &[("notification-key", "another"), ("password-1", "pass_3"), ("password-2", "pass_4")], &[]).await;
    identical(&shadow(&place, gateway, "pay-sandbox", None).await, 17);
    identical(&shadow(&place, signed, "robokassa", None).await, 1);
    place.altyn = place.altyn.clone().with_master_keys(MasterKeys::new(None, None));
    identical(&shadow(&place, gateway, "pay-sandbox", None).await, 17);
    identical(&shadow(&place, signed, "robokassa", None).await, 1);
}

async fn an_unchanged_gateway_of_many_steps_is_identical_and_sends_nothing(mut place: Place) {
    let server = Server::start(paypal).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    let payment_id = begin(&place, pay(gateway, 10_000, "USD")).await.id;
    begin(&place, BeginExchange::Status { payment_id }).await;
    begin(&place, BeginExchange::Refund { payment_id, amount_minor: Some(1_000), reason: None }).await;
    server.does(|_| Deed::HangUp);
    begin(&place, pay(gateway, 20_000, "USD")).await;
    let recorded = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data;
    server.forget();
    let report = shadow(&place, gateway, "paypal", None).await;
    assert!(report.calls >= 9, "{report:#?}");
    identical(&report, report.calls);
    assert_eq!(report.totals[0].recorded_minor, 10_000 - 1_000, "taken, less what went back");
    assert!(server.seen().is_empty(), "nothing is sent");
    let after = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data;
    assert_eq!(after.len(), recorded.len(), "nothing is recorded");
}

async fn another_verdict_is_told_by_payment_the_largest_difference_first(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({ "delay_ms": 0 })).await;
    let declined = begin(&place, pay(gateway, 10_001, "RUB")).await.id;
    let pending = begin(&place, pay(gateway, 20_005, "RUB")).await.id;
    let taken = begin(&place, pay(gateway, 30_000, "RUB")).await.id;
    // The double takes everything.
    let report = shadow(&place, gateway, "hostile-gateway", Some(json!({}))).await;
    assert_eq!((report.calls, report.identical_lines, report.identical_percent.as_str()), (3, 0, "0.00"));
    let told: Vec<_> =
        report.payments.iter().map(|one| (one.payment_id, one.difference_minor, one.reasons.clone())).collect();
    let (verdict, text) = (vec![ShadowReason::OtherVerdict], vec![ShadowReason::OtherText]);
    assert_eq!(told, [(pending, 20_005, verdict.clone()), (declined, 10_001, verdict), (taken, 0, text)]);
    assert!(report.payments.iter().all(|one| one.currency.as_deref() == Some("RUB") && one.lines == 1));
    let total = &report.totals[0];
    assert_eq!((total.recorded_minor, total.candidate_minor), (30_000, 60_006));
    let reasons: Vec<_> = report.reasons.iter().map(|count| (count.reason, count.lines)).collect();
    assert_eq!(reasons, [(ShadowReason::OtherText, 1), (ShadowReason::OtherVerdict, 2)]);
    assert_eq!(report.examples[0].line, format!("{declined}/0"));
    assert!(report.examples[0].recorded.contains("insufficient funds"), "{:?}", report.examples);
    let known = place.altyn.exchange_get(&place.request(), declined).await.unwrap();
    assert_eq!(verdict_of(&known), "declined", "nothing is learnt from a rehearsal");
}

fn verdict_of(view: &altyn_service::exchanges::ExchangeView) -> &'static str {
    verdict(view)
}

async fn another_request_is_told_and_what_would_have_come_back_is_nobodys_to_say(mut place: Place) {
    let server = Server::start(paypal).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    let payment = begin(&place, pay(gateway, 10_000, "USD")).await;
    // The token is asked for alike, the order has another name in it.
    let named = json!({ "mode": "sandbox", "brand_name": "Меридиан" });
    let report = shadow(&place, gateway, "paypal", Some(named)).await;
    assert_eq!((report.calls, report.identical_lines), (3, 1), "{report:#?}");
    let reasons: Vec<_> = report.reasons.iter().map(|count| (count.reason, count.lines)).collect();
    assert_eq!(reasons, [(ShadowReason::OtherRequest, 1), (ShadowReason::NotReached, 1)]);
    assert_eq!((report.payments[0].payment_id, report.payments[0].lines), (payment.id, 2));
    let shown = serde_json::to_string(&report).unwrap();
    assert!(!shown.contains("very-secret") && !shown.contains("client-abc"), "{shown}");
}

async fn a_candidate_that_fails_or_is_not_believed_is_told(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    begin(&place, pay(gateway, 10_000, "RUB")).await;
    for (config, reason) in [
        (json!({ "do": "trap" }), ShadowReason::Fault),
        (json!({ "do": "refuse" }), ShadowReason::Fault),
        (json!({ "do": "wrong-sum" }), ShadowReason::Refused),
    ] {
        let report = shadow(&place, gateway, "hostile-gateway", Some(config)).await;
        assert_eq!(report.reasons.iter().map(|count| count.reason).collect::<Vec<_>>(), [reason], "{report:#?}");
        let total = &report.totals[0];
        assert_eq!((total.recorded_minor, total.candidate_minor), (10_000, 10_000), "the recorded amount stands");
        assert_eq!((report.payments_different, report.payments[0].difference_minor), (1, 0));
    }
}

async fn a_gateway_that_believes_forgeries_is_told(mut place: Place) {
    keep(&mut place, &[("notification-key", "s3cret-key")], &[]).await;
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let payment = begin(&place, pay(gateway, 10_005, "RUB")).await.id;
    place.altyn.gateway_notification(gateway, notification(payment, "succeeded", 10_005)).await.unwrap();
    // The double claims a payment that nobody knows, of another amount, of whatever it is sent.
    let report = shadow(&place, gateway, "hostile-gateway", Some(json!({ "ruse": "false-claim" }))).await;
    let of_notification = report.examples.iter().find(|line| line.recorded.contains("answered with 200")).unwrap();
    assert_eq!(of_notification.reason, ShadowReason::OtherVerdict);
    let told = report.payments.iter().find(|one| one.payment_id == payment).unwrap();
    assert_eq!(told.lines, 2, "the payment, and what was claimed of it");
}

async fn what_cannot_be_rehearsed_is_refused(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    begin(&place, pay(gateway, 10_000, "RUB")).await;
    let (altyn, request) = (&place.altyn, place.request());
    let refused =
        altyn.shadow_next_run(&request, gateway, guest("pay-sandbox"), NextRunOptions::default(), |_| {}).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "nothing-to-shadow");
    assert!(refused.to_string().contains("recorded exchanges"), "{refused}");
    let options = |from: &str, until: Option<&str>| ShadowOptions {
        from: from.parse().unwrap(),
        until: until.map(|day| day.parse().unwrap()),
        config: None,
    };
    let other = altyn.shadow(&request, gateway, guest("ru-vat"), options("2026-11-01", None), |_| {}).await;
    assert_eq!(other.unwrap_err().code(), "plugin-wrong-world");
    let never = options("2026-11-02", Some("2026-11-02"));
    assert_eq!(
        altyn.shadow(&request, gateway, guest("pay-sandbox"), never, |_| {}).await.unwrap_err().code(),
        "invalid-request"
    );
    // The days are those of the tenant's zone, the last one is not asked about.
    for (from, until, calls) in
        [("2026-11-02", None, 0), ("2026-10-01", Some("2026-11-01"), 0), ("2026-11-01", Some("2026-11-02"), 1)]
    {
        let report = altyn.shadow(&request, gateway, guest("pay-sandbox"), options(from, until), |_| {}).await.unwrap();
        assert_eq!(report.calls, calls, "{from} {until:?}");
        assert_eq!(report.identical_percent, "100.00");
    }
}
