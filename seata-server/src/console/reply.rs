//! How our own REST API answers and refuses.

use axum::{
    Json,
    extract::{
        Path,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use seata_coordinator::driver::{OperatorError, Unavailable};
use serde::Serialize;

/// An error that says what to do: `{"error": "…"}` with its status.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    text: String,
}

/// What a handler of our own API gives.
pub(super) type Reply<T> = Result<Json<T>, Refusal>;

/// A part of the path, decoded.
pub(super) type PathOf<T> = Result<Path<T>, PathRejection>;

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// With this body and its status; whoever comes too early is told when to come again.
    pub(super) fn answer(&self, body: impl Serialize) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
        }
        response
    }
}

const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("2");

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.answer(Body { error: &self.text })
    }
}

impl From<BytesRejection> for Refusal {
    fn from(error: BytesRejection) -> Self {
        Self::new(error.status(), format!("the body cannot be read: {}", error.body_text()))
    }
}

impl From<PathRejection> for Refusal {
    fn from(error: PathRejection) -> Self {
        Self::bad_request(error.body_text())
    }
}

impl From<Unavailable> for Refusal {
    fn from(error: Unavailable) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<OperatorError> for Refusal {
    fn from(error: OperatorError) -> Self {
        let status = match error {
            OperatorError::Unknown { .. } => StatusCode::NOT_FOUND,
            OperatorError::Ended { .. } | OperatorError::NotAllowed { .. } => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
