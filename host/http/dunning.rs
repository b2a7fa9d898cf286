//! Dunning: `/v1/dunning-policies`, `/v1/dunning-cases`, and the steps taken with a contract; recommended amounts.

use altyn_domain::{
    dunning::DunningScope,
    id::{ContractId, DunningPolicyId},
};
use altyn_service::{
    dunning::{DunningCaseView, DunningPolicyView, DunningStepView, SetDunningPolicy},
    page::{Listed, Page},
    recommend::{RecommendFilter, RecommendationView},
};
use axum::Json;
use serde::Deserialize;
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
    OpenApiRouter::default()
        .routes(routes!(policy_list, policy_create))
        .routes(routes!(policy_get, policy_replace))
        .routes(routes!(case_list))
        .routes(routes!(step_list))
        .routes(routes!(recommend))
}

impl Resource for DunningPolicyView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/dunning-policies/{}", self.id))
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Which cases a list holds.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CaseFilter {
    /// What the cases are about; `contract` when absent.
    scope: Option<DunningScope>,
}

/// Sets the rules of dunning.
///
/// One policy a scope: stages with their conditions and effects, the ladder of attempts to collect, suspending tags.
#[utoipa::path(post, path = "/v1/dunning-policies", operation_id = "dunning_policy_create", tag = "dunning",
    request_body(content = SetDunningPolicy, example = json!({ "scope": "contract", "ladder": [1, 3, 5],
        "stages": [{ "code": "reminder", "when": { "days_at_least": 3 }, "notice": "reminder" },
            { "code": "stopped", "when": { "days_at_least": 14, "unpaid_at_least_minor": 10_000 }, "block": "overdue" },
            { "code": "ended", "when": { "days_at_least": 60 }, "block": "overdue", "cancel": "end-of-term" }],
        "suspending_tags": ["court"] })),
    responses((status = 201, description = "The policy", body = DunningPolicyView)))]
async fn policy_create(
    App(altyn): App,
    Command { request, command }: Command<SetDunningPolicy>,
) -> Result<Answer<DunningPolicyView>, Problem> {
    Ok(Answer(altyn.dunning_policy_create(&request, command).await?))
}

/// Lists the rules of dunning.
///
/// At most one policy a scope.
#[utoipa::path(get, path = "/v1/dunning-policies", operation_id = "dunning_policy_list", tag = "dunning",
    responses((status = 200, description = "The policies", body = Listed<DunningPolicyView>)))]
async fn policy_list(App(altyn): App, Caller { request }: Caller) -> Result<Json<Listed<DunningPolicyView>>, Problem> {
    Ok(Json(altyn.dunning_policy_list(&request).await?))
}

/// Reads the rules of a scope.
///
/// Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/dunning-policies/{id}", operation_id = "dunning_policy_get", tag = "dunning",
    params(("id" = DunningPolicyId, Path, description = "The policy")),
    responses((status = 200, description = "The policy", body = DunningPolicyView)))]
async fn policy_get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<DunningPolicyId>,
) -> Result<Found<DunningPolicyView>, Problem> {
    Ok(Found(altyn.dunning_policy_get(&request, id).await?))
}

/// Replaces the rules of a scope.
///
/// Cases follow when they are looked at next: after a day is closed, or when money arrives.
#[utoipa::path(put, path = "/v1/dunning-policies/{id}", operation_id = "dunning_policy_replace", tag = "dunning",
    params(("id" = DunningPolicyId, Path, description = "The policy")),
    request_body(content = SetDunningPolicy, example = json!({ "scope": "contract",
        "stages": [{ "code": "reminder", "when": { "days_at_least": 5 }, "notice": "reminder" }] })),
    responses((status = 200, description = "The changed policy", body = DunningPolicyView)))]
async fn policy_replace(
    App(altyn): App,
    At(id): At<DunningPolicyId>,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<SetDunningPolicy>,
) -> Result<Answer<DunningPolicyView>, Problem> {
    Ok(Answer(altyn.dunning_policy_replace(&request, id, version, command).await?))
}

/// Lists the cases of debtors.
///
/// Each with its stage, what is unpaid and since when, and the next attempt to collect.
#[utoipa::path(get, path = "/v1/dunning-cases", operation_id = "dunning_case_list", tag = "dunning",
    params(Page, CaseFilter), responses((status = 200, description = "A page of cases", body = Listed<DunningCaseView>)))]
async fn case_list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<CaseFilter>,
) -> Result<Json<Listed<DunningCaseView>>, Problem> {
    let scope = filter.scope.unwrap_or(DunningScope::Contract);
    Ok(Json(altyn.dunning_case_list(&request, scope, &page).await?))
}

/// Lists the steps that dunning took with a contract.
///
/// Stages entered and left, blocks set and lifted, notices, attempts to collect, oldest first.
#[utoipa::path(get, path = "/v1/contracts/{id}/dunning-steps", operation_id = "dunning_step_list", tag = "dunning",
    params(("id" = ContractId, Path, description = "The contract"), Page),
    responses((status = 200, description = "A page of steps", body = Listed<DunningStepView>)))]
async fn step_list(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ContractId>,
    Paged(page): Paged,
) -> Result<Json<Listed<DunningStepView>>, Problem> {
    Ok(Json(altyn.dunning_step_list(&request, id, &page).await?))
}

/// Recommends the amount of a payment.
///
/// By a method, with the parts it consists of. Upcoming charges are estimates by list price.
#[utoipa::path(get, path = "/v1/contracts/{id}/recommended-amount", operation_id = "contract_recommend",
    tag = "credit", params(("id" = ContractId, Path, description = "The contract"), RecommendFilter),
    responses((status = 200, description = "What to pay", body = RecommendationView)))]
async fn recommend(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<ContractId>,
    Filter(filter): Filter<RecommendFilter>,
) -> Result<Json<RecommendationView>, Problem> {
    Ok(Json(altyn.contract_recommend(&request, id, filter).await?))
}
