use altyn_plugin::{Date, config};

use super::*;

const FIXTURE: &str = include_str!("../tests/vectors.json");

#[derive(Deserialize)]
struct Vector {
    config: serde_json::Value,
    issued_on: (i32, u8, u8),
    value: u64,
    key: String,
    number: String,
}

fn context(config: &str) -> Context {
    Context {
        tenant: "ten".into(),
        binding: "bnd".into(),
        config: config.into(),
        now: 0,
        zone: "Europe/Moscow".into(),
        locale: "ru-RU".into(),
    }
}

fn draft((year, month, day): (i32, u8, u8)) -> Draft {
    Draft {
        id: "0".into(),
        kind: "invoice".into(),
        seller: "АЛ".into(),
        contract: "Д-17".into(),
        issued_on: Date { year, month, day },
        attributes: Vec::new(),
    }
}

fn refusal(text: &str) -> String {
    match config::<Config>(&context(text)) {
        Err(Fault::Misconfigured(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn published_vectors_hold() {
    let vectors: Vec<Vector> = serde_json::from_str(FIXTURE).unwrap();
    assert!(vectors.len() >= 8);
    for vector in vectors {
        let ctx = context(&vector.config.to_string());
        let (config, draft) = (config::<Config>(&ctx).unwrap(), draft(vector.issued_on));
        assert_eq!(NumberTemplate::sequence(&config, &ctx, &draft).unwrap().key, vector.key, "{}", vector.config);
        assert_eq!(
            NumberTemplate::number(&config, &ctx, &draft, vector.value).unwrap(),
            vector.number,
            "{}",
            vector.config
        );
    }
}

#[test]
fn the_first_value_comes_from_the_configuration() {
    let ctx = context(r#"{"template":"{year}-{seq}","start":500}"#);
    let config = config::<Config>(&ctx).unwrap();
    assert_eq!(NumberTemplate::sequence(&config, &ctx, &draft((2026, 11, 1))).unwrap().start, 500);
}

#[test]
fn a_template_without_a_sequence_is_refused() {
    assert!(refusal(r#"{"template":"СЧ-{year}"}"#).contains("must contain {seq}"));
    assert!(refusal("").contains("missing field `template`"));
}

#[test]
fn an_unknown_token_is_named() {
    for token in ["{branch}", "{year:4}", "{seq:0}", "{seq:19}", "{month:3}", "{}", "{Seq}"] {
        let text = refusal(&format!(r#"{{"template":"{token}-{{seq}}"}}"#));
        assert!(text.contains(&format!("unknown token {token}")), "{text}");
    }
}

#[test]
fn braces_come_in_pairs() {
    for template in ["{seq", "seq}-{seq}", "{seq}}"] {
        let text = refusal(&format!(r#"{{"template":"{template}"}}"#));
        assert!(text.contains("brace"), "{text}");
    }
}

#[test]
fn a_first_value_out_of_range_is_refused() {
    assert!(refusal(r#"{"template":"{seq}","start":0}"#).contains("out of range"));
    assert!(refusal(r#"{"template":"{seq}","reset":"weekly"}"#).contains("weekly"));
}

#[test]
fn a_number_longer_than_the_contract_allows_is_refused() {
    let ctx = context(r#"{"template":"{contract}{seq}"}"#);
    let config = config::<Config>(&ctx).unwrap();
    let draft = Draft { contract: "д".repeat(64), ..draft((2026, 1, 1)) };
    assert!(
        matches!(NumberTemplate::number(&config, &ctx, &draft, 1), Err(Fault::Invalid(text)) if text.contains("65"))
    );
}

#[test]
fn different_values_give_different_numbers() {
    let ctx = context(r#"{"template":"{seq:3}"}"#);
    let config = config::<Config>(&ctx).unwrap();
    let draft = draft((2026, 1, 1));
    let numbers: Vec<_> =
        (1..2_000).map(|value| NumberTemplate::number(&config, &ctx, &draft, value).unwrap()).collect();
    let mut distinct = numbers.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), numbers.len());
}

#[test]
fn the_schema_is_json() {
    let schema: serde_json::Value = serde_json::from_str(&NumberTemplate::describe().config_schema).unwrap();
    assert_eq!(schema["required"][0], "template");
}
