//! Warm decoding by the predicted path allocates nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use common::*;
use marketprism_core::record::RecordBuffer;
use marketprism_core::venue::Decoder;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every method hands its arguments unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// The only test of this file: the count is that of the whole process.
#[test]
fn warm_frames_allocate_nothing() {
    let frames = predicted_frames();
    let mut records = RecordBuffer::default();
    let mut decoder = own_decoder("option");
    let mut round = || {
        for (_, _, frame) in &frames {
            records.clear();
            decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records).unwrap();
        }
    };
    round();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..100 {
        round();
    }
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(allocated, 0);
    assert_eq!(decoder.counts().predicted.iter().sum::<u64>(), 101 * frames.len() as u64);
    assert_eq!(decoder.counts().general.iter().sum::<u64>(), 0);
}
