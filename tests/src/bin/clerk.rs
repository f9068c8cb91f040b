//! The storage service of the example shop in a process of its own, to be killed.
//!
//! `clerk SERVER DIRECTORY` keeps its database in the directory and has its coordinator on the server. Prints
//! `open ADDRESS`, and ends at the end of its standard input.

#![forbid(unsafe_code)]

use std::{error::Error, io, path::Path, process::ExitCode};

use seata::Seata;
use seata_examples::{Databases, server::Server, storage::Storage};

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, directory] = &arguments[..] else {
        eprintln!("usage: clerk SERVER DIRECTORY");
        return ExitCode::FAILURE;
    };
    match serve(server, directory.as_ref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clerk: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(server: &str, directory: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let seata = Seata::builder("storage").server(server).start().await?;
    let storage = Storage::open(&Databases::in_directory(directory), &seata).await?;
    let serving = Server::start(|listener, stop| storage.serve(&seata, listener, stop)).await?;
    println!("open {}", serving.address());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}
