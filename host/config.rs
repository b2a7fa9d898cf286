//! The one tree of settings.
//!
//! Layers, later ones win: defaults, a TOML file (`--config`, or `altyn.toml` in the working directory), environment
//! variables `ALTYN__SECTION__KEY`, flags. `ALTYN__SECTION__KEY_FILE` names a file that holds the value, so that a
//! secret stands in no process list. It refuses to know what the settings do. Invariant: an unknown key in any layer is
//! an error, and a [`Config`] that was loaded makes sense.

mod declared;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use altyn_runtime::RuntimeConfig;
use altyn_service::{
    egress::{Own, OwnError},
    settings::{RetentionSettings, Settings, TrustSettings},
    vault::{MasterKey, MasterKeys, SecretText},
};
use config::{Environment, File, FileFormat};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

pub use self::declared::{Declared, DeclaredBinding, DeclaredPlugin};

/// Prefix and separator of environment variables.
const PREFIX: &str = "ALTYN__";
/// The file that is read when none is named.
const DEFAULT_FILE: &str = "altyn.toml";

/// Everything an operator may set.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the data is.
    pub database: Database,
    /// The HTTP interface.
    pub http: Http,
    /// The way out, for payment gateways.
    pub egress: Outgoing,
    /// The plugin host.
    pub plugins: RuntimeConfig,
    /// Whose plugins are installed.
    pub trust: TrustSettings,
    /// The keys that secrets are kept under.
    pub secrets: Secrets,
    /// Bounds of billing runs.
    pub runs: Settings,
    /// The work that starts by itself.
    pub scheduler: Scheduler,
    /// How long answers, events and jobs are kept.
    pub retention: RetentionSettings,
    /// What is told on stderr.
    pub log: Log,
    /// Plugins that `altyn plugin apply` brings into force.
    pub declared: Declared,
}

/// Where the data is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub url: String,
    /// The most connections: of readers on SQLite, of everyone on PostgreSQL.
    pub connections: u32,
}

/// The keys that secrets are kept under, each as 64 hexadecimal digits or as a file that holds them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// The master key.
    pub master_key: Option<Hidden>,
    /// The file of the master key.
    pub master_key_file: Option<PathBuf>,
    /// The master key before it, while a rotation is under way.
    pub previous_master_key: Option<Hidden>,
    /// The file of the master key before it.
    pub previous_master_key_file: Option<PathBuf>,
}

impl Secrets {
    /// Reads the keys.
    pub fn master_keys(&self) -> Result<MasterKeys, SecretsError> {
        let key = |name: &'static str, given: &Option<Hidden>, file: &Option<PathBuf>| match (given, file) {
            (Some(_), Some(_)) => Err(SecretsError::Twice(name)),
            (Some(Hidden(text)), None) => {
                MasterKey::parse(text.reveal()).map(Some).map_err(|_| SecretsError::Malformed(name))
            }
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map(Zeroizing::new);
                let text = text.map_err(|source| SecretsError::File { path: path.clone(), source })?;
                MasterKey::parse(&text).map(Some).map_err(|_| SecretsError::Malformed(name))
            }
            (None, None) => Ok(None),
        };
        let current = key("secrets.master_key", &self.master_key, &self.master_key_file)?;
        let previous = key("secrets.previous_master_key", &self.previous_master_key, &self.previous_master_key_file)?;
        Ok(MasterKeys::new(current, previous))
    }
}

/// Why a master key cannot be used; the key is never named.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A value and a file.
    #[error("both {0} and {0}_file are set; keep one of them")]
    Twice(&'static str),
    /// No key.
    #[error("{0} is not 64 hexadecimal digits; make one with `altyn secret master-key --out FILE`")]
    Malformed(&'static str),
    /// No file.
    #[error("the master key's file {} cannot be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A setting that is never shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Hidden(SecretText);

impl Serialize for Hidden {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// The HTTP interface.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port.
    pub listen: String,
}

/// The way out, for payment gateways.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outgoing {
    /// Names and addresses of this installation, which no gateway speaks to; in a variable, separated by commas.
    #[serde(deserialize_with = "listed")]
    pub own: Vec<String>,
}

/// A list, or a text with commas.
fn listed<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Listed {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Listed::deserialize(deserializer)? {
        Listed::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        Listed::List(list) => list,
    })
}

/// The work that starts by itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scheduler {
    /// Whether `altyn serve` works on due jobs and starts daily runs.
    pub enabled: bool,
    /// How long it sleeps between two looks, milliseconds.
    pub tick_ms: u64,
}

/// What is told on stderr.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or filter directives such as `info,altyn=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: "sqlite:altyn.db".to_owned(), connections: 8 }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned() }
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self { enabled: true, tick_ms: 1_000 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info,sqlx=warn".to_owned(), format: LogFormat::Text }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A layer does not read, or has a key that does not exist.
    #[error("the configuration does not read: {0}")]
    Layer(String),
    /// A secret's file cannot be read.
    #[error("{variable} names {}, which cannot be read", .path.display())]
    Secret {
        /// The variable.
        variable: String,
        /// The file it names.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A value and a file for it were both given.
    #[error("both {0} and {0}_FILE are set; keep one of them")]
    Twice(String),
    /// Settings that make no sense, each with the key it stands under.
    #[error("the configuration has invalid settings")]
    Invalid(Vec<(&'static str, String)>),
}

/// What flags say; absent ones leave the layers below alone.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The file instead of `altyn.toml`; it must exist.
    pub file: Option<PathBuf>,
    /// `database.url`.
    pub database: Option<String>,
    /// `http.listen`.
    pub listen: Option<String>,
    /// `log.level`.
    pub log: Option<String>,
}

impl Config {
    /// Reads all layers and checks the result; `environment` is the process's, or a test's.
    pub fn load(flags: &Flags, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let file = flags.file.as_deref();
        let environment = with_secrets(environment)?;
        let environment = Environment::with_prefix("ALTYN")
            .prefix_separator("__")
            .separator("__")
            .ignore_empty(true)
            .source(Some(environment));
        let mut layers = config::Config::builder()
            .add_source(
                File::new(&file.unwrap_or(Path::new(DEFAULT_FILE)).to_string_lossy(), FileFormat::Toml)
                    .required(file.is_some()),
            )
            .add_source(environment);
        let given = [("database.url", &flags.database), ("http.listen", &flags.listen), ("log.level", &flags.log)];
        for (key, value) in given {
            if let Some(value) = value {
                layers = layers.set_override(key, value.as_str()).map_err(|error| layer(&error))?;
            }
        }
        let mut config: Self =
            layers.build().and_then(config::Config::try_deserialize).map_err(|error| layer(&error))?;
        if let Some(folder) = &config.plugins.cache_dir {
            config.plugins.cache_dir =
                Some(std::path::absolute(folder).map_err(|error| ConfigError::Layer(error.to_string()))?);
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut wrong = Vec::new();
        let mut must = |ok: bool, key: &'static str, what: &str| {
            if !ok {
                wrong.push((key, what.to_owned()));
            }
        };
        let known =
            ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| self.database.url.starts_with(scheme));
        must(known, "database.url", "must be sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE");
        must((1..=1_000).contains(&self.database.connections), "database.connections", "must be between 1 and 1000");
        must(
            self.http.listen.parse::<SocketAddr>().is_ok(),
            "http.listen",
            "must be ADDRESS:PORT, such as 127.0.0.1:8080",
        );
        let own = self.own().map_err(|error| error.to_string());
        must(own.is_ok(), "egress.own", own.as_ref().err().map_or("", String::as_str));
        must(self.plugins.instances > 0, "plugins.instances", "must be above zero");
        must(self.plugins.tick_ms > 0, "plugins.tick_ms", "must be above zero");
        must(self.plugins.recheck_percent <= 100, "plugins.recheck_percent", "must be between 0 and 100");
        must((1..=100_000).contains(&self.runs.run_chunk), "runs.run_chunk", "must be between 1 and 100000");
        must(self.runs.run_lease_ms >= 1_000, "runs.run_lease_ms", "must be at least 1000");
        must(self.scheduler.tick_ms > 0, "scheduler.tick_ms", "must be above zero");
        for (days, key) in [
            (self.retention.answers_days, "retention.answers_days"),
            (self.retention.events_days, "retention.events_days"),
            (self.retention.jobs_days, "retention.jobs_days"),
        ] {
            must((1..=3_650).contains(&days), key, "must be between 1 and 3650");
        }
        let filter = EnvFilter::builder().parse(&self.log.level).is_ok();
        must(filter, "log.level", "must be a level or filter directives, such as info or info,altyn=debug");
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(wrong)) }
    }

    /// What belongs to this installation: what is set, and the address that it listens on.
    pub fn own(&self) -> Result<Own, OwnError> {
        let mut own = Own::read(&self.egress.own)?;
        if let Ok(address) = self.http.listen.parse::<SocketAddr>() {
            own.add(address.ip());
        }
        Ok(own)
    }

    /// The settings with passwords hidden, fit to be shown.
    pub fn redacted(&self) -> Self {
        let mut shown = self.clone();
        shown.database.url = redacted(&self.database.url);
        shown
    }
}

fn layer(error: &config::ConfigError) -> ConfigError {
    ConfigError::Layer(error.to_string())
}

/// Our variables, with those that end in `_FILE` replaced by what the named files hold.
fn with_secrets(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<HashMap<String, String>, ConfigError> {
    let ours: HashMap<String, String> = environment
        .into_iter()
        .map(|(name, value)| (name.to_uppercase(), value))
        .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
        .collect();
    let mut plain = HashMap::with_capacity(ours.len());
    for (name, value) in &ours {
        let Some(target) = name.strip_suffix("_FILE") else {
            plain.insert(name.clone(), value.clone());
            continue;
        };
        if ours.contains_key(target) {
            return Err(ConfigError::Twice(target.to_owned()));
        }
        let path = PathBuf::from(value);
        let secret = std::fs::read_to_string(&path).map_err(|source| ConfigError::Secret {
            variable: name.clone(),
            path,
            source,
        })?;
        plain.insert(target.to_owned(), secret.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(plain)
}

/// A database url with its password replaced by `***`.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    // A password may hold an `@` by mistake, so the last one ends it.
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let tail = match tail.split_once('?') {
        Some((path, query)) => {
            let query: Vec<String> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some((name @ ("password" | "sslpassword"), _)) => format!("{name}=***"),
                    _ => pair.to_owned(),
                })
                .collect();
            format!("{path}?{}", query.join("&"))
        }
        None => tail.to_owned(),
    };
    format!("{scheme}://{authority}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: &Flags, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(flags, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn with_file(text: &str) -> (tempfile::TempDir, Flags) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("altyn.toml");
        std::fs::write(&path, text).unwrap();
        (folder, Flags { file: Some(path), ..Flags::default() })
    }

    #[test]
    fn later_layers_win() {
        let (_folder, mut flags) =
            with_file("[database]\nurl = \"sqlite:file.db\"\nconnections = 3\n[runs]\nrun_chunk = 7");
        let config = load(&flags, &[]).unwrap();
        assert_eq!(
            (config.database.url.as_str(), config.database.connections, config.runs.run_chunk),
            ("sqlite:file.db", 3, 7)
        );
        assert_eq!(config.http.listen, "127.0.0.1:8080");

        let environment = [("ALTYN__DATABASE__URL", "sqlite:env.db"), ("ALTYN__PLUGINS__LIMITS__TAX_RULE__FUEL", "9")];
        let config = load(&flags, &environment).unwrap();
        assert_eq!((config.database.url.as_str(), config.database.connections), ("sqlite:env.db", 3));
        assert_eq!(config.plugins.limits.tax_rule.fuel, 9);

        flags.database = Some("sqlite:flag.db".into());
        assert_eq!(load(&flags, &environment).unwrap().database.url, "sqlite:flag.db");
    }

    #[test]
    fn an_unknown_key_is_refused_in_every_layer() {
        let (_folder, flags) = with_file("[database]\nulr = \"sqlite:file.db\"");
        let error = load(&flags, &[]).unwrap_err().to_string();
        assert!(error.contains("ulr"), "{error}");

        let error = load(&Flags::default(), &[("ALTYN__HTTP__PORT", "80")]).unwrap_err().to_string();
        assert!(error.contains("port"), "{error}");
        let error = load(&Flags::default(), &[("ALTYN__SHOES", "1")]).unwrap_err().to_string();
        assert!(error.contains("shoes"), "{error}");
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        assert!(load(&Flags::default(), &[("ALTYN_TEST_POSTGRES_URL", "x"), ("PATH", "/bin")]).is_ok());
    }

    #[test]
    fn a_secret_may_stand_in_a_file_but_not_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        std::fs::write(&path, "postgres://app:secret@host/altyn\n").unwrap();
        let path = path.to_str().unwrap();
        let config = load(&Flags::default(), &[("ALTYN__DATABASE__URL_FILE", path)]).unwrap();
        assert_eq!(config.database.url, "postgres://app:secret@host/altyn");
        assert_eq!(config.redacted().database.url, "postgres://app:***@host/altyn");

        let twice = [("ALTYN__DATABASE__URL_FILE", path), ("ALTYN__DATABASE__URL", "sqlite:a.db")];
        assert!(matches!(load(&Flags::default(), &twice), Err(ConfigError::Twice(_))));
        let missing = [("ALTYN__DATABASE__URL_FILE", "/nowhere/at/all")];
        assert!(matches!(load(&Flags::default(), &missing), Err(ConfigError::Secret { .. })));
    }

    #[test]
    fn all_senseless_settings_are_named_at_once() {
        let environment = [
            ("ALTYN__DATABASE__URL", "mysql://root:pw@host/altyn"),
            ("ALTYN__HTTP__LISTEN", "everywhere"),
            ("ALTYN__EGRESS__OWN", "billing.example.com, https://billing.example.com"),
            ("ALTYN__RETENTION__ANSWERS_DAYS", "0"),
            ("ALTYN__LOG__LEVEL", "altyn=loud"),
        ];
        let Err(ConfigError::Invalid(wrong)) = load(&Flags::default(), &environment) else { panic!("accepted") };
        let keys: Vec<_> = wrong.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["database.url", "http.listen", "egress.own", "retention.answers_days", "log.level"]);
        assert!(wrong.iter().all(|(_, message)| !message.contains("pw")));
    }

    #[test]
    fn what_is_ours_is_a_list_in_a_file_and_a_text_in_a_variable() {
        let (_folder, flags) = with_file("[egress]\nown = [\"billing.example.com\", \"203.0.113.7\"]");
        let own = ["billing.example.com".to_owned(), "203.0.113.7".to_owned()];
        assert_eq!(load(&flags, &[]).unwrap().egress.own, own);
        let variable = [("ALTYN__EGRESS__OWN", "billing.example.com, 203.0.113.7")];
        assert_eq!(load(&Flags::default(), &variable).unwrap().egress.own, own);
        let listening = [("ALTYN__HTTP__LISTEN", "203.0.113.9:443")];
        let expected = Own::read(&["203.0.113.9".to_owned()]).unwrap();
        assert_eq!(load(&Flags::default(), &listening).unwrap().own().unwrap(), expected);
    }

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            (
                "postgres://app:s3:cr@et@host:5432/altyn?sslmode=require",
                "postgres://app:***@host:5432/altyn?sslmode=require",
            ),
            ("postgres://app@host/altyn?password=s3cret", "postgres://app@host/altyn?password=***"),
            ("postgres://host/altyn", "postgres://host/altyn"),
            ("sqlite:altyn.db", "sqlite:altyn.db"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
