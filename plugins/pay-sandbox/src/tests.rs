//! The table of amounts, natively.

use altyn_plugin::gateway::{Call, Field, Incoming, Response};
use altyn_plugin::testing::{context, secrets};

use super::*;

fn rub(minor: i64) -> Money {
    Money { minor, currency: "RUB".into() }
}

fn intent(minor: i64) -> Intent {
    Intent {
        id: "exc_1".into(),
        number: 7,
        amount: rub(minor),
        exponent: 2,
        description: "Связь".into(),
        capture: true,
        return_url: String::new(),
        payer: Vec::new(),
        saved_method: None,
        save_method: false,
        receipt: None,
    }
}

fn begin(now: i64, operation: Operation) -> Outcome {
    let ctx = Context { now, ..context("{}") };
    let Ok(Step::Done(outcome)) = PaySandbox::begin(&Config::default(), &ctx, operation) else { panic!("not done") };
    outcome
}

fn paid(minor: i64) -> Outcome {
    begin(1_000, Operation::Pay(intent(minor)))
}

fn asked(minor: i64, now: i64) -> Outcome {
    let Outcome { external_id, details, .. } = paid(minor);
    let amount = rub(minor);
    let payment = Reference { id: "exc_1".into(), number: 7, external_id, amount, exponent: 2, capture: true, details };
    begin(now, Operation::Status(payment))
}

#[test]
fn the_amount_chooses_what_happens() {
    assert_eq!(paid(10_000).verdict, Verdict::Succeeded);
    assert_eq!(paid(10_000).amount, Some(rub(10_000)));
    for (minor, retryable) in [(10_001, true), (10_002, false)] {
        let Verdict::Declined(decline) = paid(minor).verdict else { panic!("{minor}") };
        assert_eq!(decline.retryable, retryable);
    }
    assert!(matches!(paid(10_003).verdict, Verdict::RequiresAction(Action::Redirect(_))));
    assert_eq!(paid(10_005).verdict, Verdict::Pending(Some(61_000)));
    assert!(matches!(paid(10_006).verdict, Verdict::Unknown(_)));
    assert!(matches!(paid(10_009).verdict, Verdict::NotAttempted(_)));
    assert_eq!(paid(10_011).fee, Some(rub(300)));
    assert_eq!(paid(10_012).amount, Some(rub(10_011)));
    assert!(PaySandbox::begin(&Config::default(), &context("{}"), Operation::Pay(intent(10_013))).is_err());
}

#[test]
fn what_is_delayed_ends_after_the_delay() {
    for (minor, before) in [(10_003, "action"), (10_005, "pending")] {
        let early = asked(minor, 2_000).verdict;
        assert_eq!(matches!(early, Verdict::RequiresAction(_)), before == "action");
        assert_eq!(asked(minor, 61_000).verdict, Verdict::Succeeded);
    }
    assert!(matches!(asked(10_004, 61_000).verdict, Verdict::Declined(_)));
    assert_eq!(asked(10_006, 2_000).verdict, Verdict::Succeeded);
    assert!(matches!(asked(10_007, 2_000).verdict, Verdict::NotAttempted(_)));
    assert_eq!(asked(10_010, 2_000).verdict, Verdict::Succeeded);
    assert!(matches!(asked(10_010, 61_000).verdict, Verdict::Returned(_)));
}

#[test]
fn money_is_held_first_when_the_intent_says_so() {
    let held = begin(0, Operation::Pay(Intent { capture: false, ..intent(10_000) }));
    assert_eq!((held.verdict, held.amount), (Verdict::Authorized, Some(rub(10_000))));
}

fn notify(body: &str, signature: &str) -> Received {
    let headers = vec![Field { name: "x-signature".into(), value: signature.into() }];
    let body = body.as_bytes().to_vec();
    let incoming = Incoming { method: "POST".into(), query: String::new(), headers, body, source: "127.0.0.1".into() };
    let Ok(ReceiveStep::Done(received)) = PaySandbox::receive(&Config::default(), &context("{}"), incoming) else {
        panic!("not done")
    };
    received
}

#[test]
fn a_signed_notification_is_believed_and_a_forged_one_is_not() {
    secrets(&[("notification-key", "s3cret")]);
    let body = r#"{"payment":"exc_1","verdict":"succeeded","amount_minor":10005,"currency":"RUB"}"#;
    let signature = sign(body.as_bytes()).unwrap();
    let Received::Authentic(receipt) = notify(body, &signature) else { panic!("rejected") };
    assert_eq!(receipt.claims.len(), 1);
    assert_eq!(receipt.claims[0].subject, Subject::Intent("exc_1".into()));
    assert_eq!(receipt.taken.body, b"OK");
    let forged = body.replace("10005", "99905");
    assert!(matches!(notify(&forged, &signature), Received::Rejected(_)));
    assert!(matches!(notify(body, ""), Received::Rejected(_)));
    let broken = "{}";
    assert!(matches!(notify(broken, &sign(broken.as_bytes()).unwrap()), Received::Rejected(_)));
}

#[test]
fn amounts_that_end_in_08_are_told_twice() {
    secrets(&[("notification-key", "s3cret")]);
    let body = r#"{"payment":"exc_1","verdict":"succeeded","amount_minor":10008,"currency":"RUB"}"#;
    let Received::Authentic(receipt) = notify(body, &sign(body.as_bytes()).unwrap()) else { panic!("rejected") };
    assert_eq!(receipt.claims.len(), 2);
    assert_eq!(receipt.claims[0], receipt.claims[1]);
}

fn with_server() -> Config {
    Config { server: Some("https://sandbox.invalid/bank/".into()), ..Config::default() }
}

fn sends(operation: Operation) -> Call {
    let Ok(Step::Send(call)) = PaySandbox::begin(&with_server(), &context("{}"), operation) else { panic!("not sent") };
    call
}

fn goes_on(call: &Call, answer: Answer) -> Verdict {
    let Ok(Step::Done(outcome)) = PaySandbox::resume(&with_server(), &context("{}"), &call.continuation, answer) else {
        panic!("not done")
    };
    assert_eq!(outcome.external_id, "sandbox-7");
    outcome.verdict
}

fn answered(status: u16, body: &str) -> Answer {
    Answer::Response(Response { status, headers: Vec::new(), body: body.into() })
}

#[test]
fn with_a_server_the_lost_answer_is_that_of_a_request() {
    for minor in [10_006, 10_007] {
        let call = sends(Operation::Pay(intent(minor)));
        assert!(matches!(call.repetition, Repetition::Never), "at most once");
        assert!(matches!(&call.request.url[0], Segment::Text(url) if url == "https://sandbox.invalid/bank/lost"));
        assert!(matches!(goes_on(&call, Answer::Lost("gone".into())), Verdict::Unknown(_)));
        assert!(matches!(goes_on(&call, Answer::NotSent("no".into())), Verdict::NotAttempted(_)));
        for (status, body) in [(200, "{}"), (200, ""), (500, r#"{"done":true}"#), (200, r#"{"done":false}"#)] {
            assert!(matches!(goes_on(&call, answered(status, body)), Verdict::Unknown(_)), "{status} {body}");
        }
    }
    let told = |minor| goes_on(&sends(Operation::Pay(intent(minor))), answered(200, r#"{"done":true}"#));
    assert_eq!(told(10_006), Verdict::Succeeded);
    assert!(matches!(told(10_007), Verdict::NotAttempted(_)));
    // Everything else is decided without a word to anybody.
    for minor in [10_000, 10_001, 10_003, 10_005] {
        assert!(matches!(
            PaySandbox::begin(&with_server(), &context("{}"), Operation::Pay(intent(minor))),
            Ok(Step::Done(_))
        ));
    }
}

#[test]
fn with_a_server_the_notification_is_handed_over_to_be_sent_twice() {
    let call = sends(Operation::Pay(intent(10_008)));
    let named = |name: &str| call.request.headers.iter().find(|header| header.name == name).unwrap();
    assert!(matches!(&named("x-times").value[0], Segment::Text(times) if times == "2"));
    assert!(matches!(&named("x-signature").value[0], Segment::Digest(_)), "the host signs");
    let Segment::Text(body) = &call.request.body[0] else { panic!("no text") };
    assert!(serde_json::from_str::<Notification>(body).is_ok(), "{body}");
    assert!(matches!(goes_on(&call, answered(200, "")), Verdict::Pending(Some(_))));
    assert!(matches!(goes_on(&call, Answer::Lost("gone".into())), Verdict::Unknown(_)));
}
