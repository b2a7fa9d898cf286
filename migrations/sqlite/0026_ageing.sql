-- Ends of subscriptions that dunning schedules, and what runs give back of use that fell. The twin file for PostgreSQL has the
-- same number, name and columns.

-- The scope of the dunning that wished a change; absent when a person did.
alter table subscription_changes add column dunning_scope text check (dunning_scope in ('contract', 'subscription'));
create index subscription_changes_by_dunning on subscription_changes (tenant_id, contract_id)
    where dunning_scope is not null and state = 'scheduled';
-- The change that a step scheduled or took back.
alter table dunning_steps add column change_id blob;

-- The run that gave money back because use fell, and the days whose use that was.
alter table charge_credits add column run_id blob;
alter table charge_credits add column window_id blob;
create index charge_credits_by_run on charge_credits (tenant_id, run_id) where run_id is not null;
create index charge_credits_by_window on charge_credits (tenant_id, window_id) where window_id is not null;
