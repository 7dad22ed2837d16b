//! Bodies compressed with zstd, and decoded again.
//!
//! Plain zstd, without a transform before it. Measured in bytes a record, batches of 1 MiB, over real frames of Binance
//! and over the demo's market: level 1 46.6 and 24.4, level 3 45.9 and 22.9, level 6 43.1 and 21.2 at 2.5 times the
//! work. Byte planes of the lines give 40.4 and 27.6, after deltas of words 47.0 and 36.0.
//!
//! Clusters ([`cluster`](mod@crate::cluster)) at level 3, in bytes a record over the demo's market, the same with 60
//! symbols a market (500 instruments), and Binance's captured mix:
//!
//! | form | demo | 60 symbols | Binance |
//! |---|---|---|---|
//! | batches of 1 MiB, one frame each | 23.3 | 48.2 | 31.7 |
//! | batches of 32 MiB, clusters of 32 KiB | 19.9 | 26.5 | 30.4 |
//! | of 64 KiB | 19.5 | 25.8 | 29.9 |
//! | of 256 KiB | 19.2 | 24.8 | 28.2 |
//! | batches of 16 MiB, clusters of 64 KiB | 19.6 | 28.2 | 29.9 |
//! | batches of 64 MiB, clusters of 64 KiB | 19.4 | 25.0 | 29.9 |
//! | 64 KiB with a trained dictionary of 64 KiB, itself not counted | 19.8 | 26.1 | 29.8 |
//!
//! | **as it is**: batches of 16 MiB, shared clusters of 64 KiB, those of one key of 512 KiB | 19.7 | 28.4 | 27.1 |
//!
//! The places of the records are 1.3, 1.7 and 0.6 of these. Shared clusters in capture order and not sorted by key are 0
//! to 4 % larger. Dictionaries of 16 to 112 KiB make clusters of 32 to 128 KiB up to 2 % larger; the best one, 112 KiB, makes
//! those of Binance 0.7 % smaller. So there is none.
//!
//! All records in order, in GB of records a second of CPU time, one frame of 1 MiB a batch and then clusters: demo 0.67 and
//! 0.78, 60 symbols 0.78 and 1.01, Binance 0.72 and 0.71.

use bytemuck::Zeroable;
use marketprism_core::record::{LINE_BYTES, Line};
use zstd::zstd_safe::{self, DCtx};

use crate::format::{BatchHeader, Codec, HEADER_BYTES, MAX_DECODED_BYTES, checksum, padded};
use crate::view::Slot;

/// Level of zstd.
pub(crate) const LEVEL: i32 = 3;

/// Compresses a finished batch of header, body and padding into `out`, which is cleared first and then holds another
/// such batch with the same records.
pub(crate) fn compress(batch: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut header = BatchHeader::read(batch).ok_or("its header is not valid")?;
    let body_bytes = header.body_bytes as usize;
    let body =
        batch.get(HEADER_BYTES..HEADER_BYTES + body_bytes).ok_or("it is shorter than its header says")?;
    if header.codec != Codec::None as u8 || body_bytes > MAX_DECODED_BYTES {
        return Err(format!("{body_bytes} bytes with codec {} are not compressed", header.codec));
    }
    out.clear();
    out.resize(HEADER_BYTES + zstd_safe::compress_bound(body_bytes), 0);
    let compressed = zstd::bulk::compress_to_buffer(body, &mut out[HEADER_BYTES..], LEVEL);
    let compressed = compressed.map_err(|error| format!("zstd: {error}"))?;
    out.truncate(HEADER_BYTES + compressed);
    out.resize(HEADER_BYTES + padded(compressed), 0);
    header.codec = Codec::Zstd as u8;
    header.body_bytes = compressed as u32;
    header.body_checksum = checksum(&out[HEADER_BYTES..]);
    out[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header.finish()));
    Ok(())
}

/// What decoding needs, kept from batch to batch.
#[derive(Default)]
pub(crate) struct Decoder {
    context: Option<DCtx<'static>>,
    /// Room for what is decoded.
    lines: Vec<Line>,
    /// Where the records of a clustered batch lie.
    slots: Vec<Slot>,
}

impl Decoder {
    /// The context, room for so many lines, and as many empty slots.
    pub(crate) fn parts(&mut self, lines: usize, slots: usize) -> (&mut Context, &mut [Line], &mut [Slot]) {
        if self.lines.len() < lines {
            // What is there need not be copied.
            self.lines.clear();
            self.lines.resize(lines, Line::zeroed());
        }
        self.slots.clear();
        self.slots.resize(slots, Slot::default());
        let context = self.context.get_or_insert_with(DCtx::create);
        (context, self.lines.get_mut(..lines).unwrap_or_default(), &mut self.slots)
    }
}

/// The state of a decoder of frames.
pub(crate) type Context = DCtx<'static>;

/// Decodes a frame to the first `bytes` bytes of `lines`. Safe on any bytes: the error says what is wrong with them.
pub(crate) fn decode_frame<'a>(
    context: &mut Context,
    stored: &[u8],
    lines: &'a mut [Line],
    bytes: usize,
) -> Result<&'a [u8], String> {
    let failed = |code| format!("zstd: {}", zstd_safe::get_error_name(code));
    let frame = zstd_safe::find_frame_compressed_size(stored).map_err(failed)?;
    // Left to itself zstd goes on with what it takes for a second frame.
    if frame != stored.len() {
        return Err(format!("the compressed frame has {frame} bytes of {}", stored.len()));
    }
    let out = bytemuck::cast_slice_mut(lines).get_mut(..bytes).unwrap_or_default();
    let decoded = context.decompress(out, stored).map_err(failed)?;
    if decoded != bytes {
        return Err(format!("it decodes to {decoded} bytes and not to {bytes}"));
    }
    Ok(out)
}

/// The body as it was before it was stored: in place, or decoded. `stored` is without padding. Safe on any bytes: the
/// error says what is wrong with them.
pub(crate) fn decode<'a>(
    header: &BatchHeader,
    stored: &'a [u8],
    decoder: &'a mut Decoder,
) -> Result<&'a [u8], String> {
    if header.codec == Codec::None as u8 {
        return Ok(stored);
    }
    let bytes = header.decoded_bytes as usize;
    if header.codec != Codec::Zstd as u8 {
        return Err(format!("codec {} is unknown to this program", header.codec));
    }
    if bytes > MAX_DECODED_BYTES {
        return Err(format!(
            "it is said to decode to {bytes} bytes; at most {MAX_DECODED_BYTES} are allowed"
        ));
    }
    let (context, lines, _) = decoder.parts(bytes.div_ceil(LINE_BYTES), 0);
    decode_frame(context, stored, lines, bytes)
}

#[cfg(test)]
mod tests {
    use marketprism_core::record::{Header, Kind, RecordRef, Trade};
    use proptest::prelude::*;

    use super::*;
    use crate::batch::BatchBuilder;
    use crate::map::Batches;

    /// A batch of ten trades that begin with this id.
    fn batch(first: u64) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for id in first..first + 10 {
            let header = Header { sequence: id, ..Header::new(Kind::Trade, 1, 5) };
            builder.push(RecordRef::Trade(&Trade { header, ..Zeroable::zeroed() })).unwrap();
        }
        let mut out = Vec::new();
        builder.finish(first, &mut out).unwrap();
        out
    }

    fn compressed(first: u64) -> Vec<u8> {
        let mut out = Vec::new();
        compress(&batch(first), &mut out).unwrap();
        out
    }

    /// A batch with this codec, body and length once decoded, and right checksums.
    fn forged(codec: u8, body: &[u8], decoded_bytes: u32) -> Vec<u8> {
        let mut out = body.to_vec();
        out.resize(padded(body.len()), 0);
        let header = BatchHeader {
            codec,
            body_bytes: body.len() as u32,
            decoded_bytes,
            body_checksum: checksum(&out),
            ..BatchHeader::read(&batch(0)).unwrap()
        };
        out.splice(..0, bytemuck::bytes_of(&header.finish()).iter().copied());
        out
    }

    /// The ids in a segment of these batches, and what is wrong in it.
    fn read(batches: &[Vec<u8>]) -> (Vec<u64>, Vec<String>) {
        let bytes: Vec<u8> = [&[0; HEADER_BYTES][..]]
            .into_iter()
            .chain(batches.iter().map(|b| &b[..]))
            .flatten()
            .copied()
            .collect();
        let lines: Vec<Line> = bytes.chunks_exact(LINE_BYTES).map(bytemuck::pod_read_unaligned).collect();
        let (mut ids, mut problems) = (vec![], vec![]);
        let mut batches = Batches::over("test", bytemuck::cast_slice(&lines));
        while let Some(batch) = batches.next_batch() {
            match batch {
                Ok(batch) => ids.extend(batch.records().map(|(_, record)| record.header().sequence)),
                Err(problem) => problems.push(problem.what),
            }
        }
        (ids, problems)
    }

    #[test]
    fn one_segment_may_mix_codecs() {
        let mixed = [batch(0), compressed(10), compressed(20), batch(30)];
        assert_eq!(read(&mixed), ((0..40).collect(), vec![]));
        assert!(mixed[1].len() * 2 < mixed[0].len());
    }

    #[test]
    fn a_wrong_body_is_a_problem_and_the_next_batch_is_read() {
        let plain = batch(0);
        let body =
            &plain[HEADER_BYTES..HEADER_BYTES + BatchHeader::read(&plain).unwrap().body_bytes as usize];
        let frame = zstd::bulk::compress(body, LEVEL).unwrap();
        let bytes = body.len() as u32;
        let twice = [&frame[..], &frame[..]].concat();
        let trailing = [&frame[..], b"garbage"].concat();
        let bomb = zstd::bulk::compress(&vec![0; MAX_DECODED_BYTES + 1], LEVEL).unwrap();
        let (bomb_bytes, frame_bytes) = (MAX_DECODED_BYTES as u32 + 1, frame.len());
        for (codec, body, decoded_bytes, expected) in [
            (1, &frame[..], bytes + 1, format!("it decodes to {bytes} bytes and not to {}", bytes + 1)),
            (1, &frame, bytes - 1, "zstd: Destination buffer is too small".into()),
            (1, &bomb, bytes, "zstd: Destination buffer is too small".into()),
            (
                1,
                &bomb,
                bomb_bytes,
                format!(
                    "it is said to decode to {bomb_bytes} bytes; at most {MAX_DECODED_BYTES} are allowed"
                ),
            ),
            (
                1,
                &twice,
                bytes,
                format!("the compressed frame has {frame_bytes} bytes of {}", 2 * frame_bytes),
            ),
            (
                1,
                &trailing,
                bytes,
                format!("the compressed frame has {frame_bytes} bytes of {}", frame_bytes + 7),
            ),
            (1, &frame[..frame_bytes - 1], bytes, "zstd: Src size is incorrect".into()),
            (1, b"no frame", bytes, "zstd: Unknown frame descriptor".into()),
            (1, b"", 0, "zstd: Src size is incorrect".into()),
            (7, &frame, bytes, "codec 7 is unknown to this program".into()),
        ] {
            let (ids, problems) = read(&[forged(codec, body, decoded_bytes), batch(10)]);
            assert_eq!(ids, (10..20).collect::<Vec<_>>());
            assert_eq!(problems, [format!("batch is not valid: {expected}")]);
        }
        assert_eq!(read(&[forged(1, &frame, bytes)]), ((0..10).collect(), vec![]));
    }

    proptest! {
        /// Frames that pass every checksum and are still nonsense are refused or read, never a panic.
        #[test]
        fn any_frame(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            decoded_bytes in 0..4096u32,
        ) {
            let plain = batch(0);
            let mut frame = zstd::bulk::compress(&plain[HEADER_BYTES..], LEVEL).unwrap();
            for (at, value) in changes {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            frame.truncate(1 + cut.index(frame.len()));
            let (ids, problems) = read(&[forged(1, &frame, decoded_bytes)]);
            prop_assert!(ids.is_empty() != problems.is_empty());
        }
    }
}
