//! `altyn plugin keygen`, `sign` and `key`: who publishes plugins, and whose are taken.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use altyn_domain::{manifest::Manifest, trust::TrustLevel};
use altyn_service::{
    plugin_keys::{RevokeKey, TrustKey},
    ports::{Ids as _, SystemIds},
    signing::PublisherKey,
};
use clap::Subcommand;
use zeroize::Zeroizing;

use super::{
    exit::Failure,
    plugins::{manifest_beside, plugin_host, read},
    session::{Global, PageArgs, Session},
};

const KEY: &[&str] = &["id", "publisher", "level", "added_at", "revoked_at", "revocation_reason"];
const KEY_PAIR: &[&str] = &["key_id", "public_key", "private_file", "public_file"];
const SIGNED: &[&str] = &["plugin_id", "version", "world", "hosts", "secrets", "key_id", "manifest_file"];

/// Options of `altyn plugin keygen`.
#[derive(Debug, clap::Args)]
pub struct Keygen {
    /// Where the private key goes; the public one goes beside it with the ending .pub. Never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Keygen {
    /// Makes the key pair.
    pub fn run(self, global: &Global) -> Result<(), Failure> {
        let key = PublisherKey::new(&Zeroizing::new(SystemIds::default().secret()));
        let mut public_file = self.out.clone().into_os_string();
        public_file.push(".pub");
        let public_file = PathBuf::from(public_file);
        let public = key.public();
        write_new(&self.out, key.to_text().as_bytes(), 0o600)?;
        write_new(&public_file, format!("{public}\n").as_bytes(), 0o644)?;
        let told = serde_json::json!({
            "key_id": public.id(), "public_key": public.to_string(),
            "private_file": self.out.display().to_string(), "public_file": public_file.display().to_string(),
        });
        global.printer().object(&told, KEY_PAIR)
    }
}

/// Options of `altyn plugin sign`.
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The .wasm file
    file: PathBuf,
    /// The private key of `altyn plugin keygen`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the manifest goes; default: FILE with the ending .manifest.json
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Sign {
    /// Examines the component, asks it who it is, and signs the answer together with its digest.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let text = Zeroizing::new(
            std::fs::read_to_string(&self.key)
                .map_err(|error| Failure::usage(format!("cannot read {}: {error}", self.key.display())))?,
        );
        let key = PublisherKey::parse(&text).map_err(|error| Failure::usage(error.to_string()))?;
        let plugins = plugin_host(global)?;
        let examined = plugins.examine(read(&self.file)?, None).await?;
        let descriptor = plugins.describe(&examined).await?;
        let facts = examined.facts();
        let manifest = Manifest::new(&facts.digest.to_string(), &facts.contract_version, facts.world, &descriptor);
        let signed = key.sign(manifest).map_err(|error| Failure::usage(error.to_string()))?;
        let file = self.out.unwrap_or_else(|| manifest_beside(&self.file));
        // One line, so that it also fits the header of a request.
        let text = serde_json::to_string(&signed).map_err(|error| Failure::failed(error.to_string()))?;
        std::fs::write(&file, text + "\n")
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
        let told = serde_json::json!({
            "plugin_id": signed.manifest.id, "version": signed.manifest.version, "world": signed.manifest.world,
            "hosts": signed.manifest.hosts, "secrets": signed.manifest.secrets, "key_id": signed.key_id,
            "digest": signed.manifest.component_sha256, "manifest_file": file.display().to_string(),
        });
        global.printer().object(&told, SIGNED)
    }
}

/// Writes a file that must not be there yet, readable as `mode` says from its first byte on.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| Failure::usage(format!("cannot make {}: {error}", path.display())))
}

/// Verbs of `altyn plugin key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List publishers' keys, revoked ones included
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Trust a publisher's key
    Trust {
        /// The file with the public key, or its text (altyn-ed25519-public:…)
        key: String,
        /// Who signs with it
        #[arg(long, value_name = "NAME")]
        publisher: String,
        /// trusted, or core for the makers of this program
        #[arg(long, default_value = "trusted")]
        level: TrustLevel,
    },
    /// Revoke a publisher's key for ever
    Revoke {
        /// The key's id
        id: String,
        /// For whoever finds it in the list later
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

impl KeyCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::List { page } => printer.list(&altyn.plugin_key_list(&page.page()).await?, KEY),
            Self::Trust { key, publisher, level } => {
                let public_key = if key.starts_with("altyn-") {
                    key
                } else {
                    std::fs::read_to_string(&key)
                        .map_err(|error| Failure::usage(format!("cannot read {key}: {error}")))?
                };
                let request = session.root_request().await?;
                let command = TrustKey { public_key: public_key.trim().to_owned(), publisher, level };
                printer.object(&altyn.plugin_key_trust(&request, command).await?.value, KEY)
            }
            Self::Revoke { id, reason } => {
                let request = session.root_request().await?;
                let revoked = altyn.plugin_key_revoke(&request, &id, RevokeKey { reason }).await?.value;
                printer.object(&revoked, &["key", "components"])
            }
        }
    }
}
