//! What other tenants feel of an attack while it lasts, in every world.
//!
//! The bound is a generous multiple of what the same calls took a moment before, so that a busy machine fails nothing;
//! `cargo xtask bench --check` holds the 99th percentile to twice its baseline.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use altyn_runtime::{Breaker, CallContext, Limits, LimitsTable, Runtime, RuntimeConfig};

use super::common::{context, draft};
use super::doubles::{Doubles, EXPORTS, config, limits_of};
use super::made;

/// Calls of the neighbour in one measurement.
const CALLS: usize = 25;
/// How many times its own median a neighbour may wait beside an attacker, and how long at least.
const FACTOR: u32 = 10;
const FLOOR: Duration = Duration::from_millis(10);
/// How long an endless loop keeps its place: a neighbour that waited for it would be far beyond the bound.
const WALL_MS: u64 = 200;
const ATTACKERS: usize = 2;
const DEEDS: [&str; 5] = ["trap", "loop", "memory", "flood-log", "huge-answer"];

fn host() -> Runtime {
    let mut table = LimitsTable::default();
    for limits in
        [&mut table.tax_rule, &mut table.proration_strategy, &mut table.numbering_scheme, &mut table.payment_gateway]
    {
        *limits = Limits { fuel: 1 << 40, wall_ms: WALL_MS, ..*limits };
    }
    // Attackers that were left alone would be no attackers.
    let breaker = Breaker { failures: u32::MAX, ..Breaker::default() };
    Runtime::new(&RuntimeConfig { limits: table, breaker, instances: 16, ..RuntimeConfig::default() }).unwrap()
}

/// The median time of the neighbour's calls, which come now and then.
fn median(call: &dyn Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..CALLS)
        .map(|_| {
            let begun = Instant::now();
            call();
            let took = begun.elapsed();
            std::thread::sleep(Duration::from_micros(500));
            took
        })
        .collect();
    times.sort_unstable();
    times[CALLS / 2]
}

/// Measures the neighbour alone and beside attackers who go on all the while.
fn felt(name: &str, neighbour: &dyn Fn(), attack: &(dyn Fn() + Sync)) {
    let alone = median(neighbour);
    let (done, made) = (AtomicBool::new(false), AtomicU32::new(0));
    let beside = std::thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    made.fetch_add(1, Ordering::Relaxed);
                    attack();
                }
            });
        }
        while made.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        let beside = median(neighbour);
        done.store(true, Ordering::Relaxed);
        beside
    });
    let bound = (alone * FACTOR).max(FLOOR);
    assert!(beside <= bound, "beside {name} a neighbour waits {beside:?}, alone {alone:?}");
}

pub fn are_served_beside_every_attack() {
    let runtime = host();
    let doubles = Doubles::load(&runtime);
    let neighbour = CallContext { tenant: "ten_2".into(), ..context("") };
    for export in EXPORTS {
        let limits = limits_of(&runtime.config().limits, export);
        assert!(u128::from(limits.wall_ms) > 10 * FLOOR.as_millis(), "who waits for a loop is seen to wait");
        let good = || {
            let call = doubles.call(&runtime, export, &neighbour);
            assert!(call.result.is_ok(), "{export}: {:?}", call.result);
        };
        for deed in DEEDS {
            let ctx = context(&config(deed));
            let attack = || drop(doubles.call(&runtime, export, &ctx));
            felt(&format!("{deed} in {export}"), &good, &attack);
        }
    }
    // P16: whoever installs a component that is much to compile keeps nobody waiting who calls one.
    let plugin = runtime.load(&made(&[])).unwrap();
    let functions = "(func (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))".repeat(500);
    let much = made(&[("items", &functions)]);
    let good = || {
        let call = runtime.numbers(&plugin, &neighbour, &[draft(0, "1")], &[7]);
        assert!(call.result.is_ok(), "{:?}", call.result);
    };
    felt("work for the compiler", &good, &|| {
        runtime.inspect(&much).unwrap();
    });
}
