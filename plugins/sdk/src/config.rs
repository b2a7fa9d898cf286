//! The configuration of a binding, read once per call.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Context, Fault};

/// The configuration of a plugin that has none: an empty object.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The JSON Schema of [`NoConfig`].
pub const NO_CONFIG_SCHEMA: &str =
    r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false}"#;

/// Reads the configuration; empty text is an empty object. A text that does not read is a `misconfigured` fault that
/// says where.
pub fn config<T: DeserializeOwned>(ctx: &Context) -> Result<T, Fault> {
    let text = match ctx.config.trim_start() {
        "" => "{}",
        text if text.starts_with('{') => text,
        // serde would read the fields of a record from an array, one by one.
        _ => return Err(Fault::Misconfigured("the configuration must be a JSON object".into())),
    };
    serde_json::from_str(text)
        .map_err(|error| Fault::Misconfigured(format!("the configuration does not read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(config: &str) -> Context {
        Context {
            tenant: String::new(),
            binding: String::new(),
            config: config.into(),
            now: 0,
            zone: "UTC".into(),
            locale: "en".into(),
        }
    }

    #[test]
    fn nothing_configured_is_an_empty_object() {
        assert!(config::<NoConfig>(&context("")).is_ok());
        assert!(config::<NoConfig>(&context(" {} ")).is_ok());
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        let Err(Fault::Misconfigured(text)) = config::<NoConfig>(&context(r#"{"month":30}"#)) else {
            panic!("accepted")
        };
        assert!(text.contains("unknown field `month`"), "{text}");
    }
}
