-- Meters of counters that are read: what they advanced is billed. The twin file for SQLite has the same number, name, tables and
-- columns.

alter table meters drop constraint meters_aggregation_check;
alter table meters add constraint meters_aggregation_check
    check (aggregation in ('sum', 'count', 'max', 'min', 'average', 'last', 'unique', 'difference'));

-- How far each counter is billed: from its first reading to its highest. The item names the counter where there are several.
create table usage_counters (
    tenant_id uuid not null,
    subscription_id uuid not null,
    meter_id uuid not null,
    item text collate "C" not null,
    first_us bigint not null,
    first_units bigint not null check (first_units between 0 and 1000000000000),
    first_nanos int not null check (first_nanos between 0 and 999999999),
    highest_units bigint not null check (highest_units between first_units and 1000000000000),
    highest_nanos int not null check (highest_nanos between 0 and 999999999),
    billings int not null,
    primary key (tenant_id, subscription_id, meter_id, item)
);

grant select, insert, update, delete on usage_counters to altyn_app;
alter table usage_counters enable row level security;
alter table usage_counters force row level security;
create policy tenant_rows on usage_counters
    using (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid));
