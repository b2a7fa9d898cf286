//! Problems as RFC 9457 says, and the one mapping from service errors and refused requests to them.
//!
//! Invariant: a problem never shows what failed inside (no SQL, no source errors); that goes to the log, under the request
//! id that the problem carries in `instance`.

use std::error::Error as _;

use altyn_service::error::{FieldError, ServiceError};
use axum::{
    extract::rejection::{BytesRejection, JsonRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::Code;

/// The content type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refused or failed request.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<ProblemBody>);

/// What a problem says.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Where the problem is explained: `/problems/<code>`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid-request")]
    kind: String,
    /// The kind of problem, for people.
    #[schema(example = "Invalid request")]
    title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What happened this time and what to do.
    #[schema(example = "the request has invalid fields")]
    detail: String,
    /// The stable code, for programs.
    #[schema(example = "invalid-request")]
    code: String,
    /// The id of the request, as in the header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "req_0190a5d0c0de7000800000000000002a")]
    instance: Option<String>,
    /// The refused fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Further facts, for example the differences between two plans.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

impl Problem {
    /// A problem of the catalogue.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self::said(code.as_str(), code.title(), code.status(), detail.into())
    }

    /// A problem whose code a service chose, answered with the status of its kind.
    fn chosen(code: &'static str, status: StatusCode, detail: String) -> Self {
        let title = Code::find(code).map_or_else(|| status.canonical_reason().unwrap_or("Refused"), Code::title);
        Self::said(code, title, status, detail)
    }

    fn said(code: &str, title: &str, status: StatusCode, detail: String) -> Self {
        Self(Box::new(ProblemBody {
            kind: format!("/problems/{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail,
            code: code.to_owned(),
            instance: None,
            errors: Vec::new(),
            details: Vec::new(),
        }))
    }

    /// The problem behind a bare status, as routers and libraries answer it.
    pub fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => Code::Unauthorized,
            StatusCode::FORBIDDEN => Code::Forbidden,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
            status if status.is_server_error() => Code::InternalError,
            _ => Code::BadRequest,
        };
        Self::new(code, "the request was refused; see the page behind `type`")
    }

    /// The same problem with the refused fields.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The same problem with the id of its request.
    pub fn with_instance(mut self, id: &str) -> Self {
        self.0.instance = Some(id.to_owned());
        self
    }
}

/// The one place where a service error becomes a status.
impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let code = error.code();
        match error {
            ServiceError::NotFound(_) => Self::new(Code::NotFound, error.to_string()),
            ServiceError::Invalid(errors) => {
                Self::new(Code::InvalidRequest, "the request has invalid fields").with_errors(errors)
            }
            ServiceError::Conflict { message, details, .. } => {
                let mut problem = Self::chosen(code, StatusCode::CONFLICT, message);
                problem.0.details = details;
                problem
            }
            ServiceError::Stale => Self::new(Code::StaleVersion, error.to_string()),
            ServiceError::KeyReused => Self::new(Code::KeyReused, error.to_string()),
            ServiceError::Forbidden(message) => Self::new(Code::Forbidden, message),
            ServiceError::Denied { message, .. } => Self::chosen(code, StatusCode::FORBIDDEN, message),
            ServiceError::Plugin { message, .. } => {
                let busy = Code::find(code).is_some_and(|entry| entry.status() == StatusCode::SERVICE_UNAVAILABLE);
                let status = if busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNPROCESSABLE_ENTITY };
                Self::chosen(code, status, message)
            }
            ServiceError::Store(ref store) => {
                tracing::error!(error = chain(&error), "the database failed");
                if store.is_transient() {
                    Self::new(
                        Code::DatabaseUnavailable,
                        "the database is busy; nothing was written, repeat the request",
                    )
                } else {
                    Self::new(Code::InternalError, "the host failed; nothing was written")
                }
            }
            ServiceError::Internal(_) => {
                tracing::error!(error = chain(&error), "a use case failed");
                Self::new(Code::InternalError, "the host failed; nothing was written")
            }
        }
    }
}

/// An error with everything that caused it, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::new(Code::BodyTooLarge, "the body is larger than this operation takes")
        } else {
            Self::new(Code::BadRequest, "the body ended early")
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let cause = rejection.source().map_or_else(|| rejection.body_text(), ToString::to_string);
        match rejection {
            JsonRejection::JsonSyntaxError(_) => Self::new(Code::MalformedJson, cause),
            JsonRejection::JsonDataError(_) => {
                let (pointer, message) = pointed(&cause);
                Self::new(Code::InvalidRequest, "the request has invalid fields")
                    .with_errors(vec![FieldError { pointer, message }])
            }
            _ => Self::new(Code::UnsupportedMediaType, "send JSON with `Content-Type: application/json`"),
        }
    }
}

/// Splits `lines[0].quantity: invalid type …` into a JSON pointer and a message.
fn pointed(cause: &str) -> (String, String) {
    let Some((path, message)) = cause.split_once(": ") else { return (String::new(), cause.to_owned()) };
    // Without a field the text begins with the message itself, which has spaces and backquotes.
    if path.contains([' ', '`']) {
        return (String::new(), cause.to_owned());
    }
    let pointer = path
        .split(['.', '['])
        .map(|part| part.trim_end_matches(']'))
        .filter(|part| !part.is_empty() && *part != "?")
        .fold(String::new(), |pointer, part| pointer + "/" + part);
    (pointer, message.to_owned())
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        let cause = rejection.source().map_or_else(|| rejection.body_text(), ToString::to_string);
        Self::new(Code::InvalidQuery, format!("the query is refused: {cause}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"altyn\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // Read again by the outermost layer, which knows the request's id.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_json_pointer() {
        assert_eq!(pointed("lines[0].quantity: invalid type"), ("/lines/0/quantity".into(), "invalid type".into()));
        assert_eq!(pointed("name: missing"), ("/name".into(), "missing".into()));
        assert_eq!(pointed("missing field `name`").0, "");
        assert_eq!(pointed("unknown field `a`, expected: `b`").0, "");
    }

    #[test]
    fn a_service_error_keeps_its_code_and_never_shows_its_source() {
        let problem = Problem::from(ServiceError::Internal("select secret".into()));
        assert_eq!((problem.0.status, problem.0.code.as_str()), (500, "internal-error"));
        assert!(!problem.0.detail.contains("secret"));
        let problem = Problem::from(ServiceError::NotFound("customer"));
        assert_eq!((problem.0.status, problem.0.detail.as_str()), (404, "customer not found"));
        assert_eq!(Problem::from(ServiceError::Stale).0.status, 412);
        assert_eq!(Problem::from(ServiceError::KeyReused).0.status, 422);
        assert_eq!(Problem::from(ServiceError::conflict("run-in-progress", "wait")).0.status, 409);
        assert_eq!(Problem::from(ServiceError::invalid("/inn", "wrong")).0.errors.len(), 1);
    }
}
