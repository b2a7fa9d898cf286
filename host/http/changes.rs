//! Changes of subscriptions: previewed, executed, listed and withdrawn; and the tables that say when they take effect.

use altyn_domain::id::{ChangeId, ContractId, SubscriptionId};
use altyn_service::{
    changes::{
        ChangePreview, ChangeSubscription, ChangeView, ExecuteChange, RenewContract, RenewalView, SetTimings,
        TimingsView,
    },
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Order, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(preview))
        .routes(routes!(list, execute))
        .routes(routes!(get))
        .routes(routes!(withdraw))
        .routes(routes!(renew_preview))
        .routes(routes!(renew))
        .routes(routes!(timings, set_timings))
}

impl Resource for ChangeView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/changes/{}", self.id))
    }
}

impl Resource for RenewalView {}

impl Resource for TimingsView {}

/// Shows what a change would do.
///
/// Exact lines, credits and postings, with a hash to execute exactly that; nothing is written. An upgrade, a downgrade and
/// a crossgrade are `change-plan`; the classifier says which it is.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/changes/preview", operation_id = "change_preview", tag = "changes",
    params(("id" = SubscriptionId, Path, description = "The subscription")),
    request_body(content = ChangeSubscription, example = json!({ "kind": "change-plan", "plan_code": "home-300" })),
    responses((status = 200, description = "What it would do", body = ChangePreview)))]
async fn preview(
    App(altyn): App,
    At(id): At<SubscriptionId>,
    Command { request, command }: Command<ChangeSubscription>,
) -> Result<Json<ChangePreview>, Problem> {
    Ok(Json(altyn.change_preview(&request, id, command).await?))
}

/// Executes a change.
///
/// Exactly as it was previewed, or not at all: when something moved since, the answer is `change-moved` with the
/// differences. A change whose day has not come is scheduled, in place of what was scheduled before.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/changes", operation_id = "change_execute", tag = "changes",
    params(("id" = SubscriptionId, Path, description = "The subscription")),
    request_body(content = ExecuteChange, example = json!({
        "change": { "kind": "change-plan", "plan_code": "home-300" },
        "plan_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    })),
    responses((status = 201, description = "The change", body = ChangeView)))]
async fn execute(
    App(altyn): App,
    At(id): At<SubscriptionId>,
    Command { request, command }: Command<ExecuteChange>,
) -> Result<Answer<ChangeView>, Problem> {
    Ok(Answer(altyn.change_execute(&request, id, command).await?))
}

/// Lists the changes of a subscription.
///
/// Oldest first: executed, scheduled, and those that came to nothing.
#[utoipa::path(get, path = "/v1/subscriptions/{id}/changes", operation_id = "change_list", tag = "changes",
    params(("id" = SubscriptionId, Path, description = "The subscription"), Page),
    responses((status = 200, description = "A page of changes", body = Listed<ChangeView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<SubscriptionId>,
    Paged(page): Paged,
) -> Result<Json<Listed<ChangeView>>, Problem> {
    Ok(Json(altyn.change_list(&request, id, &page).await?))
}

/// Reads a change.
///
/// With the terms that it led to.
#[utoipa::path(get, path = "/v1/changes/{id}", operation_id = "change_get", tag = "changes",
    params(("id" = ChangeId, Path, description = "The change")),
    responses((status = 200, description = "The change", body = ChangeView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<ChangeId>) -> Result<Json<ChangeView>, Problem> {
    Ok(Json(altyn.change_get(&request, id).await?))
}

/// Withdraws a scheduled change.
///
/// Before its day has come.
#[utoipa::path(post, path = "/v1/changes/{id}/cancel", operation_id = "change_withdraw", tag = "changes",
    params(("id" = ChangeId, Path, description = "The change")),
    responses((status = 200, description = "The withdrawn change", body = ChangeView)))]
async fn withdraw(App(altyn): App, At(id): At<ChangeId>, Order(request): Order) -> Result<Answer<ChangeView>, Problem> {
    Ok(Answer(altyn.change_withdraw(&request, id).await?))
}

/// Shows what renewing a contract would do.
///
/// The next period of each of its subscriptions in service or in grace, on one set of documents; those that cannot be
/// renewed are named as `skipped`.
#[utoipa::path(post, path = "/v1/contracts/{id}/renew/preview", operation_id = "contract_renew_preview", tag = "changes",
    params(("id" = ContractId, Path, description = "The contract")),
    responses((status = 200, description = "What it would do", body = ChangePreview)))]
async fn renew_preview(
    App(altyn): App,
    At(id): At<ContractId>,
    Order(request): Order,
) -> Result<Json<ChangePreview>, Problem> {
    Ok(Json(altyn.contract_renew_preview(&request, id).await?))
}

/// Renews all subscriptions of a contract.
///
/// Exactly as it was previewed: all that can be renewed, or none. The others are named with the reason.
#[utoipa::path(post, path = "/v1/contracts/{id}/renew", operation_id = "contract_renew", tag = "changes",
    params(("id" = ContractId, Path, description = "The contract")),
    request_body(content = RenewContract, example = json!({
        "plan_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    })),
    responses((status = 201, description = "The changes, one a renewed subscription", body = RenewalView)))]
async fn renew(
    App(altyn): App,
    At(id): At<ContractId>,
    Command { request, command }: Command<RenewContract>,
) -> Result<Answer<RenewalView>, Problem> {
    Ok(Answer(altyn.contract_renew(&request, id, command).await?))
}

/// Lists the decision tables.
///
/// The tenant's own first; a plan's table decides before it.
#[utoipa::path(get, path = "/v1/change-timings", operation_id = "timings_list", tag = "changes",
    params(Page), responses((status = 200, description = "A page of tables", body = Listed<TimingsView>)))]
async fn timings(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<TimingsView>>, Problem> {
    Ok(Json(altyn.timings_list(&request, &page).await?))
}

/// Sets a decision table.
///
/// In place of the one before: the first row that matches a change says when it takes effect.
#[utoipa::path(post, path = "/v1/change-timings", operation_id = "timings_set", tag = "changes",
    request_body(content = SetTimings, example = json!({
        "rules": [{ "kind": "change-plan", "direction": "down", "timing": "end-of-term" }],
    })),
    responses((status = 200, description = "The table", body = TimingsView)))]
async fn set_timings(
    App(altyn): App,
    Command { request, command }: Command<SetTimings>,
) -> Result<Answer<TimingsView>, Problem> {
    Ok(Answer(altyn.timings_set(&request, command).await?))
}
