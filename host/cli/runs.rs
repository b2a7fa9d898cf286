//! `altyn run`: closing days.

use altyn_domain::{
    id::{ContractId, PlanId, ProductId, RunId, SellerId},
    run::{PlanState, RunMode},
};
use altyn_service::runs::{
    AssignPlan, ConfirmPlan, ConfirmPlans, ParkedFilter, PlanFilter, RejectPlan, SetApprovalPolicy, StartRun,
};
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use rust_decimal::Decimal;

use super::{
    contracts::minor,
    exit::Failure,
    output::Printer,
    progress::advance,
    session::{PageArgs, Session},
};
use altyn_domain::money::Currency;
use altyn_service::{Request, runs::RunView};

const RUN: &[&str] = &[
    "id",
    "business_on",
    "mode",
    "state",
    "contracts",
    "subscriptions",
    "charges",
    "invoices",
    "net_minor",
    "tax_minor",
    "gross_minor",
    "realised_gross_minor",
    "credited_minor",
    "awaiting",
    "parked",
];
const WITHHELD: &[&str] =
    &["subscription_id", "contract_id", "policy", "outcome", "from", "until", "needed_minor", "available_minor"];
const PLAN: &[&str] = &[
    "contract_id",
    "state",
    "stage",
    "lines",
    "net_minor",
    "tax_minor",
    "gross_minor",
    "realised_gross_minor",
    "changes_minor",
    "plan_hash",
    "confirmed_by",
    "reason_code",
    "reason",
    "owner",
];
const PARKED: &[&str] =
    &["contract_id", "run_id", "business_on", "attempts", "owner", "reason_code", "reason", "call_id", "updated_at"];
const APPROVAL: &[&str] = &["four_eyes", "largest_gross_minor", "largest_change_percent", "version", "updated_at"];

/// Verbs of `altyn run`.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Close a day
    Start {
        /// The day
        #[arg(long)]
        date: NaiveDate,
        /// with-confirmation or automatic; default: the tenant's setting
        #[arg(long)]
        mode: Option<RunMode>,
        #[command(flatten)]
        wait: Wait,
    },
    /// List runs
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one run with its report
    Show {
        /// Which
        id: RunId,
    },
    /// List a run's plans
    Plans {
        /// The run
        id: RunId,
        /// Only those in this state, such as awaiting or parked
        #[arg(long)]
        state: Option<PlanState>,
        #[command(flatten)]
        of: Box<Picked>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// List the subscriptions that a run did not renew for want of money
    Withheld {
        /// The run
        id: RunId,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one contract's plan with its effects
    Plan {
        /// The run
        id: RunId,
        /// The contract
        contract: ContractId,
    },
    /// Confirm one plan by the hash that was seen
    Confirm {
        /// The run
        id: RunId,
        /// The contract
        contract: ContractId,
        /// The plan's hash
        #[arg(long = "hash", value_name = "HASH")]
        plan_hash: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Confirm the awaiting plans: all, or those that every bound leaves
    ConfirmAll {
        /// The run
        id: RunId,
        /// Only plans up to this gross amount, in major units
        #[arg(long, value_name = "AMOUNT")]
        up_to: Option<String>,
        #[command(flatten)]
        of: Box<Picked>,
        /// Only this contract; may be repeated
        #[arg(long = "contract", value_name = "CONTRACT")]
        contracts: Vec<ContractId>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Reject one plan: its contract is not billed in this run
    Reject {
        /// The run
        id: RunId,
        /// The contract
        contract: ContractId,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Compute a parked, rejected or superseded contract again
    Retry {
        /// The run
        id: RunId,
        /// The contract
        contract: ContractId,
    },
    /// List the contracts that are parked, whatever run parked them
    Parked {
        /// Only those that this person cares for
        #[arg(long, conflicts_with = "unowned")]
        owner: Option<String>,
        /// Only those that nobody cares for
        #[arg(long)]
        unowned: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Say who cares for a parked contract
    Assign {
        /// The run
        id: RunId,
        /// The contract
        contract: ContractId,
        /// A name or an address; left out for nobody
        #[arg(long)]
        owner: Option<String>,
    },
    /// Show the rules for agreeing to plans
    Approval,
    /// Replace the rules for agreeing to plans; what is left out is off
    SetApproval {
        /// Two different credentials must confirm what no rule approves
        #[arg(long)]
        four_eyes: bool,
        /// Plans up to this gross amount are approved by themselves, in major units
        #[arg(long, value_name = "AMOUNT")]
        approve_up_to: Option<String>,
        /// So are those that differ by at most so much from the contract's plan of a month before
        #[arg(long, value_name = "PERCENT")]
        approve_change: Option<Decimal>,
    },
    /// Stop a run; what is billed stays billed
    Cancel {
        /// Which
        id: RunId,
        #[command(flatten)]
        wait: Wait,
    },
    /// Go on with a run that stopped
    Resume {
        /// Which
        id: RunId,
    },
}

/// Whose plans are meant.
#[derive(Debug, Args)]
pub struct Picked {
    /// Only contracts of this group
    #[arg(long)]
    group: Option<String>,
    /// Only contracts that came through this sales channel
    #[arg(long)]
    channel: Option<String>,
    /// Only contracts of this seller
    #[arg(long)]
    seller: Option<SellerId>,
    /// Only contracts with a living subscription to this plan
    #[arg(long)]
    plan: Option<PlanId>,
    /// Only contracts with a living subscription to a plan with this product
    #[arg(long)]
    product: Option<ProductId>,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, Args)]
pub struct Wait {
    /// Do the work here and wait for its end (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Leave the work to a host that serves
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
}

impl Wait {
    /// Whether the work is done here; the later of the two options won.
    pub(super) fn here(self) -> bool {
        self.wait || !self.no_wait
    }
}

impl RunCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Start { date, mode, wait } => {
                let started = altyn.run_start(&request, StartRun { business_on: date, mode }).await?.value;
                finish(session, &request, printer, started, wait).await
            }
            Self::List { page } => printer.list(&altyn.run_list(&request, &page.page()).await?, RUN),
            Self::Show { id } => printer.object(&altyn.run_get(&request, id).await?, RUN),
            Self::Plans { id, state, of, page } => {
                let Picked { group, channel, seller, plan, product } = *of;
                let filter =
                    PlanFilter { state, group, channel, seller_id: seller, plan_id: plan, product_id: product };
                printer.list(&altyn.run_plans(&request, id, filter, &page.page()).await?, PLAN)
            }
            Self::Withheld { id, page } => {
                printer.list(&altyn.run_withheld(&request, id, &page.page()).await?, WITHHELD)
            }
            Self::Plan { id, contract } => printer.object(&altyn.run_plan(&request, id, contract).await?, PLAN),
            Self::Confirm { id, contract, plan_hash, wait } => {
                let confirmed = altyn.run_confirm(&request, id, contract, ConfirmPlan { plan_hash }).await?.value;
                if !wait.here() {
                    return printer.object(&confirmed, PLAN);
                }
                advance(altyn, &request, id).await?;
                printer.object(&altyn.run_plan(&request, id, contract).await?, PLAN)
            }
            Self::ConfirmAll { id, up_to, of, contracts, wait } => {
                let currency = printer.currency.unwrap_or(Currency::RUB);
                let Picked { group, channel, seller, plan, product } = *of;
                let plans = ConfirmPlans {
                    largest_gross_minor: up_to.map(|text| minor(&text, currency)).transpose()?,
                    group,
                    channel,
                    seller_id: seller,
                    plan_id: plan,
                    product_id: product,
                    contract_ids: contracts,
                };
                let confirmed = altyn.run_confirm_all(&request, id, plans).await?.value;
                finish(session, &request, printer, confirmed, wait).await
            }
            Self::Reject { id, contract, reason } => {
                printer.object(&altyn.run_reject(&request, id, contract, RejectPlan { reason }).await?.value, PLAN)
            }
            Self::Retry { id, contract } => printer.object(&altyn.run_retry(&request, id, contract).await?.value, PLAN),
            Self::Parked { owner, unowned, page } => {
                let filter = ParkedFilter { owner, unowned };
                printer.list(&altyn.parked_list(&request, filter, &page.page()).await?, PARKED)
            }
            Self::Assign { id, contract, owner } => {
                printer.object(&altyn.run_assign(&request, id, contract, AssignPlan { owner }).await?.value, PLAN)
            }
            Self::Approval => printer.object(&altyn.approval_policy_get(&request).await?, APPROVAL),
            Self::SetApproval { four_eyes, approve_up_to, approve_change } => {
                let currency = printer.currency.unwrap_or(Currency::RUB);
                let rules = SetApprovalPolicy {
                    four_eyes,
                    largest_gross_minor: approve_up_to.map(|text| minor(&text, currency)).transpose()?,
                    largest_change_percent: approve_change,
                };
                let version = altyn.approval_policy_get(&request).await?.version;
                printer.object(&altyn.approval_policy_set(&request, version, rules).await?.value, APPROVAL)
            }
            Self::Cancel { id, wait } => {
                let cancelled = altyn.run_cancel(&request, id).await?.value;
                finish(session, &request, printer, cancelled, wait).await
            }
            Self::Resume { id } => printer.object(&advance(altyn, &request, id).await?, RUN),
        }
    }
}

/// Does the work unless a host shall do it, then shows the run and what comes next.
async fn finish(
    session: &Session,
    request: &Request,
    printer: Printer,
    run: RunView,
    wait: Wait,
) -> Result<(), Failure> {
    let run = if wait.here() { advance(&session.altyn, request, run.id).await? } else { run };
    printer.object(&run, RUN)?;
    if run.awaiting > 0 {
        eprintln!(
            "{} plans wait: see `altyn run plans {} --state awaiting`, then confirm or reject",
            run.awaiting, run.id
        );
    }
    if run.parked > 0 {
        eprintln!("{} contracts are parked: see `altyn run plans {} --state parked`", run.parked, run.id);
    }
    Ok(())
}
