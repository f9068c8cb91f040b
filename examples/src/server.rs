//! A service that listens on a free loopback port until it is told to stop.

use std::{error::Error, future::Future, net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// How long requests that are under way may take when their server stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What ends a server.
pub type ServeError = Box<dyn Error + Send + Sync>;

/// A running service. Dropping it stops it at once, [`stop`](Self::stop) in order.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    /// Binds a free loopback port and runs `serve` on it. The function gets the listener, and a future
    /// that is ready when it has to stop.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start<F, E>(serve: impl FnOnce(TcpListener, Stop) -> F) -> std::io::Result<Self>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<ServeError>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, Stop(stopped));
        let task = tokio::spawn(async { serving.await.map_err(Into::into) });
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and waits, for a limited time, until the requests under way are answered.
    ///
    /// # Errors
    /// What ended the server.
    pub async fn stop(self) -> Result<(), ServeError> {
        drop(self.stop);
        let abort = self.task.abort_handle();
        match tokio::time::timeout(STOP_LIMIT, self.task).await {
            Ok(ended) => ended?,
            Err(elapsed) => {
                abort.abort();
                Err(elapsed.into())
            }
        }
    }
}

/// Tells a server to stop.
#[derive(Debug)]
pub struct Stop(oneshot::Receiver<()>);

impl Stop {
    /// Is ready when the server has to stop.
    pub async fn requested(self) {
        // An error says that the sender is gone, which is how it is told.
        let _ = self.0.await;
    }
}
