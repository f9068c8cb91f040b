//! Plays the shop: purchases that commit, fail, are given up half-way and are killed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use seata_examples::{crash::crash, scenes::Stage, server::ServeError};

const USAGE: &str = "\
usage: shop [--data DIR] [--crash]

  --data DIR  keep the databases in DIR; else they are removed at the end
  --crash     end the process between phase one and phase two; the next start finishes the work";

/// Where `--crash` leaves its databases, and the next start looks for them.
const CRASH_SITE: &str = "target/shop-data";

struct Arguments {
    data: Option<PathBuf>,
    crash: bool,
    help: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    let arguments = match arguments() {
        Ok(arguments) if arguments.help => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("shop: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), ServeError> {
    let site = Path::new(CRASH_SITE);
    match arguments.data {
        Some(data) => play(&data, arguments.crash).await,
        None if arguments.crash => play(site, true).await,
        None if site.exists() => {
            play(site, false).await?;
            Ok(fs_err::remove_dir_all(site)?)
        }
        None => play(tempfile::tempdir()?.path(), false).await,
    }
}

async fn play(data: &Path, crashes: bool) -> Result<(), ServeError> {
    fs_err::create_dir_all(data)?;
    let mut stage = Stage::open(data.to_owned()).await?;
    if crashes {
        match crash(stage).await? {}
    }
    stage.play().await?;
    stage.shop.close().await?;
    println!("All sums are right.");
    Ok(())
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    use lexopt::prelude::*;

    let mut arguments = Arguments { data: None, crash: false, help: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("data") => arguments.data = Some(parser.value()?.into()),
            Long("crash") => arguments.crash = true,
            Short('h') | Long("help") => arguments.help = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(arguments)
}
