//! PayPal's objects and signatures, natively; the component is tried in the host's suite.

use altyn_plugin::gateway::{
    Action, Call, Field, Intent, Method, Outcome, Received, Reference, Refund, Response, Segment, Subject, Verdict,
};
use altyn_plugin::testing::{context, signatures_are};
use altyn_plugin::{Attribute, attribute};
use serde_json::json;

use super::*;

fn config(more: &str) -> Config {
    serde_json::from_str(&format!(r#"{{"mode":"sandbox"{more}}}"#)).unwrap()
}

fn usd(minor: i64) -> Money {
    Money { minor, currency: "USD".into() }
}

fn intent() -> Intent {
    Intent {
        id: "exc_77".into(),
        number: 7,
        amount: usd(10_000),
        exponent: 2,
        description: "Internet, November".into(),
        capture: true,
        return_url: "https://shop.example/back".into(),
        payer: Vec::new(),
        saved_method: None,
        save_method: false,
        receipt: None,
    }
}

fn reference(details: &[(&str, &str)]) -> Reference {
    let details = details.iter().map(|&(name, value)| Attribute { name: name.into(), value: value.into() });
    Reference {
        id: "exc_77".into(),
        number: 7,
        external_id: "5O190127TN364715T".into(),
        amount: usd(10_000),
        exponent: 2,
        capture: true,
        details: details.collect(),
    }
}

fn begin(operation: Operation) -> Step {
    PayPal::begin(&config(""), &context(""), operation).unwrap()
}

fn call(step: &Step) -> &Call {
    let Step::Send(call) = step else { panic!("nothing was sent: {step:?}") };
    call
}

fn url(step: &Step) -> String {
    let Segment::Text(url) = &call(step).request.url[0] else { panic!("no address") };
    url.strip_prefix("https://api-m.sandbox.paypal.com").unwrap().to_owned()
}

fn header(step: &Step, name: &str) -> String {
    let header = call(step).request.headers.iter().find(|header| header.name == name);
    header.map_or(String::new(), |header| match &header.value[..] {
        [Segment::Text(text)] => text.clone(),
        other => format!("{other:?}"),
    })
}

fn told(step: &Step, answer: Answer) -> Step {
    PayPal::resume(&config(""), &context(""), &call(step).continuation, answer).unwrap()
}

fn answered(step: &Step, status: u16, body: &serde_json::Value) -> Step {
    told(step, Answer::Response(Response { status, headers: Vec::new(), body: body.to_string().into() }))
}

fn done(step: Step) -> Outcome {
    let Step::Done(outcome) = step else { panic!("it goes on: {step:?}") };
    outcome
}

fn token() -> serde_json::Value {
    json!({ "access_token": "[captured token]", "token_type": "Bearer", "expires_in": 32400 })
}

fn capture(status: &str) -> serde_json::Value {
    json!({
        "id": "3C679366HH908993F", "status": status, "custom_id": "exc_77",
        "amount": { "currency_code": "USD", "value": "100.00" },
        "seller_receivable_breakdown": { "paypal_fee": { "currency_code": "USD", "value": "3.98" } },
    })
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
fn order(status: &str, payments: serde_json::Value) -> serde_json::Value {
    json!({
        "id": "5O190127TN364715T", "status": status,
        "purchase_units": [{ "custom_id": "exc_77", "payments": payments }],
        "links": [{ "rel": "self", "href": "https://api-m.sandbox.paypal.com/x" },
                  { "rel": "payer-action", "href": "https://www.sandbox.paypal.com/checkoutnow?token=5O190127TN364715T" }],
    })
}

#[test]
fn a_token_is_asked_with_credentials_that_only_the_host_knows_and_kept_there() {
    let step = begin(Operation::Pay(intent()));
    assert_eq!(url(&step), "/v1/oauth2/token");
    assert!(header(&step, "authorization").contains("Base64"), "{}", header(&step, "authorization"));
    assert_eq!(call(&step).captures[0].pointer, "/access_token");
}

#[test]
fn an_order_is_created_under_a_key_and_the_payer_is_sent_to_it() {
    let step = answered(&begin(Operation::Pay(intent())), 200, &token());
    assert_eq!(
        (url(&step).as_str(), header(&step, "paypal-request-id").as_str()),
        ("/v2/checkout/orders", "exc_77-order")
    );
    assert!(header(&step, "authorization").contains("Captured"));
    let Segment::Text(body) = &call(&step).request.body[0] else { panic!("no body") };
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["intent"], "CAPTURE");
    assert_eq!(body["purchase_units"][0]["amount"], json!({ "currency_code": "USD", "value": "100.00" }));
    assert_eq!(body["purchase_units"][0]["custom_id"], "exc_77");
    assert_eq!(body["payment_source"]["paypal"]["experience_context"]["return_url"], "https://shop.example/back");
    let outcome = done(answered(&step, 200, &order("PAYER_ACTION_REQUIRED", json!(null))));
    let Verdict::RequiresAction(Action::Redirect(page)) = &outcome.verdict else { panic!("{:?}", outcome.verdict) };
    assert!(page.starts_with("https://www.sandbox.paypal.com/"));
    assert_eq!(attribute(&outcome.details, "order-id"), Some("5O190127TN364715T"));
}

#[test]
fn an_approved_order_is_captured_when_it_is_asked_about() {
    let known = reference(&[("order-id", "5O190127TN364715T")]);
    let read = answered(&begin(Operation::Status(known.clone())), 200, &token());
    assert_eq!(
        (url(&read).as_str(), call(&read).request.method),
        ("/v2/checkout/orders/5O190127TN364715T", Method::Get)
    );
    let take = answered(&read, 200, &order("APPROVED", json!(null)));
    assert_eq!(url(&take), "/v2/checkout/orders/5O190127TN364715T/capture");
    assert_eq!(header(&take, "paypal-request-id"), "exc_77-capture");
    let outcome = done(answered(&take, 201, &order("COMPLETED", json!({ "captures": [capture("COMPLETED")] }))));
    assert_eq!((outcome.verdict, outcome.amount, outcome.fee), (Verdict::Succeeded, Some(usd(10_000)), Some(usd(398))));
    assert_eq!(attribute(&outcome.details, "capture-id"), Some("3C679366HH908993F"));

    let held = Reference { capture: false, ..known };
    let read = answered(&begin(Operation::Status(held)), 200, &token());
    let take = answered(&read, 200, &order("APPROVED", json!(null)));
    assert_eq!(url(&take), "/v2/checkout/orders/5O190127TN364715T/authorize");
    let authorization = json!({ "id": "0VF52814937998046", "status": "CREATED", "amount": { "currency_code": "USD", "value": "100.00" } });
    let outcome = done(answered(&take, 201, &order("COMPLETED", json!({ "authorizations": [authorization] }))));
    assert_eq!((outcome.verdict, outcome.amount), (Verdict::Authorized, Some(usd(10_000))));
}

#[test]
fn every_state_of_a_capture_has_a_meaning() {
    let stands = |status: &str| order::capture_stands(&capture(status)).verdict;
    assert_eq!(stands("COMPLETED"), Verdict::Succeeded);
    assert_eq!(stands("PARTIALLY_REFUNDED"), Verdict::Succeeded);
    assert_eq!(stands("PENDING"), Verdict::Pending(None));
    assert!(matches!(stands("DECLINED"), Verdict::Declined(_)));
    assert!(matches!(stands("REFUNDED"), Verdict::Returned(_)));
    assert!(matches!(stands("NEW"), Verdict::Unknown(_)));
}

#[test]
fn an_order_of_another_payment_is_not_believed() {
    let read = answered(&begin(Operation::Status(reference(&[("order-id", "X1")]))), 200, &token());
    let mut other = order("COMPLETED", json!({ "captures": [capture("COMPLETED")] }));
    other["purchase_units"][0]["custom_id"] = "exc_78".into();
    assert!(matches!(done(answered(&read, 200, &other)).verdict, Verdict::Unknown(_)));
}

#[test]
fn a_lost_answer_is_asked_for_again_under_the_same_key_a_bounded_number_of_times() {
    let mut step = answered(&begin(Operation::Pay(intent())), 200, &token());
    let mut sent = 1;
    let outcome = loop {
        assert_eq!(header(&step, "paypal-request-id"), "exc_77-order");
        match told(&step, Answer::Lost("timeout".into())) {
            Step::Done(outcome) => break outcome,
            renewed @ Step::Send(_) => {
                assert_eq!(url(&renewed), "/v1/oauth2/token");
                step = answered(&renewed, 200, &token());
                sent += 1;
            }
        }
    };
    assert_eq!(sent, 3);
    assert!(matches!(outcome.verdict, Verdict::Unknown(_)));
    let unsent = done(told(&begin(Operation::Pay(intent())), Answer::NotSent("no route".into())));
    assert!(matches!(unsent.verdict, Verdict::NotAttempted(_)));
}

#[test]
fn refusals_are_told_apart() {
    let act = answered(&begin(Operation::Pay(intent())), 200, &token());
    let issue =
        |issue: &str| json!({ "name": "UNPROCESSABLE_ENTITY", "message": "no", "details": [{ "issue": issue }] });
    let Verdict::Declined(decline) = done(answered(&act, 422, &issue("INSTRUMENT_DECLINED"))).verdict else { panic!() };
    assert!(decline.retryable);
    let Verdict::Declined(decline) = done(answered(&act, 422, &issue("PAYEE_ACCOUNT_RESTRICTED"))).verdict else {
        panic!()
    };
    assert!(!decline.retryable);
    let refused = Answer::Response(Response { status: 401, headers: Vec::new(), body: b"{}".to_vec() });
    let first = begin(Operation::Pay(intent()));
    let fault = PayPal::resume(&config(""), &context(""), &call(&first).continuation, refused);
    assert!(matches!(fault, Err(Fault::Misconfigured(_))));
}

#[test]
fn a_refund_goes_to_the_capture() {
    let refund = Refund {
        id: "exc_78".into(),
        payment: reference(&[("capture-id", "3C679366HH908993F")]),
        amount: usd(1_000),
        reason: "DefectiveProduct".into(),
        external_id: String::new(),
    };
    let step = answered(&begin(Operation::Refund(refund.clone())), 200, &token());
    assert_eq!(url(&step), "/v2/payments/captures/3C679366HH908993F/refund");
    assert_eq!(header(&step, "paypal-request-id"), "exc_78-refund");
    let body = json!({ "id": "1JU08902781691411", "status": "COMPLETED", "amount": { "currency_code": "USD", "value": "10.00" } });
    let outcome = done(answered(&step, 201, &body));
    assert_eq!((outcome.verdict, outcome.amount), (Verdict::Succeeded, Some(usd(1_000))));
    let asked = Refund { external_id: outcome.external_id, ..refund.clone() };
    let step = answered(&begin(Operation::RefundStatus(asked)), 200, &token());
    assert_eq!(url(&step), "/v2/payments/refunds/1JU08902781691411");
    let pending = json!({ "id": "1JU08902781691411", "status": "PENDING" });
    assert_eq!(done(answered(&step, 200, &pending)).verdict, Verdict::Pending(None));
    let early = Refund { payment: reference(&[]), ..refund };
    assert!(matches!(done(begin(Operation::Refund(early))).verdict, Verdict::NotAttempted(_)));
}

#[test]
fn held_money_is_taken_and_let_go_by_its_authorization() {
    let held = reference(&[("authorization-id", "0VF52814937998046")]);
    let take = answered(&begin(Operation::Capture(held.clone())), 200, &token());
    assert_eq!(url(&take), "/v2/payments/authorizations/0VF52814937998046/capture");
    assert_eq!(done(answered(&take, 201, &capture("COMPLETED"))).verdict, Verdict::Succeeded);
    let void = answered(&begin(Operation::Cancel(held)), 200, &token());
    assert_eq!(url(&void), "/v2/payments/authorizations/0VF52814937998046/void");
    let gone = told(&void, Answer::Response(Response { status: 204, headers: Vec::new(), body: Vec::new() }));
    assert_eq!(done(gone).verdict, Verdict::Succeeded);
}

#[test]
fn amounts_have_the_decimals_that_paypal_takes() {
    let money = |minor, currency: &str| Money { minor, currency: currency.into() };
    assert_eq!(value(&money(10_000, "USD"), 2).unwrap(), "100.00");
    assert_eq!(value(&money(100, "JPY"), 0).unwrap(), "100");
    assert_eq!(value(&money(10_000, "HUF"), 2).unwrap(), "100");
    assert!(value(&money(10_050, "HUF"), 2).is_err());
    assert!(value(&money(1_000, "KWD"), 3).is_err());
    assert_eq!(read_value("100", "JPY"), Some(money(100, "JPY")));
    assert_eq!(read_value("100", "HUF"), Some(money(10_000, "HUF")));
    assert_eq!(read_value("100.5", "JPY"), None);
}

fn delivery(event: &str, cert_url: &str) -> Incoming {
    let headers = [
        ("paypal-transmission-id", "dfb3be50-fd74-11e4-8bf3-77339302725b"),
        ("paypal-transmission-time", "2015-05-18T15:45:13Z"),
        ("paypal-transmission-sig", "AAAA"),
        ("paypal-auth-algo", "SHA256withRSA"),
        ("paypal-cert-url", cert_url),
    ];
    Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: headers.iter().map(|&(name, value)| Field { name: name.into(), value: value.into() }).collect(),
        body: event.into(),
        source: "192.0.2.1".into(),
    }
}

const CERT: &str = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";

fn event(kind: &str) -> String {
    // Spaces as a serializer would not write them: the form of the event is signed.
    format!("{{ \"event_type\" : \"{kind}\", \"resource\": {} }}", capture("COMPLETED"))
}

fn receive(config: &Config, incoming: Incoming) -> ReceiveStep {
    PayPal::receive(config, &context(""), incoming).unwrap()
}

#[test]
fn the_signed_text_has_the_checksum_of_the_raw_event() {
    let text = webhook::signed_text("id-1", "2015-05-18T15:45:13Z", "4JH86294D6297924G", "123456789");
    assert_eq!(text, "id-1|2015-05-18T15:45:13Z|4JH86294D6297924G|3421780262");
}

#[test]
fn paypal_is_asked_whether_the_event_is_its_own_byte_for_byte() {
    let shop = config(r#","webhook_id":"4JH86294D6297924G""#);
    let event = event("PAYMENT.CAPTURE.COMPLETED");
    let ReceiveStep::Send(first) = receive(&shop, delivery(&event, CERT)) else { panic!("nothing was sent") };
    let answer = |call: &Call, status, body: serde_json::Value| {
        let response = Response { status, headers: Vec::new(), body: body.to_string().into() };
        PayPal::receive_resume(&shop, &context(""), &call.continuation, Answer::Response(response)).unwrap()
    };
    let ReceiveStep::Send(second) = answer(&first, 200, token()) else { panic!("nothing was asked") };
    let Segment::Text(body) = &second.request.body[0] else { panic!("no body") };
    assert!(body.contains(&event), "{body}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["webhook_id"], "4JH86294D6297924G");
    let ReceiveStep::Done(Received::Authentic(receipt)) =
        answer(&second, 200, json!({ "verification_status": "SUCCESS" }))
    else {
        panic!("rejected")
    };
    assert_eq!(receipt.claims[0].subject, Subject::Intent("exc_77".into()));
    assert_eq!(receipt.claims[0].outcome.amount, Some(usd(10_000)));
    let forged = answer(&second, 200, json!({ "verification_status": "FAILURE" }));
    assert!(matches!(forged, ReceiveStep::Done(Received::Rejected(_))));
    let ReceiveStep::Done(Received::Rejected(later)) = answer(&second, 500, json!({})) else { panic!("believed") };
    assert_eq!(later.reply.status, 503);
}

#[test]
fn a_certificate_is_fetched_from_paypal_only() {
    let shop = config(r#","webhook_id":"W","webhook_check":"certificate""#);
    let ReceiveStep::Send(fetch) = receive(&shop, delivery(&event("X"), CERT)) else { panic!("not fetched") };
    assert_eq!(fetch.request.url, [Segment::Text(CERT.into())]);
    for url in [
        "https://evil.example/v1/notifications/certs/CERT-1",
        "https://api.sandbox.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://api.sandbox.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.sandbox.paypal.com/v1/notifications/certs/../../other",
        "https://api.paypal.com/v1/notifications/certs/CERT-1",
    ] {
        let step = receive(&shop, delivery(&event("X"), url));
        assert!(matches!(step, ReceiveStep::Done(Received::Rejected(_))), "{url}");
    }
}

#[test]
fn a_pinned_certificate_needs_no_question() {
    let shop = config(r#","webhook_id":"W","webhook_check":"certificate","webhook_certificate":"PEM""#);
    signatures_are(true);
    for (kind, claims) in [
        ("PAYMENT.CAPTURE.COMPLETED", 1),
        ("PAYMENT.CAPTURE.REVERSED", 1),
        ("PAYMENT.CAPTURE.REFUNDED", 0),
        ("OTHER", 0),
    ] {
        let ReceiveStep::Done(Received::Authentic(receipt)) = receive(&shop, delivery(&event(kind), CERT)) else {
            panic!("{kind}")
        };
        assert_eq!(receipt.claims.len(), claims, "{kind}");
    }
    signatures_are(false);
    let step = receive(&shop, delivery(&event("PAYMENT.CAPTURE.COMPLETED"), CERT));
    assert!(matches!(step, ReceiveStep::Done(Received::Rejected(_))));
}

#[test]
fn what_is_no_webhook_is_rejected_before_anything_is_asked() {
    let shop = config(r#","webhook_id":"W""#);
    let good = delivery(&event("X"), CERT);
    let without = |name: &str| {
        let headers = good.headers.iter().filter(|field| field.name != name).cloned().collect();
        Incoming { headers, ..good.clone() }
    };
    for incoming in [
        without("paypal-transmission-id"),
        without("paypal-transmission-sig"),
        without("paypal-auth-algo"),
        Incoming { body: b"[]".to_vec(), ..good.clone() },
        Incoming { body: vec![0xff], ..good.clone() },
        Incoming { body: vec![b' '; 20_000], ..good.clone() },
    ] {
        assert!(matches!(receive(&shop, incoming), ReceiveStep::Done(Received::Rejected(_))));
    }
    assert!(matches!(receive(&config(""), good), ReceiveStep::Done(Received::Rejected(_))), "no webhook id");
}
