//! Use that fell: late events that lower the figure of days that are billed give back what these cost too much.
//!
//! Owns which charges of the days it is given back of: the newest first, each as far as something of it is left. Credits
//! are decided and saved like all others, with the tax of the lines they lower. Invariant: what the days cost in all is the
//! price of their figure, unless somebody gave more back already; as for use that rises, each difference counts once.

use altyn_domain::{
    charge::CreditAmount,
    id::{ChargeId, SubscriptionId},
    money::{Currency, Money},
    run::{LineUsage, PlanCredit},
    tax::PriceMode,
};
use altyn_store::{Tx, charges::CreditableRow};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::{ask::Fault, compute::Inputs, write::Refused};
use crate::{
    credits::{ChargeCredit, PlannedCredit, credits_decide, credits_save, left_of},
    error::ServiceError,
    ports::Ids,
};

/// Days whose figure fell.
pub(super) struct Fall<'a> {
    pub usage: LineUsage,
    pub subscription: SubscriptionId,
    /// How much less they cost, as the plan states prices; above zero.
    pub by: Money,
    pub mode: PriceMode,
    /// What is charged for them, the newest first.
    pub charges: &'a [CreditableRow],
    pub reason: String,
}

/// What a plan gives back: for the plan's reader, and to be saved.
#[derive(Clone, Debug)]
pub(super) struct GivenBack {
    pub told: PlanCredit,
    pub credit: PlannedCredit,
}

fn fault(reason: impl std::fmt::Display) -> Fault {
    Fault { code: "usage-invalid".to_owned(), reason: reason.to_string(), call: None }
}

impl Fall<'_> {
    /// The credits of a fall, and what they come to as the plan states prices: less than the fall when less is left.
    pub fn give_back(&self, ids: &dyn Ids, on: NaiveDate, run: Uuid) -> Result<(Vec<GivenBack>, Money), Fault> {
        let currency: Currency = self.by.currency;
        let (mut missing, mut wanted) = (self.by, Vec::new());
        // What is not realised yet is realised first; days that are billed are over.
        for row in self.charges.iter().filter(|row| row.realised_on.is_some()) {
            let left = left_of(row).map_err(fault)?;
            let left = if self.mode == PriceMode::Included { left.gross } else { left.net };
            let part = left.minor.min(missing.minor);
            if part <= 0 {
                continue;
            }
            let part = Money::new(part, currency);
            missing = missing.sub(part).map_err(fault)?;
            wanted.push(ChargeCredit {
                charge: ChargeId(row.id),
                amount: match self.mode {
                    PriceMode::Included => CreditAmount::Gross(part),
                    PriceMode::OnTop => CreditAmount::Net(part),
                },
                used: None,
                reason: self.reason.clone(),
                change: None,
            });
        }
        let planned = credits_decide(ids, on, &wanted, self.charges).map_err(fault)?;
        let given = self.by.sub(missing).map_err(fault)?;
        let given_back = planned.into_iter().map(|credit| {
            let told = PlanCredit {
                charge: credit.charge,
                subscription: self.subscription,
                usage: self.usage.clone(),
                net: credit.amounts.net,
                tax: credit.amounts.tax,
                gross: credit.amounts.gross,
                reason: self.reason.clone(),
            };
            GivenBack { told, credit: credit.of_use(run, self.usage.window.0) }
        });
        Ok((given_back.collect(), given))
    }
}

/// Saves what a chunk gives back; the charges must be as they were read.
pub(super) async fn save(
    tx: &mut Tx,
    inputs: &Inputs,
    credits: &[PlannedCredit],
    at: DateTime<Utc>,
) -> Result<(), Refused> {
    if credits.is_empty() {
        return Ok(());
    }
    match credits_save(tx, &*inputs.ids, inputs.tenant, at, inputs.on, credits.to_vec()).await {
        Ok(_) => Ok(()),
        Err(ServiceError::Conflict { code: "busy", .. }) => Err(Refused::Moved),
        Err(ServiceError::Store(error)) => Err(Refused::from(error)),
        Err(error) => Err(Refused::Failed(error)),
    }
}

/// The sum of what a plan gives back, with tax.
pub(super) fn given_back(credits: &[GivenBack]) -> i64 {
    credits.iter().map(|given| given.told.gross.minor).sum()
}
