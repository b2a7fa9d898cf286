//! The operators of a life: a tenant with its plans, contracts and rules, and in some lives a reseller below it.
//!
//! Everything is made by the use cases and chosen by the seed. Invariant: what is made does not depend on the engine.

use std::collections::BTreeSet;

use altyn_domain::id::{
    BindingId, BlockId, ChangeId, ContractId, CreditPolicyId, DunningPolicyId, MeterId, OrderId, PlanId,
    PriceOverrideId, PromiseId, SellerId, ServiceTermId, SubscriptionId, TransactionId,
};
use altyn_service::{Altyn, Request, tenants::TenantView};
use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    dice::Dice,
    place::{Place, STRATEGIES},
    rules,
};

/// A tenant and what it was given names for.
#[derive(Debug)]
pub struct Operator {
    /// The tenant.
    pub tenant: TenantView,
    /// The sellers of its contracts.
    pub sellers: Vec<SellerId>,
    /// The binding of what decides about parts of periods.
    pub strategy: BindingId,
    /// Its contracts, the first of one customer.
    pub contracts: Vec<ContractId>,
    /// Its plans, each called by a product and a period: code, id and what a version is made from.
    pub plans: Vec<(String, PlanId, Value)>,
    /// Its service terms.
    pub terms: Vec<ServiceTermId>,
    /// Its policy of dunning, with its scope.
    pub dunning: Option<(DunningPolicyId, &'static str)>,
    /// Its credit policy.
    pub policy: Option<CreditPolicyId>,
    /// Subscriptions, in the order of their making.
    pub subscriptions: Vec<SubscriptionId>,
    /// Those of them whose use was recorded.
    pub used: BTreeSet<SubscriptionId>,
    /// Those of them that were paused, at once or later.
    pub paused: Vec<SubscriptionId>,
    /// Prices of contracts' own.
    pub prices: Vec<PriceOverrideId>,
    /// Payments.
    pub payments: Vec<TransactionId>,
    /// Promised payments.
    pub promises: Vec<PromiseId>,
    /// Orders, each with its subscription.
    pub orders: Vec<(OrderId, SubscriptionId)>,
    /// Blocks.
    pub blocks: Vec<BlockId>,
    /// Changes that were scheduled.
    pub changes: Vec<ChangeId>,
}

/// A command from what its JSON would be.
pub fn command<T: DeserializeOwned>(value: Value) -> anyhow::Result<T> {
    let text = value.to_string();
    serde_json::from_value(value).with_context(|| format!("the simulator made a command that does not exist: {text}"))
}

/// Meters, each called like the way it makes many events one figure.
pub const METERS: [&str; 8] = ["sum", "count", "max", "min", "average", "last", "unique", "difference"];

const ZONES: [&str; 6] =
    ["Europe/Moscow", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata"];

impl Operator {
    /// The request of a person at this operator, without a key.
    pub fn request(&self) -> Request {
        Request::internal(self.tenant.id, "simulator")
    }

    /// Makes the operators of a seed.
    pub async fn all(altyn: &Altyn, place: &Place, seed: u64) -> anyhow::Result<Vec<Self>> {
        let mut dice = Dice::new(seed, 2);
        let root = altyn.tenant_create_root(command(tenant(&mut dice, "Operator"))?).await?;
        let mut operators = vec![Self::new(altyn, place, root, &mut dice).await?];
        if seed % 5 == 3 {
            let above = operators[0].request();
            let child = altyn.tenant_create(&above, command(tenant(&mut dice, "Reseller"))?).await?.value;
            operators.push(Self::new(altyn, place, child, &mut dice).await?);
        }
        Ok(operators)
    }

    async fn new(altyn: &Altyn, place: &Place, tenant: TenantView, dice: &mut Dice) -> anyhow::Result<Self> {
        let mut made = Self {
            tenant,
            sellers: Vec::new(),
            strategy: BindingId(uuid::Uuid::nil()),
            contracts: Vec::new(),
            plans: Vec::new(),
            terms: Vec::new(),
            dunning: None,
            policy: None,
            subscriptions: Vec::new(),
            used: BTreeSet::new(),
            paused: Vec::new(),
            prices: Vec::new(),
            payments: Vec::new(),
            promises: Vec::new(),
            orders: Vec::new(),
            blocks: Vec::new(),
            changes: Vec::new(),
        };
        made.bind(altyn, place, dice).await?;
        made.sell(altyn, dice).await?;
        made.sign(altyn, dice).await?;
        made.rule(altyn, dice).await?;
        Ok(made)
    }

    async fn bind(&mut self, altyn: &Altyn, place: &Place, dice: &mut Dice) -> anyhow::Result<()> {
        let numbers = *dice.pick(&["yearly", "monthly"]);
        let template = if numbers == "monthly" { "{year}-{month}/{seq:5}" } else { "{year}-{seq:6}" };
        let strategy = *dice.pick(&STRATEGIES);
        for (name, config) in [
            (strategy, json!({})),
            ("ru-vat", json!({})),
            ("number-template", json!({ "template": template, "reset": numbers })),
        ] {
            let digest = place.components.get(name).with_context(|| format!("{name} is not installed"))?;
            let bound = json!({ "component": digest, "config": config, "priority": 0, "effective_from": "2020-01-01" });
            let bound = altyn.binding_create(&self.request(), command(bound)?).await?.value.id;
            if name == strategy {
                self.strategy = bound;
            }
        }
        Ok(())
    }

    async fn sell(&mut self, altyn: &Altyn, dice: &mut Dice) -> anyhow::Result<()> {
        let request = self.request();
        let mut products = Vec::new();
        for (code, tax) in [("net", "standard"), ("books", "reduced"), ("card", "exempt")] {
            let product = json!({ "code": code, "title": code, "tax_category": tax });
            products.push(altyn.product_create(&request, command(product)?).await?.value.id);
        }
        let mut meters = Vec::new();
        for of in METERS {
            let meter = json!({ "code": of, "title": of, "unit": "piece", "aggregation": of });
            meters.push(altyn.meter_create(&request, command(meter)?).await?.value.id);
        }
        for (place, cadence) in ["1m", "1m", "1m", "3m", "12m", "7d", "30d", "1m"].into_iter().enumerate() {
            let months = cadence.ends_with('m');
            let day = dice.between(1, 31);
            let billing_day = match dice.between(0, 3) {
                0 if months => format!("fixed:{day}"),
                1 if months => "contract-aligned".to_owned(),
                _ => "anniversary".to_owned(),
            };
            let stub = dice.pick(&["prorate", "prorate", "free", "absorb:20"]).to_owned();
            let stub = if billing_day == "anniversary" { "prorate" } else { stub };
            let mut components = vec![json!({
                "code": "main", "title": "main", "product_id": products[place % 3],
                "unit_price_minor": if dice.one_in(12) { 0 } else { dice.between(1, 120_000) },
                "prepayment_percent": *dice.pick(&[100, 100, 100, 0, 50, 33]),
                "included": if dice.one_in(6) { "1" } else { "0" },
            })];
            if dice.one_in(3) {
                components.push(json!({ "code": "more", "title": "more", "product_id": products[(place + 1) % 3],
                    "unit_price_minor": dice.between(1, 9_999),
                    "prepayment_percent": *dice.pick(&[100, 0, 70]) }));
            }
            if dice.one_in(3) {
                components.push(json!({ "code": "start", "title": "start", "product_id": products[0],
                    "kind": *dice.pick(&["set-up", "one-off"]), "unit_price_minor": dice.between(1, 50_000) }));
            }
            // The last plan is all about use; most of the others count something besides.
            let counted = if place == 7 { 4 } else { dice.between(0, 2) };
            let first = dice.between(0, 7);
            for other in 0..counted {
                let of = usize::try_from((first + other * 3) % 8).unwrap_or(0);
                components.push(json!({ "code": METERS[of], "title": METERS[of], "kind": "metered",
                    "product_id": products[of % 3], "unit_price_minor": 0, "metered": counts(dice, meters[of]) }));
            }
            let version = json!({
                "effective_from": "2020-01-01", "cadence": cadence,
                "price_mode": *dice.pick(&["included", "included", "on-top"]),
                "billing_day": billing_day, "stub": stub, "components": components,
            });
            let code = format!("plan-{place}-{cadence}");
            let plan = json!({ "code": code, "title": code, "status": "active", "version": version });
            let id = altyn.plan_create(&request, command(plan)?).await?.value.id;
            self.plans.push((code, id, version));
        }
        Ok(())
    }

    async fn sign(&mut self, altyn: &Altyn, dice: &mut Dice) -> anyhow::Result<()> {
        let request = self.request();
        for regime in ["general", "usn-5"].into_iter().take(if dice.one_in(3) { 2 } else { 1 }) {
            let seller = json!({ "name": regime, "kind": "legal-entity", "vat_regime": regime,
                "inn": "7707083893", "kpp": "773601001" });
            self.sellers.push(altyn.seller_create(&request, command(seller)?).await?.value.id);
        }
        let mut customers = Vec::new();
        for name in ["first", "second"] {
            let customer = json!({ "kind": "individual", "name": name });
            customers.push(altyn.customer_create(&request, command(customer)?).await?.value.id);
        }
        for number in 0..dice.between(3, 6) {
            let mut contract = json!({
                "customer_id": if number < 3 { customers[0] } else { customers[1] },
                "seller_id": *dice.pick(&self.sellers), "number": format!("C-{number}"),
                "kind": *dice.pick(&["prepaid", "prepaid", "postpaid", "mixed"]),
                "signed_on": format!("2025-{:02}-{:02}", dice.between(1, 12), dice.between(1, 28)),
            });
            if dice.one_in(3) {
                contract["zone"] = json!(*dice.pick(&ZONES));
            }
            if dice.one_in(3) {
                contract["credit_limit_minor"] = json!(dice.between(0, 100_000));
            }
            self.contracts.push(altyn.contract_create(&request, command(contract)?).await?.value.id);
        }
        Ok(())
    }

    async fn rule(&mut self, altyn: &Altyn, dice: &mut Dice) -> anyhow::Result<()> {
        let request = self.request();
        if !dice.one_in(4) {
            let policy = json!({ "scope": "tenant", "allowed": {
                "credit_limit_minor": dice.between(0, 3) * 10_000, "deferral_days": dice.between(0, 4),
                "promise_most_minor": 500_000, "promise_days": 40, "promise_fee_minor": dice.between(0, 2) * 1_000,
                "promises_at_once": dice.between(1, 3) } });
            self.policy = Some(altyn.credit_policy_create(&request, command(policy)?).await?.value.id);
        }
        if dice.one_in(2) {
            let scope = *dice.pick(&["contract", "subscription"]);
            let policy = command(rules::dunning(scope, 3, 20))?;
            self.dunning = Some((altyn.dunning_policy_create(&request, policy).await?.value.id, scope));
        }
        for name in ["quick", "slow"].into_iter().take(usize::try_from(dice.between(0, 2)).unwrap_or(0)) {
            let mode = |dice: &mut Dice| *dice.pick(&["auto", "auto", "manual"]);
            let term = json!({ "name": format!("{} {name}", self.tenant.name), "stop_mode": mode(dice),
                "delete_mode": mode(dice), "grace_days": dice.between(0, 20), "keep_days": dice.between(5, 60),
                "payable_by_promise": dice.one_in(2) });
            self.terms.push(altyn.service_term_create(&request, command(term)?).await?.value.id);
        }
        if let Some(term) = self.terms.first() {
            let plan = self.plans[0].1;
            let version = altyn.plan_get(&request, plan).await?.version;
            let attach = command(json!({ "service_term_id": term }))?;
            altyn.plan_service_term_set(&request, plan, version, attach).await?;
        }
        Ok(())
    }
}

/// What use costs: in some plans by packages, tiers and volume.
fn counts(dice: &mut Dice, meter: MeterId) -> Value {
    let tiers = match dice.between(0, 2) {
        0 => json!([{ "unit_price": "0.333333" }]),
        1 => json!([{ "up_to": "10", "unit_price": "12.5" }, { "unit_price": "7.05" }]),
        _ => {
            json!([{ "up_to": "5.5", "unit_price": "0" }, { "up_to": "50", "unit_price": "3" }, { "unit_price": "1" }])
        }
    };
    let mut terms = json!({ "meter_id": meter, "included": *dice.pick(&["0", "5", "20.25"]),
        "model": *dice.pick(&["graduated", "volume"]), "tiers": tiers });
    if dice.one_in(4) {
        terms["package"] = json!("10");
    }
    if dice.one_in(3) {
        terms["volume_discounts"] = json!([{ "from": "20", "percent": "10" }, { "from": "60", "percent": "33.33" }]);
    }
    terms
}

fn tenant(dice: &mut Dice, name: &str) -> Value {
    json!({ "name": name, "zone": *dice.pick(&ZONES), "currency": "RUB",
        "run_mode": *dice.pick(&["automatic", "automatic", "with-confirmation"]),
        "run_at": *dice.pick(&["00:00", "02:30", "03:00", "23:45"]) })
}
