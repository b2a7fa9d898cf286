//! The guests of `plugins/`, built into `target/plugins/`.

use std::path::{Path, PathBuf};

use altyn_toolchain::Guests;

/// Builds every guest of `plugins/` and returns the components, `target/plugins/<package>.wasm`, sorted by name.
pub fn build_guests(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let target = root.join("target");
    let guests = Guests {
        folder: &root.join("plugins"),
        target: &target.join("guests"),
        tools: &target.join("wasm-toolchain"),
        out: &target.join("plugins"),
        locked: true,
    };
    guests.build()
}
