//! One ring of the normaliser thread: frames come back together from their parts, and their records wait behind them.

use marketprism_core::record::{Raw, RecordRef, flag};

use super::queue::Queue;

/// The longest frame or answer that is put together.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// A ring between the threads, as far as it was read.
#[derive(Default)]
pub(super) struct Ring {
    /// Records of the newest frame that were not read yet.
    pub(super) pending: Queue,
    /// Records read since the newest frame.
    pub(super) read: u64,
    frame: Vec<u8>,
    reason: Vec<u8>,
}

/// A frame or an answer, whole.
pub(super) struct Whole<'a> {
    pub(super) bytes: &'a [u8],
    /// Of an answer: what was asked.
    pub(super) reason: &'a [u8],
    pub(super) is_answer: bool,
    /// Its records go here.
    pub(super) pending: &'a mut Queue,
}

impl Ring {
    /// The next record that waits.
    pub(super) fn next(&mut self) -> Option<RecordRef<'_>> {
        let record = self.pending.next()?;
        self.read += 1;
        Some(record)
    }

    /// Takes a frame or a part of one; gives the whole with the last part.
    pub(super) fn take(&mut self, raw: &Raw, body: &[u8]) -> Result<Option<Whole<'_>>, String> {
        let reason_bytes = (raw.reason_bytes as usize).min(body.len());
        let (reason, part) = body.split_at(reason_bytes);
        if raw.offset == 0 {
            self.frame.clear();
            self.reason.clear();
            self.reason.extend_from_slice(reason);
        }
        let whole = raw.frame_bytes as usize;
        if raw.offset as usize != self.frame.len() {
            return Err(format!("a part of a frame is missing before its byte {}", raw.offset));
        }
        if self.frame.len() + part.len() > whole.min(MAX_FRAME_BYTES) {
            return Err("a frame is longer than it says".to_owned());
        }
        self.frame.extend_from_slice(part);
        self.read = 0;
        Ok((self.frame.len() == whole).then_some(Whole {
            bytes: &self.frame,
            reason: &self.reason,
            is_answer: raw.header.flags & flag::REST != 0,
            pending: &mut self.pending,
        }))
    }
}
