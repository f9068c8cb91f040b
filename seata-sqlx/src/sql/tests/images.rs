//! The image query of a statement, written out in full.

use super::super::*;

/// As a database would ask for the columns `id` and `n`.
fn image(flavor: Flavor, sql: &str) -> String {
    let analysis = analyse(flavor, sql);
    let rows = match &analysis.statement {
        Ok(Statement::Write(write)) => write.rows.as_changed(true),
        Ok(Statement::Lock(rows)) => rows,
        other => panic!("{sql} gave {other:?}"),
    };
    let qualifier = rows.qualifier(flavor);
    let columns = [flavor.quote("id"), flavor.quote("n")].map(|column| format!("{qualifier}.{column}"));
    let lock = if flavor == Flavor::Sqlite { "" } else { " FOR UPDATE" };
    let image = image_query(flavor, rows, &columns.join(", "), &flavor.quote(&rows.table), lock);
    if flavor == Flavor::MySql {
        assert_eq!(image.matches('?').count(), rows.parameters, "each argument is consumed once: {image}");
    }
    image
}

/// As they do inside the change itself.
#[test]
fn queries_inside_a_change_of_mysql_lock_what_they_read() {
    for (condition, expected) in [
        ("id IN (SELECT a FROM x /* all */) -- them", "id IN (SELECT a FROM x LOCK IN SHARE MODE /* all */)"),
        (
            "id = (SELECT MAX(a) FROM x) OR `select` = ')(' ORDER BY (SELECT 1) LIMIT 2",
            "id = (SELECT MAX(a) FROM x LOCK IN SHARE MODE) OR `select` = ')(' \
             ORDER BY (SELECT 1 LOCK IN SHARE MODE) LIMIT 2",
        ),
        (
            "id IN (SELECT a FROM x UNION ALL SELECT b FROM (SELECT 2 AS b) AS y ORDER BY 1)",
            "id IN ((SELECT a FROM x LOCK IN SHARE MODE) UNION ALL \
             SELECT b FROM (SELECT 2 AS b LOCK IN SHARE MODE) AS y ORDER BY 1 LOCK IN SHARE MODE)",
        ),
        (
            "id IN ((SELECT a FROM x) EXCEPT (SELECT a FROM y FOR UPDATE))",
            "id IN ((SELECT a FROM x LOCK IN SHARE MODE) EXCEPT (SELECT a FROM y FOR UPDATE))",
        ),
        (
            "id IN (WITH c AS (SELECT a FROM x) SELECT a FROM c)",
            "id IN (WITH c AS (SELECT a FROM x LOCK IN SHARE MODE) SELECT a FROM c LOCK IN SHARE MODE)",
        ),
        ("id IN (1, (2))", "id IN (1, (2))"),
    ] {
        let sql = format!("UPDATE acc SET n = (SELECT 3) WHERE {condition}");
        let expected = format!("SELECT `acc`.`id`, `acc`.`n` FROM `acc` WHERE {expected} FOR UPDATE");
        assert_eq!(image(Flavor::MySql, &sql), expected, "{sql}");
    }
    let sql = "UPDATE acc SET n = 1 WHERE id IN (SELECT a FROM x)";
    assert_eq!(
        image(Flavor::Postgres, sql),
        r#"SELECT "acc"."id", "acc"."n" FROM "acc" WHERE id IN (SELECT a FROM x) FOR UPDATE"#
    );
}

#[test]
fn a_lock_clause_is_put_behind_the_last_word_of_a_select_that_has_none() {
    for (sql, expected) in [
        ("SELECT n FROM t WHERE id = ? -- the first", Some("SELECT n FROM t WHERE id = ?| -- the first")),
        ("SELECT n FROM t ORDER BY '語' LIMIT 1 ; ", Some("SELECT n FROM t ORDER BY '語' LIMIT 1| ; ")),
        ("SELECT n FROM t FOR UPDATE", None),
        (
            "SELECT n FROM t WHERE id IN (SELECT id FROM u FOR UPDATE)",
            Some("SELECT n FROM t WHERE id IN (SELECT id FROM u FOR UPDATE)|"),
        ),
    ] {
        let rows = committed_read(Flavor::MySql, sql).unwrap().unwrap();
        let locked = rows.lock_at.map(|at| format!("{}|{}", &sql[..at], &sql[at..]));
        assert_eq!(locked.as_deref(), expected, "{sql}");
    }
}

#[test]
fn mysql_consumes_each_argument_in_its_place() {
    for (sql, expected) in [
        (
            "UPDATE acc SET n = 1 WHERE id = ?",
            "SELECT `acc`.`id`, `acc`.`n` FROM `acc` WHERE id = ? FOR UPDATE",
        ),
        (
            "UPDATE acc a SET n = ?, m = m + ? WHERE a.id = ? ORDER BY n LIMIT ?",
            "SELECT `a`.`id`, `a`.`n` FROM `acc` AS `a` JOIN (SELECT ? AS seata_p0, ? AS seata_p1) AS seata_parameters \
             WHERE a.id = ? ORDER BY n LIMIT ? FOR UPDATE",
        ),
        (
            "UPDATE IGNORE acc SET n = ?",
            "SELECT `acc`.`id`, `acc`.`n` FROM `acc` JOIN (SELECT ? AS seata_p0) AS seata_parameters FOR UPDATE",
        ),
        (
            "UPDATE a JOIN b ON a.id = b.id AND b.k = ? SET a.n = b.n + ? WHERE a.x = ?",
            "SELECT `a`.`id`, `a`.`n` FROM a JOIN b ON a.id = b.id AND b.k = ? \
             JOIN (SELECT ? AS seata_p0) AS seata_parameters WHERE a.x = ? FOR UPDATE",
        ),
        (
            "UPDATE a, (SELECT ? AS x) AS b SET a.n = ?",
            "SELECT `a`.`id`, `a`.`n` FROM a, (SELECT ? AS x LOCK IN SHARE MODE) AS b \
             JOIN (SELECT ? AS seata_p0) AS seata_parameters FOR UPDATE",
        ),
        (
            "WITH x AS (SELECT ? AS id) UPDATE acc SET n = ? WHERE id IN (SELECT id FROM x) AND m = '?'",
            "WITH x AS (SELECT ? AS id LOCK IN SHARE MODE) SELECT `acc`.`id`, `acc`.`n` FROM `acc` \
             JOIN (SELECT ? AS seata_p0) AS seata_parameters \
             WHERE id IN (SELECT id FROM x LOCK IN SHARE MODE) AND m = '?' FOR UPDATE",
        ),
        (
            "DELETE a FROM acc AS a LEFT JOIN uq u ON u.id = a.id AND u.v = ? WHERE u.id IS NULL AND a.n > ?",
            "SELECT `a`.`id`, `a`.`n` FROM acc AS a LEFT JOIN uq u ON u.id = a.id AND u.v = ? \
             WHERE u.id IS NULL AND a.n > ? FOR UPDATE",
        ),
        (
            "DELETE FROM a USING acc AS a JOIN uq AS u USING (id) WHERE u.v = ?",
            "SELECT `a`.`id`, `a`.`n` FROM acc AS a JOIN uq AS u USING (id) WHERE u.v = ? FOR UPDATE",
        ),
        (
            "UPDATE acc PARTITION (p0, p1) SET n = ? WHERE m = ?",
            "SELECT `acc`.`id`, `acc`.`n` FROM acc PARTITION (p0, p1) JOIN (SELECT ? AS seata_p0) AS seata_parameters \
             WHERE m = ? FOR UPDATE",
        ),
        (
            "SELECT * FROM acc PARTITION (p0) AS a WHERE m = ? FOR UPDATE",
            "SELECT `a`.`id`, `a`.`n` FROM acc PARTITION (p0) AS a WHERE m = ? FOR UPDATE",
        ),
        (
            "DELETE FROM acc WHERE id = ? OR n = ? RETURNING n + ?, m - ?",
            "SELECT `acc`.`id`, `acc`.`n` FROM `acc` WHERE (id = ? OR n = ?) AND (COALESCE(?, ?) IS NULL OR TRUE) \
             FOR UPDATE",
        ),
        (
            "SELECT n + ? FROM acc WHERE id = ? ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED",
            "SELECT `acc`.`id`, `acc`.`n` FROM (SELECT ? AS seata_p0) AS seata_parameters, `acc` WHERE \
             (id = ?) AND (? IS NULL OR TRUE) FOR UPDATE SKIP LOCKED",
        ),
        (
            "SELECT n FROM acc WHERE id = ? ORDER BY id LIMIT ? LOCK IN SHARE MODE",
            "SELECT `acc`.`id`, `acc`.`n` FROM `acc` WHERE id = ? ORDER BY id LIMIT ? LOCK IN SHARE MODE",
        ),
        (
            "SELECT a.n, ? FROM acc a JOIN uq u ON u.id = a.id AND u.v = ? WHERE a.id = ? FOR UPDATE OF a NOWAIT",
            "SELECT `a`.`id`, `a`.`n` FROM (SELECT ? AS seata_p0) AS seata_parameters, \
             acc a JOIN uq u ON u.id = a.id AND u.v = ? WHERE a.id = ? FOR UPDATE OF a NOWAIT",
        ),
        (
            "SELECT sum(n) FROM acc WHERE k = ? HAVING sum(n) > ? ORDER BY 1 LIMIT ? FOR SHARE",
            "SELECT `acc`.`id`, `acc`.`n` FROM `acc` WHERE (k = ?) AND (COALESCE(?, ?) IS NULL OR TRUE) FOR SHARE",
        ),
        (
            "UPDATE acc # WHERE ?\n SET 数量 = ? -- ?\n WHERE 编号 = ? /* ? */ AND b = '\\'?' AND c = \"?\"",
            "SELECT `acc`.`id`, `acc`.`n` FROM `acc` JOIN (SELECT ? AS seata_p0) AS seata_parameters WHERE 编号 = ? \
             /* ? */ AND b = '\\'?' AND c = \"?\" FOR UPDATE",
        ),
    ] {
        let found = image_of_mysql(sql);
        assert_eq!(found, expected, "{sql}");
    }
}

/// Without the check that counts question marks in texts too.
fn image_of_mysql(sql: &str) -> String {
    let analysis = analyse(Flavor::MySql, sql);
    let rows = match &analysis.statement {
        Ok(Statement::Write(write)) => write.rows.as_changed(true),
        Ok(Statement::Lock(rows)) => rows,
        other => panic!("{sql} gave {other:?}"),
    };
    let qualifier = rows.qualifier(Flavor::MySql);
    let columns = format!("{qualifier}.`id`, {qualifier}.`n`");
    image_query(Flavor::MySql, rows, &columns, &Flavor::MySql.quote(&rows.table), " FOR UPDATE")
}

#[test]
fn postgres_refers_to_any_argument() {
    for (sql, expected) in [
        (
            "UPDATE Acc SET n = $1, m = $2 WHERE id = $3",
            r#"SELECT "acc"."id", "acc"."n" FROM "acc" WHERE id = $3 FOR UPDATE"#,
        ),
        (
            r#"UPDATE ONLY "Acc" AS A SET n = $2 WHERE A.id = ANY($1::bigint[])"#,
            r#"SELECT "a"."id", "a"."n" FROM ONLY "Acc" AS "a" WHERE A.id = ANY($1::bigint[]) FOR UPDATE"#,
        ),
        (
            "UPDATE acc AS a SET n = u.v FROM uq u JOIN x ON x.id = u.id, y WHERE u.id = a.id AND u.v = $1",
            r#"SELECT "a"."id", "a"."n" FROM acc AS a, uq u JOIN x ON x.id = u.id, y WHERE u.id = a.id AND u.v = $1 FOR UPDATE OF "a""#,
        ),
        (
            "UPDATE acc SET n = v.n FROM (VALUES ($1::bigint, $2::int), ($3, $4)) AS v(id, n) WHERE v.id = acc.id",
            r#"SELECT "acc"."id", "acc"."n" FROM acc, (VALUES ($1::bigint, $2::int), ($3, $4)) AS v(id, n) WHERE v.id = acc.id FOR UPDATE OF "acc""#,
        ),
        (
            "UPDATE ONLY acc * SET tags[1] = $1, b = c IS DISTINCT FROM d WHERE doc ? 'k' AND ip << inet '10.0.0.0/8' RETURNING id",
            r#"SELECT "acc"."id", "acc"."n" FROM ONLY "acc" WHERE doc ? 'k' AND ip << inet '10.0.0.0/8' FOR UPDATE"#,
        ),
        (
            "DELETE FROM ONLY S.acc AS a USING gone g JOIN x USING (id) WHERE g.id = a.id AND note = $q$WHERE ';$q$",
            r#"SELECT "a"."id", "a"."n" FROM ONLY S.acc AS a, gone g JOIN x USING (id) WHERE g.id = a.id AND note = $q$WHERE ';$q$ FOR UPDATE OF "a""#,
        ),
        (
            "DELETE FROM acc WHERE inet '10.0.0.0/8' >> ip",
            r#"SELECT "acc"."id", "acc"."n" FROM "acc" WHERE inet '10.0.0.0/8' >> ip FOR UPDATE"#,
        ),
        (
            "SELECT 1 FROM ONLY acc JOIN b ON true FOR UPDATE OF acc",
            r#"SELECT "acc"."id", "acc"."n" FROM ONLY acc JOIN b ON true FOR UPDATE OF acc"#,
        ),
        (
            "WITH RECURSIVE x(n) AS (SELECT 1) DELETE FROM acc WHERE n IN (TABLE x) AND e = E'\\'$1'",
            r#"WITH RECURSIVE x(n) AS (SELECT 1) SELECT "acc"."id", "acc"."n" FROM "acc" WHERE n IN (TABLE x) AND e = E'\'$1' FOR UPDATE"#,
        ),
        (
            "SELECT * FROM ONLY acc WHERE id > $1 ORDER BY id OFFSET 2 FETCH FIRST 3 ROWS ONLY FOR NO KEY UPDATE SKIP LOCKED",
            r#"SELECT "acc"."id", "acc"."n" FROM ONLY "acc" WHERE id > $1 ORDER BY id OFFSET 2 FETCH FIRST 3 ROWS ONLY FOR NO KEY UPDATE SKIP LOCKED"#,
        ),
        (
            "SELECT a.n FROM acc a JOIN uq u ON u.id = a.id WHERE u.v = $1 FOR UPDATE OF A",
            r#"SELECT "a"."id", "a"."n" FROM acc a JOIN uq u ON u.id = a.id WHERE u.v = $1 FOR UPDATE OF A"#,
        ),
        (
            "UPDATE acc /* a /* nested */ WHERE */ SET n = 1 -- x\n WHERE id = $1 AND b ISNULL -- the last",
            r#"SELECT "acc"."id", "acc"."n" FROM "acc" WHERE id = $1 AND b ISNULL FOR UPDATE"#,
        ),
    ] {
        assert_eq!(image(Flavor::Postgres, sql), expected, "{sql}");
    }
}

#[test]
fn sqlite_refers_to_any_argument() {
    for (sql, expected) in [
        (
            "UPDATE acc AS a SET n = u.v + ? FROM uq u WHERE u.id = a.id AND u.v = ?",
            r#"SELECT "a"."id", "a"."n" FROM acc AS a, uq u WHERE u.id = a.id AND u.v = ?2"#,
        ),
        (
            "WITH x AS (SELECT ?) DELETE FROM acc WHERE id = ? OR id IN x ORDER BY id LIMIT ?",
            r#"WITH x AS (SELECT ?1) SELECT "acc"."id", "acc"."n" FROM "acc" WHERE id = ?2 OR id IN x ORDER BY id LIMIT ?3"#,
        ),
    ] {
        assert_eq!(image(Flavor::Sqlite, sql), expected, "{sql}");
    }
}

/// A table has no thousands of columns.
#[test]
fn many_arguments_are_swallowed_by_few_columns() {
    let cases = vec!["WHEN ? THEN ?"; 30_000].join(" ");
    let image = image(Flavor::MySql, &format!("UPDATE acc SET n = CASE id {cases} END"));
    assert!(image.contains("seata_p59") && !image.contains("seata_p60"));
}

#[test]
fn what_an_insert_gives_its_columns_is_known() {
    use Given::{Default, Expression, Literal, Null, Parameter};
    let inserted = |flavor, sql| match analyse(flavor, sql).statement {
        Ok(Statement::Write(Write { inserted: Some(inserted), .. })) => inserted,
        other => panic!("{sql} gave {other:?}"),
    };
    let literal = |text: &str| Literal(text.to_owned());
    let expression = |text: &str, parameters: &[usize]| Expression {
        text: text.to_owned(),
        parameters: parameters.to_vec(),
    };
    let sql = "INSERT INTO acc (id, `B`, c) VALUES (?, 'a''b', NULL), (DEFAULT, CONCAT(?, (SELECT ?)), -1.5), (+1, ?, \"x\")";
    assert_eq!(
        inserted(Flavor::MySql, sql),
        Inserted {
            columns: ["id", "B", "c"].map(str::to_owned).into(),
            rows: Some(vec![
                vec![Parameter(1), literal("'a''b'"), Null],
                vec![Default, expression("CONCAT(?, (SELECT ?))", &[2, 3]), literal("-1.5")],
                vec![literal("+1"), Parameter(4), expression("\"x\"", &[])],
            ]),
        }
    );
    let sql = "INSERT INTO acc SET a = ?, acc.b = DEFAULT, c = IF(a = 1, ?, 2) ON DUPLICATE KEY UPDATE b = ?";
    assert_eq!(
        inserted(Flavor::MySql, sql),
        Inserted {
            columns: ["a", "b", "c"].map(str::to_owned).into(),
            rows: Some(vec![vec![Parameter(1), Default, expression("IF(a = 1, ?, 2)", &[2])]]),
        }
    );
    let sql = r#"WITH x AS (SELECT $1) INSERT INTO acc AS t (Id, "Name") VALUES ($3, $2::text), (ARRAY[1, 2], ROW($1, 2))"#;
    assert_eq!(
        inserted(Flavor::Postgres, sql),
        Inserted {
            columns: ["id", "Name"].map(str::to_owned).into(),
            rows: Some(vec![
                vec![Parameter(3), expression("$2::text", &[2])],
                vec![expression("ARRAY[1, 2]", &[]), expression("ROW($1, 2)", &[1])],
            ]),
        }
    );
    assert_eq!(
        inserted(Flavor::MySql, "INSERT INTO value (id) VALUES (?)"),
        Inserted { columns: vec!["id".to_owned()], rows: Some(vec![vec![Parameter(1)]]) }
    );
    for (flavor, sql, rows) in [
        (Flavor::Postgres, "INSERT INTO acc DEFAULT VALUES", Some(vec![vec![]])),
        (Flavor::MySql, "INSERT INTO acc () VALUES ()", Some(vec![vec![]])),
        (Flavor::MySql, "INSERT acc VALUE (1)", Some(vec![vec![literal("1")]])),
        (Flavor::MySql, "INSERT value VALUE (?)", Some(vec![vec![Parameter(1)]])),
        (Flavor::MySql, "INSERT INTO shop.value VALUES (?)", Some(vec![vec![Parameter(1)]])),
        (Flavor::MySql, "INSERT LOW_PRIORITY value VALUES (?)", Some(vec![vec![Parameter(1)]])),
        (Flavor::Postgres, "INSERT INTO value AS value VALUES ($1)", Some(vec![vec![Parameter(1)]])),
        (
            Flavor::MySql,
            "INSERT INTO acc VALUES ROW(1), ROW(?)",
            Some(vec![vec![literal("1")], vec![Parameter(1)]]),
        ),
        (Flavor::MySql, "INSERT INTO acc TABLE old", None),
        (Flavor::Sqlite, "INSERT INTO acc SELECT 1", None),
        (Flavor::Postgres, "INSERT INTO acc VALUES (1), (2) LIMIT 1", None),
    ] {
        assert_eq!(inserted(flavor, sql), Inserted { columns: Vec::new(), rows }, "{sql}");
    }
}

#[test]
fn names_are_the_names_that_are_meant() {
    let named = |flavor, sql| match analyse(flavor, sql).statement {
        Ok(Statement::Write(Write {
            rows,
            kind: Kind::Update { columns } | Kind::Upsert { columns },
            ..
        })) => {
            (rows.schema.unwrap_or_default(), rows.table, rows.alias.unwrap_or_default(), columns.join(","))
        }
        other => panic!("{sql} gave {other:?}"),
    };
    for (flavor, sql, expected) in [
        (
            Flavor::Postgres,
            r#"UPDATE S.Tab AS X SET Aa = 1, "Bb" = 2, 列 = 3"#,
            ("s", "tab", "x", "aa,Bb,列"),
        ),
        (
            Flavor::Postgres,
            r#"UPDATE "S"."T""t" AS "X" SET a.b = 1, t[1] = 2, (c, D) = (1, 2)"#,
            ("S", "T\"t", "X", "a,t,c,d"),
        ),
        // RETURNING knows the table by its alias alone.
        (
            Flavor::Postgres,
            "INSERT INTO S.Tab AS X (Id) VALUES (1) ON CONFLICT (Id) DO UPDATE SET N = X.N + 1",
            ("s", "tab", "x", "n"),
        ),
        (Flavor::MySql, "UPDATE `Db`.Tab AS X SET X.`A``a` = 1, B = 2", ("Db", "Tab", "X", "A`a,B")),
        (
            Flavor::MySql,
            "UPDATE a JOIN db.`b` ON a.id = b.id SET b.n = 1, db.b.m = 2",
            ("db", "b", "", "n,m"),
        ),
        (Flavor::Sqlite, "UPDATE main.[my t] SET A = 1", ("main", "my t", "", "A")),
    ] {
        let (schema, table, alias, columns) = named(flavor, sql);
        assert_eq!((schema.as_str(), table.as_str(), alias.as_str(), columns.as_str()), expected, "{sql}");
    }
}

#[test]
fn a_statement_that_might_choose_anew_is_kept_to_its_image() {
    let narrowed = |sql| match analyse(Flavor::MySql, sql).statement {
        Ok(Statement::Write(Write { narrowing: Some(narrowing), .. })) => narrowing.apply(sql, "k = ?"),
        other => panic!("{sql} gave {other:?}"),
    };
    for (sql, expected) in [
        (
            "UPDATE acc SET n = ? WHERE at < NOW() OR /* b */ m = ? -- why\n;",
            "UPDATE acc SET n = ? WHERE (COALESCE(NULL, ?) IS NULL OR TRUE) AND (k = ?)  -- why\n;",
        ),
        (
            "UPDATE acc SET n = 1 ORDER BY RAND() LIMIT 3 # why",
            "UPDATE acc SET n = 1  WHERE (k = ?) ORDER BY RAND() LIMIT 3 # why",
        ),
        ("UPDATE acc SET n = 1 WHERE my_choice(id)", "UPDATE acc SET n = 1 WHERE (k = ?) "),
        (
            "UPDATE a JOIN b ON b.at < NOW() SET a.n = 1;",
            "UPDATE a JOIN b ON b.at < NOW() SET a.n = 1 WHERE (k = ?) ;",
        ),
        // Which rows LIMIT leaves hangs on the plan.
        (
            "UPDATE acc SET n = 1 WHERE m > 2 LIMIT 2",
            "UPDATE acc SET n = 1 WHERE (m > 2) AND (k = ?)  LIMIT 2",
        ),
        (
            "UPDATE acc SET n = ? WHERE m > ? ORDER BY m LIMIT ?",
            "UPDATE acc SET n = ? WHERE (m > ?) AND (COALESCE(NULL, ?) IS NULL OR TRUE) AND (k = ?)  ORDER BY m ",
        ),
        (
            "UPDATE acc SET n = 1 WHERE id IN (SELECT id FROM other)",
            "UPDATE acc SET n = 1 WHERE (id IN (SELECT id FROM other)) AND (k = ?) ",
        ),
        (
            "UPDATE acc SET n = 1 WHERE id IN (TABLE `shop`.`ids`)",
            "UPDATE acc SET n = 1 WHERE (id IN (TABLE `shop`.`ids`)) AND (k = ?) ",
        ),
        ("UPDATE acc SET n = 1 WHERE at < @@timestamp", "UPDATE acc SET n = 1 WHERE (k = ?) "),
        ("UPDATE acc SET n = 1 WHERE at < @@session.timestamp", "UPDATE acc SET n = 1 WHERE (k = ?) "),
        (
            "DELETE FROM acc WHERE RAND() < ?",
            "DELETE FROM acc WHERE (COALESCE(NULL, ?) IS NULL OR TRUE) AND (k = ?) ",
        ),
        ("DELETE FROM acc LIMIT 2", "DELETE FROM acc  WHERE (k = ?) LIMIT 2"),
        (
            "DELETE FROM acc WHERE RAND() < ? RETURNING id",
            "DELETE FROM acc WHERE (COALESCE(NULL, ?) IS NULL OR TRUE) AND (k = ?)  RETURNING id",
        ),
    ] {
        assert_eq!(narrowed(sql), expected);
    }
}

#[test]
fn the_end_of_an_upserts_assignments_is_known() {
    for (flavor, sql, end) in [
        (Flavor::MySql, "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = (2) -- x", "a = (2)"),
        (Flavor::MySql, "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1 RETURNING id, n", "a = 1"),
    ] {
        let Ok(Statement::Write(write)) = analyse(flavor, sql).statement else { panic!("{sql}") };
        assert!(sql[..write.updates_end.unwrap()].ends_with(end), "{sql}");
    }
}

/// What SeaORM writes for a conflict that is to be left alone.
#[test]
fn a_column_that_an_upsert_sets_to_itself_is_not_set() {
    let columns = |sql: &str| match analyse(Flavor::MySql, sql).statement {
        Ok(Statement::Write(Write { kind: crate::sql::Kind::Upsert { columns }, .. })) => columns,
        other => panic!("{sql} gave {other:?}"),
    };
    for (sql, set) in [
        ("INSERT INTO t (id, n) VALUES (1, 2) ON DUPLICATE KEY UPDATE `id` = `id`", &[][..]),
        ("INSERT INTO t (id, n) VALUES (1, 2) ON DUPLICATE KEY UPDATE ID = `id`, n = 3", &["n"]),
        ("INSERT INTO t SET id = 1 ON DUPLICATE KEY UPDATE id = id", &[]),
        ("INSERT INTO t (id) VALUES (1) ON DUPLICATE KEY UPDATE id = id + 1", &["id"]),
        ("INSERT INTO t (id) VALUES (1) AS new ON DUPLICATE KEY UPDATE id = new.id", &["id"]),
        ("INSERT INTO t (id) SELECT id FROM u ON DUPLICATE KEY UPDATE id = id", &["id"]),
    ] {
        assert_eq!(columns(sql), set, "{sql}");
    }
}
