//! Which server of several a call goes to.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::ServerAddress;

/// Which server of several a call goes to. With one server there is nothing to choose.
///
/// Only [`Xid`](Self::Xid) is right for servers that keep their transactions to themselves, as those with
/// file storage do. All others are for clusters whose servers share one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadBalance {
    /// A transaction is begun on any server, and everything that concerns it goes to that one.
    #[default]
    Xid,
    /// Any server, each time anew.
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest calls under way.
    LeastActive,
    /// The one that the XID (for a begin: the transaction's name) falls to. When a server goes or comes, only
    /// its own share moves.
    ConsistentHash {
        /// How many places each server takes on the ring, 1 to 10 000: the more, the more even the shares.
        /// Java's default: 10.
        virtual_nodes: usize,
    },
}

/// As many as spread the load well; each is a place in memory for each server.
pub(crate) const MOST_VIRTUAL_NODES: u32 = 10_000;

/// A server that is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its place in the list of servers.
    pub(crate) server: usize,
    /// How many calls to it are under way.
    pub(crate) active: usize,
}

/// Chooses among the servers of one cluster.
#[derive(Debug)]
pub(crate) struct Balancer {
    policy: LoadBalance,
    turn: AtomicUsize,
    ring: Ring,
}

impl Balancer {
    pub(crate) fn new(policy: LoadBalance, servers: &[ServerAddress]) -> Self {
        let virtual_nodes = match policy {
            LoadBalance::ConsistentHash { virtual_nodes } => virtual_nodes,
            _ => 0,
        };
        Self { policy, turn: AtomicUsize::new(0), ring: Ring::new(servers, virtual_nodes) }
    }

    /// Whether a transaction stays with the server that began it.
    pub(crate) fn is_by_xid(&self) -> bool {
        self.policy == LoadBalance::Xid
    }

    /// One of the candidates; `None` when there are none. `key` is the XID, or the name of a new transaction.
    pub(crate) fn choose(&self, candidates: &[Candidate], key: &str) -> Option<usize> {
        let any = |candidates: &[Candidate]| candidates[rand::rng().random_range(0..candidates.len())].server;
        match (candidates, self.policy) {
            ([], _) => None,
            ([only], _) => Some(only.server),
            (_, LoadBalance::Xid | LoadBalance::Random) => Some(any(candidates)),
            (_, LoadBalance::RoundRobin) => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                Some(candidates[turn % candidates.len()].server)
            }
            (_, LoadBalance::LeastActive) => {
                let fewest = candidates.iter().map(|candidate| candidate.active).min()?;
                let idlest: Vec<_> = candidates.iter().filter(|c| c.active == fewest).copied().collect();
                Some(any(&idlest))
            }
            (_, LoadBalance::ConsistentHash { .. }) => {
                self.ring.owner(key, |server| candidates.iter().any(|c| c.server == server))
            }
        }
    }
}

/// Servers at points of a circle; a key belongs to the first one at or after its own point.
#[derive(Debug)]
struct Ring(Vec<(i64, usize)>);

impl Ring {
    fn new(servers: &[ServerAddress], virtual_nodes: usize) -> Self {
        let mut points: Vec<_> = servers
            .iter()
            .enumerate()
            .flat_map(|(server, address)| {
                (0..virtual_nodes).map(move |node| (format!("{address}{node}"), server))
            })
            .map(|(name, server)| (point(&name), server))
            .collect();
        points.sort_unstable();
        Self(points)
    }

    fn owner(&self, key: &str, is_live: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.0.partition_point(|(point_of_server, _)| *point_of_server < point(key));
        let (before, after) = self.0.split_at(start);
        after.iter().chain(before).map(|(_, server)| *server).find(|server| is_live(*server))
    }
}

/// Java's hash: the first eight bytes, as a signed number, of a SHA-256 that is fed the text twice.
fn point(text: &str) -> i64 {
    let digest = Sha256::new().chain_update(text).chain_update(text).finalize();
    let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
    i64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn servers(count: usize) -> Vec<ServerAddress> {
        (1..=count).map(|n| format!("10.0.0.{n}:8091").parse().unwrap()).collect()
    }

    fn live(servers: &[usize]) -> Vec<Candidate> {
        servers.iter().map(|&server| Candidate { server, active: 0 }).collect()
    }

    /// How often each server is chosen for 3000 transactions.
    fn shares(policy: LoadBalance, candidates: &[Candidate]) -> HashMap<usize, usize> {
        let balancer = Balancer::new(policy, &servers(3));
        let mut shares = HashMap::new();
        for number in 0..3000 {
            let server = balancer.choose(candidates, &format!("10.0.0.9:8091:{number}")).unwrap();
            *shares.entry(server).or_default() += 1;
        }
        shares
    }

    const ALL: [LoadBalance; 5] = [
        LoadBalance::Xid,
        LoadBalance::Random,
        LoadBalance::RoundRobin,
        LoadBalance::LeastActive,
        LoadBalance::ConsistentHash { virtual_nodes: 100 },
    ];

    #[test]
    fn each_way_gives_every_live_server_its_share_and_a_dead_one_none() {
        for policy in ALL {
            let shares = shares(policy, &live(&[0, 2]));
            assert_eq!(shares.len(), 2, "{policy:?}: {shares:?}");
            assert!(shares[&0] > 900 && shares[&2] > 900, "{policy:?}: {shares:?}");
        }
    }

    #[test]
    fn without_a_live_server_there_is_no_choice_and_with_one_it_is_that() {
        for policy in ALL {
            let balancer = Balancer::new(policy, &servers(3));
            assert_eq!(balancer.choose(&[], "key"), None, "{policy:?}");
            assert_eq!(balancer.choose(&live(&[1]), "key"), Some(1), "{policy:?}");
        }
    }

    #[test]
    fn round_robin_goes_through_all_in_turn() {
        assert_eq!(
            shares(LoadBalance::RoundRobin, &live(&[0, 1, 2])),
            HashMap::from([(0, 1000), (1, 1000), (2, 1000)])
        );
    }

    #[test]
    fn least_active_goes_where_the_fewest_calls_are() {
        let balancer = Balancer::new(LoadBalance::LeastActive, &servers(3));
        let busy = [3, 1, 2].into_iter().enumerate().map(|(server, active)| Candidate { server, active });
        assert_eq!(balancer.choose(&busy.collect::<Vec<_>>(), "key"), Some(1));
    }

    #[test]
    fn consistent_hash_moves_only_the_share_of_the_server_that_went() {
        let balancer = Balancer::new(LoadBalance::ConsistentHash { virtual_nodes: 10 }, &servers(3));
        for number in 0..1000 {
            let key = format!("10.0.0.9:8091:{number}");
            let before = balancer.choose(&live(&[0, 1, 2]), &key).unwrap();
            let after = balancer.choose(&live(&[0, 2]), &key).unwrap();
            assert!(before == after || before == 1, "{key} moved from {before} to {after}");
        }
    }

    #[test]
    fn a_point_is_the_start_of_the_digest_of_the_doubled_text() {
        // printf aa | sha256sum
        assert_eq!(point("a"), i64::from_be_bytes([0x96, 0x1b, 0x6d, 0xd3, 0xed, 0xe3, 0xcb, 0x8e]));
    }
}
