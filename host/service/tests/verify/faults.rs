//! The faults: statements that spoil a copy of the books, and the rules that must find them.

use altyn_domain::{
    charge::ChargeKind,
    id::{ChargeId, Id},
};
use altyn_service::{evidence::sha256, ledger::TransactionView};
use altyn_store::Engine;
use uuid::Uuid;

use crate::world::World;

const NOVEMBER: &str = "2026-11-01";
const DECEMBER: &str = "2026-12-01";

/// A fault to plant.
pub struct Fault {
    pub name: &'static str,
    pub sql: String,
    /// The rules that fail, and no other; the first is the one that names the rows.
    pub rules: &'static [&'static str],
    /// What it names.
    pub names: Vec<String>,
}

/// Values as the engine writes them.
#[derive(Clone, Copy)]
struct Text(Engine);

impl Text {
    fn id(self, id: impl Id) -> String {
        self.uuid(id.uuid())
    }

    fn uuid(self, id: Uuid) -> String {
        match self.0 {
            Engine::Sqlite => format!("x'{}'", id.simple()),
            Engine::Postgres => format!("'{id}'::uuid"),
        }
    }

    fn bytes(self, bytes: &[u8]) -> String {
        match self.0 {
            Engine::Sqlite => format!("x'{}'", hex::encode(bytes)),
            Engine::Postgres => format!("'\\x{}'::bytea", hex::encode(bytes)),
        }
    }

    /// Lets a table take the same key twice.
    fn without_unique(self, table: &str) -> String {
        match self.0 {
            // SQLite has no statement for it: the table is made again without its constraints, and with the index that a rule names.
            Engine::Sqlite => format!(
                "create table copied as select * from {table}; drop table {table}; alter table copied rename to {table};
                create index if not exists invoices_by_contract on invoices (tenant_id, contract_id, id);"
            ),
            Engine::Postgres => format!(
                "do $$ declare name text; begin
                    for name in select conname from pg_constraint
                        where conrelid = '{table}'::regclass and contype = 'u' loop
                        execute format('alter table {table} drop constraint %I', name);
                    end loop;
                end $$;"
            ),
        }
    }
}

/// The entry of a transaction on an account.
fn entry(transaction: &TransactionView, account: &str) -> Uuid {
    let found = transaction.entries.iter().find(|entry| entry.account.starts_with(account));
    found.unwrap_or_else(|| panic!("{} has no entry on {account}", transaction.source_key)).account_id.uuid()
}

/// An id that nothing has.
fn nobody(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_a5d0_c0de_7000_8000_0000_0000_0000 + n)
}

fn named(prefix: &str, id: Uuid) -> String {
    format!("{prefix}_{}", id.simple())
}

pub fn all(world: &World) -> Vec<Fault> {
    let mut faults = ledger(world);
    faults.extend(invoices(world));
    faults.extend(numbers(world));
    faults.extend(coverage(world));
    faults.extend(changed(world));
    faults.extend(runs(world));
    faults.extend(realisations(world));
    faults.extend(credits(world));
    faults.extend(references(world));
    faults.extend(evidence(world));
    faults.extend(control(world));
    faults.extend(usage(world));
    faults.extend(short_funds(world));
    faults.extend(orders(world));
    faults
}

fn ledger(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let tenant = text.id(world.tenant);
    let (a, b) = (world.posting(NOVEMBER, 0), world.posting(NOVEMBER, 1));
    let (first, second, third) =
        (world.transaction("manual/first"), world.transaction("manual/second"), world.transaction("manual/third"));
    let deferred = entry(a, "deferred-revenue");
    let (cash, funds) = (entry(first, "cash"), entry(first, "contract/"));
    let add = |transaction: &TransactionView, account: Uuid, amount: i64| {
        format!(
            "update ledger_entries set amount_minor = amount_minor + {amount} where transaction_id = {} and account_id = {};",
            text.id(transaction.id),
            text.uuid(account)
        )
    };
    let cached = |account: Uuid, amount: i64, entries: i64| {
        format!(
            "update ledger_accounts set balance_minor = balance_minor + {amount}, entry_count = entry_count + {entries}
            where id = {};",
            text.uuid(account)
        )
    };
    let header = |id: Uuid, of: &TransactionView, key: &str, reverses: &str| {
        format!(
            "insert into ledger_transactions
            (tenant_id, id, source_key, kind, currency, effective_on, description, reverses_id, posted_at)
            select tenant_id, {}, '{key}', kind, currency, effective_on, description, {reverses}, posted_at
            from ledger_transactions where id = {};",
            text.uuid(id),
            text.id(of.id)
        )
    };
    let entries = |id: Uuid, values: &[(Uuid, i64)]| -> String {
        let row = |(position, (account, amount)): (usize, &(Uuid, i64))| {
            format!(
                "insert into ledger_entries (tenant_id, transaction_id, position, account_id, amount_minor)
                values ({tenant}, {}, {position}, {}, {amount});",
                text.uuid(id),
                text.uuid(*account)
            )
        };
        values.iter().enumerate().map(row).collect()
    };
    let again = nobody(3);
    let reversed = |of: &TransactionView| {
        let negated: Vec<(Uuid, i64)> =
            of.entries.iter().map(|entry| (entry.account_id.uuid(), -entry.amount_minor)).collect();
        let balances: String = negated.iter().map(|(account, amount)| cached(*account, *amount, 1)).collect();
        header(again, of, "reversal/again", &text.id(of.id)) + &entries(again, &negated) + &balances
    };
    let given_back = world.transactions.iter().find(|transaction| {
        transaction.kind == "credit-unused"
            && transaction.entries.iter().any(|entry| entry.account.starts_with("revenue/"))
    });
    let given_back = given_back.unwrap();
    vec![
        Fault {
            // Nothing but the reversal itself tells: the credit, its charge and the accounts agree.
            name: "a credit stands and its posting is taken back",
            sql: reversed(given_back),
            rules: &["postings-stand"],
            names: vec![given_back.id.to_string()],
        },
        Fault {
            name: "a charge stands and its posting is taken back",
            sql: reversed(a),
            rules: &["postings-stand", "deferred-revenue"],
            names: vec![a.id.to_string()],
        },
        Fault {
            name: "two transactions are out of balance by the same amount",
            sql: add(a, deferred, 1) + &add(b, deferred, -1),
            rules: &["transactions-balance"],
            names: vec![a.id.to_string(), b.id.to_string()],
        },
        Fault {
            name: "a transaction has one entry",
            sql: header(nobody(1), first, "manual/half", "null")
                + &entries(nobody(1), &[(cash, 5)])
                + &cached(cash, 5, 1),
            rules: &["transactions-balance", "trial-balance-zero"],
            names: vec![named("txn", nobody(1))],
        },
        Fault {
            name: "a transaction has no entries",
            sql: header(nobody(1), first, "manual/empty", "null"),
            rules: &["headers-have-entries"],
            names: vec![named("txn", nobody(1))],
        },
        Fault {
            name: "entries have no transaction",
            sql: entries(nobody(2), &[(cash, 7), (cash, -7)]) + &cached(cash, 0, 2),
            rules: &["entries-have-headers"],
            names: vec![named("txn", nobody(2))],
        },
        Fault {
            name: "a transaction is in another currency than its accounts",
            sql: format!("update ledger_transactions set currency = 'EUR' where id = {}", text.id(first.id)),
            rules: &["entry-currency"],
            names: vec![first.id.to_string()],
        },
        Fault {
            name: "a cached balance moved from one account to another",
            sql: cached(cash, 1, 0) + &cached(funds, -1, 0),
            rules: &["balances-equal-entries"],
            names: vec![named("acc", cash), named("acc", funds)],
        },
        Fault {
            name: "an account counts an entry that is not there",
            sql: cached(cash, 0, 1),
            rules: &["balances-equal-entries"],
            names: vec![named("acc", cash)],
        },
        Fault {
            // Balances that do not sum to zero always have a cause, whose rule fails too.
            name: "a cached balance is off by one",
            sql: cached(cash, 1, 0),
            rules: &["trial-balance-zero", "balances-equal-entries"],
            names: vec!["RUB: the balances sum to 1".to_owned()],
        },
        Fault {
            name: "a source key is posted twice",
            sql: text.without_unique("ledger_transactions")
                + &format!(
                    "update ledger_transactions set source_key = 'manual/first' where id = {}",
                    text.id(third.id)
                ),
            rules: &["source-key-unique"],
            names: vec![third.id.to_string()],
        },
        Fault {
            name: "a reversal is not the negative of its original",
            sql: format!(
                "update ledger_transactions set reverses_id = {} where id = {}",
                text.id(first.id),
                text.id(third.id)
            ),
            rules: &["reversal-bounded"],
            names: vec![third.id.to_string()],
        },
        Fault {
            name: "a transaction is reversed twice",
            sql: header(again, second, "reversal/again", &text.id(second.id))
                + &entries(again, &[(cash, -70_000), (funds, 70_000)])
                + &cached(cash, -70_000, 1)
                + &cached(funds, 70_000, 1),
            rules: &["reversal-bounded"],
            names: vec![second.id.to_string()],
        },
        Fault {
            name: "a reversal is reversed",
            sql: header(
                again,
                second,
                "reversal/again",
                &text.id(world.transaction(&format!("reversal/{}", second.id)).id),
            ) + &entries(again, &[(cash, 70_000), (funds, -70_000)])
                + &cached(cash, 70_000, 1)
                + &cached(funds, -70_000, 1),
            rules: &["reversal-bounded"],
            names: vec![named("txn", again)],
        },
    ]
}

fn invoices(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let home = world.invoices_of(0, NOVEMBER)[0];
    let second = world.invoices_of(1, NOVEMBER)[0];
    let free = world.invoices_of(2, NOVEMBER)[0];
    let book = world.invoices_of(3, NOVEMBER)[0];
    let shift = |table: &str, place: String, net: i64| {
        format!("update {table} set net_minor = net_minor + {net}, tax_minor = tax_minor - {net} where {place};")
    };
    let of_invoice = |invoice| format!("id = {}", text.id(invoice));
    let of_line = |invoice, position: i32| format!("invoice_id = {} and position = {position}", text.id(invoice));
    let charge = home.lines.as_ref().unwrap()[0].charge_id;
    let posting = world.posting(NOVEMBER, 0);
    let third = world.transaction("manual/third");
    let rename = |transaction: &TransactionView, key: &str| {
        format!("update ledger_transactions set source_key = '{key}' where id = {}", text.id(transaction.id))
    };
    vec![
        Fault {
            name: "invoices do not sum their lines",
            sql: shift("invoices", of_invoice(home.id), 1) + &shift("invoices", of_invoice(second.id), -1),
            rules: &["invoice-totals"],
            names: vec![home.id.to_string(), second.id.to_string()],
        },
        Fault {
            name: "an invoice has no line",
            sql: format!("delete from invoice_lines where invoice_id = {}", text.id(free.id)),
            rules: &["invoice-totals", "charge-has-line"],
            names: vec![free.id.to_string()],
        },
        Fault {
            name: "two lines have each other's kopeck of tax",
            sql: shift("invoice_lines", of_line(home.id, 0), 1) + &shift("invoice_lines", of_line(home.id, 1), -1),
            rules: &["tax-recomputed"],
            names: vec![format!("{}: {} line 0", home.id, home.number), format!("{}: {} line 1", home.id, home.number)],
        },
        Fault {
            name: "an exempt line has a tax",
            sql: shift("invoice_lines", of_line(book.id, 0), -1)
                + &shift("invoices", of_invoice(book.id), -1)
                + &shift("runs", format!("id = {}", text.id(book.run_id.unwrap())), -1),
            rules: &["tax-recomputed", "realisation-posted"],
            names: vec![format!("{}: {} line 0: has no rate", book.id, book.number)],
        },
        Fault {
            name: "a charge has another amount than its line",
            sql: format!("update charges set amount_minor = amount_minor + 1 where id = {}", text.id(charge)),
            rules: &["charge-has-line"],
            names: vec![charge.to_string()],
        },
        Fault {
            name: "a line shows a charge that does not exist",
            sql: format!("update invoice_lines set charge_id = {} where {}", text.uuid(nobody(1)), of_line(home.id, 0)),
            rules: &["charge-has-line", "realisation-posted"],
            names: vec![charge.to_string(), format!("{}: line 0", home.id)],
        },
        Fault {
            name: "a line shows the charge of another invoice",
            sql: format!("update invoice_lines set charge_id = {} where {}", text.id(charge), of_line(free.id, 0)),
            rules: &["charge-has-line"],
            names: vec![free.lines.as_ref().unwrap()[0].charge_id.to_string(), format!("{}: line 0", free.id)],
        },
        Fault {
            name: "an invoice is not posted",
            sql: rename(posting, "manual/gone"),
            rules: &["invoice-posted"],
            names: vec![world.contracts[0].to_string()],
        },
        Fault {
            name: "a posting has no invoice",
            sql: rename(third, &format!("run/{NOVEMBER}/{}", world.contracts[4])),
            rules: &["invoice-posted"],
            names: vec![third.id.to_string()],
        },
        Fault {
            name: "a posting of a run names no contract",
            sql: rename(third, "run/yesterday"),
            rules: &["invoice-posted"],
            names: vec![third.id.to_string()],
        },
        Fault {
            name: "an invoice of zero is posted",
            sql: rename(third, &format!("run/{NOVEMBER}/{}", world.contracts[2])),
            rules: &["invoice-posted"],
            names: vec![world.contracts[2].to_string()],
        },
    ]
}

fn numbers(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let last = world.invoices.iter().max_by_key(|invoice| &invoice.number).unwrap();
    let free = world.invoices_of(2, NOVEMBER)[0];
    let home = world.invoices_of(0, NOVEMBER)[0];
    let value = |to: &str, of: String| format!("update invoices set sequence_value = {to} where id = {of}");
    vec![
        Fault {
            name: "a sequence stands beyond its numbers",
            sql: "update sequences set next_value = next_value + 1".to_owned(),
            rules: &["numbers-gapless"],
            names: vec![last.seller_id.to_string()],
        },
        Fault {
            name: "a number is left out and one is beyond the next",
            sql: value("sequence_value + 5", text.id(last.id)),
            rules: &["numbers-gapless"],
            names: vec![last.id.to_string(), last.seller_id.to_string()],
        },
        Fault {
            name: "a value is given twice",
            sql: value(
                &format!("(select sequence_value from invoices where id = {})", text.id(home.id)),
                text.id(last.id),
            ),
            rules: &["numbers-gapless"],
            names: vec![last.seller_id.to_string()],
        },
        Fault {
            name: "a number belongs to no sequence",
            sql: format!("update invoices set sequence_key = 'other' where id = {}", text.id(last.id)),
            rules: &["numbers-gapless"],
            names: vec![last.id.to_string()],
        },
        Fault {
            name: "two invoices have one number",
            sql: text.without_unique("invoices")
                + &format!("update invoices set number = '{}' where id = {}", home.number, text.id(free.id)),
            rules: &["numbers-gapless"],
            names: vec![home.number.clone()],
        },
    ]
}

fn coverage(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let charge = world.charges.iter().find(|charge| charge.contract_id == world.contracts[0]).unwrap();
    // Charged from 31 August on: the second of its four periods ends on a short month's last day.
    let mut lessons: Vec<_> = world.charges.iter().filter(|charge| charge.contract_id == world.contracts[3]).collect();
    lessons.sort_by_key(|charge| charge.period.start);
    let middle = lessons[1];
    let subscription =
        |set: &str| format!("update subscriptions set {set} where id = {}", text.id(charge.subscription_id));
    let period = |start: &str, end: &str| {
        format!(
            "update charges set period_start = '{start}', period_end = '{end}', used_start = '{start}',
            used_end = '{end}' where id = {}",
            text.id(middle.id)
        )
    };
    let (rules, lesson): (&[&str], _) = (&["recurring-disjoint-gapless"], middle.subscription_id.to_string());
    vec![
        Fault {
            name: "a subscription in service is stopped",
            sql: format!(
                "insert into subscription_lives (tenant_id, subscription_id, contract_id, stopped_on, version, updated_at)
                values ({}, {}, {}, '2026-11-01', 1, '2026-11-01T00:00:00+00:00')",
                text.id(world.tenant),
                text.id(charge.subscription_id),
                text.id(charge.contract_id)
            ),
            rules: &["subscription-lives"],
            names: vec![charge.subscription_id.to_string()],
        },
        Fault {
            name: "a period is longer than the calendar's",
            sql: period("2026-09-30", "2026-11-01"),
            rules,
            names: vec![lesson.clone(), middle.id.to_string()],
        },
        Fault {
            name: "a period is charged years ahead and leaves a gap",
            sql: period("2030-08-31", "2030-09-30"),
            rules,
            names: vec![lesson],
        },
        Fault {
            name: "a subscription believes to be charged further than it is",
            sql: subscription("next_index = next_index + 1"),
            rules,
            names: vec![charge.subscription_id.to_string()],
        },
        Fault {
            name: "a subscription is due on another day than its calendar says",
            sql: subscription("next_charge_on = '2026-12-30'"),
            rules,
            names: vec![charge.subscription_id.to_string()],
        },
    ]
}

/// A subscription that was changed on 2 December: what was charged before the change ends there, what it charged begins.
fn changed(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let [cut, made] = world.around_the_change();
    let subscription = world.change.subscription_id;
    let posting = world.transaction(&format!("change/{}", world.change.id));
    let set = |what: &str, of: ChargeId| format!("update charges set {what} where id = {};", text.id(of));
    let coverage = |name, sql: String, told: &str| Fault {
        name,
        sql,
        rules: &["recurring-disjoint-gapless"],
        names: vec![subscription.to_string(), told.to_owned()],
    };
    let change = |name, sql: String, names: Vec<String>| Fault { name, sql, rules: &["change-posted"], names };
    let invoice = made.invoice_id.to_string();
    vec![
        coverage(
            "a day behind a change is not charged",
            set("used_start = '2026-12-03'", made.id),
            "under terms 1: [2026-12-03, 2027-01-01) is charged, the days before end on 2026-12-02",
        ),
        coverage(
            "a day before a change is charged under its terms, too",
            set("used_start = '2026-12-01'", made.id),
            "under terms 1: [2026-12-01, 2027-01-01) is charged, the days before end on 2026-12-02",
        ),
        coverage(
            "what was charged before a change goes on behind it",
            set("covered_until = '2026-12-05'", cut.id),
            "under terms 0: days up to 2026-12-05 are charged, due were those up to 2026-12-02",
        ),
        coverage(
            "what was charged before a change ends before it",
            set("covered_until = '2026-12-01'", cut.id),
            "under terms 0: days up to 2026-12-01 are charged, due were those up to 2026-12-02",
        ),
        coverage(
            "what a change charged is cut by nobody",
            set("covered_until = '2026-12-20'", made.id),
            "under terms 1: days up to 2026-12-20 are charged, due were those up to 2027-01-01",
        ),
        coverage(
            "a subscription counts a change that is not recorded",
            format!("update subscriptions set change_ordinal = 2 where id = {}", text.id(subscription)),
            "1 changes are recorded, it counts 2",
        ),
        change(
            "a change is posted under another",
            format!(
                "update ledger_transactions set source_key = 'change/chn_{}' where id = {}",
                nobody(7).simple(),
                text.id(posting.id)
            ),
            vec![invoice.clone(), posting.id.to_string()],
        ),
        change(
            "a posting of a change names none",
            format!(
                "update ledger_transactions set source_key = 'change/half' where id = {}",
                text.id(world.transaction("manual/third").id)
            ),
            vec![world.transaction("manual/third").id.to_string()],
        ),
        change(
            "the invoice of a change is nobody's",
            format!("update subscription_changes set invoice_id = null where id = {}", text.id(world.change.id)),
            vec![invoice, posting.id.to_string()],
        ),
        Fault {
            name: "a change took less in advance than it charged",
            sql: move_entry(text, posting, "contract/", -1) + &move_entry(text, posting, "deferred-revenue", 1),
            rules: &["change-posted", "deferred-revenue"],
            names: vec![made.invoice_id.to_string()],
        },
    ]
}

/// Moves an amount on an account of a posting, and on the account.
fn move_entry(text: Text, of: &TransactionView, account: &str, amount: i64) -> String {
    let account = entry(of, account);
    format!(
        "update ledger_entries set amount_minor = amount_minor + {amount} where transaction_id = {of} and account_id = {account};
        update ledger_accounts set balance_minor = balance_minor + {amount} where id = {account};",
        of = text.id(of.id),
        account = text.uuid(account)
    )
}

fn runs(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let run = world.invoices_of(0, DECEMBER)[0].run_id.unwrap();
    let counter = |name| format!("update runs set {name} = {name} + 1 where id = {}", text.id(run));
    let fault = |name, sql| Fault { name, sql, rules: &["run-totals"], names: vec![run.to_string()] };
    vec![
        fault("a run reports an invoice too many", counter("invoices")),
        fault("a run reports a charge too many", counter("charges")),
        fault("a run reports a kopeck too much", counter("gross_minor")),
        fault("a run reports a parked contract too many", counter("parked")),
        fault("a run reports a plan that waits", counter("awaiting")),
        fault(
            "an executed plan promised another amount",
            format!(
                "update run_plans set gross_minor = gross_minor + 1 where run_id = {} and contract_id = {}",
                text.id(run),
                text.id(world.contracts[0])
            ),
        ),
    ]
}

fn realisations(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let posted = world.realisation(DECEMBER, 0);
    let realised = world.credited(true);
    let open = world.credited(false);
    let third = world.transaction("manual/third");
    vec![
        Fault {
            name: "a kopeck more became revenue than was provided",
            sql: move_entry(text, posted, "revenue/", -1) + &move_entry(text, posted, "deferred-revenue", 1),
            rules: &["realisation-posted", "deferred-revenue"],
            names: vec![world.contracts[0].to_string()],
        },
        Fault {
            name: "a realisation is posted under another day",
            sql: format!(
                "update ledger_transactions set source_key = 'realise/2026-12-02/{}' where id = {}",
                world.contracts[0],
                text.id(posted.id)
            ),
            rules: &["realisation-posted"],
            names: vec![posted.id.to_string(), world.contracts[0].to_string()],
        },
        Fault {
            name: "money stands in deferred revenue for nothing",
            sql: format!(
                "update ledger_entries set account_id = {deferred} where transaction_id = {} and account_id = {funds};
                update ledger_accounts set balance_minor = balance_minor + 1000, entry_count = entry_count - 1
                    where id = {funds};
                update ledger_accounts set balance_minor = balance_minor - 1000, entry_count = entry_count + 1
                    where id = {deferred}",
                text.id(third.id),
                funds = text.uuid(entry(third, "contract/")),
                deferred = text.uuid(entry(posted, "deferred-revenue")),
            ),
            rules: &["deferred-revenue"],
            names: vec!["RUB: deferred revenue is ".to_owned()],
        },
        Fault {
            name: "a service that ended is not realised",
            sql: format!(
                "update charges set realised_on = null, status = 'blocked' where id = {}",
                text.id(realised.id)
            ),
            rules: &["realised-in-time", "realisation-posted", "run-totals", "deferred-revenue"],
            names: vec![realised.id.to_string()],
        },
        Fault {
            name: "a charge is closed before its service ended",
            sql: format!("update charges set status = 'closed' where id = {}", text.id(open.id)),
            rules: &["realised-in-time"],
            names: vec![open.id.to_string()],
        },
        Fault {
            name: "a run reports a kopeck of revenue too much",
            sql: "update runs set realised_net_minor = realised_net_minor + 1 where business_on = '2026-12-01'"
                .to_owned(),
            rules: &["run-totals"],
            names: vec!["run of 2026-12-01".to_owned()],
        },
        Fault {
            name: "a charge stands on a line that shows another",
            sql: format!("update charges set invoice_position = 7 where id = {}", text.id(open.id)),
            rules: &["charge-has-line"],
            names: vec![open.id.to_string()],
        },
    ]
}

fn credits(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let (realised, open) = (world.credited(true), world.credited(false));
    let fault = |name, sql, of: &altyn_service::charges::ChargeView| Fault {
        name,
        sql,
        rules: &["credits-bounded"],
        names: vec![of.id.to_string()],
    };
    vec![
        fault(
            "a charge forgets what was given back",
            format!("update charges set credited_minor = 0 where id = {}", text.id(open.id)),
            open,
        ),
        fault(
            "a credit gives back more than was posted",
            format!(
                "update charge_credits set net_minor = net_minor + 1, gross_minor = gross_minor + 1 where charge_id = {of};
                update charges set credited_minor = credited_minor + 1 where id = {of}",
                of = text.id(realised.id)
            ),
            realised,
        ),
        fault(
            "a credit gives back more than was charged",
            format!(
                "update charge_credits set net_minor = 59000, gross_minor = 59000 + tax_minor where charge_id = {}",
                text.id(realised.id)
            ),
            realised,
        ),
        fault(
            "a credit has no posting",
            format!("update charge_credits set transaction_id = null where charge_id = {}", text.id(open.id)),
            open,
        ),
    ]
}

fn references(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let tenant = text.id(world.tenant);
    let invoice = world.invoices_of(0, NOVEMBER)[0];
    let charge = invoice.lines.as_ref().unwrap()[0].charge_id;
    let third = world.transaction("manual/third");
    let call = &world.calls[0];
    let nobody_1 = text.uuid(nobody(1));
    let fault = |name, sql, named: String| Fault { name, sql, rules: &["references"], names: vec![named] };
    vec![
        Fault {
            // Its credits and its realisation went to the contract that it had.
            rules: &["references", "realisation-posted", "credits-bounded"],
            ..fault(
                "a charge belongs to another contract than its subscription",
                format!(
                    "update charges set contract_id = {} where id = {}",
                    text.id(world.contracts[2]),
                    text.id(charge)
                ),
                charge.to_string(),
            )
        },
        fault(
            "a charge's proration was never recorded",
            format!("update charges set proration_call_id = {nobody_1} where id = {}", text.id(charge)),
            charge.to_string(),
        ),
        fault(
            "an invoice's number was never recorded",
            format!("update invoices set numbering_call_id = {nobody_1} where id = {}", text.id(invoice.id)),
            invoice.id.to_string(),
        ),
        fault(
            "a line's tax was never recorded",
            format!(
                "update invoice_lines set tax_call_id = {nobody_1} where invoice_id = {} and position = 0",
                text.id(invoice.id)
            ),
            format!("{}: line 0", invoice.id),
        ),
        fault(
            "a call was made by no binding",
            format!("update plugin_calls set binding_id = {nobody_1} where id = {}", text.id(call.id)),
            call.id.to_string(),
        ),
        fault(
            "a contract's funds are another contract's",
            format!(
                "update contracts set funds_account_id = {} where id = {}",
                text.uuid(entry(third, "contract/")),
                text.id(world.contracts[4])
            ),
            world.contracts[4].to_string(),
        ),
        Fault {
            name: "an entry stands on no account",
            sql: format!(
                "update ledger_entries set account_id = {nobody_1} where transaction_id = {} and account_id = {}",
                text.id(third.id),
                text.uuid(entry(third, "cash"))
            ),
            rules: &["references", "balances-equal-entries"],
            names: vec![third.id.to_string()],
        },
        Fault {
            name: "a line belongs to no invoice",
            sql: format!(
                "insert into invoice_lines (tenant_id, invoice_id, position, charge_id, title, quantity, net_minor,
                tax_minor, gross_minor, tax_code) values ({tenant}, {nobody_1}, 0, {nobody_1}, 'x', '1', 0, 0, 0, 'none')"
            ),
            rules: &["references", "charge-has-line"],
            names: vec![named("inv", nobody(1))],
        },
        Fault {
            name: "a charge has another subscription",
            sql: format!("update charges set subscription_id = {nobody_1} where id = {}", text.id(charge)),
            rules: &["references", "recurring-disjoint-gapless"],
            names: vec![charge.to_string()],
        },
        Fault {
            name: "the question of a call is gone",
            sql: format!(
                "delete from evidence where digest = {}",
                text.bytes(&hex::decode(&call.input_digest).unwrap())
            ),
            rules: &["references", "evidence-content"],
            names: vec![call.id.to_string()],
        },
    ]
}

fn evidence(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let call = world.calls.iter().find(|call| call.export == "numbering.numbers").unwrap();
    let output = text.bytes(&hex::decode(call.output_digest.as_ref().unwrap()).unwrap());
    let pack = |plain: &[u8]| text.bytes(&zstd::bulk::compress(plain, 1).unwrap());
    let forged = b"[\"forged\"]";
    vec![
        Fault {
            name: "the content of evidence was exchanged",
            sql: format!(
                "update evidence set zstd = {}, size_bytes = {} where digest = {output}",
                pack(forged),
                forged.len()
            ),
            rules: &["evidence-content"],
            names: vec![call.id.to_string()],
        },
        Fault {
            name: "a call claims another answer than its plugin gives",
            sql: format!(
                "insert into evidence (tenant_id, digest, size_bytes, zstd) values ({}, {digest}, {}, {});
                update plugin_calls set output_digest = {digest} where id = {}",
                text.id(world.tenant),
                forged.len(),
                pack(forged),
                text.id(call.id),
                digest = text.bytes(&sha256(forged)),
            ),
            rules: &["evidence-replays"],
            names: vec![call.id.to_string()],
        },
    ]
}

fn control(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let (main, below) = (world.contracts[2], world.contracts[4]);
    let fault = |name, rule: &'static [&'static str], sql: String, named: String| Fault {
        name,
        sql,
        rules: rule,
        names: vec![named],
    };
    let promises: &[&str] = &["promises-on-ledger"];
    let blocks: &[&str] = &["blocks-disjoint"];
    let hierarchy: &[&str] = &["hierarchy-acyclic"];
    vec![
        fault(
            "an active promise is larger than what the ledger has",
            promises,
            "update promises set amount_minor = amount_minor + 1 where status = 'active'".to_owned(),
            main.to_string(),
        ),
        fault(
            "a promise is active again and the ledger does not know",
            promises,
            "update promises set status = 'active', ended_at = null where status = 'revoked'".to_owned(),
            main.to_string(),
        ),
        fault(
            "a rest takes the place of a promise that was kept",
            promises,
            "update promises set status = 'kept' where status = 'reduced'".to_owned(),
            "prm_".to_owned(),
        ),
        fault(
            "a block was lifted later than the next one began",
            blocks,
            format!(
                "update blocks set lifted_at = (select max(created_at) from contracts where tenant_id = blocks.tenant_id),
                starts_at = {0} where lifted_at is not null; update blocks set starts_at = {0} where lifted_at is null",
                match world.engine {
                    Engine::Sqlite => "'2026-11-30T00:00:00+00:00'",
                    Engine::Postgres => "'2026-11-30T00:00:00+00:00'::timestamptz",
                }
            ),
            "blk_".to_owned(),
        ),
        fault(
            "a block stands on a subscription of another contract",
            blocks,
            format!(
                "update blocks set subscription_id = (select id from subscriptions where contract_id = {0} limit 1),
                object_id = (select id from subscriptions where contract_id = {0} limit 1) where contract_id = {1}",
                text.id(world.contracts[0]),
                text.id(below)
            ),
            "blk_".to_owned(),
        ),
        fault(
            "two contracts stand above each other",
            hierarchy,
            format!(
                "insert into contract_controls (tenant_id, contract_id, own_limit, parent_id, priority, tags, version,
                updated_at) select tenant_id, {0}, own_limit, {1}, 0, tags, 1, updated_at from contract_controls
                where contract_id = {1}",
                text.id(main),
                text.id(below)
            ),
            main.to_string(),
        ),
    ]
}

fn usage(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let fault = |name, rules, sql: String, named: String| Fault { name, sql, rules, names: vec![named] };
    let (billed, open) = ("state = 'billed'", "state = 'open'");
    let usage = world.charges.iter().find(|charge| charge.kind == ChargeKind::Usage).unwrap();
    vec![
        fault(
            "a window is billed with more than its charges come to",
            &["usage-charged", "usage-billed"],
            format!("update usage_windows set billed_minor = billed_minor + 1 where {billed}"),
            "uwn_".to_owned(),
        ),
        fault(
            "a window holds instants of the one before it",
            &["usage-charged"],
            format!("update usage_windows set starts_us = starts_us - 1 where {open}"),
            "uwn_".to_owned(),
        ),
        fault(
            "a charge bills the use of a window that is gone",
            &["usage-charged", "usage-billed", "usage-in-window"],
            format!("delete from usage_windows where {billed}"),
            usage.id.to_string(),
        ),
        fault(
            "an event came into a billed window and nobody is to bill it",
            &["usage-billed"],
            format!(
                "insert into usage_events (tenant_id, event_id, subscription_id, meter_id, occurred_us, units, nanos,
                received_us) select tenant_id, 'unseen', subscription_id, meter_id, occurred_us, units, nanos,
                received_us from usage_events where tenant_id = {} and event_id = 'e-0'",
                text.id(world.tenant)
            ),
            "3 events, 4 are recorded".to_owned(),
        ),
        fault(
            "an event lies before the windows of its subscription",
            &["usage-in-window"],
            format!(
                "insert into usage_events (tenant_id, event_id, subscription_id, meter_id, occurred_us, units, nanos,
                received_us) select tenant_id, 'early', subscription_id, meter_id, (select min(starts_us) from usage_windows) - 1,
                units, nanos, received_us from usage_events where tenant_id = {} and event_id = 'e-0'",
                text.id(world.tenant)
            ),
            "event early lies between windows".to_owned(),
        ),
        fault(
            "a counter is billed further than its windows",
            &["usage-billed"],
            "update usage_counters set highest_units = highest_units + 1".to_owned(),
            "40.25 is billed of its counters, they advanced by 41.25".to_owned(),
        ),
        fault(
            "an event that was billed is gone",
            &["usage-billed"],
            "delete from usage_events where event_id = 'e-1'".to_owned(),
            "3 events, 2 are recorded".to_owned(),
        ),
        fault(
            "an event was changed after it was billed",
            &["usage-billed"],
            "update usage_events set units = units + 1 where event_id = 'e-2'".to_owned(),
            "was billed for 7.5, its events come to 8.5".to_owned(),
        ),
    ]
}

fn short_funds(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let charge = world.charges.iter().find(|charge| charge.kind == ChargeKind::Recurring).unwrap();
    vec![Fault {
        name: "a period waits for money that was charged",
        sql: format!("update subscriptions set waits_from = starts_on where id = {}", text.id(charge.subscription_id)),
        rules: &["withheld-not-charged"],
        names: vec![charge.subscription_id.to_string()],
    }]
}

fn orders(world: &World) -> Vec<Fault> {
    let text = Text(world.engine);
    let charge = world.charges.iter().find(|charge| charge.kind == ChargeKind::Recurring).unwrap();
    let order = nobody(40);
    vec![
        Fault {
            name: "an order is paid and nothing is reserved for it",
            sql: format!(
                "insert into orders (tenant_id, id, contract_id, subscription_id, status, currency, amount_minor, gross_minor,
                lines, ordered_on, ordered_at, ordered_by, paid_at, version)
                values ({}, {}, {}, {}, 'blocked', 'RUB', 500, 500, '[]', '2026-11-01', '2026-11-01T00:00:00+00:00', 'x',
                '2026-11-01T00:00:00+00:00', 1)",
                text.id(world.tenant),
                text.uuid(order),
                text.id(charge.contract_id),
                text.id(charge.subscription_id)
            ),
            rules: &["orders-on-ledger"],
            names: vec![charge.contract_id.to_string(), named("ord", order)],
        },
        Fault {
            name: "a subscription whose order is not paid is in service",
            sql: "update subscriptions set status = 'paused' where status = 'pending'".to_owned(),
            rules: &["orders-on-ledger"],
            names: vec!["waits for money, but its subscription is paused".to_owned()],
        },
    ]
}
