//! `/v1/usage` and `/v1/subscriptions/{id}/usage`: recording use, and reading what it comes to.

use altyn_domain::id::SubscriptionId;
use altyn_service::{
    metering::{EventFilter, IngestReport, UsageEventView, UsageEvents, WindowView, events_of_lines},
    page::{Listed, Page},
};
use axum::{Json, extract::DefaultBodyLimit};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Resource, Upload},
    page::{At, Filter, Paged},
    problems::Code,
};

/// The largest batch, in bytes.
const LARGEST_BATCH_BYTES: usize = 8 << 20;
/// One event a line.
const NDJSON: &str = "application/x-ndjson";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    let batches = OpenApiRouter::default().routes(routes!(create)).layer(DefaultBodyLimit::max(LARGEST_BATCH_BYTES));
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(windows)).merge(batches)
}

impl Resource for IngestReport {}

/// Records a batch of use.
///
/// At most 20,000 events and 8 MiB, as one JSON object or as one event a line (`application/x-ndjson`). Each event is
/// recorded once by its id: repeating it changes nothing, and another content under the same id is refused. A refused
/// event is named with its reason and keeps no other from being recorded. Events of days that are billed already are
/// billed by a line of their own.
#[utoipa::path(post, path = "/v1/usage/events", operation_id = "usage_record", tag = "usage",
    request_body(content = UsageEvents, content_type = "application/json", example = json!({ "events": [{
        "id": "probe-7/2026-11-05T10:00", "subscription_id": "sub_0190a5d0c0de7000800000000000002a",
        "meter": "traffic", "occurred_at": "2026-11-05T10:00:00+03:00", "quantity": "1.5",
    }] })),
    responses((status = 200, description = "What became of each event", body = IngestReport)))]
async fn create(App(altyn): App, upload: Upload) -> Result<Answer<IngestReport>, Problem> {
    let Upload { request, bytes, media_type } = upload;
    match media_type.as_str() {
        "application/json" => {
            let Json(batch) = Json::<UsageEvents>::from_bytes(&bytes)?;
            Ok(Answer(altyn.usage_ingest(&request, batch).await?))
        }
        NDJSON => {
            let events = events_of_lines(bytes.split(|byte| *byte == b'\n'));
            Ok(Answer(altyn.usage_ingest_read(&request, events).await?))
        }
        _ => {
            let detail = format!("send events with `Content-Type: application/json` or `{NDJSON}`");
            Err(Problem::new(Code::UnsupportedMediaType, detail))
        }
    }
}

/// Lists recorded use.
///
/// Events of one subscription and meter, by the instant at which they happened.
#[utoipa::path(get, path = "/v1/usage/events", operation_id = "usage_list", tag = "usage",
    params(EventFilter, Page),
    responses((status = 200, description = "A page of events", body = Listed<UsageEventView>)))]
async fn list(
    App(altyn): App,
    Caller { request }: Caller,
    Filter(filter): Filter<EventFilter>,
    Paged(page): Paged,
) -> Result<Json<Listed<UsageEventView>>, Problem> {
    Ok(Json(altyn.usage_events(&request, &filter, &page).await?))
}

/// Lists what a subscription used, by period.
///
/// Each window with the figure of its events by now, what that costs, and what was billed of it.
#[utoipa::path(get, path = "/v1/subscriptions/{id}/usage", operation_id = "subscription_usage", tag = "usage",
    params(("id" = SubscriptionId, Path, description = "The subscription"), Page),
    responses((status = 200, description = "A page of windows", body = Listed<WindowView>)))]
async fn windows(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<SubscriptionId>,
    Paged(page): Paged,
) -> Result<Json<Listed<WindowView>>, Problem> {
    Ok(Json(altyn.usage_windows(&request, id, &page).await?))
}
