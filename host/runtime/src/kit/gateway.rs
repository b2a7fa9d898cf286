//! What a payment gateway is asked: payments, questions about them, refunds, and notifications that nobody signed.
//!
//! Its secrets are set to values that everybody knows, so a gateway that computes digests answers here, and takes no
//! notification that was not made with them.

use std::sync::Arc;

use altyn_domain::exchange::Incoming;
use altyn_domain::gateway::{Intent, Operation, ReceiveStep, Received, Reference, Refund, Step, check_outcome};
use altyn_domain::money::{Currency, Money};
use altyn_domain::plugin::CallContext;

use super::{Numbers, Subject};
use crate::call::{Call, Export, not_made};
use crate::engine::Runtime;
use crate::failure::CallFailure;
use crate::install::Plugin;
use crate::keyring::Keyring;

/// How many operations are made.
const OPERATIONS: usize = 60;
/// How many notifications are made.
const NOTIFICATIONS: usize = 20;

enum Question {
    Operation(Box<Operation>),
    Notification(Incoming),
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Step(Step),
    Received(ReceiveStep),
}

pub(super) struct Questions<'a> {
    runtime: &'a Runtime,
    plugin: &'a Plugin,
    keyring: Arc<Keyring>,
    asked: Vec<Question>,
}

pub(super) fn questions<'a>(runtime: &'a Runtime, plugin: &'a Plugin) -> Questions<'a> {
    let mut numbers = Numbers(4);
    let mut asked: Vec<Question> =
        (0..OPERATIONS).map(|index| Question::Operation(Box::new(operation(&mut numbers, index)))).collect();
    asked.extend((0..NOTIFICATIONS).map(|index| Question::Notification(notification(&mut numbers, index))));
    let mut keyring = Keyring::new();
    for secret in runtime.describe(plugin).map(|descriptor| descriptor.secrets).unwrap_or_default() {
        // Not empty, so it is taken.
        let _ = keyring.add(&secret, format!("kit-{secret}").as_bytes());
    }
    Questions { runtime, plugin, keyring: Arc::new(keyring), asked }
}

fn operation(numbers: &mut Numbers, index: usize) -> Operation {
    let amount = Money::new(numbers.one_of(&[1, 100, 59_000, 99_999_999], 100) + numbers.minor(50), Currency::RUB);
    let number = numbers.below(1_000_000) + 1;
    let id = format!("pay_kit{index}");
    let reference = || Reference {
        id: id.clone(),
        number,
        external_id: format!("ext-{number}"),
        amount,
        capture: true,
        details: Vec::new(),
    };
    let refund = || Refund {
        id: format!("ref_kit{index}"),
        payment: reference(),
        amount,
        reason: String::new(),
        external_id: String::new(),
    };
    match index % 5 {
        3 => Operation::Status(reference()),
        4 => Operation::Refund(refund()),
        _ => Operation::Pay(Intent {
            id: id.clone(),
            number,
            amount,
            description: "Счёт 1".into(),
            capture: true,
            return_url: "https://example.com/paid".into(),
            payer: Vec::new(),
            saved_method: None,
            save_method: false,
            receipt: None,
        }),
    }
}

fn notification(numbers: &mut Numbers, index: usize) -> Incoming {
    let body: Vec<u8> = match index % 4 {
        0 => Vec::new(),
        1 => b"OutSum=100.00&InvId=1&SignatureValue=00000000000000000000000000000000".to_vec(),
        2 => br#"{"event":"payment.succeeded","object":{"id":"1","amount":"100.00"}}"#.to_vec(),
        _ => (0..64).map(|_| u8::try_from(numbers.below(256)).unwrap_or_default()).collect(),
    };
    Incoming {
        method: numbers.one_of(&["POST", "GET"], "POST").into(),
        query: String::new(),
        headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
        body,
        source: "192.0.2.1".into(),
    }
}

impl Subject for Questions<'_> {
    type Answer = Answer;

    fn len(&self) -> usize {
        self.asked.len()
    }

    /// A gateway is asked one thing a call; several questions are several calls, their outputs one after the other.
    fn ask(&self, ctx: &CallContext, questions: &[usize]) -> Call<Vec<Answer>> {
        let mut all: Option<Call<Vec<Answer>>> = None;
        for question in questions.iter().filter_map(|&at| self.asked.get(at)) {
            let call = match question {
                Question::Operation(operation) => {
                    let call = self.runtime.gateway_begin(self.plugin, ctx, &self.keyring, operation);
                    Call { record: call.record, result: call.result.map(Answer::Step) }
                }
                Question::Notification(notification) => {
                    let call = self.runtime.gateway_receive(self.plugin, ctx, &self.keyring, notification);
                    Call { record: call.record, result: call.result.map(Answer::Received) }
                }
            };
            all = Some(match all {
                None => Call { record: call.record, result: call.result.map(|answer| vec![answer]) },
                Some(before) => joined(before, call),
            });
        }
        all.unwrap_or_else(|| {
            let failure = CallFailure::InvalidQuestion("nothing was asked".into());
            not_made(self.plugin, Export::Begin.as_str(), Vec::new(), failure)
        })
    }

    fn wrong(&self, question: usize, answer: &Answer) -> Option<String> {
        match (self.asked.get(question)?, answer) {
            (Question::Operation(operation), Answer::Step(Step::Done(outcome))) => {
                let checked = check_outcome(operation.kind(), amount(operation), outcome);
                checked.err().map(|wrong| wrong.to_string())
            }
            (_, Answer::Step(Step::Send(call)) | Answer::Received(ReceiveStep::Send(call))) => {
                call.check().err().map(|wrong| wrong.to_string())
            }
            (Question::Notification(_), Answer::Received(ReceiveStep::Done(Received::Authentic { claims, .. })))
                if !claims.is_empty() =>
            {
                Some("a notification that nobody signed was taken for a payment".into())
            }
            _ => None,
        }
    }

    fn wrong_together(&self, _: &[(usize, Answer)]) -> Option<String> {
        None
    }
}

fn amount(operation: &Operation) -> Money {
    match operation {
        Operation::Pay(intent) => intent.amount,
        Operation::Status(payment) | Operation::Capture(payment) | Operation::Cancel(payment) => payment.amount,
        Operation::Refund(refund) | Operation::RefundStatus(refund) => refund.amount,
    }
}

fn joined(before: Call<Vec<Answer>>, call: Call<Answer>) -> Call<Vec<Answer>> {
    let mut record = before.record;
    record.output.extend(call.record.output);
    record.fuel = record.fuel.saturating_add(call.record.fuel);
    record.duration_us = record.duration_us.saturating_add(call.record.duration_us);
    record.peak_memory_bytes = record.peak_memory_bytes.max(call.record.peak_memory_bytes);
    let result = before.result.and_then(|mut answers| {
        answers.push(call.result?);
        Ok(answers)
    });
    Call { record, result }
}
