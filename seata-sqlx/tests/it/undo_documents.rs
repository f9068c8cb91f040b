//! Undo logs that nobody wrote yet: generated documents come back, and no bytes do harm.

use std::path::Path;

use proptest::{collection::vec, option, prelude::*, sample::select};
use seata_sqlx::undo::{
    self, BranchUndoLog, Civil, Context, Field, Instant, PgObject, Row, SerialArray, SqlType, SqlUndoLog,
    TableRecords, Value, Writing, Zone,
};

proptest! {
    #[test]
    fn every_document_comes_back_as_it_was(log in log()) {
        let document = undo::encode(&log);
        let again = undo::decode(&document).unwrap();
        prop_assert_eq!(&again, &log);
        prop_assert_eq!(undo::encode(&again), document);
    }

    #[test]
    fn every_document_comes_back_from_its_rows(
        log in log(),
        compress_above in option::of(0_usize..4_000),
        max_packet in option::of(800_u64..10_000),
    ) {
        let writing = Writing { compress_above, max_packet, ..Writing::default() };
        let Ok(rows) = undo::write(&log, &writing) else { return Ok(()) };
        let (own, others) = rows.split_last().unwrap();
        prop_assert!(own.context.len() <= 128);
        prop_assert_eq!(own.branch_id, log.branch_id);
        prop_assert!(others.windows(2).all(|pair| pair[0].branch_id < pair[1].branch_id));
        let others = others.iter().rev().map(|row| (row.branch_id, row.content.clone())).collect();
        let context = Context::parse(&own.context).unwrap();
        prop_assert_eq!(undo::read(&context, own.content.clone(), others, undo::MAX_LOG).unwrap(), log);
    }

    #[test]
    fn a_value_is_the_same_as_itself_and_two_are_the_same_both_ways(a in value(), b in value()) {
        let field = |value: &Value| Field { name: "c".into(), is_key: false, jdbc_type: 0, value: value.clone(), exact: None };
        prop_assert!(field(&a).same_value(&field(&a)));
        prop_assert_eq!(field(&a).same_value(&field(&b)), field(&b).same_value(&field(&a)));
        prop_assert!(a != b || field(&a).same_value(&field(&b)));
    }

    #[test]
    fn bytes_that_are_no_document_are_an_error(bytes in vec(any::<u8>(), 0..400), context in "\\PC{0,60}") {
        if let Ok(log) = undo::decode(&bytes) {
            prop_assert_eq!(undo::decode(&undo::encode(&log)).unwrap(), log);
        }
        let _ = Context::parse(&context);
        for compressor in ["NONE", "ZIP", "GZIP", "DEFLATER", "BZIP2", "LZ4", "ZSTD", "SEVENZ"] {
            let context = Context::parse(&format!("subId=-1&compressorType={compressor}")).unwrap();
            prop_assert!(undo::read(&context, bytes.clone(), vec![(-1, bytes.clone())], 1 << 20).is_err());
        }
    }

    /// What is left of a document of Java's when a part of it is replaced is an error, or a document again.
    #[test]
    fn a_document_that_was_changed_does_no_harm(
        name in select(vec!["mysql/types_delete", "mariadb/types_delete", "postgresql/types_delete", "classes/classes"]),
        at in any::<prop::sample::Index>(),
        length in 0_usize..30,
        instead in prop_oneof!["[\\[\\]{}\",:0-9a-zE.+-]{0,20}", select(vec!["null", "[[[[", "1E999", "\"\\ud800\"", "-0"]).prop_map(str::to_owned)],
    ) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/undo/{name}.json"));
        let mut bytes = std::fs::read(path).unwrap();
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + length);
        bytes.splice(start..end, instead.into_bytes());
        if let Ok(log) = undo::decode(&bytes) {
            let document = undo::encode(&log);
            let again = undo::decode(&document).unwrap();
            prop_assert_eq!(undo::encode(&again), document);
            let zone = Zone::named("Asia/Shanghai").unwrap();
            let images = log.sql_undo_logs.iter().filter_map(|log| log.before_image.as_ref());
            for field in images.flat_map(|image| &image.rows).flat_map(|row| &row.fields) {
                let _ = (field.value.java_text(&zone), field.to_string(), field.value.to_string());
            }
        }
    }

    #[test]
    fn a_reading_that_is_written_comes_back_in_every_zone(
        name in select(vec!["UTC", "Asia/Shanghai", "America/New_York", "Europe/Dublin", "Africa/Casablanca", "Pacific/Apia"]),
        year in prop_oneof![-5_000..12_000_i32, any::<i32>()],
        (month, day, hour, minute, second) in (0_u8..15, 0_u8..35, 0_u8..26, 0_u8..62, 0_u8..62),
        nanos in 0_u32..1_000_000_001,
        millis in any::<i64>(),
    ) {
        let zone = Zone::named(name).unwrap();
        let civil = Civil { year, month, day, hour, minute, second, nanos };
        if let Some(instant) = zone.instant_of(civil) {
            prop_assert_eq!(zone.civil_of(instant), Some(civil));
        }
        if let Some(instant) = zone.timestamp_of(civil) {
            prop_assert_eq!(zone.civil_of_timestamp(instant), Some(civil));
        }
        if let Some(millis) = zone.date_of(civil.date()) {
            prop_assert_eq!(zone.civil_of_date(millis), Some(civil.date()));
        }
        let instant = Instant { millis, nanos: None };
        if let Some(civil) = zone.civil_of(instant) {
            let back = zone.instant_near(civil).unwrap();
            prop_assert!((back.millis - millis).abs() < 86_400_000, "{} and {}", back.millis, millis);
        }
        let _ = (zone.civil_of_timestamp(instant), zone.civil_of_date(millis));
    }
}

/// However deep a value goes: the stack holds.
#[test]
fn a_deep_document_is_kept_or_refused() {
    let depth = 200_000;
    let array = r#"{"@class":"org.apache.seata.rm.datasource.sql.serial.SerialArray","baseType":4,"baseTypeName":"x","elements":["#;
    let values = [
        "[".repeat(depth) + &"]".repeat(depth),
        r#"["java.util.ArrayList","#.repeat(depth) + "1" + &"]".repeat(depth),
        r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(depth),
        array.repeat(depth / 20) + &"]}".repeat(depth / 20),
    ];
    for value in values {
        let document = document(&value);
        let log = undo::decode(document.as_bytes()).unwrap();
        assert_eq!(undo::encode(&log).len(), document.len());
    }
    let elsewhere = document("1")
        .replace("\"xid\"", &format!("\"x\":{}{},\"xid\"", "[".repeat(depth), "]".repeat(depth)));
    let _ = undo::decode(elsewhere.as_bytes());
}

fn document(value: &str) -> String {
    let field = Field {
        name: "c".into(),
        is_key: false,
        jdbc_type: 4,
        value: Value::Other(value.into()),
        exact: None,
    };
    let image = TableRecords { table_name: "t".into(), rows: vec![Row { fields: vec![field] }] };
    let statement = SqlUndoLog {
        sql_type: SqlType::Delete,
        table_name: "t".into(),
        before_image: Some(image),
        after_image: None,
    };
    let log = BranchUndoLog { xid: "h:1:2".into(), branch_id: 3, sql_undo_logs: vec![statement] };
    String::from_utf8(undo::encode(&log)).unwrap()
}

fn log() -> impl Strategy<Value = BranchUndoLog> {
    (any::<String>(), any::<i64>(), vec(statement(), 0..4))
        .prop_map(|(xid, branch_id, sql_undo_logs)| BranchUndoLog { xid, branch_id, sql_undo_logs })
}

fn statement() -> impl Strategy<Value = SqlUndoLog> {
    let kinds = vec![
        SqlType::Insert,
        SqlType::Update,
        SqlType::Delete,
        SqlType::UpdateJoin,
        SqlType::Other("MERGE".into()),
    ];
    (select(kinds), any::<String>(), option::of(image()), option::of(image())).prop_map(
        |(sql_type, table_name, before_image, after_image)| SqlUndoLog {
            sql_type,
            table_name,
            before_image,
            after_image,
        },
    )
}

fn image() -> impl Strategy<Value = TableRecords> {
    let row = vec(field(), 0..5).prop_map(|fields| Row { fields });
    (any::<String>(), vec(row, 0..4)).prop_map(|(table_name, rows)| TableRecords { table_name, rows })
}

fn field() -> impl Strategy<Value = Field> {
    (any::<String>(), any::<bool>(), any::<i32>(), value(), option::of(any::<String>()))
        .prop_map(|(name, is_key, jdbc_type, value, exact)| Field { name, is_key, jdbc_type, value, exact })
}

fn value() -> impl Strategy<Value = Value> {
    let objects = (any::<String>(), option::of(any::<String>()))
        .prop_map(|(type_name, text)| PgObject { text, ..PgObject::plain(type_name, "") });
    let others = vec![
        r#"["java.util.Locale","de"]"#,
        "9223372036854775807",
        r#"{"@class":"a.B","x":[1]}"#,
        "[[1,2],[3]]",
    ];
    prop_oneof![
        4 => plain(),
        1 => objects.prop_map(Value::PgObject),
        1 => array().prop_map(Value::Array),
        1 => select(others).prop_map(|json| Value::Other(json.to_owned())),
    ]
}

fn plain() -> impl Strategy<Value = Value> {
    let double = any::<f64>().prop_map(|number| if number.is_nan() { f64::NAN } else { number });
    let float = any::<f32>().prop_map(|number| if number.is_nan() { f32::NAN } else { number });
    let instant = || {
        let fine = (any::<i64>(), 0_u32..1_000_000_000).prop_map(|(millis, nanos)| (millis, Some(nanos)));
        prop_oneof![any::<i64>().prop_map(|millis| (millis, None)), fine]
            .prop_map(|(millis, nanos)| Instant { millis, nanos })
    };
    let bytes = || vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i8>().prop_map(Value::Byte),
        any::<i16>().prop_map(Value::Short),
        any::<i32>().prop_map(Value::Integer),
        any::<i64>().prop_map(Value::Long),
        double.prop_map(Value::Double),
        float.prop_map(Value::Float),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?(E[+-]?[0-9]{1,3})?".prop_map(Value::Decimal),
        "-?[1-9][0-9]{0,60}".prop_map(Value::BigInteger),
        any::<String>().prop_map(Value::Text),
        any::<String>().prop_map(Value::Clob),
        bytes().prop_map(Value::Bytes),
        bytes().prop_map(Value::Blob),
        any::<i64>().prop_map(Value::Date),
        "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]".prop_map(Value::Time),
        instant().prop_map(Value::Timestamp),
        instant().prop_map(Value::LocalDateTime),
        "[0-9a-f]{8}-[0-9a-f]{4}".prop_map(Value::Uuid),
    ]
}

/// The elements that Java tells by the type of the array.
fn array() -> impl Strategy<Value = SerialArray> {
    let of = |base_type: i32, name: &str, element: BoxedStrategy<Value>| {
        let base_type_name = name.to_owned();
        let elements = vec(prop_oneof![9 => element, 1 => Just(Value::Null)], 0..5);
        elements.prop_map(move |elements| SerialArray {
            base_type,
            base_type_name: base_type_name.clone(),
            elements,
        })
    };
    prop_oneof![
        of(4, "int4", any::<i32>().prop_map(Value::Integer).boxed()),
        of(-5, "int8", any::<i64>().prop_map(Value::Long).boxed()),
        of(5, "int2", any::<i16>().prop_map(Value::Short).boxed()),
        of(-7, "bool", any::<bool>().prop_map(Value::Boolean).boxed()),
        of(12, "text", any::<String>().prop_map(Value::Text).boxed()),
        of(2, "numeric", "[1-9][0-9]{0,20}\\.[0-9]{2}".prop_map(Value::Decimal).boxed()),
        of(-2, "bytea", vec(any::<u8>(), 0..20).prop_map(Value::Bytes).boxed()),
        of(91, "date", any::<i64>().prop_map(Value::Date).boxed()),
        of(8, "float8", (-1e300..1e300).prop_map(Value::Double).boxed()),
        of(1111, "uuid", "[0-9a-f]{8}".prop_map(Value::Uuid).boxed()),
        of(
            1111,
            "jsonb",
            any::<String>().prop_map(|text| Value::PgObject(PgObject::plain("jsonb", text))).boxed()
        ),
    ]
}
