//! Versions of the contract: which of them live here, and the one place where a component's own version chooses the
//! binding that serves it.
//!
//! A *track* is what semantic versioning calls compatible: 0.1 holds 0.1.0, 0.1.1 and so on, since additions do not
//! touch what a component was built with. Each track is one module that converts between its types and the domain's.
//! Refuses to know what may be decided, imported or spent: authority is judged below all tracks, so no old track can
//! keep a door open that the newest has closed. Invariant: the version that a component was built for, and nothing
//! else, selects its track; a version of no living track is refused with the versions that live.
//!
//! One track lives today, so nothing is converted from one version of the contract to another yet: 0.1 is converted to
//! the domain's types and back, and the next track will stand beside it and do the same with its own. The patterns on
//! [`Linked`] in the calls are irrefutable while there is one: a second makes each of them an error of the compiler.

use altyn_domain::plugin::{Descriptor, World};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use crate::state::State;
use crate::v0_1;

/// The contract's package.
pub(crate) const PACKAGE: &str = "altyn:billing";

/// A track of the contract that this host speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Track {
    V0_1,
}

/// Who may import an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Import {
    AllWorlds,
    Gateway,
}

/// Why a component did not say who it is.
pub(crate) enum Undescribed {
    /// It did not start, or its exports have other types than its world.
    Instance(wasmtime::Error),
    /// It started and failed.
    Answer(wasmtime::Error),
}

impl Track {
    /// Those that live, the oldest first.
    pub(crate) const LIVING: &[Self] = &[Self::V0_1];

    /// The track that serves a version. Drafts that say so in their version (`0.2.0-draft.1`) have none.
    pub(crate) fn serving(version: &str) -> Option<Self> {
        let version = semver::Version::parse(version).ok().filter(|version| version.pre.is_empty())?;
        Self::LIVING.iter().copied().find(|track| track.numbers() == (version.major, version.minor))
    }

    fn numbers(self) -> (u64, u64) {
        match self {
            Self::V0_1 => (0, 1),
        }
    }

    /// Who may import an interface; None when it is not there, or is not for importing.
    pub(crate) fn import(self, interface: &str) -> Option<Import> {
        match self {
            Self::V0_1 => v0_1::import(interface),
        }
    }

    /// The world whose decision an interface is, and its name.
    pub(crate) fn decision(self, interface: &str) -> Option<(World, &'static str)> {
        match self {
            Self::V0_1 => v0_1::decision(interface),
        }
    }

    /// Links a component of this track for its world.
    pub(crate) fn link(self, linker: &Linker<State>, component: &Component, world: World) -> wasmtime::Result<Linked> {
        match self {
            Self::V0_1 => v0_1::Linked::new(linker, component, world).map(Linked::V0_1),
        }
    }
}

/// The living tracks, for people: `0.1`.
pub(crate) fn living() -> String {
    let name = |track: &Track| {
        let (major, minor) = track.numbers();
        format!("{major}.{minor}")
    };
    Track::LIVING.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Gives guests of every living track what they import.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    Track::LIVING.iter().try_for_each(|track| match track {
        Track::V0_1 => v0_1::add_to_linker(linker),
    })
}

/// A component, linked by the track that serves it.
pub(crate) enum Linked {
    V0_1(v0_1::Linked),
}

impl Linked {
    /// Instantiates the component and asks it who it is.
    pub(crate) fn describe(&self, store: &mut Store<State>) -> Result<Descriptor, Undescribed> {
        match self {
            Self::V0_1(linked) => linked.describe(store),
        }
    }
}

#[cfg(test)]
#[path = "contract_frozen_tests.rs"]
mod frozen_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_served_by_its_track_and_by_no_other() {
        for version in ["0.1.0", "0.1.9"] {
            assert_eq!(Track::serving(version), Some(Track::V0_1), "{version}");
        }
        for version in ["", "0.1", "0.0.9", "0.2.0", "1.1.0", "0.1.0-draft.1", "0.1.0-rc.1"] {
            assert_eq!(Track::serving(version), None, "{version}");
        }
    }

    #[test]
    fn every_living_track_is_named_and_serves_its_first_version() {
        for (track, name) in Track::LIVING.iter().zip(living().split(", ")) {
            assert_eq!(Track::serving(&format!("{name}.0")), Some(*track));
        }
        assert_eq!(living().split(", ").count(), Track::LIVING.len());
    }
}
