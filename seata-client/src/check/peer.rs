//! Who answers, where no Seata server does: told from the first bytes that came back.

use std::fmt;

/// What seems to listen at an address, by the first bytes of its answer to a Seata frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Its first line.
    Http(String),
    Http2,
    Tls,
    /// Its greeting.
    Ssh(String),
    /// MySQL or MariaDB, with its version.
    MySql(String),
    Redis,
    /// The first bytes themselves.
    Unknown(Vec<u8>),
}

/// As many of the first bytes as are quoted.
const QUOTED: usize = 16;

impl Peer {
    /// Looks at an answer that does not begin as a Seata frame does.
    pub(super) fn recognise(answer: &[u8]) -> Self {
        match answer {
            [b'H', b'T', b'T', b'P', b'/', ..] => Self::Http(first_line(answer)),
            [b'S', b'S', b'H', b'-', ..] => Self::Ssh(first_line(answer)),
            // An alert, or a handshake record; then the version, 3.x.
            [0x15 | 0x16, 0x03, 0..=4, ..] => Self::Tls,
            // A SETTINGS frame on stream 0, or a GOAWAY.
            [0, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => Self::Http2,
            // Packet number 0, protocol 10, then the version up to a zero.
            [_, _, 0, 0, 0x0a, version @ ..] => Self::MySql(until_zero(version)),
            [b'-', b'E', b'R', b'R', ..] | [b'-', b'N', b'O', b'A', ..] => Self::Redis,
            other => Self::Unknown(other[..other.len().min(QUOTED)].to_vec()),
        }
    }

    /// What to do about it; `port` is the one that was dialled.
    pub(super) fn advice(&self, port: u16) -> String {
        match self {
            Self::Http(_) if port == 8091 => {
                "another program has this port, or an HTTP proxy stands between: list the address and port of the \
                 Seata server itself (-p)"
                    .into()
            }
            Self::Http(_) => format!(
                "is {port} the console's port (7091 by default)? list the Seata port: 8091 by default, \
                 else the one after -p"
            ),
            Self::Tls => "this client speaks plain TCP: list the server's own port, not that of a TLS proxy \
                          or of an HTTPS console"
                .into(),
            Self::Http2 => "list the server's own port, not that of a gRPC service or proxy".into(),
            _ => "list the address of the Seata server: its port is 8091 by default, else the one after -p"
                .into(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(line) => write!(f, "answers HTTP, not Seata ({line:?})"),
            Self::Http2 => f.write_str("answers HTTP/2, not Seata"),
            Self::Tls => f.write_str("answers TLS, not Seata"),
            Self::Ssh(line) => write!(f, "answers SSH, not Seata ({line:?})"),
            Self::MySql(version) => {
                write!(f, "answers as a MySQL or MariaDB server, not Seata ({version:?})")
            }
            Self::Redis => f.write_str("answers as a Redis server, not Seata"),
            Self::Unknown(bytes) => {
                write!(
                    f,
                    "answers \"{}\", where a Seata frame begins with \"\\xda\\xda\"",
                    bytes.escape_ascii()
                )
            }
        }
    }
}

/// The first line, cut to what fits a table.
fn first_line(answer: &[u8]) -> String {
    let line = answer.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned()
}

fn until_zero(text: &[u8]) -> String {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_protocols_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Peer); 9] = [
            (b"HTTP/1.1 400 \r\nContent-Type: x", Peer::Http("HTTP/1.1 400 ".into())),
            (b"\x15\x03\x01\x00\x02\x02\x16", Peer::Tls),
            (b"\x15\x03\x03\x00\x02\x02\x32", Peer::Tls),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03", Peer::Http2),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", Peer::Ssh("SSH-2.0-OpenSSH_9.2p1".into())),
            (b"\x5b\x00\x00\x00\x0a8.0.36\x00\x08\x00", Peer::MySql("8.0.36".into())),
            (b"-ERR unknown command\r\n", Peer::Redis),
            (b"hello", Peer::Unknown(b"hello".to_vec())),
            (b"", Peer::Unknown(Vec::new())),
        ];
        for (answer, peer) in cases {
            assert_eq!(Peer::recognise(answer), peer, "{answer:?}");
        }
    }

    #[test]
    fn strange_bytes_are_quoted_and_cut() {
        let peer = Peer::recognise(&[0xff; 100]);
        assert_eq!(
            peer.to_string(),
            format!("answers \"{}\", where a Seata frame begins with \"\\xda\\xda\"", "\\xff".repeat(16))
        );
    }

    #[test]
    fn the_console_port_is_suspected_except_on_the_seata_port() {
        let http = Peer::Http("HTTP/1.1 400".into());
        assert!(http.advice(7091).contains("the console's port"));
        assert!(!http.advice(8091).contains("the console's port"));
    }
}
