//! Books of OKX and Deribit, replayed from the texts of their frames without any of the engine's code but decimals.

use std::collections::{BTreeMap, HashMap};

use marketprism_core::Decimal;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A frame with a book: OKX has `action`, `arg` and a list of data, Deribit `params`.
#[derive(Deserialize)]
struct Frame {
    action: Option<String>,
    arg: Option<Argument>,
    data: Option<Vec<Data>>,
    params: Option<Parameters>,
}

#[derive(Deserialize)]
struct Argument {
    #[serde(rename = "instId")]
    symbol: String,
}

#[derive(Deserialize)]
struct Parameters {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    instrument_name: Option<String>,
    #[serde(rename = "type")]
    action: Option<String>,
    #[serde(rename = "seqId", alias = "change_id")]
    id: Option<u64>,
    bids: Vec<Vec<Box<RawValue>>>,
    asks: Vec<Vec<Box<RawValue>>>,
}

/// Price and quantity of levels, both in units of 10^-12.
pub(crate) type Levels = Vec<(i128, i128)>;

/// A book after all of its frames.
#[derive(Default)]
pub(crate) struct Replayed {
    sides: [BTreeMap<i128, i128>; 2],
    /// Its last id, 0 where the venue gave none.
    pub(crate) last_id: u64,
}

impl Replayed {
    /// The best levels of each side, bids first.
    pub(crate) fn best(&self, most: usize) -> [Levels; 2] {
        let pair = |(price, quantity): (&i128, &i128)| (*price, *quantity);
        let [bids, asks] = &self.sides;
        [bids.iter().rev().take(most).map(pair).collect(), asks.iter().take(most).map(pair).collect()]
    }

    fn apply(&mut self, data: Data, is_snapshot: bool) {
        if is_snapshot {
            *self = Replayed::default();
        }
        self.last_id = data.id.unwrap_or(0);
        for (side, levels) in self.sides.iter_mut().zip([data.bids, data.asks]) {
            for level in levels {
                let [price, quantity] = numbers(&level);
                side.insert(price, quantity);
            }
            side.retain(|_, quantity| *quantity != 0);
        }
    }
}

/// All books of some frames, by symbol.
pub(crate) fn replay<'a>(frames: impl Iterator<Item = &'a [u8]>) -> HashMap<String, Replayed> {
    let mut books: HashMap<String, Replayed> = HashMap::new();
    for frame in frames {
        let frame: Frame = serde_json::from_slice(frame).unwrap();
        for data in frame.data.into_iter().flatten().chain(frame.params.map(|params| params.data)) {
            let symbol = data.instrument_name.clone().or(frame.arg.as_ref().map(|arg| arg.symbol.clone()));
            let is_snapshot =
                frame.action.as_ref().or(data.action.as_ref()).is_some_and(|name| name == "snapshot");
            books.entry(symbol.unwrap()).or_default().apply(data, is_snapshot);
        }
    }
    books
}

/// `["price", "size", …]` of OKX or `[action, price, amount]` of Deribit.
fn numbers(level: &[Box<RawValue>]) -> [i128; 2] {
    let texts: Vec<&str> = level.iter().map(|value| value.get().trim_matches('"')).collect();
    match texts[..] {
        ["delete", price, _] => [fixed(price), 0],
        ["new" | "change", price, quantity] | [price, quantity, ..] => [fixed(price), fixed(quantity)],
        ref other => panic!("{other:?}"),
    }
}

/// The levels of a `book` line of the output.
pub(crate) fn levels(side: &Value) -> Levels {
    let pair = |level: &Value| (fixed(level[0].as_str().unwrap()), fixed(level[1].as_str().unwrap()));
    side.as_array().unwrap().iter().map(pair).collect()
}

fn fixed(text: &str) -> i128 {
    let number: Decimal = text.parse().unwrap();
    i128::from(number.mantissa) * 10_i128.pow((12 + i32::from(number.exponent)).try_into().unwrap())
}
