//! `seata undo-log`: the table that undo logs stand in, and what a person decides about dirty rows.

mod rows;

use clap::{Args, Subcommand};
use seata_sqlx::undo;

use crate::{
    Outcome,
    sql::Dialect,
    terminal::print,
    undo_log::rows::{Decide, Show, UndoLogCommandError},
};

/// Shows what stands in undo logs, and decides about rows that keep a rollback from going on
#[derive(Args)]
pub(crate) struct UndoLog {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Prints the statements that make the table, for a migration
    ///
    /// A data source makes the table itself where it is missing, if its user may.
    Ddl {
        /// The database
        #[arg(value_enum)]
        dialect: Dialect,
        /// The name of the table
        #[arg(long, default_value = "undo_log")]
        table: String,
    },
    /// Shows the rows that a transaction changed, and what a rollback would find there
    ///
    /// Nothing is locked and nothing is changed. Ends with code 1 when a row is dirty: neither as the transaction left it
    /// nor as it found it. Such a row keeps all rows of its branch from being undone.
    Show(Show),
    /// Lets the rollback make a dirty row what it was before the transaction
    ///
    /// What was written since to the columns that the transaction changed is lost then. Only the undo log is changed, and
    /// says from now on that the transaction left the row as it is: if it changes once more, it is dirty again.
    /// The transaction has to be tried again, with `seata tx retry`, or `Coordinator::retry` in the program that embeds
    /// its coordinator.
    Force(Decide),
    /// Lets the rollback leave a dirty row as it is, and undo the others
    ///
    /// Only the undo log is changed: it does not speak of this row any more. The transaction has to be tried again, with
    /// `seata tx retry`, or `Coordinator::retry` in the program that embeds its coordinator.
    Skip(Decide),
}

impl UndoLog {
    pub(crate) fn run(self) -> Result<Outcome, UndoLogCommandError> {
        match self.action {
            Action::Ddl { dialect, table } => Ok(ddl(dialect, &table)),
            Action::Show(show) => show.run(),
            Action::Force(decide) => decide.force(),
            Action::Skip(decide) => decide.skip(),
        }
    }
}

fn ddl(dialect: Dialect, table: &str) -> Outcome {
    let statements = undo::table(dialect.flavor(), table);
    print(&statements.into_iter().map(|statement| format!("{statement};\n")).collect::<String>());
    Outcome::Well
}
