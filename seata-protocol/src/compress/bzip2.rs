//! A bzip2 stream without the "BZ" that it should start with: Java's writer and reader leave it to their
//! caller, and Seata does not add it.

use std::io::Read;

use bzip2::{Compression, bufread};

use super::output::{Failure, Output};

const LEFT_OUT: &[u8] = b"BZ";
/// Blocks are up to 9 times this long.
const BLOCK_STEP: usize = 100_000;

pub(super) fn compress(body: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    // Both sides allocate a block before anything else: none larger than the body needs.
    let blocks = body.len().div_ceil(BLOCK_STEP).clamp(1, 9);
    let mut encoder = bufread::BzEncoder::new(body, Compression::new(blocks as u32));
    encoder.read_to_end(&mut compressed).expect("reading from memory does not fail");
    compressed.split_off(LEFT_OUT.len())
}

pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), Failure> {
    output.read_all(bufread::BzDecoder::new(LEFT_OUT.chain(body)))
}
