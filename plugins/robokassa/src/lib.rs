//! Robokassa: the payer goes to a signed page, the result comes as a signed notification that wants an exact answer.
//!
//! - **Pay**: a redirect to the payment page, or a form when there is a fiscal receipt; a saved method is charged by
//!   `Merchant/Recurring`. The invoice number (`InvId`) is the intent's number, so a payment cannot be made twice.
//! - **Status**: `OpStateExt`, which knows no test payments.
//! - **Capture** and **cancel** of held money: `Payment/Confirm`, `Payment/Cancel`, then the state is asked for.
//! - **Refund**: a token signed with password 3 to `Refund/Create`; the operation's key comes from `OpStateExt`.
//! - **Notifications**: `ResultURL` (digest with password 2, answer `OK` and the number) and `ResultUrl2` (JWS, with the
//!   certificate that Robokassa publishes). Holds are told by the second only.
//!
//! Passwords are the host's secrets `password-1`, `password-2`, `password-3`; in test mode keep the test passwords there.

use altyn_plugin::gateway::{Answer, Capabilities, Incoming, Operation, ReceiveStep, Step};
use altyn_plugin::vault::Algorithm;
use altyn_plugin::{Context, Descriptor, Fault, Money, PaymentGateway, describe_gateway};
use serde::Deserialize;

mod notification;
mod pay;
mod refund;
mod sign;
mod state;

/// The gateway.
pub struct Robokassa;

/// The configuration of a shop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The shop's login.
    pub login: String,
    /// The hash that the shop's cabinet names, one for all requests.
    #[serde(default)]
    pub hash: Hash,
    /// Whether payments are tests.
    #[serde(default)]
    pub test: bool,
    /// The country of the shop.
    #[serde(default)]
    pub country: Country,
    /// How a refund's token is sent.
    #[serde(default)]
    pub refund_framing: Framing,
    /// The certificate of `ResultUrl2`, PEM; without it such notifications are rejected.
    #[serde(default)]
    pub certificate: Option<String>,
}

/// The hash functions of the cabinet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hash {
    /// MD5.
    #[default]
    Md5,
    /// RIPEMD-160.
    Ripemd160,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Where the shop is registered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Country {
    /// Russia; payments in roubles.
    #[default]
    Ru,
    /// Kazakhstan; payments in tenge.
    Kz,
}

/// How a token stands in the body of a request; published clients disagree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// As it is, `application/jwt`.
    #[default]
    Jwt,
    /// As a JSON string, `application/json`.
    JsonString,
}

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "required": ["login"],
  "properties": {
    "login": { "title": "Login of the shop", "type": "string", "minLength": 1, "maxLength": 64 },
    "hash": { "title": "Hash, as in the cabinet", "enum": ["md5", "ripemd160", "sha1", "sha256", "sha384", "sha512"], "default": "md5" },
    "test": { "title": "Test payments", "type": "boolean", "default": false },
    "country": { "title": "Country of the shop", "enum": ["ru", "kz"], "default": "ru" },
    "refund_framing": { "title": "How a refund's token is sent", "enum": ["jwt", "json-string"], "default": "jwt" },
    "certificate": { "title": "Certificate of ResultUrl2, PEM", "type": "string" }
  }
}"#;

impl Config {
    fn algorithm(&self) -> Algorithm {
        match self.hash {
            Hash::Md5 => Algorithm::Md5,
            Hash::Ripemd160 => Algorithm::Ripemd160,
            Hash::Sha1 => Algorithm::Sha1,
            Hash::Sha256 => Algorithm::Sha256,
            Hash::Sha384 => Algorithm::Sha384,
            Hash::Sha512 => Algorithm::Sha512,
        }
    }

    fn currency(&self) -> &'static str {
        match self.country {
            Country::Ru => "RUB",
            Country::Kz => "KZT",
        }
    }

    fn base(&self) -> &'static str {
        match self.country {
            Country::Ru => "https://auth.robokassa.ru/Merchant",
            Country::Kz => "https://auth.robokassa.kz/Merchant",
        }
    }

    /// The amount as it is sent and signed; both of the shop's currencies have two decimals.
    fn sum(&self, amount: &Money) -> Result<String, Fault> {
        if amount.currency != self.currency() {
            let own = self.currency();
            return Err(Fault::Unsupported(format!(
                "the shop takes {own}, not {}; bind another gateway",
                amount.currency
            )));
        }
        Ok(altyn_plugin::major(amount.minor, 2))
    }

    /// An amount as Robokassa writes it, such as `100.000000`.
    fn read_sum(&self, text: &str) -> Option<Money> {
        Some(Money { minor: altyn_plugin::minor(text, 2)?, currency: self.currency().into() })
    }
}

impl PaymentGateway for Robokassa {
    type Config = Config;

    fn describe() -> Descriptor {
        describe_gateway(
            "robokassa",
            env!("CARGO_PKG_VERSION"),
            "Robokassa",
            SCHEMA,
            &["password-1", "password-2", "password-3"],
            &["auth.robokassa.ru", "auth.robokassa.kz", "services.robokassa.ru"],
        )
    }

    fn capabilities(config: &Config) -> Result<Capabilities, Fault> {
        Ok(Capabilities {
            currencies: vec![config.currency().into()],
            two_stage: true,
            refunds: true,
            partial_refunds: true,
            refund_status: true,
            // Payments of the test mode cannot be asked for.
            status: !config.test,
            notifications: true,
            saved_methods: true,
        })
    }

    fn begin(config: &Config, _: &Context, operation: Operation) -> Result<Step, Fault> {
        match operation {
            Operation::Pay(intent) => pay::begin(config, &intent),
            Operation::Status(payment) => state::ask(config, &payment, state::Then::Status),
            Operation::Capture(payment) => pay::capture(config, &payment),
            Operation::Cancel(payment) => pay::cancel(config, &payment),
            Operation::Refund(refund) => refund::begin(config, &refund),
            Operation::RefundStatus(refund) => refund::ask(config, &refund),
        }
    }

    fn resume(config: &Config, _: &Context, continuation: &[u8], answer: Answer) -> Result<Step, Fault> {
        state::resume(config, altyn_plugin::gateway::state(continuation)?, answer)
    }

    fn receive(config: &Config, _: &Context, notification: Incoming) -> Result<ReceiveStep, Fault> {
        Ok(ReceiveStep::Done(notification::read(config, &notification)?))
    }
}

altyn_plugin::payment_gateway!(Robokassa);

#[cfg(test)]
mod tests;
