//! `/v1/gateways/{id}/notifications`: what payment gateways send, without a key, and answered in their own words.
//!
//! The only path under `/v1` that a stranger may use. It is not in the interface's document: its form belongs to the
//! gateway. Invariant: a notification that proves nothing leaves nothing behind; at most [`AT_ONCE`] are worked on, and at
//! most [`OF_ONE`] of one tenant, so that nobody keeps the payments of others waiting.

use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use altyn_domain::{
    exchange::{HttpReply, Incoming},
    id::{BindingId, TenantId},
};
use altyn_service::context::Altyn;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::task::JoinHandle;

use super::{Edge, around::Exact, error::Problem, page::At, problems::Code};

/// Most notifications that are worked on at one moment; one more is told to come again.
const AT_ONCE: usize = 32;
/// Most of them of one tenant.
const OF_ONE: usize = 8;
static PLACES: LazyLock<Arc<Places>> = LazyLock::new(Arc::default);
/// Largest body of a notification, bytes.
const LARGEST: usize = 64 << 10;
/// Most headers that a plugin is shown.
const MOST_HEADERS: usize = 64;

/// The routes of this file.
pub fn routes() -> Router<Edge> {
    Router::new().route("/v1/gateways/{id}/notifications", get(receive).post(receive))
}

/// Who works on notifications: how many places each tenant has taken.
#[derive(Default)]
struct Places(Mutex<HashMap<TenantId, usize>>);

/// A place; it is free again when this is dropped.
struct Place {
    places: Arc<Places>,
    of: TenantId,
}

impl Places {
    fn take(self: &Arc<Self>, of: TenantId) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&of).copied().unwrap_or_default();
        if own >= OF_ONE || taken.values().sum::<usize>() >= AT_ONCE {
            return None;
        }
        taken.insert(of, own + 1);
        Some(Place { places: Arc::clone(self), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.of) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.of)),
        }
    }
}

/// Works on a task of its own, which has the place for as long as it works: whoever waits for it may hang up.
fn working<T: Send + 'static>(place: Place, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(async move {
        let done = work.await;
        drop(place);
        done
    })
}

/// Takes a notification and answers what the gateway wants to hear.
async fn receive(
    State(altyn): State<Altyn>,
    At(binding): At<BindingId>,
    request: Request,
) -> Result<Response, Problem> {
    // A body that does not come keeps nobody waiting but its sender.
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST)
        .await
        .map_err(|_| Problem::new(Code::BodyTooLarge, "a notification has at most 64 KiB"))?;
    let source = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());
    let headers = parts
        .headers
        .iter()
        .take(MOST_HEADERS)
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let incoming = Incoming {
        method: parts.method.as_str().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
        source: source.unwrap_or_default(),
    };
    let Some(place) = PLACES.take(altyn.gateway_tenant(binding).await?) else {
        return Err(Problem::new(Code::PluginBusy, "too many notifications at once; send it again"));
    };
    // A gateway that hangs up does not stop what its notification began.
    let working = working(place, async move { altyn.gateway_notification(binding, incoming).await });
    let reply = working.await.map_err(|_| Problem::new(Code::InternalError, "the host stopped"))??;
    Ok(exact(reply))
}

fn exact(reply: HttpReply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(reply.body)).into_response();
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.extensions_mut().insert(Exact);
    response
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    #[test]
    fn one_tenant_leaves_places_for_the_others_and_all_together_are_bounded() {
        let places = Arc::<Places>::default();
        let mut taken: Vec<Place> = (0..OF_ONE).map(|_| places.take(tenant(0)).unwrap()).collect();
        assert!(places.take(tenant(0)).is_none(), "one more of the same tenant");
        for other in 1..4 {
            taken.extend((0..OF_ONE).map(|_| places.take(tenant(other)).unwrap()));
        }
        assert_eq!(taken.len(), AT_ONCE);
        assert!(places.take(tenant(9)).is_none(), "all places are taken");
        taken.truncate(1);
        assert!(places.take(tenant(9)).is_some());
        drop(taken);
        assert!(places.0.lock().unwrap().is_empty(), "nothing is kept of who has no place");
    }

    #[tokio::test]
    async fn who_hangs_up_gives_no_place_back_while_its_work_goes_on() {
        let places = Arc::<Places>::default();
        let (finish, finished) = oneshot::channel::<()>();
        let waiting = working(places.take(tenant(0)).unwrap(), async move { finished.await.is_ok() });
        let whole: Vec<Place> = (1..OF_ONE).map(|_| places.take(tenant(0)).unwrap()).collect();
        // The request is dropped with whatever it waits for.
        drop(waiting);
        tokio::task::yield_now().await;
        assert!(places.take(tenant(0)).is_none(), "the work goes on");
        finish.send(()).unwrap();
        while places.take(tenant(0)).is_none() {
            tokio::task::yield_now().await;
        }
        drop(whole);
    }
}
