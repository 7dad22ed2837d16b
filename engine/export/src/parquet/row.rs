//! How a record fills its row.

use marketprism_core::Instrument;
use marketprism_core::json;
use marketprism_core::record::*;

use super::column::Row;

/// Fills one row. Gives whether every number fits its column.
pub(super) fn fill(row: &mut Row<'_>, sequence: u64, record: RecordRef<'_>, instrument: &Instrument) -> bool {
    let header = record.header();
    row.unsigned(Some(sequence));
    row.time(header.receive_ns);
    row.time(header.exchange_ns);
    own(row, record, header);
    for (bit, _) in flag::NAMES {
        row.flag(header.flags & bit != 0);
    }
    let is_exact = row.is_exact;
    let json = (!is_exact).then(|| {
        let mut json = Vec::new();
        json::write_record(&mut json, record, instrument, sequence);
        String::from_utf8_lossy(json.trim_ascii_end()).into_owned()
    });
    row.text(json.as_deref());
    is_exact
}

fn own(row: &mut Row<'_>, record: RecordRef<'_>, header: &Header) {
    match record {
        RecordRef::Trade(record) => trade(row, record),
        RecordRef::DetailedTrade(record) => detailed_trade(row, record),
        RecordRef::AggTrade(record) => agg_trade(row, record),
        RecordRef::Book(record, levels) => book(row, record, levels),
        RecordRef::Quote(record) => quote(row, record),
        RecordRef::Ticker(record) => ticker(row, record),
        RecordRef::MarkPrice(record) => {
            let MarkPrice { mark_price, index_price, settlement_price, average_price, .. } = *record;
            for price in [mark_price, index_price, settlement_price, average_price] {
                row.decimal(price, header.price_exponent);
            }
        }
        RecordRef::FundingRate(record) => funding_rate(row, record),
        RecordRef::OpenInterest(record) => {
            row.decimal(record.open_interest, header.quantity_exponent);
            row.decimal(record.open_interest_value, record.value_exponent);
            row.decimal(record.open_interest_base, record.base_exponent);
        }
        RecordRef::Liquidation(record) => liquidation(row, record),
        RecordRef::Candle(record) => candle(row, record),
        RecordRef::LongShortRatio(record) => {
            row.word(RatioBasis::name(record.basis));
            row.text(Some(text_of(&record.period)));
            row.decimal(record.ratio, record.ratio_exponent);
            row.decimal(record.long_share, record.share_exponent);
            row.decimal(record.short_share, record.share_exponent);
        }
        RecordRef::Definition(_, body) => row.text(std::str::from_utf8(body).ok()),
        RecordRef::Session(record, body) => {
            row.word(SessionEvent::name(record.event));
            row.unsigned(some(record.connection.into()));
            row.text(std::str::from_utf8(body).ok().filter(|body| !body.is_empty()));
        }
        RecordRef::Gap(record) => gap(row, record),
        RecordRef::Raw(record, body) => {
            let (reason, frame) = body.split_at((record.reason_bytes as usize).min(body.len()));
            row.text(Some(&String::from_utf8_lossy(reason)));
            row.bytes(frame);
            row.unsigned(Some(record.frame_bytes.into()));
            row.unsigned(some(record.offset.into()));
            row.unsigned(some(record.connection.into()));
        }
        RecordRef::Greeks(record) => {
            for (number, exponent) in record.numbers().into_iter().zip(record.exponents) {
                row.decimal(number, exponent);
            }
        }
        RecordRef::VolatilityIndex(record) => row.decimal(record.volatility, header.price_exponent),
        RecordRef::ClockSample(record) => {
            row.time(record.request_ns);
            row.signed(record.resolution_ns);
        }
    }
}

/// A number that 0 stands for the absence of.
fn some(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}

fn trade_core(row: &mut Row<'_>, trade: &Trade) {
    row.decimal(trade.price, trade.header.price_exponent);
    row.decimal(trade.quantity, trade.header.quantity_exponent);
    row.word(Side::name(trade.side));
}

fn trade(row: &mut Row<'_>, trade: &Trade) {
    trade_core(row, trade);
    let is_put_together = trade.fills != 0;
    row.unsigned(Some(trade.header.sequence));
    row.unsigned(is_put_together.then(|| trade.first_id()));
    row.unsigned(is_put_together.then_some(trade.header.sequence));
    row.time(trade.event_ns);
    row.word(TradeType::name(trade.trade_type));
    row.text(None);
    row.unsigned(None);
    (0..3).for_each(|_| row.decimal(ABSENT, 0));
    row.word(None);
    row.flag(false);
    row.flag(false);
}

fn detailed_trade(row: &mut Row<'_>, detailed: &DetailedTrade) {
    let trade = &detailed.trade;
    trade_core(row, trade);
    (0..3).for_each(|_| row.unsigned(None));
    row.time(trade.event_ns);
    row.word(TradeType::name(trade.trade_type));
    row.text(Some(text_of(&detailed.trade_id)));
    row.unsigned(Some(trade.header.sequence));
    row.decimal(detailed.mark_price, trade.header.price_exponent);
    row.decimal(detailed.index_price, trade.header.price_exponent);
    row.decimal(detailed.implied_volatility, detailed.volatility_exponent);
    row.word(LiquidatedParty::name(detailed.liquidation));
    row.flag(detailed.block != 0);
    row.flag(detailed.combo != 0);
}

fn agg_trade(row: &mut Row<'_>, trade: &AggTrade) {
    let header = &trade.header;
    row.decimal(trade.price, header.price_exponent);
    row.decimal(trade.quantity, header.quantity_exponent);
    row.decimal(trade.normal_quantity, header.quantity_exponent);
    row.word(Side::name(trade.side));
    row.unsigned(Some(header.sequence));
    row.unsigned(Some(trade.first_trade_id));
    row.unsigned(Some(trade.last_trade_id));
    row.time(trade.event_ns);
}

fn book(row: &mut Row<'_>, book: &Book, levels: &[Level]) {
    let exponents = (book.header.price_exponent, book.header.quantity_exponent);
    let (bids, asks) = crate::book::sides(book, levels);
    row.levels(bids, exponents);
    row.levels(asks, exponents);
    // The venue's own form is signed.
    row.signed(book.checksum().map_or(ABSENT, |checksum| i64::from(checksum as i32)));
    row.unsigned(some(book.first_id).filter(|_| book.checksum().is_none()));
    row.unsigned(some(book.header.sequence));
    row.signed(book.previous_id);
    row.time(book.event_ns);
    row.flag(book.header.flags & flag::PARTIAL != 0);
}

fn quote(row: &mut Row<'_>, quote: &Quote) {
    let header = &quote.header;
    row.decimal(quote.bid_price, header.price_exponent);
    row.decimal(quote.bid_quantity, header.quantity_exponent);
    row.decimal(quote.ask_price, header.price_exponent);
    row.decimal(quote.ask_quantity, header.quantity_exponent);
    row.unsigned(some(header.sequence));
}

fn ticker(row: &mut Row<'_>, ticker: &Ticker) {
    let (price, quantity) = (ticker.header.price_exponent, ticker.header.quantity_exponent);
    row.decimal(ticker.last, price);
    row.decimal(ticker.open, price);
    row.decimal(ticker.high, price);
    row.decimal(ticker.low, price);
    row.decimal(ticker.volume, quantity);
    row.decimal(ticker.quote_volume, ticker.quote_volume_exponent);
    row.decimal(ticker.base_volume, ticker.base_volume_exponent);
    row.decimal(ticker.weighted_average, price);
    row.decimal(ticker.last_quantity, quantity);
    row.decimal(ticker.bid_price, price);
    row.decimal(ticker.bid_quantity, quantity);
    row.decimal(ticker.ask_price, price);
    row.decimal(ticker.ask_quantity, quantity);
    row.time(ticker.open_ns);
    row.time(ticker.close_ns);
    row.signed(ticker.first_trade_id);
    row.signed(ticker.last_trade_id);
    row.signed(ticker.trades);
}

fn funding_rate(row: &mut Row<'_>, funding: &FundingRate) {
    row.decimal(funding.rate, funding.rate_exponent);
    row.time(funding.next_funding_ns);
    row.signed(funding.interval_ns);
    row.decimal(funding.realised_rate, funding.realised_exponent);
    row.decimal(funding.premium, funding.premium_exponent);
    row.decimal(funding.interest_rate, funding.interest_exponent);
}

fn liquidation(row: &mut Row<'_>, order: &Liquidation) {
    let (price, quantity) = (order.header.price_exponent, order.header.quantity_exponent);
    row.word(Side::name(order.side));
    row.decimal(order.price, price);
    row.decimal(order.quantity, quantity);
    row.decimal(order.average_price, price);
    row.decimal(order.filled_quantity, quantity);
    row.decimal(order.last_quantity, quantity);
    row.text(Some(text_of(&order.status)).filter(|status| !status.is_empty()));
    row.time(order.event_ns);
}

fn candle(row: &mut Row<'_>, candle: &Candle) {
    let (price, quantity) = (candle.header.price_exponent, candle.header.quantity_exponent);
    row.text(Some(text_of(&candle.interval)));
    row.time(candle.open_ns);
    row.time(candle.close_ns);
    row.decimal(candle.open, price);
    row.decimal(candle.high, price);
    row.decimal(candle.low, price);
    row.decimal(candle.close, price);
    row.decimal(candle.volume, quantity);
    row.decimal(candle.quote_volume, candle.quote_volume_exponent);
    row.signed(candle.trades);
    row.decimal(candle.taker_buy_volume, quantity);
    row.decimal(candle.taker_buy_quote_volume, candle.quote_volume_exponent);
    row.flag(candle.closed != 0);
}

fn gap(row: &mut Row<'_>, gap: &Gap) {
    row.word(Kind::from_number(gap.stream).map(Kind::name));
    row.word(GapReason::name(gap.reason));
    row.unsigned(some(gap.from_id));
    row.unsigned(some(gap.to_id));
    row.time(gap.from_ns);
    row.unsigned(some(gap.records.into()));
    row.flag(gap.repaired != 0);
}
