//! `/v1/runs/{id}/events`: the progress of a run as server-sent events.
//!
//! The id of an event is the run's version, so a client that lost its connection continues behind `Last-Event-ID`.
//! Progress is read from the database: any host may stream a run that another one works on. The stream ends with the run,
//! and when the host stops.

use std::{convert::Infallible, time::Duration};

use altyn_domain::{id::RunId, run::RunState};
use altyn_service::{
    context::{Altyn, Request},
    runs::RunView,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Edge, auth::Caller, error::Problem, page::At};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often the run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The route of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(events))
}

/// Follows a run.
///
/// An event `progress` for each change, with the run as data and its version as id; a comment every 15 seconds. The
/// stream ends behind the event of a run that is done or cancelled. `Last-Event-ID` continues a broken stream.
#[utoipa::path(get, path = "/v1/runs/{id}/events", operation_id = "run_events", tag = "runs",
    params(("id" = RunId, Path, description = "The run"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The id of the last event that was seen")),
    responses((status = 200, description = "The events", body = RunView, content_type = "text/event-stream")))]
async fn events(
    State(Edge { altyn, stopping }): State<Edge>,
    Caller { request }: Caller,
    At(id): At<RunId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(-1);
    // A run that does not exist is refused before the stream begins.
    altyn.run_get(&request, id).await?;
    let progress = Progress { altyn, request, id, seen, stopping, ended: false };
    let mut response = Sse::new(follow(progress)).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // A proxy that collects an answer before it passes it on would hide the progress.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Where a follower stands.
struct Progress {
    altyn: Altyn,
    request: Request,
    id: RunId,
    /// The version that was sent last.
    seen: i64,
    stopping: watch::Receiver<bool>,
    ended: bool,
}

fn follow(progress: Progress) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(progress, |mut progress| async move {
        let run = progress.next().await?;
        progress.seen = run.version;
        progress.ended = matches!(run.state, RunState::Done | RunState::Cancelled);
        let event = Event::default().event("progress").id(run.version.to_string());
        // A run is plain data, and a view that does not serialise has nothing to show.
        let event = event.json_data(&run).ok()?;
        Some((Ok(event), progress))
    })
}

impl Progress {
    /// The run once it changed; none when there is nothing more to tell.
    async fn next(&mut self) -> Option<RunView> {
        if self.ended {
            return None;
        }
        loop {
            let run = self.altyn.run_get(&self.request, self.id).await.ok()?;
            let over = matches!(run.state, RunState::Done | RunState::Cancelled);
            if run.version > self.seen {
                return Some(run);
            }
            if over || *self.stopping.borrow() {
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                changed = self.stopping.changed() => if changed.is_err() { return None },
            }
        }
    }
}
