//! Requests that are repeated.

use std::rc::Rc;
use std::time::Duration;

use marketprism_core::record::RecordBuffer;
use marketprism_core::venue::{DecodeError, Poll};

use super::{ControlledMarket, Shared};
use crate::journal::Asked;
use crate::rest::Answer;
use crate::telemetry::Severity;

/// Time between the first requests of two polls.
const SPACING: Duration = Duration::from_millis(20);

/// Repeats one request, until its instrument is no longer recorded. `place` is its number among those that begin now.
pub(super) async fn repeat(market: Rc<ControlledMarket>, poll: Poll, place: usize, shared: Rc<Shared>) {
    // One after the other, so that requests do not come in bursts.
    tokio::time::sleep(SPACING.saturating_mul(place as u32).min(poll.interval)).await;
    let mut timer = tokio::time::interval(poll.interval);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let is_market = poll.instrument == market.line.instrument;
        if !is_market && !market.instruments.borrow().contains_key(&poll.instrument) {
            return;
        }
        let outcome = match market.rest.get(&poll.request).await {
            Ok(answer) => take(&market, &poll, &answer, &shared).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(()) => shared.count_answer(),
            Err(error) => {
                shared.count_failure();
                let text = format!("{}: {}: {error}", market.label(), poll.answer);
                shared.events.send(Severity::Warning, text);
            }
        }
    }
}

/// Reads an answer and passes on what it gave.
fn take(market: &ControlledMarket, poll: &Poll, answer: &Answer, shared: &Shared) -> Result<(), DecodeError> {
    let mut records = RecordBuffer::default();
    let times = (answer.request_ns, answer.receive_ns);
    let parsed = market.line.venue.parse_poll(market.line.market, poll, &answer.body, times, &mut records);
    let read = parsed.map(|()| records);
    let asked = Asked::Poll {
        instrument: poll.instrument,
        answer: poll.answer.to_owned(),
        path: poll.request.path.clone(),
        request_ns: answer.request_ns,
    };
    shared.deliver_answer(market, &asked, answer, &read);
    read.map(|_| ())
}
