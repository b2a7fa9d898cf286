//! Meters: what use is counted by, and how many events become one figure.
//!
//! A meter's code and aggregation never change: events were counted by them, and plan versions are priced by them.

use altyn_domain::{
    id::{Id as _, MeterId},
    metered::Aggregation,
};
use altyn_store::{StoreError, meters as rows, meters::MeterRow};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
    products::check_code,
    tenants,
};

/// A new meter.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMeter {
    /// Its code, unique within the tenant: 1 to 60 letters, digits, `-`, `_` and `.`; events name it.
    pub code: String,
    /// Its name.
    pub title: String,
    /// What one unit is, such as `GB`.
    pub unit: String,
    /// How the events of a window become one figure.
    pub aggregation: Aggregation,
}

/// Changes to a meter; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMeter {
    /// Its name.
    pub title: Option<String>,
    /// What one unit is.
    pub unit: Option<String>,
}

/// A meter.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MeterView {
    /// Its id.
    pub id: MeterId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub title: String,
    /// What one unit is.
    pub unit: String,
    /// How the events of a window become one figure.
    pub aggregation: Aggregation,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

fn view(row: MeterRow) -> Result<MeterView> {
    Ok(MeterView {
        id: MeterId(row.id),
        aggregation: stored("meters.aggregation", &row.aggregation)?,
        code: row.code,
        title: row.title,
        unit: row.unit,
        version: row.version,
        created_at: row.created_at,
    })
}

impl Altyn {
    /// Creates a meter.
    pub async fn meter_create(&self, request: &Request, command: CreateMeter) -> Result<Reply<MeterView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        tenants::acting(&mut work.tx, request).await?;
        let mut fields = Fields::default();
        check_code(&mut fields, "/code", &command.code);
        fields.text("/title", &command.title, 300);
        fields.text("/unit", &command.unit, 40);
        fields.finish()?;
        let row = MeterRow {
            id: self.ids.next(),
            code: command.code,
            title: command.title,
            unit: command.unit,
            aggregation: command.aggregation.as_str().to_owned(),
            version: 1,
            created_at: work.now,
        };
        rows::insert(&mut work.tx, request.tenant.0, &row).await.map_err(|error| match error {
            StoreError::Duplicate(_) => {
                ServiceError::conflict("duplicate-meter", "another meter has this code; use another")
            }
            other => other.into(),
        })?;
        let view = view(row)?;
        work.finish(201, view).await
    }

    /// One meter.
    pub async fn meter_get(&self, request: &Request, id: MeterId) -> Result<MeterView> {
        let mut tx = self.read(request).await?;
        let row = rows::find(&mut tx, request.tenant.0, id.uuid()).await?;
        view(row.ok_or(ServiceError::NotFound("meter"))?)
    }

    /// A page of meters.
    pub async fn meter_list(&self, request: &Request, page: &Page) -> Result<Listed<MeterView>> {
        let (limit, after) = page.bounds::<MeterId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::list(&mut tx, request.tenant.0, after, limit).await?;
        page.listed(found, |row| MeterId(row.id).to_string(), view).try_data()
    }

    /// Changes a meter's name or unit.
    pub async fn meter_update(
        &self,
        request: &Request,
        id: MeterId,
        if_match: i64,
        command: UpdateMeter,
    ) -> Result<Reply<MeterView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let mut row = rows::find(&mut work.tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("meter"))?;
        let mut fields = Fields::default();
        fields.optional_text("/title", command.title.as_deref(), 300);
        fields.optional_text("/unit", command.unit.as_deref(), 40);
        fields.finish()?;
        row.title = command.title.unwrap_or(row.title);
        row.unit = command.unit.unwrap_or(row.unit);
        if !rows::update(&mut work.tx, tenant, &row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        row.version = if_match + 1;
        let view = view(row)?;
        work.finish(200, view).await
    }
}
