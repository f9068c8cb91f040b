//! The arguments of the command.

use std::{ffi::OsString, path::PathBuf};

use clap::Parser;

use crate::config::Sources;

/// The transaction coordinator as a server that Java, Go and Rust clients use as it is.
#[derive(Debug, Parser)]
#[command(name = "seata-server", version, disable_help_flag = true)]
pub(super) struct Arguments {
    /// Where to listen: addresses of this machine, 0.0.0.0 and :: for all [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    bind: Vec<String>,
    /// What stands in XIDs: the name or address under which clients reach this server
    #[arg(short = 'h', long)]
    host: Option<String>,
    /// The Seata port [default: 8091]
    #[arg(short, long)]
    port: Option<String>,
    /// The HTTP port of console, metrics and health; off for none [default: 7091]
    #[arg(long, value_name = "PORT")]
    console_port: Option<String>,
    /// Where the journal lives [default: seata-data]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// A TOML file with settings
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// journal: what is acknowledged survives; memory: everything is forgotten at the end [default: journal]
    #[arg(long, value_name = "KIND")]
    store: Option<String>,
    /// text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// This text
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl Arguments {
    /// The flags as keys, and the file.
    pub(super) fn sources(&self) -> Sources {
        let mut sources = Sources { file: self.config.clone(), flags: Vec::new() };
        let bind = (!self.bind.is_empty()).then(|| self.bind.join(","));
        let directory = self.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned());
        for (flag, key, value) in [
            ("--bind", "server.bind", &bind),
            ("--host", "server.host", &self.host),
            ("--port", "server.servicePort", &self.port),
            ("--console-port", "console.port", &self.console_port),
            ("--data-dir", "store.directory", &directory),
            ("--store", "store.mode", &self.store),
            ("--log-format", "logging.format", &self.log_format),
        ] {
            if let Some(value) = value {
                sources.flags.push((flag, key.to_owned(), value.clone()));
            }
        }
        sources
    }
}

/// Java's flags of several letters, which have one dash, as ours.
pub(super) fn spelled(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments
}
