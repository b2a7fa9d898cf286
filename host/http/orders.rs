//! `/v1/orders`: subscriptions that are paid for before they are in service, and for how long they wait for money.

use altyn_domain::id::OrderId;
use altyn_service::{
    orders::{OrderFilter, OrderPolicyView, OrderPreview, OrderView, PlaceOrder, SetOrderPolicy},
    page::{Listed, Page},
    rehearsal::ActionPreview,
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Order, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(preview))
        .routes(routes!(list, place))
        .routes(routes!(get))
        .routes(routes!(cancel_preview))
        .routes(routes!(cancel))
        .routes(routes!(policy_get, policy_set))
}

impl Resource for OrderView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/orders/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

impl Resource for OrderPolicyView {
    fn location(&self) -> Option<String> {
        Some("/v1/order-policy".to_owned())
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Shows what an order would do.
///
/// What its first period costs, whether the money is there, and the postings, with a hash to place exactly that; nothing is
/// written.
#[utoipa::path(post, path = "/v1/orders/preview", operation_id = "order_preview", tag = "orders",
    request_body(content = PlaceOrder, example = json!({ "subscription": {
        "contract_id": "ctr_0190a5d0c0de7000800000000000002a", "plan_code": "home-100", "starts_on": "2026-11-01",
    } })),
    responses((status = 200, description = "What it would do", body = OrderPreview)))]
async fn preview(
    App(altyn): App,
    Command { request, command }: Command<PlaceOrder>,
) -> Result<Json<OrderPreview>, Problem> {
    Ok(Json(altyn.order_preview(&request, command).await?))
}

/// Orders a subscription.
///
/// It waits until it is activated. When the contract may spend what the first period costs in advance, that is reserved at
/// once (`blocked`); else the order waits for the money (`opened`). With the hash of a preview another outcome is refused.
#[utoipa::path(post, path = "/v1/orders", operation_id = "order_place", tag = "orders",
    request_body(content = PlaceOrder, example = json!({ "subscription": {
        "contract_id": "ctr_0190a5d0c0de7000800000000000002a", "plan_code": "home-100", "starts_on": "2026-11-01",
    } })),
    responses((status = 201, description = "The order", body = OrderView)))]
async fn place(
    App(altyn): App,
    Command { request, command }: Command<PlaceOrder>,
) -> Result<Answer<OrderView>, Problem> {
    Ok(Answer(altyn.order_place(&request, command).await?))
}

/// Lists the orders.
///
/// With those that have ended, oldest first.
#[utoipa::path(get, path = "/v1/orders", operation_id = "order_list", tag = "orders", params(Page, OrderFilter),
    responses((status = 200, description = "A page of orders", body = Listed<OrderView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<OrderFilter>,
) -> Result<Json<Listed<OrderView>>, Problem> {
    Ok(Json(altyn.order_list(&request, filter, &page).await?))
}

/// Reads an order.
///
/// With what it was priced at, and how it ended.
#[utoipa::path(get, path = "/v1/orders/{id}", operation_id = "order_get", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "The order", body = OrderView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<OrderId>) -> Result<Found<OrderView>, Problem> {
    Ok(Found(altyn.order_get(&request, id).await?))
}

/// Takes an order back.
///
/// Before its subscription is in service: what was reserved is free again, and the subscription is cancelled.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", operation_id = "order_cancel", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "The order that was taken back", body = OrderView)))]
async fn cancel(App(altyn): App, At(id): At<OrderId>, Order(request): Order) -> Result<Answer<OrderView>, Problem> {
    Ok(Answer(altyn.order_cancel(&request, id).await?))
}

/// Reads for how long orders wait for money.
///
/// Its `ETag` is its version, 0 while nothing was set.
#[utoipa::path(get, path = "/v1/order-policy", operation_id = "order_policy_get", tag = "orders",
    responses((status = 200, description = "The days", body = OrderPolicyView)))]
async fn policy_get(App(altyn): App, Caller { request }: Caller) -> Result<Found<OrderPolicyView>, Problem> {
    Ok(Found(altyn.order_policy_get(&request).await?))
}

/// Says for how long orders wait for money.
///
/// An order that nobody paid for in so many days is taken back; it holds for orders that are placed from now on.
#[utoipa::path(put, path = "/v1/order-policy", operation_id = "order_policy_set", tag = "orders",
    request_body(content = SetOrderPolicy, example = json!({ "cancel_unpaid_days": 5 })),
    responses((status = 200, description = "The days", body = OrderPolicyView)))]
async fn policy_set(
    App(altyn): App,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<SetOrderPolicy>,
) -> Result<Answer<OrderPolicyView>, Problem> {
    Ok(Answer(altyn.order_policy_set(&request, version, command).await?))
}

/// Shows what taking an order back would do.
///
/// What is free again, and which other orders would have it; nothing is written.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel/preview", operation_id = "order_cancel_preview",
    tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "What it would do", body = ActionPreview<OrderView>)))]
async fn cancel_preview(
    App(altyn): App,
    At(id): At<OrderId>,
    Order(request): Order,
) -> Result<Json<ActionPreview<OrderView>>, Problem> {
    Ok(Json(altyn.order_cancel_preview(&request, id).await?))
}
