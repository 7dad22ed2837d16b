//! Criterion benches of parse, ring, book and log append; see `benches/`. The end-to-end measurements are
//! `marketprism bench throughput` and `marketprism bench latency`. Results are kept in `perf/`.
