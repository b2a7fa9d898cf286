//! The suite's lives: two hundred seeds on SQLite, and the last of them on PostgreSQL too, which takes four times as long.

use std::path::{Path, PathBuf};

use altyn_simulator::{Report, Wanted, simulate};

/// How many seeds are lived instead of two hundred.
const SEEDS: &str = "ALTYN_SIMULATE_SEEDS";
/// One life of so many is lived on both engines, so that all take less than five minutes of two processors; `cargo xtask
/// simulate` lives all of them on both.
const ON_BOTH: u64 = 10;
/// Where the suite's PostgreSQL is; the role must be allowed to create databases and roles.
const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";

/// How often each act takes effect at least in the lives on SQLite alone.
const EFFECTS: [(&str, u64); 41] = [
    ("Activate", 10),
    ("Adjust", 50),
    ("Approval", 25),
    ("Block", 60),
    ("ChangeBillingDay", 20),
    ("ChangeCancel", 30),
    ("ChangePause", 60),
    ("ChangePlan", 100),
    ("ChangeProlong", 25),
    ("ChangeQuantity", 80),
    ("ChangeRenew", 25),
    ("ChangeResume", 12),
    ("ChangeShift", 25),
    ("Chase", 10),
    ("Credit", 50),
    ("Decide", 8),
    ("DropPrice", 3),
    ("Edit", 40),
    ("End", 20),
    ("Import", 60),
    ("Lift", 3),
    ("Limit", 50),
    ("Order", 100),
    ("OwnPrice", 40),
    ("Pay", 250),
    ("PayDebt", 50),
    ("Place", 40),
    ("Policy", 12),
    ("Promise", 50),
    ("Renew", 12),
    ("Reprice", 20),
    ("Retime", 10),
    ("Reverse", 20),
    ("Strategy", 30),
    ("Subscribe", 500),
    ("TakeBack", 6),
    ("Term", 80),
    ("Transfer", 2),
    ("Use", 350),
    ("Withdraw", 5),
    ("Zone", 10),
];

#[test]
fn lives_keep_every_rule_and_come_to_the_same_on_both_engines() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let server = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
        panic!(
            "set {POSTGRES_URL} to a PostgreSQL whose role may create databases and roles, or run `cargo xtask test`"
        )
    });
    let seeds: u64 = std::env::var(SEEDS).ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let on_both = seeds.div_ceil(ON_BOTH);
    let alone = Wanted {
        seed: 1,
        seeds: seeds - on_both,
        steps: None,
        server: None,
        plugins: std::env::var_os("ALTYN_PLUGINS_DIR").map_or(built, PathBuf::from),
        workers: 4,
    };
    let both = Wanted { seed: 1 + alone.seeds, seeds: on_both, server: Some(server), ..alone.clone() };
    kept(&both, 2);
    let report = kept(&alone, 1);
    if seeds < 100 {
        return;
    }
    // A life in which nothing takes effect would keep every rule, too.
    for (act, least) in EFFECTS {
        let outcomes = report.outcomes.get(act);
        let words = ["ok", "late", "executed", "scheduled"];
        let told = words.iter().filter_map(|word| outcomes?.get(*word)).sum::<u64>();
        assert!(told >= least, "{act} takes effect {told} times in all lives: {outcomes:?}");
    }
    let late = report.outcomes["Use"].get("late").copied().unwrap_or(0);
    assert!(late >= 100, "use that comes late is rare: {:?}", report.outcomes["Use"]);
}

/// Lives them and fails with the story of each that broke.
fn kept(wanted: &Wanted, engines: u64) -> Report {
    let report = simulate(wanted).unwrap_or_else(|error| panic!("{error:#}"));
    for failure in &report.failures {
        eprintln!("seed {} on {} broke at {}", failure.seed, failure.engine, failure.broken);
        for line in &failure.broken.story {
            eprintln!("  {line}");
        }
        eprintln!("again: {}", failure.again);
    }
    assert!(report.failures.is_empty(), "{} lives broke, see above", report.failures.len());
    let least = engines * wanted.seeds;
    assert!(report.lives >= least && report.crashes >= least, "{report:?}");
    report
}
