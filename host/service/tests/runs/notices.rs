//! Notices before a charge: once each, on their day, on both engines.

use altyn_domain::id::SubscriptionId;
use altyn_service::{
    events::{EventFilter, EventView},
    notices::{CHARGE_DUE, SetNoticePolicy},
};
use serde_json::json;

use crate::world::{World, code, on_both_engines, page};

on_both_engines!(
    a_customer_hears_twice_of_a_charge_and_once_on_a_day,
    what_is_not_charged_is_not_told_of,
    a_notice_and_an_order_have_the_contracts_own_price,
    days_of_notices_are_in_order,
);

impl World {
    async fn notices(&self, first: Option<i32>, second: Option<i32>) {
        let version = self.altyn.notice_policy_get(&self.request()).await.unwrap().version;
        let command = SetNoticePolicy { first_days: first, second_days: second };
        self.altyn.notice_policy_set(&self.request(), version, command).await.unwrap();
    }

    async fn noticed(&self, id: SubscriptionId) -> Vec<EventView> {
        let filter = EventFilter { kind: Some(CHARGE_DUE.to_owned()), subject: Some(id.to_string()) };
        self.altyn.event_list(&self.request(), filter, &page()).await.unwrap().data
    }
}

async fn a_customer_hears_twice_of_a_charge_and_once_on_a_day(world: &World) {
    let contract = world.import_contract("NT-1", "home-1m", 1, "2027-01-20").await;
    let id = world.subscriptions(contract).await[0].id;
    world.edit(id, json!({ "discount_percent": "10", "notify_on_activation": true })).await.unwrap();
    world.close_day("2027-01-10").await;
    assert_eq!(world.noticed(id).await.len(), 0, "nobody asked for notices");
    world.notices(Some(7), Some(2)).await;
    let mut heard = Vec::new();
    for on in ["2027-01-11", "2027-01-12", "2027-01-13", "2027-01-16", "2027-01-17", "2027-01-18", "2027-01-19"] {
        world.close_day(on).await;
        heard.push(world.noticed(id).await.len());
    }
    assert_eq!(heard, [0, 1, 1, 1, 2, 2, 2], "in the morning seven and two days before the 20th");
    let told = world.noticed(id).await;
    let facts: Vec<_> = told.iter().map(|event| &event.payload).collect();
    assert_eq!((&facts[0]["notice"], &facts[1]["notice"]), (&json!(1), &json!(2)));
    assert_eq!((&facts[0]["charge_on"], &facts[0]["contract"]), (&json!("2027-01-20"), &json!(contract)));
    assert_eq!((&facts[0]["amount_minor"], &facts[0]["currency"]), (&json!(71_091), &json!("RUB")));
    assert_eq!((&facts[0]["notify"], &facts[0]["price_mode"]), (&json!(true), &json!("included")));
    world.close_day("2027-01-20").await;
    assert_eq!(world.noticed(id).await.len(), 2, "the next charge is a month away");
    let rows: Vec<(i64,)> =
        world.rows("select count(*) from charge_notices where tenant_id = $1", (world.tenant.0,)).await;
    let events: Vec<(i64,)> = world
        .rows(
            "select count(*) from outbox where tenant_id = $1 and kind = 'subscription.charge-due'",
            (world.tenant.0,),
        )
        .await;
    assert_eq!(rows, events);
    world.prove().await;
}

async fn what_is_not_charged_is_not_told_of(world: &World) {
    let contract = world.import_contract("NT-2", "home-1m", 4, "2027-01-12").await;
    let [ends, hand, first, charged] = world.subscriptions(contract).await.try_into().unwrap();
    let ids = [ends, hand, first, charged].map(|view: altyn_service::subscriptions::SubscriptionView| view.id);
    world.cancel(&world.altyn, ids[0], "2027-01-12").await;
    world.edit(ids[1], json!({ "manual": true })).await.unwrap();
    world.cancel(&world.altyn, ids[2], "2027-01-20").await;
    world.notices(Some(3), None).await;
    world.close_day("2027-01-11").await;
    let mut heard = Vec::new();
    for id in ids {
        heard.push(world.noticed(id).await.len());
    }
    assert_eq!(heard, [0, 0, 1, 1], "neither what ends before nor what begins by hand");
    let part = &world.noticed(ids[2]).await[0];
    assert_eq!(part.payload["amount_minor"], json!(null), "a part of a period is priced by its plugin");
    world.notices(None, None).await;
    world.clock.set("2027-02-12T09:00:00Z".parse().unwrap());
    world.close_day("2027-02-09").await;
    assert_eq!(world.noticed(ids[3]).await.len(), 1);
}

async fn a_notice_and_an_order_have_the_contracts_own_price(world: &World) {
    let contract = world.import_contract("NT-3", "home-1m", 1, "2027-01-12").await;
    let id = world.subscriptions(contract).await[0].id;
    let own = json!({ "contract_id": contract, "plan_code": "home-1m", "component": "net", "unit_price_minor": 40_000,
        "from": "2027-01-01", "comment": "доп. соглашение" });
    let own = serde_json::from_value(own).unwrap();
    world.altyn.price_override_set(&world.request(), own).await.unwrap();
    world.notices(Some(1), None).await;
    world.close_day("2027-01-11").await;
    assert_eq!(world.noticed(id).await[0].payload["amount_minor"], json!(59_990));
    let wish =
        json!({ "subscription": { "contract_id": contract, "plan_code": "home-1m", "starts_on": "2027-01-20" } });
    let order = serde_json::from_value(wish).unwrap();
    let seen = world.altyn.order_preview(&world.request(), order).await.unwrap();
    assert_eq!(seen.effects.amount_minor, 59_990);
}

async fn days_of_notices_are_in_order(world: &World) {
    for (first, second) in [(Some(0), None), (Some(91), None), (Some(3), Some(3)), (None, Some(2)), (Some(3), Some(0))]
    {
        let command = SetNoticePolicy { first_days: first, second_days: second };
        let set = world.altyn.notice_policy_set(&world.request(), 0, command).await;
        assert_eq!(code(set), "invalid-request", "{first:?} {second:?}");
    }
    let command = SetNoticePolicy { first_days: Some(3), second_days: Some(1) };
    assert_eq!(world.altyn.notice_policy_set(&world.request(), 0, command.clone()).await.unwrap().value.version, 1);
    assert_eq!(code(world.altyn.notice_policy_set(&world.request(), 0, command).await), "stale-version");
}
