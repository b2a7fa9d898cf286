//! Notifications that a gateway cannot check: it asks its server about them, and the server answers badly or not at all.
//!
//! A notification is a stranger's word until it is verified. So whatever comes back in place of the object that would
//! verify it: no claim settles a payment, and the notification is not thanked for, so that it comes again.

use altyn_domain::exchange::{Answer, Incoming, MAX_REQUESTS};
use altyn_domain::gateway::{ReceiveStep, Received, Verdict};

use super::gateway_rules::{Gateway, LET_IN, NOTHING_SAID, let_in, response};
use crate::failure::CallFailure;

/// How many requests are answered well before one is not: a gateway may want to be let in first.
const STEPS: usize = 4;
/// A whole object that nobody asked for, in the words of many gateways: cut off at several places it proves nothing.
const OBJECT: &str = concat!(
    r#"{"event":"payment.succeeded","paid":true,"state":"paid","status":"succeeded","verification_status":"SUCCESS","#,
    r#""object":{"id":"kit-1","status":"succeeded","captured":true,"amount":{"value":"12345.67","currency":"RUB"}}}"#
);
/// Where it is cut off, bytes: in a name, after a word, within the object, before its last brace.
const CUTS: [usize; 6] = [1, 30, 60, 100, 150, 190];
/// Answers whose form is no object, and one that is nothing but the beginning of text.
const STRANGE: [&str; 6] = ["null", "[]", "0", "\"succeeded\"", "OK", "\u{feff}{\"status\":"];

/// What was found of notifications that could not be checked.
pub(super) struct Unchecked {
    /// The first that settled or declined a payment.
    pub(super) settled: Option<String>,
    /// The first that would not come again.
    pub(super) hushed: Option<String>,
    /// How many examples made the gateway ask.
    pub(super) fetching: usize,
}

/// How a notification ended.
struct Heard {
    requests: usize,
    end: Result<Received, CallFailure>,
}

/// Everything that a server does instead of answering, with words for it.
pub(super) fn bad_answers() -> Vec<(String, Answer)> {
    let mut answers = vec![
        ("a lost answer".to_owned(), Answer::Lost("the connection broke".into())),
        ("a slow answer".to_owned(), Answer::Lost("no answer within 10 seconds".into())),
        ("a request that was not sent".to_owned(), Answer::NotSent("nobody takes connections".into())),
    ];
    let statuses = [429, 500, 502, 504].map(|status| (status, OBJECT));
    for (status, body) in statuses.into_iter().chain(NOTHING_SAID).chain([(200, LET_IN)]) {
        answers.push((format!("{status} {body:?}"), response(status, body)));
    }
    let cut = CUTS.iter().filter_map(|&length| OBJECT.get(..length));
    for body in cut.chain(STRANGE) {
        answers.push((format!("200 {body:?}"), response(200, body)));
    }
    answers
}

impl Gateway<'_> {
    /// Sends each example, and answers what the gateway then asks as badly as servers do.
    pub(super) fn unchecked(&self, examples: &[Incoming]) -> Unchecked {
        let mut found = Unchecked { settled: None, hushed: None, fetching: 0 };
        for example in examples {
            let signed = self.signed(example);
            let notification = signed.as_ref().unwrap_or(example);
            let asks = matches!(self.receive(notification), Ok(ReceiveStep::Send(_)));
            found.fetching += usize::from(asks);
            if !asks {
                continue;
            }
            for first in 0..STEPS {
                for (what, bad) in bad_answers() {
                    let heard = self.heard(notification, |at| if at < first { let_in(at) } else { bad.clone() });
                    if heard.requests > first {
                        found.judge(&what, &heard.end);
                    }
                }
            }
        }
        found
    }

    /// Follows a notification to its end; `answer` is asked for the answer to each request by its place.
    fn heard(&self, notification: &Incoming, answer: impl Fn(usize) -> Answer) -> Heard {
        let mut requests = 0;
        let mut step = self.receive(notification);
        loop {
            match step {
                // More requests than the host sends: the host ends it and answers that it may come again.
                Ok(ReceiveStep::Send(_)) if requests >= MAX_REQUESTS => {
                    let failure = CallFailure::InvalidAnswer("too many requests".into());
                    return Heard { requests, end: Err(failure) };
                }
                Ok(ReceiveStep::Send(call)) => {
                    step = self.receive_on(&call.continuation, &answer(requests));
                    requests += 1;
                }
                Ok(ReceiveStep::Done(received)) => return Heard { requests, end: Ok(received) },
                Err(failure) => return Heard { requests, end: Err(failure) },
            }
        }
    }
}

impl Unchecked {
    fn judge(&mut self, what: &str, end: &Result<Received, CallFailure>) {
        let (settles, reply) = match end {
            // The host answers a fault with 503.
            Err(CallFailure::Refused { .. }) => return,
            Err(CallFailure::InvalidAnswer(reason)) if reason == "too many requests" => return,
            Err(failure) => {
                self.settled.get_or_insert_with(|| format!("{what}: {failure}"));
                return;
            }
            Ok(Received::Authentic { claims, taken, .. }) => {
                (claims.iter().map(|claim| &claim.outcome.verdict).find(|verdict| settles(verdict)), taken)
            }
            Ok(Received::Rejected { reply, .. }) => (None, reply),
        };
        if let Some(verdict) = settles {
            self.settled.get_or_insert_with(|| format!("{what} was taken for {}", verdict.name()));
        }
        if (200..300).contains(&reply.status) {
            self.hushed.get_or_insert_with(|| format!("{what} is answered with {}", reply.status));
        }
    }
}

/// Whether a verdict ends a payment, or lets somebody begin it again.
fn settles(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Succeeded
        | Verdict::Authorized
        | Verdict::Returned { .. }
        | Verdict::Declined { .. }
        | Verdict::NotAttempted { .. } => true,
        Verdict::Pending { .. } | Verdict::RequiresAction { .. } | Verdict::Unknown { .. } | Verdict::Other { .. } => {
            false
        }
    }
}
