//! Running other programs: what is said before, where their output goes, what a failure reads like.
//!
//! Refuses to know what the programs do. A program's stdout reaches our stdout only when the caller asks for it.

use std::{
    env,
    ffi::OsStr,
    fmt, io,
    path::Path,
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::{Context as _, bail};

/// A command line that asks for something that does not exist; answered with the usage text and exit code 2.
#[derive(Debug)]
pub struct Usage(String);

impl Usage {
    /// The complaint, in lower case.
    pub fn new(complaint: impl Into<String>) -> Self {
        Self(complaint.into())
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Refuses any argument.
pub fn no_arguments(rest: &[String]) -> Result<(), Usage> {
    match rest.first() {
        None => Ok(()),
        Some(first) => Err(Usage::new(format!("this command takes no argument, got `{first}`"))),
    }
}

/// The value of `--name value` or `--name=value` at the head of `rest`, and how many words it took.
pub fn option<'a>(rest: &'a [String], name: &str) -> Result<Option<(&'a str, usize)>, Usage> {
    let Some(first) = rest.first() else { return Ok(None) };
    if first == name {
        return match rest.get(1) {
            Some(value) => Ok(Some((value, 2))),
            None => Err(Usage::new(format!("`{name}` needs a value"))),
        };
    }
    Ok(first.strip_prefix(name).and_then(|tail| tail.strip_prefix('=')).map(|value| (value, 1)))
}

/// The cargo that started us, or the one on the path; runs in the repository.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs to the end with the terminal's stdout and answers the status, having said on stderr what is run.
pub fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    eprintln!("$ {}", shown(command));
    command.status().with_context(|| format!("cannot start `{}`", shown(command)))
}

/// Runs to the end with stdout turned to stderr; any failure is an error.
pub fn progress(command: &mut Command) -> anyhow::Result<()> {
    let status = status(command.stdout(Stdio::from(io::stderr())))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs quietly and answers stdout as text; a failure carries what the program wrote to stderr.
pub fn capture(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}\n{}", shown(command), output.status, complaint.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Our exit code for a program's end: the same number, or failure when a signal ended it.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Builds the release host with visible progress and answers the path of its program.
pub fn build_altyn(root: &Path) -> anyhow::Result<std::path::PathBuf> {
    let target = root.join("target");
    // The folder is named so that a developer's own CARGO_TARGET_DIR does not hide the program from us.
    progress(cargo(root).args(["build", "--release", "--bin", "altyn", "--target-dir"]).arg(&target))?;
    Ok(target.join("release").join("altyn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_option_takes_its_value_from_the_next_word_or_after_an_equals_sign() {
        assert_eq!(option(&words("--seed 7 rest"), "--seed").unwrap(), Some(("7", 2)));
        assert_eq!(option(&words("--seed=7 rest"), "--seed").unwrap(), Some(("7", 1)));
        assert_eq!(option(&words("--seeds 7"), "--seed").unwrap(), None);
        assert!(option(&words("--seed"), "--seed").is_err());
    }

    #[test]
    fn a_failing_program_is_an_error_that_carries_its_complaint() {
        let error = capture(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
