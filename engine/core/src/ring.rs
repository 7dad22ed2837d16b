//! The single-producer, single-consumer ring of lines between two threads, and how a consumer waits.
//!
//! A record never straddles the end of the ring: where it would, the rest of the lap is filled with padding
//! (a line whose first byte is 0), so that a reader always sees whole records in one slice.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use crossbeam::sync::{Parker, Unparker};
use crossbeam::utils::Backoff;

use crate::record::{LINE_BYTES, Line, RecordRef};

/// The ring has no room for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct Full;

/// Makes a ring that holds `lines` lines.
pub fn ring(lines: usize) -> (LineProducer, LineConsumer) {
    let (producer, consumer) = rtrb::RingBuffer::new(lines);
    (LineProducer { inner: producer }, LineConsumer { inner: consumer })
}

/// The writing end.
#[derive(Debug)]
pub struct LineProducer {
    inner: rtrb::Producer<Line>,
}

impl LineProducer {
    /// Puts one record into the ring, or nothing at all where it does not fit.
    #[inline]
    pub fn push(&mut self, head: &[Line], body: &[u8]) -> Result<(), Full> {
        let lines = head.len() + body.len().div_ceil(LINE_BYTES);
        let mut chunk = self.inner.write_chunk_uninit(lines).map_err(|_| Full)?;
        let (first, second) = chunk.as_mut_slices();
        if !second.is_empty() {
            let padding = first.len();
            return self.push_padded(padding, lines, head, body);
        }
        fill(first, head, body);
        // SAFETY: `fill` wrote every one of the `lines` slots of the chunk, which are all in `first`.
        unsafe { chunk.commit_all() };
        Ok(())
    }

    #[cold]
    fn push_padded(&mut self, padding: usize, lines: usize, head: &[Line], body: &[u8]) -> Result<(), Full> {
        let mut chunk = self.inner.write_chunk_uninit(padding + lines).map_err(|_| Full)?;
        let (first, second) = chunk.as_mut_slices();
        for slot in first {
            slot.write(Line([0; LINE_BYTES]));
        }
        fill(second, head, body);
        // SAFETY: the first slice has the `padding` slots up to the end of the ring, all written above; the
        // second has the `lines` slots behind them, all written by `fill`.
        unsafe { chunk.commit_all() };
        Ok(())
    }

    /// Lines that are free at least.
    pub fn free_lines(&self) -> usize {
        self.inner.slots()
    }

    /// Lines that the ring holds.
    pub fn capacity_lines(&self) -> usize {
        self.inner.buffer().capacity()
    }

    /// Whether the reading end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.inner.is_abandoned()
    }
}

/// Writes head and body over all `slots`, the last line padded with zeros.
#[inline]
fn fill(slots: &mut [MaybeUninit<Line>], head: &[Line], body: &[u8]) {
    debug_assert_eq!(slots.len(), head.len() + body.len().div_ceil(LINE_BYTES));
    let (to_head, to_body) = slots.split_at_mut(head.len());
    for (slot, line) in to_head.iter_mut().zip(head) {
        slot.write(*line);
    }
    let (whole, rest) = body.as_chunks::<LINE_BYTES>();
    for (slot, chunk) in to_body.iter_mut().zip(whole) {
        slot.write(Line(*chunk));
    }
    if !rest.is_empty() {
        let mut line = Line([0; LINE_BYTES]);
        line.0[..rest.len()].copy_from_slice(rest);
        to_body[whole.len()].write(line);
    }
}

/// The reading end.
#[derive(Debug)]
pub struct LineConsumer {
    inner: rtrb::Consumer<Line>,
}

impl LineConsumer {
    /// Passes the waiting records to `take`, in order, and frees their lines when about `most_lines` are read.
    /// Returns the number of records.
    #[inline]
    pub fn consume(&mut self, most_lines: usize, mut take: impl FnMut(RecordRef<'_>)) -> usize {
        let available = self.inner.slots();
        if available == 0 {
            return 0;
        }
        let Ok(chunk) = self.inner.read_chunk(available) else { return 0 };
        let (first, second) = chunk.as_slices();
        let mut records = 0;
        let mut used = 0;
        for slice in [first, second] {
            let mut rest = slice;
            while used < most_lines {
                let Some((record, lines)) = RecordRef::read(rest) else {
                    // Padding (or nothing) up to the end of the slice.
                    used += rest.len();
                    rest = &[];
                    break;
                };
                take(record);
                records += 1;
                used += lines;
                rest = &rest[lines..];
            }
            if !rest.is_empty() {
                break;
            }
        }
        chunk.commit(used);
        records
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Whether the writing end is gone; what it wrote can still be read.
    pub fn is_abandoned(&self) -> bool {
        self.inner.is_abandoned()
    }

    /// Lines that wait.
    pub fn waiting_lines(&self) -> usize {
        self.inner.slots()
    }
}

/// How a thread waits when its rings are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Never gives the core away; for dedicated cores.
    Spin,
    /// Spins, then yields, then sleeps until a producer rings.
    #[default]
    Adaptive,
}

/// An adaptive wait gives the core to others for this long before it sleeps. Being woken costs a trip through the
/// scheduler, tens of microseconds on a virtual machine; at a brisk message rate it is not paid.
const YIELD_PERIOD: Duration = Duration::from_micros(250);

/// Longest sleep of an adaptive wait: what a lost wake-up would cost.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Makes the two ends of a wake-up: the consumer's [`Waiter`] and the [`Doorbell`] of its producers.
pub fn wakeup(strategy: WaitStrategy) -> (Waiter, Doorbell) {
    let parker = Parker::new();
    let shared = Arc::new(Shared { sleeping: AtomicBool::new(false), unparker: parker.unparker().clone() });
    let waiter = Waiter {
        parker,
        shared: Arc::clone(&shared),
        backoff: Backoff::new(),
        yielding_since: Cell::new(None),
        strategy,
    };
    (waiter, Doorbell { shared })
}

#[derive(Debug)]
struct Shared {
    sleeping: AtomicBool,
    unparker: Unparker,
}

/// Wakes a consumer; cheap while it is awake.
#[derive(Clone, Debug)]
pub struct Doorbell {
    shared: Arc<Shared>,
}

impl Doorbell {
    /// Wakes the consumer if it sleeps. Called once after a group of pushes.
    #[inline]
    pub fn ring(&self) {
        // Pairs with the fence in `Waiter::sleep`: either this load sees `sleeping`, or the consumer's last
        // look at its rings sees the push.
        fence(Ordering::SeqCst);
        if self.shared.sleeping.load(Ordering::Relaxed) {
            self.shared.unparker.unpark();
        }
    }
}

/// Waits for work on behalf of one consumer thread.
#[derive(Debug)]
pub struct Waiter {
    parker: Parker,
    shared: Arc<Shared>,
    backoff: Backoff,
    yielding_since: Cell<Option<Instant>>,
    strategy: WaitStrategy,
}

impl Waiter {
    /// Called after work was found: the next wait starts by spinning.
    #[inline]
    pub fn worked(&self) {
        self.backoff.reset();
    }

    /// Called when no work was found; returns when it is time to look again. Sleeps at most `longest`, and
    /// only while `has_work` says no.
    #[inline]
    pub fn idle(&self, longest: Duration, has_work: impl Fn() -> bool) {
        match self.strategy {
            WaitStrategy::Spin => std::hint::spin_loop(),
            WaitStrategy::Adaptive if !self.backoff.is_completed() => {
                self.backoff.snooze();
                self.yielding_since.set(None);
            }
            WaitStrategy::Adaptive => {
                let now = Instant::now();
                let since = self.yielding_since.get().unwrap_or(now);
                self.yielding_since.set(Some(since));
                if now - since < YIELD_PERIOD {
                    std::thread::yield_now();
                } else {
                    self.sleep(longest, has_work);
                }
            }
        }
    }

    fn sleep(&self, longest: Duration, has_work: impl Fn() -> bool) {
        self.shared.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            self.parker.park_timeout(longest.min(LONGEST_SLEEP));
        }
        self.shared.sleeping.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::*;
    use bytemuck::Zeroable;
    use proptest::prelude::*;

    fn quote(sequence: u64) -> Quote {
        let mut header = Header::new(Kind::Quote, 7, 1);
        header.sequence = sequence;
        Quote { header, ..Quote::zeroed() }
    }

    fn book(sequence: u64, levels: usize) -> (Book, Vec<Level>) {
        let mut header = Header::new(Kind::BookDelta, 7, 1);
        header.sequence = sequence;
        let book = Book { header, bid_levels: levels as u16, ..Book::zeroed() };
        (book, (0..levels as i64).map(|i| Level { price: i, quantity: sequence as i64 }).collect())
    }

    #[test]
    fn a_full_ring_refuses_and_keeps_what_it_has() {
        let (mut producer, mut consumer) = ring(4);
        for sequence in 0..4 {
            assert_eq!(producer.push(quote(sequence).lines(), &[]), Ok(()));
        }
        assert_eq!(producer.push(quote(9).lines(), &[]), Err(Full));
        let mut seen = vec![];
        assert_eq!(consumer.consume(usize::MAX, |r| seen.push(r.header().sequence)), 4);
        assert_eq!(seen, [0, 1, 2, 3]);
        assert_eq!(producer.push(quote(9).lines(), &[]), Ok(()));
    }

    proptest! {
        #[test]
        fn every_record_comes_out_once_and_in_order(sizes in proptest::collection::vec(0usize..40, 1..200), lot in 1usize..64) {
            let (mut producer, mut consumer) = ring(64);
            let (mut sent, mut got) = (0u64, 0u64);
            let mut check = |record: RecordRef<'_>| {
                let RecordRef::Book(head, levels) = record else { panic!("not a book") };
                assert_eq!(head.header.sequence, got);
                assert_eq!(levels.len(), sizes[got as usize]);
                assert!(levels.iter().all(|l| l.quantity == got as i64));
                got += 1;
            };
            while (sent as usize) < sizes.len() {
                let (head, levels) = book(sent, sizes[sent as usize]);
                match producer.push(head.lines(), bytemuck::cast_slice(&levels)) {
                    Ok(()) => sent += 1,
                    Err(Full) => { consumer.consume(lot, &mut check); }
                }
            }
            while consumer.consume(usize::MAX, &mut check) > 0 {}
            prop_assert_eq!(got, sent);
        }
    }

    #[test]
    fn a_sleeping_consumer_is_woken() {
        let (mut producer, mut consumer) = ring(1024);
        let (waiter, doorbell) = wakeup(WaitStrategy::Adaptive);
        let total = 20_000u64;
        let reader = std::thread::spawn(move || {
            let mut got = 0;
            while got < total {
                match consumer.consume(256, |_| ()) {
                    0 => waiter.idle(Duration::from_secs(1), || !consumer.is_empty()),
                    n => {
                        got += n as u64;
                        waiter.worked();
                    }
                }
            }
            got
        });
        for sequence in 0..total {
            while producer.push(quote(sequence).lines(), &[]).is_err() {
                std::thread::yield_now();
            }
            doorbell.ring();
        }
        assert_eq!(reader.join().unwrap(), total);
    }
}
