//! Requisites of a party as commands and files carry them: texts that must fit the kind of the party.
//!
//! Russian numbers are checked by their control digits; those of other countries are only bounded, because their rules
//! are not known here.

use altyn_domain::{
    party::CustomerKind,
    requisites::{Inn, Kpp, Ogrn, Ogrnip},
};

use crate::error::Fields;

/// Which number of a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requisite {
    /// ИНН.
    Inn,
    /// КПП.
    Kpp,
    /// ОГРН or ОГРНИП.
    Ogrn,
}

/// What is wrong with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It must be given.
    Missing(&'static str),
    /// It is not such a number, or does not fit the kind of the party.
    Bad(String),
}

impl Fault {
    /// For people.
    pub(crate) fn message(self) -> String {
        match self {
            Self::Missing(message) => message.to_owned(),
            Self::Bad(message) => message,
        }
    }
}

/// The numbers of a party as given; empty texts are to be passed as none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requisites<'a> {
    /// What the party is.
    pub(crate) kind: CustomerKind,
    /// ISO 3166-1 alpha-2 code.
    pub(crate) country: &'a str,
    /// ИНН.
    pub(crate) inn: Option<&'a str>,
    /// КПП.
    pub(crate) kpp: Option<&'a str>,
    /// ОГРН or ОГРНИП.
    pub(crate) ogrn: Option<&'a str>,
}

impl Requisites<'_> {
    /// Every number that is wrong.
    ///
    /// A legal entity and a sole proprietor must have an INN; KPP and OGRN are checked when they are given.
    pub(crate) fn faults(&self) -> Vec<(Requisite, Fault)> {
        let mut faults = Vec::new();
        let mut note = |which, outcome: Result<(), Fault>| {
            if let Err(fault) = outcome {
                faults.push((which, fault));
            }
        };
        if self.country == "RU" {
            note(Requisite::Inn, self.inn());
            note(Requisite::Kpp, self.kpp());
            note(Requisite::Ogrn, self.ogrn());
        } else {
            note(Requisite::Inn, foreign(self.inn));
            note(Requisite::Kpp, foreign(self.kpp));
            note(Requisite::Ogrn, foreign(self.ogrn));
        }
        faults
    }

    /// Notes every wrong number under its field.
    pub(crate) fn check(&self, fields: &mut Fields) {
        for (which, fault) in self.faults() {
            let pointer = match which {
                Requisite::Inn => "/inn",
                Requisite::Kpp => "/kpp",
                Requisite::Ogrn => "/ogrn",
            };
            fields.refuse(pointer, fault.message());
        }
    }

    fn inn(&self) -> Result<(), Fault> {
        let Some(text) = self.inn else {
            return match self.kind {
                CustomerKind::LegalEntity => Err(Fault::Missing("a legal entity has an INN of 10 digits; give it")),
                CustomerKind::SoleProprietor => {
                    Err(Fault::Missing("a sole proprietor has an INN of 12 digits; give it"))
                }
                CustomerKind::Individual => Ok(()),
            };
        };
        let inn: Inn = parsed(text)?;
        match (self.kind, inn.is_person()) {
            (CustomerKind::LegalEntity, true) => {
                Err(Fault::Bad("the INN of a legal entity has 10 digits; this one is a person's".into()))
            }
            (CustomerKind::SoleProprietor | CustomerKind::Individual, false) => {
                Err(Fault::Bad("the INN of a person has 12 digits; this one is a legal entity's".into()))
            }
            _ => Ok(()),
        }
    }

    fn kpp(&self) -> Result<(), Fault> {
        match (self.kind, self.kpp) {
            (_, None) => Ok(()),
            (CustomerKind::LegalEntity, Some(text)) => parsed::<Kpp>(text).map(|_| ()),
            _ => Err(Fault::Bad("only a legal entity has a KPP; leave it empty".into())),
        }
    }

    fn ogrn(&self) -> Result<(), Fault> {
        match (self.kind, self.ogrn) {
            (_, None) => Ok(()),
            (CustomerKind::LegalEntity, Some(text)) => parsed::<Ogrn>(text).map(|_| ()),
            (CustomerKind::SoleProprietor, Some(text)) => parsed::<Ogrnip>(text).map(|_| ()),
            (CustomerKind::Individual, Some(_)) => {
                Err(Fault::Bad("an individual has no OGRN; leave it empty or name a sole proprietor".into()))
            }
        }
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|error: T::Err| Fault::Bad(error.to_string()))
}

fn foreign(text: Option<&str>) -> Result<(), Fault> {
    let fits = text.is_none_or(|text| (1..=40).contains(&text.chars().count()) && !text.chars().any(char::is_control));
    if fits { Ok(()) } else { Err(Fault::Bad("must have 1 to 40 characters, none of them control characters".into())) }
}

/// Notes a country that is not two capital letters.
pub(crate) fn check_country(fields: &mut Fields, country: &str) {
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        fields.refuse("/country", "is not a country code; write two capital letters such as RU");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(kind: CustomerKind, inn: &str, kpp: &str, ogrn: &str) -> Vec<Requisite> {
        let given = |text: &'static str| if text.is_empty() { None } else { Some(text) };
        let leak = |text: &str| given(Box::leak(text.to_owned().into_boxed_str()));
        Requisites { kind, country: "RU", inn: leak(inn), kpp: leak(kpp), ogrn: leak(ogrn) }
            .faults()
            .into_iter()
            .map(|(which, _)| which)
            .collect()
    }

    #[test]
    fn numbers_must_fit_the_kind_of_the_party() {
        use CustomerKind::{Individual, LegalEntity, SoleProprietor};
        assert_eq!(faults(LegalEntity, "7707083893", "773601001", "1027700132195"), []);
        assert_eq!(faults(SoleProprietor, "500100732259", "", "304500116000157"), []);
        assert_eq!(faults(Individual, "", "", ""), []);
        assert_eq!(faults(LegalEntity, "", "", ""), [Requisite::Inn]);
        assert_eq!(faults(LegalEntity, "500100732259", "", ""), [Requisite::Inn]);
        assert_eq!(faults(SoleProprietor, "7707083893", "", ""), [Requisite::Inn]);
        assert_eq!(
            faults(Individual, "500100732258", "773601001", "304500116000157"),
            [Requisite::Inn, Requisite::Kpp, Requisite::Ogrn]
        );
        assert_eq!(faults(LegalEntity, "7707083893", "", "304500116000157"), [Requisite::Ogrn]);
    }

    #[test]
    fn numbers_of_other_countries_are_only_bounded() {
        let party = Requisites {
            kind: CustomerKind::LegalEntity,
            country: "KZ",
            inn: Some("БИН-1"),
            kpp: None,
            ogrn: Some("a\nb"),
        };
        assert_eq!(party.faults().len(), 1);
    }
}
