//! Whose plugins are installed here: the keys of publishers, and what a signature is worth.
//!
//! Keys belong to the platform, so only an administrator of a root tenant changes them, and only somebody at the machine
//! itself (the command line, the configuration) makes one a `core` key. A revoked key stays in the list for ever: it
//! vouches for nothing new, and what it vouched for stays explained.

use altyn_domain::{
    id::{ApiKeyId, TenantId},
    manifest::SignedManifest,
    trust::{Signature, Signer, TrustLevel},
};
use altyn_store::{
    Scope, Tx,
    plugin_keys::{self as rows, KeyRow},
    tenants,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{LARGEST_PAGE, Listed, Page},
    signing::PublicKey,
};

/// The most components that the answer to a revocation names.
const MOST_NAMED: i64 = 1_000;

/// A key that is to be trusted.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustKey {
    /// `altyn-ed25519-public:` and 64 hexadecimal digits.
    pub public_key: String,
    /// Who signs with it.
    pub publisher: String,
    /// `trusted`; `core` is given at the command line or in the configuration only.
    #[serde(default = "trusted")]
    pub level: TrustLevel,
}

fn trusted() -> TrustLevel {
    TrustLevel::Trusted
}

/// Why a key is revoked.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// For whoever finds it in the list later.
    pub reason: String,
}

/// A key of a publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyView {
    /// Its id, 16 hexadecimal digits.
    pub id: String,
    /// Who signs with it.
    pub publisher: String,
    /// `core` or `trusted`.
    pub level: TrustLevel,
    /// `altyn-ed25519-public:` and 64 hexadecimal digits.
    pub public_key: String,
    /// The credential that added it.
    pub added_by: String,
    /// When it was added.
    pub added_at: DateTime<Utc>,
    /// The credential that revoked it.
    pub revoked_by: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Why it was revoked.
    pub revocation_reason: Option<String>,
}

/// A revoked key with what stands on its word.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RevokedKeyView {
    /// The key.
    pub key: KeyView,
    /// Installed components that it signed, `ID VERSION DIGEST`; they can no more be bound.
    pub components: Vec<String>,
}

fn view(row: KeyRow) -> Result<KeyView> {
    let public_key = public_key(&row)?.to_string();
    Ok(KeyView {
        id: row.id,
        publisher: row.publisher,
        level: stored("plugin_keys.level", &row.level)?,
        public_key,
        added_by: row.added_by,
        added_at: row.added_at,
        revoked_by: row.revoked_by,
        revoked_at: row.revoked_at,
        revocation_reason: row.revocation_reason,
    })
}

fn public_key(row: &KeyRow) -> Result<PublicKey> {
    PublicKey::from_bytes(&row.public_key).map_err(|error| {
        ServiceError::Internal(format!("stored value of plugin_keys.public_key is not valid: {error}"))
    })
}

/// What a manifest's signature is worth by the list of keys; the public key that the manifest brings is not asked.
pub(crate) async fn assess(tx: &mut Tx, signed: Option<&SignedManifest>) -> Result<Signature> {
    let Some(signed) = signed else { return Ok(Signature::Absent) };
    let Some(row) = rows::key_find(tx, &signed.key_id).await? else {
        // Told apart from a stranger's good signature, so that nobody trusts a key for the sake of a broken file.
        let own = hex::decode(&signed.public_key).ok().and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
        return Ok(match own.filter(|key| key.id() == signed.key_id && key.signed(signed)) {
            Some(key) => Signature::ByStranger { key_id: key.id() },
            None => Signature::Wrong,
        });
    };
    if !public_key(&row)?.signed(signed) {
        return Ok(Signature::Wrong);
    }
    let level = stored("plugin_keys.level", &row.level)?;
    Ok(Signature::By(Signer { key_id: row.id, publisher: row.publisher, level, revoked: row.revoked_at.is_some() }))
}

/// Refuses whoever does not act for a root of the tenant tree: plugins and keys are shared by the whole platform.
pub(crate) async fn only_at_a_root(tx: &mut Tx, tenant: TenantId) -> Result<()> {
    let row = tenants::find(tx, tenant.0).await?.ok_or(ServiceError::NotFound("tenant"))?;
    if row.parent_id.is_some() {
        return Err(ServiceError::Forbidden(
            "plugins and their keys belong to the whole platform; act for the tenant at the root of the tree".into(),
        ));
    }
    Ok(())
}

impl Altyn {
    /// Trusts a publisher's key; the same key again changes nothing.
    pub async fn plugin_key_trust(&self, request: &Request, command: TrustKey) -> Result<Reply<KeyView>> {
        let mut fields = Fields::default();
        let key = fields.take("/public_key", command.public_key.parse::<PublicKey>());
        fields.text("/publisher", &command.publisher, 200);
        match command.level {
            TrustLevel::Trusted => {}
            // The key of an API caller reads as one; the command line and the configuration have names of their own.
            TrustLevel::Core if request.credential.parse::<ApiKeyId>().is_err() => {}
            TrustLevel::Core => {
                fields.refuse("/level", "core is given at the command line or in the configuration only");
            }
            TrustLevel::UnsignedDev => fields.refuse("/level", "is not a level of a key; use trusted"),
        }
        fields.finish()?;
        let Some(key) = key else { return Err(ServiceError::Internal("a checked key is absent".into())) };
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        only_at_a_root(&mut work.tx, request.tenant).await?;
        let row = KeyRow {
            id: key.id(),
            publisher: command.publisher.trim().to_owned(),
            level: command.level.as_str().to_owned(),
            public_key: key.bytes().to_vec(),
            added_by: request.credential.clone(),
            added_at: work.now,
            revoked_by: None,
            revoked_at: None,
            revocation_reason: None,
        };
        let inserted = rows::key_insert(&mut work.tx, row.clone()).await?;
        if inserted {
            return work.finish(201, view(row)?).await;
        }
        let known = rows::key_find(&mut work.tx, &row.id).await?;
        let known = known.ok_or_else(|| ServiceError::Internal("a key vanished".into()))?;
        if known.revoked_at.is_some() {
            return Err(ServiceError::conflict(
                "plugin-key-revoked",
                format!("the key {} was revoked and is never trusted again; ask for a new key", known.id),
            ));
        }
        if known.publisher != row.publisher || known.level != row.level {
            return Err(ServiceError::conflict(
                "plugin-key-known",
                format!(
                    "the key {} is known as {} of {}; revoke it to change that",
                    known.id, known.level, known.publisher
                ),
            ));
        }
        work.finish(200, view(known)?).await
    }

    /// Revokes a key for ever; revoking it again changes nothing.
    pub async fn plugin_key_revoke(
        &self,
        request: &Request,
        id: &str,
        command: RevokeKey,
    ) -> Result<Reply<RevokedKeyView>> {
        let mut fields = Fields::default();
        fields.text("/reason", &command.reason, 500);
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        only_at_a_root(&mut work.tx, request.tenant).await?;
        rows::key_revoke(&mut work.tx, id, &request.credential, work.now, &command.reason).await?;
        let row = rows::key_find(&mut work.tx, id).await?.ok_or(ServiceError::NotFound("plugin key"))?;
        let components = rows::signed_with(&mut work.tx, id, MOST_NAMED).await?;
        let components = components
            .into_iter()
            .map(|(digest, plugin, version)| format!("{plugin} {version} {}", hex::encode(digest)))
            .collect();
        work.finish(200, RevokedKeyView { key: view(row)?, components }).await
    }

    /// A page of publishers' keys, revoked ones included.
    pub async fn plugin_key_list(&self, page: &Page) -> Result<Listed<KeyView>> {
        let limit = page.limit.unwrap_or(20);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(ServiceError::invalid("/limit", format!("must be between 1 and {LARGEST_PAGE}")));
        }
        let after = page.cursor.clone().unwrap_or_default();
        if after.len() > 16 || !after.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ServiceError::invalid("/cursor", "is not a cursor of this list; take `next_cursor`"));
        }
        let mut tx = self.db.read(Scope::Platform).await?;
        let found = rows::keys_list(&mut tx, after, limit + 1).await?;
        page.listed(found, |row| row.id.clone(), view).try_data()
    }

    /// One key.
    pub async fn plugin_key_get(&self, id: &str) -> Result<KeyView> {
        let mut tx = self.db.read(Scope::Platform).await?;
        view(rows::key_find(&mut tx, id).await?.ok_or(ServiceError::NotFound("plugin key"))?)
    }
}
