//! What plugin calls took and may take, and the figures for Prometheus.

use altyn_service::api_keys::Role;
use reqwest::Method;
use serde_json::json;

use crate::support::{Host, key, on_both_engines, send};

on_both_engines!(
    limits_are_lowered_by_version_and_never_raised,
    usage_is_a_page_of_the_acting_tenant,
    metrics_take_an_administrators_key_of_a_root_tenant,
);

async fn limits_are_lowered_by_version_and_never_raised(host: Host) {
    let all = host.get("/v1/plugin-limits").await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 4, "one for each world");
    let path = "/v1/plugin-limits/tax-rule";
    let read = host.get(path).await;
    assert_eq!(read.header("etag"), Some("\"0\""));
    let most = read.expect(200)["in_force"]["fuel"].as_u64().unwrap();
    let problem = host.put(path, "\"0\"", &json!({ "fuel": most + 1 })).await.problem(422, "invalid-request");
    assert_eq!(problem["errors"][0]["pointer"], "/fuel", "{problem}");
    host.put(path, "\"0\"", &json!({ "feul": 1 })).await.problem(422, "invalid-request");
    let set = host.put(path, "\"0\"", &json!({ "fuel": 9 })).await;
    assert_eq!(set.header("etag"), Some("\"1\""));
    assert_eq!(set.expect(200)["in_force"]["fuel"], 9);
    host.put(path, "\"0\"", &json!({ "fuel": 8 })).await.problem(412, "stale-version");
    host.get("/v1/plugin-limits/rating").await.problem(404, "not-found");
    let (_, reader) = host.key(Role::Operator).await;
    send(host.ask_as(&reader, Method::GET, path)).await.problem(403, "forbidden");
}

async fn usage_is_a_page_of_the_acting_tenant(host: Host) {
    let page = host.get("/v1/plugins/usage?from=2026-11-01&until=2026-12-01&limit=5").await.expect(200);
    assert_eq!(page, json!({ "data": [], "has_more": false, "next_cursor": null }));
    host.get("/v1/plugins/usage?from=2026-12-01&until=2026-11-01").await.problem(422, "invalid-request");
    host.get("/v1/plugins/usage?cursor=ff").await.problem(422, "invalid-request");
    host.get("/v1/plugins/usage?since=2026-12-01").await.problem(400, "invalid-query");
}

async fn metrics_take_an_administrators_key_of_a_root_tenant(host: Host) {
    let url = format!("{}/metrics", host.url);
    send(host.client.get(&url)).await.problem(401, "unauthorized");
    let (_, operator) = host.key(Role::Operator).await;
    send(host.ask_as(&operator, Method::GET, "/metrics")).await.problem(403, "forbidden");
    let below = host.post("/v1/tenants", &json!({ "name": "Дилер" })).await.expect(201);
    let below = below["id"].as_str().unwrap().parse().unwrap();
    let (_, dealer) = key(&host.altyn, below, Role::Admin).await;
    send(host.ask_as(&dealer, Method::GET, "/metrics")).await.problem(403, "forbidden");
    let answer = host.get("/metrics").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.text.contains("# TYPE altyn_plugin_calls_running gauge\naltyn_plugin_calls_running 0"));
}
