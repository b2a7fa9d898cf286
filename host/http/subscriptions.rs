//! `/v1/subscriptions`: what a contract pays for again and again.

use altyn_domain::id::SubscriptionId;
use altyn_service::{
    page::{Listed, Page},
    rehearsal::ActionPreview,
    subscriptions::{
        ActivateSubscription, CancelSubscription, CreateSubscription, SubscriptionFilter, SubscriptionView,
        UpdateSubscription,
    },
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
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update))
        .routes(routes!(activate_preview))
        .routes(routes!(activate))
        .routes(routes!(cancel_preview))
        .routes(routes!(cancel))
}

impl Resource for SubscriptionView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/subscriptions/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Subscribes a contract to a plan.
///
/// The plan version in effect on `starts_on` is sold; the first charge falls due on that day.
#[utoipa::path(post, path = "/v1/subscriptions", operation_id = "subscription_create", tag = "subscriptions",
    request_body(content = CreateSubscription, example = json!({
        "contract_id": "ctr_0190a5d0c0de7000800000000000002a", "plan_code": "home-100", "starts_on": "2026-11-01",
    })),
    responses((status = 201, description = "The subscription", body = SubscriptionView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateSubscription>,
) -> Result<Answer<SubscriptionView>, Problem> {
    Ok(Answer(altyn.subscription_create(&request, command).await?))
}

/// Lists the subscriptions.
///
/// Oldest first, of all contracts or of one, in any status or in one; each with what a list and a card show.
#[utoipa::path(get, path = "/v1/subscriptions", operation_id = "subscription_list", tag = "subscriptions",
    params(Page, SubscriptionFilter),
    responses((status = 200, description = "A page of subscriptions", body = Listed<SubscriptionView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<SubscriptionFilter>,
) -> Result<Json<Listed<SubscriptionView>>, Problem> {
    Ok(Json(altyn.subscription_list(&request, filter, &page).await?))
}

/// Reads a subscription.
///
/// With its next charge; its `ETag` is its version.
#[utoipa::path(get, path = "/v1/subscriptions/{id}", operation_id = "subscription_get", tag = "subscriptions",
    params(("id" = SubscriptionId, Path, description = "The subscription")),
    responses((status = 200, description = "The subscription", body = SubscriptionView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<SubscriptionId>,
) -> Result<Found<SubscriptionView>, Problem> {
    Ok(Found(altyn.subscription_get(&request, id).await?))
}

/// Edits a subscription.
///
/// What is told to people, and what holds for periods that are not charged yet; what is absent stays, `null` clears. What
/// moves money is refused with the change that does it.
#[utoipa::path(patch, path = "/v1/subscriptions/{id}", operation_id = "subscription_update", tag = "subscriptions",
    params(("id" = SubscriptionId, Path, description = "The subscription")),
    request_body(content = UpdateSubscription, example = json!({
        "description": "Office on the third floor", "discount_percent": "10", "discount_until": "2026-12-31",
    })),
    responses((status = 200, description = "The edited subscription", body = SubscriptionView)))]
async fn update(
    App(altyn): App,
    At(id): At<SubscriptionId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<UpdateSubscription>,
) -> Result<Answer<SubscriptionView>, Problem> {
    Ok(Answer(altyn.subscription_update(&request, id, version, command).await?))
}

/// Activates a subscription.
///
/// One that was ordered as pending: its periods are counted from the day, and the first is charged then.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/activate", operation_id = "subscription_activate",
    tag = "subscriptions", params(("id" = SubscriptionId, Path, description = "The subscription")),
    request_body(content = ActivateSubscription, example = json!({ "on": "2026-11-15" })),
    responses((status = 200, description = "The subscription in service", body = SubscriptionView)))]
async fn activate(
    App(altyn): App,
    At(id): At<SubscriptionId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<ActivateSubscription>,
) -> Result<Answer<SubscriptionView>, Problem> {
    Ok(Answer(altyn.subscription_activate(&request, id, version, command).await?))
}

/// Ends a subscription.
///
/// On a day, if the decision tables allow it; no period that begins on or after it is charged. Where days behind it are charged
/// already, a change of the kind `cancel` gives them back; with `keep_charged` they stay charged.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/cancel", operation_id = "subscription_cancel",
    tag = "subscriptions", params(("id" = SubscriptionId, Path, description = "The subscription")),
    request_body(content = CancelSubscription, example = json!({ "on": "2026-12-01" })),
    responses((status = 200, description = "The subscription with its end", body = SubscriptionView)))]
async fn cancel(
    App(altyn): App,
    At(id): At<SubscriptionId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<CancelSubscription>,
) -> Result<Answer<SubscriptionView>, Problem> {
    Ok(Answer(altyn.subscription_cancel(&request, id, version, command).await?))
}

/// Shows what an activation would do.
///
/// The subscription as it would be, and what would be reserved for its order; nothing is written.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/activate/preview", operation_id = "subscription_activate_preview",
    tag = "subscriptions",
    params(("id" = SubscriptionId, Path, description = "The subscription")),
    request_body(content = ActivateSubscription, example = json!({ "on": "2026-11-15" })),
    responses((status = 200, description = "What it would do", body = ActionPreview<SubscriptionView>)))]
async fn activate_preview(
    App(altyn): App,
    At(id): At<SubscriptionId>,
    Command { request, command }: Command<ActivateSubscription>,
) -> Result<Json<ActionPreview<SubscriptionView>>, Problem> {
    Ok(Json(altyn.subscription_activate_preview(&request, id, command).await?))
}

/// Shows what ending a subscription would do.
///
/// It posts nothing; what is charged behind the end is given back by a change of the kind `cancel`, which has its own preview.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/cancel/preview", operation_id = "subscription_cancel_preview",
    tag = "subscriptions",
    params(("id" = SubscriptionId, Path, description = "The subscription")),
    request_body(content = CancelSubscription, example = json!({ "on": "2026-12-01" })),
    responses((status = 200, description = "What it would do", body = ActionPreview<SubscriptionView>)))]
async fn cancel_preview(
    App(altyn): App,
    At(id): At<SubscriptionId>,
    Command { request, command }: Command<CancelSubscription>,
) -> Result<Json<ActionPreview<SubscriptionView>>, Problem> {
    Ok(Json(altyn.subscription_cancel_preview(&request, id, command).await?))
}
