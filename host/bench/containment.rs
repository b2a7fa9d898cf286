//! What the plugin host keeps to itself: memory of a million calls, the start of a cached component, and a switch under
//! load.

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
use altyn_runtime::{Plugin, Runtime, RuntimeConfig};
use anyhow::{Context as _, ensure};

use super::{Figures, plugin::percentile, resident_memory_bytes, round};

/// Fresh-store calls whose memory must stay flat.
const CALLS: u64 = 1_000_000;
const SWITCHES: u32 = 200;
const STARTS: usize = 20;

/// Measures with the proration strategy, whose calls are the shortest.
pub fn measure(plugins: &Path, figures: &mut Figures) -> anyhow::Result<()> {
    let wasm = |name: &str| {
        let path = plugins.join(name).with_extension("wasm");
        std::fs::read(&path).with_context(|| format!("{} is not built", path.display()))
    };
    let (good, other) = (wasm("day-ratio")?, wasm("hostile-proration")?);
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
    let after = resident_memory_bytes();
    tell("plugin_rss_after_million_calls_mib", mebibytes(after));
    tell("plugin_rss_growth_of_million_calls_mib", mebibytes(after.saturating_sub(before)));

    tell("plugin_cached_start_us_p50", cached_start(&good)?);

    let other = runtime.load(&other)?;
    eprintln!("switches under load …");
    let (calls, failed) = switches(&runtime, &plugin, &other);
    tell("plugin_switches", f64::from(SWITCHES));
    tell("plugin_calls_during_switches", count(calls));
    tell("plugin_calls_failed_by_switches", count(failed));
    Ok(())
}

pub(super) fn context(tenant: &str, binding: usize, config: &str) -> CallContext {
    CallContext {
        tenant: tenant.into(),
        binding: format!("bnd_{binding}"),
        config: config.into(),
        now_ms: 0,
        zone: "Europe/Moscow".into(),
        locale: "ru".into(),
    }
}

pub(super) fn question() -> Question {
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

#[expect(clippy::cast_precision_loss, reason = "a measurement, not money")]
fn count(number: u64) -> f64 {
    number as f64
}
