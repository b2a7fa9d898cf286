//! `altyn seller`: a tenant's legal entities.

use altyn_domain::{
    id::SellerId,
    party::{CustomerKind, VatRegime},
};
use altyn_service::sellers::CreateSeller;
use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] = &["id", "name", "kind", "inn", "vat_regime", "country"];

/// Verbs of `altyn seller`.
#[derive(Debug, Subcommand)]
pub enum SellerCommand {
    /// Create a seller
    Create(SellerFields),
    /// List sellers
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one seller
    Show {
        /// Which
        id: SellerId,
    },
    /// Replace all fields of a seller
    Update {
        /// Which
        id: SellerId,
        #[command(flatten)]
        fields: SellerFields,
    },
}

/// All that is known of a seller.
#[derive(Debug, Args)]
pub struct SellerFields {
    /// Its name
    #[arg(long)]
    name: String,
    /// legal-entity, sole-proprietor or individual
    #[arg(long, default_value = "legal-entity")]
    kind: CustomerKind,
    /// How it stands towards value added tax
    #[arg(long)]
    vat_regime: VatRegime,
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
    /// Settlement account
    #[arg(long)]
    bank_account: Option<String>,
    /// БИК of its bank
    #[arg(long)]
    bank_bik: Option<String>,
}

impl SellerFields {
    fn command(self) -> CreateSeller {
        let Self { name, kind, vat_regime, country, inn, kpp, ogrn, bank_account, bank_bik } = self;
        CreateSeller { name, kind, country, inn, kpp, ogrn, vat_regime, bank_account, bank_bik }
    }
}

impl SellerCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Create(fields) => {
                printer.object(&altyn.seller_create(&request, fields.command()).await?.value, COLUMNS)
            }
            Self::List { page } => printer.list(&altyn.seller_list(&request, &page.page()).await?, COLUMNS),
            Self::Show { id } => printer.object(&altyn.seller_get(&request, id).await?, COLUMNS),
            Self::Update { id, fields } => {
                let version = altyn.seller_get(&request, id).await?.version;
                printer.object(&altyn.seller_update(&request, id, version, fields.command()).await?.value, COLUMNS)
            }
        }
    }
}
