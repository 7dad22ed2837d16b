//! The decoder of one connection: the predicted path first, the general one where it gives up.

use marketprism_core::instrument::{InstrumentId, SymbolTable};
use marketprism_core::record::{RecordBuffer, Sink};
use marketprism_core::venue::{DecodeCounts, DecodeError, Decoder, Outcome};
use marketprism_core::{Kind, Level};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::symbols::RecentSymbols;

use crate::general::General;
use crate::predicted::Predicted;

/// Reads the frames of one connection.
pub struct FrameDecoder {
    symbols: SymbolTable,
    spot: bool,
    recent: RecentSymbols,
    levels: LevelBuffer,
    bids_first: Vec<Level>,
    staged: RecordBuffer,
    counts: DecodeCounts,
}

impl FrameDecoder {
    /// A decoder for the market with this name; an unknown name is treated like `swap`.
    pub fn new(market: &str, symbols: SymbolTable) -> FrameDecoder {
        FrameDecoder {
            symbols,
            spot: market == "spot",
            recent: RecentSymbols::default(),
            levels: LevelBuffer::default(),
            bids_first: Vec::new(),
            staged: RecordBuffer::default(),
            counts: DecodeCounts::default(),
        }
    }

    /// The predicted path alone, not counted. `None`: it gave up, and nothing was appended.
    #[doc(hidden)]
    #[inline]
    pub fn predicted(&mut self, frame: &[u8], receive_ns: i64, sink: &mut dyn Sink) -> Option<Kind> {
        let FrameDecoder { symbols, spot, recent, levels, bids_first, .. } = self;
        Predicted { symbols, spot: *spot, recent, levels, bids_first, receive_ns }.read(frame, sink)
    }

    /// The general path alone; of it, only entries that are ignored are counted. On an error nothing was appended.
    #[doc(hidden)]
    pub fn general(
        &mut self,
        frame: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<(Outcome, Option<Kind>), DecodeError> {
        let FrameDecoder { symbols, spot, levels, staged, counts, .. } = self;
        staged.clear();
        let mut general = General { symbols, spot: *spot, levels, receive_ns, staged, ignored: 0 };
        let outcome = general.read(frame)?;
        counts.ignored += general.ignored;
        for record in staged.iter() {
            sink.push_ref(record);
        }
        Ok((outcome, staged.iter().next().and_then(|record| record.kind())))
    }
}

impl Decoder for FrameDecoder {
    fn decode(&mut self, frame: &[u8], receive_ns: i64, sink: &mut dyn Sink) -> Result<Outcome, DecodeError> {
        if let Some(kind) = self.predicted(frame, receive_ns, sink) {
            self.counts.count_predicted(kind);
            return Ok(Outcome::Data);
        }
        let (outcome, kind) = self.general(frame, receive_ns, sink)?;
        if let Some(kind) = kind {
            self.counts.count_general(kind);
        }
        Ok(outcome)
    }

    fn learn(&mut self, symbol: &[u8], instrument: InstrumentId) {
        self.symbols.insert(symbol, instrument);
        // A recent symbol would keep an id that it no longer has.
        self.recent = RecentSymbols::default();
    }

    fn counts(&self) -> &DecodeCounts {
        &self.counts
    }
}
