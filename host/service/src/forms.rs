//! Configurations of plugins: checked against the schema that the plugin brings, and the form that follows from it.
//!
//! A schema is a guest's word: it reads no file and no network, its patterns run in time that grows with the text only.

use altyn_domain::form::{FormField, form};
use jsonschema::PatternOptions;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    context::Altyn,
    error::{FieldError, Result, ServiceError},
    plugins::{blocking, schema},
};

/// The most errors that are told of one configuration.
const MOST_TOLD: usize = 50;
/// The longest message about one error, characters.
const LONGEST_MESSAGE: usize = 300;
/// The largest configuration, bytes of its JSON.
const LARGEST_CONFIG: usize = 64 << 10;

/// The settings form of a plugin.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FormView {
    /// SHA-256 of the component.
    pub digest: String,
    /// The plugin's id.
    pub plugin_id: String,
    /// For people.
    pub title: String,
    /// The fields, a group before its own.
    pub fields: Vec<FormField>,
}

fn compiled(schema: &Value) -> std::result::Result<jsonschema::Validator, String> {
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(schema).map_err(|error| error.to_string().chars().take(LONGEST_MESSAGE).collect())
}

/// Checks that a schema is one that configurations can be checked against.
pub(crate) async fn check_schema(text: &str) -> Result<()> {
    let schema = schema(text);
    let checked = blocking(move || compiled(&schema).map(|_| ())).await?;
    checked.map_err(|why| ServiceError::Plugin {
        code: "plugin-refused",
        message: format!("the component's configuration schema is not usable: {why}"),
    })
}

/// Checks a configuration against a component's schema; each error names its place below `/config`.
pub(crate) async fn check_config(text: &str, config: &Value) -> Result<()> {
    if config.to_string().len() > LARGEST_CONFIG {
        return Err(ServiceError::invalid("/config", format!("must have at most {LARGEST_CONFIG} bytes")));
    }
    let (schema, config) = (schema(text), config.clone());
    let checked = blocking(move || -> std::result::Result<Vec<FieldError>, String> {
        let validator = compiled(&schema)?;
        let told = validator.iter_errors(&config).take(MOST_TOLD).map(|error| FieldError {
            pointer: format!("/config{}", error.instance_path()),
            message: error.to_string().chars().take(LONGEST_MESSAGE).collect(),
        });
        Ok(told.collect())
    })
    .await?;
    match checked {
        Ok(errors) if errors.is_empty() => Ok(()),
        Ok(errors) => Err(ServiceError::Invalid(errors)),
        Err(why) => Err(ServiceError::Plugin {
            code: "plugin-refused",
            message: format!("the component's configuration schema is not usable: {why}"),
        }),
    }
}

impl Altyn {
    /// The form of an installed component's configuration.
    pub async fn plugin_form(&self, digest: &str) -> Result<FormView> {
        let row = self.plugin_row(digest).await?;
        let fields = form(&schema(&row.config_schema));
        Ok(FormView { digest: hex::encode(&row.digest), plugin_id: row.plugin_id, title: row.title, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(schema: &str, config: Value) -> Vec<FieldError> {
        match check_config(schema, &config).await {
            Ok(()) => Vec::new(),
            Err(ServiceError::Invalid(errors)) => errors,
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn each_error_of_a_configuration_names_its_place() {
        let schema = r#"{"type":"object","additionalProperties":false,"required":["template"],
            "properties":{"template":{"type":"string","minLength":3},"rates":{"type":"array","items":{"type":"integer"}}}}"#;
        assert!(told(schema, serde_json::json!({ "template": "abc", "rates": [1, 2] })).await.is_empty());
        let errors = told(schema, serde_json::json!({ "template": "a", "rates": [1, "x"], "more": 1 })).await;
        let mut pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/config", "/config/rates/1", "/config/template"]);
    }

    #[tokio::test]
    async fn a_schema_reaches_neither_files_nor_the_network() {
        for elsewhere in ["file:///etc/passwd", "http://169.254.169.254/latest", "https://example.org/schema.json"] {
            let schema = format!(r#"{{"type":"object","properties":{{"a":{{"$ref":"{elsewhere}"}}}}}}"#);
            let error = check_schema(&schema).await.unwrap_err();
            assert_eq!(error.code(), "plugin-refused", "{elsewhere}: {error}");
        }
    }

    #[tokio::test]
    async fn a_pattern_does_not_make_the_host_work_for_ever() {
        let schema = r#"{"type":"object","properties":{"a":{"type":"string","pattern":"^(a+)+$"}}}"#;
        let config = serde_json::json!({ "a": format!("{}!", "a".repeat(5_000)) });
        assert_eq!(told(schema, config).await.len(), 1);
        let looking_back = r#"{"type":"object","properties":{"a":{"type":"string","pattern":"(?<=b)a"}}}"#;
        assert!(check_schema(looking_back).await.is_err());
    }
}
