//! The two venues' book messages as records. The digits of every number are kept.

use marketprism_core::record::{ABSENT, Book, Header, flag};
use marketprism_core::{Kind, Level};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{Row, decimal};

/// A message as text and as a record.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) instrument: String,
    pub(crate) book: Book,
    pub(crate) levels: Vec<Level>,
    pub(crate) bids: Vec<Row>,
    pub(crate) asks: Vec<Row>,
}

impl Message {
    pub(crate) fn is_snapshot(&self) -> bool {
        self.book.header.kind == Kind::BookSnapshot as u8
    }
}

/// Fields of either venue's book message.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "seqId", alias = "change_id", default)]
    id: u64,
    #[serde(rename = "prevSeqId", alias = "prev_change_id")]
    previous: Option<i64>,
    #[serde(rename = "ts", alias = "timestamp", borrow)]
    milliseconds: &'a RawValue,
    #[serde(default)]
    checksum: i64,
    #[serde(borrow)]
    bids: Vec<Vec<&'a RawValue>>,
    #[serde(borrow)]
    asks: Vec<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Okx<'a> {
    arg: OkxChannel,
    action: &'a str,
    #[serde(borrow)]
    data: Vec<Fields<'a>>,
}

#[derive(Deserialize)]
struct OkxChannel {
    #[serde(rename = "instId")]
    instrument: String,
}

#[derive(Deserialize)]
struct Deribit<'a> {
    #[serde(borrow)]
    params: DeribitParams<'a>,
}

#[derive(Deserialize)]
struct DeribitParams<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct DeribitName<'a> {
    #[serde(rename = "type")]
    action: &'a str,
    #[serde(rename = "instrument_name")]
    instrument: String,
}

/// A frame of OKX: `[price, size, …]`.
pub(crate) fn okx(text: &str) -> Message {
    let frame: Okx<'_> = serde_json::from_str(text).unwrap();
    message(frame.arg.instrument, frame.action == "snapshot", &frame.data[0], 0)
}

/// A frame of Deribit: `[action, price, amount]`.
pub(crate) fn deribit(text: &str) -> Message {
    let data = serde_json::from_str::<Deribit<'_>>(text).unwrap().params.data.get();
    let name: DeribitName<'_> = serde_json::from_str(data).unwrap();
    message(name.instrument, name.action == "snapshot", &serde_json::from_str(data).unwrap(), 1)
}

/// Prices stand at index `at` of the rows and quantities behind them.
fn message(instrument: String, is_snapshot: bool, fields: &Fields<'_>, at: usize) -> Message {
    let rows = |side: &[Vec<&RawValue>]| -> Vec<Row> {
        let text = |value: &RawValue| value.get().trim_matches('"').to_owned();
        side.iter().map(|row| (text(row[at]), text(row[at + 1]))).collect()
    };
    let (bids, asks) = (rows(&fields.bids), rows(&fields.asks));
    let mut built = record(is_snapshot, (fields.previous, fields.id), &bids, &asks);
    built.book.header.exchange_ns =
        fields.milliseconds.get().trim_matches('"').parse::<i64>().unwrap() * 1_000_000;
    built.set_checksum(fields.checksum as u32);
    Message { instrument, ..built }
}

/// A record without time and checksum, with the exponents of its own finest numbers.
pub(crate) fn record(is_snapshot: bool, ids: (Option<i64>, u64), bids: &[Row], asks: &[Row]) -> Message {
    let rows = || bids.iter().chain(asks);
    let kind = if is_snapshot { Kind::BookSnapshot } else { Kind::BookDelta };
    let mut header = Header::new(kind, 1, 0);
    header.flags = if is_snapshot { flag::SNAPSHOT } else { 0 };
    header.sequence = ids.1;
    header.price_exponent = rows().map(|row| decimal(&row.0).exponent).min().unwrap_or(0);
    header.quantity_exponent = rows().map(|row| decimal(&row.1).exponent).min().unwrap_or(0);
    let level = |row: &Row| Level {
        price: decimal(&row.0).rescale(header.price_exponent).unwrap().mantissa,
        quantity: decimal(&row.1).rescale(header.quantity_exponent).unwrap().mantissa,
    };
    let book = Book {
        header,
        first_id: 0,
        previous_id: ids.0.unwrap_or(ABSENT),
        event_ns: ABSENT,
        level_start: 0,
        bid_levels: bids.len() as u16,
        ask_levels: asks.len() as u16,
    };
    let levels = rows().map(level).collect();
    Message { instrument: String::new(), book, levels, bids: bids.to_vec(), asks: asks.to_vec() }
}

impl Message {
    /// With 0 too, which no venue means.
    pub(crate) fn set_checksum(&mut self, checksum: u32) {
        self.book.header.flags |= flag::CHECKSUM;
        self.book.first_id = u64::from(checksum);
    }
}
