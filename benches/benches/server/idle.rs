//! Thousands of applications that are there and say nothing but that.

use std::{
    future::poll_fn,
    io,
    task::Poll,
    time::{Duration, Instant},
};

use seata_benches::{Table, wire::Connection};
use seata_protocol::{Kind as FrameKind, Message, RegisterRm, RegisterTm, SEATA_VERSION};

use crate::{
    candidate::{Candidate, Kind},
    options::Options,
};

/// How often each says that it is there, as Java's clients do.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// File descriptors that others than the connections need.
const OTHERS: usize = 64;

pub(crate) fn run(options: &Options) {
    let count = options.connections.min(file_limit().saturating_sub(OTHERS));
    if count < options.connections {
        println!("{count} connections: more than this process may have open; raise it with `ulimit -n`");
    }
    let server = Candidate::start(Kind::Journal);
    let before = server.resident_bytes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let measured = runtime.block_on(async {
        let start = Instant::now();
        let mut connections = connect(&server, count).await?;
        let connected_in = start.elapsed();
        let (start, cpu) = (Instant::now(), server.cpu_time());
        for _ in 0..options.rounds {
            for connection in &mut connections {
                beat(connection).await?;
            }
            tokio::time::sleep(HEARTBEAT.min(options.turn)).await;
        }
        let cpu = (server.cpu_time() - cpu).as_secs_f64() * 1e6 / (count * options.rounds) as f64;
        io::Result::Ok((connected_in, cpu, start.elapsed()))
    });
    let (connected_in, cpu, time) = measured.expect("the server is there");

    let resident = server.resident_bytes() - before;
    let mut table = Table::new(&[
        "connections",
        "registered in s",
        "MiB",
        "bytes each",
        "CPU µs for a heartbeat",
        "after s",
    ]);
    table.row([
        count.to_string(),
        format!("{:.2}", connected_in.as_secs_f64()),
        format!("{:.1}", resident as f64 / f64::from(1 << 20)),
        format!("{:.0}", resident as f64 / count as f64),
        format!("{cpu:.1}"),
        format!("{:.1}", time.as_secs_f64()),
    ]);
    table.print("Registered, and idle");
}

/// Half of them start transactions, half hold resources.
async fn connect(server: &Candidate, count: usize) -> io::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for number in 0..count {
        let mut connection = Connection::connect(server.address).await?;
        let application_id = format!("idle-{}", number / 2).into();
        let (version, transaction_service_group) = (SEATA_VERSION.into(), "default_tx_group".into());
        let extra_data = "".into();
        let register = if number % 2 == 0 {
            let starter = RegisterTm { version, application_id, transaction_service_group, extra_data };
            Message::RegisterTm(starter)
        } else {
            let resource_ids = "jdbc:mysql://127.0.0.1/idle".into();
            Message::RegisterRm(RegisterRm {
                version,
                application_id,
                transaction_service_group,
                extra_data,
                resource_ids,
            })
        };
        connection.ask(1, &register).await?;
        connections.push(connection);
    }
    Ok(connections)
}

/// A ping and its answer.
async fn beat(connection: &mut Connection) -> io::Result<()> {
    connection.beat(FrameKind::Ping, 2);
    poll_fn(|cx| {
        let Poll::Ready(flushed) = connection.poll_flush(cx) else { return Poll::Pending };
        flushed?;
        connection.poll_receive(cx)
    })
    .await?;
    while connection.take()?.is_some() {}
    Ok(())
}

/// How many files this process may have open.
fn file_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("benchmarks run on Linux");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}
