//! `/v1/sandbox`: a tenant with a clock of its own.

use altyn_service::sandbox::{AdvanceSandbox, EnterSandbox, SandboxView};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, Order, Resource},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(get, enter))
        .routes(routes!(advance))
        .routes(routes!(wipe))
        .routes(routes!(leave))
}

impl Resource for SandboxView {
    fn location(&self) -> Option<String> {
        Some("/v1/sandbox".to_owned())
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Enters a sandbox.
///
/// The acting tenant gets a clock of its own, and nothing leaves it: requests of gateways are recorded as not sent. It has
/// no customers, postings or runs yet.
#[utoipa::path(post, path = "/v1/sandbox", operation_id = "sandbox_enter", tag = "sandbox",
    request_body(content = EnterSandbox, example = json!({ "now_at": "2026-11-01T09:00:00Z" })),
    responses((status = 201, description = "The sandbox", body = SandboxView)))]
async fn enter(
    App(altyn): App,
    Command { request, command }: Command<EnterSandbox>,
) -> Result<Answer<SandboxView>, Problem> {
    Ok(Answer(altyn.sandbox_enter(&request, command).await?))
}

/// Reads the sandbox.
///
/// What time it is in there, and where the time goes.
#[utoipa::path(get, path = "/v1/sandbox", operation_id = "sandbox_get", tag = "sandbox",
    responses((status = 200, description = "The sandbox", body = SandboxView)))]
async fn get(App(altyn): App, Caller { request }: Caller) -> Result<Found<SandboxView>, Problem> {
    Ok(Found(altyn.sandbox_get(&request).await?))
}

/// Lets the time go.
///
/// To the next day, whose run waits for decisions, or to a day in the future, closing each day on the way without asking. A
/// host does the work; read the sandbox until `until_at` is gone.
#[utoipa::path(post, path = "/v1/sandbox/advance", operation_id = "sandbox_advance", tag = "sandbox",
    request_body(content = AdvanceSandbox, example = json!({ "to_on": "2027-01-01" })),
    responses((status = 200, description = "The sandbox", body = SandboxView)))]
async fn advance(
    App(altyn): App,
    Command { request, command }: Command<AdvanceSandbox>,
) -> Result<Answer<SandboxView>, Problem> {
    Ok(Answer(altyn.sandbox_advance(&request, command).await?))
}

/// Wipes the sandbox.
///
/// Customers, contracts, subscriptions, and all that became of them are thrown away; sellers, plans, plugins, terms and other
/// settings stay, and the clock shows the real time.
#[utoipa::path(post, path = "/v1/sandbox/wipe", operation_id = "sandbox_wipe", tag = "sandbox",
    responses((status = 200, description = "The empty sandbox", body = SandboxView)))]
async fn wipe(App(altyn): App, Order(request): Order) -> Result<Answer<SandboxView>, Problem> {
    Ok(Answer(altyn.sandbox_wipe(&request).await?))
}

/// Leaves the sandbox.
///
/// It was wiped before: books of a made-up time do not come along. The answer is the sandbox as it was.
#[utoipa::path(post, path = "/v1/sandbox/leave", operation_id = "sandbox_leave", tag = "sandbox",
    responses((status = 200, description = "The sandbox as it was", body = SandboxView)))]
async fn leave(App(altyn): App, Order(request): Order) -> Result<Answer<SandboxView>, Problem> {
    Ok(Answer(altyn.sandbox_leave(&request).await?))
}
