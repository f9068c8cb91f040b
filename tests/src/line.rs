//! A line between a client and its server that can be cut.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Passes connections on to an address. Cut, it ends those that there are and takes no more.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    connections: JoinSet<()>,
}

impl Line {
    /// A line to this server.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(listener, server.to_owned(), shared.clone()));
        Self { address, shared, accepting }
    }

    /// Where it begins.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Ends all connections, and each new one at once.
    pub fn cut(&self) {
        let mut state = self.shared.state.lock().expect("nobody panics with it");
        state.is_cut = true;
        state.connections.abort_all();
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.shared.state.lock().expect("nobody panics with it").is_cut = false;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, server: String, shared: Arc<Shared>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut state = shared.state.lock().expect("nobody panics with it");
        while state.connections.try_join_next().is_some() {}
        if state.is_cut {
            continue;
        }
        let server = server.clone();
        state.connections.spawn(async move {
            let Ok(mut server) = TcpStream::connect(server).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
