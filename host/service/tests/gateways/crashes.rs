//! A host may stop between any two steps: the work is dropped at every point where it waits, and begun anew.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use altyn_store::Engine;
use serde_json::json;

use crate::paypal::{SECRETS, paypal};
use crate::support::{Place, on_both_engines, page};
use crate::wire::{Deed, Server, bind, connect, free, pay, trail, verdict};

on_both_engines!(
    wherever_a_host_stops_the_payment_is_made_once,
    a_job_goes_on_with_what_a_host_left,
    two_hosts_never_talk_about_one_exchange_at_once,
);

/// Ends with None after so many polls: the future is dropped where it waits.
struct Killed<F> {
    future: F,
    polls_left: usize,
}

impl<F: Future + Unpin> Future for Killed<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls_left == 0 {
            return Poll::Ready(None);
        }
        self.polls_left -= 1;
        Pin::new(&mut self.future).poll(cx).map(Some)
    }
}

async fn wherever_a_host_stops_the_payment_is_made_once(mut place: Place) {
    let server = Server::start(paypal).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    // Each transaction of PostgreSQL is some polls; of SQLite some others. Every point is tried until one run is whole.
    let stride = if place.altyn.db.engine() == Engine::Sqlite { 1 } else { 2 };
    let (mut polls, mut cut_short, mut whole) = (1, 0, false);
    while !whole {
        assert!(polls < 2_000, "the exchange never ends");
        server.forget();
        let before = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data.len();
        let request = place.keyed(&format!("order-{polls}"), 1);
        let begin = Box::pin(place.altyn.exchange_begin(&request, pay(gateway, 10_000, "USD")));
        whole = Killed { future: begin, polls_left: polls }.await.is_some();
        free(&place).await;
        // The caller repeats its request, as it must when it heard nothing.
        let view = place.altyn.exchange_begin(&request, pay(gateway, 10_000, "USD")).await.unwrap().value;
        assert_eq!((verdict(&view), view.state.as_str()), ("requires-action", "done"), "after {polls} polls: {view:?}");
        if before < 100 {
            let now = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data.len();
            assert_eq!(now, (before + 1).min(100), "one exchange for one key, after {polls} polls");
        }
        let seen = server.seen();
        let orders: Vec<_> = seen.iter().filter(|seen| seen.line.starts_with("POST /v2/checkout/orders ")).collect();
        assert!(!orders.is_empty() && orders.len() <= 3, "after {polls} polls: {orders:?}");
        for order in &orders {
            assert_eq!(order.header("paypal-request-id"), format!("{}-order", view.id));
            assert_eq!(order.body, orders[0].body, "the same order");
        }
        cut_short += usize::from(!whole);
        polls += stride;
    }
    assert!(cut_short > 10, "only {cut_short} points were tried");
}

/// Waits until the order has reached the server, however busy the machine is.
async fn until_sent(server: &Server) {
    let started = std::time::Instant::now();
    while !server.seen().iter().any(|seen| seen.line.contains("/v2/")) {
        assert!(started.elapsed() < Duration::from_mins(1), "nothing was sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_job_goes_on_with_what_a_host_left(mut place: Place) {
    let server = Server::start(|seen| if seen.line.contains("/v2/") { Deed::Silence } else { paypal(seen) }).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    let (altyn, request) = (place.altyn.clone(), place.request());
    let begun = tokio::spawn(async move { altyn.exchange_begin(&request, pay(gateway, 10_000, "USD")).await });
    until_sent(&server).await;
    begun.abort();
    assert!(begun.await.is_err(), "the host was stopped while it waited");
    let request = place.request();
    let left = place.altyn.exchange_list(&request, &page(1, None)).await.unwrap().data.remove(0);
    assert_eq!(left.state, "sending");
    free(&place).await;
    server.does(paypal);
    let later = place.clock_after(200);
    let worked = place.altyn.jobs_work(place.tenant, "another host", later).await.unwrap();
    assert_eq!(worked.done, 1);
    let view = place.altyn.exchange_get(&request, left.id).await.unwrap();
    assert_eq!(verdict(&view), "requires-action");
    let kinds = trail(&place, left.id).await;
    assert_eq!(kinds, ["send", "response", "send", "lost", "send", "response", "send", "response", "outcome"]);
}

async fn two_hosts_never_talk_about_one_exchange_at_once(mut place: Place) {
    let server = Server::start(|seen| if seen.line.contains("/v2/") { Deed::Silence } else { paypal(seen) }).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    let (altyn, request) = (place.altyn.clone(), place.request());
    let begun = tokio::spawn(async move { altyn.exchange_begin(&request, pay(gateway, 10_000, "USD")).await });
    until_sent(&server).await;
    let id = place.altyn.exchange_list(&place.request(), &page(1, None)).await.unwrap().data.remove(0).id;
    let refused = place.altyn.exchange_resume(&place.request(), id).await.unwrap_err();
    assert_eq!(refused.code(), "exchange-busy");
    begun.abort();
}

impl Place {
    fn clock_after(&self, seconds: i64) -> chrono::DateTime<chrono::Utc> {
        use altyn_service::ports::Clock as _;
        self.clock.now() + chrono::TimeDelta::seconds(seconds)
    }
}
