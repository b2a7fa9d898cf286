//! `/v1/runs`: closing a day, the plans of its contracts, and the decisions about them.

use altyn_domain::id::{ContractId, RunId};
use altyn_service::{
    page::{Listed, Page},
    runs::{
        ApprovalPolicyView, AssignPlan, ConfirmPlan, ConfirmPlans, ParkedFilter, ParkedView, PlanFilter, PlanView,
        RejectPlan, RunView, SetApprovalPolicy, StartRun, WithheldView,
    },
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Order, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list, start))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(resume))
        .routes(routes!(confirm_all))
        .routes(routes!(plans))
        .routes(routes!(withheld))
        .routes(routes!(plan))
        .routes(routes!(confirm))
        .routes(routes!(reject))
        .routes(routes!(retry))
        .routes(routes!(assign))
        .routes(routes!(parked))
        .routes(routes!(approval_get, approval_set))
}

impl Resource for RunView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/runs/{}", self.id))
    }
}

impl Resource for PlanView {}

impl Resource for ApprovalPolicyView {
    fn location(&self) -> Option<String> {
        Some("/v1/approval-policy".to_owned())
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Starts a run.
///
/// Closes one day of the tenant; days are closed in order and once. Work begins when a host claims the run's job.
#[utoipa::path(post, path = "/v1/runs", operation_id = "run_start", tag = "runs",
    request_body(content = StartRun, example = json!({ "business_on": "2026-11-01", "mode": "with-confirmation" })),
    responses((status = 201, description = "The run", body = RunView)))]
async fn start(App(altyn): App, Command { request, command }: Command<StartRun>) -> Result<Answer<RunView>, Problem> {
    Ok(Answer(altyn.run_start(&request, command).await?))
}

/// Lists the runs.
///
/// With their reports, oldest first.
#[utoipa::path(get, path = "/v1/runs", operation_id = "run_list", tag = "runs",
    params(Page), responses((status = 200, description = "A page of runs", body = Listed<RunView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<RunView>>, Problem> {
    Ok(Json(altyn.run_list(&request, &page).await?))
}

/// Reads a run.
///
/// Its state and its report, which is the same in every mode.
#[utoipa::path(get, path = "/v1/runs/{id}", operation_id = "run_get", tag = "runs",
    params(("id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<RunId>) -> Result<Found<RunView>, Problem> {
    Ok(Found(altyn.run_get(&request, id).await?))
}

/// Stops a run.
///
/// Behind the chunk it works on; what is billed stays billed.
#[utoipa::path(post, path = "/v1/runs/{id}/cancel", operation_id = "run_cancel", tag = "runs",
    params(("id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunView)))]
async fn cancel(App(altyn): App, At(id): At<RunId>, Order(request): Order) -> Result<Answer<RunView>, Problem> {
    Ok(Answer(altyn.run_cancel(&request, id).await?))
}

/// Goes on with a run that stopped.
///
/// A host takes it up from its checkpoint. Nothing is billed twice.
#[utoipa::path(post, path = "/v1/runs/{id}/resume", operation_id = "run_resume", tag = "runs",
    params(("id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunView)))]
async fn resume(App(altyn): App, At(id): At<RunId>, Order(request): Order) -> Result<Answer<RunView>, Problem> {
    Ok(Answer(altyn.run_resume(&request, id).await?))
}

/// Confirms the awaiting plans of a run.
///
/// All of them, or those that every given bound leaves: up to a gross amount, of a group, a sales channel, a seller, a plan,
/// a product, or of contracts by their ids. A plan that no longer holds is computed again and waits.
#[utoipa::path(post, path = "/v1/runs/{id}/confirm", operation_id = "run_confirm_all", tag = "runs",
    params(("id" = RunId, Path, description = "The run")),
    request_body(content = ConfirmPlans, example = json!({ "largest_gross_minor": 1_000_000 })),
    responses((status = 200, description = "The run", body = RunView)))]
async fn confirm_all(
    App(altyn): App,
    At(id): At<RunId>,
    Command { request, command }: Command<ConfirmPlans>,
) -> Result<Answer<RunView>, Problem> {
    Ok(Answer(altyn.run_confirm_all(&request, id, command).await?))
}

/// Lists the plans of a run.
///
/// One a contract, in contract order, without their effects; all of them, or those of a state, a group, a sales channel, a
/// seller, a plan or a product. One that awaits a decision and was computed from what is another now is `superseded`.
#[utoipa::path(get, path = "/v1/runs/{id}/plans", operation_id = "run_plan_list", tag = "runs",
    params(("id" = RunId, Path, description = "The run"), Page, PlanFilter),
    responses((status = 200, description = "A page of plans", body = Listed<PlanView>)))]
async fn plans(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<RunId>,
    Paged(page): Paged,
    Filter(filter): Filter<PlanFilter>,
) -> Result<Json<Listed<PlanView>>, Problem> {
    Ok(Json(altyn.run_plans(&request, id, filter, &page).await?))
}

/// Lists what a run did not renew.
///
/// Subscriptions whose period waits for money or is skipped, each with what was needed and what was there.
#[utoipa::path(get, path = "/v1/runs/{id}/withheld", operation_id = "run_withheld_list", tag = "runs",
    params(("id" = RunId, Path, description = "The run"), Page),
    responses((status = 200, description = "A page of periods", body = Listed<WithheldView>)))]
async fn withheld(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<RunId>,
    Paged(page): Paged,
) -> Result<Json<Listed<WithheldView>>, Problem> {
    Ok(Json(altyn.run_withheld(&request, id, &page).await?))
}

/// Reads a contract's plan.
///
/// With its effects while it awaits a decision, and the hash that confirming it carries.
#[utoipa::path(get, path = "/v1/runs/{id}/plans/{contract_id}", operation_id = "run_plan_get", tag = "runs",
    params(("id" = RunId, Path, description = "The run"), ("contract_id" = ContractId, Path, description = "The contract")),
    responses((status = 200, description = "The plan", body = PlanView)))]
async fn plan(
    App(altyn): App,
    Caller { request }: Caller,
    At((id, contract)): At<(RunId, ContractId)>,
) -> Result<Found<PlanView>, Problem> {
    Ok(Found(altyn.run_plan(&request, id, contract).await?))
}

/// Confirms a contract's plan.
///
/// By the hash that was seen. A plan of stage `changes` makes scheduled changes; the contract's day is planned behind them and
/// awaits a decision of its own. When the plan changed since, nothing is billed and the answer is 409 with the differences.
/// Where two must confirm, the plan waits on with `confirmed_by` until another key does the same.
#[utoipa::path(post, path = "/v1/runs/{id}/plans/{contract_id}/confirm", operation_id = "run_plan_confirm", tag = "runs",
    params(("id" = RunId, Path, description = "The run"), ("contract_id" = ContractId, Path, description = "The contract")),
    request_body(content = ConfirmPlan, example = json!({
        "plan_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    })),
    responses((status = 200, description = "The approved plan", body = PlanView)))]
async fn confirm(
    App(altyn): App,
    At((id, contract)): At<(RunId, ContractId)>,
    Command { request, command }: Command<ConfirmPlan>,
) -> Result<Answer<PlanView>, Problem> {
    Ok(Answer(altyn.run_confirm(&request, id, contract, command).await?))
}

/// Rejects a contract's plan.
///
/// The contract is not billed in this run; its numbers leave no gap.
#[utoipa::path(post, path = "/v1/runs/{id}/plans/{contract_id}/reject", operation_id = "run_plan_reject", tag = "runs",
    params(("id" = RunId, Path, description = "The run"), ("contract_id" = ContractId, Path, description = "The contract")),
    request_body(content = RejectPlan, example = json!({ "reason": "the customer moved out" })),
    responses((status = 200, description = "The rejected plan", body = PlanView)))]
async fn reject(
    App(altyn): App,
    At((id, contract)): At<(RunId, ContractId)>,
    Command { request, command }: Command<RejectPlan>,
) -> Result<Answer<PlanView>, Problem> {
    Ok(Answer(altyn.run_reject(&request, id, contract, command).await?))
}

/// Computes a contract again.
///
/// One that is parked, rejected or superseded: executed in an automatic run, proposed in the other, the scheduled changes
/// whose day has come first.
#[utoipa::path(post, path = "/v1/runs/{id}/plans/{contract_id}/retry", operation_id = "run_plan_retry", tag = "runs",
    params(("id" = RunId, Path, description = "The run"), ("contract_id" = ContractId, Path, description = "The contract")),
    responses((status = 200, description = "The plan", body = PlanView)))]
async fn retry(
    App(altyn): App,
    At((id, contract)): At<(RunId, ContractId)>,
    Order(request): Order,
) -> Result<Answer<PlanView>, Problem> {
    Ok(Answer(altyn.run_retry(&request, id, contract).await?))
}

/// Assigns a parked contract.
///
/// To whoever cares for it from now on, or to nobody.
#[utoipa::path(post, path = "/v1/runs/{id}/plans/{contract_id}/assign", operation_id = "run_plan_assign", tag = "runs",
    params(("id" = RunId, Path, description = "The run"), ("contract_id" = ContractId, Path, description = "The contract")),
    request_body(content = AssignPlan, example = json!({ "owner": "m.orlova" })),
    responses((status = 200, description = "The parked plan", body = PlanView)))]
async fn assign(
    App(altyn): App,
    At((id, contract)): At<(RunId, ContractId)>,
    Command { request, command }: Command<AssignPlan>,
) -> Result<Answer<PlanView>, Problem> {
    Ok(Answer(altyn.run_assign(&request, id, contract, command).await?))
}

/// Lists the parked contracts.
///
/// Of all runs: those for which the latest run that had something to do could not do it, by contract.
#[utoipa::path(get, path = "/v1/parked-contracts", operation_id = "parked_contract_list", tag = "runs",
    params(Page, ParkedFilter), responses((status = 200, description = "A page of contracts", body = Listed<ParkedView>)))]
async fn parked(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<ParkedFilter>,
) -> Result<Json<Listed<ParkedView>>, Problem> {
    Ok(Json(altyn.parked_list(&request, filter, &page).await?))
}

/// Reads the rules for agreeing to plans.
///
/// Its `ETag` is its version, 0 while nothing was set.
#[utoipa::path(get, path = "/v1/approval-policy", operation_id = "approval_policy_get", tag = "runs",
    responses((status = 200, description = "The rules", body = ApprovalPolicyView)))]
async fn approval_get(App(altyn): App, Caller { request }: Caller) -> Result<Found<ApprovalPolicyView>, Problem> {
    Ok(Found(altyn.approval_policy_get(&request).await?))
}

/// Replaces the rules for agreeing to plans.
///
/// Which plans are approved by themselves, and whether two must confirm the others; what is absent is off.
#[utoipa::path(put, path = "/v1/approval-policy", operation_id = "approval_policy_set", tag = "runs",
    request_body(content = SetApprovalPolicy, example = json!({
        "four_eyes": true, "largest_gross_minor": 500_000, "largest_change_percent": "10" })),
    responses((status = 200, description = "The rules", body = ApprovalPolicyView)))]
async fn approval_set(
    App(altyn): App,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<SetApprovalPolicy>,
) -> Result<Answer<ApprovalPolicyView>, Problem> {
    Ok(Answer(altyn.approval_policy_set(&request, version, command).await?))
}
