-- Exchanges keep the configuration that they were begun with: a payment in flight goes on with it after an upgrade.
-- The twin file for SQLite has the same number, name, tables and columns.

alter table exchanges add column config text;

-- Payments whose end is not known, by the component that began them.
create index exchanges_in_flight on exchanges (tenant_id, binding_id, component_digest)
    where kind = 'pay' and (verdict is null or verdict in ('pending', 'unknown', 'requires-action', 'authorized', 'other'));
