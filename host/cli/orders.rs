//! `altyn order`: subscriptions that are paid for before they are in service.

use altyn_domain::{
    id::{ContractId, OrderId},
    order::OrderStatus,
};
use altyn_service::orders::{OrderFilter, PlaceOrder, SetOrderPolicy};
use clap::Subcommand;

use super::{
    exit::Failure,
    session::{PageArgs, Session},
    subscriptions::SubscriptionFields,
};

const COLUMNS: &[&str] = &[
    "id",
    "contract_id",
    "subscription_id",
    "status",
    "charge_status",
    "amount_minor",
    "gross_minor",
    "currency",
    "ordered_on",
    "expires_on",
    "paid_at",
    "ended_at",
];

const PREVIEW: &[&str] = &["plan_hash", "available_minor", "effects"];
const POLICY: &[&str] = &["cancel_unpaid_days", "version", "updated_at"];

/// Verbs of `altyn order`.
#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Show what an order would cost and reserve; nothing is written
    Preview(Box<SubscriptionFields>),
    /// Order a subscription; its first period is reserved as soon as the money is there
    Place {
        #[command(flatten)]
        subscription: Box<SubscriptionFields>,
        /// The hash of the preview: another outcome is refused
        #[arg(long)]
        plan_hash: Option<String>,
    },
    /// Take an order back: what was reserved is free again
    Cancel {
        /// Which
        id: OrderId,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
    },
    /// List orders with their history
    List {
        /// Only of this contract
        #[arg(long)]
        contract: Option<ContractId>,
        /// Only in this status
        #[arg(long)]
        status: Option<OrderStatus>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one order
    Show {
        /// Which
        id: OrderId,
    },
    /// Show for how long orders wait for money
    Policy,
    /// Say for how long orders wait for money; without days for ever
    SetPolicy {
        /// After how many days an order that nobody paid for is taken back
        #[arg(long)]
        cancel_unpaid_days: Option<i32>,
    },
}

impl OrderCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Preview(fields) => {
                let command = PlaceOrder { subscription: fields.ordered(), plan_hash: None };
                printer.object(&altyn.order_preview(&request, command).await?, PREVIEW)
            }
            Self::Place { subscription, plan_hash } => {
                let command = PlaceOrder { subscription: subscription.ordered(), plan_hash };
                printer.object(&altyn.order_place(&request, command).await?.value, COLUMNS)
            }
            Self::Cancel { id, preview: true } => printer.object(&altyn.order_cancel_preview(&request, id).await?, &[]),
            Self::Cancel { id, .. } => printer.object(&altyn.order_cancel(&request, id).await?.value, COLUMNS),
            Self::List { contract, status, page } => {
                let filter = OrderFilter { contract_id: contract, status };
                printer.list(&altyn.order_list(&request, filter, &page.page()).await?, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.order_get(&request, id).await?, COLUMNS),
            Self::Policy => printer.object(&altyn.order_policy_get(&request).await?, POLICY),
            Self::SetPolicy { cancel_unpaid_days } => {
                let version = altyn.order_policy_get(&request).await?.version;
                let command = SetOrderPolicy { cancel_unpaid_days };
                printer.object(&altyn.order_policy_set(&request, version, command).await?.value, POLICY)
            }
        }
    }
}
