//! The decoder of one connection: the predicted path first, the general one where it gives up.

use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{RecordBuffer, Sink};
use marketprism_core::venue::{DecodeCounts, DecodeError, Decoder, Outcome};
use marketprism_core::{InstrumentId, Kind};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::symbols::RecentSymbols;

use crate::general::General;
use crate::market::MarketKind;
use crate::predicted::Predicted;

/// Reads the frames of one connection.
pub struct FrameDecoder {
    symbols: SymbolTable,
    market: MarketKind,
    recent: RecentSymbols,
    levels: LevelBuffer,
    staged: RecordBuffer,
    counts: DecodeCounts,
}

impl FrameDecoder {
    /// A decoder for the market with this name; an unknown name is treated like `spot`.
    pub fn new(market: &str, symbols: SymbolTable) -> FrameDecoder {
        FrameDecoder {
            symbols,
            market: MarketKind::of(market),
            recent: RecentSymbols::default(),
            levels: LevelBuffer::default(),
            staged: RecordBuffer::default(),
            counts: DecodeCounts::default(),
        }
    }

    /// The predicted path alone, not counted. `None`: it gave up, and nothing was appended.
    #[doc(hidden)]
    #[inline]
    pub fn predicted(&mut self, frame: &[u8], receive_ns: i64, sink: &mut dyn Sink) -> Option<Kind> {
        let FrameDecoder { symbols, market, recent, levels, staged, .. } = self;
        Predicted { symbols, recent, levels, market: *market, receive_ns, staged }.read(frame, sink)
    }

    /// The general path alone, not counted. On an error nothing was appended.
    #[doc(hidden)]
    pub fn general(
        &mut self,
        frame: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<(Outcome, Option<Kind>), DecodeError> {
        let FrameDecoder { symbols, market, levels, staged, .. } = self;
        staged.clear();
        let outcome = General { symbols, levels, market: *market, receive_ns, staged }.read(frame)?;
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
        match kind {
            Some(kind) => self.counts.count_general(kind),
            None if outcome == Outcome::Data => self.counts.ignored += 1,
            None => {}
        }
        Ok(outcome)
    }

    fn learn(&mut self, symbol: &[u8], instrument: InstrumentId) {
        self.symbols.insert(symbol, instrument);
    }

    fn counts(&self) -> &DecodeCounts {
        &self.counts
    }
}
