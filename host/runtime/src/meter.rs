//! The meter: what every call took, by tenant and component, and the same as Prometheus metrics.
//!
//! Owns two views of the same calls: usage that waits to be stored ([`Runtime::usage_take`]) and counters since the
//! process began ([`Runtime::metrics`]). Invariants: a call is counted once in both, whatever came of it; the number of
//! time series is bounded, whatever the number of tenants: past the bound they are counted together as `other`.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use altyn_domain::plugin::World;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use serde::{Deserialize, Serialize};

use crate::call::CallRecord;
use crate::digest::Digest;
use crate::engine::{Runtime, RuntimeError};

/// Upper bounds of the buckets of a call's duration, seconds.
const SECONDS: [f64; 11] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0];
/// Stands for what is past the bound of time series.
const OTHER: &str = "other";

/// Why calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To decide something.
    Decision,
    /// To see what it would decide, or decided: replays and shadow runs. They obey the bulkheads and no circuit breaker.
    Rehearsal,
    /// To see whether a decision comes out the same a second time; counted as a rehearsal, and in no tenant's way.
    Recheck,
}

impl Purpose {
    /// Kebab-case text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Rehearsal => "rehearsal",
            Self::Recheck => "recheck",
        }
    }

    /// What its usage is counted as.
    fn counted(self) -> Self {
        match self {
            Self::Recheck => Self::Rehearsal,
            other => other,
        }
    }
}

/// Whose usage.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UsageKey {
    /// The tenant of the call's context.
    pub tenant: String,
    /// The component.
    pub component: Digest,
    /// Its world.
    pub world: World,
    /// Why it was called.
    pub purpose: Purpose,
}

/// What calls took together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many calls, those included that were not made because of a limit.
    pub calls: u64,
    /// How many of them gave no answer.
    pub failures: u64,
    /// Lines, documents' lines or drafts that were asked about.
    pub lines: u64,
    /// Fuel; the whole budget of calls that trapped.
    pub fuel: u64,
    /// The largest memory of one call, bytes.
    pub peak_memory_bytes: u64,
    /// Bytes of the questions.
    pub bytes_in: u64,
    /// Bytes of the answers.
    pub bytes_out: u64,
    /// Wall time of the calls, microseconds.
    pub duration_us: u64,
}

impl Usage {
    /// Adds what other calls took.
    pub fn add(&mut self, other: &Self) {
        let Self { calls, failures, lines, fuel, peak_memory_bytes, bytes_in, bytes_out, duration_us } = other;
        for (to, more) in [
            (&mut self.calls, calls),
            (&mut self.failures, failures),
            (&mut self.lines, lines),
            (&mut self.fuel, fuel),
            (&mut self.bytes_in, bytes_in),
            (&mut self.bytes_out, bytes_out),
            (&mut self.duration_us, duration_us),
        ] {
            *to = to.saturating_add(*more);
        }
        self.peak_memory_bytes = self.peak_memory_bytes.max(*peak_memory_bytes);
    }
}

/// Counts calls.
pub(crate) struct Meter {
    metrics: Metrics,
    lines: Mutex<HashMap<(UsageKey, &'static str), Line>>,
}

/// What is kept of one tenant's calls of one export: usage to be stored, and its counters looked up once.
struct Line {
    usage: Usage,
    own_answered: IntCounter,
    own_failed: IntCounter,
    own_peak: IntGauge,
    answered: IntCounter,
    seconds: Histogram,
    fuel: IntCounter,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    duration_us: IntCounter,
    peak: IntGauge,
}

/// The collectors, and which label values they have.
struct Metrics {
    registry: Registry,
    calls: IntCounterVec,
    seconds: HistogramVec,
    fuel: IntCounterVec,
    bytes: IntCounterVec,
    duration_us: IntCounterVec,
    peak: IntGaugeVec,
    own_calls: IntCounterVec,
    own_peak: IntGaugeVec,
    rechecks: IntCounterVec,
    running: IntGauge,
    waiting: IntGauge,
    open_circuits: IntGauge,
    most: usize,
    named: Mutex<HashSet<(String, String)>>,
}

impl Meter {
    pub(crate) fn new(most_series: u32) -> Result<Self, RuntimeError> {
        let most = usize::try_from(most_series).unwrap_or(usize::MAX);
        let metrics = Metrics::new(most).map_err(|error| RuntimeError::Engine(error.to_string()))?;
        Ok(Self { metrics, lines: Mutex::default() })
    }

    /// Counts one call; `code` is that of its failure.
    pub(crate) fn count(
        &self,
        tenant: &str,
        purpose: Purpose,
        lines: usize,
        record: &CallRecord,
        code: Option<&'static str>,
    ) {
        let used = Usage {
            calls: 1,
            failures: u64::from(code.is_some()),
            lines: u64::try_from(lines).unwrap_or(u64::MAX),
            fuel: record.fuel,
            peak_memory_bytes: record.peak_memory_bytes,
            bytes_in: u64::try_from(record.input.len()).unwrap_or(u64::MAX),
            bytes_out: u64::try_from(record.output.len()).unwrap_or(u64::MAX),
            duration_us: record.duration_us,
        };
        let key = UsageKey {
            tenant: tenant.to_owned(),
            component: record.digest,
            world: record.world,
            purpose: purpose.counted(),
        };
        let mut kept = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = kept.entry((key, record.export)).or_insert_with_key(|(key, export)| self.metrics.line(key, export));
        line.usage.add(&used);
        match code {
            None => {
                line.answered.inc();
                line.own_answered.inc();
            }
            Some(code) => {
                self.metrics.failed(record, code);
                line.own_failed.inc();
            }
        }
        line.seconds.observe(Duration::from_micros(used.duration_us).as_secs_f64());
        line.fuel.inc_by(used.fuel);
        line.bytes_in.inc_by(used.bytes_in);
        line.bytes_out.inc_by(used.bytes_out);
        line.duration_us.inc_by(used.duration_us);
        let peak = i64::try_from(used.peak_memory_bytes).unwrap_or(i64::MAX);
        for gauge in [&line.peak, &line.own_peak] {
            if peak > gauge.get() {
                gauge.set(peak);
            }
        }
    }

    /// Counts a decision that was to be made a second time.
    pub(crate) fn rechecked(&self, component: Digest, outcome: &str) {
        let component = self.metrics.component(component);
        self.metrics.rechecks.with_label_values(&[component.as_str(), outcome]).inc();
    }

    fn take(&self) -> Vec<(UsageKey, Usage)> {
        let mut kept = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: HashMap<UsageKey, Usage> = HashMap::new();
        // Who made no call since the last time is forgotten, so that the table is as large as what is in use.
        kept.retain(|_, line| line.usage.calls > 0);
        for ((key, _), line) in kept.iter_mut() {
            taken.entry(key.clone()).or_default().add(&std::mem::take(&mut line.usage));
        }
        taken.into_iter().collect()
    }

    fn give_back(&self, usage: Vec<(UsageKey, Usage)>) {
        let mut kept = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, used) in usage {
            let line = kept.entry((key, OTHER)).or_insert_with_key(|(key, export)| self.metrics.line(key, export));
            line.usage.add(&used);
        }
    }
}

impl Metrics {
    fn new(most: usize) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let collector = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(collector.clone()))?;
            Ok(collector)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let collector = IntGauge::with_opts(Opts::new(name, help))?;
            registry.register(Box::new(collector.clone()))?;
            Ok(collector)
        };
        let calls = counter(
            "altyn_plugin_calls_total",
            "Plugin calls by outcome: answered, or the code of the failure.",
            &["component", "export", "outcome"],
        )?;
        let rechecks = counter(
            "altyn_plugin_rechecks_total",
            "Decisions made a second time: identical, different, not-made, or dropped because others waited.",
            &["component", "outcome"],
        )?;
        let whose = &["tenant", "component"];
        let fuel = counter("altyn_plugin_fuel_total", "Fuel used; the whole budget after a trap.", whose)?;
        let bytes = counter(
            "altyn_plugin_bytes_total",
            "Bytes of questions (in) and answers (out).",
            &["tenant", "component", "direction"],
        )?;
        let duration_us = counter("altyn_plugin_call_microseconds_total", "Wall time inside plugin calls.", whose)?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("altyn_plugin_call_seconds", "Wall time of plugin calls.").buckets(SECONDS.to_vec()),
            &["component", "export"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        let peak = IntGaugeVec::new(
            Opts::new("altyn_plugin_peak_memory_bytes", "The largest memory of one call since the process began."),
            &["component"],
        )?;
        registry.register(Box::new(peak.clone()))?;
        let own_calls = counter(
            "altyn_plugin_tenant_calls_total",
            "Plugin calls of a tenant by outcome: answered or failed.",
            &["tenant", "component", "outcome"],
        )?;
        let own_peak = IntGaugeVec::new(
            Opts::new(
                "altyn_plugin_tenant_peak_memory_bytes",
                "The largest memory of one call of a tenant since the process began.",
            ),
            whose,
        )?;
        registry.register(Box::new(own_peak.clone()))?;
        Ok(Self {
            calls,
            seconds,
            fuel,
            bytes,
            duration_us,
            peak,
            own_calls,
            own_peak,
            rechecks,
            running: gauge("altyn_plugin_calls_running", "Plugin calls under way.")?,
            waiting: gauge("altyn_plugin_calls_waiting", "Plugin calls that wait for a place.")?,
            open_circuits: gauge("altyn_plugin_circuits_open", "Bindings that are not asked because they only fail.")?,
            registry,
            most,
            named: Mutex::default(),
        })
    }

    /// The label of a component: the first digits of its digest, or `other` past the bound.
    fn component(&self, component: Digest) -> String {
        let label: String = component.to_string().chars().take(16).collect();
        if self.is_named("", &label) { label } else { OTHER.to_owned() }
    }

    /// Whether this pair has time series of its own, which it gets while there is room.
    fn is_named(&self, tenant: &str, component: &str) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (tenant.to_owned(), component.to_owned());
        named.contains(&pair) || (named.len() < self.most && named.insert(pair))
    }

    fn line(&self, key: &UsageKey, export: &'static str) -> Line {
        let component = self.component(key.component);
        let named = self.is_named(&key.tenant, &component);
        let tenant = if named { key.tenant.as_str() } else { OTHER };
        let whose = &[tenant, component.as_str()];
        Line {
            usage: Usage::default(),
            own_answered: self.own_calls.with_label_values(&[tenant, component.as_str(), "answered"]),
            own_failed: self.own_calls.with_label_values(&[tenant, component.as_str(), "failed"]),
            own_peak: self.own_peak.with_label_values(whose),
            answered: self.calls.with_label_values(&[component.as_str(), export, "answered"]),
            seconds: self.seconds.with_label_values(&[component.as_str(), export]),
            fuel: self.fuel.with_label_values(whose),
            bytes_in: self.bytes.with_label_values(&[tenant, component.as_str(), "in"]),
            bytes_out: self.bytes.with_label_values(&[tenant, component.as_str(), "out"]),
            duration_us: self.duration_us.with_label_values(whose),
            peak: self.peak.with_label_values(&[component.as_str()]),
        }
    }

    fn failed(&self, record: &CallRecord, code: &'static str) {
        self.calls.with_label_values(&[self.component(record.digest).as_str(), record.export, code]).inc();
    }
}

impl Runtime {
    /// Takes the usage since the last time, summed by tenant, component and purpose; store it or give it back.
    pub fn usage_take(&self) -> Vec<(UsageKey, Usage)> {
        self.shared.meter.take()
    }

    /// Gives usage back that could not be stored, so that the next taker stores it.
    pub fn usage_give_back(&self, usage: Vec<(UsageKey, Usage)>) {
        self.shared.meter.give_back(usage);
    }

    /// The metrics of plugin calls since the process began, in the text format of Prometheus.
    pub fn metrics(&self) -> String {
        let metrics = &self.shared.meter.metrics;
        let (running, waiting) = self.shared.places.load();
        metrics.running.set(i64::from(running));
        metrics.waiting.set(i64::from(waiting));
        metrics.open_circuits.set(i64::try_from(self.shared.breakers.open()).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        // Writing to memory cannot fail.
        let _ = TextEncoder::new().encode(&metrics.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(component: u8) -> CallRecord {
        CallRecord {
            digest: Digest([component; 32]),
            world: World::TaxRule,
            export: "tax.assess",
            input: vec![0; 10],
            output: vec![0; 3],
            fuel: 1_000,
            peak_memory_bytes: 64 << 10,
            duration_us: 40,
            log: Vec::new(),
        }
    }

    #[test]
    fn usage_is_taken_once_and_what_is_given_back_is_not_lost() {
        let meter = Meter::new(10).unwrap();
        meter.count("t", Purpose::Decision, 5, &record(1), None);
        meter.count("t", Purpose::Decision, 2, &CallRecord { peak_memory_bytes: 1, ..record(1) }, Some("plugin-trap"));
        let taken = meter.take();
        let usage = Usage {
            calls: 2,
            failures: 1,
            lines: 7,
            fuel: 2_000,
            peak_memory_bytes: 64 << 10,
            bytes_in: 20,
            bytes_out: 6,
            duration_us: 80,
        };
        assert_eq!(taken.iter().map(|(_, usage)| *usage).collect::<Vec<_>>(), [usage]);
        assert!(meter.take().is_empty());
        meter.give_back(taken);
        meter.count("t", Purpose::Rehearsal, 1, &record(1), None);
        let mut again = meter.take();
        again.sort_by_key(|(key, _)| key.purpose.as_str());
        assert_eq!(again.iter().map(|(_, usage)| usage.calls).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn failures_and_memory_are_told_by_tenant() {
        let meter = Meter::new(10).unwrap();
        meter.count("ten_a", Purpose::Decision, 1, &record(1), None);
        meter.count(
            "ten_a",
            Purpose::Decision,
            1,
            &CallRecord { peak_memory_bytes: 7, ..record(1) },
            Some("plugin-trap"),
        );
        meter.count("ten_b", Purpose::Decision, 1, &CallRecord { peak_memory_bytes: 9, ..record(1) }, None);
        let mut text = Vec::new();
        TextEncoder::new().encode(&meter.metrics.registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let labels = |tenant: &str| format!("component=\"0101010101010101\",tenant=\"{tenant}\"");
        let calls = |tenant: &str, outcome: &str, count: u64| {
            let component = "component=\"0101010101010101\"";
            let line = format!(
                "altyn_plugin_tenant_calls_total{{{component},outcome=\"{outcome}\",tenant=\"{tenant}\"}} {count}\n"
            );
            assert!(text.contains(&line), "{line} is not in {text}");
        };
        calls("ten_a", "answered", 1);
        calls("ten_a", "failed", 1);
        calls("ten_b", "answered", 1);
        calls("ten_b", "failed", 0);
        for (tenant, bytes) in [("ten_a", 64 << 10), ("ten_b", 9)] {
            let line = format!("altyn_plugin_tenant_peak_memory_bytes{{{}}} {bytes}\n", labels(tenant));
            assert!(text.contains(&line), "{line} is not in {text}");
        }
    }

    #[test]
    fn ten_thousand_tenants_do_not_make_ten_thousand_time_series() {
        let meter = Meter::new(4).unwrap();
        for tenant in 0..10_000 {
            meter.count(&format!("ten_{tenant}"), Purpose::Decision, 1, &record(1), None);
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&meter.metrics.registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let fuel: Vec<&str> = text.lines().filter(|line| line.starts_with("altyn_plugin_fuel_total{")).collect();
        assert_eq!(fuel.len(), 4, "{fuel:?}");
        let others = fuel.iter().find(|line| line.contains("tenant=\"other\"")).unwrap();
        assert!(others.ends_with(" 9997000"), "{others}");
        assert!(text.contains(
            "altyn_plugin_calls_total{component=\"0101010101010101\",export=\"tax.assess\",outcome=\"answered\"} 10000"
        ));
    }
}
