//! Every value of every type of MySQL comes back as it was, whatever a statement made of it.

use std::fmt::Write as _;

use rand::{Rng as _, rngs::StdRng};
use seata_tests::{amount, seed};
use sqlx::MySql;

use crate::{
    engine::{Engine, Place},
    world::{Options, World, application},
};

/// Makes a literal.
type Literal = fn(&mut StdRng) -> String;

/// Types that can be keys too.
const KEYS: &[(&str, Literal)] = &[
    ("BOOLEAN", integer),
    ("TINYINT", integer),
    ("TINYINT UNSIGNED", integer),
    ("SMALLINT", integer),
    ("SMALLINT UNSIGNED ZEROFILL", integer),
    ("MEDIUMINT", integer),
    ("MEDIUMINT UNSIGNED", integer),
    ("INT", integer),
    ("INT UNSIGNED", integer),
    ("BIGINT", integer),
    ("BIGINT UNSIGNED", integer),
    ("DECIMAL(20,6)", decimal),
    ("DECIMAL(65,30)", decimal),
    ("DECIMAL(65,0) UNSIGNED", decimal),
    ("FLOAT", floating),
    ("DOUBLE", floating),
    ("DOUBLE UNSIGNED", floating),
    ("BIT(1)", bits),
    ("BIT(7)", bits),
    ("BIT(9)", bits),
    ("BIT(64)", bits),
    ("CHAR(12)", text),
    ("CHAR(12) CHARACTER SET utf8mb3", text),
    ("VARCHAR(20)", text),
    ("VARCHAR(20) COLLATE utf8mb4_bin", text),
    ("VARCHAR(20) CHARACTER SET latin1", text),
    ("VARCHAR(20) CHARACTER SET latin1", bytes),
    ("VARCHAR(20) CHARACTER SET ascii", bytes),
    ("VARCHAR(20) CHARACTER SET ucs2", text),
    ("VARCHAR(20) CHARACTER SET ucs2", bytes),
    ("VARCHAR(20) CHARACTER SET utf16", text),
    ("VARCHAR(20) CHARACTER SET utf32", text),
    ("VARCHAR(20) CHARACTER SET gbk", text),
    ("VARCHAR(20) CHARACTER SET gbk", bytes),
    ("VARCHAR(20) CHARACTER SET big5", bytes),
    ("VARCHAR(20) CHARACTER SET sjis", bytes),
    ("VARCHAR(20) CHARACTER SET ujis", bytes),
    ("VARCHAR(20) CHARACTER SET euckr", bytes),
    ("VARCHAR(20) CHARACTER SET cp1251", bytes),
    ("VARCHAR(20) CHARACTER SET tis620", bytes),
    ("ENUM('a','ö','你','x y')", choice),
    ("ENUM('a','ö','你','x y') CHARACTER SET gbk", choice),
    ("SET('a','ö','你')", set),
    ("BINARY(12)", bytes),
    ("VARBINARY(20)", bytes),
    ("DATE", date),
    ("DATETIME", moment),
    ("DATETIME(3)", moment),
    ("DATETIME(6)", moment),
    ("TIMESTAMP", timestamp),
    ("TIMESTAMP(3)", timestamp),
    ("TIMESTAMP(6)", timestamp),
    ("TIME", time),
    ("TIME(1)", time),
    ("TIME(6)", time),
    ("YEAR", year),
    ("INET6", address),
    ("UUID", uuid),
];

/// Types that cannot.
const OTHERS: &[(&str, Literal)] = &[
    ("TINYTEXT", text),
    ("TEXT", text),
    ("MEDIUMTEXT CHARACTER SET sjis", bytes),
    ("LONGTEXT", text),
    ("JSON", json),
    ("TINYBLOB", bytes),
    ("BLOB", bytes),
    ("MEDIUMBLOB", bytes),
    ("LONGBLOB", bytes),
    ("POINT", point),
    ("GEOMETRY", geometry),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_value_of_every_type_comes_back() {
    let rows = amount(200, 3000);
    let (world, seed) = (world("").await, seed::seed());
    for (part, (definition, literal)) in KEYS.iter().chain(OTHERS).enumerate() {
        let mut numbers = seed::numbers(seed, part as u64);
        // What is known of a table is known for a while: each has a name of its own.
        let table = format!("t{part}");
        world.reset(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, n INT, c {definition} NULL)")).await;
        let values = (0..rows).map(|id| {
            let value = if numbers.random_bool(0.05) { "NULL".to_owned() } else { literal(&mut numbers) };
            format!("({id}, 0, {value})")
        });
        fill(&world, &table, values.collect()).await;
        let statements = [
            format!("UPDATE {table} SET c = NULL"),
            format!("UPDATE {table} SET c = DEFAULT, n = 1 WHERE id % 2 = 0"),
            format!("DELETE FROM {table}"),
        ];
        comes_back(&world, definition, &statements).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_value_of_every_type_can_be_a_key() {
    let rows = amount(100, 1000);
    let (world, seed) = (world("").await, seed::seed());
    for (part, (definition, literal)) in KEYS.iter().enumerate() {
        let mut numbers = seed::numbers(seed, part as u64);
        let table = format!("k{part}");
        world.reset(&format!("CREATE TABLE {table} (n INT, c {definition} NOT NULL, PRIMARY KEY (c))")).await;
        fill(&world, &table, (0..rows).map(|_| format!("(0, {})", literal(&mut numbers))).collect()).await;
        // An empty text is no key of a row lock, and refused.
        world.script(&format!("DELETE FROM {table} WHERE LENGTH(c) = 0")).await;
        let statements = [format!("UPDATE {table} SET n = n + 1"), format!("DELETE FROM {table}")];
        comes_back(&world, definition, &statements).await;
    }
}

/// A moment is one in every time zone, and a session may have any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moments_come_back_whatever_time_zone_the_session_has() {
    let (world, seed) = (world("?timezone=%2B05:30").await, seed::seed());
    for (part, definition) in ["TIMESTAMP(6)", "DATETIME(6)"].into_iter().enumerate() {
        let mut numbers = seed::numbers(seed, part as u64);
        let table = format!("m{part}");
        world.reset(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, c {definition} NULL)")).await;
        let values = (0..200).map(|id| format!("({id}, {})", timestamp(&mut numbers)));
        fill(&world, &table, values.collect()).await;
        let statements = [format!("UPDATE {table} SET c = NULL"), format!("DELETE FROM {table}")];
        comes_back(&world, definition, &statements).await;
    }
}

/// A column that the data source has not heard of is changed, and comes back with its row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_may_be_altered_between_two_statements() {
    let world = world("").await;
    world.script("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1)").await;
    world.rolled_back(async { world.execute("UPDATE t SET n = 2", &[]).await.unwrap() }).await;
    world.script("ALTER TABLE t ADD COLUMN added VARCHAR(9) NOT NULL DEFAULT 'x'").await;
    let before = world.dump().await;
    world.rolled_back(async { world.execute("UPDATE t SET added = 'y'", &[]).await.unwrap() }).await;
    assert_eq!(world.dump().await, before);

    world.script("ALTER TABLE t ADD COLUMN another INT NOT NULL DEFAULT 5, DROP COLUMN added").await;
    let before = world.dump().await;
    let error = world.rolled_back(async { world.execute("DELETE FROM t", &[]).await }).await.err();
    assert!(error.is_none_or(|error| error.to_string().contains("altered")));
    assert_eq!(world.dump().await, before);
    world.rolled_back(async { world.execute("DELETE FROM t", &[]).await.unwrap() }).await;
    assert_eq!(world.dump().await, before);
}

/// Before they were written back, logs have gone through the undo table and its documents.
async fn comes_back(world: &World<MySql>, what: &str, statements: &[String]) {
    let before = world.dump().await;
    assert!(!before.is_empty(), "{what} has rows");
    for statement in statements {
        let changed = world
            .rolled_back(async {
                world
                    .execute(statement, &[])
                    .await
                    .unwrap_or_else(|error| panic!("{what}, {statement}: {error}"));
                world.dump().await
            })
            .await;
        assert_ne!(changed, before, "{what}, {statement}");
        let after = world.dump().await;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(after, before, "{what}, {statement}");
        }
        assert_eq!(after.len(), before.len(), "{what}, {statement}");
    }
}

async fn world(parameters: &str) -> World<MySql> {
    let Place { url, _directory } = MySql::database().await;
    let place = Place { url: format!("{url}{parameters}"), _directory };
    World::at_place(&application().await, place, "", Options::default()).await
}

/// Whatever a careless session can store: it gets values into columns that they do not fit.
async fn fill(world: &World<MySql>, table: &str, rows: Vec<String>) {
    for rows in rows.chunks(100) {
        let rows = rows.join(", ");
        world
            .script(&format!(
                "SET @@sql_mode = 'ALLOW_INVALID_DATES'; INSERT IGNORE INTO {table} VALUES {rows}"
            ))
            .await;
    }
}

fn integer(numbers: &mut StdRng) -> String {
    match numbers.random_range(0..3) {
        0 => numbers.random_range(-3..4).to_string(),
        1 => numbers.random::<i64>().to_string(),
        _ => (i128::from(numbers.random_range(-2..3)) + (1i128 << numbers.random_range(0..65))).to_string(),
    }
}

fn decimal(numbers: &mut StdRng) -> String {
    let (whole, fraction) = (numbers.random_range(0..36), numbers.random_range(0..31));
    let mut digits =
        |count: usize| -> String { (0..count).map(|_| numbers.random_range('0'..='9')).collect() };
    let (whole, fraction) = (digits(whole), digits(fraction));
    let sign = if numbers.random() { "-" } else { "" };
    format!("{sign}0{whole}.{fraction}0")
}

fn floating(numbers: &mut StdRng) -> String {
    let value = match numbers.random_range(0..3) {
        0 => f64::from_bits(numbers.random()),
        1 => f64::from(f32::from_bits(numbers.random())),
        _ => f64::from(numbers.random_range(-100_000..100_000)) / 1000.0,
    };
    if value.is_finite() { format!("{value:e}") } else { "0.1".to_owned() }
}

fn bits(numbers: &mut StdRng) -> String {
    format!("b'{:b}'", numbers.random::<u64>() >> numbers.random_range(0..64))
}

fn bytes(numbers: &mut StdRng) -> String {
    let length = numbers.random_range(0..13);
    hexadecimal("", (0..length).map(|_| numbers.random()))
}

fn text(numbers: &mut StdRng) -> String {
    let length = numbers.random_range(0..9);
    let text: String = (0..length)
        .map(|_| match numbers.random_range(0..4) {
            0 => [' ', '\'', '\\', '\0', '"', ':'][numbers.random_range(0..6)],
            1 => numbers.random_range('\0'..='\u{7f}'),
            2 => numbers.random_range('\u{80}'..='\u{ffff}'),
            _ => numbers.random(),
        })
        .collect();
    hexadecimal("_utf8mb4 ", text.bytes())
}

fn hexadecimal(introducer: &str, bytes: impl Iterator<Item = u8>) -> String {
    let mut literal = format!("{introducer}x'");
    for byte in bytes {
        write!(literal, "{byte:02x}").expect("a String takes any text");
    }
    literal + "'"
}

fn choice(numbers: &mut StdRng) -> String {
    ["'a'", "'ö'", "'你'", "'x y'"][numbers.random_range(0..4)].to_owned()
}

fn set(numbers: &mut StdRng) -> String {
    numbers.random_range(0..8).to_string()
}

/// There are days of zeros, days that no month has, and days that only one calendar has.
fn day(numbers: &mut StdRng) -> String {
    let year = match numbers.random_range(0..4) {
        0 => 0,
        1 => numbers.random_range(1500..1600),
        2 => numbers.random_range(1890..2100),
        _ => numbers.random_range(0..10_000),
    };
    match numbers.random_range(0..10) {
        0 => "0000-00-00".to_owned(),
        _ => format!("{year:04}-{:02}-{:02}", numbers.random_range(0..13), numbers.random_range(0..32)),
    }
}

fn date(numbers: &mut StdRng) -> String {
    format!("'{}'", day(numbers))
}

fn moment(numbers: &mut StdRng) -> String {
    let (hour, minute) = (numbers.random_range(0..24), numbers.random_range(0..60));
    format!(
        "'{} {hour:02}:{minute:02}:{:02}.{:06}'",
        day(numbers),
        numbers.random_range(0..60),
        micros(numbers)
    )
}

fn micros(numbers: &mut StdRng) -> u32 {
    match numbers.random_range(0..3) {
        0 => 0,
        1 => numbers.random_range(0..1000) * 1000,
        _ => numbers.random_range(0..1_000_000),
    }
}

fn timestamp(numbers: &mut StdRng) -> String {
    match numbers.random_range(0..10) {
        0 => "0".to_owned(),
        1 => "FROM_UNIXTIME(1)".to_owned(),
        2 => "FROM_UNIXTIME(2147483647.999999)".to_owned(),
        _ => format!("FROM_UNIXTIME({}.{:06})", numbers.random_range(1..i32::MAX), micros(numbers)),
    }
}

fn time(numbers: &mut StdRng) -> String {
    let sign = if numbers.random() { "-" } else { "" };
    let hours = if numbers.random() { numbers.random_range(0..24) } else { numbers.random_range(0..839) };
    let (minutes, seconds) = (numbers.random_range(0..60), numbers.random_range(0..60));
    format!("'{sign}{hours:02}:{minutes:02}:{seconds:02}.{:06}'", micros(numbers))
}

fn year(numbers: &mut StdRng) -> String {
    let year = if numbers.random_bool(0.1) { 0 } else { numbers.random_range(1901..2156) };
    format!("'{year:04}'")
}

fn json(numbers: &mut StdRng) -> String {
    format!(
        "'{{\"b\":  [{}, null, true], \"a\": {}, \"b\": \"你\"}}'",
        numbers.random_range(-9..9),
        integer(numbers)
    )
}

fn point(numbers: &mut StdRng) -> String {
    format!("ST_GeomFromText('POINT({} {})')", floating(numbers), numbers.random_range(-90..90))
}

fn geometry(numbers: &mut StdRng) -> String {
    match numbers.random_range(0..3) {
        0 => point(numbers),
        1 => format!("ST_GeomFromText('LINESTRING(0 0, {} 1, 2 2)', 4326)", numbers.random_range(0..99)),
        _ => "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(0 0, 1 1))')".to_owned(),
    }
}

fn address(numbers: &mut StdRng) -> String {
    let number = numbers.random::<u128>() >> [0, 64, 96][numbers.random_range(0..3)];
    format!("'{}'", std::net::Ipv6Addr::from(number))
}

fn uuid(numbers: &mut StdRng) -> String {
    let digits = format!("{:032x}", numbers.random::<u128>());
    format!("'{}-{}-{}-{}-{}'", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}
