-- Meters, metered components, recorded use and the windows it is billed by. The twin file for SQLite has the same number,
-- name, tables and columns.

create table meters (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    code text collate "C" not null,
    title text not null,
    unit text not null,
    aggregation text not null check (aggregation in ('sum', 'count', 'max', 'min', 'average', 'last', 'unique')),
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, code)
);

-- What a metered component counts, and its price as JSON.
alter table plan_components add column meter_id uuid;
alter table plan_components add column metered text;

-- Written by the thousand, without foreign keys. The id is the sender's, and what makes a repetition change nothing. The
-- instant is in microseconds since 1970 and the quantity in whole units and billionths: both engines compare and sum
-- them exactly.
create table usage_events (
    tenant_id uuid not null,
    event_id text collate "C" not null,
    subscription_id uuid not null,
    meter_id uuid not null,
    occurred_us bigint not null,
    units bigint not null check (units between 0 and 1000000000000),
    nanos int not null check (nanos between 0 and 999999999),
    item text,
    received_us bigint not null,
    primary key (tenant_id, event_id)
);
create index usage_events_by_time on usage_events (tenant_id, subscription_id, meter_id, occurred_us);

-- The days of one period that one component bills the use of: half-open in instants, disjoint for a subscription and meter.
create table usage_windows (
    tenant_id uuid not null,
    id uuid not null,
    contract_id uuid not null,
    subscription_id uuid not null,
    plan_version_id uuid not null,
    component_id uuid not null,
    meter_id uuid not null,
    change_ordinal int not null,
    period_start date not null,
    period_end date not null,
    used_start date not null,
    used_end date not null,
    starts_us bigint not null,
    ends_us bigint not null,
    quantity text not null,
    discount_percent text not null,
    state text not null check (state in ('open', 'billed', 'late')),
    due_on date not null,
    billed_events bigint not null,
    billed_use text not null,
    billed_minor bigint not null,
    billings int not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, meter_id, starts_us),
    check (used_start < used_end and starts_us < ends_us and period_start <= used_start and used_end <= period_end)
);
-- The run walks this index in contract order; it holds what is still to be billed.
create index usage_windows_to_bill on usage_windows (tenant_id, contract_id, due_on, id) where state <> 'billed';

create trigger usage_events_append_only before update or delete on usage_events for each row execute function altyn_append_only();

grant select, insert, update, delete on meters, usage_windows to altyn_app;
grant select, insert on usage_events to altyn_app;
do $$ declare t text; begin
    foreach t in array array['meters', 'usage_events', 'usage_windows'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
