//! The way of an author, walked outside the repository: a plugin of every world in every language from nothing, the
//! examples, and for each language one invoice line that its plugins decided.
//!
//! Fetches the tools of the languages, so it is no part of the suite. What stands on stdout is what such plugins cost on
//! this machine, by the program that measured it. Invariant: every project is outside the repository, and whatever
//! fails ends the walk with a failure.

mod line;
mod project;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::Context as _;
use serde_json::Value;

use self::project::{Cost, Project};
use crate::shell::{self, Usage};

const LANGUAGES: [&str; 4] = ["rust", "javascript", "python", "c"];
const WORLDS: [&str; 4] = ["proration-strategy", "tax-rule", "numbering-scheme", "payment-gateway"];

/// What is walked, and with which programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Order {
    languages: Vec<&'static str>,
    /// The host to walk with; the release build of this repository when absent.
    altyn: Option<PathBuf>,
    /// The host to measure with; the one that walks when absent.
    measure: Option<PathBuf>,
}

/// Walks it for the named languages, or all; ends with a failure when one project of them does not pass.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let order = order(arguments)?;
    let altyn = match &order.altyn {
        Some(program) => found(program)?,
        None => shell::build_altyn(root)?,
    };
    let measure = order.measure.as_deref().map(found).transpose()?.unwrap_or_else(|| altyn.clone());
    let folder = outside()?;
    let walk = Walk { root, altyn, measure, folder: folder.clone() };
    let walked = order.languages.iter().try_for_each(|language| walk.language(language));
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    walked?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the examples of a language as an author does, outside the repository, and asks the kit and their cases; answers
/// their names.
pub fn examples(root: &Path, language: &str, altyn: &Path) -> anyhow::Result<Vec<String>> {
    let altyn = found(altyn)?;
    let folder = outside()?;
    let walk = Walk { root, altyn: altyn.clone(), measure: altyn, folder: folder.clone() };
    let passed = project::examples(root, language)?.into_iter().map(|example| {
        let project = Project::copy(&walk, &example)?;
        project.build(&walk)?;
        project.test(&walk)?;
        Ok(project.name)
    });
    let passed = passed.collect();
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    passed
}

/// A new folder outside the repository.
fn outside() -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("altyn-authors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn found(program: &Path) -> anyhow::Result<PathBuf> {
    program.canonicalize().with_context(|| format!("there is no program {}", program.display()))
}

/// A walk under way.
struct Walk<'a> {
    root: &'a Path,
    altyn: PathBuf,
    measure: PathBuf,
    /// Where everything is made; outside the repository.
    folder: PathBuf,
}

impl Walk<'_> {
    fn language(&self, language: &str) -> anyhow::Result<()> {
        let mut made = Vec::new();
        for world in WORLDS {
            let begun = Instant::now();
            let project = Project::scaffold(self, language, world)?;
            project.build(self)?;
            let built_in = begun.elapsed();
            tell(language, world, &project.test(self)?, &format!("new and build {} s", built_in.as_secs()))?;
            made.push(project);
        }
        let told = line::bill(self, language, &made)?;
        writeln!(io::stdout(), "{language:10} an invoice line: {told}")?;
        for example in project::examples(self.root, language)? {
            let project = Project::copy(self, &example)?;
            project.build(self)?;
            tell(language, &project.name, &project.test(self)?, "an example")?;
        }
        Ok(())
    }

    /// Runs the host without a trace of the repository: neither its settings nor its folder. What it compiled is kept
    /// from one command to the next, as an operator's host keeps it.
    fn altyn(&self, folder: &Path, words: &[&str]) -> anyhow::Result<Value> {
        let mut altyn = Command::new(&self.altyn);
        altyn.args(["--output", "json"]).args(words).current_dir(folder);
        json(altyn.env("ALTYN__PLUGINS__CACHE_DIR", self.folder.join("compiled")))
    }
}

/// The answer of a command; its own words are in the error when it failed.
fn json(command: &mut Command) -> anyhow::Result<Value> {
    serde_json::from_str(&shell::capture(command)?).context("the answer is no JSON")
}

fn tell(language: &str, what: &str, cost: &Cost, more: &str) -> io::Result<()> {
    let Cost { size_kb, compile_ms, cached_ms, call_us, line_ns, line_fuel, memory_kb } = cost;
    writeln!(
        io::stdout(),
        "{language:10} {what:18} {size_kb:>6} kB, compiled in {compile_ms:>6} ms, from the cache in {cached_ms:>4} ms, \
         a call {call_us:>6} µs, a line {line_ns:>8} ns and {line_fuel:>8} fuel, memory {memory_kb:>6} KiB; {more}"
    )
}

fn order(mut rest: &[String]) -> Result<Order, Usage> {
    let mut order = Order::default();
    while let Some(first) = rest.first() {
        let mut words = 1;
        if let Some((program, taken)) = shell::option(rest, "--altyn")? {
            (order.altyn, words) = (Some(program.into()), taken);
        } else if let Some((program, taken)) = shell::option(rest, "--measure")? {
            (order.measure, words) = (Some(program.into()), taken);
        } else {
            let known = LANGUAGES.into_iter().find(|language| language == first);
            let unknown = || Usage::new(format!("`{first}` is none of {}", LANGUAGES.join(", ")));
            order.languages.push(known.ok_or_else(unknown)?);
        }
        rest = rest.get(words..).unwrap_or_default();
    }
    if order.languages.is_empty() {
        order.languages.extend(LANGUAGES);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_and_programs_may_be_named() {
        let of = |text: &str| order(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("").unwrap().languages, LANGUAGES);
        assert_eq!(of("python rust").unwrap().languages, ["python", "rust"]);
        let named = of("c --altyn target/debug/altyn --measure=altyn").unwrap();
        assert_eq!(named.languages, ["c"]);
        assert_eq!((named.altyn, named.measure), (Some("target/debug/altyn".into()), Some("altyn".into())));
        assert!(of("cobol").is_err() && of("--altyn").is_err());
    }

    #[test]
    fn every_example_says_what_it_is_and_has_cases() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut all = 0;
        for language in LANGUAGES {
            let examples = project::examples(&root, language).unwrap();
            assert!(!examples.is_empty(), "there is no example in {language}");
            for example in examples {
                let name = example.file_name().unwrap().to_string_lossy().into_owned();
                let readme = std::fs::read_to_string(example.join("README.md")).unwrap();
                assert!(readme.contains(&format!("altyn plugin bind {name} ")), "{name}: from it to an invoice line");
                assert!(std::fs::read_dir(example.join("cases")).unwrap().count() > 1, "{name} has too few cases");
                all += 1;
            }
        }
        let folders = std::fs::read_dir(root.join("examples/plugins")).unwrap();
        let folders = folders.filter(|entry| entry.as_ref().unwrap().path().is_dir());
        assert_eq!(folders.count(), all, "an example has no altyn-plugin.toml");
    }
}
