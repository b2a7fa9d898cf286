//! Tenants: the tree of operators and resellers, and who may see whom.
//!
//! A request acts for one tenant and sees that tenant and those below it; everybody else does not exist for it.

use std::str::FromStr as _;

use altyn_domain::{
    id::{Id as _, TenantId},
    money::Currency,
    run::RunMode,
};
use altyn_store::{Scope, Tx, tenants, tenants::TenantRow};
use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
};

/// How many levels a tree of tenants may have.
const DEEPEST: usize = 16;

/// A new tenant; what is absent is taken from the tenant above.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Its name.
    pub name: String,
    /// Language of texts for people: a BCP 47 tag such as `ru-RU`.
    pub locale: Option<String>,
    /// Time zone: an IANA name such as `Europe/Moscow`.
    pub zone: Option<String>,
    /// Main currency: an ISO 4217 code.
    pub currency: Option<String>,
    /// Whether billing plans wait for a person.
    pub run_mode: Option<RunMode>,
    /// Local time of the daily runs: `HH:MM`.
    pub run_at: Option<String>,
}

/// Changes to a tenant; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTenant {
    /// Its name.
    pub name: Option<String>,
    /// Language of texts for people: a BCP 47 tag such as `ru-RU`.
    pub locale: Option<String>,
    /// Time zone: an IANA name such as `Europe/Moscow`.
    pub zone: Option<String>,
    /// Whether billing plans wait for a person.
    pub run_mode: Option<RunMode>,
    /// Local time of the daily runs: `HH:MM`.
    pub run_at: Option<String>,
}

/// A tenant.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TenantView {
    /// Its id.
    pub id: TenantId,
    /// The tenant above; none for a root.
    pub parent_id: Option<TenantId>,
    /// Its name.
    pub name: String,
    /// Language of texts for people.
    pub locale: String,
    /// Time zone.
    pub zone: String,
    /// Main currency.
    pub currency: String,
    /// Whether billing plans wait for a person.
    pub run_mode: RunMode,
    /// Local time of the daily runs: `HH:MM`.
    pub run_at: String,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

pub(crate) fn view(row: TenantRow) -> Result<TenantView> {
    Ok(TenantView {
        id: TenantId(row.id),
        parent_id: row.parent_id.map(TenantId),
        name: row.name,
        locale: row.locale,
        zone: row.zone,
        currency: row.currency,
        run_mode: stored("tenants.run_mode", &row.run_mode)?,
        run_at: row.run_at,
        version: row.version,
        created_at: row.created_at,
    })
}

/// Checks the settings of a tenant as they would be stored.
fn check(row: &TenantRow) -> Result<()> {
    let mut fields = Fields::default();
    fields.text("/name", &row.name, 200);
    let tag = row.locale.len() <= 35
        && row.locale.split('-').enumerate().all(|(place, part)| {
            let long_enough = if place == 0 { 2..=8 } else { 1..=8 };
            long_enough.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        });
    if !tag {
        fields.refuse("/locale", "is not a language tag; write for example ru-RU");
    }
    if Tz::from_str(&row.zone).is_err() {
        fields.refuse("/zone", "is not a time zone; write an IANA name such as Europe/Moscow");
    }
    fields.take("/currency", Currency::parse(&row.currency));
    // The length keeps `H:MM` out, so that a time has one spelling.
    if row.run_at.len() != 5 || NaiveTime::parse_from_str(&row.run_at, "%H:%M").is_err() {
        fields.refuse("/run_at", "is not a time of day; write HH:MM, for example 03:00");
    }
    fields.finish()
}

/// The tenant of a request; it exists because the caller's credential belongs to it or to one above.
pub(crate) async fn acting(tx: &mut Tx, request: &Request) -> Result<TenantRow> {
    tenants::find(tx, request.tenant.0).await?.ok_or(ServiceError::NotFound("tenant"))
}

/// A tenant that the request may see.
async fn visible(tx: &mut Tx, request: &Request, id: TenantId) -> Result<TenantRow> {
    let root = acting(tx, request).await?;
    let row = tenants::find(tx, id.0).await?.ok_or(ServiceError::NotFound("tenant"))?;
    if row.path.starts_with(&root.path) { Ok(row) } else { Err(ServiceError::NotFound("tenant")) }
}

impl Altyn {
    /// Creates a tenant without a parent; only the platform's operator does this.
    pub async fn tenant_create_root(&self, command: CreateTenant) -> Result<TenantView> {
        let mut tx = self.db.write(Scope::Platform).await?;
        let row = self.tenant_row(command, None);
        check(&row)?;
        tenants::insert(&mut tx, &row).await?;
        tx.commit().await?;
        view(row)
    }

    /// Creates a tenant below the acting one.
    pub async fn tenant_create(&self, request: &Request, command: CreateTenant) -> Result<Reply<TenantView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let parent = acting(&mut work.tx, request).await?;
        if parent.path.split('/').filter(|part| !part.is_empty()).count() >= DEEPEST {
            return Err(ServiceError::conflict(
                "tenant-tree-too-deep",
                format!("a tree of tenants has at most {DEEPEST} levels; create the tenant higher up"),
            ));
        }
        let row = self.tenant_row(command, Some(&parent));
        check(&row)?;
        tenants::insert(&mut work.tx, &row).await?;
        self.service_terms_inherit(&mut work.tx, &parent, row.id, work.now).await?;
        work.finish(201, view(row)?).await
    }

    fn tenant_row(&self, command: CreateTenant, parent: Option<&TenantRow>) -> TenantRow {
        let id = self.ids.next();
        let inherited = |given: Option<String>, of: fn(&TenantRow) -> &String, otherwise: &str| {
            given.or_else(|| parent.map(|row| of(row).clone())).unwrap_or_else(|| otherwise.to_owned())
        };
        let run_mode = command.run_mode.map(|mode| mode.as_str().to_owned());
        TenantRow {
            id,
            parent_id: parent.map(|row| row.id),
            path: format!("{}{}/", parent.map_or("/", |row| &row.path), id.simple()),
            name: command.name,
            locale: inherited(command.locale, |row| &row.locale, "ru-RU"),
            zone: inherited(command.zone, |row| &row.zone, "Europe/Moscow"),
            currency: inherited(command.currency, |row| &row.currency, "RUB"),
            run_mode: inherited(run_mode, |row| &row.run_mode, RunMode::WithConfirmation.as_str()),
            run_at: inherited(command.run_at, |row| &row.run_at, "03:00"),
            version: 1,
            created_at: self.clock.now(),
        }
    }

    /// One tenant of the acting tenant's subtree.
    pub async fn tenant_get(&self, request: &Request, id: TenantId) -> Result<TenantView> {
        let mut tx = self.read(request).await?;
        view(visible(&mut tx, request, id).await?)
    }

    /// The acting tenant and everyone below it, oldest first.
    pub async fn tenant_list(&self, request: &Request, page: &Page) -> Result<Listed<TenantView>> {
        let (limit, after) = page.bounds::<TenantId>()?;
        let mut tx = self.read(request).await?;
        let root = acting(&mut tx, request).await?;
        let rows = tenants::list(&mut tx, &root.path, after, limit).await?;
        page.listed(rows, |row| TenantId(row.id).to_string(), view).try_data()
    }

    /// Changes the settings of a tenant of the subtree; a currency never changes, because money stands in it.
    pub async fn tenant_update(
        &self,
        request: &Request,
        id: TenantId,
        if_match: i64,
        command: UpdateTenant,
    ) -> Result<Reply<TenantView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let mut row = visible(&mut work.tx, request, id).await?;
        row.name = command.name.unwrap_or(row.name);
        row.locale = command.locale.unwrap_or(row.locale);
        row.zone = command.zone.unwrap_or(row.zone);
        row.run_mode = command.run_mode.map_or(row.run_mode, |mode| mode.as_str().to_owned());
        row.run_at = command.run_at.unwrap_or(row.run_at);
        check(&row)?;
        if !tenants::update(&mut work.tx, &row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        row.version = if_match + 1;
        work.finish(200, view(row)?).await
    }

    /// Whether `target` is `root` or lies below it; `false` when either does not exist.
    pub async fn tenant_in_subtree(&self, root: TenantId, target: TenantId) -> Result<bool> {
        let mut tx = self.db.read(Scope::Platform).await?;
        let Some(above) = tenants::find(&mut tx, root.uuid()).await? else { return Ok(false) };
        let Some(below) = tenants::find(&mut tx, target.uuid()).await? else { return Ok(false) };
        // A path ends with a slash, so that no id is mistaken for the beginning of another.
        Ok(below.path.starts_with(&above.path))
    }
}
