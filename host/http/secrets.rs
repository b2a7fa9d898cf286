//! `/v1/secrets`: what a tenant keeps for its plugins. Values go in and never come out.

use altyn_service::{
    page::{Listed, Page},
    secrets::{Rotated, SecretView, SetSecret},
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
    OpenApiRouter::default().routes(routes!(list, set)).routes(routes!(get, delete)).routes(routes!(rotate))
}

impl Resource for SecretView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/secrets/{}", self.name))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

impl Resource for Rotated {}

/// Keeps a secret.
///
/// One of the same name is replaced. The value is sealed with the tenant's own key together with the hosts it may be sent to,
/// and is in no answer, not even in this one.
#[utoipa::path(post, path = "/v1/secrets", operation_id = "secret_set", tag = "secrets",
    request_body(content = SetSecret),
    responses((status = 201, description = "The secret without its value", body = SecretView),
        (status = 200, description = "The secret that was replaced, without its value", body = SecretView)))]
async fn set(App(altyn): App, Command { request, command }: Command<SetSecret>) -> Result<Answer<SecretView>, Problem> {
    Ok(Answer(altyn.secret_set(&request, command).await?))
}

/// Lists the secrets.
///
/// By name, without values.
#[utoipa::path(get, path = "/v1/secrets", operation_id = "secret_list", tag = "secrets",
    params(Page), responses((status = 200, description = "A page of secrets", body = Listed<SecretView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<SecretView>>, Problem> {
    Ok(Json(altyn.secret_list(&request, &page).await?))
}

/// Reads what a secret is for.
///
/// Without its value.
#[utoipa::path(get, path = "/v1/secrets/{name}", operation_id = "secret_get", tag = "secrets",
    params(("name" = String, Path, description = "Name of the secret")),
    responses((status = 200, description = "The secret without its value", body = SecretView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(name): At<String>) -> Result<Found<SecretView>, Problem> {
    Ok(Found(altyn.secret_get(&request, &name).await?))
}

/// Deletes a secret.
///
/// What needs it fails from now on.
#[utoipa::path(delete, path = "/v1/secrets/{name}", operation_id = "secret_delete", tag = "secrets",
    params(("name" = String, Path, description = "Name of the secret")),
    responses((status = 200, description = "The deleted secret without its value", body = SecretView)))]
async fn delete(
    App(altyn): App,
    At(name): At<String>,
    IfMatch(version): IfMatch,
    Order(request): Order,
) -> Result<Answer<SecretView>, Problem> {
    Ok(Answer(altyn.secret_delete(&request, &name, version).await?))
}

/// Changes the tenant's data key.
///
/// All its secrets are sealed anew; their values and versions stay.
#[utoipa::path(post, path = "/v1/secret-rotations", operation_id = "secret_rotate", tag = "secrets",
    responses((status = 200, description = "What was sealed anew", body = Rotated)))]
async fn rotate(App(altyn): App, Order(request): Order) -> Result<Answer<Rotated>, Problem> {
    Ok(Answer(altyn.secret_rotate(&request).await?))
}
