//! `seata undo-log ddl`: the table that undo logs stand in.

use clap::{Args, Subcommand};
use seata_sqlx::undo;

use crate::{Outcome, sql::Dialect, terminal::print};

/// Tells of the table in which data sources keep their undo logs
#[derive(Args)]
pub(crate) struct UndoLog {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Prints the statements that make it, for a migration
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
}

impl UndoLog {
    pub(crate) fn run(self) -> Outcome {
        let Action::Ddl { dialect, table } = self.action;
        let statements = undo::table(dialect.flavor(), &table);
        print(&statements.into_iter().map(|statement| format!("{statement};\n")).collect::<String>());
        Outcome::Well
    }
}
