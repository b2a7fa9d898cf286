//! `/v1/plugins`: components of the platform, installed as bytes and known by their digest.

use altyn_domain::manifest::SignedManifest;
use altyn_service::{
    declared::{AppliedReport, ApplyPlugins},
    forms::FormView,
    grants::CapabilitiesView,
    install::{ExaminationView, InspectionView, InstallPlugin, read_manifest},
    page::{Listed, Page},
    plugins::ComponentView,
    usage::{UsageFilter, UsageView},
};
use axum::{
    Json,
    extract::{DefaultBodyLimit, FromRequestParts},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, MANIFEST, Resource, Upload},
    page::{At, Filter, Paged},
};

pub(super) const WASM: &str = "application/wasm";

/// The routes of this file; `largest` is the size of the largest component that is taken, bytes.
pub fn routes(largest: usize) -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list, install))
        .routes(routes!(inspect))
        .routes(routes!(usage))
        .routes(routes!(get))
        .routes(routes!(form))
        .routes(routes!(capabilities))
        .routes(routes!(apply))
        .layer(DefaultBodyLimit::max(largest))
}

impl Resource for ComponentView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/plugins/{}", self.digest))
    }
}

/// The signed manifest in the header, if there is one.
pub(super) struct Manifest(pub(super) Option<SignedManifest>);

impl<S: Send + Sync> FromRequestParts<S> for Manifest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(MANIFEST) else { return Ok(Self(None)) };
        Ok(Self(Some(read_manifest(value.to_str().unwrap_or_default())?)))
    }
}

/// How a component is installed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InstallQuery {
    /// Installs it although a newer version is there; this is recorded.
    #[serde(default)]
    #[param(required = false)]
    allow_downgrade: bool,
}

/// Installs a component.
///
/// The body is the component's bytes, at most as many as the limits of components allow. It is checked, compiled, compared with its signed manifest and asked who
/// it is; the same bytes are installed once and then answer 200. A root tenant's administrator does this for the platform.
#[utoipa::path(post, path = "/v1/plugins", operation_id = "plugin_install", tag = "plugins",
    params(InstallQuery, ("Altyn-Manifest" = Option<String>, Header,
        description = "The signed manifest, JSON in one line as `altyn plugin sign` writes it")),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component"),
    responses((status = 201, description = "The component, installed now", body = ComponentView),
        (status = 200, description = "The component, installed before", body = ComponentView)))]
async fn install(
    App(altyn): App,
    Filter(query): Filter<InstallQuery>,
    Manifest(manifest): Manifest,
    upload: Upload,
) -> Result<Answer<ComponentView>, Problem> {
    let Upload { request, bytes, .. } = upload.expect(WASM)?;
    let command = InstallPlugin { wasm: bytes.into(), manifest, allow_downgrade: query.allow_downgrade };
    Ok(Answer(altyn.plugin_install_signed(&request, command).await?))
}

/// How far a component is looked into.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InspectQuery {
    /// Stops before anything of the component runs: what its bytes and its manifest say.
    #[serde(default, rename = "static")]
    #[param(required = false, rename = "static")]
    only_static: bool,
}

/// What is known of a component that is not installed: what it says about itself, or what its bytes say.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
enum InspectedView {
    Asked(Box<InspectionView>),
    Read(Box<ExaminationView>),
}

/// Looks into a component.
///
/// The body is the component's bytes; nothing is kept. Answers what it is, what it asks for and what its publisher signed. With
/// `static` nothing of it runs: its world, imports, exports, digest and signature.
#[utoipa::path(post, path = "/v1/plugins/inspect", operation_id = "plugin_inspect", tag = "plugins",
    params(InspectQuery, ("Altyn-Manifest" = Option<String>, Header, description = "The signed manifest, JSON in one line")),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component"),
    responses((status = 200, description = "What the component says about itself", body = InspectedView)))]
async fn inspect(
    App(altyn): App,
    Filter(query): Filter<InspectQuery>,
    Manifest(manifest): Manifest,
    upload: Upload,
) -> Result<Json<InspectedView>, Problem> {
    let Upload { bytes, .. } = upload.expect(WASM)?;
    Ok(Json(if query.only_static {
        InspectedView::Read(Box::new(altyn.plugin_examine(bytes.into(), manifest).await?))
    } else {
        InspectedView::Asked(Box::new(altyn.plugin_inspect(bytes.into(), manifest).await?))
    }))
}

/// Lists the installed components.
///
/// In the order of their digests.
#[utoipa::path(get, path = "/v1/plugins", operation_id = "plugin_list", tag = "plugins",
    params(Page), responses((status = 200, description = "A page of components", body = Listed<ComponentView>)))]
async fn list(App(altyn): App, Paged(page): Paged) -> Result<Json<Listed<ComponentView>>, Problem> {
    Ok(Json(altyn.plugin_list(&page).await?))
}

/// Reports what plugin calls took.
///
/// By component and purpose, summed over the days from `from` until before `until`; of the acting tenant.
#[utoipa::path(get, path = "/v1/plugins/usage", operation_id = "plugin_usage", tag = "plugins",
    params(UsageFilter, Page), responses((status = 200, description = "A page of usage", body = Listed<UsageView>)))]
async fn usage(
    App(altyn): App,
    Caller { request }: Caller,
    Filter(filter): Filter<UsageFilter>,
    Paged(page): Paged,
) -> Result<Json<Listed<UsageView>>, Problem> {
    Ok(Json(altyn.usage_report(&request, &filter, &page).await?))
}

/// Reads an installed component.
///
/// Without its bytes.
#[utoipa::path(get, path = "/v1/plugins/{digest}", operation_id = "plugin_get", tag = "plugins",
    params(("digest" = String, Path, description = "SHA-256 of the component, 64 hexadecimal digits")),
    responses((status = 200, description = "The component", body = ComponentView)))]
async fn get(App(altyn): App, At(digest): At<String>) -> Result<Found<ComponentView>, Problem> {
    Ok(Found(altyn.plugin_get(&digest).await?))
}

/// Draws the form of a component's configuration.
///
/// The fields that follow from its schema, a group before its own.
#[utoipa::path(get, path = "/v1/plugins/{digest}/form", operation_id = "plugin_form", tag = "plugins",
    params(("digest" = String, Path, description = "SHA-256 of the component, 64 hexadecimal digits")),
    responses((status = 200, description = "The form", body = FormView)))]
async fn form(App(altyn): App, At(digest): At<String>) -> Result<Json<FormView>, Problem> {
    Ok(Json(altyn.plugin_form(&digest).await?))
}

/// Tells what a component may do for the tenant.
///
/// What it asks for, what of that is granted from the root of the tree down to the tenant, and what nobody has decided about.
#[utoipa::path(get, path = "/v1/plugins/{digest}/capabilities", operation_id = "plugin_capabilities", tag = "plugins",
    params(("digest" = String, Path, description = "SHA-256 of the component, 64 hexadecimal digits")),
    responses((status = 200, description = "Asked, granted and undecided", body = CapabilitiesView)))]
async fn capabilities(
    App(altyn): App,
    Caller { request }: Caller,
    At(digest): At<String>,
) -> Result<Json<CapabilitiesView>, Problem> {
    Ok(Json(altyn.plugin_capabilities(&request, &digest).await?))
}

impl Resource for AppliedReport {}

/// Applies a declaration.
///
/// Brings publishers, grants and bindings into force, entry by entry; components were installed before and are named by their
/// digest. A binding is known by its tenant, extension point, date and priority. What is there already is `unchanged`, so that the
/// same declaration may be sent again and again. The first entry that is refused ends it, and what came before stays.
#[utoipa::path(post, path = "/v1/plugins/apply", operation_id = "plugin_apply", tag = "plugins",
    request_body(content = ApplyPlugins, example = json!({
        "plugins": [{ "component": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "grant": { "limits": { "wall_ms": 900 } } }],
        "bindings": [{ "plugin": "ru-vat", "from": "2026-11-01", "config": { "regime": "general" } }],
    })),
    responses((status = 200, description = "What was done about each entry", body = AppliedReport)))]
async fn apply(
    App(altyn): App,
    Command { request, command }: Command<ApplyPlugins>,
) -> Result<Answer<AppliedReport>, Problem> {
    Ok(Answer(altyn.plugins_declare(&request, command).await?))
}
