//! The `protobuf` codec, which Java clients and servers offer beside their own.
//!
//! A body is the length of a name in 32 bits, the full name of the protobuf message, and its bytes. The
//! name's package differs between releases: both are read, and [`encode_as`] chooses what is written.
//!
//! Seata's `.proto` files have no number for branch type XA, nor for several statuses and exception
//! codes; a message with one of them is refused, as Java refuses it.

mod codes;
mod decode;
mod encode;
mod wire;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{DecodeError, Decoded, EncodeError, Limits, Message, ProtobufPackage};

/// What stands before a full name where a message holds messages.
const ANY: &str = "type.googleapis.com/";

/// Appends the body of a message, named as releases up to 2.0 name it. On an error `out` holds what it
/// held before.
///
/// # Errors
/// When protobuf cannot say it.
pub fn encode(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    encode_as(ProtobufPackage::default(), message, out)
}

/// Appends the body of a message, named in this package. An answer takes the package of its request,
/// which [`package_of`] tells.
///
/// # Errors
/// As [`encode`].
pub fn encode_as(package: ProtobufPackage, message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    let (prefix, name) = (package.prefix(), name(message));
    let start = out.len();
    out.put_u32((prefix.len() + name.len()) as u32);
    out.put_slice(prefix.as_bytes());
    out.put_slice(name.as_bytes());
    let written = encode::content(message, package, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Reads the message that a body holds, in either package.
///
/// # Errors
/// When the body holds none, or more than `limits` allow.
pub fn decode(body: Bytes, limits: &Limits) -> Result<Decoded, DecodeError> {
    let (name, bytes) = split_body(&body)?;
    let name = String::from_utf8_lossy(name);
    let Some((_, type_code, name)) = split_name(&name) else {
        return Err(DecodeError::Protobuf { reason: format!("no message is named {name:?}") });
    };
    let message = decode::content(type_code, name, body.slice_ref(bytes), limits)?;
    Ok(Decoded { message, trailing: 0 })
}

/// The package of the message that a body holds; `None` if it holds none of Seata's.
pub fn package_of(body: &[u8]) -> Option<ProtobufPackage> {
    let (name, _) = split_body(body).ok()?;
    let (package, ..) = split_name(std::str::from_utf8(name).ok()?)?;
    Some(package)
}

/// The name in front of a body, and the rest.
fn split_body(body: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let cut_short = |field, missing| DecodeError::CutShort { message: "a protobuf message", field, missing };
    let mut rest = body;
    let length =
        rest.try_get_u32().map_err(|_| cut_short("name length", size_of::<u32>() - body.len()))? as usize;
    rest.split_at_checked(length).ok_or_else(|| cut_short("name", length - rest.len()))
}

/// The package, type code and Java name that a full name stands for.
fn split_name(full: &str) -> Option<(ProtobufPackage, i16, &'static str)> {
    let packages = [ProtobufPackage::IoSeata, ProtobufPackage::OrgApacheSeata];
    let (package, name) =
        packages.into_iter().find_map(|package| Some((package, full.strip_prefix(package.prefix())?)))?;
    NAMES
        .iter()
        .find(|(_, proto)| *proto == name)
        .and_then(|(code, _)| Some((package, *code, Message::name_of(*code)?)))
}

/// The name of a message within its package.
fn name(message: &Message) -> &'static str {
    let code = message.type_code();
    NAMES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name).expect("every message has a name")
}

/// Type codes and names, those first that come most often.
const NAMES: [(i16, &str); 28] = [
    (1, "GlobalBeginRequestProto"),
    (2, "GlobalBeginResponseProto"),
    (11, "BranchRegisterRequestProto"),
    (12, "BranchRegisterResponseProto"),
    (7, "GlobalCommitRequestProto"),
    (8, "GlobalCommitResponseProto"),
    (3, "BranchCommitRequestProto"),
    (4, "BranchCommitResponseProto"),
    (9, "GlobalRollbackRequestProto"),
    (10, "GlobalRollbackResponseProto"),
    (5, "BranchRollbackRequestProto"),
    (6, "BranchRollbackResponseProto"),
    (13, "BranchReportRequestProto"),
    (14, "BranchReportResponseProto"),
    (15, "GlobalStatusRequestProto"),
    (16, "GlobalStatusResponseProto"),
    (17, "GlobalReportRequestProto"),
    (18, "GlobalReportResponseProto"),
    (21, "GlobalLockQueryRequestProto"),
    (22, "GlobalLockQueryResponseProto"),
    (59, "MergedWarpMessageProto"),
    (60, "MergedResultMessageProto"),
    (121, "BatchResultMessageProto"),
    (101, "RegisterTMRequestProto"),
    (102, "RegisterTMResponseProto"),
    (103, "RegisterRMRequestProto"),
    (104, "RegisterRMResponseProto"),
    (111, "UndoLogDeleteRequestProto"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_belongs_to_a_message_of_that_name() {
        for (code, proto) in NAMES {
            let java = Message::name_of(code).unwrap();
            // Java names this one class and its protobuf message differently.
            let expected = if code == 60 { "MergedResultMessage" } else { java };
            assert_eq!(proto.strip_suffix("Proto"), Some(expected));
            for package in [ProtobufPackage::IoSeata, ProtobufPackage::OrgApacheSeata] {
                let full = format!("{}{proto}", package.prefix());
                assert_eq!(split_name(&full), Some((package, code, java)));
            }
        }
    }
}
