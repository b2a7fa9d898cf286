//! Changes, decision tables, service terms and operations that a person decides, from the command line.

use altyn_service::ports::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::desk::{Desk, bind_plugins, id, selling};

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A contract with a subscription whose periods begin by hand, from today on.
fn sold() -> (Desk, String, String) {
    let (desk, contract) = selling();
    bind_plugins(&desk);
    let today = SystemClock.now().with_timezone(&chrono_tz::Europe::Moscow).date_naive().to_string();
    let words = ["subscription", "create", "--contract", &contract, "--plan-code", "net", "--starts-on", &today];
    let subscription = id(&desk.json(&[&words[..], &["--manual"]].concat()));
    (desk, contract, subscription)
}

#[test]
fn changes_are_previewed_made_scheduled_and_withdrawn_from_the_command_line() {
    let (desk, contract, subscription) = sold();
    let renewal = desk.json(&["change", "renew-all", &contract]);
    assert_eq!(renewal["effects"]["charged_minor"], 50_000);
    desk.run(&["change", "renew-all", &contract, "--hash", &"0".repeat(64)]).refused(3);
    let made = desk.json(&["change", "renew-all", &contract, "--hash", &text(&renewal["plan_hash"])]);
    assert_eq!((&made["data"][0]["kind"], &made["data"][0]["state"]), (&json!("renew"), &json!("executed")));

    let fewer = |verb: &'static str| {
        move |desk: &Desk, subscription: &str, more: &[&str]| {
            let words = ["change", verb, subscription, "change-quantity", "--quantity", "0.5"];
            desk.json(&[&words[..], more].concat())
        }
    };
    let seen = fewer("preview")(&desk, &subscription, &[]);
    assert_eq!((&seen["effects"]["deferred"], &seen["effects"]["charged_minor"]), (&json!(true), &json!(0)));
    let waits = fewer("execute")(&desk, &subscription, &["--hash", &text(&seen["plan_hash"])]);
    assert_eq!((&waits["state"], &waits["timing"]), (&json!("scheduled"), &json!("end-of-term")));
    let end = ["cancel", "--timing", "end-of-term"];
    let seen = desk.json(&[&["change", "preview", &subscription], &end[..]].concat());
    assert_eq!(seen["effects"]["subscriptions"][0]["replaces"][0]["change_id"], waits["id"]);
    let hash = text(&seen["plan_hash"]);
    let ends = desk.json(&[&["change", "execute", &subscription], &end[..], &["--hash", &hash]].concat());
    let more = ["change", "preview", &subscription, "change-quantity", "--quantity", "0.5"];
    let told = desk.run(&more).refused(3);
    assert!(told.contains("withdraw that first"), "{told}");
    assert_eq!(desk.json(&["change", "cancel", &id(&ends)])["state"], "cancelled");
    desk.run(&["change", "cancel", &id(&ends)]).refused(3);
    assert_eq!(desk.json(&["change", "show", &id(&ends)])["state"], "cancelled");
    let listed = desk.json(&["change", "list", "--subscription", &subscription]);
    let states: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["executed", "replaced", "cancelled"]);

    let rules = r#"[{"kind":"cancel","timing":"forbidden"}]"#;
    assert_eq!(desk.json(&["change", "set-timings", "--rules", rules])["rules"][0]["timing"], "forbidden");
    assert_eq!(desk.json(&["change", "timings"])["data"][0]["rules"][0]["kind"], "cancel");
    desk.run(&["change", "preview", &subscription, "cancel"]).refused(3);
    desk.run(&["subscription", "cancel", &subscription, "--on", "2040-01-01"]).refused(3);
    desk.run(&["change", "set-timings", "--rules", "nothing"]).refused(2);
    assert_eq!(desk.json(&["verify"])["ok"], true);
}

#[test]
fn service_terms_and_manual_operations_are_kept_from_the_command_line() {
    let (desk, contract, subscription) = sold();
    let hash = text(&desk.json(&["change", "renew-all", &contract])["plan_hash"]);
    desk.json(&["change", "renew-all", &contract, "--hash", &hash]);
    let term = |grace_days: u32| {
        json!({ "name": "По решению", "key": "by_hand", "stop_mode": "manual", "delete_mode": "auto",
            "grace_days": grace_days, "keep_days": 30 })
    };
    std::fs::write(desk.path("term.json"), term(5).to_string()).unwrap();
    let made = id(&desk.json(&["service-term", "create", "term.json"]));
    desk.run(&["service-term", "create", "term.json"]).refused(3);
    std::fs::write(desk.path("term.json"), term(0).to_string()).unwrap();
    assert_eq!(desk.json(&["service-term", "update", &made, "term.json"])["grace_days"], 0);
    assert_eq!(desk.json(&["service-term", "list"])["data"][0]["key"], "by_hand");
    assert_eq!(desk.json(&["service-term", "conflicts"])["data"], json!([]));
    desk.json(&["service-term", "attach", "--term", &made, "--subscription", &subscription]);
    assert_eq!(desk.json(&["service-term", "life", &subscription])["service_term_id"], json!(made));
    desk.run(&["service-term", "delete", &made]).refused(3);
    assert_eq!(desk.json(&["service-term", "history", &subscription])["data"], json!([]));

    assert_eq!(desk.json(&["manual-operation", "list", "--state", "awaiting"])["data"], json!([]));
    for words in [&["approve"][..], &["show"], &["reject"]] {
        let mut all = vec!["manual-operation", words[0], "mop_0190a5d0c0de7000800000000000002a"];
        if words[0] == "reject" {
            all.extend(["--reason", "x"]);
        }
        desk.run(&all).refused(4);
    }
    let set =
        ["block", "set", "--subscription", &subscription, "--type", "administrative", "--comment", "по заявлению"];
    let block = id(&desk.json(&set));
    let life = desk.json(&["service-term", "life", &subscription]);
    assert_eq!((&life["status"], &life["holds"][0]["key"]), (&json!("stopped"), &json!(block)));
    desk.json(&["block", "lift", &block, "--comment", "снято"]);
    assert_eq!(desk.json(&["service-term", "life", &subscription])["status"], "active");
    assert_eq!(desk.json(&["verify"])["ok"], true);
}
