//! Publishers' keys, signed components, grants, sharing and secrets over the interface.

use altyn_domain::manifest::Manifest;
use altyn_service::signing::PublisherKey;
use reqwest::Method;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    books,
    support::{Host, on_both_engines, send},
};

on_both_engines!(
    a_signed_component_is_installed_over_the_interface,
    a_binding_is_upgraded_and_shared_by_its_version,
    an_upgrade_says_what_stays_and_a_migration_ends_it,
    a_component_is_put_on_trial_widened_promoted_and_ended,
    a_declaration_is_applied_over_the_interface,
    the_next_run_is_rehearsed_over_the_interface,
);

async fn a_signed_component_is_installed_over_the_interface(host: Host) {
    let (key, wasm) = (PublisherKey::new(&Zeroizing::new([5; 32])), books::plugin("ru-vat"));
    let examined = host.altyn.plugins.examine(wasm.clone(), None).await.unwrap();
    let descriptor = host.altyn.plugins.describe(&examined).await.unwrap();
    let facts = examined.facts();
    let manifest = Manifest::new(&facts.digest.to_string(), &facts.contract_version, facts.world, &descriptor);
    let manifest = serde_json::to_string(&key.sign(manifest).unwrap()).unwrap();
    let install = |key: String, manifest: String| {
        let request = host.ask(Method::POST, "/v1/plugins").header("idempotency-key", key);
        let request = request.header("content-type", "application/wasm").header("altyn-manifest", manifest);
        send(request.body(wasm.clone()))
    };
    install(host.fresh(), manifest.clone()).await.problem(422, "plugin-key-unknown");
    install(host.fresh(), manifest.replace("\"version\":\"0.1.0\"", "\"version\":\"0.1.1\""))
        .await
        .problem(422, "plugin-signature");
    install(host.fresh(), "{}".into()).await.problem(422, "plugin-manifest");
    let public_key = key.public().to_string();
    let core = json!({ "public_key": public_key, "publisher": "Acme", "level": "core" });
    host.post("/v1/plugin-keys", &core).await.problem(422, "invalid-request");
    let trust = json!({ "public_key": public_key, "publisher": "Acme" });
    let trusted = host.post("/v1/plugin-keys", &trust).await.expect(201);
    let component = install("once".into(), manifest.clone()).await.expect(201);
    assert_eq!((&component["trust_level"], &component["key_id"]), (&json!("trusted"), &trusted["id"]));
    install("once".into(), "{}".into()).await.problem(422, "plugin-manifest");
    assert_eq!(install("once".into(), manifest).await.header("idempotent-replayed"), Some("true"));
    let path = format!("/v1/plugin-keys/{}", trusted["id"].as_str().unwrap());
    assert_eq!(host.get(&path).await.expect(200), trusted);
    let revoked = host.post(&format!("{path}/revoke"), &json!({ "reason": "lost" })).await.expect(200);
    assert_eq!(revoked["components"].as_array().unwrap().len(), 1);
    let bind = json!({ "component": component["digest"], "effective_from": "2026-01-01" });
    host.post("/v1/bindings", &bind).await.problem(409, "plugin-key-revoked");
    host.post("/v1/secrets", &json!({ "name": "a", "value": "x" })).await.problem(409, "master-key-absent");
}

async fn a_binding_is_upgraded_and_shared_by_its_version(host: Host) {
    let (component, binding) = books::bind(&host, "ru-vat", json!({})).await;
    let path = format!("/v1/bindings/{}", binding["id"].as_str().unwrap());
    let change = |verb: &str, version: &str, body: serde_json::Value| {
        let request = host.ask(Method::POST, &format!("{path}/{verb}")).header("idempotency-key", host.fresh());
        send(request.header("if-match", version.to_owned()).json(&body))
    };
    host.post(&format!("{path}/share"), &json!({ "inheritance": "optional" })).await.problem(428, "version-required");
    let shared = change("share", "\"1\"", json!({ "inheritance": "optional", "limits": { "fuel": 9_000_000 } })).await;
    assert_eq!(shared.expect(200)["version"], 2);
    let upgrade = json!({ "component": component["digest"], "config": { "regime": "usn-5" } });
    change("upgrade", "\"1\"", upgrade.clone()).await.problem(412, "stale-version");
    assert_eq!(change("upgrade", "\"2\"", upgrade).await.expect(200)["config"]["regime"], "usn-5");
    assert_eq!(change("rollback", "\"3\"", json!({})).await.expect(200)["config"], json!({}));
    change("rollback", "\"4\"", json!({})).await.problem(409, "nothing-to-roll-back");
    let history = host.get(&format!("{path}/history")).await.expect(200);
    let kinds: Vec<&str> =
        history["data"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["bind", "upgrade", "rollback"]);
    let deciding = host.get("/v1/extension-points?on=2026-01-02").await.expect(200);
    assert!(deciding.as_array().unwrap().iter().any(|one| one["binding_id"] == binding["id"]), "{deciding}");
    host.post(&format!("{path}/narrow"), &json!({ "limits": { "fuel": 1 } })).await.problem(404, "not-found");
    let digest = component["digest"].as_str().unwrap();
    assert_eq!(host.get(&format!("/v1/plugins/{digest}/form")).await.expect(200)["fields"][0]["pointer"], "/regime");
    let grant = json!({ "component": digest, "hosts": ["evil.example.org"] });
    host.post("/v1/grants", &grant).await.problem(422, "invalid-request");
    host.post("/v1/grants", &json!({ "component": digest, "limits": { "fuel": 5 } })).await.expect(201);
    let able = host.get(&format!("/v1/plugins/{digest}/capabilities")).await.expect(200);
    assert_eq!(able["effective"]["limits"]["fuel"], 5);
}

async fn installed(host: &Host, name: &str) -> serde_json::Value {
    let install = host.ask_as(&host.root, Method::POST, "/v1/plugins").header("idempotency-key", host.fresh());
    send(install.header("content-type", "application/wasm").body(books::plugin(name))).await.expect(201)
}

async fn an_upgrade_says_what_stays_and_a_migration_ends_it(host: Host) {
    let (component, binding) = books::bind(&host, "ru-vat", json!({})).await;
    let path = format!("/v1/bindings/{}", binding["id"].as_str().unwrap());
    let upgrade = |version: &str, existing: &str| {
        let body = json!({ "component": component["digest"], "config": { "regime": "usn-5" }, "existing": existing });
        let request = host.ask(Method::POST, &format!("{path}/upgrade")).header("idempotency-key", host.fresh());
        send(request.header("if-match", version.to_owned()).json(&body))
    };
    upgrade("\"1\"", "stray").await.problem(422, "invalid-request");
    let upgraded = upgrade("\"1\"", "stay").await.expect(200);
    let staying = &upgraded["staying"][0];
    assert_eq!((&staying["plugin_id"], &staying["version"]), (&json!("ru-vat"), &json!(2)), "{upgraded}");
    assert_eq!(host.get(&format!("{path}/stays")).await.expect(200)["data"][0], *staying);
    let migrate = format!("{path}/migrate");
    let problem = host.post(&migrate, &json!({})).await.problem(422, "invalid-request");
    assert_eq!(problem["errors"][0]["pointer"], "/subscriptions", "{problem}");
    let once = || send(host.ask(Method::POST, &migrate).header("idempotency-key", "m-1").json(&json!({ "all": true })));
    let migrated = once().await.expect(200);
    assert_eq!((&migrated["component"], &migrated["staying"]), (&component["digest"], &json!([])));
    assert_eq!(once().await.header("idempotent-replayed"), Some("true"));
    assert_eq!(host.get(&format!("{path}/stays")).await.expect(200)["data"], json!([]));
    let history = host.get(&format!("{path}/history")).await.expect(200);
    assert_eq!((&history["data"][2]["kind"], &history["data"][2]["version"]), (&json!("migrate"), &json!(3)));
    upgrade("\"2\"", "migrate").await.problem(412, "stale-version");
    let (_, stranger) = host.stranger().await;
    send(host.ask_as(&stranger, Method::GET, &format!("{path}/stays"))).await.problem(404, "not-found");
}

async fn a_component_is_put_on_trial_widened_promoted_and_ended(host: Host) {
    let (component, binding) = books::bind(&host, "ru-vat", json!({})).await;
    let other = installed(&host, "hostile-tax").await;
    let path = format!("/v1/bindings/{}/canary", binding["id"].as_str().unwrap());
    let send_at = |method: Method, path: String, version: &str, body: serde_json::Value| {
        let request = host.ask(method, &path).header("idempotency-key", host.fresh());
        send(request.header("if-match", version.to_owned()).json(&body))
    };
    host.get(&path).await.problem(404, "not-found");
    let wrong = json!({ "component": other["digest"], "share_bp": 10_001 });
    let problem = host.post(&path, &wrong).await.problem(422, "invalid-request");
    assert_eq!(problem["errors"][0]["pointer"], "/share_bp", "{problem}");
    host.post(&path, &json!({ "component": component["digest"] })).await.problem(422, "invalid-request");
    let start = json!({ "component": other["digest"], "share_bp": 500 });
    let once = || send(host.ask(Method::POST, &path).header("idempotency-key", "trial-1").json(&start));
    let started = once().await;
    assert_eq!((started.header("etag"), started.header("location")), (Some("\"1\""), Some(path.as_str())));
    let started = started.expect(201);
    assert_eq!(
        (&started["state"], &started["most_fault_bp"], &started["least_decisions"]),
        (&json!("running"), &json!(100), &json!(100))
    );
    assert_eq!(once().await.header("idempotent-replayed"), Some("true"));
    host.post(&path, &start).await.problem(409, "canary-runs");
    assert_eq!(host.get(&path).await.expect(200), started);

    send(host.ask(Method::PATCH, &path).json(&json!({ "share_bp": 1 }))).await.problem(428, "version-required");
    send_at(Method::PATCH, path.clone(), "\"9\"", json!({ "share_bp": 1 })).await.problem(412, "stale-version");
    send_at(Method::PATCH, path.clone(), "\"1\"", json!({ "shrae": 1 })).await.problem(422, "invalid-request");
    let wider = send_at(Method::PATCH, path.clone(), "\"1\"", json!({ "share_bp": 5_000 })).await.expect(200);
    assert_eq!(
        (&wider["share_bp"], &wider["version"], &wider["least_decisions"]),
        (&json!(5_000), &json!(2), &json!(100))
    );
    let upgrade = format!("/v1/bindings/{}/upgrade", binding["id"].as_str().unwrap());
    let body = json!({ "component": other["digest"] });
    send_at(Method::POST, upgrade, "\"1\"", body).await.problem(409, "canary-runs");

    let (_, stranger) = host.stranger().await;
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let request = host.ask_as(&stranger, method, &path).header("if-match", "\"2\"");
        send(request.json(&json!({}))).await.problem(404, "not-found");
    }
    let ended = send_at(Method::DELETE, path.clone(), "\"2\"", json!({})).await.expect(200);
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("ended"), &json!("withdrawn")));
    send_at(Method::DELETE, path.clone(), "\"3\"", json!({})).await.problem(404, "not-found");

    host.post(&path, &start).await.expect(201);
    let promoted = send_at(Method::POST, format!("{path}/promote"), "\"1\"", json!({})).await.expect(200);
    assert_eq!(promoted["state"], "promoted");
    let now = host.get(&format!("/v1/bindings/{}", binding["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&now["component"], &now["version"]), (&other["digest"], &json!(2)));
    let listed =
        host.get(&format!("/v1/bindings/{}/canaries?limit=1", binding["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&listed["data"][0]["state"], &listed["has_more"]), (&json!("ended"), &json!(true)));
    let (_, operator) = host.key(altyn_service::api_keys::Role::Operator).await;
    send(host.ask_as(&operator, Method::GET, &path)).await.problem(403, "forbidden");
}

async fn a_declaration_is_applied_over_the_interface(host: Host) {
    let component = installed(&host, "ru-vat").await;
    let declared = json!({
        "plugins": [{ "component": component["digest"], "grant": { "limits": { "wall_ms": 900 } } }],
        "bindings": [{ "plugin": "ru-vat", "from": "2026-11-01", "config": { "regime": "general" } }],
    });
    let outcomes = |answer: serde_json::Value| -> Vec<String> {
        let steps = answer["data"].as_array().unwrap().iter();
        steps.map(|step| format!("{} {}", step["what"].as_str().unwrap(), step["outcome"].as_str().unwrap())).collect()
    };
    let first = host.post("/v1/plugins/apply", &declared).await.expect(200);
    assert_eq!(outcomes(first), ["plugin unchanged", "grant made", "binding made"]);
    let again = host.post("/v1/plugins/apply", &declared).await.expect(200);
    assert_eq!(outcomes(again), ["plugin unchanged", "grant unchanged", "binding unchanged"]);
    send(host.ask(Method::POST, "/v1/plugins/apply").json(&declared)).await.problem(400, "idempotency-key-required");
    let wrong = json!({ "bindings": [{ "plugin": "ru-vat", "from": "2026-11-01", "config": { "regime": 1 } }] });
    let problem = host.post("/v1/plugins/apply", &wrong).await.problem(422, "invalid-request");
    assert_eq!(problem["errors"][0]["pointer"], "/bindings/0/config/regime", "{problem}");
    host.post("/v1/plugins/apply", &json!({ "plugins": [{}] })).await.problem(422, "invalid-request");
    let (stranger, _) = host.stranger().await;
    let foreign = json!({ "bindings": [{ "plugin": "ru-vat", "from": "2026-11-01", "tenant": stranger }] });
    let problem = host.post("/v1/plugins/apply", &foreign).await.problem(422, "invalid-request");
    assert_eq!(problem["errors"][0]["pointer"], "/bindings/0/tenant", "{problem}");
    let core =
        json!({ "publishers": [{ "public_key": "altyn-ed25519-public:00", "publisher": "Acme", "level": "core" }] });
    host.post("/v1/plugins/apply", &core).await.problem(422, "invalid-request");
    let listed = host.get("/v1/bindings").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "nothing else was bound");
}

async fn the_next_run_is_rehearsed_over_the_interface(host: Host) {
    let books = books::prepare(&host).await;
    let bindings = host.get("/v1/bindings").await.expect(200);
    let tax = bindings["data"].as_array().unwrap().iter().find(|one| one["extension_point"] == "tax-rule").unwrap();
    let path = format!("/v1/bindings/{}/shadow-next-run?on={}", tax["id"].as_str().unwrap(), books::DAY);
    let rehearse = |path: String, name: &str| {
        send(host.ask(Method::POST, &path).header("content-type", "application/wasm").body(books::plugin(name)))
    };
    let same = rehearse(path.clone(), "ru-vat").await.expect(200);
    assert_eq!((&same["identical_percent"], &same["contracts"]), (&json!("100.00"), &json!(1)), "{same}");
    let other = rehearse(format!("{path}&config=%7B%22do%22%3A%22trap%22%7D"), "hostile-tax").await.expect(200);
    assert_eq!((&other["candidate_parked"], &other["worst"][0]["reason"]), (&json!(1), &json!("fault")), "{other}");
    assert_eq!(other["worst"][0]["contract_id"], books.id("/v1/contracts"));
    rehearse(format!("{path}&form=2026"), "ru-vat").await.problem(400, "invalid-query");
    let runs = host.get("/v1/runs").await.expect(200);
    assert_eq!(runs["data"], json!([]), "nothing was run");
}
