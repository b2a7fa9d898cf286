//! The catalogue of what a component can do to its host, in components made by hand.
//!
//! One test, so that nothing else moves the memory it watches: each attack is made, ends in the failure it should, in
//! bounded time and memory, keeps what was asked as evidence, and the next good call is served. What a Rust guest can
//! express is in the test doubles of `plugins/`; here is what only WebAssembly text can. `P` and a number name the entry
//! of the catalogue.
//!
//! Each attack is watched by itself, see `watch`: its height in memory, and its time against the deadline of its world. What
//! every world has in common is tried in each of its functions by `doubles`, what other tenants feel of it meanwhile by
//! `neighbours`.
//!
//! Elsewhere: wrong sums, foreign currencies, extreme and negative amounts,
//! doubled and foreign lines, numbers that are none (P7, P8) in `tests/hostile.rs` and, against whole billing runs on both
//! engines, in the service's `tests/runs/plugins.rs`. Requests and secrets (P10 to P12) are the gateway world's, see `gateway`;
//! no world has a store of keys (P13). A guest cannot call back into a plugin (P17): `log` and `vault` are all there is to call. No plugin is waited for inside a
//! transaction (P20), see the service.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

#[expect(dead_code, reason = "fixtures of other tests")]
#[path = "../common/mod.rs"]
mod common;
mod doubles;
mod gateway;
mod neighbours;
mod watch;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use altyn_domain::numbering::check_number;
use altyn_runtime::{Call, CallFailure, InstallError, Plugin, Runtime, RuntimeConfig, Unsound};
use common::{context, draft};
use doubles::Doubles;
use watch::{Bound, Cost, resident, watched};

/// What replaces the words of the template.
type Words<'a> = &'a [(&'a str, &'a str)];

/// How much resident memory all attacks together may leave behind.
const MOST_LEFT: u64 = 80 << 20;
const SPIN: &str = "(loop $spin (br $spin))";

fn text(words: Words<'_>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/numbering.wat");
    let mut text = std::fs::read_to_string(path).unwrap();
    let ordinary = [("encoding", "string-encoding=utf8"), ("pages", "2")];
    for (word, by) in words.iter().chain(&ordinary) {
        text = text.replace(&format!("{{{{{word}}}}}"), by);
    }
    let others =
        ["imports", "items", "realloc", "describe", "sequences", "numbers", "post", "data", "instances", "lift"];
    for word in others {
        text = text.replace(&format!("{{{{{word}}}}}"), "");
    }
    text
}

/// The component with these words, ordinary otherwise.
fn made(words: Words<'_>) -> Vec<u8> {
    wat::parse_str(text(words)).unwrap_or_else(|error| panic!("{error}"))
}

struct Place {
    runtime: Runtime,
    good: Plugin,
    before: u64,
    /// The dearest attacks, by memory and by time.
    dearest: [(String, Cost); 2],
}

impl Place {
    fn new() -> Self {
        let runtime = Runtime::new(&RuntimeConfig { instances: 8, ..RuntimeConfig::default() }).unwrap();
        let good = runtime.load(&made(&[])).unwrap();
        let nothing = || (String::new(), Cost { memory: 0, time: Duration::ZERO });
        let mut place = Self { runtime, good, before: 0, dearest: [nothing(), nothing()] };
        place.a_good_call_is_served("nothing");
        place.before = resident("VmRSS:");
        place
    }

    /// Another tenant's call, served whatever the attack before did.
    fn a_good_call_is_served(&mut self, after: &str) {
        let ctx = altyn_runtime::CallContext { tenant: "ten_2".into(), ..context("") };
        let call = self.runtime.numbers(&self.good, &ctx, &[draft(0, "1")], &[7]);
        assert_eq!(call.result, Ok(vec!["hand-made".into()]), "after {after}");
        let rise = resident("VmRSS:").saturating_sub(self.before);
        assert!(self.before == 0 || rise <= MOST_LEFT, "{after} left {rise} bytes behind");
    }

    /// Makes an attack under observation.
    #[track_caller]
    fn watched<R>(&mut self, name: &str, bound: Bound, attack: impl FnOnce() -> R) -> R {
        let (made, cost) = watched(name, bound, attack);
        if cost.memory > self.dearest[0].1.memory {
            self.dearest[0] = (name.to_owned(), cost);
        }
        if cost.time > self.dearest[1].1.time {
            self.dearest[1] = (name.to_owned(), cost);
        }
        made
    }

    /// The bounds of a call of the world that components made by hand serve.
    fn scheme(&self) -> Bound {
        Bound::call(&self.runtime.config().limits.numbering_scheme)
    }

    /// Installs a component that there is nothing to say against.
    fn installed(&mut self, name: &str, words: Words<'_>) -> Plugin {
        let (runtime, bytes) = (self.runtime.clone(), made(words));
        self.watched(name, Bound::install(), || {
            runtime.inspect(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            runtime.load(&bytes).unwrap()
        })
    }

    /// Installs and calls; the failure must be as expected.
    fn call(&mut self, name: &str, words: Words<'_>, expected: impl Fn(&CallFailure) -> bool) {
        self.call_within(name, self.scheme(), words, expected);
    }

    fn call_within(&mut self, name: &str, bound: Bound, words: Words<'_>, expected: impl Fn(&CallFailure) -> bool) {
        let (plugin, runtime) = (self.installed(name, words), self.runtime.clone());
        let call = self.watched(name, bound, || runtime.numbers(&plugin, &context(""), &[draft(0, "1")], &[7]));
        let failure = call.result.expect_err(name);
        assert!(expected(&failure), "{name}: {failure:?}");
        assert!(!call.record.input.is_empty(), "{name}: what was asked is kept");
        let limits = self.runtime.config().limits.numbering_scheme;
        assert_eq!(call.record.fuel, limits.fuel + limits.fuel_per_line, "{name}: the whole budget is charged");
        assert!(call.record.peak_memory_bytes <= u64::try_from(limits.memory_bytes).unwrap(), "{name}");
        self.a_good_call_is_served(name);
    }

    /// Is refused before a tenant is asked anything.
    fn install(&mut self, name: &str, bytes: &[u8], expected: impl Fn(&InstallError) -> bool) {
        let runtime = self.runtime.clone();
        let error = self.watched(name, Bound::install(), || runtime.inspect(bytes).expect_err(name));
        assert!(expected(&error), "{name}: {error:?}");
        self.a_good_call_is_served(name);
    }
}

fn is_trap(failure: &CallFailure) -> bool {
    matches!(failure, CallFailure::Trap { .. })
}

fn is_fuel(failure: &CallFailure) -> bool {
    matches!(failure, CallFailure::OutOfFuel { .. })
}

fn is_output(failure: &CallFailure) -> bool {
    matches!(failure, CallFailure::OutputLimit { .. })
}

#[test]
fn no_attack_outlives_its_own_call() {
    let mut place = Place::new();
    endless_loops(&mut place);
    bombs(&mut place);
    monstrous_answers(&mut place);
    traps(&mut place);
    texts(&mut place);
    state_between_calls(&mut place);
    what_no_world_gives(&mut place);
    components_that_are_none(&mut place);
    work_for_the_compiler(&mut place);
    let doubles = Doubles::load(&place.runtime);
    doubles::what_any_guest_can_do_is_contained(&mut place, &doubles);
    gateway::attacks(&mut place, &doubles);
    doubles::deadlines_hold(&mut place);
    tell(&place);
    neighbours::are_served_beside_every_attack();
}

/// The figures of the run, shown when the test is asked for its output.
fn tell(place: &Place) {
    for (name, cost) in &place.dearest {
        eprintln!("{name}: {} KiB at its height, {:?}", cost.memory >> 10, cost.time);
    }
}

/// P1: in the start function, in the description, in the allocator, in a decision, behind a decision.
fn endless_loops(place: &mut Place) {
    let described = |error: &InstallError| matches!(error, InstallError::Describe(CallFailure::OutOfFuel { .. }));
    let start = format!("(func $start {SPIN}) (start $start)");
    place.install("a loop at the start", &made(&[("items", &start)]), described);
    place.install("a loop in the description", &made(&[("describe", SPIN)]), described);
    for word in ["realloc", "numbers", "post"] {
        place.call(&format!("a loop in {word}"), &[(word, SPIN)], is_fuel);
    }
}

/// P2: memory, tables, instances.
fn bombs(place: &mut Place) {
    // Growth past the limit is refused to the guest's face; it goes on with what it has.
    let grow = "(if (i32.ne (memory.grow (i32.const 60000)) (i32.const -1)) (then unreachable))";
    let runtime = place.runtime.clone();
    let bomb = Bound::bomb(&runtime.config().limits.numbering_scheme);
    let plugin = place.installed("4 GiB of memory", &[("numbers", grow)]);
    let call = place.watched("4 GiB of memory", bomb, || numbers(&runtime, &plugin));
    assert_eq!(call.result, Ok(vec!["hand-made".into()]));
    assert_eq!(call.record.peak_memory_bytes, 2 * 65_536);
    let devour = "(loop $more (drop (memory.grow (i32.const 1))) (br_if $more (i32.const 1)))";
    place.call_within("growing without end", bomb, &[("numbers", devour)], |failure| {
        is_fuel(failure) || matches!(failure, CallFailure::MemoryLimit { .. })
    });
    let elements = "(table $t 1 funcref)";
    let grow = "(if (i32.ne (table.grow $t (ref.null func) (i32.const 1000000)) (i32.const -1)) (then unreachable))";
    let plugin = place.installed("a table bomb", &[("items", elements), ("numbers", grow)]);
    assert!(place.watched("a table bomb", bomb, || numbers(&runtime, &plugin)).result.is_ok());
    place.a_good_call_is_served("a table bomb");

    let refused = |error: &InstallError| matches!(error, InstallError::Resources(_) | InstallError::Malformed(_));
    place.install("4 GiB at once", &made(&[("pages", "65536")]), refused);
    place.install("a table of ten million", &made(&[("items", "(table 10000000 funcref)")]), refused);
    let instances = "(core instance (instantiate $module))".repeat(10_000);
    place.install("ten thousand instances", &made(&[("instances", &instances)]), |error| {
        refused(error) || matches!(error, InstallError::Describe(_))
    });
}

/// P3: answers that would cost the host more than they cost the guest.
fn monstrous_answers(place: &mut Place) {
    // The answer's text begins at 1024 and claims a gibibyte; a list claims a hundred million texts.
    place.call(
        "a text of a gibibyte",
        &[("data", r#"(data (i32.const 544) "\00\04\00\00\00\00\00\40")"#)],
        |failure| is_trap(failure) || is_output(failure),
    );
    place.call(
        "a list of 10^8 texts",
        &[("data", r#"(data (i32.const 416) "\00\00\00\00\20\02\00\00\00\e1\f5\05")"#)],
        |failure| is_trap(failure) || is_output(failure),
    );
    // Within the guest's memory, so that only the budget of copied bytes is in the way.
    let inside = [("pages", "400"), ("data", r#"(data (i32.const 544) "\00\00\02\00\00\00\40\01")"#)];
    place.call("a text of 20 MiB", &inside, is_output);
    let inside = [("pages", "400"), ("data", r#"(data (i32.const 416) "\00\00\00\00\00\00\02\00\40\42\0f\00")"#)];
    place.call("a million empty texts", &inside, |failure| {
        is_output(failure) || matches!(failure, CallFailure::InvalidAnswer(_))
    });
    place.call(
        "a list outside of memory",
        &[("data", r#"(data (i32.const 416) "\00\00\00\00\f0\ff\ff\ff\01\00\00\00")"#)],
        is_trap,
    );
    place.call(
        "a variant that does not exist",
        &[("data", r#"(data (i32.const 416) "\07\00\00\00\20\02\00\00\01\00\00\00")"#)],
        is_trap,
    );
    place.call("an answer at an odd place", &[("numbers", "(return (i32.const 417))")], is_trap);
}

/// P4: everything that stops a machine.
fn traps(place: &mut Place) {
    let attacks = [
        ("unreachable", "unreachable"),
        ("a division by zero", "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        ("an overflowing division", "(drop (i32.div_s (i32.const -2147483648) (i32.const -1)))"),
        ("a read outside of memory", "(drop (i32.load (i32.const -4)))"),
        ("a write outside of memory", "(memory.fill (i32.const 0) (i32.const 7) (i32.const -1))"),
        ("a stack without end", "(drop (call $deep (i32.const 0)))"),
    ];
    for (name, numbers) in attacks {
        place.call(name, &[("numbers", numbers)], |failure| is_trap(failure) || is_fuel(failure));
    }
    let items = "(table $t 2 funcref) (type $other (func (param f64)))";
    let call = "(call_indirect $t (type $other) (f64.const 0) (i32.const 1))";
    place.call("a call to nowhere", &[("items", items), ("numbers", call)], is_trap);
}

/// P6: texts that are none, and texts that lie.
fn texts(place: &mut Place) {
    for (name, bytes) in
        [("broken UTF-8", r"\ff\fe\fd"), ("a lone surrogate", r"\ed\a0\80"), ("half a letter", r"h\d0")]
    {
        let data = number(bytes);
        place.call(name, &[("data", &data)], is_trap);
    }
    for (name, bytes) in
        [("NUL", r"A\001"), ("a reversed text", r"A\e2\80\ae1"), ("an escape", r"A\1b[2J"), ("a line", r"A\0a1")]
    {
        let data = number(bytes);
        let (plugin, runtime) = (place.installed(name, &[("data", &data)]), place.runtime.clone());
        let call = place.watched(name, place.scheme(), || numbers(&runtime, &plugin));
        let number = call.result.unwrap().remove(0);
        assert!(check_number(&number).is_err(), "{name}: {number:?} would be printed on invoices");
        assert!(!call.record.output.is_empty(), "{name}: what was answered is kept");
        place.a_good_call_is_served(name);
    }
}

fn numbers(runtime: &Runtime, plugin: &Plugin) -> Call<Vec<String>> {
    runtime.numbers(plugin, &context(""), &[draft(0, "1")], &[7])
}

/// Data that makes the number this text, written as WebAssembly text writes bytes.
fn number(text: &str) -> String {
    let length = text.len() - 2 * text.matches('\\').count();
    format!(r#"(data (i32.const 1200) "{text}") (data (i32.const 544) "\b0\04\00\00\{length:02x}\00\00\00")"#)
}

/// P9: what a guest remembers is gone with its call.
fn state_between_calls(place: &mut Place) {
    // Counts its calls in memory and answers with the count.
    let count = "(i32.store8 (i32.const 1024) (i32.add (i32.load8_u (i32.const 1024)) (i32.const 1)))";
    let plugin = place.runtime.load(&made(&[("numbers", count)])).unwrap();
    let ask = || numbers(&place.runtime, &plugin);
    let (first, second) = (ask(), ask());
    assert_eq!(first.result, Ok(vec!["iand-made".into()]));
    assert_eq!((second.result, second.record.output), (first.result, first.record.output.clone()));
    assert_eq!(second.record.fuel, first.record.fuel, "the same work, to the instruction");
}

/// P14, P18, P21, P22: imports, versions and features beyond the contract.
fn what_no_world_gives(place: &mut Place) {
    for import in ["wasi:filesystem/types@0.2.0", "wasi:sockets/tcp@0.2.0", "evil:host/everything@1.0.0"] {
        let imports = format!(r#"(import "{import}" (instance))"#);
        place.install(
            import,
            &made(&[("imports", &imports)]),
            |error| matches!(error, InstallError::UnknownImport { interface, .. } if interface == import),
        );
    }
    for older in ["altyn:billing/log@0.0.9", "altyn:billing/log@0.2.0", "altyn:billing/log@0.1.0-rc.1"] {
        let imports = format!(r#"(import "{older}" (instance))"#);
        place.install(
            older,
            &made(&[("imports", &imports)]),
            |error| matches!(error, InstallError::UnsupportedVersion { interface } if interface == older),
        );
    }
    for encoding in ["string-encoding=utf16", "string-encoding=latin1+utf16"] {
        place.install(encoding, &made(&[("encoding", encoding)]), |error| {
            matches!(error, InstallError::Unsound(Unsound::Encoding))
        });
    }
    place.install("an async function", &made(&[("lift", "async")]), |error| {
        matches!(error, InstallError::Unsound(Unsound::Async))
    });
    place.install("a 64-bit memory", &made(&[("pages", "i64 2")]), |error| matches!(error, InstallError::Malformed(_)));
    place.install("a shared memory", &made(&[("items", "(memory $shared 1 2 shared)")]), |error| {
        matches!(error, InstallError::Malformed(_))
    });
}

/// P15: files that are no component.
fn components_that_are_none(place: &mut Place) {
    let whole = made(&[]);
    for length in (0..whole.len()).step_by(97) {
        place.install("a truncated component", &whole[..length], |error| {
            matches!(error, InstallError::Malformed(_) | InstallError::NoWorld | InstallError::NoMetadata)
        });
    }
    place.install("a module", b"\0asm\x01\0\0\0", |error| *error == InstallError::CoreModule);
    let limit = place.runtime.config().limits.tax_rule.component_bytes;
    place.install("a hundred megabytes", &vec![0; 100 << 20], |error| matches!(error, InstallError::TooLarge { .. }));
    let mut stuffed = whole;
    // A custom section as large as the file may be; its size is a number of seven bits a byte.
    let size = u32::try_from(limit - stuffed.len() - 16).unwrap();
    stuffed.push(0);
    stuffed.extend(
        [0, 7, 14, 21].map(|shift| u8::try_from(size >> shift & 0x7f).unwrap() | if shift < 21 { 0x80 } else { 0 }),
    );
    stuffed.push(4);
    stuffed.extend(b"bomb");
    stuffed.resize(stuffed.len() + usize::try_from(size).unwrap() - 5, 0);
    let runtime = place.runtime.clone();
    let inspected = place.watched("a stuffed component", Bound::install(), || runtime.inspect(&stuffed));
    assert!(inspected.is_ok(), "what nobody reads harms nobody");
    place.a_good_call_is_served("a stuffed component");
}

/// P16: little text that is much to compile.
fn work_for_the_compiler(place: &mut Place) {
    let functions = "(func)".repeat(40_000);
    place.install("forty thousand functions", &made(&[("items", &functions)]), |error| {
        matches!(error, InstallError::Unsound(Unsound::Functions { .. }))
    });
    let long = format!("(func {})", "(drop (i32.const 1))".repeat(100_000));
    place.install("a function of 300 kB", &made(&[("items", &long)]), |error| {
        matches!(error, InstallError::Unsound(Unsound::Function { .. }))
    });
    let parts = "(component)".repeat(100);
    place.install("a hundred parts", &made(&[("instances", &parts)]), |error| {
        matches!(error, InstallError::Unsound(Unsound::Parts))
    });
    let mut targets = String::new();
    (0..60_000).for_each(|_| targets.push_str(" 0"));
    let table = format!("(func (block (br_table{targets} (i32.const 0))))");
    let mut nested = String::from("(func");
    (0..5_000).for_each(|_| nested.push_str(" (block"));
    let _ = write!(nested, "{})", ")".repeat(5_000));
    for (name, items) in [("a jump table of sixty thousand", table), ("five thousand blocks deep", nested)] {
        let (runtime, bytes) = (place.runtime.clone(), made(&[("items", &items)]));
        let inspected = place.watched(name, Bound::install(), || runtime.inspect(&bytes));
        assert!(inspected.is_ok() || matches!(inspected, Err(InstallError::Malformed(_))), "{name}: {inspected:?}");
        place.a_good_call_is_served(name);
    }
}
