//! `altyn promise`: promised payments.

use altyn_domain::{
    id::{ContractId, PromiseId},
    money::Currency,
};
use altyn_service::promises::{GivePromise, PromiseFilter};
use chrono::NaiveDate;
use clap::Subcommand;

use super::{
    contracts::minor,
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] =
    &["id", "contract_id", "amount_minor", "currency", "status", "expires_on", "fee_minor", "replaces_id", "ended_at"];

/// Verbs of `altyn promise`.
#[derive(Debug, Subcommand)]
pub enum PromiseCommand {
    /// Give a promised payment
    Give {
        /// Who promises
        contract: ContractId,
        /// How much, major units such as 500.00
        #[arg(long)]
        amount: String,
        /// The last day; default: as late as the policy allows
        #[arg(long)]
        until: Option<NaiveDate>,
        /// Why
        #[arg(long)]
        comment: String,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
    },
    /// Take a promised payment back
    Revoke {
        /// Which
        id: PromiseId,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
    },
    /// List promised payments with their history
    List {
        /// Only of this contract
        #[arg(long)]
        contract: Option<ContractId>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one promised payment
    Show {
        /// Which
        id: PromiseId,
    },
}

impl PromiseCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Give { contract, amount, until, comment, preview } => {
                let currency = Currency::parse(&altyn.contract_get(&request, contract).await?.currency);
                let amount_minor = minor(&amount, currency.unwrap_or(Currency::RUB))?;
                let command = GivePromise { contract_id: contract, amount_minor, expires_on: until, comment };
                if preview {
                    return printer.object(&altyn.promise_give_preview(&request, command).await?, &[]);
                }
                printer.object(&altyn.promise_give(&request, command).await?.value, COLUMNS)
            }
            Self::Revoke { id, preview: true } => {
                printer.object(&altyn.promise_revoke_preview(&request, id).await?, &[])
            }
            Self::Revoke { id, .. } => printer.object(&altyn.promise_revoke(&request, id).await?.value, COLUMNS),
            Self::List { contract, page } => {
                let filter = PromiseFilter { contract_id: contract };
                printer.list(&altyn.promise_list(&request, filter, &page.page()).await?, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.promise_get(&request, id).await?, COLUMNS),
        }
    }
}
