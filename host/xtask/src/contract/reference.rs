//! The reference of the contract for people, made of the comments in `wit/`.
//!
//! Adds no word of its own to what the comments say. Invariant: an item without a comment is an error, so the reference
//! has no gaps, and it is the same on every machine.

use std::{fmt::Write as _, path::Path};

use anyhow::ensure;
use wit_parser::{Docs, Function, InterfaceId, Type, TypeDefKind, TypeId, TypeOwner, WorldId, WorldItem, WorldKey};

use super::surface::Contract;

/// Where it stands in the repository.
pub const FILE: &str = "wit/reference.md";

/// The reference of the contract in a folder.
pub fn write(folder: &Path) -> anyhow::Result<String> {
    let contract = Contract::read(folder)?;
    let mut page = Page { contract: &contract, text: String::new() };
    page.all()?;
    Ok(page.text)
}

struct Page<'a> {
    contract: &'a Contract,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        self.line(text.trim_end());
        self.line("");
    }

    fn all(&mut self) -> anyhow::Result<()> {
        let package = &self.contract.resolve.packages[self.contract.package];
        self.paragraph(&format!("# Reference of `{}`", package.name));
        self.paragraph(
            "Made of the comments in the `.wit` files beside it by `cargo xtask contract reference`; change those, not this.\n\
             Conventions, versions and the limits of calls are in [README.md](README.md).",
        );
        let interfaces: Vec<&str> = package.interfaces.keys().map(String::as_str).collect();
        let links = interfaces.iter().map(|name| format!("[`{name}`](#interface-{name})")).collect::<Vec<_>>();
        let worlds: Vec<String> = package.worlds.keys().map(|name| format!("[`{name}`](#world-{name})")).collect();
        self.paragraph(&format!("Worlds: {}.\nInterfaces: {}.", worlds.join(", "), links.join(", ")));
        for (name, world) in &package.worlds {
            self.world(name, *world)?;
        }
        for (name, interface) in &package.interfaces {
            self.interface(name, *interface)?;
        }
        let trimmed = self.text.trim_end().len();
        self.text.truncate(trimmed);
        self.line("");
        Ok(())
    }

    fn world(&mut self, name: &str, id: WorldId) -> anyhow::Result<()> {
        let world = &self.contract.resolve.worlds[id];
        self.paragraph(&format!("## World `{name}`"));
        self.paragraph(&docs(&world.docs, || format!("world {name}"))?);
        self.line("| a plugin | interface |");
        self.line("|---|---|");
        for (side, items) in [("imports", &world.imports), ("exports", &world.exports)] {
            for (key, item) in items {
                let item = self.world_item(key, item);
                self.line(&format!("| {side} | {item} |"));
            }
        }
        self.line("");
        Ok(())
    }

    fn world_item(&self, key: &WorldKey, item: &WorldItem) -> String {
        let resolve = &self.contract.resolve;
        match item {
            WorldItem::Interface { id, .. } => match &resolve.interfaces[*id].name {
                Some(name) => format!("[`{name}`](#interface-{name})"),
                None => format!("`{}`", resolve.name_world_key(key)),
            },
            _ => format!("`{}`", resolve.name_world_key(key)),
        }
    }

    fn interface(&mut self, name: &str, id: InterfaceId) -> anyhow::Result<()> {
        let contract = self.contract;
        let interface = &contract.resolve.interfaces[id];
        self.paragraph(&format!("## Interface `{name}`"));
        self.paragraph(&docs(&interface.docs, || format!("interface {name}"))?);
        let taken: Vec<String> = interface.types.values().filter_map(|ty| self.origin(*ty)).collect();
        if !taken.is_empty() {
            self.paragraph(&format!("Takes {}.", taken.join(", ")));
        }
        for (function, it) in &interface.functions {
            self.function(name, function, it)?;
        }
        for (ty, id) in &interface.types {
            if self.origin(*id).is_none() {
                self.definition(name, ty, *id)?;
            }
        }
        Ok(())
    }

    /// `types.money` for a type that another interface defines.
    fn origin(&self, id: TypeId) -> Option<String> {
        let resolve = &self.contract.resolve;
        let TypeDefKind::Type(Type::Id(of)) = &resolve.types[id].kind else { return None };
        let (TypeOwner::Interface(here), TypeOwner::Interface(there)) =
            (resolve.types[id].owner, resolve.types[*of].owner)
        else {
            return None;
        };
        let (interface, name) = (resolve.interfaces[there].name.as_ref()?, resolve.types[*of].name.as_ref()?);
        (here != there).then(|| format!("`{interface}.{name}`"))
    }

    fn function(&mut self, interface: &str, name: &str, function: &Function) -> anyhow::Result<()> {
        let parameters: Vec<String> =
            function.params.iter().map(|param| format!("{}: {}", param.name, self.named(&param.ty))).collect();
        let result = function.result.as_ref().map(|ty| format!(" -> {}", self.named(ty))).unwrap_or_default();
        self.paragraph(&format!("### Function `{interface}.{name}`"));
        self.paragraph(&format!("```wit\n{name}: func({}){result}\n```", parameters.join(", ")));
        self.paragraph(&docs(&function.docs, || format!("{interface}.{name}"))?);
        Ok(())
    }

    fn definition(&mut self, interface: &str, name: &str, id: TypeId) -> anyhow::Result<()> {
        let contract = self.contract;
        let definition = &contract.resolve.types[id];
        let at = format!("{interface}.{name}");
        let (kind, head, rows): (_, _, Vec<(String, String, &Docs)>) = match &definition.kind {
            TypeDefKind::Record(record) => (
                "Record",
                ["field", "type"],
                record.fields.iter().map(|field| (field.name.clone(), self.named(&field.ty), &field.docs)).collect(),
            ),
            TypeDefKind::Variant(variant) => (
                "Variant",
                ["case", "value"],
                variant
                    .cases
                    .iter()
                    .map(|case| {
                        let value = case.ty.as_ref().map(|ty| self.named(ty)).unwrap_or_default();
                        (case.name.clone(), value, &case.docs)
                    })
                    .collect(),
            ),
            TypeDefKind::Enum(cases) => (
                "Enum",
                ["case", ""],
                cases.cases.iter().map(|case| (case.name.clone(), String::new(), &case.docs)).collect(),
            ),
            TypeDefKind::Flags(flags) => (
                "Flags",
                ["flag", ""],
                flags.flags.iter().map(|flag| (flag.name.clone(), String::new(), &flag.docs)).collect(),
            ),
            _ => ("Type", ["", ""], Vec::new()),
        };
        self.paragraph(&format!("### {kind} `{at}`"));
        if rows.is_empty() {
            self.paragraph(&format!("```wit\ntype {name} = {}\n```", self.meaning(id)));
        }
        self.paragraph(&docs(&definition.docs, || at.clone())?);
        if rows.is_empty() {
            return Ok(());
        }
        // A column that says nothing is left out.
        let wide = rows.iter().any(|(_, ty, _)| !ty.is_empty());
        let second = if wide { format!(" {} |", head[1]) } else { String::new() };
        self.line(&format!("| {} |{second} meaning |", head[0]));
        self.line(if wide { "|---|---|---|" } else { "|---|---|" });
        for (part, ty, about) in rows {
            let about = docs(about, || format!("{at}.{part}"))?.replace('\n', " ").replace('|', "\\|");
            let mut row = format!("| `{part}` |");
            if wide {
                let ty = if ty.is_empty() { String::new() } else { format!("`{ty}`") };
                // Writing to a string cannot fail.
                let _ = write!(row, " {ty} |");
            }
            self.line(&format!("{row} {about} |"));
        }
        self.line("");
        Ok(())
    }

    /// A type by the name that the contract uses.
    fn named(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else { return self.contract.shown(ty) };
        match &self.contract.resolve.types[*id].name {
            Some(name) => name.clone(),
            None => self.meaning(*id),
        }
    }

    fn meaning(&self, id: TypeId) -> String {
        let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| self.named(ty));
        match &self.contract.resolve.types[id].kind {
            TypeDefKind::List(ty) => format!("list<{}>", self.named(ty)),
            TypeDefKind::Option(ty) => format!("option<{}>", self.named(ty)),
            TypeDefKind::Result(result) => format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err)),
            TypeDefKind::Type(ty) => self.named(ty),
            _ => self.contract.shown(&Type::Id(id)),
        }
    }
}

fn docs(docs: &Docs, at: impl Fn() -> String) -> anyhow::Result<String> {
    let text = docs.contents.as_deref().unwrap_or_default().trim();
    ensure!(!text.is_empty(), "{} has no comment in the contract", at());
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_that_of_the_contract() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let fresh = write(&root.join("wit")).unwrap();
        let kept = std::fs::read_to_string(root.join(FILE)).unwrap();
        assert!(kept == fresh, "{FILE} is not that of the contract; run: cargo xtask contract reference");
    }

    #[test]
    fn every_item_stands_in_it_and_a_silent_one_is_refused() {
        let folder = std::env::temp_dir().join(format!("altyn-reference-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let text = "package a:b@0.1.0;\n/// Notes.\ninterface log {\n/// How.\nenum level {\n/// Low | quiet.\nlow }\n/// Emits.\nemit: func(level: level); }\n/// Plugins.\nworld w { import log; }";
        std::fs::write(folder.join("a.wit"), text).unwrap();
        let page = write(&folder).unwrap();
        for part in
            ["## World `w`", "| imports | [`log`](#interface-log) |", "emit: func(level: level)", "Low \\| quiet."]
        {
            assert!(page.contains(part), "{part} in {page}");
        }
        std::fs::write(folder.join("a.wit"), text.replace("/// Emits.\n", "")).unwrap();
        let told = write(&folder).unwrap_err().to_string();
        assert!(told.contains("log.emit has no comment"), "{told}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
