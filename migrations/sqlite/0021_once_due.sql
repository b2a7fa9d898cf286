-- Whether what a subscription is charged once is still to be charged: with the first period that is. The twin file for PostgreSQL
-- has the same number, name and columns.

alter table subscriptions add column once_due integer not null default 0 check (once_due in (0, 1));
-- A first period that was charged moved the next charge on.
update subscriptions set once_due = 1 where next_charge_on <= starts_on;
