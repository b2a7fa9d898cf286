//! Recording use: events come in batches, each is recorded once by its sender's id, and every refused one is named.
//!
//! Owns what makes an event acceptable and which window it falls into. Refuses to know prices of plans beyond showing
//! them. Invariant: a recorded event is never changed; it is counted in the one window whose instants hold its own, be
//! that open or yet to open, and when that was billed before, the window is billed again for what the event adds.

mod ingest;
pub(crate) mod kept;
mod report;

pub use ingest::{IngestReport, LARGEST_BATCH, RefusedEvent, UsageEvent, UsageEvents, events_of_lines};
pub use report::{EventFilter, UsageEventView, WindowState, WindowView};
