//! `altyn tenant`: operators and resellers.

use altyn_domain::{id::TenantId, run::RunMode};
use altyn_service::{
    Request,
    tenants::{CreateTenant, UpdateTenant},
};
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    session::{CREDENTIAL, PageArgs, Session},
};

const COLUMNS: &[&str] = &["id", "name", "zone", "currency", "locale", "run_mode", "run_at", "parent_id"];

/// Verbs of `altyn tenant`.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant: a root, or below another one
    Create {
        /// Its name
        #[arg(long)]
        name: String,
        /// Main currency, such as RUB; it never changes
        #[arg(long)]
        currency: Option<String>,
        /// The tenant above
        #[arg(long, value_name = "TENANT")]
        under: Option<TenantId>,
        #[command(flatten)]
        settings: TenantSettings,
    },
    /// List tenants: all, or those below --tenant
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one tenant
    Show {
        /// Which; default: the one that commands work for
        id: Option<TenantId>,
    },
    /// Change a tenant's settings
    Update {
        /// Which
        id: TenantId,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: TenantSettings,
    },
}

/// Settings that may be given at any time.
#[derive(Debug, Args)]
pub struct TenantSettings {
    /// Language of texts for people, such as ru-RU
    #[arg(long)]
    locale: Option<String>,
    /// Time zone, such as Europe/Moscow
    #[arg(long)]
    zone: Option<String>,
    /// with-confirmation or automatic
    #[arg(long)]
    run_mode: Option<RunMode>,
    /// Local time of the daily runs, HH:MM
    #[arg(long)]
    run_at: Option<String>,
}

impl TenantCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Create { name, currency, under, settings } => {
                let TenantSettings { locale, zone, run_mode, run_at } = settings;
                let command = CreateTenant { name, locale, zone, currency, run_mode, run_at };
                let tenant = match under {
                    None => altyn.tenant_create_root(command).await?,
                    Some(parent) => altyn.tenant_create(&Request::internal(parent, CREDENTIAL), command).await?.value,
                };
                printer.object(&tenant, COLUMNS)
            }
            Self::List { page } => {
                let tenants = match session.chosen_tenant() {
                    None => altyn.tenant_list_all(&page.page()).await?,
                    Some(id) => altyn.tenant_list(&Request::internal(id, CREDENTIAL), &page.page()).await?,
                };
                printer.list(&tenants, COLUMNS)
            }
            Self::Show { id: None } => printer.object(&session.tenant().await?, COLUMNS),
            Self::Show { id: Some(id) } => {
                printer.object(&altyn.tenant_get(&Request::internal(id, CREDENTIAL), id).await?, COLUMNS)
            }
            Self::Update { id, name, settings } => {
                let TenantSettings { locale, zone, run_mode, run_at } = settings;
                let request = Request::internal(id, CREDENTIAL);
                let version = altyn.tenant_get(&request, id).await?.version;
                let command = UpdateTenant { name, locale, zone, run_mode, run_at };
                printer.object(&altyn.tenant_update(&request, id, version, command).await?.value, COLUMNS)
            }
        }
    }
}
