//! Load on a server, as frames: one thread that does next to nothing itself.
//!
//! It plays applications with a TM and an RM connection each. Their transactions go one step after the other: begin,
//! a registration for each branch with row locks that nobody had before, commit or rollback; phase two is answered as
//! soon as it is asked for. What came together is worked on together, and answered in one write.

mod application;

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use self::application::Application;

/// How long a server may say nothing at all.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// How often connections say that they are there, as Java's do.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How exactly transactions are begun at a rate.
const TICK: Duration = Duration::from_millis(1);

/// What one transaction does.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How many AT branches it has.
    pub branches: usize,
    /// How many rows each of them locks.
    pub locks: usize,
    /// How it ends.
    pub end: End,
}

/// How transactions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// They commit.
    Commit,
    /// They roll back.
    Rollback,
    /// They do not: they stay open.
    Open,
}

/// When no further transaction is begun.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so long.
    Elapsed(Duration),
    /// After so many.
    Begun(u64),
}

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where the server listens.
    pub server: SocketAddr,
    /// How many applications there are, each with two connections.
    pub applications: usize,
    /// How many transactions are under way at a time.
    pub concurrency: usize,
    /// What each does.
    pub work: Work,
    /// When it is enough.
    pub until: Until,
    /// How many transactions are begun in a second; `None`: as many as there can be.
    pub rate: Option<f64>,
    /// Whether registrations that are said together go in one frame, as Java's resource managers send them.
    pub merged: bool,
    /// How long phase two may go on afterwards; the rest of it is not waited for.
    pub drain_limit: Duration,
}

/// What became of a load.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many transactions ended as they should.
    pub done: u64,
    /// How long that took, without what followed.
    pub time: Duration,
    /// How long each of them took, the shortest first.
    pub latencies: Vec<Duration>,
    /// How many branches still waited for phase two when the last transaction had ended.
    pub backlog: u64,
    /// How long they waited; `None` when some still do.
    pub drained: Option<Duration>,
    /// How many answers were none, and what the first one said.
    pub errors: u64,
    /// See [`errors`](Self::errors).
    pub first_error: Option<String>,
}

impl Report {
    /// Transactions per second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.time.as_secs_f64()
    }

    /// The latency that this part of the transactions did not exceed.
    pub fn percentile(&self, part: f64) -> Duration {
        let index = (self.latencies.len() as f64 * part) as usize;
        self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// Puts a load on a server, and waits until phase two is at an end.
///
/// # Errors
/// When a connection ends, or the server does not answer any more.
pub async fn run(load: Load) -> io::Result<Report> {
    Generator::connect(load).await?.run().await
}

/// Counts what is done, for all applications.
#[derive(Debug)]
struct Progress {
    load: Load,
    begun: u64,
    under_way: usize,
    /// Branches of transactions that were told to be at an end.
    decided: u64,
    /// Branches that were asked for phase two.
    finished: u64,
    report: Report,
}

impl Progress {
    /// Whether one more transaction may begin; it then counts as begun.
    fn begins(&mut self, since: Instant, now: Instant) -> bool {
        let elapsed = now - since;
        let is_enough = match self.load.until {
            Until::Elapsed(time) => elapsed >= time,
            Until::Begun(count) => self.begun >= count,
        };
        let is_early = self.load.rate.is_some_and(|rate| self.begun as f64 >= elapsed.as_secs_f64() * rate);
        let begins = !is_enough && !is_early && self.under_way < self.load.concurrency;
        if begins {
            self.begun += 1;
            self.under_way += 1;
        }
        begins
    }

    fn ended(&mut self, began: Instant, now: Instant) {
        self.under_way -= 1;
        self.report.done += 1;
        self.report.latencies.push(now - began);
    }

    fn failed(&mut self, error: impl FnOnce() -> String) {
        self.under_way -= 1;
        self.report.errors += 1;
        self.report.first_error.get_or_insert_with(error);
    }

    fn is_enough(&self, since: Instant, now: Instant) -> bool {
        match self.load.until {
            Until::Elapsed(time) => now - since >= time,
            Until::Begun(count) => self.begun >= count,
        }
    }
}

/// The next row that nobody has locked yet, in this process at least.
fn next_row() -> u64 {
    static ROWS: AtomicU64 = AtomicU64::new(1);
    ROWS.fetch_add(1, Ordering::Relaxed)
}

struct Generator {
    applications: Vec<Application>,
    progress: Progress,
}

impl Generator {
    async fn connect(load: Load) -> io::Result<Self> {
        let mut applications = Vec::new();
        for number in 0..load.applications {
            let share = load.concurrency.div_ceil(load.applications);
            applications.push(Application::connect(load.server, number, share).await?);
        }
        let progress =
            Progress { load, begun: 0, under_way: 0, decided: 0, finished: 0, report: Report::default() };
        Ok(Self { applications, progress })
    }

    async fn run(mut self) -> io::Result<Report> {
        let start = Instant::now();
        self.drive(|progress, now| progress.is_enough(start, now) && progress.under_way == 0, start).await?;
        let end = Instant::now();
        let progress = &mut self.progress;
        progress.report.time = end - start;
        progress.report.backlog = progress.decided.saturating_sub(progress.finished);

        let drain_limit = progress.load.drain_limit;
        let is_drained = |progress: &Progress| progress.finished >= progress.decided;
        self.drive(
            |progress, now| is_drained(progress) || now - end > drain_limit,
            // Nothing begins any more: the load was over long ago.
            start,
        )
        .await?;
        let progress = &mut self.progress;
        progress.report.drained = is_drained(progress).then(|| end.elapsed());
        progress.report.latencies.sort_unstable();
        Ok(std::mem::take(&mut progress.report))
    }

    /// Moves everything on until this is the case.
    async fn drive(
        &mut self,
        is_over: impl Fn(&Progress, Instant) -> bool,
        start: Instant,
    ) -> io::Result<()> {
        let period = if self.progress.load.rate.is_some() { TICK } else { 20 * TICK };
        let mut ticks = tokio::time::interval(period);
        let mut moved = Instant::now();
        let mut beat = Instant::now();
        poll_fn(|cx| {
            while ticks.poll_tick(cx).is_ready() {}
            let mut now = Instant::now();
            if now - beat > HEARTBEAT {
                beat = now;
                self.applications.iter_mut().for_each(Application::beat);
            }
            loop {
                let begun = self.begin(start, now);
                let came = self.poll_applications(cx)?;
                now = Instant::now();
                if begun || came {
                    moved = now;
                }
                if is_over(&self.progress, now) {
                    return Poll::Ready(Ok(()));
                }
                if now - moved > SILENCE_LIMIT {
                    let error = format!("nothing came for {SILENCE_LIMIT:?}");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)));
                }
                if !came {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Begins what may be begun, by those who have less to do first.
    fn begin(&mut self, start: Instant, now: Instant) -> bool {
        let mut begun = false;
        loop {
            let mut any = false;
            for application in &mut self.applications {
                if application.is_free() && self.progress.begins(start, now) {
                    application.begin(now);
                    any = true;
                }
            }
            begun |= any;
            if !any {
                return begun;
            }
        }
    }

    /// Whether anything came.
    fn poll_applications(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut came = false;
        for application in &mut self.applications {
            came |= application.poll(cx, &mut self.progress)?;
        }
        Ok(came)
    }
}
