//! Frames to records: the two paths of each venue's decoder against typed `sonic-rs` and `serde_json`, which stop at
//! text fields or floating point and make no record. Captured frames where there are some, written ones where not.

mod binance;
mod deribit;
mod harness;
mod okx;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50);
    targets = binance::parse, okx::parse, deribit::parse
}
criterion_main!(benches);
