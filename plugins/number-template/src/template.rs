//! The template: read once, formed many times.

use core::fmt::Write as _;

use altyn_plugin::numbering::Draft;

use crate::Reset;

/// Longest template, characters.
const MAX_TEMPLATE_CHARACTERS: usize = 100;
/// Longest number, characters, as the contract says.
const MAX_NUMBER_CHARACTERS: usize = 64;
/// Most digits of a padded sequence value.
const MAX_DIGITS: usize = 18;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Year,
    YearOfCentury,
    Month { digits: usize },
    Day { digits: usize },
    Seq { digits: usize },
    Contract,
    Seller,
    Kind,
}

/// A template that was read and has a `{seq}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads a template; the error names the token at fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > MAX_TEMPLATE_CHARACTERS {
            return Err(format!("the template has more than {MAX_TEMPLATE_CHARACTERS} characters"));
        }
        if text.chars().any(char::is_control) {
            return Err("the template has control characters".into());
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let Some((token, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
                return Err("the template has a brace without its pair".into());
            };
            parts.push(Part::parse(token)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        if !parts.iter().any(|part| matches!(part, Part::Seq { .. })) {
            return Err("the template must contain {seq}".into());
        }
        Ok(Self(parts))
    }

    /// Whether numbers of different reset scopes differ; the error says which tokens are missing.
    pub fn shows(&self, reset: Reset) -> Result<(), String> {
        let has = |wanted: fn(&Part) -> bool| self.0.iter().any(wanted);
        let year = has(|part| matches!(part, Part::Year | Part::YearOfCentury));
        let month = has(|part| matches!(part, Part::Month { .. }));
        let day = has(|part| matches!(part, Part::Day { .. }));
        let (shown, missing) = match reset {
            Reset::Yearly => (year, "{year}"),
            Reset::Monthly => (year && month, "{year} and {month:2}"),
            Reset::Daily => (year && month && day, "{year}, {month:2} and {day:2}"),
            Reset::Never => (true, ""),
        };
        if shown {
            Ok(())
        } else {
            Err(format!("numbers repeat when the counter begins again: let the template contain {missing}"))
        }
    }

    /// The number of a draft.
    pub fn form(&self, draft: &Draft, value: u64) -> Result<String, String> {
        let mut number = String::new();
        let on = &draft.issued_on;
        for part in &self.0 {
            // Writing to a string cannot fail.
            let _ = match part {
                Part::Text(text) => number.write_str(text),
                Part::Year => write!(number, "{:04}", on.year),
                Part::YearOfCentury => write!(number, "{:02}", on.year.rem_euclid(100)),
                Part::Month { digits } => write!(number, "{:01$}", on.month, digits),
                Part::Day { digits } => write!(number, "{:01$}", on.day, digits),
                Part::Seq { digits } => write!(number, "{value:0digits$}"),
                Part::Contract => number.write_str(&draft.contract),
                Part::Seller => number.write_str(&draft.seller),
                Part::Kind => number.write_str(&draft.kind),
            };
        }
        let characters = number.chars().count();
        if characters > MAX_NUMBER_CHARACTERS {
            return Err(format!("the number would have {characters} characters of at most {MAX_NUMBER_CHARACTERS}"));
        }
        Ok(number)
    }
}

impl Part {
    fn parse(token: &str) -> Result<Self, String> {
        let (name, width) = token.split_once(':').map_or((token, None), |(name, width)| (name, Some(width)));
        let unknown = || {
            format!(
                "unknown token {{{token}}}; use {{seq}}, {{seq:N}}, {{year}}, {{yy}}, {{month}}, {{month:2}}, {{day}}, \
                 {{day:2}}, {{contract}}, {{seller}} or {{kind}}"
            )
        };
        let digits = |most: usize| match width {
            None => Ok(1),
            Some(width) => width.parse().ok().filter(|digits| (1..=most).contains(digits)).ok_or_else(unknown),
        };
        match (name, width) {
            ("seq", _) => digits(MAX_DIGITS).map(|digits| Self::Seq { digits }),
            ("month", _) => digits(2).map(|digits| Self::Month { digits }),
            ("day", _) => digits(2).map(|digits| Self::Day { digits }),
            ("year", None) => Ok(Self::Year),
            ("yy", None) => Ok(Self::YearOfCentury),
            ("contract", None) => Ok(Self::Contract),
            ("seller", None) => Ok(Self::Seller),
            ("kind", None) => Ok(Self::Kind),
            _ => Err(unknown()),
        }
    }
}
