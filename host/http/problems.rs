//! The catalogue of problems: every code the interface answers, what it means and what to do.
//!
//! Owns the texts behind the `type` of a problem, served at `/problems/<code>`. Codes are for ever: a client branches on
//! them. Invariant: each code the services can answer has an entry, with the status it is answered with.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Edge, error::Problem};

macro_rules! catalogue {
    ($( $name:ident = $code:literal, $status:ident, $title:literal, $meaning:literal, $remedy:literal; )+) => {
        /// A kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $( #[doc = $meaning] $name, )+
        }

        impl Code {
            /// Every kind of problem.
            pub const ALL: &'static [Self] = &[$( Self::$name, )+];

            /// The stable code.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$name => $code, )+ }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self { $( Self::$name => StatusCode::$status, )+ }
            }

            /// A short name for people.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$name => $title, )+ }
            }

            /// What happened.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$name => $meaning, )+ }
            }

            /// What the caller does about it.
            pub const fn remedy(self) -> &'static str {
                match self { $( Self::$name => $remedy, )+ }
            }
        }
    };
}

catalogue! {
    Unauthorized = "unauthorized", UNAUTHORIZED, "API key required",
        "The request carries no API key, or one that is unknown, expired or revoked.",
        "Send the header `Authorization: Bearer alt_…` with a valid key; ask an administrator for one.";
    Forbidden = "forbidden", FORBIDDEN, "Not allowed",
        "The API key is valid, but its role or its tenant does not permit this.",
        "Use a key with the role that `detail` names. A read-only key may only read.";
    NotFound = "not-found", NOT_FOUND, "Not found",
        "There is no such path, or no such object in the tenant that the request acts for. An object of another tenant is answered in the same way.",
        "Check the path, the id and the `Altyn-Tenant` header.";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed",
        "The path exists, but does not take this method.",
        "Use a method from the `Allow` header.";
    BadRequest = "bad-request", BAD_REQUEST, "Bad request",
        "The request is not understood.",
        "Correct what `detail` names and send the request again.";
    MalformedJson = "malformed-json", BAD_REQUEST, "Malformed JSON",
        "The body is not well-formed JSON.",
        "Correct the body at the line and column that `detail` names.";
    InvalidQuery = "invalid-query", BAD_REQUEST, "Invalid query",
        "A query parameter is unknown, repeated or has an unusable value.",
        "Use only the parameters that `detail` names; they are described in the interface's document.";
    InvalidRequest = "invalid-request", UNPROCESSABLE_ENTITY, "Invalid request",
        "The request is well-formed, but some of its fields are refused.",
        "Correct every field listed in `errors`; `pointer` says where, `message` says what is wanted.";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
        "The body has a content type that the operation does not take.",
        "Set `Content-Type` to the type that `detail` names.";
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "Body too large",
        "The body is larger than the operation takes.",
        "Send less at once: split imports into several files.";
    KeyRequired = "idempotency-key-required", BAD_REQUEST, "Idempotency key required",
        "The operation creates something or moves money, and must not happen twice when a request is repeated.",
        "Send the header `Idempotency-Key` with a value of your own, new for each intent, and the same for each repetition.";
    KeyInvalid = "idempotency-key-invalid", BAD_REQUEST, "Invalid idempotency key",
        "The idempotency key is empty, too long or has characters that are not visible ASCII.",
        "Use 1 to 255 visible ASCII characters, for example a UUID.";
    KeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "Idempotency key used before",
        "The key was used before with another request; that request's answer stands and nothing was done now.",
        "Use a new key for a new intent; repeat a request with exactly the same body.";
    VersionRequired = "version-required", PRECONDITION_REQUIRED, "Version required",
        "The operation changes an object, and must not overwrite a change that you have not seen.",
        "Read the object and send its `ETag` in the header `If-Match`.";
    StaleVersion = "stale-version", PRECONDITION_FAILED, "The object changed",
        "Somebody changed the object after you read it; nothing was written.",
        "Read the object again and repeat the change with the new `ETag`.";
    InternalError = "internal-error", INTERNAL_SERVER_ERROR, "Internal error",
        "The host failed; nothing was written. The log has the cause under the id in `instance`.",
        "Repeat the request with the same idempotency key; if it keeps failing, tell the operator the id in `instance`.";
    DatabaseUnavailable = "database-unavailable", SERVICE_UNAVAILABLE, "Database unavailable",
        "The database is busy or does not answer; nothing was written.",
        "Repeat the request with the same idempotency key after the seconds in `Retry-After`.";
    RequestTimeout = "request-timeout", SERVICE_UNAVAILABLE, "Took too long",
        "The request did not finish in the time a request has; unfinished work was undone.",
        "Repeat the request with the same idempotency key after the seconds in `Retry-After`.";
    NotReady = "not-ready", SERVICE_UNAVAILABLE, "Not ready",
        "The host runs, but its database does not answer or has another schema than this release.",
        "Check the database and run `altyn migrate`; `detail` says which of the two it is.";
}

impl Code {
    /// The entry of a code.
    pub fn find(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|entry| entry.as_str() == code)
    }
}

/// The routes of the catalogue.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(page))
}

/// Lists the problems.
///
/// One line each: code, status and title.
#[utoipa::path(get, path = "/problems", operation_id = "problem_list", tag = "service",
    responses((status = 200, description = "The codes", body = String, content_type = "text/plain")))]
async fn list() -> Response {
    let line = |code: &Code| format!("{:<28} {}  {}", code.as_str(), code.status().as_u16(), code.title());
    let lines: Vec<String> = Code::ALL.iter().map(line).collect();
    text(lines.join("\n") + "\n")
}

/// Explains a problem.
///
/// The page behind the `type` of a problem: what it means and what to do.
#[utoipa::path(get, path = "/problems/{code}", operation_id = "problem_get", tag = "service",
    params(("code" = String, Path, description = "The code of a problem", example = "not-found")),
    responses((status = 200, description = "The explanation", body = String, content_type = "text/plain")))]
async fn page(Path(code): Path<String>) -> Result<Response, Problem> {
    let code = Code::find(&code).ok_or_else(|| Problem::new(Code::NotFound, "there is no problem with this code"))?;
    Ok(text(format!(
        "{} ({}, {})\n\nWhat it means\n{}\n\nWhat to do\n{}\n",
        code.title(),
        code.as_str(),
        code.status(),
        code.meaning(),
        code.remedy(),
    )))
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
