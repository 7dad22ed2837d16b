//! The predicted path of what is sent once a second and not with every trade: marks, candles, tickers, and
//! liquidations.

use marketprism_core::record::Sink;
use marketprism_core::{Decimal, Kind};
use marketprism_parse::cursor::Cursor;
use marketprism_parse::numbers::NO_DECIMAL;

use crate::fields::{
    CandleFields, LiquidationFields, MarkPriceFields, TickerFields, interval_text, next_funding, order_side,
};
use crate::predicted::{Frame, Predicted, best, skip_pair};

impl Predicted<'_> {
    #[inline(never)]
    pub(crate) fn mark_price(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = frame.cursor;
        cursor.take(b"markPriceUpdate")?;
        let (event_ns, instrument) = self.event_and_symbol(&mut cursor)?;
        cursor.take(b",\"p\":\"")?;
        let mark = cursor.decimal()?;
        let average = if cursor.has(b",\"ap\":\"") { optional_decimal(&mut cursor)? } else { NO_DECIMAL };
        // The order of these two has changed.
        let mut settlement = NO_DECIMAL;
        let settlement_first = cursor.has(b",\"P\":\"");
        if settlement_first {
            settlement = optional_decimal(&mut cursor)?;
        }
        cursor.take(b",\"i\":\"")?;
        let index = optional_decimal(&mut cursor)?;
        if !settlement_first && cursor.has(b",\"P\":\"") {
            settlement = optional_decimal(&mut cursor)?;
        }
        cursor.take(b",\"r\":\"")?;
        let rate = optional_decimal(&mut cursor)?;
        cursor.take(b",\"T\":")?;
        let next = cursor.integer()?;
        let next_funding_ns = next_funding(next)?;
        self.close(&mut cursor)?;
        frame.finish(cursor)?;
        let interest = NO_DECIMAL;
        let fields =
            MarkPriceFields { event_ns, mark, index, settlement, average, rate, next_funding_ns, interest };
        let (mark, funding) = fields.records(self.envelope(instrument)).ok()?;
        sink.push(&mark);
        if let Some(funding) = funding {
            sink.push(&funding);
        }
        Some(Kind::MarkPrice)
    }

    #[inline(never)]
    pub(crate) fn candle(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = frame.cursor;
        cursor.take(b"kline")?;
        let (event_ns, instrument) = self.event_and_symbol(&mut cursor)?;
        cursor.take(b",\"k\":{\"t\":")?;
        let open_ns = cursor.time()?;
        cursor.take(b",\"T\":")?;
        let close_ns = cursor.time()?;
        cursor.take(b",\"s\":\"")?;
        cursor.text()?;
        cursor.take(b",\"i\":\"")?;
        let interval = interval_text(cursor.text()?)?;
        cursor.take(b",\"f\":")?;
        cursor.signed()?;
        cursor.take(b",\"L\":")?;
        cursor.signed()?;
        cursor.take(b",\"o\":\"")?;
        let open = cursor.decimal()?;
        cursor.take(b",\"c\":\"")?;
        let close = cursor.decimal()?;
        cursor.take(b",\"h\":\"")?;
        let high = cursor.decimal()?;
        cursor.take(b",\"l\":\"")?;
        let low = cursor.decimal()?;
        cursor.take(b",\"v\":\"")?;
        let volume = cursor.decimal()?;
        cursor.take(b",\"n\":")?;
        let trades = cursor.signed()?;
        cursor.take(b",\"x\":")?;
        let closed = cursor.boolean()?;
        cursor.take(b",\"q\":\"")?;
        let quote_volume = cursor.decimal()?;
        cursor.take(b",\"V\":\"")?;
        let taker_buy_volume = cursor.decimal()?;
        cursor.take(b",\"Q\":\"")?;
        let taker_buy_quote_volume = cursor.decimal()?;
        cursor.take(b",\"B\":\"")?;
        cursor.text()?;
        cursor.take(b"}")?;
        self.close(&mut cursor)?;
        frame.finish(cursor)?;
        let fields = CandleFields {
            event_ns,
            open_ns,
            close_ns,
            interval,
            open,
            high,
            low,
            close,
            volume,
            quote_volume,
            taker_buy_volume,
            taker_buy_quote_volume,
            trades,
            closed,
        };
        sink.push(&fields.record(self.envelope(instrument)).ok()?);
        Some(Kind::Candle)
    }

    #[inline(never)]
    pub(crate) fn ticker(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = frame.cursor;
        cursor.take(b"24hrTicker")?;
        let (event_ns, instrument) = self.event_and_symbol(&mut cursor)?;
        skip_pair(&mut cursor)?;
        cursor.take(b",\"p\":\"")?;
        cursor.text()?;
        cursor.take(b",\"P\":\"")?;
        cursor.text()?;
        cursor.take(b",\"w\":\"")?;
        let weighted_average = cursor.decimal()?;
        if cursor.has(b",\"x\":\"") {
            cursor.text()?;
        }
        cursor.take(b",\"c\":\"")?;
        let last = cursor.decimal()?;
        cursor.take(b",\"Q\":\"")?;
        let last_quantity = cursor.decimal()?;
        // Only spot has the best bid and ask here.
        let [bid_price, bid_quantity, ask_price, ask_quantity] =
            if cursor.next_is(b",\"b\":") { best(&mut cursor)? } else { [NO_DECIMAL; 4] };
        cursor.take(b",\"o\":\"")?;
        let open = cursor.decimal()?;
        cursor.take(b",\"h\":\"")?;
        let high = cursor.decimal()?;
        cursor.take(b",\"l\":\"")?;
        let low = cursor.decimal()?;
        cursor.take(b",\"v\":\"")?;
        let volume = cursor.decimal()?;
        cursor.take(b",\"q\":\"")?;
        let quote_volume = cursor.decimal()?;
        cursor.take(b",\"O\":")?;
        let open_ns = cursor.time()?;
        cursor.take(b",\"C\":")?;
        let close_ns = cursor.time()?;
        cursor.take(b",\"F\":")?;
        let first_trade_id = cursor.signed()?;
        cursor.take(b",\"L\":")?;
        let last_trade_id = cursor.signed()?;
        cursor.take(b",\"n\":")?;
        let trades = cursor.signed()?;
        self.close(&mut cursor)?;
        frame.finish(cursor)?;
        let fields = TickerFields {
            event_ns,
            last,
            open,
            high,
            low,
            weighted_average,
            bid_price,
            ask_price,
            volume,
            last_quantity,
            bid_quantity,
            ask_quantity,
            quote_volume,
            open_ns,
            close_ns,
            first_trade_id,
            last_trade_id,
            trades,
        };
        sink.push(&fields.record(self.envelope(instrument)).ok()?);
        Some(Kind::Ticker)
    }

    #[inline(never)]
    pub(crate) fn liquidation(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = frame.cursor;
        cursor.take(b"forceOrder\",\"E\":")?;
        let event_ns = cursor.time()?;
        skip_pair(&mut cursor)?;
        if cursor.has(b",\"st\":") && Some(cursor.integer()?) != self.own_type {
            return None;
        }
        cursor.take(b",\"o\":{\"s\":\"")?;
        let instrument = self.instrument(cursor.symbol()?)?;
        skip_pair(&mut cursor)?;
        cursor.take(b",\"S\":\"")?;
        let side = order_side(cursor.text()?);
        cursor.take(b",\"o\":\"")?;
        cursor.text()?;
        cursor.take(b",\"f\":\"")?;
        cursor.text()?;
        cursor.take(b",\"q\":\"")?;
        let quantity = cursor.decimal()?;
        cursor.take(b",\"p\":\"")?;
        let price = cursor.decimal()?;
        cursor.take(b",\"ap\":\"")?;
        let average_price = optional_decimal(&mut cursor)?;
        cursor.take(b",\"X\":\"")?;
        let status = cursor.text()?;
        cursor.take(b",\"l\":\"")?;
        let last_quantity = optional_decimal(&mut cursor)?;
        cursor.take(b",\"z\":\"")?;
        let filled_quantity = optional_decimal(&mut cursor)?;
        cursor.take(b",\"T\":")?;
        let trade_ns = cursor.time()?;
        cursor.take(b"}}")?;
        frame.finish(cursor)?;
        let fields = LiquidationFields {
            event_ns,
            trade_ns,
            side,
            price,
            average_price,
            quantity,
            filled_quantity,
            last_quantity,
            status,
        };
        sink.push(&fields.record(self.envelope(instrument)).ok()?);
        Some(Kind::Liquidation)
    }
}

/// A decimal that may be the empty text.
fn optional_decimal(cursor: &mut Cursor<'_>) -> Option<Decimal> {
    if cursor.has(b"\"") { Some(NO_DECIMAL) } else { cursor.decimal() }
}
