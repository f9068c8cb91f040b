//! What a frame leads to.

use std::{sync::Arc, time::Instant};

use futures_util::future::join_all;
use seata_protocol::{Batch, Header, Message, ResourceId};

use super::{
    desk::Desk,
    requests::{Asker, Request, answer},
};

/// Work that was taken in. It runs within its connection's task.
pub(super) struct Job {
    /// The answer's.
    pub(super) header: Header,
    pub(super) task: Task,
    /// What it counts for in the connection's bounds.
    pub(super) weight: Weight,
}

/// What is to be done.
pub(super) enum Task {
    /// A request with an answer of its own.
    Single(Request),
    /// One of several, whose answers go with their ids and not necessarily together.
    Part(i32, Request),
    /// Several, which are answered by one message, in their order.
    Whole(Vec<Part>),
}

/// One of several requests.
pub(super) enum Part {
    /// Its answer is known already.
    Answered(Message),
    /// It is to be carried out.
    Open(Request),
}

/// How much memory work takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) requests: usize,
    pub(super) bytes: usize,
}

/// Work that is done.
pub(super) struct Done {
    pub(super) header: Header,
    /// The id of a part; parts of one frame may be sent together.
    pub(super) part: Option<i32>,
    pub(super) answer: Message,
    pub(super) weight: Weight,
}

/// Does it.
pub(super) async fn carry_out(desk: Arc<Desk>, asker: Asker, job: Job) -> Done {
    let Job { header, task, weight } = job;
    let (part, answer) = match task {
        Task::Single(request) => (None, timed(&desk, &asker, request).await),
        Task::Part(id, request) => (Some(id), timed(&desk, &asker, request).await),
        Task::Whole(parts) => {
            let answers = join_all(parts.into_iter().map(|part| async {
                match part {
                    Part::Answered(answer) => answer,
                    Part::Open(request) => timed(&desk, &asker, request).await,
                }
            }));
            (None, Message::MergeResult(answers.await))
        }
    };
    Done { header, part, answer, weight }
}

async fn timed(desk: &Desk, asker: &Asker, request: Request) -> Message {
    let (kind, begun) = (request.message.name(), Instant::now());
    let (failed, answer) = answer(desk, asker, request).await;
    desk.metrics.request(kind, begun.elapsed(), failed);
    answer
}

/// Answers to parts of one frame, while they wait for each other within one wake-up.
#[derive(Default)]
pub(super) struct Parts {
    frames: Vec<(Header, Batch)>,
}

impl Parts {
    pub(super) fn add(&mut self, header: Header, id: i32, answer: Message) {
        let index = match self.frames.iter().position(|(known, _)| known.id == header.id) {
            Some(index) => index,
            None => {
                self.frames.push((header, Batch::default()));
                self.frames.len() - 1
            }
        };
        let batch = &mut self.frames[index].1;
        batch.messages.push(answer);
        batch.ids.push(id);
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Header, Message)> {
        self.frames.drain(..).map(|(header, batch)| (header, Message::BatchResult(batch)))
    }
}

/// The resource that a message names.
pub(super) fn resource_of(message: &Message) -> Option<&str> {
    match message {
        Message::BranchRegister(request) | Message::GlobalLockQuery(request) => Some(&request.resource_id),
        _ => None,
    }
}

/// Names that come again and again, each kept once.
#[derive(Default)]
pub(super) struct Names {
    known: std::collections::HashSet<ResourceId>,
}

impl Names {
    /// Beyond so many a name is kept by those alone who use it.
    const MAX: usize = 1_024;

    pub(super) fn intern(&mut self, name: &str) -> ResourceId {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let new = ResourceId::from(name);
        if self.known.len() < Self::MAX {
            self.known.insert(new.clone());
        }
        new
    }
}
