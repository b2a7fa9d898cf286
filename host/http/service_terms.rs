//! `/v1/service-terms`, and which term plans and subscriptions live by.

use altyn_domain::id::{PlanId, ServiceTermId, SubscriptionId};
use altyn_service::{
    lives::{SubscriptionLifeView, TransitionView},
    page::{Listed, Page},
    service_terms::{AttachServiceTerm, AttachedServiceTerm, ServiceTermView, SetServiceTerm, TermNameConflict},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Order, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(conflicts))
        .routes(routes!(get, replace, delete))
        .routes(routes!(of_plan, set_of_plan))
        .routes(routes!(set_of_subscription))
        .routes(routes!(life))
        .routes(routes!(transitions))
}

impl Resource for ServiceTermView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/service-terms/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

impl Resource for AttachedServiceTerm {}

/// Creates a service term.
///
/// A delegated one appears, read-only, in every tenant below at once. A key must be free here and everywhere below.
#[utoipa::path(post, path = "/v1/service-terms", operation_id = "service_term_create", tag = "service terms",
    request_body(content = SetServiceTerm, example = json!({
        "name": "Стандартные", "key": "standard", "stop_mode": "auto", "delete_mode": "manual",
        "grace_days": 5, "keep_days": 30, "payable_by_promise": true, "delegated": true
    })),
    responses((status = 201, description = "The term", body = ServiceTermView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<SetServiceTerm>,
) -> Result<Answer<ServiceTermView>, Problem> {
    Ok(Answer(altyn.service_term_create(&request, command).await?))
}

/// Lists the service terms.
///
/// The tenant's own, those delegated to it and those that were frozen, oldest first.
#[utoipa::path(get, path = "/v1/service-terms", operation_id = "service_term_list", tag = "service terms",
    params(Page), responses((status = 200, description = "A page of terms", body = Listed<ServiceTermView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<ServiceTermView>>, Problem> {
    Ok(Json(altyn.service_term_list(&request, &page).await?))
}

/// Lists the name conflicts.
///
/// Terms of the tenant's own whose name a delegated one has; the tenant renames its own. The list is empty when no name
/// is in conflict.
#[utoipa::path(get, path = "/v1/service-terms/conflicts", operation_id = "service_term_conflicts",
    tag = "service terms", params(Page),
    responses((status = 200, description = "A page of conflicts", body = Listed<TermNameConflict>)))]
async fn conflicts(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<TermNameConflict>>, Problem> {
    Ok(Json(altyn.service_term_conflicts(&request, &page).await?))
}

/// Reads a service term.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/service-terms/{id}", operation_id = "service_term_get", tag = "service terms",
    params(("id" = ServiceTermId, Path, description = "The term")),
    responses((status = 200, description = "The term", body = ServiceTermView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ServiceTermId>,
) -> Result<Found<ServiceTermView>, Problem> {
    Ok(Found(altyn.service_term_get(&request, id).await?))
}

/// Replaces a service term.
///
/// Only one of the tenant's own. Every copy below follows in the same transaction.
#[utoipa::path(put, path = "/v1/service-terms/{id}", operation_id = "service_term_update", tag = "service terms",
    params(("id" = ServiceTermId, Path, description = "The term")),
    request_body(content = SetServiceTerm, example = json!({
        "name": "Стандартные", "key": "standard", "stop_mode": "auto", "delete_mode": "auto",
        "grace_days": 3, "keep_days": 30, "payable_by_promise": true, "delegated": true
    })),
    responses((status = 200, description = "The changed term", body = ServiceTermView)))]
async fn replace(
    App(altyn): App,
    At(id): At<ServiceTermId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<SetServiceTerm>,
) -> Result<Answer<ServiceTermView>, Problem> {
    Ok(Answer(altyn.service_term_update(&request, id, version, command).await?))
}

/// Deletes a service term.
///
/// One that nobody here lives by. Below, copies in use are frozen and detached; the others go with it.
#[utoipa::path(delete, path = "/v1/service-terms/{id}", operation_id = "service_term_delete", tag = "service terms",
    params(("id" = ServiceTermId, Path, description = "The term")),
    responses((status = 200, description = "The deleted term", body = ServiceTermView)))]
async fn delete(
    App(altyn): App,
    At(id): At<ServiceTermId>,
    IfMatch(version): IfMatch,
    Order(request): Order,
) -> Result<Answer<ServiceTermView>, Problem> {
    Ok(Answer(altyn.service_term_delete(&request, id, version).await?))
}

/// Reads a plan's service term.
///
/// The one that its subscriptions live by, unless they have one of their own.
#[utoipa::path(get, path = "/v1/plans/{id}/service-term", operation_id = "plan_service_term_get",
    tag = "service terms", params(("id" = PlanId, Path, description = "The plan")),
    responses((status = 200, description = "The term", body = AttachedServiceTerm)))]
async fn of_plan(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<PlanId>,
) -> Result<Found<AttachedServiceTerm>, Problem> {
    Ok(Found(altyn.plan_service_term(&request, id).await?))
}

/// Puts a plan under a service term.
///
/// `If-Match` is the plan's version. `null` takes the plan from its term.
#[utoipa::path(put, path = "/v1/plans/{id}/service-term", operation_id = "plan_service_term_set",
    tag = "service terms", params(("id" = PlanId, Path, description = "The plan")),
    request_body(content = AttachServiceTerm,
        example = json!({ "service_term_id": "stm_0190a5d0c0de7000800000000000002a" })),
    responses((status = 200, description = "The term", body = AttachedServiceTerm)))]
async fn set_of_plan(
    App(altyn): App,
    At(id): At<PlanId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<AttachServiceTerm>,
) -> Result<Answer<AttachedServiceTerm>, Problem> {
    Ok(Answer(altyn.plan_service_term_set(&request, id, version, command).await?))
}

/// Gives a subscription a service term.
///
/// `If-Match` is the subscription's version. `null` lets it live by its plan's term again.
#[utoipa::path(put, path = "/v1/subscriptions/{id}/service-term", operation_id = "subscription_service_term_set",
    tag = "service terms", params(("id" = SubscriptionId, Path, description = "The subscription")),
    request_body(content = AttachServiceTerm,
        example = json!({ "service_term_id": "stm_0190a5d0c0de7000800000000000002a" })),
    responses((status = 200, description = "The term", body = AttachedServiceTerm)))]
async fn set_of_subscription(
    App(altyn): App,
    At(id): At<SubscriptionId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<AttachServiceTerm>,
) -> Result<Answer<AttachedServiceTerm>, Problem> {
    Ok(Answer(altyn.subscription_service_term_set(&request, id, version, command).await?))
}

/// Reads a subscription's life.
///
/// Its status, its term, since when it is unpaid, when it is stopped and deleted, and who holds it stopped.
#[utoipa::path(get, path = "/v1/subscriptions/{id}/life", operation_id = "subscription_life", tag = "service terms",
    params(("id" = SubscriptionId, Path, description = "The subscription")),
    responses((status = 200, description = "Its life", body = SubscriptionLifeView)))]
async fn life(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<SubscriptionId>,
) -> Result<Json<SubscriptionLifeView>, Problem> {
    Ok(Json(altyn.subscription_life(&request, id).await?))
}

/// Lists a subscription's changes of status.
///
/// Those that its term, a hold or a manual operation made, oldest first.
#[utoipa::path(get, path = "/v1/subscriptions/{id}/transitions", operation_id = "subscription_transitions",
    tag = "service terms", params(("id" = SubscriptionId, Path, description = "The subscription"), Page),
    responses((status = 200, description = "A page of changes", body = Listed<TransitionView>)))]
async fn transitions(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<SubscriptionId>,
    Paged(page): Paged,
) -> Result<Json<Listed<TransitionView>>, Problem> {
    Ok(Json(altyn.subscription_transitions(&request, id, &page).await?))
}
