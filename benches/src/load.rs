//! So many workers that do one thing again and again, and what that cost.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::cpu_time;

/// One turn of one candidate.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// How often the work was done.
    pub done: u64,
    /// How long the turn was.
    pub time: Duration,
    /// The CPU time that the process spent in it.
    pub cpu: Duration,
    /// How long the rest took that nobody waited for, after the end.
    pub drained: Duration,
}

impl Turn {
    /// How often per second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.time.as_secs_f64()
    }

    /// Microseconds from start to end of one, as a worker sees it.
    pub fn latency(&self, concurrency: usize) -> f64 {
        concurrency as f64 * 1e6 / self.rate()
    }

    /// Microseconds of CPU for each.
    pub fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.done as f64
    }
}

/// Runs `work` on so many tasks for so long, and then `drain`, whose CPU time counts and whose duration
/// does not. `work` is given the numbers of its worker and of its run.
pub async fn run<W, F>(concurrency: usize, time: Duration, work: W, drain: impl Future<Output = ()>) -> Turn
where
    W: Fn(usize, u64) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    let work = Arc::new(work);
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut workers = JoinSet::new();
    for worker in 0..concurrency {
        let work = Arc::clone(&work);
        workers.spawn(async move {
            let mut runs = 0;
            while start.elapsed() < time {
                work(worker, runs).await;
                runs += 1;
            }
            runs
        });
    }
    let done = workers.join_all().await.into_iter().sum();
    let time = start.elapsed();
    drain.await;
    Turn { done, time, cpu: cpu_time() - cpu, drained: start.elapsed() - time }
}
