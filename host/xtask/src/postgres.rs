//! A private PostgreSQL: made for one command, gone with it.
//!
//! Owns the life of one throwaway server: a fresh data directory that only its user can enter, a socket inside it, a
//! free port on the loopback. Refuses to touch a server that it did not start; `ALTYN_TEST_POSTGRES_URL` names one to
//! use as it is. Invariant: when the command ends, in whatever way, the server stops and its directory disappears.

mod installation;

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{DirBuilderExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use self::installation::Installation;
use crate::shell;

/// The variable that names a running server to use; the suite reads its database from it too.
pub const TEST_URL: &str = "ALTYN_TEST_POSTGRES_URL";

/// The superuser of a private server.
const OWNER: &str = "altyn_owner";

/// The database of a private server.
const DATABASE: &str = "altyn";

/// How long a server may take to accept connections.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// What a server is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The test suite.
    Test,
    /// Measurements: more memory, and a directory that is on a disk.
    Bench,
    /// One run of the demonstration.
    Demo,
    /// A developer's own experiments.
    Develop,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Bench => "bench",
            Self::Demo => "demo",
            Self::Develop => "develop",
        }
    }

    fn shared_buffers(self) -> &'static str {
        if self == Self::Bench { "1GB" } else { "256MB" }
    }

    /// Whether what is written waits for the disk. The suite makes hundreds of databases that are gone with it, kills hosts and
    /// never the server: what it finds does not depend on the disk, and how long it takes does.
    fn waits_for_disk(self) -> &'static str {
        if self == Self::Test { "off" } else { "on" }
    }
}

/// A running server: ours, or the one that the environment names.
#[derive(Debug)]
pub struct Cluster {
    /// Absent when the server is not ours and nothing but its address is wanted.
    installation: Option<Installation>,
    url: String,
    socket_url: String,
    /// Absent when the server is not ours.
    server: Option<Server>,
}

impl Cluster {
    /// The server that `ALTYN_TEST_POSTGRES_URL` names, else a private one from installed or unpacked programs.
    pub fn start(root: &Path, purpose: Purpose) -> anyhow::Result<Self> {
        match env::var(TEST_URL) {
            Ok(url) if !url.is_empty() => {
                eprintln!("postgres: using {TEST_URL}");
                // A remote server serves the suite on a machine that has no PostgreSQL at all.
                let installation = if purpose == Purpose::Bench { Some(Installation::find(root)?) } else { None };
                Ok(Self { installation, socket_url: url.clone(), url, server: None })
            }
            _ => Self::start_private(root, purpose),
        }
    }

    /// A private server, whatever the environment says.
    pub fn start_private(root: &Path, purpose: Purpose) -> anyhow::Result<Self> {
        let began = Instant::now();
        let installation = Installation::find(root)?;
        let (server, installation) = Server::start(installation, purpose)?;
        let port = server.port;
        let url = format!("postgres://{OWNER}@127.0.0.1:{port}/{DATABASE}");
        let socket = percent_encoded(&server.directory.to_string_lossy());
        let socket_url = format!("postgres://{OWNER}@localhost/{DATABASE}?host={socket}&port={port}");
        eprintln!(
            "postgres: {} from {}, ready in {} ms",
            installation.version,
            installation.programs.display(),
            began.elapsed().as_millis()
        );
        Ok(Self { installation: Some(installation), url, socket_url, server: Some(server) })
    }

    /// The address over TCP: `postgres://altyn_owner@127.0.0.1:PORT/altyn`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address over the socket, in the `?host=` form; the plain address when the server is not ours.
    pub fn socket_url(&self) -> &str {
        &self.socket_url
    }

    /// The directory that disappears with the server; none when the server is not ours.
    pub fn directory(&self) -> Option<&Path> {
        self.server.as_ref().map(|server| server.directory.as_path())
    }

    /// A program of the same installation, ready to be given arguments.
    pub fn program(&self, name: &str) -> anyhow::Result<Command> {
        let installation = self.installation.as_ref().context("only the address of this server is known")?;
        Ok(installation.command(name, None))
    }

    /// Makes an empty database, in place of one of that name, and answers its address over the same transport.
    pub fn create_database(&self, name: &str) -> anyhow::Result<String> {
        self.drop_database(name)?;
        self.statement(&format!("create database {name}"))?;
        Ok(with_database(&self.socket_url, name))
    }

    /// Removes a database when it is there.
    pub fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        self.statement(&format!("drop database if exists {name}"))
    }

    fn statement(&self, sql: &str) -> anyhow::Result<()> {
        let mut psql = self.program("psql")?;
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", sql]).arg(&self.socket_url);
        shell::capture(&mut psql).map(drop)
    }
}

/// The process side of a private server.
///
/// The server is not our child: `pg_ctl` puts it in a session of its own, where the terminal's Ctrl-C does not reach
/// it. Our child is a shell that waits on a pipe from us. The pipe ends when we drop it, when Ctrl-C or a signal ends us, even
/// when we are killed outright; then the shell stops the server and removes the directory.
#[derive(Debug)]
struct Server {
    directory: PathBuf,
    port: u16,
    keeper: Child,
}

impl Server {
    fn start(installation: Installation, purpose: Purpose) -> anyhow::Result<(Self, Installation)> {
        let user = User::for_server()?;
        let directory = private_directory(purpose, user.as_ref())?;
        let data = directory.join("data");
        let prepared = installation.reachable_by(user.as_ref(), &directory).and_then(|installation| {
            let keeper = keeper(&installation, &directory, &data, user.as_ref())?;
            Ok((installation, keeper))
        });
        // From here the directory is removed by the keeper, whichever step fails.
        let (installation, keeper) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                fs::remove_dir_all(&directory).ok();
                return Err(error);
            }
        };
        let mut server = Self { directory, port: 0, keeper };
        server.initialise(&installation, &data, purpose, user.as_ref())?;
        server.launch(&installation, &data, user.as_ref())?;
        Ok((server, installation))
    }

    fn initialise(
        &self,
        installation: &Installation,
        data: &Path,
        purpose: Purpose,
        user: Option<&User>,
    ) -> anyhow::Result<()> {
        let mut initdb = installation.command("initdb", user);
        initdb.current_dir(&self.directory).env("TZ", "UTC").arg("--pgdata").arg(data).args([
            "--username",
            OWNER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        shell::capture(&mut initdb)?;

        let settings = format!(
            "listen_addresses = '127.0.0.1'\n\
             unix_socket_directories = '{socket}'\n\
             max_connections = 100\n\
             max_locks_per_transaction = 512\n\
             shared_buffers = {buffers}\n\
             fsync = {waits}\n\
             full_page_writes = {waits}\n\
             synchronous_commit = on\n\
             wal_level = minimal\n\
             max_wal_senders = 0\n\
             max_wal_size = 8GB\n\
             checkpoint_timeout = 30min\n\
             jit = off\n\
             timezone = 'UTC'\n",
            socket = self.directory.display(),
            buffers = purpose.shared_buffers(),
            waits = purpose.waits_for_disk(),
        );
        // The file is included by the main one and belongs to the server's user like the rest of the directory.
        let file = data.join("postgresql.auto.conf");
        fs::write(&file, settings).with_context(|| format!("cannot write {}", file.display()))
    }

    fn launch(&mut self, installation: &Installation, data: &Path, user: Option<&User>) -> anyhow::Result<()> {
        // Another process may take the free port between our look and the server's; then another one is tried.
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.port = free_port()?;
            let mut start = installation.command("pg_ctl", user);
            start.current_dir(&self.directory).args(["start", "--silent", "--wait", "--timeout=20", "--pgdata"]);
            start.arg(data).arg("--log").arg(data.join("server.log"));
            start.args(["--options", &format!("-p {}", self.port)]);
            match shell::capture(&mut start) {
                Ok(_) => break,
                Err(error) => {
                    let log = fs::read_to_string(data.join("server.log")).unwrap_or_default();
                    if attempt < 3 && log.contains("Address already in use") {
                        fs::remove_file(data.join("server.log")).ok();
                        continue;
                    }
                    return Err(error.context(format!("the private server did not start; its log:\n{log}")));
                }
            }
        }
        self.wait_until_ready(installation)?;
        let mut create = installation.command("createdb", None);
        create.args(["--host=127.0.0.1", "--username", OWNER, "--maintenance-db=postgres"]);
        shell::capture(create.args(["--port", &self.port.to_string(), DATABASE])).map(drop)
    }

    fn wait_until_ready(&self, installation: &Installation) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let mut ready = installation.command("pg_isready", None);
            ready.args(["--host=127.0.0.1", "--dbname=postgres", "--username", OWNER]);
            let Err(error) = shell::capture(ready.args(["--port", &self.port.to_string()])) else { return Ok(()) };
            if began.elapsed() > READY_TIMEOUT {
                return Err(error.context("the private server accepts no connections"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            eprintln!("postgres: cannot tell whether the server below {} stopped: {error}", self.directory.display());
        }
    }
}

/// Starts the shell that outlives us by one clean-up.
fn keeper(installation: &Installation, directory: &Path, data: &Path, user: Option<&User>) -> anyhow::Result<Child> {
    const SCRIPT: &str = r#"
        trap '' INT TERM HUP
        read -r _
        "$@" --mode=fast || "$@" --mode=immediate
        rm -rf -- "$0"
    "#;
    let stop = installation.command("pg_ctl", user);
    let mut keeper = Command::new("sh");
    keeper.arg("-c").arg(SCRIPT).arg(directory);
    keeper.arg(stop.get_program()).args(stop.get_args()).args(["stop", "--silent", "--wait", "--pgdata"]).arg(data);
    for (name, value) in stop.get_envs() {
        match value {
            Some(value) => keeper.env(name, value),
            None => keeper.env_remove(name),
        };
    }
    // A group of its own: what ends our whole group must not end the one who cleans up after it.
    keeper.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    keeper.spawn().context("cannot start `sh`")
}

/// The user that a server runs as when we are root, because PostgreSQL refuses to be root.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Nobody else when we are an ordinary user; `postgres`, or `nobody` where there is none, when we are root.
    fn for_server() -> anyhow::Result<Option<Self>> {
        if id(&["-u"])? != 0 {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Ok(uid), Ok(gid)) = (id(&["-u", name]), id(&["-g", name])) {
                return Ok(Some(Self { uid, gid }));
            }
        }
        bail!("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as")
    }

    /// A program run as this user.
    fn command(self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.gid));
        command.arg("--clear-groups").arg("--").arg(program);
        command
    }
}

fn id(arguments: &[&str]) -> anyhow::Result<u32> {
    let answer = shell::capture(Command::new("id").args(arguments))?;
    answer.trim().parse().with_context(|| format!("`id` answered `{}`", answer.trim()))
}

/// A new directory with mode 0700 that belongs to the server's user.
///
/// Not below the repository: that may lie where the server's user cannot go, and its path may be too long for a socket.
fn private_directory(purpose: Purpose, user: Option<&User>) -> anyhow::Result<PathBuf> {
    let on_disk = PathBuf::from("/var/tmp");
    let parent = if purpose == Purpose::Bench && on_disk.is_dir() {
        // The other temporary folder is often memory, where a synchronous commit costs nothing and proves nothing.
        on_disk
    } else if user.is_some() {
        PathBuf::from("/tmp")
    } else {
        env::temp_dir()
    };
    for attempt in 0..1000 {
        let directory = parent.join(format!("altyn-{}-{}-{attempt}", purpose.name(), process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {
                if let Some(user) = user {
                    chown(&directory, Some(user.uid), Some(user.gid))
                        .with_context(|| format!("cannot give {} to the server's user", directory.display()))?;
                }
                return Ok(directory);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", directory.display())),
        }
    }
    bail!("{} is full of directories of earlier servers; remove altyn-* there", parent.display())
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on the loopback")?;
    Ok(listener.local_addr()?.port())
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend([byte >> 4, byte & 15].map(|half| char::from(b"0123456789ABCDEF"[usize::from(half)])));
        }
    }
    encoded
}

/// The same address with another database.
fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let start = address.find("://").map_or(0, |scheme| scheme + 3);
    let server = address[start..].find('/').map_or(address, |slash| &address[..start + slash]);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{server}/{database}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(cluster: &Cluster, url: &str, sql: &str) -> String {
        let mut psql = cluster.program("psql").unwrap();
        shell::capture(psql.args(["-X", "-A", "-t", "-c", sql, url])).unwrap().trim().to_owned()
    }

    #[test]
    fn only_the_suites_server_does_not_wait_for_the_disk() {
        let waits = [Purpose::Test, Purpose::Bench, Purpose::Demo, Purpose::Develop].map(Purpose::waits_for_disk);
        assert_eq!(waits, ["off", "on", "on", "on"]);
    }

    #[test]
    fn a_private_server_answers_over_both_transports_and_leaves_nothing_behind() {
        let cluster = Cluster::start_private(&crate::root(), Purpose::Test).unwrap();
        for url in [cluster.url(), cluster.socket_url()] {
            assert_eq!(ask(&cluster, url, "select current_user || '@' || current_database()"), "altyn_owner@altyn");
        }
        assert_eq!(ask(&cluster, cluster.url(), "select inet_client_addr()"), "127.0.0.1");
        assert_eq!(
            ask(&cluster, cluster.socket_url(), "select coalesce(inet_client_addr()::text, 'socket')"),
            "socket"
        );
        let settings = "select string_agg(setting, ' ' order by name) from pg_settings \
                        where name in ('fsync', 'listen_addresses', 'synchronous_commit', 'wal_level')";
        assert_eq!(ask(&cluster, cluster.url(), settings), "off 127.0.0.1 on minimal");

        let other = cluster.create_database("other").unwrap();
        assert_eq!(ask(&cluster, &other, "select current_database()"), "other");
        cluster.drop_database("other").unwrap();

        let (directory, url) = (cluster.directory().unwrap().to_path_buf(), cluster.url().to_owned());
        assert!(directory.join("data").join("postmaster.pid").exists());
        let mut psql = cluster.program("psql").unwrap();
        drop(cluster);
        assert!(!directory.exists());
        assert!(shell::capture(psql.args(["-c", "select 1", &url])).is_err());
    }

    #[test]
    fn a_directory_is_private_and_never_shared_by_two_servers() {
        use std::os::unix::fs::PermissionsExt as _;
        let first = private_directory(Purpose::Demo, None).unwrap();
        let second = private_directory(Purpose::Demo, None).unwrap();
        assert_ne!(first, second);
        assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_dir(first).unwrap();
        fs::remove_dir(second).unwrap();
    }

    #[test]
    fn another_database_keeps_the_rest_of_the_address() {
        assert_eq!(with_database("postgres://a@127.0.0.1:5433/altyn", "x"), "postgres://a@127.0.0.1:5433/x");
        assert_eq!(
            with_database("postgres://a@h/altyn?host=%2Ftmp&port=1", "x"),
            "postgres://a@h/x?host=%2Ftmp&port=1"
        );
        assert_eq!(with_database("postgres://a@h", "x"), "postgres://a@h/x");
    }

    #[test]
    fn a_path_is_encoded_for_a_query() {
        assert_eq!(percent_encoded("/tmp/a b-1"), "%2Ftmp%2Fa%20b-1");
    }
}
