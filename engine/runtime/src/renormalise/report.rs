//! What comparing came to.

use marketprism_core::instrument::Registry;
use marketprism_core::json::write_record;
use marketprism_core::record::RecordRef;
use serde::Serialize;
use serde_json::value::RawValue;

/// Differences that are kept with their values; all are counted.
const MOST_DIFFERENCES: usize = 10;

/// What comparing came to. The default is: nothing was compared.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Renormalisation {
    /// The markets of which everything was kept.
    pub markets: Vec<MarketReport>,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// What could not be compared, and why.
    pub not_compared: Vec<Span>,
}

/// One market.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarketReport {
    /// Its venue.
    pub venue: String,
    /// Its name.
    pub market: String,
    /// Frames decoded again.
    pub frames: u64,
    /// Answers to requests read again.
    pub answers: u64,
    /// Records made again and found equal.
    pub records: u64,
    /// Records that differ, are not stored, or are stored and not made again.
    pub differences: u64,
}

/// A record that is not what its frame gives.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Capture sequence of the stored record, or of the one before which a record is missing.
    pub sequence: u64,
    /// The stored record, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Box<RawValue>>,
    /// The record made again, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Box<RawValue>>,
}

/// Records that could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Capture sequence of the first.
    pub from_sequence: u64,
    /// Capture sequence of the last.
    pub to_sequence: u64,
    /// Why.
    pub reason: String,
}

impl Renormalisation {
    /// Whether something was compared, and nothing differs.
    pub fn is_ok(&self) -> bool {
        let compared = self.markets.iter().any(|market| market.frames > 0);
        compared && self.markets.iter().all(|market| market.differences == 0)
    }

    /// The place of a market, which is added where it is new.
    pub(super) fn place(&mut self, venue: &str, market: &str) -> usize {
        let same = |report: &MarketReport| report.venue == venue && report.market == market;
        self.markets.iter().position(same).unwrap_or_else(|| {
            let (venue, market) = (venue.to_owned(), market.to_owned());
            self.markets.push(MarketReport { venue, market, ..MarketReport::default() });
            self.markets.len() - 1
        })
    }

    pub(super) fn market(&mut self, place: usize) -> Option<&mut MarketReport> {
        self.markets.get_mut(place)
    }

    pub(super) fn differ(
        &mut self,
        place: usize,
        (sequence, registry): (u64, &Registry),
        stored: Option<RecordRef<'_>>,
        made: Option<RecordRef<'_>>,
    ) {
        if let Some(market) = self.market(place) {
            market.differences += 1;
        }
        if self.differences.len() < MOST_DIFFERENCES {
            let json = |record: RecordRef<'_>| {
                let instrument = registry.get(record.header().instrument)?;
                let mut line = Vec::new();
                write_record(&mut line, record, instrument, sequence);
                RawValue::from_string(String::from_utf8_lossy(&line).trim_end().to_owned()).ok()
            };
            let (stored, made) = (stored.and_then(json), made.and_then(json));
            self.differences.push(Difference { sequence, stored, made });
        }
    }
}
