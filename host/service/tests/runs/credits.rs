//! Giving parts of charges back: exactly, once, and never more than was charged.

use altyn_domain::{
    charge::{ChargeStatus, CreditAmount},
    id::{ChargeId, Id as _, TransactionId},
    ledger::{AccountCode, Entry},
};
use altyn_service::{
    IdempotencyKey, Request,
    charges::{ChargeFilter, ChargeView},
    credits::{ChargeCredit, CreditCharge, charges_credit},
    ledger::ReverseTransaction,
};
use altyn_store::Scope;

use crate::world::{World, code, day, on_both_engines, page};

on_both_engines!(
    a_part_of_a_charge_goes_back_to_the_balance_as_its_preview_said,
    no_two_credits_at_once_give_back_more_than_was_charged,
    a_credit_that_is_not_possible_writes_nothing,
    credits_of_one_change_follow_one_another,
    what_billing_posted_is_not_reversed_behind_its_back,
);

fn ask(amount_minor: Option<i64>) -> CreditCharge {
    CreditCharge { amount_minor, reason: "простой".into(), credited_on: None }
}

/// The first charge of a contract, which is the 590.00 of its internet.
async fn charge(world: &World, contract: usize) -> ChargeView {
    let filter = ChargeFilter { contract_id: Some(world.contracts[contract].id), ..ChargeFilter::default() };
    let found = world.altyn.charge_list(&world.request(), filter, &page()).await.unwrap().data;
    found.into_iter().find(|charge| charge.amount_minor == 59_000).unwrap()
}

async fn a_part_of_a_charge_goes_back_to_the_balance_as_its_preview_said(world: &World) {
    world.close_day("2026-11-01").await;
    let charge = charge(world, 0).await;
    let (altyn, request) = (&world.altyn, world.request());
    let before = world.state().await;
    let preview = altyn.charge_credit_preview(&request, charge.id, ask(Some(29_500))).await.unwrap();
    assert_eq!(before, world.state().await, "a preview writes nothing");
    // 590.00 with 22 % inside has 106.39 of tax; half of it is 53.195, rounded away from zero.
    assert_eq!((preview.net_minor, preview.tax_minor, preview.gross_minor), (24_180, 5_320, 29_500));
    let funds = AccountCode::ContractFunds(charge.contract_id);
    let expected = [(AccountCode::DeferredRevenue, 29_500), (funds, -29_500)];
    let expected = expected.map(|(account, amount_minor)| Entry { account, amount_minor });
    assert_eq!(preview.entries, expected);

    let credit = altyn.charge_credit(&request, charge.id, ask(Some(29_500))).await.unwrap().value;
    assert_eq!((credit.net_minor, credit.tax_minor, credit.gross_minor), (24_180, 5_320, 29_500));
    assert!(!credit.after_realisation);
    let posted = altyn.transaction_get(&request, credit.transaction_id.unwrap()).await.unwrap();
    let entries: Vec<_> = posted.entries.iter().map(|entry| (entry.account.clone(), entry.amount_minor)).collect();
    let previewed: Vec<_> =
        preview.entries.iter().map(|entry| (entry.account.to_string(), entry.amount_minor)).collect();
    assert_eq!(entries, previewed);

    let rest = altyn.charge_credit(&request, charge.id, ask(None)).await.unwrap().value;
    assert_eq!((rest.net_minor, rest.tax_minor, rest.gross_minor), (24_181, 5_319, 29_500));
    let now = altyn.charge_get(&request, charge.id).await.unwrap();
    assert_eq!((now.status, now.credited_minor), (ChargeStatus::Refunded, 59_000));
    let credits = altyn.charge_credits(&request, charge.id, &page()).await.unwrap().data;
    assert_eq!(credits.iter().map(|credit| credit.id).collect::<Vec<_>>(), [credit.id, rest.id]);
    assert_eq!(code(altyn.charge_credit(&request, charge.id, ask(None)).await), "credit-exceeds-charge");
    world.prove().await;
}

async fn no_two_credits_at_once_give_back_more_than_was_charged(world: &World) {
    world.close_day("2026-11-01").await;
    let charge = charge(world, 0).await;
    let (request, rival) = (world.request(), world.host(altyn_service::settings::Settings::default()).await);
    let (left, right) = tokio::join!(
        world.altyn.charge_credit(&request, charge.id, ask(Some(40_000))),
        rival.charge_credit(&request, charge.id, ask(Some(40_000))),
    );
    let refused: Vec<String> = [left, right].into_iter().filter(Result::is_err).map(code).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(["busy", "credit-exceeds-charge"].contains(&refused[0].as_str()), "{refused:?}");
    assert_eq!(world.altyn.charge_get(&request, charge.id).await.unwrap().credited_minor, 40_000);
    rival.db.close().await;
    world.prove().await;
}

async fn a_credit_that_is_not_possible_writes_nothing(world: &World) {
    world.close_day("2026-11-01").await;
    let charge = charge(world, 0).await;
    let (altyn, request) = (&world.altyn, world.request());
    let before = world.state().await;
    let stranger = ChargeId::from_uuid(world.contracts[0].id.uuid());
    assert_eq!(code(altyn.charge_credit(&request, stranger, ask(Some(1))).await), "not-found");
    assert_eq!(code(altyn.charge_credits(&request, stranger, &page()).await), "not-found");
    for amount in [0, -1] {
        assert_eq!(code(altyn.charge_credit(&request, charge.id, ask(Some(amount))).await), "invalid-request");
    }
    for amount in [59_001, i64::MAX] {
        let refused = altyn.charge_credit(&request, charge.id, ask(Some(amount))).await;
        assert_eq!(code(refused), "credit-exceeds-charge");
    }
    let later = CreditCharge { credited_on: Some(day("2030-01-01")), ..ask(Some(1)) };
    assert_eq!(code(altyn.charge_credit(&request, charge.id, later).await), "invalid-request");
    let silent = CreditCharge { reason: " ".into(), ..ask(Some(1)) };
    assert_eq!(code(altyn.charge_credit(&request, charge.id, silent).await), "invalid-request");
    assert_eq!(before, world.state().await);

    // The same request again answers the same credit and makes no other.
    let key = IdempotencyKey { key: "once".into(), request: "POST /credits".into(), fingerprint: [1; 32] };
    let keyed = Request { key: Some(key), ..request.clone() };
    let first = altyn.charge_credit(&keyed, charge.id, ask(Some(100))).await.unwrap();
    let again = altyn.charge_credit(&keyed, charge.id, ask(Some(100))).await.unwrap();
    assert_eq!((again.replayed, again.value.id), (true, first.value.id));
    assert_eq!(altyn.charge_get(&request, charge.id).await.unwrap().credited_minor, 100);
}

async fn credits_of_one_change_follow_one_another(world: &World) {
    world.close_day("2026-11-01").await;
    let charge = charge(world, 0).await;
    let altyn = &world.altyn;
    let change = altyn.ids.next();
    let part = |amount, from: &str| ChargeCredit {
        charge: charge.id,
        amount,
        used: Some((day(from), day("2026-12-01"))),
        reason: "смена тарифа".into(),
        change: Some(change),
    };
    let third = altyn_domain::money::Money::new(20_000, altyn_domain::money::Currency::RUB);
    let parts = [part(CreditAmount::Gross(third), "2026-11-20"), part(CreditAmount::Rest, "2026-11-01")];
    let now = altyn.clock.now();
    let mut tx = altyn.db.write(Scope::Tenant(world.tenant.0)).await.unwrap();
    let made = charges_credit(&mut tx, &*altyn.ids, world.tenant, now, day("2026-11-20"), &parts).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(made.iter().map(|credit| credit.gross_minor).collect::<Vec<_>>(), [20_000, 39_000]);
    assert_eq!(made.iter().map(|credit| credit.tax_minor).sum::<i64>(), 10_639);
    assert_eq!(made[0].used_start, day("2026-11-20"));
    world.prove().await;
}

async fn what_billing_posted_is_not_reversed_behind_its_back(world: &World) {
    world.close_day("2026-11-01").await;
    let charge = charge(world, 0).await;
    let (altyn, request) = (&world.altyn, world.request());
    altyn.charge_credit(&request, charge.id, ask(Some(10_000))).await.unwrap();
    world.close_day("2026-12-01").await;
    let before = world.state().await;
    for (kind, stands) in
        [("charge-due", "charge-stands"), ("charge-realised", "charge-stands"), ("credit-unused", "credit-stands")]
    {
        let posted: Vec<(uuid::Uuid,)> = world
            .rows(
                "select id from ledger_transactions where tenant_id = $1 and kind = $2 order by id limit 1",
                (world.tenant.0, kind.to_owned()),
            )
            .await;
        let back = ReverseTransaction { effective_on: day("2026-12-02"), description: "назад".into() };
        let reversed = altyn.transaction_reverse(&request, TransactionId(posted[0].0), back).await;
        assert_eq!(code(reversed), stands, "{kind}");
    }
    assert_eq!(before, world.state().await);
    world.prove().await;
}
