//! Frozen copies of the contract, `wit/frozen/<version>/`: what each of them forbids the working one.
//!
//! A copy holds the `.wit` files of its version and, in `guests/`, one component for each world with a question and the
//! answer that it gave. A copy is never edited. That of a release stays for ever; that of a draft (`0.1.0-draft.2`) stays
//! until the draft is given up by name. Invariant: the check passes only when every copy's components still fit the
//! working contract, or the working contract says by its version that it is another track.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use semver::Version;

use super::{
    compare::{self, Change, Verdict},
    surface::Contract,
};
use crate::guests;

/// Who stands for a world in a frozen copy: one of our own plugins.
const GOLDEN: [(&str, &str); 4] = [
    ("proration-strategy", "day-ratio"),
    ("tax-rule", "ru-vat"),
    ("numbering-scheme", "number-template"),
    ("payment-gateway", "pay-sandbox"),
];

/// A frozen copy.
#[derive(Debug)]
pub struct Frozen {
    pub version: Version,
    pub folder: PathBuf,
}

/// The folder of the working contract.
pub fn working(root: &Path) -> PathBuf {
    root.join("wit")
}

fn home(root: &Path) -> PathBuf {
    working(root).join("frozen")
}

/// Every frozen copy, the oldest first.
pub fn copies(root: &Path) -> anyhow::Result<Vec<Frozen>> {
    let home = home(root);
    if !home.exists() {
        return Ok(Vec::new());
    }
    let mut copies = Vec::new();
    for entry in fs::read_dir(&home).with_context(|| format!("cannot read {}", home.display()))? {
        let folder = entry?.path();
        if folder.is_dir() {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let version = Version::parse(&name).with_context(|| format!("{} names no version", folder.display()))?;
            copies.push(Frozen { version, folder });
        }
    }
    copies.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(copies)
}

/// What a frozen copy says of the working contract.
pub struct Judged {
    pub frozen: Version,
    pub changes: Vec<Change>,
    /// Why the working contract may not be what it is; None when it may.
    pub complaint: Option<String>,
}

/// Compares the working contract with every frozen copy.
pub fn judge_all(root: &Path) -> anyhow::Result<Vec<Judged>> {
    let working = Contract::read(&working(root))?;
    copies(root)?.into_iter().map(|copy| judge(&copy, &working)).collect()
}

fn judge(copy: &Frozen, working: &Contract) -> anyhow::Result<Judged> {
    let old = Contract::read(&copy.folder)?;
    ensure!(
        old.released_as() == released(&copy.version),
        "{} holds a contract of version {}",
        copy.folder.display(),
        old.released_as()
    );
    let changes = compare::compare(&old.surface(), &working.surface());
    let complaint = complaint(&copy.version, &working.released_as(), &changes);
    Ok(Judged { frozen: copy.version.clone(), changes, complaint })
}

/// The rules of `wit/README.md`.
fn complaint(frozen: &Version, working: &Version, changes: &[Change]) -> Option<String> {
    if *working < released(frozen) {
        return Some(format!("the working contract is {working}, which is older than {frozen}"));
    }
    if track(frozen) != track(working) {
        // Its components are served by the module of their own track.
        return None;
    }
    let breaks = changes.iter().filter(|change| change.verdict == Verdict::Breaks).count();
    if breaks > 0 {
        let next = next_track(working);
        let draft = if frozen.pre.is_empty() {
            String::new()
        } else {
            format!("; a draft may also be given up: cargo xtask contract freeze --give-up {frozen}")
        };
        return Some(format!("{breaks} changes break it: take them back, or raise the package to {next}{draft}"));
    }
    if frozen.pre.is_empty() && working == frozen && !changes.is_empty() {
        let next = Version::new(working.major, working.minor, working.patch + 1);
        return Some(format!("it is released and never grows: raise the package to {next}"));
    }
    None
}

/// `0.1.0` of `0.1.0-draft.2`.
fn released(version: &Version) -> Version {
    Version::new(version.major, version.minor, version.patch)
}

/// Versions of one track are compatible: the major version, and before 1.0 the minor one.
fn track(version: &Version) -> (u64, u64) {
    (version.major, if version.major == 0 { version.minor } else { 0 })
}

fn next_track(version: &Version) -> Version {
    if version.major == 0 { Version::new(0, version.minor + 1, 0) } else { Version::new(version.major + 1, 0, 0) }
}

/// What is to be frozen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// A release; otherwise the next draft of the working version.
    pub release: bool,
    /// Drafts that are given up for it.
    pub give_up: Vec<Version>,
}

/// Writes a frozen copy with its golden guests, and answers its folder.
pub fn freeze(root: &Path, order: &Order) -> anyhow::Result<PathBuf> {
    let working_folder = working(root);
    let contract = Contract::read(&working_folder)?;
    let copies = copies(root)?;
    let version = version_of(&contract.released_as(), &copies, order)?;
    for copy in copies.iter().filter(|copy| !order.give_up.contains(&copy.version)) {
        if let Some(complaint) = judge(copy, &contract)?.complaint {
            bail!("{}: {complaint}", copy.version);
        }
    }
    let guests = guests::build_guests(root)?;
    let folder = home(root).join(version.to_string());
    fs::create_dir_all(folder.join("guests"))?;
    for file in wit_files(&working_folder)? {
        fs::copy(&file, folder.join(file.file_name().unwrap_or_default()))?;
    }
    for (world, plugin) in GOLDEN {
        let component = guests.iter().find(|path| path.file_stem().is_some_and(|stem| stem == plugin));
        let component = component.with_context(|| format!("the build left no {plugin}"))?;
        fs::copy(component, folder.join("guests").join(world).with_extension("wasm"))?;
        let case = root.join("plugins").join(plugin).join("tests").join("golden.json");
        let kept = folder.join("guests").join(world).with_extension("json");
        fs::copy(&case, kept).with_context(|| format!("{plugin} has no {}", case.display()))?;
    }
    for version in &order.give_up {
        fs::remove_dir_all(home(root).join(version.to_string()))?;
    }
    Ok(folder)
}

fn version_of(working: &Version, copies: &[Frozen], order: &Order) -> anyhow::Result<Version> {
    ensure!(working.pre.is_empty(), "the package is {working}; give it a version without -, drafts are counted here");
    for version in &order.give_up {
        ensure!(!version.pre.is_empty(), "{version} is released; what is released stays for ever");
        ensure!(copies.iter().any(|copy| copy.version == *version), "there is no frozen {version}");
    }
    let of_this = copies.iter().filter(|copy| released(&copy.version) == *working);
    let mut drafts = 0;
    for copy in of_this {
        ensure!(!copy.version.pre.is_empty(), "{working} is frozen already; raise the version of the package");
        let number = copy.version.pre.strip_prefix("draft.").and_then(|number| number.parse::<u64>().ok());
        drafts = drafts.max(number.with_context(|| format!("{} is no draft that is counted", copy.version))?);
    }
    if order.release {
        return Ok(working.clone());
    }
    let draft = format!("{working}-draft.{}", drafts + 1);
    Version::parse(&draft).with_context(|| format!("{draft} is no version"))
}

fn wit_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let files = entries.into_iter().map(|entry| entry.path());
    Ok(files.filter(|path| path.extension().is_some_and(|extension| extension == "wit")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(verdict: Verdict) -> Change {
        Change { verdict, at: "types.money".into(), what: "x".into() }
    }

    fn said(frozen: &str, working: &str, changes: &[Verdict]) -> Option<String> {
        let changes: Vec<Change> = changes.iter().copied().map(change).collect();
        complaint(&frozen.parse().unwrap(), &working.parse().unwrap(), &changes)
    }

    #[test]
    fn a_break_needs_another_track() {
        for (frozen, working, next) in
            [("0.1.0", "0.1.0", "0.2.0"), ("0.1.0", "0.1.7", "0.2.0"), ("1.2.0", "1.3.0", "2.0.0")]
        {
            let told = said(frozen, working, &[Verdict::Adds, Verdict::Breaks]).unwrap();
            assert!(told.contains("1 changes break it") && told.contains(next), "{told}");
            assert!(!told.contains("give-up"), "what is released is not given up: {told}");
        }
        assert_eq!(said("0.1.0", "0.2.0", &[Verdict::Breaks]), None);
        assert_eq!(said("1.2.0", "2.0.0", &[Verdict::Breaks]), None);
        let draft = said("0.1.0-draft.1", "0.1.0", &[Verdict::Breaks]).unwrap();
        assert!(draft.contains("--give-up 0.1.0-draft.1"), "{draft}");
    }

    #[test]
    fn an_addition_to_a_release_needs_another_version_and_to_a_draft_none() {
        let told = said("0.1.0", "0.1.0", &[Verdict::Adds]).unwrap();
        assert!(told.contains("0.1.1"), "{told}");
        assert_eq!(said("0.1.0", "0.1.1", &[Verdict::Adds]), None);
        assert_eq!(said("0.1.0-draft.1", "0.1.0", &[Verdict::Adds]), None);
        assert_eq!(said("0.1.0", "0.1.0", &[]), None);
        assert!(said("0.2.0", "0.1.0", &[]).is_some(), "a contract does not go back");
    }

    #[test]
    fn drafts_are_counted_and_a_release_is_made_once() {
        let of = |copies: &[&str], order: &Order| {
            let frozen = |name: &&str| Frozen { version: name.parse().unwrap(), folder: PathBuf::new() };
            let copies: Vec<Frozen> = copies.iter().map(frozen).collect();
            version_of(&Version::new(0, 1, 0), &copies, order).map(|version| version.to_string())
        };
        let (draft, release) = (Order::default(), Order { release: true, give_up: Vec::new() });
        assert_eq!(of(&[], &draft).unwrap(), "0.1.0-draft.1");
        assert_eq!(of(&["0.1.0-draft.1", "0.1.0-draft.10"], &draft).unwrap(), "0.1.0-draft.11");
        assert_eq!(of(&["0.1.0-draft.1"], &release).unwrap(), "0.1.0");
        assert!(of(&["0.1.0"], &draft).is_err() && of(&["0.1.0"], &release).is_err());
        let given_up = |name: &str| Order { release: false, give_up: vec![name.parse().unwrap()] };
        assert_eq!(of(&["0.1.0-draft.1"], &given_up("0.1.0-draft.1")).unwrap(), "0.1.0-draft.2");
        assert!(of(&["0.0.1"], &given_up("0.0.1")).is_err(), "what is released stays");
        assert!(of(&[], &given_up("0.1.0-draft.1")).is_err());
    }

    #[test]
    fn the_working_contract_keeps_what_is_frozen() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let judged = judge_all(&root).unwrap();
        assert!(!judged.is_empty(), "nothing is frozen");
        for Judged { frozen, changes, complaint } in judged {
            let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
            assert_eq!(complaint, None, "{frozen}: {told:#?}");
        }
    }

    #[test]
    fn every_frozen_copy_has_a_guest_and_a_case_for_every_world() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for copy in copies(&root).unwrap() {
            let contract = Contract::read(&copy.folder).unwrap();
            for world in contract.surface().worlds.keys() {
                for extension in ["wasm", "json"] {
                    let file = copy.folder.join("guests").join(world).with_extension(extension);
                    assert!(file.is_file(), "{} is missing", file.display());
                }
            }
        }
    }
}
