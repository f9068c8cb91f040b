//! Statements that read: those that only do, and those that lock what they read.

use sqlparser::{
    ast::{self, GroupByExpr, SelectItem, SetExpr},
    tokenizer::{Token, TokenWithSpan},
};

use super::{
    Flavor, Refusal, Rows, Statement, Swallowed,
    clauses::{Clauses, outer_words, verb},
    target::{Target, needs_source, tables_of},
    tokens::keyword,
    volatile,
    words::Words,
};

/// SELECT, VALUES, TABLE, and WITH before them.
pub(super) fn read(flavor: Flavor, sql: &str, tokens: &[TokenWithSpan]) -> Result<Statement, Refusal> {
    if changes_in_with(flavor, tokens) {
        return Err(Refusal::With);
    }
    if keyword(&tokens[0].token) == "WITH" && verb(tokens, &outer_words(tokens)) == 0 {
        return Err(Refusal::NotUnderstood("what stands behind WITH is not found".to_owned()));
    }
    if flavor == Flavor::Sqlite {
        return Ok(Statement::Read);
    }
    if let Some(target) = writes_into(flavor, tokens) {
        return Err(Refusal::Into(target));
    }
    volatile::refuse_row_count(flavor, tokens)?;
    if !locks(tokens) {
        return Ok(Statement::Read);
    }
    let words = Words::new(flavor, sql, tokens.to_vec())?;
    locked(&words).map(Statement::Lock)
}

/// `WITH x AS (DELETE …`, at whatever depth; only PostgreSQL has it. Whoever calls a column so has to quote it.
pub(super) fn changes_in_with(flavor: Flavor, tokens: &[TokenWithSpan]) -> bool {
    let words: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let changes = |index: usize| match words[index] {
        "INSERT" | "DELETE" | "MERGE" => true,
        // KEY alone may be a column: `SEARCH DEPTH FIRST BY a SET key UPDATE …`.
        "UPDATE" => !words[..index].ends_with(&["FOR"]) && !words[..index].ends_with(&["NO", "KEY"]),
        _ => false,
    };
    flavor == Flavor::Postgres && words.contains(&"WITH") && (0..words.len()).any(changes)
}

/// A SELECT that makes a table, or writes a file of the server.
fn writes_into(flavor: Flavor, tokens: &[TokenWithSpan]) -> Option<String> {
    let into = tokens.iter().position(|token| keyword(&token.token) == "INTO")?;
    let target = tokens.get(into + 1).map(|token| keyword(&token.token)).unwrap_or_default();
    let is_variable = flavor == Flavor::MySql && target.starts_with('@');
    (!is_variable).then(|| format!("INTO {target}").trim_end().to_owned())
}

/// `FOR UPDATE` and its like, anywhere.
fn locks(tokens: &[TokenWithSpan]) -> bool {
    tokens.windows(2).any(|two| match (keyword(&two[0].token).as_str(), keyword(&two[1].token).as_str()) {
        ("FOR", next) => matches!(next, "UPDATE" | "SHARE" | "NO" | "KEY"),
        ("LOCK", next) => next == "IN",
        _ => false,
    })
}

fn locked(words: &Words<'_>) -> Result<Rows, Refusal> {
    let clauses = Clauses::find(&words.tokens);
    if clauses.lock.is_empty() {
        return Err(Refusal::NotLockable("a lock clause stands inside a sub-query; write it at the end"));
    }
    if clauses.lock.end != words.tokens.len() {
        return Err(Refusal::NotLockable("the lock clause has to stand at the end"));
    }
    let lock = LockClause::read(words, &clauses)?;
    let without = Words {
        flavor: words.flavor,
        sql: words.sql,
        tokens: words.tokens[..clauses.lock.start].to_vec(),
        parameters: words.parameters,
    };
    let mut rows = selected(&without, lock.of.as_deref())?;
    rows.lock = words.text(clauses.lock);
    Ok(rows)
}

/// What stands behind the rest of a SELECT.
struct LockClause {
    /// The one table or alias that is locked.
    of: Option<String>,
}

impl LockClause {
    fn read(words: &Words<'_>, clauses: &Clauses) -> Result<Self, Refusal> {
        let tokens = &words.tokens[clauses.lock.clone()];
        let known: Vec<String> = tokens.iter().map(|token| keyword(&token.token)).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let rest = match known.as_slice() {
            ["LOCK", "IN", "SHARE", "MODE", ..] => 4,
            ["FOR", "NO", "KEY", "UPDATE", ..] => 4,
            ["FOR", "KEY", "SHARE", ..] => 3,
            ["FOR", "UPDATE" | "SHARE", ..] => 2,
            _ => return Err(Refusal::NotLockable("the lock clause is not understood")),
        };
        let (of, rest) = match known.get(rest) {
            Some(&"OF") => {
                let Some(Token::Word(word)) = tokens.get(rest + 1).map(|token| &token.token) else {
                    return Err(Refusal::NotLockable("OF names no table"));
                };
                let name = words.flavor.name(&word.clone().into_ident(tokens[rest + 1].span));
                (Some(name), rest + 2)
            }
            _ => (None, rest),
        };
        match known.get(rest..).unwrap_or_default() {
            [] | ["NOWAIT"] | ["SKIP", "LOCKED"] => Ok(Self { of }),
            ["WAIT", _] => Ok(Self { of }),
            _ => Err(Refusal::NotLockable("several tables are locked, or the lock clause is not understood")),
        }
    }
}

/// The rows whose locks a global-committed read asks for. ORDER BY and LIMIT are left out where they
/// count something else than rows of the table; more rows are then looked at than are read.
/// `None` for what reads no table at all.
pub(crate) fn committed_read(flavor: Flavor, sql: &str) -> Result<Option<Rows>, Refusal> {
    let words = Words::read(flavor, sql)?;
    let count = |wanted: &str| words.tokens.iter().filter(|token| keyword(&token.token) == wanted).count();
    let first = words.tokens.first().map_or_else(String::new, |token| keyword(&token.token));
    let reads_rows = match first.as_str() {
        "VALUES" => count("SELECT") + count("TABLE") > 0,
        "SELECT" => count("FROM") + count("TABLE") > 0,
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "WITH" | "TABLE" | "" => true,
        // SHOW, EXPLAIN, PRAGMA.
        _ => false,
    };
    if !reads_rows {
        return Ok(None);
    }
    let mut rows = selected(&words, None)?;
    if Clauses::find(&words.tokens).lock.is_empty() {
        rows.lock_at = Some(words.place(0..words.tokens.len()).end);
    }
    Ok(Some(rows))
}

/// The rows of one table that a SELECT without a lock clause reads.
fn selected(words: &Words<'_>, of: Option<&str>) -> Result<Rows, Refusal> {
    let ast::Statement::Query(query) = words.parse()? else {
        return Err(Refusal::NotLockable("this is another statement"));
    };
    let SetExpr::Select(select) = &*query.body else {
        return Err(Refusal::NotLockable("this is a compound or VALUES"));
    };
    if query.with.is_some() {
        return Err(Refusal::NotLockable("this has joins or WITH"));
    }
    let clauses = Clauses::find(&words.tokens);
    if words.tables(clauses.tables.clone())? != select.from {
        return Err(Refusal::NotReproducible("the list of tables"));
    }
    let tables = tables_of(words.flavor, &select.from);
    let target = match (select.from.as_slice(), of) {
        ([table], None) if table.joins.is_empty() => Target::single(words.flavor, table)?,
        ([table], Some(of)) if table.joins.is_empty() => {
            let target = Target::single(words.flavor, table)?;
            if !target.is_called(of) {
                return Err(Refusal::NotLockable("OF names another table"));
            }
            target
        }
        ([], _) => return Err(Refusal::NotLockable("this has none or several")),
        (_, None) if words.flavor == Flavor::Sqlite => {
            return Err(Refusal::NotLockable("this has none or several"));
        }
        (_, None) if words.flavor == Flavor::MySql => {
            return Err(Refusal::NotLockable(
                "this has several; say FOR UPDATE OF one of them, which MySQL 8 has and MariaDB has not: there, lock the rows \
                 of one table with a SELECT from it alone",
            ));
        }
        (_, None) => return Err(Refusal::NotLockable("this has several; say FOR UPDATE OF one of them")),
        (_, Some(of)) => Target::among(&tables, of)?,
    };
    words.check_condition(clauses.condition.clone(), select.selection.as_ref())?;
    let has_tail = query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some();
    if has_tail == clauses.tail.is_empty() {
        return Err(Refusal::NotReproducible("ORDER BY or LIMIT"));
    }
    let is_joined = needs_source(&select.from);
    let grouped = select.distinct.is_some()
        || select.having.is_some()
        || !matches!(&select.group_by, GroupByExpr::Expressions(terms, _) if terms.is_empty())
        || select.projection.iter().any(computes)
        || !orders_by_columns(query.order_by.as_ref());
    let tail = if grouped { clauses.tail.end..clauses.tail.end } else { clauses.tail.clone() };
    let swallowed = match words.flavor {
        Flavor::MySql => Swallowed {
            before_source: words.placeholders(0..clauses.tables.start),
            before_condition: 0,
            after_condition: words.parameters
                - words.placeholders(0..clauses.tables.end)
                - words.placeholders(clauses.condition.clone())
                - words.placeholders(tail.clone()),
        },
        _ => Swallowed::default(),
    };
    if swallowed.after_condition > 0 && words.placeholders(tail.clone()) > 0 {
        return Err(Refusal::NotReproducible("the order of the parameters"));
    }
    Ok(Rows {
        schema: target.schema,
        table: target.table,
        alias: target.alias,
        only: words.say_only(clauses.tables.clone()),
        source: is_joined.then(|| words.text(clauses.tables)),
        condition: select.selection.as_ref().map(|_| words.text(clauses.condition)),
        tail: words.text(tail),
        parameters: words.parameters,
        swallowed,
        ..Rows::default()
    })
}

/// A number counts what is read, and the image query reads something else.
fn orders_by_columns(order_by: Option<&ast::OrderBy>) -> bool {
    fn is_column(expr: &ast::Expr) -> bool {
        match expr {
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => true,
            ast::Expr::Collate { expr, .. } => is_column(expr),
            _ => false,
        }
    }
    match order_by.map(|order_by| &order_by.kind) {
        None => true,
        Some(ast::OrderByKind::Expressions(terms)) => terms.iter().all(|term| is_column(&term.expr)),
        Some(_) => false,
    }
}

/// Anything but a plain column may be an aggregate, or an alias that ORDER BY refers to.
fn computes(item: &SelectItem) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            !matches!(expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_))
        }
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => false,
        _ => true,
    }
}
