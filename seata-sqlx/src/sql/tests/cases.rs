//! What becomes of each form of statement: the list that `docs/sql.md` is made of.

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
                if found != case.outcome {
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
