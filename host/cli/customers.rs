//! `altyn customer`: who is billed.

use altyn_domain::{id::CustomerId, party::CustomerKind};
use altyn_service::customers::{CreateCustomer, CustomerFilter};
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] = &["id", "kind", "name", "inn", "external_system", "external_id"];

/// Verbs of `altyn customer`.
#[derive(Debug, Subcommand)]
pub enum CustomerCommand {
    /// Create a customer
    Create(CustomerFields),
    /// List customers
    List {
        /// Only with this ИНН
        #[arg(long)]
        inn: Option<String>,
        /// Only from this external system
        #[arg(long)]
        external_system: Option<String>,
        /// Only with this external id
        #[arg(long)]
        external_id: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one customer
    Show {
        /// Which
        id: CustomerId,
    },
    /// Replace all fields of a customer
    Update {
        /// Which
        id: CustomerId,
        #[command(flatten)]
        fields: CustomerFields,
    },
}

/// All that is known of a customer.
#[derive(Debug, Args)]
pub struct CustomerFields {
    /// Name
    #[arg(long)]
    name: String,
    /// legal-entity, sole-proprietor or individual
    #[arg(long)]
    kind: CustomerKind,
    /// Country, such as RU
    #[arg(long)]
    country: Option<String>,
    /// ИНН
    #[arg(long)]
    inn: Option<String>,
    /// КПП
    #[arg(long)]
    kpp: Option<String>,
    /// ОГРН or ОГРНИП
    #[arg(long)]
    ogrn: Option<String>,
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// Telephone
    #[arg(long)]
    phone: Option<String>,
    /// Postal address
    #[arg(long)]
    address: Option<String>,
    /// The system that knows it by another id
    #[arg(long)]
    external_system: Option<String>,
    /// Its id there
    #[arg(long)]
    external_id: Option<String>,
}

impl CustomerFields {
    fn command(self) -> CreateCustomer {
        let Self { name, kind, country, inn, kpp, ogrn, email, phone, address, external_system, external_id } = self;
        CreateCustomer { kind, name, country, inn, kpp, ogrn, email, phone, address, external_system, external_id }
    }
}

impl CustomerCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Create(fields) => {
                printer.object(&altyn.customer_create(&request, fields.command()).await?.value, COLUMNS)
            }
            Self::List { inn, external_system, external_id, page } => {
                let filter = CustomerFilter { inn, external_system, external_id };
                printer.list(&altyn.customer_list(&request, filter, &page.page()).await?, COLUMNS)
            }
            Self::Show { id } => printer.object(&altyn.customer_get(&request, id).await?, COLUMNS),
            Self::Update { id, fields } => {
                let version = altyn.customer_get(&request, id).await?.version;
                printer.object(&altyn.customer_update(&request, id, version, fields.command()).await?.value, COLUMNS)
            }
        }
    }
}
