//! The block stream of lz4-java, as Seata up to 2.5 writes it.
//!
//! ```text
//! "LZ4Block", token, compressed size, size, checksum, data      all numbers little-endian, 32 bits
//! token: high half how (1 stored, 2 compressed), low half the largest block as 2^(10 + n) bytes
//! the last block has no data, and its sizes and checksum are 0
//! ```

use bytes::{Buf, BufMut};
use twox_hash::XxHash32;

use super::{cut_short, decompress_block, take};
use crate::compress::{
    Lz4Form,
    output::{Failure, Output},
};

const MAGIC: &[u8] = Lz4Form::BLOCK_STREAM_MAGIC;
const STORED: u8 = 0x10;
const COMPRESSED: u8 = 0x20;
const METHOD: u8 = 0xf0;
const SMALLEST_MAX_BLOCK_BITS: u8 = 10;
/// Seata's own; the token says it as 2^(10 + 0).
const MAX_BLOCK: usize = 1 << SMALLEST_MAX_BLOCK_BITS;
/// lz4-java's.
const SEED: u32 = 0x9747_b28c;
/// lz4-java keeps this much of the checksum.
const CHECKSUM: u32 = 0x0fff_ffff;

pub(super) fn compress(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for block in body.chunks(MAX_BLOCK) {
        let compressed = lz4_flex::block::compress(block);
        if compressed.len() < block.len() {
            write_block(&mut out, COMPRESSED, &compressed, block.len(), checksum(block));
        } else {
            write_block(&mut out, STORED, block, block.len(), checksum(block));
        }
    }
    write_block(&mut out, STORED, &[], 0, 0);
    out
}

pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), Failure> {
    let mut rest = body;
    while !read_block(&mut rest, output)? {}
    Ok(())
}

fn write_block(out: &mut Vec<u8>, method: u8, data: &[u8], size: usize, checksum: u32) {
    out.put_slice(MAGIC);
    out.put_u8(method);
    out.put_u32_le(data.len() as u32);
    out.put_u32_le(size as u32);
    out.put_u32_le(checksum);
    out.put_slice(data);
}

/// Takes one block; true if it was the last.
fn read_block(rest: &mut &[u8], output: &mut Output) -> Result<bool, Failure> {
    if take(rest, MAGIC.len())? != MAGIC {
        return Err(Failure::corrupt("a block does not start with \"LZ4Block\""));
    }
    let token = rest.try_get_u8().map_err(|_| cut_short())?;
    let compressed_size = rest.try_get_u32_le().map_err(|_| cut_short())? as usize;
    let size = rest.try_get_u32_le().map_err(|_| cut_short())? as usize;
    let expected = rest.try_get_u32_le().map_err(|_| cut_short())?;
    let data = take(rest, compressed_size)?;
    if size == 0 {
        return if data.is_empty() { Ok(true) } else { Err(lies(token, compressed_size, size)) };
    }

    let max_block = 1 << (SMALLEST_MAX_BLOCK_BITS + (token & !METHOD));
    let start = output.bytes().len();
    match token & METHOD {
        STORED if compressed_size == size && size <= max_block => output.extend(data)?,
        COMPRESSED if size <= max_block => decompress_block(data, size, false, output)?,
        _ => return Err(lies(token, compressed_size, size)),
    }
    let block = &output.bytes()[start..];
    let found = checksum(block);
    if block.len() != size {
        return Err(Failure::corrupt(format!("a block declares {size} bytes and has {}", block.len())));
    }
    if found != expected {
        let reason = format!("the checksum of a block is {found:08x}, expected {expected:08x}");
        return Err(Failure::corrupt(reason));
    }
    Ok(false)
}

fn checksum(block: &[u8]) -> u32 {
    XxHash32::oneshot(SEED, block) & CHECKSUM
}

fn lies(token: u8, compressed_size: usize, size: usize) -> Failure {
    Failure::corrupt(format!(
        "a block's token {token:#04x} does not go with its sizes, {compressed_size} and {size}"
    ))
}
