//! The table that undo logs stand in.

use crate::sql::Flavor;

/// The statements that make an undo table of this name, with the columns and keys of Java's scripts: for a migration
/// of your own. A data source makes the table when it is missing, if its user may.
///
/// ```
/// use seata_sqlx::{Flavor, undo::table};
///
/// for statement in table(Flavor::Postgres, "undo_log") {
///     println!("{statement};");
/// }
/// ```
pub fn table(flavor: Flavor, name: &str) -> Vec<String> {
    let quoted = |prefix: &str, suffix: &str| flavor.quote(&format!("{prefix}{name}{suffix}"));
    let table = flavor.quote(name);
    match flavor {
        Flavor::MySql => vec![format!(
            "CREATE TABLE IF NOT EXISTS {table} (branch_id BIGINT NOT NULL, xid VARCHAR(128) NOT NULL, \
             context VARCHAR(128) NOT NULL, rollback_info LONGBLOB NOT NULL, log_status INT(11) NOT NULL, \
             log_created DATETIME(6) NOT NULL, log_modified DATETIME(6) NOT NULL, \
             UNIQUE KEY ux_undo_log (xid, branch_id), KEY ix_log_created (log_created)) \
             ENGINE = InnoDB DEFAULT CHARSET = utf8mb4"
        )],
        Flavor::Postgres => {
            // An index's name is its schema's, and Java's script gives this one to the table `undo_log`.
            let by_age =
                if name == "undo_log" { flavor.quote("ix_log_created") } else { quoted("ix_", "_created") };
            vec![
                format!(
                    "CREATE TABLE IF NOT EXISTS {table} (id SERIAL NOT NULL, branch_id BIGINT NOT NULL, \
                     xid VARCHAR(128) NOT NULL, context VARCHAR(128) NOT NULL, rollback_info BYTEA NOT NULL, \
                     log_status INT NOT NULL, log_created TIMESTAMP(0) NOT NULL, \
                     log_modified TIMESTAMP(0) NOT NULL, CONSTRAINT {} PRIMARY KEY (id), \
                     CONSTRAINT {} UNIQUE (xid, branch_id))",
                    quoted("pk_", ""),
                    quoted("ux_", ""),
                ),
                format!("CREATE INDEX IF NOT EXISTS {by_age} ON {table} (log_created)"),
            ]
        }
        Flavor::Sqlite => vec![
            // WITHOUT ROWID, so that writing an undo row leaves the user's last_insert_rowid() alone.
            format!(
                "CREATE TABLE IF NOT EXISTS {table} (branch_id INTEGER NOT NULL, xid TEXT NOT NULL, \
                 context TEXT NOT NULL, rollback_info BLOB NOT NULL, log_status INTEGER NOT NULL, \
                 log_created TEXT NOT NULL, log_modified TEXT NOT NULL, PRIMARY KEY (xid, branch_id)) WITHOUT ROWID"
            ),
            // The newest row of a transaction by one look, and all rows by age without their images.
            format!(
                "CREATE INDEX IF NOT EXISTS {} ON {table} (xid, log_created, log_status)",
                quoted("ix_", "_newest")
            ),
        ],
    }
}
