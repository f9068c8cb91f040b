//! The servers of the cluster, and the way from a call to one of them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use seata_protocol::{Release, Xid};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    RoleState, ServerAddress, ServerState,
    balance::{Balancer, Candidate},
    connection::Connection,
    counted::Counted,
    link::{Link, Role},
    services::Cluster,
    settings::Settings,
};

/// How many addresses that are in no list are remembered. Servers have one each, so more are a mistake.
const MAX_ALIASES: usize = 1024;

/// The servers of one cluster, each with its two links.
pub(crate) struct Servers {
    cluster: String,
    list: Vec<Server>,
    balancer: Balancer,
    /// Where XIDs say that they are from → which server began them. A server's XIDs carry the address that it
    /// has for itself, which need not be the one in the list.
    aliases: RwLock<HashMap<Box<str>, usize>>,
    changes: watch::Sender<()>,
    /// How many callers wait for a connection: links are in more of a hurry then.
    callers: watch::Sender<usize>,
}

struct Server {
    address: ServerAddress,
    transaction_manager: Arc<Link>,
    resource_manager: Arc<Link>,
}

/// What decides which server a call goes to.
#[derive(Clone, Copy)]
pub(crate) enum Destination<'a> {
    /// A new transaction of this name.
    Begin(&'a str),
    /// Whatever concerns this transaction.
    Of(&'a Xid),
    /// A new branch of this transaction. Phase two will look for its resource among those that the server
    /// knows, so it must know the first so many.
    Branch(&'a Xid, usize),
    /// No transaction.
    Any,
}

/// A server that can be called.
pub(crate) struct Reached {
    pub(crate) server: usize,
    pub(crate) release: Release,
    pub(crate) connection: Connection,
}

impl Servers {
    pub(crate) fn new(cluster: Cluster<'_>, settings: &Settings) -> Self {
        let changes = watch::Sender::new(());
        let callers = watch::Sender::new(0);
        let link = |role, address: &ServerAddress| {
            Arc::new(Link::new(role, address.clone(), changes.clone(), callers.clone()))
        };
        let list = cluster.servers.iter().map(|address| Server {
            address: address.clone(),
            transaction_manager: link(Role::TransactionManager, address),
            resource_manager: link(Role::ResourceManager, address),
        });
        Self {
            cluster: cluster.name.to_owned(),
            list: list.collect(),
            balancer: Balancer::new(settings.load_balance, cluster.servers),
            aliases: RwLock::default(),
            changes,
            callers,
        }
    }

    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(crate) fn address(&self, server: usize) -> &ServerAddress {
        &self.list[server].address
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.list.iter().flat_map(|server| [&server.transaction_manager, &server.resource_manager])
    }

    pub(crate) fn states(&self) -> Vec<ServerState> {
        let state = |server: &Server| ServerState {
            address: server.address.clone(),
            transaction_manager: server.transaction_manager.state(),
            resource_manager: server.resource_manager.state(),
        };
        self.list.iter().map(state).collect()
    }

    /// A connected server for a call, waiting until the deadline for one. On failure: what keeps each of
    /// those that could have served it.
    pub(crate) async fn reach(
        &self,
        role: Role,
        destination: Destination<'_>,
        deadline: Instant,
    ) -> Result<Reached, String> {
        let began = Instant::now();
        let mut waiting = None;
        loop {
            if let Some(reached) = self.pick(role, destination) {
                self.warn_of_strangers(destination);
                return Ok(reached);
            }
            // Looked at once more when changes are seen: one may have come in between.
            let Some((changes, _counted)) = &mut waiting else {
                waiting = Some((self.changes.subscribe(), Counted::new(&self.callers)));
                continue;
            };
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(self.describe_absence(role, destination, began.elapsed()));
            }
        }
    }

    /// Waits until `found` is true for a link of this role, or until the deadline, or, if told so, until an
    /// attempt with each server has failed.
    pub(crate) async fn wait_for_link(
        &self,
        role: Role,
        deadline: Instant,
        gives_up_early: bool,
        found: impl Fn(&Link) -> bool,
    ) -> Result<(), String> {
        let began = Instant::now();
        let mut changes = self.changes.subscribe();
        let _counted = Counted::new(&self.callers);
        loop {
            if self.list.iter().any(|server| found(server.link(role))) {
                return Ok(());
            }
            let is_hopeless = gives_up_early && self.list.iter().all(|server| server.link(role).has_failed());
            if is_hopeless || timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(self.describe_absence(role, Destination::Any, began.elapsed()));
            }
        }
    }

    /// Remembers which server a transaction was begun by.
    pub(crate) fn learn(&self, xid: &Xid, server: usize) {
        if !self.balancer.is_by_xid() || self.list.len() == 1 || is_listed_as(xid, self.address(server)) {
            return;
        }
        let is_known = |aliases: &HashMap<Box<str>, usize>| aliases.get(xid.coordinator()) == Some(&server);
        if is_known(&self.aliases.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut aliases = self.aliases.write().unwrap_or_else(PoisonError::into_inner);
        if aliases.len() >= MAX_ALIASES {
            aliases.clear();
        }
        tracing::debug!(server = %self.address(server), alias = xid.coordinator(), "a Seata server names itself");
        aliases.insert(xid.coordinator().into(), server);
    }

    fn pick(&self, role: Role, destination: Destination<'_>) -> Option<Reached> {
        let reached = |server: usize| {
            let link = self.list[server].link(role);
            let (connection, release) = link.connection_knowing(destination.resources())?;
            Some(Reached { server, release, connection })
        };
        if let Some(owner) = self.owner(destination) {
            return reached(owner);
        }
        let live: Vec<_> = (0..self.list.len()).filter_map(reached).collect();
        let candidate =
            |reached: &Reached| Candidate { server: reached.server, active: reached.connection.in_flight() };
        let candidates: Vec<_> = live.iter().map(candidate).collect();
        let chosen = self.balancer.choose(&candidates, destination.key())?;
        live.into_iter().find(|reached| reached.server == chosen)
    }

    /// The only server that a call may go to, if there is just one.
    fn owner(&self, destination: Destination<'_>) -> Option<usize> {
        match destination {
            _ if self.list.len() == 1 => Some(0),
            _ if self.balancer.is_by_xid() => self.owner_of(destination.xid()?),
            _ => None,
        }
    }

    fn warn_of_strangers(&self, destination: Destination<'_>) {
        if let Some(xid) = destination.xid()
            && self.balancer.is_by_xid()
            && self.owner(destination).is_none()
        {
            let cluster = &self.cluster;
            tracing::warn!(%xid, cluster, "no server is known to have begun this transaction: asking any");
        }
    }

    fn owner_of(&self, xid: &Xid) -> Option<usize> {
        let listed = self.list.iter().position(|server| is_listed_as(xid, &server.address));
        let learned = || {
            let aliases = self.aliases.read().unwrap_or_else(PoisonError::into_inner);
            aliases.get(xid.coordinator()).copied()
        };
        let connected = || {
            let ip: IpAddr = xid.host().parse().ok()?;
            self.list.iter().position(|server| {
                let peer = server.transaction_manager.peer_address();
                peer.is_some_and(|peer| peer.ip().to_canonical() == ip && peer.port() == xid.port())
            })
        };
        let with_this_port = || {
            let mut servers =
                (0..self.list.len()).filter(|&server| self.address(server).port() == xid.port());
            servers.next().filter(|_| servers.next().is_none())
        };
        listed.or_else(learned).or_else(connected).or_else(with_this_port)
    }

    fn describe_absence(&self, role: Role, destination: Destination<'_>, waited: Duration) -> String {
        let waited = match waited.as_millis() {
            0 => String::new(),
            _ => format!(" after {:.1} s", waited.as_secs_f64()),
        };
        match (self.owner(destination), destination.xid()) {
            (Some(owner), Some(xid)) => {
                let server = &self.list[owner];
                let state = server.link(role).state();
                let lacks = if state.is_connected() { "ready for its branch" } else { "connected" };
                format!(
                    "server {}, which has transaction {xid}, is not {lacks}{waited}: {state}",
                    server.address
                )
            }
            _ => format!(
                "no available service: no server of cluster {:?} is connected{waited}; {}",
                self.cluster,
                self.list.iter().map(|server| server.describe(role)).collect::<Vec<_>>().join("; ")
            ),
        }
    }
}

impl Server {
    fn link(&self, role: Role) -> &Arc<Link> {
        match role {
            Role::TransactionManager => &self.transaction_manager,
            Role::ResourceManager => &self.resource_manager,
        }
    }

    fn describe(&self, role: Role) -> String {
        match self.link(role).state() {
            RoleState::Unused => format!("{}: not needed yet", self.address),
            state => format!("{}: {state}", self.address),
        }
    }
}

impl<'a> Destination<'a> {
    fn key(self) -> &'a str {
        match self {
            Self::Begin(name) => name,
            Self::Of(xid) | Self::Branch(xid, _) => xid.as_str(),
            Self::Any => "",
        }
    }

    fn xid(self) -> Option<&'a Xid> {
        match self {
            Self::Of(xid) | Self::Branch(xid, _) => Some(xid),
            Self::Begin(_) | Self::Any => None,
        }
    }

    /// How many resources the server must know.
    fn resources(self) -> usize {
        if let Self::Branch(_, resources) = self { resources } else { 0 }
    }
}

fn is_listed_as(xid: &Xid, address: &ServerAddress) -> bool {
    xid.port() == address.port() && xid.host().eq_ignore_ascii_case(address.host())
}
