//! Fuzzing on the stable toolchain: the suite's own targets, for longer.
//!
//! The targets are the tests of `host/runtime/tests/fuzz.rs`, which run side by side, each for the given time, and that of
//! `host/service/src/forms_fuzz.rs` after them.

use std::{path::Path, process::ExitCode};

use crate::{
    guests,
    shell::{self, Usage},
};

/// How long each target runs when nobody says so.
const SECONDS: &str = "300";
/// The target that needs the use cases; its name as the test runner has it.
const SERVICE_TARGET: &str = "forms_fuzz::schemas_and_configurations_are_checked_or_refused";

/// Builds the guests and runs the targets whose name holds the given text.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (seconds, target) = parse(arguments)?;
    guests::build_guests(root)?;
    let run = |arguments: &[&str], target: Option<&str>| {
        let mut tests = shell::cargo(root);
        tests.arg("test").args(arguments).args(target).args(["--", "--nocapture"]);
        tests.env("ALTYN_FUZZ_SECONDS", seconds).env("ALTYN_PLUGINS_DIR", root.join("target").join("plugins"));
        shell::status(&mut tests)
    };
    let ended = run(&["--package", "altyn-runtime", "--test", "fuzz"], target)?;
    if !ended.success() || !target.is_none_or(|target| SERVICE_TARGET.contains(target)) {
        return Ok(shell::exit_code(ended));
    }
    Ok(shell::exit_code(run(&["--package", "altyn-service", "--lib"], Some(SERVICE_TARGET))?))
}

fn parse(arguments: &[String]) -> Result<(&str, Option<&str>), Usage> {
    let (mut seconds, mut target) = (SECONDS, None);
    let mut rest = arguments;
    while let Some(first) = rest.first() {
        let taken;
        if let Some((value, words)) = shell::option(rest, "--seconds")? {
            if value.parse::<u64>().is_err() || value == "0" {
                return Err(Usage::new(format!("`--seconds` is a number from 1, got `{value}`")));
            }
            (seconds, taken) = (value, words);
        } else if first.starts_with('-') || target.is_some() {
            return Err(Usage::new(format!("`fuzz` takes --seconds N and the name of a target, not `{first}`")));
        } else {
            (target, taken) = (Some(first.as_str()), 1);
        }
        rest = &rest[taken..];
    }
    Ok((seconds, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_and_a_target_may_be_named() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parse(&words("")).unwrap(), (SECONDS, None));
        assert_eq!(parse(&words("answers --seconds 5")).unwrap(), ("5", Some("answers")));
        for wrong in ["--seconds 0", "--seconds", "--minutes 5", "answers questions"] {
            assert!(parse(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
