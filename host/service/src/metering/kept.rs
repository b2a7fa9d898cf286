//! Use that is recorded already and would be left without a window that bills it, were terms ended behind it.

use altyn_domain::calendar::Zones;
use altyn_store::{Tx, usage_windows};
use chrono::{DateTime, NaiveDate};
use uuid::Uuid;

use crate::{
    error::{Result, ServiceError},
    runs::metered::begins_us,
};

/// Days on which other terms count a meter: the meter, the first day and the day behind the last.
pub(crate) type Counted = (Uuid, NaiveDate, NaiveDate);

/// Refuses to end the terms of a subscription on a day with the conflict `use-recorded` when use was recorded from that day
/// on, up to the beginning of `today`, that none of `counted` takes.
///
/// What was used today is not asked for: days are whole, and this one belongs to whatever begins on it.
pub(crate) async fn keep_use(
    tx: &mut Tx,
    (tenant, subscription): (Uuid, Uuid),
    (on, today): (NaiveDate, NaiveDate),
    zones: &Zones,
    counted: &[Counted],
) -> Result<()> {
    if on >= today {
        return Ok(());
    }
    let (from_us, to_us) = (begins_us(on, zones), begins_us(today, zones));
    for row in usage_windows::recorded(tx, tenant, subscription, from_us, to_us).await? {
        let taken = |at: i64| {
            let of_meter = counted.iter().filter(|(meter, ..)| *meter == row.meter_id);
            of_meter.into_iter().any(|(_, start, end)| begins_us(*start, zones) <= at && at < begins_us(*end, zones))
        };
        if !(taken(row.first_us) && taken(row.last_us)) {
            let last = DateTime::from_timestamp_micros(row.last_us).unwrap_or_default();
            return Err(ServiceError::conflict(
                "use-recorded",
                format!(
                    "use of {} is recorded up to {} and would be billed by nobody; choose a timing or a day behind it",
                    row.code,
                    last.format("%Y-%m-%dT%H:%M:%SZ")
                ),
            ));
        }
    }
    Ok(())
}
