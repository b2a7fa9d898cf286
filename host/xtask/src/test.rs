//! The whole suite in one command: guests, a private PostgreSQL, the host's tests on both engines, the guests' own tests.
//!
//! Nothing is skipped: without a PostgreSQL the command fails before the first test.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    authors, guests,
    postgres::{Cluster, Purpose, TEST_URL},
    shell,
};

/// Runs the suite to its end, whatever fails on the way; `arguments` go to `cargo test` as they are.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    guests::build_guests(root)?;
    let cluster = Cluster::start(root, Purpose::Test)?;

    // What is named is of the host's workspace; the guests' workspace would refuse the name.
    let one_package = names(arguments, &["-p", "--package"]);
    let one_target = one_package || names(arguments, &["--test", "--bin", "--example", "--bench"]);
    let mut host = shell::cargo(root);
    host.args(["test", "--no-fail-fast"]);
    if !one_package {
        host.arg("--workspace");
    }
    host.args(arguments).env(TEST_URL, cluster.url()).env("ALTYN_PLUGINS_DIR", root.join("target").join("plugins"));
    let mut failed = Vec::new();
    if !shell::status(&mut host)?.success() {
        failed.push("the host");
    }

    if !one_target {
        for workspace in guests::WORKSPACES {
            let mut guests = shell::cargo(root);
            guests.args(["test", "--no-fail-fast", "--workspace"]);
            guests.args(["--manifest-path", &format!("{workspace}/Cargo.toml"), "--target-dir"]);
            guests.arg(root.join("target").join("guests-native")).args(arguments);
            if !shell::status(&mut guests)?.success() {
                failed.push(workspace);
            }
        }
    }

    let mut untried = None;
    if !one_target {
        // Rust examples are built with the guests; C needs a compiler that the suite does not bring.
        match altyn_toolchain::c_compiler(&brought()) {
            Some(compiler) => match authors::examples(root, "c", &root.join("target/debug/altyn")) {
                Ok(names) => eprintln!("examples in C, by {compiler}: {} built and tested", names.join(", ")),
                Err(error) => {
                    eprintln!("error: {error:#}");
                    failed.push("the examples in C");
                }
            },
            None => untried = Some("the examples in C: neither clang with wasm-ld nor the zig of `altyn plugin build`"),
        }
    }

    if failed.is_empty() {
        eprintln!("every test passed");
        if let Some(what) = untried {
            eprintln!("not tried, {what} is here");
        }
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: tests of {} failed", failed.join(" and "));
    Ok(ExitCode::FAILURE)
}

/// Where `altyn plugin build` keeps a zig that it had to bring.
fn brought() -> PathBuf {
    let named = |name| std::env::var_os(name).map(PathBuf::from);
    let caches = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    caches.unwrap_or_default().join("altyn").join("zig")
}

/// Whether one of the options stands among cargo's own arguments, in any of its spellings.
fn names(arguments: &[String], options: &[&str]) -> bool {
    let own = arguments.iter().take_while(|word| *word != "--");
    own.map(|word| word.split('=').next().unwrap_or(word)).any(|word| options.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_counts_only_before_the_separator() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(names(&words("money --package=altyn-domain"), &["-p", "--package"]));
        assert!(names(&words("-p altyn-domain"), &["-p", "--package"]));
        assert!(!names(&words("money -- -p"), &["-p", "--package"]));
    }
}
