//! The four services in one process, on one coordinator.

use std::{path::Path, time::Duration};

use seata::{Coordinator, Seata};

use crate::{
    account::{AccountClient, Accounts},
    business::Business,
    order::{OrderClient, Orders},
    server::{ServeError, Server},
    storage::{Storage, StorageClient},
};

/// How long closing waits for transactions that are still open.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A running shop.
#[derive(Debug)]
pub struct Shop {
    /// The service that buyers talk to.
    pub business: Business,
    coordinator: Coordinator,
    applications: [Seata; 4],
    servers: [Server; 3],
}

impl Shop {
    /// Starts the services on free loopback ports, with their databases in `directory`. Whatever an
    /// earlier run left unfinished in them is finished from here on.
    ///
    /// # Errors
    /// What kept a service from starting.
    pub async fn start(coordinator: Coordinator, directory: &Path) -> Result<Self, ServeError> {
        // In real life each of these is a program of its own, with one `Seata` value.
        let account = Seata::builder("account").coordinator(&coordinator).start().await?;
        let accounts = Accounts::open(directory, &account).await?;
        let account_server =
            Server::start(|listener, stop| accounts.serve(account.clone(), listener, stop)).await?;

        let order = Seata::builder("order").coordinator(&coordinator).start().await?;
        let to_accounts = AccountClient::new(account_server.address());
        let orders = Orders::open(directory, &order, to_accounts).await?;
        let order_server =
            Server::start(|listener, stop| orders.serve(order.clone(), listener, stop)).await?;

        let storage = Seata::builder("storage").coordinator(&coordinator).start().await?;
        let stock = Storage::open(directory, &storage).await?;
        let storage_server = Server::start(|listener, stop| stock.serve(&storage, listener, stop)).await?;

        let business = Seata::builder("business").coordinator(&coordinator).start().await?;
        Ok(Self {
            business: Business::open(
                directory,
                &business,
                StorageClient::new(storage_server.address()),
                OrderClient::new(order_server.address())?,
            )
            .await?,
            coordinator,
            applications: [business, storage, order, account],
            servers: [storage_server, order_server, account_server],
        })
    }

    /// The coordinator of all its transactions.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// Stops in order: callers before the called, and the coordinator last.
    ///
    /// # Errors
    /// What did not end well.
    pub async fn close(self) -> Result<(), ServeError> {
        let Self { business, coordinator, applications, servers } = self;
        drop(business);
        for server in servers {
            server.stop().await?;
        }
        for application in applications {
            application.shutdown(CLOSE_LIMIT).await?;
        }
        Ok(coordinator.shutdown(CLOSE_LIMIT).await?)
    }
}
