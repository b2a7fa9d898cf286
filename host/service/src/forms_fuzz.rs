//! Whatever a schema says, a configuration is checked against it or the schema is refused, and a form follows from it.
//!
//! Schemas that no tool would write are put together from the words of JSON Schema, or are sound ones with a few bytes
//! changed; configurations likewise. `cargo xtask fuzz schemas_and_configurations_are_checked_or_refused` goes on longer.

#[path = "../../runtime/tests/fuzzing/mod.rs"]
mod fuzzing;

use altyn_domain::form::form;
use altyn_runtime::{Descriptor, World, check_descriptor};
use serde_json::{Map, Value, json};

use self::fuzzing::{Dice, run};
use crate::{
    error::ServiceError,
    forms::{check_config, check_schema},
};

/// As deep as a generated schema nests.
const DEEPEST: usize = 4;
/// Definitions that a generated schema refers to.
const DEFINITIONS: usize = 5;
/// The most fields of a form, and the most bytes of it: what a browser still draws.
const MOST_FIELDS: usize = 500;
const LARGEST_FORM: usize = 16 << 20;

/// Schemas as plugins have them, to be changed.
const SEEDS: [&str; 3] = [
    r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,"properties":{"regime":{"enum":["general","usn"],"default":"general"},"rates":{"type":"array","items":{"$ref":"#/$defs/rate"},"maxItems":9}},"$defs":{"rate":{"type":"string","pattern":"^[0-9]+$"}}}"##,
    r#"{"type":"object","required":["template"],"properties":{"template":{"type":"string","minLength":3,"maxLength":40,"title":"Шаблон"},"reset":{"enum":["yearly","never"]},"limits":{"type":"object","properties":{"days":{"type":"integer","minimum":1,"exclusiveMaximum":32}}}}}"#,
    r#"{"type":"object","if":{"properties":{"mode":{"const":"live"}}},"then":{"required":["id"]},"else":{"not":{"required":["id"]}},"properties":{"mode":{"type":["string","null"]},"id":{"type":"string","format":"uuid"}},"unevaluatedProperties":false}"#,
];
/// Configurations that fit some of them.
const CONFIGS: [&str; 4] = [
    "{}",
    r#"{"regime":"usn","rates":["5","7"]}"#,
    r#"{"template":"СЧ-{year}","limits":{"days":3}}"#,
    r#"{"mode":"live","id":"00000000-0000-0000-0000-000000000000","a":{"a":[{"a":1}]}}"#,
];
/// From the second on there are such types; from the third on, such patterns; from the sixth on, such divisors; from the
/// eighth on, such counts.
const TYPES: [&str; 8] = ["money", "string", "integer", "number", "boolean", "array", "object", "null"];
const NAMES: [&str; 6] = ["a", "b", "a/b", "~", "", "имя"];
const PATTERNS: [&str; 8] =
    ["[", "(?<=b)a", "^[0-9]+$", "^(a+)+$", "(a|a)*b", "\\p{L}{1,500}", "(x{100}){100}", "(?:(?:a{0,9}){0,9}){0,9}"];
const NUMBERS: [&str; 9] = ["-1", "1e308", "-0.0", "1e-300", "0", "18446744073709551615", "0.1", "1", "3"];

fn one<'a>(dice: &mut Dice, of: &[&'a str]) -> &'a str {
    of[dice.below(of.len())]
}

fn number(dice: &mut Dice, of: &[&str]) -> Value {
    serde_json::from_str(one(dice, of)).unwrap_or_default()
}

/// Any value, as deep as it may be.
fn value(dice: &mut Dice, deep: usize) -> Value {
    match dice.below(if deep == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => Value::Bool(dice.below(2) == 0),
        2 => number(dice, &NUMBERS),
        3 => one(dice, &NAMES).into(),
        4 => "a".repeat(dice.below(200)).into(),
        5 => (0..dice.below(4)).map(|_| value(dice, deep - 1)).collect(),
        _ => Value::Object((0..dice.below(4)).map(|_| (one(dice, &NAMES).into(), value(dice, deep - 1))).collect()),
    }
}

/// Some words of JSON Schema; from a definition, references lead to later ones only, elsewhere to any. A wild one says
/// what makes no sense, too.
fn schema(dice: &mut Dice, deep: usize, from: usize, wild: bool) -> Value {
    let (types, patterns, numbers, counts) = if wild {
        (&TYPES[..], &PATTERNS[..], &NUMBERS[..], &NUMBERS[..])
    } else {
        (&TYPES[1..], &PATTERNS[2..], &NUMBERS[5..], &NUMBERS[7..])
    };
    let mut said = Map::new();
    for _ in 0..=dice.below(4) {
        let inner = |dice: &mut Dice| if deep == 0 { Value::Bool(true) } else { schema(dice, deep - 1, from, wild) };
        let several = |dice: &mut Dice| -> Value { (0..=dice.below(2)).map(|_| inner(dice)).collect() };
        let named = |dice: &mut Dice, names: &[&str]| -> Value {
            Value::Object((0..dice.below(4)).map(|_| (one(dice, names).into(), inner(dice))).collect())
        };
        let (word, what) = match dice.below(22) {
            0 | 1 => ("type", one(dice, types).into()),
            2 if wild => ("type", (0..dice.below(3)).map(|_| Value::from(one(dice, types))).collect()),
            2 => ("type", json!(["object", one(dice, &["string", "null", "array"])])),
            3..=5 => ("properties", named(dice, &NAMES)),
            6 => ("patternProperties", named(dice, patterns)),
            7 => ("items", inner(dice)),
            8 => ("pattern", one(dice, patterns).into()),
            9 => ("enum", (0..dice.below(4)).map(|_| value(dice, 2)).collect()),
            10 => ("const", value(dice, 2)),
            11 => (one(dice, &["allOf", "anyOf", "oneOf", "prefixItems"]), several(dice)),
            12 => (one(dice, &["not", "if", "then", "else", "contains", "propertyNames"]), inner(dice)),
            13 => (one(dice, &["minimum", "maximum", "exclusiveMinimum", "multipleOf"]), number(dice, numbers)),
            14 => (one(dice, &["minLength", "maxItems", "minProperties", "minContains"]), number(dice, counts)),
            15 => (
                "required",
                (0..dice.below(if wild { 3 } else { 2 })).map(|_| Value::from(one(dice, &NAMES))).collect(),
            ),
            16 => (one(dice, &["additionalProperties", "unevaluatedProperties", "unevaluatedItems"]), inner(dice)),
            17 => ("format", one(dice, &["uuid", "date", "regex", "ipv6", "idn-email", "none"]).into()),
            18 => (one(dice, &["title", "description", "default", "$comment", "examples"]), value(dice, 2)),
            19 => ("dependentSchemas", named(dice, &NAMES)),
            _ if from < DEFINITIONS => {
                let to = from + dice.below(DEFINITIONS - from);
                ("$ref", format!("#/$defs/{to}").into())
            }
            _ if wild => ("$anchor", one(dice, &["a", "1", ""]).into()),
            _ => ("uniqueItems", true.into()),
        };
        said.insert(word.into(), what);
    }
    Value::Object(said)
}

fn made(dice: &mut Dice) -> Value {
    let wild = dice.below(4) == 0;
    let mut whole = schema(dice, DEEPEST, 0, wild);
    let definitions: Map<String, Value> =
        (0..DEFINITIONS).map(|place| (place.to_string(), schema(dice, DEEPEST - 2, place + 1, wild))).collect();
    whole["$defs"] = definitions.into();
    whole["type"] = "object".into();
    whole
}

fn changed(dice: &mut Dice, seeds: &[&str]) -> String {
    let seed = one(dice, seeds);
    String::from_utf8_lossy(&dice.mutate(seed.as_bytes())).into_owned()
}

/// Whether an answer is a judgement: the host was neither stopped nor puzzled.
fn judged(answer: &Result<(), ServiceError>) -> bool {
    matches!(answer, Ok(()) | Err(ServiceError::Invalid(_) | ServiceError::Plugin { code: "plugin-refused", .. }))
}

#[test]
fn schemas_and_configurations_are_checked_or_refused() {
    let reactor = tokio::runtime::Builder::new_current_thread().build().unwrap_or_else(|error| panic!("{error}"));
    let (mut sound, mut fitting) = (0_u64, 0_u64);
    run("schemas_and_configurations_are_checked_or_refused", |dice| {
        let text = if dice.below(3) == 0 { changed(dice, &SEEDS) } else { made(dice).to_string() };
        let descriptor = Descriptor {
            id: "fuzzed".into(),
            version: "1.0.0".into(),
            title: "Fuzzed".into(),
            config_schema: text.clone(),
            secrets: Vec::new(),
            hosts: Vec::new(),
        };
        // What is not let in is asked nothing.
        if check_descriptor(&descriptor, World::TaxRule).is_err() {
            return;
        }
        let schema: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let fields = form(&schema);
        assert!(fields.len() <= MOST_FIELDS, "{} fields of {text}", fields.len());
        let drawn = json!(fields).to_string().len();
        assert!(drawn <= LARGEST_FORM, "a form of {drawn} bytes of {text}");
        let checked = reactor.block_on(check_schema(&text));
        assert!(judged(&checked), "{checked:?} of {text}");
        let config = match dice.below(3) {
            0 => serde_json::from_str(&changed(dice, &CONFIGS)).unwrap_or_default(),
            _ => value(dice, 4),
        };
        let fits = reactor.block_on(check_config(&text, &config));
        assert!(judged(&fits), "{fits:?} of {config} by {text}");
        assert_eq!(
            matches!(fits, Err(ServiceError::Plugin { .. })),
            checked.is_err(),
            "a schema that is taken checks every configuration: {text}"
        );
        if let Err(ServiceError::Invalid(errors)) = &fits {
            assert!((1..=50).contains(&errors.len()), "{} errors", errors.len());
            assert!(errors.iter().all(|error| error.pointer.starts_with("/config") && error.message.len() < 2_000));
        }
        sound += u64::from(checked.is_ok());
        fitting += u64::from(fits.is_ok());
    });
    assert!(sound > 0 && fitting > 0, "{sound} sound schemas and {fitting} fitting configurations are no test");
    eprintln!("{sound} sound schemas, {fitting} fitting configurations");
}
