//! Letting a component in: what it is by its bytes, on whose word, what it says about itself, and only then the database.
//!
//! The order is the point. Nothing of a component runs before its bytes are known to be a component of one world and,
//! unless the installation allows unsigned ones, a key that is trusted now has signed exactly these bytes. Invariant: what is
//! installed as signed says about itself what was signed.

use altyn_domain::{
    manifest::SignedManifest,
    trust::{Installed, TrustLevel, TrustRefusal, Vouched, admit_version, vouch},
};
use altyn_runtime::{Descriptor, Examination, Plugin, World};
use altyn_store::{
    Scope, StoreError, Tx,
    plugin_keys::{self as keys, InstallRow},
    plugins as rows,
};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Result, ServiceError},
    forms::check_schema,
    plugin_keys::{assess, only_at_a_root},
    plugins::{ComponentView, Plugins, blocking, component_view, refused, schema},
    signing::PublicKey,
};

/// The longest text of a signed manifest, bytes.
pub const LARGEST_MANIFEST: usize = 16 << 10;

/// A component that is to be installed.
#[derive(Clone, Debug)]
pub struct InstallPlugin {
    /// Its bytes.
    pub wasm: Vec<u8>,
    /// What its publisher signed; none for an unsigned component.
    pub manifest: Option<SignedManifest>,
    /// Installs it although a newer version is there; recorded.
    pub allow_downgrade: bool,
}

/// What a component's bytes say before anything of it runs.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExaminationView {
    /// SHA-256 of the component.
    pub digest: String,
    /// Size of the component.
    pub size_bytes: i64,
    /// The world it implements, which names the extension point.
    #[schema(value_type = String, example = "tax-rule")]
    pub world: World,
    /// Version of the contract it was built against.
    pub contract_version: String,
    /// What it imports from the host.
    pub imports: Vec<String>,
    /// What it exports to the host.
    pub exports: Vec<String>,
    /// What its publisher signed.
    pub signature: Option<SignatureView>,
}

/// A signed manifest that came with a component.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SignatureView {
    /// Whether the signature fits the manifest by the public key it brings; whether that key is trusted is another matter.
    pub fits: bool,
    /// Id of the key.
    pub key_id: String,
    /// The plugin id that is signed.
    pub plugin_id: String,
    /// The version that is signed.
    pub version: String,
    /// Hosts that are asked for.
    pub hosts: Vec<String>,
    /// Secrets that are asked for.
    pub secrets: Vec<String>,
}

/// What a component says about itself, before anything is installed.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InspectionView {
    /// SHA-256 of the component.
    pub digest: String,
    /// The id it describes itself with.
    pub plugin_id: String,
    /// Its semantic version.
    pub version: String,
    /// For people.
    pub title: String,
    /// The world it implements, which names the extension point.
    #[schema(value_type = String, example = "tax-rule")]
    pub world: World,
    /// Version of the contract it was built against.
    pub contract_version: String,
    /// What it imports from the host.
    pub imports: Vec<String>,
    /// What it exports to the host.
    pub exports: Vec<String>,
    /// Size of the component.
    pub size_bytes: i64,
    /// JSON Schema of its configuration.
    pub config_schema: serde_json::Value,
    /// Secrets it asks for.
    pub secrets: Vec<String>,
    /// Hosts it asks for.
    pub hosts: Vec<String>,
    /// What its publisher signed.
    pub signature: Option<SignatureView>,
}

/// A component whose bytes were read and of which nothing ran.
pub struct Examined {
    plugin: Plugin,
    facts: Examination,
    signed: Option<SignedManifest>,
}

impl Examined {
    /// What is known without running it.
    pub fn view(&self) -> ExaminationView {
        let facts = self.facts.clone();
        ExaminationView {
            digest: facts.digest.to_string(),
            size_bytes: i64::try_from(facts.size_bytes).unwrap_or(i64::MAX),
            world: facts.world,
            contract_version: facts.contract_version,
            imports: facts.imports,
            exports: facts.exports,
            signature: self.signed.as_ref().map(signature_view),
        }
    }

    /// The component.
    pub(crate) fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// What it was found to be.
    pub fn facts(&self) -> &Examination {
        &self.facts
    }
}

fn signature_view(signed: &SignedManifest) -> SignatureView {
    let own = hex::decode(&signed.public_key).ok().and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
    SignatureView {
        fits: own.is_some_and(|key| key.id() == signed.key_id && key.signed(signed)),
        key_id: signed.key_id.clone(),
        plugin_id: signed.manifest.id.clone(),
        version: signed.manifest.version.clone(),
        hosts: signed.manifest.hosts.clone(),
        secrets: signed.manifest.secrets.clone(),
    }
}

fn of_manifest(error: &altyn_domain::manifest::ManifestError) -> ServiceError {
    ServiceError::Plugin { code: "plugin-manifest", message: error.to_string() }
}

fn of_trust(refusal: &TrustRefusal) -> ServiceError {
    let message = refusal.to_string();
    match refusal {
        TrustRefusal::VersionTaken { .. }
        | TrustRefusal::Downgrade { .. }
        | TrustRefusal::OtherPublisher { .. }
        | TrustRefusal::RevokedKey { .. } => {
            ServiceError::Conflict { code: refusal.code(), message, details: Vec::new() }
        }
        _ => ServiceError::Plugin { code: refusal.code(), message },
    }
}

/// Reads the text of a signed manifest.
pub fn read_manifest(text: &str) -> Result<SignedManifest> {
    let unreadable = |why: String| ServiceError::Plugin {
        code: "plugin-manifest",
        message: format!("the manifest does not read: {why}; make it with `altyn plugin sign`"),
    };
    if text.len() > LARGEST_MANIFEST {
        return Err(unreadable(format!("it has more than {LARGEST_MANIFEST} bytes")));
    }
    let signed: SignedManifest = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    signed.manifest.check().map_err(|error| of_manifest(&error))?;
    Ok(signed)
}

impl Plugins {
    /// Reads a component's bytes and compares them with the manifest; nothing of it runs.
    pub async fn examine(&self, wasm: Vec<u8>, signed: Option<SignedManifest>) -> Result<Examined> {
        let (plugin, facts) = self.examined(wasm).await?;
        if let Some(signed) = &signed {
            let manifest = &signed.manifest;
            manifest.check().map_err(|error| of_manifest(&error))?;
            let named = manifest.names(&facts.digest.to_string(), &facts.contract_version, facts.world);
            named.map_err(|error| of_manifest(&error))?;
        }
        Ok(Examined { plugin, facts, signed })
    }

    /// Asks an examined component who it is, with nothing granted, and compares that with the manifest.
    pub async fn describe(&self, examined: &Examined) -> Result<Descriptor> {
        let (runtime, plugin) = (self.runtime(), examined.plugin.clone());
        let descriptor = blocking(move || runtime.describe(&plugin)).await?.map_err(|error| refused(&error))?;
        if let Some(signed) = &examined.signed {
            signed.manifest.agrees(&descriptor).map_err(|error| of_manifest(&error))?;
        }
        Ok(descriptor)
    }

    /// Looks into a component; needs no database.
    pub async fn inspect(&self, wasm: Vec<u8>, signed: Option<SignedManifest>) -> Result<InspectionView> {
        let examined = self.examine(wasm, signed).await?;
        let descriptor = self.describe(&examined).await?;
        let ExaminationView { digest, size_bytes, world, contract_version, imports, exports, signature } =
            examined.view();
        Ok(InspectionView {
            digest,
            plugin_id: descriptor.id,
            version: descriptor.version,
            title: descriptor.title,
            world,
            contract_version,
            imports,
            exports,
            size_bytes,
            config_schema: schema(&descriptor.config_schema),
            secrets: descriptor.secrets,
            hosts: descriptor.hosts,
            signature,
        })
    }
}

impl Altyn {
    /// Looks into a component without keeping it and without running anything of it: what its bytes say.
    pub async fn plugin_examine(&self, wasm: Vec<u8>, signed: Option<SignedManifest>) -> Result<ExaminationView> {
        Ok(self.plugins.examine(wasm, signed).await?.view())
    }

    /// Looks into a component without keeping it: compiles it, instantiates it with nothing granted, asks it who it is.
    pub async fn plugin_inspect(&self, wasm: Vec<u8>, signed: Option<SignedManifest>) -> Result<InspectionView> {
        self.plugins.inspect(wasm, signed).await
    }

    /// Installs an unsigned component, where the installation allows that.
    pub async fn plugin_install(&self, request: &Request, wasm: Vec<u8>) -> Result<Reply<ComponentView>> {
        self.plugin_install_signed(request, InstallPlugin { wasm, manifest: None, allow_downgrade: false }).await
    }

    /// Installs a component for the platform; the same bytes are installed once, and a signature that comes later is noted.
    pub async fn plugin_install_signed(
        &self,
        request: &Request,
        command: InstallPlugin,
    ) -> Result<Reply<ComponentView>> {
        let InstallPlugin { wasm, manifest, allow_downgrade } = command;
        let examined = self.plugins.examine(wasm.clone(), manifest).await?;
        let signed = examined.signed.clone();
        let mut tx = self.db.read(Scope::Platform).await?;
        only_at_a_root(&mut tx, request.tenant).await?;
        let vouched = self.vouched(&mut tx, signed.as_ref()).await?;
        drop(tx);
        let descriptor = self.plugins.describe(&examined).await?;
        check_schema(&descriptor.config_schema).await?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        if let Some(signed) = &signed
            && !keys::key_hold(&mut work.tx, &signed.key_id).await?
        {
            let publisher = vouched.publisher.unwrap_or_default();
            return Err(of_trust(&TrustRefusal::RevokedKey { key_id: signed.key_id.clone(), publisher }));
        }
        let digest = examined.facts.digest.0.to_vec();
        let mut install = InstallRow {
            id: self.ids.next(),
            component_digest: digest.clone(),
            trust_level: vouched.level.as_str().to_owned(),
            publisher: vouched.publisher.clone(),
            key_id: signed.as_ref().map(|signed| signed.key_id.clone()),
            manifest: signed.as_ref().map(canonical),
            signature: signed.as_ref().and_then(|signed| hex::decode(&signed.signature).ok()),
            downgraded_from: None,
            installed_by: request.credential.clone(),
            installed_at: work.now,
        };
        let known = rows::component_find(&mut work.tx, digest.clone()).await?;
        // The same bytes again change nothing, so their version is not judged again; a new signature is.
        let downgraded_from = if known.is_some() && signed.is_none() {
            None
        } else {
            let allow = known.is_some() || allow_downgrade;
            admitted(&mut work.tx, &descriptor, &examined.facts, &vouched, allow).await?
        };
        if let Some(mut row) = known {
            if vouched.level != TrustLevel::UnsignedDev && row.key_id != install.key_id {
                keys::component_vouch(
                    &mut work.tx,
                    digest,
                    &install.trust_level,
                    install.publisher.clone(),
                    install.key_id.clone(),
                )
                .await?;
                row.trust_level.clone_from(&install.trust_level);
                row.publisher.clone_from(&install.publisher);
                row.key_id.clone_from(&install.key_id);
                keys::install_insert(&mut work.tx, install).await?;
            }
            return work.finish(200, component_view(row)?).await;
        }
        install.downgraded_from = downgraded_from;
        let list = |names: &[String]| serde_json::Value::from(names.to_vec()).to_string();
        let row = rows::ComponentRow {
            digest,
            plugin_id: descriptor.id.clone(),
            version: descriptor.version.clone(),
            world: examined.facts.world.as_str().to_owned(),
            title: descriptor.title.clone(),
            config_schema: descriptor.config_schema.clone(),
            size_bytes: i64::try_from(wasm.len()).unwrap_or(i64::MAX),
            installed_at: work.now,
            trust_level: install.trust_level.clone(),
            publisher: install.publisher.clone(),
            key_id: install.key_id.clone(),
            hosts: list(&descriptor.hosts),
            secrets: list(&descriptor.secrets),
        };
        match rows::component_insert(&mut work.tx, row.clone(), wasm).await {
            Ok(_) => {
                keys::install_insert(&mut work.tx, install).await?;
                work.finish(201, component_view(row)?).await
            }
            Err(StoreError::Duplicate(_)) => {
                let (id, version) = (row.plugin_id, row.version);
                Err(of_trust(&TrustRefusal::VersionTaken { id, version }))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Altyn {
    /// On whose word a component stands that came with this manifest; refuses what may not be installed here.
    async fn vouched(&self, tx: &mut Tx, signed: Option<&SignedManifest>) -> Result<Vouched> {
        vouch(&assess(tx, signed).await?, self.trust.unsigned).map_err(|refusal| of_trust(&refusal))
    }

    /// Admits a component to a rehearsal: what is installed by the word it was installed on, anything else as if it were to
    /// be installed. Whoever may not decide here is not shown what was decided either.
    pub(crate) async fn rehearsable(&self, examined: &Examined) -> Result<()> {
        let mut tx = self.db.read(Scope::Platform).await?;
        let known = rows::component_find(&mut tx, examined.facts.digest.0.to_vec()).await?;
        let (Some(row), None) = (known, &examined.signed) else {
            return self.vouched(&mut tx, examined.signed.as_ref()).await.map(|_| ());
        };
        let Some(key_id) = row.key_id else { return self.vouched(&mut tx, None).await.map(|_| ()) };
        let key = keys::key_find(&mut tx, &key_id).await?;
        if key.is_some_and(|key| key.revoked_at.is_none()) {
            return Ok(());
        }
        Err(of_trust(&TrustRefusal::RevokedKey { key_id, publisher: row.publisher.unwrap_or_default() }))
    }
}

/// The manifest's canonical JSON, without the prefix of the signed bytes.
fn canonical(signed: &SignedManifest) -> String {
    serde_json::to_string(&signed.manifest).unwrap_or_default()
}

async fn admitted(
    tx: &mut Tx,
    descriptor: &Descriptor,
    facts: &Examination,
    vouched: &Vouched,
    allow_downgrade: bool,
) -> Result<Option<String>> {
    let installed: Vec<Installed> = keys::versions(tx, &descriptor.id)
        .await?
        .into_iter()
        .map(|(digest, version, publisher)| Installed { digest: hex::encode(digest), version, publisher })
        .collect();
    let digest = facts.digest.to_string();
    admit_version(&descriptor.id, &digest, &descriptor.version, vouched, &installed, allow_downgrade)
        .map_err(|refusal| of_trust(&refusal))
}
