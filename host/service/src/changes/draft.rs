//! Drafting a change: what was decided is laid out with every effect, and the plugins are asked what it costs. Writes nothing.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use altyn_domain::{
    calendar::{Cadence, boundary, instant_of},
    catalogue::ComponentKind,
    change::{Ask, ChangeKind, Terms},
    charge::{ChargeKind, CreditAmount, prepaid_part},
    id::{CallId, ChangeId, ChargeId, ComponentId, ContractId, CustomerId, Id as _, SubscriptionId, TenantId},
    invoice::{Amounts, totals},
    ledger::{About, AccountCode, Transaction, charge_due},
    money::{Currency, Money},
    proration::{self, CurrentDay, Question, Share},
    run::PluginPin,
    subscription::DueLine,
    tax::{self, Party, PriceMode, TaxDocument, TaxableLine},
};
use altyn_runtime::World;
use altyn_store::{Tx, changes as rows, orders::OrderRow, runs};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    command::ChangeSubscription,
    decide::{Item, Loaded, Scheduled, internal},
    view::{
        ChangeEffects, ChangePreview, CreditEffect, LineEffect, PostingEffect, SkippedRenewal, SubscriptionEffect,
        TermsView, differences,
    },
};
use crate::{
    canary::outcomes::Outcomes,
    context::{Altyn, Request},
    credits::{ChargeCredit, PlannedCredit, credits_plan},
    error::{Fields, Result, ServiceError, stored},
    evidence::{Recorded, sha256},
    metering::kept::{Counted, keep_use},
    orders::money::releasing,
    plugins::{Bound, REFUSED, blocking},
    runs::{
        ask::{Fault, Recorder, ask_each},
        compute::{CHARGED_ONCE, pins_of},
        metered::zones,
        parties::{seller_party, tax_ids},
    },
    stays::{Choice, Left, Subject},
};

/// A line that is charged, priced and taxed.
pub(super) struct Line {
    pub item: usize,
    pub due: DueLine,
    pub kind: ChargeKind,
    pub quantity: String,
    pub prepayment_percent: u8,
    pub amount: Money,
    pub amounts: Amounts,
    pub tax_code: String,
    pub tax_rate: Option<Decimal>,
    pub explanation: String,
    /// None for what is charged once, which is never prorated.
    pub proration_call: Option<CallId>,
    pub tax_call: CallId,
    mode: PriceMode,
}

/// A document: lines of one price mode.
pub(super) struct Document {
    pub mode: PriceMode,
    pub lines: Range<usize>,
    pub totals: Amounts,
}

/// A part of a charge that is given back, with how it came about.
pub(super) struct Credit {
    pub item: usize,
    pub wanted: ChargeCredit,
    /// Until when the charge covered, and covers now.
    pub cover: (NaiveDate, NaiveDate),
    pub component: ComponentId,
    pub explanation: String,
}

/// Everything that a change does, decided and not saved.
pub(super) struct Draft {
    pub tenant: TenantId,
    pub contract: rows::ContractFactsRow,
    pub currency: Currency,
    pub issued_on: NaiveDate,
    pub deferred: bool,
    /// Whether a run makes a change that waited for its day.
    scheduled: bool,
    pub items: Vec<Item>,
    /// What a renewal of all leaves out.
    pub skipped: Vec<SkippedRenewal>,
    pub lines: Vec<Line>,
    pub documents: Vec<Document>,
    pub credits: Vec<Credit>,
    /// The orders that it ends: by charging the first period, or by ending the subscription.
    pub orders: Vec<OrderRow>,
    pub recorded: Vec<Recorded>,
    /// The canaries by whose word it was decided; it is saved under no other.
    pub trials: Outcomes,
    planned: Vec<PlannedCredit>,
    pins: Vec<PluginPin>,
    /// What plugins are told: the instant, the zone and the locale.
    pub told: (DateTime<Utc>, String, String),
}

impl Altyn {
    /// Drafts one change that somebody wishes now.
    pub(super) async fn draft_of(
        &self,
        request: &Request,
        id: SubscriptionId,
        command: &ChangeSubscription,
    ) -> Result<Draft> {
        let mut fields = Fields::default();
        command.check(&mut fields);
        fields.finish()?;
        self.draft(request, &[(id, command.clone())], None).await
    }

    /// Drafts a scheduled change on its day.
    pub(super) async fn draft_scheduled(
        &self,
        request: &Request,
        row: &rows::ChangeRow,
        command: &ChangeSubscription,
        business_on: NaiveDate,
    ) -> Result<Draft> {
        let timing = stored("subscription_changes.timing", &row.timing)?;
        let change = ChangeId(row.id);
        let scheduled = Scheduled { change, business_on, effective_on: row.effective_on, timing };
        let wish = (SubscriptionId(row.subscription_id), command.clone());
        self.draft(request, &[wish], Some(scheduled)).await
    }

    /// Drafts changes of subscriptions of one contract.
    pub(super) async fn draft(
        &self,
        request: &Request,
        wishes: &[(SubscriptionId, ChangeSubscription)],
        scheduled: Option<Scheduled>,
    ) -> Result<Draft> {
        let (loaded, covered) = self.load(request, wishes, scheduled, None).await?;
        self.drafted(request, loaded, &covered, scheduled).await
    }

    /// Drafts the renewal of subscriptions of one contract; those that cannot be renewed are left out with their reason.
    pub(super) async fn draft_renewals(&self, request: &Request, ids: Vec<SubscriptionId>) -> Result<Draft> {
        let nothing = |skipped: &[SkippedRenewal]| ServiceError::Conflict {
            code: "nothing-to-renew",
            message: "the contract has no subscription that can be renewed; there is nothing to do".to_owned(),
            details: skipped.iter().map(|one| format!("{}: {}", one.subscription_id, one.reason)).collect(),
        };
        let wishes: Vec<_> = ids.into_iter().map(|id| (id, ChangeSubscription::of(ChangeKind::Renew))).collect();
        if wishes.is_empty() {
            return Err(nothing(&[]));
        }
        let mut skipped = Vec::new();
        let (loaded, covered) = self.load(request, &wishes, None, Some(&mut skipped)).await?;
        if loaded.items.is_empty() {
            return Err(nothing(&skipped));
        }
        Ok(Draft { skipped, ..self.drafted(request, loaded, &covered, None).await? })
    }

    async fn drafted(
        &self,
        request: &Request,
        loaded: Loaded,
        covered: &HashMap<ChargeId, NaiveDate>,
        scheduled: Option<Scheduled>,
    ) -> Result<Draft> {
        let issued_on = scheduled.map_or(loaded.today, |scheduled| scheduled.business_on);
        let zone: chrono_tz::Tz = stored("tenants.zone", &loaded.zone)?;
        let day_after = issued_on.succ_opt().unwrap_or(issued_on);
        let told = (instant_of(day_after, NaiveTime::MIN, zone), loaded.zone.clone(), loaded.locale.clone());
        let deferred = loaded.items.iter().any(|item| item.effective_on > issued_on);
        let Loaded { contract, currency, seller, items, orders, .. } = loaded;
        let mut draft = Draft {
            tenant: request.tenant,
            contract,
            currency,
            issued_on,
            deferred,
            scheduled: scheduled.is_some(),
            items,
            skipped: Vec::new(),
            lines: Vec::new(),
            documents: Vec::new(),
            credits: Vec::new(),
            orders: Vec::new(),
            recorded: Vec::new(),
            trials: Outcomes::default(),
            planned: Vec::new(),
            pins: Vec::new(),
            told,
        };
        draft.lay_out(covered);
        draft.end_orders(orders);
        self.check_bounds(&draft)?;
        draft.keep_use(&mut self.read(request).await?).await?;
        let draft = Box::pin(self.price(draft, seller)).await?;
        self.plan_credits(request, draft).await
    }

    /// The binding that decides for a draft.
    pub(super) async fn bound_for(&self, draft: &Draft, world: World) -> Result<Bound> {
        let (now, zone, locale) = &draft.told;
        self.bound(draft.tenant, world, draft.issued_on, *now, zone, locale).await
    }

    /// The bounds that hold for runs hold for changes.
    fn check_bounds(&self, draft: &Draft) -> Result<()> {
        let most = usize::try_from(self.settings.max_lines_per_contract_day).unwrap_or(usize::MAX);
        if draft.lines.len() + draft.credits.len() > most {
            return Err(ServiceError::conflict(
                "safety-bound",
                format!("the change has more than the {most} lines allowed per contract and day"),
            ));
        }
        let months = i32::try_from(self.settings.max_months_ahead).map_err(internal)?;
        let latest = boundary(draft.issued_on, Cadence::Months(1), months).map_err(internal)?;
        match draft.lines.iter().find(|line| line.due.used.end > latest) {
            Some(line) => Err(ServiceError::conflict(
                "safety-bound",
                format!("{} would be charged up to {}, later than {latest}", line.due.title, line.due.used.end),
            )),
            None => Ok(()),
        }
    }

    /// Asks the proration and the tax plugin, and checks what they answer.
    async fn price(&self, draft: Draft, seller: runs::SellerRow) -> Result<Draft> {
        let shares = draft.lines.iter().any(|line| line.item < draft.items.len());
        let asked = draft
            .items
            .iter()
            .any(|item| item.decision.credits.iter().any(|credit| matches!(credit.ask, Ask::Share(_))));
        if !shares && !asked {
            return Ok(draft);
        }
        let (strategy, rule) = tokio::try_join!(
            Box::pin(self.bound_for(&draft, World::ProrationStrategy)),
            Box::pin(async { if shares { self.bound_for(&draft, World::TaxRule).await.map(Some) } else { Ok(None) } })
        )?;
        let bounds: Vec<&Bound> = [Some(&strategy), rule.as_ref()].into_iter().flatten().collect();
        let subscriptions = || draft.items.iter().map(|item| item.row.id).collect();
        let left = Box::pin(self.left(draft.tenant, &bounds, subscriptions)).await?;
        let (runtime, ids, at) = (self.plugins.runtime(), Arc::clone(&self.ids), self.clock.now());
        blocking(move || {
            let mut draft = draft;
            let mut recorder = Recorder::new(&*ids, &runtime, None, at);
            draft.pin(World::ProrationStrategy, &strategy, &left);
            draft.share(&mut recorder, &runtime, &strategy, &left)?;
            if let Some(rule) = &rule {
                draft.pin(World::TaxRule, rule, &left);
                draft.assess(&mut recorder, &runtime, rule, &left, &seller)?;
            }
            draft.recorded = recorder.recorded;
            Ok(draft)
        })
        .await?
    }

    /// Lets the charges say what giving parts of them back comes to.
    async fn plan_credits(&self, request: &Request, mut draft: Draft) -> Result<Draft> {
        if !draft.credits.is_empty() {
            let credits: Vec<ChargeCredit> = draft.credits.iter().map(|credit| credit.wanted.clone()).collect();
            let mut tx = self.read(request).await?;
            draft.planned = credits_plan(&mut tx, &*self.ids, draft.tenant, draft.issued_on, &credits).await?;
        }
        Ok(draft)
    }
}

/// A refusal by a component on trial is none for ever: what comes after the trial may answer.
pub(super) fn on_trial(choice: Choice, error: ServiceError) -> ServiceError {
    match error {
        ServiceError::Plugin { code: REFUSED, message } if choice == Choice::OnTrial => {
            ServiceError::Plugin { code: "canary-fault", message: format!("a component on trial decides: {message}") }
        }
        error => error,
    }
}

fn fault(fault: &Fault) -> ServiceError {
    ServiceError::Plugin { code: REFUSED, message: format!("{}: {}", fault.code, fault.reason) }
}

fn wrong(violation: &impl ToString) -> ServiceError {
    ServiceError::Plugin { code: REFUSED, message: violation.to_string() }
}

impl Draft {
    /// The latest day on which a part of it takes effect.
    pub(super) fn effective_on(&self) -> NaiveDate {
        self.items.iter().map(|item| item.effective_on).max().unwrap_or(self.issued_on)
    }

    /// Keeps the orders that end with the change: those whose subscription it charges or ends.
    fn end_orders(&mut self, orders: Vec<OrderRow>) {
        let mut ended: Vec<OrderRow> = orders
            .into_iter()
            .filter(|order| {
                let item = self.items.iter().position(|item| item.row.id == order.subscription_id);
                item.is_some_and(|index| {
                    let ends = self.items[index].decision.terms.status.is_final();
                    !self.deferred && (ends || self.lines.iter().any(|line| line.item == index))
                })
            })
            .collect();
        ended.sort_by_key(|order| order.id);
        self.orders = ended;
    }

    /// Whether an order ends because its first period is charged.
    pub(super) fn charges(&self, order: &OrderRow) -> bool {
        self.lines.iter().any(|line| line.due.subscription.uuid() == order.subscription_id)
    }

    /// What is free again because orders end.
    pub(super) fn released(&self) -> Result<Vec<Transaction>> {
        let why = |order| if self.charges(order) { "charged" } else { "cancelled" };
        let found = self.orders.iter().map(|order| releasing(order, self.issued_on, why(order)));
        Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Lays out lines and credits without amounts. Lines of one price mode stand together.
    fn lay_out(&mut self, covered: &HashMap<ChargeId, NaiveDate>) {
        let zero = Amounts::zero(self.currency);
        for (index, item) in self.items.iter().enumerate() {
            for due in &item.decision.lines {
                let component = &item.target.components[due.component_index];
                // Use is charged when its window ends.
                if component.kind == ComponentKind::Metered {
                    continue;
                }
                self.lines.push(Line {
                    item: index,
                    due: due.clone(),
                    kind: component.kind.charge_kind(),
                    quantity: item.decision.terms.quantity.normalize().to_string(),
                    prepayment_percent: component.prepayment_percent,
                    amount: Money::zero(self.currency),
                    amounts: zero,
                    tax_code: String::new(),
                    tax_rate: None,
                    explanation: String::new(),
                    proration_call: None,
                    tax_call: CallId(Uuid::nil()),
                    mode: item.target.price_mode,
                });
            }
            for credit in &item.decision.credits {
                let (explanation, amount) = match &credit.ask {
                    Ask::Whole => ("none of it was used".to_owned(), CreditAmount::Rest),
                    Ask::Share(_) => (String::new(), CreditAmount::Gross(Money::zero(self.currency))),
                };
                self.credits.push(Credit {
                    item: index,
                    wanted: ChargeCredit {
                        charge: credit.charge,
                        amount,
                        used: Some((credit.days.start, credit.days.end)),
                        reason: format!("{} on {}", item.decision.kind, item.decision.on),
                        change: Some(item.change.uuid()),
                    },
                    cover: (covered.get(&credit.charge).copied().unwrap_or(credit.before), credit.days.start),
                    component: credit.component,
                    explanation,
                });
            }
        }
        self.lines.sort_by_key(|line| line.mode != PriceMode::Included);
        let mut from = 0;
        while from < self.lines.len() {
            let mode = self.lines[from].mode;
            let to = from + self.lines[from..].iter().take_while(|line| line.mode == mode).count();
            self.documents.push(Document { mode, lines: from..to, totals: zero });
            from = to;
        }
    }

    /// Refuses to leave recorded use without a window.
    pub(super) async fn keep_use(&self, tx: &mut Tx) -> Result<()> {
        for item in &self.items {
            let counted: Vec<Counted> = item
                .decision
                .lines
                .iter()
                .filter_map(|line| {
                    let terms = item.target.components[line.component_index].metered.as_ref()?;
                    Some((terms.meter_id.uuid(), line.used.start, line.used.end))
                })
                .collect();
            let zones = zones(&self.contract.zone, item.row.former_zone.as_ref(), item.row.former_zone_until)?;
            let days = (item.decision.on, self.issued_on);
            keep_use(tx, (self.tenant.0, item.row.id), days, &zones, &counted).await?;
        }
        Ok(())
    }

    /// The subscription of an item.
    fn subject(&self, item: usize) -> Subject {
        let row = &self.items[item].row;
        Subject { contract: self.contract.id, subscription: row.id, started_at: row.created_at }
    }

    /// Tells what decides at an extension point for its subscriptions; a trial is told that something is decided under it.
    fn pin(&mut self, world: World, bound: &Bound, left: &Left) {
        let subjects: Vec<Subject> = (0..self.items.len()).map(|item| self.subject(item)).collect();
        let choices = subjects.iter().map(|subject| bound.choice(subject, left));
        if let Some(choice) = choices.min() {
            self.trials.note(bound, choice, false);
        }
        self.pins.extend(pins_of(world, bound, self.contract.id, subjects.into_iter(), left));
    }

    /// Asks one batch: what each new line costs, and what each cut charge gives back.
    fn share(
        &mut self,
        recorder: &mut Recorder<'_>,
        runtime: &altyn_runtime::Runtime,
        bound: &Bound,
        left: &Left,
    ) -> Result<()> {
        let by_item: Vec<Choice> = (0..self.items.len()).map(|item| bound.choice(&self.subject(item), left)).collect();
        let mut choices: Vec<Choice> = Vec::with_capacity(self.lines.len() + self.credits.len());
        let mut questions: Vec<Question> = Vec::with_capacity(self.lines.len() + self.credits.len());
        let mut prorated = Vec::with_capacity(self.lines.len());
        for (index, line) in self.lines.iter_mut().enumerate() {
            if line.kind != ChargeKind::Recurring {
                line.amount = line.due.price;
                CHARGED_ONCE.clone_into(&mut line.explanation);
                continue;
            }
            prorated.push(index);
            choices.push(by_item[line.item]);
            let item = &self.items[line.item];
            let cut = line.due.used.start == item.decision.on && item.decision.kind != ChangeKind::Renew;
            questions.push(Question {
                line: index.to_string(),
                price: line.due.price,
                period: line.due.period,
                used: line.due.used,
                current_day: if cut { item.current_day } else { CurrentDay::New },
                billed: Money::zero(self.currency),
                credited: Money::zero(self.currency),
            });
        }
        let mut shared = Vec::new();
        let of_items = self.items.iter().zip(&by_item);
        let asks =
            of_items.flat_map(|(item, choice)| item.decision.credits.iter().map(move |credit| (&credit.ask, choice)));
        for (index, (ask, choice)) in asks.enumerate() {
            if let Ask::Share(question) = ask {
                choices.push(*choice);
                questions.push(Question { line: format!("credit-{index}"), ..question.clone() });
                shared.push(index);
            }
        }
        let answers =
            ask_each(recorder, bound, &questions, &|question| choices[question], &|of, part: &[Question]| {
                runtime.prorate(&of.plugin, &of.context, part)
            })?;
        let mut checked: Vec<(Share, CallId)> = Vec::with_capacity(answers.len());
        for ((answer, question), choice) in answers.into_iter().zip(&questions).zip(choices) {
            let (share, call) = answer.map_err(|found| on_trial(choice, fault(&found)))?;
            proration::check(question, &share).map_err(|violation| on_trial(choice, wrong(&violation)))?;
            checked.push((share, call));
        }
        let of_credits = checked.split_off(prorated.len());
        for (index, (share, call)) in prorated.into_iter().zip(checked) {
            let line = &mut self.lines[index];
            line.amount = share.used;
            line.explanation = share.explanation;
            line.proration_call = Some(call);
        }
        for (index, (share, _)) in shared.into_iter().zip(of_credits) {
            let credit = &mut self.credits[index];
            credit.wanted.amount = CreditAmount::Gross(share.credit);
            credit.explanation = share.explanation;
        }
        Ok(())
    }

    /// Asks the tax of every document, each component about the lines of its own subscriptions.
    fn assess(
        &mut self,
        recorder: &mut Recorder<'_>,
        runtime: &altyn_runtime::Runtime,
        bound: &Bound,
        left: &Left,
        seller: &runs::SellerRow,
    ) -> Result<()> {
        let buyer = Party {
            id: CustomerId(self.contract.customer_id).to_string(),
            kind: self.contract.customer_kind.clone(),
            country: self.contract.customer_country.clone(),
            tax_ids: tax_ids(self.contract.customer_inn.as_ref(), self.contract.customer_kpp.as_ref()),
            attributes: Vec::new(),
        };
        let mut parts: BTreeMap<(usize, Choice), Vec<usize>> = BTreeMap::new();
        for (document, lines) in self.documents.iter().enumerate() {
            for line in lines.lines.clone() {
                let choice = bound.choice(&self.subject(self.lines[line].item), left);
                parts.entry((document, choice)).or_default().push(line);
            }
        }
        let choices: Vec<Choice> = parts.keys().map(|(_, choice)| *choice).collect();
        let documents: Vec<TaxDocument> = parts
            .into_iter()
            .enumerate()
            .map(|(index, ((document, _), lines))| TaxDocument {
                id: index.to_string(),
                seller: seller_party(seller),
                buyer: buyer.clone(),
                issued_on: self.issued_on,
                advance: false,
                mode: self.documents[document].mode,
                lines: lines
                    .into_iter()
                    .map(|index| {
                        let line = &self.lines[index];
                        TaxableLine {
                            id: index.to_string(),
                            amount: line.amount,
                            supplied_on: line.last_day(),
                            category: line.due.tax_category.clone(),
                            attributes: Vec::new(),
                        }
                    })
                    .collect(),
            })
            .collect();
        let answers = ask_each(recorder, bound, &documents, &|part| choices[part], &|of, part: &[TaxDocument]| {
            runtime.assess(&of.plugin, &of.context, part)
        })?;
        for ((answer, asked), choice) in answers.into_iter().zip(&documents).zip(&choices) {
            let (assessment, call) = answer.map_err(|found| on_trial(*choice, fault(&found)))?;
            tax::check(asked, &assessment).map_err(|violation| on_trial(*choice, wrong(&violation)))?;
            for taxed in assessment.lines {
                let place: usize = taxed.line.parse().map_err(internal)?;
                let line = &mut self.lines[place];
                line.amounts = Amounts { net: taxed.net, tax: taxed.tax, gross: taxed.gross };
                line.tax_code = taxed.code;
                line.tax_rate = taxed.rate;
                line.tax_call = call;
            }
        }
        for document in &mut self.documents {
            let lines = self.lines[document.lines.clone()].iter().map(|line| line.amounts);
            document.totals = totals(self.currency, lines).map_err(internal)?;
        }
        Ok(())
    }

    /// The day whose close realises what was used of a charge that is cut on a day: the day of the change, or the one after
    /// it when a run makes the change, for that run may be through with the contract.
    pub(super) fn closes_on(&self, until: NaiveDate) -> NaiveDate {
        let last = until.pred_opt().unwrap_or(until);
        let close = if self.scheduled { self.issued_on.succ_opt().unwrap_or(self.issued_on) } else { self.issued_on };
        last.max(close)
    }

    /// What the lines take from the contract's funds now.
    pub(super) fn due(&self) -> Result<Option<Transaction>> {
        let prepaid = self.lines.iter().try_fold(Money::zero(self.currency), |sum, line| sum.add(line.prepaid()?));
        let prepaid = prepaid.map_err(internal)?;
        let Some(first) = self.items.first().filter(|_| !prepaid.is_zero()) else { return Ok(None) };
        let about = About {
            source_key: format!("change/{}", first.change),
            effective_on: self.issued_on,
            description: String::new(),
        };
        charge_due(about, ContractId(self.contract.id), prepaid).map(Some).map_err(internal)
    }

    /// The effects as callers see them.
    pub(super) fn effects(&self) -> Result<ChangeEffects> {
        let subscriptions = self.items.iter().enumerate().map(|(index, item)| self.effect(index, item)).collect();
        let credits = self.planned.iter().filter_map(|credit| credit.transaction.clone());
        let posted: Vec<Transaction> = self.released()?.into_iter().chain(credits).chain(self.due()?).collect();
        // What is reserved is the customer's, too.
        let id = ContractId(self.contract.id);
        let own = [AccountCode::ContractFunds(id), AccountCode::ContractBlocked(id)];
        let moved = posted.iter().flat_map(|transaction| &transaction.entries);
        let moved = moved.filter(|entry| own.contains(&entry.account));
        let balance_minor = -moved.map(|entry| entry.amount_minor).sum::<i64>();
        Ok(ChangeEffects {
            contract_id: ContractId(self.contract.id),
            currency: self.currency.code().to_owned(),
            deferred: self.deferred,
            issued_on: self.issued_on,
            subscriptions,
            skipped: self.skipped.clone(),
            postings: posted
                .into_iter()
                .map(|transaction| PostingEffect { kind: transaction.kind, entries: transaction.entries })
                .collect(),
            credited_minor: self.planned.iter().map(|credit| credit.amounts.gross.minor).sum(),
            charged_minor: self.documents.iter().map(|document| document.totals.gross.minor).sum(),
            balance_minor,
            plugins: self.pins.clone(),
        })
    }

    fn effect(&self, index: usize, item: &Item) -> SubscriptionEffect {
        let credits = self.credits.iter().zip(&self.planned).filter(|(credit, _)| credit.item == index);
        SubscriptionEffect {
            subscription_id: item.subscription.id,
            version: item.row.version,
            kind: item.decision.kind,
            direction: item.direction,
            direction_reason: item.direction_reason.clone(),
            timing: item.timing,
            timing_reason: item.timing_reason.clone(),
            effective_on: item.effective_on,
            before: TermsView::from(&Terms::of(&item.subscription)),
            after: TermsView::from(&item.decision.terms),
            replaces: item.replaces.clone(),
            credits: credits
                .map(|(credit, planned)| CreditEffect {
                    charge_id: credit.wanted.charge,
                    component_id: credit.component,
                    days: altyn_domain::calendar::Period { start: credit.cover.1, end: credit.cover.0 },
                    net_minor: planned.amounts.net.minor,
                    tax_minor: planned.amounts.tax.minor,
                    gross_minor: planned.amounts.gross.minor,
                    after_realisation: planned.after_realisation,
                    explanation: credit.explanation.clone(),
                })
                .collect(),
            lines: self
                .lines
                .iter()
                .filter(|line| line.item == index)
                .map(|line| LineEffect {
                    component_id: line.due.component,
                    title: line.due.title.clone(),
                    quantity: line.quantity.clone(),
                    period: line.due.period,
                    used: line.due.used,
                    charged_on: line.due.charged_on,
                    realises_on: line.last_day(),
                    net_minor: line.amounts.net.minor,
                    tax_minor: line.amounts.tax.minor,
                    gross_minor: line.amounts.gross.minor,
                    tax_code: line.tax_code.clone(),
                    tax_rate: line.tax_rate.map(|rate| rate.normalize().to_string()),
                    explanation: line.explanation.clone(),
                })
                .collect(),
            gift: item.decision.gift,
            gap: item.decision.gap,
        }
    }

    /// The effects with their hash.
    pub(super) fn preview(&self) -> Result<ChangePreview> {
        let effects = self.effects()?;
        // Fields are written in the order of their declaration, so equal effects have equal texts.
        let text = serde_json::to_vec(&effects).map_err(internal)?;
        Ok(ChangePreview { plan_hash: hex::encode(sha256(&text)), effects })
    }

    /// Whether the draft is what a caller saw; if not, the refusal with the differences.
    pub(super) fn is_what_was_seen(&self, hash: &str, seen: Option<&ChangeEffects>) -> Result<()> {
        let now = self.preview()?;
        if now.plan_hash == hash {
            return Ok(());
        }
        let told = match seen {
            Some(seen) => {
                let json = |effects: &ChangeEffects| serde_json::to_value(effects).map_err(internal);
                differences(&json(seen)?, &json(&now.effects)?)
            }
            None => vec![
                format!("now {} minor units are given back", now.effects.credited_minor),
                format!("now {} minor units are charged", now.effects.charged_minor),
                format!("now the hash is {}", now.plan_hash),
            ],
        };
        Err(ServiceError::Conflict {
            code: "change-moved",
            message: "the change would do something else than you saw; look at a new preview and send its hash"
                .to_owned(),
            details: told,
        })
    }
}

impl Line {
    /// The realisation date: the last day of service.
    pub(super) fn last_day(&self) -> NaiveDate {
        self.due.used.end.pred_opt().unwrap_or(self.due.used.start)
    }

    /// The part of the gross amount that is taken now.
    pub(super) fn prepaid(&self) -> std::result::Result<Money, altyn_domain::money::MoneyError> {
        prepaid_part(self.amounts.gross, self.prepayment_percent)
    }
}
