//! A zlib stream, as `java.util.zip.Deflater` writes it.

use std::io::Read;

use flate2::{Compression, bufread};

use super::output::{Failure, Output};

pub(super) fn compress(body: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut encoder = bufread::ZlibEncoder::new(body, Compression::default());
    encoder.read_to_end(&mut compressed).expect("reading from memory does not fail");
    compressed
}

pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), Failure> {
    output.read_all(bufread::ZlibDecoder::new(body))
}
