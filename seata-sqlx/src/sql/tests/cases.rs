//! What becomes of each form of statement, and `docs/sql.md`, which is made of it.

use std::{fs, path::Path};

use super::super::*;

/// One form of statements, and what becomes of it.
pub(super) struct Case {
    pub(super) form: &'static str,
    pub(super) outcome: &'static str,
    pub(super) java: &'static str,
    pub(super) statements: Vec<String>,
}

pub(super) fn cases(flavor: Flavor) -> Vec<Case> {
    let text = match flavor {
        Flavor::Sqlite => include_str!("cases/sqlite.txt"),
        Flavor::MySql => include_str!("cases/mysql.txt"),
        Flavor::Postgres => include_str!("cases/postgres.txt"),
    };
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# ") {
            let mut parts = head.split(" | ");
            let mut part = || parts.next().expect("form | outcome | java");
            cases.push(Case { form: part(), outcome: part(), java: part(), statements: Vec::new() });
        } else if let Some(more) = line.strip_prefix(' ') {
            let statement =
                cases.last_mut().and_then(|case| case.statements.last_mut()).expect("a statement");
            *statement = format!("{statement}\n{more}");
        } else {
            cases.last_mut().expect("a head").statements.push(line.to_owned());
        }
    }
    cases
}

/// As the list says it.
pub(super) fn outcome(flavor: Flavor, sql: &str) -> String {
    match analyse(flavor, sql).statement {
        Ok(Statement::Read) => "passed".to_owned(),
        Ok(Statement::Lock(_)) => "locked".to_owned(),
        Ok(Statement::Write(_)) => "undone".to_owned(),
        Err(refusal) => {
            let cause = format!("{refusal:?}");
            format!("refused {}", cause.split(['(', ' ']).next().unwrap_or_default())
        }
    }
}

#[test]
fn each_statement_of_the_list_has_its_outcome() {
    let mut wrong = Vec::new();
    for flavor in [Flavor::Sqlite, Flavor::MySql, Flavor::Postgres] {
        for case in cases(flavor) {
            for sql in &case.statements {
                let found = outcome(flavor, sql);
                if found != case.outcome.trim_end_matches(" on MariaDB") {
                    let analysis = analyse(flavor, sql);
                    wrong.push(format!(
                        "{flavor:?}: {sql}\n    is {found}, not {}: {analysis:?}",
                        case.outcome
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// `UPDATE_PAGES=1` writes it instead.
#[test]
fn the_page_says_what_the_list_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sql.md");
    let page = fs::read_to_string(&path).unwrap_or_default();
    let mut expected = page.clone();
    for (name, text) in [
        ("mysql", table(Flavor::MySql)),
        ("postgres", table(Flavor::Postgres)),
        ("sqlite", table(Flavor::Sqlite)),
        ("tables", tables()),
    ] {
        expected = between(&expected, name, &text);
    }
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(&path, expected).expect("written");
    } else {
        assert!(page == expected, "{} is not what the list says: run with UPDATE_PAGES=1", path.display());
    }
}

fn table(flavor: Flavor) -> String {
    let with_java = flavor != Flavor::Sqlite;
    let mut text = match with_java {
        true => "| statement | for instance | here | Java 2.6 |\n|---|---|---|---|\n",
        false => "| statement | for instance | here |\n|---|---|---|\n",
    }
    .to_owned();
    for case in cases(flavor) {
        let example = case.statements[0].replace('|', "\\|").replace('\n', " ");
        let here = match analyse(flavor, &case.statements[0]).statement {
            Err(refusal) => format!("refused: {refusal}"),
            Ok(_) if case.outcome == "undone on MariaDB" => {
                "undone on MariaDB; on MySQL see below".to_owned()
            }
            Ok(Statement::Lock(_)) => "waits for row locks".to_owned(),
            Ok(_) => case.outcome.to_owned(),
        };
        let code = if example.contains('`') { format!("`` {example} ``") } else { format!("`{example}`") };
        text.push_str(&format!("| {} | {code} | {} |", case.form, here.replace('|', "\\|")));
        text.push_str(&if with_java { format!(" {} |\n", case.java) } else { "\n".to_owned() });
    }
    text
}

/// What speaks against a statement only when its table is looked at.
fn tables() -> String {
    let name = || "stock".to_owned();
    let column = || "id".to_owned();
    let refusals = [
        ("no primary key", "all", Refusal::NoPrimaryKey(name())),
        ("a view, a foreign table", "all", Refusal::NotATable { name: name(), kind: "view".to_owned() }),
        ("none there", "all", Refusal::UnknownTable(name())),
        ("a primary key that is set", "all", Refusal::KeyChange { table: name(), column: column() }),
        (
            "a column GENERATED ALWAYS AS IDENTITY that is set, to DEFAULT",
            "PostgreSQL",
            Refusal::IdentityChange { table: name(), column: "number".to_owned() },
        ),
        (
            "a trigger that the statement, or undoing it, would fire",
            "all",
            Refusal::Trigger { table: name(), trigger: "audit".to_owned() },
        ),
        (
            "a referential action that the statement would set off",
            "all",
            Refusal::ReferentialAction {
                table: name(),
                child: "sale".to_owned(),
                action: "ON DELETE CASCADE".to_owned(),
            },
        ),
        (
            "a server that does not tell which rows an INSERT touched",
            "MySQL, for INSERT … SELECT, IGNORE, ON DUPLICATE KEY UPDATE and keys that are computed",
            Refusal::NoReturning,
        ),
        (
            "an ON CONFLICT action in its definition",
            "SQLite",
            Refusal::DeclaredConflict { table: name(), action: "REPLACE".to_owned() },
        ),
        (
            "a collation of the application's own on its key",
            "SQLite",
            Refusal::KeyCollation { table: name(), collation: "backwards".to_owned() },
        ),
        ("partitions, for ON CONFLICT DO UPDATE", "PostgreSQL", Refusal::PartitionedUpsert(name())),
        ("a temporary or attached one", "SQLite", Refusal::NotInMain(name())),
        ("the undo table", "all", Refusal::UndoTable("undo_log".to_owned())),
    ];
    let rows = refusals.map(|(table, databases, refusal)| format!("| {table} | {databases} | {refusal} |\n"));
    format!("| the table is or has | databases | refused: |\n|---|---|---|\n{}", rows.concat())
}

/// The page with `text` between its marks.
fn between(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let start = page.find(&begin).expect("a mark") + begin.len();
    let stop = page.find(&end).expect("a mark at the end");
    format!("{}{text}{}", &page[..start], &page[stop..])
}
