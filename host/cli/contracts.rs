//! `altyn contract`: what customers agreed to.

use altyn_domain::{
    id::{ContractId, CustomerId, SellerId},
    money::{Currency, Money},
    party::ContractKind,
};
use altyn_service::contracts::{ContractFilter, CreateContract, UpdateContract};
use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] = &[
    "id",
    "number",
    "customer_id",
    "kind",
    "currency",
    "zone",
    "balance_minor",
    "available_minor",
    "credit_limit_minor",
];

/// Verbs of `altyn contract`.
#[derive(Debug, Subcommand)]
pub enum ContractCommand {
    /// Create a contract
    Create(Box<ContractFields>),
    /// List contracts
    List {
        /// Only of this customer
        #[arg(long)]
        customer: Option<CustomerId>,
        /// Only with this number
        #[arg(long)]
        number: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one contract with its balance
    Show {
        /// Which
        id: ContractId,
    },
    /// Change when a contract pays, how far it may go into debt, and its zone
    Update {
        /// Which
        id: ContractId,
        /// prepaid, postpaid or mixed
        #[arg(long)]
        kind: Option<ContractKind>,
        /// Credit limit in major units, such as 1000.00
        #[arg(long)]
        credit_limit: Option<String>,
        /// Time zone; what its subscriptions have begun ends by the old one
        #[arg(long)]
        zone: Option<String>,
    },
}

/// A new contract.
#[derive(Debug, Args)]
pub struct ContractFields {
    /// The customer
    #[arg(long)]
    customer: CustomerId,
    /// The seller
    #[arg(long)]
    seller: SellerId,
    /// Its number
    #[arg(long)]
    number: String,
    /// prepaid, postpaid or mixed
    #[arg(long)]
    kind: ContractKind,
    /// Currency; default: the tenant's
    #[arg(long)]
    currency: Option<Currency>,
    /// Time zone; default: the tenant's
    #[arg(long)]
    zone: Option<String>,
    /// Credit limit in major units, such as 1000.00
    #[arg(long)]
    credit_limit: Option<String>,
    /// The day it was signed; default: today
    #[arg(long)]
    signed_on: Option<NaiveDate>,
    /// The system that knows it by another id
    #[arg(long)]
    external_system: Option<String>,
    /// Its id there
    #[arg(long)]
    external_id: Option<String>,
    /// Show what it would do; nothing is written
    #[arg(long)]
    preview: bool,
}

/// An amount of the command line, minor units.
pub fn minor(text: &str, currency: Currency) -> Result<i64, Failure> {
    Money::parse_major(text, currency).map(|money| money.minor).map_err(|error| Failure::usage(error.to_string()))
}

impl ContractCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Create(fields) => {
                let currency = fields.currency.or(printer.currency).unwrap_or(Currency::RUB);
                let credit_limit_minor = fields.credit_limit.map(|text| minor(&text, currency)).transpose()?;
                let command = CreateContract {
                    customer_id: fields.customer,
                    seller_id: fields.seller,
                    number: fields.number,
                    kind: fields.kind,
                    currency: Some(currency.to_string()),
                    zone: fields.zone,
                    credit_limit_minor,
                    signed_on: fields.signed_on,
                    external_system: fields.external_system,
                    external_id: fields.external_id,
                };
                if fields.preview {
                    return printer.object(&altyn.contract_create_preview(&request, command).await?, &[]);
                }
                printer.object(&altyn.contract_create(&request, command).await?.value, COLUMNS)
            }
            Self::List { customer, number, page } => {
                let filter = ContractFilter { customer_id: customer, number };
                printer.list(&altyn.contract_list(&request, filter, &page.page()).await?, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.contract_get(&request, id).await?, COLUMNS),
            Self::Update { id, kind, credit_limit, zone } => {
                let before = altyn.contract_get(&request, id).await?;
                let currency = Currency::parse(&before.currency).unwrap_or(Currency::RUB);
                let credit_limit_minor = credit_limit.map(|text| minor(&text, currency)).transpose()?;
                let command = UpdateContract { kind, credit_limit_minor, zone };
                printer.object(&altyn.contract_update(&request, id, before.version, command).await?.value, COLUMNS)
            }
        }
    }
}
