//! `/v1/gateways/{id}/notifications`: what payment gateways send, without a key, and answered in their own words.
//!
//! The only path under `/v1` that a stranger may use. It is not in the interface's document: its form belongs to the
//! gateway. Invariant: a notification that proves nothing leaves nothing behind, and at most [`AT_ONCE`] are worked on.

use std::net::SocketAddr;

use altyn_domain::{
    exchange::{HttpReply, Incoming},
    id::BindingId,
};
use altyn_service::context::Altyn;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::Semaphore;

use super::{Edge, around::Exact, error::Problem, page::At, problems::Code};

/// Most notifications that are worked on at one moment; one more is told to come again.
const AT_ONCE: usize = 32;
static PLACES: Semaphore = Semaphore::const_new(AT_ONCE);
/// Largest body of a notification, bytes.
const LARGEST: usize = 64 << 10;
/// Most headers that a plugin is shown.
const MOST_HEADERS: usize = 64;

/// The routes of this file.
pub fn routes() -> Router<Edge> {
    Router::new().route("/v1/gateways/{id}/notifications", get(receive).post(receive))
}

/// Takes a notification and answers what the gateway wants to hear.
async fn receive(
    State(altyn): State<Altyn>,
    At(binding): At<BindingId>,
    request: Request,
) -> Result<Response, Problem> {
    let Ok(_place) = PLACES.try_acquire() else {
        return Err(Problem::new(Code::PluginBusy, "too many notifications at once; send it again"));
    };
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST)
        .await
        .map_err(|_| Problem::new(Code::BodyTooLarge, "a notification has at most 64 KiB"))?;
    let source = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());
    let headers = parts
        .headers
        .iter()
        .take(MOST_HEADERS)
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let incoming = Incoming {
        method: parts.method.as_str().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
        source: source.unwrap_or_default(),
    };
    // A gateway that hangs up does not stop what its notification began.
    let working = tokio::spawn(async move { altyn.gateway_notification(binding, incoming).await });
    let reply = working.await.map_err(|_| Problem::new(Code::InternalError, "the host stopped"))??;
    Ok(exact(reply))
}

fn exact(reply: HttpReply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(reply.body)).into_response();
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.extensions_mut().insert(Exact);
    response
}
