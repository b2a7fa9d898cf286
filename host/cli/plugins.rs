//! `altyn plugin`: from a file to a decision at a tenant's extension point.

use std::path::{Path, PathBuf};

use altyn_domain::{binding::Inheritance, grant::LoweredLimits, id::BindingId, manifest::SignedManifest};
use altyn_runtime::Runtime;
use altyn_service::{
    Request,
    bindings::{NarrowBinding, ShareBinding},
    grants::SetGrant,
    install::{InstallPlugin, read_manifest},
    page::Listed,
    plugins::{CreateBinding, Plugins},
};
use chrono::NaiveDate;
use clap::Subcommand;

use super::{
    author,
    calls::CallCommand,
    canaries::CanaryCommand,
    declared,
    exit::{Exit, Failure},
    output::Output,
    plugin_limits,
    publishing::{KeyCommand, Keygen, Sign},
    session::{CREDENTIAL, Global, PageArgs, Session, start_log},
    shadow, stays,
};
use crate::ComposeError;

const EXAMINATION: &[&str] = &["digest", "size_bytes", "world", "contract_version", "imports", "exports"];
const INSPECTION: &[&str] =
    &["plugin_id", "version", "title", "world", "contract_version", "digest", "size_bytes", "imports", "exports"];
const DESCRIPTION: &[&str] = &["plugin_id", "version", "title", "hosts", "secrets"];
const COMPONENT: &[&str] = &["plugin_id", "version", "world", "trust_level", "publisher", "size_bytes", "digest"];
/// The columns of a binding.
pub const BINDING: &[&str] =
    &["id", "extension_point", "effective_from", "priority", "inheritance", "ended_at", "config", "component"];
const INHERITED: &[&str] = &["binding_id", "owner_id", "limits", "ended_from"];
const CHANGE: &[&str] = &["version", "kind", "changed_at", "changed_by", "detail", "config", "component"];
const DECIDING: &[&str] = &["extension_point", "binding_id", "owner_id", "limits", "component"];
const GRANT: &[&str] = &["plugin_id", "hosts", "secrets", "limits", "asked_hosts", "asked_secrets", "version"];
const CAPABILITIES: &[&str] = &["plugin_id", "asked_hosts", "asked_secrets", "undecided", "effective"];
const FIELD: &[&str] = &["pointer", "kind", "title", "required", "default", "choices", "description"];

/// Verbs of `altyn plugin`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make the project of a new plugin; needs no database
    New(author::New),
    /// Brings this program's contract and helpers into a plugin's project, in place of older ones
    Vendor(author::Vendor),
    /// Make the component of a plugin's project; needs no database
    Build(author::Build),
    /// Ask a component what every plugin of its world must hold, and the cases of its project; needs no database
    Test(author::Test),
    /// Show what a component is before anything of it runs, then what it says about itself; needs no database
    Inspect(Inspect),
    /// Make a publisher's key pair; needs no database
    Keygen(Keygen),
    /// Sign a component: writes a manifest beside it; needs no database
    Sign(Sign),
    /// Publishers whose signature is taken here
    #[command(subcommand)]
    Key(KeyCommand),
    /// Install a component for the platform
    Install {
        /// The .wasm file
        file: PathBuf,
        #[command(flatten)]
        manifest: ManifestArgs,
        /// Install it although a newer version is there; this is recorded
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// Bring the plugins, grants and bindings that the settings declare into force
    Apply,
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
    /// Components on trial: for a share of the contracts of a binding, or for some tenants
    #[command(subcommand)]
    Canary(CanaryCommand),
    /// What plugins were asked and what they answered, as it was kept
    #[command(subcommand)]
    Call(CallCommand),
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
    /// Give a binding another component or configuration
    Upgrade(stays::Upgrade),
    /// Show how many subscriptions stay on which former component of a binding
    Stays(stays::Stays),
    /// Let subscriptions go over to the component that their binding has now
    Migrate(stays::Migrate),
    /// Take a binding back to the component and configuration it had before
    Rollback {
        /// Which
        #[arg(long)]
        binding: BindingId,
    },
    /// Show what a binding was
    History {
        /// Which
        #[arg(long)]
        binding: BindingId,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Say who below uses a binding, and limit it for everybody
    Share {
        /// Which
        #[arg(long)]
        binding: BindingId,
        /// none, optional or required
        #[arg(long)]
        inheritance: Inheritance,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Lower the limits of a binding from above, or do without it
    Narrow {
        /// Which
        #[arg(long)]
        binding: BindingId,
        /// Do without it from this business date on
        #[arg(long, value_name = "DATE")]
        end_from: Option<NaiveDate>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Show what decides at each extension point on a day
    Deciding {
        /// The business date
        #[arg(long, value_name = "DATE")]
        on: NaiveDate,
    },
    /// Grant a plugin some of what it asks for, in place of what was granted before
    Grant {
        /// The component's digest, or its plugin id when one version is installed
        component: String,
        /// A host that it may reach; repeat for more
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// A secret that may be used for it; repeat for more
        #[arg(long = "secret", value_name = "NAME")]
        secrets: Vec<String>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// List what was granted
    Grants {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show what a component asks for and what it may do
    Capabilities {
        /// The component's digest, or its plugin id when one version is installed
        component: String,
    },
    /// Show the settings form of a component
    Form {
        /// The component's digest, or its plugin id when one version is installed
        component: String,
    },
}

/// Limits of calls; they only ever lower those of the installation.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct LimitArgs {
    /// Fuel of a call without lines
    #[arg(long, value_name = "N")]
    fuel: Option<u64>,
    /// Fuel for each line
    #[arg(long, value_name = "N")]
    fuel_per_line: Option<u64>,
    /// Linear memory
    #[arg(long, value_name = "BYTES")]
    memory_bytes: Option<u64>,
    /// Wall time
    #[arg(long, value_name = "MS")]
    wall_ms: Option<u64>,
    /// Bytes of one answer, without lines
    #[arg(long, value_name = "BYTES")]
    hostcall_bytes: Option<u64>,
}

impl From<LimitArgs> for LoweredLimits {
    fn from(args: LimitArgs) -> Self {
        let LimitArgs { fuel, fuel_per_line, memory_bytes, wall_ms, hostcall_bytes } = args;
        Self { fuel, fuel_per_line, memory_bytes, wall_ms, hostcall_bytes, ..Self::default() }
    }
}

/// Options of `altyn plugin inspect`.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The .wasm file
    file: PathBuf,
    #[command(flatten)]
    manifest: ManifestArgs,
    /// Stop before anything of the component runs
    #[arg(long = "static")]
    only_static: bool,
}

/// Where a component's signed manifest is.
#[derive(Debug, clap::Args)]
pub struct ManifestArgs {
    /// The signed manifest; default: FILE with the ending .manifest.json, if it is there
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

impl ManifestArgs {
    /// The manifest that was named, or that lies beside the component.
    pub fn read(&self, component: &Path) -> Result<Option<SignedManifest>, Failure> {
        let file = self.manifest.clone().unwrap_or_else(|| manifest_beside(component));
        if self.manifest.is_none() && !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
        Ok(Some(read_manifest(&text)?))
    }
}

/// Where `altyn plugin sign` puts the manifest of a component.
pub fn manifest_beside(component: &Path) -> PathBuf {
    component.with_extension("manifest.json")
}

impl PluginCommand {
    /// The command that needs no database, run; or the command.
    pub async fn without_database(self, global: &Global) -> Result<Option<Self>, Failure> {
        match self {
            Self::Inspect(command) => command.run(global).await.map(|()| None),
            Self::Keygen(command) => command.run(global).map(|()| None),
            Self::Sign(command) => command.run(global).await.map(|()| None),
            Self::New(command) => command.run(global).map(|()| None),
            Self::Vendor(command) => command.run(global).map(|()| None),
            Self::Build(command) => command.run(global).map(|()| None),
            Self::Test(command) => command.run(global).await.map(|()| None),
            other => Ok(Some(other)),
        }
    }

    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            // Handled before a database was opened.
            Self::New(_)
            | Self::Vendor(_)
            | Self::Build(_)
            | Self::Test(_)
            | Self::Inspect(_)
            | Self::Keygen(_)
            | Self::Sign(_) => Ok(()),
            Self::Key(command) => command.run(session).await,
            Self::Install { file, manifest, allow_downgrade } => {
                let (wasm, manifest) = (read(&file)?, manifest.read(&file)?);
                let request = session.root_request().await?;
                let command = InstallPlugin { wasm, manifest, allow_downgrade };
                printer.object(&altyn.plugin_install_signed(&request, command).await?.value, COMPONENT)
            }
            Self::Apply => declared::apply(session).await,
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
            Self::Canary(command) => command.run(session).await,
            Self::Call(command) => command.run(session).await,
            Self::Usage(command) => command.run(session).await,
            Self::Limits => plugin_limits::limits(session).await,
            Self::Limit(command) => command.run(session).await,
            Self::EndBinding { id } => {
                let request: Request = Request::internal(session.tenant().await?.id, CREDENTIAL);
                let version = altyn.binding_get(&request, id).await?.version;
                printer.object(&altyn.binding_end(&request, id, version).await?.value, BINDING)
            }
            Self::Upgrade(command) => command.run(session).await,
            Self::Stays(command) => command.run(session).await,
            Self::Migrate(command) => command.run(session).await,
            Self::Rollback { binding } => {
                let request = session.request().await?;
                let version = altyn.binding_get(&request, binding).await?.version;
                printer.object(&altyn.binding_rollback(&request, binding, version).await?.value, BINDING)
            }
            Self::History { binding, page } => {
                let request = session.request().await?;
                printer.list(&altyn.binding_history(&request, binding, &page.page()).await?, CHANGE)
            }
            Self::Share { binding, inheritance, limits } => {
                let request = session.request().await?;
                let version = altyn.binding_get(&request, binding).await?.version;
                let command = ShareBinding { inheritance, limits: limits.into() };
                printer.object(&altyn.binding_share(&request, binding, version, command).await?.value, BINDING)
            }
            Self::Narrow { binding, end_from, limits } => {
                let request = session.request().await?;
                let command = NarrowBinding { limits: limits.into(), ended_from: end_from };
                printer.object(&altyn.binding_narrow(&request, binding, command).await?.value, INHERITED)
            }
            Self::Deciding { on } => {
                let request = session.request().await?;
                let data = altyn.binding_deciding(&request, on).await?;
                printer.list(&Listed { data, has_more: false, next_cursor: None }, DECIDING)
            }
            Self::Grant { component, hosts, secrets, limits } => {
                let request = session.request().await?;
                let component = digest(session, component).await?;
                let command = SetGrant { component, hosts, secrets, limits: limits.into() };
                printer.object(&altyn.grant_set(&request, command).await?.value, GRANT)
            }
            Self::Grants { page } => {
                let request = session.request().await?;
                printer.list(&altyn.grant_list(&request, &page.page()).await?, GRANT)
            }
            Self::Capabilities { component } => {
                let request = session.request().await?;
                let component = digest(session, component).await?;
                printer.object(&altyn.plugin_capabilities(&request, &component).await?, CAPABILITIES)
            }
            Self::Form { component } => {
                let component = digest(session, component).await?;
                let form = altyn.plugin_form(&component).await?;
                printer.list(&Listed { data: form.fields, has_more: false, next_cursor: None }, FIELD)
            }
        }
    }
}

/// A plugin host without a database.
pub fn plugin_host(global: &Global) -> Result<Plugins, Failure> {
    let config = global.load(None)?;
    start_log(&config.log);
    Ok(Plugins::new(Runtime::new(&config.plugins).map_err(ComposeError::from)?))
}

impl Inspect {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let (wasm, manifest) = (read(&self.file)?, self.manifest.read(&self.file)?);
        let plugins = plugin_host(global)?;
        let printer = global.printer();
        if self.only_static {
            return printer.object(&plugins.examine(wasm, manifest).await?.view(), EXAMINATION);
        }
        if printer.output == Output::Json {
            return printer.object(&plugins.inspect(wasm, manifest).await?, INSPECTION);
        }
        // Shown before the first instruction of the component, so that it is seen whatever that does.
        let examined = plugins.examine(wasm, manifest).await?;
        printer.object(&examined.view(), EXAMINATION)?;
        let descriptor = plugins.describe(&examined).await?;
        let schema: serde_json::Value = serde_json::from_str(&descriptor.config_schema).unwrap_or_default();
        let said = serde_json::json!({
            "plugin_id": descriptor.id, "version": descriptor.version, "title": descriptor.title,
            "hosts": descriptor.hosts, "secrets": descriptor.secrets, "config_schema": schema.to_string(),
        });
        super::output::line("\nit says about itself");
        printer.object(&said, DESCRIPTION)
    }
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
pub async fn digest(session: &Session, component: String) -> Result<String, Failure> {
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
