//! The client under a network that fails in every way a network can, and servers that are late, forgetful and
//! repeat themselves.
//!
//! What happens is drawn from a seed, which is printed on failure: `SEATA_TEST_SEED` repeats it, and
//! `SEATA_TEST_SEEDS` says how many are run. The times of a run are those of the machine, so the same seed is
//! the same weather, not the same run to the last byte.

mod caller;
mod dropped_calls;
mod half_open;
mod proxy;
mod resource;
mod seed;
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use seata_client::{RemoteCoordinator, RoleState, Settings, ShutdownError};
use seata_context::{CoordinationError, ResourceManager as _, TransactionManager as _};
use seata_protocol::{Message, Xid};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use self::{
    caller::{Caller, Mood, row},
    proxy::Weather,
    resource::Counting,
    seed::{for_each_seed, numbers, panics, runtime},
    server::{Character, Server},
};
use crate::{
    scripted::{Reply, ScriptedTc},
    support::{APPLICATION, GROUP, LONG, begin, settings, until},
};

const RESOURCES: [&str; 3] = ["jdbc:a", "jdbc:b", "jdbc:c"];

const CALLERS: i64 = 16;

/// What a busy machine may add to any time.
const SLACK: Duration = Duration::from_secs(3);

#[test]
fn after_a_storm_everything_works_again() {
    for_each_seed(3, |seed| {
        in_two_runtimes(async |rest| {
            let mut world = World::in_a_storm(seed, &rest).await;
            world.call(Mood::Careless);
            world.register_resources().await;
            sleep(Duration::from_millis(800)).await;
            world.servers.iter().for_each(Server::calm_down);
            let callers = world.callers_come_back().await;
            world.recovers().await;

            let xids = world.strict_transactions(callers).await;
            world.phase_two_ends().await;
            let all = RESOURCES.map(str::to_owned).into();
            assert!(world.servers.iter().all(|server| server.resources() == all));
            assert!(world.resources.iter().all(|resource| resource.begun() > 0 && resource.running() == 0));
            world.every_place_is_free(&xids).await;
            world.shuts_down().await;
        });
    });
}

#[test]
fn a_client_can_be_ended_at_any_moment_of_a_storm() {
    for_each_seed(3, |seed| {
        in_two_runtimes(async |rest| {
            let mut world = World::in_a_storm(seed, &rest).await;
            world.call(Mood::Careless);
            let moment = Duration::from_millis(world.numbers.random_range(0..1000));
            let _ = timeout(moment, world.register_resources()).await;
            sleep(moment / 2).await;
            world.is_over.store(true, Ordering::SeqCst);
            let patience = Duration::from_millis(world.numbers.random_range(0..500));
            match world.numbers.random_range(0..3) {
                0 => world.is_cut_off(patience).await,
                1 => {
                    let _ = timeout(patience, world.client.shutdown(LONG)).await;
                    world.is_cut_off(patience).await;
                }
                // Or the last handle is dropped.
                _ => drop(world.callers_come_back().await),
            }
            let resources = world.resources.clone();
            drop(world);
            until("nothing runs", || resources.iter().all(|resource| resource.running() == 0)).await;
        });
    });
}

#[test]
fn while_one_server_dies_the_transactions_of_the_others_go_on() {
    for_each_seed(3, |seed| {
        in_two_runtimes(async |rest| {
            let mut world = World::of(3, Weather::Fair, seed, &rest).await;
            world.register_resources().await;
            world.recovers().await;
            world.mortal = Some(0);
            world.call(Mood::Strict);
            sleep(Duration::from_millis(200)).await;
            world.servers[0].proxy.set(Weather::Dead);
            sleep(Duration::from_millis(world.numbers.random_range(0..800))).await;
            world.servers[0].proxy.set(Weather::Fair);
            sleep(Duration::from_millis(200)).await;
            let callers = world.callers_come_back().await;
            world.recovers().await;
            world.mortal = None;
            world.strict_transactions(callers).await;
            world.phase_two_ends().await;
            world.shuts_down().await;
        });
    });
}

/// A begin is sent once more where its connection was lost, and this one loses every connection.
#[test]
fn a_begin_that_ends_every_connection_has_an_end() {
    in_two_runtimes(async |rest| {
        let tcs =
            [rest.spawn(ScriptedTc::start()).await.unwrap(), rest.spawn(ScriptedTc::start()).await.unwrap()];
        for tc in &tcs {
            tc.script(|received| match received.message {
                Some(Message::GlobalBegin(_)) => Reply::Close,
                _ => Reply::Honest,
            });
        }
        let mut settings = settings(&tcs.each_ref().map(ScriptedTc::address));
        (settings.reconnect.first, settings.reconnect.max) =
            (Duration::from_millis(1), Duration::from_millis(1));
        let settings = settings.wait_for_server(Duration::from_millis(300));
        let client = RemoteCoordinator::connect(APPLICATION, GROUP, settings).await.unwrap();
        for _ in 0..5 {
            let began = Instant::now();
            let error = timeout(LONG, begin(&client)).await.expect("it ends").unwrap_err();
            assert!(matches!(error, CoordinationError::Unreachable { .. }), "{error}");
            assert!(began.elapsed() < Duration::from_millis(300) + SLACK, "{:?}", began.elapsed());
        }
    });
}

/// One client, its servers, and who uses it.
struct World {
    servers: Vec<Server>,
    client: RemoteCoordinator,
    settings: Settings,
    resources: Vec<Arc<Counting>>,
    callers: JoinSet<Caller>,
    is_over: Arc<AtomicBool>,
    /// A server that may be away.
    mortal: Option<usize>,
    seed: u64,
    numbers: StdRng,
}

impl World {
    async fn in_a_storm(seed: u64, rest: &Handle) -> Self {
        let count = numbers(seed, 1).random_range(1..=3);
        Self::of(count, Weather::Storm, seed, rest).await
    }

    async fn of(servers: u64, weather: Weather, seed: u64, rest: &Handle) -> Self {
        let mut numbers = numbers(seed, 0);
        let mut started = Vec::new();
        for number in 0..servers {
            let seed = seed.wrapping_mul(1000) + number;
            let character = Character { weather, is_known_by_its_address: numbers.random_bool(0.5), seed };
            started.push(rest.spawn(Server::start(character)).await.unwrap());
        }
        let addresses: Vec<_> = started.iter().map(|server| server.proxy.address()).collect();
        let mut settings = cramped(settings(&addresses), &mut numbers);
        if weather == Weather::Storm {
            be_impatient(&mut settings);
        }
        Self {
            servers: started,
            client: RemoteCoordinator::start(APPLICATION, GROUP, settings.clone()).unwrap(),
            settings,
            resources: RESOURCES.map(Counting::new).into(),
            callers: JoinSet::new(),
            is_over: Arc::default(),
            mortal: None,
            seed,
            numbers,
        }
    }

    /// Callers begin their work.
    fn call(&mut self, mood: Mood) {
        for number in 0..CALLERS {
            let caller = Caller {
                client: self.client.clone(),
                number,
                transactions: 0,
                numbers: numbers(self.seed, 100 + number as u64),
                limit: self.call_limit(),
                mood,
                mortal: self.mortal.map(|server| {
                    let server = &self.servers[server];
                    (server.name().to_owned(), server.proxy.address())
                }),
                is_over: Arc::clone(&self.is_over),
            };
            self.callers.spawn(caller.run());
        }
    }

    /// A call waits for a server, and then for its answer. A begin may wait for some answers that are lost.
    fn call_limit(&self) -> Duration {
        self.settings.wait_for_server + 3 * self.settings.transaction_request_timeout + SLACK
    }

    async fn register_resources(&mut self) {
        for resource in self.resources.clone() {
            let limit = self.settings.wait_for_server + SLACK;
            let registering = timeout(limit, self.client.register_resource(resource));
            let registered = registering.await.expect("it ends within its limit");
            assert!(
                matches!(registered, Ok(()) | Err(CoordinationError::Unreachable { .. })),
                "{registered:?}"
            );
            sleep(Duration::from_millis(self.numbers.random_range(0..200))).await;
        }
    }

    /// It is over, and nobody is kept for longer than a few calls may take.
    async fn callers_come_back(&mut self) -> Vec<Caller> {
        self.is_over.store(true, Ordering::SeqCst);
        std::mem::take(&mut self.callers).join_all().await
    }

    /// The client is connected to all servers again, by itself and as soon as it could be.
    async fn recovers(&self) {
        let Settings { idle, connect_timeout, reconnect, .. } = self.settings;
        let limit = idle + connect_timeout + reconnect.max + SLACK;
        let is_well = |state: &RoleState| matches!(state, RoleState::Connected { refused: None, .. });
        let is_back = || {
            let states = self.client.servers();
            self.servers.iter().all(|server| server.connections() == (2, 0, 2))
                && states.iter().all(|s| is_well(&s.transaction_manager) && is_well(&s.resource_manager))
        };
        let coming_back = async {
            while !is_back() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let came_back = timeout(limit, coming_back).await;
        let connections = || self.servers.iter().map(Server::connections).collect::<Vec<_>>();
        assert!(
            came_back.is_ok(),
            "not back after {limit:?}: {:?} {:#?}",
            connections(),
            self.client.servers()
        );
    }

    /// Each caller runs some transactions, all to their end. Returns their XIDs.
    async fn strict_transactions(&self, callers: Vec<Caller>) -> Vec<Xid> {
        let mut running = JoinSet::new();
        for mut caller in callers {
            (caller.mood, caller.mortal) = (Mood::Strict, None);
            running.spawn(async move {
                let mut xids = Vec::new();
                for _ in 0..5 {
                    xids.extend(caller.transaction().await.ok());
                }
                xids
            });
        }
        let xids = running.join_all().await.concat();
        assert_eq!(xids.len(), 5 * CALLERS as usize);
        xids
    }

    async fn phase_two_ends(&self) {
        until("phase two has ended", || self.servers.iter().all(Server::has_finished)).await;
    }

    /// As many calls as there may be are under way at once over each connection: no call has kept its place.
    async fn every_place_is_free(&self, xids: &[Xid]) {
        for server in &self.servers {
            let Some(xid) = xids.iter().find(|xid| xid.coordinator() == server.name()) else { continue };
            server.hold();
            let places = self.settings.max_requests_in_flight;
            let mut calls = JoinSet::new();
            for _ in 0..places {
                let (client, of) = (self.client.clone(), xid.clone());
                calls.spawn(async move { client.status(&of).await.map(|_| ()) });
                let (client, of) = (self.client.clone(), xid.clone());
                let rows = [row(RESOURCES[0], xid.transaction_id().0 + 1)];
                calls.spawn(async move { client.query_locks(Some(&of), &rows).await });
            }
            until("all calls are under way", || server.held() == 2 * places).await;
            server.let_go();
            let answers = calls.join_all().await;
            let is_unreachable = |answer: &_| matches!(answer, Err(CoordinationError::Unreachable { .. }));
            assert!(!answers.iter().any(is_unreachable), "{answers:?}");
        }
    }

    async fn shuts_down(&self) {
        let began = Instant::now();
        self.client.shutdown(LONG).await.expect("nothing is under way");
        assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
        until("the connections are closed", || self.servers.iter().all(|server| server.proxy.open() == 0))
            .await;
    }

    /// A shutdown in the middle of everything.
    async fn is_cut_off(&mut self, limit: Duration) {
        let shutdown = timeout(limit + SLACK, self.client.shutdown(limit)).await;
        let shutdown = shutdown.expect("it ends within its limit");
        assert!(matches!(shutdown, Ok(()) | Err(ShutdownError::TimedOut { .. })), "{shutdown:?}");
        let states = self.client.servers();
        assert!(states.iter().all(|server| server.transaction_manager == RoleState::Stopped), "{states:?}");
        let _callers = self.callers_come_back().await;
        no_task_is_left().await;
    }
}

/// Little room.
fn cramped(mut settings: Settings, numbers: &mut StdRng) -> Settings {
    settings.wait_for_server = Duration::from_millis(700);
    settings.merge_requests = numbers.random_bool(0.5);
    settings.max_requests_in_flight = numbers.random_range(4..=CALLERS as usize);
    settings.max_outgoing_bytes = *[1, 300, 10_000].choose(numbers).unwrap();
    settings.phase_two_concurrency = numbers.random_range(2..=8);
    settings
}

/// Little time: in a storm much has no answer.
fn be_impatient(settings: &mut Settings) {
    settings.connect_timeout = Duration::from_millis(800);
    settings.transaction_request_timeout = Duration::from_secs(2);
    settings.branch_request_timeout = Duration::from_secs(2);
    settings.heartbeat = Duration::from_millis(300);
    settings.idle = Duration::from_secs(2);
}

/// Runs a test with the client in a runtime of its own, and the rest of the world in another. At the end
/// nothing of the client is left, and nothing has panicked.
fn in_two_runtimes(test: impl AsyncFnOnce(Handle)) {
    let (world, client) = (runtime(), runtime());
    client.block_on(async {
        test(world.handle().clone()).await;
        no_task_is_left().await;
    });
    drop((client, world));
    assert_eq!(panics(), [""; 0]);
}

async fn no_task_is_left() {
    let metrics = Handle::current().metrics();
    until("no task is left", || metrics.num_alive_tasks() == 0).await;
}
