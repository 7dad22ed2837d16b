//! Recorded history of Binance's three markets.

mod answers;
mod book;
#[cfg(test)]
mod captured_tests;
mod frames;
mod instruments;
mod members;
#[cfg(test)]
mod play_tests;
mod polled;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::{Book, FundingRate, Level, MarkPrice, RecordRef, flag};
use marketprism_core::{Instrument, Kind};

use self::book::RecordedBook;
use self::frames::Frames;
use self::polled::Polled;
use super::{History, HistoryRecord, Moments, Next, ReplayedStream, Tally, Timeline};
use crate::config::Market;
use crate::instrument::{NO_TOPIC, Sink};

/// Flags of records that no stream of the venue carried.
const NOT_STREAMED: u8 = flag::DERIVED | flag::REST | flag::BACKFILLED;

/// What is known of one instrument.
#[derive(Debug)]
struct Recorded {
    definition: Arc<Instrument>,
    book: RecordedBook,
    polled: Polled,
}

/// One of the three markets.
#[derive(Debug, Default)]
struct RecordedMarket {
    instruments: BTreeMap<String, Recorded>,
    /// Topics of the hub by what a log knows of their names.
    topics: HashMap<String, BTreeMap<String, u32>>,
    /// Every name that was ever subscribed.
    subscribed: BTreeSet<String>,
}

type Markets = [RecordedMarket; 3];

/// Recorded markets and how far they were played.
#[derive(Debug)]
pub(crate) struct Replay {
    timeline: Arc<Timeline>,
    moments: Moments,
    markets: Markets,
    tally: Tally,
    /// Receive time of the newest record played, nanoseconds.
    position_ns: i64,
    has_ended: bool,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was played; more may be due.
    Played,
    /// Nothing is due yet.
    Early,
    /// Everything was played.
    Ended,
}

impl Replay {
    /// Reads what was known before; waits for the reader.
    pub(crate) fn new(history: &History) -> Replay {
        let mut moments = Moments::new(history.events.clone());
        let mut markets = Markets::default();
        moments.read_before(|record| {
            remember(&mut markets, &record);
        });
        Replay {
            timeline: Arc::clone(&history.timeline),
            moments,
            markets,
            tally: Tally::default(),
            position_ns: history.timeline.first_ns().unwrap_or(0),
            has_ended: false,
        }
    }

    /// Plays the records of one receive time, when they are due.
    pub(crate) fn step<S: Sink>(&mut self, hub: &mut S) -> Step {
        match self.moments.next() {
            Next::NotRead => Step::Early,
            Next::End => {
                self.has_ended = true;
                Step::Ended
            }
            Next::Moment(receive_ns)
                if self.timeline.until(receive_ns).is_some_and(|wait| wait.is_zero()) =>
            {
                let records = self.moments.take();
                self.position_ns = self.position_ns.max(receive_ns);
                self.play(&records, hub);
                Step::Played
            }
            Next::Moment(_) => Step::Early,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(crate) fn streams(&self) -> Vec<ReplayedStream> {
        self.tally.streams()
    }

    /// Whether a stream can have data.
    pub(crate) fn serves(&self, market: Market, name: &str) -> bool {
        let Some(recorded) = streams::recorded_name(market, name) else { return false };
        let symbols = &self.markets[market.index()].instruments;
        streams::symbol_of(&recorded).is_none_or(|symbol| symbols.contains_key(&symbol))
    }

    /// Connects a stream to a topic, or disconnects it with [`NO_TOPIC`].
    pub(crate) fn connect(&mut self, market: Market, name: &str, topic: u32) {
        let Some(recorded) = streams::recorded_name(market, name) else { return };
        let own = &mut self.markets[market.index()];
        let topics = own.topics.entry(recorded).or_default();
        if topic == NO_TOPIC {
            topics.remove(name);
            return;
        }
        topics.insert(name.to_owned(), topic);
        if own.subscribed.insert(name.to_owned()) {
            self.timeline.subscribed();
        }
    }

    /// Symbols of a market, sorted.
    pub(crate) fn symbols(&self, market: Market) -> Vec<String> {
        self.markets[market.index()].instruments.keys().cloned().collect()
    }

    fn play<S: Sink>(&mut self, records: &[HistoryRecord], hub: &mut S) {
        for record in records {
            let Some(market) = remember(&mut self.markets, record) else { continue };
            let Some(content) = record.record() else { continue };
            if content.header().flags & NOT_STREAMED != 0 {
                continue;
            }
            let frames = Frames { market, instrument: &record.instrument };
            match content {
                RecordRef::MarkPrice(mark) => {
                    let funding = funding_of(records, record);
                    let count = if funding.is_some() { 2 } else { 1 };
                    self.send(&frames, "markPrice", (Kind::MarkPrice, count, (0, 0)), hub, || {
                        frames.mark_price(mark, funding)
                    });
                }
                // A rate that is wanted without its mark price has no message of its own.
                RecordRef::FundingRate(funding) if !records.iter().any(|other| carries(other, funding)) => {
                    self.count_unsent(&frames);
                }
                RecordRef::Definition(..) if market.is_futures() => {
                    let text = instruments::contract_info(market, &record.instrument, record.receive_ns());
                    let is_sent =
                        publish(&self.markets[market.index()], streams::CONTRACTS, hub, (0, 0), &text);
                    self.tally.count(market.name(), streams::CONTRACTS, 1, is_sent);
                }
                _ => self.play_one(&frames, content, hub),
            }
        }
    }

    fn count_unsent(&mut self, frames: &Frames<'_>) {
        let name = streams::stream(&frames.instrument.venue_symbol, "markPrice");
        self.tally.count(frames.market.name(), &name, 1, false);
    }

    /// Plays a record that is the whole of its message.
    fn play_one<S: Sink>(&mut self, frames: &Frames<'_>, record: RecordRef<'_>, hub: &mut S) {
        let last_id = record.header().sequence;
        let one = |kind, first_id| (kind, 1, (first_id, last_id));
        match record {
            RecordRef::Trade(trade) => {
                self.send(frames, "trade", one(Kind::Trade, last_id), hub, || frames.trade(trade));
            }
            RecordRef::AggTrade(trade) => {
                self.send(frames, "aggTrade", one(Kind::AggTrade, last_id), hub, || frames.agg_trade(trade));
            }
            RecordRef::Quote(quote) => {
                self.send(frames, "bookTicker", one(Kind::Quote, last_id), hub, || frames.quote(quote));
            }
            RecordRef::Book(book, levels) if book.header.kind == Kind::BookDelta as u8 => {
                let what = one(Kind::BookDelta, book.first_id);
                self.send(frames, "depth", what, hub, || frames.depth(book, levels));
            }
            RecordRef::Book(book, levels) => {
                let what = one(Kind::BookSnapshot, last_id);
                self.send(frames, streams::top_suffix(book), what, hub, || frames.top(book, levels));
            }
            RecordRef::Ticker(ticker) => {
                self.send(frames, "ticker", (Kind::Ticker, 1, (0, 0)), hub, || frames.ticker(ticker));
            }
            RecordRef::Liquidation(order) => {
                let what = (Kind::Liquidation, 1, (0, 0));
                self.send(frames, "forceOrder", what, hub, || frames.liquidation(order));
            }
            RecordRef::Candle(candle) => {
                let suffix = streams::candle_suffix(candle);
                self.send(frames, &suffix, (Kind::Candle, 1, (0, 0)), hub, || frames.candle(candle));
            }
            _ => {}
        }
    }

    /// Sends a payload to everybody on its streams, and counts its records; `what` is their kind and number, and the first
    /// and last id.
    fn send<S: Sink>(
        &mut self,
        frames: &Frames<'_>,
        suffix: &str,
        (kind, count, ids): (Kind, u64, (u64, u64)),
        hub: &mut S,
        render: impl FnOnce() -> String,
    ) {
        let (market, own) = (frames.market, &self.markets[frames.market.index()]);
        let name = streams::stream(&frames.instrument.venue_symbol, suffix);
        let of_all = streams::of_all(kind).filter(|(name, _)| has_topic(own, name));
        let mut is_sent = false;
        if has_topic(own, &name) || of_all.is_some() {
            let text = render();
            is_sent = publish(own, &name, hub, ids, &text);
            if let Some((all, is_list)) = of_all {
                let text = if is_list { format!("[{text}]") } else { text };
                is_sent |= publish(own, all, hub, ids, &text);
            }
        }
        self.tally.count(market.name(), &name, count, is_sent);
    }
}

/// Takes note of a record. Gives its market; `None` for what is none of Binance's instruments.
fn remember(markets: &mut Markets, record: &HistoryRecord) -> Option<Market> {
    let instrument = &record.instrument;
    let market: Market = instrument.market.parse().ok()?;
    if instrument.instrument_type == InstrumentType::Market {
        return None;
    }
    let instruments = &mut markets[market.index()].instruments;
    let own = match instruments.get_mut(&instrument.venue_symbol) {
        Some(own) => own,
        None => instruments.entry(instrument.venue_symbol.clone()).or_insert_with(|| Recorded {
            definition: Arc::clone(instrument),
            book: RecordedBook::default(),
            polled: Polled::default(),
        }),
    };
    own.definition = Arc::clone(instrument);
    match record.record()? {
        RecordRef::Book(book, levels) => own.book(book, levels),
        RecordRef::MarkPrice(mark) => own.polled.mark_price(mark),
        RecordRef::FundingRate(funding) => own.polled.funding(funding),
        RecordRef::OpenInterest(open_interest) => own.polled.open_interest(open_interest),
        RecordRef::LongShortRatio(ratio) => own.polled.ratio(ratio),
        RecordRef::Candle(candle) => own.polled.candle(candle),
        _ => {}
    }
    Some(market)
}

impl Recorded {
    fn book(&mut self, book: &Book, levels: &[Level]) {
        if book.header.kind == Kind::BookDelta as u8 {
            self.book.change(book, levels);
        } else if book.header.flags & flag::PARTIAL == 0 {
            self.book.snapshot(book, levels);
        }
    }
}

fn has_topic(market: &RecordedMarket, name: &str) -> bool {
    market.topics.get(name).is_some_and(|topics| !topics.is_empty())
}

/// Sends a payload on every topic of a stream; false where there is none.
fn publish<S: Sink>(market: &RecordedMarket, name: &str, hub: &mut S, ids: (u64, u64), text: &str) -> bool {
    let topics = market.topics.get(name).into_iter().flatten();
    topics.fold(false, |_, (_, topic)| {
        hub.publish(*topic, text.as_bytes(), ids.0, ids.1);
        true
    })
}

/// Whether a record is the mark price whose message a funding rate came in.
fn carries(record: &HistoryRecord, funding: &FundingRate) -> bool {
    let is_same = |mark: &MarkPrice| {
        mark.header.instrument == funding.header.instrument
            && mark.header.exchange_ns == funding.header.exchange_ns
            && (mark.header.flags | funding.header.flags) & NOT_STREAMED == 0
    };
    matches!(record.record(), Some(RecordRef::MarkPrice(mark)) if is_same(mark))
}

/// The funding rate that came in the same message as a mark price.
fn funding_of<'a>(records: &'a [HistoryRecord], mark: &'a HistoryRecord) -> Option<&'a FundingRate> {
    records.iter().find_map(|record| match record.record()? {
        RecordRef::FundingRate(funding) if carries(mark, funding) => Some(funding),
        _ => None,
    })
}
