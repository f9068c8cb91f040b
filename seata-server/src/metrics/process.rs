//! What the process itself uses. Only Linux tells it; elsewhere these families are absent.

use std::{
    fs,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use prometheus::{Counter, core::Collector, proto::MetricFamily};

use super::reading;

#[derive(Debug, Default)]
pub(super) struct Process {}

impl Process {
    pub(super) fn collect(&self, started: Instant) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        if let Some(bytes) = resident() {
            families.push(reading("process_resident_memory_bytes", "Resident memory.", bytes));
        }
        if let Some(seconds) = cpu_seconds() {
            let name = "process_cpu_seconds_total";
            let counter = Counter::new(name, "CPU time of all threads, user and system.");
            let counter = counter.expect("the name is well formed");
            counter.inc_by(seconds);
            families.extend(counter.collect());
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            families.push(reading("process_open_fds", "Open file descriptors.", entries.count() as f64));
        }
        if let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) {
            let start = now.saturating_sub(started.elapsed()).as_secs_f64();
            families.push(reading("process_start_time_seconds", "Start time since the epoch.", start));
        }
        families
    }
}

fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn cpu_seconds() -> Option<f64> {
    /// The kernel's unit for these two fields, the same on every common architecture.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the command's name in parentheses, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}
