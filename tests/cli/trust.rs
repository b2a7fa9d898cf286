//! The way from a file to a decision at the command line: signed, trusted, bound and rolled back; and secrets.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::desk::Desk;

/// As a production is configured.
const STRICT: &[(&str, &str)] = &[("ALTYN__TRUST__UNSIGNED", "deny")];

fn with_guest() -> Desk {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Оператор"]);
    std::fs::copy(crate::desk::plugins().join("ru-vat.wasm"), desk.path("ru-vat.wasm")).unwrap();
    desk
}

#[test]
fn a_signed_plugin_comes_from_a_file_to_a_binding() {
    let desk = with_guest();
    let told = desk.run_with(&["plugin", "install", "ru-vat.wasm"], STRICT).refused(5);
    assert!(told.contains("altyn plugin sign"), "{told}");

    let pair = desk.json(&["plugin", "keygen", "--out", "acme.key"]);
    let id = pair["key_id"].as_str().unwrap();
    let private = std::fs::read_to_string(desk.path("acme.key")).unwrap();
    assert!(private.starts_with("altyn-ed25519-secret:") && !pair.to_string().contains(private.trim()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(desk.path("acme.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    desk.run(&["plugin", "keygen", "--out", "acme.key"]).refused(2);
    assert_eq!(std::fs::read_to_string(desk.path("acme.key")).unwrap(), private, "a key is never overwritten");

    desk.json(&["plugin", "sign", "ru-vat.wasm", "--key", "acme.key"]);
    let seen = desk.json(&["plugin", "inspect", "ru-vat.wasm", "--static"]);
    assert_eq!((seen["signature"]["fits"].as_bool(), seen["signature"]["key_id"].as_str()), (Some(true), Some(id)));
    assert!(seen["exports"].to_string().contains("altyn:billing/tax@0.1.0"), "{seen}");
    let told = desk.run_with(&["plugin", "install", "ru-vat.wasm"], STRICT).refused(5);
    assert!(told.contains(id) && told.contains("altyn plugin key trust"), "{told}");

    desk.json(&["plugin", "key", "trust", "acme.key.pub", "--publisher", "Acme"]);
    desk.run_with(&["plugin", "install", "ru-vat.wasm"], STRICT).succeeded();
    desk.run_with(&["plugin", "bind", "ru-vat", "--from", "2026-11-01"], STRICT).succeeded();
    let wrong = ["plugin", "bind", "ru-vat", "--from", "2026-11-01", "--plugin-config", "{\"regime\":1}"];
    let told = desk.run(&wrong).refused(2);
    assert!(told.contains("/config/regime"), "{told}");
    let deciding = desk.json(&["plugin", "deciding", "--on", "2026-11-02"]);
    let binding = deciding["data"][1]["binding_id"].as_str().unwrap().to_owned();
    desk.run(&["plugin", "rollback", "--binding", &binding]).refused(3);
    let form = desk.json(&["plugin", "form", "ru-vat"]);
    assert_eq!(form["data"][0]["pointer"], "/regime");

    let revoked = desk.json(&["plugin", "key", "revoke", id, "--reason", "lost"]);
    assert_eq!(revoked["components"].as_array().unwrap().len(), 1);
    desk.run(&["plugin", "bind", "ru-vat", "--from", "2026-12-01"]).refused(3);
}

#[test]
fn what_the_settings_declare_is_applied_once() {
    let desk = with_guest();
    let told = desk.run_with(&["plugin", "apply"], STRICT).refused(2);
    assert!(told.contains("[[declared.plugins]]"), "{told}");
    let pair = desk.json(&["plugin", "keygen", "--out", "acme.key"]);
    desk.json(&["plugin", "sign", "ru-vat.wasm", "--key", "acme.key"]);
    let settings = |regime: &str| {
        let text = format!(
            "[[declared.publishers]]\npublic_key = {}\npublisher = \"Acme\"\n\n\
            [[declared.plugins]]\nfile = \"ru-vat.wasm\"\n\n\
            [[declared.bindings]]\nplugin = \"ru-vat\"\nfrom = 2026-11-01\nconfig = {{ regime = \"{regime}\" }}\n",
            pair["public_key"]
        );
        std::fs::write(desk.path("altyn.toml"), text).unwrap();
    };
    let apply = || {
        let applied = desk.run_with(&["plugin", "apply", "--output", "json"], STRICT).succeeded().json();
        let steps = applied["data"].as_array().unwrap().clone();
        steps.iter().map(|step| step["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    settings("usn-5");
    assert_eq!(apply(), ["made", "made", "made"]);
    assert_eq!(apply(), ["unchanged", "unchanged", "unchanged"]);
    settings("general");
    assert_eq!(apply(), ["unchanged", "unchanged", "changed"]);
    settings("imaginary");
    let told = desk.run_with(&["plugin", "apply"], STRICT).refused(2);
    assert!(told.contains("declared.bindings[0] ru-vat") && told.contains("/config/regime"), "{told}");
    let shown = desk.run_with(&["config", "show"], STRICT).succeeded().stdout();
    assert!(shown.contains("declared.plugins"), "{shown}");
    std::fs::write(desk.path("altyn.toml"), "[[declared.plugins]]\nflie = \"x\"\n").unwrap();
    assert!(desk.run_with(&["config", "check"], STRICT).refused(2).contains("flie"));
}

/// The settings of a host with the master key in this file.
fn with(file: &str) -> [(&str, &str); 1] {
    [("ALTYN__SECRETS__MASTER_KEY_FILE", file)]
}

#[test]
fn a_secret_comes_by_stdin_and_a_wrong_master_key_stops_the_host() {
    let desk = with_guest();
    desk.json(&["secret", "master-key", "--out", "master.key"]);
    desk.json(&["secret", "master-key", "--out", "other.key"]);
    let set = |file: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_altyn"));
        command.args(["secret", "set", "password1", "--host", "pay.example.org", "--log", "trace", "--output", "json"]);
        command.current_dir(desk.folder.path()).env_clear().envs(with(file));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"hunter2-hunter2\n").unwrap();
        child.wait_with_output().unwrap()
    };
    desk.run(&["secret", "list"]).succeeded();
    let done = set("master.key");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let told = [done.stdout, done.stderr].concat();
    assert!(
        !String::from_utf8_lossy(&told).contains("hunter2"),
        "not in the answer and not in the log, whatever its level"
    );
    for file in ["altyn.db", "altyn.db-wal"] {
        let bytes = std::fs::read(desk.path(file)).unwrap_or_default();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{file}");
    }
    let wrong = set("other.key");
    assert_eq!(wrong.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("master key"));
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    for settings in [&with("other.key")[..], &[]] {
        let told = desk.run_with(&listen, settings).refused(3);
        assert!(told.contains("secrets.master_key_file"), "{told}");
    }
    let key = std::fs::read_to_string(desk.path("master.key")).unwrap();
    let shown = desk.run_with(&["config", "show"], &[("ALTYN__SECRETS__MASTER_KEY", key.trim())]).succeeded();
    assert!(!shown.stdout().contains(key.trim()) && shown.stdout().contains("***"));
    let malformed = desk.run_with(&["secret", "list"], &[("ALTYN__SECRETS__MASTER_KEY", "hunter2")]);
    assert!(!malformed.stderr().contains("hunter2") && malformed.stderr().contains("64 hexadecimal digits"));

    let both =
        [("ALTYN__SECRETS__MASTER_KEY_FILE", "other.key"), ("ALTYN__SECRETS__PREVIOUS_MASTER_KEY_FILE", "master.key")];
    desk.run_with(&["secret", "rotate", "--master"], &both).succeeded();
    desk.run_with(&["secret", "rotate"], &with("other.key")).succeeded();
    assert!(set("other.key").status.success());
}

#[test]
fn a_component_on_trial_is_started_widened_promoted_and_rolled_back() {
    let desk = with_guest();
    std::fs::copy(crate::desk::plugins().join("hostile-tax.wasm"), desk.path("hostile-tax.wasm")).unwrap();
    desk.json(&["plugin", "install", "ru-vat.wasm"]);
    desk.json(&["plugin", "install", "hostile-tax.wasm"]);
    let bound = desk.json(&["plugin", "bind", "ru-vat", "--from", "2026-11-01"]);
    let binding = bound["id"].as_str().unwrap();
    desk.run(&["plugin", "canary", "show", "--binding", binding]).refused(4);
    let start = ["plugin", "canary", "start", "--binding", binding, "--component", "hostile-tax"];
    for share in ["101", "0.001", "half"] {
        desk.run(&[&start[..], &["--share", share]].concat()).refused(2);
    }
    let mut words = [&start[..], &["--share", "2.5", "--most-faults", "0.5%", "--least", "10"]].concat();
    words.extend(["--output", "json"]);
    let started = desk.run(&words).succeeded().json();
    assert_eq!((&started["share_bp"], &started["most_fault_bp"]), (&250.into(), &50.into()), "{started}");
    assert!(desk.run(&start).refused(3).contains("altyn plugin canary"));
    desk.run(&["plugin", "upgrade", "--binding", binding, "--component", "hostile-tax"]).refused(3);
    let wider = desk.json(&["plugin", "canary", "share", "--binding", binding, "--share", "50"]);
    assert_eq!(
        (&wider["share_bp"], &wider["least_decisions"], &wider["version"]),
        (&5_000.into(), &10.into(), &2.into())
    );
    let shown = desk.run(&["plugin", "canary", "show", "--binding", binding]).succeeded().stdout();
    assert!(shown.contains("running") && shown.contains("5000"), "{shown}");
    desk.json(&["plugin", "canary", "promote", "--binding", binding]);
    assert_eq!(desk.json(&["plugin", "bindings"])["data"][0]["component"], started["component"]);
    desk.json(&["plugin", "rollback", "--binding", binding]);
    assert_eq!(desk.json(&["plugin", "bindings"])["data"][0]["component"], bound["component"]);
    desk.run(&start).succeeded();
    let ended = desk.json(&["plugin", "canary", "end", "--binding", binding]);
    assert_eq!(ended["state"], "ended");
    let listed = desk.run(&["plugin", "canary", "list", "--binding", binding]).succeeded().stdout();
    assert!(listed.contains("promoted") && listed.contains("ended"), "{listed}");
    let rehearse = ["plugin", "shadow", "--binding", binding, "--candidate", "ru-vat.wasm"];
    desk.run(&rehearse).refused(2);
    desk.run(&[&rehearse[..], &["--next-run", "--from", "2026-11-01"]].concat()).refused(2);
    // Nothing else is bound here, so that no run can be rehearsed.
    let told = desk.run(&[&rehearse[..], &["--next-run"]].concat()).refused(3);
    assert!(told.contains("no plugin is bound"), "{told}");
}

#[test]
fn an_upgrade_tells_what_stays_until_it_is_migrated() {
    let desk = with_guest();
    desk.json(&["plugin", "install", "ru-vat.wasm"]);
    let bound = desk.json(&["plugin", "bind", "ru-vat", "--from", "2026-11-01"]);
    let binding = bound["id"].as_str().unwrap();
    let upgrade = ["plugin", "upgrade", "--binding", binding, "--component", "ru-vat", "--plugin-config"];
    desk.run(&[&upgrade[..], &["{}", "--existing", "stray"]].concat()).refused(2);
    let told = desk.run(&[&upgrade[..], &[r#"{"regime":"usn-5"}"#]].concat()).succeeded().stdout();
    assert!(told.contains("staying") && told.contains("started before"), "{told}");
    let stays = desk.json(&["plugin", "stays", "--binding", binding]);
    assert_eq!((&stays["data"][0]["version"], &stays["data"][0]["subscriptions"]), (&2.into(), &0.into()), "{stays}");
    let migrate = ["plugin", "migrate", "--binding", binding];
    desk.run(&migrate).refused(2);
    let nobody = ["--subscription", "sub_00000000000000000000000000"];
    desk.run(&[&migrate[..], &nobody, &["--all"]].concat()).refused(2);
    let migrated = desk.run(&[&migrate[..], &["--all", "--output", "json"]].concat()).succeeded().json();
    assert_eq!((&migrated["migrated"], &migrated["staying"]), (&0.into(), &serde_json::json!([])));
    let existing = ["{}", "--existing", "migrate", "--output", "json"];
    let upgraded = desk.run(&[&upgrade[..], &existing].concat()).succeeded().json();
    assert!(upgraded.get("staying").is_none(), "{upgraded}");
    let history = desk.run(&["plugin", "history", "--binding", binding]).succeeded().stdout();
    assert!(history.contains("migrate") && history.contains("stay on the component before"), "{history}");
}
