//! Orders, notices and events through the interface.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    books,
    support::{Host, on_both_engines, send},
};

on_both_engines!(an_order_is_previewed_placed_and_taken_back, notices_and_events_are_read_back);

async fn an_order_is_previewed_placed_and_taken_back(host: Host) {
    let books = books::prepare(&host).await;
    let wish = |on: &str| -> Value {
        json!({ "subscription": {
            "contract_id": books.id("/v1/contracts"), "plan_id": books.id("/v1/plans"), "starts_on": on } })
    };
    let seen = host.post("/v1/orders/preview", &wish("2026-11-20")).await.expect(200);
    assert_eq!((&seen["effects"]["status"], &seen["effects"]["amount_minor"]), (&json!("opened"), &json!(59_000)));
    assert_eq!((&seen["available_minor"], &seen["effects"]["postings"]), (&json!(15_000), &json!([])));
    let mut order = wish("2026-11-20");
    order["plan_hash"] = json!("0".repeat(64));
    let moved = host.post("/v1/orders", &order).await.problem(409, "order-moved");
    assert!(moved["details"][0].as_str().unwrap().contains("59000"), "{moved}");
    order["plan_hash"] = seen["plan_hash"].clone();
    let placed = host.post("/v1/orders", &order).await;
    assert!(placed.header("location").unwrap().starts_with("/v1/orders/ord_"));
    let placed = placed.expect(201);
    assert_eq!((&placed["status"], &placed["charge_status"]), (&json!("opened"), &json!("opened")));
    let path = format!("/v1/orders/{}", placed["id"].as_str().unwrap());
    let activate = format!("/v1/subscriptions/{}/activate", placed["subscription_id"].as_str().unwrap());
    let request = host.ask(Method::POST, &activate).header("if-match", "\"1\"");
    let unpaid = send(request.header("idempotency-key", host.fresh()).json(&json!({}))).await;
    unpaid.problem(409, "order-unpaid");
    let listed = host.get("/v1/orders?status=opened").await.expect(200);
    assert_eq!(listed["data"][0]["id"], placed["id"], "{listed}");

    let (_, strange) = host.stranger().await;
    send(host.ask_as(&strange, Method::GET, &path)).await.problem(404, "not-found");
    let back =
        send(host.ask(Method::POST, &format!("{path}/cancel")).header("idempotency-key", "back")).await.expect(200);
    assert_eq!((&back["status"], &back["charge_status"]), (&json!("cancelled"), &json!("new")));
    let again = host.ask(Method::POST, &format!("{path}/cancel")).header("idempotency-key", "back-2");
    send(again).await.problem(409, "order-ended");
    assert_eq!(host.get(&path).await.expect(200)["status"], "cancelled");

    assert_eq!(host.get("/v1/order-policy").await.expect(200)["version"], 0);
    let set = host.put("/v1/order-policy", "\"0\"", &json!({ "cancel_unpaid_days": 5 })).await.expect(200);
    assert_eq!((&set["cancel_unpaid_days"], &set["version"]), (&json!(5), &json!(1)));
    host.put("/v1/order-policy", "\"1\"", &json!({ "cancel_unpaid_days": -1 })).await.problem(422, "invalid-request");
    let waits = host.post("/v1/orders", &wish("2026-11-20")).await.expect(201);
    assert!(waits["expires_on"].is_string(), "{waits}");
}

async fn notices_and_events_are_read_back(host: Host) {
    books::prepare(&host).await;
    assert_eq!(host.get("/v1/notice-policy").await.expect(200)["first_days"], Value::Null);
    let days = json!({ "first_days": 7, "second_days": 1 });
    assert_eq!(host.put("/v1/notice-policy", "\"0\"", &days).await.expect(200)["version"], 1);
    host.put("/v1/notice-policy", "\"0\"", &days).await.problem(412, "stale-version");
    let wrong = json!({ "first_days": 1, "second_days": 7 });
    let refused = host.put("/v1/notice-policy", "\"1\"", &wrong).await.problem(422, "invalid-request");
    assert_eq!(refused["errors"][0]["pointer"], "/second_days");
    host.get("/v1/events?kind=nothing.of-the-kind").await.expect(200);
    host.get("/v1/events?colour=red").await.problem(400, "invalid-query");
}
