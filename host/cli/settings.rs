//! `altyn config`: what the settings are, and whether they make sense.

use std::fmt::Write as _;

use clap::Subcommand;

use super::{exit::Failure, output, output::Output, session::Global};
use crate::config::Config;

/// Verbs of `altyn config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show the settings in force, passwords hidden
    Show,
    /// Check the settings and say nothing else
    Check,
}

impl ConfigCommand {
    /// Runs the command; no database is touched.
    pub fn run(self, global: &Global) -> Result<(), Failure> {
        let config = global.load(None)?;
        match self {
            Self::Show => show(&config, global.output),
            Self::Check => {
                match global.output {
                    Output::Table => output::line("the settings are valid"),
                    Output::Json => output::line("{ \"valid\": true }"),
                }
                Ok(())
            }
        }
    }
}

fn show(config: &Config, form: Output) -> Result<(), Failure> {
    let value = serde_json::to_value(config.redacted()).map_err(|error| Failure::failed(error.to_string()))?;
    if form == Output::Json {
        output::line(&format!("{value:#}"));
        return Ok(());
    }
    let mut text = String::new();
    keys("", &value, &mut text);
    output::write(&text);
    Ok(())
}

/// One `section.key = value` a line, as the file would say it.
fn keys(prefix: &str, value: &serde_json::Value, text: &mut String) {
    match value.as_object() {
        Some(section) => {
            for (key, value) in section {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                keys(&path, value, text);
            }
        }
        None => {
            let _ = match value {
                serde_json::Value::Null => writeln!(text, "# {prefix} is not set"),
                value => writeln!(text, "{prefix} = {value}"),
            };
        }
    }
}
