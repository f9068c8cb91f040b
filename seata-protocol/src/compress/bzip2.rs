//! A bzip2 stream without the "BZ" that it should start with: Java's writer and reader leave it to their
//! caller, and Seata does not add it.

use std::io::Read;

use bzip2::{Compression, bufread};

use super::output::{Failure, Output};

const LEFT_OUT: &[u8] = b"BZ";

pub(super) fn compress(body: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut encoder = bufread::BzEncoder::new(body, Compression::default());
    encoder.read_to_end(&mut compressed).expect("reading from memory does not fail");
    compressed.split_off(LEFT_OUT.len())
}

pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), Failure> {
    output.read_all(bufread::BzDecoder::new(LEFT_OUT.chain(body)))
}
