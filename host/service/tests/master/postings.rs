//! Manual postings: many callers at once, and batches.

use altyn_domain::{
    id::ContractId,
    ledger::{AccountCode, Entry, TransactionKind},
    money::Currency,
};
use altyn_service::{
    ServiceError,
    ledger::{PostTransaction, ReverseTransaction},
    poster::{PostTransactions, PostedTransactions},
};

use crate::{
    parties::{contract, individual, refused},
    support::{Place, on_both_engines, page},
};

on_both_engines!(
    each_of_many_callers_gets_the_answer_to_his_own_posting,
    a_key_makes_a_posting_happen_once_whoever_asks_at_the_same_time,
    a_posting_is_reversed_once_whoever_asks_at_the_same_time,
    a_batch_is_posted_whole_or_not_at_all,
    a_batch_repeated_changes_nothing_and_a_changed_one_is_refused,
    every_fault_of_a_batch_is_named_with_its_place,
    what_objects_of_billing_answer_for_is_not_posted_by_hand,
);

const CALLERS: u8 = 48;

async fn new_contract(place: &Place) -> ContractId {
    let (altyn, request) = (&place.altyn, place.request());
    let customer = altyn.customer_create(&request, individual("Иванов")).await.unwrap().value.id;
    let seller = place.seller().await;
    altyn.contract_create(&request, contract(customer, seller, "Д-1")).await.unwrap().value.id
}

fn put(key: &str, contract: ContractId, amount_minor: i64) -> PostTransaction {
    PostTransaction {
        source_key: key.into(),
        effective_on: "2026-11-01".parse().unwrap(),
        currency: Currency::RUB,
        description: "поправка".into(),
        kind: TransactionKind::Adjustment,
        entries: vec![
            Entry { account: AccountCode::Cash, amount_minor },
            Entry { account: AccountCode::ContractFunds(contract), amount_minor: -amount_minor },
        ],
    }
}

/// What the contract has, the number of transactions, and whether the books balance.
async fn books(place: &Place, contract: ContractId) -> (i64, i64, bool) {
    let (altyn, request) = (&place.altyn, place.request());
    let balance = altyn.contract_get(&request, contract).await.unwrap().balance_minor;
    // Every posting here has one entry on the cash account.
    let accounts = altyn.account_list(&request, &page(100, None)).await.unwrap().data;
    let transactions = accounts.iter().find(|account| account.code == "cash").map_or(0, |cash| cash.entry_count);
    let trial = altyn.trial_balance(&request).await.unwrap();
    (balance, transactions, trial.totals.values().all(|total| *total == 0))
}

async fn each_of_many_callers_gets_the_answer_to_his_own_posting(place: Place) {
    let contract = new_contract(&place).await;
    let nobody = ContractId(uuid::Uuid::from_u128(1));
    let mut callers = Vec::new();
    for n in 0..CALLERS {
        let (altyn, request) = (place.altyn.clone(), place.keyed(&format!("key-{n}"), n));
        // Every third names a source key that its predecessor names too, every seventh a contract that is not there.
        let key = if n % 3 == 2 { format!("receipt-{}", n - 1) } else { format!("receipt-{n}") };
        let to = if n % 7 == 6 { nobody } else { contract };
        callers.push(tokio::spawn(async move {
            (n, altyn.transaction_post(&request, put(&key, to, 100 + i64::from(n))).await)
        }));
    }
    let (mut sum, mut posted) = (0, 0);
    for caller in callers {
        let (n, answer) = caller.await.unwrap();
        if n % 7 == 6 {
            assert_eq!(refused(answer), ["/entries/1/account"], "{n}");
            continue;
        }
        match answer {
            Ok(reply) => {
                let amount = 100 + i64::from(n);
                assert_eq!(reply.value.entries[0].amount_minor, amount);
                sum += amount;
                posted += 1;
                let read = place.altyn.transaction_get(&place.request(), reply.value.id).await.unwrap();
                let text = |view| serde_json::to_string(&view).unwrap();
                let stored = text(read);
                assert_eq!(text(reply.value), stored);
                // The answer that the key remembers is the one that was given.
                let key = if n % 3 == 2 { format!("receipt-{}", n - 1) } else { format!("receipt-{n}") };
                let again = place.keyed(&format!("key-{n}"), n);
                let again = place.altyn.transaction_post(&again, put(&key, contract, amount)).await.unwrap();
                assert!(again.replayed);
                assert_eq!(text(again.value), stored);
            }
            Err(ServiceError::Conflict { code: "source-key-taken", .. }) => assert!(n % 3 != 0, "{n}"),
            Err(other) => panic!("{n}: {other:?}"),
        }
    }
    // Of each pair that named the same source key one was posted, unless its contract was not there.
    let expected = (0..CALLERS)
        .filter(|n| n % 7 != 6)
        .map(|n| if n % 3 == 2 { n - 1 } else { n })
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(posted, i64::try_from(expected.len()).unwrap());
    assert_eq!(books(&place, contract).await, (sum, posted, true));
}

async fn a_key_makes_a_posting_happen_once_whoever_asks_at_the_same_time(place: Place) {
    let contract = new_contract(&place).await;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let (altyn, request) = (place.altyn.clone(), place.keyed("once", 1));
        callers.push(tokio::spawn(async move { altyn.transaction_post(&request, put("once", contract, 500)).await }));
    }
    let mut ids = std::collections::BTreeSet::new();
    let mut fresh = 0;
    for caller in callers {
        let reply = caller.await.unwrap().unwrap();
        ids.insert(reply.value.id);
        fresh += usize::from(!reply.replayed);
    }
    assert_eq!((ids.len(), fresh), (1, 1));
    let other = place.altyn.transaction_post(&place.keyed("once", 2), put("other", contract, 500)).await;
    assert!(matches!(other, Err(ServiceError::KeyReused)), "{other:?}");
    assert_eq!(books(&place, contract).await, (500, 1, true));
}

async fn a_posting_is_reversed_once_whoever_asks_at_the_same_time(place: Place) {
    let contract = new_contract(&place).await;
    let posted = place.altyn.transaction_post(&place.request(), put("receipt", contract, 500)).await.unwrap().value.id;
    let mut callers = Vec::new();
    for n in 0..CALLERS {
        let (altyn, request) = (place.altyn.clone(), place.keyed(&format!("back-{n}"), n));
        let back =
            ReverseTransaction { effective_on: "2026-11-02".parse().unwrap(), description: "ошибка".into() };
        callers.push(tokio::spawn(async move { altyn.transaction_reverse(&request, posted, back).await }));
    }
    let mut reversed = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(_) => reversed += 1,
            Err(ServiceError::Conflict { code: "already-reversed", .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((reversed, books(&place, contract).await), (1, (0, 2, true)));
}

async fn post(place: &Place, transactions: Vec<PostTransaction>) -> Result<PostedTransactions, ServiceError> {
    let batch = PostTransactions { transactions };
    place.altyn.transaction_post_batch(&place.request(), batch).await.map(|reply| reply.value)
}

async fn a_batch_is_posted_whole_or_not_at_all(place: Place) {
    let contract = new_contract(&place).await;
    let nobody = ContractId(uuid::Uuid::from_u128(1));
    let spoiled = post(&place, vec![put("a", contract, 100), put("b", nobody, 100)]).await;
    assert_eq!(refused(spoiled), ["/transactions/1/entries/1/account"]);
    assert_eq!(books(&place, contract).await, (0, 0, true));
    let posted = post(&place, (1..=150).map(|n| put(&format!("n{n}"), contract, n)).collect()).await.unwrap();
    assert_eq!((posted.posted, posted.repeated, posted.transactions.len()), (150, 0, 150));
    assert_eq!(posted.transactions[149].source_key, "manual/n150");
    assert_eq!(books(&place, contract).await, (150 * 151 / 2, 150, true));
}

async fn a_batch_repeated_changes_nothing_and_a_changed_one_is_refused(place: Place) {
    let contract = new_contract(&place).await;
    let first = post(&place, vec![put("a", contract, 100), put("b", contract, 200)]).await.unwrap();
    let again = post(&place, vec![put("b", contract, 200), put("c", contract, 400)]).await.unwrap();
    assert_eq!((again.posted, again.repeated), (1, 1));
    assert_eq!(again.transactions[0].id, first.transactions[1].id);
    let changed = post(&place, vec![put("d", contract, 800), put("a", contract, 101)]).await;
    assert!(matches!(changed, Err(ServiceError::Conflict { code: "source-key-taken", .. })), "{changed:?}");
    assert_eq!(books(&place, contract).await, (700, 3, true));
}

async fn every_fault_of_a_batch_is_named_with_its_place(place: Place) {
    let contract = new_contract(&place).await;
    let mut unbalanced = put("b", contract, 100);
    unbalanced.entries[0].amount_minor += 1;
    let batch = vec![put("a", contract, 100), unbalanced, put("", contract, 1), put("a", contract, 100)];
    assert_eq!(
        refused(post(&place, batch).await),
        ["/transactions/1/entries", "/transactions/2/source_key", "/transactions/3/source_key"]
    );
    assert_eq!(refused(post(&place, Vec::new()).await), ["/transactions"]);
    let many = (0..1_001).map(|n| put(&n.to_string(), contract, 1)).collect();
    assert_eq!(refused(post(&place, many).await), ["/transactions"]);
    assert_eq!(books(&place, contract).await, (0, 0, true));
}

async fn what_objects_of_billing_answer_for_is_not_posted_by_hand(place: Place) {
    let contract = new_contract(&place).await;
    let available = async || {
        let seen = place.altyn.contract_get(&place.request(), contract).await.unwrap();
        (seen.balance_minor, seen.available_minor)
    };
    let before = available().await;
    let on = |kind, account| {
        let mut posting = put("x", contract, 100);
        posting.kind = kind;
        posting.entries[1].account = account;
        posting
    };
    let mut batch = Vec::new();
    let mut pointers = Vec::new();
    for kind in TransactionKind::ALL.iter().filter(|kind| !kind.by_hand()) {
        batch.push(on(*kind, AccountCode::ContractFunds(contract)));
        pointers.push("/kind");
    }
    for account in [
        AccountCode::ContractPromised(contract),
        AccountCode::ContractBlocked(contract),
        AccountCode::Promises,
        AccountCode::DeferredRevenue,
    ] {
        batch.push(on(TransactionKind::Adjustment, account));
        pointers.push("/entries/1/account");
    }
    for kind in [TransactionKind::PaymentReceived, TransactionKind::Refund] {
        batch.push(on(kind, AccountCode::Adjustments));
        pointers.push("/entries/1/account");
    }
    assert_eq!(batch.len(), 16);
    for (posting, pointer) in batch.iter().zip(&pointers) {
        let alone = place.altyn.transaction_post(&place.request(), posting.clone()).await;
        assert_eq!(refused(alone), [*pointer], "{} on {}", posting.kind, posting.entries[1].account);
    }
    for (at, posting) in batch.iter_mut().enumerate() {
        posting.source_key = format!("x-{at}");
    }
    let places: Vec<String> =
        pointers.iter().enumerate().map(|(at, pointer)| format!("/transactions/{at}{pointer}")).collect();
    assert_eq!(refused(post(&place, batch).await), places);
    assert_eq!(available().await, before, "nothing was raised");
    assert_eq!(books(&place, contract).await, (0, 0, true));
}
