//! `altyn ledger`: accounts, transactions and the trial balance.

use std::path::PathBuf;

use altyn_domain::{
    id::{AccountId, TransactionId},
    money::{Currency, Money},
};
use altyn_service::{
    ledger::{PostTransaction, ReverseTransaction, TrialBalance},
    poster::PostTransactions,
};
use chrono::NaiveDate;
use clap::Subcommand;

use super::{
    command_of,
    exit::{Exit, Failure},
    output::{self, Output, Table},
    session::{PageArgs, Session},
};

const ACCOUNT: &[&str] = &["id", "code", "currency", "balance_minor", "entry_count"];
const ENTRY: &[&str] = &["transaction_id", "position", "account", "amount_minor"];
const BATCH: &[&str] = &["posted", "repeated"];
const TRANSACTION: &[&str] = &["id", "effective_on", "kind", "currency", "source_key", "description", "posted_at"];

/// Verbs of `altyn ledger`.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// List accounts
    Accounts {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one account
    Account {
        /// Which
        id: AccountId,
    },
    /// List an account's entries
    Entries {
        /// The account
        id: AccountId,
        #[command(flatten)]
        page: PageArgs,
    },
    /// List transactions without their entries
    Transactions {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one transaction with its entries
    Transaction {
        /// Which
        id: TransactionId,
    },
    /// Sum all accounts; ends with code 6 unless the total is zero
    TrialBalance,
    /// Post a transaction from a JSON file, the body of POST /v1/ledger/transactions
    Post {
        /// The file; - is stdin
        file: PathBuf,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
    },
    /// Post up to 1,000 transactions together from a JSON file, the body of POST /v1/ledger/transactions/batch
    PostBatch {
        /// The file; - is stdin
        file: PathBuf,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
    },
    /// Reverse a transaction whole
    Reverse {
        /// Which
        id: TransactionId,
        /// Business date of the reversal
        #[arg(long)]
        on: NaiveDate,
        /// Why, for people
        #[arg(long)]
        description: String,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
    },
}

impl LedgerCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Accounts { page } => printer.list(&altyn.account_list(&request, &page.page()).await?, ACCOUNT),
            Self::Account { id } => printer.object(&altyn.account_get(&request, id).await?, ACCOUNT),
            Self::Entries { id, page } => {
                let account = altyn.account_get(&request, id).await?;
                let entries = altyn.account_entries(&request, id, &page.page()).await?;
                printer.in_currency(Some(account.currency)).list(&entries, ENTRY)
            }
            Self::Transactions { page } => {
                printer.list(&altyn.transaction_list(&request, &page.page()).await?, TRANSACTION)
            }
            Self::Transaction { id } => printer.object(&altyn.transaction_get(&request, id).await?, TRANSACTION),
            Self::TrialBalance => {
                let balance = altyn.trial_balance(&request).await?;
                match printer.output {
                    Output::Json => printer.object(&balance, &[])?,
                    Output::Table => output::write(&trial_balance(&balance)),
                }
                if out_of_balance(&balance) == 0 {
                    return Ok(());
                }
                Err(Failure::new(
                    Exit::Unverified,
                    "trial-balance",
                    "the trial balance is not zero; run `altyn verify`",
                ))
            }
            Self::Post { file, preview } => {
                let command: PostTransaction = command_of(&file)?;
                if preview {
                    return printer.object(&altyn.transaction_post_preview(&request, command).await?, &[]);
                }
                printer.object(&altyn.transaction_post(&request, command).await?.value, TRANSACTION)
            }
            Self::PostBatch { file, preview } => {
                let command: PostTransactions = command_of(&file)?;
                if preview {
                    return printer.object(&altyn.transaction_post_batch_preview(&request, command).await?, &[]);
                }
                printer.object(&altyn.transaction_post_batch(&request, command).await?.value, BATCH)
            }
            Self::Reverse { id, on, description, preview } => {
                let command = ReverseTransaction { effective_on: on, description };
                if preview {
                    return printer.object(&altyn.transaction_reverse_preview(&request, id, command).await?, &[]);
                }
                printer.object(&altyn.transaction_reverse(&request, id, command).await?.value, TRANSACTION)
            }
        }
    }
}

/// How far the totals are from zero, minor units of all currencies together.
pub fn out_of_balance(balance: &TrialBalance) -> i64 {
    balance.totals.values().fold(0, |sum: i64, total| sum.saturating_add(total.saturating_abs()))
}

/// The trial balance as a table with a total for each currency.
pub fn trial_balance(balance: &TrialBalance) -> String {
    let shown = |code: &str, minor| match Currency::parse(code) {
        Ok(currency) => output::amount(Money::new(minor, currency)),
        Err(_) => minor.to_string(),
    };
    let mut table = Table::new(["accounts of", "currency", "accounts", "balance"]);
    for line in &balance.lines {
        table.row([
            line.group.clone(),
            line.currency.clone(),
            output::count(line.accounts),
            shown(&line.currency, line.balance_minor),
        ]);
    }
    for (currency, total) in &balance.totals {
        table.row(["total".to_owned(), currency.clone(), String::new(), shown(currency, *total)]);
    }
    table.render()
}
