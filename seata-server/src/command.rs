//! The `seata-server` command: arguments, logging, signals, exit codes.

mod arguments;
mod logging;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::{Server, config::Config};

use self::{arguments::Arguments, signals::Signals};

/// Runs the command with the arguments and the environment of this process.
///
/// Exit codes: 0 all is well; 1 the server could not start or did not end in order; 2 the arguments or the
/// configuration cannot be used.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse_from(arguments::spelled(std::env::args_os()));
    let config = match Config::read(&arguments.sources()) {
        Ok(config) => config,
        Err(error) => return refuse(USAGE, &error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(FAILURE, &error),
    };
    logging::start(&config.logging);
    runtime.block_on(serve(config))
}

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

fn refuse(code: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("seata-server: {error}");
    ExitCode::from(code)
}

async fn serve(config: Config) -> ExitCode {
    let limit = config.settings.stop_limit;
    let started = Signals::listen();
    let mut signals = match started {
        Ok(signals) => signals,
        Err(error) => return refuse(FAILURE, &error),
    };
    let mut server = match Server::start(config.settings).await {
        Ok(server) => server,
        Err(error) => return refuse(FAILURE, &error),
    };
    let failure = tokio::select! {
        () = signals.stop() => None,
        error = server.failure() => Some(error),
    };
    if let Some(error) = &failure {
        tracing::error!(%error, "the store failed; the server ends");
    } else {
        tracing::info!(?limit, "stopping: requests under way are answered; a second signal ends at once");
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
