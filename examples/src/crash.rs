//! Dies between phase one and phase two, once before a decision and once behind it.

use std::{convert::Infallible, future::pending};

use seata::{coordinator::EventKind, global_transactional};
use tokio::sync::oneshot;

use crate::{Shop, business::Purchase, scenes::Stage, server::ServeError, witness::Witness};

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

    purchase(&stage.shop).await?;
    match &mut stage.witness {
        Witness::Coordinator(lives) => {
            println!("{}", lives.until(|step| matches!(step, EventKind::Decided { .. })).await?);
        }
        Witness::Databases(_) => {
            println!("  a purchase of 2 chairs is decided, and its databases are away …")
        }
    }
    println!("  … and a purchase of a lamp that is not decided yet. Start again to finish both.");
    std::process::abort()
}

/// Loses the databases before it commits, so that phase two has to wait.
#[global_transactional(name = "purchase", client = shop.business.seata())]
async fn purchase(shop: &Shop) -> Result<i64, ServeError> {
    let order = shop.business.purchase(&CHAIRS).await?;
    shop.lose_databases().await?;
    Ok(order)
}
