//! The message of `ticker`, which became a record of each kind that its fields allow: these are joined again.

use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::{
    ABSENT, FundingRate, Greeks, Header, MarkPrice, OpenInterest, Ticker as TickerRecord,
};
use marketprism_core::{Instrument, RecordRef};

use super::object::{DECIMALS, Object};
use super::{Message, Stream};
use crate::history::chained::numbers::Numbers;

/// The records of one message, as far as they were recorded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ticker {
    ticker: Option<TickerRecord>,
    price: Option<MarkPrice>,
    interest: Option<OpenInterest>,
    funding: Option<FundingRate>,
    greeks: Option<Greeks>,
    exchange_ns: Option<i64>,
    /// Records put together.
    pub(crate) records: u64,
}

impl Ticker {
    /// Adds a record that belongs to the same message. False where it does not: then it begins the next one, or is of
    /// another stream.
    pub(crate) fn add(&mut self, record: RecordRef<'_>, instrument: &Instrument) -> bool {
        let exchange_ns = record.header().exchange_ns;
        if instrument.instrument_type == InstrumentType::Index
            || self.exchange_ns.is_some_and(|time| time != exchange_ns)
        {
            return false;
        }
        let is_new = match record {
            RecordRef::Ticker(record) => set(&mut self.ticker, record),
            RecordRef::MarkPrice(record) => set(&mut self.price, record),
            RecordRef::OpenInterest(record) => set(&mut self.interest, record),
            RecordRef::FundingRate(record) => set(&mut self.funding, record),
            RecordRef::Greeks(record) => set(&mut self.greeks, record),
            _ => false,
        };
        if is_new {
            self.exchange_ns = Some(exchange_ns);
            self.records += 1;
        }
        is_new
    }

    /// The message.
    pub(crate) fn message(&self, instrument: &Instrument) -> Message {
        let mut data = Object::new();
        if instrument.instrument_type == InstrumentType::Option {
            let (price, exponent) =
                self.greeks.map_or((ABSENT, 0), |greeks| (greeks.underlying_price, greeks.exponents[13]));
            data = data.decimal("underlying_price", price, exponent).text("underlying_index", "index_price");
        }
        data = data.time("timestamp", self.exchange_ns.unwrap_or(marketprism_core::clock::TIME_MISSING));
        data = self.state(data.text("state", "open"), &instrument.venue_symbol);
        data = self.prices(data);
        data = self.rates(data);
        Message::new(Stream::Ticker(instrument.venue_symbol.clone()), data.end())
    }

    /// Statistics and best prices.
    fn state(&self, data: Object, symbol: &str) -> Object {
        let header = |header: Option<&Header>| {
            header.map_or((0, 0), |header| (header.price_exponent, header.quantity_exponent))
        };
        let (price_exponent, quantity_exponent) = header(self.ticker.as_ref().map(|ticker| &ticker.header));
        let of = |field: fn(&TickerRecord) -> i64| self.ticker.as_ref().map_or(ABSENT, field);
        let (last, high, low) = (of(|t| t.last), of(|t| t.high), of(|t| t.low));
        let (bid, ask) = (of(|t| t.bid_price), of(|t| t.ask_price));
        let prices = Numbers::new(price_exponent, DECIMALS, [last, high, low, bid, ask]);
        let (volume, bid_amount, ask_amount) =
            (of(|t| t.volume), of(|t| t.bid_quantity), of(|t| t.ask_quantity));
        let amounts = Numbers::new(quantity_exponent, DECIMALS, [volume, bid_amount, ask_amount]);
        let base = self.ticker.as_ref().map_or((ABSENT, 0), |t| (t.base_volume, t.base_volume_exponent));
        let quote = self.ticker.as_ref().map_or((ABSENT, 0), |t| (t.quote_volume, t.quote_volume_exponent));
        let statistics =
            Object::new().number("high", prices, high).number("low", prices, low).raw("price_change", "null");
        // The venue's volume is in base coins, which is the unit of quantities of some instruments only.
        let statistics = match volume {
            ABSENT => statistics.decimal("volume", base.0, base.1),
            volume => statistics.number("volume", amounts, volume),
        };
        let statistics =
            statistics.decimal("volume_usd", quote.0, quote.1).decimal("volume_notional", quote.0, quote.1);
        data.raw("stats", &statistics.end())
            .text("instrument_name", symbol)
            .number("last_price", prices, last)
            .number("settlement_price", prices, last)
            .number("min_price", prices, low)
            .number("max_price", prices, high)
            .best("ask", (prices, ask), (amounts, ask_amount))
            .best("bid", (prices, bid), (amounts, bid_amount))
    }

    fn prices(&self, data: Object) -> Object {
        let mut data = data;
        if let Some(MarkPrice { header, mark_price, index_price, settlement_price, .. }) = self.price {
            let prices = [mark_price, index_price, settlement_price];
            let numbers = Numbers::new(header.price_exponent, DECIMALS, prices);
            data = data.number("mark_price", numbers, mark_price).number("index_price", numbers, index_price);
            data = data.number("estimated_delivery_price", numbers, settlement_price);
        }
        if let Some(interest) = self.interest {
            data = data.decimal("open_interest", interest.open_interest, interest.header.quantity_exponent);
        }
        data
    }

    fn rates(&self, data: Object) -> Object {
        let mut data = data;
        if let Some(funding) = self.funding {
            data = data
                .decimal("current_funding", funding.rate, funding.rate_exponent)
                .decimal("funding_8h", funding.realised_rate, funding.realised_exponent)
                .decimal("interest_value", funding.interest_rate, funding.interest_exponent);
        }
        let Some(greeks) = self.greeks else { return data };
        let numbers: Vec<(i64, i8)> = greeks.numbers().into_iter().zip(greeks.exponents).collect();
        let member = |object: Object, (place, key): (usize, &str)| match numbers.get(place) {
            Some((mantissa, exponent)) => object.decimal(key, *mantissa, *exponent),
            None => object,
        };
        let sensitivities = SENSITIVITIES.into_iter().fold(Object::new(), member);
        let data = VOLATILITIES.into_iter().fold(data, member);
        data.raw("greeks", &sensitivities.end())
    }
}

/// Places among [`Greeks::numbers`] and their keys in the object `greeks`.
const SENSITIVITIES: [(usize, &str); 5] = [(2, "vega"), (3, "theta"), (4, "rho"), (1, "gamma"), (0, "delta")];
/// The same in the ticker itself.
const VOLATILITIES: [(usize, &str); 4] =
    [(9, "mark_iv"), (10, "bid_iv"), (11, "ask_iv"), (14, "interest_rate")];

fn set<T: Copy>(place: &mut Option<T>, record: &T) -> bool {
    let is_new = place.is_none();
    if is_new {
        *place = Some(*record);
    }
    is_new
}
