-- Realisation and credits of charges, prepayment and kinds of components. The twin file for PostgreSQL has the same
-- number, name, tables and columns.

-- Where a charge stands on its invoice; the part of its gross amount that was taken when it fell due (null: all of it);
-- what was given back of it, gross; the day it was realised.
alter table charges add column invoice_position integer not null default 0;
alter table charges add column prepaid_minor integer check (prepaid_minor >= 0);
alter table charges add column credited_minor integer not null default 0 check (credited_minor >= 0);
alter table charges add column realised_on text;
update charges set invoice_position = l.position from invoice_lines l
    where l.tenant_id = charges.tenant_id and l.invoice_id = charges.invoice_id and l.charge_id = charges.id;
-- The run walks this index in contract order, like the subscriptions. It holds what is not realised yet, so it stays as
-- small as the open periods, and a renewal appends to it in the order in which the run goes.
create index charges_to_realise on charges (tenant_id, contract_id, realises_on, id) where realised_on is null;

create table charge_credits (
    tenant_id blob not null,
    id blob not null,
    charge_id blob not null,
    contract_id blob not null,
    change_id blob,
    used_start text not null,
    used_end text not null,
    currency text not null,
    net_minor integer not null check (net_minor >= 0),
    tax_minor integer not null check (tax_minor >= 0),
    gross_minor integer not null check (gross_minor > 0),
    after_realisation integer not null,
    reason text not null,
    credited_on text not null,
    transaction_id blob,
    created_at text not null,
    primary key (tenant_id, id),
    check (net_minor + tax_minor = gross_minor),
    check (used_start <= used_end)
) strict, without rowid;
create index charge_credits_by_charge on charge_credits (tenant_id, charge_id, id);

create trigger charge_credits_no_update before update on charge_credits begin select raise(abort, 'append-only: update of a row in charge_credits is refused'); end;
create trigger charge_credits_no_delete before delete on charge_credits begin select raise(abort, 'append-only: delete of a row in charge_credits is refused'); end;

-- Credits never exceed the line of their charge; the charge's own sum is raised before the credit is written.
create trigger charge_credits_bounded after insert on charge_credits
when not exists (select 1 from charges c
    join invoice_lines l on l.tenant_id = c.tenant_id and l.invoice_id = c.invoice_id
        and l.position = c.invoice_position and l.charge_id = c.id
    join charge_credits k on k.tenant_id = c.tenant_id and k.charge_id = c.id
    where c.tenant_id = new.tenant_id and c.id = new.charge_id and c.contract_id = new.contract_id
    group by c.id
    having sum(k.net_minor) <= l.net_minor and sum(k.tax_minor) <= l.tax_minor
        and sum(k.gross_minor) <= min(l.gross_minor, c.credited_minor))
begin select raise(abort, 'unbalanced: the credits of a charge exceed what was charged'); end;

-- What a run realised, beside what it charged.
alter table runs add column realised integer not null default 0;
alter table runs add column realised_net_minor integer not null default 0;
alter table runs add column realised_tax_minor integer not null default 0;
alter table runs add column realised_gross_minor integer not null default 0;
alter table run_plans add column realised integer not null default 0;
alter table run_plans add column realised_net_minor integer not null default 0;
alter table run_plans add column realised_tax_minor integer not null default 0;
alter table run_plans add column realised_gross_minor integer not null default 0;

-- How much of a component's price is taken when it falls due, and how often it is charged. SQLite changes a check only
-- by making the table anew.
create table plan_components_anew (
    tenant_id blob not null references tenants (id),
    id blob not null,
    plan_version_id blob not null,
    product_id blob not null,
    position integer not null,
    code text not null,
    title text not null,
    kind text not null check (kind in ('recurring', 'set-up', 'one-off', 'metered')),
    unit_price_minor integer not null check (unit_price_minor >= 0),
    tax_category text not null,
    prepayment_percent integer not null default 100 check (prepayment_percent between 0 and 100),
    primary key (tenant_id, id),
    unique (tenant_id, plan_version_id, code),
    foreign key (tenant_id, plan_version_id) references plan_versions (tenant_id, id),
    foreign key (tenant_id, product_id) references products (tenant_id, id)
) strict, without rowid;
insert into plan_components_anew
    (tenant_id, id, plan_version_id, product_id, position, code, title, kind, unit_price_minor, tax_category)
    select tenant_id, id, plan_version_id, product_id, position, code, title, kind, unit_price_minor, tax_category
    from plan_components;
drop table plan_components;
alter table plan_components_anew rename to plan_components;
