//! What a component can see of a contract: names, order and types, without the words about them.
//!
//! Two contracts with equal surfaces take the same components. Refuses to know versions: whether a difference may be
//! made is said in [`super::compare`] and [`super::frozen`]. Invariant: an alias is what it stands for, so naming a
//! `string` changes nothing, and a `use` is the type that it takes.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, ensure};
use semver::Version;
use wit_parser::{
    Function, Handle, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem, WorldKey,
};

/// A contract as it was read.
pub struct Contract {
    /// Everything that was parsed.
    pub resolve: Resolve,
    /// The package of the contract.
    pub package: PackageId,
}

impl Contract {
    /// Reads the `.wit` files of a folder.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut resolve = Resolve::default();
        let (package, _) =
            resolve.push_dir(folder).with_context(|| format!("{} does not read as a contract", folder.display()))?;
        let contract = Self { resolve, package };
        ensure!(contract.version().is_some(), "the package of {} has no version", folder.display());
        Ok(contract)
    }

    /// Reads one text.
    #[cfg(test)]
    pub fn parse(text: &str) -> Self {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("contract.wit", text).unwrap();
        Self { resolve, package }
    }

    fn version(&self) -> Option<&Version> {
        self.resolve.packages[self.package].name.version.as_ref()
    }

    /// The version of the package.
    pub fn released_as(&self) -> Version {
        self.version().cloned().unwrap_or(Version::new(0, 0, 0))
    }

    /// What components see of it.
    pub fn surface(&self) -> Surface {
        let package = &self.resolve.packages[self.package];
        let interfaces = package.interfaces.iter().map(|(name, id)| (name.clone(), self.interface(*id)));
        let worlds = package.worlds.iter().map(|(name, id)| (name.clone(), self.world(*id)));
        Surface { interfaces: interfaces.collect(), worlds: worlds.collect() }
    }

    fn interface(&self, id: InterfaceId) -> Interface {
        let interface = &self.resolve.interfaces[id];
        let functions = interface.functions.iter().map(|(name, function)| (name.clone(), self.function(function)));
        let types = interface.types.iter().map(|(name, id)| (name.clone(), self.definition(*id)));
        Interface { functions: functions.collect(), types: types.collect() }
    }

    fn world(&self, id: wit_parser::WorldId) -> World {
        let world = &self.resolve.worlds[id];
        let side = |items: &wit_parser::IndexMap<WorldKey, WorldItem>| {
            items.iter().map(|(key, item)| self.item(key, item)).collect()
        };
        World { imports: side(&world.imports), exports: side(&world.exports) }
    }

    fn item(&self, key: &WorldKey, item: &WorldItem) -> (String, String) {
        match item {
            WorldItem::Interface { id, .. } => {
                let named = self.resolve.interfaces[*id].name.clone();
                let name = named.unwrap_or_else(|| self.resolve.name_world_key(key));
                (name.clone(), format!("interface {name}"))
            }
            WorldItem::Function(function) => (self.resolve.name_world_key(key), self.function(function)),
            WorldItem::Type { id, .. } => (self.resolve.name_world_key(key), self.definition(*id).text()),
        }
    }

    fn function(&self, function: &Function) -> String {
        let parameters = function.params.iter().map(|param| format!("{}: {}", param.name, self.shown(&param.ty)));
        let parameters = parameters.collect::<Vec<_>>().join(", ");
        let kind = if function.kind.is_async() { "async func" } else { "func" };
        let result = function.result.as_ref().map(|ty| format!(" -> {}", self.shown(ty))).unwrap_or_default();
        format!("{kind}({parameters}){result}")
    }

    fn definition(&self, id: TypeId) -> Definition {
        let part = |name: &str, ty: Option<&Type>| Part {
            name: name.to_owned(),
            ty: ty.map(|ty| self.shown(ty)).unwrap_or_default(),
        };
        let (kind, parts) = match &self.resolve.types[id].kind {
            TypeDefKind::Record(record) => {
                ("record", record.fields.iter().map(|field| part(&field.name, Some(&field.ty))).collect())
            }
            TypeDefKind::Variant(variant) => {
                ("variant", variant.cases.iter().map(|case| part(&case.name, case.ty.as_ref())).collect())
            }
            TypeDefKind::Enum(cases) => ("enum", cases.cases.iter().map(|case| part(&case.name, None)).collect()),
            TypeDefKind::Flags(flags) => ("flags", flags.flags.iter().map(|flag| part(&flag.name, None)).collect()),
            _ => ("type", vec![Part { name: String::new(), ty: self.structure(id) }]),
        };
        Definition { kind, parts }
    }

    /// A type as others refer to it.
    pub fn shown(&self, ty: &Type) -> String {
        match ty {
            Type::Id(id) => self.structure(*id),
            Type::Bool => "bool".to_owned(),
            Type::U8 => "u8".to_owned(),
            Type::U16 => "u16".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::U64 => "u64".to_owned(),
            Type::S8 => "s8".to_owned(),
            Type::S16 => "s16".to_owned(),
            Type::S32 => "s32".to_owned(),
            Type::S64 => "s64".to_owned(),
            Type::F32 => "f32".to_owned(),
            Type::F64 => "f64".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "string".to_owned(),
            Type::ErrorContext => "error-context".to_owned(),
        }
    }

    fn structure(&self, id: TypeId) -> String {
        let definition = &self.resolve.types[id];
        let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| self.shown(ty));
        match &definition.kind {
            TypeDefKind::Type(ty) => self.shown(ty),
            TypeDefKind::List(ty) => format!("list<{}>", self.shown(ty)),
            TypeDefKind::Option(ty) => format!("option<{}>", self.shown(ty)),
            TypeDefKind::Result(result) => format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err)),
            TypeDefKind::Tuple(tuple) => {
                format!("tuple<{}>", tuple.types.iter().map(|ty| self.shown(ty)).collect::<Vec<_>>().join(", "))
            }
            TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", self.structure(*id)),
            TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", self.structure(*id)),
            TypeDefKind::Record(_)
            | TypeDefKind::Variant(_)
            | TypeDefKind::Enum(_)
            | TypeDefKind::Flags(_)
            | TypeDefKind::Resource => self.full_name(id),
            // Kinds that the contract does not use are compared by their whole text.
            other => format!("{other:?}"),
        }
    }

    fn full_name(&self, id: TypeId) -> String {
        let definition = &self.resolve.types[id];
        let name = definition.name.as_deref().unwrap_or("unnamed");
        match definition.owner {
            TypeOwner::Interface(owner) => {
                format!("{}.{name}", self.resolve.interfaces[owner].name.as_deref().unwrap_or("unnamed"))
            }
            TypeOwner::World(_) | TypeOwner::None => name.to_owned(),
        }
    }
}

/// What components see of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    pub interfaces: BTreeMap<String, Interface>,
    pub worlds: BTreeMap<String, World>,
}

impl Surface {
    /// Whether a plugin provides the interface: then a function more is one that it does not have.
    pub fn is_provided_by_plugins(&self, interface: &str) -> bool {
        self.worlds.values().any(|world| world.exports.contains_key(interface))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub functions: BTreeMap<String, String>,
    pub types: BTreeMap<String, Definition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    pub imports: BTreeMap<String, String>,
    pub exports: BTreeMap<String, String>,
}

/// A named type; the order of its parts is part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub kind: &'static str,
    pub parts: Vec<Part>,
}

impl Definition {
    fn text(&self) -> String {
        let parts = self.parts.iter().map(|part| format!("{}: {}", part.name, part.ty));
        format!("{} {{ {} }}", self.kind, parts.collect::<Vec<_>>().join(", "))
    }
}

/// A field, a case or a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    /// Empty for a case without a value.
    pub ty: String,
}
