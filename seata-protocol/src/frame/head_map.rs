//! The texts beside a message.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{FrameError, Text, seata_codec::text_of};

/// Pairs of texts in a frame's header, in the order in which they came. Known peers send none.
///
/// A key or a value may be null (`None`), as in Java; a pair with a null key is read but never written.
///
/// ```
/// use seata_protocol::HeadMap;
///
/// let mut head = HeadMap::new();
/// head.insert("traceId", Some("4bf92f35".into()))?;
/// assert_eq!(head.get("traceId").map(|id| &**id), Some("4bf92f35"));
/// # Ok::<(), seata_protocol::frame::HeadMapTooLong>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadMap {
    pairs: Vec<(Option<Text>, Option<Text>)>,
    encoded_length: usize,
}

/// A pair does not fit into the head map any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the head map would be {length} bytes long, at most {} fit into a frame: send less",
    HeadMap::MAX_LENGTH
)]
pub struct HeadMapTooLong {
    /// How long it would be.
    pub length: usize,
}

impl HeadMap {
    /// How long a head map may be on the wire, in bytes: Java reads the header's length as 15 bits.
    pub const MAX_LENGTH: usize = i16::MAX as usize - super::HEADER;

    /// A map without pairs.
    pub const fn new() -> Self {
        Self { pairs: Vec::new(), encoded_length: 0 }
    }

    /// Adds a pair behind the others. Of several pairs with one key the last one counts.
    ///
    /// # Errors
    /// When the map would be longer than [`MAX_LENGTH`](Self::MAX_LENGTH); it is then as before.
    pub fn insert(&mut self, key: impl Into<Text>, value: Option<Text>) -> Result<(), HeadMapTooLong> {
        self.push(Some(key.into()), value)
    }

    /// The value of the last pair with this key; `None` when there is none or its value is null.
    pub fn get(&self, key: &str) -> Option<&Text> {
        self.iter().rfind(|(found, _)| *found == Some(key)).and_then(|(_, value)| value)
    }

    /// Every pair, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Option<&str>, Option<&Text>)> {
        self.pairs.iter().map(|(key, value)| (key.as_deref(), value.as_ref()))
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn push(&mut self, key: Option<Text>, value: Option<Text>) -> Result<(), HeadMapTooLong> {
        let pair = match &key {
            Some(key) => 2 + key.len() + 2 + value.as_ref().map_or(0, |value| value.len()),
            None => 0,
        };
        let length = self.encoded_length + pair;
        if length > Self::MAX_LENGTH {
            return Err(HeadMapTooLong { length });
        }
        self.encoded_length = length;
        self.pairs.push((key, value));
        Ok(())
    }

    pub(super) fn encoded_length(&self) -> usize {
        self.encoded_length
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        for (key, value) in &self.pairs {
            if key.is_some() {
                put_text(out, key.as_ref());
                put_text(out, value.as_ref());
            }
        }
    }

    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, FrameError> {
        let mut map = Self::new();
        while !bytes.is_empty() {
            let key = take_text(&mut bytes)?;
            let value = take_text(&mut bytes)?;
            // Replaced bytes can be longer than what they replace.
            map.push(key, value).map_err(|_| FrameError::HeadMap)?;
        }
        Ok(map)
    }
}

fn put_text(out: &mut BytesMut, text: Option<&Text>) {
    let Some(text) = text else {
        out.put_i16(-1);
        return;
    };
    out.put_i16(i16::try_from(text.len()).expect("a head map is at most HeadMap::MAX_LENGTH bytes long"));
    out.put_slice(text.as_bytes());
}

fn take_text(bytes: &mut Bytes) -> Result<Option<Text>, FrameError> {
    match bytes.try_get_i16() {
        Ok(-1) => Ok(None),
        Ok(length) => match usize::try_from(length) {
            Ok(length) if length <= bytes.len() => Ok(Some(text_of(&bytes.split_to(length), ..))),
            _ => Err(FrameError::HeadMap),
        },
        Err(_) => Err(FrameError::HeadMap),
    }
}
