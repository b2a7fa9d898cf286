//! Robokassa through the whole host: the published digests on the wire, the exact reply, secrets in no record.

use altyn_domain::{
    exchange::Incoming,
    gateway::{Action, Verdict},
};
use altyn_service::{exchanges::BeginExchange, verify::VerifyOptions};
use serde_json::json;

use crate::support::{Place, on_both_engines};
use crate::wire::{Deed, Server, begin, bind, connect, kept, pay, trail, verdict};

on_both_engines!(a_payment_is_made_told_asked_and_given_back);

pub const SECRETS: [(&str, &str); 3] = [("password-1", "pass_1"), ("password-2", "pass_2"), ("password-3", "pass_3")];

pub const STATE: &str = "<OperationStateResponse xmlns=\"http://merchant.roboxchange.com/WebService/\"><Result><Code>0</Code></Result>\
    <State><Code>100</Code></State><Info><IncSum>100.00</IncSum><OutSum>97.00</OutSum><OpKey>0005F891-8CCD-434B-8455-816AFFFDBF37-0VOisWikFF</OpKey></Info></OperationStateResponse>";

async fn a_payment_is_made_told_asked_and_given_back(mut place: Place) {
    let server = Server::start(|seen| {
        if seen.line.contains("OpStateExt") {
            Deed::Answer(200, STATE.into())
        } else if seen.line.contains("Refund/Create") {
            Deed::Answer(
                200,
                r#"{"success":true,"message":null,"requestId":"cf15fd52-d2d1-4fc4-b9c0-25310e3bdded"}"#.into(),
            )
        } else {
            Deed::Answer(200, r#"{"requestId":"x","amount":1,"label":"finished"}"#.into())
        }
    })
    .await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "robokassa", json!({ "login": "demo" })).await;
    // Robokassa's own vector has the number 42.
    for _ in 0..41 {
        begin(&place, pay(gateway, 100, "RUB")).await;
    }
    let payment = begin(&place, pay(gateway, 10_000, "RUB")).await;
    let Some(Verdict::RequiresAction { action: Action::Redirect { url } }) = &payment.verdict else {
        panic!("{payment:?}")
    };
    assert!(
        url.contains("OutSum=100.00&InvId=42") && url.contains("SignatureValue=a3e317c66f3b95b73df9f052c203c815"),
        "{url}"
    );

    let body = "OutSum=100.000000&InvId=42&Fee=3.9&EMail=user%40example.com&SignatureValue=993D365B8B6519A7C61D19465A85D36D&PaymentMethod=BankCard&IncCurrLabel=BankCardPSR&Shp_account=77&Shp_tenant=t1";
    let incoming = |body: &str| Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
        body: body.into(),
        source: "185.59.216.65".into(),
    };
    let reply = place.altyn.gateway_notification(gateway, incoming(body)).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"OK42"[..]));
    let forged = place.altyn.gateway_notification(gateway, incoming(&body.replace("100.0", "200.0"))).await.unwrap();
    assert_ne!(forged.body, b"OK42");
    assert_eq!(verdict(&place.altyn.exchange_get(&place.request(), payment.id).await.unwrap()), "succeeded");

    let asked = begin(&place, BeginExchange::Status { payment_id: payment.id }).await;
    assert_eq!(
        (verdict(&asked), trail(&place, asked.id).await),
        ("succeeded", vec!["send".into(), "response".into(), "outcome".into()])
    );
    let line = &server.seen()[0].line;
    assert!(line.starts_with("GET /Merchant/WebService/Service.asmx/OpStateExt?"), "{line}");
    assert!(line.contains("Signature=03638d6ff92699a9c5a18e6dc3fd7f60"), "{line}");

    let refund = BeginExchange::Refund { payment_id: payment.id, amount_minor: Some(100), reason: None };
    let refund = begin(&place, refund).await;
    assert_eq!(verdict(&refund), "pending");
    let token = server.seen().last().unwrap().body.clone();
    assert_eq!(
        token,
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJPcEtleSI6IjAwMDVGODkxLThDQ0QtNDM0Qi04NDU1LTgxNkFGRkZEQkYzNy0wVk9pc1dpa0ZGIiwiUmVmdW5kU3VtIjoxLjB9.cwAvByXr3NBeGqkF53wogFJ79Mms9OqYyLvX6aP6D84"
    );
    begin(&place, BeginExchange::RefundStatus { refund_id: refund.id }).await;
    assert_eq!(verdict(&place.altyn.exchange_get(&place.request(), refund.id).await.unwrap()), "succeeded");

    for id in [payment.id, asked.id, refund.id] {
        let kept = kept(&place, id).await;
        assert!(!kept.contains("pass_1") && !kept.contains("pass_2") && !kept.contains("pass_3"), "{kept}");
    }
    assert!(kept(&place, asked.id).await.contains("password-2"), "the name stays");
    let report = place.altyn.verify(&place.request(), VerifyOptions { replay_percent: 100 }).await.unwrap();
    assert!(report.ok && report.calls_replayed > 40, "every recorded call of a gateway replays: {report:?}");
    assert_eq!(report.calls_identical, report.calls_replayed);
}
