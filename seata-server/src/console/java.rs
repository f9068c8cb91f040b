//! Java's console API: paths, parameters and JSON as its console has them.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{
        ConnectInfo, Query, Request, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    },
    middleware::Next,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};

use super::{
    ConsoleState,
    auth::{Auth, Failed, LoginError},
    reply::Refusal,
};

/// Paths without a token.
pub(super) fn open() -> Router<ConsoleState> {
    Router::new().route("/api/v1/auth/login", post(login))
}

/// Paths with one.
pub(super) fn guarded() -> Router<ConsoleState> {
    Router::new().merge(query::routes()).merge(operations::routes())
}

mod operations;
mod query;

/// Parameters behind the question mark, or why they cannot be read. As in Java others beside them do no harm:
/// its later consoles send some that mean nothing here.
type Parameters<T> = Result<Query<T>, QueryRejection>;

impl From<QueryRejection> for Refusal {
    fn from(error: QueryRejection) -> Self {
        Self::bad_request(error.body_text())
    }
}

/// Java's answer with one value.
#[derive(Debug, Serialize)]
struct Single<T> {
    code: Cow<'static, str>,
    message: String,
    data: Option<T>,
    success: bool,
}

impl<T> Single<T> {
    fn success(data: T) -> Self {
        Self { code: "200".into(), message: "success".to_owned(), data: Some(data), success: true }
    }

    fn failure(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), data: None, success: false }
    }
}

/// A refusal in Java's shape.
pub(super) fn failure(refusal: &Refusal) -> Response {
    let code = refusal.status().as_str().to_owned();
    refusal.answer(Single::<String>::failure(code, refusal.text()))
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn login(
    Extension(auth): Extension<Arc<Auth>>,
    Extension(from): Extension<ConnectInfo<SocketAddr>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return failure(&error.into()),
    };
    let Ok(Credentials { username, password }) = serde_json::from_slice(&body) else {
        let text = r#"expected {"username": "…", "password": "…"}"#;
        return (StatusCode::BAD_REQUEST, Json(Single::<String>::failure("400", text))).into_response();
    };
    match auth.login(from.0.ip(), &username, &password) {
        Ok(token) => {
            let token = format!("Bearer {token}");
            tracing::info!(target: "seata::audit", user = username, action = "login", from = %from.0, outcome = "done");
            ([(AUTHORIZATION, token.clone())], Json(Single::success(token))).into_response()
        }
        Err(Failed { error, line }) => {
            let status = match error {
                LoginError::TooMany => StatusCode::TOO_MANY_REQUESTS,
                // Java's status; the code says what happened.
                LoginError::Wrong => StatusCode::OK,
                LoginError::NoPassword => StatusCode::FORBIDDEN,
            };
            let code = match error {
                LoginError::TooMany => "429",
                LoginError::Wrong => "401",
                LoginError::NoPassword => "403",
            };
            if let Some(left_out) = line {
                tracing::warn!(
                    target: "seata::audit",
                    action = "login",
                    from = %from.0,
                    outcome = %error,
                    failures_left_out = left_out,
                );
            }
            let mut response =
                (status, Json(Single::<String>::failure(code, error.to_string()))).into_response();
            if error == LoginError::TooMany {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
            }
            response
        }
    }
}

/// Who is logged in.
#[derive(Clone, Debug)]
pub(super) struct User(pub(super) Arc<str>);

/// Lets requests with a valid token through.
pub(super) async fn guard(State(auth): State<Arc<Auth>>, mut request: Request, next: Next) -> Response {
    match token(request.headers(), request.uri()).and_then(|token| auth.check(&token)) {
        Some(user) => {
            request.extensions_mut().insert(User(user.into()));
            next.run(request).await
        }
        None => {
            // Both shapes: Java's, and that of our own paths.
            let text = "log in first: POST /api/v1/auth/login, then send the token as Authorization: Bearer";
            let body = format!(
                r#"{{"code":"401","message":"{text}","data":null,"success":false,"error":"{text}"}}"#
            );
            (StatusCode::UNAUTHORIZED, [(CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}

fn token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        return value.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned);
    }
    // A token consists of letters that need no escape.
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix("access_token=")).map(str::to_owned)
}
