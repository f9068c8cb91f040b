//! One zstd frame. It declares its content's size, without which Java peers up to 2.2 cannot read it; on
//! reading, a declared size is nothing but a claim (CVE-2024-54016 came from believing it).

use ruzstd::{
    decoding::StreamingDecoder,
    encoding::{CompressionLevel, compress_to_vec},
};

use super::output::{Failure, Output};

/// The largest window that a frame may ask for, which is also what RFC 8878 asks of every decoder. It is
/// reserved, but takes no memory before it is written to.
const MAX_WINDOW: u64 = 8 << 20;

/// Magic number, then one byte that describes the header, then the window's size.
const DESCRIPTOR: usize = 4;
const CONTENT_SIZE: usize = 6;
const HAS_4_BYTE_CONTENT_SIZE: u8 = 2 << 6;

pub(super) fn compress(body: &[u8]) -> Vec<u8> {
    let mut frame = compress_to_vec(body, CompressionLevel::Fastest);
    // The encoder never writes the size, as it reads from a stream; here it is known.
    frame[DESCRIPTOR] |= HAS_4_BYTE_CONTENT_SIZE;
    frame.splice(CONTENT_SIZE..CONTENT_SIZE, (body.len() as u32).to_le_bytes());
    frame
}

pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), Failure> {
    let mut reader = StreamingDecoder::new_with_max_window_size(body, MAX_WINDOW)
        .map_err(|error| Failure::corrupt(error.to_string()))?;
    output.read_all(&mut reader)?;
    // The reader leaves this to its caller; most frames have no checksum.
    let (expected, found) =
        (reader.decoder.get_checksum_from_data(), reader.decoder.get_calculated_checksum());
    if expected.is_some() && expected != found {
        return Err(Failure::corrupt("the checksum of its content is wrong"));
    }
    Ok(())
}
