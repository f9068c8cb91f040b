//! The bytes of a connection, as they come.

use bytes::BytesMut;
use seata_protocol::{Frame, FrameDecoder, Limits};

/// The frames that these bytes are, which come in reads of a size that may cut them anywhere.
pub(crate) fn frames(bytes: &[u8], read: usize) -> Vec<Frame> {
    let mut decoder = FrameDecoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for read in bytes.chunks(read) {
        buffer.extend_from_slice(read);
        while let Some(frame) = decoder.next(&mut buffer).expect("good bytes") {
            frames.push(frame);
        }
    }
    assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
    frames
}

/// The one frame that these bytes are.
pub(crate) fn only_frame(bytes: &[u8]) -> Frame {
    let mut frames = frames(bytes, bytes.len());
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}
