//! Plays the shop: purchases that commit, fail, are given up half-way and are killed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use seata_examples::{Databases, Orm, Place, crash::crash, scenes::Stage, server::ServeError};

const USAGE: &str = "\
usage: shop [--orm sqlx|sea-orm] [--server HOST:PORT] [--data DIR] [--crash]

  --orm sqlx|sea-orm  what the services write their statements with: SQL (the default), or entities
  --server HOST:PORT  use the coordinator on this server, such as a Java Seata server; else one in this process
  --data DIR          keep the databases in DIR; else they are removed at the end
  --crash             end the process between phase one and phase two; the next start finishes the work";

/// Where `--crash` leaves its databases, and the next start looks for them.
const CRASH_SITE: &str = "target/shop-data";

/// The same with a server. What one coordinator has begun, the other cannot finish.
const SERVER_CRASH_SITE: &str = "target/shop-data-server";

/// A wrong command line, or a server that is not there.
const UNUSABLE: u8 = 2;

struct Arguments {
    orm: Orm,
    server: Option<String>,
    data: Option<PathBuf>,
    crash: bool,
    help: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        let asked = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(asked).with_writer(std::io::stderr).init();
    }
    let arguments = match arguments() {
        Ok(arguments) if arguments.help => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("shop: {error}\n\n{USAGE}");
            return ExitCode::from(UNUSABLE);
        }
    };
    if let Some(server) = &arguments.server {
        let report = Place::Server(server.clone()).builder("shop").check().await;
        if !report.is_usable() {
            eprintln!("shop: the coordinator at {server} cannot be used\n\n{report}");
            return ExitCode::from(UNUSABLE);
        }
    }
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), ServeError> {
    let Arguments { orm, server, data, crash, .. } = arguments;
    let site = Path::new(if server.is_some() { SERVER_CRASH_SITE } else { CRASH_SITE });
    match data {
        Some(data) => play(server, &data, orm, crash).await,
        None if crash => play(server, site, orm, true).await,
        None if site.exists() => {
            play(server, site, orm, false).await?;
            Ok(fs_err::remove_dir_all(site)?)
        }
        None => play(server, tempfile::tempdir()?.path(), orm, false).await,
    }
}

async fn play(server: Option<String>, data: &Path, orm: Orm, crashes: bool) -> Result<(), ServeError> {
    fs_err::create_dir_all(data)?;
    let databases = Databases::in_directory(data).with_orm(orm);
    let mut stage = match server {
        Some(server) => Stage::open_on(server, databases).await?,
        None => Stage::open(databases).await?,
    };
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

    let mut arguments =
        Arguments { orm: Orm::default(), server: None, data: None, crash: false, help: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("orm") => arguments.orm = parser.value()?.parse_with(orm)?,
            Long("server") => arguments.server = Some(parser.value()?.string()?),
            Long("data") => arguments.data = Some(parser.value()?.into()),
            Long("crash") => arguments.crash = true,
            Short('h') | Long("help") => arguments.help = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(arguments)
}

fn orm(name: &str) -> Result<Orm, &'static str> {
    match name {
        "sqlx" => Ok(Orm::Sqlx),
        "sea-orm" => Ok(Orm::SeaOrm),
        _ => Err("it is sqlx or sea-orm"),
    }
}
