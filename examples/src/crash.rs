//! Dies between phase one and phase two, once before a decision and once behind it.

use std::{convert::Infallible, future::pending, path::Path};

use seata::{coordinator::EventKind, global_transactional};
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::sync::oneshot;

use crate::{
    ShopError,
    business::{Business, Purchase},
    database,
    scenes::Stage,
    server::ServeError,
    witness::Witness,
};

const CHAIRS: Purchase = Purchase { buyer: "alice", product: "chair", pieces: 2, price: 60 };
const LAMPS: Purchase = Purchase { buyer: "alice", product: "lamp", pieces: 1, price: 30 };

/// Leaves two transactions unfinished, and ends the process as a power cut would.
///
/// # Errors
/// What kept it from coming so far.
pub async fn crash(mut stage: Stage) -> Result<Infallible, ServeError> {
    println!("== Killed between phase one and phase two\n");
    let business = stage.shop.business.clone();
    let (asked, was_asked) = oneshot::channel();
    let never_confirmed = async {
        let _ = asked.send(());
        pending().await
    };
    let mut undecided = Box::pin(business.purchase_once(&LAMPS, never_confirmed));
    tokio::select! {
        ended = &mut undecided => {
            ended?;
        }
        asked = was_asked => asked?,
    }

    let mut busy = Vec::new();
    purchase(&business, stage.databases.directory(), &mut busy).await?;
    match &mut stage.witness {
        Witness::Coordinator(lives) => {
            println!("{}", lives.until(|step| matches!(step, EventKind::Decided { .. })).await?);
        }
        Witness::Databases(_) => {
            println!("  a purchase of 2 chairs is decided, and its databases are busy …")
        }
    }
    println!("  … and a purchase of a lamp that is not decided yet. Start again to finish both.");
    std::process::abort()
}

/// Keeps the databases busy, as a backup may, so that phase two has to wait.
#[global_transactional(name = "purchase", client = business.seata())]
async fn purchase(
    business: &Business,
    directory: &Path,
    busy: &mut Vec<SqliteConnection>,
) -> Result<i64, ShopError> {
    let order = business.purchase(&CHAIRS).await?;
    for service in ["storage", "order", "account"] {
        let mut connection = database::options(directory, service).connect().await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        busy.push(connection);
    }
    Ok(order)
}
