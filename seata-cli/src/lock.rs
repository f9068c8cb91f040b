//! `seata lock`: who holds which row.

use clap::{Args, Subcommand};

use crate::{
    Outcome,
    console::{Console, ConsoleError},
    terminal::{print, print_json},
    tx,
    view::{self, Locks, Who, duration, table},
};

/// Lists row locks, and says who holds a row and who waits for it
#[derive(Args)]
pub(crate) struct Lock {
    #[command(subcommand)]
    action: Action,
    /// Print the server's JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    console: Console,
}

#[derive(Subcommand)]
enum Action {
    /// Lists the row locks that are held
    List {
        /// Only those of this global transaction
        #[arg(long)]
        xid: Option<String>,
        /// Only those on this resource
        #[arg(long)]
        resource: Option<String>,
        /// Only those on this table
        #[arg(long)]
        table: Option<String>,
        /// Only those with this primary key
        #[arg(long)]
        key: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Go on behind an earlier listing, from what it ended with
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Says who holds a row and who waits for it
    ///
    /// Ends with code 1 when nobody holds it.
    Who {
        /// The resource, such as jdbc:mysql://10.0.0.7:3306/stock
        #[arg(long)]
        resource: String,
        /// The table, as the client writes it
        #[arg(long)]
        table: String,
        /// The primary key; the parts of a composite one joined by _
        #[arg(long)]
        key: String,
    },
}

impl Lock {
    pub(crate) fn run(self) -> Result<Outcome, ConsoleError> {
        let session = self.console.log_in()?;
        match self.action {
            Action::List { xid, resource, table, key, limit, after } => {
                let query = [
                    ("xid", xid),
                    ("resource", resource),
                    ("table", table),
                    ("key", key),
                    ("limit", Some(limit.to_string())),
                    ("after", after),
                ];
                let answer = session.get("/v1/locks", &query)?;
                match self.json {
                    true => print_json(&answer, true),
                    false => print(&list(&session.view(&answer)?)),
                }
                Ok(Outcome::Well)
            }
            Action::Who { resource, table, key } => {
                let query = [("resource", Some(resource)), ("table", Some(table)), ("key", Some(key))];
                let answer = session.get("/v1/locks/who", &query)?;
                let row: Who = session.view(&answer)?;
                match self.json {
                    true => print_json(&answer, true),
                    false => print(&who(&row)),
                }
                Ok(if row.holder.is_some() { Outcome::Well } else { Outcome::NotWell })
            }
        }
    }
}

fn list(page: &Locks) -> String {
    if page.locks.is_empty() {
        return "no such lock is held\n".to_owned();
    }
    let mut table = table(&["RESOURCE", "TABLE", "KEY", "HOLDER", "BRANCH", "HELD FOR"]);
    for lock in &page.locks {
        table.add_row([
            lock.resource.clone(),
            lock.table.clone(),
            lock.key.clone(),
            lock.holder.clone(),
            lock.branch.clone(),
            duration(view::now().saturating_sub(lock.since)),
        ]);
    }
    let more = page.next.as_ref().map(|next| format!("more: --after {next}\n")).unwrap_or_default();
    view::text(&table) + &more
}

fn who(row: &Who) -> String {
    let name = format!("{}:{} on {}", row.table, row.key, row.resource);
    let Some(holder) = &row.holder else { return format!("nobody holds {name}\n") };
    let mut text = format!("{name} is held by\n\n{}", tx::details(holder));
    if row.waiters.is_empty() {
        return text + "\nnobody waits for it\n";
    }
    let mut waiting = table(&["WAITS FOR IT", "SINCE"]);
    for waiter in &row.waiters {
        let since = duration(view::now().saturating_sub(waiter.since));
        waiting.add_row([waiter.xid.clone(), format!("{since} ago")]);
    }
    text.push('\n');
    text + &view::text(&waiting)
}
