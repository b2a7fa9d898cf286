//! `altyn credit`: policies, what contracts may spend, where they stand among others, transfers between them.

use altyn_domain::{
    credit::PolicyScope,
    id::{ContractId, CreditPolicyId},
    money::Currency,
    recommend::RecommendMethod,
};
use altyn_service::{
    credit::{CreateCreditPolicy, CreditAllowance, SetContractControl},
    funds::TransferFunds,
    recommend::RecommendFilter,
};
use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{
    contracts::minor,
    exit::Failure,
    session::{PageArgs, Session},
};

const POLICY_COLUMNS: &[&str] = &["id", "scope", "code", "currency", "allowed"];
const CONTROL_COLUMNS: &[&str] =
    &["contract_id", "group", "channel", "own_limit", "parent_id", "priority", "tags", "version"];
const CREDIT_COLUMNS: &[&str] = &[
    "contract_id",
    "currency",
    "balance_minor",
    "promised_minor",
    "credit_limit_minor",
    "limit_source",
    "blocked_minor",
    "available_minor",
    "transferable_minor",
];
const TRANSACTION_COLUMNS: &[&str] = &["id", "source_key", "kind", "currency", "effective_on", "description"];

/// Verbs of `altyn credit`.
#[derive(Debug, Subcommand)]
pub enum CreditCommand {
    /// Allow something to the tenant, a sales channel or a group
    Allow(Box<AllowFields>),
    /// Replace what a policy allows; what is not given is cleared
    Replace {
        /// Which policy
        id: CreditPolicyId,
        #[command(flatten)]
        allowance: Box<AllowanceFields>,
    },
    /// List policies
    Policies {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show what a contract may spend
    Show {
        /// Which contract
        contract: ContractId,
    },
    /// Recommend the amount of a payment, part by part
    Recommend {
        /// Which contract
        contract: ContractId,
        /// debt, unblock, next-charge or month
        #[arg(long, default_value = "debt")]
        method: RecommendMethod,
        /// For month: from which day of the month on the next month counts too; default: 25
        #[arg(long)]
        from_day: Option<u32>,
    },
    /// Show where a contract stands among others
    Control {
        /// Which contract
        contract: ContractId,
    },
    /// Set where a contract stands among others; what is not given is cleared
    Place {
        /// Which contract
        contract: ContractId,
        /// Its group
        #[arg(long)]
        group: Option<String>,
        /// Its sales channel
        #[arg(long)]
        channel: Option<String>,
        /// Its own limit counts even when it is zero
        #[arg(long)]
        own_limit: bool,
        /// The contract above it
        #[arg(long)]
        parent: Option<ContractId>,
        /// Its turn among those below the same contract, the lower the earlier
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        priority: i32,
        /// A word that rules look at; may be repeated
        #[arg(long = "tag")]
        tags: Vec<String>,
    },
    /// Move money between contracts of one customer or one hierarchy
    Transfer {
        /// The contract that gives
        from: ContractId,
        /// The contract that gets
        to: ContractId,
        /// How much, major units such as 200.00
        #[arg(long)]
        amount: String,
        /// What makes it happen once
        #[arg(long)]
        source_key: String,
        /// Why
        #[arg(long)]
        description: String,
        /// The business date; default: today
        #[arg(long)]
        on: Option<NaiveDate>,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
    },
}

/// A new policy.
#[derive(Debug, Args)]
pub struct AllowFields {
    /// tenant, channel or group
    #[arg(long)]
    scope: PolicyScope,
    /// Code of the channel or group
    #[arg(long)]
    code: Option<String>,
    /// Currency; default: the tenant's
    #[arg(long)]
    currency: Option<Currency>,
    #[command(flatten)]
    allowance: AllowanceFields,
}

/// What a policy allows.
#[derive(Debug, Args)]
pub struct AllowanceFields {
    /// How far a contract may go into debt, major units
    #[arg(long)]
    credit_limit: Option<String>,
    /// For how many days a new block of the credit control is postponed
    #[arg(long)]
    deferral_days: Option<i32>,
    /// The most that active promises may come to, major units
    #[arg(long)]
    promise_most: Option<String>,
    /// The most days a promise lasts
    #[arg(long)]
    promise_days: Option<i32>,
    /// What a promise costs, major units
    #[arg(long)]
    promise_fee: Option<String>,
    /// The most promises a month
    #[arg(long)]
    promises_per_month: Option<i32>,
    /// The most active promises
    #[arg(long)]
    promises_at_once: Option<i32>,
}

impl AllowanceFields {
    fn allowance(self, currency: Currency) -> Result<CreditAllowance, Failure> {
        let amount = |text: Option<String>| text.map(|text| minor(&text, currency)).transpose();
        Ok(CreditAllowance {
            credit_limit_minor: amount(self.credit_limit)?,
            deferral_days: self.deferral_days,
            promise_most_minor: amount(self.promise_most)?,
            promise_days: self.promise_days,
            promise_fee_minor: amount(self.promise_fee)?,
            promises_per_month: self.promises_per_month,
            promises_at_once: self.promises_at_once,
        })
    }
}

impl CreditCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Allow(fields) => {
                let AllowFields { scope, code, currency, allowance } = *fields;
                let currency = currency.or(printer.currency).unwrap_or(Currency::RUB);
                let allowed = allowance.allowance(currency)?;
                let command = CreateCreditPolicy { scope, code, currency: Some(currency.to_string()), allowed };
                printer.object(&altyn.credit_policy_create(&request, command).await?.value, POLICY_COLUMNS)
            }
            Self::Replace { id, allowance } => {
                let before = altyn.credit_policy_get(&request, id).await?;
                let allowed = allowance.allowance(Currency::parse(&before.currency).unwrap_or(Currency::RUB))?;
                let changed = altyn.credit_policy_update(&request, id, before.version, allowed).await?;
                printer.object(&changed.value, POLICY_COLUMNS)
            }
            Self::Policies { page } => {
                printer.list(&altyn.credit_policy_list(&request, &page.page()).await?, POLICY_COLUMNS)
            }
            Self::Show { contract } => {
                printer.object(&altyn.contract_credit(&request, contract).await?, CREDIT_COLUMNS)
            }
            Self::Recommend { contract, method, from_day } => {
                let filter = RecommendFilter { method: Some(method), from_day };
                let found = altyn.contract_recommend(&request, contract, filter).await?;
                printer.object(&found, &["contract_id", "method", "currency", "amount_minor", "through_on", "parts"])
            }
            Self::Control { contract } => {
                printer.object(&altyn.contract_control_get(&request, contract).await?, CONTROL_COLUMNS)
            }
            Self::Place { contract, group, channel, own_limit, parent, priority, tags } => {
                let version = altyn.contract_control_get(&request, contract).await?.version;
                let command = SetContractControl {
                    group,
                    channel,
                    own_limit: Some(own_limit),
                    parent_id: parent,
                    priority: Some(priority),
                    tags: Some(tags),
                };
                let set = altyn.contract_control_set(&request, contract, version, command).await?;
                printer.object(&set.value, CONTROL_COLUMNS)
            }
            Self::Transfer { from, to, amount, source_key, description, on, preview } => {
                let currency = Currency::parse(&altyn.contract_get(&request, from).await?.currency);
                let command = TransferFunds {
                    source_key,
                    from_contract_id: from,
                    to_contract_id: to,
                    amount_minor: minor(&amount, currency.unwrap_or(Currency::RUB))?,
                    effective_on: on,
                    description,
                };
                if preview {
                    return printer.object(&altyn.contract_transfer_preview(&request, command).await?, &[]);
                }
                printer.object(&altyn.contract_transfer(&request, command).await?.value, TRANSACTION_COLUMNS)
            }
        }
    }
}
