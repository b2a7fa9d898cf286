//! `/v1/meters`: what use is counted by.

use altyn_domain::id::MeterId;
use altyn_service::{
    meters::{CreateMeter, MeterView, UpdateMeter},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, create)).routes(routes!(get, update))
}

impl Resource for MeterView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/meters/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Creates a meter.
///
/// Its code is what events name; the aggregation says how the events of a period become one figure.
#[utoipa::path(post, path = "/v1/meters", operation_id = "meter_create", tag = "usage",
    request_body(content = CreateMeter, example = json!({
        "code": "traffic", "title": "Трафик", "unit": "GB", "aggregation": "sum",
    })),
    responses((status = 201, description = "The meter", body = MeterView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateMeter>,
) -> Result<Answer<MeterView>, Problem> {
    Ok(Answer(altyn.meter_create(&request, command).await?))
}

/// Lists the meters.
///
/// Oldest first.
#[utoipa::path(get, path = "/v1/meters", operation_id = "meter_list", tag = "usage",
    params(Page), responses((status = 200, description = "A page of meters", body = Listed<MeterView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<MeterView>>, Problem> {
    Ok(Json(altyn.meter_list(&request, &page).await?))
}

/// Reads a meter.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/meters/{id}", operation_id = "meter_get", tag = "usage",
    params(("id" = MeterId, Path, description = "The meter")),
    responses((status = 200, description = "The meter", body = MeterView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<MeterId>) -> Result<Found<MeterView>, Problem> {
    Ok(Found(altyn.meter_get(&request, id).await?))
}

/// Changes a meter.
///
/// What is absent stays. The code and the aggregation never change: events were counted by them.
#[utoipa::path(patch, path = "/v1/meters/{id}", operation_id = "meter_update", tag = "usage",
    params(("id" = MeterId, Path, description = "The meter")),
    request_body(content = UpdateMeter, example = json!({ "title": "Трафик сверх пакета" })),
    responses((status = 200, description = "The changed meter", body = MeterView)))]
async fn update(
    App(altyn): App,
    At(id): At<MeterId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<UpdateMeter>,
) -> Result<Answer<MeterView>, Problem> {
    Ok(Answer(altyn.meter_update(&request, id, version, command).await?))
}
