//! `altyn serve` and `altyn migrate`.

use altyn_service::page::Page;
use altyn_store::Db;
use clap::Args;
use tokio::{net::TcpListener, sync::watch};

use super::{
    exit::Failure,
    output,
    output::Output,
    session::{Global, Session, start_log},
};
use crate::{Altyn, config, http, scheduler};

/// Options of `altyn serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Bring the schema up to date first
    #[arg(long)]
    migrate: bool,
    /// Leave due jobs and daily runs to other hosts
    #[arg(long)]
    no_scheduler: bool,
}

impl Serve {
    /// Serves until Ctrl-C or SIGTERM.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let config = global.load(self.listen.as_deref())?;
        start_log(&config.log);
        if self.migrate {
            Db::migrate(&config.database.url).await?;
        }
        let session = Session::open(global, config).await?;
        // A database of another release is told now, not with the first request.
        session.altyn.tenant_list_all(&Page { limit: Some(1), cursor: None }).await?;
        // A host that cannot open the secrets would find out in the middle of a payment.
        session.altyn.master_keys_check(true).await?;
        let listener = listen(&session.config.http.listen).await?;
        let tick_ms =
            (session.config.scheduler.enabled && !self.no_scheduler).then_some(session.config.scheduler.tick_ms);
        let served = until_stopped(session.altyn.clone(), listener, tick_ms).await;
        session.close().await;
        served
    }
}

/// Takes the port, or says who might have it.
pub async fn listen(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let cure = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program has it; choose another with --listen",
            _ => "choose another with --listen",
        };
        Failure::failed(format!("cannot listen on {address}: {cure} ({error})"))
    })
}

/// Serves, and ticks when `tick_ms` says how often, until the process is asked to stop.
pub async fn until_stopped(altyn: Altyn, listener: TcpListener, tick_ms: Option<u64>) -> Result<(), Failure> {
    let (stop, stopping) = watch::channel(false);
    let mut ticking = tick_ms.map(|tick_ms| tokio::spawn(scheduler::run(altyn.clone(), tick_ms, stopping.clone())));
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, scheduler = tick_ms.is_some(), "serving");
    }
    let shutdown = async move {
        asked_to_stop().await;
        tracing::info!("stopping: requests under way are finished; ask again to end at once");
        tokio::spawn(async {
            asked_to_stop().await;
            std::process::exit(1);
        });
        // Nobody listening means that there is no scheduler.
        let _ = stop.send(true);
    };
    let serving = http::serve(altyn, listener, shutdown);
    tokio::pin!(serving);
    // A host whose scheduler has ended looks well and closes no day: better that it ends, and is started again.
    let served = match &mut ticking {
        None => serving.await,
        Some(task) => tokio::select! {
            served = &mut serving => {
                let _ = task.await;
                served
            }
            ended = &mut *task => match ended {
                // It was asked to stop, as the server was.
                Ok(()) => serving.await,
                Err(error) => return Err(Failure::failed(format!("the scheduler stopped: {error}; start the host again"))),
            }
        },
    };
    served.map_err(|error| Failure::failed(format!("serving stopped: {error}")))
}

async fn asked_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupted.await;
        }
    }
}

/// `altyn migrate`.
pub async fn migrate(global: &Global) -> Result<(), Failure> {
    let config = global.load(None)?;
    start_log(&config.log);
    let applied = Db::migrate(&config.database.url).await?;
    let url = config::redacted(&config.database.url);
    match global.output {
        Output::Table if applied == 0 => output::line(&format!("{url} is up to date")),
        Output::Table => output::line(&format!("{url}: {applied} migrations applied")),
        Output::Json => output::line(&serde_json::json!({ "database": url, "applied": applied }).to_string()),
    }
    Ok(())
}
