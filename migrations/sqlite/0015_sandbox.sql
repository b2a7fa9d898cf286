-- Tenants in a sandbox: a clock of their own, and books that may be thrown away. The twin file for PostgreSQL has the same
-- number, name, tables and columns.

-- Whoever works for a tenant looks here first.
create table sandboxes (
    tenant_id blob not null primary key references tenants (id),
    -- What time it is in there; where the time goes, and how days are closed on the way.
    now_at text not null,
    until_at text,
    mode text check (mode in ('with-confirmation', 'automatic')),
    -- Only while the books are being thrown away, inside one transaction.
    wiping integer not null default 0,
    version integer not null,
    entered_at text not null,
    check ((until_at is null) = (mode is null))
) strict, without rowid;

-- Real books never become a sandbox, whatever a program asks for.
create trigger sandboxes_empty before insert on sandboxes
when exists (select 1 from contracts where tenant_id = new.tenant_id)
    or exists (select 1 from ledger_entries where tenant_id = new.tenant_id)
    or exists (select 1 from runs where tenant_id = new.tenant_id)
begin select raise(abort, 'append-only: a tenant with books does not become a sandbox'); end;

-- What is kept for ever is kept, but for a sandbox that is being wiped.
drop trigger invoice_lines_no_delete;
create trigger invoice_lines_no_delete before delete on invoice_lines
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in invoice_lines is refused'); end;
drop trigger ledger_transactions_no_delete;
create trigger ledger_transactions_no_delete before delete on ledger_transactions
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in ledger_transactions is refused'); end;
drop trigger ledger_entries_no_delete;
create trigger ledger_entries_no_delete before delete on ledger_entries
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in ledger_entries is refused'); end;
drop trigger plugin_calls_no_delete;
create trigger plugin_calls_no_delete before delete on plugin_calls
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in plugin_calls is refused'); end;
drop trigger evidence_no_delete;
create trigger evidence_no_delete before delete on evidence
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in evidence is refused'); end;
drop trigger import_errors_no_delete;
create trigger import_errors_no_delete before delete on import_errors
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in import_errors is refused'); end;
drop trigger invoices_no_delete;
create trigger invoices_no_delete before delete on invoices
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of an issued invoice is refused'); end;
drop trigger charge_credits_no_delete;
create trigger charge_credits_no_delete before delete on charge_credits
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in charge_credits is refused'); end;
drop trigger blocks_no_delete;
create trigger blocks_no_delete before delete on blocks
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in blocks is refused'); end;
drop trigger promises_no_delete;
create trigger promises_no_delete before delete on promises
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in promises is refused'); end;
drop trigger dunning_steps_no_delete;
create trigger dunning_steps_no_delete before delete on dunning_steps
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in dunning_steps is refused'); end;
drop trigger subscription_transitions_no_delete;
create trigger subscription_transitions_no_delete before delete on subscription_transitions
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in subscription_transitions is refused'); end;
drop trigger exchange_steps_no_delete;
create trigger exchange_steps_no_delete before delete on exchange_steps
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in exchange_steps is refused'); end;
drop trigger usage_events_no_delete;
create trigger usage_events_no_delete before delete on usage_events
when not exists (select 1 from sandboxes where tenant_id = old.tenant_id and wiping)
begin select raise(abort, 'append-only: delete of a row in usage_events is refused'); end;
