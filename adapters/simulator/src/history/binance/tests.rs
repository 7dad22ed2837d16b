//! A record that is written as a frame and read by the adapter is the same record.

use marketprism_binance::{Binance, FrameDecoder};
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{
    ABSENT, AggTrade, Book, Candle, FundingRate, Header, Level, Liquidation, MarkPrice, Quote, RecordBuffer,
    Ticker, Trade, fixed_text, flag,
};
use marketprism_core::venue::{Decoder, Outcome, Venue};
use marketprism_core::{Decimal, Instrument, Kind, RecordRef};
use proptest::prelude::*;

use super::frames::Frames;
use super::instruments::entry;
use super::streams::{candle_suffix, top_suffix};
use crate::config::Market;

const RECEIVE_NS: i64 = 1_700_000_000_123_456_789;

fn symbol(market: Market) -> &'static str {
    match market {
        Market::Spot | Market::Usdm => "BTCUSDT",
        Market::Coinm => "BTCUSD_PERP",
    }
}

/// What the adapter reads from a payload on a stream; it must be read without a look at anything unexpected.
fn decoded(market: Market, suffix: &str, payload: &str) -> RecordBuffer {
    let mut symbols = SymbolTable::default();
    symbols.insert(symbol(market).as_bytes(), 7);
    let mut decoder = FrameDecoder::new(market.name(), symbols);
    let stream = format!("{}@{suffix}", symbol(market).to_ascii_lowercase());
    let frame = format!("{{\"stream\":\"{stream}\",\"data\":{payload}}}");
    let mut records = RecordBuffer::default();
    let outcome = decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records);
    assert_eq!(outcome, Ok(Outcome::Data), "{frame}");
    assert_eq!(
        decoder.counts().general.iter().sum::<u64>(),
        0,
        "the order of keys is not the venue's: {frame}"
    );
    records
}

fn instrument(market: Market) -> Instrument {
    Instrument::unknown("binance", market.name(), symbol(market))
}

/// Demands that a record is read back as it was; a mark price may have its funding rate behind it.
fn same(market: Market, suffix: &str, payload: &str, records: &[RecordRef<'_>]) -> Result<(), TestCaseError> {
    let read = decoded(market, suffix, payload);
    prop_assert_eq!(read.iter().collect::<Vec<_>>(), records, "{}", payload);
    Ok(())
}

fn markets() -> impl Strategy<Value = Market> {
    prop::sample::select(Market::ALL.to_vec())
}

fn futures() -> impl Strategy<Value = Market> {
    prop::sample::select(vec![Market::Usdm, Market::Coinm])
}

/// A positive number that a venue may send.
fn amount() -> impl Strategy<Value = i64> {
    0..10_000_000_000_000_i64
}

/// Whole milliseconds of the years from 2001 on.
fn time_ns() -> impl Strategy<Value = i64> {
    (1_000_000_000_000..3_000_000_000_000_i64).prop_map(|milliseconds| milliseconds * 1_000_000)
}

/// Ids of 18 digits at most: the adapter reads longer ones more slowly.
const MOST_ID: i64 = 1_000_000_000_000_000_000;

fn header(kind: Kind) -> impl Strategy<Value = Header> {
    (-8..=0_i8, -8..=0_i8, 1..MOST_ID as u64, time_ns()).prop_map(
        move |(price, quantity, sequence, exchange_ns)| Header {
            price_exponent: price,
            quantity_exponent: quantity,
            sequence,
            exchange_ns,
            ..Header::new(kind, 7, RECEIVE_NS)
        },
    )
}

/// A header of a message without an id, or without one of the exponents.
fn plain(header: Header) -> Header {
    Header { sequence: 0, ..header }
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    prop::collection::vec((1..1_000_000_000_i64, amount()), 1..30)
        .prop_map(|levels| levels.into_iter().map(|(price, quantity)| Level { price, quantity }).collect())
}

fn bool_number() -> impl Strategy<Value = u8> {
    0..=1_u8
}

proptest! {
    #[test]
    fn trades(
        market in markets(), header in header(Kind::Trade), event_ns in time_ns(), price in amount(), quantity in amount(),
        side in 1..=2_u8, trade_type in 0..=3_u8,
    ) {
        // Spot tells no types.
        let trade_type = if market == Market::Spot { 0 } else { trade_type };
        let trade = Trade { header, price, quantity, event_ns, side, trade_type, reserved: [0; 2], fills: 0 };
        let payload = Frames { market, instrument: &instrument(market) }.trade(&trade);
        same(market, "trade", &payload, &[RecordRef::Trade(&trade)])?;
    }

    #[test]
    fn aggregates(
        market in markets(), header in header(Kind::AggTrade), event_ns in time_ns(), price in amount(),
        quantity in amount(), normal in amount(), first_trade_id in any::<u32>(), fills in any::<u16>(), side in 1..=2_u8,
    ) {
        let first_trade_id = u64::from(first_trade_id);
        let trade = AggTrade {
            header, price, quantity, first_trade_id,
            normal_quantity: if market == Market::Usdm { normal } else { ABSENT },
            last_trade_id: first_trade_id + u64::from(fills),
            event_ns, side, reserved: [0; 47],
        };
        let payload = Frames { market, instrument: &instrument(market) }.agg_trade(&trade);
        same(market, "aggTrade", &payload, &[RecordRef::AggTrade(&trade)])?;
    }

    #[test]
    fn quotes(market in markets(), header in header(Kind::Quote), numbers in [amount(), amount(), amount(), amount()]) {
        let [bid_price, bid_quantity, ask_price, ask_quantity] = numbers;
        let exchange_ns = if market == Market::Spot { TIME_MISSING } else { header.exchange_ns };
        let header = Header { exchange_ns, ..header };
        let quote = Quote { header, bid_price, bid_quantity, ask_price, ask_quantity };
        let payload = Frames { market, instrument: &instrument(market) }.quote(&quote);
        same(market, "bookTicker", &payload, &[RecordRef::Quote(&quote)])?;
    }

    #[test]
    fn deltas(
        market in markets(), header in header(Kind::BookDelta), event_ns in time_ns(), levels in levels(),
        bids in any::<prop::sample::Index>(), covered in any::<u16>(), previous_id in -1..MOST_ID,
    ) {
        let bids = bids.index(levels.len());
        let is_spot = market == Market::Spot;
        let header = Header { exchange_ns: if is_spot { event_ns } else { header.exchange_ns }, ..header };
        let book = Book {
            header,
            first_id: header.sequence.saturating_sub(covered.into()),
            previous_id: if is_spot { ABSENT } else { previous_id },
            event_ns,
            level_start: 0,
            bid_levels: bids as u16,
            ask_levels: (levels.len() - bids) as u16,
        };
        let payload = Frames { market, instrument: &instrument(market) }.depth(&book, &levels);
        same(market, "depth@100ms", &payload, &[RecordRef::Book(&book, &levels)])?;
    }

    #[test]
    fn tops(
        market in markets(), header in header(Kind::BookSnapshot), event_ns in time_ns(), levels in levels(),
        previous_id in 0..MOST_ID,
    ) {
        let bids = levels.len() / 2;
        let mut header = Header { flags: flag::SNAPSHOT | flag::PARTIAL, ..header };
        let is_spot = market == Market::Spot;
        if is_spot {
            header.exchange_ns = TIME_MISSING;
        }
        let book = Book {
            header,
            first_id: header.sequence,
            previous_id: if is_spot { ABSENT } else { previous_id },
            event_ns: if is_spot { TIME_MISSING } else { event_ns },
            level_start: 0,
            bid_levels: bids as u16,
            ask_levels: (levels.len() - bids) as u16,
        };
        let payload = Frames { market, instrument: &instrument(market) }.top(&book, &levels);
        same(market, top_suffix(&book), &payload, &[RecordRef::Book(&book, &levels)])?;
    }

    #[test]
    fn candles(
        market in markets(), header in header(Kind::Candle), times in [time_ns(), time_ns()],
        prices in [amount(), amount(), amount(), amount()], volumes in [amount(), amount(), amount(), amount()],
        trades in 0..i64::from(u32::MAX), interval in prop::sample::select(vec!["1m", "12h", "1M"]),
        closed in bool_number(), quote_volume_exponent in -8..=0_i8,
    ) {
        let [open, high, low, close] = prices;
        let [volume, quote_volume, taker_buy_volume, taker_buy_quote_volume] = volumes;
        let candle = Candle {
            header: plain(header), open_ns: times[0], close_ns: times[1], open, high, low, close, volume, quote_volume,
            taker_buy_volume, taker_buy_quote_volume, trades, interval: fixed_text(interval.as_bytes()), closed,
            quote_volume_exponent, reserved: [0; 2],
        };
        let payload = Frames { market, instrument: &instrument(market) }.candle(&candle);
        same(market, &candle_suffix(&candle), &payload, &[RecordRef::Candle(&candle)])?;
    }

    #[test]
    fn tickers(
        market in markets(), header in header(Kind::Ticker), prices in prop::array::uniform7(amount()),
        amounts in [amount(), amount(), amount(), amount(), amount()], times in [time_ns(), time_ns()],
        ids in [-1..MOST_ID, -1..MOST_ID, 0..MOST_ID], quote_volume_exponent in -8..=0_i8,
    ) {
        let [last, open, high, low, weighted_average, bid_price, ask_price] = prices;
        let [volume, last_quantity, bid_quantity, ask_quantity, quote_volume] = amounts;
        // Only spot has the best prices here.
        let best = |value: i64| if market == Market::Spot { value } else { ABSENT };
        let ticker = Ticker {
            header: plain(header), last, open, high, low, weighted_average,
            bid_price: best(bid_price), ask_price: best(ask_price),
            volume, last_quantity, bid_quantity: best(bid_quantity), ask_quantity: best(ask_quantity),
            quote_volume, open_ns: times[0], close_ns: times[1],
            first_trade_id: ids[0], last_trade_id: ids[1], trades: ids[2],
            base_volume: ABSENT, quote_volume_exponent, base_volume_exponent: 0, reserved: [0; 14],
        };
        let payload = Frames { market, instrument: &instrument(market) }.ticker(&ticker);
        same(market, "ticker", &payload, &[RecordRef::Ticker(&ticker)])?;
    }

    #[test]
    fn marks_with_and_without_funding(
        market in futures(), header in header(Kind::MarkPrice), prices in [amount(), amount(), amount(), amount()],
        given in [any::<bool>(), any::<bool>()], rate in -1_000_000..1_000_000_i64, rate_exponent in -8..=0_i8,
        next_funding_ns in time_ns(), has_funding in any::<bool>(),
    ) {
        let [mark_price, index_price, settlement_price, average_price] = prices;
        let header = Header { quantity_exponent: 0, ..plain(header) };
        let mark = MarkPrice {
            header, mark_price,
            index_price: if given[0] { index_price } else { ABSENT },
            settlement_price: if given[1] { settlement_price } else { ABSENT },
            average_price: if market == Market::Usdm { average_price } else { ABSENT },
        };
        let funding = FundingRate {
            header: Header { exchange_ns: header.exchange_ns, ..Header::new(Kind::FundingRate, 7, RECEIVE_NS) },
            rate, next_funding_ns, interval_ns: ABSENT, realised_rate: ABSENT, premium: ABSENT, interest_rate: ABSENT,
            rate_exponent, realised_exponent: 0, premium_exponent: 0, interest_exponent: 0, reserved: [0; 44],
        };
        let frames = instrument(market);
        let frames = Frames { market, instrument: &frames };
        let payload = frames.mark_price(&mark, has_funding.then_some(&funding));
        let both = [RecordRef::MarkPrice(&mark), RecordRef::FundingRate(&funding)];
        same(market, "markPrice@1s", &payload, &both[..1 + usize::from(has_funding)])?;
    }

    #[test]
    fn liquidations(
        market in futures(), header in header(Kind::Liquidation), event_ns in time_ns(), prices in [amount(), amount()],
        quantities in [amount(), amount(), amount()], side in 0..=2_u8,
    ) {
        let [quantity, filled_quantity, last_quantity] = quantities;
        let order = Liquidation {
            header: plain(header), price: prices[0], average_price: prices[1], quantity, filled_quantity, last_quantity,
            event_ns, status: fixed_text(b"PARTIALLY_FILLED"), side, reserved: [0; 23],
        };
        let payload = Frames { market, instrument: &instrument(market) }.liquidation(&order);
        same(market, "forceOrder", &payload, &[RecordRef::Liquidation(&order)])?;
    }

    #[test]
    fn definitions(
        market in markets(), tick in (1..1000_i64, -8..=0_i8), lot in (1..1000_i64, -8..=0_i8), is_dated in any::<bool>(),
        status in prop::sample::select(vec!["TRADING", "BREAK", "SETTLING"]),
    ) {
        let value = json_list(market, &[definition(market, tick, lot, is_dated, status)]);
        let venue = Binance;
        let of_venue = venue.market(market.name()).expect("exists");
        let (read, unread) = venue.parse_instruments(of_venue, value.as_bytes()).expect("is a list");
        prop_assert_eq!(unread, Vec::<String>::new());
        prop_assert_eq!(read, vec![definition(market, tick, lot, is_dated, status)]);
    }
}

fn json_list(market: Market, definitions: &[Instrument]) -> String {
    let symbols: Vec<_> = definitions.iter().map(|definition| entry(market, definition)).collect();
    serde_json::json!({ "symbols": symbols }).to_string()
}

fn definition(market: Market, tick: (i64, i8), lot: (i64, i8), is_dated: bool, status: &str) -> Instrument {
    use marketprism_core::instrument::InstrumentType;
    let step = |(mantissa, exponent)| {
        let short = Decimal::new(mantissa, exponent).normalised();
        Some(if short.exponent > 0 { short.rescale(0).expect("small") } else { short })
    };
    let quote = if market == Market::Coinm { "USD" } else { "USDT" };
    let is_dated = is_dated && market.is_futures();
    let is_coin = market == Market::Coinm;
    let suffix = if is_dated {
        "_261225"
    } else if is_coin {
        "_PERP"
    } else {
        ""
    };
    let term = match (market.is_futures(), is_dated) {
        (false, _) => "",
        (true, true) => "-20261225",
        (true, false) => "-PERP",
    };
    let pair = format!("BTC{quote}");
    let size = is_coin.then_some(Decimal::new(100, 0));
    Instrument {
        symbol: format!("BTC-{quote}{term}"),
        instrument_type: match (market.is_futures(), is_dated) {
            (false, _) => InstrumentType::Spot,
            (true, true) => InstrumentType::Future,
            (true, false) => InstrumentType::Perpetual,
        },
        base: "BTC".into(),
        quote: quote.into(),
        settle: if market.is_futures() { "BTC".into() } else { String::new() },
        tick: step(tick),
        lot: step(lot),
        contract_size: size,
        multiplier: size,
        inverse: is_coin,
        underlying: if market.is_futures() { pair.clone() } else { String::new() },
        listing_ns: market.is_futures().then_some(1_569_398_400_000_000_000),
        expiry_ns: is_dated.then_some(1_798_185_600_000_000_000),
        status: status.into(),
        suspended: status == "BREAK",
        delisted: status == "SETTLING",
        ..Instrument::unknown("binance", market.name(), &format!("{pair}{suffix}"))
    }
}
