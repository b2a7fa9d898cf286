-- Who must agree to a plan, and who cares for a contract that is parked. The twin file for PostgreSQL has the same number,
-- name, tables and columns.

create table approval_policies (
    tenant_id blob not null primary key references tenants (id),
    four_eyes integer not null,
    -- A plan is approved by itself when every bound that is set holds; none set: never.
    largest_gross_minor integer check (largest_gross_minor >= 0),
    largest_change_bp integer check (largest_change_bp between 0 and 1000000),
    version integer not null,
    updated_at text not null
) strict, without rowid;

-- Who confirmed first, where two must; the second one is `decided_by`.
alter table run_plans add column confirmed_by text;
alter table run_plans add column owner text;
create index run_plans_parked on run_plans (tenant_id, contract_id, run_id) where state = 'parked';
