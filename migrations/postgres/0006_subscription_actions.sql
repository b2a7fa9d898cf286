-- Actions on subscriptions: their changes, the table that says when a change takes effect, and the fields of a periodic
-- payment. The twin file for SQLite has the same number, name, tables and columns.

alter table plan_versions add column stub text not null default 'prorate';

-- Absent terms begin with the first day of service.
alter table subscriptions add column terms_from date;
-- How many changes were executed; every charge carries the number it was made under.
alter table subscriptions add column change_ordinal int not null default 0;
alter table subscriptions add column discount_minor bigint not null default 0;
alter table subscriptions add column discount_from date;
alter table subscriptions add column discount_until date;
alter table subscriptions add column manual int not null default 0;
alter table subscriptions add column documents_on_activation int not null default 0;
alter table subscriptions add column notify_on_activation int not null default 0;
alter table subscriptions add column description text;

-- A period is charged once under the same terms: what a change gave back is charged again by the next ones.
alter table charges add column change_ordinal int not null default 0;
-- A change may end what a charge covers before its last day.
alter table charges add column covered_until date;
do $$ declare key text; begin
    select conname into key from pg_constraint where conrelid = 'charges'::regclass and contype = 'u';
    execute format('alter table charges drop constraint %I', key);
end $$;
-- The twin makes the table anew with the conditions that stand here already: check (prepaid_minor >= 0),
-- check (credited_minor >= 0),
-- check (period_start < period_end and used_start <= used_end and period_start <= used_start and used_end <= period_end)
alter table charges add unique (tenant_id, subscription_id, component_id, period_start, change_ordinal);

create table subscription_changes (
    tenant_id uuid not null,
    id uuid not null,
    subscription_id uuid not null,
    contract_id uuid not null,
    kind text not null,
    direction text,
    timing text not null,
    state text not null check (state in ('scheduled', 'executed', 'cancelled', 'replaced', 'failed')),
    command text not null,
    effective_on date not null,
    ordinal int,
    terms_from date,
    charged_until date,
    terms text,
    plan_version_id uuid,
    plan_hash bytea,
    invoice_id uuid,
    credited_minor bigint not null,
    charged_minor bigint not null,
    reason text,
    requested_by text not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    version bigint not null,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, ordinal)
);
create index subscription_changes_by_subscription on subscription_changes (tenant_id, subscription_id, id);
create index subscription_changes_by_due on subscription_changes (tenant_id, state, effective_on);

-- When a change takes effect: the rows of a tenant's table, or of one plan's.
create table change_timings (
    tenant_id uuid not null,
    plan_id uuid not null,
    rules text not null,
    version bigint not null,
    updated_at timestamptz not null,
    primary key (tenant_id, plan_id)
);

grant select, insert, update, delete on subscription_changes, change_timings to altyn_app;
do $$ declare t text; begin
    foreach t in array array['subscription_changes', 'change_timings'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
