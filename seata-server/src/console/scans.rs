//! Questions that may look at everything there is.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::reply::Refusal;

/// How many of them are worked on at a time: they take turns with the transactions.
const PLACES: usize = 2;
/// How long another one waits for a place.
const PATIENCE: Duration = Duration::from_secs(1);

/// The places for them. Cloning is cheap, and all clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Scans(Arc<Semaphore>);

impl Scans {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }

    /// A place, given back when it is dropped; `None` for a question that looks at little.
    pub(super) async fn place(&self, scans: bool) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        if !scans {
            return Ok(None);
        }
        match timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Some(place)),
            Ok(Err(_)) | Err(_) => {
                let text = format!(
                    "{PLACES} questions that look through everything are being answered; try again, or ask \
                     without a filter"
                );
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_too_many_is_refused_and_others_go_on() {
        let scans = Scans::new();
        let first = scans.place(true).await.expect("a place");
        let _second = scans.place(true).await.expect("a place");
        let refused = scans.place(true).await.expect_err("no place");
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(scans.place(false).await.expect("it needs none").is_none());
        drop(first);
        assert!(scans.place(true).await.expect("a place").is_some());
    }
}
