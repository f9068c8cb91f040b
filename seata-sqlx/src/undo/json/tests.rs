use super::{DecodeError, decode, encode, encode::value as write_value, value::read_value};
use crate::undo::{Instant, PgObject, SerialArray, Value, jdbc};

#[test]
fn every_value_comes_back_as_itself() {
    let values = [
        Value::Null,
        Value::Boolean(true),
        Value::Integer(i32::MIN),
        Value::Long(i64::MIN),
        Value::Short(-3),
        Value::Byte(7),
        Value::Double(f64::NAN),
        Value::Double(f64::INFINITY),
        Value::Double(f64::NEG_INFINITY),
        Value::Double(5e-324),
        Value::Float(0.1),
        Value::Float(f32::INFINITY),
        Value::Decimal("-12345.678900".into()),
        Value::BigInteger("18446744073709551615".into()),
        Value::Text("\u{0}\u{1f}\"\\é你😀\u{2028}".into()),
        Value::Bytes((0..=255).collect()),
        Value::Timestamp(Instant { millis: -1, nanos: Some(999_999_999) }),
        Value::Blob(vec![1, 2, 3]),
        Value::Clob("text".into()),
        Value::PgObject(PgObject::plain("jsonb", "{}")),
        Value::PgObject(PgObject { text: None, ..PgObject::plain("json", "") }),
        Value::Array(SerialArray {
            base_type: jdbc::BIGINT,
            base_type_name: "int8".into(),
            elements: vec![Value::Long(1), Value::Null],
        }),
        Value::Other(r#"["java.util.Locale","de"]"#.into()),
        Value::Other("9223372036854775807".into()),
    ];
    for value in values {
        let mut json = String::new();
        write_value(&mut json, &value);
        assert_eq!(read_value(&json), value, "{json}");
    }
}

#[test]
fn another_class_is_refused_by_its_name() {
    let error = decode(
        br#"{"@class":"io.seata.rm.datasource.undo.BranchUndoLog","xid":"x","branchId":1,
        "sqlUndoLogs":["java.util.ArrayList",[]]}"#,
    );
    assert!(matches!(error, Err(DecodeError::Class { found, .. }) if found.starts_with("io.seata")));
}

#[test]
fn what_java_tolerates_is_tolerated() {
    let log = decode(
        br#" { "extra": 1, "branchId" : 7, "xid": "h:1:2",
        "sqlUndoLogs":["java.util.ArrayList",[{"sqlType":"INSERT","tableName":"t","beforeImage":null,
        "@class":"org.apache.seata.rm.datasource.undo.SQLUndoLog"}]],
        "@class":"org.apache.seata.rm.datasource.undo.BranchUndoLog" } "#,
    )
    .unwrap();
    assert_eq!((log.branch_id, log.sql_undo_logs.len()), (7, 1));
    assert_eq!(log.sql_undo_logs[0].before_image, None);
}

#[test]
fn an_exact_text_stands_beside_the_value() {
    let field = |exact: &str| {
        format!(
            r#"{{"@class":"org.apache.seata.rm.datasource.sql.struct.Field","name":"c","keyType":"NULL","type":92,"value":["java.sql.Time","13:14:15"]{exact}}}"#
        )
    };
    for (json, exact) in [("", None), (r#","exact":"13:14:15.123""#, Some("13:14:15.123"))] {
        let document = document(&field(json));
        let log = decode(document.as_bytes()).unwrap();
        let read = &log.sql_undo_logs[0].before_image.as_ref().unwrap().rows[0].fields[0];
        assert_eq!(read.exact.as_deref(), exact);
        assert_eq!(String::from_utf8(encode(&log)).unwrap(), document);
    }
    let of_another = decode(document(&field(r#","exact":7"#)).as_bytes()).unwrap();
    assert_eq!(of_another.sql_undo_logs[0].before_image.as_ref().unwrap().rows[0].fields[0].exact, None);
}

#[test]
fn a_value_that_java_cannot_have_written_stays_as_it_stands() {
    for json in [
        r#"["java.math.BigDecimal","abc"]"#,
        r#"["java.math.BigInteger",1.5]"#,
        r#"["java.sql.Timestamp",[0,1000000000]]"#,
        r#"["java.lang.Byte",200]"#,
        r#"["[B","*"]"#,
        "1e999",
        r#"{"@class":"org.postgresql.util.PGobject","value":"x"}"#,
        r#""\ud83d""#,
    ] {
        assert_eq!(read_value(json), Value::Other(json.to_owned()));
    }
}

/// A document with one field.
fn document(field: &str) -> String {
    [
        r#"{"@class":"org.apache.seata.rm.datasource.undo.BranchUndoLog","xid":"h:1:2","branchId":3,"#,
        r#""sqlUndoLogs":["java.util.ArrayList",[{"@class":"org.apache.seata.rm.datasource.undo.SQLUndoLog","#,
        r#""sqlType":"DELETE","tableName":"t","beforeImage":"#,
        r#"{"@class":"org.apache.seata.rm.datasource.sql.struct.TableRecords","tableName":"t","rows":["#,
        r#""java.util.ArrayList",[{"@class":"org.apache.seata.rm.datasource.sql.struct.Row","fields":["#,
        r#""java.util.ArrayList",["#,
        field,
        r#"]]}]]},"afterImage":null}]]}"#,
    ]
    .concat()
}
