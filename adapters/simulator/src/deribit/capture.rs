//! Captured frames and answers of the venue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::rpc::{Failure, Parameters};

/// Stored lists of instruments, by currency.
#[derive(Debug, Default)]
pub(super) struct Answers {
    instruments: BTreeMap<String, Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    kind: &'a str,
}

impl Answers {
    /// Reads an answer; files other than lists of instruments say nothing to this venue.
    pub(super) fn read(&mut self, file: &str, body: &str) {
        #[derive(Deserialize)]
        struct Answer {
            result: Vec<Box<RawValue>>,
        }
        let currency = file.strip_prefix("get_instruments_").and_then(|rest| rest.split(['.', '_']).next());
        if let (Some(currency), Ok(answer)) = (currency, serde_json::from_str::<Answer>(body)) {
            self.instruments.entry(currency.to_owned()).or_default().extend(answer.result);
        }
    }

    /// `public/get_instruments` from what is stored, instrument by instrument as it was sent.
    pub(super) fn instruments(&self, parameters: &Parameters) -> Result<String, Failure> {
        let currency = parameters.required("currency")?;
        let kind = parameters.text("kind").unwrap_or("any");
        let stored = self.instruments.iter().filter(|(of, _)| currency == "any" || *of == currency);
        let asked = |instrument: &&str| {
            let listed = serde_json::from_str::<Listed<'_>>(instrument);
            kind == "any" || listed.is_ok_and(|listed| listed.kind == kind)
        };
        let all = stored.flat_map(|(_, instruments)| instruments).map(|instrument| instrument.get());
        let texts: Vec<&str> = all.filter(asked).collect();
        Ok(format!("[{}]", texts.join(",")))
    }
}

/// What a notification is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) channel: String,
    /// First and last id, 0 where there are none.
    pub(super) ids: (u64, u64),
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    channel: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Book {
    change_id: u64,
    prev_change_id: Option<u64>,
}

#[derive(Deserialize)]
struct Trade {
    trade_seq: u64,
}

/// Reads a captured frame; `None` when it is no notification.
pub(super) fn notification(text: &str) -> Option<Notification> {
    let Params { channel, data } = serde_json::from_str::<Frame<'_>>(text).ok()?.params;
    let ids = if channel.starts_with("book.") {
        let book: Book = serde_json::from_str(data.get()).ok()?;
        (book.prev_change_id.unwrap_or(book.change_id), book.change_id)
    } else if let Ok(trades) = serde_json::from_str::<Vec<Trade>>(data.get()) {
        (trades.first().map_or(0, |trade| trade.trade_seq), trades.last().map_or(0, |trade| trade.trade_seq))
    } else {
        (0, 0)
    };
    Some(Notification { channel: channel.to_owned(), ids })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_have_the_ids_of_their_kind() {
        let frame = |channel: &str, data: &str| {
            let text = format!(
                "{{\"params\":{{\"data\":{data},\"channel\":\"{channel}\"}},\"method\":\"subscription\"}}"
            );
            notification(&text).map(|found| (found.channel, found.ids))
        };
        let change = "{\"type\":\"change\",\"prev_change_id\":5,\"change_id\":9,\"bids\":[],\"asks\":[]}";
        assert_eq!(frame("book.X.raw", change), Some(("book.X.raw".to_owned(), (5, 9))));
        assert_eq!(frame("book.X.raw", "{\"change_id\":7}"), Some(("book.X.raw".to_owned(), (7, 7))));
        let trades = "[{\"trade_seq\":3},{\"trade_seq\":4}]";
        assert_eq!(frame("trades.X.raw", trades), Some(("trades.X.raw".to_owned(), (3, 4))));
        assert_eq!(frame("ticker.X.raw", "{}"), Some(("ticker.X.raw".to_owned(), (0, 0))));
        assert_eq!(notification("{\"id\":0,\"result\":[]}"), None);
    }

    #[test]
    fn stored_instruments_are_found_by_currency_and_kind() {
        let mut answers = Answers::default();
        answers.read("get_instruments_BTC.json", "{\"result\":[{\"kind\":\"option\",\"strike\":40000.0}]}");
        answers.read("get_instruments_ETH.json", "{\"result\":[{\"kind\":\"future\"}]}");
        answers.read("index.json", "{}");
        let asked = |query: &str| answers.instruments(&Parameters::of_query(query)).expect("a list");
        assert_eq!(asked("currency=BTC"), "[{\"kind\":\"option\",\"strike\":40000.0}]");
        assert_eq!(asked("currency=any&kind=future"), "[{\"kind\":\"future\"}]");
        assert_eq!(asked("currency=SOL"), "[]");
        assert!(answers.instruments(&Parameters::of_query("")).is_err());
    }
}
