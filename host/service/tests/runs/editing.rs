//! Editing subscriptions and activating those that wait: nothing that was charged is charged otherwise.

use altyn_domain::{id::SubscriptionId, subscription::SubscriptionStatus};
use altyn_service::{
    error::ServiceError,
    subscriptions::{
        ActivateSubscription, CreateSubscription, SubscriptionFilter, SubscriptionView, UpdateSubscription,
    },
};
use serde_json::{Value, json};

use crate::world::{World, code, day, on_both_engines, page};

on_both_engines!(
    a_discount_holds_for_periods_that_are_not_charged_yet,
    what_is_absent_stays_and_null_clears,
    what_moves_money_is_refused_with_the_change_that_does_it,
    an_edit_of_an_old_version_or_of_what_is_not_there_writes_nothing,
    a_pending_subscription_is_counted_from_its_activation,
    a_lapsed_subscription_goes_on_by_itself_only_after_a_renewal,
    a_list_shows_what_a_card_shows,
);

/// 590.00 and 199.90 a month, tax included.
const MONTH: i64 = 78_990;

impl World {
    pub async fn seen(&self, id: SubscriptionId) -> SubscriptionView {
        self.altyn.subscription_get(&self.request(), id).await.unwrap()
    }

    /// Edits what is seen now.
    pub async fn edit(&self, id: SubscriptionId, command: Value) -> Result<SubscriptionView, ServiceError> {
        let version = self.seen(id).await.version;
        let command: UpdateSubscription = serde_json::from_value(command).unwrap();
        self.altyn.subscription_update(&self.request(), id, version, command).await.map(|reply| reply.value)
    }

    pub async fn amounts(&self, id: SubscriptionId) -> Vec<i64> {
        let charges = self.charges().await;
        let of = charges.iter().filter(|((subscription, ..), _)| *subscription == id.0);
        let mut by_day: std::collections::BTreeMap<_, i64> = std::collections::BTreeMap::new();
        for (_, charged) in of {
            *by_day.entry(charged.used).or_default() += charged.gross;
        }
        by_day.into_values().collect()
    }
}

async fn a_discount_holds_for_periods_that_are_not_charged_yet(world: &World) {
    let contract = world.import_contract("ED-1", "home-1m", 1, "2026-12-01").await;
    let id = world.subscriptions(contract).await[0].id;
    world.close_day("2026-12-01").await;
    let edited = world
        .edit(id, json!({ "discount_percent": "50", "discount_until": "2027-01-01", "charges_left": 2 }))
        .await
        .unwrap();
    assert_eq!((edited.period_price_minor, edited.charges_left), (MONTH / 2, Some(2)));
    assert_eq!(world.amounts(id).await, [MONTH], "what was charged stays");
    world.close_day("2027-01-01").await;
    world.close_day("2027-02-01").await;
    assert_eq!(world.amounts(id).await, [MONTH, MONTH / 2, MONTH]);
    let last = world.seen(id).await;
    assert_eq!((last.status, last.charges_left), (SubscriptionStatus::Active, Some(0)), "February is served");
    assert_eq!((last.next_period, last.next_charge_on), (None, day("2027-03-01")));
    world.clock.set("2027-03-02T09:00:00Z".parse().unwrap());
    world.close_day("2027-03-01").await;
    assert_eq!(world.seen(id).await.status, SubscriptionStatus::Completed);
    assert_eq!(world.amounts(id).await.len(), 3);
    let refused = world.edit(id, json!({ "discount_percent": "1" })).await;
    assert_eq!(code(refused), "subscription-ended");
    world.edit(id, json!({ "description": "was good" })).await.unwrap();
    world.prove().await;
}

async fn what_is_absent_stays_and_null_clears(world: &World) {
    let contract = world.import_contract("ED-2", "home-1m", 1, "2027-01-01").await;
    let id = world.subscriptions(contract).await[0].id;
    let full = json!({
        "description": "Third floor", "documents_on_activation": true, "notify_on_activation": true,
        "discount_minor": 1_000, "discount_from": "2027-01-01", "discount_until": "2027-12-31", "charges_left": 7,
        "short_funds": "retry", "retry_days": 5, "external_system": "crm", "external_id": "77",
    });
    let edited = world.edit(id, full).await.unwrap();
    assert_eq!((edited.description.as_deref(), edited.discount_minor), (Some("Third floor"), 1_000));
    let same = world.edit(id, json!({})).await.unwrap();
    assert_eq!(serde_json::to_value(SubscriptionView { version: edited.version, ..same }).unwrap(), json!(edited));
    let cleared = json!({
        "description": null, "discount_from": null, "discount_until": null, "charges_left": null, "retry_days": null,
        "external_system": null, "external_id": null,
    });
    let cleared = world.edit(id, cleared).await.unwrap();
    assert_eq!((cleared.description, cleared.discount_from, cleared.discount_until), (None, None, None));
    assert_eq!((cleared.charges_left, cleared.retry_days, cleared.external_id), (None, None, None));
    assert_eq!((cleared.discount_minor, cleared.notify_on_activation), (1_000, true));
    // A share takes the place of a sum.
    let share = world.edit(id, json!({ "discount_percent": "12.5" })).await.unwrap();
    assert_eq!((share.discount_percent.as_str(), share.discount_minor), ("12.5", 0));
    let other = world.import_contract("ED-3", "home-1m", 1, "2027-01-01").await;
    let other = world.subscriptions(other).await.remove(0);
    let taken = json!({ "external_system": other.external_system, "external_id": other.external_id });
    assert_eq!(code(world.edit(id, taken).await), "duplicate-external-id");
}

async fn what_moves_money_is_refused_with_the_change_that_does_it(world: &World) {
    let contract = world.import_contract("ED-4", "home-1m", 1, "2027-01-01").await;
    let id = world.subscriptions(contract).await[0].id;
    let before = world.seen(id).await.version;
    let wish = json!({
        "quantity": "2", "plan_code": "week-7d", "next_charge_on": "2027-05-01", "ends_on": "2027-06-01",
        "discount_percent": "101", "charges_left": 0, "retry_days": 3, "external_id": "5",
        "discount_from": "2027-02-02", "discount_until": "2027-02-01",
    });
    let Err(ServiceError::Invalid(refused)) = world.edit(id, wish).await else { panic!("edited") };
    let pointers: Vec<_> = refused.iter().map(|field| field.pointer.as_str()).collect();
    let expected = [
        "/quantity",
        "/plan_code",
        "/next_charge_on",
        "/ends_on",
        "/discount_percent",
        "/discount_until",
        "/charges_left",
        "/retry_days",
    ];
    assert_eq!(pointers, expected);
    assert!(refused[0].message.contains("change-quantity"), "{}", refused[0].message);
    assert_eq!(world.seen(id).await.version, before, "nothing is written");
    assert!(serde_json::from_value::<UpdateSubscription>(json!({ "anchor_on": "2027-01-01" })).is_err());
}

async fn an_edit_of_an_old_version_or_of_what_is_not_there_writes_nothing(world: &World) {
    let contract = world.import_contract("ED-5", "home-1m", 1, "2027-01-01").await;
    let seen = world.subscriptions(contract).await.remove(0);
    let command = || UpdateSubscription { description: Some(Some("x".into())), ..UpdateSubscription::default() };
    let edit = async |id, version| world.altyn.subscription_update(&world.request(), id, version, command()).await;
    assert_eq!(code(edit(seen.id, seen.version + 1).await), "stale-version");
    assert_eq!(code(edit(SubscriptionId(uuid::Uuid::from_u128(7)), 1).await), "not-found");
    assert_eq!(world.seen(seen.id).await.description, None);
}

fn pending(world: &World) -> CreateSubscription {
    serde_json::from_value(json!({
        "contract_id": world.contracts[0].id, "plan_code": "home-1m", "starts_on": "2027-01-10", "pending": true,
        "documents_on_activation": true,
    }))
    .unwrap()
}

async fn a_pending_subscription_is_counted_from_its_activation(world: &World) {
    let made = world.altyn.subscription_create(&world.request(), pending(world)).await.unwrap().value;
    assert_eq!((made.status, made.next_period), (SubscriptionStatus::Pending, None));
    world.close_day("2027-01-12").await;
    assert_eq!(world.amounts(made.id).await, Vec::<i64>::new(), "it waits, though its day has come");
    let access = world.altyn.subscription_access(&world.request(), made.id).await.unwrap();
    assert!(!access.allowed);
    let activate = async |version, on: &str| {
        let command = ActivateSubscription { on: Some(day(on)) };
        world.altyn.subscription_activate(&world.request(), made.id, version, command).await
    };
    assert_eq!(code(activate(made.version + 1, "2027-01-13").await), "stale-version");
    assert_eq!(code(activate(made.version, "1999-01-13").await), "invalid-request", "before the plan");
    let active = activate(made.version, "2027-01-13").await.unwrap().value;
    assert_eq!((active.status, active.anchor_on), (SubscriptionStatus::Active, day("2027-01-13")));
    assert_eq!((active.starts_on, active.next_charge_on), (day("2027-01-13"), day("2027-01-13")));
    assert_eq!(code(activate(active.version, "2027-01-14").await), "subscription-not-pending");
    world.close_day("2027-01-13").await;
    assert_eq!(world.amounts(made.id).await, [MONTH]);
    let charged = world.seen(made.id).await;
    assert_eq!((charged.last_charge_on, charged.next_charge_on), (Some(day("2027-01-13")), day("2027-02-13")));
    let steps = world.altyn.subscription_transitions(&world.request(), made.id, &page()).await.unwrap().data;
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].cause, "activated");
    let told: Vec<(String,)> = world
        .rows("select payload from outbox where tenant_id = $1 and kind = 'subscription.activated'", (world.tenant.0,))
        .await;
    assert!(told.len() == 1 && told[0].0.contains("\"documents\":true"), "{told:?}");
    world.prove().await;
}

async fn a_lapsed_subscription_goes_on_by_itself_only_after_a_renewal(world: &World) {
    let command = CreateSubscription { pending: None, manual: Some(true), ..pending(world) };
    let made = world.altyn.subscription_create(&world.request(), command).await.unwrap().value;
    assert_eq!(code(world.edit(made.id, json!({ "manual": false })).await), "subscription-lapsed");
    assert!(world.seen(made.id).await.manual);
    let later = world.import_contract("ED-6", "home-1m", 1, "2027-03-01").await;
    let later = world.subscriptions(later).await[0].id;
    assert!(world.edit(later, json!({ "manual": true })).await.unwrap().manual);
    assert!(!world.edit(later, json!({ "manual": false })).await.unwrap().manual);
}

async fn a_list_shows_what_a_card_shows(world: &World) {
    let contract = world.import_contract("ED-7", "home-1m", 2, "2027-01-01").await;
    world.close_day("2027-01-01").await;
    let [one, two] = world.subscriptions(contract).await.try_into().unwrap();
    let [one, two]: [SubscriptionView; 2] = [one, two];
    assert_eq!((one.contract_number.as_str(), one.cadence.as_str()), ("ED-7", "1m"));
    assert_eq!((one.period_price_minor, one.currency.as_str()), (MONTH, "RUB"));
    assert_eq!((one.last_charge_on, one.next_charge_on), (Some(day("2027-01-01")), day("2027-02-01")));
    assert!(!one.plan_title.is_empty());
    world.cancel(&world.altyn, two.id, "2027-01-15").await;
    world.close_day("2027-01-15").await;
    let in_status = async |status| {
        let filter = SubscriptionFilter { contract_id: Some(contract), status: Some(status) };
        let listed = world.altyn.subscription_list(&world.request(), filter, &page()).await.unwrap().data;
        listed.into_iter().map(|view| view.id).collect::<Vec<_>>()
    };
    assert_eq!(in_status(SubscriptionStatus::Active).await, [one.id]);
    assert_eq!(in_status(SubscriptionStatus::Cancelled).await, [two.id]);
    assert_eq!(in_status(SubscriptionStatus::Paused).await, []);
}
