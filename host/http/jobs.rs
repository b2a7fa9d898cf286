//! `/v1/scheduler` and `/v1/jobs`: the work that starts by itself.

use altyn_domain::id::JobId;
use altyn_service::{
    page::{Listed, Page},
    scheduler::{ClockView, JobFilter, JobView, SchedulerView},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Found, Order, Resource},
    page::{At, Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(status))
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(retry))
        .routes(routes!(accept_clock))
}

impl Resource for JobView {}
impl Resource for ClockView {}

/// Reads how scheduled work stands.
///
/// The next day to be closed and when, days behind, jobs to be done and given up, since when answers, events and done jobs are
/// kept, and what hosts know of the time.
#[utoipa::path(get, path = "/v1/scheduler", operation_id = "scheduler_status", tag = "scheduler",
    responses((status = 200, description = "How it stands", body = SchedulerView)))]
async fn status(App(altyn): App, Caller { request }: Caller) -> Result<Json<SchedulerView>, Problem> {
    Ok(Json(altyn.scheduler_status(&request).await?))
}

/// Lists the jobs.
///
/// Done ones included unless a state is named, oldest first.
#[utoipa::path(get, path = "/v1/jobs", operation_id = "job_list", tag = "scheduler", params(JobFilter, Page),
    responses((status = 200, description = "A page of jobs", body = Listed<JobView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Filter(filter): Filter<JobFilter>,
    Paged(page): Paged,
) -> Result<Json<Listed<JobView>>, Problem> {
    Ok(Json(altyn.job_list(&request, filter, &page).await?))
}

/// Reads a job.
///
/// With the error of its last try.
#[utoipa::path(get, path = "/v1/jobs/{id}", operation_id = "job_get", tag = "scheduler",
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "The job", body = JobView)))]
async fn get(App(altyn): App, Caller { request }: Caller, At(id): At<JobId>) -> Result<Found<JobView>, Problem> {
    Ok(Found(altyn.job_get(&request, id).await?))
}

/// Retries a job that was given up.
///
/// It is due at once and has all its tries again; any other job stays as it is.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", operation_id = "job_retry", tag = "scheduler",
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "The job", body = JobView)))]
async fn retry(App(altyn): App, At(id): At<JobId>, Order(request): Order) -> Result<Answer<JobView>, Problem> {
    Ok(Answer(altyn.job_retry(&request, id).await?))
}

/// Accepts the hosts' clock.
///
/// After it was set back on purpose, or once showed a time that lay ahead: scheduled work goes on. Only a tenant without one
/// above it does this.
#[utoipa::path(post, path = "/v1/scheduler/accept-clock", operation_id = "scheduler_accept_clock", tag = "scheduler",
    responses((status = 200, description = "What hosts know of the time", body = ClockView)))]
async fn accept_clock(App(altyn): App, Order(request): Order) -> Result<Answer<ClockView>, Problem> {
    Ok(Answer(altyn.clock_accept_as(&request).await?))
}
