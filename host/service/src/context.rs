//! What every use case is given: the application, the caller, and one transaction that also remembers the answer.

use std::sync::Arc;

use altyn_domain::{
    catalogue::{PlanStatus, Visibility},
    id::TenantId,
};
use altyn_store::{Db, Scope, Tx, idempotency};
use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    egress::Egress,
    error::{Result, ServiceError},
    plugins::Plugins,
    ports::{Clock, Ids},
    poster::Poster,
    rehearsal::Rehearsal,
    sandbox::RealTenants,
    settings::{RetentionSettings, Settings, TrustSettings},
    vault::MasterKeys,
};

/// The application: everything a use case needs, shared by all edges.
#[derive(Clone)]
pub struct Altyn {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// The plugin host with its compiled components.
    pub plugins: Arc<Plugins>,
    /// Bounds and sizes.
    pub settings: Arc<Settings>,
    /// Groups concurrent postings.
    pub poster: Poster,
    /// Whose plugins are installed.
    pub trust: TrustSettings,
    /// How long what is of use for a while is kept.
    pub retention: RetentionSettings,
    /// What tenants' data keys are wrapped with; none until the first secret.
    pub master_keys: MasterKeys,
    /// The way out, for payment gateways.
    pub egress: Egress,
    /// Tenants that are known to be in no sandbox, now and later.
    pub real: RealTenants,
    /// What looks at an action and keeps it from being committed; none when actions are done.
    pub rehearsal: Option<Rehearsal>,
}

/// Who asks, for which tenant, and under which idempotency key.
#[derive(Clone, Debug)]
pub struct Request {
    /// The tenant whose data is touched; already checked to lie in the credential's subtree.
    pub tenant: TenantId,
    /// The credential: an API key's id, `cli` or `scheduler`.
    pub credential: String,
    /// On whose behalf something is sold.
    pub authority: Authority,
    /// The idempotency key, if the caller gave one.
    pub key: Option<IdempotencyKey>,
}

/// On whose behalf something is sold, which bounds what may be sold and on which terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Somebody who answers for the operator: every plan on sale, on any terms.
    Manager,
    /// A customer who helps himself in the operator's cabinet or shop: public plans, on the terms that they state.
    SelfService,
}

impl Authority {
    /// Whether a plan of this status and visibility is shown.
    pub(crate) fn sees(self, status: &str, visibility: &str) -> bool {
        self == Self::Manager || (status == PlanStatus::Active.as_str() && visibility == Visibility::Public.as_str())
    }

    /// Refuses what only a manager decides; `what` is a sentence's subject.
    pub(crate) fn manager(self, what: impl std::fmt::Display) -> Result<()> {
        match self {
            Self::Manager => Ok(()),
            Self::SelfService => Err(ServiceError::Denied {
                code: "manager-only",
                message: format!("{what} is decided by managers; use a key with the role operator or admin"),
            }),
        }
    }

    /// Refuses a plan that only a manager sells.
    pub(crate) fn sells(self, plan: &str, visibility: &str) -> Result<()> {
        if self == Self::Manager || visibility == Visibility::Public.as_str() {
            return Ok(());
        }
        Err(ServiceError::Denied {
            code: "plan-private",
            message: format!("plan {plan} is private: managers sell it; choose a public plan, or use their key"),
        })
    }
}

/// A caller's key together with what it was used for.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// The key, 1 to 255 visible characters.
    pub key: String,
    /// Method and path.
    pub request: String,
    /// SHA-256 of the body.
    pub fingerprint: [u8; 32],
}

impl Altyn {
    /// The application around its parts.
    pub fn new(db: Db, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, plugins: Plugins, settings: Settings) -> Self {
        Self {
            db,
            clock,
            ids,
            plugins: Arc::new(plugins),
            settings: Arc::new(settings),
            poster: Poster::default(),
            trust: TrustSettings::default(),
            retention: RetentionSettings::default(),
            master_keys: MasterKeys::default(),
            egress: Egress::public(),
            real: RealTenants::default(),
            rehearsal: None,
        }
    }

    /// The same application with another way out.
    pub fn with_egress(self, egress: Egress) -> Self {
        Self { egress, ..self }
    }

    /// The same application with these master keys.
    pub fn with_master_keys(self, master_keys: MasterKeys) -> Self {
        Self { master_keys, ..self }
    }

    /// The same application that keeps answers, events and jobs for other whiles.
    pub fn with_retention(self, retention: RetentionSettings) -> Self {
        Self { retention, ..self }
    }

    /// The same application with another idea of whose plugins it installs; by itself it takes signed ones only.
    pub fn with_trust(self, trust: TrustSettings) -> Self {
        Self { trust, ..self }
    }
}

impl Request {
    /// A request without a key, as the command line and the scheduler make them.
    pub fn internal(tenant: TenantId, credential: &str) -> Self {
        Self { tenant, credential: credential.to_owned(), authority: Authority::Manager, key: None }
    }

    /// The rows this request may see.
    pub fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant.0)
    }
}

/// The answer of a writing use case.
#[derive(Clone, Debug)]
pub struct Reply<T> {
    /// HTTP status: 200 or 201.
    pub status: u16,
    /// Whether this is the stored answer of an earlier request with the same key.
    pub replayed: bool,
    /// The object.
    pub value: T,
}

/// What [`Altyn::begin`] found.
#[expect(clippy::large_enum_variant, reason = "one lives for the length of one request")]
pub enum Begun<T> {
    /// The key was used before: its answer.
    Replay(Reply<T>),
    /// A transaction to work in.
    Work(Work),
}

/// One write: the transaction and the key it will remember its answer under.
pub struct Work {
    /// The transaction.
    pub tx: Tx,
    /// The instant of the write.
    pub now: DateTime<Utc>,
    tenant: Uuid,
    credential: String,
    key: Option<IdempotencyKey>,
    rehearsal: Option<Rehearsal>,
}

impl Altyn {
    /// Begins a write.
    ///
    /// The key is claimed before any effect, inside the transaction: a concurrent request with the same key waits for
    /// this one to end and then finds either its answer or, after a rollback, a free key.
    pub async fn begin<T: DeserializeOwned>(&self, request: &Request) -> Result<Begun<T>> {
        let now = self.clock.now();
        let mut tx = self.db.write(request.scope()).await?;
        if let Some(key) = &request.key {
            let claim = idempotency::Claim {
                tenant: request.tenant.0,
                credential: &request.credential,
                request: &key.request,
                key: &key.key,
                fingerprint: &key.fingerprint,
            };
            if !idempotency::claim(&mut tx, &claim, now).await? {
                let stored = idempotency::stored(&mut tx, &claim).await?;
                tx.rollback().await?;
                let stored = stored.ok_or_else(|| ServiceError::Internal("the idempotency record vanished".into()))?;
                return Ok(Begun::Replay(replay(key, &stored)?));
            }
        }
        Ok(Begun::Work(Work {
            tx,
            now,
            tenant: request.tenant.0,
            credential: request.credential.clone(),
            key: request.key.clone(),
            rehearsal: self.rehearsal.clone(),
        }))
    }

    /// The answer that this very request was given before, for a use case that must look further before it begins; a
    /// request under way at the same moment is met by [`Self::begin`].
    pub(crate) async fn answered_before<T: DeserializeOwned>(&self, request: &Request) -> Result<Option<Reply<T>>> {
        let Some(key) = &request.key else { return Ok(None) };
        let mut tx = self.read(request).await?;
        let claim = idempotency::Claim {
            tenant: request.tenant.0,
            credential: &request.credential,
            request: &key.request,
            key: &key.key,
            fingerprint: &key.fingerprint,
        };
        idempotency::stored(&mut tx, &claim).await?.map(|stored| replay(key, &stored)).transpose()
    }

    /// Begins a transaction that only reads the request's tenant.
    pub async fn read(&self, request: &Request) -> Result<Tx> {
        Ok(self.db.read(request.scope()).await?)
    }
}

/// The stored answer of a request, if it is the same one.
fn replay<T: DeserializeOwned>(key: &IdempotencyKey, stored: &idempotency::Stored) -> Result<Reply<T>> {
    if stored.fingerprint != key.fingerprint {
        return Err(ServiceError::KeyReused);
    }
    let value = serde_json::from_str(&stored.body)
        .map_err(|error| ServiceError::Internal(format!("stored answer is unreadable: {error}")))?;
    Ok(Reply { status: u16::try_from(stored.status).unwrap_or(200), replayed: true, value })
}

impl Work {
    /// Remembers the answer and commits everything at once; a rehearsal is looked at and rolled back instead.
    pub async fn finish<T: Serialize>(mut self, status: u16, value: T) -> Result<Reply<T>> {
        if let Some(rehearsal) = &self.rehearsal {
            rehearsal.look(&mut self.tx, self.tenant).await?;
            self.tx.rollback().await?;
            return Ok(Reply { status, replayed: false, value });
        }
        if let Some(key) = &self.key {
            let body = serde_json::to_string(&value)
                .map_err(|error| ServiceError::Internal(format!("the answer cannot be stored: {error}")))?;
            let claim = idempotency::Claim {
                tenant: self.tenant,
                credential: &self.credential,
                request: &key.request,
                key: &key.key,
                fingerprint: &key.fingerprint,
            };
            idempotency::remember(&mut self.tx, &claim, i32::from(status), &body).await?;
        }
        self.tx.commit().await?;
        Ok(Reply { status, replayed: false, value })
    }
}
