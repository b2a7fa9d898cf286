//! What surrounds every request: its id, its trace, its time limit, and the headers of every answer.
//!
//! Invariant: every refusal that leaves the host is a problem that carries the request's id, whoever made it; only what
//! is answered to payment gateways is theirs.

use std::{any::Any, time::Duration};

use altyn_service::context::Altyn;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument as _;

use super::{error::Problem, problems::Code};

/// How long a request may take; streams and imports are not bound by it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Answers are data, never pages: nothing in them may be loaded, run or framed.
const API_CSP: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");

/// Marks an answer whose bytes are prescribed by whoever asked: it is not made a problem of.
#[derive(Clone, Copy, Debug)]
pub struct Exact;

/// Gives the request its id and its span, and the answer its headers.
pub async fn request(State(altyn): State<Altyn>, mut request: Request, next: Next) -> Response {
    let id = given_id(&request).unwrap_or_else(|| format!("req_{}", altyn.ids.next().simple()));
    let path = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", id, method = %request.method(), path);
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let started = std::time::Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::info!(status = response.status().as_u16(), elapsed_us, "answered"));
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if refused && response.extensions().get::<Exact>().is_none() {
        response = identified(response, &id);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(API_CSP);
    response
}

/// The caller's own id, if it is short and harmless in a log.
fn given_id(request: &Request) -> Option<String> {
    let text = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=64).contains(&text.len()) && text.bytes().all(harmless)).then(|| text.to_owned())
}

/// Writes the request's id into the problem, and makes a problem of a bare status.
fn identified(mut response: Response, id: &str) -> Response {
    let problem =
        response.extensions_mut().remove::<Problem>().unwrap_or_else(|| Problem::of_status(response.status()));
    let mut answer = problem.with_instance(id).into_response();
    *answer.status_mut() = response.status();
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

/// Ends a request that takes too long; dropping it rolls its transaction back.
pub async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::RequestTimeout, "the request took longer than 30 seconds").into_response(),
    }
}

/// The answer of a handler that panicked.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a panic handler")]
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = text, "a handler panicked");
    Problem::new(Code::InternalError, "the host failed").into_response()
}

/// The answer for a path that does not exist.
pub async fn unknown_path() -> Problem {
    Problem::new(Code::NotFound, "there is no such path; see /openapi.json")
}

/// The answer for a method that a path does not take; the router names the others in `Allow`.
pub async fn unknown_method() -> Problem {
    Problem::of_status(StatusCode::METHOD_NOT_ALLOWED)
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn broken() {
        panic!("select secret from keys")
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_shows_nothing() {
        let router: Router = Router::new().route("/", get(broken)).layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "internal-error");
        assert!(!body.to_string().contains("secret"), "{body}");
    }

    #[test]
    fn only_a_harmless_id_is_taken_over() {
        let given = |id: &str| given_id(&Request::builder().header("x-request-id", id).body(Body::empty()).unwrap());
        assert_eq!(given("order-17_a.b"), Some("order-17_a.b".into()));
        for id in ["", "a b", "a\tb", "<script>", &"x".repeat(65)] {
            assert_eq!(given(id), None, "{id:?}");
        }
    }
}
