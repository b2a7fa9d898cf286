-- Meters, metered components, recorded use and the windows it is billed by. The twin file for PostgreSQL has the same number,
-- name, tables and columns.

create table meters (
    tenant_id blob not null references tenants (id),
    id blob not null,
    code text not null,
    title text not null,
    unit text not null,
    aggregation text not null check (aggregation in ('sum', 'count', 'max', 'min', 'average', 'last', 'unique')),
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, code)
) strict, without rowid;

-- What a metered component counts, and its price as JSON.
alter table plan_components add column meter_id blob;
alter table plan_components add column metered text;

-- Written by the thousand, without foreign keys. The id is the sender's, and what makes a repetition change nothing. The
-- instant is in microseconds since 1970 and the quantity in whole units and billionths: both engines compare and sum
-- them exactly.
create table usage_events (
    tenant_id blob not null,
    event_id text not null,
    subscription_id blob not null,
    meter_id blob not null,
    occurred_us integer not null,
    units integer not null check (units between 0 and 1000000000000),
    nanos integer not null check (nanos between 0 and 999999999),
    item text,
    received_us integer not null,
    primary key (tenant_id, event_id)
) strict, without rowid;
create index usage_events_by_time on usage_events (tenant_id, subscription_id, meter_id, occurred_us);

-- The days of one period that one component bills the use of: half-open in instants, disjoint for a subscription and meter.
create table usage_windows (
    tenant_id blob not null,
    id blob not null,
    contract_id blob not null,
    subscription_id blob not null,
    plan_version_id blob not null,
    component_id blob not null,
    meter_id blob not null,
    change_ordinal integer not null,
    period_start text not null,
    period_end text not null,
    used_start text not null,
    used_end text not null,
    starts_us integer not null,
    ends_us integer not null,
    quantity text not null,
    discount_percent text not null,
    state text not null check (state in ('open', 'billed', 'late')),
    due_on text not null,
    billed_events integer not null,
    billed_use text not null,
    billed_minor integer not null,
    billings integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, meter_id, starts_us),
    check (used_start < used_end and starts_us < ends_us and period_start <= used_start and used_end <= period_end)
) strict, without rowid;
-- The run walks this index in contract order; it holds what is still to be billed.
create index usage_windows_to_bill on usage_windows (tenant_id, contract_id, due_on, id) where state <> 'billed';

create trigger usage_events_no_update before update on usage_events begin
    select raise(abort, 'append-only: update of a row in usage_events is refused'); end;
create trigger usage_events_no_delete before delete on usage_events begin
    select raise(abort, 'append-only: delete of a row in usage_events is refused'); end;
