//! Stays: subscriptions that go on with the component they were started with, after their binding has got another.
//!
//! Owns which component decides for a subscription, how its stay ends, and telling how many stay on what. Only what decides
//! about subscriptions has stays: proration and tax. A numbering scheme decides about documents, so another one numbers all
//! from the next on; a payment keeps its gateway by its exchange. Invariants: an upgrade writes one row, however many
//! subscriptions there are; whoever asks for a subscription, in a run, a change or a preview, asks [`Bound::choice`]; and a
//! component on trial decides for nobody who stays.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use altyn_domain::{
    binding::BindingChange,
    canary::is_chosen,
    grant::LoweredLimits,
    id::{BindingId, ContractId, Id as _, SubscriptionId, TenantId},
    stay::{Existing, MOST_STAYS, stay_of},
};
use altyn_runtime::{CallContext, World};
use altyn_store::{
    Scope, Tx, bindings as history,
    plugins::{BindingRow, binding_find},
    stays::{self as rows, StayRow},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    bindings::{Bound, changed},
    context::{Altyn, Begun, Reply, Request, Work},
    error::{Fields, Result, ServiceError},
    page::Listed,
    plugins::digest_of,
};

/// The most subscriptions that are migrated by name at once.
const MOST_NAMED: usize = 1_000;

/// Subscriptions that go on with a former component of a binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StayView {
    /// The binding.
    pub binding_id: BindingId,
    /// The version of the binding that the upgrade made which left them.
    pub version: i64,
    /// SHA-256 of the component that decides for them.
    pub component: String,
    /// The plugin's id.
    pub plugin_id: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// They were started before, and not before what an earlier stay says.
    pub started_before: DateTime<Utc>,
    /// How many of the acting tenant's subscriptions that are not over stay so. Tenants below count their own.
    pub subscriptions: i64,
    /// The credential that upgraded the binding.
    pub made_by: String,
}

/// Subscriptions that are to go over to what their binding has now: all of them, or the named ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MigrateBinding {
    /// All subscriptions that use the binding, those of tenants below, too; for its owner.
    pub all: bool,
    /// Up to 1000 subscriptions of the acting tenant; not together with `all`.
    pub subscriptions: Vec<SubscriptionId>,
}

/// What a migration did.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MigratedView {
    /// The binding.
    pub binding_id: BindingId,
    /// SHA-256 of the component that decides for them now.
    pub component: String,
    /// How many of the acting tenant's subscriptions went over; who had gone before is not counted again.
    pub migrated: i64,
    /// What the others stay on.
    pub staying: Vec<StayView>,
}

/// A subscription that something is decided for.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its contract.
    pub contract: Uuid,
    /// The subscription.
    pub subscription: Uuid,
    /// When it was created.
    pub started_at: DateTime<Utc>,
}

/// Which stays subscriptions were taken out of by name: the last one that has not ended, by binding and subscription.
#[derive(Clone, Debug, Default)]
pub struct Left(HashMap<(Uuid, Uuid), usize>);

/// Which component of a binding decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    /// The one that the binding has.
    Present,
    /// The one on trial in it.
    OnTrial,
    /// A former one, by the place of the stay.
    Former(usize),
}

/// The stays of a binding with their components, ready to be called.
pub struct Staying {
    instants: Vec<DateTime<Utc>>,
    versions: Vec<i64>,
    formers: Vec<Bound>,
}

impl Staying {
    /// The same stays with their components in another form.
    #[must_use]
    pub fn map(&self, form: impl Fn(&Bound) -> Bound) -> Self {
        let formers = self.formers.iter().map(form).collect();
        Self { instants: self.instants.clone(), versions: self.versions.clone(), formers }
    }
}

impl Bound {
    /// Which component decides for a subscription: the one that it stays on, or that which decides for its contract.
    pub fn choice(&self, subject: &Subject, left: &Left) -> Choice {
        let former = self.staying.as_ref().and_then(|staying| {
            let left = left.0.get(&(self.binding.0, subject.subscription)).copied();
            stay_of(&staying.instants, subject.started_at, left)
        });
        former.map_or_else(|| self.choice_of_contract(subject.contract), Choice::Former)
    }

    /// Which component decides for a contract as a whole, such as about the number of its document.
    pub fn choice_of_contract(&self, contract: Uuid) -> Choice {
        match &self.canary {
            Some(canary) if is_chosen(self.binding, ContractId(contract), canary.share_bp) => Choice::OnTrial,
            _ => Choice::Present,
        }
    }

    /// The component that was chosen.
    pub fn chosen(&self, choice: Choice) -> &Self {
        match (choice, &self.canary, &self.staying) {
            (Choice::OnTrial, Some(canary), _) => &canary.candidate,
            (Choice::Former(place), _, Some(staying)) => staying.formers.get(place).unwrap_or(self),
            _ => self,
        }
    }

    /// Whether all that is asked is asked of the component that the binding has.
    pub fn is_alone(&self) -> bool {
        self.canary.is_none() && self.staying.is_none()
    }
}

/// The last of the stays, by its place in `versions`, that each subscription was taken out of.
///
/// A stay that is over counts no more; who was taken out of one that a rollback undid has never been.
fn last_left(taken_out: Vec<(Uuid, i64)>, versions: &[i64]) -> HashMap<Uuid, usize> {
    let mut left = HashMap::new();
    for (subscription, version) in taken_out {
        if let Some(place) = versions.iter().position(|made| *made == version) {
            let last = left.entry(subscription).or_insert(place);
            *last = place.max(*last);
        }
    }
    left
}

/// Whether what decides at an extension point decides about subscriptions, which may stay on it.
pub(crate) fn has_stays(point: &str) -> bool {
    [World::ProrationStrategy.as_str(), World::TaxRule.as_str()].contains(&point)
}

/// What becomes of existing subscriptions with an upgrade: they stay unless something else is said.
pub(crate) fn existing_of(point: &str, wished: Option<Existing>) -> Result<Existing> {
    match wished {
        None if has_stays(point) => Ok(Existing::Stay),
        Some(Existing::Stay) if !has_stays(point) => Err(ServiceError::invalid(
            "/existing",
            "decides about proration and tax only: numbers are given by what the binding has, and a payment keeps its gateway \
             anyway; leave it out",
        )),
        wished => Ok(wished.unwrap_or(Existing::Migrate)),
    }
}

/// Leaves the subscriptions that are there to what the binding had, or ends what stays; `before` is the binding before the
/// upgrade that made `version`. Answers what it means, in words.
pub(crate) async fn upgraded(
    work: &mut Work,
    request: &Request,
    before: &BindingRow,
    version: i64,
    existing: Existing,
) -> Result<String> {
    let owner = request.tenant.0;
    if existing == Existing::Migrate {
        let ended = rows::end(&mut work.tx, owner, before.id, version).await?;
        return Ok(format!("existing subscriptions migrate; {ended} stays end"));
    }
    let live = rows::live(&mut work.tx, owner, before.id).await?;
    if live.len() >= MOST_STAYS {
        return Err(ServiceError::conflict(
            "too-many-stays",
            format!(
                "subscriptions stay on {MOST_STAYS} former components of the binding, which is the most; migrate some with \
                 `altyn plugin migrate`, or say \"existing\": \"migrate\""
            ),
        ));
    }
    let row = StayRow {
        binding_id: before.id,
        made_version: version,
        component_digest: before.component_digest.clone(),
        config: before.config.clone(),
        started_before: work.now,
        made_by: request.credential.clone(),
    };
    rows::insert(&mut work.tx, owner, row).await?;
    Ok("existing subscriptions stay on the component before".to_owned())
}

/// What subscriptions of a tenant stay on, with how many of them; `stays` are those of a binding.
async fn counted(tx: &mut Tx, tenant: TenantId, stays: &[StayRow]) -> Result<Vec<StayView>> {
    let mut views = Vec::with_capacity(stays.len());
    for (place, row) in stays.iter().enumerate() {
        let subscriptions = rows::count(tx, tenant.0, stays, place).await?;
        let component = altyn_store::plugins::component_find(tx, row.component_digest.clone()).await?;
        let component = component.ok_or_else(|| ServiceError::Internal("a bound component vanished".into()))?;
        views.push(StayView {
            binding_id: BindingId(row.binding_id),
            version: row.made_version,
            component: hex::encode(&row.component_digest),
            plugin_id: component.plugin_id,
            plugin_version: component.version,
            started_before: row.started_before,
            subscriptions,
            made_by: row.made_by.clone(),
        });
    }
    Ok(views)
}

/// What the owner's own subscriptions stay on, inside a transaction of the owner.
pub(crate) async fn staying(tx: &mut Tx, owner: TenantId, binding: Uuid) -> Result<Vec<StayView>> {
    let stays = rows::live(tx, owner.0, binding).await?;
    counted(tx, owner, &stays).await
}

impl Altyn {
    /// The former components of a binding that subscriptions of a tenant may stay on; `lowered` are the limits of everybody
    /// on the way.
    pub(crate) async fn staying_of(
        &self,
        tenant: TenantId,
        stays: Vec<StayRow>,
        lowered: LoweredLimits,
        present: &Bound,
    ) -> Result<Option<Arc<Staying>>> {
        if stays.is_empty() {
            return Ok(None);
        }
        let mut staying = Staying { instants: Vec::new(), versions: Vec::new(), formers: Vec::new() };
        for row in stays {
            staying.instants.push(row.started_before);
            staying.versions.push(row.made_version);
            staying.formers.push(self.beside(tenant, &row.component_digest, row.config, lowered, present).await?);
        }
        Ok(Some(Arc::new(staying)))
    }

    /// A binding with another component than it has, for the same tenant.
    pub(crate) async fn beside(
        &self,
        tenant: TenantId,
        component: &[u8],
        config: String,
        lowered: LoweredLimits,
        present: &Bound,
    ) -> Result<Bound> {
        let digest = digest_of(component)?;
        let plugin = self.plugins.component(&self.db, digest).await?;
        let capabilities = self.granted(tenant, digest).await?;
        Ok(Bound {
            plugin: plugin.within(lowered.narrowed(capabilities.limits)),
            capabilities,
            config_digest: crate::evidence::sha256(config.as_bytes()),
            context: CallContext { config, ..present.context.clone() },
            canary: None,
            staying: None,
            ..present.clone()
        })
    }

    /// Which of some subscriptions were taken out of the stays of bindings by name; reads nothing where nobody stays.
    pub(crate) async fn left(
        &self,
        tenant: TenantId,
        bounds: &[&Bound],
        subscriptions: impl Fn() -> Vec<Uuid>,
    ) -> Result<Left> {
        let mut left = Left::default();
        for bound in bounds {
            let Some(staying) = &bound.staying else { continue };
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            tx.prefer_indexes().await?;
            let taken_out = rows::left(&mut tx, tenant.0, bound.binding.0, subscriptions()).await?;
            let places = last_left(taken_out, &staying.versions).into_iter();
            left.0.extend(places.map(|(subscription, place)| ((bound.binding.0, subscription), place)));
        }
        Ok(left)
    }

    /// What subscriptions of the acting tenant stay on in a binding, its own or one from above, oldest first: at most eight.
    pub async fn binding_stays(&self, request: &Request, id: BindingId) -> Result<Listed<StayView>> {
        let (owner, _) = self.binding_of(request, id).await?;
        let stays = self.stays_live(owner, id).await?;
        let mut tx = self.read(request).await?;
        let data = counted(&mut tx, request.tenant, &stays).await?;
        Ok(Listed { data, has_more: false, next_cursor: None })
    }

    async fn stays_live(&self, owner: TenantId, id: BindingId) -> Result<Vec<StayRow>> {
        let mut tx = self.db.read(Scope::Tenant(owner.0)).await?;
        Ok(rows::live(&mut tx, owner.0, id.0).await?)
    }

    /// Lets subscriptions go over to what their binding has now; from their next line on it decides for them.
    ///
    /// Doing it again changes nothing. It asks for no version of the binding: what it takes out of a stay is what stays.
    pub async fn binding_migrate(
        &self,
        request: &Request,
        id: BindingId,
        command: MigrateBinding,
    ) -> Result<Reply<MigratedView>> {
        let mut fields = Fields::default();
        if command.all && !command.subscriptions.is_empty() {
            fields.refuse("/subscriptions", "must be left out together with `all`");
        } else if !command.all && command.subscriptions.is_empty() {
            fields.refuse("/subscriptions", "must name at least one subscription, or say `\"all\": true`");
        } else if command.subscriptions.len() > MOST_NAMED {
            fields.refuse("/subscriptions", format!("must have at most {MOST_NAMED} entries"));
        }
        fields.finish()?;
        if command.all { self.migrate_all(request, id).await } else { self.migrate_named(request, id, command).await }
    }

    async fn migrate_all(&self, request: &Request, id: BindingId) -> Result<Reply<MigratedView>> {
        let owner = request.tenant;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        binding_find(&mut work.tx, owner.0, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
        let stays = rows::live(&mut work.tx, owner.0, id.0).await?;
        let mut migrated = 0;
        for place in 0..stays.len() {
            migrated += rows::count(&mut work.tx, owner.0, &stays, place).await?;
        }
        // One that ended has no stays.
        if !stays.is_empty() && history::touch(&mut work.tx, owner.0, id.0).await? {
            let row = binding_find(&mut work.tx, owner.0, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
            let ended = rows::end(&mut work.tx, owner.0, id.0, row.version).await?;
            let detail = format!("all subscriptions migrate; {ended} stays end");
            let change = changed(&row, BindingChange::Migrate, &request.credential, work.now, Some(detail));
            history::change_insert(&mut work.tx, owner.0, change).await?;
        }
        let row = binding_find(&mut work.tx, owner.0, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
        let staying = staying(&mut work.tx, owner, id.0).await?;
        let component = hex::encode(row.component_digest);
        work.finish(200, MigratedView { binding_id: id, component, migrated, staying }).await
    }

    async fn migrate_named(
        &self,
        request: &Request,
        id: BindingId,
        command: MigrateBinding,
    ) -> Result<Reply<MigratedView>> {
        let tenant = request.tenant;
        let (owner, row) = self.binding_of(request, id).await?;
        let stays = self.stays_live(owner, id).await?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let named: BTreeSet<Uuid> = command.subscriptions.iter().map(|id| id.uuid()).collect();
        let started: HashMap<Uuid, DateTime<Utc>> =
            rows::started(&mut work.tx, tenant.0, named.into_iter().collect()).await?.into_iter().collect();
        let mut fields = Fields::default();
        for (place, subscription) in command.subscriptions.iter().enumerate() {
            if !started.contains_key(&subscription.uuid()) {
                fields.refuse(format!("/subscriptions/{place}"), "is no subscription of the tenant");
            }
        }
        fields.finish()?;
        let instants: Vec<DateTime<Utc>> = stays.iter().map(|stay| stay.started_before).collect();
        let versions: Vec<i64> = stays.iter().map(|stay| stay.made_version).collect();
        let taken_out = rows::left(&mut work.tx, tenant.0, id.0, started.keys().copied().collect()).await?;
        let left = last_left(taken_out, &versions);
        let mut going: Vec<Uuid> = started
            .into_iter()
            .filter(|(id, started_at)| stay_of(&instants, *started_at, left.get(id).copied()).is_some())
            .map(|(id, _)| id)
            .collect();
        going.sort_unstable();
        let mut migrated = 0;
        if let (false, Some(last)) = (going.is_empty(), stays.last()) {
            let stay = (id.0, last.made_version);
            let gone = rows::leave(&mut work.tx, tenant.0, stay, &request.credential, work.now, going).await?;
            migrated = i64::try_from(gone).unwrap_or(i64::MAX);
        }
        // A tenant below has no history of the owner's binding; its rows say who migrated what and when.
        if migrated > 0 && owner == tenant && history::touch(&mut work.tx, tenant.0, id.0).await? {
            let row = binding_find(&mut work.tx, tenant.0, id.0).await?.ok_or(ServiceError::NotFound("binding"))?;
            let detail = Some(format!("{migrated} subscriptions migrate by name"));
            let change = changed(&row, BindingChange::Migrate, &request.credential, work.now, detail);
            history::change_insert(&mut work.tx, tenant.0, change).await?;
        }
        let staying = counted(&mut work.tx, tenant, &stays).await?;
        let component = hex::encode(row.component_digest);
        work.finish(200, MigratedView { binding_id: id, component, migrated, staying }).await
    }
}
