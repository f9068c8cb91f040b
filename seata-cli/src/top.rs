//! `seata top`: what a server is doing, as it goes.

use std::{
    io::{self, IsTerminal as _},
    thread,
    time::Duration,
};

use clap::Args;
use seata_client::config::parse_duration;
use serde_json::Value;

use crate::{
    Outcome,
    console::{Console, ConsoleError, Session},
    terminal::{self, print, print_json},
    tx,
    view::{self, Overview, Transaction, Transactions, duration, table},
};

/// Shows what a server is doing, as it goes
///
/// Rates are those since the last look; the transactions are the oldest that are open, parked ones first. A server
/// that goes away is asked again until it is back.
#[derive(Args)]
pub(crate) struct Top {
    /// The pause between two looks: 500ms, 2s
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = pause)]
    every: Duration,
    /// Look so many times, then end [default: until interrupted; once if the output is neither a terminal nor JSON]
    #[arg(long, value_name = "COUNT")]
    times: Option<u64>,
    /// How many transactions to list
    #[arg(long, default_value_t = 15)]
    limit: u32,
    /// Print one line of the server's JSON for each look
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    console: Console,
}

/// What one look at a server found.
struct Look {
    answer: Value,
    overview: Overview,
    /// The oldest that are open, parked ones first. None where JSON is printed.
    transactions: Vec<Transaction>,
}

impl Top {
    pub(crate) fn run(self) -> Result<Outcome, ConsoleError> {
        let is_screen = io::stdout().is_terminal() && !self.json;
        let times = self.times.unwrap_or(if is_screen || self.json { u64::MAX } else { 1 });
        // A server that was never there is a mistake in the arguments; one that goes away may come back.
        let mut session = self.console.log_in()?;
        let mut last: Option<Overview> = None;
        let mut outcome = Outcome::Well;
        for look in 0..times {
            if look > 0 {
                thread::sleep(self.every);
            }
            let seen = self.look_again(&mut session);
            if is_screen {
                terminal::clear();
            }
            match seen {
                Ok(Look { answer, overview, transactions }) => {
                    match self.json {
                        true => print_json(&answer, false),
                        false => print(&(head(&overview, last.as_ref()) + &body(&transactions))),
                    }
                    last = Some(overview);
                    outcome = Outcome::Well;
                }
                Err(error) if last.is_some() && error.is_passing() => {
                    self.tell_gap(&error, is_screen);
                    outcome = Outcome::NotWell;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    /// Looks, with a new token where the old one has ended: with its time, or with the server that gave it.
    fn look_again(&self, session: &mut Session) -> Result<Look, ConsoleError> {
        match self.look(session) {
            Err(error) if error.is_logged_out() => {
                *session = self.console.log_in()?;
                self.look(session)
            }
            looked => looked,
        }
    }

    fn look(&self, session: &Session) -> Result<Look, ConsoleError> {
        let answer = session.get("/v1/overview", &[])?;
        let overview: Overview = session.view(&answer)?;
        let transactions = if self.json { Vec::new() } else { self.transactions(session)? };
        Ok(Look { answer, overview, transactions })
    }

    fn transactions(&self, session: &Session) -> Result<Vec<Transaction>, ConsoleError> {
        let mut shown = Vec::new();
        for state in ["parked", "open"] {
            let query = [("state", Some(state.to_owned())), ("limit", Some(self.limit.to_string()))];
            let page: Transactions = session.view(&session.get("/v1/transactions", &query)?)?;
            let once = |transaction: &Transaction| transaction.parked == (state == "parked");
            shown.extend(page.transactions.into_iter().filter(once));
        }
        shown.truncate(self.limit as usize);
        Ok(shown)
    }

    /// Nobody answered this time.
    fn tell_gap(&self, error: &ConsoleError, is_screen: bool) {
        let next = format!("tried again every {:?} until it answers", self.every);
        match is_screen {
            true => print(&format!("{error}\n\n{next}; Ctrl-C ends\n")),
            // Not among what a program reads.
            false => terminal::complain(&format!("{error}; {next}")),
        }
    }
}

fn body(transactions: &[Transaction]) -> String {
    if transactions.is_empty() {
        return String::new();
    }
    let mut table = table(&["XID", "STATUS", "AGE", "APPLICATION", "NAME", "LOCKS", "WHY"]);
    for transaction in transactions {
        table.add_row([
            transaction.xid.clone(),
            transaction.status.clone(),
            transaction.age_ms.map(duration).unwrap_or_default(),
            transaction.application.clone(),
            transaction.name.clone(),
            transaction.locks.to_string(),
            tx::why(transaction),
        ]);
    }
    format!("\n{}", view::text(&table))
}

fn head(now: &Overview, last: Option<&Overview>) -> String {
    // Since the last look; the first time, and after a restart, since the server's start.
    let since = last.filter(|last| last.started_at == now.started_at);
    let restarted = if last.is_some() && since.is_none() { ", started anew since the last look" } else { "" };
    let seconds =
        now.now.saturating_sub(since.map_or(now.started_at, |last| last.now)).max(1) as f64 / 1_000.0;
    let rate = |count: fn(&Overview) -> u64| {
        format!("{:.1}/s", count(now).saturating_sub(since.map_or(0, count)) as f64 / seconds)
    };
    let statuses: Vec<String> =
        now.by_status.iter().map(|(status, count)| format!("{status} {count}")).collect();
    let statuses = if statuses.is_empty() { String::new() } else { format!(" ({})", statuses.join(", ")) };
    format!(
        "seata-server {} at {}, {} store, up {}{restarted}\n\
         clients       {} connections, {} TM, {} RM\n\
         transactions  {} open{statuses}, {} parked\n\
         row locks     {} held, {} waited for\n\
         rates         begun {}, committed {}, rolled back {}, failed {}, given up {}\n",
        now.version,
        now.host,
        now.store,
        duration(now.now.saturating_sub(now.started_at)),
        now.connections,
        now.tm,
        now.rm,
        now.open,
        now.parked,
        now.locks,
        now.waiting,
        rate(|seen| seen.begun),
        rate(|seen| seen.committed),
        rate(|seen| seen.rolled_back),
        rate(|seen| seen.failed),
        rate(|seen| seen.given_up),
    )
}

fn pause(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(pause) if pause < Duration::from_millis(100) => Err("at least 100ms".to_owned()),
        Ok(pause) => Ok(pause),
        Err(error) => Err(error.to_string()),
    }
}
