//! The way of a term down the tree: copies, keys, and what remains of a copy that is taken away.
//!
//! Owns walking the tenants below in an order in which each comes after the one above it, in one transaction. Invariants: a
//! tenant has one copy of each term that is delegated to it; a copy that somebody lives by is never dropped. A tenant never reads a row of the tenants above it.

use altyn_domain::terms::TermSource;
use altyn_store::{Tx, service_terms as rows, service_terms::ServiceTermRow, tenants, tenants::TenantRow};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::root_of;
use crate::{
    context::Altyn,
    error::{Result, ServiceError},
};

/// How many tenants or terms are read at once.
const PAGE: i64 = 500;
/// How many tenants below a refusal names.
const NAMED: usize = 20;
/// The credential that a change from above leaves in a copy.
const FROM_ABOVE: &str = "upstream";

/// The fields that a copy takes from the term of the level above.
fn follow(copy: &mut ServiceTermRow, term: &ServiceTermRow) {
    copy.name.clone_from(&term.name);
    copy.key.clone_from(&term.key);
    copy.stop_mode.clone_from(&term.stop_mode);
    copy.delete_mode.clone_from(&term.delete_mode);
    copy.grace_days = term.grace_days;
    copy.keep_days = term.keep_days;
    copy.payable_by_promise = term.payable_by_promise;
    copy.billing_day = term.billing_day;
    copy.delegated = true;
}

/// Whether two rows say the same, whenever and by whomever they were written.
fn same(one: &ServiceTermRow, other: &ServiceTermRow) -> bool {
    let said = |row: &ServiceTermRow| {
        let texts = [&row.name, &row.stop_mode, &row.delete_mode];
        let numbers = (row.grace_days, row.keep_days, row.payable_by_promise, row.billing_day, row.delegated);
        (texts.map(Clone::clone), numbers, row.key.clone())
    };
    said(one) == said(other)
}

impl Altyn {
    /// Refuses a key that another term of the tenant or any term of a tenant below has; copies of the term itself may.
    pub(super) async fn key_free(&self, tx: &mut Tx, home: &TenantRow, row: &ServiceTermRow) -> Result<()> {
        let Some(key) = row.key.as_deref() else { return Ok(()) };
        if rows::find_key(tx, home.id, key).await?.is_some_and(|found| found.id != row.id) {
            return Err(ServiceError::conflict(
                "service-term-key-taken",
                format!("another service term has the key {key}; choose another"),
            ));
        }
        let mut taken = Vec::new();
        let mut after = String::new();
        loop {
            let below = tenants::below(tx, &home.path, &after, PAGE).await?;
            let Some(last) = below.last() else { break };
            after.clone_from(&last.path);
            for tenant in &below {
                tx.enter(tenant.id).await?;
                let found = rows::find_key(tx, tenant.id, key).await?;
                if found.is_some_and(|found| found.origin_id != Some(row.id)) && taken.len() < NAMED {
                    taken.push(format!("{} {}", altyn_domain::id::TenantId(tenant.id), tenant.name));
                }
            }
        }
        tx.enter(home.id).await?;
        if taken.is_empty() {
            return Ok(());
        }
        Err(ServiceError::Conflict {
            code: "service-term-key-taken",
            message: format!(
                "a tenant below has a service term with the key {key}; choose a key that no tenant below uses"
            ),
            details: taken,
        })
    }

    /// Brings the copies below `home` in line with `term`, the term at `home`; none takes them away.
    ///
    /// `origin` is the term that all copies come from.
    pub(super) async fn spread(
        &self,
        tx: &mut Tx,
        home: &TenantRow,
        origin: Uuid,
        term: Option<&ServiceTermRow>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let origin_tenant = term.and_then(|term| term.origin_tenant_id).unwrap_or(home.id);
        // The way from `home` down to the tenant at hand, with what each level hands down.
        let mut way: Vec<(String, ServiceTermRow)> =
            term.map(|term| (home.path.clone(), term.clone())).into_iter().collect();
        let mut after = String::new();
        loop {
            let below = tenants::below(tx, &home.path, &after, PAGE).await?;
            let Some(last) = below.last() else { break };
            after.clone_from(&last.path);
            for tenant in &below {
                tx.enter(tenant.id).await?;
                let copy = rows::find_copy(tx, tenant.id, origin).await?;
                if term.is_none() {
                    if let Some(copy) = copy {
                        take_away(tx, tenant.id, copy, now).await?;
                    }
                    continue;
                }
                while way.len() > 1 && way.last().is_some_and(|(path, _)| !tenant.path.starts_with(path.as_str())) {
                    way.pop();
                }
                let (_, above) = way.last().ok_or_else(|| ServiceError::Internal("a tenant has no way up".into()))?;
                let copy = self.hand_down(tx, tenant.id, (origin_tenant, origin), above, copy, now).await?;
                way.push((tenant.path.clone(), copy));
            }
        }
        Ok(tx.enter(home.id).await?)
    }

    /// Writes one tenant's copy of the term of the level above.
    async fn hand_down(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        (origin_tenant, origin): (Uuid, Uuid),
        above: &ServiceTermRow,
        copy: Option<ServiceTermRow>,
        now: DateTime<Utc>,
    ) -> Result<ServiceTermRow> {
        let Some(before) = copy else {
            let mut copy = ServiceTermRow {
                id: self.ids.next(),
                origin_tenant_id: Some(origin_tenant),
                origin_id: Some(origin),
                state: TermSource::Inherited.as_str().to_owned(),
                changed_by: FROM_ABOVE.to_owned(),
                version: 1,
                created_at: now,
                updated_at: now,
                ..above.clone()
            };
            follow(&mut copy, above);
            rows::insert(tx, tenant, &copy).await?;
            return Ok(copy);
        };
        let mut copy = before.clone();
        follow(&mut copy, above);
        if !same(&before, &copy) {
            FROM_ABOVE.clone_into(&mut copy.changed_by);
            copy.updated_at = now;
            saved(rows::update(tx, tenant, &copy, before.version).await?)?;
        }
        Ok(copy)
    }

    /// Gives a new tenant a copy of every term that is delegated to it.
    pub(crate) async fn service_terms_inherit(
        &self,
        tx: &mut Tx,
        parent: &TenantRow,
        child: Uuid,
        now: DateTime<Utc>,
    ) -> Result<()> {
        rows::lock_tree(tx, root_of(parent)?).await?;
        let mut after = Uuid::nil();
        loop {
            let page = rows::list(tx, parent.id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            tx.enter(child).await?;
            for term in &page {
                let origin = match super::source(term)? {
                    TermSource::Own if term.delegated => (parent.id, term.id),
                    TermSource::Inherited => match (term.origin_tenant_id, term.origin_id) {
                        (Some(tenant), Some(id)) => (tenant, id),
                        _ => return Err(ServiceError::Internal("an inherited service term has no origin".into())),
                    },
                    _ => continue,
                };
                self.hand_down(tx, child, origin, term, None, now).await?;
            }
            tx.enter(parent.id).await?;
        }
    }
}

/// Takes a copy away from a tenant: one that is in use is frozen and detached, any other is deleted.
async fn take_away(tx: &mut Tx, tenant: Uuid, mut copy: ServiceTermRow, now: DateTime<Utc>) -> Result<()> {
    let in_use = rows::uses(tx, tenant, copy.id).await? > 0;
    let state = if in_use { TermSource::Frozen } else { TermSource::Deleted };
    state.as_str().clone_into(&mut copy.state);
    copy.origin_tenant_id = None;
    copy.origin_id = None;
    copy.delegated = false;
    if !in_use {
        copy.key = None;
    }
    FROM_ABOVE.clone_into(&mut copy.changed_by);
    copy.updated_at = now;
    let version = copy.version;
    saved(rows::update(tx, tenant, &copy, version).await?)
}

/// A copy is written under the lock of its tree, so nobody else can have changed it since it was read.
fn saved(written: bool) -> Result<()> {
    if written { Ok(()) } else { Err(ServiceError::Internal("a copy of a service term changed under its lock".into())) }
}
