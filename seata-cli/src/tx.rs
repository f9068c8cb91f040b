//! `seata tx`: global transactions, and what an operator can do with them.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::{
    Outcome,
    console::{Console, ConsoleError, Session, segment},
    terminal::{print, print_json},
    view::{self, Transaction, Transactions, duration, table},
};

/// Lists, shows and unblocks global transactions
///
/// Talks to the console port of a seata-server. Every action is written to the server's audit log, with the
/// user and the reason.
#[derive(Args)]
pub(crate) struct Tx {
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
    /// Lists global transactions, the oldest first
    List(List),
    /// Shows one with its branches and their row locks
    Show {
        /// The transaction
        xid: String,
    },
    /// Tries again what is parked, stopped or backing off
    Retry(Change),
    /// Stops a decided transaction from being tried again; it keeps its locks
    Park(Change),
    /// Commits one that is undecided
    Commit(ChangeForGood),
    /// Rolls back one that is undecided
    Rollback(ChangeForGood),
    /// Ends a decided one whose branches cannot be done: they are not asked, and its locks are freed
    ///
    /// What these branches changed or reserved stays as it is: repair it first.
    GiveUp(ChangeForGood),
    /// Frees the row locks of a parked transaction, which stays parked
    ///
    /// From then on other transactions may change its rows, and undoing it may find them changed.
    Release(ChangeForGood),
}

#[derive(Args)]
struct List {
    /// Which of them
    #[arg(long, value_enum, default_value_t = State::Open)]
    state: State,
    /// Only those in this status, such as Begin or RollbackRetrying
    #[arg(long)]
    status: Option<String>,
    /// Only those that this application began
    #[arg(long)]
    application: Option<String>,
    /// Only those of this name
    #[arg(long)]
    name: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on behind an earlier listing, from what it ended with
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    Open,
    Parked,
    Ended,
    All,
}

#[derive(Args)]
struct Change {
    /// The transaction
    xid: String,
    /// Why, for the server's audit log
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Args)]
struct ChangeForGood {
    /// The transaction
    xid: String,
    /// Why, for the server's audit log
    #[arg(long)]
    reason: String,
}

#[derive(serde::Deserialize)]
struct Changed {
    xid: String,
    status: String,
    message: Option<String>,
}

impl Tx {
    pub(crate) fn run(self) -> Result<Outcome, ConsoleError> {
        let session = self.console.log_in()?;
        let json = self.json;
        match self.action {
            Action::List(list) => list.run(&session, json),
            Action::Show { xid } => show(&session, &xid, json),
            Action::Retry(Change { xid, reason }) => change(&session, "retry", &xid, reason, json),
            Action::Park(Change { xid, reason }) => change(&session, "park", &xid, reason, json),
            Action::Commit(it) => change(&session, "commit", &it.xid, Some(it.reason), json),
            Action::Rollback(it) => change(&session, "rollback", &it.xid, Some(it.reason), json),
            Action::GiveUp(it) => change(&session, "give-up", &it.xid, Some(it.reason), json),
            Action::Release(it) => change(&session, "release", &it.xid, Some(it.reason), json),
        }
    }
}

impl List {
    fn run(self, session: &Session, json: bool) -> Result<Outcome, ConsoleError> {
        let state = self.state.to_possible_value().map(|state| state.get_name().to_owned());
        let answer = session.get(
            "/v1/transactions",
            &[
                ("state", state),
                ("status", self.status),
                ("application", self.application),
                ("name", self.name),
                ("limit", Some(self.limit.to_string())),
                ("after", self.after),
            ],
        )?;
        if json {
            print_json(&answer, true);
            return Ok(Outcome::Well);
        }
        let page: Transactions = session.view(&answer)?;
        print(&list(&page.transactions));
        if let Some(next) = page.next {
            print(&format!("more: --after {next}\n"));
        }
        Ok(Outcome::Well)
    }
}

fn show(session: &Session, xid: &str, json: bool) -> Result<Outcome, ConsoleError> {
    let answer = session.get(&format!("/v1/transactions/{}", segment(xid)), &[])?;
    match json {
        true => print_json(&answer, true),
        false => print(&details(&session.view(&answer)?)),
    }
    Ok(Outcome::Well)
}

fn change(
    session: &Session,
    action: &str,
    xid: &str,
    reason: Option<String>,
    json: bool,
) -> Result<Outcome, ConsoleError> {
    let body: Value = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let answer = session.post(&format!("/v1/transactions/{}/{action}", segment(xid)), &body)?;
    if json {
        print_json(&answer, true);
        return Ok(Outcome::Well);
    }
    let Changed { xid, status, message } = session.view(&answer)?;
    let message = message.filter(|message| !message.is_empty()).map(|message| format!(": {message}"));
    print(&format!("{xid} is {status}{}\n", message.unwrap_or_default()));
    Ok(Outcome::Well)
}

fn list(transactions: &[Transaction]) -> String {
    if transactions.is_empty() {
        return "no such transaction\n".to_owned();
    }
    let mut table = table(&["XID", "STATUS", "AGE", "APPLICATION", "NAME", "BRANCHES", "LOCKS", "WHY"]);
    for transaction in transactions {
        table.add_row([
            transaction.xid.clone(),
            transaction.status.clone(),
            age(transaction),
            transaction.application.clone(),
            transaction.name.clone(),
            transaction.branch_count.to_string(),
            transaction.locks.to_string(),
            why(transaction),
        ]);
    }
    view::text(&table)
}

/// What keeps a transaction, or how it ended.
pub(crate) fn why(transaction: &Transaction) -> String {
    match (&transaction.reason, transaction.waits_for.as_slice()) {
        (Some(reason), _) => reason.clone(),
        (None, []) => String::new(),
        (None, resources) => format!("waits for {}", resources.join(", ")),
    }
}

fn age(transaction: &Transaction) -> String {
    transaction.age_ms.map(duration).unwrap_or_default()
}

/// All that is known of one.
pub(crate) fn details(transaction: &Transaction) -> String {
    let parked =
        if transaction.parked { ", parked: nothing is tried until somebody asks for it" } else { "" };
    let mut text = format!("{} is {}{parked}\n", transaction.xid, transaction.status);
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<12}{value}\n"));
        }
    };
    line("name", transaction.name.clone());
    line("application", transaction.application.clone());
    line("group", transaction.group.clone());
    let ago = |at: u64| format!("{} ago", duration(view::now().saturating_sub(at)));
    line("begun", transaction.begun_at.map(ago).unwrap_or_default());
    line("time-out", transaction.timeout_ms.map(duration).unwrap_or_default());
    line("ended", transaction.ended_at.map(ago).unwrap_or_default());
    line("why", transaction.reason.clone().unwrap_or_default());
    line("waits for", transaction.waits_for.join(", "));
    line(
        "failed tries",
        if transaction.failures > 0 { transaction.failures.to_string() } else { String::new() },
    );
    if transaction.branches.is_empty() {
        return text;
    }
    if may_be_dirty(transaction) {
        text.push_str(&format!(
            "\nlook at its rows with: seata undo-log show --database URL {}\n",
            transaction.xid
        ));
    }
    let mut table = table(&["BRANCH", "TYPE", "STATUS", "RESOURCE", "CLIENT", "LOCKS"]);
    for branch in &transaction.branches {
        let more = branch.lock_count.saturating_sub(branch.locks.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        table.add_row([
            branch.id.clone(),
            branch.branch_type.clone(),
            branch.status.clone(),
            branch.resource.clone(),
            branch.client.clone(),
            format!("{}{more}", branch.locks.join(" ")),
        ]);
    }
    let more = transaction.branch_count.saturating_sub(transaction.branches.len() as u64);
    let more = if more > 0 { format!("and {more} more branches\n") } else { String::new() };
    text + "\n" + &view::text(&table) + &more
}

/// Of what parks a rollback of rows, dirty ones are the case for a person.
fn may_be_dirty(transaction: &Transaction) -> bool {
    let has_rows = transaction.branches.iter().any(|branch| branch.branch_type == "AT");
    transaction.parked && transaction.status.contains("Rollback") && has_rows
}
