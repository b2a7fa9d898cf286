//! Saving a draft: one transaction, or none of it.

use altyn_domain::{
    charge::ChargeStatus,
    id::{CallId, ChargeId, Id as _, InvoiceId, SellerId, UsageWindowId},
    money::Money,
    numbering::{Draft as NumberedDraft, check_number, check_sequence},
    order::OrderStatus,
    subscription::ShortFunds,
};
use altyn_runtime::World;
use altyn_store::{Rows, Tx, changes as rows, orders, plugins, runs, usage_windows};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    decide::Item,
    draft::{Draft, on_trial},
    view::{ChangeView, change_view},
};
use crate::{
    canary::outcomes::Outcomes,
    context::{Altyn, Authority, Begun, Reply, Request},
    credits::charges_credit,
    error::{Result, ServiceError},
    evidence::Recorded,
    ledger::post_each,
    plugins::{REFUSED, blocking},
    promises::money_of,
    runs::{
        ask::{Recorder, ask},
        metered::{Opening, begins_us, zones},
    },
};

/// What came of saving.
pub(super) enum Saved<T> {
    /// It is saved.
    Done(T),
    /// Somebody took the numbers or changed a row; draft again.
    Moved,
}

/// The number of one document, foreseen.
struct Number {
    text: String,
    sequence: String,
    value: i64,
    call: CallId,
    line: i32,
}

/// Numbers of all documents with what was asked for them.
struct Numbers {
    of_documents: Vec<Number>,
    /// Per sequence: its key, where it stood, where it stands afterwards.
    taken: Vec<(String, i64, i64)>,
    recorded: Vec<Recorded>,
    /// The canary by whose word they were given.
    trials: Outcomes,
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over errors and formatted texts")]
fn refused(reason: impl ToString) -> ServiceError {
    ServiceError::Plugin { code: REFUSED, message: format!("number-refused: {}", reason.to_string()) }
}

impl Altyn {
    /// Saves what a caller asked for: executed now, or scheduled; `answer` makes the reply from the changes.
    pub(super) async fn save_requested<T: serde::Serialize + serde::de::DeserializeOwned>(
        &self,
        request: &Request,
        draft: Draft,
        answer: impl FnOnce(Vec<ChangeView>) -> T,
    ) -> Result<Saved<Reply<T>>> {
        let numbers = if draft.deferred { None } else { Some(self.number(&draft).await?) };
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(Saved::Done(reply)),
            Begun::Work(work) => work,
        };
        let now = work.now;
        let by = &request.credential;
        let written = match &numbers {
            Some(numbers) => self.write(&mut work.tx, &draft, numbers, by, now).await,
            None => self.schedule(&mut work.tx, &draft, by, now).await,
        };
        let changes = match written {
            Ok(Some(changes)) => changes,
            Ok(None) => return Ok(Saved::Moved),
            Err(error) if moved(&error) => return Ok(Saved::Moved),
            Err(error) => return Err(error),
        };
        if numbers.is_some() && request.authority == Authority::SelfService {
            paid_for(&mut work.tx, &draft).await?;
        }
        if numbers.is_some() {
            rows::insert(&mut work.tx, request.tenant.0, now, Some(now), &changes).await?;
        }
        let mut views = Vec::with_capacity(changes.len());
        for change in &changes {
            let row = rows::find(&mut work.tx, request.tenant.0, change.id).await?;
            views.push(change_view(row.ok_or(ServiceError::NotFound("change"))?)?);
        }
        match work.finish(201, answer(views)).await {
            Ok(reply) => Ok(Saved::Done(reply)),
            Err(error) if moved(&error) => Ok(Saved::Moved),
            Err(error) => Err(error),
        }
    }

    /// Saves a scheduled change on its day.
    pub(super) async fn save_scheduled(
        &self,
        request: &Request,
        draft: Draft,
        scheduled: &rows::ChangeRow,
    ) -> Result<Saved<()>> {
        let numbers = self.number(&draft).await?;
        let mut tx = self.db.write(request.scope()).await?;
        let now = self.clock.now();
        let changes = match self.write(&mut tx, &draft, &numbers, &scheduled.requested_by, now).await {
            Ok(Some(changes)) => changes,
            Ok(None) => return Ok(Saved::Moved),
            Err(error) if moved(&error) => return Ok(Saved::Moved),
            Err(error) => return Err(error),
        };
        for change in changes {
            if !rows::executed(&mut tx, request.tenant.0, &change, now).await? {
                // Withdrawn meanwhile: nothing of it is saved.
                return Ok(Saved::Moved);
            }
        }
        match tx.commit().await {
            Ok(()) => Ok(Saved::Done(())),
            Err(error) if error.is_transient() => Ok(Saved::Moved),
            Err(error) => Err(error.into()),
        }
    }

    /// Foresees the numbers of the documents; they are taken when they are saved.
    async fn number(&self, draft: &Draft) -> Result<Numbers> {
        let mut trials = Outcomes::default();
        if draft.documents.is_empty() {
            return Ok(Numbers { of_documents: Vec::new(), taken: Vec::new(), recorded: Vec::new(), trials });
        }
        let scheme = self.bound_for(draft, World::NumberingScheme).await?;
        let choice = scheme.choice_of_contract(draft.contract.id);
        trials.note(&scheme, choice, false);
        let bound = scheme.chosen(choice).clone();
        let seller = draft.contract.seller_id;
        let drafts: Vec<NumberedDraft> = (0..draft.documents.len())
            .map(|index| NumberedDraft {
                id: index.to_string(),
                kind: "invoice".to_owned(),
                seller: SellerId(seller).to_string(),
                contract: draft.contract.number.clone(),
                issued_on: draft.issued_on,
                attributes: Vec::new(),
            })
            .collect();
        let (runtime, ids, at) = (self.plugins.runtime(), std::sync::Arc::clone(&self.ids), self.clock.now());
        let (asked, of) = (drafts.clone(), bound.clone());
        let (sequences, mut recorded) = blocking(move || -> Result<_> {
            let mut recorder = Recorder::new(&*ids, &runtime, None, at);
            let answers = ask(&mut recorder, &of, &asked, &|part: &[NumberedDraft]| {
                runtime.sequences(&of.plugin, &of.context, part)
            })?;
            let mut found = Vec::with_capacity(answers.len());
            for answer in answers {
                let (sequence, _) = answer.map_err(|fault| refused(fault.reason))?;
                check_sequence(&sequence).map_err(refused)?;
                found.push(sequence);
            }
            Ok((found, recorder.recorded))
        })
        .await?
        .map_err(|error| on_trial(choice, error))?;
        let mut tx = self.db.read(altyn_store::Scope::Tenant(draft.tenant.0)).await?;
        let mut taken: Vec<(String, i64, i64)> = Vec::new();
        let mut values = Vec::with_capacity(sequences.len());
        for sequence in &sequences {
            if !taken.iter().any(|(key, ..)| *key == sequence.key) {
                let standing = runs::sequence_find(&mut tx, draft.tenant.0, seller, &sequence.key).await?;
                let standing = standing.map_or(i64::try_from(sequence.start).unwrap_or(1), |(_, next)| next);
                taken.push((sequence.key.clone(), standing, standing));
            }
            for (_, _, after) in taken.iter_mut().filter(|(key, ..)| *key == sequence.key) {
                values.push(*after);
                *after += 1;
            }
        }
        drop(tx);
        let items: Vec<(NumberedDraft, u64)> =
            drafts.into_iter().zip(values.iter().map(|value| u64::try_from(*value).unwrap_or(0))).collect();
        let (runtime, ids) = (self.plugins.runtime(), std::sync::Arc::clone(&self.ids));
        let (texts, more) = blocking(move || -> Result<_> {
            let mut recorder = Recorder::new(&*ids, &runtime, None, at);
            let answers = ask(&mut recorder, &bound, &items, &|part: &[(NumberedDraft, u64)]| {
                let (drafts, values): (Vec<NumberedDraft>, Vec<u64>) = part.iter().cloned().unzip();
                runtime.numbers(&bound.plugin, &bound.context, &drafts, &values)
            })?;
            let mut texts = Vec::with_capacity(answers.len());
            for answer in answers {
                let (text, call) = answer.map_err(|fault| refused(fault.reason))?;
                check_number(&text).map_err(refused)?;
                texts.push((text, call));
            }
            Ok((texts, recorder.recorded))
        })
        .await?
        .map_err(|error| on_trial(choice, error))?;
        recorded.extend(more);
        let numbers = texts.into_iter().zip(sequences).zip(values).enumerate();
        let of_documents = numbers
            .map(|(index, (((text, call), sequence), value))| Number {
                text,
                sequence: sequence.key,
                value,
                call,
                line: i32::try_from(index).unwrap_or(i32::MAX),
            })
            .collect();
        Ok(Numbers { of_documents, taken, recorded, trials })
    }

    /// Records what waits for its day; what waited before for the same subscription is replaced.
    async fn schedule(
        &self,
        tx: &mut Tx,
        draft: &Draft,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<rows::ChangeRow>>> {
        let tenant = draft.tenant.0;
        let mut changes = Vec::with_capacity(draft.items.len());
        for item in &draft.items {
            let waiting = rows::scheduled_for(tx, tenant, item.row.id).await?;
            let seen = item.replaces.iter().map(|change| change.change_id.uuid());
            if !waiting.iter().map(|change| change.id).eq(seen) {
                // Something else waits than what the caller was told is replaced.
                return Ok(None);
            }
            let reason = format!("replaced by {}", item.change);
            rows::withdraw_of(tx, tenant, item.row.id, "replaced", &reason, now).await?;
            changes.push(rows::ChangeRow { state: "scheduled".to_owned(), ..row(draft, item, by, now)? });
        }
        rows::insert(tx, tenant, now, None, &changes).await?;
        Ok(Some(changes))
    }

    /// Writes what is given back, what is charged, the numbers and the new terms; `None` when a row moved.
    async fn write(
        &self,
        tx: &mut Tx,
        draft: &Draft,
        numbers: &Numbers,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<rows::ChangeRow>>> {
        let tenant = draft.tenant.0;
        // The subscriptions first: they are the lock that two changes meet at.
        for item in &draft.items {
            let terms = &item.decision.terms;
            let to = rows::TermsRow {
                status: terms.status.as_str().to_owned(),
                plan_version_id: terms.plan_version.0,
                quantity: terms.quantity.normalize().to_string(),
                anchor_on: terms.anchor_on,
                next_index: terms.next_index,
                terms_from: terms.terms_from,
                next_charge_on: terms.next_charge_on,
                ends_on: terms.ends_on,
                charges_left: terms.charges_left.map(|left| i32::try_from(left).unwrap_or(i32::MAX)),
                once_due: i32::from(terms.once_due),
            };
            if !rows::terms_set(tx, tenant, item.row.id, item.row.version, to).await? {
                return Ok(None);
            }
        }
        self.usage_windows_follow(tx, draft, now).await?;
        let recorded = draft.recorded.iter().chain(&numbers.recorded);
        let blobs = recorded.clone().flat_map(|call| call.blobs.iter().cloned()).collect();
        plugins::evidence_insert(tx, tenant, blobs).await?;
        let calls: Vec<plugins::CallRow> = recorded.map(|call| call.row.clone()).collect();
        plugins::calls_insert(tx, tenant, now, &calls).await?;
        let cuts: Vec<rows::Cut> = draft
            .credits
            .iter()
            .map(|credit| rows::Cut {
                charge: credit.wanted.charge.uuid(),
                before: credit.cover.0,
                until: credit.cover.1,
                closes_on: draft.closes_on(credit.cover.1),
            })
            .collect();
        if !cuts.is_empty() && rows::cut(tx, tenant, &cuts).await? != cuts.len() as u64 {
            return Ok(None);
        }
        for order in &draft.orders {
            let status = if draft.charges(order) { OrderStatus::Closed } else { OrderStatus::Cancelled };
            if !orders::end(tx, tenant, order, status.as_str(), now, by).await? {
                return Ok(None);
            }
        }
        post_each(tx, &*self.ids, draft.tenant, now, &draft.released()?, None).await?;
        let credits: Vec<_> = draft.credits.iter().map(|credit| credit.wanted.clone()).collect();
        let credited = charges_credit(tx, &*self.ids, draft.tenant, now, draft.issued_on, &credits).await?;
        let Some(invoice) = self.issue(tx, draft, numbers, now).await? else { return Ok(None) };
        if let Some(due) = draft.due()? {
            post_each(tx, &*self.ids, draft.tenant, now, &[due], None).await?;
        }
        for (key, from, to) in &numbers.taken {
            if !runs::sequence_take(tx, tenant, draft.contract.seller_id, key, *from, *to).await? {
                return Ok(None);
            }
        }
        let hash = hex::decode(draft.preview()?.plan_hash).unwrap_or_default();
        let mut changes = Vec::with_capacity(draft.items.len());
        for (index, item) in draft.items.iter().enumerate() {
            let given = draft.credits.iter().zip(&credited).filter(|(credit, _)| credit.item == index);
            let lines = draft.lines.iter().filter(|line| line.item == index);
            let change = rows::ChangeRow {
                credited_minor: given.map(|(_, view)| view.gross_minor).sum(),
                charged_minor: lines.map(|line| line.amounts.gross.minor).sum(),
                invoice_id: Some(invoice).filter(|id| !id.is_nil()),
                plan_hash: Some(hash.clone()),
                finished_at: Some(now),
                ..row(draft, item, by, now)?
            };
            self.tell(tx, draft, item, &change, now).await?;
            changes.push(change);
        }
        // Last, because tenants who share a binding meet here.
        if !draft.trials.hold(tx).await? || !numbers.trials.hold(tx).await? {
            return Ok(None);
        }
        Ok(Some(changes))
    }

    /// Ends the usage windows of the old terms where these end, and opens those of the new ones.
    async fn usage_windows_follow(&self, tx: &mut Tx, draft: &Draft, now: DateTime<Utc>) -> Result<()> {
        let tenant = draft.tenant.0;
        draft.keep_use(tx).await?;
        let mut opened = Vec::new();
        for item in &draft.items {
            let on = item.decision.on;
            let zones = zones(&draft.contract.zone, item.row.former_zone.as_ref(), item.row.former_zone_until)?;
            usage_windows::cut(tx, tenant, item.row.id, on, begins_us(on, &zones)).await?;
            let discount = |on| Some(item.subscription.discount).filter(|discount| discount.holds_on(on));
            for line in &item.decision.lines {
                let opening = Opening {
                    contract: draft.contract.id,
                    plan_version: item.decision.terms.plan_version.0,
                    line,
                    component: &item.target.components[line.component_index],
                    change_ordinal: item.row.change_ordinal + 1,
                    quantity: item.decision.terms.quantity.normalize().to_string(),
                    discount_percent: discount(line.charged_on).unwrap_or_default().percent,
                };
                if let Some(mut window) = opening.window(UsageWindowId(self.ids.next()).uuid()) {
                    window.instants = (begins_us(window.used.0, &zones), begins_us(window.used.1, &zones));
                    opened.push(window);
                }
            }
        }
        opened.retain(|window| window.instants.0 < window.instants.1);
        usage_windows::open(tx, tenant, now, &opened).await?;
        Ok(())
    }

    /// Issues the documents and their charges; answers the first invoice (the nil id when there is none), or `None` when
    /// a number or a period was taken.
    async fn issue(&self, tx: &mut Tx, draft: &Draft, numbers: &Numbers, now: DateTime<Utc>) -> Result<Option<Uuid>> {
        if draft.documents.is_empty() {
            return Ok(Some(Uuid::nil()));
        }
        let tenant = draft.tenant.0;
        let ids: Vec<Uuid> = draft.documents.iter().map(|_| InvoiceId(self.ids.next()).uuid()).collect();
        let (documents, count) = (&draft.documents, draft.documents.len());
        let number = |of: &dyn Fn(&Number) -> String| numbers.of_documents.iter().map(of).collect::<Vec<_>>();
        let currency = draft.currency.code().to_owned();
        let invoices = Rows::new()
            .with("id", ids.clone())
            .with("contract_id", vec![draft.contract.id; count])
            .with("seller_id", vec![draft.contract.seller_id; count])
            .with("number", number(&|number| number.text.clone()))
            .with("sequence_key", number(&|number| number.sequence.clone()))
            .with("sequence_value", numbers.of_documents.iter().map(|number| number.value).collect::<Vec<_>>())
            .with("currency", vec![currency.clone(); count])
            .with("price_mode", documents.iter().map(|d| d.mode.as_str().to_owned()).collect::<Vec<_>>())
            .with("net_minor", documents.iter().map(|d| d.totals.net.minor).collect::<Vec<_>>())
            .with("tax_minor", documents.iter().map(|d| d.totals.tax.minor).collect::<Vec<_>>())
            .with("gross_minor", documents.iter().map(|d| d.totals.gross.minor).collect::<Vec<_>>())
            .with(
                "numbering_call_id",
                numbers.of_documents.iter().map(|number| Some(number.call.0)).collect::<Vec<_>>(),
            )
            .with("call_line", numbers.of_documents.iter().map(|number| Some(number.line)).collect::<Vec<_>>());
        if runs::invoices_insert(tx, tenant, None, draft.issued_on, now, &invoices).await? != count as u64 {
            return Ok(None);
        }
        let mut placed = Vec::with_capacity(draft.lines.len());
        for (document, id) in documents.iter().zip(&ids) {
            for (position, index) in document.lines.clone().enumerate() {
                let line = &draft.lines[index];
                let position = i32::try_from(position).unwrap_or(i32::MAX);
                placed.push((ChargeId(self.ids.next()), *id, position, i32::try_from(index).unwrap_or(i32::MAX), line));
            }
        }
        macro_rules! column {
            (|$row:pat_param| $value:expr) => {
                placed.iter().map(|$row| $value).collect::<Vec<_>>()
            };
        }
        let prepaid: Vec<Option<i64>> = placed
            .iter()
            .map(|(.., line)| match line.prepayment_percent {
                100 => Ok(None),
                _ => line.prepaid().map(|prepaid| Some(prepaid.minor)),
            })
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| ServiceError::Internal(error.to_string()))?;
        let status = |percent: u8| if percent == 100 { ChargeStatus::Blocked } else { ChargeStatus::Opened };
        let charges = Rows::new()
            .with("id", column!(|(id, ..)| id.uuid()))
            .with("contract_id", vec![draft.contract.id; placed.len()])
            .with("subscription_id", column!(|(.., line)| line.due.subscription.uuid()))
            .with("component_id", column!(|(.., line)| line.due.component.uuid()))
            .with("invoice_id", column!(|(_, invoice, ..)| *invoice))
            .with("invoice_position", column!(|(_, _, position, ..)| *position))
            .with("kind", column!(|(.., line)| line.kind.as_str().to_owned()))
            .with("status", column!(|(.., line)| status(line.prepayment_percent).as_str().to_owned()))
            .with("period_start", column!(|(.., line)| line.due.period.start))
            .with("period_end", column!(|(.., line)| line.due.period.end))
            .with("used_start", column!(|(.., line)| line.due.used.start))
            .with("used_end", column!(|(.., line)| line.due.used.end))
            .with("charged_on", column!(|(.., line)| line.due.charged_on))
            .with("realises_on", column!(|(.., line)| line.last_day()))
            .with("realised_on", vec![None::<chrono::NaiveDate>; placed.len()])
            .with("currency", vec![currency; placed.len()])
            .with("amount_minor", column!(|(.., line)| line.amount.minor))
            .with("prepaid_minor", prepaid)
            .with("proration_call_id", column!(|(.., line)| line.proration_call.map(|call| call.0)))
            .with("call_line", column!(|(_, _, _, index, line)| line.proration_call.map(|_| *index)))
            .with("change_ordinal", column!(|(.., line)| draft.items[line.item].row.change_ordinal + 1));
        if runs::charges_insert(tx, tenant, None, now, &charges).await? != placed.len() as u64 {
            return Err(ServiceError::conflict(
                "already-charged",
                "a period that the change charges was charged before; look at the subscription's charges",
            ));
        }
        let lines = Rows::new()
            .with("invoice_id", column!(|(_, invoice, ..)| *invoice))
            .with("position", column!(|(_, _, position, ..)| *position))
            .with("charge_id", column!(|(id, ..)| id.uuid()))
            .with("title", column!(|(.., line)| line.due.title.clone()))
            .with("quantity", column!(|(.., line)| line.quantity.clone()))
            .with("net_minor", column!(|(.., line)| line.amounts.net.minor))
            .with("tax_minor", column!(|(.., line)| line.amounts.tax.minor))
            .with("gross_minor", column!(|(.., line)| line.amounts.gross.minor))
            .with("tax_code", column!(|(.., line)| line.tax_code.clone()))
            .with("tax_rate", column!(|(.., line)| line.tax_rate.map(|rate| rate.to_string())))
            .with("tax_call_id", column!(|(.., line)| Some(line.tax_call.0)))
            .with("call_line", column!(|(_, _, _, index, _)| Some(*index)));
        runs::invoice_lines_insert(tx, tenant, &lines).await?;
        Ok(ids.first().copied())
    }

    /// Tells the world of a change: one event in the outbox.
    async fn tell(
        &self,
        tx: &mut Tx,
        draft: &Draft,
        item: &Item,
        change: &rows::ChangeRow,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let renewed = item.subscription.manual && !item.decision.lines.is_empty();
        let event = serde_json::json!({
            "subscription": item.subscription.id,
            "change": item.change,
            "kind": item.decision.kind,
            "direction": item.direction,
            "effective_on": item.effective_on,
            "credited_minor": change.credited_minor,
            "charged_minor": change.charged_minor,
            "documents": renewed && item.row.documents_on_activation != 0,
            "notify": renewed && item.row.notify_on_activation != 0,
        });
        let kind = if renewed { "subscription.activated" } else { "subscription.changed" };
        let subject = item.subscription.id.to_string();
        runs::outbox_insert(tx, draft.tenant.0, self.ids.next(), kind, &subject, &event.to_string(), now).await?;
        Ok(())
    }
}

/// Refuses what a customer who helps himself cannot pay for, after it was posted: what is available must not be below zero by
/// it, but for subscriptions that go into debt.
async fn paid_for(tx: &mut Tx, draft: &Draft) -> Result<()> {
    let in_debt = |item: &Item| item.row.short_funds == ShortFunds::Debt.as_str();
    let takes = -draft.effects()?.balance_minor;
    if takes <= 0 || draft.items.iter().all(in_debt) {
        return Ok(());
    }
    let left = money_of(tx, draft.tenant.0, draft.contract.id).await?.available_minor;
    if left >= 0 {
        return Ok(());
    }
    let money = |minor| Money::new(minor, draft.currency);
    let message = format!("the change takes {}, {} is there; pay first", money(takes), money(left + takes));
    Err(ServiceError::conflict("not-enough-money", message))
}

/// Whether somebody else's progress is in the way.
fn moved(error: &ServiceError) -> bool {
    match error {
        ServiceError::Store(error) => error.is_race(),
        ServiceError::Conflict { code, .. } => *code == "busy",
        _ => false,
    }
}

/// The record of a change.
fn row(draft: &Draft, item: &Item, by: &str, now: DateTime<Utc>) -> Result<rows::ChangeRow> {
    let json = |error: serde_json::Error| ServiceError::Internal(format!("a change cannot be stored: {error}"));
    let decision = &item.decision;
    let uncovered = decision.gift.or(decision.gap);
    let from = uncovered.map_or(decision.on, |days| days.end);
    let executed = !draft.deferred;
    Ok(rows::ChangeRow {
        id: item.change.uuid(),
        subscription_id: item.row.id,
        contract_id: draft.contract.id,
        kind: decision.kind.as_str().to_owned(),
        direction: Some(item.direction.as_str().to_owned()),
        timing: item.timing.as_str().to_owned(),
        state: "executed".to_owned(),
        command: serde_json::to_string(&item.command).map_err(json)?,
        effective_on: item.effective_on,
        ordinal: executed.then_some(item.row.change_ordinal + 1),
        terms_from: executed.then_some(from),
        charged_until: executed.then_some(uncovered.map_or(decision.on, |days| days.start)),
        terms: if executed { Some(serde_json::to_string(&decision.terms).map_err(json)?) } else { None },
        plan_version_id: executed.then_some(decision.terms.plan_version.0),
        plan_hash: None,
        invoice_id: None,
        credited_minor: 0,
        charged_minor: 0,
        reason: None,
        requested_by: by.to_owned(),
        dunning_scope: None,
        created_at: now,
        finished_at: None,
        version: 1,
    })
}
