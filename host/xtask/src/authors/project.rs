//! One project on the way of an author: made or copied, built, tested.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{Walk, json};
use crate::shell;

/// A project of a plugin.
pub struct Project {
    pub name: String,
    /// Its world; empty for an example, which knows it itself.
    pub world: String,
    folder: PathBuf,
}

/// What a component costs, as the host that measured it said.
pub struct Cost {
    pub size_kb: u64,
    pub compile_ms: u64,
    pub cached_ms: u64,
    pub call_us: u64,
    pub line_ns: u64,
    pub line_fuel: u64,
    pub memory_kb: u64,
}

impl Project {
    /// A new one from the template.
    pub fn scaffold(walk: &Walk<'_>, language: &str, world: &str) -> anyhow::Result<Self> {
        let name = format!("{language}-{world}");
        let folder = walk.folder.join(&name);
        walk.altyn(&walk.folder, &["plugin", "new", &name, "--world", world, "--lang", language])?;
        Ok(Self { name, world: world.into(), folder })
    }

    /// An example of the repository, as its README says.
    pub fn copy(walk: &Walk<'_>, example: &Path) -> anyhow::Result<Self> {
        let name = example.file_name().context("an example has a name")?.to_string_lossy().into_owned();
        let folder = walk.folder.join(&name);
        copy_folder(example, &folder)?;
        walk.altyn(&walk.folder, &["plugin", "vendor", &name])?;
        Ok(Self { name, world: String::new(), folder })
    }

    /// Makes the component.
    pub fn build(&self, walk: &Walk<'_>) -> anyhow::Result<()> {
        walk.altyn(&walk.folder, &["plugin", "build", &self.name]).map(drop)
    }

    /// The component.
    pub fn component(&self) -> PathBuf {
        self.folder.join("dist").join(&self.name).with_extension("wasm")
    }

    /// Asks the kit and the cases, twice: the second time the compiled component comes from the cache.
    pub fn test(&self, walk: &Walk<'_>) -> anyhow::Result<Cost> {
        let cache = walk.folder.join("cache").join(&self.name);
        let report = || -> anyhow::Result<Value> {
            let mut altyn = Command::new(&walk.measure);
            altyn.args(["--output", "json", "plugin", "test"]).arg(self.component());
            altyn.arg("--cases").arg(self.folder.join("cases"));
            json(altyn.current_dir(&walk.folder).env("ALTYN__PLUGINS__CACHE_DIR", &cache))
        };
        let (first, second) = (report()?, report()?);
        ensure!(first["passed"] == true, "{} does not pass: {first:#}", self.name);
        ensure!(first["cases"].as_array().is_some_and(|cases| !cases.is_empty()), "{} has no case", self.name);
        let number = |of: &Value| of.as_u64().unwrap_or_default();
        let cost = &first["cost"];
        Ok(Cost {
            size_kb: number(&first["size_bytes"]).div_ceil(1024),
            compile_ms: number(&first["compiled_in_ms"]),
            cached_ms: number(&second["compiled_in_ms"]),
            call_us: number(&cost["call_us_p50"]),
            line_ns: number(&cost["line_ns"]),
            line_fuel: number(&cost["line_fuel"]),
            memory_kb: number(&cost["peak_memory_bytes"]).div_ceil(1024),
        })
    }
}

/// The examples that are written in a language.
pub fn examples(root: &Path, language: &str) -> anyhow::Result<Vec<PathBuf>> {
    let home = root.join("examples").join("plugins");
    let mut found = Vec::new();
    for entry in fs::read_dir(&home).with_context(|| format!("cannot read {}", home.display()))? {
        let folder = entry?.path();
        let Ok(manifest) = fs::read_to_string(folder.join("altyn-plugin.toml")) else { continue };
        if manifest.lines().any(|line| line == format!("language = \"{language}\"")) {
            found.push(folder);
        }
    }
    found.sort();
    Ok(found)
}

/// Copies what git knows of a folder: not what building left there.
fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let listed = shell::capture(
        Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(from),
    )?;
    for file in listed.lines() {
        let (source, target) = (from.join(file), to.join(file));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
    }
    Ok(())
}
