-- The spine on SQLite. The twin file for PostgreSQL has the same number, name, tables and columns.

-- The platform: tenants, keys and components. These tables are not tenant data and carry no row-level security (PostgreSQL).

create table tenants (
    id blob not null primary key,
    parent_id blob references tenants (id),
    path text not null unique,
    name text not null,
    locale text not null,
    zone text not null,
    currency text not null,
    run_mode text not null check (run_mode in ('with-confirmation', 'automatic')),
    run_at text not null,
    version integer not null,
    created_at text not null
) strict, without rowid;

create table api_keys (
    id blob not null primary key,
    tenant_id blob not null references tenants (id),
    name text not null,
    prefix text not null,
    hash blob not null unique,
    role text not null,
    created_at text not null,
    expires_at text,
    revoked_at text
) strict, without rowid;
create index api_keys_by_tenant on api_keys (tenant_id, id);

create table components (
    digest blob not null primary key,
    plugin_id text not null,
    version text not null,
    world text not null,
    title text not null,
    config_schema text not null,
    size_bytes integer not null,
    wasm blob not null,
    installed_at text not null,
    unique (plugin_id, version, world)
) strict;

-- A tenant's own data. Every key starts with the tenant.

create table bindings (
    tenant_id blob not null references tenants (id),
    id blob not null,
    extension_point text not null,
    component_digest blob not null references components (digest),
    config text not null,
    priority integer not null,
    effective_from text not null,
    created_at text not null,
    ended_at text,
    version integer not null,
    primary key (tenant_id, id)
) strict, without rowid;
create index bindings_by_point on bindings (tenant_id, extension_point, effective_from);

create table sellers (
    tenant_id blob not null references tenants (id),
    id blob not null,
    name text not null,
    kind text not null,
    country text not null,
    inn text,
    kpp text,
    ogrn text,
    vat_regime text not null,
    bank_account text,
    bank_bik text,
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id)
) strict, without rowid;

create table customers (
    tenant_id blob not null references tenants (id),
    id blob not null,
    kind text not null,
    name text not null,
    country text not null,
    inn text,
    kpp text,
    ogrn text,
    email text,
    phone text,
    address text,
    external_system text,
    external_id text,
    opening_balance_minor integer,
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, external_system, external_id)
) strict, without rowid;

create table contracts (
    tenant_id blob not null references tenants (id),
    id blob not null,
    customer_id blob not null,
    seller_id blob not null,
    number text not null,
    kind text not null check (kind in ('prepaid', 'postpaid', 'mixed')),
    currency text not null,
    zone text not null,
    credit_limit_minor integer not null,
    signed_on text not null,
    funds_account_id blob not null,
    external_system text,
    external_id text,
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, number),
    unique (tenant_id, external_system, external_id),
    foreign key (tenant_id, customer_id) references customers (tenant_id, id),
    foreign key (tenant_id, seller_id) references sellers (tenant_id, id)
) strict, without rowid;
create index contracts_by_customer on contracts (tenant_id, customer_id, id);

create table products (
    tenant_id blob not null references tenants (id),
    id blob not null,
    code text not null,
    title text not null,
    tax_category text not null,
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, code)
) strict, without rowid;

create table plans (
    tenant_id blob not null references tenants (id),
    id blob not null,
    code text not null,
    title text not null,
    status text not null check (status in ('draft', 'active', 'archived')),
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, code)
) strict, without rowid;

create table plan_versions (
    tenant_id blob not null references tenants (id),
    id blob not null,
    plan_id blob not null,
    ordinal integer not null,
    effective_from text not null,
    cadence text not null,
    currency text not null,
    price_mode text not null check (price_mode in ('included', 'on-top')),
    billing_day text not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, plan_id, ordinal),
    foreign key (tenant_id, plan_id) references plans (tenant_id, id)
) strict, without rowid;

create table plan_components (
    tenant_id blob not null references tenants (id),
    id blob not null,
    plan_version_id blob not null,
    product_id blob not null,
    position integer not null,
    code text not null,
    title text not null,
    kind text not null check (kind in ('recurring')),
    unit_price_minor integer not null check (unit_price_minor >= 0),
    tax_category text not null,
    primary key (tenant_id, id),
    unique (tenant_id, plan_version_id, code),
    foreign key (tenant_id, plan_version_id) references plan_versions (tenant_id, id),
    foreign key (tenant_id, product_id) references products (tenant_id, id)
) strict, without rowid;

create table subscriptions (
    tenant_id blob not null references tenants (id),
    id blob not null,
    contract_id blob not null,
    plan_version_id blob not null,
    status text not null,
    quantity text not null,
    discount_percent text not null,
    anchor_on text not null,
    next_index integer not null,
    starts_on text not null,
    ends_on text,
    next_charge_on text not null,
    charges_left integer,
    external_system text,
    external_id text,
    version integer not null,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, external_system, external_id),
    foreign key (tenant_id, contract_id) references contracts (tenant_id, id),
    foreign key (tenant_id, plan_version_id) references plan_versions (tenant_id, id)
) strict, without rowid;
-- The billing run walks this index in contract order; next_charge_on stays out of it so that a renewal touches no index.
create index subscriptions_by_contract on subscriptions (tenant_id, contract_id, id);

-- The rows below are written by the thousand. They carry no foreign keys (one trigger call a row on PostgreSQL);
-- `altyn verify` checks every reference among them.

create table charges (
    tenant_id blob not null,
    id blob not null,
    contract_id blob not null,
    subscription_id blob not null,
    component_id blob not null,
    invoice_id blob not null,
    run_id blob,
    kind text not null,
    status text not null,
    period_start text not null,
    period_end text not null,
    used_start text not null,
    used_end text not null,
    charged_on text not null,
    realises_on text not null,
    paid_on text,
    currency text not null,
    amount_minor integer not null,
    proration_call_id blob,
    call_line integer,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, subscription_id, component_id, period_start),
    check (period_start < period_end and used_start <= used_end and period_start <= used_start and used_end <= period_end)
) strict, without rowid;

create table invoices (
    tenant_id blob not null,
    id blob not null,
    contract_id blob not null,
    seller_id blob not null,
    run_id blob,
    status text not null,
    number text not null,
    sequence_key text not null,
    sequence_value integer not null,
    issued_on text not null,
    currency text not null,
    price_mode text not null,
    net_minor integer not null,
    tax_minor integer not null,
    gross_minor integer not null,
    numbering_call_id blob,
    call_line integer,
    created_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, seller_id, number),
    check (net_minor + tax_minor = gross_minor)
) strict, without rowid;
create index invoices_by_contract on invoices (tenant_id, contract_id, id);

create table invoice_lines (
    tenant_id blob not null,
    invoice_id blob not null,
    position integer not null,
    charge_id blob not null,
    title text not null,
    quantity text not null,
    net_minor integer not null,
    tax_minor integer not null,
    gross_minor integer not null,
    tax_code text not null,
    tax_rate text,
    tax_call_id blob,
    call_line integer,
    primary key (tenant_id, invoice_id, position),
    check (net_minor + tax_minor = gross_minor)
) strict, without rowid;

create table sequences (
    tenant_id blob not null,
    seller_id blob not null,
    key text not null,
    start_value integer not null,
    next_value integer not null,
    primary key (tenant_id, seller_id, key)
) strict, without rowid;

create table ledger_accounts (
    tenant_id blob not null,
    id blob not null,
    code text not null,
    currency text not null,
    balance_minor integer not null,
    entry_count integer not null,
    primary key (tenant_id, id),
    unique (tenant_id, code, currency)
) strict, without rowid;

create table ledger_transactions (
    tenant_id blob not null,
    id blob not null,
    source_key text not null,
    kind text not null,
    currency text not null,
    effective_on text not null,
    description text not null,
    reverses_id blob,
    posted_at text not null,
    primary key (tenant_id, id),
    unique (tenant_id, source_key)
) strict, without rowid;

create table ledger_entries (
    tenant_id blob not null,
    transaction_id blob not null,
    position integer not null,
    account_id blob not null,
    amount_minor integer not null check (amount_minor <> 0),
    primary key (tenant_id, transaction_id, position)
) strict, without rowid;
create index ledger_entries_by_account on ledger_entries (tenant_id, account_id, transaction_id);

create table runs (
    tenant_id blob not null,
    id blob not null,
    business_on text not null,
    mode text not null,
    state text not null,
    cursor blob,
    contracts integer not null,
    subscriptions integer not null,
    charges integer not null,
    invoices integer not null,
    parked integer not null,
    awaiting integer not null,
    net_minor integer not null,
    tax_minor integer not null,
    gross_minor integer not null,
    plugin_calls integer not null,
    lease_owner text,
    lease_until text,
    fence integer not null,
    cancel_requested integer not null,
    created_at text not null,
    started_at text,
    finished_at text,
    version integer not null,
    primary key (tenant_id, id),
    unique (tenant_id, business_on)
) strict, without rowid;

create table run_plans (
    tenant_id blob not null,
    run_id blob not null,
    contract_id blob not null,
    state text not null,
    plan_hash blob,
    lines integer not null,
    net_minor integer not null,
    tax_minor integer not null,
    gross_minor integer not null,
    effects text,
    reason_code text,
    reason text,
    call_id blob,
    attempts integer not null,
    decided_by text,
    updated_at text not null,
    primary key (tenant_id, run_id, contract_id)
) strict, without rowid;

create table plugin_calls (
    tenant_id blob not null,
    id blob not null,
    run_id blob,
    binding_id blob not null,
    component_digest blob not null,
    world text not null,
    export text not null,
    input_digest blob not null,
    output_digest blob,
    fault_code text,
    fault text,
    fuel integer not null,
    peak_memory_bytes integer not null,
    duration_us integer not null,
    called_at text not null,
    primary key (tenant_id, id)
) strict, without rowid;
create index plugin_calls_by_run on plugin_calls (tenant_id, run_id, id);

create table evidence (
    tenant_id blob not null,
    digest blob not null,
    size_bytes integer not null,
    zstd blob not null,
    primary key (tenant_id, digest)
) strict;

create table jobs (
    tenant_id blob not null,
    id blob not null,
    kind text not null,
    job_key text not null,
    payload text not null,
    due_at text not null,
    state text not null check (state in ('ready', 'done', 'dead')),
    lease_owner text,
    lease_until text,
    fence integer not null,
    attempts integer not null,
    last_error text,
    created_at text not null,
    finished_at text,
    primary key (tenant_id, id),
    unique (tenant_id, kind, job_key)
) strict, without rowid;
create index jobs_by_due on jobs (tenant_id, state, due_at);

create table outbox (
    tenant_id blob not null,
    id blob not null,
    kind text not null,
    subject text not null,
    payload text not null,
    created_at text not null,
    delivered_at text,
    primary key (tenant_id, id)
) strict, without rowid;

create table idempotency (
    tenant_id blob not null,
    credential text not null,
    request text not null,
    idempotency_key text not null,
    fingerprint blob not null,
    status integer not null,
    body text not null,
    created_at text not null,
    primary key (tenant_id, credential, request, idempotency_key)
) strict, without rowid;

create table imports (
    tenant_id blob not null,
    id blob not null,
    kind text not null,
    file_name text not null,
    file_digest blob not null,
    state text not null,
    rows_read integer not null,
    rows_created integer not null,
    rows_unchanged integer not null,
    rows_refused integer not null,
    created_at text not null,
    finished_at text,
    primary key (tenant_id, id)
) strict, without rowid;

create table import_errors (
    tenant_id blob not null,
    import_id blob not null,
    position integer not null,
    row_number integer not null,
    column_name text not null,
    code text not null,
    message text not null,
    primary key (tenant_id, import_id, position)
) strict, without rowid;

-- Append-only tables: a correction is a new row.
create trigger invoice_lines_no_update before update on invoice_lines begin select raise(abort, 'append-only: update of a row in invoice_lines is refused'); end;
create trigger invoice_lines_no_delete before delete on invoice_lines begin select raise(abort, 'append-only: delete of a row in invoice_lines is refused'); end;
create trigger ledger_transactions_no_update before update on ledger_transactions begin select raise(abort, 'append-only: update of a row in ledger_transactions is refused'); end;
create trigger ledger_transactions_no_delete before delete on ledger_transactions begin select raise(abort, 'append-only: delete of a row in ledger_transactions is refused'); end;
create trigger ledger_entries_no_update before update on ledger_entries begin select raise(abort, 'append-only: update of a row in ledger_entries is refused'); end;
create trigger ledger_entries_no_delete before delete on ledger_entries begin select raise(abort, 'append-only: delete of a row in ledger_entries is refused'); end;
create trigger plugin_calls_no_update before update on plugin_calls begin select raise(abort, 'append-only: update of a row in plugin_calls is refused'); end;
create trigger plugin_calls_no_delete before delete on plugin_calls begin select raise(abort, 'append-only: delete of a row in plugin_calls is refused'); end;
create trigger evidence_no_update before update on evidence begin select raise(abort, 'append-only: update of a row in evidence is refused'); end;
create trigger evidence_no_delete before delete on evidence begin select raise(abort, 'append-only: delete of a row in evidence is refused'); end;
create trigger import_errors_no_update before update on import_errors begin select raise(abort, 'append-only: update of a row in import_errors is refused'); end;
create trigger import_errors_no_delete before delete on import_errors begin select raise(abort, 'append-only: delete of a row in import_errors is refused'); end;

-- An issued invoice changes its status, nothing else.
create trigger invoices_no_delete before delete on invoices begin select raise(abort, 'append-only: delete of an issued invoice is refused'); end;
create trigger invoices_immutable before update of tenant_id, id, contract_id, seller_id, run_id, number, sequence_key, sequence_value, issued_on, currency, price_mode, net_minor, tax_minor, gross_minor, numbering_call_id, call_line, created_at on invoices begin select raise(abort, 'append-only: an issued invoice is immutable'); end;

-- A transaction's entries are written first and its header seals them: the header is refused unless they balance,
-- and a sealed transaction takes no further entry.
create trigger ledger_transactions_balance before insert on ledger_transactions
when (select count(*) < 2 or coalesce(sum(amount_minor), 1) <> 0 from ledger_entries where tenant_id = new.tenant_id and transaction_id = new.id)
begin select raise(abort, 'unbalanced: the entries of a transaction do not sum to zero'); end;
create trigger ledger_entries_unsealed before insert on ledger_entries
when exists (select 1 from ledger_transactions where tenant_id = new.tenant_id and id = new.transaction_id)
begin select raise(abort, 'append-only: the transaction is sealed'); end;
