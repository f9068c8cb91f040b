//! The scenes that the shop plays: what happens, what must come of it, and how it is shown.

use std::future::pending;

use seata::Coordinator;
use tokio::sync::oneshot;

use crate::{
    Place, Shop, ShopError,
    books::{Books, Comparison},
    business::Purchase,
    database::Databases,
    life::{Left, Lives},
    server::ServeError,
    witness::Witness,
};

/// A shop with somebody who watches it.
#[derive(Debug)]
pub struct Stage {
    /// The shop.
    pub shop: Shop,
    /// Who tells how its transactions end.
    pub witness: Witness,
    /// Its databases.
    pub databases: Databases,
}

/// Something that came out other than it must.
#[derive(Debug, thiserror::Error)]
#[error("scene {scene:?}: {found}")]
pub struct WrongOutcome {
    scene: &'static str,
    found: String,
}

const KILLED: &str = "== An earlier run was killed; this one finishes its work\n";

const CHAIRS: Purchase = Purchase { buyer: "alice", product: "chair", pieces: 2, price: 60 };
const TOO_MANY_CHAIRS: Purchase = Purchase { pieces: 50, ..CHAIRS };

impl Stage {
    /// Opens the shop on these databases, with a coordinator in their directory. What an earlier run left is finished
    /// first, and shown.
    ///
    /// # Errors
    /// What kept the shop from opening, or from finishing.
    pub async fn open(databases: Databases) -> Result<Self, ServeError> {
        let coordinator = Coordinator::open(databases.directory().join("coordinator")).await?;
        // No database is there yet, so phase two cannot have begun.
        let left = coordinator.transactions().await?;
        let lives = Lives::new(coordinator.events()).with_left(&left);
        let witness = Witness::Coordinator(lives);
        if left.is_empty() {
            let shop = Shop::start(Place::Embedded(coordinator), &databases).await?;
            return Ok(Self { shop, witness, databases });
        }
        println!("{KILLED}");
        left.iter().for_each(|view| println!("{}", Left(view)));
        let before = Books::read(&databases).await?;
        let shop = Shop::start(Place::Embedded(coordinator), &databases).await?;
        Self { shop, witness, databases }.finish(left.len(), before).await
    }

    /// Opens the shop on these databases, with the coordinator on a server. What an earlier run left is
    /// finished first.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_on(server: String, databases: Databases) -> Result<Self, ServeError> {
        // Databases whose tables are not made yet have no books.
        let before = Books::read(&databases).await.ok();
        let shop = Shop::start(Place::Server(server), &databases).await?;
        let witness = Witness::Databases(databases.clone());
        let stage = Self { shop, witness, databases };
        match before {
            Some(before) if before.undo_rows > 0 => {
                println!("{KILLED}");
                println!("  left      {} undo log rows", before.undo_rows);
                println!(
                    "            what nobody decided is rolled back by the server at its time-out, after 30 s\n"
                );
                stage.finish(1, before).await
            }
            _ => Ok(stage),
        }
    }

    /// Waits until what was left has ended, so many times, and shows what came of it.
    async fn finish(mut self, times: usize, before: Books) -> Result<Self, ServeError> {
        let mut ended = Vec::new();
        for _ in 0..times {
            ended.push(self.witness.ended().await?.to_string());
        }
        ended.sort(); // which of them ends first says nothing
        println!("{}", ended.join("\n"));
        let after = Books::read(&self.databases).await?;
        println!("{}", Comparison { before, after });
        self.check("recovery", after, after).await?;
        Ok(self)
    }

    /// Plays all scenes.
    ///
    /// # Errors
    /// The first thing that came out other than it must.
    pub async fn play(&mut self) -> Result<(), ServeError> {
        self.commits().await?;
        self.fails_in_the_last_service().await?;
        self.is_given_up().await?;
        self.leaves_a_note().await
    }

    async fn commits(&mut self) -> Result<(), ServeError> {
        let scene = "1. A purchase that commits";
        let before = self.begin(scene).await?;
        let order = self.shop.business.purchase(&CHAIRS).await?;
        println!("  alice buys 2 chairs: order {order}\n");
        let after = Books {
            chairs: before.chairs - 2,
            orders: before.orders + 1,
            ordered: before.ordered + 2,
            paid: before.paid + 120,
            money: before.money - 120,
            ..before
        };
        self.end(scene, before, after).await
    }

    async fn fails_in_the_last_service(&mut self) -> Result<(), ServeError> {
        let scene = "2. A purchase that fails in the last service";
        let before = self.begin(scene).await?;
        let refused = self.shop.business.purchase(&TOO_MANY_CHAIRS).await;
        println!("  alice buys 50 chairs: {}\n", told(&refused));
        self.end(scene, before, before).await
    }

    async fn is_given_up(&mut self) -> Result<(), ServeError> {
        let scene = "3. A purchase whose caller is dropped half-way";
        let before = self.begin(scene).await?;
        let (asked, was_asked) = oneshot::channel();
        let never_confirmed = async {
            let _ = asked.send(());
            pending().await
        };
        tokio::select! {
            bought = self.shop.business.purchase_once(&CHAIRS, never_confirmed) => {
                return Err(WrongOutcome { scene, found: told(&bought) }.into());
            }
            // The other future is dropped: the chairs are out of the stock, the order is not written.
            _ = was_asked => println!("  alice leaves when she is asked to confirm\n"),
        }
        self.end(scene, before, before).await
    }

    async fn leaves_a_note(&mut self) -> Result<(), ServeError> {
        let scene = "4. A purchase that rolls back, and an audit row that stays";
        let before = self.begin(scene).await?;
        let refused = self.shop.business.audited_purchase(&TOO_MANY_CHAIRS).await;
        println!("  alice buys 50 chairs: {}\n", told(&refused));
        self.end(scene, before, Books { notes: before.notes + 1, ..before }).await
    }

    async fn begin(&self, scene: &str) -> Result<Books, sqlx::Error> {
        println!("== {scene}");
        Books::read(&self.databases).await
    }

    async fn end(&mut self, scene: &'static str, before: Books, expected: Books) -> Result<(), ServeError> {
        println!("{}", self.witness.ended().await?);
        let after = Books::read(&self.databases).await?;
        println!("{}", Comparison { before, after });
        self.check(scene, after, expected).await
    }

    async fn check(&self, scene: &'static str, found: Books, expected: Books) -> Result<(), ServeError> {
        found.check()?;
        if found != expected {
            let found = format!("the books say {found:?}, and should say {expected:?}");
            return Err(WrongOutcome { scene, found }.into());
        }
        match self.shop.coordinator() {
            Some(coordinator) => match coordinator.locks().await?.first() {
                None => Ok(()),
                Some(held) => {
                    let found = format!("row {} is still locked", held.lock);
                    Err(WrongOutcome { scene, found }.into())
                }
            },
            None => Ok(self.read_committed().await?),
        }
    }

    /// Reads every row as somebody does who must not see what is undecided: a locked one is an error.
    async fn read_committed(&self) -> Result<(), sqlx::Error> {
        let all = ["SELECT * FROM stock", "SELECT * FROM orders", "SELECT * FROM account"];
        for (database, query) in self.shop.databases().iter().zip(all) {
            database.read_committed(query).await?;
        }
        Ok(())
    }
}

fn told(outcome: &Result<i64, ShopError>) -> String {
    match outcome {
        Ok(number) => format!("order {number}"),
        Err(error) => format!("no, {error}"),
    }
}
