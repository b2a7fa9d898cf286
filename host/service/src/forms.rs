//! Configurations of plugins: checked against the schema that the plugin brings, and the form that follows from it.
//!
//! A schema is a guest's word: it reads no file and no network, its patterns run in time that grows with the text only, and
//! its references do not multiply without end.

use std::collections::HashMap;

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

/// The most parts of a schema whose references are followed: objects, lists and values.
const MOST_PARTS: u64 = 10_000;

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

/// How much of a schema there is when each reference is followed, saturating; an error for one that is never at its end.
///
/// A validator follows references again and again, so what stands in few bytes may cost more than anybody waits for. Only
/// pointers into the schema itself are followed here, and nothing that gives them another meaning is taken.
fn expanded<'a>(
    root: &'a Value,
    part: &'a Value,
    known: &mut HashMap<*const Value, Option<u64>>,
) -> std::result::Result<u64, String> {
    match known.insert(part, None) {
        Some(Some(size)) => {
            known.insert(part, Some(size));
            return Ok(size);
        }
        Some(None) => return Err("it contains itself; write out as many levels as are needed".to_owned()),
        None => {}
    }
    let mut size = 1_u64;
    match part {
        Value::Object(members) => {
            for (name, value) in members {
                if let Value::String(text) = value {
                    match name.as_str() {
                        "$ref" => {
                            let target = text.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                            let target = target.ok_or_else(|| {
                                format!("$ref {text:?} is no pointer into the schema, such as #/$defs/name")
                            })?;
                            size = size.saturating_add(expanded(root, target, known)?);
                        }
                        "$dynamicRef" | "$recursiveRef" => return Err(format!("{name} is not taken; use $ref")),
                        "$id" if !std::ptr::eq(root, part) => {
                            return Err("$id inside of the schema is not taken; remove it".to_owned());
                        }
                        // There, `id` is what `$id` is now.
                        "$schema" if text.contains("draft-03") || text.contains("draft-04") => {
                            return Err("it is written in draft 4; write it in draft 6 or later".to_owned());
                        }
                        _ => {}
                    }
                }
                size = size.saturating_add(expanded(root, value, known)?);
            }
        }
        Value::Array(items) => {
            for item in items {
                size = size.saturating_add(expanded(root, item, known)?);
            }
        }
        _ => {}
    }
    known.insert(part, Some(size));
    Ok(size)
}

fn compiled(schema: &Value) -> std::result::Result<jsonschema::Validator, String> {
    if expanded(schema, schema, &mut HashMap::new())? > MOST_PARTS {
        return Err(format!("with its references followed it has more than {MOST_PARTS} parts; use fewer $ref"));
    }
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
    async fn references_that_multiply_are_refused_at_once() {
        let started = std::time::Instant::now();
        let mut defs = serde_json::Map::new();
        for level in 0..30 {
            let next = format!("#/$defs/b{}", level + 1);
            defs.insert(format!("b{level}"), serde_json::json!({ "allOf": [{ "$ref": next }, { "$ref": next }] }));
        }
        defs.insert("b30".into(), serde_json::json!({ "type": "object" }));
        let bomb = serde_json::json!({ "$defs": defs, "$ref": "#/$defs/b0" }).to_string();
        for refused in [check_schema(&bomb).await, check_config(&bomb, &serde_json::json!({})).await] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code(), "plugin-refused");
            assert!(refused.to_string().contains("more than 10000 parts"), "{refused}");
        }
        for (schema, why) in [
            (serde_json::json!({ "$ref": "#" }), "contains itself"),
            (
                serde_json::json!({ "properties": { "a": { "items": { "$ref": "#/properties/a" } } } }),
                "contains itself",
            ),
            (serde_json::json!({ "properties": { "a": { "$ref": "#a" }, "b": { "$anchor": "a" } } }), "no pointer"),
            (serde_json::json!({ "allOf": [{ "$id": "x", "properties": {} }] }), "$id"),
            (serde_json::json!({ "$dynamicRef": "#a" }), "$dynamicRef"),
            (serde_json::json!({ "$schema": "http://json-schema.org/draft-04/schema#" }), "draft 4"),
        ] {
            let refused = check_schema(&schema.to_string()).await.unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
        let shared = serde_json::json!({ "$defs": { "rate": { "type": "string" } },
            "properties": { "a": { "$ref": "#/$defs/rate" }, "b": { "$ref": "#/$defs/rate" }, "$ref": { "type": "string" } } });
        assert!(check_schema(&shared.to_string()).await.is_ok(), "what is used twice is no bomb");
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
