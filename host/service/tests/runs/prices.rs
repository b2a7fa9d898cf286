//! Prices of single contracts, included units and bounds of quantities: what runs, renewals and changes charge.

use altyn_domain::{
    change::{ChangeKind, Timing},
    id::ContractId,
};
use altyn_service::{
    changes::{ChangeSubscription, ExecuteChange},
    error::ServiceError,
    page::Page,
    price_overrides::{PriceOverrideFilter, PriceOverrideView, RemovePriceOverride},
    subscriptions::{CreateSubscription, SubscriptionView},
};
use serde_json::{Value, json};

use crate::world::{World, code, day, on_both_engines, page};

on_both_engines!(
    a_contract_pays_its_own_price_for_periods_that_begin_within_its_days,
    a_subscription_pays_its_own_price_before_that_of_its_contract,
    a_removed_price_changes_nothing_that_was_billed,
    a_change_gives_back_what_was_billed_and_charges_the_price_that_holds,
    a_price_is_refused_with_every_reason,
    a_price_is_the_contracts_in_every_version_of_the_plan,
    included_units_are_free_of_charge,
    a_quantity_out_of_bounds_is_refused_and_writes_nothing,
);

/// 590.00 and 199.90 a month, tax included.
const MONTH: i64 = 78_990;

impl World {
    async fn price(&self, command: Value) -> Result<PriceOverrideView, ServiceError> {
        let mut told = json!({ "plan_code": "home-1m", "component": "net", "unit_price_minor": 40_000,
            "from": "2027-01-01", "comment": "доп. соглашение" });
        for (name, value) in command.as_object().unwrap() {
            told[name] = value.clone();
        }
        let command = serde_json::from_value(told).unwrap();
        self.altyn.price_override_set(&self.request(), command).await.map(|reply| reply.value)
    }

    async fn close(&self, on: &str) {
        self.clock.set(format!("{on}T20:00:00Z").parse().unwrap());
        self.close_day(on).await;
        self.prove().await;
    }

    async fn subscribed(&self, contract: ContractId, command: Value) -> Result<SubscriptionView, ServiceError> {
        let mut told = json!({ "contract_id": contract, "starts_on": "2027-01-01" });
        for (name, value) in command.as_object().unwrap() {
            told[name] = value.clone();
        }
        let command: CreateSubscription = serde_json::from_value(told).unwrap();
        self.altyn.subscription_create(&self.request(), command).await.map(|reply| reply.value)
    }
}

async fn a_contract_pays_its_own_price_for_periods_that_begin_within_its_days(world: &World) {
    let contract = world.import_contract("P-1", "home-1m", 1, "2027-01-10").await;
    let neighbour = world.import_contract("P-2", "home-1m", 1, "2027-01-10").await;
    let (id, other) = (world.subscriptions(contract).await[0].id, world.subscriptions(neighbour).await[0].id);
    let set =
        world.price(json!({ "contract_id": contract, "from": "2027-02-01", "until": "2027-03-10" })).await.unwrap();
    assert_eq!((set.currency.as_str(), set.set_by.as_str(), set.removed_at), ("RUB", "test", None));
    assert_eq!(world.seen(id).await.period_price_minor, MONTH, "the next period begins before it");
    world.close("2027-01-10").await;
    assert_eq!(world.seen(id).await.period_price_minor, 59_990);
    for on in ["2027-02-10", "2027-03-10"] {
        world.close(on).await;
    }
    assert_eq!(world.amounts(id).await, [MONTH, 59_990, MONTH]);
    assert_eq!(world.amounts(other).await, [MONTH, MONTH, MONTH]);
}

async fn a_subscription_pays_its_own_price_before_that_of_its_contract(world: &World) {
    let contract = world.import_contract("P-3", "home-1m", 2, "2027-01-01").await;
    let of = world.subscriptions(contract).await;
    let (one, two) = (of[0].id, of[1].id);
    world.price(json!({ "contract_id": contract })).await.unwrap();
    world.price(json!({ "subscription_id": two, "unit_price_minor": 10_000 })).await.unwrap();
    // A catch-up of two periods by one run.
    world.close("2027-02-01").await;
    assert_eq!(world.amounts(one).await, [59_990, 59_990]);
    assert_eq!(world.amounts(two).await, [29_990, 29_990]);
}

async fn a_removed_price_changes_nothing_that_was_billed(world: &World) {
    let contract = world.import_contract("P-4", "home-1m", 1, "2027-01-01").await;
    let id = world.subscriptions(contract).await[0].id;
    let set = world.price(json!({ "contract_id": contract })).await.unwrap();
    world.close("2027-01-01").await;
    let remove = || RemovePriceOverride { comment: "расторгнуто".into() };
    let removed = world.altyn.price_override_remove(&world.request(), set.id, remove()).await.unwrap().value;
    assert_eq!((removed.removed_by.as_deref(), removed.remove_comment.as_deref()), (Some("test"), Some("расторгнуто")));
    let again = world.altyn.price_override_remove(&world.request(), set.id, remove()).await;
    assert_eq!(code(again), "price-override-removed");
    world.close("2027-02-01").await;
    assert_eq!(world.amounts(id).await, [59_990, MONTH]);
    // Its days are free for another, and both stay in the list.
    world.price(json!({ "contract_id": contract, "unit_price_minor": 1 })).await.unwrap();
    let list = async |standing: bool, page: &Page| {
        let filter = PriceOverrideFilter { contract_id: Some(contract), standing: Some(standing) };
        world.altyn.price_override_list(&world.request(), filter, page).await.unwrap()
    };
    assert_eq!((list(false, &page()).await.data.len(), list(true, &page()).await.data.len()), (2, 1));
    let first = list(false, &Page { limit: Some(1), cursor: None }).await;
    assert_eq!((first.data[0].id, first.has_more), (set.id, true));
}

async fn a_change_gives_back_what_was_billed_and_charges_the_price_that_holds(world: &World) {
    let contract = world.import_contract("P-5", "home-1m", 1, "2027-01-01").await;
    let id = world.subscriptions(contract).await[0].id;
    world.close("2027-01-01").await;
    // It began after the period did, so a change inside the period charges the price that the period began with.
    world.price(json!({ "contract_id": contract, "from": "2027-01-15" })).await.unwrap();
    world.clock.set("2027-01-16T09:00:00Z".parse().unwrap());
    let mut wish = ChangeSubscription::of(ChangeKind::ChangeQuantity);
    (wish.quantity, wish.timing) = (Some("2".into()), Some(Timing::Immediate));
    let seen = world.altyn.change_preview(&world.request(), id, wish.clone()).await.unwrap();
    let days = |minor: i64| (minor * 16 + 15) / 31;
    // Two components are rounded apart.
    assert!((seen.effects.credited_minor - days(MONTH)).abs() <= 1, "{:?}", seen.effects);
    assert!((seen.effects.charged_minor - days(2 * MONTH)).abs() <= 1, "{:?}", seen.effects);
    let command = ExecuteChange { change: wish, plan_hash: seen.plan_hash, effects: Some(seen.effects) };
    world.altyn.change_execute(&world.request(), id, command).await.unwrap();
    world.close("2027-02-01").await;
    assert_eq!(world.amounts(id).await.last(), Some(&(2 * 59_990)));
    // In February the price that is charged again is the contract's own.
    world.clock.set("2027-02-15T09:00:00Z".parse().unwrap());
    let mut wish = ChangeSubscription::of(ChangeKind::ChangeQuantity);
    (wish.quantity, wish.timing) = (Some("1".into()), Some(Timing::Immediate));
    let seen = world.altyn.change_preview(&world.request(), id, wish).await.unwrap();
    assert_eq!((seen.effects.credited_minor, seen.effects.charged_minor), (59_990, 29_995));
}

async fn a_price_is_refused_with_every_reason(world: &World) {
    let contract = world.import_contract("P-6", "home-1m", 1, "2027-01-01").await;
    let refused = world
        .price(json!({ "contract_id": contract, "plan_code": "none", "unit_price_minor": -1, "comment": " ",
            "until": "2027-01-01" }))
        .await;
    let Err(ServiceError::Invalid(errors)) = refused else { panic!("{refused:?}") };
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/comment", "/unit_price_minor", "/until", "/plan_code"]);
    for wrong in [
        json!({ "contract_id": contract, "component": "none" }),
        json!({ "contract_id": ContractId(uuid::Uuid::from_u128(1)) }),
        json!({ "subscription_id": altyn_domain::id::SubscriptionId(uuid::Uuid::from_u128(1)) }),
        json!({ "contract_id": contract, "plan_id": altyn_domain::id::PlanId(uuid::Uuid::from_u128(1)) }),
        json!({}),
    ] {
        assert_eq!(code(world.price(wrong.clone()).await), "invalid-request", "{wrong}");
    }
    world.price(json!({ "contract_id": contract, "until": "2027-02-01" })).await.unwrap();
    let overlapping = world.price(json!({ "contract_id": contract, "from": "2027-01-31" })).await;
    assert_eq!(code(overlapping), "price-override-overlaps");
    world.price(json!({ "contract_id": contract, "from": "2027-02-01" })).await.unwrap();
    world.price(json!({ "contract_id": contract, "component": "books" })).await.unwrap();
    let filter = PriceOverrideFilter { contract_id: Some(contract), standing: None };
    let listed = world.altyn.price_override_list(&world.request(), filter, &page()).await.unwrap();
    assert_eq!(listed.data.len(), 3, "what was refused wrote nothing");
}

async fn a_price_is_the_contracts_in_every_version_of_the_plan(world: &World) {
    world.clock.set("2026-12-20T09:00:00Z".parse().unwrap());
    let contract = world.import_contract("P-7", "home-1m", 1, "2027-01-01").await;
    let id = world.subscriptions(contract).await[0].id;
    world.price(json!({ "contract_id": contract })).await.unwrap();
    world.version("home-1m", json!({ "existing_subscribers": "from:2027-02-01" })).await.unwrap();
    world.close("2027-02-01").await;
    // 400.00 and 199.90, then 400.00 alone: the later version has no books.
    assert_eq!(world.amounts(id).await, [59_990, 40_000]);
}

/// A plan of seats at 100.00, two of them included, sold two to five times.
async fn seats(world: &World) {
    let product = world.catalogue_plan("home-1m").await.versions[0].components[0].product_id;
    let plan = json!({ "code": "seats-1m", "title": "Seats", "status": "active", "version": {
        "effective_from": "2026-01-01", "cadence": "1m", "price_mode": "included", "components": [
            { "code": "seat", "title": "Seat", "product_id": product, "unit_price_minor": 10_000, "included": "2",
                "min_quantity": "2", "max_quantity": "5", "tax_category": "standard" }] } });
    let plan = world.altyn.plan_create(&world.request(), serde_json::from_value(plan).unwrap()).await.unwrap().value;
    let component = &plan.versions[0].components[0];
    assert_eq!((component.included.as_str(), component.max_quantity.as_deref()), ("2", Some("5")));
}

async fn included_units_are_free_of_charge(world: &World) {
    world.clock.set("2026-12-20T09:00:00Z".parse().unwrap());
    seats(world).await;
    let contract = world.import_contract("P-8", "free-1m", 1, "2027-01-01").await;
    let of = async |quantity: &str| {
        let made = world.subscribed(contract, json!({ "plan_code": "seats-1m", "quantity": quantity })).await.unwrap();
        (made.id, made.period_price_minor)
    };
    let (two, five) = (of("2").await, of("5").await);
    assert_eq!((two.1, five.1), (0, 30_000));
    world.close("2027-01-01").await;
    assert_eq!((world.amounts(two.0).await, world.amounts(five.0).await), (vec![0], vec![30_000]));
    // Half of the period: what the fourth and the fifth seat cost is given back.
    world.clock.set("2027-01-16T09:00:00Z".parse().unwrap());
    let mut wish = ChangeSubscription::of(ChangeKind::ChangeQuantity);
    (wish.quantity, wish.timing) = (Some("3".into()), Some(Timing::Immediate));
    let seen = world.altyn.change_preview(&world.request(), five.0, wish.clone()).await.unwrap();
    // 300.00 and 100.00 for 16 of 31 days.
    assert_eq!((seen.effects.credited_minor, seen.effects.charged_minor), (15_484, 5_161));
    let command = ExecuteChange { change: wish, plan_hash: seen.plan_hash, effects: Some(seen.effects) };
    world.altyn.change_execute(&world.request(), five.0, command).await.unwrap();
    world.close("2027-02-01").await;
    assert_eq!(world.amounts(five.0).await.last(), Some(&10_000));
}

async fn a_quantity_out_of_bounds_is_refused_and_writes_nothing(world: &World) {
    world.clock.set("2026-12-20T09:00:00Z".parse().unwrap());
    seats(world).await;
    let contract = world.import_contract("P-9", "home-1m", 1, "2027-01-01").await;
    for quantity in ["1", "1.999999", "5.000001", "6"] {
        let refused = world.subscribed(contract, json!({ "plan_code": "seats-1m", "quantity": quantity })).await;
        assert_eq!(code(refused), "quantity-not-sold", "{quantity}");
    }
    assert_eq!(world.subscriptions(contract).await.len(), 1);
    let made = world.subscribed(contract, json!({ "plan_code": "seats-1m", "quantity": "4" })).await.unwrap();
    world.close("2027-01-01").await;
    let mut wish = ChangeSubscription::of(ChangeKind::ChangeQuantity);
    wish.quantity = Some("6".into());
    assert_eq!(code(world.altyn.change_preview(&world.request(), made.id, wish).await), "quantity-not-sold");
    // One unit of another plan does not become one seat.
    let mut over = ChangeSubscription::of(ChangeKind::ChangePlan);
    over.plan_code = Some("seats-1m".into());
    let home = world.subscriptions(contract).await[0].clone();
    let refused = world.altyn.change_preview(&world.request(), home.id, over.clone()).await;
    assert_eq!(code(refused), "quantity-not-sold");
    over.quantity = Some("2".into());
    world.altyn.change_preview(&world.request(), home.id, over).await.unwrap();
    assert_eq!(world.seen(home.id).await.next_charge_on, day("2027-02-01"));
}
