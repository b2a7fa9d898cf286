//! Decision tables, renewals of a contract, operations that a person decides, and what stopped going on, over the interface.

use altyn_service::ports::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    books::{self, Books},
    support::{Host, on_both_engines, send},
};

on_both_engines!(
    a_table_forbids_and_a_contract_is_renewed_as_previewed,
    an_operation_waits_for_a_person_and_is_rejected_or_done,
    a_run_and_the_clock_go_on_when_somebody_says_so,
);

async fn order(host: &Host, path: &str) -> crate::support::Answer {
    send(host.ask(Method::POST, path).header("idempotency-key", host.fresh())).await
}

/// The day of the tenant, whatever day it is in Greenwich.
fn today() -> String {
    SystemClock.now().with_timezone(&chrono_tz::Europe::Moscow).date_naive().to_string()
}

/// A subscription whose periods begin by hand, from today on.
async fn by_hand(host: &Host, books: &Books) -> String {
    let wish = json!({ "contract_id": books.id("/v1/contracts"), "plan_code": "home-100", "starts_on": today(),
        "manual": true });
    host.post("/v1/subscriptions", &wish).await.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn renewed(host: &Host, books: &Books) -> Value {
    let path = format!("{}/renew", books.path("/v1/contracts"));
    let seen = order(host, &format!("{path}/preview")).await.expect(200);
    host.post(&path, &json!({ "plan_hash": "0".repeat(64) })).await.problem(409, "change-moved");
    let made = host.post(&path, &json!({ "plan_hash": seen["plan_hash"] })).await.expect(201);
    assert_eq!(made["skipped"], seen["effects"]["skipped"]);
    made
}

async fn a_table_forbids_and_a_contract_is_renewed_as_previewed(host: Host) {
    let books = books::prepare(&host).await;
    let id = by_hand(&host, &books).await;
    let made = renewed(&host, &books).await;
    assert_eq!(made["changes"][0]["subscription_id"], json!(id));
    assert_eq!((made["changes"].as_array().unwrap().len(), &made["changes"][0]["charged_minor"]), (1, &json!(59_000)));
    // The other one owes periods that no run has charged: it is left out and named.
    assert_eq!(made["skipped"][0]["subscription_id"], json!(books.id("/v1/subscriptions")));
    assert_eq!(made["skipped"][0]["reason_code"], "change-unbilled");

    let never = json!({ "rules": [{ "kind": "cancel", "timing": "forbidden" }] });
    assert_eq!(host.post("/v1/change-timings", &never).await.expect(200)["rules"][0]["timing"], "forbidden");
    let listed = host.get("/v1/change-timings").await.expect(200);
    assert_eq!((&listed["data"][0]["plan_id"], &listed["has_more"]), (&Value::Null, &json!(false)), "{listed}");
    let preview = format!("/v1/subscriptions/{id}/changes/preview");
    host.post(&preview, &json!({ "kind": "cancel" })).await.problem(409, "change-forbidden");
    let end = host.ask(Method::POST, &format!("/v1/subscriptions/{id}/cancel")).header("idempotency-key", "end-1");
    let version = host.get(&format!("/v1/subscriptions/{id}")).await.expect(200)["version"].to_string();
    let end = end.header("if-match", format!("\"{version}\"")).json(&json!({ "on": "2040-01-01" }));
    send(end).await.problem(409, "change-forbidden");
    let wrong = json!({ "rules": [{ "kind": "cancel", "timing": "sometimes" }] });
    host.post("/v1/change-timings", &wrong).await.problem(422, "invalid-request");
}

async fn an_operation_waits_for_a_person_and_is_rejected_or_done(host: Host) {
    let mut books = books::prepare(&host).await;
    let id = by_hand(&host, &books).await;
    renewed(&host, &books).await;
    let term = json!({ "name": "По решению", "stop_mode": "manual", "delete_mode": "manual", "grace_days": 0,
        "keep_days": 30 });
    let term = host.post("/v1/service-terms", &term).await.expect(201);
    let subscription = host.get(&format!("/v1/subscriptions/{id}")).await.expect(200);
    let version = format!("\"{}\"", subscription["version"]);
    let attach = json!({ "service_term_id": term["id"] });
    host.put(&format!("/v1/subscriptions/{id}/service-term"), &version, &attach).await.expect(200);
    let run = host.post("/v1/runs", &json!({ "business_on": today(), "mode": "automatic" })).await.expect(201);
    books.keep("/v1/runs", &run);
    books::advance(&host, &books).await;
    host.altyn.jobs_work(host.tenant, "test", SystemClock.now()).await.unwrap();
    let waiting = host.get("/v1/manual-operations?state=awaiting").await.expect(200);
    let operation = &waiting["data"][0];
    assert_eq!((&operation["subscription_id"], &operation["kind"]), (&json!(id), &json!("stop")), "{waiting}");
    let path = format!("/v1/manual-operations/{}", operation["id"].as_str().unwrap());
    host.post(&format!("{path}/reject"), &json!({ "reason": " " })).await.problem(422, "invalid-request");
    let (_, reader) = host.key(altyn_service::api_keys::Role::ReadOnly).await;
    let tried = host.ask_as(&reader, Method::POST, &format!("{path}/approve")).header("idempotency-key", "r");
    send(tried).await.problem(403, "forbidden");
    let done = order(&host, &format!("{path}/approve")).await.expect(200);
    assert_eq!(done["state"], "approved");
    assert_eq!(host.get(&path).await.expect(200)["state"], "approved");
    assert_eq!(host.get(&format!("/v1/subscriptions/{id}/life")).await.expect(200)["status"], "stopped");
    assert_eq!(order(&host, &format!("{path}/approve")).await.expect(200), done, "approved once");
    host.post(&format!("{path}/reject"), &json!({ "reason": "late" })).await.problem(409, "manual-operation-decided");
    order(&host, "/v1/manual-operations/mop_0190a5d0c0de7000800000000000002a/approve").await.problem(404, "not-found");
}

async fn a_run_and_the_clock_go_on_when_somebody_says_so(host: Host) {
    let mut books = books::prepare(&host).await;
    books::start(&host, &mut books, "with-confirmation").await;
    let path = books.path("/v1/runs");
    let run = order(&host, &format!("{path}/resume")).await.expect(200);
    assert_eq!(run["state"], "computing");
    // Two jobs for one run: whichever comes second finds nothing to do.
    host.altyn.jobs_work(host.tenant, "test", SystemClock.now()).await.unwrap();
    assert_eq!(host.get(&path).await.expect(200)["state"], "awaiting");
    let plans =
        host.get(&format!("{path}/plans?state=awaiting&seller_id={}", books.id("/v1/sellers"))).await.expect(200);
    assert_eq!((&plans["data"][0]["stage"], &plans["data"][0]["changes_minor"]), (&json!("day"), &json!(0)), "{plans}");
    assert_eq!(host.get(&format!("{path}/plans?group=vip")).await.expect(200)["data"], json!([]));
    let named = json!({ "contract_ids": [books.id("/v1/contracts")], "plan_id": books.id("/v1/plans") });
    host.post(&format!("{path}/confirm"), &named).await.expect(200);
    books::advance(&host, &books).await;
    assert_eq!(host.get(&path).await.expect(200)["state"], "done");
    order(&host, &format!("{path}/resume")).await.problem(409, "run-ended");
    order(&host, "/v1/runs/run_0190a5d0c0de7000800000000000002a/resume").await.problem(404, "not-found");

    let again =
        |key: &str| host.ask(Method::POST, "/v1/scheduler/accept-clock").header("idempotency-key", key.to_owned());
    let accepted = send(again("clock-1")).await;
    assert_eq!(send(again("clock-1")).await.text, accepted.text);
    assert_eq!(accepted.expect(200)["behind_ms"], 0);
    let below = again("clock-2").header("altyn-tenant", books.id("/v1/tenants"));
    send(below).await.problem(403, "forbidden");
    let (_, operator) = host.key(altyn_service::api_keys::Role::Operator).await;
    let tried = host.ask_as(&operator, Method::POST, "/v1/scheduler/accept-clock").header("idempotency-key", "o");
    send(tried).await.problem(403, "forbidden");
}
