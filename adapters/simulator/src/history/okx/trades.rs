//! Trades and liquidations.

use marketprism_core::Instrument;
use marketprism_core::record::{Liquidation, Side, Trade, text_of};

use super::object::Object;
use super::{Message, instrument_type};

/// A trade of fills put together is from `trades`. One without their number is from `trades-all`, or from `trades` as it
/// was before 2023: both bring it.
pub(super) fn messages(trade: &Trade, instrument: &Instrument) -> Vec<Message> {
    let symbol = &instrument.venue_symbol;
    let last_id = trade.header.sequence;
    let message = |channel: &str, data: Object| {
        Message::new(channel, symbol, &data.end()).with_ids(trade.first_id(), last_id)
    };
    if trade.fills == 0 {
        let single = common(trade, symbol).text("source", "0").time("ts", trade.header.exchange_ns);
        let old = common(trade, symbol).time("ts", trade.header.exchange_ns);
        return vec![message("trades-all", single), message("trades", old)];
    }
    let whole = common(trade, symbol).time("ts", trade.header.exchange_ns);
    let whole = whole.text("count", &trade.fills.to_string()).text("source", "0");
    vec![message("trades", whole.raw("seqId", &last_id.to_string()))]
}

fn common(trade: &Trade, symbol: &str) -> Object {
    let header = &trade.header;
    Object::new()
        .text("instId", symbol)
        .text("tradeId", &header.sequence.to_string())
        .decimal("px", trade.price, header.price_exponent)
        .decimal("sz", trade.quantity, header.quantity_exponent)
        .text("side", Side::name(trade.side).unwrap_or_default())
}

pub(super) fn liquidation(order: &Liquidation, instrument: &Instrument) -> Message {
    let header = &order.header;
    let detail = Object::new()
        .text("bkLoss", "0")
        .decimal("bkPx", order.price, header.price_exponent)
        .text("ccy", "")
        .text("posSide", text_of(&order.status))
        .text("side", Side::name(order.side).unwrap_or_default())
        .decimal("sz", order.quantity, header.quantity_exponent)
        .time("ts", header.exchange_ns);
    let kind = instrument_type(&instrument.market);
    let data = Object::new()
        .raw("details", &format!("[{}]", detail.end()))
        .text("instFamily", &instrument.underlying)
        .text("instId", &instrument.venue_symbol)
        .text("instType", kind)
        .text("uly", &instrument.underlying);
    Message::new("liquidation-orders", kind, &data.end())
}
