//! Answers over HTTP.

use std::collections::BTreeMap;

use marketprism_core::Decimal;
use marketprism_core::record::{LongShortRatio, RatioBasis};

use crate::history::chained::numbers::venue_time;

/// Paths of the long/short ratios, without what they have in common, by [`RatioBasis`] number.
const PATHS: [(u8, &str); 3] = [
    (RatioBasis::GlobalAccount as u8, "long-short-account-ratio-contract"),
    (RatioBasis::TopAccount as u8, "long-short-account-ratio-contract-top-trader"),
    (RatioBasis::TopPosition as u8, "long-short-position-ratio-contract-top-trader"),
];
const PREFIX: &str = "/api/v5/rubik/stat/contracts/";

/// The newest long/short ratios.
#[derive(Debug, Default)]
pub(crate) struct Ratios(BTreeMap<(&'static str, String), String>);

impl Ratios {
    /// Keeps a ratio; gives the path that answers with it.
    pub(crate) fn keep(&mut self, ratio: &LongShortRatio, symbol: &str) -> Option<String> {
        let (_, name) = PATHS.into_iter().find(|(basis, _)| *basis == ratio.basis)?;
        let time = venue_time(ratio.header.exchange_ns)?;
        let row = format!("[\"{time}\",\"{}\"]", Decimal::new(ratio.ratio, ratio.ratio_exponent));
        self.0.insert((name, symbol.to_owned()), row);
        Some(format!("{PREFIX}{name}"))
    }

    /// The rows of an answer as a JSON array, none before the first ratio; `None` for other paths.
    pub(crate) fn answer(&self, path: &str, symbol: &str) -> Option<String> {
        let (_, name) = PATHS.into_iter().find(|(_, name)| path.strip_prefix(PREFIX) == Some(name))?;
        let row = self.0.get(&(name, symbol.to_owned())).map_or("", String::as_str);
        Some(format!("[{row}]"))
    }
}

#[cfg(test)]
mod tests {
    use marketprism_core::record::RecordBuffer;
    use marketprism_core::venue::Venue;
    use marketprism_core::{Instrument, RecordRef};
    use marketprism_okx::Okx;

    use super::*;
    use crate::history::chained::testing::{INSTRUMENT, RECEIVE_NS, instrument};

    #[test]
    fn ratios_come_back() {
        let mut ratios = Ratios::default();
        let poll = |answer: &str| {
            let market = Okx.market("swap").unwrap();
            let polls = Okx.polls(
                market,
                "long_short_ratio",
                &Instrument { id: INSTRUMENT, ..instrument("swap", "BTC-USDT-SWAP", "BTC-USDT") },
            );
            let poll = polls.into_iter().find(|poll| poll.answer == answer).unwrap();
            let path = poll.request.path.split('?').next().unwrap().to_owned();
            (market, poll, path)
        };
        let (market, poll, path) = poll("long_short_account_ratio_top_trader");
        assert_eq!(ratios.answer(&path, "BTC-USDT-SWAP").as_deref(), Some("[]"));
        let body = "{\"code\":\"0\",\"msg\":\"\",\"data\":[[\"1701417600000\",\"1.1739\"]]}";
        let read = |body: &str| {
            let mut records = RecordBuffer::default();
            Okx.parse_poll(market, &poll, body.as_bytes(), (0, RECEIVE_NS), &mut records).unwrap();
            records
        };
        let records = read(body);
        let RecordRef::LongShortRatio(ratio) = records.iter().next().unwrap() else { panic!("{records:?}") };
        assert_eq!(ratios.keep(ratio, "BTC-USDT-SWAP").as_ref(), Some(&path));
        let answer = ratios.answer(&path, "BTC-USDT-SWAP").unwrap();
        let again = read(&format!("{{\"code\":\"0\",\"msg\":\"\",\"data\":{answer}}}"));
        assert_eq!(again.lines(), records.lines());
        assert_eq!(ratios.answer("/api/v5/public/other", "BTC-USDT-SWAP"), None);
    }
}
