-- Actions on subscriptions: their changes, the table that says when a change takes effect, and the fields of a periodic
-- payment. The twin file for PostgreSQL has the same number, name, tables and columns.

alter table plan_versions add column stub text not null default 'prorate';

-- Absent terms begin with the first day of service.
alter table subscriptions add column terms_from text;
-- How many changes were executed; every charge carries the number it was made under.
alter table subscriptions add column change_ordinal integer not null default 0;
alter table subscriptions add column discount_minor integer not null default 0;
alter table subscriptions add column discount_from text;
alter table subscriptions add column discount_until text;
alter table subscriptions add column manual integer not null default 0;
alter table subscriptions add column documents_on_activation integer not null default 0;
alter table subscriptions add column notify_on_activation integer not null default 0;
alter table subscriptions add column description text;

-- A period is charged once under the same terms: what a change gave back is charged again by the next ones. SQLite cannot
-- change a key, so the table is made anew around its rows. A change may end what a charge covers before its last day.
create table charges_rekeyed (
    tenant_id blob not null,
    id blob not null,
    contract_id blob not null,
    subscription_id blob not null,
    component_id blob not null,
    invoice_id blob not null,
    run_id blob,
    kind text not null,
    status text not null,
    period_start text not null,
    period_end text not null,
    used_start text not null,
    used_end text not null,
    charged_on text not null,
    realises_on text not null,
    paid_on text,
    currency text not null,
    amount_minor integer not null,
    proration_call_id blob,
    call_line integer,
    created_at text not null,
    invoice_position integer not null default 0,
    prepaid_minor integer check (prepaid_minor >= 0),
    credited_minor integer not null default 0 check (credited_minor >= 0),
    realised_on text,
    change_ordinal integer not null default 0,
    covered_until text,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, component_id, period_start, change_ordinal),
    check (period_start < period_end and used_start <= used_end and period_start <= used_start and used_end <= period_end)
) strict, without rowid;
insert into charges_rekeyed (tenant_id, id, contract_id, subscription_id, component_id, invoice_id, run_id, kind, status,
        period_start, period_end, used_start, used_end, charged_on, realises_on, paid_on, currency, amount_minor,
        proration_call_id, call_line, created_at, invoice_position, prepaid_minor, credited_minor, realised_on)
    select tenant_id, id, contract_id, subscription_id, component_id, invoice_id, run_id, kind, status,
        period_start, period_end, used_start, used_end, charged_on, realises_on, paid_on, currency, amount_minor,
        proration_call_id, call_line, created_at, invoice_position, prepaid_minor, credited_minor, realised_on
    from charges;
drop table charges;
-- A trigger of the credits names the table, and would keep it from being renamed.
pragma legacy_alter_table = on;
alter table charges_rekeyed rename to charges;
pragma legacy_alter_table = off;
create index charges_to_realise on charges (tenant_id, contract_id, realises_on, id) where realised_on is null;

create table subscription_changes (
    tenant_id blob not null,
    id blob not null,
    subscription_id blob not null,
    contract_id blob not null,
    kind text not null,
    direction text,
    timing text not null,
    state text not null check (state in ('scheduled', 'executed', 'cancelled', 'replaced', 'failed')),
    command text not null,
    effective_on text not null,
    ordinal integer,
    terms_from text,
    charged_until text,
    terms text,
    plan_version_id blob,
    plan_hash blob,
    invoice_id blob,
    credited_minor integer not null,
    charged_minor integer not null,
    reason text,
    requested_by text not null,
    created_at text not null,
    finished_at text,
    version integer not null,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, ordinal)
) strict, without rowid;
create index subscription_changes_by_subscription on subscription_changes (tenant_id, subscription_id, id);
create index subscription_changes_by_due on subscription_changes (tenant_id, state, effective_on);

-- When a change takes effect: the rows of a tenant's table, or of one plan's.
create table change_timings (
    tenant_id blob not null,
    plan_id blob not null,
    rules text not null,
    version integer not null,
    updated_at text not null,
    primary key (tenant_id, plan_id)
) strict, without rowid;
