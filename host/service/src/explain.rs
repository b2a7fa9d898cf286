//! Explaining what was decided: recorded plugin calls, what they were asked, and whether they answer the same today.
//!
//! Reads evidence and makes calls again; changes nothing. Invariant: evidence is shown and replayed only if its bytes have
//! the digest that the call names.

mod extract;
mod replay;
mod shadow;

use altyn_domain::id::{BindingId, CallId, ChargeId, Id as _, InvoiceId, RunId};
use altyn_runtime::{Side, as_json};
use altyn_store::{Tx, charges, explain as rows, invoices, plugins::CallRow};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use shadow::{minor, percent};

pub use replay::{ReplayDifference, ReplayReport};
pub use shadow::{
    ShadowCandidate, ShadowContract, ShadowCount, ShadowLine, ShadowOptions, ShadowPayment, ShadowReason, ShadowReport,
    ShadowTotal,
};

use self::replay::Replayed;
use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError},
    page::{Listed, Page},
};

/// A recorded plugin call without its evidence.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallView {
    /// Its id.
    pub id: CallId,
    /// The billing run that made it.
    pub run_id: Option<RunId>,
    /// The binding that was asked.
    pub binding_id: BindingId,
    /// The id that the plugin describes itself with.
    pub plugin_id: Option<String>,
    /// The plugin's version.
    pub plugin_version: Option<String>,
    /// Who signed the component; absent when nobody did.
    pub publisher: Option<String>,
    /// On whose word it was installed: `core`, `trusted` or `unsigned-dev`.
    pub trust_level: Option<String>,
    /// SHA-256 of the component that answered.
    pub component: String,
    /// Its world, which names the extension point.
    pub world: String,
    /// What was called, for example `tax.assess`.
    pub export: String,
    /// SHA-256 of what it was asked.
    pub input_digest: String,
    /// SHA-256 of what it answered; absent after a fault.
    pub output_digest: Option<String>,
    /// Stable code of a fault.
    pub fault_code: Option<String>,
    /// The fault in words.
    pub fault: Option<String>,
    /// Fuel used, about one unit an instruction.
    pub fuel: i64,
    /// Largest memory, bytes.
    pub peak_memory_bytes: i64,
    /// Wall time, microseconds.
    pub duration_us: i64,
    /// When it was made.
    pub called_at: DateTime<Utc>,
}

/// Which calls a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallFilter {
    /// Only those of this run.
    pub run_id: Option<RunId>,
    /// Only those without an answer that counts.
    pub failed: Option<bool>,
}

/// What a plugin was asked and what it answered, in the terms of the plugin contract.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallEvidence {
    /// The call.
    pub call: CallView,
    /// Its arguments.
    pub input: serde_json::Value,
    /// Its answer; absent after a fault.
    pub output: Option<serde_json::Value>,
}

/// One decision about an invoice line and who made it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Decision {
    /// What was decided: `proration`, `tax` or `numbering`.
    pub about: String,
    /// The recorded call that decided it.
    pub call: CallView,
    /// What the plugin was told for the whole call: tenant, binding, configuration, moment, zone, locale.
    pub context: serde_json::Value,
    /// The question about this line or its invoice.
    pub question: serde_json::Value,
    /// The answer to it.
    pub answer: serde_json::Value,
    /// Whether the plugin, asked again just now, gave the recorded answer byte for byte.
    pub replayed_identical: bool,
    /// Why not, when it did not.
    pub difference: Option<String>,
}

/// An invoice line with everything that made it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LineExplanation {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Its number.
    pub number: String,
    /// Its date.
    pub issued_on: NaiveDate,
    /// The line's place, from 0.
    pub position: i32,
    /// What was sold.
    pub title: String,
    /// How many units, decimal.
    pub quantity: String,
    /// The charge that the line shows.
    pub charge_id: ChargeId,
    /// First day of service.
    pub used_start: Option<NaiveDate>,
    /// The day after the last day of service.
    pub used_end: Option<NaiveDate>,
    /// ISO 4217 code.
    pub currency: String,
    /// `included` or `on-top`: which side of the tax the price states.
    pub price_mode: String,
    /// Without tax, minor units.
    pub net_minor: i64,
    /// The tax, minor units.
    pub tax_minor: i64,
    /// With tax, minor units.
    pub gross_minor: i64,
    /// Code of the tax treatment.
    pub tax_code: String,
    /// Tax rate, per cent, decimal.
    pub tax_rate: Option<String>,
    /// Who decided the share of the price, the tax and the number, in this order.
    pub decisions: Vec<Decision>,
}

fn view(row: rows::NamedCallRow) -> CallView {
    let rows::NamedCallRow { call, plugin_id, plugin_version, publisher, trust_level } = row;
    CallView {
        id: CallId(call.id),
        run_id: call.run_id.map(RunId),
        binding_id: BindingId(call.binding_id),
        plugin_id,
        plugin_version,
        publisher,
        trust_level,
        component: hex::encode(&call.component_digest),
        world: call.world,
        export: call.export,
        input_digest: hex::encode(&call.input_digest),
        output_digest: call.output_digest.map(hex::encode),
        fault_code: call.fault_code,
        fault: call.fault,
        fuel: call.fuel,
        peak_memory_bytes: call.peak_memory_bytes,
        duration_us: call.duration_us,
        called_at: call.called_at,
    }
}

fn json(export: &str, side: Side, bytes: &[u8]) -> Result<serde_json::Value> {
    as_json(export, side, bytes).map_err(|error| ServiceError::Internal(format!("evidence does not read: {error}")))
}

async fn call_named(tx: &mut Tx, request: &Request, id: Uuid) -> Result<rows::NamedCallRow> {
    rows::call_find(tx, request.tenant.0, id).await?.ok_or(ServiceError::NotFound("call"))
}

impl Altyn {
    /// One recorded plugin call.
    pub async fn call_get(&self, request: &Request, id: CallId) -> Result<CallView> {
        let mut tx = self.read(request).await?;
        Ok(view(call_named(&mut tx, request, id.uuid()).await?))
    }

    /// A page of recorded plugin calls, oldest first.
    pub async fn call_list(&self, request: &Request, filter: CallFilter, page: &Page) -> Result<Listed<CallView>> {
        let (limit, after) = page.bounds::<CallId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::calls_list(
            &mut tx,
            request.tenant.0,
            filter.run_id.map(RunId::uuid),
            filter.failed.unwrap_or(false),
            after,
            limit,
        )
        .await?;
        Ok(page.listed(found, |row| CallId(row.call.id).to_string(), view))
    }

    /// A recorded plugin call with what it was asked and what it answered.
    pub async fn call_evidence(&self, request: &Request, id: CallId) -> Result<CallEvidence> {
        let mut tx = self.read(request).await?;
        let row = call_named(&mut tx, request, id.uuid()).await?;
        let evidence = replay::load(&mut tx, request.tenant.0, &row.call).await?;
        drop(tx);
        let (input, output) =
            crate::plugins::blocking(move || evidence.plain()).await?.map_err(ServiceError::Internal)?;
        let export = &row.call.export;
        let input = json(export, Side::Input, &input)?;
        let output = output.map(|output| json(export, Side::Output, &output)).transpose()?;
        Ok(CallEvidence { call: view(row), input, output })
    }

    /// One invoice line with the plugin calls that decided it, each made again.
    pub async fn explain_line(&self, request: &Request, invoice: InvoiceId, position: i32) -> Result<LineExplanation> {
        let tenant = request.tenant.0;
        let mut tx = self.read(request).await?;
        let document = invoices::find(&mut tx, tenant, invoice.uuid()).await?;
        let document = document.ok_or(ServiceError::NotFound("invoice"))?;
        let before = position.checked_sub(1).ok_or(ServiceError::NotFound("invoice line"))?;
        let line = invoices::lines(&mut tx, tenant, document.id, before, 1).await?.pop();
        let line = line.filter(|line| line.position == position).ok_or(ServiceError::NotFound("invoice line"))?;
        let charge = charges::find(&mut tx, tenant, line.charge_id).await?;
        let charge = charge.ok_or_else(|| ServiceError::Internal("an invoice line has no charge".into()))?;
        let asked = [
            ("proration", charge.proration_call_id, charge.call_line),
            ("tax", line.tax_call_id, line.call_line),
            ("numbering", document.numbering_call_id, document.call_line),
        ];
        let mut calls = Vec::with_capacity(asked.len());
        for (about, call, call_line) in asked {
            let (Some(call), Some(call_line)) = (call, call_line) else { continue };
            calls.push((about, call_named(&mut tx, request, call).await?, call_line));
        }
        drop(tx);
        let mut decisions = Vec::with_capacity(calls.len());
        for (about, call, call_line) in calls {
            decisions.push(self.decision(request, about, call, call_line).await?);
        }
        Ok(LineExplanation {
            invoice_id: invoice,
            number: document.number,
            issued_on: document.issued_on,
            position,
            title: line.title,
            quantity: line.quantity,
            charge_id: ChargeId(line.charge_id),
            used_start: line.used_start,
            used_end: line.used_end,
            currency: document.currency,
            price_mode: document.price_mode,
            net_minor: line.net_minor,
            tax_minor: line.tax_minor,
            gross_minor: line.gross_minor,
            tax_code: line.tax_code,
            tax_rate: line.tax_rate,
            decisions,
        })
    }

    async fn decision(
        &self,
        request: &Request,
        about: &str,
        row: rows::NamedCallRow,
        call_line: i32,
    ) -> Result<Decision> {
        let call: CallRow = row.call.clone();
        let mut tx = self.read(request).await?;
        let evidence = replay::load(&mut tx, request.tenant.0, &call).await?;
        drop(tx);
        let shown = evidence.clone();
        let export = call.export.clone();
        let found = crate::plugins::blocking(move || -> Result<extract::Extract> {
            let (input, output) = shown.plain().map_err(ServiceError::Internal)?;
            let output = json(&export, Side::Output, output.as_deref().unwrap_or_default())?;
            Ok(extract::extract(&export, &json(&export, Side::Input, &input)?, &output, call_line))
        })
        .await??;
        let difference = match self.replay_call(&call, evidence).await? {
            Replayed::Identical => None,
            Replayed::Different(reason) | Replayed::Unreadable(reason) => Some(reason),
        };
        Ok(Decision {
            about: about.to_owned(),
            call: view(row),
            context: found.context,
            question: found.question,
            answer: found.answer,
            replayed_identical: difference.is_none(),
            difference,
        })
    }
}
