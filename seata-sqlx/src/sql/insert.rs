//! What an INSERT says of its rows.

use std::ops::Range;

use sqlparser::{
    ast::{self, Expr, OnConflictAction, OnInsert, SetExpr, TableObject, UnaryOperator, Value},
    tokenizer::Token,
};

use super::{
    Flavor, Given, Inserted, Kind, Refusal,
    clauses::{outer_words, verb},
    target::{Target, assigned, column},
    tokens::keyword,
    words::Words,
};

/// The kind of an INSERT, its table, and whether it may pass over rows.
pub(super) fn kind(flavor: Flavor, insert: &ast::Insert) -> Result<(Kind, Target, bool), Refusal> {
    if insert.replace_into {
        return Err(Refusal::Replace);
    }
    let TableObject::TableName(name) = &insert.table else {
        return Err(Refusal::NotUnderstood("it inserts into something that is not a table".to_owned()));
    };
    if insert.source.as_ref().is_some_and(|source| !reads(source)) {
        return Err(Refusal::With);
    }
    let target = Target::named(flavor, name)?;
    let set = |assignments: &[ast::Assignment]| {
        let columns = assigned(flavor, assignments)?.into_iter().map(|(_, column)| column).collect();
        Ok::<_, Refusal>(Kind::Upsert { columns })
    };
    match &insert.on {
        None => Ok((Kind::Insert, target, insert.ignore)),
        Some(OnInsert::OnConflict(on)) => match &on.action {
            OnConflictAction::DoNothing => Ok((Kind::Insert, target, true)),
            OnConflictAction::DoUpdate(update) => Ok((set(&update.assignments)?, target, insert.ignore)),
        },
        Some(OnInsert::DuplicateKeyUpdate(assignments)) => {
            let mut assignments = assignments.clone();
            // Elsewhere the name may be one of the query's.
            if matches!(insert.source.as_deref().map(|source| &*source.body), None | Some(SetExpr::Values(_)))
            {
                assignments.retain(|assignment| !keeps(assignment));
            }
            Ok((set(&assignments)?, target, insert.ignore))
        }
        Some(_) => Err(Refusal::NotUnderstood("it has an unknown ON clause".to_owned())),
    }
}

/// `id = id`, in whose words MySQL does nothing about a conflict.
fn keeps(assignment: &ast::Assignment) -> bool {
    match (&assignment.target, &assignment.value) {
        (ast::AssignmentTarget::ColumnName(name), Expr::Identifier(value)) => {
            name.0.len() == 1
                && name.0[0].as_ident().is_some_and(|name| name.value.eq_ignore_ascii_case(&value.value))
        }
        _ => false,
    }
}

/// VALUES with nothing around that would take rows away or give them another order.
fn is_bare(query: &ast::Query) -> bool {
    query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none()
}

/// Whether a query changes nothing in any of its parts.
pub(super) fn reads(query: &ast::Query) -> bool {
    fn body_reads(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => true,
            SetExpr::Query(query) => reads(query),
            SetExpr::SetOperation { left, right, .. } => body_reads(left) && body_reads(right),
            _ => false,
        }
    }
    let parts = query.with.iter().flat_map(|with| &with.cte_tables);
    parts.into_iter().all(|part| reads(&part.query)) && body_reads(&query.body)
}

/// Its columns, and what each row gives them.
pub(super) fn inserted(words: &Words<'_>, insert: &ast::Insert) -> Result<Inserted, Refusal> {
    let own = |name: &ast::ObjectName| column(words.flavor, name).map(|(_, column)| column);
    if !insert.assignments.is_empty() {
        let columns = assigned(words.flavor, &insert.assignments)?;
        let values: Vec<&Expr> = insert.assignments.iter().map(|assignment| &assignment.value).collect();
        let row = given(words, set_values(words), &values)?;
        return Ok(Inserted {
            columns: columns.into_iter().map(|(_, column)| column).collect(),
            rows: Some(vec![row]),
        });
    }
    let columns = insert.columns.iter().map(own).collect::<Result<_, _>>()?;
    let rows = match insert.source.as_deref().map(|source| (&*source.body, source)) {
        None => Some(vec![Vec::new()]),
        Some((SetExpr::Values(values), source)) if is_bare(source) => {
            let places = value_rows(words);
            if places.len() != values.rows.len() {
                return Err(Refusal::NotReproducible("the list of values"));
            }
            let rows = places
                .into_iter()
                .zip(&values.rows)
                .map(|(places, row)| given(words, places, &row.content.iter().collect::<Vec<_>>()));
            Some(rows.collect::<Result<_, _>>()?)
        }
        Some(_) => None,
    };
    Ok(Inserted { columns, rows })
}

fn given(words: &Words<'_>, places: Vec<Range<usize>>, values: &[&Expr]) -> Result<Vec<Given>, Refusal> {
    if places.len() != values.len() {
        return Err(Refusal::NotReproducible("the list of values"));
    }
    Ok(places.into_iter().zip(values).map(|(place, value)| one(words, place, value)).collect())
}

fn one(words: &Words<'_>, place: Range<usize>, value: &Expr) -> Given {
    let arguments = words.arguments(place.clone());
    match value {
        Expr::Identifier(name)
            if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("DEFAULT") =>
        {
            Given::Default
        }
        Expr::Value(value) => match (&value.value, arguments.as_slice()) {
            (Value::Null, []) => Given::Null,
            (Value::Placeholder(_), [number]) => Given::Parameter(*number),
            // A text or a name, as sql_mode says.
            (Value::DoubleQuotedString(_) | Value::Placeholder(_), _) => {
                Given::Expression { text: words.text(place), parameters: arguments }
            }
            _ => Given::Literal(words.text(place)),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } if matches!(&**expr, Expr::Value(value) if matches!(value.value, Value::Number(..))) => {
            Given::Literal(words.text(place))
        }
        _ => Given::Expression { text: words.text(place), parameters: arguments },
    }
}

/// Where the values of each row of VALUES stand.
fn value_rows(words: &Words<'_>) -> Vec<Vec<Range<usize>>> {
    let outer = outer_words(&words.tokens);
    let start = verb(&words.tokens, &outer);
    let is_values =
        |index: &usize| matches!(outer[*index].as_str(), "VALUES" | "VALUE") && !names_table(words, *index);
    let Some(values) = (start + 1..outer.len()).find(is_values) else { return Vec::new() };
    let mut rows = Vec::new();
    let mut index = values + 1;
    while index < words.tokens.len() {
        match &words.tokens[index].token {
            Token::Comma => index += 1,
            token if keyword(token) == "ROW" => index += 1,
            Token::LParen => {
                let close = closing(words, index);
                rows.push(separated(words, index + 1..close));
                index = close + 1;
            }
            _ => break,
        }
    }
    rows
}

/// `INSERT INTO value …`
fn names_table(words: &Words<'_>, index: usize) -> bool {
    let before = &words.tokens[index - 1].token;
    *before == Token::Period
        || matches!(
            keyword(before).as_str(),
            "INTO" | "INSERT" | "IGNORE" | "LOW_PRIORITY" | "HIGH_PRIORITY" | "DELAYED" | "AS"
        )
}

/// Where the values of `SET a = …, b = …` stand.
fn set_values(words: &Words<'_>) -> Vec<Range<usize>> {
    let outer = outer_words(&words.tokens);
    let Some(set) = outer.iter().position(|word| word == "SET") else { return Vec::new() };
    let end = (set..outer.len()).find(|index| matches!(outer[*index].as_str(), "ON" | "RETURNING" | "AS"));
    let pairs = separated(words, set + 1..end.unwrap_or(outer.len()));
    let value = |pair: Range<usize>| {
        let equals = words.tokens[pair.clone()].iter().position(|token| token.token == Token::Eq);
        pair.start + equals.map_or(0, |equals| equals + 1)..pair.end
    };
    pairs.into_iter().map(value).collect()
}

fn closing(words: &Words<'_>, open: usize) -> usize {
    let mut depth = 0;
    for index in open..words.tokens.len() {
        match words.tokens[index].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    words.tokens.len()
}

/// What stands between commas.
fn separated(words: &Words<'_>, range: Range<usize>) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (range.start, 0);
    for index in range.clone() {
        match words.tokens[index].token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma if depth == 0 => {
                parts.push(start..index);
                start = index + 1;
            }
            _ => {}
        }
    }
    if !range.is_empty() {
        parts.push(start..range.end);
    }
    parts
}
