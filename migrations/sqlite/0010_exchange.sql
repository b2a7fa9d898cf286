-- Exchanges with payment gateways on SQLite. The twin file for PostgreSQL has the same number, name, tables and columns.

-- Where a gateway's notifications go: the platform finds the tenant by the address. Counts the payments of a binding.
create table gateway_endpoints (
    binding_id blob not null primary key,
    tenant_id blob not null references tenants (id),
    last_number integer not null,
    created_at text not null
) strict, without rowid;

-- A conversation with a gateway: what was asked, how far it is, what is known. `fence` counts the hosts that took it up.
create table exchanges (
    tenant_id blob not null references tenants (id),
    id blob not null,
    binding_id blob not null,
    component_digest blob not null references components (digest),
    kind text not null check (kind in ('pay', 'status', 'capture', 'cancel', 'refund', 'refund-status', 'notification')),
    about_id blob,
    number integer not null,
    amount_minor integer not null,
    currency text not null,
    asked text not null,
    state text not null check (state in ('begun', 'sending', 'answered', 'done')),
    requests integer not null,
    verdict text,
    external_id text not null,
    outcome text,
    fault_code text,
    fault text,
    lease_owner text,
    lease_until text,
    fence integer not null,
    version integer not null,
    created_at text not null,
    updated_at text not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
) strict, without rowid;
create index exchanges_by_number on exchanges (tenant_id, binding_id, number);
create index exchanges_by_external on exchanges (tenant_id, binding_id, external_id);
create index exchanges_about on exchanges (tenant_id, about_id, id);

-- The trail of an exchange. A request is kept with the names of its secrets, an answer with their values masked.
create table exchange_steps (
    tenant_id blob not null,
    exchange_id blob not null,
    position integer not null,
    kind text not null check (kind in ('send', 'repeat', 'response', 'not-sent', 'lost', 'outcome', 'claim', 'refused', 'failed')),
    call_id blob,
    request text,
    continuation blob,
    status integer,
    headers text,
    body blob,
    note text,
    at text not null,
    primary key (tenant_id, exchange_id, position),
    foreign key (tenant_id, exchange_id) references exchanges (tenant_id, id)
) strict, without rowid;
create trigger exchange_steps_no_update before update on exchange_steps begin select raise(abort, 'append-only: update of a row in exchange_steps is refused'); end;
create trigger exchange_steps_no_delete before delete on exchange_steps begin select raise(abort, 'append-only: delete of a row in exchange_steps is refused'); end;
