//! How many connections the HTTP port has, in all and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard},
};

/// How many connections there may be; one more is closed at once.
const IN_ALL: usize = 256;
/// How many of them from one address, so that others find a place.
const FROM_ONE: usize = 64;

/// The places for connections. Cloning is cheap, and all clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    network: IpAddr,
}

impl Places {
    /// A place for somebody from there; `None` when there is none left.
    pub(super) fn take(&self, from: IpAddr) -> Option<Place> {
        let network = network(from);
        let mut taken = self.taken();
        if taken.in_all >= IN_ALL || taken.by_network.get(&network).is_some_and(|count| *count >= FROM_ONE) {
            return None;
        }
        taken.in_all += 1;
        *taken.by_network.entry(network).or_default() += 1;
        Some(Place { places: self.clone(), network })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().expect("nothing panics under it")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.in_all -= 1;
        if let Some(count) = taken.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.by_network.remove(&self.network);
            }
        }
    }
}

/// Whoever has one IPv6 address has its whole /64.
pub(super) fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_leaves_places_for_others() {
        let places = Places::default();
        let mut greedy: Vec<_> = (0..100).filter_map(|_| places.take(from("10.0.0.1"))).collect();
        assert_eq!(greedy.len(), FROM_ONE);
        let other = places.take(from("10.0.0.2")).expect("a place");
        assert!(places.take(from("::ffff:10.0.0.1")).is_none(), "the same address");
        greedy.pop();
        assert!(places.take(from("10.0.0.1")).is_some());
        drop((greedy, other));
        assert!(places.taken().by_network.is_empty(), "nobody is remembered");
        assert_eq!(places.taken().in_all, 0);
    }

    #[test]
    fn all_addresses_together_have_a_limit_too() {
        let places = Places::default();
        let taken: Vec<_> =
            (0..=255).filter_map(|last| places.take(from(&format!("10.0.1.{last}")))).collect();
        assert_eq!(taken.len(), IN_ALL);
        assert!(places.take(from("10.0.2.1")).is_none());
        let places = Places::default();
        let of_one: Vec<_> =
            (0..100).filter_map(|last| places.take(from(&format!("fd00::{last}")))).collect();
        assert_eq!(of_one.len(), FROM_ONE, "a /64 is one address");
    }
}
