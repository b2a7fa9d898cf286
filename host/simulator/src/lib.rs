//! Two years of an operator's life from one number, on both engines, with the rules of the books after every step.
//!
//! Owns what happens ([`step`]), to whom ([`operator`]), where ([`place`]), how it is lived and looked at ([`life`]), and how
//! lives are compared ([`books`]). Refuses to know SQL, HTTP and the inside of a use case: it does what a client does, and
//! believes the product's own verification and nothing that it keeps itself.
//!
//! Invariant: a seed is the whole of it. Time, ids and chance come from it, hosts die where it says, and the same seed gives
//! the same answers and the same books on SQLite and on PostgreSQL, with its crashes or without them.

mod act;
mod books;
mod dice;
mod files;
mod life;
mod operator;
mod place;
mod rules;
mod step;
mod usage;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::TimeDelta;
use serde::Serialize;

use crate::{
    books::Books,
    life::{Broken, Life, Lived, Manner},
    place::{Guests, Place},
    step::{Step, steps},
};

/// Every so many seeds are lived without their crashes too, and must come to the same.
const UNDISTURBED: u64 = 12;

/// Of every so many seeds a year is lived with its days closed in time and with its days closed when somebody comes by.
const CUT: u64 = 200;
/// Which of them.
const CUT_AT: u64 = 11;

/// Which lives to live.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The first seed.
    pub seed: u64,
    /// How many seeds from there on.
    pub seeds: u64,
    /// Only so many steps of each.
    pub steps: Option<usize>,
    /// A PostgreSQL server where databases may be created: each life is lived there too.
    pub server: Option<String>,
    /// The folder with the built components.
    pub plugins: PathBuf,
    /// How many lives at once.
    pub workers: usize,
}

/// A life in which something broke.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// On which engine, or what was compared.
    pub engine: String,
    /// What broke, and the steps up to there.
    pub broken: Broken,
    /// The command that lives this life again, up to the step that shows it.
    pub again: String,
}

/// What all lives came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Seeds that were lived.
    pub seeds: u64,
    /// Lives on either engine.
    pub lives: u64,
    /// Steps taken.
    pub steps: u64,
    /// Days closed.
    pub days_closed: u64,
    /// Hosts that died.
    pub crashes: u64,
    /// What became of what was done: how often, by the kind of act and the outcome.
    pub outcomes: BTreeMap<String, BTreeMap<String, u64>>,
    /// SHA-256 over the books of each seed, hexadecimal: the same on every machine and engine.
    pub books: BTreeMap<u64, String>,
    /// Lives in which something broke.
    pub failures: Vec<Failure>,
}

impl Report {
    /// SHA-256 over the books of all seeds, hexadecimal.
    pub fn digest(&self) -> String {
        books::digest(&[Books { lines: self.books.values().cloned().collect() }])
    }

    fn add(&mut self, steps: &[Step], lived: &Lived) {
        self.lives += 1;
        self.steps += u64::try_from(lived.outcomes.len()).unwrap_or(0);
        self.days_closed += u64::from(lived.closed);
        self.crashes += u64::from(lived.crashes);
        for (step, outcome) in steps.iter().zip(&lived.outcomes) {
            *self.outcomes.entry(step.act.kind()).or_default().entry(outcome.clone()).or_default() += 1;
        }
    }
}

/// The places of one worker.
struct Places {
    sqlite: Place,
    postgres: Option<Place>,
}

/// Lives all that is wanted. An error means that lives could not be lived at all; what breaks in one is in the report.
pub fn simulate(wanted: &Wanted) -> anyhow::Result<Report> {
    let guests = Guests::new(&wanted.plugins)?;
    let next = AtomicU64::new(0);
    let report = Mutex::new(Report { seeds: wanted.seeds, ..Report::default() });
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..wanted.workers.max(1))
            .map(|number| {
                let (guests, next, report) = (&guests, &next, &report);
                scope.spawn(move || work(wanted, number, guests, next, report))
            })
            .collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a worker panicked; its message is above"))??;
        }
        anyhow::Ok(())
    })?;
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.failures.sort_by_key(|failure| failure.seed);
    Ok(report)
}

/// One worker: a thread with a reactor and databases of its own takes one seed after another.
fn work(
    wanted: &Wanted,
    number: usize,
    guests: &Guests,
    next: &AtomicU64,
    report: &Mutex<Report>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let postgres = match &wanted.server {
            Some(server) => {
                let name = format!("altyn_simulator_{}_{number}", std::process::id());
                Some(Place::new(Some(server), &name, guests).await?)
            }
            None => None,
        };
        let places = Places { sqlite: Place::new(None, "", guests).await?, postgres };
        loop {
            let index = next.fetch_add(1, Ordering::SeqCst);
            if index >= wanted.seeds {
                break;
            }
            seed(&places, wanted.seed.wrapping_add(index), wanted.steps, report).await;
        }
        places.sqlite.close().await?;
        match places.postgres {
            Some(place) => place.close().await,
            None => Ok(()),
        }
    })
}

/// Lives one seed in every way and compares.
async fn seed(places: &Places, seed: u64, most: Option<usize>, report: &Mutex<Report>) {
    let mut steps = steps(seed);
    steps.truncate(most.unwrap_or(usize::MAX));
    let note = |lived: Result<Lived, Broken>, engine: &str| {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match lived {
            Ok(lived) => {
                report.add(&steps, &lived);
                Some(lived)
            }
            Err(broken) => {
                let again = format!("cargo xtask simulate --seed {seed} --steps {}", broken.step + 1);
                report.failures.push(Failure { seed, engine: engine.to_owned(), broken, again });
                None
            }
        }
    };
    let first = note(Box::pin(Life::live(&places.sqlite, seed, 0, &steps, Manner::USUAL)).await, "sqlite");
    let Some(first) = first else { return };
    let digest = books::digest(&first.books);
    report.lock().unwrap_or_else(PoisonError::into_inner).books.insert(seed, digest);
    let compared = |other: Lived, engine: &str| {
        if let Some(broken) = differs(&first, &other, &steps) {
            note(Err(broken), engine);
        }
    };
    if let Some(postgres) = &places.postgres
        && let Some(other) = note(Box::pin(Life::live(postgres, seed, 0, &steps, Manner::USUAL)).await, "postgres")
    {
        compared(other, "sqlite and postgres");
    }
    if first.crashes > 0 && seed.is_multiple_of(UNDISTURBED) {
        let manner = Manner { crashes: false, watched: false, ..Manner::USUAL };
        if let Some(other) =
            note(Box::pin(Life::live(&places.sqlite, seed, 1, &steps, manner)).await, "sqlite without crashes")
        {
            compared(other, "sqlite with and without crashes");
        }
    }
    if seed % CUT == CUT_AT {
        let year = steps_within(&steps, TimeDelta::days(365));
        let late = Manner { crashes: false, cut: None, daily: true, invoices: true, watched: false };
        let in_time = Manner { cut: Some(TimeDelta::hours(5 + i64::try_from(seed % 7).unwrap_or(0) * 11)), ..late };
        let one = note(Box::pin(Life::live(&places.sqlite, seed, 2, year, late)).await, "sqlite, closed late");
        let other = note(Box::pin(Life::live(&places.sqlite, seed, 3, year, in_time)).await, "sqlite, closed in time");
        if let (Some(one), Some(other)) = (one, other)
            && let Some(broken) = differs(&one, &other, year)
        {
            note(Err(broken), "sqlite closed late and in time");
        }
    }
}

/// The steps that begin within a time.
fn steps_within(steps: &[Step], time: TimeDelta) -> &[Step] {
    let mut lived = TimeDelta::zero();
    let within = steps.iter().take_while(|step| {
        lived += step.after;
        lived <= time
    });
    let count = within.count();
    &steps[..count]
}

/// Where two lives of the same steps part.
fn differs(one: &Lived, other: &Lived, steps: &[Step]) -> Option<Broken> {
    let outcomes = one.outcomes.iter().zip(&other.outcomes).enumerate();
    if let Some((step, (one, other))) = outcomes.into_iter().find(|(_, (one, other))| one != other) {
        let what = format!("the answers differ: {one} and {other}");
        return Some(Broken { step, what, story: vec![steps[step].to_string()] });
    }
    let mut books = one.books.iter().zip(&other.books);
    books.find_map(|(one, other)| one.difference(other)).map(|difference| Broken {
        step: steps.len().saturating_sub(1),
        what: format!("the books differ, {difference}"),
        story: Vec::new(),
    })
}
