//! An operator's day from the command line: books in, a day closed, every figure proved.

use crate::desk::{Desk, books, plugins};

/// A database with a tenant, a seller and the example books.
pub fn with_books() -> Desk {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Меридиан", "--run-mode", "automatic"]);
    desk.json(&[
        "seller",
        "create",
        "--name",
        "ООО «Меридиан»",
        "--vat-regime",
        "general",
        "--inn",
        "0077990015",
        "--kpp",
        "007701001",
        "--ogrn",
        "1190099001003",
    ]);
    desk
}

fn import(desk: &Desk, kind: &str, more: &[&str]) -> serde_json::Value {
    let file = books().join(format!("{kind}.csv"));
    let mut words = vec!["import", kind, file.to_str().unwrap()];
    words.extend(more);
    desk.json(&words)
}

#[test]
fn importing_the_books_twice_changes_nothing_and_names_every_wrong_row() {
    let desk = with_books();
    let dry = import(&desk, "plans", &["--dry-run"]);
    assert_eq!((dry["state"].as_str(), dry["rows_created"].as_i64()), (Some("dry-run"), Some(12)));
    assert_eq!(desk.json(&["plan", "list"])["data"].as_array().unwrap().len(), 0, "a dry run writes nothing");

    let expected = [("plans", 12, 0), ("customers", 2_200, 3), ("contracts", 2_247, 2), ("subscriptions", 3_749, 3)];
    for (kind, created, refused) in expected {
        let report = import(&desk, kind, &[]);
        assert_eq!((&report["rows_created"], &report["rows_refused"]), (&created.into(), &refused.into()), "{kind}");
        assert_eq!(report["errors"].as_array().unwrap().len(), refused, "{kind}");
    }
    for (kind, created, refused) in expected {
        let report = import(&desk, kind, &[]);
        assert_eq!((&report["rows_created"], &report["rows_unchanged"]), (&0.into(), &created.into()), "{kind}");
        assert_eq!(report["rows_refused"], refused, "{kind}");
    }
    let file = books().join("customers.csv");
    let told = desk.run(&["import", "customers", file.to_str().unwrap()]).succeeded().stdout();
    for place in ["316", "ИНН", "bad-inn", "317", "duplicate-external-id", "318", "bad-encoding"] {
        assert!(told.contains(place), "{place} is not in\n{told}");
    }

    let verified = desk.json(&["verify"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
}

/// Three contracts that pay 690 RUB a month from 1 March 2025 on, and the plugins that decide.
fn with_three_contracts() -> Desk {
    let desk = with_books();
    three_contracts(&desk);
    desk
}

pub fn three_contracts(desk: &Desk) {
    let seller = desk.json(&["seller", "list"])["data"][0]["id"].as_str().unwrap().to_owned();
    let product = ["product", "create", "--code", "net", "--title", "Интернет", "--tax-category", "standard"];
    let product = desk.json(&product)["id"].clone();
    let plan = serde_json::json!({
        "code": "net-300", "title": "Интернет 300", "status": "active",
        "version": {
            "effective_from": "2020-01-01", "cadence": "1m", "price_mode": "included",
            "components": [{ "code": "net", "title": "Интернет 300", "product_id": product, "unit_price_minor": 69_000 }],
        },
    });
    std::fs::write(desk.path("plan.json"), plan.to_string()).unwrap();
    desk.json(&["plan", "create", "plan.json"]);
    for number in ["Л-1", "Л-2", "Л-3"] {
        let customer = desk.json(&["customer", "create", "--name", number, "--kind", "individual"])["id"].clone();
        let contract = desk.json(&[
            "contract",
            "create",
            "--customer",
            customer.as_str().unwrap(),
            "--seller",
            &seller,
            "--number",
            number,
            "--kind",
            "prepaid",
            "--credit-limit",
            "1000.00",
            "--signed-on",
            "2025-02-01",
        ]);
        assert_eq!(contract["credit_limit_minor"], 100_000);
        let contract = contract["id"].as_str().unwrap();
        desk.json(&[
            "subscription",
            "create",
            "--contract",
            contract,
            "--plan-code",
            "net-300",
            "--starts-on",
            "2025-03-01",
        ]);
    }
    for (plugin, config) in
        [("day-ratio", "{}"), ("ru-vat", "{}"), ("number-template", r#"{"template":"СЧ-{year}-{seq:6}"}"#)]
    {
        let file = plugins().join(format!("{plugin}.wasm"));
        desk.json(&["plugin", "install", file.to_str().unwrap()]);
        desk.json(&["plugin", "bind", plugin, "--from", "2020-01-01", "--plugin-config", config]);
    }
}

#[test]
fn a_day_is_closed_confirmed_explained_and_verified() {
    let desk = with_three_contracts();
    let run = desk.json(&["run", "start", "--date", "2025-03-01", "--mode", "with-confirmation"]);
    assert_eq!((run["state"].as_str(), run["awaiting"].as_i64()), (Some("awaiting"), Some(3)));
    let id = run["id"].as_str().unwrap();
    let plans = desk.json(&["run", "plans", id, "--state", "awaiting"]);
    let contract = |at: usize| plans["data"][at]["contract_id"].as_str().unwrap();

    let told = desk.run(&["run", "confirm", id, contract(0), "--hash", &"0".repeat(64)]).refused(3);
    assert!(told.contains("not the one you saw"), "{told}");
    let hash = desk.json(&["run", "plan", id, contract(0)])["plan_hash"].as_str().unwrap().to_owned();
    assert_eq!(desk.json(&["run", "confirm", id, contract(0), "--hash", &hash])["state"], "done");
    assert_eq!(desk.json(&["run", "reject", id, contract(1), "--reason", "спор"])["state"], "rejected");
    let done = desk.json(&["run", "confirm-all", id]);
    assert_eq!(done["state"], "done");
    assert_eq!((&done["invoices"], &done["gross_minor"], &done["parked"]), (&2.into(), &138_000.into(), &0.into()));
    desk.run(&["run", "start", "--date", "2025-03-01"]).refused(3);

    let invoices = desk.json(&["invoice", "list"]);
    let numbers: Vec<_> = invoices["data"].as_array().unwrap().iter().map(|invoice| &invoice["number"]).collect();
    assert_eq!(numbers, ["СЧ-2025-000001", "СЧ-2025-000002"], "a rejected plan leaves no gap");
    let line = format!("{}/0", invoices["data"][0]["id"].as_str().unwrap());
    let explained = desk.json(&["explain", &line]);
    let decisions = explained["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 3, "share, tax and number");
    assert!(decisions.iter().all(|decision| decision["replayed_identical"] == true));
    assert_eq!((&explained["tax_minor"], &explained["tax_rate"]), (&11_500.into(), &"20".into()));
    let told = desk.run(&["explain", &line]).succeeded().stdout();
    assert_eq!(told.matches("signed by nobody (unsigned-dev)").count(), 3, "{told}");

    let call = decisions[1]["call"]["id"].as_str().unwrap();
    let calls = desk.json(&["plugin", "call", "list", "--run", run["id"].as_str().unwrap()]);
    assert!(calls["data"].as_array().unwrap().iter().any(|listed| listed["id"] == call), "{calls}");
    assert_eq!(desk.json(&["plugin", "call", "list", "--failed"])["data"], serde_json::json!([]));
    assert_eq!(desk.json(&["plugin", "call", "show", call]), decisions[1]["call"]);
    let evidence = desk.json(&["plugin", "call", "evidence", call]);
    assert!(evidence["input"]["documents"].is_array() && evidence["output"].is_array(), "{evidence}");
    desk.run(&["plugin", "call", "show", "cal_00000000000000000000000000000000"]).refused(4);

    let later = desk.json(&["run", "start", "--date", "2025-03-02", "--no-wait"]);
    assert_eq!(later["state"], "executing");
    let later = desk.json(&["run", "resume", later["id"].as_str().unwrap()]);
    // A rejection holds for its run; the next one bills what is still due.
    assert_eq!((&later["state"], &later["invoices"]), (&"done".into(), &1.into()));

    assert_eq!(desk.json(&["ledger", "trial-balance"])["totals"]["RUB"], 0);
    let shown = desk.run(&["contract", "show", contract(0)]).succeeded().stdout();
    assert!(shown.contains("-690.00") && shown.contains("310.00"), "balance and what is available:\n{shown}");
    let verified = desk.json(&["verify", "--replay", "100"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
}
