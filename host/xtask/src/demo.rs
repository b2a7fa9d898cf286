//! The demonstration: build everything, then let `altyn demo` bill the example books.
//!
//! Decides only which database to offer; what is billed and printed belongs to `altyn`.

use std::{os::unix::process::CommandExt as _, path::Path, process::Command, process::ExitCode};

use anyhow::Context as _;

use crate::{
    guests,
    postgres::{Cluster, Purpose},
    shell,
};

/// The value of `--database` that stands for a server started for this one run.
const PRIVATE: &str = "private-postgres";

/// Builds and runs the demonstration; ends with its exit code.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (mut passed, private) = split(arguments)?;
    guests::build_guests(root)?;
    let altyn = shell::build_altyn(root)?;

    let cluster = if private { Some(Cluster::start(root, Purpose::Demo)?) } else { None };
    if let Some(cluster) = &cluster {
        passed.extend(["--database".to_owned(), cluster.url().to_owned()]);
    }
    let mut demo = Command::new(altyn);
    demo.current_dir(root).arg("demo");
    for (name, default) in [("--plugins", "target/plugins"), ("--books", "examples/operator")] {
        if !passed.iter().any(|word| word == name || word.starts_with(&format!("{name}="))) {
            demo.args([name, default]);
        }
    }
    demo.args(passed);

    if cluster.is_none() {
        // Becoming the program, rather than waiting for it, leaves it alone with the terminal's Ctrl-C.
        return Err(demo.exec()).context("cannot start target/release/altyn");
    }
    Ok(shell::exit_code(shell::status(&mut demo)?))
}

/// The arguments without `--database private-postgres`, and whether it was there.
fn split(arguments: &[String]) -> anyhow::Result<(Vec<String>, bool)> {
    let (mut passed, mut private) = (Vec::new(), false);
    let mut rest = arguments;
    while let Some(first) = rest.first() {
        let taken = match shell::option(rest, "--database")? {
            Some((PRIVATE, taken)) => {
                private = true;
                taken
            }
            Some((_, taken)) => {
                passed.extend_from_slice(&rest[..taken]);
                taken
            }
            None => {
                passed.push(first.clone());
                1
            }
        };
        rest = &rest[taken..];
    }
    Ok((passed, private))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_private_database_is_taken_out_of_the_arguments() {
        let given = ["--no-serve", "--database", "private-postgres", "--output", "json"].map(str::to_owned);
        let (passed, private) = split(&given).unwrap();
        assert_eq!(passed, ["--no-serve", "--output", "json"]);
        assert!(private);

        let given = ["--database=postgres://somewhere/altyn", "--no-serve"].map(str::to_owned);
        let (passed, private) = split(&given).unwrap();
        assert_eq!(passed, given);
        assert!(!private);
    }
}
