//! `altyn plugin upgrade`, `stays` and `migrate`: another component for a binding, and the subscriptions that stay on a former
//! one.

use altyn_domain::{
    id::{BindingId, SubscriptionId},
    stay::Existing,
};
use altyn_service::{bindings::UpgradeBinding, stays::MigrateBinding};

use super::{
    exit::Failure,
    plugins::{BINDING, configuration, digest},
    session::Session,
};

const STAY: &[&str] = &["version", "plugin_id", "plugin_version", "started_before", "subscriptions", "component"];
const MIGRATED: &[&str] = &["binding_id", "component", "migrated"];

/// Options of `altyn plugin upgrade`.
#[derive(Debug, clap::Args)]
pub struct Upgrade {
    /// Which
    #[arg(long)]
    binding: BindingId,
    /// The component's digest, or its plugin id when one version is installed
    #[arg(long)]
    component: String,
    /// Configuration: JSON, or @FILE; default: the one it has
    #[arg(long, value_name = "JSON")]
    plugin_config: Option<String>,
    /// stay or migrate: what becomes of existing subscriptions, where proration or tax is decided; default: they stay
    #[arg(long)]
    existing: Option<Existing>,
}

/// Options of `altyn plugin stays`.
#[derive(Debug, clap::Args)]
pub struct Stays {
    /// The binding
    #[arg(long)]
    binding: BindingId,
}

/// Options of `altyn plugin migrate`.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// The binding
    #[arg(long)]
    binding: BindingId,
    #[command(flatten)]
    who: Who,
}

/// Who goes over.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// All subscriptions, those of tenants below, too
    #[arg(long)]
    all: bool,
    /// A subscription; repeat for more, up to 1000
    #[arg(long = "subscription", value_name = "SUBSCRIPTION")]
    subscriptions: Vec<SubscriptionId>,
}

impl Upgrade {
    /// Gives a binding another component; the answer tells what subscriptions stay on.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let component = digest(session, self.component).await?;
        let config = self.plugin_config.as_deref().map(configuration).transpose()?;
        let version = session.altyn.binding_get(&request, self.binding).await?.version;
        let command = UpgradeBinding { component, config, existing: self.existing };
        let upgraded = session.altyn.binding_upgrade(&request, self.binding, version, command).await?.value;
        session.printer.object(&upgraded, BINDING)
    }
}

impl Stays {
    /// Shows what subscriptions stay on.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        session.printer.list(&session.altyn.binding_stays(&request, self.binding).await?, STAY)
    }
}

impl Migrate {
    /// Lets subscriptions go over.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let command = MigrateBinding { all: self.who.all, subscriptions: self.who.subscriptions };
        let migrated = session.altyn.binding_migrate(&request, self.binding, command).await?.value;
        session.printer.object(&migrated, MIGRATED)
    }
}
