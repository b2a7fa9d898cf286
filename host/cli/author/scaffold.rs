//! The files of a new project. Everything comes with the program, so that a project is made without a network and fits
//! the contract of the host that made it.

use std::{fs, path::Path};

use altyn_runtime::World;
use serde::Serialize;

use super::{Language, PROJECT, Project};
use crate::cli::exit::Failure;

/// The contract.
const WIT: &[(&str, &str)] = &[
    ("wit/types.wit", include_str!("../../../wit/types.wit")),
    ("wit/log.wit", include_str!("../../../wit/log.wit")),
    ("wit/metadata.wit", include_str!("../../../wit/metadata.wit")),
    ("wit/proration.wit", include_str!("../../../wit/proration.wit")),
    ("wit/tax.wit", include_str!("../../../wit/tax.wit")),
    ("wit/numbering.wit", include_str!("../../../wit/numbering.wit")),
    ("wit/exchange.wit", include_str!("../../../wit/exchange.wit")),
    ("wit/gateway.wit", include_str!("../../../wit/gateway.wit")),
    ("wit/vault.wit", include_str!("../../../wit/vault.wit")),
    ("wit/worlds.wit", include_str!("../../../wit/worlds.wit")),
];

/// The crate that plugins in Rust are written with.
const SDK: &[(&str, &str)] = &[
    ("vendor/altyn-plugin/src/allocator.rs", include_str!("../../../plugins/sdk/src/allocator.rs")),
    ("vendor/altyn-plugin/src/bindings.rs", include_str!("../../../plugins/sdk/src/bindings.rs")),
    ("vendor/altyn-plugin/src/config.rs", include_str!("../../../plugins/sdk/src/config.rs")),
    ("vendor/altyn-plugin/src/days.rs", include_str!("../../../plugins/sdk/src/days.rs")),
    ("vendor/altyn-plugin/src/lib.rs", include_str!("../../../plugins/sdk/src/lib.rs")),
    ("vendor/altyn-plugin/src/money.rs", include_str!("../../../plugins/sdk/src/money.rs")),
    ("vendor/altyn-plugin/src/notes.rs", include_str!("../../../plugins/sdk/src/notes.rs")),
    ("vendor/altyn-plugin/src/numbering_world.rs", include_str!("../../../plugins/sdk/src/numbering_world.rs")),
    ("vendor/altyn-plugin/src/proration_world.rs", include_str!("../../../plugins/sdk/src/proration_world.rs")),
    ("vendor/altyn-plugin/src/encoding.rs", include_str!("../../../plugins/sdk/src/encoding.rs")),
    ("vendor/altyn-plugin/src/gateway_world.rs", include_str!("../../../plugins/sdk/src/gateway_world.rs")),
    ("vendor/altyn-plugin/src/testing.rs", include_str!("../../../plugins/sdk/src/testing.rs")),
    ("vendor/altyn-plugin/src/vault.rs", include_str!("../../../plugins/sdk/src/vault.rs")),
    ("vendor/altyn-plugin/src/tax_world.rs", include_str!("../../../plugins/sdk/src/tax_world.rs")),
];

/// Its manifest, which in the project's own workspace inherits what stands here.
const SDK_MANIFEST: &str = r#"[package]
name = "altyn-plugin"
description = "Write an Altyn billing plugin: one trait and one macro per world of the contract."
version = "0.1.0"
edition = "2024"
license = "Apache-2.0"
publish = false

[dependencies]
rust_decimal = { version = "1", default-features = false }
serde = { version = "1", default-features = false, features = ["alloc", "derive"] }
serde_json = { version = "1", default-features = false, features = ["alloc"] }
wit-bindgen = { version = "=0.61.1", default-features = false, features = ["macros", "realloc"] }

# Digests for tests of gateways; a component asks its host for them.
[target.'cfg(not(target_arch = "wasm32"))'.dependencies]
base64 = "0.22"
hmac = "0.13"
md-5 = "0.11"
ripemd = "0.2"
sha1 = "0.11"
sha2 = "0.11"

[features]
default = ["call-arena"]
call-arena = []
"#;

/// What plugins in C are written with: helpers, and what they need of a standard library.
const C_VENDOR: &[(&str, &str)] = &[
    ("vendor/altyn/altyn.h", include_str!("../../../plugins/templates/c/vendor/altyn.h")),
    ("vendor/altyn/runtime.c", include_str!("../../../plugins/templates/c/vendor/runtime.c")),
    ("vendor/altyn/stdlib.h", include_str!("../../../plugins/templates/c/vendor/stdlib.h")),
    ("vendor/altyn/string.h", include_str!("../../../plugins/templates/c/vendor/string.h")),
];

/// Version of the npm package that makes components of JavaScript.
const COMPONENTIZE_QJS: &str = "0.4.5";
/// Version of the Python package that makes components of Python.
const COMPONENTIZE_PY: &str = "0.25.1";

/// A project that was made.
#[derive(Serialize)]
pub struct Made {
    plugin_id: String,
    world: World,
    language: &'static str,
    folder: String,
    files: usize,
}

/// Writes a project into a folder that is not there yet, or is empty.
pub fn write(folder: &Path, world: World, language: Language) -> Result<Made, Failure> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name)?;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format!("{} is not empty; name a new folder", folder.display())));
    }
    put(folder, name, world, language, &files(name, world, language))
}

/// Brings the contract and the helpers of this program into a project, in place of those that it has.
pub fn vendor(folder: &Path, project: &Project) -> Result<Made, Failure> {
    let mut files = vendored(project.world, project.language);
    let manifest = folder.join("Cargo.toml");
    if project.language == Language::Rust && manifest.exists() {
        let unreadable = |error| Failure::failed(format!("cannot read {}: {error}", manifest.display()));
        let text = fs::read_to_string(&manifest).map_err(unreadable)?;
        files.push(("Cargo.toml".into(), with_vendored_crate(&text)));
    }
    put(folder, &project.name, project.world, project.language, &files)
}

/// A manifest whose dependency on the crate is the one that was brought, wherever it lay before.
fn with_vendored_crate(manifest: &str) -> String {
    let line = |line: &str| {
        let named = line.starts_with("altyn-plugin = {") && line.contains("path =");
        let line = if named { "altyn-plugin = { path = \"vendor/altyn-plugin\" }" } else { line };
        format!("{line}\n")
    };
    manifest.lines().map(line).collect()
}

fn put(
    folder: &Path,
    name: &str,
    world: World,
    language: Language,
    files: &[(String, String)],
) -> Result<Made, Failure> {
    for (path, text) in files {
        let file = folder.join(path);
        let made = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, text));
        made.map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
    }
    let folder = folder.display().to_string();
    Ok(Made { plugin_id: name.into(), world, language: language.name(), folder, files: files.len() })
}

/// A plugin's id: what its description must say, too.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let plain = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if plain && name.len() <= 64 && name.starts_with(|first: char| first.is_ascii_lowercase()) && !name.ends_with('-') {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "\"{name}\" is no name of a plugin; use 1 to 64 characters a-z, 0-9 and -, beginning with a letter"
    )))
}

fn files(name: &str, world: World, language: Language) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = vec![
        (PROJECT.into(), format!("name = \"{name}\"\nworld = \"{world}\"\nlanguage = \"{}\"\n", language.name())),
        (".gitignore".into(), "/dist\n/target\n/node_modules\n/.venv\n__pycache__\n".into()),
        ("README.md".into(), readme(name, world, language)),
    ];
    files.extend(cases(world).iter().map(|(name, text)| (format!("cases/{name}"), (*text).into())));
    files.extend(vendored(world, language));
    let named = |text: &str| text.replace("{{name}}", name);
    match language {
        Language::Rust => {
            files.push(("Cargo.toml".into(), named(include_str!("../../../plugins/templates/rust/Cargo.toml.txt"))));
            let own = source(world, language).replace("\"counter-bank\"", "\"{{name}}\"");
            files.push(("src/lib.rs".into(), named(&own)));
        }
        Language::C => files.push(("plugin.c".into(), named(source(world, language)))),
        Language::Javascript => {
            let package = include_str!("../../../plugins/templates/javascript/package.json.txt");
            files.push(("package.json".into(), named(package).replace("{{qjs}}", COMPONENTIZE_QJS)));
            files.push(("plugin.js".into(), named(source(world, language))));
        }
        Language::Python => {
            files.push(("requirements.txt".into(), format!("componentize-py=={COMPONENTIZE_PY}\n")));
            files.push(("plugin.py".into(), named(source(world, language))));
        }
    }
    files
}

/// What a project has from this program and does not change: the contract, and the helpers of its language.
fn vendored(world: World, language: Language) -> Vec<(String, String)> {
    let mut files: Vec<(&str, &str)> = WIT.to_vec();
    match language {
        Language::Rust => {
            files.push(("vendor/altyn-plugin/Cargo.toml", SDK_MANIFEST));
            files.extend(SDK);
        }
        Language::C => {
            files.extend(C_VENDOR);
            files.extend(c_bindings(world));
        }
        Language::Javascript | Language::Python => {}
    }
    files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
}

/// The contract in C, made by `cargo xtask contract bindings`.
fn c_bindings(world: World) -> &'static [(&'static str, &'static str)] {
    match world {
        World::ProrationStrategy => &[
            (
                "bindings/proration_strategy.h",
                include_str!("../../../plugins/templates/c/bindings/proration_strategy.h"),
            ),
            (
                "bindings/proration_strategy.c",
                include_str!("../../../plugins/templates/c/bindings/proration_strategy.c"),
            ),
        ],
        World::TaxRule => &[
            ("bindings/tax_rule.h", include_str!("../../../plugins/templates/c/bindings/tax_rule.h")),
            ("bindings/tax_rule.c", include_str!("../../../plugins/templates/c/bindings/tax_rule.c")),
        ],
        World::NumberingScheme => &[
            ("bindings/numbering_scheme.h", include_str!("../../../plugins/templates/c/bindings/numbering_scheme.h")),
            ("bindings/numbering_scheme.c", include_str!("../../../plugins/templates/c/bindings/numbering_scheme.c")),
        ],
        World::PaymentGateway => &[
            ("bindings/payment_gateway.h", include_str!("../../../plugins/templates/c/bindings/payment_gateway.h")),
            ("bindings/payment_gateway.c", include_str!("../../../plugins/templates/c/bindings/payment_gateway.c")),
        ],
    }
}

fn source(world: World, language: Language) -> &'static str {
    match (language, world) {
        (Language::C, World::ProrationStrategy) => include_str!("../../../plugins/templates/c/proration-strategy.c"),
        (Language::C, World::TaxRule) => include_str!("../../../plugins/templates/c/tax-rule.c"),
        (Language::C, World::NumberingScheme) => include_str!("../../../plugins/templates/c/numbering-scheme.c"),
        (Language::Rust, World::ProrationStrategy) => {
            include_str!("../../../plugins/templates/rust/proration-strategy.rs")
        }
        (Language::Rust, World::TaxRule) => include_str!("../../../plugins/templates/rust/tax-rule.rs"),
        (Language::Rust, World::NumberingScheme) => include_str!("../../../plugins/templates/rust/numbering-scheme.rs"),
        // The same bank in every language: requests, answers, digests, notifications. In Rust it is an example, too.
        (Language::Rust, World::PaymentGateway) => {
            let whole = include_str!("../../../examples/plugins/counter-bank/src/lib.rs");
            whole.split("\n#[cfg(test)]").next().unwrap_or(whole)
        }
        (Language::C, World::PaymentGateway) => include_str!("../../../plugins/templates/c/payment-gateway.c"),
        (Language::Javascript, World::PaymentGateway) => {
            include_str!("../../../plugins/templates/javascript/payment-gateway.js")
        }
        (Language::Python, World::PaymentGateway) => {
            include_str!("../../../plugins/templates/python/payment_gateway.py")
        }
        (Language::Javascript, World::ProrationStrategy) => {
            include_str!("../../../plugins/templates/javascript/proration-strategy.js")
        }
        (Language::Javascript, World::TaxRule) => include_str!("../../../plugins/templates/javascript/tax-rule.js"),
        (Language::Javascript, World::NumberingScheme) => {
            include_str!("../../../plugins/templates/javascript/numbering-scheme.js")
        }
        (Language::Python, World::ProrationStrategy) => {
            include_str!("../../../plugins/templates/python/proration_strategy.py")
        }
        (Language::Python, World::TaxRule) => include_str!("../../../plugins/templates/python/tax_rule.py"),
        (Language::Python, World::NumberingScheme) => {
            include_str!("../../../plugins/templates/python/numbering_scheme.py")
        }
    }
}

/// The cases of a template, by their names.
fn cases(world: World) -> &'static [(&'static str, &'static str)] {
    match world {
        World::ProrationStrategy => {
            &[("first.json", include_str!("../../../plugins/templates/cases/proration-strategy.json"))]
        }
        World::TaxRule => &[("first.json", include_str!("../../../plugins/templates/cases/tax-rule.json"))],
        World::NumberingScheme => {
            &[("first.json", include_str!("../../../plugins/templates/cases/numbering-scheme.json"))]
        }
        World::PaymentGateway => BANK_CASES,
    }
}

/// What the bank of the templates is asked: the same of every language.
const BANK_CASES: &[(&str, &str)] = &[
    ("declined.json", include_str!("../../../examples/plugins/counter-bank/cases/declined.json")),
    ("forged-notification.json", include_str!("../../../examples/plugins/counter-bank/cases/forged-notification.json")),
    (
        "held-payments-are-not-served.json",
        include_str!("../../../examples/plugins/counter-bank/cases/held-payments-are-not-served.json"),
    ),
    ("missing-secret.json", include_str!("../../../examples/plugins/counter-bank/cases/missing-secret.json")),
    ("notification.json", include_str!("../../../examples/plugins/counter-bank/cases/notification.json")),
    ("pay.json", include_str!("../../../examples/plugins/counter-bank/cases/pay.json")),
];

fn readme(name: &str, world: World, language: Language) -> String {
    let (file, needs) = match language {
        Language::Rust => ("src/lib.rs", "a Rust toolchain"),
        Language::Javascript => ("plugin.js", "Node.js 20 or newer with npm"),
        Language::Python => ("plugin.py", "Python 3.10 or newer with venv"),
        Language::C => ("plugin.c", "clang with lld, or Python 3 with venv and pip, which bring zig"),
    };
    let grant = match world {
        World::PaymentGateway => format!(
            "altyn plugin grant {name} --host api.counter-bank.example --secret api-key --secret notification-key\n"
        ),
        World::ProrationStrategy | World::TaxRule | World::NumberingScheme => String::new(),
    };
    format!(
        "# {name}\n\nA `{world}` plugin of Altyn. The contract is in `wit/`, the decision in `{file}`. Building needs {needs}.\n\n\
         ```sh\naltyn plugin build     # makes dist/{name}.wasm\n\
         altyn plugin test      # the host's conformance kit, and every file of cases/\n\
         altyn plugin install dist/{name}.wasm\n\
         {grant}altyn plugin bind {name} --from 2026-12-01\n```\n\n\
         A case is a question with the answer expected to it. The evidence of a call that decided something in\n\
         production has the same form, so it can be kept as a case word by word.\n"
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    fn names(folder: PathBuf, extension: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(extension))
            .collect();
        names.sort();
        names
    }

    fn carried(files: &[(&str, &str)]) -> Vec<String> {
        let mut names: Vec<String> =
            files.iter().filter_map(|(path, _)| path.rsplit('/').next()).map(str::to_owned).collect();
        names.sort();
        names
    }

    #[test]
    fn a_project_carries_the_whole_contract_and_the_whole_crate() {
        assert_eq!(carried(WIT), names(root().join("wit"), ".wit"));
        assert_eq!(carried(SDK), names(root().join("plugins/sdk/src"), ".rs"));
        assert_eq!(carried(C_VENDOR), names(root().join("plugins/templates/c/vendor"), ""));
    }

    #[test]
    fn the_crate_of_a_project_has_the_dependencies_of_ours() {
        let ours = ["plugins/Cargo.toml", "plugins/sdk/Cargo.toml"].map(|file| fs::read_to_string(root().join(file)));
        let ours = ours.map(Result::unwrap).join("\n");
        for line in SDK_MANIFEST.split("[dependencies]\n").nth(1).unwrap().lines() {
            assert!(ours.contains(line), "the crate's own manifest has no line {line}");
        }
    }

    #[test]
    fn a_manifest_takes_the_crate_that_was_brought() {
        let manifest = "[dependencies]\naltyn-plugin = { path = \"../../plugins/sdk\" }\nserde = \"1\"\n";
        let brought = "[dependencies]\naltyn-plugin = { path = \"vendor/altyn-plugin\" }\nserde = \"1\"\n";
        assert_eq!(with_vendored_crate(manifest), brought);
        assert_eq!(with_vendored_crate(brought), brought);
    }

    #[test]
    fn a_name_is_an_id() {
        for good in ["a", "my-tax", "tax2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "2a", "My", "a b", "я", "a/b", &"a".repeat(65)] {
            assert_eq!(check_name(bad).unwrap_err().exit, crate::cli::exit::Exit::Usage, "{bad}");
        }
    }
}
