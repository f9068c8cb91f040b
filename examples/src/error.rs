//! What can go wrong in a purchase, and how it travels over HTTP and gRPC.

use ::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tonic::{Code, Status};

/// Why a purchase was not made.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// A service said no, for a reason of its trade. Another purchase may succeed.
    #[error("{0}")]
    Refused(String),
    /// A service failed, or could not be reached.
    #[error("{service} failed: {reason}")]
    Service {
        /// The service.
        service: &'static str,
        /// What it answered, or what became of the call.
        reason: String,
    },
    /// A database, or AT mode around it.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The same, as SeaORM says it.
    #[error(transparent)]
    SeaOrm(#[from] sea_orm::DbErr),
    /// The global transaction could not be begun, or did not commit.
    #[error(transparent)]
    Transaction(#[from] seata::Error),
}

impl ShopError {
    /// The failure of a call to this service.
    pub fn service(service: &'static str, reason: impl ToString) -> Self {
        Self::Service { service, reason: reason.to_string() }
    }

    /// The status of an HTTP answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Service { .. } => StatusCode::BAD_GATEWAY,
            Self::Database(_) | Self::SeaOrm(_) | Self::Transaction(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The error behind an HTTP answer of a service.
    pub fn from_http(service: &'static str, status: StatusCode, reason: String) -> Self {
        match status {
            StatusCode::CONFLICT => Self::Refused(reason),
            _ => Self::Service { service, reason: format!("{status}: {reason}") },
        }
    }

    /// The error behind a gRPC status of a service.
    pub fn from_grpc(service: &'static str, status: &Status) -> Self {
        match status.code() {
            Code::FailedPrecondition => Self::Refused(status.message().to_owned()),
            code => Self::Service { service, reason: format!("{code:?}: {}", status.message()) },
        }
    }
}

/// What an axum handler answers with.
impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        (self.status(), self.to_string()).into_response()
    }
}

/// What a tonic handler answers with.
impl From<ShopError> for Status {
    fn from(error: ShopError) -> Self {
        match error {
            ShopError::Refused(reason) => Self::failed_precondition(reason),
            ShopError::Service { .. } => Self::unavailable(error.to_string()),
            ShopError::Database(_) | ShopError::SeaOrm(_) | ShopError::Transaction(_) => {
                Self::internal(error.to_string())
            }
        }
    }
}
