//! Frames and messages, byte by byte as seata-go writes and reads them.

use crate::java::Refused;

pub(super) const REQUEST: u8 = 0;
pub(super) const RESPONSE: u8 = 1;
pub(super) const ONEWAY: u8 = 2;
const PING: u8 = 3;
pub(super) const PONG: u8 = 4;

const HEAD: usize = 16;

/// Names of global statuses by number.
pub(super) const STATUSES: [&str; 18] = [
    "UnKnown",
    "Begin",
    "Committing",
    "CommitRetrying",
    "Rollbacking",
    "RollbackRetrying",
    "TimeoutRollbacking",
    "TimeoutRollbackRetrying",
    "AsyncCommitting",
    "Committed",
    "CommitFailed",
    "Rollbacked",
    "RollbackFailed",
    "TimeoutRollbacked",
    "TimeoutRollbackFailed",
    "Finished",
    "CommitRetryTimeout",
    "RollbackRetryTimeout",
];

/// A message that is being written.
#[derive(Debug)]
pub(super) struct Body(Vec<u8>);

impl Body {
    pub(super) fn of(code: u16) -> Self {
        Self(code.to_be_bytes().to_vec())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn text(self, text: &str) -> Self {
        let length = u16::try_from(text.len()).expect("texts are short");
        self.raw(&length.to_be_bytes()).raw(text.as_bytes())
    }

    pub(super) fn long_text(self, text: &str) -> Self {
        let length = u32::try_from(text.len()).expect("texts are short");
        self.u32(length).raw(text.as_bytes())
    }

    /// What every answer of a branch ends with.
    pub(super) fn ended(self, request: &BranchRequest, status: u8) -> Self {
        self.text(&request.xid).u64(request.branch).u8(status)
    }

    pub(super) fn frame(&self, kind: u8, id: u32) -> Vec<u8> {
        let mut frame = head(kind, self.0.len(), id);
        frame.extend(&self.0);
        frame
    }
}

pub(super) fn ping(id: u32) -> Vec<u8> {
    head(PING, 0, id)
}

fn head(kind: u8, body: usize, id: u32) -> Vec<u8> {
    let full = u32::try_from(HEAD + body).expect("frames are small");
    let mut head = vec![0xda, 0xda, 1];
    head.extend(full.to_be_bytes());
    head.extend([0, 16, kind, 1, 0]);
    head.extend(id.to_be_bytes());
    head
}

/// A frame that came.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) id: u32,
    body: Vec<u8>,
}

/// What the server asks of a branch in phase two.
#[derive(Debug)]
pub(super) struct BranchRequest {
    pub(super) is_commit: bool,
    pub(super) xid: String,
    pub(super) branch: u64,
}

impl BranchRequest {
    pub(super) fn answer(&self) -> Body {
        Body::of(if self.is_commit { 4 } else { 6 })
    }
}

impl Frame {
    /// The first frame of these bytes, once it is whole.
    pub(super) fn cut(bytes: &mut Vec<u8>) -> Option<Self> {
        let full = u32::from_be_bytes(bytes.get(3..7)?.try_into().ok()?) as usize;
        if bytes.len() < full {
            return None;
        }
        assert_eq!(bytes[..3], [0xda, 0xda, 1], "a frame begins with its magic number and version");
        let rest = bytes.split_off(full);
        let frame = std::mem::replace(bytes, rest);
        let id = u32::from_be_bytes(frame[12..16].try_into().expect("four bytes"));
        Some(Self { kind: frame[9], id, body: frame[HEAD..].to_vec() })
    }

    /// What stands behind the result of an answer with this code.
    pub(super) fn answer(self, code: u16) -> Result<Reader, Refused> {
        let mut reader = Reader { bytes: self.body, at: 0 };
        let found = reader.u16()?;
        if found != code {
            return Err(Refused::call(format!("message {found} came instead of {code}")));
        }
        if reader.u8()? == 1 {
            reader.u8()?;
            return Ok(reader);
        }
        if matches!(code, 8 | 10 | 16 | 18) {
            // What counts is the status, as with Java.
            let length = reader.u16()?;
            reader.take(length.into())?;
            reader.u8()?;
            return Ok(reader);
        }
        // seata-go reads one byte here.
        let length = if matches!(code, 14 | 22) { usize::from(reader.u8()?) } else { reader.u16()?.into() };
        let error = String::from_utf8_lossy(reader.take(length)?).into_owned();
        let code = match reader.u8()? {
            0 => None,
            2 => Some("LockKeyConflict".to_owned()),
            other => Some(other.to_string()),
        };
        Err(Refused { error, code })
    }

    pub(super) fn branch_request(&self) -> Option<BranchRequest> {
        let mut reader = Reader { bytes: self.body.clone(), at: 0 };
        let is_commit = match reader.u16().ok()? {
            3 => true,
            5 => false,
            _ => return None,
        };
        Some(BranchRequest { is_commit, xid: reader.text().ok()?, branch: reader.u64().ok()? })
    }
}

/// A message that is being read.
#[derive(Debug)]
pub(super) struct Reader {
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    fn take(&mut self, length: usize) -> Result<&[u8], Refused> {
        let from = self.at;
        self.at += length;
        self.bytes.get(from..self.at).ok_or_else(|| Refused::call("the answer is too short"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many as asked for"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refused> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refused> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn text(&mut self) -> Result<String, Refused> {
        let length = self.u16()?;
        self.take(length.into()).map(|text| String::from_utf8_lossy(text).into_owned())
    }
}
