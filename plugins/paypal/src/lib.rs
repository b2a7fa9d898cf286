//! PayPal: orders and captures over its REST interface, and webhooks that are verified before they are believed.
//!
//! Every operation first asks for an access token, which the host keeps and fills in (`captured`), then acts. A request
//! that creates something carries `PayPal-Request-Id`, derived from the host's id of the intent, so it may be sent again.
//!
//! - **Pay** creates an order and sends the payer to it. **Status** reads the order; an approved one is captured, or
//!   authorized when the intent wanted that.
//! - **Capture** and **cancel** act on the authorization, **refund** on the capture; their ids are kept in the details.
//! - **Webhooks** are verified by PayPal itself (`verify-webhook-signature`), or offline by the certificate: pinned in the
//!   configuration, or fetched from `PAYPAL-CERT-URL` and trusted by its chain and name.
//!
//! Secrets of the host: `client-id`, `client-secret`.

use altyn_plugin::gateway::{Answer, Capabilities, Incoming, Operation, ReceiveStep, Step};
use altyn_plugin::{Context, Descriptor, Fault, Money, PaymentGateway, describe_gateway};
use serde::Deserialize;

mod act;
mod order;
mod webhook;

/// The gateway.
pub struct PayPal;

/// The configuration of an account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether money is real.
    #[serde(default)]
    pub mode: Mode,
    /// The id that PayPal gave the webhook; without it webhooks are rejected.
    #[serde(default)]
    pub webhook_id: Option<String>,
    /// How webhooks are verified.
    #[serde(default)]
    pub webhook_check: Check,
    /// A certificate that is trusted as it is, PEM, for the check by certificate.
    #[serde(default)]
    pub webhook_certificate: Option<String>,
    /// The name that the payer sees.
    #[serde(default)]
    pub brand_name: Option<String>,
}

/// Whether money is real.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is.
    #[default]
    Live,
    /// It is not.
    Sandbox,
}

/// How webhooks are verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// PayPal is asked.
    #[default]
    Api,
    /// By the certificate, offline but for fetching it.
    Certificate,
}

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "mode": { "title": "Real money, or PayPal's sandbox", "enum": ["live", "sandbox"], "default": "live" },
    "webhook_id": { "title": "Id of the webhook, from PayPal's dashboard", "type": "string", "minLength": 1 },
    "webhook_check": { "title": "How webhooks are verified", "enum": ["api", "certificate"], "default": "api" },
    "webhook_certificate": { "title": "Certificate to trust as it is, PEM", "type": "string" },
    "brand_name": { "title": "Name that the payer sees", "type": "string", "maxLength": 127 }
  }
}"#;

impl Config {
    fn base(&self) -> &'static str {
        match self.mode {
            Mode::Live => "https://api-m.paypal.com",
            Mode::Sandbox => "https://api-m.sandbox.paypal.com",
        }
    }
}

/// How many decimals PayPal writes, where it disagrees with ISO 4217.
fn decimals(currency: &str, exponent: u8) -> u8 {
    if matches!(currency, "HUF" | "TWD" | "JPY") { 0 } else { exponent }
}

/// The value of an amount as PayPal writes it.
fn value(amount: &Money, exponent: u8) -> Result<String, Fault> {
    let decimals = decimals(&amount.currency, exponent);
    let unit = 10_i64.pow(u32::from(exponent.saturating_sub(decimals)));
    if exponent > 2 || amount.minor % unit != 0 {
        return Err(Fault::Unsupported(format!("PayPal takes no such fraction of {}", amount.currency)));
    }
    Ok(altyn_plugin::major(amount.minor / unit, decimals))
}

/// An amount as PayPal writes it; None when it is none.
fn read_value(value: &str, currency: &str) -> Option<Money> {
    // PayPal takes currencies of two decimals, and of none: yen, and two that ISO 4217 gives two.
    let (decimals, unit) = match currency {
        "JPY" => (0, 1),
        "HUF" | "TWD" => (0, 100),
        _ => (2, 1),
    };
    let minor = altyn_plugin::minor(value, decimals)?.checked_mul(unit)?;
    Some(Money { minor, currency: currency.into() })
}

impl PaymentGateway for PayPal {
    type Config = Config;

    fn describe() -> Descriptor {
        describe_gateway(
            "paypal",
            env!("CARGO_PKG_VERSION"),
            "PayPal",
            SCHEMA,
            &["client-id", "client-secret"],
            &["api-m.paypal.com", "api-m.sandbox.paypal.com", "api.paypal.com", "api.sandbox.paypal.com"],
        )
    }

    fn capabilities(config: &Config) -> Result<Capabilities, Fault> {
        let currencies = "AUD BRL CAD CHF CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD";
        Ok(Capabilities {
            currencies: currencies.split(' ').map(Into::into).collect(),
            two_stage: true,
            refunds: true,
            partial_refunds: true,
            refund_status: true,
            status: true,
            notifications: config.webhook_id.is_some(),
            saved_methods: false,
        })
    }

    fn begin(config: &Config, _: &Context, operation: Operation) -> Result<Step, Fault> {
        act::begin(config, operation)
    }

    fn resume(config: &Config, _: &Context, continuation: &[u8], answer: Answer) -> Result<Step, Fault> {
        act::resume(config, altyn_plugin::gateway::state(continuation)?, answer)
    }

    fn receive(config: &Config, _: &Context, notification: Incoming) -> Result<ReceiveStep, Fault> {
        webhook::receive(config, &notification)
    }

    fn receive_resume(config: &Config, _: &Context, continuation: &[u8], answer: Answer) -> Result<ReceiveStep, Fault> {
        webhook::resume(config, altyn_plugin::gateway::state(continuation)?, answer)
    }
}

altyn_plugin::payment_gateway!(PayPal);

#[cfg(test)]
mod tests;
