//! Exchanges with gateways over the interface, and the one path that gateways themselves use.

use std::time::Duration;

use altyn_service::api_keys::Role;
use reqwest::Method;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    books::{bind, plugin},
    support::{Host, on_both_engines, send},
};

on_both_engines!(
    a_payment_is_begun_asked_about_and_given_back,
    a_repeated_request_is_the_same_payment,
    a_gateway_is_rehearsed_and_put_on_trial,
    a_notification_needs_no_key_and_is_answered_in_the_gateways_words,
    notifications_that_never_come_to_an_end_keep_nobody_waiting,
);

fn pay(binding: &serde_json::Value, amount_minor: i64) -> serde_json::Value {
    json!({ "operation": "pay", "binding_id": binding["id"], "amount_minor": amount_minor, "currency": "RUB", "description": "Internet" })
}

async fn a_payment_is_begun_asked_about_and_given_back(host: Host) {
    let (_, binding) = bind(&host, "pay-sandbox", json!({ "delay_ms": 0 })).await;
    let gateway = host.get(&format!("/v1/gateways/{}", binding["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(gateway["capabilities"]["refunds"], true);
    assert_eq!(gateway["missing_secrets"], json!(["notification-key"]), "the tenant keeps none");

    let begun = host.post("/v1/exchanges", &pay(&binding, 10_003)).await;
    let location = begun.header("location").unwrap().to_owned();
    let payment = begun.expect(201);
    assert_eq!(
        (&payment["verdict"]["is"], &payment["verdict"]["action"]["kind"]),
        (&json!("requires-action"), &json!("redirect"))
    );
    let ask = json!({ "operation": "status", "payment_id": payment["id"] });
    let asked = host.post("/v1/exchanges", &ask).await.expect(201);
    assert_eq!((&asked["about_id"], &asked["verdict"]["is"]), (&payment["id"], &json!("succeeded")));
    assert_eq!(host.get(&location).await.expect(200)["verdict"]["is"], "succeeded");

    let refund = json!({ "operation": "refund", "payment_id": payment["id"], "amount_minor": 3 });
    assert_eq!(host.post("/v1/exchanges", &refund).await.expect(201)["verdict"]["is"], "succeeded");
    let whole = json!({ "operation": "refund", "payment_id": payment["id"] });
    host.post("/v1/exchanges", &whole).await.problem(409, "refund-exceeds-payment");
    let steps = host.get(&format!("{location}/steps?limit=1")).await.expect(200);
    assert_eq!(steps["data"][0]["kind"], "outcome");
    let call = format!("/v1/plugin-calls/{}/evidence", steps["data"][0]["call_id"].as_str().unwrap());
    assert_eq!(host.get(&call).await.expect(200)["call"]["export"], "gateway.begin");
    let resumed =
        send(host.ask(Method::POST, &format!("{location}/resume")).header("idempotency-key", host.fresh())).await;
    assert_eq!(resumed.expect(200)["state"], "done");

    for wrong in [
        json!({ "operation": "pay", "binding_id": binding["id"], "amount_minor": 0, "currency": "RUB", "description": "x" }),
        json!({ "operation": "pay", "binding_id": binding["id"], "amount_minor": 1, "currency": "RUB", "description": "x", "shoes": 1 }),
        json!({ "operation": "steal", "payment_id": payment["id"] }),
    ] {
        let refused = host.post("/v1/exchanges", &wrong).await;
        assert_eq!(refused.status.as_u16(), 422, "{}", refused.text);
    }
    let (_, reader) = host.key(Role::ReadOnly).await;
    let tried =
        host.ask_as(&reader, Method::POST, "/v1/exchanges").header("idempotency-key", "k").json(&pay(&binding, 1));
    send(tried).await.problem(403, "forbidden");
    let (_, stranger) = host.stranger().await;
    send(host.ask_as(&stranger, Method::GET, &location)).await.problem(404, "not-found");
}

async fn a_gateway_is_rehearsed_and_put_on_trial(host: Host) {
    let (component, binding) = bind(&host, "pay-sandbox", json!({ "delay_ms": 0 })).await;
    let path = format!("/v1/bindings/{}", binding["id"].as_str().unwrap());
    let payment = host.post("/v1/exchanges", &pay(&binding, 10_001)).await.expect(201);
    assert_eq!((&payment["verdict"]["is"], payment.get("canary_id")), (&json!("declined"), None));
    let rehearse = |path: String, name: &str| {
        send(host.ask(Method::POST, &path).header("content-type", "application/wasm").body(plugin(name)))
    };
    let from = format!("{path}/shadow?from=2026-01-01");
    let same = rehearse(from.clone(), "pay-sandbox").await.expect(200);
    assert_eq!((&same["identical_percent"], &same["calls"]), (&json!("100.00"), &json!(1)), "{same}");
    let other = rehearse(format!("{from}&config=%7B%7D"), "hostile-gateway").await.expect(200);
    let told = &other["payments"][0];
    assert_eq!((&told["payment_id"], &told["difference_minor"]), (&payment["id"], &json!(10_001)), "{other}");
    assert_eq!((&told["reasons"], &other["payments_different"]), (&json!(["other-verdict"]), &json!(1)));
    rehearse(format!("{path}/shadow-next-run"), "pay-sandbox").await.problem(409, "nothing-to-shadow");

    let start = json!({ "component": component["digest"], "config": { "delay_ms": 60_000 } });
    let started = host.post(&format!("{path}/canary"), &start).await.expect(201);
    let payment = host.post("/v1/exchanges", &pay(&binding, 10_005)).await.expect(201);
    assert_eq!(payment["canary_id"], started["id"]);
    let counted = host.get(&format!("{path}/canary")).await.expect(200);
    assert_eq!((&counted["decisions"], &counted["faults"]), (&json!(1), &json!(0)));
}

async fn a_repeated_request_is_the_same_payment(host: Host) {
    let (_, binding) = bind(&host, "pay-sandbox", json!({})).await;
    let begin = || {
        send(host.ask(Method::POST, "/v1/exchanges").header("idempotency-key", "order-1").json(&pay(&binding, 10_000)))
    };
    let (first, again) = (begin().await, begin().await);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let (first, again) = (first.expect(201), again.expect(201));
    assert_eq!((&first["id"], &first["verdict"]), (&again["id"], &again["verdict"]));
    assert_eq!(host.get("/v1/exchanges").await.expect(200)["data"].as_array().unwrap().len(), 1);
}

async fn a_notification_needs_no_key_and_is_answered_in_the_gateways_words(host: Host) {
    let (_, binding) = bind(&host, "pay-sandbox", json!({})).await;
    let address = format!("{}/v1/gateways/{}/notifications", host.url, binding["id"].as_str().unwrap());
    for request in [host.client.post(&address).body("{}"), host.client.get(format!("{address}?a=b"))] {
        let answer = send(request).await;
        // A refusal in the words of the plugin, and no problem of ours.
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (403, "REJECTED"));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    assert!(
        host.get("/v1/exchanges").await.expect(200)["data"].as_array().unwrap().is_empty(),
        "nothing is left behind"
    );
    let signed = host.client.post(&address).header("x-signature", "00").body("{}");
    assert_eq!(send(signed).await.status.as_u16(), 503, "without its secret it is asked to come again");
    let nowhere = format!("{}/v1/gateways/bnd_0000000000000000000000000000002a/notifications", host.url);
    send(host.client.post(nowhere).body("x")).await.problem(404, "not-found");
    send(host.client.post(&address).body(vec![b'x'; (64 << 10) + 1])).await.problem(413, "body-too-large");
    send(host.client.delete(&address)).await.problem(405, "method-not-allowed");
}

async fn notifications_that_never_come_to_an_end_keep_nobody_waiting(host: Host) {
    let (_, binding) = bind(&host, "pay-sandbox", json!({})).await;
    let path = format!("/v1/gateways/{}/notifications", binding["id"].as_str().unwrap());
    let address = host.url.strip_prefix("http://").unwrap();
    // More than are ever worked on at once, each with a body that is promised and does not come.
    let mut unfinished = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 10\r\n\r\n{{");
        stream.write_all(head.as_bytes()).await.unwrap();
        unfinished.push(stream);
    }
    // Long enough for the host to have read what there is.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = send(host.client.post(format!("{}{path}", host.url)).body("{}")).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (403, "REJECTED"));
    drop(unfinished);
}
