//! Records of any numbers come back from the frames that are made of them.
#![allow(clippy::unwrap_used)]

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::*;
use marketprism_core::{Instrument, Kind};
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::comes_back;
use crate::history::chained::testing::{
    counting, exponents, found, header, instrument, levels, optional, own,
};

fn swap() -> Instrument {
    instrument("swap", "BTC-USDT-SWAP", "BTC-USDT")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trades(
        (price, quantity) in exponents(), numbers in (counting(), counting()), id in 1u64.., fills in 0u32..100,
        side in 0u8..3,
    ) {
        let header = Header { sequence: id, ..header(Kind::Trade, price, quantity) };
        let trade = Trade {
            header, price: numbers.0, quantity: numbers.1, event_ns: TIME_MISSING, side,
            trade_type: TradeType::Market as u8, reserved: [0; 2], fills,
        };
        comes_back(RecordRef::Trade(&trade), &swap())?;
    }

    #[test]
    fn books(
        exponents in exponents(), bids in levels(30), asks in levels(30), ids in (0u64..1 << 60, -1i64..1 << 60),
        checksum in proptest::option::of(1u32..), snapshot: bool,
    ) {
        let all = [bids.clone(), asks.clone()].concat();
        let (price, quantity) = found(exponents, &all);
        let kind = if snapshot { Kind::BookSnapshot } else { Kind::BookDelta };
        // The decoder takes a checksum only where no number has a needless zero.
        let shows = |mantissas: Vec<i64>, exponent: i8| exponent == 0 || mantissas.iter().any(|m| m % 10 != 0);
        let canonical = shows(all.iter().map(|level| level.price).collect(), price)
            && shows(all.iter().map(|level| level.quantity).collect(), quantity);
        let checksum = checksum.filter(|_| canonical);
        let flags = if snapshot { flag::SNAPSHOT } else { 0 } | if checksum.is_some() { flag::CHECKSUM } else { 0 };
        let book = Book {
            header: Header { flags, sequence: ids.0, ..header(kind, price, quantity) },
            first_id: checksum.unwrap_or(0).into(), previous_id: ids.1, event_ns: TIME_MISSING, level_start: 0,
            bid_levels: bids.len() as u16, ask_levels: asks.len() as u16,
        };
        comes_back(RecordRef::Book(&book, &all), &swap())?;
    }

    #[test]
    fn best_levels(exponents in exponents(), bids in levels(6), asks in levels(6), id: u64) {
        let all = [bids.clone(), asks.clone()].concat();
        let (price, quantity) = found(exponents, &all);
        let header = header(Kind::BookSnapshot, price, quantity);
        let book = Book {
            header: Header { flags: flag::SNAPSHOT | flag::PARTIAL, sequence: id, ..header },
            first_id: 0, previous_id: ABSENT, event_ns: TIME_MISSING, level_start: 0,
            bid_levels: bids.len() as u16, ask_levels: asks.len() as u16,
        };
        comes_back(RecordRef::Book(&book, &all), &swap())?;
    }

    #[test]
    fn quotes((price, quantity) in exponents(), bid in (counting(), counting()), ask in (counting(), counting()), empty in 0u8..3) {
        let level = |side: u8, level: (i64, i64)| if empty == side { (ABSENT, ABSENT) } else { level };
        let (bid, ask) = (level(1, bid), level(2, ask));
        let quote = Quote {
            header: Header { sequence: 9, ..header(Kind::Quote, price, quantity) },
            bid_price: bid.0, bid_quantity: bid.1, ask_price: ask.0, ask_quantity: ask.1,
        };
        comes_back(RecordRef::Quote(&quote), &swap())?;
    }

    #[test]
    fn tickers(
        (price, quantity) in exponents(), last in counting(), prices in [optional(), optional(), optional(), optional(), optional()],
        volume in counting(), quantities in [optional(), optional(), optional()], (currency, exponent) in own(), spot: bool,
    ) {
        let [open, high, low, bid_price, ask_price] = prices;
        let [last_quantity, bid_quantity, ask_quantity] = quantities;
        let none = (ABSENT, 0);
        let (quote, base) = if spot { ((currency, exponent), none) } else { (none, (currency, exponent)) };
        let ticker = Ticker {
            header: header(Kind::Ticker, price, quantity), last, open, high, low, weighted_average: ABSENT, bid_price,
            ask_price, volume, last_quantity, bid_quantity, ask_quantity, quote_volume: quote.0, open_ns: TIME_MISSING,
            close_ns: TIME_MISSING, first_trade_id: ABSENT, last_trade_id: ABSENT, trades: ABSENT, base_volume: base.0,
            quote_volume_exponent: quote.1, base_volume_exponent: base.1, reserved: [0; 14],
        };
        let instrument = if spot { instrument("spot", "BTC-USDT", "") } else { swap() };
        comes_back(RecordRef::Ticker(&ticker), &instrument)?;
    }

    #[test]
    fn prices((exponent, _) in exponents(), price in counting(), is_index: bool) {
        let (mark_price, index_price) = if is_index { (ABSENT, price) } else { (price, ABSENT) };
        let header = header(Kind::MarkPrice, exponent, 0);
        let record = MarkPrice { header, mark_price, index_price, settlement_price: ABSENT, average_price: ABSENT };
        let instrument = if is_index { instrument("swap", "BTC-USDT", "BTC-USDT") } else { swap() };
        comes_back(RecordRef::MarkPrice(&record), &instrument)?;
    }

    #[test]
    fn funding_rates(
        rate in (-1_000_000i64..1_000_000, -16i8..=0), optional in [own(), own(), own()],
        hours in proptest::option::of(1i64..100),
    ) {
        let [realised, premium, interest] = optional;
        let record = FundingRate {
            header: header(Kind::FundingRate, 0, 0), rate: rate.0, next_funding_ns: 1_700_000_000_000_000_000,
            interval_ns: hours.map_or(ABSENT, |hours| hours * 3_600_000_000_000), realised_rate: realised.0,
            premium: premium.0, interest_rate: interest.0, rate_exponent: rate.1, realised_exponent: realised.1,
            premium_exponent: premium.1, interest_exponent: interest.1, reserved: [0; 44],
        };
        comes_back(RecordRef::FundingRate(&record), &swap())?;
    }

    #[test]
    fn open_interest((_, exponent) in exponents(), contracts in counting(), value in own(), base in own()) {
        let record = OpenInterest {
            header: header(Kind::OpenInterest, 0, exponent), open_interest: contracts, open_interest_value: value.0,
            open_interest_base: base.0, value_exponent: value.1, base_exponent: base.1, reserved: [0; 6],
        };
        comes_back(RecordRef::OpenInterest(&record), &swap())?;
    }

    #[test]
    fn liquidations((price, quantity) in exponents(), numbers in (counting(), counting()), side in 1u8..3, position in select(vec!["long", "short", "net", ""])) {
        let order = Liquidation {
            header: header(Kind::Liquidation, price, quantity), price: numbers.0, average_price: ABSENT,
            quantity: numbers.1, filled_quantity: ABSENT, last_quantity: ABSENT, event_ns: TIME_MISSING,
            status: fixed_text(position.as_bytes()), side, reserved: [0; 23],
        };
        comes_back(RecordRef::Liquidation(&order), &swap())?;
    }

    #[test]
    fn candles(
        (price, quantity) in exponents(), prices in [counting(), counting(), counting(), counting()], volume in counting(),
        amount in own(), bar in select(vec![("1s", Some(1)), ("1m", Some(60)), ("1M", None), ("12Hu", Some(43_200)), ("3Mu", None)]),
        closed in 0u8..2,
    ) {
        let open_ns = 1_699_920_000_000_000_000;
        let [open, high, low, close] = prices;
        let header = Header { exchange_ns: TIME_MISSING, ..header(Kind::Candle, price, quantity) };
        let record = Candle {
            header, open_ns, close_ns: bar.1.map_or(TIME_MISSING, |seconds| open_ns + seconds * 1_000_000_000 - 1_000_000),
            open, high, low, close, volume, quote_volume: amount.0, taker_buy_volume: ABSENT,
            taker_buy_quote_volume: ABSENT, trades: ABSENT, interval: fixed_text(bar.0.as_bytes()), closed,
            quote_volume_exponent: amount.1, reserved: [0; 2],
        };
        comes_back(RecordRef::Candle(&record), &swap())?;
    }

    #[test]
    fn greeks(numbers in proptest::collection::vec(own(), 16)) {
        // The venue gives neither rho nor an interest rate.
        let number = |place: usize| if place == 4 || place == 14 { (ABSENT, 0) } else { numbers[place] };
        let of = |place: usize| number(place).0;
        let mut exponents = [0; 16];
        exponents.iter_mut().enumerate().for_each(|(place, exponent)| *exponent = number(place).1);
        let record = Greeks {
            header: header(Kind::Greeks, 0, 0), delta: of(0), gamma: of(1), vega: of(2), theta: of(3), rho: of(4),
            delta_bs: of(5), gamma_bs: of(6), vega_bs: of(7), theta_bs: of(8), mark_volatility: of(9),
            bid_volatility: of(10), ask_volatility: of(11), at_the_money_volatility: of(12), underlying_price: of(13),
            interest_rate: of(14), leverage: of(15), exponents, reserved: [0; 16],
        };
        comes_back(RecordRef::Greeks(&record), &instrument("option", "BTC-USD-220304-32000-P", "BTC-USD"))?;
    }
}
