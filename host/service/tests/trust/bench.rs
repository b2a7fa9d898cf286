//! What the tests of this suite share: components, publishers and what is left of a refusal.

use std::path::{Path, PathBuf};

use altyn_domain::{
    manifest::{Manifest, SignedManifest},
    trust::TrustLevel,
};
use altyn_service::{
    Reply, ServiceError,
    context::{Altyn, Request},
    install::InstallPlugin,
    plugin_keys::TrustKey,
    plugins::ComponentView,
    settings::TrustSettings,
    signing::PublisherKey,
};
use altyn_store::{Scope, db::Params};
use zeroize::Zeroizing;

use crate::support::Place;

/// The bytes of a built guest.
pub fn component(name: &str) -> Vec<u8> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("ALTYN_PLUGINS_DIR").map_or(built, PathBuf::from);
    let path = folder.join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build the guests first: cargo xtask plugins", path.display());
    })
}

/// The same component with a remark in a custom section: it says the same about itself and has another digest.
pub fn remarked(mut wasm: Vec<u8>, remark: &str) -> Vec<u8> {
    let name = "remark";
    let length = 1 + name.len() + remark.len();
    wasm.extend([0, u8::try_from(length).unwrap(), u8::try_from(name.len()).unwrap()]);
    wasm.extend(name.bytes().chain(remark.bytes()));
    wasm
}

pub fn publisher(seed: u8) -> PublisherKey {
    PublisherKey::new(&Zeroizing::new([seed; 32]))
}

/// The manifest of a component as its publisher would write it, changed by `change` before it is signed.
pub async fn signed(
    altyn: &Altyn,
    wasm: &[u8],
    key: &PublisherKey,
    change: impl FnOnce(&mut Manifest),
) -> SignedManifest {
    let examined = altyn.plugins.examine(wasm.to_vec(), None).await.unwrap();
    let descriptor = altyn.plugins.describe(&examined).await.unwrap();
    let facts = examined.facts();
    let mut manifest = Manifest::new(&facts.digest.to_string(), &facts.contract_version, facts.world, &descriptor);
    change(&mut manifest);
    key.sign(manifest).unwrap()
}

impl Place {
    /// The same application as a production installs it: signed plugins only.
    pub fn strict(&self) -> Altyn {
        self.altyn.clone().with_trust(TrustSettings::default())
    }

    pub async fn trust(&self, key: &PublisherKey, publisher: &str) -> String {
        let command =
            TrustKey { public_key: key.public().to_string(), publisher: publisher.into(), level: TrustLevel::Trusted };
        self.altyn.plugin_key_trust(&self.request(), command).await.unwrap().value.id
    }

    /// Runs a statement past the use cases.
    pub async fn change(&self, sql: &'static str, params: impl Params) -> u64 {
        let mut tx = self.altyn.db.write(Scope::Tenant(self.tenant.0)).await.unwrap();
        let changed = tx.execute(sql, params).await.unwrap();
        tx.commit().await.unwrap();
        changed
    }
}

pub async fn install(
    altyn: &Altyn,
    request: &Request,
    wasm: Vec<u8>,
    manifest: Option<SignedManifest>,
) -> Result<Reply<ComponentView>, ServiceError> {
    altyn.plugin_install_signed(request, InstallPlugin { wasm, manifest, allow_downgrade: false }).await
}

/// The stable code of a refusal.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, ServiceError>) -> (&'static str, String) {
    let error = answer.unwrap_err();
    (error.code(), error.to_string())
}
