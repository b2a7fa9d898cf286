//! Who may do what: keys, roles, tenants.

use altyn_service::api_keys::Role;
use reqwest::Method;
use serde_json::json;

use crate::support::{Host, on_both_engines, send};

on_both_engines!(
    a_request_without_a_valid_key_is_refused,
    a_role_permits_what_it_says,
    a_revoked_key_is_refused_at_once,
    a_key_acts_for_its_subtree_only,
    a_self_service_key_sells_public_plans_on_their_terms,
);

async fn a_request_without_a_valid_key_is_refused(host: Host) {
    let url = format!("{}/v1/customers", host.url);
    let zeros = format!("Bearer alt_{}", "0".repeat(64));
    for authorization in [None, Some("Bearer"), Some("Bearer alt_1"), Some(zeros.as_str()), Some("Basic YWx0OmFsdA==")]
    {
        let mut request = host.client.get(&url);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let answer = send(request).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"altyn\""), "{authorization:?}");
        answer.problem(401, "unauthorized");
    }
    // A key never travels in an address, where logs and histories keep it.
    let answer = send(host.client.get(format!("{url}?api_key={}", host.admin))).await;
    answer.problem(401, "unauthorized");
}

async fn a_role_permits_what_it_says(host: Host) {
    let areas = ["tenants", "api-keys", "plugins", "plugin-keys", "plugin-limits", "bindings", "secrets", "grants"];
    let business = ["customers", "runs", "ledger/accounts"];
    for role in [Role::SelfService, Role::ReadOnly, Role::Operator, Role::Admin] {
        let (_, key) = host.key(role).await;
        for area in areas {
            let status = send(host.ask_as(&key, Method::GET, &format!("/v1/{area}"))).await.status.as_u16();
            assert_eq!(status, if role == Role::Admin { 200 } else { 403 }, "{role:?} reads {area}");
        }
        for area in business {
            let status = send(host.ask_as(&key, Method::GET, &format!("/v1/{area}"))).await.status.as_u16();
            assert_eq!(status, if role == Role::SelfService { 403 } else { 200 }, "{role:?} reads {area}");
        }
        // An empty command is refused for its role or for its fields, whichever comes first.
        for path in ["/v1/customers", "/v1/ledger/transactions"] {
            let request =
                host.ask_as(&key, Method::POST, path).header("idempotency-key", host.fresh()).json(&json!({}));
            let answer = send(request).await;
            match role {
                Role::SelfService | Role::ReadOnly => answer.problem(403, "forbidden"),
                Role::Operator | Role::Admin => answer.problem(422, "invalid-request"),
            };
        }
    }
}

async fn a_revoked_key_is_refused_at_once(host: Host) {
    let (id, key) = host.key(Role::Operator).await;
    assert_eq!(send(host.ask_as(&key, Method::GET, "/v1/customers")).await.status, 200);
    let revoke = host.ask(Method::POST, &format!("/v1/api-keys/{id}/revoke")).header("idempotency-key", "revoke-1");
    assert!(send(revoke).await.expect(200)["revoked_at"].is_string());
    send(host.ask_as(&key, Method::GET, "/v1/customers")).await.problem(401, "unauthorized");
}

async fn a_key_acts_for_its_subtree_only(host: Host) {
    let child = host.post("/v1/tenants", &json!({ "name": "Филиал" })).await.expect(201)["id"].clone();
    let child = child.as_str().unwrap();
    let (stranger, stranger_key) = host.stranger().await;

    let customer = json!({ "kind": "individual", "name": "Иванов Иван" });
    let request =
        host.ask(Method::POST, "/v1/customers").header("idempotency-key", "c-1").header("altyn-tenant", child);
    let created = send(request.json(&customer)).await.expect(201);
    let path = format!("/v1/customers/{}", created["id"].as_str().unwrap());

    // The parent sees the child's customer when it acts for the child, and not otherwise.
    send(host.ask(Method::GET, &path).header("altyn-tenant", child)).await.expect(200);
    host.get(&path).await.problem(404, "not-found");

    // Strangers, unknown tenants and nonsense are one and the same answer.
    for tenant in [stranger.to_string(), "ten_0190a5d0c0de7000800000000000002a".into(), "cus_1".into(), String::new()] {
        send(host.ask(Method::GET, "/v1/customers").header("altyn-tenant", tenant)).await.problem(404, "not-found");
    }
    // A child acts for itself and never for its parent.
    let parent = host.tenant.to_string();
    send(host.ask_as(&stranger_key, Method::GET, "/v1/customers").header("altyn-tenant", parent))
        .await
        .problem(404, "not-found");
    send(host.ask_as(&stranger_key, Method::GET, &path)).await.problem(404, "not-found");
}

async fn a_self_service_key_sells_public_plans_on_their_terms(host: Host) {
    let (_, key) = host.key(Role::SelfService).await;
    let product = json!({ "code": "net", "title": "Интернет", "tax_category": "standard" });
    let product = host.post("/v1/products", &product).await.expect(201)["id"].clone();
    let plan = |code: &str, visibility: &str| {
        json!({ "code": code, "title": code, "status": "active", "visibility": visibility, "version": {
            "effective_from": "2020-01-01", "cadence": "1m", "price_mode": "included", "components": [
                { "code": "access", "title": "Доступ", "product_id": product, "unit_price_minor": 59_000 }] } })
    };
    let open = host.post("/v1/plans", &plan("open-1m", "public")).await.expect(201)["id"].clone();
    let hidden = host.post("/v1/plans", &plan("vip-1m", "private")).await.expect(201)["id"].clone();
    let path = |id: &serde_json::Value| format!("/v1/plans/{}", id.as_str().unwrap());

    let listed = send(host.ask_as(&key, Method::GET, "/v1/plans")).await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().iter().map(|plan| &plan["id"]).collect::<Vec<_>>(), [&open]);
    send(host.ask_as(&key, Method::GET, &path(&open))).await.expect(200);
    send(host.ask_as(&key, Method::GET, &path(&hidden))).await.problem(404, "not-found");
    let private = host.get("/v1/plans?visibility=private").await.expect(200);
    assert_eq!(private["data"][0]["id"], hidden);
    // It acts for its own tenant only, whatever lies below.
    let child = host.post("/v1/tenants", &json!({ "name": "Филиал" })).await.expect(201)["id"].clone();
    let below = host.ask_as(&key, Method::GET, "/v1/plans").header("altyn-tenant", child.as_str().unwrap());
    send(below).await.problem(404, "not-found");

    let customer = json!({ "kind": "individual", "name": "Иванов Иван" });
    let customer = host.post("/v1/customers", &customer).await.expect(201)["id"].clone();
    let seller = json!({ "name": "ООО «Продавец»", "kind": "legal-entity", "inn": "7707083893", "kpp": "773601001",
        "ogrn": "1027700132195", "vat_regime": "general" });
    let seller = host.post("/v1/sellers", &seller).await.expect(201)["id"].clone();
    let contract = json!({ "customer_id": customer, "seller_id": seller, "number": "Д-1", "kind": "prepaid" });
    let contract = host.post("/v1/contracts", &contract).await.expect(201)["id"].clone();
    let sell = async |command: serde_json::Value| {
        let request = host.ask_as(&key, Method::POST, "/v1/subscriptions").header("idempotency-key", host.fresh());
        send(request.json(&command)).await
    };
    let wish = |code: &str| json!({ "contract_id": contract, "plan_code": code, "starts_on": "2035-01-01" });
    sell(wish("vip-1m")).await.problem(403, "plan-private");
    let mut discounted = wish("open-1m");
    discounted["discount_percent"] = json!("100");
    sell(discounted).await.problem(403, "manager-only");
    let sold = sell(wish("open-1m")).await.expect(201);
    assert_eq!(sold["plan_id"], open);
}
