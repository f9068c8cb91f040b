//! Runs what fuzzing has collected through the functions of its targets.

use std::{fs, path::Path};

// There it is a library, whose functions are public.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn frames() {
    replay("frames", targets::frames);
}

#[test]
fn seata_body() {
    replay("seata_body", targets::seata_body);
}

#[cfg(feature = "protobuf")]
#[test]
fn protobuf_body() {
    replay("protobuf_body", targets::protobuf_body);
}

/// A compressor that is not built in is refused, which holds as well.
#[test]
fn decompress() {
    replay("decompress", targets::decompress);
}

#[test]
fn lock_key() {
    replay("lock_key", targets::lock_key);
}

fn replay(corpus: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(corpus);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut replayed = 0;
    for file in files {
        let path = file.expect("an entry").path();
        let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.display().to_string();
        std::panic::catch_unwind(|| target(&data)).unwrap_or_else(|_| panic!("{name} is a finding"));
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", directory.display());
}
