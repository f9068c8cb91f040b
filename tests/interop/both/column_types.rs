//! A table with a column of each type, and statements about all of them.

use super::database::Kind;

/// Name, type, and two values.
type Column = (&'static str, &'static str, &'static str, &'static str);

/// What Java restores with MySQL's own driver.
const MARIADB: &[Column] = &[
    ("c_bool", "TINYINT(1)", "1", "0"),
    ("c_tiny", "TINYINT", "-7", "127"),
    ("c_utiny", "TINYINT UNSIGNED", "200", "255"),
    ("c_small", "SMALLINT", "-300", "32767"),
    ("c_usmall", "SMALLINT UNSIGNED", "60000", "0"),
    ("c_medium", "MEDIUMINT", "-70000", "8388607"),
    ("c_umedium", "MEDIUMINT UNSIGNED", "16000000", "1"),
    ("c_int", "INT", "42", "-2147483648"),
    ("c_uint", "INT UNSIGNED", "7", "2147483647"),
    ("c_big", "BIGINT", "9007199254740993", "-9223372036854775808"),
    ("c_ubig", "BIGINT UNSIGNED", "7", "9223372036854775807"),
    ("c_decimal", "DECIMAL(20,6)", "12345.678900", "-0.000001"),
    ("c_wide", "DECIMAL(20,0)", "10000000000000000000", "-99999999999999999999"),
    ("c_float", "FLOAT", "1.5", "-0.1"),
    ("c_double", "DOUBLE", "2.718281828459045", "1e300"),
    ("c_bit1", "BIT(1)", "b'1'", "b'0'"),
    ("c_bit8", "BIT(8)", "b'10101010'", "b'11'"),
    ("c_bit64", "BIT(64)", "x'8000000000000001'", "x'00ff00ff00ff00ff'"),
    ("c_char", "CHAR(4)", "'ab'", "''"),
    ("c_varchar", "VARCHAR(64)", "'héllo \"q\" 你'", "'it''s 🦀'"),
    ("c_text", "TEXT", "'line1\\nline2'", "'\\\\ \\0 \\Z'"),
    ("c_longtext", "LONGTEXT", "'lt'", "REPEAT('ä', 70000)"),
    ("c_enum", "ENUM('a','b')", "'b'", "'a'"),
    ("c_set", "SET('x','y')", "'x,y'", "''"),
    ("c_json", "JSON", "'{\"b\": 1, \"a\": [\"你\", null]}'", "'[ ]'"),
    ("c_date", "DATE", "'2024-02-29'", "'1969-12-31'"),
    ("c_time", "TIME", "'13:14:15'", "'00:00:00'"),
    // The second is an hour that there is twice.
    ("c_datetime", "DATETIME", "'2024-02-29 13:14:15'", "'2024-11-03 01:30:00'"),
    ("c_timestamp", "TIMESTAMP NULL", "'2024-02-29 13:14:15'", "'2024-07-01 00:30:00'"),
    ("c_binary", "BINARY(4)", "x'01020304'", "x'ff'"),
    ("c_varbinary", "VARBINARY(16)", "x'deadbeef00'", "x''"),
    ("c_blob", "BLOB", "x'cafe00ff'", "x''"),
    ("c_longblob", "LONGBLOB", "x'00'", "REPEAT(x'80', 70000)"),
    ("c_point", "POINT", "ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(-3 0.5)')"),
];

/// What Java's logs tell rightly, and Java itself does not restore.
const MARIADB_MORE: &[Column] = &[
    ("c_uint", "INT UNSIGNED", "4000000000", "4294967295"),
    ("c_ubig", "BIGINT UNSIGNED", "18446744073709551615", "9223372036854775808"),
    ("c_datetime3", "DATETIME(3)", "'2024-02-29 13:14:15.123'", "'2024-07-01 00:30:00.001'"),
    ("c_datetime6", "DATETIME(6)", "'2024-02-29 13:14:15.123456'", "'2024-07-01 00:30:00.000001'"),
    ("c_timestamp6", "TIMESTAMP(6) NULL", "'2024-02-29 13:14:15.123456'", "'2024-07-01 00:30:00.5'"),
    ("c_year", "YEAR", "2024", "1969"),
];

/// What Java restores.
const POSTGRESQL: &[Column] = &[
    ("c_bool", "BOOLEAN", "true", "false"),
    ("c_small", "SMALLINT", "-7", "32767"),
    ("c_int", "INT", "42", "-2147483648"),
    ("c_big", "BIGINT", "9007199254740993", "-9223372036854775808"),
    ("c_numeric", "NUMERIC(20,6)", "12345.678900", "-0.000001"),
    ("c_real", "REAL", "1.5", "-0.1"),
    ("c_double", "DOUBLE PRECISION", "2.718281828459045", "'Infinity'"),
    ("c_char", "CHAR(4)", "'ab'", "''"),
    ("c_varchar", "VARCHAR(64)", "'héllo \"q\" 你'", "'it''s 🦀'"),
    ("c_text", "TEXT", "E'l1\\nl2\\\\'", "REPEAT('ä', 70000)"),
    ("c_date", "DATE", "'2024-02-29'", "'0044-03-15 BC'"),
    ("c_forever", "DATE", "'infinity'", "'1969-12-31'"),
    // The second is an hour that there is twice.
    ("c_timestamp", "TIMESTAMP", "'2024-02-29 13:14:15.123456'", "'2024-11-03 01:30:00'"),
    ("c_timestamptz", "TIMESTAMPTZ", "'2024-02-29 13:14:15.5+02'", "'2024-07-01 00:30:00-04'"),
    ("c_time", "TIME", "'13:14:15'", "'00:00:00'"),
    ("c_interval", "INTERVAL", "'1 day 02:03:04'", "'-3 years 5 mons'"),
    ("c_bytea", "BYTEA", "'\\xdeadbeef00'", "''"),
    ("c_uuid", "UUID", "'123e4567-e89b-12d3-a456-426614174000'", "'00000000-0000-0000-0000-000000000000'"),
    ("c_json", "JSON", "'{\"b\":  1, \"a\": \"你\"}'", "'[ ]'"),
    ("c_jsonb", "JSONB", "'{\"b\": [1, 2]}'", "'null'"),
    ("c_bit8", "BIT(8)", "B'10101010'", "B'00000001'"),
    ("c_varbit", "BIT VARYING(16)", "B'101'", "B''"),
    ("c_inet", "INET", "'10.0.0.1'", "'fe80::1/64'"),
    ("c_point", "POINT", "'(1,2)'", "'(-3,0.5)'"),
    ("c_range", "INT4RANGE", "'[1,5)'", "'empty'"),
    ("c_tsvector", "TSVECTOR", "'a b'", "'c:1A'"),
    ("c_oid", "OID", "123", "4294967295"),
    ("c_name", "NAME", "'n'", "'m'"),
];

/// What Java's logs tell rightly, and Java itself does not restore.
const POSTGRESQL_MORE: &[Column] = &[
    ("c_numeric", "NUMERIC", "'NaN'", "1.10"),
    ("c_money", "MONEY", "12.34", "-0.01"),
    ("c_bit1", "BIT(1)", "B'1'", "B'0'"),
    ("c_array", "INT[]", "'{1,2,3}'", "'{}'"),
];

fn columns(kind: Kind) -> [(&'static str, &'static [Column]); 2] {
    match kind {
        Kind::MariaDb => [("types", MARIADB), ("more_types", MARIADB_MORE)],
        Kind::PostgreSql => [("types", POSTGRESQL), ("more_types", POSTGRESQL_MORE)],
    }
}

/// The tables `types` and `more_types`: the rows 1 to 4 with the first values, 5 with none.
pub(super) fn tables(kind: Kind) -> String {
    let mut script = String::new();
    for (table, columns) in columns(kind) {
        let types: Vec<String> =
            columns.iter().map(|(name, its_type, ..)| format!("{name} {its_type}")).collect();
        script.push_str(&format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, {});", types.join(", ")));
        for id in 1..=4 {
            script.push_str(&insert(table, columns, id, |(_, _, first, _)| first));
            script.push(';');
        }
        script.push_str(&format!("INSERT INTO {table} (id) VALUES (5);"));
    }
    script
}

/// Each row is changed, deleted or made, those of `types` that Java can put back, or of `more_types`.
pub(super) fn changes(kind: Kind, table: &str) -> Vec<String> {
    let (_, columns) = columns(kind).into_iter().find(|(name, _)| *name == table).expect("there are two");
    vec![
        update(table, columns, 1, |(_, _, _, second)| second),
        format!("DELETE FROM {table} WHERE id = 2"),
        update(table, columns, 3, |_| "NULL"),
        update(table, columns, 5, |(_, _, first, _)| first),
        format!("DELETE FROM {table} WHERE id = 5"),
        insert(table, columns, 6, |(_, _, _, second)| second),
    ]
}

/// Others write the rows of those changes of `types` behind the transaction's back.
pub(super) fn dirt(kind: Kind) -> Vec<String> {
    let [(table, columns), _] = columns(kind);
    vec![
        format!("DELETE FROM {table} WHERE id = 1"),
        insert(table, columns, 2, |(_, _, _, second)| second),
        update(table, columns, 3, |(_, _, _, second)| second),
        insert(table, columns, 5, |(_, _, _, second)| second),
        update(table, columns, 6, |_| "NULL"),
    ]
}

fn insert(table: &str, columns: &[Column], id: i64, value: impl Fn(&Column) -> &'static str) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, ..)| *name).collect();
    let values: Vec<&str> = columns.iter().map(value).collect();
    format!("INSERT INTO {table} (id, {}) VALUES ({id}, {})", names.join(", "), values.join(", "))
}

fn update(table: &str, columns: &[Column], id: i64, value: impl Fn(&Column) -> &'static str) -> String {
    let sets: Vec<String> =
        columns.iter().map(|column| format!("{} = {}", column.0, value(column))).collect();
    format!("UPDATE {table} SET {} WHERE id = {id}", sets.join(", "))
}
