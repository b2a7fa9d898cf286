//! Which rate applies: a table of law, no arithmetic.

use altyn_plugin::Date;
use serde::Deserialize;

/// How a seller stands to VAT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regime {
    /// The general system: base and reduced rates.
    #[default]
    General,
    /// The simplified system with VAT at 5 %, without deduction.
    #[serde(rename = "usn-5")]
    Usn5,
    /// The simplified system with VAT at 7 %, without deduction.
    #[serde(rename = "usn-7")]
    Usn7,
    /// Not a VAT payer.
    None,
}

impl Regime {
    /// Reads the text of an attribute.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "general" => Ok(Self::General),
            "usn-5" => Ok(Self::Usn5),
            "usn-7" => Ok(Self::Usn7),
            "none" => Ok(Self::None),
            _ => Err(format!("unknown vat-regime \"{text}\" of the seller; use general, usn-5, usn-7 or none")),
        }
    }
}

/// A rate of the law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// 0 %.
    Zero,
    /// 5 %, simplified system.
    Five,
    /// 7 %, simplified system.
    Seven,
    /// 10 %, reduced.
    Ten,
    /// 18 %, base of 2004 to 2018.
    Eighteen,
    /// 20 %, base of 2019 to 2025.
    Twenty,
    /// 22 %, base from 2026.
    TwentyTwo,
}

impl Rate {
    /// Whole per cent.
    pub fn percent(self) -> u8 {
        match self {
            Self::Zero => 0,
            Self::Five => 5,
            Self::Seven => 7,
            Self::Ten => 10,
            Self::Eighteen => 18,
            Self::Twenty => 20,
            Self::TwentyTwo => 22,
        }
    }

    /// The tax code; advances have inverse rates. 0 % has no inverse.
    pub fn code(self, advance: bool) -> &'static str {
        match (self, advance) {
            (Self::Zero, _) => "vat0",
            (Self::Five, false) => "vat5",
            (Self::Five, true) => "vat5-105",
            (Self::Seven, false) => "vat7",
            (Self::Seven, true) => "vat7-107",
            (Self::Ten, false) => "vat10",
            (Self::Ten, true) => "vat10-110",
            (Self::Eighteen, false) => "vat18",
            (Self::Eighteen, true) => "vat18-118",
            (Self::Twenty, false) => "vat20",
            (Self::Twenty, true) => "vat20-120",
            (Self::TwentyTwo, false) => "vat22",
            (Self::TwentyTwo, true) => "vat22-122",
        }
    }
}

/// What happens to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Taxed, at 0 % too.
    Rate(Rate),
    /// Exempt by law (article 149 of the Tax Code).
    Exempt,
    /// Sold by someone who pays no VAT.
    None,
}

/// First day of 5 % and 7 % on the simplified system.
const SIMPLIFIED_FROM: Date = new_year(2025);

const fn new_year(year: i32) -> Date {
    Date { year, month: 1, day: 1 }
}

/// The treatment of a line by the regime of the seller, the category of what is sold and the day of supply.
pub fn treatment(regime: Regime, category: &str, supplied_on: Date) -> Result<Treatment, String> {
    if supplied_on.day_number().is_none() {
        return Err(format!("{supplied_on} is not a day of the calendar"));
    }
    // An unknown category is refused for every regime, so that a mistyped one is found before the regime changes.
    let rate = match (category, regime) {
        ("" | "standard" | "reduced" | "zero" | "exempt" | "none", Regime::None) | ("none", _) => {
            return Ok(Treatment::None);
        }
        ("exempt", _) => return Ok(Treatment::Exempt),
        ("" | "standard", Regime::General) => base(supplied_on),
        ("reduced", Regime::General) => base(supplied_on).map(|_| Rate::Ten),
        ("zero", Regime::General) => base(supplied_on).map(|_| Rate::Zero),
        ("" | "standard" | "reduced", Regime::Usn5) => simplified(Rate::Five, supplied_on),
        ("" | "standard" | "reduced", Regime::Usn7) => simplified(Rate::Seven, supplied_on),
        ("zero", Regime::Usn5 | Regime::Usn7) => simplified(Rate::Zero, supplied_on),
        (other, _) => Err(format!("unknown tax category \"{other}\"; use standard, reduced, zero, exempt or none")),
    };
    rate.map(Treatment::Rate)
}

fn base(supplied_on: Date) -> Result<Rate, String> {
    if supplied_on >= new_year(2026) {
        Ok(Rate::TwentyTwo)
    } else if supplied_on >= new_year(2019) {
        Ok(Rate::Twenty)
    } else if supplied_on >= new_year(2004) {
        Ok(Rate::Eighteen)
    } else {
        Err(format!("supplied on {supplied_on}: rates before 2004-01-01 are not known"))
    }
}

fn simplified(rate: Rate, supplied_on: Date) -> Result<Rate, String> {
    if supplied_on >= SIMPLIFIED_FROM {
        Ok(rate)
    } else {
        Err(format!(
            "supplied on {supplied_on}: VAT on the simplified system begins on 2025-01-01; use regime none before"
        ))
    }
}
