//! Decisions that came out differently when they were made again: told as events, so that an operator sees them.
//!
//! The runtime finds them, see [`altyn_runtime::Difference`]; this stores what was found, once. What a host found since it
//! stored last is lost when its process dies; its log has it.

use altyn_domain::id::{CallId, TenantId};
use altyn_runtime::Difference;
use altyn_store::{Scope, runs};
use serde_json::json;
use uuid::Uuid;

use crate::{context::Altyn, error::Result};

/// The kind of the events.
pub const DIFFERS: &str = "plugin.nondeterministic";

impl Altyn {
    /// Stores what rechecks found since the last time; what cannot be stored now is kept for the next time.
    pub(crate) async fn differences_store(&self) -> Result<()> {
        let mut found = self.plugins.runtime().differences_take();
        while let Some(difference) = found.pop() {
            // Measurements and trials call for tenants that do not exist.
            let Ok(tenant) = difference.tenant.parse::<TenantId>() else { continue };
            if let Err(error) = self.difference_store(tenant, &difference).await {
                found.push(difference);
                self.plugins.runtime().differences_give_back(found);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn difference_store(&self, tenant: TenantId, difference: &Difference) -> Result<()> {
        let payload = json!({
            "code": Difference::CODE,
            "binding": difference.binding,
            "component": difference.component.to_string(),
            "world": difference.world.as_str(),
            "export": difference.export,
            "input": difference.input.to_string(),
            "difference": difference.why,
        });
        let subject = CallId(Uuid::from_u128(difference.call)).to_string();
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        let (id, now) = (self.ids.next(), self.clock.now());
        runs::outbox_insert(&mut tx, tenant.0, id, DIFFERS, &subject, &payload.to_string(), now).await?;
        Ok(tx.commit().await?)
    }
}
