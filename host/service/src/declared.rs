//! What a configuration declares about plugins, brought into force without doing anything twice.
//!
//! Owns the comparison of what is declared with what is there; the steps themselves are the use cases of keys, installation,
//! grants and bindings, each in a transaction of its own, so that what stopped half way is applied again. What is not declared
//! is left alone. Invariant: applying the same declaration again changes nothing.

use std::collections::BTreeMap;

use altyn_domain::{
    binding::Inheritance, grant::LoweredLimits, id::TenantId, manifest::SignedManifest, stay::Existing,
};
use altyn_store::plugin_keys;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    bindings::{BindingView, CreateBinding, ShareBinding, UpgradeBinding, shareable},
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError},
    grants::SetGrant,
    install::InstallPlugin,
    page::{LARGEST_PAGE, Page},
    plugin_keys::TrustKey,
    plugins::ComponentView,
    stays::StayView,
};

/// The most entries of one kind in a declaration that is sent as JSON.
const MOST_ENTRIES: usize = 1_000;

/// Everything that is declared.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// Publishers whose signature is taken.
    pub publishers: Vec<TrustKey>,
    /// Components that are installed.
    pub plugins: Vec<DeclaredPlugin>,
    /// What decides for tenants.
    pub bindings: Vec<DeclaredBinding>,
}

/// A component that is to be there.
#[derive(Clone, Debug)]
pub struct DeclaredPlugin {
    /// Where it comes from.
    pub source: ComponentSource,
    /// What it may do, by the word of the applying tenant; absent for no answer.
    pub grant: Option<DeclaredGrant>,
}

/// Where a declared component comes from.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a declaration has a few of them, for a moment")]
pub enum ComponentSource {
    /// It is installed from its bytes, if it is not there.
    Bytes {
        /// The component.
        wasm: Vec<u8>,
        /// What its publisher signed.
        manifest: Option<SignedManifest>,
    },
    /// It was installed before: its SHA-256, 64 hexadecimal digits.
    Installed(String),
}

/// A declaration as JSON; its components were installed before.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApplyPlugins {
    /// Publishers whose signature is taken; for a root tenant.
    pub publishers: Vec<TrustKey>,
    /// Components that are granted something, or that bindings below mean.
    pub plugins: Vec<ApplyPlugin>,
    /// What decides for the acting tenant and those below it.
    pub bindings: Vec<ApplyBinding>,
}

/// An installed component of a declaration.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyPlugin {
    /// SHA-256 of the installed component, 64 hexadecimal digits.
    pub component: String,
    /// What it may do, by the word of the acting tenant; absent for no answer.
    pub grant: Option<DeclaredGrant>,
}

/// A binding of a declaration.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyBinding {
    /// The plugin's id.
    pub plugin: String,
    /// Its version; absent for the declared one, or the only one that is installed.
    pub version: Option<String>,
    /// The tenant, the acting one or one below it; the acting one when absent.
    pub tenant: Option<TenantId>,
    /// The first business date it decides.
    pub from: NaiveDate,
    /// Smaller wins between bindings of the same date.
    #[serde(default)]
    pub priority: i32,
    /// Configuration: a JSON object that fits the component's schema.
    #[serde(default = "empty_object")]
    pub config: serde_json::Value,
    /// Whether tenants below use it.
    #[serde(default = "nobody")]
    pub inheritance: Inheritance,
    /// Limits of its calls below those of the installation.
    #[serde(default)]
    pub limits: LoweredLimits,
    /// When another component or configuration is declared than the binding has: whether existing subscriptions `stay` on that,
    /// as they do when this is absent, or `migrate`; see an upgrade.
    #[serde(default)]
    pub existing: Option<Existing>,
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

fn nobody() -> Inheritance {
    Inheritance::None
}

/// What a plugin may do.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeclaredGrant {
    /// Hosts that it may reach.
    pub hosts: Vec<String>,
    /// Secrets that may be used for it.
    pub secrets: Vec<String>,
    /// Limits of its calls below those of the installation.
    pub limits: LoweredLimits,
}

/// What decides for a tenant.
#[derive(Clone, Debug)]
pub struct DeclaredBinding {
    /// The tenant.
    pub tenant: TenantId,
    /// The plugin's id.
    pub plugin: String,
    /// Its version; absent for the declared one, or the only one that is installed.
    pub version: Option<String>,
    /// The first business date it decides.
    pub from: NaiveDate,
    /// Smaller wins between bindings of the same date.
    pub priority: i32,
    /// Configuration: a JSON object that fits the component's schema.
    pub config: serde_json::Value,
    /// Whether tenants below use it.
    pub inheritance: Inheritance,
    /// Limits of its calls below those of the installation.
    pub limits: LoweredLimits,
    /// What becomes of existing subscriptions when the binding gets another component; see an upgrade.
    pub existing: Option<Existing>,
}

/// What was done about one thing that is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AppliedView {
    /// What it is.
    pub what: Applied,
    /// Which.
    pub name: String,
    /// Whether something had to be done.
    pub outcome: Outcome,
    /// What subscriptions of the binding's tenant stay on, where the binding got another component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staying: Vec<StayView>,
}

/// What a declaration can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = AppliedKind)]
pub enum Applied {
    /// The key of a publisher.
    Publisher,
    /// A component.
    Plugin,
    /// What a component may do.
    Grant,
    /// What decides for a tenant.
    Binding,
}

impl Applied {
    /// Kebab-case text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Plugin => "plugin",
            Self::Grant => "grant",
            Self::Binding => "binding",
        }
    }
}

/// Everything that was declared, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AppliedReport {
    /// One entry for each thing that is declared.
    pub data: Vec<AppliedView>,
}

/// Whether something had to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = AppliedOutcome)]
pub enum Outcome {
    /// It was not there.
    Made,
    /// It was there and was another.
    Changed,
    /// It was there.
    Unchanged,
}

impl Outcome {
    /// Kebab-case text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What a declaration stopped at; what was done before stays done.
#[derive(Debug)]
pub struct Stopped {
    /// The entry, such as `bindings[2] ru-vat`.
    pub entry: String,
    /// Why.
    pub error: ServiceError,
}

impl Stopped {
    /// The refusal with the place of the entry, for who sent the declaration; and what was done before, where there is room.
    fn told(self, done: &[AppliedView]) -> ServiceError {
        let Self { entry, error } = self;
        let done = done
            .iter()
            .map(|step| format!("done before: {} {}, {}", step.what.as_str(), step.name, step.outcome.as_str()));
        match error {
            ServiceError::Invalid(mut fields) => {
                // `bindings[2] ru-vat` is where `/bindings/2` points at.
                let place = entry.split(' ').next().unwrap_or_default().replace('[', "/").replace(']', "");
                for field in &mut fields {
                    field.pointer = format!("/{place}{}", field.pointer);
                }
                ServiceError::Invalid(fields)
            }
            ServiceError::Conflict { code, message, mut details } => {
                details.extend(done);
                ServiceError::Conflict { code, message: format!("{entry}: {message}"), details }
            }
            ServiceError::Plugin { code, message } => {
                ServiceError::Plugin { code, message: format!("{entry}: {message}") }
            }
            ServiceError::Forbidden(message) => ServiceError::Forbidden(format!("{entry}: {message}")),
            ServiceError::Denied { code, message } => {
                ServiceError::Denied { code, message: format!("{entry}: {message}") }
            }
            error => error,
        }
    }
}

fn made(status: u16) -> Outcome {
    if status == 201 { Outcome::Made } else { Outcome::Unchanged }
}

fn same(a: &[String], b: &[String]) -> bool {
    let sorted = |names: &[String]| names.iter().cloned().collect::<std::collections::BTreeSet<_>>();
    sorted(a) == sorted(b)
}

impl Altyn {
    /// Brings a declaration into force for `root`, a root tenant of the platform, and the tenants it names; `on_step` is told
    /// what was done as it is done. The request has no idempotency key: comparing with what is there is one.
    pub async fn plugins_apply(
        &self,
        root: &Request,
        declared: Declaration,
        mut on_step: impl FnMut(AppliedView) + Send,
    ) -> std::result::Result<(), Stopped> {
        let stopped = |entry: String| move |error| Stopped { entry, error };
        for (at, key) in declared.publishers.into_iter().enumerate() {
            let name = key.publisher.clone();
            let reply = self.plugin_key_trust(root, key).await;
            let reply = reply.map_err(stopped(format!("publishers[{at}] {name}")))?;
            let name = format!("{} {}", reply.value.publisher, reply.value.id);
            on_step(AppliedView { what: Applied::Publisher, name, outcome: made(reply.status), staying: Vec::new() });
        }
        let mut digests = BTreeMap::new();
        for (at, plugin) in declared.plugins.into_iter().enumerate() {
            let entry = format!("plugins[{at}]");
            let DeclaredPlugin { source, grant } = plugin;
            let (component, outcome) = self.component_apply(root, source).await.map_err(stopped(entry.clone()))?;
            let name = format!("{} {}", component.plugin_id, component.version);
            on_step(AppliedView { what: Applied::Plugin, name, outcome, staying: Vec::new() });
            if let Some(grant) = grant {
                let name = component.plugin_id.clone();
                let applied = self.grant_apply(root, &component.digest, &name, grant).await;
                let outcome = applied.map_err(stopped(format!("{entry} {name}")))?;
                on_step(AppliedView { what: Applied::Grant, name, outcome, staying: Vec::new() });
            }
            digests.insert((component.plugin_id.clone(), Some(component.version)), component.digest.clone());
            digests.insert((component.plugin_id, None), component.digest);
        }
        for (at, binding) in declared.bindings.into_iter().enumerate() {
            let entry = format!("bindings[{at}] {}", binding.plugin);
            let declared = digests.get(&(binding.plugin.clone(), binding.version.clone())).cloned();
            let digest = match declared {
                Some(digest) => digest,
                None => self.only_installed(&binding).await.map_err(stopped(entry.clone()))?,
            };
            let name = format!("{} of {} from {}", binding.plugin, binding.tenant, binding.from);
            let (outcome, staying) = self.binding_apply(root, digest, binding).await.map_err(stopped(entry))?;
            on_step(AppliedView { what: Applied::Binding, name, outcome, staying });
        }
        Ok(())
    }

    /// Brings a declaration into force whose components were installed before, for the acting tenant and those below it.
    ///
    /// Each entry is a transaction of its own, so that what stopped half way is sent again. The answer is remembered after the
    /// work; the same request again is answered with it, another one compares with what is there.
    pub async fn plugins_declare(&self, request: &Request, command: ApplyPlugins) -> Result<Reply<AppliedReport>> {
        let mut fields = Fields::default();
        for (pointer, entries) in [
            ("/publishers", command.publishers.len()),
            ("/plugins", command.plugins.len()),
            ("/bindings", command.bindings.len()),
        ] {
            if entries > MOST_ENTRIES {
                fields.refuse(pointer, format!("must have at most {MOST_ENTRIES} entries"));
            }
        }
        for (at, binding) in command.bindings.iter().enumerate() {
            let tenant = binding.tenant.unwrap_or(request.tenant);
            if tenant != request.tenant && !self.tenant_in_subtree(request.tenant, tenant).await? {
                fields.refuse(format!("/bindings/{at}/tenant"), "is no tenant at or below the acting one");
            }
        }
        fields.finish()?;
        if request.key.is_some() {
            match self.begin(request).await? {
                Begun::Replay(reply) => return Ok(reply),
                // Nothing is remembered yet: the work takes transactions of its own.
                Begun::Work(work) => work.tx.rollback().await?,
            }
        }
        let plugin = |plugin: ApplyPlugin| DeclaredPlugin {
            source: ComponentSource::Installed(plugin.component),
            grant: plugin.grant,
        };
        let binding = |binding: ApplyBinding| {
            let ApplyBinding { plugin, version, tenant, from, priority, config, inheritance, limits, existing } =
                binding;
            let tenant = tenant.unwrap_or(request.tenant);
            DeclaredBinding { tenant, plugin, version, from, priority, config, inheritance, limits, existing }
        };
        let declaration = Declaration {
            publishers: command.publishers,
            plugins: command.plugins.into_iter().map(plugin).collect(),
            bindings: command.bindings.into_iter().map(binding).collect(),
        };
        let (steps, mut data) = (Request { key: None, ..request.clone() }, Vec::new());
        let done = self.plugins_apply(&steps, declaration, |step| data.push(step)).await;
        done.map_err(|stopped| stopped.told(&data))?;
        let work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        work.finish(200, AppliedReport { data }).await
    }

    async fn component_apply(&self, root: &Request, source: ComponentSource) -> Result<(ComponentView, Outcome)> {
        match source {
            ComponentSource::Bytes { wasm, manifest } => {
                let install = InstallPlugin { wasm, manifest, allow_downgrade: false };
                let reply = self.plugin_install_signed(root, install).await?;
                Ok((reply.value, made(reply.status)))
            }
            ComponentSource::Installed(digest) => match self.plugin_get(&digest).await {
                Ok(component) => Ok((component, Outcome::Unchanged)),
                Err(ServiceError::NotFound(_)) => {
                    Err(ServiceError::invalid("/component", "is not installed; install the component first"))
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn grant_apply(
        &self,
        request: &Request,
        component: &str,
        plugin: &str,
        declared: DeclaredGrant,
    ) -> Result<Outcome> {
        let DeclaredGrant { hosts, secrets, limits } = declared;
        match self.grant_get(request, plugin).await {
            Ok(grant) => {
                // A version that asks for more is answered anew, even if the answer is the same.
                let asked = self.plugin_capabilities(request, component).await?;
                let answered =
                    same(&grant.asked_hosts, &asked.asked_hosts) && same(&grant.asked_secrets, &asked.asked_secrets);
                if answered && same(&grant.hosts, &hosts) && same(&grant.secrets, &secrets) && grant.limits == limits {
                    return Ok(Outcome::Unchanged);
                }
            }
            Err(ServiceError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let reply =
            self.grant_set(request, SetGrant { component: component.to_owned(), hosts, secrets, limits }).await?;
        Ok(if reply.status == 201 { Outcome::Made } else { Outcome::Changed })
    }

    /// The digest of a plugin that is bound and not declared.
    async fn only_installed(&self, binding: &DeclaredBinding) -> Result<String> {
        let mut tx = self.db.read(altyn_store::Scope::Platform).await?;
        let mut versions = plugin_keys::versions(&mut tx, &binding.plugin).await?;
        versions.retain(|(_, version, _)| binding.version.as_ref().is_none_or(|wanted| wanted == version));
        match versions.as_slice() {
            [(digest, ..)] => Ok(hex::encode(digest)),
            [] => Err(ServiceError::invalid("/plugin", "is not installed; declare its file, or install it first")),
            _ => Err(ServiceError::invalid("/version", "is needed: several versions are installed")),
        }
    }

    async fn binding_apply(
        &self,
        root: &Request,
        component: String,
        declared: DeclaredBinding,
    ) -> Result<(Outcome, Vec<StayView>)> {
        let request = Request { tenant: declared.tenant, ..root.clone() };
        let DeclaredBinding { from, priority, config, inheritance, limits, existing, .. } = declared;
        let world = self.plugin_get(&component).await?.world;
        shareable(&world, inheritance)?;
        let there = self.binding_there(&request, &world, from, priority).await?;
        let (view, mut outcome) = match there {
            None => {
                let command = CreateBinding { component, config, priority, effective_from: from };
                (self.binding_create(&request, command).await?.value, Outcome::Made)
            }
            Some(view) if view.component == component && view.config == config => (view, Outcome::Unchanged),
            Some(view) => {
                let command = UpgradeBinding { component, config: Some(config), existing };
                let upgraded = self.binding_upgrade(&request, view.id, view.version, command).await?;
                (upgraded.value, Outcome::Changed)
            }
        };
        if view.inheritance != inheritance || view.limits != limits {
            self.binding_share(&request, view.id, view.version, ShareBinding { inheritance, limits }).await?;
            if outcome == Outcome::Unchanged {
                outcome = Outcome::Changed;
            }
        }
        Ok((outcome, view.staying))
    }

    /// The binding that a declared one is: of the same extension point, date and priority, and not ended; the latest of them,
    /// which is the one that decides.
    async fn binding_there(
        &self,
        request: &Request,
        world: &str,
        from: NaiveDate,
        priority: i32,
    ) -> Result<Option<BindingView>> {
        let mut page = Page { limit: Some(LARGEST_PAGE), cursor: None };
        let mut there: Option<BindingView> = None;
        loop {
            let listed = self.binding_list(request, &page).await?;
            there = listed
                .data
                .into_iter()
                .filter(|view| view.extension_point == world && view.ended_at.is_none())
                .filter(|view| view.effective_from == from && view.priority == priority)
                .fold(there, |_, view| Some(view));
            match listed.next_cursor {
                Some(cursor) => page.cursor = Some(cursor),
                None => return Ok(there),
            }
        }
    }
}
