//! API keys: who calls, and what the caller may do.
//!
//! A key's secret is shown once, when it is created; the database keeps its SHA-256 and its first characters only.
//! The secret has 256 random bits, so a plain hash cannot be guessed backwards.

use altyn_domain::id::{ApiKeyId, Id as _, TenantId};
use altyn_store::{Scope, api_keys, api_keys::ApiKeyRow};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    context::{Altyn, Authority, Begun, Reply, Request},
    error::{Fields, Result, ServiceError},
    page::{Listed, Page},
};

/// What a caller may do within its subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Help customers to help themselves: read their contracts and subscriptions, sell and change public plans on the terms that
    /// these state. For the server of a cabinet or a shop, which itself knows whose contract is whose.
    SelfService,
    /// Look at everything, change nothing.
    ReadOnly,
    /// The daily work: everything but tenants, keys and plugins.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// On whose behalf a key of the role sells.
    pub const fn authority(self) -> Authority {
        match self {
            Self::SelfService => Authority::SelfService,
            Self::ReadOnly | Self::Operator | Self::Admin => Authority::Manager,
        }
    }

    /// The text of the role, as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfService => "self-service",
            Self::ReadOnly => "read-only",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "self-service" => Ok(Self::SelfService),
            "read-only" => Ok(Self::ReadOnly),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            other => Err(ServiceError::Internal(format!("stored value of api_keys.role is not valid: {other}"))),
        }
    }
}

/// A new key.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// From when it is refused; absent for never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKeyView {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// What it may do.
    pub role: Role,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// From when it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A new key with its secret.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedApiKey {
    /// The key.
    pub key: ApiKeyView,
    /// `alt_` and 64 hexadecimal digits. Shown now and never again: a repeated request with the same idempotency key
    /// answers without it.
    pub secret: Option<String>,
}

impl std::fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedApiKey").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A caller who proved to hold a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The key.
    pub id: ApiKeyId,
    /// The tenant it acts for.
    pub tenant: TenantId,
    /// What it may do.
    pub role: Role,
}

fn view(row: ApiKeyRow) -> Result<ApiKeyView> {
    Ok(ApiKeyView {
        id: ApiKeyId(row.id),
        name: row.name,
        prefix: row.prefix,
        role: Role::parse(&row.role)?,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
    })
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl Altyn {
    /// Creates a key for the acting tenant. The secret is in this answer only.
    pub async fn api_key_create(&self, request: &Request, command: CreateApiKey) -> Result<Reply<CreatedApiKey>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let mut fields = Fields::default();
        fields.text("/name", &command.name, 200);
        if command.expires_at.is_some_and(|at| at <= work.now) {
            fields.refuse("/expires_at", "is in the past; leave it out for a key that does not expire");
        }
        fields.finish()?;
        crate::tenants::acting(&mut work.tx, request).await?;
        let secret = format!("alt_{}", hex::encode(self.ids.secret()));
        let row = ApiKeyRow {
            id: self.ids.next(),
            tenant_id: request.tenant.0,
            name: command.name,
            prefix: secret[..8].to_owned(),
            hash: hash(&secret).to_vec(),
            role: command.role.as_str().to_owned(),
            created_at: work.now,
            expires_at: command.expires_at,
            revoked_at: None,
        };
        api_keys::insert(&mut work.tx, &row).await?;
        // The remembered answer must not hold the secret, so it is added after the answer was stored.
        let mut reply = work.finish(201, CreatedApiKey { key: view(row)?, secret: None }).await?;
        reply.value.secret = Some(secret);
        Ok(reply)
    }

    /// One key of the acting tenant.
    pub async fn api_key_get(&self, request: &Request, id: ApiKeyId) -> Result<ApiKeyView> {
        let mut tx = self.read(request).await?;
        view(api_keys::find(&mut tx, request.tenant.0, id.uuid()).await?.ok_or(ServiceError::NotFound("api key"))?)
    }

    /// The keys of the acting tenant, oldest first.
    pub async fn api_key_list(&self, request: &Request, page: &Page) -> Result<Listed<ApiKeyView>> {
        let (limit, after) = page.bounds::<ApiKeyId>()?;
        let mut tx = self.read(request).await?;
        let rows = api_keys::list(&mut tx, request.tenant.0, after, limit).await?;
        page.listed(rows, |row| ApiKeyId(row.id).to_string(), view).try_data()
    }

    /// Revokes a key at once; revoking it again changes nothing.
    pub async fn api_key_revoke(&self, request: &Request, id: ApiKeyId) -> Result<Reply<ApiKeyView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        api_keys::revoke(&mut work.tx, request.tenant.0, id.uuid(), work.now).await?;
        let row = api_keys::find(&mut work.tx, request.tenant.0, id.uuid()).await?;
        let row = row.ok_or(ServiceError::NotFound("api key"))?;
        work.finish(200, view(row)?).await
    }

    /// Who holds this secret; none when no key has it, or the key expired or was revoked.
    pub async fn api_key_authenticate(&self, secret: &str) -> Result<Option<Credential>> {
        let now = self.clock.now();
        let mut tx = self.db.read(Scope::Platform).await?;
        let Some(row) = api_keys::find_by_hash(&mut tx, hash(secret)).await? else { return Ok(None) };
        if row.revoked_at.is_some() || row.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        Ok(Some(Credential { id: ApiKeyId(row.id), tenant: TenantId(row.tenant_id), role: Role::parse(&row.role)? }))
    }
}
