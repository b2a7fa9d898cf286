//! Subscriptions through the interface: edited, activated, moved to another zone, and not renewed for want of money.

use altyn_service::runs::Advanced;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    books,
    support::{Answer, Host, on_both_engines, send},
};

on_both_engines!(a_subscription_is_edited_and_activated, a_zone_and_what_a_run_withheld_are_read_back);

async fn patch(host: &Host, path: &str, version: i64, body: &Value) -> Answer {
    let request = host.ask(Method::PATCH, path).header("if-match", format!("\"{version}\""));
    send(request.header("idempotency-key", host.fresh()).json(body)).await
}

async fn a_subscription_is_edited_and_activated(host: Host) {
    let books = books::prepare(&host).await;
    let path = books.path("/v1/subscriptions");
    let version = host.get(&path).await.expect(200)["version"].as_i64().unwrap();
    let wish =
        json!({ "description": "Third floor", "discount_percent": "10", "short_funds": "retry", "retry_days": 3 });
    let edited = patch(&host, &path, version, &wish).await.expect(200);
    assert_eq!((&edited["description"], &edited["short_funds"]), (&json!("Third floor"), &json!("retry")));
    assert_eq!(edited["period_price_minor"], 53_100);
    patch(&host, &path, version, &wish).await.problem(412, "stale-version");
    let version = edited["version"].as_i64().unwrap();
    let cleared = patch(&host, &path, version, &json!({ "description": null, "retry_days": null })).await.expect(200);
    assert_eq!((&cleared["description"], &cleared["discount_percent"]), (&Value::Null, &json!("10")));
    let refused = patch(&host, &path, version + 1, &json!({ "quantity": "2" })).await.problem(422, "invalid-request");
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("change-quantity"), "{refused}");

    let (_, strange) = host.stranger().await;
    let other = host.ask_as(&strange, Method::PATCH, &path).header("if-match", "\"1\"");
    send(other.header("idempotency-key", host.fresh()).json(&json!({}))).await.problem(404, "not-found");

    let order = json!({ "contract_id": books.id("/v1/contracts"), "plan_id": books.id("/v1/plans"),
        "starts_on": "2026-11-20", "pending": true });
    let ordered = host.post("/v1/subscriptions", &order).await.expect(201);
    assert_eq!(ordered["status"], "pending");
    let waiting = host.get("/v1/subscriptions?status=pending").await.expect(200);
    assert_eq!(waiting["data"].as_array().unwrap().len(), 1, "{waiting}");
    let activate = format!("/v1/subscriptions/{}/activate", ordered["id"].as_str().unwrap());
    let request = |version: &str| {
        let request = host.ask(Method::POST, &activate).header("if-match", format!("\"{version}\""));
        send(request.header("idempotency-key", host.fresh()).json(&json!({ "on": "2026-11-15" })))
    };
    let active = request("1").await.expect(200);
    assert_eq!((&active["status"], &active["anchor_on"]), (&json!("active"), &json!("2026-11-15")));
    request("2").await.problem(409, "subscription-not-pending");
}

async fn a_zone_and_what_a_run_withheld_are_read_back(host: Host) {
    let mut books = books::prepare(&host).await;
    let subscription = books.path("/v1/subscriptions");
    patch(&host, &subscription, 1, &json!({ "short_funds": "retry" })).await.expect(200);
    let contract = books.path("/v1/contracts");
    let version = host.get(&contract).await.expect(200)["version"].as_i64().unwrap();
    let moved = patch(&host, &contract, version, &json!({ "zone": "Asia/Vladivostok" })).await.expect(200);
    assert_eq!(moved["zone"], "Asia/Vladivostok");
    patch(&host, &contract, version + 1, &json!({ "zone": "Nowhere" })).await.problem(422, "invalid-request");
    books::start(&host, &mut books, "automatic").await;
    assert_eq!(books::advance(&host, &books).await, Advanced::Done);
    let told = host.get(&format!("{}/withheld", books.path("/v1/runs"))).await.expect(200);
    let told = &told["data"][0];
    assert_eq!((&told["subscription_id"], &told["outcome"]), (&json!(books.id("/v1/subscriptions")), &json!("waits")));
    assert_eq!((&told["needed_minor"], &told["available_minor"]), (&json!(59_000), &json!(15_000)));
    assert_eq!(told["reason"], "590.00 RUB is needed, 150.00 RUB is there: the period waits for money");
    host.get("/v1/runs/run_0190a5d0c0de7000800000000000002a/withheld").await.problem(404, "not-found");
}
