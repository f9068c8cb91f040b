//! What the four databases say, read past AT mode as an auditor would.

use std::fmt;

use sqlx::Connection as _;

use crate::database::Databases;

/// The services that have a database.
pub const SERVICES: [&str; 4] = ["storage", "order", "account", "business"];

/// What all chairs and lamps together are, in stock and ordered.
const ALL_PIECES: i64 = 200;

/// What alice has and has paid.
const ALL_MONEY: i64 = 1000;

/// 0: an image to go back to. 1 marks a branch that was rolled back before it was there.
const UNDO_ROWS: &str = "SELECT count(*) FROM undo_log WHERE log_status = 0";

/// What the four databases say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    /// Chairs in stock.
    pub chairs: i64,
    /// Lamps in stock.
    pub lamps: i64,
    /// Orders written down.
    pub orders: i64,
    /// Pieces in those orders.
    pub ordered: i64,
    /// The price of those orders.
    pub paid: i64,
    /// What alice has.
    pub money: i64,
    /// Notes of attempts to buy.
    pub notes: i64,
    /// Undo log rows in all databases: changes that are neither final nor undone.
    pub undo_rows: i64,
}

impl Books {
    /// Reads the databases.
    ///
    /// # Errors
    /// Those of the databases.
    pub async fn read(databases: &Databases) -> Result<Self, sqlx::Error> {
        let stock = [
            "SELECT pieces FROM stock WHERE product = 'chair'",
            "SELECT pieces FROM stock WHERE product = 'lamp'",
            UNDO_ROWS,
        ];
        let [chairs, lamps, of_storage] = sums(databases, "storage", stock).await?;
        let order = [
            "SELECT count(*) FROM orders",
            "SELECT pieces FROM orders",
            "SELECT amount FROM orders",
            UNDO_ROWS,
        ];
        let [orders, ordered, paid, of_order] = sums(databases, "order", order).await?;
        let account = ["SELECT money FROM account WHERE owner = 'alice'", UNDO_ROWS];
        let [money, of_account] = sums(databases, "account", account).await?;
        let business = ["SELECT count(*) FROM audit", UNDO_ROWS];
        let [notes, of_business] = sums(databases, "business", business).await?;
        let undo_rows = of_storage + of_order + of_account + of_business;
        Ok(Self { chairs, lamps, orders, ordered, paid, money, notes, undo_rows })
    }

    /// Whether every piece and all the money is somewhere, once, and nothing is left half done.
    ///
    /// # Errors
    /// [`WrongSum`] names the sum.
    pub fn check(&self) -> Result<(), WrongSum> {
        let sums = [
            ("pieces in stock and ordered", self.chairs + self.lamps + self.ordered, ALL_PIECES),
            ("money in the account and paid", self.money + self.paid, ALL_MONEY),
            ("undo log rows", self.undo_rows, 0),
        ];
        match sums.into_iter().find(|(_, found, expected)| found != expected) {
            Some((what, found, expected)) => Err(WrongSum { what, found, expected }),
            None => Ok(()),
        }
    }

    fn rows(&self) -> [(&'static str, &'static str, i64); 8] {
        [
            ("storage", "chairs in stock", self.chairs),
            ("storage", "lamps in stock", self.lamps),
            ("order", "orders", self.orders),
            ("order", "pieces ordered", self.ordered),
            ("order", "money paid", self.paid),
            ("account", "money of alice", self.money),
            ("business", "audit rows", self.notes),
            ("all", "undo log rows", self.undo_rows),
        ]
    }
}

/// What the rows of each query add up to.
async fn sums<const N: usize>(
    databases: &Databases,
    service: &str,
    queries: [&'static str; N],
) -> Result<[i64; N], sqlx::Error> {
    let mut connection = databases.connect(service).await?;
    let mut sums = [0; N];
    for (sum, query) in sums.iter_mut().zip(queries) {
        let numbers: Vec<i64> = sqlx::query_scalar(query).fetch_all(&mut connection).await?;
        *sum = numbers.iter().sum();
    }
    connection.close().await?;
    Ok(sums)
}

/// A sum that is not what it always is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} add up to {found}, not to {expected}")]
pub struct WrongSum {
    what: &'static str,
    found: i64,
    expected: i64,
}

/// Two states of the books side by side.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// The earlier one.
    pub before: Books,
    /// The later one.
    pub after: Books,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<10}{:<18}{:>8}{:>8}", "database", "", "before", "after")?;
        for ((database, what, before), (.., after)) in self.before.rows().into_iter().zip(self.after.rows()) {
            let mark = if before == after { "" } else { "  *" };
            writeln!(f, "  {database:<10}{what:<18}{before:>8}{after:>8}{mark}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Books = Books {
        chairs: 100,
        lamps: 100,
        orders: 0,
        ordered: 0,
        paid: 0,
        money: 1000,
        notes: 0,
        undo_rows: 0,
    };

    #[test]
    fn a_lost_piece_lost_money_and_a_leftover_are_found() {
        assert_eq!(FRESH.check(), Ok(()));
        let wrong = [
            Books { chairs: 98, ..FRESH },
            Books { chairs: 98, ordered: 2, money: 880, ..FRESH },
            Books { undo_rows: 1, ..FRESH },
        ];
        for books in wrong {
            assert!(books.check().is_err(), "{books:?}");
        }
        let error = wrong[0].check().expect_err("two chairs are gone");
        assert_eq!(error.to_string(), "pieces in stock and ordered add up to 198, not to 200");
    }
}
