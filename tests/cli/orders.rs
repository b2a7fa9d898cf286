//! Orders, notices and events from the command line.

use serde_json::json;

use crate::desk::{bind_plugins, id, selling};

#[test]
fn a_subscription_is_ordered_paid_for_and_taken_back_from_the_command_line() {
    let (desk, contract) = selling();
    bind_plugins(&desk);

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
