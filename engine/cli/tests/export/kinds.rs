//! One or more records of every kind, as the log's own tests have them.

#[path = "../../../log/tests/common/kinds.rs"]
#[allow(unreachable_pub)]
mod samples;

use bytemuck::Zeroable;
use marketprism_core::Instrument;
use marketprism_core::record::*;

use super::common::Log;

/// Appends them all; their instruments are defined before.
pub(crate) fn push(log: &mut Log) {
    // The dictionary of the next segment has them.
    log.seal();
    let market = Instrument::market("binance", "usdm");
    let index = Instrument::unknown("deribit", "option", "btc_usd");
    for instrument in [samples::definition(), market, index] {
        log.appender.registry_mut().define(instrument);
    }
    let take: samples::Take<'_> = &mut |record| log.push(record);
    samples::trades_of_all_kinds(take);
    samples::books_of_all_kinds(take);
    samples::statistics_of_all_kinds(take);
    samples::notes_of_all_kinds(take);
    // More digits than the columns of decimals have.
    let mut header = Header::new(Kind::Trade, 1, super::START_NS);
    (header.price_exponent, header.quantity_exponent, header.sequence) = (-30, 19, 1);
    log.push(RecordRef::Trade(&Trade { header, price: 123_456_789, quantity: i64::MAX, ..Trade::zeroed() }));
}
