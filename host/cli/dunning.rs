//! `altyn dunning`: who owes, what stage that has come to, and what was done.

use std::path::PathBuf;

use altyn_domain::{
    dunning::DunningScope,
    id::{ContractId, DunningPolicyId},
};
use clap::Subcommand;

use super::{
    command_of,
    exit::Failure,
    session::{PageArgs, Session},
};

const POLICY_COLUMNS: &[&str] = &["id", "scope", "stages", "ladder", "suspending_tags", "version"];
const CASE_COLUMNS: &[&str] = &[
    "scope",
    "contract_id",
    "subscription_id",
    "stage",
    "suspended",
    "unpaid_minor",
    "unpaid_since_on",
    "entered_on",
    "attempts",
    "next_attempt_on",
];
const STEP_COLUMNS: &[&str] = &["on", "scope", "subscription_id", "step", "detail"];

/// Verbs of `altyn dunning`.
#[derive(Debug, Subcommand)]
pub enum DunningCommand {
    /// Show the rules, one policy a scope
    Policies,
    /// Set the rules of a scope that has none
    Set {
        /// JSON: scope, stages, ladder, `suspending_tags`; - for stdin
        file: PathBuf,
    },
    /// Replace the rules of a scope
    Replace {
        /// Which
        id: DunningPolicyId,
        /// JSON: scope, stages, ladder, `suspending_tags`; - for stdin
        file: PathBuf,
    },
    /// List the cases of debtors
    Cases {
        /// contract or subscription
        #[arg(long, default_value = "contract")]
        scope: DunningScope,
        #[command(flatten)]
        page: PageArgs,
    },
    /// List the steps taken with a contract
    Steps {
        /// Which contract
        contract: ContractId,
        #[command(flatten)]
        page: PageArgs,
    },
}

impl DunningCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Policies => printer.list(&altyn.dunning_policy_list(&request).await?, POLICY_COLUMNS),
            Self::Set { file } => {
                let set = altyn.dunning_policy_create(&request, command_of(&file)?).await?;
                printer.object(&set.value, POLICY_COLUMNS)
            }
            Self::Replace { id, file } => {
                let version = altyn.dunning_policy_get(&request, id).await?.version;
                let set = altyn.dunning_policy_replace(&request, id, version, command_of(&file)?).await?;
                printer.object(&set.value, POLICY_COLUMNS)
            }
            Self::Cases { scope, page } => {
                printer.list(&altyn.dunning_case_list(&request, scope, &page.page()).await?, CASE_COLUMNS)
            }
            Self::Steps { contract, page } => {
                printer.list(&altyn.dunning_step_list(&request, contract, &page.page()).await?, STEP_COLUMNS)
            }
        }
    }
}
