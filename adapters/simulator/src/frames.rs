//! The JSON text of every stream of a generated market, keys in the venue's order.

use crate::book::{Chain, Ladder, Side};
use crate::config::Market;
use crate::stats::{Aggregate, Bar, Day, Trade};
use crate::streams::INTERVALS;
use crate::symbols::Spec;
use crate::text::{Scale, decimal, integer, signed_decimal, wide_decimal};

/// Units of mark prices: eight decimals.
const EIGHT: Scale = Scale { scale: 8, zeros: 0 };

/// Writes the frames of one instrument.
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) spec: &'a Spec,
    /// Epoch milliseconds.
    pub(crate) now: u64,
    /// With the fields added up to 2026.
    pub(crate) current: bool,
}

impl Writer<'_> {
    fn text(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.text(key);
        integer(self.out, value);
        self
    }

    fn name(&mut self, key: &str, value: &str) -> &mut Self {
        self.text(key).text(value).text("\"")
    }

    fn price(&mut self, key: &str, value: u64) -> &mut Self {
        self.text(key);
        decimal(self.out, value, self.spec.price);
        self.text("\"")
    }

    fn lots(&mut self, key: &str, value: u64) -> &mut Self {
        self.text(key);
        decimal(self.out, value, self.spec.lots);
        self.text("\"")
    }

    fn volume(&mut self, key: &str, value: u128) -> &mut Self {
        let lots = self.spec.lots;
        self.text(key);
        wide_decimal(self.out, value, lots.scale, lots.scale + lots.zeros);
        self.text("\"")
    }

    fn turnover(&mut self, key: &str, value: u128) -> &mut Self {
        self.text(key);
        wide_decimal(self.out, value, self.spec.turnover_scale(), self.spec.turnover_decimals());
        self.text("\"")
    }

    fn truth(&mut self, key: &str, value: bool) -> &mut Self {
        self.text(key).text(if value { "true" } else { "false" })
    }

    fn symbol(&mut self, key: &str) -> &mut Self {
        let spec = self.spec;
        self.name(key, &spec.name)
    }

    /// `ps`: always on COIN-M, on USD-M with the current fields.
    fn pair(&mut self) -> &mut Self {
        let spec = self.spec;
        if spec.market == Market::Coinm || (self.current && spec.market == Market::Usdm) {
            self.name(",\"ps\":\"", &spec.pair);
        }
        self
    }

    /// `st` with the current fields, and the closing brace.
    fn end(&mut self) {
        match self.spec.market {
            Market::Usdm if self.current => self.text(",\"st\":1}"),
            Market::Coinm if self.current => self.text(",\"st\":2}"),
            _ => self.text("}"),
        };
    }

    fn price_of(&self, tick: usize) -> u64 {
        self.spec.first_tick + tick as u64
    }

    pub(crate) fn trade(&mut self, trade: &Trade) {
        let now = self.now;
        self.number("{\"e\":\"trade\",\"E\":", now);
        if self.spec.market.is_futures() {
            self.number(",\"T\":", trade.time).symbol(",\"s\":\"").number(",\"t\":", trade.id);
            self.price(",\"p\":\"", trade.price).lots(",\"q\":\"", trade.lots);
            self.truth(",\"X\":\"MARKET\",\"m\":", trade.maker_buys).text("}");
        } else {
            self.symbol(",\"s\":\"").number(",\"t\":", trade.id);
            self.price(",\"p\":\"", trade.price).lots(",\"q\":\"", trade.lots);
            self.number(",\"T\":", trade.time).truth(",\"m\":", trade.maker_buys).text(",\"M\":true}");
        }
    }

    pub(crate) fn aggregate(&mut self, aggregate: &Aggregate) {
        let (now, fill) = (self.now, &aggregate.fill);
        self.number("{\"e\":\"aggTrade\",\"E\":", now);
        if self.spec.market == Market::Coinm {
            self.number(",\"a\":", aggregate.id).symbol(",\"s\":\"");
        } else {
            self.symbol(",\"s\":\"").number(",\"a\":", aggregate.id);
        }
        self.price(",\"p\":\"", fill.price).lots(",\"q\":\"", fill.lots);
        if self.current && self.spec.market == Market::Usdm {
            self.lots(",\"nq\":\"", fill.lots);
        }
        self.number(",\"f\":", aggregate.first).number(",\"l\":", aggregate.last);
        self.number(",\"T\":", fill.time).truth(",\"m\":", fill.maker_buys);
        if self.spec.market == Market::Spot {
            self.text(",\"M\":true}");
        } else {
            self.end();
        }
    }

    pub(crate) fn book_ticker(&mut self, id: u64, top: [u32; 4]) {
        let (now, market) = (self.now, self.spec.market);
        match market {
            Market::Spot => self.number("{\"u\":", id),
            Market::Usdm => {
                self.number("{\"e\":\"bookTicker\",\"u\":", id).number(",\"E\":", now).number(",\"T\":", now)
            }
            Market::Coinm => self.number("{\"e\":\"bookTicker\",\"u\":", id),
        };
        self.symbol(",\"s\":\"").pair();
        let [bid, bid_lots, ask, ask_lots] = top;
        self.price(",\"b\":\"", self.price_of(bid as usize)).lots(",\"B\":\"", bid_lots.into());
        self.price(",\"a\":\"", self.price_of(ask as usize)).lots(",\"A\":\"", ask_lots.into());
        if market == Market::Coinm {
            self.number(",\"T\":", now).number(",\"E\":", now);
        }
        self.end();
    }

    fn level(&mut self, first: bool, tick: usize, lots: u32) {
        self.price(if first { "[\"" } else { ",[\"" }, self.price_of(tick));
        self.lots(",\"", lots.into()).text("]");
    }

    fn depth_head(&mut self, first_id: u64, last_id: u64, previous: u64) {
        let now = self.now;
        self.number("{\"e\":\"depthUpdate\",\"E\":", now);
        if self.spec.market.is_futures() {
            self.number(",\"T\":", now).symbol(",\"s\":\"").pair();
            self.number(",\"U\":", first_id).number(",\"u\":", last_id).number(",\"pu\":", previous);
        } else {
            self.symbol(",\"s\":\"").number(",\"U\":", first_id).number(",\"u\":", last_id);
        }
    }

    /// A diff event of one chain; `last_id` is the book's id.
    pub(crate) fn depth(&mut self, chain: &Chain, ladder: &Ladder, last_id: u64) {
        self.depth_head(chain.first_id, last_id, chain.last_id);
        self.text(",\"b\":[");
        for (index, tick) in chain.bids().enumerate() {
            self.level(index == 0, tick, ladder.lots(Side::Bid, tick));
        }
        self.text("],\"a\":[");
        for (index, tick) in chain.asks().enumerate() {
            self.level(index == 0, tick, ladder.lots(Side::Ask, tick));
        }
        self.text("]").end();
    }

    fn levels(&mut self, ladder: &Ladder, side: Side, count: usize) {
        for (index, (tick, lots)) in ladder.walk(side).take(count).enumerate() {
            self.level(index == 0, tick, lots);
        }
    }

    /// The top levels of the book.
    pub(crate) fn partial(&mut self, ladder: &Ladder, count: usize, ids: [u64; 3]) {
        let [first_id, last_id, previous] = ids;
        if self.spec.market == Market::Spot {
            return self.snapshot(ladder, count, last_id);
        }
        self.depth_head(first_id, last_id, previous);
        self.text(",\"b\":[").levels(ladder, Side::Bid, count);
        self.text("],\"a\":[").levels(ladder, Side::Ask, count);
        self.text("]").end();
    }

    /// The REST depth answer, which is also spot's partial depth.
    pub(crate) fn snapshot(&mut self, ladder: &Ladder, count: usize, last_id: u64) {
        let (now, spec) = (self.now, self.spec);
        self.number("{\"lastUpdateId\":", last_id);
        if spec.market.is_futures() {
            self.number(",\"E\":", now).number(",\"T\":", now);
        }
        if spec.market == Market::Coinm {
            self.symbol(",\"symbol\":\"").name(",\"pair\":\"", &spec.pair);
        }
        self.text(",\"bids\":[").levels(ladder, Side::Bid, count);
        self.text("],\"asks\":[").levels(ladder, Side::Ask, count);
        self.text("]}");
    }

    pub(crate) fn kline(&mut self, bar: &Bar, interval: usize, closed: bool) {
        let now = self.now;
        self.number("{\"e\":\"kline\",\"E\":", now).symbol(",\"s\":\"");
        self.number(",\"k\":{\"t\":", bar.open_time).number(",\"T\":", bar.close_time).symbol(",\"s\":\"");
        self.name(",\"i\":\"", INTERVALS[interval].0);
        self.number(",\"f\":", bar.first_trade).number(",\"L\":", bar.last_trade);
        self.price(",\"o\":\"", bar.open).price(",\"c\":\"", bar.close);
        self.price(",\"h\":\"", bar.high).price(",\"l\":\"", bar.low);
        self.volume(",\"v\":\"", bar.volume).number(",\"n\":", bar.trades).truth(",\"x\":", closed);
        self.turnover(",\"q\":\"", bar.turnover).volume(",\"V\":\"", bar.taker_volume);
        self.turnover(",\"Q\":\"", bar.taker_turnover).text(",\"B\":\"0\"}}");
    }

    /// A bar as the REST array.
    pub(crate) fn kline_row(&mut self, bar: &Bar) {
        self.number("[", bar.open_time).price(",\"", bar.open).price(",\"", bar.high);
        self.price(",\"", bar.low).price(",\"", bar.close).volume(",\"", bar.volume);
        self.number(",", bar.close_time).turnover(",\"", bar.turnover).number(",", bar.trades);
        self.volume(",\"", bar.taker_volume).turnover(",\"", bar.taker_turnover).text(",\"0\"]");
    }

    pub(crate) fn mini_ticker(&mut self, day: &Day) {
        let now = self.now;
        self.number("{\"e\":\"24hrMiniTicker\",\"E\":", now).symbol(",\"s\":\"").pair();
        self.price(",\"c\":\"", day.last).price(",\"o\":\"", day.open).price(",\"h\":\"", day.high);
        self.price(",\"l\":\"", day.low).volume(",\"v\":\"", day.volume).turnover(",\"q\":\"", day.turnover);
        self.end();
    }

    fn signed_price(&mut self, key: &str, value: i64) -> &mut Self {
        let price = self.spec.price;
        self.text(key);
        signed_decimal(self.out, value, price.scale);
        for index in 0..price.zeros {
            self.text(if index == 0 && price.scale == 0 { ".0" } else { "0" });
        }
        self.text("\"")
    }

    pub(crate) fn ticker(&mut self, day: &Day, top: [u32; 4]) {
        let now = self.now;
        let change = day.last as i64 - day.open as i64;
        let percent = change.saturating_mul(100_000) / day.open.max(1) as i64;
        self.number("{\"e\":\"24hrTicker\",\"E\":", now).symbol(",\"s\":\"").pair();
        self.signed_price(",\"p\":\"", change).text(",\"P\":\"");
        signed_decimal(self.out, percent, 3);
        self.price("\",\"w\":\"", day.average(self.spec));
        if self.spec.market == Market::Spot {
            self.price(",\"x\":\"", day.open);
        }
        self.price(",\"c\":\"", day.last).lots(",\"Q\":\"", day.last_lots);
        if self.spec.market == Market::Spot {
            let [bid, bid_lots, ask, ask_lots] = top;
            self.price(",\"b\":\"", self.price_of(bid as usize)).lots(",\"B\":\"", bid_lots.into());
            self.price(",\"a\":\"", self.price_of(ask as usize)).lots(",\"A\":\"", ask_lots.into());
        }
        self.price(",\"o\":\"", day.open).price(",\"h\":\"", day.high).price(",\"l\":\"", day.low);
        self.volume(",\"v\":\"", day.volume).turnover(",\"q\":\"", day.turnover);
        self.number(",\"O\":", day.open_time).number(",\"C\":", now).number(",\"F\":", day.first_trade);
        self.number(",\"L\":", (day.first_trade + day.trades).saturating_sub(1))
            .number(",\"n\":", day.trades);
        self.end();
    }

    fn eight(&mut self, key: &str, value: u64) -> &mut Self {
        self.text(key);
        decimal(self.out, value, EIGHT);
        self.text("\"")
    }

    /// Mark price, with prices and rate in units of 10^-8.
    pub(crate) fn mark_price(&mut self, mark: u64, index: u64, rate: i64, next_funding: u64) {
        let (now, dated) = (self.now, self.spec.dated);
        self.number("{\"e\":\"markPriceUpdate\",\"E\":", now).symbol(",\"s\":\"").eight(",\"p\":\"", mark);
        if self.spec.market == Market::Usdm {
            if self.current {
                self.eight(",\"ap\":\"", mark);
            }
            self.eight(",\"i\":\"", index).eight(",\"P\":\"", index);
        } else {
            self.eight(",\"P\":\"", index).eight(",\"i\":\"", index);
        }
        self.text(",\"r\":\"");
        if !dated {
            signed_decimal(self.out, rate, 8);
        }
        self.number("\",\"T\":", if dated { 0 } else { next_funding }).end();
    }

    pub(crate) fn force_order(&mut self, fill: &Trade) {
        let (now, spec) = (self.now, self.spec);
        let coin = spec.market == Market::Coinm;
        self.number("{\"e\":\"forceOrder\",\"E\":", now);
        if self.current && !coin {
            self.pair().text(",\"st\":1");
        }
        self.symbol(",\"o\":{\"s\":\"");
        if coin {
            self.pair();
        }
        self.name(",\"S\":\"", if fill.maker_buys { "SELL" } else { "BUY" });
        self.text(",\"o\":\"LIMIT\",\"f\":\"IOC\"").lots(",\"q\":\"", fill.lots);
        self.price(",\"p\":\"", fill.price).price(",\"ap\":\"", fill.price);
        self.lots(",\"X\":\"FILLED\",\"l\":\"", fill.lots).lots(",\"z\":\"", fill.lots);
        self.number(",\"T\":", fill.time).text("}");
        if self.current && coin {
            self.text(",\"st\":2");
        }
        self.text("}");
    }
}
