//! Components and bindings: from a file to a decision at a tenant's extension point.
//!
//! A component is kept by its content for the whole platform; a binding gives it to one tenant with a configuration and
//! a first business date. Compiled components live in memory, shared by all tenants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use altyn_domain::id::{BindingId, TenantId};
use altyn_runtime::{CallContext, Digest, Inspection, InstallError, Plugin, Runtime, World};
use altyn_store::{Db, Scope, StoreError, exchanges, plugins as rows};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError},
    page::{LARGEST_PAGE, Listed, Page},
};

/// The plugin host with its compiled components.
pub struct Plugins {
    runtime: Arc<Runtime>,
    loaded: Mutex<HashMap<Digest, Plugin>>,
}

impl Plugins {
    /// Around a runtime, with nothing loaded.
    pub fn new(runtime: Runtime) -> Self {
        Self { runtime: Arc::new(runtime), loaded: Mutex::new(HashMap::new()) }
    }

    /// The runtime.
    pub fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    /// Looks into a component; needs no database.
    pub async fn inspect(&self, wasm: Vec<u8>) -> Result<InspectionView> {
        let runtime = self.runtime();
        let inspection = blocking(move || runtime.inspect(&wasm)).await?.map_err(|error| refused(&error))?;
        Ok(inspection_view(inspection))
    }

    /// The compiled component, loaded from the database on first use.
    pub async fn component(&self, db: &Db, digest: Digest) -> Result<Plugin> {
        if let Some(plugin) = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(plugin.clone());
        }
        let mut tx = db.read(Scope::Platform).await?;
        let wasm = rows::component_wasm(&mut tx, digest.0.to_vec()).await?;
        drop(tx);
        let wasm = wasm.ok_or(ServiceError::NotFound("component"))?;
        if Digest::of(&wasm) != digest {
            return Err(StoreError::Corrupt("components.wasm", format!("does not have the digest {digest}")).into());
        }
        let runtime = self.runtime();
        let plugin = blocking(move || runtime.load(&wasm)).await?.map_err(|error| refused(&error))?;
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

/// What a component says about itself, before anything is installed.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InspectionView {
    /// SHA-256 of the component.
    pub digest: String,
    /// The id it describes itself with.
    pub plugin_id: String,
    /// Its semantic version.
    pub version: String,
    /// For people.
    pub title: String,
    /// The world it implements, which names the extension point.
    #[schema(value_type = String, example = "tax-rule")]
    pub world: World,
    /// Version of the contract it was built against.
    pub contract_version: String,
    /// What it imports from the host.
    pub imports: Vec<String>,
    /// Size of the component.
    pub size_bytes: i64,
    /// JSON Schema of its configuration.
    pub config_schema: serde_json::Value,
    /// Secrets it asks for.
    pub secrets: Vec<String>,
    /// Hosts it asks for.
    pub hosts: Vec<String>,
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
    /// When it was installed.
    pub installed_at: DateTime<Utc>,
}

/// A binding of a component to an extension point.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BindingView {
    /// Its id.
    pub id: BindingId,
    /// The extension point.
    pub extension_point: String,
    /// SHA-256 of the component.
    pub component: String,
    /// Configuration handed to the component.
    pub config: serde_json::Value,
    /// Smaller wins between bindings of the same date.
    pub priority: i32,
    /// The first business date it decides.
    pub effective_from: NaiveDate,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Counts changes.
    pub version: i64,
}

/// A request to bind an installed component.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBinding {
    /// SHA-256 of an installed component, 64 hexadecimal digits.
    pub component: String,
    /// Configuration: a JSON object that fits the component's schema.
    #[serde(default = "empty_object")]
    pub config: serde_json::Value,
    /// Smaller wins between bindings of the same date.
    #[serde(default)]
    pub priority: i32,
    /// The first business date it decides.
    pub effective_from: NaiveDate,
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// A binding in effect, ready to be called.
#[derive(Clone)]
pub struct Bound {
    /// The binding.
    pub binding: BindingId,
    /// The component.
    pub plugin: Plugin,
    /// What each call is told.
    pub context: CallContext,
    /// SHA-256 of the configuration text.
    pub config_digest: [u8; 32],
}

impl Altyn {
    /// Looks into a component without keeping it: compiles it, instantiates it with nothing granted, asks it who it is.
    pub async fn plugin_inspect(&self, wasm: Vec<u8>) -> Result<InspectionView> {
        self.plugins.inspect(wasm).await
    }

    /// Installs a component for the platform; the same bytes are installed once.
    pub async fn plugin_install(&self, request: &Request, wasm: Vec<u8>) -> Result<Reply<ComponentView>> {
        let runtime = self.plugins.runtime();
        let (inspection, wasm) = blocking(move || runtime.inspect(&wasm).map(|inspection| (inspection, wasm)))
            .await?
            .map_err(|error| refused(&error))?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let digest = inspection.digest.0.to_vec();
        if let Some(row) = rows::component_find(&mut work.tx, digest.clone()).await? {
            return work.finish(200, component_view(row)).await;
        }
        let row = rows::ComponentRow {
            digest,
            plugin_id: inspection.descriptor.id.clone(),
            version: inspection.descriptor.version.clone(),
            world: inspection.world.as_str().to_owned(),
            title: inspection.descriptor.title.clone(),
            config_schema: inspection.descriptor.config_schema.clone(),
            size_bytes: i64::try_from(wasm.len()).unwrap_or(i64::MAX),
            installed_at: work.now,
        };
        match rows::component_insert(&mut work.tx, row.clone(), wasm).await {
            Ok(_) => work.finish(201, component_view(row)).await,
            Err(StoreError::Duplicate(_)) => Err(ServiceError::conflict(
                "version-taken",
                format!(
                    "another component is installed as {} {}; raise the version of yours",
                    row.plugin_id, row.version
                ),
            )),
            Err(error) => Err(error.into()),
        }
    }

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
        Ok(page.listed(found, |row| hex::encode(&row.digest), component_view))
    }

    /// One installed component.
    pub async fn plugin_get(&self, digest: &str) -> Result<ComponentView> {
        let digest = parse_digest(digest).ok_or(ServiceError::NotFound("component"))?;
        let mut tx = self.db.read(Scope::Platform).await?;
        rows::component_find(&mut tx, digest).await?.map(component_view).ok_or(ServiceError::NotFound("component"))
    }

    /// Binds an installed component to the extension point its world names.
    pub async fn binding_create(&self, request: &Request, command: CreateBinding) -> Result<Reply<BindingView>> {
        let mut fields = Fields::default();
        let digest = parse_digest(&command.component);
        if digest.is_none() {
            fields.refuse("/component", "must be a SHA-256 digest of 64 hexadecimal digits");
        }
        if !command.config.is_object() {
            fields.refuse("/config", "must be a JSON object");
        }
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let component = rows::component_find(&mut work.tx, digest.unwrap_or_default())
            .await?
            .ok_or_else(|| ServiceError::invalid("/component", "is not installed; install the component first"))?;
        let row = rows::BindingRow {
            id: self.ids.next(),
            extension_point: component.world,
            component_digest: component.digest,
            config: command.config.to_string(),
            priority: command.priority,
            effective_from: command.effective_from,
            created_at: work.now,
            ended_at: None,
            version: 1,
        };
        rows::binding_insert(&mut work.tx, request.tenant.0, &row).await?;
        if row.extension_point == World::PaymentGateway.as_str() {
            exchanges::endpoint_insert(&mut work.tx, request.tenant.0, row.id, work.now).await?;
        }
        work.finish(201, binding_view(row)).await
    }

    /// A page of the tenant's bindings.
    pub async fn binding_list(&self, request: &Request, page: &Page) -> Result<Listed<BindingView>> {
        let (limit, after) = page.bounds::<BindingId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::bindings_list(&mut tx, request.tenant.0, after, limit).await?;
        Ok(page.listed(found, |row| BindingId(row.id).to_string(), binding_view))
    }

    /// One binding.
    pub async fn binding_get(&self, request: &Request, id: BindingId) -> Result<BindingView> {
        let mut tx = self.read(request).await?;
        let row = rows::binding_find(&mut tx, request.tenant.0, id.0).await?;
        row.map(binding_view).ok_or(ServiceError::NotFound("binding"))
    }

    /// Ends a binding: it decides nothing more; what it decided stays explained.
    pub async fn binding_end(&self, request: &Request, id: BindingId, if_match: i64) -> Result<Reply<BindingView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let now = work.now;
        let ended = rows::binding_end(&mut work.tx, request.tenant.0, id.0, now, if_match).await?;
        let row = rows::binding_find(&mut work.tx, request.tenant.0, id.0).await?;
        let row = row.ok_or(ServiceError::NotFound("binding"))?;
        if !ended {
            return Err(ServiceError::Stale);
        }
        work.finish(200, binding_view(row)).await
    }

    /// The binding that decides at an extension point on a business date, ready to be called.
    ///
    /// `now` is the instant the plugin is told; it depends on the business date only, so that computing twice asks the
    /// same question.
    pub async fn bound(
        &self,
        tenant: TenantId,
        world: World,
        on: NaiveDate,
        now: DateTime<Utc>,
        zone: &str,
        locale: &str,
    ) -> Result<Bound> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let row = rows::binding_in_effect(&mut tx, tenant.0, world.as_str(), on).await?;
        drop(tx);
        let row = row.ok_or_else(|| {
            ServiceError::conflict(
                "no-binding",
                format!("no plugin is bound to {} on {on}; install one and bind it to the tenant", world.as_str()),
            )
        })?;
        let digest = digest_of(&row.component_digest)?;
        let limits = self.limits_in_force(tenant, world).await?;
        let plugin = self.plugins.component(&self.db, digest).await?.within(limits);
        let binding = BindingId(row.id);
        Ok(Bound {
            binding,
            plugin,
            config_digest: crate::evidence::sha256(row.config.as_bytes()),
            context: CallContext {
                tenant: tenant.to_string(),
                binding: binding.to_string(),
                config: row.config,
                now_ms: now.timestamp_millis(),
                zone: zone.to_owned(),
                locale: locale.to_owned(),
            },
        })
    }
}

/// A stored digest.
pub(crate) fn digest_of(bytes: &[u8]) -> Result<Digest> {
    Ok(Digest(bytes.try_into().map_err(|_| StoreError::Corrupt("digest", hex::encode(bytes)))?))
}

fn parse_digest(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|bytes| bytes.len() == 32)
}

fn schema(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or(serde_json::Value::Null)
}

fn inspection_view(inspection: Inspection) -> InspectionView {
    InspectionView {
        digest: inspection.digest.to_string(),
        plugin_id: inspection.descriptor.id,
        version: inspection.descriptor.version,
        title: inspection.descriptor.title,
        world: inspection.world,
        contract_version: inspection.contract_version,
        imports: inspection.imports,
        size_bytes: i64::try_from(inspection.size_bytes).unwrap_or(i64::MAX),
        config_schema: schema(&inspection.descriptor.config_schema),
        secrets: inspection.descriptor.secrets,
        hosts: inspection.descriptor.hosts,
    }
}

fn component_view(row: rows::ComponentRow) -> ComponentView {
    ComponentView {
        digest: hex::encode(&row.digest),
        plugin_id: row.plugin_id,
        version: row.version,
        title: row.title,
        world: row.world,
        size_bytes: row.size_bytes,
        config_schema: schema(&row.config_schema),
        installed_at: row.installed_at,
    }
}

fn binding_view(row: rows::BindingRow) -> BindingView {
    BindingView {
        id: BindingId(row.id),
        extension_point: row.extension_point,
        component: hex::encode(&row.component_digest),
        config: schema(&row.config),
        priority: row.priority,
        effective_from: row.effective_from,
        created_at: row.created_at,
        ended_at: row.ended_at,
        version: row.version,
    }
}
