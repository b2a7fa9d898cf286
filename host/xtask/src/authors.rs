//! The way of an author, walked for every language and world: a new project outside the repository, its component, the
//! kit of the host. What stands on stdout is what such plugins cost on this machine.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use serde_json::Value;

use crate::shell::{self, Usage};

const LANGUAGES: [&str; 3] = ["rust", "javascript", "python"];
const WORLDS: [&str; 3] = ["proration-strategy", "tax-rule", "numbering-scheme"];

/// Walks it for the named languages, or all; ends with a failure when one project of them does not pass.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let languages = chosen(arguments)?;
    let altyn = shell::build_altyn(root)?;
    let folder = std::env::temp_dir().join(format!("altyn-authors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let walked = languages.iter().try_for_each(|language| walk(&altyn, &folder, language));
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    walked?;
    Ok(ExitCode::SUCCESS)
}

fn chosen(arguments: &[String]) -> Result<Vec<&str>, Usage> {
    if arguments.is_empty() {
        return Ok(LANGUAGES.to_vec());
    }
    let known = |argument: &String| LANGUAGES.into_iter().find(|language| language == argument);
    let chosen = arguments.iter().map(|argument| {
        known(argument).ok_or_else(|| Usage::new(format!("`{argument}` is none of {}", LANGUAGES.join(", "))))
    });
    chosen.collect()
}

fn walk(altyn: &Path, folder: &Path, language: &str) -> anyhow::Result<()> {
    let line = |text: &str| writeln!(io::stdout(), "{text}");
    for world in WORLDS {
        let project = folder.join(format!("{language}-{world}"));
        let run = |arguments: &[&str]| {
            let mut command = Command::new(altyn);
            // Nothing of the repository: neither its settings nor its folder.
            shell::capture(command.args(["--output", "json", "plugin"]).args(arguments).current_dir(folder))
        };
        let project = project.to_string_lossy().into_owned();
        run(&["new", &project, "--world", world, "--lang", language])?;
        run(&["build", &project])?;
        let report: Value = serde_json::from_str(&run(&["test", &project])?).context("the report is no JSON")?;
        let kilobytes = report["size_bytes"].as_u64().unwrap_or_default().div_ceil(1024);
        let cost = &report["cost"];
        line(&format!(
            "{language:10} {world:18} {kilobytes:>6} kB, compiled in {:>6} ms, a call {:>6} µs, a line {:>8} ns and {:>8} fuel, memory {:>6} KiB",
            report["compiled_in_ms"],
            cost["call_us_p50"],
            cost["line_ns"],
            cost["line_fuel"],
            cost["peak_memory_bytes"].as_u64().unwrap_or_default().div_ceil(1024),
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_may_be_named() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(chosen(&words("")).unwrap(), LANGUAGES);
        assert_eq!(chosen(&words("python rust")).unwrap(), ["python", "rust"]);
        assert!(chosen(&words("cobol")).is_err());
    }
}
