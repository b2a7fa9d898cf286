//! Meters and recorded use from the command line.

use std::fmt::Write as _;

use crate::desk::{Desk, id};

#[test]
fn use_is_imported_from_the_command_line() {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Оператор"]);
    let requisites = ["--vat-regime", "general", "--inn", "0077990015", "--kpp", "007701001"];
    let seller = id(&desk.json(&[&["seller", "create", "--name", "ООО"], &requisites[..]].concat()));
    let customer = id(&desk.json(&["customer", "create", "--kind", "individual", "--name", "Абонент"]));
    let words = ["contract", "create", "--customer", &customer, "--seller", &seller, "--kind", "prepaid"];
    let contract = id(&desk.json(&[&words[..], &["--number", "Д-1"]].concat()));
    let product = ["product", "create", "--code", "traffic", "--title", "Трафик", "--tax-category", "standard"];
    let product = id(&desk.json(&product));
    let meter = ["meter", "create", "--code", "traffic", "--title", "Трафик", "--unit", "GB", "--aggregation", "sum"];
    let meter = desk.json(&meter);
    assert_eq!((&meter["aggregation"], &meter["version"]), (&"sum".into(), &1.into()));
    let changed = desk.json(&["meter", "update", &id(&meter), "--unit", "ГБ"]);
    assert_eq!((&changed["unit"], &changed["version"]), (&"ГБ".into(), &2.into()));
    assert_eq!(desk.json(&["meter", "list"])["data"][0], desk.json(&["meter", "show", &id(&meter)]));
    let words = ["meter", "create", "--code", "x", "--title", "x", "--unit", "x", "--aggregation", "median"];
    desk.run(&words).refused(2);

    let plan = serde_json::json!({ "code": "metered", "title": "По счётчику", "status": "active", "version": {
        "effective_from": "2026-01-01", "cadence": "1m", "price_mode": "included",
        "components": [{ "code": "traffic", "title": "Трафик", "kind": "metered", "unit_price_minor": 0,
            "product_id": product, "metered": { "meter_id": id(&meter),
                "tiers": [{ "up_to": "100", "unit_price": "2" }, { "unit_price": "1.5" }] } }],
    }});
    std::fs::write(desk.path("plan.json"), plan.to_string()).unwrap();
    desk.json(&["plan", "create", "plan.json"]);
    let words =
        ["subscription", "create", "--contract", &contract, "--plan-code", "metered", "--starts-on", "2026-02-01"];
    let subscription = id(&desk.json(&words));

    let mut lines = String::new();
    for n in 0..12_000 {
        let _ = writeln!(
            lines,
            "{{\"id\":\"e-{n}\",\"subscription_id\":\"{subscription}\",\"meter\":\"traffic\",\
             \"occurred_at\":\"2026-02-02T10:00:00+03:00\",\"quantity\":\"0.01\"}}"
        );
    }
    lines.insert_str(0, "\nno event\n");
    std::fs::write(desk.path("use.ndjson"), &lines).unwrap();
    let imported = desk.run(&["usage", "import", "use.ndjson", "--output", "json"]).succeeded();
    assert!(imported.stderr().starts_with("line 2: -: invalid-event: "), "{}", imported.stderr());
    let report = imported.json();
    assert_eq!(
        (&report["received"], &report["accepted"], &report["refused"]),
        (&12_001.into(), &12_000.into(), &1.into())
    );
    let again = desk.json(&["usage", "import", "use.ndjson"]);
    assert_eq!((&again["accepted"], &again["repeated"]), (&0.into(), &12_000.into()));
    let listed = desk.json(&["usage", "list", &subscription, "--meter", "traffic", "--limit", "2"]);
    assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&"e-0".into(), &true.into()));
    // The first run opens the period; until then nothing is priced.
    assert_eq!(desk.json(&["usage", "summary", &subscription])["data"], serde_json::json!([]));
    desk.run(&["usage", "import", "none.ndjson"]).refused(2);
}
