//! Steps through the bytes of a body. Each step can fail, and then nothing has moved.

use bytes::Bytes;

use super::text_of;
use crate::{DecodeError, Limits, Text};

type Result<T, E = DecodeError> = std::result::Result<T, E>;

pub(super) struct Reader<'a> {
    bytes: &'a Bytes,
    position: usize,
    /// Where what may be read ends.
    end: usize,
    limits: &'a Limits,
    /// The Java name of what is read, for errors.
    message: &'static str,
    /// Whether what Java's readers take from a body that is cut short is taken here as well.
    patient: bool,
    /// How long the length of a failure's message is.
    failure_length: FailureLength,
}

#[derive(Clone, Copy)]
enum FailureLength {
    TwoBytes,
    OneByte,
}

impl<'a> Reader<'a> {
    /// A reader of a whole body.
    pub(super) fn new(bytes: &'a Bytes, limits: &'a Limits) -> Self {
        Self {
            bytes,
            position: 0,
            end: bytes.len(),
            limits,
            message: "a message",
            patient: true,
            failure_length: FailureLength::TwoBytes,
        }
    }

    /// A reader of a whole body, for which the length of a failure's message has one byte.
    pub(super) fn of_go(bytes: &'a Bytes, limits: &'a Limits) -> Self {
        Self { failure_length: FailureLength::OneByte, ..Self::new(bytes, limits) }
    }

    /// A reader for which each field has to be there.
    pub(super) fn strict(bytes: &'a Bytes, limits: &'a Limits) -> Self {
        Self { patient: false, ..Self::new(bytes, limits) }
    }

    /// A strict reader of the next bytes only, which are there.
    pub(super) fn region(&self, length: usize) -> Self {
        let end = self.position + length;
        Self { position: self.position, end, message: self.message, ..Self::strict(self.bytes, self.limits) }
    }

    pub(super) fn set_message(&mut self, name: &'static str) {
        self.message = name;
    }

    pub(super) fn message(&self) -> &'static str {
        self.message
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn remaining(&self) -> usize {
        self.end - self.position
    }

    pub(super) fn is_patient(&self) -> bool {
        self.patient
    }

    /// Whether `text` makes Java's readers leave what follows it unread.
    pub(super) fn stops_at(&self, text: &Text) -> bool {
        self.patient && text.is_empty()
    }

    /// Runs `fields`; a patient reader is content with the fields that came.
    pub(super) fn as_far_as_it_goes(&mut self, fields: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        match fields(self) {
            Err(DecodeError::CutShort { .. }) if self.patient => Ok(()),
            read => read,
        }
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8> {
        self.array(field).map(u8::from_be_bytes)
    }

    pub(super) fn i16(&mut self, field: &'static str) -> Result<i16> {
        self.array(field).map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32> {
        self.array(field).map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self, field: &'static str) -> Result<i64> {
        self.array(field).map(i64::from_be_bytes)
    }

    /// A text whose length has 16 bits.
    pub(super) fn text16(&mut self, field: &'static str) -> Result<Text> {
        let length = self.peek(field).map(i16::from_be_bytes)?;
        self.text(size_of::<i16>(), usize::try_from(length).unwrap_or(0), field)
    }

    /// A text whose length has 32 bits.
    pub(super) fn text32(&mut self, field: &'static str) -> Result<Text> {
        let length = self.peek(field).map(i32::from_be_bytes)?;
        self.text(size_of::<i32>(), usize::try_from(length).unwrap_or(0), field)
    }

    /// Why a request failed.
    pub(super) fn failure_message(&mut self) -> Result<Text> {
        match self.failure_length {
            FailureLength::TwoBytes => self.text16("msg"),
            FailureLength::OneByte => {
                let length = self.peek("msg").map(u8::from_be_bytes)?;
                self.text(size_of::<u8>(), usize::from(length), "msg")
            }
        }
    }

    /// Whether the i32 that comes next counts more bytes than there are behind it.
    pub(super) fn next_length_is_beyond_the_end(&self) -> Result<bool> {
        let length = self.peek("length").map(i32::from_be_bytes)?;
        Ok(usize::try_from(length).is_ok_and(|length| length > self.remaining() - size_of::<i32>()))
    }

    /// # Errors
    /// When fewer than `count` bytes are left.
    pub(super) fn need(&self, count: usize, field: &'static str) -> Result<()> {
        match count.checked_sub(self.remaining()) {
            None | Some(0) => Ok(()),
            Some(missing) => Err(DecodeError::CutShort { message: self.message, field, missing }),
        }
    }

    /// # Errors
    /// When a merged message holds more messages than the limit.
    pub(super) fn check_merged(&self, count: usize) -> Result<()> {
        let limit = self.limits.merged;
        if count > limit {
            return Err(DecodeError::TooManyMerged { message: self.message, count, limit });
        }
        Ok(())
    }

    /// Leaves out bytes that are there.
    pub(super) fn skip(&mut self, count: usize) {
        self.position += count;
    }

    fn text(&mut self, prefix: usize, length: usize, field: &'static str) -> Result<Text> {
        let limit = self.limits.text;
        if length > limit {
            return Err(DecodeError::TextTooLong { message: self.message, field, length, limit });
        }
        self.need(prefix + length, field)?;
        let start = self.position + prefix;
        self.position = start + length;
        Ok(if length == 0 { Text::new() } else { text_of(self.bytes, start..self.position) })
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        let bytes = self.peek(field)?;
        self.position += N;
        Ok(bytes)
    }

    fn peek<const N: usize>(&self, field: &'static str) -> Result<[u8; N]> {
        self.need(N, field)?;
        Ok(*self.bytes[self.position..].first_chunk().expect("the bytes are there"))
    }
}
