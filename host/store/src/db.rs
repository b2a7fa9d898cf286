//! The only file that knows there are two engines.
//!
//! Owns connecting, migrating, transactions and the way a statement, its parameters and a thousand rows reach SQLite or
//! PostgreSQL. It refuses to know any table: statements live beside the records they read, written once with `$1…`.
//!
//! Concurrency: SQLite has one writing connection whose transactions begin immediate, so writers queue and never upgrade a
//! read lock; readers have their own pool and see the last commit. PostgreSQL runs read committed: every rule that needs
//! more takes a row lock or compares a version, in the order documented where it is done.
//! On PostgreSQL each transaction names its tenant before anything else and row-level security hides the others.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use chrono::{Datelike as _, NaiveDate};
use sqlx::{
    Arguments as _, AssertSqlSafe, Connection as _, Encode, Executor, FromRow, Postgres, Sqlite, Type,
    error::BoxDynError,
    migrate::Migrator,
    postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow},
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
        SqliteSynchronous,
    },
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    fuse::Fuse,
    rows::{Column, Rows},
};

/// How long a connection to PostgreSQL may have lain idle and still be used without asking whether it is alive.
const TRUSTED: Duration = Duration::from_secs(1);
/// The oldest SQLite without the WAL-reset corruption.
const SQLITE_OLDEST: i32 = 3_051_003;
static MIGRATIONS_SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static MIGRATIONS_POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A value that both engines can store.
pub trait Value:
    for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> + Send
{
}
impl<T> Value for T where
    T: for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> + Send
{
}

/// A row type that both engines can read.
pub trait Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Record for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// The parameters of a statement, in the order of `$1…`: a tuple of values.
pub trait Params: Send {
    /// How many parameters there are.
    const LEN: usize;
    /// Encodes for SQLite, behind the arguments that are there.
    fn sqlite_into(self, arguments: &mut SqliteArguments) -> std::result::Result<(), BoxDynError>;
    /// Encodes for PostgreSQL.
    fn postgres(self) -> std::result::Result<PgArguments, BoxDynError>;
}

macro_rules! params {
    ($($name:ident),*) => {
        impl<$($name: Value),*> Params for ($($name,)*) {
            const LEN: usize = [$(stringify!($name)),*].len();
            #[expect(non_snake_case, reason = "the macro names a value after its type")]
            fn sqlite_into(self, arguments: &mut SqliteArguments) -> std::result::Result<(), BoxDynError> {
                let ($($name,)*) = self;
                $(arguments.add($name)?;)*
                Ok(())
            }
            #[expect(non_snake_case, reason = "the macro names a value after its type")]
            fn postgres(self) -> std::result::Result<PgArguments, BoxDynError> {
                let ($($name,)*) = self;
                let mut arguments = PgArguments::default();
                $(arguments.add($name)?;)*
                Ok(arguments)
            }
        }
    };
}
impl Params for () {
    const LEN: usize = 0;
    fn sqlite_into(self, _: &mut SqliteArguments) -> std::result::Result<(), BoxDynError> {
        Ok(())
    }
    fn postgres(self) -> std::result::Result<PgArguments, BoxDynError> {
        Ok(PgArguments::default())
    }
}
params!(A);
params!(A, B);
params!(A, B, C);
params!(A, B, C, D);
params!(A, B, C, D, E);
params!(A, B, C, D, E, F);
params!(A, B, C, D, E, F, G);
params!(A, B, C, D, E, F, G, H);
params!(A, B, C, D, E, F, G, H, I);
params!(A, B, C, D, E, F, G, H, I, J);
params!(A, B, C, D, E, F, G, H, I, J, K);
params!(A, B, C, D, E, F, G, H, I, J, K, L);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U);

/// A statement; most read the same on both engines.
#[derive(Clone, Copy)]
pub struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
}

impl Sql {
    /// A statement that truly differs between the engines.
    pub const fn each(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// Whose rows a transaction may touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Platform tables only (tenants, keys, components).
    Platform,
    /// Platform tables and the rows of one tenant.
    Tenant(Uuid),
}

/// Which engine a database runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// One file, one writer.
    Sqlite,
    /// A server, several hosts.
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// A connected database.
#[derive(Clone)]
pub struct Db {
    pools: Pools,
    fuse: Option<Arc<Fuse>>,
}

/// The connections of an engine.
#[derive(Clone)]
enum Pools {
    /// One file: a single writing connection and a pool of readers.
    Sqlite {
        /// The writer.
        write: SqlitePool,
        /// The readers.
        read: SqlitePool,
    },
    /// A server.
    Postgres(PgPool),
}

/// An open transaction; dropping it rolls back.
pub enum Tx {
    /// On SQLite.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// On PostgreSQL.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Db {
    /// Connects to `sqlite:path`, `sqlite::memory:` is refused, or to `postgres://…`; does not migrate.
    ///
    /// `connections` bounds the readers on SQLite and the pool on PostgreSQL.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains(":memory:") {
                return Err(StoreError::Url("give SQLite a file: sqlite:altyn.db".into()));
            }
            Self::connect_sqlite(path, connections).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::connect_postgres(url, connections).await
        } else {
            Err(StoreError::Url(format!("{url} is neither sqlite:FILE nor postgres://USER@HOST/DATABASE")))
        }
    }

    fn of(pools: Pools) -> Self {
        Self { pools, fuse: None }
    }

    /// The same connections for a host that is gone as soon as `fuse` is burnt.
    pub fn with_fuse(&self, fuse: Arc<Fuse>) -> Self {
        Self { pools: self.pools.clone(), fuse: Some(fuse) }
    }

    async fn connect_sqlite(path: &str, connections: u32) -> Result<Self> {
        let version = SqliteConnectOptions::from_str("sqlite::memory:")?;
        let mut probe = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&version).await?;
        let (text,): (String,) = sqlx::query_as("select sqlite_version()").fetch_one(&mut probe).await?;
        refuse_old_sqlite(&text)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Without it `insert or replace` deletes rows behind the back of the append-only triggers.
            .pragma("recursive_triggers", "on")
            .busy_timeout(Duration::from_secs(30))
            .statement_cache_capacity(400)
            .row_buffer_size(1_000)
            .pragma("cache_size", "-65536")
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", "8000")
            .pragma("journal_size_limit", "67108864")
            .page_size(8192);
        // A file does not hang up: nothing to ask of a connection before it is used.
        let write = SqlitePoolOptions::new()
            .test_before_acquire(false)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_mins(1))
            .connect_with(options.clone().command_buffer_size(64))
            .await?;
        let read = SqlitePoolOptions::new()
            .test_before_acquire(false)
            .max_connections(connections.max(2))
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.pragma("query_only", "on").pragma("cache_size", "-16384"))
            .await?;
        Ok(Self::of(Pools::Sqlite { write, read }))
    }

    async fn connect_postgres(url: &str, connections: u32) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)?.application_name("altyn").statement_cache_capacity(400);
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(4))
            .acquire_timeout(Duration::from_secs(30))
            // A connection that just served somebody is alive, and a question to the server costs as much as a statement.
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for >= TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // The role exists once the database is migrated; before that only `migrate` has business here.
                    let (exists,): (bool,) =
                        sqlx::query_as("select exists (select from pg_roles where rolname = 'altyn_app')")
                            .fetch_one(&mut *connection)
                            .await?;
                    if exists {
                        connection.execute("set role altyn_app").await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self::of(Pools::Postgres(pool)))
    }

    /// Brings the schema of `url` up to date and refuses a newer one; answers how many migrations ran.
    pub async fn migrate(url: &str) -> Result<u64> {
        let db = Self::connect(url, 2).await?;
        let applied = match &db.pools {
            Pools::Sqlite { write, .. } => {
                let before = applied_sqlite(write).await;
                MIGRATIONS_SQLITE.run(write).await?;
                applied_sqlite(write).await - before
            }
            Pools::Postgres(_) => {
                // The owner migrates: a plain connection that never took the application's role.
                let options = PgConnectOptions::from_str(url)?.application_name("altyn migrate");
                let owner = PgPoolOptions::new().max_connections(2).connect_with(options).await?;
                let before = applied_postgres(&owner).await;
                MIGRATIONS_POSTGRES.run(&owner).await?;
                let applied = applied_postgres(&owner).await - before;
                owner.close().await;
                applied
            }
        };
        db.close().await;
        Ok(u64::try_from(applied).unwrap_or(0))
    }

    /// Creates an empty database beside the one `server` names, replacing an older one; answers its URL.
    ///
    /// For measurements and tests: `name` may hold letters, digits and underscores only.
    pub async fn create_postgres_database(server: &str, name: &str) -> Result<String> {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(StoreError::Url(format!("{name} is not a plain database name")));
        }
        let options = PgConnectOptions::from_str(server)?;
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
        pool.execute(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).await?;
        pool.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        pool.close().await;
        let (head, query) = server.split_once('?').map_or((server, None), |(head, query)| (head, Some(query)));
        let (base, _) = head.rsplit_once('/').unwrap_or((head, ""));
        Ok(query.map_or_else(|| format!("{base}/{name}"), |query| format!("{base}/{name}?{query}")))
    }

    /// Drops the database that `url` names, whoever is connected to it; `server` names another one on the same server.
    ///
    /// For measurements and tests, as [`Db::create_postgres_database`].
    pub async fn drop_postgres_database(server: &str, url: &str) -> Result<()> {
        let name = PgConnectOptions::from_str(url)?.get_database().unwrap_or_default().to_owned();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(StoreError::Url(format!("{name} is not a plain database name")));
        }
        let options = PgConnectOptions::from_str(server)?;
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
        pool.execute(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).await?;
        pool.close().await;
        Ok(())
    }

    /// Refreshes the planner's statistics, after many rows came at once.
    pub async fn optimize(&self) -> Result<()> {
        match &self.pools {
            Pools::Sqlite { write, .. } => write.execute("pragma optimize").await.map(|_| ())?,
            // The application's role owns no table and may not analyze them: for this statement the login's own role does.
            // The transaction ends that role whatever happens: a caller that stops waiting must not leave a connection
            // in the pool that sees every tenant.
            Pools::Postgres(pool) => {
                let mut tx = begun(pool, AssertSqlSafe("begin; set local role none".to_owned())).await?;
                tx.execute("analyze").await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Which engine this is.
    pub fn engine(&self) -> Engine {
        match &self.pools {
            Pools::Sqlite { .. } => Engine::Sqlite,
            Pools::Postgres(_) => Engine::Postgres,
        }
    }

    /// Begins a transaction that may write.
    pub async fn write(&self, scope: Scope) -> Result<Tx> {
        self.fuse.as_ref().map_or(Ok(()), |fuse| fuse.write())?;
        Ok(match &self.pools {
            Pools::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("begin immediate").await?),
            Pools::Postgres(pool) => Tx::Postgres(begun(pool, postgres_begin("begin", scope)).await?),
        })
    }

    /// Begins a transaction that only reads: one consistent snapshot.
    pub async fn read(&self, scope: Scope) -> Result<Tx> {
        self.fuse.as_ref().map_or(Ok(()), |fuse| fuse.read())?;
        Ok(match &self.pools {
            Pools::Sqlite { read, .. } => Tx::Sqlite(read.begin_with("begin deferred").await?),
            Pools::Postgres(pool) => Tx::Postgres(
                begun(pool, postgres_begin("begin isolation level repeatable read read only", scope)).await?,
            ),
        })
    }

    /// The number of the last migration that the database has, and of the last that this release knows.
    pub async fn schema(&self) -> Result<(i64, i64)> {
        let migrator = match &self.pools {
            Pools::Sqlite { .. } => &MIGRATIONS_SQLITE,
            Pools::Postgres(_) => &MIGRATIONS_POSTGRES,
        };
        let known = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
        let sql = "select cast(coalesce(max(version), 0) as bigint) from _sqlx_migrations where success";
        let (applied,): (i64,) = self.read(Scope::Platform).await?.fetch_one(sql, ()).await?;
        Ok((applied, known))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.read(Scope::Platform).await?.fetch_one::<(i64,)>("select cast(1 as bigint)", ()).await.map(|_| ())
    }

    /// Closes every connection, waiting for work in progress.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

/// Begins a transaction in a task of its own: a caller that stops waiting half-way would give the connection back inside
/// a transaction that the pool knows nothing of, with its tenant and its role for whoever comes next.
async fn begun(pool: &PgPool, begin: AssertSqlSafe<String>) -> Result<sqlx::Transaction<'static, Postgres>> {
    let pool = pool.clone();
    let task = tokio::spawn(async move { pool.begin_with(begin).await });
    Ok(task.await.map_err(|_| sqlx::Error::WorkerCrashed)??)
}

/// `begin` and the tenant in one round trip; a [`Uuid`] prints as hexadecimal digits and hyphens only.
fn postgres_begin(begin: &str, scope: Scope) -> AssertSqlSafe<String> {
    AssertSqlSafe(match scope {
        Scope::Platform => begin.to_owned(),
        Scope::Tenant(id) => format!("{begin}; set local app.tenant = '{id}'"),
    })
}

async fn applied_sqlite(pool: &SqlitePool) -> i64 {
    sqlx::query_as::<_, (i64,)>("select count(*) from _sqlx_migrations").fetch_one(pool).await.map_or(0, |row| row.0)
}

async fn applied_postgres(pool: &PgPool) -> i64 {
    sqlx::query_as::<_, (i64,)>("select count(*) from _sqlx_migrations").fetch_one(pool).await.map_or(0, |row| row.0)
}

fn refuse_old_sqlite(version: &str) -> Result<()> {
    let mut parts = version.split('.').map(|part| part.parse::<i32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let number = next() * 1_000_000 + next() * 1_000 + next();
    if number < SQLITE_OLDEST {
        return Err(StoreError::OldSqlite(version.to_owned()));
    }
    Ok(())
}

impl Tx {
    /// Runs a statement and answers how many rows it changed.
    pub async fn execute(&mut self, sql: impl Into<Sql>, params: impl Params) -> Result<u64> {
        let sql = sql.into();
        Ok(match self {
            Self::Sqlite(tx) => sqlx::query_with(sql.sqlite, sqlite(params)?).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => {
                sqlx::query_with(sql.postgres, postgres(params)?).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// All rows of a statement, which carries its own limit.
    pub async fn fetch_all<T: Record>(&mut self, sql: impl Into<Sql>, params: impl Params) -> Result<Vec<T>> {
        let sql = sql.into();
        Ok(match self {
            Self::Sqlite(tx) => sqlx::query_as_with(sql.sqlite, sqlite(params)?).fetch_all(&mut **tx).await?,
            Self::Postgres(tx) => sqlx::query_as_with(sql.postgres, postgres(params)?).fetch_all(&mut **tx).await?,
        })
    }

    /// The first row of a statement, if it has one.
    pub async fn fetch_optional<T: Record>(&mut self, sql: impl Into<Sql>, params: impl Params) -> Result<Option<T>> {
        let sql = sql.into();
        Ok(match self {
            Self::Sqlite(tx) => sqlx::query_as_with(sql.sqlite, sqlite(params)?).fetch_optional(&mut **tx).await?,
            Self::Postgres(tx) => {
                sqlx::query_as_with(sql.postgres, postgres(params)?).fetch_optional(&mut **tx).await?
            }
        })
    }

    /// The one row of a statement.
    pub async fn fetch_one<T: Record>(&mut self, sql: impl Into<Sql>, params: impl Params) -> Result<T> {
        self.fetch_optional(sql, params).await?.ok_or(StoreError::NotFound)
    }

    /// Runs a set-based statement over many rows and answers how many rows it changed.
    ///
    /// The text names the rows `{rows}`, a relation `v` with the columns of `rows`, after the constants `$1…`:
    /// `insert into t (tenant_id, id) select $1, v.id from {rows}`. `{key}` before a column of `v` keeps SQLite from building
    /// an index over the rows and going over the whole other table with it: `where t.id = {key}v.id` goes by the ids, however
    /// long the table is. PostgreSQL receives one array a column; SQLite
    /// receives `values` lists of a few fixed lengths, so that their statements stay prepared.
    pub async fn execute_rows(
        &mut self,
        sql: &'static str,
        constants: impl Params + Clone,
        rows: &Rows,
    ) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        match self {
            Self::Sqlite(tx) => {
                let mut changed = 0;
                let mut from = 0;
                for size in chunk_sizes(rows.len(), rows.width(), count_params(&constants)) {
                    let text = sqlite_rows_text(sql, rows, count_params(&constants), size);
                    let arguments = bind_sqlite(rows, from, size, constants.clone())?;
                    changed +=
                        sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut **tx).await?.rows_affected();
                    from += size;
                }
                Ok(changed)
            }
            Self::Postgres(tx) => {
                let text = postgres_rows_text(sql, rows, count_params(&constants));
                let mut arguments = postgres(constants)?;
                for (_, column) in rows.columns() {
                    column.postgres(&mut arguments).map_err(encode)?;
                }
                Ok(sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut **tx).await?.rows_affected())
            }
        }
    }

    /// All rows of a set-based query over many rows; `{rows}` as in [`Self::execute_rows`].
    pub async fn fetch_rows<T: Record>(
        &mut self,
        sql: impl Into<Sql>,
        constants: impl Params + Clone,
        rows: &Rows,
    ) -> Result<Vec<T>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let sql = sql.into();
        match self {
            Self::Sqlite(tx) => {
                let mut found = Vec::new();
                let mut from = 0;
                for size in chunk_sizes(rows.len(), rows.width(), count_params(&constants)) {
                    let text = sqlite_rows_text(sql.sqlite, rows, count_params(&constants), size);
                    let arguments = bind_sqlite(rows, from, size, constants.clone())?;
                    found.extend(
                        sqlx::query_as_with::<_, T, _>(AssertSqlSafe(text), arguments).fetch_all(&mut **tx).await?,
                    );
                    from += size;
                }
                Ok(found)
            }
            Self::Postgres(tx) => {
                let text = postgres_rows_text(sql.postgres, rows, count_params(&constants));
                let mut arguments = postgres(constants)?;
                for (_, column) in rows.columns() {
                    column.postgres(&mut arguments).map_err(encode)?;
                }
                Ok(sqlx::query_as_with(AssertSqlSafe(text), arguments).fetch_all(&mut **tx).await?)
            }
        }
    }

    /// Makes the planner keep to indexes for the rest of this transaction; SQLite always does.
    ///
    /// PostgreSQL guesses the length of an array parameter, and a wrong guess scans a table for a thousand keys; and it
    /// keeps a plan made while a table was empty.
    pub async fn prefer_indexes(&mut self) -> Result<()> {
        if let Self::Postgres(tx) = self {
            (&mut **tx)
                .execute(
                    "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off; \
                     set local plan_cache_mode = force_custom_plan",
                )
                .await?;
        }
        Ok(())
    }

    /// Gives up a statement that waits longer for a lock, and the whole transaction when this host asks nothing in it for
    /// longer: one that is frozen must not keep its rows from those that go on. SQLite takes its one lock when a
    /// transaction begins, and has its hosts on one machine.
    pub async fn bound_waits(&mut self, lock_ms: u32, silence_ms: u32) -> Result<()> {
        if let Self::Postgres(tx) = self {
            let bounds = format!(
                "set local lock_timeout = {lock_ms}; set local idle_in_transaction_session_timeout = {silence_ms}"
            );
            (&mut **tx).execute(AssertSqlSafe(bounds)).await?;
        }
        Ok(())
    }

    /// Moves the transaction to the rows of another tenant, for a change that reaches the tenants below; whoever calls it
    /// has checked that the tenant lies in the acting one's subtree. SQLite has no such border.
    pub async fn enter(&mut self, tenant: Uuid) -> Result<()> {
        if let Self::Postgres(tx) = self {
            (&mut **tx).execute(AssertSqlSafe(format!("set local app.tenant = '{tenant}'"))).await?;
        }
        Ok(())
    }

    /// Makes the transaction's effects durable.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Undoes the transaction now.
    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

fn count_params<P: Params>(_: &P) -> usize {
    P::LEN
}

fn bind_sqlite(rows: &Rows, from: usize, size: usize, constants: impl Params) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(size * rows.width(), 0);
    for row in from..from + size {
        for (_, column) in rows.columns() {
            column.sqlite(row, &mut arguments).map_err(encode)?;
        }
    }
    constants.sqlite_into(&mut arguments).map_err(encode)?;
    Ok(arguments)
}

fn encode(error: BoxDynError) -> StoreError {
    StoreError::Database(sqlx::Error::Encode(error))
}

fn sqlite(params: impl Params) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    params.sqlite_into(&mut arguments).map_err(encode)?;
    Ok(arguments)
}

fn postgres(params: impl Params) -> Result<PgArguments> {
    params.postgres().map_err(encode)
}

/// Splits `rows` into at most a dozen distinct lengths: full chunks, then falling powers of two.
fn chunk_sizes(rows: usize, width: usize, constants: usize) -> Vec<usize> {
    // SQLite takes 32,766 parameters; a chunk of 256 rows already amortises the hand-over to its thread.
    let mut size = 256_usize.min(((32_000 - constants) / width.max(1)).max(1).next_power_of_two() / 2).max(1);
    let mut sizes = Vec::new();
    let mut left = rows;
    while left > 0 {
        while size > left {
            size /= 2;
        }
        sizes.push(size);
        left -= size;
    }
    sizes
}

/// The text for SQLite: values are anonymous parameters, which SQLite and sqlx find by position; a name would be looked up
/// in a list for each of them. Constants keep a name, numbered behind the values.
fn sqlite_rows_text(sql: &str, rows: &Rows, constants: usize, size: usize) -> String {
    use std::fmt::Write as _;
    let width = rows.width();
    let mut relation = String::with_capacity(64 + size * (width * 2 + 3));
    relation.push_str("(select ");
    for (index, (name, _)) in rows.columns().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(relation, "{comma}column{} as {name}", index + 1);
    }
    relation.push_str(" from (values ");
    for row in 0..size {
        relation.push_str(if row == 0 { "(?" } else { ",(?" });
        for _ in 1..width {
            relation.push_str(",?");
        }
        relation.push(')');
    }
    // The limit tells the planner how few rows these are: it would scan the other table to build a filter for a million.
    let _ = write!(relation, ") limit {size}) as v");
    let mut text = String::with_capacity(sql.len() + relation.len());
    for (place, part) in sql.split('$').enumerate() {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        match part[..digits].parse::<usize>() {
            Ok(constant) if place > 0 => {
                debug_assert!(constant <= constants, "the statement names a constant it is not given");
                let _ = write!(text, "${}{}", size * width + constant, &part[digits..]);
            }
            _ => text.push_str(part),
        }
    }
    text.replacen("{rows}", &relation, 1).replace("{key}", "+")
}

fn postgres_rows_text(sql: &str, rows: &Rows, constants: usize) -> String {
    use std::fmt::Write as _;
    let mut relation = String::from("unnest(");
    for (index, (_, column)) in rows.columns().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(relation, "{comma}${}::{}[]", constants + index + 1, column.postgres_type());
    }
    relation.push_str(") as v (");
    for (index, (name, _)) in rows.columns().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(relation, "{comma}{name}");
    }
    relation.push(')');
    sql.replacen("{rows}", &relation, 1).replace("{key}", "")
}

impl Column {
    fn postgres_type(&self) -> &'static str {
        match self {
            Self::Id(_) | Self::IdOption(_) => "uuid",
            Self::I32(_) | Self::I32Option(_) => "int",
            Self::I64(_) | Self::I64Option(_) => "bigint",
            Self::Text(_) | Self::TextOption(_) => "text",
            Self::Date(_) | Self::DateOption(_) => "date",
            Self::Bytes(_) | Self::BytesOption(_) => "bytea",
        }
    }

    fn postgres(&self, arguments: &mut PgArguments) -> std::result::Result<(), BoxDynError> {
        match self {
            Self::Id(values) => arguments.add(values),
            Self::IdOption(values) => arguments.add(values),
            Self::I32(values) => arguments.add(values),
            Self::I32Option(values) => arguments.add(values),
            Self::I64(values) => arguments.add(values),
            Self::I64Option(values) => arguments.add(values),
            Self::Text(values) => arguments.add(values),
            Self::TextOption(values) => arguments.add(values),
            Self::Date(values) => arguments.add(values),
            Self::DateOption(values) => arguments.add(values),
            Self::Bytes(values) => arguments.add(values),
            Self::BytesOption(values) => arguments.add(values),
        }
    }

    fn sqlite(&self, row: usize, arguments: &mut SqliteArguments) -> std::result::Result<(), BoxDynError> {
        match self {
            Self::Id(values) => arguments.add(values[row]),
            Self::IdOption(values) => arguments.add(values[row]),
            Self::I32(values) => arguments.add(values[row]),
            Self::I32Option(values) => arguments.add(values[row]),
            Self::I64(values) => arguments.add(values[row]),
            Self::I64Option(values) => arguments.add(values[row]),
            Self::Text(values) => arguments.add(values[row].clone()),
            Self::TextOption(values) => arguments.add(values[row].clone()),
            Self::Date(values) => arguments.add(date_text(values[row])),
            Self::DateOption(values) => arguments.add(values[row].map(date_text)),
            Self::Bytes(values) => arguments.add(values[row].clone()),
            Self::BytesOption(values) => arguments.add(values[row].clone()),
        }
    }
}

/// A date as SQLite keeps it, `YYYY-MM-DD`; the driver's own formatting is a tenth of the cost of a bulk write.
fn date_text(date: NaiveDate) -> String {
    let Ok(year @ 0..=9999) = u32::try_from(date.year()) else { return date.format("%F").to_string() };
    let digit = |number: u32, place: u32| char::from_digit(number / place % 10, 10).unwrap_or('0');
    let (month, day) = (date.month(), date.day());
    [
        digit(year, 1000),
        digit(year, 100),
        digit(year, 10),
        digit(year, 1),
        '-',
        digit(month, 10),
        digit(month, 1),
        '-',
        digit(day, 10),
        digit(day, 1),
    ]
    .iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_reads_as_the_driver_writes_it() {
        for (year, month, day) in [(1, 1, 1), (987, 12, 31), (2026, 11, 21), (9999, 10, 9)] {
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            assert_eq!(date_text(date), date.format("%F").to_string());
        }
    }

    #[test]
    fn a_sqlite_with_the_wal_reset_corruption_is_refused() {
        assert!(matches!(refuse_old_sqlite("3.46.0"), Err(StoreError::OldSqlite(_))));
        assert!(matches!(refuse_old_sqlite("3.51.2"), Err(StoreError::OldSqlite(_))));
        assert!(refuse_old_sqlite("3.51.3").is_ok());
        assert!(refuse_old_sqlite("4.0.0").is_ok());
    }

    #[test]
    fn chunks_cover_all_rows_with_few_distinct_lengths() {
        for rows in [1, 2, 3, 255, 256, 257, 1000, 4097] {
            for width in [1, 8, 20, 40, 400] {
                let sizes = chunk_sizes(rows, width, 4);
                assert_eq!(sizes.iter().sum::<usize>(), rows);
                assert!(sizes.iter().all(|size| size * width + 4 <= 32_766), "{rows} rows of {width}");
                assert!(sizes.iter().collect::<std::collections::BTreeSet<_>>().len() <= 9);
            }
        }
    }
}
