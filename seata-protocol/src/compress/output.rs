//! Where decompressed bytes are collected: it grows with what comes, and is full at a limit.

use bytes::Bytes;

use super::CompressError;
use crate::Compressor;

/// Runs a decompressor into an output of at most `limit` bytes.
pub(super) fn collect(
    compressor: Compressor,
    limit: usize,
    decompress: impl FnOnce(&mut Output) -> Result<(), Failure>,
) -> Result<Bytes, CompressError> {
    let mut output = Output { bytes: Vec::new(), limit };
    match decompress(&mut output) {
        Ok(()) => Ok(output.bytes.into()),
        Err(Failure::Full) => Err(CompressError::TooLong { limit }),
        Err(Failure::Corrupt(reason)) => Err(CompressError::Corrupt { compressor, reason }),
    }
}

/// The bytes that came out so far.
pub(super) struct Output {
    bytes: Vec<u8>,
    limit: usize,
}

impl Output {
    /// All bytes so far.
    #[cfg(any(feature = "zip", feature = "lz4"))]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes may still come.
    #[cfg(feature = "lz4")]
    pub(super) fn room(&self) -> usize {
        self.limit - self.bytes.len()
    }

    /// Takes these bytes in, if there is room for all of them.
    #[cfg(feature = "lz4")]
    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > self.room() {
            return Err(Failure::Full);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes in all that a reader gives.
    #[cfg(any(feature = "gzip", feature = "zip", feature = "bzip2", feature = "deflate", feature = "zstd"))]
    pub(super) fn read_all(&mut self, reader: impl std::io::Read) -> Result<(), Failure> {
        use std::io::Read;

        // One byte more than the limit tells "just full" from "too much".
        let most = (self.limit as u64).saturating_add(1);
        match reader.take(most).read_to_end(&mut self.bytes) {
            Ok(_) if self.bytes.len() > self.limit => Err(Failure::Full),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::Corrupt(error.to_string())),
        }
    }
}

/// Why decompression stopped.
pub(super) enum Failure {
    /// The output is at its limit, and more came.
    Full,
    /// The input is not what the compressor writes.
    Corrupt(String),
}

impl Failure {
    /// The input is not what the compressor writes, for this reason.
    #[cfg(any(feature = "zip", feature = "lz4", feature = "zstd"))]
    pub(super) fn corrupt(reason: impl Into<String>) -> Self {
        Self::Corrupt(reason.into())
    }
}
