//! What the command line asks for.

use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt as _};
use seata_benches::{
    generator::{End, Work},
    is_measurement,
};

use crate::candidate::Kind;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Compare,
    Growth,
    Soak,
    Idle,
    Load,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    /// Which servers take part.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) concurrency: Vec<usize>,
    /// How long one turn is.
    pub(crate) turn: Duration,
    /// How many turns each server has.
    pub(crate) rounds: usize,
    /// How transactions with branches end.
    pub(crate) end: End,
    pub(crate) branches: usize,
    pub(crate) locks: usize,
    pub(crate) merged: bool,
    /// How many applications there are at most, each with two connections.
    pub(crate) applications: usize,
    /// How many transactions are left open.
    pub(crate) open: u64,
    /// How long the soak is.
    pub(crate) soak: Duration,
    /// Idle connections.
    pub(crate) connections: usize,
}

impl Options {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut options = if is_measurement() { Self::measurement() } else { Self::check() };
        let mut parser = Parser::from_env();
        let mut parts = Vec::new();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("bench") => {}
                Arg::Value(part) => parts.push(part.parse_with(parse_part)?),
                Arg::Long("kind") => options.kinds = vec![parser.value()?.parse_with(parse_kind)?],
                Arg::Long("concurrency") => options.concurrency = parser.value()?.parse_with(parse_list)?,
                Arg::Long("seconds") => options.turn = Duration::from_secs_f64(parser.value()?.parse()?),
                Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
                Arg::Long("branches") => options.branches = parser.value()?.parse()?,
                Arg::Long("locks") => options.locks = parser.value()?.parse()?,
                Arg::Long("rollback") => options.end = End::Rollback,
                Arg::Long("merged") => options.merged = true,
                Arg::Long("applications") => options.applications = parser.value()?.parse()?,
                Arg::Long("open") => options.open = parser.value()?.parse()?,
                Arg::Long("minutes") => {
                    options.soak = Duration::from_secs_f64(60.0 * parser.value()?.parse::<f64>()?);
                }
                Arg::Long("connections") => options.connections = parser.value()?.parse()?,
                argument => return Err(argument.unexpected()),
            }
        }
        if !parts.is_empty() {
            options.parts = parts;
        }
        Ok(options)
    }

    fn measurement() -> Self {
        Self {
            parts: vec![Part::Compare],
            kinds: Kind::ALL.to_vec(),
            concurrency: vec![1, 64, 512],
            turn: Duration::from_secs(1),
            rounds: 3,
            end: End::Commit,
            branches: 2,
            locks: 2,
            merged: false,
            applications: 8,
            open: 1_000_000,
            soak: Duration::from_secs(60),
            connections: 10_000,
        }
    }

    /// All parts, as small as they can be: whether they work.
    fn check() -> Self {
        Self {
            parts: vec![Part::Compare, Part::Growth, Part::Soak, Part::Idle],
            turn: Duration::from_millis(100),
            rounds: 1,
            open: 2_000,
            soak: Duration::from_millis(500),
            connections: 100,
            ..Self::measurement()
        }
    }

    /// What a transaction with branches does.
    pub(crate) fn work(&self) -> Work {
        Work { branches: self.branches, locks: self.locks, end: self.end }
    }
}

fn parse_part(text: &str) -> Result<Part, String> {
    match text {
        "compare" => Ok(Part::Compare),
        "growth" => Ok(Part::Growth),
        "soak" => Ok(Part::Soak),
        "idle" => Ok(Part::Idle),
        "load" => Ok(Part::Load),
        text => Err(format!("there is no part {text:?}: use compare, growth, soak, idle or load")),
    }
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join("\", \"");
    let kind = Kind::ALL.iter().find(|kind| kind.name() == text);
    kind.copied().ok_or_else(|| format!("there is no server {text:?} here, but \"{}\"", names()))
}

fn parse_list(text: &str) -> Result<Vec<usize>, std::num::ParseIntError> {
    text.split(',').map(str::parse).collect()
}
