//! The newest frames of a connection: a ring of bytes, one copy a frame.

/// Bytes of the ring. What tells of a hole is on its way for as long as two looks at the commands are apart, up to a
/// thousand frames.
const CAPACITY: usize = 512 << 10;
/// Most frames.
const MAX_FRAMES: usize = 4096;

/// The newest frames of a connection, with their receive times. Older ones are written over.
pub(super) struct History {
    bytes: Box<[u8]>,
    /// The frame with number `n` is at the rest of a division by their count.
    frames: Box<[Held]>,
    /// Number of the next frame.
    next: u64,
    /// Bytes written since the beginning, with those left free at the end of a lap.
    end: u64,
}

#[derive(Clone, Default)]
struct Held {
    /// Bytes written before it; the place in the ring is the rest of a division by its length.
    start: u64,
    bytes: usize,
    receive_ns: i64,
    is_kept: bool,
}

impl History {
    pub(super) fn new() -> History {
        let bytes = vec![0; CAPACITY].into_boxed_slice();
        History { bytes, frames: vec![Held::default(); MAX_FRAMES].into_boxed_slice(), next: 0, end: 0 }
    }

    /// Takes a copy of a frame. One that is longer than the ring empties it.
    #[inline]
    pub(super) fn push(&mut self, frame: &[u8], receive_ns: i64, is_kept: bool) {
        let left = CAPACITY - self.end as usize % CAPACITY;
        let start = if frame.len() <= left { self.end } else { self.end + left as u64 };
        self.end = start + frame.len() as u64;
        let place = start as usize % CAPACITY;
        if let Some(slot) = self.bytes.get_mut(place..place + frame.len()) {
            slot.copy_from_slice(frame);
        }
        if let Some(held) = self.frames.get_mut(self.next as usize % MAX_FRAMES) {
            *held = Held { start, bytes: frame.len(), receive_ns, is_kept };
        }
        self.next += 1;
    }

    /// The number of the oldest frame with this receive time for which `is_it` holds.
    pub(super) fn find(&self, receive_ns: i64, mut is_it: impl FnMut(&[u8]) -> bool) -> Option<u64> {
        let mut numbers = self.next.saturating_sub(MAX_FRAMES as u64)..self.next;
        numbers.find(|number| self.frame(*number).is_some_and(|(frame, at)| at == receive_ns && is_it(frame)))
    }

    /// The frame with a number and its receive time, unless it is gone or was given out before.
    pub(super) fn take(&mut self, number: u64) -> Option<(&[u8], i64)> {
        self.frame(number)?;
        let held = self.frames.get_mut(number as usize % MAX_FRAMES)?;
        if std::mem::replace(&mut held.is_kept, true) {
            return None;
        }
        self.frame(number)
    }

    /// The frame with a number and its receive time, where it was not written over.
    fn frame(&self, number: u64) -> Option<(&[u8], i64)> {
        let is_listed = number < self.next && self.next - number <= MAX_FRAMES as u64;
        let held = self.frames.get(number as usize % MAX_FRAMES).filter(|_| is_listed)?;
        if held.start + (CAPACITY as u64) < self.end {
            return None;
        }
        let place = held.start as usize % CAPACITY;
        Some((self.bytes.get(place..place + held.bytes)?, held.receive_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_newest_frames_are_whole(
            lengths in proptest::collection::vec(
                prop_oneof![0..400usize, 50_000..150_000usize, CAPACITY - 2..CAPACITY + 2], 1..60),
        ) {
            let mut history = History::new();
            let frame = |index: usize, length: usize| vec![index as u8; length];
            for (index, length) in lengths.iter().enumerate() {
                history.push(&frame(index, *length), index as i64, false);
            }
            let numbers = 0..lengths.len() as u64;
            let held: Vec<i64> = numbers.filter_map(|number| Some(history.frame(number)?.1)).collect();
            for at in &held {
                let (bytes, receive_ns) = history.take(*at as u64).unwrap();
                prop_assert!(receive_ns == *at && bytes == frame(*at as usize, lengths[*at as usize]));
            }
            // They are the last ones without a hole, and as many as half of the ring has room for.
            let newest = (lengths.len() - held.len()) as i64..lengths.len() as i64;
            let longest = lengths.last().is_some_and(|length| *length > CAPACITY);
            prop_assert!(held.iter().copied().eq(newest) || longest);
            let mut sum = 0;
            let sure = lengths.iter().rev().take_while(|length| { sum += **length; sum <= CAPACITY / 2 }).count();
            prop_assert!(held.len() >= sure);
        }
    }

    #[test]
    fn many_short_frames_are_bounded_and_each_is_given_out_once() {
        let mut history = History::new();
        (0..10_000).for_each(|n: i64| history.push(b"x", n, false));
        let oldest = 10_000 - MAX_FRAMES as i64;
        assert_eq!(history.find(oldest - 1, |_| true), None, "it is gone");
        assert_eq!(history.take(oldest as u64 - 1), None);
        assert_eq!(history.find(oldest, |_| true), Some(oldest as u64));
        let number = history.find(9_999, |frame| frame == b"x").unwrap();
        assert_eq!(history.take(number), Some((&b"x"[..], 9_999)));
        assert_eq!(history.take(number), None);
        assert_eq!(history.take(10_000), None, "it has not come");
    }
}
