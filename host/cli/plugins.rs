//! `altyn plugin`: from a file to a decision at a tenant's extension point.

use std::path::{Path, PathBuf};

use altyn_domain::id::BindingId;
use altyn_runtime::Runtime;
use altyn_service::{
    Request,
    plugins::{CreateBinding, Plugins},
};
use chrono::NaiveDate;
use clap::Subcommand;

use super::{
    exit::{Exit, Failure},
    plugin_limits,
    session::{CREDENTIAL, Global, PageArgs, Session, start_log},
    shadow,
};
use crate::ComposeError;

const INSPECTION: &[&str] =
    &["plugin_id", "version", "title", "world", "contract_version", "digest", "size_bytes", "imports", "config_schema"];
const COMPONENT: &[&str] = &["plugin_id", "version", "world", "title", "size_bytes", "digest"];
const BINDING: &[&str] = &["id", "extension_point", "effective_from", "priority", "ended_at", "config", "component"];

/// Verbs of `altyn plugin`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Check a component and show what it says about itself; needs no database
    Inspect {
        /// The .wasm file
        file: PathBuf,
    },
    /// Install a component for the platform
    Install {
        /// The .wasm file
        file: PathBuf,
    },
    /// List installed components
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Let an installed component decide for a tenant
    Bind {
        /// The component's digest, or its plugin id when one version is installed
        component: String,
        /// The first business date it decides
        #[arg(long, value_name = "DATE")]
        from: NaiveDate,
        /// Configuration: JSON, or @FILE
        #[arg(long, value_name = "JSON", default_value = "{}")]
        plugin_config: String,
        /// Smaller wins between bindings of the same date
        #[arg(long, default_value_t)]
        priority: i32,
    },
    /// List the tenant's bindings
    Bindings {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Ask another component about the past and show what it would have decided otherwise
    Shadow(shadow::Shadow),
    /// What the tenant's plugin calls took: fuel, memory, bytes, time
    Usage(plugin_limits::Usage),
    /// What a plugin call of the tenant may use
    Limits,
    /// Lower limits for the tenant and the tenants below it
    Limit(plugin_limits::Limit),
    /// End a binding: it decides nothing more
    EndBinding {
        /// Which
        id: BindingId,
    },
}

impl PluginCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Inspect { file } => {
                let inspection = altyn.plugin_inspect(read(&file)?).await?;
                printer.object(&inspection, INSPECTION)
            }
            Self::Install { file } => {
                let wasm = read(&file)?;
                let request = session.request().await?;
                printer.object(&altyn.plugin_install(&request, wasm).await?.value, COMPONENT)
            }
            Self::List { page } => printer.list(&altyn.plugin_list(&page.page()).await?, COMPONENT),
            Self::Bind { component, from, plugin_config, priority } => {
                let request = session.request().await?;
                let component = digest(session, component).await?;
                let config = configuration(&plugin_config)?;
                let command = CreateBinding { component, config, priority, effective_from: from };
                printer.object(&altyn.binding_create(&request, command).await?.value, BINDING)
            }
            Self::Bindings { page } => {
                let request = session.request().await?;
                printer.list(&altyn.binding_list(&request, &page.page()).await?, BINDING)
            }
            Self::Shadow(command) => command.run(session).await,
            Self::Usage(command) => command.run(session).await,
            Self::Limits => plugin_limits::limits(session).await,
            Self::Limit(command) => command.run(session).await,
            Self::EndBinding { id } => {
                let request: Request = Request::internal(session.tenant().await?.id, CREDENTIAL);
                let version = altyn.binding_get(&request, id).await?.version;
                printer.object(&altyn.binding_end(&request, id, version).await?.value, BINDING)
            }
        }
    }
}

/// `altyn plugin inspect`, which needs a plugin host and nothing else.
pub async fn inspect(global: &Global, file: &Path) -> Result<(), Failure> {
    let config = global.load(None)?;
    start_log(&config.log);
    let wasm = read(file)?;
    let plugins = Plugins::new(Runtime::new(&config.plugins).map_err(ComposeError::from)?);
    global.printer().object(&plugins.inspect(wasm).await?, INSPECTION)
}

/// The bytes of a component.
pub fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))
}

/// A configuration given as JSON or as @FILE.
pub fn configuration(text: &str) -> Result<serde_json::Value, Failure> {
    let text = match text.strip_prefix('@') {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("cannot read {file}: {error}")))?
        }
        None => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("--plugin-config is not JSON: {error}")))
}

/// The digest that was given, or that of the only installed component with the given plugin id.
async fn digest(session: &Session, component: String) -> Result<String, Failure> {
    if component.len() == 64 && component.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(component);
    }
    let mut page = altyn_service::page::Page { limit: Some(altyn_service::page::LARGEST_PAGE), cursor: None };
    let mut found = Vec::new();
    loop {
        let components = session.altyn.plugin_list(&page).await?;
        found.extend(components.data.into_iter().filter(|installed| installed.plugin_id == component));
        match components.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    match found.as_slice() {
        [only] => Ok(only.digest.clone()),
        [] => Err(Failure::new(
            Exit::NotFound,
            "not-found",
            format!("no component {component} is installed; run `altyn plugin install FILE`"),
        )),
        several => {
            let details = several.iter().map(|one| format!("{}  {} {}", one.digest, one.plugin_id, one.version));
            Err(Failure::usage(format!("several versions of {component} are installed; give a digest"))
                .with_details(details.collect()))
        }
    }
}
