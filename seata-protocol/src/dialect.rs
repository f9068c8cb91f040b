//! What releases of Seata write differently without saying so in a frame's header.

use crate::compress::Lz4Form;

/// The choices of a peer that its frames' headers do not tell. All of them are read; which to write is
/// known from what the peer sent, or else by its release.
///
/// ```
/// use seata_protocol::{Dialect, ProtobufPackage};
///
/// assert_eq!(Dialect::default(), Dialect::of_release("2.0.0"));
/// assert_eq!(Dialect::of_release("2.1.0").protobuf, ProtobufPackage::OrgApacheSeata);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The form of LZ4. Default: that of releases before 2.6.
    pub lz4: Lz4Form,
    /// The package that protobuf messages are named in. Default: that of releases before 2.1.
    pub protobuf: ProtobufPackage,
}

impl Dialect {
    /// The dialect of a release, from a version as peers send it at registration. A text that is no
    /// version is taken for an old release, as Java does.
    pub fn of_release(version: &str) -> Self {
        let mut numbers = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        let release: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self {
            lz4: if release < (2, 6) { Lz4Form::BlockStream } else { Lz4Form::Frame },
            protobuf: if release < (2, 1) {
                ProtobufPackage::IoSeata
            } else {
                ProtobufPackage::OrgApacheSeata
            },
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_known_by_its_version() {
        let old = Dialect::default();
        let apache = Dialect { protobuf: ProtobufPackage::OrgApacheSeata, ..old };
        let newest = Dialect { lz4: Lz4Form::Frame, ..apache };
        for (version, dialect) in [
            ("1.4.2", old),
            ("2.0.0", old),
            ("2.1.0-SNAPSHOT", apache),
            ("2.5.0", apache),
            ("2.6.0", newest),
            ("2.10.1", newest),
            ("3", newest),
            ("", old),
            ("newest", old),
        ] {
            assert_eq!(Dialect::of_release(version), dialect, "{version:?}");
        }
    }
}
