//! The registry of identifiers: one newtype over a UUID per kind of object, and the prefix that its text carries.
//!
//! Owns the prefixes; a new kind of object gets its line here and nowhere else. Refuses to mint: values come from
//! the outside (UUID version 7, so that they sort by time). Invariant: a text of one kind never parses as another.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::text::serde_as_text;

/// Why a text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The prefix belongs to another kind of object, or there is none.
    #[error("expected an id that begins with \"{expected}_\", got \"{given}\"")]
    Prefix {
        /// The wanted prefix, without the underscore.
        expected: &'static str,
        /// What was given, cut to 40 characters.
        given: String,
    },
    /// What follows the prefix is not 32 lower-case hexadecimal digits.
    #[error("an id is \"{expected}_\" and 32 lower-case hexadecimal digits, got \"{given}\"")]
    Digits {
        /// The wanted prefix, without the underscore.
        expected: &'static str,
        /// What was given, cut to 40 characters.
        given: String,
    },
}

/// What all identifiers share.
pub trait Id: Copy + Eq + Ord + fmt::Display + FromStr<Err = IdError> {
    /// Three letters that open the text of the identifier.
    const PREFIX: &'static str;

    /// Wraps a UUID.
    fn from_uuid(uuid: Uuid) -> Self;

    /// The UUID inside.
    fn uuid(self) -> Uuid;
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    let digits = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or_else(|| IdError::Prefix { expected: prefix, given: crate::text::shorten(text) })?;
    let malformed = || IdError::Digits { expected: prefix, given: crate::text::shorten(text) };
    if digits.len() != 32 || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(malformed());
    }
    Uuid::try_parse(digits).map_err(|_| malformed())
}

macro_rules! ids {
    ($( $(#[$meta:meta])* $name:ident = $prefix:literal; )+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub Uuid);

            impl Id for $name {
                const PREFIX: &'static str = $prefix;

                fn from_uuid(uuid: Uuid) -> Self {
                    Self(uuid)
                }

                fn uuid(self) -> Uuid {
                    self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(concat!($prefix, "_"))?;
                    fmt::LowerHex::fmt(self.0.as_simple(), f)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, f)
                }
            }

            impl FromStr for $name {
                type Err = IdError;

                fn from_str(text: &str) -> Result<Self, Self::Err> {
                    parse($prefix, text).map(Self)
                }
            }

            impl From<Uuid> for $name {
                fn from(uuid: Uuid) -> Self {
                    Self(uuid)
                }
            }

            serde_as_text!(
                $name,
                concat!("Identifier: \"", $prefix, "_\" and 32 lower-case hexadecimal digits."),
                concat!($prefix, "_0190a5d0c0de7000800000000000002a")
            );
        )+

        /// Every prefix of the registry, in the order of declaration.
        pub const PREFIXES: &[&str] = &[$( $prefix, )+];
    };
}

ids! {
    /// An operator or reseller: a node of the tenant tree.
    TenantId = "ten";
    /// A legal entity of a tenant that sells and issues documents.
    SellerId = "sel";
    /// A buyer.
    CustomerId = "cus";
    /// A contract between a customer and a seller; money lives here.
    ContractId = "ctr";
    /// A product of the catalogue.
    ProductId = "prd";
    /// A plan: the family of its versions.
    PlanId = "pln";
    /// One immutable version of a plan.
    PlanVersionId = "plv";
    /// A priced component of a plan version.
    ComponentId = "cmp";
    /// A subscription of a contract to a plan version.
    SubscriptionId = "sub";
    /// A charge.
    ChargeId = "chg";
    /// A credit of a charge.
    CreditId = "crd";
    /// An invoice.
    InvoiceId = "inv";
    /// A ledger account.
    AccountId = "acc";
    /// A ledger transaction.
    TransactionId = "txn";
    /// A billing run.
    RunId = "run";
    /// A plugin bound to an extension point of a tenant.
    BindingId = "bnd";
    /// A component on trial in a binding.
    CanaryId = "cny";
    /// A conversation with a payment gateway.
    ExchangeId = "exc";
    /// One recorded plugin call.
    CallId = "cal";
    /// A unit of background work.
    JobId = "job";
    /// An import of a file.
    ImportId = "imp";
    /// An API key.
    ApiKeyId = "key";
    /// An event of the outbox.
    EventId = "evt";
    /// A block of a contract or a subscription.
    BlockId = "blk";
    /// A promised payment.
    PromiseId = "prm";
    /// What a tenant, channel or group is allowed.
    CreditPolicyId = "crp";
    /// A tenant's rules of dunning.
    DunningPolicyId = "dnp";
    /// A step that dunning took.
    DunningStepId = "dns";
    /// A service term.
    ServiceTermId = "stm";
    /// An operation that waits for a person.
    ManualOperationId = "mop";
    /// A recorded change of a subscription's status.
    TransitionId = "trn";
    /// A change of a subscription.
    ChangeId = "chn";
    /// What use is counted by.
    MeterId = "mtr";
    /// The days that use is billed for at once.
    UsageWindowId = "uwn";
    /// A price of a single contract.
    PriceOverrideId = "pov";
    /// An order of a subscription.
    OrderId = "ord";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_own_text() {
        let id = CustomerId(Uuid::from_u128(42));
        assert_eq!(id.to_string(), "cus_0000000000000000000000000000002a");
        assert_eq!(id.to_string().parse::<CustomerId>(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"cus_0000000000000000000000000000002a\"");
        assert_eq!(serde_json::from_str::<CustomerId>("\"cus_0000000000000000000000000000002a\"").unwrap(), id);
    }

    #[test]
    fn an_id_of_another_kind_is_refused_by_its_prefix() {
        let customer = CustomerId(Uuid::from_u128(42)).to_string();
        let refused = customer.parse::<ContractId>().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "expected an id that begins with \"ctr_\", got \"cus_0000000000000000000000000000002a\""
        );
    }

    #[test]
    fn an_id_has_exactly_one_spelling() {
        for text in [
            "cus_0000000000000000000000000000002A",
            "cus_00000000-0000-0000-0000-00000000002a",
            "cus_2a",
            "cus_",
            "cus_0000000000000000000000000000002a ",
            "cus_0000000000000000000000000000002г",
        ] {
            assert!(matches!(text.parse::<CustomerId>(), Err(IdError::Digits { .. })), "{text}");
        }
    }

    #[test]
    fn no_two_kinds_share_a_prefix() {
        let mut sorted = PREFIXES.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), PREFIXES.len());
        assert!(PREFIXES.iter().all(|p| p.len() == 3));
    }
}
