-- Trust in plugins on PostgreSQL: who may publish them, what they may reach, which secrets are kept for them.
-- The twin file for SQLite has the same number, name, tables and columns.

-- The platform: keys of publishers, what was installed on whose word, and the master keys of this database.

create table plugin_keys (
    id text collate "C" not null primary key,
    publisher text not null,
    level text not null check (level in ('core', 'trusted')),
    public_key bytea not null unique,
    added_by text not null,
    added_at timestamptz not null,
    revoked_by text,
    revoked_at timestamptz,
    revocation_reason text
);

alter table components add column trust_level text not null default 'unsigned-dev' check (trust_level in ('core', 'trusted', 'unsigned-dev'));
alter table components add column publisher text;
alter table components add column key_id text collate "C" references plugin_keys (id);
alter table components add column hosts text not null default '[]';
alter table components add column secrets text not null default '[]';

create table component_installs (
    id uuid not null primary key,
    component_digest bytea not null references components (digest),
    trust_level text not null,
    publisher text,
    key_id text collate "C",
    manifest text,
    signature bytea,
    downgraded_from text,
    installed_by text not null,
    installed_at timestamptz not null
);
create index component_installs_by_component on component_installs (component_digest, id);

create table master_keys (
    id text collate "C" not null primary key,
    state text not null check (state in ('current', 'leaving', 'retired')),
    proof bytea not null,
    created_at timestamptz not null
);

-- A tenant's own: its data keys, its secrets, what it grants, the history of its bindings and what it inherits.

create table data_keys (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    master_key_id text collate "C" not null references master_keys (id),
    wrapped bytea not null,
    created_at timestamptz not null,
    primary key (tenant_id, id)
);

create table secrets (
    tenant_id uuid not null references tenants (id),
    name text collate "C" not null,
    data_key_id uuid not null,
    hosts text not null,
    sealed bytea not null,
    updated_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    version bigint not null,
    primary key (tenant_id, name),
    foreign key (tenant_id, data_key_id) references data_keys (tenant_id, id)
);

create table grants (
    tenant_id uuid not null references tenants (id),
    plugin_id text collate "C" not null,
    asked_hosts text not null,
    asked_secrets text not null,
    hosts text not null,
    secrets text not null,
    limits text not null,
    decided_by text not null,
    decided_at timestamptz not null,
    version bigint not null,
    primary key (tenant_id, plugin_id)
);

alter table bindings add column inheritance text not null default 'none' check (inheritance in ('none', 'optional', 'required'));
alter table bindings add column limits text not null default '{}';

create table binding_changes (
    tenant_id uuid not null,
    binding_id uuid not null,
    version bigint not null,
    kind text not null check (kind in ('bind', 'upgrade', 'rollback', 'end')),
    component_digest bytea not null references components (digest),
    config text not null,
    changed_by text not null,
    changed_at timestamptz not null,
    primary key (tenant_id, binding_id, version),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
);

-- What a tenant has from one above it. The owner's rows are hidden from it, so this one names them.
create table inherited_bindings (
    tenant_id uuid not null references tenants (id),
    binding_id uuid not null,
    owner_id uuid not null references tenants (id),
    limits text not null,
    ended_from date,
    decided_by text not null,
    decided_at timestamptz not null,
    version bigint not null,
    primary key (tenant_id, binding_id)
);

create trigger component_installs_append_only before update or delete on component_installs for each row execute function altyn_append_only();
create trigger binding_changes_append_only before update or delete on binding_changes for each row execute function altyn_append_only();

grant select, insert, update, delete on plugin_keys, component_installs, master_keys, data_keys, secrets, grants, binding_changes, inherited_bindings to altyn_app;
do $$ declare t text; begin
    foreach t in array array['data_keys', 'secrets', 'grants', 'binding_changes', 'inherited_bindings'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
revoke update, delete on component_installs from altyn_app;
revoke update, delete on binding_changes from altyn_app;
