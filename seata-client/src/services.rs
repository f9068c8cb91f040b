//! Which servers serve a transaction service group.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

/// The cluster that [`Services::servers`] fills.
const DEFAULT_CLUSTER: &str = "default";

/// Which servers serve a transaction service group: group → cluster → addresses, as in Java's
/// `service.vgroupMapping.<group>` and `service.<cluster>.grouplist`.
///
/// ```
/// use seata_client::Services;
///
/// let simple = Services::servers(["127.0.0.1:8091"]);
/// assert_eq!(simple.resolve("any_group")?.servers[0].port(), 8091);
///
/// let chain = Services::new()
///     .group("default_tx_group", "shanghai")
///     .cluster("shanghai", ["tc-1:8091", "tc-2:8091"]);
/// assert_eq!(chain.resolve("default_tx_group")?.name, "shanghai");
/// assert!(chain.resolve("defualt_tx_group").is_err());
/// # Ok::<(), seata_client::ServicesError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The cluster of every group that has none of its own.
    fallback: Option<String>,
    groups: BTreeMap<String, String>,
    clusters: BTreeMap<String, Result<Vec<ServerAddress>, ServicesError>>,
}

/// The servers of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster<'a> {
    /// The cluster's name.
    pub name: &'a str,
    /// Its servers: at least one, each once, in the order given.
    pub servers: &'a [ServerAddress],
}

/// Why no server is known for a transaction service group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServicesError {
    /// No cluster is mapped to the group: a misspelled group, or a missing `service.vgroupMapping`.
    #[error(
        "transaction service group {group:?} is mapped to no cluster (service.vgroupMapping.{group}); \
         known groups: {}",
        listed(known)
    )]
    NoCluster {
        /// The group that was looked for.
        group: String,
        /// The groups that are mapped.
        known: Vec<String>,
    },
    /// The cluster has no servers: a misspelled cluster, or an empty `grouplist`.
    #[error(
        "cluster {cluster:?} has no servers (service.{cluster}.grouplist); clusters with servers: {}",
        listed(known)
    )]
    NoServers {
        /// The cluster that was looked for.
        cluster: String,
        /// The clusters that have servers.
        known: Vec<String>,
    },
    /// One of the cluster's addresses cannot be read.
    #[error(transparent)]
    InvalidAddress(#[from] InvalidAddress),
}

/// A text that is no server address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no server address: {reason}; expected host:port, as in 127.0.0.1:8091")]
pub struct InvalidAddress {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Where a server listens: a host name or an IP address, and a port.
///
/// ```
/// use seata_client::ServerAddress;
///
/// let address: ServerAddress = "tc.example.org:8091".parse()?;
/// assert_eq!((address.host(), address.port()), ("tc.example.org", 8091));
/// assert_eq!("[::1]:8091".parse::<ServerAddress>()?.host(), "::1");
/// assert!("tc.example.org".parse::<ServerAddress>().is_err());
/// # Ok::<(), seata_client::InvalidAddress>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

impl Services {
    /// No group and no cluster yet: to be filled with [`group`](Self::group) and [`cluster`](Self::cluster).
    pub fn new() -> Self {
        Self::default()
    }

    /// These servers for every group, as one cluster named `default`.
    pub fn servers<A: AsRef<str>>(addresses: impl IntoIterator<Item = A>) -> Self {
        let services = Self { fallback: Some(DEFAULT_CLUSTER.to_owned()), ..Self::default() };
        services.cluster(DEFAULT_CLUSTER, addresses)
    }

    /// Maps a group to a cluster. The same group again replaces its mapping.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>, cluster: impl Into<String>) -> Self {
        self.groups.insert(group.into(), cluster.into());
        self
    }

    /// Gives a cluster its servers, each as `host:port`. The same cluster again replaces them. An address that
    /// cannot be read is reported by [`resolve`](Self::resolve).
    #[must_use]
    pub fn cluster<A: AsRef<str>>(
        mut self,
        cluster: impl Into<String>,
        addresses: impl IntoIterator<Item = A>,
    ) -> Self {
        self.clusters.insert(cluster.into(), parse_all(addresses));
        self
    }

    /// The servers of a group.
    ///
    /// # Errors
    /// The link of the chain that is missing: [`ServicesError`] says which, and what is known instead.
    pub fn resolve(&self, group: &str) -> Result<Cluster<'_>, ServicesError> {
        let Some(cluster) = self.groups.get(group).or(self.fallback.as_ref()) else {
            let known = self.groups.keys().cloned().collect();
            return Err(ServicesError::NoCluster { group: group.to_owned(), known });
        };
        match self.clusters.get(cluster) {
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(servers)) if !servers.is_empty() => Ok(Cluster { name: cluster, servers }),
            _ => {
                let has_servers =
                    |servers: &Result<Vec<_>, _>| servers.as_ref().map_or(true, |s| !s.is_empty());
                let known = self.clusters.iter().filter(|(_, servers)| has_servers(servers));
                let known = known.map(|(name, _)| name.clone()).collect();
                Err(ServicesError::NoServers { cluster: cluster.clone(), known })
            }
        }
    }
}

fn parse_all<A: AsRef<str>>(
    addresses: impl IntoIterator<Item = A>,
) -> Result<Vec<ServerAddress>, ServicesError> {
    let mut servers = Vec::new();
    for address in addresses {
        let address = address.as_ref().parse()?;
        if !servers.contains(&address) {
            servers.push(address);
        }
    }
    Ok(servers)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl ServerAddress {
    /// The host name or IP address; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ServerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |reason| InvalidAddress { text: text.to_owned(), reason };
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(|| invalid("the port is missing"))?;
        let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
            None => host,
            Some(Some(inner)) => inner,
            Some(None) => return Err(invalid("a bracket is not closed")),
        };
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        // A zone, as in fe80::1%eth0, is for the resolver to judge.
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        if host.is_empty() {
            return Err(invalid("the host is missing"));
        }
        if !host.bytes().all(is_name_byte) && !matches!(address.parse(), Ok(IpAddr::V6(_))) {
            return Err(invalid("the host is neither a name nor an IP address"));
        }
        match port.parse() {
            Ok(0) | Err(_) => Err(invalid("the port is not a number from 1 to 65535")),
            Ok(port) => Ok(Self { host: host.to_owned(), port }),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_link_is_named_with_what_is_there() {
        let services = Services::new()
            .group("orders", "shanghai")
            .group("stock", "beijing")
            .cluster("shanghia", ["10.0.0.1:8091"])
            .cluster("beijing", [""; 0]);

        let error = services.resolve("order").unwrap_err();
        assert_eq!(
            error.to_string(),
            "transaction service group \"order\" is mapped to no cluster (service.vgroupMapping.order); \
             known groups: orders, stock"
        );
        let error = services.resolve("orders").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cluster \"shanghai\" has no servers (service.shanghai.grouplist); \
             clusters with servers: shanghia"
        );
        let error = services.resolve("stock").unwrap_err();
        assert!(matches!(error, ServicesError::NoServers { cluster, .. } if cluster == "beijing"));
        let error = Services::new().resolve("orders").unwrap_err();
        assert!(error.to_string().ends_with("known groups: none"), "{error}");
    }

    #[test]
    fn an_address_that_cannot_be_read_is_quoted() {
        for (text, reason) in [
            ("127.0.0.1", "the port is missing"),
            ("", "the port is missing"),
            (":8091", "the host is missing"),
            ("tc:0", "the port is not a number from 1 to 65535"),
            ("tc:65536", "the port is not a number from 1 to 65535"),
            ("tc:", "the port is not a number from 1 to 65535"),
            ("a b:8091", "the host is neither a name nor an IP address"),
            ("127.0.0.1:8091;127.0.0.1:8092", "the host is neither a name nor an IP address"),
            ("[::1:8091", "a bracket is not closed"),
        ] {
            let error = Services::servers([text]).resolve("any").unwrap_err();
            let expected = InvalidAddress { text: text.to_owned(), reason };
            assert_eq!(error, ServicesError::InvalidAddress(expected), "{text:?}");
        }
    }

    #[test]
    fn addresses_are_kept_once_in_their_order() {
        let services = Services::servers(["b:2", "a:1", " b:2 ", "::1:3", "[::1]:3"]);
        let cluster = services.resolve("any").unwrap();
        let texts: Vec<_> = cluster.servers.iter().map(ToString::to_string).collect();
        assert_eq!(
            (cluster.name, texts.as_slice()),
            ("default", ["b:2", "a:1", "[::1]:3"].map(String::from).as_slice())
        );
    }

    #[test]
    fn a_group_of_its_own_beats_the_one_for_all() {
        let services = Services::servers(["a:1"]).group("orders", "own").cluster("own", ["b:2"]);
        assert_eq!(services.resolve("orders").unwrap().name, "own");
        assert_eq!(services.resolve("others").unwrap().name, "default");
    }
}
