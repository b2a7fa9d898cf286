//! `[[declared.publishers]]`, `[[declared.plugins]]` and `[[declared.bindings]]`: plugins as a file of settings names them.

use std::path::PathBuf;

use altyn_domain::{binding::Inheritance, grant::LoweredLimits, id::TenantId, stay::Existing};
use altyn_service::{declared::DeclaredGrant, plugin_keys::TrustKey};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// Plugins that `altyn plugin apply` brings into force.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declared {
    /// Publishers whose signature is taken.
    pub publishers: Vec<TrustKey>,
    /// Components that are installed.
    pub plugins: Vec<DeclaredPlugin>,
    /// What decides for tenants.
    pub bindings: Vec<DeclaredBinding>,
}

impl Declared {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.publishers.is_empty() && self.plugins.is_empty() && self.bindings.is_empty()
    }
}

/// A component that is installed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredPlugin {
    /// The .wasm file.
    pub file: PathBuf,
    /// The signed manifest; `file` with the ending .manifest.json when absent, if that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<PathBuf>,
    /// What it may do, by the word of the root tenant; no answer when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<DeclaredGrant>,
}

/// What decides for a tenant.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredBinding {
    /// The plugin's id.
    pub plugin: String,
    /// Its version; the declared one, or the only one that is installed, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The tenant; that of `--tenant` or the only one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The first business date it decides.
    pub from: NaiveDate,
    /// Smaller wins between bindings of the same date.
    #[serde(default)]
    pub priority: i32,
    /// Configuration of the plugin.
    #[serde(default = "empty")]
    pub config: serde_json::Value,
    /// Whether tenants below use it.
    #[serde(default = "nobody")]
    pub inheritance: Inheritance,
    /// Limits of its calls below those of the installation.
    #[serde(default)]
    pub limits: LoweredLimits,
    /// What becomes of existing subscriptions when the binding gets another component or configuration: `stay`, as when this is
    /// absent, or `migrate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
}

fn empty() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

fn nobody() -> Inheritance {
    Inheritance::None
}
