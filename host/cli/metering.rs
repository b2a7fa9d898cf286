//! `altyn meter` and `altyn usage`: what use is counted by, and recording and reading it.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use altyn_domain::{
    id::{MeterId, SubscriptionId, UsageWindowId},
    metered::Aggregation,
};
use altyn_service::{
    Request,
    metering::{EventFilter, IngestReport, RefusedEvent, UsageEvent, events_of_lines},
    meters::{CreateMeter, UpdateMeter},
};
use clap::Subcommand;
use serde::Serialize;

use super::{
    exit::Failure,
    session::{PageArgs, Session},
};
use crate::Altyn;

const METER: &[&str] = &["id", "code", "title", "unit", "aggregation"];
const EVENT: &[&str] = &["id", "occurred_at", "quantity", "item", "received_at"];
const WINDOW: &[&str] = &[
    "id",
    "meter",
    "used_start",
    "used_end",
    "state",
    "events",
    "used",
    "unit",
    "amount_minor",
    "billed_minor",
    "due_on",
];
const IMPORTED: &[&str] = &["received", "accepted", "repeated", "late", "refused"];
/// A longer line is no event.
const LONGEST_LINE: u64 = 64 << 10;
/// How many events are recorded at once: enough to be quick, few enough to keep memory flat.
const BATCH: usize = 5_000;

/// Verbs of `altyn meter`.
#[derive(Debug, Subcommand)]
pub enum MeterCommand {
    /// Create a meter
    Create {
        /// Its code; events name it
        #[arg(long)]
        code: String,
        /// Its name
        #[arg(long)]
        title: String,
        /// What one unit is, such as GB
        #[arg(long)]
        unit: String,
        /// sum, count, max, min, average, last or unique
        #[arg(long)]
        aggregation: Aggregation,
    },
    /// List meters
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one meter
    Show {
        /// Which
        id: MeterId,
    },
    /// Change a meter's name or unit
    Update {
        /// Which
        id: MeterId,
        /// Its name
        #[arg(long)]
        title: Option<String>,
        /// What one unit is
        #[arg(long)]
        unit: Option<String>,
    },
}

/// Verbs of `altyn usage`.
#[derive(Debug, Subcommand)]
pub enum UsageCommand {
    /// Record events, one JSON object a line; refused ones are named on stderr and fail nothing
    Import {
        /// The file; - is stdin
        file: PathBuf,
    },
    /// List a subscription's events of one meter, by the instant at which they happened
    List {
        /// The subscription
        subscription: SubscriptionId,
        /// Code of the meter
        #[arg(long)]
        meter: String,
        /// Only events of this window
        #[arg(long)]
        window: Option<UsageWindowId>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show what a subscription used, by period, with what it costs by now
    Summary {
        /// The subscription
        subscription: SubscriptionId,
        #[command(flatten)]
        page: PageArgs,
    },
}

/// What became of a file.
#[derive(Debug, Default, Serialize)]
struct Imported {
    received: usize,
    accepted: usize,
    repeated: usize,
    late: usize,
    refused: usize,
}

impl MeterCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = session.request().await?;
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            Self::Create { code, title, unit, aggregation } => {
                let command = CreateMeter { code, title, unit, aggregation };
                printer.object(&altyn.meter_create(&request, command).await?.value, METER)
            }
            Self::List { page } => printer.list(&altyn.meter_list(&request, &page.page()).await?, METER),
            Self::Show { id } => printer.object(&altyn.meter_get(&request, id).await?, METER),
            Self::Update { id, title, unit } => {
                let version = altyn.meter_get(&request, id).await?.version;
                let command = UpdateMeter { title, unit };
                printer.object(&altyn.meter_update(&request, id, version, command).await?.value, METER)
            }
        }
    }
}

impl UsageCommand {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (request, printer) = session.request_in_currency().await?;
        let altyn = &session.altyn;
        match self {
            Self::Import { file } => printer.object(&import(altyn, &request, &file).await?, IMPORTED),
            Self::List { subscription, meter, window, page } => {
                let filter = EventFilter { subscription_id: subscription, meter, window_id: window };
                printer.list(&altyn.usage_events(&request, &filter, &page.page()).await?, EVENT)
            }
            Self::Summary { subscription, page } => {
                printer.list(&altyn.usage_windows(&request, subscription, &page.page()).await?, WINDOW)
            }
        }
    }
}

/// Records a file batch by batch; each batch is recorded whole, so a file may be imported again from the beginning.
async fn import(altyn: &Altyn, request: &Request, file: &Path) -> Result<Imported, Failure> {
    let unreadable = |error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", file.display()));
    let mut reader: Box<dyn BufRead + Send> = if file.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(file).map_err(unreadable)?))
    };
    let mut sum = Imported::default();
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::with_capacity(BATCH);
    let mut number = 0;
    loop {
        let line = next_line(&mut *reader).map_err(unreadable)?;
        let ended = line.is_none();
        if let Some(line) = line {
            number += 1;
            if !line.trim_ascii().is_empty() {
                lines.push((number, line));
            }
        }
        if lines.len() == BATCH || (ended && !lines.is_empty()) {
            let events = events_of_lines(lines.iter().map(|(_, line)| line.as_slice()));
            let numbers = lines.drain(..).map(|(number, _)| number).collect::<Vec<_>>();
            record(altyn, request, events, &numbers, &mut sum).await?;
        }
        if ended {
            return Ok(sum);
        }
    }
}

/// The next line without its end; one that is too long is cut, so that it does not read as an event.
fn next_line(reader: &mut dyn BufRead) -> std::io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let mut line = Vec::new();
    if (&mut *reader).take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else {
        // The end of the file, or a line that goes on.
        let mut rest = Vec::new();
        while (&mut *reader).take(LONGEST_LINE).read_until(b'\n', &mut rest)? > 0 && rest.last() != Some(&b'\n') {
            line.truncate(64);
            rest.clear();
        }
        if !rest.is_empty() {
            line.truncate(64);
        }
    }
    Ok(Some(line))
}

async fn record(
    altyn: &Altyn,
    request: &Request,
    events: Vec<Result<UsageEvent, RefusedEvent>>,
    numbers: &[usize],
    sum: &mut Imported,
) -> Result<(), Failure> {
    let IngestReport { received, accepted, repeated, late, refused } =
        altyn.usage_ingest_read(request, events).await?.value;
    for event in &refused {
        let line = numbers.get(event.position).copied().unwrap_or_default();
        eprintln!("line {line}: {}: {}: {}", event.id.as_deref().unwrap_or("-"), event.code, event.message);
    }
    sum.received += received;
    sum.accepted += accepted;
    sum.repeated += repeated;
    sum.late += late;
    sum.refused += refused.len();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_at_a_time_and_a_long_one_is_no_event() {
        let long = "x".repeat(usize::try_from(LONGEST_LINE).unwrap() * 3 + 5);
        let text = format!("one\n\n{long}\ntwo");
        let mut reader: &[u8] = text.as_bytes();
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut reader).unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["one", "", &"x".repeat(64), "two"]);
    }
}
