//! The test double of the gateway world: takes every payment, spoilt. `do` names a deed of all worlds, `ruse` one that
//! only a gateway can try. A payment is named by its minor units; a notification by its body.

use altyn_plugin::gateway::{
    Action, Answer, Call, Capabilities, Capture, Claim, Field, Header, Incoming, Method, Operation, Outcome,
    ReceiptOfClaims, ReceiveStep, Received, Repetition, Reply, Request, Segment, Step, Subject, Verdict, reply, text,
};
use altyn_plugin::vault::{Algorithm, digest, equals, template};
use altyn_plugin::{Context, Descriptor, Fault, Money, PaymentGateway, describe_gateway};
use hostile::{BAD_TEXT, Deed, spoil, told};
use serde::Deserialize;

mod unreliable;

/// The gateway.
pub struct Hostile;

/// The host that it asks for.
const HOST: &str = "auth.robokassa.ru";
/// Another one.
const OTHER: &str = "api.sandbox.paypal.com";
/// The secret that it asks for.
const KEY: &str = "hostile-key";

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Misbehaviour",
  "type": "object",
  "properties": { "do": { "type": "string" }, "only": { "type": "string" }, "ruse": { "type": "string" }, "url": { "type": "string" } }
}"#;

/// The configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What to do.
    pub r#do: Deed,
    /// The payment or notification that provokes it; every one does when absent.
    pub only: Option<String>,
    /// What to try.
    pub ruse: Ruse,
    /// Where to send something.
    pub url: String,
}

/// What only a gateway can try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruse {
    /// Nothing.
    #[default]
    None,
    /// Sends to the address of the configuration.
    Send,
    /// Sends for ever.
    Endless,
    /// Sends its secret, and tells what comes back.
    Echo,
    /// Sends its secret among other bytes in base64, and tells what comes back.
    Basic,
    /// Sends its secret, keeps what comes back, and sends that to another host.
    Carry,
    /// Sends a secret that it does not ask for.
    StrangeSecret,
    /// Writes its secret into a URL.
    SecretInUrl,
    /// Lets its secret choose the host.
    SecretAsHost,
    /// Asks the vault without end.
    FloodVault,
    /// Guesses its secret.
    Guess,
    /// Remembers more than it may.
    LongContinuation,
    /// Sends a header that begins another.
    SplitHeader,
    /// Names the host of a request itself.
    HostHeader,
    /// Sends a thousand headers.
    ManyHeaders,
    /// Sends the payer's browser a script.
    Script,
    /// Claims a thousand payments.
    ManyClaims,
    /// Claims that the payment whose id is the body was paid, unproven.
    FalseClaim,
    /// Answers a notification with a status that there is not.
    OddReply,
    /// Promises refunds of a part without refunds.
    Boast,
    /// Promises to capture and cancel, and does not.
    Promise,
    /// Captures what it does not promise to.
    Secret,
    /// Writes every amount with two digits.
    TwoDigits,
    /// Takes a new key for every moment.
    FreshKey,
    /// Takes the same key for everything.
    OneKey,
    /// Takes a lost answer for a success.
    BelieveLost,
    /// Tells of a lost answer that nothing was begun.
    DenyLost,
    /// Sends again what may not be sent again.
    Resend,
    /// Takes what was not sent for a success.
    BelieveUnsent,
    /// Takes every answer for a success.
    BelieveAll,
    /// Declines without a word.
    Mute,
    /// Looks at the first half of a notification only.
    HalfSigned,
    /// Claims something else of a notification each time.
    Restless,
    /// Asks about a notification, and takes a lost answer for the payment that it names.
    HearLost,
    /// Asks about a notification, and takes a failing server for a declined payment.
    HearFailed,
    /// Asks about a notification, and looks for one word in whatever comes back.
    HearTruncated,
    /// Asks about a notification, thanks for it and says nothing when no answer comes.
    Hush,
    /// Asks about a notification, and breaks on an answer that it does not know.
    HearTrap,
    /// Answers a notification with a cookie, and a header that begins another.
    Cookie,
}

impl Config {
    fn provoke(&self, name: &str) -> Result<Deed, Fault> {
        hostile::Config { r#do: self.r#do, only: self.only.clone() }.provoke(name)
    }
}

impl PaymentGateway for Hostile {
    type Config = Config;

    fn describe() -> Descriptor {
        let version = env!("CARGO_PKG_VERSION");
        describe_gateway(
            "hostile-gateway",
            version,
            "Test double that misbehaves on demand",
            SCHEMA,
            &[KEY],
            &[HOST, OTHER],
        )
    }

    fn capabilities(config: &Config) -> Result<Capabilities, Fault> {
        config.provoke("capabilities")?;
        Ok(Capabilities {
            currencies: Vec::new(),
            two_stage: config.ruse != Ruse::Secret,
            refunds: config.ruse != Ruse::Boast,
            partial_refunds: true,
            refund_status: true,
            status: true,
            notifications: true,
            saved_methods: true,
        })
    }

    fn begin(config: &Config, ctx: &Context, operation: Operation) -> Result<Step, Fault> {
        if let Some(step) = unreliable::begin(config.ruse, ctx, &operation) {
            return step;
        }
        let amount = match operation {
            Operation::Pay(intent) => intent.amount,
            Operation::Status(payment) | Operation::Capture(payment) | Operation::Cancel(payment) => payment.amount,
            Operation::Refund(refund) | Operation::RefundStatus(refund) => refund.amount,
        };
        let deed = config.provoke(&amount.minor.to_string())?;
        try_out(config, spoilt(deed, amount))
    }

    fn resume(config: &Config, _: &Context, continuation: &[u8], answer: Answer) -> Result<Step, Fault> {
        config.provoke("resume")?;
        if config.ruse == Ruse::Endless {
            return Ok(Step::Send(call(Request::new(Method::Get, format!("https://{HOST}/")), continuation)));
        }
        if config.ruse == Ruse::Carry && continuation.is_empty() {
            let kept = Segment::Filled(template().captured("echo").build());
            return Ok(Step::Send(call(
                Request::form(format!("https://{OTHER}/"), vec![text("kept="), kept]),
                b"carried",
            )));
        }
        if let Some(step) = unreliable::resume(config.ruse, &answer) {
            return step;
        }
        let told = match answer {
            Answer::Response(response) => String::from_utf8_lossy(&response.body).into_owned(),
            Answer::NotSent(reason) | Answer::Lost(reason) => reason,
        };
        Outcome::unknown("all is told").detail("told", told).done()
    }

    fn receive(config: &Config, ctx: &Context, notification: Incoming) -> Result<ReceiveStep, Fault> {
        if matches!(config.ruse, Ruse::HalfSigned | Ruse::Restless) {
            return unreliable::received(config.ruse, ctx, &notification).map(ReceiveStep::Done);
        }
        if let Some(step) = unreliable::asks(config.ruse, ctx, &notification) {
            return step;
        }
        let body = String::from_utf8_lossy(&notification.body).into_owned();
        config.provoke(&body)?;
        if matches!(config.ruse, Ruse::Send | Ruse::Endless) {
            return Ok(ReceiveStep::Send(call(Request::new(Method::Get, config.url.clone()), b"")));
        }
        Ok(ReceiveStep::Done(received(config, &body)))
    }

    fn receive_resume(config: &Config, _: &Context, continuation: &[u8], answer: Answer) -> Result<ReceiveStep, Fault> {
        config.provoke("receive-resume")?;
        if let Some(received) = unreliable::heard(config.ruse, continuation, &answer) {
            return Ok(ReceiveStep::Done(received));
        }
        if config.ruse == Ruse::Endless {
            return Ok(ReceiveStep::Send(call(Request::new(Method::Get, config.url.clone()), continuation)));
        }
        Ok(ReceiveStep::Done(received(config, "")))
    }
}

/// The outcome of a payment that was taken, as the deed leaves it.
fn spoilt(deed: Deed, amount: Money) -> Outcome {
    let taken = Outcome::new(Verdict::Succeeded).named("hostile");
    match (deed, told(deed)) {
        (Deed::HugeAnswer, Some(text)) => return taken.of(amount).detail("huge", text),
        (_, Some(text)) => return taken.of(amount).named(text),
        _ => {}
    }
    match deed {
        Deed::ShortAnswer => taken,
        Deed::NotANumber => taken.of(Money { minor: amount.minor, currency: "NaN".into() }),
        _ => taken.of(spoil(deed, amount)),
    }
}

fn call(request: Request, continuation: &[u8]) -> Call {
    Call { request, repetition: Repetition::Harmless, captures: Vec::new(), continuation: continuation.to_vec() }
}

fn get() -> Request {
    Request::new(Method::Get, format!("https://{HOST}/"))
}

fn secret(name: &str) -> Segment {
    Segment::Filled(template().secret(name).build())
}

fn try_out(config: &Config, outcome: Outcome) -> Result<Step, Fault> {
    let request = match config.ruse {
        Ruse::Send => Request::new(Method::Get, config.url.clone()),
        Ruse::Endless | Ruse::LongContinuation => get(),
        Ruse::Basic => {
            let value = vec![text("Basic "), Segment::Base64(template().text("shop:").secret(KEY).build())];
            get().with(Header { name: "authorization".into(), value })
        }
        Ruse::Carry => {
            let request = Request::form(format!("https://{HOST}/echo"), vec![text("key="), secret(KEY)]);
            let captures = vec![Capture { name: "echo".into(), pointer: "/echo".into() }];
            return Ok(Step::Send(Call { captures, ..call(request, b"") }));
        }
        Ruse::Echo => Request::form(format!("https://{HOST}/echo"), vec![text("key="), secret(KEY)]),
        Ruse::StrangeSecret => Request::form(format!("https://{HOST}/"), vec![secret("password-1")]),
        Ruse::SecretInUrl => Request { url: vec![text(format!("https://{HOST}/?key=")), secret(KEY)], ..get() },
        Ruse::SecretAsHost => Request { url: vec![text("https://"), secret(KEY), text("/")], ..get() },
        Ruse::SplitHeader => get().with(Header { name: "x-a".into(), value: vec![text("a\r\nx-b: c")] }),
        Ruse::HostHeader => get().with(Header { name: "Host".into(), value: vec![text("inside.example")] }),
        Ruse::ManyHeaders => {
            (0..1_000).fold(get(), |request, n| request.with(Header { name: format!("x-{n}"), value: vec![text("a")] }))
        }
        Ruse::FloodVault => return outcome.detail("last", flood()).done(),
        Ruse::Guess => return outcome.detail("guessed", guess()).done(),
        Ruse::Script => {
            let action = Action::Redirect("javascript:alert(document.cookie)".into());
            return Outcome::new(Verdict::RequiresAction(action)).done();
        }
        _ => return outcome.done(),
    };
    let continuation = vec![b'x'; if config.ruse == Ruse::LongContinuation { 20 << 10 } else { 0 }];
    Ok(Step::Send(call(request, &continuation)))
}

/// Asks for digests until there are no more; what it hears then.
fn flood() -> String {
    let order = template().secret(KEY).hex(Algorithm::Sha256);
    let refused = (0..1_000).find_map(|_| digest(&order).err());
    refused.map_or_else(|| "never refused".into(), |fault| format!("{fault:?}"))
}

/// Tries every number of four digits; the last thing that it hears.
fn guess() -> String {
    let key = template().secret(KEY).build();
    for number in 0..10_000 {
        match equals(&key, &format!("{number:04}")) {
            Ok(true) => return format!("{number:04}"),
            Ok(false) => {}
            Err(fault) => return format!("{fault:?} after {number}"),
        }
    }
    "not a number".into()
}

fn received(config: &Config, body: &str) -> Received {
    let paid = |id: &str| {
        let amount = Money { minor: 10_000, currency: "RUB".into() };
        Claim { subject: Subject::Intent(id.into()), outcome: Outcome::new(Verdict::Succeeded).of(amount) }
    };
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    let claims = match config.ruse {
        Ruse::ManyClaims => (0..1_000).map(|n| paid(&n.to_string())).collect(),
        Ruse::FalseClaim => vec![paid(body)],
        Ruse::OddReply => return Received::rejected("odd", Reply { status: 999, ..reply(200, "") }),
        Ruse::Cookie => {
            let headers = vec![field("set-cookie", "a=b"), field("x-a", "a\r\nx-b: c"), field("x-c", "d")];
            return Received::rejected(BAD_TEXT, Reply { headers, ..reply(400, "no") });
        }
        _ => Vec::new(),
    };
    Received::Authentic(ReceiptOfClaims { claims, taken: reply(200, "OK"), refused: reply(409, "REFUSED") })
}

altyn_plugin::payment_gateway!(Hostile);
