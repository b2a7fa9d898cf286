//! PayPal through the whole host: tokens that stay with the host, keys that make things happen once, verified webhooks.

use altyn_domain::exchange::Incoming;
use altyn_service::{exchanges::BeginExchange, sandbox::EnterSandbox};
use serde_json::json;

use crate::support::{Place, on_both_engines};
use crate::wire::{Deed, Seen, Server, begin, bind, connect, kept, pay, trail, verdict};

on_both_engines!(
    nothing_leaves_a_sandbox_and_what_would_is_recorded,
    an_order_is_created_captured_and_given_back_with_a_token_that_nobody_keeps,
    a_lost_answer_is_asked_for_again_under_the_same_key,
    a_webhook_is_verified_by_asking_paypal,
);

pub const SECRETS: [(&str, &str); 2] = [("client-id", "client-abc"), ("client-secret", "very-secret")];
const TOKEN: &str = "A21AAFsecretaccesstoken";

pub fn capture(custom: &str) -> serde_json::Value {
    json!({
        "id": "3C679366HH908993F", "status": "COMPLETED", "custom_id": custom,
        "amount": { "currency_code": "USD", "value": "100.00" },
        "seller_receivable_breakdown": { "paypal_fee": { "currency_code": "USD", "value": "3.98" } },
    })
}

/// PayPal as far as these tests go: an order that its payer has approved by the time it is read.
pub fn paypal(seen: &Seen) -> Deed {
    let order = |status: &str, payments: serde_json::Value| {
        json!({
            "id": "5O190127TN364715T", "status": status, "purchase_units": [{ "payments": payments }],
            "links": [{ "rel": "payer-action", "href": "https://www.sandbox.paypal.com/checkoutnow?token=5O190127TN364715T" }],
        })
        .to_string()
    };
    let authorized = seen.header("authorization") == format!("Bearer {TOKEN}");
    if seen.line.starts_with("POST /v1/oauth2/token") {
        // client-abc:very-secret
        if seen.header("authorization") == "Basic Y2xpZW50LWFiYzp2ZXJ5LXNlY3JldA==" {
            Deed::Answer(200, json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 32400 }).to_string())
        } else {
            Deed::Answer(401, "{}".into())
        }
    } else if !authorized {
        Deed::Answer(401, "{}".into())
    } else if seen.line.contains("/capture ") {
        Deed::Answer(201, order("COMPLETED", json!({ "captures": [capture("")] })))
    } else if seen.line.contains("/refund ") {
        let amount = json!({ "currency_code": "USD", "value": "10.00" });
        Deed::Answer(201, json!({ "id": "1JU08902781691411", "status": "COMPLETED", "amount": amount }).to_string())
    } else if seen.line.starts_with("GET /v2/checkout/orders/") {
        Deed::Answer(200, order("APPROVED", json!(null)))
    } else if seen.line.starts_with("POST /v2/checkout/orders ") {
        // A server may say what it was told; the plugin and the trail must not see it.
        Deed::Answer(
            201,
            order("PAYER_ACTION_REQUIRED", json!(null))
                .replace("\"links\"", &format!("\"echo\":\"{TOKEN} very-secret\",\"links\"")),
        )
    } else if seen.line.contains("verify-webhook-signature") {
        let said = if seen.body.contains("\"transmission_sig\":\"good\"") { "SUCCESS" } else { "FAILURE" };
        Deed::Answer(200, json!({ "verification_status": said }).to_string())
    } else {
        Deed::Answer(404, "{}".into())
    }
}

async fn nothing_leaves_a_sandbox_and_what_would_is_recorded(mut place: Place) {
    let server = Server::start(paypal).await;
    connect(&mut place, &server, &SECRETS).await;
    place.altyn.sandbox_enter(&place.request(), EnterSandbox::default()).await.unwrap();
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    place.altyn = place.altyn.acting_for(place.tenant).await.unwrap();
    let payment = begin(&place, pay(gateway, 10_000, "USD")).await;
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    let trail = trail(&place, payment.id).await;
    assert_eq!(trail[..2], ["send", "not-sent"], "{trail:?}");
    let kept = kept(&place, payment.id).await;
    assert!(kept.contains("the tenant is in a sandbox") && !kept.contains("very-secret"), "{kept}");
}

async fn an_order_is_created_captured_and_given_back_with_a_token_that_nobody_keeps(mut place: Place) {
    let server = Server::start(paypal).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    let payment = begin(&place, pay(gateway, 10_000, "USD")).await;
    assert_eq!((verdict(&payment), payment.requests), ("requires-action", 2), "{payment:?}");
    assert_eq!(trail(&place, payment.id).await, ["send", "response", "send", "response", "outcome"]);
    let seen = server.seen();
    assert_eq!(seen[1].header("paypal-request-id"), format!("{}-order", payment.id));

    let asked = begin(&place, BeginExchange::Status { payment_id: payment.id }).await;
    assert_eq!((verdict(&asked), asked.fee_minor, asked.requests), ("succeeded", Some(398), 3));
    let payment = place.altyn.exchange_get(&place.request(), payment.id).await.unwrap();
    assert_eq!((verdict(&payment), payment.fee_minor), ("succeeded", Some(398)));

    let refund =
        BeginExchange::Refund { payment_id: payment.id, amount_minor: Some(1_000), reason: Some("gift".into()) };
    let refund = begin(&place, refund).await;
    assert_eq!((verdict(&refund), refund.external_id.as_str()), ("succeeded", "1JU08902781691411"));
    let last = server.seen().pop().unwrap();
    assert!(last.line.contains("/v2/payments/captures/3C679366HH908993F/refund"), "{}", last.line);

    for id in [payment.id, asked.id, refund.id] {
        let kept = kept(&place, id).await;
        for secret in [TOKEN, "client-abc", "very-secret", "Y2xpZW50LWFiYzp2ZXJ5LXNlY3JldA"] {
            assert!(!kept.contains(secret), "{secret} in {kept}");
        }
    }
    assert!(kept(&place, payment.id).await.contains("[captured token] [secret client-secret]"));
}

async fn a_lost_answer_is_asked_for_again_under_the_same_key(mut place: Place) {
    let server = Server::start(|seen| if seen.line.contains("/v2/") { Deed::HangUp } else { paypal(seen) }).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    let payment = begin(&place, pay(gateway, 10_000, "USD")).await;
    assert_eq!(verdict(&payment), "unknown");
    let keys: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.header("paypal-request-id").to_owned())
        .filter(|key| !key.is_empty())
        .collect();
    assert_eq!(keys, vec![format!("{}-order", payment.id); 3]);
}

async fn a_webhook_is_verified_by_asking_paypal(mut place: Place) {
    let server = Server::start(paypal).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox", "webhook_id": "4JH86294D6297924G" })).await;
    let payment = begin(&place, pay(gateway, 10_000, "USD")).await;
    let incoming = |signature: &str, custom: &str| Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: [
            ("paypal-transmission-id", "dfb3be50-fd74-11e4-8bf3-77339302725b"),
            ("paypal-transmission-time", "2015-05-18T15:45:13Z"),
            ("paypal-transmission-sig", signature),
            ("paypal-auth-algo", "SHA256withRSA"),
            ("paypal-cert-url", "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        body: json!({ "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": capture(custom) })
            .to_string()
            .into_bytes(),
        source: "192.0.2.1".into(),
    };
    let notify = async |incoming| place.altyn.gateway_notification(gateway, incoming).await.unwrap().status;
    let id = payment.id.to_string();
    assert_eq!(notify(incoming("forged", &id)).await, 400);
    assert_eq!(verdict(&place.altyn.exchange_get(&place.request(), payment.id).await.unwrap()), "requires-action");
    assert_eq!(notify(incoming("good", "exc_0000000000000000000000000000002a")).await, 409);
    assert_eq!(notify(incoming("good", &id)).await, 200);
    assert_eq!(verdict(&place.altyn.exchange_get(&place.request(), payment.id).await.unwrap()), "succeeded");
    server.does(|_| Deed::HangUp);
    assert_eq!(notify(incoming("good", &id)).await, 503, "PayPal sends it again");
}
