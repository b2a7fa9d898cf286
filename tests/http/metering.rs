//! Recorded use through the interface: batches in both forms, and what they come to.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    books::{self, DAY},
    support::{Answer, Host, on_both_engines, send},
};

on_both_engines!(use_is_recorded_once_and_shown_with_its_price, a_batch_that_cannot_be_read_records_nothing);

/// A subscription with 10 units included and 16.00 each further, in service from [`books::DAY`] and billed once.
async fn metered(host: &Host) -> String {
    let mut books = books::prepare(host).await;
    let plan = json!({ "code": "metered", "title": "По счётчику", "status": "active", "version": {
        "effective_from": "2026-01-01", "cadence": "1m", "price_mode": "included",
        "components": [{ "code": "traffic", "title": "Трафик", "kind": "metered", "unit_price_minor": 0,
            "product_id": books.id("/v1/products"), "metered": { "meter_id": books.id("/v1/meters"),
                "included": "10", "tiers": [{ "unit_price": "16" }] } }],
    }});
    let plan = host.post("/v1/plans", &plan).await.expect(201);
    let component = &plan["versions"][0]["components"][0];
    assert_eq!((&component["metered"]["included"], &component["prepayment_percent"]), (&json!("10"), &json!(0)));
    let subscription = json!({ "contract_id": books.id("/v1/contracts"), "plan_code": "metered", "starts_on": DAY });
    let subscription = host.post("/v1/subscriptions", &subscription).await.expect(201);
    books::start(host, &mut books, "automatic").await;
    books::advance(host, &books).await;
    subscription["id"].as_str().unwrap().to_owned()
}

fn event(subscription: &str, id: &str, quantity: &str) -> Value {
    json!({ "id": id, "subscription_id": subscription, "meter": "traffic", "occurred_at": format!("{DAY}T12:00:00+03:00"),
        "quantity": quantity })
}

async fn record(host: &Host, key: &str, media_type: &str, body: String) -> Answer {
    let request = host.ask(Method::POST, "/v1/usage/events").header("idempotency-key", key);
    send(request.header("content-type", media_type).body(body)).await
}

async fn use_is_recorded_once_and_shown_with_its_price(host: Host) {
    let subscription = metered(&host).await;
    let batch = json!({ "events": [event(&subscription, "e-1", "12.5"), event(&subscription, "e-2", "-1")] });
    let first = record(&host, "batch-1", "application/json", batch.to_string()).await;
    let again = record(&host, "batch-1", "application/json", batch.to_string()).await;
    assert_eq!(again.text, first.text, "the same key has the same answer");
    let report = first.expect(200);
    assert_eq!((&report["accepted"], &report["refused"][0]["position"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(report["refused"][0]["code"], "invalid-event");

    let lines = format!("{}\n{}\nno event\n", event(&subscription, "e-1", "12.5"), event(&subscription, "e-3", "0.5"));
    let report = record(&host, "batch-2", "application/x-ndjson", lines).await.expect(200);
    assert_eq!((&report["accepted"], &report["repeated"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(report["refused"].as_array().unwrap().len(), 1);

    let windows = host.get(&format!("/v1/subscriptions/{subscription}/usage")).await.expect(200);
    let window = &windows["data"][0];
    assert_eq!((&window["used"], &window["events"], &window["amount_minor"]), (&json!("13"), &json!(2), &json!(4_800)));
    assert_eq!((&window["state"], &window["explanation"]), (&json!("open"), &json!("13 used, 10 included: 3 × 16")));
    let events = format!("/v1/usage/events?subscription_id={subscription}&meter=traffic");
    let listed = host.get(&format!("{events}&limit=1")).await.expect(200);
    assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&json!("e-1"), &json!(true)), "{listed}");
    let cursor = listed["next_cursor"].as_str().unwrap();
    assert_eq!(host.get(&format!("{events}&cursor={cursor}")).await.expect(200)["data"][0]["id"], "e-3");
    let of_window = format!("{events}&window_id={}", window["id"].as_str().unwrap());
    assert_eq!(host.get(&of_window).await.expect(200)["data"].as_array().unwrap().len(), 2);
    host.get(&format!("{events}&cursor=x")).await.problem(422, "invalid-request");
    host.get("/v1/usage/events").await.problem(400, "invalid-query");
}

async fn a_batch_that_cannot_be_read_records_nothing(host: Host) {
    let subscription = metered(&host).await;
    let good = event(&subscription, "e-1", "1");
    let wrong = json!({ "events": [good, { "id": 7 }] });
    record(&host, "wrong-1", "application/json", wrong.to_string()).await.problem(422, "invalid-request");
    record(&host, "wrong-2", "text/csv", "a;b".to_owned()).await.problem(415, "unsupported-media-type");
    record(&host, "wrong-3", "application/json", json!({ "events": [] }).to_string())
        .await
        .problem(422, "invalid-request");
    record(&host, "wrong-4", "application/x-ndjson", " ".repeat((8 << 20) + 1)).await.problem(413, "body-too-large");
    let unkeyed = host.ask(Method::POST, "/v1/usage/events").json(&json!({ "events": [] }));
    send(unkeyed).await.problem(400, "idempotency-key-required");
    let windows = host.get(&format!("/v1/subscriptions/{subscription}/usage")).await.expect(200);
    assert_eq!(windows["data"][0]["events"], 0);
}
