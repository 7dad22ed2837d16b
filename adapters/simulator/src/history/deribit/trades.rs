//! Trades.

use marketprism_core::record::{ABSENT, DetailedTrade, LiquidatedParty, Side, text_of};
use marketprism_core::{Decimal, Instrument};

use super::object::{DECIMALS, Object};
use super::{Message, Stream};
use crate::history::chained::numbers::Numbers;

/// A notification with one trade.
pub(super) fn message(detailed: &DetailedTrade, instrument: &Instrument) -> Message {
    let (trade, header) = (&detailed.trade, &detailed.trade.header);
    let symbol = &instrument.venue_symbol;
    let prices = [trade.price, detailed.mark_price, detailed.index_price];
    let prices = Numbers::new(header.price_exponent, DECIMALS, prices);
    let amount = Decimal::new(trade.quantity, header.quantity_exponent);
    let contracts = contracts(amount, instrument.contract_size);
    let mut data = Object::new()
        .time("timestamp", header.exchange_ns)
        .given("iv", detailed.implied_volatility, detailed.volatility_exponent)
        .number("price", prices, trade.price)
        .decimal("amount", amount.mantissa, amount.exponent)
        .text("direction", Side::name(trade.side).unwrap_or_default())
        .number("index_price", prices, detailed.index_price)
        .text("instrument_name", symbol)
        .raw("trade_seq", &header.sequence.to_string())
        .number("mark_price", prices, detailed.mark_price)
        .raw("tick_direction", "0")
        .decimal("contracts", contracts.mantissa, contracts.exponent)
        .text("trade_id", text_of(&detailed.trade_id));
    if let Some(party) = liquidated(detailed.liquidation) {
        data = data.text("liquidation", party);
    }
    if detailed.block != 0 {
        data = data.text("block_trade_id", "0").raw("block_trade_leg_count", "1");
    }
    if detailed.combo != 0 {
        data = data.text("combo_trade_id", "0");
    }
    let text = format!("[{}]", data.end());
    Message::new(Stream::Trades(symbol.clone()), text).with_ids(header.sequence, header.sequence)
}

fn liquidated(party: u8) -> Option<&'static str> {
    match party {
        party if party == LiquidatedParty::Maker as u8 => Some("M"),
        party if party == LiquidatedParty::Taker as u8 => Some("T"),
        party if party == LiquidatedParty::Both as u8 => Some("MT"),
        _ => None,
    }
}

/// How many contracts an amount is; the amount itself where that is no whole number.
fn contracts(amount: Decimal, size: Option<Decimal>) -> Decimal {
    let whole = |size: Decimal| {
        let (amount, size) = (amount.normalised(), size.normalised());
        let exponent = amount.exponent.checked_sub(size.exponent)?;
        let rest = amount.mantissa.checked_rem(size.mantissa)?;
        let mantissa = amount.mantissa.checked_div(size.mantissa)?;
        (rest == 0 && mantissa != ABSENT).then_some(Decimal::new(mantissa, exponent))?.rescale(-1)
    };
    size.and_then(whole).unwrap_or(amount)
}
