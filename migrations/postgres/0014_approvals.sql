-- Who must agree to a plan, and who cares for a contract that is parked. The twin file for SQLite has the same number,
-- name, tables and columns.

create table approval_policies (
    tenant_id uuid primary key references tenants (id),
    four_eyes boolean not null,
    -- A plan is approved by itself when every bound that is set holds; none set: never.
    largest_gross_minor bigint check (largest_gross_minor >= 0),
    largest_change_bp bigint check (largest_change_bp between 0 and 1000000),
    version bigint not null,
    updated_at timestamptz not null
);

-- Who confirmed first, where two must; the second one is `decided_by`.
alter table run_plans add column confirmed_by text;
alter table run_plans add column owner text;
create index run_plans_parked on run_plans (tenant_id, contract_id, run_id) where state = 'parked';

alter table approval_policies enable row level security;
alter table approval_policies force row level security;
create policy tenant_rows on approval_policies using (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid));
grant select, insert, update, delete on approval_policies to altyn_app;
