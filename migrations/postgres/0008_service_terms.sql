-- Service terms, what becomes of unpaid subscriptions, and the close of day. The twin file for SQLite has the same tables.

-- A term is a tenant's own, or a read-only copy of one that a tenant above delegates, or what remains of such a copy that
-- was in use when the tenant above deleted it. A deleted term gives its key back and keeps its row for those it served.
create table service_terms (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    origin_tenant_id uuid,
    origin_id uuid,
    state text not null check (state in ('own', 'inherited', 'frozen', 'deleted')),
    name text not null,
    key text collate "C",
    stop_mode text not null check (stop_mode in ('auto', 'manual')),
    delete_mode text not null check (delete_mode in ('auto', 'manual')),
    grace_days int not null check (grace_days between 0 and 3660),
    keep_days int not null check (keep_days between 0 and 3660),
    payable_by_promise boolean not null,
    billing_day int check (billing_day between 1 and 28),
    delegated boolean not null,
    binding_id uuid,
    handed text not null,
    narrowing text not null,
    effective text not null,
    changed_by text not null,
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, key),
    unique (tenant_id, origin_id),
    check ((state = 'inherited') = (origin_id is not null))
);

create table service_term_plans (
    tenant_id uuid not null references tenants (id),
    plan_id uuid not null,
    service_term_id uuid not null,
    updated_at timestamptz not null,
    primary key (tenant_id, plan_id),
    foreign key (tenant_id, plan_id) references plans (tenant_id, id),
    foreign key (tenant_id, service_term_id) references service_terms (tenant_id, id)
);
create index service_term_plans_by_term on service_term_plans (tenant_id, service_term_id);

-- A subscription has a row here once it has a term of its own or its life has moved.
create table subscription_lives (
    tenant_id uuid not null references tenants (id),
    subscription_id uuid not null,
    contract_id uuid not null,
    service_term_id uuid,
    unpaid_since date,
    stopped_on date,
    held_from text,
    held_on date,
    version bigint not null,
    updated_at timestamptz not null,
    primary key (tenant_id, subscription_id),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    foreign key (tenant_id, service_term_id) references service_terms (tenant_id, id)
);
create index subscription_lives_by_contract on subscription_lives (tenant_id, contract_id);
create index subscription_lives_by_term on subscription_lives (tenant_id, service_term_id);

-- Who keeps a subscription stopped, whatever its term says: one row a reason, such as a block.
create table subscription_holds (
    tenant_id uuid not null references tenants (id),
    subscription_id uuid not null,
    hold_key text collate "C" not null,
    reason text not null,
    held_at timestamptz not null,
    primary key (tenant_id, subscription_id, hold_key),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id)
);

-- The days on which a subscription was out of service: from a day up to, not including, another.
create table subscription_stops (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    subscription_id uuid not null,
    from_on date not null,
    until_on date,
    primary key (tenant_id, id),
    check (until_on is null or until_on >= from_on)
);
create index subscription_stops_by_subscription on subscription_stops (tenant_id, subscription_id, from_on);

create table subscription_transitions (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    subscription_id uuid not null,
    from_status text not null,
    to_status text not null,
    cause text not null,
    business_on date not null,
    operation_id uuid,
    recorded_at timestamptz not null,
    primary key (tenant_id, id)
);
create index subscription_transitions_by_subscription on subscription_transitions (tenant_id, subscription_id, id);

create table manual_operations (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    kind text not null check (kind in ('stop', 'delete')),
    state text not null check (state in ('awaiting', 'approved', 'rejected', 'withdrawn')),
    subscription_id uuid not null,
    contract_id uuid not null,
    service_term_id uuid not null,
    since_on date not null,
    business_on date not null,
    reason text,
    decided_by text,
    decided_at timestamptz,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, kind, since_on),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    foreign key (tenant_id, service_term_id) references service_terms (tenant_id, id)
);
create index manual_operations_by_state on manual_operations (tenant_id, state, id);

create table day_closes (
    tenant_id uuid not null references tenants (id),
    business_on date not null,
    cursor uuid not null,
    contracts bigint not null,
    graced bigint not null,
    stopped bigint not null,
    returned bigint not null,
    deleted bigint not null,
    requested bigint not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    primary key (tenant_id, business_on)
);

-- The latest time that hosts saw, so that a clock that was set back is noticed: one row.
create table scheduler_clock (
    id int not null primary key check (id = 1),
    seen_at timestamptz not null,
    behind_since timestamptz,
    behind_ms bigint not null,
    updated_at timestamptz not null
);

-- The day from which a subscription is in service again after it was stopped.
alter table subscriptions add column resumed_on date;

create trigger subscription_transitions_append_only before update or delete on subscription_transitions for each row execute function altyn_append_only();

do $$ declare t text; begin
    execute format('grant select, insert, update, delete on scheduler_clock to altyn_app');
    foreach t in array array['service_terms', 'service_term_plans', 'subscription_lives', 'subscription_holds', 'subscription_stops', 'subscription_transitions', 'manual_operations', 'day_closes'] loop
        execute format('grant select, insert, update, delete on %I to altyn_app', t);
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
revoke update, delete on subscription_transitions from altyn_app;
