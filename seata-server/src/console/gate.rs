//! What is answered while the server starts, and the way to everything else from then on.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tower::ServiceExt;

use crate::Tc;

use super::{Readiness, reply::Refusal};

/// Cloning is cheap, and all clones are the same.
#[derive(Clone)]
pub(super) struct Gate {
    readiness: Readiness,
    inside: Arc<OnceLock<Inside>>,
}

struct Inside {
    tc: Tc,
    router: Router,
}

impl Gate {
    /// A closed one.
    pub(super) fn new(readiness: Readiness) -> Self {
        Self { readiness, inside: Arc::default() }
    }

    /// From now on `router` answers what is not answered outside.
    pub(super) fn open(&self, tc: Tc, router: Router) {
        // A second time changes nothing.
        let _ = self.inside.set(Inside { tc, router });
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The coordinator, once there is one.
    pub(super) fn tc(&self) -> Option<&Tc> {
        self.inside.get().map(|inside| &inside.tc)
    }
}

/// Hands a request on to the inside.
pub(super) async fn pass(State(gate): State<Gate>, request: Request) -> Response {
    match gate.inside.get() {
        Some(Inside { router, .. }) => {
            let Ok(response) = router.clone().oneshot(request).await;
            response
        }
        None => {
            let why = gate.readiness.why_not().unwrap_or_default();
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{why}; try again")).into_response()
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = self.inside.get().is_some();
        f.debug_struct("Gate").field("readiness", &self.readiness).field("is_open", &is_open).finish()
    }
}
