//! Bad components: whatever a guest does, the call fails by name and the next call is served.
//!
//! The catalogue of attacks in every function of every world is in `tests/attacks`.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod common;

use std::slice::from_ref;
use std::time::{Duration, Instant};

use altyn_domain::{numbering, proration, tax};
use altyn_runtime::{
    Admission, CallFailure, InstallError, Limits, LimitsTable, Runtime, RuntimeConfig, RuntimeError, Side, as_json,
};
use common::{RUNTIME, component, context, document, draft, plugin, question, runtime_with};

fn deed(name: &str) -> String {
    format!(r#"{{"do":"{name}"}}"#)
}

/// A tax call of one document against the test double.
fn misbehave(runtime: &Runtime, name: &str) -> altyn_runtime::Call<Vec<tax::Assessment>> {
    let plugin = runtime.load(&component("hostile-tax")).unwrap();
    runtime.assess(&plugin, &context(&deed(name)), &[document(0, "b", &[12_000])])
}

#[test]
fn the_test_double_behaves_unless_told_otherwise() {
    let documents = [document(0, "b", &[12_000])];
    let assessments = RUNTIME.assess(&plugin("hostile-tax"), &context(""), &documents).result.unwrap();
    assert_eq!(tax::check(&documents[0], &assessments[0]), Ok(()));
    let questions = [question(0, 30_000)];
    let shares = RUNTIME.prorate(&plugin("hostile-proration"), &context(""), &questions).result.unwrap();
    assert_eq!(proration::check(&questions[0], &shares[0]), Ok(()));
    let numbers = RUNTIME.numbers(&plugin("hostile-numbering"), &context(""), &[draft(0, "1")], &[7]).result;
    assert_eq!(numbers, Ok(vec!["H-7".into()]));
}

#[test]
fn a_panic_is_a_trap_with_the_functions_and_the_last_words_of_the_guest() {
    let call = misbehave(&RUNTIME, "trap");
    let failure = call.result.unwrap_err();
    let CallFailure::Trap { backtrace, .. } = &failure else { panic!("{failure:?}") };
    assert!(backtrace.iter().any(|frame| frame.contains("provoke")), "{backtrace:?}");
    assert_eq!(failure.code(), "plugin-trap");
    assert!(call.record.log.iter().any(|line| line.contains("told to panic on b")), "{:?}", call.record.log);
    let limits = RUNTIME.config().limits.tax_rule;
    assert_eq!(call.record.fuel, limits.fuel + limits.fuel_per_line, "a trap is charged in full");
    assert!(call.record.output.is_empty());
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let call = misbehave(&RUNTIME, "loop");
    assert!(matches!(call.result, Err(CallFailure::OutOfFuel { .. })), "{:?}", call.result);
}

#[test]
fn an_endless_loop_with_much_fuel_runs_out_of_time() {
    let runtime = runtime_with(Limits { fuel: u64::MAX, wall_ms: 50, ..Limits::default() });
    let started = Instant::now();
    let call = misbehave(&runtime, "loop");
    assert_eq!(call.result.unwrap_err(), CallFailure::TimedOut { wall_ms: 50 });
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(call.record.fuel, u64::MAX);
}

#[test]
fn a_memory_bomb_meets_the_limit_and_is_named_as_such() {
    let runtime = runtime_with(Limits { memory_bytes: 8 << 20, fuel: 1 << 40, ..Limits::default() });
    let call = misbehave(&runtime, "memory");
    let failure = call.result.unwrap_err();
    let CallFailure::MemoryLimit { asked, limit } = failure else { panic!("{failure:?}") };
    assert!(limit == 8 << 20 && asked > limit);
    assert!(call.record.peak_memory_bytes <= 8 << 20);
}

#[test]
fn a_huge_answer_is_not_copied_out() {
    let call = misbehave(&RUNTIME, "huge-answer");
    assert!(matches!(call.result, Err(CallFailure::OutputLimit { .. })), "{:?}", call.result);
}

#[test]
fn a_flood_of_notes_is_cut_and_cannot_forge_lines() {
    let call = misbehave(&RUNTIME, "flood-log");
    assert!(call.result.is_ok());
    let limits = RUNTIME.config().limits.tax_rule;
    assert_eq!(call.record.log.len(), limits.log_lines + 1);
    assert_eq!(call.record.log[0], r"warn: flood\u{a}\u{1b}[2Jof notes");
    assert_eq!(call.record.log[limits.log_lines], "host: 9900 more notes were dropped");
}

#[test]
fn a_flood_of_notes_is_cut_in_every_world() {
    let (ctx, limits) = (context(&deed("flood-log")), &RUNTIME.config().limits);
    let strategy = RUNTIME.prorate(&plugin("hostile-proration"), &ctx, &[question(0, 30_000)]);
    assert!(strategy.result.is_ok(), "{:?}", strategy.result);
    assert_eq!(strategy.record.log.len(), limits.proration_strategy.log_lines + 1);
    let scheme = plugin("hostile-numbering");
    let drafts = [draft(0, "1")];
    let (named, formed) =
        (RUNTIME.sequences(&scheme, &ctx, &drafts).record, RUNTIME.numbers(&scheme, &ctx, &drafts, &[7]).record);
    assert_eq!(named.log.len().max(formed.log.len()), limits.numbering_scheme.log_lines + 1);
    for line in [&strategy.record, &named, &formed].into_iter().flat_map(|record| &record.log) {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn a_short_answer_is_invalid_and_kept_as_evidence() {
    let call = misbehave(&RUNTIME, "short-answer");
    assert!(matches!(call.result, Err(CallFailure::InvalidAnswer(_))), "{:?}", call.result);
    assert_eq!(as_json(call.record.export, Side::Output, &call.record.output).unwrap(), serde_json::json!([]));
    let ctx = context(&deed("short-answer"));
    let shares = RUNTIME.prorate(&plugin("hostile-proration"), &ctx, &[question(0, 1), question(1, 1)]);
    assert!(matches!(shares.result, Err(CallFailure::InvalidAnswer(_))), "{:?}", shares.result);
}

#[test]
fn a_wrong_sum_and_a_foreign_currency_reach_the_domain_and_fail_there() {
    for name in ["wrong-sum", "foreign-currency"] {
        let documents = [document(0, "b", &[12_000])];
        let assessments = misbehave(&RUNTIME, name).result.unwrap();
        assert!(tax::check(&documents[0], &assessments[0]).is_err(), "{name}");
        let questions = [question(0, 30_000)];
        let billed = proration::Question { billed: common::rub(30_000), ..questions[0].clone() };
        let shares = RUNTIME.prorate(&plugin("hostile-proration"), &context(&deed(name)), from_ref(&billed));
        assert!(proration::check(&billed, &shares.result.unwrap()[0]).is_err(), "{name}");
    }
    let drafts = [draft(0, "1")];
    let ctx = context(&deed("foreign-currency"));
    let sequences = RUNTIME.sequences(&plugin("hostile-numbering"), &ctx, &drafts).result.unwrap();
    assert!(numbering::check_sequence(&sequences[0]).is_err());
}

#[test]
fn one_poisoned_element_among_many_is_found_by_name() {
    let tax = plugin("hostile-tax");
    let ctx = context(r#"{"do":"trap","only":"poisoned"}"#);
    let mut documents: Vec<_> = (0..100).map(|id| document(id, "fine", &[100])).collect();
    assert!(RUNTIME.assess(&tax, &ctx, &documents).result.is_ok());
    documents[57] = document(57, "poisoned", &[100]);
    assert!(matches!(RUNTIME.assess(&tax, &ctx, &documents).result, Err(CallFailure::Trap { .. })));
    documents[57] = document(57, "fine", &[100]);
    documents[57].lines[0].category = "poisoned".into();
    assert!(matches!(RUNTIME.assess(&tax, &ctx, &documents).result, Err(CallFailure::Trap { .. })));

    let questions: Vec<_> = (0..100).map(|line| question(line, if line == 57 { 66_600 } else { 100 })).collect();
    let prorate = |ctx| RUNTIME.prorate(&plugin("hostile-proration"), &context(ctx), &questions).result;
    assert!(prorate(r#"{"do":"trap","only":"66600"}"#).is_err());
    assert!(prorate(r#"{"do":"trap","only":"66601"}"#).is_ok());
}

#[test]
fn the_call_after_a_crash_is_served() {
    let plugin = plugin("hostile-tax");
    for name in ["trap", "huge-answer", "short-answer", "refuse"] {
        assert!(misbehave(&RUNTIME, name).result.is_err());
        let documents = [document(0, "b", &[12_000])];
        assert!(RUNTIME.assess(&plugin, &context(""), &documents).result.is_ok(), "after {name}");
    }
}

#[test]
fn more_calls_than_instances_are_busy_and_not_wrong() {
    let limits = Limits { fuel: u64::MAX, wall_ms: 1_000, ..Limits::default() };
    let limits = LimitsTable {
        proration_strategy: limits,
        tax_rule: limits,
        numbering_scheme: limits,
        ..LimitsTable::default()
    };
    let admission = Admission { tenant_calls: Some(4), plugin_calls: Some(4), queue: 2, queue_ms: 50 };
    let runtime = Runtime::new(&RuntimeConfig { limits, admission, instances: 4, ..RuntimeConfig::default() }).unwrap();
    let plugin = runtime.load(&component("hostile-tax")).unwrap();
    let call = || runtime.assess(&plugin, &context(&deed("loop")), &[document(0, "b", &[1])]).result.unwrap_err();
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(results.iter().any(|f| matches!(f, CallFailure::Busy { waited_ms: 50.., .. })), "{results:?}");
    assert!(results.iter().any(|f| matches!(f, CallFailure::Busy { waited_ms: 0, .. })), "{results:?}");
    let named = |f: &CallFailure| matches!(f, CallFailure::Busy { .. } | CallFailure::TimedOut { .. });
    assert!(results.iter().all(named), "{results:?}");
}

/// A core module without anything in it.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// A component without anything in it.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// An empty component that imports an empty instance of this name.
fn importing(name: &str) -> Vec<u8> {
    // Section 7, one type: an instance type without declarations; section 10, one import of an instance of type 0.
    let length = u8::try_from(name.len()).unwrap();
    let mut bytes = [EMPTY_COMPONENT, &[7, 3, 1, 0x42, 0]].concat();
    bytes.extend([10, length + 5, 1, 0, length]);
    bytes.extend(name.as_bytes());
    bytes.extend([5, 0]);
    bytes
}

#[test]
fn what_is_no_component_is_refused_with_advice() {
    assert_eq!(RUNTIME.inspect(CORE_MODULE), Err(InstallError::CoreModule));
    assert!(matches!(RUNTIME.inspect(b"MZ"), Err(InstallError::Malformed(_))));
    assert_eq!(RUNTIME.inspect(EMPTY_COMPONENT), Err(InstallError::NoWorld));
    let mut broken = component("ru-vat");
    broken.truncate(broken.len() / 2);
    assert!(matches!(RUNTIME.inspect(&broken), Err(InstallError::Malformed(_))));
    let limit = RUNTIME.config().limits.composed.component_bytes;
    assert!(matches!(RUNTIME.inspect(&vec![0; limit + 1]), Err(InstallError::TooLarge { .. })));
}

#[test]
fn an_import_that_no_world_gives_is_named() {
    let error = RUNTIME.inspect(&importing("wasi:clocks/wall-clock@0.2.0")).unwrap_err();
    let InstallError::UnknownImport { interface, .. } = &error else { panic!("{error:?}") };
    assert_eq!(interface, "wasi:clocks/wall-clock@0.2.0");
    let error = RUNTIME.inspect(&importing("altyn:billing/log@0.2.0")).unwrap_err();
    assert_eq!(error, InstallError::UnsupportedVersion { interface: "altyn:billing/log@0.2.0".into() });
}

#[test]
fn a_component_that_needs_more_memory_than_its_world_has_is_refused_at_install() {
    let runtime = runtime_with(Limits { memory_bytes: 256 << 10, ..Limits::default() });
    let error = runtime.inspect(&component("ru-vat")).unwrap_err();
    assert!(matches!(error, InstallError::Resources(_)), "{error:?}");
    let limits = Limits { memory_bytes: 256 << 10, ..Limits::default() };
    let limits = LimitsTable {
        proration_strategy: limits,
        tax_rule: limits,
        numbering_scheme: limits,
        payment_gateway: limits,
        composed: limits,
    };
    let on_demand = Runtime::new(&RuntimeConfig { limits, pooling: false, ..RuntimeConfig::default() }).unwrap();
    let error = on_demand.inspect(&component("ru-vat")).unwrap_err();
    assert!(matches!(error, InstallError::Resources(_)), "{error:?}");
}

#[test]
fn compiled_components_are_kept_in_a_private_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache_dir = folder.path().join("compiled");
    let config = RuntimeConfig { cache_dir: Some(cache_dir.clone()), instances: 2, ..RuntimeConfig::default() };
    let bytes = component("day-ratio");
    for _ in 0..2 {
        let runtime = Runtime::new(&config).unwrap();
        let plugin = runtime.load(&bytes).unwrap();
        assert!(runtime.prorate(&plugin, &context(""), &[question(0, 1)]).result.is_ok());
    }
    assert_eq!(std::fs::metadata(&cache_dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(std::fs::read_dir(&cache_dir).unwrap().next().is_some());
    std::fs::set_permissions(&cache_dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Runtime::new(&config), Err(RuntimeError::CacheFolderOpen { .. })));
}
