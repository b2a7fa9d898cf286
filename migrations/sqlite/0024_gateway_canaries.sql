-- Payments remember the trial that they began in. The twin file for PostgreSQL has the same number, name, tables and columns.

alter table exchanges add column canary_id blob;
