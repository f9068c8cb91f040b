//! Why does it not work? [`check`] walks the chain from the transaction group to a transaction and names the
//! link that broke.

mod peer;
mod probe;
mod report;
mod server;

use std::time::Duration;

use futures_util::future::join_all;

use crate::{ServerAddress, ServicesError, Settings, SettingsError, registration::Identity};

pub use self::report::{Broken, Link, LinkStatus, Report, ServerReport, Step};
use self::server::Walk;

/// Walks the chain that a client of this application and group would, and tells what stands at each link:
/// group, cluster, addresses; then for every server, all at the same time, name lookup, TCP, handshake,
/// registration in both roles, and a global transaction that is begun and rolled back.
///
/// It changes nothing that lasts, and needs no client. Every step has a limit:
/// [`connect_timeout`](Settings::connect_timeout), for the last one
/// [`transaction_request_timeout`](Settings::transaction_request_timeout). A transaction whose check is
/// dropped half-way is rolled back by the server after 10 s.
///
/// ```no_run
/// use seata_client::{Services, Settings, check};
///
/// # async fn example() {
/// let settings = Settings::new(Services::servers(["127.0.0.1:8091"]));
/// let report = check("order", "default_tx_group", &settings).await;
/// if !report.is_ok() {
///     eprintln!("{report}");
/// }
/// # }
/// ```
pub async fn check(application: &str, group: &str, settings: &Settings) -> Report {
    let mut report =
        Report { application: application.to_owned(), group: group.to_owned(), ..Report::default() };
    let Some(servers) = shared_links(application, group, settings, &mut report.links) else { return report };
    let walk = Walk {
        identity: Identity::new(application, group, settings.credentials.clone()),
        settings,
        several: servers.len() > 1,
    };
    report.servers = join_all(servers.iter().map(|address| walk.server(address))).await;
    report
}

/// The links that all servers share. Returns the servers, unless one of the links broke.
fn shared_links<'a>(
    application: &str,
    group: &str,
    settings: &'a Settings,
    links: &mut Vec<Link>,
) -> Option<&'a [ServerAddress]> {
    match settings.validate(application, group) {
        // Of the services the links below say more.
        Ok(()) | Err(SettingsError::Services(_)) => links.push(holds(Step::Settings, "valid".into())),
        Err(error) => {
            links.push(breaks(Step::Settings, error.to_string(), "correct it; nothing was tried".into()));
            links.extend([Step::Group, Step::Cluster].map(Link::skipped));
            return None;
        }
    }
    match settings.services.resolve(group) {
        Ok(cluster) => {
            let servers: Vec<_> = cluster.servers.iter().map(ToString::to_string).collect();
            links.push(holds(Step::Group, format!("mapped to cluster {:?}", cluster.name)));
            links.push(holds(Step::Cluster, format!("its servers: {}", servers.join(", "))));
            Some(cluster.servers)
        }
        Err(error) => {
            links.extend(broken_services(&error));
            None
        }
    }
}

/// The links from the group to the one that broke.
fn broken_services(error: &ServicesError) -> Vec<Link> {
    let found = error.to_string();
    match error {
        ServicesError::NoCluster { group, known } => {
            let advice = match nearest(group, known) {
                Some(known) => format!("is {known:?} meant? else add service.vgroupMapping.{group}"),
                None => format!("add service.vgroupMapping.{group} with the name of a cluster"),
            };
            vec![breaks(Step::Group, found, advice), Link::skipped(Step::Cluster)]
        }
        ServicesError::NoServers { cluster, known } => {
            let advice = match nearest(cluster, known) {
                Some(known) => format!("is {known:?} meant? else add service.{cluster}.grouplist"),
                None => format!("add service.{cluster}.grouplist with host:port of each server"),
            };
            let group = holds(Step::Group, format!("mapped to cluster {cluster:?}"));
            vec![group, breaks(Step::Cluster, found, advice)]
        }
        ServicesError::InvalidAddress(_) => vec![
            holds(Step::Group, "mapped to a cluster".into()),
            holds(Step::Cluster, "has a list of servers".into()),
            breaks(
                Step::Address,
                found,
                "correct it in the list of servers: `.server(..)`, or service.<cluster>.grouplist".into(),
            ),
        ],
    }
}

fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    let likeness = |known: &&String| strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
    known.iter().filter(|known| likeness(known) >= 0.8).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// Shared links are looked up, which takes no time.
fn holds(step: Step, found: String) -> Link {
    Link::ok(step, found, Duration::ZERO)
}

fn breaks(step: Step, found: String, advice: String) -> Link {
    Link::failed(step, found, advice, Duration::ZERO)
}
