//! `/v1/contracts`: where the money lives.

use altyn_domain::id::ContractId;
use altyn_service::{
    contracts::{ContractFilter, ContractView, CreateContract, UpdateContract},
    page::{Listed, Page},
    rehearsal::ActionPreview,
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(create_preview)).routes(routes!(list, create)).routes(routes!(get, update))
}

impl Resource for ContractView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/contracts/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Creates a contract.
///
/// Between a customer and a seller, with a currency and a balance of its own. A customer's imported opening balance is
/// posted to its first contract.
#[utoipa::path(post, path = "/v1/contracts", operation_id = "contract_create", tag = "contracts",
    request_body(content = CreateContract, example = json!({
        "customer_id": "cus_0190a5d0c0de7000800000000000002a", "seller_id": "sel_0190a5d0c0de7000800000000000002a",
        "number": "Д-2026/001", "kind": "prepaid" })),
    responses((status = 201, description = "The contract", body = ContractView)))]
async fn create(
    App(altyn): App,
    Command { request, command }: Command<CreateContract>,
) -> Result<Answer<ContractView>, Problem> {
    Ok(Answer(altyn.contract_create(&request, command).await?))
}

/// Lists the contracts.
///
/// With their balances, oldest first.
#[utoipa::path(get, path = "/v1/contracts", operation_id = "contract_list", tag = "contracts",
    params(Page, ContractFilter), responses((status = 200, description = "A page of contracts", body = Listed<ContractView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<ContractFilter>,
) -> Result<Json<Listed<ContractView>>, Problem> {
    Ok(Json(altyn.contract_list(&request, filter, &page).await?))
}

/// Reads a contract.
///
/// With its balance; its `ETag` is its version, which a posting does not change.
#[utoipa::path(get, path = "/v1/contracts/{id}", operation_id = "contract_get", tag = "contracts",
    params(("id" = ContractId, Path, description = "The contract")),
    responses((status = 200, description = "The contract", body = ContractView)))]
async fn get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ContractId>,
) -> Result<Found<ContractView>, Problem> {
    Ok(Found(altyn.contract_get(&request, id).await?))
}

/// Changes a contract.
///
/// What is absent stays; parties, number and currency never change. Another zone holds for a subscription that has begun from
/// its next period that is not charged.
#[utoipa::path(patch, path = "/v1/contracts/{id}", operation_id = "contract_update", tag = "contracts",
    params(("id" = ContractId, Path, description = "The contract")),
    request_body(content = UpdateContract, example = json!({ "credit_limit_minor": 500_000 })),
    responses((status = 200, description = "The changed contract", body = ContractView)))]
async fn update(
    App(altyn): App,
    At(id): At<ContractId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<UpdateContract>,
) -> Result<Answer<ContractView>, Problem> {
    Ok(Answer(altyn.contract_update(&request, id, version, command).await?))
}

/// Shows what creating a contract would do.
///
/// With the opening balance that would be posted to it; nothing is written.
#[utoipa::path(post, path = "/v1/contracts/preview", operation_id = "contract_create_preview",
    tag = "contracts",
    request_body(content = CreateContract, example = json!({
        "customer_id": "cus_0190a5d0c0de7000800000000000002a", "seller_id": "sel_0190a5d0c0de7000800000000000002a",
        "number": "Д-2026/001", "kind": "prepaid" })),
    responses((status = 200, description = "What it would do", body = ActionPreview<ContractView>)))]
async fn create_preview(
    App(altyn): App,
    Command { request, command }: Command<CreateContract>,
) -> Result<Json<ActionPreview<ContractView>>, Problem> {
    Ok(Json(altyn.contract_create_preview(&request, command).await?))
}
