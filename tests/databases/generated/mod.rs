//! Statements nobody thought of: run in any order, by themselves or together, and undone. Whatever has run is
//! undone exactly; whatever cannot be is refused.

mod grammar;
mod mysql;
mod postgres;
mod sqlite;

use rand::{Rng as _, rngs::StdRng};
use seata::at::AtError;
use seata_tests::{amount, seed};

use crate::{
    engine::{Engine, on_each_database},
    world::{Options, World, application},
};

use self::grammar::{Grammar, Sentence, sentence};

/// Says how many statements are tried.
const VARIABLE: &str = "SEATA_GENERATED_STATEMENTS";
/// More rows than this are begun anew.
const MOST_ROWS: usize = 300;

/// What became of the statements.
#[derive(Debug, Default)]
struct Tally {
    run: usize,
    refused: usize,
    failed: usize,
    /// Rolled back, because the rows could not be told for sure.
    unsure: usize,
}

async fn whatever_runs_is_undone_exactly<E: Grammar>() {
    let statements = match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{VARIABLE} is to be a number, found {text:?}")),
        Err(_) => amount(300, 10_000),
    };
    let seed = seed::seed();
    let world =
        World::<E>::at_place(&application().await, E::near_database().await, E::SCHEMA, Options::default())
            .await;
    let mut before = world.dump().await;
    let mut tally = Tally::default();
    for case in 0.. {
        let mut numbers = seed::numbers(seed, case);
        let sentences: Vec<Sentence> =
            (0..numbers.random_range(1..7)).map(|_| sentence::<E>(&mut numbers)).collect();
        let together = numbers.random_bool(0.4);
        let shown = Shown(&sentences, together);
        let work = run(&world, &sentences, together, &mut tally);
        if numbers.random_bool(0.1) {
            world.committed(work).await;
            world.assert_no_undo_log("after a commit").await;
            before = world.dump().await;
            if before.len() > MOST_ROWS {
                world.reset(E::SCHEMA).await;
                before = world.dump().await;
            }
        } else {
            world.rolled_back(work).await;
            assert_same(&before, &world.dump().await);
        }
        drop(shown);
        if tally.run + tally.refused + tally.failed + tally.unsure >= statements {
            break;
        }
    }
    world.assert_clean("after all").await;
    println!("{}: {tally:?}", E::NAME);
    assert!(tally.run * 3 > statements, "most of it came to nothing: {tally:?}");
    assert!(tally.unsure * 50 < statements, "too much is not told for sure: {tally:?}");
}

/// Each statement a branch of its own, or all of them one.
async fn run<E: Engine>(world: &World<E>, sentences: &[Sentence], together: bool, tally: &mut Tally) {
    if !together {
        for sentence in sentences {
            tally.count(sentence, world.execute(&sentence.sql, &sentence.values).await);
        }
        return;
    }
    let mut local = world.begin().await.expect("a connection");
    for sentence in sentences {
        let mut savepoint = match E::nested(&mut local).await {
            Ok(savepoint) => savepoint,
            Err(error) => return assert_over(&error, sentences),
        };
        let result = E::local_execute(&mut savepoint, &E::placed(&sentence.sql), &sentence.values).await;
        let ended = if result.is_ok() { E::commit(savepoint).await } else { E::rollback(savepoint).await };
        tally.count(sentence, result);
        if let Err(error) = ended {
            return assert_over(&error, sentences);
        }
    }
    if let Err(error) = E::commit(local).await {
        assert_over(&error, sentences);
    }
}

/// After some errors all of a local transaction is taken back.
fn assert_over(error: &sqlx::Error, sentences: &[Sentence]) {
    let is_over = matches!(AtError::from_sqlx(error), Some(AtError::AlreadyRolledBack { .. }));
    assert!(is_over, "{sentences:#?}: {error}");
}

impl Tally {
    fn count(&mut self, sentence: &Sentence, result: Result<u64, sqlx::Error>) {
        match result {
            Ok(_) => self.run += 1,
            Err(error) => match AtError::from_sqlx(&error) {
                Some(AtError::Refused { .. } | AtError::UnusableKey { .. }) => self.refused += 1,
                Some(AtError::ImageMismatch { .. }) => self.unsure += 1,
                Some(other) => panic!("{sentence:?}: {other}"),
                // Constraints, types, ranges: the statement itself is wrong.
                None => {
                    assert!(error.as_database_error().is_some(), "{sentence:?}: {error}");
                    self.failed += 1;
                }
            },
        }
    }
}

fn assert_same(before: &[String], after: &[String]) {
    if before == after {
        return;
    }
    let lost: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
    let found: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    panic!("was: {lost:#?}\nis: {found:#?}");
}

/// Says what was run, when it went wrong.
struct Shown<'s>(&'s [Sentence], bool);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("together: {}; {:#?}", self.1, self.0);
        }
    }
}

/// One of these.
pub(crate) fn any<'a, T>(numbers: &mut StdRng, choices: &'a [T]) -> &'a T {
    &choices[numbers.random_range(0..choices.len())]
}

on_each_database!(whatever_runs_is_undone_exactly);
