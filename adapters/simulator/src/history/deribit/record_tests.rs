//! Records of any numbers come back from the frames that are made of them.
#![allow(clippy::unwrap_used)]

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::*;
use marketprism_core::{Instrument, Kind};
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{comes_back, instrument_of, one};
use crate::history::chained::testing::{counting, exponents, found, header, levels, optional, own};

/// Price and quantity of a side, which may be empty.
fn side() -> impl Strategy<Value = (i64, i64)> {
    prop_oneof![4 => (counting(), counting()), 1 => Just((ABSENT, ABSENT))]
}

fn perpetual() -> Instrument {
    instrument_of("perpetual", "quote.BTC-PERPETUAL")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trades(
        (price, quantity) in exponents(), numbers in (counting(), counting()), prices in [optional(), optional()],
        volatility in own(), sequence: u64, id in "[A-Z0-9-]{1,24}", side in 0u8..3, special in (0u8..2, 0u8..2),
    ) {
        let header = Header { sequence, ..header(Kind::DetailedTrade, price, quantity) };
        let trade = Trade {
            header, price: numbers.0, quantity: numbers.1, event_ns: TIME_MISSING, side,
            trade_type: TradeType::Market as u8, reserved: [0; 2], fills: 0,
        };
        let [mark_price, index_price] = prices;
        let detailed = DetailedTrade {
            trade, mark_price, index_price, implied_volatility: volatility.0, trade_id: fixed_text(id.as_bytes()),
            volatility_exponent: volatility.1, liquidation: 0, block: special.0, combo: special.1, reserved: [0; 12],
        };
        comes_back(&one(RecordRef::DetailedTrade(&detailed)), &perpetual())?;
    }

    #[test]
    fn books(
        exponents in exponents(), bids in levels(25), asks in levels(25), ids in (0u64..1 << 60, 0i64..1 << 60), form in 0u8..3,
    ) {
        let all = [bids.clone(), asks.clone()].concat();
        let (price, quantity) = found(exponents, &all);
        let (kind, flags, previous_id) = match form {
            0 => (Kind::BookSnapshot, flag::SNAPSHOT, ABSENT),
            1 => (Kind::BookDelta, 0, ids.1),
            _ if bids.len().max(asks.len()) <= 20 => (Kind::BookSnapshot, flag::SNAPSHOT | flag::PARTIAL, ABSENT),
            _ => (Kind::BookSnapshot, flag::SNAPSHOT, ABSENT),
        };
        let book = Book {
            header: Header { flags, sequence: ids.0, ..header(kind, price, quantity) }, first_id: 0, previous_id,
            event_ns: TIME_MISSING, level_start: 0, bid_levels: bids.len() as u16, ask_levels: asks.len() as u16,
        };
        comes_back(&one(RecordRef::Book(&book, &all)), &perpetual())?;
    }

    #[test]
    fn quotes((price, quantity) in exponents(), bid in side(), ask in (counting(), counting())) {
        let quote = Quote {
            header: header(Kind::Quote, price, quantity),
            bid_price: bid.0, bid_quantity: bid.1, ask_price: ask.0, ask_quantity: ask.1,
        };
        comes_back(&one(RecordRef::Quote(&quote)), &perpetual())?;
    }

    /// All records of one message, of an inverse future and of an option.
    #[test]
    fn tickers(
        (price, quantity) in exponents(), prices in (counting(), optional(), optional()), bid in side(),
        ask in (counting(), counting()), volumes in [own(), own()], marks in (counting(), optional(), optional()),
        interest in counting(), rates in [own(), own(), own()], has_rates: bool, is_option: bool,
        numbers in proptest::collection::vec(own(), 16),
    ) {
        let [volume, quote_volume] = volumes;
        let none = (ABSENT, 0);
        // The volume of an option is in the unit of its quantities; here it is absent, as that shares their exponent.
        let base = if is_option { none } else { volume };
        let mut records = RecordBuffer::default();
        let sink: &mut dyn Sink = &mut records;
        sink.push(&Ticker {
            header: header(Kind::Ticker, price, quantity), last: prices.0, open: ABSENT, high: prices.1, low: prices.2,
            weighted_average: ABSENT, bid_price: bid.0, ask_price: ask.0, volume: ABSENT, last_quantity: ABSENT,
            bid_quantity: bid.1, ask_quantity: ask.1, quote_volume: quote_volume.0, open_ns: TIME_MISSING,
            close_ns: TIME_MISSING, first_trade_id: ABSENT, last_trade_id: ABSENT, trades: ABSENT, base_volume: base.0,
            quote_volume_exponent: quote_volume.1, base_volume_exponent: base.1, reserved: [0; 14],
        });
        sink.push(&MarkPrice {
            header: header(Kind::MarkPrice, price, 0), mark_price: marks.0, index_price: marks.1,
            settlement_price: marks.2, average_price: ABSENT,
        });
        sink.push(&OpenInterest {
            header: header(Kind::OpenInterest, 0, quantity), open_interest: interest, open_interest_value: ABSENT,
            open_interest_base: ABSENT, value_exponent: 0, base_exponent: 0, reserved: [0; 6],
        });
        let [rate, realised, part] = rates;
        if has_rates && (rate.0 != ABSENT || realised.0 != ABSENT) {
            sink.push(&FundingRate {
                header: header(Kind::FundingRate, 0, 0), rate: rate.0, next_funding_ns: TIME_MISSING, interval_ns: ABSENT,
                realised_rate: realised.0, premium: ABSENT, interest_rate: part.0, rate_exponent: rate.1,
                realised_exponent: realised.1, premium_exponent: 0, interest_exponent: part.1, reserved: [0; 44],
            });
        }
        let number = |place: usize| if matches!(place, 0..=4 | 9..=11 | 13..=14) { numbers[place] } else { none };
        let of = |place: usize| number(place).0;
        if is_option && (0..12).any(|place| of(place) != ABSENT) {
            let mut exponents = [0; 16];
            exponents.iter_mut().enumerate().for_each(|(place, exponent)| *exponent = number(place).1);
            sink.push(&Greeks {
                header: header(Kind::Greeks, 0, 0), delta: of(0), gamma: of(1), vega: of(2), theta: of(3), rho: of(4),
                delta_bs: ABSENT, gamma_bs: ABSENT, vega_bs: ABSENT, theta_bs: ABSENT, mark_volatility: of(9),
                bid_volatility: of(10), ask_volatility: of(11), at_the_money_volatility: ABSENT,
                underlying_price: of(13), interest_rate: of(14), leverage: ABSENT, exponents, reserved: [0; 16],
            });
        }
        let channel = if is_option { "quote.BTC-30SEP22-60000-C" } else { "quote.BTC-PERPETUAL" };
        comes_back(&records, &instrument_of(if is_option { "option" } else { "perpetual" }, channel))?;
    }

    #[test]
    fn indices((exponent, _) in exponents(), price in counting()) {
        let header = |kind| header(kind, exponent, 0);
        let index = instrument_of("perpetual", "deribit_price_index.btc_usd");
        let record = MarkPrice {
            header: header(Kind::MarkPrice), mark_price: ABSENT, index_price: price, settlement_price: ABSENT,
            average_price: ABSENT,
        };
        comes_back(&one(RecordRef::MarkPrice(&record)), &index)?;
        let record = VolatilityIndex { header: header(Kind::VolatilityIndex), volatility: price, reserved: [0; 24] };
        comes_back(&one(RecordRef::VolatilityIndex(&record)), &index)?;
    }

    #[test]
    fn candles(
        (price, quantity) in exponents(), prices in [counting(), counting(), counting(), counting()], volume in counting(),
        cost in own(), (resolution, minutes) in select(vec![("1", 1), ("720", 720), ("1D", 1440)]),
    ) {
        let open_ns = 1_699_920_000_000_000_000;
        let [open, high, low, close] = prices;
        let record = Candle {
            header: Header { exchange_ns: TIME_MISSING, ..header(Kind::Candle, price, quantity) }, open_ns,
            close_ns: open_ns + minutes * 60_000_000_000 - 1_000_000, open, high, low, close, volume,
            quote_volume: cost.0, taker_buy_volume: ABSENT, taker_buy_quote_volume: ABSENT, trades: ABSENT,
            interval: fixed_text(resolution.as_bytes()), closed: 0, quote_volume_exponent: cost.1, reserved: [0; 2],
        };
        comes_back(&one(RecordRef::Candle(&record)), &perpetual())?;
    }
}
