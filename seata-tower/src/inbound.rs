//! Reading the transaction of a request.

use http::{HeaderMap, HeaderValue};
use seata_context::{Client, Snapshot};
use seata_protocol::{BranchType, Xid};

use crate::{
    Refusal,
    carrier::{BRANCH_TYPE, XID},
};

/// What a server does with the transaction that a request names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InboundXid {
    /// Runs the handler in it, or refuses the request when that is not possible.
    #[default]
    Join,
    /// Removes the headers and runs the handler outside any transaction: for an edge whose callers
    /// are not trusted, but may send the header without meaning harm.
    Strip,
    /// Refuses the request: for an edge where the header can only be a mistake or an attack.
    Refuse,
}

/// What the handler of a request with these headers is to start with.
pub(crate) fn admit(
    headers: &mut HeaderMap,
    inbound: InboundXid,
    client: &Client,
    takes_branch_type: bool,
) -> Result<Snapshot, Refusal> {
    let idle = Snapshot::empty().with_client(client.clone());
    match inbound {
        InboundXid::Strip => {
            headers.remove(XID);
            headers.remove(BRANCH_TYPE);
            Ok(idle)
        }
        InboundXid::Refuse if headers.get_all(XID).iter().any(|value| !is_blank(value)) => {
            Err(Refusal::Untrusted)
        }
        InboundXid::Refuse => Ok(idle),
        InboundXid::Join => {
            let Some(xid) = xid(headers)? else { return Ok(idle) };
            if !client.knows(&xid) {
                return Err(Refusal::UnknownCoordinator {
                    xid,
                    application: client.application_id().to_owned(),
                });
            }
            let joined = idle.with_xid(xid);
            Ok(if takes_branch_type && is_tcc(headers) {
                joined.with_branch_type(BranchType::Tcc)
            } else {
                joined
            })
        }
    }
}

/// The one transaction that the headers name. The same value twice, as a proxy may make it, is one.
fn xid(headers: &HeaderMap) -> Result<Option<Xid>, Refusal> {
    let mut found: Option<Xid> = None;
    for value in headers.get_all(XID) {
        if is_blank(value) {
            // seata-go sends an empty value when it is in no transaction.
            continue;
        }
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Refusal::NotText)?;
        let xid: Xid = text.trim_ascii().parse()?;
        match found {
            Some(first) if first != xid => return Err(Refusal::Conflicting { first, second: xid }),
            _ => found = Some(xid),
        }
    }
    Ok(found)
}

/// Java's servers take TCC alone from the wire; a branch of another type sets its own.
fn is_tcc(headers: &HeaderMap) -> bool {
    headers.get(BRANCH_TYPE).is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"TCC"))
}

fn is_blank(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(XID, HeaderValue::from_bytes(value).unwrap());
        }
        xid(&headers).map(|xid| xid.map(|xid| xid.to_string()))
    }

    #[test]
    fn blank_is_absent_and_twice_the_same_is_one() {
        let one: &[u8] = b"10.0.0.7:8091:1";
        let named = Ok(Some("10.0.0.7:8091:1".to_owned()));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b""]), Ok(None));
        assert_eq!(read(&[b" \t ", b""]), Ok(None));
        assert_eq!(read(&[one]), named);
        assert_eq!(read(&[b" 10.0.0.7:8091:1 "]), named);
        assert_eq!(read(&[b"", one]), named);
        assert_eq!(read(&[one, one]), named);
    }

    #[test]
    fn whatever_is_no_single_xid_is_refused_with_its_cause() {
        let one: &[u8] = b"10.0.0.7:8091:1";
        assert!(matches!(read(&[one, b"10.0.0.7:8091:2"]), Err(Refusal::Conflicting { .. })));
        assert!(matches!(read(&[b"10.0.0.7:8091:1, 10.0.0.7:8091:2"]), Err(Refusal::Malformed(_))));
        assert!(matches!(read(&[b"8091:1"]), Err(Refusal::Malformed(_))));
        assert!(matches!(read(&["hôte:8091:1".as_bytes()]), Err(Refusal::Malformed(_))));
        assert_eq!(read(&[b"\xff\xfe:8091:1"]), Err(Refusal::NotText));
        let long = read(&["h".repeat(64 * 1024).as_bytes()]).unwrap_err().to_string();
        assert_eq!(
            long,
            "the tx_xid header was refused: an XID of 65536 bytes is refused: at most 128 are allowed"
        );
    }

    #[test]
    fn of_the_branch_types_tcc_alone_is_taken() {
        for (text, taken) in [("TCC", true), ("tcc", true), ("AT", false), ("XA", false), ("", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(BRANCH_TYPE, text.parse().unwrap());
            assert_eq!(is_tcc(&headers), taken, "{text:?}");
        }
    }
}
