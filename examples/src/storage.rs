//! The storage service: what is in stock. HTTP/1, served by axum.

use std::{future::Future, io, net::SocketAddr};

use axum::{Json, Router, extract::State, routing::post};
use seata::{Seata, at::AtOpenError, tower::JoinTransactionLayer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::{
    ShopError,
    database::{Database, Databases},
    http::JsonClient,
    server::Stop,
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS stock (product VARCHAR(40) PRIMARY KEY NOT NULL, pieces BIGINT NOT NULL);
    INSERT INTO stock SELECT 'chair', 100 WHERE NOT EXISTS (SELECT * FROM stock WHERE product = 'chair');
    INSERT INTO stock SELECT 'lamp', 100 WHERE NOT EXISTS (SELECT * FROM stock WHERE product = 'lamp');
";

/// What the service has: its database, in AT mode.
#[derive(Clone, Debug)]
pub struct Storage {
    database: Database,
}

/// What a caller sends.
#[derive(Debug, Deserialize, Serialize)]
struct Deduct {
    product: String,
    pieces: u32,
}

impl Storage {
    /// Opens the service's database.
    ///
    /// # Errors
    /// When it cannot be opened, or cannot take part in global transactions.
    pub async fn open(databases: &Databases, seata: &Seata) -> Result<Self, AtOpenError> {
        Ok(Self { database: databases.open("storage", SCHEMA, seata).await? })
    }

    /// The database, in AT mode.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Answers requests until it is told to stop. The layer runs each handler in its caller's transaction.
    pub fn serve(
        self,
        seata: &Seata,
        listener: TcpListener,
        stop: Stop,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let router = Router::new()
            .route("/deduct", post(deduct))
            .layer(JoinTransactionLayer::new(seata))
            .with_state(self);
        axum::serve(listener, router).with_graceful_shutdown(stop.requested()).into_future()
    }
}

async fn deduct(State(storage): State<Storage>, Json(request): Json<Deduct>) -> Result<(), ShopError> {
    let Deduct { product, pieces } = request;
    if storage.database.statements().deduct(&product, pieces).await? {
        Ok(())
    } else {
        Err(ShopError::Refused(format!("fewer than {pieces} of {product} in stock")))
    }
}

/// How other services reach this one.
#[derive(Clone, Debug)]
pub struct StorageClient(JsonClient);

impl StorageClient {
    /// A client of the service at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self(JsonClient::new("storage", address))
    }

    /// Takes pieces out of the stock.
    ///
    /// # Errors
    /// Refused when there are not as many.
    pub async fn deduct(&self, product: &str, pieces: u32) -> Result<(), ShopError> {
        self.0.post("/deduct", &Deduct { product: product.to_owned(), pieces }).await
    }
}
