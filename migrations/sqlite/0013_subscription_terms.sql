-- What a subscription does when money is short, its zone while that changes, and who was not renewed. The twin file for
-- PostgreSQL has the same number, name, tables and columns.

-- What becomes of a period that the contract cannot pay for; debt is charged as ever.
alter table subscriptions add column short_funds text not null default 'debt' check (short_funds in ('debt', 'retry', 'skip', 'suspend'));
alter table subscriptions add column retry_days integer check (retry_days between 1 and 366);
-- The first day of the period that waits for money.
alter table subscriptions add column waits_from text;
-- The zone that the days up to and including a boundary are counted in, when the contract's was changed.
alter table subscriptions add column former_zone text;
alter table subscriptions add column former_zone_until text;

-- Periods that a run did not charge for want of money.
create table run_withheld (
    tenant_id blob not null,
    run_id blob not null,
    contract_id blob not null,
    subscription_id blob not null,
    period_start text not null,
    period_end text not null,
    outcome text not null check (outcome in ('waits', 'skipped')),
    policy text not null,
    needed_minor integer not null,
    available_minor integer not null,
    currency text not null,
    recorded_at text not null,
    primary key (tenant_id, run_id, subscription_id)
) strict, without rowid;
