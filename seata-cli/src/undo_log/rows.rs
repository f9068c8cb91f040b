//! `seata undo-log show`, `force` and `skip`: the rows of a transaction, in the database itself.

use std::{io, time::Duration};

use clap::Args;
use seata_protocol::Xid;
use seata_sqlx::{
    Dialect,
    undo::{Field, Row, Zone, ZoneError},
    undo_log::{ChangedRow, UndoLogError, UndoTable},
};
use serde_json::{Map, Value, json};
use sqlx::{MySql, Pool, Postgres, Sqlite};

use crate::{
    Outcome,
    terminal::{harmless, print, print_json},
    view::{self, table},
};

/// How long the database may take for all of it: others may hold the row.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the undo logs of a transaction are.
#[derive(Args)]
struct Place {
    /// The database: mysql://user:password@host/name, postgres://… or sqlite:file
    #[arg(long, value_name = "URL", env = "SEATA_DATABASE", hide_env_values = true)]
    database: String,
    /// The name of the undo table
    #[arg(long, value_name = "NAME", default_value = "undo_log")]
    undo_table: String,
    /// The time zone of the services that wrote the undo logs, such as Asia/Shanghai [default: the system's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    time_zone: Option<Zone>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// The global transaction
    xid: Xid,
}

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(crate) struct Decide {
    #[command(flatten)]
    place: Place,
    /// The row's table, as `seata undo-log show` writes it
    #[arg(long)]
    table: String,
    /// The row's key, as `seata undo-log show` writes it, such as id=7
    #[arg(long)]
    key: String,
}

/// Why nothing is shown, or nothing decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoLogCommandError {
    /// The URL names no database that is known.
    #[error("{0}")]
    Url(String),
    /// The runtime does not start.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The database takes its time.
    #[error(
        "the database has not answered within {} s: somebody may hold the undo log or the row; look with `seata undo-log \
         show` before you try again",
        LIMIT.as_secs()
    )]
    TimeOut,
    /// The database or the undo log says no.
    #[error(transparent)]
    UndoLog(#[from] UndoLogError),
}

impl UndoLogCommandError {
    /// It is the arguments that are wrong, not what was found.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Runtime(_))
    }
}

/// What is asked of the undo table.
enum Task<'t> {
    Rows,
    Force { table: &'t str, key: &'t str },
    Skip { table: &'t str, key: &'t str },
}

impl Show {
    pub(crate) fn run(self) -> Result<Outcome, UndoLogCommandError> {
        let Place { xid, json, .. } = &self.place;
        let rows = self.place.ask(&Task::Rows)?;
        match json {
            true => print_json(&json!({ "xid": xid.to_string(), "rows": values(&rows) }), true),
            false => print(&shown(xid, &rows)),
        }
        let is_dirty = rows.iter().any(|row| row.state.is_dirty());
        Ok(if is_dirty { Outcome::NotWell } else { Outcome::Well })
    }
}

impl Decide {
    pub(crate) fn force(self) -> Result<Outcome, UndoLogCommandError> {
        let task = Task::Force { table: &self.table, key: &self.key };
        self.run("force", "becomes what it was before the transaction when that is rolled back", &task)
    }

    pub(crate) fn skip(self) -> Result<Outcome, UndoLogCommandError> {
        let task = Task::Skip { table: &self.table, key: &self.key };
        self.run("skip", "stays as it is when the transaction is rolled back", &task)
    }

    fn run(&self, decision: &str, effect: &str, task: &Task<'_>) -> Result<Outcome, UndoLogCommandError> {
        let Self { place, table, key } = self;
        let xid = &place.xid;
        let found = place.ask(task)?;
        match place.json {
            true => {
                let value = json!({ "xid": xid.to_string(), "decision": decision, "rows": values(&found) });
                print_json(&value, true);
            }
            false => print(&format!("row {} of {} {effect}\n{}", harmless(key), harmless(table), then(xid))),
        }
        Ok(Outcome::Well)
    }
}

impl Place {
    fn ask(&self, task: &Task<'_>) -> Result<Vec<ChangedRow>, UndoLogCommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(UndoLogCommandError::Runtime)?;
        let answer = runtime.block_on(self.of_database(task));
        runtime.shutdown_background();
        answer
    }

    async fn of_database(&self, task: &Task<'_>) -> Result<Vec<ChangedRow>, UndoLogCommandError> {
        match self.database.split_once(':').map(|(scheme, _)| scheme) {
            Some("mysql" | "mariadb") => within(self.of::<MySql>(task)).await,
            Some("postgres" | "postgresql") => within(self.of::<Postgres>(task)).await,
            Some("sqlite") => within(self.of::<Sqlite>(task)).await,
            Some("jdbc") => Err(UndoLogCommandError::Url(
                "a URL without jdbc: is expected for --database, with the user and the password in it: \
                 mysql://user:password@host/name"
                    .to_owned(),
            )),
            _ => Err(UndoLogCommandError::Url(
                "--database begins with none of mysql://, postgres:// and sqlite:".to_owned(),
            )),
        }
    }

    async fn of<DB: Dialect>(&self, task: &Task<'_>) -> Result<Vec<ChangedRow>, UndoLogCommandError> {
        let pool = Pool::<DB>::connect_lazy(&self.database)
            .map_err(|error| UndoLogCommandError::Url(format!("--database cannot be used: {error}")))?;
        let mut undo_table = UndoTable::new(&pool).named(&self.undo_table);
        if let Some(zone) = &self.time_zone {
            undo_table = undo_table.time_zone(zone.clone());
        }
        let xid = &self.xid;
        Ok(match task {
            Task::Rows => undo_table.rows(xid).await?,
            Task::Force { table, key } => undo_table.force(xid, table, key).await?,
            Task::Skip { table, key } => undo_table.skip(xid, table, key).await?,
        })
    }
}

async fn within<T>(
    work: impl Future<Output = Result<T, UndoLogCommandError>>,
) -> Result<T, UndoLogCommandError> {
    tokio::time::timeout(LIMIT, work).await.unwrap_or(Err(UndoLogCommandError::TimeOut))
}

fn zone(name: &str) -> Result<Zone, ZoneError> {
    Zone::named(name)
}

fn shown(xid: &Xid, rows: &[ChangedRow]) -> String {
    if rows.is_empty() {
        return format!("the undo logs of {xid} hold no row: it can be rolled back\n");
    }
    let mut list = table(&["BRANCH", "TABLE", "KEY", "NOW"]);
    for row in rows {
        list.add_row([
            row.branch.to_string(),
            harmless(&row.table).into_owned(),
            harmless(&row.key).into_owned(),
            row.state.to_string(),
        ]);
    }
    let mut text = view::text(&list);
    let dirty: Vec<&ChangedRow> = rows.iter().filter(|row| row.state.is_dirty()).collect();
    for row in &dirty {
        text.push_str(&format!(
            "\nbranch {}, row {} of {}: {}\n",
            row.branch,
            harmless(&row.key),
            harmless(&row.table),
            row.state
        ));
        text.push_str(&columns(row));
    }
    if dirty.is_empty() {
        return text;
    }
    text + &format!(
        "\nfor each of them: seata undo-log force {xid} --table TABLE --key KEY, to make it what it was before; or skip, to \
         leave it as it is now\n{}",
        then(xid)
    )
}

/// An embedded coordinator has no port at which it could be asked.
fn then(xid: &Xid) -> String {
    format!(
        "then: seata tx retry {xid}\n(where the coordinator is embedded, `Coordinator::retry` in the program that embeds it)\n"
    )
}

/// The columns of a dirty row that are not the same all along.
fn columns(row: &ChangedRow) -> String {
    let mut list = table(&["  COLUMN", "BEFORE", "AFTER", "NOW"]);
    for name in names(row) {
        let fields = [&row.before, &row.after, &row.current].map(|image| field(image, name));
        let is_same = |a: Option<&Field>, b: Option<&Field>| match (a, b) {
            (Some(a), Some(b)) => a.same_value(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        if is_same(fields[0], fields[1]) && is_same(fields[1], fields[2]) {
            continue;
        }
        let mut line = vec![format!("  {}", harmless(name))];
        for (image, field) in [&row.before, &row.after, &row.current].into_iter().zip(fields) {
            line.push(match (image, field) {
                (None, _) => "no row".to_owned(),
                (Some(_), None) => String::new(),
                (Some(_), Some(field)) => harmless(&field.to_string()).into_owned(),
            });
        }
        list.add_row(line);
    }
    view::text(&list)
}

/// The columns of the branch's images.
fn names(row: &ChangedRow) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for field in [&row.before, &row.after].into_iter().flatten().flat_map(|image| &image.fields) {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(&field.name)) {
            names.push(&field.name);
        }
    }
    names
}

fn field<'r>(image: &'r Option<Row>, name: &str) -> Option<&'r Field> {
    image.as_ref().and_then(|row| row.field(name))
}

fn values(rows: &[ChangedRow]) -> Vec<Value> {
    rows.iter().map(value).collect()
}

/// Values are told in words, as in a table: JSON has no types for most of them.
fn value(row: &ChangedRow) -> Value {
    let image = |image: &Option<Row>| -> Value {
        let Some(image) = image else { return Value::Null };
        let fields: Map<String, Value> =
            image.fields.iter().map(|field| (field.name.clone(), field.to_string().into())).collect();
        Value::Object(fields)
    };
    json!({
        "branch": row.branch.to_string(),
        "table": row.table,
        "key": row.key,
        "state": row.state.to_string(),
        "dirty": row.state.is_dirty(),
        "before": image(&row.before),
        "after": image(&row.after),
        "current": image(&row.current),
    })
}
