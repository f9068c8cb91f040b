//! The arguments of the command.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::Sources;

/// The transaction coordinator as a server that Java, Go and Rust clients use as it is.
#[derive(Debug, Parser)]
#[command(
    name = "seata-server",
    version,
    disable_help_flag = true,
    disable_help_subcommand = true,
    after_help = "Without an argument it listens on port 8091 of loopback, its console on port 7091, and keeps its journal \
                  in ./seata-data.\nSignals: SIGTERM and SIGINT end in order, the second one at once; SIGHUP reads the \
                  configuration again.\nExit codes: 0 all is well, 1 it could not start or did not end in order, 2 the \
                  arguments or the configuration cannot be used."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
    /// Print this text
    #[arg(long, global = true, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print every setting with its value, default, unit, meaning and where it came from
    Config {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
struct Flags {
    /// Where to listen: addresses of this machine; 0.0.0.0 for all of IPv4, :: for all of IPv6
    /// [default: 127.0.0.1 and ::1]
    #[arg(long, global = true, value_name = "ADDRESS")]
    bind: Vec<String>,
    /// What stands in XIDs: the name or address under which clients reach this server
    #[arg(short = 'h', long, global = true)]
    host: Option<String>,
    /// The Seata port; 0 for any free one [default: 8091]
    #[arg(short, long, global = true)]
    port: Option<String>,
    /// Where the HTTP port listens [default: as --bind]
    #[arg(long, global = true, value_name = "ADDRESS")]
    console_bind: Vec<String>,
    /// The HTTP port of console, metrics and health; off for none [default: 7091]
    #[arg(long, global = true, value_name = "PORT")]
    console_port: Option<String>,
    /// Where the journal lives [default: seata-data]
    #[arg(long, global = true, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// A TOML file with settings [environment variable: SEATA_SERVER_CONFIG]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// journal: what is acknowledged survives; memory: everything is forgotten at the end [default: journal]
    #[arg(long, global = true, value_name = "KIND")]
    store: Option<String>,
    /// Java's name of --store: its file is the journal
    #[arg(short = 'm', long, global = true, value_name = "KIND", alias = "storeMode")]
    store_mode: Option<String>,
    /// Java's -ssm
    #[arg(long, global = true, hide = true, alias = "sessionStoreMode")]
    session_store_mode: Option<String>,
    /// Java's -lsm
    #[arg(long, global = true, hide = true, alias = "lockStoreMode")]
    lock_store_mode: Option<String>,
    /// Java's -n
    #[arg(short = 'n', long, global = true, hide = true, alias = "serverNode")]
    server_node: Option<String>,
    /// Java's -e
    #[arg(short = 'e', long, global = true, hide = true, alias = "seataEnv")]
    environment: Option<String>,
    /// What is written to the log: error, warn, info, debug, trace, or a list [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any setting by its key
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

impl Arguments {
    /// Everything to read from.
    pub(super) fn sources(&self) -> Sources {
        let mut sources = Sources::environment();
        let flags = &self.flags;
        let named = sources.variables.get(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        sources.file = flags.config.clone().or(named);
        sources.variables.remove(FILE_VARIABLE);
        let list = |parts: &[String]| (!parts.is_empty()).then(|| parts.join(","));
        for (flag, key, value) in [
            ("--bind", "server.bind", list(&flags.bind)),
            ("--host", "server.host", flags.host.clone()),
            ("--port", "server.servicePort", flags.port.clone()),
            ("--console-bind", "console.bind", list(&flags.console_bind)),
            ("--console-port", "console.port", flags.console_port.clone()),
            ("--data-dir", "store.directory", flags.data_dir.clone()),
            ("--store-mode (-m)", "store.mode", flags.store_mode.clone()),
            ("--store", "store.mode", flags.store.clone()),
            ("-ssm", "store.session.mode", flags.session_store_mode.clone()),
            ("-lsm", "store.lock.mode", flags.lock_store_mode.clone()),
            ("-n", "SERVER_NODE", flags.server_node.clone()),
            ("-e", "SEATA_ENV", flags.environment.clone()),
            ("--log-level", "logging.level", flags.log_level.clone()),
            ("--log-format", "logging.format", flags.log_format.clone()),
        ] {
            if let Some(value) = value {
                sources.flags.push((flag.to_owned(), key.to_owned(), value));
            }
        }
        let set = flags.set.iter().map(|(key, value)| ("--set".to_owned(), key.clone(), value.clone()));
        sources.flags.extend(set);
        sources
    }
}

const FILE_VARIABLE: &str = "SEATA_SERVER_CONFIG";

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, for example --set server.lockWait=500ms".to_owned()),
    }
}

/// Java's flags of several letters, which have one dash, as ours.
pub(super) fn spelled(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments.map(|argument| match argument.to_str() {
        Some("-ssm") => "--session-store-mode".into(),
        Some("-lsm") => "--lock-store-mode".into(),
        _ => argument,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn sources(arguments: &[&str]) -> Sources {
        let arguments = ["seata-server"].iter().chain(arguments).map(Into::into);
        Arguments::parse_from(spelled(arguments)).sources()
    }

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn javas_flags_do_as_they_stand() {
        let flags =
            sources(&["-h", "tc-1", "-p", "8092", "-m", "file", "-ssm", "file", "-lsm", "file"]).flags;
        let flags: Vec<_> = flags.iter().map(|(_, key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            flags,
            [
                ("server.host", "tc-1"),
                ("server.servicePort", "8092"),
                ("store.mode", "file"),
                ("store.session.mode", "file"),
                ("store.lock.mode", "file"),
            ]
        );
    }

    #[test]
    fn any_key_may_be_set_and_a_list_may_be_given_in_parts() {
        let sources = sources(&[
            "config",
            "--bind",
            "127.0.0.1",
            "--bind",
            "::1",
            "--set",
            "server.lockWait=5s",
            "--json",
        ]);
        let flag = |flag: &str, key: &str, value: &str| (flag.into(), key.into(), value.into());
        let expected: Vec<(String, String, String)> =
            vec![flag("--bind", "server.bind", "127.0.0.1,::1"), flag("--set", "server.lockWait", "5s")];
        assert_eq!(sources.flags, expected);
        let no_pair = Arguments::try_parse_from(["seata-server", "--set", "x"]).expect_err("no value");
        assert!(no_pair.to_string().contains("KEY=VALUE"));
    }
}
