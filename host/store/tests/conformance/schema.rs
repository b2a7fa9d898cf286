//! The twin migrations make one schema.

use std::{collections::BTreeSet, fs, path::PathBuf};

use altyn_store::{Engine, Scope};

use crate::place::Place;

/// Table, column, type, whether it may be null.
type ColumnOf = (String, String, String, bool);
/// Table, `primary`, `unique` or the name of another index, and its columns.
type KeyOf = (String, String, String);
/// Table, its columns, the table they point at and the columns there.
type ReferenceOf = (String, String, String, String);

const COLUMNS_SQLITE: &str = "select t.name, c.name, lower(c.type), c.\"notnull\" = 0
    from sqlite_schema t join pragma_table_xinfo(t.name) c
    where t.type = 'table' and t.name not like 'sqlite\\_%' escape '\\' and t.name <> '_sqlx_migrations'
    order by t.name, c.cid";
const COLUMNS_POSTGRES: &str = "select t.relname::text, c.attname::text, format_type(c.atttypid, c.atttypmod), not c.attnotnull
    from pg_class t join pg_attribute c on c.attrelid = t.oid and c.attnum > 0 and not c.attisdropped
    where t.relnamespace = current_schema()::regnamespace and t.relkind in ('r', 'p') and t.relname <> '_sqlx_migrations'
    order by t.relname collate \"C\", c.attnum";

const KEYS_SQLITE: &str =
    "select t.name, case i.origin when 'pk' then 'primary' when 'u' then 'unique' else i.name end,
        (select group_concat(c.name, ',' order by c.seqno) from pragma_index_info(i.name) c)
    from sqlite_schema t join pragma_index_list(t.name) i
    where t.type = 'table' and t.name <> '_sqlx_migrations'";
const KEYS_POSTGRES: &str = "select t.relname::text,
        case when i.indisprimary then 'primary' when i.indisunique and i.indpred is null then 'unique' else n.relname::text end,
        (select string_agg(c.attname, ',' order by k.place) from unnest(i.indkey::int2[]) with ordinality k(number, place)
            join pg_attribute c on c.attrelid = t.oid and c.attnum = k.number)
    from pg_index i join pg_class t on t.oid = i.indrelid join pg_class n on n.oid = i.indexrelid
    where t.relnamespace = current_schema()::regnamespace and t.relname <> '_sqlx_migrations'";

const REFERENCES_SQLITE: &str = "select t.name, group_concat(f.\"from\", ',' order by f.seq), f.\"table\",
        group_concat(f.\"to\", ',' order by f.seq)
    from sqlite_schema t join pragma_foreign_key_list(t.name) f where t.type = 'table' group by t.name, f.id, f.\"table\"";
const REFERENCES_POSTGRES: &str = "select t.relname::text,
        (select string_agg(c.attname, ',' order by k.place) from unnest(f.conkey) with ordinality k(number, place)
            join pg_attribute c on c.attrelid = f.conrelid and c.attnum = k.number),
        o.relname::text,
        (select string_agg(c.attname, ',' order by k.place) from unnest(f.confkey) with ordinality k(number, place)
            join pg_attribute c on c.attrelid = f.confrelid and c.attnum = k.number)
    from pg_constraint f join pg_class t on t.oid = f.conrelid join pg_class o on o.oid = f.confrelid
    where f.contype = 'f' and t.relnamespace = current_schema()::regnamespace";

/// How SQLite keeps a type of PostgreSQL.
fn kept_as(postgres: &str) -> &'static str {
    match postgres {
        "uuid" | "bytea" => "blob",
        "text" | "date" | "timestamp with time zone" => "text",
        "bigint" | "integer" | "boolean" => "integer",
        _ => "no type of this project",
    }
}

async fn asked<T: altyn_store::Record>(sqlite: &'static str, postgres: &'static str) -> (Vec<T>, Vec<T>) {
    let mut tx = Place::start(Engine::Sqlite).await.db.read(Scope::Platform).await.unwrap();
    let left = tx.fetch_all(sqlite, ()).await.unwrap();
    let mut tx = Place::start(Engine::Postgres).await.db.read(Scope::Platform).await.unwrap();
    let right = tx.fetch_all(postgres, ()).await.unwrap();
    (left, right)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_have_the_same_tables_and_columns_in_the_same_order() {
    let (sqlite, postgres) = asked::<ColumnOf>(COLUMNS_SQLITE, COLUMNS_POSTGRES).await;
    assert!(sqlite.len() > 250, "only {} columns were found", sqlite.len());
    let mapped: Vec<ColumnOf> = postgres
        .into_iter()
        .map(|(table, column, kind, nullable)| (table, column, kept_as(&kind).to_owned(), nullable))
        .collect();
    for (left, right) in sqlite.iter().zip(&mapped) {
        assert_eq!(left, right);
    }
    assert_eq!(sqlite.len(), mapped.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_have_the_same_keys_and_indexes() {
    let (sqlite, postgres) = asked::<KeyOf>(KEYS_SQLITE, KEYS_POSTGRES).await;
    let tables: BTreeSet<&String> = sqlite.iter().map(|(table, ..)| table).collect();
    let primary = sqlite.iter().filter(|(_, kind, _)| kind == "primary").count();
    assert!(primary >= 29, "only {primary} tables were found");
    assert_eq!(primary, tables.len(), "each table has a primary key");
    assert_same(sqlite, postgres);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_have_the_same_references() {
    let (sqlite, postgres) = asked::<ReferenceOf>(REFERENCES_SQLITE, REFERENCES_POSTGRES).await;
    assert!(!sqlite.is_empty());
    assert_same(sqlite, postgres);
}

fn assert_same<T: Ord + std::fmt::Debug>(sqlite: Vec<T>, postgres: Vec<T>) {
    assert_eq!(sqlite.len(), postgres.len());
    let (sqlite, postgres): (BTreeSet<T>, BTreeSet<T>) = (sqlite.into_iter().collect(), postgres.into_iter().collect());
    assert_eq!(sqlite.difference(&postgres).collect::<Vec<_>>(), Vec::<&T>::new(), "only on sqlite");
    assert_eq!(postgres.difference(&sqlite).collect::<Vec<_>>(), Vec::<&T>::new(), "only on postgres");
}

/// The names of the migrations of an engine with their texts, in order.
fn migrations(engine: Engine) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(engine.to_string());
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn the_migration_folders_hold_the_same_names() {
    let names = |engine| migrations(engine).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert!(!names(Engine::Sqlite).is_empty());
    assert_eq!(names(Engine::Sqlite), names(Engine::Postgres));
}

/// The conditions of the `check`s of a text, in order.
fn checks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (from, word) in text.match_indices("check (") {
        let mut depth = 1;
        let condition = text[from + word.len()..].chars().take_while(|letter| {
            depth += i32::from(*letter == '(') - i32::from(*letter == ')');
            depth > 0
        });
        found.push(condition.collect());
    }
    found
}

#[test]
fn both_engines_check_the_same_conditions() {
    for ((name, sqlite), (_, postgres)) in migrations(Engine::Sqlite).into_iter().zip(migrations(Engine::Postgres)) {
        assert_eq!(checks(&sqlite), checks(&postgres), "{name}");
        assert!(name != "0001_spine.sql" || checks(&sqlite).len() >= 9);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_sqlite_is_strict() {
    let place = Place::start(Engine::Sqlite).await;
    let loose = "select name from pragma_table_list where schema = 'main' and type = 'table' and strict = 0
        and name not like 'sqlite\\_%' escape '\\' and name <> '_sqlx_migrations'";
    assert_eq!(place.read().await.fetch_all::<(String,)>(loose, ()).await.unwrap(), vec![]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrating_twice_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", directory.path().join("altyn.db").display());
    let name = format!("altyn_store_twice_{}", std::process::id());
    let postgres = altyn_store::Db::create_postgres_database(&crate::place::postgres_server(), &name).await.unwrap();
    for url in [sqlite, postgres] {
        let expected = u64::try_from(migrations(Engine::Sqlite).len()).unwrap();
        assert_eq!(altyn_store::Db::migrate(&url).await.unwrap(), expected);
        assert_eq!(altyn_store::Db::migrate(&url).await.unwrap(), 0);
    }
}
