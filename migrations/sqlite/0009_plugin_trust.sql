-- Trust in plugins on SQLite: who may publish them, what they may reach, which secrets are kept for them.
-- The twin file for PostgreSQL has the same number, name, tables and columns.

-- The platform: keys of publishers, what was installed on whose word, and the master keys of this database.

create table plugin_keys (
    id text not null primary key,
    publisher text not null,
    level text not null check (level in ('core', 'trusted')),
    public_key blob not null unique,
    added_by text not null,
    added_at text not null,
    revoked_by text,
    revoked_at text,
    revocation_reason text
) strict, without rowid;

alter table components add column trust_level text not null default 'unsigned-dev' check (trust_level in ('core', 'trusted', 'unsigned-dev'));
alter table components add column publisher text;
alter table components add column key_id text references plugin_keys (id);
alter table components add column hosts text not null default '[]';
alter table components add column secrets text not null default '[]';

create table component_installs (
    id blob not null primary key,
    component_digest blob not null references components (digest),
    trust_level text not null,
    publisher text,
    key_id text,
    manifest text,
    signature blob,
    downgraded_from text,
    installed_by text not null,
    installed_at text not null
) strict, without rowid;
create index component_installs_by_component on component_installs (component_digest, id);

create table master_keys (
    id text not null primary key,
    state text not null check (state in ('current', 'leaving', 'retired')),
    proof blob not null,
    created_at text not null
) strict, without rowid;

-- A tenant's own: its data keys, its secrets, what it grants, the history of its bindings and what it inherits.

create table data_keys (
    tenant_id blob not null references tenants (id),
    id blob not null,
    master_key_id text not null references master_keys (id),
    wrapped blob not null,
    created_at text not null,
    primary key (tenant_id, id)
) strict, without rowid;

create table secrets (
    tenant_id blob not null references tenants (id),
    name text not null,
    data_key_id blob not null,
    hosts text not null,
    sealed blob not null,
    updated_by text not null,
    created_at text not null,
    updated_at text not null,
    version integer not null,
    primary key (tenant_id, name),
    foreign key (tenant_id, data_key_id) references data_keys (tenant_id, id)
) strict, without rowid;

create table grants (
    tenant_id blob not null references tenants (id),
    plugin_id text not null,
    asked_hosts text not null,
    asked_secrets text not null,
    hosts text not null,
    secrets text not null,
    limits text not null,
    decided_by text not null,
    decided_at text not null,
    version integer not null,
    primary key (tenant_id, plugin_id)
) strict, without rowid;

alter table bindings add column inheritance text not null default 'none' check (inheritance in ('none', 'optional', 'required'));
alter table bindings add column limits text not null default '{}';

create table binding_changes (
    tenant_id blob not null,
    binding_id blob not null,
    version integer not null,
    kind text not null check (kind in ('bind', 'upgrade', 'rollback', 'end')),
    component_digest blob not null references components (digest),
    config text not null,
    changed_by text not null,
    changed_at text not null,
    primary key (tenant_id, binding_id, version),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
) strict, without rowid;

-- What a tenant has from one above it. The owner's rows are hidden from it, so this one names them.
create table inherited_bindings (
    tenant_id blob not null references tenants (id),
    binding_id blob not null,
    owner_id blob not null references tenants (id),
    limits text not null,
    ended_from text,
    decided_by text not null,
    decided_at text not null,
    version integer not null,
    primary key (tenant_id, binding_id)
) strict, without rowid;

create trigger component_installs_no_update before update on component_installs begin select raise(abort, 'append-only: update of a row in component_installs is refused'); end;
create trigger component_installs_no_delete before delete on component_installs begin select raise(abort, 'append-only: delete of a row in component_installs is refused'); end;
create trigger binding_changes_no_update before update on binding_changes begin select raise(abort, 'append-only: update of a row in binding_changes is refused'); end;
create trigger binding_changes_no_delete before delete on binding_changes begin select raise(abort, 'append-only: delete of a row in binding_changes is refused'); end;
