//! `/metrics`: figures for Prometheus.
//!
//! Who may read them is a setting, `plugins.metrics.readers`: they name tenants and tell how much each computes.

use altyn_runtime::MetricsReaders;
use altyn_service::{api_keys::Role, context::Altyn};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{MISSING, bearer},
    error::{Problem, ProblemBody},
    problems::Code,
};

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The route of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Tells the figures of plugin calls.
///
/// Since the process began, of all tenants. By default it takes an administrator's key of a root tenant.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "service",
    responses((status = 200, description = "The figures", body = String, content_type = "text/plain"),
        (status = 401, description = "No key", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not such a key", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Switched off", body = ProblemBody, content_type = "application/problem+json")))]
async fn metrics(State(altyn): State<Altyn>, headers: HeaderMap) -> Result<Response, Problem> {
    let runtime = altyn.plugins.runtime();
    match runtime.config().metrics.readers {
        MetricsReaders::Nobody => return Err(Problem::new(Code::NotFound, "metrics are switched off")),
        MetricsReaders::Key => admit(&altyn, &headers).await?,
        MetricsReaders::Everybody => {}
    }
    Ok(([(header::CONTENT_TYPE, TEXT)], runtime.metrics()).into_response())
}

async fn admit(altyn: &Altyn, headers: &HeaderMap) -> Result<(), Problem> {
    let key = bearer(headers).ok_or_else(|| Problem::new(Code::Unauthorized, MISSING))?;
    let credential = altyn.api_key_authenticate(key).await?;
    let credential = credential.ok_or_else(|| Problem::new(Code::Unauthorized, "the API key is not valid"))?;
    let request = altyn_service::Request::internal(credential.tenant, "metrics");
    let root = altyn.tenant_get(&request, credential.tenant).await?.parent_id.is_none();
    if credential.role == Role::Admin && root {
        Ok(())
    } else {
        Err(Problem::new(Code::Forbidden, "this needs a key of a root tenant with the role admin"))
    }
}
