//! Beginning a payment, and ending one whose money is held.

use std::fmt::Write as _;

use altyn_plugin::encoding::{form, form_value};
use altyn_plugin::gateway::{
    Action, Form, Intent, Outcome, Receipt, Reference, Repetition, Request, Segment, Step, Verdict, text,
};
use altyn_plugin::vault::digest;
use altyn_plugin::{Attribute, Fault, major};

use crate::Config;
use crate::sign::order;
use crate::state::{Asked, Then};

/// Longest description of a payment.
const MAX_DESCRIPTION: usize = 100;

/// A page for the payer, or a charge of a saved method.
pub fn begin(config: &Config, intent: &Intent) -> Result<Step, Fault> {
    if let Some(first) = &intent.saved_method {
        return recurring(config, intent, first);
    }
    let (sum, number) = (config.sum(&intent.amount)?, intent.number.to_string());
    let receipt = intent.receipt.as_ref().map(|receipt| form_value(&receipt_json(receipt)));
    let mut signed = vec![config.login.as_str(), sum.as_str(), number.as_str()];
    signed.extend(receipt.as_deref());
    if !intent.capture {
        signed.push("true");
    }
    let signature = digest(&order(config, &signed, "password-1", &[]))?;
    let description = described(&intent.description);
    let mut fields = vec![
        ("MerchantLogin", config.login.as_str()),
        ("OutSum", &sum),
        ("InvId", &number),
        ("Description", &description),
        ("SignatureValue", &signature),
        ("Encoding", "utf-8"),
    ];
    if let Some(receipt) = &receipt {
        fields.push(("Receipt", receipt));
    }
    if !intent.capture {
        fields.push(("StepByStep", "true"));
    }
    if intent.save_method {
        fields.push(("Recurring", "true"));
    }
    for (name, field) in [("email", "Email"), ("language", "Culture")] {
        if let Some(value) = intent.payer(name) {
            fields.push((field, value));
        }
    }
    if config.test {
        fields.push(("IsTest", "1"));
    }
    let page = format!("{}/Index.aspx", config.base());
    let action = if receipt.is_some() {
        // A receipt makes the address longer than browsers and servers take.
        let fields = fields.iter().map(|&(name, value)| Attribute { name: name.into(), value: value.into() });
        Action::Post(Form { url: page, fields: fields.collect() })
    } else {
        Action::Redirect(format!("{page}?{}", form(fields)))
    };
    let outcome = Outcome::new(Verdict::RequiresAction(action)).named(number.as_str());
    let saved_method = intent.save_method.then(|| number.clone());
    Outcome { saved_method, ..outcome }.done()
}

/// At most a hundred characters, without those that the page refuses.
fn described(text: &str) -> String {
    let plain = |c: &char| c.is_alphanumeric() || " .,-/№()".contains(*c);
    text.chars().filter(plain).take(MAX_DESCRIPTION).collect()
}

fn recurring(config: &Config, intent: &Intent, first: &str) -> Result<Step, Fault> {
    let (sum, number) = (config.sum(&intent.amount)?, intent.number.to_string());
    let receipt = intent.receipt.as_ref().map(|receipt| form_value(&receipt_json(receipt)));
    let mut signed = vec![config.login.as_str(), sum.as_str(), number.as_str()];
    signed.extend(receipt.as_deref());
    let description = described(&intent.description);
    let mut fields = vec![
        ("MerchantLogin", config.login.as_str()),
        ("InvoiceID", &number),
        ("PreviousInvoiceID", first),
        ("OutSum", &sum),
        ("Description", &description),
    ];
    if let Some(receipt) = &receipt {
        fields.push(("Receipt", receipt));
    }
    let body = vec![
        text(format!("{}&SignatureValue=", form(fields))),
        Segment::Digest(order(config, &signed, "password-1", &[])),
    ];
    let asked = Asked::new(Then::Recurring, intent.number, &intent.amount);
    let request = Request::form(format!("{}/Recurring", config.base()), body);
    Ok(Step::Send(request.send(Repetition::Never, &asked)?))
}

/// Takes held money.
pub fn capture(config: &Config, payment: &Reference) -> Result<Step, Fault> {
    let (sum, number) = (config.sum(&payment.amount)?, payment.number.to_string());
    let signature = order(config, &[&config.login, &sum, &number], "password-1", &[]);
    let fields = form([("MerchantLogin", config.login.as_str()), ("InvoiceID", &number), ("OutSum", &sum)]);
    finish(config, "Confirm", &fields, signature, payment, Then::Captured)
}

/// Lets held money go.
pub fn cancel(config: &Config, payment: &Reference) -> Result<Step, Fault> {
    let number = payment.number.to_string();
    let signature = order(config, &[&config.login, "", &number], "password-1", &[]);
    let fields = form([("MerchantLogin", config.login.as_str()), ("InvoiceID", &number)]);
    finish(config, "Cancel", &fields, signature, payment, Then::Cancelled)
}

fn finish(
    config: &Config,
    what: &str,
    fields: &str,
    signature: altyn_plugin::vault::DigestOrder,
    payment: &Reference,
    then: Then,
) -> Result<Step, Fault> {
    let body = vec![text(format!("{fields}&SignatureValue=")), Segment::Digest(signature)];
    let asked = Asked::new(then, payment.number, &payment.amount);
    let request = Request::form(format!("{}/Payment/{what}", config.base()), body);
    Ok(Step::Send(request.send(Repetition::Never, &asked)?))
}

/// The fiscal receipt as Robokassa writes it; `sum` is the total of a line.
pub fn receipt_json(receipt: &Receipt) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    // Writing to a string cannot fail.
    let mut json = String::from("{");
    if !receipt.tax_system.is_empty() {
        let _ = write!(json, "\"sno\":{},", quoted(&receipt.tax_system));
    }
    json.push_str("\"items\":[");
    for (place, line) in receipt.lines.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        let name: String = line.name.chars().take(128).collect();
        // Quantities and sums are decimal text already: no number passes through floating point.
        let _ = write!(
            json,
            "{{\"name\":{},\"quantity\":{},\"sum\":{},\"tax\":{}",
            quoted(&name),
            line.quantity,
            major(line.amount.minor, 2),
            quoted(&line.tax_code)
        );
        for (field, value) in [("payment_method", &line.method), ("payment_object", &line.object)] {
            if !value.is_empty() {
                let _ = write!(json, ",\"{field}\":{}", quoted(&value.replace('-', "_")));
            }
        }
        json.push('}');
    }
    json.push_str("]}");
    json
}
