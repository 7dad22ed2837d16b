//! Records that wait for their turn.

use marketprism_core::record::{Line, RecordBuffer, RecordRef, Sink};

/// Records, taken out in the order in which they came.
#[derive(Default)]
pub(super) struct Queue {
    records: RecordBuffer,
    /// Lines taken out.
    at: usize,
}

impl Queue {
    /// Takes the next record out.
    pub(super) fn next(&mut self) -> Option<RecordRef<'_>> {
        let rest = self.records.lines().get(self.at..)?;
        let (record, lines) = RecordRef::read(rest)?;
        self.at += lines;
        Some(record)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.records.lines().len()
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.at = 0;
    }
}

impl Sink for Queue {
    fn append(&mut self, head: &[Line], body: &[u8]) {
        if self.is_empty() {
            self.clear();
        }
        self.records.append(head, body);
    }
}
