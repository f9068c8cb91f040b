//! Requests that wait for others of the same client.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use seata_protocol::{Frame, frame::HeadMap};

use super::MESSAGE;
use crate::front::incoming::Job;

/// In the order in which they came: what a merged frame held, then whole frames.
#[derive(Default)]
pub(super) struct Backlog {
    jobs: VecDeque<Job>,
    /// Each with when it came.
    frames: VecDeque<(Frame, Instant)>,
    bytes: usize,
}

/// The next of them.
pub(super) enum Next {
    Job(Job),
    Frame(Frame, Instant),
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.frames.is_empty()
    }

    /// How much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// It is read while no frame waits, so it comes before those that will.
    pub(super) fn push_job(&mut self, job: Job) {
        self.bytes += job.origin.weight + MESSAGE;
        self.jobs.push_back(job);
    }

    pub(super) fn push_frame(&mut self, mut frame: Frame, came: Instant) {
        // A copy, for the bytes of a frame keep all others alive that were read with it.
        frame.body = Bytes::copy_from_slice(&frame.body);
        frame.header.head_map = HeadMap::new();
        self.bytes += frame.body.len() + MESSAGE;
        self.frames.push_back((frame, came));
    }

    pub(super) fn pop(&mut self) -> Option<Next> {
        let next = match self.jobs.pop_front() {
            Some(job) => {
                self.bytes -= job.origin.weight + MESSAGE;
                Some(Next::Job(job))
            }
            None => self.frames.pop_front().map(|(frame, came)| {
                self.bytes -= frame.body.len() + MESSAGE;
                Next::Frame(frame, came)
            }),
        };
        if self.is_empty() && (self.jobs.capacity() > 0 || self.frames.capacity() > 0) {
            *self = Self::default();
        }
        next
    }
}
