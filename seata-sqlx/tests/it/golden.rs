//! Undo logs that Java's resource manager really wrote.

use std::path::Path;

use seata_sqlx::undo;

#[test]
fn javas_undo_logs_are_read_and_written_byte_for_byte() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/undo");
    let mut seen = 0;
    for database in ["mysql", "mariadb", "postgresql", "classes"] {
        for entry in std::fs::read_dir(root.join(database)).unwrap() {
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
