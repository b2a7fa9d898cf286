//! Previews of what moves money by hand: what is shown is what is posted, and looking leaves nothing behind.

use std::collections::BTreeSet;

use altyn_domain::{
    credit::PolicyScope,
    id::{ContractId, PromiseId, TransactionId},
    ledger::{AccountCode, Entry, TransactionKind},
    money::Currency,
    party::ContractKind,
};
use altyn_service::{
    contracts::CreateContract,
    credit::CreditAllowance,
    customers::CustomerFilter,
    funds::TransferFunds,
    imports::{ImportKind, ImportOptions},
    ledger::{PostTransaction, ReverseTransaction},
    poster::PostTransactions,
    promises::GivePromise,
    rehearsal::{ActionPreview, PlannedPosting},
};

use crate::{
    support::{Place, on_both_engines, page},
    world::{World, code, day},
};

on_both_engines!(
    a_promise_with_its_fee_is_previewed_given_and_taken_back_as_shown,
    a_transfer_posts_what_its_preview_shows_with_the_debts_below,
    a_payment_consumes_the_promises_that_its_preview_shows,
    a_batch_and_a_reversal_post_what_their_previews_show,
    an_opening_balance_is_posted_as_the_preview_of_the_contract_shows,
    a_preview_refuses_as_the_action_does,
);

/// What a posting moves, without what differs from one posting to the next.
type Told = (String, String, String, String, Option<TransactionId>, Vec<(String, i64)>);

fn told(postings: &[PlannedPosting]) -> Vec<Told> {
    let of = |one: &PlannedPosting| {
        let entries = one.entries.iter().map(|entry| (entry.account.to_string(), entry.amount_minor)).collect();
        let kind = one.kind.as_str().to_owned();
        let on = one.effective_on.to_string();
        (kind, one.currency.clone(), on, one.description.clone(), one.reverses_id, entries)
    };
    postings.iter().map(of).collect()
}

impl World {
    /// Everything that an action could leave behind, and every balance.
    async fn footprint(&self) -> Vec<String> {
        let mut tx = self.place.altyn.db.read(self.request().scope()).await.unwrap();
        let mut told = Vec::new();
        macro_rules! count {
            ($($table:literal),*) => {$({
                let sql = concat!("select count(*) from ", $table, " where tenant_id = $1");
                let (rows,): (i64,) = tx.fetch_one(sql, (self.place.tenant.0,)).await.unwrap();
                told.push(format!("{rows} in {}", $table));
            })*};
        }
        count!(
            "customers",
            "contracts",
            "promises",
            "blocks",
            "jobs",
            "outbox",
            "idempotency",
            "ledger_accounts",
            "ledger_transactions",
            "ledger_entries"
        );
        let sql = "select code, balance_minor, entry_count from ledger_accounts where tenant_id = $1 order by code";
        let balances: Vec<(String, i64, i64)> = tx.fetch_all(sql, (self.place.tenant.0,)).await.unwrap();
        told.extend(balances.iter().map(|(code, balance, entries)| format!("{code}: {balance} by {entries}")));
        told
    }

    async fn posted_ids(&self) -> BTreeSet<TransactionId> {
        let all = self.place.altyn.transaction_list(&self.request(), &page(100, None)).await.unwrap();
        assert!(!all.has_more);
        all.data.into_iter().map(|one| one.id).collect()
    }

    /// What was posted since, oldest first.
    async fn posted_since(&self, before: &BTreeSet<TransactionId>) -> Vec<Told> {
        let mut told = Vec::new();
        for id in self.posted_ids().await.difference(before) {
            let one = self.place.altyn.transaction_get(&self.request(), *id).await.unwrap();
            let entries = one.entries.into_iter().map(|entry| (entry.account, entry.amount_minor)).collect();
            told.push((
                one.kind,
                one.currency,
                one.effective_on.to_string(),
                one.description,
                one.reverses_id,
                entries,
            ));
        }
        told
    }

    /// Proves of an action that its preview wrote nothing and that it then does what was shown.
    async fn does_as_shown<T, U>(
        &self,
        preview: impl AsyncFn() -> ActionPreview<T>,
        act: impl AsyncFnOnce() -> U,
    ) -> (ActionPreview<T>, U) {
        let before = (self.footprint().await, self.posted_ids().await);
        let seen = preview().await;
        assert_eq!(self.footprint().await, before.0, "a preview leaves nothing behind");
        for one in &seen.contracts {
            let (balance, _, available) = self.money(one.contract_id).await;
            assert_eq!((one.balance_before_minor, one.available_before_minor), (balance, available));
        }
        let done = act().await;
        assert_eq!(told(&seen.postings), self.posted_since(&before.1).await, "what was shown is what was posted");
        assert!(!seen.postings.is_empty() && !seen.contracts.is_empty());
        for one in &seen.contracts {
            let (balance, _, available) = self.money(one.contract_id).await;
            assert_eq!((one.balance_after_minor, one.available_after_minor), (balance, available));
        }
        self.verify().await;
        (seen, done)
    }
}

fn terms() -> CreditAllowance {
    CreditAllowance {
        credit_limit_minor: Some(0),
        promise_most_minor: Some(50_000),
        promise_fee_minor: Some(500),
        promises_at_once: Some(3),
        ..CreditAllowance::default()
    }
}

fn wish(contract: ContractId, amount: i64) -> GivePromise {
    GivePromise { contract_id: contract, amount_minor: amount, expires_on: None, comment: "заплатит".into() }
}

fn payment(contract: ContractId, amount: i64, key: &str) -> PostTransaction {
    PostTransaction {
        source_key: key.into(),
        effective_on: day("2026-11-01"),
        currency: Currency::RUB,
        description: "paid".into(),
        kind: TransactionKind::PaymentReceived,
        entries: vec![
            Entry { account: AccountCode::Cash, amount_minor: amount },
            Entry { account: AccountCode::ContractFunds(contract), amount_minor: -amount },
        ],
    }
}

fn transfer(from: ContractId, to: ContractId, amount: i64, key: &str) -> TransferFunds {
    TransferFunds {
        source_key: key.into(),
        from_contract_id: from,
        to_contract_id: to,
        amount_minor: amount,
        effective_on: None,
        description: "переезд".into(),
    }
}

async fn a_promise_with_its_fee_is_previewed_given_and_taken_back_as_shown(place: Place) {
    let world = World::new(place).await;
    world.allow(PolicyScope::Tenant, None, terms()).await;
    let contract = world.contract("A").await;
    let (altyn, request) = (&world.place.altyn, world.request());
    world.pay(contract, "p-0", 1_000).await;
    let (seen, given) = world
        .does_as_shown(
            async || altyn.promise_give_preview(&request, wish(contract, 20_000)).await.unwrap(),
            async || altyn.promise_give(&request, wish(contract, 20_000)).await.unwrap().value,
        )
        .await;
    let kinds: Vec<&str> = seen.postings.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["promise-given", "promise-fee"]);
    assert_eq!((seen.outcome.amount_minor, seen.outcome.expires_on), (given.amount_minor, given.expires_on));
    assert_eq!((seen.contracts[0].available_before_minor, seen.contracts[0].available_after_minor), (1_000, 20_500));
    let (seen, _) = world
        .does_as_shown(
            async || altyn.promise_revoke_preview(&request, given.id).await.unwrap(),
            async || altyn.promise_revoke(&request, given.id).await.unwrap(),
        )
        .await;
    assert_eq!((seen.contracts[0].balance_after_minor, seen.contracts[0].available_after_minor), (500, 500));
}

async fn a_transfer_posts_what_its_preview_shows_with_the_debts_below(place: Place) {
    let world = World::new(place).await;
    let [a, b, c] = [world.contract("A").await, world.contract("B").await, world.contract("C").await];
    world.below(c, b, 1).await;
    world.owe(c, "debt", 3_000).await;
    world.pay(a, "p-1", 30_000).await;
    let (altyn, request) = (&world.place.altyn, world.request());
    let (seen, _) = world
        .does_as_shown(
            async || altyn.contract_transfer_preview(&request, transfer(a, b, 10_000, "t-1")).await.unwrap(),
            async || altyn.contract_transfer(&request, transfer(a, b, 10_000, "t-1")).await.unwrap(),
        )
        .await;
    assert_eq!(seen.postings.len(), 2, "the transfer, and what covers the debt below: {seen:?}");
    let after: Vec<i64> = seen.contracts.iter().map(|one| one.balance_after_minor).collect();
    assert_eq!(after, [20_000, 7_000, 0]);
}

async fn a_payment_consumes_the_promises_that_its_preview_shows(place: Place) {
    let world = World::new(place).await;
    let free = CreditAllowance { promise_fee_minor: None, ..terms() };
    world.allow(PolicyScope::Tenant, None, free).await;
    let contract = world.contract("A").await;
    world.owe(contract, "debt", 10_000).await;
    world.close("2026-11-01").await;
    assert_eq!(world.states(contract).await, ["credit-limit active"]);
    world.promise(contract, 5_000, None).await.unwrap();
    world.promise(contract, 20_000, None).await.unwrap();
    let (altyn, request) = (&world.place.altyn, world.request());
    let (seen, _) = world
        .does_as_shown(
            async || altyn.transaction_post_preview(&request, payment(contract, 12_000, "p-1")).await.unwrap(),
            async || altyn.transaction_post(&request, payment(contract, 12_000, "p-1")).await.unwrap(),
        )
        .await;
    let kinds: Vec<&str> = seen.postings.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["payment-received", "promise-ended", "promise-ended", "promise-given"]);
    let money = &seen.contracts[0];
    assert_eq!((money.available_before_minor, money.available_after_minor), (15_000, 15_000));
}

async fn a_batch_and_a_reversal_post_what_their_previews_show(place: Place) {
    let world = World::new(place).await;
    let [a, b] = [world.contract("A").await, world.contract("B").await];
    let (altyn, request) = (&world.place.altyn, world.request());
    world.pay(a, "p-1", 1_000).await;
    let batch = || PostTransactions { transactions: vec![payment(a, 700, "p-2"), payment(b, 900, "p-3")] };
    let (seen, done) = world
        .does_as_shown(
            async || altyn.transaction_post_batch_preview(&request, batch()).await.unwrap(),
            async || altyn.transaction_post_batch(&request, batch()).await.unwrap().value,
        )
        .await;
    assert_eq!((seen.outcome.posted, seen.outcome.repeated), (done.posted, done.repeated));
    let again = altyn.transaction_post_batch_preview(&request, batch()).await.unwrap();
    assert_eq!((again.outcome.repeated, again.postings.len()), (2, 0), "what stands is not posted again");

    let wrong = done.transactions[0].id;
    let undo = || ReverseTransaction { effective_on: day("2026-11-02"), description: "wrong contract".into() };
    let (seen, _) = world
        .does_as_shown(
            async || altyn.transaction_reverse_preview(&request, wrong, undo()).await.unwrap(),
            async || altyn.transaction_reverse(&request, wrong, undo()).await.unwrap(),
        )
        .await;
    assert_eq!(seen.postings[0].reverses_id, Some(wrong));
    let refused = altyn.transaction_reverse_preview(&request, wrong, undo()).await;
    assert_eq!(code(refused), "already-reversed");
}

async fn an_opening_balance_is_posted_as_the_preview_of_the_contract_shows(place: Place) {
    let world = World::new(place).await;
    let (altyn, request) = (&world.place.altyn, world.request());
    let file = "Название;Тип;Начальный баланс;Внешний ID;Внешняя система;ИНН;КПП;ОГРН;E-mail;Телефон;Адрес\r\n\
        Щукин Олег;ФЛ;123.45;3;lb;;;;;;\r\n";
    let options = ImportOptions { seller: world.seller, dry_run: false, external_system: None };
    altyn.import_books(&request, ImportKind::Customers, "books.csv", file.into(), options).await.unwrap();
    let filter = CustomerFilter { external_id: Some("3".into()), ..CustomerFilter::default() };
    let customer = altyn.customer_list(&request, filter, &page(10, None)).await.unwrap().data[0].id;
    let command = || CreateContract {
        customer_id: customer,
        seller_id: world.seller,
        number: "O-1".into(),
        kind: ContractKind::Prepaid,
        currency: None,
        zone: None,
        credit_limit_minor: Some(1_000),
        signed_on: None,
        external_system: None,
        external_id: None,
    };
    let before = (world.footprint().await, world.posted_ids().await);
    let seen = altyn.contract_create_preview(&request, command()).await.unwrap();
    assert_eq!(world.footprint().await, before.0);
    let made = altyn.contract_create(&request, command()).await.unwrap().value;
    let posted = world.posted_since(&before.1).await;
    assert_eq!((seen.postings.len(), posted.len()), (1, 1));
    assert_eq!((seen.postings[0].kind.as_str(), posted[0].0.as_str()), ("opening-balance", "opening-balance"));
    let amounts: Vec<i64> = seen.postings[0].entries.iter().map(|entry| entry.amount_minor).collect();
    assert_eq!(amounts, posted[0].5.iter().map(|entry| entry.1).collect::<Vec<_>>());
    let money = &seen.contracts[0];
    assert_eq!((money.balance_before_minor, money.balance_after_minor), (0, made.balance_minor));
    assert_eq!((money.available_before_minor, money.available_after_minor), (1_000, made.available_minor));
}

async fn a_preview_refuses_as_the_action_does(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("A").await;
    let other = world.contract_of(world.other_customer, "S", ContractKind::Prepaid).await;
    let (altyn, request) = (&world.place.altyn, world.request());
    let before = world.footprint().await;
    let promise = wish(contract, 1_000);
    let refused = code(altyn.promise_give_preview(&request, promise.clone()).await);
    assert_eq!(
        (refused.as_str(), &refused),
        ("promise-not-allowed", &code(altyn.promise_give(&request, promise).await))
    );
    let nobody = PromiseId(uuid::Uuid::nil());
    assert_eq!(code(altyn.promise_revoke_preview(&request, nobody).await), "not-found");
    for (to, amount, why) in
        [(other, 1, "contracts-not-related"), (contract, 1, "/to_contract_id"), (other, 0, "/amount_minor")]
    {
        let refused = code(altyn.contract_transfer_preview(&request, transfer(contract, to, amount, "t")).await);
        let done = code(altyn.contract_transfer(&request, transfer(contract, to, amount, "t")).await);
        assert_eq!((refused.as_str(), &refused), (why, &done));
    }
    let unknown = ContractId(uuid::Uuid::nil());
    let refused = code(altyn.transaction_post_preview(&request, payment(unknown, 5, "p")).await);
    assert_eq!(refused, code(altyn.transaction_post(&request, payment(unknown, 5, "p")).await));
    let stranger = altyn_service::Request::internal(altyn_domain::id::TenantId(altyn.ids.next()), "test");
    let nothing = ReverseTransaction { effective_on: day("2026-11-02"), description: "x".into() };
    let id = TransactionId(uuid::Uuid::nil());
    assert_eq!(code(altyn.transaction_reverse_preview(&stranger, id, nothing).await), "not-found");
    assert_eq!(world.footprint().await, before);
}
