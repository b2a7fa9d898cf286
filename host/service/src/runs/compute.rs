//! Computing: due subscriptions and charges to realise become one plan per contract.
//!
//! Pure but for the plugins it asks: it reads no database and no clock. Every answer of a plugin is checked by the
//! domain before it counts; what fails parks the contract it belongs to and nobody else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use altyn_domain::{
    catalogue::{ComponentKind, PlanVersion},
    charge::{ChargeKind, Creditable},
    id::{
        CallId, ChargeId, ContractId, InvoiceId, OrderId, PlanVersionId, ProductId, RunId, SellerId, SubscriptionId,
        TenantId,
    },
    invoice::{Amounts, totals},
    money::{Currency, Money},
    price_override::PriceOverride,
    proration::{self, CurrentDay, Question},
    run::{
        ContractPlan, Digest, LineUsage, PlanLine, PlanOrder, PlanRealisation, PluginPin, SafetyBounds,
        SubscriptionPin, check_bounds, plan_hash,
    },
    subscription::{Discount, DueLine, Renewed, Subscription, SubscriptionStatus, due},
    tax::{self, Party, PriceMode, TaxDocument, TaxableLine},
};
use altyn_runtime::{Runtime, World};
use altyn_store::{
    orders::ReservedRow,
    runs as rows,
    usage_windows::{Billed, NewWindow},
};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

pub(crate) use super::sold::plan_versions;
use super::{
    ask::{Fault, Recorder, ask_each},
    fallen::GivenBack,
    follow::Follow,
    metered::{self, Bill, Opening, UsageDue},
    parties::{buyer_party, party, seller_party},
    post,
    read::Chunk,
    short_funds::{self, Gate, Gated, Withheld},
};
use crate::{
    canary::outcomes::Outcomes,
    error::{Result, ServiceError},
    evidence::Recorded,
    plugins::Bound,
    ports::Ids,
    stays::{Choice, Left, Subject},
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
        let sellers = sellers.into_iter().map(|seller| (seller.id, seller)).collect();
        Self { tenant, run, on, proration, tax, numbering, bounds, max_missed_periods, ids, runtime, sellers }
    }

    /// What decides for the lines of a contract. The numbering plugin is no input of a plan: numbers are given when a plan is
    /// executed.
    fn pins(&self, contract: &Open, left: &Left) -> Vec<PluginPin> {
        let mut pins = Vec::with_capacity(2);
        for (world, bound) in [(World::ProrationStrategy, &self.proration), (World::TaxRule, &self.tax)] {
            pins.extend(pins_of(world, bound, contract.contract, contract.subjects(), left));
        }
        pins
    }
}

/// What decides for some subscriptions of a contract: one component, unless some of them stay on a former one.
pub(crate) fn pins_of(
    world: World,
    bound: &Bound,
    contract: Uuid,
    subjects: impl Iterator<Item = Subject>,
    left: &Left,
) -> Vec<PluginPin> {
    let pin = |deciding: &Bound| PluginPin {
        world,
        component: Digest(deciding.plugin.digest().0),
        config: Digest(deciding.config_digest),
    };
    if bound.is_alone() {
        return vec![pin(bound)];
    }
    let mut choices: BTreeSet<Choice> = subjects.map(|subject| bound.choice(&subject, left)).collect();
    if choices.is_empty() {
        choices.insert(bound.choice_of_contract(contract));
    }
    choices.into_iter().map(|choice| pin(bound.chosen(choice))).collect()
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
    /// None for what is never prorated.
    pub proration_call: Option<CallId>,
    pub tax_call: Option<CallId>,
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
    /// The subscriptions that go over to a later version of their plan.
    pub follows: Vec<Follow>,
    /// Sums of what is realised.
    pub realised: Amounts,
    /// What becomes of the usage windows that are billed.
    pub billed: Vec<Billed>,
    /// The usage windows that charged periods open.
    pub windows: Vec<NewWindow>,
    /// What was decided for want of money.
    pub gated: Gated,
    /// The paid orders that are charged; before anything is held back, those of all subscriptions that are due.
    pub reserved: Vec<ReservedRow>,
    /// What is given back of use that fell.
    pub credits: Vec<GivenBack>,
}

impl Planned {
    /// Whether anything but use is charged of a subscription.
    pub fn charges(&self, subscription: Uuid) -> bool {
        self.plan.lines.iter().any(|line| line.subscription.0 == subscription && line.kind != ChargeKind::Usage)
    }
}

/// A computed chunk.
#[derive(Default)]
pub(super) struct Computed {
    pub planned: Vec<Planned>,
    pub parked: Vec<Parked>,
    pub recorded: Vec<Recorded>,
    pub calls: i64,
    /// Periods of contracts that have nothing but periods that wait for money.
    pub withheld: Vec<Withheld>,
    /// What was asked of components on trial.
    pub outcomes: Outcomes,
    /// The last contract of the chunk.
    pub last: Option<Uuid>,
}

/// What a plan needs to know of its contract.
struct Facts {
    version: i64,
    number: String,
    seller: Uuid,
    funds_account: Uuid,
}

/// A line that fell due, with what its component and its subscription add.
pub(super) struct OpenLine {
    pub due: DueLine,
    /// When the subscription was created.
    pub started_at: DateTime<Utc>,
    pub mode: PriceMode,
    pub quantity: String,
    /// How many changes of the subscription were executed before; below zero for use that came late.
    pub change_ordinal: i32,
    pub kind: ChargeKind,
    pub prepayment_percent: u8,
    /// What was used and how its price came about; for usage.
    pub usage: Option<(LineUsage, String)>,
}

struct Open {
    contract: Uuid,
    facts: Facts,
    /// Who buys; none when there is only something to realise.
    buyer: Option<Party>,
    currency: Currency,
    renewals: Vec<Renewal>,
    follows: Vec<Follow>,
    pins: Vec<SubscriptionPin>,
    lines: Vec<OpenLine>,
    realisations: Vec<PlanRealisation>,
    billed: Vec<Billed>,
    windows: Vec<NewWindow>,
    gated: Gated,
    reserved: Vec<ReservedRow>,
    credits: Vec<GivenBack>,
    fault: Option<Fault>,
}

impl Open {
    /// The subscription of a line.
    fn subject(&self, line: &OpenLine) -> Subject {
        Subject { contract: self.contract, subscription: line.due.subscription.0, started_at: line.started_at }
    }

    /// The subscriptions of its lines.
    fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.lines.iter().map(|line| self.subject(line))
    }

    fn new(contract: Uuid, facts: Facts, buyer: Option<Party>, currency: &str, refused: &HashMap<Uuid, Fault>) -> Self {
        let (currency, broken) = match currency.parse::<Currency>() {
            Ok(currency) => (currency, None),
            Err(error) => (Currency::RUB, Some(fault("contract-invalid", error))),
        };
        Self {
            contract,
            facts,
            buyer,
            currency,
            renewals: Vec::new(),
            follows: Vec::new(),
            pins: Vec::new(),
            lines: Vec::new(),
            realisations: Vec::new(),
            billed: Vec::new(),
            windows: Vec::new(),
            gated: Gated::default(),
            reserved: Vec::new(),
            credits: Vec::new(),
            fault: broken.or_else(|| refused.get(&contract).cloned()),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over errors and formatted texts")]
fn fault(code: &str, reason: impl ToString) -> Fault {
    Fault { code: code.to_owned(), reason: reason.to_string(), call: None }
}

/// Computes the plans of a chunk, whose rows come in contract order.
pub(super) fn compute(
    inputs: &Inputs,
    plans: &Plans,
    chunk: &Chunk,
    refused: &HashMap<Uuid, Fault>,
    at: DateTime<Utc>,
) -> Result<Computed> {
    let mut recorder = Recorder::new(&*inputs.ids, &inputs.runtime, Some(inputs.run), at);
    let mut open = collect(inputs, plans, chunk, refused);
    let shares = prorate(inputs, &mut recorder, &mut open, &chunk.left)?;
    let (taxed, mut planned) = assess(inputs, &mut recorder, &mut open, &shares, &chunk.left)?;
    finish(inputs, &mut open, &taxed, &mut planned)?;
    let (planned, waiting): (Vec<Planned>, Vec<Planned>) = planned.into_iter().partition(short_funds::has_effect);
    let parked = open
        .iter()
        .filter_map(|contract| contract.fault.clone().map(|fault| Parked { contract: contract.contract, fault }))
        .collect();
    Ok(Computed {
        planned,
        parked,
        recorded: recorder.recorded,
        calls: recorder.calls,
        withheld: waiting.iter().flat_map(short_funds::withheld).collect(),
        outcomes: recorder.outcomes,
        last: open.last().map(|contract| contract.contract),
    })
}

/// Groups rows by contract and asks the domain what is due and what is left to realise.
fn collect(inputs: &Inputs, plans: &Plans, chunk: &Chunk, refused: &HashMap<Uuid, Fault>) -> Vec<Open> {
    let mut open: Vec<Open> = Vec::new();
    for row in &chunk.due {
        if open.last().is_none_or(|last| last.contract != row.contract_id) {
            let facts = Facts {
                version: row.contract_version,
                number: row.contract_number.clone(),
                seller: row.seller_id,
                funds_account: row.funds_account_id,
            };
            open.push(Open::new(row.contract_id, facts, Some(buyer_party(row)), &row.currency, refused));
        }
        let Some(contract) = open.last_mut() else { continue };
        if contract.fault.is_none()
            && let Err(fault) = add_due(inputs, plans, row, chunk, contract)
        {
            contract.fault = Some(fault);
        }
        contract.reserved.extend(chunk.reserved.get(&row.id).cloned());
    }
    collect_usage(inputs, plans, &mut open, &chunk.usage, refused);
    for contract in &mut open {
        // Lines of one price mode stand together: each mode becomes a document of its own.
        contract.lines.sort_by_key(|line| line.mode != PriceMode::Included);
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
    collect_realisable(&mut open, &chunk.realisable, refused);
    open
}

/// Adds use that is to be billed to the contracts, which stay in order.
fn collect_usage(
    inputs: &Inputs,
    plans: &Plans,
    open: &mut Vec<Open>,
    usage: &[UsageDue],
    refused: &HashMap<Uuid, Fault>,
) {
    for due in usage {
        let (row, window) = (&due.row, &due.row.window);
        let place =
            open.binary_search_by_key(&window.contract_id, |contract| contract.contract).unwrap_or_else(|place| {
                let facts = Facts {
                    version: row.contract_version,
                    number: row.contract_number.clone(),
                    seller: row.seller_id,
                    funds_account: row.funds_account_id,
                };
                let buyer = party(
                    (row.customer_id, &row.customer_kind, &row.customer_country),
                    (row.customer_inn.as_ref(), row.customer_kpp.as_ref()),
                );
                open.insert(place, Open::new(window.contract_id, facts, Some(buyer), &row.currency, refused));
                place
            });
        let contract = &mut open[place];
        if contract.fault.is_some() {
            continue;
        }
        let billed = plans
            .get(&window.plan_version_id)
            .ok_or_else(|| {
                fault("plan-invalid", format!("{} has no components", PlanVersionId(window.plan_version_id)))
            })
            .and_then(|plan| metered::bill(inputs, due, plan, contract.currency));
        match billed {
            Ok((bill, billed)) => {
                match bill {
                    Bill::Nothing => {}
                    Bill::More(line) => contract.lines.push(*line),
                    Bill::Less(given_back) => contract.credits.extend(given_back),
                }
                contract.billed.push(billed);
            }
            Err(fault) => contract.fault = Some(fault),
        }
    }
}

/// Adds what is to be realised to the contracts, which stay in order.
fn collect_realisable(open: &mut Vec<Open>, realisable: &[rows::RealisableRow], refused: &HashMap<Uuid, Fault>) {
    let with_due = open.len();
    for row in realisable {
        let found = open[..with_due].binary_search_by_key(&row.contract_id, |contract| contract.contract);
        let place = found.unwrap_or_else(|_| {
            if open.len() == with_due || open[open.len() - 1].contract != row.contract_id {
                let facts = Facts {
                    version: row.contract_version,
                    number: row.contract_number.clone(),
                    seller: row.seller_id,
                    funds_account: row.funds_account_id,
                };
                open.push(Open::new(row.contract_id, facts, None, &row.currency, refused));
            }
            open.len() - 1
        });
        let contract = &mut open[place];
        match realisation(row, contract.currency) {
            Ok(realisation) => contract.realisations.push(realisation),
            Err(error) => {
                contract.fault.get_or_insert_with(|| {
                    fault("charge-invalid", format!("{} cannot be realised: {error}", ChargeId(row.id)))
                });
            }
        }
    }
    open.sort_by_key(|contract| contract.contract);
}

fn realisation(
    row: &rows::RealisableRow,
    currency: Currency,
) -> std::result::Result<PlanRealisation, altyn_domain::money::MoneyError> {
    let money = |minor| Money::new(minor, currency);
    let (credited, credited_tax) = (money(row.credited_minor), money(row.credited_tax_minor));
    let charge = Creditable {
        charged: Amounts { net: money(row.net_minor), tax: money(row.tax_minor), gross: money(row.gross_minor) },
        credited: Amounts { net: credited.sub(credited_tax)?, tax: credited_tax, gross: credited },
        prepaid: money(row.prepaid_minor.unwrap_or(row.gross_minor)),
        realised: false,
    };
    let left = charge.left()?;
    Ok(PlanRealisation {
        charge: Some(ChargeId(row.id)),
        product: ProductId(row.product_id),
        tax_code: row.tax_code.clone(),
        realises_on: row.realises_on,
        net: left.net,
        tax: left.tax,
        gross: left.gross,
        prepaid: charge.held()?,
        credited,
    })
}

/// Adds what is due of a subscription of a chunk.
fn add_due(
    inputs: &Inputs,
    plans: &Plans,
    row: &rows::DueRow,
    chunk: &Chunk,
    contract: &mut Open,
) -> std::result::Result<(), Fault> {
    let plan = plans
        .get(&row.plan_version_id)
        .ok_or_else(|| fault("plan-invalid", format!("{} has no components", PlanVersionId(row.plan_version_id))))?;
    let overrides = chunk.prices.of(row.contract_id, row.id);
    let subscription = subscription_of(row, overrides).map_err(|error| fault("subscription-invalid", error))?;
    if plan.components.iter().any(|component| component.unit_price.currency != contract.currency) {
        return Err(fault(
            "currency-mismatch",
            format!("{} is sold in another currency than the contract's {}", subscription.id, contract.currency.code()),
        ));
    }
    let invalid = |reason: String| fault("subscription-invalid", reason);
    let mut gate = match chunk.funds.get(&row.contract_id).copied() {
        Some(available_minor) => {
            contract.gated.available_minor = available_minor;
            Gate::of(row, subscription.clone(), plan, inputs.on).map_err(invalid)?
        }
        None => None,
    };
    let asked = gate.as_ref().map_or(&subscription, Gate::subscription);
    let found = due(asked, plan, inputs.on, inputs.max_missed_periods).map_err(|error| invalid(error.to_string()))?;
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
    if let Some(mut gate) = gate.take() {
        gate.take_in(&found);
        contract.gated.gates.push(gate);
    } else {
        contract.renewals.push(Renewal { subscription: row.id, version: row.version, next: found.next });
        contract.follows.extend(Follow::of(&subscription, row.change_ordinal, plan, &found.moves));
    }
    let mut moves = found.moves.iter().peekable();
    let (mut present, mut change_ordinal) = (&**plan, row.change_ordinal);
    for (place, line) in found.lines.into_iter().enumerate() {
        while let Some(moved) = moves.next_if(|moved| moved.lines_before <= place) {
            present = plan.version(moved.to).ok_or_else(|| fault("plan-invalid", format!("{} is gone", moved.to)))?;
            change_ordinal += 1;
        }
        let component = &present.components[line.component_index];
        let due = match component.kind {
            ComponentKind::Recurring | ComponentKind::SetUp | ComponentKind::OneOff => line,
            ComponentKind::Metered => {
                let discount = Some(subscription.discount).filter(|discount| discount.holds_on(line.charged_on));
                let opening = Opening {
                    contract: row.contract_id,
                    plan_version: present.id.0,
                    line: &line,
                    component,
                    change_ordinal,
                    quantity: row.quantity.clone(),
                    discount_percent: discount.unwrap_or_default().percent,
                };
                contract.windows.extend(opening.window(inputs.ids.next()));
                continue;
            }
        };
        contract.lines.push(OpenLine {
            due,
            started_at: row.created_at,
            mode: present.price_mode,
            quantity: row.quantity.clone(),
            change_ordinal,
            kind: component.kind.charge_kind(),
            prepayment_percent: component.prepayment_percent,
            usage: None,
        });
    }
    Ok(())
}

fn subscription_of(row: &rows::DueRow, overrides: Vec<PriceOverride>) -> std::result::Result<Subscription, String> {
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
        once_due: row.once_due != 0,
        manual: false,
        overrides,
        version: row.version,
    })
}

struct Prorated {
    amount: Money,
    explanation: String,
    call: Option<CallId>,
}

/// How the amount of what is charged once came about.
pub(crate) const CHARGED_ONCE: &str = "charged once, never prorated";

/// Prices every line; the answers come in the order of all contracts' lines. What is charged once has its full price.
fn prorate(
    inputs: &Inputs,
    recorder: &mut Recorder<'_>,
    open: &mut [Open],
    left: &Left,
) -> Result<Vec<Option<Prorated>>> {
    let bound = &inputs.proration;
    let mut questions = Vec::new();
    let mut asked = Vec::new();
    let mut shares = Vec::new();
    for (index, contract) in open.iter().enumerate() {
        for line in &contract.lines {
            let place = shares.len();
            if line.kind != ChargeKind::Recurring {
                let explanation =
                    line.usage.as_ref().map_or_else(|| CHARGED_ONCE.to_owned(), |(_, explanation)| explanation.clone());
                shares.push(Some(Prorated { amount: line.due.price, explanation, call: None }));
                continue;
            }
            shares.push(None);
            asked.push((index, place, bound.choice(&contract.subject(line), left)));
            questions.push(Question {
                line: place.to_string(),
                price: line.due.price,
                period: line.due.period,
                used: line.due.used,
                current_day: CurrentDay::New,
                billed: Money::zero(line.due.price.currency),
                credited: Money::zero(line.due.price.currency),
            });
        }
    }
    let choice = |question: usize| asked[question].2;
    let answers = ask_each(recorder, bound, &questions, &choice, &|of, part: &[Question]| {
        inputs.runtime.prorate(&of.plugin, &of.context, part)
    })?;
    for ((answer, question), (owner, place, choice)) in answers.into_iter().zip(&questions).zip(asked) {
        let checked = answer.and_then(|(share, call)| match proration::check(question, &share) {
            Ok(()) => Ok(Prorated { amount: share.used, explanation: share.explanation, call: Some(call) }),
            Err(violation) => {
                Err(Fault { code: "proration-refused".to_owned(), reason: violation.to_string(), call: Some(call) })
            }
        });
        recorder.outcomes.note(bound, choice, checked.is_err());
        match checked {
            Ok(share) => shares[place] = Some(share),
            Err(fault) => {
                open[owner].fault.get_or_insert(fault);
            }
        }
    }
    Ok(shares)
}

/// Taxed lines by the index of the line among all contracts' lines.
type Taxed = HashMap<usize, (tax::LineTax, CallId)>;

/// Taxes every document and lays out the plans; amounts come in [`finish`].
fn assess(
    inputs: &Inputs,
    recorder: &mut Recorder<'_>,
    open: &mut [Open],
    shares: &[Option<Prorated>],
    left: &Left,
) -> Result<(Taxed, Vec<Planned>)> {
    let bound = &inputs.tax;
    let mut documents = Vec::new();
    // The contract and the component of each document.
    let mut owner = Vec::new();
    let mut planned = Vec::with_capacity(open.len());
    let mut line_index = 0;
    for (index, contract) in open.iter_mut().enumerate() {
        let first_line = line_index;
        line_index += contract.lines.len();
        if contract.fault.is_some() {
            continue;
        }
        let facts = &contract.facts;
        let parties = contract.buyer.take().map(|buyer| (inputs.sellers.get(&facts.seller), buyer));
        if let Some((None, _)) = parties {
            contract.fault = Some(fault("seller-invalid", format!("{} does not exist", SellerId(facts.seller))));
            continue;
        }
        let mut plan = Planned {
            contract: contract.contract,
            contract_number: facts.number.clone(),
            seller: facts.seller,
            funds_account: facts.funds_account,
            currency: contract.currency,
            plan: ContractPlan {
                contract: ContractId(contract.contract),
                contract_version: facts.version,
                subscriptions: std::mem::take(&mut contract.pins),
                // Realising asks no plugin: its taxes were decided with the invoice.
                plugins: if parties.is_some() { inputs.pins(contract, left) } else { Vec::new() },
                issued_on: inputs.on,
                lines: Vec::with_capacity(contract.lines.len()),
                totals: Amounts::zero(contract.currency),
                realisations: std::mem::take(&mut contract.realisations),
                withheld: Vec::new(),
                moves: Vec::new(),
                orders: Vec::new(),
                credits: contract.credits.iter().map(|given| given.told.clone()).collect(),
            },
            hash: [0; 32],
            invoices: Vec::new(),
            evidence: Vec::with_capacity(contract.lines.len()),
            renewals: std::mem::take(&mut contract.renewals),
            follows: std::mem::take(&mut contract.follows),
            realised: Amounts::zero(contract.currency),
            billed: std::mem::take(&mut contract.billed),
            windows: std::mem::take(&mut contract.windows),
            gated: std::mem::take(&mut contract.gated),
            reserved: std::mem::take(&mut contract.reserved),
            credits: std::mem::take(&mut contract.credits),
        };
        let mut from = 0;
        while let (true, Some((Some(seller), buyer))) = (from < contract.lines.len(), &parties) {
            let mode = contract.lines[from].mode;
            let to = from + contract.lines[from..].iter().take_while(|line| line.mode == mode).count();
            for (choice, lines) in parts(bound, contract, from..to, left) {
                documents.push(TaxDocument {
                    id: documents.len().to_string(),
                    seller: seller_party(seller),
                    buyer: buyer.clone(),
                    issued_on: inputs.on,
                    advance: false,
                    mode,
                    lines: lines
                        .filter_map(|line| {
                            let due_line = &contract.lines[line].due;
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
                owner.push((index, choice));
            }
            plan.invoices.push(PlannedInvoice {
                id: InvoiceId(inputs.ids.next()),
                mode,
                lines: from..to,
                totals: Amounts::zero(contract.currency),
            });
            from = to;
        }
        for (line, open_line) in contract.lines.iter().enumerate() {
            let Some(share) = &shares[first_line + line] else { continue };
            let due_line = &open_line.due;
            plan.plan.lines.push(PlanLine {
                subscription: due_line.subscription,
                component: due_line.component,
                product: due_line.product,
                kind: open_line.kind,
                prepayment_percent: open_line.prepayment_percent,
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
                usage: open_line.usage.as_ref().map(|(usage, _)| usage.clone()),
            });
            plan.evidence.push(LineEvidence {
                quantity: open_line.quantity.clone(),
                change_ordinal: open_line.change_ordinal,
                proration_call: share.call,
                tax_call: None,
                call_line: i32::try_from(first_line + line).unwrap_or(i32::MAX),
            });
        }
        planned.push(plan);
    }
    let choice = |document: usize| owner[document].1;
    let answers = ask_each(recorder, bound, &documents, &choice, &|of, part: &[TaxDocument]| {
        inputs.runtime.assess(&of.plugin, &of.context, part)
    })?;
    let mut taxed = Taxed::with_capacity(line_index);
    for ((answer, document), (owner, choice)) in answers.into_iter().zip(&documents).zip(owner) {
        let checked = answer.and_then(|(assessment, call)| match tax::check(document, &assessment) {
            Ok(()) => Ok((assessment, call)),
            Err(violation) => {
                Err(Fault { code: "tax-refused".to_owned(), reason: violation.to_string(), call: Some(call) })
            }
        });
        recorder.outcomes.note(bound, choice, checked.is_err());
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

/// The lines of a document by the component that taxes them: all of them, unless some are of subscriptions that stay on a
/// former one. Each component is asked about its own lines.
fn parts(
    bound: &Bound,
    contract: &Open,
    lines: Range<usize>,
    left: &Left,
) -> impl Iterator<Item = (Choice, std::vec::IntoIter<usize>)> {
    let mut parts: BTreeMap<Choice, Vec<usize>> = BTreeMap::new();
    if bound.is_alone() {
        parts.insert(Choice::Present, lines.collect());
    } else {
        for line in lines {
            parts.entry(bound.choice(&contract.subject(&contract.lines[line]), left)).or_default().push(line);
        }
    }
    parts.into_iter().map(|(choice, lines)| (choice, lines.into_iter()))
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
        evidence.tax_call = Some(*call);
    }
    if let Err(reason) = short_funds::hold_back(inputs, plan) {
        return Ok(Some(fault("subscription-invalid", reason)));
    }
    plan.plan.moves = plan.follows.iter().flat_map(Follow::told).collect();
    use_orders(plan);
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
    if let Err(error) = realise_lines(inputs, plan) {
        return Ok(Some(fault("totals-refused", error)));
    }
    match plan.plan.realised() {
        Ok(sum) => plan.realised = sum,
        Err(error) => return Ok(Some(fault("totals-refused", error))),
    }
    // Checked here, where it parks one contract; later it would stop the run.
    if let Err(error) = post::realised(inputs, plan) {
        return Ok(Some(fault("posting-refused", error)));
    }
    if let Err(tripped) = check_bounds(&plan.plan, inputs.on, &inputs.bounds) {
        return Ok(Some(fault("safety-bound", tripped)));
    }
    plan.hash = plan_hash(&plan.plan);
    Ok(None)
}

/// Keeps the paid orders whose first period is charged, and tells of them in the plan.
fn use_orders(plan: &mut Planned) {
    if plan.reserved.is_empty() {
        return;
    }
    let mut reserved = std::mem::take(&mut plan.reserved);
    reserved.retain(|order| plan.charges(order.subscription_id));
    let told = |order: &ReservedRow| PlanOrder {
        order: OrderId(order.id),
        subscription: SubscriptionId(order.subscription_id),
        reserved: Money::new(order.amount_minor, plan.currency),
    };
    plan.plan.orders = reserved.iter().map(told).collect();
    plan.reserved = reserved;
}

/// Lines whose service is over by the day, as when a day is closed late, are realised with it.
fn realise_lines(inputs: &Inputs, plan: &mut Planned) -> std::result::Result<(), altyn_domain::money::MoneyError> {
    for line in plan.plan.lines.iter().filter(|line| line.realises_on <= inputs.on) {
        plan.plan.realisations.push(PlanRealisation {
            charge: None,
            product: line.product,
            tax_code: line.tax_code.clone(),
            realises_on: line.realises_on,
            net: line.net,
            tax: line.tax,
            gross: line.gross,
            prepaid: line.prepaid()?,
            credited: Money::zero(plan.currency),
        });
    }
    Ok(())
}
