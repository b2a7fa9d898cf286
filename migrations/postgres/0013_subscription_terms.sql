-- What a subscription does when money is short, its zone while that changes, and who was not renewed. The twin file for
-- SQLite has the same number, name, tables and columns.

-- What becomes of a period that the contract cannot pay for; debt is charged as ever.
alter table subscriptions add column short_funds text not null default 'debt' check (short_funds in ('debt', 'retry', 'skip', 'suspend'));
alter table subscriptions add column retry_days int check (retry_days between 1 and 366);
-- The first day of the period that waits for money.
alter table subscriptions add column waits_from date;
-- The zone that the days up to and including a boundary are counted in, when the contract's was changed.
alter table subscriptions add column former_zone text;
alter table subscriptions add column former_zone_until date;

-- Periods that a run did not charge for want of money.
create table run_withheld (
    tenant_id uuid not null,
    run_id uuid not null,
    contract_id uuid not null,
    subscription_id uuid not null,
    period_start date not null,
    period_end date not null,
    outcome text not null check (outcome in ('waits', 'skipped')),
    policy text not null,
    needed_minor bigint not null,
    available_minor bigint not null,
    currency text not null,
    recorded_at timestamptz not null,
    primary key (tenant_id, run_id, subscription_id)
);

grant select, insert, update, delete on run_withheld to altyn_app;
alter table run_withheld enable row level security;
alter table run_withheld force row level security;
create policy tenant_rows on run_withheld using (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid));
