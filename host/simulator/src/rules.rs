//! The rules of an operator that change in a step: how periods are shared, who agrees to plans, when debts are chased, how long
//! what is unpaid stays in service.

use altyn_domain::id::PriceOverrideId;
use serde_json::{Value, json};

use crate::{
    act::{NOBODY, chosen, fit, latest, word},
    life::{Life, failed},
    place::STRATEGIES,
};

/// The stages and attempts of dunning at a scope.
pub fn dunning(scope: &str, reminded: i64, stopped: i64) -> Value {
    let ladder: &[i64] = if scope == "contract" { &[1, 3, 5] } else { &[] };
    json!({ "scope": scope, "ladder": ladder, "suspending_tags": ["court"], "stages": [
        { "code": "reminder", "when": { "days_at_least": reminded, "unpaid_at_least_minor": 1 }, "notice": "mail" },
        { "code": "stopped", "when": { "days_at_least": stopped, "unpaid_at_least_minor": 5_000 },
            "block": "overdue" } ] })
}

impl Life<'_> {
    /// Another component decides what a part of a period costs.
    pub(crate) async fn strategy(&mut self, place: usize, strategy: u8) -> anyhow::Result<String> {
        // Days that are closed later are closed by the new one.
        if self.timeless {
            return Ok(NOBODY.to_owned());
        }
        let id = self.operators[place].strategy;
        let name = chosen(&STRATEGIES, strategy).unwrap_or("day-ratio");
        let component = self.component(name);
        let request = self.operators[place].request();
        let seen = self.until_answered(async |altyn| altyn.binding_get(&request, id).await).await?;
        let version = seen.map_err(failed)?.version;
        let sent = self
            .send(place, async |altyn, request| {
                let upgrade = fit(json!({ "component": component, "config": {} }))?;
                altyn.binding_upgrade(request, id, version, upgrade).await
            })
            .await?;
        Ok(word(&sent))
    }

    /// Other plans of runs with confirmation pass by themselves, or need two.
    pub(crate) async fn approval(
        &mut self,
        place: usize,
        four_eyes: bool,
        largest: Option<i64>,
    ) -> anyhow::Result<String> {
        let request = self.operators[place].request();
        let seen = self.until_answered(async |altyn| altyn.approval_policy_get(&request).await).await?;
        let version = seen.map_err(failed)?.version;
        let wish = json!({ "four_eyes": four_eyes, "largest_gross_minor": largest });
        let sent = self
            .send(place, async |altyn, request| altyn.approval_policy_set(request, version, fit(wish.clone())?).await)
            .await?;
        Ok(word(&sent))
    }

    /// Debts are chased at other times.
    pub(crate) async fn chase(&mut self, place: usize, reminded: i64, stopped: i64) -> anyhow::Result<String> {
        let Some((id, scope)) = self.operators[place].dunning else { return Ok(NOBODY.to_owned()) };
        let request = self.operators[place].request();
        let seen = self.until_answered(async |altyn| altyn.dunning_policy_get(&request, id).await).await?;
        let version = seen.map_err(failed)?.version;
        let wish = dunning(scope, reminded, stopped);
        let sent = self
            .send(place, async |altyn, request| {
                altyn.dunning_policy_replace(request, id, version, fit(wish.clone())?).await
            })
            .await?;
        Ok(word(&sent))
    }

    /// A service term gives another time.
    pub(crate) async fn retime(&mut self, place: usize, term: u8, grace: i64, keep: i64) -> anyhow::Result<String> {
        let Some(id) = chosen(&self.operators[place].terms, term) else { return Ok(NOBODY.to_owned()) };
        let request = self.operators[place].request();
        let seen = self.until_answered(async |altyn| altyn.service_term_get(&request, id).await).await?;
        let seen = seen.map_err(failed)?;
        let wish = json!({ "name": seen.name, "stop_mode": seen.stop_mode, "delete_mode": seen.delete_mode,
            "grace_days": grace, "keep_days": keep, "payable_by_promise": keep % 2 == 0 });
        let sent = self
            .send(place, async |altyn, request| {
                altyn.service_term_update(request, id, seen.version, fit(wish.clone())?).await
            })
            .await?;
        Ok(word(&sent))
    }

    /// A price of a contract's own is taken away.
    pub(crate) async fn drop_price(&mut self, place: usize, price: u8) -> anyhow::Result<String> {
        let Some(id): Option<PriceOverrideId> = latest(&self.operators[place].prices, price) else {
            return Ok(NOBODY.to_owned());
        };
        let sent = self
            .send(place, async |altyn, request| {
                altyn.price_override_remove(request, id, fit(json!({ "comment": "over" }))?).await
            })
            .await?;
        Ok(word(&sent))
    }
}
