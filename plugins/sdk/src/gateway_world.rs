//! The `payment-gateway` world.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gateway::{
    Answer, Call, Capabilities, Capture, Decline, Field, Header, Incoming, Intent, Method, Operation, Outcome,
    ReceiveStep, Received, Reference, Rejection, Repetition, Reply, Request, Response, Segment, Step, Verdict,
};
use crate::vault::template;
use crate::{Attribute, Context, Descriptor, Fault, Money, attribute, config};

/// Takes money through a payment gateway, as a state machine without input and output.
pub trait PaymentGateway {
    /// The configuration; [`crate::NoConfig`] when there is none.
    type Config: DeserializeOwned;

    /// Says what the plugin is, which secrets it names and which hosts it asks. Constant.
    fn describe() -> Descriptor;

    /// What this configuration can do.
    fn capabilities(config: &Self::Config) -> Result<Capabilities, Fault>;

    /// Begins an operation.
    fn begin(config: &Self::Config, ctx: &Context, operation: Operation) -> Result<Step, Fault>;

    /// Goes on with an operation: `continuation` is that of the [`Call`] whose answer is here.
    fn resume(config: &Self::Config, ctx: &Context, continuation: &[u8], answer: Answer) -> Result<Step, Fault>;

    /// Reads a notification.
    fn receive(config: &Self::Config, ctx: &Context, notification: Incoming) -> Result<ReceiveStep, Fault>;

    /// Goes on with a notification; for gateways whose [`Self::receive`] sends requests.
    fn receive_resume(_: &Self::Config, _: &Context, _: &[u8], _: Answer) -> Result<ReceiveStep, Fault> {
        Err(Fault::Invalid("this gateway sends nothing while it reads a notification".into()))
    }
}

/// Exports a [`PaymentGateway`] as a component.
#[macro_export]
macro_rules! payment_gateway {
    ($gateway:ty) => {
        // Native linkers cannot read the names that components export; there the type is only checked.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Descriptor = <$gateway as $crate::PaymentGateway>::describe;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::macros::metadata::exports::altyn::billing::metadata::Guest for Exported {
                fn describe() -> $crate::Descriptor {
                    <$gateway as $crate::PaymentGateway>::describe()
                }
            }

            impl $crate::macros::gateway::exports::altyn::billing::gateway::Guest for Exported {
                fn capabilities_of(ctx: $crate::Context) -> Result<$crate::gateway::Capabilities, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::capabilities::<$gateway>(&ctx)
                }

                fn begin(
                    ctx: $crate::Context,
                    operation: $crate::gateway::Operation,
                ) -> Result<$crate::gateway::Step, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::begin::<$gateway>(&ctx, operation)
                }

                fn resume(
                    ctx: $crate::Context,
                    continuation: Vec<u8>,
                    answer: $crate::gateway::Answer,
                ) -> Result<$crate::gateway::Step, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::resume::<$gateway>(&ctx, &continuation, answer)
                }

                fn receive(
                    ctx: $crate::Context,
                    notification: $crate::gateway::Incoming,
                ) -> Result<$crate::gateway::ReceiveStep, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::receive::<$gateway>(&ctx, notification)
                }

                fn receive_resume(
                    ctx: $crate::Context,
                    continuation: Vec<u8>,
                    answer: $crate::gateway::Answer,
                ) -> Result<$crate::gateway::ReceiveStep, $crate::Fault> {
                    $crate::macros::note_panics();
                    $crate::macros::receive_resume::<$gateway>(&ctx, &continuation, answer)
                }
            }

    $crate::macros::metadata::export_metadata!(Exported with_types_in $crate::macros::metadata);
    $crate::macros::gateway::export_gateway!(Exported with_types_in $crate::macros::gateway);
        };
    };
}

/// Answers what a gateway can do.
#[doc(hidden)]
pub fn capabilities<G: PaymentGateway>(ctx: &Context) -> Result<Capabilities, Fault> {
    G::capabilities(&config(ctx)?)
}

/// Begins an operation.
#[doc(hidden)]
pub fn begin<G: PaymentGateway>(ctx: &Context, operation: Operation) -> Result<Step, Fault> {
    G::begin(&config(ctx)?, ctx, operation)
}

/// Goes on with an operation.
#[doc(hidden)]
pub fn resume<G: PaymentGateway>(ctx: &Context, continuation: &[u8], answer: Answer) -> Result<Step, Fault> {
    G::resume(&config(ctx)?, ctx, continuation, answer)
}

/// Reads a notification.
#[doc(hidden)]
pub fn receive<G: PaymentGateway>(ctx: &Context, notification: Incoming) -> Result<ReceiveStep, Fault> {
    G::receive(&config(ctx)?, ctx, notification)
}

/// Goes on with a notification.
#[doc(hidden)]
pub fn receive_resume<G: PaymentGateway>(
    ctx: &Context,
    continuation: &[u8],
    answer: Answer,
) -> Result<ReceiveStep, Fault> {
    G::receive_resume(&config(ctx)?, ctx, continuation, answer)
}

/// A segment of text.
pub fn text(text: impl Into<String>) -> Segment {
    Segment::Text(text.into())
}

/// A header of text.
pub fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: vec![text(value)] }
}

/// `Authorization: Bearer` with a captured token.
pub fn bearer(captured: &str) -> Header {
    let value = Segment::Filled(template().text("Bearer ").captured(captured).build());
    Header { name: "authorization".into(), value: vec![value] }
}

/// A reply in plain text.
pub fn reply(status: u16, body: &str) -> Reply {
    let kind = Field { name: "content-type".into(), value: "text/plain; charset=utf-8".into() };
    Reply { status, headers: vec![kind], body: body.into() }
}

/// Reads a continuation that [`Request::send`] wrote.
pub fn state<T: DeserializeOwned>(continuation: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(continuation)
        .map_err(|error| Fault::Invalid(format!("the continuation does not read: {error}")))
}

impl Request {
    /// A request to a URL of text.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: vec![text(url)], headers: Vec::new(), body: Vec::new() }
    }

    /// A POST of a form; its fields may hold digests.
    pub fn form(url: impl Into<String>, body: Vec<Segment>) -> Self {
        Self { body, ..Self::new(Method::Post, url) }.with(header("content-type", "application/x-www-form-urlencoded"))
    }

    /// A POST of JSON text.
    pub fn json(url: impl Into<String>, body: impl Into<String>) -> Self {
        Self { body: vec![text(body)], ..Self::new(Method::Post, url) }.with(header("content-type", "application/json"))
    }

    /// With one header more.
    pub fn with(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }

    /// The call that sends it; `state` comes back in `resume` and is read there by [`state`].
    pub fn send(self, repetition: Repetition, state: &impl Serialize) -> Result<Call, Fault> {
        let continuation =
            serde_json::to_vec(state).map_err(|error| Fault::Other(format!("the state does not write: {error}")))?;
        Ok(Call { request: self, repetition, captures: Vec::new(), continuation })
    }
}

impl Call {
    /// The same call that takes a string out of the JSON answer and keeps it.
    pub fn capturing(mut self, name: &str, pointer: &str) -> Self {
        self.captures.push(Capture { name: name.into(), pointer: pointer.into() });
        self
    }
}

impl Response {
    /// The value of the first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }
}

impl Incoming {
    /// The value of the first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }
}

impl Outcome {
    /// An outcome that says nothing but how it stands.
    pub fn new(verdict: Verdict) -> Self {
        Self { verdict, external_id: String::new(), amount: None, fee: None, saved_method: None, details: Vec::new() }
    }

    /// Declined.
    pub fn declined(code: &str, message: &str, retryable: bool) -> Self {
        Self::new(Verdict::Declined(Decline { code: code.into(), message: message.into(), retryable }))
    }

    /// Nobody can tell.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown(reason.into()))
    }

    /// Nothing was begun.
    pub fn not_attempted(reason: impl Into<String>) -> Self {
        Self::new(Verdict::NotAttempted(reason.into()))
    }

    /// The same with the gateway's name of the payment.
    pub fn named(mut self, external_id: impl Into<String>) -> Self {
        self.external_id = external_id.into();
        self
    }

    /// The same with an amount.
    pub fn of(mut self, amount: Money) -> Self {
        self.amount = Some(amount);
        self
    }

    /// The same with something to remember; nothing is kept of an empty value.
    pub fn detail(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.details.push(Attribute { name: name.into(), value });
        }
        self
    }

    /// As the last step.
    pub fn done(self) -> Result<Step, Fault> {
        Ok(Step::Done(self))
    }
}

impl Reference {
    /// Something remembered of the payment.
    pub fn detail(&self, name: &str) -> Option<&str> {
        attribute(&self.details, name)
    }
}

impl Intent {
    /// Something known of the payer.
    pub fn payer(&self, name: &str) -> Option<&str> {
        attribute(&self.payer, name)
    }
}

impl Received {
    /// A notification that proves nothing.
    pub fn rejected(reason: &str, reply: Reply) -> Self {
        Self::Rejected(Rejection { reason: reason.into(), reply })
    }
}
