//! `altyn service-term` and `altyn manual-operation`: what becomes of unpaid subscriptions.

use std::path::PathBuf;

use altyn_domain::{
    id::{ManualOperationId, PlanId, ServiceTermId, SubscriptionId},
    terms::OperationState,
};
use altyn_service::{
    manual_operations::{OperationFilter, RejectOperation},
    service_terms::AttachServiceTerm,
};
use clap::Subcommand;

use super::{
    command_of,
    exit::Failure,
    session::{PageArgs, Session},
};

const TERM: &[&str] =
    &["id", "source", "name", "key", "stop_mode", "grace_days", "delete_mode", "keep_days", "billing_day", "delegated"];
const CONFLICT: &[&str] = &["name", "own_id", "inherited_id", "own_href", "inherited_href"];
const LIFE: &[&str] =
    &["subscription_id", "status", "service_term_id", "unpaid_since", "stop_on", "stopped_on", "delete_on"];
const TRANSITION: &[&str] = &["business_on", "from_status", "to_status", "cause", "operation_id", "recorded_at"];
const OPERATION: &[&str] =
    &["id", "kind", "state", "subscription_id", "contract_id", "since_on", "business_on", "decided_by", "reason"];

/// Verbs of `altyn service-term`.
#[derive(Debug, Subcommand)]
pub enum ServiceTermCommand {
    /// Create a term from a file: the body of POST /v1/service-terms; `-` is stdin
    Create {
        /// JSON
        file: PathBuf,
    },
    /// List the terms: own, inherited and frozen ones
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one term
    Show {
        /// Which
        id: ServiceTermId,
    },
    /// Replace a term from a file; the copies below follow
    Update {
        /// Which
        id: ServiceTermId,
        /// JSON
        file: PathBuf,
    },
    /// Delete a term that nobody here lives by
    Delete {
        /// Which
        id: ServiceTermId,
    },
    /// List own terms whose name a delegated one has; rename them by `update`
    Conflicts {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Put a plan or a subscription under a term; without --term take it away
    Attach {
        /// The plan
        #[arg(long, required_unless_present = "subscription", conflicts_with = "subscription")]
        plan: Option<PlanId>,
        /// The subscription
        #[arg(long)]
        subscription: Option<SubscriptionId>,
        /// The term
        #[arg(long)]
        term: Option<ServiceTermId>,
    },
    /// Show where a subscription stands in its life
    Life {
        /// Which
        subscription: SubscriptionId,
    },
    /// List the changes of a subscription's status
    History {
        /// Which
        subscription: SubscriptionId,
        #[command(flatten)]
        page: PageArgs,
    },
}

impl ServiceTermCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer, request) = (&session.altyn, session.printer, session.request().await?);
        match self {
            Self::Create { file } => {
                printer.object(&altyn.service_term_create(&request, command_of(&file)?).await?.value, TERM)
            }
            Self::List { page } => printer.list(&altyn.service_term_list(&request, &page.page()).await?, TERM),
            Self::Show { id } => printer.object(&altyn.service_term_get(&request, id).await?, TERM),
            Self::Update { id, file } => {
                let command = command_of(&file)?;
                let version = altyn.service_term_get(&request, id).await?.version;
                printer.object(&altyn.service_term_update(&request, id, version, command).await?.value, TERM)
            }
            Self::Delete { id } => {
                let version = altyn.service_term_get(&request, id).await?.version;
                printer.object(&altyn.service_term_delete(&request, id, version).await?.value, TERM)
            }
            Self::Conflicts { page } => {
                printer.list(&altyn.service_term_conflicts(&request, &page.page()).await?, CONFLICT)
            }
            Self::Attach { plan, subscription, term } => {
                let command = AttachServiceTerm { service_term_id: term };
                let attached = match (plan, subscription) {
                    (Some(id), _) => {
                        let version = altyn.plan_get(&request, id).await?.version;
                        altyn.plan_service_term_set(&request, id, version, command).await?
                    }
                    (None, Some(id)) => {
                        let version = altyn.subscription_get(&request, id).await?.version;
                        altyn.subscription_service_term_set(&request, id, version, command).await?
                    }
                    (None, None) => return Err(Failure::usage("name a plan or a subscription")),
                };
                printer.object(&attached.value, &["service_term_id"])
            }
            Self::Life { subscription } => {
                printer.object(&altyn.subscription_life(&request, subscription).await?, LIFE)
            }
            Self::History { subscription, page } => {
                let found = altyn.subscription_transitions(&request, subscription, &page.page()).await?;
                printer.list(&found, TRANSITION)
            }
        }
    }
}

/// Verbs of `altyn manual-operation`.
#[derive(Debug, Subcommand)]
pub enum ManualOperationCommand {
    /// List operations; those that wait with `--state awaiting`
    List {
        /// awaiting, approved, rejected or withdrawn
        #[arg(long)]
        state: Option<OperationState>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one operation
    Show {
        /// Which
        id: ManualOperationId,
    },
    /// Do what an operation asks for
    Approve {
        /// Which
        id: ManualOperationId,
        /// Show what it would do; nothing is written
        #[arg(long)]
        preview: bool,
    },
    /// Refuse what an operation asks for
    Reject {
        /// Which
        id: ManualOperationId,
        /// For people
        #[arg(long)]
        reason: String,
    },
}

impl ManualOperationCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer, request) = (&session.altyn, session.printer, session.request().await?);
        match self {
            Self::List { state, page } => {
                let filter = OperationFilter { state };
                printer.list(&altyn.manual_operation_list(&request, filter, &page.page()).await?, OPERATION)
            }
            Self::Show { id } => printer.object(&altyn.manual_operation_get(&request, id).await?, OPERATION),
            Self::Approve { id, preview: true } => {
                printer.object(&altyn.manual_operation_approve_preview(&request, id).await?, &[])
            }
            Self::Approve { id, .. } => {
                printer.object(&altyn.manual_operation_approve(&request, id).await?.value, OPERATION)
            }
            Self::Reject { id, reason } => {
                let command = RejectOperation { reason };
                printer.object(&altyn.manual_operation_reject(&request, id, command).await?.value, OPERATION)
            }
        }
    }
}
