//! `altyn plugin canary`: a component on trial in a binding.

use altyn_domain::{
    canary::WHOLE_BP,
    id::{BindingId, TenantId},
};
use altyn_service::canary::{ChangeCanary, StartCanary};
use clap::Subcommand;
use rust_decimal::Decimal;

use super::{
    exit::Failure,
    plugins::{configuration, digest},
    session::{PageArgs, Session},
};

const CANARY: &[&str] = &[
    "id",
    "binding_id",
    "component",
    "state",
    "share_bp",
    "tenants",
    "decisions",
    "faults",
    "present_decisions",
    "present_faults",
    "most_fault_bp",
    "least_decisions",
    "reason",
    "started_at",
    "finished_at",
    "version",
];
const CANARIES: &[&str] =
    &["id", "state", "share_bp", "decisions", "faults", "present_decisions", "present_faults", "started_at", "reason"];

/// Verbs of `altyn plugin canary`.
#[derive(Debug, Subcommand)]
pub enum CanaryCommand {
    /// Let an installed component decide for a share of the contracts of a binding, or for some tenants; in a gateway, for a
    /// share of the payments that begin
    Start {
        /// The binding
        #[arg(long)]
        binding: BindingId,
        /// The component's digest, or its plugin id when one version is installed
        #[arg(long)]
        component: String,
        /// Configuration: JSON, or @FILE; default: that of the binding
        #[arg(long, value_name = "JSON")]
        plugin_config: Option<String>,
        /// The share of contracts, or of new payments, per cent with up to two decimals
        #[arg(long, value_name = "PERCENT", value_parser = basis_points, default_value = "100")]
        share: i32,
        /// A tenant it decides for; repeat for more; default: all that use the binding
        #[arg(long = "of-tenant", value_name = "TENANT")]
        tenants: Vec<TenantId>,
        /// Roll it back when more of its decisions than this have no answer that counts, per cent
        #[arg(long, value_name = "PERCENT", value_parser = basis_points, default_value = "1")]
        most_faults: i32,
        /// How many decisions there must be before faults count
        #[arg(long, value_name = "N", default_value_t = 100)]
        least: i64,
    },
    /// Show the component on trial, or what became of the last one
    Show {
        /// The binding
        #[arg(long)]
        binding: BindingId,
    },
    /// List all that were on trial
    List {
        /// The binding
        #[arg(long)]
        binding: BindingId,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Give it another share, other tenants or another bound
    Share {
        /// The binding
        #[arg(long)]
        binding: BindingId,
        /// The share of contracts, or of new payments, per cent
        #[arg(long, value_name = "PERCENT", value_parser = basis_points)]
        share: Option<i32>,
        /// A tenant it decides for, in place of those before; repeat for more
        #[arg(long = "of-tenant", value_name = "TENANT", conflicts_with = "all_tenants")]
        tenants: Vec<TenantId>,
        /// Decide for all tenants that use the binding
        #[arg(long)]
        all_tenants: bool,
        /// Roll it back when more of its decisions than this have no answer that counts, per cent
        #[arg(long, value_name = "PERCENT", value_parser = basis_points)]
        most_faults: Option<i32>,
        /// How many decisions there must be before faults count
        #[arg(long, value_name = "N")]
        least: Option<i64>,
    },
    /// Make it the component of the binding
    Promote {
        /// The binding
        #[arg(long)]
        binding: BindingId,
    },
    /// Withdraw it: the present component decides for everybody again
    End {
        /// The binding
        #[arg(long)]
        binding: BindingId,
    },
}

/// Basis points of a percentage such as `2.5` or `2.5%`.
fn basis_points(text: &str) -> Result<i32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let percent: Decimal = number.parse().map_err(|_| "must be a number of per cent, such as 2.5".to_owned())?;
    percent
        .checked_mul(Decimal::ONE_HUNDRED)
        .map(|points| points.normalize())
        .filter(|points| points.scale() == 0)
        .and_then(|points| i32::try_from(points.mantissa()).ok())
        .filter(|points| (0..=WHOLE_BP).contains(points))
        .ok_or_else(|| "must be between 0 and 100, with up to two decimals".to_owned())
}

impl CanaryCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer) = (&session.altyn, session.printer);
        let request = session.request().await?;
        match self {
            Self::Start { binding, component, plugin_config, share, tenants, most_faults, least } => {
                let command = StartCanary {
                    component: digest(session, component).await?,
                    config: plugin_config.as_deref().map(configuration).transpose()?,
                    share_bp: share,
                    tenants,
                    most_fault_bp: most_faults,
                    least_decisions: least,
                };
                printer.object(&altyn.canary_start(&request, binding, command).await?.value, CANARY)
            }
            Self::Show { binding } => printer.object(&altyn.canary_get(&request, binding).await?, CANARY),
            Self::List { binding, page } => {
                printer.list(&altyn.canary_list(&request, binding, &page.page()).await?, CANARIES)
            }
            Self::Share { binding, share, tenants, all_tenants, most_faults, least } => {
                let version = altyn.canary_get(&request, binding).await?.version;
                let command = ChangeCanary {
                    share_bp: share,
                    tenants: (all_tenants || !tenants.is_empty()).then_some(tenants),
                    most_fault_bp: most_faults,
                    least_decisions: least,
                };
                printer.object(&altyn.canary_change(&request, binding, version, command).await?.value, CANARY)
            }
            Self::Promote { binding } => {
                let version = altyn.canary_get(&request, binding).await?.version;
                printer.object(&altyn.canary_promote(&request, binding, version).await?.value, CANARY)
            }
            Self::End { binding } => {
                let version = altyn.canary_get(&request, binding).await?.version;
                printer.object(&altyn.canary_end(&request, binding, version).await?.value, CANARY)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_read_to_the_basis_point() {
        for (text, points) in [("0", 0), ("0.01", 1), ("1", 100), ("2.5%", 250), ("2.50 %", 250), ("100", 10_000)] {
            assert_eq!(basis_points(text), Ok(points), "{text}");
        }
        for text in ["", "%", "-1", "100.01", "0.001", "half", "2,5", "99999999999999999999999999999"] {
            assert!(basis_points(text).is_err(), "{text}");
        }
    }
}
