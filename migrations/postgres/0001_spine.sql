-- The spine on PostgreSQL. The twin file for SQLite has the same number, name, tables and columns.

-- The platform: tenants, keys and components. These tables are not tenant data and carry no row-level security.

create table tenants (
    id uuid not null primary key,
    parent_id uuid references tenants (id),
    path text collate "C" not null unique,
    name text not null,
    locale text not null,
    zone text not null,
    currency text not null,
    run_mode text not null check (run_mode in ('with-confirmation', 'automatic')),
    run_at text not null,
    version bigint not null,
    created_at timestamptz not null
);

create table api_keys (
    id uuid not null primary key,
    tenant_id uuid not null references tenants (id),
    name text not null,
    prefix text not null,
    hash bytea not null unique,
    role text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz
);
create index api_keys_by_tenant on api_keys (tenant_id, id);

create table components (
    digest bytea not null primary key,
    plugin_id text collate "C" not null,
    version text not null,
    world text not null,
    title text not null,
    config_schema text not null,
    size_bytes bigint not null,
    wasm bytea not null,
    installed_at timestamptz not null,
    unique (plugin_id, version, world)
);

-- A tenant's own data. Every key starts with the tenant.

create table bindings (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    extension_point text not null,
    component_digest bytea not null references components (digest),
    config text not null,
    priority int not null,
    effective_from date not null,
    created_at timestamptz not null,
    ended_at timestamptz,
    version bigint not null,
    primary key (tenant_id, id)
);
create index bindings_by_point on bindings (tenant_id, extension_point, effective_from);

create table sellers (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    name text not null,
    kind text not null,
    country text not null,
    inn text,
    kpp text,
    ogrn text,
    vat_regime text not null,
    bank_account text,
    bank_bik text,
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id)
);

create table customers (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    kind text not null,
    name text not null,
    country text not null,
    inn text,
    kpp text,
    ogrn text,
    email text,
    phone text,
    address text,
    external_system text collate "C",
    external_id text collate "C",
    opening_balance_minor bigint,
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, external_system, external_id)
);

create table contracts (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    customer_id uuid not null,
    seller_id uuid not null,
    number text collate "C" not null,
    kind text not null check (kind in ('prepaid', 'postpaid', 'mixed')),
    currency text not null,
    zone text not null,
    credit_limit_minor bigint not null,
    signed_on date not null,
    funds_account_id uuid not null,
    external_system text collate "C",
    external_id text collate "C",
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, number),
    unique (tenant_id, external_system, external_id),
    foreign key (tenant_id, customer_id) references customers (tenant_id, id),
    foreign key (tenant_id, seller_id) references sellers (tenant_id, id)
);
create index contracts_by_customer on contracts (tenant_id, customer_id, id);

create table products (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    code text collate "C" not null,
    title text not null,
    tax_category text not null,
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, code)
);

create table plans (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    code text collate "C" not null,
    title text not null,
    status text not null check (status in ('draft', 'active', 'archived')),
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, code)
);

create table plan_versions (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    plan_id uuid not null,
    ordinal int not null,
    effective_from date not null,
    cadence text not null,
    currency text not null,
    price_mode text not null check (price_mode in ('included', 'on-top')),
    billing_day text not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, plan_id, ordinal),
    foreign key (tenant_id, plan_id) references plans (tenant_id, id)
);

create table plan_components (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    plan_version_id uuid not null,
    product_id uuid not null,
    position int not null,
    code text collate "C" not null,
    title text not null,
    kind text not null check (kind in ('recurring')),
    unit_price_minor bigint not null check (unit_price_minor >= 0),
    tax_category text not null,
    primary key (tenant_id, id),
    unique (tenant_id, plan_version_id, code),
    foreign key (tenant_id, plan_version_id) references plan_versions (tenant_id, id),
    foreign key (tenant_id, product_id) references products (tenant_id, id)
);

create table subscriptions (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    contract_id uuid not null,
    plan_version_id uuid not null,
    status text not null,
    quantity text not null,
    discount_percent text not null,
    anchor_on date not null,
    next_index int not null,
    starts_on date not null,
    ends_on date,
    next_charge_on date not null,
    charges_left int,
    external_system text collate "C",
    external_id text collate "C",
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, external_system, external_id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    foreign key (tenant_id, plan_version_id) references plan_versions (tenant_id, id)
);
-- Half of each page stays free, so that a renewal stays on its page and touches no index; likewise a balance.
alter table subscriptions set (fillfactor = 50);
-- The billing run walks this index in contract order; next_charge_on stays out of it so that a renewal touches no index.
create index subscriptions_by_contract on subscriptions (tenant_id, contract_id, id);

-- The rows below are written by the thousand. They carry no foreign keys (one trigger call a row on PostgreSQL);
-- `altyn verify` checks every reference among them.

create table charges (
    tenant_id uuid not null,
    id uuid not null,
    contract_id uuid not null,
    subscription_id uuid not null,
    component_id uuid not null,
    invoice_id uuid not null,
    run_id uuid,
    kind text not null,
    status text not null,
    period_start date not null,
    period_end date not null,
    used_start date not null,
    used_end date not null,
    charged_on date not null,
    realises_on date not null,
    paid_on date,
    currency text not null,
    amount_minor bigint not null,
    proration_call_id uuid,
    call_line int,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, component_id, period_start),
    check (period_start < period_end and used_start <= used_end and period_start <= used_start and used_end <= period_end)
);

create table invoices (
    tenant_id uuid not null,
    id uuid not null,
    contract_id uuid not null,
    seller_id uuid not null,
    run_id uuid,
    status text not null,
    number text collate "C" not null,
    sequence_key text collate "C" not null,
    sequence_value bigint not null,
    issued_on date not null,
    currency text not null,
    price_mode text not null,
    net_minor bigint not null,
    tax_minor bigint not null,
    gross_minor bigint not null,
    numbering_call_id uuid,
    call_line int,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, seller_id, number),
    check (net_minor + tax_minor = gross_minor)
);
create index invoices_by_contract on invoices (tenant_id, contract_id, id);

create table invoice_lines (
    tenant_id uuid not null,
    invoice_id uuid not null,
    position int not null,
    charge_id uuid not null,
    title text not null,
    quantity text not null,
    net_minor bigint not null,
    tax_minor bigint not null,
    gross_minor bigint not null,
    tax_code text not null,
    tax_rate text,
    tax_call_id uuid,
    call_line int,
    primary key (tenant_id, invoice_id, position),
    check (net_minor + tax_minor = gross_minor)
);

create table sequences (
    tenant_id uuid not null,
    seller_id uuid not null,
    key text collate "C" not null,
    start_value bigint not null,
    next_value bigint not null,
    primary key (tenant_id, seller_id, key)
);

create table ledger_accounts (
    tenant_id uuid not null,
    id uuid not null,
    code text collate "C" not null,
    currency text not null,
    balance_minor bigint not null,
    entry_count bigint not null,
    primary key (tenant_id, id),
    unique (tenant_id, code, currency)
);

alter table ledger_accounts set (fillfactor = 50);

create table ledger_transactions (
    tenant_id uuid not null,
    id uuid not null,
    source_key text collate "C" not null,
    kind text not null,
    currency text not null,
    effective_on date not null,
    description text not null,
    reverses_id uuid,
    posted_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, source_key)
);

create table ledger_entries (
    tenant_id uuid not null,
    transaction_id uuid not null,
    position int not null,
    account_id uuid not null,
    amount_minor bigint not null check (amount_minor <> 0),
    primary key (tenant_id, transaction_id, position)
);
create index ledger_entries_by_account on ledger_entries (tenant_id, account_id, transaction_id);

create table runs (
    tenant_id uuid not null,
    id uuid not null,
    business_on date not null,
    mode text not null,
    state text not null,
    cursor uuid,
    contracts bigint not null,
    subscriptions bigint not null,
    charges bigint not null,
    invoices bigint not null,
    parked bigint not null,
    awaiting bigint not null,
    net_minor bigint not null,
    tax_minor bigint not null,
    gross_minor bigint not null,
    plugin_calls bigint not null,
    lease_owner text,
    lease_until timestamptz,
    fence bigint not null,
    cancel_requested boolean not null,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    version bigint not null,
    primary key (tenant_id, id),
    unique (tenant_id, business_on)
);

create table run_plans (
    tenant_id uuid not null,
    run_id uuid not null,
    contract_id uuid not null,
    state text not null,
    plan_hash bytea,
    lines bigint not null,
    net_minor bigint not null,
    tax_minor bigint not null,
    gross_minor bigint not null,
    effects text,
    reason_code text,
    reason text,
    call_id uuid,
    attempts int not null,
    decided_by text,
    updated_at timestamptz not null,
    primary key (tenant_id, run_id, contract_id)
);

create table plugin_calls (
    tenant_id uuid not null,
    id uuid not null,
    run_id uuid,
    binding_id uuid not null,
    component_digest bytea not null,
    world text not null,
    export text not null,
    input_digest bytea not null,
    output_digest bytea,
    fault_code text,
    fault text,
    fuel bigint not null,
    peak_memory_bytes bigint not null,
    duration_us bigint not null,
    called_at timestamptz not null,
    primary key (tenant_id, id)
);
create index plugin_calls_by_run on plugin_calls (tenant_id, run_id, id);

create table evidence (
    tenant_id uuid not null,
    digest bytea not null,
    size_bytes bigint not null,
    zstd bytea not null,
    primary key (tenant_id, digest)
);

create table jobs (
    tenant_id uuid not null,
    id uuid not null,
    kind text not null,
    job_key text collate "C" not null,
    payload text not null,
    due_at timestamptz not null,
    state text not null check (state in ('ready', 'done', 'dead')),
    lease_owner text,
    lease_until timestamptz,
    fence bigint not null,
    attempts int not null,
    last_error text,
    created_at timestamptz not null,
    finished_at timestamptz,
    primary key (tenant_id, id),
    unique (tenant_id, kind, job_key)
);
create index jobs_by_due on jobs (tenant_id, state, due_at);

create table outbox (
    tenant_id uuid not null,
    id uuid not null,
    kind text not null,
    subject text not null,
    payload text not null,
    created_at timestamptz not null,
    delivered_at timestamptz,
    primary key (tenant_id, id)
);

create table idempotency (
    tenant_id uuid not null,
    credential text not null,
    request text not null,
    idempotency_key text not null,
    fingerprint bytea not null,
    status int not null,
    body text not null,
    created_at timestamptz not null,
    primary key (tenant_id, credential, request, idempotency_key)
);

create table imports (
    tenant_id uuid not null,
    id uuid not null,
    kind text not null,
    file_name text not null,
    file_digest bytea not null,
    state text not null,
    rows_read bigint not null,
    rows_created bigint not null,
    rows_unchanged bigint not null,
    rows_refused bigint not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    primary key (tenant_id, id)
);

create table import_errors (
    tenant_id uuid not null,
    import_id uuid not null,
    position int not null,
    row_number bigint not null,
    column_name text not null,
    code text collate "C" not null,
    message text not null,
    primary key (tenant_id, import_id, position)
);

-- Append-only tables: a correction is a new row.
create function altyn_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'append-only: % of a row in % is refused', lower(tg_op), tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger invoice_lines_append_only before update or delete on invoice_lines for each row execute function altyn_append_only();
create trigger ledger_transactions_append_only before update or delete on ledger_transactions for each row execute function altyn_append_only();
create trigger ledger_entries_append_only before update or delete on ledger_entries for each row execute function altyn_append_only();
create trigger plugin_calls_append_only before update or delete on plugin_calls for each row execute function altyn_append_only();
create trigger evidence_append_only before update or delete on evidence for each row execute function altyn_append_only();
create trigger import_errors_append_only before update or delete on import_errors for each row execute function altyn_append_only();

-- An issued invoice changes its status, nothing else.
create function altyn_invoice_immutable() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        raise exception 'append-only: delete of an issued invoice is refused' using errcode = 'restrict_violation';
    end if;
    if (to_jsonb(new) - 'status') <> (to_jsonb(old) - 'status') then
        raise exception 'append-only: an issued invoice is immutable' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create trigger invoices_immutable before update or delete on invoices for each row execute function altyn_invoice_immutable();

-- A transaction's entries are written first and its header seals them: the header is refused unless they balance,
-- and a sealed transaction takes no further entry. Statement-level, so that a thousand postings are one check.
-- The checks are planned anew each time (a variable in them and the setting do that): a plan made while the tables were
-- empty would read them whole for every row.
create function altyn_transactions_balance() returns trigger language plpgsql
    set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
declare broken uuid; least bigint := 2;
begin
    -- Lateral, so that each header costs one look-up by the entries' key whatever the planner knows of the tables.
    select n.id into broken from written n, lateral (
            select count(*) as entries, coalesce(sum(e.amount_minor), 1) as amount from ledger_entries e
            where e.tenant_id = n.tenant_id and e.transaction_id = n.id) as found
        where found.entries < least or found.amount <> 0 limit 1;
    if broken is not null then
        raise exception 'unbalanced: the entries of transaction % do not sum to zero', broken using errcode = 'check_violation';
    end if;
    return null;
end $$;
create trigger ledger_transactions_balance after insert on ledger_transactions referencing new table as written
    for each statement execute function altyn_transactions_balance();

create function altyn_entries_unsealed() returns trigger language plpgsql
    set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
declare sealed uuid; least bigint := 1;
begin
    select found.id into sealed from (select distinct tenant_id, transaction_id from written) n, lateral (
            select t.id from ledger_transactions t
            where t.tenant_id = n.tenant_id and t.id = n.transaction_id limit 1) as found
        limit least;
    if sealed is not null then
        raise exception 'append-only: transaction % is sealed', sealed using errcode = 'restrict_violation';
    end if;
    return null;
end $$;
create trigger ledger_entries_unsealed after insert on ledger_entries referencing new table as written
    for each statement execute function altyn_entries_unsealed();

-- The application works as a role that owns nothing and sees one tenant a transaction.
do $$ begin
    if not exists (select from pg_roles where rolname = 'altyn_app') then
        create role altyn_app nologin;
    end if;
exception when duplicate_object or unique_violation then null;
end $$;
do $$ begin
    execute format('grant altyn_app to %I', current_user);
    execute format('grant usage on schema %I to altyn_app', current_schema());
    execute format('grant select, insert, update, delete on all tables in schema %I to altyn_app', current_schema());
end $$;
do $$ declare t text; begin
    foreach t in array array['bindings', 'sellers', 'customers', 'contracts', 'products', 'plans', 'plan_versions', 'plan_components', 'subscriptions', 'charges', 'invoices', 'invoice_lines', 'sequences', 'ledger_accounts', 'ledger_transactions', 'ledger_entries', 'runs', 'run_plans', 'plugin_calls', 'evidence', 'jobs', 'outbox', 'idempotency', 'imports', 'import_errors'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant_rows on %I using (tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid))', t);
    end loop;
end $$;
revoke update, delete on invoice_lines from altyn_app;
revoke update, delete on ledger_transactions from altyn_app;
revoke update, delete on ledger_entries from altyn_app;
revoke update, delete on plugin_calls from altyn_app;
revoke update, delete on evidence from altyn_app;
revoke update, delete on import_errors from altyn_app;
-- The record of what ran belongs to the owner; the application only reads it.
do $$ begin
    if exists (select from pg_tables where schemaname = current_schema() and tablename = '_sqlx_migrations') then
        revoke insert, update, delete on _sqlx_migrations from altyn_app;
    end if;
end $$;
