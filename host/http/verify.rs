//! `/v1/verify`: whether the books of the acting tenant keep every invariant.

use altyn_service::verify::{VerifyOptions, VerifyReport};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Edge, auth::App, error::Problem, idempotency::Command};

/// The route of this file; it takes as long as the books are large.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(verify))
}

/// Checks the books.
///
/// Every invariant of the ledger and of billing, with the rows that break it, and a share of the recorded plugin calls made
/// again. Reads only, so it needs no idempotency key; a broken rule is still an answer: read `ok`.
#[utoipa::path(post, path = "/v1/verify", operation_id = "verify", tag = "verify",
    request_body(content = VerifyOptions, example = json!({ "replay_percent": 10 })),
    responses((status = 200, description = "Every rule and how it stands", body = VerifyReport)))]
async fn verify(
    App(altyn): App,
    Command { request, command }: Command<VerifyOptions>,
) -> Result<Json<VerifyReport>, Problem> {
    Ok(Json(altyn.verify(&request, command).await?))
}
