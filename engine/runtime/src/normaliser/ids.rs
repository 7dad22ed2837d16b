//! Streams whose ids are contiguous: trades.

use marketprism_core::record::{GapReason, Header, Kind, Sink};

use super::{InstrumentState, Normaliser};

/// An id this far or less behind the newest is a message seen before; farther, the venue began anew.
const DUPLICATE_WINDOW: u64 = 100_000;

impl InstrumentState {
    #[inline]
    fn last_trade_id(&mut self, kind: Kind) -> &mut Option<u64> {
        if kind == Kind::Trade { &mut self.trade_id } else { &mut self.agg_trade_id }
    }
}

impl Normaliser {
    /// Whether a record with the ids `first_id` to `header.sequence` brings any that is new. Reports what is missing
    /// before it.
    #[inline]
    pub(super) fn check_id(
        &mut self,
        header: &Header,
        first_id: u64,
        kind: Kind,
        out: &mut dyn Sink,
    ) -> bool {
        let state = self.state(header.instrument);
        let interrupted = state.interrupted[kind as usize].is_some();
        let previous = state.last_trade_id(kind).replace(header.sequence);
        if previous.is_some_and(|previous| previous.wrapping_add(1) == first_id) && !interrupted {
            return true;
        }
        self.check_jump(header, first_id, kind, previous, out)
    }

    #[cold]
    fn check_jump(
        &mut self,
        header: &Header,
        first_id: u64,
        kind: Kind,
        previous: Option<u64>,
        out: &mut dyn Sink,
    ) -> bool {
        let id = header.sequence;
        let state = self.state(header.instrument);
        let Some(previous) = previous else {
            state.interrupted[kind as usize] = None;
            return true;
        };
        if id <= previous && previous - id <= DUPLICATE_WINDOW {
            *state.last_trade_id(kind) = Some(previous);
            self.counts.duplicates += 1;
            return false;
        }
        let cause = state.interrupted[kind as usize].take();
        if id < previous {
            self.report(header, kind, GapReason::Reset as u8, (previous + 1, 0), out);
        } else if first_id > previous + 1 {
            let reason = cause.map_or(GapReason::Sequence as u8, |cause| cause.reason);
            self.report(header, kind, reason, (previous + 1, first_id - 1), out);
        }
        true
    }
}
