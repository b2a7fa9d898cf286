//! Running the program.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

/// A folder to work in, and the program run inside it with no settings but the given ones.
pub struct Desk {
    pub folder: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a migrated database, `altyn.db`.
    pub fn migrated() -> Self {
        let desk = Self::new();
        desk.run(&["migrate"]).succeeded();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn run(&self, words: &[&str]) -> Ended {
        self.run_with(words, &[])
    }

    pub fn run_with(&self, words: &[&str], environment: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_altyn"));
        command.current_dir(self.folder.path()).args(words).env_clear();
        // The guests of the tests are not signed; a test about signatures says so again.
        command.env("ALTYN__TRUST__UNSIGNED", "allow").envs(environment.iter().copied());
        Ended(command.output().unwrap())
    }

    /// The answer as JSON.
    pub fn json(&self, words: &[&str]) -> Value {
        let mut all = words.to_vec();
        all.extend(["--output", "json"]);
        self.run(&all).succeeded().json()
    }
}

/// What a command left.
pub struct Ended(Output);

impl Ended {
    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.0.status.success(), "{:?}\n{}\n{}", self.0.status, self.stdout(), self.stderr());
        self
    }

    /// Checks the exit code, that stdout is empty and that nobody sees a panic; gives stderr.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        let told = self.stderr();
        assert_eq!(self.0.status.code(), Some(code), "{}\n{told}", self.stdout());
        assert!(self.stdout().is_empty(), "{}", self.stdout());
        assert!(!told.contains("panicked") && !told.contains("backtrace"), "{told}");
        told
    }

    /// Ended with this code, whatever it printed before.
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(code), "{}\n{}", self.stdout(), self.stderr());
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout()).unwrap_or_else(|error| panic!("{error} in {}", self.stdout()))
    }
}

/// The example books.
pub fn books() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/operator")
}

/// Where the built components are.
pub fn plugins() -> PathBuf {
    let built = std::env::var_os("ALTYN_PLUGINS_DIR").map(PathBuf::from);
    let folder = built.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plugins"));
    assert!(folder.join("day-ratio.wasm").exists(), "build the components with `cargo xtask plugins`");
    folder
}

/// The id of an answer.
pub fn id(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

/// A tenant that sells the plan `net` at 500.00 a month, tax included, and the id of a contract of it.
pub fn selling() -> (Desk, String) {
    let desk = Desk::migrated();
    desk.json(&["tenant", "create", "--name", "Оператор"]);
    let requisites = ["--vat-regime", "general", "--inn", "0077990015", "--kpp", "007701001"];
    let seller = id(&desk.json(&[&["seller", "create", "--name", "ООО"], &requisites[..]].concat()));
    let customer = id(&desk.json(&["customer", "create", "--kind", "individual", "--name", "Абонент"]));
    let words = ["contract", "create", "--customer", &customer, "--seller", &seller, "--kind", "prepaid"];
    let contract = id(&desk.json(&[&words[..], &["--number", "Д-1"]].concat()));
    let product = ["product", "create", "--code", "net", "--title", "Сеть", "--tax-category", "standard"];
    let product = id(&desk.json(&product));
    let plan = json!({ "code": "net", "title": "Сеть", "status": "active", "version": {
        "effective_from": "2026-01-01", "cadence": "1m", "price_mode": "included",
        "components": [{ "code": "net", "title": "Сеть", "unit_price_minor": 50_000, "product_id": product }],
    }});
    std::fs::write(desk.path("plan.json"), plan.to_string()).unwrap();
    desk.json(&["plan", "create", "plan.json"]);
    (desk, contract)
}

/// Installs and binds a plugin for each extension point that runs need.
pub fn bind_plugins(desk: &Desk) {
    for (name, config) in [("day-ratio", "{}"), ("ru-vat", "{}"), ("number-template", r#"{"template":"{seq}"}"#)] {
        let file = plugins().join(name).with_extension("wasm");
        desk.json(&["plugin", "install", file.to_str().unwrap()]);
        desk.json(&["plugin", "bind", name, "--from", "2026-01-01", "--plugin-config", config]);
    }
}
