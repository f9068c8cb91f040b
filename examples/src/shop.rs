//! The four services in one process, with a coordinator there or on a server of its own.

use std::time::Duration;

use seata::{Coordinator, Seata, SeataBuilder, ShutdownError};

use crate::{
    account::{AccountClient, Accounts},
    business::Business,
    database::{Database, Databases},
    order::{OrderClient, Orders},
    server::{ServeError, Server},
    storage::{Storage, StorageClient},
};

/// How long closing waits for transactions that are still open.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Where the coordinator is. Nothing else in the shop depends on it.
#[derive(Clone, Debug)]
pub enum Place {
    /// In this process, shared by all services.
    Embedded(Coordinator),
    /// On a server, `host:port`, such as a Java Seata server.
    Server(String),
}

impl Place {
    /// What a service of this name starts with.
    pub fn builder(&self, service: &str) -> SeataBuilder {
        let builder = Seata::builder(service);
        match self {
            Self::Embedded(coordinator) => builder.coordinator(coordinator),
            Self::Server(address) => builder.server(address),
        }
    }
}

/// A running shop.
#[derive(Debug)]
pub struct Shop {
    /// The service that buyers talk to.
    pub business: Business,
    place: Place,
    databases: [Database; 3],
    applications: [Seata; 4],
    servers: [Server; 3],
}

impl Shop {
    /// Starts the services on free loopback ports, with these databases. Whatever an
    /// earlier run left unfinished in them is finished from here on.
    ///
    /// # Errors
    /// What kept a service from starting.
    pub async fn start(place: Place, databases: &Databases) -> Result<Self, ServeError> {
        // In real life each of these is a program of its own, with one `Seata` value.
        let account = place.builder("account").start().await?;
        let accounts = Accounts::open(databases, &account).await?;
        let account_database = accounts.database().clone();
        let account_server =
            Server::start(|listener, stop| accounts.serve(account.clone(), listener, stop)).await?;

        let order = place.builder("order").start().await?;
        let to_accounts = AccountClient::new(account_server.address());
        let orders = Orders::open(databases, &order, to_accounts).await?;
        let order_database = orders.database().clone();
        let order_server =
            Server::start(|listener, stop| orders.serve(order.clone(), listener, stop)).await?;

        let storage = place.builder("storage").start().await?;
        let stock = Storage::open(databases, &storage).await?;
        let storage_database = stock.database().clone();
        let storage_server = Server::start(|listener, stop| stock.serve(&storage, listener, stop)).await?;

        let business = place.builder("business").start().await?;
        Ok(Self {
            business: Business::open(
                databases,
                &business,
                StorageClient::new(storage_server.address()),
                OrderClient::new(order_server.address())?,
            )
            .await?,
            place,
            databases: [storage_database, order_database, account_database],
            applications: [business, storage, order, account],
            servers: [storage_server, order_server, account_server],
        })
    }

    /// The coordinator of all its transactions, if it is in this process.
    pub fn coordinator(&self) -> Option<&Coordinator> {
        match &self.place {
            Place::Embedded(coordinator) => Some(coordinator),
            Place::Server(_) => None,
        }
    }

    /// Takes the databases of storage, order and account away from the coordinator, as an outage does: phase two has
    /// to wait until they are back.
    ///
    /// # Errors
    /// When a service is too busy to leave.
    pub async fn lose_databases(&self) -> Result<(), ShutdownError> {
        match self.coordinator() {
            Some(coordinator) => {
                self.databases.iter().for_each(|database| coordinator.detach(database.resource_id()));
            }
            None => {
                for application in &self.applications[1..] {
                    application.shutdown(CLOSE_LIMIT).await?;
                }
            }
        }
        Ok(())
    }

    /// The databases of storage, order and account, in AT mode.
    pub fn databases(&self) -> &[Database; 3] {
        &self.databases
    }

    /// Stops in order: callers before the called, and a coordinator in this process last.
    ///
    /// # Errors
    /// What did not end well.
    pub async fn close(self) -> Result<(), ServeError> {
        let Self { business, place, databases, applications, servers } = self;
        drop((business, databases));
        for server in servers {
            server.stop().await?;
        }
        for application in applications {
            application.shutdown(CLOSE_LIMIT).await?;
        }
        if let Place::Embedded(coordinator) = place {
            coordinator.shutdown(CLOSE_LIMIT).await?;
        }
        Ok(())
    }
}
