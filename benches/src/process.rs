//! What the system says of processes.

use std::{fs, time::Duration};

/// User and system time of all threads of this process, in steps of 10 ms.
///
/// # Panics
/// Where there is no `/proc/self/stat`.
pub fn cpu_time() -> Duration {
    cpu_time_of("self")
}

/// As [`cpu_time`], of another process.
///
/// # Panics
/// When there is no such process.
pub fn cpu_time_of(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("a process, on Linux");
    // The name of the process stands in parentheses and may hold spaces.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let ticks =
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// The memory that this process occupies.
///
/// # Panics
/// Where there is no `/proc/self/status`.
pub fn resident_bytes() -> u64 {
    resident_bytes_of("self")
}

/// As [`resident_bytes`], of another process.
///
/// # Panics
/// When there is no such process.
pub fn resident_bytes_of(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process, on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}
