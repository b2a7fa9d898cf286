//! Blocks, promises, credit and dunning from the command line.

use crate::desk::{Desk, id};

#[test]
fn credit_is_controlled_from_the_command_line() {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Оператор"]);
    let requisites = ["--vat-regime", "general", "--inn", "0077990015", "--kpp", "007701001"];
    let seller = id(&desk.json(&[&["seller", "create", "--name", "ООО"], &requisites[..]].concat()));
    let customer = id(&desk.json(&["customer", "create", "--kind", "individual", "--name", "Абонент"]));
    let contract = |number: &str| {
        let words = ["contract", "create", "--customer", &customer, "--seller", &seller, "--kind", "prepaid"];
        id(&desk.json(&[&words[..], &["--number", number]].concat()))
    };
    let (first, second) = (contract("Д-1"), contract("Д-2"));

    let block = desk.json(&["block", "set", "--contract", &first, "--type", "court", "--comment", "решение суда"]);
    assert_eq!(block["state"], "active");
    let told = desk.run(&["block", "set", "--contract", &first, "--type", "court", "--comment", "ещё"]).refused(3);
    assert!(told.contains("lift that one first"), "{told}");
    desk.run(&["block", "lift", &id(&block), "--comment", "отменено"]).succeeded();
    assert!(desk.run(&["block", "list", "--contract", &first]).succeeded().stdout().contains("ended"));
    assert_eq!(desk.json(&["block", "list", "--standing"])["data"], serde_json::json!([]));

    desk.run(&["promise", "give", &first, "--amount", "50.00", "--comment", "заплатит"]).refused(3);
    let allow = ["credit", "allow", "--scope", "tenant", "--credit-limit", "10.00", "--promise-most", "100.00"];
    let policy = id(&desk.json(&allow));
    let look = desk.json(&["promise", "give", &first, "--amount", "50.00", "--comment", "заплатит", "--preview"]);
    assert_eq!((&look["postings"][0]["kind"], &look["outcome"]["status"]), (&"promise-given".into(), &"active".into()));
    assert_eq!(desk.json(&["promise", "list"])["data"], serde_json::json!([]), "a preview gives nothing");
    let promise = desk.json(&["promise", "give", &first, "--amount", "50.00", "--comment", "заплатит"]);
    assert_eq!((&promise["amount_minor"], &promise["status"]), (&5_000.into(), &"active".into()));
    let money = desk.json(&["credit", "show", &first]);
    assert_eq!((&money["available_minor"], &money["limit_source"]), (&6_000.into(), &"tenant".into()));
    let look = desk.json(&["promise", "revoke", &id(&promise), "--preview"]);
    assert_eq!(look["contracts"][0]["available_after_minor"], 1_000);
    desk.json(&["promise", "revoke", &id(&promise)]);
    desk.json(&["credit", "replace", &policy, "--credit-limit", "20.00"]);
    assert_eq!(desk.json(&["credit", "show", &first])["available_minor"], 2_000);
    assert_eq!(desk.json(&["credit", "policies"])["data"][0]["version"], 2);
    let none = ["credit", "transfer", &first, &second, "--amount", "1.00", "--source-key", "t-1", "--description", "x"];
    desk.run(&[&none[..], &["--preview"]].concat()).refused(3);
    let told = desk.run(&none).refused(3);
    assert!(told.contains("can give 0.00 RUB"), "{told}");
    let placed = desk.json(&["credit", "place", &second, "--parent", &first, "--priority", "2", "--tag", "vip"]);
    assert_eq!((&placed["parent_id"], &placed["priority"]), (&first.clone().into(), &2.into()));
    desk.run(&["credit", "place", &first, "--parent", &second]).refused(2);
    assert_eq!(desk.json(&["credit", "recommend", &first])["amount_minor"], 0);

    std::fs::write(
        desk.path("rules.json"),
        r#"{ "scope": "contract", "stages": [{ "code": "late", "when": { "days_at_least": 5 }, "block": "overdue" }] }"#,
    )
    .unwrap();
    assert_eq!(desk.json(&["dunning", "set", "rules.json"])["version"], 1);
    desk.run(&["dunning", "set", "rules.json"]).refused(3);
    assert_eq!(desk.json(&["dunning", "policies"])["data"][0]["stages"][0]["block"], "overdue");
    assert_eq!(desk.json(&["dunning", "cases"])["data"], serde_json::json!([]));
    assert_eq!(desk.json(&["dunning", "steps", &first])["data"], serde_json::json!([]));
    assert_eq!(desk.json(&["verify"])["ok"], true);
}
