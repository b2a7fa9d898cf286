//! Whether an outcome may be believed.

use crate::gateway::{Action, ExchangeKind, Outcome, Verdict, VerdictName};
use crate::money::Money;
use crate::text::is_invisible_mark;

/// Longest name that a gateway gives a payment, bytes.
const MAX_EXTERNAL_ID: usize = 200;
/// Most details, and their longest value in bytes.
const MAX_DETAILS: (usize, usize) = (32, 1_000);
/// Longest address or text of an action, bytes.
const MAX_ACTION: usize = 16 << 10;

/// Why an outcome is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeError {
    /// Money was taken, held or given back, and nobody says how much.
    #[error("the outcome says {0} and names no amount")]
    AmountMissing(VerdictName),
    /// Another amount than was asked for.
    #[error("{asked} was asked for and the gateway says {said}")]
    Amount {
        /// What was asked for, in major units with its currency.
        asked: String,
        /// What the gateway says.
        said: String,
    },
    /// A fee below zero, above the amount or in another currency.
    #[error("the fee {0} cannot be a part of the payment")]
    Fee(String),
    /// A text that is too long, or holds characters that cannot be seen, or a name that is none.
    #[error("{0} is not usable")]
    Text(&'static str),
    /// The payer would be sent somewhere that is not https.
    #[error("the payer may be sent to https only")]
    Action,
    /// A verdict that this operation cannot have.
    #[error("{verdict} is no outcome of {kind}")]
    Senseless {
        /// The operation.
        kind: ExchangeKind,
        /// The verdict.
        verdict: VerdictName,
    },
}

fn shown(money: Money) -> String {
    format!("{} {}", money.to_major_string(), money.currency)
}

fn plain(text: &str, longest: usize) -> bool {
    text.len() <= longest && !text.chars().any(|c| c.is_control() || is_invisible_mark(c))
}

/// Checks an outcome against what was asked: `asked` is the amount of the operation, for a notification that of the
/// payment. A `returned` names what came back, which may be less than `asked` only when the plugin names no amount.
pub fn check_outcome(kind: ExchangeKind, asked: Money, outcome: &Outcome) -> Result<(), OutcomeError> {
    let verdict = outcome.verdict.name();
    let refund = matches!(kind, ExchangeKind::Refund | ExchangeKind::RefundStatus);
    let senseless = match verdict {
        VerdictName::Authorized => refund || matches!(kind, ExchangeKind::Capture | ExchangeKind::Cancel),
        VerdictName::RequiresAction => {
            !matches!(kind, ExchangeKind::Pay | ExchangeKind::Status | ExchangeKind::Notification)
        }
        VerdictName::Returned => refund || kind == ExchangeKind::Pay,
        _ => false,
    };
    if senseless {
        return Err(OutcomeError::Senseless { kind, verdict });
    }
    match outcome.amount {
        Some(said) if said != asked && kind != ExchangeKind::Cancel => {
            return Err(OutcomeError::Amount { asked: shown(asked), said: shown(said) });
        }
        None if matches!(verdict, VerdictName::Succeeded | VerdictName::Authorized) && kind != ExchangeKind::Cancel => {
            return Err(OutcomeError::AmountMissing(verdict));
        }
        _ => {}
    }
    if let Some(fee) = outcome.fee {
        let within = fee.currency == asked.currency && (0..=asked.minor).contains(&fee.minor);
        if !within {
            return Err(OutcomeError::Fee(shown(fee)));
        }
    }
    if !plain(&outcome.external_id, MAX_EXTERNAL_ID) {
        return Err(OutcomeError::Text("the external id"));
    }
    if outcome.saved_method.as_deref().is_some_and(|method| method.is_empty() || !plain(method, MAX_EXTERNAL_ID)) {
        return Err(OutcomeError::Text("the saved method"));
    }
    let name = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    let (most, longest) = MAX_DETAILS;
    if outcome.details.len() > most || outcome.details.iter().any(|(key, value)| !name(key) || !plain(value, longest)) {
        return Err(OutcomeError::Text("a detail"));
    }
    match &outcome.verdict {
        Verdict::RequiresAction { action } => check_action(action),
        Verdict::Declined { code, message, .. } if !plain(code, 200) || !plain(message, 1_000) => {
            Err(OutcomeError::Text("the reason of the decline"))
        }
        Verdict::NotAttempted { reason: text }
        | Verdict::Unknown { reason: text }
        | Verdict::Returned { reason: text }
        | Verdict::Other { text }
            if !plain(text, 1_000) =>
        {
            Err(OutcomeError::Text("the reason"))
        }
        _ => Ok(()),
    }
}

fn check_action(action: &Action) -> Result<(), OutcomeError> {
    let (url, text) = match action {
        Action::Redirect { url } => (Some(url), None),
        Action::Post { url, fields } => {
            let sound = |(name, value): &(String, String)| plain(name, 200) && value.len() <= MAX_ACTION;
            if fields.len() > 64 || !fields.iter().all(sound) {
                return Err(OutcomeError::Text("the form"));
            }
            (Some(url), None)
        }
        Action::Qr { text } | Action::Confirm { text } | Action::Other { text } => (None, Some(text)),
    };
    let https = |url: &String| {
        plain(url, MAX_ACTION)
            && url.strip_prefix("https://").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    if url.is_some_and(|url| !https(url)) {
        return Err(OutcomeError::Action);
    }
    if text.is_some_and(|text| text.is_empty() || !plain(text, MAX_ACTION)) {
        return Err(OutcomeError::Text("the action"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn rub(minor: i64) -> Money {
        Money::new(minor, Currency::RUB)
    }

    fn outcome(verdict: Verdict, amount: Option<Money>) -> Outcome {
        Outcome { verdict, external_id: "e".into(), amount, fee: None, saved_method: None, details: Vec::new() }
    }

    #[test]
    fn money_that_was_taken_is_the_money_that_was_asked_for() {
        let check = |amount| check_outcome(ExchangeKind::Pay, rub(100), &outcome(Verdict::Succeeded, amount));
        assert_eq!(check(Some(rub(100))), Ok(()));
        assert!(matches!(check(Some(rub(99))), Err(OutcomeError::Amount { .. })));
        assert!(matches!(check(Some(Money::new(100, Currency::EUR))), Err(OutcomeError::Amount { .. })));
        assert_eq!(check(None), Err(OutcomeError::AmountMissing(VerdictName::Succeeded)));
    }

    #[test]
    fn a_payer_is_sent_to_https_only() {
        let check = |url: &str| {
            let action = Action::Redirect { url: url.into() };
            check_outcome(ExchangeKind::Pay, rub(1), &outcome(Verdict::RequiresAction { action }, None))
        };
        assert_eq!(check("https://pay.example/1"), Ok(()));
        for url in ["http://pay.example/", "javascript:alert(1)", "https://", "https:///x", "https://a\r\nb/", ""] {
            assert_eq!(check(url), Err(OutcomeError::Action), "{url:?}");
        }
    }

    #[test]
    fn a_fee_is_a_part_of_the_payment() {
        let with = |fee| {
            let outcome = Outcome { fee: Some(fee), ..outcome(Verdict::Succeeded, Some(rub(100))) };
            check_outcome(ExchangeKind::Pay, rub(100), &outcome)
        };
        assert_eq!(with(rub(0)), Ok(()));
        assert_eq!(with(rub(100)), Ok(()));
        assert!(with(rub(101)).is_err() && with(rub(-1)).is_err() && with(Money::new(1, Currency::USD)).is_err());
    }

    #[test]
    fn a_verdict_must_fit_its_operation() {
        let authorized = outcome(Verdict::Authorized, Some(rub(1)));
        assert_eq!(check_outcome(ExchangeKind::Pay, rub(1), &authorized), Ok(()));
        assert!(matches!(
            check_outcome(ExchangeKind::Refund, rub(1), &authorized),
            Err(OutcomeError::Senseless { .. })
        ));
    }
}
