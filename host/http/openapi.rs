//! The interface's document, and the rules of requests that follow from it.
//!
//! Operations describe themselves beside their handlers; what all of them share (security, headers, problems) is added
//! here, by the same rules that [`Rules`] enforces. Invariant: what the document says is what the host does.

use std::collections::HashMap;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    routing::get,
};
use serde_json::{Value, json};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{OpenApi, openapi::InfoBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    error::{PROBLEM_JSON, Problem, ProblemBody},
    etag,
    idempotency::{self, IDEMPOTENCY_KEY},
    problems::Code,
};

const DESCRIPTION: &str = "Billing with WebAssembly plugins.\n\n\
    Send `Authorization: Bearer alt_…`. A key acts for its own tenant; `Altyn-Tenant` selects one below it. \
    Amounts are integers in minor units (`_minor`) with a currency. A POST needs an `Idempotency-Key`, so that repeating \
    it is safe; a PATCH needs the object's `ETag` in `If-Match`. Lists give `next_cursor`. \
    Every refusal is a problem (RFC 9457) with a stable `code`, explained at `/problems/<code>`.";
/// The page loads its own scripts and styles and the document, nothing else; its bundle sets styles inline.
const DOCS_CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
);

/// A document without operations; the router fills them in.
pub fn empty() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(components(schemas(ProblemBody)))]
    struct Shared;
    let mut document = Shared::openapi();
    document.info =
        InfoBuilder::new().title("Altyn").version(env!("CARGO_PKG_VERSION")).description(Some(DESCRIPTION)).build();
    document
}

/// Adds to every operation what all operations share, and answers the finished document.
pub fn finish(document: &utoipa::openapi::OpenApi) -> Value {
    // A document is plain data made by this program; there is no input that could make it fail.
    let mut document = serde_json::to_value(document).expect("the document is plain data");
    document["components"]["securitySchemes"] = json!({
        "key": { "type": "http", "scheme": "bearer", "bearerFormat": "alt_…", "description": "An API key." }
    });
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) {
                share(&method, path, operation);
            }
        }
    }
    document
}

/// Describes the headers and the problems that follow from an operation's method and path.
fn share(method: &Method, path: &str, operation: &mut Value) {
    let mut codes = vec![Code::InternalError];
    let mut headers = Vec::new();
    if path.starts_with("/v1/") {
        operation["security"] = json!([{ "key": [] }]);
        headers.push(tenant_header());
        codes.extend([Code::Unauthorized, Code::Forbidden, Code::NotFound, Code::InvalidQuery]);
        codes.extend([Code::DatabaseUnavailable, Code::RequestTimeout]);
        if method != Method::GET {
            codes.extend([Code::InvalidRequest, Code::BodyTooLarge]);
        }
    }
    if path.contains('{') {
        codes.push(Code::NotFound);
    }
    if operation.get("requestBody").is_some() {
        codes.extend([Code::MalformedJson, Code::UnsupportedMediaType]);
    }
    if idempotency::needs_key(method, path) {
        headers.push(idempotency::key_header());
        operation["x-idempotent"] = true.into();
        codes.extend([Code::KeyRequired, Code::KeyInvalid, Code::KeyReused]);
    }
    if etag::needs_version(method, path) {
        headers.push(etag::version_header());
        codes.extend([Code::VersionRequired, Code::StaleVersion]);
    }
    if let Some(parameters) = operation.as_object_mut().map(|map| map.entry("parameters").or_insert(json!([]))) {
        parameters.as_array_mut().into_iter().for_each(|list| list.extend(headers.clone()));
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let mut statuses: Vec<u16> = codes.iter().map(|code| code.status().as_u16()).collect();
    if method != Method::GET && path.starts_with("/v1/") {
        statuses.push(409);
    }
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        responses.entry(status.to_string()).or_insert_with(|| response(status, &codes));
    }
}

/// One status with the problems of the catalogue it stands for.
fn response(status: u16, codes: &[Code]) -> Value {
    let mut named: Vec<Code> = codes.iter().copied().filter(|code| code.status().as_u16() == status).collect();
    named.dedup();
    if named.is_empty() {
        named.extend(Code::ALL.iter().filter(|code| code.status().as_u16() == status));
    }
    let examples: serde_json::Map<String, Value> = named
        .iter()
        .map(|code| (code.as_str().to_owned(), json!({ "value": Problem::new(*code, code.meaning()) })))
        .collect();
    let titles: Vec<&str> = named.iter().map(|code| code.title()).collect();
    json!({
        "description": titles.join("; "),
        "content": { PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/Problem" }, "examples": examples } }
    })
}

fn tenant_header() -> Value {
    json!({
        "name": "Altyn-Tenant", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "A tenant below the key's own to act for; the key's own when absent.",
    })
}

/// What a request must carry before its handler sees it, taken from the document.
pub struct Rules(HashMap<(Method, String), Vec<String>>);

impl Rules {
    /// The rules of a finished document.
    pub fn of(document: &Value) -> Self {
        let mut rules = HashMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let names = parameters
                    .filter(|parameter| parameter["in"] == "query")
                    .filter_map(|parameter| parameter["name"].as_str().map(ToOwned::to_owned))
                    .collect();
                if let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) {
                    rules.insert((method, path.clone()), names);
                }
            }
        }
        Self(rules)
    }

    /// Refuses unknown query parameters, and a missing key or version, before the body is read.
    pub fn check(&self, method: &Method, path: &str, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let allowed = self.0.get(&(method.clone(), path.to_owned())).map_or(&[][..], Vec::as_slice);
        let given = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for name in given.map(|pair| pair.split('=').next().unwrap_or_default()) {
            if !allowed.iter().any(|known| known == name) {
                let known = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
                let detail = format!("unknown query parameter {name:?}; this operation takes: {known}");
                return Err(Problem::new(Code::InvalidQuery, detail));
            }
        }
        if idempotency::needs_key(method, path) && !headers.contains_key(IDEMPOTENCY_KEY) {
            let detail = "send the header `Idempotency-Key` with 1 to 255 visible ASCII characters of your own";
            return Err(Problem::new(Code::KeyRequired, detail));
        }
        if etag::needs_version(method, path) && !headers.contains_key(header::IF_MATCH) {
            return Err(etag::missing());
        }
        Ok(())
    }
}

/// The document at `/openapi.json` and a page to read and try it at `/docs/api`, both from this host alone.
pub fn pages<S: Clone + Send + Sync + 'static>(document: &Value) -> Router<S> {
    let text = document.to_string();
    let json = get(|| async move { ([(header::CONTENT_TYPE, "application/json")], text) });
    let config = Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true).filter(true);
    let docs: Router<S> = SwaggerUi::new("/docs/api").config(config).into();
    let csp = SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, DOCS_CSP);
    Router::new().route("/openapi.json", json).merge(docs.layer(csp))
}
