//! From a statement's text to what AT mode has to know of it.

use sqlparser::{
    ast::{
        self, Assignment, AssignmentTarget, FromTable, GroupByExpr, ObjectName, OnConflictAction, OnInsert,
        SelectItem, SetExpr, SqliteOnConflict, TableFactor, TableObject, TableWithJoins,
    },
    dialect::Dialect,
    parser::Parser,
    tokenizer::{Token, TokenWithSpan},
};

use super::{
    Refusal, gaps, parameters,
    tokens::{Clauses, Offsets, depth, keyword, offset, significant},
    volatile,
};

/// What a statement is.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) statement: Result<Statement, Refusal>,
    /// It is one that changes rows, undone or refused: what `outside` looks at.
    pub(crate) changes_rows: bool,
}

/// A statement that AT mode lets run.
#[derive(Debug)]
pub(crate) enum Statement {
    /// It changes nothing.
    Read,
    /// It changes rows of one table.
    Write(Write),
}

/// A statement that changes rows of one table.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) kind: Kind,
    /// The rows it starts from; for an INSERT only the table.
    pub(crate) rows: Rows,
    /// `OR IGNORE`: rows may be passed over.
    pub(crate) may_skip: bool,
    /// The user reads rows back.
    pub(crate) has_returning: bool,
    /// Where in the text a RETURNING clause ends, or would stand; `None` where one cannot be put.
    pub(crate) returning_at: Option<usize>,
}

/// The kinds of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Insert,
    /// INSERT … ON CONFLICT … DO UPDATE, with the columns it sets.
    Upsert {
        columns: Vec<String>,
    },
    /// With the columns it sets.
    Update {
        columns: Vec<String>,
    },
    Delete,
}

/// Rows of one table, as a statement selects them. Parameters are numbered by argument.
#[derive(Debug)]
pub struct Rows {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    pub(crate) alias: Option<String>,
    /// What stands behind WHERE, in the user's own words.
    pub(crate) condition: Option<String>,
    /// ORDER BY and LIMIT, likewise.
    pub(crate) tail: String,
    /// How many arguments the whole statement needs.
    pub(crate) parameters: usize,
}

/// Analyses a statement. Costs a full parse.
pub(crate) fn analyse(dialect: &dyn Dialect, sql: &str) -> Analysis {
    let tokens = match significant(dialect, sql) {
        Ok(tokens) => tokens,
        Err(error) => {
            return Analysis { statement: Err(Refusal::NotUnderstood(error)), changes_rows: true };
        }
    };
    let first_words: Vec<String> = tokens
        .split(|token| token.token == Token::SemiColon)
        .filter(|statement| !statement.is_empty())
        .map(|statement| keyword(&statement[0].token))
        .collect();
    let changes_rows = first_words.iter().any(|word| changes_rows(word, &tokens));
    let statement = match first_words.as_slice() {
        [] => Ok(Statement::Read),
        [word] => one(dialect, sql, tokens, word),
        words if words.iter().all(|word| reads(word)) => Ok(Statement::Read),
        [word, ..] if word == "CREATE" => Err(Refusal::Definition(word.clone())),
        _ => Err(Refusal::SeveralStatements),
    };
    Analysis { statement, changes_rows }
}

fn reads(word: &str) -> bool {
    matches!(word, "SELECT" | "VALUES" | "EXPLAIN")
}

fn changes_rows(first_word: &str, tokens: &[TokenWithSpan]) -> bool {
    let changes = |word: &str| matches!(word, "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "MERGE");
    changes(first_word)
        || (first_word == "WITH" && tokens.iter().any(|token| changes(&keyword(&token.token))))
}

fn one(
    dialect: &dyn Dialect,
    sql: &str,
    tokens: Vec<TokenWithSpan>,
    first_word: &str,
) -> Result<Statement, Refusal> {
    match first_word {
        word if reads(word) => Ok(Statement::Read),
        "INSERT" | "REPLACE" | "UPDATE" | "DELETE" => write(dialect, sql, tokens).map(Statement::Write),
        "WITH" => {
            let query = parse(dialect, tokens)?;
            if only_reads(&query) { Ok(Statement::Read) } else { Err(Refusal::With) }
        }
        "PRAGMA" => pragma(&tokens),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => {
            Err(Refusal::TransactionControl(first_word.to_owned()))
        }
        "" => Err(Refusal::NotUnderstood("it does not begin with a word".to_owned())),
        word => Err(Refusal::Definition(word.to_owned())),
    }
}

fn only_reads(statement: &ast::Statement) -> bool {
    fn body_reads(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => true,
            SetExpr::Query(query) => query_reads(query),
            SetExpr::SetOperation { left, right, .. } => body_reads(left) && body_reads(right),
            _ => false,
        }
    }
    fn query_reads(query: &ast::Query) -> bool {
        let parts = query.with.iter().flat_map(|with| &with.cte_tables);
        parts.into_iter().all(|part| query_reads(&part.query)) && body_reads(&query.body)
    }
    matches!(statement, ast::Statement::Query(query) if query_reads(query))
}

/// Those that only tell something pass; with an argument, most others set something.
fn pragma(tokens: &[TokenWithSpan]) -> Result<Statement, Refusal> {
    const TELLING: [&str; 12] = [
        "TABLE_INFO",
        "TABLE_XINFO",
        "TABLE_LIST",
        "INDEX_LIST",
        "INDEX_INFO",
        "INDEX_XINFO",
        "FOREIGN_KEY_LIST",
        "FOREIGN_KEY_CHECK",
        "INTEGRITY_CHECK",
        "QUICK_CHECK",
        "DATABASE_LIST",
        "COMPILE_OPTIONS",
    ];
    let argument = tokens.iter().position(|token| matches!(token.token, Token::Eq | Token::LParen));
    let Some(argument) = argument else { return Ok(Statement::Read) };
    let name = keyword(&tokens[argument - 1].token);
    if TELLING.contains(&name.as_str()) && tokens[argument].token == Token::LParen {
        return Ok(Statement::Read);
    }
    Err(Refusal::Pragma(name.to_ascii_lowercase()))
}

fn parse(dialect: &dyn Dialect, tokens: Vec<TokenWithSpan>) -> Result<ast::Statement, Refusal> {
    /// SQLite itself takes 1000 levels, but trees are compared and dropped level by level of the stack, and
    /// an unoptimized build needs some kilobytes for each: two megabytes held 400.
    const DEPTH: usize = 300;
    if depth(&tokens) > DEPTH {
        return Err(Refusal::NotUnderstood(format!(
            "more than {DEPTH} operators stand in a row, where IN might do"
        )));
    }
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens);
    let understood = parser.parse_statement().and_then(|statement| {
        while parser.consume_token(&Token::SemiColon) {}
        let rest = parser.peek_token();
        if rest.token == Token::EOF {
            Ok(statement)
        } else {
            parser.expected("the end of the statement", rest)
        }
    });
    understood.map_err(|error| Refusal::NotUnderstood(error.to_string()))
}

fn write(dialect: &dyn Dialect, sql: &str, mut tokens: Vec<TokenWithSpan>) -> Result<Write, Refusal> {
    let parameters = parameters::number(&mut tokens)?;
    let end = tokens.iter().rfind(|token| token.token != Token::SemiColon).map(|token| token.span.end);
    let tokens = gaps::bridge(tokens);
    let returning_at = end.map(|end| offset(sql, end));
    let context = Context { dialect, sql, tokens: &tokens, parameters };
    let (kind, rows, or, has_returning) = match parse(dialect, tokens.clone())? {
        ast::Statement::Insert(insert) => context.insert(insert)?,
        ast::Statement::Update(update) => context.update(update)?,
        ast::Statement::Delete(delete) => context.delete(delete)?,
        other => return Err(Refusal::NotUnderstood(format!("it parses as {other}"))),
    };
    let may_skip = match or {
        None | Some(SqliteOnConflict::Abort) => false,
        Some(SqliteOnConflict::Ignore) => true,
        Some(SqliteOnConflict::Replace) => return Err(Refusal::Replace),
        Some(SqliteOnConflict::Rollback) => return Err(Refusal::OnFailure("ROLLBACK")),
        Some(SqliteOnConflict::Fail) => return Err(Refusal::OnFailure("FAIL")),
    };
    if let Some(function) = unseen_choice(&kind, has_returning, &tokens) {
        return Err(Refusal::Volatile(function));
    }
    // SQLite wants RETURNING before ORDER BY and LIMIT.
    let returning_at = if rows.tail.is_empty() { returning_at } else { None };
    Ok(Write { kind, rows, may_skip, has_returning, returning_at })
}

/// A function by which the statement may touch other rows, or write other keys, than were seen before it ran. Without
/// RETURNING the touched rows are known; a DELETE and an INSERT can be checked by what is there afterwards.
fn unseen_choice(kind: &Kind, has_returning: bool, tokens: &[TokenWithSpan]) -> Option<String> {
    use volatile::Cause::{Chance, LastStatement, Time};
    match kind {
        Kind::Update { .. } if has_returning => {
            let clauses = Clauses::find(tokens);
            volatile::find(&tokens[clauses.condition], &[Chance, Time])
        }
        Kind::Upsert { .. } if has_returning => {
            let chooses =
                |token: &TokenWithSpan| matches!(keyword(&token.token).as_str(), "SELECT" | "WHERE");
            let choice = tokens.iter().position(chooses).unwrap_or(tokens.len());
            volatile::find(tokens, &[Chance, LastStatement])
                .or_else(|| volatile::find(&tokens[choice..], &[Time]))
        }
        // Run twice, so that the last statement is this one.
        Kind::Upsert { .. } => volatile::find(tokens, &[LastStatement]),
        Kind::Insert if has_returning => volatile::find(tokens, &[LastStatement]),
        _ => None,
    }
}

type Parts = (Kind, Rows, Option<SqliteOnConflict>, bool);

struct Context<'a> {
    dialect: &'a dyn Dialect,
    sql: &'a str,
    tokens: &'a [TokenWithSpan],
    parameters: usize,
}

impl Context<'_> {
    fn insert(&self, insert: ast::Insert) -> Result<Parts, Refusal> {
        if insert.replace_into {
            return Err(Refusal::Replace);
        }
        let TableObject::TableName(name) = &insert.table else {
            return Err(Refusal::NotUnderstood("it inserts into something that is not a table".to_owned()));
        };
        if insert.source.as_ref().is_some_and(|source| !only_reads(&ast::Statement::Query(source.clone()))) {
            return Err(Refusal::With);
        }
        let kind = match insert.on {
            None => Kind::Insert,
            Some(OnInsert::OnConflict(on)) => match on.action {
                OnConflictAction::DoNothing => Kind::Insert,
                OnConflictAction::DoUpdate(update) => {
                    Kind::Upsert { columns: assigned(&update.assignments)? }
                }
            },
            Some(_) => return Err(Refusal::NotUnderstood("it has an unknown ON clause".to_owned())),
        };
        let (schema, table) = names(name)?;
        let parameters = self.parameters;
        let rows = Rows { schema, table, alias: None, condition: None, tail: String::new(), parameters };
        Ok((kind, rows, insert.or, insert.returning.is_some()))
    }

    fn update(&self, update: ast::Update) -> Result<Parts, Refusal> {
        if update.from.is_some() || !update.table.joins.is_empty() {
            return Err(Refusal::Join("UPDATE … FROM or JOIN"));
        }
        let kind = Kind::Update { columns: assigned(&update.assignments)? };
        let has_tail = !update.order_by.is_empty() || update.limit.is_some();
        let rows = self.rows(&update.table, update.selection.as_ref(), has_tail)?;
        Ok((kind, rows, update.or, update.returning.is_some()))
    }

    fn delete(&self, delete: ast::Delete) -> Result<Parts, Refusal> {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let [table] = from.as_slice() else { return Err(Refusal::Join("DELETE from several tables")) };
        if !table.joins.is_empty() || delete.using.is_some() || !delete.tables.is_empty() {
            return Err(Refusal::Join("DELETE … USING or JOIN"));
        }
        let has_tail = !delete.order_by.is_empty() || delete.limit.is_some();
        let rows = self.rows(table, delete.selection.as_ref(), has_tail)?;
        Ok((Kind::Delete, rows, None, delete.returning.is_some()))
    }

    fn rows(
        &self,
        table: &TableWithJoins,
        condition: Option<&ast::Expr>,
        has_tail: bool,
    ) -> Result<Rows, Refusal> {
        let TableFactor::Table { name, alias, args: None, .. } = &table.relation else {
            return Err(Refusal::NotUnderstood("it changes something that is not a table".to_owned()));
        };
        let (schema, table) = names(name)?;
        let alias = alias.as_ref().map(|alias| alias.name.value.clone());
        let clauses = Clauses::find(self.tokens);
        self.check_condition(&self.tokens[clauses.condition.clone()], condition)?;
        if has_tail == clauses.tail.is_empty() {
            return Err(Refusal::NotReproducible("ORDER BY or LIMIT"));
        }
        let tail = self.text(&self.tokens[clauses.tail]);
        let condition = condition.map(|_| self.text(&self.tokens[clauses.condition]));
        Ok(Rows { schema, table, alias, condition, tail, parameters: self.parameters })
    }

    /// The words found must mean what the statement means: a word mistaken for the end of the
    /// condition would select other rows than the statement changes.
    fn check_condition(&self, found: &[TokenWithSpan], condition: Option<&ast::Expr>) -> Result<(), Refusal> {
        let same = match condition {
            None => found.is_empty(),
            Some(condition) => {
                let mut parser = Parser::new(self.dialect).with_tokens_with_locations(found.to_vec());
                parser.parse_expr().is_ok_and(|found| found == *condition)
                    && parser.peek_token().token == Token::EOF
            }
        };
        if same { Ok(()) } else { Err(Refusal::NotReproducible("the condition")) }
    }

    /// These words as they were written, with the numbers of their arguments. (The syntax tree would print
    /// some of them as others: two quotes in a text as one.)
    fn text(&self, tokens: &[TokenWithSpan]) -> String {
        let mut text = String::new();
        let mut end = None;
        let mut offsets = Offsets::new(self.sql);
        for token in tokens {
            let start = offsets.of(token.span.start);
            text.push_str(&self.sql[end.unwrap_or(start)..start]);
            let after = offsets.of(token.span.end);
            match &token.token {
                Token::Placeholder(number) => text.push_str(number),
                _ => text.push_str(&self.sql[start..after]),
            }
            end = Some(after);
        }
        text
    }
}

/// The rows whose locks a global-committed read asks for. ORDER BY and LIMIT are left out where they
/// count something else than rows of the table; more rows are then looked at than are read.
pub(crate) fn committed_read(dialect: &dyn Dialect, sql: &str) -> Result<Rows, Refusal> {
    let mut tokens = significant(dialect, sql).map_err(Refusal::NotUnderstood)?;
    let parameters = parameters::number(&mut tokens)?;
    let tokens = gaps::bridge(tokens);
    let context = Context { dialect, sql, tokens: &tokens, parameters };
    let ast::Statement::Query(query) = parse(dialect, tokens.clone())? else {
        return Err(Refusal::NotLockable("this is another statement"));
    };
    let SetExpr::Select(select) = &*query.body else {
        return Err(Refusal::NotLockable("this is a compound or VALUES"));
    };
    let [table] = select.from.as_slice() else {
        return Err(Refusal::NotLockable("this has none or several"));
    };
    if !table.joins.is_empty() || query.with.is_some() {
        return Err(Refusal::NotLockable("this has joins or WITH"));
    }
    let grouped = select.distinct.is_some()
        || select.having.is_some()
        || !matches!(&select.group_by, GroupByExpr::Expressions(terms, _) if terms.is_empty())
        || select.projection.iter().any(computes)
        || !orders_by_columns(query.order_by.as_ref());
    let has_tail = query.order_by.is_some() || query.limit_clause.is_some();
    let mut rows = context.rows(table, select.selection.as_ref(), has_tail)?;
    if grouped {
        rows.tail.clear();
    }
    Ok(rows)
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

fn assigned(assignments: &[Assignment]) -> Result<Vec<String>, Refusal> {
    let mut columns = Vec::new();
    for assignment in assignments {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => columns.push(last_name(name)?),
            AssignmentTarget::Tuple(names) => {
                for name in names {
                    columns.push(last_name(name)?);
                }
            }
        }
    }
    Ok(columns)
}

fn names(name: &ObjectName) -> Result<(Option<String>, String), Refusal> {
    let parts = parts(name)?;
    match parts.as_slice() {
        [table] => Ok((None, table.clone())),
        [schema, table] => Ok((Some(schema.clone()), table.clone())),
        _ => Err(Refusal::NotUnderstood(format!("{name} names no table"))),
    }
}

fn last_name(name: &ObjectName) -> Result<String, Refusal> {
    parts(name)?.pop().ok_or_else(|| Refusal::NotUnderstood("a column has no name".to_owned()))
}

fn parts(name: &ObjectName) -> Result<Vec<String>, Refusal> {
    let idents = name.0.iter().map(|part| part.as_ident().map(|ident| ident.value.clone()));
    idents.collect::<Option<_>>().ok_or_else(|| Refusal::NotUnderstood(format!("{name} is no name")))
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::SQLiteDialect;

    use super::*;

    fn analysed(sql: &str) -> Analysis {
        analyse(&SQLiteDialect {}, sql)
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
            (
                "DELETE FROM s WHERE a IS ? AND b IS NOT ? OR c ISNULL",
                "a IS ?1 AND b IS NOT ?2 OR c ISNULL",
                "",
            ),
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
            ("UPDATE s INDEXED BY i SET a = b IS c WHERE d", "d", ""),
            ("DELETE FROM s NOT INDEXED WHERE NOT a", "NOT a", ""),
            ("DELETE FROM s WHERE a = 1 RETURNING a, (SELECT 1 WHERE 2)", "a = 1", ""),
            ("DELETE FROM s WHERE a = 1 ORDER BY b LIMIT ?", "a = 1", "ORDER BY b LIMIT ?1"),
        ] {
            let rows = written(sql).rows;
            assert_eq!(
                (rows.condition.as_deref().unwrap_or(""), rows.tail.as_str()),
                (condition, tail),
                "{sql}"
            );
        }
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
            ("UPDATE t SET a = u.a FROM u", |r| matches!(r, Refusal::Join(_))),
            ("WITH x AS (SELECT 1) UPDATE t SET a = 1", |r| matches!(r, Refusal::With)),
            ("WITH x AS (SELECT 1) DELETE FROM t", |r| matches!(r, Refusal::With)),
            ("DELETE FROM t; DELETE FROM u", |r| matches!(r, Refusal::SeveralStatements)),
            ("SELECT 1; DELETE FROM u", |r| matches!(r, Refusal::SeveralStatements)),
            ("CREATE TABLE t(a)", |r| matches!(r, Refusal::Definition(_))),
            ("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END", |r| {
                matches!(r, Refusal::Definition(_))
            }),
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
        assert!(analysed("WITH x AS (SELECT 1) DELETE FROM t").changes_rows);
        assert!(!analysed("CREATE TABLE t(a)").changes_rows);
    }

    #[test]
    fn a_committed_read_names_the_rows_of_one_table() {
        let rows = |sql| committed_read(&SQLiteDialect {}, sql).map(|rows| (rows.condition, rows.tail));
        assert_eq!(
            rows("SELECT n FROM t WHERE id = ? ORDER BY n LIMIT 3"),
            Ok((Some("id = ?1".into()), "ORDER BY n LIMIT 3".into()))
        );
        assert_eq!(rows("SELECT sum(n) FROM t ORDER BY 1 LIMIT 1"), Ok((None, String::new())));
        for sql in ["SELECT 1", "SELECT 1 FROM a, b", "SELECT 1 FROM a JOIN b", "DELETE FROM t", "VALUES (1)"]
        {
            assert!(rows(sql).is_err(), "{sql}");
        }
    }
}
