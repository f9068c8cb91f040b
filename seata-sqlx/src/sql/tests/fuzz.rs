//! Whatever the words are: no panic, no overflow, and what is understood makes an image query that is understood.

use sqlparser::tokenizer::Token;

use super::{super::*, cases::cases};
use crate::sql::tokens::significant;

const WORDS: &[&str] = &[
    "SELECT",
    "INSERT",
    "INTO",
    "UPDATE",
    "DELETE",
    "FROM",
    "SET",
    "WHERE",
    "VALUES",
    "(",
    ")",
    "(",
    ")",
    ",",
    ",",
    ";",
    "=",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "JOIN",
    "LEFT",
    "ON",
    "USING",
    "AS",
    "ONLY",
    "ORDER",
    "BY",
    "LIMIT",
    "FOR",
    "SHARE",
    "OF",
    "SKIP",
    "LOCKED",
    "RETURNING",
    "WITH",
    "RECURSIVE",
    "TABLE",
    "DEFAULT",
    "CONFLICT",
    "DO",
    "NOTHING",
    "DUPLICATE",
    "KEY",
    "IGNORE",
    "LOW_PRIORITY",
    "REPLACE",
    "MERGE",
    "EXPLAIN",
    "ANALYZE",
    "COPY",
    "DECLARE",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "EXISTS",
    "UNION",
    "GROUP",
    "HAVING",
    "DISTINCT",
    "BETWEEN",
    "SYMMETRIC",
    "ISNULL",
    "NOTNULL",
    "LIKE",
    "INTERVAL",
    "CAST",
    "ROW",
    "OVERRIDING",
    "VALUE",
    "PARTITION",
    "SOUNDS",
    "MOD",
    "CONSTRAINT",
    "a",
    "b",
    "t",
    "t.a",
    "s.t",
    "acc",
    "1",
    "-1",
    "1.5e3",
    "'x'",
    "''",
    "E'\\''",
    "'\\''",
    "\"q\"",
    "`q`",
    "[q]",
    "$$x$$",
    "$1",
    "$2",
    "?",
    "?1",
    ":n",
    "@v",
    ":=",
    "*",
    ".",
    "[",
    "]",
    "::",
    "->>",
    "#",
    "--",
    "/*",
    "*/",
    "/*!",
    "\n",
    "\\",
    "你",
    "now()",
    "rand()",
    "f(",
    "x'4d'",
    "b'1'",
    "||",
];

/// A small generator that a seed replays.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn words(&mut self) -> String {
        let count = 1 + self.below(24);
        (0..count).map(|_| WORDS[self.below(WORDS.len())]).collect::<Vec<_>>().join(" ")
    }

    /// A good statement with a few words changed.
    fn variant(&mut self, sql: &str) -> String {
        let mut words: Vec<&str> = sql.split(' ').collect();
        for _ in 0..=self.below(3) {
            let at = self.below(words.len());
            match self.below(4) {
                0 if words.len() > 1 => drop(words.remove(at)),
                1 => words.insert(at, WORDS[self.below(WORDS.len())]),
                2 => words[at] = WORDS[self.below(WORDS.len())],
                _ => {
                    let other = self.below(words.len());
                    words.swap(at, other);
                }
            }
        }
        words.join(" ")
    }
}

/// `SEATA_SQL_SEED` replays a run, `SEATA_SQL_STATEMENTS` makes it longer.
#[test]
fn any_words_are_answered() {
    let number = |name, default| {
        std::env::var(name).ok().map_or(default, |value| value.parse::<u64>().expect("a number"))
    };
    let seed = number("SEATA_SQL_SEED", u64::from(std::process::id()) + 1);
    let count = number("SEATA_SQL_STATEMENTS", 3_000);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for flavor in [Flavor::Sqlite, Flavor::MySql, Flavor::Postgres] {
        let known: Vec<String> = cases(flavor).into_iter().flat_map(|case| case.statements).collect();
        for _ in 0..count {
            let sql = match random.below(4) {
                0 => random.words(),
                _ => {
                    let at = random.below(known.len());
                    random.variant(&known[at])
                }
            };
            let holds = std::panic::catch_unwind(|| holds(flavor, &sql));
            assert!(matches!(holds, Ok(true)), "SEATA_SQL_SEED={seed}: {flavor:?} {sql}");
        }
    }
}

fn holds(flavor: Flavor, sql: &str) -> bool {
    let rows = match analyse(flavor, sql).statement {
        Ok(Statement::Write(write)) if !matches!(write.kind, Kind::Insert | Kind::Upsert { .. }) => {
            write.rows
        }
        Ok(Statement::Lock(rows)) => rows,
        _ => return true,
    };
    let columns = format!("{}.{}", rows.qualifier(flavor), flavor.quote("id"));
    let image = image_query(flavor, &rows, &columns, &flavor.quote(&rows.table), "");
    let Ok(tokens) = significant(flavor, &image) else { return false };
    let parameters = tokens.iter().filter(|token| matches!(token.token, Token::Placeholder(_))).count();
    // A reserved word may stand as a name, which the database refuses.
    let is_one_read = matches!(
        analyse(flavor, &image).statement,
        Ok(Statement::Read | Statement::Lock(_))
            | Err(Refusal::NotLockable(_) | Refusal::Into(_) | Refusal::Setting(_) | Refusal::With)
    );
    is_one_read
        && (flavor != Flavor::MySql || parameters == rows.parameters)
        && says_the_same(flavor, &rows, &image)
}

/// A plain image read anew has the condition of its statement.
fn says_the_same(flavor: Flavor, rows: &Rows, image: &str) -> bool {
    let is_plain = rows.with.is_empty() && rows.source.is_none() && rows.lock.is_empty();
    if !is_plain || rows.swallowed != Swallowed::default() {
        return true;
    }
    // Whoever takes a reserved word for a name is refused by the database.
    let Ok(again) = committed_read(flavor, image) else { return true };
    again.is_some_and(|again| {
        (again.condition, again.table, again.alias, again.only)
            == (rows.condition.clone(), rows.table.clone(), rows.alias.clone(), rows.only)
            && rows.tail.starts_with(&again.tail)
    })
}

/// Deeper than any database takes them, on the stack that a test has.
#[test]
fn depth_is_refused_before_the_stack_ends() {
    for flavor in [Flavor::Sqlite, Flavor::MySql, Flavor::Postgres] {
        for (open, close) in [
            ("(", ")"),
            ("NOT ", ""),
            ("- ", ""),
            ("CASE WHEN ", " THEN 1 END"),
            ("f(", ")"),
            ("a + (b + ", ")"),
            ("a IN (SELECT ", ")"),
        ] {
            for depth in [100, 5_000] {
                let condition = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let _ = analyse(flavor, &format!("UPDATE t SET a = 1 WHERE {condition}"));
                let _ = analyse(flavor, &format!("INSERT INTO t VALUES ({condition})"));
                let _ = analyse(flavor, &format!("SELECT * FROM t WHERE {condition} FOR UPDATE"));
                let _ = committed_read(flavor, &format!("SELECT * FROM t WHERE {condition}"));
            }
        }
    }
    let nested = format!("{}1{}", "a + b + c + d + e + f + g + (".repeat(45), ")".repeat(45));
    let rows = format!("{}{}", "a + ".repeat(290), nested);
    let _ = analyse(Flavor::Postgres, &format!("DELETE FROM t WHERE {rows}"));
}
