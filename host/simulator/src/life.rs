//! One life: the steps of a seed, lived on one engine, with the invariants looked at after each.
//!
//! Owns the clock, the hosts that die and start again, and the client that repeats its request under the same key when no
//! answer came. What is done in a step is in [`crate::act`].

use std::{fmt, sync::Arc};

use altyn_domain::run::{PlanState, RunMode, RunState};
use altyn_service::{
    Altyn, IdempotencyKey, Reply, Request, ServiceError,
    page::Page,
    ports::VirtualClock,
    runs::{Advanced, ConfirmPlans, RejectPlan, RunView, StartRun},
    scheduler::{Daily, JobFilter, JobState},
};
use altyn_store::Fuse;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    books::{Books, books, invoices},
    dice::SeededIds,
    operator::Operator,
    place::Place,
    step::{Close, Step},
};

/// When lives begin.
pub const BIRTH: &str = "2026-01-05T09:00:00Z";

/// Who does what no second person is needed for.
const PERSON: &str = "simulator";

/// The rules that are looked at after every step.
const ALWAYS: [&str; 4] =
    ["trial-balance-zero", "balances-equal-entries", "recurring-disjoint-gapless", "charge-has-line"];
/// In how many steps all others had their turn.
const TURNS: usize = 6;

/// How a life is lived, besides its steps.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether hosts die where the steps say so.
    pub crashes: bool,
    /// Whether each wait is cut into pieces, and the days closed by themselves after each piece.
    pub cut: Option<TimeDelta>,
    /// Whether all days are closed by themselves, whatever the steps say.
    pub daily: bool,
    /// Whether the books at the end are the invoices alone.
    pub invoices: bool,
    /// Whether the invariants are looked at after every step, or at the end only.
    pub watched: bool,
}

impl Manner {
    /// As the steps say, under watch.
    pub const USUAL: Self = Self { crashes: true, cut: None, daily: false, invoices: false, watched: true };
}

/// What a life came to.
#[derive(Debug)]
pub struct Lived {
    /// The books of each operator.
    pub books: Vec<Books>,
    /// What became of each step.
    pub outcomes: Vec<String>,
    /// How often a host died.
    pub crashes: u32,
    /// How many days were closed.
    pub closed: u32,
}

/// What should not have happened, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// The step, from 0.
    pub step: usize,
    /// What is wrong.
    pub what: String,
    /// The steps up to there, each with the instant and with what became of it.
    pub story: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.step, self.what)
    }
}

/// A life in progress.
pub struct Life<'p> {
    place: &'p Place,
    pub(crate) altyn: Altyn,
    pub(crate) clock: Arc<VirtualClock>,
    ids: Arc<SeededIds>,
    fuse: Option<Arc<Fuse>>,
    pub(crate) operators: Vec<Operator>,
    twice: bool,
    /// Who sends requests.
    credential: &'static str,
    /// Whether lives are compared in which days are closed at other times.
    pub(crate) timeless: bool,
    keys: u64,
    crashes: u32,
    closed: u32,
    hosts: u32,
}

impl<'p> Life<'p> {
    /// Lives the steps of a seed; `run` tells repetitions in one database apart.
    pub async fn live(place: &'p Place, seed: u64, run: u64, steps: &[Step], manner: Manner) -> Result<Lived, Broken> {
        let mut life = Self::born(place, seed, run).await.map_err(|error| Broken {
            step: 0,
            what: format!("the operator could not be made: {error:?}"),
            story: Vec::new(),
        })?;
        life.timeless = manner.invoices;
        let mut outcomes = Vec::with_capacity(steps.len());
        let mut story = Vec::with_capacity(steps.len());
        for (number, step) in steps.iter().enumerate() {
            let outcome = life.step(number, step, manner).await;
            let told = outcome.as_deref().unwrap_or("failed");
            story.push(format!("{number}: {} {step} => {told}", life.now().format("%F %R")));
            match outcome {
                Ok(outcome) if manner.watched => {
                    if let Err(what) = life.look(number).await {
                        return Err(Broken { step: number, what: format!("{what:#}"), story });
                    }
                    outcomes.push(outcome);
                }
                Ok(outcome) => outcomes.push(outcome),
                Err(what) => return Err(Broken { step: number, what: format!("{what:#}"), story }),
            }
        }
        match life.end(manner).await {
            Ok(books) => Ok(Lived { books, outcomes, crashes: life.crashes, closed: life.closed }),
            Err(what) => Err(Broken { step: steps.len().saturating_sub(1), what: format!("{what:#}"), story }),
        }
    }

    async fn born(place: &'p Place, seed: u64, run: u64) -> anyhow::Result<Self> {
        let clock = Arc::new(VirtualClock::new(BIRTH.parse()?));
        let ids = Arc::new(SeededIds::new(seed, run));
        let altyn = place.host(clock.clone(), ids.clone(), None);
        let operators = Operator::all(&altyn, place, seed).await?;
        Ok(Self {
            place,
            altyn,
            clock,
            ids,
            fuse: None,
            operators,
            twice: false,
            credential: PERSON,
            timeless: false,
            keys: 0,
            crashes: 0,
            closed: 0,
            hosts: 1,
        })
    }

    async fn step(&mut self, number: usize, step: &Step, manner: Manner) -> anyhow::Result<String> {
        self.twice = step.twice;
        if manner.crashes
            && let Some(writes) = step.crash_at_write
        {
            self.start(Some(writes));
        }
        let until = self.now() + step.after;
        if let Some(cut) = manner.cut {
            while self.now() + cut < until {
                self.clock.set(self.now() + cut);
                self.close_all(Close::Daily).await?;
            }
        }
        self.clock.set(until);
        let close = if manner.daily || manner.cut.is_some() { Close::Daily } else { step.close };
        self.close_all(close).await?;
        let place = number % self.operators.len();
        // Boxed: what any act needs is much, and a life is passed on by many.
        let outcome = Box::pin(self.act(place, number, &step.act)).await?;
        if self.burnt() {
            self.restart();
        }
        self.start(None);
        Ok(outcome)
    }

    /// The books at the end, after a last look at everything; running the last day once more leaves them as they are.
    async fn end(&mut self, manner: Manner) -> anyhow::Result<Vec<Books>> {
        for place in 0..self.operators.len() {
            self.jobs(place).await?;
        }
        self.check(|_| true).await?;
        let mut told = Vec::with_capacity(self.operators.len());
        if manner.invoices {
            for operator in &self.operators {
                told.push(invoices(&self.altyn, operator).await?);
            }
            return Ok(told);
        }
        for place in 0..self.operators.len() {
            // Dunning looks at what is owed now, which the last step may have changed; the second look is the same again.
            self.run_again(place).await?;
            let before = books(&self.altyn, &self.operators[place]).await?;
            self.run_again(place).await?;
            let after = books(&self.altyn, &self.operators[place]).await?;
            if let Some(difference) = before.difference(&after) {
                anyhow::bail!("running a finished run again changed the books, {difference}");
            }
            told.push(after);
        }
        Ok(told)
    }

    /// Does everything about the last closed day once more, as if nobody knew that it is done.
    async fn run_again(&mut self, place: usize) -> anyhow::Result<()> {
        let operator = &self.operators[place];
        let (request, tenant) = (operator.request(), operator.tenant.id);
        let page = Page { limit: Some(1), cursor: None };
        if self.altyn.run_list(&request, &page).await?.data.is_empty() {
            return Ok(());
        }
        let run = self.newest_run(place).await?;
        let day = run.business_on;
        let started = self.altyn.run_start(&request, StartRun { business_on: day, mode: None }).await;
        anyhow::ensure!(
            matches!(started, Err(ServiceError::Conflict { code: "run-exists", .. })),
            "the run of {day} is done and was started again: {started:?}"
        );
        let advanced = self.altyn.run_advance(tenant, run.id, &self.owner()).await?;
        anyhow::ensure!(advanced == Advanced::Done, "the run of {day} is done and was {advanced:?} when run again");
        self.altyn.credit_day_close(tenant, day).await?;
        self.altyn.dunning_day(tenant, day).await?;
        self.altyn.subscriptions_close(tenant, day).await?;
        Ok(())
    }

    /// The digest of an installed component.
    pub(crate) fn component(&self, name: &str) -> String {
        self.place.components.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        altyn_service::ports::Clock::now(&*self.clock)
    }

    fn burnt(&self) -> bool {
        self.fuse.as_ref().is_some_and(|fuse| fuse.burnt())
    }

    /// A host with nothing in its memory, which dies at a write or lives on.
    fn start(&mut self, crash_at_write: Option<u32>) {
        if crash_at_write.is_none() && self.fuse.is_none() {
            return;
        }
        self.fuse = crash_at_write.map(|writes| Arc::new(Fuse::after(writes)));
        self.altyn = self.place.host(self.clock.clone(), self.ids.clone(), self.fuse.clone());
    }

    fn restart(&mut self) {
        self.crashes += 1;
        self.hosts += 1;
        self.start(None);
    }

    fn owner(&self) -> String {
        format!("host/{}", self.hosts)
    }

    /// Does something until a host that lives answers; each host does it anew.
    pub(crate) async fn until_answered<T>(
        &mut self,
        work: impl AsyncFn(&Altyn) -> Result<T, ServiceError>,
    ) -> anyhow::Result<Result<T, ServiceError>> {
        loop {
            match work(&self.altyn).await {
                Err(_) if self.burnt() => self.restart(),
                answer => return Ok(answer),
            }
        }
    }

    /// Sends a request under a key, again when its host died, and in some steps once more: the answer must be the same.
    pub(crate) async fn send<T: Serialize + DeserializeOwned>(
        &mut self,
        place: usize,
        work: impl AsyncFn(&Altyn, &Request) -> Result<Reply<T>, ServiceError>,
    ) -> anyhow::Result<Result<T, ServiceError>> {
        self.keys += 1;
        let key = IdempotencyKey {
            key: format!("key-{}", self.keys),
            request: "POST /simulated".to_owned(),
            fingerprint: [u8::try_from(self.keys % 251).unwrap_or(0); 32],
        };
        let request =
            Request { key: Some(key), credential: self.credential.to_owned(), ..self.operators[place].request() };
        let first = match self.until_answered(async |altyn| work(altyn, &request).await).await? {
            Ok(reply) => reply.value,
            Err(error) => return Ok(Err(expected(error)?)),
        };
        if self.twice {
            let again = self.until_answered(async |altyn| work(altyn, &request).await).await?;
            let again = again.map_err(|error| anyhow::anyhow!("the same request again: {}", told(&error)))?;
            anyhow::ensure!(again.replayed, "a request with a known key was done again");
            let (first, again) = (serde_json::to_value(&first)?, serde_json::to_value(&again.value)?);
            anyhow::ensure!(first == again, "the same request again has another answer: {first} and {again}");
        }
        Ok(Ok(first))
    }

    /// Closes days of all operators.
    async fn close_all(&mut self, close: Close) -> anyhow::Result<()> {
        for place in 0..self.operators.len() {
            match close {
                Close::None => {}
                Close::Daily => self.close_days(place).await?,
                Close::Last => self.close_last(place, RunMode::Automatic, false).await?,
                Close::Confirmed { reject } => self.close_last(place, RunMode::WithConfirmation, reject).await?,
            }
        }
        Ok(())
    }

    /// What the scheduler does until nothing is due.
    async fn close_days(&mut self, place: usize) -> anyhow::Result<()> {
        let tenant = self.operators[place].tenant.clone();
        let now = self.now();
        loop {
            match self.until_answered(async |altyn| altyn.run_daily(&tenant, now).await).await?.map_err(failed)? {
                Daily::Started(run) => {
                    self.closed += 1;
                    self.drive(place, &run, false).await?;
                }
                Daily::Waiting => {
                    // A host died between starting a run and driving it.
                    let newest = self.newest_run(place).await?;
                    self.drive(place, &newest, false).await?;
                }
                Daily::UpToDate => break,
                Daily::Unbound(worlds) => anyhow::bail!("no plugin is bound to {worlds:?}"),
            }
        }
        self.jobs(place).await
    }

    async fn newest_run(&mut self, place: usize) -> anyhow::Result<RunView> {
        let request = self.operators[place].request();
        let mut newest = None;
        let mut cursor = None;
        loop {
            let page = Page { limit: Some(100), cursor };
            let listed = self.until_answered(async |altyn| altyn.run_list(&request, &page).await).await?;
            let listed = listed.map_err(failed)?;
            newest = listed.data.into_iter().next_back().or(newest);
            cursor = listed.next_cursor;
            if cursor.is_none() {
                return newest.ok_or_else(|| anyhow::anyhow!("a run waits, but there is none"));
            }
        }
    }

    /// Closes the last day that is over, as a person does who was away.
    async fn close_last(&mut self, place: usize, mode: RunMode, reject: bool) -> anyhow::Result<()> {
        let Some(day) = self.today(place)?.pred_opt() else { return Ok(()) };
        let started = self
            .send(place, async |altyn, request| {
                altyn.run_start(request, StartRun { business_on: day, mode: Some(mode) }).await
            })
            .await?;
        match started {
            Ok(run) => {
                self.closed += 1;
                self.drive(place, &run, reject).await
            }
            Err(ServiceError::Conflict { code: "run-exists" | "day-closed", .. }) => self.jobs(place).await,
            Err(error) => Err(failed(error)),
        }
    }

    /// The operator's today.
    pub(crate) fn today(&self, place: usize) -> anyhow::Result<NaiveDate> {
        let zone: chrono_tz::Tz = self.operators[place].tenant.zone.parse()?;
        Ok(self.now().with_timezone(&zone).date_naive())
    }

    /// Works on a run until it is done, deciding about plans that wait.
    async fn drive(&mut self, place: usize, run: &RunView, mut reject: bool) -> anyhow::Result<()> {
        let request = self.operators[place].request();
        let mut round = 0;
        loop {
            self.jobs(place).await?;
            let seen =
                self.until_answered(async |altyn| altyn.run_get(&request, run.id).await).await?.map_err(failed)?;
            anyhow::ensure!(seen.parked == 0, "{}", self.parked(place, &seen).await?);
            match seen.state {
                RunState::Done => return Ok(()),
                RunState::Awaiting => {
                    let waiting = Some(PlanState::Awaiting);
                    let page = Page { limit: Some(1), cursor: None };
                    let plans = self
                        .until_answered(async |altyn| altyn.run_plans(&request, run.id, waiting, &page).await)
                        .await?;
                    if let (true, Some(plan)) = (reject, plans.map_err(failed)?.data.first()) {
                        reject = false;
                        let contract = plan.contract_id;
                        let command = RejectPlan { reason: "not today".to_owned() };
                        let sent = self.send(place, async |altyn, request| {
                            altyn.run_reject(request, run.id, contract, command.clone()).await
                        });
                        sent.await?.map_err(failed)?;
                    } else {
                        // Where one is not enough, the other confirms next.
                        self.credential = if round % 2 == 0 { PERSON } else { "second" };
                        round += 1;
                        let sent = self
                            .send(place, async |altyn, request| {
                                altyn.run_confirm_all(request, run.id, ConfirmPlans::default()).await
                            })
                            .await;
                        self.credential = PERSON;
                        sent?.map_err(failed)?;
                    }
                }
                state => anyhow::bail!("the run of {} is {state} and nobody works on it", seen.business_on),
            }
        }
    }

    async fn parked(&mut self, place: usize, run: &RunView) -> anyhow::Result<String> {
        let request = self.operators[place].request();
        let page = Page { limit: Some(10), cursor: None };
        let plans = self.altyn.run_plans(&request, run.id, Some(PlanState::Parked), &page).await?;
        let reasons: Vec<_> = plans.data.into_iter().filter_map(|plan| plan.reason).collect();
        Ok(format!("the run of {} parked contracts: {}", run.business_on, reasons.join("; ")))
    }

    /// Works on the jobs that are due; none may fail.
    pub(crate) async fn jobs(&mut self, place: usize) -> anyhow::Result<()> {
        let tenant = self.operators[place].tenant.id;
        let now = self.now();
        loop {
            let owner = self.owner();
            let before = self.hosts;
            let worked = self.until_answered(async |altyn| altyn.jobs_work(tenant, &owner, now).await).await?;
            let worked = worked.map_err(failed)?;
            if self.burnt() {
                self.restart();
                continue;
            }
            if worked.postponed + worked.dead > 0 {
                let request = self.operators[place].request();
                let filter = JobFilter { state: Some(JobState::Ready) };
                let page = Page { limit: Some(100), cursor: None };
                let jobs = self.altyn.job_list(&request, filter, &page).await?;
                let errors: Vec<_> = jobs
                    .data
                    .iter()
                    .filter_map(|job| Some(format!("{}: {}", job.kind, job.last_error.as_ref()?)))
                    .collect();
                anyhow::bail!("a job failed: {}", errors.join("; "));
            }
            if before == self.hosts {
                return Ok(());
            }
        }
    }

    /// Looks at rules of the books of every operator after a step: those about money that is spent twice each time, and the
    /// others in turn, for a look at all of them takes as long as the step.
    async fn look(&self, number: usize) -> anyhow::Result<()> {
        self.check(|code| {
            ALWAYS.contains(&code) || code.bytes().map(usize::from).sum::<usize>() % TURNS == number % TURNS
        })
        .await
    }

    async fn check(&self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        for operator in &self.operators {
            let report = self.altyn.verify_books(&operator.request(), &wanted).await?;
            let broken: Vec<_> = report
                .rules
                .iter()
                .filter(|rule| rule.violations > 0)
                .map(|rule| format!("{}: {}", rule.code, rule.examples.join("; ")))
                .collect();
            anyhow::ensure!(broken.is_empty(), "the books break {}", broken.join("\n"));
        }
        Ok(())
    }
}

/// An error that nobody made.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(crate) fn failed(error: ServiceError) -> anyhow::Error {
    anyhow::anyhow!("{}", told(&error))
}

/// A refusal that a client may get; what only a fault explains is an error.
pub(crate) fn expected(error: ServiceError) -> anyhow::Result<ServiceError> {
    match error {
        ServiceError::Store(_)
        | ServiceError::Internal(_)
        | ServiceError::Plugin { .. }
        | ServiceError::Conflict { code: "busy", .. } => Err(failed(error)),
        other => Ok(other),
    }
}

fn told(error: &ServiceError) -> String {
    match error {
        ServiceError::Store(error) => format!("{error:?}"),
        ServiceError::Invalid(fields) => format!("{fields:?}"),
        other => format!("{}: {other:?}", other.code()),
    }
}
