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

/// How ready the host is.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// Always `ok`; anything else is a problem.
    #[schema(example = "ok")]
    status: &'static str,
    /// The release.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The number of the last migration.
    #[schema(example = 8)]
    schema: i64,
    /// By how much a host's clock is behind what hosts saw, milliseconds; above 0 scheduled work waits: raise an alarm.
    #[schema(example = 0)]
    clock_behind_ms: i64,
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
/// The database answers and its schema has the number of this release; send no traffic while this fails. Raise an alarm
/// when `clock_behind_ms` is above 0.
#[utoipa::path(get, path = "/readyz", operation_id = "health_ready", tag = "service",
    responses((status = 200, description = "Requests can be served", body = Readiness),
        (status = 503, description = "Not ready", body = ProblemBody, content_type = "application/problem+json")))]
async fn ready(State(altyn): State<Altyn>) -> Result<Json<Readiness>, Problem> {
    altyn.db.ping().await.map_err(|error| not_ready(&error, "the database does not answer"))?;
    // A key that nobody has: looking for it needs the tables of this release.
    let looked = altyn.api_key_authenticate("").await;
    looked.map_err(|error| not_ready(&error, "the database has not this release's schema; run `altyn migrate`"))?;
    let (applied, known) = altyn.db.schema().await.map_err(|error| not_ready(&error, "the schema has no number"))?;
    if applied != known {
        let cure = if applied < known { "run `altyn migrate`" } else { "start the release that migrated it" };
        let detail = format!("the database's schema is number {applied}, this release needs {known}; {cure}");
        tracing::error!(applied, known, "not ready: {detail}");
        return Err(Problem::new(Code::NotReady, detail));
    }
    let clock = altyn.clock_view().await.map_err(|error| not_ready(&error, "the clock's record cannot be read"))?;
    Ok(Json(Readiness { status: OK.status, version: OK.version, schema: applied, clock_behind_ms: clock.behind_ms }))
}

fn not_ready(error: &dyn std::error::Error, detail: &str) -> Problem {
    tracing::error!(error = chain(error), "not ready");
    Problem::new(Code::NotReady, detail)
}
