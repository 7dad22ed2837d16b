//! One or more records of every kind, with another number in every field.

use marketprism_core::Decimal;
use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::*;

use super::*;

/// Takes a record into a batch, with levels or bytes behind it.
pub type Take<'a> = &'a mut dyn FnMut(RecordRef<'_>);

/// The definition of instrument 4, which comes with the data.
pub fn definition() -> Instrument {
    Instrument {
        id: 4,
        symbol: "BTC-USD-20261225-100000-C".into(),
        instrument_type: InstrumentType::Option,
        base: "BTC".into(),
        tick: Some(Decimal::new(5, -4)),
        inverse: true,
        ..Instrument::unknown("deribit", "option", "BTC-25DEC26-100000-C")
    }
}

/// A record whose numbers differ from field to field. Bytes and short fields are left to the caller.
fn filled<R: Record>(instrument: u32, id: u64) -> R {
    let mut record = R::zeroed();
    let words: &mut [i64] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut record));
    for (place, word) in (0..).zip(words.iter_mut()) {
        *word = (1_000_000 + id as i64 * 1000 + place) * if place % 5 == 0 { -1 } else { 1 };
    }
    let header = Header {
        price_exponent: -2,
        quantity_exponent: -3,
        sequence: id,
        exchange_ns: 1_723_161_255_000_000_000 + id as i64,
        ..Header::new(R::KIND, instrument, 1_723_161_255_000_500_000 + id as i64 * 1000)
    };
    let bytes = bytemuck::bytes_of_mut(&mut record);
    bytes[..size_of::<Header>()].copy_from_slice(bytemuck::bytes_of(&header));
    record
}

fn header<R: Record>(instrument: u32, id: u64) -> Header {
    *filled::<R>(instrument, id).header()
}

/// Trades, aggregated and detailed ones.
pub fn trades_of_all_kinds(take: Take<'_>) {
    let trade = Trade { side: 1, trade_type: 2, reserved: [0; 2], fills: 3, ..filled(1, 101) };
    take(RecordRef::Trade(&trade));
    let mut bare = Trade { event_ns: ABSENT, side: 0, trade_type: 0, fills: 0, ..trade };
    bare.header.exchange_ns = ABSENT;
    bare.header.flags = flag::BACKFILLED | flag::REST | flag::SUSPECT_CLOCK;
    bare.header.price_exponent = 2;
    take(RecordRef::Trade(&bare));
    take(RecordRef::AggTrade(&AggTrade { side: 2, reserved: [0; 47], ..filled(1, 102) }));
    let mut detailed = DetailedTrade {
        trade,
        trade_id: fixed_text(b"ETH-12345"),
        volatility_exponent: -1,
        liquidation: 3,
        block: 1,
        combo: 0,
        reserved: [0; 12],
        ..filled(4, 103)
    };
    detailed.trade.header = header::<DetailedTrade>(4, 103);
    take(RecordRef::DetailedTrade(&detailed));
}

/// Snapshots, deltas and quotes.
pub fn books_of_all_kinds(take: Take<'_>) {
    let levels: Vec<Level> =
        (0..5).map(|place| Level { price: 6_000_000 - place * 100, quantity: place * 7 }).collect();
    let book = Book { level_start: 0, bid_levels: 2, ask_levels: 3, ..filled(2, 201) };
    take(RecordRef::Book(&book, &levels));
    let mut snapshot = Book { bid_levels: 1, ask_levels: 0, first_id: 4_000_000_000, ..book };
    snapshot.previous_id = ABSENT;
    snapshot.header.kind = Kind::BookSnapshot as u8;
    snapshot.header.flags = flag::SNAPSHOT | flag::CHECKSUM | flag::BOOK_INVALID;
    take(RecordRef::Book(&snapshot, &levels[4..]));
    let mut empty = Book { bid_levels: 0, ask_levels: 0, first_id: 0, ..book };
    empty.header.sequence = 0;
    take(RecordRef::Book(&empty, &[]));
    let mut quote: Quote = filled(2, 202);
    take(RecordRef::Quote(&quote));
    (quote.ask_price, quote.ask_quantity, quote.header.flags) = (ABSENT, ABSENT, flag::DERIVED);
    take(RecordRef::Quote(&quote));
}

/// What venues tell besides trades and books.
pub fn statistics_of_all_kinds(take: Take<'_>) {
    let ticker = Ticker {
        quote_volume_exponent: -4,
        base_volume_exponent: 1,
        last_trade_id: ABSENT,
        reserved: [0; 14],
        ..filled(3, 301)
    };
    take(RecordRef::Ticker(&ticker));
    take(RecordRef::MarkPrice(&MarkPrice { settlement_price: ABSENT, ..filled(3, 302) }));
    let funding = FundingRate {
        rate_exponent: -8,
        realised_exponent: -9,
        premium_exponent: -10,
        interest_exponent: 0,
        reserved: [0; 44],
        ..filled(3, 303)
    };
    take(RecordRef::FundingRate(&funding));
    let interest = OpenInterest { value_exponent: -1, base_exponent: -6, reserved: [0; 6], ..filled(3, 304) };
    take(RecordRef::OpenInterest(&interest));
    let status = fixed_text(b"FILLED");
    take(RecordRef::Liquidation(&Liquidation { status, side: 2, reserved: [0; 23], ..filled(3, 305) }));
    let candle = Candle {
        interval: *b"12h\0",
        closed: 1,
        quote_volume_exponent: -5,
        reserved: [0; 2],
        ..filled(3, 306)
    };
    take(RecordRef::Candle(&candle));
    let ratio = LongShortRatio {
        ratio_exponent: -4,
        share_exponent: -5,
        basis: 2,
        period: *b"5m\0\0",
        reserved: 0,
        ..filled(3, 307)
    };
    take(RecordRef::LongShortRatio(&ratio));
    let exponents = std::array::from_fn(|place| -(place as i8));
    take(RecordRef::Greeks(&Greeks { exponents, leverage: ABSENT, reserved: [0; 16], ..filled(4, 308) }));
    take(RecordRef::VolatilityIndex(&VolatilityIndex { reserved: [0; 24], ..filled(4, 309) }));
    take(RecordRef::ClockSample(&ClockSample { reserved: [0; 16], ..filled(3, 310) }));
}

/// Definitions, sessions, gaps and raw frames.
pub fn notes_of_all_kinds(take: Take<'_>) {
    let json = serde_json::to_vec(&definition()).unwrap();
    let body = |bytes: &[u8]| Body { start: 0, bytes: bytes.len() as u32 };
    take(RecordRef::Definition(
        &Definition { body: body(&json), reserved: [0; 24], ..filled(4, 401) },
        &json,
    ));
    let detail = br#"{"reason":"the other side closed","code":1006}"#;
    let session =
        Session { body: body(detail), connection: 7, event: 3, reserved: [0; 19], ..filled(1, 402) };
    take(RecordRef::Session(&session, detail));
    let gap = Gap { stream: 4, reason: 7, repaired: 1, reserved: 0, records: 12, ..filled(2, 403) };
    take(RecordRef::Gap(&gap));
    let unknown = Gap { from_id: 0, to_id: 0, from_ns: ABSENT, reason: 5, repaired: 0, records: 0, ..gap };
    take(RecordRef::Gap(&unknown));
    let frame = "not read{\"e\":\"größer\"}".as_bytes();
    let raw = Raw {
        body: body(frame),
        connection: 2,
        reason_bytes: 8,
        frame_bytes: 900,
        offset: 0,
        reserved: [0; 8],
        ..filled(1, 404)
    };
    take(RecordRef::Raw(&raw, frame));
}
