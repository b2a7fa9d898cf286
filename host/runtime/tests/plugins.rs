//! The first-party guests in the real host: right answers, evidence that replays, flat use.

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;
#[path = "plugins/composed.rs"]
mod composed;
#[path = "plugins/kit.rs"]
mod kit;

use altyn_domain::calendar::{Cadence, Period};
use altyn_domain::{numbering, proration, tax};
use altyn_runtime::{CallFailure, Digest, FaultKind, Runtime, RuntimeConfig, Side, World, as_json};
use common::{RUNTIME, component, context, document, draft, period, plugin, question, rub};
use rust_decimal::Decimal;

#[test]
fn the_host_knows_what_a_component_is() {
    let expected = [
        ("day-ratio", World::ProrationStrategy),
        ("fixed-days", World::ProrationStrategy),
        ("day-rate-rounded", World::ProrationStrategy),
        ("second", World::ProrationStrategy),
        ("none", World::ProrationStrategy),
        ("ru-vat", World::TaxRule),
        ("number-template", World::NumberingScheme),
    ];
    for (name, world) in expected {
        let bytes = component(name);
        let inspection = RUNTIME.inspect(&bytes).unwrap();
        assert_eq!((inspection.descriptor.id.as_str(), inspection.world), (name, world));
        assert_eq!(inspection.contract_version, "0.1.0");
        assert_eq!(inspection.digest, plugin(name).digest());
        assert_eq!(inspection.size_bytes, bytes.len());
        assert!(
            inspection.imports.iter().all(|import| import.starts_with("altyn:billing/")),
            "{name} imports {:?}",
            inspection.imports
        );
        let schema: serde_json::Value = serde_json::from_str(&inspection.descriptor.config_schema).unwrap();
        assert_eq!(schema["type"], "object");
    }
}

#[test]
fn a_price_is_shared_by_days() {
    let questions = [question(0, 30_000), question(1, 10_000)];
    let call = RUNTIME.prorate(&plugin("day-ratio"), &context(""), &questions);
    let shares = call.result.unwrap();
    assert_eq!(shares.iter().map(|share| share.used).collect::<Vec<_>>(), [rub(20_000), rub(6_667)]);
    assert_eq!(shares[0].explanation, "20 of 30 days");
    for (question, share) in questions.iter().zip(&shares) {
        assert_eq!(proration::check(question, share), Ok(()));
    }
    assert_eq!(call.record.export, "proration.prorate");
    assert!(call.record.fuel > 0 && call.record.peak_memory_bytes > 0);
}

#[test]
fn each_strategy_splits_a_cancelled_january_in_its_own_way() {
    let cancelled = proration::Question {
        price: rub(100_000),
        period: period("2026-01-01", "2026-02-01"),
        used: period("2026-01-01", "2026-01-15"),
        current_day: proration::CurrentDay::Old,
        billed: rub(100_000),
        ..question(0, 0)
    };
    let expected = [
        ("day-ratio", "", 51_613),
        ("fixed-days", "", 53_333),
        ("day-rate-rounded", "", 51_616),
        ("day-rate-rounded", r#"{"month_days":30}"#, 53_328),
        ("second", "", 51_613),
        ("none", "", 0),
    ];
    for (name, config, credit) in expected {
        let call = RUNTIME.prorate(&plugin(name), &context(config), std::slice::from_ref(&cancelled));
        let shares = call.result.unwrap();
        assert_eq!(shares[0].credit, rub(credit), "{name} {config}");
        assert_eq!(proration::check(&cancelled, &shares[0]), Ok(()), "{name} {config}");
    }
}

#[test]
fn every_strategy_passes_the_domains_check_on_every_split_of_a_short_month() {
    for (name, config) in [
        ("day-ratio", ""),
        ("fixed-days", ""),
        ("fixed-days", r#"{"month_days":28}"#),
        ("day-rate-rounded", ""),
        ("day-rate-rounded", r#"{"month_days":30}"#),
        ("second", ""),
        ("none", ""),
        ("none", r#"{"part":"free"}"#),
    ] {
        let plugin = plugin(name);
        let mut questions = Vec::new();
        // From 31 January to 28 February and on to 31 March.
        let anchor = period("2026-01-31", "2026-02-28").start;
        for k in 0..2 {
            let whole = altyn_domain::calendar::period(anchor, Cadence::Months(1), k).unwrap();
            let (start, end) = (whole.start, whole.end);
            for split in start.iter_days().take_while(|day| *day < end).skip(1) {
                for current_day in proration::CurrentDay::ALL {
                    for (used, billed, credited) in [
                        (Period::try_new(start, split).unwrap(), 59_999, 20_001),
                        (Period::try_new(start, split).unwrap(), 1, 0),
                        (Period::try_new(split, end).unwrap(), 0, 0),
                    ] {
                        questions.push(proration::Question {
                            line: questions.len().to_string(),
                            price: rub(59_999),
                            period: whole,
                            used,
                            current_day: *current_day,
                            billed: rub(billed),
                            credited: rub(credited),
                        });
                    }
                }
            }
        }
        let shares = RUNTIME.prorate(&plugin, &context(config), &questions).result.unwrap();
        for (question, share) in questions.iter().zip(&shares) {
            assert_eq!(proration::check(question, share), Ok(()), "{name} {config} {question:?}");
        }
    }
}

#[test]
fn seconds_know_the_clock_change_of_the_zone() {
    let asked = proration::Question {
        period: period("2026-03-01", "2026-04-01"),
        used: period("2026-03-29", "2026-03-30"),
        ..question(0, 74_300)
    };
    let mut berlin = context("");
    berlin.zone = "Europe/Berlin".into();
    let ask = |ctx| RUNTIME.prorate(&plugin("second"), ctx, std::slice::from_ref(&asked)).result.unwrap()[0].used;
    assert_eq!(ask(&berlin), rub(2_300));
    assert_eq!(ask(&context("")), rub(2_397));
}

#[test]
fn tax_follows_the_day_of_supply_and_passes_the_domains_check() {
    let documents = [document(0, "b", &[12_200, 3_333, -12_200, 0]), document(1, "b", &[1_416_900])];
    let call = RUNTIME.assess(&plugin("ru-vat"), &context(r#"{"regime":"general"}"#), &documents);
    let assessments = call.result.unwrap();
    let taxes: Vec<i64> = assessments.iter().flat_map(|a| a.lines.iter().map(|line| line.tax.minor)).collect();
    assert_eq!(taxes, [2_200, 601, -2_200, 0, 255_507]);
    assert_eq!(assessments[0].lines[0].rate, Some(Decimal::from(22)));
    assert_eq!(assessments[0].lines[0].code, "vat22");
    for (document, assessment) in documents.iter().zip(&assessments) {
        assert_eq!(tax::check(document, assessment), Ok(()));
    }
}

#[test]
fn exempt_lines_have_no_rate_and_zero_lines_have_one() {
    let mut document = document(0, "b", &[100, 100, 100]);
    for (line, category) in document.lines.iter_mut().zip(["exempt", "zero", "none"]) {
        line.category = category.into();
    }
    let documents = [document];
    let assessments = RUNTIME.assess(&plugin("ru-vat"), &context(""), &documents).result.unwrap();
    let seen: Vec<_> = assessments[0].lines.iter().map(|line| (line.code.as_str(), line.rate)).collect();
    assert_eq!(seen, [("exempt", None), ("vat0", Some(Decimal::ZERO)), ("none", None)]);
    assert_eq!(tax::check(&documents[0], &assessments[0]), Ok(()));
}

#[test]
fn a_number_is_named_then_formed() {
    let (plugin, ctx) = (plugin("number-template"), context(r#"{"template":"СЧ-{year}-{seq:6}","reset":"yearly"}"#));
    let drafts = [draft(0, "Д-1"), draft(1, "Д-2")];
    let sequences = RUNTIME.sequences(&plugin, &ctx, &drafts).result.unwrap();
    assert_eq!(sequences[0], numbering::Sequence { key: "invoice/2026".into(), start: 1 });
    assert!(sequences.iter().all(|sequence| numbering::check_sequence(sequence).is_ok()));
    let numbers = RUNTIME.numbers(&plugin, &ctx, &drafts, &[41, 42]).result.unwrap();
    assert_eq!(numbers, ["СЧ-2026-000041", "СЧ-2026-000042"]);
    assert!(numbers.iter().all(|number| numbering::check_number(number).is_ok()));
}

#[test]
fn a_wrong_template_is_refused_in_the_plugins_own_words() {
    let call =
        RUNTIME.sequences(&plugin("number-template"), &context(r#"{"template":"{branch}-{seq}"}"#), &[draft(0, "")]);
    let failure = call.result.unwrap_err();
    let CallFailure::Refused { kind: FaultKind::Misconfigured, message } = &failure else { panic!("{failure:?}") };
    assert!(message.contains("unknown token {branch}"), "{message}");
    assert_eq!(failure.code(), "plugin-misconfigured");
    assert!(call.record.output.is_empty() && !call.record.input.is_empty());
}

#[test]
fn a_recorded_call_replays_to_the_same_bytes_in_another_host() {
    let other = Runtime::new(&RuntimeConfig { pooling: false, ..RuntimeConfig::default() }).unwrap();
    let ctx = context(r#"{"template":"{year}/{seq}"}"#);
    let numbering = plugin("number-template");
    let records = [
        RUNTIME.prorate(&plugin("day-ratio"), &context(""), &[question(0, 12_345), question(1, 1)]).record,
        RUNTIME.assess(&plugin("ru-vat"), &context(""), &[document(0, "ООО \"Ёлка\"\n", &[59_000, 7])]).record,
        RUNTIME.sequences(&numbering, &ctx, &[draft(0, "1")]).record,
        RUNTIME.numbers(&numbering, &ctx, &[draft(0, "1")], &[u64::MAX]).record,
    ];
    for (record, name) in records.iter().zip(["day-ratio", "ru-vat", "number-template", "number-template"]) {
        assert!(!record.output.is_empty(), "{name}");
        let plugin = other.load(&component(name)).unwrap();
        assert_eq!(plugin.digest(), record.digest);
        let replayed = other.replay(&plugin, record.export, &record.input);
        assert_eq!(replayed.result.as_deref(), Ok(&*record.output), "{name}");
        assert_eq!((replayed.record.fuel, &replayed.record.input), (record.fuel, &record.input), "{name}");
    }
}

#[test]
fn evidence_is_written_the_same_for_ever() {
    // A change here means that stored evidence no longer compares: make a new version of the contract instead.
    let call = RUNTIME.prorate(&plugin("day-ratio"), &context("{}"), &[question(0, 30_000)]);
    let shown = |side, bytes: &[u8]| as_json("proration.prorate", side, bytes).unwrap();
    let input: serde_json::Value = serde_json::from_str(
        r#"{"ctx":{"tenant":"ten_1","binding":"bnd_1","config":"{}","now":1793000000000,"zone":"Europe/Moscow","locale":"ru-RU"},"questions":[{"line":"0","price":{"minor":30000,"currency":"RUB"},"period":{"start":{"year":2026,"month":11,"day":1},"end":{"year":2026,"month":12,"day":1}},"used":{"start":{"year":2026,"month":11,"day":11},"end":{"year":2026,"month":12,"day":1}},"current_day":"New","billed":{"minor":0,"currency":"RUB"},"credited":{"minor":0,"currency":"RUB"},"exponent":2}]}"#,
    )
    .unwrap();
    assert_eq!(shown(Side::Input, &call.record.input), input);
    let output: serde_json::Value = serde_json::from_str(
        r#"[{"line":"0","used":{"minor":20000,"currency":"RUB"},"credit":{"minor":0,"currency":"RUB"},"explanation":"20 of 30 days"}]"#,
    )
    .unwrap();
    assert_eq!(shown(Side::Output, &call.record.output), output);
    let digests = [&call.record.input, &call.record.output].map(|bytes| Digest::of(bytes).to_string());
    assert_eq!(
        digests,
        [
            "d62371648430d8f04151334a487095337f12713ebbc2653ad6728c2e0e6e5644",
            "5bcff7aa9fc089f9cb7ce9b275d14c7b02f7cd5bcc04e9d9ff2bd689f080a1b1",
        ]
    );
}

#[test]
fn evidence_is_shown_as_json_or_said_to_be_unreadable() {
    let record = RUNTIME.assess(&plugin("ru-vat"), &context(""), &[document(0, "b", &[12_200])]).record;
    let output = as_json(record.export, Side::Output, &record.output).unwrap();
    assert_eq!(output[0]["lines"][0]["tax"]["minor"], 2_200);
    assert_eq!(as_json(record.export, Side::Output, b"").unwrap(), serde_json::Value::Null);
    let mut longer = record.output.clone();
    longer.push(0);
    for wrong in [&record.output[1..], &longer, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
        assert!(as_json(record.export, Side::Output, wrong).is_err(), "{wrong:?}");
    }
    assert!(as_json("tax.guess", Side::Output, &record.output).is_err());
}

#[test]
fn evidence_that_does_not_read_is_refused_by_name() {
    let plugin = plugin("day-ratio");
    let code = |export: &str, input: &[u8]| RUNTIME.replay(&plugin, export, input).result.unwrap_err().code();
    assert_eq!(code("proration.prorate", b"{}"), "plugin-invalid-question");
    assert_eq!(code("proration.guess", b"{}"), "plugin-invalid-question");
}

#[test]
fn a_plugin_of_another_world_is_not_called() {
    let failure = RUNTIME.assess(&plugin("day-ratio"), &context(""), &[document(0, "b", &[1])]).result.unwrap_err();
    assert_eq!(failure, CallFailure::WrongWorld { has: World::ProrationStrategy, needs: World::TaxRule });
}

#[test]
fn questions_that_the_contract_cannot_say_are_refused_before_the_call() {
    let plugin = plugin("ru-vat");
    let code =
        |documents: &[tax::TaxDocument]| RUNTIME.assess(&plugin, &context(""), documents).result.unwrap_err().code();
    assert_eq!(code(&[document(0, "b", &[])]), "plugin-invalid-question");
    let mut mixed = document(0, "b", &[1, 2]);
    mixed.lines[1].amount = altyn_domain::money::Money::new(2, altyn_domain::money::Currency::EUR);
    assert_eq!(code(&[mixed]), "plugin-invalid-question");
    let numbering = common::plugin("number-template");
    let call = RUNTIME.numbers(&numbering, &context(r#"{"template":"{seq}"}"#), &[draft(0, "")], &[]);
    assert_eq!(call.result.unwrap_err().code(), "plugin-invalid-question");
}

#[test]
fn a_batch_of_a_thousand_lines_stays_within_the_default_limits() {
    let questions: Vec<_> = (0..1_000).map(|line| question(line, 59_000)).collect();
    let documents: Vec<_> = (0..1_000).map(|id| document(id, "buyer", &[59_000])).collect();
    let drafts: Vec<_> = (0..1_000).map(|id| draft(id, "Д-1")).collect();
    let ctx = context(r#"{"template":"СЧ-{year}-{seq:6}"}"#);
    let shares = RUNTIME.prorate(&plugin("day-ratio"), &context(""), &questions);
    let taxes = RUNTIME.assess(&plugin("ru-vat"), &context(""), &documents);
    let sequences = RUNTIME.sequences(&plugin("number-template"), &ctx, &drafts);
    assert_eq!(shares.result.map(|shares| shares.len()), Ok(1_000));
    assert_eq!(taxes.result.map(|taxes| taxes.len()), Ok(1_000));
    assert_eq!(sequences.result.map(|sequences| sequences.len()), Ok(1_000));
    let limits = RUNTIME.config().limits.tax_rule;
    // Room for plugins that do ten times as much.
    assert!(taxes.record.fuel * 10 < limits.fuel + 1_000 * limits.fuel_per_line, "{} fuel", taxes.record.fuel);
    assert!(taxes.record.peak_memory_bytes * 4 < limits.memory_bytes as u64, "{}", taxes.record.peak_memory_bytes);
}

#[test]
fn an_empty_batch_is_a_call_with_an_empty_answer() {
    assert_eq!(RUNTIME.prorate(&plugin("day-ratio"), &context(""), &[]).result, Ok(Vec::new()));
}

#[test]
fn threads_share_a_plugin() {
    let plugin = plugin("ru-vat");
    let call = || RUNTIME.assess(&plugin, &context(""), &[document(0, "b", &[12_200])]).record.output;
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| (0..50).map(|_| call()).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outputs.len(), 800);
    assert!(outputs.iter().all(|output| output == &outputs[0] && !output.is_empty()));
}
