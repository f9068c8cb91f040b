//! A program on Java's client, in a process of its own, which does as it is told line by line.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::Duration,
};

use seata_tests::java::jvm;

use crate::load::Turn;

/// A running one. Killed when it is dropped.
#[derive(Debug)]
pub struct Java {
    process: Child,
    turns: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Java {
    /// Starts a class of the peer, as it is with Java's defaults, on the coordinator at this address.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(class: &str, server: &str, arguments: &[String]) -> Self {
        let mut process = jvm("peer")
            .arg(format!("-Dservice.default.grouplist={server}"))
            .arg("-Dlog.level=WARN")
            .arg(format!("interop.{class}"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a JVM");
        let turns = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut java = Self { process, turns, answers };
        // Drivers and pools say things before.
        while java.answer() != "ready" {}
        java
    }

    /// One turn of this work, and the bytes that the process occupies after it.
    ///
    /// # Panics
    /// When it fails.
    pub fn turn(&mut self, work: &str, concurrency: usize, length: Duration) -> (Turn, u64) {
        writeln!(self.turns, "{work} {concurrency} {}", length.as_millis()).expect("it listens");
        let answer = self.answer();
        let numbers: Vec<u64> = answer.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [done, time, cpu, resident] = numbers[..] else { panic!("four numbers, not {answer:?}") };
        let turn = Turn {
            done,
            time: Duration::from_nanos(time),
            cpu: Duration::from_nanos(cpu),
            drained: Duration::ZERO,
        };
        (turn, resident)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).expect("it answers");
        assert!(read > 0, "it has ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
