//! The protocol of README.md, without a bank: what is sent, and what its answers mean.

use altyn_plugin::gateway::{Field, Response};
use altyn_plugin::testing::{context, secrets};
use altyn_plugin::vault::digest;

use super::*;

fn intent() -> Intent {
    Intent {
        id: "pay_7".into(),
        number: 7,
        amount: Money { minor: 59_000, currency: "KZT".into() },
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

fn begun() -> (String, Vec<u8>) {
    let step = CounterBank::begin(&NoConfig {}, &context(""), Operation::Pay(intent())).unwrap();
    let Step::Send(call) = step else { panic!("nothing was sent: {step:?}") };
    let Segment::Text(body) = &call.request.body[0] else { panic!("no body") };
    (body.clone(), call.continuation)
}

fn told(answer: Answer) -> Verdict {
    let step = CounterBank::resume(&NoConfig {}, &context(""), &begun().1, answer).unwrap();
    let Step::Done(outcome) = step else { panic!("it goes on: {step:?}") };
    outcome.verdict
}

fn answered(status: u16, state: &str, more: &str) -> Verdict {
    let body = format!(r#"{{"number":"b1","id":"pay_7","state":"{state}","amount":"590.00","currency":"KZT"{more}}}"#);
    told(Answer::Response(Response { status, headers: Vec::new(), body: body.into() }))
}

#[test]
fn the_amount_is_sent_in_major_units() {
    assert!(begun().0.contains(r#""amount":"590.00""#), "{}", begun().0);
}

#[test]
fn each_answer_of_the_bank_has_its_verdict() {
    assert_eq!(answered(201, "paid", ""), Verdict::Succeeded);
    let page = answered(201, "new", r#","page":"https://pay.counter-bank.example/b1""#);
    assert!(matches!(page, Verdict::RequiresAction(Action::Redirect(_))), "{page:?}");
    assert!(matches!(answered(201, "new", r#","page":"http://x""#), Verdict::Pending(None)));
    assert!(
        matches!(answered(200, "failed", r#","reason":"insufficient-funds""#), Verdict::Declined(why) if why.retryable)
    );
    assert!(matches!(answered(200, "eaten", ""), Verdict::Unknown(_)));
    assert!(matches!(answered(422, "paid", ""), Verdict::NotAttempted(_)), "a refused request took no money");
    assert!(matches!(answered(500, "paid", ""), Verdict::Unknown(_)));
    assert!(matches!(told(Answer::Lost("no answer".into())), Verdict::Unknown(_)));
    assert!(matches!(told(Answer::NotSent("no such host".into())), Verdict::NotAttempted(_)));
}

#[test]
fn a_notification_counts_only_with_the_signature_of_its_body() {
    secrets(&[("notification-key", "key")]);
    let body = br#"{"number":"b1","id":"pay_7","state":"paid","amount":"590.00","currency":"KZT"}"#.to_vec();
    let signature = digest(&DigestOrder {
        algorithm: Algorithm::Sha256,
        key: Some(template().secret("notification-key").build()),
        message: vec![Piece::Bytes(body.clone())],
        encoding: Encoding::Hex,
    });
    let incoming = |signature: String, body: Vec<u8>| Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: vec![Field { name: "x-counter-signature".into(), value: signature }],
        body,
        source: "192.0.2.1".into(),
    };
    let good = received(&incoming(signature.clone().unwrap(), body.clone())).unwrap();
    let Received::Authentic(receipt) = good else { panic!("{good:?}") };
    assert_eq!(receipt.claims[0].outcome.verdict, Verdict::Succeeded);
    let mut forged = body;
    forged[30] ^= 1;
    assert!(matches!(received(&incoming(signature.unwrap(), forged)).unwrap(), Received::Rejected(_)));
}
