//! `altyn demo`: a made-up operator's month, billed end to end through the same services as everything else.
//!
//! Owns the story and nothing of its substance: no SQL, no shortcut, no figure of its own. Time is a virtual clock that is
//! set to each night of the month in turn. Invariant: what must be zero is checked, and the exit code says so.

mod month;
mod operator;
mod report;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use altyn_domain::calendar::instant_of;
use altyn_service::{
    Request,
    api_keys::{CreateApiKey, Role},
    page::Page,
    ports::VirtualClock,
    settings::TrustSettings,
};
use altyn_store::Db;
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use clap::Args;

use self::{operator::Operator, report::Summary};
use super::{
    exit::{Exit, Failure},
    output::{self, Output},
    serve,
    session::{Global, Session, start_log},
};
use crate::config::Config;

/// The operator's zone.
const ZONE: Tz = chrono_tz::Europe::Moscow;
/// The file of `altyn demo` without `--database`; it is made anew each time.
const DATABASE: &str = "target/demo/altyn.db";
/// The credential that the story leaves in records.
const CREDENTIAL: &str = "demo";

/// Options of `altyn demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Folder with the built components
    #[arg(long, value_name = "DIR", default_value = "target/plugins")]
    plugins: PathBuf,
    /// Folder with the operator's books
    #[arg(long, value_name = "DIR", default_value = "examples/operator")]
    books: PathBuf,
    /// The month to bill
    #[arg(long, value_name = "YYYY-MM", default_value = "2026-11", value_parser = first_of_month)]
    month: NaiveDate,
    /// End instead of serving what was billed
    #[arg(long)]
    no_serve: bool,
    /// Where to serve; default: 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

fn first_of_month(text: &str) -> Result<NaiveDate, String> {
    format!("{text}-01").parse().map_err(|_| "write the month as YYYY-MM, such as 2026-11".to_owned())
}

/// Where the story is told: stdout, unless that is kept for the figures.
#[derive(Clone, Copy)]
pub struct Teller(Output);

impl Teller {
    /// Some lines.
    pub fn say(self, text: &str) {
        match self.0 {
            Output::Table => output::write(text),
            Output::Json => eprint!("{text}"),
        }
    }

    /// A chapter's title.
    pub fn title(self, text: &str) {
        self.say(&format!("\n== {text}\n"));
    }
}

/// What the chapters share.
pub struct Stage {
    /// The application over the virtual clock.
    pub session: Session,
    /// The clock.
    pub clock: Arc<VirtualClock>,
    /// Where to tell.
    pub teller: Teller,
}

impl Stage {
    /// Sets the clock to a local time.
    pub fn set_clock(&self, day: NaiveDate, hour: u32) {
        let time = NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or(NaiveTime::MIN);
        self.clock.set(instant_of(day, time, ZONE));
    }
}

impl Demo {
    /// Tells the whole story.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let began = Instant::now();
        let mut global = global.clone();
        let own = global.database.is_none();
        if own {
            global.database = Some(format!("sqlite:{DATABASE}"));
        }
        let config = global.load(self.listen.as_deref())?;
        start_log(&config.log);
        // A port that is taken is told before the work, not after it.
        let listener = if self.no_serve { None } else { Some(serve::listen(&config.http.listen).await?) };
        if own {
            remove_old(Path::new(DATABASE))?;
        }
        let clock = Arc::new(VirtualClock::new(instant_of(self.month, NaiveTime::MIN, ZONE)));
        let session = fresh_database(&global, config, &clock).await?;
        let stage = Stage { session, clock, teller: Teller(global.output) };
        let told = self.tell(&stage, began).await;
        let summary = match told {
            Ok(summary) => summary,
            Err(failure) => {
                stage.session.close().await;
                return Err(failure);
            }
        };
        if global.output == Output::Json {
            output::line(&format!("{:#}", summary.json()));
        }
        let wrong = summary.wrong();
        if let (Some(listener), true) = (listener, wrong.is_empty()) {
            serve_month(&stage, &summary, listener).await?;
        }
        stage.session.close().await;
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Exit::Unverified, "demo-failed", "what must hold does not").with_details(wrong))
    }

    async fn tell(&self, stage: &Stage, began: Instant) -> Result<Summary, Failure> {
        let before = self.month.pred_opt().unwrap_or(self.month);
        stage.set_clock(before, 12);
        let mut summary = Summary::new(stage.session.altyn.db.engine().to_string());
        let operator = Operator::settle(stage, &mut summary, &self.books).await?;
        operator.bind(stage, &self.plugins, self.month).await?;
        month::bill(stage, &operator, self.month, &mut summary).await?;
        report::prove(stage, &operator, &mut summary).await?;
        report::shadow(stage, &operator, &self.plugins, self.month, &mut summary).await?;
        summary.ended(began.elapsed());
        stage.teller.title("Summary");
        stage.teller.say(&summary.text());
        Ok(summary)
    }
}

/// Removes what an earlier demonstration left.
fn remove_old(file: &Path) -> Result<(), Failure> {
    let told = |error: std::io::Error| Failure::failed(format!("cannot make {} anew: {error}", file.display()));
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Migrates and opens a database that must hold no tenant: the story never mixes with somebody's books.
async fn fresh_database(global: &Global, mut config: Config, clock: &Arc<VirtualClock>) -> Result<Session, Failure> {
    // The guests of the demonstration were built a minute ago on this machine; nobody has signed them.
    config.trust = TrustSettings::development();
    let open = || Session::open_at(global, config.clone(), Arc::clone(clock) as _);
    let one = Page { limit: Some(1), cursor: None };
    // Looked at before it is migrated, so that a database with books stays as it is.
    if let Ok(session) = open().await {
        let tenants = session.altyn.tenant_list_all(&one).await;
        session.close().await;
        if tenants.is_ok_and(|tenants| !tenants.data.is_empty()) {
            return Err(Failure::new(
                Exit::Conflict,
                "database-in-use",
                "this database has tenants; give the demonstration an empty one",
            ));
        }
    }
    Db::migrate(&config.database.url).await?;
    open().await
}

/// Serves what was billed, with a key and three requests to try.
async fn serve_month(stage: &Stage, summary: &Summary, listener: tokio::net::TcpListener) -> Result<(), Failure> {
    let altyn = &stage.session.altyn;
    let tenant = stage.session.tenant().await?;
    let command = CreateApiKey { name: "demonstration".to_owned(), role: Role::Admin, expires_at: None };
    let created = altyn.api_key_create(&Request::internal(tenant.id, CREDENTIAL), command).await?.value;
    let key = created.secret.unwrap_or_default();
    let url = listener.local_addr().map_or_else(|_| stage.session.config.http.listen.clone(), |at| at.to_string());
    stage.teller.title("Serving");
    stage.teller.say(&format!(
        "http://{url}  (documentation: http://{url}/docs/api)\n\
         API key: {key}\n\
         The clock stands at {} in {ZONE}. Ctrl-C ends.\n\n\
         curl -s -H 'Authorization: Bearer {key}' 'http://{url}/v1/ledger/trial-balance'\n\
         curl -s -H 'Authorization: Bearer {key}' 'http://{url}/v1/runs?limit=3'\n\
         curl -s -H 'Authorization: Bearer {key}' 'http://{url}/v1/invoices/{}'\n",
        altyn.clock.now().with_timezone(&ZONE).format("%Y-%m-%d %H:%M"),
        summary.sample_invoice.as_deref().unwrap_or(""),
    ));
    let tick_ms = stage.session.config.scheduler.enabled.then_some(stage.session.config.scheduler.tick_ms);
    serve::until_stopped(altyn.clone(), listener, tick_ms).await
}
