//! Who asks: the API key, the tenant it acts for and what its role permits.
//!
//! A layer over every path under `/v1`, so that no operation can forget it. It runs before the body is read.
//! Invariant: a handler only ever sees a request whose tenant lies in the credential's subtree.

use std::sync::Arc;

use altyn_domain::id::TenantId;
use altyn_service::{
    api_keys::Role,
    context::{Altyn, Request},
};
use axum::{
    extract::{FromRequestParts, MatchedPath, Request as HttpRequest, State},
    http::{HeaderMap, HeaderName, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};

use super::{error::Problem, openapi::Rules, problems::Code};

/// The header that selects a tenant of the key's subtree.
pub const TENANT: HeaderName = HeaderName::from_static("altyn-tenant");
/// What only an administrator touches: who may act, and which code decides about money.
const ADMINISTRATION: &[&str] = &[
    "/v1/tenants",
    "/v1/api-keys",
    "/v1/approval-policy",
    "/v1/scheduler/accept-clock",
    "/v1/sandbox",
    "/v1/plugins",
    "/v1/plugin-keys",
    "/v1/plugin-limits",
    "/v1/bindings",
    "/v1/secrets",
    "/v1/secret-rotations",
    "/v1/grants",
    "/v1/extension-points",
];

/// All that a key may touch which helps customers to help themselves; what is not here is refused.
const SELF_SERVICE: &[(Method, &str)] = &[
    (Method::GET, "/v1/plans"),
    (Method::GET, "/v1/plans/{id}"),
    (Method::GET, "/v1/contracts/{id}"),
    (Method::GET, "/v1/subscriptions"),
    (Method::POST, "/v1/subscriptions"),
    (Method::GET, "/v1/subscriptions/{id}"),
    (Method::GET, "/v1/subscriptions/{id}/access"),
    (Method::GET, "/v1/subscriptions/{id}/changes"),
    (Method::POST, "/v1/subscriptions/{id}/changes"),
    (Method::POST, "/v1/subscriptions/{id}/changes/preview"),
];

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who asks and for which tenant; without an idempotency key.
    pub request: Request,
}

impl Caller {
    /// The caller that the layer found.
    pub fn of(parts: &Parts) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::new(Code::Unauthorized, MISSING))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(parts)
    }
}

/// The application as the tenant of the request meets it: a sandbox has its own clock, and nothing leaves it.
pub struct App(pub Altyn);

impl<S: Send + Sync> FromRequestParts<S> for App {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Altyn>().cloned().map(Self).ok_or_else(|| Problem::new(Code::Unauthorized, MISSING))
    }
}

pub(super) const MISSING: &str = "send `Authorization: Bearer alt_…` with a valid API key";

/// Lets a request through to its handler when the key, the tenant, the role and the operation's own rules permit it.
pub async fn admit(
    State((altyn, rules)): State<(Altyn, Arc<Rules>)>,
    path: MatchedPath,
    mut request: HttpRequest,
    next: Next,
) -> Result<Response, Problem> {
    let key = bearer(request.headers()).ok_or_else(|| Problem::new(Code::Unauthorized, MISSING))?;
    let credential = altyn
        .api_key_authenticate(key)
        .await?
        .ok_or_else(|| Problem::new(Code::Unauthorized, "the API key is not valid"))?;
    permit(credential.role, request.method(), path.as_str())?;
    let tenant = match request.headers().get(TENANT) {
        None => credential.tenant,
        Some(value) => {
            let unknown = || Problem::new(Code::NotFound, "there is no such tenant below the key's tenant");
            let tenant: TenantId = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(unknown)?;
            let below = credential.role != Role::SelfService;
            if tenant != credential.tenant && !(below && altyn.tenant_in_subtree(credential.tenant, tenant).await?) {
                return Err(unknown());
            }
            tenant
        }
    };
    rules.check(request.method(), path.as_str(), request.uri(), request.headers())?;
    let authority = credential.role.authority();
    let request_of = Request { tenant, credential: credential.id.to_string(), authority, key: None };
    request.extensions_mut().insert(Caller { request: request_of });
    request.extensions_mut().insert(altyn.acting_for(tenant).await?);
    Ok(next.run(request).await)
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// What a role may do: a reader only reads, only an administrator touches [`ADMINISTRATION`], and who helps customers to help
/// themselves has nothing but [`SELF_SERVICE`].
fn permit(role: Role, method: &Method, path: &str) -> Result<(), Problem> {
    let administration = ADMINISTRATION
        .iter()
        .any(|area| path.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    match role {
        Role::SelfService => {
            let method = if method == Method::HEAD { &Method::GET } else { method };
            let allowed = SELF_SERVICE.iter().any(|(verb, served)| verb == method && *served == path);
            let refused = "a self-service key does not do this; use one with the role operator or admin";
            if allowed { Ok(()) } else { Err(Problem::new(Code::Forbidden, refused)) }
        }
        Role::Admin => Ok(()),
        _ if administration => Err(Problem::new(Code::Forbidden, "this needs a key with the role admin")),
        Role::ReadOnly if method != Method::GET && method != Method::HEAD => {
            Err(Problem::new(Code::Forbidden, "a read-only key may only read; use one with the role operator or admin"))
        }
        Role::Operator | Role::ReadOnly => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_bound_to_methods_and_areas() {
        for path in ["/v1/tenants", "/v1/api-keys/{id}", "/v1/plugins", "/v1/plugin-limits/{world}", "/v1/bindings"] {
            assert!(permit(Role::Admin, &Method::POST, path).is_ok());
            assert!(permit(Role::Operator, &Method::GET, path).is_err());
            assert!(permit(Role::ReadOnly, &Method::GET, path).is_err());
        }
        assert!(permit(Role::Operator, &Method::POST, "/v1/customers").is_ok());
        assert!(permit(Role::ReadOnly, &Method::GET, "/v1/customers").is_ok());
        assert!(permit(Role::ReadOnly, &Method::POST, "/v1/customers").is_err());
        assert!(permit(Role::ReadOnly, &Method::POST, "/v1/verify").is_err());
    }

    #[test]
    fn who_helps_customers_to_help_themselves_has_a_short_list() {
        let may = |method: Method, path| permit(Role::SelfService, &method, path).is_ok();
        assert!(may(Method::GET, "/v1/plans") && may(Method::HEAD, "/v1/plans/{id}"));
        assert!(may(Method::POST, "/v1/subscriptions") && may(Method::POST, "/v1/subscriptions/{id}/changes"));
        for path in ["/v1/plans", "/v1/price-overrides", "/v1/contracts", "/v1/ledger/transactions", "/v1/exchanges"] {
            assert!(!may(Method::POST, path), "{path}");
        }
        for path in ["/v1/customers", "/v1/contracts", "/v1/plansx", "/v1/api-keys", "/v1/price-overrides"] {
            assert!(!may(Method::GET, path), "{path}");
        }
        assert!(!may(Method::PATCH, "/v1/subscriptions/{id}") && !may(Method::POST, "/v1/subscriptions/{id}/cancel"));
    }
}
