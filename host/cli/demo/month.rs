//! Billing the month: the first day with confirmation, the others automatic.

use std::time::Instant;

use altyn_domain::{
    money::Money,
    run::{PlanState, RunMode, RunState},
};
use altyn_service::{
    page::{LARGEST_PAGE, Page},
    runs::{ConfirmPlan, ConfirmPlans, PlanView, RunView, StartRun},
};
use chrono::{Months, NaiveDate};

use super::{
    Stage,
    operator::Operator,
    report::{Parked, Summary},
};
use crate::cli::{
    exit::Failure,
    output::{self, Table},
    progress::advance,
};

/// How many plans are printed before they are confirmed.
const SHOWN: usize = 5;

/// Closes every day of the month at 02:00 of the day after it.
pub async fn bill(stage: &Stage, operator: &Operator, first: NaiveDate, summary: &mut Summary) -> Result<(), Failure> {
    let end = first.checked_add_months(Months::new(1)).unwrap_or(first);
    let mut days = Vec::new();
    for day in first.iter_days().take_while(|day| *day < end) {
        stage.set_clock(day.succ_opt().unwrap_or(day), 2);
        let mode = if day == first { RunMode::WithConfirmation } else { RunMode::Automatic };
        let began = Instant::now();
        let command = StartRun { business_on: day, mode: Some(mode) };
        let run = stage.session.altyn.run_start(&operator.request, command).await?.value;
        let mut run = advance(&stage.session.altyn, &operator.request, run.id).await?;
        if run.state == RunState::Awaiting {
            run = confirmed(stage, operator, &run).await?;
        }
        let millis = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        summary.billed(&run);
        if run.state != RunState::Done {
            summary.wrong_because(format!("the run of {day} is {}", run.state));
        }
        if run.parked > 0 {
            summary.parked.extend(parked(stage, operator, &run).await?);
        }
        eprintln!("{day} closed in {millis} ms");
        days.push((run, millis));
    }
    stage.teller.title("The days");
    stage.teller.say(&days_text(operator, &days));
    if !summary.parked.is_empty() {
        stage.teller.title("Parked");
        stage.teller.say(&Parked::table(&summary.parked));
    }
    Ok(())
}

fn days_text(operator: &Operator, days: &[(RunView, i64)]) -> String {
    let amount = |minor| output::amount(Money::new(minor, operator.currency));
    let mut table =
        Table::new(["day", "mode", "subscriptions", "invoices", "net", "tax", "gross", "realised", "parked", "ms"]);
    for (run, millis) in days {
        table.row([
            run.business_on.to_string(),
            run.mode.to_string(),
            output::count(run.subscriptions),
            output::count(run.invoices),
            amount(run.net_minor),
            amount(run.tax_minor),
            amount(run.gross_minor),
            amount(run.realised_gross_minor),
            output::count(run.parked),
            output::count(*millis),
        ]);
    }
    table.render()
}

/// Looks at the plans, confirms one by its hash and the rest at once, and lets them be executed.
async fn confirmed(stage: &Stage, operator: &Operator, run: &RunView) -> Result<RunView, Failure> {
    let altyn = &stage.session.altyn;
    let plans = plans(stage, operator, run, PlanState::Awaiting).await?;
    let amount = |minor| output::amount(Money::new(minor, operator.currency));
    let gross: i64 = plans.iter().map(|plan| plan.gross_minor).sum();
    stage.teller.title(&format!("{}: the plans wait for a person", run.business_on));
    let mut table = Table::new(["contract", "lines", "net", "tax", "gross", "plan hash"]);
    for plan in plans.iter().take(SHOWN) {
        let hash = plan.plan_hash.clone().unwrap_or_default();
        table.row([
            plan.contract_id.to_string(),
            plan.lines.to_string(),
            amount(plan.net_minor),
            amount(plan.tax_minor),
            amount(plan.gross_minor),
            hash,
        ]);
    }
    stage.teller.say(&table.render());
    let count = i64::try_from(plans.len()).unwrap_or(i64::MAX);
    let total = amount(gross);
    stage.teller.say(&format!("… {} plans, {total} {} in all\n", output::count(count), operator.currency));
    if let Some(PlanView { contract_id, plan_hash: Some(hash), .. }) = plans.first() {
        let command = ConfirmPlan { plan_hash: hash.clone() };
        altyn.run_confirm(&operator.request, run.id, *contract_id, command).await?;
        stage.teller.say(&format!("confirmed {contract_id} by its hash {hash}\n"));
    }
    altyn.run_confirm_all(&operator.request, run.id, ConfirmPlans::default()).await?;
    stage.teller.say("confirmed all others at once\n");
    advance(altyn, &operator.request, run.id).await
}

async fn plans(stage: &Stage, operator: &Operator, run: &RunView, state: PlanState) -> Result<Vec<PlanView>, Failure> {
    let mut all = Vec::new();
    let mut page = Page { limit: Some(LARGEST_PAGE), cursor: None };
    loop {
        let plans = stage.session.altyn.run_plans(&operator.request, run.id, Some(state), &page).await?;
        all.extend(plans.data);
        match plans.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return Ok(all),
        }
    }
}

async fn parked(stage: &Stage, operator: &Operator, run: &RunView) -> Result<Vec<Parked>, Failure> {
    let plans = plans(stage, operator, run, PlanState::Parked).await?;
    let parked = plans.into_iter().map(|plan| Parked {
        day: run.business_on,
        contract: plan.contract_id,
        code: plan.reason_code.unwrap_or_default(),
        reason: plan.reason.unwrap_or_default(),
    });
    Ok(parked.collect())
}
