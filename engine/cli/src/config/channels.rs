//! The channels of a source: whether the venue has them, and which cannot be had together.

use marketprism_core::instrument::{Instrument, InstrumentType};
use marketprism_core::record::Kind;
use marketprism_core::venue::{Market, Stream, Venue};

use super::nearest::nearest;
use super::reader::{Reader, Text};

/// An instrument of each type. Some channels are about few instruments only: these are called as those are, so that
/// every channel has something to say of one of them.
const EXAMPLES: [(InstrumentType, &str); 7] = [
    (InstrumentType::Spot, "BTC-USDT"),
    (InstrumentType::Perpetual, "BTC-PERPETUAL"),
    (InstrumentType::Future, "BTC-USD_UM_XPERP-310404"),
    (InstrumentType::Option, "BTC-USD-261225-100000-C"),
    (InstrumentType::Combo, "BTC-FS-25DEC26_PERP"),
    (InstrumentType::Index, "btc_usd"),
    (InstrumentType::Market, ""),
];

/// A channel that the venue has.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) text: Text,
    chain: Option<Chain>,
}

/// What an instrument can have one of: messages whose ids continue each other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    /// In the plural.
    name: &'static str,
    /// The stream, for an example.
    stream: String,
}

impl Channel {
    /// Whether both are of one chain and by different streams, so that an instrument cannot have both.
    fn excludes(&self, other: &Channel) -> bool {
        match (&self.chain, &other.chain) {
            (Some(own), Some(other)) => own.name == other.name && own.stream != other.stream,
            _ => false,
        }
    }

    /// Whether two sources cannot both have them for one instrument.
    pub(super) fn repeats(&self, earlier: &Channel) -> bool {
        self.text.value == earlier.text.value || self.excludes(earlier)
    }
}

/// Checks the channels and returns those that are right.
pub(super) fn check(
    reader: &mut Reader<'_>,
    venue: &dyn Venue,
    market: &'static Market,
    channels: &[Text],
) -> Vec<Channel> {
    let mut checked: Vec<Channel> = vec![];
    for text in channels {
        let chain = match chain(venue, market, &text.value) {
            Ok(chain) => chain,
            Err(reason) => {
                reader.fault(text.at, format!("{reason}{}", hint(market, &text.value)));
                continue;
            }
        };
        let channel = Channel { text: text.clone(), chain };
        match checked.iter().find(|earlier| channel.excludes(earlier)) {
            Some(earlier) => {
                let name = channel.chain.as_ref().map_or("", |chain| chain.name);
                let message = format!(
                    "channels \"{}\" and \"{}\" are both {name}, and an instrument can have one; remove one of them",
                    earlier.text.value, text.value
                );
                reader.fault(text.at, message);
            }
            None => checked.push(channel),
        }
    }
    checked
}

/// The chain that a channel carries, if any. The error says what is wrong with the channel.
fn chain(venue: &dyn Venue, market: &Market, channel: &str) -> Result<Option<Chain>, String> {
    let (mut streams, mut polls) = (vec![], vec![]);
    for (instrument_type, symbol) in EXAMPLES {
        let unknown = Instrument::unknown(venue.name(), market.name, symbol);
        let example = Instrument { instrument_type, ..unknown };
        streams.extend(venue.streams(market, channel, &example)?);
        polls.extend(venue.polls(market, channel, &example));
    }
    if streams.is_empty() && polls.is_empty() {
        return Err(format!("{}/{} has nothing to record as \"{channel}\"", venue.name(), market.name));
    }
    Ok(streams.into_iter().find_map(|stream| Some(Chain { name: chain_name(&stream)?, stream: stream.name })))
}

fn chain_name(stream: &Stream) -> Option<&'static str> {
    stream.kinds.iter().find_map(|kind| match kind.stream() {
        Kind::BookDelta => Some("books"),
        Kind::Trade => Some("trades"),
        _ => None,
    })
}

/// What may have been meant by a channel that is wrong.
fn hint(market: &Market, channel: &str) -> String {
    let (name, option) = channel.split_at(channel.find('@').unwrap_or(channel.len()));
    let near = nearest(name, market.channels.iter().copied()).filter(|near| *near != name);
    near.map_or(String::new(), |near| format!("; did you mean \"{near}{option}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::venues;

    #[test]
    fn every_channel_of_every_market_records_something() {
        for venue in venues() {
            for market in venue.markets() {
                for channel in market.channels {
                    chain(&*venue, market, channel).unwrap();
                }
            }
        }
    }
}
