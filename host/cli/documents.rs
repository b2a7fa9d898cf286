//! `altyn invoice` and `altyn charge`: what a run made.

use altyn_domain::{
    id::{ChargeId, ContractId, InvoiceId, SellerId, SubscriptionId},
    money::Currency,
};
use altyn_service::{charges::ChargeFilter, credits::CreditCharge, invoices::InvoiceFilter};
use chrono::NaiveDate;
use clap::Subcommand;

use super::{
    contracts::minor,
    exit::Failure,
    session::{PageArgs, Session},
};

const INVOICE: &[&str] =
    &["id", "number", "issued_on", "contract_id", "status", "currency", "net_minor", "tax_minor", "gross_minor"];
const LINE: &[&str] =
    &["position", "title", "quantity", "used_start", "used_end", "net_minor", "tax_minor", "gross_minor", "tax_code"];
const CHARGE: &[&str] = &[
    "id",
    "contract_id",
    "kind",
    "status",
    "used_start",
    "used_end",
    "charged_on",
    "realised_on",
    "currency",
    "amount_minor",
];
const CREDIT: &[&str] = &[
    "id",
    "charge_id",
    "credited_on",
    "currency",
    "net_minor",
    "tax_minor",
    "gross_minor",
    "after_realisation",
    "reason",
];

/// Verbs of `altyn invoice`.
#[derive(Debug, Subcommand)]
pub enum InvoiceCommand {
    /// List invoices without their lines
    List {
        /// Only of this contract
        #[arg(long)]
        contract: Option<ContractId>,
        /// Only with this number; needs --seller
        #[arg(long, requires = "seller")]
        number: Option<String>,
        /// The seller whose number it is
        #[arg(long, requires = "number")]
        seller: Option<SellerId>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one invoice with its first lines
    Show {
        /// Which
        id: InvoiceId,
    },
    /// List an invoice's lines
    Lines {
        /// Which
        id: InvoiceId,
        #[command(flatten)]
        page: PageArgs,
    },
}

/// Verbs of `altyn charge`.
#[derive(Debug, Subcommand)]
pub enum ChargeCommand {
    /// List charges
    List {
        /// Only of this contract
        #[arg(long, conflicts_with_all = ["subscription", "invoice"])]
        contract: Option<ContractId>,
        /// Only of this subscription
        #[arg(long, conflicts_with = "invoice")]
        subscription: Option<SubscriptionId>,
        /// Only of this invoice
        #[arg(long)]
        invoice: Option<InvoiceId>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one charge
    Show {
        /// Which
        id: ChargeId,
    },
    /// Give a part of a charge back to the contract's balance
    Credit {
        /// Which
        id: ChargeId,
        /// How much with tax, in major units such as 100.00; default: all that is left
        #[arg(long)]
        amount: Option<String>,
        /// Why
        #[arg(long)]
        reason: String,
        /// The day it counts on; default: today
        #[arg(long)]
        on: Option<NaiveDate>,
        /// Only show what it would be
        #[arg(long)]
        preview: bool,
    },
    /// List a charge's credits
    Credits {
        /// The charge
        id: ChargeId,
        #[command(flatten)]
        page: PageArgs,
    },
}

impl InvoiceCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::List { contract, number, seller, page } => {
                let filter = InvoiceFilter { contract_id: contract, number, seller_id: seller };
                printer.list(&altyn.invoice_list(&request, filter, &page.page()).await?, INVOICE)
            }
            Self::Show { id } => printer.object(&altyn.invoice_get(&request, id).await?, INVOICE),
            Self::Lines { id, page } => {
                let invoice = altyn.invoice_get(&request, id).await?;
                let currency = Currency::parse(&invoice.currency).ok();
                printer.in_currency(currency).list(&altyn.invoice_lines(&request, id, &page.page()).await?, LINE)
            }
        }
    }
}

impl ChargeCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::List { contract, subscription, invoice, page } => {
                let filter = ChargeFilter { contract_id: contract, subscription_id: subscription, invoice_id: invoice };
                printer.list(&altyn.charge_list(&request, filter, &page.page()).await?, CHARGE)
            }
            Self::Show { id } => printer.object(&altyn.charge_get(&request, id).await?, CHARGE),
            Self::Credit { id, amount, reason, on, preview } => {
                let currency = Currency::parse(&altyn.charge_get(&request, id).await?.currency).ok();
                let amount_minor = amount.map(|text| minor(&text, currency.unwrap_or(Currency::RUB))).transpose()?;
                let command = CreditCharge { amount_minor, reason, credited_on: on };
                if preview {
                    return printer.object(&altyn.charge_credit_preview(&request, id, command).await?, CREDIT);
                }
                printer.object(&altyn.charge_credit(&request, id, command).await?.value, CREDIT)
            }
            Self::Credits { id, page } => {
                printer.list(&altyn.charge_credits(&request, id, &page.page()).await?, CREDIT)
            }
        }
    }
}
