//! Running the program.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

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
