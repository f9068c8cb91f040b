//! A report for programs.

use seata_client::{Link, Report, ServerReport};
use serde_json::{Value, json};

pub(super) fn value(report: &Report) -> Value {
    let first_failure = report.first_failure().map(|broken| {
        json!({
            "server": broken.server,
            "step": broken.link.step.name(),
            "found": broken.link.found,
            "advice": broken.link.advice,
        })
    });
    json!({
        "ok": report.is_ok(),
        "usable": report.is_usable(),
        "application": report.application,
        "group": report.group,
        "first_failure": first_failure,
        "links": links(&report.links),
        "servers": report.servers.iter().map(server).collect::<Vec<_>>(),
    })
}

fn server(server: &ServerReport) -> Value {
    json!({ "address": server.address, "version": server.version, "links": links(&server.links) })
}

fn links(links: &[Link]) -> Vec<Value> {
    let link = |link: &Link| {
        json!({
            "step": link.step.name(),
            "status": link.status.name(),
            "found": link.found,
            "advice": link.advice,
            "micros": u64::try_from(link.took.as_micros()).unwrap_or(u64::MAX),
        })
    };
    links.iter().map(link).collect()
}
