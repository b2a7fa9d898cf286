//! Settings: every mistake is named, no secret is shown.

use crate::desk::Desk;

#[test]
fn the_settings_in_force_are_shown_without_passwords() {
    let desk = Desk::new();
    std::fs::write(desk.path("altyn.toml"), "[database]\nurl = \"postgres://app:hunter2@db/altyn\"\n").unwrap();
    let shown = desk.run(&["config", "show"]).succeeded().stdout();
    assert!(shown.contains("postgres://app:***@db/altyn") && !shown.contains("hunter2"), "{shown}");
    let shown = desk.json(&["config", "show", "--database", "sqlite:other.db"]);
    assert_eq!(shown["database"]["url"], "sqlite:other.db");
    assert_eq!(shown["runs"]["run_chunk"], 2_000);
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands() {
    let desk = Desk::new();
    let told = desk.run_with(&["config", "check"], &[("ALTYN__DATABASE__POOL", "9")]).refused(2);
    assert!(told.starts_with("error: ") && told.contains("pool"), "{told}");
    std::fs::write(desk.path("wrong.toml"), "[http]\nport = 80\n").unwrap();
    let told = desk.run(&["config", "check", "--config", "wrong.toml"]).refused(2);
    assert!(told.contains("port"), "{told}");
    desk.run(&["config", "check", "--config", "absent.toml"]).refused(2);
    assert_eq!(desk.run(&["config", "check"]).succeeded().stdout(), "the settings are valid\n");
}

#[test]
fn settings_without_sense_are_all_named_as_json_too() {
    let desk = Desk::new();
    let environment = [("ALTYN__HTTP__LISTEN", "here"), ("ALTYN__SCHEDULER__TICK_MS", "0")];
    let told = desk.run_with(&["config", "check", "--output", "json"], &environment).refused(2);
    let error: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(error["error"]["code"], "invalid-configuration");
    let keys: Vec<_> = error["error"]["fields"].as_array().unwrap().iter().map(|field| &field["pointer"]).collect();
    assert_eq!(keys, ["http.listen", "scheduler.tick_ms"]);
}

#[test]
fn the_database_url_may_stand_in_a_file() {
    let desk = Desk::new();
    std::fs::write(desk.path("url"), "sqlite:secret.db\n").unwrap();
    let file = desk.path("url");
    let environment = [("ALTYN__DATABASE__URL_FILE", file.to_str().unwrap())];
    desk.run_with(&["migrate"], &environment).succeeded();
    assert!(desk.path("secret.db").exists());
}
