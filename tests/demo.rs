//! The demonstration: the same month on both engines gives the same figures, to the minor unit.

#![expect(clippy::unwrap_used, reason = "a test stops where something goes wrong")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use altyn_store::Db;
use serde_json::Value;

const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";

/// Figures that the machine decides, not the books.
const OF_THE_MACHINE: [&str; 3] = ["database", "seconds", "peak_rss_bytes"];

fn demo(folder: &Path, words: &[&str]) -> std::process::Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plugins = std::env::var_os("ALTYN_PLUGINS_DIR").map_or_else(|| root.join("target/plugins"), PathBuf::from);
    Command::new(env!("CARGO_BIN_EXE_altyn"))
        .current_dir(folder)
        .args(["demo", "--no-serve", "--output", "json"])
        .args(words)
        .arg("--plugins")
        .arg(plugins)
        .arg("--books")
        .arg(root.join("examples/operator"))
        .output()
        .unwrap()
}

fn figures(output: &std::process::Output) -> Value {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}\n{told}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `altyn verify --replay 100`: the process starts with nothing compiled and nothing remembered.
fn replayed(folder: &Path, database: &str, calls: i64) {
    let output = Command::new(env!("CARGO_BIN_EXE_altyn"))
        .current_dir(folder)
        .args(["verify", "--replay", "100", "--output", "json", "--database", database])
        .output()
        .unwrap();
    let report = figures(&output);
    assert_eq!(report["ok"], true, "{report:#}");
    let reports: Vec<&Value> = report["reports"].as_array().unwrap().iter().map(|of| &of["report"]).collect();
    let sum = |name: &str| -> i64 { reports.iter().filter_map(|of| of[name].as_i64()).sum() };
    assert_eq!((sum("calls_replayed"), sum("calls_identical")), (calls, calls), "{report:#}");
    let rules = reports.iter().flat_map(|of| of["rules"].as_array().unwrap());
    let replays: Vec<&Value> = rules.filter(|rule| rule["code"] == "evidence-replays").collect();
    let told = |rule: &&Value| (rule["checked"].as_i64(), rule["violations"].as_i64());
    assert_eq!(replays.iter().map(told).collect::<Vec<_>>(), [(Some(calls), Some(0))], "{report:#}");
}

#[tokio::test]
async fn a_month_comes_to_the_same_on_both_engines() {
    let server = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
        panic!("set {POSTGRES_URL} to a PostgreSQL whose role may create databases, or run `cargo xtask test`")
    });
    let url = Db::create_postgres_database(&server, &format!("altyn_demo_{}", std::process::id())).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = figures(&demo(folder.path(), &[]));
    assert!(folder.path().join("target/demo/altyn.db").exists(), "the default is a file of its own");
    let mut postgres = figures(&demo(folder.path(), &["--database", &url]));
    assert_eq!((sqlite["database"].as_str(), postgres["database"].as_str()), (Some("sqlite"), Some("postgres")));

    for name in OF_THE_MACHINE {
        for figures in [&mut sqlite, &mut postgres] {
            let taken = figures.as_object_mut().unwrap().remove(name).unwrap();
            assert!(taken.is_string() || taken.as_f64().is_some_and(|figure| figure > 0.0), "{name} is {taken}");
        }
    }
    assert_eq!(sqlite, postgres);

    let figure = |name: &str| sqlite[name].as_i64().unwrap_or_else(|| panic!("{name} in {sqlite:#}"));
    assert_eq!(figure("days"), 30);
    assert!(figure("subscriptions_billed") > 2_900 && figure("invoices") > 2_000);
    assert_eq!(figure("net_minor") + figure("tax_minor"), figure("gross_minor"));
    assert_eq!(figure("realised_net_minor") + figure("realised_tax_minor"), figure("realised_gross_minor"));
    // Periods that began on the first of the month end with it; all others go on.
    assert!(figure("charges_realised") > 50 && figure("charges_realised") < figure("charges"));
    for zero in ["trial_balance_minor", "rows_changed_by_second_import", "rules_broken", "parked"] {
        assert_eq!(figure(zero), 0, "{zero}");
    }
    assert_eq!(figure("evidence_identical"), figure("evidence_replayed"));
    assert_eq!(figure("rows_refused"), 8);

    // A process that knows nothing but the database asks every component again and gets what was recorded.
    for database in ["sqlite:target/demo/altyn.db", &url] {
        replayed(folder.path(), database, figure("evidence_replayed"));
    }

    // Somebody's books are never mixed with the story, and stay as they are.
    let again = demo(folder.path(), &["--database", &url]);
    assert_eq!(again.status.code(), Some(3), "{}", String::from_utf8_lossy(&again.stderr));
    assert!(again.stdout.is_empty());
}
