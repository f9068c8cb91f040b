//! The address in XIDs: where clients reach this server.

use std::net::IpAddr;

use seata_protocol::{TransactionId, Xid};

use crate::settings::FrontSettings;

/// Why there is no address for XIDs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is nowhere to listen.
    #[error("server.bind is empty: expected at least one address of this machine, for example 127.0.0.1")]
    Nowhere,
    /// An address to listen on is there twice.
    #[error("server.bind names {address} twice: leave one out")]
    Twice {
        /// The address.
        address: IpAddr,
    },
    /// The host cannot stand in an XID.
    #[error(
        "server.host is {host:?}: expected a name, an IPv4 or an IPv6 address under which clients reach this server, \
         without port and brackets"
    )]
    Host {
        /// The host.
        host: String,
    },
    /// Nobody can connect to a wildcard.
    #[error(
        "server.host is {host}, which says where to listen and is no place to connect to: expected this machine's name or address"
    )]
    Wildcard {
        /// The host.
        host: String,
    },
    /// Other machines that read the XID would look on their own.
    #[error(
        "server.host is {host}, which means each client's own machine, while server.bind ({bind}) lets others connect: \
         expected the name or address under which they reach this machine, or a server.bind of 127.0.0.1 or ::1 alone"
    )]
    Loopback {
        /// The host.
        host: String,
        /// An address that is listened on.
        bind: IpAddr,
    },
    /// The machine's own addresses do not tell.
    #[error(
        "server.bind is {bind} and no address of this machine but loopback was found{cause}: set server.host (--host) to \
         the name or address under which clients reach this server"
    )]
    NotFound {
        /// What is listened on.
        bind: IpAddr,
        /// What the system said.
        cause: String,
    },
}

/// What stands in XIDs.
///
/// # Errors
/// [`AddressError`] names what does not fit together.
pub(crate) fn advertised(front: &FrontSettings) -> Result<String, AddressError> {
    let bind = &front.bind;
    let first = *bind.first().ok_or(AddressError::Nowhere)?;
    for (index, address) in bind.iter().enumerate() {
        if bind[..index].contains(address) {
            return Err(AddressError::Twice { address: *address });
        }
    }
    let open = bind.iter().copied().find(|address| !address.is_loopback());
    if let Some(host) = &front.host {
        check(host, open)?;
        return Ok(host.clone());
    }
    match open {
        None => Ok(first.to_string()),
        Some(_) if bind.iter().any(IpAddr::is_unspecified) => outward(bind),
        Some(address) => Ok(address.to_string()),
    }
}

fn check(host: &str, open: Option<IpAddr>) -> Result<(), AddressError> {
    // With the longest port and number, so that no later transaction is refused.
    if Xid::new(host, u16::MAX, TransactionId(i64::MAX)).is_err() {
        return Err(AddressError::Host { host: host.to_owned() });
    }
    let address: Option<IpAddr> = host.parse().ok();
    if address.is_some_and(|address| address.is_unspecified()) {
        return Err(AddressError::Wildcard { host: host.to_owned() });
    }
    let is_loopback = address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback());
    match open {
        Some(bind) if is_loopback => Err(AddressError::Loopback { host: host.to_owned(), bind }),
        _ => Ok(()),
    }
}

/// The first address of this machine that others may reach, of the family that is listened on; IPv4 first,
/// which every client understands.
fn outward(bind: &[IpAddr]) -> Result<String, AddressError> {
    let wildcard = bind.iter().copied().find(IpAddr::is_unspecified).unwrap_or(bind[0]);
    let (found, cause) = match if_addrs::get_if_addrs() {
        Ok(found) => (found, String::new()),
        Err(error) => (Vec::new(), format!(" ({error})")),
    };
    let is_listened_on = |address: &IpAddr| {
        let of_its_family = |bind: &IpAddr| bind.is_unspecified() && bind.is_ipv4() == address.is_ipv4();
        bind.iter().any(|bind| bind == address || of_its_family(bind))
    };
    let is_outward = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    let mut addresses: Vec<_> = found
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|address| is_listened_on(address) && is_outward(address))
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.first().map(IpAddr::to_string).ok_or(AddressError::NotFound { bind: wildcard, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertised_of(bind: &[&str], host: Option<&str>) -> Result<String, String> {
        let bind = bind.iter().map(|text| text.parse().expect("an address")).collect();
        let front = FrontSettings { bind, host: host.map(str::to_owned), ..FrontSettings::default() };
        advertised(&front).map_err(|error| error.to_string())
    }

    #[test]
    fn a_host_that_is_told_stands_as_it_is() {
        for (bind, host) in [
            (&["127.0.0.1"][..], "localhost"),
            (&["127.0.0.1", "::1"], "::1"),
            (&["0.0.0.0"], "tc-1.shop.internal"),
            (&["10.0.0.7"], "192.168.1.1"),
            (&["::"], "2001:db8::7"),
            (&["127.0.0.1"], "behind-a-proxy"),
        ] {
            assert_eq!(advertised_of(bind, Some(host)).as_deref(), Ok(host));
        }
    }

    #[test]
    fn without_one_it_is_the_address_that_others_reach() {
        assert_eq!(advertised_of(&["127.0.0.1"], None).as_deref(), Ok("127.0.0.1"));
        assert_eq!(advertised_of(&["::1", "127.0.0.1"], None).as_deref(), Ok("::1"));
        assert_eq!(advertised_of(&["127.0.0.1", "10.0.0.7"], None).as_deref(), Ok("10.0.0.7"));
        match advertised_of(&["0.0.0.0"], None) {
            Ok(host) => {
                let host: IpAddr = host.parse().expect("an address");
                assert!(!host.is_loopback() && !host.is_unspecified(), "{host}");
            }
            Err(error) => assert!(error.contains("--host"), "{error}"),
        }
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        for (bind, host, part) in [
            (&[][..], None, "server.bind is empty"),
            (&["127.0.0.1", "127.0.0.1"], None, "127.0.0.1 twice"),
            (&["0.0.0.0"], Some("0.0.0.0"), "no place to connect to"),
            (&["127.0.0.1"], Some("::"), "no place to connect to"),
            (&["0.0.0.0"], Some("127.0.0.1"), "each client's own machine"),
            (&["127.0.0.1", "10.0.0.7"], Some("localhost"), "server.bind (10.0.0.7)"),
            (&["127.0.0.1"], Some("tc:8091"), "without port"),
            (&["127.0.0.1"], Some("[::1]"), "brackets"),
            (&["127.0.0.1"], Some(""), "expected a name"),
        ] {
            let error = advertised_of(bind, host).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
        let long = "x".repeat(200);
        assert!(advertised_of(&["127.0.0.1"], Some(&long)).is_err());
    }
}
