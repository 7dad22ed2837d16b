//! Which records to read, and what can be passed over for them.

use std::collections::BTreeSet;

use marketprism_core::InstrumentId;
use marketprism_core::record::{Kind, RecordRef};

use crate::cluster::ClusterEntry;
use crate::columns::IndexEntry;
use crate::format::{BatchHeader, BatchKind};

/// Which records to read. The default is all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// First capture sequence.
    pub from_sequence: u64,
    /// The capture sequence before which to stop.
    pub end_sequence: u64,
    /// Earliest receive time, nanoseconds since the Unix epoch.
    pub from_ns: i64,
    /// The receive time from which on records are left out, nanoseconds since the Unix epoch.
    pub end_ns: i64,
    /// Only records of these instruments; `None`: of all.
    pub instruments: Option<BTreeSet<InstrumentId>>,
    /// Only these kinds; `None`: all.
    pub kinds: Option<BTreeSet<Kind>>,
    /// Whether checksums are compared. Without, reading is safe but a flipped bit goes unnoticed.
    pub checksums: bool,
}

impl Default for Selection {
    fn default() -> Selection {
        Selection {
            from_sequence: 0,
            end_sequence: u64::MAX,
            from_ns: i64::MIN,
            end_ns: i64::MAX,
            instruments: None,
            kinds: None,
            checksums: true,
        }
    }
}

impl Selection {
    /// Whether anything is left out.
    pub(crate) fn is_narrow(&self) -> bool {
        *self != Selection { checksums: self.checksums, ..Selection::default() }
    }

    /// Whether the time is bounded.
    pub(crate) fn has_times(&self) -> bool {
        (self.from_ns, self.end_ns) != (i64::MIN, i64::MAX)
    }

    /// Whether anything between these receive times can be wanted.
    pub(crate) fn takes_times(&self, first_receive_ns: i64, last_receive_ns: i64) -> bool {
        last_receive_ns >= self.from_ns && first_receive_ns < self.end_ns
    }

    /// Whether a batch of these sequences and times can hold wanted records.
    pub(crate) fn takes_batch(&self, header: &BatchHeader) -> bool {
        header.end_sequence() > self.from_sequence
            && header.first_sequence < self.end_sequence
            && self.takes_times(header.first_receive_ns, header.last_receive_ns)
    }

    /// Whether a batch has to be looked at: for wanted records, or for its definitions.
    pub(crate) fn needs_batch(&self, entry: &IndexEntry) -> bool {
        let holds = |kind: &Kind| entry.kinds.get(*kind as usize).is_some_and(|count| *count > 0);
        let takes = entry.first_sequence.saturating_add(u64::from(entry.records)) > self.from_sequence
            && entry.first_sequence < self.end_sequence
            && self.takes_times(entry.first_receive_ns, entry.last_receive_ns)
            && self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(holds));
        takes || holds(&Kind::Instrument)
    }

    /// Whether a cluster has to be decoded: for wanted records, or for its definitions.
    pub(crate) fn needs_cluster(&self, header: &BatchHeader, cluster: &ClusterEntry) -> bool {
        let is_for_all = cluster.holds(Kind::Instrument) || header.kind != BatchKind::Data as u8;
        if is_for_all || !self.is_narrow() {
            return true;
        }
        let instruments = cluster.first_instrument..=cluster.last_instrument;
        let has_instrument = |wanted: &BTreeSet<InstrumentId>| {
            cluster.first_instrument <= cluster.last_instrument && wanted.range(instruments).next().is_some()
        };
        self.takes_batch(header)
            && self.takes_times(cluster.first_receive_ns, cluster.last_receive_ns)
            && self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| cluster.holds(*kind)))
            && self.instruments.as_ref().is_none_or(has_instrument)
    }

    /// Whether a record is wanted.
    pub(crate) fn takes(&self, sequence: u64, record: RecordRef<'_>) -> bool {
        let header = record.header();
        let is_kind = |kinds: &BTreeSet<Kind>| record.kind().is_some_and(|kind| kinds.contains(&kind));
        (self.from_sequence..self.end_sequence).contains(&sequence)
            && (self.from_ns..self.end_ns).contains(&header.receive_ns)
            && self.instruments.as_ref().is_none_or(|wanted| wanted.contains(&header.instrument))
            && self.kinds.as_ref().is_none_or(is_kind)
    }
}
