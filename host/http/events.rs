//! `/v1/events` and `/v1/notice-policy`: what happened, and how many days before a charge customers hear of it.

use altyn_service::{
    events::{EventFilter, EventView},
    notices::{NoticePolicyView, SetNoticePolicy},
    page::{Listed, Page},
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    etag::IfMatch,
    idempotency::{Answer, Command, Found, Resource},
    page::{Filter, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(policy_get, policy_set))
}

impl Resource for NoticePolicyView {
    fn location(&self) -> Option<String> {
        Some("/v1/notice-policy".to_owned())
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Lists the events.
///
/// What happened, of all kinds or of one, about all objects or one, in the order in which it became visible. Whoever follows
/// the list goes on with `cursor` at the `position` of the last event that he saw, and misses none.
#[utoipa::path(get, path = "/v1/events", operation_id = "event_list", tag = "events", params(Page, EventFilter),
    responses((status = 200, description = "A page of events", body = Listed<EventView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
    Filter(filter): Filter<EventFilter>,
) -> Result<Json<Listed<EventView>>, Problem> {
    Ok(Json(altyn.event_list(&request, filter, &page).await?))
}

/// Reads how many days before a charge customers hear of it.
///
/// Its `ETag` is its version, 0 while nothing was set.
#[utoipa::path(get, path = "/v1/notice-policy", operation_id = "notice_policy_get", tag = "events",
    responses((status = 200, description = "The days", body = NoticePolicyView)))]
async fn policy_get(App(altyn): App, Caller { request }: Caller) -> Result<Found<NoticePolicyView>, Problem> {
    Ok(Found(altyn.notice_policy_get(&request).await?))
}

/// Says how many days before a charge customers hear of it.
///
/// Each notice is one event `subscription.charge-due` for a subscription and charge date, written when a day is closed.
#[utoipa::path(put, path = "/v1/notice-policy", operation_id = "notice_policy_set", tag = "events",
    request_body(content = SetNoticePolicy, example = json!({ "first_days": 7, "second_days": 1 })),
    responses((status = 200, description = "The days", body = NoticePolicyView)))]
async fn policy_set(
    App(altyn): App,
    IfMatch(version): IfMatch,
    Command { request, command }: Command<SetNoticePolicy>,
) -> Result<Answer<NoticePolicyView>, Problem> {
    Ok(Answer(altyn.notice_policy_set(&request, version, command).await?))
}
