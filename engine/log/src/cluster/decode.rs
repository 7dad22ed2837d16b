//! From a clustered body to the records that were asked for.

use marketprism_core::record::{Kind, LINE_BYTES};

use super::{ClusterEntry, directory};
use crate::codec::{Decoder, decode_frame};
use crate::format::{BatchHeader, HEADER_BYTES, checksum};
use crate::selection::Selection;
use crate::view::{BatchView, Places, Slices, Slot};

/// What decoding a batch came to besides its records.
#[derive(Default)]
pub(crate) struct Decoded {
    /// What is wrong with some clusters, and where: bytes from the start of the body.
    pub(crate) damage: Vec<(u64, String)>,
    /// Bytes of the body that were looked at.
    pub(crate) bytes_read: usize,
}

/// The clusters of a batch at `offset` that the selection needs. A damaged cluster is told of in `decoded`, the
/// others are read. Safe on any bytes: the error says what is wrong with the batch as a whole.
///
/// `stored` is the body, with its padding.
pub(crate) fn decode<'a>(
    header: BatchHeader,
    offset: u64,
    stored: &[u8],
    selection: &Selection,
    decoder: &'a mut Decoder,
    decoded: &mut Decoded,
) -> Result<BatchView<'a>, String> {
    let body = stored.get(..header.body_bytes as usize).unwrap_or_default();
    let entries = directory(&header, body)?;
    decoded.bytes_read = HEADER_BYTES * (1 + entries.len());
    let needed: Vec<&ClusterEntry> =
        entries.iter().filter(|entry| selection.needs_cluster(&header, entry)).collect();
    // Where all is read, the body's checksum stands for those of the frames.
    let is_whole =
        !selection.checksums || needed.len() == entries.len() && checksum(stored) == header.body_checksum;
    let lines_of = |entry: &ClusterEntry| entry.decoded_bytes().div_ceil(LINE_BYTES);
    let all_lines = needed.iter().map(|entry| lines_of(entry)).sum();
    let (context, mut room, slots) = decoder.parts(all_lines, header.records as usize);
    let mut clusters = Vec::with_capacity(needed.len());
    for entry in &needed {
        decoded.bytes_read += entry.stored_bytes as usize;
        let own = room.split_off_mut(..lines_of(entry)).unwrap_or_default();
        let read = frame(entry, body, is_whole)
            .and_then(|stored| decode_frame(context, stored, own, entry.decoded_bytes()))
            .and_then(|data| Ok(place(entry, data, clusters.len() as u16, slots)?));
        match read {
            Ok(slices) => clusters.push(slices),
            Err(what) => decoded.damage.push(lost(&header, entry, &what)),
        }
    }
    if !is_whole && needed.len() == entries.len() && decoded.damage.is_empty() {
        decoded.damage.push((0, "wrong checksum of a batch whose records are all whole".to_owned()));
    }
    Ok(BatchView::clustered(header, offset, clusters, slots)?)
}

fn lost(header: &BatchHeader, entry: &ClusterEntry, what: &str) -> (u64, String) {
    let (records, sequence) = (entry.records, header.first_sequence);
    let instruments = match (entry.first_instrument, entry.last_instrument) {
        (first, last) if first == last => format!("instrument {first}"),
        (first, last) => format!("instruments {first} to {last}"),
    };
    let what = format!(
        "{records} records of {instruments} in the batch from sequence {sequence} are lost: their cluster is damaged: {what}"
    );
    (u64::from(entry.offset), what)
}

fn frame<'a>(entry: &ClusterEntry, body: &'a [u8], is_whole: bool) -> Result<&'a [u8], String> {
    let frame = entry.frame(body).ok_or("it lies outside of the batch")?;
    match is_whole || checksum(frame) == entry.checksum {
        true => Ok(frame),
        false => Err("wrong checksum".to_owned()),
    }
}

/// Enters the records of a decoded cluster where they belong. After an error the slots are as they were.
fn place<'a>(
    entry: &ClusterEntry,
    data: &'a [u8],
    cluster: u16,
    slots: &mut [Slot],
) -> Result<Slices<'a>, &'static str> {
    let (archive, positions) =
        data.split_at_checked(entry.archive_bytes as usize).ok_or("the archive is longer than its frame")?;
    let (slices, _) = Slices::read(archive)?;
    if slices.order().len() != entry.records as usize {
        return Err("the directory's record count is not that of the archive");
    }
    let entered = enter(slices.order(), positions, cluster, slots);
    if entered.is_err() {
        let own = slots.iter_mut().filter(|slot| slot.kind != 0 && slot.cluster == cluster);
        own.for_each(|slot| *slot = Slot::default());
    }
    entered.map(|()| slices)
}

fn enter(order: &[u8], positions: &[u8], cluster: u16, slots: &mut [Slot]) -> Result<(), &'static str> {
    let mut places = Places::default();
    let mut positions = Positions { bytes: positions, before: 0 };
    for run in order.chunk_by(|one, next| one == next) {
        let kind = run.first().copied().and_then(Kind::from_number).ok_or("unknown kind of record")?;
        let first = places.take(kind, run.len());
        for index in first..first + run.len() {
            let position = positions.next().ok_or("a place in the batch is missing or too large")?;
            let slot = slots.get_mut(position).ok_or("a place lies outside of the batch")?;
            if slot.kind != 0 {
                return Err("two records have the same place");
            }
            *slot = Slot { index: index as u32, cluster, kind: kind as u8 };
        }
    }
    match positions.bytes.is_empty() {
        true => Ok(()),
        false => Err("there are more places than records"),
    }
}

/// Reads the places of records.
struct Positions<'a> {
    bytes: &'a [u8],
    before: u32,
}

impl Positions<'_> {
    #[inline]
    fn next(&mut self) -> Option<usize> {
        let mut difference = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            difference |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                self.before = self.before.wrapping_add(u32::try_from(difference).ok()?);
                return Some(self.before as usize);
            }
        }
        None
    }
}
