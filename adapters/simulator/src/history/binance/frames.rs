//! Records as the payloads that the venue sent.
//!
//! Keys are in the venue's order of 2026. What a log does not keep is made up: the publication time of a quote is that of
//! the matching engine, the ids of a candle's trades count from 0.

use marketprism_core::record::{
    ABSENT, AggTrade, Book, Candle, FundingRate, Level, Liquidation, MarkPrice, Quote, Side, Ticker, Trade,
    TradeType, text_of,
};
use marketprism_core::{Decimal, Instrument};

use super::members::{Members, venue_time};
use crate::config::Market;

/// Writes payloads of one instrument.
pub(super) struct Frames<'a> {
    pub(super) market: Market,
    pub(super) instrument: &'a Instrument,
}

/// Bids and asks of a book record.
pub(super) fn sides<'a>(book: &Book, levels: &'a [Level]) -> (&'a [Level], &'a [Level]) {
    levels.split_at(usize::from(book.bid_levels).min(levels.len()))
}

/// The pair of a futures contract, e.g. `BTCUSD` of `BTCUSD_PERP`.
pub(super) fn pair(instrument: &Instrument) -> &str {
    match instrument.underlying.as_str() {
        "" => instrument.venue_symbol.split('_').next().unwrap_or_default(),
        pair => pair,
    }
}

impl Frames<'_> {
    fn venue_symbol(&self) -> &str {
        &self.instrument.venue_symbol
    }

    fn event(&self, name: &str, event_ns: i64) -> Members {
        Members::new().text("e", name).time("E", event_ns)
    }

    fn pair(&self, members: Members) -> Members {
        if self.market.is_futures() { members.text("ps", pair(self.instrument)) } else { members }
    }

    /// `st`, which tells the events of the two futures markets apart, and the end.
    fn end(&self, members: Members) -> String {
        match self.market {
            Market::Spot => members.end(),
            Market::Usdm => members.integer("st", 1).end(),
            Market::Coinm => members.integer("st", 2).end(),
        }
    }

    pub(super) fn trade(&self, trade: &Trade) -> String {
        let header = &trade.header;
        let body = |members: Members| {
            members
                .text("s", self.venue_symbol())
                .integer("t", header.sequence)
                .number("p", trade.price, header.price_exponent)
                .number("q", trade.quantity, header.quantity_exponent)
        };
        let sold = trade.side == Side::Sell as u8;
        let event = self.event("trade", trade.event_ns);
        if self.market.is_futures() {
            let members = body(event.time("T", header.exchange_ns));
            return members.text("X", trade_type(trade.trade_type)).boolean("m", sold).end();
        }
        body(event).time("T", header.exchange_ns).boolean("m", sold).boolean("M", true).end()
    }

    pub(super) fn agg_trade(&self, trade: &AggTrade) -> String {
        let header = &trade.header;
        let event = self.event("aggTrade", trade.event_ns);
        let named = match self.market {
            Market::Coinm => event.integer("a", header.sequence).text("s", self.venue_symbol()),
            _ => event.text("s", self.venue_symbol()).integer("a", header.sequence),
        };
        let members = named
            .number("p", trade.price, header.price_exponent)
            .number("q", trade.quantity, header.quantity_exponent)
            .given("nq", trade.normal_quantity, header.quantity_exponent)
            .integer("f", trade.first_trade_id)
            .integer("l", trade.last_trade_id)
            .time("T", header.exchange_ns)
            .boolean("m", trade.side == Side::Sell as u8);
        let members = if self.market == Market::Spot { members.boolean("M", true) } else { members };
        self.end(members)
    }

    pub(super) fn quote(&self, quote: &Quote) -> String {
        let header = &quote.header;
        let time = header.exchange_ns;
        let first = match self.market {
            Market::Spot => Members::new(),
            _ => Members::new().text("e", "bookTicker"),
        };
        let first = first.integer("u", header.sequence);
        let first = if self.market == Market::Usdm { first.time("E", time).time("T", time) } else { first };
        let members = self
            .pair(first.text("s", self.venue_symbol()))
            .number("b", quote.bid_price, header.price_exponent)
            .number("B", quote.bid_quantity, header.quantity_exponent)
            .number("a", quote.ask_price, header.price_exponent)
            .number("A", quote.ask_quantity, header.quantity_exponent);
        let members =
            if self.market == Market::Coinm { members.time("T", time).time("E", time) } else { members };
        self.end(members)
    }

    /// Changed levels, or on futures the whole top.
    pub(super) fn depth(&self, book: &Book, levels: &[Level]) -> String {
        let header = &book.header;
        let (bids, asks) = sides(book, levels);
        let exponents = (header.price_exponent, header.quantity_exponent);
        let event = self.event("depthUpdate", book.event_ns);
        let event = if self.market.is_futures() { event.time("T", header.exchange_ns) } else { event };
        let members = self
            .pair(event.text("s", self.venue_symbol()))
            .integer("U", book.first_id)
            .integer("u", header.sequence)
            .given_integer("pu", book.previous_id)
            .levels("b", bids.iter().copied(), exponents)
            .levels("a", asks.iter().copied(), exponents);
        self.end(members)
    }

    /// The top of a book: on spot without symbol and time.
    pub(super) fn top(&self, book: &Book, levels: &[Level]) -> String {
        if self.market.is_futures() {
            return self.depth(book, levels);
        }
        let (bids, asks) = sides(book, levels);
        let exponents = (book.header.price_exponent, book.header.quantity_exponent);
        Members::new()
            .integer("lastUpdateId", book.header.sequence)
            .levels("bids", bids.iter().copied(), exponents)
            .levels("asks", asks.iter().copied(), exponents)
            .end()
    }

    pub(super) fn candle(&self, candle: &Candle) -> String {
        let (price, quantity) = (candle.header.price_exponent, candle.header.quantity_exponent);
        let amount = candle.quote_volume_exponent;
        // Bars without a trade have no ids.
        let first_id = if candle.trades == 0 { -1 } else { 0 };
        let bar = Members::new()
            .time("t", candle.open_ns)
            .time("T", candle.close_ns)
            .text("s", self.venue_symbol())
            .text("i", text_of(&candle.interval))
            .integer("f", first_id)
            .integer("L", candle.trades.max(0) - 1)
            .number("o", candle.open, price)
            .number("c", candle.close, price)
            .number("h", candle.high, price)
            .number("l", candle.low, price)
            .number("v", candle.volume, quantity)
            .given_integer("n", candle.trades)
            .boolean("x", candle.closed == 1)
            .number("q", candle.quote_volume, amount)
            .given("V", candle.taker_buy_volume, quantity)
            .given("Q", candle.taker_buy_quote_volume, amount)
            .text("B", "0")
            .end();
        self.event("kline", candle.header.exchange_ns).text("s", self.venue_symbol()).json("k", &bar).end()
    }

    pub(super) fn ticker(&self, ticker: &Ticker) -> String {
        let (price, quantity) = (ticker.header.price_exponent, ticker.header.quantity_exponent);
        let is_spot = self.market == Market::Spot;
        let event = self.event("24hrTicker", ticker.header.exchange_ns).text("s", self.venue_symbol());
        let change = ticker.last.saturating_sub(ticker.open);
        let event = self
            .pair(event)
            .number("p", change, price)
            .number("P", percent(change, ticker.open), -3)
            .given("w", ticker.weighted_average, price);
        let event = if is_spot { event.number("x", ticker.open, price) } else { event };
        let members = event
            .number("c", ticker.last, price)
            .given("Q", ticker.last_quantity, quantity)
            .given("b", ticker.bid_price, price)
            .given("B", ticker.bid_quantity, quantity)
            .given("a", ticker.ask_price, price)
            .given("A", ticker.ask_quantity, quantity)
            .number("o", ticker.open, price)
            .number("h", ticker.high, price)
            .number("l", ticker.low, price)
            .number("v", ticker.volume, quantity)
            .number("q", ticker.quote_volume, ticker.quote_volume_exponent)
            .time("O", ticker.open_ns)
            .time("C", ticker.close_ns)
            .given_integer("F", ticker.first_trade_id)
            .given_integer("L", ticker.last_trade_id)
            .given_integer("n", ticker.trades);
        self.end(members)
    }

    /// A mark price with the funding rate that came in the same message, where the contract has one.
    pub(super) fn mark_price(&self, mark: &MarkPrice, funding: Option<&FundingRate>) -> String {
        let price = mark.header.price_exponent;
        let event = self.event("markPriceUpdate", mark.header.exchange_ns).text("s", self.venue_symbol());
        let event = event.number_or_empty("p", mark.mark_price, price).given("ap", mark.average_price, price);
        let index = |members: Members| members.number_or_empty("i", mark.index_price, price);
        let settlement = |members: Members| members.number_or_empty("P", mark.settlement_price, price);
        let members = match self.market {
            Market::Coinm => index(settlement(event)),
            _ => settlement(index(event)),
        };
        let (rate, exponent, next_ns) = match funding {
            Some(funding) => (funding.rate, funding.rate_exponent, funding.next_funding_ns),
            None => (ABSENT, 0, ABSENT),
        };
        let members =
            members.number_or_empty("r", rate, exponent).integer("T", venue_time(next_ns).unwrap_or(0));
        self.end(members)
    }

    pub(super) fn liquidation(&self, order: &Liquidation) -> String {
        let (price, quantity) = (order.header.price_exponent, order.header.quantity_exponent);
        let is_coin = self.market == Market::Coinm;
        let named = Members::new().text("s", self.venue_symbol());
        let named = if is_coin { self.pair(named) } else { named };
        let side = match order.side {
            side if side == Side::Buy as u8 => "BUY",
            side if side == Side::Sell as u8 => "SELL",
            _ => "",
        };
        let body = named
            .text("S", side)
            .text("o", "LIMIT")
            .text("f", "IOC")
            .number("q", order.quantity, quantity)
            .number("p", order.price, price)
            .number_or_empty("ap", order.average_price, price)
            .text("X", text_of(&order.status))
            .number_or_empty("l", order.last_quantity, quantity)
            .number_or_empty("z", order.filled_quantity, quantity)
            .time("T", order.header.exchange_ns)
            .end();
        let event = self.event("forceOrder", order.event_ns);
        if is_coin {
            return event.json("o", &body).end();
        }
        self.pair(event).integer("st", 1).json("o", &body).end()
    }
}

fn trade_type(number: u8) -> &'static str {
    match number {
        number if number == TradeType::Market as u8 => "MARKET",
        number if number == TradeType::InsuranceFund as u8 => "INSURANCE_FUND",
        number if number == TradeType::AutoDeleverage as u8 => "ADL",
        _ => "NA",
    }
}

/// A change in percent of what it is a change of, in thousandths.
fn percent(change: i64, of: i64) -> i64 {
    let scaled = i128::from(change) * 100_000;
    scaled.checked_div(i128::from(of)).and_then(|percent| i64::try_from(percent).ok()).unwrap_or(0)
}

/// A decimal of a definition as text.
pub(super) fn step(value: Option<Decimal>) -> String {
    value.unwrap_or(Decimal::ZERO).to_string()
}
