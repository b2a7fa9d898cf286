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

on_both_engines!(a_signed_component_is_installed_over_the_interface, a_binding_is_upgraded_and_shared_by_its_version);

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
