//! SQLite.

use super::super::*;

fn analysed(sql: &str) -> Analysis {
    analyse(Flavor::Sqlite, sql)
}

fn written(sql: &str) -> Write {
    match analysed(sql).statement {
        Ok(Statement::Write(write)) => write,
        other => panic!("{sql} gave {other:?}"),
    }
}

#[test]
fn the_rows_of_a_change_are_selected_with_its_own_words() {
    for (sql, condition, tail) in [
        ("UPDATE stock SET n = n - 1 WHERE id = ?", "id = ?1", ""),
        ("update main.stock set n=?, m=? where id=? and k=?2;", "id=?2 and k=?2", ""),
        ("UPDATE \"my stock\" SET n = 0", "", ""),
        ("UPDATE OR IGNORE stock SET n = 0 WHERE n == 1", "n == 1", ""),
        ("UPDATE stock AS s SET n = (SELECT 1 WHERE 2) WHERE s.n <> 0", "s.n <> 0", ""),
        (
            "DELETE FROM s WHERE id IN (SELECT id FROM g WHERE at < $1 ORDER BY id LIMIT 1) -- why",
            "id IN (SELECT id FROM g WHERE at < ?1 ORDER BY id LIMIT 1)",
            "",
        ),
        ("DELETE FROM s WHERE a = '''''' OR b = \"x\"\"y\"", "a = '''''' OR b = \"x\"\"y\"", ""),
        (
            "DELETE FROM s WHERE a = x'ab' AND b = -1.5e3 /* and */ AND 你 = ?",
            "a = x'ab' AND b = -1.5e3 /* and */ AND 你 = ?1",
            "",
        ),
        ("DELETE FROM s WHERE a -- one\n = 1 -- two", "a -- one\n = 1", ""),
        // What the parser does not know is copied all the same.
        ("DELETE FROM s WHERE a IS ? AND b IS NOT ? OR c ISNULL", "a IS ?1 AND b IS NOT ?2 OR c ISNULL", ""),
        (
            "DELETE FROM s WHERE a IS NULL AND b IS NOT NULL AND c IS TRUE",
            "a IS NULL AND b IS NOT NULL AND c IS TRUE",
            "",
        ),
        ("DELETE FROM s WHERE a << 1 = 2 AND b NOT GLOB 'x*'", "a << 1 = 2 AND b NOT GLOB 'x*'", ""),
        (
            "DELETE FROM s WHERE a NOT IN t2 OR a IN main.t3 OR a IN (1)",
            "a NOT IN t2 OR a IN main.t3 OR a IN (1)",
            "",
        ),
        ("DELETE FROM s WHERE NOT glob('x*', a)", "NOT glob('x*', a)", ""),
        ("UPDATE s INDEXED BY i SET a = b IS c WHERE d", "d", ""),
        ("DELETE FROM s NOT INDEXED WHERE NOT a", "NOT a", ""),
        ("DELETE FROM s WHERE a = 1 RETURNING a, (SELECT 1 WHERE 2)", "a = 1", ""),
        ("DELETE FROM s WHERE a = 1 ORDER BY b LIMIT ?", "a = 1", "ORDER BY b LIMIT ?1"),
    ] {
        let rows = written(sql).rows;
        assert_eq!((rows.condition.as_deref().unwrap_or(""), rows.tail.as_str()), (condition, tail), "{sql}");
    }
}

#[test]
fn what_stands_before_a_change_stands_before_its_image() {
    let rows =
        written("WITH x(a) AS (SELECT ?), y AS (SELECT 1) DELETE FROM t WHERE a IN (SELECT a FROM x) -- y")
            .rows;
    let image = image_query(Flavor::Sqlite, &rows, "\"t\".\"a\"", "main.\"t\"", "");
    assert_eq!(
        image,
        "WITH x(a) AS (SELECT ?1), y AS (SELECT 1) SELECT \"t\".\"a\" FROM main.\"t\" WHERE a IN (SELECT a FROM x)"
    );
}

#[test]
fn the_columns_that_are_set_are_known() {
    let columns = |sql: &str| match written(sql).kind {
        Kind::Update { columns } | Kind::Upsert { columns } => columns,
        other => panic!("{sql} is {other:?}"),
    };
    assert_eq!(columns("UPDATE t SET a = 1, t.b = 2"), ["a", "b"]);
    assert_eq!(columns("UPDATE t SET (a, \"B\") = (1, 2)"), ["a", "B"]);
    assert_eq!(columns("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1"), ["b"]);
    assert_eq!(
        columns(
            "INSERT INTO main.t AS x (a) VALUES (1) ON CONFLICT (a) WHERE a > (0) DO UPDATE SET b = 1 WHERE x.b < 3"
        ),
        ["b"]
    );
    assert_eq!(written("INSERT INTO t DEFAULT VALUES").kind, Kind::Insert);
    assert_eq!(written("INSERT INTO t VALUES (1), (2) ON CONFLICT DO NOTHING").kind, Kind::Insert);
    assert_eq!(written("INSERT INTO t SELECT * FROM u WHERE true").kind, Kind::Insert);
}

#[test]
fn returning_goes_behind_the_last_word() {
    for sql in [
        "DELETE FROM t WHERE a = 1",
        "DELETE FROM t WHERE a = 1;",
        "DELETE FROM t WHERE a = 1 -- ;\n ; /* x */",
    ] {
        let at = written(sql).returning_at.unwrap();
        assert_eq!(&sql[..at], "DELETE FROM t WHERE a = 1");
    }
    assert_eq!(written("DELETE FROM t ORDER BY a LIMIT 1").returning_at, None);
    assert!(written("DELETE FROM t RETURNING *").has_returning);
}

#[test]
fn what_cannot_be_undone_is_refused_by_its_cause() {
    type Expected = fn(&Refusal) -> bool;
    let cases: &[(&str, Expected)] = &[
        ("REPLACE INTO t VALUES (1)", |r| matches!(r, Refusal::Replace)),
        ("INSERT OR REPLACE INTO t VALUES (1)", |r| matches!(r, Refusal::Replace)),
        ("UPDATE OR ROLLBACK t SET a = 1", |r| matches!(r, Refusal::OnFailure("ROLLBACK"))),
        ("INSERT OR FAIL INTO t VALUES (1)", |r| matches!(r, Refusal::OnFailure("FAIL"))),
        ("UPDATE t SET a = u.a FROM u RIGHT JOIN v", |r| matches!(r, Refusal::Join(_))),
        ("WITH t AS (SELECT 1) DELETE FROM T", |r| matches!(r, Refusal::NotReproducible(_))),
        ("DELETE FROM t; DELETE FROM u", |r| matches!(r, Refusal::SeveralStatements)),
        ("SELECT 1; DELETE FROM u", |r| matches!(r, Refusal::SeveralStatements)),
        ("CREATE TABLE t(a)", |r| matches!(r, Refusal::Definition(_))),
        ("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END", |r| matches!(r, Refusal::Definition(_))),
        ("VACUUM", |r| matches!(r, Refusal::Definition(_))),
        ("ATTACH 'x' AS y", |r| matches!(r, Refusal::Definition(_))),
        ("DROP TABLE t", |r| matches!(r, Refusal::Definition(_))),
        ("BEGIN", |r| matches!(r, Refusal::TransactionControl(_))),
        ("savepoint x", |r| matches!(r, Refusal::TransactionControl(_))),
        ("PRAGMA foreign_keys = OFF", |r| matches!(r, Refusal::Pragma(name) if name == "foreign_keys")),
        ("PRAGMA foreign_keys(0)", |r| matches!(r, Refusal::Pragma(_))),
        ("UPDATE t SET a = :a", |r| matches!(r, Refusal::NamedParameter(_))),
        ("UPDATE t SET a = @a", |r| matches!(r, Refusal::NamedParameter(_))),
        ("UPDATE t SET", |r| matches!(r, Refusal::NotUnderstood(_))),
        ("UPDATE t SET a = 'x", |r| matches!(r, Refusal::NotUnderstood(_))),
    ];
    for (sql, expected) in cases {
        match analysed(sql).statement {
            Err(refusal) => assert!(expected(&refusal), "{sql} gave {refusal:?}"),
            Ok(other) => panic!("{sql} gave {other:?}"),
        }
    }
}

#[test]
fn reads_pass() {
    for sql in [
        "",
        "-- nothing",
        "SELECT 1",
        "select 1; select 2",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "VALUES (1)",
        "EXPLAIN QUERY PLAN DELETE FROM t",
        "PRAGMA table_info(t)",
        "PRAGMA user_version",
    ] {
        let analysis = analysed(sql);
        assert!(matches!(analysis.statement, Ok(Statement::Read)), "{sql} gave {analysis:?}");
        assert!(!analysis.changes_rows, "{sql}");
    }
}

#[test]
fn a_committed_read_names_the_rows_of_one_table() {
    let read = |sql| committed_read(Flavor::Sqlite, sql);
    let rows = |sql| read(sql).map(|rows| rows.map(|rows| (rows.condition, rows.tail)));
    assert_eq!(
        rows("SELECT n FROM t WHERE id = ? ORDER BY n LIMIT 3"),
        Ok(Some((Some("id = ?1".into()), "ORDER BY n LIMIT 3".into())))
    );
    assert_eq!(rows("SELECT sum(n) FROM t ORDER BY 1 LIMIT 1"), Ok(Some((None, String::new()))));
    for sql in [
        "SELECT 1 FROM a, b",
        "SELECT 1 FROM a JOIN b",
        "SELECT (SELECT 1 FROM t)",
        "VALUES ((SELECT 1 FROM t))",
        "WITH x AS (SELECT 1 FROM t) SELECT 1 FROM x",
        "DELETE FROM t",
    ] {
        assert!(rows(sql).is_err(), "{sql}");
    }
    for sql in ["SELECT 1", "VALUES (1)", "PRAGMA user_version", "EXPLAIN SELECT 1 FROM t"] {
        assert_eq!(rows(sql), Ok(None), "{sql}");
    }
}
