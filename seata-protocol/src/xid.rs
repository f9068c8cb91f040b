//! The name of a global transaction.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use crate::TransactionId;

/// The name of a global transaction: `host:port:id`, as it stands in headers, undo logs and Java's
/// tables.
///
/// `host` and `port` say which coordinator the transaction belongs to; the host may be a name, an
/// IPv4 or an IPv6 address (without brackets, as Java writes it). Port 0 marks a coordinator that
/// does not listen: it lives inside a process, and the host is its identity.
///
/// A value of this type is well formed, at most [`Xid::MAX_LENGTH`] bytes long, and the only spelling of its
/// transaction at that address. Cloning is cheap.
///
/// ```
/// use seata_protocol::Xid;
///
/// let xid: Xid = "fe80::1:8091:42".parse()?;
/// assert_eq!((xid.host(), xid.port(), xid.transaction_id().0), ("fe80::1", 8091, 42));
/// assert!("8091:42".parse::<Xid>().is_err());
/// # Ok::<(), seata_protocol::InvalidXid>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid {
    text: Arc<str>,
    /// Its last part, which is asked for again and again.
    id: i64,
}

/// Why a text is no [`Xid`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidXid {
    /// There are not three parts.
    #[error("{found:?} is no XID: expected host:port:id")]
    Shape {
        /// The text.
        found: String,
    },
    /// The host is empty, or holds something that is neither a name nor an address.
    #[error("{found:?} is no XID: its host is neither a name nor an IP address")]
    Host {
        /// The text.
        found: String,
    },
    /// The port is not a number from 0 to 65535, without leading zeros.
    #[error("{found:?} is no XID: its port is not a number from 0 to 65535 without leading zeros")]
    Port {
        /// The text.
        found: String,
    },
    /// The id is not a decimal 64-bit number without a sign and leading zeros.
    #[error(
        "{found:?} is no XID: its last part is not a decimal number from 0 to 9223372036854775807 \
         without leading zeros"
    )]
    Id {
        /// The text.
        found: String,
    },
    /// The text is too long for Java's tables.
    #[error("an XID of {length} bytes is refused: at most {} are allowed", Xid::MAX_LENGTH)]
    Length {
        /// Its length in bytes.
        length: usize,
    },
}

impl Xid {
    /// The longest XID in bytes: the width of the `xid` column in Java's tables.
    pub const MAX_LENGTH: usize = 128;

    /// The XID of transaction `id` at the coordinator `host:port`.
    ///
    /// # Errors
    /// As for parsing: a host that is neither a name nor an address, a negative id, too long a text.
    pub fn new(host: &str, port: u16, id: TransactionId) -> Result<Self, InvalidXid> {
        format!("{host}:{port}:{id}").parse()
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The coordinator's host: a name, an IPv4 or an IPv6 address.
    pub fn host(&self) -> &str {
        self.split().0
    }

    /// The coordinator's port; 0 for one that does not listen.
    pub fn port(&self) -> u16 {
        self.split().1.parse().expect("the port was checked when the XID was made")
    }

    /// `host:port`: which coordinator this transaction belongs to.
    pub fn coordinator(&self) -> &str {
        let end = last_colon(&self.text).expect("the shape was checked when the XID was made");
        &self.text[..end]
    }

    /// The number of the transaction within its coordinator.
    pub fn transaction_id(&self) -> TransactionId {
        TransactionId(self.id)
    }

    fn split(&self) -> (&str, &str, &str) {
        split(&self.text).expect("the shape was checked when the XID was made")
    }
}

/// From the right: an IPv6 host has colons of its own.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let before_id = last_colon(text)?;
    let before_port = last_colon(&text[..before_id])?;
    Some((&text[..before_port], &text[before_port + 1..before_id], &text[before_id + 1..]))
}

/// The texts are short: a search that begins at once beats one that is fast later.
fn last_colon(text: &str) -> Option<usize> {
    text.bytes().rposition(|byte| byte == b':')
}

impl FromStr for Xid {
    type Err = InvalidXid;

    fn from_str(text: &str) -> Result<Self, InvalidXid> {
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidXid::Length { length: text.len() });
        }
        let found = || text.to_owned();
        let (host, port, id) = split(text).ok_or_else(|| InvalidXid::Shape { found: found() })?;
        if !is_host(host) {
            return Err(InvalidXid::Host { found: found() });
        }
        if !is_plain_number(port) || port.parse::<u16>().is_err() {
            return Err(InvalidXid::Port { found: found() });
        }
        match id.parse() {
            Ok(number) if is_plain_number(id) => Ok(Self { text: text.into(), id: number }),
            _ => Err(InvalidXid::Id { found: found() }),
        }
    }
}

/// Digits without a leading zero, so that a transaction has one spelling only: undo logs are found by the
/// text. `parse` alone would also take a leading `+`.
fn is_plain_number(text: &str) -> bool {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    !text.is_empty() && !has_leading_zero && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_host(host: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !host.is_empty() && host.bytes().all(is_name_byte) {
        return true;
    }
    // A zone (`fe80::1%eth0`) is what Java prints for a link-local address.
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    let is_zone = !zone.is_empty() && zone.bytes().all(is_name_byte);
    is_zone && matches!(address.parse(), Ok(IpAddr::V6(_)))
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Xid({})", self.text)
    }
}

impl AsRef<str> for Xid {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_be_names_and_addresses_of_both_kinds() {
        for (text, host, port, id) in [
            ("10.0.0.7:8091:1", "10.0.0.7", 8091, 1),
            ("tc-1.seata_prod:8091:9223372036854775807", "tc-1.seata_prod", 8091, i64::MAX),
            ("::1:8091:42", "::1", 8091, 42),
            ("2001:db8::7:65535:0", "2001:db8::7", 65535, 0),
            ("fe80:0:0:0:1:2:3:4%eth0:8091:7", "fe80:0:0:0:1:2:3:4%eth0", 8091, 7),
            ("tc-5f3a9c1e:0:1", "tc-5f3a9c1e", 0, 1),
        ] {
            let xid: Xid = text.parse().expect(text);
            assert_eq!((xid.host(), xid.port(), xid.transaction_id().0), (host, port, id), "{text}");
            assert_eq!(xid.to_string(), text);
            assert_eq!(Xid::new(host, port, TransactionId(id)).unwrap(), xid);
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_cause() {
        use InvalidXid::*;
        type Expected = fn(&InvalidXid) -> bool;
        let cases: &[(&str, Expected)] = &[
            ("", |e| matches!(e, Shape { .. })),
            ("8091:1", |e| matches!(e, Shape { .. })),
            (":8091:1", |e| matches!(e, Host { .. })),
            ("a b:8091:1", |e| matches!(e, Host { .. })),
            ("host\r\n:8091:1", |e| matches!(e, Host { .. })),
            ("a:b:8091:1", |e| matches!(e, Host { .. })),
            ("[::1]:8091:1", |e| matches!(e, Host { .. })),
            ("host:65536:1", |e| matches!(e, Port { .. })),
            ("host:+1:1", |e| matches!(e, Port { .. })),
            ("host:8091:", |e| matches!(e, Id { .. })),
            ("host:8091:-1", |e| matches!(e, Id { .. })),
            ("host:8091:9223372036854775808", |e| matches!(e, Id { .. })),
            ("host:8091:1 ", |e| matches!(e, Id { .. })),
            ("host:8091:01", |e| matches!(e, Id { .. })),
            ("host:08091:1", |e| matches!(e, Port { .. })),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Xid>().expect_err(text);
            assert!(expected(&error), "{text:?} gave {error:?}");
        }
        let of_length =
            |length: usize| format!("{}:8091:1", "h".repeat(length - ":8091:1".len())).parse::<Xid>();
        assert_eq!(of_length(Xid::MAX_LENGTH).unwrap().as_str().len(), 128);
        assert_eq!(of_length(129), Err(Length { length: 129 }));
    }
}
