//! What PayPal's objects say: orders, captures, authorizations, refunds.

use altyn_plugin::Money;
use altyn_plugin::gateway::{Action, Outcome, Verdict};
use serde_json::Value;

use crate::act::Act;
use crate::read_value;

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The amount at a pointer.
pub fn amount(object: &Value, pointer: &str) -> Option<Money> {
    let amount = object.pointer(pointer)?;
    read_value(text(amount, "/value"), text(amount, "/currency_code"))
}

/// How the order stands.
pub fn ordered(act: &Act, order: &Value) -> Outcome {
    let id = text(order, "/id");
    let custom = text(order, "/purchase_units/0/custom_id");
    if !custom.is_empty() && custom != act.id {
        return Outcome::unknown("PayPal's order belongs to another payment");
    }
    let payments = order.pointer("/purchase_units/0/payments");
    let part = |name: &str| payments.and_then(|payments| payments.pointer(&format!("/{name}/0")));
    let outcome = if let Some(capture) = part("captures") {
        capture_stands(capture)
    } else if let Some(authorization) = part("authorizations") {
        authorization_stands(authorization)
    } else {
        match text(order, "/status") {
            "CREATED" | "SAVED" | "PAYER_ACTION_REQUIRED" => match link(order) {
                Some(url) => Outcome::new(Verdict::RequiresAction(Action::Redirect(url.into()))),
                None => Outcome::new(Verdict::Pending(None)),
            },
            "APPROVED" => Outcome::new(Verdict::Pending(None)),
            "VOIDED" => Outcome::declined("VOIDED", "the order was given up", false),
            other => Outcome::unknown(format!("PayPal names the state {other}")),
        }
    };
    outcome.named(id).detail("order-id", id)
}

/// Where the payer approves.
fn link(order: &Value) -> Option<&str> {
    let links = order.get("links")?.as_array()?;
    let named = |rel: &str| links.iter().find(|link| text(link, "/rel") == rel).map(|link| text(link, "/href"));
    named("payer-action").or_else(|| named("approve"))
}

/// How a capture of an authorization stands.
pub fn captured(act: &Act, capture: &Value) -> Outcome {
    capture_stands(capture).named(act.target.clone())
}

/// How a capture stands.
pub fn capture_stands(capture: &Value) -> Outcome {
    let outcome = match text(capture, "/status") {
        "COMPLETED" | "PARTIALLY_REFUNDED" => Outcome::new(Verdict::Succeeded),
        "PENDING" => Outcome::new(Verdict::Pending(None)),
        "DECLINED" | "FAILED" => Outcome::declined(text(capture, "/status"), "PayPal did not take the money", true),
        "REFUNDED" => Outcome::new(Verdict::Returned("the money was given back".into())),
        other => Outcome::unknown(format!("PayPal names the state {other} of the capture")),
    };
    let succeeded = outcome.verdict == Verdict::Succeeded;
    Outcome {
        amount: amount(capture, "/amount").filter(|_| succeeded),
        fee: amount(capture, "/seller_receivable_breakdown/paypal_fee").filter(|_| succeeded),
        ..outcome
    }
    .detail("capture-id", text(capture, "/id"))
}

/// How an authorization stands.
pub fn authorization_stands(authorization: &Value) -> Outcome {
    let outcome = match text(authorization, "/status") {
        "CREATED" => Outcome::new(Verdict::Authorized),
        "PENDING" | "PARTIALLY_CAPTURED" | "CAPTURED" => Outcome::new(Verdict::Pending(None)),
        "DENIED" | "EXPIRED" | "VOIDED" => {
            Outcome::declined(text(authorization, "/status"), "PayPal holds no money", false)
        }
        other => Outcome::unknown(format!("PayPal names the state {other} of the authorization")),
    };
    let held = outcome.verdict == Verdict::Authorized;
    Outcome { amount: amount(authorization, "/amount").filter(|_| held), ..outcome }
        .detail("authorization-id", text(authorization, "/id"))
}

/// How a refund stands.
pub fn refunded(act: &Act, refund: &Value) -> Outcome {
    let status = text(refund, "/status");
    let outcome = match status {
        "COMPLETED" => {
            let said = amount(refund, "/amount").unwrap_or_else(|| act.amount());
            Outcome::new(Verdict::Succeeded).of(said)
        }
        "PENDING" => Outcome::new(Verdict::Pending(None)),
        "CANCELLED" | "FAILED" => Outcome::declined(status, "PayPal did not give the money back", false),
        other => Outcome::unknown(format!("PayPal names the state {other} of the refund")),
    };
    outcome.named(text(refund, "/id"))
}
