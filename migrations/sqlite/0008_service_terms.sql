-- Service terms, what becomes of unpaid subscriptions, and the close of day. The twin file for PostgreSQL has the same tables.

-- A term is a tenant's own, or a read-only copy of one that a tenant above delegates, or what remains of such a copy that
-- was in use when the tenant above deleted it. A deleted term gives its key back and keeps its row for those it served.
create table service_terms (
    tenant_id blob not null references tenants (id),
    id blob not null,
    origin_tenant_id blob,
    origin_id blob,
    state text not null check (state in ('own', 'inherited', 'frozen', 'deleted')),
    name text not null,
    key text,
    stop_mode text not null check (stop_mode in ('auto', 'manual')),
    delete_mode text not null check (delete_mode in ('auto', 'manual')),
    grace_days integer not null check (grace_days between 0 and 3660),
    keep_days integer not null check (keep_days between 0 and 3660),
    payable_by_promise integer not null,
    billing_day integer check (billing_day between 1 and 28),
    delegated integer not null,
    binding_id blob,
    handed text not null,
    narrowing text not null,
    effective text not null,
    changed_by text not null,
    version integer not null,
    created_at text not null,
    updated_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, key),
    unique (tenant_id, origin_id),
    check ((state = 'inherited') = (origin_id is not null))
) strict, without rowid;

create table service_term_plans (
    tenant_id blob not null references tenants (id),
    plan_id blob not null,
    service_term_id blob not null,
    updated_at text not null,
    primary key (tenant_id, plan_id),
    foreign key (tenant_id, plan_id) references plans (tenant_id, id),
    foreign key (tenant_id, service_term_id) references service_terms (tenant_id, id)
) strict, without rowid;
create index service_term_plans_by_term on service_term_plans (tenant_id, service_term_id);

-- A subscription has a row here once it has a term of its own or its life has moved.
create table subscription_lives (
    tenant_id blob not null references tenants (id),
    subscription_id blob not null,
    contract_id blob not null,
    service_term_id blob,
    unpaid_since text,
    stopped_on text,
    held_from text,
    held_on text,
    version integer not null,
    updated_at text not null,
    primary key (tenant_id, subscription_id),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    foreign key (tenant_id, service_term_id) references service_terms (tenant_id, id)
) strict, without rowid;
create index subscription_lives_by_contract on subscription_lives (tenant_id, contract_id);
create index subscription_lives_by_term on subscription_lives (tenant_id, service_term_id);

-- Who keeps a subscription stopped, whatever its term says: one row a reason, such as a block.
create table subscription_holds (
    tenant_id blob not null references tenants (id),
    subscription_id blob not null,
    hold_key text not null,
    reason text not null,
    held_at text not null,
    primary key (tenant_id, subscription_id, hold_key),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id)
) strict, without rowid;

-- The days on which a subscription was out of service: from a day up to, not including, another.
create table subscription_stops (
    tenant_id blob not null references tenants (id),
    id blob not null,
    subscription_id blob not null,
    from_on text not null,
    until_on text,
    primary key (tenant_id, id),
    check (until_on is null or until_on >= from_on)
) strict, without rowid;
create index subscription_stops_by_subscription on subscription_stops (tenant_id, subscription_id, from_on);

create table subscription_transitions (
    tenant_id blob not null references tenants (id),
    id blob not null,
    subscription_id blob not null,
    from_status text not null,
    to_status text not null,
    cause text not null,
    business_on text not null,
    operation_id blob,
    recorded_at text not null,
    primary key (tenant_id, id)
) strict, without rowid;
create index subscription_transitions_by_subscription on subscription_transitions (tenant_id, subscription_id, id);

create table manual_operations (
    tenant_id blob not null references tenants (id),
    id blob not null,
    kind text not null check (kind in ('stop', 'delete')),
    state text not null check (state in ('awaiting', 'approved', 'rejected', 'withdrawn')),
    subscription_id blob not null,
    contract_id blob not null,
    service_term_id blob not null,
    since_on text not null,
    business_on text not null,
    reason text,
    decided_by text,
    decided_at text,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, kind, since_on),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    foreign key (tenant_id, service_term_id) references service_terms (tenant_id, id)
) strict, without rowid;
create index manual_operations_by_state on manual_operations (tenant_id, state, id);

create table day_closes (
    tenant_id blob not null references tenants (id),
    business_on text not null,
    cursor blob not null,
    contracts integer not null,
    graced integer not null,
    stopped integer not null,
    returned integer not null,
    deleted integer not null,
    requested integer not null,
    created_at text not null,
    finished_at text,
    primary key (tenant_id, business_on)
) strict, without rowid;

-- The latest time that hosts saw, so that a clock that was set back is noticed: one row.
create table scheduler_clock (
    id integer not null primary key check (id = 1),
    seen_at text not null,
    behind_since text,
    behind_ms integer not null,
    updated_at text not null
) strict, without rowid;

-- The day from which a subscription is in service again after it was stopped.
alter table subscriptions add column resumed_on text;

create trigger subscription_transitions_no_update before update on subscription_transitions begin select raise(abort, 'append-only: update of a row in subscription_transitions is refused'); end;
create trigger subscription_transitions_no_delete before delete on subscription_transitions begin select raise(abort, 'append-only: delete of a row in subscription_transitions is refused'); end;
