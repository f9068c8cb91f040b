//! From frames to requests, and from what became of them to answers.

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use seata_protocol::{Batch, BranchResponse, DecodeError, Frame, Header, Kind, Message, Version, frame};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, MESSAGE, backlog::Next, end::End};
use crate::front::{
    clients::{Answer, Role},
    desk::Stage,
    incoming::{Job, Origin, Place},
    registration,
    requests::{self, Asked, Asker},
};

/// Whether a frame asks something, in any way that its kind may say so.
pub(super) fn is_request(frame: &Frame) -> bool {
    !matches!(frame.header.kind, Kind::Ping | Kind::Pong | Kind::Response)
}

impl<S, F> Connection<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Option<requests::Answer>>,
{
    pub(super) fn take_backlog(&mut self) -> Result<(), End> {
        while self.takes_requests()
            && let Some(next) = self.backlog.pop()
        {
            match next {
                Next::Job(job) => self.start(job),
                Next::Frame(frame, came) => self.take(frame, came)?,
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, frame: Frame, came: Instant) -> Result<(), End> {
        if frame.header.version == Version::V0 {
            self.peer.set_version_zero();
        }
        match frame.header.kind {
            Kind::Ping => {
                frame::write_heartbeat(&mut self.out, &frame.header.reply());
                return Ok(());
            }
            Kind::Pong => return Ok(()),
            _ => {}
        }
        let message = match frame.message(&self.desk.limits) {
            Ok(decoded) => decoded.message,
            // Java leaves this behind when it cannot write its answer down.
            Err(DecodeError::NoBody) if frame.header.kind == Kind::Response => {
                let reason = "it answered without saying what: its own log tells why".to_owned();
                self.peer.answered(frame.header.id, Answer::Unreadable(reason));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match message {
            Message::BranchCommitResponse(response) | Message::BranchRollbackResponse(response) => {
                self.take_answer(frame.header.id, &response);
                Ok(())
            }
            // Answers pass those requests that wait.
            message if !is_request(&frame) => Err(End::Misplaced(message.name())),
            Message::Merged(batch) => self.take_merged(frame.header.reply(), batch, came),
            message => self.take_part(message, true, Place::Alone(frame.header.reply()), came),
        }
    }

    fn take_answer(&self, id: i32, response: &BranchResponse) {
        if !self.peer.answered(id, Answer::of(response)) {
            self.desk.metrics.refused("answer");
        }
    }

    /// Clients of different releases read different answers.
    fn take_merged(&mut self, header: Header, batch: Batch, came: Instant) -> Result<(), End> {
        let Batch { messages, ids } = batch;
        let has_ids = ids.len() == messages.len();
        // What it may register as within the batch does not change how the batch is answered.
        let release = self.asker.as_ref().map(|asker| asker.release);
        if has_ids && release.is_none_or(|release| release.expects_single_answers()) {
            for (message, id) in messages.into_iter().zip(ids) {
                self.take_part(message, true, Place::Alone(Header { id, ..header.clone() }), came)?;
            }
            return Ok(());
        }
        let takes_parts = release.is_some_and(|release| release.reads_batch_results());
        if has_ids && takes_parts && self.desk.settings.batch_results {
            for (message, id) in messages.into_iter().zip(ids) {
                self.take_part(message, true, Place::Part(header.clone(), id), came)?;
            }
            return Ok(());
        }
        if messages.is_empty() {
            self.write_answer(&header, &Message::MergeResult(Vec::new()));
            return Ok(());
        }
        let frame = self.merged.begin_whole(header, messages.len());
        for (index, message) in messages.into_iter().enumerate() {
            self.take_part(message, false, Place::Whole { frame, index }, came)?;
        }
        Ok(())
    }

    /// Registrations take effect here; all else becomes work.
    fn take_part(
        &mut self,
        message: Message,
        may_wait: bool,
        place: Place,
        came: Instant,
    ) -> Result<(), End> {
        if let Some((answer, asker)) = registration::register(&self.desk, &self.peer, &message) {
            self.asker = asker.or_else(|| self.asker.take());
            self.answer(place, Some(answer));
            return Ok(());
        }
        let kind = message.name();
        let signs = !self.desk.settings.access_keys.is_empty();
        let asker = match &self.asker {
            Some(asker) if !signs || !requests::is_for_starters(&message) || self.peer.has_role(Role::Tm) => {
                asker
            }
            _ => return Err(End::Unregistered(kind)),
        };
        match requests::read(&self.desk, asker, &mut self.names, message, may_wait) {
            Asked::Request(request) => {
                let weight = request.weight() + MESSAGE;
                let origin = Origin { place, kind, weight, came };
                self.submit(Job { origin, request });
            }
            Asked::Answered(answer) => {
                self.desk.metrics.request(kind, Duration::ZERO, answer.failed);
                self.answer(place, Some(answer.message));
            }
            Asked::Nothing => {
                self.desk.metrics.refused("message");
                self.answer(place, None);
            }
        }
        Ok(())
    }

    /// A merged frame holds more requests than may be under way.
    fn submit(&mut self, job: Job) {
        if self.backlog.is_empty() && self.takes_requests() {
            self.start(job);
        } else {
            self.backlog.push_job(job);
        }
    }

    fn start(&mut self, mut job: Job) {
        let Some(Asker { release, .. }) = self.asker else { return };
        // First this and then the look at the stage: who stops the server does it the other way round, and misses
        // none that is under way.
        self.peer.request_begins();
        if self.desk.stage() != Stage::Open {
            self.peer.request_ends();
            return;
        }
        job.request.has_waited(self.now.into_std().saturating_duration_since(job.origin.came));
        self.under_way += 1;
        self.under_way_bytes += job.origin.weight;
        self.work.push(job.origin, (self.carry_out)(Arc::clone(&self.desk), release, job.request));
    }

    /// Goes on with what is under way.
    pub(super) fn collect(&mut self, context: &mut Context<'_>) {
        let mut ended = None;
        while let Poll::Ready((origin, answer)) = self.work.poll_next(context) {
            let Origin { place, kind, weight, came } = origin;
            self.peer.request_ends();
            self.under_way -= 1;
            self.under_way_bytes -= weight;
            let Some(answer) = answer else {
                self.end = Some(End::Unavailable);
                continue;
            };
            let ended = *ended.get_or_insert_with(Instant::now);
            self.desk.metrics.request(kind, ended.saturating_duration_since(came), answer.failed);
            self.answer(place, Some(answer.message));
        }
        for (header, batch) in self.merged.take_parts() {
            self.write_answer(&header, &Message::BatchResult(batch));
        }
    }

    /// `None` for what is not answered.
    fn answer(&mut self, place: Place, answer: Option<Message>) {
        match (place, answer) {
            (Place::Alone(header), Some(answer)) => self.write_answer(&header, &answer),
            (Place::Part(header, id), Some(answer)) => self.merged.add_part(header, id, answer),
            (Place::Alone(_) | Place::Part(..), None) => {}
            (Place::Whole { frame, index }, answer) => {
                if let Some((header, whole)) = self.merged.add_to_whole(frame, index, answer) {
                    self.write_answer(&header, &whole);
                }
            }
        }
    }

    fn write_answer(&mut self, header: &Header, answer: &Message) {
        if let Err(error) = frame::write(&mut self.out, header, answer) {
            self.desk.metrics.refused("encoding");
            if self.desk.complaints.is_due(self.peer.address.ip(), "encoding") {
                let (peer, answer) = (self.peer.address, answer.name());
                tracing::warn!(%peer, answer, %error, "an answer cannot be written");
            }
        }
    }
}
