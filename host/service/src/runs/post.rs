//! Posting: what a chunk does to the ledger.
//!
//! Two transactions a contract and day at most: what falls due, and what is realised. Their source keys name the day and
//! the contract, so each is posted once whatever happens to the run. Before them one for each paid order that is charged: what
//! was reserved for it is free again, in the moment in which it is taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use altyn_domain::{
    id::{ContractId, OrderId, TransactionId},
    ledger::{About, AccountCode, Realised, Transaction, charge_due, charge_realised},
    money::{Currency, Money},
};
use altyn_store::Rows;
use uuid::Uuid;

use super::{
    compute::{Inputs, Planned},
    write::columns,
};
use crate::{
    error::{Result, ServiceError},
    orders,
};

/// The ledger accounts a run posts to besides the contracts' funds.
pub(super) type SharedAccounts = HashMap<(AccountCode, Currency), Uuid>;

/// The accounts that these plans post to besides the contracts' funds.
pub(super) fn shared_accounts(planned: &[Planned]) -> BTreeSet<(AccountCode, Currency)> {
    let mut wanted = BTreeSet::new();
    for plan in planned {
        wanted.insert((AccountCode::DeferredRevenue, plan.currency));
        for realisation in &plan.plan.realisations {
            // Built only when new: a chunk has thousands of realisations and a handful of accounts.
            if !realisation.net.is_zero() {
                wanted.insert((AccountCode::Revenue(realisation.product), plan.currency));
            }
            if !realisation.tax.is_zero() {
                wanted.insert((AccountCode::TaxPayable(realisation.tax_code.clone()), plan.currency));
            }
        }
    }
    wanted
}

/// The ledger's rows of a chunk.
pub(super) struct LedgerRows {
    pub entries: Rows,
    pub headers: Rows,
    /// Balances of contracts, one row an account.
    pub balances: Rows,
    /// Balances that every chunk of the run moves.
    pub shared_balances: Rows,
}

fn internal(error: &impl ToString) -> ServiceError {
    ServiceError::Internal(error.to_string())
}

/// What was reserved for the orders that are charged.
fn released(inputs: &Inputs, plan: &Planned) -> Result<Vec<Transaction>> {
    let paid = plan.reserved.iter().filter(|order| order.amount_minor > 0);
    paid.map(|order| {
        let amount = Money::new(order.amount_minor, plan.currency);
        orders::money::release(OrderId(order.id), ContractId(plan.contract), amount, inputs.on, "charged")
    })
    .collect()
}

/// What falls due for a contract: the prepaid part of its lines, from its funds to deferred revenue.
fn due(inputs: &Inputs, plan: &Planned) -> Result<Option<Transaction>> {
    let prepaid = plan.plan.prepaid().map_err(|error| internal(&error))?;
    if prepaid.is_zero() {
        return Ok(None);
    }
    let about = About {
        source_key: format!("run/{}/{}", inputs.on, ContractId(plan.contract)),
        effective_on: inputs.on,
        description: String::new(),
    };
    charge_due(about, ContractId(plan.contract), prepaid).map(Some).map_err(|error| internal(&error))
}

/// What a contract's provided services become: revenue and tax, from deferred revenue and, for what was not prepaid,
/// from its funds.
pub(super) fn realised(inputs: &Inputs, plan: &Planned) -> Result<Option<Transaction>> {
    if plan.realised.gross.is_zero() {
        return Ok(None);
    }
    let sum = Money::sum(plan.currency, plan.plan.realisations.iter().map(|realisation| realisation.prepaid));
    let prepaid = sum.map_err(|error| internal(&error))?;
    let postpaid = plan.realised.gross.sub(prepaid).map_err(|error| internal(&error))?;
    let parts: Vec<Realised> = plan
        .plan
        .realisations
        .iter()
        .filter(|realisation| !realisation.gross.is_zero())
        .map(|realisation| Realised {
            product: realisation.product,
            tax_code: realisation.tax_code.clone(),
            net: realisation.net,
            tax: realisation.tax,
        })
        .collect();
    let about = About {
        source_key: format!("realise/{}/{}", inputs.on, ContractId(plan.contract)),
        effective_on: inputs.on,
        description: String::new(),
    };
    let contract = ContractId(plan.contract);
    charge_realised(about, contract, prepaid, postpaid, &parts).map(Some).map_err(|error| internal(&error))
}

/// Lays out the postings of a chunk.
pub(super) fn ledger_rows(inputs: &Inputs, planned: &[Planned], accounts: &SharedAccounts) -> Result<LedgerRows> {
    let mut entries = Vec::with_capacity(planned.len() * 4);
    let mut headers = Vec::with_capacity(planned.len() * 2);
    let mut moved: Vec<(Uuid, i64, i64)> = Vec::with_capacity(planned.len());
    let mut shared: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    for plan in planned {
        let (mut funds, mut blocked): ((i64, i64), (i64, i64)) = ((0, 0), (0, 0));
        let blocked_account = plan.reserved.iter().find_map(|order| order.blocked_account_id);
        let own = [due(inputs, plan)?, realised(inputs, plan)?].into_iter().flatten();
        for transaction in released(inputs, plan)?.into_iter().chain(own) {
            let id = TransactionId(inputs.ids.next());
            for (position, entry) in transaction.entries.iter().enumerate() {
                let no_account = || ServiceError::Internal(format!("{} has no account", entry.account));
                let (account, sum) = match entry.account {
                    AccountCode::ContractFunds(_) => (plan.funds_account, &mut funds),
                    AccountCode::ContractBlocked(_) => (blocked_account.ok_or_else(no_account)?, &mut blocked),
                    _ => {
                        let account = accounts.get(&(entry.account.clone(), transaction.currency));
                        let account = account.ok_or_else(no_account)?;
                        (*account, shared.entry(*account).or_default())
                    }
                };
                sum.0 = sum
                    .0
                    .checked_add(entry.amount_minor)
                    .ok_or_else(|| ServiceError::Internal("a chunk's postings are out of range".into()))?;
                sum.1 += 1;
                entries.push((id.0, i32::try_from(position).unwrap_or(i32::MAX), account, entry.amount_minor));
            }
            headers.push((id.0, transaction));
        }
        if funds.1 > 0 {
            moved.push((plan.funds_account, funds.0, funds.1));
        }
        if let Some(account) = blocked_account.filter(|_| blocked.1 > 0) {
            moved.push((account, blocked.0, blocked.1));
        }
    }
    let shared: Vec<(Uuid, i64, i64)> =
        shared.into_iter().map(|(account, (amount, entries))| (account, amount, entries)).collect();
    Ok(LedgerRows {
        entries: columns!(entries, {
            transaction_id: |entry| entry.0,
            position: |entry| entry.1,
            account_id: |entry| entry.2,
            amount_minor: |entry| entry.3,
        }),
        headers: columns!(headers, {
            id: |(id, _)| *id,
            source_key: |(_, transaction)| transaction.source_key.clone(),
            kind: |(_, transaction)| transaction.kind.as_str().to_owned(),
            currency: |(_, transaction)| transaction.currency.code().to_owned(),
            effective_on: |(_, transaction)| transaction.effective_on,
            description: |(_, transaction)| transaction.description.clone(),
            reverses_id: |_| None::<Uuid>,
        }),
        balances: columns!(moved, {
            id: |moved| moved.0,
            amount_minor: |moved| moved.1,
            entries: |moved| moved.2,
        }),
        shared_balances: columns!(shared, {
            id: |moved| moved.0,
            amount_minor: |moved| moved.1,
            entries: |moved| moved.2,
        }),
    })
}
