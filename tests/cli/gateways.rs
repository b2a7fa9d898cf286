//! A gateway is exercised from the command line, with a secret that the tenant keeps.

use serde_json::json;

use crate::desk::{Desk, plugins};

#[test]
fn a_payment_is_made_notified_and_traced_without_showing_a_secret() {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Меридиан"]);
    desk.json(&["secret", "master-key", "--out", "master.key"]);
    std::fs::write(desk.path("altyn.toml"), "[secrets]\nmaster_key_file = \"master.key\"\n").unwrap();
    std::fs::write(desk.path("notification.txt"), "s3cret\n").unwrap();
    let kept = desk.run(&["secret", "set", "notification-key", "--file", "notification.txt"]).succeeded().stdout();
    assert!(kept.contains("notification-key") && !kept.contains("s3cret"), "{kept}");

    let guest = plugins().join("pay-sandbox.wasm");
    desk.json(&["plugin", "install", guest.to_str().unwrap()]);
    let unanswered = desk.run(&["plugin", "bind", "pay-sandbox", "--from", "2026-01-01"]);
    assert!(unanswered.refused(3).contains("notification-key"));
    desk.json(&["plugin", "grant", "pay-sandbox", "--secret", "notification-key"]);
    let binding =
        desk.json(&["plugin", "bind", "pay-sandbox", "--from", "2026-01-01"])["id"].as_str().unwrap().to_owned();
    assert_eq!(desk.json(&["gateway", "show", &binding])["missing_secrets"], json!([]));

    let payment = desk.json(&["gateway", "pay", &binding, "--amount-minor", "10005"]);
    assert_eq!((&payment["verdict"]["is"], &payment["currency"]), (&json!("pending"), &json!("RUB")));
    let id = payment["id"].as_str().unwrap();
    let body = format!(r#"{{"payment":"{id}","verdict":"succeeded","amount_minor":10005,"currency":"RUB"}}"#);
    std::fs::write(desk.path("body.json"), &body).unwrap();
    let notify = |signature: &str| {
        let header = format!("X-Signature: {signature}");
        desk.json(&["gateway", "notify", &binding, "body.json", "--header", &header])
    };
    assert_eq!(notify(&"0".repeat(64))["status"], 403);
    assert_eq!(desk.json(&["gateway", "exchange", id])["verdict"]["is"], "pending");
    let listed = desk.json(&["gateway", "list"]);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let steps = desk.json(&["gateway", "steps", id]);
    assert_eq!(steps["data"][0]["kind"], "outcome");
    let resumed = desk.json(&["gateway", "resume", id]);
    assert_eq!(resumed["state"], "done");
    let refused = desk.run(&["gateway", "refund", id]);
    assert!(refused.refused(3).contains("only money that was taken is given back"));
    desk.run(&["gateway", "status", "exc_0000000000000000000000000000002a"]).refused(4);
}

#[test]
fn a_gateway_is_rehearsed_and_put_on_trial() {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Меридиан"]);
    let guest = |name: &str| plugins().join(name).with_extension("wasm").to_str().unwrap().to_owned();
    let (own, other) = (guest("pay-sandbox"), guest("hostile-gateway"));
    desk.json(&["plugin", "install", &own]);
    desk.json(&["plugin", "grant", "pay-sandbox"]);
    let binding =
        desk.json(&["plugin", "bind", "pay-sandbox", "--from", "2026-01-01"])["id"].as_str().unwrap().to_owned();
    let declined =
        desk.json(&["gateway", "pay", &binding, "--amount-minor", "10001"])["id"].as_str().unwrap().to_owned();

    let shadow = ["plugin", "shadow", "--binding", &binding, "--from", "2026-01-01", "--candidate"];
    let rehearsed = |more: &[&str]| desk.run(&[&shadow[..], more].concat()).succeeded().stdout();
    assert!(rehearsed(&[&own]).contains("100.00 % identical"));
    let told = rehearsed(&[&other, "--plugin-config", "{}"]);
    assert!(told.contains(&declined) && told.contains("100.01") && told.contains("other-verdict"), "{told}");
    let next = ["plugin", "shadow", "--binding", &binding, "--candidate", &own, "--next-run"];
    assert!(desk.run(&next).refused(3).contains("recorded exchanges"));

    let config = r#"{"delay_ms":0}"#;
    let start =
        ["plugin", "canary", "start", "--binding", &binding, "--component", "pay-sandbox", "--plugin-config", config];
    let started = desk.json(&start)["id"].clone();
    let payment = desk.json(&["gateway", "pay", &binding, "--amount-minor", "10000"]);
    assert_eq!(payment["canary_id"], started);
    desk.json(&["plugin", "canary", "end", "--binding", &binding]);
    let payment = desk.json(&["gateway", "pay", &binding, "--amount-minor", "10000"]);
    assert!(payment.get("canary_id").is_none());
}
