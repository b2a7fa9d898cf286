use altyn_plugin::{Attribute, Date, Money, Party, config};

use super::*;

const FIXTURE: &str = include_str!("../tests/vectors.json");

#[derive(Deserialize)]
struct Fixture {
    included: Vec<Vector>,
    on_top: Vec<OnTop>,
    base_rate: Vec<BaseRate>,
    advance: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    gross: i64,
    on: String,
    #[serde(default)]
    regime: Option<String>,
    category: String,
    tax: i64,
    code: String,
}

#[derive(Deserialize)]
struct OnTop {
    net: i64,
    on: String,
    tax: i64,
}

#[derive(Deserialize)]
struct BaseRate {
    on: String,
    percent: String,
}

fn fixture() -> Fixture {
    serde_json::from_str(FIXTURE).unwrap()
}

fn date(text: &str) -> Date {
    let mut parts = text.split('-');
    let mut next = || parts.next().unwrap();
    Date { year: next().parse().unwrap(), month: next().parse().unwrap(), day: next().parse().unwrap() }
}

fn party(vat_regime: Option<&str>) -> Party {
    let attribute = |value: &str| Attribute { name: "vat-regime".into(), value: value.into() };
    Party {
        id: "p".into(),
        kind: "legal-entity".into(),
        country: "RU".into(),
        tax_ids: Vec::new(),
        attributes: vat_regime.map(attribute).into_iter().collect(),
    }
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

fn document(mode: PriceMode, amount: i64, on: &str, category: &str) -> Document {
    Document {
        id: "3".into(),
        seller: party(None),
        buyer: party(None),
        issued_on: date("2026-12-01"),
        advance: false,
        mode,
        lines: vec![Line {
            id: "0".into(),
            amount: Money { minor: amount, currency: "RUB".into() },
            supplied_on: date(on),
            category: category.into(),
            attributes: Vec::new(),
        }],
        exponent: 2,
    }
}

fn assess(config_text: &str, document: Document) -> Result<LineTax, Fault> {
    let ctx = context(config_text);
    let config = config::<Config>(&ctx)?;
    RuVat::assess(&config, &ctx, document).map(|mut assessment| assessment.lines.remove(0))
}

fn regime(regime: Option<&str>) -> String {
    regime.map_or_else(String::new, |regime| format!(r#"{{"regime":"{regime}"}}"#))
}

fn check(vector: &Vector, advance: bool) {
    let document = Document { advance, ..document(PriceMode::Included, vector.gross, &vector.on, &vector.category) };
    let line = assess(&regime(vector.regime.as_deref()), document).unwrap();
    let name = format!("{} {} {} {:?}", vector.gross, vector.on, vector.category, vector.regime);
    assert_eq!((line.tax.minor, line.code.as_str()), (vector.tax, vector.code.as_str()), "{name}");
    assert_eq!((line.gross.minor, line.net.minor), (vector.gross, vector.gross - vector.tax), "{name}");
}

#[test]
fn published_vectors_of_included_tax_hold() {
    fixture().included.iter().for_each(|vector| check(vector, false));
}

#[test]
fn published_vectors_of_advances_hold() {
    fixture().advance.iter().for_each(|vector| check(vector, true));
}

#[test]
fn published_vectors_of_tax_on_top_hold() {
    for vector in fixture().on_top {
        let line = assess("", document(PriceMode::OnTop, vector.net, &vector.on, "standard")).unwrap();
        assert_eq!((line.net.minor, line.tax.minor), (vector.net, vector.tax));
        assert_eq!(line.gross.minor, vector.net + vector.tax);
    }
}

#[test]
fn the_rate_is_that_of_the_day_of_supply_not_of_the_document() {
    for vector in fixture().base_rate {
        let line = assess("", document(PriceMode::Included, 10_000, &vector.on, "standard")).unwrap();
        assert_eq!(line.rate.as_ref(), Some(&vector.percent), "{}", vector.on);
    }
}

#[test]
fn exempt_zero_and_not_a_payer_are_three_cases() {
    let code = |category: &str| {
        let line = assess("", document(PriceMode::Included, 100, "2026-11-01", category)).unwrap();
        (line.code, line.rate)
    };
    assert_eq!(code("zero"), ("vat0".into(), Some("0".into())));
    assert_eq!(code("exempt"), ("exempt".into(), None));
    assert_eq!(code("none"), ("none".into(), None));
}

#[test]
fn the_sellers_own_regime_overrides_the_configuration() {
    let sold = |vat_regime, config: &str| {
        let document = document(PriceMode::Included, 10_000, "2026-11-01", "standard");
        assess(config, Document { seller: party(vat_regime), ..document })
    };
    assert_eq!(sold(Some("usn-5"), r#"{"regime":"general"}"#).unwrap().code, "vat5");
    assert_eq!(sold(Some("general"), r#"{"regime":"none"}"#).unwrap().code, "vat22");
    assert_eq!(sold(None, r#"{"regime":"usn-7"}"#).unwrap().code, "vat7");
    assert!(matches!(sold(Some("osno"), ""), Err(Fault::Invalid(text)) if text.contains("osno")));
}

#[test]
fn what_cannot_be_decided_is_a_fault_that_names_the_line_and_never_a_zero() {
    let cases = [
        ("", "2003-12-31", "standard", "2004-01-01"),
        ("", "2003-12-31", "reduced", "2004-01-01"),
        (r#"{"regime":"usn-5"}"#, "2024-12-31", "standard", "2025-01-01"),
        (r#"{"regime":"usn-7"}"#, "2024-12-31", "zero", "2025-01-01"),
        ("", "2026-11-01", "luxury", "luxury"),
        (r#"{"regime":"none"}"#, "2026-11-01", "luxury", "luxury"),
        ("", "2026-02-30", "standard", "2026-02-30"),
    ];
    for (config, on, category, named) in cases {
        let fault = assess(config, document(PriceMode::Included, 100, on, category)).unwrap_err();
        let Fault::Invalid(text) = fault else { panic!("{fault:?}") };
        assert!(text.contains("document 3, line 0") && text.contains(named), "{text}");
    }
}

#[test]
fn a_wrong_configuration_is_named() {
    for wrong in [r#"{"regime":"osno"}"#, r#"{"rate":20}"#, "[]", "{"] {
        let fault = assess(wrong, document(PriceMode::Included, 100, "2026-11-01", "standard")).unwrap_err();
        assert!(matches!(fault, Fault::Misconfigured(_)), "{wrong}: {fault:?}");
    }
}

#[test]
fn net_tax_and_gross_agree_for_every_kopeck() {
    for minor in -2_000..=20_000 {
        for category in ["standard", "reduced"] {
            for mode in [PriceMode::Included, PriceMode::OnTop] {
                let line = assess("", document(mode, minor, "2026-11-01", category)).unwrap();
                assert_eq!(line.net.minor + line.tax.minor, line.gross.minor);
                assert!(line.tax.minor == 0 || line.tax.minor.signum() == minor.signum());
            }
        }
    }
}

#[test]
fn an_amount_that_does_not_fit_is_a_fault() {
    let fault = assess("", document(PriceMode::OnTop, i64::MAX, "2026-11-01", "standard")).unwrap_err();
    assert!(matches!(fault, Fault::Unsupported(_)));
    assert!(assess("", document(PriceMode::Included, i64::MAX, "2026-11-01", "standard")).is_ok());
}

#[test]
fn the_schema_is_json_and_names_the_regimes() {
    let schema: serde_json::Value = serde_json::from_str(&RuVat::describe().config_schema).unwrap();
    assert_eq!(schema["properties"]["regime"]["enum"].as_array().unwrap().len(), 4);
}
