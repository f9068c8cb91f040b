//! What the clients of one application were asked in phase two and have not answered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use foldhash::fast::RandomState;
use seata_protocol::BranchId;

use super::{
    batch::Batch,
    peer::{Answer, Peer},
};

/// By the id of the request, which no other request to anybody has.
#[derive(Default)]
pub(super) struct Questions {
    open: Mutex<HashMap<i32, Question, RandomState>>,
}

pub(super) struct Question {
    /// Who was asked.
    pub(super) peer: Arc<Peer>,
    pub(super) batch: Arc<Batch>,
    pub(super) index: usize,
    pub(super) branch: BranchId,
}

impl Questions {
    /// A table that is empty keeps memory for so many.
    const KEPT: usize = 1_024;

    pub(super) fn insert(&self, id: i32, question: Question) {
        self.open.lock().expect("nothing panics under it").insert(id, question);
    }

    pub(super) fn remove(&self, id: i32) {
        self.take(id, |_| true);
    }

    /// The question that this is an answer to, if any. Who was not asked itself must name the branch.
    pub(super) fn answered_by(&self, peer: &Peer, id: i32, answer: &Answer) -> Option<Question> {
        self.take(id, |question| match answer {
            Answer::Branch(branch, _) => *branch == question.branch,
            Answer::Failed(_) | Answer::Unreadable(_) => question.peer.id == peer.id,
        })
    }

    /// All questions to this client.
    pub(super) fn remove_of(&self, peer: &Peer) -> Vec<Question> {
        let mut open = self.open.lock().expect("nothing panics under it");
        let removed: Vec<_> = open
            .extract_if(|_, question| question.peer.id == peer.id)
            .map(|(_, question)| question)
            .collect();
        Self::shrink(&mut open);
        drop(open);
        removed.iter().for_each(|question| question.peer.settled());
        removed
    }

    fn take(&self, id: i32, is_it: impl FnOnce(&Question) -> bool) -> Option<Question> {
        let mut open = self.open.lock().expect("nothing panics under it");
        is_it(open.get(&id)?).then_some(())?;
        let question = open.remove(&id)?;
        Self::shrink(&mut open);
        drop(open);
        question.peer.settled();
        Some(question)
    }

    fn shrink(open: &mut HashMap<i32, Question, RandomState>) {
        if open.is_empty() && open.capacity() > Self::KEPT {
            *open = HashMap::default();
        }
    }
}

impl std::fmt::Debug for Questions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}
