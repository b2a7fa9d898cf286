//! `altyn block`: who has no access.

use altyn_domain::{
    block::BlockType,
    id::{BlockId, ContractId, SubscriptionId},
};
use altyn_service::blocks::{BlockFilter, LiftBlock, SetBlock};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] =
    &["id", "contract_id", "subscription_id", "block_type", "state", "starts_at", "ends_at", "lifted_at", "comment"];

/// Verbs of `altyn block`.
#[derive(Debug, Subcommand)]
pub enum BlockCommand {
    /// Block a contract or a subscription
    Set(BlockFields),
    /// Lift a block, or take one back that has not begun
    Lift {
        /// Which
        id: BlockId,
        /// Why
        #[arg(long)]
        comment: String,
    },
    /// List blocks with their history
    List {
        /// Only on this contract and its subscriptions
        #[arg(long)]
        contract: Option<ContractId>,
        /// Only on this subscription
        #[arg(long)]
        subscription: Option<SubscriptionId>,
        /// Only active and scheduled ones
        #[arg(long)]
        standing: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one block
    Show {
        /// Which
        id: BlockId,
    },
}

/// A new block.
#[derive(Debug, Args)]
pub struct BlockFields {
    /// The contract, with all its subscriptions
    #[arg(long, required_unless_present = "subscription", conflicts_with = "subscription")]
    contract: Option<ContractId>,
    /// The subscription
    #[arg(long)]
    subscription: Option<SubscriptionId>,
    /// What it is for, a word such as administrative
    #[arg(long = "type")]
    block_type: BlockType,
    /// Why
    #[arg(long)]
    comment: String,
    /// The first instant without access, such as 2026-12-01T00:00:00+03:00; default: now
    #[arg(long)]
    from: Option<DateTime<Utc>>,
    /// When it ends by itself; default: never
    #[arg(long)]
    until: Option<DateTime<Utc>>,
}

impl BlockCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Set(fields) => {
                let command = SetBlock {
                    contract_id: fields.contract,
                    subscription_id: fields.subscription,
                    block_type: fields.block_type,
                    comment: fields.comment,
                    starts_at: fields.from,
                    ends_at: fields.until,
                };
                printer.object(&altyn.block_set(&request, command).await?.value, COLUMNS)
            }
            Self::Lift { id, comment } => {
                printer.object(&altyn.block_lift(&request, id, LiftBlock { comment }).await?.value, COLUMNS)
            }
            Self::List { contract, subscription, standing, page } => {
                let filter =
                    BlockFilter { contract_id: contract, subscription_id: subscription, standing: Some(standing) };
                printer.list(&altyn.block_list(&request, filter, &page.page()).await?, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.block_get(&request, id).await?, COLUMNS),
        }
    }
}
