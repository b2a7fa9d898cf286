-- Payments remember the trial that they began in. The twin file for SQLite has the same number, name, tables and columns.

alter table exchanges add column canary_id uuid;
