//! Undo logs that Java's resource manager really wrote.

use std::path::Path;

use seata_sqlx::undo::{self, Context, DecodeError, Value, Zone};

#[test]
fn javas_undo_logs_are_read_and_written_byte_for_byte() {
    let mut seen = 0;
    for database in ["mysql", "mariadb", "postgresql", "classes"] {
        for entry in std::fs::read_dir(golden(database)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            if bytes == b"{}" {
                continue; // a defence row
            }
            let log = undo::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(!log.sql_undo_logs.is_empty(), "{}", path.display());
            let again = String::from_utf8(undo::encode(&log)).unwrap();
            assert_eq!(again, String::from_utf8(bytes).unwrap(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 80, "only {seen} files were found");
}

#[test]
fn rows_of_every_compressor_of_java_are_read() {
    let plain = undo::decode(&file("compressors/types_delete.plain.json")).unwrap();
    let compressors: &[&str] = if cfg!(feature = "compressors") {
        &["zip", "gzip", "deflater", "bzip2", "lz4", "zstd"]
    } else {
        &["zip"]
    };
    for name in compressors {
        let context = Context::parse(&format!("serializer=jackson&compressorType={name}&map=")).unwrap();
        let content = file(&format!("compressors/types_delete.{name}.bin"));
        let log = undo::read(&context, content, Vec::new(), undo::MAX_LOG).unwrap();
        assert_eq!(log.sql_undo_logs, plain.sql_undo_logs, "{name}");
    }
    let context = Context::parse("compressorType=ZIP").unwrap();
    let big = undo::read(&context, file("compressors/big.zip.bin"), Vec::new(), undo::MAX_LOG).unwrap();
    assert!(undo::encode(&big).len() > 160_000);
}

#[test]
fn what_is_not_read_is_told_with_its_writer() {
    for name in ["fastjson", "kryo", "protostuff"] {
        let error =
            Context::parse(&format!("serializer={name}&compressorType=NONE")).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("jackson"), "{error}");
    }
    let of_go = undo::decode(&file("serializers/seata_go_update.json"));
    assert!(matches!(of_go, Err(DecodeError::NoClasses)), "{of_go:?}");
    for name in ["fastjson_types_insert.json", "kryo_types_insert.bin", "protostuff_types_insert.bin"] {
        let of_another = undo::decode(&file(&format!("serializers/{name}")));
        assert!(matches!(of_another, Err(DecodeError::Json(_))), "{name}: {of_another:?}");
    }
}

#[test]
fn a_row_reads_the_same_in_the_zone_of_its_writer() {
    let readings = |name: &str, zone: &Zone| -> Vec<(String, String)> {
        let log = undo::decode(&file(name)).unwrap();
        let row = &log.sql_undo_logs[0].before_image.as_ref().unwrap().rows[0];
        let timed = row.fields.iter().filter(|field| {
            matches!(field.value, Value::Date(_) | Value::Timestamp(_) | Value::LocalDateTime(_))
        });
        timed.map(|field| (field.name.clone(), field.value.java_text(zone))).collect()
    };
    let utc = readings("timezone/types_delete.utc.json", &Zone::utc());
    let shanghai = Zone::named("Asia/Shanghai").unwrap();
    assert_eq!(readings("timezone/types_delete.asia_shanghai.json", &shanghai), utc);
    assert!(utc.contains(&("c_date".to_owned(), "2024-02-29".to_owned())));
    assert!(utc.contains(&("c_datetime6".to_owned(), "2024-02-29T13:14:15.123456".to_owned())));
    assert!(utc.contains(&("c_ts6".to_owned(), "2024-02-29 13:14:15.123456".to_owned())));
    assert!(utc.contains(&("c_year".to_owned(), "2024-01-01".to_owned())));
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/undo").join(name)
}
