//! Why a connection ended.

use std::{io, time::Duration};

use seata_protocol::{DecodeError, FrameError};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("closed by the client")]
    ClosedByClient,
    #[error("closed by the client within a frame")]
    CutShort,
    #[error("closed on request")]
    Asked,
    #[error("the server stops")]
    Stopping,
    #[error("whether a request was carried out is not known, so it must be asked again")]
    Unavailable,
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("it did not register within {0:?}")]
    Anonymous(Duration),
    #[error("it took nothing of its answers for {0:?}")]
    Deaf(Duration),
    #[error("it sent {0} without having registered for it")]
    Unregistered(&'static str),
    #[error("it sent {0} as an answer, which is none to anything that it was asked")]
    Misplaced(&'static str),
    #[error("{0}{hint}", hint = hint(.0))]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Message(#[from] DecodeError),
    #[error("the buffers of all connections are full, and it holds the most")]
    Greedy,
    #[error(
        "it sent requests faster than they are carried out: {0} bytes of them wait; wait for answers before \
         asking more"
    )]
    Flooding(usize),
    #[error("{0}")]
    Broken(#[from] io::Error),
}

impl End {
    /// For metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::ClosedByClient => "closed",
            Self::CutShort => "cut_short",
            Self::Asked => "asked",
            Self::Stopping => "stopping",
            Self::Unavailable => "unavailable",
            Self::Silent(_) => "silent",
            Self::Anonymous(_) => "anonymous",
            Self::Deaf(_) => "deaf",
            Self::Unregistered(_) => "unregistered",
            Self::Misplaced(_) => "misplaced",
            Self::Frame(_) => "frame",
            Self::Message(_) => "message",
            Self::Greedy | Self::Flooding(_) => "greedy",
            Self::Broken(_) => "broken",
        }
    }

    /// Whether the client did what none should.
    pub(super) fn is_fault(&self) -> bool {
        let is_none = matches!(
            self,
            Self::ClosedByClient | Self::Asked | Self::Stopping | Self::Unavailable | Self::Broken(_)
        );
        !is_none
    }
}

/// Who may have knocked at the wrong door, told by the first bytes.
fn hint(error: &FrameError) -> &'static str {
    let FrameError::Magic { found } = error else { return "" };
    match &found[..] {
        b"PR" => {
            "; it looks like gRPC, which this server does not speak: set transport.protocol of the client to seata"
        }
        b"GE" | b"PO" | b"PU" | b"HE" | b"OP" | b"DE" | b"PA" | b"CO" => {
            "; it looks like HTTP, which the console port speaks"
        }
        [0x16, 0x03] => {
            "; it looks like TLS, which is not set for this port: set server.tls.certificate and server.tls.key, \
             or no TLS for the client"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_something_else_is_told_apart() {
        for (found, word) in [
            (b"PR", "gRPC"),
            (b"GE", "HTTP"),
            (b"PO", "HTTP"),
            (b"\x16\x03", "server.tls.certificate"),
            (b"SS", "Seata's protocol"),
        ] {
            let end = End::from(FrameError::Magic { found: found.to_vec() });
            assert!(end.to_string().contains(word), "{end}");
        }
    }
}
