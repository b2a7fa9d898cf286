//! Transfers and hierarchies of contracts.

use altyn_domain::{
    credit::PolicyScope,
    id::{ContractId, TransactionId},
};
use altyn_service::{
    ServiceError,
    contracts::CreateContract,
    credit::{CreditAllowance, SetContractControl},
    funds::TransferFunds,
};

use crate::{
    support::{Place, on_both_engines},
    world::{World, code},
};

on_both_engines!(
    a_top_up_of_a_main_contract_flows_down_by_priority,
    the_flow_settles_promises_and_lifts_blocks_below,
    a_transfer_moves_money_once_and_only_money,
    a_hierarchy_has_no_circles,
    rivals_close_no_circle,
);

fn move_money(from: ContractId, to: ContractId, amount_minor: i64, key: &str) -> TransferFunds {
    TransferFunds {
        source_key: key.into(),
        from_contract_id: from,
        to_contract_id: to,
        amount_minor,
        effective_on: None,
        description: "переезд".into(),
    }
}

impl World {
    async fn transfer(&self, command: TransferFunds) -> Result<TransactionId, ServiceError> {
        Ok(self.place.altyn.contract_transfer(&self.request(), command).await?.value.id)
    }
}

async fn a_top_up_of_a_main_contract_flows_down_by_priority(place: Place) {
    let world = World::new(place).await;
    let (a, b, c) = (world.contract("A").await, world.contract("B").await, world.contract("C").await);
    world.owe(b, "b", 10_000).await;
    world.owe(c, "c", 30_000).await;
    world.below(b, a, 1).await;
    world.below(c, a, 2).await;
    // A = 0, B = −100 first, C = −300 second; 200 arrive on A: B is 0 and C is −200.
    world.pay(a, "p-1", 20_000).await;
    assert_eq!([world.money(a).await.0, world.money(b).await.0, world.money(c).await.0], [0, 0, -20_000]);
    world.pay(a, "p-2", 50_000).await;
    assert_eq!([world.money(a).await.0, world.money(b).await.0, world.money(c).await.0], [30_000, 0, 0]);
    // What the main contract owes itself comes first.
    world.owe(a, "a", 40_000).await;
    world.owe(b, "b-2", 10_000).await;
    world.pay(a, "p-3", 15_000).await;
    assert_eq!([world.money(a).await.0, world.money(b).await.0], [0, -5_000]);
    world.verify().await;
}

async fn the_flow_settles_promises_and_lifts_blocks_below(place: Place) {
    let world = World::new(place).await;
    let terms =
        CreditAllowance { credit_limit_minor: Some(0), promise_most_minor: Some(50_000), ..CreditAllowance::default() };
    world.allow(PolicyScope::Tenant, None, terms).await;
    let (a, b, c) = (world.contract("A").await, world.contract("B").await, world.contract("C").await);
    world.below(b, a, 1).await;
    world.below(c, b, 1).await;
    world.owe(b, "b", 10_000).await;
    world.promise(b, 10_000, None).await.unwrap();
    world.owe(c, "c", 7_000).await;
    world.close("2026-11-01").await;
    assert_eq!(world.states(b).await, Vec::<String>::new());
    assert_eq!(world.states(c).await, ["credit-limit active"]);
    world.pay(a, "p-1", 20_000).await;
    assert_eq!(
        [world.money(a).await, world.money(b).await, world.money(c).await],
        [(3_000, 0, 3_000), (0, 0, 0), (0, 0, 0)]
    );
    assert_eq!(world.promises(b).await, [(10_000, "kept".to_owned())]);
    assert_eq!(world.states(c).await, ["credit-limit ended"]);
    world.verify().await;
}

async fn a_transfer_moves_money_once_and_only_money(place: Place) {
    let world = World::new(place).await;
    let terms = CreditAllowance {
        credit_limit_minor: Some(100_000),
        promise_most_minor: Some(50_000),
        ..CreditAllowance::default()
    };
    world.allow(PolicyScope::Tenant, None, terms).await;
    let (a, b) = (world.contract("A").await, world.contract("B").await);
    world.pay(a, "p-1", 30_000).await;
    world.promise(a, 20_000, None).await.unwrap();
    world.promise(b, 5_000, None).await.unwrap();
    assert_eq!(world.money(a).await.2, 150_000);
    assert_eq!(code(world.transfer(move_money(a, b, 30_001, "t-1")).await), "not-enough-money");
    world.transfer(move_money(a, b, 12_000, "t-1")).await.unwrap();
    assert_eq!([world.money(a).await.0, world.money(b).await.0], [18_000, 12_000]);
    assert_eq!(world.promises(b).await, [(5_000, "kept".to_owned())], "a transfer is a top-up of the one that gets it");
    assert_eq!(code(world.transfer(move_money(a, b, 12_000, "t-1")).await), "source-key-taken");
    assert_eq!(code(world.transfer(move_money(a, b, 0, "t-2")).await), "/amount_minor");
    assert_eq!(code(world.transfer(move_money(a, a, 1, "t-2")).await), "/to_contract_id");
    let nobody = ContractId(uuid::Uuid::nil());
    assert_eq!(code(world.transfer(move_money(a, nobody, 1, "t-2")).await), "/to_contract_id");
    let stranger = world.contract_of(world.other_customer, "S", altyn_domain::party::ContractKind::Prepaid).await;
    assert_eq!(code(world.transfer(move_money(a, stranger, 1, "t-2")).await), "contracts-not-related");
    world.below(stranger, a, 1).await;
    world.transfer(move_money(a, stranger, 1_000, "t-2")).await.unwrap();
    let command = CreateContract {
        customer_id: world.customer,
        seller_id: world.seller,
        number: "E".into(),
        kind: altyn_domain::party::ContractKind::Prepaid,
        currency: Some("EUR".into()),
        zone: None,
        credit_limit_minor: None,
        signed_on: None,
        external_system: None,
        external_id: None,
    };
    let euro = world.place.altyn.contract_create(&world.request(), command).await.unwrap().value.id;
    assert_eq!(code(world.transfer(move_money(a, euro, 1, "t-3")).await), "currency-mismatch");
    assert_eq!(
        [world.money(a).await.0, world.money(b).await.0, world.money(stranger).await.0],
        [17_000, 12_000, 1_000]
    );
    world.verify().await;
}

async fn a_hierarchy_has_no_circles(place: Place) {
    let world = World::new(place).await;
    let mut chain = vec![world.contract("0").await];
    for level in 1..=8 {
        let next = world.contract(&level.to_string()).await;
        world.below(next, chain[level - 1], 0).await;
        chain.push(next);
    }
    let altyn = &world.place.altyn;
    let under = |parent: ContractId| SetContractControl { parent_id: Some(parent), ..SetContractControl::default() };
    for parent in [chain[0], chain[1], chain[8]] {
        let answer = altyn.contract_control_set(&world.request(), chain[0], 0, under(parent)).await;
        assert_eq!(code(answer), "/parent_id");
    }
    // Eight levels below the main contract are enough.
    let ninth = world.contract("9").await;
    assert_eq!(code(altyn.contract_control_set(&world.request(), ninth, 0, under(chain[8])).await), "/parent_id");
    let top = world.contract("top").await;
    assert_eq!(code(altyn.contract_control_set(&world.request(), chain[0], 0, under(top)).await), "/parent_id");
    // A place changes under its version.
    assert_eq!(code(altyn.contract_control_set(&world.request(), chain[3], 0, under(chain[1])).await), "stale-version");
    let moved = altyn.contract_control_set(&world.request(), chain[3], 1, under(chain[1])).await.unwrap().value;
    assert_eq!((moved.parent_id, moved.version), (Some(chain[1]), 2));
    let unknown = SetContractControl { group: Some("none".into()), ..SetContractControl::default() };
    assert_eq!(code(altyn.contract_control_set(&world.request(), top, 0, unknown).await), "/group");
    world.verify().await;
}

async fn rivals_close_no_circle(place: Place) {
    let world = World::new(place).await;
    let (a, b) = (world.contract("A").await, world.contract("B").await);
    let put = |contract: ContractId, parent: ContractId| {
        let (altyn, request) = (world.place.altyn.clone(), world.request());
        let command = SetContractControl { parent_id: Some(parent), ..SetContractControl::default() };
        tokio::spawn(async move { altyn.contract_control_set(&request, contract, 0, command).await })
    };
    let (one, two) = (put(a, b), put(b, a));
    let done = [one.await.unwrap(), two.await.unwrap()];
    assert_eq!(done.iter().filter(|answer| answer.is_ok()).count(), 1, "{done:?}");
}
