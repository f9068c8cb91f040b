//! `seata top`: what a server is doing, as it goes.

use std::{io::IsTerminal as _, thread, time::Duration};

use clap::Args;
use seata_client::config::parse_duration;

use crate::{
    Outcome,
    console::{Console, ConsoleError, Session},
    print, tx,
    view::{self, Overview, Transactions, duration, table},
};

/// Shows what a server is doing, as it goes
///
/// Rates are those since the last look; the transactions are the oldest that are open, parked ones first.
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

/// Moves the cursor home and clears what stands behind it.
const HOME: &str = "\x1b[H\x1b[J";

impl Top {
    pub(crate) fn run(self) -> Result<Outcome, ConsoleError> {
        let is_terminal = std::io::stdout().is_terminal();
        let times = self.times.unwrap_or(if is_terminal || self.json { u64::MAX } else { 1 });
        let mut session = self.console.log_in()?;
        let mut last = None;
        for look in 0..times {
            if look > 0 {
                thread::sleep(self.every);
            }
            let (text, seen) = match self.look(&session, last.as_ref()) {
                // A token ends after a while, and a server may have been started anew.
                Err(ConsoleError::Refused { .. }) => {
                    session = self.console.log_in()?;
                    self.look(&session, last.as_ref())?
                }
                looked => looked?,
            };
            print(&if is_terminal && !self.json { format!("{HOME}{text}") } else { text });
            last = Some(seen);
        }
        Ok(Outcome::Well)
    }

    fn look(&self, session: &Session, last: Option<&Overview>) -> Result<(String, Overview), ConsoleError> {
        let answer = session.get("/v1/overview", &[])?;
        let overview: Overview = session.view(&answer)?;
        if self.json {
            return Ok((format!("{answer}\n"), overview));
        }
        let limit = Some(self.limit.to_string());
        let mut shown = Vec::new();
        for state in ["parked", "open"] {
            let query = [("state", Some(state.to_owned())), ("limit", limit.clone())];
            let page: Transactions = session.view(&session.get("/v1/transactions", &query)?)?;
            shown.extend(
                page.transactions.into_iter().filter(|transaction| transaction.parked == (state == "parked")),
            );
        }
        shown.truncate(self.limit as usize);
        let mut text = head(&overview, last);
        if !shown.is_empty() {
            let mut table = table(&["XID", "STATUS", "AGE", "APPLICATION", "NAME", "LOCKS", "WHY"]);
            for transaction in &shown {
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
            text.push('\n');
            text.push_str(&view::text(&table));
        }
        Ok((text, overview))
    }
}

fn head(now: &Overview, last: Option<&Overview>) -> String {
    // Since the last look; the first time, and after a restart, since the server's start.
    let since = last.filter(|last| last.started_at == now.started_at);
    let seconds =
        now.now.saturating_sub(since.map_or(now.started_at, |last| last.now)).max(1) as f64 / 1_000.0;
    let rate = |count: fn(&Overview) -> u64| {
        format!("{:.1}/s", count(now).saturating_sub(since.map_or(0, count)) as f64 / seconds)
    };
    let statuses: Vec<String> =
        now.by_status.iter().map(|(status, count)| format!("{status} {count}")).collect();
    let statuses = if statuses.is_empty() { String::new() } else { format!(" ({})", statuses.join(", ")) };
    format!(
        "seata-server {} at {}, {} store, up {}\n\
         clients       {} connections, {} TM, {} RM\n\
         transactions  {} open{statuses}, {} parked\n\
         row locks     {} held, {} waited for\n\
         rates         begun {}, committed {}, rolled back {}, failed {}\n",
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
    )
}

fn pause(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(pause) if pause < Duration::from_millis(100) => Err("at least 100ms".to_owned()),
        Ok(pause) => Ok(pause),
        Err(error) => Err(error.to_string()),
    }
}
