-- Components on trial. The twin file for PostgreSQL has the same number, name, tables and columns.

-- A platform table like gateway_endpoints: a binding that is shared has its canary counted by every tenant below its owner,
-- each in the transaction of its own money. `tenant_id` is the owner. Counting does not change `version`; every decision
-- about the canary does, and who counts names the version it was told.
create table canaries (
    id blob not null primary key,
    tenant_id blob not null references tenants (id),
    binding_id blob not null,
    component_digest blob not null references components (digest),
    config text not null,
    share_bp integer not null check (share_bp between 0 and 10000),
    tenants text not null,
    most_fault_bp integer not null check (most_fault_bp between 0 and 10000),
    least_decisions integer not null check (least_decisions > 0),
    state text not null check (state in ('running', 'rolled-back', 'promoted', 'ended')),
    decisions integer not null,
    faults integer not null,
    present_decisions integer not null,
    present_faults integer not null,
    reason text,
    started_by text not null,
    started_at text not null,
    finished_by text,
    finished_at text,
    version integer not null,
    check ((state = 'running') = (finished_at is null)),
    foreign key (tenant_id, binding_id) references bindings (tenant_id, id)
) strict, without rowid;
create unique index canaries_running on canaries (tenant_id, binding_id) where state = 'running';
create index canaries_by_binding on canaries (binding_id, id);

-- What became of a canary stays.
create trigger canaries_finished_no_update before update on canaries when old.state <> 'running' begin select raise(abort, 'append-only: update of a row in canaries is refused'); end;
create trigger canaries_finished_no_delete before delete on canaries when old.state <> 'running' begin select raise(abort, 'append-only: delete of a row in canaries is refused'); end;
