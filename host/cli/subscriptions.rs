//! `altyn subscription`: what contracts pay for.

use altyn_domain::{
    id::{ContractId, PlanId, SubscriptionId},
    subscription::{ShortFunds, SubscriptionStatus},
};
use altyn_service::subscriptions::{
    ActivateSubscription, CancelSubscription, CreateSubscription, SubscriptionFilter, UpdateSubscription,
};
use chrono::NaiveDate;
use clap::{Args, Subcommand, ValueEnum};

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] = &[
    "id",
    "contract_number",
    "plan_code",
    "status",
    "quantity",
    "period_price_minor",
    "discount_percent",
    "starts_on",
    "last_charge_on",
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
        /// Only in this status
        #[arg(long)]
        status: Option<SubscriptionStatus>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Edit what is told to people and what holds for periods that are not charged yet
    Update(Box<Edits>),
    /// Put a subscription in service that waits for it
    Activate {
        /// Which
        id: SubscriptionId,
        /// First day of service; default: today
        #[arg(long)]
        on: Option<NaiveDate>,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
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
        /// Days behind it that are charged already stay charged; `altyn change execute` gives them back
        #[arg(long)]
        keep_charged: bool,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
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
    /// It waits until it is activated
    #[arg(long)]
    pending: bool,
    /// What becomes of a period without money: debt, retry, skip or suspend; default: debt
    #[arg(long)]
    short_funds: Option<ShortFunds>,
    /// For how many days such a period is tried again
    #[arg(long)]
    retry_days: Option<i32>,
    /// The system that knows it by another id
    #[arg(long)]
    external_system: Option<String>,
    /// Its id there
    #[arg(long)]
    external_id: Option<String>,
}

impl SubscriptionFields {
    /// The subscription.
    fn command(self) -> CreateSubscription {
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
            pending,
            short_funds,
            retry_days,
            external_system,
            external_id,
        } = self;
        CreateSubscription {
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
            pending: Some(pending),
            short_funds,
            retry_days,
            external_system,
            external_id,
        }
    }

    /// The same as an order, which waits until it is activated.
    pub fn ordered(self) -> CreateSubscription {
        CreateSubscription { pending: Some(true), ..self.command() }
    }
}

/// A field that can be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cleared {
    /// What the customer reads
    Description,
    /// The first charge date of the discount
    DiscountFrom,
    /// The last charge date of the discount
    DiscountUntil,
    /// The number of charges: it goes on for ever
    ChargesLeft,
    /// The days of trying again
    RetryDays,
    /// The external system and the id there
    ExternalId,
}

/// Edits of a subscription; what is left out stays.
#[derive(Debug, Args)]
pub struct Edits {
    /// Which
    id: SubscriptionId,
    /// What the customer reads about it
    #[arg(long)]
    description: Option<String>,
    /// Whether documents are wanted on activation
    #[arg(long)]
    documents_on_activation: Option<bool>,
    /// Whether the customer is told of an activation
    #[arg(long)]
    notify_on_activation: Option<bool>,
    /// Discount in percent, 0 to 100, of periods that are not charged yet
    #[arg(long)]
    discount_percent: Option<String>,
    /// A sum off each such period, minor units
    #[arg(long)]
    discount_minor: Option<i64>,
    /// The first charge date of the discount
    #[arg(long)]
    discount_from: Option<NaiveDate>,
    /// The last charge date of the discount
    #[arg(long)]
    discount_until: Option<NaiveDate>,
    /// How many charges are left
    #[arg(long)]
    charges_left: Option<i32>,
    /// Whether each period begins by hand
    #[arg(long)]
    manual: Option<bool>,
    /// What becomes of a period without money: debt, retry, skip or suspend
    #[arg(long)]
    short_funds: Option<ShortFunds>,
    /// For how many days such a period is tried again
    #[arg(long)]
    retry_days: Option<i32>,
    /// The system that knows it by another id
    #[arg(long)]
    external_system: Option<String>,
    /// Its id there
    #[arg(long)]
    external_id: Option<String>,
    /// A field to clear; may be repeated
    #[arg(long)]
    clear: Vec<Cleared>,
}

impl Edits {
    fn command(self) -> UpdateSubscription {
        let clear = self.clear;
        let cleared = |field| clear.contains(&field);
        let external = cleared(Cleared::ExternalId);
        UpdateSubscription {
            description: edited(self.description, cleared(Cleared::Description)),
            documents_on_activation: self.documents_on_activation,
            notify_on_activation: self.notify_on_activation,
            discount_percent: self.discount_percent,
            discount_minor: self.discount_minor,
            discount_from: edited(self.discount_from, cleared(Cleared::DiscountFrom)),
            discount_until: edited(self.discount_until, cleared(Cleared::DiscountUntil)),
            charges_left: edited(self.charges_left, cleared(Cleared::ChargesLeft)),
            manual: self.manual,
            short_funds: self.short_funds,
            retry_days: edited(self.retry_days, cleared(Cleared::RetryDays)),
            external_system: edited(self.external_system, external),
            external_id: edited(self.external_id, external),
            ..UpdateSubscription::default()
        }
    }
}

/// A value given, a field to clear, or neither.
#[expect(clippy::option_option, reason = "not given, cleared and a value are three things in a merge patch")]
fn edited<T>(given: Option<T>, clear: bool) -> Option<Option<T>> {
    if clear { Some(given) } else { given.map(Some) }
}

impl SubscriptionCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Create(fields) => {
                printer.object(&altyn.subscription_create(&request, fields.command()).await?.value, COLUMNS)
            }
            Self::List { contract, status, page } => {
                let filter = SubscriptionFilter { contract_id: contract, status };
                printer.list(&altyn.subscription_list(&request, filter, &page.page()).await?, COLUMNS)
            }
            Self::Update(edits) => {
                let id = edits.id;
                let version = altyn.subscription_get(&request, id).await?.version;
                let edited = altyn.subscription_update(&request, id, version, edits.command()).await?;
                printer.object(&edited.value, COLUMNS)
            }
            Self::Activate { id, on, preview: true } => {
                let command = ActivateSubscription { on };
                printer.object(&altyn.subscription_activate_preview(&request, id, command).await?, &[])
            }
            Self::Activate { id, on, .. } => {
                let version = altyn.subscription_get(&request, id).await?.version;
                let active = altyn.subscription_activate(&request, id, version, ActivateSubscription { on }).await?;
                printer.object(&active.value, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.subscription_get(&request, id).await?, COLUMNS),
            Self::Access { id } => printer.object(&altyn.subscription_access(&request, id).await?, ACCESS_COLUMNS),
            Self::Cancel { id, on, keep_charged, preview: true } => {
                let command = CancelSubscription { on, keep_charged: Some(keep_charged) };
                printer.object(&altyn.subscription_cancel_preview(&request, id, command).await?, &[])
            }
            Self::Cancel { id, on, keep_charged, .. } => {
                let version = altyn.subscription_get(&request, id).await?.version;
                let ended = altyn
                    .subscription_cancel(
                        &request,
                        id,
                        version,
                        CancelSubscription { on, keep_charged: Some(keep_charged) },
                    )
                    .await?;
                printer.object(&ended.value, COLUMNS)
            }
        }
    }
}
