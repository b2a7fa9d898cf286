//! Installed components: what the platform keeps of them, and the compiled ones in memory.
//!
//! A component is kept by its content for the whole platform and known by its digest; [`crate::install`] lets it in,
//! [`crate::bindings`] gives it to a tenant. Compiled components live in memory, shared by all tenants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use altyn_domain::trust::TrustLevel;
use altyn_runtime::{Digest, Examination, InstallError, Plugin, Runtime};
use altyn_store::{Db, Scope, StoreError, plugins as rows};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub use crate::{
    bindings::{BindingView, Bound, CreateBinding},
    install::InspectionView,
};
use crate::{
    context::Altyn,
    error::{Result, ServiceError, stored},
    page::{LARGEST_PAGE, Listed, Page},
};

/// Most components that are looked into at one moment, one of them being read and the others waiting.
const MOST_EXAMINED: usize = 8;

/// The plugin host with its compiled components.
pub struct Plugins {
    runtime: Arc<Runtime>,
    loaded: Mutex<HashMap<Digest, Plugin>>,
    /// Who examines a component, one at a time, and who waits for that.
    examining: Arc<Semaphore>,
    queue: Semaphore,
}

impl Plugins {
    /// Around a runtime, with nothing loaded.
    pub fn new(runtime: Runtime) -> Self {
        Self {
            runtime: Arc::new(runtime),
            loaded: Mutex::new(HashMap::new()),
            examining: Arc::new(Semaphore::new(1)),
            queue: Semaphore::new(MOST_EXAMINED),
        }
    }

    /// Reads what a component is from its bytes. Who waits for others does so without a thread, so that any number of
    /// components that somebody looks into takes none from those who call.
    pub(crate) async fn examined(&self, wasm: Vec<u8>) -> Result<(Plugin, Examination)> {
        let busy = "too many components are looked into at once; repeat it in a minute";
        let busy = |_| ServiceError::Plugin { code: "plugin-busy", message: busy.to_owned() };
        let _waiting = self.queue.try_acquire().map_err(busy)?;
        let stopped = |_| ServiceError::Internal("nothing is examined any more".to_owned());
        let turn = Arc::clone(&self.examining).acquire_owned().await.map_err(stopped)?;
        let runtime = self.runtime();
        // Whoever gives up waiting leaves the turn to the work that goes on.
        let examined = blocking(move || {
            let examined = runtime.examine(&wasm);
            drop(turn);
            examined
        });
        examined.await?.map_err(|error| refused(&error))
    }

    /// The runtime.
    pub fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    /// The compiled component, loaded from the database on first use.
    pub async fn component(&self, db: &Db, digest: Digest) -> Result<Plugin> {
        if let Some(plugin) = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(plugin.clone());
        }
        let mut tx = db.read(Scope::Platform).await?;
        let wasm = rows::component_wasm(&mut tx, digest.0.to_vec()).await?;
        let row = rows::component_find(&mut tx, digest.0.to_vec()).await?;
        drop(tx);
        let name = row.map(|row| format!("{} {}", row.plugin_id, row.version)).unwrap_or_default();
        let wasm = wasm.ok_or(ServiceError::NotFound("component"))?;
        if Digest::of(&wasm) != digest {
            return Err(StoreError::Corrupt("components.wasm", format!("does not have the digest {digest}")).into());
        }
        let runtime = self.runtime();
        let plugin = blocking(move || runtime.load(&wasm)).await?.map_err(|error| refused(&error))?.called(&name);
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, plugin.clone());
        Ok(plugin)
    }
}

/// Runs work that computes for long on a thread of its own, away from the reactor.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ServiceError::Internal(format!("a computation stopped: {error}")))
}

/// The code of what a plugin will not do however often it is asked.
pub(crate) const REFUSED: &str = "plugin-refused";

pub(crate) fn refused(error: &InstallError) -> ServiceError {
    ServiceError::Plugin { code: REFUSED, message: error.to_string() }
}

/// An installed component.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = InstalledComponentView)]
pub struct ComponentView {
    /// SHA-256 of the component, its identity.
    pub digest: String,
    /// The id it describes itself with.
    pub plugin_id: String,
    /// Its semantic version.
    pub version: String,
    /// For people.
    pub title: String,
    /// The world it implements.
    pub world: String,
    /// Size of the component.
    pub size_bytes: i64,
    /// JSON Schema of its configuration.
    pub config_schema: serde_json::Value,
    /// Hosts it asks for.
    pub hosts: Vec<String>,
    /// Secrets it asks for.
    pub secrets: Vec<String>,
    /// On whose word it was installed.
    pub trust_level: TrustLevel,
    /// Who signed it.
    pub publisher: Option<String>,
    /// The key it was signed with.
    pub key_id: Option<String>,
    /// When it was installed.
    pub installed_at: DateTime<Utc>,
}

impl Altyn {
    /// A page of installed components; the cursor is a digest.
    pub async fn plugin_list(&self, page: &Page) -> Result<Listed<ComponentView>> {
        let limit = page.limit.unwrap_or(20);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(ServiceError::invalid("/limit", format!("must be between 1 and {LARGEST_PAGE}")));
        }
        let after = match &page.cursor {
            None => Vec::new(),
            Some(text) => parse_digest(text)
                .ok_or_else(|| ServiceError::invalid("/cursor", "is not a cursor of this list; take `next_cursor`"))?,
        };
        let mut tx = self.db.read(Scope::Platform).await?;
        let found = rows::components_list(&mut tx, after, limit + 1).await?;
        page.listed(found, |row| hex::encode(&row.digest), component_view).try_data()
    }

    /// One installed component.
    pub async fn plugin_get(&self, digest: &str) -> Result<ComponentView> {
        component_view(self.plugin_row(digest).await?)
    }

    /// The row of an installed component.
    pub(crate) async fn plugin_row(&self, digest: &str) -> Result<rows::ComponentRow> {
        let digest = parse_digest(digest).ok_or(ServiceError::NotFound("component"))?;
        let mut tx = self.db.read(Scope::Platform).await?;
        rows::component_find(&mut tx, digest).await?.ok_or(ServiceError::NotFound("component"))
    }
}

/// A stored digest.
pub(crate) fn digest_of(bytes: &[u8]) -> Result<Digest> {
    Ok(Digest(bytes.try_into().map_err(|_| StoreError::Corrupt("digest", hex::encode(bytes)))?))
}

/// A digest that somebody wrote.
pub(crate) fn parse_digest(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|bytes| bytes.len() == 32)
}

/// JSON that was checked before it was stored.
pub(crate) fn schema(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or(serde_json::Value::Null)
}

/// A stored JSON list of names.
pub(crate) fn names(what: &'static str, text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(what, error.to_string()).into())
}

pub(crate) fn component_view(row: rows::ComponentRow) -> Result<ComponentView> {
    Ok(ComponentView {
        digest: hex::encode(&row.digest),
        plugin_id: row.plugin_id,
        version: row.version,
        title: row.title,
        world: row.world,
        size_bytes: row.size_bytes,
        config_schema: schema(&row.config_schema),
        hosts: names("components.hosts", &row.hosts)?,
        secrets: names("components.secrets", &row.secrets)?,
        trust_level: stored("components.trust_level", &row.trust_level)?,
        publisher: row.publisher,
        key_id: row.key_id,
        installed_at: row.installed_at,
    })
}

#[cfg(test)]
mod tests {
    use altyn_runtime::RuntimeConfig;

    use super::*;

    #[tokio::test]
    async fn components_that_are_looked_into_wait_in_a_bounded_queue() {
        let config = RuntimeConfig { instances: 1, pooling: false, ..RuntimeConfig::default() };
        let plugins = Arc::new(Plugins::new(Runtime::new(&config).unwrap()));
        let turn = Arc::clone(&plugins.examining).acquire_owned().await.unwrap();
        let look = || {
            let plugins = Arc::clone(&plugins);
            async move { plugins.examined(b"no component".to_vec()).await.map(|_| ()).unwrap_err().code() }
        };
        let waiting: Vec<_> = (0..MOST_EXAMINED).map(|_| tokio::spawn(look())).collect();
        while plugins.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(look().await, "plugin-busy", "one more");
        drop(turn);
        for one in waiting {
            assert_eq!(one.await.unwrap(), REFUSED);
        }
        assert_eq!(look().await, REFUSED, "there is room again");
    }
}
