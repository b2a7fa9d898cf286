//! Service terms: what becomes of unpaid subscriptions, and which of it tenants below are handed.
//!
//! Owns creating, changing and deleting terms, the names and keys among the levels of a tree, and putting plans and
//! subscriptions under a term. A change reaches every level below in the transaction that makes it, see [`delegation`].
//! It refuses to know balances: what is unpaid is decided at the close of day.
//!
//! Concurrency: changes of terms and new tenants of one tree wait for each other, see
//! [`altyn_store::service_terms::lock_tree`]; so a key that is free everywhere below stays free until it is written.

mod delegation;

use altyn_domain::{
    id::{Id as _, PlanId, ServiceTermId, SubscriptionId},
    terms::{Ladder, TermMode, TermSource, is_key},
};
use altyn_store::{
    StoreError, Tx, catalogue, lives, service_terms as rows, service_terms::ServiceTermRow, subscriptions,
    tenants::TenantRow,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
    tenants::acting,
};

/// The longest grace and the longest time a stopped subscription is kept, days.
const MOST_DAYS: u32 = 3_660;

/// A service term as it shall be; creating and replacing take the same.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetServiceTerm {
    /// Its name, 1 to 200 characters; another of the tenant's terms must not have it.
    pub name: String,
    /// 1 to 64 of `a-z`, `0-9` and `_`; no term of the tenant or of a tenant below may have it.
    pub key: Option<String>,
    /// Whether an unpaid subscription is stopped by itself or after a person approved.
    pub stop_mode: TermMode,
    /// Whether a stopped subscription is deleted by itself or after a person approved.
    pub delete_mode: TermMode,
    /// How many days an unpaid subscription stays in service: 0 to 3660.
    pub grace_days: u32,
    /// How many full days it is kept stopped before it is deleted: 0 to 3660.
    pub keep_days: u32,
    /// Whether promised payments count as money.
    #[serde(default)]
    pub payable_by_promise: bool,
    /// The financial day, 1 to 28: charges count as due on the first such day on or after their charge date.
    pub billing_day: Option<u32>,
    /// Whether every tenant below has a read-only copy.
    #[serde(default)]
    pub delegated: bool,
}

/// A service term.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceTermView {
    /// Its id.
    pub id: ServiceTermId,
    /// Whose it is: an inherited or frozen term is read-only.
    pub source: TermSource,
    /// Its name.
    pub name: String,
    /// What synchronises it between levels.
    pub key: Option<String>,
    /// How unpaid subscriptions are stopped.
    pub stop_mode: TermMode,
    /// How stopped subscriptions are deleted.
    pub delete_mode: TermMode,
    /// Days in service while unpaid.
    pub grace_days: i32,
    /// Full days kept stopped.
    pub keep_days: i32,
    /// Whether promised payments count as money.
    pub payable_by_promise: bool,
    /// The financial day.
    pub billing_day: Option<i32>,
    /// Whether every tenant below has a copy.
    pub delegated: bool,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

/// A name that a term of the tenant's own and one from above share; the tenant renames its own.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TermNameConflict {
    /// The name.
    pub name: String,
    /// The tenant's own term, to be renamed.
    pub own_id: ServiceTermId,
    /// Its address.
    pub own_href: String,
    /// The term from above.
    pub inherited_id: ServiceTermId,
    /// Its address.
    pub inherited_href: String,
}

/// Which term something lives by.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachServiceTerm {
    /// The term; none to take it away: a subscription then lives by its plan's term, a plan's subscriptions by none.
    pub service_term_id: Option<ServiceTermId>,
}

/// Which term something lives by now.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttachedServiceTerm {
    /// The term.
    pub service_term_id: Option<ServiceTermId>,
}

fn view(row: ServiceTermRow) -> Result<ServiceTermView> {
    Ok(ServiceTermView {
        id: ServiceTermId(row.id),
        source: stored("service_terms.state", &row.state)?,
        name: row.name,
        key: row.key,
        stop_mode: stored("service_terms.stop_mode", &row.stop_mode)?,
        delete_mode: stored("service_terms.delete_mode", &row.delete_mode)?,
        grace_days: row.grace_days,
        keep_days: row.keep_days,
        payable_by_promise: row.payable_by_promise,
        billing_day: row.billing_day,
        delegated: row.delegated,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// The ladder of a stored term.
pub(crate) fn ladder(row: &ServiceTermRow) -> Result<Ladder> {
    let days = |days: i32| u32::try_from(days).unwrap_or(0);
    Ok(Ladder {
        stop: stored("service_terms.stop_mode", &row.stop_mode)?,
        delete: stored("service_terms.delete_mode", &row.delete_mode)?,
        grace_days: days(row.grace_days),
        keep_days: days(row.keep_days),
        billing_day: row.billing_day.map(days),
        payable_by_promise: row.payable_by_promise,
    })
}

fn source(row: &ServiceTermRow) -> Result<TermSource> {
    stored("service_terms.state", &row.state)
}

fn check(command: &SetServiceTerm) -> Result<()> {
    let mut fields = Fields::default();
    fields.text("/name", &command.name, 200);
    if command.key.as_deref().is_some_and(|key| !is_key(key)) {
        fields.refuse("/key", "must have 1 to 64 of a-z, 0-9 and `_`");
    }
    for (pointer, days) in [("/grace_days", command.grace_days), ("/keep_days", command.keep_days)] {
        if days > MOST_DAYS {
            fields.refuse(pointer, format!("must be between 0 and {MOST_DAYS}"));
        }
    }
    if command.billing_day.is_some_and(|day| !(1..=28).contains(&day)) {
        fields.refuse("/billing_day", "must be between 1 and 28, days that every month has");
    }
    fields.finish()
}

/// The first tenant of a tree, by the path of any of its tenants.
fn root_of(tenant: &TenantRow) -> Result<Uuid> {
    let first = tenant.path.split('/').find(|part| !part.is_empty()).unwrap_or_default();
    Uuid::try_parse(first).map_err(|error| StoreError::Corrupt("tenants.path", error.to_string()).into())
}

/// Waits for its turn to change terms of the acting tenant's tree.
async fn locked(tx: &mut Tx, request: &Request) -> Result<TenantRow> {
    let tenant = acting(tx, request).await?;
    rows::lock_tree(tx, root_of(&tenant)?).await?;
    Ok(tenant)
}

async fn named_once(tx: &mut Tx, tenant: Uuid, name: &str, except: Uuid) -> Result<()> {
    match rows::find_name(tx, tenant, name, except).await? {
        None => Ok(()),
        Some(_) => Err(ServiceError::conflict(
            "service-term-name-taken",
            format!("another service term is called {name:?}; choose another name"),
        )),
    }
}

fn read_only(row: &ServiceTermRow) -> Result<()> {
    match source(row)? {
        TermSource::Own => Ok(()),
        source => Err(ServiceError::conflict(
            "service-term-read-only",
            format!("the term is {source}; only the tenant that it comes from could change it"),
        )),
    }
}

fn set(row: &mut ServiceTermRow, command: SetServiceTerm) {
    let days = |days: u32| i32::try_from(days).unwrap_or(i32::MAX);
    row.name = command.name;
    row.key = command.key;
    command.stop_mode.as_str().clone_into(&mut row.stop_mode);
    command.delete_mode.as_str().clone_into(&mut row.delete_mode);
    row.grace_days = days(command.grace_days);
    row.keep_days = days(command.keep_days);
    row.payable_by_promise = command.payable_by_promise;
    row.billing_day = command.billing_day.map(days);
    row.delegated = command.delegated;
}

/// Saves a term that its tenant has read in version `if_match`.
async fn save(tx: &mut Tx, tenant: Uuid, row: &mut ServiceTermRow, if_match: i64) -> Result<()> {
    if !rows::update(tx, tenant, row, if_match).await? {
        return Err(ServiceError::Stale);
    }
    row.version = if_match + 1;
    Ok(())
}

async fn one(tx: &mut Tx, tenant: Uuid, id: ServiceTermId) -> Result<ServiceTermRow> {
    rows::find(tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("service term"))
}

/// The term that something is to live by, if it may.
async fn attachable(tx: &mut Tx, tenant: Uuid, id: Option<ServiceTermId>) -> Result<Option<Uuid>> {
    let Some(id) = id else { return Ok(None) };
    let row = rows::find(tx, tenant, id.uuid()).await?;
    let row = row.ok_or_else(|| ServiceError::invalid("/service_term_id", "there is no such service term"))?;
    if source(&row)? == TermSource::Frozen {
        return Err(ServiceError::conflict(
            "service-term-frozen",
            "the tenant above deleted this term; it serves those it served and takes nobody on, choose another",
        ));
    }
    Ok(Some(row.id))
}

impl Altyn {
    /// Creates a term; a delegated one appears in every tenant below at once.
    pub async fn service_term_create(
        &self,
        request: &Request,
        command: SetServiceTerm,
    ) -> Result<Reply<ServiceTermView>> {
        check(&command)?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let home = locked(&mut work.tx, request).await?;
        let mut row = ServiceTermRow {
            id: self.ids.next(),
            origin_tenant_id: None,
            origin_id: None,
            state: TermSource::Own.as_str().to_owned(),
            name: String::new(),
            key: None,
            stop_mode: String::new(),
            delete_mode: String::new(),
            grace_days: 0,
            keep_days: 0,
            payable_by_promise: false,
            billing_day: None,
            delegated: false,
            changed_by: request.credential.clone(),
            version: 1,
            created_at: work.now,
            updated_at: work.now,
        };
        named_once(&mut work.tx, home.id, &command.name, row.id).await?;
        set(&mut row, command);
        self.key_free(&mut work.tx, &home, &row).await?;
        rows::insert(&mut work.tx, home.id, &row).await?;
        if row.delegated {
            self.spread(&mut work.tx, &home, row.id, Some(&row), work.now).await?;
        }
        work.finish(201, view(row)?).await
    }

    /// Replaces a term of the tenant's own; the copies below follow, appear or go in the same transaction.
    pub async fn service_term_update(
        &self,
        request: &Request,
        id: ServiceTermId,
        if_match: i64,
        command: SetServiceTerm,
    ) -> Result<Reply<ServiceTermView>> {
        check(&command)?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let home = locked(&mut work.tx, request).await?;
        let mut row = one(&mut work.tx, home.id, id).await?;
        read_only(&row)?;
        if row.name != command.name {
            named_once(&mut work.tx, home.id, &command.name, row.id).await?;
        }
        let was_delegated = row.delegated;
        set(&mut row, command);
        row.changed_by.clone_from(&request.credential);
        row.updated_at = work.now;
        self.key_free(&mut work.tx, &home, &row).await?;
        save(&mut work.tx, home.id, &mut row, if_match).await?;
        if row.delegated || was_delegated {
            let shared = row.delegated.then_some(&row);
            self.spread(&mut work.tx, &home, row.id, shared, work.now).await?;
        }
        work.finish(200, view(row)?).await
    }

    /// Deletes a term that nobody uses here. Below, copies in use are frozen and detached, the others go with it.
    pub async fn service_term_delete(
        &self,
        request: &Request,
        id: ServiceTermId,
        if_match: i64,
    ) -> Result<Reply<ServiceTermView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let home = locked(&mut work.tx, request).await?;
        let mut row = one(&mut work.tx, home.id, id).await?;
        let source = source(&row)?;
        if source == TermSource::Inherited {
            read_only(&row)?;
        }
        let uses = rows::uses(&mut work.tx, home.id, row.id).await?;
        if uses > 0 {
            return Err(ServiceError::conflict(
                "service-term-in-use",
                "plans or subscriptions live by this term; put them under another one first",
            ));
        }
        if source == TermSource::Own && row.delegated {
            self.spread(&mut work.tx, &home, row.id, None, work.now).await?;
        }
        TermSource::Deleted.as_str().clone_into(&mut row.state);
        row.key = None;
        row.changed_by.clone_from(&request.credential);
        row.updated_at = work.now;
        save(&mut work.tx, home.id, &mut row, if_match).await?;
        work.finish(200, view(row)?).await
    }

    /// One term.
    pub async fn service_term_get(&self, request: &Request, id: ServiceTermId) -> Result<ServiceTermView> {
        let mut tx = self.read(request).await?;
        view(one(&mut tx, request.tenant.0, id).await?)
    }

    /// A page of terms, oldest first.
    pub async fn service_term_list(&self, request: &Request, page: &Page) -> Result<Listed<ServiceTermView>> {
        let (limit, after) = page.bounds::<ServiceTermId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::list(&mut tx, request.tenant.0, after, limit).await?;
        page.listed(found, |row| ServiceTermId(row.id).to_string(), view).try_data()
    }

    /// A page of the names that a term of the tenant's own shares with one from above: this tenant renames its own.
    pub async fn service_term_conflicts(&self, request: &Request, page: &Page) -> Result<Listed<TermNameConflict>> {
        let (limit, after) = page.bounds::<ServiceTermId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::name_clashes(&mut tx, request.tenant.0, after, limit).await?;
        let href = |id: ServiceTermId| format!("/v1/service-terms/{id}");
        Ok(page.listed(
            found,
            |row| ServiceTermId(row.own_id).to_string(),
            |row| {
                let (own_id, inherited_id) = (ServiceTermId(row.own_id), ServiceTermId(row.inherited_id));
                let (own_href, inherited_href) = (href(own_id), href(inherited_id));
                TermNameConflict { name: row.name, own_id, own_href, inherited_id, inherited_href }
            },
        ))
    }

    /// Puts a plan under a term: its subscriptions live by it unless they have one of their own.
    pub async fn plan_service_term_set(
        &self,
        request: &Request,
        id: PlanId,
        if_match: i64,
        command: AttachServiceTerm,
    ) -> Result<Reply<AttachedServiceTerm>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let home = locked(&mut work.tx, request).await?;
        let plan = catalogue::plan_find(&mut work.tx, home.id, id.uuid()).await?;
        if plan.ok_or(ServiceError::NotFound("plan"))?.version != if_match {
            return Err(ServiceError::Stale);
        }
        match attachable(&mut work.tx, home.id, command.service_term_id).await? {
            Some(term) => rows::plan_put(&mut work.tx, home.id, id.uuid(), term, work.now).await?,
            None => rows::plan_take(&mut work.tx, home.id, id.uuid()).await?,
        }
        work.finish(200, AttachedServiceTerm { service_term_id: command.service_term_id }).await
    }

    /// The term that a plan is sold under.
    pub async fn plan_service_term(&self, request: &Request, id: PlanId) -> Result<AttachedServiceTerm> {
        let mut tx = self.read(request).await?;
        let plan = catalogue::plan_find(&mut tx, request.tenant.0, id.uuid()).await?;
        plan.ok_or(ServiceError::NotFound("plan"))?;
        let found = rows::plan_term(&mut tx, request.tenant.0, id.uuid()).await?;
        Ok(AttachedServiceTerm { service_term_id: found.map(ServiceTermId) })
    }

    /// Gives a subscription a term of its own, before its plan's.
    pub async fn subscription_service_term_set(
        &self,
        request: &Request,
        id: SubscriptionId,
        if_match: i64,
        command: AttachServiceTerm,
    ) -> Result<Reply<AttachedServiceTerm>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let home = locked(&mut work.tx, request).await?;
        let row = subscriptions::find(&mut work.tx, home.id, id.uuid()).await?;
        let row = row.ok_or(ServiceError::NotFound("subscription"))?;
        if row.version != if_match {
            return Err(ServiceError::Stale);
        }
        let term = attachable(&mut work.tx, home.id, command.service_term_id).await?;
        lives::term_set(&mut work.tx, home.id, row.id, row.contract_id, term, work.now).await?;
        work.finish(200, AttachedServiceTerm { service_term_id: command.service_term_id }).await
    }
}
