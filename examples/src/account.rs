//! The account service: who has how much money. HTTP/1, served by hyper alone.

use std::{convert::Infallible, io, net::SocketAddr};

use ::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown, service::TowerToHyperService};
use seata::{Seata, at::AtOpenError, tower::JoinTransactionLayer};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinSet};
use tower::{ServiceBuilder, service_fn};

use crate::{
    ShopError,
    database::{Database, Databases},
    http::JsonClient,
    server::Stop,
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS account (owner VARCHAR(40) PRIMARY KEY NOT NULL, money BIGINT NOT NULL);
    INSERT INTO account SELECT 'alice', 1000 WHERE NOT EXISTS (SELECT * FROM account);
";

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// What the service has: its database, in AT mode.
#[derive(Clone, Debug)]
pub struct Accounts {
    database: Database,
}

/// What a caller sends.
#[derive(Debug, Deserialize, Serialize)]
struct Debit {
    owner: String,
    amount: i64,
}

impl Accounts {
    /// Opens the service's database.
    ///
    /// # Errors
    /// When it cannot be opened, or cannot take part in global transactions.
    pub async fn open(databases: &Databases, seata: &Seata) -> Result<Self, AtOpenError> {
        Ok(Self { database: databases.open("account", SCHEMA, seata).await? })
    }

    /// The database, in AT mode.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Answers requests until it is told to stop. The layer runs each of them in its caller's transaction.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, seata: Seata, listener: TcpListener, stop: Stop) -> io::Result<()> {
        let handler = service_fn(move |request| self.clone().handle(request));
        let service = ServiceBuilder::new().layer(JoinTransactionLayer::new(&seata)).service(handler);

        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop.requested());
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted?.0,
                Some(_) = connections.join_next() => continue,
                () = &mut stop => break,
            };
            let service = TowerToHyperService::new(service.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            connections.spawn(graceful.watch(connection));
        }
        graceful.shutdown().await;
        Ok(())
    }

    async fn handle(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::POST, "/debit") => match self.debit(request.into_body()).await {
                Ok(()) => (StatusCode::OK, String::new()),
                Err(error) => (error.status(), error.to_string()),
            },
            _ => (StatusCode::NOT_FOUND, "POST /debit is what there is".to_owned()),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        Ok(response)
    }

    async fn debit(&self, body: Incoming) -> Result<(), ShopError> {
        let malformed = |error: &dyn std::fmt::Display| ShopError::Refused(format!("not a debit: {error}"));
        let body = Limited::new(body, MAX_REQUEST).collect().await.map_err(|error| malformed(&error))?;
        let Debit { owner, amount } =
            serde_json::from_slice(&body.to_bytes()).map_err(|error| malformed(&error))?;
        let was_there = self.database.statements().debit(&owner, amount).await?;
        if was_there { Ok(()) } else { Err(ShopError::Refused(format!("{owner} has less than {amount}"))) }
    }
}

/// How other services reach this one.
#[derive(Clone, Debug)]
pub struct AccountClient(JsonClient);

impl AccountClient {
    /// A client of the service at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self(JsonClient::new("account", address))
    }

    /// Takes money out of an account.
    ///
    /// # Errors
    /// Refused when there is not as much.
    pub async fn debit(&self, owner: &str, amount: i64) -> Result<(), ShopError> {
        self.0.post("/debit", &Debit { owner: owner.to_owned(), amount }).await
    }
}
