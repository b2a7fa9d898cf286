-- Credit control on SQLite: policies, blocks, promises, the hierarchy of contracts, dunning. The twin file for PostgreSQL has the
-- same number, name, tables and columns.

-- What a tenant, a sales channel or a group of contracts is allowed, one currency each; the tenant's own has an empty code.
create table credit_policies (
    tenant_id blob not null references tenants (id),
    id blob not null,
    scope text not null check (scope in ('tenant', 'channel', 'group')),
    code text not null,
    currency text not null,
    credit_limit_minor integer check (credit_limit_minor >= 0),
    deferral_days integer check (deferral_days between 0 and 365),
    promise_most_minor integer check (promise_most_minor > 0),
    promise_days integer check (promise_days between 1 and 366),
    promise_fee_minor integer check (promise_fee_minor >= 0),
    promises_per_month integer check (promises_per_month > 0),
    promises_at_once integer check (promises_at_once > 0),
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, scope, code, currency)
) strict, without rowid;

-- Where a contract stands among others; a contract without a row stands alone.
create table contract_controls (
    tenant_id blob not null references tenants (id),
    contract_id blob not null,
    group_code text,
    channel_code text,
    own_limit integer not null,
    parent_id blob,
    priority integer not null,
    tags text not null,
    version integer not null,
    updated_at text not null,
    primary key (tenant_id, contract_id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    foreign key (tenant_id, parent_id) references contracts (tenant_id, id),
    check (parent_id is null or parent_id <> contract_id)
) strict, without rowid;
create index contract_controls_by_parent on contract_controls (tenant_id, parent_id, priority, contract_id);

create table blocks (
    tenant_id blob not null references tenants (id),
    id blob not null,
    contract_id blob not null,
    subscription_id blob,
    object_id blob not null,
    type text not null,
    comment text not null check (comment <> ''),
    source text not null,
    starts_at text not null,
    ends_at text,
    lifted_at text,
    lift_comment text,
    set_by text not null,
    lifted_by text,
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    check (object_id = coalesce(subscription_id, contract_id)),
    check (ends_at > starts_at),
    check ((lifted_at is null) = (lifted_by is null))
) strict, without rowid;
-- At most one block of a type stands on an object, whoever sets it and when.
create unique index blocks_standing on blocks (tenant_id, object_id, type) where lifted_at is null;
create index blocks_by_contract on blocks (tenant_id, contract_id, id);

create table promises (
    tenant_id blob not null references tenants (id),
    id blob not null,
    contract_id blob not null,
    amount_minor integer not null check (amount_minor > 0),
    currency text not null,
    comment text not null check (comment <> ''),
    status text not null check (status in ('active', 'kept', 'reduced', 'revoked', 'expired')),
    replaces_id blob,
    first_id blob not null,
    expires_on text not null,
    expires_at text not null,
    fee_minor integer not null check (fee_minor >= 0),
    asked_at text not null,
    given_at text not null,
    given_by text not null,
    ended_at text,
    ended_by text,
    version integer not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    check ((status = 'active') = (ended_at is null))
) strict, without rowid;
create index promises_by_contract on promises (tenant_id, contract_id, id);
create index promises_active on promises (tenant_id, expires_at, id) where status = 'active';

-- How far the credit control of a day has come.
create table credit_days (
    tenant_id blob not null references tenants (id),
    business_on text not null,
    cursor blob,
    blocked integer not null,
    lifted integer not null,
    started_at text not null,
    finished_at text,
    version integer not null,
    primary key (tenant_id, business_on)
) strict, without rowid;

create table dunning_policies (
    tenant_id blob not null references tenants (id),
    id blob not null,
    scope text not null check (scope in ('contract', 'subscription')),
    stages text not null,
    ladder text not null,
    suspending_tags text not null,
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, scope)
) strict, without rowid;

create table dunning_cases (
    tenant_id blob not null references tenants (id),
    scope text not null check (scope in ('contract', 'subscription')),
    object_id blob not null,
    contract_id blob not null,
    stage text,
    suspended integer not null,
    unpaid_minor integer not null,
    unpaid_count integer not null,
    unpaid_since_on text,
    entered_on text not null,
    evaluated_on text not null,
    rung integer not null,
    opened_on text not null,
    version integer not null,
    primary key (tenant_id, scope, object_id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id)
) strict, without rowid;
create index dunning_cases_by_contract on dunning_cases (tenant_id, contract_id, scope, object_id);

create table dunning_steps (
    tenant_id blob not null references tenants (id),
    id blob not null,
    scope text not null,
    object_id blob not null,
    contract_id blob not null,
    on_date text not null,
    step text not null,
    detail text not null,
    created_at text not null,
    primary key (tenant_id, id)
) strict, without rowid;
create index dunning_steps_by_contract on dunning_steps (tenant_id, contract_id, id);

-- The few accounts beside a contract's funds, so that the money of all contracts is one pass over their funds.
create index ledger_accounts_promised on ledger_accounts (tenant_id, code) where code like '%/promised';
create index ledger_accounts_blocked on ledger_accounts (tenant_id, code) where code like '%/blocked';

-- What each contract has and may spend. The most specific limit counts: contract, group, channel, tenant.
create view contract_money as
select m.tenant_id, m.contract_id, m.customer_id, m.number, m.kind, m.currency, m.zone, m.funds_account_id,
    m.balance_minor, m.promised_minor, m.blocked_minor, m.limit_minor, m.limit_source, m.deferral_days,
    m.balance_minor + m.promised_minor + coalesce(m.limit_minor, 0) - m.blocked_minor as available_minor
from (
    select c.tenant_id, c.id as contract_id, c.customer_id, c.number, c.kind, c.currency, c.zone, c.funds_account_id,
        -coalesce(f.balance_minor, 0) as balance_minor,
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

-- History stays: a block is lifted once, a promise ends once, and neither changes otherwise or goes away.
create trigger blocks_no_delete before delete on blocks begin select raise(abort, 'append-only: delete of a row in blocks is refused'); end;
create trigger blocks_lifted_once before update on blocks when old.lifted_at is not null begin select raise(abort, 'append-only: a block is lifted once and changes not otherwise'); end;
create trigger blocks_immutable before update of tenant_id, id, contract_id, subscription_id, object_id, type, comment, source, starts_at, ends_at, set_by, created_at on blocks begin select raise(abort, 'append-only: a block is lifted once and changes not otherwise'); end;
create trigger promises_no_delete before delete on promises begin select raise(abort, 'append-only: delete of a row in promises is refused'); end;
create trigger promises_ended_once before update on promises when old.status <> 'active' begin select raise(abort, 'append-only: a promise ends once and changes not otherwise'); end;
create trigger promises_immutable before update of tenant_id, id, contract_id, amount_minor, currency, comment, replaces_id, first_id, expires_on, expires_at, fee_minor, asked_at, given_at, given_by on promises begin select raise(abort, 'append-only: a promise ends once and changes not otherwise'); end;
create trigger dunning_steps_no_update before update on dunning_steps begin select raise(abort, 'append-only: update of a row in dunning_steps is refused'); end;
create trigger dunning_steps_no_delete before delete on dunning_steps begin select raise(abort, 'append-only: delete of a row in dunning_steps is refused'); end;
