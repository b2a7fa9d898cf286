-- Tenants in a sandbox: a clock of their own, and books that may be thrown away. The twin file for SQLite has the same
-- number, name, tables and columns.

-- Whoever works for a tenant looks here first.
create table sandboxes (
    tenant_id uuid primary key references tenants (id),
    -- What time it is in there; where the time goes, and how days are closed on the way.
    now_at timestamptz not null,
    until_at timestamptz,
    mode text check (mode in ('with-confirmation', 'automatic')),
    -- Only while the books are being thrown away, inside one transaction.
    wiping boolean not null default false,
    version bigint not null,
    entered_at timestamptz not null,
    check ((until_at is null) = (mode is null))
);
grant select, insert, update, delete on sandboxes to altyn_app;
alter table sandboxes enable row level security;
alter table sandboxes force row level security;
create policy tenant_rows on sandboxes using (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid));

-- Real books never become a sandbox, whatever a program asks for.
create function altyn_sandbox_empty() returns trigger language plpgsql as $$
begin
    if exists (select 1 from contracts where tenant_id = new.tenant_id)
        or exists (select 1 from ledger_entries where tenant_id = new.tenant_id)
        or exists (select 1 from runs where tenant_id = new.tenant_id) then
        raise exception 'append-only: a tenant with books does not become a sandbox' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create trigger sandboxes_empty before insert on sandboxes for each row execute function altyn_sandbox_empty();

create function altyn_wiping(tenant uuid) returns boolean language sql stable as $$
    select exists (select 1 from sandboxes s where s.tenant_id = tenant and s.wiping)
$$;

-- What is kept for ever is kept, but for a sandbox that is being wiped.
create or replace function altyn_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and tg_table_name not in ('component_installs', 'binding_changes', 'canaries') then
        if altyn_wiping((to_jsonb(old) ->> 'tenant_id')::uuid) then
            return old;
        end if;
    end if;
    raise exception 'append-only: % of a row in % is refused', lower(tg_op), tg_table_name using errcode = 'restrict_violation';
end $$;
create or replace function altyn_invoice_immutable() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        if altyn_wiping(old.tenant_id) then
            return old;
        end if;
        raise exception 'append-only: delete of an issued invoice is refused' using errcode = 'restrict_violation';
    end if;
    if (to_jsonb(new) - 'status') <> (to_jsonb(old) - 'status') then
        raise exception 'append-only: an issued invoice is immutable' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create or replace function altyn_ends_once() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        if altyn_wiping(old.tenant_id) then
            return old;
        end if;
        raise exception 'append-only: delete of a row in % is refused', tg_table_name using errcode = 'restrict_violation';
    end if;
    if tg_table_name = 'blocks' then
        if old.lifted_at is not null
            or to_jsonb(new) - array['lifted_at', 'lift_comment', 'lifted_by', 'version']
            <> to_jsonb(old) - array['lifted_at', 'lift_comment', 'lifted_by', 'version'] then
            raise exception 'append-only: a block is lifted once and changes not otherwise' using errcode = 'restrict_violation';
        end if;
    elsif old.status <> 'active'
        or to_jsonb(new) - array['status', 'ended_at', 'ended_by', 'version']
        <> to_jsonb(old) - array['status', 'ended_at', 'ended_by', 'version'] then
        raise exception 'append-only: a promise ends once and changes not otherwise' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;

-- The application may delete nothing that is append-only; its owner does it, of a tenant that is being wiped. The triggers
-- look again.
create function altyn_wipe(target text, tenant uuid) returns void language plpgsql security definer set search_path from current as $$
begin
    if not altyn_wiping(tenant) or target <> all (array['invoice_lines', 'invoices', 'ledger_transactions', 'ledger_entries',
        'plugin_calls', 'evidence', 'import_errors', 'charge_credits', 'blocks', 'promises', 'dunning_steps',
        'subscription_transitions', 'exchange_steps', 'usage_events']) then
        raise exception 'append-only: % is not wiped', target using errcode = 'restrict_violation';
    end if;
    execute format('delete from %I where tenant_id = $1', target) using tenant;
end $$;
revoke execute on function altyn_wipe(text, uuid) from public;
grant execute on function altyn_wipe(text, uuid) to altyn_app;
