//! A coordinator that runs as a server of its own.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use seata_context::CoordinationError;
use seata_protocol::{GlobalBegin, Message, Release, ResourceId, TransactionExceptionCode, Xid};
use tokio::{
    runtime,
    sync::{Semaphore, SemaphorePermit, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    ServerState, Settings, SettingsError,
    connection::CallError,
    counted::Counted,
    link::{Context, Link, Role},
    phase_two::PhaseTwo,
    registration::Identity,
    servers::{Destination, Servers},
    settings::FOREVER,
};

/// An application's way to a coordinator that runs as a server of its own: the client side of the Seata
/// protocol.
///
/// It keeps two connections to every server of its cluster, one for transactions and one for resources, and
/// brings back those that are lost. Clones are the same client; when the last one is dropped, its tasks end.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use seata_client::{RemoteCoordinator, Services, Settings};
///
/// let settings = Settings::new(Services::servers(["127.0.0.1:8091"]));
/// let coordinator = RemoteCoordinator::connect("order", "default_tx_group", settings).await?;
/// for server in coordinator.servers() {
///     println!("{}: {}", server.address, server.transaction_manager);
/// }
/// coordinator.shutdown(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteCoordinator(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    servers: Servers,
    calls: Calls,
    /// Tells the links when their closing must be over.
    stop: watch::Sender<Option<Instant>>,
    running: watch::Receiver<usize>,
    tasks: Mutex<JoinSet<()>>,
}

/// What a server answered.
pub(crate) struct Answer {
    /// Its place in the list of servers.
    pub(crate) server: usize,
    /// Its numbers mean what they mean in this one.
    pub(crate) release: Release,
    pub(crate) message: Message,
}

/// Why no server took the application in.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The settings cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No server of the cluster registered the application in time.
    #[error("{reason}; `seata doctor` shows which link is broken")]
    NoServer {
        /// What came of the attempts with each server.
        reason: String,
        /// How each server stands.
        servers: Vec<ServerState>,
    },
}

/// Why a shutdown was not a clean one. Everything is stopped nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Something was still under way when the limit had passed.
    #[error(
        "shutdown was cut short after {limit:?}: {calls} calls had no answer, {branches} branches of phase two \
         were not answered; the coordinator asks for these again"
    )]
    TimedOut {
        /// The limit.
        limit: Duration,
        /// Calls of this application that were still under way.
        calls: usize,
        /// Calls of phase two that were still under way.
        branches: usize,
    },
}

impl RemoteCoordinator {
    /// A client that is registered with at least one server of the group's cluster; the others follow in the
    /// background. Waits for [`Settings::wait_for_server`] at most; if that is zero, for one attempt with each
    /// server. With [`Settings::start_without_server`] it waits for nothing.
    ///
    /// # Errors
    /// [`ConnectError::Settings`] before anything is tried, [`ConnectError::NoServer`] when no server took the
    /// application in.
    pub async fn connect(application: &str, group: &str, settings: Settings) -> Result<Self, ConnectError> {
        let coordinator = Self::start(application, group, settings)?;
        if coordinator.0.context.settings.start_without_server {
            return Ok(coordinator);
        }
        let is_connected = |link: &Link| link.connection().is_some();
        let connected = coordinator.wait_for_link(Role::TransactionManager, is_connected).await;
        match connected {
            Ok(()) => Ok(coordinator),
            Err(reason) => Err(ConnectError::NoServer { reason, servers: coordinator.servers() }),
        }
    }

    /// A client that connects in the background. Calls wait for a server as
    /// [`Settings::wait_for_server`] says.
    ///
    /// # Errors
    /// [`SettingsError`] when the settings cannot work, and outside a tokio runtime.
    pub fn start(application: &str, group: &str, settings: Settings) -> Result<Self, SettingsError> {
        settings.validate(application, group)?;
        let settings = settings.bounded();
        let runtime = runtime::Handle::try_current().map_err(|_| SettingsError::NoRuntime)?;
        let servers = Servers::new(settings.services.resolve(group)?, &settings);
        let context = Arc::new(Context {
            identity: Identity::new(application, group, settings.credentials.clone()),
            phase_two: PhaseTwo::new(&settings, runtime.clone()),
            resources: watch::Sender::default(),
            settings,
        });
        let stop = watch::Sender::new(None);
        let (count, running) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for link in servers.links() {
            let guard = Counted::new(&count);
            let run = link.clone().run(context.clone(), stop.subscribe());
            let task = async move {
                run.await;
                drop(guard);
            };
            tasks.spawn_on(task, &runtime);
        }
        let tasks = Mutex::new(tasks);
        Ok(Self(Arc::new(Inner { context, servers, calls: Calls::new(), stop, running, tasks })))
    }

    /// How this application stands with each server of its cluster, in the order of the list.
    pub fn servers(&self) -> Vec<ServerState> {
        self.0.servers.states()
    }

    /// Ends the client in good order: no call begins any more, those under way get their answers, what the
    /// coordinator has asked of resources is answered, then the connections are closed.
    ///
    /// Dropping the returned future leaves a client that takes no calls; a later call goes on where it was.
    /// On a client that is shut down it succeeds at once.
    ///
    /// # Errors
    /// [`ShutdownError::TimedOut`] when the limit has passed before; the rest is then cut off.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), ShutdownError> {
        let inner = &*self.0;
        let deadline = Instant::now() + limit.min(FOREVER);
        inner.calls.refuse_further();
        let in_order = timeout_at(deadline, async {
            // The coordinator may have to ask our own resources before it answers a commit.
            inner.calls.ended().await;
            inner.context.phase_two.drain().await;
            inner.stop.send_replace(Some(deadline));
            let mut running = inner.running.clone();
            // An error means that all tasks are gone.
            let _ = running.wait_for(|count| *count == 0).await;
        });
        let result = in_order.await.map_err(|_| ShutdownError::TimedOut {
            limit,
            calls: inner.calls.under_way(),
            branches: inner.context.phase_two.under_way(),
        });
        inner.context.phase_two.stop();
        inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for link in inner.servers.links() {
            link.cut_off().await;
        }
        tracing::info!(clean = result.is_ok(), "the Seata client is shut down");
        result
    }

    /// Sends a request to a server and returns its answer.
    pub(crate) async fn call(
        &self,
        role: Role,
        destination: Destination<'_>,
        request: Message,
    ) -> Result<Answer, CoordinationError> {
        let inner = &*self.0;
        let _place = inner.calls.enter()?;
        let settings = &inner.context.settings;
        let limit = match role {
            Role::TransactionManager => settings.transaction_request_timeout,
            Role::ResourceManager => settings.branch_request_timeout,
        };
        let (mut repetitions, wait) = match &request {
            // A second begin costs a transaction without branches, which ends by its time-out. Nobody waits
            // longer for a transaction than it may last.
            Message::GlobalBegin(begin) => {
                (MAX_REPETITIONS, settings.wait_for_server.min(time_out_of(begin)))
            }
            _ => (0, settings.wait_for_server),
        };
        let deadline = Instant::now() + wait;
        loop {
            let reached = inner.servers.reach(role, destination, deadline).await;
            let reached = reached.map_err(|reason| CoordinationError::Unreachable { reason })?;
            let error = match reached.connection.call(&request, limit).await {
                Ok(message) => {
                    return Ok(Answer { server: reached.server, release: reached.release, message });
                }
                Err(error) => error,
            };
            let server = inner.servers.address(reached.server);
            match error {
                CallError::Unsendable { .. } => {
                    let code = TransactionExceptionCode::Io;
                    return Err(CoordinationError::Refused { code, message: error.to_string() });
                }
                // The connection has gone meanwhile: that is no reason to fail where there are others, or time.
                CallError::Closing { .. } | CallError::Ended { sent: false, .. } => {}
                CallError::Ended { .. } if repetitions > 0 => repetitions -= 1,
                _ => {
                    let reason = format!("server {server}: {error}");
                    return Err(CoordinationError::Unreachable { reason });
                }
            }
            tracing::debug!(%server, %error, "a request is sent once more");
        }
    }

    /// Makes a resource known to servers, now and after each reconnect, and waits until one of them has
    /// confirmed it, unless the client may start without a server.
    pub(crate) async fn announce(&self, id: &ResourceId) -> Result<(), CoordinationError> {
        let _place = self.0.calls.enter()?;
        self.0.context.resources.send_if_modified(|resources| {
            let is_new = !resources.contains(id);
            if is_new {
                resources.push(id.clone());
            }
            is_new
        });
        if self.0.context.settings.start_without_server {
            return Ok(());
        }
        let count = self.resources_up_to(id);
        let is_confirmed = |link: &Link| link.has_resources(count);
        let confirmed = self.wait_for_link(Role::ResourceManager, is_confirmed).await;
        confirmed.map_err(|reason| CoordinationError::Unreachable {
            reason: format!("resource {id} is not registered yet: {reason}"),
        })
    }

    /// How many resources a server knows that knows this one: they are announced in order. 0 if nobody ever
    /// registered it.
    pub(crate) fn resources_up_to(&self, id: &ResourceId) -> usize {
        let place = self.0.context.resources.borrow().iter().position(|known| known == id);
        place.map_or(0, |place| place + 1)
    }

    pub(crate) fn phase_two(&self) -> &PhaseTwo {
        &self.0.context.phase_two
    }

    pub(crate) fn server(&self, server: usize) -> &crate::ServerAddress {
        self.0.servers.address(server)
    }

    pub(crate) fn learn(&self, xid: &Xid, server: usize) {
        self.0.servers.learn(xid, server);
    }

    async fn wait_for_link(&self, role: Role, found: impl Fn(&Link) -> bool) -> Result<(), String> {
        let settings = &self.0.context.settings;
        let only_once = settings.wait_for_server.is_zero();
        // An attempt ends by itself, and is to be the first to do so.
        let limit =
            if only_once { settings.connect_timeout + ATTEMPT_GRACE } else { settings.wait_for_server };
        self.0.servers.wait_for_link(role, Instant::now() + limit, only_once, found).await
    }
}

impl fmt::Debug for RemoteCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCoordinator")
            .field("cluster", &self.0.servers.cluster())
            .field("servers", &self.servers())
            .finish_non_exhaustive()
    }
}

/// How often a request is sent once more whose connection was lost: it may be the cause.
const MAX_REPETITIONS: u32 = 2;

/// How long after its limit an attempt may be seen to have failed.
const ATTEMPT_GRACE: Duration = Duration::from_secs(1);

fn time_out_of(begin: &GlobalBegin) -> Duration {
    Duration::from_millis(begin.timeout_ms.try_into().unwrap_or_default())
}

/// The calls that are under way.
struct Calls {
    places: Semaphore,
    is_closed: AtomicBool,
}

/// More calls than there can ever be.
const PLACES: u32 = u32::MAX >> 4;

impl Calls {
    fn new() -> Self {
        Self { places: Semaphore::new(PLACES as usize), is_closed: AtomicBool::new(false) }
    }

    fn enter(&self) -> Result<SemaphorePermit<'_>, CoordinationError> {
        let place = self.places.try_acquire();
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(CoordinationError::ShuttingDown);
        }
        place.map_err(|_| CoordinationError::ShuttingDown)
    }

    fn refuse_further(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    async fn ended(&self) {
        // Everybody's place together is had when nobody has one.
        let _all = self.places.acquire_many(PLACES).await;
    }

    fn under_way(&self) -> usize {
        PLACES as usize - self.places.available_permits()
    }
}
