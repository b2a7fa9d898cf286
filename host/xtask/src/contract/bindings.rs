//! The contract in C, as `altyn plugin new --lang c` carries it: headers and sources that `wit-bindgen-c` makes.

use std::path::Path;

use anyhow::Context as _;
use wit_bindgen_core::Files;

use super::surface::Contract;

/// Where they stand in the repository.
pub const FOLDER: &str = "plugins/templates/c/bindings";
const LINKED_TYPE: &str = "// Ensure that the *_component_type.o object is linked in";
/// The worlds that plugins are written for in C.
const WORLDS: [&str; 4] = ["proration-strategy", "tax-rule", "numbering-scheme", "payment-gateway"];

/// Names and texts of all files.
pub fn write(contract: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for world in WORLDS {
        let Contract { mut resolve, package } = Contract::read(contract)?;
        let id = resolve.select_world(&[package], Some(world))?;
        let mut files = Files::default();
        let options = wit_bindgen_c::Opts { no_object_file: true, ..wit_bindgen_c::Opts::default() };
        options.build().generate(&mut resolve, id, &mut files).with_context(|| format!("no bindings of {world}"))?;
        for (name, bytes) in files.iter() {
            let text = String::from_utf8(bytes.to_vec())?;
            // What follows pulls in an object with the type of the component; here the type is embedded afterwards, see
            // `altyn_toolchain`.
            let kept = text.split(LINKED_TYPE).next().unwrap_or(&text);
            all.push((name.to_owned(), format!("{}\n", kept.trim_end())));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bindings_in_c_are_those_of_the_contract() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let fresh = write(&root.join("wit")).unwrap();
        assert_eq!(fresh.len(), 2 * WORLDS.len());
        for (name, text) in fresh {
            let kept = std::fs::read_to_string(root.join(FOLDER).join(&name)).unwrap_or_default();
            assert!(kept == text, "{FOLDER}/{name} is not that of the contract; run: cargo xtask contract bindings");
        }
    }
}
