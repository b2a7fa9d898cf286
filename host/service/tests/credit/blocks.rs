//! Blocks and the access check.

use altyn_domain::id::{BlockId, ContractId, SubscriptionId};
use altyn_service::{
    Request, ServiceError,
    blocks::{BlockFilter, BlockView, LiftBlock, SetBlock},
    subscriptions::CancelSubscription,
};

use crate::{
    support::{Place, at, new_tenant, on_both_engines, page},
    world::{World, code, day},
};

on_both_engines!(
    a_block_of_a_contract_denies_access_to_all_its_subscriptions,
    at_most_one_block_of_a_type_stands_on_an_object,
    a_block_begins_in_the_future_and_ends_by_itself,
    a_block_that_is_over_gives_its_place_even_when_its_job_is_late,
    a_lifted_block_stays_in_the_history,
    rivals_set_one_block,
    access_names_every_reason,
    another_tenants_blocks_do_not_exist,
);

fn on_contract(contract: ContractId, block_type: &str) -> SetBlock {
    SetBlock {
        contract_id: Some(contract),
        subscription_id: None,
        block_type: block_type.parse().unwrap(),
        comment: "по заявлению".into(),
        starts_at: None,
        ends_at: None,
    }
}

fn on_subscription(subscription: SubscriptionId, block_type: &str) -> SetBlock {
    let nobody = ContractId(uuid::Uuid::nil());
    SetBlock { contract_id: None, subscription_id: Some(subscription), ..on_contract(nobody, block_type) }
}

impl World {
    async fn set(&self, command: SetBlock) -> Result<BlockView, ServiceError> {
        Ok(self.place.altyn.block_set(&self.request(), command).await?.value)
    }

    async fn lift(&self, id: BlockId) -> Result<BlockView, ServiceError> {
        let command = LiftBlock { comment: "ошибка".into() };
        Ok(self.place.altyn.block_lift(&self.request(), id, command).await?.value)
    }

    async fn reasons(&self, subscription: SubscriptionId) -> Vec<String> {
        let access = self.place.altyn.subscription_access(&self.request(), subscription).await.unwrap();
        assert_eq!(access.allowed, access.reasons.is_empty());
        access.reasons.into_iter().map(|reason| reason.message).collect()
    }
}

async fn a_block_of_a_contract_denies_access_to_all_its_subscriptions(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    let (first, second) =
        (world.subscription(contract, "2026-11-01").await, world.subscription(contract, "2026-11-01").await);
    assert_eq!(world.reasons(first).await, Vec::<String>::new());
    let block = world.set(on_subscription(first, "fraud")).await.unwrap();
    assert_eq!(block.contract_id, contract);
    assert_eq!(world.reasons(first).await, ["the subscription is blocked (fraud): по заявлению"]);
    assert_eq!(world.reasons(second).await, Vec::<String>::new());
    world.set(on_contract(contract, "fraud")).await.unwrap();
    assert_eq!(world.reasons(first).await.len(), 2);
    assert_eq!(world.reasons(second).await, ["the contract is blocked (fraud): по заявлению"]);
}

async fn at_most_one_block_of_a_type_stands_on_an_object(place: Place) {
    let world = World::new(place).await;
    let (contract, other) = (world.contract("Д-1").await, world.contract("Д-2").await);
    let block = world.set(on_contract(contract, "holiday")).await.unwrap();
    assert_eq!(code(world.set(on_contract(contract, "holiday")).await), "block-stands");
    // One that begins later stands as well.
    let later = SetBlock { starts_at: Some(at("2026-12-01T00:00:00Z")), ..on_contract(contract, "holiday") };
    assert_eq!(code(world.set(later).await), "block-stands");
    world.set(on_contract(contract, "court")).await.unwrap();
    world.set(on_contract(other, "holiday")).await.unwrap();
    world.lift(block.id).await.unwrap();
    world.set(on_contract(contract, "holiday")).await.unwrap();
    assert_eq!(world.states(contract).await, ["holiday ended", "court active", "holiday active"]);
    let bare = SetBlock { comment: " ".into(), ..on_contract(contract, "bare") };
    assert_eq!(code(world.set(bare).await), "/comment");
    let nothing = SetBlock { contract_id: None, ..on_contract(contract, "bare") };
    assert_eq!(code(world.set(nothing).await), "/contract_id");
    let unknown = on_subscription(SubscriptionId(uuid::Uuid::nil()), "bare");
    assert_eq!(code(world.set(unknown).await), "/subscription_id");
    let backwards = SetBlock { ends_at: Some(at("2026-11-01T09:00:00Z")), ..on_contract(contract, "bare") };
    assert_eq!(code(world.set(backwards).await), "/ends_at");
    assert_eq!(world.blocks(contract).await.len(), 3);
}

async fn a_block_begins_in_the_future_and_ends_by_itself(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    let subscription = world.subscription(contract, "2026-11-01").await;
    let block = SetBlock {
        starts_at: Some(at("2026-11-10T00:00:00Z")),
        ends_at: Some(at("2026-11-20T00:00:00Z")),
        ..on_contract(contract, "holiday")
    };
    let id = world.set(block).await.unwrap().id;
    let mut seen = Vec::new();
    for instant in ["2026-11-09T23:59:59Z", "2026-11-10T00:00:00Z", "2026-11-19T23:59:59Z", "2026-11-20T00:00:00Z"] {
        world.place.clock.set(at(instant));
        // Access follows the instants, not the jobs.
        let allowed = world.reasons(subscription).await.is_empty();
        seen.push((world.states(contract).await.remove(0), allowed));
    }
    let expected =
        [("holiday scheduled", true), ("holiday active", false), ("holiday active", false), ("holiday ended", true)];
    assert_eq!(seen, expected.map(|(state, allowed)| (state.to_owned(), allowed)));
    world.live_until("2026-11-20T08:00:00Z").await;
    let ended = world.place.altyn.block_get(&world.request(), id).await.unwrap();
    assert_eq!((ended.lifted_at, ended.lifted_by.as_deref()), (Some(at("2026-11-20T00:00:00Z")), Some("altyn")));
    assert_eq!(code(world.lift(id).await), "block-ended");
    world.verify().await;
}

async fn a_block_that_is_over_gives_its_place_even_when_its_job_is_late(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    let until = SetBlock { ends_at: Some(at("2026-11-02T00:00:00Z")), ..on_contract(contract, "holiday") };
    let first = world.set(until).await.unwrap();
    world.place.clock.set(at("2026-11-03T00:00:00Z"));
    assert_eq!(code(world.lift(first.id).await), "block-ended");
    world.set(on_contract(contract, "holiday")).await.unwrap();
    let listed = world.blocks(contract).await;
    assert_eq!(listed[0].lifted_at, Some(at("2026-11-02T00:00:00Z")));
    assert_eq!(world.states(contract).await, ["holiday ended", "holiday active"]);
    world.live_until("2026-11-04T00:00:00Z").await;
    assert_eq!(world.states(contract).await, ["holiday ended", "holiday active"]);
}

async fn a_lifted_block_stays_in_the_history(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    let block = world.set(on_contract(contract, "court")).await.unwrap();
    world.place.clock.set(at("2026-11-05T00:00:00Z"));
    let lifted = world.lift(block.id).await.unwrap();
    assert_eq!(lifted.state.as_str(), "ended");
    assert_eq!((lifted.set_by.as_str(), lifted.lifted_by.as_deref()), ("test", Some("test")));
    assert_eq!(lifted.lift_comment.as_deref(), Some("ошибка"));
    assert_eq!(code(world.lift(block.id).await), "block-ended");
    let standing = BlockFilter { standing: Some(true), ..BlockFilter::default() };
    assert!(world.place.altyn.block_list(&world.request(), standing, &page(10, None)).await.unwrap().data.is_empty());
    assert_eq!(world.blocks(contract).await.len(), 1);
    // The database keeps it whatever a program does.
    for statement in [
        "update blocks set lifted_at = null, lifted_by = null where tenant_id = $1",
        "update blocks set comment = 'x' where tenant_id = $1",
        "delete from blocks where tenant_id = $1",
    ] {
        let mut tx = world.place.altyn.db.write(world.request().scope()).await.unwrap();
        let refused = tx.execute(statement, (world.place.tenant.0,)).await.unwrap_err();
        assert!(matches!(refused, altyn_store::StoreError::Refused(..)), "{statement}: {refused:?}");
    }
}

async fn rivals_set_one_block(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    let set = |_| {
        let (altyn, request) = (world.place.altyn.clone(), world.request());
        tokio::spawn(async move { altyn.block_set(&request, on_contract(contract, "court")).await })
    };
    let rivals: Vec<_> = (0..6).map(set).collect();
    let mut won = 0;
    for rival in rivals {
        match rival.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error.code(), "block-stands"),
        }
    }
    assert_eq!((won, world.blocks(contract).await.len()), (1, 1));
}

async fn access_names_every_reason(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    let future = world.subscription(contract, "2026-11-05").await;
    assert_eq!(world.reasons(future).await, ["the service begins on 2026-11-05"]);
    // In Moscow the day begins three hours earlier than in UTC.
    world.place.clock.set(at("2026-11-04T21:00:00Z"));
    assert_eq!(world.reasons(future).await, Vec::<String>::new());
    let end = CancelSubscription { on: day("2026-11-10"), keep_charged: Some(true) };
    world.place.altyn.subscription_cancel(&world.request(), future, 1, end).await.unwrap();
    world.set(on_subscription(future, "holiday")).await.unwrap();
    world.place.clock.set(at("2026-11-10T00:00:00Z"));
    let expected = ["the service ended before 2026-11-10", "the subscription is blocked (holiday): по заявлению"];
    assert_eq!(world.reasons(future).await, expected);
}

async fn another_tenants_blocks_do_not_exist(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    let subscription = world.subscription(contract, "2026-11-01").await;
    let block = world.set(on_contract(contract, "court")).await.unwrap();
    let altyn = &world.place.altyn;
    let other = altyn.tenant_create(&world.request(), new_tenant("Реселлер")).await.unwrap().value.id;
    let stranger = Request::internal(other, "test");
    assert_eq!(code(altyn.block_get(&stranger, block.id).await), "not-found");
    let lift = LiftBlock { comment: "чужой".into() };
    assert_eq!(code(altyn.block_lift(&stranger, block.id, lift).await), "not-found");
    assert_eq!(code(altyn.subscription_access(&stranger, subscription).await), "not-found");
    assert_eq!(code(altyn.block_set(&stranger, on_contract(contract, "x")).await), "/contract_id");
    let all = altyn.block_list(&stranger, BlockFilter::default(), &page(10, None)).await.unwrap();
    assert!(all.data.is_empty());
}
