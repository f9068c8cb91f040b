//! The LZ4 frame format, as Seata from 2.6 on writes it (blocks independent, no checksums but the
//! header's). On reading, all that the format has but dictionaries.
//!
//! ```text
//! 04 22 4d 18, flags, block sizes, [content size: 8], [dictionary: 4], header checksum: 1
//! blocks: size (highest bit: stored), data, [checksum]; the last is a size of 0
//! [content checksum: 4]                                       all numbers little-endian
//! ```

use bytes::{Buf, BufMut};
use twox_hash::XxHash32;

use super::{cut_short, decompress_block, take};
use crate::compress::{
    Lz4Form,
    output::{Failure, Output},
};

const MAGIC: &[u8] = Lz4Form::FRAME_MAGIC;
const VERSION: u8 = 0b01 << 6;
const VERSION_BITS: u8 = 0b11 << 6;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const DICTIONARY: u8 = 1;
/// Blocks of at most 4 MiB, the largest there are.
const MAX_BLOCK_CODE: u8 = 7;
const MAX_BLOCK: usize = 4 << 20;
const STORED: u32 = 1 << 31;
const SEED: u32 = 0;

pub(super) fn compress(body: &[u8]) -> Vec<u8> {
    let header = [VERSION | INDEPENDENT, MAX_BLOCK_CODE << 4];
    let mut out = Vec::new();
    out.put_slice(MAGIC);
    out.put_slice(&header);
    out.put_u8(header_checksum(&header));
    for block in body.chunks(MAX_BLOCK) {
        let compressed = lz4_flex::block::compress(block);
        if compressed.len() < block.len() {
            out.put_u32_le(compressed.len() as u32);
            out.put_slice(&compressed);
        } else {
            out.put_u32_le(block.len() as u32 | STORED);
            out.put_slice(block);
        }
    }
    out.put_u32_le(0);
    out
}

pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), Failure> {
    let mut rest = body;
    let header = Header::read(&mut rest)?;
    while let Some((size, stored)) = read_block_size(&mut rest)? {
        if size > header.max_block {
            let reason = format!("a block has {size} bytes, and the header allows {}", header.max_block);
            return Err(Failure::corrupt(reason));
        }
        let data = take(&mut rest, size)?;
        if header.has(BLOCK_CHECKSUMS) {
            check("a block", data, &mut rest)?;
        }
        if stored {
            output.extend(data)?;
        } else {
            decompress_block(data, header.max_block, !header.has(INDEPENDENT), output)?;
        }
    }
    if header.has(CONTENT_CHECKSUM) {
        check("the content", output.bytes(), &mut rest)?;
    }
    match header.content_size {
        Some(declared) if declared != output.bytes().len() as u64 => {
            Err(Failure::corrupt(format!("it declares {declared} bytes and has {}", output.bytes().len())))
        }
        _ => Ok(()),
    }
}

struct Header {
    flags: u8,
    max_block: usize,
    content_size: Option<u64>,
}

impl Header {
    fn read(rest: &mut &[u8]) -> Result<Self, Failure> {
        take(rest, MAGIC.len())?;
        let start = *rest;
        let flags = rest.try_get_u8().map_err(|_| cut_short())?;
        let block_sizes = rest.try_get_u8().map_err(|_| cut_short())?;
        if flags & VERSION_BITS != VERSION || flags & DICTIONARY != 0 {
            let reason = format!("its flags are {flags:#04x}, expected version 1 and no dictionary");
            return Err(Failure::corrupt(reason));
        }
        let max_block = match block_sizes >> 4 {
            code @ 4..=MAX_BLOCK_CODE => 1 << (8 + 2 * code),
            code => return Err(Failure::corrupt(format!("its block size {code} is none of 4 to 7"))),
        };
        let content_size = match flags & CONTENT_SIZE {
            0 => None,
            _ => Some(rest.try_get_u64_le().map_err(|_| cut_short())?),
        };
        let header = &start[..start.len() - rest.len()];
        if rest.try_get_u8().map_err(|_| cut_short())? != header_checksum(header) {
            return Err(Failure::corrupt("the checksum of its header is wrong"));
        }
        Ok(Self { flags, max_block, content_size })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The size of the next block, and whether it is stored; `None` at the end.
fn read_block_size(rest: &mut &[u8]) -> Result<Option<(usize, bool)>, Failure> {
    let size = rest.try_get_u32_le().map_err(|_| cut_short())?;
    Ok((size != 0).then_some(((size & !STORED) as usize, size & STORED != 0)))
}

fn check(what: &str, data: &[u8], rest: &mut &[u8]) -> Result<(), Failure> {
    let expected = rest.try_get_u32_le().map_err(|_| cut_short())?;
    let found = XxHash32::oneshot(SEED, data);
    if found != expected {
        let reason = format!("the checksum of {what} is {found:08x}, expected {expected:08x}");
        return Err(Failure::corrupt(reason));
    }
    Ok(())
}

fn header_checksum(header: &[u8]) -> u8 {
    (XxHash32::oneshot(SEED, header) >> 8) as u8
}
