//! Bindings: which installed component decides at which extension point of a tenant, and from when.
//!
//! A binding has a history and a way back, may be shared with the tenants below its owner, and is only ever narrowed there.
//! What it configures fits the component's schema, and what its component asks for was decided about. Loading what
//! decides is here; which of it decides is [`altyn_domain::binding::decides`].

use std::sync::Arc;

use altyn_domain::{
    binding::{BindingChange, Decides, Found, Inheritance, Level, Narrowing, decides, way_back},
    grant::{Capabilities, LoweredLimits},
    id::{BindingId, TenantId},
    stay::Existing,
    trust::{TrustLevel, TrustRefusal, Unsigned},
};
use altyn_runtime::{CallContext, Plugin, World};
use altyn_store::{
    Scope, Tx,
    bindings::{self as history, ChangeRow, InheritedRow},
    canaries, exchanges, plugin_keys,
    plugins::{self as rows, BindingRow, ComponentRow},
    stays as stay_rows,
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    canary::{Canaried, end_with_binding, no_canary},
    context::{Altyn, Begun, Reply, Request, Work},
    error::{Fields, Result, ServiceError, stored},
    forms::check_config,
    page::{Listed, Page},
    plugins::{digest_of, parse_digest, schema},
    stays::{StayView, Staying, existing_of, has_stays, staying, upgraded},
    usage::{limits_read, limits_text},
};

/// The most changes of one binding.
const MOST_CHANGES: i64 = 10_000;

/// A binding of a component to an extension point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// Whether tenants below use it.
    pub inheritance: Inheritance,
    /// Limits of its calls below those of the installation.
    pub limits: LoweredLimits,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Counts changes.
    pub version: i64,
    /// What subscriptions of the tenant stay on; told by the answer of an upgrade or a rollback, if any do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staying: Vec<StayView>,
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

/// Another component, another configuration, or both, for a binding that goes on.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeBinding {
    /// SHA-256 of an installed component of the same world.
    pub component: String,
    /// Configuration; absent for the one it has.
    pub config: Option<serde_json::Value>,
    /// What becomes of subscriptions that were started before: they `stay` on what the binding had until they are migrated,
    /// which is so when this is absent, or they `migrate` with it, as do those that stay on something earlier. Only what
    /// decides about subscriptions, proration and tax, has anybody who stays.
    pub existing: Option<Existing>,
}

/// Who below the owner uses a binding, and how much it may do.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareBinding {
    /// Whether tenants below use it.
    pub inheritance: Inheritance,
    /// Limits of its calls below those of the installation.
    #[serde(default)]
    pub limits: LoweredLimits,
}

/// What a tenant makes of a binding from above; it replaces what it made before.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NarrowBinding {
    /// Lower limits.
    #[serde(default)]
    pub limits: LoweredLimits,
    /// The first business date on which the tenant does without it.
    pub ended_from: Option<NaiveDate>,
}

/// What a tenant has from above.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InheritedView {
    /// The binding.
    pub binding_id: BindingId,
    /// Whose it is.
    pub owner_id: TenantId,
    /// Lower limits of this tenant.
    pub limits: LoweredLimits,
    /// The first business date on which the tenant does without it.
    pub ended_from: Option<NaiveDate>,
    /// The credential that decided.
    pub decided_by: String,
    /// When.
    pub decided_at: DateTime<Utc>,
}

/// One change of a binding.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangeView {
    /// The version of the binding that the change made.
    pub version: i64,
    /// What happened.
    pub kind: BindingChange,
    /// SHA-256 of the component from then on.
    pub component: String,
    /// The configuration from then on.
    pub config: serde_json::Value,
    /// The credential that changed it.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// What it meant for the subscriptions that were there.
    pub detail: Option<String>,
}

/// What decides at an extension point.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DecidingView {
    /// The extension point.
    #[schema(value_type = String, example = "tax-rule")]
    pub extension_point: World,
    /// The binding that decides; none when nothing is bound.
    pub binding_id: Option<BindingId>,
    /// Whose it is.
    pub owner_id: Option<TenantId>,
    /// SHA-256 of the component.
    pub component: Option<String>,
    /// Limits of everybody on the way.
    pub limits: LoweredLimits,
}

/// A binding in effect, ready to be called.
#[derive(Clone)]
pub struct Bound {
    /// The binding.
    pub binding: BindingId,
    /// Whose binding it is: the asking tenant, or one above it. Its secrets are the ones that are used.
    pub owner: TenantId,
    /// The component, with the limits that apply here.
    pub plugin: Plugin,
    /// What it may do for the asking tenant.
    pub capabilities: Capabilities,
    /// What each call is told.
    pub context: CallContext,
    /// SHA-256 of the configuration text.
    pub config_digest: [u8; 32],
    /// A component on trial that decides for some contracts in its place.
    pub canary: Option<Arc<Canaried>>,
    /// Former components that subscriptions stay on; [`Self::choice`] tells which.
    pub staying: Option<Arc<Staying>>,
}

/// The row of a binding's history that says what it is since a change.
pub(crate) fn changed(
    row: &BindingRow,
    kind: BindingChange,
    by: &str,
    at: DateTime<Utc>,
    detail: Option<String>,
) -> ChangeRow {
    ChangeRow {
        binding_id: row.id,
        version: row.version,
        kind: kind.as_str().to_owned(),
        component_digest: row.component_digest.clone(),
        config: row.config.clone(),
        changed_by: by.to_owned(),
        changed_at: at,
        detail,
    }
}

/// A way in which a binding gets another component.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Switch {
    /// Forward, with what becomes of the subscriptions that are there.
    Upgrade(Existing),
    /// Back to what it was before the upgrade that made a version of it.
    Rollback {
        /// That version.
        undone: i64,
    },
}

impl Altyn {
    /// An installed component that somebody wants to bind with a configuration, checked as far as no transaction is needed.
    pub(crate) async fn bindable(
        &self,
        tenant: TenantId,
        digest: &str,
        config: &serde_json::Value,
    ) -> Result<ComponentRow> {
        let mut fields = Fields::default();
        if parse_digest(digest).is_none() {
            fields.refuse("/component", "must be a SHA-256 digest of 64 hexadecimal digits");
        }
        if !config.is_object() {
            fields.refuse("/config", "must be a JSON object");
        }
        fields.finish()?;
        let row = self.plugin_row(digest).await.map_err(|error| match error {
            ServiceError::NotFound(_) => {
                ServiceError::invalid("/component", "is not installed; install the component first")
            }
            error => error,
        })?;
        if row.trust_level == TrustLevel::UnsignedDev.as_str() && self.trust.unsigned == Unsigned::Deny {
            return Err(ServiceError::Plugin {
                code: TrustRefusal::Unsigned.code(),
                message: TrustRefusal::Unsigned.to_string(),
            });
        }
        check_config(&row.config_schema, config).await?;
        let undecided = self.undecided(tenant, &row).await?;
        if !undecided.is_empty() {
            return Err(ServiceError::Conflict {
                code: "consent-required",
                message: format!(
                    "{} {} asks for what no operator has decided about: {}; answer it with `altyn plugin grant`",
                    row.plugin_id,
                    row.version,
                    undecided.join(", ")
                ),
                details: undecided,
            });
        }
        Ok(row)
    }

    /// Binds an installed component to the extension point its world names.
    pub async fn binding_create(&self, request: &Request, command: CreateBinding) -> Result<Reply<BindingView>> {
        let component = self.bindable(request.tenant, &command.component, &command.config).await?;
        self.not_required_from_above(request.tenant, &component.world, command.effective_from).await?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        signed_still(&mut work.tx, &component).await?;
        let row = BindingRow {
            id: self.ids.next(),
            extension_point: component.world,
            component_digest: component.digest,
            config: command.config.to_string(),
            priority: command.priority,
            effective_from: command.effective_from,
            created_at: work.now,
            ended_at: None,
            version: 1,
            inheritance: Inheritance::None.as_str().to_owned(),
            limits: limits_text(&LoweredLimits::default()),
        };
        rows::binding_insert(&mut work.tx, request.tenant.0, &row).await?;
        let change = changed(&row, BindingChange::Bind, &request.credential, work.now, None);
        history::change_insert(&mut work.tx, request.tenant.0, change).await?;
        if row.extension_point == World::PaymentGateway.as_str() {
            exchanges::endpoint_insert(&mut work.tx, request.tenant.0, row.id, work.now).await?;
        }
        work.finish(201, binding_view(row)?).await
    }

    /// Gives a binding another component of the same world, or another configuration; what it was stays in its history.
    pub async fn binding_upgrade(
        &self,
        request: &Request,
        id: BindingId,
        if_match: i64,
        command: UpgradeBinding,
    ) -> Result<Reply<BindingView>> {
        let before = self.binding_get(request, id).await?;
        let existing = existing_of(&before.extension_point, command.existing)?;
        let config = command.config.unwrap_or(before.config);
        let component = self.bindable(request.tenant, &command.component, &config).await?;
        if component.world != before.extension_point {
            let told = format!("implements {}, the binding is for {}", component.world, before.extension_point);
            return Err(ServiceError::invalid("/component", told));
        }
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        signed_still(&mut work.tx, &component).await?;
        let to = (component.digest, config.to_string());
        let row = self.switch(&mut work, request, id, if_match, Switch::Upgrade(existing), to).await?;
        let staying = staying(&mut work.tx, request.tenant, id.0).await?;
        work.finish(200, BindingView { staying, ..binding_view(row)? }).await
    }

    /// Takes a binding back to the component and configuration it had before what it has now.
    pub async fn binding_rollback(
        &self,
        request: &Request,
        id: BindingId,
        if_match: i64,
    ) -> Result<Reply<BindingView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let found = rows::binding_find(&mut work.tx, request.tenant.0, id.0).await?;
        found.ok_or(ServiceError::NotFound("binding"))?;
        let changes = history::changes(&mut work.tx, request.tenant.0, id.0, 0, MOST_CHANGES).await?;
        let mut steps = Vec::with_capacity(changes.len());
        for change in changes {
            let had = (change.version, (change.component_digest, change.config));
            steps.push((stored("binding_changes.kind", &change.kind)?, had));
        }
        let ((undone, _), (_, to)) = way_back(&steps).ok_or_else(|| {
            ServiceError::conflict(
                "nothing-to-roll-back",
                "the binding has what it was made with; upgrade it instead, or end it",
            )
        })?;
        let component = rows::component_find(&mut work.tx, to.0.clone()).await?;
        let component = component.ok_or_else(|| ServiceError::Internal("a bound component vanished".into()))?;
        signed_still(&mut work.tx, &component).await?;
        let row = self.switch(&mut work, request, id, if_match, Switch::Rollback { undone }, to).await?;
        let staying = staying(&mut work.tx, request.tenant, id.0).await?;
        work.finish(200, BindingView { staying, ..binding_view(row)? }).await
    }

    /// Gives a binding another component and configuration, with its history; refused while one is on trial in it.
    pub(crate) async fn switch(
        &self,
        work: &mut Work,
        request: &Request,
        id: BindingId,
        if_match: i64,
        switch: Switch,
        (digest, config): (Vec<u8>, String),
    ) -> Result<BindingRow> {
        let tenant = request.tenant.0;
        let before = rows::binding_find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
        no_canary(&mut work.tx, tenant, id.0).await?;
        if history::changes(&mut work.tx, tenant, id.0, 0, 1).await?.is_empty() {
            // Made before histories were kept: what it has now is the beginning.
            let change = changed(&before, BindingChange::Bind, &request.credential, before.created_at, None);
            history::change_insert(&mut work.tx, tenant, change).await?;
        }
        let same = before.component_digest == digest && before.config == config;
        if !history::component_set(&mut work.tx, tenant, id.0, if_match, digest, &config).await? {
            return Err(ServiceError::Stale);
        }
        let row = rows::binding_find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
        let kind =
            if matches!(switch, Switch::Rollback { .. }) { BindingChange::Rollback } else { BindingChange::Upgrade };
        let detail = match switch {
            _ if !has_stays(&row.extension_point) => None,
            // Who would stay on what the binding has anyway stays on nothing.
            Switch::Upgrade(Existing::Stay) if same => None,
            Switch::Upgrade(existing) => Some(upgraded(work, request, &before, row.version, existing).await?),
            Switch::Rollback { undone } => {
                stay_rows::take_back(&mut work.tx, tenant, id.0, undone, row.version).await?;
                Some("subscriptions stay on what they stayed on before".to_owned())
            }
        };
        let change = changed(&row, kind, &request.credential, work.now, detail);
        history::change_insert(&mut work.tx, tenant, change).await?;
        Ok(row)
    }

    /// Says whether tenants below use a binding, and limits it for everybody.
    pub async fn binding_share(
        &self,
        request: &Request,
        id: BindingId,
        if_match: i64,
        command: ShareBinding,
    ) -> Result<Reply<BindingView>> {
        let mut fields = Fields::default();
        for (limit, what) in command.limits.beyond(&LoweredLimits::default()) {
            fields.refuse(format!("/limits/{limit}"), what);
        }
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, limits) = (request.tenant.0, limits_text(&command.limits));
        let row = rows::binding_find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
        shareable(&row.extension_point, command.inheritance)?;
        let shared =
            history::share(&mut work.tx, tenant, id.0, if_match, command.inheritance.as_str(), &limits).await?;
        let row = rows::binding_find(&mut work.tx, tenant, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
        if !shared {
            return Err(ServiceError::Stale);
        }
        work.finish(200, binding_view(row)?).await
    }

    /// Lowers the limits of a binding from above for the acting tenant and those below it, or does without it from a day on.
    pub async fn binding_narrow(
        &self,
        request: &Request,
        id: BindingId,
        command: NarrowBinding,
    ) -> Result<Reply<InheritedView>> {
        let mut ancestry = self.ancestry(request.tenant).await?;
        ancestry.pop();
        let mut above = None;
        let mut limits = LoweredLimits::default();
        for tenant in ancestry {
            let mut tx = self.db.read(Scope::Tenant(tenant)).await?;
            if let Some(row) = rows::binding_find(&mut tx, tenant, id.0).await? {
                limits = limits_read("bindings.limits", &row.limits)?;
                above = Some((tenant, row));
            } else if above.is_some() {
                for row in history::inherited(&mut tx, tenant).await?.iter().filter(|row| row.binding_id == id.0) {
                    limits = limits.narrowed(limits_read("inherited_bindings.limits", &row.limits)?);
                }
            }
        }
        let shared = above.filter(|(_, row)| {
            let gateway = row.extension_point == World::PaymentGateway.as_str();
            row.inheritance != Inheritance::None.as_str() && row.ended_at.is_none() && !gateway
        });
        // What is not shared does not exist for those below.
        let (owner, row) = shared.ok_or(ServiceError::NotFound("binding"))?;
        let mut fields = Fields::default();
        for (limit, what) in command.limits.beyond(&limits) {
            fields.refuse(format!("/limits/{limit}"), what);
        }
        fields.finish()?;
        if command.ended_from.is_some() && row.inheritance == Inheritance::Required.as_str() {
            return Err(required());
        }
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = InheritedRow {
            binding_id: id.0,
            owner_id: owner,
            limits: limits_text(&command.limits),
            ended_from: command.ended_from,
            decided_by: request.credential.clone(),
            decided_at: work.now,
            version: 1,
        };
        history::inherited_set(&mut work.tx, request.tenant.0, row.clone()).await?;
        work.finish(200, inherited_view(row)?).await
    }

    /// A page of the tenant's bindings.
    pub async fn binding_list(&self, request: &Request, page: &Page) -> Result<Listed<BindingView>> {
        let (limit, after) = page.bounds::<BindingId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::bindings_list(&mut tx, request.tenant.0, after, limit).await?;
        page.listed(found, |row| BindingId(row.id).to_string(), binding_view).try_data()
    }

    /// One binding.
    pub async fn binding_get(&self, request: &Request, id: BindingId) -> Result<BindingView> {
        let mut tx = self.read(request).await?;
        let row = rows::binding_find(&mut tx, request.tenant.0, id.0).await?;
        binding_view(row.ok_or(ServiceError::NotFound("binding"))?)
    }

    /// A binding that decides or decided for the tenant: its own, or one from above that it has used or narrowed.
    pub(crate) async fn binding_used(&self, request: &Request, id: BindingId) -> Result<BindingRow> {
        Ok(self.binding_of(request, id).await?.1)
    }

    /// Such a binding, and whose it is.
    pub(crate) async fn binding_of(&self, request: &Request, id: BindingId) -> Result<(TenantId, BindingRow)> {
        let mut tx = self.read(request).await?;
        if let Some(own) = rows::binding_find(&mut tx, request.tenant.0, id.0).await? {
            return Ok((request.tenant, own));
        }
        let inherited = history::inherited(&mut tx, request.tenant.0).await?;
        drop(tx);
        let inherited = inherited.into_iter().find(|row| row.binding_id == id.0);
        let owner = inherited.ok_or(ServiceError::NotFound("binding"))?.owner_id;
        let mut tx = self.db.read(Scope::Tenant(owner)).await?;
        let row = rows::binding_find(&mut tx, owner, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
        Ok((TenantId(owner), row))
    }

    /// A page of a binding's history, oldest first.
    pub async fn binding_history(&self, request: &Request, id: BindingId, page: &Page) -> Result<Listed<ChangeView>> {
        let (limit, after) = page.positions()?;
        let mut tx = self.read(request).await?;
        let row = rows::binding_find(&mut tx, request.tenant.0, id.0).await?;
        row.ok_or(ServiceError::NotFound("binding"))?;
        let found = history::changes(&mut tx, request.tenant.0, id.0, i64::from(after), limit).await?;
        page.listed(found, |row| row.version.to_string(), change_view).try_data()
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
        end_with_binding(&mut work.tx, request.tenant.0, id.0, &request.credential, now).await?;
        stay_rows::end(&mut work.tx, request.tenant.0, id.0, row.version).await?;
        let change = changed(&row, BindingChange::End, &request.credential, now, None);
        history::change_insert(&mut work.tx, request.tenant.0, change).await?;
        work.finish(200, binding_view(row)?).await
    }

    /// Refuses a binding of the tenant's own where one from above is required.
    async fn not_required_from_above(&self, tenant: TenantId, point: &str, on: NaiveDate) -> Result<()> {
        if point == World::PaymentGateway.as_str() {
            return Ok(());
        }
        let mut ancestry = self.ancestry(tenant).await?;
        ancestry.pop();
        for above in ancestry {
            let mut tx = self.db.read(Scope::Tenant(above)).await?;
            let row = history::shared_in_effect(&mut tx, above, point, on).await?;
            if row.is_some_and(|row| row.inheritance == Inheritance::Required.as_str()) {
                return Err(required());
            }
        }
        Ok(())
    }

    /// The binding that decides at an extension point on a business date, and whose it is; its own or one from above.
    pub async fn deciding(
        &self,
        tenant: TenantId,
        world: World,
        on: NaiveDate,
    ) -> Result<Option<(TenantId, BindingRow, LoweredLimits)>> {
        let mut ancestry = self.ancestry(tenant).await?;
        ancestry.reverse();
        let (mut levels, mut loaded) = (Vec::with_capacity(ancestry.len()), Vec::new());
        for (at, node) in ancestry.iter().enumerate() {
            let mut tx = self.db.read(Scope::Tenant(*node)).await?;
            let found = if at == 0 {
                rows::binding_in_effect(&mut tx, *node, world.as_str(), on).await?
            } else {
                history::shared_in_effect(&mut tx, *node, world.as_str(), on).await?
            };
            // A root has nothing from above.
            let narrowed = if at + 1 < ancestry.len() { history::inherited(&mut tx, *node).await? } else { Vec::new() };
            drop(tx);
            let mut level = Level::default();
            for row in narrowed {
                let limits = limits_read("inherited_bindings.limits", &row.limits)?;
                level.narrowings.push(Narrowing {
                    binding: BindingId(row.binding_id),
                    limits,
                    ended_from: row.ended_from,
                });
            }
            if let Some(row) = found {
                level.found.push(Found {
                    binding: BindingId(row.id),
                    inheritance: stored("bindings.inheritance", &row.inheritance)?,
                    limits: limits_read("bindings.limits", &row.limits)?,
                });
                loaded.push(row);
            }
            levels.push(level);
        }
        let Some(Decides { level, binding, limits }) = decides(&levels, on) else { return Ok(None) };
        let row = loaded.into_iter().find(|row| row.id == binding.0);
        let owner = ancestry.get(level).copied();
        Ok(owner.zip(row).map(|(owner, row)| (TenantId(owner), row, limits)))
    }

    /// What decides at each extension point of the acting tenant on a business date. Gateways decide nothing by themselves:
    /// a payment names its own.
    pub async fn binding_deciding(&self, request: &Request, on: NaiveDate) -> Result<Vec<DecidingView>> {
        let mut views = Vec::with_capacity(World::BILLING.len());
        for world in World::BILLING.iter().copied() {
            let decides = self.deciding(request.tenant, world, on).await?;
            let (owner, row, limits) = match decides {
                Some((owner, row, limits)) => (Some(owner), Some(row), limits),
                None => (None, None, LoweredLimits::default()),
            };
            views.push(DecidingView {
                extension_point: world,
                binding_id: row.as_ref().map(|row| BindingId(row.id)),
                owner_id: owner,
                component: row.map(|row| hex::encode(row.component_digest)),
                limits,
            });
        }
        Ok(views)
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
        let (owner, row, limits) = self.deciding(tenant, world, on).await?.ok_or_else(|| {
            ServiceError::conflict(
                "no-binding",
                format!("no plugin is bound to {} on {on}; install one and bind it to the tenant", world.as_str()),
            )
        })?;
        let digest = digest_of(&row.component_digest)?;
        // Each asks the database on its own; somebody waits for the preview of a change behind them.
        let (plugin, capabilities, lowered) = tokio::try_join!(
            self.plugins.component(&self.db, digest),
            self.granted(tenant, digest),
            self.limits_lowered(tenant, world),
        )?;
        if owner != tenant {
            self.note_inherited(tenant, owner, row.id).await?;
        }
        let binding = BindingId(row.id);
        let lowered = lowered.narrowed(limits);
        let present = Bound {
            binding,
            owner,
            plugin: plugin.within(lowered.narrowed(capabilities.limits)),
            capabilities,
            config_digest: crate::evidence::sha256(row.config.as_bytes()),
            context: CallContext {
                tenant: tenant.to_string(),
                binding: binding.to_string(),
                config: row.config.clone(),
                now_ms: now.timestamp_millis(),
                zone: zone.to_owned(),
                locale: locale.to_owned(),
            },
            canary: None,
            staying: None,
        };
        let mut tx = self.db.read(Scope::Tenant(owner.0)).await?;
        let trial = canaries::running(&mut tx, owner.0, row.id).await?;
        let stays =
            if has_stays(world.as_str()) { stay_rows::live(&mut tx, owner.0, row.id).await? } else { Vec::new() };
        drop(tx);
        let canary = Box::pin(self.canary_of((tenant, owner), trial, lowered, &present)).await?;
        let staying = Box::pin(self.staying_of(tenant, stays, lowered, &present)).await?;
        Ok(Bound { canary, staying, ..present })
    }

    /// The calls of a tenant name the binding; where that is another's, this row says whose.
    async fn note_inherited(&self, tenant: TenantId, owner: TenantId, binding: Uuid) -> Result<()> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        history::inherited_note(&mut tx, tenant.0, binding, owner.0, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }
}

/// Refuses to share a gateway: payments name their binding, which is of the tenant that takes them.
pub(crate) fn shareable(point: &str, inheritance: Inheritance) -> Result<()> {
    if inheritance == Inheritance::None || point != World::PaymentGateway.as_str() {
        return Ok(());
    }
    let message = "tenants below cannot use the gateway of a tenant above; bind it in each tenant that takes payments";
    Err(ServiceError::conflict("gateway-not-shared", message))
}

fn required() -> ServiceError {
    ServiceError::conflict(
        "binding-required",
        "a tenant above requires its own plugin at this extension point; ask it to share the binding as optional",
    )
}

/// Refuses a component whose key was revoked, and keeps the key as it is until the transaction ends.
pub(crate) async fn signed_still(tx: &mut Tx, component: &ComponentRow) -> Result<()> {
    let Some(key) = &component.key_id else { return Ok(()) };
    if plugin_keys::key_hold(tx, key).await? {
        return Ok(());
    }
    Err(ServiceError::conflict(
        "plugin-key-revoked",
        format!(
            "{} {} is signed with the key {key}, which was revoked; install a version that is signed anew",
            component.plugin_id, component.version
        ),
    ))
}

fn binding_view(row: BindingRow) -> Result<BindingView> {
    Ok(BindingView {
        id: BindingId(row.id),
        extension_point: row.extension_point,
        component: hex::encode(&row.component_digest),
        config: schema(&row.config),
        priority: row.priority,
        effective_from: row.effective_from,
        inheritance: stored("bindings.inheritance", &row.inheritance)?,
        limits: limits_read("bindings.limits", &row.limits)?,
        created_at: row.created_at,
        ended_at: row.ended_at,
        version: row.version,
        staying: Vec::new(),
    })
}

fn inherited_view(row: InheritedRow) -> Result<InheritedView> {
    Ok(InheritedView {
        binding_id: BindingId(row.binding_id),
        owner_id: TenantId(row.owner_id),
        limits: limits_read("inherited_bindings.limits", &row.limits)?,
        ended_from: row.ended_from,
        decided_by: row.decided_by,
        decided_at: row.decided_at,
    })
}

fn change_view(row: ChangeRow) -> Result<ChangeView> {
    Ok(ChangeView {
        version: row.version,
        kind: stored("binding_changes.kind", &row.kind)?,
        component: hex::encode(&row.component_digest),
        config: schema(&row.config),
        changed_by: row.changed_by,
        changed_at: row.changed_at,
        detail: row.detail,
    })
}
