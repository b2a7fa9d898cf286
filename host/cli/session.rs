//! What a command is given: settings, the application, the tenant it works for, and where its answer goes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use altyn_domain::{id::TenantId, money::Currency};
use altyn_service::{
    Request,
    page::Page,
    plugins::blocking,
    ports::{Clock, SystemClock},
    tenants::TenantView,
};

use super::{
    exit::{Exit, Failure},
    output::{Output, Printer},
};
use crate::{
    Altyn, compose_at,
    config::{self, Config, Flags},
};

/// The credential that the command line leaves in records.
pub const CREDENTIAL: &str = "cli";
/// How long a command that is done waits for the calls that are made a second time.
const RECHECKS_SETTLE: Duration = Duration::from_secs(2);

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Settings file instead of altyn.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, global = true, value_name = "URL")]
    pub database: Option<String>,
    /// The tenant to work for (ten_…); default: the only one
    #[arg(long, global = true, value_name = "TENANT")]
    pub tenant: Option<TenantId>,
    /// What stands on stdout
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,
    /// Log level or filter directives, such as debug
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
}

impl Global {
    /// The settings of all layers, with `listen` as a flag.
    pub fn load(&self, listen: Option<&str>) -> Result<Config, Failure> {
        let flags = Flags {
            file: self.config.clone(),
            database: self.database.clone(),
            listen: listen.map(str::to_owned),
            log: self.log.clone(),
        };
        // A variable that is not text cannot be one of ours.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Config::load(&flags, environment)?)
    }

    /// Prints in the wanted form.
    pub fn printer(&self) -> Printer {
        Printer { output: self.output, currency: None }
    }
}

/// A connected command.
pub struct Session {
    /// The application.
    pub altyn: Altyn,
    /// Where the answer goes.
    pub printer: Printer,
    /// The settings in force.
    pub config: Config,
    tenant: Option<TenantId>,
}

impl Session {
    /// Connects to the database of the settings, which must exist.
    pub async fn open(global: &Global, config: Config) -> Result<Self, Failure> {
        Self::open_at(global, config, Arc::new(SystemClock)).await
    }

    /// Connects over any clock.
    pub async fn open_at(global: &Global, config: Config, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        if let Some(path) = config.database.url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            // Connecting would make an empty file, and the next words would be about missing tables.
            if !path.is_empty() && !std::path::Path::new(path.split('?').next().unwrap_or(path)).exists() {
                return Err(Failure::new(
                    Exit::Failure,
                    "not-migrated",
                    format!("there is no database at {path}; name another with --database, or run `altyn migrate`"),
                ));
            }
        }
        let altyn = compose_at(&config, clock).await?;
        altyn.master_keys_check(false).await?;
        Ok(Self { altyn, printer: global.printer(), config, tenant: global.tenant })
    }

    /// The same as the tenant meets it: in a sandbox the clock is the tenant's.
    pub async fn acting(self) -> Result<Self, Failure> {
        let mut id = self.tenant;
        if id.is_none() {
            let few = self.altyn.tenant_list_all(&Page { limit: Some(2), cursor: None }).await?;
            id = few.data.first().filter(|_| few.data.len() == 1).map(|tenant| tenant.id);
        }
        let Some(id) = id else { return Ok(self) };
        Ok(Self { altyn: self.altyn.acting_for(id).await?, ..self })
    }

    /// The tenant of `--tenant`.
    pub fn chosen_tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// The tenant of `--tenant`, or the only one.
    pub async fn tenant(&self) -> Result<TenantView, Failure> {
        if let Some(id) = self.tenant {
            return Ok(self.altyn.tenant_get(&Request::internal(id, CREDENTIAL), id).await?);
        }
        let shown = 20;
        let page = Page { limit: Some(shown), cursor: None };
        let mut all = self.altyn.tenant_list_all(&page).await?;
        match all.data.len() {
            0 => Err(Failure::usage("there is no tenant yet; make one with `altyn tenant create --name NAME`")),
            1 => Ok(all.data.remove(0)),
            _ => {
                let mut details: Vec<String> =
                    all.data.iter().map(|tenant| format!("{}  {}", tenant.id, tenant.name)).collect();
                if all.has_more {
                    details.push("… and more: `altyn tenant list`".to_owned());
                }
                Err(Failure::usage("there are several tenants; say which with --tenant").with_details(details))
            }
        }
    }

    /// A request for that tenant.
    pub async fn request(&self) -> Result<Request, Failure> {
        Ok(Request::internal(self.tenant().await?.id, CREDENTIAL))
    }

    /// A request for what the whole platform shares: by the tenant of `--tenant`, or the oldest one, which is a root.
    pub async fn root_request(&self) -> Result<Request, Failure> {
        if let Some(id) = self.tenant {
            return Ok(Request::internal(id, CREDENTIAL));
        }
        let oldest = self.altyn.tenant_list_all(&Page { limit: Some(1), cursor: None }).await?;
        let Some(tenant) = oldest.data.first() else {
            return Err(Failure::usage("there is no tenant yet; make one with `altyn tenant create --name NAME`"));
        };
        Ok(Request::internal(tenant.id, CREDENTIAL))
    }

    /// A request and the printer for amounts in the tenant's currency.
    pub async fn request_in_currency(&self) -> Result<(Request, Printer), Failure> {
        let tenant = self.tenant().await?;
        let currency = Currency::parse(&tenant.currency).ok();
        Ok((Request::internal(tenant.id, CREDENTIAL), self.printer.in_currency(currency)))
    }

    /// Closes the database.
    pub async fn close(self) {
        // What this command asked to be made again is under way still; a moment more, and it is told.
        let runtime = self.altyn.plugins.runtime();
        let _ = blocking(move || runtime.rechecks_settle(RECHECKS_SETTLE)).await;
        self.altyn.usage_store_or_warn().await;
        self.altyn.db.close().await;
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, clap::Args)]
pub struct PageArgs {
    /// How many at most, 1 to 100
    #[arg(long, default_value_t = 20)]
    limit: i64,
    /// Where to go on: the cursor that the page before named
    #[arg(long)]
    cursor: Option<String>,
}

impl PageArgs {
    /// As the use cases take it.
    pub fn page(&self) -> Page {
        Page { limit: Some(self.limit), cursor: self.cursor.clone() }
    }
}

/// Starts the log on stderr; a second start changes nothing.
pub fn start_log(log: &config::Log) {
    use config::LogFormat;
    // The level was checked when the settings were loaded.
    let filter = tracing_subscriber::EnvFilter::builder().parse_lossy(&log.level);
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colours).with_env_filter(filter);
    let _ = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
