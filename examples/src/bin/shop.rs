//! Plays the shop: purchases that commit, fail, are given up half-way and are killed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use seata_examples::{
    Databases, Db, Orm, Place,
    crash::crash,
    scenes::Stage,
    schemas::{DatabaseServer, SchemasError},
    server::ServeError,
};

const USAGE: &str = "\
usage: shop [--db mysql|postgres|sqlite] [--orm sqlx|sea-orm] [--server HOST:PORT] [--data DIR] [--crash]

  --db mysql|postgres|sqlite
                      what the databases are: files of SQLite (the default), databases on the MySQL or MariaDB server
                      that DATABASE_URL names, or schemas in the PostgreSQL database that it names
  --orm sqlx|sea-orm  what the services write their statements with: SQL (the default), or entities
  --server HOST:PORT  use the coordinator on this server, such as a Java Seata server; else one in this process
  --data DIR          keep the databases, those on a server too, and the rest in DIR; else they are removed at the end
  --crash             end the process between phase one and phase two; the next start finishes the work";

/// Where `--crash` leaves its databases, and the next start looks for them.
const CRASH_SITE: &str = "target/shop-data";

/// A wrong command line, or a server that cannot be used.
const UNUSABLE: u8 = 2;

struct Arguments {
    db: Db,
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
            match error.downcast_ref() {
                None | Some(SchemasError::Left { .. }) => ExitCode::FAILURE,
                Some(_) => ExitCode::from(UNUSABLE),
            }
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), ServeError> {
    let site = crash_site(&arguments);
    match &arguments.data {
        Some(data) => play(&arguments, &databases(&arguments, data).await?).await,
        None if arguments.crash => play(&arguments, &databases(&arguments, &site).await?).await,
        None if site.exists() => {
            let databases = databases(&arguments, &site).await?;
            play(&arguments, &databases).await?;
            databases.remove().await?;
            Ok(fs_err::remove_dir_all(site)?)
        }
        None => {
            let directory = tempfile::tempdir()?;
            let databases = databases(&arguments, directory.path()).await?;
            let played = tokio::select! {
                played = play(&arguments, &databases) => played,
                _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            };
            match (played, databases.remove().await) {
                (Err(error), Err(left)) => Err(format!("{error}; {left}").into()),
                (played, removed) => played.and(removed.map_err(Into::into)),
            }
        }
    }
}

/// What one coordinator has begun, another cannot finish, nor can it be finished in other databases.
fn crash_site(arguments: &Arguments) -> PathBuf {
    let database = match arguments.db {
        Db::Sqlite => "",
        Db::On(DatabaseServer::MySql) => "-mysql",
        Db::On(DatabaseServer::Postgres) => "-postgres",
    };
    let coordinator = if arguments.server.is_some() { "-server" } else { "" };
    format!("{CRASH_SITE}{database}{coordinator}").into()
}

async fn databases(arguments: &Arguments, data: &Path) -> Result<Databases, ServeError> {
    let databases = match arguments.db {
        Db::Sqlite => Databases::in_directory(data),
        Db::On(server) => {
            let url = std::env::var("DATABASE_URL").ok();
            Databases::on_server(server, url.as_deref(), data).await?
        }
    };
    Ok(databases.with_orm(arguments.orm))
}

async fn play(arguments: &Arguments, databases: &Databases) -> Result<(), ServeError> {
    fs_err::create_dir_all(databases.directory())?;
    let mut stage = match &arguments.server {
        Some(server) => Stage::open_on(server.clone(), databases.clone()).await?,
        None => Stage::open(databases.clone()).await?,
    };
    if arguments.crash {
        match crash(stage).await? {}
    }
    stage.play().await?;
    stage.shop.close().await?;
    println!("All sums are right.");
    Ok(())
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    use lexopt::prelude::*;

    let mut arguments = Arguments {
        db: Db::default(),
        orm: Orm::default(),
        server: None,
        data: None,
        crash: false,
        help: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("db") => arguments.db = parser.value()?.parse()?,
            Long("orm") => arguments.orm = parser.value()?.parse()?,
            Long("server") => arguments.server = Some(parser.value()?.string()?),
            Long("data") => arguments.data = Some(parser.value()?.into()),
            Long("crash") => arguments.crash = true,
            Short('h') | Long("help") => arguments.help = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(arguments)
}
