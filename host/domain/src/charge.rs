//! Kinds and statuses of charges (списания).
//!
//! A charge has three dates: the service begins (charge date), the service ends (realisation date), money came
//! (payment date). Refuses to know amounts, which are the ledger's.

use crate::text::text_enum;

text_enum! {
    /// What a charge is for.
    pub enum ChargeKind as "charge kind" {
        /// Starting the service.
        SetUp = "set-up",
        /// A period of the service.
        Recurring = "recurring",
        /// Metered use.
        Usage = "usage",
        /// A single sale.
        OneOff = "one-off",
        /// A correction.
        Adjustment = "adjustment",
    }
}

text_enum! {
    /// How far a charge has come.
    pub enum ChargeStatus as "charge status" {
        /// Made, no money moved yet.
        New = "new",
        /// The money is reserved.
        Blocked = "blocked",
        /// The service was provided and the revenue is recognised.
        Closed = "closed",
        /// The money was taken and the service is being provided.
        Opened = "opened",
        /// The money was given back.
        Refunded = "refunded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_reads_back_from_its_text() {
        for kind in ChargeKind::ALL {
            assert_eq!(kind.as_str().parse().as_ref(), Ok(kind));
        }
        for status in ChargeStatus::ALL {
            assert_eq!(status.as_str().parse().as_ref(), Ok(status));
        }
    }
}
