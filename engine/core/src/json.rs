//! Records as JSON lines: decimals as strings, times as integer nanoseconds, ids as strings, what is not
//! known left out.

use std::io::Write;

use crate::amounts::amounts;
use crate::clock::TIME_MISSING;
use crate::decimal::Decimal;
use crate::instrument::Instrument;
use crate::record::*;

/// Appends one record as one JSON object and a line feed. `sequence` is the capture sequence.
pub fn write_record(out: &mut Vec<u8>, record: RecordRef<'_>, instrument: &Instrument, sequence: u64) {
    fields_of(out, record, instrument, sequence).object.end();
}

/// As [`write_record`]; trades and liquidations get `base_quantity` and `quote_quantity`, computed with the
/// instrument's definition, where they are within 128 bits.
pub fn write_record_with_amounts(
    out: &mut Vec<u8>,
    record: RecordRef<'_>,
    instrument: &Instrument,
    sequence: u64,
) {
    let mut fields = fields_of(out, record, instrument, sequence);
    fields.amounts(record, instrument);
    fields.object.end();
}

/// Everything but the end of a record's object.
fn fields_of<'o>(
    out: &'o mut Vec<u8>,
    record: RecordRef<'_>,
    instrument: &Instrument,
    sequence: u64,
) -> Fields<'o> {
    let header = record.header();
    let mut object = Object::begin(out);
    object.text("kind", record.kind().map_or("unknown", |kind| kind.stream().name()));
    object.text("venue", &instrument.venue);
    object.text("market", &instrument.market);
    if !instrument.venue_symbol.is_empty() {
        object.text("symbol", &instrument.symbol);
        object.text("venue_symbol", &instrument.venue_symbol);
    }
    object.time("exchange_ns", header.exchange_ns);
    object.time("receive_ns", header.receive_ns);
    object.number("sequence", sequence);
    object.flags(header.flags);
    let mut fields = Fields { object, price: header.price_exponent, quantity: header.quantity_exponent };
    match record {
        RecordRef::Trade(trade) => fields.trade(trade),
        RecordRef::AggTrade(trade) => fields.agg_trade(trade),
        RecordRef::Book(book, levels) => fields.book(book, levels),
        RecordRef::Quote(quote) => fields.quote(quote),
        RecordRef::Ticker(ticker) => fields.ticker(ticker),
        RecordRef::MarkPrice(mark) => fields.mark_price(mark),
        RecordRef::FundingRate(funding) => fields.funding_rate(funding),
        RecordRef::OpenInterest(interest) => fields.open_interest(interest),
        RecordRef::Liquidation(order) => fields.liquidation(order),
        RecordRef::Candle(candle) => fields.candle(candle),
        RecordRef::LongShortRatio(ratio) => fields.long_short_ratio(ratio),
        RecordRef::Definition(_, body) => fields.object.embed("definition", body),
        RecordRef::Session(session, body) => fields.session(session, body),
        RecordRef::Gap(gap) => fields.gap(gap),
        RecordRef::Raw(raw, body) => fields.raw(raw, body),
        RecordRef::DetailedTrade(trade) => fields.detailed_trade(trade),
        RecordRef::Greeks(greeks) => fields.greeks(greeks),
        RecordRef::VolatilityIndex(index) => fields.price("volatility", index.volatility),
        RecordRef::ClockSample(sample) => fields.clock_sample(sample),
    }
    fields
}

/// Appends an `error` object: a frame that could not be read.
pub fn write_error(
    out: &mut Vec<u8>,
    venue: &str,
    market: &str,
    receive_ns: i64,
    reason: &str,
    frame: &[u8],
) {
    let mut object = Object::begin(out);
    object.text("kind", "error");
    object.text("venue", venue);
    object.text("market", market);
    object.time("receive_ns", receive_ns);
    object.text("reason", reason);
    object.text("frame", &String::from_utf8_lossy(frame));
    object.end();
}

/// Appends a book's state: one `{"kind":"book",…}` line. Levels are best first.
pub fn write_book(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    last_id: u64,
    exponents: (i8, i8),
    bids: impl Iterator<Item = Level>,
    asks: impl Iterator<Item = Level>,
) {
    let mut object = Object::begin(out);
    object.text("kind", "book");
    object.text("venue", &instrument.venue);
    object.text("market", &instrument.market);
    object.text("symbol", &instrument.symbol);
    object.text("venue_symbol", &instrument.venue_symbol);
    object.boolean("valid", true);
    object.id("last_id", last_id);
    let mut fields = Fields { object, price: exponents.0, quantity: exponents.1 };
    fields.levels("bids", bids);
    fields.levels("asks", asks);
    fields.object.end();
}

struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, first: true }
    }

    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        // Writing a string to a vector cannot fail.
        let _ = serde_json::to_writer(&mut *self.out, value);
    }

    fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        let _ = write!(self.out, "{value}");
    }

    fn boolean(&mut self, key: &str, value: bool) {
        self.number(key, value);
    }

    fn id(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        let _ = write!(self.out, "\"{value}\"");
    }

    fn time(&mut self, key: &str, value: i64) {
        if value != TIME_MISSING {
            self.number(key, value);
        }
    }

    fn decimal(&mut self, key: &str, mantissa: i64, exponent: i8) {
        if mantissa != ABSENT {
            self.key(key);
            self.raw_decimal(mantissa, exponent);
        }
    }

    fn raw_decimal(&mut self, mantissa: i64, exponent: i8) {
        self.out.push(b'"');
        Decimal::new(mantissa, exponent).write(self.out);
        self.out.push(b'"');
    }

    fn flags(&mut self, flags: u8) {
        self.key("flags");
        self.out.push(b'[');
        let mut first = true;
        for (bit, name) in flag::NAMES {
            if flags & bit != 0 {
                let comma = if first { "" } else { "," };
                let _ = write!(self.out, "{comma}\"{name}\"");
                first = false;
            }
        }
        self.out.push(b']');
    }

    /// A body that is JSON already; anything else is left out.
    fn embed(&mut self, key: &str, body: &[u8]) {
        if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
            self.key(key);
            self.out.extend_from_slice(body);
        }
    }
}

struct Fields<'a> {
    object: Object<'a>,
    price: i8,
    quantity: i8,
}

impl Fields<'_> {
    fn price(&mut self, key: &str, mantissa: i64) {
        self.object.decimal(key, mantissa, self.price);
    }

    fn quantity(&mut self, key: &str, mantissa: i64) {
        self.object.decimal(key, mantissa, self.quantity);
    }

    fn side(&mut self, side: u8) {
        if let Some(name) = Side::name(side) {
            self.object.text("side", name);
        }
    }

    fn amounts(&mut self, record: RecordRef<'_>, instrument: &Instrument) {
        let (price, quantity) = match record {
            RecordRef::AggTrade(trade) => (trade.price, trade.quantity),
            RecordRef::Liquidation(order) => (order.price, order.quantity),
            _ => match record.trade() {
                Some(trade) => (trade.price, trade.quantity),
                None => return,
            },
        };
        if price == ABSENT || quantity == ABSENT {
            return;
        }
        let (price, quantity) = (Decimal::new(price, self.price), Decimal::new(quantity, self.quantity));
        if let Some(amounts) = amounts(instrument, price, quantity) {
            self.object.id("base_quantity", amounts.base);
            self.object.id("quote_quantity", amounts.quote);
        }
    }

    fn trade(&mut self, trade: &Trade) {
        self.trade_core(trade);
        self.object.id("trade_id", trade.header.sequence);
        if trade.fills != 0 {
            self.object.id("first_trade_id", trade.first_id());
            self.object.id("last_trade_id", trade.header.sequence);
        }
        self.trade_end(trade);
    }

    fn trade_core(&mut self, trade: &Trade) {
        self.price("price", trade.price);
        self.quantity("quantity", trade.quantity);
        self.side(trade.side);
    }

    fn trade_end(&mut self, trade: &Trade) {
        self.object.time("event_ns", trade.event_ns);
        if let Some(name) = TradeType::name(trade.trade_type) {
            self.object.text("trade_type", name);
        }
    }

    fn detailed_trade(&mut self, detailed: &DetailedTrade) {
        let trade = &detailed.trade;
        self.trade_core(trade);
        self.object.text("trade_id", text_of(&detailed.trade_id));
        self.object.id("trade_sequence", trade.header.sequence);
        self.price("mark_price", detailed.mark_price);
        self.price("index_price", detailed.index_price);
        self.object.decimal("iv", detailed.implied_volatility, detailed.volatility_exponent);
        if let Some(name) = LiquidatedParty::name(detailed.liquidation) {
            self.object.text("liquidation", name);
        }
        for (key, value) in [("block", detailed.block), ("combo", detailed.combo)] {
            if value != 0 {
                self.object.boolean(key, true);
            }
        }
        self.trade_end(trade);
    }

    fn greeks(&mut self, greeks: &Greeks) {
        for ((name, number), exponent) in
            Greeks::NAMES.into_iter().zip(greeks.numbers()).zip(greeks.exponents)
        {
            self.object.decimal(name, number, exponent);
        }
    }

    fn clock_sample(&mut self, sample: &ClockSample) {
        self.object.time("request_ns", sample.request_ns);
        self.object.time("resolution_ns", sample.resolution_ns);
    }

    fn agg_trade(&mut self, trade: &AggTrade) {
        self.price("price", trade.price);
        self.quantity("quantity", trade.quantity);
        self.quantity("normal_quantity", trade.normal_quantity);
        self.side(trade.side);
        self.object.id("trade_id", trade.header.sequence);
        self.object.id("first_trade_id", trade.first_trade_id);
        self.object.id("last_trade_id", trade.last_trade_id);
        self.object.time("event_ns", trade.event_ns);
    }

    fn book(&mut self, book: &Book, levels: &[Level]) {
        let (bids, asks) = levels.split_at(usize::from(book.bid_levels).min(levels.len()));
        self.levels("bids", bids.iter().copied());
        self.levels("asks", asks.iter().copied());
        match book.checksum() {
            // The venue's own form is signed.
            Some(checksum) => self.object.number("checksum", checksum as i32),
            None if book.first_id != 0 => self.object.id("first_id", book.first_id),
            None => {}
        }
        if book.header.sequence != 0 {
            self.object.id("last_id", book.header.sequence);
        }
        if book.previous_id != ABSENT {
            self.object.id("previous_id", book.previous_id);
        }
        self.object.time("event_ns", book.event_ns);
    }

    fn levels(&mut self, key: &str, levels: impl Iterator<Item = Level>) {
        self.object.key(key);
        self.object.out.push(b'[');
        for (index, level) in levels.enumerate() {
            self.object.out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
            self.object.raw_decimal(level.price, self.price);
            self.object.out.push(b',');
            // A removed level reads "0", however many decimals the venue gave it.
            let exponent = if level.quantity == 0 { 0 } else { self.quantity };
            self.object.raw_decimal(level.quantity, exponent);
            self.object.out.push(b']');
        }
        self.object.out.push(b']');
    }

    fn quote(&mut self, quote: &Quote) {
        self.price("bid_price", quote.bid_price);
        self.quantity("bid_quantity", quote.bid_quantity);
        self.price("ask_price", quote.ask_price);
        self.quantity("ask_quantity", quote.ask_quantity);
        if quote.header.sequence != 0 {
            self.object.id("update_id", quote.header.sequence);
        }
    }

    fn ticker(&mut self, ticker: &Ticker) {
        self.price("last", ticker.last);
        self.price("open", ticker.open);
        self.price("high", ticker.high);
        self.price("low", ticker.low);
        self.quantity("volume", ticker.volume);
        self.object.decimal("quote_volume", ticker.quote_volume, ticker.quote_volume_exponent);
        self.object.decimal("base_volume", ticker.base_volume, ticker.base_volume_exponent);
        self.price("weighted_average", ticker.weighted_average);
        self.quantity("last_quantity", ticker.last_quantity);
        self.price("bid_price", ticker.bid_price);
        self.quantity("bid_quantity", ticker.bid_quantity);
        self.price("ask_price", ticker.ask_price);
        self.quantity("ask_quantity", ticker.ask_quantity);
        self.object.time("open_ns", ticker.open_ns);
        self.object.time("close_ns", ticker.close_ns);
        for (key, id) in [("first_trade_id", ticker.first_trade_id), ("last_trade_id", ticker.last_trade_id)]
        {
            if id != ABSENT {
                self.object.id(key, id);
            }
        }
        self.count("trades", ticker.trades);
    }

    fn count(&mut self, key: &str, value: i64) {
        if value != ABSENT {
            self.object.number(key, value);
        }
    }

    fn mark_price(&mut self, mark: &MarkPrice) {
        self.price("mark_price", mark.mark_price);
        self.price("index_price", mark.index_price);
        self.price("settlement_price", mark.settlement_price);
        self.price("average_price", mark.average_price);
    }

    fn funding_rate(&mut self, funding: &FundingRate) {
        self.object.decimal("rate", funding.rate, funding.rate_exponent);
        self.object.time("next_funding_ns", funding.next_funding_ns);
        self.count("interval_ns", funding.interval_ns);
        self.object.decimal("realised_rate", funding.realised_rate, funding.realised_exponent);
        self.object.decimal("premium", funding.premium, funding.premium_exponent);
        self.object.decimal("interest_rate", funding.interest_rate, funding.interest_exponent);
    }

    fn open_interest(&mut self, interest: &OpenInterest) {
        self.quantity("open_interest", interest.open_interest);
        self.object.decimal("open_interest_value", interest.open_interest_value, interest.value_exponent);
        self.object.decimal("open_interest_base", interest.open_interest_base, interest.base_exponent);
    }

    fn liquidation(&mut self, order: &Liquidation) {
        self.side(order.side);
        self.price("price", order.price);
        self.quantity("quantity", order.quantity);
        self.price("average_price", order.average_price);
        self.quantity("filled_quantity", order.filled_quantity);
        self.quantity("last_quantity", order.last_quantity);
        if order.status[0] != 0 {
            self.object.text("status", text_of(&order.status));
        }
        self.object.time("event_ns", order.event_ns);
    }

    fn candle(&mut self, candle: &Candle) {
        self.object.text("interval", text_of(&candle.interval));
        self.object.time("open_ns", candle.open_ns);
        self.object.time("close_ns", candle.close_ns);
        self.price("open", candle.open);
        self.price("high", candle.high);
        self.price("low", candle.low);
        self.price("close", candle.close);
        self.quantity("volume", candle.volume);
        self.object.decimal("quote_volume", candle.quote_volume, candle.quote_volume_exponent);
        self.count("trades", candle.trades);
        self.quantity("taker_buy_volume", candle.taker_buy_volume);
        let exponent = candle.quote_volume_exponent;
        self.object.decimal("taker_buy_quote_volume", candle.taker_buy_quote_volume, exponent);
        self.object.boolean("closed", candle.closed != 0);
    }

    fn long_short_ratio(&mut self, ratio: &LongShortRatio) {
        if let Some(name) = RatioBasis::name(ratio.basis) {
            self.object.text("basis", name);
        }
        self.object.text("period", text_of(&ratio.period));
        self.object.decimal("ratio", ratio.ratio, ratio.ratio_exponent);
        self.object.decimal("long_share", ratio.long_share, ratio.share_exponent);
        self.object.decimal("short_share", ratio.short_share, ratio.share_exponent);
    }

    fn session(&mut self, session: &Session, body: &[u8]) {
        if let Some(name) = SessionEvent::name(session.event) {
            self.object.text("event", name);
        }
        if session.connection != 0 {
            self.object.id("connection", session.connection);
        }
        self.object.embed("detail", body);
    }

    fn gap(&mut self, gap: &Gap) {
        if let Some(stream) = Kind::from_number(gap.stream) {
            self.object.text("stream", stream.name());
        }
        if let Some(reason) = GapReason::name(gap.reason) {
            self.object.text("reason", reason);
        }
        for (key, id) in [("from_id", gap.from_id), ("to_id", gap.to_id)] {
            if id != 0 {
                self.object.id(key, id);
            }
        }
        self.object.time("from_ns", gap.from_ns);
        if gap.records != 0 {
            self.object.number("records", gap.records);
        }
        self.object.boolean("repaired", gap.repaired != 0);
    }

    fn raw(&mut self, raw: &Raw, body: &[u8]) {
        let (reason, frame) = body.split_at((raw.reason_bytes as usize).min(body.len()));
        self.object.text("reason", &String::from_utf8_lossy(reason));
        self.object.text("frame", &String::from_utf8_lossy(frame));
        self.object.number("frame_bytes", raw.frame_bytes);
        if raw.offset != 0 {
            self.object.number("offset", raw.offset);
        }
        if raw.connection != 0 {
            self.object.id("connection", raw.connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    fn instrument() -> Instrument {
        Instrument { symbol: "BTC-USDT".into(), ..Instrument::unknown("binance", "spot", "BTCUSDT") }
    }

    #[test]
    fn a_trade_reads_as_the_interface_says() {
        let mut header = Header::new(Kind::Trade, 1, 5);
        (header.price_exponent, header.quantity_exponent, header.sequence) = (-2, -3, 77);
        let trade = Trade {
            header,
            price: 6183763,
            quantity: 20,
            side: 2,
            event_ns: TIME_MISSING,
            ..Trade::zeroed()
        };
        let mut out = vec![];
        write_record(&mut out, RecordRef::Trade(&trade), &instrument(), 9);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"kind":"trade","venue":"binance","market":"spot","symbol":"BTC-USDT","venue_symbol":"BTCUSDT","#,
                r#""receive_ns":5,"sequence":9,"flags":[],"price":"61837.63","quantity":"0.020","side":"sell","trade_id":"77"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn amounts_stand_beside_price_and_quantity() {
        let mut header = Header::new(Kind::Liquidation, 1, 5);
        header.price_exponent = -1;
        let order = Liquidation { header, price: 500_000, quantity: 3, ..Liquidation::zeroed() };
        let multiplier = Some(Decimal::new(100, 0));
        let coin = Instrument { multiplier, inverse: true, ..instrument() };
        let (mut out, mut without) = (vec![], vec![]);
        write_record_with_amounts(&mut out, RecordRef::Liquidation(&order), &coin, 0);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["base_quantity"], &value["quote_quantity"]), (&"0.006".into(), &"300".into()));

        let absent = Liquidation { price: ABSENT, ..order };
        write_record_with_amounts(&mut without, RecordRef::Liquidation(&absent), &coin, 0);
        assert!(!String::from_utf8(without).unwrap().contains("base_quantity"));
    }

    #[test]
    fn a_removed_level_reads_zero_and_flags_have_names() {
        let mut header = Header::new(Kind::BookDelta, 1, 5);
        (header.price_exponent, header.quantity_exponent) = (-1, -8);
        header.flags = flag::REST | flag::BOOK_INVALID;
        let book = Book {
            header,
            bid_levels: 1,
            ask_levels: 1,
            previous_id: ABSENT,
            event_ns: TIME_MISSING,
            ..Book::zeroed()
        };
        let levels = [Level { price: 15, quantity: 0 }, Level { price: 16, quantity: 150_000_000 }];
        let mut out = vec![];
        write_record(&mut out, RecordRef::Book(&book, &levels), &instrument(), 0);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["bids"], serde_json::json!([["1.5", "0"]]));
        assert_eq!(value["asks"], serde_json::json!([["1.6", "1.50000000"]]));
        assert_eq!(value["flags"], serde_json::json!(["rest", "book_invalid"]));
        assert_eq!(value.get("previous_id"), None);
    }

    #[test]
    fn garbage_in_a_frame_is_still_json() {
        let mut out = vec![];
        write_error(&mut out, "binance", "spot", 1, "bad \"thing\"", b"\xff\"\n{");
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["reason"], "bad \"thing\"");
    }
}
