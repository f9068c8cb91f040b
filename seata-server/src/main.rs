//! The `seata-server` command.

use std::{process::ExitCode, time::Duration};

use seata_server::{Server, settings::Settings};

#[tokio::main]
async fn main() -> ExitCode {
    let server = match Server::start(Settings::default()).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("seata-server: {error}");
            return ExitCode::FAILURE;
        }
    };
    let _ = tokio::signal::ctrl_c().await;
    match server.shutdown(Duration::from_secs(10)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seata-server: {error}");
            ExitCode::FAILURE
        }
    }
}
