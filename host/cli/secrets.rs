//! `altyn secret`: what a tenant keeps for its plugins. A value comes by stdin or from a file, never as an argument.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use altyn_service::{
    ports::{Ids as _, SystemIds},
    secrets::SetSecret,
    vault::{MasterKey, SecretText},
};
use clap::Subcommand;
use zeroize::Zeroizing;

use super::{
    exit::Failure,
    publishing::write_new,
    session::{Global, PageArgs, Session},
};

const SECRET: &[&str] = &["name", "hosts", "version", "updated_at", "updated_by"];
const ROTATED: &[&str] = &["tenants", "data_keys", "secrets"];
const MASTER_KEY: &[&str] = &["id", "file"];

/// Verbs of `altyn secret`.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keep a secret, or replace it; the value comes by stdin
    Set {
        /// Its name
        name: String,
        /// A host it may be sent to; repeat for more
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// Take the value from this file instead of stdin; the end of its last line is cut off
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List secrets, without their values
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Change the tenant's data key, or with --master wrap all data keys with the configured master key
    Rotate {
        /// Wrap the data keys of all tenants with the configured master key and retire the one before it
        #[arg(long)]
        master: bool,
    },
    /// Delete a secret
    Delete {
        /// Its name
        name: String,
    },
    /// Make a master key; needs no database
    MasterKey {
        /// Where it goes, readable by you alone. Never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl SecretCommand {
    /// The command that needs no database, run; or the command.
    pub fn without_database(self, global: &Global) -> Result<Option<Self>, Failure> {
        let Self::MasterKey { out } = self else { return Ok(Some(self)) };
        let key = MasterKey::new(Zeroizing::new(SystemIds::default().secret()));
        write_new(&out, key.to_text().as_bytes(), 0o600)?;
        let told = serde_json::json!({ "id": key.id(), "file": out.display().to_string() });
        global.printer().object(&told, MASTER_KEY)?;
        Ok(None)
    }

    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (altyn, printer) = (&session.altyn, session.printer);
        match self {
            // Handled before a database was opened.
            Self::MasterKey { .. } => Ok(()),
            Self::Set { name, hosts, file } => {
                let request = session.request().await?;
                let command = SetSecret { name, value: value(file.as_deref())?, hosts };
                printer.object(&altyn.secret_set(&request, command).await?.value, SECRET)
            }
            Self::List { page } => {
                let request = session.request().await?;
                printer.list(&altyn.secret_list(&request, &page.page()).await?, SECRET)
            }
            Self::Rotate { master: true } => printer.object(&altyn.master_key_rotate().await?, ROTATED),
            Self::Rotate { master: false } => {
                let request = session.request().await?;
                printer.object(&altyn.secret_rotate(&request).await?.value, ROTATED)
            }
            Self::Delete { name } => {
                let request = session.request().await?;
                let version = altyn.secret_get(&request, &name).await?.version;
                printer.object(&altyn.secret_delete(&request, &name, version).await?.value, SECRET)
            }
        }
    }
}

/// The value from a file or stdin, without the end of its last line.
fn value(file: Option<&Path>) -> Result<SecretText, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = match file {
        Some(path) => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
        None => std::io::stdin().read_to_string(&mut text),
    };
    // The complaint of a text that is no UTF-8 does not show it.
    read.map_err(|error| Failure::usage(format!("cannot read the value: {error}")))?;
    Ok(SecretText::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
