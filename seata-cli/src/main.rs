//! The `seata` command: looks into a Seata installation and says what is wrong with it.
//!
//! Each subcommand is a module with its arguments, and a `run` that returns the [`Outcome`].

#![forbid(unsafe_code)]

mod console;
mod doctor;
mod lock;
mod sql;
mod terminal;
mod top;
mod tx;
mod undo_log;
mod view;

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};

use console::ConsoleError;

/// Looks into a Seata installation and says what is wrong with it.
#[derive(Parser)]
#[command(
    name = "seata",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 all is well, 1 something is not, 2 the arguments or the configuration cannot be used."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Doctor(doctor::Doctor),
    Lock(lock::Lock),
    Sql(sql::Sql),
    Top(top::Top),
    Tx(tx::Tx),
    UndoLog(undo_log::UndoLog),
}

impl Command {
    fn run(self) -> Result<Outcome, Box<dyn Error>> {
        match self {
            Self::Doctor(doctor) => Ok(doctor.run()?),
            Self::Lock(lock) => found(lock.run()),
            Self::Sql(sql) => Ok(sql.run()?),
            Self::Top(top) => found(top.run()),
            Self::Tx(tx) => found(tx.run()),
            Self::UndoLog(undo_log) => match undo_log.run() {
                Err(error) if !error.is_usage() => {
                    terminal::complain(&error);
                    Ok(Outcome::NotWell)
                }
                outcome => Ok(outcome?),
            },
        }
    }
}

/// What a console refuses is something found; arguments that cannot be used are not.
fn found(outcome: Result<Outcome, ConsoleError>) -> Result<Outcome, Box<dyn Error>> {
    match outcome {
        Err(error) if !error.is_usage() => {
            terminal::complain(&error);
            Ok(Outcome::NotWell)
        }
        outcome => Ok(outcome?),
    }
}

/// What a subcommand found.
enum Outcome {
    Well,
    NotWell,
}

fn main() -> ExitCode {
    // Ends with code 2, and says why, when the arguments cannot be used.
    let cli = Cli::parse();
    match cli.command.run() {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::NotWell) => ExitCode::from(1),
        Err(error) => {
            terminal::complain(&error);
            ExitCode::from(2)
        }
    }
}
