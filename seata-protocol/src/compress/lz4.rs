//! LZ4 in both forms that Java peers write. Both are sequences of LZ4 blocks, whose frames differ; a
//! block's declared size bounds what it may give, and nothing is allocated for it that its compressed
//! bytes could not fill.

mod block_stream;
mod frame;

use super::{
    Lz4Form,
    output::{Failure, Output},
};

/// What LZ4 can make of one byte at the most.
const MAX_RATIO: usize = 255;
/// How far back a block may refer to the blocks before it.
const WINDOW: usize = 64 << 10;

pub(super) fn compress(form: Lz4Form, body: &[u8]) -> Vec<u8> {
    match form {
        Lz4Form::BlockStream => block_stream::compress(body),
        Lz4Form::Frame => frame::compress(body),
    }
}

pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), Failure> {
    match Lz4Form::of(body) {
        Some(Lz4Form::BlockStream) => block_stream::decompress(body, output),
        Some(Lz4Form::Frame) => frame::decompress(body, output),
        None => {
            Err(Failure::corrupt("it starts neither with \"LZ4Block\" nor with an LZ4 frame's magic number"))
        }
    }
}

/// Decompresses one block of at most `most` bytes; `linked` blocks refer to the output before them.
fn decompress_block(block: &[u8], most: usize, linked: bool, output: &mut Output) -> Result<(), Failure> {
    let room = output.room();
    // One byte more than there is room for tells "just full" from "too much".
    let size = most.min(block.len().saturating_mul(MAX_RATIO)).min(room.saturating_add(1));
    let mut plain = vec![0; size];
    let window = if linked { &output.bytes()[output.bytes().len().saturating_sub(WINDOW)..] } else { &[] };
    match lz4_flex::block::decompress_into_with_dict(block, &mut plain, window) {
        Ok(length) => output.extend(&plain[..length]),
        Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if size > room => Err(Failure::Full),
        Err(error) => Err(Failure::corrupt(format!("a block is broken: {error}"))),
    }
}

fn cut_short() -> Failure {
    Failure::corrupt("it is cut short")
}

/// Takes `length` bytes from the front.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Failure> {
    rest.split_off(..length).ok_or_else(cut_short)
}
