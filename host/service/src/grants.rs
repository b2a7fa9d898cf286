//! What operators grant to plugins, tenant by tenant down the tree.
//!
//! Owns loading what was asked and granted, and asking [`altyn_domain::grant::effective`], the one place that decides
//! authority. A tenant grants at most what it has itself. Invariant: a grant remembers what the plugin asked for when it was
//! decided, so that an upgrade that asks for more is noticed before it is bound.

use altyn_domain::{
    grant::{Asked, Capabilities, Grant, LoweredLimits, effective, unanswered},
    id::TenantId,
};
use altyn_runtime::Digest;
use altyn_store::{
    Scope, StoreError,
    bindings::{self as rows, GrantRow},
    plugins::{ComponentRow, component_find},
    tenants,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError},
    page::{LARGEST_PAGE, Listed, Page},
    plugins::{names, parse_digest},
    usage::{limits_read, limits_text},
};

/// An answer to what a component asks for; it replaces the one before.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetGrant {
    /// SHA-256 of the installed component whose request is answered; the answer is for every version of the plugin.
    pub component: String,
    /// Hosts that it may reach, of those it asks for.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Secrets that may be used for it, of those it asks for.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Limits of its calls below those of the installation.
    #[serde(default)]
    pub limits: LoweredLimits,
}

/// What was granted to a plugin.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GrantView {
    /// The plugin's id.
    pub plugin_id: String,
    /// Hosts that it asked for when this was decided.
    pub asked_hosts: Vec<String>,
    /// Secrets that it asked for when this was decided.
    pub asked_secrets: Vec<String>,
    /// Hosts that it may reach.
    pub hosts: Vec<String>,
    /// Secrets that may be used for it.
    pub secrets: Vec<String>,
    /// Limits of its calls.
    pub limits: LoweredLimits,
    /// The credential that decided.
    pub decided_by: String,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// Counts decisions.
    pub version: i64,
}

/// What a component may do for a tenant, and what nobody has decided about.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CapabilitiesView {
    /// SHA-256 of the component.
    pub digest: String,
    /// The plugin's id.
    pub plugin_id: String,
    /// Hosts it asks for.
    pub asked_hosts: Vec<String>,
    /// Secrets it asks for.
    pub asked_secrets: Vec<String>,
    /// Asked and granted.
    pub effective: Capabilities,
    /// What it asks for that no operator has decided about: `host …`, `secret …`. While there is any, it is not bound.
    pub undecided: Vec<String>,
}

/// What a row asks for.
pub(crate) fn asked(row: &ComponentRow) -> Result<Asked> {
    Ok(Asked {
        hosts: names("components.hosts", &row.hosts)?.into_iter().collect(),
        secrets: names("components.secrets", &row.secrets)?.into_iter().collect(),
    })
}

fn list(names: &[String]) -> String {
    serde_json::Value::from(names.to_vec()).to_string()
}

fn view(row: GrantRow) -> Result<GrantView> {
    Ok(GrantView {
        plugin_id: row.plugin_id,
        asked_hosts: names("grants.asked_hosts", &row.asked_hosts)?,
        asked_secrets: names("grants.asked_secrets", &row.asked_secrets)?,
        hosts: names("grants.hosts", &row.hosts)?,
        secrets: names("grants.secrets", &row.secrets)?,
        limits: limits_read("grants.limits", &row.limits)?,
        decided_by: row.decided_by,
        decided_at: row.decided_at,
        version: row.version,
    })
}

/// What was granted and answered, from the root of the tree down to a tenant.
struct Chain {
    grants: Vec<Option<Grant>>,
    answered: Option<Asked>,
}

impl Altyn {
    /// The tenants from the root of the tree down to this one.
    pub(crate) async fn ancestry(&self, tenant: TenantId) -> Result<Vec<Uuid>> {
        let mut tx = self.db.read(Scope::Platform).await?;
        let row = tenants::find(&mut tx, tenant.0).await?.ok_or(ServiceError::NotFound("tenant"))?;
        let ids = row.path.split('/').filter(|part| !part.is_empty()).map(Uuid::try_parse);
        let ids = ids.collect::<std::result::Result<Vec<Uuid>, _>>();
        ids.map_err(|_| StoreError::Corrupt("tenants.path", row.path.clone()).into())
    }

    async fn chain(&self, ancestry: &[Uuid], plugin: &str) -> Result<Chain> {
        let mut chain = Chain { grants: Vec::with_capacity(ancestry.len()), answered: None };
        for tenant in ancestry {
            let mut tx = self.db.read(Scope::Tenant(*tenant)).await?;
            let row = rows::grant_find(&mut tx, *tenant, plugin).await?;
            drop(tx);
            let grant = row.map(view).transpose()?;
            if let Some(grant) = &grant {
                let (hosts, secrets) = (&grant.asked_hosts, &grant.asked_secrets);
                let (hosts, secrets) = (hosts.iter().cloned().collect(), secrets.iter().cloned().collect());
                chain.answered = Some(Asked { hosts, secrets });
            }
            chain.grants.push(grant.map(|grant| Grant {
                hosts: grant.hosts.into_iter().collect(),
                secrets: grant.secrets.into_iter().collect(),
                limits: grant.limits,
            }));
        }
        Ok(chain)
    }

    /// What an installed component may do for a tenant: asked, and granted from the root of the tree down to the tenant.
    pub async fn granted(&self, tenant: TenantId, plugin: Digest) -> Result<Capabilities> {
        let mut tx = self.db.read(Scope::Platform).await?;
        let row = component_find(&mut tx, plugin.0.to_vec()).await?.ok_or(ServiceError::NotFound("component"))?;
        drop(tx);
        let chain = self.chain(&self.ancestry(tenant).await?, &row.plugin_id).await?;
        Ok(effective(&asked(&row)?, &chain.grants))
    }

    /// What a component asks for that nobody from the tenant upwards has decided about.
    pub(crate) async fn undecided(&self, tenant: TenantId, row: &ComponentRow) -> Result<Vec<String>> {
        let asked = asked(row)?;
        if asked == Asked::default() {
            return Ok(Vec::new());
        }
        let chain = self.chain(&self.ancestry(tenant).await?, &row.plugin_id).await?;
        Ok(unanswered(&asked, chain.answered.as_ref()))
    }

    /// What an installed component may do for the acting tenant.
    pub async fn plugin_capabilities(&self, request: &Request, digest: &str) -> Result<CapabilitiesView> {
        let row = self.plugin_row(digest).await?;
        let asked = asked(&row)?;
        let chain = self.chain(&self.ancestry(request.tenant).await?, &row.plugin_id).await?;
        Ok(CapabilitiesView {
            digest: hex::encode(&row.digest),
            plugin_id: row.plugin_id,
            effective: effective(&asked, &chain.grants),
            undecided: unanswered(&asked, chain.answered.as_ref()),
            asked_hosts: asked.hosts.into_iter().collect(),
            asked_secrets: asked.secrets.into_iter().collect(),
        })
    }

    /// Grants a plugin some of what it asks for, for the acting tenant and those below it.
    pub async fn grant_set(&self, request: &Request, command: SetGrant) -> Result<Reply<GrantView>> {
        if parse_digest(&command.component).is_none() {
            return Err(ServiceError::invalid("/component", "must be a SHA-256 digest of 64 hexadecimal digits"));
        }
        let row = self.plugin_row(&command.component).await.map_err(|error| match error {
            ServiceError::NotFound(_) => {
                ServiceError::invalid("/component", "is not installed; install the component first")
            }
            error => error,
        })?;
        let asked = asked(&row)?;
        let mut ancestry = self.ancestry(request.tenant).await?;
        ancestry.pop();
        // The root takes from what is asked; everybody below from what it has itself.
        let above = if ancestry.is_empty() {
            Capabilities {
                hosts: asked.hosts.clone(),
                secrets: asked.secrets.clone(),
                limits: LoweredLimits::default(),
            }
        } else {
            effective(&asked, &self.chain(&ancestry, &row.plugin_id).await?.grants)
        };
        let mut fields = Fields::default();
        for (what, given, asked, above) in [
            ("hosts", &command.hosts, &asked.hosts, &above.hosts),
            ("secrets", &command.secrets, &asked.secrets, &above.secrets),
        ] {
            for (at, name) in given.iter().enumerate() {
                if !asked.contains(name) {
                    fields.refuse(format!("/{what}/{at}"), "is not asked for by the component");
                } else if !above.contains(name) {
                    fields.refuse(format!("/{what}/{at}"), "is not granted to the tenant above");
                }
            }
        }
        for (limit, what) in command.limits.beyond(&above.limits) {
            fields.refuse(format!("/limits/{limit}"), what);
        }
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names.dedup();
            names
        };
        let grant = GrantRow {
            plugin_id: row.plugin_id.clone(),
            asked_hosts: row.hosts,
            asked_secrets: row.secrets,
            hosts: list(&sorted(command.hosts)),
            secrets: list(&sorted(command.secrets)),
            limits: limits_text(&command.limits),
            decided_by: request.credential.clone(),
            decided_at: work.now,
            version: 1,
        };
        rows::grant_set(&mut work.tx, request.tenant.0, grant).await?;
        let stored = rows::grant_find(&mut work.tx, request.tenant.0, &row.plugin_id).await?;
        let stored = stored.ok_or_else(|| ServiceError::Internal("a grant vanished".into()))?;
        let status = if stored.version == 1 { 201 } else { 200 };
        work.finish(status, view(stored)?).await
    }

    /// The acting tenant's grants by plugin.
    pub async fn grant_list(&self, request: &Request, page: &Page) -> Result<Listed<GrantView>> {
        let limit = page.limit.unwrap_or(20);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(ServiceError::invalid("/limit", format!("must be between 1 and {LARGEST_PAGE}")));
        }
        let after = page.cursor.clone().unwrap_or_default();
        let mut tx = self.read(request).await?;
        let found = rows::grants_list(&mut tx, request.tenant.0, &after, limit + 1).await?;
        page.listed(found, |row| row.plugin_id.clone(), view).try_data()
    }

    /// The acting tenant's grant to a plugin.
    pub async fn grant_get(&self, request: &Request, plugin: &str) -> Result<GrantView> {
        let mut tx = self.read(request).await?;
        view(rows::grant_find(&mut tx, request.tenant.0, plugin).await?.ok_or(ServiceError::NotFound("grant"))?)
    }
}
