//! The decoder of one connection: the predicted path first, the general one where it gives up.

use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{RecordBuffer, Sink};
use marketprism_core::venue::{DecodeCounts, DecodeError, Decoder, Outcome};
use marketprism_core::{InstrumentId, Kind};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::symbols::RecentSymbols;

use crate::general::General;
use crate::predicted::Predicted;

/// Reads the frames of one connection.
pub struct FrameDecoder {
    symbols: SymbolTable,
    own_type: Option<u64>,
    recent: RecentSymbols,
    levels: LevelBuffer,
    staged: RecordBuffer,
    counts: DecodeCounts,
}

impl FrameDecoder {
    /// A decoder for the market with this name; an unknown name is treated like `spot`.
    pub fn new(market: &str, symbols: SymbolTable) -> FrameDecoder {
        let own_type = match market {
            "usdm" => Some(1),
            "coinm" => Some(2),
            _ => None,
        };
        FrameDecoder {
            symbols,
            own_type,
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
        let FrameDecoder { symbols, own_type, recent, levels, .. } = self;
        Predicted { symbols, recent, levels, own_type: *own_type, receive_ns }.read(frame, sink)
    }

    /// The general path alone, not counted. On an error nothing was appended.
    #[doc(hidden)]
    pub fn general(
        &mut self,
        frame: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<(Outcome, Option<Kind>), DecodeError> {
        let FrameDecoder { symbols, own_type, levels, staged, .. } = self;
        staged.clear();
        let outcome = General { symbols, levels, own_type: *own_type, receive_ns, staged }.read(frame)?;
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
        // It may hold the symbol with an instrument from before.
        self.recent = RecentSymbols::default();
    }

    fn counts(&self) -> &DecodeCounts {
        &self.counts
    }
}
