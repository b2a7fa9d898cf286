//! `altyn price`: what single contracts pay instead of a plan's price.

use altyn_domain::id::{ContractId, PlanId, PriceOverrideId, SubscriptionId};
use altyn_service::price_overrides::{PriceOverrideFilter, RemovePriceOverride, SetPriceOverride};
use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] = &[
    "id",
    "contract_id",
    "subscription_id",
    "plan_id",
    "component",
    "unit_price_minor",
    "currency",
    "from",
    "until",
    "removed_at",
    "comment",
];

/// Verbs of `altyn price`.
#[derive(Debug, Subcommand)]
pub enum PriceCommand {
    /// Give a contract, or one of its subscriptions, a price of its own
    Set(PriceFields),
    /// Remove one; what was billed stays billed
    Remove {
        /// Which
        id: PriceOverrideId,
        /// Why
        #[arg(long)]
        comment: String,
    },
    /// List prices of contracts with those that were removed
    List {
        /// Only of this contract and its subscriptions
        #[arg(long)]
        contract: Option<ContractId>,
        /// Only those that were not removed
        #[arg(long)]
        standing: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one price of a contract
    Show {
        /// Which
        id: PriceOverrideId,
    },
}

/// A new price.
#[derive(Debug, Args)]
pub struct PriceFields {
    /// The contract, with all its subscriptions
    #[arg(long, required_unless_present = "subscription", conflicts_with = "subscription")]
    contract: Option<ContractId>,
    /// The subscription
    #[arg(long)]
    subscription: Option<SubscriptionId>,
    /// The plan, by id
    #[arg(long, required_unless_present = "plan_code", conflicts_with = "plan_code")]
    plan: Option<PlanId>,
    /// The plan, by code
    #[arg(long)]
    plan_code: Option<String>,
    /// Code of the component
    #[arg(long)]
    component: String,
    /// Price of one unit and period, minor units
    #[arg(long)]
    unit_price_minor: i64,
    /// The first day on which a period may begin that it holds for
    #[arg(long)]
    from: NaiveDate,
    /// The day after the last one; default: for ever
    #[arg(long)]
    until: Option<NaiveDate>,
    /// Why
    #[arg(long)]
    comment: String,
}

impl PriceCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Set(fields) => {
                let command = SetPriceOverride {
                    contract_id: fields.contract,
                    subscription_id: fields.subscription,
                    plan_id: fields.plan,
                    plan_code: fields.plan_code,
                    component: fields.component,
                    unit_price_minor: fields.unit_price_minor,
                    from: fields.from,
                    until: fields.until,
                    comment: fields.comment,
                };
                printer.object(&altyn.price_override_set(&request, command).await?.value, COLUMNS)
            }
            Self::Remove { id, comment } => {
                let command = RemovePriceOverride { comment };
                printer.object(&altyn.price_override_remove(&request, id, command).await?.value, COLUMNS)
            }
            Self::List { contract, standing, page } => {
                let filter = PriceOverrideFilter { contract_id: contract, standing: Some(standing) };
                printer.list(&altyn.price_override_list(&request, filter, &page.page()).await?, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.price_override_get(&request, id).await?, COLUMNS),
        }
    }
}
