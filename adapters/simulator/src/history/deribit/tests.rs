//! Every record comes back from the frame that was made of it, and the frame looks like the venue's.
#![allow(clippy::unwrap_used)]

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{ABSENT, Book, Header, RecordBuffer, Sink};
use marketprism_core::{Decimal, Instrument, Kind, Level, RecordRef};
use marketprism_deribit::FrameDecoder;
use proptest::prelude::*;
use serde_json::Value;

use super::ticker::Ticker as Joined;
use super::{Message, render};
use crate::history::chained::testing::{
    INSTRUMENT, RECEIVE_NS, captured, decoded, has_shape, instrument, table,
};

/// Channels and their data as the venue writes them now, after its documentation.
const FRAMES: [(&str, &str, &str); 14] = [
    (
        "option",
        "book.BTC-24SEP21-8000-P.100ms",
        r#"{"type":"snapshot","timestamp":1626993722319,"instrument_name":"BTC-24SEP21-8000-P","change_id":33195894164,"bids":[["new",0.0005,153.1]],"asks":[["new",0.0015,94.7],["new",0.002,22.0]]}"#,
    ),
    (
        "option",
        "book.BTC-24SEP21-8000-P.100ms",
        r#"{"type":"change","timestamp":1626993724318,"prev_change_id":33195894164,"instrument_name":"BTC-24SEP21-8000-P","change_id":33195894355,"bids":[],"asks":[["delete",0.001,0.0]]}"#,
    ),
    (
        "perpetual",
        "book.BTC-PERPETUAL.none.1.100ms",
        r#"{"timestamp":1769246173071,"instrument_name":"BTC-PERPETUAL","change_id":136725664747,"bids":[[89532.5,254900.0]],"asks":[[89533.0,91570.0]]}"#,
    ),
    (
        "perpetual",
        "trades.BTC-PERPETUAL.100ms",
        r#"[{"timestamp":1765531356452,"price":92294.5,"amount":10.0,"direction":"sell","index_price":92276.75,"instrument_name":"BTC-PERPETUAL","trade_seq":271252854,"mark_price":92287.11,"tick_direction":2,"contracts":1.0,"combo_trade_id":"43","trade_id":"403691824"}]"#,
    ),
    (
        "perpetual",
        "trades.BTC-PERPETUAL.100ms",
        r#"[{"trade_seq":92836832,"trade_id":"137487242","timestamp":1616321478553,"tick_direction":1,"price":56168.0,"mark_price":56172.08,"instrument_name":"BTC-PERPETUAL","index_price":56173.74,"direction":"buy","amount":60.0,"contracts":6.0,"liquidation":"MT"}]"#,
    ),
    (
        "option",
        "trades.BTC-26MAR21-62000-C.100ms",
        r#"[{"trade_seq":1706,"trade_id":"137488100","timestamp":1616321732986,"tick_direction":0,"price":0.007,"mark_price":0.00670817,"iv":78.44,"instrument_name":"BTC-26MAR21-62000-C","index_price":56151.63,"direction":"buy","block_trade_id":"66","block_trade_leg_count":1,"amount":0.1,"contracts":0.1}]"#,
    ),
    (
        "perpetual",
        "quote.BTC-PERPETUAL",
        r#"{"timestamp":1765541767174,"instrument_name":"BTC-PERPETUAL","best_ask_price":92288.5,"best_bid_price":0.0,"best_ask_amount":99470.0,"best_bid_amount":0.0}"#,
    ),
    (
        "perpetual",
        "ticker.BTC-PERPETUAL.100ms",
        r#"{"timestamp":1765541474086,"state":"open","stats":{"high":93612.0,"low":89277.5,"price_change":2.3275,"volume":11897.27640428,"volume_usd":1092371540.0,"volume_notional":1092371540.0},"index_price":92263.55,"instrument_name":"BTC-PERPETUAL","last_price":92283.5,"settlement_price":92464.66,"min_price":90897.5,"max_price":93666.5,"open_interest":1132329370.0,"mark_price":92281.78,"interest_value":0.0028213400122472977,"best_ask_price":92284.0,"best_bid_price":92283.5,"estimated_delivery_price":92263.55,"best_ask_amount":186520.0,"best_bid_amount":117660.0,"current_funding":0.0,"funding_8h":1.742e-05}"#,
    ),
    (
        "option",
        "ticker.BTC-30SEP22-60000-C.100ms",
        r#"{"underlying_price":30220.5,"underlying_index":"BTC-30SEP22","timestamp":1654161839367,"stats":{"volume":16.7,"price_change":-18.1818,"low":0.009,"high":0.011,"volume_usd":1.5,"volume_notional":1.5},"state":"open","settlement_price":0.01,"open_interest":1767.5,"min_price":0.0001,"max_price":0.038,"mark_price":0.0084,"mark_iv":67.7,"last_price":0.009,"interest_rate":0.0,"instrument_name":"BTC-30SEP22-60000-C","index_price":29939.43,"greeks":{"vega":20.05335,"theta":-5.65962,"rho":4.91491,"gamma":0.00001,"delta":0.05785},"estimated_delivery_price":29939.43,"bid_iv":67.16,"best_bid_price":0.008,"best_bid_amount":2.8,"best_ask_price":0.009,"best_ask_amount":18.5,"ask_iv":68.65}"#,
    ),
    (
        "future",
        "ticker.BTC_USDC-27MAR26.agg2",
        r#"{"timestamp":1765541474086,"state":"open","stats":{"high":93612.0,"low":89277.5,"price_change":2.3275,"volume":12.5,"volume_usd":1150000.0,"volume_notional":1150000.0},"index_price":92263.55,"instrument_name":"BTC_USDC-27MAR26","last_price":92283.5,"settlement_price":92464.66,"min_price":90897.5,"max_price":93666.5,"open_interest":1.5,"mark_price":92281.78,"best_ask_price":92284.0,"best_bid_price":92283.5,"estimated_delivery_price":92263.55,"best_ask_amount":0.2,"best_bid_amount":1.25}"#,
    ),
    (
        "option",
        "ticker.ETH-27AUG21-4000-P.100ms",
        r#"{"underlying_price":1999.98,"underlying_index":"ETH-27AUG21","timestamp":1626993723632,"stats":{"volume":null,"price_change":null,"low":null,"high":null,"volume_usd":null,"volume_notional":null},"state":"open","settlement_price":1.02,"open_interest":8,"min_price":0.9425,"max_price":1.09,"mark_price":1.005718,"mark_iv":117.2,"last_price":null,"interest_rate":0.0,"instrument_name":"ETH-27AUG21-4000-P","index_price":2006.72,"greeks":{"vega":0.56891,"theta":-0.94207,"rho":-3.80566,"gamma":0.00013,"delta":-0.95701},"estimated_delivery_price":2006.72,"bid_iv":0.0,"best_bid_price":0.0,"best_bid_amount":0.0,"best_ask_price":null,"best_ask_amount":null,"ask_iv":0.0}"#,
    ),
    (
        "perpetual",
        "deribit_price_index.btc_usd",
        r#"{"index_name":"btc_usd","price":3937.89,"timestamp":1550588002899}"#,
    ),
    (
        "perpetual",
        "deribit_volatility_index.btc_usd",
        r#"{"volatility":129.36,"timestamp":1619777946007,"index_name":"btc_usd"}"#,
    ),
    (
        "perpetual",
        "chart.trades.BTC-PERPETUAL.1D",
        r#"{"tick":1767200040000,"open":87490.0,"high":87500.0,"low":87465.0,"close":87474.0,"volume":0.95978896,"cost":83970.0}"#,
    ),
];

/// The instrument or index in the name of a channel.
fn subject(channel: &str) -> &str {
    channel.trim_start_matches("chart.").split('.').nth(1).unwrap()
}

pub(super) fn instrument_of(market: &str, channel: &str) -> Instrument {
    let symbol = subject(channel);
    let underlying = if channel.starts_with("deribit_") { symbol } else { "btc_usd" };
    let contract_size = (market == "perpetual").then_some(Decimal::new(10, 0));
    Instrument { contract_size, ..instrument(market, symbol, underlying) }
}

/// The messages of the records of one frame.
fn messages(records: &RecordBuffer, instrument: &Instrument) -> Vec<Message> {
    let mut ticker = Joined::default();
    let mut messages = Vec::new();
    for record in records.iter() {
        if !ticker.add(record, instrument) {
            messages.extend(render(record, instrument, None));
        }
    }
    if ticker.records > 0 {
        messages.push(ticker.message(instrument));
    }
    messages
}

/// The frame made of the records of one frame gives these records again; gives the frame.
pub(super) fn comes_back(records: &RecordBuffer, instrument: &Instrument) -> Result<String, TestCaseError> {
    let messages = messages(records, instrument);
    let [message] = messages.as_slice() else { return Err(TestCaseError::fail(format!("{messages:?}"))) };
    let frame = message.text(&message.stream.channels()[0][0]);
    let mut decoder = FrameDecoder::new(&instrument.market, table(&instrument.venue_symbol));
    let again = decoded(&mut decoder, &frame);
    prop_assert_eq!(again.iter().collect::<Vec<_>>(), records.iter().collect::<Vec<_>>(), "{}", frame);
    Ok(frame)
}

pub(super) fn one(record: RecordRef<'_>) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    let sink: &mut dyn Sink = &mut records;
    sink.push_ref(record);
    records
}

#[test]
fn frames_made_of_records_look_like_the_venues() {
    for (market, channel, data) in FRAMES {
        let instrument = instrument_of(market, channel);
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{{\"channel\":\"{channel}\",\"data\":{data}}}}}"
        );
        let mut decoder = FrameDecoder::new(market, table(&instrument.venue_symbol));
        let records = decoded(&mut decoder, &text);
        let made = comes_back(&records, &instrument).unwrap();
        let mut is_predicted =
            |frame: &str| decoder.predicted(frame.as_bytes(), 0, &mut RecordBuffer::default()).is_some();
        assert!(is_predicted(&made) && is_predicted(&text), "{made}");
        let (made, frame): (Value, Value) =
            (serde_json::from_str(&made).unwrap(), serde_json::from_str(&text).unwrap());
        assert!(has_shape(&made, &frame, false), "{made} for {frame}");
        let channels = messages(&records, &instrument)[0].stream.channels();
        assert!(channels.concat().contains(&channel.to_owned()), "{channels:?}");
    }
}

#[test]
fn captured_frames_come_back() {
    for (market, text) in captured("deribit") {
        let frame: Value = serde_json::from_str(&text).unwrap();
        let instrument = instrument_of(&market, frame["params"]["channel"].as_str().unwrap());
        let mut decoder = FrameDecoder::new(&market, table(&instrument.venue_symbol));
        let records = decoded(&mut decoder, &text);
        let made: Value = serde_json::from_str(&comes_back(&records, &instrument).unwrap()).unwrap();
        assert!(has_shape(&made, &frame, true), "{made} for {frame}");
    }
}

#[test]
fn changed_levels_are_told_from_new_ones() {
    let level = |price, quantity| Level { price, quantity };
    let header = |kind, sequence| Header { sequence, ..Header::new(kind, INSTRUMENT, RECEIVE_NS) };
    let record = |kind, sequence, previous_id, bid_levels, ask_levels| Book {
        header: header(kind, sequence),
        first_id: 0,
        previous_id,
        event_ns: TIME_MISSING,
        level_start: 0,
        bid_levels,
        ask_levels,
    };
    let mut book = crate::history::chained::Book::default();
    book.take(&record(Kind::BookSnapshot, 5, ABSENT, 1, 1), &[level(10, 1), level(12, 1)]);
    let change = record(Kind::BookDelta, 6, 5, 2, 1);
    let levels = [level(10, 2), level(9, 1), level(12, 0)];
    let message =
        render(RecordRef::Book(&change, &levels), &instrument("spot", "BTC_USDC", ""), Some(&book)).unwrap();
    let data: Value = serde_json::from_str(&message.data).unwrap();
    assert_eq!(data["bids"], serde_json::json!([["change", 10, 2], ["new", 9, 1]]));
    assert_eq!(data["asks"][0][0], "delete");
}
