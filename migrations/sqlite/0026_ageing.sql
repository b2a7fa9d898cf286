-- Ends of subscriptions that dunning schedules. The twin file for PostgreSQL has the same number, name and columns.

-- The scope of the dunning that wished a change; absent when a person did.
alter table subscription_changes add column dunning_scope text check (dunning_scope in ('contract', 'subscription'));
create index subscription_changes_by_dunning on subscription_changes (tenant_id, contract_id)
    where dunning_scope is not null and state = 'scheduled';
-- The change that a step scheduled or took back.
alter table dunning_steps add column change_id blob;
