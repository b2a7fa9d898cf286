-- Credit control on PostgreSQL: policies, blocks, promises, the hierarchy of contracts, dunning. The twin file for SQLite has the
-- same number, name, tables and columns.

-- What a tenant, a sales channel or a group of contracts is allowed, one currency each; the tenant's own has an empty code.
create table credit_policies (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    scope text not null check (scope in ('tenant', 'channel', 'group')),
    code text collate "C" not null,
    currency text not null,
    credit_limit_minor bigint check (credit_limit_minor >= 0),
    deferral_days int check (deferral_days between 0 and 365),
    promise_most_minor bigint check (promise_most_minor > 0),
    promise_days int check (promise_days between 1 and 366),
    promise_fee_minor bigint check (promise_fee_minor >= 0),
    promises_per_month int check (promises_per_month > 0),
    promises_at_once int check (promises_at_once > 0),
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, scope, code, currency)
);

-- Where a contract stands among others; a contract without a row stands alone.
create table contract_controls (
    tenant_id uuid not null references tenants (id),
    contract_id uuid not null,
    group_code text collate "C",
    channel_code text collate "C",
    own_limit boolean not null,
    parent_id uuid,
    priority int not null,
    tags text not null,
    version bigint not null,
    updated_at timestamptz not null,
    primary key (tenant_id, contract_id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    foreign key (tenant_id, parent_id) references contracts (tenant_id, id),
    check (parent_id is null or parent_id <> contract_id)
);
create index contract_controls_by_parent on contract_controls (tenant_id, parent_id, priority, contract_id);

create table blocks (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    contract_id uuid not null,
    subscription_id uuid,
    object_id uuid not null,
    type text collate "C" not null,
    comment text not null check (comment <> ''),
    source text not null,
    starts_at timestamptz not null,
    ends_at timestamptz,
    lifted_at timestamptz,
    lift_comment text,
    set_by text not null,
    lifted_by text,
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    check (object_id = coalesce(subscription_id, contract_id)),
    check (ends_at > starts_at),
    check ((lifted_at is null) = (lifted_by is null))
);
-- At most one block of a type stands on an object, whoever sets it and when.
create unique index blocks_standing on blocks (tenant_id, object_id, type) where lifted_at is null;
create index blocks_by_contract on blocks (tenant_id, contract_id, id);

create table promises (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    contract_id uuid not null,
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null,
    comment text not null check (comment <> ''),
    status text not null check (status in ('active', 'kept', 'reduced', 'revoked', 'expired')),
    replaces_id uuid,
    first_id uuid not null,
    expires_on date not null,
    expires_at timestamptz not null,
    fee_minor bigint not null check (fee_minor >= 0),
    asked_at timestamptz not null,
    given_at timestamptz not null,
    given_by text not null,
    ended_at timestamptz,
    ended_by text,
    version bigint not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    check ((status = 'active') = (ended_at is null))
);
create index promises_by_contract on promises (tenant_id, contract_id, id);
create index promises_active on promises (tenant_id, expires_at, id) where status = 'active';

-- How far the credit control of a day has come.
create table credit_days (
    tenant_id uuid not null references tenants (id),
    business_on date not null,
    cursor uuid,
    blocked bigint not null,
    lifted bigint not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    version bigint not null,
    primary key (tenant_id, business_on)
);

create table dunning_policies (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    scope text not null check (scope in ('contract', 'subscription')),
    stages text not null,
    ladder text not null,
    suspending_tags text not null,
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, scope)
);

create table dunning_cases (
    tenant_id uuid not null references tenants (id),
    scope text not null check (scope in ('contract', 'subscription')),
    object_id uuid not null,
    contract_id uuid not null,
    stage text collate "C",
    suspended boolean not null,
    unpaid_minor bigint not null,
    unpaid_count int not null,
    unpaid_since_on date,
    entered_on date not null,
    evaluated_on date not null,
    rung int not null,
    opened_on date not null,
    version bigint not null,
    primary key (tenant_id, scope, object_id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id)
);
create index dunning_cases_by_contract on dunning_cases (tenant_id, contract_id, scope, object_id);

create table dunning_steps (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    scope text not null,
    object_id uuid not null,
    contract_id uuid not null,
    on_date date not null,
    step text not null,
    detail text not null,
    created_at timestamptz not null,
    primary key (tenant_id, id)
);
create index dunning_steps_by_contract on dunning_steps (tenant_id, contract_id, id);

-- The few accounts beside a contract's funds, so that the money of all contracts is one pass over their funds.
create index ledger_accounts_promised on ledger_accounts (tenant_id, code) where code like '%/promised';
create index ledger_accounts_blocked on ledger_accounts (tenant_id, code) where code like '%/blocked';

-- What each contract has and may spend. The most specific limit counts: contract, group, channel, tenant.
create view contract_money with (security_invoker = true) as
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
        and p.code = 'contract/ctr_' || replace(cast(c.id as text), '-', '') || '/promised' and p.currency = c.currency
    left join ledger_accounts b on b.tenant_id = c.tenant_id and b.code like '%/blocked'
        and b.code = 'contract/ctr_' || replace(cast(c.id as text), '-', '') || '/blocked' and b.currency = c.currency
) m;

-- History stays: a block is lifted once, a promise ends once, and neither changes otherwise or goes away.
create function altyn_ends_once() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        raise exception 'append-only: delete of a row in % is refused', tg_table_name using errcode = 'restrict_violation';
    end if;
    if tg_table_name = 'blocks' then
        if old.lifted_at is not null
            or to_jsonb(new) - array['lifted_at', 'lift_comment', 'lifted_by', 'version']
            <> to_jsonb(old) - array['lifted_at', 'lift_comment', 'lifted_by', 'version'] then
            raise exception 'append-only: a block is lifted once and changes not otherwise' using errcode = 'restrict_violation';
        end if;
    elsif old.status <> 'active'
        or to_jsonb(new) - array['status', 'ended_at', 'ended_by', 'version']
        <> to_jsonb(old) - array['status', 'ended_at', 'ended_by', 'version'] then
        raise exception 'append-only: a promise ends once and changes not otherwise' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create trigger blocks_end_once before update or delete on blocks for each row execute function altyn_ends_once();
create trigger promises_end_once before update or delete on promises for each row execute function altyn_ends_once();
create trigger dunning_steps_append_only before update or delete on dunning_steps for each row execute function altyn_append_only();

do $$ declare t text; begin
    foreach t in array array['credit_policies', 'contract_controls', 'blocks', 'promises', 'credit_days', 'dunning_policies', 'dunning_cases', 'dunning_steps'] loop
        execute format('grant select, insert, update, delete on %I to altyn_app', t);
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
grant select on contract_money to altyn_app;
revoke delete on blocks from altyn_app;
revoke delete on promises from altyn_app;
revoke update, delete on dunning_steps from altyn_app;
