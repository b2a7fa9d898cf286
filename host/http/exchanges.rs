//! `/v1/exchanges`: conversations with payment gateways, and what a bound gateway can do.

use altyn_domain::id::{BindingId, ExchangeId};
use altyn_service::{
    exchanges::{BeginExchange, ExchangeView, StepView},
    gateways::GatewayView,
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, Order, Resource},
    page::{At, Paged},
};

/// The routes of this file that answer at once.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(get)).routes(routes!(steps)).routes(routes!(gateway))
}

/// The routes that talk to a gateway: they take as long as it does, within the bounds of an exchange.
pub fn talking() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(begin)).routes(routes!(resume))
}

impl Resource for ExchangeView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/exchanges/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Begins an exchange with a gateway.
///
/// A payment, or a question about one, a capture, a cancel, a refund. Answers when the gateway has said what it says now;
/// `verdict` tells how it stands. Repeating the request goes on with the same exchange and never pays twice. Nothing is
/// posted to the ledger.
#[utoipa::path(post, path = "/v1/exchanges", operation_id = "exchange_begin", tag = "exchanges",
    request_body = BeginExchange, responses((status = 201, description = "The exchange", body = ExchangeView)))]
async fn begin(
    App(altyn): App,
    Command { request, command }: Command<BeginExchange>,
) -> Result<Answer<ExchangeView>, Problem> {
    // A caller who hangs up does not stop a payment half-way.
    let working = tokio::spawn(async move { altyn.exchange_begin(&request, command).await });
    Ok(Answer(working.await.map_err(|_| stopped())??))
}

/// Goes on with an exchange that a host left unfinished.
///
/// One that is done stays as it is. The host does the same by itself after some minutes.
#[utoipa::path(post, path = "/v1/exchanges/{id}/resume", operation_id = "exchange_resume", tag = "exchanges",
    params(("id" = ExchangeId, Path, description = "The exchange")),
    responses((status = 200, description = "The exchange", body = ExchangeView)))]
async fn resume(
    App(altyn): App,
    At(id): At<ExchangeId>,
    Order(request): Order,
) -> Result<Answer<ExchangeView>, Problem> {
    let working = tokio::spawn(async move { altyn.exchange_resume(&request, id).await });
    Ok(Answer(working.await.map_err(|_| stopped())??))
}

fn stopped() -> Problem {
    Problem::new(super::problems::Code::InternalError, "the host stopped while it talked to the gateway")
}

/// Lists the exchanges.
///
/// Payments, questions, refunds and notifications, oldest first.
#[utoipa::path(get, path = "/v1/exchanges", operation_id = "exchange_list", tag = "exchanges",
    params(Page), responses((status = 200, description = "A page of exchanges", body = Listed<ExchangeView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<ExchangeView>>, Problem> {
    Ok(Json(altyn.exchange_list(&request, &page).await?))
}

/// Reads an exchange.
///
/// For a payment, with everything that was learnt of it since.
#[utoipa::path(get, path = "/v1/exchanges/{id}", operation_id = "exchange_get", tag = "exchanges",
    params(("id" = ExchangeId, Path, description = "The exchange")),
    responses((status = 200, description = "The exchange", body = ExchangeView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ExchangeId>,
) -> Result<Found<ExchangeView>, Problem> {
    Ok(Found(altyn.exchange_get(&request, id).await?))
}

/// Reads the trail of an exchange.
///
/// Each request with the names of its secrets, each answer with their values masked, each decision with its plugin call.
#[utoipa::path(get, path = "/v1/exchanges/{id}/steps", operation_id = "exchange_steps", tag = "exchanges",
    params(("id" = ExchangeId, Path, description = "The exchange"), Page),
    responses((status = 200, description = "A page of steps", body = Listed<StepView>)))]
async fn steps(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ExchangeId>,
    Paged(page): Paged,
) -> Result<Json<Listed<StepView>>, Problem> {
    Ok(Json(altyn.exchange_steps(&request, id, &page).await?))
}

/// Reads what a bound gateway can do.
///
/// With its configuration: currencies, refunds, holds; the secrets it misses; the path for its notifications.
#[utoipa::path(get, path = "/v1/gateways/{id}", operation_id = "gateway_get", tag = "exchanges",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The gateway", body = GatewayView)))]
async fn gateway(
    App(altyn): App,
    Caller { request }: Caller,
    At(binding): At<BindingId>,
) -> Result<Json<GatewayView>, Problem> {
    Ok(Json(altyn.gateway_get(&request, binding).await?))
}
