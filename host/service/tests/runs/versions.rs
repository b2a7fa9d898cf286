//! Versions that existing subscribers go over to: at a renewal and never in mid period, by a run, by hand and late.

use altyn_domain::{
    change::ChangeKind,
    id::{ContractId, PlanId, SubscriptionId},
    run::{PlanState, RunMode},
};
use altyn_service::{
    changes::{ChangeSubscription, ExecuteChange},
    error::ServiceError,
    plans::{CreatePlanVersion, PlanView},
    runs::{Advanced, ConfirmPlan},
};
use serde_json::{Value, json};

use crate::{
    metering::{event, metered, recorded, usage_charges, windows},
    world::{World, code, day, on_both_engines, page},
};

on_both_engines!(
    subscribers_go_over_at_their_first_renewal_from_the_day_on,
    a_late_run_charges_each_period_by_its_version,
    what_was_sold_stays_where_the_version_says_nothing,
    a_plan_that_waits_is_superseded_by_a_version_that_comes,
    a_renewal_by_hand_goes_over_as_it_was_previewed,
    a_subscription_without_money_goes_over_when_it_is_charged,
    a_version_that_subscribers_cannot_go_over_to_is_refused,
    use_is_billed_by_the_version_of_its_period,
    a_skipped_period_is_passed_by_the_version_that_has_come,
);

/// 590.00 and 199.90 a month, tax included.
const MONTH: i64 = 78_990;
/// What the later version costs.
const DEARER: i64 = 90_000;

impl World {
    /// The plan of the operator with a code.
    pub async fn catalogue_plan(&self, code: &str) -> PlanView {
        let filter = altyn_service::plans::PlanFilter::default();
        let plans = self.altyn.plan_list(&self.request(), filter, &page()).await.unwrap().data;
        plans.into_iter().find(|plan| plan.code == code).unwrap()
    }

    /// Adds a version of one component to a plan.
    pub async fn version(&self, plan: &str, version: Value) -> Result<PlanView, ServiceError> {
        let plan = self.catalogue_plan(plan).await;
        let product = plan.versions[0].components[0].product_id;
        let mut told = json!({ "effective_from": "2027-01-15", "cadence": "1m", "price_mode": "included",
            "components": [{ "code": "net", "title": "net", "product_id": product, "unit_price_minor": DEARER,
                "tax_category": "standard" }] });
        for (name, value) in version.as_object().unwrap() {
            told[name] = value.clone();
        }
        let command: CreatePlanVersion = serde_json::from_value(told).unwrap();
        let added = self.altyn.plan_version_add(&self.request(), plan.id, plan.version, command).await;
        added.map(|reply| reply.value)
    }

    fn set_day(&self, on: &str) {
        self.clock.set(format!("{on}T09:00:00Z").parse().unwrap());
    }

    async fn one_of(&self, contract: ContractId) -> SubscriptionId {
        self.subscriptions(contract).await[0].id
    }
}

async fn subscribers_go_over_at_their_first_renewal_from_the_day_on(world: &World) {
    world.set_day("2026-12-20");
    let first = world.import_contract("V-1", "home-1m", 1, "2027-01-01").await;
    let tenth = world.import_contract("V-2", "home-1m", 1, "2027-01-10").await;
    let (first, tenth) = (world.one_of(first).await, world.one_of(tenth).await);
    for on in ["2027-01-01", "2027-01-10"] {
        world.set_day(on);
        world.close_day(on).await;
    }
    let plan = world.version("home-1m", json!({ "existing_subscribers": "from:2027-02-05" })).await.unwrap();
    let (old, new) = (plan.versions[0].id, plan.versions[1].id);
    assert_eq!(plan.versions[1].existing_subscribers.to_string(), "from:2027-02-05");
    // The card tells what the next period costs and which version charges it.
    assert_eq!(
        (world.seen(first).await.period_price_minor, world.seen(first).await.next_plan_version_id),
        (MONTH, None)
    );
    assert_eq!(world.seen(tenth).await.period_price_minor, DEARER);
    assert_eq!(world.seen(tenth).await.next_plan_version_id, Some(new));

    for on in ["2027-02-01", "2027-02-10", "2027-03-01", "2027-03-10"] {
        world.set_day(on);
        world.close_day(on).await;
        world.prove().await;
    }
    // The one renewed on 1 February before the day, and paid for all of it by the old price.
    assert_eq!(world.amounts(first).await, [MONTH, MONTH, DEARER]);
    assert_eq!(world.amounts(tenth).await, [MONTH, DEARER, DEARER]);
    let seen = world.seen(first).await;
    assert_eq!((seen.id, seen.plan_version_id, seen.changes), (first, new, 1));
    assert_eq!((seen.terms_from, seen.next_charge_on), (day("2027-03-01"), day("2027-04-01")));
    let history = world.altyn.change_list(&world.request(), first, &page()).await.unwrap().data;
    let [change] = history.as_slice() else { panic!("{history:?}") };
    assert_eq!(
        (change.kind, change.effective_on, change.state.as_str()),
        (ChangeKind::ChangePlan, day("2027-03-01"), "executed")
    );
    assert_eq!((change.requested_by.as_str(), change.charged_minor, change.credited_minor), ("run", 0, 0));
    assert_eq!(change.terms.as_ref().map(|terms| terms.plan_version_id), Some(new));
    assert_ne!(old, new);
    // It goes on like any other: a change of the quantity is of the new version.
    world.set_day("2027-03-16");
    let mut more = ChangeSubscription::of(ChangeKind::ChangeQuantity);
    more.quantity = Some("2".into());
    let made = made(world, first, more).await;
    assert_eq!(made, Some(new));
    world.prove().await;
}

/// Previews a change and does exactly that; answers the plan version of the new terms.
async fn made(
    world: &World,
    id: SubscriptionId,
    change: ChangeSubscription,
) -> Option<altyn_domain::id::PlanVersionId> {
    let seen = world.altyn.change_preview(&world.request(), id, change.clone()).await.unwrap();
    let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: Some(seen.effects) };
    let done = world.altyn.change_execute(&world.request(), id, command).await.unwrap().value;
    done.terms.map(|terms| terms.plan_version_id)
}

async fn a_late_run_charges_each_period_by_its_version(world: &World) {
    world.set_day("2026-12-20");
    let contract = world.import_contract("V-3", "home-1m", 1, "2027-01-01").await;
    let id = world.one_of(contract).await;
    world.version("home-1m", json!({ "existing_subscribers": "from:2027-02-01" })).await.unwrap();
    world
        .version(
            "home-1m",
            json!({ "effective_from": "2027-03-01", "existing_subscribers": "from:2027-03-01",
            "components": [{ "code": "net", "title": "net", "unit_price_minor": 10_000, "tax_category": "standard",
                "product_id": world.catalogue_plan("home-1m").await.versions[0].components[0].product_id }] }),
        )
        .await
        .unwrap();
    world.set_day("2027-04-02");
    world.close_day("2027-04-01").await;
    assert_eq!(world.amounts(id).await, [MONTH, DEARER, 10_000, 10_000]);
    let seen = world.seen(id).await;
    assert_eq!((seen.changes, seen.terms_from), (2, day("2027-03-01")));
    world.prove().await;
}

async fn what_was_sold_stays_where_the_version_says_nothing(world: &World) {
    world.set_day("2026-12-20");
    let contract = world.import_contract("V-4", "home-1m", 1, "2027-01-01").await;
    let id = world.one_of(contract).await;
    world.version("home-1m", json!({})).await.unwrap();
    world.version("home-1m", json!({ "effective_from": "2027-01-16", "existing_subscribers": "keep" })).await.unwrap();
    world.set_day("2027-02-02");
    world.close_day("2027-02-01").await;
    assert_eq!(world.amounts(id).await, [MONTH, MONTH]);
    assert_eq!((world.seen(id).await.changes, world.seen(id).await.next_plan_version_id), (0, None));
    world.prove().await;
}

async fn a_plan_that_waits_is_superseded_by_a_version_that_comes(world: &World) {
    world.set_day("2026-12-20");
    let contract = world.import_contract("V-5", "home-1m", 1, "2026-12-15").await;
    let id = world.one_of(contract).await;
    world.close_day("2026-12-15").await;
    world.set_day("2027-01-15");
    let run = world.begin("2027-01-15", RunMode::WithConfirmation).await;
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let seen = world.plan(run.id, contract).await;
    assert_eq!(seen.gross_minor, MONTH);
    world.version("home-1m", json!({ "existing_subscribers": "from:2027-01-15" })).await.unwrap();
    let confirm = |plan_hash: Option<String>| ConfirmPlan { plan_hash: plan_hash.unwrap() };
    let refused = world.altyn.run_confirm(&world.request(), run.id, contract, confirm(seen.plan_hash)).await;
    assert_eq!(code(refused), "plan-changed");
    let plan = world.plan(run.id, contract).await;
    let moves = plan.effects.as_ref().map(|effects| effects.moves.len());
    assert_eq!((plan.gross_minor, moves), (DEARER, Some(1)));
    world.altyn.run_confirm(&world.request(), run.id, contract, confirm(plan.plan_hash)).await.unwrap();
    world.advance(run.id).await;
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Done);
    assert_eq!(world.amounts(id).await, [MONTH, DEARER]);
    assert_eq!(world.seen(id).await.changes, 1);
    world.prove().await;
}

async fn a_renewal_by_hand_goes_over_as_it_was_previewed(world: &World) {
    world.set_day("2026-12-20");
    let contract = world.import_contract("V-6", "home-1m", 1, "2027-01-01").await;
    let id = world.one_of(contract).await;
    world.set_day("2027-01-02");
    world.close_day("2027-01-01").await;
    let plan = world.version("home-1m", json!({ "existing_subscribers": "from:2027-02-01" })).await.unwrap();
    world.set_day("2027-01-20");
    let wish = ChangeSubscription::of(ChangeKind::Renew);
    let preview = world.altyn.change_preview(&world.request(), id, wish.clone()).await.unwrap();
    assert_eq!(preview.effects.charged_minor, DEARER);
    assert_eq!(made(world, id, wish).await, Some(plan.versions[1].id));
    let seen = world.seen(id).await;
    assert_eq!((seen.plan_version_id, seen.terms_from), (plan.versions[1].id, day("2027-02-01")));
    assert_eq!(world.amounts(id).await, [MONTH, DEARER]);
    world.prove().await;
    // Days that the old version charged are not charged again by the new one.
    let mut more = ChangeSubscription::of(ChangeKind::ChangeQuantity);
    more.quantity = Some("2".into());
    let refused = world.altyn.change_preview(&world.request(), id, more).await;
    assert!(matches!(refused, Err(ServiceError::Invalid(_))), "{refused:?}");
    world.set_day("2027-03-02");
    world.close_day("2027-03-01").await;
    assert_eq!(world.amounts(id).await, [MONTH, DEARER, DEARER]);
    world.prove().await;
}

async fn a_subscription_without_money_goes_over_when_it_is_charged(world: &World) {
    world.set_day("2026-12-20");
    let contract = world.import_contract("V-7", "home-1m", 1, "2027-01-01").await;
    let id = world.one_of(contract).await;
    world.set_day("2027-01-02");
    world.close_day("2027-01-01").await;
    world.edit(id, json!({ "short_funds": "suspend" })).await.unwrap();
    let plan = world.version("home-1m", json!({ "existing_subscribers": "from:2027-02-01" })).await.unwrap();
    world.set_day("2027-02-02");
    world.close_day("2027-02-01").await;
    let seen = world.seen(id).await;
    assert_eq!((seen.plan_version_id, seen.changes), (plan.versions[0].id, 0), "nothing is charged, nothing moves");
    world.prove().await;
    pay(world, contract, MONTH + DEARER).await;
    world.set_day("2027-02-15");
    world.close_day("2027-02-15").await;
    let seen = world.seen(id).await;
    assert_eq!((seen.plan_version_id, seen.changes), (plan.versions[1].id, 1));
    // 14 of 28 days.
    assert_eq!(world.amounts(id).await, [MONTH, DEARER / 2]);
    world.prove().await;
}

pub async fn pay(world: &World, contract: ContractId, minor: i64) {
    let command = serde_json::from_value(json!({ "source_key": format!("pay-{minor}"), "effective_on": "2027-02-10",
        "currency": "RUB", "description": "pay", "kind": "payment-received", "entries": [
            { "account": "cash", "amount_minor": minor },
            { "account": format!("contract/{contract}/funds"), "amount_minor": -minor }] }))
    .unwrap();
    world.altyn.transaction_post(&world.request(), command).await.unwrap();
}

async fn a_version_that_subscribers_cannot_go_over_to_is_refused(world: &World) {
    world.set_day("2027-01-20");
    let from = |day: &str| json!({ "effective_from": "2027-02-01", "existing_subscribers": format!("from:{day}") });
    let with = |name: &str, value: &str| {
        let mut version = from("2027-03-01");
        version[name] = json!(value);
        version
    };
    for incompatible in [with("cadence", "3m"), with("currency", "KZT")] {
        assert_eq!(code(world.version("home-1m", incompatible).await), "plan-version-incompatible");
    }
    // Before new subscriptions get it, and past.
    assert_eq!(code(world.version("home-1m", from("2027-01-31")).await), "invalid-request");
    let mut past = from("2027-01-19");
    past["effective_from"] = json!("2027-01-01");
    assert_eq!(code(world.version("home-1m", past).await), "invalid-request");
    let plan: PlanId = world.catalogue_plan("home-1m").await.id;
    assert_eq!(world.altyn.plan_get(&world.request(), plan).await.unwrap().versions.len(), 1, "nothing is written");
    // Another period is fine for who subscribes from then on.
    let mut kept = with("cadence", "3m");
    kept["existing_subscribers"] = json!("keep");
    world.version("home-1m", kept).await.unwrap();
}

async fn use_is_billed_by_the_version_of_its_period(world: &World) {
    world.set_day("2026-11-02");
    // 10 units included, the others at 16.00.
    let (contract, id) = metered(world, "V-8").await;
    let sold = world.catalogue_plan("metered-1m").await.versions[0].components.clone();
    let terms = sold[1].metered.clone().unwrap();
    let components = json!([
        { "code": "monthly", "title": "monthly", "product_id": sold[0].product_id, "unit_price_minor": 35_000,
            "tax_category": "standard" },
        { "code": "usage", "title": "usage", "kind": "metered", "product_id": sold[1].product_id, "unit_price_minor": 0,
            "tax_category": "standard", "metered": { "meter_id": terms.meter_id, "included": "10", "package": "5",
                "tiers": [{ "unit_price": "20" }] } },
    ]);
    let version = json!({ "effective_from": "2026-11-15", "billing_day": "fixed:1", "components": components,
        "existing_subscribers": "from:2026-12-01" });
    world.version("metered-1m", version).await.unwrap();
    world.set_day("2026-11-20");
    recorded(world, vec![event("november", id, "2026-11-10T12:00:00+03:00", "30")]).await;
    world.set_day("2026-12-01");
    world.close_day("2026-12-01").await;
    world.prove().await;
    let of_november: Vec<i64> = usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).collect();
    assert_eq!(of_november, [32_000]);
    world.set_day("2026-12-20");
    // Late use of November has its price of then, use of December that of the later version: three packages are begun.
    recorded(world, vec![event("late", id, "2026-11-11T12:00:00+03:00", "10")]).await;
    recorded(world, vec![event("december", id, "2026-12-10T12:00:00+03:00", "21")]).await;
    assert_eq!(windows(world, id).await[1].explanation, "21 used, 10 included, in packages of 5: 3 × 20");
    world.set_day("2027-01-01");
    world.close_day("2027-01-01").await;
    let mut billed: Vec<i64> = usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).collect();
    billed.sort_unstable();
    assert_eq!(billed, [6_000, 16_000, 32_000]);
    assert_eq!(world.seen(id).await.changes, 1);
    world.prove().await;
}

async fn a_skipped_period_is_passed_by_the_version_that_has_come(world: &World) {
    world.set_day("2026-12-20");
    let contract = world.import_contract("V-9", "home-1m", 1, "2027-01-01").await;
    let id = world.one_of(contract).await;
    world.set_day("2027-01-02");
    world.close_day("2027-01-01").await;
    world.edit(id, json!({ "short_funds": "skip" })).await.unwrap();
    let plan = world.version("home-1m", json!({ "existing_subscribers": "from:2027-02-01" })).await.unwrap();
    world.set_day("2027-02-02");
    world.close_day("2027-02-01").await;
    let seen = world.seen(id).await;
    assert_eq!((seen.plan_version_id, seen.changes), (plan.versions[1].id, 1));
    assert_eq!((seen.terms_from, seen.next_charge_on), (day("2027-02-01"), day("2027-03-01")));
    assert_eq!(world.amounts(id).await, [MONTH]);
    world.prove().await;
    pay(world, contract, MONTH + DEARER).await;
    world.set_day("2027-03-02");
    world.close_day("2027-03-01").await;
    assert_eq!((world.amounts(id).await, world.seen(id).await.changes), (vec![MONTH, DEARER], 1));
    world.prove().await;
}
