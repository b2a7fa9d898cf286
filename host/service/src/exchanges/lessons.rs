//! What exchanges teach: about themselves, and about the payment or the refund that they were about.
//!
//! Invariant: a payment that may have been made is never taken for one that was not, so that nobody begins it again.

use altyn_domain::{
    gateway::{Operation, Outcome, Verdict, VerdictName},
    id::TenantId,
};
use altyn_store::{Tx, exchanges as rows};
use chrono::{DateTime, Utc};

use super::{Asked, known, written};
use crate::error::Result;

/// What an exchange teaches about the payment or the refund that it was about; `heard` is `false` when its last request
/// had no answer.
pub(super) fn lesson(asked: &Asked, outcome: Outcome, heard: bool) -> Option<Outcome> {
    let Asked::Operation(operation) = asked else { return None };
    let succeeded = outcome.verdict == Verdict::Succeeded;
    match operation {
        // That the question did not arrive says nothing about what it asked.
        Operation::Status(_) | Operation::RefundStatus(_) => {
            (heard || outcome.verdict.name() != VerdictName::NotAttempted).then_some(outcome)
        }
        // A capture that was refused leaves the money held.
        Operation::Capture(_) if succeeded => Some(outcome),
        Operation::Cancel(_) if succeeded => {
            let message = "the payment was given up".to_owned();
            let verdict = Verdict::Declined { code: "cancelled".to_owned(), message, retryable: false };
            Some(Outcome { verdict, amount: None, fee: None, ..outcome })
        }
        _ => None,
    }
}

/// Adds an outcome to what is known of an exchange.
pub(super) async fn learn(
    tx: &mut Tx,
    tenant: TenantId,
    id: uuid::Uuid,
    outcome: Outcome,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(row) = rows::lock(tx, tenant.0, id).await? else { return Ok(()) };
    let known = match known(&row)? {
        Some(known) => known.followed_by(outcome),
        None => outcome,
    };
    let (verdict, text) = (known.verdict.name().as_str(), written(&known)?);
    rows::learn(tx, tenant.0, id, verdict, &known.external_id, &text, now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use altyn_domain::{
        gateway::Reference,
        money::{Currency, Money},
    };

    use super::*;

    #[test]
    fn a_question_without_an_answer_never_makes_a_payment_one_that_was_not_begun() {
        let amount = Money::new(100, Currency::parse("RUB").unwrap());
        let (id, external_id) = (String::new(), String::new());
        let payment = Reference { id, number: 1, external_id, amount, capture: true, details: Vec::new() };
        let asked = Asked::Operation(Operation::Status(payment));
        let told = |verdict| Outcome {
            verdict,
            external_id: String::new(),
            amount: None,
            fee: None,
            saved_method: None,
            details: Vec::new(),
        };
        let not_attempted = || told(Verdict::NotAttempted { reason: "no such payment".into() });
        assert_eq!(lesson(&asked, not_attempted(), false), None);
        assert_eq!(lesson(&asked, not_attempted(), true), Some(not_attempted()), "the gateway knows of nothing");
        let pending = || told(Verdict::Pending { ask_after_ms: None });
        assert_eq!(lesson(&asked, pending(), false), Some(pending()));
    }
}
