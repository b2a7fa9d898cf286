-- Subscriptions that go on with the component they were started with. The twin file for SQLite has the same number, name,
-- tables and columns.

-- What a binding's upgrade left to the subscriptions that were there: one row, however many they are. `tenant_id` is the owner
-- of the binding. `made_version` is the version of the binding that the upgrade made, `ended_version` the one that ended the
-- stay: a migration of all, another upgrade that left nothing, a rollback or the end of the binding.
create table binding_stays (
    tenant_id uuid not null,
    binding_id uuid not null,
    made_version bigint not null,
    component_digest bytea not null references components (digest),
    config text not null,
    started_before timestamptz not null,
    made_by text not null,
    ended_version bigint check (ended_version >= made_version),
    primary key (tenant_id, binding_id, made_version),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
);

-- Subscriptions that were taken out of a stay, and of those before it, by name. `tenant_id` is theirs, which may be one below
-- the owner of the binding, whose rows are hidden from it.
create table subscription_migrations (
    tenant_id uuid not null,
    binding_id uuid not null,
    subscription_id uuid not null,
    made_version bigint not null,
    migrated_by text not null,
    migrated_at timestamptz not null,
    primary key (tenant_id, binding_id, subscription_id, made_version)
);

alter table binding_changes drop constraint binding_changes_kind_check;
alter table binding_changes add constraint binding_changes_kind_check
    check (kind in ('bind', 'upgrade', 'rollback', 'migrate', 'end'));
alter table binding_changes add column detail text;

create trigger subscription_migrations_append_only before update or delete on subscription_migrations for each row execute function altyn_append_only();

grant select, insert, update, delete on binding_stays, subscription_migrations to altyn_app;
do $$ declare t text; begin
    foreach t in array array['binding_stays', 'subscription_migrations'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
revoke update, delete on subscription_migrations from altyn_app;

-- A sandbox that is wiped forgets them with its subscriptions.
create or replace function altyn_wipe(target text, tenant uuid) returns void language plpgsql security definer set search_path from current as $$
begin
    if not altyn_wiping(tenant) or target <> all (array['invoice_lines', 'invoices', 'ledger_transactions', 'ledger_entries',
        'plugin_calls', 'evidence', 'import_errors', 'charge_credits', 'blocks', 'promises', 'dunning_steps',
        'subscription_transitions', 'exchange_steps', 'usage_events', 'subscription_migrations']) then
        raise exception 'append-only: % is not wiped', target using errcode = 'restrict_violation';
    end if;
    execute format('delete from %I where tenant_id = $1', target) using tenant;
end $$;
