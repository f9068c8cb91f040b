//! The `seata-server` command: arguments, logging, signals, exit codes.

mod arguments;
mod logging;
mod signals;

use std::{error::Error, process::ExitCode};

use clap::Parser;

use crate::{
    ConsoleError, Server, StartError, TlsError,
    config::{Config, Sources},
};

use self::{
    arguments::{Arguments, Command},
    logging::Log,
    signals::{Signal, Signals},
};

/// Runs the command with the arguments and the environment of this process.
///
/// Exit codes: 0 all is well; 1 the server could not start or did not end in order; 2 the arguments or the
/// configuration cannot be used.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse_from(arguments::spelled(std::env::args_os()));
    let sources = arguments.sources();
    let config = match Config::read(&sources) {
        Ok(config) => config,
        Err(error) => return refuse(USAGE, &error),
    };
    if let Some(Command::Config { json }) = arguments.command {
        print(&config, json);
    }
    if let Err(error) = Server::check(&config.settings) {
        return refuse(code_of(&error), &error);
    }
    if arguments.command.is_some() {
        return ExitCode::SUCCESS;
    }
    let log = match Log::start(&config.logging) {
        Ok(log) => log,
        Err(error) => return refuse(USAGE, &error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(FAILURE, &error),
    };
    let code = runtime.block_on(serve(config, &sources, &log));
    // What is still at work after the limit of a stop is not waited for.
    runtime.shutdown_background();
    code
}

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

/// A file that cannot be read may be there a moment later; what stands in one changes by nobody's waiting.
fn code_of(error: &StartError) -> u8 {
    match error {
        StartError::Tls(TlsError::Read { .. })
        | StartError::Console(ConsoleError::Tls(TlsError::Read { .. })) => FAILURE,
        _ => USAGE,
    }
}

fn refuse(code: u8, error: &dyn Error) -> ExitCode {
    eprintln!("seata-server: {error}");
    ExitCode::from(code)
}

fn print(config: &Config, json: bool) {
    use std::io::Write;
    let text = if json { config.to_json() + "\n" } else { config.to_text() };
    for note in &config.notes {
        eprintln!("warning: {note}");
    }
    // A reader that has seen enough, such as `head`, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

async fn serve(mut config: Config, sources: &Sources, log: &Log) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return refuse(FAILURE, &error),
    };
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    // A start may take long behind a large journal; a signal ends it, and nothing was acknowledged yet.
    let started = tokio::select! {
        started = Server::start(config.settings.clone()) => started,
        () = signals.stop() => return ExitCode::SUCCESS,
    };
    let mut server = match started {
        Ok(server) => server,
        Err(error) => return refuse(FAILURE, &error),
    };
    let failure = loop {
        tokio::select! {
            error = server.failure() => break Some(error),
            signal = signals.next() => match signal {
                Signal::Stop => break None,
                Signal::Reload => reload(&mut config, sources, &server, log),
            },
        }
    };
    let limit = config.settings.stop_limit;
    match &failure {
        Some(error) => tracing::error!(%error, "the server cannot go on and ends"),
        None => {
            tracing::info!(?limit, "stopping: requests under way are answered; a second signal ends at once")
        }
    }
    let ended = tokio::select! {
        ended = server.shutdown(limit) => ended,
        () = signals.stop() => {
            tracing::warn!("a second signal: ended at once");
            std::process::exit(i32::from(FAILURE));
        }
    };
    match failure.map_or(ended, Err) {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => refuse(FAILURE, &error),
    }
}

fn reload(config: &mut Config, sources: &Sources, server: &Server, log: &Log) {
    let reloaded = match config.reload(sources) {
        Ok(reloaded) => reloaded,
        Err(error) => return tracing::error!(%error, "the configuration cannot be used; nothing was changed"),
    };
    if let Err(error) = log.set_level(&reloaded.config.logging.level) {
        return tracing::error!(%error, "the configuration cannot be used; nothing was changed");
    }
    server.reconfigure(&reloaded.config.settings);
    for note in reloaded.config.notes.iter().filter(|note| !config.notes.contains(note)) {
        tracing::warn!("{note}");
    }
    for change in &reloaded.applied {
        tracing::info!("{change}: takes effect");
    }
    for change in &reloaded.needs_restart {
        tracing::warn!("{change}: takes effect at the next start");
    }
    if reloaded.applied.is_empty() && reloaded.needs_restart.is_empty() {
        tracing::info!("the configuration was read again and says the same");
    }
    *config = reloaded.config;
}
