//! INSERT, UPDATE and DELETE.

use std::ops::Range;

use sqlparser::{
    ast::{self, FromTable, SqliteOnConflict, TableWithJoins},
    tokenizer::{Location, Token, TokenWithSpan},
};

use super::{
    Flavor, Inserted, Kind, Narrowing, Refusal, Rows, Swallowed, Write,
    clauses::{Clauses, outer_words, verb},
    functions, insert,
    target::{Target, assigned, needs_source, tables_of},
    tokens::{keyword, offset},
    volatile::{
        self, Cause,
        Cause::{Chance, Effect, LastStatement, Time},
    },
    words::Words,
};

/// `WITH … UPDATE` and the like.
pub(super) fn stands_behind_with(tokens: &[TokenWithSpan]) -> bool {
    matches!(verb_of(tokens).1.as_str(), "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "MERGE")
}

fn verb_of(tokens: &[TokenWithSpan]) -> (usize, String) {
    let mut words = outer_words(tokens);
    let verb = verb(tokens, &words);
    (verb, words.swap_remove(verb))
}

/// Analyses a statement that begins with one of these, or with WITH before it.
pub(super) fn write(flavor: Flavor, sql: &str, tokens: &[TokenWithSpan]) -> Result<Write, Refusal> {
    let end = tokens.last().map(|token| token.span.end);
    let (verb, first) = verb_of(tokens);
    if first == "MERGE" {
        return Err(Refusal::Merge);
    }
    volatile::refuse_row_count(flavor, tokens)?;
    let modifiers = Modifiers::read(flavor, &tokens[verb..]);
    let words = Words::new(flavor, sql, tokens.to_vec())?;
    let clauses = Clauses::find(&words.tokens);
    let statement = words.parse()?;
    let change = Change { words: &words, clauses };
    let parts = change.parts(statement)?;
    let may_skip = match parts.or {
        None | Some(SqliteOnConflict::Abort) => parts.may_skip || modifiers.ignore,
        Some(SqliteOnConflict::Ignore) => true,
        Some(SqliteOnConflict::Replace) => return Err(Refusal::Replace),
        Some(SqliteOnConflict::Rollback) => return Err(Refusal::OnFailure("ROLLBACK")),
        Some(SqliteOnConflict::Fail) => return Err(Refusal::OnFailure("FAIL")),
    };
    if let Some(function) = change.unseen_choice(&parts.kind, parts.has_returning) {
        return Err(Refusal::Volatile(function));
    }
    let narrowing = change.narrowing(&parts)?;
    let returning_at = change.returning_at(&parts, end);
    let updates_end = change.updates_end(&parts, returning_at);
    let ends_at = end.filter(|_| volatile::find(flavor, &words.tokens, &[Effect]).is_none());
    Ok(Write {
        narrowing,
        kind: parts.kind,
        rows: parts.rows,
        inserted: parts.inserted,
        may_skip,
        has_returning: parts.has_returning,
        returning_at,
        updates_end,
        ends_at: ends_at.map(|end| offset(sql, end)),
    })
}

/// What stands behind the verb and is left out for the parser.
struct Modifiers {
    /// `UPDATE IGNORE`, `DELETE QUICK IGNORE`.
    ignore: bool,
}

impl Modifiers {
    fn read(flavor: Flavor, tokens: &[TokenWithSpan]) -> Self {
        let words: Vec<String> = tokens.iter().skip(1).take(4).map(|token| keyword(&token.token)).collect();
        let mut modifiers =
            words.iter().take_while(|word| matches!(word.as_str(), "LOW_PRIORITY" | "QUICK" | "IGNORE"));
        let ignore = flavor == Flavor::MySql && modifiers.any(|word| word == "IGNORE");
        Self { ignore }
    }
}

struct Parts {
    kind: Kind,
    rows: Rows,
    inserted: Option<Inserted>,
    or: Option<SqliteOnConflict>,
    may_skip: bool,
    has_returning: bool,
}

struct Change<'a> {
    words: &'a Words<'a>,
    clauses: Clauses,
}

impl Change<'_> {
    fn parts(&self, statement: ast::Statement) -> Result<Parts, Refusal> {
        match statement {
            ast::Statement::Insert(insert) => self.insert(*Box::new(insert)),
            ast::Statement::Update(update) => self.update(update),
            ast::Statement::Delete(delete) => self.delete(delete),
            // WITH before a change parses as a query.
            ast::Statement::Query(query) => {
                if !query.with.iter().flat_map(|with| &with.cte_tables).all(|part| insert::reads(&part.query))
                {
                    return Err(Refusal::With);
                }
                match *query.body {
                    ast::SetExpr::Insert(statement)
                    | ast::SetExpr::Update(statement)
                    | ast::SetExpr::Delete(statement) => {
                        let parts = self.parts(statement)?;
                        let shadows =
                            |part: &ast::Cte| part.alias.name.value.eq_ignore_ascii_case(&parts.rows.table);
                        if query.with.iter().flat_map(|with| &with.cte_tables).any(shadows) {
                            return Err(Refusal::NotReproducible("a WITH that is called as the table"));
                        }
                        Ok(parts)
                    }
                    _ => Err(Refusal::NotUnderstood("it parses as a query".to_owned())),
                }
            }
            other => Err(Refusal::NotUnderstood(format!("it parses as {other}"))),
        }
    }

    fn insert(&self, statement: ast::Insert) -> Result<Parts, Refusal> {
        let (kind, target, may_skip) = insert::kind(self.words.flavor, &statement)?;
        let inserted = insert::inserted(self.words, &statement)?;
        let alias = statement.table_alias.as_ref().map(|alias| self.words.flavor.name(&alias.alias));
        let parameters = self.words.parameters;
        let rows = Rows { alias, parameters, ..Rows::of(target.schema, target.table) };
        Ok(Parts {
            kind,
            rows,
            inserted: Some(inserted),
            or: statement.or,
            may_skip,
            has_returning: statement.returning.is_some(),
        })
    }

    fn update(&self, update: ast::Update) -> Result<Parts, Refusal> {
        let flavor = self.words.flavor;
        let others = match &update.from {
            None => &[],
            Some(ast::UpdateTableFromKind::AfterSet(tables)) if self.can_be_listed() => tables.as_slice(),
            Some(_) => return Err(Refusal::Join("UPDATE … FROM or JOIN")),
        };
        let columns = assigned(flavor, &update.assignments)?;
        let tables = std::slice::from_ref(&update.table);
        let is_joined = !update.table.joins.is_empty();
        let target = match flavor {
            _ if !is_joined => Target::single(flavor, &update.table)?,
            Flavor::MySql => joined_target(flavor, tables, &columns)?,
            _ => return Err(Refusal::Join("UPDATE … FROM or JOIN")),
        };
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let has_tail = !update.order_by.is_empty() || update.limit.is_some();
        let rows = self.rows(target, tables, others, update.selection.as_ref(), has_tail)?;
        Ok(Parts {
            kind: Kind::Update { columns },
            rows,
            inserted: None,
            or: update.or,
            may_skip: false,
            has_returning: update.returning.is_some(),
        })
    }

    fn delete(&self, delete: ast::Delete) -> Result<Parts, Refusal> {
        let flavor = self.words.flavor;
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let is_joined = from.len() > 1 || from.iter().any(|table| !table.joins.is_empty());
        let using = delete.using.as_deref();
        let has_tail = !delete.order_by.is_empty() || delete.limit.is_some();
        let condition = delete.selection.as_ref();
        let rows = match (flavor, delete.tables.as_slice(), using) {
            (_, [], None) if !is_joined => {
                let target = Target::single(flavor, &from[0])?;
                self.rows(target, from, &[], condition, has_tail)?
            }
            (Flavor::Postgres, [], Some(using)) if !is_joined => {
                let target = Target::single(flavor, &from[0])?;
                self.rows(target, from, using, condition, has_tail)?
            }
            (Flavor::MySql, [name], None) => {
                let target = deleted_from(flavor, name, from)?;
                self.rows(target, from, &[], condition, has_tail)?
            }
            (Flavor::MySql, [], Some(using)) if !is_joined => {
                let name = Target::single(flavor, &from[0])?;
                let target = Target::among(&tables_of(flavor, using), &name.table)?;
                self.rows_of(target, using, self.clauses.others.clone(), condition, has_tail)?
            }
            _ if from.len() > 1 || delete.tables.len() > 1 => {
                return Err(Refusal::Join("DELETE from several tables"));
            }
            _ => return Err(Refusal::Join("DELETE … USING or JOIN")),
        };
        Ok(Parts {
            kind: Kind::Delete,
            rows,
            inserted: None,
            or: None,
            may_skip: false,
            has_returning: delete.returning.is_some(),
        })
    }

    /// Whether the tables behind FROM mean the same behind a comma: in SQLite a join takes all before it.
    fn can_be_listed(&self) -> bool {
        let others = &self.words.tokens[self.clauses.others.clone()];
        let turns = |token: &TokenWithSpan| matches!(keyword(&token.token).as_str(), "RIGHT" | "FULL");
        match self.words.flavor {
            Flavor::MySql => false,
            Flavor::Postgres => true,
            Flavor::Sqlite => !others.iter().any(turns),
        }
    }

    /// `tables` stand where the changed table does, `others` behind FROM or USING.
    fn rows(
        &self,
        target: Target,
        tables: &[TableWithJoins],
        others: &[TableWithJoins],
        condition: Option<&ast::Expr>,
        has_tail: bool,
    ) -> Result<Rows, Refusal> {
        let mut rows = self.rows_of(target, tables, self.clauses.tables.clone(), condition, has_tail)?;
        if others.is_empty() == self.clauses.others.is_empty() {
            if !others.is_empty() {
                if self.words.tables(self.clauses.others.clone())? != others {
                    return Err(Refusal::NotReproducible("the list of tables"));
                }
                let (own, others) = (self.clauses.tables.clone(), self.clauses.others.clone());
                rows.source = Some(format!("{}, {}", self.words.text(own), self.words.text(others)));
            }
            Ok(rows)
        } else {
            Err(Refusal::NotReproducible("the list of tables"))
        }
    }

    fn rows_of(
        &self,
        target: Target,
        tables: &[TableWithJoins],
        place: Range<usize>,
        condition: Option<&ast::Expr>,
        has_tail: bool,
    ) -> Result<Rows, Refusal> {
        let (words, clauses) = (self.words, &self.clauses);
        if words.tables(place.clone())? != tables {
            return Err(Refusal::NotReproducible("the list of tables"));
        }
        words.check_condition(clauses.condition.clone(), condition)?;
        if has_tail == clauses.tail.is_empty() {
            return Err(Refusal::NotReproducible("ORDER BY or LIMIT"));
        }
        let is_joined = needs_source(tables);
        let swallowed = self.swallowed(place.end)?;
        let rows = |text: &dyn Fn(Range<usize>) -> String| Rows {
            with: text(clauses.with.clone()),
            schema: target.schema.clone(),
            table: target.table.clone(),
            alias: target.alias.clone(),
            only: words.say_only(place.clone()),
            source: is_joined.then(|| text(place.clone())),
            condition: condition.map(|_| text(clauses.condition.clone())),
            tail: text(clauses.tail.clone()),
            parameters: words.parameters,
            swallowed,
            ..Rows::default()
        };
        let written = rows(&|range| words.text(range));
        let sharing = (words.flavor == Flavor::MySql).then(|| rows(&|range| words.sharing_text(range)));
        let sharing = sharing.filter(|sharing| *sharing != written).map(Box::new);
        Ok(Rows { sharing, ..written })
    }

    /// What stands between the tables and the condition (SET), and behind them (RETURNING).
    fn swallowed(&self, tables_end: usize) -> Result<Swallowed, Refusal> {
        let (words, clauses) = (self.words, &self.clauses);
        if words.flavor != Flavor::MySql {
            return Ok(Swallowed::default());
        }
        let all = words.tokens.len();
        let starts = [&clauses.condition, &clauses.tail].into_iter().filter(|clause| !clause.is_empty());
        let start = starts.map(|clause| clause.start).min().unwrap_or(all);
        let end = [clauses.condition.end, clauses.tail.end].into_iter().max().unwrap_or(0).max(start);
        let before_condition = words.placeholders(tables_end..start);
        let after_condition = words.placeholders(end..all);
        let in_tail = words.placeholders(clauses.tail.clone());
        if after_condition > 0 && in_tail > 0 {
            return Err(Refusal::NotReproducible("the order of the parameters"));
        }
        Ok(Swallowed { before_source: 0, before_condition, after_condition })
    }

    fn returning_at(&self, parts: &Parts, end: Option<Location>) -> Option<usize> {
        let end = end.map(|end| offset(self.words.sql, end));
        match self.words.flavor {
            // SQLite wants RETURNING before ORDER BY and LIMIT.
            Flavor::Sqlite => end.filter(|_| parts.rows.tail.is_empty()),
            Flavor::Postgres => end,
            Flavor::MySql => match parts.kind {
                Kind::Update { .. } => None,
                _ => end.filter(|_| parts.rows.source.is_none()),
            },
        }
    }

    /// A function by which the statement may touch other rows, or write other keys, than were seen before it ran. Without
    /// RETURNING the touched rows are known; a DELETE and an INSERT can be checked by what is there afterwards.
    fn unseen_choice(&self, kind: &Kind, has_returning: bool) -> Option<String> {
        let tokens = &self.words.tokens;
        match self.words.flavor {
            // It tells of any statement which rows it touched.
            Flavor::Postgres => None,
            Flavor::Sqlite => self.unseen_in_sqlite(kind, has_returning),
            // Images are statements too, and what has an effect would have it twice.
            Flavor::MySql => volatile::find(Flavor::MySql, tokens, &[LastStatement]).or_else(|| {
                let choosing = self.choosing().into_iter();
                let is_update = matches!(kind, Kind::Update { .. });
                choosing
                    .filter(|_| is_update)
                    .find_map(|clause| volatile::find(Flavor::MySql, clause, &[Effect]))
                    .or_else(|| self.changing_variable().filter(|_| is_update))
            }),
        }
    }

    fn unseen_in_sqlite(&self, kind: &Kind, has_returning: bool) -> Option<String> {
        let tokens = &self.words.tokens;
        let find = |tokens: &[TokenWithSpan], causes: &[_]| volatile::find(Flavor::Sqlite, tokens, causes);
        match kind {
            // Behind ORDER BY and LIMIT no RETURNING clause can be put.
            Kind::Update { .. } if has_returning || !self.clauses.tail.is_empty() => {
                self.choosing().into_iter().find_map(|clause| find(clause, &[Chance, Time]))
            }
            Kind::Upsert { .. } if has_returning => {
                let chooses =
                    |token: &TokenWithSpan| matches!(keyword(&token.token).as_str(), "SELECT" | "WHERE");
                let choice = tokens.iter().position(chooses).unwrap_or(tokens.len());
                find(tokens, &[Chance, LastStatement]).or_else(|| find(&tokens[choice..], &[Time]))
            }
            // Run twice, so that the last statement is this one.
            Kind::Upsert { .. } => find(tokens, &[LastStatement]),
            Kind::Insert if has_returning => find(tokens, &[LastStatement]),
            _ => None,
        }
    }

    /// MySQL never tells which rows an UPDATE or a DELETE touched: where it might choose others than its image, it has to
    /// be narrowed. LIMIT does, whose choice hangs on the plan, and so do other tables, whose rows no image locks.
    fn narrowing(&self, parts: &Parts) -> Result<Option<Narrowing>, Refusal> {
        let is_delete = parts.kind == Kind::Delete;
        if self.words.flavor != Flavor::MySql || !(is_delete || matches!(parts.kind, Kind::Update { .. })) {
            return Ok(None);
        }
        let Clauses { condition, tail, .. } = &self.clauses;
        let is_joined = parts.rows.source.is_some();
        let chooses_anew =
            self.choosing_by(&[Chance, Time]).is_some() || self.calls_unknown() || self.asks_setting();
        let is_needed = match is_delete {
            // The rows that it should not have left, or not removed, are found afterwards.
            true => !is_joined && (chooses_anew || !tail.is_empty()),
            false => is_joined || chooses_anew || self.has_query() || !tail.is_empty(),
        };
        if is_joined && let Some(function) = self.choosing_by(&[Chance]) {
            return Err(Refusal::Volatile(function));
        }
        // The keys are arguments too, and come last.
        let behind = parts.rows.swallowed.after_condition > 0;
        if !is_needed || (parts.has_returning && (behind || condition.is_empty() && tail.is_empty())) {
            return Ok(None);
        }
        let nothing = |place| place..place;
        let place = match (condition.is_empty(), tail.is_empty()) {
            (false, _) => self.words.place(condition.clone()),
            (true, false) => nothing(self.words.place(tail.clone()).start),
            (true, true) => nothing(self.words.place(0..self.words.tokens.len()).end),
        };
        let is_limit = |index: &usize| keyword(&self.words.tokens[*index].token) == "LIMIT";
        let limit = tail.clone().rev().find(is_limit).unwrap_or(tail.end)..tail.end;
        if self.words.placeholders(tail.start..limit.start) > 0 {
            return Err(Refusal::NotReproducible("the order of the parameters"));
        }
        let in_limit = self.words.placeholders(limit.clone());
        let limit = if in_limit > 0 { self.words.place(limit) } else { nothing(place.end) };
        // Of joined tables it also says which rows belong together.
        let chooses_once = chooses_anew && !is_joined;
        let idle = in_limit + if chooses_once { self.words.placeholders(condition.clone()) } else { 0 };
        Ok(Some(Narrowing { condition: place, chooses_once, limit, idle }))
    }

    /// The first call by which rows are chosen, and whose value hangs on one of `causes`.
    fn choosing_by(&self, causes: &[Cause]) -> Option<String> {
        let flavor = self.words.flavor;
        self.choosing().into_iter().find_map(|clause| volatile::find(flavor, clause, causes))
    }

    fn calls_unknown(&self) -> bool {
        self.choosing().into_iter().any(functions::unknown)
    }

    /// Some tell the time, or a chance: `@@timestamp`.
    fn asks_setting(&self) -> bool {
        self.choosing().into_iter().flatten().any(|token| keyword(&token.token).starts_with("@@"))
    }

    fn has_query(&self) -> bool {
        let asks = |token: &TokenWithSpan| matches!(keyword(&token.token).as_str(), "SELECT" | "TABLE");
        self.choosing().into_iter().flatten().any(asks)
    }

    /// Where the list of an upsert's assignments ends.
    fn updates_end(&self, parts: &Parts, returning_at: Option<usize>) -> Option<usize> {
        if !matches!(parts.kind, Kind::Upsert { .. }) {
            return None;
        }
        let words = outer_words(&self.words.tokens);
        let returning = words.iter().position(|word| word == "RETURNING").filter(|_| parts.has_returning);
        match returning {
            Some(at) => Some(self.words.place(at - 1..at).end),
            None => returning_at,
        }
    }

    /// `SET n = @i := @i + 1 WHERE id = @i`
    fn changing_variable(&self) -> Option<String> {
        let tokens = &self.words.tokens;
        let is_variable = |token: &TokenWithSpan| keyword(&token.token).starts_with('@');
        let chosen_by = self.choosing().into_iter().flatten().find(|token| is_variable(token));
        let is_set = tokens.iter().any(|token| token.token == Token::Assignment);
        chosen_by.filter(|_| is_set).map(|token| token.token.to_string())
    }

    /// The words that choose rows.
    fn choosing(&self) -> [&[TokenWithSpan]; 5] {
        let Clauses { with, tables, others, condition, tail, .. } = &self.clauses;
        [with, tables, others, condition, tail].map(|clause| &self.words.tokens[clause.clone()])
    }
}

/// The table whose columns are set, where several are joined.
fn joined_target(
    flavor: Flavor,
    tables: &[TableWithJoins],
    columns: &[(Option<String>, String)],
) -> Result<Target, Refusal> {
    let mut names = columns.iter().map(|(table, _)| table.as_deref());
    let Some(Some(name)) = names.next() else { return Err(Refusal::UnqualifiedColumn) };
    for other in names {
        match other {
            None => return Err(Refusal::UnqualifiedColumn),
            Some(other) if other != name => return Err(Refusal::Join("UPDATE of several tables")),
            Some(_) => {}
        }
    }
    Target::among(&tables_of(flavor, tables), name)
}

/// `DELETE a FROM t AS a JOIN …`
fn deleted_from(flavor: Flavor, name: &ast::ObjectName, from: &[TableWithJoins]) -> Result<Target, Refusal> {
    let name = Target::named(flavor, name)?;
    Target::among(&tables_of(flavor, from), &name.table)
}
