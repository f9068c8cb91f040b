//! Statements that were analysed before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Analysis, Flavor, Refusal, Rows, analyse, committed_read};

/// How many statement texts are kept. A text is dropped when it was not used while as many others were.
const GENERATION: usize = 512;

/// How many bytes they have together, where they are long: an analysis takes a few times as many.
const BYTES: usize = 4 << 20;

/// What is known of statements, by their text.
#[derive(Default)]
pub(crate) struct StatementCache {
    analyses: Texts<Arc<Analysis>>,
    reads: Texts<Result<Option<Arc<Rows>>, Refusal>>,
}

impl StatementCache {
    /// What the statement is.
    pub(crate) fn analysis(&self, flavor: Flavor, sql: &str) -> Arc<Analysis> {
        self.analyses.find_or(sql, || Arc::new(analyse(flavor, sql)))
    }

    /// The rows that a reading statement reads.
    pub(crate) fn committed_read(&self, flavor: Flavor, sql: &str) -> Result<Option<Arc<Rows>>, Refusal> {
        self.reads.find_or(sql, || committed_read(flavor, sql).map(|rows| rows.map(Arc::new)))
    }
}

/// Values of the last [`GENERATION`] texts, or of [`BYTES`] of them, at least and of twice as many at most.
struct Texts<V>(Mutex<Generations<V>>);

struct Generations<V> {
    young: HashMap<Arc<str>, V>,
    old: HashMap<Arc<str>, V>,
    young_bytes: usize,
}

impl<V: Clone> Texts<V> {
    fn find_or(&self, sql: &str, make: impl FnOnce() -> V) -> V {
        if let Some(known) = self.generations().find(sql) {
            return known;
        }
        let value = make();
        self.generations().insert(sql.into(), value.clone());
        value
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, Generations<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> Generations<V> {
    fn find(&mut self, sql: &str) -> Option<V> {
        if let Some(known) = self.young.get(sql) {
            return Some(known.clone());
        }
        let (text, known) = self.old.remove_entry(sql)?;
        self.insert(text, known.clone());
        Some(known)
    }

    fn insert(&mut self, sql: Arc<str>, value: V) {
        if self.young.len() >= GENERATION || self.young_bytes >= BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += sql.len();
        self.young.insert(sql, value);
    }
}

impl<V> Default for Texts<V> {
    fn default() -> Self {
        Self(Mutex::new(Generations { young: HashMap::new(), old: HashMap::new(), young_bytes: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let cache = StatementCache::default();
        let kept = cache.analysis(Flavor::Sqlite, "SELECT 'kept'");
        for number in 0..3 * GENERATION {
            cache.analysis(Flavor::Sqlite, &format!("SELECT {number}"));
            let again = cache.analysis(Flavor::Sqlite, "SELECT 'kept'");
            assert!(Arc::ptr_eq(&kept, &again), "forgotten after {number}");
        }
        let generations = cache.analyses.generations();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION + 1);
    }

    #[test]
    fn long_texts_push_out_others_sooner() {
        let cache = StatementCache::default();
        for number in 0..40 {
            cache.analysis(Flavor::Sqlite, &format!("SELECT '{}{number}'", "x".repeat(BYTES / 4)));
        }
        let generations = cache.analyses.generations();
        assert!(generations.young.len() + generations.old.len() <= 10);
    }
}
