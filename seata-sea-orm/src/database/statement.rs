//! SeaORM's statements on sqlx's executors. The executor is called at once, so that it reads the caller's context.

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sea_orm::{DbBackend, DbErr, ExecResult, QueryResult, Statement, StatementBuilder, sea_query::Values};
use sea_query_sqlx::SqlxValues;
use seata_context::RootContext;
use seata_protocol::BranchType;
use sqlx::{AssertSqlSafe, Database, Executor, IntoArguments, query::Query};

use super::error;

pub(crate) fn execute<'e, DB, X>(
    executor: X,
    statement: Statement,
) -> BoxFuture<'e, Result<ExecResult, DbErr>>
where
    DB: Database<QueryResult: Into<ExecResult>>,
    SqlxValues: IntoArguments<DB>,
    X: Executor<'e, Database = DB>,
{
    let result = executor.execute(bind(statement));
    Box::pin(async move { result.await.map(Into::into).map_err(error::exec) })
}

pub(crate) fn execute_unprepared<'e, DB, X>(
    executor: X,
    sql: &str,
) -> BoxFuture<'e, Result<ExecResult, DbErr>>
where
    DB: Database<QueryResult: Into<ExecResult>>,
    X: Executor<'e, Database = DB>,
{
    let result = executor.execute(AssertSqlSafe(sql.to_owned()));
    Box::pin(async move { result.await.map(Into::into).map_err(error::exec) })
}

/// What a query gives, row by row.
pub(crate) type Rows<'r> = BoxStream<'r, Result<QueryResult, DbErr>>;

pub(crate) fn rows<'e, DB, X>(executor: X, statement: Statement) -> Rows<'e>
where
    DB: Database<Row: Into<QueryResult>>,
    SqlxValues: IntoArguments<DB>,
    X: Executor<'e, Database = DB>,
{
    executor.fetch(bind(statement)).map(|row| row.map(Into::into).map_err(error::query)).boxed()
}

/// The first row of a statement.
pub(crate) async fn first(mut rows: Rows<'_>, only_reads: bool) -> Result<Option<QueryResult>, DbErr> {
    let first = rows.try_next().await?;
    // A change with RETURNING that is left after its first row is committed some time later, on SQLite.
    while !only_reads && rows.try_next().await?.is_some() {}
    Ok(first)
}

pub(crate) fn only_reads(statement: &Statement) -> bool {
    let first = statement.sql.trim_start().get(..6);
    first.is_some_and(|word| word.eq_ignore_ascii_case("SELECT"))
}

/// How a query is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As it stands.
    Plain,
    /// As a locking read, which its text does not say.
    GlobalCommitted,
}

/// A statement built for this database, and how to read it.
pub(crate) fn build(backend: DbBackend, statement: &impl StatementBuilder) -> (Statement, Reading) {
    let built = statement.build(&backend);
    let reading = match backend {
        DbBackend::Sqlite if asks_for_locks() => reading(&built.sql, statement),
        _ => Reading::Plain,
    };
    (built, reading)
}

/// Whether the data source asks for locks here: not in a transaction whose branches are of another kind.
fn asks_for_locks() -> bool {
    match RootContext::branch_type() {
        Some(kind) => kind == BranchType::At,
        None => RootContext::global_lock().is_some(),
    }
}

/// SeaORM drops the lock of a SELECT for SQLite. Built for another database the same query still has it.
fn reading(sql: &str, statement: &impl StatementBuilder) -> Reading {
    let is_select = sql.starts_with("SELECT ");
    // Built for another database, these end in a panic: nobody can tell, and no lock may be lost.
    let locks = is_select
        && (SQLITE_OPERATORS.iter().any(|operator| sql.contains(operator))
            || locks(&statement.build(&DbBackend::Postgres).sql));
    if locks { Reading::GlobalCommitted } else { Reading::Plain }
}

/// `BinOper::SqliteOperator`, as it is written.
const SQLITE_OPERATORS: [&str; 4] = [" GLOB ", " MATCH ", " -> ", " ->> "];

/// Whether a SELECT ends with a locking clause.
fn locks(select: &str) -> bool {
    const CLAUSES: [&str; 4] = [" FOR UPDATE", " FOR SHARE", " FOR NO KEY UPDATE", " FOR KEY SHARE"];
    select.rfind(" FOR ").is_some_and(|at| CLAUSES.iter().any(|clause| select[at..].starts_with(clause)))
}

fn bind<DB>(statement: Statement) -> Query<'static, DB, SqlxValues>
where
    DB: Database,
    SqlxValues: IntoArguments<DB>,
{
    let values = statement.values.unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values))
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::{
        Alias, Expr, ExprTrait, LockBehavior, LockType, Query, extension::sqlite::SqliteExpr,
    };
    use seata_context::Snapshot;
    use seata_protocol::Xid;

    use super::*;

    #[test]
    fn a_lock_that_sqlite_has_no_words_for_is_seen_inside_a_global_transaction() {
        let mut select = Query::select();
        select.column(Alias::new("n")).from(Alias::new("t")).and_where(Expr::col(Alias::new("id")).eq(1));
        let scope = Snapshot::empty().with_xid("host:1:7".parse::<Xid>().expect("an XID")).into_scope();
        let reading = |select: &_| build(DbBackend::Sqlite, select).1;

        assert_eq!(scope.enter(|| reading(&select)), Reading::Plain);
        for lock in [LockType::Update, LockType::Share, LockType::NoKeyUpdate, LockType::KeyShare] {
            let select = select.clone().lock(lock).to_owned();
            assert_eq!(scope.enter(|| reading(&select)), Reading::GlobalCommitted, "{lock:?}");
            assert_eq!(reading(&select), Reading::Plain, "outside");
            assert_eq!(
                scope.enter(|| build(DbBackend::MySql, &select).1),
                Reading::Plain,
                "it has the words"
            );
        }
        let select = select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked).to_owned();
        assert_eq!(scope.enter(|| reading(&select)), Reading::GlobalCommitted);
    }
    #[test]
    fn among_branches_of_another_kind_no_lock_is_asked_for() {
        let select =
            Query::select().column(Alias::new("n")).from(Alias::new("t")).lock_exclusive().to_owned();
        let scope = Snapshot::empty().with_xid("host:1:7".parse::<Xid>().expect("an XID")).into_scope();
        scope.enter(|| {
            for (kind, expected) in [
                (BranchType::Tcc, Reading::Plain),
                (BranchType::Saga, Reading::Plain),
                (BranchType::At, Reading::GlobalCommitted),
            ] {
                RootContext::bind_branch_type(kind).expect("a scope");
                assert_eq!(build(DbBackend::Sqlite, &select).1, expected, "{kind:?}");
            }
        });
    }

    #[test]
    fn an_operator_of_sqlite_alone_is_read_as_if_its_query_locked() {
        let scope = Snapshot::empty().with_xid("host:1:7".parse::<Xid>().expect("an XID")).into_scope();
        let name = || Expr::col(Alias::new("name"));
        for condition in [
            name().glob("a*"),
            name().matches("a"),
            name().get_json_field("a").is_not_null(),
            name().cast_json_field("a").eq("b"),
        ] {
            let mut select = Query::select();
            select.column(Alias::new("n")).from(Alias::new("t")).and_where(condition);
            for select in [select.clone(), select.lock_exclusive().to_owned()] {
                let (statement, reading) = scope.enter(|| build(DbBackend::Sqlite, &select));
                assert_eq!(reading, Reading::GlobalCommitted, "{}", statement.sql);
                assert_eq!(build(DbBackend::Sqlite, &select).1, Reading::Plain, "outside");
            }
        }
    }
}
