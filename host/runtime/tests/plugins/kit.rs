//! The conformance kit: our own plugins keep every rule of it, and each kind of unsound plugin breaks the rule that is
//! made for it.

use std::path::Path;

use altyn_runtime::kit::{Case, Report};

use crate::common::{RUNTIME, plugin};

fn examined(name: &str, config: &str) -> Report {
    RUNTIME.conformance(&plugin(name), config)
}

fn broken(report: &Report) -> Vec<String> {
    report.checks.iter().filter(|check| !check.kept).map(|check| format!("{}: {}", check.rule, check.detail)).collect()
}

#[test]
fn our_own_plugins_keep_every_rule() {
    for (name, config) in [
        ("day-ratio", "{}"),
        ("fixed-days", r#"{"month_days":30}"#),
        ("day-rate-rounded", "{}"),
        ("second", "{}"),
        ("none", "{}"),
        ("ru-vat", r#"{"regime":"general"}"#),
        ("number-template", r#"{"template":"СЧ-{year}-{seq:6}"}"#),
        ("pay-sandbox", "{}"),
        ("robokassa", r#"{"login":"demo"}"#),
        ("paypal", r#"{"mode":"sandbox","webhook_id":"1"}"#),
    ] {
        let report = examined(name, config);
        assert!(report.passed(), "{name}: {:#?}", broken(&report));
        let cost = report.cost.unwrap();
        assert!(cost.call_fuel > 0 && cost.line_fuel > 0 && cost.peak_memory_bytes > 0, "{name}: {cost:?}");
    }
}

#[test]
fn the_examples_in_rust_keep_every_rule_and_their_cases() {
    for name in ["kz-vat", "counter-bank"] {
        let report = examined(name, "{}");
        assert!(report.passed(), "{name}: {:#?}", broken(&report));
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plugins").join(name).join("cases");
        for file in std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()) {
            let case: Case = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            assert_eq!(RUNTIME.case(&plugin(name), &case).unwrap(), None, "{}", file.display());
        }
    }
}

#[test]
fn an_unsound_plugin_breaks_the_rule_that_is_made_for_it() {
    for (name, deed, rule) in [
        ("hostile-proration", "trap", "a call ends with an answer or a fault, never with a trap or a limit"),
        ("hostile-tax", "loop", "a call ends with an answer or a fault, never with a trap or a limit"),
        ("hostile-tax", "memory", "a call ends with an answer or a fault, never with a trap or a limit"),
        ("hostile-proration", "refuse", "questions are answered"),
        ("hostile-proration", "wrong-sum", "every answer passes the host's check"),
        ("hostile-tax", "wrong-sum", "every answer passes the host's check"),
        ("hostile-proration", "foreign-currency", "every answer passes the host's check"),
        ("hostile-numbering", "wrong-sum", "answers agree with one another"),
    ] {
        let report = examined(name, &format!(r#"{{"do":"{deed}"}}"#));
        let broken = broken(&report);
        assert!(broken.iter().any(|line| line.starts_with(rule)), "{name} that does {deed}: {broken:#?}");
    }
}
