//! `altyn gateway`: exercise a bound payment gateway; nothing is posted to the ledger.

use std::{collections::BTreeMap, path::PathBuf};

use altyn_domain::{
    exchange::Incoming,
    id::{BindingId, ExchangeId},
};
use altyn_service::exchanges::BeginExchange;
use clap::Subcommand;

use super::{
    exit::Failure,
    output,
    session::{PageArgs, Session},
};

const EXCHANGE: &[&str] =
    &["id", "kind", "amount_minor", "currency", "state", "verdict", "about_id", "external_id", "fault"];
const STEP: &[&str] = &["position", "at", "kind", "status", "note"];
const GATEWAY: &[&str] =
    &["binding_id", "notifications_path", "missing_secrets", "missing_hosts", "capabilities", "secrets", "hosts"];

/// Verbs of `altyn gateway`.
#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    /// Show what a bound gateway can do and which secrets it misses
    Show {
        /// The binding
        binding: BindingId,
    },
    /// Begin a payment
    Pay {
        /// The binding
        binding: BindingId,
        /// What is to be paid, minor units
        #[arg(long)]
        amount_minor: i64,
        /// ISO 4217 code; default: the tenant's
        #[arg(long)]
        currency: Option<String>,
        /// For the payer
        #[arg(long, default_value = "Payment")]
        description: String,
        /// Only hold the money; take it with `capture`
        #[arg(long)]
        hold: bool,
        /// Where the payer's browser goes afterwards
        #[arg(long, value_name = "URL")]
        return_url: Option<String>,
        /// Charge this saved method
        #[arg(long)]
        saved_method: Option<String>,
        /// Keep the payer's method for later charges
        #[arg(long)]
        save_method: bool,
    },
    /// Ask how a payment stands
    Status {
        /// The payment
        payment: ExchangeId,
    },
    /// Take held money
    Capture {
        /// The payment
        payment: ExchangeId,
    },
    /// Give up a payment that was not taken yet
    Cancel {
        /// The payment
        payment: ExchangeId,
    },
    /// Give money back
    Refund {
        /// The payment
        payment: ExchangeId,
        /// How much, minor units; default: all of it
        #[arg(long)]
        amount_minor: Option<i64>,
        /// Why, for the payer
        #[arg(long)]
        reason: Option<String>,
    },
    /// Ask how a refund stands
    RefundStatus {
        /// The refund
        refund: ExchangeId,
    },
    /// Go on with an exchange that a host left unfinished
    Resume {
        /// Which
        id: ExchangeId,
    },
    /// Play the gateway: hand a notification to a binding and print the exact reply
    Notify {
        /// The binding
        binding: BindingId,
        /// File with the body; `-` is stdin
        body: PathBuf,
        /// A header, such as `x-signature: 00`; may be repeated
        #[arg(long = "header", value_name = "NAME: VALUE")]
        headers: Vec<String>,
        /// The query, without `?`
        #[arg(long, default_value = "")]
        query: String,
    },
    /// List exchanges
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one exchange
    Exchange {
        /// Which
        id: ExchangeId,
    },
    /// List the trail of an exchange: requests with names of secrets, masked answers, decisions
    Steps {
        /// Which
        id: ExchangeId,
        #[command(flatten)]
        page: PageArgs,
    },
}

impl GatewayCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        let command = match self {
            Self::Show { binding } => return printer.object(&altyn.gateway_get(&request, binding).await?, GATEWAY),
            Self::List { page } => return printer.list(&altyn.exchange_list(&request, &page.page()).await?, EXCHANGE),
            Self::Exchange { id } => return printer.object(&altyn.exchange_get(&request, id).await?, EXCHANGE),
            Self::Steps { id, page } => {
                return printer.list(&altyn.exchange_steps(&request, id, &page.page()).await?, STEP);
            }
            Self::Resume { id } => return printer.object(&altyn.exchange_resume(&request, id).await?.value, EXCHANGE),
            Self::Notify { binding, body, headers, query } => {
                return notify(session, binding, &body, &headers, query).await;
            }
            Self::Pay { binding, amount_minor, currency, description, hold, return_url, saved_method, save_method } => {
                let currency = match currency {
                    Some(currency) => currency,
                    None => session.tenant().await?.currency,
                };
                BeginExchange::Pay {
                    binding_id: binding,
                    amount_minor,
                    currency,
                    description,
                    capture: !hold,
                    return_url,
                    payer: BTreeMap::new(),
                    saved_method,
                    save_method,
                }
            }
            Self::Status { payment } => BeginExchange::Status { payment_id: payment },
            Self::Capture { payment } => BeginExchange::Capture { payment_id: payment },
            Self::Cancel { payment } => BeginExchange::Cancel { payment_id: payment },
            Self::Refund { payment, amount_minor, reason } => {
                BeginExchange::Refund { payment_id: payment, amount_minor, reason }
            }
            Self::RefundStatus { refund } => BeginExchange::RefundStatus { refund_id: refund },
        };
        printer.object(&altyn.exchange_begin(&request, command).await?.value, EXCHANGE)
    }
}

async fn notify(
    session: &Session,
    binding: BindingId,
    file: &std::path::Path,
    headers: &[String],
    query: String,
) -> Result<(), Failure> {
    let body = if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    let body = body.map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    let mut named = Vec::new();
    for header in headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::usage(format!("{header:?} is not a header; write NAME: VALUE")))?;
        named.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let incoming = Incoming { method: "POST".to_owned(), query, headers: named, body, source: "127.0.0.1".to_owned() };
    let reply = session.altyn.gateway_notification(binding, incoming).await?;
    let shown = serde_json::json!({ "status": reply.status, "body": String::from_utf8_lossy(&reply.body), "headers": reply.headers });
    match session.printer.output {
        output::Output::Json => output::line(&shown.to_string()),
        output::Output::Table => output::line(&format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body))),
    }
    Ok(())
}
