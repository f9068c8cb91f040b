//! Java's merged form: requests that wait at the same moment travel in one frame.

use bytes::BytesMut;
use seata_protocol::{Batch, Kind, Message, frame};

use super::Shared;

/// The most requests in one frame. A server may answer none of them before it has done all.
const MAX_MERGED: usize = 1024;

/// About how many bytes a request takes if it may travel with others. What concerns branches may; a commit may
/// not: those that came with it would wait until its phase two is done.
pub(super) fn mergeable_size(message: &Message) -> Option<usize> {
    let texts = match message {
        Message::BranchRegister(request) | Message::GlobalLockQuery(request) => {
            let keys = request.lock_key.len() + request.resource_id.len();
            request.xid.len() + keys + request.application_data.len()
        }
        Message::BranchReport(request) => request.xid.len() + request.application_data.len(),
        _ => return None,
    };
    let numbers = 32;
    Some(texts + numbers)
}

/// Writes as many of the requests as fit one frame, and takes them off the list. Those that nobody waits for
/// any more are left out; what is left alone is not merged.
pub(super) fn write_next(shared: &Shared, requests: &mut Vec<(i32, Message)>, out: &mut BytesMut) {
    let most = MAX_MERGED.min(shared.limits.merged).max(1);
    let mut chosen: Vec<_> = requests.drain(..most.min(requests.len())).collect();
    shared.pending.retain_waiting(&mut chosen);
    if chosen.len() < 2 {
        return write_each(shared, chosen, out);
    }
    let (ids, messages) = chosen.into_iter().unzip();
    let merged = Message::Merged(Batch { messages, ids });
    let frame_id = shared.pending.next_id();
    let written = frame::write(out, &shared.header(Kind::Oneway, frame_id), &merged);
    let Message::Merged(Batch { messages, ids }) = merged else { unreachable!("it was made above") };
    match written {
        Ok(()) => shared.pending.group(frame_id, ids),
        // One of them cannot be sent, or all together are too long: alone, the others get through.
        Err(_) => write_each(shared, ids.into_iter().zip(messages).collect(), out),
    }
}

fn write_each(shared: &Shared, requests: Vec<(i32, Message)>, out: &mut BytesMut) {
    for (id, message) in requests {
        if let Err(error) = frame::write(out, &shared.header(Kind::Request, id), &message) {
            shared.pending.refuse(id, error);
        }
    }
}
