//! What a frame leads to.

use std::{collections::HashMap, time::Instant};

use seata_protocol::{Batch, Header, Message};

use super::requests::Request;

/// Work that was taken in. It runs within its connection's task.
pub(super) struct Job {
    pub(super) origin: Origin,
    pub(super) request: Request,
}

/// Where a request came from.
pub(super) struct Origin {
    pub(super) place: Place,
    /// The name of the message.
    pub(super) kind: &'static str,
    /// How many bytes the request keeps.
    pub(super) weight: usize,
    /// When it came.
    pub(super) came: Instant,
}

/// Where an answer goes.
pub(super) enum Place {
    /// Into a frame of its own.
    Alone(Header),
    /// Beside others whose requests came in one frame, with the id of its own, and not necessarily with all of
    /// them.
    Part(Header, i32),
    /// Among those of one frame, which are answered by one message, in their order.
    Whole { frame: u64, index: usize },
}

/// Answers to merged requests, while they wait for each other.
#[derive(Default)]
pub(super) struct Merged {
    /// Those of one wake-up, by the id of the frame that asked.
    parts: Vec<(Header, Batch)>,
    wholes: HashMap<u64, Whole>,
    next: u64,
    waiting: usize,
}

struct Whole {
    header: Header,
    answers: Vec<Option<Message>>,
    missing: usize,
}

impl Merged {
    /// One of several answers that may go separately.
    pub(super) fn add_part(&mut self, header: Header, id: i32, answer: Message) {
        let index = match self.parts.iter().position(|(known, _)| known.id == header.id) {
            Some(index) => index,
            None => {
                self.parts.push((header, Batch::default()));
                self.parts.len() - 1
            }
        };
        let batch = &mut self.parts[index].1;
        batch.messages.push(answer);
        batch.ids.push(id);
    }

    pub(super) fn take_parts(&mut self) -> Vec<(Header, Batch)> {
        std::mem::take(&mut self.parts)
    }

    /// So many answers will go together. The number by which they find each other.
    pub(super) fn begin_whole(&mut self, header: Header, length: usize) -> u64 {
        let frame = self.next;
        self.next += 1;
        let answers = (0..length).map(|_| None).collect();
        self.wholes.insert(frame, Whole { header, answers, missing: length });
        frame
    }

    /// One of them, `None` for what is not answered. Gives all of them once none is missing any more.
    pub(super) fn add_to_whole(
        &mut self,
        frame: u64,
        index: usize,
        answer: Option<Message>,
    ) -> Option<(Header, Message)> {
        let whole = self.wholes.get_mut(&frame)?;
        *whole.answers.get_mut(index)? = answer;
        self.waiting += 1;
        whole.missing -= 1;
        if whole.missing > 0 {
            return None;
        }
        let Whole { header, answers, .. } = self.wholes.remove(&frame)?;
        self.waiting -= answers.len();
        Some((header, Message::MergeResult(answers.into_iter().flatten().collect())))
    }

    /// How many answers wait for others of their frame.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }
}
