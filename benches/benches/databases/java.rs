//! Java's coordinator, for both clients, and Java's client.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures_util::future::LocalBoxFuture;
use seata::Seata;
use seata_benches::{java::Java, load::Turn};
use seata_tests::java::Server;

use crate::{
    application,
    candidate::{Candidate, length},
};

/// What Java's compilers need until they compile no more.
const WARM_UP: Duration = Duration::from_secs(15);

/// Java's server in file mode, and an application of ours on it.
pub(crate) struct Coordinator {
    server: Server,
    application: Seata,
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        let server = Server::start_with(&["-Xmx1g", "-Dlogging.level.root=WARN"]).await;
        let application = application().server(server.address()).start().await.expect("an application");
        Self { server, application }
    }

    pub(crate) fn application(&self) -> &Seata {
        &self.application
    }

    /// Java's client on these databases, plain and in AT mode, in one process.
    pub(crate) fn clients(&self, databases: &[String; 2]) -> [Box<dyn Candidate>; 2] {
        let process = Rc::new(RefCell::new(Java::start("Purchases", &self.server.address(), databases)));
        let client = |name, work| Client { name, work, process: process.clone() };
        [Box::new(client("Java, plain", "plain")), Box::new(client("Java, AT, its coordinator", "at"))]
    }
}

struct Client {
    name: &'static str,
    work: &'static str,
    process: Rc<RefCell<Java>>,
}

impl Client {
    fn run(&mut self, concurrency: usize, length: Duration) -> Turn {
        // Nothing else of this process has work meanwhile.
        self.process.borrow_mut().turn(self.work, concurrency, length).0
    }
}

impl Candidate for Client {
    fn name(&self) -> &str {
        self.name
    }

    fn turn(&mut self, concurrency: usize) -> LocalBoxFuture<'_, Turn> {
        let turn = self.run(concurrency, length());
        Box::pin(async move { turn })
    }

    fn warm_up(&mut self) -> LocalBoxFuture<'_, ()> {
        self.run(16, WARM_UP);
        Box::pin(async {})
    }
}
