//! What a gateway holds beyond its answers to single questions: its word about itself, amounts in every currency, answers
//! that are lost or say nothing, and notifications that somebody changed on the way.
//!
//! The kit plays every server there is: it answers requests as badly as servers do, and believes nothing but what the
//! gateway makes of it. Secrets are made up, so it can say what a right signature would have been.

use std::collections::BTreeSet;
use std::sync::Arc;

use altyn_domain::exchange::{
    Answer, HttpCall, HttpRequest, HttpResponse, Incoming, MAX_REQUESTS, Piece, Repetition, Segment,
};
use altyn_domain::gateway::{
    Action, Capabilities, Claim, Intent, Operation, Outcome, ReceiveStep, Received, Reference, Refund, Step, Verdict,
};
use altyn_domain::money::{Currency, Money};
use altyn_domain::plugin::CallContext;

use super::Check;
use super::gateway_unchecked::{Unchecked, bad_answers};
use crate::engine::Runtime;
use crate::failure::{CallFailure, FaultKind};
use crate::install::Plugin;
use crate::keyring::Keyring;

/// An hour, after which the same is asked again.
const LATER_MS: i64 = 3_600_000;
/// How many bytes of a notification are changed, one at a time.
const FORGERIES: usize = 48;
/// Currencies of two, no and three digits; a gateway is asked in those that it takes.
const CURRENCIES: [&str; 10] = ["RUB", "JPY", "KWD", "KZT", "USD", "EUR", "BHD", "KRW", "BYN", "GBP"];
/// The amount of everything that is asked here, minor units.
const MINOR: i64 = 1_234_567;
/// How it would be written with the minor units of most currencies.
const OF_TWO_DIGITS: &str = "12345.67";
/// Statuses and bodies that say nothing of money.
pub(super) const NOTHING_SAID: [(u16, &str); 10] = [
    (200, ""),
    (200, "{}"),
    (200, "<html><body>OK</body></html>"),
    (204, ""),
    (302, ""),
    (401, "{}"),
    (404, "not found"),
    (422, r#"{"error":"declined","message":"declined"}"#),
    (500, ""),
    (503, "busy"),
];
/// What lets a gateway go on that only wanted to be let in.
pub(super) const LET_IN: &str = r#"{"access_token":"kit-token-0000","token":"kit-token-0000","expires_in":3600}"#;

/// A gateway under examination.
pub(super) struct Gateway<'a> {
    runtime: &'a Runtime,
    plugin: &'a Plugin,
    ctx: CallContext,
    keyring: Arc<Keyring>,
}

/// What was sent, and how it ended.
struct Trail {
    sent: Vec<HttpCall>,
    end: Result<Outcome, CallFailure>,
}

/// An operation, how the contract calls it, and whether the capabilities promise it.
struct Asked {
    name: &'static str,
    promised: bool,
    operation: Operation,
}

type Breach = Option<String>;

impl<'a> Gateway<'a> {
    pub(super) fn new(runtime: &'a Runtime, plugin: &'a Plugin, ctx: CallContext) -> Self {
        let mut keyring = Keyring::telling();
        for secret in runtime.describe(plugin).map(|descriptor| descriptor.secrets).unwrap_or_default() {
            // Not empty, so it is taken.
            let _ = keyring.add(&secret, format!("kit-{secret}").as_bytes());
        }
        Self { runtime, plugin, ctx, keyring: Arc::new(keyring) }
    }

    /// Every rule of this page; `notifications` are examples of what the gateway sends, with any signature.
    pub(super) fn rules(&self, notifications: &[Incoming]) -> Vec<Check> {
        let capabilities = self.runtime.gateway_capabilities(self.plugin, &self.ctx).result;
        let can = match capabilities {
            Ok(can) => can,
            Err(failure) => {
                return vec![check("capabilities are told", Some(failure.to_string()), String::new())];
            }
        };
        let currencies = currencies(&can);
        let Some(first) = currencies.first() else {
            let none = format!("it takes none of {}", CURRENCIES.join(", "));
            return vec![check("capabilities are told", Some(none), String::new())];
        };
        let asked = operations(&can, *first);
        let served: Vec<&Asked> = asked.iter().filter(|asked| asked.promised).collect();
        let names = || served.iter().map(|asked| asked.name).collect::<Vec<_>>().join(", ");
        let told = currencies.iter().map(Currency::code).collect::<Vec<_>>().join(", ");
        let (taken, mute) = self.said_nothing(&served, *first);
        let (forged, replayed, examples) = self.notifications(&can, notifications);
        let examined = format!("{examples} of {} examples, each with a right signature", notifications.len());
        let Unchecked { settled, hushed, fetching } = self.unchecked(notifications);
        vec![
            check(
                "capabilities agree with one another",
                contradiction(&can),
                format!("{} currencies", can.currencies.len()),
            ),
            check("what the capabilities promise is served", self.unserved(&served), names()),
            check(
                "what they do not promise moves no money",
                asked.iter().filter(|asked| !asked.promised).find_map(|asked| self.served_in_secret(asked)),
                format!("{} operations", asked.len() - served.len()),
            ),
            check("an amount is written with the digits of its currency", self.miswritten(&can, &currencies), told),
            check(
                "the same intent has the same key, and another intent another",
                self.loose_key(&can, *first),
                "an hour later".into(),
            ),
            check(
                "an answer that is lost is no success, and what may not be repeated is not",
                served.iter().find_map(|asked| self.lost(asked)),
                names(),
            ),
            check("what was not sent is no success", served.iter().find_map(|asked| self.not_sent(asked)), names()),
            check(
                "an answer that says nothing is no success",
                taken,
                format!("{} kinds of answers", NOTHING_SAID.len()),
            ),
            check("a decline says why", mute, "everything that was declined".into()),
            check("a notification that is changed by a byte claims nothing else", forged, examined.clone()),
            check("a notification that comes again says the same", replayed, examined),
            check(
                "a notification that could not be checked settles nothing",
                settled,
                format!(
                    "{fetching} of {} examples ask first, {} answers each",
                    notifications.len(),
                    bad_answers().len()
                ),
            ),
            check(
                "a notification that could not be checked is asked for again",
                hushed,
                "a fault, or a reply that is no 2xx".into(),
            ),
        ]
    }

    /// Follows an operation to its end; `answer` is asked for the answer to each request by its place.
    fn walk(&self, ctx: &CallContext, operation: &Operation, answer: impl Fn(usize) -> Answer) -> Trail {
        let mut sent: Vec<HttpCall> = Vec::new();
        let mut step = self.runtime.gateway_begin(self.plugin, ctx, &self.keyring, operation).result;
        loop {
            match step {
                // More requests than the host sends: the host ends it, and nobody can tell.
                Ok(Step::Send(_)) if sent.len() >= MAX_REQUESTS => {
                    let verdict = Verdict::Unknown { reason: "too many requests".into() };
                    return Trail { sent, end: Ok(outcome(verdict)) };
                }
                Ok(Step::Send(call)) => {
                    let answer = answer(sent.len());
                    let continued =
                        self.runtime.gateway_resume(self.plugin, ctx, &self.keyring, &call.continuation, &answer);
                    sent.push(call);
                    step = continued.result;
                }
                Ok(Step::Done(outcome)) => return Trail { sent, end: Ok(outcome) },
                Err(failure) => return Trail { sent, end: Err(failure) },
            }
        }
    }

    fn unserved(&self, promised: &[&Asked]) -> Breach {
        promised.iter().find_map(|asked| match self.walk(&self.ctx, &asked.operation, let_in).end {
            Err(CallFailure::Refused { kind: FaultKind::Unsupported, message }) => {
                Some(format!("{} is promised and not supported: {message}", asked.name))
            }
            Err(failure @ CallFailure::Refused { .. }) if asked.name == "pay" => Some(format!("pay: {failure}")),
            Err(CallFailure::Refused { .. }) | Ok(_) => None,
            Err(failure) => Some(format!("{}: {failure}", asked.name)),
        })
    }

    fn served_in_secret(&self, asked: &Asked) -> Breach {
        // A question moves nothing, and a wish to keep the payer's method may be passed over.
        match &asked.operation {
            Operation::Status(_) | Operation::RefundStatus(_) => return None,
            Operation::Pay(intent) if intent.save_method => return None,
            _ => {}
        }
        let trail = self.walk(&self.ctx, &asked.operation, let_in);
        let moved = trail.end.as_ref().is_ok_and(|outcome| moves_money(&outcome.verdict)) || !trail.sent.is_empty();
        moved.then(|| format!("{} is not promised, and was done or sent", asked.name))
    }

    fn miswritten(&self, can: &Capabilities, currencies: &[Currency]) -> Breach {
        currencies.iter().filter(|currency| currency.exponent() != 2).find_map(|currency| {
            operations(can, *currency).iter().filter(|asked| asked.promised).find_map(|asked| {
                let trail = self.walk(&self.ctx, &asked.operation, let_in);
                let mut texts: Vec<String> = trail.sent.iter().flat_map(|call| plain(&call.request)).collect();
                if let Ok(Outcome { verdict: Verdict::RequiresAction { action }, .. }) = &trail.end {
                    texts.extend(shown(action));
                }
                let found = texts.iter().find(|text| text.contains(OF_TWO_DIGITS));
                let (name, code, digits) = (asked.name, currency.code(), currency.exponent());
                found.map(|text| format!("{name} in {code}, of {digits} digits, writes {OF_TWO_DIGITS}: {text}"))
            })
        })
    }

    fn loose_key(&self, can: &Capabilities, currency: Currency) -> Breach {
        let later = CallContext { now_ms: self.ctx.now_ms + LATER_MS, ..self.ctx.clone() };
        let mut pairs = vec![("pay", pay("kit_1", 1, currency), pay("kit_2", 2, currency))];
        if can.refunds {
            pairs.push(("refund", refund("kit_1", currency, MINOR), refund("kit_2", currency, MINOR)));
        }
        pairs.iter().find_map(|(name, one, other)| {
            let keys = |ctx, operation| -> Vec<String> {
                self.walk(ctx, operation, let_in).sent.iter().flat_map(|call| keys(&call.request)).collect()
            };
            let (first, again, another) = (keys(&self.ctx, one), keys(&later, one), keys(&self.ctx, other));
            if first != again {
                return Some(format!("{name} has the key {first:?}, and an hour later {again:?}"));
            }
            let same = !first.is_empty() && first == another;
            same.then(|| format!("{name} of another intent has the same key, {first:?}"))
        })
    }

    fn lost(&self, asked: &Asked) -> Breach {
        let name = asked.name;
        (0..4).find_map(|first| {
            let lost = |at| if at < first { let_in(at) } else { Answer::Lost("the connection broke".into()) };
            let trail = self.walk(&self.ctx, &asked.operation, lost);
            if trail.sent.len() <= first {
                return None;
            }
            let once: Vec<&HttpCall> =
                trail.sent.iter().skip(first).filter(|call| call.repetition == Repetition::Never).collect();
            if once.iter().enumerate().any(|(at, call)| once.iter().skip(at + 1).any(|c| c.request == call.request)) {
                return Some(format!("{name}: a request that may not be sent again was"));
            }
            let keyed = trail.sent.iter().skip(first).any(|call| !keys(&call.request).is_empty());
            match trail.end {
                Ok(outcome) if moves_money(&outcome.verdict) || matches!(outcome.verdict, Verdict::Declined { .. }) => {
                    Some(format!("{name}: the answer is lost, and the verdict {}", outcome.verdict.name()))
                }
                Ok(Outcome { verdict: Verdict::NotAttempted { .. }, .. }) if keyed || !once.is_empty() => {
                    Some(format!("{name}: the answer is lost, and it is told that nothing was begun"))
                }
                Err(failure) if !matches!(failure, CallFailure::Refused { .. }) => Some(format!("{name}: {failure}")),
                _ => None,
            }
        })
    }

    fn not_sent(&self, asked: &Asked) -> Breach {
        (0..4).find_map(|first| {
            let unsent = |at| if at < first { let_in(at) } else { Answer::NotSent("nobody takes connections".into()) };
            let trail = self.walk(&self.ctx, &asked.operation, unsent);
            let verdict =
                trail.end.as_ref().ok().map(|outcome| &outcome.verdict).filter(|_| trail.sent.len() > first)?;
            let wrong = moves_money(verdict) || matches!(verdict, Verdict::Declined { .. });
            wrong.then(|| format!("{}: nothing was sent, and the verdict is {}", asked.name, verdict.name()))
        })
    }

    /// What is wrong with answers that say nothing, and with declines: servers decline by such answers, too.
    fn said_nothing(&self, served: &[&Asked], currency: Currency) -> (Breach, Breach) {
        let (mut taken, mut mute) = (None, None);
        for asked in served {
            for ((status, body), first) in NOTHING_SAID.iter().flat_map(|said| [(said, 0), (said, 1)]) {
                let answer = |at| if at < first { let_in(at) } else { response(*status, body) };
                let trail = self.walk(&self.ctx, &asked.operation, answer);
                mute = mute.or_else(|| wordless(&asked.operation, &trail));
                // Giving up takes no money, and some gateways answer it without a word.
                if trail.sent.len() <= first || matches!(asked.operation, Operation::Cancel(_)) {
                    continue;
                }
                let wrong = match &trail.end {
                    Ok(outcome) if moves_money(&outcome.verdict) => Some(outcome.verdict.name().to_string()),
                    Err(failure) if !matches!(failure, CallFailure::Refused { .. }) => Some(failure.to_string()),
                    _ => None,
                };
                let told = |wrong| format!("{}: {status} {body:?} was taken for {wrong}", asked.name);
                taken = taken.or_else(|| wrong.map(told));
            }
        }
        // Test gateways decide by the amount.
        for minor in 1..20 {
            let mut operation = pay("kit_1", 1, currency);
            if let Operation::Pay(intent) = &mut operation {
                intent.amount = Money::new(10_000 + minor, currency);
            }
            mute = mute.or_else(|| wordless(&operation, &self.walk(&self.ctx, &operation, let_in)));
        }
        (taken, mute)
    }

    /// What is wrong with changed and with repeated notifications, and how many examples were made authentic.
    fn notifications(&self, can: &Capabilities, examples: &[Incoming]) -> (Breach, Breach, usize) {
        let (mut forged, mut replayed, mut authentic) = (None, None, 0);
        for example in examples {
            let Some(signed) = self.signed(example) else { continue };
            let Some(claims) = self.claims(&self.ctx, &signed).filter(|claims| !claims.is_empty()) else { continue };
            authentic += 1;
            if !can.notifications {
                forged = Some("it takes notifications and does not promise to".to_owned());
            }
            forged = forged.or_else(|| self.forged(&signed, &claims));
            let later = CallContext { now_ms: self.ctx.now_ms + LATER_MS, ..self.ctx.clone() };
            for ctx in [&self.ctx, &later] {
                if self.claims(ctx, &signed).as_ref() != Some(&claims) {
                    replayed = Some("the second time it claimed something else".to_owned());
                }
            }
        }
        (forged, replayed, authentic)
    }

    /// The example with the signature that is right under the kit's secrets; None where a digest does not prove it.
    pub(super) fn signed(&self, example: &Incoming) -> Option<Incoming> {
        drop(self.keyring.shown());
        drop(self.runtime.gateway_receive(self.plugin, &self.ctx, &self.keyring, example));
        let shown = self.keyring.shown().pop()?;
        let right = |text: &str| text.replace(&shown.presented, &shown.right);
        let mut signed = example.clone();
        signed.query = right(&signed.query);
        signed.headers.iter_mut().for_each(|(_, value)| *value = right(value));
        signed.body = right(&String::from_utf8(signed.body).ok()?).into_bytes();
        Some(signed)
    }

    /// What comes first with a notification.
    pub(super) fn receive(&self, notification: &Incoming) -> Result<ReceiveStep, CallFailure> {
        self.runtime.gateway_receive(self.plugin, &self.ctx, &self.keyring, notification).result
    }

    /// What comes next with a notification.
    pub(super) fn receive_on(&self, continuation: &[u8], answer: &Answer) -> Result<ReceiveStep, CallFailure> {
        self.runtime.gateway_receive_resume(self.plugin, &self.ctx, &self.keyring, continuation, answer).result
    }

    /// What a notification claims; None when it is rejected or a fault.
    fn claims(&self, ctx: &CallContext, notification: &Incoming) -> Option<Vec<Claim>> {
        match self.runtime.gateway_receive(self.plugin, ctx, &self.keyring, notification).result {
            Ok(ReceiveStep::Done(Received::Authentic { claims, .. })) => Some(claims),
            _ => None,
        }
    }

    fn forged(&self, authentic: &Incoming, claims: &[Claim]) -> Breach {
        let length = authentic.body.len();
        let places: BTreeSet<usize> =
            (0..FORGERIES.min(length)).map(|at| at * length / FORGERIES.min(length)).collect();
        let bodies = places.into_iter().map(|at| {
            let mut forged = authentic.clone();
            if let Some(byte) = forged.body.get_mut(at) {
                *byte ^= 1;
            }
            (format!("byte {at} of the body"), forged)
        });
        let headers = authentic.headers.iter().enumerate().filter(|(_, (name, _))| name != "content-type").map(
            |(at, (name, _))| {
                let mut forged = authentic.clone();
                if let Some((_, value)) = forged.headers.get_mut(at) {
                    let last = if value.ends_with('1') { '2' } else { '1' };
                    value.pop();
                    value.push(last);
                }
                (format!("the header {name}"), forged)
            },
        );
        bodies.chain(headers).find_map(|(what, forged)| {
            let other = self.claims(&self.ctx, &forged).filter(|found| !found.is_empty() && found != claims);
            other.map(|_| format!("{what} was changed, and it claims something else"))
        })
    }
}

fn check(rule: &str, breach: Breach, asked: String) -> Check {
    let (kept, detail) = breach.map_or((true, asked), |breach| (false, breach));
    Check { rule: rule.into(), kept, detail }
}

pub(super) fn response(status: u16, body: &str) -> Answer {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Answer::Response(HttpResponse { status, headers, body: body.into() })
}

pub(super) fn let_in(_: usize) -> Answer {
    response(200, LET_IN)
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome { verdict, external_id: String::new(), amount: None, fee: None, saved_method: None, details: Vec::new() }
}

/// A decline without a reason.
fn wordless(operation: &Operation, trail: &Trail) -> Breach {
    let Ok(Outcome { verdict: Verdict::Declined { code, message, .. }, .. }) = &trail.end else { return None };
    let mute = code.trim().is_empty() && message.trim().is_empty();
    mute.then(|| format!("{} was declined without a word", operation.kind()))
}

fn moves_money(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Succeeded | Verdict::Authorized | Verdict::Returned { .. })
}

fn contradiction(can: &Capabilities) -> Breach {
    let mut seen = BTreeSet::new();
    let wrong = can.currencies.iter().find(|code| Currency::parse(code).is_err() || !seen.insert(code.as_str()));
    if let Some(code) = wrong {
        return Some(format!("the currency {code} is none, or stands twice"));
    }
    [(can.partial_refunds, "partial-refunds"), (can.refund_status, "refund-status")]
        .into_iter()
        .find(|(promised, _)| *promised && !can.refunds)
        .map(|(_, what)| format!("{what} without refunds"))
}

/// One currency of each number of digits, of those that it takes.
fn currencies(can: &Capabilities) -> Vec<Currency> {
    let mut found: Vec<Currency> = Vec::new();
    let taken = |code: &&str| can.currencies.is_empty() || can.currencies.iter().any(|own| own == code);
    for currency in CURRENCIES.iter().filter(|code| taken(code)).filter_map(|code| Currency::parse(code).ok()) {
        if found.iter().all(|known| known.exponent() != currency.exponent()) {
            found.push(currency);
        }
    }
    if found.is_empty() {
        found.extend(can.currencies.first().and_then(|code| Currency::parse(code).ok()));
    }
    found
}

fn pay(id: &str, number: u64, currency: Currency) -> Operation {
    Operation::Pay(Intent {
        id: id.into(),
        number,
        amount: Money::new(MINOR, currency),
        description: "Счёт 1".into(),
        capture: true,
        return_url: "https://example.com/paid".into(),
        payer: Vec::new(),
        saved_method: None,
        save_method: false,
        receipt: None,
    })
}

fn reference(currency: Currency) -> Reference {
    Reference {
        id: "kit_1".into(),
        number: 1,
        external_id: "kit-1".into(),
        amount: Money::new(MINOR, currency),
        capture: true,
        details: Vec::new(),
    }
}

fn refund(id: &str, currency: Currency, minor: i64) -> Operation {
    let external_id = String::new();
    let (payment, amount) = (reference(currency), Money::new(minor, currency));
    Operation::Refund(Refund { id: id.into(), payment, amount, reason: String::new(), external_id })
}

fn operations(can: &Capabilities, currency: Currency) -> Vec<Asked> {
    let intent = |capture, save_method| match pay("kit_1", 1, currency) {
        Operation::Pay(intent) => Operation::Pay(Intent { capture, save_method, ..intent }),
        other => other,
    };
    let held = || Reference { capture: false, ..reference(currency) };
    let named = match refund("kit_1", currency, MINOR) {
        Operation::Refund(refund) => Operation::RefundStatus(Refund { external_id: "kit-refund-1".into(), ..refund }),
        other => other,
    };
    let asked = |name, promised, operation| Asked { name, promised, operation };
    vec![
        asked("pay", true, intent(true, false)),
        asked("pay in two stages", can.two_stage, intent(false, false)),
        asked("pay and keep the method", can.saved_methods, intent(true, true)),
        asked("status", can.status, Operation::Status(reference(currency))),
        asked("capture", can.two_stage, Operation::Capture(held())),
        asked("cancel", can.two_stage, Operation::Cancel(held())),
        asked("refund", can.refunds, refund("kit_1", currency, MINOR)),
        asked("refund of a part", can.partial_refunds, refund("kit_1", currency, MINOR - 1)),
        asked("refund-status", can.refund_status, named),
    ]
}

/// The keys of a request by which a gateway does things once.
fn keys(request: &HttpRequest) -> Vec<String> {
    let is_key = |name: &str| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        name.contains("idempot") || name.contains("request-id")
    };
    let of = |value: &[Segment]| value.iter().flat_map(text).collect::<String>();
    request.headers.iter().filter(|(name, _)| is_key(name)).map(|(_, value)| of(value)).collect()
}

/// What a segment says before secrets are filled in.
fn text(segment: &Segment) -> Vec<String> {
    if let Segment::Text(text) = segment {
        return vec![text.clone()];
    }
    let plain = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Piece::Secret(name) | Piece::Captured(name) => format!("({name})"),
    };
    segment.pieces().map(plain).collect()
}

/// Everything that a request says, part by part.
fn plain(request: &HttpRequest) -> Vec<String> {
    let part = |segments: &[Segment]| segments.iter().flat_map(text).collect::<String>();
    let mut parts = vec![part(&request.url), part(&request.body)];
    parts.extend(request.headers.iter().map(|(_, value)| part(value)));
    parts
}

/// Everything that an action says.
fn shown(action: &Action) -> Vec<String> {
    match action {
        Action::Redirect { url } => vec![url.clone()],
        Action::Post { url, fields } => fields.iter().map(|(_, value)| value.clone()).chain([url.clone()]).collect(),
        Action::Qr { text } | Action::Confirm { text } | Action::Other { text } => vec![text.clone()],
    }
}
