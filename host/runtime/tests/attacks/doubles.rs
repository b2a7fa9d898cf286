//! The catalogue against the test doubles: what any guest can do, in every function of every world.

use std::sync::Arc;
use std::time::Duration;

use altyn_domain::exchange::{Answer, HttpResponse, Incoming};
use altyn_domain::gateway::{Intent, Operation, Reference};
use altyn_runtime::{
    Call, CallContext, CallFailure, CallRecord, Keyring, Limits, LimitsTable, Plugin, Runtime, RuntimeConfig, Side,
    as_json,
};

use super::common::{component, context, document, draft, question, rub};
use super::watch::{Bound, watched};
use super::{Place, is_fuel, is_output, is_trap};

/// Every function that a guest exports; `begin` twice, as operations differ in what they carry.
pub const EXPORTS: [&str; 10] = [
    "tax.assess",
    "proration.prorate",
    "numbering.sequences",
    "numbering.numbers",
    "gateway.capabilities-of",
    "gateway.begin",
    "gateway.begin of status",
    "gateway.resume",
    "gateway.receive",
    "gateway.receive-resume",
];

pub fn pay() -> Operation {
    Operation::Pay(Intent {
        id: "exc_1".into(),
        number: 1,
        amount: rub(10_000),
        description: "Связь".into(),
        capture: true,
        return_url: String::new(),
        payer: Vec::new(),
        saved_method: None,
        save_method: false,
        receipt: None,
    })
}

fn status() -> Operation {
    Operation::Status(Reference {
        id: "exc_1".into(),
        number: 1,
        external_id: String::new(),
        amount: rub(10_000),
        capture: true,
        details: Vec::new(),
    })
}

pub fn incoming(body: &str) -> Incoming {
    let source = "192.0.2.1".into();
    Incoming { method: "POST".into(), query: String::new(), headers: Vec::new(), body: body.into(), source }
}

fn answer() -> Answer {
    Answer::Response(HttpResponse { status: 200, headers: Vec::new(), body: b"ok".to_vec() })
}

/// A test double of each world.
pub struct Doubles {
    rule: Plugin,
    strategy: Plugin,
    scheme: Plugin,
    pub gateway: Plugin,
    pub keyring: Arc<Keyring>,
}

impl Doubles {
    pub fn load(runtime: &Runtime) -> Self {
        let load = |name| runtime.load(&component(name)).unwrap();
        let mut keyring = Keyring::new();
        keyring.add("hostile-key", b"7351").unwrap();
        Self {
            rule: load("hostile-tax"),
            strategy: load("hostile-proration"),
            scheme: load("hostile-numbering"),
            gateway: load("hostile-gateway"),
            keyring: Arc::new(keyring),
        }
    }

    /// Calls one of [`EXPORTS`].
    pub fn call(&self, runtime: &Runtime, export: &str, ctx: &CallContext) -> Call<()> {
        let (gateway, keyring) = (&self.gateway, &self.keyring);
        match export {
            "tax.assess" => plain(runtime.assess(&self.rule, ctx, &[document(0, "b", &[12_000])])),
            "proration.prorate" => plain(runtime.prorate(&self.strategy, ctx, &[question(0, 30_000)])),
            "numbering.sequences" => plain(runtime.sequences(&self.scheme, ctx, &[draft(0, "1")])),
            "numbering.numbers" => plain(runtime.numbers(&self.scheme, ctx, &[draft(0, "1")], &[7])),
            "gateway.capabilities-of" => plain(runtime.gateway_capabilities(gateway, ctx)),
            "gateway.begin" => plain(runtime.gateway_begin(gateway, ctx, keyring, &pay())),
            "gateway.begin of status" => plain(runtime.gateway_begin(gateway, ctx, keyring, &status())),
            "gateway.resume" => plain(runtime.gateway_resume(gateway, ctx, keyring, b"", &answer())),
            "gateway.receive" => plain(runtime.gateway_receive(gateway, ctx, keyring, &incoming("x"))),
            "gateway.receive-resume" => plain(runtime.gateway_receive_resume(gateway, ctx, keyring, b"", &answer())),
            other => panic!("{other} is not exported"),
        }
    }
}

fn plain<T>(call: Call<T>) -> Call<()> {
    Call { record: call.record, result: call.result.map(|_| ()) }
}

/// The limits of the world that an export belongs to.
pub fn limits_of(table: &LimitsTable, export: &str) -> Limits {
    match export.split('.').next() {
        Some("tax") => table.tax_rule,
        Some("proration") => table.proration_strategy,
        Some("numbering") => table.numbering_scheme,
        _ => table.payment_gateway,
    }
}

pub fn config(deed: &str) -> String {
    format!(r#"{{"do":"{deed}"}}"#)
}

/// How a deed has to end.
#[derive(Clone, Copy)]
enum End {
    /// The guest is stopped, for this reason.
    Stopped(fn(&CallFailure) -> bool),
    /// It says no, in words that can be shown.
    Refused,
    /// It has an answer after all.
    Answered,
}

const IN_EVERY_EXPORT: [(&str, End); 6] = [
    ("trap", End::Stopped(is_trap)),
    ("loop", End::Stopped(is_fuel)),
    ("memory", End::Stopped(is_memory)),
    ("refuse", End::Refused),
    ("refuse-badly", End::Refused),
    ("flood-log", End::Answered),
];

/// Deeds of a text in an answer, which not every answer has.
const WITH_A_TEXT: [(&str, End); 3] = [
    ("huge-answer", End::Stopped(is_output)),
    ("claimed-text", End::Stopped(|failure| is_trap(failure) || is_output(failure))),
    ("broken-text", End::Stopped(is_trap)),
];

/// Memory that is refused makes a guest give up, in whichever way it finds first.
fn is_memory(failure: &CallFailure) -> bool {
    matches!(failure, CallFailure::MemoryLimit { .. }) || is_fuel(failure) || is_trap(failure)
}

/// P1 to P6, in every function: it ends by name, in time, in memory, leaves what it was asked, and harms nobody else.
pub fn what_any_guest_can_do_is_contained(place: &mut Place, doubles: &Doubles) {
    for export in EXPORTS {
        let has_text = !export.starts_with("gateway") || export.starts_with("gateway.begin");
        let texts = if has_text { &WITH_A_TEXT[..] } else { &[] };
        for (deed, end) in IN_EVERY_EXPORT.iter().chain(texts) {
            contained(place, doubles, export, deed, *end);
        }
    }
}

fn contained(place: &mut Place, doubles: &Doubles, export: &str, deed: &str, end: End) {
    let name = format!("{deed} in {export}");
    let runtime = place.runtime.clone();
    let limits = limits_of(&runtime.config().limits, export);
    let bound = if deed == "memory" { Bound::bomb(&limits) } else { Bound::call(&limits) };
    let ctx = context(&config(deed));
    let call = place.watched(&name, bound, || doubles.call(&runtime, export, &ctx));
    evidence_is_kept(&name, &call.record, &limits);
    match (end, &call.result) {
        (End::Stopped(expected), Err(failure)) => {
            assert!(expected(failure), "{name}: {failure:?}");
            let lines = u64::from(!export.starts_with("gateway"));
            let budget = limits.fuel + lines * limits.fuel_per_line;
            assert_eq!(call.record.fuel, budget, "{name}: the whole budget is charged");
            assert!(call.record.output.is_empty(), "{name}");
        }
        (End::Refused, Err(CallFailure::Refused { message, .. })) => {
            assert!(!message.chars().any(char::is_control), "{name}: {message:?}");
            assert!(deed != "refuse-badly" || message.contains(r"\u{202e}"), "{name}: {message:?}");
        }
        (End::Answered, Ok(())) => {
            assert!(call.record.log.len() <= limits.log_lines + 1, "{name}: {}", call.record.log.len());
            assert!(!call.record.log.iter().flat_map(|line| line.chars()).any(char::is_control), "{name}");
        }
        (_, result) => panic!("{name}: {result:?}"),
    }
    place.a_good_call_is_served(&name);
    let again = doubles.call(&runtime, export, &context(""));
    assert!(again.result.is_ok(), "{export} after {deed}: {:?}", again.result);
}

fn evidence_is_kept(name: &str, record: &CallRecord, limits: &Limits) {
    assert!(record.peak_memory_bytes <= u64::try_from(limits.memory_bytes).unwrap(), "{name}");
    as_json(record.export, Side::Input, &record.input)
        .unwrap_or_else(|error| panic!("{name}: what was asked is kept, but {error}"));
}

/// P1: where fuel would last for days, the deadline ends the call.
pub fn deadlines_hold(place: &mut Place) {
    let mut table = LimitsTable::default();
    for limits in
        [&mut table.tax_rule, &mut table.proration_strategy, &mut table.numbering_scheme, &mut table.payment_gateway]
    {
        *limits = Limits { fuel: 1 << 40, wall_ms: 50, ..*limits };
    }
    let config = RuntimeConfig { limits: table, instances: 2, pooling: false, ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).unwrap();
    let doubles = Doubles::load(&runtime);
    for export in EXPORTS {
        let limits = limits_of(&runtime.config().limits, export);
        let name = format!("a loop with much fuel in {export}");
        let ctx = context(&self::config("loop"));
        let (call, cost) = watched(&name, Bound::call(&limits), || doubles.call(&runtime, export, &ctx));
        assert_eq!(call.result, Err(CallFailure::TimedOut { wall_ms: 50 }), "{name}");
        assert!(cost.time >= Duration::from_millis(50), "{name}: it had its time");
        evidence_is_kept(&name, &call.record, &limits);
        place.a_good_call_is_served(&name);
    }
}
