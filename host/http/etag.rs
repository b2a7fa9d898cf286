//! Versions of objects as entity tags: `ETag: "7"` when reading, `If-Match: "7"` when changing.

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, Method, header, request::Parts},
};
use serde_json::{Value, json};

use super::{error::Problem, problems::Code};

/// Operations that change an object by a POST.
const CHANGING: &[&str] = &[
    "/v1/plans/{id}/versions",
    "/v1/subscriptions/{id}/activate",
    "/v1/subscriptions/{id}/cancel",
    "/v1/bindings/{id}/upgrade",
    "/v1/bindings/{id}/rollback",
    "/v1/bindings/{id}/share",
    "/v1/bindings/{id}/canary/promote",
];

/// Whether an operation refuses a request without `If-Match`.
pub fn needs_version(method: &Method, path: &str) -> bool {
    let changes = [Method::PUT, Method::PATCH, Method::DELETE].contains(method);
    path.starts_with("/v1/") && (changes || (method == Method::POST && CHANGING.contains(&path)))
}

/// The tag of a version.
pub fn of(version: i64) -> HeaderValue {
    // Digits and quotes are always a header value.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The version that the caller has read.
pub struct IfMatch(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Err(missing());
        };
        value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                Problem::new(Code::StaleVersion, "`If-Match` is not a version of this object, such as \"7\"")
            })
    }
}

/// The refusal of a request that does not say which version it has read.
pub fn missing() -> Problem {
    Problem::new(Code::VersionRequired, "send the `ETag` you have read in the header `If-Match`")
}

/// The header as the interface's document describes it.
pub fn version_header() -> Value {
    json!({
        "name": "If-Match", "in": "header", "required": true, "schema": { "type": "string" }, "example": "\"7\"",
        "description": "The `ETag` of the object as you have read it; another version answers 412.",
    })
}
