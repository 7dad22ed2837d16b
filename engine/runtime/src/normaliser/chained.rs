//! Books whose stream brings the snapshot and links each message to the one before it.

use bytemuck::Zeroable;
use marketprism_book::{DeltaStep, StreamSnapshotStep};
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{Book, Gap, GapReason, Header, Kind, Level, Sink};

use super::Normaliser;

/// How a message stands to the newest one of its chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing is missing, or nothing can be said.
    Follows,
    /// These ids are missing.
    Hole(u64, u64),
    /// It is older than what came last.
    Late,
    /// The venue's ids went back.
    Reset,
}

/// Judges a message by the newest id and exchange time of its chain.
fn place(book: &Book, seen: u64, exchange_ns: i64) -> Place {
    let Ok(previous) = u64::try_from(book.previous_id) else { return Place::Follows };
    if seen == 0 || previous == seen {
        return Place::Follows;
    }
    if previous > seen {
        return Place::Hole(seen + 1, previous);
    }
    let newer = exchange_ns != TIME_MISSING && book.header.exchange_ns > exchange_ns;
    match (book.header.sequence > seen, newer) {
        (true, _) => Place::Follows,
        (false, true) => Place::Reset,
        (false, false) => Place::Late,
    }
}

impl Normaliser {
    /// Everything but the next delta of a valid book.
    #[cold]
    pub(super) fn chained_off_path(
        &mut self,
        step: DeltaStep,
        book: &Book,
        levels: &[Level],
        out: &mut dyn Sink,
    ) {
        let instrument = book.header.instrument;
        match step {
            DeltaStep::Contained => {
                self.counts.duplicates += 1;
                return;
            }
            // The stream has to begin with a snapshot. One that is late gets some time.
            DeltaStep::NoBook => self.start_waiting(book),
            DeltaStep::ChecksumMismatch { .. } => {
                self.lost(instrument);
                self.report(&book.header, Kind::BookDelta, GapReason::Checksum as u8, (0, 0), out);
                self.want_snapshot(instrument, book.header.receive_ns);
            }
            _ => {
                self.lost(instrument);
                self.want_snapshot(instrument, book.header.receive_ns);
            }
        }
        let broken = matches!(step, DeltaStep::Broken { .. });
        self.advance(book, broken, out);
        self.pass_invalid(book, levels, out);
    }

    fn start_waiting(&mut self, book: &Book) {
        if let Some(tracked) = self.state(book.header.instrument).book.as_deref_mut()
            && tracked.wanted_ns == TIME_MISSING
        {
            tracked.wanted_ns = book.header.receive_ns;
        }
    }

    /// Takes the message's place in the chain, whatever the state of the book, and reports what is missing before it.
    /// `broken`: the book found that the message does not continue the chain.
    fn advance(&mut self, book: &Book, broken: bool, out: &mut dyn Sink) {
        let header = &book.header;
        let state = self.state(header.instrument);
        let cause = state.interrupted[Kind::BookDelta as usize].take();
        let Some(tracked) = state.book.as_deref_mut() else { return };
        let seen = tracked.last_id;
        let fills = |(from, to): (u64, u64)| book.previous_id == from as i64 - 1 && header.sequence == to;
        let filled = tracked.hole.is_some_and(fills);
        let place = match place(book, seen, tracked.exchange_ns) {
            Place::Follows | Place::Late if broken => Place::Reset,
            place => place,
        };
        if place != Place::Late {
            tracked.last_id = header.sequence;
            tracked.exchange_ns = tracked.exchange_ns.max(header.exchange_ns);
        }
        let reason = cause.map_or(GapReason::Sequence as u8, |cause| cause.reason);
        match place {
            Place::Follows => {}
            Place::Hole(from, to) => {
                tracked.hole = Some((from, to));
                self.report(header, Kind::BookDelta, reason, (from, to), out);
            }
            Place::Reset => {
                self.report(header, Kind::BookDelta, GapReason::Reset as u8, (seen + 1, 0), out);
            }
            Place::Late if filled => self.report_late(header, out),
            Place::Late => {}
        }
    }

    /// The missing message came late: the hole is filled in the log, though the book had to start anew.
    fn report_late(&mut self, header: &Header, out: &mut dyn Sink) {
        let state = self.state(header.instrument);
        let Some((from_id, to_id)) = state.book.as_deref_mut().and_then(|book| book.hole.take()) else {
            return;
        };
        let gap = Gap {
            header: Header {
                exchange_ns: header.exchange_ns,
                ..Header::new(Kind::Gap, header.instrument, header.receive_ns)
            },
            from_id,
            to_id,
            from_ns: state.last_ns[Kind::BookDelta as usize],
            stream: Kind::BookDelta as u8,
            reason: GapReason::Sequence as u8,
            repaired: 1,
            ..Gap::zeroed()
        };
        self.emit_gap(gap, out);
    }

    /// A snapshot of the stream.
    pub(super) fn stream_snapshot(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let instrument = book.header.instrument;
        let receive_ns = book.header.receive_ns;
        let Some(tracked) = self.state(instrument).book.as_deref_mut() else { return };
        let was_valid = tracked.synced.is_valid();
        match tracked.synced.on_stream_snapshot(book, levels) {
            StreamSnapshotStep::Valid | StreamSnapshotStep::Replaced => {
                tracked.wanted = false;
                tracked.wanted_ns = TIME_MISSING;
                let began = tracked.note_crossing(receive_ns);
                if tracked.is_sound() {
                    tracked.attempts = 0;
                }
                self.counts.books_crossed += u64::from(began);
                self.counts.snapshots_used += 1;
                self.waiting.retain(|waiting| *waiting != instrument);
                self.continue_with(book, out);
                self.applied(book, levels, out);
            }
            step => {
                self.counts.snapshots_unused += 1;
                if let StreamSnapshotStep::ChecksumMismatch { .. } = step {
                    self.report(&book.header, Kind::BookDelta, GapReason::Checksum as u8, (0, 0), out);
                }
                let is_valid = self.valid_chain(instrument);
                if was_valid && !is_valid {
                    self.lost(instrument);
                }
                self.pass_invalid(book, levels, out);
                if !is_valid {
                    if let Some(tracked) = self.state(instrument).book.as_deref_mut() {
                        tracked.wanted = false;
                    }
                    self.want_snapshot(instrument, receive_ns);
                }
            }
        }
    }

    fn valid_chain(&mut self, instrument: u32) -> bool {
        self.state(instrument).book.as_deref().is_some_and(|book| book.synced.is_valid())
    }

    /// The chain goes on from this snapshot; deltas between the newest one and it were not sent.
    fn continue_with(&mut self, book: &Book, out: &mut dyn Sink) {
        let header = &book.header;
        let state = self.state(header.instrument);
        let cause = state.interrupted[Kind::BookDelta as usize].take();
        let Some(tracked) = state.book.as_deref_mut() else { return };
        let seen = std::mem::replace(&mut tracked.last_id, header.sequence);
        tracked.exchange_ns = header.exchange_ns;
        tracked.delta_id = header.sequence;
        tracked.hole = None;
        if seen == 0 || header.sequence == 0 || seen == header.sequence {
            return;
        }
        let reason = cause.map_or(GapReason::Resynchronised as u8, |cause| cause.reason);
        if header.sequence > seen {
            self.report(header, Kind::BookDelta, reason, (seen + 1, header.sequence), out);
        } else {
            self.report(header, Kind::BookDelta, GapReason::Reset as u8, (seen + 1, 0), out);
        }
    }
}
