//! The guests of `plugins/` and the examples in Rust, built into `target/plugins/`.

use std::path::{Path, PathBuf};

use altyn_toolchain::Guests;

/// The workspaces of what is built into components.
pub const WORKSPACES: [&str; 2] = ["plugins", "examples/plugins"];

/// Builds every guest of [`WORKSPACES`] and returns the components, `target/plugins/<package>.wasm`.
pub fn build_guests(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let target = root.join("target");
    let mut built = Vec::new();
    for workspace in WORKSPACES {
        let guests = Guests {
            folder: &root.join(workspace),
            target: &target.join("guests"),
            tools: &target.join("wasm-toolchain"),
            out: &target.join("plugins"),
            locked: true,
        };
        built.extend(guests.build()?);
    }
    Ok(built)
}
