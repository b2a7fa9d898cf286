//! What the plugin host keeps to itself: memory of a million calls, of many tenants, the start of a cached component, what
//! a neighbour feels of an attacker, and a switch under load.

use std::{
    path::Path,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use altyn_domain::{
    calendar::Period,
    money::{Currency, Money},
    plugin::CallContext,
    proration::{CurrentDay, Question},
};
use altyn_runtime::{Limits, Plugin, Runtime, RuntimeConfig};
use anyhow::{Context as _, ensure};

use super::{Figures, plugin::percentile, resident_memory_bytes, round};

/// Fresh-store calls whose memory must stay flat.
const CALLS: u64 = 1_000_000;
const TENANTS: usize = 10_000;
const BINDINGS: usize = 10;
/// Calls of the neighbour, without and with an attacker beside it.
const NEIGHBOUR_CALLS: usize = 5_000;
const ATTACKERS: usize = 4;
const SWITCHES: u32 = 200;
const STARTS: usize = 20;

/// Measures with the proration strategy, whose calls are the shortest.
pub fn measure(plugins: &Path, figures: &mut Figures) -> anyhow::Result<()> {
    let wasm = |name: &str| {
        let path = plugins.join(name).with_extension("wasm");
        std::fs::read(&path).with_context(|| format!("{} is not built", path.display()))
    };
    let (good, hostile) = (wasm("day-ratio")?, wasm("hostile-proration")?);
    let runtime = Runtime::new(&RuntimeConfig::default())?;
    let plugin = runtime.load(&good)?;
    let mut tell = |name: &str, value: f64| {
        eprintln!("  {name} {value:.2}");
        figures.insert(name.into(), round(value));
    };

    eprintln!("a million calls …");
    let one = context("ten_bench", 0, "");
    for _ in 0..CALLS / 100 {
        ask(&runtime, &plugin, &one)?;
    }
    let before = resident_memory_bytes();
    for _ in 0..CALLS {
        ask(&runtime, &plugin, &one)?;
    }
    tell("plugin_rss_before_mib", mebibytes(before));
    tell("plugin_rss_after_million_calls_mib", mebibytes(resident_memory_bytes()));

    eprintln!("many tenants …");
    let before = resident_memory_bytes();
    let mut bound = Vec::with_capacity(TENANTS * BINDINGS);
    for tenant in 0..TENANTS {
        for binding in 0..BINDINGS {
            let lowered = plugin.within(Limits { wall_ms: 1_000, ..Limits::default() });
            let ctx = context(&format!("ten_{tenant:032x}"), binding, "");
            ask(&runtime, &lowered, &ctx)?;
            bound.push((lowered, ctx));
        }
    }
    tell("plugin_registered_bindings_mib", mebibytes(resident_memory_bytes().saturating_sub(before)));
    drop(bound);

    tell("plugin_cached_start_us_p50", cached_start(&good)?);

    eprintln!("a neighbour of an attacker …");
    let alone = neighbour(&runtime, &plugin)?;
    let bad = runtime.load(&hostile)?;
    let done = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                let ctx = context("ten_attacker", 0, r#"{"do":"loop"}"#);
                while !done.load(Ordering::Relaxed) {
                    let call = runtime.prorate(&bad, &ctx, &[question()]);
                    if call.record.fuel == 0 {
                        // Left alone by the breaker: a caller that does not wait would only measure itself.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        let beside = neighbour(&runtime, &plugin);
        done.store(true, Ordering::Relaxed);
        beside
    })?;
    tell("plugin_neighbour_p99_us", alone);
    tell("plugin_neighbour_p99_us_beside_attacker", beside);
    tell("plugin_neighbour_p99_ratio", ratio(beside, alone));

    eprintln!("switches under load …");
    let (calls, failed) = switches(&runtime, &plugin, &bad);
    tell("plugin_switches", f64::from(SWITCHES));
    tell("plugin_calls_during_switches", count(calls));
    tell("plugin_calls_failed_by_switches", count(failed));
    Ok(())
}

fn context(tenant: &str, binding: usize, config: &str) -> CallContext {
    CallContext {
        tenant: tenant.into(),
        binding: format!("bnd_{binding}"),
        config: config.into(),
        now_ms: 0,
        zone: "Europe/Moscow".into(),
        locale: "ru".into(),
    }
}

fn question() -> Question {
    let day = super::world::due_on();
    let end = day.checked_add_months(chrono::Months::new(1)).unwrap_or(day);
    let period = Period { start: day, end };
    let zero = Money::zero(Currency::RUB);
    Question {
        line: "0".into(),
        price: Money::new(59_000, Currency::RUB),
        period,
        used: period,
        current_day: CurrentDay::New,
        billed: zero,
        credited: zero,
    }
}

fn ask(runtime: &Runtime, plugin: &Plugin, ctx: &CallContext) -> anyhow::Result<()> {
    let call = runtime.prorate(plugin, ctx, &[question()]);
    ensure!(call.result.is_ok(), "the strategy failed: {:?}", call.result.err());
    Ok(())
}

/// The time from the bytes of a component that was compiled before to its first answer.
fn cached_start(wasm: &[u8]) -> anyhow::Result<f64> {
    let folder = std::env::temp_dir().join(format!("altyn-bench-{}", std::process::id()));
    let config = RuntimeConfig { cache_dir: Some(folder.clone()), instances: 4, ..RuntimeConfig::default() };
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..=STARTS {
        let runtime = Runtime::new(&config)?;
        let begun = Instant::now();
        let plugin = runtime.load(wasm)?;
        ask(&runtime, &plugin, &context("ten_bench", 0, ""))?;
        times.push(begun.elapsed());
        // The cache writes on a thread of its own.
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::remove_dir_all(&folder)?;
    // The first compiled it.
    Ok(percentile(&mut times.split_off(1), 50))
}

fn neighbour(runtime: &Runtime, plugin: &Plugin) -> anyhow::Result<f64> {
    let ctx = context("ten_neighbour", 0, "");
    let mut times = Vec::with_capacity(NEIGHBOUR_CALLS);
    for _ in 0..NEIGHBOUR_CALLS {
        let begun = Instant::now();
        ask(runtime, plugin, &ctx)?;
        times.push(begun.elapsed());
        // Not back to back: what is measured is the wait of a call that comes at any moment.
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(percentile(&mut times, 99))
}

/// Two components take turns behind a lock while calls go on; answers how many calls there were and how many failed.
fn switches(runtime: &Runtime, one: &Plugin, other: &Plugin) -> (u64, u64) {
    let current = RwLock::new(one.clone());
    let (calls, failed, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for tenant in ["ten_first", "ten_second"] {
            let (current, calls, failed, done) = (&current, &calls, &failed, &done);
            scope.spawn(move || {
                let ctx = context(tenant, 0, "");
                while !done.load(Ordering::Relaxed) {
                    let plugin = current.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                    if ask(runtime, &plugin, &ctx).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for switch in 0..SWITCHES {
            let next = if switch % 2 == 0 { other } else { one };
            *current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = next.clone();
            std::thread::sleep(Duration::from_millis(5));
        }
        done.store(true, Ordering::Relaxed);
    });
    (calls.into_inner(), failed.into_inner())
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a measurement, not money")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[expect(clippy::float_arithmetic, reason = "a measurement, not money")]
fn ratio(one: f64, other: f64) -> f64 {
    one / other.max(1e-9)
}

#[expect(clippy::cast_precision_loss, reason = "a measurement, not money")]
fn count(number: u64) -> f64 {
    number as f64
}
