-- Orders: subscriptions that are paid for before they are in service, and notices before a charge. The twin file for PostgreSQL
-- has the same number, name, tables and columns.

create table orders (
    tenant_id blob not null references tenants (id),
    id blob not null,
    contract_id blob not null,
    subscription_id blob not null,
    status text not null check (status in ('opened', 'blocked', 'closed', 'cancelled', 'expired')),
    currency text not null,
    -- What is reserved: the part of the first period that is taken in advance; and all that it costs, with tax.
    amount_minor integer not null check (amount_minor >= 0),
    gross_minor integer not null check (gross_minor >= amount_minor),
    -- The lines as they were priced when it was made, JSON text.
    lines text not null,
    ordered_on text not null,
    ordered_at text not null,
    ordered_by text not null,
    -- The last day on which it waits for money, and the first instant after it; none for ever.
    expires_on text,
    expires_at text,
    paid_at text,
    ended_at text,
    ended_by text,
    version integer not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    check ((status in ('opened', 'blocked')) = (ended_at is null)),
    check (paid_at is not null or status not in ('blocked', 'closed')),
    check ((expires_on is null) = (expires_at is null))
) strict, without rowid;
create index orders_by_contract on orders (tenant_id, contract_id, id);
-- At most one order of a subscription stands; the run and the close of a day walk these few in contract order.
create unique index orders_standing_of on orders (tenant_id, subscription_id) where status in ('opened', 'blocked');
create index orders_standing on orders (tenant_id, contract_id, id) where status in ('opened', 'blocked');

-- For how many days an order waits for money; no row or no number: for ever.
create table order_policies (
    tenant_id blob not null primary key references tenants (id),
    cancel_unpaid_days integer check (cancel_unpaid_days between 0 and 366),
    version integer not null,
    updated_at text not null
) strict, without rowid;

-- How many days before a charge there are notices; no row or no number: none.
create table notice_policies (
    tenant_id blob not null primary key references tenants (id),
    first_days integer check (first_days between 1 and 90),
    second_days integer check (second_days between 1 and 90),
    version integer not null,
    updated_at text not null,
    check (second_days is null or second_days < first_days)
) strict, without rowid;

-- Which notices were given, so that each is given once.
create table charge_notices (
    tenant_id blob not null references tenants (id),
    subscription_id blob not null,
    charge_on text not null,
    notice integer not null check (notice in (1, 2)),
    event_id blob not null,
    business_on text not null,
    noticed_at text not null,
    primary key (tenant_id, subscription_id, charge_on, notice)
) strict, without rowid;

-- What each contract has and may spend, as before, but that what is reserved for orders stands on an account of its own and is
-- the customer's all the same: the balance is both.
drop view contract_money;
create view contract_money as
select m.tenant_id, m.contract_id, m.customer_id, m.number, m.kind, m.currency, m.zone, m.funds_account_id,
    m.balance_minor, m.promised_minor, m.blocked_minor, m.limit_minor, m.limit_source, m.deferral_days,
    m.balance_minor + m.promised_minor + coalesce(m.limit_minor, 0) - m.blocked_minor as available_minor
from (
    select c.tenant_id, c.id as contract_id, c.customer_id, c.number, c.kind, c.currency, c.zone, c.funds_account_id,
        -coalesce(f.balance_minor, 0) - coalesce(b.balance_minor, 0) as balance_minor,
        -coalesce(p.balance_minor, 0) as promised_minor,
        -coalesce(b.balance_minor, 0) as blocked_minor,
        case when c.credit_limit_minor > 0 or k.own_limit then c.credit_limit_minor
            else coalesce(g.credit_limit_minor, h.credit_limit_minor, t.credit_limit_minor) end as limit_minor,
        case when c.credit_limit_minor > 0 or k.own_limit then 'contract'
            when g.credit_limit_minor is not null then 'group'
            when h.credit_limit_minor is not null then 'channel'
            when t.credit_limit_minor is not null then 'tenant' end as limit_source,
        coalesce(g.deferral_days, h.deferral_days, t.deferral_days, 0) as deferral_days
    from contracts c
    left join contract_controls k on k.tenant_id = c.tenant_id and k.contract_id = c.id
    left join credit_policies g on g.tenant_id = c.tenant_id and g.scope = 'group' and g.code = k.group_code
        and g.currency = c.currency
    left join credit_policies h on h.tenant_id = c.tenant_id and h.scope = 'channel' and h.code = k.channel_code
        and h.currency = c.currency
    left join credit_policies t on t.tenant_id = c.tenant_id and t.scope = 'tenant' and t.code = ''
        and t.currency = c.currency
    left join ledger_accounts f on f.tenant_id = c.tenant_id and f.id = c.funds_account_id
    left join ledger_accounts p on p.tenant_id = c.tenant_id and p.code like '%/promised'
        and p.code = 'contract/ctr_' || lower(hex(c.id)) || '/promised' and p.currency = c.currency
    left join ledger_accounts b on b.tenant_id = c.tenant_id and b.code like '%/blocked'
        and b.code = 'contract/ctr_' || lower(hex(c.id)) || '/blocked' and b.currency = c.currency
) m;

-- An order ends once, and what was ordered stays as it was.
create trigger orders_no_delete before delete on orders
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in orders is refused'); end;
create trigger orders_end_once before update on orders when old.status not in ('opened', 'blocked')
begin select raise(abort, 'append-only: an order ends once and changes not otherwise'); end;
create trigger orders_immutable before update of tenant_id, id, contract_id, subscription_id, currency, amount_minor, gross_minor, lines, ordered_on, ordered_at, ordered_by, expires_on, expires_at on orders
begin select raise(abort, 'append-only: an order ends once and changes not otherwise'); end;
