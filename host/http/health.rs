//! Whether the host lives and whether it can serve: for supervisors and load balancers, without a key.

use altyn_service::context::Altyn;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    error::{Problem, ProblemBody, chain},
    problems::Code,
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready))
}

/// How the host is.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`; anything else is a problem.
    #[schema(example = "ok")]
    status: &'static str,
    /// The release.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

const OK: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Tells that the process lives.
///
/// Touches nothing but the process; restart it when this fails.
#[utoipa::path(get, path = "/healthz", operation_id = "health_alive", tag = "service",
    responses((status = 200, description = "The process lives", body = Health)))]
async fn alive() -> Json<Health> {
    Json(OK)
}

/// Tells that requests can be served.
///
/// The database answers and has this release's schema; send no traffic while this fails.
#[utoipa::path(get, path = "/readyz", operation_id = "health_ready", tag = "service",
    responses((status = 200, description = "Requests can be served", body = Health),
        (status = 503, description = "Not ready", body = ProblemBody, content_type = "application/problem+json")))]
async fn ready(State(altyn): State<Altyn>) -> Result<Json<Health>, Problem> {
    altyn.db.ping().await.map_err(|error| not_ready(&error, "the database does not answer"))?;
    // A key that nobody has: looking for it needs the tables of this release.
    let looked = altyn.api_key_authenticate("").await;
    looked.map_err(|error| not_ready(&error, "the database has not this release's schema; run `altyn migrate`"))?;
    Ok(Json(OK))
}

fn not_ready(error: &dyn std::error::Error, detail: &str) -> Problem {
    tracing::error!(error = chain(error), "not ready");
    Problem::new(Code::NotReady, detail)
}
