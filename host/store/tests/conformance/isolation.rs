//! On PostgreSQL row-level security keeps tenants apart, whatever a statement forgets to say.

use altyn_store::{Db, Engine, Scope, StoreError};
use uuid::Uuid;

use crate::{
    append_only::{APPEND_ONLY, PLATFORM_APPEND_ONLY},
    place::{Place, assert_refused, history, id, leaked},
};

/// The tables of the platform, which all tenants share.
const PLATFORM: [&str; 9] = [
    "api_keys",
    "canaries",
    "component_installs",
    "components",
    "gateway_endpoints",
    "master_keys",
    "plugin_keys",
    "scheduler_clock",
    "tenants",
];

const TABLES: &str = "select relname::text, relrowsecurity, relforcerowsecurity,
        (select count(*) from pg_policy p where p.polrelid = c.oid and p.polcmd = '*' and p.polpermissive
            and pg_get_expr(p.polqual, p.polrelid) like '%tenant_id = %app.tenant%' and p.polwithcheck is null),
        (select count(*) from pg_policy p where p.polrelid = c.oid)
    from pg_class c where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
        and relname <> '_sqlx_migrations' order by relname collate \"C\"";

async fn postgres() -> Place {
    Place::start(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_a_tenant_forces_one_policy_and_the_platforms_have_none() {
    let place = postgres().await;
    let tables: Vec<(String, bool, bool, i64, i64)> = place.read().await.fetch_all(TABLES, ()).await.unwrap();
    assert!(tables.len() >= 51, "only {} tables were found", tables.len());
    for (table, enabled, forced, tenant_policies, policies) in tables {
        let expected = !PLATFORM.contains(&table.as_str());
        let one = i64::from(expected);
        assert_eq!((enabled, forced, tenant_policies, policies), (expected, expected, one, one), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_works_as_a_role_that_owns_nothing_and_bypasses_nothing() {
    let place = postgres().await;
    let mut tx = place.read().await;
    let sql = "select current_user::text, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin
        from pg_roles where rolname = current_user";
    let (name, superuser, bypass, roles, databases, login): (String, bool, bool, bool, bool, bool) =
        tx.fetch_one(sql, ()).await.unwrap();
    assert_eq!(name, "altyn_app");
    assert!(!superuser && !bypass && !roles && !databases && !login);
    let owned = "select count(*) from pg_shdepend d join pg_roles r on r.oid = d.refobjid
        where d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' and r.rolname = 'altyn_app'";
    assert_eq!(tx.fetch_one::<(i64,)>(owned, ()).await.unwrap().0, 0);
    let member = "select count(*) from pg_auth_members m join pg_roles r on r.oid = m.member
        where r.rolname = 'altyn_app'";
    assert_eq!(tx.fetch_one::<(i64,)>(member, ()).await.unwrap().0, 0, "it inherits nothing either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_may_rewrite_no_append_only_table_and_truncate_none() {
    let place = postgres().await;
    let sql = "select relname::text, has_table_privilege('altyn_app', oid, 'update'),
            has_table_privilege('altyn_app', oid, 'delete'), has_table_privilege('altyn_app', oid, 'truncate')
        from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
            and relname <> '_sqlx_migrations'";
    let privileges: Vec<(String, bool, bool, bool)> = place.read().await.fetch_all(sql, ()).await.unwrap();
    for (table, update, delete, truncate) in privileges {
        let history = APPEND_ONLY.contains(&table.as_str()) || table == PLATFORM_APPEND_ONLY;
        let rewritable = !history && table != "dunning_steps";
        // These end once and keep their rows.
        let kept = ["blocks", "promises"].contains(&table.as_str());
        assert_eq!((update, delete, truncate), (rewritable, rewritable && !kept, false), "{table}");
    }
}

/// How many rows of each table a transaction sees.
async fn counts(db: &Db, scope: Scope, tables: &[String]) -> Vec<i64> {
    let mut tx = db.read(scope).await.unwrap();
    let mut found = Vec::new();
    for table in tables {
        let sql = leaked(format!("select count(*) from {table}"));
        found.push(tx.fetch_one::<(i64,)>(sql, ()).await.unwrap().0);
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_without_a_tenant_or_of_another_tenant_sees_no_row() {
    let place = postgres().await;
    history(&place).await;
    let stranger = place.another_tenant().await;
    let tables: Vec<(String, bool, bool, i64, i64)> = place.read().await.fetch_all(TABLES, ()).await.unwrap();
    let tables: Vec<String> = tables.into_iter().filter(|row| row.1).map(|row| row.0).collect();
    assert!(tables.len() >= 43, "only {} tables were found", tables.len());
    let own: i64 = counts(&place.db, Scope::Tenant(place.tenant), &tables).await.iter().sum();
    assert_eq!(
        own, 20,
        "an invoice, its line, its charge, a credit, two accounts, a posting of two entries, a call, evidence, an error, a
        step, a binding and its change, a migration, a binding of a gateway, its exchange, a step, an event of use"
    );
    assert_eq!(counts(&place.db, Scope::Platform, &tables).await, vec![0; tables.len()]);
    assert_eq!(counts(&place.db, Scope::Tenant(stranger), &tables).await, vec![0; tables.len()]);
}

const OUTBOX: &str = "insert into outbox (tenant_id, id, kind, subject, payload, created_at, delivered_at)
    values ($1, $2, 'note', '', '{}', '2026-11-01T09:00:00+00:00', null)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_alternate_over_a_small_pool_never_see_each_other() {
    let place = postgres().await;
    let tenants = [place.tenant, place.another_tenant().await];
    for (tenant, rows) in tenants.into_iter().zip([3, 5]) {
        let mut tx = place.db.write(Scope::Tenant(tenant)).await.unwrap();
        for _ in 0..rows {
            tx.execute(OUTBOX, (tenant, id())).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    let workers = (0..8_usize).map(|worker| {
        let db = place.db.clone();
        tokio::spawn(async move {
            for turn in 0..250 {
                let side = (worker + turn) % 2;
                let tenant = tenants[side];
                let mut tx = db.write(Scope::Tenant(tenant)).await.unwrap();
                let seen: Vec<(Uuid, i64)> =
                    tx.fetch_all("select tenant_id, count(*) from outbox group by tenant_id", ()).await.unwrap();
                assert_eq!(seen, [(tenant, [3, 5][side])]);
                // Each way a transaction ends must leave the connection without a tenant.
                match turn % 3 {
                    0 => tx.commit().await.unwrap(),
                    1 => tx.rollback().await.unwrap(),
                    _ => drop(tx),
                }
                if turn % 10 == 0 {
                    let mut tx = db.write(Scope::Platform).await.unwrap();
                    let (none,) = tx.fetch_one::<(i64,)>("select count(*) from outbox", ()).await.unwrap();
                    assert_eq!(none, 0);
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_for_another_tenant_is_refused_and_none_moves_there() {
    let place = postgres().await;
    let stranger = place.another_tenant().await;
    assert_eq!(place.attempt(OUTBOX, (place.tenant, id())).await.unwrap(), 1);
    assert_refused(&place.attempt(OUTBOX, (stranger, id())).await, "an event of a stranger");
    let entry = "insert into ledger_entries (tenant_id, transaction_id, position, account_id, amount_minor)
        values ($1, $2, 0, $2, 1)";
    assert_refused(&place.attempt(entry, (stranger, id())).await, "an entry of a stranger");
    let sequence =
        "insert into sequences (tenant_id, seller_id, key, start_value, next_value) values ($1, $2, 'А', 1, 1)";
    assert_refused(&place.attempt(sequence, (stranger, id())).await, "a sequence of a stranger");

    let mut tx = place.write().await;
    tx.execute(OUTBOX, (place.tenant, id())).await.unwrap();
    let moved = tx.execute("update outbox set tenant_id = $1", (stranger,)).await;
    assert_refused(&moved, "a row that moves to a stranger");
    drop(tx);

    let mut tx = place.db.write(Scope::Tenant(stranger)).await.unwrap();
    let theirs = id();
    tx.execute(OUTBOX, (stranger, theirs)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(place.attempt("delete from outbox where id = $1", (theirs,)).await.unwrap(), 0);
    assert_eq!(place.attempt("update outbox set subject = 'x' where id = $1", (theirs,)).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_changes_neither_the_schema_nor_the_rules() {
    let place = postgres().await;
    for sql in [
        "alter table outbox disable row level security",
        "alter table ledger_entries disable trigger all",
        "drop policy tenant_rows on outbox",
        "drop table outbox",
        "truncate ledger_entries",
    ] {
        assert_refused(&place.attempt(sql, ()).await, sql);
    }
    let created = place.attempt("create table pocket (id int)", ()).await;
    assert!(matches!(created, Err(StoreError::Refused(..))), "{created:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshing_statistics_leaves_no_connection_with_the_owners_role() {
    let place = postgres().await;
    for wait_ms in [1, 2, 5, 10, 20, 40, 30_000] {
        let wait = std::time::Duration::from_millis(wait_ms);
        // An interrupted refresh gives its connection back half-way through; only the last is let finish.
        let finished = tokio::time::timeout(wait, place.db.optimize()).await;
        assert!(finished.is_ok() || wait_ms < 30_000);
        let mut all = Vec::new();
        for _ in 0..8 {
            let mut tx = place.db.write(Scope::Platform).await.unwrap();
            let (role,): (String,) = tx.fetch_one("select current_user::text", ()).await.unwrap();
            assert_eq!(role, "altyn_app", "after {wait_ms} ms");
            all.push(tx);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_stops_waiting_for_a_transaction_leaves_no_tenant_behind() {
    let place = postgres().await;
    for round in 0..200 {
        let wait = std::time::Duration::from_micros(round * 20);
        let scope = Scope::Tenant(place.tenant);
        // Dropped at once where it was given in time, abandoned half-way where it was not.
        drop(tokio::time::timeout(wait, place.db.read(scope)).await);
        drop(futures_util::FutureExt::now_or_never(place.db.write(scope)));
        let mut all = Vec::new();
        for _ in 0..8 {
            let mut tx = place.db.write(Scope::Platform).await.unwrap();
            let sql =
                "select coalesce(current_setting('app.tenant', true), ''), current_setting('transaction_read_only')";
            let found: (String, String) = tx.fetch_one(sql, ()).await.unwrap();
            assert_eq!(found, (String::new(), "off".to_owned()), "round {round}");
            all.push(tx);
        }
    }
}
