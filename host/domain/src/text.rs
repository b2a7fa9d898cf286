//! The one textual form of a value: the same text in JSON, in SQL, on the command line and in an OpenAPI document.
//!
//! Owns two macros that tie `Display`, `FromStr` and serde together. Invariant: `parse(x.to_string()) == x`.

use std::fmt;

/// A word that is not among the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} \"{given}\"; use one of: {expected}")]
pub struct UnknownName {
    /// What was being read, in the words of the trade.
    pub what: &'static str,
    /// What was given, cut to 40 characters.
    pub given: String,
    /// The known words.
    pub expected: Expected,
}

/// The list of known words, shown separated by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected(pub &'static [&'static str]);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// The first 40 characters of a text, for error messages that must stay readable and fit to be stored whatever was sent:
/// characters that cannot be seen, or change how others are seen, are written as `\u{…}`.
pub(crate) fn shorten(text: &str) -> String {
    visible(&text.chars().take(40).collect::<String>())
}

/// Whether a character reorders or hides the text around it, which would let two different texts look the same.
pub(crate) fn is_invisible_mark(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

/// The text with characters that cannot be seen, or change how others are seen, written as `\u{…}`. Databases refuse
/// some of them, and terminals obey others.
pub fn visible(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible_mark(c) { clean.extend(c.escape_unicode()) } else { clean.push(c) }
    }
    clean
}

/// Serialises a type as its `Display` text and reads it back with `FromStr`; with `openapi` it is a string schema.
macro_rules! serde_as_text {
    ($type:ident, $description:expr, $example:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($description))
                    .examples([serde_json::Value::from($example)])
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($type))
            }
        }
    };
}

/// Declares an enum whose variants have one fixed text each.
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident as $what:literal { $( $(#[$variant_meta:meta])* $variant:ident = $text:tt, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $text)] $variant, )+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The text of the value, the same in JSON, SQL and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $( $text => Ok(Self::$variant), )+
                    other => Err($crate::text::UnknownName {
                        what: $what,
                        given: $crate::text::shorten(other),
                        expected: $crate::text::Expected(&[$( $text, )+]),
                    }),
                }
            }
        }
    };
}

pub(crate) use {serde_as_text, text_enum};
