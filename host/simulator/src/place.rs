//! Where a life is lived: a database of either engine with the components installed, and hosts over it.
//!
//! Databases are made once a worker and shared by seeds, each with tenants of its own, because making one takes longer than
//! a life in it. On SQLite the file is kept in memory where the system has room for that: power does not fail here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use altyn_domain::id::TenantId;
use altyn_runtime::{Admission, Limits, LimitsTable, Runtime, RuntimeConfig};
use altyn_service::{
    Altyn, Request,
    plugins::Plugins,
    ports::{Ids, VirtualClock},
    poster::Poster,
    settings::{Settings, TrustSettings},
    tenants::CreateTenant,
};
use altyn_store::{Db, Fuse};
use anyhow::Context as _;
use chrono::{DateTime, Utc};

use crate::dice::SeededIds;

/// The components that operators choose from.
pub const STRATEGIES: [&str; 5] = ["day-ratio", "fixed-days", "day-rate-rounded", "second", "none"];
const OTHERS: [&str; 2] = ["ru-vat", "number-template"];

/// The compiled components, shared by all places.
#[derive(Clone)]
pub struct Guests {
    plugins: Arc<Plugins>,
    folder: PathBuf,
}

impl Guests {
    /// Guests from a folder of built components.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let limits = Limits { wall_ms: 60_000, ..Limits::default() };
        let limits = LimitsTable {
            proration_strategy: limits,
            tax_rule: limits,
            numbering_scheme: limits,
            ..LimitsTable::default()
        };
        // What a life asks must not depend on how busy the machine is.
        let admission = Admission { tenant_calls: Some(16), plugin_calls: Some(16), queue: 1_000, queue_ms: 600_000 };
        let config = RuntimeConfig { instances: 16, limits, admission, ..RuntimeConfig::default() };
        Ok(Self { plugins: Arc::new(Plugins::new(Runtime::new(&config)?)), folder: folder.to_owned() })
    }

    fn wasm(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.folder.join(name).with_extension("wasm");
        std::fs::read(&path)
            .with_context(|| format!("{} is missing; build the guests with `cargo xtask plugins`", path.display()))
    }
}

/// A database with the components installed.
pub struct Place {
    /// Digests of the components, by name.
    pub components: BTreeMap<&'static str, String>,
    /// What hosts are made from.
    altyn: Altyn,
    /// Of PostgreSQL: the server, and the database on it.
    made: Option<(String, String)>,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    /// A database of its own: a file for SQLite, a new database called `name` on `server` for PostgreSQL.
    pub async fn new(server: Option<&str>, name: &str, guests: &Guests) -> anyhow::Result<Self> {
        let (url, folder) = if let Some(server) = server {
            let created = Db::create_postgres_database(server, name).await;
            (created.context("cannot create a database on the server")?, None)
        } else {
            let memory = Path::new("/dev/shm");
            let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
            let folder = folder.context("no place for a SQLite file")?;
            (format!("sqlite:{}", folder.path().join("altyn.db").display()), Some(folder))
        };
        Db::migrate(&url).await?;
        let db = Db::connect(&url, 4).await?;
        // Small chunks, so that a handful of contracts is a run of several; leases end at once, so that a host that starts
        // again need not wait for the one that died.
        let settings = Settings { run_chunk: 3, run_lease_ms: 0, ..Settings::default() };
        let clock = Arc::new(VirtualClock::new(DateTime::<Utc>::UNIX_EPOCH));
        // Its own plugin host is never used: an empty one costs little, a compiled component does not.
        let small = RuntimeConfig { instances: 1, pooling: false, ..RuntimeConfig::default() };
        let own = Plugins::new(Runtime::new(&small)?);
        let altyn = Altyn::new(db, clock, Arc::new(SeededIds::new(u64::MAX, 0)), own, settings);
        let altyn = Altyn { plugins: Arc::clone(&guests.plugins), ..altyn.with_trust(TrustSettings::development()) };
        let made = server.map(|server| (server.to_owned(), url));
        let components = BTreeMap::new();
        let mut place = Self { components, altyn, made, _folder: folder };
        place.install(guests).await?;
        Ok(place)
    }

    async fn install(&mut self, guests: &Guests) -> anyhow::Result<()> {
        let platform: CreateTenant = serde_json::from_value(serde_json::json!({ "name": "platform" }))?;
        let tenant: TenantId = self.altyn.tenant_create_root(platform).await?.id;
        for name in STRATEGIES.into_iter().chain(OTHERS) {
            let installed =
                self.altyn.plugin_install(&Request::internal(tenant, "simulator"), guests.wasm(name)?).await?;
            self.components.insert(name, installed.value.digest);
        }
        Ok(())
    }

    /// A host over the database that has just started: nothing of a host before it is in its memory but compiled code.
    pub fn host(&self, clock: Arc<VirtualClock>, ids: Arc<dyn Ids>, fuse: Option<Arc<Fuse>>) -> Altyn {
        let db = fuse.map_or_else(|| self.altyn.db.clone(), |fuse| self.altyn.db.with_fuse(fuse));
        Altyn { db, clock, ids, poster: Poster::default(), ..self.altyn.clone() }
    }

    /// Ends all connections and removes the database.
    pub async fn close(self) -> anyhow::Result<()> {
        self.altyn.db.close().await;
        if let Some((server, url)) = self.made {
            Db::drop_postgres_database(&server, &url).await?;
        }
        Ok(())
    }
}
