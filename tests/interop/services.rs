//! The services of the example shop, each where Java can call it.

use std::net::SocketAddr;

use seata::Seata;
use seata_examples::{
    Databases,
    account::{AccountClient, Accounts},
    books::Books,
    business::Business,
    order::{OrderClient, Orders},
    server::Server,
    storage::{Storage, StorageClient},
};
use seata_tests::wait;

/// Running services, with their coordinator on a Java server.
pub(crate) struct Services {
    /// The application that begins transactions.
    pub(crate) business: Seata,
    pub(crate) storage: StorageClient,
    storage_server: Server,
    order_server: Server,
    _account_server: Server,
    _applications: [Seata; 3],
    databases: Databases,
    _directory: tempfile::TempDir,
}

impl Services {
    pub(crate) async fn start(server: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let databases = Databases::in_directory(directory.path());
        let at = &databases;
        let application = async |name: &str| Seata::builder(name).server(server).start().await.unwrap();

        let account = application("account").await;
        let accounts = Accounts::open(at, &account).await.unwrap();
        let account_server =
            Server::start(|listener, stop| accounts.serve(account.clone(), listener, stop)).await.unwrap();

        let order = application("order").await;
        let to_accounts = AccountClient::new(account_server.address());
        let orders = Orders::open(at, &order, to_accounts).await.unwrap();
        let order_server =
            Server::start(|listener, stop| orders.serve(order.clone(), listener, stop)).await.unwrap();

        let stock = application("storage").await;
        let storage = Storage::open(at, &stock).await.unwrap();
        let storage_server =
            Server::start(|listener, stop| storage.serve(&stock, listener, stop)).await.unwrap();
        let storage = StorageClient::new(storage_server.address());

        let business = application("business").await;
        let to_orders = OrderClient::new(order_server.address()).unwrap();
        // Its database has to be there for the books.
        Business::open(at, &business, storage.clone(), to_orders).await.unwrap();
        Self {
            business,
            storage,
            storage_server,
            order_server,
            _account_server: account_server,
            _applications: [account, order, stock],
            databases,
            _directory: directory,
        }
    }

    /// Where the storage service listens: HTTP.
    pub(crate) fn storage_address(&self) -> SocketAddr {
        self.storage_server.address()
    }

    /// Where the order service listens: gRPC.
    pub(crate) fn order_address(&self) -> SocketAddr {
        self.order_server.address()
    }

    /// Waits until every branch is final or undone, and every sum is right, and gives what is then written.
    pub(crate) async fn settle(&self) -> Books {
        wait::until("the end of all branches", || async {
            let books = Books::read(&self.databases).await.map_err(|error| error.to_string())?;
            if books.undo_rows == 0 { Ok(books) } else { Err(format!("{books:?}")) }
        })
        .await
    }
}
