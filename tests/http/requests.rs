//! What every request must and must not carry, and what every answer carries.

use altyn_store::{Engine, Scope};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Host, on_both_engines, send};

on_both_engines!(
    a_hundred_identical_posts_have_one_effect,
    a_key_is_not_reused_for_another_request,
    a_post_without_a_usable_key_is_refused,
    a_change_needs_the_version_that_was_read,
    a_list_is_paged_without_gaps_or_repetitions,
    a_query_has_known_parameters_only,
    a_body_is_refused_with_its_reason,
    an_unknown_path_or_method_is_a_problem,
    every_answer_carries_its_id_and_its_guards,
    a_host_without_its_database_is_alive_and_not_ready,
    a_host_over_a_schema_of_another_number_is_not_ready,
    a_stopping_host_ends,
);

fn customer(name: &str) -> Value {
    json!({ "kind": "individual", "name": name })
}

async fn a_hundred_identical_posts_have_one_effect(host: Host) {
    let answers = join_all((0..100).map(|_| {
        send(host.ask(Method::POST, "/v1/customers").header("idempotency-key", "storm").json(&customer("Одна")))
    }))
    .await;
    assert!(
        answers.iter().all(|answer| answer.status == 201),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    assert!(answers.iter().all(|answer| answer.text == answers[0].text), "all bodies are equal");
    let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed") == Some("true")).count();
    assert_eq!(replayed, 99);
    let list = host.get("/v1/customers").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "{list}");
}

async fn a_key_is_not_reused_for_another_request(host: Host) {
    let post =
        |path: &str, body: Value| send(host.ask(Method::POST, path).header("idempotency-key", "once").json(&body));
    let first = post("/v1/customers", customer("Первый")).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    let first = first.expect(201);
    post("/v1/customers", customer("Второй")).await.problem(422, "idempotency-key-reused");
    // A refused request leaves the first answer as it was.
    assert_eq!(post("/v1/customers", customer("Первый")).await.expect(201), first);
    // A key belongs to its operation: elsewhere it is free.
    post("/v1/tenants", json!({ "name": "Филиал" })).await.expect(201);
}

async fn a_post_without_a_usable_key_is_refused(host: Host) {
    let post = || host.ask(Method::POST, "/v1/customers").json(&customer("Иванов"));
    send(post()).await.problem(400, "idempotency-key-required");
    for key in ["", "with space", &"k".repeat(256)] {
        send(post().header("idempotency-key", key)).await.problem(400, "idempotency-key-invalid");
    }
    send(post().header("idempotency-key", "k".repeat(255))).await.expect(201);
}

async fn a_change_needs_the_version_that_was_read(host: Host) {
    let created = host.post("/v1/customers", &customer("Иванов")).await;
    let (etag, location) = (created.header("etag").unwrap().to_owned(), created.header("location").unwrap().to_owned());
    let created = created.expect(201);
    assert_eq!(etag, format!("\"{}\"", created["version"]));
    assert_eq!(location, format!("/v1/customers/{}", created["id"].as_str().unwrap()));
    let read = host.get(&location).await;
    assert_eq!(read.header("etag"), Some(etag.as_str()));
    assert_eq!(read.expect(200), created);

    send(host.ask(Method::PUT, &location).json(&customer("x"))).await.problem(428, "version-required");
    for wrong in ["\"7\"", "7", "W/\"1\"", "*"] {
        host.put(&location, wrong, &customer("Петров")).await.problem(412, "stale-version");
    }
    // Two changes of one version: one is made, the other is told.
    let (petrov, sidorov) = (customer("Петров"), customer("Сидоров"));
    let (one, two) = tokio::join!(host.put(&location, &etag, &petrov), host.put(&location, &etag, &sidorov));
    let (made, refused) = if one.status == 200 { (one, two) } else { (two, one) };
    let next = made.header("etag").unwrap().to_owned();
    assert_ne!(next, etag);
    made.expect(200);
    refused.problem(412, "stale-version");
    assert_eq!(host.get(&location).await.header("etag"), Some(next.as_str()));
}

async fn a_list_is_paged_without_gaps_or_repetitions(host: Host) {
    let mut before = Vec::new();
    for number in 0..12 {
        let created = host.post("/v1/customers", &customer(&format!("Абонент {number}"))).await.expect(201);
        before.push(created["id"].as_str().unwrap().to_owned());
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = host.get(&format!("/v1/customers?limit=5{cursor}")).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        // Rows that come while a list is read neither repeat nor hide the others.
        host.post("/v1/customers", &customer("Новый")).await.expect(201);
        if page["has_more"] == false {
            assert_eq!(page["next_cursor"], Value::Null);
            break;
        }
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap());
    }
    assert_eq!(seen[..before.len()], before[..]);
    let mut distinct = seen.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len());
    for (query, status) in [("limit=0", 422), ("limit=101", 422), ("cursor=run_1", 422), ("limit=ten", 400)] {
        let answer = host.get(&format!("/v1/customers?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
    }
}

async fn a_query_has_known_parameters_only(host: Host) {
    let problem = host.get("/v1/customers?sort=name").await.problem(400, "invalid-query");
    let detail = problem["detail"].as_str().unwrap();
    assert!(["sort", "limit", "cursor"].iter().all(|name| detail.contains(name)), "{detail}");
    host.get("/v1/ledger/trial-balance?x=1").await.problem(400, "invalid-query");
    let post = host.ask(Method::POST, "/v1/customers?dry=1").header("idempotency-key", "q").json(&customer("Иванов"));
    send(post).await.problem(400, "invalid-query");
}

async fn a_body_is_refused_with_its_reason(host: Host) {
    let post = |media_type: &'static str, body: String| {
        let request = host.ask(Method::POST, "/v1/customers").header("idempotency-key", host.fresh());
        send(request.header("content-type", media_type).body(body))
    };
    let json_type = "application/json; charset=utf-8";
    post(json_type, "{\"name\": ".into()).await.problem(400, "malformed-json");
    post(json_type, String::new()).await.problem(400, "malformed-json");
    post("text/plain", "{}".into()).await.problem(415, "unsupported-media-type");
    post(json_type, format!("{{\"name\": \"{}\"}}", "x".repeat(1 << 20))).await.problem(413, "body-too-large");

    let problem = post(json_type, json!({ "name": "Иванов", "kind": "individual", "role": "admin" }).to_string())
        .await
        .problem(422, "invalid-request");
    assert_eq!(problem["errors"][0]["pointer"], "/role", "{problem}");
    let problem =
        post(json_type, json!({ "name": 7, "kind": "individual" }).to_string()).await.problem(422, "invalid-request");
    assert_eq!(problem["errors"][0]["pointer"], "/name", "{problem}");

    // A service names every wrong field at once.
    let wrong = json!({ "name": "", "kind": "individual", "inn": "123", "external_system": "1c" });
    let problem = host.post("/v1/customers", &wrong).await.problem(422, "invalid-request");
    assert!(problem["errors"].as_array().unwrap().len() >= 2, "{problem}");
    assert_eq!(host.get("/v1/customers").await.expect(200)["data"], json!([]), "nothing was written");
}

async fn an_unknown_path_or_method_is_a_problem(host: Host) {
    host.get("/v1/nothing").await.problem(404, "not-found");
    host.get("/").await.problem(404, "not-found");
    host.get("/v1/customers/inv_0190a5d0c0de7000800000000000002a").await.problem(404, "not-found");
    host.get("/v1/customers/cus_0190a5d0c0de7000800000000000002a").await.problem(404, "not-found");
    let answer = send(host.ask(Method::DELETE, "/v1/customers")).await;
    let mut allow: Vec<_> = answer.header("allow").unwrap().split(',').map(str::to_owned).collect();
    allow.sort();
    assert_eq!(allow, ["GET", "HEAD", "POST"]);
    answer.problem(405, "method-not-allowed");
}

async fn every_answer_carries_its_id_and_its_guards(host: Host) {
    for path in ["/healthz", "/readyz", "/v1/customers", "/v1/nothing", "/openapi.json", "/docs/api/"] {
        let answer = host.get(path).await;
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("http"), "{path} loads from this host alone: {policy}");
    }
    let given = send(host.ask(Method::GET, "/v1/nothing").header("x-request-id", "order-17")).await;
    assert_eq!(given.problem(404, "not-found")["instance"], "order-17");
    let refused = send(host.ask(Method::GET, "/healthz").header("x-request-id", "a\tb c")).await;
    assert!(refused.header("x-request-id").unwrap().starts_with("req_"));
}

async fn a_host_without_its_database_is_alive_and_not_ready(host: Host) {
    host.get("/readyz").await.expect(200);
    host.altyn.db.close().await;
    host.get("/healthz").await.expect(200);
    let answer = host.get("/readyz").await;
    assert!(answer.header("retry-after").is_some());
    answer.problem(503, "not-ready");
    let problem = host.get("/v1/customers").await.problem(500, "internal-error");
    assert!(!problem.to_string().contains("pool"), "{problem}");
}

async fn a_host_over_a_schema_of_another_number_is_not_ready(host: Host) {
    let ready = host.get("/readyz").await.expect(200);
    assert!(ready["schema"].as_i64().unwrap() >= 8);
    assert_eq!(ready["clock_behind_ms"], 0);
    // The application may not touch the record of what ran, so its owner does.
    let mut tx = host.altyn.db.write(Scope::Platform).await.unwrap();
    if host.altyn.db.engine() == Engine::Postgres {
        tx.execute("reset role", ()).await.unwrap();
    }
    let unfinished = "update _sqlx_migrations set success = false
        where version = (select max(version) from _sqlx_migrations)";
    assert_eq!(tx.execute(unfinished, ()).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let problem = host.get("/readyz").await.problem(503, "not-ready");
    assert!(problem["detail"].as_str().unwrap().contains("run `altyn migrate`"), "{problem}");
}

async fn a_stopping_host_ends(mut host: Host) {
    host.get("/healthz").await.expect(200);
    host.stop();
    for _ in 0..100 {
        if host.client.get(format!("{}/healthz", host.url)).send().await.is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the host still answers five seconds after it was asked to stop");
}
