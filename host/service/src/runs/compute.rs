//! Computing: due subscriptions become one plan per contract.
//!
//! Pure but for the plugins it asks: it reads no database and no clock. Every answer of a plugin is checked by the
//! domain before it counts; what fails parks the contract it belongs to and nobody else.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, Component, ComponentKind, PlanVersion, StubPolicy},
    id::{
        CallId, ComponentId, ContractId, CustomerId, InvoiceId, PlanVersionId, ProductId, RunId, SellerId,
        SubscriptionId, TenantId,
    },
    invoice::{Amounts, totals},
    money::{Currency, Money},
    proration::{self, CurrentDay, Question},
    run::{ContractPlan, Digest, PlanLine, PluginPin, SafetyBounds, SubscriptionPin, check_bounds, plan_hash},
    subscription::{Discount, DueLine, Renewed, Subscription, SubscriptionStatus, due},
    tax::{self, Party, PriceMode, TaxDocument, TaxableLine},
};
use altyn_runtime::{Runtime, World};
use altyn_store::{StoreError, runs as rows};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::ask::{Fault, Recorder, ask};
use crate::{
    error::{Result, ServiceError},
    evidence::Recorded,
    plugins::Bound,
    ports::Ids,
};

/// What stays the same during one pass over a run.
pub(super) struct Inputs {
    pub tenant: TenantId,
    pub run: RunId,
    pub on: NaiveDate,
    pub proration: Bound,
    pub tax: Bound,
    pub numbering: Bound,
    pub bounds: SafetyBounds,
    pub max_missed_periods: usize,
    pub ids: Arc<dyn Ids>,
    pub runtime: Arc<Runtime>,
    pub sellers: HashMap<Uuid, rows::SellerRow>,
    pins: Vec<PluginPin>,
}

impl Inputs {
    #[expect(clippy::too_many_arguments, reason = "a constructor that fills every field")]
    pub fn new(
        tenant: TenantId,
        run: RunId,
        on: NaiveDate,
        [proration, tax, numbering]: [Bound; 3],
        bounds: SafetyBounds,
        max_missed_periods: usize,
        ids: Arc<dyn Ids>,
        runtime: Arc<Runtime>,
        sellers: Vec<rows::SellerRow>,
    ) -> Self {
        let pin = |world: World, bound: &Bound| PluginPin {
            world,
            component: Digest(bound.plugin.digest().0),
            config: Digest(bound.config_digest),
        };
        // The numbering plugin is no input of a plan: numbers are given when a plan is executed.
        let pins = vec![pin(World::ProrationStrategy, &proration), pin(World::TaxRule, &tax)];
        let sellers = sellers.into_iter().map(|seller| (seller.id, seller)).collect();
        Self { tenant, run, on, proration, tax, numbering, bounds, max_missed_periods, ids, runtime, sellers, pins }
    }
}

/// The plan versions a chunk needs.
pub(super) type Plans = HashMap<Uuid, Arc<PlanVersion>>;

/// A contract that cannot be billed now.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub contract: Uuid,
    pub fault: Fault,
}

/// An invoice to be issued: lines of one contract with one price mode.
#[derive(Clone, Debug)]
pub(super) struct PlannedInvoice {
    pub id: InvoiceId,
    pub mode: PriceMode,
    /// Its lines among those of the plan.
    pub lines: Range<usize>,
    pub totals: Amounts,
}

/// Where a line's decisions are recorded.
#[derive(Clone, Debug)]
pub(super) struct LineEvidence {
    pub quantity: String,
    /// How many changes of the subscription were executed before.
    pub change_ordinal: i32,
    pub proration_call: CallId,
    pub tax_call: CallId,
    /// The line's id inside both calls.
    pub call_line: i32,
}

/// What one subscription becomes.
#[derive(Clone, Debug)]
pub(super) struct Renewal {
    pub subscription: Uuid,
    pub version: i64,
    pub next: Renewed,
}

/// Everything a run would do for one contract.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub contract: Uuid,
    pub contract_number: String,
    pub seller: Uuid,
    pub funds_account: Uuid,
    pub currency: Currency,
    pub plan: ContractPlan,
    pub hash: [u8; 32],
    pub invoices: Vec<PlannedInvoice>,
    pub evidence: Vec<LineEvidence>,
    pub renewals: Vec<Renewal>,
}

/// A computed chunk.
pub(super) struct Computed {
    pub planned: Vec<Planned>,
    pub parked: Vec<Parked>,
    pub recorded: Vec<Recorded>,
    pub calls: i64,
    /// The last contract of the chunk.
    pub last: Option<Uuid>,
}

struct Open {
    contract: Uuid,
    first: usize,
    currency: Currency,
    renewals: Vec<Renewal>,
    pins: Vec<SubscriptionPin>,
    /// With the price mode, the quantity and the number of executed changes.
    lines: Vec<(DueLine, PriceMode, String, i32)>,
    fault: Option<Fault>,
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over errors and formatted texts")]
fn fault(code: &str, reason: impl ToString) -> Fault {
    Fault { code: code.to_owned(), reason: reason.to_string(), call: None }
}

/// Computes the plans of a chunk of due subscriptions, which come in contract order.
pub(super) fn compute(
    inputs: &Inputs,
    plans: &Plans,
    due_rows: &[rows::DueRow],
    refused: &HashMap<Uuid, Fault>,
    at: DateTime<Utc>,
) -> Result<Computed> {
    let mut recorder = Recorder { ids: &*inputs.ids, run: Some(inputs.run), at, recorded: Vec::new(), calls: 0 };
    let mut open = collect(inputs, plans, due_rows, refused);
    let shares = prorate(inputs, &mut recorder, &mut open)?;
    let (taxed, mut planned) = assess(inputs, &mut recorder, due_rows, &mut open, &shares)?;
    finish(inputs, &mut open, &taxed, &mut planned)?;
    let parked = open
        .iter()
        .filter_map(|contract| contract.fault.clone().map(|fault| Parked { contract: contract.contract, fault }))
        .collect();
    Ok(Computed {
        planned,
        parked,
        recorded: recorder.recorded,
        calls: recorder.calls,
        last: due_rows.last().map(|row| row.contract_id),
    })
}

/// Groups rows by contract and asks the domain what is due.
fn collect(inputs: &Inputs, plans: &Plans, due_rows: &[rows::DueRow], refused: &HashMap<Uuid, Fault>) -> Vec<Open> {
    let mut open: Vec<Open> = Vec::new();
    for (index, row) in due_rows.iter().enumerate() {
        if open.last().is_none_or(|last| last.contract != row.contract_id) {
            let (currency, broken) = match row.currency.parse::<Currency>() {
                Ok(currency) => (currency, None),
                Err(error) => (Currency::RUB, Some(fault("contract-invalid", error))),
            };
            open.push(Open {
                contract: row.contract_id,
                first: index,
                currency,
                renewals: Vec::new(),
                pins: Vec::new(),
                lines: Vec::new(),
                fault: broken.or_else(|| refused.get(&row.contract_id).cloned()),
            });
        }
        let Some(contract) = open.last_mut() else { continue };
        if contract.fault.is_none()
            && let Err(fault) = add_due(inputs, plans, row, contract)
        {
            contract.fault = Some(fault);
        }
    }
    for contract in &mut open {
        // Lines of one price mode stand together: each mode becomes a document of its own.
        contract.lines.sort_by_key(|(_, mode, ..)| *mode != PriceMode::Included);
        let bound = usize::try_from(inputs.bounds.max_lines_per_contract_day).unwrap_or(usize::MAX);
        if contract.fault.is_none() && contract.lines.len() > bound {
            let lines = contract.lines.len();
            contract.fault =
                Some(fault("safety-bound", format!("{lines} lines are due, more than the {bound} allowed a day")));
        }
        if contract.fault.is_some() {
            contract.lines.clear();
        }
    }
    open
}

fn add_due(inputs: &Inputs, plans: &Plans, row: &rows::DueRow, contract: &mut Open) -> std::result::Result<(), Fault> {
    let plan = plans
        .get(&row.plan_version_id)
        .ok_or_else(|| fault("plan-invalid", format!("{} has no components", PlanVersionId(row.plan_version_id))))?;
    let subscription = subscription_of(row).map_err(|error| fault("subscription-invalid", error))?;
    if plan.components.iter().any(|component| component.unit_price.currency != contract.currency) {
        return Err(fault(
            "currency-mismatch",
            format!("{} is sold in another currency than the contract's {}", subscription.id, contract.currency.code()),
        ));
    }
    let found = due(&subscription, plan, inputs.on, inputs.max_missed_periods)
        .map_err(|error| fault("subscription-invalid", error))?;
    if !found.is_complete(inputs.on) {
        return Err(fault(
            "safety-bound",
            format!(
                "{} missed more than {} periods; correct its next charge date",
                subscription.id, inputs.max_missed_periods
            ),
        ));
    }
    contract.pins.push(SubscriptionPin { subscription: subscription.id, version: row.version });
    contract.renewals.push(Renewal { subscription: row.id, version: row.version, next: found.next });
    contract
        .lines
        .extend(found.lines.into_iter().map(|line| (line, plan.price_mode, row.quantity.clone(), row.change_ordinal)));
    Ok(())
}

fn subscription_of(row: &rows::DueRow) -> std::result::Result<Subscription, String> {
    Ok(Subscription {
        id: SubscriptionId(row.id),
        contract: ContractId(row.contract_id),
        plan_version: PlanVersionId(row.plan_version_id),
        status: row.status.parse::<SubscriptionStatus>().map_err(|error| error.to_string())?,
        quantity: row.quantity.parse().map_err(|error| format!("quantity {}: {error}", row.quantity))?,
        discount: Discount {
            percent: row
                .discount_percent
                .parse()
                .map_err(|error| format!("discount {}: {error}", row.discount_percent))?,
            minor: row.discount_minor,
            from: row.discount_from,
            until: row.discount_until,
        },
        anchor_on: row.anchor_on,
        next_index: row.next_index,
        starts_on: row.starts_on,
        terms_from: row.terms_from.unwrap_or(row.starts_on),
        ends_on: row.ends_on,
        next_charge_on: row.next_charge_on,
        charges_left: row.charges_left.map(|left| u32::try_from(left).unwrap_or(0)),
        manual: false,
        version: row.version,
    })
}

struct Prorated {
    amount: Money,
    explanation: String,
    call: CallId,
}

/// Prices every line; the answers come in the order of all contracts' lines.
fn prorate(inputs: &Inputs, recorder: &mut Recorder<'_>, open: &mut [Open]) -> Result<Vec<Option<Prorated>>> {
    let mut questions = Vec::new();
    let mut owner = Vec::new();
    for (index, contract) in open.iter().enumerate() {
        for (line, ..) in &contract.lines {
            owner.push(index);
            questions.push(Question {
                line: questions.len().to_string(),
                price: line.price,
                period: line.period,
                used: line.used,
                current_day: CurrentDay::New,
                billed: Money::zero(line.price.currency),
                credited: Money::zero(line.price.currency),
            });
        }
    }
    let bound = &inputs.proration;
    let answers = ask(recorder, bound.binding, &questions, &|part: &[Question]| {
        inputs.runtime.prorate(&bound.plugin, &bound.context, part)
    })?;
    let mut shares = Vec::with_capacity(answers.len());
    for ((answer, question), owner) in answers.into_iter().zip(&questions).zip(owner) {
        let checked = answer.and_then(|(share, call)| match proration::check(question, &share) {
            Ok(()) => Ok(Prorated { amount: share.used, explanation: share.explanation, call }),
            Err(violation) => {
                Err(Fault { code: "proration-refused".to_owned(), reason: violation.to_string(), call: Some(call) })
            }
        });
        shares.push(match checked {
            Ok(share) => Some(share),
            Err(fault) => {
                open[owner].fault.get_or_insert(fault);
                None
            }
        });
    }
    Ok(shares)
}

/// Taxed lines by the index of the line among all contracts' lines.
type Taxed = HashMap<usize, (tax::LineTax, CallId)>;

/// Taxes every document and lays out the plans; amounts come in [`finish`].
fn assess(
    inputs: &Inputs,
    recorder: &mut Recorder<'_>,
    due_rows: &[rows::DueRow],
    open: &mut [Open],
    shares: &[Option<Prorated>],
) -> Result<(Taxed, Vec<Planned>)> {
    let mut documents = Vec::new();
    let mut owner = Vec::new();
    let mut planned = Vec::with_capacity(open.len());
    let mut line_index = 0;
    for (index, contract) in open.iter_mut().enumerate() {
        let first_line = line_index;
        line_index += contract.lines.len();
        if contract.fault.is_some() {
            continue;
        }
        let row = &due_rows[contract.first];
        let Some(seller) = inputs.sellers.get(&row.seller_id) else {
            contract.fault = Some(fault("seller-invalid", format!("{} does not exist", SellerId(row.seller_id))));
            continue;
        };
        let mut plan = Planned {
            contract: contract.contract,
            contract_number: row.contract_number.clone(),
            seller: row.seller_id,
            funds_account: row.funds_account_id,
            currency: contract.currency,
            plan: ContractPlan {
                contract: ContractId(contract.contract),
                contract_version: row.contract_version,
                subscriptions: std::mem::take(&mut contract.pins),
                plugins: inputs.pins.clone(),
                issued_on: inputs.on,
                lines: Vec::with_capacity(contract.lines.len()),
                totals: Amounts::zero(contract.currency),
            },
            hash: [0; 32],
            invoices: Vec::new(),
            evidence: Vec::with_capacity(contract.lines.len()),
            renewals: std::mem::take(&mut contract.renewals),
        };
        let mut from = 0;
        while from < contract.lines.len() {
            let mode = contract.lines[from].1;
            let to = from + contract.lines[from..].iter().take_while(|line| line.1 == mode).count();
            documents.push(TaxDocument {
                id: documents.len().to_string(),
                seller: seller_party(seller),
                buyer: buyer_party(row),
                issued_on: inputs.on,
                advance: false,
                mode,
                lines: (from..to)
                    .filter_map(|line| {
                        let due_line = &contract.lines[line].0;
                        let share = shares[first_line + line].as_ref()?;
                        Some(TaxableLine {
                            id: (first_line + line).to_string(),
                            amount: share.amount,
                            supplied_on: last_day(due_line),
                            category: due_line.tax_category.clone(),
                            attributes: Vec::new(),
                        })
                    })
                    .collect(),
            });
            owner.push(index);
            plan.invoices.push(PlannedInvoice {
                id: InvoiceId(inputs.ids.next()),
                mode,
                lines: from..to,
                totals: Amounts::zero(contract.currency),
            });
            from = to;
        }
        for (line, (due_line, _, quantity, ordinal)) in contract.lines.iter().enumerate() {
            let Some(share) = &shares[first_line + line] else { continue };
            plan.plan.lines.push(PlanLine {
                subscription: due_line.subscription,
                component: due_line.component,
                product: due_line.product,
                period: due_line.period,
                used: due_line.used,
                charged_on: due_line.charged_on,
                realises_on: last_day(due_line),
                amount: share.amount,
                net: share.amount,
                tax: Money::zero(contract.currency),
                gross: share.amount,
                tax_code: String::new(),
                tax_rate: None,
                title: due_line.title.clone(),
                proration_explanation: share.explanation.clone(),
            });
            plan.evidence.push(LineEvidence {
                quantity: quantity.clone(),
                change_ordinal: *ordinal,
                proration_call: share.call,
                tax_call: share.call,
                call_line: i32::try_from(first_line + line).unwrap_or(i32::MAX),
            });
        }
        planned.push(plan);
    }
    let bound = &inputs.tax;
    let answers = ask(recorder, bound.binding, &documents, &|part: &[TaxDocument]| {
        inputs.runtime.assess(&bound.plugin, &bound.context, part)
    })?;
    let mut taxed = Taxed::with_capacity(line_index);
    for ((answer, document), owner) in answers.into_iter().zip(&documents).zip(owner) {
        let checked = answer.and_then(|(assessment, call)| match tax::check(document, &assessment) {
            Ok(()) => Ok((assessment, call)),
            Err(violation) => {
                Err(Fault { code: "tax-refused".to_owned(), reason: violation.to_string(), call: Some(call) })
            }
        });
        match checked {
            Ok((assessment, call)) => {
                for line in assessment.lines {
                    let index = line
                        .line
                        .parse()
                        .map_err(|_| ServiceError::Internal("a checked tax line has a foreign id".into()))?;
                    taxed.insert(index, (line, call));
                }
            }
            Err(fault) => {
                open[owner].fault.get_or_insert(fault);
            }
        }
    }
    Ok((taxed, planned))
}

/// The realisation date: the last day of service.
fn last_day(line: &DueLine) -> NaiveDate {
    line.used.end.pred_opt().unwrap_or(line.used.start)
}

/// Puts taxes and totals into the plans, applies the safety bounds and hashes; drops plans of parked contracts.
fn finish(inputs: &Inputs, open: &mut [Open], taxed: &Taxed, planned: &mut Vec<Planned>) -> Result<()> {
    let mut by_contract: BTreeMap<Uuid, usize> =
        open.iter().enumerate().map(|(index, contract)| (contract.contract, index)).collect();
    let mut failed = None;
    planned.retain_mut(|plan| {
        let Some(index) = by_contract.remove(&plan.contract) else { return false };
        if open[index].fault.is_some() {
            return false;
        }
        match complete(inputs, taxed, plan) {
            Ok(None) => true,
            Ok(Some(fault)) => {
                open[index].fault = Some(fault);
                false
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

fn complete(inputs: &Inputs, taxed: &Taxed, plan: &mut Planned) -> Result<Option<Fault>> {
    for (line, evidence) in plan.plan.lines.iter_mut().zip(&mut plan.evidence) {
        let index = usize::try_from(evidence.call_line).unwrap_or(usize::MAX);
        let Some((tax, call)) = taxed.get(&index) else {
            return Err(ServiceError::Internal("a line was not taxed".into()));
        };
        line.net = tax.net;
        line.tax = tax.tax;
        line.gross = tax.gross;
        line.tax_code.clone_from(&tax.code);
        line.tax_rate = tax.rate;
        evidence.tax_call = *call;
    }
    for invoice in &mut plan.invoices {
        match totals(plan.currency, plan.plan.lines[invoice.lines.clone()].iter().map(PlanLine::amounts)) {
            Ok(sum) => invoice.totals = sum,
            Err(error) => return Ok(Some(fault("totals-refused", error))),
        }
    }
    match totals(plan.currency, plan.invoices.iter().map(|invoice| invoice.totals)) {
        Ok(sum) => plan.plan.totals = sum,
        Err(error) => return Ok(Some(fault("totals-refused", error))),
    }
    if let Err(tripped) = check_bounds(&plan.plan, inputs.on, &inputs.bounds) {
        return Ok(Some(fault("safety-bound", tripped)));
    }
    plan.hash = plan_hash(&plan.plan);
    Ok(None)
}

pub(crate) fn tax_ids(inn: Option<&String>, kpp: Option<&String>) -> Vec<(String, String)> {
    let named = |name: &str, value: Option<&String>| value.map(|value| (name.to_owned(), value.clone()));
    named("inn", inn).into_iter().chain(named("kpp", kpp)).collect()
}

pub(crate) fn seller_party(seller: &rows::SellerRow) -> Party {
    Party {
        id: SellerId(seller.id).to_string(),
        kind: seller.kind.clone(),
        country: seller.country.clone(),
        tax_ids: tax_ids(seller.inn.as_ref(), seller.kpp.as_ref()),
        attributes: vec![("vat-regime".to_owned(), seller.vat_regime.clone())],
    }
}

fn buyer_party(row: &rows::DueRow) -> Party {
    Party {
        id: CustomerId(row.customer_id).to_string(),
        kind: row.customer_kind.clone(),
        country: row.customer_country.clone(),
        tax_ids: tax_ids(row.customer_inn.as_ref(), row.customer_kpp.as_ref()),
        attributes: Vec::new(),
    }
}

/// Plan versions from their rows.
pub(crate) fn plan_versions(rows: Vec<rows::PlanComponentRow>) -> Result<Vec<(Uuid, Arc<PlanVersion>)>> {
    let corrupt = |column: &'static str, text: String| ServiceError::from(StoreError::Corrupt(column, text));
    let mut found: Vec<(Uuid, PlanVersion)> = Vec::new();
    for row in rows {
        let currency: Currency =
            row.currency.parse().map_err(|_| corrupt("plan_versions.currency", row.currency.clone()))?;
        if found.last().is_none_or(|(id, _)| *id != row.plan_version_id) {
            let version = PlanVersion {
                id: PlanVersionId(row.plan_version_id),
                cadence: row
                    .cadence
                    .parse::<Cadence>()
                    .map_err(|_| corrupt("plan_versions.cadence", row.cadence.clone()))?,
                price_mode: row
                    .price_mode
                    .parse::<PriceMode>()
                    .map_err(|_| corrupt("plan_versions.price_mode", row.price_mode.clone()))?,
                billing_day: row
                    .billing_day
                    .parse::<BillingDay>()
                    .map_err(|_| corrupt("plan_versions.billing_day", row.billing_day.clone()))?,
                stub: row.stub.parse::<StubPolicy>().map_err(|_| corrupt("plan_versions.stub", row.stub.clone()))?,
                components: Vec::new(),
            };
            found.push((row.plan_version_id, version));
        }
        let component = Component {
            id: ComponentId(row.id),
            code: row.code,
            title: row.title,
            kind: ComponentKind::Recurring,
            unit_price: Money::new(row.unit_price_minor, currency),
            tax_category: row.tax_category,
            product: ProductId(row.product_id),
        };
        if let Some((_, version)) = found.last_mut() {
            version.components.push(component);
        }
    }
    Ok(found.into_iter().map(|(id, version)| (id, Arc::new(version))).collect())
}
