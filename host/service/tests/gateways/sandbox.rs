//! The table of amounts of `pay-sandbox`, and what the host makes of it.

use altyn_domain::{exchange::Incoming, id::ExchangeId};
use altyn_service::{ServiceError, exchanges::BeginExchange};
use serde_json::json;
use sha2::Digest as _;

use crate::support::{Place, at, new_tenant, on_both_engines, page};
use crate::wire::{Deed, Server, begin, bind, connect, keep, pay, trail, verdict};

on_both_engines!(
    the_amount_chooses_the_outcome_and_the_host_records_it,
    what_is_learnt_later_moves_a_payment_up_and_never_down,
    an_outcome_that_disagrees_with_what_was_asked_is_not_believed,
    a_repeated_request_finds_the_same_exchange,
    an_answer_that_is_lost_on_the_way_is_asked_for_and_never_begun_again,
    a_notification_that_comes_twice_is_taken_once,
    refunds_never_exceed_their_payment,
    a_notification_is_compared_with_the_payment_and_taken_once_or_twice,
    an_exchange_belongs_to_its_tenant,
    senseless_commands_are_refused_with_every_field_named,
);

async fn the_amount_chooses_the_outcome_and_the_host_records_it(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    for (minor, expected) in [
        (10_000, "succeeded"),
        (10_001, "declined"),
        (10_003, "requires-action"),
        (10_005, "pending"),
        (10_006, "unknown"),
        (10_009, "not-attempted"),
        (10_011, "succeeded"),
        (10_013, "not-attempted"),
    ] {
        let view = begin(&place, pay(gateway, minor, "RUB")).await;
        assert_eq!((verdict(&view), view.state.as_str(), view.requests), (expected, "done", 0), "{minor}");
        let expected_trail = if minor == 10_013 { "failed" } else { "outcome" };
        assert_eq!(trail(&place, view.id).await, [expected_trail]);
        assert_eq!(view.fault_code.is_some(), minor == 10_013);
        assert_eq!(view.fee_minor, (minor == 10_011).then_some(300));
    }
    let listed = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data;
    assert_eq!(listed.iter().map(|view| view.number).collect::<Vec<_>>(), (1..=8).collect::<Vec<i64>>());
}

async fn what_is_learnt_later_moves_a_payment_up_and_never_down(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let status = |payment_id| BeginExchange::Status { payment_id };
    let mut payments = Vec::new();
    for minor in [10_003, 10_004, 10_005, 10_006, 10_007, 10_010] {
        payments.push(begin(&place, pay(gateway, minor, "RUB")).await.id);
    }
    place.clock.set(at("2026-11-01T09:05:00Z"));
    for (payment, expected) in
        payments.iter().zip(["succeeded", "declined", "succeeded", "succeeded", "not-attempted", "returned"])
    {
        let asked = begin(&place, status(*payment)).await;
        assert_eq!(asked.about_id, Some(*payment));
        let payment = place.altyn.exchange_get(&place.request(), *payment).await.unwrap();
        assert_eq!(verdict(&payment), expected);
    }
}

async fn an_outcome_that_disagrees_with_what_was_asked_is_not_believed(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let view = begin(&place, pay(gateway, 10_012, "RUB")).await;
    assert_eq!((verdict(&view), view.fault_code.as_deref()), ("unknown", Some("gateway-invalid-outcome")));
    assert!(view.fault.unwrap().contains("100.12"), "both amounts are named");
}

async fn a_repeated_request_finds_the_same_exchange(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let once = || place.altyn.exchange_begin_keyed(&place, "order-1", pay(gateway, 10_000, "RUB"));
    let (first, again) = (once().await, once().await);
    assert_eq!(first.value.id, again.value.id);
    assert!(!first.replayed && again.replayed);
    let all = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap();
    assert_eq!(all.data.len(), 1);
}

trait Keyed {
    async fn exchange_begin_keyed(
        &self,
        place: &Place,
        key: &str,
        command: BeginExchange,
    ) -> altyn_service::Reply<altyn_service::exchanges::ExchangeView>;
}

impl Keyed for altyn_service::Altyn {
    async fn exchange_begin_keyed(
        &self,
        place: &Place,
        key: &str,
        command: BeginExchange,
    ) -> altyn_service::Reply<altyn_service::exchanges::ExchangeView> {
        self.exchange_begin(&place.keyed(key, 1), command).await.unwrap()
    }
}

const SERVER: &str = "https://sandbox.invalid";

async fn an_answer_that_is_lost_on_the_way_is_asked_for_and_never_begun_again(mut place: Place) {
    let server = Server::start(|_| Deed::HangUp).await;
    connect(&mut place, &server, &[]).await;
    let gateway = bind(&place, "pay-sandbox", json!({ "server": SERVER })).await;
    for (minor, later) in [(10_006, "succeeded"), (10_007, "not-attempted")] {
        server.forget();
        let payment = begin(&place, pay(gateway, minor, "RUB")).await;
        assert_eq!((verdict(&payment), payment.requests), ("unknown", 1), "{minor}");
        assert_eq!(trail(&place, payment.id).await, ["send", "lost", "outcome"]);
        let seen = server.seen();
        assert_eq!(seen.len(), 1, "it was sent, and once");
        assert_eq!(
            (seen[0].line.as_str(), seen[0].header("idempotency-key")),
            ("POST /lost HTTP/1.1", &*payment.id.to_string())
        );
        begin(&place, BeginExchange::Status { payment_id: payment.id }).await;
        let known = place.altyn.exchange_get(&place.request(), payment.id).await.unwrap();
        assert_eq!(verdict(&known), later, "{minor}");
        assert_eq!(server.seen().len(), 1, "nothing was begun again");
    }
    // Everything else is decided here and now.
    assert_eq!((verdict(&begin(&place, pay(gateway, 10_001, "RUB")).await), server.seen().len()), ("declined", 1));
    // The money of a refund may have gone back, too.
    let payment_id = begin(&place, pay(gateway, 20_000, "RUB")).await.id;
    let refund = begin(&place, BeginExchange::Refund { payment_id, amount_minor: Some(10_006), reason: None }).await;
    assert_eq!((verdict(&refund), refund.requests), ("unknown", 1));
    begin(&place, BeginExchange::RefundStatus { refund_id: refund.id }).await;
    let known = place.altyn.exchange_get(&place.request(), refund.id).await.unwrap();
    assert_eq!(verdict(&known), "succeeded");
    // A server that answers, answers; one that says nothing of what it did says nothing of the money.
    for (body, expected) in [(r#"{"done":true}"#, "succeeded"), ("{}", "unknown")] {
        server.does(move |_| Deed::Answer(200, body.into()));
        assert_eq!(verdict(&begin(&place, pay(gateway, 10_006, "RUB")).await), expected);
    }
}

async fn a_notification_that_comes_twice_is_taken_once(mut place: Place) {
    let server = Server::start(|_| Deed::Answer(200, "{}".into())).await;
    connect(&mut place, &server, &[("notification-key", "s3cret-key")]).await;
    let gateway = bind(&place, "pay-sandbox", json!({ "server": SERVER })).await;
    let payment = begin(&place, pay(gateway, 10_008, "RUB")).await;
    assert_eq!((verdict(&payment), payment.requests), ("pending", 1));
    let seen = server.seen().remove(0);
    assert_eq!((seen.line.as_str(), seen.header("x-times")), ("POST /notify HTTP/1.1", "2"));
    // The server does as it was asked.
    for _ in 0..2 {
        let incoming = Incoming {
            method: "POST".into(),
            query: String::new(),
            headers: vec![("x-signature".into(), seen.header("x-signature").into())],
            body: seen.body.clone().into_bytes(),
            source: "192.0.2.1".into(),
        };
        let reply = place.altyn.gateway_notification(gateway, incoming).await.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, b"OK".as_slice()));
        let known = place.altyn.exchange_get(&place.request(), payment.id).await.unwrap();
        assert_eq!(verdict(&known), "succeeded");
    }
}

async fn refunds_never_exceed_their_payment(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let payment_id = begin(&place, pay(gateway, 10_000, "RUB")).await.id;
    let refund = |amount: i64| BeginExchange::Refund { payment_id, amount_minor: Some(amount), reason: None };
    assert_eq!(verdict(&begin(&place, refund(6_000)).await), "succeeded");
    assert_eq!(verdict(&begin(&place, refund(2_001)).await), "declined");
    let pending = begin(&place, refund(3_905)).await;
    assert_eq!(verdict(&pending), "pending");
    let refused = place.altyn.exchange_begin(&place.request(), refund(100)).await.unwrap_err();
    assert_eq!(refused.code(), "refund-exceeds-payment");
    begin(&place, BeginExchange::RefundStatus { refund_id: pending.id }).await;
    assert_eq!(verdict(&place.altyn.exchange_get(&place.request(), pending.id).await.unwrap()), "succeeded");
    let declined = begin(&place, pay(gateway, 10_001, "RUB")).await.id;
    let early = BeginExchange::Refund { payment_id: declined, amount_minor: None, reason: None };
    let refused = place.altyn.exchange_begin(&place.request(), early).await.unwrap_err();
    assert_eq!(refused.code(), "payment-not-taken");
}

fn hmac(key: &[u8], message: &[u8]) -> String {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = sha2::Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    let outer = sha2::Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize();
    hex::encode(outer)
}

pub fn notification(payment: ExchangeId, verdict: &str, minor: i64) -> Incoming {
    let body = format!(r#"{{"payment":"{payment}","verdict":"{verdict}","amount_minor":{minor},"currency":"RUB"}}"#);
    Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: vec![("x-signature".into(), hmac(b"s3cret-key", body.as_bytes()))],
        body: body.into_bytes(),
        source: "192.0.2.1".into(),
    }
}

async fn a_notification_is_compared_with_the_payment_and_taken_once_or_twice(mut place: Place) {
    keep(&mut place, &[("notification-key", "s3cret-key")], &[]).await;
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let payment = begin(&place, pay(gateway, 10_008, "RUB")).await.id;
    let notify = async |incoming| {
        let reply = place.altyn.gateway_notification(gateway, incoming).await.unwrap();
        (reply.status, String::from_utf8(reply.body).unwrap())
    };
    let know = async || verdict(&place.altyn.exchange_get(&place.request(), payment).await.unwrap());
    assert_eq!(know().await, "pending");

    let mut forged = notification(payment, "succeeded", 10_008);
    forged.headers[0].1 = "00".repeat(32);
    assert_eq!(notify(forged).await, (403, "REJECTED".into()));
    assert_eq!(notify(notification(payment, "succeeded", 10_007)).await, (409, "REFUSED".into()));
    let stranger = ExchangeId(uuid::Uuid::from_u128(7));
    assert_eq!(notify(notification(stranger, "succeeded", 10_008)).await, (409, "REFUSED".into()));
    assert_eq!(know().await, "pending");

    assert_eq!(notify(notification(payment, "succeeded", 10_008)).await, (200, "OK".into()));
    assert_eq!(notify(notification(payment, "succeeded", 10_008)).await, (200, "OK".into()));
    assert_eq!(notify(notification(payment, "declined", 10_008)).await, (200, "OK".into()));
    assert_eq!(know().await, "succeeded", "what was taken stays taken");
    assert_eq!(trail(&place, payment).await, ["outcome", "claim", "claim", "claim", "claim", "claim"]);

    // What proves nothing leaves no row; the refused ones and the taken ones do.
    let all = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data;
    assert_eq!(all.len(), 1 + 2 + 3);
    let elsewhere = altyn_domain::id::BindingId(uuid::Uuid::from_u128(9));
    let lost = place.altyn.gateway_notification(elsewhere, notification(payment, "succeeded", 10_008)).await;
    assert!(matches!(lost, Err(ServiceError::NotFound("gateway"))));
}

async fn an_exchange_belongs_to_its_tenant(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let payment = begin(&place, pay(gateway, 10_000, "RUB")).await.id;
    let other = place.altyn.tenant_create(&place.request(), new_tenant("Другой")).await.unwrap().value.id;
    let stranger = altyn_service::Request::internal(other, "test");
    assert!(matches!(place.altyn.exchange_get(&stranger, payment).await, Err(ServiceError::NotFound("exchange"))));
    assert!(matches!(place.altyn.exchange_resume(&stranger, payment).await, Err(ServiceError::NotFound("exchange"))));
    let steps = place.altyn.exchange_steps(&stranger, payment, &page(10, None)).await;
    assert!(matches!(steps, Err(ServiceError::NotFound("exchange"))));
    let asked = place.altyn.exchange_begin(&stranger, BeginExchange::Status { payment_id: payment }).await;
    assert!(matches!(asked, Err(ServiceError::NotFound("payment"))));
    let paid = place.altyn.exchange_begin(&stranger, pay(gateway, 10_000, "RUB")).await;
    assert!(matches!(paid, Err(ServiceError::NotFound("gateway"))));
    assert!(place.altyn.exchange_list(&stranger, &page(10, None)).await.unwrap().data.is_empty());
}

async fn senseless_commands_are_refused_with_every_field_named(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let BeginExchange::Pay { binding_id, capture, save_method, .. } = pay(gateway, 1, "RUB") else { unreachable!() };
    let command = BeginExchange::Pay {
        binding_id,
        amount_minor: 0,
        currency: "RUR".into(),
        description: String::new(),
        capture,
        return_url: Some("http://shop.example/".into()),
        payer: [("shoe-size".to_owned(), "43".to_owned())].into(),
        saved_method: None,
        save_method,
    };
    let Err(ServiceError::Invalid(errors)) = place.altyn.exchange_begin(&place.request(), command).await else {
        panic!("must be refused")
    };
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/amount_minor", "/currency", "/description", "/return_url", "/payer/shoe-size"]);
    let tax = bind(&place, "ru-vat", json!({})).await;
    let refused = place.altyn.exchange_begin(&place.request(), pay(tax, 1, "RUB")).await;
    assert!(matches!(refused, Err(ServiceError::NotFound("gateway"))));
}
