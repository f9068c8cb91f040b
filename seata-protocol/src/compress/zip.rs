//! The form that Java's ZIP compressor writes: the beginning of an archive, up to the end of its one
//! entry. The central directory, which readers of archives start from, is never written.
//!
//! ```text
//! local header: PK 03 04, version, flags, method, time, date, crc, sizes, name length, extra length
//! name, extra
//! deflated data
//! data descriptor: PK 07 08, crc, compressed size, size      (flags bit 3; crc and sizes above are 0 then)
//! ```

use std::io::Read;

use bytes::{Buf, BufMut};
use flate2::{Compression, Crc, bufread};

use super::output::{Failure, Output};

const LOCAL_HEADER: u32 = u32::from_be_bytes(*b"PK\x03\x04");
const DATA_DESCRIPTOR: u32 = u32::from_be_bytes(*b"PK\x07\x08");
const VERSION: u16 = 20;
const ENCRYPTED: u16 = 1;
const SIZES_FOLLOW: u16 = 1 << 3;
const NAME_IS_UTF8: u16 = 1 << 11;
const DEFLATED: u16 = 8;
/// The first day that the format can name: what is written depends on nothing but the body.
const DATE: u16 = 0x21;
const NAME: &[u8] = b"zip";

pub(super) fn compress(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(LOCAL_HEADER);
    out.put_u16_le(VERSION);
    out.put_u16_le(SIZES_FOLLOW | NAME_IS_UTF8);
    out.put_u16_le(DEFLATED);
    out.put_u16_le(0);
    out.put_u16_le(DATE);
    out.put_bytes(0, 12);
    out.put_u16_le(NAME.len() as u16);
    out.put_u16_le(0);
    out.put_slice(NAME);

    let start = out.len();
    let mut encoder = bufread::DeflateEncoder::new(body, Compression::default());
    encoder.read_to_end(&mut out).expect("reading from memory does not fail");
    let compressed_size = out.len() - start;

    out.put_u32(DATA_DESCRIPTOR);
    out.put_u32_le(checksum(body));
    out.put_u32_le(compressed_size as u32);
    out.put_u32_le(body.len() as u32);
    out
}

pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), Failure> {
    let mut rest = body;
    let header = LocalHeader::read(&mut rest).ok_or_else(|| cut_short("local header"))?;
    if header.signature != LOCAL_HEADER {
        return Err(Failure::corrupt("it does not start with a local header, \"PK\" 3 4"));
    }
    if header.flags & ENCRYPTED != 0 {
        return Err(Failure::corrupt("its entry is encrypted"));
    }
    if header.method != DEFLATED {
        let reason = format!("its entry has method {}, expected {DEFLATED}, deflated", header.method);
        return Err(Failure::corrupt(reason));
    }

    let mut decoder = bufread::DeflateDecoder::new(rest);
    output.read_all(&mut decoder)?;
    let mut rest = decoder.into_inner();
    let expected = if header.flags & SIZES_FOLLOW == 0 {
        header.crc
    } else {
        read_descriptor(&mut rest).ok_or_else(|| cut_short("data descriptor"))?
    };
    let found = checksum(output.bytes());
    if found != expected {
        let reason = format!("the checksum of its data is {found:08x}, expected {expected:08x}");
        return Err(Failure::corrupt(reason));
    }
    Ok(())
}

struct LocalHeader {
    signature: u32,
    flags: u16,
    method: u16,
    crc: u32,
}

impl LocalHeader {
    /// Takes the header, the name and the extra field; `None` if they are cut short.
    fn read(rest: &mut &[u8]) -> Option<Self> {
        let signature = rest.try_get_u32().ok()?;
        let _version = rest.try_get_u16_le().ok()?;
        let flags = rest.try_get_u16_le().ok()?;
        let method = rest.try_get_u16_le().ok()?;
        let _time_and_date = rest.try_get_u32_le().ok()?;
        let crc = rest.try_get_u32_le().ok()?;
        let _sizes = rest.try_get_u64_le().ok()?;
        let name = rest.try_get_u16_le().ok()?;
        let extra = rest.try_get_u16_le().ok()?;
        *rest = rest.get(usize::from(name) + usize::from(extra)..)?;
        Some(Self { signature, flags, method, crc })
    }
}

/// The checksum in the data descriptor, whose signature is optional; `None` if it is cut short.
fn read_descriptor(rest: &mut &[u8]) -> Option<u32> {
    if rest.starts_with(&DATA_DESCRIPTOR.to_be_bytes()) {
        rest.advance(4);
    }
    rest.try_get_u32_le().ok()
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn cut_short(part: &str) -> Failure {
    Failure::corrupt(format!("its {part} is cut short"))
}
