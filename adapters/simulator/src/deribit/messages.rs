//! The data of notifications: books, quotes, trades, candles.

use super::book::{Book, Change, Side};
use super::instrument::{Fill, Instrument};
use super::number::Decimal;
use super::object::{Object, list, object};
use super::prices::Moment;
use super::stats::Bar;

/// A notification on a channel.
pub(super) fn notification(channel: &str, write_data: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(512);
    object(&mut out, |root| {
        root.name("jsonrpc", "2.0").name("method", "subscription").object("params", |params| {
            params.name("channel", channel);
            write_data(params.key("data"));
        });
    });
    out
}

fn level(out: &mut String, instrument: &Instrument, action: &str, tick: i64, lots: i64) {
    out.push('[');
    if !action.is_empty() {
        out.push('"');
        out.push_str(action);
        out.push_str("\",");
    }
    instrument.price(tick).write_float(out);
    out.push(',');
    instrument.amount(lots).write_float(out);
    out.push(']');
}

/// The whole book, best levels first.
pub(super) fn snapshot(out: &mut String, instrument: &Instrument, book: &Book, change_id: u64) {
    object(out, |object| {
        object.name("type", "snapshot").integer("timestamp", instrument.changed_ms);
        object.name("instrument_name", &instrument.spec.name).integer("change_id", change_id);
        for (key, side) in [("bids", Side::Bid), ("asks", Side::Ask)] {
            list(object.key(key), book.levels(side), |out, (tick, lots)| {
                level(out, instrument, "new", tick, lots);
            });
        }
    });
}

/// A change of the book: the id before it, its own id and its levels.
pub(super) fn change(out: &mut String, instrument: &Instrument, ids: (u64, u64), levels: &[Change]) {
    object(out, |object| {
        object.name("type", "change").integer("timestamp", instrument.changed_ms);
        object.integer("prev_change_id", ids.0).name("instrument_name", &instrument.spec.name);
        object.integer("change_id", ids.1);
        for (key, side) in [("bids", Side::Bid), ("asks", Side::Ask)] {
            let levels = levels.iter().filter(|level| level.0 == side);
            list(object.key(key), levels, |out, &(_, tick, old, new)| {
                let action = match (old, new) {
                    (_, 0) => "delete",
                    (0, _) => "new",
                    _ => "change",
                };
                level(out, instrument, action, tick, new);
            });
        }
    });
}

/// The best levels of both sides, `[price, amount]` each: the members `bids` and `asks`.
pub(super) fn write_levels(object: &mut Object<'_>, instrument: &Instrument, depth: usize) {
    for (key, side) in [("bids", Side::Bid), ("asks", Side::Ask)] {
        list(object.key(key), instrument.book.levels(side).take(depth), |out, (tick, lots)| {
            level(out, instrument, "", tick, lots);
        });
    }
}

/// The best levels, whole.
pub(super) fn window(out: &mut String, instrument: &Instrument, depth: usize) {
    object(out, |object| {
        object.integer("timestamp", instrument.changed_ms).name("instrument_name", &instrument.spec.name);
        object.integer("change_id", instrument.change_id);
        write_levels(object, instrument, depth);
    });
}

pub(super) fn quote(out: &mut String, instrument: &Instrument) {
    let [bid, ask] = instrument.top().map(Option::unwrap_or_default);
    object(out, |object| {
        object.integer("timestamp", instrument.changed_ms).name("instrument_name", &instrument.spec.name);
        object.float("best_ask_price", instrument.price(ask.0));
        object.float("best_bid_price", instrument.price(bid.0));
        object.float("best_ask_amount", instrument.amount(ask.1));
        object.float("best_bid_amount", instrument.amount(bid.1));
    });
}

pub(super) fn candle(out: &mut String, instrument: &Instrument, bar: &Bar) {
    object(out, |object| {
        object.integer("tick", bar.start_ms).float("open", instrument.price(bar.open));
        object.float("high", instrument.price(bar.high)).float("low", instrument.price(bar.low));
        object.float("close", instrument.price(bar.close)).float("volume", bar.volume());
        object.float("cost", bar.cost());
    });
}

pub(super) fn funding(out: &mut String, instrument: &Instrument, moment: Moment) {
    object(out, |object| {
        object.rate("interest", moment.interest(instrument)).integer("timestamp", moment.now_ms);
        object.float("index_price", moment.index(instrument.spec.index));
    });
}

/// What is special about a trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Circumstance {
    Ordinary,
    /// `M`, `T` or `MT`: who was liquidated.
    Liquidation(&'static str),
    Block {
        id: String,
    },
    /// A leg of a combo: the combo and the id of its trade.
    Leg {
        combo: String,
        trade_id: String,
    },
    /// A combo: the trades of its legs.
    Combo {
        legs: String,
    },
}

/// A trade that was counted already.
pub(super) fn trade(
    instrument: &Instrument,
    fill: &Fill,
    trade_id: &str,
    circumstance: &Circumstance,
    moment: Moment,
) -> String {
    let spec = &instrument.spec;
    let mut out = String::with_capacity(320);
    object(&mut out, |object| {
        object.integer("timestamp", moment.now_ms);
        if spec.is_option() {
            object.float("iv", moment.mark_volatility(instrument));
        }
        object.float("price", instrument.price(fill.tick)).float("amount", instrument.amount(fill.lots));
        object.name("direction", if fill.taker_buys { "buy" } else { "sell" });
        object.float("index_price", moment.index(spec.index)).name("instrument_name", &spec.name);
        object.integer("trade_seq", instrument.sequence).float("mark_price", moment.mark(instrument));
        object.integer("tick_direction", instrument.tick_direction);
        if spec.market != "spot" {
            object.float("contracts", spec.contracts.times(fill.lots));
        }
        object.name("trade_id", trade_id);
        match circumstance {
            Circumstance::Ordinary => {}
            Circumstance::Liquidation(who) => {
                object.name("liquidation", who);
            }
            Circumstance::Block { id } => {
                object.name("block_trade_id", id).integer("block_trade_leg_count", 1);
            }
            Circumstance::Leg { combo, trade_id } => {
                object.name("combo_id", combo).name("combo_trade_id", trade_id);
            }
            Circumstance::Combo { legs } => {
                object.raw("legs", &format!("[{legs}]"));
            }
        }
    });
    out
}

/// The index of a coin.
pub(super) fn index(out: &mut String, name: &str, price: Decimal, now_ms: u64) {
    object(out, |object| {
        object.name("index_name", name).float("price", price).integer("timestamp", now_ms);
    });
}

pub(super) fn volatility(out: &mut String, name: &str, value: Decimal, now_ms: u64) {
    object(out, |object| {
        object.float("volatility", value).integer("timestamp", now_ms).name("index_name", name);
    });
}

/// An instrument came or went.
pub(super) fn state(out: &mut String, name: &str, state: &str, now_ms: u64) {
    object(out, |object| {
        object.integer("timestamp", now_ms).name("state", state).name("instrument_name", name);
    });
}
