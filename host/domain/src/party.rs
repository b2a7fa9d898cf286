//! Kinds of customers, VAT regimes of sellers and kinds of contracts.
//!
//! Owns the closed lists; refuses to know names and addresses, which have no rules here.

use crate::text::text_enum;

text_enum! {
    /// What a customer is before the law.
    pub enum CustomerKind as "customer kind" {
        /// A legal entity (юридическое лицо).
        LegalEntity = "legal-entity",
        /// A sole proprietor (ИП).
        SoleProprietor = "sole-proprietor",
        /// A private person.
        Individual = "individual",
    }
}

text_enum! {
    /// How a seller stands towards value added tax.
    pub enum VatRegime as "VAT regime" {
        /// The general system: the base and reduced rates.
        General = "general",
        /// The simplified system with VAT at 5 %.
        Usn5 = "usn-5",
        /// The simplified system with VAT at 7 %.
        Usn7 = "usn-7",
        /// Not a VAT payer.
        None = "none",
    }
}

text_enum! {
    /// When a contract pays: before the service, after it, or part and part.
    pub enum ContractKind as "contract kind" {
        /// Before the service.
        Prepaid = "prepaid",
        /// After the service.
        Postpaid = "postpaid",
        /// A part before, the rest after.
        Mixed = "mixed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_text_everywhere() {
        for kind in CustomerKind::ALL {
            assert_eq!(kind.as_str().parse().as_ref(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), serde_json::Value::from(kind.as_str()));
            assert_eq!(serde_json::from_value::<CustomerKind>(kind.as_str().into()).unwrap(), *kind);
        }
        assert_eq!("usn-7".parse(), Ok(VatRegime::Usn7));
        assert_eq!(ContractKind::Postpaid.to_string(), "postpaid");
    }

    #[test]
    fn an_unknown_kind_names_the_known_ones() {
        assert_eq!(
            "person".parse::<CustomerKind>().unwrap_err().to_string(),
            "unknown customer kind \"person\"; use one of: legal-entity, sole-proprietor, individual"
        );
    }
}
