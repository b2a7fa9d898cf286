//! Trying things out, and who must agree, from the command line.

use crate::books::{three_contracts, with_books};

#[test]
fn a_quarter_passes_in_a_sandbox() {
    let desk = with_books();
    desk.run(&["sandbox", "show"]).refused(4);
    let entered = desk.json(&["sandbox", "enter", "--now", "2025-02-27T09:00:00Z"]);
    assert_eq!(entered["today_on"], "2025-02-27");
    three_contracts(&desk);
    desk.run(&["run", "start", "--date", "2025-02-28"]).refused(3);
    assert_eq!(desk.json(&["sandbox", "future", "--to", "2025-03-01"])["today_on"], "2025-03-01");

    let ended = desk.run(&["sandbox", "next-day"]).succeeded();
    assert!(ended.stderr().contains("2025-03-01 waits for decisions"), "{}", ended.stderr());
    let runs = desk.json(&["run", "list"]);
    let run = &runs["data"][2];
    assert_eq!(
        (&run["business_on"], &run["state"], &run["awaiting"]),
        (&"2025-03-01".into(), &"awaiting".into(), &3.into())
    );
    desk.run(&["sandbox", "next-day"]).refused(3);
    desk.json(&["run", "confirm-all", run["id"].as_str().unwrap()]);

    let mut time = desk.json(&["sandbox", "future", "--to", "2025-04-10", "--mode", "with-confirmation"]);
    // What ended is realised on its last day, the renewals follow on the next.
    for stops_on in ["2025-03-31", "2025-04-01"] {
        assert_eq!(time["open_day_on"], stops_on);
        desk.run(&["sandbox", "wipe", "--yes"]).refused(3);
        let runs = desk.json(&["run", "list", "--limit", "100"])["data"].as_array().unwrap().clone();
        desk.json(&["run", "confirm-all", runs.last().unwrap()["id"].as_str().unwrap()]);
        time = desk.json(&["sandbox", "resume"]);
    }
    assert_eq!((&time["today_on"], &time["until_at"]), (&"2025-04-10".into(), &serde_json::Value::Null));

    desk.json(&["sandbox", "future", "--to", "2025-05-02"]);
    let invoices = desk.json(&["invoice", "list", "--limit", "100"]);
    let days: Vec<&str> =
        invoices["data"].as_array().unwrap().iter().map(|invoice| invoice["issued_on"].as_str().unwrap()).collect();
    assert_eq!(days, [["2025-03-01"; 3], ["2025-04-01"; 3], ["2025-05-01"; 3]].concat());
    assert_eq!(desk.json(&["verify", "--replay", "100"])["ok"], true);

    assert!(desk.run(&["sandbox", "wipe"]).refused(2).contains("--yes"));
    desk.run(&["sandbox", "leave"]).refused(3);
    desk.json(&["sandbox", "wipe", "--yes"]);
    assert_eq!(desk.json(&["customer", "list"])["data"], serde_json::json!([]));
    assert_eq!(desk.json(&["plan", "list"])["data"].as_array().unwrap().len(), 1);
    desk.json(&["sandbox", "leave"]);
    desk.run(&["sandbox", "show"]).refused(4);
    assert_eq!(desk.json(&["verify"])["ok"], true);
}

#[test]
fn rules_approve_small_plans_and_leave_the_others() {
    let desk = with_books();
    three_contracts(&desk);
    assert_eq!(desk.json(&["run", "approval"])["version"], 0);
    desk.run(&["run", "set-approval", "--approve-change", "1.234"]).refused(2);
    let rules =
        desk.json(&["run", "set-approval", "--four-eyes", "--approve-up-to", "689.99", "--approve-change", "10"]);
    assert_eq!((&rules["four_eyes"], &rules["largest_gross_minor"]), (&true.into(), &68_999.into()));
    let run = desk.json(&["run", "start", "--date", "2025-03-01", "--mode", "with-confirmation"]);
    assert_eq!((&run["state"], &run["awaiting"]), (&"awaiting".into(), &3.into()));
    let id = run["id"].as_str().unwrap();
    desk.json(&["run", "confirm-all", id]);
    // The command line is one credential, whoever sits at it.
    assert!(desk.run(&["run", "confirm-all", id]).refused(3).contains("two"));
    desk.json(&["run", "set-approval", "--approve-up-to", "690"]);
    assert_eq!(desk.json(&["run", "confirm-all", id])["state"], "done");
    let april = desk.json(&["run", "start", "--date", "2025-04-01", "--mode", "with-confirmation"]);
    assert_eq!((&april["state"], &april["invoices"]), (&"done".into(), &3.into()), "all of them are within the rules");
    let plans = desk.json(&["run", "plans", april["id"].as_str().unwrap()]);
    assert!(plans["data"].as_array().unwrap().iter().all(|plan| plan["decided_by"] == "rule"), "{plans:#}");
    assert_eq!(desk.json(&["run", "parked"])["data"], serde_json::json!([]));
}
