//! `/v1/ledger`: accounts, transactions, manual postings, reversals and the trial balance.

use altyn_domain::id::{AccountId, TransactionId};
use altyn_service::{
    ledger::{AccountView, EntryView, PostTransaction, ReverseTransaction, TransactionView, TrialBalance},
    page::{Listed, Page},
    poster::{PostTransactions, PostedTransactions},
    rehearsal::ActionPreview,
};
use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    auth::{App, Caller},
    error::Problem,
    idempotency::{Answer, Command, Found, Resource},
    page::{At, Paged},
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(account_list))
        .routes(routes!(account_get))
        .routes(routes!(account_entries))
        .routes(routes!(transaction_post_preview))
        .routes(routes!(transaction_list, transaction_post))
        .routes(routes!(transaction_post_batch_preview))
        .routes(routes!(transaction_post_batch))
        .routes(routes!(transaction_get))
        .routes(routes!(transaction_reverse_preview))
        .routes(routes!(transaction_reverse))
        .routes(routes!(trial_balance))
}

impl Resource for AccountView {}

impl Resource for PostedTransactions {}

impl Resource for TransactionView {
    fn location(&self) -> Option<String> {
        Some(format!("/v1/ledger/transactions/{}", self.id))
    }
}

/// Lists the accounts.
///
/// With their balances, debit positive, oldest first.
#[utoipa::path(get, path = "/v1/ledger/accounts", operation_id = "ledger_account_list", tag = "ledger",
    params(Page), responses((status = 200, description = "A page of accounts", body = Listed<AccountView>)))]
async fn account_list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<AccountView>>, Problem> {
    Ok(Json(altyn.account_list(&request, &page).await?))
}

/// Reads an account.
///
/// Its balance is the sum of its entries, debit positive.
#[utoipa::path(get, path = "/v1/ledger/accounts/{id}", operation_id = "ledger_account_get", tag = "ledger",
    params(("id" = AccountId, Path, description = "The account")),
    responses((status = 200, description = "The account", body = AccountView)))]
async fn account_get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<AccountId>,
) -> Result<Found<AccountView>, Problem> {
    Ok(Found(altyn.account_get(&request, id).await?))
}

/// Lists the entries of an account.
///
/// Oldest first; entries are never changed or deleted. What is posted while the list is read may appear behind an entry that
/// was listed, by some moments: whoever follows it reads the last minutes again.
#[utoipa::path(get, path = "/v1/ledger/accounts/{id}/entries", operation_id = "ledger_account_entries", tag = "ledger",
    params(("id" = AccountId, Path, description = "The account"), Page),
    responses((status = 200, description = "A page of entries", body = Listed<EntryView>)))]
async fn account_entries(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<AccountId>,
    Paged(page): Paged,
) -> Result<Json<Listed<EntryView>>, Problem> {
    Ok(Json(altyn.account_entries(&request, id, &page).await?))
}

/// Lists the transactions.
///
/// Oldest first, without their entries. What is posted while the list is read may appear behind a transaction that was
/// listed, by some moments: whoever follows it reads the last minutes again, and knows a transaction by its id.
#[utoipa::path(get, path = "/v1/ledger/transactions", operation_id = "ledger_transaction_list", tag = "ledger",
    params(Page), responses((status = 200, description = "A page of transactions", body = Listed<TransactionView>)))]
async fn transaction_list(
    App(altyn): App,
    Caller { request }: Caller,
    Paged(page): Paged,
) -> Result<Json<Listed<TransactionView>>, Problem> {
    Ok(Json(altyn.transaction_list(&request, &page).await?))
}

/// Posts a manual transaction.
///
/// The entries must sum to zero. The source key makes the posting happen once, for ever; it is kept as `manual/<key>`.
/// By hand are posted payments, settlements of gateways, refunds, transfers and adjustments; what charges, credits, promises
/// and orders post follows from them, and so do the accounts that they answer for.
#[utoipa::path(post, path = "/v1/ledger/transactions", operation_id = "ledger_transaction_post", tag = "ledger",
    request_body(content = PostTransaction, example = json!({
        "source_key": "receipt-1017", "effective_on": "2026-11-17", "currency": "RUB", "kind": "payment-received",
        "description": "paid at the counter",
        "entries": [
            { "account": "cash", "amount_minor": 10_000 },
            { "account": "contract/ctr_0190a5d0c0de7000800000000000002a/funds", "amount_minor": -10_000 },
        ],
    })),
    responses((status = 201, description = "The posted transaction", body = TransactionView)))]
async fn transaction_post(
    App(altyn): App,
    Command { request, command }: Command<PostTransaction>,
) -> Result<Answer<TransactionView>, Problem> {
    Ok(Answer(altyn.transaction_post(&request, command).await?))
}

/// Posts many manual transactions.
///
/// All of them or none, 1 to 1,000. One that stands in the ledger already, equal in every field, is left as it is.
#[utoipa::path(post, path = "/v1/ledger/transactions/batch", operation_id = "ledger_transaction_post_batch",
    tag = "ledger", request_body(content = PostTransactions, example = json!({ "transactions": [{
        "source_key": "receipt-1018", "effective_on": "2026-11-17", "currency": "RUB", "kind": "payment-received",
        "description": "paid at the counter",
        "entries": [
            { "account": "cash", "amount_minor": 10_000 },
            { "account": "contract/ctr_0190a5d0c0de7000800000000000002a/funds", "amount_minor": -10_000 },
        ],
    }] })),
    responses((status = 201, description = "What became of each", body = PostedTransactions)))]
async fn transaction_post_batch(
    App(altyn): App,
    Command { request, command }: Command<PostTransactions>,
) -> Result<Answer<PostedTransactions>, Problem> {
    Ok(Answer(altyn.transaction_post_batch(&request, command).await?))
}

/// Reads a transaction.
///
/// With its entries, which sum to zero.
#[utoipa::path(get, path = "/v1/ledger/transactions/{id}", operation_id = "ledger_transaction_get", tag = "ledger",
    params(("id" = TransactionId, Path, description = "The transaction")),
    responses((status = 200, description = "The transaction", body = TransactionView)))]
async fn transaction_get(
    App(altyn): App,
    Caller { request }: Caller,
    At(id): At<TransactionId>,
) -> Result<Found<TransactionView>, Problem> {
    Ok(Found(altyn.transaction_get(&request, id).await?))
}

/// Reverses a transaction.
///
/// Posts its opposite; a transaction is reversed whole and at most once. What a charge, a credit, a promise or an order
/// posted is not reversed: credit the charge, revoke the promise or take the order back.
#[utoipa::path(post, path = "/v1/ledger/transactions/{id}/reverse", operation_id = "ledger_transaction_reverse",
    tag = "ledger", params(("id" = TransactionId, Path, description = "The transaction")),
    request_body(content = ReverseTransaction, example = json!({
        "effective_on": "2026-11-18", "description": "posted to the wrong contract",
    })),
    responses((status = 201, description = "The reversal", body = TransactionView)))]
async fn transaction_reverse(
    App(altyn): App,
    At(id): At<TransactionId>,
    Command { request, command }: Command<ReverseTransaction>,
) -> Result<Answer<TransactionView>, Problem> {
    Ok(Answer(altyn.transaction_reverse(&request, id, command).await?))
}

/// Reads the trial balance.
///
/// By currency and group of accounts; the total of every currency is zero.
#[utoipa::path(get, path = "/v1/ledger/trial-balance", operation_id = "ledger_trial_balance", tag = "ledger",
    responses((status = 200, description = "The trial balance", body = TrialBalance)))]
async fn trial_balance(App(altyn): App, Caller { request }: Caller) -> Result<Json<TrialBalance>, Problem> {
    Ok(Json(altyn.trial_balance(&request).await?))
}

/// Shows what a manual posting would do.
///
/// With the promises that a payment consumes, the orders that it pays and the debts below that it covers; nothing is written.
#[utoipa::path(post, path = "/v1/ledger/transactions/preview", operation_id = "ledger_transaction_post_preview",
    tag = "ledger",
    request_body(content = PostTransaction, example = json!({
        "source_key": "receipt-1017", "effective_on": "2026-11-17", "currency": "RUB", "kind": "payment-received",
        "description": "paid at the counter",
        "entries": [
            { "account": "cash", "amount_minor": 10_000 },
            { "account": "contract/ctr_0190a5d0c0de7000800000000000002a/funds", "amount_minor": -10_000 },
        ],
    })),
    responses((status = 200, description = "What it would do", body = ActionPreview<TransactionView>)))]
async fn transaction_post_preview(
    App(altyn): App,
    Command { request, command }: Command<PostTransaction>,
) -> Result<Json<ActionPreview<TransactionView>>, Problem> {
    Ok(Json(altyn.transaction_post_preview(&request, command).await?))
}

/// Shows what many manual postings would do.
///
/// All of them together; what stands in the ledger already is not posted again. Nothing is written.
#[utoipa::path(post, path = "/v1/ledger/transactions/batch/preview", operation_id = "ledger_transaction_post_batch_preview",
    tag = "ledger",
    request_body(content = PostTransactions, example = json!({ "transactions": [{
        "source_key": "receipt-1017", "effective_on": "2026-11-17", "currency": "RUB", "kind": "payment-received",
        "description": "paid at the counter",
        "entries": [
            { "account": "cash", "amount_minor": 10_000 },
            { "account": "contract/ctr_0190a5d0c0de7000800000000000002a/funds", "amount_minor": -10_000 },
        ],
    }] })),
    responses((status = 200, description = "What it would do", body = ActionPreview<PostedTransactions>)))]
async fn transaction_post_batch_preview(
    App(altyn): App,
    Command { request, command }: Command<PostTransactions>,
) -> Result<Json<ActionPreview<PostedTransactions>>, Problem> {
    Ok(Json(altyn.transaction_post_batch_preview(&request, command).await?))
}

/// Shows what a reversal would post.
///
/// The very answer, and every posting with what follows from it, as they would be now; nothing is written.
#[utoipa::path(post, path = "/v1/ledger/transactions/{id}/reverse/preview", operation_id = "ledger_transaction_reverse_preview",
    tag = "ledger",
    params(("id" = TransactionId, Path, description = "The transaction")),
    request_body(content = ReverseTransaction, example = json!({ "effective_on": "2026-11-18", "description": "posted to the wrong contract" })),
    responses((status = 200, description = "What it would do", body = ActionPreview<TransactionView>)))]
async fn transaction_reverse_preview(
    App(altyn): App,
    At(id): At<TransactionId>,
    Command { request, command }: Command<ReverseTransaction>,
) -> Result<Json<ActionPreview<TransactionView>>, Problem> {
    Ok(Json(altyn.transaction_reverse_preview(&request, id, command).await?))
}
