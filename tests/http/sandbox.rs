//! A tenant with a clock of its own over the interface, and who must agree to its plans.

use altyn_domain::id::TenantId;
use altyn_service::{api_keys::Role, runs::Advanced};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    books,
    support::{Host, key, on_both_engines, send},
};

on_both_engines!(a_sandbox_is_entered_lived_in_wiped_and_left, two_keys_confirm_and_a_parked_contract_is_assigned);

/// What a host that serves does between two requests.
async fn turn(host: &Host) {
    let tenant =
        host.altyn.tenant_get(&altyn_service::Request::internal(host.tenant, "test"), host.tenant).await.unwrap();
    host.altyn.sandbox_turn(&tenant, "test").await.unwrap().unwrap();
}

async fn empty(host: &Host, path: &str) -> crate::support::Answer {
    send(host.ask(Method::POST, path).header("idempotency-key", host.fresh())).await
}

async fn a_sandbox_is_entered_lived_in_wiped_and_left(mut host: Host) {
    let child = host.post("/v1/tenants", &json!({ "name": "Пробный" })).await.expect(201);
    host.get("/v1/sandbox").await.problem(404, "not-found");
    let enter = send(
        host.ask(Method::POST, "/v1/sandbox")
            .header("altyn-tenant", child["id"].as_str().unwrap())
            .header("idempotency-key", host.fresh())
            .json(&json!({ "now_at": "2026-11-01T09:00:00Z" })),
    )
    .await
    .expect(201);
    assert_eq!((&enter["now_at"], &enter["today_on"]), (&json!("2026-11-01T09:00:00Z"), &json!("2026-11-01")));
    host.get("/v1/sandbox").await.problem(404, "not-found");

    // From here on the child's own key.
    let child: TenantId = child["id"].as_str().unwrap().parse().unwrap();
    host.admin = key(&host.altyn, child, Role::Admin).await.1;
    host.tenant = child;
    books::prepare(&host).await;
    host.post("/v1/runs", &json!({ "business_on": "2026-11-02" })).await.problem(409, "day-not-over");
    host.post("/v1/sandbox/advance", &json!({ "to_on": "2026-10-01" })).await.problem(422, "invalid-request");
    let going = host.post("/v1/sandbox/advance", &json!({ "to_on": "2027-01-01" })).await.expect(200);
    assert_eq!((&going["mode"], going["until_at"].is_string()), (&json!("automatic"), true));
    empty(&host, "/v1/sandbox/wipe").await.problem(409, "sandbox-under-way");
    turn(&host).await;
    let there = host.get("/v1/sandbox").await.expect(200);
    assert_eq!((&there["today_on"], &there["until_at"]), (&json!("2027-01-01"), &Value::Null));
    let invoices = host.get("/v1/invoices").await.expect(200)["data"].as_array().unwrap().len();
    assert!(invoices >= 2, "{invoices} invoices of two months");
    empty(&host, "/v1/sandbox/leave").await.problem(409, "sandbox-not-empty");

    let (_, reader) = key(&host.altyn, child, Role::Operator).await;
    let tried = host.ask_as(&reader, Method::POST, "/v1/sandbox/wipe").header("idempotency-key", "w");
    send(tried).await.problem(403, "forbidden");
    empty(&host, "/v1/sandbox/wipe").await.expect(200);
    assert_eq!(host.get("/v1/customers").await.expect(200)["data"], json!([]));
    assert_eq!(host.get("/v1/plans").await.expect(200)["data"].as_array().unwrap().len(), 1);
    empty(&host, "/v1/sandbox/leave").await.expect(200);
    host.get("/v1/sandbox").await.problem(404, "not-found");
}

async fn two_keys_confirm_and_a_parked_contract_is_assigned(host: Host) {
    let rules = json!({ "four_eyes": true, "largest_gross_minor": 100 });
    send(host.ask(Method::PUT, "/v1/approval-policy").json(&rules)).await.problem(428, "version-required");
    let set = host.put("/v1/approval-policy", "\"0\"", &rules).await.expect(200);
    assert_eq!((&set["four_eyes"], &set["version"]), (&json!(true), &json!(1)));
    host.put("/v1/approval-policy", "\"0\"", &rules).await.problem(412, "stale-version");
    let wrong = json!({ "largest_change_percent": "-1" });
    host.put("/v1/approval-policy", "\"1\"", &wrong).await.problem(422, "invalid-request");
    let (_, operator) = host.key(Role::Operator).await;
    let tried = host.ask_as(&operator, Method::PUT, "/v1/approval-policy").header("if-match", "\"1\"").json(&rules);
    send(tried).await.problem(403, "forbidden");

    let mut books = books::prepare(&host).await;
    books::start(&host, &mut books, "with-confirmation").await;
    assert_eq!(books::advance(&host, &books).await, Advanced::Awaiting);
    let run = books.path("/v1/runs");
    let path = format!("{run}/plans/{}", books.id("/v1/contracts"));
    let seen = json!({ "plan_hash": host.get(&path).await.expect(200)["plan_hash"] });
    let confirm = |key: &str| {
        let confirm = host.ask_as(key, Method::POST, &format!("{path}/confirm"));
        send(confirm.header("idempotency-key", host.fresh()).json(&seen))
    };
    let first = confirm(&operator).await.expect(200);
    assert_eq!((&first["state"], first["confirmed_by"].is_string()), (&json!("awaiting"), true));
    confirm(&operator).await.problem(409, "second-confirmation-needed");
    let assign = format!("{path}/assign");
    host.post(&assign, &json!({ "owner": "m.orlova" })).await.problem(409, "plan-not-parked");
    assert_eq!(confirm(&host.admin).await.expect(200)["state"], "approved");
    assert_eq!(books::advance(&host, &books).await, Advanced::Done);
    assert_eq!(host.get("/v1/parked-contracts?unowned=true").await.expect(200)["data"], json!([]));
    host.get("/v1/parked-contracts?unowned=true&owner=x").await.problem(422, "invalid-request");
}
