-- Private plans, versions that existing subscribers go over to, quantities of components, and prices of single contracts.
-- The twin file for PostgreSQL has the same number, name, tables and columns.

alter table plans add column visibility text not null default 'public' check (visibility in ('public', 'private'));
-- From which day on subscribers of older versions go over, each at a renewal; absent: they stay.
alter table plan_versions add column existing_from text;
-- Units that cost nothing, and how many may be taken.
alter table plan_components add column included text not null default '0';
alter table plan_components add column min_quantity text;
alter table plan_components add column max_quantity text;

-- What a contract, or one subscription of it, pays for a component instead of the plan's price.
create table price_overrides (
    tenant_id blob not null references tenants (id),
    id blob not null,
    contract_id blob not null,
    subscription_id blob,
    plan_id blob not null,
    component text not null,
    unit_price_minor integer not null check (unit_price_minor >= 0),
    from_on text not null,
    until_on text check (until_on > from_on),
    comment text not null,
    set_by text not null,
    created_at text not null,
    removed_at text,
    removed_by text,
    remove_comment text,
    version integer not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    foreign key (tenant_id, plan_id) references plans (tenant_id, id)
) strict, without rowid;
create index price_overrides_by_contract on price_overrides (tenant_id, contract_id, id);
create index price_overrides_standing on price_overrides (tenant_id, contract_id) where removed_at is null;
