-- Meters of counters that are read: what they advanced is billed. The twin file for PostgreSQL has the same number, name, tables and
-- columns.

create table meters_anew (
    tenant_id blob not null references tenants (id),
    id blob not null,
    code text not null,
    title text not null,
    unit text not null,
    aggregation text not null
        check (aggregation in ('sum', 'count', 'max', 'min', 'average', 'last', 'unique', 'difference')),
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, code)
) strict, without rowid;
insert into meters_anew (tenant_id, id, code, title, unit, aggregation, version, created_at)
    select tenant_id, id, code, title, unit, aggregation, version, created_at from meters;
drop table meters;
pragma legacy_alter_table = on;
alter table meters_anew rename to meters;
pragma legacy_alter_table = off;

-- How far each counter is billed: from its first reading to its highest. The item names the counter where there are several.
create table usage_counters (
    tenant_id blob not null,
    subscription_id blob not null,
    meter_id blob not null,
    item text not null,
    first_us integer not null,
    first_units integer not null check (first_units between 0 and 1000000000000),
    first_nanos integer not null check (first_nanos between 0 and 999999999),
    highest_units integer not null check (highest_units between first_units and 1000000000000),
    highest_nanos integer not null check (highest_nanos between 0 and 999999999),
    billings integer not null,
    primary key (tenant_id, subscription_id, meter_id, item)
) strict, without rowid;
