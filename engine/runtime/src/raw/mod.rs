//! Frames and answers kept verbatim: as records, whole or in parts.

mod history;
mod keeper;

use bytemuck::Zeroable;
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{Body, Header, Kind, MAX_BODY_BYTES, Raw, Record, Sink};

pub use keeper::{FrameKeeper, Kept};

/// Longest reason of a frame, bytes; what is longer is cut.
const MAX_REASON_BYTES: usize = 1024;

/// Where a frame or an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The instrument that stands for the market.
    pub market: InstrumentId,
    /// The connection; 0 for answers to requests.
    pub connection: u32,
}

impl Origin {
    /// Appends a frame in as many records as it takes. The reason is in the first one. `flags` go into the headers,
    /// `buffer` is memory that is used again.
    pub fn push(
        &self,
        (receive_ns, flags): (i64, u8),
        reason: &str,
        frame: &[u8],
        buffer: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) {
        let reason = &reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON_BYTES)];
        let mut record = Raw {
            header: Header { flags, ..Header::new(Kind::Raw, self.market, receive_ns) },
            connection: self.connection,
            reason_bytes: reason.len() as u32,
            frame_bytes: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            ..Raw::zeroed()
        };
        let mut rest = frame;
        if !reason.is_empty() {
            let (part, behind) = frame.split_at(frame.len().min(MAX_BODY_BYTES - reason.len()));
            buffer.clear();
            buffer.extend_from_slice(reason);
            buffer.extend_from_slice(part);
            append(&mut record, buffer, sink);
            (record.reason_bytes, record.offset, rest) = (0, part.len() as u32, behind);
            if rest.is_empty() {
                return;
            }
        }
        while rest.len() > MAX_BODY_BYTES {
            let (part, behind) = rest.split_at(MAX_BODY_BYTES);
            append(&mut record, part, sink);
            record.offset += part.len() as u32;
            rest = behind;
        }
        append(&mut record, rest, sink);
    }
}

fn append(record: &mut Raw, body: &[u8], sink: &mut dyn Sink) {
    record.body = Body { start: 0, bytes: body.len() as u32 };
    sink.append(record.lines(), body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use marketprism_core::record::{RecordBuffer, RecordRef};
    use proptest::prelude::*;

    /// Reason and frame, put together again; every part must be where it says.
    fn joined(records: &RecordBuffer) -> (String, Vec<u8>) {
        let (mut reason, mut frame) = (String::new(), Vec::new());
        for record in records.iter() {
            let RecordRef::Raw(raw, body) = record else { panic!("{record:?}") };
            let (why, part) = body.split_at(raw.reason_bytes as usize);
            assert_eq!(raw.offset as usize, frame.len());
            assert!(body.len() <= MAX_BODY_BYTES);
            reason += std::str::from_utf8(why).unwrap();
            frame.extend_from_slice(part);
            assert!(frame.len() <= raw.frame_bytes as usize);
        }
        (reason, frame)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_frame_of_any_length_comes_back_whole(
            length in prop_oneof![0..300usize, 60_000..70_000usize, 131_000..131_200usize, 300_000..300_010usize],
            reason in prop_oneof![Just(String::new()), "[a-zé]{1,40}", "é{400,600}"],
        ) {
            let frame: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let mut records = RecordBuffer::default();
            let origin = Origin { market: 7, connection: 3 };
            origin.push((5, 0), &reason, &frame, &mut Vec::new(), &mut records);
            let (why, whole) = joined(&records);
            prop_assert!(whole == frame);
            prop_assert!(reason.starts_with(&why) && (why == reason || why.len() > MAX_REASON_BYTES - 4));
            let parts = records.iter().count();
            prop_assert!(parts <= 1 + (length + why.len()).div_ceil(MAX_BODY_BYTES), "{} parts", parts);
        }
    }
}
