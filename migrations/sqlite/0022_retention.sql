-- Answers, events and jobs that are deleted after a while, and the order in which events are listed. The twin file for PostgreSQL
-- has the same number, name, tables and columns.

-- The oldest of each are found without reading the others.
create index idempotency_by_age on idempotency (tenant_id, created_at);
create index outbox_by_age on outbox (tenant_id, created_at);
create index jobs_by_end on jobs (tenant_id, finished_at) where state = 'done';

-- The place of an event in the list; it gets one when it is listed first, and none that is written by then comes before it.
alter table outbox add column position integer;
create unique index outbox_by_position on outbox (tenant_id, position) where position is not null;
create index outbox_unplaced on outbox (tenant_id, id) where position is null;

-- The last place that was given; it is kept when events are deleted, and when a sandbox is wiped.
create table outbox_positions (
    tenant_id blob not null primary key references tenants (id),
    last_position integer not null
) strict, without rowid;
