//! `altyn plugin new | vendor | build | test`: the way of an author from an empty folder to a component that may be installed.
//!
//! Owns the author's project: its files, its toolchain, its report. Needs no database. Refuses to know what a plugin
//! decides; whether it decides soundly is asked of the kit that the plugin host itself has.

mod build;
mod check;
mod scaffold;

use std::path::{Path, PathBuf};

use altyn_runtime::World;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::{exit::Failure, session::Global};

/// The file that makes a folder a plugin's project.
const PROJECT: &str = "altyn-plugin.toml";

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust: the smallest and quickest
    Rust,
    /// JavaScript, run by QuickJS inside the component
    #[value(alias = "js")]
    Javascript,
    /// Python, run by CPython inside the component
    Python,
    /// C, without a standard library
    C,
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Javascript => "javascript",
            Self::Python => "python",
            Self::C => "c",
        }
    }
}

/// What a project says about itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Project {
    name: String,
    world: World,
    language: Language,
}

impl Project {
    fn read(folder: &Path) -> Result<Self, Failure> {
        let file = folder.join(PROJECT);
        if !file.exists() {
            return Err(Failure::usage(format!(
                "{} has no {PROJECT}; make a project with: altyn plugin new NAME --world tax-rule --lang rust",
                folder.display()
            )));
        }
        let read = config::Config::builder().add_source(config::File::from(file.as_path())).build();
        let project: Self = read
            .and_then(config::Config::try_deserialize)
            .map_err(|error| Failure::usage(format!("{} does not read: {error}", file.display())))?;
        scaffold::check_name(&project.name)?;
        Ok(project)
    }

    fn component(&self, folder: &Path) -> PathBuf {
        folder.join("dist").join(&self.name).with_extension("wasm")
    }
}

/// `altyn plugin new`.
#[derive(Debug, Args)]
pub struct New {
    /// The folder to make; its name is the plugin's id
    folder: PathBuf,
    /// What the plugin decides: proration-strategy, tax-rule, numbering-scheme or, in Rust only, payment-gateway
    #[arg(long)]
    world: World,
    /// What it is written in
    #[arg(long = "lang", value_enum, default_value_t = Language::Rust)]
    language: Language,
}

impl New {
    /// Writes the project.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        let made = scaffold::write(&self.folder, self.world, self.language)?;
        global.printer().object(&made, &["plugin_id", "world", "language", "folder", "files"])
    }
}

/// `altyn plugin vendor`.
#[derive(Debug, Args)]
pub struct Vendor {
    /// The project's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
}

impl Vendor {
    /// Brings the contract and the helpers of this program into a project.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        let made = scaffold::vendor(&self.folder, &Project::read(&self.folder)?)?;
        global.printer().object(&made, &["plugin_id", "world", "language", "folder", "files"])
    }
}

/// `altyn plugin build`.
#[derive(Debug, Args)]
pub struct Build {
    /// The project's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
}

impl Build {
    /// Makes the component.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        global.printer().object(&build::build(&self.folder)?, &["plugin_id", "component", "size_bytes"])
    }
}

/// `altyn plugin test`.
#[derive(Debug, Args)]
pub struct Test {
    /// A project's folder, or a .wasm file
    #[arg(default_value = ".")]
    subject: PathBuf,
    /// Configuration for the kit: JSON, or @FILE
    #[arg(long, value_name = "JSON", default_value = "{}")]
    plugin_config: String,
    /// A folder of cases; a project's own is `cases`
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
}

impl Test {
    /// Asks the kit and the cases; exit code 6 when a rule is broken.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        check::check(global, self.subject, &self.plugin_config, self.cases).await
    }
}
