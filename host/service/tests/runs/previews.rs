//! Previews of what is done to orders and subscriptions by hand: shown is what happens, and nothing else is left.

use altyn_domain::{
    id::{ContractId, TransactionId},
    subscription::SubscriptionStatus,
};
use altyn_service::{
    rehearsal::PlannedPosting,
    subscriptions::{ActivateSubscription, CancelSubscription},
};

use crate::world::{World, code, day, on_both_engines};

on_both_engines!(
    an_order_that_is_taken_back_frees_what_its_preview_shows,
    an_activation_reserves_what_its_preview_shows,
    an_end_is_previewed_and_posts_nothing,
);

type Told = (String, String, String, Vec<(String, i64)>);

fn told(postings: &[PlannedPosting]) -> Vec<Told> {
    let of = |one: &PlannedPosting| {
        let entries = one.entries.iter().map(|entry| (entry.account.to_string(), entry.amount_minor)).collect();
        (one.kind.as_str().to_owned(), one.effective_on.to_string(), one.description.clone(), entries)
    };
    postings.iter().map(of).collect()
}

impl World {
    async fn newest(&self) -> Option<TransactionId> {
        let rows: Vec<(uuid::Uuid,)> = self
            .rows("select id from ledger_transactions where tenant_id = $1 order by id desc limit 1", (self.tenant.0,))
            .await;
        rows.first().map(|row| TransactionId(row.0))
    }

    /// What was posted behind a transaction, oldest first.
    async fn posted_behind(&self, last: Option<TransactionId>) -> Vec<Told> {
        let after = last.map_or(uuid::Uuid::nil(), |id| id.0);
        let rows: Vec<(uuid::Uuid,)> = self
            .rows(
                "select id from ledger_transactions where tenant_id = $1 and id > $2 order by id limit 1000",
                (self.tenant.0, after),
            )
            .await;
        let mut told = Vec::new();
        for (id,) in rows {
            let one = self.altyn.transaction_get(&self.request(), TransactionId(id)).await.unwrap();
            let entries = one.entries.into_iter().map(|entry| (entry.account, entry.amount_minor)).collect();
            told.push((one.kind, one.effective_on.to_string(), one.description, entries));
        }
        told
    }

    async fn idle(&self, number: &str) -> ContractId {
        self.import_contract(number, "home-1m", 1, "2040-01-01").await
    }
}

async fn an_order_that_is_taken_back_frees_what_its_preview_shows(world: &World) {
    let contract = world.idle("PV-1").await;
    world.paid(contract, 80_000, "first").await;
    let order = world.ordered(contract, "home-1m").await;
    // It waits for what the first one has reserved.
    let waiting = world.ordered(contract, "home-1m").await;
    let (state, last) = (world.state().await, world.newest().await);
    let seen = world.altyn.order_cancel_preview(&world.request(), order.id).await.unwrap();
    assert_eq!(world.state().await, state, "a preview leaves nothing behind");
    assert_eq!(world.altyn.order_get(&world.request(), order.id).await.unwrap().status, order.status);
    let kinds: Vec<&str> = seen.postings.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["funds-released", "funds-blocked"], "the order that waits gets the money");
    let done = world.altyn.order_cancel(&world.request(), order.id).await.unwrap().value;
    assert_eq!(seen.outcome.status, done.status);
    assert_eq!(told(&seen.postings), world.posted_behind(last).await);
    let money = world.altyn.contract_credit(&world.request(), contract).await.unwrap();
    let shown = &seen.contracts[0];
    assert_eq!((shown.balance_after_minor, shown.available_after_minor), (money.balance_minor, money.available_minor));
    assert_eq!(shown.balance_before_minor, 80_000);
    let paid = world.altyn.order_get(&world.request(), waiting.id).await.unwrap();
    assert_ne!(paid.status, waiting.status);
    let again = code(world.altyn.order_cancel_preview(&world.request(), order.id).await);
    assert_eq!(
        (again.as_str(), &again),
        ("order-ended", &code(world.altyn.order_cancel(&world.request(), order.id).await))
    );
    world.prove().await;
}

async fn an_activation_reserves_what_its_preview_shows(world: &World) {
    let contract = world.idle("PV-2").await;
    let order = world.ordered(contract, "home-1m").await;
    let id = order.subscription_id;
    let on = || ActivateSubscription { on: Some(day("2027-02-01")) };
    let version = world.altyn.subscription_get(&world.request(), id).await.unwrap().version;
    let refused = code(world.altyn.subscription_activate_preview(&world.request(), id, on()).await);
    let really = code(world.altyn.subscription_activate(&world.request(), id, version, on()).await);
    assert_eq!((refused.as_str(), &refused), ("order-unpaid", &really));
    // Money that nobody reserves by itself: a limit that was raised.
    let limit = altyn_service::contracts::UpdateContract { kind: None, credit_limit_minor: Some(90_000), zone: None };
    let held = world.altyn.contract_get(&world.request(), contract).await.unwrap();
    world.altyn.contract_update(&world.request(), contract, held.version, limit).await.unwrap();
    let (state, last) = (world.state().await, world.newest().await);
    let seen = world.altyn.subscription_activate_preview(&world.request(), id, on()).await.unwrap();
    assert_eq!(world.state().await, state, "a preview leaves nothing behind");
    assert_eq!(seen.outcome.status, SubscriptionStatus::Active);
    let done = world.altyn.subscription_activate(&world.request(), id, version, on()).await.unwrap().value;
    assert_eq!(
        (seen.outcome.starts_on, seen.outcome.next_charge_on, seen.outcome.version),
        (done.starts_on, done.next_charge_on, done.version)
    );
    let posted = world.posted_behind(last).await;
    assert_eq!((told(&seen.postings), posted.len()), (posted, 1));
    let shown = &seen.contracts[0];
    assert_eq!(shown.available_before_minor - shown.available_after_minor, order.amount_minor);
    let refused = code(world.altyn.subscription_activate_preview(&world.request(), id, on()).await);
    assert_eq!(refused, "subscription-not-pending");
    world.prove().await;
}

async fn an_end_is_previewed_and_posts_nothing(world: &World) {
    let contract = world.idle("PV-3").await;
    let id = world.subscriptions(contract).await[0].id;
    let end = |on: &str| CancelSubscription { on: day(on), keep_charged: None };
    let (state, last) = (world.state().await, world.newest().await);
    let seen = world.altyn.subscription_cancel_preview(&world.request(), id, end("2040-03-01")).await.unwrap();
    assert_eq!(world.state().await, state, "a preview leaves nothing behind");
    assert_eq!((seen.outcome.ends_on, seen.postings.len(), seen.contracts.len()), (Some(day("2040-03-01")), 0, 0));
    let refused = code(world.altyn.subscription_cancel_preview(&world.request(), id, end("2039-12-31")).await);
    let version = world.subscriptions(contract).await[0].version;
    let really = world.altyn.subscription_cancel(&world.request(), id, version, end("2039-12-31")).await;
    assert_eq!(refused, code(really));
    let done = world.altyn.subscription_cancel(&world.request(), id, version, end("2040-03-01")).await.unwrap().value;
    assert_eq!((done.ends_on, done.next_charge_on), (seen.outcome.ends_on, seen.outcome.next_charge_on));
    assert_eq!(world.posted_behind(last).await, []);
}
