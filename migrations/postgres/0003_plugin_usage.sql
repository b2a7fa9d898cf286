-- What plugin calls took, summed by tenant, day, component and purpose. Rows grow; they are figures, not history.
create table plugin_usage (
    tenant_id uuid not null,
    used_on date not null,
    component_digest bytea not null,
    purpose text collate "C" not null check (purpose in ('decision', 'rehearsal')),
    world text not null,
    calls bigint not null,
    failures bigint not null,
    lines bigint not null,
    fuel bigint not null,
    peak_memory_bytes bigint not null,
    bytes_in bigint not null,
    bytes_out bigint not null,
    duration_us bigint not null,
    primary key (tenant_id, used_on, component_digest, purpose)
);

-- Limits that a tenant lowered for itself and the tenants below it.
create table plugin_limits (
    tenant_id uuid not null references tenants (id),
    extension_point text collate "C" not null,
    limits text not null,
    updated_at timestamptz not null,
    version bigint not null,
    primary key (tenant_id, extension_point)
);

-- A shadow run reads what one binding was asked.
create index plugin_calls_by_binding on plugin_calls (tenant_id, binding_id, id);

do $$ declare t text; begin
    foreach t in array array['plugin_usage', 'plugin_limits'] loop
        execute format('grant select, insert, update, delete on %I to altyn_app', t);
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
