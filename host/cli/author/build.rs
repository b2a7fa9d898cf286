//! From a project to a component: runs the tools of its language, brings those that can be brought.
//!
//! No language gets WASI: C is built freestanding, and the interpreters of JavaScript and Python import nothing but the
//! contract, so that such a plugin has no clock, no files and no chance of its own either.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use altyn_toolchain::{CPlugin, Guests};
use serde::Serialize;

use super::{Language, Project};
use crate::cli::exit::Failure;

/// A component that was made.
#[derive(Serialize)]
pub struct Built {
    plugin_id: String,
    component: String,
    size_bytes: u64,
}

/// Makes the component of a project.
pub fn build(folder: &Path) -> Result<Built, Failure> {
    let folder = fs::canonicalize(folder)
        .map_err(|error| Failure::usage(format!("cannot open {}: {error}", folder.display())))?;
    let project = Project::read(&folder)?;
    let component = project.component(&folder);
    let dist = folder.join("dist");
    fs::create_dir_all(&dist).map_err(|error| Failure::failed(format!("cannot make {}: {error}", dist.display())))?;
    match project.language {
        Language::Rust => rust(&folder, &dist)?,
        Language::Javascript => javascript(&folder, &project, &component)?,
        Language::Python => python(&folder, &project, &component)?,
        Language::C => c(&folder, &project, &component)?,
    }
    let size_bytes = fs::metadata(&component)
        .map_err(|error| Failure::failed(format!("the tools left no {}: {error}", component.display())))?
        .len();
    Ok(Built { plugin_id: project.name, component: component.display().to_string(), size_bytes })
}

/// Where a compiler is kept that had to be brought: once for a user, in his folder for caches, else in the project.
fn tools(folder: &Path, name: &str) -> PathBuf {
    let named = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    caches.map_or_else(|| folder.join("target"), |caches| caches.join("altyn")).join(name)
}

fn rust(folder: &Path, dist: &Path) -> Result<(), Failure> {
    let tools = tools(folder, "wasm-toolchain");
    let guests = Guests { folder, target: &folder.join("target"), tools: &tools, out: dist, locked: false };
    guests.build().map(drop).map_err(|error| Failure::failed(format!("{error:#}")))
}

fn c(folder: &Path, project: &Project, component: &Path) -> Result<(), Failure> {
    let tools = tools(folder, "zig");
    let plugin = CPlugin { folder, world: project.world.as_str(), tools: &tools, component };
    plugin.build().map_err(|error| Failure::failed(format!("{error:#}")))
}

fn javascript(folder: &Path, project: &Project, component: &Path) -> Result<(), Failure> {
    let tool = folder.join("node_modules/.bin/componentize-qjs");
    if !tool.exists() {
        run(folder, "npm", ["install", "--no-audit", "--no-fund"], "Node.js 20 or newer with npm")?;
    }
    let arguments = ["--wit", "wit", "--world", project.world.as_str(), "--js", "plugin.js", "--sync", "--stub-wasi"];
    let arguments = arguments.into_iter().map(OsStr::new).chain(["--opt-size", "--output"].map(OsStr::new));
    run(folder, &tool, arguments.chain([component.as_os_str()]), "componentize-qjs; remove node_modules and try again")
}

fn python(folder: &Path, project: &Project, component: &Path) -> Result<(), Failure> {
    let tool = folder.join(".venv/bin/componentize-py");
    if !tool.exists() {
        run(folder, "python3", ["-m", "venv", ".venv"], "Python 3.10 or newer with its venv module")?;
        let install = ["install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
        run(folder, folder.join(".venv/bin/pip"), install, "pip of the project's .venv")?;
    }
    let arguments = ["-d", "wit", "-w", project.world.as_str(), "componentize", "--stub-wasi", "plugin", "-o"];
    let arguments = arguments.into_iter().map(OsStr::new).chain([component.as_os_str()]);
    run(folder, &tool, arguments, "componentize-py; remove .venv and try again")
}

/// Runs a tool with its words on stderr; `needs` says what to install when it does not start.
fn run(
    folder: &Path,
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    needs: &str,
) -> Result<(), Failure> {
    let program = program.as_ref();
    let shown = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    eprintln!("plugin: {shown}");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command
        .status()
        .map_err(|error| Failure::failed(format!("{shown} does not start ({error}); this needs {needs}")))?;
    if status.success() { Ok(()) } else { Err(Failure::failed(format!("{shown} ended with {status}"))) }
}
