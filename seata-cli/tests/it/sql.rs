//! `seata sql check`.

use serde_json::Value;

use crate::{run, seata};

const FILE: &str = "-- The shop's statements.\nUPDATE stock SET n = n - ?\n WHERE id = ?;\nINSERT INTO sale (stock) VALUES (?);\n\
     SELECT n FROM stock WHERE id = ? FOR UPDATE;\nTRUNCATE sale;\n";

#[tokio::test]
async fn each_statement_of_a_file_is_judged() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("shop.sql");
    std::fs::write(&file, FILE).expect("written");
    let file = file.to_str().expect("text");
    let checked = run(seata(&["sql", "check", file, "--dialect", "mysql"])).await;
    assert_eq!(checked.code, Some(1), "{}", checked.err);
    let expected = [
        "shop.sql:2: undone: UPDATE stock SET n = n - ? WHERE id = ?",
        "    image query: SELECT <key>, `stock`.`n` FROM `stock` JOIN (SELECT ? AS seata_p0) AS seata_parameters WHERE id = ? FOR UPDATE",
        "    row locks: stock:<key>",
        "    extra round trips: 1 to 2",
        "shop.sql:4: undone: INSERT INTO sale (stock) VALUES (?)",
        "    row locks: sale:<key>",
        "    extra round trips: 0 to 2",
        "shop.sql:5: locked: SELECT n FROM stock WHERE id = ? FOR UPDATE",
        "    image query: SELECT <key> FROM `stock` WHERE id = ? FOR UPDATE",
        "    row locks: stock:<key>",
        "    extra round trips: 4",
        "shop.sql:6: refused: TRUNCATE sale",
        "    TRUNCATE changes more than rows and cannot be undone; run it outside the global transaction",
        "statements: 4, refused: 1",
    ];
    let found: Vec<&str> = checked.out.lines().collect();
    assert_eq!(found.len(), expected.len(), "{}", checked.out);
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.ends_with(expected), "{found} is not {expected}");
    }
}

#[tokio::test]
async fn json_says_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("shop.sql");
    std::fs::write(&file, "DELETE FROM stock WHERE id = $1; COPY stock FROM STDIN").expect("written");
    let file = file.to_str().expect("text");
    let checked = run(seata(&["sql", "check", file, "--dialect", "postgres", "--json"])).await;
    assert_eq!(checked.code, Some(1), "{}", checked.err);
    let lines: Value = serde_json::from_str(&checked.out).expect("JSON");
    assert_eq!(lines[0]["outcome"], "undone");
    assert_eq!(lines[0]["lock_keys"], "stock:<key>");
    assert_eq!(lines[0]["extra_round_trips"]["most"], 1);
    assert_eq!(lines[1]["outcome"], "refused");
    assert!(lines[1]["reason"].as_str().expect("text").starts_with("COPY"));
}

#[tokio::test]
async fn a_file_of_good_statements_is_well_and_one_that_cannot_be_read_is_a_usage_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("shop.sql");
    std::fs::write(&file, "SELECT 1").expect("written");
    let good = run(seata(&["sql", "check", file.to_str().expect("text"), "--dialect", "sqlite"])).await;
    assert_eq!((good.code, good.out.contains("statements: 1, refused: 0")), (Some(0), true), "{}", good.out);
    std::fs::write(&file, "SELECT 1;\nSELECT 'x").expect("written");
    for file in [file.to_str().expect("text"), "/nowhere/at/all.sql"] {
        let bad = run(seata(&["sql", "check", file, "--dialect", "mysql"])).await;
        assert_eq!(bad.code, Some(2), "{}", bad.out);
        assert!(bad.err.contains(file), "{}", bad.err);
    }
    let bad = run(seata(&["sql", "check", file.to_str().expect("text"), "--dialect", "mysql"])).await;
    assert!(bad.err.contains("shop.sql:2: "), "{}", bad.err);
}

#[tokio::test]
async fn a_byte_order_mark_another_name_of_the_database_and_a_command_of_its_client() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("shop.sql");
    std::fs::write(&file, "\u{feff}SELECT 1;\nDELETE FROM stock").expect("written");
    let path = file.to_str().expect("text");
    for dialect in ["mariadb", "postgresql", "pg", "sqlite3"] {
        let checked = run(seata(&["sql", "check", path, "--dialect", dialect])).await;
        assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.err);
        assert!(checked.out.contains("shop.sql:1: passed: SELECT 1\n"), "{}", checked.out);
    }
    std::fs::write(&file, "SELECT 1;\nDELIMITER //\nCREATE PROCEDURE p() BEGIN SELECT 1; END//\n")
        .expect("written");
    let checked = run(seata(&["sql", "check", path, "--dialect", "mysql"])).await;
    assert_eq!(checked.code, Some(2), "{}", checked.out);
    assert!(checked.err.contains("shop.sql:2: ") && checked.err.contains("mysql client"), "{}", checked.err);
}
