//! Between the domain's types and those of the `payment-gateway` world.
//!
//! As [`crate::convert`]: shape only. Invariant: what comes back is within the bounds of the contract.

use altyn_domain::exchange::{
    Answer, Capture, HttpCall, HttpReply, HttpRequest, Incoming, Method, Repetition, Segment,
};
use altyn_domain::gateway::{
    Action, Capabilities, Claim, Details, FiscalReceipt, Intent, Operation, Outcome, ReceiveStep, Received, Reference,
    Refund, Step, Subject, Verdict,
};
use altyn_domain::money::{Currency, Money};
use altyn_domain::visible;

use crate::bindings::{wit_exchange, wit_gateway, wit_types};
use crate::convert::{Wrong, attributes, money};
use crate::vault::{digest_order, template};

/// Most claims of one notification.
const MAX_CLAIMS: usize = 100;
/// Longest text for the operator, bytes.
const MAX_TEXT_BYTES: usize = 1_000;

pub(crate) fn operation(operation: &Operation) -> wit_gateway::Operation {
    match operation {
        Operation::Pay(it) => wit_gateway::Operation::Pay(intent(it)),
        Operation::Status(it) => wit_gateway::Operation::Status(reference(it)),
        Operation::Capture(it) => wit_gateway::Operation::Capture(reference(it)),
        Operation::Cancel(it) => wit_gateway::Operation::Cancel(reference(it)),
        Operation::Refund(it) => wit_gateway::Operation::Refund(refund(it)),
        Operation::RefundStatus(it) => wit_gateway::Operation::RefundStatus(refund(it)),
    }
}

fn intent(intent: &Intent) -> wit_gateway::Intent {
    wit_gateway::Intent {
        id: intent.id.clone(),
        number: intent.number,
        amount: money(intent.amount),
        exponent: intent.amount.currency.exponent(),
        description: intent.description.clone(),
        capture: intent.capture,
        return_url: intent.return_url.clone(),
        payer: attributes(&intent.payer),
        saved_method: intent.saved_method.clone(),
        save_method: intent.save_method,
        receipt: intent.receipt.as_ref().map(receipt),
    }
}

fn receipt(receipt: &FiscalReceipt) -> wit_gateway::Receipt {
    let lines = receipt.lines.iter().map(|line| wit_gateway::ReceiptLine {
        name: line.name.clone(),
        quantity: line.quantity.clone(),
        amount: money(line.amount),
        tax_code: line.tax_code.clone(),
        method: line.method.clone(),
        object: line.object.clone(),
    });
    wit_gateway::Receipt { lines: lines.collect(), tax_system: receipt.tax_system.clone() }
}

fn reference(reference: &Reference) -> wit_gateway::Reference {
    wit_gateway::Reference {
        id: reference.id.clone(),
        number: reference.number,
        external_id: reference.external_id.clone(),
        amount: money(reference.amount),
        exponent: reference.amount.currency.exponent(),
        capture: reference.capture,
        details: attributes(&reference.details),
    }
}

fn refund(refund: &Refund) -> wit_gateway::Refund {
    wit_gateway::Refund {
        id: refund.id.clone(),
        payment: reference(&refund.payment),
        amount: money(refund.amount),
        reason: refund.reason.clone(),
        external_id: refund.external_id.clone(),
    }
}

fn fields(headers: &[(String, String)]) -> Vec<wit_exchange::Field> {
    headers.iter().map(|(name, value)| wit_exchange::Field { name: name.clone(), value: value.clone() }).collect()
}

pub(crate) fn answer(answer: &Answer) -> wit_exchange::Answer {
    match answer {
        Answer::Response(response) => wit_exchange::Answer::Response(wit_exchange::Response {
            status: response.status,
            headers: fields(&response.headers),
            body: response.body.clone(),
        }),
        Answer::NotSent(reason) => wit_exchange::Answer::NotSent(reason.clone()),
        Answer::Lost(reason) => wit_exchange::Answer::Lost(reason.clone()),
    }
}

pub(crate) fn incoming(incoming: &Incoming) -> wit_exchange::Incoming {
    wit_exchange::Incoming {
        method: incoming.method.clone(),
        query: incoming.query.clone(),
        headers: fields(&incoming.headers),
        body: incoming.body.clone(),
        source: incoming.source.clone(),
    }
}

pub(crate) fn capabilities(it: wit_gateway::Capabilities) -> Result<Capabilities, Wrong> {
    if it.currencies.len() > 200 {
        return Err("the list of currencies is longer than there are currencies".to_owned());
    }
    for code in &it.currencies {
        Currency::parse(code).map_err(|error| error.to_string())?;
    }
    Ok(Capabilities {
        currencies: it.currencies,
        two_stage: it.two_stage,
        refunds: it.refunds,
        partial_refunds: it.partial_refunds,
        refund_status: it.refund_status,
        status: it.status,
        notifications: it.notifications,
        saved_methods: it.saved_methods,
    })
}

pub(crate) fn step(step: wit_gateway::Step) -> Result<Step, Wrong> {
    Ok(match step {
        wit_gateway::Step::Send(it) => Step::Send(call(it)?),
        wit_gateway::Step::Done(it) => Step::Done(outcome(it)?),
    })
}

pub(crate) fn receive_step(step: wit_gateway::ReceiveStep) -> Result<ReceiveStep, Wrong> {
    Ok(match step {
        wit_gateway::ReceiveStep::Send(it) => ReceiveStep::Send(call(it)?),
        wit_gateway::ReceiveStep::Done(it) => ReceiveStep::Done(received(it)?),
    })
}

fn call(call: wit_exchange::Call) -> Result<HttpCall, Wrong> {
    let wit_exchange::Call { request, repetition, captures, continuation } = call;
    let header = |header: wit_exchange::Header| (header.name, segments(header.value));
    let call = HttpCall {
        request: HttpRequest {
            method: match request.method {
                wit_exchange::Method::Get => Method::Get,
                wit_exchange::Method::Post => Method::Post,
                wit_exchange::Method::Put => Method::Put,
                wit_exchange::Method::Patch => Method::Patch,
                wit_exchange::Method::Delete => Method::Delete,
            },
            url: segments(request.url),
            headers: request.headers.into_iter().map(header).collect(),
            body: segments(request.body),
        },
        repetition: match repetition {
            wit_exchange::Repetition::Harmless => Repetition::Harmless,
            wit_exchange::Repetition::Never => Repetition::Never,
        },
        captures: captures.into_iter().map(|it| Capture { name: it.name, pointer: it.pointer }).collect(),
        continuation,
    };
    call.check().map_err(|error| error.to_string())?;
    Ok(call)
}

fn segments(segments: Vec<wit_exchange::Segment>) -> Vec<Segment> {
    segments
        .into_iter()
        .map(|segment| match segment {
            wit_exchange::Segment::Text(text) => Segment::Text(text),
            wit_exchange::Segment::Filled(it) => Segment::Filled(template(it)),
            wit_exchange::Segment::Base64(it) => Segment::Base64(template(it)),
            wit_exchange::Segment::Percent(it) => Segment::Percent(template(it)),
            wit_exchange::Segment::Digest(order) => Segment::Digest(digest_order(order)),
        })
        .collect()
}

fn amount(money: &wit_types::Money) -> Result<Money, Wrong> {
    Ok(Money::new(money.minor, Currency::parse(&money.currency).map_err(|error| error.to_string())?))
}

fn details(list: Vec<wit_types::Attribute>) -> Details {
    list.into_iter().map(|it| (it.name, it.value)).collect()
}

fn outcome(it: wit_gateway::Outcome) -> Result<Outcome, Wrong> {
    Ok(Outcome {
        verdict: verdict(it.verdict),
        external_id: it.external_id,
        amount: it.amount.as_ref().map(amount).transpose()?,
        fee: it.fee.as_ref().map(amount).transpose()?,
        saved_method: it.saved_method,
        details: details(it.details),
    })
}

/// A text for the operator: what a guest writes is stored and shown as text, so it must be text.
fn clean(text: &str) -> String {
    let mut clean = visible(&text.chars().take(MAX_TEXT_BYTES).collect::<String>());
    clean.truncate(clean.floor_char_boundary(MAX_TEXT_BYTES));
    clean
}

fn verdict(verdict: wit_gateway::Verdict) -> Verdict {
    match verdict {
        wit_gateway::Verdict::Succeeded => Verdict::Succeeded,
        wit_gateway::Verdict::Authorized => Verdict::Authorized,
        wit_gateway::Verdict::Pending(ask_after_ms) => Verdict::Pending { ask_after_ms },
        wit_gateway::Verdict::RequiresAction(it) => Verdict::RequiresAction { action: action(it) },
        wit_gateway::Verdict::Declined(it) => {
            Verdict::Declined { code: it.code, message: clean(&it.message), retryable: it.retryable }
        }
        wit_gateway::Verdict::NotAttempted(reason) => Verdict::NotAttempted { reason: clean(&reason) },
        wit_gateway::Verdict::Unknown(reason) => Verdict::Unknown { reason: clean(&reason) },
        wit_gateway::Verdict::Returned(reason) => Verdict::Returned { reason: clean(&reason) },
        wit_gateway::Verdict::Other(text) => Verdict::Other { text: clean(&text) },
    }
}

fn action(action: wit_gateway::Action) -> Action {
    match action {
        wit_gateway::Action::Redirect(url) => Action::Redirect { url },
        wit_gateway::Action::Post(form) => Action::Post { url: form.url, fields: details(form.fields) },
        wit_gateway::Action::Qr(text) => Action::Qr { text },
        wit_gateway::Action::Confirm(text) => Action::Confirm { text },
        wit_gateway::Action::Other(text) => Action::Other { text },
    }
}

fn received(received: wit_gateway::Received) -> Result<Received, Wrong> {
    Ok(match received {
        wit_gateway::Received::Rejected(it) => {
            Received::Rejected { reason: clean(&it.reason), reply: reply(it.reply)? }
        }
        wit_gateway::Received::Authentic(it) => {
            if it.claims.len() > MAX_CLAIMS {
                return Err(format!("{} claims were made, at most {MAX_CLAIMS} are taken", it.claims.len()));
            }
            let claim = |claim: wit_gateway::Claim| {
                let subject = match claim.subject {
                    wit_gateway::Subject::Intent(id) => Subject::Intent(id),
                    wit_gateway::Subject::Number(number) => Subject::Number(number),
                    wit_gateway::Subject::External(id) => Subject::External(id),
                };
                Ok(Claim { subject, outcome: outcome(claim.outcome)? })
            };
            Received::Authentic {
                claims: it.claims.into_iter().map(claim).collect::<Result<_, Wrong>>()?,
                taken: reply(it.taken)?,
                refused: reply(it.refused)?,
            }
        }
    })
}

fn reply(reply: wit_exchange::Reply) -> Result<HttpReply, Wrong> {
    let headers = reply.headers.into_iter().map(|field| (field.name, field.value)).collect();
    let reply = HttpReply { status: reply.status, headers, body: reply.body };
    reply.checked().map_err(|error| error.to_string())
}
