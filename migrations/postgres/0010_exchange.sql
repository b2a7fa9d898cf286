-- Exchanges with payment gateways on PostgreSQL. The twin file for SQLite has the same number, name, tables and columns.

-- Where a gateway's notifications go: the platform finds the tenant by the address. Counts the payments of a binding.
create table gateway_endpoints (
    binding_id uuid not null primary key,
    tenant_id uuid not null references tenants (id),
    last_number bigint not null,
    created_at timestamptz not null
);

-- A conversation with a gateway: what was asked, how far it is, what is known. `fence` counts the hosts that took it up.
create table exchanges (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    binding_id uuid not null,
    component_digest bytea not null references components (digest),
    kind text not null check (kind in ('pay', 'status', 'capture', 'cancel', 'refund', 'refund-status', 'notification')),
    about_id uuid,
    number bigint not null,
    amount_minor bigint not null,
    currency text not null,
    asked text not null,
    state text not null check (state in ('begun', 'sending', 'answered', 'done')),
    requests int not null,
    verdict text,
    external_id text collate "C" not null,
    outcome text,
    fault_code text,
    fault text,
    lease_owner text,
    lease_until timestamptz,
    fence bigint not null,
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
);
create index exchanges_by_number on exchanges (tenant_id, binding_id, number);
create index exchanges_by_external on exchanges (tenant_id, binding_id, external_id);
create index exchanges_about on exchanges (tenant_id, about_id, id);

-- The trail of an exchange. A request is kept with the names of its secrets, an answer with their values masked.
create table exchange_steps (
    tenant_id uuid not null,
    exchange_id uuid not null,
    position int not null,
    kind text not null check (kind in ('send', 'repeat', 'response', 'not-sent', 'lost', 'outcome', 'claim', 'refused', 'failed')),
    call_id uuid,
    request text,
    continuation bytea,
    status int,
    headers text,
    body bytea,
    note text,
    at timestamptz not null,
    primary key (tenant_id, exchange_id, position),
    foreign key (tenant_id, exchange_id) references exchanges (tenant_id, id)
);
create trigger exchange_steps_append_only before update or delete on exchange_steps for each row execute function altyn_append_only();

grant select, insert, update, delete on gateway_endpoints, exchanges, exchange_steps to altyn_app;
do $$ declare t text; begin
    foreach t in array array['exchanges', 'exchange_steps'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
revoke update, delete on exchange_steps from altyn_app;
