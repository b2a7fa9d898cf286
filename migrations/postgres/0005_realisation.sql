-- Realisation and credits of charges, prepayment and kinds of components. The twin file for SQLite has the same number,
-- name, tables and columns.

-- Where a charge stands on its invoice; the part of its gross amount that was taken when it fell due (null: all of it);
-- what was given back of it, gross; the day it was realised.
alter table charges add column invoice_position int not null default 0;
alter table charges add column prepaid_minor bigint check (prepaid_minor >= 0);
alter table charges add column credited_minor bigint not null default 0 check (credited_minor >= 0);
alter table charges add column realised_on date;
-- The owner migrates, and forced row-level security would hide every tenant from him.
alter table charges no force row level security;
alter table invoice_lines no force row level security;
update charges set invoice_position = l.position from invoice_lines l
    where l.tenant_id = charges.tenant_id and l.invoice_id = charges.invoice_id and l.charge_id = charges.id;
alter table invoice_lines force row level security;
alter table charges force row level security;
-- The run walks this index in contract order, like the subscriptions. It holds what is not realised yet, so it stays as
-- small as the open periods, and a renewal appends to it in the order in which the run goes.
create index charges_to_realise on charges (tenant_id, contract_id, realises_on, id) where realised_on is null;

create table charge_credits (
    tenant_id uuid not null,
    id uuid not null,
    charge_id uuid not null,
    contract_id uuid not null,
    change_id uuid,
    used_start date not null,
    used_end date not null,
    currency text not null,
    net_minor bigint not null check (net_minor >= 0),
    tax_minor bigint not null check (tax_minor >= 0),
    gross_minor bigint not null check (gross_minor > 0),
    after_realisation boolean not null,
    reason text not null,
    credited_on date not null,
    transaction_id uuid,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    check (net_minor + tax_minor = gross_minor),
    check (used_start <= used_end)
);
create index charge_credits_by_charge on charge_credits (tenant_id, charge_id, id);

create trigger charge_credits_append_only before update or delete on charge_credits for each row execute function altyn_append_only();

-- Credits never exceed the line of their charge. The charge's own sum is raised before the credit is written: that locks
-- the charge, so of two credits at the same time the second sees the first.
create function altyn_credits_bounded() returns trigger language plpgsql as $$
declare fits boolean;
begin
    select coalesce(sum(k.net_minor), 0) <= l.net_minor and coalesce(sum(k.tax_minor), 0) <= l.tax_minor
            and coalesce(sum(k.gross_minor), 0) <= least(l.gross_minor, c.credited_minor) into fits
        from charges c
        join invoice_lines l on l.tenant_id = c.tenant_id and l.invoice_id = c.invoice_id
            and l.position = c.invoice_position and l.charge_id = c.id
        join charge_credits k on k.tenant_id = c.tenant_id and k.charge_id = c.id
        where c.tenant_id = new.tenant_id and c.id = new.charge_id and c.contract_id = new.contract_id
        group by l.net_minor, l.tax_minor, l.gross_minor, c.credited_minor;
    if fits is not true then
        raise exception 'unbalanced: the credits of charge % exceed what was charged', new.charge_id using errcode = 'check_violation';
    end if;
    return null;
end $$;
create trigger charge_credits_bounded after insert on charge_credits for each row execute function altyn_credits_bounded();

-- What a run realised, beside what it charged.
alter table runs add column realised bigint not null default 0;
alter table runs add column realised_net_minor bigint not null default 0;
alter table runs add column realised_tax_minor bigint not null default 0;
alter table runs add column realised_gross_minor bigint not null default 0;
alter table run_plans add column realised bigint not null default 0;
alter table run_plans add column realised_net_minor bigint not null default 0;
alter table run_plans add column realised_tax_minor bigint not null default 0;
alter table run_plans add column realised_gross_minor bigint not null default 0;

-- How much of a component's price is taken when it falls due, and how often it is charged.
alter table plan_components drop constraint plan_components_kind_check;
alter table plan_components add constraint plan_components_kind_check check (kind in ('recurring', 'set-up', 'one-off', 'metered'));
-- As the twin makes the table anew, so are its checks.
alter table plan_components drop constraint plan_components_unit_price_minor_check;
alter table plan_components add constraint plan_components_unit_price_minor_check check (unit_price_minor >= 0);
alter table plan_components add column prepayment_percent int not null default 100 check (prepayment_percent between 0 and 100);

do $$ begin
    execute format('grant select, insert on table %I.charge_credits to altyn_app', current_schema());
end $$;
alter table charge_credits enable row level security;
alter table charge_credits force row level security;
create policy tenant_rows on charge_credits using (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid));
