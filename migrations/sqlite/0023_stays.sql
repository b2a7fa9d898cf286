-- Subscriptions that go on with the component they were started with. The twin file for PostgreSQL has the same number, name,
-- tables and columns.

-- What a binding's upgrade left to the subscriptions that were there: one row, however many they are. `tenant_id` is the owner
-- of the binding. `made_version` is the version of the binding that the upgrade made, `ended_version` the one that ended the
-- stay: a migration of all, another upgrade that left nothing, a rollback or the end of the binding.
create table binding_stays (
    tenant_id blob not null,
    binding_id blob not null,
    made_version integer not null,
    component_digest blob not null references components (digest),
    config text not null,
    started_before text not null,
    made_by text not null,
    ended_version integer check (ended_version >= made_version),
    primary key (tenant_id, binding_id, made_version),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
) strict, without rowid;

-- Subscriptions that were taken out of a stay, and of those before it, by name. `tenant_id` is theirs, which may be one below
-- the owner of the binding, whose rows are hidden from it.
create table subscription_migrations (
    tenant_id blob not null,
    binding_id blob not null,
    subscription_id blob not null,
    made_version integer not null,
    migrated_by text not null,
    migrated_at text not null,
    primary key (tenant_id, binding_id, subscription_id, made_version)
) strict, without rowid;

create table binding_changes_anew (
    tenant_id blob not null,
    binding_id blob not null,
    version integer not null,
    kind text not null check (kind in ('bind', 'upgrade', 'rollback', 'migrate', 'end')),
    component_digest blob not null references components (digest),
    config text not null,
    changed_by text not null,
    changed_at text not null,
    detail text,
    primary key (tenant_id, binding_id, version),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
) strict, without rowid;
insert into binding_changes_anew (tenant_id, binding_id, version, kind, component_digest, config, changed_by, changed_at)
    select tenant_id, binding_id, version, kind, component_digest, config, changed_by, changed_at from binding_changes;
drop table binding_changes;
pragma legacy_alter_table = on;
alter table binding_changes_anew rename to binding_changes;
pragma legacy_alter_table = off;
create trigger binding_changes_no_update before update on binding_changes begin select raise(abort, 'append-only: update of a row in binding_changes is refused'); end;
create trigger binding_changes_no_delete before delete on binding_changes begin select raise(abort, 'append-only: delete of a row in binding_changes is refused'); end;

create trigger subscription_migrations_no_update before update on subscription_migrations begin select raise(abort, 'append-only: update of a row in subscription_migrations is refused'); end;
create trigger subscription_migrations_no_delete before delete on subscription_migrations
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in subscription_migrations is refused'); end;
