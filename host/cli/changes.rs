//! `altyn change`: changes of subscriptions, and the tables that say when they take effect.

use altyn_domain::{
    change::{ChangeKind, Direction, Timing, TimingRule},
    id::{ChangeId, ContractId, PlanId, SubscriptionId},
    proration::CurrentDay,
};
use altyn_service::changes::{ChangeSubscription, ExecuteChange, RenewContract, RenewalView, SetTimings};
use altyn_service::page::Listed;
use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] = &[
    "id",
    "subscription_id",
    "kind",
    "direction",
    "timing",
    "state",
    "effective_on",
    "credited_minor",
    "charged_minor",
];

/// Verbs of `altyn change`.
#[derive(Debug, Subcommand)]
pub enum ChangeCommand {
    /// Show what a change would do, with the hash to execute exactly that
    Preview(Box<ChangeFields>),
    /// Execute a change as it was previewed; one whose day has not come is scheduled
    Execute {
        #[command(flatten)]
        fields: Box<ChangeFields>,
        /// The hash of the preview
        #[arg(long)]
        hash: String,
    },
    /// List the changes of a subscription
    List {
        /// Which subscription
        #[arg(long)]
        subscription: SubscriptionId,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one change
    Show {
        /// Which
        id: ChangeId,
    },
    /// Withdraw a scheduled change
    Cancel {
        /// Which
        id: ChangeId,
    },
    /// Renew all subscriptions of a contract: without a hash show what it would do, with the hash do it
    RenewAll {
        /// Which contract
        contract: ContractId,
        /// The hash of the preview
        #[arg(long)]
        hash: Option<String>,
    },
    /// List the tables that say when changes take effect
    Timings {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Set a table that says when changes take effect
    SetTimings {
        /// The plan whose subscriptions it decides about; default: all
        #[arg(long)]
        plan: Option<PlanId>,
        /// Its rows as a JSON array, such as [{"direction":"down","timing":"end-of-term"}]
        #[arg(long)]
        rules: String,
    },
}

/// A change.
#[derive(Debug, Args)]
pub struct ChangeFields {
    /// Which subscription
    subscription: SubscriptionId,
    /// cancel, change-plan, change-quantity, pause, resume, change-billing-day, renew, prolong or shift
    kind: ChangeKind,
    /// The wished day; default: today
    #[arg(long)]
    on: Option<NaiveDate>,
    /// immediate, end-of-term or start-of-term, instead of what the tables say
    #[arg(long)]
    timing: Option<Timing>,
    /// up, down or lateral, instead of what the classifier says
    #[arg(long)]
    direction: Option<Direction>,
    /// Who pays for the day of the change: old, new, both or neither; default: new
    #[arg(long)]
    current_day: Option<CurrentDay>,
    /// The new plan, by id
    #[arg(long, conflicts_with = "plan_code")]
    plan: Option<PlanId>,
    /// The new plan, by code
    #[arg(long)]
    plan_code: Option<String>,
    /// The new number of units
    #[arg(long)]
    quantity: Option<String>,
    /// The new day of the month, 1 to 31
    #[arg(long)]
    billing_day: Option<u8>,
    /// By how many days to prolong or to shift
    #[arg(long)]
    days: Option<u16>,
}

impl ChangeFields {
    fn wish(self) -> (SubscriptionId, ChangeSubscription) {
        let wish = ChangeSubscription {
            kind: self.kind,
            on: self.on,
            timing: self.timing,
            direction: self.direction,
            current_day: self.current_day,
            plan_id: self.plan,
            plan_code: self.plan_code,
            quantity: self.quantity,
            billing_day: self.billing_day,
            days: self.days,
        };
        (self.subscription, wish)
    }
}

impl ChangeCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Preview(fields) => {
                let (id, wish) = fields.wish();
                printer.object(&altyn.change_preview(&request, id, wish).await?, &["plan_hash"])
            }
            Self::Execute { fields, hash } => {
                let (id, change) = fields.wish();
                let command = ExecuteChange { change, plan_hash: hash, effects: None };
                printer.object(&altyn.change_execute(&request, id, command).await?.value, COLUMNS)
            }
            Self::List { subscription, page } => {
                printer.list(&altyn.change_list(&request, subscription, &page.page()).await?, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.change_get(&request, id).await?, COLUMNS),
            Self::Cancel { id } => printer.object(&altyn.change_withdraw(&request, id).await?.value, COLUMNS),
            Self::RenewAll { contract, hash: None } => {
                printer.object(&altyn.contract_renew_preview(&request, contract).await?, &["plan_hash"])
            }
            Self::RenewAll { contract, hash: Some(plan_hash) } => {
                let command = RenewContract { plan_hash, effects: None };
                let RenewalView { changes, skipped } = altyn.contract_renew(&request, contract, command).await?.value;
                for left_out in skipped {
                    eprintln!("{} is not renewed: {}", left_out.subscription_id, left_out.reason);
                }
                printer.list(&Listed { data: changes, has_more: false, next_cursor: None }, COLUMNS)
            }
            Self::Timings { page } => {
                printer.list(&altyn.timings_list(&request, &page.page()).await?, &["plan_id", "rules", "updated_at"])
            }
            Self::SetTimings { plan, rules } => {
                let rules: Vec<TimingRule> = serde_json::from_str(&rules)
                    .map_err(|error| Failure::usage(format!("--rules is no array of rows: {error}")))?;
                let command = SetTimings { plan_id: plan, rules };
                printer.object(&altyn.timings_set(&request, command).await?.value, &["plan_id", "rules"])
            }
        }
    }
}
