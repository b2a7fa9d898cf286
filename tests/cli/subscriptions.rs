//! Subscriptions from the command line: ordered, activated, edited; a contract that moves to another zone.

use serde_json::{Value, json};

use crate::desk::{Desk, id, selling};

#[test]
fn a_subscription_is_ordered_activated_and_edited_from_the_command_line() {
    let (desk, contract) = selling();
    let words = ["subscription", "create", "--contract", &contract, "--plan-code", "net", "--starts-on", "2026-02-01"];
    let ordered = desk.json(&[&words[..], &["--pending", "--short-funds", "retry", "--retry-days", "3"]].concat());
    assert_eq!((&ordered["status"], &ordered["retry_days"]), (&json!("pending"), &json!(3)));
    let subscription = id(&ordered);
    assert_eq!(desk.json(&["subscription", "list", "--status", "active"])["data"], json!([]));
    let active = desk.json(&["subscription", "activate", &subscription, "--on", "2026-02-03"]);
    assert_eq!((&active["status"], &active["anchor_on"]), (&json!("active"), &json!("2026-02-03")));
    desk.run(&["subscription", "activate", &subscription]).refused(3);

    let edit = ["subscription", "update", &subscription];
    let words = ["--description", "Офис", "--discount-percent", "20", "--discount-until", "2026-03-31"];
    let edited = desk.json(&[&edit[..], &words[..]].concat());
    assert_eq!((&edited["description"], &edited["period_price_minor"]), (&json!("Офис"), &json!(40_000)));
    let words = ["--short-funds", "suspend", "--clear", "description", "--clear", "discount-until"];
    let edited = desk.json(&[&edit[..], &words[..]].concat());
    assert_eq!((&edited["description"], &edited["discount_until"]), (&Value::Null, &Value::Null));
    assert_eq!((&edited["short_funds"], &edited["retry_days"]), (&json!("suspend"), &Value::Null));
    desk.run(&[&edit[..], &["--retry-days", "3"]].concat()).refused(2);
    desk.run(&[&edit[..], &["--short-funds", "never"]].concat()).refused(2);

    price_of_its_own(&desk, &contract, &subscription);
    let moved = desk.json(&["contract", "update", &contract, "--zone", "Asia/Vladivostok"]);
    assert_eq!(moved["zone"], "Asia/Vladivostok");
    desk.run(&["contract", "update", &contract, "--zone", "Nowhere"]).refused(2);
    desk.run(&["run", "withheld", "run_0190a5d0c0de7000800000000000002a"]).refused(4);
    assert_eq!(desk.json(&["verify"])["ok"], true);
}

/// A contract's own price, a version that its subscription goes over to, and a plan that managers sell.
fn price_of_its_own(desk: &Desk, contract: &str, subscription: &str) {
    let words =
        ["price", "set", "--contract", contract, "--plan-code", "net", "--component", "net", "--comment", "скидка"];
    let set = desk.json(&[&words[..], &["--unit-price-minor", "30000", "--from", "2026-01-01"]].concat());
    assert_eq!((&set["unit_price_minor"], &set["currency"]), (&json!(30_000), &json!("RUB")));
    let seen = || desk.json(&["subscription", "show", subscription])["period_price_minor"].clone();
    assert_eq!(seen(), json!(24_000), "less a fifth");
    desk.run(&[&words[..], &["--unit-price-minor", "1", "--from", "2026-01-01"]].concat()).refused(3);
    let removed = desk.json(&["price", "remove", &id(&set), "--comment", "хватит"]);
    assert_eq!(removed["remove_comment"], "хватит");
    assert_eq!(desk.json(&["price", "show", &id(&set)]), removed);
    let listed = |more: &[&str]| {
        let words = [&["price", "list", "--contract", contract], more].concat();
        desk.json(&words)["data"].as_array().unwrap().len()
    };
    assert_eq!((listed(&[]), listed(&["--standing"]), seen()), (1, 0, json!(40_000)));

    let plan = desk.json(&["plan", "list", "--visibility", "public"])["data"][0].clone();
    let component = &plan["versions"][0]["components"][0];
    let version = json!({ "effective_from": "2035-01-01", "existing_subscribers": "from:2035-02-01", "cadence": "1m",
        "price_mode": "included", "components": [{ "code": "net", "title": "Сеть", "unit_price_minor": 60_000,
            "product_id": component["product_id"], "included": "1", "max_quantity": "10" }] });
    std::fs::write(desk.path("version.json"), version.to_string()).unwrap();
    let added = desk.json(&["plan", "add-version", plan["id"].as_str().unwrap(), "version.json"]);
    assert_eq!(added["versions"][1]["existing_subscribers"], "from:2035-02-01");
    assert_eq!(added["versions"][1]["components"][0]["included"], "1");
    let private = desk.json(&["plan", "update", plan["id"].as_str().unwrap(), "--visibility", "private"]);
    assert_eq!(private["visibility"], "private");
    assert_eq!(desk.json(&["plan", "list", "--visibility", "public"])["data"], json!([]));
    desk.json(&["plan", "update", plan["id"].as_str().unwrap(), "--visibility", "public"]);
    let key = desk.json(&["apikey", "create", "--name", "кабинет", "--role", "self-service"]);
    assert_eq!(key["key"]["role"], "self-service");
}
