//! What releases of Seata write differently without saying so in a frame's header.

use crate::compress::Lz4Form;

/// The choices of a peer that its frames' headers do not tell. All of them are read. What to write is known
/// from what the peer sent: a header that a [`FrameDecoder`](crate::FrameDecoder) gives has seen it, and its
/// [`reply`](crate::Header::reply) repeats it. Before that, the peer's release tells.
///
/// ```
/// use seata_protocol::{Dialect, ProtobufPackage, Release};
///
/// assert_eq!(Dialect::default(), Release::of("2.0.0").dialect());
/// assert_eq!(Release::of("2.1.0").dialect().protobuf, ProtobufPackage::OrgApacheSeata);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The form of LZ4. Default: that of releases before 2.6.
    pub lz4: Lz4Form,
    /// The package that protobuf messages are named in. Default: that of releases before 2.1.
    pub protobuf: ProtobufPackage,
}

impl Dialect {
    /// The default, for constants.
    pub(crate) const fn new() -> Self {
        Self { lz4: Lz4Form::BlockStream, protobuf: ProtobufPackage::IoSeata }
    }
}

/// The package that a release's protobuf messages are named in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProtobufPackage {
    /// `io.seata.protocol.protobuf`, as up to Seata 2.0.
    #[default]
    IoSeata,
    /// `org.apache.seata.protocol.protobuf`, as from Seata 2.1 on.
    OrgApacheSeata,
}

impl ProtobufPackage {
    /// Its name, with the dot that joins it to a message's.
    #[cfg(feature = "protobuf")]
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::IoSeata => "io.seata.protocol.protobuf.",
            Self::OrgApacheSeata => "org.apache.seata.protocol.protobuf.",
        }
    }
}
