//! `/v1/plans`: at which price and for which period something is sold; versions are added, never edited.

use altyn_domain::id::PlanId;
use altyn_service::{
    page::{Listed, Page},
    plans::{CreatePlan, CreatePlanVersion, PlanFilter, PlanView, UpdatePlan},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list, create)).routes(routes!(get, update)).routes(routes!(add_version))
}

impl Resource for PlanView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/plans/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Creates a plan.
///
/// With its first version; it is a draft, and not on sale, unless `status` says otherwise.
#[utoipa::path(post, path = "/v1/plans", operation_id = "plan_create", tag = "plans",
    request_body(content = CreatePlan, example = json!({
        "code": "home-100", "title": "Домашний 100", "status": "active",
        "version": {
            "cadence": "1m", "price_mode": "included",
            "components": [{
                "code": "access", "title": "Доступ в Интернет", "unit_price_minor": 59_000,
                "product_id": "prd_0190a5d0c0de7000800000000000002a",
            }],
        },
    })),
    responses((status = 201, description = "The plan", body = PlanView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreatePlan>,
) -> Result<Answer<PlanView>, Problem> {
    Ok(Answer(altyn.plan_create(&request, command).await?))
}

/// Lists the plans.
///
/// With all their versions, oldest first. A self-service key sees those that are public and on sale.
#[utoipa::path(get, path = "/v1/plans", operation_id = "plan_list", tag = "plans",
    params(Page, PlanFilter), responses((status = 200, description = "A page of plans", body = Listed<PlanView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<PlanFilter>,
) -> Result<Json<Listed<PlanView>>, Problem> {
    Ok(Json(altyn.plan_list(&request, filter, &page).await?))
}

/// Reads a plan.
///
/// With all its versions; its `ETag` is the version of the plan as an object.
#[utoipa::path(get, path = "/v1/plans/{id}", operation_id = "plan_get", tag = "plans",
    params(("id" = PlanId, Path, description = "The plan")),
    responses((status = 200, description = "The plan", body = PlanView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<PlanId>) -> Result<Found<PlanView>, Problem> {
    Ok(Found(altyn.plan_get(&request, id).await?))
}

/// Changes a plan.
///
/// Its title, its status (a draft becomes active, an active plan archived, an archived one active again), or who sells it.
#[utoipa::path(patch, path = "/v1/plans/{id}", operation_id = "plan_update", tag = "plans",
    params(("id" = PlanId, Path, description = "The plan")),
    request_body(content = UpdatePlan, example = json!({ "status": "archived" })),
    responses((status = 200, description = "The changed plan", body = PlanView)))]
async fn update(
    App(altyn): App,
    At(id): At<PlanId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<UpdatePlan>,
) -> Result<Answer<PlanView>, Problem> {
    Ok(Answer(altyn.plan_update(&request, id, version, command).await?))
}

/// Adds a version to a plan.
///
/// New prices are a new version with its own first day. What was sold before goes on under the version it was sold with, unless
/// `existing_subscribers` names a day: then each subscription goes over at its first renewal on or after it.
#[utoipa::path(post, path = "/v1/plans/{id}/versions", operation_id = "plan_version_add", tag = "plans",
    params(("id" = PlanId, Path, description = "The plan")),
    request_body(content = CreatePlanVersion, example = json!({
        "effective_from": "2027-01-01", "existing_subscribers": "from:2027-03-01", "cadence": "1m",
        "price_mode": "included",
        "components": [{
            "code": "access", "title": "Доступ в Интернет", "unit_price_minor": 65_000,
            "product_id": "prd_0190a5d0c0de7000800000000000002a",
        }],
    })),
    responses((status = 201, description = "The plan with the new version", body = PlanView)))]
async fn add_version(
    App(altyn): App,
    At(id): At<PlanId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<CreatePlanVersion>,
) -> Result<Answer<PlanView>, Problem> {
    Ok(Answer(altyn.plan_version_add(&request, id, version, command).await?))
}
