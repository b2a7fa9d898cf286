//! What becomes of payments when their gateway misbehaves: the test double of `plugins/hostile-gateway` in the whole host.

use altyn_domain::exchange::Incoming;
use altyn_service::verify::VerifyOptions;
use serde_json::json;

use crate::support::{Place, on_both_engines, page};
use crate::wire::{Deed, Server, begin, bind, binding, connect, install, keep, kept, pay, trail, verdict};

on_both_engines!(
    a_gateway_that_crashes_begins_nothing_and_harms_no_other,
    a_gateway_that_sends_for_ever_is_stopped,
    an_echo_of_a_secret_tells_the_plugin_nothing,
    an_echo_of_credentials_tells_the_plugin_nothing_in_any_coding,
    a_captured_value_goes_only_where_the_secrets_of_its_host_may_go,
    a_request_to_an_address_inside_never_leaves,
    an_unproven_claim_moves_only_what_it_agrees_with,
);

const SECRETS: [(&str, &str); 1] = [("hostile-key", "kl1tschk0-73")];

fn notification(body: &str) -> Incoming {
    Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: Vec::new(),
        body: body.into(),
        source: "192.0.2.1".into(),
    }
}

async fn a_gateway_that_crashes_begins_nothing_and_harms_no_other(place: Place) {
    let bad = bind(&place, "hostile-gateway", json!({ "do": "trap", "only": "666" })).await;
    let good = bind(&place, "pay-sandbox", json!({})).await;
    let crashed = begin(&place, pay(bad, 666, "RUB")).await;
    assert_eq!((verdict(&crashed), crashed.fault_code.as_deref()), ("not-attempted", Some("plugin-trap")));
    assert_eq!(trail(&place, crashed.id).await, ["failed"]);
    assert_eq!(verdict(&begin(&place, pay(bad, 100, "RUB")).await), "succeeded", "its other payments go on");
    assert_eq!(verdict(&begin(&place, pay(good, 10_000, "RUB")).await), "succeeded", "others too");
    // Who sends nonsense to the open address stops no payments by it.
    for _ in 0..60 {
        assert_eq!(place.altyn.gateway_notification(bad, notification("666")).await.unwrap().status, 503);
    }
    assert_eq!(verdict(&begin(&place, pay(bad, 100, "RUB")).await), "succeeded");
    let exchanges = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data;
    assert_eq!(exchanges.len(), 4, "what was not understood leaves no row");
    let report = place.altyn.verify(&place.request(), VerifyOptions { replay_percent: 100 }).await.unwrap();
    assert!(report.ok && report.calls_replayed == 3, "{report:?}");
}

async fn a_gateway_that_sends_for_ever_is_stopped(mut place: Place) {
    let server = Server::start(|_| Deed::Answer(200, "{}".into())).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "hostile-gateway", json!({ "ruse": "endless" })).await;
    let ended = begin(&place, pay(gateway, 100, "RUB")).await;
    assert_eq!((verdict(&ended), ended.fault_code.as_deref()), ("unknown", Some("exchange-too-long")));
    assert_eq!((ended.requests, server.seen().len()), (10, 10));
}

async fn an_echo_of_a_secret_tells_the_plugin_nothing(mut place: Place) {
    let written = |value: &str| value.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let server = Server::start(move |seen| {
        let value = seen.body.strip_prefix("key=").unwrap_or_default().to_owned();
        Deed::Answer(200, format!("{value} {} {}", written(&value), written(&value).to_uppercase()))
    })
    .await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "hostile-gateway", json!({ "ruse": "echo" })).await;
    let told = begin(&place, pay(gateway, 100, "RUB")).await;
    assert_eq!(server.seen()[0].body, "key=kl1tschk0-73", "it was granted for that host");
    let masked = "[secret hostile-key] [secret hostile-key] [secret hostile-key]";
    assert_eq!(told.details, [("told".to_owned(), masked.to_owned())]);
    let kept = kept(&place, told.id).await.to_lowercase();
    assert!(!kept.contains("kl1tschk0") && !kept.contains("6b6c3174"), "{kept}");
}

async fn an_echo_of_credentials_tells_the_plugin_nothing_in_any_coding(mut place: Place) {
    let server = Server::start(|seen| {
        let sent = seen.header("authorization").strip_prefix("Basic ").unwrap_or_default().to_owned();
        let url = sent.replace('+', "-").replace('/', "_");
        let percent = sent.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let (url, json) = (url.trim_end_matches('='), sent.replace('/', "\\/"));
        Deed::Answer(200, format!("{sent}|{url}|{json}|{percent}"))
    })
    .await;
    connect(&mut place, &server, &[("hostile-key", "k>>>???schk0-73")]).await;
    let gateway = bind(&place, "hostile-gateway", json!({ "ruse": "basic" })).await;
    let told = begin(&place, pay(gateway, 100, "RUB")).await;
    assert_eq!(server.seen()[0].header("authorization"), "Basic c2hvcDprPj4+Pz8/c2NoazAtNzM=");
    let masked = ["[secret hostile-key]"; 4].join("|");
    assert_eq!(told.details, [("told".to_owned(), masked)]);
}

async fn a_captured_value_goes_only_where_the_secrets_of_its_host_may_go(mut place: Place) {
    let server = Server::start(|seen| {
        let value = seen.body.strip_prefix("key=").unwrap_or_default();
        Deed::Answer(200, json!({ "echo": value }).to_string())
    })
    .await;
    connect(&mut place, &server, &SECRETS).await;
    keep(&mut place, &SECRETS, &["auth.robokassa.ru"]).await;
    let gateway = bind(&place, "hostile-gateway", json!({ "ruse": "carry" })).await;
    let told = begin(&place, pay(gateway, 100, "RUB")).await;
    assert_eq!(trail(&place, told.id).await, ["send", "response", "send", "not-sent", "outcome"]);
    assert!(kept(&place, told.id).await.contains("is of auth.robokassa.ru and not sent to api.sandbox.paypal.com"));
    assert_eq!(server.seen().len(), 1, "the secret came no further than where it is bound to");
    // A token that one host gives and another takes: both may have the secret it was given for.
    keep(&mut place, &SECRETS, &["auth.robokassa.ru", "api.sandbox.paypal.com"]).await;
    let told = begin(&place, pay(gateway, 100, "RUB")).await;
    assert_eq!(trail(&place, told.id).await, ["send", "response", "send", "response", "outcome"]);
    assert_eq!(server.seen()[2].body, "kept=kl1tschk0-73");
}

async fn a_request_to_an_address_inside_never_leaves(mut place: Place) {
    let server = Server::start(|_| Deed::Answer(200, "{}".into())).await;
    connect(&mut place, &server, &SECRETS).await;
    let component = install(&place, "hostile-gateway").await.digest;
    bind(&place, "hostile-gateway", json!({})).await;
    for url in [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://2130706433/",
        "https://services.robokassa.ru/",
        "https://auth.robokassa.ru:22/",
        "https://auth.robokassa.ru@127.0.0.1/",
        "https://auth.robokassa.ru.evil.example/",
    ] {
        let command = binding(&component, json!({ "ruse": "send", "url": url }));
        let gateway = place.altyn.binding_create(&place.request(), command).await.unwrap().value.id;
        let tried = begin(&place, pay(gateway, 100, "RUB")).await;
        assert_eq!(trail(&place, tried.id).await, ["send", "not-sent", "outcome"], "{url}");
        let noticed = place.altyn.gateway_notification(gateway, notification("x")).await.unwrap();
        assert_eq!((noticed.status, noticed.body.as_slice()), (200, &b"OK"[..]), "{url}: it goes on unanswered");
    }
    let strange = binding(&component, json!({ "ruse": "strange-secret" }));
    let gateway = place.altyn.binding_create(&place.request(), strange).await.unwrap().value.id;
    let tried = begin(&place, pay(gateway, 100, "RUB")).await;
    assert_eq!(trail(&place, tried.id).await, ["send", "not-sent", "outcome"]);
    assert!(kept(&place, tried.id).await.contains("there is no secret"));
    assert!(server.seen().is_empty(), "nothing left the host");
}

async fn an_unproven_claim_moves_only_what_it_agrees_with(place: Place) {
    let bad = bind(&place, "hostile-gateway", json!({ "ruse": "false-claim" })).await;
    let good = bind(&place, "pay-sandbox", json!({})).await;
    let other = begin(&place, pay(good, 10_005, "RUB")).await;
    let reply = place.altyn.gateway_notification(bad, notification(&other.id.to_string())).await.unwrap();
    assert_eq!(reply.body, b"REFUSED", "a gateway speaks of its own payments only");
    assert_eq!(verdict(&place.altyn.exchange_get(&place.request(), other.id).await.unwrap()), "pending");
    let own = begin(&place, pay(bad, 777, "RUB")).await;
    let reply = place.altyn.gateway_notification(bad, notification(&own.id.to_string())).await.unwrap();
    assert_eq!(reply.body, b"REFUSED", "and of the amounts that were asked for");
}
