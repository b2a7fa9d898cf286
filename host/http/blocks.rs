//! `/v1/blocks` and the access check: who has no access, since when and why.

use altyn_domain::id::{BlockId, SubscriptionId};
use altyn_service::{
    blocks::{AccessView, BlockFilter, BlockView, LiftBlock, SetBlock},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list, set))
        .routes(routes!(get))
        .routes(routes!(lift))
        .routes(routes!(access))
}

impl Resource for BlockView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/blocks/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Blocks a contract or a subscription.
///
/// Now or from an instant on, for ever or until one. It changes access, never charges.
#[utoipa::path(post, path = "/v1/blocks", operation_id = "block_set", tag = "blocks",
    request_body(content = SetBlock, example = json!({
        "contract_id": "ctr_0190a5d0c0de7000800000000000002a", "block_type": "administrative", "comment": "по решению суда" })),
    responses((status = 201, description = "The block", body = BlockView)))]
async fn set(App(altyn): App, Command { request, command }: Command<SetBlock>) -> Result<Answer<BlockView>, Problem> {
    Ok(Answer(altyn.block_set(&request, command).await?))
}

/// Lists the blocks.
///
/// With those that have ended, oldest first; `standing=true` leaves them out.
#[utoipa::path(get, path = "/v1/blocks", operation_id = "block_list", tag = "blocks", params(Page, BlockFilter),
    responses((status = 200, description = "A page of blocks", body = Listed<BlockView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<BlockFilter>,
) -> Result<Json<Listed<BlockView>>, Problem> {
    Ok(Json(altyn.block_list(&request, filter, &page).await?))
}

/// Reads a block.
///
/// With who set it and who lifted it.
#[utoipa::path(get, path = "/v1/blocks/{id}", operation_id = "block_get", tag = "blocks",
    params(("id" = BlockId, Path, description = "The block")),
    responses((status = 200, description = "The block", body = BlockView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<BlockId>) -> Result<Found<BlockView>, Problem> {
    Ok(Found(altyn.block_get(&request, id).await?))
}

/// Lifts a block.
///
/// Or takes one back that has not begun. Its row stays.
#[utoipa::path(post, path = "/v1/blocks/{id}/lift", operation_id = "block_lift", tag = "blocks",
    params(("id" = BlockId, Path, description = "The block")),
    request_body(content = LiftBlock, example = json!({ "comment": "решение отменено" })),
    responses((status = 200, description = "The block that was lifted", body = BlockView)))]
async fn lift(
    App(altyn): App,
    At(id): At<BlockId>,
    Command { request, command }: Command<LiftBlock>,
) -> Result<Answer<BlockView>, Problem> {
    Ok(Answer(altyn.block_lift(&request, id, command).await?))
}

/// Checks the access to a subscription.
///
/// Whether it may be used now, and every reason why not: its status, its days, blocks of its own and of its contract.
#[utoipa::path(get, path = "/v1/subscriptions/{id}/access", operation_id = "subscription_access",
    tag = "subscriptions", params(("id" = SubscriptionId, Path, description = "The subscription")),
    responses((status = 200, description = "Whether it may be used", body = AccessView)))]
async fn access(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<SubscriptionId>,
) -> Result<Json<AccessView>, Problem> {
    Ok(Json(altyn.subscription_access(&request, id).await?))
}
