//! What a plugin is to the rest of the platform: its world, what it says about itself, what it is told on a call.
//!
//! Refuses to know how components are run. Invariant: a call's context holds everything that a plugin may know
//! beside its input, so the same context and input give the same answer for ever.

use serde::{Deserialize, Serialize};

use crate::text::text_enum;

text_enum! {
    /// A world of the plugin contract; its text is also the name of the extension point.
    pub enum World as "plugin world" {
        /// Decides how a price is shared over a part of its period.
        ProrationStrategy = "proration-strategy",
        /// Decides the tax of each line of a document.
        TaxRule = "tax-rule",
        /// Decides which sequence a document draws from and how its number looks.
        NumberingScheme = "numbering-scheme",
        /// Decides what is sent to a payment gateway and what its answers mean.
        PaymentGateway = "payment-gateway",
    }
}

impl World {
    /// The extension points that a billing run asks; the others are asked by name of their binding.
    pub const BILLING: &'static [Self] = &[Self::ProrationStrategy, Self::TaxRule, Self::NumberingScheme];
}

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Descriptor {
    /// Stable name, such as `altyn.tax.ru-vat`.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// Name for people.
    pub title: String,
    /// JSON Schema of the configuration, as text.
    pub config_schema: String,
    /// Names of the secrets that it asks for.
    pub secrets: Vec<String>,
    /// Hosts that it asks to reach.
    pub hosts: Vec<String>,
}

/// What a plugin is told on each call beside its input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallContext {
    /// The tenant.
    pub tenant: String,
    /// The binding that is being called.
    pub binding: String,
    /// The configuration of the binding, JSON text.
    pub config: String,
    /// The instant of the decision, milliseconds since 1970-01-01 UTC.
    pub now_ms: i64,
    /// IANA name of the time zone.
    pub zone: String,
    /// Language tag for explanations, such as `ru-RU`.
    pub locale: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_has_one_text_everywhere() {
        for world in World::ALL {
            assert_eq!(world.as_str().parse::<World>().as_ref(), Ok(world));
            assert_eq!(serde_json::to_value(world).unwrap(), serde_json::Value::from(world.as_str()));
        }
        assert_eq!(
            "tax".parse::<World>().unwrap_err().to_string(),
            "unknown plugin world \"tax\"; use one of: proration-strategy, tax-rule, numbering-scheme, payment-gateway"
        );
    }
}
