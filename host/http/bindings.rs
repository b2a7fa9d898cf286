//! `/v1/bindings`: which component decides at which extension point of a tenant, and from when.

use altyn_domain::id::BindingId;
use altyn_service::{
    bindings::{
        BindingView, ChangeView, CreateBinding, DecidingView, InheritedView, NarrowBinding, ShareBinding,
        UpgradeBinding,
    },
    explain::{ShadowCandidate, ShadowOptions, ShadowReport},
    page::{Listed, Page},
    runs::{NextRunOptions, NextRunReport},
};
use axum::{Json, extract::DefaultBodyLimit};
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Order, Resource, Upload},
    page::{At, Filter, Paged},
    plugins::{Manifest, WASM},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, end))
        .routes(routes!(upgrade))
        .routes(routes!(rollback))
        .routes(routes!(share))
        .routes(routes!(narrow))
        .routes(routes!(history))
        .routes(routes!(deciding))
}

/// Shadow runs, which take as long as the history is, or the run; `largest` is the size of the largest component, bytes.
pub fn shadow(largest: usize) -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(shadow_run))
        .routes(routes!(shadow_next_run))
        .layer(DefaultBodyLimit::max(largest))
}

impl Resource for BindingView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/bindings/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Binds a component.
///
/// The component's world names the extension point; from `effective_from` on, this binding decides there.
#[utoipa::path(post, path = "/v1/bindings", operation_id = "binding_create", tag = "bindings",
    request_body(content = CreateBinding, example = json!({
        "component": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "config": { "template": "СЧ-{year}-{seq:6}" }, "effective_from": "2026-11-01",
    })),
    responses((status = 201, description = "The binding", body = BindingView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateBinding>,
) -> Result<Answer<BindingView>, Problem> {
    Ok(Answer(altyn.binding_create(&request, command).await?))
}

/// Lists the bindings.
///
/// Ended ones included, oldest first.
#[utoipa::path(get, path = "/v1/bindings", operation_id = "binding_list", tag = "bindings",
    params(Page), responses((status = 200, description = "A page of bindings", body = Listed<BindingView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<BindingView>>, Problem> {
    Ok(Json(altyn.binding_list(&request, &page).await?))
}

/// Reads a binding.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/bindings/{id}", operation_id = "binding_get", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The binding", body = BindingView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<BindingId>,
) -> Result<Found<BindingView>, Problem> {
    Ok(Found(altyn.binding_get(&request, id).await?))
}

/// Ends a binding.
///
/// It decides nothing more; what it decided stays explained.
#[utoipa::path(delete, path = "/v1/bindings/{id}", operation_id = "binding_end", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The ended binding", body = BindingView)))]
async fn end(
    App(altyn): App,
    At(id): At<BindingId>,
    IfMatch(version): IfMatch,
    Order(request): Order,
) -> Result<Answer<BindingView>, Problem> {
    Ok(Answer(altyn.binding_end(&request, id, version).await?))
}

impl Resource for InheritedView {}

/// Gives a binding another component.
///
/// Of the same world, with the same or another configuration; what it was stays in its history. Where proration or tax is
/// decided, subscriptions that were started before stay on the component and configuration that they have, until they are
/// migrated; `"existing": "migrate"` takes all of them along, and the answer's `staying` tells how many stay on what. Another
/// numbering scheme numbers all documents from the next on, and a payment keeps its gateway. A component that asks for
/// what no operator has decided about is refused with `consent-required`.
#[utoipa::path(post, path = "/v1/bindings/{id}/upgrade", operation_id = "binding_upgrade", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    request_body(content = UpgradeBinding, example = json!({
        "component": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "existing": "stay",
    })),
    responses((status = 200, description = "The binding", body = BindingView)))]
async fn upgrade(
    App(altyn): App,
    At(id): At<BindingId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<UpgradeBinding>,
) -> Result<Answer<BindingView>, Problem> {
    Ok(Answer(altyn.binding_upgrade(&request, id, version, command).await?))
}

/// Rolls a binding back.
///
/// To the component and the configuration it had before what it has now. Subscriptions stay on what they stayed on before the
/// upgrade that is undone; those that were started since go back with it.
#[utoipa::path(post, path = "/v1/bindings/{id}/rollback", operation_id = "binding_rollback", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    responses((status = 200, description = "The binding", body = BindingView)))]
async fn rollback(
    App(altyn): App,
    At(id): At<BindingId>,
    IfMatch(version): IfMatch,
    Order(request): Order,
) -> Result<Answer<BindingView>, Problem> {
    Ok(Answer(altyn.binding_rollback(&request, id, version).await?))
}

/// Shares a binding with the tenants below.
///
/// `optional` for whoever has none of its own, `required` for everybody, `none` for the owner alone; with limits for all.
/// A gateway is not shared.
#[utoipa::path(post, path = "/v1/bindings/{id}/share", operation_id = "binding_share", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding")),
    request_body(content = ShareBinding, example = json!({ "inheritance": "optional", "limits": { "fuel": 1_000_000 } })),
    responses((status = 200, description = "The binding", body = BindingView)))]
async fn share(
    App(altyn): App,
    At(id): At<BindingId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<ShareBinding>,
) -> Result<Answer<BindingView>, Problem> {
    Ok(Answer(altyn.binding_share(&request, id, version, command).await?))
}

/// Narrows a binding from above.
///
/// Lowers its limits for the acting tenant and those below it, or does without it from a day on. Nothing widens it.
#[utoipa::path(post, path = "/v1/bindings/{id}/narrow", operation_id = "binding_narrow", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding of a tenant above")),
    request_body(content = NarrowBinding, example = json!({ "limits": { "wall_ms": 500 } })),
    responses((status = 200, description = "What the tenant has from above", body = InheritedView)))]
async fn narrow(
    App(altyn): App,
    At(id): At<BindingId>,
    Command { request, command }: Command<NarrowBinding>,
) -> Result<Answer<InheritedView>, Problem> {
    Ok(Answer(altyn.binding_narrow(&request, id, command).await?))
}

/// Lists the changes of a binding.
///
/// Each component and configuration it had, oldest first.
#[utoipa::path(get, path = "/v1/bindings/{id}/history", operation_id = "binding_history", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding"), Page),
    responses((status = 200, description = "A page of changes", body = Listed<ChangeView>)))]
async fn history(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<BindingId>,
    Paged(page): Paged,
) -> Result<Json<Listed<ChangeView>>, Problem> {
    Ok(Json(altyn.binding_history(&request, id, &page).await?))
}

/// On which day.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DayQuery {
    /// The business date.
    on: NaiveDate,
}

/// Tells what decides.
///
/// The binding of each extension point on a business date: the tenant's own, or one from above. Gateways are not among them:
/// a payment names its own.
#[utoipa::path(get, path = "/v1/extension-points", operation_id = "binding_deciding", tag = "bindings",
    params(DayQuery), responses((status = 200, description = "Each extension point", body = Vec<DecidingView>)))]
async fn deciding(
    App(altyn): App,
    Caller { request }: Caller,
    Filter(query): Filter<DayQuery>,
) -> Result<Json<Vec<DecidingView>>, Problem> {
    Ok(Json(altyn.binding_deciding(&request, query.on).await?))
}

/// Runs a candidate in the shadow.
///
/// The body is a component's bytes. It is asked everything the binding's component was asked for the business days from
/// `from` until before `until`; the answer tells what it would have decided otherwise, in money. The binding may be one from
/// above; the history is the acting tenant's. A candidate that is not installed brings its signed manifest, as an installation
/// would need it. Nothing is kept, so it needs no idempotency key. Of a gateway, the exchanges that began on these days of the
/// tenant's zone are had again step by step, payment by payment; nothing is sent.
#[utoipa::path(post, path = "/v1/bindings/{id}/shadow", operation_id = "binding_shadow", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding"), ShadowOptions,
        ("Altyn-Manifest" = Option<String>, Header, description = "The signed manifest, JSON in one line")),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component"),
    responses((status = 200, description = "What would have been decided otherwise", body = ShadowReport)))]
async fn shadow_run(
    App(altyn): App,
    At(id): At<BindingId>,
    Filter(options): Filter<ShadowOptions>,
    Manifest(manifest): Manifest,
    upload: Upload,
) -> Result<Json<ShadowReport>, Problem> {
    let Upload { request, bytes, .. } = upload.expect(WASM)?;
    let candidate = ShadowCandidate { wasm: bytes.into(), manifest };
    Ok(Json(altyn.shadow(&request, id, candidate, options, |_| {}).await?))
}

/// Rehearses the next run.
///
/// The body is a component's bytes. The plans of the next billing run, or of the one that closes the day `on`, are computed by the
/// binding's component and by this one; the answer tells what differs in money, contract by contract, the largest difference
/// first. Nothing is saved, so it needs no idempotency key. A candidate that is not installed brings its signed manifest.
#[utoipa::path(post, path = "/v1/bindings/{id}/shadow-next-run", operation_id = "binding_shadow_next_run", tag = "bindings",
    params(("id" = BindingId, Path, description = "The binding"), NextRunOptions,
        ("Altyn-Manifest" = Option<String>, Header, description = "The signed manifest, JSON in one line")),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component"),
    responses((status = 200, description = "What the next run would do otherwise", body = NextRunReport)))]
async fn shadow_next_run(
    App(altyn): App,
    At(id): At<BindingId>,
    Filter(options): Filter<NextRunOptions>,
    Manifest(manifest): Manifest,
    upload: Upload,
) -> Result<Json<NextRunReport>, Problem> {
    let Upload { request, bytes, .. } = upload.expect(WASM)?;
    let candidate = ShadowCandidate { wasm: bytes.into(), manifest };
    Ok(Json(altyn.shadow_next_run(&request, id, candidate, options, |_| {}).await?))
}
