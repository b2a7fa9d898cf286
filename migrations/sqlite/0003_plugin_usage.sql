-- What plugin calls took, summed by tenant, day, component and purpose. Rows grow; they are figures, not history.
create table plugin_usage (
    tenant_id blob not null,
    used_on text not null,
    component_digest blob not null,
    purpose text not null check (purpose in ('decision', 'rehearsal')),
    world text not null,
    calls integer not null,
    failures integer not null,
    lines integer not null,
    fuel integer not null,
    peak_memory_bytes integer not null,
    bytes_in integer not null,
    bytes_out integer not null,
    duration_us integer not null,
    primary key (tenant_id, used_on, component_digest, purpose)
) strict, without rowid;

-- Limits that a tenant lowered for itself and the tenants below it.
create table plugin_limits (
    tenant_id blob not null references tenants (id),
    extension_point text not null,
    limits text not null,
    updated_at text not null,
    version integer not null,
    primary key (tenant_id, extension_point)
) strict, without rowid;

-- A shadow run reads what one binding was asked.
create index plugin_calls_by_binding on plugin_calls (tenant_id, binding_id, id);
