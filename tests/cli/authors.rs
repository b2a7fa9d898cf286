//! What an author has at the command line, without a database. That the projects of every language build is shown by
//! `cargo xtask authors`, which fetches their tools.

use crate::desk::{Desk, plugins};

#[test]
fn a_project_is_made_once_and_only_under_a_good_name() {
    let desk = Desk::new();
    let made = desk.json(&["plugin", "new", "my-tax", "--world", "tax-rule"]);
    assert_eq!((made["plugin_id"].as_str(), made["language"].as_str()), (Some("my-tax"), Some("rust")));
    for file in ["altyn-plugin.toml", "Cargo.toml", "src/lib.rs", "wit/tax.wit", "cases/first.json", "README.md"] {
        assert!(desk.path("my-tax").join(file).is_file(), "{file}");
    }
    let told = desk.run(&["plugin", "new", "my-tax", "--world", "tax-rule"]).refused(2);
    assert!(told.contains("is not empty"), "{told}");
    desk.run(&["plugin", "new", "My Tax", "--world", "tax-rule"]).refused(2);
    assert!(!desk.path("My Tax").exists());
    desk.run(&["plugin", "new", "other", "--world", "no-such-world"]).refused(2);
    for language in ["javascript", "python", "c"] {
        desk.json(&["plugin", "new", language, "--world", "numbering-scheme", "--lang", language]);
    }
    let told = desk.run(&["plugin", "build", "."]).refused(2);
    assert!(told.contains("altyn plugin new"), "{told}");
}

#[test]
fn a_gateway_is_begun_in_every_language_with_the_same_cases() {
    let desk = Desk::new();
    let source = [("rust", "src/lib.rs"), ("javascript", "plugin.js"), ("python", "plugin.py"), ("c", "plugin.c")];
    for (language, file) in source {
        let name = format!("{language}-bank");
        desk.json(&["plugin", "new", &name, "--world", "payment-gateway", "--lang", language]);
        let text = std::fs::read_to_string(desk.path(&name).join(file)).unwrap();
        assert!(text.contains(&format!("\"{name}\"")) && !text.contains("{{name}}"), "{language} has its name");
        for case in ["pay", "declined", "notification", "forged-notification", "missing-secret"] {
            assert!(desk.path(&name).join(format!("cases/{case}.json")).is_file(), "{language}: {case}");
        }
        let read = std::fs::read_to_string(desk.path(&name).join("README.md")).unwrap();
        assert!(read.contains("altyn plugin grant"), "{read}");
    }
}

#[test]
fn an_older_project_takes_the_contract_and_the_helpers_of_this_program() {
    let desk = Desk::new();
    desk.json(&["plugin", "new", "shares", "--world", "proration-strategy", "--lang", "c"]);
    let (wit, helpers) = (desk.path("shares/wit/proration.wit"), desk.path("shares/vendor/altyn/runtime.c"));
    let (contract, plugin) = (std::fs::read_to_string(&wit).unwrap(), desk.path("shares/plugin.c"));
    std::fs::write(&wit, "older").unwrap();
    std::fs::remove_file(&helpers).unwrap();
    std::fs::write(&plugin, "mine").unwrap();
    desk.json(&["plugin", "vendor", "shares"]);
    assert_eq!(std::fs::read_to_string(&wit).unwrap(), contract);
    assert!(helpers.is_file());
    assert_eq!(std::fs::read_to_string(&plugin).unwrap(), "mine", "what the author wrote stays");
    desk.run(&["plugin", "vendor", "."]).refused(2);
}

#[test]
fn a_component_is_tested_by_the_kit_and_by_its_cases() {
    let desk = Desk::new();
    let component = plugins().join("number-template.wasm").display().to_string();
    let config = r#"{"template":"INV-{year}-{seq:6}"}"#;
    desk.json(&["plugin", "new", "numbers", "--world", "numbering-scheme"]);
    let cases = desk.path("numbers").join("cases");
    // The case of the template was written for a prefix; the same number comes of our template.
    let case = std::fs::read_to_string(cases.join("first.json")).unwrap();
    let case = case.replace(r#"{\"prefix\":\"INV\"}"#, r#"{\"template\":\"INV-{year}-{seq:6}\"}"#);
    std::fs::write(cases.join("first.json"), &case).unwrap();
    let folder = cases.display().to_string();
    let test = ["plugin", "test", &component, "--plugin-config", config, "--cases", &folder];
    let report = desk.json(&test);
    assert_eq!(
        (report["passed"].as_bool(), report["cases"][0]["kept"].as_bool()),
        (Some(true), Some(true)),
        "{report}"
    );
    assert!(report["cost"]["line_fuel"].as_u64() > Some(0) && report["build"] == "plain", "{report}");

    std::fs::write(cases.join("first.json"), case.replace("INV-2026-000042", "INV-2026-000043")).unwrap();
    let ended = desk.run(&test).ended(6);
    assert!(ended.stderr().contains("1 of") && ended.stdout().contains("BROKEN"), "{}", ended.stderr());
    std::fs::write(cases.join("first.json"), "{").unwrap();
    let told = desk.run(&test).refused(2);
    assert!(told.contains("first.json"), "{told}");

    let hostile = plugins().join("hostile-tax.wasm").display().to_string();
    let ended = desk.run(&["plugin", "test", &hostile, "--plugin-config", r#"{"do":"wrong-sum"}"#]).ended(6);
    assert!(ended.stdout().contains("BROKEN"), "{}", ended.stdout());
}
