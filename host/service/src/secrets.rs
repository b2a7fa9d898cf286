//! Where the secrets of bindings come from.
//!
//! A port: the use cases ask for a secret by its name, and whoever composes the application says who keeps it. Invariant:
//! a secret's bytes are never printed, and are wiped when they are dropped.

use std::fmt;

use altyn_domain::id::{BindingId, TenantId};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Result;

/// A secret and where it may be sent.
#[derive(Clone)]
pub struct Secret {
    /// Its bytes.
    pub value: Zeroizing<Vec<u8>>,
    /// The hosts that it may be sent to; none for secrets that are only computed with.
    pub hosts: Vec<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// Keeps secrets.
pub trait Secrets: fmt::Debug + Send + Sync {
    /// The secret that a binding of a tenant was given under this name; None when it was given none.
    fn open<'a>(&'a self, tenant: TenantId, binding: BindingId, name: &'a str)
    -> BoxFuture<'a, Result<Option<Secret>>>;
}

/// One secret of the settings.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSetting {
    /// Whose it is.
    pub tenant: TenantId,
    /// For which binding; for all of the tenant's that ask for this name when absent.
    #[serde(default)]
    pub binding: Option<BindingId>,
    /// The name that plugins ask for.
    pub name: String,
    /// The secret itself.
    pub value: String,
    /// The hosts that it may be sent to.
    #[serde(default)]
    pub hosts: Vec<String>,
}

impl fmt::Debug for SecretSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, binding, name, hosts, .. } = self;
        f.debug_struct("SecretSetting")
            .field("tenant", tenant)
            .field("binding", binding)
            .field("name", name)
            .field("hosts", hosts)
            .finish_non_exhaustive()
    }
}

/// Secrets that stand in the settings of the host.
#[derive(Debug, Clone, Default)]
pub struct ConfiguredSecrets(Vec<SecretSetting>);

impl ConfiguredSecrets {
    /// These and no others.
    pub fn new(secrets: Vec<SecretSetting>) -> Self {
        Self(secrets)
    }
}

impl Secrets for ConfiguredSecrets {
    fn open<'a>(
        &'a self,
        tenant: TenantId,
        binding: BindingId,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Secret>>> {
        let of = |wanted: Option<BindingId>| {
            self.0.iter().find(|entry| entry.tenant == tenant && entry.binding == wanted && entry.name == name)
        };
        let found = of(Some(binding)).or_else(|| of(None)).map(|entry| Secret {
            value: Zeroizing::new(entry.value.clone().into_bytes()),
            hosts: entry.hosts.clone(),
        });
        Box::pin(async move { Ok(found) })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entry(tenant: u128, binding: Option<u128>, value: &str) -> SecretSetting {
        SecretSetting {
            tenant: TenantId(Uuid::from_u128(tenant)),
            binding: binding.map(|id| BindingId(Uuid::from_u128(id))),
            name: "key".into(),
            value: value.into(),
            hosts: vec!["a.example".into()],
        }
    }

    #[tokio::test]
    async fn a_secret_belongs_to_its_tenant_and_a_bindings_own_comes_first() {
        let secrets = ConfiguredSecrets::new(vec![entry(1, None, "of-all"), entry(1, Some(7), "of-seven")]);
        let open = async |tenant, binding, name| {
            let (tenant, binding) = (TenantId(Uuid::from_u128(tenant)), BindingId(Uuid::from_u128(binding)));
            secrets.open(tenant, binding, name).await.unwrap().map(|secret| secret.value.to_vec())
        };
        assert_eq!(open(1, 7, "key").await, Some(b"of-seven".to_vec()));
        assert_eq!(open(1, 8, "key").await, Some(b"of-all".to_vec()));
        assert_eq!(open(2, 7, "key").await, None);
        assert_eq!(open(1, 7, "other").await, None);
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert!(!format!("{:?}", ConfiguredSecrets::new(vec![entry(1, None, "s3cret-value")])).contains("s3cret"));
    }
}
