//! The order service: who ordered what. gRPC, served by tonic; it has the account service debited.

use std::{net::SocketAddr, time::Duration};

use seata::{
    Seata,
    at::AtOpenError,
    tonic::{JoinTransactionLayer, PropagateTransaction, PropagateTransactionLayer},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tower::ServiceBuilder;

use crate::{
    ShopError,
    account::AccountClient,
    database::{Database, Databases},
    server::Stop,
};
use proto::{CreatedOrder, NewOrder, orders_client::OrdersClient, orders_server};

/// Generated from `proto/order.proto`.
#[allow(missing_docs, reason = "generated code")]
pub mod proto {
    tonic::include_proto!("shop");
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id      {number},
        buyer   VARCHAR(40) NOT NULL,
        product VARCHAR(40) NOT NULL,
        pieces  BIGINT NOT NULL,
        amount  BIGINT NOT NULL
    );
";

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What the service has: its database, in AT mode, and a way to the accounts.
#[derive(Clone, Debug)]
pub struct Orders {
    database: Database,
    accounts: AccountClient,
}

impl Orders {
    /// Opens the service's database.
    ///
    /// # Errors
    /// When it cannot be opened, or cannot take part in global transactions.
    pub async fn open(
        databases: &Databases,
        seata: &Seata,
        accounts: AccountClient,
    ) -> Result<Self, AtOpenError> {
        Ok(Self { database: databases.open("order", SCHEMA, seata).await?, accounts })
    }

    /// The database, in AT mode.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Answers calls until it is told to stop. The layer runs each of them in its caller's transaction.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn serve(
        self,
        seata: Seata,
        listener: TcpListener,
        stop: Stop,
    ) -> Result<(), tonic::transport::Error> {
        tonic::transport::Server::builder()
            .layer(JoinTransactionLayer::new(&seata))
            .add_service(orders_server::OrdersServer::new(self))
            .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.requested())
            .await
    }
}

#[tonic::async_trait]
impl orders_server::Orders for Orders {
    async fn create(&self, request: Request<NewOrder>) -> Result<Response<CreatedOrder>, Status> {
        let order = request.into_inner();
        let id = self.database.statements().insert_order(&order).await?;
        self.accounts.debit(&order.buyer, order.amount).await?;
        Ok(Response::new(CreatedOrder { id }))
    }
}

/// How other services reach this one.
#[derive(Clone, Debug)]
pub struct OrderClient(OrdersClient<PropagateTransaction<Channel>>);

impl OrderClient {
    /// A client of the service at this address. It connects when it is first used.
    ///
    /// # Errors
    /// When the address makes no URI.
    pub fn new(address: SocketAddr) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.timeout(CALL_LIMIT).connect_lazy();
        // Around the channel: what stands inside it runs on another task, outside the caller's transaction.
        let channel = ServiceBuilder::new().layer(PropagateTransactionLayer::new()).service(channel);
        Ok(Self(OrdersClient::new(channel)))
    }

    /// Writes an order down and has it paid for. Returns its number.
    ///
    /// # Errors
    /// Refused when the buyer has not enough money.
    pub async fn create(&self, order: NewOrder) -> Result<i64, ShopError> {
        let created = self.0.clone().create(order).await;
        created.map(|order| order.into_inner().id).map_err(|status| ShopError::from_grpc("order", &status))
    }
}
