//! Secrets of a tenant: sealed with its data key, which is wrapped with the installation's master key.
//!
//! A secret names the hosts it may be sent to, and that list is sealed with it. Values go in and are used inside; no use case
//! gives one back to an edge. What is authenticated beside a value is the tenant, the data key, the name and the hosts, so a
//! row that is moved, renamed or widened in the database does not open. Invariant: a value is in no view, no error, no
//! idempotency record, and in the log of nothing.

use altyn_domain::{
    grant::{host_name, secret_name},
    id::TenantId,
};
use altyn_store::{
    Scope, StoreError,
    secrets::{self as rows, DataKeyRow, SecretRow},
    tenants,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    context::{Altyn, Begun, IdempotencyKey, Reply, Request, Work},
    error::{Fields, Result, ServiceError},
    page::{LARGEST_PAGE, Listed, Page},
    plugins::names,
    vault::{DataKey, MasterKey, SecretText, Unsealed},
};

/// The most secrets of one tenant.
const MOST_SECRETS: i64 = 1_000;
/// The most hosts of one secret.
const MOST_HOSTS: usize = 64;
/// The longest value, bytes.
const LONGEST: usize = 16 << 10;
/// What is sealed to recognise a master key.
const PROOF: &[u8] = b"altyn";

/// A secret that is to be kept; one of the same name is replaced.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSecret {
    /// Its name: 1 to 64 characters of a-z, 0-9, - and _.
    #[schema(example = "password1")]
    pub name: String,
    /// Its value, which is never given back; at most 16 KiB.
    #[schema(value_type = String, write_only, example = "correct horse battery staple")]
    pub value: SecretText,
    /// The hosts it may be sent to; none for a secret that only goes into digests.
    #[serde(default)]
    #[schema(example = json!(["auth.robokassa.ru"]))]
    pub hosts: Vec<String>,
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretView {
    /// Its name.
    pub name: String,
    /// The hosts it may be sent to.
    pub hosts: Vec<String>,
    /// The credential that set it.
    pub updated_by: String,
    /// When it was first set.
    pub created_at: DateTime<Utc>,
    /// When it was last set.
    pub updated_at: DateTime<Utc>,
    /// Counts changes of the value.
    pub version: i64,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rotated {
    /// Tenants that were gone through.
    pub tenants: i64,
    /// Data keys that were made or wrapped anew.
    pub data_keys: i64,
    /// Secrets that were sealed anew.
    pub secrets: i64,
}

/// A secret, open; it is overwritten when it is dropped.
pub struct OpenSecret {
    name: String,
    hosts: Vec<String>,
    value: Zeroizing<String>,
}

impl std::fmt::Debug for OpenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSecret").field("name", &self.name).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl OpenSecret {
    /// The value, to be sent to this host; none when the secret is not bound to it.
    pub fn for_host(&self, host: &str) -> Option<&str> {
        self.hosts.iter().any(|bound| bound == host).then_some(self.value.as_str())
    }

    /// The value, to be used in a digest or a signature that the host computes; it must not leave in any other form.
    pub fn for_digest(&self) -> &str {
        &self.value
    }

    /// The hosts it may be sent to.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }
}

fn view(row: SecretRow) -> Result<SecretView> {
    Ok(SecretView {
        hosts: names("secrets.hosts", &row.hosts)?,
        name: row.name,
        updated_by: row.updated_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
        version: row.version,
    })
}

fn absent() -> ServiceError {
    ServiceError::conflict(
        "master-key-absent",
        "secrets need a master key: make one with `altyn secret master-key --out FILE` and set secrets.master_key_file",
    )
}

fn not_current() -> ServiceError {
    ServiceError::conflict(
        "master-key-not-current",
        "this host's master key is not the database's current one; configure that, or finish a rotation with \
         `altyn secret rotate --master`",
    )
}

fn unsealed(what: &str) -> ServiceError {
    ServiceError::Internal(format!(
        "{what} does not open: the database was changed by another program, or restored in part"
    ))
}

/// What is authenticated beside a wrapped data key.
fn beside_data_key<'a>(tenant: &'a Uuid, id: &'a Uuid) -> [&'a [u8]; 3] {
    [b"altyn data key", tenant.as_bytes(), id.as_bytes()]
}

/// What is authenticated beside a secret.
fn beside_secret<'a>(tenant: &'a Uuid, key: &'a Uuid, name: &'a str, hosts: &'a str) -> [&'a [u8]; 5] {
    [b"altyn secret", tenant.as_bytes(), key.as_bytes(), name.as_bytes(), hosts.as_bytes()]
}

/// What is authenticated beside the proof of a master key.
fn beside_proof(id: &str) -> [&[u8]; 2] {
    [b"altyn master key", id.as_bytes()]
}

impl Altyn {
    /// Keeps a secret; its value is never given back.
    pub async fn secret_set(&self, request: &Request, command: SetSecret) -> Result<Reply<SecretView>> {
        let mut fields = Fields::default();
        fields.take("/name", secret_name(&command.name));
        let length = command.value.reveal().len();
        if length == 0 || length > LONGEST {
            fields.refuse("/value", format!("must have 1 to {LONGEST} bytes"));
        }
        if command.hosts.len() > MOST_HOSTS {
            fields.refuse("/hosts", format!("must be at most {MOST_HOSTS}"));
        }
        for (at, host) in command.hosts.iter().enumerate() {
            fields.take(&format!("/hosts/{at}"), host_name(host));
        }
        fields.finish()?;
        let master = self.master_keys.current().ok_or_else(absent)?;
        // The record of the request must not let anybody try guesses at a short secret.
        let key = request.key.clone().map(|key| IdempotencyKey { fingerprint: master.keyed(key.fingerprint), ..key });
        let mut work = match self.begin(&Request { key, ..request.clone() }).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let (key_id, key) = self.data_key(&mut work, tenant, master).await?;
        let mut hosts = command.hosts;
        hosts.sort();
        hosts.dedup();
        let hosts = serde_json::Value::from(hosts).to_string();
        let plain = command.value.reveal().as_bytes();
        let sealed = key.seal(self.ids.secret(), &beside_secret(&tenant, &key_id, &command.name, &hosts), plain);
        let sealed = sealed.map_err(|_| ServiceError::Internal("a secret cannot be sealed".into()))?;
        let known = rows::secret_find(&mut work.tx, tenant, &command.name).await?;
        let row = SecretRow {
            name: command.name,
            data_key_id: key_id,
            hosts,
            sealed,
            updated_by: request.credential.clone(),
            created_at: known.as_ref().map_or(work.now, |known| known.created_at),
            updated_at: work.now,
            version: known.as_ref().map_or(1, |known| known.version + 1),
        };
        if let Some(known) = known {
            if !rows::secret_update(&mut work.tx, tenant, row.clone(), known.version).await? {
                return Err(ServiceError::Stale);
            }
            return work.finish(200, view(row)?).await;
        }
        if rows::secrets_count(&mut work.tx, tenant).await? >= MOST_SECRETS {
            let told = format!("a tenant keeps at most {MOST_SECRETS} secrets; delete one that is not used");
            return Err(ServiceError::conflict("too-many-secrets", told));
        }
        match rows::secret_insert(&mut work.tx, tenant, row.clone()).await {
            Ok(()) => work.finish(201, view(row)?).await,
            Err(StoreError::Duplicate(_)) => Err(ServiceError::Stale),
            Err(error) => Err(error.into()),
        }
    }

    /// The tenant's secrets by name, without values.
    pub async fn secret_list(&self, request: &Request, page: &Page) -> Result<Listed<SecretView>> {
        let limit = page.limit.unwrap_or(20);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(ServiceError::invalid("/limit", format!("must be between 1 and {LARGEST_PAGE}")));
        }
        let after = page.cursor.clone().unwrap_or_default();
        if !after.is_empty() && secret_name(&after).is_err() {
            return Err(ServiceError::invalid("/cursor", "is not a cursor of this list; take `next_cursor`"));
        }
        let mut tx = self.read(request).await?;
        let found = rows::secrets_list(&mut tx, request.tenant.0, &after, limit + 1).await?;
        page.listed(found, |row| row.name.clone(), view).try_data()
    }

    /// One secret without its value.
    pub async fn secret_get(&self, request: &Request, name: &str) -> Result<SecretView> {
        let mut tx = self.read(request).await?;
        view(rows::secret_find(&mut tx, request.tenant.0, name).await?.ok_or(ServiceError::NotFound("secret"))?)
    }

    /// Deletes a secret; what was sealed is gone from the database's tables.
    pub async fn secret_delete(&self, request: &Request, name: &str, if_match: i64) -> Result<Reply<SecretView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = rows::secret_find(&mut work.tx, request.tenant.0, name).await?;
        let row = row.ok_or(ServiceError::NotFound("secret"))?;
        if !rows::secret_delete(&mut work.tx, request.tenant.0, name, if_match).await? {
            return Err(ServiceError::Stale);
        }
        work.finish(200, view(row)?).await
    }

    /// Opens a tenant's secret for the host itself: to be sent to a host it is bound to, or to go into a digest.
    ///
    /// For a binding that a tenant inherits, the tenant is the owner of the binding, see [`crate::bindings::Bound::owner`].
    pub async fn secret_open(&self, tenant: TenantId, name: &str) -> Result<OpenSecret> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let row = rows::secret_find(&mut tx, tenant.0, name).await?.ok_or(ServiceError::NotFound("secret"))?;
        let key = rows::data_key_find(&mut tx, tenant.0, row.data_key_id).await?;
        drop(tx);
        let key = key.ok_or_else(|| unsealed("a data key"))?;
        let value = self.unwrapped(tenant.0, &key)?;
        let value = opened(&value, tenant.0, &row)?;
        Ok(OpenSecret { hosts: names("secrets.hosts", &row.hosts)?, name: row.name, value })
    }

    /// Makes a new data key for the tenant and seals all its secrets with it; the old key is forgotten.
    pub async fn secret_rotate(&self, request: &Request) -> Result<Reply<Rotated>> {
        let master = self.master_keys.current().ok_or_else(absent)?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let old = rows::data_keys(&mut work.tx, tenant).await?;
        let (id, key) = self.new_data_key(&mut work, tenant, master).await?;
        let secrets = rows::secrets_list(&mut work.tx, tenant, "", MOST_SECRETS + 1).await?;
        let mut rotated = Rotated { tenants: 1, data_keys: 1, secrets: 0 };
        for mut row in secrets {
            let before = old.iter().find(|key| key.id == row.data_key_id).ok_or_else(|| unsealed("a data key"))?;
            let value = opened(&self.unwrapped(tenant, before)?, tenant, &row)?;
            let beside = beside_secret(&tenant, &id, &row.name, &row.hosts);
            row.sealed = key
                .seal(self.ids.secret(), &beside, value.as_bytes())
                .map_err(|_| ServiceError::Internal("a secret cannot be sealed".into()))?;
            row.data_key_id = id;
            // The value is the same, so its version stays.
            let version = row.version;
            if !rows::secret_update(&mut work.tx, tenant, row, version).await? {
                return Err(ServiceError::Stale);
            }
            rotated.secrets += 1;
        }
        for key in old {
            match rows::data_key_delete(&mut work.tx, tenant, key.id).await {
                Ok(()) => {}
                Err(StoreError::Reference(_)) => return Err(ServiceError::Stale),
                Err(error) => return Err(error.into()),
            }
        }
        work.finish(200, rotated).await
    }

    /// Wraps every tenant's data keys with the configured master key, and retires the ones before it.
    ///
    /// Configure the new key as `secrets.master_key` and the old one as `secrets.previous_master_key` on every host first.
    /// From the first step on nothing new is wrapped with the old key; what is interrupted goes on when it is called again.
    pub async fn master_key_rotate(&self) -> Result<Rotated> {
        let master = self.master_keys.current().ok_or_else(absent)?;
        self.master_keys_check(true).await?;
        let mut tx = self.db.write(Scope::Platform).await?;
        rows::masters_leave(&mut tx, master.id()).await?;
        if !rows::master_hold(&mut tx, master.id()).await? {
            let proof = self.proof(master)?;
            if !rows::master_return(&mut tx, master.id(), proof.clone()).await? {
                rows::master_insert(&mut tx, master.id(), proof, self.clock.now()).await?;
            }
        }
        tx.commit().await?;
        let mut rotated = Rotated { tenants: 0, data_keys: 0, secrets: 0 };
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.db.read(Scope::Platform).await?;
            let page = tenants::list(&mut tx, "/", after, LARGEST_PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else { break };
            after = last.id;
            for tenant in page {
                rotated.tenants += 1;
                rotated.data_keys += self.rewrap(tenant.id, master).await?;
            }
        }
        let mut tx = self.db.write(Scope::Platform).await?;
        rows::masters_retire(&mut tx).await?;
        tx.commit().await?;
        Ok(rotated)
    }

    async fn rewrap(&self, tenant: Uuid, master: &MasterKey) -> Result<i64> {
        let mut tx = self.db.write(Scope::Tenant(tenant)).await?;
        let mut wrapped = 0;
        for key in rows::data_keys(&mut tx, tenant).await? {
            if key.master_key_id != master.id() {
                let plain = self.unwrapped(tenant, &key)?;
                let anew = self.wrapped(tenant, key.id, &plain, master)?;
                rows::data_key_rewrap(&mut tx, tenant, key.id, master.id(), anew).await?;
                wrapped += 1;
            }
        }
        tx.commit().await?;
        Ok(wrapped)
    }

    /// Checks that this host's master keys open what the database holds; `required` refuses a host without any.
    pub async fn master_keys_check(&self, required: bool) -> Result<()> {
        if self.master_keys.is_empty() && !required {
            return Ok(());
        }
        let mut tx = self.db.read(Scope::Platform).await?;
        for row in rows::masters(&mut tx).await? {
            let wrong = || {
                let given = self.master_keys.current().map_or_else(|| "none".to_owned(), |key| key.id().to_owned());
                ServiceError::conflict(
                    "wrong-master-key",
                    format!(
                        "the secrets of this database are kept under the master key {}, and {given} is configured; set \
                         secrets.master_key_file to that key, or secrets.previous_master_key_file while you rotate",
                        row.id
                    ),
                )
            };
            let key = self.master_keys.find(&row.id).ok_or_else(wrong)?;
            key.open(&beside_proof(&row.id), &row.proof).map_err(|_| wrong())?;
        }
        Ok(())
    }

    fn proof(&self, master: &MasterKey) -> Result<Vec<u8>> {
        let sealed = master.seal(self.ids.secret(), &beside_proof(master.id()), PROOF);
        sealed.map_err(|_| ServiceError::Internal("a proof cannot be sealed".into()))
    }

    /// The tenant's newest data key; the first one is made together with the record of the first master key.
    async fn data_key(&self, work: &mut Work, tenant: Uuid, master: &MasterKey) -> Result<(Uuid, DataKey)> {
        self.hold_current(work, master).await?;
        match rows::data_keys(&mut work.tx, tenant).await?.first() {
            Some(row) => Ok((row.id, self.unwrapped(tenant, row)?)),
            None => self.new_data_key(work, tenant, master).await,
        }
    }

    async fn new_data_key(&self, work: &mut Work, tenant: Uuid, master: &MasterKey) -> Result<(Uuid, DataKey)> {
        self.hold_current(work, master).await?;
        let (id, key) = (self.ids.next(), DataKey::new(Zeroizing::new(self.ids.secret())));
        let wrapped = self.wrapped(tenant, id, &key, master)?;
        let row = DataKeyRow { id, master_key_id: master.id().to_owned(), wrapped, created_at: work.now };
        rows::data_key_insert(&mut work.tx, tenant, row).await?;
        Ok((id, key))
    }

    /// Keeps the configured master key current until the transaction ends, or refuses.
    async fn hold_current(&self, work: &mut Work, master: &MasterKey) -> Result<()> {
        if rows::master_hold(&mut work.tx, master.id()).await? {
            return Ok(());
        }
        if !rows::masters(&mut work.tx).await?.is_empty() {
            return Err(not_current());
        }
        let proof = self.proof(master)?;
        match rows::master_insert(&mut work.tx, master.id(), proof, work.now).await {
            Ok(()) => Ok(()),
            // Another host was first, or this key was retired here once.
            Err(StoreError::Duplicate(_)) => Err(not_current()),
            Err(error) => Err(error.into()),
        }
    }

    fn wrapped(&self, tenant: Uuid, id: Uuid, key: &DataKey, master: &MasterKey) -> Result<Vec<u8>> {
        let wrapped = master.seal(self.ids.secret(), &beside_data_key(&tenant, &id), key.bytes());
        wrapped.map_err(|_| ServiceError::Internal("a data key cannot be wrapped".into()))
    }

    fn unwrapped(&self, tenant: Uuid, row: &DataKeyRow) -> Result<DataKey> {
        let master = self.master_keys.find(&row.master_key_id).ok_or_else(not_current)?;
        let bytes = master.open(&beside_data_key(&tenant, &row.id), &row.wrapped);
        bytes.and_then(|bytes| DataKey::from_bytes(&bytes)).map_err(|Unsealed| unsealed("a data key"))
    }
}

/// The value of a row.
fn opened(key: &DataKey, tenant: Uuid, row: &SecretRow) -> Result<Zeroizing<String>> {
    let beside = beside_secret(&tenant, &row.data_key_id, &row.name, &row.hosts);
    let plain = key.open(&beside, &row.sealed).map_err(|Unsealed| unsealed("a secret"))?;
    let text = std::str::from_utf8(&plain).map_err(|_| unsealed("a secret"))?;
    Ok(Zeroizing::new(text.to_owned()))
}
