//! Every column type of PostgreSQL: what is undone is what was there, byte for byte, under whatever settings.

use seata_tests::amount;
use sqlx::Postgres;

use crate::{
    engine::{Engine, Place},
    world::{Options, World, application},
};

/// Types of the users' own, and those of extensions.
const TYPES: &str =
    "CREATE SCHEMA shop; CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
    CREATE EXTENSION cube; CREATE EXTENSION isn;
    CREATE TYPE shop.\"Mood\" AS ENUM ('sad', 'so so');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN twice AS positive NOT NULL;
    CREATE DOMAIN prices AS numeric(8,2)[];
    CREATE TYPE part AS (n int, at timestamptz, names text[]);
    CREATE TYPE floats AS RANGE (subtype = float8);";

/// Settings that change what texts look like, and mean.
const SETTINGS: &str = "datestyle=SQL,DMY intervalstyle=sql_standard timezone=Asia/Kathmandu extra_float_digits=-10 \
    bytea_output=escape xmloption=document array_nulls=on";

/// A type, and values of it as SQL has them.
type Case = (&'static str, &'static [&'static str]);

/// A type, and an expression for a value of it, with the row's number as `i`.
type Generated = (&'static str, &'static str);

const CASES: &[Case] = &[
    ("bool", &["true", "false"]),
    ("int2", &["-32768", "32767"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    ("oid", &["0", "4294967295"]),
    ("real", &["'NaN'", "'-0'", "'inf'", "'-inf'", "1e-45", "3.4028235e38", "1.17549435e-38", "0.1"]),
    ("float8", &["'NaN'", "'-0'", "'inf'", "'-inf'", "5e-324", "1.7976931348623157e308", "-'NaN'::float8"]),
    ("numeric", &["'NaN'", "'Infinity'", "'-Infinity'", "0", "0.000", "1.00000000", "1e-500", "1e1000"]),
    ("numeric(5,-2)", &["12345", "100"]),
    ("money", &["'12.34'", "'-92233720368547758.08'", "'92233720368547758.07'"]),
    ("char(4)", &["'a'", "''", "'    '", "' b'", "'héé你'"]),
    ("bpchar", &["'a  '", "''", "'  '"]),
    ("varchar(9)", &["'a  '", "''", "'  '"]),
    ("name", &["'x'", "repeat('é', 31)"]),
    ("text", &["''", r"E'\\x41'", r#"E'\n\r\t\"''{}\b\x7f'"#, "repeat('x', 100000)", "chr(1114111)"]),
    ("\"char\"", &["'a'", "''", "'é'", "'\"'"]),
    ("bytea", &["''", r"'\x5c783432'", r"'\x00'"]),
    (
        "date",
        &["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'1582-10-04'", "'1582-10-10'", "'1582-10-15'"],
    ),
    ("date", &["'4713-01-01 BC'", "'5874897-12-31'", "'0001-01-01'", "'0001-12-31 BC'", "'9999-12-31'"]),
    ("time", &["'24:00:00'", "'23:59:59.999999'", "'00:00'"]),
    ("time(3)", &["'13:14:15.123'"]),
    ("timetz", &["'24:00:00+15:59:59'", "'23:59:59.999999-15:59'", "'00:00+05:45:30'", "'13:14:15+02'"]),
    ("timestamp", &["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999'"]),
    ("timestamp", &["'1582-10-04 23:59:59.999999'", "'1582-10-10'", "'1969-12-31 23:59:59.999999'"]),
    ("timestamp(3)", &["'2024-02-29 13:14:15.123'", "'2024-03-31 02:30:00'", "'2024-10-27 02:30:00'"]),
    (
        "timestamptz",
        &["'infinity'", "'-infinity'", "'4713-01-02 00:00:00+00 BC'", "'294276-12-31 23:59:59+00'"],
    ),
    ("timestamptz", &["'0044-03-15 01:02:03.000004+00 BC'", "'1900-01-01'", "'2024-11-03 01:30:00-05'"]),
    ("interval", &["'178000000 years'", "'-178000000 years -2147483648 days'", "'2562047788 hours'"]),
    ("interval", &["'-1 day +02:03:04.5'", "'00:00:00.000001'", "'-00:00:00.000001'", "'1 year -1 mon'"]),
    ("interval day to second(2)", &["'3 days 04:05:06.78'"]),
    ("interval year", &["'3 years'"]),
    ("bit(1)", &["B'0'", "B'1'"]),
    ("varbit", &["B''", "B'101'", "repeat('10', 100)::varbit"]),
    ("json", &[r#"'{"b" : 1,   "a":[1.50,"\u00e9"],"a":2}'"#, "'  null '", "'\"x\"'"]),
    ("jsonb", &[r#"'{"b":1,"aa":[1.50,null],"a":1e400}'"#, "'null'"]),
    ("jsonpath", &["'$.a[*] ? (@ > 1.5)'"]),
    (
        "xml",
        &["'<a/>'", "'<?xml version=\"1.0\" encoding=\"UTF-8\"?><a b=\"1\">x</a> '", "'just text'", "''"],
    ),
    ("inet", &["'10.0.0.1'", "'10.0.0.1/8'", "'::1/64'", "'::1'"]),
    ("cidr", &["'10.0.0.0/8'", "'::/0'", "'10.0.0.1/32'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("macaddr8", &["'08:00:2b:01:02:03:04:05'"]),
    ("tsvector", &[r"'a:1A b:2,3B ''it''''s'':4 ''x\\y'''", "''"]),
    ("tsquery", &["'a & !(b | c:*A) <2> d'", "''"]),
    ("point", &["'(1,2)'", "'(-0,NaN)'", "'(0.1,1e300)'", "'(Infinity,3.3333333333333335)'"]),
    ("box", &["'(1,2),(0.1,0.3)'"]),
    ("circle", &["'<(1,2),0.1>'"]),
    ("line", &["'{1,2,0.1}'"]),
    ("lseg", &["'[(1,2),(0.1,3)]'"]),
    ("path", &["'[(1,2),(0.1,3)]'", "'((1,2),(0.1,3))'"]),
    ("polygon", &["'((1,2),(0.1,3),(3,4))'"]),
    ("int4range", &["'[1,5)'", "'empty'", "'(,)'"]),
    ("numrange", &["'[1.10,5]'", "'(,1.5]'"]),
    ("tstzrange", &["'[2024-01-01 00:00:00.000001+00,infinity)'", "'(,)'"]),
    ("daterange", &["'[2024-01-02,2024-03-04)'"]),
    ("tsrange", &["'[\"0044-03-15 01:02:03 BC\",\"2024-03-04 01:02:03\")'"]),
    ("floats", &["'[0.1,1e300)'"]),
    ("int4multirange", &["'{[1,5),[7,9)}'", "'{}'"]),
    ("tsmultirange", &["'{[2024-01-02 03:04:05.5,2024-03-04)}'", "'{}'"]),
    (
        "int[]",
        &["'{1,2,NULL}'", "'{}'", "'{{1,2},{3,NULL}}'", "'[0:1]={5,6}'", "'[2:3][-1:0]={{1,2},{3,4}}'"],
    ),
    ("text[]", &[r#"'{x,"y z",NULL,"NULL","","a\"b\\c{,}",é}'"#, "'{{a,b},{c,d}}'"]),
    ("numeric(8,2)[]", &["'{1.50,NaN,-0.01}'"]),
    ("float8[]", &["'{0.1,NaN,-0,1e300,5e-324}'"]),
    ("real[]", &["'{0.1,NaN,-0,1e30}'"]),
    ("bool[]", &["'{t,f,NULL}'"]),
    ("timestamptz[]", &["'{2024-01-01 00:00:00.000001+00,infinity}'"]),
    ("date[]", &["'{2024-01-02}'"]),
    ("bytea[]", &[r"ARRAY['\x00ff'::bytea, 'abc']"]),
    ("jsonb[]", &[r#"ARRAY['{"a":"x\"y"}'::jsonb, NULL]"#]),
    ("box[]", &["'{(1,2),(0,0.1);(3,4),(1,1)}'"]),
    ("char(3)[]", &["'{a,\" b\"}'"]),
    ("interval[]", &["'{1 day,-02:03}'"]),
    ("money[]", &["'{12.34,1}'"]),
    ("inet[]", &["'{10.0.0.1/8,10.0.0.1}'"]),
    ("shop.\"Mood\"", &["'sad'", "'so so'"]),
    ("shop.\"Mood\"[]", &["'{sad,\"so so\"}'"]),
    ("positive", &["5"]),
    ("prices", &["'{1.5,2}'"]),
    ("part", &["'(1,\"2024-01-01 00:00:00.5+00\",\"{a,\\\"b c\\\"}\")'", "'(,,)'"]),
    ("part[]", &["ARRAY[ROW(1, '2024-01-01', '{x}')::part]"]),
    ("hstore", &["'a=>1,\"b c\"=>NULL,\"\"=>\"\"'"]),
    ("citext", &["'FoO'"]),
    ("citext[]", &["'{FoO}'"]),
    ("ltree", &["'a.b.c'"]),
    ("cube", &["'(0.1,0.2),(3,4)'"]),
    ("isbn", &["'978-0-11-000533-1'"]),
    ("int2vector", &["'1 2 3'", "''"]),
    ("oidvector", &["'1 2'"]),
    ("aclitem", &["'postgres=r/postgres'"]),
    ("regclass", &["'pg_class'"]),
    ("regproc", &["'now'"]),
    ("pg_lsn", &["'16/B374D848'"]),
    ("xid8", &["'42'"]),
    ("pg_snapshot", &["'10:20:10,14'"]),
];

const GENERATED: &[Generated] = &[
    ("int2", "((random() - 0.5) * 65535)::int2"),
    ("int4", "((random() - 0.5) * 4294967295)::int8::int4"),
    ("int8", "(random() * 9e18)::int8 - (random() * 9e18)::int8"),
    ("real", "((random() - 0.5) * 10 ^ (random() * 70 - 35))::real"),
    ("float8", "(random() - 0.5) * 10 ^ (random() * 600 - 300)"),
    ("numeric", "(random() * 10 ^ (i % 60)::numeric)::numeric * 10::numeric ^ (-(i % 37))"),
    ("numeric(10,3)", "(random() * 1000000)::numeric(10,3)"),
    ("money", "((random() - 0.5) * 1e12)::numeric::money"),
    (
        "text",
        "(SELECT string_agg(chr(CASE WHEN x * 1114111 BETWEEN 55296 AND 57343 OR x * 1114111 < 1 THEN 63 \
         ELSE (x * 1114111)::int END), '') FROM (SELECT random() x FROM generate_series(1, i % 20)) s)",
    ),
    ("bytea", r"decode(md5(i::text), 'hex') || substr('\x00ff5c27'::bytea, 1, i % 5)"),
    ("uuid", "gen_random_uuid()"),
    ("date", "'2000-01-01'::date + ((random() - 0.5) * 4000000)::int % 2400000"),
    ("time", "time '00:00' + random() * interval '24 hours'"),
    (
        "timetz",
        "(time '00:00' + random() * interval '24 hours')::timetz AT TIME ZONE make_interval(mins => i % 900)",
    ),
    ("timestamp", "timestamp '2000-01-01' + (random() - 0.5) * interval '8000 years'"),
    ("timestamptz", "timestamptz '2000-01-01' + (random() - 0.5) * interval '8000 years'"),
    (
        "interval",
        "make_interval(((random() - 0.5) * 1000)::int, ((random() - 0.5) * 50)::int, 0, \
         ((random() - 0.5) * 1000)::int, ((random() - 0.5) * 1000)::int, ((random() - 0.5) * 100)::int, \
         (random() - 0.5) * 1000)",
    ),
    ("bit(11)", "(i % 2048)::bit(11)"),
    ("varbit", "substring((random() * 4e9)::int8::bit(40) FROM 1 FOR i % 41)::varbit"),
    ("jsonb", "jsonb_build_object(i::text, random(), 'a', ARRAY[NULL, i::text], 'b', i % 2 = 0)"),
    ("float8[]", "ARRAY[random(), NULL, random() * 1e-300]"),
    ("timestamptz[]", "ARRAY[now() + random() * interval '100 years', NULL]"),
    ("tstzrange", "tstzrange(now(), now() + random() * interval '100 years')"),
    ("point", "point(random(), random() * 1e30)"),
];

/// A table for each case: its rows, and the type's name.
fn schema() -> String {
    let mut tables = Vec::new();
    for (column_type, values) in CASES {
        let rows: Vec<String> =
            values.iter().map(|value| format!("(CAST({value} AS {column_type}))")).collect();
        tables.push((*column_type, format!("VALUES {}", rows.join(", "))));
    }
    let rows = amount(100, 2000);
    for (column_type, expression) in GENERATED {
        let rows =
            format!("SELECT CASE WHEN i % 17 <> 0 THEN {expression} END FROM generate_series(1, {rows}) i");
        tables.push((*column_type, rows));
    }
    let mut schema = TYPES.to_owned();
    for (number, (column_type, rows)) in tables.iter().enumerate() {
        schema.push_str(&format!(
            "CREATE TABLE t{number} (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, v {column_type}, n int);
             INSERT INTO t{number} (v) {rows}; INSERT INTO t{number} (v) VALUES (NULL);"
        ));
    }
    schema
}

fn count() -> usize {
    CASES.len() + GENERATED.len()
}

/// A database, and the same with odd settings in each session.
async fn world() -> World<Postgres> {
    let Place { url, _directory } = Postgres::database().await;
    let plain = Postgres::connect(&url, 1).await.expect("a connection");
    Postgres::script(&plain, &schema()).await.expect("the schema");
    let settings: Vec<String> = SETTINGS.split_whitespace().map(|setting| format!("-c {setting}")).collect();
    let settings = settings.join(" ").replace(' ', "%20").replace('=', "%3D").replace(',', "%2C");
    let place = Place { url: format!("{url}?options={settings}"), _directory };
    World::at_place(&application().await, place, "", Options::default()).await
}

/// As it is stored: in binary form where the type has one, else as text; and how long.
async fn stored(world: &World<Postgres>) -> Vec<String> {
    let mut stored = Vec::new();
    for number in 0..count() {
        let name: &str =
            if number < CASES.len() { CASES[number].0 } else { GENERATED[number - CASES.len()].0 };
        let value = match name {
            "isbn" | "aclitem" => "v::text",
            _ => "encode(record_send(ROW(v)), 'hex')",
        };
        let sql = format!(
            "SELECT concat_ws(' ', '{}', id, {value}, pg_column_size(v), v::text) FROM t{number} ORDER BY id",
            name.replace('\'', "''")
        );
        let rows =
            Postgres::raw_texts(&world.raw, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        stored.extend(rows.into_iter().flatten());
    }
    stored
}

fn compare(before: &[String], after: &[String], what: &str) {
    let differing = before.iter().zip(after).find(|(before, after)| before != after);
    assert!(differing.is_none(), "{what}: {differing:?}");
    assert_eq!(before.len(), after.len(), "{what}");
}

/// Runs a statement on each table, and rolls it back.
async fn undone(statement: &str) {
    let world = world().await;
    let before = stored(&world).await;
    for number in 0..count() {
        let sql = statement.replace("{t}", &format!("t{number}"));
        let changed = world.rolled_back(world.execute(&sql, &[])).await;
        let changed = changed.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(changed > 0, "{sql}");
    }
    compare(&before, &stored(&world).await, statement);
    world.assert_clean(statement).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_value_comes_back() {
    undone("DELETE FROM {t}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overwritten_value_comes_back() {
    undone("UPDATE {t} SET v = (SELECT o.v FROM {t} o WHERE o.id = {t}.id % 7 + 1)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_made_null_comes_back() {
    undone("UPDATE {t} AS a SET v = NULL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inserted_value_goes() {
    undone("INSERT INTO {t} (v) SELECT v FROM {t}").await;
}
