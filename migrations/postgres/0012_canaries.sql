-- Components on trial. The twin file for SQLite has the same number, name, tables and columns.

-- A platform table like gateway_endpoints: a binding that is shared has its canary counted by every tenant below its owner,
-- each in the transaction of its own money. `tenant_id` is the owner. Counting does not change `version`; every decision
-- about the canary does, and who counts names the version it was told.
create table canaries (
    id uuid not null primary key,
    tenant_id uuid not null references tenants (id),
    binding_id uuid not null,
    component_digest bytea not null references components (digest),
    config text not null,
    share_bp int not null check (share_bp between 0 and 10000),
    tenants text not null,
    most_fault_bp int not null check (most_fault_bp between 0 and 10000),
    least_decisions bigint not null check (least_decisions > 0),
    state text not null check (state in ('running', 'rolled-back', 'promoted', 'ended')),
    decisions bigint not null,
    faults bigint not null,
    present_decisions bigint not null,
    present_faults bigint not null,
    reason text,
    started_by text not null,
    started_at timestamptz not null,
    finished_by text,
    finished_at timestamptz,
    version bigint not null,
    check ((state = 'running') = (finished_at is null)),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
);
create unique index canaries_running on canaries (tenant_id, binding_id) where state = 'running';
create index canaries_by_binding on canaries (binding_id, id);

-- What became of a canary stays.
create trigger canaries_finished before update or delete on canaries for each row when (old.state <> 'running') execute function altyn_append_only();

grant select, insert, update, delete on canaries to altyn_app;
