-- What a plan that waits for a yes is about: the scheduled changes of a contract, or its day. The twin file for PostgreSQL
-- has the same number, name, tables and columns.

-- A contract's scheduled changes are confirmed before its day is planned, or, when they waited for a charge of the day, after.
alter table run_plans add column stage text not null default 'day' check (stage in ('changes', 'day', 'changes-after'));
-- JSON: the changes with their effects.
alter table run_plans add column changes text;
-- The larger of what they charge and what they give back, with tax.
alter table run_plans add column changes_minor integer not null default 0;

-- Subscriptions with an end: the close of a day looks for those whose end has come.
create index subscriptions_ending on subscriptions (tenant_id, ends_on) where ends_on is not null;

-- What a plugin may do for tenants below is said by its binding alone.
alter table service_terms drop column binding_id;
alter table service_terms drop column handed;
alter table service_terms drop column narrowing;
alter table service_terms drop column effective;
