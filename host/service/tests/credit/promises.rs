//! Promised payments.

use altyn_domain::{credit::PolicyScope, party::ContractKind};
use altyn_service::{
    Request,
    credit::{CreditAllowance, SetContractControl},
    ledger::ReverseTransaction,
    promises::GivePromise,
};

use crate::{
    support::{Place, at, new_tenant, on_both_engines, page},
    world::{World, code, day},
};

on_both_engines!(
    a_promise_raises_what_may_be_spent_and_nothing_else,
    a_top_up_of_at_least_the_promise_ends_it,
    a_top_up_below_the_promise_leaves_the_rest_with_the_same_expiry,
    a_top_up_consumes_the_oldest_promise_first,
    a_promise_expires_at_the_end_of_its_day_where_the_contract_lives,
    a_promise_that_is_taken_back_is_gone_at_once,
    a_policy_limits_promises,
    a_group_allows_more_than_its_tenant,
    a_payment_and_a_promise_at_once_lose_nothing,
    a_repeated_request_gives_one_promise,
    a_promise_is_taken_back_by_revoking_it_and_not_behind_its_back,
);

const TERMS: CreditAllowance = CreditAllowance {
    credit_limit_minor: None,
    deferral_days: None,
    promise_most_minor: Some(100_000),
    promise_days: Some(5),
    promise_fee_minor: None,
    promises_per_month: None,
    promises_at_once: Some(3),
};

async fn allowed(place: Place) -> World {
    let world = World::new(place).await;
    world.allow(PolicyScope::Tenant, None, TERMS).await;
    world
}

async fn a_promise_raises_what_may_be_spent_and_nothing_else(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    let promise = world.promise(contract, 30_000, None).await.unwrap();
    assert_eq!(world.money(contract).await, (0, 30_000, 30_000));
    assert_eq!(promise.expires_on.to_string(), "2026-11-06");
    assert_eq!(promise.expires_at, at("2026-11-06T21:00:00Z"));
    let contract = world.place.altyn.contract_get(&world.request(), contract).await.unwrap();
    assert_eq!((contract.balance_minor, contract.available_minor), (0, 30_000));
    let trial = world.place.altyn.trial_balance(&world.request()).await.unwrap();
    let lines: Vec<(String, i64)> = trial.lines.into_iter().map(|line| (line.group, line.balance_minor)).collect();
    assert_eq!(lines, [("contract".to_owned(), -30_000), ("promises".to_owned(), 30_000)]);
    world.verify().await;
}

async fn a_top_up_of_at_least_the_promise_ends_it(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    world.owe(contract, "debt", 20_000).await;
    world.promise(contract, 30_000, None).await.unwrap();
    assert_eq!(world.money(contract).await, (-20_000, 30_000, 10_000));
    // T = 50 000 ≥ G = 30 000: the balance grows by T, what may be spent by T − G.
    world.pay(contract, "p-1", 50_000).await;
    assert_eq!(world.money(contract).await, (30_000, 0, 30_000));
    assert_eq!(world.promises(contract).await, [(30_000, "kept".to_owned())]);
    world.verify().await;
}

async fn a_top_up_below_the_promise_leaves_the_rest_with_the_same_expiry(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    let promise = world.promise(contract, 30_000, Some("2026-11-04")).await.unwrap();
    world.pay(contract, "p-1", 12_000).await;
    assert_eq!(world.money(contract).await, (12_000, 18_000, 30_000), "what may be spent is unchanged");
    assert_eq!(world.promises(contract).await, [(30_000, "reduced".to_owned()), (18_000, "active".to_owned())]);
    let filter = altyn_service::promises::PromiseFilter { contract_id: Some(contract) };
    let listed = world.place.altyn.promise_list(&world.request(), filter, &page(10, None)).await.unwrap();
    let rest = &listed.data[1];
    assert_eq!(
        (rest.replaces_id, rest.expires_on, rest.expires_at),
        (Some(promise.id), promise.expires_on, promise.expires_at)
    );
    assert_eq!(rest.asked_at, promise.asked_at);
    // The job of the promise that was replaced comes too and does nothing; that of the rest ends it.
    world.live_until("2026-11-04T21:00:00Z").await;
    assert_eq!(world.money(contract).await, (12_000, 0, 12_000));
    assert_eq!(world.promises(contract).await, [(30_000, "reduced".to_owned()), (18_000, "expired".to_owned())]);
    world.verify().await;
}

async fn a_top_up_consumes_the_oldest_promise_first(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    for (amount, until) in [(30_000, "2026-11-06"), (20_000, "2026-11-03"), (10_000, "2026-11-05")] {
        world.promise(contract, amount, Some(until)).await.unwrap();
    }
    world.pay(contract, "p-1", 45_000).await;
    let states = |list: &[(i64, &str)]| -> Vec<(i64, String)> {
        list.iter().map(|(amount, status)| (*amount, (*status).to_owned())).collect()
    };
    let expected = states(&[(30_000, "kept"), (20_000, "reduced"), (10_000, "active"), (5_000, "active")]);
    assert_eq!(world.promises(contract).await, expected);
    assert_eq!(world.money(contract).await, (45_000, 15_000, 60_000));
    // The rest of the second is still older than the third.
    world.pay(contract, "p-2", 5_000).await;
    let expected = states(&[(30_000, "kept"), (20_000, "reduced"), (10_000, "active"), (5_000, "kept")]);
    assert_eq!(world.promises(contract).await, expected);
    assert_eq!(world.money(contract).await, (50_000, 10_000, 60_000));
    world.verify().await;
}

async fn a_promise_expires_at_the_end_of_its_day_where_the_contract_lives(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    world.promise(contract, 30_000, Some("2026-11-03")).await.unwrap();
    world.live_until("2026-11-03T20:59:59Z").await;
    assert_eq!(world.money(contract).await.1, 30_000);
    world.live_until("2026-11-03T21:00:00Z").await;
    assert_eq!(world.money(contract).await, (0, 0, 0));
    assert_eq!(world.promises(contract).await, [(30_000, "expired".to_owned())]);
    world.verify().await;
}

async fn a_promise_that_is_taken_back_is_gone_at_once(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    let promise = world.promise(contract, 30_000, None).await.unwrap();
    let altyn = &world.place.altyn;
    let revoked = altyn.promise_revoke(&world.request(), promise.id).await.unwrap().value;
    assert_eq!((revoked.status.as_str(), revoked.ended_by.as_deref()), ("revoked", Some("test")));
    assert_eq!(world.money(contract).await, (0, 0, 0));
    assert_eq!(code(altyn.promise_revoke(&world.request(), promise.id).await), "promise-ended");
    let other = altyn.tenant_create(&world.request(), new_tenant("Реселлер")).await.unwrap().value.id;
    let stranger = Request::internal(other, "test");
    assert_eq!(code(altyn.promise_get(&stranger, promise.id).await), "not-found");
    assert_eq!(code(altyn.promise_revoke(&stranger, promise.id).await), "not-found");
    assert_eq!(code(altyn.contract_credit(&stranger, contract).await), "not-found");
    world.verify().await;
}

async fn a_policy_limits_promises(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    assert_eq!(code(world.promise(contract, 1_000, None).await), "promise-not-allowed");
    let terms = CreditAllowance {
        promise_fee_minor: Some(1_500),
        promises_per_month: Some(2),
        promises_at_once: Some(2),
        ..TERMS
    };
    world.allow(PolicyScope::Tenant, None, terms).await;
    assert_eq!(code(world.promise(contract, 0, None).await), "/amount_minor");
    assert_eq!(code(world.promise(contract, 1_500, None).await), "/amount_minor");
    assert_eq!(code(world.promise(contract, 100_001, None).await), "promise-too-much");
    assert_eq!(code(world.promise(contract, 5_000, Some("2026-11-07")).await), "/expires_on");
    assert_eq!(code(world.promise(contract, 5_000, Some("2026-10-31")).await), "/expires_on");
    assert_eq!(world.money(contract).await, (0, 0, 0), "a refusal leaves nothing behind");
    // The fee is charged at once.
    world.promise(contract, 60_000, None).await.unwrap();
    assert_eq!(world.money(contract).await, (-1_500, 60_000, 58_500));
    assert_eq!(code(world.promise(contract, 40_001, None).await), "promise-too-much");
    world.promise(contract, 40_000, None).await.unwrap();
    world.pay(contract, "p-1", 70_000).await;
    // A month allows two, whatever has become of them; what a payment put in the place of another is not asked for.
    assert_eq!(code(world.promise(contract, 5_000, None).await), "promise-too-often");
    world.live_until("2026-11-30T20:59:59Z").await;
    assert_eq!(code(world.promise(contract, 5_000, None).await), "promise-too-often");
    world.live_until("2026-11-30T21:00:00Z").await;
    world.promise(contract, 5_000, None).await.unwrap();
    let postpaid = world.contract_of(world.customer, "Д-2", ContractKind::Postpaid).await;
    assert_eq!(code(world.promise(postpaid, 5_000, None).await), "promise-not-allowed");
    let mixed = world.contract_of(world.customer, "Д-3", ContractKind::Mixed).await;
    world.promise(mixed, 5_000, None).await.unwrap();
    world.verify().await;
}

async fn a_group_allows_more_than_its_tenant(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    assert_eq!(code(world.promise(contract, 150_000, None).await), "promise-too-much");
    let vip = CreditAllowance { promise_most_minor: Some(200_000), ..CreditAllowance::default() };
    world.allow(PolicyScope::Group, Some("vip"), vip).await;
    let command = SetContractControl { group: Some("vip".into()), ..SetContractControl::default() };
    world.place_contract(contract, command).await;
    let promise = world.promise(contract, 150_000, None).await.unwrap();
    assert_eq!(promise.expires_on.to_string(), "2026-11-08", "seven days when the policy names none");
    assert_eq!(
        code(world.promise(contract, 1_000, None).await),
        "promise-too-often",
        "one at once unless said otherwise"
    );
}

async fn a_payment_and_a_promise_at_once_lose_nothing(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    world.promise(contract, 50_000, None).await.unwrap();
    let pays = (0..6).map(|n| async move { n });
    let world = &world;
    let mut tasks = Vec::new();
    for pay in pays {
        let n = pay.await;
        tasks.push(async move { world.pay(contract, &format!("p-{n}"), 7_000).await });
    }
    let promised = async { world.promise(contract, 40_000, None).await.unwrap() };
    let ((), _) = tokio::join!(
        async {
            futures_join(tasks).await;
        },
        promised
    );
    let (balance, promises, available) = world.money(contract).await;
    assert_eq!((balance, promises + balance), (42_000, 90_000));
    assert_eq!(available, 90_000);
    world.verify().await;
}

async fn a_repeated_request_gives_one_promise(place: Place) {
    let world = allowed(place).await;
    let contract = world.contract("Д-1").await;
    let command =
        GivePromise {
            contract_id: contract, amount_minor: 30_000, expires_on: None, comment: "заплатит".into()
        };
    let give = async |body| {
        let request = world.place.keyed("promise-1", body);
        world.place.altyn.promise_give(&request, command.clone()).await
    };
    let (first, again) = (give(1).await.unwrap(), give(1).await.unwrap());
    assert_eq!((first.replayed, again.replayed, first.value.id), (false, true, again.value.id));
    assert_eq!(code(give(2).await), "idempotency-key-reused");
    assert_eq!(world.money(contract).await, (0, 30_000, 30_000));
}

/// Lets futures run side by side on this task.
async fn futures_join<F: Future<Output = ()>>(tasks: Vec<F>) {
    let mut tasks: Vec<_> = tasks.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        if tasks.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn a_promise_is_taken_back_by_revoking_it_and_not_behind_its_back(place: Place) {
    let world = World::new(place).await;
    world.allow(PolicyScope::Tenant, None, CreditAllowance { promise_fee_minor: Some(1_000), ..TERMS }).await;
    let contract = world.contract("Д-1").await;
    let (altyn, request) = (&world.place.altyn, world.request());
    let ended = world.promise(contract, 30_000, None).await.unwrap();
    altyn.promise_revoke(&request, ended.id).await.unwrap();
    world.promise(contract, 20_000, None).await.unwrap();
    let before = world.money(contract).await;
    let posted = altyn.transaction_list(&request, &page(100, None)).await.unwrap().data;
    for kind in ["promise-given", "promise-ended", "promise-fee"] {
        for transaction in posted.iter().filter(|transaction| transaction.kind == kind) {
            let back = ReverseTransaction { effective_on: day("2026-11-02"), description: "назад".into() };
            assert_eq!(code(altyn.transaction_reverse(&request, transaction.id, back).await), "promise-stands");
        }
    }
    let kinds: Vec<&str> = posted.iter().map(|transaction| transaction.kind.as_str()).collect();
    assert_eq!(kinds, ["promise-given", "promise-fee", "promise-ended", "promise-given", "promise-fee"]);
    assert_eq!(world.money(contract).await, before);
    world.verify().await;
}
