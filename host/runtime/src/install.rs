//! From bytes to a plugin: what is checked before any byte of a component runs for a tenant.
//!
//! Owns the reading of a component's imports and exports and the check of its descriptor. Refuses to know who may
//! install what. Invariant: a [`Plugin`] is a component of exactly one known world, asks for nothing that its world
//! does not give, was instantiated once with the limits of its world, and described itself soundly.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use altyn_domain::grant::{LoweredLimits, host_name, secret_name};
use altyn_domain::plugin::{Descriptor, World};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::call;
use crate::config::{Limits, LimitsTable};
use crate::contract::{self, Import, PACKAGE, Track, Undescribed};
use crate::digest::Digest;
use crate::engine::{Runtime, Shared};
use crate::failure::CallFailure;
use crate::guard;
use crate::meter::Purpose;
use crate::shape::{self, Build, Unsound};
use crate::state::State;

/// Longest schema of a configuration, bytes.
const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// Most secrets, and most hosts, that a gateway asks for.
const MAX_WISHES: usize = 16;

/// The component, linked for its world by the track of its version.
pub(crate) use crate::contract::Linked as Pre;

/// Why a file cannot be installed as a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// Too many bytes.
    #[error("the component has {size} bytes, at most {limit} are taken; strip it, or raise limits.component_bytes")]
    TooLarge {
        /// Its size, bytes.
        size: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// Made of what is not taken, or too much work for the compiler.
    #[error("the component is not taken: {0}")]
    Unsound(Unsound),
    /// Native code instead of WebAssembly.
    #[error("this is compiled native code; install the .wasm component it was made from")]
    Precompiled,
    /// A core module.
    #[error("this is a core WebAssembly module, not a component; link it with wasm-component-ld")]
    CoreModule,
    /// Not WebAssembly, or broken.
    #[error("this is not a WebAssembly component: {0}")]
    Malformed(String),
    /// It wants what no world gives.
    #[error("the component imports {interface}, which this host does not give to plugins: {advice}")]
    UnknownImport {
        /// The interface with its version.
        interface: String,
        /// What to do.
        advice: &'static str,
    },
    /// It offers what no world has.
    #[error("the component exports {0}, which is no part of {PACKAGE}@{living}; build it for one world of the contract", living = contract::living())]
    UnknownExport(String),
    /// It is made for another version of the contract.
    #[error("the component was built for {interface}; this host speaks {PACKAGE}@{living}: rebuild it with a contract of that version", living = contract::living())]
    UnsupportedVersion {
        /// The interface with its version.
        interface: String,
    },
    /// It exports no decision.
    #[error("the component exports none of proration, tax, numbering and gateway of {PACKAGE}; build it for one world")]
    NoWorld,
    /// It exports several decisions.
    #[error("the component exports {0} and {1}; a plugin serves one world, make two components")]
    SeveralWorlds(&'static str, &'static str),
    /// It does not describe itself.
    #[error("the component does not export {PACKAGE}/metadata; every world has it")]
    NoMetadata,
    /// Names fit, types do not.
    #[error("the component does not fit the {world} world of {PACKAGE}: {detail}; rebuild it with that contract")]
    Incompatible {
        /// The world it claims.
        world: World,
        /// The first difference.
        detail: String,
    },
    /// It needs more to start than its world gives.
    #[error(
        "the component needs more than its world gives: {0}; link it with a smaller stack, or raise limits.memory_bytes"
    )]
    Resources(String),
    /// It failed when asked to describe itself.
    #[error("the component cannot describe itself: {0}")]
    Describe(CallFailure),
    /// What it says about itself is unsound.
    #[error("the component's description is not usable: {0}")]
    Descriptor(DescriptorError),
}

/// What is unsound in a description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// The id.
    #[error("id \"{0}\" must have 1 to 64 characters of a-z, 0-9 and -")]
    Id(String),
    /// The version.
    #[error("version \"{0}\" is not a semantic version such as 1.4.0")]
    Version(String),
    /// The title.
    #[error("the title must be one line of 1 to 200 characters")]
    Title,
    /// The schema.
    #[error("the configuration schema must be a JSON Schema object of at most 64 KiB: {0}")]
    Schema(String),
    /// The names of secrets.
    #[error("the secrets must be at most 16 different names of a-z, 0-9, - and _")]
    Secrets,
    /// The names of hosts.
    #[error(
        "the hosts must be at most 16 different exact host names in lower case, without wildcards, with a port that is not 443 behind a colon"
    )]
    Hosts,
    /// Wishes that its world cannot grant.
    #[error("it wants {what} \"{name}\", which the {world} world does not grant; remove it")]
    Wish {
        /// `the secret` or `the host`.
        what: &'static str,
        /// The name.
        name: String,
        /// The world.
        world: World,
    },
}

/// What the host learnt about a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Content address.
    pub digest: Digest,
    /// The world that it serves.
    pub world: World,
    /// Version of the contract that it was built for.
    pub contract_version: String,
    /// What it says about itself, checked.
    pub descriptor: Descriptor,
    /// Interfaces that it imports, with versions.
    pub imports: Vec<String>,
    /// Interfaces that it exports, with versions.
    pub exports: Vec<String>,
    /// Size of the component, bytes.
    pub size_bytes: usize,
}

/// What the bytes of a component say, before anything of it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// Content address.
    pub digest: Digest,
    /// The world that it serves.
    pub world: World,
    /// Version of the contract that it was built for.
    pub contract_version: String,
    /// Interfaces that it imports, with versions.
    pub imports: Vec<String>,
    /// Interfaces that it exports, with versions.
    pub exports: Vec<String>,
    /// Size of the component, bytes.
    pub size_bytes: usize,
}

/// A component that is ready to be called; clones share it.
#[derive(Clone)]
pub struct Plugin {
    loaded: Arc<Loaded>,
    lowered: LoweredLimits,
    purpose: Purpose,
    name: Option<Arc<str>>,
}

struct Loaded {
    digest: Digest,
    world: World,
    build: Build,
    engine: Engine,
    pre: Pre,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("digest", &self.loaded.digest)
            .field("world", &self.loaded.world)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// Content address of the component.
    pub fn digest(&self) -> Digest {
        self.loaded.digest
    }

    /// The world that it serves.
    pub fn world(&self) -> World {
        self.loaded.world
    }

    /// How it is put together.
    pub fn build(&self) -> Build {
        self.loaded.build
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.loaded.engine
    }

    pub(crate) fn pre(&self) -> &Pre {
        &self.loaded.pre
    }

    /// The same component with lower limits: of each limit the lower of these and the world's counts.
    #[must_use]
    pub fn within(&self, limits: LoweredLimits) -> Self {
        Self { lowered: self.lowered.narrowed(limits), ..self.clone() }
    }

    /// The same component for calls that decide nothing, see [`Purpose::Rehearsal`]; with the limits of its world.
    #[must_use]
    pub fn rehearsing(&self) -> Self {
        Self { purpose: Purpose::Rehearsal, lowered: LoweredLimits::default(), ..self.clone() }
    }

    /// The same component for calls that are made a second time, within the limits that the first was made with.
    pub(crate) fn checking(&self) -> Self {
        Self { purpose: Purpose::Recheck, ..self.clone() }
    }

    /// The same component under the name that it is installed with, for whoever reads of its calls.
    #[must_use]
    pub fn called(&self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self.clone() }
    }

    /// The name that it is installed with; its digest alone tells which it is.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What one call may use.
    pub fn limits(&self, table: &LimitsTable) -> Limits {
        table.of(self.world(), self.build()).lowered(self.lowered)
    }
}

impl Runtime {
    /// Reads what a component is from its bytes alone: it is compiled and linked, nothing is instantiated.
    ///
    /// One is examined at a time; those that are loaded to be called do not wait for it.
    pub fn examine(&self, bytes: &[u8]) -> Result<(Plugin, Examination), InstallError> {
        let (plugin, shape) = self.shared.load(bytes, &self.shared.examining)?;
        let examination = Examination {
            digest: plugin.digest(),
            world: plugin.world(),
            contract_version: shape.contract_version,
            imports: shape.imports,
            exports: shape.exports,
            size_bytes: bytes.len(),
        };
        Ok((plugin, examination))
    }

    /// Instantiates a component once, with nothing granted, and asks it who it is; the answer is checked.
    pub fn describe(&self, plugin: &Plugin) -> Result<Descriptor, InstallError> {
        let descriptor = self.shared.describe(plugin)?;
        check_descriptor(&descriptor, plugin.world()).map_err(InstallError::Descriptor)?;
        Ok(descriptor)
    }

    /// Examines a file as an operator would install it: compiles, instantiates and asks for its description, with
    /// nothing granted.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Inspection, InstallError> {
        let (plugin, examined) = self.examine(bytes)?;
        let descriptor = self.describe(&plugin)?;
        let Examination { digest, world, contract_version, imports, exports, size_bytes } = examined;
        Ok(Inspection { digest, world, contract_version, descriptor, imports, exports, size_bytes })
    }

    /// Compiles a component, or takes it from the cache, and links it. Keep the result: the digest names it.
    pub fn load(&self, bytes: &[u8]) -> Result<Plugin, InstallError> {
        self.shared.load(bytes, &self.shared.compiling).map(|(plugin, _)| plugin)
    }
}

impl Shared {
    fn load(&self, bytes: &[u8], alone: &Mutex<()>) -> Result<(Plugin, Shape), InstallError> {
        let table = &self.config.limits;
        refuse_unfit(bytes, table.largest_component_bytes())?;
        let build = shape::examine(bytes, table).map_err(InstallError::Unsound)?;
        // Before a compiler sees it; what its world allows is checked when its world is known.
        refuse_unfit(bytes, table.largest(build).component_bytes)?;
        // One at a time: whoever installs much must not take all processors from those who call.
        let _alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
        let realm = self.realm(build).map_err(|error| InstallError::Malformed(error.to_string()))?;
        let component =
            Component::from_binary(&realm.engine, bytes).map_err(|error| unfit(error.root_cause().to_string()))?;
        let shape = Shape::read(&component, &realm.engine, build)?;
        let world = shape.world;
        let limit = table.of(world, build).component_bytes;
        if bytes.len() > limit {
            return Err(InstallError::TooLarge { size: bytes.len(), limit });
        }
        let linked = shape.track.link(&realm.linker, &component, world);
        let pre = linked.map_err(|error| incompatible(world, &error))?;
        let engine = realm.engine.clone();
        let loaded = Arc::new(Loaded { digest: Digest::of(bytes), world, build, engine, pre });
        let plugin = Plugin { loaded, lowered: LoweredLimits::default(), purpose: Purpose::Decision, name: None };
        Ok((plugin, shape))
    }

    /// Types of exports are compared only when a component is instantiated, so this is also the trial of them.
    fn describe(&self, plugin: &Plugin) -> Result<Descriptor, InstallError> {
        let world = plugin.world();
        let limits = self.config.limits.of(world, plugin.build());
        // Nobody's call, but it takes a place like any other.
        let _place =
            self.places.enter("", plugin.digest()).map_err(|full| InstallError::Describe(guard::busy(full)))?;
        let mut store = self
            .store(plugin.engine(), State::new(world, limits), limits, 0)
            .map_err(|error| InstallError::Malformed(error.to_string()))?;
        plugin.pre().describe(&mut store).map_err(|undescribed| match undescribed {
            Undescribed::Answer(error) => InstallError::Describe(call::failure(&error, store.data(), limits, 0)),
            Undescribed::Instance(error) => match call::failure(&error, store.data(), limits, 0) {
                // Not a crash of the guest: nothing of it ran, or its start function did.
                CallFailure::Trap { backtrace, .. } if backtrace.is_empty() => incompatible(world, &error),
                failure @ CallFailure::MemoryLimit { .. } => InstallError::Resources(failure.to_string()),
                failure => InstallError::Describe(failure),
            },
        })
    }
}

fn incompatible(world: World, error: &wasmtime::Error) -> InstallError {
    InstallError::Incompatible { world, detail: format!("{error:#}") }
}

/// wasmtime tells a broken component and one that does not fit the pool apart by text only.
fn unfit(detail: String) -> InstallError {
    if detail.contains("exceeds the limit") { InstallError::Resources(detail) } else { InstallError::Malformed(detail) }
}

/// Looks at size and preamble before anything is parsed.
fn refuse_unfit(bytes: &[u8], limit: usize) -> Result<(), InstallError> {
    if bytes.len() > limit {
        return Err(InstallError::TooLarge { size: bytes.len(), limit });
    }
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(InstallError::Precompiled);
    }
    match bytes.get(..8) {
        Some(b"\0asm\x01\0\0\0") => Err(InstallError::CoreModule),
        Some(start) if start.starts_with(b"\0asm") => Ok(()),
        _ => Err(InstallError::Malformed("it does not start as WebAssembly does".to_owned())),
    }
}

/// What the names of a component's imports and exports say.
struct Shape {
    world: World,
    track: Track,
    contract_version: String,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Shape {
    fn read(component: &Component, engine: &Engine, build: Build) -> Result<Self, InstallError> {
        let ty = component.component_type();
        let imports: Vec<&str> = ty.imports(engine).map(|(name, _)| name).collect();
        for name in &imports {
            check_import(name)?;
        }
        let mut exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
        if build == Build::Composed {
            // Tools leave the functions by which they set an interpreter up. Nobody ever calls them.
            exports.retain(|name| name.starts_with(PACKAGE));
        }
        let Decision { world, track, version, .. } = decision_of(&exports)?;
        for name in &imports {
            check_world_import(name, world)?;
        }
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Ok(Self { world, track, contract_version: version, imports: owned(imports), exports: owned(exports) })
    }
}

/// An interface of the contract, by the track that serves its version.
struct Interface<'a> {
    name: &'a str,
    version: &'a str,
    track: Track,
}

/// Splits `altyn:billing/tax@0.1.0` into interface and version; None for names outside the contract.
fn contract_interface(name: &str) -> Result<Option<Interface<'_>>, InstallError> {
    let Some(rest) = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/')) else { return Ok(None) };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    let unsupported = || InstallError::UnsupportedVersion { interface: name.to_owned() };
    let track = Track::serving(version).ok_or_else(unsupported)?;
    Ok(Some(Interface { name: interface, version, track }))
}

fn check_import(name: &str) -> Result<(), InstallError> {
    let advice = match contract_interface(name)? {
        Some(interface) if interface.track.import(interface.name).is_some() => return Ok(()),
        Some(_) => "plugins of this version import types and log, and gateways also vault and exchange",
        None if name.starts_with("wasi:") => {
            "plugins are pure and get no WASI; build for wasm32-unknown-unknown instead of a WASI target"
        }
        None => "plugins are pure; take it as an argument or remove it",
    };
    Err(InstallError::UnknownImport { interface: name.to_owned(), advice })
}

/// Secrets and requests are for gateways: no other world gets a capability by naming it.
fn check_world_import(name: &str, world: World) -> Result<(), InstallError> {
    let interface = contract_interface(name)?;
    let import = interface.and_then(|interface| interface.track.import(interface.name));
    if import == Some(Import::Gateway) && world != World::PaymentGateway {
        return Err(InstallError::UnknownImport {
            interface: name.to_owned(),
            advice: "only the payment-gateway world has it; take what you need as an argument",
        });
    }
    Ok(())
}

/// The decision that a component exports; its version is that of the component.
#[derive(Debug, PartialEq, Eq)]
struct Decision {
    world: World,
    interface: &'static str,
    track: Track,
    version: String,
}

fn decision_of(exports: &[&str]) -> Result<Decision, InstallError> {
    let mut metadata = None;
    let mut found: Option<Decision> = None;
    for &name in exports {
        let Some(Interface { name: interface, version, track }) = contract_interface(name)? else {
            return Err(InstallError::UnknownExport(name.to_owned()));
        };
        if interface == "metadata" {
            metadata = Some(track);
            continue;
        }
        let Some((world, interface)) = track.decision(interface) else {
            return Err(InstallError::UnknownExport(name.to_owned()));
        };
        if let Some(other) = found {
            return Err(InstallError::SeveralWorlds(other.interface, interface));
        }
        found = Some(Decision { world, interface, track, version: version.to_owned() });
    }
    let decision = found.ok_or(InstallError::NoWorld)?;
    // Both are called through one binding, so both are of its track.
    if metadata == Some(decision.track) { Ok(decision) } else { Err(InstallError::NoMetadata) }
}

/// Checks what a component says about itself, as installation does.
pub fn check_descriptor(descriptor: &Descriptor, world: World) -> Result<(), DescriptorError> {
    let Descriptor { id, version, title, config_schema, secrets, hosts } = descriptor;
    let shown = |text: &str| text.chars().take(80).collect::<String>().escape_debug().to_string();
    let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if !(1..=64).contains(&id.len()) || !id.bytes().all(plain) {
        return Err(DescriptorError::Id(shown(id)));
    }
    if semver::Version::parse(version).is_err() {
        return Err(DescriptorError::Version(shown(version)));
    }
    if !(1..=200).contains(&title.chars().count()) || title.trim().is_empty() || title.chars().any(char::is_control) {
        return Err(DescriptorError::Title);
    }
    if config_schema.len() > MAX_SCHEMA_BYTES {
        return Err(DescriptorError::Schema(format!("it has {} bytes", config_schema.len())));
    }
    match serde_json::from_str::<serde_json::Value>(config_schema) {
        Ok(schema) if schema.get("type").and_then(serde_json::Value::as_str) == Some("object") => {}
        Ok(_) => return Err(DescriptorError::Schema("it does not say \"type\": \"object\"".to_owned())),
        Err(error) => return Err(DescriptorError::Schema(error.to_string())),
    }
    if world == World::PaymentGateway {
        let listed =
            |list: &[String]| list.len() <= MAX_WISHES && list.iter().collect::<BTreeSet<_>>().len() == list.len();
        if !listed(secrets) || !secrets.iter().all(|name| secret_name(name).is_ok()) {
            return Err(DescriptorError::Secrets);
        }
        if !listed(hosts) || !hosts.iter().all(|host| host_name(host).is_ok() && !host.ends_with(":443")) {
            return Err(DescriptorError::Hosts);
        }
        return Ok(());
    }
    let wish = |what, name: &String| DescriptorError::Wish { what, name: shown(name), world };
    match (secrets.first(), hosts.first()) {
        (Some(secret), _) => Err(wish("the secret", secret)),
        (None, Some(host)) => Err(wish("the host", host)),
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
