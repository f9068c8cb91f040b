//! Compressed bodies, each in exactly the form that Java peers write and read.
//!
//! A compressor is there when its feature is on; one that is not is refused by name. What a peer says
//! about sizes is never believed: memory grows with what really comes out, up to the caller's limit.
//!
//! | compressor | feature | form |
//! |---|---|---|
//! | gzip | `gzip` | one gzip member |
//! | zip | `zip` | one local entry named "zip" with a data descriptor, and no central directory |
//! | bzip2 | `bzip2` | a bzip2 stream without its first two bytes, "BZ" |
//! | lz4 | `lz4` | one of two, see [`Lz4Form`] |
//! | deflater | `deflate` | a zlib stream |
//! | zstd | `zstd` | one frame |
//!
//! ```
//! # #[cfg(feature = "gzip")] {
//! use seata_protocol::{Compressor, compress::{compress, decompress}};
//!
//! let body = vec![7; 10_000];
//! let small = compress(Compressor::Gzip, &body)?;
//! assert!(small.len() < 100);
//! assert_eq!(decompress(Compressor::Gzip, small, 1 << 20)?, body);
//! # }
//! # Ok::<(), seata_protocol::compress::CompressError>(())
//! ```

#[cfg(feature = "bzip2")]
mod bzip2;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(any(
    feature = "bzip2",
    feature = "deflate",
    feature = "gzip",
    feature = "lz4",
    feature = "zip",
    feature = "zstd"
))]
mod output;
#[cfg(feature = "zip")]
mod zip;
#[cfg(feature = "zstd")]
mod zstd;

use bytes::Bytes;

use crate::Compressor;

/// The body as `compressor` writes it; LZ4 as a [block stream](Lz4Form::BlockStream), which
/// [`compress_as`] lets choose.
///
/// # Errors
/// When the compressor is none of this crate's, or its feature is off.
pub fn compress(compressor: Compressor, body: &[u8]) -> Result<Bytes, CompressError> {
    compress_as(compressor, Lz4Form::default(), body)
}

/// The body as `compressor` writes it, LZ4 in the given form. An answer takes the form of its request,
/// which [`Lz4Form::of`] tells.
///
/// # Errors
/// As [`compress`].
pub fn compress_as(compressor: Compressor, lz4_form: Lz4Form, body: &[u8]) -> Result<Bytes, CompressError> {
    let _ = lz4_form;
    match compressor {
        Compressor::None => Ok(Bytes::copy_from_slice(body)),
        #[cfg(feature = "gzip")]
        Compressor::Gzip => Ok(gzip::compress(body).into()),
        #[cfg(feature = "zip")]
        Compressor::Zip => Ok(zip::compress(body).into()),
        #[cfg(feature = "bzip2")]
        Compressor::Bzip2 => Ok(bzip2::compress(body).into()),
        #[cfg(feature = "lz4")]
        Compressor::Lz4 => Ok(lz4::compress(lz4_form, body).into()),
        #[cfg(feature = "deflate")]
        Compressor::Deflater => Ok(deflate::compress(body).into()),
        #[cfg(feature = "zstd")]
        Compressor::Zstd => Ok(zstd::compress(body).into()),
        missing => Err(CompressError::refused(missing)),
    }
}

/// The body that `compressor` made these bytes of, at most `limit` bytes of it. Without a compressor it
/// is the input itself, not a copy.
///
/// # Errors
/// When the compressor is none of this crate's, its feature is off, the bytes are damaged or cut short,
/// or the body is longer than `limit`.
pub fn decompress(compressor: Compressor, bytes: Bytes, limit: usize) -> Result<Bytes, CompressError> {
    match compressor {
        Compressor::None if bytes.len() > limit => Err(CompressError::TooLong { limit }),
        Compressor::None => Ok(bytes),
        #[cfg(feature = "gzip")]
        Compressor::Gzip => output::collect(compressor, limit, |output| gzip::decompress(&bytes, output)),
        #[cfg(feature = "zip")]
        Compressor::Zip => output::collect(compressor, limit, |output| zip::decompress(&bytes, output)),
        #[cfg(feature = "bzip2")]
        Compressor::Bzip2 => output::collect(compressor, limit, |output| bzip2::decompress(&bytes, output)),
        #[cfg(feature = "lz4")]
        Compressor::Lz4 => output::collect(compressor, limit, |output| lz4::decompress(&bytes, output)),
        #[cfg(feature = "deflate")]
        Compressor::Deflater => {
            output::collect(compressor, limit, |output| deflate::decompress(&bytes, output))
        }
        #[cfg(feature = "zstd")]
        Compressor::Zstd => output::collect(compressor, limit, |output| zstd::decompress(&bytes, output)),
        missing => Err(CompressError::refused(missing)),
    }
}

/// The two ways in which Java peers write LZ4. Neither reads the other; this crate reads both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lz4Form {
    /// Blocks of 1 KiB, each after the word "LZ4Block", as up to Seata 2.5.
    #[default]
    BlockStream,
    /// The LZ4 frame format, as from Seata 2.6 on.
    Frame,
}

impl Lz4Form {
    const BLOCK_STREAM_MAGIC: &'static [u8] = b"LZ4Block";
    const FRAME_MAGIC: &'static [u8] = &[0x04, 0x22, 0x4d, 0x18];

    /// The form of what a peer sent, told by its first bytes; `None` if it is not LZ4.
    ///
    /// ```
    /// use seata_protocol::compress::Lz4Form;
    ///
    /// assert_eq!(Lz4Form::of(b"LZ4Block\x10"), Some(Lz4Form::BlockStream));
    /// assert_eq!(Lz4Form::of(b"\x04\x22\x4d\x18\x60"), Some(Lz4Form::Frame));
    /// ```
    pub fn of(body: &[u8]) -> Option<Self> {
        if body.starts_with(Self::BLOCK_STREAM_MAGIC) {
            Some(Self::BlockStream)
        } else if body.starts_with(Self::FRAME_MAGIC) {
            Some(Self::Frame)
        } else {
            None
        }
    }
}

/// Why a body can be neither compressed nor decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompressError {
    /// This crate has no such compressor; Java has none under this number either.
    #[error(
        "compressor {compressor} is not supported: set the peer to gzip, zip, bzip2, lz4, deflater, zstd or none"
    )]
    Unsupported {
        /// The compressor.
        compressor: Compressor,
    },
    /// This build has no such compressor.
    #[error("compressor {compressor} needs the feature {feature:?} of seata-protocol: switch it on")]
    FeatureOff {
        /// The compressor.
        compressor: Compressor,
        /// The feature to switch on.
        feature: &'static str,
    },
    /// The bytes are not what this compressor writes, or are cut short.
    #[error("the bytes are no {compressor} data: {reason}")]
    Corrupt {
        /// The compressor.
        compressor: Compressor,
        /// What was found.
        reason: String,
    },
    /// The body is too long once it is decompressed.
    #[error("the body has more than {limit} bytes once decompressed: raise the limit, or send less")]
    TooLong {
        /// [`Limits::decompressed`](crate::Limits::decompressed).
        limit: usize,
    },
}

impl CompressError {
    fn refused(compressor: Compressor) -> Self {
        let feature = match compressor {
            Compressor::Gzip => "gzip",
            Compressor::Zip => "zip",
            Compressor::Bzip2 => "bzip2",
            Compressor::Lz4 => "lz4",
            Compressor::Deflater => "deflate",
            Compressor::Zstd => "zstd",
            compressor => return Self::Unsupported { compressor },
        };
        Self::FeatureOff { compressor, feature }
    }
}

#[cfg(test)]
mod tests;
