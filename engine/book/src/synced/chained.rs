//! Books whose stream itself brings the snapshot.

use marketprism_core::Level;
use marketprism_core::record::Book;

use super::{DeltaStep, State, StreamSnapshotStep, SyncedBook, split};
use crate::rule::{Position, Relation, expectation, relation};

impl SyncedBook {
    /// Takes a full snapshot that came in the stream of a [`Chained`](marketprism_core::venue::Continuity::Chained)
    /// book. It replaces what is there, unless its id is lower than that of a valid book: then it is stale or at least not
    /// to be believed before the venue, asked anew, says the same.
    pub fn on_stream_snapshot(&mut self, book: &Book, levels: &[Level]) -> StreamSnapshotStep {
        if self.chain.is_stale(&book.header) {
            return StreamSnapshotStep::Stale;
        }
        if self.state == State::Valid && book.header.sequence < self.position.last_id {
            self.lose();
            return StreamSnapshotStep::Doubtful;
        }
        self.chain.see(&book.header);
        let (price_exponent, quantity_exponent) = (book.header.price_exponent, book.header.quantity_exponent);
        let loaded = split(book, levels)
            .and_then(|(bids, asks)| self.book.load(price_exponent, quantity_exponent, bids, asks));
        if let Err(error) = loaded {
            self.lose();
            return StreamSnapshotStep::Unusable(error);
        }
        let before = std::mem::replace(&mut self.state, State::Valid);
        self.position = Position::of_snapshot(book.header.sequence);
        self.chain.start();
        if let Err((given, computed)) = self.chain.verify(book, &self.book) {
            self.lose();
            return StreamSnapshotStep::ChecksumMismatch { given, computed };
        }
        match before {
            State::Waiting => StreamSnapshotStep::Valid,
            State::Valid => StreamSnapshotStep::Replaced,
        }
    }

    /// [`on_delta`](SyncedBook::on_delta) of a chained stream.
    pub(super) fn on_chained_delta(&mut self, book: &Book, levels: &[Level]) -> DeltaStep {
        let step = self.follow(book, levels);
        if step != DeltaStep::Contained {
            self.chain.see(&book.header);
        }
        let failed = matches!(
            step,
            DeltaStep::Broken { .. } | DeltaStep::Unusable(_) | DeltaStep::ChecksumMismatch { .. }
        );
        if failed {
            self.lose();
        }
        step
    }

    /// Brings the delta into the book, where it belongs there.
    fn follow(&mut self, book: &Book, levels: &[Level]) -> DeltaStep {
        if self.state == State::Waiting {
            return DeltaStep::NoBook;
        }
        if relation(self.continuity, self.position, book) != Relation::Follows {
            if self.chain.holds(book) {
                return DeltaStep::Contained;
            }
            let (expected, got) = expectation(self.continuity, self.position, book);
            return DeltaStep::Broken { expected, got };
        }
        let (price_exponent, quantity_exponent) = (book.header.price_exponent, book.header.quantity_exponent);
        let applied = split(book, levels)
            .and_then(|(bids, asks)| self.book.apply(price_exponent, quantity_exponent, bids, asks));
        if let Err(error) = applied {
            return DeltaStep::Unusable(error);
        }
        self.position = Position::of_delta(book);
        self.chain.push(book);
        match self.chain.verify(book, &self.book) {
            Ok(()) => DeltaStep::Applied,
            Err((given, computed)) => DeltaStep::ChecksumMismatch { given, computed },
        }
    }
}
