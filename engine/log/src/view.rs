//! The records of a batch, in place.

mod slices;

use std::slice;

use marketprism_core::record::{Definition, Kind, RecordRef};

use crate::format::{BatchHeader, BatchKind, KINDS};
pub(crate) use slices::Slices;

/// The records of a batch, borrowed from the file or from where they were decoded. Everything in it has been checked: order and counts agree, every
/// record has the kind of its vector, and levels and bodies lie inside their pools.
///
/// A clustered batch of which some clusters are damaged or were not asked for holds fewer records than its header says.
#[derive(Clone, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader,
    offset: u64,
    kinds: [u32; KINDS],
    content: Content<'a>,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would cost an allocation for each plain batch")]
enum Content<'a> {
    /// One archive in capture order.
    Plain(Slices<'a>),
    /// Some clusters, and for each capture sequence of the batch where its record lies.
    Clustered(Vec<Slices<'a>>, &'a [Slot]),
}

/// Where a record of a clustered batch lies. Zero: it was not decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Place in the vector of its kind.
    pub(crate) index: u32,
    /// Place of its cluster among those decoded.
    pub(crate) cluster: u16,
    /// Number of its kind.
    pub(crate) kind: u8,
}

impl<'a> BatchView<'a> {
    /// Reads the body of a plain data or dictionary batch. `body` is without padding and aligned to 64 bytes. Safe on any
    /// bytes: the error says what is wrong with them.
    pub fn new(header: BatchHeader, offset: u64, body: &'a [u8]) -> Result<BatchView<'a>, &'static str> {
        let (slices, kinds) = Slices::read(body)?;
        if slices.order().len() != header.records as usize {
            return Err("the header's record count is not that of the archive");
        }
        check_sequences(&header)?;
        Ok(BatchView { header, offset, kinds, content: Content::Plain(slices) })
    }

    /// The records of some clusters; `slots` has one element for each capture sequence of the batch.
    pub(crate) fn clustered(
        header: BatchHeader,
        offset: u64,
        clusters: Vec<Slices<'a>>,
        slots: &'a [Slot],
    ) -> Result<BatchView<'a>, &'static str> {
        check_sequences(&header)?;
        let mut kinds = [0; KINDS];
        for slot in slots.iter().filter(|slot| slot.kind != 0) {
            *kinds.get_mut(usize::from(slot.kind)).ok_or("unknown kind of record")? += 1;
        }
        Ok(BatchView { header, offset, kinds, content: Content::Clustered(clusters, slots) })
    }

    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// What the batch is for.
    pub fn kind(&self) -> BatchKind {
        BatchKind::from_number(self.header.kind).unwrap_or(BatchKind::Data)
    }

    /// Where the batch starts, bytes from the start of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of records by kind number.
    pub fn kinds(&self) -> &[u32; KINDS] {
        &self.kinds
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.kinds.iter().map(|count| *count as usize).sum()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All instrument definitions, in capture order, with their JSON.
    pub fn definitions(&self) -> impl Iterator<Item = (&Definition, &[u8])> {
        let definition = |record| match record {
            (_, RecordRef::Definition(definition, json)) => Some((definition, json)),
            _ => None,
        };
        let count = self.kinds[Kind::Instrument as usize] as usize;
        self.records().filter_map(definition).take(count)
    }

    /// All records in capture order, each with its capture sequence. Those of a dictionary have none of their own:
    /// the number is then only their place.
    pub fn records(&self) -> Records<'_> {
        let source = match &self.content {
            Content::Plain(slices) => {
                Source::Plain(InOrder { slices, order: slices.order().iter(), places: Places::default() })
            }
            Content::Clustered(clusters, slots) => Source::Clustered(clusters, slots.iter()),
        };
        Records { sequence: self.header.first_sequence, left: self.len(), source }
    }
}

fn check_sequences(header: &BatchHeader) -> Result<(), &'static str> {
    match header.first_sequence.checked_add(u64::from(header.records)) {
        Some(_) => Ok(()),
        None => Err("the capture sequences pass the largest number"),
    }
}

/// Iterates over the records of a batch in capture order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    /// Of the next record or slot.
    sequence: u64,
    left: usize,
    source: Source<'a>,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack, one at a time")]
enum Source<'a> {
    Plain(InOrder<'a>),
    Clustered(&'a [Slices<'a>], slice::Iter<'a, Slot>),
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, RecordRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<(u64, RecordRef<'a>)> {
        let record = match &mut self.source {
            Source::Plain(records) => records.next()?,
            Source::Clustered(clusters, slots) => loop {
                let slot = slots.next()?;
                if let Some(kind) = Kind::from_number(slot.kind) {
                    break clusters.get(usize::from(slot.cluster))?.record(kind, slot.index as usize)?;
                }
                self.sequence += 1;
            },
        };
        let sequence = self.sequence;
        self.sequence += 1;
        self.left = self.left.saturating_sub(1);
        Some((sequence, record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// Iterates over the records of one archive, in its order.
#[derive(Clone, Debug)]
struct InOrder<'a> {
    slices: &'a Slices<'a>,
    order: slice::Iter<'a, u8>,
    places: Places,
}

impl<'a> InOrder<'a> {
    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        let kind = Kind::from_number(*self.order.next()?)?;
        self.slices.record(kind, self.places.take(kind, 1))
    }
}

/// Counts the records of each vector, on the way through an archive's order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places([usize; KINDS]);

impl Places {
    /// The place of the next record of a kind in its vector, where so many are taken.
    #[inline]
    pub(crate) fn take(&mut self, kind: Kind, count: usize) -> usize {
        let vector = if kind == Kind::BookDelta { Kind::BookSnapshot } else { kind };
        let next = &mut self.0[vector as usize];
        *next += count;
        *next - count
    }
}
