//! Statements that were analysed before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Analysis, Flavor, analyse};

/// How many statement texts are kept. A text is dropped when it was not used while as many others were.
const GENERATION: usize = 512;

/// Analyses by statement text, of the last [`GENERATION`] texts at least and twice as many at most.
#[derive(Default)]
pub(crate) struct StatementCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Arc<str>, Arc<Analysis>>,
    old: HashMap<Arc<str>, Arc<Analysis>>,
}

impl StatementCache {
    pub(crate) fn analysis(&self, flavor: Flavor, sql: &str) -> Arc<Analysis> {
        if let Some(known) = self.generations().find(sql) {
            return known;
        }
        let analysis = Arc::new(analyse(flavor, sql));
        self.generations().insert(sql.into(), analysis.clone());
        analysis
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn find(&mut self, sql: &str) -> Option<Arc<Analysis>> {
        if let Some(known) = self.young.get(sql) {
            return Some(known.clone());
        }
        let (text, known) = self.old.remove_entry(sql)?;
        self.insert(text, known.clone());
        Some(known)
    }

    fn insert(&mut self, sql: Arc<str>, analysis: Arc<Analysis>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(sql, analysis);
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
        let generations = cache.generations();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION + 1);
    }
}
