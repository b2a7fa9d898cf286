//! Gateways that are not malicious and lose money all the same: each breaks one rule of the conformance kit.

use altyn_plugin::gateway::{
    Answer, Claim, Incoming, Method, Operation, Outcome, ReceiptOfClaims, ReceiveStep, Received, Repetition, Request,
    Step, Subject, Verdict, header, reply,
};
use altyn_plugin::vault::{Algorithm, DigestOrder, Encoding, Piece, matches, template};
use altyn_plugin::{Context, Fault, Money, major};

use crate::{HOST, KEY, Ruse, call};

fn amount(operation: &Operation) -> Money {
    match operation {
        Operation::Pay(intent) => intent.amount.clone(),
        Operation::Status(payment) | Operation::Capture(payment) | Operation::Cancel(payment) => payment.amount.clone(),
        Operation::Refund(refund) | Operation::RefundStatus(refund) => refund.amount.clone(),
    }
}

/// What one of these does first; None when it is another ruse.
pub fn begin(ruse: Ruse, ctx: &Context, operation: &Operation) -> Option<Result<Step, Fault>> {
    let request = Request::json(format!("https://{HOST}/pay"), "{}".to_owned());
    let send = |request: Request| Ok(Step::Send(call(request, b"1")));
    Some(match (ruse, operation) {
        (Ruse::Promise, Operation::Capture(_) | Operation::Cancel(_)) => Err(Fault::Unsupported("not today".into())),
        (Ruse::Mute, _) => Outcome::declined("", " ", false).done(),
        (Ruse::TwoDigits, _) => send(Request::json(format!("https://{HOST}/pay"), major(amount(operation).minor, 2))),
        (Ruse::FreshKey, _) => send(request.with(header("idempotency-key", &ctx.now.to_string()))),
        (Ruse::OneKey, _) => send(request.with(header("idempotency-key", "1"))),
        (Ruse::DenyLost, _) => send(request.with(header("idempotency-key", id(operation)))),
        (Ruse::Resend, _) => Ok(never()),
        (Ruse::BelieveLost | Ruse::BelieveUnsent | Ruse::BelieveAll, _) => send(request),
        _ => return None,
    })
}

fn id(operation: &Operation) -> &str {
    match operation {
        Operation::Pay(intent) => &intent.id,
        Operation::Status(payment) | Operation::Capture(payment) | Operation::Cancel(payment) => &payment.id,
        Operation::Refund(refund) | Operation::RefundStatus(refund) => &refund.id,
    }
}

/// A request that may be sent once.
fn never() -> Step {
    let request = Request::new(Method::Post, format!("https://{HOST}/pay"));
    Step::Send(altyn_plugin::gateway::Call { repetition: Repetition::Never, ..call(request, b"1") })
}

/// What one of these makes of an answer; None when it is another ruse.
pub fn resume(ruse: Ruse, answer: &Answer) -> Option<Result<Step, Fault>> {
    let taken = || Outcome::new(Verdict::Succeeded).of(Money { minor: 1, currency: "RUB".into() }).done();
    Some(match (ruse, answer) {
        (Ruse::BelieveLost, Answer::Lost(_))
        | (Ruse::BelieveUnsent, Answer::NotSent(_))
        | (Ruse::BelieveAll, Answer::Response(_)) => taken(),
        (Ruse::DenyLost, Answer::Lost(why)) => Outcome::not_attempted(why.clone()).done(),
        (Ruse::Resend, Answer::Lost(_)) => Ok(never()),
        _ => return None,
    })
}

/// Reads `payment:minor` with its HMAC in `x-signature`, badly.
pub fn received(ruse: Ruse, ctx: &Context, notification: &Incoming) -> Result<Received, Fault> {
    let rejected = |reason| Ok(Received::rejected(reason, reply(403, "no")));
    let covered = if ruse == Ruse::HalfSigned { notification.body.len() / 2 } else { notification.body.len() };
    let order = DigestOrder {
        algorithm: Algorithm::Sha256,
        key: Some(template().secret(KEY).build()),
        message: vec![Piece::Bytes(notification.body[..covered].to_vec())],
        encoding: Encoding::Hex,
    };
    if !matches(&order, notification.header("x-signature").unwrap_or_default())? {
        return rejected("the signature is wrong");
    }
    let text = String::from_utf8_lossy(&notification.body).into_owned();
    let Some((payment, minor)) = text.split_once(':').and_then(|(id, minor)| Some((id, minor.parse::<i64>().ok()?)))
    else {
        return rejected("no notification");
    };
    let minor = if ruse == Ruse::Restless { ctx.now } else { minor };
    let outcome = Outcome::new(Verdict::Succeeded).of(Money { minor, currency: "RUB".into() });
    let claims = vec![Claim { subject: Subject::Intent(payment.to_owned()), outcome }];
    Ok(authentic(claims))
}

fn authentic(claims: Vec<Claim>) -> Received {
    Received::Authentic(ReceiptOfClaims { claims, taken: reply(200, "OK"), refused: reply(409, "no") })
}

/// Asks for the object of a notification whose signature is right; None when it is another ruse.
pub fn asks(ruse: Ruse, ctx: &Context, notification: &Incoming) -> Option<Result<ReceiveStep, Fault>> {
    let asking = [Ruse::HearLost, Ruse::HearFailed, Ruse::HearTruncated, Ruse::Hush, Ruse::HearTrap];
    if !asking.contains(&ruse) {
        return None;
    }
    Some(received(ruse, ctx, notification).map(|received| match received {
        Received::Authentic(_) => {
            let request = Request::new(Method::Get, format!("https://{HOST}/object"));
            ReceiveStep::Send(call(request, &notification.body))
        }
        rejected @ Received::Rejected(_) => ReceiveStep::Done(rejected),
    }))
}

/// What one of these makes of the answer about a notification; None when it is another ruse.
pub fn heard(ruse: Ruse, notification: &[u8], answer: &Answer) -> Option<Received> {
    let text = String::from_utf8_lossy(notification).into_owned();
    let (payment, minor) = text.split_once(':').unwrap_or((&text, "1"));
    let amount = Money { minor: minor.parse().unwrap_or(1), currency: "RUB".into() };
    let claim = |outcome: Outcome| vec![Claim { subject: Subject::Intent(payment.to_owned()), outcome }];
    let paid = || authentic(claim(Outcome::new(Verdict::Succeeded).of(amount.clone())));
    let later = || Received::rejected("try again", reply(503, "try again"));
    let body = match answer {
        Answer::Response(response) => String::from_utf8_lossy(&response.body).into_owned(),
        Answer::NotSent(_) | Answer::Lost(_) => String::new(),
    };
    Some(match (ruse, answer) {
        (Ruse::HearLost, Answer::Lost(_)) => paid(),
        (Ruse::HearFailed, Answer::Response(response)) if response.status >= 500 => {
            authentic(claim(Outcome::declined("500", "the server failed", true)))
        }
        (Ruse::HearTruncated, Answer::Response(_)) if body.contains("succeeded") => paid(),
        (Ruse::Hush, Answer::NotSent(_) | Answer::Lost(_)) => authentic(Vec::new()),
        (Ruse::HearTrap, Answer::Response(_)) if body.is_empty() => panic!("an object has a body"),
        (Ruse::HearLost | Ruse::HearFailed | Ruse::HearTruncated | Ruse::Hush | Ruse::HearTrap, _) => later(),
        _ => return None,
    })
}
