//! The form of a plugin's configuration, made from its JSON Schema.
//!
//! Owns what a settings form needs to draw itself. Refuses to know how a value is checked: that is the schema's matter.
//! Invariant: any JSON makes a form of bounded size; what has no field of its own becomes a field for JSON text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::text_enum;

/// How deep fields are nested.
const DEEPEST: usize = 6;
/// The most fields of a form.
const MOST_FIELDS: usize = 500;

text_enum! {
    /// How a field is drawn.
    pub enum FieldKind as "kind of field" {
        /// A line of text.
        Text = "text",
        /// A whole number.
        Integer = "integer",
        /// A number.
        Number = "number",
        /// A switch.
        Switch = "switch",
        /// One of some values.
        Choice = "choice",
        /// A list of values of one kind.
        List = "list",
        /// Fields of its own.
        Group = "group",
        /// JSON, as text.
        Json = "json",
    }
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FormField {
    /// Where its value goes in the configuration, a JSON pointer; the element of a list ends in `/-`.
    pub pointer: String,
    /// How it is drawn.
    pub kind: FieldKind,
    /// Its name for people.
    pub title: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether the configuration needs it.
    pub required: bool,
    /// The value that it begins with.
    pub default: Option<Value>,
    /// The values of a choice.
    pub choices: Vec<Value>,
    /// What the schema says about the value beside its type: `minimum`, `maxLength`, `pattern` and the like.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub bounds: serde_json::Map<String, Value>,
}

const BOUNDS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
];

/// The fields of a form, a group before its own fields.
pub fn form(schema: &Value) -> Vec<FormField> {
    let mut fields = Vec::new();
    properties(schema, schema, "", 0, &mut fields);
    fields
}

/// What a schema or a reference inside the same document says.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(pointer) = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#')) else {
        return schema;
    };
    root.pointer(pointer).unwrap_or(schema)
}

fn properties(root: &Value, schema: &Value, at: &str, depth: usize, fields: &mut Vec<FormField>) {
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        field(root, property, pointer, name, required.contains(&name.as_str()), depth, fields);
    }
}

fn field(
    root: &Value,
    schema: &Value,
    pointer: String,
    name: &str,
    required: bool,
    depth: usize,
    fields: &mut Vec<FormField>,
) {
    if fields.len() >= MOST_FIELDS {
        return;
    }
    let said = resolved(root, schema);
    let text = |key: &str| schema.get(key).or_else(|| said.get(key)).and_then(Value::as_str).map(str::to_owned);
    let choices = match (said.get("enum").and_then(Value::as_array), said.get("const")) {
        (Some(values), _) => values.iter().take(MOST_FIELDS).cloned().collect(),
        (None, Some(only)) => vec![only.clone()],
        (None, None) => Vec::new(),
    };
    let kind = match said.get("type").and_then(Value::as_str) {
        _ if !choices.is_empty() => FieldKind::Choice,
        Some("string") => FieldKind::Text,
        Some("integer") => FieldKind::Integer,
        Some("number") => FieldKind::Number,
        Some("boolean") => FieldKind::Switch,
        Some("array") if depth < DEEPEST && said.get("items").is_some_and(Value::is_object) => FieldKind::List,
        Some("object") if depth < DEEPEST && said.get("properties").is_some() => FieldKind::Group,
        _ => FieldKind::Json,
    };
    let bounds =
        BOUNDS.iter().filter_map(|key| said.get(*key).map(|value| ((*key).to_owned(), value.clone()))).collect();
    fields.push(FormField {
        pointer: pointer.clone(),
        kind,
        title: text("title").unwrap_or_else(|| name.replace('_', " ")),
        description: text("description"),
        required,
        default: schema.get("default").or_else(|| said.get("default")).cloned(),
        choices,
        bounds,
    });
    match kind {
        FieldKind::Group => properties(root, said, &pointer, depth + 1, fields),
        FieldKind::List => {
            if let Some(items) = said.get("items") {
                field(root, items, pointer + "/-", name, false, depth + 1, fields);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_becomes_fields_with_their_bounds() {
        let schema = json!({
            "type": "object", "required": ["template"],
            "$defs": { "rate": { "type": "string", "pattern": "^[0-9]+$", "title": "Rate" } },
            "properties": {
                "template": { "type": "string", "title": "Template", "description": "How a number looks", "maxLength": 40 },
                "reset": { "enum": ["yearly", "never"], "default": "yearly" },
                "rates": { "type": "array", "items": { "$ref": "#/$defs/rate" } },
                "limits": { "type": "object", "properties": { "days": { "type": "integer", "minimum": 1 } } },
                "a/b": { "type": ["string", "null"] },
            },
        });
        let fields = form(&schema);
        let drawn: std::collections::BTreeMap<&str, (FieldKind, bool)> =
            fields.iter().map(|field| (field.pointer.as_str(), (field.kind, field.required))).collect();
        assert_eq!(drawn["/template"], (FieldKind::Text, true));
        assert_eq!(drawn["/reset"], (FieldKind::Choice, false));
        assert_eq!(drawn["/rates"], (FieldKind::List, false));
        assert_eq!(drawn["/rates/-"], (FieldKind::Text, false));
        assert_eq!(drawn["/limits"], (FieldKind::Group, false));
        assert_eq!(drawn["/limits/days"], (FieldKind::Integer, false));
        assert_eq!(drawn["/a~1b"], (FieldKind::Json, false));
        let find = |pointer| fields.iter().find(|field| field.pointer == pointer).unwrap();
        assert_eq!(find("/template").bounds["maxLength"], 40);
        assert_eq!(find("/template").description.as_deref(), Some("How a number looks"));
        assert_eq!(find("/reset").default, Some(json!("yearly")));
        assert_eq!((find("/rates/-").title.as_str(), find("/reset").choices.len()), ("Rate", 2));
    }

    #[test]
    fn a_schema_that_contains_itself_makes_a_form_that_ends() {
        let schema = json!({ "properties": { "next": { "$ref": "#" } , "more": { "type": "array", "items": { "$ref": "#/properties/more" } } }, "type": "object" });
        let fields = form(&schema);
        assert!(fields.len() < MOST_FIELDS && fields.iter().any(|field| field.kind == FieldKind::Json));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_json_makes_a_form_of_bounded_size(keys in prop::collection::vec("[a-z$/~]{0,6}", 0..40), text in "\\PC{0,40}") {
            let properties: serde_json::Map<String, Value> = keys.iter()
                .map(|key| (key.clone(), json!({ "type": text, "enum": [text], "$ref": format!("#{text}") }))).collect();
            let fields = form(&json!({ "properties": properties, "required": text })).len();
            prop_assert!(fields <= 40);
            let none = form(&json!([text])).is_empty();
            prop_assert!(none);
        }
    }
}
