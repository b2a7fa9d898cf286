//! Requests that create or change: the body, the idempotency key and the answer they produce.
//!
//! Owns how a key and a body reach a use case; the record itself is kept by the use case in the transaction of its effect.
//! Invariant: a POST under `/v1` that needs a key (see [`needs_key`]) never reaches a handler without one.

use altyn_service::context::{IdempotencyKey, Reply, Request};
use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request as HttpRequest},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{auth::Caller, error::Problem, etag, problems::Code};

/// The header of the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Carries the signed manifest of a component.
pub const MANIFEST: HeaderName = HeaderName::from_static("altyn-manifest");
/// Marks an answer that was stored by an earlier request with the same key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Operations that are POST only because they take a body or work long: they leave nothing behind. So do previews.
const KEYLESS: &[&str] =
    &["/v1/verify", "/v1/plugins/inspect", "/v1/bindings/{id}/shadow", "/v1/bindings/{id}/shadow-next-run"];

/// Whether an operation refuses a request without a key.
pub fn needs_key(method: &Method, path: &str) -> bool {
    method == Method::POST && path.starts_with("/v1/") && !KEYLESS.contains(&path) && !path.ends_with("/preview")
}

/// The header as the interface's document describes it.
pub fn key_header() -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": true,
        "schema": { "type": "string", "minLength": 1, "maxLength": 255 }, "example": "order-17-2026-11",
        "description": "1 to 255 visible ASCII characters, new for each intent; repeating it repeats the first answer.",
    })
}

/// A command in JSON, from a caller who may give it.
pub struct Command<T> {
    /// Who asks, for which tenant, under which key.
    pub request: Request,
    /// The body.
    pub command: T,
}

/// Bytes of a file, from a caller who may give them.
pub struct Upload {
    /// Who asks, for which tenant, under which key.
    pub request: Request,
    /// The body.
    pub bytes: Bytes,
    /// Its content type without parameters, in lower case; empty when absent.
    pub media_type: String,
}

/// An operation without a body, from a caller who may ask for it.
pub struct Order(pub Request);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Command<T> {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, state: &S) -> Result<Self, Problem> {
        let media_type = media_type(request.headers());
        if media_type != "application/json"
            && !(media_type.starts_with("application/") && media_type.ends_with("+json"))
        {
            return Err(Problem::new(Code::UnsupportedMediaType, "send JSON with `Content-Type: application/json`"));
        }
        let (request, bytes) = received(request, state).await?;
        let Json(command) = Json::from_bytes(&bytes)?;
        Ok(Self { request, command })
    }
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, state: &S) -> Result<Self, Problem> {
        let media_type = media_type(request.headers());
        let (request, bytes) = received(request, state).await?;
        Ok(Self { request, bytes, media_type })
    }
}

impl Upload {
    /// Refuses bytes of another content type.
    pub fn expect(self, media_type: &str) -> Result<Self, Problem> {
        if self.media_type == media_type {
            Ok(self)
        } else {
            let detail = format!("send the file's bytes with `Content-Type: {media_type}`");
            Err(Problem::new(Code::UnsupportedMediaType, detail))
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Order {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, state: &S) -> Result<Self, Problem> {
        received(request, state).await.map(|(request, _)| Self(request))
    }
}

/// Reads the body within the operation's limit, and puts the key into the caller's request.
async fn received<S: Send + Sync>(request: HttpRequest, state: &S) -> Result<(Request, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&parts)?;
    let key = key(&parts.headers)?;
    let fingerprinted = HttpRequest::from_parts(parts.clone(), body);
    let bytes = Bytes::from_request(fingerprinted, state).await?;
    let key = key.map(|key| IdempotencyKey {
        key,
        request: format!("{} {}", parts.method, parts.uri.path()),
        fingerprint: fingerprint(&parts, &bytes),
    });
    Ok((Request { key, ..caller.request }, bytes))
}

/// The given key, if it is a possible one.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if values.next().is_some() || !(1..=255).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(Problem::new(Code::KeyInvalid, "`Idempotency-Key` must be 1 to 255 visible ASCII characters"));
    }
    Ok(Some(text.to_owned()))
}

/// SHA-256 of everything that makes two requests the same: method, path, query, manifest and the raw body.
fn fingerprint(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    // What is installed depends on the manifest that comes with it.
    if let Some(manifest) = parts.headers.get(MANIFEST) {
        hash.update(manifest.as_bytes());
        hash.update([0]);
    }
    hash.update(body);
    hash.finalize().into()
}

fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// An object of the interface, with its address and its version.
pub trait Resource: Serialize {
    /// Its path, for the `Location` of a created object.
    fn location(&self) -> Option<String> {
        None
    }

    /// Its version, for `ETag`.
    fn version(&self) -> Option<i64> {
        None
    }
}

/// The answer of a writing operation.
pub struct Answer<T>(pub Reply<T>);

/// The answer of a reading operation: an object with its version.
pub struct Found<T>(pub T);

impl<T: Resource> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let Reply { status, replayed, value } = self.0;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let location = value.location().filter(|_| status == StatusCode::CREATED);
        let mut response = Found(value).into_response();
        *response.status_mut() = status;
        if let Some(value) = location.and_then(|path| HeaderValue::from_str(&path).ok()) {
            response.headers_mut().insert(header::LOCATION, value);
        }
        if replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl<T: Resource> IntoResponse for Found<T> {
    fn into_response(self) -> Response {
        let version = self.0.version();
        let mut response = Json(self.0).into_response();
        if let Some(version) = version {
            response.headers_mut().insert(header::ETAG, etag::of(version));
        }
        response
    }
}
