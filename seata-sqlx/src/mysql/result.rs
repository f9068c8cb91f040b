//! What the driver would have said of a statement, had it not given rows back.
//!
//! Of one that does the driver knows neither how many rows it changed nor the number that a counter gave. So another
//! statement, which changes nothing, is run on the same rows, and its answer is given in place of the lost one.

use futures_util::TryStreamExt;
use sqlx::{Either, Error, MySql, MySqlConnection, mysql::MySqlQueryResult};

use super::quote;
use crate::{
    change::Hidden,
    dialect::{Argument, Call, Dialect, rows},
    image::{Arguments, ImageError, KEYS_PER_QUERY, in_steps},
    undo::{Row, Value},
};

pub(super) async fn hidden_result(
    connection: &mut MySqlConnection,
    hidden: Hidden<'_, MySql>,
) -> Result<MySqlQueryResult, Error> {
    let last = last_insert_id(connection, &hidden).await?;
    let touched: Vec<&Row> = hidden.inserted.iter().chain(hidden.updated).collect();
    let mut result = MySqlQueryResult::default();
    let mut left = usize::try_from(hidden.affected).unwrap_or(usize::MAX);
    // A row that an upsert changes counts twice.
    for portion in touched.chunks(KEYS_PER_QUERY).cycle() {
        let portion = &portion[..portion.len().min(left)];
        if portion.is_empty() {
            break;
        }
        result.extend([count(connection, &hidden, portion, last).await?]);
        left -= portion.len();
    }
    Ok(result)
}

/// The same for the one row of an INSERT whose key is a whole number: in words, as a statement that something else can
/// follow.
pub(super) fn answering(hidden: &Hidden<'_, MySql>) -> Option<String> {
    let ([row], [key]) = (hidden.inserted, hidden.table.key.as_slice()) else { return None };
    let value = number(row.value(key)?)?;
    let counted = hidden.table.columns.iter().find(|column| column.column_type.is_auto_increment);
    let last = match counted {
        Some(column) => Some(number(row.value(&column.name)?)?),
        None => None,
    };
    let (table, key) = (&hidden.table.reference, quote(key));
    let same = same(&key, last.map(|last| last.to_string()).as_deref());
    Some(format!("UPDATE {table} SET {key} = {same} WHERE {key} = {value}"))
}

/// The key as it is, after which the driver takes `last` for the number that a counter gave.
fn same(key: &str, last: Option<&str>) -> String {
    match last {
        Some(last) => format!("IF(LAST_INSERT_ID({last}) = 0, {key}, {key})"),
        None => key.to_owned(),
    }
}

/// Changes nothing in these rows.
async fn count(
    connection: &mut MySqlConnection,
    hidden: &Hidden<'_, MySql>,
    portion: &[&Row],
    last: Option<u64>,
) -> Result<MySqlQueryResult, Error> {
    let table = hidden.table;
    let mut arguments = Arguments::new(table, hidden.zone);
    arguments.push_all(last.map(Argument::Unsigned));
    let conditions: Result<Vec<String>, ImageError> = in_steps(portion, KEYS_PER_QUERY)
        .map(|row| Ok(format!("({})", arguments.key_condition(row)?)))
        .collect();
    let conditions = conditions.map_err(|error| Error::Encode(format!("{error:?}").into()))?;
    let key = quote(&table.key[0]);
    let same = same(&key, last.map(|_| "?"));
    let sql = format!("UPDATE {} SET {key} = {same} WHERE {}", table.reference, conditions.join(" OR "));
    let call = arguments.call(sql)?;
    let mut outputs = MySql::stream(connection, call);
    let mut result = MySqlQueryResult::default();
    while let Some(output) = outputs.try_next().await? {
        if let Either::Left(answer) = output {
            result.extend([answer]);
        }
    }
    Ok(result)
}

/// The first number that the counter gave, else the last one that was written.
async fn last_insert_id(
    connection: &mut MySqlConnection,
    hidden: &Hidden<'_, MySql>,
) -> Result<Option<u64>, Error> {
    let counted = hidden.table.columns.iter().find(|column| column.column_type.is_auto_increment);
    let Some(counted) = counted else { return Ok(None) };
    let number = |row: &Row| row.value(&counted.name).and_then(number);
    let numbers: Vec<u64> = hidden.inserted.iter().filter_map(number).collect();
    match numbers.as_slice() {
        [] if hidden.affected > hidden.updated.len() as u64 => Ok(hidden.updated.last().and_then(number)),
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        [.., last] => {
            let found = rows::<MySql>(connection, Call::new("SELECT LAST_INSERT_ID()", &[])?).await?;
            let first = found.first().map(|row| MySql::argument_at(row, 0)).transpose()?;
            let first = match first {
                Some(Argument::Integer(first)) => u64::try_from(first).ok(),
                Some(Argument::Unsigned(first)) => Some(first),
                _ => None,
            };
            Ok(first.filter(|first| numbers.contains(first)).or(Some(*last)))
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => (*number).try_into().ok(),
        Value::Long(number) => (*number).try_into().ok(),
        Value::BigInteger(digits) => digits.parse().ok(),
        _ => None,
    }
}
