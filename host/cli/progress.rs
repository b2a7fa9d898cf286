//! Working on a run from the command line, with signs of life on stderr.

use std::time::{Duration, Instant};

use altyn_domain::id::RunId;
use altyn_service::{
    Request,
    runs::{Advanced, RunView},
};

use super::exit::{Exit, Failure};
use crate::Altyn;

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// Works on a run until it is done, waits for a decision or is cancelled.
///
/// Ctrl-C leaves the run as it is: what is billed stays billed, and the run goes on where it stopped.
pub async fn advance(altyn: &Altyn, request: &Request, id: RunId) -> Result<RunView, Failure> {
    let began = Instant::now();
    let before = altyn.run_get(request, id).await?;
    let mut work = tokio::spawn(worked(altyn.clone(), request.clone(), id));
    let mut told = tokio::time::interval_at(tokio::time::Instant::now() + TELL, TELL);
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended,
            _ = told.tick() => {
                if let Ok(run) = altyn.run_get(request, id).await {
                    tell(&run, &before, began);
                }
            }
            _ = tokio::signal::ctrl_c() => {
                work.abort();
                let message = format!("interrupted; what is billed stays billed, go on with `altyn run resume {id}`");
                return Err(Failure::new(Exit::Failure, "interrupted", message));
            }
        }
    };
    ended
        .map_err(|error| Failure::failed(format!("the run stopped: {error}; go on with `altyn run resume {id}`")))??;
    Ok(altyn.run_get(request, id).await?)
}

async fn worked(altyn: Altyn, request: Request, id: RunId) -> Result<(), Failure> {
    let owner = format!("{}/{}", request.credential, altyn.ids.next().simple());
    let mut told = false;
    loop {
        match altyn.run_advance(request.tenant, id, &owner).await? {
            Advanced::Busy => {
                if !told {
                    eprintln!("another host works on this run, or died holding it; waiting");
                    told = true;
                }
                tokio::time::sleep(TELL).await;
            }
            Advanced::Done | Advanced::Awaiting | Advanced::Cancelled => return Ok(()),
        }
    }
}

fn tell(run: &RunView, before: &RunView, began: Instant) {
    let contracts = run.contracts - before.contracts;
    let millis = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX).max(1);
    let per_second = contracts.saturating_mul(1_000) / millis;
    eprintln!(
        "{} {}: {} contracts, {} subscriptions, {} parked; {per_second} contracts/s",
        run.business_on, run.state, run.contracts, run.subscriptions, run.parked
    );
}
