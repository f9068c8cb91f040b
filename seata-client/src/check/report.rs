//! What a check found, as a value and as a table for people.

use std::{fmt, time::Duration};

/// What [`check`](crate::check()) found: every link of the chain from the transaction group to a transaction,
/// each with the value that stood there.
///
/// Its text is a table that ends with what to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The application that registered.
    pub application: String,
    /// The transaction group that was looked up.
    pub group: String,
    /// The links that all servers share, in the order in which they were tried.
    pub links: Vec<Link>,
    /// Each server of the cluster, in the order of the list.
    pub servers: Vec<ServerReport>,
}

/// The part of a [`Report`] that concerns one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// The address as it stands in the list.
    pub address: String,
    /// The version that the server gave when it answered a registration.
    pub version: Option<String>,
    /// Its links, in the order in which they were tried.
    pub links: Vec<Link>,
}

/// One link of the chain: what was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What was tried.
    pub step: Step,
    /// Whether it held.
    pub status: LinkStatus,
    /// The value found there, or the error.
    pub found: String,
    /// What to do next; empty when there is nothing to do.
    pub advice: String,
    /// How long it took. Zero for a step that was not tried.
    pub took: Duration,
}

/// The links of the chain, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The names can be registered, and no setting rules everything out.
    Settings,
    /// The transaction group is mapped to a cluster.
    Group,
    /// The cluster has a list of servers.
    Cluster,
    /// An address of that list is well formed, and its host name resolves.
    Address,
    /// The address takes a TCP connection.
    Tcp,
    /// What listens there speaks Seata.
    Handshake,
    /// The server accepts the application as a transaction manager.
    TransactionManager,
    /// The server accepts the application as a resource manager.
    ResourceManager,
    /// A global transaction begins and rolls back.
    Transaction,
}

/// Whether a [`Link`] held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkStatus {
    /// It held.
    Ok,
    /// It held, but what was found may cause trouble later.
    Warning,
    /// It broke.
    Failed,
    /// An earlier link broke, so it was not tried.
    Skipped,
}

/// A link that broke, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken<'a> {
    /// The server's address as it stands in the list; `None` for a link that all servers share.
    pub server: Option<&'a str>,
    /// The link.
    pub link: &'a Link,
}

impl Report {
    /// Whether every link of every server held. A warning holds.
    pub fn is_ok(&self) -> bool {
        !self.links.is_empty() && self.first_failure().is_none()
    }

    /// Whether work can go on: the shared links held, and at least one server is whole.
    pub fn is_usable(&self) -> bool {
        let whole = |links: &[Link]| !links.is_empty() && links.iter().all(|link| !link.broke());
        whole(&self.links)
            && (self.servers.is_empty() || self.servers.iter().any(|server| whole(&server.links)))
    }

    /// The first link that broke, in the order of the table.
    pub fn first_failure(&self) -> Option<Broken<'_>> {
        self.failures().next()
    }

    /// Every link that broke, in the order of the table.
    pub fn failures(&self) -> impl Iterator<Item = Broken<'_>> {
        self.with_status(LinkStatus::Failed)
    }

    /// Every link that held with a warning, in the order of the table.
    pub fn warnings(&self) -> impl Iterator<Item = Broken<'_>> {
        self.with_status(LinkStatus::Warning)
    }

    fn with_status(&self, status: LinkStatus) -> impl Iterator<Item = Broken<'_>> {
        let shared = self.links.iter().map(|link| Broken { server: None, link });
        let servers = self.servers.iter().flat_map(|server| {
            server.links.iter().map(|link| Broken { server: Some(&server.address), link })
        });
        shared.chain(servers).filter(move |broken| broken.link.status == status)
    }
}

impl Link {
    /// A link that held.
    pub fn ok(step: Step, found: impl Into<String>, took: Duration) -> Self {
        Self { step, status: LinkStatus::Ok, found: found.into(), advice: String::new(), took }
    }

    /// A link that held, with something to look at.
    pub fn warning(step: Step, found: impl Into<String>, advice: impl Into<String>, took: Duration) -> Self {
        Self { step, status: LinkStatus::Warning, found: found.into(), advice: advice.into(), took }
    }

    /// A link that broke.
    pub fn failed(step: Step, found: impl Into<String>, advice: impl Into<String>, took: Duration) -> Self {
        Self { step, status: LinkStatus::Failed, found: found.into(), advice: advice.into(), took }
    }

    /// A link that was not tried.
    pub fn skipped(step: Step) -> Self {
        Self {
            step,
            status: LinkStatus::Skipped,
            found: "not tried".into(),
            advice: String::new(),
            took: Duration::ZERO,
        }
    }

    fn broke(&self) -> bool {
        matches!(self.status, LinkStatus::Failed | LinkStatus::Skipped)
    }
}

impl Step {
    /// A word for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Group => "group",
            Self::Cluster => "cluster",
            Self::Address => "address",
            Self::Tcp => "tcp",
            Self::Handshake => "handshake",
            Self::TransactionManager => "tm",
            Self::ResourceManager => "rm",
            Self::Transaction => "transaction",
        }
    }
}

impl LinkStatus {
    /// A word for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for LinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<11}  {:<7}  ", self.step, self.status)?;
        match self.took {
            Duration::ZERO => write!(f, "{:>9}", "")?,
            took => write!(f, "{:>6.1} ms", took.as_secs_f64() * 1_000.0)?,
        }
        writeln!(f, "  {}", self.found)
    }
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.link.step)?;
        if let Some(server) = self.server {
            write!(f, " of {server}")?;
        }
        write!(f, ": {}", self.link.found)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "application {:?}, transaction group {:?}", self.application, self.group)?;
        self.links.iter().try_for_each(|link| link.fmt(f))?;
        for server in &self.servers {
            match &server.version {
                Some(version) => writeln!(f, "\n{} (Seata {version})", server.address)?,
                None => writeln!(f, "\n{}", server.address)?,
            }
            server.links.iter().try_for_each(|link| link.fmt(f))?;
        }
        writeln!(f)?;
        for warning in self.warnings() {
            writeln!(f, "warning: {warning}")?;
            writeln!(f, "   next: {}", warning.link.advice)?;
        }
        for failure in self.failures() {
            writeln!(f, "broken: {failure}")?;
            writeln!(f, "  next: {}", failure.link.advice)?;
        }
        match (self.is_ok(), self.is_usable()) {
            (true, _) => write!(f, "every link holds"),
            (false, true) => write!(f, "work can go on: at least one server is whole"),
            (false, false) => write!(f, "no server can be used"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str, links: Vec<Link>) -> ServerReport {
        ServerReport { address: address.into(), version: None, links }
    }

    fn report(servers: Vec<ServerReport>) -> Report {
        Report {
            application: "order".into(),
            group: "default_tx_group".into(),
            links: vec![Link::ok(Step::Group, "mapped to cluster \"default\"", Duration::ZERO)],
            servers,
        }
    }

    fn connected() -> Link {
        Link::ok(Step::Tcp, "connected", Duration::from_micros(240))
    }

    fn refused() -> Link {
        Link::failed(Step::Tcp, "connection refused", "start the server", Duration::from_micros(90))
    }

    #[test]
    fn a_report_without_links_says_nothing_good() {
        assert!(!Report::default().is_ok());
        assert!(!Report::default().is_usable());
    }

    #[test]
    fn one_dead_server_of_two_breaks_a_link_and_leaves_work_going() {
        let report = report(vec![
            server("a:8091", vec![refused(), Link::skipped(Step::Handshake)]),
            server("b:8091", vec![connected()]),
        ]);
        assert!(!report.is_ok());
        assert!(report.is_usable());
        let failure = report.first_failure().expect("one link broke");
        assert_eq!((failure.server, failure.link.step), (Some("a:8091"), Step::Tcp));
        assert_eq!(report.failures().count(), 1, "what was skipped did not break by itself");
    }

    #[test]
    fn a_warning_holds() {
        let odd = Link::warning(Step::Transaction, "odd", "look", Duration::ZERO);
        let report = report(vec![server("a:8091", vec![connected(), odd])]);
        assert!(report.is_ok() && report.is_usable());
        assert_eq!(report.warnings().count(), 1);
    }

    #[test]
    fn the_table_names_the_broken_link_and_the_next_step() {
        let text = report(vec![
            server("a:8091", vec![refused(), Link::skipped(Step::Handshake)]),
            ServerReport {
                address: "b:8091".into(),
                version: Some("2.0.0".into()),
                links: vec![connected()],
            },
        ])
        .to_string();
        assert_eq!(
            text,
            "application \"order\", transaction group \"default_tx_group\"\n  \
               group        ok                  mapped to cluster \"default\"\n\
             \na:8091\n  \
               tcp          failed      0.1 ms  connection refused\n  \
               handshake    skipped             not tried\n\
             \nb:8091 (Seata 2.0.0)\n  \
               tcp          ok          0.2 ms  connected\n\
             \nbroken: tcp of a:8091: connection refused\n  \
               next: start the server\n\
             work can go on: at least one server is whole"
        );
    }
}
