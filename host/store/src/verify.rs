//! The invariants of a tenant's books, each as one statement that names the rows that break it.
//!
//! Owns the rules that sets of rows can state; rules that need money or calendar arithmetic get their rows from here in
//! pages. Invariant: a statement answers no row exactly when its rule holds, and at most [`EXAMPLES`] rows otherwise.
//!
//! The statements compare rows with rows and never with a cached figure of their own, so that they find what the code that
//! wrote the rows got wrong. They read in the order of primary keys where they can: neither engine has to sort the books.

use chrono::NaiveDate;
use uuid::Uuid;

use crate::{Result, Sql, Tx};

/// How many broken rows a rule names.
pub const EXAMPLES: usize = 20;

/// How many rows there are to check.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Counts {
    /// Ledger transactions.
    pub transactions: i64,
    /// Ledger entries.
    pub entries: i64,
    /// Ledger accounts.
    pub accounts: i64,
    /// Currencies of accounts.
    pub currencies: i64,
    /// Transactions that reverse another.
    pub reversals: i64,
    /// Invoices.
    pub invoices: i64,
    /// Invoice lines.
    pub lines: i64,
    /// Charges.
    pub charges: i64,
    /// Credits of charges.
    pub credits: i64,
    /// Contracts.
    pub contracts: i64,
    /// Billing runs.
    pub runs: i64,
    /// Recorded plugin calls.
    pub calls: i64,
    /// Promised payments.
    pub promises: i64,
    /// Blocks.
    pub blocks: i64,
    /// Contracts with a place among others.
    pub controls: i64,
    /// Subscriptions.
    pub subscriptions: i64,
    /// Usage windows.
    pub usage_windows: i64,
    /// Orders.
    pub orders: i64,
    /// Changes of subscriptions that were executed.
    pub changes: i64,
}

const COUNTS: &str = "select
    (select count(*) from ledger_transactions where tenant_id = $1) as transactions,
    (select count(*) from ledger_entries where tenant_id = $1) as entries,
    (select count(*) from ledger_accounts where tenant_id = $1) as accounts,
    (select count(distinct currency) from ledger_accounts where tenant_id = $1) as currencies,
    (select count(*) from ledger_transactions where tenant_id = $1 and reverses_id is not null) as reversals,
    (select count(*) from invoices where tenant_id = $1) as invoices,
    (select count(*) from invoice_lines where tenant_id = $1) as lines,
    (select count(*) from charges where tenant_id = $1) as charges,
    (select count(*) from charge_credits where tenant_id = $1) as credits,
    (select count(*) from contracts where tenant_id = $1) as contracts,
    (select count(*) from runs where tenant_id = $1) as runs,
    (select count(*) from plugin_calls where tenant_id = $1) as calls,
    (select count(*) from promises where tenant_id = $1) as promises,
    (select count(*) from blocks where tenant_id = $1) as blocks,
    (select count(*) from contract_controls where tenant_id = $1) as controls,
    (select count(*) from subscriptions where tenant_id = $1) as subscriptions,
    (select count(*) from usage_windows where tenant_id = $1) as usage_windows,
    (select count(*) from orders where tenant_id = $1) as orders,
    (select count(*) from subscription_changes where tenant_id = $1 and state = 'executed') as changes";
/// How many rows there are to check.
pub async fn counts(tx: &mut Tx, tenant: Uuid) -> Result<Counts> {
    tx.fetch_one(COUNTS, (tenant,)).await
}

const SPILL: Sql = Sql::each("pragma temp_store = file", "select 1");
/// Lets the transaction's sorts go to the disk: some rules sort all books of a tenant. PostgreSQL does so by itself; a
/// connection to SQLite keeps them in memory otherwise, for the sake of short queries, and this one from now on does not.
pub async fn spill(tx: &mut Tx) -> Result<()> {
    tx.execute(SPILL, ()).await.map(|_| ())
}

/// An invariant that one statement checks.
pub struct Rule {
    /// Stable code.
    pub code: &'static str,
    /// What holds, for people.
    pub title: &'static str,
    /// How many rows it is about.
    pub checked: fn(&Counts) -> i64,
    statement: Sql,
}

/// A row that breaks a rule.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BrokenRow {
    /// Prefix of the object's id, `inv` for an invoice; empty when the rule is about a set.
    pub kind: String,
    /// The object.
    pub subject: Option<Uuid>,
    /// What is wrong with it.
    pub detail: String,
    /// How many rows break the rule in all.
    pub violations: i64,
}

/// The rows that break a rule of one tenant: [`EXAMPLES`] at most, each with the number of all.
pub async fn broken(tx: &mut Tx, tenant: Uuid, rule: &Rule) -> Result<Vec<BrokenRow>> {
    tx.fetch_all(rule.statement, (tenant,)).await
}

/// A statement from a query of `kind, subject, detail`.
macro_rules! broken {
    ($($query:tt)*) => {
        concat!(
            "with broken as (", $($query)*, ")
            select kind, subject, detail, count(*) over () as violations from broken
            order by kind, subject, detail limit 20"
        )
    };
}

/// A rule with one text for both engines.
macro_rules! rule {
    ($code:literal, $title:literal, $checked:expr, $query:literal) => {
        Rule { code: $code, title: $title, checked: $checked, statement: Sql::each(broken!($query), broken!($query)) }
    };
}

const TRANSACTIONS_BALANCE: Rule = rule!(
    "transactions-balance",
    "every transaction has two entries or more and they sum to zero",
    |counts| counts.transactions,
    "select 'txn' as kind, t.id as subject,
        cast(count(*) as text) || ' entries sum to ' || cast(sum(e.amount_minor) as text) as detail
    from ledger_transactions t
    join ledger_entries e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
    where t.tenant_id = $1
    group by t.id having count(*) < 2 or sum(e.amount_minor) <> 0"
);

const HEADERS_HAVE_ENTRIES: Rule = rule!(
    "headers-have-entries",
    "every transaction has entries",
    |counts| counts.transactions,
    "select 'txn' as kind, t.id as subject, t.source_key || ' has no entries' as detail
    from ledger_transactions t
    left join ledger_entries e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
    where t.tenant_id = $1 and e.transaction_id is null"
);

const ENTRIES_HAVE_HEADERS: Rule = rule!(
    "entries-have-headers",
    "every entry belongs to a transaction",
    |counts| counts.entries,
    "select 'txn' as kind, e.transaction_id as subject,
        'entry ' || cast(e.position as text) || ' has no transaction' as detail
    from ledger_entries e
    left join ledger_transactions t on t.tenant_id = e.tenant_id and t.id = e.transaction_id
    where e.tenant_id = $1 and t.id is null"
);

const ENTRY_CURRENCY: Rule = rule!(
    "entry-currency",
    "every entry stands on an account of its transaction's currency",
    |counts| counts.entries,
    "select 'txn' as kind, t.id as subject,
        'in ' || t.currency || ', but entry ' || cast(e.position as text) || ' stands on ' || a.code || ' in ' || a.currency
            as detail
    from ledger_transactions t
    join ledger_entries e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
    join ledger_accounts a on a.tenant_id = e.tenant_id and a.id = e.account_id
    where t.tenant_id = $1 and a.currency <> t.currency"
);

const BALANCES_EQUAL_ENTRIES: Rule = rule!(
    "balances-equal-entries",
    "every account's balance and entry count are those of its entries",
    |counts| counts.accounts,
    "select 'acc' as kind, a.id as subject,
        a.code || ' has ' || cast(a.balance_minor as text) || ' of ' || cast(a.entry_count as text)
            || ' entries, its entries say ' || cast(coalesce(s.amount, 0) as text) || ' of '
            || cast(coalesce(s.entries, 0) as text) as detail
    from ledger_accounts a
    left join (
        select account_id, sum(amount_minor) as amount, count(*) as entries
        from ledger_entries where tenant_id = $1 group by account_id
    ) s on s.account_id = a.id
    where a.tenant_id = $1 and (a.balance_minor <> coalesce(s.amount, 0) or a.entry_count <> coalesce(s.entries, 0))"
);

const TRIAL_BALANCE_ZERO: Rule = rule!(
    "trial-balance-zero",
    "the balances of all accounts sum to zero in each currency",
    |counts| counts.currencies,
    "select '' as kind, cast(null as uuid) as subject,
        currency || ': the balances sum to ' || cast(sum(balance_minor) as text) as detail
    from ledger_accounts where tenant_id = $1
    group by currency having sum(balance_minor) <> 0"
);

const SOURCE_KEY_UNIQUE: Rule = rule!(
    "source-key-unique",
    "a source key has one transaction",
    |counts| counts.transactions,
    "select 'txn' as kind, k.id as subject, k.source_key || ' is posted twice' as detail
    from (
        select id, source_key, lag(source_key) over (order by source_key, id) as before
        from ledger_transactions where tenant_id = $1
    ) k where k.source_key = k.before"
);

const REVERSAL_BOUNDED: Rule = rule!(
    "reversal-bounded",
    "a transaction is reversed at most once, exactly, and a reversal never",
    |counts| counts.reversals,
    "select 'txn' as kind, r.reverses_id as subject, 'has ' || cast(count(*) as text) || ' reversals' as detail
    from ledger_transactions r where r.tenant_id = $1 and r.reverses_id is not null
    group by r.reverses_id having count(*) > 1
    union all
    select 'txn', r.id, 'is not the exact negative of the transaction that it reverses'
    from ledger_transactions r
    where r.tenant_id = $1 and r.reverses_id is not null and exists (
        select 1 from ledger_entries e
        where e.tenant_id = $1 and e.transaction_id in (r.id, r.reverses_id)
        group by e.account_id having sum(e.amount_minor) <> 0
    )
    union all
    select 'txn', r.id, 'reverses a reversal'
    from ledger_transactions r
    join ledger_transactions t on t.tenant_id = r.tenant_id and t.id = r.reverses_id
    where r.tenant_id = $1 and t.reverses_id is not null"
);

/// The kinds that may be reversed, as SQL writes them: no object of billing answers for them.
macro_rules! reversible_kinds {
    () => {
        "'payment-received', 'gateway-settled', 'refund', 'transfer', 'opening-balance', 'adjustment'"
    };
}
/// The same for whoever compares it with the domain's list.
pub const REVERSIBLE_KINDS: &str = reversible_kinds!();

// The rules about an object's posting read it by its source key or its id, and would not see that it was taken back.
macro_rules! postings_stand {
    () => {
        broken!(
            "select 'txn' as kind, t.id as subject, t.kind || ' ' || t.source_key || ' is reversed, what posted it is not' as detail
            from ledger_transactions r
            join ledger_transactions t on t.tenant_id = r.tenant_id and t.id = r.reverses_id
            where r.tenant_id = $1 and r.reverses_id is not null and t.reverses_id is null and t.kind not in (",
            reversible_kinds!(),
            ")"
        )
    };
}

const POSTINGS_STAND: Rule = Rule {
    code: "postings-stand",
    title: "what a charge, a credit, a promise or an order posted is not reversed behind its back",
    checked: |counts| counts.reversals,
    statement: Sql::each(postings_stand!(), postings_stand!()),
};

const INVOICE_TOTALS: Rule = rule!(
    "invoice-totals",
    "an invoice has lines and sums them; net and tax make gross",
    |counts| counts.invoices,
    "select 'inv' as kind, i.id as subject,
        i.number || ': ' || cast(i.net_minor as text) || ' + ' || cast(i.tax_minor as text) || ' = '
            || cast(i.gross_minor as text) || ', its ' || cast(count(l.position) as text) || ' lines sum to '
            || cast(coalesce(sum(l.net_minor), 0) as text) || ' + ' || cast(coalesce(sum(l.tax_minor), 0) as text)
            || ' = ' || cast(coalesce(sum(l.gross_minor), 0) as text) as detail
    from invoices i
    left join invoice_lines l on l.tenant_id = i.tenant_id and l.invoice_id = i.id
    where i.tenant_id = $1
    group by i.id, i.number, i.net_minor, i.tax_minor, i.gross_minor
    having count(l.position) = 0 or i.net_minor + i.tax_minor <> i.gross_minor
        or i.net_minor <> sum(l.net_minor) or i.tax_minor <> sum(l.tax_minor) or i.gross_minor <> sum(l.gross_minor)
        or sum(case when l.net_minor + l.tax_minor = l.gross_minor then 0 else 1 end) > 0"
);

const CHARGE_HAS_LINE: Rule = rule!(
    "charge-has-line",
    "a charge stands on one invoice line with its amount, and a line shows one charge",
    |counts| counts.charges,
    "select 'chg' as kind, c.id as subject,
        'stands on ' || cast(count(l.position) as text) || ' lines of its invoice' as detail
    from charges c
    left join invoice_lines l on l.tenant_id = c.tenant_id and l.invoice_id = c.invoice_id and l.charge_id = c.id
    where c.tenant_id = $1
    group by c.id having count(l.position) <> 1
    union all
    select 'inv', l.invoice_id, 'line ' || cast(l.position as text)
        || case when c.id is null then ' shows a charge that does not exist'
            else ' shows a charge of another invoice' end
    from invoice_lines l
    left join charges c on c.tenant_id = l.tenant_id and c.id = l.charge_id
    where l.tenant_id = $1 and (c.id is null or c.invoice_id <> l.invoice_id)
    union all
    select 'chg', c.id, cast(c.amount_minor as text) || ' ' || c.currency || ' ' || i.price_mode || ' in line '
        || cast(c.invoice_position as text) || ', line ' || cast(l.position as text) || ' says '
        || cast(l.net_minor as text) || ' + ' || cast(l.tax_minor as text) || ' ' || i.currency
    from invoice_lines l
    join charges c on c.tenant_id = l.tenant_id and c.id = l.charge_id
    join invoices i on i.tenant_id = l.tenant_id and i.id = l.invoice_id
    where l.tenant_id = $1 and (c.currency <> i.currency or c.invoice_position <> l.position or c.amount_minor
        <> case i.price_mode when 'included' then l.gross_minor else l.net_minor end)"
);

const NUMBERS_GAPLESS: Rule = rule!(
    "numbers-gapless",
    "the values of a sequence are given once each, from its start to the one before its next; a number is unique",
    |counts| counts.invoices,
    "select 'inv' as kind, o.id as subject,
        o.sequence_key || ': value ' || cast(o.sequence_value as text) || case
            when s.key is null then ' of no sequence'
            when o.before is null then ', but the sequence starts at ' || cast(s.start_value as text)
            else ' follows ' || cast(o.before as text) end as detail
    from (
        select id, seller_id, sequence_key, sequence_value,
            lag(sequence_value) over (partition by seller_id, sequence_key order by sequence_value) as before
        from invoices where tenant_id = $1
    ) o
    left join sequences s on s.tenant_id = $1 and s.seller_id = o.seller_id and s.key = o.sequence_key
    where s.key is null or o.sequence_value <> coalesce(o.before + 1, s.start_value)
    union all
    select 'sel', s.seller_id, s.key || ': the next value is ' || cast(s.next_value as text) || ', given are '
        || cast(s.start_value as text) || ' to ' || cast(s.reached - 1 as text)
    from (
        select q.seller_id, q.key, q.start_value, q.next_value, coalesce(i.last + 1, q.start_value) as reached
        from sequences q
        left join (
            select seller_id, sequence_key, max(sequence_value) as last
            from invoices where tenant_id = $1 group by seller_id, sequence_key
        ) i on i.seller_id = q.seller_id and i.sequence_key = q.key
        where q.tenant_id = $1
    ) s where s.next_value <> s.reached
    union all
    select 'inv', n.id, 'number ' || n.number || ' stands on another invoice of the seller'
    from (
        select id, number, lag(number) over (partition by seller_id order by number, id) as before
        from invoices where tenant_id = $1
    ) n where n.number = n.before"
);

const RUN_TOTALS: Rule = rule!(
    "run-totals",
    "a run's report is the sum of its invoices, charges and plans",
    |counts| counts.runs,
    "select 'run' as kind, r.id as subject, 'run of ' || cast(r.business_on as text) || ': ' || case
        when r.invoices <> coalesce(i.invoices, 0) then 'reports ' || cast(r.invoices as text) || ' invoices of '
            || cast(coalesce(i.invoices, 0) as text)
        when r.charges <> coalesce(c.charges, 0) then 'reports ' || cast(r.charges as text) || ' charges of '
            || cast(coalesce(c.charges, 0) as text)
        when r.net_minor <> coalesce(i.net, 0) or r.tax_minor <> coalesce(i.tax, 0)
            or r.gross_minor <> coalesce(i.gross, 0) then 'reports ' || cast(r.net_minor as text) || ' + '
            || cast(r.tax_minor as text) || ' = ' || cast(r.gross_minor as text) || ', its invoices sum to '
            || cast(coalesce(i.net, 0) as text) || ' + ' || cast(coalesce(i.tax, 0) as text) || ' = '
            || cast(coalesce(i.gross, 0) as text)
        when r.parked <> coalesce(p.parked, 0) or r.awaiting <> coalesce(p.awaiting, 0) then 'reports '
            || cast(r.parked as text) || ' parked and ' || cast(r.awaiting as text) || ' awaiting plans, there are '
            || cast(coalesce(p.parked, 0) as text) || ' and ' || cast(coalesce(p.awaiting, 0) as text)
        when r.realised <> coalesce(z.realised, 0) or r.realised <> coalesce(p.realised, 0)
            or r.realised_net_minor <> coalesce(p.realised_net, 0) or r.realised_tax_minor <> coalesce(p.realised_tax, 0)
            or r.realised_gross_minor <> coalesce(p.realised_gross, 0) then 'reports ' || cast(r.realised as text)
            || ' charges realised, ' || cast(r.realised_net_minor as text) || ' + ' || cast(r.realised_tax_minor as text)
            || ' = ' || cast(r.realised_gross_minor as text) || '; realised are ' || cast(coalesce(z.realised, 0) as text)
            || ', its executed plans say ' || cast(coalesce(p.realised_net, 0) as text) || ' + '
            || cast(coalesce(p.realised_tax, 0) as text) || ' = ' || cast(coalesce(p.realised_gross, 0) as text)
        else 'its executed plans have ' || cast(coalesce(p.lines, 0) as text) || ' lines and '
            || cast(coalesce(p.gross, 0) as text) || ' gross, its report ' || cast(r.charges as text) || ' and '
            || cast(r.gross_minor as text)
        end as detail
    from runs r
    left join (
        select run_id, count(*) as invoices, sum(net_minor) as net, sum(tax_minor) as tax, sum(gross_minor) as gross
        from invoices where tenant_id = $1 group by run_id
    ) i on i.run_id = r.id
    left join (select run_id, count(*) as charges from charges where tenant_id = $1 group by run_id) c on c.run_id = r.id
    left join (
        select run_id,
            sum(case when state = 'parked' then 1 else 0 end) as parked,
            sum(case when state in ('awaiting', 'approved') then 1 else 0 end) as awaiting,
            sum(case when state = 'done' or stage = 'changes-after' then lines else 0 end) as lines,
            sum(case when state = 'done' or stage = 'changes-after' then gross_minor else 0 end) as gross,
            sum(case when state = 'done' or stage = 'changes-after' then realised else 0 end) as realised,
            sum(case when state = 'done' or stage = 'changes-after' then realised_net_minor else 0 end) as realised_net,
            sum(case when state = 'done' or stage = 'changes-after' then realised_tax_minor else 0 end) as realised_tax,
            sum(case when state = 'done' or stage = 'changes-after' then realised_gross_minor else 0 end) as realised_gross
        from run_plans where tenant_id = $1 group by run_id
    ) p on p.run_id = r.id
    left join (
        select realised_on, count(*) as realised from charges
        where tenant_id = $1 and realised_on is not null group by realised_on
    ) z on z.realised_on = r.business_on
    where r.tenant_id = $1 and (
        r.invoices <> coalesce(i.invoices, 0) or r.charges <> coalesce(c.charges, 0)
        or r.net_minor <> coalesce(i.net, 0) or r.tax_minor <> coalesce(i.tax, 0) or r.gross_minor <> coalesce(i.gross, 0)
        or r.charges <> coalesce(p.lines, 0) or r.gross_minor <> coalesce(p.gross, 0)
        or r.realised <> coalesce(z.realised, 0) or r.realised <> coalesce(p.realised, 0)
        or r.realised_net_minor <> coalesce(p.realised_net, 0) or r.realised_tax_minor <> coalesce(p.realised_tax, 0)
        or r.realised_gross_minor <> coalesce(p.realised_gross, 0)
        or (r.state = 'done' and (r.parked <> coalesce(p.parked, 0) or r.awaiting <> coalesce(p.awaiting, 0))))"
);

// The two rules below spell an id as text, which the engines do differently. Without statistics SQLite takes a tenant for
// a handful of rows and would read all its invoices for each of them: it is told the index.
macro_rules! invoice_posted {
    ($day:literal, $hex:literal, $contract_of_key:literal, $index:literal) => {
        broken!(
            "select distinct 'ctr' as kind, g.contract_id as subject, 'run of ' || cast(g.business_on as text)
                || ': invoices ask for ' || cast(g.gross as text) || ' in advance' || ', posted is ' || case when t.id is null then 'nothing'
                else cast(coalesce((
                    select sum(e.amount_minor) from ledger_entries e
                    where e.tenant_id = $1 and e.transaction_id = t.id and e.account_id = g.funds_account_id), 0) as text) end as detail
            from (
                select i.contract_id, r.business_on, c.funds_account_id, (
                    select sum(o.gross_minor) from invoices o",
            $index,
            "
                    where o.tenant_id = $1 and o.contract_id = i.contract_id and o.run_id = i.run_id
                ) - coalesce((
                    select sum(n.gross_minor - h.prepaid_minor) from invoices o",
            $index,
            "
                    join invoice_lines n on n.tenant_id = $1 and n.invoice_id = o.id
                    join charges h on h.tenant_id = $1 and h.id = n.charge_id
                    where o.tenant_id = $1 and o.contract_id = i.contract_id and o.run_id = i.run_id
                        and h.prepaid_minor is not null
                ), 0) as gross
                from invoices i
                join runs r on r.tenant_id = i.tenant_id and r.id = i.run_id
                left join contracts c on c.tenant_id = i.tenant_id and c.id = i.contract_id
                where i.tenant_id = $1
            ) g
            left join ledger_transactions t on t.tenant_id = $1
                and t.source_key = 'run/' || cast(g.business_on as text) || '/ctr_' || ",
            $hex,
            "
            where case when g.gross = 0 then t.id is not null else g.gross <> coalesce((
                select sum(e.amount_minor) from ledger_entries e
                where e.tenant_id = $1 and e.transaction_id = t.id and e.account_id = g.funds_account_id), 0) end
            union all
            select 'txn', t.id, t.source_key || ' is posted, but there is no such invoice'
            from ledger_transactions t
            where t.tenant_id = $1 and t.source_key like 'run/%' and not exists (
                select 1 from runs r join invoices i",
            $index,
            " on i.tenant_id = r.tenant_id and i.run_id = r.id
                where r.tenant_id = $1 and i.contract_id = ",
            $contract_of_key,
            " and ",
            $day,
            " = substr(t.source_key, 5, 10))"
        )
    };
}

const INVOICE_POSTED: Rule = Rule {
    code: "invoice-posted",
    title: "a run posts the prepaid part of a contract's invoices to its funds, once, and nothing for zero",
    checked: |counts| counts.invoices,
    statement: Sql::each(
        invoice_posted!(
            "r.business_on",
            "lower(hex(g.contract_id))",
            "unhex(substr(t.source_key, 20))",
            " indexed by invoices_by_contract"
        ),
        invoice_posted!(
            "cast(r.business_on as text)",
            "replace(cast(g.contract_id as text), '-', '')",
            "case when t.source_key ~ '^run/[0-9-]{10}/ctr_[0-9a-f]{32}$' then cast(substr(t.source_key, 20) as uuid) end",
            ""
        ),
    ),
};

// A renewal of several subscriptions is several changes with one invoice; what they charge is posted under the first of them.
macro_rules! change_posted {
    ($hex:literal) => {
        broken!(
            "select 'inv' as kind, g.invoice_id as subject, 'a change asks for ' || cast(g.asked as text) || ' in advance, posted is '
                || case when g.postings = 0 then 'nothing' else cast(g.posted as text) || ' by ' || cast(g.postings as text) end
                as detail
            from (
                select a.invoice_id, a.asked, coalesce(p.postings, 0) as postings, coalesce(p.posted, 0) as posted
                from (
                    select g.invoice_id, sum(coalesce(c.prepaid_minor, l.gross_minor, 0)) as asked
                    from subscription_changes g
                    left join charges c on c.tenant_id = g.tenant_id and c.subscription_id = g.subscription_id
                        and c.change_ordinal = g.ordinal and c.run_id is null
                    left join invoice_lines l on l.tenant_id = c.tenant_id and l.invoice_id = c.invoice_id and l.charge_id = c.id
                    where g.tenant_id = $1 and g.state = 'executed' and g.invoice_id is not null group by g.invoice_id
                ) a
                left join (
                    select g.invoice_id, count(distinct t.id) as postings, sum(coalesce(e.amount_minor, 0)) as posted
                    from subscription_changes g
                    join ledger_transactions t on t.tenant_id = g.tenant_id and t.source_key = 'change/chn_' || ",
            $hex,
            "
                    left join contracts k on k.tenant_id = g.tenant_id and k.id = g.contract_id
                    left join ledger_entries e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
                        and e.account_id = k.funds_account_id
                    where g.tenant_id = $1 and g.invoice_id is not null group by g.invoice_id
                ) p on p.invoice_id = a.invoice_id
            ) g where g.asked <> g.posted or g.postings <> case when g.asked = 0 then 0 else 1 end
            union all
            select 'txn', t.id, t.source_key || ' is posted, but no such change charged anything'
            from ledger_transactions t
            left join (
                select 'change/chn_' || ",
            $hex,
            " as source_key from subscription_changes g
                where g.tenant_id = $1 and g.state = 'executed' and g.invoice_id is not null
            ) r on r.source_key = t.source_key
            where t.tenant_id = $1 and t.source_key like 'change/%' and r.source_key is null
            union all
            select 'inv', i.id, 'was issued by no run and by no change'
            from invoices i
            where i.tenant_id = $1 and i.run_id is null and not exists (
                select 1 from invoice_lines l
                join charges c on c.tenant_id = l.tenant_id and c.id = l.charge_id
                join subscription_changes g on g.tenant_id = c.tenant_id and g.subscription_id = c.subscription_id
                    and g.ordinal = c.change_ordinal and g.state = 'executed' and g.invoice_id is not null
                where l.tenant_id = $1 and l.invoice_id = i.id)"
        )
    };
}

const CHANGE_POSTED: Rule = Rule {
    code: "change-posted",
    title: "a change posts the prepaid part of what it charges to the contract's funds, once, and nothing for zero",
    checked: |counts| counts.changes,
    statement: Sql::each(change_posted!("lower(hex(g.id))"), change_posted!("replace(cast(g.id as text), '-', '')")),
};

// What was never taken is given back first, so that credits beyond it left deferred revenue.
const DEFERRED_REVENUE: Rule = rule!(
    "deferred-revenue",
    "deferred revenue is what was taken in advance for charges that are not realised, less what was given back of it",
    |counts| counts.charges,
    "select '' as kind, cast(null as uuid) as subject, s.currency || ': deferred revenue is ' || cast(s.deferred as text)
        || ', charges that are not realised hold ' || cast(s.held as text) as detail
    from (
        select d.currency, sum(d.deferred) as deferred, sum(d.held) as held
        from (
            select a.currency, -a.balance_minor as deferred, 0 as held
            from ledger_accounts a where a.tenant_id = $1 and a.code = 'deferred-revenue'
            union all
            select h.currency, 0, h.prepaid - case when h.given > h.gross - h.prepaid then h.given - (h.gross - h.prepaid)
                else 0 end
            from (
                select c.currency, l.gross_minor as gross, coalesce(c.prepaid_minor, l.gross_minor) as prepaid,
                    coalesce(k.gross, 0) as given
                from charges c
                join invoice_lines l on l.tenant_id = c.tenant_id and l.invoice_id = c.invoice_id and l.charge_id = c.id
                left join (
                    select charge_id, sum(gross_minor) as gross from charge_credits where tenant_id = $1 group by charge_id
                ) k on k.charge_id = c.id
                where c.tenant_id = $1 and c.realised_on is null
            ) h
        ) d group by d.currency
    ) s where s.deferred <> s.held"
);

// What was given back before the realisation was never taken first, then left deferred revenue.
macro_rules! realisation_posted {
    ($hex:literal) => {
        broken!(
            "select 'ctr' as kind, g.contract_id as subject, 'realised on ' || cast(g.realised_on as text) || ': charges come to '
                || cast(g.net as text) || ' + ' || cast(g.tax as text) || ', ' || cast(g.held as text)
                || ' of it deferred, posted is ' || case when t.id is null then 'nothing' else
                cast(coalesce(p.net, 0) as text) || ' + ' || cast(coalesce(p.tax, 0) as text) || ', '
                || cast(coalesce(p.held, 0) as text) || ' of it deferred' end as detail
            from (
                select h.contract_id, h.realised_on, sum(h.net) as net, sum(h.tax) as tax,
                    sum(h.prepaid - case when h.given > h.gross - h.prepaid then h.given - (h.gross - h.prepaid) else 0 end)
                        as held
                from (
                    select c.contract_id, c.realised_on, l.gross_minor as gross,
                        coalesce(c.prepaid_minor, l.gross_minor) as prepaid, coalesce(k.gross, 0) as given,
                        l.net_minor - coalesce(k.net, 0) as net, l.tax_minor - coalesce(k.tax, 0) as tax
                    from charges c
                    join invoice_lines l on l.tenant_id = c.tenant_id and l.invoice_id = c.invoice_id
                        and l.position = c.invoice_position and l.charge_id = c.id
                    left join (
                        select charge_id, sum(net_minor) as net, sum(tax_minor) as tax, sum(gross_minor) as gross
                        from charge_credits where tenant_id = $1 and not after_realisation group by charge_id
                    ) k on k.charge_id = c.id
                    where c.tenant_id = $1 and c.realised_on is not null
                ) h group by h.contract_id, h.realised_on
            ) g
            left join ledger_transactions t on t.tenant_id = $1
                and t.source_key = 'realise/' || cast(g.realised_on as text) || '/ctr_' || ",
            $hex,
            "
            left join (
                select e.transaction_id, -sum(case when a.code like 'revenue/%' then e.amount_minor else 0 end) as net,
                    -sum(case when a.code like 'tax-payable/%' then e.amount_minor else 0 end) as tax,
                    sum(case when a.code = 'deferred-revenue' then e.amount_minor else 0 end) as held
                from ledger_transactions o
                join ledger_entries e on e.tenant_id = o.tenant_id and e.transaction_id = o.id
                join ledger_accounts a on a.tenant_id = e.tenant_id and a.id = e.account_id
                where o.tenant_id = $1 and o.kind = 'charge-realised' group by e.transaction_id
            ) p on p.transaction_id = t.id
            where (g.net + g.tax = 0 and t.id is not null) or g.net <> coalesce(p.net, 0) or g.tax <> coalesce(p.tax, 0)
                or g.held <> coalesce(p.held, 0)
            union all
            select 'txn', t.id, t.source_key || ' is posted, but no such charge is realised'
            from ledger_transactions t
            left join (
                select distinct 'realise/' || cast(g.realised_on as text) || '/ctr_' || ",
            $hex,
            " as source_key from charges g where g.tenant_id = $1 and g.realised_on is not null
            ) r on r.source_key = t.source_key
            where t.tenant_id = $1 and t.source_key like 'realise/%' and r.source_key is null"
        )
    };
}

const REALISATION_POSTED: Rule = Rule {
    code: "realisation-posted",
    title: "what a contract's charges realise on a day is posted once, less its credits: net to revenue, tax to tax payable",
    checked: |counts| counts.charges,
    statement: Sql::each(
        realisation_posted!("lower(hex(g.contract_id))"),
        realisation_posted!("replace(cast(g.contract_id as text), '-', '')"),
    ),
};

const REALISED_IN_TIME: Rule = rule!(
    "realised-in-time",
    "a charge is realised by the first run that closes its last day, or its contract was set aside",
    |counts| counts.charges,
    "select 'chg' as kind, c.id as subject, 'its service ended on ' || cast(c.realises_on as text)
        || ', but it is not realised' as detail
    from charges c
    left join runs m on m.tenant_id = c.tenant_id and m.id = c.run_id
    where c.tenant_id = $1 and c.realised_on is null
        and c.realises_on <= (select max(business_on) from runs where tenant_id = $1 and state = 'done')
        and exists (
            select 1 from runs r
            where r.tenant_id = $1 and r.state = 'done' and r.business_on >= c.realises_on
                and r.business_on > m.business_on and r.finished_at >= c.created_at
                and (c.covered_until is null or r.finished_at > coalesce((
                    select max(h.finished_at) from subscription_changes h
                    where h.tenant_id = $1 and h.subscription_id = c.subscription_id and h.state = 'executed'
                        and h.charged_until = c.covered_until), c.created_at))
                and not exists (
                    select 1 from run_plans p
                    where p.tenant_id = $1 and p.run_id = r.id and p.contract_id = c.contract_id and p.state <> 'done'))
    union all
    select 'chg', c.id, 'is ' || c.status || case when c.realised_on is null then ' and not realised'
        else ', realised on ' || cast(c.realised_on as text) || ', its last day is ' || cast(c.realises_on as text) end
    from charges c
    where c.tenant_id = $1 and ((c.realised_on is null and c.status = 'closed') or c.realised_on < c.realises_on
        or (c.realised_on is not null and c.status not in ('closed', 'refunded')))"
);

const CREDITS_BOUNDED: Rule = rule!(
    "credits-bounded",
    "the credits of a charge never exceed it, and what they give back is posted to the contract's funds",
    |counts| counts.credits,
    "select 'chg' as kind, c.id as subject, 'says that ' || cast(c.credited_minor as text) || ' were given back of '
        || cast(l.net_minor as text) || ' + ' || cast(l.tax_minor as text) || ', its credits sum to '
        || cast(coalesce(k.net, 0) as text) || ' + ' || cast(coalesce(k.tax, 0) as text) as detail
    from charges c
    join invoice_lines l on l.tenant_id = c.tenant_id and l.invoice_id = c.invoice_id
        and l.position = c.invoice_position and l.charge_id = c.id
    left join (
        select charge_id, sum(net_minor) as net, sum(tax_minor) as tax, sum(gross_minor) as gross
        from charge_credits where tenant_id = $1 group by charge_id
    ) k on k.charge_id = c.id
    where c.tenant_id = $1 and (c.credited_minor <> coalesce(k.gross, 0) or coalesce(k.net, 0) > l.net_minor
        or coalesce(k.tax, 0) > l.tax_minor or coalesce(k.net, 0) + coalesce(k.tax, 0) <> coalesce(k.gross, 0))
    union all
    select 'crd', k.id, 'gives back a part of a charge that does not exist or is another contract''s'
    from charge_credits k
    left join charges c on c.tenant_id = k.tenant_id and c.id = k.charge_id
    where k.tenant_id = $1 and (c.id is null or c.contract_id <> k.contract_id or c.currency <> k.currency)
    union all
    select 'chg', g.charge_id, 'its credits ' || case when g.after_realisation then 'after' else 'before' end
        || ' realisation posted ' || cast(g.posted as text) || ' to the contract''s funds'
    from (
        select k.charge_id, k.after_realisation, sum(k.gross_minor) as gross,
            sum(coalesce((
                select -sum(e.amount_minor) from ledger_entries e
                join ledger_transactions t on t.tenant_id = e.tenant_id and t.id = e.transaction_id
                join contracts r on r.tenant_id = e.tenant_id and r.id = k.contract_id
                where e.tenant_id = $1 and e.transaction_id = k.transaction_id and t.kind = 'credit-unused'
                    and e.account_id = r.funds_account_id), 0)) as posted
        from charge_credits k where k.tenant_id = $1 group by k.charge_id, k.after_realisation
    ) g
    join charges c on c.tenant_id = $1 and c.id = g.charge_id
    join invoice_lines l on l.tenant_id = c.tenant_id and l.invoice_id = c.invoice_id
        and l.position = c.invoice_position and l.charge_id = c.id
    where g.posted <> case
        when g.after_realisation then g.gross
        when g.gross > l.gross_minor - coalesce(c.prepaid_minor, l.gross_minor)
            then g.gross - (l.gross_minor - coalesce(c.prepaid_minor, l.gross_minor))
        else 0 end"
);

macro_rules! references {
    ($hex:literal) => {
        broken!(
            "select 'chg' as kind, c.id as subject, case
                when s.id is null then 'its subscription does not exist'
                when s.contract_id <> c.contract_id then 'its subscription belongs to another contract'
                when k.id is null then 'its contract does not exist'
                when m.id is null then 'its component does not exist'
                when i.id is null then 'its invoice does not exist'
                when i.contract_id <> c.contract_id then 'its invoice belongs to another contract'
                when c.run_id is not null and r.id is null then 'its run does not exist'
                else 'its proration was never recorded' end as detail
            from charges c
            left join subscriptions s on s.tenant_id = c.tenant_id and s.id = c.subscription_id
            left join contracts k on k.tenant_id = c.tenant_id and k.id = c.contract_id
            left join plan_components m on m.tenant_id = c.tenant_id and m.id = c.component_id
            left join invoices i on i.tenant_id = c.tenant_id and i.id = c.invoice_id
            left join runs r on r.tenant_id = c.tenant_id and r.id = c.run_id
            left join plugin_calls p on p.tenant_id = c.tenant_id and p.id = c.proration_call_id
            where c.tenant_id = $1 and (s.id is null or s.contract_id <> c.contract_id or k.id is null or m.id is null
                or i.id is null or i.contract_id <> c.contract_id or (c.run_id is not null and r.id is null)
                or (c.proration_call_id is not null and p.id is null))
            union all
            select 'inv', i.id, case
                when k.id is null then 'its contract does not exist'
                when s.id is null then 'its seller does not exist'
                when i.run_id is not null and r.id is null then 'its run does not exist'
                else 'its number was never recorded' end
            from invoices i
            left join contracts k on k.tenant_id = i.tenant_id and k.id = i.contract_id
            left join sellers s on s.tenant_id = i.tenant_id and s.id = i.seller_id
            left join runs r on r.tenant_id = i.tenant_id and r.id = i.run_id
            left join plugin_calls p on p.tenant_id = i.tenant_id and p.id = i.numbering_call_id
            where i.tenant_id = $1 and (k.id is null or s.id is null or (i.run_id is not null and r.id is null)
                or (i.numbering_call_id is not null and p.id is null))
            union all
            select 'inv', l.invoice_id, 'line ' || cast(l.position as text)
                || case when i.id is null then ' belongs to no invoice' else ' has a tax that was never recorded' end
            from invoice_lines l
            left join invoices i on i.tenant_id = l.tenant_id and i.id = l.invoice_id
            left join plugin_calls p on p.tenant_id = l.tenant_id and p.id = l.tax_call_id
            where l.tenant_id = $1 and (i.id is null or (l.tax_call_id is not null and p.id is null))
            union all
            select 'txn', e.transaction_id, 'entry ' || cast(e.position as text) || ' stands on no account'
            from ledger_entries e
            left join ledger_accounts a on a.tenant_id = e.tenant_id and a.id = e.account_id
            where e.tenant_id = $1 and a.id is null
            union all
            select 'cal', p.id, case
                when b.id is null and h.binding_id is null then 'its binding does not exist'
                when m.digest is null then 'its component is not installed'
                when n.digest is null then 'its input is not kept'
                else 'its output is not kept' end
            from plugin_calls p
            left join bindings b on b.tenant_id = p.tenant_id and b.id = p.binding_id
            left join inherited_bindings h on h.tenant_id = p.tenant_id and h.binding_id = p.binding_id
            left join components m on m.digest = p.component_digest
            left join evidence n on n.tenant_id = p.tenant_id and n.digest = p.input_digest
            left join evidence o on o.tenant_id = p.tenant_id and o.digest = p.output_digest
            where p.tenant_id = $1 and ((b.id is null and h.binding_id is null) or m.digest is null or n.digest is null
                or (p.output_digest is not null and o.digest is null) or (p.output_digest is null and p.fault_code is null))
            union all
            select 'ctr', k.id, case when a.id is null then 'its funds account does not exist'
                else 'its funds account is ' || a.code || ' in ' || a.currency end
            from contracts k
            left join ledger_accounts a on a.tenant_id = k.tenant_id and a.id = k.funds_account_id
            where k.tenant_id = $1 and (a.id is null or a.currency <> k.currency or a.code <> 'contract/ctr_' || ",
            $hex,
            " || '/funds')"
        )
    };
}

const REFERENCES: Rule = Rule {
    code: "references",
    title: "what a row names exists and belongs together",
    checked: |counts| {
        counts.charges + counts.invoices + counts.lines + counts.entries + counts.calls + counts.contracts
    },
    statement: Sql::each(references!("lower(hex(k.id))"), references!("replace(cast(k.id as text), '-', '')")),
};

const PROMISES_ON_LEDGER: Rule = rule!(
    "promises-on-ledger",
    "the ledger's account of a contract's promises is the sum of its active promises; a rest follows a larger promise",
    |counts| counts.promises,
    "select 'ctr' as kind, m.contract_id as subject,
        'promised on the ledger are ' || cast(m.promised_minor as text) || ', its active promises come to '
            || cast(coalesce(s.amount, 0) as text) as detail
    from contract_money m
    left join (
        select contract_id, sum(amount_minor) as amount from promises
        where tenant_id = $1 and status = 'active' group by contract_id
    ) s on s.contract_id = m.contract_id
    where m.tenant_id = $1 and m.promised_minor <> coalesce(s.amount, 0)
    union all
    select 'prm', p.id, 'takes the place of a promise that does not fit it'
    from promises p
    left join promises r on r.tenant_id = p.tenant_id and r.id = p.replaces_id
    where p.tenant_id = $1 and p.replaces_id is not null and (r.id is null or r.status <> 'reduced'
        or r.amount_minor <= p.amount_minor or r.expires_at <> p.expires_at or r.contract_id <> p.contract_id
        or r.currency <> p.currency or r.first_id <> p.first_id)"
);

const BLOCKS_DISJOINT: Rule = rule!(
    "blocks-disjoint",
    "at most one block of a type is active on an object at any instant, and a block belongs to its object's contract",
    |counts| counts.blocks,
    "select 'blk' as kind, b.id as subject, b.type || ' begins before the block before it has ended' as detail
    from (
        select s.id, s.type, s.starts_at,
            lag(s.id) over (partition by s.object_id, s.type order by s.starts_at, s.id) as before_id,
            lag(s.end_at) over (partition by s.object_id, s.type order by s.starts_at, s.id) as before_end
        from (
            select id, object_id, type, starts_at,
                case when lifted_at is null or lifted_at > ends_at then ends_at else lifted_at end as end_at
            from blocks where tenant_id = $1
        ) s where s.end_at is null or s.end_at > s.starts_at
    ) b where b.before_id is not null and (b.before_end is null or b.before_end > b.starts_at)
    union all
    select 'blk', b.id, 'stands on a subscription of another contract'
    from blocks b
    left join subscriptions s on s.tenant_id = b.tenant_id and s.id = b.subscription_id
    where b.tenant_id = $1 and b.subscription_id is not null and (s.id is null or s.contract_id <> b.contract_id)"
);

const HIERARCHY_ACYCLIC: Rule = rule!(
    "hierarchy-acyclic",
    "contracts stand above one another without circles, at most 8 levels deep and in one currency",
    |counts| counts.controls,
    "with recursive above (contract_id, parent_id, depth) as (
        select k.contract_id, k.parent_id, 1 from contract_controls k
        where k.tenant_id = $1 and k.parent_id is not null
        union all
        select a.contract_id, k.parent_id, a.depth + 1 from above a
        join contract_controls k on k.tenant_id = $1 and k.contract_id = a.parent_id and k.parent_id is not null
        where a.depth < 9
    )
    select 'ctr' as kind, a.contract_id as subject, 'has more than 8 contracts above it' as detail
    from above a where a.depth = 9
    union all
    select 'ctr', k.contract_id, 'stands below a contract in another currency'
    from contract_controls k
    join contracts c on c.tenant_id = k.tenant_id and c.id = k.contract_id
    join contracts p on p.tenant_id = k.tenant_id and p.id = k.parent_id
    where k.tenant_id = $1 and p.currency <> c.currency"
);

const SUBSCRIPTION_LIVES: Rule = rule!(
    "subscription-lives",
    "what is stopped or held is out of service, and what is held has its reason",
    |counts| counts.subscriptions,
    "select 'sub' as kind, l.subscription_id as subject,
        case when s.status in ('active', 'grace') then 'is ' || s.status || ' although it is stopped or held'
            else 'is held by nobody' end as detail
    from subscription_lives l
    join subscriptions s on s.tenant_id = l.tenant_id and s.id = l.subscription_id
    where l.tenant_id = $1 and ((s.status in ('active', 'grace') and (l.stopped_on is not null or l.held_from is not null))
        or (l.held_from is not null and not exists (select 1 from subscription_holds h
            where h.tenant_id = l.tenant_id and h.subscription_id = l.subscription_id)))"
);

// A charge of late use has an ordinal below zero: ten thousand times that of its window and the number of the billing.
const USAGE_CHARGED: Rule = rule!(
    "usage-charged",
    "usage windows of a subscription and meter are disjoint, and what is billed of one is what its charges come to, less what fell",
    |counts| counts.usage_windows,
    "select 'uwn' as kind, a.id as subject, 'holds instants of another window, from ' || cast(b.used_start as text) as detail
    from usage_windows a
    join usage_windows b on b.tenant_id = a.tenant_id and b.subscription_id = a.subscription_id
        and b.meter_id = a.meter_id and b.starts_us > a.starts_us and b.starts_us < a.ends_us
    where a.tenant_id = $1
    union all
    select 'uwn', w.id, 'was billed with ' || cast(w.billed_minor as text) || ', its charges come to '
        || cast(coalesce(s.amount, 0) as text)
    from usage_windows w
    left join (
        select subscription_id, component_id, period_start,
            case when change_ordinal < 0 then -change_ordinal / 10000 else change_ordinal end as ordinal,
            sum(amount_minor) as amount
        from charges where tenant_id = $1 and kind = 'usage' group by 1, 2, 3, 4
    ) s on s.subscription_id = w.subscription_id and s.component_id = w.component_id
        and s.period_start = w.period_start and s.ordinal = w.change_ordinal
    left join (
        select k.window_id, sum(case when i.price_mode = 'included' then k.gross_minor else k.net_minor end) as amount
        from charge_credits k join charges c on c.tenant_id = $1 and c.id = k.charge_id
        join invoices i on i.tenant_id = $1 and i.id = c.invoice_id
        where k.tenant_id = $1 and k.window_id is not null group by k.window_id
    ) f on f.window_id = w.id
    where w.tenant_id = $1 and w.billed_minor <> coalesce(s.amount, 0) - coalesce(f.amount, 0)
    union all
    select 'chg', c.id, 'bills the use of no window'
    from charges c
    left join usage_windows w on w.tenant_id = c.tenant_id and w.subscription_id = c.subscription_id
        and w.component_id = c.component_id and w.period_start = c.period_start and w.change_ordinal
            = case when c.change_ordinal < 0 then -c.change_ordinal / 10000 else c.change_ordinal end
    where c.tenant_id = $1 and c.kind = 'usage' and w.id is null"
);

const USAGE_IN_WINDOW: Rule = rule!(
    "usage-in-window",
    "every recorded event of use lies in a window of its subscription and meter, or behind the last one, where one is to open",
    |counts| counts.usage_windows,
    "select 'sub' as kind, e.subscription_id as subject, 'event ' || e.event_id || ' lies between windows' as detail
    from usage_events e
    where e.tenant_id = $1 and not exists (
        select 1 from usage_windows w where w.tenant_id = $1 and w.subscription_id = e.subscription_id
            and w.meter_id = e.meter_id and w.starts_us <= e.occurred_us and w.ends_us > e.occurred_us)
        and exists (
        select 1 from usage_windows w where w.tenant_id = $1 and w.subscription_id = e.subscription_id
            and w.meter_id = e.meter_id and w.starts_us > e.occurred_us)"
);

const WITHHELD_NOT_CHARGED: Rule = rule!(
    "withheld-not-charged",
    "a period that was skipped for want of money is not charged, and one that waits for it is not charged yet",
    |counts| counts.charges,
    "select 'chg' as kind, c.id as subject, 'is charged on ' || cast(c.charged_on as text) || ', in a period that a run skipped'
        as detail
    from run_withheld w
    join charges c on c.tenant_id = w.tenant_id and c.subscription_id = w.subscription_id and c.kind = 'recurring'
        and c.charged_on >= w.period_start and c.charged_on < w.period_end
        and c.used_start < coalesce(c.covered_until, c.used_end)
    where w.tenant_id = $1 and w.outcome = 'skipped'
    union all
    select 'sub', s.id, 'waits for the money of its period from ' || cast(s.waits_from as text) || ', which is charged'
    from subscriptions s
    where s.tenant_id = $1 and s.waits_from is not null and s.status in ('active', 'grace') and exists (
        select 1 from charges c where c.tenant_id = s.tenant_id and c.subscription_id = s.id and c.kind = 'recurring'
            and c.charged_on >= s.waits_from and c.used_start < coalesce(c.covered_until, c.used_end))"
);

const ORDERS_ON_LEDGER: Rule = rule!(
    "orders-on-ledger",
    "the ledger's account of a contract's reserved money is the sum of its paid orders; what is charged is reserved no more",
    |counts| counts.orders,
    "select 'ctr' as kind, m.contract_id as subject,
        'reserved on the ledger are ' || cast(m.blocked_minor as text) || ', its paid orders come to '
            || cast(coalesce(s.amount, 0) as text) as detail
    from contract_money m
    left join (
        select contract_id, sum(amount_minor) as amount from orders
        where tenant_id = $1 and status = 'blocked' group by contract_id
    ) s on s.contract_id = m.contract_id
    where m.tenant_id = $1 and m.blocked_minor <> coalesce(s.amount, 0)
    union all
    select 'ord', o.id, case when s.id is null then 'its subscription does not exist'
        when s.contract_id <> o.contract_id then 'its subscription belongs to another contract'
        else 'waits for money, but its subscription is ' || s.status end
    from orders o
    left join subscriptions s on s.tenant_id = o.tenant_id and s.id = o.subscription_id
    where o.tenant_id = $1 and (s.id is null or s.contract_id <> o.contract_id
        or (o.status = 'opened' and s.status in ('active', 'grace', 'paused', 'stopped')))
    union all
    select 'ord', o.id, 'money is reserved for it, though its subscription is charged'
    from orders o
    where o.tenant_id = $1 and o.status in ('opened', 'blocked') and exists (
        select 1 from charges c where c.tenant_id = o.tenant_id and c.subscription_id = o.subscription_id
            and c.kind <> 'usage')"
);

/// The rules of a tenant's books that statements check.
pub const RULES: &[Rule] = &[
    TRANSACTIONS_BALANCE,
    HEADERS_HAVE_ENTRIES,
    ENTRIES_HAVE_HEADERS,
    ENTRY_CURRENCY,
    BALANCES_EQUAL_ENTRIES,
    TRIAL_BALANCE_ZERO,
    SOURCE_KEY_UNIQUE,
    REVERSAL_BOUNDED,
    POSTINGS_STAND,
    INVOICE_TOTALS,
    INVOICE_POSTED,
    CHANGE_POSTED,
    CHARGE_HAS_LINE,
    REALISATION_POSTED,
    REALISED_IN_TIME,
    DEFERRED_REVENUE,
    CREDITS_BOUNDED,
    NUMBERS_GAPLESS,
    RUN_TOTALS,
    REFERENCES,
    PROMISES_ON_LEDGER,
    BLOCKS_DISJOINT,
    HIERARCHY_ACYCLIC,
    SUBSCRIPTION_LIVES,
    USAGE_CHARGED,
    USAGE_IN_WINDOW,
    WITHHELD_NOT_CHARGED,
    ORDERS_ON_LEDGER,
];

/// An invoice line with what its tax follows from.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TaxedLineRow {
    /// The invoice.
    pub invoice_id: Uuid,
    /// Its place, from 0.
    pub position: i32,
    /// The invoice's number.
    pub number: String,
    /// ISO 4217 code.
    pub currency: String,
    /// `included` or `on-top`.
    pub price_mode: String,
    /// Without tax, minor units.
    pub net_minor: i64,
    /// The tax, minor units.
    pub tax_minor: i64,
    /// With tax, minor units.
    pub gross_minor: i64,
    /// Per cent, canonical decimal.
    pub tax_rate: Option<String>,
}

const TAXED_LINES: &str =
    "select l.invoice_id, l.position, i.number, i.currency, i.price_mode, l.net_minor, l.tax_minor,
        l.gross_minor, l.tax_rate
    from invoice_lines l join invoices i on i.tenant_id = l.tenant_id and i.id = l.invoice_id
    where l.tenant_id = $1 and (l.invoice_id, l.position) > ($2, $3)
    order by l.invoice_id, l.position limit $4";
/// A page of invoice lines behind a place, (nil, -1) for the first.
pub async fn taxed_lines(tx: &mut Tx, tenant: Uuid, after: (Uuid, i32), limit: i64) -> Result<Vec<TaxedLineRow>> {
    tx.fetch_all(TAXED_LINES, (tenant, after.0, after.1, limit)).await
}

/// A period that was charged.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ChargedPeriodRow {
    /// The charge.
    pub id: Uuid,
    /// The subscription.
    pub subscription_id: Uuid,
    /// The component.
    pub component_id: Uuid,
    /// First day of the full period.
    pub period_start: NaiveDate,
    /// The day after the full period.
    pub period_end: NaiveDate,
    /// How many changes of the subscription were executed before it was charged.
    pub change_ordinal: i32,
    /// First day that it was billed for.
    pub used_start: NaiveDate,
    /// The day after the last one that it covers.
    pub covered_until: NaiveDate,
}

const CHARGED_PERIODS: &str = "select id, subscription_id, component_id, period_start, period_end, change_ordinal,
        used_start, coalesce(covered_until, used_end) as covered_until
    from charges
    where tenant_id = $1 and kind = 'recurring'
        and (subscription_id, component_id, period_start, change_ordinal) > ($2, $3, $4, $5) and subscription_id <= $6
    order by subscription_id, component_id, period_start, change_ordinal limit $7";
/// A page of recurring charges behind a (subscription, component, period start, number of changes), of subscriptions up to
/// one, in order.
pub async fn charged_periods(
    tx: &mut Tx,
    tenant: Uuid,
    after: (Uuid, Uuid, NaiveDate, i32),
    through: Uuid,
    limit: i64,
) -> Result<Vec<ChargedPeriodRow>> {
    tx.fetch_all(CHARGED_PERIODS, (tenant, after.0, after.1, after.2, after.3, through, limit)).await
}

/// A change that was executed, as far as coverage is concerned.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ExecutedChangeRow {
    /// The subscription.
    pub subscription_id: Uuid,
    /// Its number among the changes of the subscription, from 1.
    pub ordinal: i32,
    /// The day on which what was charged before it ended.
    pub charged_until: NaiveDate,
    /// First day that the new terms cover.
    pub terms_from: NaiveDate,
    /// The plan version of the new terms.
    pub plan_version_id: Uuid,
}

const EXECUTED_CHANGES: &str = "select subscription_id, ordinal, charged_until, terms_from, plan_version_id
    from subscription_changes
    where tenant_id = $1 and state = 'executed' and (subscription_id, ordinal) > ($2, $3) and subscription_id <= $4
    order by subscription_id, ordinal limit $5";
/// A page of executed changes behind a (subscription, ordinal), of subscriptions up to one, in order.
pub async fn executed_changes(
    tx: &mut Tx,
    tenant: Uuid,
    after: (Uuid, i32),
    through: Uuid,
    limit: i64,
) -> Result<Vec<ExecutedChangeRow>> {
    tx.fetch_all(EXECUTED_CHANGES, (tenant, after.0, after.1, through, limit)).await
}

const TENANT_PATHS: Sql = Sql::each(
    broken!(
        "select 'ten' as kind, t.id as subject, 'stands at ' || t.path as detail
        from tenants t left join tenants p on p.id = t.parent_id
        where t.path <> coalesce(p.path, '/') || lower(hex(t.id)) || '/' or (t.parent_id is not null and p.id is null)"
    ),
    broken!(
        "select 'ten' as kind, t.id as subject, 'stands at ' || t.path as detail
        from tenants t left join tenants p on p.id = t.parent_id
        where t.path <> coalesce(p.path, '/') || replace(cast(t.id as text), '-', '') || '/'
            or (t.parent_id is not null and p.id is null)"
    ),
);
/// The tenants whose path is not the path of their parent and their own id; for the platform.
pub async fn tenants_misplaced(tx: &mut Tx) -> Result<Vec<BrokenRow>> {
    tx.fetch_all(TENANT_PATHS, ()).await
}

const TENANTS: &str = "select count(*) from tenants";
/// How many tenants there are; for the platform.
pub async fn tenants(tx: &mut Tx) -> Result<i64> {
    Ok(tx.fetch_one::<(i64,)>(TENANTS, ()).await?.0)
}
