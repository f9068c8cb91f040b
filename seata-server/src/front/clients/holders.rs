//! The clients that have one resource.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::peer::{Identity, Peer};

/// Whom to ask, without a look at all of them. A client's name is `application:ip:port`.
#[derive(Default)]
pub(super) struct Holders {
    all: Clients,
    by_place: HashMap<Box<str>, Clients, RandomState>,
    by_application: HashMap<Box<str>, Clients, RandomState>,
}

/// By name.
type Clients = IndexMap<Arc<str>, Arc<Peer>, RandomState>;

impl Holders {
    pub(super) fn add(&mut self, identity: &Identity, peer: &Arc<Peer>) {
        let client = &identity.client;
        let at_place = self.by_place.entry(place(client).into()).or_default();
        let of_application = self.by_application.entry(application(client).into()).or_default();
        for clients in [&mut self.all, at_place, of_application] {
            clients.insert(Arc::clone(client), Arc::clone(peer));
        }
    }

    pub(super) fn remove(&mut self, identity: &Identity, peer: &Peer) {
        let client = &identity.client;
        // Another connection may have come with the name since.
        if self.all.get(client).is_none_or(|holder| holder.id != peer.id) {
            return;
        }
        self.all.swap_remove(client);
        for (groups, key) in
            [(&mut self.by_place, place(client)), (&mut self.by_application, application(client))]
        {
            if let Some(clients) = groups.get_mut(key) {
                clients.swap_remove(client);
                if clients.is_empty() {
                    groups.remove(key);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn find(&self, is_it: impl Fn(&Peer) -> bool) -> Option<&Arc<Peer>> {
        self.all.values().find(|peer| is_it(peer))
    }

    /// The client itself; else one of its application at its address; else one of its application; else, if it
    /// may be, anybody. `turn` tells apart those of equal standing.
    pub(super) fn choose(
        &self,
        client: &str,
        may_be_anybody: bool,
        turn: impl FnOnce() -> usize,
    ) -> Option<&Arc<Peer>> {
        if let Some(itself) = self.all.get(client).filter(|peer| peer.is_open()) {
            return Some(itself);
        }
        let turn = turn();
        let groups = [
            self.by_place.get(place(client)),
            self.by_application.get(application(client)),
            may_be_anybody.then_some(&self.all),
        ];
        groups.into_iter().flatten().find_map(|clients| {
            let start = turn % clients.len().max(1);
            let in_turn = clients.values().skip(start).chain(clients.values().take(start));
            in_turn.into_iter().find(|peer| peer.is_open())
        })
    }
}

/// What stands before the first colon: Java's applications have none in their names.
pub(super) fn application(client: &str) -> &str {
    client.split_once(':').map_or(client, |(application, _)| application)
}

/// Application and address, without the port. An IPv6 address has colons of its own.
fn place(client: &str) -> &str {
    client.rsplit_once(':').map_or(client, |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::clients::Closing;

    fn client(id: u64, application: &str, address: &str) -> (Identity, Arc<Peer>) {
        let address = address.parse().unwrap();
        let identity = Identity::new(application.into(), "group", "2.6.0", address, Arc::default());
        (identity, Arc::new(Peer::new(id, address)))
    }

    #[test]
    fn the_nearest_client_is_chosen_and_equals_take_turns() {
        let clients = [
            client(1, "app", "10.0.0.1:1"),
            client(2, "app", "10.0.0.1:2"),
            client(3, "app", "[fe80::1]:3"),
            client(4, "other", "10.0.0.1:1"),
        ];
        let mut holders = Holders::default();
        for (identity, peer) in &clients {
            holders.add(identity, peer);
        }
        let chosen = |holders: &Holders, client: &str, anybody: bool| {
            let mut ids: Vec<_> =
                (0..12).filter_map(|turn| Some(holders.choose(client, anybody, || turn)?.id)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        assert_eq!(chosen(&holders, "app:10.0.0.1:2", false), [2]);
        assert_eq!(chosen(&holders, "app:10.0.0.1:9", false), [1, 2]);
        assert_eq!(chosen(&holders, "app:fe80::1:9", true), [3]);
        assert_eq!(chosen(&holders, "app:10.0.0.7:9", true), [1, 2, 3]);
        assert_eq!(chosen(&holders, "new:10.0.0.7:9", true), [1, 2, 3, 4]);
        assert!(chosen(&holders, "new:10.0.0.7:9", false).is_empty());
        clients[0].1.close(Closing::Asked);
        assert_eq!(chosen(&holders, "app:10.0.0.1:1", true), [2]);
        for (identity, peer) in &clients {
            holders.remove(identity, peer);
        }
        assert!(holders.is_empty() && holders.by_place.is_empty() && holders.by_application.is_empty());
    }

    #[test]
    fn a_name_that_came_again_stays_when_the_older_connection_goes() {
        let ((identity, older), (_, newer)) =
            (client(1, "app", "10.0.0.1:1"), client(2, "app", "10.0.0.1:1"));
        let mut holders = Holders::default();
        holders.add(&identity, &older);
        holders.add(&identity, &newer);
        holders.remove(&identity, &older);
        assert_eq!(holders.choose("app:10.0.0.1:1", false, || 0).map(|peer| peer.id), Some(2));
    }
}
