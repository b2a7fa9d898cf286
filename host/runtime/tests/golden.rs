//! Golden guests: components that were built with a frozen version of the contract, kept for ever, asked on today's host.
//!
//! Nothing here is rebuilt. A guest that is refused or answers differently means that this host no longer keeps what it
//! promised to authors, whatever the check of the texts says.

#![expect(clippy::unwrap_used, reason = "a golden guest that cannot be read fails its test")]

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use altyn_runtime::{InstallError, LimitsTable, kit::Case};
use common::RUNTIME;

struct Golden {
    /// The version that was frozen, such as `0.1.0-draft.1`.
    frozen: String,
    world: String,
    wasm: Vec<u8>,
    case: Case,
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn golden() -> Vec<Golden> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/frozen");
    let mut all = Vec::new();
    for copy in files(&home).into_iter().filter(|path| path.is_dir()) {
        let frozen = copy.file_name().unwrap().to_string_lossy().into_owned();
        for wasm in files(&copy.join("guests")).into_iter().filter(|path| path.extension().unwrap() == "wasm") {
            all.push(Golden {
                frozen: frozen.clone(),
                world: wasm.file_stem().unwrap().to_string_lossy().into_owned(),
                case: serde_json::from_slice(&fs::read(wasm.with_extension("json")).unwrap()).unwrap(),
                wasm: fs::read(wasm).unwrap(),
            });
        }
    }
    assert!(!all.is_empty(), "no version is frozen");
    all
}

#[test]
fn every_golden_guest_is_still_installed_answers_as_it_did_and_keeps_every_rule() {
    for Golden { frozen, world, wasm, case } in golden() {
        let who = format!("{world} of {frozen}");
        let inspection = RUNTIME.inspect(&wasm).unwrap_or_else(|error| panic!("{who}: {error}"));
        assert_eq!(inspection.world.as_str(), world, "{who}");
        let released = frozen.split('-').next().unwrap();
        assert_eq!(inspection.contract_version, released, "{who}");
        let plugin = RUNTIME.load(&wasm).unwrap();
        assert_eq!(RUNTIME.case(&plugin, &case).unwrap(), None, "{who}");
        let report = RUNTIME.conformance(&plugin, case.input["ctx"]["config"].as_str().unwrap());
        let broken: Vec<_> = report.checks.iter().filter(|check| !check.kept).collect();
        assert!(report.passed(), "{who}: {broken:#?}");
    }
}

#[test]
fn a_component_of_a_version_that_does_not_live_is_told_which_do() {
    let Golden { wasm, .. } = golden().remove(0);
    // The names of interfaces stand in a component as they are, so another version of the same length is one that
    // was built for it.
    for version in ["0.2.0", "1.0.0", "0.0.1"] {
        let mut other = wasm.clone();
        let (from, to) = (b"altyn:billing/", format!("@{version}"));
        for at in 0..other.len().saturating_sub(from.len()) {
            if other[at..].starts_with(from) {
                let name = other[at..].iter().take(64).position(|byte| *byte == b'@').unwrap_or(0);
                if other[at + name..].starts_with(b"@0.1.0") {
                    other[at + name..at + name + to.len()].copy_from_slice(to.as_bytes());
                }
            }
        }
        let refused = RUNTIME.inspect(&other).unwrap_err();
        assert!(matches!(refused, InstallError::UnsupportedVersion { .. }), "{version}: {refused}");
        let told = refused.to_string();
        assert!(told.contains(&to) && told.contains("altyn:billing@0.1"), "{told}");
    }
}

#[test]
fn the_readme_of_the_contract_states_the_limits_that_are_in_force() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let table = LimitsTable::default();
    for (name, limits) in [
        ("proration, tax, numbering", table.tax_rule),
        ("payment-gateway", table.payment_gateway),
        ("composed, any world", table.composed),
    ] {
        let million = |n: u64| n / 1_000_000;
        let row = format!(
            "| {name} | {} M | {} k | {} MiB | {} s | {} + {} KiB | {} + {} KiB | {} MiB |",
            million(limits.fuel),
            limits.fuel_per_line / 1_000,
            limits.memory_bytes >> 20,
            limits.wall_ms / 1_000,
            limits.input_bytes >> 10,
            limits.input_bytes_per_line >> 10,
            limits.hostcall_bytes >> 10,
            limits.hostcall_bytes_per_line >> 10,
            limits.component_bytes >> 20,
        );
        assert!(readme.contains(&row), "wit/README.md has no row {row}");
    }
    assert_eq!((table.proration_strategy, table.numbering_scheme), (table.tax_rule, table.tax_rule));
}
