//! The names of a database's resource and of its undo table.

use sqlx::{Error, PgConnection, Postgres, Row as _, postgres::PgConnectOptions};

use crate::{
    dialect::{Argument, Call, Dialect, rows},
    sql::Flavor,
    undo,
};

/// What Java makes of the JDBC URL of this database. The options say which schemas a session looks into.
pub(super) fn name(database: &str, options: &PgConnectOptions) -> String {
    let host = options.get_host();
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let url = format!("jdbc:postgresql://{host}:{}/{}", options.get_port(), in_url(database));
    match options.get_options().and_then(search_path) {
        Some(schemas) => format!("{url}?currentSchema={}", schemas.replace(',', "!")),
        None => url,
    }
}

/// Java cuts the URL at its first question mark, and a comma ends it in a registration.
fn in_url(database: &str) -> String {
    let database = database.replace('%', "%25").replace('?', "%3F");
    database.replace(',', "%2C").replace('/', "%2F")
}

/// The search path among options as the server takes them: `-c search_path=a,b`.
fn search_path(options: &str) -> Option<String> {
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        let word = words.last_mut()?;
        match character {
            '\\' => word.extend(characters.next()),
            character if character.is_whitespace() => words.push(String::new()),
            character => word.push(character),
        }
    }
    // The last one counts.
    let path = words.iter().rev().find_map(|word| {
        let word = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).unwrap_or(word);
        word.strip_prefix("search_path=").or_else(|| word.strip_prefix("search-path="))
    })?;
    let schemas: Vec<&str> = path.split(',').map(str::trim).filter(|schema| !schema.is_empty()).collect();
    (!schemas.is_empty()).then(|| schemas.join(","))
}

/// Makes the undo table if it is missing, with Java's columns. Whoever may not create tables may still open a
/// database that has it, and of those who come at once only one makes it.
pub(super) fn undo_table(name: &str) -> String {
    let text = Postgres::quote(name).replace('\'', "''");
    let statements = undo::table(Flavor::Postgres, name).join("; ");
    let body = format!(
        "BEGIN IF pg_catalog.to_regclass('{text}') IS NULL THEN \
         PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('seata {text}', 0)); {statements}; \
         END IF; END"
    );
    format!("DO '{}'", body.replace('\'', "''"))
}

/// The table that this connection finds in its search path.
pub(super) async fn undo_reference(connection: &mut PgConnection, name: &str) -> Result<String, Error> {
    const FIND: &str = "SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
         ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass($1)::oid";
    let name = Postgres::quote(name);
    let found = rows::<Postgres>(connection, Call::new(FIND, &[Argument::Text(name.clone())])?).await?;
    let schema: String = found.first().ok_or(Error::RowNotFound)?.try_get(0)?;
    Ok(format!("{}.{name}", Postgres::quote(&schema)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().host("h").port(5432)
    }

    #[test]
    fn the_resource_is_named_after_the_jdbc_url() {
        assert_eq!(name("db", &options()), "jdbc:postgresql://h:5432/db");
        assert_eq!(name("a,b?c", &options()), "jdbc:postgresql://h:5432/a%2Cb%3Fc");
        assert_eq!(name("db", &options().host("::1")), "jdbc:postgresql://[::1]:5432/db");
        let with_schemas = options().options([("search_path", "a,b")]);
        assert_eq!(name("db", &with_schemas), "jdbc:postgresql://h:5432/db?currentSchema=a!b");
    }

    #[test]
    fn a_search_path_is_found_among_other_options() {
        for (options, path) in [
            ("-c search_path=a", Some("a")),
            (r"-c statement_timeout=5 -c search_path=a,\ b -c geqo=off", Some("a,b")),
            ("--search_path=a", Some("a")),
            ("-csearch_path=a -c search_path=b", Some("b")),
            ("-c geqo=off", None),
            ("-c search_path=", None),
        ] {
            assert_eq!(search_path(options).as_deref(), path, "{options}");
        }
    }
}
