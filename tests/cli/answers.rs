//! Exit codes and what is told with them.

use crate::desk::{Desk, plugins};

const NOBODY: &str = "00000000000070008000000000000000";

#[test]
fn wrong_usage_is_code_2_and_help_is_not_an_error() {
    let desk = Desk::new();
    assert!(desk.run(&["--help"]).succeeded().stdout().contains("Exit codes:"));
    assert!(desk.run(&["--version"]).succeeded().stdout().starts_with("altyn "));
    desk.run(&["customer", "show", "ctr_00000000000070008000000000000000"]).refused(2);
    let told = desk.run(&["bake", "--output", "json"]).refused(2);
    let error: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("bake"), "{told}");
}

#[test]
fn a_database_that_is_not_there_is_told_with_its_cure() {
    let desk = Desk::new();
    let told = desk.run(&["tenant", "list"]).refused(1);
    assert!(told.contains("altyn migrate"), "{told}");
    assert!(!desk.path("altyn.db").exists(), "looking makes no file");
    std::fs::write(desk.path("altyn.db"), "").unwrap();
    let told = desk.run(&["tenant", "list"]).refused(1);
    assert!(told.contains("altyn migrate"), "{told}");
    let told = desk.run(&["tenant", "list", "--database", "postgres://nobody:pw@127.0.0.1:1/none"]).refused(1);
    assert!(told.contains("nobody:***@") && !told.contains("pw@"), "{told}");
}

#[test]
fn the_only_tenant_is_meant_and_several_are_listed() {
    let desk = Desk::migrated();
    let told = desk.run(&["seller", "list"]).refused(2);
    assert!(told.contains("altyn tenant create"), "{told}");
    let first = desk.json(&["tenant", "create", "--name", "Первый"])["id"].as_str().unwrap().to_owned();
    desk.run(&["seller", "list"]).succeeded();
    desk.json(&["tenant", "create", "--name", "Второй"]);
    let told = desk.run(&["seller", "list"]).refused(2);
    assert!(told.contains(&first) && told.contains("Второй"), "{told}");
    desk.run(&["seller", "list", "--tenant", &first]).succeeded();
    let nobody = format!("ten_{NOBODY}");
    desk.run(&["seller", "list", "--tenant", &nobody]).refused(4);
}

#[test]
fn each_kind_of_refusal_has_its_code() {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Оператор"]);
    let told =
        desk.run(&["seller", "create", "--name", "ООО", "--vat-regime", "general", "--inn", "7707083894"]).refused(2);
    assert!(told.contains("\n  /inn: "), "{told}");
    desk.run(&["customer", "show", &format!("cus_{NOBODY}")]).refused(4);
    let conflict = desk.run(&["run", "start", "--date", "9000-01-01"]).refused(3);
    assert!(conflict.contains("lies ahead"), "{conflict}");
    std::fs::write(desk.path("not.wasm"), "no component").unwrap();
    desk.run(&["plugin", "inspect", "not.wasm"]).refused(5);
    desk.run(&["plugin", "inspect", "absent.wasm"]).refused(2);
    desk.run(&["plugin", "bind", "ru-vat", "--from", "2026-11-01"]).refused(4);
}

#[test]
fn a_plugin_is_inspected_without_a_database() {
    let desk = Desk::new();
    let file = plugins().join("ru-vat.wasm");
    let inspection = desk.json(&["plugin", "inspect", file.to_str().unwrap()]);
    assert_eq!(inspection["plugin_id"], "ru-vat");
    assert_eq!(inspection["world"], "tax-rule");
    assert!(!desk.path("altyn.db").exists());
}

#[test]
fn a_key_is_shown_once_and_refused_after_it_is_revoked() {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Оператор"]);
    let created = desk.json(&["apikey", "create", "--name", "кабинет", "--role", "read-only"]);
    assert!(created["secret"].as_str().unwrap().starts_with("alt_"));
    let id = created["key"]["id"].as_str().unwrap();
    let listed = desk.run(&["apikey", "list", "--output", "json"]).succeeded().stdout();
    assert!(listed.contains(id) && !listed.contains(created["secret"].as_str().unwrap()));
    let revoked = desk.json(&["apikey", "revoke", id]);
    assert!(revoked["revoked_at"].is_string());
}

#[test]
fn a_long_list_is_read_page_by_page() {
    let desk = Desk::migrated();
    for name in ["А", "Б", "В"] {
        desk.json(&["tenant", "create", "--name", name]);
    }
    let first = desk.json(&["tenant", "list", "--limit", "2"]);
    assert_eq!((first["data"].as_array().unwrap().len(), &first["has_more"]), (2, &true.into()));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = desk.json(&["tenant", "list", "--limit", "2", "--cursor", cursor]);
    assert_eq!((second["data"][0]["name"].as_str(), &second["has_more"]), (Some("В"), &false.into()));
    desk.run(&["tenant", "list", "--limit", "1000"]).refused(2);
}

#[test]
fn a_taken_port_is_told_before_anything_is_served() {
    let desk = Desk::migrated();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = desk.run(&["serve", "--listen", &address]).refused(1);
    assert!(told.contains(&address) && told.contains("--listen"), "{told}");
}

/// A child that does not outlive a failed test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn a_host_serves_until_it_is_asked_to_stop() {
    use std::io::{BufRead as _, BufReader};
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Оператор"]);
    let secret = desk.json(&["apikey", "create", "--name", "ключ"])["secret"].as_str().unwrap().to_owned();
    let host = std::process::Command::new(env!("CARGO_BIN_EXE_altyn"))
        .current_dir(desk.folder.path())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut host = Killed(host);
    let mut told = BufReader::new(host.0.stderr.take().unwrap()).lines();
    let address = told.find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("address=")?;
        Some(rest.split_whitespace().next().unwrap().to_owned())
    });
    let url = format!("http://{}/v1/sellers", address.unwrap());
    let asked = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let answer = reqwest::Client::new().get(url).bearer_auth(secret).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    });
    assert_eq!(asked.0, 200, "{}", asked.1);
    let stop = std::process::Command::new("kill").args(["-TERM", &host.0.id().to_string()]).status().unwrap();
    assert!(stop.success());
    assert_eq!(host.0.wait().unwrap().code(), Some(0));
}
