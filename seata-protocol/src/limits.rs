//! How much of what a peer says is believed.

/// Sizes above which bytes are refused, before memory is spent on them.
///
/// The defaults are what Java peers can send. A server that faces strangers may take less.
///
/// ```
/// use seata_protocol::Limits;
///
/// let limits = Limits { merged: 1000, ..Limits::default() };
/// assert_eq!(limits.frame, 8 * 1024 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame in bytes, header included. Default: 8 MiB, which is Java's.
    pub frame: usize,
    /// The longest text in a message in bytes. Default: 8 MiB, so only the frame's own limit counts.
    pub text: usize,
    /// The most messages in a merged one, each of which takes some 200 bytes of memory, however short it came.
    /// Default: 32767, the most that its count can say.
    pub merged: usize,
    /// The longest body in bytes once it is decompressed. Default: 8 MiB.
    pub decompressed: usize,
}

impl Limits {
    /// The longest frame that Java peers take, in bytes. Nothing longer is ever written.
    pub const MAX_FRAME: usize = 8 * 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: Self::MAX_FRAME,
            text: Self::MAX_FRAME,
            merged: i16::MAX as usize,
            decompressed: Self::MAX_FRAME,
        }
    }
}
