//! The resources: an operator's day through the interface, files, and who may see what.

use altyn_domain::id::TenantId;
use altyn_service::{api_keys::Role, runs::Advanced};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    books::{self, DAY},
    support::{Host, on_both_engines, send},
};

on_both_engines!(
    a_day_is_billed_through_the_interface,
    a_changed_plan_is_not_confirmed,
    a_stopping_host_ends_its_streams,
    an_object_of_another_tenant_does_not_exist,
    an_id_of_another_tenant_is_no_reference,
    a_posting_is_reversed_once,
    what_an_object_posted_is_neither_reversed_nor_posted_by_hand,
    a_file_is_imported_and_its_wrong_rows_are_named,
    a_component_that_is_none_is_refused,
    an_end_needs_the_version_that_was_read,
);

async fn a_day_is_billed_through_the_interface(host: Host) {
    let mut books = books::prepare(&host).await;
    books::start(&host, &mut books, "with-confirmation").await;
    let run = books.path("/v1/runs");
    let follower = tokio::spawn(send(host.ask(Method::GET, &format!("{run}/events"))));
    assert_eq!(books::advance(&host, &books).await, Advanced::Awaiting);

    let plans = host.get(&format!("{run}/plans?state=awaiting")).await.expect(200);
    assert_eq!(plans["data"].as_array().unwrap().len(), 1, "{plans}");
    assert_eq!(host.get(&format!("{run}/plans?state=done")).await.expect(200)["data"], json!([]));
    let path = format!("{run}/plans/{}", books.id("/v1/contracts"));
    let plan = host.get(&path).await.expect(200);
    assert!(plan["effects"].is_object(), "{plan}");

    let confirm = || {
        let request = host.ask(Method::POST, &format!("{path}/confirm")).header("idempotency-key", "confirm-1");
        send(request.json(&json!({ "plan_hash": plan["plan_hash"] })))
    };
    let first = confirm().await;
    let again = confirm().await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(again.text, first.text, "a repeated confirmation gets the first one's answer");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(books::advance(&host, &books).await, Advanced::Done);

    let report = host.get(&run).await.expect(200);
    assert_eq!(
        (&report["state"], &report["invoices"], &report["gross_minor"]),
        (&json!("done"), &json!(1), &json!(59_000))
    );
    let invoice = host.get("/v1/invoices").await.expect(200)["data"][0].clone();
    assert_eq!(invoice["number"], "СЧ-2026-000001");
    assert_eq!(invoice["net_minor"].as_i64().unwrap() + invoice["tax_minor"].as_i64().unwrap(), 59_000);
    let found = host.get(&format!("/v1/invoices/{}/lines", invoice["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(found["data"][0]["tax_rate"], "22", "{found}");
    let charges = host.get(&format!("/v1/charges?contract_id={}", books.id("/v1/contracts"))).await.expect(200);
    assert_eq!(charges["data"][0]["amount_minor"], 59_000);
    let contract = host.get(&books.path("/v1/contracts")).await.expect(200);
    assert_eq!(contract["balance_minor"], 10_000 - 59_000);
    let line = format!("/v1/invoices/{}/lines/0/explanation", invoice["id"].as_str().unwrap());
    let explained = host.get(&line).await.expect(200);
    let decisions = explained["decisions"].as_array().unwrap();
    let about: Vec<&str> = decisions.iter().map(|one| one["about"].as_str().unwrap()).collect();
    assert_eq!(about, ["proration", "tax", "numbering"]);
    assert!(decisions.iter().all(|one| one["replayed_identical"] == true), "{explained}");
    let word = |of: &Value| (of["call"]["publisher"].clone(), of["call"]["trust_level"].clone());
    assert!(decisions.iter().all(|one| word(one) == (Value::Null, json!("unsigned-dev"))), "{explained}");
    books::sign(&host, "ru-vat", "Acme").await;
    let explained = host.get(&line).await.expect(200);
    assert_eq!(word(&explained["decisions"][1]), (json!("Acme"), json!("trusted")), "who vouches for it since");
    host.get(&line.replace("/0/", "/1/")).await.problem(404, "not-found");
    host.get(&line.replace("/0/", "/x/")).await.problem(404, "not-found");
    let verified = send(host.ask(Method::POST, "/v1/verify").json(&json!({ "replay_percent": 100 }))).await.expect(200);
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(verified["calls_replayed"], verified["calls_identical"]);
    assert!(verified["calls_replayed"].as_i64().unwrap() >= 3);
    let balance = host.get("/v1/ledger/trial-balance").await.expect(200);
    assert_eq!(balance["totals"], json!({ "RUB": 0 }));

    // What is decided stays decided.
    host.post(&format!("{path}/confirm"), &json!({ "plan_hash": plan["plan_hash"] }))
        .await
        .problem(409, "plan-decided");
    host.post(&format!("{run}/cancel"), &json!({})).await.problem(409, "run-ended");
    host.post("/v1/runs", &json!({ "business_on": DAY })).await.problem(409, "run-exists");

    // The stream told the way in order and ended with the run; a client that saw all gets nothing more.
    let events = follower.await.unwrap();
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let ids: Vec<i64> =
        events.text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() >= 2 && ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    let last = events.text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap()["state"], "done");
    let rest = host.ask(Method::GET, &format!("{run}/events")).header("last-event-id", ids.last().unwrap().to_string());
    assert_eq!(send(rest).await.text, "");
}

async fn a_changed_plan_is_not_confirmed(host: Host) {
    let mut books = books::prepare(&host).await;
    books::start(&host, &mut books, "with-confirmation").await;
    assert_eq!(books::advance(&host, &books).await, Advanced::Awaiting);
    let path = format!("{}/plans/{}", books.path("/v1/runs"), books.id("/v1/contracts"));
    host.post(&format!("{path}/confirm"), &json!({ "plan_hash": "00" })).await.problem(409, "plan-changed");
    host.post(&format!("{path}/reject"), &json!({ "reason": "moved out" })).await.expect(200);
    books::advance(&host, &books).await;
    assert_eq!(host.get("/v1/invoices").await.expect(200)["data"], json!([]), "nothing was billed");
}

async fn a_stopping_host_ends_its_streams(mut host: Host) {
    let mut books = books::prepare(&host).await;
    books::start(&host, &mut books, "with-confirmation").await;
    assert_eq!(books::advance(&host, &books).await, Advanced::Awaiting);
    // The run waits for a person, and so does the stream: without an end of its own it would hold the host up.
    let stream = host.ask(Method::GET, &format!("{}/events", books.path("/v1/runs"))).send().await.unwrap();
    host.stop();
    let text = tokio::time::timeout(std::time::Duration::from_secs(5), stream.text()).await.unwrap().unwrap();
    assert!(text.contains("awaiting"), "{text}");
}

/// The query that an operation does not do without; all of those are days.
fn query_of(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let needed = parameters.iter().filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    let pairs: Vec<String> = needed.map(|needed| format!("{}={DAY}", needed["name"].as_str().unwrap())).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// Every operation of the document that names an object, tried by everybody who must not see it: a sibling, a tenant
/// below and a stranger. The tenant above sees it when it acts for its owner, and not otherwise.
async fn an_object_of_another_tenant_does_not_exist(mut host: Host) {
    let below = async |host: &Host, name: &str| {
        let id = host.post("/v1/tenants", &json!({ "name": name })).await.expect(201)["id"].clone();
        let id: TenantId = id.as_str().unwrap().parse().unwrap();
        (id, crate::support::key(&host.altyn, id, Role::Admin).await.1)
    };
    let above = host.admin.clone();
    let (_, sibling) = below(&host, "Соседний филиал").await;
    (host.tenant, host.admin) = below(&host, "Филиал").await;
    let (_, child) = below(&host, "Отдел").await;
    let mut books = books::billed(&host).await;
    // An unpaid subscription under a manual term leaves an operation to decide and a job that is done.
    let term = json!({ "name": "Правила", "key": "manual", "stop_mode": "manual", "delete_mode": "manual",
        "grace_days": 0, "keep_days": 1 });
    books.keep("/v1/service-terms", &host.post("/v1/service-terms", &term).await.expect(201));
    let attached = json!({ "service_term_id": books.id("/v1/service-terms") });
    host.put(&format!("{}/service-term", books.path("/v1/plans")), "\"1\"", &attached).await.expect(200);
    host.altyn.subscriptions_close(host.tenant, DAY.parse().unwrap()).await.unwrap();
    for collection in ["/v1/manual-operations", "/v1/jobs"] {
        books.keep(collection, &host.get(collection).await.expect(200)["data"][0]);
    }
    let order = json!({ "subscription": {
        "contract_id": books.id("/v1/contracts"), "plan_code": "home-100", "starts_on": "2026-12-01" } });
    books.keep("/v1/orders", &host.post("/v1/orders", &order).await.expect(201));
    let csv = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/operator/plans.csv")).unwrap();
    let import = import(&host, &books, "kind=plans&file_name=plans.csv&dry_run=true", csv).await.expect(201);
    books.0.insert("/v1/imports", import["id"].as_str().unwrap().to_owned());
    let (_, gateway) = books::bind(&host, "pay-sandbox", json!({})).await;
    let pay = json!({ "operation": "pay", "binding_id": gateway["id"], "amount_minor": 100, "currency": "RUB",
        "description": "x" });
    let exchange = host.post("/v1/exchanges", &pay).await.expect(201);
    for (collection, object) in [("/v1/gateways", &gateway), ("/v1/exchanges", &exchange)] {
        books.0.insert(collection, object["id"].as_str().unwrap().to_owned());
    }
    let trial = json!({ "component": books.id("/v1/plugins"), "share_bp": 0,
        "config": { "template": "ИСП-{year}-{seq:6}", "reset": "yearly" } });
    host.post(&format!("{}/canary", books.path("/v1/bindings")), &trial).await.expect(201);
    let (_, stranger) = host.stranger().await;

    let document = host.get("/openapi.json").await.expect(200);
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        // Components and publishers' keys belong to the platform. Limits are named by worlds, which all have; grants and
        // secrets have names instead of ids, and a suite of their own.
        let named = ["/v1/plugins/", "/v1/plugin-keys/", "/v1/plugin-limits/", "/v1/grants/", "/v1/secrets/"];
        if !path.starts_with("/v1/") || !path.contains('{') || named.iter().any(|area| path.starts_with(area)) {
            continue;
        }
        let (collection, rest) = path.split_once("/{id}").unwrap_or_else(|| panic!("{path} has no id"));
        let id = books.0.get(collection).unwrap_or_else(|| panic!("the books hold no object of {collection}"));
        let rest = rest.replace("{contract_id}", books.id("/v1/contracts")).replace("{position}", "0");
        let concrete = format!("{collection}/{id}{rest}");
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for (who, key) in [("stranger", &stranger), ("sibling", &sibling), ("child", &child), ("parent", &above)] {
                if who == "parent" && collection == "/v1/tenants" {
                    continue; // A tenant sees every tenant below it.
                }
                let mut request = host.ask_as(key, method.clone(), &format!("{concrete}{}", query_of(operation)));
                request = request.header("idempotency-key", host.fresh()).header("if-match", "\"1\"");
                let example = &operation["requestBody"]["content"]["application/json"]["example"];
                if !example.is_null() {
                    request = request.json(example);
                }
                if operation["requestBody"]["content"]["application/wasm"].is_object() {
                    request = request.header("content-type", "application/wasm").body("no component");
                }
                let problem = send(request).await;
                assert_eq!(problem.status, 404, "{who}: {method} {concrete}: {}", problem.text);
                problem.problem(404, "not-found");
                checked += 1;
            }
            if method == Method::GET {
                let own = send(host.ask(method.clone(), &concrete)).await;
                assert!(own.status.is_success(), "the owner reads {concrete}: {}", own.text);
                let acting = host.ask_as(&above, method, &concrete).header("altyn-tenant", host.tenant.to_string());
                let acting = send(acting).await;
                assert!(acting.status.is_success(), "the tenant above reads {concrete}: {}", acting.text);
            }
        }
    }
    assert!(checked > 150, "only {checked} operations were checked");
    // Nothing of it is in anybody's lists either.
    for path in
        document["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/v1/") && !path.contains('{'))
    {
        for (who, key) in [("stranger", &stranger), ("sibling", &sibling), ("child", &child), ("parent", &above)] {
            let answer = send(host.ask_as(key, Method::GET, path)).await;
            let open = path == "/v1/plugins" || (path == "/v1/tenants" && who == "parent");
            if answer.status == 200 && !open {
                let text = answer.text;
                assert!(
                    books.0.iter().all(|(_, id)| !text.contains(id.as_str())),
                    "{path} shows the owner's objects to its {who}: {text}"
                );
            }
        }
    }
}

async fn an_id_of_another_tenant_is_no_reference(host: Host) {
    let books = books::prepare(&host).await;
    let (_, stranger) = host.stranger().await;
    let post = |path: &str, body: Value| {
        send(host.ask_as(&stranger, Method::POST, path).header("idempotency-key", host.fresh()).json(&body))
    };
    let contract = json!({ "customer_id": books.id("/v1/customers"), "seller_id": books.id("/v1/sellers"),
        "number": "Д-1", "kind": "prepaid" });
    post("/v1/contracts", contract).await.problem(422, "invalid-request");
    let subscription =
        json!({ "contract_id": books.id("/v1/contracts"), "plan_id": books.id("/v1/plans"), "starts_on": DAY });
    post("/v1/subscriptions", subscription).await.problem(422, "invalid-request");
    let funds = format!("contract/{}/funds", books.id("/v1/contracts"));
    let steal = json!({ "source_key": "steal", "effective_on": DAY, "currency": "RUB", "kind": "adjustment",
    "description": "steal", "entries": [
        { "account": funds, "amount_minor": 1 }, { "account": "adjustments", "amount_minor": -1 },
    ]});
    post("/v1/ledger/transactions", steal).await.problem(422, "invalid-request");
}

async fn a_posting_is_reversed_once(host: Host) {
    let books = books::prepare(&host).await;
    let path = books.path("/v1/ledger/transactions");
    let reversal = json!({ "effective_on": DAY, "description": "by mistake" });
    let reversed = host.post(&format!("{path}/reverse"), &reversal).await.expect(201);
    assert_eq!(reversed["reverses_id"], books.id("/v1/ledger/transactions"));
    host.post(&format!("{path}/reverse"), &reversal).await.problem(409, "already-reversed");
    let contract = host.get(&books.path("/v1/contracts")).await.expect(200);
    assert_eq!(contract["balance_minor"], 0);
    let unbalanced = json!({ "source_key": "x", "effective_on": DAY, "currency": "RUB", "kind": "adjustment",
    "description": "x", "entries": [
        { "account": "cash", "amount_minor": 2 }, { "account": "adjustments", "amount_minor": -1 },
    ]});
    host.post("/v1/ledger/transactions", &unbalanced).await.problem(422, "invalid-request");
}

async fn what_an_object_posted_is_neither_reversed_nor_posted_by_hand(host: Host) {
    let books = books::prepare(&host).await;
    let posted = host.get("/v1/ledger/transactions?limit=100").await.expect(200);
    let given = posted["data"].as_array().unwrap().iter().find(|one| one["kind"] == "promise-given").unwrap();
    let path = format!("/v1/ledger/transactions/{}/reverse", given["id"].as_str().unwrap());
    let reversal = json!({ "effective_on": DAY, "description": "by mistake" });
    host.post(&path, &reversal).await.problem(409, "promise-stands");
    let promised = format!("contract/{}/promised", books.id("/v1/contracts"));
    for (kind, account, pointer) in
        [("promise-given", "adjustments", "/kind"), ("adjustment", &promised, "/entries/1/account")]
    {
        let raised = json!({ "source_key": "x", "effective_on": DAY, "currency": "RUB", "kind": kind,
        "description": "x", "entries": [
            { "account": "adjustments", "amount_minor": 1 }, { "account": account, "amount_minor": -1 },
        ]});
        let problem = host.post("/v1/ledger/transactions", &raised).await.problem(422, "invalid-request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        let batch = json!({ "transactions": [raised] });
        let problem = host.post("/v1/ledger/transactions/batch", &batch).await.problem(422, "invalid-request");
        assert_eq!(problem["errors"][0]["pointer"], format!("/transactions/0{pointer}"), "{problem}");
    }
}

async fn import(host: &Host, books: &books::Books, query: &str, csv: Vec<u8>) -> crate::support::Answer {
    let path = format!("/v1/imports?{query}&seller={}", books.id("/v1/sellers"));
    let request = host.ask(Method::POST, &path).header("idempotency-key", host.fresh());
    send(request.header("content-type", "text/csv; charset=windows-1251").body(csv)).await
}

async fn a_file_is_imported_and_its_wrong_rows_are_named(host: Host) {
    let books = books::prepare(&host).await;
    let csv = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/operator/customers.csv")).unwrap();
    let query = "kind=customers&file_name=customers.csv";
    let report = import(&host, &books, query, csv.clone()).await.expect(201);
    let count = |report: &Value, field: &str| report[field].as_i64().unwrap();
    assert!(count(&report, "rows_created") > 1_000 && count(&report, "rows_refused") > 0, "{report}");
    let problem = &report["errors"][0];
    assert!(count(problem, "row") > 1 && !problem["code"].as_str().unwrap().is_empty(), "{problem}");
    let path = format!("/v1/imports/{}", report["id"].as_str().unwrap());
    assert_eq!(host.get(&path).await.expect(200), report);
    let errors = host.get(&format!("{path}/errors?limit=1")).await.expect(200);
    assert_eq!(errors["data"][0], report["errors"][0]);

    let again = import(&host, &books, query, csv.clone()).await.expect(201);
    assert_eq!((count(&again, "rows_created"), count(&again, "rows_unchanged")), (0, count(&report, "rows_created")));

    let wrong = host.ask(Method::POST, &format!("/v1/imports?{query}")).header("idempotency-key", host.fresh());
    send(wrong.header("content-type", "text/csv").body(csv.clone())).await.problem(400, "invalid-query");
    let wrong = import(&host, &books, "kind=poems&file_name=x", csv).await.problem(400, "invalid-query");
    assert!(wrong["detail"].as_str().unwrap().contains("customers"), "{wrong}");
}

async fn a_component_that_is_none_is_refused(host: Host) {
    let post = |path: &str, media_type: &'static str, body: Vec<u8>| {
        let request = host.ask(Method::POST, path).header("idempotency-key", host.fresh());
        send(request.header("content-type", media_type).body(body))
    };
    post("/v1/plugins", "application/wasm", b"\0asm\x01\0\0\0".to_vec()).await.problem(422, "plugin-refused");
    post("/v1/plugins", "application/json", b"{}".to_vec()).await.problem(415, "unsupported-media-type");
    // As large as a component may be that brings its interpreter; what is in it is another matter.
    let largest = host.altyn.plugins.runtime().config().limits.composed.component_bytes;
    for path in ["/v1/plugins", "/v1/plugins/inspect"] {
        post(path, "application/wasm", vec![0; largest]).await.problem(422, "plugin-refused");
        post(path, "application/wasm", vec![0; largest + 1]).await.problem(413, "body-too-large");
    }
    let inspect = |query: &str, guest: &str| {
        let request = host.ask(Method::POST, &format!("/v1/plugins/inspect{query}"));
        send(request.header("content-type", "application/wasm").body(books::plugin(guest)))
    };
    let found = inspect("", "ru-vat").await.expect(200);
    assert_eq!((&found["world"], &found["plugin_id"]), (&json!("tax-rule"), &json!("ru-vat")));
    // What its bytes say, and nothing that it would say itself.
    let read = inspect("?static=true", "ru-vat").await.expect(200);
    for known in ["digest", "world", "contract_version", "imports", "exports", "size_bytes", "signature"] {
        assert_eq!(read[known], found[known], "{known}");
    }
    assert!(read["exports"].to_string().contains("altyn:billing/tax@") && read.get("plugin_id").is_none(), "{read}");
    inspect("?static=perhaps", "ru-vat").await.problem(400, "invalid-query");
    assert_eq!(host.get("/v1/plugins").await.expect(200)["data"], json!([]), "looking installs nothing");
}

async fn an_end_needs_the_version_that_was_read(host: Host) {
    let (component, binding) = books::bind(&host, "day-ratio", json!({})).await;
    // The same bytes again are the same component.
    let install = host.ask(Method::POST, "/v1/plugins").header("idempotency-key", host.fresh());
    let again = send(install.header("content-type", "application/wasm").body(books::plugin("day-ratio"))).await;
    assert_eq!(again.expect(200), component);

    let path = format!("/v1/bindings/{}", binding["id"].as_str().unwrap());
    send(host.ask(Method::DELETE, &path)).await.problem(428, "version-required");
    send(host.ask(Method::DELETE, &path).header("if-match", "\"9\"")).await.problem(412, "stale-version");
    let etag = host.get(&path).await.header("etag").unwrap().to_owned();
    let ended = send(host.ask(Method::DELETE, &path).header("if-match", etag)).await.expect(200);
    assert!(ended["ended_at"].is_string(), "{ended}");
}
