//! What is done in a step: numbers become objects that exist, wishes become commands, answers become a word.
//!
//! A refusal with a stable code is an outcome like another; what only a fault explains ends the life.

use altyn_domain::id::{ChargeId, ContractId, SubscriptionId};
use altyn_domain::terms::OperationState;
use altyn_service::{
    ServiceError,
    changes::{ChangeSubscription, ExecuteChange, RenewContract},
    charges::ChargeFilter,
    manual_operations::OperationFilter,
    page::Page,
};
use chrono::{Datelike as _, Days, NaiveDate, TimeDelta};
use serde_json::{Value, json};

use crate::{
    life::{Life, expected, failed},
    operator::command,
    step::{Act, Wish},
};

/// The word of an outcome.
pub(crate) fn word<T>(answer: &Result<T, ServiceError>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(ServiceError::Invalid(fields)) => {
            let pointers: Vec<_> = fields.iter().map(|field| field.pointer.as_str()).collect();
            format!("invalid {}", pointers.join(" "))
        }
        Err(error) => error.code().to_owned(),
    }
}

pub(crate) fn chosen<T: Clone>(of: &[T], number: u8) -> Option<T> {
    of.get(usize::from(number) % of.len().max(1)).cloned()
}

/// One of the last few: what was made long ago has mostly ended.
pub(crate) fn latest<T: Clone>(of: &[T], number: u8) -> Option<T> {
    chosen(&of[of.len().saturating_sub(3)..], number)
}

fn day(from: NaiveDate, days: i64) -> NaiveDate {
    from.checked_add_signed(TimeDelta::days(days)).unwrap_or(from)
}

pub(crate) const NOBODY: &str = "nothing to do it with";

impl Life<'_> {
    /// Does what a step says at one of the operators; answers what became of it.
    pub(crate) async fn act(&mut self, place: usize, number: usize, act: &Act) -> anyhow::Result<String> {
        let today = self.today(place)?;
        let contract = |life: &Self, number: u8| chosen(&life.operators[place].contracts, number);
        match *act {
            Act::Wait => Ok("ok".to_owned()),
            Act::Subscribe { contract: of, plan, starts_in_days, quantity, charges, discount, off, manual } => {
                let Some(contract) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let plans = &self.operators[place].plans;
                let code = plans[usize::from(plan) % plans.len()].0.clone();
                let mut wish = json!({ "contract_id": contract, "plan_code": code, "quantity": quantity.to_string(),
                    "starts_on": day(today, starts_in_days), "charges": charges,
                    "external_system": "simulator", "external_id": format!("step-{number}") });
                if manual {
                    wish["manual"] = json!(true);
                }
                if discount > 0 {
                    wish["discount_percent"] = json!(discount.to_string());
                } else if let Some(off) = off {
                    wish["discount_minor"] = json!(off);
                }
                if discount % 2 == 0 && (discount > 0 || off.is_some_and(|off| off % 2 == 0)) {
                    wish["discount_from"] = json!(today);
                    wish["discount_until"] = json!(day(today, 3 * i64::from(discount.max(20))));
                }
                let sent = self
                    .send(place, async |altyn, request| altyn.subscription_create(request, fit(wish.clone())?).await)
                    .await?;
                if let Ok(made) = &sent {
                    self.operators[place].subscriptions.push(made.id);
                }
                Ok(word(&sent))
            }
            Act::Change { subscription, ref wish, in_days, timing, current_day } => {
                // Only what pauses resumes.
                let paused = latest(&self.operators[place].paused, subscription);
                let aimed = paused.filter(|_| matches!(wish, Wish::Resume) && subscription % 4 != 0);
                let Some(id) = aimed.or_else(|| self.subscription(place, subscription)) else {
                    return Ok(NOBODY.to_owned());
                };
                // Nothing goes back behind recorded use: it would be left without a window that bills it.
                let back = in_days < 0 || timing == Some("start-of-term");
                let (in_days, timing) =
                    if back && self.operators[place].used.contains(&id) { (0, None) } else { (in_days, timing) };
                let change = self.wish(place, wish, today, in_days, timing, current_day)?;
                let outcome = self.change(place, id, change).await?;
                if matches!(wish, Wish::Pause) && ["executed", "scheduled"].contains(&outcome.as_str()) {
                    self.operators[place].paused.push(id);
                }
                Ok(outcome)
            }
            Act::Renew { contract: of } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let request = self.operators[place].request();
                let seen = self.until_answered(async |altyn| altyn.contract_renew_preview(&request, id).await).await?;
                let seen = match seen {
                    Ok(seen) => seen,
                    Err(error) => return Ok(word(&Err::<(), _>(expected(error)?))),
                };
                let sent = self
                    .send(place, async |altyn, request| {
                        let command =
                            RenewContract { plan_hash: seen.plan_hash.clone(), effects: Some(seen.effects.clone()) };
                        altyn.contract_renew(request, id, command).await
                    })
                    .await?;
                as_previewed(&sent)?;
                Ok(word(&sent))
            }
            Act::Withdraw { change } => {
                let Some(id) = latest(&self.operators[place].changes, change) else { return Ok(NOBODY.to_owned()) };
                let sent = self.send(place, async |altyn, request| altyn.change_withdraw(request, id).await).await?;
                Ok(word(&sent))
            }
            Act::End { subscription, in_days } => {
                let Some(id) = self.subscription(place, subscription) else { return Ok(NOBODY.to_owned()) };
                let request = self.operators[place].request();
                let seen = self.until_answered(async |altyn| altyn.subscription_get(&request, id).await).await?;
                let version = seen.map_err(failed)?.version;
                // Whether days behind the end are charged depends on when days are closed.
                let end = json!({ "on": day(today, in_days), "keep_charged": true });
                let sent = self
                    .send(place, async |altyn, request| {
                        altyn.subscription_cancel(request, id, version, fit(end.clone())?).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Pay { contract: of, amount, by } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                self.pay(place, number, id, amount, by).await
            }
            Act::PayDebt { contract: of } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let request = self.operators[place].request();
                let seen = self.until_answered(async |altyn| altyn.contract_credit(&request, id).await).await?;
                match seen.map_err(failed)?.balance_minor {
                    debt if debt < 0 => self.pay(place, number, id, -debt, 1).await,
                    _ => Ok("no debt".to_owned()),
                }
            }
            Act::Reverse { payment } => {
                let Some(id) = chosen(&self.operators[place].payments, payment) else { return Ok(NOBODY.to_owned()) };
                let reversal = json!({ "effective_on": today, "description": "taken back" });
                let sent = self
                    .send(place, async |altyn, request| {
                        altyn.transaction_reverse(request, id, fit(reversal.clone())?).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Adjust { contract: of, amount } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let entries = [("adjustments".to_owned(), amount), (format!("contract/{id}/funds"), -amount)];
                self.post(place, &format!("adjust-{number}"), "adjustment", &entries).await.map(|posted| word(&posted))
            }
            Act::Promise { contract: of, amount, days } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let wish = json!({ "contract_id": id, "amount_minor": amount, "expires_on": day(today, days),
                    "comment": "will pay" });
                let sent = self
                    .send(place, async |altyn, request| altyn.promise_give(request, fit(wish.clone())?).await)
                    .await?;
                if let Ok(given) = &sent {
                    self.operators[place].promises.push(given.id);
                }
                Ok(word(&sent))
            }
            Act::Revoke { promise } => {
                let Some(id) = latest(&self.operators[place].promises, promise) else { return Ok(NOBODY.to_owned()) };
                let sent = self.send(place, async |altyn, request| altyn.promise_revoke(request, id).await).await?;
                Ok(word(&sent))
            }
            Act::Transfer { from, to, amount } => {
                // The first three are one customer's.
                let related = if from % 4 == 0 { usize::MAX } else { 3 };
                let contracts = &self.operators[place].contracts;
                let contracts = &contracts[..contracts.len().min(related)];
                let (Some(from), Some(to)) = (chosen(contracts, from), chosen(contracts, to)) else {
                    return Ok(NOBODY.to_owned());
                };
                let wish = json!({ "source_key": format!("transfer-{number}"), "from_contract_id": from,
                    "to_contract_id": to, "amount_minor": amount, "description": "moved" });
                let sent = self
                    .send(place, async |altyn, request| altyn.contract_transfer(request, fit(wish.clone())?).await)
                    .await?;
                Ok(word(&sent))
            }
            Act::Block { on, whole_contract, starts_in_hours, lasts_hours } => {
                let starts = self.now() + TimeDelta::hours(starts_in_hours);
                let types = ["administrative", "fraud", "service"];
                let of = *types.get(usize::from(on % 3)).unwrap_or(&"service");
                // What such a block takes out of service depends on what was charged before, so on when days are closed.
                let of = if self.timeless && of == "administrative" { "service" } else { of };
                let mut wish = json!({ "block_type": of, "comment": "because", "starts_at": starts });
                if let Some(hours) = lasts_hours {
                    wish["ends_at"] = json!(starts + TimeDelta::hours(hours));
                }
                match (whole_contract, contract(self, on), self.subscription(place, on)) {
                    (true, Some(id), _) => wish["contract_id"] = json!(id),
                    (false, _, Some(id)) => wish["subscription_id"] = json!(id),
                    _ => return Ok(NOBODY.to_owned()),
                }
                let sent =
                    self.send(place, async |altyn, request| altyn.block_set(request, fit(wish.clone())?).await).await?;
                if let Ok(set) = &sent {
                    self.operators[place].blocks.push(set.id);
                }
                Ok(word(&sent))
            }
            Act::Lift { block } => {
                let Some(id) = latest(&self.operators[place].blocks, block) else { return Ok(NOBODY.to_owned()) };
                let sent = self
                    .send(place, async |altyn, request| {
                        altyn.block_lift(request, id, fit(json!({ "comment": "enough" }))?).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Credit { charge, part } => {
                let Some(contract) = contract(self, charge) else { return Ok(NOBODY.to_owned()) };
                let Some((id, amount)) = self.charge(place, contract, charge).await? else {
                    return Ok(NOBODY.to_owned());
                };
                let mut wish = json!({ "reason": "a complaint", "credited_on": today });
                if let Some(part) = part {
                    wish["amount_minor"] = json!((amount * i64::from(part) / 100).max(1));
                }
                let sent = self
                    .send(place, async |altyn, request| altyn.charge_credit(request, id, fit(wish.clone())?).await)
                    .await?;
                Ok(word(&sent))
            }
            Act::Limit { contract: of, amount } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let request = self.operators[place].request();
                let seen = self.until_answered(async |altyn| altyn.contract_get(&request, id).await).await?;
                let version = seen.map_err(failed)?.version;
                let sent = self
                    .send(place, async |altyn, request| {
                        let update = fit(json!({ "credit_limit_minor": amount }))?;
                        altyn.contract_update(request, id, version, update).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Place { contract: of, below, priority, court } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let parent = below.and_then(|number| contract(self, number));
                let request = self.operators[place].request();
                let seen = self.until_answered(async |altyn| altyn.contract_control_get(&request, id).await).await?;
                let version = seen.map_err(failed)?.version;
                let tags: &[&str] = if court { &["court"] } else { &[] };
                let wish = json!({ "parent_id": parent, "priority": priority, "tags": tags });
                let sent = self
                    .send(place, async |altyn, request| {
                        altyn.contract_control_set(request, id, version, fit(wish.clone())?).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Term { subscription, term } => {
                let Some(id) = self.subscription(place, subscription) else { return Ok(NOBODY.to_owned()) };
                let term = term.and_then(|number| chosen(&self.operators[place].terms, number));
                let request = self.operators[place].request();
                let seen = self.until_answered(async |altyn| altyn.subscription_get(&request, id).await).await?;
                let version = seen.map_err(failed)?.version;
                let sent = self
                    .send(place, async |altyn, request| {
                        let attach = fit(json!({ "service_term_id": term }))?;
                        altyn.subscription_service_term_set(request, id, version, attach).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Decide { approve } => self.decide(place, approve).await,
            Act::Policy { limit, deferral_days } => {
                let Some(id) = self.operators[place].policy else { return Ok(NOBODY.to_owned()) };
                let request = self.operators[place].request();
                let seen = self.until_answered(async |altyn| altyn.credit_policy_get(&request, id).await).await?;
                let version = seen.map_err(failed)?.version;
                let wish = json!({ "credit_limit_minor": limit, "deferral_days": deferral_days,
                    "promise_most_minor": 300_000, "promise_days": 30, "promises_at_once": 2 });
                let sent = self
                    .send(place, async |altyn, request| {
                        altyn.credit_policy_update(request, id, version, fit(wish.clone())?).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Reprice { plan, percent, existing } => self.reprice(place, today, plan, percent, existing).await,
            Act::OwnPrice { contract: of, plan, percent } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let plans = &self.operators[place].plans;
                let (code, _, version) = &plans[usize::from(plan) % plans.len()];
                let component = &version["components"][0];
                let price = component["unit_price_minor"].as_i64().unwrap_or(0);
                let mut wish = json!({ "plan_code": code, "component": component["code"],
                    "unit_price_minor": price * i64::from(percent) / 100, "from": day(today, 1),
                    "until": day(today, 90), "comment": "agreed" });
                match self.subscription(place, of).filter(|_| percent % 3 == 0) {
                    Some(single) => wish["subscription_id"] = json!(single),
                    None => wish["contract_id"] = json!(id),
                }
                let sent = self
                    .send(place, async |altyn, request| altyn.price_override_set(request, fit(wish.clone())?).await)
                    .await?;
                if let Ok(set) = &sent {
                    self.operators[place].prices.push(set.id);
                }
                Ok(word(&sent))
            }
            Act::DropPrice { price } => self.drop_price(place, price).await,
            Act::Use { subscription, back_hours, salt } => {
                self.record(place, number, subscription, back_hours, salt).await
            }
            Act::Import { salt } => self.import(place, number, today, salt).await,
            Act::Strategy { strategy } => self.strategy(place, strategy).await,
            Act::Approval { four_eyes, largest } => self.approval(place, four_eyes, largest).await,
            Act::Chase { reminded, stopped } => self.chase(place, reminded, stopped).await,
            Act::Retime { term, grace, keep } => self.retime(place, term, grace, keep).await,
            Act::Edit { subscription, short_funds, discount, off, left } => {
                let Some(id) = self.subscription(place, subscription) else { return Ok(NOBODY.to_owned()) };
                let mut wish = json!({ "description": format!("edited in step {number}") });
                // Whether money is there in time is another matter when days are closed late.
                if let Some(policy) = short_funds.filter(|_| !self.timeless) {
                    wish["short_funds"] = json!(policy);
                }
                if let Some(percent) = discount {
                    wish["discount_percent"] = json!(percent.to_string());
                    wish["discount_minor"] = json!(0);
                } else if let Some(off) = off {
                    wish["discount_percent"] = json!("0");
                    wish["discount_minor"] = json!(off);
                    wish["discount_from"] = json!(None::<NaiveDate>);
                    wish["discount_until"] = json!(off.is_multiple_of(2).then(|| day(today, i64::from(off % 100))));
                }
                if let Some(left) = left {
                    wish["charges_left"] = json!(left);
                }
                let version = self.subscription_version(place, id).await?;
                let sent = self
                    .send(place, async |altyn, request| {
                        altyn.subscription_update(request, id, version, fit(wish.clone())?).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Zone { contract: of, zone } => {
                let Some(id) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let request = self.operators[place].request();
                let seen = self.until_answered(async |altyn| altyn.contract_get(&request, id).await).await?;
                let version = seen.map_err(failed)?.version;
                let sent = self
                    .send(place, async |altyn, request| {
                        altyn.contract_update(request, id, version, fit(json!({ "zone": zone }))?).await
                    })
                    .await?;
                Ok(word(&sent))
            }
            Act::Order { contract: of, plan } => {
                let Some(contract) = contract(self, of) else { return Ok(NOBODY.to_owned()) };
                let plans = &self.operators[place].plans;
                let code = plans[usize::from(plan) % plans.len()].0.clone();
                let wish = json!({ "contract_id": contract, "plan_code": code, "starts_on": today, "pending": true });
                // Whether an order is paid depends on what was charged before, so on when days are closed.
                if plan % 4 != 0 && !self.timeless {
                    let order = json!({ "subscription": wish });
                    let sent = self
                        .send(place, async |altyn, request| altyn.order_place(request, fit(order.clone())?).await)
                        .await?;
                    if let Ok(made) = &sent {
                        self.operators[place].subscriptions.push(made.subscription_id);
                        self.operators[place].orders.push((made.id, made.subscription_id));
                    }
                    return Ok(word(&sent));
                }
                let sent = self
                    .send(place, async |altyn, request| altyn.subscription_create(request, fit(wish.clone())?).await)
                    .await?;
                if let Ok(made) = &sent {
                    self.operators[place].subscriptions.push(made.id);
                }
                Ok(word(&sent))
            }
            Act::TakeBack { order } => {
                let Some((id, _)) = latest(&self.operators[place].orders, order) else { return Ok(NOBODY.to_owned()) };
                let sent = self.send(place, async |altyn, request| altyn.order_cancel(request, id).await).await?;
                Ok(word(&sent))
            }
            Act::Activate { subscription, in_days } => {
                let ordered = latest(&self.operators[place].orders, subscription).map(|(_, id)| id);
                let Some(id) =
                    ordered.filter(|_| subscription % 4 != 0).or_else(|| self.subscription(place, subscription))
                else {
                    return Ok(NOBODY.to_owned());
                };
                let version = self.subscription_version(place, id).await?;
                let sent = self
                    .send(place, async |altyn, request| {
                        let command = fit(json!({ "on": day(today, in_days) }))?;
                        altyn.subscription_activate(request, id, version, command).await
                    })
                    .await?;
                Ok(word(&sent))
            }
        }
    }

    async fn subscription_version(&mut self, place: usize, id: SubscriptionId) -> anyhow::Result<i64> {
        let request = self.operators[place].request();
        let seen = self.until_answered(async |altyn| altyn.subscription_get(&request, id).await).await?;
        Ok(seen.map_err(failed)?.version)
    }

    fn subscription(&self, place: usize, number: u8) -> Option<SubscriptionId> {
        chosen(&self.operators[place].subscriptions, number)
    }

    fn wish(
        &self,
        place: usize,
        wish: &Wish,
        today: NaiveDate,
        in_days: i64,
        timing: Option<&str>,
        current_day: Option<&str>,
    ) -> anyhow::Result<ChangeSubscription> {
        let plans = &self.operators[place].plans;
        let mut told = match *wish {
            Wish::Cancel => json!({ "kind": "cancel" }),
            Wish::Plan { plan, quantity } => json!({ "kind": "change-plan",
                "plan_code": plans[usize::from(plan) % plans.len()].0,
                "quantity": quantity.map(|quantity| quantity.to_string()) }),
            Wish::Quantity { quantity, halves } => json!({ "kind": "change-quantity",
                "quantity": if halves { format!("{quantity}.5") } else { quantity.to_string() } }),
            Wish::Pause => json!({ "kind": "pause" }),
            Wish::Resume => json!({ "kind": "resume" }),
            Wish::BillingDay { day } => json!({ "kind": "change-billing-day", "billing_day": day }),
            Wish::Renew => json!({ "kind": "renew" }),
            Wish::Prolong { days } => json!({ "kind": "prolong", "days": days }),
            Wish::Shift { days } => json!({ "kind": "shift", "days": days }),
        };
        for (name, value) in [("timing", timing), ("current_day", current_day)] {
            if let Some(value) = value {
                told[name] = json!(value);
            }
        }
        if in_days != 0 {
            told["on"] = json!(day(today, in_days));
        }
        command(told)
    }

    /// Looks first, then does exactly that.
    async fn change(&mut self, place: usize, id: SubscriptionId, change: ChangeSubscription) -> anyhow::Result<String> {
        let request = self.operators[place].request();
        let seen = self.until_answered(async |altyn| altyn.change_preview(&request, id, change.clone()).await).await?;
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => return Ok(word(&Err::<(), _>(expected(error)?))),
        };
        let sent = self
            .send(place, async |altyn, request| {
                let (plan_hash, effects) = (seen.plan_hash.clone(), Some(seen.effects.clone()));
                altyn.change_execute(request, id, ExecuteChange { change: change.clone(), plan_hash, effects }).await
            })
            .await?;
        as_previewed(&sent)?;
        if let Ok(made) = &sent {
            if made.state == "scheduled" {
                self.operators[place].changes.push(made.id);
            }
            return Ok(made.state.clone());
        }
        Ok(word(&sent))
    }

    async fn pay(
        &mut self,
        place: usize,
        number: usize,
        contract: ContractId,
        amount: i64,
        by: u8,
    ) -> anyhow::Result<String> {
        let through = if by.is_multiple_of(2) { "bank/40702810938120061991" } else { "cash" };
        let entries = [(through.to_owned(), amount), (format!("contract/{contract}/funds"), -amount)];
        let posted = self.post(place, &format!("payment-{number}"), "payment-received", &entries).await?;
        if let Ok(id) = posted {
            self.operators[place].payments.push(id);
        }
        Ok(word(&posted))
    }

    async fn post(
        &mut self,
        place: usize,
        key: &str,
        kind: &str,
        entries: &[(String, i64)],
    ) -> anyhow::Result<Result<altyn_domain::id::TransactionId, ServiceError>> {
        let entries: Vec<Value> =
            entries.iter().map(|(account, amount)| json!({ "account": account, "amount_minor": amount })).collect();
        let posting = json!({ "source_key": key, "effective_on": self.today(place)?, "currency": "RUB",
            "description": kind, "kind": kind, "entries": entries });
        let sent = self
            .send(place, async |altyn, request| altyn.transaction_post(request, fit(posting.clone())?).await)
            .await?;
        Ok(sent.map(|posted| posted.id))
    }

    async fn charge(
        &mut self,
        place: usize,
        contract: ContractId,
        number: u8,
    ) -> anyhow::Result<Option<(ChargeId, i64)>> {
        let request = self.operators[place].request();
        let page = Page { limit: Some(100), cursor: None };
        let listed = self
            .until_answered(async |altyn| {
                let filter = ChargeFilter { contract_id: Some(contract), ..ChargeFilter::default() };
                altyn.charge_list(&request, filter, &page).await
            })
            .await?
            .map_err(failed)?;
        let found: Vec<_> = listed.data.iter().map(|charge| (charge.id, charge.amount_minor)).collect();
        Ok(chosen(&found, number))
    }

    async fn decide(&mut self, place: usize, approve: bool) -> anyhow::Result<String> {
        let request = self.operators[place].request();
        let page = Page { limit: Some(1), cursor: None };
        let waiting = self
            .until_answered(async |altyn| {
                let filter = OperationFilter { state: Some(OperationState::Awaiting) };
                altyn.manual_operation_list(&request, filter, &page).await
            })
            .await?
            .map_err(failed)?;
        let Some(id) = waiting.data.first().map(|operation| operation.id) else { return Ok(NOBODY.to_owned()) };
        let sent = if approve {
            self.send(place, async |altyn, request| altyn.manual_operation_approve(request, id).await).await?
        } else {
            let reason = json!({ "reason": "a good customer" });
            self.send(place, async |altyn, request| {
                altyn.manual_operation_reject(request, id, fit(reason.clone())?).await
            })
            .await?
        };
        Ok(word(&sent))
    }

    async fn reprice(
        &mut self,
        place: usize,
        today: NaiveDate,
        plan: u8,
        percent: u8,
        existing: bool,
    ) -> anyhow::Result<String> {
        let plans = &self.operators[place].plans;
        let (_, id, mut version) = plans[usize::from(plan) % plans.len()].clone();
        let from = today.checked_add_days(Days::new(u64::from(today.day() % 9) + 1)).unwrap_or(today);
        version["effective_from"] = json!(from);
        if existing {
            version["existing_subscribers"] = json!(format!("from:{}", day(from, i64::from(percent % 20))));
        }
        for component in version["components"].as_array_mut().into_iter().flatten() {
            let price = component["unit_price_minor"].as_i64().unwrap_or(0);
            component["unit_price_minor"] = json!(price * i64::from(percent) / 100);
            if component["metered"].is_object() {
                component["metered"]["included"] = json!((percent % 12).to_string());
            }
        }
        let request = self.operators[place].request();
        let seen = self.until_answered(async |altyn| altyn.plan_get(&request, id).await).await?;
        let plan_version = seen.map_err(failed)?.version;
        let sent = self
            .send(place, async |altyn, request| {
                altyn.plan_version_add(request, id, plan_version, fit(version.clone())?).await
            })
            .await?;
        Ok(word(&sent))
    }
}

/// A command inside a request; that it exists is the simulator's own affair.
pub(crate) fn fit<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ServiceError> {
    command(value).map_err(|error| ServiceError::Internal(format!("{error:#}")))
}

/// Nothing moves between a preview and its execution here, so the execution is what was seen.
fn as_previewed<T>(sent: &Result<T, ServiceError>) -> anyhow::Result<()> {
    if let Err(ServiceError::Conflict { code: "change-moved", details, .. }) = sent {
        anyhow::bail!("a change was previewed and at once is another: {}", details.join("; "));
    }
    Ok(())
}
