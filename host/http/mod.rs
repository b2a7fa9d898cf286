//! The HTTP edge: JSON to commands, answers to JSON, refusals to problems. Translates, never decides.
//!
//! One file per resource holds its handlers, each described beside its code, so that the document at `/openapi.json` and
//! the routes cannot differ. A request passes, from the outside in: [`around`] (id, trace, headers), the panic net,
//! the time limit, [`auth`] (key, tenant, role, and the operation's rules), then its handler, which calls one use case.
//! It refuses to know SQL, plugins and money. Invariant: every path under `/v1` is authenticated and documented, but that
//! of [`notifications`], which belongs to the gateways.

mod api_keys;
mod around;
mod auth;
mod bindings;
mod blocks;
mod calls;
mod canaries;
mod changes;
mod charges;
mod contracts;
mod credit;
mod customers;
mod dunning;
mod error;
mod etag;
mod events;
mod exchanges;
mod grants;
mod health;
mod idempotency;
mod imports;
mod invoices;
mod jobs;
mod ledger;
mod manual_operations;
mod metering;
mod meters;
mod metrics;
mod notifications;
mod openapi;
mod orders;
mod page;
mod plans;
mod plugin_keys;
mod plugin_limits;
mod plugins;
mod price_overrides;
mod problems;
mod products;
mod promises;
mod run_events;
mod runs;
mod sandbox;
mod secrets;
mod sellers;
mod service_terms;
mod stays;
mod subscriptions;
mod tenants;
mod verify;

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use altyn_service::context::Altyn;
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, FromRef},
    middleware,
};
use tokio::{net::TcpListener, sync::watch};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

pub use problems::Code;

/// The largest body of an operation that takes JSON, in bytes.
const LARGEST_JSON: usize = 1 << 20;

/// What handlers are given.
#[derive(Clone)]
struct Edge {
    altyn: Altyn,
    /// Becomes true when the host stops, so that streams end.
    stopping: watch::Receiver<bool>,
}

impl FromRef<Edge> for Altyn {
    fn from_ref(edge: &Edge) -> Self {
        edge.altyn.clone()
    }
}

/// The whole interface over an application; its streams end with their runs only.
pub fn router(altyn: Altyn) -> Router {
    let (keep, stopping) = watch::channel(false);
    build(altyn, stopping).layer(Extension(Arc::new(keep)))
}

/// Serves until `shutdown` is ready, then ends streams, finishes the requests that are under way and returns.
pub async fn serve(
    altyn: Altyn,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let stopped = async move {
        shutdown.await;
        // Nobody listening means that no stream is open.
        let _ = stop.send(true);
    };
    // Who sent a request is told to gateways only.
    let service = build(altyn, stopping).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stopped).await
}

/// Puts the layers around the operations; the outermost is added last.
fn build(altyn: Altyn, stopping: watch::Receiver<bool>) -> Router {
    let largest_component = altyn.plugins.runtime().config().limits.largest_component_bytes();
    let open = OpenApiRouter::with_openapi(openapi::empty())
        .merge(health::routes())
        .merge(problems::routes())
        .merge(metrics::routes());
    let (open, mut document) = open.route_layer(middleware::from_fn(around::in_time)).split_for_parts();
    let (keyed, operations) = operations(largest_component).split_for_parts();
    document.merge(operations);
    let document = openapi::finish(&document);
    let rules = Arc::new(openapi::Rules::of(&document));
    let keyed = keyed.route_layer(middleware::from_fn_with_state((altyn.clone(), rules), auth::admit));
    let notifications = notifications::routes().route_layer(middleware::from_fn(around::in_time));
    open.merge(keyed)
        .merge(notifications)
        .merge(openapi::pages(&document))
        .fallback(around::unknown_path)
        .method_not_allowed_fallback(around::unknown_method)
        .layer(DefaultBodyLimit::max(LARGEST_JSON))
        .layer(CatchPanicLayer::custom(around::panicked))
        .layer(middleware::from_fn_with_state(altyn.clone(), around::request))
        .with_state(Edge { altyn, stopping })
}

/// Every operation that needs a key.
fn operations(largest_component: usize) -> OpenApiRouter<Edge> {
    let timed = OpenApiRouter::default()
        .merge(tenants::routes())
        .merge(api_keys::routes())
        .merge(sellers::routes())
        .merge(customers::routes())
        .merge(contracts::routes())
        .merge(credit::routes())
        .merge(promises::routes())
        .merge(dunning::routes())
        .merge(products::routes())
        .merge(plans::routes())
        .merge(price_overrides::routes())
        .merge(meters::routes())
        .merge(metering::routes())
        .merge(subscriptions::routes())
        .merge(orders::routes())
        .merge(events::routes())
        .merge(changes::routes())
        .merge(blocks::routes())
        .merge(service_terms::routes())
        .merge(manual_operations::routes())
        .merge(jobs::routes())
        .merge(charges::routes())
        .merge(invoices::routes())
        .merge(calls::routes())
        .merge(runs::routes())
        .merge(sandbox::routes())
        .merge(ledger::routes())
        .merge(plugins::routes(largest_component))
        .merge(plugin_keys::routes())
        .merge(secrets::routes())
        .merge(grants::routes())
        .merge(plugin_limits::routes())
        .merge(bindings::routes())
        .merge(canaries::routes())
        .merge(stays::routes())
        .merge(exchanges::routes())
        .merge(imports::routes());
    // A file and the books take as long as they are large, and a stream as long as its run.
    timed
        .route_layer(middleware::from_fn(around::in_time))
        .merge(imports::upload())
        .merge(verify::routes())
        .merge(exchanges::talking())
        .merge(bindings::shadow(largest_component))
        .merge(run_events::routes())
}
