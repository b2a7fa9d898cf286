//! The suite's lives: two hundred seeds, on SQLite and on PostgreSQL.

use std::path::{Path, PathBuf};

use altyn_simulator::{Wanted, simulate};

/// Where the suite's PostgreSQL is; the role must be allowed to create databases and roles.
const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";

#[test]
fn two_hundred_lives_keep_every_rule_and_come_to_the_same_on_both_engines() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let server = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
        panic!(
            "set {POSTGRES_URL} to a PostgreSQL whose role may create databases and roles, or run `cargo xtask test`"
        )
    });
    let wanted = Wanted {
        seed: 1,
        seeds: 200,
        steps: None,
        server: Some(server),
        plugins: std::env::var_os("ALTYN_PLUGINS_DIR").map_or(built, PathBuf::from),
        workers: 4,
    };
    let report = simulate(&wanted).unwrap();
    for failure in &report.failures {
        eprintln!("seed {} on {} broke at {}", failure.seed, failure.engine, failure.broken);
        for line in &failure.broken.story {
            eprintln!("  {line}");
        }
        eprintln!("again: {}", failure.again);
    }
    assert!(report.failures.is_empty(), "{} lives broke, see above", report.failures.len());
    assert!(report.lives >= 400 && report.crashes > 500, "{report:?}");
    // A life in which nothing takes effect would keep every rule, too.
    for act in ["Subscribe", "ChangePlan", "ChangeQuantity", "ChangePause", "ChangeResume", "Pay", "Promise", "Credit"]
    {
        let outcomes = &report.outcomes[act];
        let took_effect = ["ok", "executed", "scheduled"].iter().filter_map(|word| outcomes.get(*word)).sum::<u64>();
        assert!(took_effect > 20, "{act} hardly ever takes effect: {outcomes:?}");
    }
}
