//! What each figure should come to: the one table that `altyn bench --check` holds the machine to.
//!
//! Aims are for two cores with nothing else to do; a figure that was not taken has no aim to miss.

use std::fmt;

use serde_json::Value;

use super::Figures;

/// Which side of a bound is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

/// Figures by name, a star standing for any text; the first that fits counts.
const AIMS: &[(&str, Bound)] = &[
    ("billing_peak_rss_bytes", AtMost(400e6)),
    ("billing_*_peak_rss_bytes", AtMost(400e6)),
    ("billing_*_per_s", AtLeast(15_000.0)),
    ("contract_*_s", AtMost(10.0)),
    ("usage_postgres_per_s", AtLeast(50_000.0)),
    ("ledger_single_postgres_per_s", AtLeast(5_000.0)),
    ("ledger_batched_postgres_per_s", AtLeast(40_000.0)),
    ("plugin_fresh_us_p50", AtMost(40.0)),
    ("plugin_batch_line_us", AtMost(1.0)),
    ("plugin_cached_start_us_p50", AtMost(2_000.0)),
    ("plugin_rss_growth_of_million_calls_mib", AtMost(8.0)),
    // 500 MB.
    ("plugin_registered_bindings_*_mib", AtMost(476.0)),
    ("plugin_neighbour_*_p99_ratio", AtMost(2.0)),
    ("plugin_calls_failed_by_switches", AtMost(0.0)),
    ("change_preview_*_us_p99", AtMost(20_000.0)),
];

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            AtLeast(bound) => figure >= bound,
            AtMost(bound) => figure <= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AtLeast(bound) => write!(f, "at least {bound}"),
            AtMost(bound) => write!(f, "at most {bound}"),
        }
    }
}

/// What a figure of this name should come to.
pub fn aim(name: &str) -> Option<Bound> {
    AIMS.iter().find(|(pattern, _)| fits(name, pattern)).map(|(_, bound)| *bound)
}

fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
    }
}

/// A sentence for each figure that misses its aim.
pub fn missed(figures: &Figures) -> Vec<String> {
    let miss = |(name, value): (&String, &Value)| {
        let (aim, figure) = (aim(name)?, value.as_f64()?);
        (!aim.holds(figure)).then(|| format!("{name} is {figure}, {aim} is the aim"))
    };
    figures.iter().filter_map(miss).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_that_misses_its_aim_is_named() {
        let Value::Object(figures) = json!({
            "billing_sqlite_100000_per_s": 14_999.0, "billing_postgres_100000_per_s": 15_000.0,
            "plugin_neighbour_tax_loop_p99_ratio": 2.01, "plugin_neighbour_tax_trap_p99_ratio": 1.2,
            "plugin_calls_failed_by_switches": 1.0, "plugin_switches": 200.0, "pgbench_tps": null,
            "contract_sqlite_30000_s": 9.0, "contract_sqlite_30000_peak_rss_bytes": 600_000_000,
        }) else {
            panic!("an object")
        };
        let missed = missed(&figures);
        let named: Vec<&str> = missed.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(
            named,
            ["billing_sqlite_100000_per_s", "plugin_calls_failed_by_switches", "plugin_neighbour_tax_loop_p99_ratio"]
        );
        assert_eq!(missed[0], "billing_sqlite_100000_per_s is 14999, at least 15000 is the aim");
    }

    #[test]
    fn what_has_no_aim_is_not_checked() {
        assert_eq!(aim("plugin_switches"), None);
        assert_eq!(aim("contract_sqlite_30000_peak_rss_bytes"), None);
        assert_eq!(aim("billing_sqlite_100000_peak_rss_bytes"), Some(AtMost(400e6)));
    }
}
