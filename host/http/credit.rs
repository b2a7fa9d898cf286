//! Credit: policies of levels, where contracts stand among others, what they may spend, and transfers between them.

use altyn_domain::id::{ContractId, CreditPolicyId};
use altyn_service::{
    credit::{
        ContractControlView, ContractCreditView, CreateCreditPolicy, CreditAllowance, CreditPolicyView,
        SetContractControl,
    },
    funds::TransferFunds,
    ledger::TransactionView,
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
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(policy_list, policy_create))
        .routes(routes!(policy_get, policy_replace))
        .routes(routes!(control_get, control_set))
        .routes(routes!(credit))
        .routes(routes!(transfer_preview))
        .routes(routes!(transfer))
}

impl Resource for CreditPolicyView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/credit-policies/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

impl Resource for ContractControlView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/contracts/{}/control", self.contract_id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Creates a credit policy.
///
/// What the tenant, a sales channel or a group allows in a currency: the limit of debt, and promised payments.
#[utoipa::path(post, path = "/v1/credit-policies", operation_id = "credit_policy_create", tag = "credit",
    request_body(content = CreateCreditPolicy, example = json!({
        "scope": "tenant", "allowed": { "credit_limit_minor": 0, "promise_most_minor": 50_000, "promise_days": 5 } })),
    responses((status = 201, description = "The policy", body = CreditPolicyView)))]
async fn policy_create(
    App(altyn): App,
    Command { request, command }: Command<CreateCreditPolicy>,
) -> Result<Answer<CreditPolicyView>, Problem> {
    Ok(Answer(altyn.credit_policy_create(&request, command).await?))
}

/// Lists the credit policies.
///
/// Of all levels, oldest first.
#[utoipa::path(get, path = "/v1/credit-policies", operation_id = "credit_policy_list", tag = "credit", params(Page),
    responses((status = 200, description = "A page of policies", body = Listed<CreditPolicyView>)))]
async fn policy_list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<CreditPolicyView>>, Problem> {
    Ok(Json(altyn.credit_policy_list(&request, &page).await?))
}

/// Reads a credit policy.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/credit-policies/{id}", operation_id = "credit_policy_get", tag = "credit",
    params(("id" = CreditPolicyId, Path, description = "The policy")),
    responses((status = 200, description = "The policy", body = CreditPolicyView)))]
async fn policy_get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<CreditPolicyId>,
) -> Result<Found<CreditPolicyView>, Problem> {
    Ok(Found(altyn.credit_policy_get(&request, id).await?))
}

/// Replaces what a credit policy allows.
///
/// What is absent is cleared and left to the level above. Blocks follow at the next close of a day.
#[utoipa::path(put, path = "/v1/credit-policies/{id}", operation_id = "credit_policy_replace", tag = "credit",
    params(("id" = CreditPolicyId, Path, description = "The policy")),
    request_body(content = CreditAllowance, example = json!({ "credit_limit_minor": 30_000 })),
    responses((status = 200, description = "The changed policy", body = CreditPolicyView)))]
async fn policy_replace(
    App(altyn): App,
    At(id): At<CreditPolicyId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<CreditAllowance>,
) -> Result<Answer<CreditPolicyView>, Problem> {
    Ok(Answer(altyn.credit_policy_update(&request, id, version, command).await?))
}

/// Reads where a contract stands among others.
///
/// Its group, sales channel, place in a hierarchy and tags; version 0 while nothing was set.
#[utoipa::path(get, path = "/v1/contracts/{id}/control", operation_id = "contract_control_get", tag = "credit",
    params(("id" = ContractId, Path, description = "The contract")),
    responses((status = 200, description = "Where the contract stands", body = ContractControlView)))]
async fn control_get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ContractId>,
) -> Result<Found<ContractControlView>, Problem> {
    Ok(Found(altyn.contract_control_get(&request, id).await?))
}

/// Sets where a contract stands among others.
///
/// What is absent is cleared. Top-ups of a contract flow to the debts of those below it, lowest priority first.
#[utoipa::path(put, path = "/v1/contracts/{id}/control", operation_id = "contract_control_set", tag = "credit",
    params(("id" = ContractId, Path, description = "The contract")),
    request_body(content = SetContractControl, example = json!({ "tags": ["vip"] })),
    responses((status = 200, description = "Where the contract stands now", body = ContractControlView)))]
async fn control_set(
    App(altyn): App,
    At(id): At<ContractId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<SetContractControl>,
) -> Result<Answer<ContractControlView>, Problem> {
    Ok(Answer(altyn.contract_control_set(&request, id, version, command).await?))
}

/// Reads what a contract may spend.
///
/// Balance, promised payments, the limit with the level it comes from, and what is reserved.
#[utoipa::path(get, path = "/v1/contracts/{id}/credit", operation_id = "contract_credit", tag = "credit",
    params(("id" = ContractId, Path, description = "The contract")),
    responses((status = 200, description = "What it may spend", body = ContractCreditView)))]
async fn credit(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ContractId>,
) -> Result<Json<ContractCreditView>, Problem> {
    Ok(Json(altyn.contract_credit(&request, id).await?))
}

/// Transfers money between contracts.
///
/// Of one customer or of one hierarchy and in one currency; never more than the money that is there and not reserved.
#[utoipa::path(post, path = "/v1/transfers", operation_id = "contract_transfer", tag = "credit",
    request_body(content = TransferFunds, example = json!({
        "source_key": "move-17", "from_contract_id": "ctr_0190a5d0c0de7000800000000000002a",
        "to_contract_id": "ctr_0190a5d0c0de7000800000000000002b", "amount_minor": 20_000, "description": "переезд" })),
    responses((status = 201, description = "The transaction", body = TransactionView)))]
async fn transfer(
    App(altyn): App,
    Command { request, command }: Command<TransferFunds>,
) -> Result<Answer<TransactionView>, Problem> {
    Ok(Answer(altyn.contract_transfer(&request, command).await?))
}

/// Shows what a transfer between contracts would do.
///
/// The very answer, and every posting with what follows from it, as they would be now; nothing is written.
#[utoipa::path(post, path = "/v1/transfers/preview", operation_id = "contract_transfer_preview",
    tag = "credit",
    request_body(content = TransferFunds, example = json!({
        "source_key": "move-17", "from_contract_id": "ctr_0190a5d0c0de7000800000000000002a",
        "to_contract_id": "ctr_0190a5d0c0de7000800000000000002b", "amount_minor": 20_000, "description": "переезд" })),
    responses((status = 200, description = "What it would do", body = ActionPreview<TransactionView>)))]
async fn transfer_preview(
    App(altyn): App,
    Command { request, command }: Command<TransferFunds>,
) -> Result<Json<ActionPreview<TransactionView>>, Problem> {
    Ok(Json(altyn.contract_transfer_preview(&request, command).await?))
}
