//! Orders, notices and events from the command line.

use serde_json::{Value, json};

use crate::desk::{Desk, plugins};

fn id(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_subscription_is_ordered_paid_for_and_taken_back_from_the_command_line() {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Оператор"]);
    for (name, config) in [("day-ratio", "{}"), ("ru-vat", "{}"), ("number-template", r#"{"template":"{seq}"}"#)] {
        let file = plugins().join(name).with_extension("wasm");
        desk.json(&["plugin", "install", file.to_str().unwrap()]);
        desk.json(&["plugin", "bind", name, "--from", "2026-01-01", "--plugin-config", config]);
    }
    let requisites = ["--vat-regime", "general", "--inn", "0077990015", "--kpp", "007701001"];
    let seller = id(&desk.json(&[&["seller", "create", "--name", "ООО"], &requisites[..]].concat()));
    let customer = id(&desk.json(&["customer", "create", "--kind", "individual", "--name", "Абонент"]));
    let words = ["contract", "create", "--customer", &customer, "--seller", &seller, "--kind", "prepaid"];
    let contract = id(&desk.json(&[&words[..], &["--number", "Д-1"]].concat()));
    let product = ["product", "create", "--code", "net", "--title", "Сеть", "--tax-category", "standard"];
    let product = id(&desk.json(&product));
    let plan = json!({ "code": "net", "title": "Сеть", "status": "active", "version": {
        "effective_from": "2026-01-01", "cadence": "1m", "price_mode": "included",
        "components": [{ "code": "net", "title": "Сеть", "unit_price_minor": 50_000, "product_id": product }],
    }});
    std::fs::write(desk.path("plan.json"), plan.to_string()).unwrap();
    desk.json(&["plan", "create", "plan.json"]);

    assert_eq!(desk.json(&["order", "policy"])["version"], 0);
    assert_eq!(desk.json(&["order", "set-policy", "--cancel-unpaid-days", "5"])["cancel_unpaid_days"], 5);
    let wish = ["--contract", &contract, "--plan-code", "net", "--starts-on", "2026-12-01"];
    let seen = desk.json(&[&["order", "preview"], &wish[..]].concat());
    assert_eq!((&seen["effects"]["amount_minor"], &seen["effects"]["status"]), (&json!(50_000), &json!("opened")));
    let hash = seen["plan_hash"].as_str().unwrap().to_owned();
    let placed = desk.json(&[&["order", "place"], &wish[..], &["--plan-hash", &hash]].concat());
    assert_eq!((&placed["status"], &placed["amount_minor"]), (&json!("opened"), &json!(50_000)));
    let order = id(&placed);
    desk.run(&["subscription", "activate", placed["subscription_id"].as_str().unwrap()]).refused(3);
    let payment = json!({ "source_key": "p-1", "effective_on": "2026-11-01", "currency": "RUB", "description": "x",
        "kind": "payment-received", "entries": [{ "account": "cash", "amount_minor": 50_000 },
        { "account": format!("contract/{contract}/funds"), "amount_minor": -50_000 }] });
    std::fs::write(desk.path("payment.json"), payment.to_string()).unwrap();
    desk.json(&["ledger", "post", "payment.json"]);
    assert_eq!(desk.json(&["order", "show", &order])["status"], "blocked");
    let money = desk.json(&["credit", "show", &contract]);
    assert_eq!((&money["blocked_minor"], &money["available_minor"]), (&json!(50_000), &json!(0)));
    desk.run(&[&["order", "place"], &wish[..], &["--plan-hash", "00"]].concat()).refused(3);
    assert_eq!(desk.json(&["order", "cancel", &order])["status"], "cancelled");
    desk.run(&["order", "cancel", &order]).refused(3);
    assert_eq!(desk.json(&["order", "list", "--contract", &contract])["data"][0]["charge_status"], "refunded");
    assert_eq!(desk.json(&["credit", "show", &contract])["available_minor"], 50_000);

    assert_eq!(desk.json(&["event", "list", "--kind", "order.paid"])["data"][0]["subject"], json!(order));
    assert_eq!(desk.json(&["notice", "set-policy", "--first-days", "7", "--second-days", "1"])["second_days"], 1);
    desk.run(&["notice", "set-policy", "--second-days", "1"]).refused(2);
    assert_eq!(desk.json(&["notice", "policy"])["first_days"], 7);
    assert_eq!(desk.json(&["verify"])["ok"], true);
}
