//! `altyn apikey`: keys of the HTTP interface.

use altyn_domain::id::ApiKeyId;
use altyn_service::api_keys::{CreateApiKey, Role};
use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::{
    exit::Failure,
    output::{self, Output},
    session::{PageArgs, Session},
};

const COLUMNS: &[&str] = &["id", "name", "prefix", "role", "created_at", "expires_at", "revoked_at"];

/// Verbs of `altyn apikey`.
#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Create a key; its secret is shown now and never again
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// self-service, read-only, operator or admin
        #[arg(long, value_parser = super::named::<Role>, default_value = "operator")]
        role: Role,
        /// From when it is refused, such as 2027-01-01T00:00:00Z
        #[arg(long)]
        expires_at: Option<DateTime<Utc>>,
    },
    /// List keys without their secrets
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Refuse a key from now on
    Revoke {
        /// Which
        id: ApiKeyId,
    },
}

impl ApiKeyCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Create { name, role, expires_at } => {
                let created = altyn.api_key_create(&request, CreateApiKey { name, role, expires_at }).await?.value;
                if printer.output == Output::Json {
                    return printer.object(&created, &[]);
                }
                printer.object(&created.key, COLUMNS)?;
                output::line(&format!("secret  {}", created.secret.unwrap_or_default()));
                eprintln!("keep the secret: it is not shown again");
                Ok(())
            }
            Self::List { page } => printer.list(&altyn.api_key_list(&request, &page.page()).await?, COLUMNS),
            Self::Revoke { id } => printer.object(&altyn.api_key_revoke(&request, id).await?.value, COLUMNS),
        }
    }
}
