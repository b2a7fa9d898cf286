//! `altyn product` and `altyn plan`: the catalogue.

use std::path::PathBuf;

use altyn_domain::{
    catalogue::{PlanStatus, Visibility},
    id::{PlanId, ProductId},
};
use altyn_service::{
    plans::{CreatePlan, CreatePlanVersion, PlanFilter, UpdatePlan},
    products::{CreateProduct, UpdateProduct},
};
use clap::Subcommand;

use super::{
    command_of,
    exit::Failure,
    session::{PageArgs, Session},
};

const PRODUCT: &[&str] = &["id", "code", "title", "tax_category"];
const PLAN: &[&str] = &["id", "code", "title", "status", "visibility"];

/// Verbs of `altyn product`.
#[derive(Debug, Subcommand)]
pub enum ProductCommand {
    /// Create a product
    Create {
        /// Its code, unique in the tenant
        #[arg(long)]
        code: String,
        /// Its title on documents
        #[arg(long)]
        title: String,
        /// What the tax rule is told, such as standard
        #[arg(long)]
        tax_category: String,
    },
    /// List products
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one product
    Show {
        /// Which
        id: ProductId,
    },
    /// Change a product
    Update {
        /// Which
        id: ProductId,
        /// Its title
        #[arg(long)]
        title: Option<String>,
        /// What the tax rule is told
        #[arg(long)]
        tax_category: Option<String>,
    },
}

/// Verbs of `altyn plan`.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Create a plan from a JSON file, the body of POST /v1/plans
    Create {
        /// The file; - is stdin
        file: PathBuf,
    },
    /// Add a version from a JSON file; "existing_subscribers": "from:2027-03-01" takes subscribers over at a renewal
    AddVersion {
        /// The plan
        id: PlanId,
        /// The file; - is stdin
        file: PathBuf,
    },
    /// List plans
    List {
        /// Only in this status: draft, active or archived
        #[arg(long)]
        status: Option<PlanStatus>,
        /// Only of this visibility: public or private
        #[arg(long)]
        visibility: Option<Visibility>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one plan with its versions
    Show {
        /// Which
        id: PlanId,
    },
    /// Change a plan's title, its status or who sells it
    Update {
        /// Which
        id: PlanId,
        /// Its title
        #[arg(long)]
        title: Option<String>,
        /// draft, active or archived
        #[arg(long)]
        status: Option<PlanStatus>,
        /// public, or private: sold by managers only
        #[arg(long)]
        visibility: Option<Visibility>,
    },
}

impl ProductCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Create { code, title, tax_category } => {
                let command = CreateProduct { code, title, tax_category };
                printer.object(&altyn.product_create(&request, command).await?.value, PRODUCT)
            }
            Self::List { page } => printer.list(&altyn.product_list(&request, &page.page()).await?, PRODUCT),
            Self::Show { id } => printer.object(&altyn.product_get(&request, id).await?, PRODUCT),
            Self::Update { id, title, tax_category } => {
                let version = altyn.product_get(&request, id).await?.version;
                let command = UpdateProduct { title, tax_category };
                printer.object(&altyn.product_update(&request, id, version, command).await?.value, PRODUCT)
            }
        }
    }
}

impl PlanCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Create { file } => {
                let command: CreatePlan = command_of(&file)?;
                printer.object(&altyn.plan_create(&request, command).await?.value, PLAN)
            }
            Self::AddVersion { id, file } => {
                let command: CreatePlanVersion = command_of(&file)?;
                let version = altyn.plan_get(&request, id).await?.version;
                printer.object(&altyn.plan_version_add(&request, id, version, command).await?.value, PLAN)
            }
            Self::List { status, visibility, page } => {
                let filter = PlanFilter { status, visibility };
                printer.list(&altyn.plan_list(&request, filter, &page.page()).await?, PLAN)
            }
            Self::Show { id } => printer.object(&altyn.plan_get(&request, id).await?, PLAN),
            Self::Update { id, title, status, visibility } => {
                let version = altyn.plan_get(&request, id).await?.version;
                let command = UpdatePlan { title, status, visibility };
                printer.object(&altyn.plan_update(&request, id, version, command).await?.value, PLAN)
            }
        }
    }
}
