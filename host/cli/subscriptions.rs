//! `altyn subscription`: what contracts pay for.

use altyn_domain::id::{ContractId, PlanId, SubscriptionId};
use altyn_service::subscriptions::{CancelSubscription, CreateSubscription, SubscriptionFilter};
use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] = &[
    "id",
    "contract_id",
    "plan_code",
    "status",
    "quantity",
    "discount_percent",
    "starts_on",
    "next_charge_on",
    "ends_on",
];

const ACCESS_COLUMNS: &[&str] = &["subscription_id", "contract_id", "allowed", "reasons", "checked_at"];

/// Verbs of `altyn subscription`.
#[derive(Debug, Subcommand)]
pub enum SubscriptionCommand {
    /// Subscribe a contract to a plan
    Create(Box<SubscriptionFields>),
    /// List subscriptions
    List {
        /// Only of this contract
        #[arg(long)]
        contract: Option<ContractId>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one subscription
    Show {
        /// Which
        id: SubscriptionId,
    },
    /// Whether a subscription may be used now, and every reason why not
    Access {
        /// Which
        id: SubscriptionId,
    },
    /// End a subscription on a day; no period that begins on or after it is charged
    Cancel {
        /// Which
        id: SubscriptionId,
        /// The first day without service
        #[arg(long)]
        on: NaiveDate,
    },
}

/// A new subscription.
#[derive(Debug, Args)]
pub struct SubscriptionFields {
    /// The contract
    #[arg(long)]
    contract: ContractId,
    /// The plan, by id
    #[arg(long, required_unless_present = "plan_code", conflicts_with = "plan_code")]
    plan: Option<PlanId>,
    /// The plan, by code
    #[arg(long)]
    plan_code: Option<String>,
    /// The first day of service
    #[arg(long)]
    starts_on: NaiveDate,
    /// How many; default: 1
    #[arg(long)]
    quantity: Option<String>,
    /// Discount in percent, 0 to 100
    #[arg(long)]
    discount_percent: Option<String>,
    /// A sum off each period, minor units, instead of a share
    #[arg(long)]
    discount_minor: Option<i64>,
    /// The first charge date of the discount
    #[arg(long)]
    discount_from: Option<NaiveDate>,
    /// The last charge date of the discount
    #[arg(long)]
    discount_until: Option<NaiveDate>,
    /// After how many charges it is completed; default: never
    #[arg(long)]
    charges: Option<i32>,
    /// Each period begins by hand
    #[arg(long)]
    manual: bool,
    /// Documents are wanted when a period begins by hand
    #[arg(long)]
    documents_on_activation: bool,
    /// The customer is told when a period begins by hand
    #[arg(long)]
    notify_on_activation: bool,
    /// What the customer reads about it
    #[arg(long)]
    description: Option<String>,
    /// The system that knows it by another id
    #[arg(long)]
    external_system: Option<String>,
    /// Its id there
    #[arg(long)]
    external_id: Option<String>,
}

impl SubscriptionCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Create(fields) => {
                let SubscriptionFields {
                    contract,
                    plan,
                    plan_code,
                    starts_on,
                    quantity,
                    discount_percent,
                    discount_minor,
                    discount_from,
                    discount_until,
                    charges,
                    manual,
                    documents_on_activation,
                    notify_on_activation,
                    description,
                    external_system,
                    external_id,
                } = *fields;
                let command = CreateSubscription {
                    contract_id: contract,
                    plan_id: plan,
                    plan_code,
                    starts_on,
                    quantity,
                    discount_percent,
                    discount_minor,
                    discount_from,
                    discount_until,
                    charges,
                    manual: Some(manual),
                    documents_on_activation: Some(documents_on_activation),
                    notify_on_activation: Some(notify_on_activation),
                    description,
                    external_system,
                    external_id,
                };
                printer.object(&altyn.subscription_create(&request, command).await?.value, COLUMNS)
            }
            Self::List { contract, page } => {
                let filter = SubscriptionFilter { contract_id: contract };
                printer.list(&altyn.subscription_list(&request, filter, &page.page()).await?, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.subscription_get(&request, id).await?, COLUMNS),
            Self::Access { id } => printer.object(&altyn.subscription_access(&request, id).await?, ACCESS_COLUMNS),
            Self::Cancel { id, on } => {
                let version = altyn.subscription_get(&request, id).await?.version;
                let ended = altyn.subscription_cancel(&request, id, version, CancelSubscription { on }).await?;
                printer.object(&ended.value, COLUMNS)
            }
        }
    }
}
