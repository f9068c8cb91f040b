//! Who is connected, and the way to resource managers.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use seata_coordinator::{
    driver::{BranchTask, Participants, Reached},
    record::Millis,
    session::Phase,
};
use seata_protocol::{BranchType, ResourceId, UndoLogDelete};
use tokio::time::timeout;

use self::{batch::Batch, holders::Holders, questions::Questions};

pub(super) use self::peer::{Answer, Closing, Identity, Peer, Role};

mod batch;
mod holders;
mod peer;
mod questions;

/// All connected clients. Cloning is cheap, and all clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Clients {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    registry: RwLock<Registry>,
    next_peer: AtomicU64,
    next_request: AtomicI32,
    /// Spreads calls over clients of equal standing.
    turn: AtomicUsize,
    /// After how many milliseconds the answers to many calls are given back, however many are missing; 0: never.
    many_limit: AtomicU64,
}

#[derive(Default)]
struct Registry {
    peers: HashMap<u64, Entry>,
    by_resource: HashMap<ResourceId, Holders, RandomState>,
    applications: HashMap<Arc<str>, Application>,
}

/// What the connections of one application share.
struct Application {
    questions: Arc<Questions>,
    connections: usize,
}

/// Who a client says it is.
pub(super) struct Introduction<'a> {
    pub(super) application: &'a str,
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) role: Role,
    /// Beside those that it has.
    pub(super) resources: Vec<ResourceId>,
}

/// Why a client is not taken in. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("the connection belongs to application {0:?}, not to {1:?}: use one of its own")]
    OtherApplication(Arc<str>, String),
    #[error(
        "the client would have {count} resources, at most {limit} are allowed: raise server.maxResourcesPerClient"
    )]
    TooManyResources { count: usize, limit: usize },
    #[error("the connection has ended")]
    Ended,
}

struct Entry {
    peer: Arc<Peer>,
    /// In the order in which it named them.
    resources: IndexSet<ResourceId>,
}

/// One connected client, for people.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "the console shows all of it")]
pub(crate) struct ClientView {
    pub(crate) application: Arc<str>,
    pub(crate) group: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) version: Arc<str>,
    /// `TM`, `RM`.
    pub(crate) roles: Vec<&'static str>,
    /// The first of them.
    pub(crate) resources: Vec<ResourceId>,
    pub(crate) resource_count: usize,
    /// When it connected.
    pub(crate) since: Millis,
    /// Requests of it that are under way.
    pub(crate) in_flight: usize,
}

/// How many of its resources are named to people.
const NAMED_RESOURCES: usize = 100;

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(dead_code, reason = "the console shows all of it")]
pub(crate) struct ClientCounts {
    pub(crate) connections: usize,
    pub(crate) tm: usize,
    pub(crate) rm: usize,
    pub(crate) resources: usize,
}

#[allow(dead_code, reason = "the console asks")]
impl Clients {
    /// Up to `limit` registered clients that connected behind the one with the number `after`, each with its
    /// number, the longest connected first.
    pub(crate) fn page(&self, after: Option<u64>, limit: usize) -> Vec<(u64, ClientView)> {
        let registry = self.inner.registry.read().expect("nothing panics under it");
        let is_asked_for =
            |id: u64, entry: &Entry| after.is_none_or(|after| id > after) && entry.peer.identity().is_some();
        let asked_for = registry.peers.iter().filter(|(id, entry)| is_asked_for(**id, entry));
        let mut numbers: Vec<u64> = asked_for.map(|(id, _)| *id).collect();
        numbers.sort_unstable();
        numbers.truncate(limit);
        numbers.into_iter().filter_map(|id| Some((id, registry.peers.get(&id)?.view()?))).collect()
    }

    pub(crate) fn counts(&self) -> ClientCounts {
        let registry = self.inner.registry.read().expect("nothing panics under it");
        let with = |role| registry.peers.values().filter(|entry| entry.peer.has_role(role)).count();
        ClientCounts {
            connections: registry.peers.len(),
            tm: with(Role::Tm),
            rm: with(Role::Rm),
            resources: registry.by_resource.len(),
        }
    }

    /// Closes the connection of the client at `address`. Returns whether there is one.
    pub(crate) fn disconnect(&self, address: SocketAddr) -> bool {
        let peer = self.peers().into_iter().find(|peer| peer.address == address);
        peer.as_ref().is_some_and(|peer| peer.close(Closing::Asked))
    }
}

impl Clients {
    /// The coordinator gives a call up after `limit`: what has come of many answers by then is not lost with it.
    pub(crate) fn set_call_limit(&self, limit: Duration) {
        let limit = (limit - limit / 16).as_millis().try_into().unwrap_or(u64::MAX);
        self.inner.many_limit.store(limit, Ordering::Relaxed);
    }

    /// A connection has come.
    pub(super) fn welcome(&self, address: SocketAddr) -> Arc<Peer> {
        let id = self.inner.next_peer.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Peer::new(id, address));
        let mut registry = self.inner.registry.write().expect("nothing panics under it");
        registry.peers.insert(id, Entry { peer: Arc::clone(&peer), resources: IndexSet::new() });
        peer
    }

    /// Takes a client in. Gives who it is from now on, and which of the resources are new to it: at most `limit`
    /// it may have in all.
    ///
    /// The group of a client is the one that it begins transactions for. A TM may have had to sign for it, so what
    /// was said as an RM does not stay.
    pub(super) fn register(
        &self,
        peer: &Arc<Peer>,
        introduction: Introduction<'_>,
        limit: usize,
    ) -> Result<(Arc<Identity>, Vec<ResourceId>), NotTaken> {
        let Introduction { application, group, version, role, resources } = introduction;
        let mut registry = self.inner.registry.write().expect("nothing panics under it");
        let Registry { peers, by_resource, applications } = &mut *registry;
        let entry = peers.get_mut(&peer.id).ok_or(NotTaken::Ended)?;
        let known = peer.identity();
        if let Some(known) = known.as_ref().filter(|known| *known.application != *application) {
            return Err(NotTaken::OtherApplication(Arc::clone(&known.application), application.to_owned()));
        }
        let mut new: IndexSet<_> = resources.into_iter().collect();
        new.retain(|resource| !entry.resources.contains(resource));
        let count = entry.resources.len() + new.len();
        if !new.is_empty() && count > limit {
            return Err(NotTaken::TooManyResources { count, limit });
        }
        let identity = match known {
            Some(known) if role == Role::Rm || *known.group == *group => known,
            Some(known) => Arc::new(Identity { group: group.into(), ..(*known).clone() }),
            None => {
                let (name, shared) = match applications.get_key_value(application) {
                    Some((name, shared)) => (Arc::clone(name), Arc::clone(&shared.questions)),
                    None => (application.into(), Arc::default()),
                };
                let one = applications
                    .entry(Arc::clone(&name))
                    .or_insert_with(|| Application { questions: Arc::clone(&shared), connections: 0 });
                one.connections += 1;
                Arc::new(Identity::new(name, group, version, peer.address, shared))
            }
        };
        peer.identify(Arc::clone(&identity));
        peer.take_role(role);
        for resource in &new {
            entry.resources.insert(resource.clone());
            by_resource.entry(resource.clone()).or_default().add(&identity, peer);
        }
        Ok((identity, new.into_iter().collect()))
    }

    /// Its connection has ended: who waits for its answers learns it at once.
    pub(super) fn forget(&self, peer: &Arc<Peer>) {
        let mut registry = self.inner.registry.write().expect("nothing panics under it");
        let Registry { peers, by_resource, applications } = &mut *registry;
        if let (Some(entry), Some(identity)) = (peers.remove(&peer.id), peer.identity()) {
            if let Some(application) = applications.get_mut(&identity.application) {
                application.connections -= 1;
                if application.connections == 0 {
                    applications.remove(&identity.application);
                }
            }
            for resource in entry.resources {
                if let Some(holders) = by_resource.get_mut(&resource) {
                    holders.remove(&identity, peer);
                    if holders.is_empty() {
                        by_resource.remove(&resource);
                    }
                }
            }
        }
        drop(registry);
        peer.end();
    }

    /// Those of them that are connected now.
    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        let registry = self.inner.registry.read().expect("nothing panics under it");
        registry.peers.values().map(|entry| Arc::clone(&entry.peer)).collect()
    }

    /// Asks one client of each resource to delete the undo logs that are older than `save_days`.
    pub(super) fn delete_undo_logs(&self, save_days: i16) {
        let chosen: Vec<_> = {
            let registry = self.inner.registry.read().expect("nothing panics under it");
            let by_resource = registry.by_resource.iter();
            by_resource
                .filter_map(|(resource, holders)| {
                    let holder = holders.find(Peer::reads_undo_log_delete)?;
                    Some((resource.clone(), Arc::clone(holder)))
                })
                .collect()
        };
        for (resource, holder) in chosen {
            holder.tell(
                self.next_request(),
                UndoLogDelete {
                    branch_type: BranchType::At,
                    resource_id: resource.as_str().into(),
                    save_days,
                },
            );
        }
    }

    fn next_request(&self) -> i32 {
        self.inner.next_request.fetch_add(1, Ordering::Relaxed) & i32::MAX
    }

    /// Asks all tasks at once; each connection gets its requests in one go.
    async fn ask(&self, phase: Phase, tasks: &[BranchTask], limit: Option<Duration>) -> Vec<Reached> {
        let batch = Batch::new(tasks.len());
        let mut asked = Asked { batch: Arc::clone(&batch), requests: Vec::with_capacity(tasks.len()) };
        let mut last: Option<(&BranchTask, Arc<Peer>)> = None;
        for (index, task) in tasks.iter().enumerate() {
            let peer = match &last {
                Some((previous, peer))
                    if previous.client == task.client && previous.resource == task.resource =>
                {
                    Ok(Arc::clone(peer))
                }
                _ => self.route(task),
            };
            let peer = match peer {
                Ok(peer) => peer,
                Err(reached) => {
                    batch.settle(index, reached);
                    continue;
                }
            };
            let id = self.next_request();
            match peer.ask(id, phase, task, &batch, index) {
                Ok(()) => {
                    asked.requests.push((Arc::clone(&peer), id));
                    if last.as_ref().is_none_or(|(_, before)| before.id != peer.id)
                        && let Some((_, before)) = last.take()
                    {
                        before.wake();
                    }
                    last = Some((task, peer));
                }
                Err(reason) => batch.settle(index, Reached::Unreachable { reason }),
            }
        }
        if let Some((_, peer)) = last {
            peer.wake();
        }
        let Some(limit) = limit else { return batch.answers().await };
        match timeout(limit, batch.answers()).await {
            Ok(answers) => answers,
            Err(_) => batch.answers_so_far(&format!("no answer within {limit:?}")),
        }
    }

    /// Java's order: the client itself; its application at its address; its application; for AT, which needs
    /// the database alone, and for a Saga anybody who has the resource.
    fn route(&self, task: &BranchTask) -> Result<Arc<Peer>, Reached> {
        let registry = self.inner.registry.read().expect("nothing panics under it");
        let Some(holders) = registry.by_resource.get(&task.resource) else {
            return Err(Reached::NoSuchResource);
        };
        let may_be_anybody =
            task.client.is_empty() || matches!(task.branch_type, BranchType::At | BranchType::Saga);
        let turn = || self.inner.turn.fetch_add(1, Ordering::Relaxed);
        match holders.choose(&task.client, may_be_anybody, turn) {
            Some(peer) => Ok(Arc::clone(peer)),
            // The resource is there for others, whose calls must go on.
            None => Err(Reached::Unreachable {
                reason: format!(
                    "no client of application {} is connected for this resource",
                    holders::application(&task.client)
                ),
            }),
        }
    }
}

/// Requests that are forgotten with the one who asked.
struct Asked {
    batch: Arc<Batch>,
    requests: Vec<(Arc<Peer>, i32)>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.batch.is_complete() {
            for (peer, id) in &self.requests {
                peer.forget_request(*id);
            }
        }
    }
}

impl Participants for Clients {
    async fn commit(&self, task: BranchTask) -> Reached {
        self.ask(Phase::Commit, &[task], None).await.pop().expect("one answer for each task")
    }

    async fn rollback(&self, task: BranchTask) -> Reached {
        self.ask(Phase::Rollback, &[task], None).await.pop().expect("one answer for each task")
    }

    async fn commit_many(&self, tasks: Vec<BranchTask>) -> Vec<Reached> {
        let limit = match self.inner.many_limit.load(Ordering::Relaxed) {
            0 => None,
            limit => Some(Duration::from_millis(limit)),
        };
        self.ask(Phase::Commit, &tasks, limit).await
    }
}

impl Entry {
    fn view(&self) -> Option<ClientView> {
        let identity = self.peer.identity()?;
        let roles = [(Role::Tm, "TM"), (Role::Rm, "RM")];
        Some(ClientView {
            application: Arc::clone(&identity.application),
            group: Arc::clone(&identity.group),
            address: self.peer.address,
            version: Arc::clone(&identity.version),
            roles: roles
                .iter()
                .filter(|(role, _)| self.peer.has_role(*role))
                .map(|(_, name)| *name)
                .collect(),
            resources: self.resources.iter().take(NAMED_RESOURCES).cloned().collect(),
            resource_count: self.resources.len(),
            since: self.peer.since,
            in_flight: self.peer.in_flight(),
        })
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("counts", &self.counts()).finish()
    }
}
